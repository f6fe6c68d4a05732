"""One editor per kind of parameter: what is typed, dragged or picked becomes a checked value, or a reason why not.

Every editor says ``edited(value, gesture)``: edits of one gesture (a drag, a burst of typing) carry the same number and
are one step of undo. What does not fit is refused with its reason and changes nothing.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDropEvent,
    QIcon,
    QKeyEvent,
    QPainter,
    QPixmap,
    QResizeEvent,
    QTextCursor,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QComboBox,
    QCompleter,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio.graph import Json, Param, ParamKind
from studio.gui.arithmetic import evaluate
from studio.gui.curve import CurvePlot
from studio.gui.number_field import Line, NumberField, is_undo, shown
from studio.gui.prompt_weights import reweighted
from studio.gui.theme import Theme, icon
from studio.registry import (
    Choice,
    File,
    ModelName,
    Multiline,
    Numbers,
    Points,
    Range,
    Seed,
    Strokes,
)

_BURST_MS = 1000
"""A pause in typing that ends a burst."""
_COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")


class Editor(QWidget):
    """Base of the editors: a parameter, its value, and what is said of a change."""

    edited = Signal(object, int)
    """A value that the parameter admits, and the number of the gesture."""
    refused = Signal(str)
    """Why what was given is not taken; "" once that is over."""
    reset_requested = Signal()

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.param = param
        self._theme = theme
        self._value: Json = param.default
        self._is_mixed = False
        self._numbers = itertools.count(1)
        self._gesture = 0
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._row = layout

    def value(self) -> Json:
        """The value that is shown; of several that differ, the first node's."""
        return self._value

    @property
    def is_mixed(self) -> bool:
        """Whether several nodes are edited whose values differ."""
        return self._is_mixed

    def set_value(self, value: Json, *, is_mixed: bool = False) -> None:
        """Show a value without saying that it was edited."""
        self._value, self._is_mixed = value, is_mixed
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self.update()

    def begin_gesture(self) -> None:
        """Let the next edits be a step of undo of their own."""
        self._gesture = next(self._numbers)

    def offer(self, value: Json) -> bool:
        """Take a value as if it had been given here; False, with a reason said, if it does not fit."""
        try:
            checked = self.param.check(value)
        except ValueError as error:
            self.refused.emit(str(error))
            return False
        self.refused.emit("")
        is_same = checked == self._value and type(checked) is type(self._value)
        if is_same and not self._is_mixed:
            return True
        self._value, self._is_mixed = checked, False
        self.edited.emit(checked, self._gesture)
        return True

    def _offer_alone(self, value: Json) -> bool:
        self.begin_gesture()
        return self.offer(value)

    def _show(self) -> None:
        raise AssertionError("every editor shows its value")

    def _take(self, *widgets: QWidget) -> None:
        """Put the inner widgets in a row; the first takes the focus and the space."""
        for index, widget in enumerate(widgets):
            self._row.addWidget(widget, 0 if index else 1)
        self.setFocusProxy(widgets[0])
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)


def icon_size(widget: QWidget) -> QSize:
    """As high as the text of a widget."""
    side = max(16, widget.fontMetrics().height())
    return QSize(side, side)


def _button(name: str, tip: str, theme: Theme, parent: QWidget) -> QToolButton:
    button = QToolButton(parent)
    button.setIcon(icon(name, theme))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setAutoRaise(True)
    button.setIconSize(icon_size(parent))
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


# --- numbers


