"""Painted strokes as values, and their picture: what the mask node will compute, drawn by Qt as one paints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QImage,
    QLinearGradient,
    QPainter,
    QPainterPath,
    QPainterPathStroker,
    QPolygonF,
    QRadialGradient,
)

from studio.graph import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SNAPSHOTS = 12
_TOLERANCE_PX = 0.3
_DECIMALS = 5
"""Of shares: a tenth of a pixel of the largest picture."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Stroke:
    """A round brush drawn along a line; the vector form of ``studio.registry.Strokes``."""

    points: tuple[Point, ...]
    """Shares of the picture's width and height."""
    radius: float
    """Share of the picture's width."""
    hardness: float = 1.0
    """Share of the radius at full strength; from there it falls linearly to 0."""
    erase: bool = False

    def to_json(self) -> Json:
        """The stroke as the workflow file keeps it."""
        return {
            "points": [[x, y] for x, y in self.points],
            "radius": self.radius,
            "hardness": self.hardness,
            "erase": self.erase,
        }

    @classmethod
    def from_json(cls, value: Json) -> Stroke:
        """Read a stroke whose form ``studio.registry.Strokes`` has checked."""
        fields = cast("dict[str, Json]", value)
        points = cast("list[list[float]]", fields["points"])
        return cls(
            tuple((float(x), float(y)) for x, y in points),
            float(cast("float", fields["radius"])),
            float(cast("float", fields.get("hardness", 1.0))),
            bool(fields.get("erase", False)),
        )


def simplified(points: Sequence[QPointF], size: QSize) -> tuple[Point, ...]:
    """A line drawn by hand, in pixels of a picture of ``size``, with fewer points, as rounded shares.

    Douglas and Peucker 1973; no point of the line is more than 0.3 px from the result.
    """
    kept = {0, len(points) - 1}
    pending = [(0, len(points) - 1)]
    while pending:
        first, last = pending.pop()
        furthest, distance = first, _TOLERANCE_PX
        for index in range(first + 1, last):
            found = _distance(points[index], points[first], points[last])
            if found > distance:
                furthest, distance = index, found
        if furthest != first:
            kept.add(furthest)
            pending += [(first, furthest), (furthest, last)]
    return tuple(_share(points[index], size) for index in sorted(kept))


def _share(point: QPointF, size: QSize) -> Point:
    return (
        round(point.x() / size.width(), _DECIMALS),
        round(point.y() / size.height(), _DECIMALS),
    )


def _distance(point: QPointF, start: QPointF, end: QPointF) -> float:
    along, offset = end - start, point - start
    length = QPointF.dotProduct(along, along)
    share = min(1.0, max(0.0, QPointF.dotProduct(offset, along) / length)) if length else 0.0
    gap = offset - along * share
    return math.hypot(gap.x(), gap.y())


# --- areas


def filled(outline: Sequence[QPointF], size: QSize, erase: bool) -> list[Stroke]:
    """Strokes that cover an area with the given outline, in pixels of a picture of ``size``.

    The file knows strokes only, so an area is its edge and a hatching; corners are as round as the brush, whose radius
    is two pixels or 0.4 % of the width. Empty if the area is smaller than that.
    """
    radius = max(2.0, size.width() * 0.004)
    area = QPainterPath()
    area.addPolygon(QPolygonF(list(outline)))
    area.closeSubpath()
    area.setFillRule(Qt.FillRule.WindingFill)
    area = area.intersected(_picture(size)).simplified()
    pen = QPainterPathStroker()
    pen.setWidth(2 * radius)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    inner = area.subtracted(pen.createStroke(area)).simplified()
    loops = [polygon.toList() for polygon in inner.toSubpathPolygons()]
    # full strength ends half a pixel before the radius
    lines = [*loops, *_hatching(loops, 2 * radius - 1)]
    share = round(radius / size.width(), _DECIMALS + 2)
    return [Stroke(simplified(line, size), share, 1.0, erase) for line in lines if line]


def _picture(size: QSize) -> QPainterPath:
    path = QPainterPath()
    path.addRect(QRectF(0, 0, size.width(), size.height()))
    return path


