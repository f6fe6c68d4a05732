"""Editing in place: parameters in their rows, names in title bars, the texts of frames and notes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF
from PySide6.QtWidgets import QMenu

from studio.graph import Json, NodeId, Param, ParamKind
from studio.gui import edits
from studio.gui.canvas.frame_item import key_of
from studio.gui.canvas.layout import ROW, TITLE, choices
from studio.gui.canvas.look import NEAR_ZOOM
from studio.gui.canvas.row_editor import RowEditor, parsed, typed
from studio.registry import Multiline
from studio.workflow import Workflow

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

READABLE_ZOOM = NEAR_ZOOM - 1e-6
"""Letters that cannot be read cannot be edited."""


class Editing:
    """Puts the one field of a canvas where it is wanted, and takes what was typed as an edit."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self.field = RowEditor(canvas.viewport())
        self.field.went_on.connect(self._go_on)
        self._edited: tuple[NodeId, str] | None = None
        """Node and parameter whose field is, or was last, open."""

    def edit_row(self, name: NodeId, param_name: str) -> None:
        """Edit a parameter in its row: tick, choose from a menu, or type."""
        item = self._canvas.content.nodes[name]
        row = next((row for row in item.layout.rows if row.name == param_name), None)
        if row is None or row.param is None:
            return
        flow = self._canvas.content.flow(name, param_name)
        if flow is not None:
            said = self._canvas.tr("{0} comes from {1}: change it there, or unlink it")
            self._canvas.status.emit(said.format(f"{name}.{param_name}", flow.source))
            return
        param, value = row.param, item.node.params.get(row.name, row.param.default)
        if param.kind is ParamKind.BOOL and not param.nullable:
            self.set_param(name, param, not value)
        elif choices(param):
            self._choose(name, param, value)
        else:
            is_multiline = isinstance(param.hint, Multiline)
            rect = row.rect.adjusted(0, ROW - 3, 0, 0) if is_multiline else row.rect
            self._edited = (name, param.name)
            self._open(
                rect.translated(item.pos()),
                typed(param, value),
                f"{name}.{param.name}",
                partial(self._accept, name, param),
                is_multiline=is_multiline,
            )

    def edit_first(self) -> None:
        """Edit the first value of the selected node that can be typed; Tab goes on from there."""
        if len(self._canvas.content.selection) != 1:
            return
        name = next(iter(self._canvas.content.selection))
        typable = self._typable(name)
        if typable:
            self.edit_row(name, typable[0])
        else:
            self._canvas.status.emit(self._canvas.tr("{} shows no values to type").format(name))

    def _typable(self, name: NodeId) -> list[str]:
        """The parameters in the rows of a node that are edited by a field."""
        item = self._canvas.content.nodes.get(name)
        rows = item.layout.rows if item is not None else ()
        return [
            row.name
            for row in rows
            if row.param is not None
            and not choices(row.param)
            and (row.param.kind is not ParamKind.BOOL or row.param.nullable)
        ]

    def _go_on(self, step: int) -> None:
        """Edit the next value of the node, or the one before; after the last, the first."""
        if self._edited is None:
            self._canvas.refocus()
            return
        name, param = self._edited
        typable = self._typable(name)
        if param in typable:
            self.edit_row(name, typable[(typable.index(param) + step) % len(typable)])
        else:
            self._canvas.refocus()

    def _open(
        self,
        rect: QRectF,
        text: str,
        name: str,
        accept: Callable[[str], str | None],
        *,
        is_multiline: bool = False,
    ) -> None:
        if self._canvas.zoom < READABLE_ZOOM:
            self._canvas.set_zoom(1.0)
            self._canvas.look_at(rect.center())
        place = self._canvas.mapFromScene(rect).boundingRect()
        pixels = round(self._canvas.look.text_font.pixelSize() * self._canvas.zoom)
        self.field.open(
            place,
            text,
            name,
            accept,
            self._canvas.status.emit,
            is_multiline=is_multiline,
            pixels=pixels,
        )

    def _accept(self, name: NodeId, param: Param, text: str) -> str | None:
        try:
            value = parsed(param, text)
        except ValueError as error:
            return f"{name}.{param.name}: {error}"
        self.set_param(name, param, value)
        return None

    def set_param(self, name: NodeId, param: Param, value: Json) -> None:
        """Set a parameter of a node, as a step of its own."""
        self._canvas.attempt(
            self._canvas.tr("Set {}").format(f"{name}.{param.name}"),
            lambda w, types: edits.set_param(w, name, param.name, value),
        )

    def _choose(self, name: NodeId, param: Param, value: Json) -> None:
        menu = QMenu(self._canvas)
        menu.setAccessibleName(f"{name}.{param.name}")
        words: list[str | None] = [*([None] if param.nullable else []), *choices(param)]
        for word in words:
            action = menu.addAction(self._canvas.tr("none") if word is None else word)
            action.setCheckable(True)
            action.setChecked(word == value)
            action.triggered.connect(_Setter(self, name, param, word))
        self._canvas.pop_up(menu)

    def rename_selected(self) -> None:
        """Edit the name of the selected node in its title bar, or the text of the selected box."""
        box = self._canvas.content.selected_box
        if box is not None:
            self.edit_box(box)
            return
        if len(self._canvas.content.selection) != 1:
            return
        name = next(iter(self._canvas.content.selection))
        item = self._canvas.content.nodes[name]
        rect = QRectF(4, 3, item.rect.width() - 8, TITLE - 6).translated(item.pos())
        self._edited = None
        self._open(rect, name, self._canvas.tr("Name of the node"), partial(self._rename, name))

    def _rename(self, old: NodeId, new: str) -> str | None:
        new = new.strip()
        if new == old:
            return None
        text = self._canvas.tr("Rename {} to {}").format(old, new)
        if self._canvas.attempt(text, lambda w, types: edits.rename(w, old, new), {old: new}):
            self._canvas.content.select([new])
        return None

    def add_box(self, after: Workflow, text: str) -> None:
        """Take a workflow with one more frame or note, and edit its words: all of it is one step called ``text``."""
        boxes: list[edits.Frame | edits.Note] = [*edits.frames(after), *edits.notes(after)]
        known = self._canvas.content.boxes
        key = next((key_of(box) for box in boxes if key_of(box) not in known), None)
        if key is not None:
            step = (text, ("box", key[0], str(key[1])))
            self._canvas.commit(after, *step)
            self.edit_box(key, step)

    def edit_box(
        self, key: tuple[str, int], step: tuple[str, tuple[str, ...]] | None = None
    ) -> None:
        """Edit the title of a frame or the text of a note; ``step``: name and merge key of what it belongs to."""
        box = self._canvas.content.boxes.get(key)
        if box is None:
            return
        self._canvas.content.select([], box=key)
        self._edited = None
        is_note = key[0] == "notes"
        text = box.box.text if isinstance(box.box, edits.Note) else box.box.title
        self._open(
            box.text_rect,
            text,
            self._canvas.tr("Text of the note")
            if is_note
            else self._canvas.tr("Title of the frame"),
            partial(self._accept_box, box.box, step),
            is_multiline=is_note,
        )

    def _accept_box(
        self, box: edits.Frame | edits.Note, step: tuple[str, tuple[str, ...]] | None, text: str
    ) -> str | None:
        canvas = self._canvas
        item = canvas.content.boxes.get(key_of(box))
        if item is None or item.box != box:
            # undone meanwhile, and another may have its number now
            return None
        if isinstance(box, edits.Note):
            after = edits.set_note(canvas.workflow, box.index, text=text)
            name = canvas.tr("Edit note")
        else:
            after = edits.set_frame(canvas.workflow, box.index, title=text)
            name = canvas.tr("Edit frame")
        canvas.commit(after, *(step or (name, None)))
        canvas.document.end_merge()
        return None


class _Setter:
    """Sets a parameter to a word of a menu."""

    def __init__(self, editing: Editing, name: NodeId, param: Param, word: str | None) -> None:
        self._editing, self._name, self._param, self._word = editing, name, param, word

    def __call__(self, _is_checked: bool = False) -> None:
        self._editing.set_param(self._name, self._param, self._word)
