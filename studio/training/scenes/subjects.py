"""The subjects of scenes, each drawn upward from the ground where it stands."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from studio.training.scenes.brush import Brush, Color, Point, cubic, mix

PALETTE: Mapping[str, Color] = MappingProxyType(
    {
        "red": (214, 52, 48),
        "orange": (240, 138, 36),
        "yellow": (248, 208, 56),
        "green": (72, 160, 76),
        "blue": (48, 108, 204),
        "purple": (132, 72, 176),
        "pink": (242, 132, 176),
        "white": (248, 246, 240),
        "none": (140, 140, 140),
    }
)
_WHITE: Color = (255, 255, 255)
_WOOD: Color = (92, 64, 50)


@dataclass(frozen=True)
class Easel:
    """Where and in which light a subject is drawn: its foot at (x, y), its own units times ``scale``."""

    brush: Brush
    x: float
    y: float
    scale: float
    lit: Callable[[Color], Color]
    is_night: bool
    is_dim: bool
    """Windows are lit."""
    is_snowy: bool
    has_beam: bool
    """Lighthouses shine."""

    def at(self, *points: Point) -> list[Point]:
        """Points to the right of and above the foot."""
        return [(self.x + x * self.scale, self.y - y * self.scale) for x, y in points]

    def polygon(self, points: Sequence[Point], color: Color, *, has_outline: bool = True) -> None:
        """Fill a polygon in subject coordinates."""
        self.brush.polygon(self.at(*points), color, has_outline=has_outline)

    def box(
        self,
        left: float,
        bottom: float,
        width: float,
        height: float,
        color: Color,
        *,
        has_outline: bool = True,
    ) -> None:
        """Fill an upright rectangle from its bottom left corner."""
        right, top = left + width, bottom + height
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
        self.polygon(corners, color, has_outline=has_outline)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """Fill an ellipse in subject coordinates."""
        ((cx, cy),) = self.at((x, y))
        self.brush.ellipse(cx, cy, rx * self.scale, ry * self.scale, color)

    def stroke(self, points: Sequence[Point], color: Color, width: float) -> None:
        """Draw a line in subject coordinates."""
        self.brush.stroke(self.at(*points), color, width)

    def dot(self, x: float, y: float, radius: float, color: Color, alpha: float = 255) -> None:
        """Fill a circle without an outline."""
        ((cx, cy),) = self.at((x, y))
        self.brush.dot(cx, cy, radius * self.scale, color, alpha)

    def snow(self) -> Color:
        """The colour of snow in this light."""
        return self.lit((246, 249, 255))

    def window(self) -> Color:
        """The colour of a window at this hour."""
        return (255, 226, 120) if self.is_dim else (196, 226, 242)


def draw_subject(easel: Easel, kind: str, color: str, draw: random.Random) -> None:
    """Draw a subject of some kind and colour."""
    _DRAWN[kind](easel, color, draw)


def draw_pine(easel: Easel, height: float, color: Color, *, tiers: int) -> None:
    """Draw a fir; those of a forest have two tiers, one that stands alone three."""
    is_lone = tiers > 2
    width = height * 0.31
    trunk = easel.lit((112, 78, 54))
    easel.box(
        -height * 0.05, -height * 0.02, height * 0.1, height * 0.2, trunk, has_outline=is_lone
    )
    for tier in range(tiers):
        top = height * (1 - tier * 0.25)
        bottom = top - height * (0.42 if is_lone else 0.62)
        half = width * ((0.6 if is_lone else 0.68) + (0.25 if is_lone else 0.34) * tier)
        easel.polygon([(0, top), (half, bottom), (-half, bottom)], color)
        if easel.is_snowy and (is_lone or not tier):
            edge = top + (bottom - top) * 0.45
            easel.polygon([(0, top), (half * 0.45, edge), (-half * 0.45, edge)], easel.snow())


def _house(easel: Easel, color: str, draw: random.Random) -> None:
    width, height = 34.0, 20.0
    is_warm = color in ("red", "orange")
    roof: Color = (74, 62, 78) if is_warm else (120, 62, 48)
    if draw.random() < 0.7:
        easel.box(width * 0.2, height + 2, 5, 13, easel.lit((136, 96, 84)))
    easel.box(-width / 2, 0, width, height, easel.lit(PALETTE[color]))
    eaves = [(-0.6, 0), (-0.34, 14), (0.34, 14), (0.6, 0)]
    easel.polygon(
        [(width * x, height + y) for x, y in eaves],
        easel.snow() if easel.is_snowy else easel.lit(roof),
    )
    easel.box(-3.6, 0, 7.2, 11.5, easel.lit(_WOOD))
    for x in (-0.34, 0.34):
        easel.box(width * x - 3.4, height * 0.72 - 6.4, 6.8, 6.8, easel.window())


def _sailboat(easel: Easel, color: str, draw: random.Random) -> None:
    sail = PALETTE[color]
    easel.stroke([(0, 0), (0, 38)], easel.lit((96, 70, 50)), 2)
    easel.polygon([(1.5, 37), (22, 6), (1.5, 6)], easel.lit(sail))
    easel.polygon([(-1.8, 32), (-16, 6), (-1.8, 6)], easel.lit(mix(sail, _WHITE, 0.3)))
    hull = [(-22, 3.5), (23, 3.5), (16, -6), (-15, -6)]
    easel.polygon(hull, easel.lit((122, 78, 50)))


def _balloon(easel: Easel, color: str, draw: random.Random) -> None:
    envelope = PALETTE[color]
    r = 17.0
    outline = [
        (-r * 0.28, -r * 1.25),
        *cubic((-r * 0.28, -r * 1.25), (-r * 0.6, -r * 0.9), (-r, -r * 0.5), (-r, 0)),
        *_dome(r),
        *cubic((r, 0), (r, -r * 0.5), (r * 0.6, -r * 0.9), (r * 0.28, -r * 1.25)),
    ]
    easel.polygon(outline, easel.lit(envelope))
    stripe = mix(envelope, _WHITE, 0.45) if color != "white" else (204, 210, 222)
    left = cubic((-r * 0.12, -r * 1.25), (-r * 0.55, -r * 0.4), (-r * 0.5, r * 0.6), (0, r))
    right = cubic((0, r), (r * 0.5, r * 0.6), (r * 0.55, -r * 0.4), (r * 0.12, -r * 1.25))
    easel.polygon([(-r * 0.12, -r * 1.25), *left, *right], easel.lit(stripe))
    for side in (-1, 1):
        rope = [(side * r * 0.26, -r * 1.25), (side * r * 0.2, -r * 1.6)]
        easel.stroke(rope, easel.lit((90, 70, 50)), 1.4)
    easel.box(-r * 0.26, -r * 1.98, r * 0.52, r * 0.4, easel.lit((140, 92, 54)))


def _tree(easel: Easel, color: str, draw: random.Random) -> None:
    h = 42.0
    trunk = [(-3.6, 0), (-2.2, h * 0.5), (2.2, h * 0.5), (3.6, 0)]
    easel.polygon(trunk, easel.lit((108, 74, 52)))
    puffs = (
        (-0.26, 0.58, 0.25),
        (0.26, 0.58, 0.25),
        (0, 0.82, 0.27),
        (0, 0.6, 0.27),
        (-0.17, 0.78, 0.2),
        (0.17, 0.78, 0.2),
    )
    scale = easel.scale
    crown = [
        (easel.x + dx * h * scale, easel.y - dy * h * scale, m * h * scale, m * h * 0.9 * scale)
        for dx, dy, m in puffs
    ]
    easel.brush.cluster(crown, easel.lit(PALETTE[color]))
    if not easel.brush.is_line:
        easel.dot(-h * 0.12, h * 0.84, h * 0.14, _WHITE, 48)
    if easel.is_snowy:
        easel.ellipse(0, h * 1.0, h * 0.22, h * 0.07, easel.snow())


def _pine(easel: Easel, color: str, draw: random.Random) -> None:
    draw_pine(easel, 50, easel.lit((40, 112, 70)), tiers=3)


def _cactus(easel: Easel, color: str, draw: random.Random) -> None:
    h, w = 37.0, 9.0
    b = w * 0.76
    bars = [(-w / 2, -2.0, w / 2, h)]
    for side, elbow, rise in ((-1, 0.40, 0.36), (1, 0.52, 0.30)):
        arm = side * w * 1.45
        bars.append(
            (min(0, arm) - b / 2, h * elbow - b / 2, max(0, arm) + b / 2, h * elbow + b / 2)
        )
        bars.append((arm - b / 2, h * elbow - b / 2, arm + b / 2, h * (elbow + rise)))
    color_lit = easel.lit((64, 146, 78))
    placed = []
    for left, bottom, right, top in bars:
        (x0, y0), (x1, y1) = easel.at((left, top), (right, bottom))
        placed.append((x0, y0, x1, y1))
    easel.brush.bars(placed, color_lit)
    if easel.is_snowy:
        easel.ellipse(0, h, w * 0.5, 2.4, easel.snow())
    else:
        easel.stroke([(0, h - 6), (0, 5)], mix(color_lit, (20, 60, 30), 0.35), 1.4)


def _lighthouse(easel: Easel, color: str, draw: random.Random) -> None:
    h, foot, head = 50.0, 9.0, 6.0
    if easel.has_beam:
        side = -1 if easel.x > 64 else 1
        beam = [(0, h + 5), (side * 66, h + 21), (side * 66, h - 9)]
        easel.brush.plain(easel.at(*beam), (255, 240, 160), 120)
    second: Color = (250, 248, 242) if color != "white" else (168, 178, 194)
    for ring in range(4):
        low, high = ring / 4, (ring + 1) / 4
        a, b = foot + (head - foot) * low, foot + (head - foot) * high
        band = [(-a, h * low), (a, h * low), (b, h * high), (-b, h * high)]
        easel.polygon(band, easel.lit(PALETTE[color] if ring % 2 == 0 else second))
    easel.box(-head - 2.2, h - 1, 2 * head + 4.4, 3.2, easel.lit((70, 70, 84)))
    easel.box(-head * 0.7, h + 2, head * 1.4, 7, (255, 232, 130))
    cap: Color = PALETTE[color] if color != "white" else (120, 124, 140)
    easel.polygon([(-head - 0.5, h + 9), (0, h + 17), (head + 0.5, h + 9)], easel.lit(cap))


def _windmill(easel: Easel, color: str, draw: random.Random) -> None:
    h = 37.0
    easel.polygon([(-10, 0), (-6.4, h), (6.4, h), (10, 0)], easel.lit(PALETTE[color]))
    roof = easel.snow() if easel.is_snowy else easel.lit((104, 70, 56))
    easel.polygon([(-7.6, h), (0, h + 9), (7.6, h)], roof)
    easel.box(-3.2, 0, 6.4, 10, easel.lit(_WOOD))
    turn = draw.uniform(0.45, 1.1)
    hub = h + 1
    pale: Color = (250, 244, 228) if color != "white" else (226, 206, 168)
    for blade in range(4):
        angle = turn + blade * math.pi / 2
        ux, uy = math.cos(angle), math.sin(angle)
        vane = [
            (ux * 4, hub + uy * 4),
            (ux * 24, hub + uy * 24),
            (ux * 24 - uy * 7, hub + uy * 24 + ux * 7),
            (ux * 5 - uy * 6, hub + uy * 5 + ux * 6),
        ]
        easel.polygon(vane, easel.lit(pale))
        easel.stroke([(0, hub), (ux * 24, hub + uy * 24)], easel.lit((96, 68, 50)), 2)
    easel.dot(0, hub, 2.2, easel.lit((80, 56, 44)))


def _castle(easel: Easel, color: str, draw: random.Random) -> None:
    w, h = 28.0, 20.0
    paint = PALETTE[color]
    stone = easel.lit(mix((186, 184, 190), paint, 0.6))
    roof = easel.lit(mix(paint, (40, 30, 60), 0.25) if color != "white" else (150, 156, 176))
    slit = easel.window() if easel.is_night else easel.lit((60, 60, 80))
    easel.box(-w / 2, 0, w, h, stone)
    for merlon in range(4):
        easel.box(-w / 2 + w * merlon * 2 / 7, h - 0.5, w / 7, 4, stone, has_outline=False)
    for side, height in ((-1, 32.0), (1, 32.0), (0, 40.0)):
        x, half = side * w * 0.55, 5.0
        bottom = 0.0 if side else h
        easel.box(x - half, bottom, 2 * half, height - bottom, stone)
        easel.polygon([(x - half * 1.4, height), (x, height + 14), (x + half * 1.4, height)], roof)
        easel.box(x - 1.6, height - 9, 3.2, 5.5, slit, has_outline=False)
    gate = [(-4.6, 0), *((x, y + 7) for x, y in _dome(4.6)), (4.6, 0)]
    easel.polygon(gate, easel.lit((84, 58, 48)))


def _tent(easel: Easel, color: str, draw: random.Random) -> None:
    h = 28.0
    cloth = PALETTE[color]
    easel.polygon([(-22, 0), (0, h), (22, 0)], easel.lit(cloth))
    easel.polygon([(0, h), (22, 0), (9.5, 0)], easel.lit(mix(cloth, (20, 20, 50), 0.22)))
    opening: Color = easel.window() if easel.is_night else easel.lit((62, 52, 64))
    easel.polygon([(-7.5, 0), (0, h * 0.72), (7.5, 0)], opening)
    easel.stroke([(0, h + 5), (0, h)], easel.lit((90, 70, 50)), 2)
    if easel.is_snowy:
        easel.polygon([(0, h), (5, h - 6.4), (0, h - 9), (-5, h - 6.4)], easel.snow())


def _snowman(easel: Easel, color: str, draw: random.Random) -> None:
    snow, hat = easel.lit((250, 252, 255)), easel.lit((44, 44, 60))
    for side in (-1, 1):
        easel.stroke([(side * 8, 26), (side * 17, 33)], easel.lit((110, 78, 54)), 1.8)
    easel.ellipse(0, 10, 12.5, 11.5, snow)
    easel.ellipse(0, 26, 9.5, 9, snow)
    easel.ellipse(0, 38, 7.4, 7, snow)
    easel.box(-8, 30.5, 16, 4, easel.lit((210, 50, 60)), has_outline=False)
    easel.box(-8.4, 43, 16.8, 2.6, hat)
    easel.box(-5.4, 45, 10.8, 9, hat)
    for x, y in ((-2.6, 39.6), (2.6, 39.6), (0, 24.5), (0, 14), (0, 9)):
        easel.dot(x, y, 1.3, (36, 36, 48))
    easel.brush.plain(easel.at((0, 38.6), (8, 36.6), (0, 36)), (240, 130, 40))


def _dome(radius: float) -> list[Point]:
    """The upper half of a circle, from left to right."""
    angles = (math.pi - math.pi * number / 10 for number in range(11))
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


_DRAWN: Mapping[str, Callable[[Easel, str, random.Random], None]] = MappingProxyType(
    {
        "house": _house,
        "sailboat": _sailboat,
        "balloon": _balloon,
        "tree": _tree,
        "pine": _pine,
        "cactus": _cactus,
        "lighthouse": _lighthouse,
        "windmill": _windmill,
        "castle": _castle,
        "tent": _tent,
        "snowman": _snowman,
    }
)
