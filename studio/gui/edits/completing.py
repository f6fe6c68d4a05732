"""What nodes still need: found among the nodes that are there, or added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from studio.errors import GraphError
from studio.graph import Graph, Link, NodeId, NodeType, Port, Types, fits
from studio.gui.edits.links import connect, known_types
from studio.gui.edits.nodes import add_node
from studio.gui.edits.offering import matching_types
from studio.gui.edits.placing import auto_layout, free_place
from studio.gui.edits.view import NO_SIZES, Rect, Sizes, boxes, move, positions
from studio.workflow import Workflow

_MOST = 60
"""Nodes that are added for one; more means that types ask for each other in a circle."""
_GAP = 100.0


def missing(w: Workflow, types: Types, node: str) -> list[Port]:
    """The required inputs of a node that nothing is linked to."""
    found = w.graph.node(node)
    declared = known_types(w, types).get(found.type)
    ports = declared.inputs if declared else ()
    return [port for port in ports if not port.optional and port.name not in found.inputs]


def completed(
    w: Workflow, types: Types, ids: Sequence[str], sizes: Sizes = NO_SIZES
) -> tuple[Workflow, list[NodeId]]:
    """Link every required input of nodes that is free, and those of the nodes that are added for it.

    What is there is taken first, of that what feeds nothing yet. What is added stands to the left of the first of
    ``ids``. Returns the new nodes. Raises GraphError where no node type gives what is needed.
    """
    work = _Work(w, known_types(w, types))
    work.fill([w.graph.node(node).id for node in ids])
    if not work.added:
        return work.w, []
    return _placed(work.w, types, work.added, w.graph.node(ids[0]).id, sizes), work.added


@dataclass
class _Work:
    """A workflow that is being completed."""

    w: Workflow
    known: Types
    added: list[NodeId] = field(default_factory=list)

    def fill(self, pending: list[NodeId]) -> None:
        while pending:
            node = pending.pop(0)
            for port in missing(self.w, self.known, node):
                if len(self.added) == _MOST:
                    raise GraphError(node, port.name, "needs too many nodes", remedy="link it")
                here = self._giver(node, port)
                if here is None:
                    here = self._new(node, port)
                    pending.append(here[0])
                self.w = connect(self.w, self.known, here[0], here[1], node, port.name)

    def _giver(self, node: NodeId, port: Port) -> tuple[NodeId, str] | None:
        """The best output that is here already."""
        graph = self.w.graph
        after = {one.id for one in graph if node in graph.needed([one.id])}
        used = {link.node for one in graph for link in one.inputs.values()}
        own = set(graph.nodes[node].inputs.values())
        ranked: list[tuple[tuple[bool, ...], NodeId, str]] = []
        for other in graph:
            declared = self.known.get(other.type)
            if other.id in after or declared is None or other.mode == "mute":
                continue
            for output in declared.outputs:
                # two inputs of a node are there for two things
                is_own = Link(other.id, output.name) in own
                if fits(output.type, port.type) and not is_own:
                    rank = (
                        other.id in used,
                        output.type is not port.type,
                        output.name != port.name,
                    )
                    ranked.append((rank, other.id, output.name))
        best = min(ranked, key=lambda one: one[0], default=None)
        return best[1:] if best else None

    def _new(self, node: NodeId, port: Port) -> tuple[NodeId, str]:
        found = self.w.graph.node(node)
        declared = self.known[found.type]
        offered = [
            name
            for name in matching_types(self.known, port=port.type)
            if not name.startswith(Graph.GROUP) and name != found.type
        ]
        if not offered:
            raise GraphError(
                node, port.name, f"needs {port.type.__name__}, and no node gives that",
                remedy="install a pack that declares one",
            )  # fmt: skip
        if not declared.is_output:
            # in the middle of a graph what needs nothing itself is the shorter way
            offered.sort(key=lambda name: _needs(self.known[name]) > 0)
        self.w, name = add_node(self.w, self.known, offered[0])
        self.added.append(name)
        outputs = self.known[offered[0]].outputs
        return name, next(one.name for one in outputs if fits(one.type, port.type))


def _needs(declared: NodeType) -> int:
    return sum(not port.optional for port in declared.inputs)


def _placed(
    w: Workflow, types: Types, added: Sequence[NodeId], beside: NodeId, sizes: Sizes
) -> Workflow:
    """Lay new nodes out to the left of another, where nothing stands."""
    w = auto_layout(w, types, added)
    rects = boxes(w, added, NO_SIZES)
    left, top = min(x for x, _, _, _ in rects.values()), min(y for _, y, _, _ in rects.values())
    right = max(x + width for x, _, width, _ in rects.values())
    bottom = max(y + height for _, y, _, height in rects.values())
    x, y = positions(w).get(beside, (0.0, 0.0))
    others = [name for name in w.graph.nodes if name not in set(added)]
    whole: Rect = (x - _GAP - (right - left), y, right - left, bottom - top)
    at = free_place(list(boxes(w, others, sizes).values()), whole)
    return move(
        w, {name: (px - left + at[0], py - top + at[1]) for name, (px, py, _, _) in rects.items()}
    )