class NumberEditor(Editor):
    """A whole or decimal number, by ``NumberField``."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.field = NumberField(param, theme, self)
        self.field.stepped.connect(self.offer)
        self.field.typed.connect(self._type)
        self.field.began.connect(self.begin_gesture)
        self.field.abandoned.connect(self._abandon)
        self.field.reset_requested.connect(self.reset_requested)
        self.edited.connect(self._show)
        self._take(self.field)
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.field.set_theme(theme)

    def _show(self) -> None:
        self.field.show_value(self._value, is_mixed=self._is_mixed)

    def _abandon(self) -> None:
        self.refused.emit("")

    def _type(self, text: str) -> None:
        try:
            number = evaluate(_without_unit(text, self.param))
            value = _number(number, self.param)
        except ValueError as error:
            self.refused.emit(str(error))
            self.field.set_bad(True)
            return
        if not self._offer_alone(value):
            self.field.set_bad(True)
            return
        self.field.end_typing()


def _without_unit(text: str, param: Param) -> str:
    unit = param.hint.unit if isinstance(param.hint, Range) else ""
    return text.strip().removesuffix(unit).strip() if unit else text.strip()


def _number(number: Fraction, param: Param) -> Json:
    if param.kind is ParamKind.INT:
        if number.denominator != 1:
            raise ValueError(f"{float(number):g} is not a whole number")
        return int(number)
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError("this is out of bounds") from error


class SeedEditor(NumberEditor):
    """A 64-bit seed: exact, typed or thrown by dice, kept by the lock, and the last one used brought back."""

    lock_changed = Signal(bool)

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self._last_used: int | None = None
        self.dice = _button("dice", self.tr("New random seed"), theme, self)
        self.dice.clicked.connect(self.throw)
        self.recall = _button("recall", self.tr("Last used seed"), theme, self)
        self.recall.clicked.connect(self._recall)
        self.recall.setEnabled(False)
        self.lock = _button("lock", "", theme, self)
        self.lock.setCheckable(True)
        self.lock.toggled.connect(self._lock_toggled)
        for button in (self.dice, self.recall, self.lock):
            self._row.addWidget(button)
        self.set_locked(False)
        self.edited.connect(self._show_recall)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.dice.setIcon(icon("dice", theme))
        self.recall.setIcon(icon("recall", theme))
        self._show_lock()

    @property
    def is_locked(self) -> bool:
        """Whether the seed is kept: neither dice nor typing change it."""
        return self.lock.isChecked()

    def set_locked(self, is_locked: bool) -> None:
        """Keep the seed, or let it go."""
        with QSignalBlocker(self.lock):
            self.lock.setChecked(is_locked)
        self._show_lock()

    def set_last_used(self, seed: int | None) -> None:
        """Say which seed the button brings back; None: there is none."""
        self._last_used = seed
        self._show_recall()

    def set_value(self, value: Json, *, is_mixed: bool = False) -> None:
        """Show a value without saying that it was edited."""
        super().set_value(value, is_mixed=is_mixed)
        self._show_recall()

    def throw(self) -> None:
        """Take a new random seed, from the system's source."""
        before = self._value
        if self._offer_alone(secrets.randbits(64)) and isinstance(before, int):
            self.set_last_used(before)

    def _recall(self) -> None:
        before, seed = self._value, self._last_used
        # what is left is brought back by the next press
        if self._offer_alone(seed) and isinstance(before, int):
            self.set_last_used(before)

    def _lock_toggled(self, is_locked: bool) -> None:
        self._show_lock()
        self.lock_changed.emit(is_locked)

    def _show_lock(self) -> None:
        is_locked = self.is_locked
        self.lock.setIcon(icon("lock" if is_locked else "unlock", self._theme))
        text = self.tr("Seed is kept; press to let it change")
        if not is_locked:
            text = self.tr("Keep this seed")
        self.lock.setToolTip(text)
        self.lock.setAccessibleName(text)
        self.field.setEnabled(not is_locked)
        self.dice.setEnabled(not is_locked)
        self._show_recall()

    def _show_recall(self) -> None:
        seed = self._last_used
        self.recall.setEnabled(seed is not None and seed != self._value and not self.is_locked)
        if seed is not None:
            self.recall.setToolTip(self.tr("Last used seed: {0}").format(seed))


# --- words


class BoolEditor(Editor):
    """A check box, half checked where values differ."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.box = QCheckBox(self)
        self.box.clicked.connect(self._clicked)
        self.box.installEventFilter(self)
        self._take(self.box)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Reset on Backspace."""
        return _resets(self, event) or super().eventFilter(watched, event)

    def _clicked(self, is_checked: bool) -> None:
        self.box.setTristate(False)
        self._offer_alone(self.box.isChecked() or is_checked)
        self._show()

    def _show(self) -> None:
        self.box.setTristate(self._is_mixed)
        if self._is_mixed:
            self.box.setCheckState(Qt.CheckState.PartiallyChecked)
        else:
            self.box.setChecked(self._value is True)
        self.box.setText(
            self.tr("mixed")
            if self._is_mixed
            else self.tr("on")
            if self._value is True
            else self.tr("off")
        )


