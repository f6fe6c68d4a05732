"""Reroutes: the dots that links bend at. They are looks: they change no link, no key and no result.

The view holds them by the input that a link enters, from the source to the target. Links of one output that pass the
same point share the dot there: moved or removed, it is so for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from studio.graph import Graph, Json, Link, NodeId
from studio.gui.edits.view import Rect, numbers_in, view_object, whole, with_view
from studio.gui.layout import Point
from studio.workflow import Workflow

Input = tuple[NodeId, str]
"""The node and port that a link enters, by which the link is named."""
Way = tuple[Point, ...]
"""The dots of a link, from its source to its target."""
_KEY = "routes"


@dataclass(frozen=True)
class Dot:
    """Where links from an output bend."""

    source: Link
    at: Point

    def at_point(self, point: Point) -> Dot:
        """The dot once it was moved to a point: the file holds whole numbers."""
        return replace(self, at=_rounded(point))


@dataclass(frozen=True)
class Bend:
    """A place on a link for a new dot: between which two of its ends and dots, and where."""

    link: Input
    leg: int
    """How many dots of the link come before."""
    at: Point


def routes(w: Workflow) -> dict[Input, Way]:
    """The dots of those links that exist and have some; what the file holds beyond that is passed over."""
    found: dict[Input, Way] = {}
    for name, ports in view_object(w, _KEY).items():
        node = w.graph.nodes.get(NodeId(name))
        if node is None or not isinstance(ports, dict):
            continue
        for port, points in ports.items():
            way = _way(points)
            if way and port in node.inputs:
                found[node.id, port] = way
    return found


def _way(points: Json) -> Way:
    pairs = [numbers_in(point, 2) for point in points] if isinstance(points, list) else []
    return tuple((pair[0], pair[1]) for pair in pairs) if all(pairs) else ()


def dots(w: Workflow) -> list[Dot]:
    """Every dot, each once."""
    found: dict[Dot, None] = {}
    for (node, port), way in routes(w).items():
        source = w.graph.nodes[node].inputs[port]
        found.update(dict.fromkeys(Dot(source, point) for point in way))
    return list(found)


def dots_in(w: Workflow, rect: Rect) -> list[Dot]:
    """The dots on a rectangle."""
    left, top, width, height = rect
    return [
        dot
        for dot in dots(w)
        if left <= dot.at[0] <= left + width and top <= dot.at[1] <= top + height
    ]


def way_to(w: Workflow, dot: Dot) -> Way:
    """The dots from an output to one of its dots, which is the last of them; nothing where it is gone."""
    for (node, port), way in routes(w).items():
        if dot.at in way and w.graph.nodes[node].inputs[port] == dot.source:
            return way[: way.index(dot.at) + 1]
    return ()


def routed(w: Workflow, ways: Mapping[Input, Sequence[Point]]) -> Workflow:
    """Lead links over these dots and no others; dots of one link that follow each other at one point become one."""
    if not ways:
        return w
    told = dict(view_object(w, _KEY))
    for (node, port), way in ways.items():
        old = told.get(node)
        ports = dict(old) if isinstance(old, dict) else {}
        points = [_rounded(point) for point in way]
        kept: list[Json] = [
            whole(point)
            for index, point in enumerate(points)
            if points[index - 1 : index] != [point]
        ]
        ports.pop(port, None)
        if kept:
            ports[port] = kept
        if ports:
            told[node] = ports
        elif isinstance(old, dict):
            del told[node]
    return with_view(w, _KEY, told)


def add_dots(w: Workflow, bends: Iterable[Bend]) -> tuple[Workflow, list[Dot]]:
    """Put dots on links: links of one output that are bent together share one, in the middle between the places.

    A dot on a stretch that several links share is put on all of them. Returns the new dots as well.
    """
    ways = routes(w)
    together: dict[Link, dict[Input, Bend]] = {}
    for bend in bends:
        source = w.graph.node(bend.link[0]).inputs.get(bend.link[1])
        if source is not None:
            together.setdefault(source, {}).setdefault(bend.link, bend)
    changed: dict[Input, Way] = {}
    made: list[Dot] = []
    for source, bent in together.items():
        count = len(bent)
        middle = _rounded(
            (
                sum(b.at[0] for b in bent.values()) / count,
                sum(b.at[1] for b in bent.values()) / count,
            )
        )
        for link, leg in _sharing(w, ways, source, bent.values()).items():
            way = ways.get(link, ())
            changed[link] = (*way[:leg], middle, *way[leg:])
        made.append(Dot(source, middle))
    return routed(w, changed), made


def _sharing(
    w: Workflow, ways: Mapping[Input, Way], source: Link, bends: Collection[Bend]
) -> dict[Input, int]:
    """The links that run along the stretches which are bent, with the number of dots before."""
    found = {bend.link: bend.leg for bend in bends}
    # a stretch that ends in an input is that input's alone
    stretches = {
        way[: bend.leg + 1] for bend in bends if bend.leg < len(way := ways.get(bend.link, ()))
    }
    for link, way in ways.items():
        if w.graph.nodes[link[0]].inputs[link[1]] == source:
            for stretch in stretches:
                if way[: len(stretch)] == stretch:
                    found.setdefault(link, len(stretch) - 1)
    return found


def move_dots(w: Workflow, places: Mapping[Dot, Point]) -> Workflow:
    """Put dots elsewhere, for all links that share them."""
    return _replaced(w, {dot: (place,) for dot, place in places.items()})


def remove_dots(w: Workflow, gone: Iterable[Dot]) -> Workflow:
    """Take dots out of their links, which stay."""
    return _replaced(w, dict.fromkeys(gone, ()))


def _replaced(w: Workflow, by: Mapping[Dot, Way]) -> Workflow:
    changed: dict[Input, Way] = {}
    for (node, port), way in routes(w).items():
        source = w.graph.nodes[node].inputs[port]
        if any(Dot(source, point) in by for point in way):
            changed[node, port] = tuple(
                place for point in way for place in by.get(Dot(source, point), (point,))
            )
    return routed(w, changed)


def unrouted(w: Workflow, after: Graph) -> Workflow:
    """The workflow with another graph, and without the dots of links that are not the same in it."""
    before = w.graph
    w = replace(w, graph=after)
    told = view_object(w, _KEY)
    stale: dict[Input, Way] = {}
    for name, ports in told.items():
        old, new = before.nodes.get(NodeId(name)), after.nodes.get(NodeId(name))
        for port in ports if isinstance(ports, dict) else ():
            link = new.inputs.get(port) if new else None
            if link != (old.inputs.get(port) if old else None):
                stale[NodeId(name), port] = ()
    return routed(w, stale)


def straight(w: Workflow, links: Iterable[Input]) -> Workflow:
    """Take the dots of links away."""
    ways = routes(w)
    return routed(w, {link: () for link in links if link in ways})


def _rounded(point: Point) -> Point:
    x, y = (float(number) for number in whole(point) if isinstance(number, int))
    return (x, y)
