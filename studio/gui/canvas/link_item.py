"""A link on the canvas: a curve from an output over dots to an input, in the colour of what flows; and its dots."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen
from PySide6.QtWidgets import (
    QGraphicsItem,
    QGraphicsPathItem,
    QStyleOptionGraphicsItem,
    QWidget,
)

from studio.graph import Link, NodeId, Value
from studio.gui.canvas import curves
from studio.gui.canvas.curves import Leg
from studio.gui.canvas.look import OVERVIEW_ZOOM, Look
from studio.gui.edits import Dot, Input

DOT_RADIUS = 5.0
_LEAST_PIXELS = 3.5
"""Of the screen, for the radius of a dot: it stays in sight from afar."""


class LinkItem(QGraphicsPathItem):
    """Painted by Qt itself, for there are thousands; the scene alone writes to it."""

    def __init__(self, look: Look, source: Link, target: NodeId, port: str) -> None:
        super().__init__()
        self._look = look
        self.source = source
        self.target = target
        self.port = port
        self._type: type[Value] = Value
        self._is_dim = False
        self._is_marked = False
        self.legs: tuple[Leg, ...] = ()
        """The stretches between its ends and dots; one without dots."""
        self.setZValue(-1.0)

    @property
    def key(self) -> Input:
        """The input that it enters."""
        return self.target, self.port

    @property
    def start(self) -> QPointF:
        """Where it leaves, in scene coordinates."""
        return self.legs[0][0]

    @property
    def end(self) -> QPointF:
        """Where it enters, in scene coordinates."""
        return self.legs[-1][3]

    def set_type(self, of: type[Value], *, is_dim: bool) -> None:
        """Take the colour of a type; pale if nothing flows."""
        self._type, self._is_dim = of, is_dim
        self.restyle()

    def lead(self, legs: Sequence[Leg], shared: int = 0) -> None:
        """Follow a way, in scene coordinates; its first ``shared`` legs are painted by another link."""
        self.legs = tuple(legs)
        self.setPath(curves.path(legs[shared:]))

    def set_marked(self, is_marked: bool) -> None:
        """Stand out: the link would be cut, bent, or take a node in."""
        if is_marked != self._is_marked:
            self._is_marked = is_marked
            self.restyle()

    def restyle(self) -> None:
        """Take the pen of the theme."""
        pen = self._look.link_pen(self._type, is_dim=self._is_dim)
        if self._is_marked:
            pen = QPen(self._look.theme.accent, 4.0)
        self.setPen(pen)

    def distance(self, point: QPointF) -> float:
        """How far a point is from the curve."""
        return min(curves.nearest(leg, point)[0] for leg in self.legs)

    def foot(self, point: QPointF) -> tuple[int, QPointF]:
        """The place on the curve that is nearest to a point, and the number of dots before it."""
        feet = [(*curves.nearest(leg, point), index) for index, leg in enumerate(self.legs)]
        _, place, index = min(feet, key=lambda found: found[0])
        return index, place

    def crossing(self, a: QPointF, b: QPointF) -> tuple[int, QPointF] | None:
        """Where the segment from ``a`` to ``b`` crosses the curve first, and the number of dots before; or None."""
        for index, leg in enumerate(self.legs):
            place = curves.crossing(leg, a, b)
            if place is not None:
                return index, place
        return None

    def enters(self, rect: QRectF) -> bool:
        """Tell whether the curve runs through a rectangle."""
        return any(rect.contains(point) for leg in self.legs for point in curves.points(leg))


class DotItem(QGraphicsItem):
    """A dot that links bend at; the scene alone writes to it."""

    def __init__(self, look: Look, dot: Dot) -> None:
        super().__init__()
        self._look = look
        self.dot = dot
        self._type: type[Value] = Value
        self.is_selected = False
        self.setZValue(-0.5)
        self.setPos(*dot.at)

    def set_type(self, of: type[Value]) -> None:
        """Take the colour of a type."""
        if of is not self._type:
            self._type = of
            self.update()

    def set_selected(self, is_selected: bool) -> None:
        """Mark it as selected or not."""
        if is_selected != self.is_selected:
            self.is_selected = is_selected
            self.update()

    def boundingRect(self) -> QRectF:
        """The dot with its ring, as large as it gets from afar."""
        reach = (_LEAST_PIXELS + 4.0) / OVERVIEW_ZOOM
        return QRectF(-reach, -reach, 2 * reach, 2 * reach)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """Paint a disc in the colour of what flows."""
        theme = self._look.theme
        pixel = 1.0 / painter.worldTransform().m11()
        radius = max(DOT_RADIUS, _LEAST_PIXELS * pixel)
        painter.setBrush(self._look.socket(self._type)[0])
        if self.is_selected:
            ring = max(2.5, 2.0 * pixel)
            painter.setPen(QPen(theme.accent, ring))
            radius += ring / 2
        else:
            painter.setPen(QPen(theme.canvas, max(1.5, pixel)))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawEllipse(QPointF(), radius, radius)


class LooseLink(QGraphicsPathItem):
    """The link that is being dragged."""

    def __init__(self, look: Look, of: type[Value]) -> None:
        super().__init__()
        pen = QPen(look.socket(of)[0], 2.5)
        pen.setStyle(Qt.PenStyle.DashLine)
        self.setPen(pen)
        self.setZValue(10.0)

    def lead(self, start: QPointF, end: QPointF, rest: Sequence[Leg] = ()) -> None:
        """Lead from one point to another, and on along ``rest``."""
        self.setPath(curves.path([curves.leg(start, end), *rest]))


class Trace(QGraphicsPathItem):
    """The stroke of a hand across links."""

    def __init__(self, pen: QPen, start: QPointF) -> None:
        super().__init__()
        self.setPen(pen)
        self.setZValue(10.0)
        self._stroke = QPainterPath(start)

    def reach(self, point: QPointF) -> None:
        """Draw on to a point."""
        self._stroke.lineTo(point)
        self.setPath(self._stroke)
