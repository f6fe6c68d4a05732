"""The ways of links as curves: from an output over dots to an input, smooth, and measured where a hand meets them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainterPath

Leg = tuple[QPointF, QPointF, QPointF, QPointF]
"""A stretch between two ends or dots: a cubic with its two handles in the middle."""
_STEPS = 24
_AHEAD = QPointF(1.0, 0.0)
"""Links leave outputs and arrive at inputs horizontally."""


def leg(start: QPointF, end: QPointF) -> Leg:
    """From an output straight to an input."""
    reach = _reach(start.x(), start.y(), end.x(), end.y())
    return (
        start,
        QPointF(start.x() + reach, start.y()),
        QPointF(end.x() - reach, end.y()),
        end,
    )


def legs(
    start: QPointF, dots: Sequence[QPointF], end: QPointF, directions: Mapping[int, QPointF]
) -> list[Leg]:
    """From an output over dots to an input; ``directions`` are unit vectors, by the index of a dot."""
    if not dots:
        return [leg(start, end)]
    stops = [start, *dots, end]
    heads = [_AHEAD, *(directions[index] for index in range(len(dots))), _AHEAD]
    found: list[Leg] = []
    for (a, u), (b, v) in pairwise(zip(stops, heads, strict=True)):
        span = math.hypot(b.x() - a.x(), b.y() - a.y())
        # sockets want a longer straight piece than dots, unless the dot is near
        first = min(max(span * 0.4, 24.0), 160.0) if a is start else span / 3
        last = min(max(span * 0.4, 24.0), 160.0) if b is end else span / 3
        found.append((a, a + u * first, b - v * last, b))
    return found


def direction(before: QPointF, after: QPointF) -> QPointF:
    """The unit vector along which a link passes a dot, from its neighbours on the way; ahead where they coincide."""
    return unit(after - before)


def unit(vector: QPointF) -> QPointF:
    """A vector of length 1; ahead for one of no length."""
    length = math.hypot(vector.x(), vector.y())
    return vector / length if length > 1e-6 else QPointF(_AHEAD)


def path(way: Sequence[Leg]) -> QPainterPath:
    """What is painted of a way."""
    painted = QPainterPath(way[0][0])
    for _, first, second, end in way:
        painted.cubicTo(first, second, end)
    return painted


def points(one: Leg) -> list[QPointF]:
    """Points along a leg, for what is measured instead of painted."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = ((point.x(), point.y()) for point in one)
    return [
        QPointF(a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3)
        for a, b, c, d in _weights()
    ]


def nearest(one: Leg, point: QPointF) -> tuple[float, QPointF]:
    """How far a point is from a leg, and the place of the leg that is nearest."""
    found = [_foot(point, a, b) for a, b in pairwise(points(one))]
    return min(((_length(point - foot), foot) for foot in found), key=lambda pair: pair[0])


def crossing(one: Leg, a: QPointF, b: QPointF) -> QPointF | None:
    """Where the segment from ``a`` to ``b`` crosses a leg first, or None."""
    for c, d in pairwise(points(one)):
        if _side(a, b, c) != _side(a, b, d) and _side(c, d, a) != _side(c, d, b):
            return _meeting(a, b, c, d)
    return None


@lru_cache(maxsize=1)
def _weights() -> tuple[tuple[float, float, float, float], ...]:
    found = []
    for index in range(_STEPS + 1):
        t = index / _STEPS
        s = 1 - t
        found.append((s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t))
    return tuple(found)


def _reach(x0: float, y0: float, x3: float, y3: float) -> float:
    across, along = x3 - x0, abs(y3 - y0)
    # a link that runs backwards needs room to turn
    return max(across * 0.5, min(40.0 + along * 0.25 + max(-across, 0.0) * 0.5, 240.0))


def _foot(point: QPointF, a: QPointF, b: QPointF) -> QPointF:
    along, offset = b - a, point - a
    length = QPointF.dotProduct(along, along)
    share = 0.0 if length == 0 else min(max(QPointF.dotProduct(offset, along) / length, 0.0), 1.0)
    return a + along * share


def _length(vector: QPointF) -> float:
    return math.hypot(vector.x(), vector.y())


def _side(a: QPointF, b: QPointF, c: QPointF) -> bool:
    return (b.x() - a.x()) * (c.y() - a.y()) > (b.y() - a.y()) * (c.x() - a.x())


def _meeting(a: QPointF, b: QPointF, c: QPointF, d: QPointF) -> QPointF:
    stroke, chord = b - a, d - c
    across = stroke.x() * chord.y() - stroke.y() * chord.x()
    if across == 0:
        return c
    offset = c - a
    share = (offset.x() * chord.y() - offset.y() * chord.x()) / across
    return a + stroke * share
