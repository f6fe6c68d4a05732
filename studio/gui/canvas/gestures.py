"""What a hand does with the mouse, one object from press to release; ``cancel`` leaves everything as it was."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtWidgets import QRubberBand, QToolTip

from studio.graph import Json, Link, NodeId, Param, ParamKind, fits
from studio.gui import edits
from studio.gui.canvas.frame_item import LEAST, BoxItem
from studio.gui.canvas.link_item import KnifeTrace, LinkItem, LooseLink
from studio.gui.canvas.look import GRID
from studio.gui.canvas.scene import Plug
from studio.gui.edits import Frame
from studio.gui.number_field import step_of
from studio.registry import Range

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

SHAKE_TURNS = 4
SHAKE_REACH = 24
"""Pixels of the screen that a turn must span."""
SHAKE_MS = 1200
PIXELS_PER_STEP = 4.0
"""How far a hand moves to change a number by one step."""


@dataclass(frozen=True)
class Pointer:
    """Where the mouse is, and what is held down with it."""

    scene: QPointF
    view: QPoint
    modifiers: Qt.KeyboardModifier
    time_ms: int = 0

    def has(self, modifier: Qt.KeyboardModifier) -> bool:
        """Whether a modifier is held."""
        return bool(self.modifiers & modifier)


class Gesture(Protocol):
    """A press, moves, and a release or an escape."""

    def begin(self, at: Pointer) -> None:
        """The hand went down here and now moves."""

    def move(self, at: Pointer) -> None:
        """The hand is here."""

    def end(self, at: Pointer) -> None:
        """The hand let go here."""

    def cancel(self) -> None:
        """The hand thought better of it."""


class Pan:
    """Moves what is seen."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._last = QPoint()

    def begin(self, at: Pointer) -> None:
        """Take hold."""
        self._last = at.view
        self._canvas.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)

    def move(self, at: Pointer) -> None:
        """Follow the hand."""
        self._canvas.pan_by(at.view - self._last)
        self._last = at.view

    def end(self, at: Pointer) -> None:
        """Let go."""
        self._canvas.viewport().unsetCursor()

    def cancel(self) -> None:
        """Let go."""
        self._canvas.viewport().unsetCursor()


