"""Many nodes put in order: aligned, distributed, laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from studio.graph import Node, Types
from studio.gui.edits.links import known_types
from studio.gui.edits.routes import straight
from studio.gui.edits.view import (
    NO_SIZES,
    Rect,
    Sizes,
    boxes,
    move,
    pinned,
    placed,
    positions,
    sizes_of,
)
from studio.gui.layout import Edge, Point, layered
from studio.workflow import Workflow

_BELOW = 64.0
_APART = 24.0
Align = Literal["left", "center", "right", "top", "middle", "bottom"]


def align(w: Workflow, ids: Iterable[str], how: Align, sizes: Sizes = NO_SIZES) -> Workflow:
    """Line nodes up: by their left or right edges or centres, by their tops, bottoms or middles."""
    found = boxes(w, ids, sizes)
    if len(found) < 2:
        return w
    across, share = _ALIGNMENTS[how]
    starts = [box[across] + share * box[across + 2] for box in found.values()]
    low = min(box[across] for box in found.values())
    high = max(box[across] + box[across + 2] for box in found.values())
    line = {0.0: min(starts), 0.5: (low + high) / 2, 1.0: max(starts)}[share]
    places: dict[str, Point] = {}
    for node, box in found.items():
        place = line - share * box[across + 2]
        places[node] = (place, box[1]) if across == 0 else (box[0], place)
    return move(w, places)


_ALIGNMENTS: Mapping[Align, tuple[int, float]] = {
    "left": (0, 0.0),
    "center": (0, 0.5),
    "right": (0, 1.0),
    "top": (1, 0.0),
    "middle": (1, 0.5),
    "bottom": (1, 1.0),
}


def distribute(
    w: Workflow, ids: Iterable[str], axis: Literal["x", "y"], sizes: Sizes = NO_SIZES
) -> Workflow:
    """Leave the same gap between neighbours along an axis; the outermost two stay."""
    found = boxes(w, ids, sizes)
    if len(found) < 3:
        return w
    across = 0 if axis == "x" else 1
    order = sorted(found, key=lambda node: (found[node][across], node))
    first, last = found[order[0]], found[order[-1]]
    inner = sum(found[node][across + 2] for node in order[:-1])
    gap = (last[across] - first[across] - inner) / (len(order) - 1)
    places: dict[str, Point] = {}
    along = first[across]
    for node in order:
        box = found[node]
        places[node] = (along, box[1]) if axis == "x" else (box[0], along)
        along += box[across + 2] + gap
    return move(w, places)


def free_place(taken: Iterable[Rect], wanted: Rect) -> Point:
    """Where a rectangle touches none that is taken: where it is wanted, or as little below as may be."""
    x, y, width, height = wanted
    beside = sorted(
        (top, top + tall)
        for left, top, wide, tall in taken
        if left < x + width + _APART and x < left + wide + _APART
    )
    for top, bottom in beside:
        if top < y + height + _APART and y < bottom + _APART:
            y = bottom + _APART
    return (x, y)


def auto_layout(
    w: Workflow, types: Types, ids: Iterable[str] | None = None, sizes: Sizes = NO_SIZES
) -> Workflow:
    """Lay nodes out (None: all) so that links run from left to right and nothing overlaps; pinned ones stay.

    The corner of what is laid out stays where it was; the same graph and sizes give the same places.
    """
    known = known_types(w, types)
    fixed = pinned(w)
    wanted = w.graph.nodes if ids is None else [w.graph.node(node).id for node in ids]
    chosen = sizes_of(w, known, (node for node in wanted if node not in fixed), sizes)
    if not chosen:
        return w
    edges = [
        Edge(
            link.node,
            node.id,
            leaves=_height(known, w.graph.nodes[link.node], "output", link.output),
            enters=_height(known, node, "input", port),
        )
        for node in (w.graph.nodes[name] for name in chosen)
        for port, link in node.inputs.items()
        if link.node in chosen
    ]
    places = layered(chosen, edges)
    old = [place for node, place in positions(w).items() if node in chosen]
    left, top = (min(x for x, _ in old), min(y for _, y in old)) if old else (0.0, 0.0)
    w = placed(w, {node: (x + left, y + top) for node, (x, y) in places.items()})
    # their dots led round nodes that stand elsewhere now
    inner = (
        (name, port)
        for name in chosen
        for port, link in w.graph.nodes[name].inputs.items()
        if link.node in chosen
    )
    return straight(w, inner)


def _height(known: Types, node: Node, side: Literal["input", "output"], name: str) -> float:
    """How far down its side a socket sits, as a share, by its place in the declaration."""
    declared = known.get(node.type)
    if declared is None:
        return 0.5
    ports = declared.sockets if side == "input" else declared.outputs
    index = next((number for number, port in enumerate(ports) if port.name == name), None)
    return 0.5 if index is None else (index + 0.5) / len(ports)


def arranged(w: Workflow, types: Types, sizes: Sizes = NO_SIZES) -> Workflow:
    """Give a place to every node that has none, as in a file written by hand: laid out, below those that have one.

    In the bodies of groups as well. The same workflow if every node has a place.
    """
    w = _arranged(w, types, sizes)
    bodies = {}
    for name, one in w.groups.items():
        inside = Workflow(graph=one.graph, groups=w.groups, view=one.view)
        places = _arranged(inside, types, NO_SIZES)
        if places is not inside:
            bodies[name] = replace(one, view=places.view)
    return replace(w, groups={**w.groups, **bodies}) if bodies else w


def _arranged(w: Workflow, types: Types, sizes: Sizes) -> Workflow:
    places = positions(w)
    missing = [node for node in w.graph.nodes if node not in places]
    if not missing:
        return w
    alone = replace(w, view={key: one for key, one in w.view.items() if key == "collapsed"})
    found = positions(auto_layout(alone, types, missing, sizes))
    left = top = 0.0
    if places:
        left = min(x for x, _ in places.values())
        taken = sizes_of(w, known_types(w, types), places, sizes)
        top = max(y + taken[node][1] for node, (_, y) in places.items()) + _BELOW
    return placed(w, {node: (found[node][0] + left, found[node][1] + top) for node in missing})