def _resets(editor: Editor, event: QEvent) -> bool:
    """Whether an event was Backspace over a widget that has no text; the editor then asks to be reset."""
    if not isinstance(event, QKeyEvent) or event.key() != Qt.Key.Key_Backspace:
        return False
    if event.modifiers():
        return False
    if event.type() == QEvent.Type.ShortcutOverride:
        event.accept()
        return True
    if event.type() == QEvent.Type.KeyPress:
        editor.reset_requested.emit()
        return True
    return False


class _Combo(QComboBox):
    """A combo box that the wheel only turns while it has the focus, so that scrolling past changes nothing."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn only with the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ChoiceEditor(Editor):
    """One of a few words."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.box = _Combo(self)
        assert isinstance(param.hint, Choice)
        for word in param.hint.values:
            self.box.addItem(word)
        self.box.activated.connect(self._activated)
        self.box.installEventFilter(self)
        self._take(self.box)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Reset on Backspace."""
        return _resets(self, event) or super().eventFilter(watched, event)

    def _activated(self, index: int) -> None:
        self._offer_alone(self.box.itemText(index))

    def _show(self) -> None:
        self.box.setPlaceholderText(self.tr("mixed") if self._is_mixed else shown(self._value))
        index = -1 if self._is_mixed else self.box.findText(shown(self._value))
        self.box.setCurrentIndex(index)


class TextEditor(Editor):
    """A line of text, taken on Enter or when the field is left."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.line = Line(self)
        self.line.editingFinished.connect(self._finished)
        self._take(self.line)
        self._show()

    def _finished(self) -> None:
        if not self.line.isModified():
            return
        self.line.setModified(False)
        if not self._offer_alone(self.read(self.line.text())):
            return
        self._show()

    def read(self, text: str) -> Json:
        """The value that a text stands for; what it cannot be is left to the parameter's check."""
        return text

    def write(self, value: Json) -> str:
        """The text that stands for a value."""
        return shown(value)

    def _show(self) -> None:
        text = "" if self._is_mixed else self.write(self._value)
        self.line.setPlaceholderText(self.tr("mixed") if self._is_mixed else "")
        if self.line.text() != text:
            self.line.setText(text)
            self.line.setCursorPosition(0)


class NumbersEditor(TextEditor):
    """A list of numbers, separated by commas or spaces; each may be arithmetic."""

    def read(self, text: str) -> Json:
        """The numbers; what is no number stays text, which the parameter refuses by its place."""
        found: list[Json] = []
        for part in re.split(r"[,;\s]+", text.strip(" \t[]")):
            if not part:
                continue
            try:
                found.append(float(evaluate(part)))
            except (ValueError, OverflowError):
                found.append(part)
        return found

    def write(self, value: Json) -> str:
        """The numbers, separated by commas."""
        if not isinstance(value, list):
            return shown(value)
        return ", ".join(shown(number) for number in value)


class JsonEditor(TextEditor):
    """A list of a form that nothing is known of, as JSON."""

    def read(self, text: str) -> Json:
        """The list; text that is not JSON stays text, which the parameter refuses."""
        try:
            return cast("Json", json.loads(text))
        except ValueError:
            return text

    def write(self, value: Json) -> str:
        """The list as JSON."""
        return json.dumps(value, ensure_ascii=False)


