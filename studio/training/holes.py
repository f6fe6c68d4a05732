"""Holes to paint: masks such as people draw, each following from a few numbers, a whole batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from studio.diffusion import noise

_NUMBERS = 18
"""So many numbers in [0, 1] decide a mask."""
_SHARES = (0.3, 0.15, 0.3, 0.1, 0.15)
"""Of rectangles, ellipses, strokes, half-planes, and of masks that cover all."""
_TURNS = 4
"""Straight pieces of a stroke."""


def holes(seed: int, addresses: Sequence[int], size: int, device: torch.device) -> Tensor:
    """Masks, float32 [B, 1, size, size] of 0 and 1 (1 is to be painted); each follows from seed and address alone.

    Rectangles, ellipses, strokes of a brush, everything beyond a line, and sometimes all (a quarter of what Stable
    Diffusion's inpainting model was taught with), so that the network still paints whole pictures.
    """
    draws = [torch.rand(_NUMBERS, generator=noise.generator(seed, at)) for at in addresses]
    numbers = torch.stack(draws).to(device)
    places = (torch.arange(size, dtype=torch.float32, device=device) + 0.5) / size
    y, x = places[None, :, None], places[None, None, :]
    kind, row, column, *rest = (each[:, None, None] for each in numbers.unbind(1))
    rest = [0.1 + 0.8 * row, 0.1 + 0.8 * column, *rest]
    shapes = (_rectangle, _ellipse, _stroke, _half_plane)
    mask = torch.ones(len(draws), size, size, device=device)
    end = 0.0
    for share, shape in zip(_SHARES, shapes, strict=False):
        is_this = (kind >= end) & (kind < end + share)
        mask = torch.where(is_this, shape(y, x, rest).float(), mask)
        end += share
    return mask[:, None]


def _rectangle(y: Tensor, x: Tensor, numbers: Sequence[Tensor]) -> Tensor:
    row, column, height, width = numbers[:4]
    height, width = 0.25 + 0.65 * height, 0.25 + 0.65 * width
    return ((y - row).abs() < height / 2) & ((x - column).abs() < width / 2)


def _ellipse(y: Tensor, x: Tensor, numbers: Sequence[Tensor]) -> Tensor:
    row, column, height, width, turn = numbers[:5]
    sine, cosine = (turn * math.pi).sin(), (turn * math.pi).cos()
    along = (x - column) * cosine + (y - row) * sine
    across = (y - row) * cosine - (x - column) * sine
    return (along / (0.15 + 0.35 * width)) ** 2 + (across / (0.15 + 0.35 * height)) ** 2 < 1


def _stroke(y: Tensor, x: Tensor, numbers: Sequence[Tensor]) -> Tensor:
    """A round brush drawn along a bent line."""
    row, column, width, heading = numbers[:4]
    radius = 0.06 + 0.14 * width
    heading = heading * 2 * math.pi
    mask: Tensor | None = None
    for turn in range(_TURNS):
        bend, length = numbers[4 + 2 * turn : 6 + 2 * turn]
        heading = heading + (bend - 0.5) * math.pi
        length = 0.05 + 0.3 * length
        dy, dx = heading.sin(), heading.cos()
        along = ((x - column) * dx + (y - row) * dy).clamp(min=0)
        along = torch.minimum(along, length)
        squared = (x - column - along * dx) ** 2 + (y - row - along * dy) ** 2
        piece = squared < radius**2
        mask = piece if mask is None else mask | piece
        row, column = row + dy * length, column + dx * length
    assert mask is not None, "a stroke has pieces"
    return mask


def _half_plane(y: Tensor, x: Tensor, numbers: Sequence[Tensor]) -> Tensor:
    angle, offset = numbers[2:4]
    angle = angle * 2 * math.pi
    return (x - 0.5) * angle.cos() + (y - 0.5) * angle.sin() > (offset - 0.5) * 0.7