class Band:
    """Selects the nodes that a rectangle touches."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._before: dict[NodeId, None] = {}
        self._start = QPointF()
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, canvas.viewport())

    def begin(self, at: Pointer) -> None:
        """Fix one corner."""
        self._before = dict(self._canvas.content.selection)
        self._start = at.scene
        self._band.show()

    def move(self, at: Pointer) -> None:
        """Select what is inside now."""
        corner = self._canvas.mapFromScene(self._start)
        left, right = sorted((corner.x(), at.view.x()))
        top, bottom = sorted((corner.y(), at.view.y()))
        self._band.setGeometry(left, top, right - left, bottom - top)
        inside = self._canvas.content.nodes_in(QRectF(self._start, at.scene).normalized())
        wanted: dict[NodeId, None] = dict.fromkeys(inside)
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            wanted = {**self._before, **wanted}
        elif at.has(Qt.KeyboardModifier.ControlModifier):
            wanted = {
                **{name: None for name in self._before if name not in wanted},
                **{name: None for name in wanted if name not in self._before},
            }
        self._canvas.content.select(wanted)

    def end(self, at: Pointer) -> None:
        """Keep the selection."""
        self._band.deleteLater()

    def cancel(self) -> None:
        """Take the old selection back."""
        self._canvas.content.select(self._before)
        self._band.deleteLater()


class Move:
    """Moves the selected nodes; dropped on a link, a single one goes into it; shaken, it leaves its links."""

    def __init__(self, canvas: Canvas, *, is_copy: bool) -> None:
        self._canvas = canvas
        self._is_copy = is_copy
        self._start = QPointF()
        self._places: dict[NodeId, QPointF] = {}
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
        for name in self._places:
            content.nodes[name].setZValue(5.0)

    def move(self, at: Pointer) -> None:
        """Follow the hand; with Shift, on the grid."""
        if not self._places:
            return
        content = self._canvas.content
        delta = at.scene - self._start
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            first = next(iter(self._places.values()))
            delta = _snapped(first + delta) - first
        self._delta = delta
        content.place({name: place + delta for name, place in self._places.items()})
        self._mark(None if at.has(Qt.KeyboardModifier.AltModifier) else self._under())
        if self._shake.feel(at) and not self._is_copy:
            self._is_shaken = True
            self._canvas.status.emit(self._canvas.tr("Shaken out of its links"))

    def end(self, at: Pointer) -> None:
        """One step of the history."""
        canvas, link = self._canvas, self._link
        self._put_down()
        if not self._places or self._delta == QPointF():
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
        moved = edits.move(canvas.workflow, places)
        text = canvas.tr("Move {}").format(canvas.named(self._places))
        types = canvas.content.types
        if self._is_shaken:
            moved = edits.extract(moved, types, self._places)
            text = canvas.tr("Pull out {}").format(canvas.named(self._places))
        elif link is not None:
            name = next(iter(self._places))
            moved = edits.insert_on_link(moved, types, name, (link.target, link.port))
            text = canvas.tr("Insert {}").format(name)
        canvas.commit(moved, text)
        canvas.content.restore()

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
        if len(self._places) != 1 or self._is_copy:
            return None
        content = self._canvas.content
        name = next(iter(self._places))
        item = content.nodes[name]
        rect = item.scene_rect
        # only its middle counts: links run past many nodes
        middle = rect.adjusted(rect.width() * 0.2, 4, -rect.width() * 0.2, -rect.height() * 0.3)
        for link in content.links_near(middle):
            if name in (link.target, link.source.node) or not link.enters(middle):
                continue
            if self._canvas.can_insert(name, link):
                return link
        return None


class SelectAndMove:
    """Adds the node under the hand to the selection before it is moved."""

    def __init__(self, canvas: Canvas, name: NodeId, move: Move) -> None:
        self._canvas = canvas
        self._name = name
        self._move = move

    def begin(self, at: Pointer) -> None:
        """Select and take hold."""
        content = self._canvas.content
        is_added = at.has(Qt.KeyboardModifier.ShiftModifier) or at.has(
            Qt.KeyboardModifier.ControlModifier
        )
        content.select([*(content.selection if is_added else ()), self._name])
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


class DrawLink:
    """Draws a link from a socket, or takes the one that enters an input off and plugs it in elsewhere."""

    def __init__(self, canvas: Canvas, plug: Plug) -> None:
        self._canvas = canvas
        self._held = plug
        self._detached: LinkItem | None = None
        self._loose: LooseLink | None = None
        self._target: Plug | None = None
        self._blocked: frozenset[NodeId] = frozenset()

    def begin(self, at: Pointer) -> None:
        """Take hold of the link and show where it may go."""
        content = self._canvas.content
        link = content.links.get((self._held.node, self._held.name))
        if not self._held.socket.is_output and link is not None:
            source = content.nodes[link.source.node].layout.socket(
                link.source.output, is_output=True
            )
            if source is not None:
                self._detached = link
                link.hide()
                self._held = Plug(link.source.node, source)
        graph = content.workflow.graph
        if self._held.socket.is_output:
            self._blocked = frozenset(graph.needed([self._held.node]))
        else:
            self._blocked = frozenset(content.linked([self._held.node], is_downstream=True))
        self._loose = LooseLink(content.look, self._held.socket.type)
        content.addItem(self._loose)
        for name, item in content.nodes.items():
            item.set_dimmed(
                frozenset(
                    (socket.is_output, socket.name)
                    for socket in item.layout.sockets
                    if not self._takes(Plug(name, socket))
                )
            )
        self.move(at)

    def _takes(self, other: Plug) -> bool:
        held = self._held
        if other.node == held.node and other.name == held.name:
            return other.socket.is_output == held.socket.is_output
        if other.socket.is_output == held.socket.is_output or other.node in self._blocked:
            return False
        if not other.socket.is_known:
            return False
        leaving, entering = (held, other) if held.socket.is_output else (other, held)
        return fits(leaving.socket.type, entering.socket.type)

    def move(self, at: Pointer) -> None:
        """Lead the loose end; over what cannot take it, say why."""
        canvas = self._canvas
        plug = self._aim(at)
        is_taken = plug is not None and self._takes(plug)
        self._mark(plug if is_taken else None)
        end = at.scene
        if plug is not None and is_taken:
            end = canvas.content.nodes[plug.node].pos() + plug.socket.at
        held = canvas.content.nodes[self._held.node].pos() + self._held.socket.at
        if self._loose is not None:
            first, last = (held, end) if self._held.socket.is_output else (end, held)
            self._loose.lead(first, last)
        reason = "" if plug is None or is_taken else self._reason(plug)
        if reason:
            canvas.status.emit(reason)
            place = canvas.viewport().mapToGlobal(at.view + QPoint(16, 16))
            QToolTip.showText(place, reason, canvas.viewport())
        else:
            QToolTip.hideText()

    def _aim(self, at: Pointer) -> Plug | None:
        """The socket meant: the one in reach, or on a node's body the first free one that fits."""
        content = self._canvas.content
        plug = content.plug_at(at.scene)
        if plug is not None:
            return plug
        item = content.node_at(at.scene)
        if item is None or item.node.id == self._held.node:
            return None
        fitting = [
            Plug(item.node.id, socket)
            for socket in item.layout.sockets
            if self._takes(Plug(item.node.id, socket))
        ]
        free = [p for p in fitting if p.socket.is_output or p.name not in item.node.inputs]
        exact = [p for p in free if p.socket.type is self._held.socket.type]
        return next(iter(exact or free or fitting), None)

    def _reason(self, plug: Plug) -> str:
        held = self._held
        if plug == held or plug.node == held.node:
            return ""
        if plug.socket.is_output == held.socket.is_output:
            return self._canvas.tr("Links lead from an output to an input")
        leaving, entering = (held, plug) if held.socket.is_output else (plug, held)
        problem = edits.refusal(
            self._canvas.workflow,
            self._canvas.content.types,
            leaving.node,
            leaving.name,
            entering.node,
            entering.name,
        )
        return str(problem) if problem else ""

    def end(self, at: Pointer) -> None:
        """Link, unlink, or ask for a node to link."""
        canvas, held, detached = self._canvas, self._held, self._detached
        plug = self._aim(at)
        self._put_down()
        if plug is not None and not self._takes(plug):
            reason = self._reason(plug)
            if reason:
                canvas.status.emit(reason)
            return
        if plug is not None:
            self._plug_in(plug)
        elif canvas.content.node_at(at.scene) is not None:
            return
        elif detached is not None:
            cut = edits.disconnect(canvas.workflow, detached.target, detached.port)
            canvas.commit(cut, canvas.tr("Unlink {}").format(f"{detached.target}.{detached.port}"))
        else:
            canvas.adding.open_palette(at.view, wire=held)

    def _plug_in(self, plug: Plug) -> None:
        canvas, held, detached = self._canvas, self._held, self._detached
        if plug == held:
            return
        leaving, entering = (held, plug) if held.socket.is_output else (plug, held)
        old = canvas.workflow.graph.node(entering.node).inputs.get(entering.name)
        if old == Link(leaving.node, leaving.name):
            return
        w = canvas.workflow
        if detached is not None:
            w = edits.disconnect(w, detached.target, detached.port)
        types = canvas.content.types
        w = edits.connect(w, types, leaving.node, leaving.name, entering.node, entering.name)
        canvas.commit(w, canvas.tr("Link {}").format(f"{entering.node}.{entering.name}"))

    def cancel(self) -> None:
        """Leave the link where it was."""
        self._put_down()

    def _put_down(self) -> None:
        self._mark(None)
        QToolTip.hideText()
        if self._loose is not None:
            self._canvas.content.removeItem(self._loose)
            self._loose = None
        if self._detached is not None:
            self._detached.show()
        for item in self._canvas.content.nodes.values():
            item.set_dimmed(frozenset())

    def _mark(self, plug: Plug | None) -> None:
        nodes = self._canvas.content.nodes
        if self._target is not None:
            nodes[self._target.node].set_target(None)
        if plug is not None:
            nodes[plug.node].set_target(plug.socket)
        self._target = plug


