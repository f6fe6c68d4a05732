"""A brush: shapes in one of four styles on a canvas of 128 × 128 units, drawn larger and brought down.

Colours are float triples from 0 to 255, lengths units of the canvas, angles radians.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Color = tuple[float, float, float]
Point = tuple[float, float]

UNITS = 128
BLOCK = 4
"""Side of the blocks of pixel art, in units: two and two of them fill a place of a latent, and none lies in two. Blocks
of 8 would fill one each, but leave 16 × 16 of them, in which windmill, cactus and snowman cannot be told apart."""
_SUPERSAMPLING = 3
OUTLINE = 3.6
"""Width of the lines of drawings: nearly half a place of a latent, so that an autoencoder keeps them."""
_EDGE = 1.5
"""Width of the rim where a wash of watercolour has dried."""


def mix(first: Color, second: Color, share: float) -> Color:
    """The colour ``share`` of the way from the first to the second."""
    r, g, b = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return (r, g, b)


def curve(heights: Sequence[float], *, low: float = -4, high: float = UNITS + 4) -> list[Point]:
    """A smooth line through ``heights`` at equal distances from ``low`` to ``high``, level at each of them."""
    stride = (high - low) / (len(heights) - 1)
    points = []
    for number, (left, right) in enumerate(pairwise(heights)):
        for part in range(8):
            share = part / 8
            ease = share * share * (3 - 2 * share)
            points.append((low + (number + share) * stride, left + (right - left) * ease))
    return [*points, (high, heights[-1])]


def cubic(start: Point, one: Point, two: Point, end: Point) -> list[Point]:
    """Points of a cubic Bézier curve, without its start."""
    points = []
    for number in range(1, 9):
        t = number / 8
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        x, y = (
            a * p + b * q + c * r + d * s for p, q, r, s in zip(start, one, two, end, strict=True)
        )
        points.append((x, y))
    return points


class Brush:
    """Draws shapes as the style wants them; ``finish`` gives the picture."""

    def __init__(self, size: int, style: str, ink: Color, paper: Color) -> None:
        """``size``: side of the picture in pixels; ``paper``: what unaccented shapes of a drawing are filled with."""
        self.style = style
        self.is_line = style == "line"
        self.is_pixel = style == "pixel"
        self.is_accented = False
        """Drawings colour what is accented: the subject, and little else."""
        self._size = size
        self._cells = min(size, UNITS // BLOCK)
        """Blocks of pixel art on a side."""
        if self.is_pixel:
            side = self._cells * _SUPERSAMPLING
        else:
            side = max(size * _SUPERSAMPLING, size * math.ceil(192 / size))
        self._unit = side / UNITS
        self.ink = ink
        """Colour of the lines of drawings."""
        self._paper = paper
        self._canvas = Image.new("RGB", (side, side), _whole(paper))
        self._draw = ImageDraw.Draw(self._canvas, "RGBA")

    # --- shapes

    def polygon(
        self,
        points: Sequence[Point],
        color: Color,
        *,
        has_outline: bool = True,
    ) -> None:
        """Fill a polygon."""
        scaled = self._scaled(points)
        if self.is_line:
            self._draw.polygon(scaled, _whole(color if self.is_accented else self._paper))
            if has_outline:
                self._closed(scaled, _whole(self.ink), OUTLINE)
        elif self.style == "watercolor":
            self._draw.polygon(scaled, self._wash(color))
            if has_outline:
                self._closed(scaled, _whole(_rim(color), 140), _EDGE)
        else:
            self._draw.polygon(scaled, _whole(color))

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: Color,
        *,
        has_outline: bool = True,
    ) -> None:
        """Fill an upright rectangle from its top left corner."""
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        self.polygon(corners, color, has_outline=has_outline)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """Fill an ellipse around a centre."""
        box = self._box(x, y, rx, ry)
        if self.is_line:
            # around the edge, as the outline of a polygon: half of it within
            box = self._box(x, y, rx + OUTLINE / 2, ry + OUTLINE / 2)
            fill = _whole(color if self.is_accented else self._paper)
            self._draw.ellipse(box, fill, _whole(self.ink), round(self._unit * OUTLINE))
        elif self.style == "watercolor":
            self._draw.ellipse(box, self._wash(color))
            width = max(1, round(self._unit * _EDGE))
            self._draw.ellipse(box, None, _whole(_rim(color), 140), width)
        else:
            self._draw.ellipse(box, _whole(color))

    def band(self, heights: Sequence[float], color: Color) -> None:
        """Fill from a smooth line down to the bottom."""
        edge = curve(heights)
        self.polygon([*edge, (UNITS + 4, UNITS + 4), (-4, UNITS + 4)], color)

    def cluster(self, circles: Iterable[tuple[float, float, float, float]], color: Color) -> None:
        """Fill the union of ellipses (x, y, rx, ry), outlined as one shape."""
        ellipses = list(circles)
        if self.is_line or self.style == "watercolor":
            is_line = self.is_line
            margin = OUTLINE / 2 if is_line else _EDGE / 2
            edge = self.ink if is_line else _rim(color)
            for x, y, rx, ry in ellipses:
                self._draw.ellipse(self._box(x, y, rx + margin, ry + margin), _whole(edge))
            for x, y, rx, ry in ellipses:
                inner = color if self.is_accented or not is_line else self._paper
                self._draw.ellipse(self._box(x, y, rx - margin, ry - margin), _whole(inner))
            return
        for x, y, rx, ry in ellipses:
            self._draw.ellipse(self._box(x, y, rx, ry), _whole(color))

    def bars(self, bars: Iterable[tuple[float, float, float, float]], color: Color) -> None:
        """Fill the union of rounded bars (left, top, right, bottom), outlined as one shape."""
        several = list(bars)
        margin = {"line": OUTLINE / 2, "watercolor": _EDGE / 2}.get(self.style, 0.0)
        edge = self.ink if self.is_line else _rim(color)
        for grow, fill in ((margin, edge), (-margin, color)) if margin else ((0.0, color),):
            for left, top, right, bottom in several:
                radius = (min(right - left, bottom - top) / 2 + grow) * self._unit
                corners = self._scaled([(left - grow, top - grow), (right + grow, bottom + grow)])
                self._draw.rounded_rectangle(corners, radius, _whole(fill))

    def stroke(self, points: Sequence[Point], color: Color, width: float) -> None:
        """Draw a line; drawings draw it in ink."""
        if self.is_line:
            color, width = self.ink, max(width, OUTLINE)
        elif self.is_pixel:
            width = max(width, BLOCK)
        pixels = max(1, round(width * self._unit))
        self._draw.line(self._scaled(points), _whole(color), pixels, "curve")

    def dot(self, x: float, y: float, radius: float, color: Color, alpha: float = 255) -> None:
        """Fill a circle without an outline, in its own colour in every style."""
        if self.is_pixel:
            radius = max(radius, 0.6 * BLOCK)
        self._draw.ellipse(self._box(x, y, radius, radius), _whole(color, alpha))

    def plain(self, points: Sequence[Point], color: Color, alpha: float = 255) -> None:
        """Fill a polygon without an outline, in its own colour in every style."""
        self._draw.polygon(self._scaled(points), _whole(color, alpha))

    def fleck(self, x: float, y: float, radius: float, color: Color, *, points: int = 0) -> None:
        """A flake of snow or a flower, or a star of some points, in its own colour in every style; small as it is, it
        must be seen: in pixel art it takes whole blocks.
        """
        if self.is_pixel:
            column, row = int(x // BLOCK), int(y // BLOCK)
            self._block(column, row, 1, 1, color)
            if points and radius > 3:
                self._block(column - 1, row, 3, 1, color)
                self._block(column, row - 1, 1, 3, color)
        elif points:
            turns = (number * math.pi / points for number in range(2 * points))
            lengths = (radius * (0.42 if number % 2 else 1.35) for number in range(2 * points))
            self.plain(
                [
                    (x + length * math.sin(turn), y - length * math.cos(turn))
                    for turn, length in zip(turns, lengths, strict=True)
                ],
                color,
            )
        else:
            self.dot(x, y, radius, color)

    def drop(self, x: float, y: float, length: float, width: float, color: Color) -> None:
        """A drop of rain that falls aslant, in its own colour in every style; in pixel art whole blocks."""
        if self.is_pixel:
            self._block(int(x // BLOCK), int(y // BLOCK), 1, max(2, round(length / BLOCK)), color)
            return
        end = (x - 0.35 * length, y + length)
        pixels = max(1, round(width * self._unit))
        self._draw.line(self._scaled([(x, y), end]), _whole(color), pixels)
        for place in ((x, y), end):
            self.dot(*place, width / 2, color)

    def _block(self, column: int, row: int, width: int, height: int, color: Color) -> None:
        left, top = column * BLOCK, row * BLOCK
        right, bottom = left + width * BLOCK, top + height * BLOCK
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        # the far edges belong to Pillow's polygons
        scaled = [(x * self._unit, y * self._unit) for x, y in corners]
        box = (*scaled[0], scaled[2][0] - 1, scaled[2][1] - 1)
        self._draw.rectangle(box, _whole(color))

    def group(self) -> contextlib.AbstractContextManager[None]:
        """What is painted in the block is seen as one shape, such as the trees of a forest."""
        return contextlib.nullcontext()

    # --- light

    def sky(self, colors: Sequence[Color], stops: Sequence[float], bottom: float) -> None:
        """Fill everything with a gradient down to ``bottom`` and the last colour below."""
        side = self._canvas.height
        heights = self._rows(side) / (bottom * self._unit)
        rows = np.stack(
            [np.interp(heights, stops, [c[channel] for c in colors]) for channel in range(3)],
            axis=-1,
        )
        column = Image.fromarray(rows.clip(0, 255).round().astype(np.uint8)[:, None])
        self._canvas.paste(column.resize(self._canvas.size, Image.Resampling.NEAREST))

    def veil(self, top: float, color: Color, stops: Sequence[tuple[float, float]]) -> None:
        """Lay a colour over everything below ``top``; stops: (share of the way down, opacity in [0, 255])."""
        side = self._canvas.height
        start = round(top * self._unit)
        shares = (self._rows(side)[start:] - start) / max(side - start, 1)
        alpha = np.interp(shares, [s for s, _ in stops], [a for _, a in stops])
        mask = Image.fromarray(alpha.round().astype(np.uint8)[:, None])
        mask = mask.resize((side, side - start), Image.Resampling.NEAREST)
        self._canvas.paste(_whole(color), (0, start), mask)

    def glow(self, x: float, y: float, radius: float, color: Color, alpha: float) -> None:
        """Light around a point, fading to nothing at ``radius``."""
        side = max(2, round(2 * radius * self._unit))
        steps = 64 if self.is_pixel else 1
        levels = [round(v // steps * steps * alpha / 255) for v in range(256)]
        mask = _halo().resize((side, side)).point(levels)
        corner = (round((x - radius) * self._unit), round((y - radius) * self._unit))
        self._canvas.paste(_whole(color), corner, mask)

    def _rows(self, side: int) -> NDArray[np.floating]:
        """How far down each row counts as; in pixel art two rows of blocks alike."""
        rows = np.arange(side)
        if self.is_pixel:
            step = 2 * _SUPERSAMPLING
            return (rows // step + 0.5) * step
        return rows + 0.5

    # --- the picture

    def finish(self, texture: int) -> NDArray[np.uint8]:
        """The picture, uint8 [size, size, 3]; ``texture`` chooses the grain of a watercolour."""
        if self.style == "pixel":
            return self._blocks()
        small = self._canvas.resize((self._size, self._size), Image.Resampling.BOX)
        if self.style == "watercolor":
            return _washed(np.asarray(small), texture)
        return np.asarray(small)

    def _blocks(self) -> NDArray[np.uint8]:
        """Each block in the colour of most of it: hard edges, aligned to every grid of 8."""
        cells = self._cells
        parts = np.asarray(self._canvas).reshape(cells, _SUPERSAMPLING, cells, _SUPERSAMPLING, 3)
        inner = parts.transpose(0, 2, 4, 1, 3).reshape(cells, cells, 3, -1)
        colors = np.partition(inner, inner.shape[-1] // 2, axis=-1)[..., inner.shape[-1] // 2]
        picture = Image.fromarray(np.ascontiguousarray(colors))
        return np.asarray(picture.resize((self._size, self._size), Image.Resampling.NEAREST))

    def _wash(self, color: Color) -> tuple[int, ...]:
        """A colour of a watercolour, through which a little of what lies below is seen."""
        return _whole(color, 248 if self.is_accented else 232)

    def _closed(self, scaled: list[Point], color: tuple[int, ...], width: float) -> None:
        pixels = max(1, round(width * self._unit))
        self._draw.line([*scaled, scaled[0], scaled[1]], color, pixels, "curve")

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        unit = self._unit
        return [(x * unit, y * unit) for x, y in points]

    def _box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        unit = self._unit
        rx, ry = max(rx, 0.2), max(ry, 0.2)
        return ((x - rx) * unit, (y - ry) * unit, (x + rx) * unit, (y + ry) * unit)


def _rim(color: Color) -> Color:
    return mix(color, (30, 30, 60), 0.34)


def _whole(color: Color, alpha: float = 255) -> tuple[int, ...]:
    channels = tuple(max(0, min(255, round(channel))) for channel in color)
    return channels if alpha >= 255 else (*channels, max(0, round(alpha)))


@functools.cache
def _halo() -> Image.Image:
    """A disc of light, brightest in the middle."""
    axis = np.linspace(-1, 1, 96)
    distance = np.sqrt(axis[:, None] ** 2 + axis[None] ** 2)
    return Image.fromarray((np.clip(1 - distance, 0, 1) * 255).round().astype(np.uint8))


def _washed(picture: NDArray[np.uint8], texture: int) -> NDArray[np.uint8]:
    """Uneven pigment, and paper showing at a ragged edge."""
    grain, paper = _grain(picture.shape[0], texture)
    color = picture.astype(np.float32)
    color = color + (255 - color) * grain
    color = color + (np.array([250, 247, 240], np.float32) - color) * paper
    return color.clip(0, 255).round().astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _grain(size: int, texture: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How much of the paper shows through, and the share of bare paper, float32 [size, size, 1]."""
    # numpy promises the stream of a bit generator, not that of its distributions
    raw = np.random.PCG64(texture).random_raw(8192)
    values = (raw >> np.uint64(11)).astype(np.float64) / 2.0**53
    noise = np.zeros((size, size))
    for cells, weight in ((6, 0.55), (16, 0.35), (64, 0.10)):
        first = cells * cells
        coarse = (values[:first].reshape(cells, cells) * 2 - 1) * 1.7
        patch = Image.fromarray(coarse.astype(np.float32)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        noise += weight * np.asarray(patch)
    axis = np.minimum(np.arange(size), size - 1 - np.arange(size)) * (UNITS / size)
    distance = np.minimum(axis[:, None], axis[None])
    bare = 1 - np.clip((distance - 2.5 - 2.2 * noise) / 3, 0, 1)
    grain = np.clip(0.14 + 0.13 * noise, 0, 0.5)
    return grain[..., None].astype(np.float32), bare[..., None].astype(np.float32)