class ColorEditor(TextEditor):
    """A colour as ``#rrggbb``, typed or picked."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        self.swatch: QToolButton | None = None
        super().__init__(param, theme, parent)
        self.swatch = _button("search", self.tr("Pick a colour"), theme, self)
        self.swatch.clicked.connect(self._pick)
        self._row.addWidget(self.swatch)
        self._show()

    def _pick(self) -> None:
        start = QColor(shown(self._value))
        picked = QColorDialog.getColor(start, self, self.tr("Pick a colour"))
        if picked.isValid():
            self._offer_alone(picked.name())
            self._show()

    def _show(self) -> None:
        super()._show()
        if self.swatch is None:
            return
        pixmap = QPixmap(16, 16)
        color = QColor(shown(self._value))
        pixmap.fill(color if color.isValid() else Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setPen(self._theme.text_dim)
        painter.drawRect(0, 0, 15, 15)
        painter.end()
        self.swatch.setIcon(QIcon(pixmap))


class PromptField(QPlainTextEdit):
    """Lines of text, as tall as they need; Ctrl+Up and Ctrl+Down weigh the selected words."""

    weighed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def _fit(self) -> None:
        lines = min(max(int(self.document().size().height()), 3), 12)
        margins = self.contentsMargins()
        height = lines * self.fontMetrics().lineSpacing() + round(
            2 * self.document().documentMargin()
        )
        height += margins.top() + margins.bottom() + 4
        if height != self.height() or height != self.maximumHeight():
            self.setFixedHeight(height)

    def changeEvent(self, event: QEvent) -> None:
        """Fit a new font."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the lines as they wrap now."""
        super().resizeEvent(event)
        self._fit()

    def event(self, event: QEvent) -> bool:
        """Claim Ctrl+Up and Ctrl+Down, and leave the keys of undo to the window."""
        if isinstance(event, QKeyEvent):
            if event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress) and is_undo(
                event
            ):
                event.ignore()
                return False
            if event.type() == QEvent.Type.ShortcutOverride and _weight_steps(event):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Weigh words."""
        steps = _weight_steps(event)
        if steps:
            self.weighed.emit(steps)
        else:
            super().keyPressEvent(event)


def _weight_steps(event: QKeyEvent) -> int:
    modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    if modifiers != Qt.KeyboardModifier.ControlModifier:
        return 0
    return {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(Qt.Key(event.key()), 0)


class PromptEditor(Editor):
    """Text of several lines, taken as it is typed; a burst of typing is one step of undo."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.field = PromptField(self)
        self.field.textChanged.connect(self._text_changed)
        self.field.weighed.connect(self._weigh)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_BURST_MS)
        self._take(self.field)
        self._show()

    def _text_changed(self) -> None:
        if not self._pause.isActive():
            self.begin_gesture()
        self._pause.start()
        self.offer(self.field.toPlainText())

    def _weigh(self, steps: int) -> None:
        cursor = self.field.textCursor()
        text = self.field.toPlainText()
        # Qt counts UTF-16 units, Python characters
        start, end = (
            len(_head(text, at)) for at in (cursor.selectionStart(), cursor.selectionEnd())
        )
        changed = reweighted(text, start, end, steps)
        if changed.text == text:
            return
        self._pause.stop()
        with QSignalBlocker(self.field):
            self.field.setPlainText(changed.text)
        cursor = self.field.textCursor()
        cursor.setPosition(_units(changed.text[: changed.start]))
        cursor.setPosition(_units(changed.text[: changed.end]), QTextCursor.MoveMode.KeepAnchor)
        self.field.setTextCursor(cursor)
        self._offer_alone(changed.text)

    def _show(self) -> None:
        text = "" if self._is_mixed else shown(self._value)
        self.field.setPlaceholderText(self.tr("mixed") if self._is_mixed else "")
        if self.field.toPlainText() != text:
            self._pause.stop()
            with QSignalBlocker(self.field):
                self.field.setPlainText(text)


def _head(text: str, units: int) -> str:
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


# --- files and models


