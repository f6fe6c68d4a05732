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
        "red": (216, 36, 36),
        "orange": (246, 134, 22),
        "yellow": (252, 212, 40),
        "green": (50, 160, 62),
        "blue": (34, 96, 214),
        "purple": (128, 38, 186),
        "pink": (255, 78, 166),
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
        -height * 0.06, -height * 0.02, height * 0.12, height * 0.2, trunk, has_outline=is_lone
    )
    for tier in range(tiers):
        top = height * (1 - tier * 0.25)
        bottom = top - height * (0.42 if is_lone else 0.62)
        half = width * ((0.6 if is_lone else 0.68) + (0.25 if is_lone else 0.34) * tier)
        easel.polygon([(0, top), (half, bottom), (-half, bottom)], color)
        if easel.is_snowy and not tier:
            edge = top + (bottom - top) * 0.45
            cap = [(0, top), (half * 0.45, edge), (-half * 0.45, edge)]
            easel.polygon(cap, easel.snow(), has_outline=is_lone)


def _house(easel: Easel, color: str, draw: random.Random) -> None:
    width, height = 34.0, 20.0
    is_warm = color in ("red", "orange")
    roof: Color = (74, 62, 78) if is_warm else (120, 62, 48)
    if draw.random() < 0.7:
        easel.box(width * 0.2, height + 2, 5.6, 13, easel.lit((136, 96, 84)))
    easel.box(-width / 2, 0, width, height, easel.lit(PALETTE[color]))
    eaves = [(-0.6, 0), (-0.34, 14), (0.34, 14), (0.6, 0)]
    easel.polygon(
        [(width * x, height + y) for x, y in eaves],
        easel.snow() if easel.is_snowy else easel.lit(roof),
    )
    easel.box(-3.6, 0, 7.2, 11.5, easel.lit(_WOOD), has_outline=False)
    for x in (-0.31, 0.31):
        easel.box(width * x - 3.6, 7, 7.2, 7.2, easel.window(), has_outline=False)


def _sailboat(easel: Easel, color: str, draw: random.Random) -> None:
    sail = PALETTE[color]
    easel.stroke([(0, 0), (0, 38)], easel.lit((96, 70, 50)), 2.6)
    easel.polygon([(1.5, 37), (22, 6), (1.5, 6)], easel.lit(sail))
    easel.polygon([(-1.8, 32), (-16, 6), (-1.8, 6)], easel.lit(mix(sail, _WHITE, 0.3)))
    hull = [(-22, 3.5), (23, 3.5), (16, -6), (-15, -6)]
    easel.polygon(hull, easel.lit((122, 78, 50)))


def _balloon(easel: Easel, color: str, draw: random.Random) -> None:
    envelope = PALETTE[color]
    r = 17.5
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
    easel.polygon([(-r * 0.12, -r * 1.25), *left, *right], easel.lit(stripe), has_outline=False)
    for side in (-1, 1):
        rope = [(side * r * 0.26, -r * 1.25), (side * r * 0.2, -r * 1.6)]
        easel.stroke(rope, easel.lit((90, 70, 50)), 1.8)
    easel.box(-r * 0.26, -r * 1.98, r * 0.52, r * 0.4, easel.lit((140, 92, 54)))


def _tree(easel: Easel, color: str, draw: random.Random) -> None:
    h = 42.0
    trunk = [(-4.2, 0), (-2.8, h * 0.5), (2.8, h * 0.5), (4.2, 0)]
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
        easel.stroke([(0, h - 6), (0, 5)], mix(color_lit, (20, 60, 30), 0.35), 1.8)


def _lighthouse(easel: Easel, color: str, draw: random.Random) -> None:
    h, foot, head = 48.0, 11.0, 7.0
    if easel.has_beam:
        side = -1 if easel.x > 64 else 1
        beam = [(0, h + 7), (side * 66, h + 22), (side * 66, h - 8)]
        easel.brush.plain(easel.at(*beam), (255, 240, 160), 120)
    paint, white = easel.lit(PALETTE[color]), easel.lit((252, 250, 244))
    if color == "white":
        paint, white = white, easel.lit((128, 140, 160))
    easel.polygon([(-foot, 0), (foot, 0), (head, h), (-head, h)], paint)
    # one pale band in three, each as wide as two places of a latent
    low, high = 0.34, 0.67
    a, b = foot + (head - foot) * low, foot + (head - foot) * high
    easel.polygon([(-a, h * low), (a, h * low), (b, h * high), (-b, h * high)], white)
    easel.box(-head * 0.72, h + 2, head * 1.44, 9, (255, 226, 96))
    easel.box(-head - 3.4, h - 1, 2 * head + 6.8, 4, easel.lit((54, 54, 70)), has_outline=False)
    cap = paint if color != "white" else easel.lit((96, 104, 124))
    easel.polygon([(-head - 1.6, h + 10.5), (0, h + 19), (head + 1.6, h + 10.5)], cap)


