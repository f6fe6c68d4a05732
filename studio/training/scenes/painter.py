"""Draws a scene: sky, terrain, the subjects, and the weather before them all."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from studio.training.scenes.attributes import NONE, Scene, source
from studio.training.scenes.brush import UNITS, Brush, Color, Point, mix
from studio.training.scenes.pencil import Pencil
from studio.training.scenes.subjects import Easel, draw_pine, draw_subject

_SKY: Mapping[str, tuple[Color, Color, Color]] = MappingProxyType(
    {
        "dawn": ((150, 170, 220), (252, 200, 190), (255, 232, 200)),
        "day": ((78, 160, 236), (150, 206, 250), (222, 242, 255)),
        "sunset": ((88, 58, 132), (236, 104, 92), (255, 190, 92)),
        "night": ((10, 16, 48), (24, 36, 88), (56, 72, 132)),
    }
)
_TINT: Mapping[str, tuple[Color, float]] = MappingProxyType(
    {
        "dawn": ((255, 226, 214), 0.20),
        "day": ((255, 255, 255), 0.0),
        "sunset": ((236, 110, 70), 0.24),
        "night": ((26, 34, 84), 0.48),
    }
)
"""Light of the hour: a colour, and how strongly it tints."""
_HAZE: Mapping[str, Color] = MappingProxyType(
    {
        "dawn": (244, 206, 206),
        "day": (206, 230, 246),
        "sunset": (240, 150, 110),
        "night": (44, 56, 108),
    }
)
_PAPER: Mapping[str, Color] = MappingProxyType(
    {
        "dawn": (253, 224, 228),
        "day": (250, 248, 240),
        "sunset": (252, 210, 158),
        "night": (28, 36, 76),
    }
)
_SUN: Mapping[str, Color] = MappingProxyType(
    {"day": (255, 226, 90), "dawn": (255, 214, 150), "sunset": (255, 120, 70)}
)
_GREY: Mapping[str, float] = MappingProxyType(
    {"rain": 0.35, "cloudy": 0.15, "fog": 0.2, "snow": 0.12}
)
"""How much of the colours the weather takes."""
_OVERCAST: Mapping[str, float] = MappingProxyType(
    {"rain": 0.55, "cloudy": 0.25, "fog": 0.45, "snow": 0.35}
)
_GROUND: Mapping[str, Color] = MappingProxyType(
    {
        "mountains": (104, 156, 92),
        "hills": (112, 178, 84),
        "desert": (232, 190, 112),
        "city": (120, 160, 110),
        "forest": (70, 128, 78),
        "meadow": (132, 190, 84),
        "sea": (44, 120, 176),
    }
)
_SNOW: Color = (240, 244, 252)
_WHITE: Color = (255, 255, 255)
_SCALES: Mapping[str, float] = MappingProxyType(
    {"small": 0.84, "beside": 0.98, "normal": 1.1, "big": 1.42}
)
"""Of subjects by size, and of those that stand beside another."""
_HEIGHTS: Mapping[str, float] = MappingProxyType(
    {"lighthouse": 67, "windmill": 64, "castle": 55, "snowman": 55, "pine": 50}
)
"""Of the tall ones, which would else grow out of the picture."""
_FACADES: tuple[Color, ...] = ((126, 136, 160), (150, 140, 150), (110, 128, 150), (164, 150, 140))
_FLOWERS: tuple[Color, ...] = ((236, 80, 96), (250, 220, 70), (250, 250, 245), (180, 110, 210))


def paint(scene: Scene, seed: int, index: int, size: int = 128) -> NDArray[np.uint8]:
    """Draw a scene, uint8 [size, size, 3] in sRGB; everything that it leaves open follows from (seed, index)."""
    draw = source(seed, index, 1)
    if scene.style == "blueprint":
        return _blueprint(_picture(_drawn(scene), draw, size))
    return _picture(scene, draw, size)


def scribble(scene: Scene, seed: int, index: int, size: int = 128) -> NDArray[np.uint8]:
    """What somebody might draw to ask for the picture of the same address, uint8 [size, size], white on black.

    Outlines of the subjects, the lines of the land and perhaps of sun, moon and clouds, by an unsteady hand; how thick
    and how many follows from (seed, index), too.
    """
    pencil = Pencil(size, _drawn(scene).style, source(seed, index, 2))
    _Painter(_drawn(scene), source(seed, index, 1), pencil).compose()
    return pencil.drawing()


def _drawn(scene: Scene) -> Scene:
    """What a blueprint is a print of; other scenes as they are."""
    return replace(scene, style="line", time="day") if scene.style == "blueprint" else scene


def _picture(scene: Scene, draw: random.Random, size: int) -> NDArray[np.uint8]:
    ink: Color = (238, 238, 222) if scene.time == "night" else (40, 36, 52)
    brush = Brush(size, scene.style, ink, _PAPER[scene.time])
    _Painter(scene, draw, brush).compose()
    return brush.finish(draw.randrange(16))


def _blueprint(drawing: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A drawing in white on blue paper with a grid."""
    size = drawing.shape[0]
    ink = 1 - drawing.mean(axis=2, keepdims=True) / 255
    paper = np.full(drawing.shape, (24.0, 60.0, 140.0))
    places = np.arange(0, UNITS, 16) * size // UNITS
    paper[places] += 40
    paper[:, places] += 40
    mixed = paper + (np.array((238.0, 244.0, 255.0)) - paper) * np.sqrt(ink)
    print_: NDArray[np.uint8] = mixed.clip(0, 255).round().astype(np.uint8)
    return print_


