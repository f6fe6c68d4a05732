"""Masks: strokes drawn as distance fields, grown, feathered; the same bits on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor


@dataclass(frozen=True)
class Stroke:
    """A round brush drawn along a line; coordinates and radius as shares of width (x, radius) and height (y)."""

    points: tuple[tuple[float, float], ...]
    radius: float
    hardness: float = 1.0
    """Share of the radius at full strength; from there it falls linearly to 0."""
    is_eraser: bool = False


def painted(alpha: Tensor, strokes: Sequence[Stroke]) -> Tensor:
    """Paint and erase strokes, in order, on masks: float32 [B, 1, H, W] in [0, 1].

    A stroke lifts the mask to its own strength and no further, so crossing it again does not darken.
    """
    result: NDArray[np.float32] = alpha.numpy().copy()
    height, width = result.shape[-2:]
    for stroke in strokes:
        strength = _strength(stroke, width, height)
        if stroke.is_eraser:
            result *= 1 - strength
        else:
            np.maximum(result, strength, out=result)
    return torch.from_numpy(result)


def _strength(stroke: Stroke, width: int, height: int) -> NDArray[np.float32]:
    radius = stroke.radius * width
    # an edge of one pixel, through the radius, is the coverage of a hard disc: antialiasing
    inner = min(radius * stroke.hardness, radius - 0.5)
    outer = max(radius, inner + 1.0)
    points = [(x * width, y * height) for x, y in stroke.points]
    squared = np.full((height, width), np.inf)
    for start, end in pairwise(points if len(points) > 1 else points * 2):
        left = max(0, math.floor(min(start[0], end[0]) - outer))
        right = min(width, math.ceil(max(start[0], end[0]) + outer))
        top = max(0, math.floor(min(start[1], end[1]) - outer))
        bottom = min(height, math.ceil(max(start[1], end[1]) + outer))
        if left >= right or top >= bottom:
            continue
        window = squared[top:bottom, left:right]
        x = np.arange(left, right) + 0.5 - start[0]
        y = np.arange(top, bottom)[:, None] + 0.5 - start[1]
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = dx * dx + dy * dy
        along = ((x * dx + y * dy) / length).clip(0, 1) if length else 0.0
        np.minimum(window, (x - along * dx) ** 2 + (y - along * dy) ** 2, out=window)
    strength: NDArray[np.float32] = (
        ((outer - np.sqrt(squared)) / (outer - inner)).clip(0, 1).astype(np.float32)
    )
    return strength


def grown(alpha: Tensor, radius: float) -> Tensor:
    """Grow masks [B, 1, H, W] by ``radius`` px in every direction (a disc); shrink them if it is negative.

    Beyond the picture there is neither mask nor gap, so a mask at the edge stays there when shrunk.
    """
    if radius < 0:
        return 1 - grown(1 - alpha, -radius)
    reach = int(radius)
    values: NDArray[np.float32] = alpha.numpy()
    result = values.copy()
    height, width = values.shape[-2:]
    for row in range(-min(reach, height - 1), min(reach, height - 1) + 1):
        half = int(math.sqrt(radius * radius - row * row))
        wide = _widened(values, min(half, width - 1))
        into = result[..., max(0, row) : height + min(0, row), :]
        np.maximum(into, wide[..., max(0, -row) : height + min(0, -row), :], out=into)
    return torch.from_numpy(result)


def _widened(values: NDArray[np.float32], half: int) -> NDArray[np.float32]:
    """The maximum over ``half`` columns to either side."""
    if not half:
        return values
    found: NDArray[np.float32] = ndimage.maximum_filter1d(
        values, 2 * half + 1, axis=-1, mode="constant", cval=0.0
    )
    return found


def feathered(alpha: Tensor, radius: float) -> Tensor:
    """Soften the edges of masks [B, 1, H, W] by a Gaussian whose standard deviation is half of ``radius`` px."""
    if radius <= 0:
        return alpha
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(
        alpha.numpy(), radius / 2, axes=(-2, -1), mode="nearest", truncate=4.0
    )
    return torch.from_numpy(blurred.clip(0, 1))
