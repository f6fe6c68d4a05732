"""A field for one number: dragged, stepped by keys or typed, never clamped without a word."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import cast

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from studio.graph import Json, Param, ParamKind
from studio.gui.theme import Theme
from studio.registry import Range, Seed

_DRAG_PX = 3
_STEP_PX = 2
"""Pixels of a drag per step."""


def is_undo(event: QKeyEvent) -> bool:
    """Whether a key undoes or redoes."""
    return event.matches(QKeySequence.StandardKey.Undo) or event.matches(
        QKeySequence.StandardKey.Redo
    )


class Line(QLineEdit):
    """A line of text that leaves undo to the document: there is one history, not one per field."""

    def event(self, event: QEvent) -> bool:
        """Leave the keys of undo to the window."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress)
            and is_undo(event)
        ):
            event.ignore()
            return False
        return super().event(event)


def shown(value: Json) -> str:
    """A value in a field: floats in their shortest form, whole ones without the point; None as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{int(value)}" if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def step_of(param: Param) -> Decimal:
    """By how much one step of a drag or of an arrow key changes a number."""
    hint = param.hint
    if isinstance(hint, Range) and hint.step:
        return (
            Decimal(repr(hint.step)) if param.kind is ParamKind.FLOAT else Decimal(int(hint.step))
        )
    if param.kind is ParamKind.INT:
        return Decimal(1)
    exponents = [-1]
    if isinstance(hint, Range) and hint.high > hint.low:
        exponents.append(math.floor(math.log10((hint.high - hint.low) / 100)))
    if isinstance(param.default, float) and param.default:
        exponents.append(math.floor(math.log10(abs(param.default))) - 1)
    return Decimal(1).scaleb(min(exponents))


class NumberField(Line):
    """A number to drag, step or type.

    A drag scrubs (Shift finer, Ctrl coarser), and so do the arrow keys; double-click, Enter or a digit begin typing,
    where arithmetic is understood; Escape takes back. A drag stops at the ends of the range; typing beyond them is
    refused.
    """

    stepped = Signal(object)
    """A value by drag or arrow keys."""
    typed = Signal(str)
    began = Signal()
    """A gesture begins."""
    reset_requested = Signal()
    abandoned = Signal()
    """Typing ended without a value."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._param = param
        self._theme = theme
        self._step = step_of(param)
        self._value: Json = param.default
        self._is_mixed = False
        self._press: tuple[float, Json] | None = None
        self._moved = 0.0
        self._last_x = 0.0
        self._is_scrubbing = False
        self._is_bad = False
        self._hint = param.hint if isinstance(param.hint, Range) else None
        self._rest()

    # --- what is shown

    @property
    def is_typing(self) -> bool:
        """Whether the text is being edited."""
        return not self.isReadOnly()

    def show_value(self, value: Json, *, is_mixed: bool) -> None:
        """Show a value; while typing, the typed text stays."""
        self._value, self._is_mixed = value, is_mixed
        if not self.is_typing:
            self._rest()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self.update()

    def set_bad(self, is_bad: bool) -> None:
        """Mark the typed text as refused."""
        self._is_bad = is_bad
        palette = self.palette()
        palette.setColor(palette.ColorRole.Text, self._theme.error if is_bad else self._theme.text)
        self.setPalette(palette)

    def _rest(self) -> None:
        self.setReadOnly(True)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setText(self.tr("mixed") if self._is_mixed else shown(self._value))
        self.setCursorPosition(0)
        self.deselect()
        self._set_margin(self._hint.unit if self._hint else "")
        self.set_bad(False)

    def begin_typing(self, text: str | None = None) -> None:
        """Let the number be typed, over the present one or beginning with ``text``."""
        if not self.isEnabled():
            return
        self.setReadOnly(False)
        self.setCursor(Qt.CursorShape.IBeamCursor)
        self._set_margin("")
        self.setText(shown(self._value) if text is None else text)
        if text is None:
            self.selectAll()
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def end_typing(self) -> None:
        """Show the value again."""
        self._rest()

    def _set_margin(self, unit: str) -> None:
        width = self.fontMetrics().horizontalAdvance(unit) + 8 if unit else 0
        self.setTextMargins(0, 0, width, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the field, the unit, and under both how far along the range the value is."""
        super().paintEvent(event)
        if self.is_typing:
            return
        painter = QPainter(self)
        inside = self.rect().adjusted(2, 2, -2, -2)
        share = self._share()
        if share is not None:
            bar = QRectF(inside.left(), inside.bottom() - 1, inside.width() * share, 2)
            painter.fillRect(bar, self._theme.accent if self.isEnabled() else self._theme.border)
        if self._hint is not None:
            painter.setPen(self._theme.text_dim)
            painter.drawText(
                inside.adjusted(0, 0, -6, 0),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                self._hint.unit if self._is_mixed else self._hint.unit_of(self._value),
            )

    def _share(self) -> float | None:
        hint, value = self._param.hint, self._value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(hint, Range) or isinstance(hint, Seed) or self._is_mixed or not is_number:
            return None
        if not hint.low < hint.high:
            return None
        share = (cast("float", value) - hint.low) / (hint.high - hint.low)
        return min(max(share, 0.0), 1.0)

    # --- stepping

    def _stepped(self, start: Json, steps: float) -> Json:
        """``start`` and so many steps, exactly as decimals, within the range."""
        is_int = self._param.kind is ParamKind.INT
        is_fine = steps != int(steps) and not is_int
        quantum = self._step / 10 if is_fine else self._step
        count = int(steps * 10 if is_fine else steps)
        number = Decimal(repr(start if isinstance(start, int | float) else 0)) + count * quantum
        hint = self._param.hint
        if isinstance(hint, Range):
            number = min(max(number, Decimal(repr(hint.low))), Decimal(repr(hint.high)))
            if is_int and hint.step and number % int(hint.step):
                number -= number % int(hint.step)
                number += int(hint.step) if number < Decimal(repr(hint.low)) else 0
        return int(number) if is_int else float(number)

    def _factor(self, modifiers: Qt.KeyboardModifier) -> float:
        if modifiers & Qt.KeyboardModifier.ShiftModifier:
            return 0.1
        return 10.0 if modifiers & Qt.KeyboardModifier.ControlModifier else 1.0

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the number."""
        if self.is_typing or event.button() != Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)
            return
        self._press = (event.position().x(), self._value)
        self._last_x, self._moved, self._is_scrubbing = event.position().x(), 0.0, False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scrub."""
        if self._press is None:
            super().mouseMoveEvent(event)
            return
        x = event.position().x()
        if not self._is_scrubbing:
            if abs(x - self._press[0]) < _DRAG_PX:
                return
            self._is_scrubbing = True
            self._last_x = x
            self.began.emit()
            return
        self._moved += (x - self._last_x) / _STEP_PX * self._factor(event.modifiers())
        self._last_x = x
        # rounded to tenths of a step, so that a fine drag and its way back meet
        steps = round(self._moved * 10) / 10 if self._is_fine(event) else round(self._moved)
        self.stepped.emit(self._stepped(self._press[1], steps))

    def _is_fine(self, event: QMouseEvent) -> bool:
        return bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        if self._press is None:
            super().mouseReleaseEvent(event)
            return
        self._press, self._is_scrubbing = None, False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Begin typing."""
        if self.is_typing:
            super().mouseDoubleClickEvent(event)
            return
        self._press = None
        self.begin_typing()

    # --- keys

    def event(self, event: QEvent) -> bool:
        """Claim the field's keys before the window's shortcuts."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and (self._is_own(event) or self._press is not None)
        ):
            event.accept()
            return True
        return super().event(event)

    def _is_own(self, event: QKeyEvent) -> bool:
        if _is_enter(event):
            return True
        if self.is_typing:
            return event.key() == Qt.Key.Key_Escape
        return (
            _is_step(event)
            or (event.key() == Qt.Key.Key_Backspace and not event.modifiers())
            or event.matches(QKeySequence.StandardKey.Paste)
            or event.matches(QKeySequence.StandardKey.Copy)
            or _begins_number(event)
        )

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Step, type, reset, copy and paste; while typing: take (Enter) or leave (Escape)."""
        if self.is_typing:
            self._key_while_typing(event)
            return
        key = event.key()
        if key == Qt.Key.Key_Escape and self._press is not None:
            start = self._press[1]
            self._press, self._is_scrubbing = None, False
            self.stepped.emit(start)
        elif _is_step(event):
            self._step_by_key(event)
        elif key == Qt.Key.Key_Backspace:
            self.reset_requested.emit()
        elif _is_enter(event):
            self.begin_typing()
        elif event.matches(QKeySequence.StandardKey.Copy):
            QApplication.clipboard().setText(shown(self._value))
        elif event.matches(QKeySequence.StandardKey.Paste):
            self.typed.emit(QApplication.clipboard().text())
        elif _begins_number(event):
            self.begin_typing(event.text())
        else:
            event.ignore()

    def _key_while_typing(self, event: QKeyEvent) -> None:
        if _is_enter(event):
            self.typed.emit(self.text())
        elif event.key() == Qt.Key.Key_Escape:
            self.end_typing()
            self.abandoned.emit()
        else:
            super().keyPressEvent(event)

    def _step_by_key(self, event: QKeyEvent) -> None:
        if not event.isAutoRepeat():
            self.began.emit()
        factor = self._factor(event.modifiers())
        if self._param.kind is ParamKind.INT:
            factor = max(factor, 1.0)
        sign = 1 if event.key() == Qt.Key.Key_Up else -1
        self.stepped.emit(self._stepped(self._value, sign * factor))

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take what was typed."""
        super().focusOutEvent(event)
        is_menu = event.reason() == Qt.FocusReason.PopupFocusReason
        if self.is_typing and not is_menu:
            self.typed.emit(self.text())
            if self.is_typing:
                self.end_typing()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu for text only while there is text to edit; else the row's."""
        if self.is_typing:
            super().contextMenuEvent(event)
        else:
            event.ignore()


def _is_step(event: QKeyEvent) -> bool:
    # with Alt they move what the field stands in
    is_alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
    return event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and not is_alt


def _is_enter(event: QKeyEvent) -> bool:
    plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and plain


def _begins_number(event: QKeyEvent) -> bool:
    plain = event.modifiers() & ~(
        Qt.KeyboardModifier.KeypadModifier | Qt.KeyboardModifier.ShiftModifier
    )
    return not plain and bool(event.text()) and event.text() in "0123456789.-+("
