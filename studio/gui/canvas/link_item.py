"""A link on the canvas: a curve from an output to an input, in the colour of what flows."""

from __future__ import annotations

import math
from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsPathItem

from studio.graph import Link, NodeId, Value
from studio.gui.canvas.look import Look, curve, curve_points


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
        self.start = QPointF()
        self.end = QPointF()
        self.setZValue(-1.0)

    def set_type(self, of: type[Value], *, is_dim: bool) -> None:
        """Take the colour of a type; pale if nothing flows."""
        self._type, self._is_dim = of, is_dim
        self.restyle()

    def set_ends(self, start: QPointF, end: QPointF) -> None:
        """Lead from one point to another, in scene coordinates."""
        self.start, self.end = start, end
        self.setPath(curve(start, end))

    def set_marked(self, is_marked: bool) -> None:
        """Stand out: the link would be cut, or take a node in."""
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
        points = curve_points(self.start, self.end)
        return min(_distance(point, a, b) for a, b in pairwise(points))

    def crosses(self, a: QPointF, b: QPointF) -> bool:
        """Tell whether the segment from ``a`` to ``b`` crosses the curve."""
        points = curve_points(self.start, self.end)
        return any(_cross(a, b, c, d) for c, d in pairwise(points))

    def enters(self, rect: QRectF) -> bool:
        """Tell whether the curve runs through a rectangle."""
        return any(rect.contains(point) for point in curve_points(self.start, self.end))


class LooseLink(QGraphicsPathItem):
    """The link that is being dragged."""

    def __init__(self, look: Look, of: type[Value]) -> None:
        super().__init__()
        pen = QPen(look.socket(of)[0], 2.5)
        pen.setStyle(Qt.PenStyle.DashLine)
        self.setPen(pen)
        self.setZValue(10.0)

    def lead(self, start: QPointF, end: QPointF) -> None:
        """Lead from one point to another."""
        self.setPath(curve(start, end))


class KnifeTrace(QGraphicsPathItem):
    """The stroke that cuts links."""

    def __init__(self, look: Look, start: QPointF) -> None:
        super().__init__()
        self.setPen(QPen(look.theme.error, 2.0, Qt.PenStyle.DotLine))
        self.setZValue(10.0)
        self._stroke = QPainterPath(start)

    def reach(self, point: QPointF) -> None:
        """Draw on to a point."""
        self._stroke.lineTo(point)
        self.setPath(self._stroke)


def _distance(point: QPointF, a: QPointF, b: QPointF) -> float:
    along, offset = b - a, point - a
    length = QPointF.dotProduct(along, along)
    share = 0.0 if length == 0 else min(max(QPointF.dotProduct(offset, along) / length, 0.0), 1.0)
    rest = offset - along * share
    return math.hypot(rest.x(), rest.y())


def _cross(a: QPointF, b: QPointF, c: QPointF, d: QPointF) -> bool:
    return _side(a, b, c) != _side(a, b, d) and _side(c, d, a) != _side(c, d, b)


def _side(a: QPointF, b: QPointF, c: QPointF) -> bool:
    return (b.x() - a.x()) * (c.y() - a.y()) > (b.y() - a.y()) * (c.x() - a.x())
