"""Frames behind nodes and notes on the canvas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from studio.errors import GraphError
from studio.graph import Json, NodeId
from studio.gui.edits.routes import Dot, move_dots
from studio.gui.edits.view import (
    NO_SIZES,
    Rect,
    Sizes,
    boxes,
    move,
    positions,
    rect_of,
    view_list,
    whole,
    with_view,
)
from studio.gui.layout import Point, Size
from studio.workflow import Workflow

_MARGIN = 24.0
_TITLE = 40.0
_NOTE_SIZE = (240.0, 120.0)


@dataclass(frozen=True)
class Frame:
    """A titled backdrop behind nodes; ``index`` is its place in the view's list."""

    index: int
    title: str
    rect: Rect
    color: str = ""


@dataclass(frozen=True)
class Note:
    """A text on the canvas; ``index`` is its place in the view's list."""

    index: int
    text: str
    rect: Rect


def frames(w: Workflow) -> tuple[Frame, ...]:
    """The frames that can be read; the file may hold others, which are kept."""
    found = []
    for index, fields in enumerate(view_list(w, "frames")):
        rect = rect_of(fields)
        if rect and isinstance(fields, dict):
            title, color = fields.get("title"), fields.get("color")
            found.append(Frame(index, _text(title), rect, _text(color)))
    return tuple(found)


def notes(w: Workflow) -> tuple[Note, ...]:
    """The notes that can be read; the file may hold others, which are kept."""
    found = []
    for index, fields in enumerate(view_list(w, "notes")):
        rect = rect_of(fields)
        if rect and isinstance(fields, dict):
            found.append(Note(index, _text(fields.get("text")), rect))
    return tuple(found)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def frame(
    w: Workflow, ids: Iterable[str], title: str, color: str = "", sizes: Sizes = NO_SIZES
) -> Workflow:
    """Put a titled backdrop behind nodes; the same workflow if none of them has a place."""
    taken = list(boxes(w, ids, sizes).values())
    if not taken:
        return w
    left = min(x for x, _, _, _ in taken) - _MARGIN
    top = min(y for _, y, _, _ in taken) - _MARGIN - _TITLE
    right = max(x + width for x, _, width, _ in taken) + _MARGIN
    bottom = max(y + height for _, y, _, height in taken) + _MARGIN
    fields: dict[str, Json] = {
        "title": title,
        "rect": whole((left, top, right - left, bottom - top)),
    }
    if color:
        fields["color"] = color
    return with_view(w, "frames", [*view_list(w, "frames"), fields])


def set_frame(
    w: Workflow,
    index: int,
    *,
    title: str | None = None,
    rect: Rect | None = None,
    color: str | None = None,
) -> Workflow:
    """Change a frame; what is None stays, and a colour of "" is the theme's."""
    changes: dict[str, Json] = {}
    if title is not None:
        changes["title"] = title
    if rect is not None:
        changes["rect"] = whole(rect)
    if color is not None:
        changes["color"] = color or None
    return _with_entry(w, "frames", index, changes)


def move_frame(
    w: Workflow, index: int, to: Point, ids: Iterable[str] = (), dots: Iterable[Dot] = ()
) -> Workflow:
    """Move a frame's corner, and with it the nodes and dots that stood on it as the gesture began."""
    found = next((one for one in frames(w) if one.index == index), None)
    if found is None:
        raise GraphError("frames", str(index), "there is no such frame")
    x, y, width, height = found.rect
    shift = (to[0] - x, to[1] - y)
    w = set_frame(w, index, rect=(to[0], to[1], width, height))
    w = move_dots(w, {dot: (dot.at[0] + shift[0], dot.at[1] + shift[1]) for dot in dots})
    places = positions(w)
    moved: dict[str, Point] = {
        node: (places[node][0] + shift[0], places[node][1] + shift[1])
        for node in (w.graph.node(name).id for name in ids)
        if node in places
    }
    return move(w, moved)


def remove_frame(w: Workflow, index: int) -> Workflow:
    """Take a frame away; what stands on it stays."""
    return _without_entry(w, "frames", index)


def nodes_in_frame(w: Workflow, frame: Frame, sizes: Sizes = NO_SIZES) -> list[NodeId]:
    """The nodes that stand on a frame: whose middle is on it."""
    left, top, width, height = frame.rect
    return [
        node
        for node, (x, y, w_, h_) in boxes(w, w.graph.nodes, sizes).items()
        if left <= x + w_ / 2 <= left + width and top <= y + h_ / 2 <= top + height
    ]


def note(w: Workflow, at: Point, text: str, size: Size = _NOTE_SIZE) -> Workflow:
    """Put a note on the canvas."""
    fields: dict[str, Json] = {"text": text, "rect": whole((*at, *size))}
    return with_view(w, "notes", [*view_list(w, "notes"), fields])


def set_note(
    w: Workflow, index: int, *, text: str | None = None, rect: Rect | None = None
) -> Workflow:
    """Change a note; what is None stays."""
    changes: dict[str, Json] = {}
    if text is not None:
        changes["text"] = text
    if rect is not None:
        changes["rect"] = whole(rect)
    return _with_entry(w, "notes", index, changes)


def remove_note(w: Workflow, index: int) -> Workflow:
    """Take a note away."""
    return _without_entry(w, "notes", index)


def _with_entry(w: Workflow, key: str, index: int, changes: Mapping[str, Json]) -> Workflow:
    """Change an entry of a list in the view; a field that becomes None goes."""
    entries = list(view_list(w, key))
    old = entries[index] if 0 <= index < len(entries) else None
    if not isinstance(old, dict):
        raise GraphError(key, str(index), f"there is no such {key.removesuffix('s')}")
    entries[index] = {k: v for k, v in {**old, **changes}.items() if v is not None}
    return with_view(w, key, entries)


def _without_entry(w: Workflow, key: str, index: int) -> Workflow:
    entries = view_list(w, key)
    if not 0 <= index < len(entries):
        raise GraphError(key, str(index), f"there is no such {key.removesuffix('s')}")
    return with_view(w, key, [*entries[:index], *entries[index + 1 :]])
