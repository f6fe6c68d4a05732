"""Nodes and dots moved, nodes copied, dropped on links and shaken out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt

from studio.graph import NodeId
from studio.gui import edits
from studio.gui.canvas.gestures.gesture import Pointer, snapped
from studio.gui.canvas.link_item import LinkItem
from studio.gui.edits import Dot

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

SHAKE_TURNS = 4
SHAKE_REACH = 24
"""Pixels of the screen that a turn must span."""
SHAKE_MS = 1200


class Move:
    """Moves the selected nodes and dots; dropped on a link, a single one goes into it; shaken, it leaves its links."""

    def __init__(self, canvas: Canvas, *, is_copy: bool) -> None:
        self._canvas = canvas
        self._is_copy = is_copy
        self._start = QPointF()
        self._places: dict[NodeId, QPointF] = {}
        self._dots: dict[Dot, QPointF] = {}
        self._delta = QPointF()
        self._link: LinkItem | None = None
        self._shake = _Shake()
        self._is_shaken = False

    def begin(self, at: Pointer) -> None:
        """Take hold of what is selected and not pinned."""
        content = self._canvas.content
        self._start = at.scene
        self._places = {
            name: content.nodes[name].pos()
            for name in content.selection
            if self._is_copy or not content.nodes[name].is_pinned
        }
        if not self._is_copy:
            self._dots = {dot: content.dots[dot].pos() for dot in content.selected_dots}
        for name in self._places:
            content.nodes[name].setZValue(5.0)

    def move(self, at: Pointer) -> None:
        """Follow the hand; with Shift, on the grid."""
        if not self._places and not self._dots:
            return
        content = self._canvas.content
        delta = at.scene - self._start
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            first = next(iter([*self._places.values(), *self._dots.values()]))
            delta = snapped(first + delta) - first
        self._delta = delta
        content.place(
            {name: place + delta for name, place in self._places.items()},
            {dot: place + delta for dot, place in self._dots.items()},
        )
        self._mark(None if at.has(Qt.KeyboardModifier.AltModifier) else self._under())
        if self._shake.feel(at) and self._places and not self._is_copy:
            self._is_shaken = True
            self._canvas.status.emit(self._canvas.tr("Shaken out of its links"))

    def end(self, at: Pointer) -> None:
        """One step of the history."""
        canvas, link = self._canvas, self._link
        self._put_down()
        if not (self._places or self._dots) or self._delta == QPointF():
            canvas.content.restore()
            return
        if self._is_copy:
            canvas.content.restore()
            offset = (self._delta.x(), self._delta.y())
            canvas.copy_selected(offset, with_links=False)
            return
        places: dict[str, edits.Point] = {
            name: ((place + self._delta).x(), (place + self._delta).y())
            for name, place in self._places.items()
        }
        ends = {
            dot: ((place + self._delta).x(), (place + self._delta).y())
            for dot, place in self._dots.items()
        }
        moved = edits.move_dots(edits.move(canvas.workflow, places), ends)
        text = canvas.tr("Move {}").format(canvas.named(self._places, len(ends)))
        types = canvas.content.types
        if self._is_shaken:
            moved = edits.extract(moved, types, self._places)
            text = canvas.tr("Pull out {}").format(canvas.named(self._places))
        elif link is not None:
            name = next(iter(self._places))
            middle = canvas.content.nodes[name].scene_rect.center()
            leg, _ = link.foot(middle)
            moved = edits.insert_on_link(moved, types, name, link.key, leg)
            text = canvas.tr("Insert {}").format(name)
        canvas.commit(moved, text)
        canvas.content.restore()
        if ends:
            dots = [dot.at_point(end) for dot, end in ends.items()]
            canvas.content.select(canvas.content.selection, dots=dots)

    def cancel(self) -> None:
        """Put everything back."""
        self._put_down()
        self._canvas.content.restore()

    def _put_down(self) -> None:
        self._mark(None)
        for name in self._places:
            if name in self._canvas.content.nodes:
                self._canvas.content.nodes[name].setZValue(0.0)

    def _mark(self, link: LinkItem | None) -> None:
        if link is self._link:
            return
        if self._link is not None:
            self._link.set_marked(False)
        if link is not None:
            link.set_marked(True)
        self._link = link

    def _under(self) -> LinkItem | None:
        """The link that the one moved node would go into."""
        if len(self._places) != 1 or self._dots or self._is_copy:
            return None
        content = self._canvas.content
        name = next(iter(self._places))
        item = content.nodes[name]
        rect = item.scene_rect
        # only its middle counts: links run past many nodes
        middle = rect.adjusted(rect.width() * 0.2, 4, -rect.width() * 0.2, -rect.height() * 0.3)
        for link in content.wires.links_near(middle):
            if name in (link.target, link.source.node) or not link.enters(middle):
                continue
            if self._canvas.can_insert(name, link):
                return link
        return None


class SelectAndMove:
    """Adds the node or dot under the hand to the selection before it is moved."""

    def __init__(self, canvas: Canvas, taken: NodeId | Dot, move: Move) -> None:
        self._canvas = canvas
        self._taken = taken
        self._move = move

    def begin(self, at: Pointer) -> None:
        """Select and take hold."""
        content = self._canvas.content
        is_added = at.has(Qt.KeyboardModifier.ShiftModifier) or at.has(
            Qt.KeyboardModifier.ControlModifier
        )
        names = [*(content.selection if is_added else ())]
        dots = [*(content.selected_dots if is_added else ())]
        if isinstance(self._taken, Dot):
            content.select(names, dots=[*dots, self._taken])
        else:
            content.select([*names, self._taken], dots=dots)
        self._move.begin(at)

    def move(self, at: Pointer) -> None:
        """Follow the hand."""
        self._move.move(at)

    def end(self, at: Pointer) -> None:
        """Put down."""
        self._move.end(at)

    def cancel(self) -> None:
        """Put back."""
        self._move.cancel()


class _Shake:
    """Feels a hand that goes to and fro."""

    def __init__(self) -> None:
        self._turns: list[int] = []
        self._anchor: int | None = None
        self._direction = 0

    def feel(self, at: Pointer) -> bool:
        """Take the next place; True once the hand has turned often enough in a short time."""
        x = at.view.x()
        if self._anchor is None:
            self._anchor = x
            return False
        moved = x - self._anchor
        direction = 1 if moved > 0 else -1
        if abs(moved) < SHAKE_REACH:
            # the anchor goes along with the direction, so that a turn counts from its far end
            if direction == self._direction:
                self._anchor = x
            return False
        if direction != self._direction:
            if self._direction:
                self._turns.append(at.time_ms)
            self._direction = direction
        self._anchor = x
        self._turns = [time for time in self._turns if at.time_ms - time <= SHAKE_MS]
        return len(self._turns) >= SHAKE_TURNS
