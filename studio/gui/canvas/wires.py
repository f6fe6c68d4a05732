"""The links of a scene as items, led over the dots that bend them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtWidgets import QGraphicsScene

from studio.graph import Graph, Link, Node, NodeId, Value
from studio.gui import edits
from studio.gui.canvas import curves
from studio.gui.canvas.link_item import DotItem, LinkItem
from studio.gui.canvas.look import Look
from studio.gui.canvas.node_item import NodeItem
from studio.gui.edits import Dot, Input
from studio.workflow import Workflow


class Wires:
    """An item for each link and each dot; the scene says what has changed."""

    def __init__(
        self,
        scene: QGraphicsScene,
        look: Look,
        nodes: Mapping[NodeId, NodeItem],
        type_of: Callable[[Link], type[Value]],
    ) -> None:
        """``nodes``: the items that links lead from and to; ``type_of``: what an output gives."""
        self._scene = scene
        self._look = look
        self._nodes = nodes
        self._type_of = type_of
        self.links: dict[Input, LinkItem] = {}
        """By the input that they enter."""
        self.dots: dict[Dot, DotItem] = {}
        self._leaving: dict[NodeId, set[Input]] = {}
        self._ways: dict[Input, edits.Way] = {}
        """The dots of links."""
        self._bent: frozenset[Link] = frozenset()
        """The outputs with links that have dots."""
        self._dragged: dict[Dot, QPointF] = {}
        """Where dots stand for the time of a gesture."""
        self._lifted: frozenset[Input] = frozenset()
        """The links that a hand has taken off."""

    def leaving(self, name: NodeId) -> Collection[Input]:
        """The links from a node, by the inputs that they enter."""
        return self._leaving.get(name, ())

    # --- following the document

    def index(
        self, before: Graph, after: Graph, changed: Iterable[Node], gone: Iterable[NodeId]
    ) -> int:
        """Keep account of which links leave each node; drops those that are no more and returns their number."""
        dropped = 0
        for name in [*gone, *(node.id for node in changed)]:
            old = before.nodes.get(name)
            inputs = after.nodes[name].inputs if name in after.nodes else {}
            for port, link in old.inputs.items() if old else ():
                self._leaving.get(link.node, set()).discard((name, port))
                if port not in inputs:
                    self._drop((name, port))
                    dropped += 1
            for port, link in inputs.items():
                self._leaving.setdefault(link.node, set()).add((name, port))
        return dropped

    def show(self, workflow: Workflow, keys: Iterable[Input]) -> int:
        """Show links as they are now, and the dots that the view gives them; returns how many there are to show."""
        keys = list(keys)
        led = {self.links[key].source for key in keys if key in self.links}
        shown = sum(self._show(workflow.graph, key) for key in keys)
        led |= {self.links[key].source for key in keys if key in self.links}
        self._show_ways(workflow, led)
        return shown

    def _show(self, graph: Graph, key: Input) -> bool:
        """Show the link into a port as it is now; False if there is none to show."""
        target, port = key
        node = graph.nodes.get(target)
        link = node.inputs.get(port) if node else None
        source = self._nodes.get(link.node) if link else None
        start = source.socket_pos(link.output, is_output=True) if source and link else None
        end = self._nodes[target].socket_pos(port, is_output=False) if node else None
        if link is None or source is None or start is None or end is None:
            self._drop(key)
            return False
        item = self.links.get(key)
        if item is not None and item.source != link:
            self._drop(key)
            item = None
        if item is None:
            item = self.links[key] = LinkItem(self._look, link, target, port)
            self._scene.addItem(item)
        is_dim = source.node.mode == "mute" or self._nodes[target].node.mode == "mute"
        item.set_type(self._type_of(link), is_dim=is_dim)
        item.lead([curves.leg(start, end)])
        return True

    def _drop(self, key: Input) -> None:
        item = self.links.pop(key, None)
        if item is not None:
            self._scene.removeItem(item)

    def _show_ways(self, workflow: Workflow, touched: set[Link]) -> None:
        """Lead links over the dots of the view; ``touched``: the outputs of links that were shown anew."""
        ways = edits.routes(workflow)
        if not ways and not self._ways:
            return
        nodes, before = workflow.graph.nodes, self._bent
        moved = [
            key for key in ways.keys() | self._ways.keys() if ways.get(key) != self._ways.get(key)
        ]
        touched |= {self.links[key].source for key in moved if key in self.links}
        self._ways, self._dragged = ways, {}
        self._bent = frozenset(nodes[node].inputs[port] for node, port in ways)
        wanted = dict.fromkeys(edits.dots(workflow))
        for dot in [dot for dot in self.dots if dot not in wanted]:
            self._scene.removeItem(self.dots.pop(dot))
        for dot in wanted:
            if dot not in self.dots:
                self.dots[dot] = DotItem(self._look, dot)
                self._scene.addItem(self.dots[dot])
            self.dots[dot].set_type(self._type_of(dot.source))
        for source in touched & (self._bent | before):
            self._lead_from(source)

    def _lead_from(self, source: Link) -> None:
        """Lead the links from an output over their dots; a stretch that several share is painted once."""
        items = [self.links[key] for key in sorted(self.leaving(source.node)) if key in self.links]
        stops: list[tuple[LinkItem, edits.Way, list[QPointF]]] = []
        for item in items:
            ends = self._ends(item) if item.source == source else None
            if ends is not None:
                way = self._ways.get(item.key, ())
                places = [
                    self._dragged.get(dot, QPointF(*dot.at))
                    for dot in (Dot(source, point) for point in way)
                ]
                stops.append((item, way, [ends[0], *places, ends[1]]))
        # all links pass a dot alike, or the stretch to it would not be one
        directions: dict[edits.Point, QPointF] = {}
        for _, way, places in stops:
            for index, point in enumerate(way):
                ahead = curves.direction(places[index], places[index + 2])
                directions[point] = directions.get(point, QPointF()) + ahead
        painted: set[edits.Way] = set()
        for item, way, places in stops:
            heads = {index: curves.unit(directions[point]) for index, point in enumerate(way)}
            shared = 0
            while shared < len(way) and way[: shared + 1] in painted:
                shared += 1
            if item.key not in self._lifted:
                painted.update(way[: index + 1] for index in range(len(way)))
            item.lead(curves.legs(places[0], places[1:-1], places[-1], heads), shared)

    def _ends(self, link: LinkItem) -> tuple[QPointF, QPointF] | None:
        start = self._nodes[link.source.node].socket_pos(link.source.output, is_output=True)
        end = self._nodes[link.target].socket_pos(link.port, is_output=False)
        return None if start is None or end is None else (start, end)

    def restyle(self) -> None:
        """Paint everything in the colours of the look's theme."""
        for link in self.links.values():
            link.restyle()
        for dot in self.dots.values():
            dot.update()

    # --- for gestures

    def around(self, names: Iterable[NodeId]) -> dict[Input, None]:
        """The links that enter or leave nodes."""
        found: dict[Input, None] = {}
        for name in names:
            found.update(dict.fromkeys((name, port) for port in self._nodes[name].node.inputs))
            found.update(dict.fromkeys(self.leaving(name)))
        return found

    def follow(self, moved: Iterable[NodeId], dots: Mapping[Dot, QPointF]) -> None:
        """Let links follow nodes that a hand has moved, and dots stand elsewhere, for the time of a gesture."""
        bent: set[Link] = set()
        for dot, place in dots.items():
            self._dragged[dot] = place
            self.dots[dot].setPos(place)
            bent.add(dot.source)
        for key in self.around(moved):
            link = self.links.get(key)
            if link is None:
                continue
            ends = self._ends(link)
            if link.source in self._bent:
                bent.add(link.source)
            elif ends is not None:
                link.lead([curves.leg(*ends)])
        for source in bent:
            self._lead_from(source)

    def dragged(self) -> dict[Dot, QPointF]:
        """The dots that a gesture has moved, and where the document says that they stand."""
        return {dot: QPointF(*dot.at) for dot in self._dragged if dot in self.dots}

    def let_go(self) -> None:
        """Forget what a gesture has moved."""
        self._dragged = {}

    def lift(self, links: Iterable[Input]) -> None:
        """Hide these links, which a hand has taken off, and show those that were hidden before."""
        lifted = frozenset(links)
        changed = [self.links[key] for key in lifted ^ self._lifted if key in self.links]
        self._lifted = lifted
        for link in changed:
            link.setVisible(link.key not in lifted)
        for source in {link.source for link in changed} & self._bent:
            self._lead_from(source)

    # --- finding

    def link_at(self, point: QPointF, reach: float) -> LinkItem | None:
        """The nearest link within ``reach`` of a point, or None."""
        near = QRectF(point.x() - reach, point.y() - reach, 2 * reach, 2 * reach)
        found = [(link.distance(point), link) for link in self.links_near(near)]
        best = min(found, key=lambda pair: pair[0], default=None)
        return best[1] if best and best[0] <= reach else None

    def links_near(self, rect: QRectF) -> list[LinkItem]:
        """Links whose bounds meet a rectangle, with all that may share a painted stretch with them."""
        found: dict[Input, LinkItem] = {}
        for item in self._scene.items(rect, Qt.ItemSelectionMode.IntersectsItemBoundingRect):
            if isinstance(item, LinkItem):
                found[item.key] = item
                if item.source in self._bent:
                    keys = self.leaving(item.source.node)
                    siblings = (self.links[key] for key in keys if key in self.links)
                    found.update({one.key: one for one in siblings if one.source == item.source})
        return list(found.values())

    def dot_at(self, point: QPointF, reach: float) -> DotItem | None:
        """The nearest dot within ``reach`` of a point, or None."""
        found = [(_distance(item.pos(), point), item) for item in self.dots.values()]
        best = min(found, key=lambda pair: pair[0], default=None)
        return best[1] if best and best[0] <= reach else None

    def dots_in(self, rect: QRectF) -> list[Dot]:
        """The dots on a rectangle."""
        return [dot for dot, item in self.dots.items() if rect.contains(item.pos())]


def _distance(one: QPointF, other: QPointF) -> float:
    return math.hypot(one.x() - other.x(), one.y() - other.y())
