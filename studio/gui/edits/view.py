"""What a workflow's view says of single nodes: where they stand, whether they are collapsed, pinned or coloured.

A view comes from a file, which may hold what this version cannot read: that is passed over, and kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from studio.graph import Json, NodeId, Types
from studio.gui.layout import Point, Size, estimated_size
from studio.workflow import Workflow

Sizes = Mapping[NodeId, Size]
Rect = tuple[float, float, float, float]
"""x, y, width, height."""
_FAR = 1e9
_BY_NODE = ("nodes", "colors", "routes")
"""The objects of the view whose keys are nodes."""
_LISTS = ("collapsed", "pinned", "tidy")
"""The lists of the view that name nodes."""
NO_SIZES: Sizes = MappingProxyType({})


def positions(w: Workflow) -> dict[NodeId, Point]:
    """Where nodes stand, of those that exist and have a place."""
    found: dict[NodeId, Point] = {}
    for name, place in view_object(w, "nodes").items():
        pair = numbers_in(place, 2)
        if pair and name in w.graph:
            found[NodeId(name)] = (pair[0], pair[1])
    return found


def collapsed(w: Workflow) -> frozenset[NodeId]:
    """The nodes that show their title only."""
    return _marked(w, "collapsed")


def pinned(w: Workflow) -> frozenset[NodeId]:
    """The nodes that stay where they are."""
    return _marked(w, "pinned")


def tidy(w: Workflow) -> frozenset[NodeId]:
    """The nodes that hide the sockets which nothing is linked to and nothing needs."""
    return _marked(w, "tidy")


def colors(w: Workflow) -> dict[NodeId, str]:
    """The names of the colours that nodes were given."""
    return {
        NodeId(name): color
        for name, color in view_object(w, "colors").items()
        if name in w.graph and isinstance(color, str)
    }


def view_object(w: Workflow, key: str) -> dict[str, Json]:
    """An object of the view; empty where there is none."""
    found = w.view.get(key)
    return found if isinstance(found, dict) else {}


def view_list(w: Workflow, key: str) -> list[Json]:
    """A list of the view; empty where there is none."""
    found = w.view.get(key)
    return found if isinstance(found, list) else []


def _marked(w: Workflow, key: str) -> frozenset[NodeId]:
    return frozenset(
        NodeId(name) for name in view_list(w, key) if isinstance(name, str) and name in w.graph
    )


def numbers_in(value: Json, count: int) -> list[float]:
    """``count`` numbers, or nothing."""
    if not isinstance(value, list) or len(value) != count:
        return []
    found = [
        float(one) for one in value if isinstance(one, int | float) and not isinstance(one, bool)
    ]
    return found if len(found) == count else []


def rect_of(fields: Json) -> Rect | None:
    """The rectangle of a frame or note, or None where it cannot be read."""
    found = numbers_in(fields.get("rect"), 4) if isinstance(fields, dict) else []
    return (found[0], found[1], found[2], found[3]) if found else None


def with_view(w: Workflow, key: str, value: Json) -> Workflow:
    """Set one key of the view; an empty value takes it out."""
    view = {name: other for name, other in w.view.items() if name != key}
    return replace(w, view={**view, key: value} if value else view)


def whole(numbers: Iterable[float]) -> list[Json]:
    """Numbers as the file holds them: whole, so that a nudge is a short difference; bounded, as its integers are."""
    return [round(min(max(number, -_FAR), _FAR)) for number in numbers]


def placed(w: Workflow, places: Mapping[NodeId, Point]) -> Workflow:
    """Put nodes at places, pinned or not."""
    if not places:
        return w
    nodes = view_object(w, "nodes")
    return with_view(
        w, "nodes", {**nodes, **{node: whole(place) for node, place in places.items()}}
    )


def mark(w: Workflow, key: str, ids: Iterable[str], on: bool) -> Workflow:
    """Put nodes on one of the view's lists, or take them off it."""
    names = {w.graph.node(node).id for node in ids}
    if not names:
        return w
    rest = [name for name in view_list(w, key) if not _is_among(name, names)]
    marked: list[Json] = [*rest, *sorted(names)] if on else rest
    return with_view(w, key, marked)


def forgotten(w: Workflow, gone: Collection[str]) -> Workflow:
    """Without what the view says about nodes."""
    for key in _BY_NODE:
        fields = view_object(w, key)
        if any(node in fields for node in gone):
            kept = {name: value for name, value in fields.items() if name not in gone}
            w = with_view(w, key, kept)
    for key in _LISTS:
        names = view_list(w, key)
        if any(node in names for node in gone):
            w = with_view(w, key, [name for name in names if not _is_among(name, gone)])
    return w


def renamed(w: Workflow, old: str, new: str) -> Workflow:
    """Let what the view says of a node hold for its new name."""
    for key in _BY_NODE:
        fields = view_object(w, key)
        if old in fields:
            w = with_view(w, key, {new if k == old else k: v for k, v in fields.items()})
    for key in _LISTS:
        names = view_list(w, key)
        if old in names:
            w = with_view(w, key, [new if name == old else name for name in names])
    return w


def _is_among(name: Json, names: Collection[str]) -> bool:
    return isinstance(name, str) and name in names


def move(w: Workflow, places: Mapping[str, Point]) -> Workflow:
    """Put nodes at new places; pinned ones stay."""
    fixed = pinned(w)
    return placed(
        w,
        {
            w.graph.node(node).id: place
            for node, place in places.items()
            if w.graph.node(node).id not in fixed
        },
    )


def collapse(w: Workflow, ids: Iterable[str], on: bool) -> Workflow:
    """Show nodes by their title only, or whole again."""
    return mark(w, "collapsed", ids, on)


def pin(w: Workflow, ids: Iterable[str], on: bool) -> Workflow:
    """Hold nodes where they are, or let them go."""
    return mark(w, "pinned", ids, on)


def hide_unused(w: Workflow, ids: Iterable[str], on: bool) -> Workflow:
    """Let nodes hide their unused sockets, or show all again."""
    return mark(w, "tidy", ids, on)


def color(w: Workflow, ids: Iterable[str], name: str | None) -> Workflow:
    """Give nodes a colour by its name in the theme, or none."""
    chosen = [w.graph.node(node).id for node in ids]
    painted = {key: value for key, value in view_object(w, "colors").items() if key not in chosen}
    if name is not None:
        painted.update(dict.fromkeys(chosen, name))
    return with_view(w, "colors", painted) if chosen else w


def sizes_of(
    w: Workflow, types: Types, ids: Iterable[str], sizes: Sizes = NO_SIZES
) -> dict[NodeId, Size]:
    """The painted sizes of nodes, or estimates."""
    small = collapsed(w)
    chosen = (w.graph.node(node) for node in ids)
    return {
        node.id: sizes[node.id]
        if node.id in sizes
        else estimated_size(node, types.get(node.type), is_collapsed=node.id in small)
        for node in chosen
    }


def boxes(w: Workflow, ids: Iterable[str], sizes: Sizes) -> dict[NodeId, Rect]:
    """The rectangles of those nodes that have a place."""
    places = positions(w)
    found = sizes_of(w, {}, ids, sizes)
    return {node: (*places[node], *size) for node, size in found.items() if node in places}


def named_in_view(w: Workflow) -> set[str]:
    """Every node of which the view says anything, there or not."""
    marked = [name for key in _LISTS for name in view_list(w, key)]
    told = [name for key in _BY_NODE for name in view_object(w, key)]
    return {*told, *(name for name in marked if isinstance(name, str))}
