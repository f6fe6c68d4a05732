"""Links drawn, plugged in elsewhere, cut and bent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QPen
from PySide6.QtWidgets import QToolTip

from studio.graph import Link, NodeId, fits
from studio.gui import edits
from studio.gui.canvas.gestures.gesture import Pointer
from studio.gui.canvas.link_item import LinkItem, LooseLink, Trace
from studio.gui.canvas.node_item import NodeItem
from studio.gui.canvas.scene import Plug
from studio.gui.edits import Bend, Dot, Input
from studio.values import Constant

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas


class DrawLink:
    """Draws a link from a socket or dot, or takes the one that enters an input off and plugs it in elsewhere."""

    def __init__(self, canvas: Canvas, plug: Plug) -> None:
        self._canvas = canvas
        self._held = plug
        self._way: edits.Way = edits.way_to(canvas.workflow, plug.dot) if plug.dot else ()
        """The dots that the link passes before it comes to the hand."""
        self._detached: LinkItem | None = None
        self._loose: LooseLink | None = None
        self._target: Plug | None = None
        self._blocked: frozenset[NodeId] = frozenset()
        self._is_plain = False
        """Whether what is drawn may enter parameters: it gives a plain value."""

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
                content.wires.lift([link.key])
                self._way = edits.routes(content.workflow).get(link.key, ())
                dot = Dot(link.source, self._way[-1]) if self._way else None
                self._held = Plug(link.source.node, source, dot)
        graph, held = content.workflow.graph, self._held.socket
        if held.is_output:
            self._blocked = frozenset(graph.needed([self._held.node]))
        else:
            self._blocked = frozenset(content.linked([self._held.node], is_downstream=True))
        self._is_plain = held.is_output and issubclass(held.type, Constant)
        self._loose = LooseLink(content.look, held.type)
        content.addItem(self._loose)
        content.reveal(
            name
            for name, sockets in content.hidden_sockets().items()
            if any(self._takes(Plug(name, socket)) for socket in sockets)
        )
        for name, item in content.nodes.items():
            self._show_reach(name, item)
        self.move(at)

    def _show_reach(self, name: NodeId, item: NodeItem) -> None:
        """Show which sockets of a node the link may enter, and those of parameters only where it may be one."""
        dimmed: list[tuple[bool, str]] = []
        offered: list[str] = []
        for socket in item.layout.sockets:
            if socket.is_param and socket is self._held.socket and name == self._held.node:
                offered.append(socket.name)
            elif socket.is_param and not self._is_plain:
                continue
            elif not self._takes(Plug(name, socket)):
                dimmed.append((socket.is_output, socket.name))
            elif socket.is_param:
                offered.append(socket.name)
        item.set_dimmed(frozenset(dimmed), frozenset(offered))

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
            end = canvas.content.plug_pos(plug)
        held = canvas.content.plug_pos(self._held)
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
        """The socket meant: the one in reach, that of a dot, or on a node's body the first free one that fits."""
        content = self._canvas.content
        plug = content.plug_at(at.scene)
        if plug is not None and (self._is_plain or not plug.socket.is_param or plug == self._held):
            return plug
        dot = content.wires.dot_at(at.scene, self._canvas.dot_reach())
        if dot is not None and dot.dot != self._held.dot:
            return content.plug_of(dot.dot)
        item = content.node_at(at.scene)
        if item is None or item.node.id == self._held.node:
            return None
        row = item.layout.row_at(item.mapFromScene(at.scene)) if self._is_plain else None
        socket = item.layout.socket(row.name, is_output=False) if row else None
        if socket is not None:
            return Plug(item.node.id, socket)
        fitting = [
            Plug(item.node.id, socket)
            for socket in item.layout.sockets
            if not socket.is_param and self._takes(Plug(item.node.id, socket))
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
        w = canvas.workflow
        way = self._way if held is leaving or plug.dot is None else edits.way_to(w, plug.dot)
        old = w.graph.node(entering.node).inputs.get(entering.name)
        is_led_so = edits.routes(w).get((entering.node, entering.name), ()) == way
        if old == Link(leaving.node, leaving.name) and is_led_so:
            return
        if detached is not None:
            w = edits.disconnect(w, detached.target, detached.port)
        types = canvas.content.types
        w = edits.connect(w, types, leaving.node, leaving.name, entering.node, entering.name, way)
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
        self._canvas.content.wires.lift([])
        self._canvas.content.reveal([])
        for item in self._canvas.content.nodes.values():
            item.set_dimmed(frozenset())

    def _mark(self, plug: Plug | None) -> None:
        nodes = self._canvas.content.nodes
        if self._target is not None:
            nodes[self._target.node].set_target(None)
        if plug is not None and plug.dot is None:
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
                self._loose.append((loose, link))
        content.wires.lift([link.key for _, link in self._loose])
        self.move(at)

    def move(self, at: Pointer) -> None:
        """Lead them along."""
        for loose, link in self._loose:
            loose.lead(at.scene, link.legs[0][3], link.legs[1:])

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
        for loose, _ in self._loose:
            self._canvas.content.removeItem(loose)
        self._canvas.content.wires.lift([])


class _Stroke:
    """A stroke across links; what becomes of those that it crosses is for the gesture."""

    def __init__(self, canvas: Canvas, pen: QPen) -> None:
        self._canvas = canvas
        self._pen = pen
        self._last = QPointF()
        self._trace: Trace | None = None
        self.crossed: dict[Input, Bend] = {}
        """The links that were crossed, and where first."""

    def begin(self, at: Pointer) -> None:
        """Set on."""
        self._last = at.scene
        self._trace = Trace(self._pen, at.scene)
        self._canvas.content.addItem(self._trace)

    def move(self, at: Pointer) -> None:
        """Take what lies between."""
        content = self._canvas.content
        stroke = QRectF(self._last, at.scene).normalized().adjusted(-1, -1, 1, 1)
        for link in content.wires.links_near(stroke):
            met = link.crossing(self._last, at.scene)
            if met is not None:
                link.set_marked(True)
                leg, place = met
                self.crossed.setdefault(link.key, Bend(link.key, leg, (place.x(), place.y())))
        if self._trace is not None:
            self._trace.reach(at.scene)
        self._last = at.scene

    def lift(self) -> None:
        """Take the stroke and its marks away."""
        for key in self.crossed:
            link = self._canvas.content.links.get(key)
            if link is not None:
                link.set_marked(False)
        if self._trace is not None:
            self._canvas.content.removeItem(self._trace)
            self._trace = None


class Knife:
    """Cuts the links that a stroke crosses."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        pen = QPen(canvas.theme.error, 2.0, Qt.PenStyle.DotLine)
        self._stroke = _Stroke(canvas, pen)

    def begin(self, at: Pointer) -> None:
        """Set the knife."""
        self._stroke.begin(at)

    def move(self, at: Pointer) -> None:
        """Cut what lies between."""
        self._stroke.move(at)

    def end(self, at: Pointer) -> None:
        """One step of the history for all cuts."""
        self._stroke.lift()
        canvas, cut = self._canvas, self._stroke.crossed
        w = canvas.workflow
        for target, port in cut:
            w = edits.disconnect(w, target, port)
        if cut:
            canvas.commit(w, canvas.tr("Cut %n link(s)", "", len(cut)))

    def cancel(self) -> None:
        """Lay the knife down."""
        self._stroke.lift()


class Reroute:
    """Puts a dot on each link that a stroke crosses; links of one output share it."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._stroke = _Stroke(canvas, QPen(canvas.theme.accent, 2.0, Qt.PenStyle.DotLine))

    def begin(self, at: Pointer) -> None:
        """Set on."""
        self._stroke.begin(at)

    def move(self, at: Pointer) -> None:
        """Take what lies between."""
        self._stroke.move(at)

    def end(self, at: Pointer) -> None:
        """One step of the history for all dots."""
        self._stroke.lift()
        self._canvas.add_dots(self._stroke.crossed.values())

    def cancel(self) -> None:
        """Take the stroke back."""
        self._stroke.lift()
