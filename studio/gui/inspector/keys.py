"""Keys that act on a whole row: copy, paste and reset the value under the focus or, with no focus there, the mouse."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit, QWidget
from shiboken6 import isValid

from studio.gui.editors.number_field import NumberField
from studio.gui.inspector.row import ParamRow


class RowKeys(QObject):
    """Watches the widget that has the focus; what is typed into text stays with the text."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._hovered: ParamRow | None = None
        self._watched: QWidget | None = None
        QApplication.instance().focusChanged.connect(self._focus_moved)  # type: ignore[union-attr]  # there is one

    def hover(self, row: ParamRow | None) -> None:
        """Tell over which row the mouse is."""
        self._hovered = row
        self._focus_moved(None, QApplication.focusWidget())

    def forget(self) -> None:
        """The rows are gone."""
        self._hovered = None

    @Slot(QWidget, QWidget)
    def _focus_moved(self, _old: QWidget | None, new: QWidget | None) -> None:
        if not self.__dict__:
            # a window that nobody refers to is taken apart: its focus goes after what its objects knew
            return
        if self._watched is not None and isValid(self._watched):
            self._watched.removeEventFilter(self)
        self._watched = None
        is_near = new is not None and (
            self._panel.isAncestorOf(new)
            or (self._hovered is not None and new.window() is self._panel.window())
        )
        if is_near and new is not None:
            self._watched = new
            new.installEventFilter(self)

    def _row(self, focus: QWidget) -> ParamRow | None:
        found: QWidget | None = focus if self._panel.isAncestorOf(focus) else None
        while found is not None and found is not self._panel:
            if isinstance(found, ParamRow):
                return found
            found = found.parentWidget()
        return self._hovered

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Act on the keys before the focus does."""
        if not isinstance(event, QKeyEvent) or not isinstance(watched, QWidget):
            return False
        if event.type() not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            return False
        if _is_text(watched):
            return False
        row = self._row(watched)
        is_reset = event.key() == Qt.Key.Key_Backspace and not event.modifiers()
        is_copy = event.matches(QKeySequence.StandardKey.Copy)
        is_paste = event.matches(QKeySequence.StandardKey.Paste)
        if row is None or not (is_reset or is_copy or is_paste):
            return False
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        if is_copy:
            row.copy_value()
        elif is_paste:
            row.paste_value()
        elif row.link is None:
            row.editor.reset_requested.emit()
        return True


def _is_text(widget: QWidget) -> bool:
    """Whether a widget reads what is typed as text, or has these keys itself."""
    if isinstance(widget, NumberField):
        return True
    return isinstance(widget, QLineEdit | QPlainTextEdit) and not widget.isReadOnly()
