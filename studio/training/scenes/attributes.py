"""What a scene shows, drawn at random by its address, and the combinations that training never sees."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

VERSION = 3
"""Of the scenes and the way they are drawn: those of another version are other pictures."""
NONE = "none"
"""Of a subject or a colour: there is none."""

STYLES: Mapping[str, int] = MappingProxyType(
    {"flat": 40, "watercolor": 20, "pixel": 20, "line": 20, "blueprint": 0}
)
"""Each with how often it is drawn, as below. Blueprints come on request alone: a style that nobody has seen before."""
TIMES: Mapping[str, int] = MappingProxyType({"dawn": 1, "day": 1, "sunset": 1, "night": 1})
WEATHERS: Mapping[str, int] = MappingProxyType(
    {"clear": 36, "cloudy": 18, "rain": 16, "snow": 17, "fog": 13}
)
TERRAINS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("mountains", "hills", "desert", "sea", "city", "forest", "meadow"), 1)
)
SUBJECTS: Mapping[str, int] = MappingProxyType(
    {
        NONE: 3,
        "house": 12,
        "sailboat": 10,
        "balloon": 11,
        "tree": 9,
        "pine": 7,
        "cactus": 7,
        "lighthouse": 11,
        "windmill": 11,
        "castle": 10,
        "tent": 8,
        "snowman": 7,
    }
)
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
COLORED = frozenset(
    {"house", "sailboat", "balloon", "tree", "lighthouse", "windmill", "castle", "tent"}
)
"""Subjects that have a colour of their own choice."""
POSITIONS = ("left", "center", "right")
SIZES: Mapping[str, int] = MappingProxyType({"small": 1, "normal": 3, "big": 1})
COMPANIONS = tuple(name for name in SUBJECTS if name not in (NONE, "sailboat"))
"""Subjects that may stand beside another, whatever the terrain."""
_COMPANY = 0.6
"""How often a subject at a side has a companion at the other."""
_OPPOSITE = {"left": "right", "right": "left"}

Combination = Mapping[str, str]
"""Attributes by the name of their field; a scene shows it if it has them all."""

HELD_OUT: Sequence[Combination] = (
    {"subject": "balloon", "color": "red", "time": "night"},
    {"subject": "house", "color": "blue", "terrain": "desert"},
    {"subject": "tent", "color": "yellow", "weather": "snow"},
    {"subject": "castle", "color": "pink", "terrain": "mountains"},
    {"subject": "cactus", "terrain": "city"},
    {"subject": "windmill", "style": "pixel"},
    {"subject": "tree", "color": "purple", "terrain": "hills"},
    {"subject": "sailboat", "color": "green", "time": "sunset"},
    {"subject": "lighthouse", "style": "watercolor", "time": "night"},
    {"subject": "snowman", "terrain": "forest", "time": "dawn"},
)
"""What training never sees, so that a test can tell composing from remembering."""


@dataclass(frozen=True)
class Scene:
    """What one picture shows."""

    style: str
    time: str
    weather: str
    terrain: str
    subject: str = NONE
    color: str = NONE
    position: str = "center"
    size: str = "normal"
    companion: str = NONE
    """A second subject, on the other side."""
    companion_color: str = NONE
    sky_side: str = "left"
    """Where sun or moon stand."""
    moon: str = "full"
    """``full`` or ``crescent``."""

    @property
    def companion_position(self) -> str:
        """Where the companion stands."""
        return _OPPOSITE.get(self.position, "center")

    def shows(self, combination: Combination) -> bool:
        """Tell whether the scene has all of some attributes; its companion counts as a subject."""
        if all(getattr(self, name) == value for name, value in combination.items()):
            return True
        if self.companion == NONE:
            return False
        beside = replace(self, subject=self.companion, color=self.companion_color, companion=NONE)
        return beside.shows(combination)


def is_held_out(scene: Scene) -> bool:
    """Tell whether a scene shows one of the combinations that are kept out of training."""
    return any(scene.shows(combination) for combination in HELD_OUT)


def source(seed: int, *address: int) -> random.Random:
    """A generator for one address: the same on every machine and in every process."""
    packed = b"studio.scenes/1" + struct.pack(f"<Q{len(address)}q", seed, *address)
    return random.Random(hashlib.blake2b(packed, digest_size=16).digest())


def scene(
    seed: int, index: int, given: Combination | None = None, *, held_out: bool | None = False
) -> Scene:
    """The scene at an address.

    ``given`` fixes attributes by name. ``held_out``: False leaves the held-out combinations out, True gives nothing
    else, None does not care. Raises ValueError if ``given`` admits no such scene.
    """
    draw = source(seed, index, 0)
    fixed = dict(given or {})
    for _ in range(2000):
        found = _draw(draw, fixed if not held_out else {**draw.choice(HELD_OUT), **fixed})
        if held_out is None or is_held_out(found) == held_out:
            return found
    raise ValueError(f"no scene has {', '.join(f'{k} {v}' for k, v in sorted(fixed.items()))}")


def _draw(draw: random.Random, fixed: Combination) -> Scene:
    has_company = fixed.get("companion", NONE) != NONE
    subject = fixed.get("subject") or _weighted(
        draw, {name: often for name, often in SUBJECTS.items() if name != NONE or not has_company}
    )
    terrain = "sea" if subject == "sailboat" else _weighted(draw, TERRAINS)
    weather = _weighted(draw, WEATHERS)
    if subject == "snowman" and draw.random() < 0.6:
        weather = "snow"
    position = draw.choice(("left", "right") if has_company else POSITIONS)
    size = _weighted(draw, SIZES)
    drawn = {
        "style": _weighted(draw, STYLES),
        "time": _weighted(draw, TIMES),
        "weather": weather,
        "terrain": terrain,
        "subject": subject,
        "color": draw.choice(COLORS) if subject in COLORED else NONE,
        "position": "center" if subject == NONE else position,
        "size": "normal" if subject == NONE else size,
        "sky_side": draw.choice(("left", "right")),
        "moon": draw.choice(("full", "crescent")),
    }
    drawn.update(fixed)
    if drawn["position"] == "center":
        drawn["companion"] = NONE
    elif draw.random() < _COMPANY:
        drawn.setdefault("companion", draw.choice([name for name in COMPANIONS if name != subject]))
    if drawn.get("companion", NONE) != NONE:
        is_colored = drawn["companion"] in COLORED
        drawn.setdefault("companion_color", draw.choice(COLORS) if is_colored else NONE)
    return Scene(**drawn)


def _weighted(draw: random.Random, weights: Mapping[str, int]) -> str:
    return draw.choices(tuple(weights), tuple(weights.values()))[0]
