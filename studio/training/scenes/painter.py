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
_FACADES: tuple[Color, ...] = ((126, 136, 160), (150, 140, 150), (110, 128, 150), (164, 150, 140))
_FLOWERS: tuple[Color, ...] = ((236, 80, 96), (250, 220, 70), (250, 250, 245), (180, 110, 210))


def paint(scene: Scene, seed: int, index: int, size: int = 128) -> NDArray[np.uint8]:
    """Draw a scene, uint8 [size, size, 3] in sRGB; everything that it leaves open follows from (seed, index)."""
    draw = source(seed, index, 1)
    if scene.style == "blueprint":
        return _blueprint(_Painter(replace(scene, style="line", time="day"), draw, size).picture())
    return _Painter(scene, draw, size).picture()


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
    def __init__(self, scene: Scene, draw: random.Random, size: int) -> None:
        self._scene = scene
        self._draw = draw
        is_night = scene.time == "night"
        ink: Color = (238, 238, 222) if is_night else (40, 36, 52)
        self._brush = Brush(size, scene.style, ink, _PAPER[scene.time])
        self._ink = ink
        self._is_night = is_night
        self._is_snowy = scene.weather == "snow"
        self._is_line = scene.style == "line"
        self._ground: Color = _GROUND[scene.terrain]
        self._ground_y = draw.uniform(96, 102)

    def picture(self) -> NDArray[np.uint8]:
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
        self._subjects()
        {"fog": self._fog, "rain": self._rain, "snow": self._snow}.get(
            scene.weather, lambda: None
        )()
        return self._brush.finish(self._draw.randrange(16))

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
        for _ in range(draw.randint(14, 22)):
            x, y, radius = draw.uniform(3, 125), draw.uniform(3, 62), draw.uniform(1.0, 1.9)
            long, short = radius * 1.5, radius * 0.45
            points = [
                (x, y - long),
                (x + short, y - short),
                (x + long, y),
                (x + short, y + short),
                (x, y + long),
                (x - short, y + short),
                (x - long, y),
                (x - short, y - short),
            ]
            self._brush.plain(points, (255, 248, 214))

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
            brush.plain([*points, *inner], pale)
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
                near, far = radius * 1.4, radius * 1.85
                ray = [(x + ux * near, y + uy * near), (x + ux * far, y + uy * far)]
                brush.stroke(ray, self._ink, 2)
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
            x, base = draw.uniform(-20, 10), 92 + 6 * row
            while x < UNITS + 10:
                width, height = draw.uniform(38, 58), draw.uniform(40, 58) - 16 * row
                peak = (x + width / 2 + draw.uniform(-5, 5), base - height)
                left, right = (x - 8, base + 6), (x + width + 8, base + 6)
                brush.polygon([left, peak, right], self._lit(rock, 1, haze))
                share = 0.36
                a = _between(peak, left, share)
                b = _between(peak, right, share)
                cap = [
                    peak,
                    b,
                    (peak[0] + (b[0] - peak[0]) * 0.4, b[1] - 4),
                    (peak[0], b[1] + 1),
                    (peak[0] + (a[0] - peak[0]) * 0.4, a[1] - 4),
                    a,
                ]
                brush.polygon(cap, self._lit(_SNOW, 0.8, haze * 0.4))
                x += width * draw.uniform(0.75, 0.95)
        y = self._ground_y - draw.uniform(6, 14)
        brush.band(self._jitter(4, y, 3), self._lit(self._cover(self._ground)))

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
        for row in range(4):
            y = horizon + 9 + row * 11 + draw.uniform(-2, 2)
            x = draw.uniform(0, 20)
            while x < UNITS:
                width = draw.uniform(10, 16)
                wave = [
                    (x + width * part / 6, y - 2.4 * math.sin(part * math.pi / 6))
                    for part in range(7)
                ]
                brush.stroke(wave, crest, 1.8)
                x += width + draw.uniform(12, 26)

    def _city(self) -> None:
        draw, brush = self._draw, self._brush
        is_bright = self._is_night or self._scene.time == "sunset"
        window: Color = (255, 220, 110) if is_bright else (222, 236, 248)
        if self._is_line and not self._is_night:
            window = self._ink
        for row in range(2):
            x = -4.0
            while x < UNITS:
                width = draw.uniform(13, 20)
                height = draw.uniform(28, 62) - 18 * row
                facade = mix(draw.choice(_FACADES), (210, 216, 228), 0.4 - 0.4 * row)
                top = self._ground_y - height
                brush.rectangle(x, top, width, height + 6, self._lit(facade, 1, 0.25 - 0.25 * row))
                if row == 1 or draw.random() < 0.5:
                    self._windows(x, top, width, window)
                x += width + draw.choice((0, 1.5))
        ground = self._lit(self._cover(self._ground))
        brush.band(self._jitter(4, self._ground_y - 1, 2), ground)

    def _windows(self, x: float, top: float, width: float, color: Color) -> None:
        for row in range(int(top) + 5, int(self._ground_y) - 6, 8):
            for share in (0.2, 0.58):
                if self._draw.random() < 0.75:
                    left, right = x + width * share, x + width * (share + 0.23)
                    self._brush.plain(
                        [(left, row), (right, row), (right, row + 3.8), (left, row + 3.8)], color
                    )

    def _forest(self) -> None:
        draw, brush = self._draw, self._brush
        for row in range(2):
            x, base = draw.uniform(-8, 4), 90 + 8 * row
            color = mix((52, 104, 84), (36, 92, 60), row)
            while x < UNITS + 8:
                height = draw.uniform(30, 44) - 4 * row
                draw_pine(
                    self._easel(x, base, 1.0),
                    height,
                    self._lit(color, 1, 0.3 - 0.25 * row),
                    tiers=2,
                )
                x += draw.uniform(11, 17)
            ground = self._ground if row else mix(self._ground, (120, 160, 130), 0.4)
            shade = self._lit(self._cover(ground), 1, 0.0 if row else 0.25)
            brush.band(self._jitter(4, base - 3, 2), shade)

    def _meadow(self) -> None:
        draw, brush = self._draw, self._brush
        brush.band(self._jitter(4, 76, 3), self._lit(self._cover((108, 168, 92)), 1, 0.2))
        brush.band(self._jitter(4, 86, 3), self._lit(self._cover(self._ground)))
        for _ in range(26):
            x, y = draw.uniform(2, 126), draw.uniform(92, 125)
            color, radius = draw.choice(_FLOWERS), 1.5 + (y - 90) / 22
            brush.dot(x, y, radius, self._lit(color, 0.5))
            brush.dot(x, y, radius * 0.4, self._lit((250, 214, 90), 0.5))

    # --- subjects

    def _subjects(self) -> None:
        scene = self._scene
        if scene.companion != NONE:
            self._subject(scene.companion, scene.companion_color, scene.companion_position, "small")
        if scene.subject != NONE:
            self._subject(scene.subject, scene.color, scene.position, scene.size)

    def _subject(self, kind: str, color: str, position: str, size: str) -> None:
        draw, brush = self._draw, self._brush
        scale = {"small": 0.84, "normal": 1.1, "big": 1.4}[size] * draw.uniform(0.95, 1.05)
        if self._scene.style == "pixel":
            scale *= 1.12
        low, high = {"left": (27, 36), "center": (60, 68), "right": (92, 101)}[position]
        x, y = draw.uniform(low, high), self._ground_y + draw.uniform(4, 10)
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
        strength = 0.62 * (0.7 if self._is_night else 0.85)
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

    def _fog(self) -> None:
        draw = self._draw
        color = mix(_HAZE[self._scene.time], (226, 230, 236), 0.4)
        if self._is_line:
            color = _PAPER[self._scene.time]
        self._brush.veil(40, color, ((0, 0), (0.35, 150), (0.6, 90), (1, 40)))
        for _ in range(5):
            x, y = draw.uniform(-30, 80), draw.uniform(54, 112)
            width, height = draw.uniform(50, 86), draw.uniform(5, 8)
            self._brush.plain(_pill(x, y, width, height), mix(color, _WHITE, 0.25), 125)

    def _rain(self) -> None:
        draw = self._draw
        color: Color = (165, 185, 232) if self._is_night else (222, 234, 248)
        if self._is_line:
            color = self._ink
        for _ in range(34):
            x, y, length = draw.uniform(-2, 130), draw.uniform(22, 122), draw.uniform(8, 11)
            self._brush.stroke([(x, y), (x - 0.3 * length, y + length)], color, 1.7)

    def _snow(self) -> None:
        draw = self._draw
        color: Color = self._ink if self._is_line and not self._is_night else _WHITE
        for _ in range(38):
            self._brush.dot(
                draw.uniform(0, 128), draw.uniform(0, 126), draw.uniform(1.3, 2.3), color, 240
            )


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