class MoveLinks:
    """Takes all links of an output to another output."""

    def __init__(self, canvas: Canvas, plug: Plug) -> None:
        self._canvas = canvas
        self._held = plug
        self._loose: list[tuple[LooseLink, LinkItem]] = []

    def begin(self, at: Pointer) -> None:
        """Take the links off."""
        content = self._canvas.content
        for link in content.links.values():
            if link.source == Link(self._held.node, self._held.name):
                loose = LooseLink(content.look, self._held.socket.type)
                content.addItem(loose)
                link.hide()
                self._loose.append((loose, link))
        self.move(at)

    def move(self, at: Pointer) -> None:
        """Lead them along."""
        for loose, link in self._loose:
            loose.lead(at.scene, link.end)

    def end(self, at: Pointer) -> None:
        """Plug them in at the output here."""
        canvas = self._canvas
        self.cancel()
        plug = canvas.content.plug_at(at.scene)
        if plug is None or not plug.socket.is_output or not self._loose:
            return
        canvas.attempt(
            canvas.tr("Move links to {}").format(f"{plug.node}.{plug.name}"),
            lambda w, types: edits.move_links(
                w, types, (self._held.node, self._held.name), (plug.node, plug.name)
            ),
        )

    def cancel(self) -> None:
        """Put them back."""
        for loose, link in self._loose:
            self._canvas.content.removeItem(loose)
            link.show()


