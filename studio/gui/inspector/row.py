"""One parameter in the inspector: its name, editor, range and help."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from PySide6.QtGui import QContextMenuEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QGridLayout, QMenu, QToolButton, QWidget

from studio.graph import Json, Param
from studio.gui.editors import (
    CurveEditor,
    Editor,
    FileEditor,
    JsonEditor,
    NumbersEditor,
    PromptEditor,
    SeedEditor,
    StrokesEditor,
    editor_for,
    icon_size,
)
from studio.gui.inspector.words import label
from studio.gui.number_field import shown
from studio.gui.theme import Theme, icon
from studio.registry import Range, Seed

_WIDE = (
    PromptEditor,
    CurveEditor,
    StrokesEditor,
    SeedEditor,
    FileEditor,
    NumbersEditor,
    JsonEditor,
)
"""Editors that stand below their name, not beside it."""
_MARK_PX = 3


class ParamRow(QWidget):
    """One parameter: its name, editor, range and help; marked and with a way back where it is not the default."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.param = param
        self.editor: Editor = editor_for(param, theme)
        self._theme = theme
        self._is_changed = False
        words = param.name.replace("_", " ")
        self.name = label(words)
        self.name.setBuddy(self.editor)
        self.reset = QToolButton(self)
        self.reset.setIcon(icon("reset", theme))
        self.reset.setAutoRaise(True)
        self.reset.setIconSize(icon_size(self))
        tip = self.tr("Reset {0} to {1}").format(words, _default_words(param))
        self.reset.setToolTip(tip)
        self.reset.setAccessibleName(tip)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        self.note = label(_note(param), "dim", is_wrapped=True)
        self.note.setVisible(bool(self.note.text()))
        self.error = label("", "error", is_wrapped=True)
        self.error.setVisible(False)
        self._describe()
        self._lay_out(isinstance(self.editor, _WIDE))

    def _describe(self) -> None:
        words = self.param.name.replace("_", " ")
        tip = "\n".join(
            filter(None, (f"{self.param.name}", self.param.help, _note_range(self.param)))
        )
        self.name.setToolTip(tip)
        self.editor.setToolTip(tip)
        widget: QWidget | None = self.editor
        while widget is not None:
            widget.setAccessibleName(words)
            widget.setAccessibleDescription(_note(self.param))
            widget = widget.focusProxy()

    def _lay_out(self, is_wide: bool) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 4, 6, 4)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 3)
        grid.addWidget(self.name, 0, 0, 1, 2 if is_wide else 1)
        if is_wide:
            grid.addWidget(self.editor, 1, 0, 1, 3)
        else:
            grid.addWidget(self.editor, 0, 1)
        grid.addWidget(self.reset, 0, 2)
        grid.addWidget(self.note, 2, 0, 1, 3)
        grid.addWidget(self.error, 3, 0, 1, 3)

    def show_values(self, values: Sequence[Json]) -> None:
        """Show the values that the nodes have: one, or that they differ."""
        is_mixed = any(not _is_same(value, values[0]) for value in values)
        self.editor.set_value(values[0], is_mixed=is_mixed)
        self._is_changed = any(not _is_same(value, self.param.default) for value in values)
        self.reset.setVisible(self._is_changed)
        self.name.setAccessibleDescription(self.tr("changed") if self._is_changed else "")
        problem = ""
        for value in values:
            try:
                self.param.check(value)
            except ValueError as error:
                problem = str(error)
        self.show_error(problem)
        self.update()

    @property
    def is_changed(self) -> bool:
        """Whether any of the nodes has another value than the default."""
        return self._is_changed

    def show_error(self, what: str) -> None:
        """Say why a value does not fit; "" says that all is well."""
        self.error.setText(what)
        self.error.setVisible(bool(what))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the mark of a changed value."""
        if self._is_changed:
            painter = QPainter(self)
            painter.fillRect(2, 4, _MARK_PX, self.height() - 8, self._theme.accent)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer to reset, copy and paste the value."""
        menu = QMenu(self)
        reset = menu.addAction(self.reset.icon(), self.tr("Reset to default"))
        reset.setEnabled(self._is_changed)
        reset.triggered.connect(self.editor.reset_requested)
        menu.addAction(self.tr("Copy value")).triggered.connect(self.copy_value)
        menu.addAction(self.tr("Paste value")).triggered.connect(self.paste_value)
        menu.exec(event.globalPos())

    def copy_value(self) -> None:
        """Put the value on the clipboard: text as it is, anything else as JSON."""
        QApplication.clipboard().setText(shown(self.editor.value()))

    def paste_value(self) -> None:
        """Take the value on the clipboard, if it fits."""
        text = QApplication.clipboard().text()
        value: Json = text
        if self.param.kind.value != "text":
            try:
                value = cast("Json", json.loads(text))
            except ValueError:
                value = text
        self.editor.begin_gesture()
        if self.editor.offer(value):
            self.editor.set_value(self.editor.value())


def _is_same(one: Json, other: Json) -> bool:
    # by repr: it tells 1 from 1.0 and from true, inside lists too
    return one is other or repr(one) == repr(other)


def _default_words(param: Param) -> str:
    text = shown(param.default)
    if param.default is None:
        return "none"
    return text if len(text) <= 40 else text[:39] + "…"


def _note_range(param: Param) -> str:
    hint = param.hint
    if not isinstance(hint, Range):
        return ""
    text = "64 bit" if isinstance(hint, Seed) else hint.describe()
    if hint.step and param.kind.value == "int" and hint.step > 1:
        text += f", multiples of {int(hint.step)}"
    return text


def _note(param: Param) -> str:
    help_text = (param.help[:1].upper() + param.help[1:]).replace("`", "")
    return " · ".join(filter(None, (_note_range(param), help_text)))
