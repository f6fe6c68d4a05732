"""Scenes in words: synonyms and dropped attributes, so that no two readings of a scene need be alike."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType

from studio.training.scenes.attributes import COLORS, NONE, SUBJECTS, Scene

VERSION = 2
"""Of the way scenes are put into words."""

Words = Mapping[str, tuple[str, ...]]

_TIME: Words = MappingProxyType(
    {
        "dawn": ("at dawn", "at sunrise", "in the early morning"),
        "day": ("by day", "in daylight", "at noon", "during the day"),
        "sunset": ("at sunset", "at dusk", "in the evening"),
        "night": ("at night", "at midnight", "under a dark night sky"),
    }
)
_WEATHER: Words = MappingProxyType(
    {
        "clear": ("under a clear sky", "in clear weather"),
        "cloudy": ("with clouds", "under a cloudy sky", "in cloudy weather"),
        "rain": ("in the rain", "in rainy weather", "on a rainy day"),
        "snow": ("in the snow", "in snowy weather", "in winter", "with falling snow"),
        "fog": ("in the fog", "in foggy weather", "in the mist"),
    }
)
_TERRAIN: Words = MappingProxyType(
    {
        "mountains": ("in the mountains", "near snowy mountains", "with mountains behind"),
        "hills": ("on green hills", "in the hills", "among rolling hills"),
        "desert": ("in the desert", "among sand dunes", "in a desert"),
        "sea": ("by the sea", "on the ocean", "at sea", "in the sea"),
        "city": ("in the city", "in front of a city skyline", "with a city behind"),
        "forest": ("in the forest", "in the woods", "with a forest behind"),
        "meadow": ("in a meadow", "in a field of flowers", "among flowers"),
    }
)
_SUBJECT: Words = MappingProxyType(
    {
        "house": ("house", "house", "cottage", "home"),
        "sailboat": ("sailboat", "sailboat", "boat", "sailing boat"),
        "balloon": ("hot air balloon", "hot air balloon", "balloon"),
        "tree": ("tree",),
        "pine": ("pine tree", "fir tree", "pine"),
        "cactus": ("cactus",),
        "lighthouse": ("lighthouse",),
        "windmill": ("windmill", "windmill", "mill"),
        "castle": ("castle", "castle", "fortress"),
        "tent": ("tent", "camping tent"),
        "snowman": ("snowman",),
    }
)
_POSITION: Words = MappingProxyType(
    {
        "left": ("on the left", "to the left", "at the left"),
        "right": ("on the right", "to the right", "at the right"),
        "center": ("in the center", "in the middle"),
    }
)
_SIZE: Words = MappingProxyType(
    {"small": ("small", "little", "tiny"), "big": ("big", "large", "huge"), "normal": ("",)}
)
_OPENING: Words = MappingProxyType(
    {
        "flat": ("a flat illustration of ", "an illustration of ", "a flat picture of "),
        "watercolor": (
            "a watercolor painting of ",
            "watercolor of ",
            "a watercolour of ",
            "a painting of ",
        ),
        "pixel": ("pixel art of ", "8-bit pixel art of ", "a pixel picture of "),
        "line": ("a line drawing of ", "an ink drawing of ", "a sketch of ", "a drawing of "),
        "blueprint": ("a blueprint of ",),
    }
)
_ENDING: Words = MappingProxyType(
    {
        "flat": ("flat illustration", "vector art", "flat style"),
        "watercolor": ("watercolor", "watercolor painting", "watercolor style"),
        "pixel": ("pixel art", "pixel style"),
        "line": ("line drawing", "sketch", "ink drawing"),
        "blueprint": ("blueprint",),
    }
)
_EMPTY: Mapping[str, str] = MappingProxyType(
    {
        "mountains": "mountains",
        "hills": "hills",
        "desert": "a desert",
        "sea": "the sea",
        "city": "a city",
        "forest": "a forest",
        "meadow": "a meadow",
    }
)

_KEEPS: Mapping[str, float] = MappingProxyType(
    {
        "style": 0.96,
        "flat": 0.5,
        "size": 0.97,
        "color": 0.97,
        "position": 0.98,
        "center": 0.6,
        "companion": 0.985,
        "companion position": 0.97,
        "terrain": 0.9,
        "time": 0.95,
        "day": 0.5,
        "weather": 0.96,
        "clear": 0.5,
        "sky": 0.3,
    }
)
"""How often an attribute, or one value of it, is told. What is ordinary (a flat picture, clear weather, the day, the
center) goes without saying half of the time, and the rest nearly never: so a prompt that leaves it open gets that.
"""


def caption(scene: Scene, draw: random.Random) -> str:
    """Put a scene into words, some of its attributes left out."""
    return _Teller(scene, draw, is_full=False).caption()


def full_caption(scene: Scene, draw: random.Random) -> str:
    """Put a scene into words with every attribute told."""
    return _Teller(scene, draw, is_full=True).caption()


def brief_caption(scene: Scene, draw: random.Random) -> str:
    """Name the subject of a scene and its colour, and leave all else open."""
    return _Teller(scene, draw, is_full=True).noun(scene.subject, scene.color, "normal")


ORDINARY: Mapping[str, str] = MappingProxyType(
    {"style": "flat", "time": "day", "weather": "clear", "position": "center", "size": "normal"}
)
"""What goes without saying."""


def class_names() -> tuple[str, ...]:
    """The subjects, in the order of their class labels."""
    return tuple(SUBJECTS)


class _Teller:
    def __init__(self, scene: Scene, draw: random.Random, *, is_full: bool) -> None:
        self._scene = scene
        self._draw = draw
        self._is_full = is_full

    def _keeps(self, attribute: str, value: str = "") -> bool:
        # drawn even where everything is told, so that both captions of an address run alike
        kept = self._draw.random() < _KEEPS.get(value, _KEEPS[attribute])
        return kept or self._is_full

    def caption(self) -> str:
        scene, draw = self._scene, self._draw
        parts = self._surroundings()
        if not self._is_full and draw.random() < 0.4:
            draw.shuffle(parts)
        separator = draw.choice((" ", ", "))
        text = "".join([self._head(), *(separator + part for part in parts)])
        if not self._keeps("style", scene.style):
            return text
        if self._is_full or draw.random() < 0.7:
            return draw.choice(_OPENING[scene.style]) + text
        return f"{text}, {draw.choice(_ENDING[scene.style])}"

    def _head(self) -> str:
        scene, draw = self._scene, self._draw
        if scene.subject == NONE:
            return _EMPTY[scene.terrain]
        first = self.noun(scene.subject, scene.color, scene.size)
        if self._keeps("position", scene.position):
            first += f" {draw.choice(_POSITION[scene.position])}"
        if scene.companion == NONE or not self._keeps("companion"):
            return first
        second = self.noun(scene.companion, scene.companion_color, "normal")
        if self._keeps("companion position"):
            second += f" {draw.choice(_POSITION[scene.companion_position])}"
        if not self._is_full and draw.random() < 0.3:
            first, second = second, first
        return f"{first} and {second}"

    def noun(self, subject: str, color: str, size: str) -> str:
        """A subject with its article."""
        words = []
        if size != "normal" and self._keeps("size"):
            words.append(self._draw.choice(_SIZE[size]))
        if color != NONE and self._keeps("color"):
            words.append(color)
        words.append(self._draw.choice(_SUBJECT[subject]))
        text = " ".join(words)
        return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"

    def _surroundings(self) -> list[str]:
        scene, draw = self._scene, self._draw
        parts = []
        if scene.subject != NONE and self._keeps("terrain"):
            parts.append(draw.choice(_TERRAIN[scene.terrain]))
        if self._keeps("time", scene.time):
            parts.append(draw.choice(_TIME[scene.time]))
        if self._keeps("weather", scene.weather):
            parts.append(draw.choice(_WEATHER[scene.weather]))
        if not self._is_full and self._keeps("sky"):
            if scene.time == "night" and scene.weather != "rain":
                parts.append(f"with a {scene.moon} moon on the {scene.sky_side}")
            elif scene.time != "night" and scene.weather in ("clear", "cloudy"):
                parts.append(f"with the sun on the {scene.sky_side}")
        return parts


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption may hold, sorted: what a tokenizer for them must know."""
    tables = (_TIME, _WEATHER, _TERRAIN, _SUBJECT, _POSITION, _SIZE, _OPENING, _ENDING)
    phrases = [phrase for table in tables for several in table.values() for phrase in several]
    phrases += [*_EMPTY.values(), *COLORS, "a", "an", "and", "with", "the", "on", "moon", "sun"]
    phrases += ["full", "crescent"]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))
