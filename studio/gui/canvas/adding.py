"""New nodes: from the search palette, the library and the loose ends of links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPoint, QPointF

from studio.graph import NodeId, Types
from studio.gui import edits
from studio.gui.canvas.layout import TITLE, WIDTH
from studio.gui.canvas.palette import Entry, Palette, entries
from studio.gui.canvas.scene import Plug
from studio.gui.mime import MIME_NODE_TYPE, MIME_PARAM
from studio.gui.theme import Theme
from studio.workflow import Workflow

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

_APART = 60.0
"""Between a node and one that is put beside it."""


class Adding:
    """Leads the palette of a canvas and adds what is taken."""

    def __init__(self, canvas: Canvas, theme: Theme) -> None:
        self._canvas = canvas
        self._wire: tuple[Plug | None, QPointF] = (None, QPointF())
        self._is_pointed = True
        self._taken: Callable[[str], None] | None = None
        self.palette = Palette(theme, canvas)
        self.palette.chosen.connect(self._chosen)
        self.palette.given_up.connect(canvas.refocus)

    def open_palette(
        self, place: QPoint, wire: Plug | None = None, *, is_pointed: bool = True
    ) -> None:
        """Offer node types at a place; with ``wire``, those that fit the loose end of a link.

        ``is_pointed``: the hand pointed to the place; else a node may stand near it, where nothing is.
        """
        self._wire = (wire, self._canvas.mapToScene(place))
        self._is_pointed = is_pointed
        types = self._canvas.content.types
        names = sorted(types, key=edits.usualness)
        hint = self._canvas.tr("Search nodes by name or meaning")
        if wire is not None:
            of = wire.socket.type
            is_output = wire.socket.is_output
            names = edits.matching_types(
                types, output=of if is_output else None, port=None if is_output else of
            )
            constant = self._constant_for(wire)
            if constant is not None:
                names = [constant, *(name for name in names if name != constant)]
            hint = (
                self._canvas.tr("Nodes that take {}")
                if is_output
                else self._canvas.tr("Nodes that give {}")
            ).format(of.__name__)
        self._taken = self._add_chosen
        self.palette.open(entries(types[name] for name in names), place, hint)

    def _constant_for(self, wire: Plug) -> str | None:
        """The type of node that may take over the value of the parameter at the end of a link."""
        content = self._canvas.content
        declared = content.nodes[wire.node].declared
        param = declared.param(wire.name) if declared and wire.socket.is_param else None
        return edits.constant_for(content.types, param) if param else None

    def offer(self, offered: Iterable[Entry], hint: str, take: Callable[[str], None]) -> None:
        """Offer entries at the cursor; ``take`` gets the key of the one that is taken."""
        self._taken = take
        self.palette.open(offered, self._canvas.cursor_place(), hint)

    def _chosen(self, key: str) -> None:
        self._canvas.refocus()
        taken, self._taken = self._taken, None
        if taken is not None:
            taken(key)

    def _add_chosen(self, type_id: str) -> None:
        wire, at = self._wire
        self.at(type_id, at, wire, is_pointed=self._is_pointed)

    @staticmethod
    def takes(data: QMimeData) -> bool:
        """Whether what is dragged here can be dropped."""
        return data.hasFormat(MIME_NODE_TYPE) or data.hasFormat(MIME_PARAM)

    def drop(self, data: QMimeData, at: QPointF) -> None:
        """Add a node of the type that was dragged here from the library, or one for the parameter that was."""
        if data.hasFormat(MIME_PARAM):
            self._drop_param(bytes(data.data(MIME_PARAM).data()).decode(), at)
        else:
            self.at(bytes(data.data(MIME_NODE_TYPE).data()).decode(), at)

    def _drop_param(self, address: str, at: QPointF) -> None:
        """Link a parameter to the node that it was dropped on, or to a new one that takes its value over."""
        canvas = self._canvas
        flat, _, param = address.rpartition(".")
        name = NodeId(flat.removeprefix(canvas.flat_id("")))
        if canvas.flat_id(name) != flat or name not in canvas.content.nodes:
            canvas.status.emit(canvas.tr("{} is in another group").format(address))
            return
        item = canvas.content.node_at(at)
        if item is None or item.node.id == name:
            self.make_input(name, param, (round(at.x()), round(at.y()) - TITLE / 2))
            return
        source = item.node.id
        canvas.attempt(
            canvas.tr("Link {}").format(f"{name}.{param}"),
            lambda w, types: edits.connect_any(w, types, source, name, param),
        )

    def at(
        self, type_id: str, at: QPointF, wire: Plug | None = None, *, is_pointed: bool = True
    ) -> None:
        """Add a node, linked to the loose end of a link, or to the one selected node, where types fit.

        ``is_pointed``: exactly there; else beside the selected node or below what stands there.
        """
        selected = tuple(self._canvas.content.selection)
        after = selected if wire is None and len(selected) == 1 else ()
        end = (wire.node, wire.name) if wire else None
        source = end if wire and wire.socket.is_output else None
        target = end if wire and not wire.socket.is_output else None
        if wire is not None and type_id == self._constant_for(wire):
            self.make_input(wire.node, wire.name, (round(at.x()), round(at.y()) - TITLE / 2))
            return
        # where a link was led to the left, it is the output that belongs at its end
        left = at.x() - (WIDTH if target is not None else 0.0)
        place = (round(left), round(at.y()) - TITLE / 2)

        def make(w: Workflow, types: Types) -> tuple[Workflow, list[NodeId]]:
            added, name = edits.add_node(
                w, types, type_id, place, after=after, source=source, target=target
            )
            if not is_pointed:
                added = edits.move(added, {name: self._free(added, name, after)})
            return added, [name]

        canvas = self._canvas
        canvas.attempt_many(canvas.tr("Add {}").format(type_id), make)
        if not is_pointed:
            canvas.show_rect(canvas.content.rect_of(canvas.content.selection))

    def make_input(
        self,
        name: NodeId,
        param: str,
        place: edits.Point | None = None,
        sharing: Iterable[str] = (),
    ) -> None:
        """Let a parameter's value come from a node of its own, here or beside the node; it takes the value over."""

        def make(w: Workflow, types: Types) -> tuple[Workflow, list[NodeId]]:
            sizes = self._canvas.content.sizes()
            after, made = edits.make_input(
                w, types, name, param, place, sharing=sharing, sizes=sizes
            )
            return after, [made]

        text = self._canvas.tr("Make {} an input").format(f"{name}.{param}")
        self._canvas.attempt_many(text, make)

    def _free(self, w: Workflow, name: NodeId, after: Sequence[NodeId]) -> edits.Point:
        """Where a new node covers nothing: where it is, else to the right of the node that it follows."""
        content = self._canvas.content
        x, y = edits.positions(w)[name]
        width, height = edits.sizes_of(w, content.types, [name])[name]
        taken = [
            (rect.x(), rect.y(), rect.width(), rect.height())
            for rect in (item.scene_rect for item in content.nodes.values())
        ]
        here = edits.free_place(taken, (x, y, width, height))
        if here == (x, y) or not after:
            return here
        beside = content.nodes[after[0]].scene_rect
        wanted = (beside.right() + _APART, beside.top(), width, height)
        return edits.free_place(taken, wanted)
