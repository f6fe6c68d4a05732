"""What is measured: attributes told right, decibels of the VAE, distances to the nearest pictures of the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studio.training.scenes import Scene
from studio.training.scenes.attributes import COLORED, NONE, POSITIONS
from tests.evaluation.classifier import PLACED, WHOLE, Sight
from tests.evaluation.scenes import Pictures

ATTRIBUTES = (
    *WHOLE,
    "subject",
    "color",
    "position",
    "size",
    "companion",
    "companion color",
    "companion position",
)
_KINDS = PLACED["kind"]


@dataclass(frozen=True)
class Verdict:
    """Whether a picture shows one attribute of its scene."""

    attribute: str
    value: str
    """That the scene has."""
    style: str
    is_right: bool


def judge(scenes: Sequence[Scene], sight: Sight) -> list[Verdict]:
    """Compare what was seen in pictures with the scenes that were asked for.

    A subject is right if its kind stands anywhere; its position, if that is where its kind is likeliest; its colour
    and size are read there, so that one mistake counts once. A companion that nobody asked for is a mistake.
    """
    verdicts = []
    for number, one in enumerate(scenes):
        for attribute, value, is_right in _verdicts(one, sight, number):
            verdicts.append(Verdict(attribute, value, one.style, is_right))
    return verdicts


def _verdicts(one: Scene, sight: Sight, number: int) -> Iterator[tuple[str, str, bool]]:
    for name, values in WHOLE.items():
        value = getattr(one, name)
        yield name, value, values[int(sight.whole[name][number].argmax())] == value
    kinds = sight.placed["kind"][number]
    seen = [_KINDS[int(place.argmax())] for place in kinds]
    if one.subject == NONE:
        yield "subject", NONE, all(kind == NONE for kind in seen)
        return
    place = int(kinds[:, _KINDS.index(one.subject)].argmax())
    yield "subject", one.subject, one.subject in seen
    yield "position", one.position, POSITIONS[place] == one.position
    yield "size", one.size, _value(sight, "size", number, place) == one.size
    if one.subject in COLORED:
        yield "color", one.color, _value(sight, "color", number, place) == one.color
    if one.companion == NONE:
        beside = [kind for at, kind in enumerate(seen) if at != place]
        yield "companion", NONE, all(kind == NONE for kind in beside)
        return
    other = int(kinds[:, _KINDS.index(one.companion)].argmax())
    yield "companion", one.companion, one.companion in seen
    yield "companion position", one.companion_position, POSITIONS[other] == one.companion_position
    if one.companion in COLORED:
        found = _value(sight, "color", number, other)
        yield "companion color", one.companion_color, found == one.companion_color


def _value(sight: Sight, name: str, number: int, place: int) -> str:
    return PLACED[name][int(sight.placed[name][number, place].argmax())]


def accuracy(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The share that is right, by attribute."""
    found: dict[str, list[bool]] = {}
    for one in verdicts:
        found.setdefault(one.attribute, []).append(one.is_right)
    return {name: float(np.mean(found[name])) for name in ATTRIBUTES if name in found}


def counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many verdicts there are, by attribute."""
    return {
        name: number
        for name in ATTRIBUTES
        if (number := sum(one.attribute == name for one in verdicts))
    }


def by_value(verdicts: Sequence[Verdict], attribute: str) -> dict[str, tuple[int, float]]:
    """How many verdicts there are on an attribute, and the share that is right, by the value asked for."""
    found: dict[str, list[bool]] = {}
    for one in verdicts:
        if one.attribute == attribute:
            found.setdefault(one.value, []).append(one.is_right)
    return {value: (len(found[value]), float(np.mean(found[value]))) for value in sorted(found)}


def psnr(pictures: Pictures, restored: Pictures) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each picture in dB, [n]: 10 log10(1 / mean squared error), values in [0, 1]."""
    difference = (pictures.astype(np.float64) - restored) / 255
    error = (difference**2).mean((1, 2, 3))
    return np.asarray(10 * np.log10(1 / np.maximum(error, 1e-10)))


@dataclass(frozen=True)
class Nearest:
    """For each of n pictures the nearest of the training."""

    index: NDArray[np.int64]
    distance: NDArray[np.float64]


def nearest_by_pixels(pictures: Pictures, training: Pictures) -> Nearest:
    """By root mean square difference of the pictures at 32 px, values in [0, 1]."""
    one, two = _small(pictures), _small(training)
    squares = (one**2).sum(1)[:, None] + (two**2).sum(1)[None] - 2 * one @ two.T
    return _nearest(np.sqrt(np.maximum(squares, 0) / one.shape[1]))


def nearest_by_features(features: NDArray[np.float32], training: NDArray[np.float32]) -> Nearest:
    """By 1 - cosine of the judge's features, which are of length 1."""
    return _nearest(1 - features.astype(np.float64) @ training.T.astype(np.float64))


def _nearest(distances: NDArray[np.float64]) -> Nearest:
    index = distances.argmin(1)
    return Nearest(index, np.take_along_axis(distances, index[:, None], 1)[:, 0])


def _small(pictures: Pictures) -> NDArray[np.float64]:
    count, height, width, channels = pictures.shape
    blocks = pictures.reshape(count, 32, height // 32, 32, width // 32, channels)
    means: NDArray[np.float64] = blocks.mean((2, 4), dtype=np.float64)
    return means.reshape(count, -1) / 255


def compared(generated: Nearest, real: Nearest) -> Mapping[str, float]:
    """How near generated pictures come to the training, beside pictures that the painter made anew.

    A ratio well below 1, or many that are nearer than nearly every new picture is, would mean learning by heart.
    """
    limit = float(np.quantile(real.distance, 0.01))
    return {
        "generated": float(np.median(generated.distance)),
        "real": float(np.median(real.distance)),
        "ratio": float(np.median(generated.distance) / np.median(real.distance)),
        "nearer than 99 % of real": float((generated.distance < limit).mean()),
    }
