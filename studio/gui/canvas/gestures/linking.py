"""Links drawn, plugged in elsewhere and cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRectF
from PySide6.QtWidgets import QToolTip

from studio.graph import Link, NodeId, fits
from studio.gui import edits
from studio.gui.canvas.gestures.gesture import Pointer
from studio.gui.canvas.link_item import KnifeTrace, LinkItem, LooseLink
from studio.gui.canvas.scene import Plug

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas


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