class FileEditor(TextEditor):
    """A path: typed, browsed for or dropped; inside the workflow's folder it is kept relative to it."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self._folder: Path | None = None
        self.line.setAcceptDrops(False)
        self.setAcceptDrops(True)
        self.browse = _button("open", self.tr("Browse for a file"), theme, self)
        self.browse.clicked.connect(self._browse)
        self._row.addWidget(self.browse)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.browse.setIcon(icon("open", theme))

    def set_folder(self, folder: Path | None) -> None:
        """Say where the workflow lies."""
        self._folder = folder

    @property
    def _endings(self) -> tuple[str, ...]:
        return self.param.hint.endings if isinstance(self.param.hint, File) else ()

    def choose(self, path: Path) -> bool:
        """Take a file, if it is of a kind that the parameter reads."""
        if self._endings and path.suffix.lower() not in self._endings:
            what = self.tr("{0} is none of {1}").format(path.name, " ".join(self._endings))
            self.refused.emit(what)
            return False
        if self._folder is not None and path.is_relative_to(self._folder):
            path = path.relative_to(self._folder)
        is_taken = self._offer_alone(path.as_posix())
        self._show()
        return is_taken

    def _browse(self) -> None:
        known = " ".join(f"*{ending}" for ending in self._endings)
        kinds = self.tr("Files ({0})").format(known) if known else ""
        present = Path(self._folder or Path.cwd()) / shown(self._value)
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Choose a file"), str(present), kinds)
        if path:
            self.choose(Path(path))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept one local file."""
        if _dropped(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the file."""
        path = _dropped(event.mimeData().urls())
        if path and self.choose(path):
            event.acceptProposedAction()


def _dropped(urls: Sequence[QUrl]) -> Path | None:
    return Path(urls[0].toLocalFile()) if len(urls) == 1 and urls[0].isLocalFile() else None


class ModelEditor(Editor):
    """The name of a model: picked from those on disk, or typed."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.box = _Combo(self)
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.setLineEdit(Line(self.box))
        completer = QCompleter(self.box.model(), self.box)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.box.setCompleter(completer)
        self.box.activated.connect(self._activated)
        line = self.box.lineEdit()
        assert line is not None  # it was just set
        line.editingFinished.connect(self._finished)
        self._take(self.box)
        self._show()

    def set_models(self, names: Sequence[str]) -> None:
        """Say which models there are."""
        with QSignalBlocker(self.box):
            self.box.clear()
            self.box.addItems(list(names))
        self._show()

    def _activated(self, index: int) -> None:
        self._offer_alone(self.box.itemText(index))

    def _finished(self) -> None:
        if self.box.currentText() != self._text():
            self._offer_alone(self.box.currentText())

    def _text(self) -> str:
        return "" if self._is_mixed else shown(self._value)

    def _show(self) -> None:
        line = self.box.lineEdit()
        assert line is not None  # set in the constructor
        line.setPlaceholderText(self.tr("mixed") if self._is_mixed else self.tr("name of a model"))
        with QSignalBlocker(self.box):
            self.box.setCurrentIndex(self.box.findText(self._text()))
            self.box.setEditText(self._text())


# --- lists


class CurveEditor(Editor):
    """A curve over the run: points to drag, and the same points as text."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        assert isinstance(param.hint, Points)
        self.plot = CurvePlot(param.hint.low, param.hint.high, theme, self)
        self.plot.began.connect(self.begin_gesture)
        self.plot.changed.connect(self._plotted)
        self.plot.reset_requested.connect(self.reset_requested)
        self.line = Line(self)
        self.line.setAccessibleName(self.tr("Points of the curve as text"))
        self.line.editingFinished.connect(self._typed)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(self.plot)
        column.addWidget(self.line)
        self._row.addLayout(column)
        self.setFocusProxy(self.plot)
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.plot.set_theme(theme)

    def set_smooth(self, is_smooth: bool) -> None:
        """Draw lines from point to point, or steps."""
        self.plot.set_smooth(is_smooth)

    def _plotted(self, points: object) -> None:
        if self.offer(cast("Json", points)):
            self._show_line()

    def _typed(self) -> None:
        if not self.line.isModified():
            return
        self.line.setModified(False)
        if self._offer_alone(read_points(self.line.text())):
            self._show()

    def _show(self) -> None:
        points = self._value if isinstance(self._value, list) else []
        pairs = [
            (float(point[0]), float(point[1]))
            for point in points
            if isinstance(point, list)
            and len(point) == 2
            and isinstance(point[0], int | float)
            and isinstance(point[1], int | float)
        ]
        self.plot.set_points([] if self._is_mixed else pairs)
        self._show_line()

    def _show_line(self) -> None:
        self.line.setPlaceholderText(self.tr("mixed") if self._is_mixed else "")
        text = "" if self._is_mixed else written_points(self._value)
        if self.line.text() != text:
            self.line.setText(text)


def written_points(value: Json) -> str:
    """A curve as it is typed: ``0: 7.5, 1: 3``."""
    pairs = value if isinstance(value, list) else []
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return shown(value)
    return ", ".join(
        f"{shown(cast('list[Json]', pair)[0])}: {shown(cast('list[Json]', pair)[1])}"
        for pair in pairs
    )


def read_points(text: str) -> Json:
    """A typed curve; what is malformed is left in a form that the parameter refuses by its place."""
    found: list[Json] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        share, _, height = part.partition(":")
        try:
            found.append([float(evaluate(share)), float(evaluate(height))])
        except (ValueError, OverflowError):
            found.append(part)
    return found


class StrokesEditor(Editor):
    """Painted strokes: how many there are; they are painted in the mask editor."""

    painting_requested = Signal()

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.paint_button = QPushButton(icon("brush", theme), self.tr("Edit in mask editor"), self)
        self.paint_button.clicked.connect(self.painting_requested)
        self.clear_button = _button("delete", self.tr("Remove all strokes"), theme, self)
        self.clear_button.clicked.connect(self._clear)
        self.summary = QLabel(self)
        self._take(self.paint_button, self.summary, self.clear_button)
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.paint_button.setIcon(icon("brush", theme))
        self.clear_button.setIcon(icon("delete", theme))

    def _clear(self) -> None:
        self._offer_alone([])
        self._show()

    def _show(self) -> None:
        count = len(self._value) if isinstance(self._value, list) else 0
        text = self.tr("mixed") if self._is_mixed else self.tr("{0} strokes").format(count)
        if not self._is_mixed and count == 1:
            text = self.tr("1 stroke")
        self.summary.setText(text)
        self.clear_button.setEnabled(bool(count) or self._is_mixed)


# --- null


class NullableEditor(Editor):
    """A parameter that may be left to the node: a check box, and the editor of the value while it is checked."""

    def __init__(self, inner: Editor, parent: QWidget | None = None) -> None:
        super().__init__(inner.param, inner._theme, parent)
        self.inner = inner
        inner.setParent(self)
        self.box = QCheckBox(self)
        self.box.setToolTip(self.tr("Set a value; otherwise the node decides"))
        self.box.clicked.connect(self._toggled)
        self.box.installEventFilter(self)
        inner.edited.connect(self._inner_edited)
        inner.refused.connect(self.refused)
        inner.reset_requested.connect(self.reset_requested)
        self._kept = _first_value(inner.param)
        self._row.addWidget(self.box)
        self._row.addWidget(inner, 1)
        self.setFocusProxy(self.box)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Reset on Backspace."""
        return _resets(self, event) or super().eventFilter(watched, event)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.inner.set_theme(theme)

    def _toggled(self, is_checked: bool) -> None:
        self._offer_alone(self._kept if is_checked else None)
        self._show()

    def _inner_edited(self, value: Json, gesture: int) -> None:
        self._value, self._is_mixed = value, False
        self._kept = value
        self.edited.emit(value, gesture)

    def _show(self) -> None:
        is_set = self._value is not None
        if is_set:
            self._kept = self._value
        self.box.setChecked(is_set)
        self.inner.setEnabled(is_set or self._is_mixed)
        self.inner.set_value(self._value, is_mixed=self._is_mixed)


def _first_value(param: Param) -> Json:
    """The value that a parameter without one starts from: 1, or the nearest that is admitted."""
    number: float = 1
    if isinstance(param.hint, Range):
        number = min(max(number, param.hint.low), param.hint.high)
        if param.hint.step and param.kind is ParamKind.INT and number % param.hint.step:
            number = param.hint.low
    by_kind: dict[ParamKind, Json] = {
        ParamKind.BOOL: True,
        ParamKind.INT: int(number),
        ParamKind.FLOAT: float(number),
        ParamKind.TEXT: param.hint.values[0] if isinstance(param.hint, Choice) else "",
        ParamKind.LIST: [],
    }
    return by_kind[param.kind]


# --- choosing one

Maker = Callable[[Param, Theme], Editor]


def editor_for(param: Param, theme: Theme) -> Editor:
    """The editor that suits a parameter, by its kind and hint."""
    made = _maker(param)(param, theme)
    return NullableEditor(made) if param.nullable else made


def _maker(param: Param) -> Maker:
    hint = param.hint
    by_hint: tuple[tuple[type, Maker], ...] = (
        (Seed, SeedEditor),
        (Choice, ChoiceEditor),
        (Multiline, PromptEditor),
        (File, FileEditor),
        (ModelName, ModelEditor),
        (Points, CurveEditor),
        (Strokes, StrokesEditor),
    )
    for kind, maker in by_hint:
        if isinstance(hint, kind):
            return maker
    return _by_kind(param)


def _by_kind(param: Param) -> Maker:
    if param.kind is ParamKind.BOOL:
        return BoolEditor
    if param.kind in (ParamKind.INT, ParamKind.FLOAT):
        return NumberEditor
    if param.kind is ParamKind.TEXT:
        is_color = isinstance(param.default, str) and _COLOR.match(param.default)
        return ColorEditor if is_color else TextEditor
    return NumbersEditor if isinstance(param.hint, Numbers) else JsonEditor
