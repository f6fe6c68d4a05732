"""The scenes that a model is asked for, and their pictures, painted by all cores at once; no torch."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count as numbers
from itertools import islice
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from studio.training.scenes import ORDINARY, Scene, brief_caption, full_caption, scene
from studio.training.scenes.attributes import NONE

Pictures = NDArray[np.uint8]
"""uint8 [n, H, W, 3], sRGB."""

_CHUNK = 100
_FEW = 300
"""Up to so many pictures are painted by this process: others take a second to start."""
_APART = 1_000_000
"""Addresses between two sets of one seed."""


@dataclass(frozen=True)
class Address:
    """A scene and where it stands: all that its picture depends on."""

    scene: Scene
    seed: int
    index: int
    is_open: bool = False
    """The prompt names the subject alone."""

    @property
    def prompt(self) -> str:
        """The scene in words, every attribute told unless it is open."""
        tell = brief_caption if self.is_open else full_caption
        return tell(self.scene, random.Random(f"{self.seed}/{self.index}"))


def has_one_subject(one: Scene) -> bool:
    """Whether there is a subject and nothing beside it."""
    return one.subject != NONE and one.companion == NONE


def has_one_in_any_weather(one: Scene) -> bool:
    """Whether there is a subject that is not mostly painted in snow, and nothing beside it."""
    return has_one_subject(one) and one.subject != "snowman"


def has_two_subjects(one: Scene) -> bool:
    """Whether a companion stands beside the subject."""
    return one.companion != NONE


@dataclass(frozen=True)
class _Set:
    meaning: str
    is_held_out: bool = False
    wants: Callable[[Scene], bool] = lambda _: True
    given: Mapping[str, str] = field(default_factory=dict)
    """Attributes that every scene has; a prompt does not tell them."""
    unasked: frozenset[str] = frozenset()
    """Attributes that may be anything."""


SETS: Mapping[str, _Set] = MappingProxyType(
    {
        "seen": _Set("new scenes of combinations that training sees"),
        "held out": _Set("combinations that training never sees", is_held_out=True),
        "position": _Set("one subject: left, right or in the center", wants=has_one_subject),
        "two subjects": _Set("a subject on either side", wants=has_two_subjects),
        "left open": _Set(
            "prompts of a subject and its colour alone, beside flat pictures by day, in clear weather, in the center",
            wants=has_one_in_any_weather,
            given=ORDINARY,
            unasked=frozenset({"terrain"}),
        ),
    }
)
"""The sets of prompts by name; each is drawn as the scenes come, none is picked by hand."""


def addresses(name: str, count: int, seed: int) -> list[Address]:
    """The first ``count`` scenes of a set."""
    wanted = SETS[name]
    first = _APART * (1 + list(SETS).index(name))
    drawn = (
        Address(
            scene(seed, i, wanted.given, held_out=wanted.is_held_out), seed, i, bool(wanted.given)
        )
        for i in numbers(first)
    )
    return list(islice((one for one in drawn if wanted.wants(one.scene)), count))


def training_addresses(count: int, seed: int) -> list[Address]:
    """The first ``count`` scenes that a training of this seed learns from."""
    return [Address(scene(seed, index), seed, index) for index in range(count)]


def any_addresses(count: int, seed: int) -> list[Address]:
    """Scenes of all combinations, as often as they come: what a judge should know."""
    return [Address(scene(seed, i, held_out=None), seed, i) for i in range(count)]


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def paint_all(wanted: Sequence[Address], size: int) -> Pictures:
    """The true picture of every scene."""
    chunks = [wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK)]
    made: Iterable[Pictures]
    if len(wanted) <= _FEW or cores() == 1:
        made = [_paint(chunk, size) for chunk in chunks]
    else:
        # spawned: a fork of a process that has threads, as torch's has, may hang
        context = multiprocessing.get_context("spawn")
        workers = min(cores(), len(chunks))
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            made = list(pool.map(_paint, chunks, [size] * len(chunks)))
    return np.concatenate(list(made)) if chunks else np.zeros((0, size, size, 3), np.uint8)


def _paint(chunk: Sequence[Address], size: int) -> Pictures:
    from studio.training.scenes.painter import paint

    return np.stack([paint(one.scene, one.seed, one.index, size) for one in chunk])
