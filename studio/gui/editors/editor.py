"""What all editors of parameters have in common: a checked value, gestures, reasons for refusing.

Every editor says ``edited(value, gesture)``: edits of one gesture (a drag, a burst of typing) carry the same number and
are one step of undo. What does not fit is refused with its reason and changes nothing.
"""

from __future__ import annotations

import itertools

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from studio.graph import Json, Param
from studio.gui.theme import Theme, icon


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


def button(name: str, tip: str, theme: Theme, parent: QWidget) -> QToolButton:
    """A flat button with an icon, as high as the text of ``parent``."""
    made = QToolButton(parent)
    made.setIcon(icon(name, theme))
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.setAutoRaise(True)
    made.setIconSize(icon_size(parent))
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


def resets(editor: Editor, event: QEvent) -> bool:
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