def _hatching(loops: Sequence[Sequence[QPointF]], spacing: float) -> list[list[QPointF]]:
    """Lines to and fro inside the loops, joined where they are near: less than ``spacing`` to the side.

    What lies between two loops is wider than that, because they are a brush away from the edge on either side.
    """
    edges = [pair for loop in loops for pair in pairwise([*loop, loop[0]])]
    if not edges:
        return []
    top = min(edge[0].y() for edge in edges)
    bottom = max(edge[0].y() for edge in edges)
    open_lines: list[list[QPointF]] = []
    closed: list[list[QPointF]] = []
    for row in range(1, math.ceil((bottom - top) / spacing)):
        y = top + row * spacing
        crossings = sorted(
            a.x() + (y - a.y()) / (b.y() - a.y()) * (b.x() - a.x())
            for a, b in edges
            if (a.y() <= y) != (b.y() <= y)
        )
        continued: list[list[QPointF]] = []
        for left, right in zip(crossings[::2], crossings[1::2], strict=False):
            ends = [QPointF(left, y), QPointF(right, y)]
            for line in open_lines:
                is_left_near = abs(left - line[-1].x()) < abs(right - line[-1].x())
                near, far = ends if is_left_near else ends[::-1]
                if abs(near.x() - line[-1].x()) < spacing:
                    line += [near, far]
                    open_lines.remove(line)
                    continued.append(line)
                    break
            else:
                continued.append(ends)
        closed += open_lines
        open_lines = continued
    return closed + open_lines


# --- pixels


@dataclass(frozen=True)
class _Brush:
    """A brush in pixels: full strength up to ``inner``, none from ``outer``."""

    inner: float
    outer: float
    erase: bool

    @classmethod
    def of(cls, radius: float, hardness: float, erase: bool) -> _Brush:
        # as studio.diffusion.masks does: an edge of one pixel through the radius is antialiasing
        inner = min(radius * hardness, radius - 0.5)
        return cls(inner, max(radius, inner + 1.0), erase)

    def stops(self) -> list[tuple[float, QColor]]:
        """Strength by distance as colours: white full, for an eraser what it leaves."""
        centre = min(1.0, self.outer / (self.outer - self.inner))
        stops = [(0.0, centre), (1.0, 0.0)]
        if self.inner > 0:
            stops.insert(1, (self.inner / self.outer, 1.0))
        return [
            (share, QColor.fromRgbF(*[1 - strength if self.erase else strength] * 3))
            for share, strength in stops
        ]


class Raster:
    """The mask that a list of strokes gives, and a stroke that is just being drawn; grey, white is repainted."""

    def __init__(self, size: QSize) -> None:
        """``size``: of the mask in pixels; the picture's, or less of the same shape."""
        self.size = size
        self.strokes: tuple[Stroke, ...] = ()
        self.image = _blank(size)
        self._committed = _blank(size)
        self._snapshots: list[tuple[int, QImage]] = [(0, self._committed.copy())]
        self._draft = _blank(size)
        self._draft_brush: _Brush | None = None
        self._draft_rect = QRect()
        self._draft_end: QPointF | None = None

    def show(self, strokes: Iterable[Stroke]) -> None:
        """Draw the mask of these strokes; drawing one more, or one less, than before takes little time."""
        wanted = tuple(strokes)
        same = 0
        for before, after in zip(self.strokes, wanted, strict=False):
            if before != after:
                break
            same += 1
        while self._snapshots[-1][0] > same:
            self._snapshots.pop()
        count, image = self._snapshots[-1]
        self._committed = image.copy()
        for index in range(count, len(wanted)):
            self._add(wanted[index])
            if index >= len(wanted) - _SNAPSHOTS:
                self._snapshots.append((index + 1, self._committed.copy()))
        del self._snapshots[1:-_SNAPSHOTS]
        self.strokes = wanted
        self.image = self._committed.copy()

    def _add(self, stroke: Stroke) -> None:
        self.begin(stroke.radius, stroke.hardness, stroke.erase)
        for point in stroke.points:
            self._sweep(self._pixel(point))
        self._combine(self._committed, self._draft_rect)
        self.drop()

    def _pixel(self, point: Point) -> QPointF:
        return QPointF(point[0] * self.size.width(), point[1] * self.size.height())

    def begin(self, radius: float, hardness: float, erase: bool) -> None:
        """Begin a stroke; ``radius`` is a share of the width."""
        brush = _Brush.of(radius * self.size.width(), hardness, erase)
        if self._draft_brush is None or self._draft_brush.erase != erase:
            self._draft.fill(255 if erase else 0)
        self._draft_brush = brush
        self._draft_rect = QRect()
        self._draft_end = None

    def extend(self, point: Point) -> QRect:
        """Draw the stroke on to a point (shares); return the pixels of ``image`` that changed."""
        changed = self._sweep(self._pixel(point))
        painter = QPainter(self.image)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(changed.topLeft(), self._committed, changed)
        painter.end()
        self._combine(self.image, changed)
        return changed

    def drop(self) -> QRect:
        """Forget the stroke that is being drawn; return the pixels of ``image`` that changed."""
        changed, brush = self._draft_rect, self._draft_brush
        if brush is not None and not changed.isEmpty():
            painter = QPainter(self._draft)
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
            painter.fillRect(changed, Qt.GlobalColor.white if brush.erase else Qt.GlobalColor.black)
            painter.end()
            painter = QPainter(self.image)
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
            painter.drawImage(changed.topLeft(), self._committed, changed)
            painter.end()
        self._draft_rect = QRect()
        self._draft_end = None
        return changed

    def _combine(self, target: QImage, rect: QRect) -> None:
        assert self._draft_brush is not None
        painter = QPainter(target)
        mode = QPainter.CompositionMode
        erase = self._draft_brush.erase
        painter.setCompositionMode(
            mode.CompositionMode_Multiply if erase else mode.CompositionMode_Lighten
        )
        painter.drawImage(rect.topLeft(), self._draft, rect)
        painter.end()

    def _sweep(self, end: QPointF) -> QRect:
        """Draw the brush from the last point to ``end``.

        A disc at the end and a bar between, each with its falloff, joined by the larger (for an eraser the smaller):
        just the distance to the line, which is what the node computes.
        """
        brush = self._draft_brush
        assert brush is not None
        start = self._draft_end if self._draft_end is not None else end
        self._draft_end = end
        reach = brush.outer + 1
        box = QRectF(start, end).normalized().adjusted(-reach, -reach, reach, reach)
        changed = box.toAlignedRect().intersected(
            QRect(0, 0, self.size.width(), self.size.height())
        )
        if changed.isEmpty():
            return changed
        painter = QPainter(self._draft)
        painter.setClipRect(changed)
        mode = QPainter.CompositionMode
        painter.setCompositionMode(
            mode.CompositionMode_Darken if brush.erase else mode.CompositionMode_Lighten
        )
        disc = QRadialGradient(end, brush.outer)
        disc.setStops(brush.stops())
        painter.fillRect(QRectF(end.x() - reach, end.y() - reach, 2 * reach, 2 * reach), disc)
        along = end - start
        length = math.hypot(along.x(), along.y())
        if length > 0:
            across = QPointF(-along.y(), along.x()) * (brush.outer / length)
            bar = QLinearGradient(start, start + across)
            bar.setStops(brush.stops())
            bar.setSpread(QLinearGradient.Spread.ReflectSpread)
            # reflected once it would repeat beyond; the bar ends where it is 0
            corners = [start - across, end - across, end + across, start + across]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QBrush(bar))
            painter.drawPolygon(QPolygonF(corners))
        painter.end()
        self._draft_rect = self._draft_rect.united(changed)
        return changed


