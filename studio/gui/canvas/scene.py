"""The document as items: what an edit changed is rebuilt, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QGraphicsScene

from studio.graph import Link, Node, NodeId, NodeType, Param, Types, Value
from studio.gui import edits
from studio.gui.canvas.frame_item import BoxItem
from studio.gui.canvas.layout import WIDTH, Layouts, Socket
from studio.gui.canvas.look import Look
from studio.gui.canvas.node_item import NodeItem
from studio.gui.canvas.wires import Wires
from studio.gui.edits import Dot, Frame, Input, Note
from studio.gui.flowing import Flow, flowing, param_links
from studio.gui.states import NodeState
from studio.workflow import Workflow

MARGIN = 2000.0
"""Room around the nodes over which the index of the scene is spread."""


@dataclass(frozen=True)
class Applied:
    """What an edit cost: how many items were built anew, moved and removed."""

    nodes: int = 0
    moved: int = 0
    links: int = 0
    removed: int = 0


@dataclass(frozen=True)
class Plug:
    """A socket of a node of the graph."""

    node: NodeId
    socket: Socket
    dot: Dot | None = None
    """The dot that stands for it, if not the socket itself was meant."""

    @property
    def name(self) -> str:
        """The name of the port."""
        return self.socket.name


@dataclass(frozen=True)
class _Looks:
    """What the view says of nodes."""

    places: Mapping[NodeId, tuple[float, float]]
    collapsed: frozenset[NodeId]
    pinned: frozenset[NodeId]
    tidy: frozenset[NodeId]
    colors: Mapping[NodeId, str]

    @classmethod
    def of(cls, w: Workflow) -> _Looks:
        return cls(
            edits.positions(w), edits.collapsed(w), edits.pinned(w), edits.tidy(w), edits.colors(w)
        )


class Scene(QGraphicsScene):
    """Holds an item for each node, link, frame and note of a workflow, and what is selected."""

    selection_moved = Signal()
    """Other nodes or dots, or another box, are selected now."""

    def __init__(self, look: Look, types: Types, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.nodes: dict[NodeId, NodeItem] = {}
        self.wires = Wires(self, look, self.nodes, self.output_type)
        self.links, self.dots = self.wires.links, self.wires.dots
        self.boxes: dict[tuple[str, int], BoxItem] = {}
        self.applied = Applied()
        """What the last edit cost."""
        self.selection: dict[NodeId, None] = {}
        """In the order in which nodes were selected."""
        self.selected_box: tuple[str, int] | None = None
        self.selected_dots: dict[Dot, None] = {}
        self.version = 0
        """Another number once anything but the selection looks different."""
        self._node_boxes: list[tuple[NodeId, float, float, float, float]] = []
        """The boxes of all nodes, for a band that asks at every move; as of ``_boxes_version``."""
        self._boxes_version = -1
        self.workflow = Workflow()
        self._given_types = types
        self.types: Types = types
        self._layouts = Layouts()
        self._looks = _Looks.of(self.workflow)
        self._revealed: frozenset[NodeId] = frozenset()
        """The nodes whose hidden sockets are shown for the time of a gesture."""
        self._given: frozenset[Input] = frozenset()
        """The links into parameters."""
        self._hovered: NodeItem | None = None
        """The node that shows the socket of a parameter, for the mouse is near."""
        self._expanded: set[NodeId] = set()
        self._states: Mapping[str, NodeState] = {}
        self._groups: object = None
        # without one, the scene would ask every item for it
        self.setSceneRect(QRectF(0, 0, 1, 1))

    # --- applying edits

    def apply(self, after: Workflow, select: Iterable[str] | None = None) -> None:
        """Show a workflow: only items of nodes, links and boxes that differ from what is shown are touched.

        ``select``: the nodes that are selected from now on; None: those that are and still exist.
        """
        self.version += 1
        before, looks = self.workflow, self._looks
        is_retyped = self._take_types(after)
        after = self._take_looks(before, after)
        self.workflow = after
        new = after.graph.nodes
        old = {} if is_retyped else before.graph.nodes
        gone = [node for node in self.nodes if node not in new]
        changed = [node for node in new.values() if old.get(node.id) is not node]
        removed = self.wires.index(before.graph, after.graph, changed, gone)
        for name in gone:
            self._drop_node(name)
        stale = {node.id for node in changed} | self._restyled(looks, after)
        stale |= self._feeding_unknown(changed, before, gone)
        resized = {name for name in stale if self._show_node(new[name])}
        moved = self._move_changed(looks, after)
        touched: dict[Input, None] = {}
        for node in changed:
            touched.update(dict.fromkeys((node.id, port) for port in node.inputs))
        for name in resized | moved:
            touched.update(dict.fromkeys((name, port) for port in new[name].inputs))
        # links to a node that vanished or woke stand in nodes that did not change
        for name in {*gone, *resized, *moved, *(node.id for node in changed)}:
            touched.update(dict.fromkeys(self.wires.leaving(name)))
        links = self.wires.show(after, touched)
        self.selected_dots = {dot: None for dot in self.selected_dots if dot in self.dots}
        self._show_flows(changed, gone)
        self._show_boxes(after)
        if select is None:
            self._forget_selected(gone)
        else:
            self.select(select)
        self.applied = Applied(len(stale), len(moved), links, removed + len(gone))
        if moved or new.keys() != before.graph.nodes.keys():
            self._fit_index()

    def _take_types(self, after: Workflow) -> bool:
        """Learn the node types of the groups of ``after``; True if others apply now."""
        if after.groups is self._groups:
            return False
        self._groups = after.groups
        known = edits.known_types(after, self._given_types)
        is_new = known is not self.types
        self.types = known
        if is_new:
            self._layouts.clear()
        return is_new

    def _restyled(self, looks: _Looks, after: Workflow) -> set[NodeId]:
        now = self._looks
        if looks is now:
            return set()
        found = (looks.collapsed ^ now.collapsed) | (looks.pinned ^ now.pinned)
        found |= looks.tidy ^ now.tidy
        if looks.colors != now.colors:
            names = {*looks.colors, *now.colors}
            found |= {name for name in names if looks.colors.get(name) != now.colors.get(name)}
        return {name for name in found if name in after.graph}

    def _feeding_unknown(
        self, changed: Iterable[Node], before: Workflow, gone: Iterable[NodeId]
    ) -> set[NodeId]:
        """Nodes that show outputs because of the links of others, which changed."""
        found: set[NodeId] = set()
        sources = [link for node in changed for link in node.inputs.values()]
        for name in [*(node.id for node in changed), *gone]:
            old = before.graph.nodes.get(name)
            sources.extend(old.inputs.values() if old else ())
        for link in sources:
            node = self.workflow.graph.nodes.get(link.node)
            if node is not None:
                declared = self.types.get(node.type)
                is_asked = declared is None or declared.output(link.output) is None
                if is_asked or node.id in self._looks.tidy:
                    found.add(node.id)
        return found

    def _take_looks(self, before: Workflow, after: Workflow) -> Workflow:
        """Learn what the view says; nodes that it gives no place get one, which is written with the next edit."""
        if after.view is before.view and after.graph.nodes.keys() == before.graph.nodes.keys():
            return after
        self._looks = _Looks.of(after)
        unplaced = [node for node in after.graph if node.id not in self._looks.places]
        if not unplaced:
            return after
        sizes = {}
        for node in unplaced:
            layout = self._layouts.of(
                node,
                self.types.get(node.type),
                is_collapsed=node.id in self._looks.collapsed,
                is_expanded=False,
            )
            sizes[node.id] = (WIDTH, layout.height)
        after = edits.arranged(after, self.types, sizes)
        self._looks = _Looks.of(after)
        return after

    def _show_node(self, node: Node) -> bool:
        """Show a node as it is now; True if its sockets may stand elsewhere."""
        item = self.nodes.get(node.id)
        is_new = item is None
        if item is None:
            item = self.nodes[node.id] = NodeItem(self.look)
            item.state = self._states.get(node.id, item.state)
        declared = self.types.get(node.type)
        old = None if is_new else item.layout
        layout = self._layouts.of(
            node,
            declared,
            is_collapsed=node.id in self._looks.collapsed,
            is_expanded=node.id in self._expanded,
            is_tidy=node.id in self._looks.tidy and node.id not in self._revealed,
            used_outputs=self._used_outputs(node, declared),
        )
        item.show_node(
            node,
            declared,
            layout,
            tint=self._looks.colors.get(node.id, ""),
            is_pinned=node.id in self._looks.pinned,
        )
        if is_new:
            item.stand(*self._looks.places[node.id])
            self.addItem(item)
        return layout is not old

    def _used_outputs(self, node: Node, declared: NodeType | None) -> tuple[str, ...]:
        """The outputs that links name: of a tidy node all, of others those that its type does not declare."""
        nodes = self.workflow.graph.nodes
        names = {nodes[target].inputs[port].output for target, port in self.wires.leaving(node.id)}
        if declared is not None and node.id not in self._looks.tidy:
            names = {name for name in names if declared.output(name) is None}
        return tuple(sorted(names))

    def _move_changed(self, looks: _Looks, after: Workflow) -> set[NodeId]:
        moved: set[NodeId] = set()
        if looks is self._looks:
            return moved
        for name, place in self._looks.places.items():
            if looks.places.get(name) != place and name in after.graph:
                item = self.nodes[name]
                if item.box[:2] != place:
                    item.stand(*place)
                    moved.add(name)
        return moved

    def output_type(self, link: Link) -> type[Value]:
        """What an output gives; ``Value`` where that is not known."""
        node = self.workflow.graph.nodes.get(link.node)
        declared = self.types.get(node.type) if node else None
        port = declared.output(link.output) if declared else None
        return port.type if port else Value

    def _show_flows(self, changed: Collection[Node], gone: Collection[NodeId]) -> None:
        """Show on parameters what their links give."""
        stale = {node.id for node in changed} | set(gone)
        kept = {key for key in self._given if key[0] not in stale}
        given = frozenset(kept | param_links(changed, self.types))
        if not stale or not (given or self._given):
            return
        flows: dict[NodeId, dict[str, Flow]] = {}
        for (name, param), flow in flowing(self.workflow, self._given_types, given).items():
            flows.setdefault(name, {})[param] = flow
        for name in {key[0] for key in given | self._given} & self.nodes.keys():
            self.nodes[name].set_flows(flows.get(name, {}))
        self._given = given

    def flow(self, name: NodeId, param: str) -> Flow | None:
        """What a link gives to a parameter; None where its own value holds."""
        return self.nodes[name].flows.get(param)

    def with_param(self, name: str, param: Param) -> list[NodeId]:
        """The selected nodes with a parameter of this name that takes the same links."""
        found = []
        for node in self.selection:
            declared = self.nodes[node].declared
            own = declared.param(name) if declared else None
            if own is not None and own.takes is param.takes:
                found.append(node)
        return found

    def hover(self, point: QPointF | None) -> None:
        """Show the socket of the parameter that the mouse is near, if any; None: the mouse is elsewhere."""
        item = self.node_at(point) if point is not None else None
        local = item.mapFromScene(point) if item is not None and point is not None else None
        name = item.layout.param_near(local) if item is not None and local is not None else ""
        if self._hovered is not None and self._hovered is not item:
            self._hovered.set_hovered("")
        self._hovered = item if name else None
        if item is not None:
            item.set_hovered(name)

    def _drop_node(self, name: NodeId) -> None:
        self._expanded.discard(name)
        item = self.nodes.pop(name)
        if item is self._hovered:
            self._hovered = None
        self.removeItem(item)

    def _show_boxes(self, after: Workflow) -> None:
        wanted: dict[tuple[str, int], Frame | Note] = {
            ("frames", frame.index): frame for frame in edits.frames(after)
        }
        wanted.update({("notes", note.index): note for note in edits.notes(after)})
        for key in [key for key in self.boxes if key not in wanted]:
            self.removeItem(self.boxes.pop(key))
            if self.selected_box == key:
                self.selected_box = None
        for key, box in wanted.items():
            item = self.boxes.get(key)
            if item is None:
                self.boxes[key] = item = BoxItem(self.look, box)
                self.addItem(item)
            elif item.box != box:
                item.show_box(box)

    def _fit_index(self) -> None:
        bounds = self.content_rect().adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN)
        # only ever larger, and by much: each change rebuilds the index
        if not self.sceneRect().contains(
            bounds.adjusted(MARGIN / 2, MARGIN / 2, -MARGIN / 2, -MARGIN / 2)
        ):
            self.setSceneRect(self.sceneRect().united(bounds))

    # --- for gestures: what a hand moves before the document knows

    def place(
        self, places: Mapping[NodeId, QPointF], dots: Mapping[Dot, QPointF] = MappingProxyType({})
    ) -> None:
        """Let nodes and dots stand somewhere for the time of a gesture."""
        self.version += 1
        moved = [name for name, place in places.items() if self.nodes[name].pos() != place]
        for name in moved:
            self.nodes[name].stand(places[name].x(), places[name].y())
        self.wires.follow(moved, dots)

    def hidden_sockets(self) -> dict[NodeId, list[Socket]]:
        """The sockets that tidy nodes do not show; collapsed ones have room for none."""
        found: dict[NodeId, list[Socket]] = {}
        for name in self._looks.tidy - self._looks.collapsed:
            item = self.nodes[name]
            if item.layout.unused:
                whole = self._layouts.of(
                    item.node, item.declared, is_collapsed=False, is_expanded=False
                )
                shown = item.layout
                found[name] = [
                    one
                    for one in whole.sockets
                    if shown.socket(one.name, is_output=one.is_output) is None
                ]
        return found

    def reveal(self, names: Iterable[NodeId]) -> None:
        """Show the hidden sockets of these nodes, and of no others, for the time of a gesture."""
        wanted = frozenset(names)
        changed = [name for name in wanted ^ self._revealed if name in self.nodes]
        self._revealed = wanted
        if not changed:
            return
        self.version += 1
        for name in changed:
            self._show_node(self.workflow.graph.nodes[name])
        self.wires.show(self.workflow, self.wires.around(changed))

    def restore(self) -> None:
        """Let everything stand where the document says."""
        places = {name: QPointF(*self._looks.places[name]) for name in self.nodes}
        self.place(places, self.wires.dragged())
        self.wires.let_go()
        for item in self.boxes.values():
            item.show_box(item.box)

    # --- runs

    def set_states(self, states: Mapping[str, NodeState]) -> None:
        """Show what a run or plan says of the nodes; nodes that are not named are unknown."""
        self.version += 1
        self._states = dict(states)
        unknown = NodeState()
        for name, item in self.nodes.items():
            item.set_state(self._states.get(name, unknown))

    def set_thumbnail(self, name: str, image: QImage | None) -> None:
        """Show a node's picture on it; a node that is gone is no error, for pictures arrive late."""
        item = self.nodes.get(NodeId(name))
        if item is not None:
            item.set_thumbnail(image)
            self.version += 1

    def toggle_expanded(self, name: NodeId) -> None:
        """Show all parameters of a node, or only the most telling."""
        self.version += 1
        self._expanded ^= {name}
        self._show_node(self.nodes[name].node)

    def restyle(self) -> None:
        """Paint everything in the colours of the look's theme."""
        self.version += 1
        for node in self.nodes.values():
            node.restyle()
        self.wires.restyle()
        for box in self.boxes.values():
            box.update()

    # --- selection

    def select(
        self,
        names: Iterable[str],
        *,
        dots: Iterable[Dot] = (),
        box: tuple[str, int] | None = None,
    ) -> None:
        """Select these nodes and dots, and no others."""
        wanted = {NodeId(name): None for name in names if NodeId(name) in self.nodes}
        is_other = self._mark_dots(dots)
        is_other |= self._mark_box(box)
        if wanted.keys() == self.selection.keys():
            if is_other:
                self.selection_moved.emit()
            return
        for name in self.selection.keys() - wanted.keys():
            if name in self.nodes:
                self.nodes[name].set_selected(False)
        for name in wanted.keys() - self.selection.keys():
            self.nodes[name].set_selected(True)
        self.selection = wanted
        self.selection_moved.emit()

    def _mark_dots(self, dots: Iterable[Dot]) -> bool:
        """Select dots; True if others were."""
        wanted = {dot: None for dot in dots if dot in self.dots}
        if wanted.keys() == self.selected_dots.keys():
            return False
        for dot in wanted.keys() ^ self.selected_dots.keys():
            self.dots[dot].set_selected(dot in wanted)
        self.selected_dots = wanted
        return True

    def _mark_box(self, key: tuple[str, int] | None) -> bool:
        """Select a frame or note; True if another was."""
        if key == self.selected_box:
            return False
        for one, is_selected in ((self.selected_box, False), (key, True)):
            item = self.boxes.get(one) if one else None
            if item is not None:
                item.set_selected(is_selected)
        self.selected_box = key
        return True

    def _forget_selected(self, gone: Collection[NodeId]) -> None:
        if any(name in self.selection for name in gone):
            self.selection = {name: None for name in self.selection if name in self.nodes}
            self.selection_moved.emit()

    # --- finding

    def node_at(self, point: QPointF) -> NodeItem | None:
        """The uppermost node at a point or within reach of its sockets, the node's own box first."""
        near = QRectF(point.x() - 11, point.y() - 11, 22, 22)
        found = [
            item
            for item in self.items(near, Qt.ItemSelectionMode.IntersectsItemBoundingRect)
            if isinstance(item, NodeItem)
        ]
        for item in found:
            if item.rect.contains(item.mapFromScene(point)):
                return item
        for item in found:
            if item.layout.socket_at(item.mapFromScene(point)):
                return item
        return None

    def plug_at(self, point: QPointF) -> Plug | None:
        """The socket within reach of a point, or None."""
        item = self.node_at(point)
        socket = item.layout.socket_at(item.mapFromScene(point)) if item else None
        return Plug(item.node.id, socket) if item and socket else None

    def plug_of(self, dot: Dot) -> Plug | None:
        """The output that a dot stands for; None where the node does not show it."""
        item = self.nodes.get(dot.source.node)
        socket = item.layout.socket(dot.source.output, is_output=True) if item else None
        return Plug(dot.source.node, socket, dot) if socket else None

    def plug_pos(self, plug: Plug) -> QPointF:
        """Where links to a socket, or to the dot that stands for it, end."""
        if plug.dot is not None and plug.dot in self.dots:
            return self.dots[plug.dot].pos()
        return self.nodes[plug.node].pos() + plug.socket.at

    def box_at(self, point: QPointF) -> BoxItem | None:
        """The uppermost frame or note that a point holds by its handle or grip, or None."""
        found = [b for b in self.boxes.values() if b.is_handle(point) or b.is_grip(point)]
        return max(found, key=lambda item: (item.zValue(), item.key), default=None)

    def nodes_in(self, rect: QRectF) -> list[NodeId]:
        """Nodes whose boxes meet a rectangle."""
        left, top, right, bottom = rect.left(), rect.top(), rect.right(), rect.bottom()
        if self._boxes_version != self.version:
            self._boxes_version = self.version
            self._node_boxes = [(name, *item.box) for name, item in self.nodes.items()]
        return [
            name
            for name, x, y, far_x, far_y in self._node_boxes
            if x <= right and far_x >= left and y <= bottom and far_y >= top
        ]

    def rect_of(self, names: Iterable[NodeId]) -> QRectF:
        """The smallest rectangle around nodes; empty for none."""
        boxes = [self.nodes[name].box for name in names]
        if not boxes:
            return QRectF()
        left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
        right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
        return QRectF(left, top, right - left, bottom - top)

    def content_rect(self) -> QRectF:
        """The smallest rectangle around everything."""
        rect = self.rect_of(self.nodes)
        for dot in self.dots:
            rect = rect.united(QRectF(dot.at[0] - 8, dot.at[1] - 8, 16, 16))
        for box in self.boxes.values():
            rect = rect.united(box.scene_rect)
        return rect

    def sizes(self) -> dict[NodeId, tuple[float, float]]:
        """The painted sizes of all nodes."""
        return {name: (item.rect.width(), item.rect.height()) for name, item in self.nodes.items()}

    def linked(self, names: Iterable[NodeId], *, is_downstream: bool) -> list[NodeId]:
        """Nodes and everything after or before them."""
        graph = self.workflow.graph
        if not is_downstream:
            return list(graph.needed(names))
        found = dict.fromkeys(names)
        pending = list(found)
        while pending:
            for target, _ in self.wires.leaving(pending.pop()):
                if target not in found and target in graph:
                    found[target] = None
                    pending.append(target)
        return list(found)
