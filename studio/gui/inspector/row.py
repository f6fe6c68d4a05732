"""One parameter in the inspector and in the form: its name, its editor, and marks of what is special about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from PySide6.QtCore import QEvent, QMimeData, QPointF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDrag,
    QEnterEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QApplication, QGridLayout, QHBoxLayout, QMenu, QToolButton, QWidget

from studio.graph import Json, Link, Param, ParamKind
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
from studio.gui.editors.number_field import shown
from studio.gui.inspector.ports import LinkButton, UnlinkButton
from studio.gui.inspector.words import default_words, label, note, range_words, words_of
from studio.gui.mime import MIME_PARAM
from studio.gui.theme import Theme, icon

_WIDE = (PromptEditor, CurveEditor, NumbersEditor, JsonEditor)
"""Editors that stand below their name, not beside it."""
_LONG = (SeedEditor, FileEditor, StrokesEditor)
"""Editors that take all the room that their name leaves."""
_MARK_PX = 3


class ParamRow(QWidget):
    """One parameter: its name, editor, range and help; marked and with a way back where it is not the default."""

    menu_opening = Signal(object)
    """A QMenu that is about to be shown: what the owner offers is added to it."""
    source_wanted = Signal(str)
    """The node that the parameter is linked to."""
    unlinked = Signal()
    entered = Signal(object)
    """The mouse is over the row: the row; or has left: None."""

    def __init__(
        self,
        param: Param,
        theme: Theme,
        parent: QWidget | None = None,
        *,
        title: str = "",
        address: str = "",
    ) -> None:
        """``title`` stands for the parameter's name; ``address`` is what a drag carries, "" for none."""
        super().__init__(parent)
        self.param = param
        self.address = address
        self.editor: Editor = editor_for(param, theme)
        self._theme = theme
        self._title = title or words_of(param.name)
        self._is_changed = False
        self._press: QPointF | None = None
        self.name = label(self._title)
        self.name.setBuddy(self.editor)
        self.name.setMinimumWidth(1)
        self.reset = QToolButton(self)
        self.reset.setIcon(icon("reset", theme))
        self.reset.setAutoRaise(True)
        self.reset.setIconSize(icon_size(self) * 0.85)
        tip = self.tr("Reset {0} to {1}").format(self._title, default_words(param))
        self.reset.setToolTip(tip)
        self.reset.setAccessibleName(tip)
        self.reset.clicked.connect(self.editor.reset_requested)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        self.reset.hide()
        self.note = label(note(param), "dim", is_wrapped=True)
        self.note.hide()
        self.error = label("", "error", is_wrapped=True)
        self.error.hide()
        self.link: LinkButton | None = None
        """The way to what gives the value, where it is linked."""
        self._linked = QWidget()
        self._link_line = QHBoxLayout(self._linked)
        self._link_line.setContentsMargins(0, 0, 0, 0)
        self._link_line.setSpacing(4)
        self._linked.hide()
        self._is_wide = isinstance(self.editor, _WIDE)
        self._describe()
        self._lay_out()

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(8, 1, 4, 1)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(2)
        is_long = isinstance(self.editor, _LONG)
        if is_long:
            grid.setColumnStretch(1, 1)
        else:
            grid.setColumnStretch(0, 2)
            grid.setColumnStretch(1, 3)
        grid.addWidget(self.name, 0, 0, 1, 2 if self._is_wide else 1)
        if self._is_wide:
            grid.addWidget(self.editor, 1, 0, 1, 3)
            grid.addWidget(self._linked, 1, 0, 1, 3)
        else:
            grid.addWidget(self.editor, 0, 1)
            grid.addWidget(self._linked, 0, 1)
        grid.addWidget(self.reset, 0, 2)
        grid.addWidget(self.note, 2, 0, 1, 3)
        grid.addWidget(self.error, 3, 0, 1, 3)

    def _describe(self) -> None:
        """Say in tool tips and to screen readers what it is."""
        lines = (self.param.name, self.param.help, range_words(self.param))
        tip = "\n".join(filter(None, lines))
        self.name.setToolTip(tip)
        self.editor.setToolTip(tip)
        widget: QWidget | None = self.editor
        while widget is not None:
            widget.setAccessibleName(self._title)
            widget.setAccessibleDescription(note(self.param))
            widget = widget.focusProxy()

    def explain(self, is_explained: bool) -> None:
        """Show range and help below the editor, or leave them to the tool tip."""
        self.note.setVisible(is_explained and bool(self.note.text()))

    # --- values

    def show_values(self, values: Sequence[Json]) -> None:
        """Show the values that the nodes have: one, or that they differ."""
        is_mixed = any(not is_same(value, values[0]) for value in values)
        self.editor.set_value(values[0], is_mixed=is_mixed)
        self._is_changed = any(not is_same(value, self.param.default) for value in values)
        self._show_reset()
        self.name.setAccessibleDescription(self.tr("changed") if self._is_changed else "")
        problem = ""
        for value in values:
            try:
                self.param.check(value)
            except ValueError as error:
                problem = str(error)
        self.show_error(problem)
        self.update()

    def show_link(self, link: Link | None) -> None:
        """Show that the value comes from a node, with the way there; None: it is the parameter's own."""
        if link is None and self.link is None:
            return
        while (item := self._link_line.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.deleteLater()
        self.link = None
        if link is not None:
            self.link = LinkButton.of(link)
            self.link.clicked.connect(self._go)
            own = label(shown(self.editor.value()).partition("\n")[0][:24], "dim")
            own.setToolTip(self.tr("Its own value, used again once it is unlinked"))
            own.setMinimumWidth(1)
            unlink = UnlinkButton(self.param.name, self._theme)
            unlink.clicked.connect(self.unlinked)
            self._link_line.addWidget(self.link)
            self._link_line.addWidget(own, 1)
            self._link_line.addWidget(unlink)
        self._linked.setVisible(link is not None)
        self.editor.setVisible(link is None)
        self._show_reset()

    def _show_reset(self) -> None:
        self.reset.setVisible(self._is_changed and self.link is None)

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
            painter.fillRect(1, 3, _MARK_PX, self.height() - 6, self._theme.accent)

    # --- the menu and the clipboard

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer to reset, copy and paste the value, and what the owner adds."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setAccessibleName(self._title)
        is_own = self.link is None
        reset = menu.addAction(self.reset.icon(), self.tr("Reset to default"))
        reset.setEnabled(self._is_changed and is_own)
        reset.triggered.connect(self.editor.reset_requested)
        menu.addAction(self.tr("Copy value")).triggered.connect(self.copy_value)
        paste = menu.addAction(self.tr("Paste value"))
        paste.setEnabled(is_own)
        paste.triggered.connect(self.paste_value)
        self.menu_opening.emit(menu)
        menu.popup(event.globalPos())

    def copy_value(self) -> None:
        """Put the value on the clipboard: text as it is, anything else as JSON."""
        QApplication.clipboard().setText(shown(self.editor.value()))

    def paste_value(self) -> None:
        """Take the value on the clipboard, if it fits."""
        if self.link is not None:
            return
        text = QApplication.clipboard().text()
        value: Json = text
        if self.param.kind is not ParamKind.TEXT:
            try:
                value = cast("Json", json.loads(text))
            except ValueError:
                value = text
        self.editor.begin_gesture()
        if self.editor.offer(value):
            self.editor.set_value(self.editor.value())

    def _go(self) -> None:
        if self.link is not None:
            self.source_wanted.emit(self.link.node)

    # --- the mouse

    def enterEvent(self, event: QEnterEvent) -> None:
        """Say that keys without a focus here mean this row."""
        self.entered.emit(self)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Say that they no longer do."""
        self.entered.emit(None)
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the row by its name."""
        if event.button() == Qt.MouseButton.LeftButton and self.address:
            self._press = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the parameter elsewhere: to the form, to the canvas."""
        if self._press is None:
            return
        moved = (event.position() - self._press).manhattanLength()
        if moved < QApplication.startDragDistance():
            return
        self._press = None
        drag = QDrag(self)
        drag.setMimeData(mime_of(self.address))
        drag.setPixmap(self.name.grab())
        drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.DropAction.CopyAction)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._press = None


def mime_of(address: str) -> QMimeData:
    """What a drag of the parameter at an address carries."""
    mime = QMimeData()
    mime.setData(MIME_PARAM, address.encode())
    mime.setText(address)
    return mime


def is_same(one: Json, other: Json) -> bool:
    """Whether two values are one, type included."""
    # by repr: it tells 1 from 1.0 and from true, inside lists too
    return one is other or repr(one) == repr(other)
