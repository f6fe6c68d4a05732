"""Where nodes go: sizes estimated from ports and parameters, and a layered layout that lets links run left to right.

The layout is that of Sugiyama, Tagawa and Toda 1981: layers by longest path, crossings reduced by barycentres, and
heights by least squares under the order found. It needs no toolkit and gives the same positions for the same graph.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from studio.graph import Node, NodeId, NodeType

Point = tuple[float, float]
Size = tuple[float, float]

NODE_WIDTH = 200.0
TITLE_HEIGHT = 28.0
ROW_HEIGHT = 22.0
GAP_X = 80.0
GAP_Y = 32.0
COMPONENT_GAP = 64.0
_LOOSE_IN_A_ROW = 4
_SWEEPS = 12


def estimated_size(
    node: Node, declared: NodeType | None = None, *, is_collapsed: bool = False
) -> Size:
    """Width and height of a node that nobody has painted yet, in scene units.

    A title, then a row for each output, input and parameter; of an unknown type, for what the node itself holds.
    """
    if is_collapsed:
        return (NODE_WIDTH, TITLE_HEIGHT)
    if declared is None:
        rows = len(node.inputs) + len(node.params) + 1
    else:
        rows = len(declared.inputs) + len(declared.params) + len(declared.outputs)
    return (NODE_WIDTH, TITLE_HEIGHT + ROW_HEIGHT * max(rows, 1) + ROW_HEIGHT / 2)


class Edge(NamedTuple):
    """A link for the layout; ``leaves`` and ``enters`` are heights of the sockets as shares of their nodes."""

    source: NodeId
    target: NodeId
    leaves: float = 0.5
    enters: float = 0.5


def layered(sizes: Mapping[NodeId, Size], edges: Iterable[Edge]) -> dict[NodeId, Point]:
    """Top left corners of every node of an acyclic graph, from (0, 0) to the right and down, in whole numbers.

    No two nodes overlap. Parts that are not linked to each other stand one below the other, the largest first, and
    single nodes in rows at the end. What is not in ``sizes`` is left out; links that close a cycle are ignored.
    """
    kept = _without_cycles(sizes, edges)
    positions: dict[NodeId, Point] = {}
    top = 0.0
    loose: list[NodeId] = []
    for component in _components(sizes, kept):
        if len(component) == 1:
            loose.extend(component)
            continue
        inside = set(component)
        placed = _Layers(
            {node: sizes[node] for node in component},
            [edge for edge in kept if edge.source in inside],
        ).placed()
        positions.update({node: (x, y + top) for node, (x, y) in placed.items()})
        top = max(positions[node][1] + sizes[node][1] for node in component) + COMPONENT_GAP
    for start in range(0, len(loose), _LOOSE_IN_A_ROW):
        row = loose[start : start + _LOOSE_IN_A_ROW]
        x = 0.0
        for node in row:
            positions[node] = (x, top)
            x += sizes[node][0] + GAP_X
        top += max(sizes[node][1] for node in row) + GAP_Y
    return {node: (float(round(x)), float(round(y))) for node, (x, y) in positions.items()}


def _without_cycles(sizes: Mapping[NodeId, Size], edges: Iterable[Edge]) -> list[Edge]:
    """The edges between known nodes, ordered, without those that lead back into their own past."""
    known = sorted({edge for edge in edges if edge.source in sizes and edge.target in sizes})
    waiting = dict.fromkeys(sizes, 0)
    followers: dict[NodeId, list[NodeId]] = {node: [] for node in sizes}
    for edge in known:
        waiting[edge.target] += 1
        followers[edge.source].append(edge.target)
    ready = deque(sorted(node for node, count in waiting.items() if not count))
    rank: dict[NodeId, int] = {}
    while len(rank) < len(sizes):
        if not ready:  # a cycle: begin somewhere, the same place every time
            ready.append(min(node for node in sizes if node not in rank))
        node = ready.popleft()
        if node in rank:
            continue
        rank[node] = len(rank)
        for follower in followers[node]:
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return [edge for edge in known if rank[edge.source] < rank[edge.target]]


def _components(sizes: Mapping[NodeId, Size], edges: Sequence[Edge]) -> list[list[NodeId]]:
    """Linked parts of the graph, the largest first."""
    neighbours: dict[NodeId, list[NodeId]] = {node: [] for node in sizes}
    for edge in edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    seen: set[NodeId] = set()
    found: list[list[NodeId]] = []
    for start in sorted(sizes):
        if start in seen:
            continue
        seen.add(start)
        component = [start]
        for node in component:  # grows while it is walked
            for other in neighbours[node]:
                if other not in seen:
                    seen.add(other)
                    component.append(other)
        found.append(sorted(component))
    return sorted(found, key=lambda component: (-len(component), component[0]))


class _Slot(NamedTuple):
    """A place in a layer: a node, or (``bend`` > 0) a long link on its way through the layer."""

    node: NodeId
    target: str = ""
    bend: int = 0


class _Join(NamedTuple):
    """A piece of a link from one layer to the next."""

    slot: _Slot
    share: float
    """Height of the other end's socket, as a share of its slot."""