class _Painter:
    def __init__(self, scene: Scene, draw: random.Random, brush: Brush) -> None:
        self._scene = scene
        self._draw = draw
        self._brush = brush
        self._is_night = scene.time == "night"
        self._is_snowy = scene.weather == "snow"
        self._is_line = scene.style == "line"
        self._ground: Color = _GROUND[scene.terrain]
        self._ground_y = draw.uniform(96, 102)

    def compose(self) -> None:
        """Paint everything, from the back to the front."""
        scene = self._scene
        self._sky()
        {
            "mountains": self._mountains,
            "hills": self._hills,
            "desert": self._desert,
            "sea": self._sea,
            "city": self._city,
            "forest": self._forest,
            "meadow": self._meadow,
        }[scene.terrain]()
        # most of the weather lies behind the subjects, so that their colours stay their own
        self._weather(is_near=False)
        self._subjects()
        self._weather(is_near=True)

    def _lit(self, color: Color, strength: float = 1.0, haze: float = 0.0) -> Color:
        """A colour under the light of the hour and the weather."""
        tint, amount = _TINT[self._scene.time]
        color = mix(color, tint, amount * strength)
        grey = _GREY.get(self._scene.weather, 0.0)
        if grey:
            mean = sum(color) / 3
            color = mix(color, (mean, mean, mean), grey * 0.6 * strength)
        return mix(color, _HAZE[self._scene.time], haze) if haze else color

    def _jitter(self, count: int, y: float, spread: float) -> list[float]:
        return [y + self._draw.uniform(-spread, spread) for _ in range(count)]

    # --- sky

    def _sky(self) -> None:
        scene, draw, brush = self._scene, self._draw, self._brush
        if not self._is_line:
            overcast: Color = (60, 66, 92) if self._is_night else (176, 184, 196)
            share = _OVERCAST.get(scene.weather, 0.0)
            shift = draw.uniform(-8, 8)
            colors = [
                mix((r + shift, g + shift, b + shift), overcast, share)
                for r, g, b in _SKY[scene.time]
            ]
            brush.sky(colors, (0, 0.55, 1), 88)
        x = draw.uniform(16, 34) if scene.sky_side == "left" else draw.uniform(94, 112)
        if self._is_night:
            self._stars()
            if scene.weather != "rain":
                self._moon(x, draw.uniform(16, 30), draw.uniform(9, 12))
        elif scene.weather in ("clear", "cloudy") or scene.time != "day":
            self._sun(x)
        self._clouds()

    def _stars(self) -> None:
        if self._scene.weather not in ("clear", "cloudy"):
            return
        draw = self._draw
        # one in each of some fields, so that they are spread as over a sky
        for field in draw.sample(range(18), draw.randint(10, 13)):
            x = (field % 6 + draw.uniform(0.2, 0.8)) * UNITS / 6
            y = (field // 6 + draw.uniform(0.2, 0.8)) * 20 + 2
            self._brush.fleck(x, y, draw.uniform(2.4, 3.8), (255, 248, 190), points=4)

    def _moon(self, x: float, y: float, radius: float) -> None:
        brush = self._brush
        pale: Color = (255, 246, 206)
        if not self._is_line:
            brush.glow(x, y, radius * 2.6, (255, 248, 210), 120)
        if self._scene.moon == "crescent":
            outer = [math.radians(angle) for angle in range(-290, -69, 12)]
            # the inner edge is part of a circle that lies to the right
            points: list[Point] = [
                (x + radius * math.cos(angle), y - radius * math.sin(angle)) for angle in outer
            ]
            first, last = points[0], points[-1]
            middle = (x - radius * 0.25, y)
            steps = [number / 12 for number in range(1, 12)]
            inner = [
                (
                    (1 - t) ** 2 * last[0] + 2 * t * (1 - t) * middle[0] + t * t * first[0],
                    (1 - t) ** 2 * last[1] + 2 * t * (1 - t) * middle[1] + t * t * first[1],
                )
                for t in steps
            ]
            brush.is_accented = True
            brush.polygon([*points, *inner], pale, has_outline=False)
            brush.is_accented = False
            return
        brush.dot(x, y, radius, pale)
        for dx, dy, share in ((-0.3, -0.2, 0.22), (0.35, 0.25, 0.17), (-0.1, 0.45, 0.14)):
            brush.dot(x + dx * radius, y + dy * radius, share * radius, (232, 218, 170))

    def _sun(self, x: float) -> None:
        scene, draw, brush = self._scene, self._draw, self._brush
        is_high = scene.time == "day"
        y = draw.uniform(16, 28) if is_high else draw.uniform(50, 62)
        radius = draw.uniform(8, 11) if is_high else draw.uniform(12, 16)
        color = _SUN[scene.time]
        if self._is_line:
            brush.is_accented = True
            brush.ellipse(x, y, radius, radius, color)
            brush.is_accented = False
            for number in range(8):
                angle = number * math.pi / 4
                ux, uy = math.cos(angle), math.sin(angle)
                near, far = radius * 1.45, radius * 1.9
                ray = [(x + ux * near, y + uy * near), (x + ux * far, y + uy * far)]
                brush.stroke(ray, brush.ink, 3)
            return
        fade = 0.5 if scene.weather in ("rain", "fog", "snow") else 0.0
        brush.glow(x, y, radius * 3, color, 190 * (1 - fade))
        brush.dot(x, y, radius, mix(color, (220, 220, 220), fade))

    def _clouds(self) -> None:
        scene, draw = self._scene, self._draw
        count = {
            "clear": int(draw.random() < 0.25),
            "cloudy": draw.randint(3, 4),
            "rain": draw.randint(3, 4),
            "snow": draw.randint(1, 2),
            "fog": 0,
        }[scene.weather]
        color: Color = (128, 134, 152) if scene.weather == "rain" else (246, 248, 252)
        tint, amount = _TINT[scene.time]
        color = mix(color, tint, amount * 0.8)
        for number in range(count):
            x = (number + draw.uniform(0.2, 0.8)) * UNITS / count
            y, width = draw.uniform(12, 38), draw.uniform(11, 16)
            puffs = (
                (-1, 0, 0.55),
                (-0.45, -0.4, 0.7),
                (0.25, -0.5, 0.8),
                (0.95, 0, 0.6),
                (0, 0.05, 0.7),
            )
            self._brush.cluster(
                [
                    (x + dx * width, y + dy * width * 0.8, share * width, share * width * 0.72)
                    for dx, dy, share in puffs
                ],
                color,
            )

    # --- terrain

    def _cover(self, color: Color) -> Color:
        """The colour of ground, or of the snow on it."""
        return _SNOW if self._is_snowy else color

    def _mountains(self) -> None:
        draw, brush = self._draw, self._brush
        for row, (haze, rock) in enumerate(((0.45, (120, 136, 170)), (0.12, (98, 108, 138)))):
            with brush.group():
                self._peaks(row, self._lit(rock, 1, haze), self._lit(_SNOW, 0.8, haze * 0.4))
        y = self._ground_y - draw.uniform(6, 14)
        brush.band(self._jitter(4, y, 3), self._lit(self._cover(self._ground)))

    def _peaks(self, row: int, rock: Color, snow: Color) -> None:
        draw, brush = self._draw, self._brush
        x, base = draw.uniform(-20, 10), 92 + 6 * row
        while x < UNITS + 10:
            width, height = draw.uniform(38, 58), draw.uniform(40, 58) - 16 * row
            peak = (x + width / 2 + draw.uniform(-5, 5), base - height)
            left, right = (x - 8, base + 6), (x + width + 8, base + 6)
            brush.polygon([left, peak, right], rock)
            a, b = _between(peak, left, 0.36), _between(peak, right, 0.36)
            cap = [
                peak,
                b,
                (peak[0] + (b[0] - peak[0]) * 0.4, b[1] - 4),
                (peak[0], b[1] + 1),
                (peak[0] + (a[0] - peak[0]) * 0.4, a[1] - 4),
                a,
            ]
            brush.polygon(cap, snow)
            x += width * draw.uniform(0.75, 0.95)

    def _hills(self) -> None:
        for row in range(3):
            color = mix(self._ground, (150, 200, 130), 0.5 - 0.25 * row)
            shade = self._lit(self._cover(color), 1, 0.30 - 0.15 * row)
            self._brush.band(self._jitter(4, 70 + 12 * row, 9), shade)

    def _desert(self) -> None:
        for row in range(3):
            color = mix((246, 212, 140), (220, 166, 90), row / 2)
            if self._is_snowy:
                color = mix(color, _SNOW, 0.55)
            shade = self._lit(color, 1, 0.2 - 0.1 * row)
            self._brush.band(self._jitter(5, 76 + 10 * row, 7), shade)

    def _sea(self) -> None:
        draw, brush = self._draw, self._brush
        self._ground_y = draw.uniform(90, 96)
        horizon = draw.uniform(74, 80)
        color = self._lit(mix((40, 116, 176), _SKY[self._scene.time][1], 0.22), 0.8)
        brush.rectangle(-4, horizon, UNITS + 8, UNITS + 8 - horizon, color)
        if not self._is_line:
            brush.veil(horizon, _WHITE, ((0, 50), (0.4, 0)))
            brush.veil(horizon, (0, 10, 60), ((0, 0), (0.4, 0), (1, 70)))
        crest = mix(color, _WHITE, 0.4)
        for row in range(3):
            y = horizon + 11 + row * 14 + draw.uniform(-2, 2)
            x = draw.uniform(0, 24)
            while x < UNITS:
                width = draw.uniform(13, 18)
                wave = [
                    (x + width * part / 6, y - 3 * math.sin(part * math.pi / 6))
                    for part in range(7)
                ]
                brush.stroke(wave, crest, 2.6)
                x += width + draw.uniform(20, 34)

    def _city(self) -> None:
        brush = self._brush
        is_bright = self._is_night or self._scene.time == "sunset"
        window: Color = (255, 220, 110) if is_bright else (222, 236, 248)
        if self._is_line and not self._is_night:
            window = brush.ink
        for row in range(2):
            with brush.group():
                self._houses(row, window)
        ground = self._lit(self._cover(self._ground))
        brush.band(self._jitter(4, self._ground_y - 1, 2), ground)

    def _houses(self, row: int, window: Color) -> None:
        draw = self._draw
        x = -4.0
        while x < UNITS:
            width = draw.uniform(16, 24)
            height = draw.uniform(28, 62) - 18 * row
            facade = mix(draw.choice(_FACADES), (210, 216, 228), 0.4 - 0.4 * row)
            top = self._ground_y - height
            shade = self._lit(facade, 1, 0.25 - 0.25 * row)
            self._brush.rectangle(x, top, width, height + 6, shade)
            if row == 1 or draw.random() < 0.5:
                self._windows(x, top, width, window)
            x += width + draw.choice((0, 1.5))

    def _windows(self, x: float, top: float, width: float, color: Color) -> None:
        for row in range(int(top) + 5, int(self._ground_y) - 7, 10):
            for share in (0.16, 0.58):
                if self._draw.random() < 0.7:
                    left, right = x + width * share, x + width * (share + 0.28)
                    self._brush.plain(
                        [(left, row), (right, row), (right, row + 5), (left, row + 5)], color
                    )

    def _forest(self) -> None:
        brush = self._brush
        for row in range(2):
            base = 90 + 8 * row
            ground = self._ground if row else mix(self._ground, (120, 160, 130), 0.4)
            shade = self._lit(self._cover(ground), 1, 0.0 if row else 0.25)
            if self._is_line:
                # few trees on their trunks: lines this thick would make one tangle of two rows
                if row:
                    brush.band(self._jitter(4, base - 6, 2), shade)
                    with brush.group():
                        self._pines(base - 3, 12, 30, shade, tiers=3)
                continue
            color = mix((52, 104, 84), (36, 92, 60), row)
            green = self._lit(color, 1, 0.3 - 0.25 * row)
            with brush.group():
                self._pines(base, -4 * row, 17, green, tiers=2)
            brush.band(self._jitter(4, base - 3, 2), shade)

    def _pines(
        self, base: float, taller: float, stride: float, color: Color, *, tiers: int
    ) -> None:
        draw = self._draw
        x = draw.uniform(-8, 4)
        while x < UNITS + 8:
            easel = self._easel(x, base, 1.0)
            draw_pine(easel, draw.uniform(30, 44) + taller, color, tiers=tiers)
            x += draw.uniform(0.82, 1.18) * stride

    def _meadow(self) -> None:
        draw, brush = self._draw, self._brush
        brush.band(self._jitter(4, 76, 3), self._lit(self._cover((108, 168, 92)), 1, 0.2))
        brush.band(self._jitter(4, 86, 3), self._lit(self._cover(self._ground)))
        for field in draw.sample(range(24), 16):
            x = (field % 8 + draw.uniform(0.15, 0.85)) * UNITS / 8
            y = 92 + (field // 8 + draw.uniform(0.15, 0.85)) * 11
            brush.fleck(x, y, 2.2 + (y - 90) / 22, self._lit(draw.choice(_FLOWERS), 0.4))

    # --- subjects

    def _subjects(self) -> None:
        scene = self._scene
        if scene.companion != NONE:
            self._subject(
                scene.companion, scene.companion_color, scene.companion_position, "beside"
            )
        if scene.subject != NONE:
            self._subject(scene.subject, scene.color, scene.position, scene.size)

    def _subject(self, kind: str, color: str, position: str, size: str) -> None:
        draw, brush = self._draw, self._brush
        scale = _SCALES[size] * draw.uniform(0.95, 1.05)
        # blocks and thick lines swallow what is fine
        scale *= {"pixel": 1.2, "line": 1.12}.get(self._scene.style, 1)
        low, high = {"left": (27, 36), "center": (60, 68), "right": (92, 101)}[position]
        x, y = draw.uniform(low, high), self._ground_y + draw.uniform(4, 10)
        scale = min(scale, (y - 4) / _HEIGHTS.get(kind, 1))
        brush.is_accented = True
        if kind == "sailboat":
            y = self._ground_y + draw.uniform(6, 14)
        elif kind == "balloon":
            y = max(draw.uniform(36, 46), 17 * scale + 4)
        elif self._scene.terrain == "sea":
            # a small island carries what does not float
            y = self._ground_y + 7
            sand: Color = _SNOW if self._is_snowy else (222, 198, 140)
            brush.ellipse(x, y + 3, 27 * max(scale, 0.8), 8, self._lit(sand))
        elif not self._is_line:
            self._shadow(x + 3, y + 1, 19 * scale, 4 * scale)
        draw_subject(self._easel(x, y, scale), kind, color, draw)
        brush.is_accented = False

    def _shadow(self, x: float, y: float, rx: float, ry: float) -> None:
        points = [
            (x + rx * math.cos(angle * math.pi / 10), y + ry * math.sin(angle * math.pi / 10))
            for angle in range(20)
        ]
        self._brush.plain(points, (20, 24, 50), 50)

    def _easel(self, x: float, y: float, scale: float) -> Easel:
        strength = 0.38
        scene = self._scene
        return Easel(
            self._brush,
            x,
            y,
            scale,
            lit=lambda color: self._lit(color, strength),
            is_night=self._is_night,
            is_dim=self._is_night or scene.time == "sunset",
            is_snowy=self._is_snowy,
            has_beam=self._is_night or scene.weather == "fog",
        )

    # --- weather

    def _weather(self, *, is_near: bool) -> None:
        falling = {"fog": self._fog, "rain": self._rain, "snow": self._snow}
        if self._scene.weather in falling:
            falling[self._scene.weather](is_near=is_near)

    def _fog(self, *, is_near: bool) -> None:
        draw = self._draw
        color = mix(_HAZE[self._scene.time], (226, 230, 236), 0.4)
        if self._is_line:
            color = _PAPER[self._scene.time]
        if not is_near:
            self._brush.veil(36, color, ((0, 0), (0.4, 190), (0.65, 150), (1, 60)))
        for _ in range(2 if is_near else 4):
            x = draw.uniform(-30, 80)
            y = draw.uniform(94, 112) if is_near else draw.uniform(50, 88)
            width, height = draw.uniform(54, 86), draw.uniform(7, 10)
            self._brush.plain(_pill(x, y, width, height), mix(color, _WHITE, 0.35), 150)

    def _rain(self, *, is_near: bool) -> None:
        color: Color = (150, 184, 250) if self._is_night else (232, 242, 255)
        if self._is_line and not self._is_night:
            color = (70, 120, 214)
        for x, y in self._spread(is_near):
            self._brush.drop(x, y, self._draw.uniform(9, 13), 2.7, color)

    def _snow(self, *, is_near: bool) -> None:
        color: Color = (110, 160, 230) if self._is_line and not self._is_night else _WHITE
        for x, y in self._spread(is_near):
            self._brush.fleck(x, y, self._draw.uniform(2.0, 3.0), color)

    def _spread(self, is_near: bool) -> list[Point]:
        """Places all over the picture, no two of them close; near ones are few."""
        draw = self._draw
        return [
            ((field % 6 + draw.random()) * UNITS / 6, (field // 6 + draw.random()) * UNITS / 6)
            for field in draw.sample(range(36), 6 if is_near else 24)
        ]


def _between(start: Point, end: Point, share: float) -> Point:
    return (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)


def _pill(x: float, y: float, width: float, height: float) -> list[Point]:
    radius = height / 2
    points = []
    for center, first in ((x + width - radius, -90), (x + radius, 90)):
        for angle in range(first, first + 181, 30):
            turn = math.radians(angle)
            points.append((center + radius * math.cos(turn), y + radius + radius * math.sin(turn)))
    return points
