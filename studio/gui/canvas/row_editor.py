"""The one real editor of the canvas: a field that stands over the text that is being edited."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QWidget

from studio.arithmetic import evaluate
from studio.errors import FileError
from studio.graph import Json, Param, ParamKind
from studio.gui.canvas.layout import shown
from studio.workflow import parse

Accept = Callable[[str], str | None]
"""Takes the text; returns why it does not fit, or None."""


def parsed(param: Param, text: str) -> Json:
    """A parameter's value from what was typed: arithmetic for numbers, JSON for lists, nothing for null.

    Raises ValueError with a message for people.
    """
    text_or_number = text.strip()
    if param.nullable and text_or_number.lower() in ("", "none", "null"):
        return param.check(None)
    if param.kind is ParamKind.TEXT:
        return param.check(text)
    if param.kind is ParamKind.INT:
        number = evaluate(text_or_number)
        if number.denominator != 1:
            raise ValueError(f"{text_or_number} is not a whole number")
        return param.check(int(number))
    if param.kind is ParamKind.FLOAT:
        try:
            return param.check(float(evaluate(text_or_number)))
        except OverflowError as error:
            raise ValueError(f"{text_or_number} is too large") from error
    if param.kind is ParamKind.BOOL:
        words = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
        if text_or_number.lower() not in words:
            raise ValueError(f"{text_or_number} is neither on nor off")
        return words[text_or_number.lower()]
    try:
        return param.check(parse(text_or_number))
    except FileError as error:
        raise ValueError(str(error)) from error


def typed(param: Param, value: Json) -> str:
    """A value as it stands in the editor; ``parsed`` gives it back."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return shown(param, value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, list):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)


class RowEditor(QObject):
    """Puts a field over a place of the viewport; Enter and leaving accept, Escape does not, Tab goes on."""

    went_on = Signal(int)
    """Accepted by Tab (1) or Shift+Tab (-1): the next field, or the one before, is wanted."""

    def __init__(self, viewport: QWidget) -> None:
        super().__init__(viewport)
        self._viewport = viewport
        self._accept: Accept | None = None
        self._refused: Callable[[str], None] | None = None
        self.widget: QLineEdit | QPlainTextEdit | None = None
        """The field while there is one."""

    def open(
        self,
        place: QRect,
        text: str,
        name: str,
        accept: Accept,
        refused: Callable[[str], None],
        *,
        is_multiline: bool,
        pixels: int,
    ) -> None:
        """Edit ``text`` at a place; ``name`` is what a screen reader says, ``pixels`` the size of the letters."""
        self.finish()
        widget: QLineEdit | QPlainTextEdit
        if is_multiline:
            widget = QPlainTextEdit(text, self._viewport)
            widget.selectAll()
        else:
            widget = QLineEdit(text, self._viewport)
            widget.selectAll()
        font = widget.font()
        font.setPixelSize(max(pixels, 9))
        widget.setFont(font)
        widget.setAccessibleName(name)
        widget.setGeometry(place)
        widget.installEventFilter(self)
        widget.show()
        widget.setFocus(Qt.FocusReason.MouseFocusReason)
        self.widget = widget
        self._accept, self._refused = accept, refused

    def finish(self) -> None:
        """Accept what was typed and close; text that does not fit is given up."""
        widget, accept = self.widget, self._accept
        if widget is None or accept is None:
            return
        text = widget.toPlainText() if isinstance(widget, QPlainTextEdit) else widget.text()
        self.close()
        problem = accept(text)
        if problem and self._refused:
            self._refused(problem)

    def close(self) -> None:
        """Close without accepting."""
        widget, self.widget = self.widget, None
        if widget is not None:
            self._accept = None
            widget.removeEventFilter(self)
            had_focus = widget.hasFocus()
            widget.hide()
            widget.deleteLater()
            if had_focus:
                self._viewport.setFocus(Qt.FocusReason.OtherFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the keys that accept or give up, and notice where the focus goes elsewhere."""
        if watched is not self.widget:
            return super().eventFilter(watched, event)
        if event.type() == QEvent.Type.FocusOut:
            self.finish()
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            is_line_break = isinstance(self.widget, QPlainTextEdit) and not (
                event.modifiers() & Qt.KeyboardModifier.ControlModifier
            )
            if event.key() == Qt.Key.Key_Escape:
                self.close()
                return True
            if is_enter and not is_line_break:
                self.finish()
                return True
            if event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
                self.finish()
                self.went_on.emit(1 if event.key() == Qt.Key.Key_Tab else -1)
                return True
        return super().eventFilter(watched, event)