@dataclass
class _Layers:
    """One linked component on its way from sizes and edges to positions."""

    sizes: Mapping[NodeId, Size]
    edges: Sequence[Edge]
    layers: list[list[_Slot]] = field(default_factory=list)
    before: dict[_Slot, list[_Join]] = field(default_factory=dict)
    after: dict[_Slot, list[_Join]] = field(default_factory=dict)

    def placed(self) -> dict[NodeId, Point]:
        """Assign layers, order them, then set heights and columns."""
        self._fill(self._depths())
        self._order()
        heights = self._heights()
        positions: dict[NodeId, Point] = {}
        x = 0.0
        for layer in self.layers:
            nodes = [slot.node for slot in layer if not slot.bend]
            for slot in layer:
                if not slot.bend:
                    positions[slot.node] = (x, heights[slot])
            x += max((self.sizes[node][0] for node in nodes), default=0.0) + GAP_X
        top = min(y for _, y in positions.values())
        return {node: (x, y - top) for node, (x, y) in positions.items()}

    def _depths(self) -> dict[NodeId, int]:
        """The layer of each node: its longest path from a source; what mostly feeds stands next to what it feeds."""
        incoming: dict[NodeId, list[NodeId]] = {node: [] for node in self.sizes}
        outgoing: dict[NodeId, list[NodeId]] = {node: [] for node in self.sizes}
        for edge in self.edges:
            incoming[edge.target].append(edge.source)
            outgoing[edge.source].append(edge.target)
        waiting = {node: len(sources) for node, sources in incoming.items()}
        order = sorted(node for node, count in waiting.items() if not count)
        depths = dict.fromkeys(self.sizes, 0)
        for node in order:  # grows while it is walked
            for target in outgoing[node]:
                depths[target] = max(depths[target], depths[node] + 1)
                waiting[target] -= 1
                if not waiting[target]:
                    order.append(target)
        for node in reversed(order):
            if outgoing[node] and len(incoming[node]) < len(outgoing[node]):
                depths[node] = min(depths[target] for target in outgoing[node]) - 1
        return depths

    def _fill(self, depths: Mapping[NodeId, int]) -> None:
        self.layers = [[] for _ in range(max(depths.values()) + 1)]
        for node in sorted(self.sizes):
            self._enter(_Slot(node), depths[node])
        for edge in self.edges:
            slot, share = _Slot(edge.source), edge.leaves
            for depth in range(depths[edge.source] + 1, depths[edge.target] + 1):
                is_end = depth == depths[edge.target]
                bend = depth - depths[edge.source]
                following = _Slot(edge.target) if is_end else _Slot(edge.source, edge.target, bend)
                if following not in self.before:
                    self._enter(following, depth)
                self.after[slot].append(_Join(following, edge.enters if is_end else 0.5))
                self.before[following].append(_Join(slot, share))
                slot, share = following, 0.5

    def _enter(self, slot: _Slot, depth: int) -> None:
        self.layers[depth].append(slot)
        self.before[slot] = []
        self.after[slot] = []

    # --- order

    def _order(self) -> None:
        """Sweep to and fro, sorting each layer by the barycentres of its neighbours; keep the best order seen."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            is_forward = sweep % 2 == 0
            span = range(1, len(self.layers)) if is_forward else range(len(self.layers) - 2, -1, -1)
            for index in span:
                self._sort(
                    index,
                    self.before if is_forward else self.after,
                    index + (-1 if is_forward else 1),
                )
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _sort(self, index: int, joins: Mapping[_Slot, list[_Join]], fixed: int) -> None:
        place = {slot: number for number, slot in enumerate(self.layers[fixed])}
        own = {slot: number for number, slot in enumerate(self.layers[index])}

        def centre(slot: _Slot) -> float:
            found = [place[join.slot] + join.share for join in joins[slot]]
            return sum(found) / len(found) if found else own[slot] + 0.5

        self.layers[index].sort(key=centre)

    def _crossings(self) -> int:
        """How many pairs of links cross between neighbouring layers."""
        total = 0
        for left, right in zip(self.layers, self.layers[1:], strict=False):
            place = {slot: number for number, slot in enumerate(right)}
            ends: list[tuple[float, float]] = []
            for number, slot in enumerate(left):
                for join in self.after[slot]:
                    share = next(
                        (back.share for back in self.before[join.slot] if back.slot == slot), 0.5
                    )
                    ends.append((number + share, place[join.slot] + join.share))
            passed: list[float] = []
            for _, end in sorted(ends):
                total += len(passed) - bisect.bisect_right(passed, end)
                bisect.insort(passed, end)
        return total

    # --- heights

    def _height(self, slot: _Slot) -> float:
        return 0.0 if slot.bend else self.sizes[slot.node][1]

    def _heights(self) -> dict[_Slot, float]:
        """The top of every slot: as near to its neighbours as the order and the gaps allow."""
        tops: dict[_Slot, float] = {}
        for layer in self.layers:
            y = 0.0
            for slot in layer:
                tops[slot] = y
                y += self._height(slot) + GAP_Y
        for sweep in range(_SWEEPS):
            is_forward = sweep % 2 == 0
            order = self.layers if is_forward else list(reversed(self.layers))
            for layer in order:
                self._settle(layer, tops, is_last=sweep >= _SWEEPS - 2, is_forward=is_forward)
        return tops

    def _settle(
        self, layer: Sequence[_Slot], tops: dict[_Slot, float], *, is_last: bool, is_forward: bool
    ) -> None:
        wanted: list[float] = []
        for slot in layer:
            joins = self.before[slot] if is_forward else self.after[slot]
            if is_last:
                joins = self.before[slot] + self.after[slot]
            centres = [tops[join.slot] + self._height(join.slot) / 2 for join in joins]
            middle = sum(centres) / len(centres) if centres else tops[slot] + self._height(slot) / 2
            wanted.append(middle - self._height(slot) / 2)
        offsets = [0.0]
        for slot in layer[:-1]:
            offsets.append(offsets[-1] + self._height(slot) + GAP_Y)
        fitted = _rising([want - offset for want, offset in zip(wanted, offsets, strict=True)])
        for slot, base, offset in zip(layer, fitted, offsets, strict=True):
            tops[slot] = base + offset


def _rising(values: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to ``values`` by least squares (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean = (mean * count + other * size) / (count + size)
            count += size
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]
