"""The editor of prompts: lines of text whose words can be weighed by keys."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget

from studio.graph import Param
from studio.gui.editors.editor import Editor
from studio.gui.editors.number_field import is_undo, shown
from studio.gui.editors.prompt_weights import reweighted
from studio.gui.theme import Theme

_BURST_MS = 1000
"""A pause in typing that ends a burst."""


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
        lines = min(max(int(self.document().size().height()), 2), 12)
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