def _windmill(easel: Easel, color: str, draw: random.Random) -> None:
    h = 36.0
    easel.polygon([(-14, 0), (-8.4, h), (8.4, h), (14, 0)], easel.lit(PALETTE[color]))
    roof = easel.snow() if easel.is_snowy else easel.lit((104, 70, 56))
    easel.polygon([(-10, h - 1), (-5, h + 8), (5, h + 8), (10, h - 1)], roof)
    easel.box(-4, 0, 8, 11, easel.lit(_WOOD), has_outline=False)
    turn = draw.uniform(0.55, 1.02)
    hub = h - 1
    pale: Color = (255, 250, 236) if color != "white" else (240, 206, 140)
    wood = easel.lit((74, 50, 40))
    is_framed = easel.brush.style in ("flat", "watercolor")
    for blade in range(4):
        angle = turn + blade * math.pi / 2
        ux, uy = math.cos(angle), math.sin(angle)
        arm, sail, frame = (
            [(ux * u - uy * v, hub + uy * u + ux * v) for u, v in corners]
            for corners in (
                ((0, 0), (29, 0)),
                _box(7, 27, 0, 7.4) if is_framed else _box(6, 29, 0, 9),
                _box(5, 29, -2.4, 9.6),
            )
        )
        # pale as the sky may be, a sail is seen by its frame
        if is_framed:
            easel.polygon(frame, wood)
            easel.brush.plain(easel.at(*sail), easel.lit(pale))
        else:
            easel.polygon(sail, easel.lit(pale))
        easel.stroke(arm, wood, 3.4)
    easel.dot(0, hub, 4, easel.brush.ink if easel.brush.is_line else wood)


def _castle(easel: Easel, color: str, draw: random.Random) -> None:
    w, h = 28.0, 20.0
    paint = PALETTE[color]
    stone = easel.lit(mix((186, 184, 190), paint, 0.84))
    roof = easel.lit(mix(paint, (40, 20, 60), 0.38) if color != "white" else (124, 134, 160))
    slit = easel.window() if easel.is_night else easel.lit((60, 60, 80))
    easel.box(-w / 2, 0, w, h, stone)
    for merlon in range(4):
        easel.box(-w / 2 + w * merlon * 2 / 7, h - 0.5, w / 7, 4, stone, has_outline=False)
    for side, height in ((-1, 32.0), (1, 32.0), (0, 40.0)):
        x, half = side * w * 0.56, 5.4
        bottom = 0.0 if side else h
        easel.box(x - half, bottom, 2 * half, height - bottom, stone)
        easel.polygon([(x - half * 1.4, height), (x, height + 14), (x + half * 1.4, height)], roof)
        easel.box(x - 2.1, height - 10, 4.2, 6.5, slit, has_outline=False)
    gate = [(-4.6, 0), *((x, y + 7) for x, y in _dome(4.6)), (4.6, 0)]
    easel.polygon(gate, easel.lit((84, 58, 48)), has_outline=False)


def _tent(easel: Easel, color: str, draw: random.Random) -> None:
    h = 28.0
    cloth = PALETTE[color]
    easel.polygon([(-22, 0), (0, h), (22, 0)], easel.lit(cloth))
    shade = easel.lit(mix(cloth, (20, 20, 50), 0.28))
    easel.polygon([(0, h), (22, 0), (10.5, 0)], shade, has_outline=False)
    opening: Color = easel.window() if easel.is_night else easel.lit((62, 52, 64))
    easel.polygon([(-7.5, 0), (0, h * 0.74), (7.5, 0)], opening, has_outline=False)
    easel.stroke([(0, h + 5), (0, h)], easel.lit((90, 70, 50)), 2.4)
    if easel.is_snowy:
        easel.polygon([(0, h), (5, h - 6.4), (0, h - 9), (-5, h - 6.4)], easel.snow())


def _snowman(easel: Easel, color: str, draw: random.Random) -> None:
    snow, hat = easel.lit((250, 252, 255)), easel.lit((44, 44, 60))
    for side in (-1, 1):
        easel.stroke([(side * 8, 26), (side * 17, 33)], easel.lit((110, 78, 54)), 2.4)
    easel.ellipse(0, 10, 12.5, 11.5, snow)
    easel.ellipse(0, 26, 9.5, 9, snow)
    easel.ellipse(0, 38, 7.4, 7, snow)
    easel.box(-8, 30, 16, 4.6, easel.lit((210, 40, 50)), has_outline=False)
    easel.box(-9, 43, 18, 3.4, hat, has_outline=False)
    easel.box(-6, 45, 12, 9.6, hat, has_outline=False)
    for x, y in ((-2.8, 40), (2.8, 40), (0, 24), (0, 13)):
        easel.dot(x, y, 1.6, (36, 36, 48))
    easel.brush.plain(easel.at((0, 38.8), (9, 36.4), (0, 35.4)), (240, 120, 30))


def _box(left: float, right: float, bottom: float, top: float) -> tuple[Point, ...]:
    return ((left, bottom), (right, bottom), (right, top), (left, top))


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