class Knife:
    """Cuts the links that a stroke crosses."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._last = QPointF()
        self._trace: KnifeTrace | None = None
        self._cut: dict[tuple[NodeId, str], None] = {}

    def begin(self, at: Pointer) -> None:
        """Set the knife."""
        self._last = at.scene
        self._trace = KnifeTrace(self._canvas.content.look, at.scene)
        self._canvas.content.addItem(self._trace)

    def move(self, at: Pointer) -> None:
        """Cut what lies between."""
        content = self._canvas.content
        stroke = QRectF(self._last, at.scene).normalized().adjusted(-1, -1, 1, 1)
        for link in content.links_near(stroke):
            if link.crosses(self._last, at.scene):
                link.set_marked(True)
                self._cut[link.target, link.port] = None
        if self._trace is not None:
            self._trace.reach(at.scene)
        self._last = at.scene

    def end(self, at: Pointer) -> None:
        """One step of the history for all cuts."""
        cut, canvas = self._cut, self._canvas
        self.cancel()
        w = canvas.workflow
        for target, port in cut:
            w = edits.disconnect(w, target, port)
        if cut:
            canvas.commit(w, canvas.tr("Cut %n link(s)", "", len(cut)))

    def cancel(self) -> None:
        """Lay the knife down."""
        for key in self._cut:
            link = self._canvas.content.links.get(key)
            if link is not None:
                link.set_marked(False)
        if self._trace is not None:
            self._canvas.content.removeItem(self._trace)
            self._trace = None


class MoveBox:
    """Moves a frame with what stands on it, or a note; with Ctrl, the frame alone."""

    def __init__(self, canvas: Canvas, box: BoxItem) -> None:
        self._canvas = canvas
        self._box = box
        self._start = QPointF()
        self._rect = QRectF()
        self._places: dict[NodeId, QPointF] = {}

    def begin(self, at: Pointer) -> None:
        """Take hold of the box and of what stands on it."""
        content = self._canvas.content
        self._start = at.scene
        self._rect = self._box.scene_rect
        is_alone = at.has(Qt.KeyboardModifier.ControlModifier)
        box = self._box.box
        if isinstance(box, Frame) and not is_alone:
            inside = edits.nodes_in_frame(content.workflow, box, content.sizes())
            self._places = {
                name: content.nodes[name].pos()
                for name in inside
                if not content.nodes[name].is_pinned
            }

    def _delta(self, at: Pointer) -> QPointF:
        delta = at.scene - self._start
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            delta = _snapped(self._rect.topLeft() + delta) - self._rect.topLeft()
        return QPointF(round(delta.x()), round(delta.y()))

    def move(self, at: Pointer) -> None:
        """Follow the hand."""
        delta = self._delta(at)
        self._box.stand(self._rect.translated(delta))
        self._canvas.content.place({n: place + delta for n, place in self._places.items()})

    def end(self, at: Pointer) -> None:
        """One step of the history."""
        canvas, box, delta = self._canvas, self._box.box, self._delta(at)
        rect = self._rect.translated(delta)
        to = (rect.x(), rect.y())
        if isinstance(box, Frame):
            w = edits.move_frame(canvas.workflow, box.index, to, self._places, bool(self._places))
            canvas.commit(w, canvas.tr("Move frame"))
        else:
            w = edits.set_note(canvas.workflow, box.index, rect=(*to, rect.width(), rect.height()))
            canvas.commit(w, canvas.tr("Move note"))

    def cancel(self) -> None:
        """Put everything back."""
        self._canvas.content.restore()


class ResizeBox:
    """Drags the corner of a frame or note."""

    def __init__(self, canvas: Canvas, box: BoxItem) -> None:
        self._canvas = canvas
        self._box = box
        self._start = QPointF()
        self._rect = QRectF()

    def begin(self, at: Pointer) -> None:
        """Take hold of the corner."""
        self._start, self._rect = at.scene, self._box.scene_rect

    def move(self, at: Pointer) -> None:
        """Follow the hand."""
        self._box.stand(self._now(at))

    def _now(self, at: Pointer) -> QRectF:
        corner = self._rect.bottomRight() + at.scene - self._start
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            corner = _snapped(corner)
        width = max(corner.x() - self._rect.left(), LEAST)
        height = max(corner.y() - self._rect.top(), LEAST)
        return QRectF(self._rect.topLeft(), self._rect.topLeft() + QPointF(width, height))

    def end(self, at: Pointer) -> None:
        """One step of the history."""
        canvas, box, rect = self._canvas, self._box.box, self._now(at)
        numbers = (rect.x(), rect.y(), rect.width(), rect.height())
        if isinstance(box, Frame):
            w = edits.set_frame(canvas.workflow, box.index, rect=numbers)
            canvas.commit(w, canvas.tr("Resize frame"))
        else:
            w = edits.set_note(canvas.workflow, box.index, rect=numbers)
            canvas.commit(w, canvas.tr("Resize note"))

    def cancel(self) -> None:
        """Put the corner back."""
        self._canvas.content.restore()


class Scrub:
    """Changes a number by dragging on it; Shift is fine, Ctrl coarse."""

    def __init__(self, canvas: Canvas, node: NodeId, param: Param) -> None:
        self._canvas = canvas
        self._node = node
        self._param = param
        self._before: Json = None
        self._last = 0
        self._steps = 0.0

    def begin(self, at: Pointer) -> None:
        """Take hold of the number."""
        node = self._canvas.workflow.graph.node(self._node)
        self._before = node.params.get(self._param.name, self._param.default)
        self._last = at.view.x()

    def move(self, at: Pointer) -> None:
        """Set it to where the hand is."""
        pixels = at.view.x() - self._last
        self._last = at.view.x()
        factor = 1.0
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            factor = 0.1
        elif at.has(Qt.KeyboardModifier.ControlModifier):
            factor = 10.0
        self._steps += pixels / PIXELS_PER_STEP * factor
        value = scrubbed(self._param, self._before, self._steps)
        self._set(value)

    def _set(self, value: Json) -> None:
        canvas, name = self._canvas, self._param.name
        w = edits.set_param(canvas.workflow, self._node, name, value)
        text = canvas.tr("Set {}").format(f"{self._node}.{name}")
        canvas.commit(w, text, merge=("scrub", self._node, name))

    def end(self, at: Pointer) -> None:
        """One step of the history for the whole drag."""
        self._canvas.document.end_merge()

    def cancel(self) -> None:
        """Take the old number back."""
        self._set(self._before)
        self._canvas.document.end_merge()


def scrubbed(param: Param, before: Json, steps: float) -> Json:
    """A number moved by some of its steps, within its range and on its step."""
    hint = param.hint if isinstance(param.hint, Range) else None
    start = before if isinstance(before, int | float) else (hint.low if hint else 0)
    step = step_of(param)
    if param.kind is ParamKind.INT:
        moved = int(start) + round(steps) * int(step)
        if hint is not None:
            moved = min(max(moved, int(hint.low)), int(hint.high))
            moved -= moved % int(step)
        return moved
    # in decimals: what is shown is what is meant, no 0.30000000000000004
    fine = step / 10
    number = (
        (Decimal(repr(float(start))) + Decimal(steps) * step) / fine
    ).to_integral_value() * fine
    if hint is not None:
        number = min(max(number, Decimal(repr(float(hint.low)))), Decimal(repr(float(hint.high))))
    return float(number)


def _snapped(point: QPointF) -> QPointF:
    return QPointF(round(point.x() / GRID) * GRID, round(point.y() / GRID) * GRID)
