"""A hand that traces a scene: white outlines on black, as somebody draws them with a round brush."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from studio.training.scenes.brush import UNITS, Brush, Color, Point

_BLACK: Color = (0, 0, 0)
_STEP = 5.0
"""How far the brush goes, in units, before the hand strays anew."""


class Pencil(Brush):
    """Takes what a ``Brush`` is told to paint and draws its outlines; a shape hides the lines behind it.

    How thick the brush is, how unsteady the hand and how much is worth drawing follow from ``hand``.
    """

    def __init__(self, size: int, style: str, hand: random.Random) -> None:
        """``style``: the picture's, so that the drawing has its shapes; ``size``: side in pixels."""
        super().__init__(size, style, _BLACK, _BLACK)
        side = max(2 * size, 192)
        self._unit = side / UNITS
        self._canvas = Image.new("L", (side, side))
        self._draw = ImageDraw.Draw(self._canvas)
        self._hand = hand
        self._width = hand.uniform(1.8, 4.2)
        self._stray = hand.uniform(0.3, 1.2)
        self._detail = hand.uniform(6, 10)
        """Side of the smallest square that is worth an outline."""
        self._has_sky = hand.random() < 0.6
        self._has_land = hand.random() < 0.85
        self._group: list[list[Point]] | None = None

    def drawing(self) -> NDArray[np.uint8]:
        """The drawing, uint8 [size, size], from black to white."""
        return np.asarray(self._canvas.resize((self._size, self._size), Image.Resampling.BOX))

    # --- what has an outline

    def polygon(self, points: Sequence[Point], color: Color, *, has_outline: bool = True) -> None:
        """Draw a polygon's outline if it is large enough, or hide what is behind it."""
        if self._group is not None:
            self._group.append(list(points))
            return
        path = self._by_hand([*points, points[0]])
        self._hide(path)
        columns, rows = zip(*points, strict=True)
        area = (max(columns) - min(columns)) * (max(rows) - min(rows))
        if area < self._detail**2 or not (has_outline or self.is_accented):
            return
        if self.is_accented or self._has_land:
            self._trace(path, self._width)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """Draw an ellipse's outline."""
        self.polygon(_ellipse(x, y, rx, ry), color)

    def cluster(self, circles: Iterable[tuple[float, float, float, float]], color: Color) -> None:
        """Draw the outline of a union of ellipses."""
        if self.is_accented or self._has_sky:
            self._union([_ellipse(*circle) for circle in circles])

    def bars(self, bars: Iterable[tuple[float, float, float, float]], color: Color) -> None:
        """Draw the outline of a union of rounded bars."""
        self._union([_bar(*bar) for bar in bars])

    def stroke(self, points: Sequence[Point], color: Color, width: float) -> None:
        """Draw a line of a subject; waves and rays are not worth it."""
        if self.is_accented:
            self._trace(self._by_hand(points), self._width)

    def dot(self, x: float, y: float, radius: float, color: Color, alpha: float = 255) -> None:
        """Draw the circle of sun or moon; what is smaller or a gleam is no line."""
        if self._has_sky and radius > 6 and alpha == 255:
            self._trace(self._by_hand(_ellipse(x, y, radius, radius)), self._width)

    @contextlib.contextmanager
    def group(self) -> Iterator[None]:
        """Draw one outline around all polygons of the block."""
        self._group = []
        try:
            yield
        finally:
            shapes, self._group = self._group, None
            self._union(shapes, is_drawn=self._has_land)

    # --- what has none

    def plain(self, points: Sequence[Point], color: Color, alpha: float = 255) -> None:
        """Leave out."""

    def fleck(self, x: float, y: float, radius: float, color: Color, *, points: int = 0) -> None:
        """Leave out."""

    def drop(self, x: float, y: float, length: float, width: float, color: Color) -> None:
        """Leave out."""

    def sky(self, colors: Sequence[Color], stops: Sequence[float], bottom: float) -> None:
        """Leave out."""

    def veil(self, top: float, color: Color, stops: Sequence[tuple[float, float]]) -> None:
        """Leave out."""

    def glow(self, x: float, y: float, radius: float, color: Color, alpha: float) -> None:
        """Leave out."""

    # --- the hand

    def _union(self, shapes: Sequence[Sequence[Point]], *, is_drawn: bool = True) -> None:
        paths = [self._by_hand([*shape, shape[0]]) for shape in shapes]
        if is_drawn:
            # twice as wide: the half within is hidden again
            for path in paths:
                self._trace(path, 2 * self._width)
        for path in paths:
            self._hide(path)

    def _by_hand(self, points: Sequence[Point]) -> list[Point]:
        """A path as an unsteady hand follows it, in steps; it need not end where it began."""
        hand, stray = self._hand, self._stray
        dx, dy = hand.gauss(0, 0.6 * stray), hand.gauss(0, 0.6 * stray)
        path = []
        for (x0, y0), (x1, y1) in pairwise(points):
            count = max(1, round(math.dist((x0, y0), (x1, y1)) / _STEP))
            for number in range(count):
                share = number / count
                path.append((x0 + (x1 - x0) * share + dx, y0 + (y1 - y0) * share + dy))
                # most of the last error stays: a hand swerves, it does not tremble
                dx = 0.75 * dx + hand.gauss(0, 0.4 * stray)
                dy = 0.75 * dy + hand.gauss(0, 0.4 * stray)
        last_x, last_y = points[-1]
        return [*path, (last_x + dx, last_y + dy)]

    def _trace(self, path: Sequence[Point], width: float) -> None:
        hand, unit = self._hand, self._unit
        pressure = hand.uniform(0.88, 1.12)
        last: Point | None = None
        for x, y in path:
            pressure += (1 - pressure) * 0.2 + hand.uniform(-0.06, 0.06)
            radius = width * pressure * unit / 2
            here = (x * unit, y * unit)
            if last is not None:
                self._draw.line((last, here), 255, max(1, round(2 * radius)))
            box = (here[0] - radius, here[1] - radius, here[0] + radius, here[1] + radius)
            self._draw.ellipse(box, 255)
            last = here

    def _hide(self, path: Sequence[Point]) -> None:
        self._draw.polygon(self._scaled(path), 0)


def _ellipse(x: float, y: float, rx: float, ry: float) -> list[Point]:
    count = max(8, round((rx + ry) * math.pi / _STEP))
    turns = (number * 2 * math.pi / count for number in range(count + 1))
    return [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]


def _bar(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """A rectangle with round corners."""
    radius = min(right - left, bottom - top) / 2
    corners = (
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 1),
        (left + radius, top + radius, 2),
        (right - radius, top + radius, 3),
    )
    return [
        (x + radius * math.cos(turn), y + radius * math.sin(turn))
        for x, y, quarter in corners
        for turn in ((quarter + part / 3) * math.pi / 2 for part in range(4))
    ]