# --- edges


def edged(mask: QImage, grow: float, feather: float) -> QImage:
    """A grey mask grown (a disc; negative shrinks) and feathered by pixels, as ``studio.diffusion.masks`` does it.

    To within two of 255 levels: the blur is made of boxes. The libraries are imported when they are first needed.
    """
    if not grow and feather <= 0:
        return mask
    import numpy as np
    from PIL import Image, ImageFilter

    width, height = mask.width(), mask.height()
    rows = np.frombuffer(mask.constBits(), np.uint8).reshape(height, mask.bytesPerLine())
    values = rows[:, :width].copy()
    if grow < 0:
        values = 255 - _grown(255 - values, -grow)
    elif grow > 0:
        values = _grown(values, grow)
    if feather > 0:
        # what lies beyond the edge is as the edge, and Pillow does the same
        blurred = Image.fromarray(values).filter(ImageFilter.GaussianBlur(feather / 2))
        values = np.asarray(blurred)
    data = np.ascontiguousarray(values).tobytes()
    return QImage(data, width, height, width, QImage.Format.Format_Grayscale8).copy()


def _grown(values: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    import numpy as np

    height, width = values.shape
    result = values.copy()
    reach = min(int(radius), height - 1)
    for row in range(-reach, reach + 1):
        half = min(int(math.sqrt(max(0.0, radius * radius - row * row))), width - 1)
        wide = _widened(values, half)
        into = result[max(0, row) : height + min(0, row)]
        np.maximum(into, wide[max(0, -row) : height + min(0, -row)], out=into)
    return result


def _widened(values: NDArray[np.uint8], half: int) -> NDArray[np.uint8]:
    """The maximum over ``half`` columns to either side, by doubling."""
    import numpy as np

    found = np.pad(values, ((0, 0), (half, half)))
    wanted, done = 2 * half + 1, 1
    while done < wanted:
        step = min(done, wanted - done)
        found = np.maximum(found[:, :-step], found[:, step:])
        done += step
    return found


def _blank(size: QSize) -> QImage:
    image = QImage(size, QImage.Format.Format_Grayscale8)
    image.fill(0)
    return image
