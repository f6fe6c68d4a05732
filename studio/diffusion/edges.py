"""Edges of pictures as white lines on black: what ControlNets for drawings read (Canny 1986)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_WEAK = 0.4
"""Share of the threshold that suffices where a line goes on."""
_FURTHEST = 256
"""So many pixels a line goes on as a weak one."""


def edges(pictures: Tensor, smooth: float, threshold: float, thickness: float) -> Tensor:
    """Lines, float32 [B, 1, H, W] of 0 and 1, where pictures, float32 [B, 3, H, W] in [0, 1], change.

    Canny 1986: a Gaussian (``smooth``: standard deviation in px), the steepest slope among the channels, its ridges,
    and of these such as reach ``threshold`` with what continues them. A threshold of 0.1 finds steps of a tenth of the
    range, however smooth. ``thickness``: of the lines, in px.
    """
    slope_y, slope_x = _slopes(_blurred(pictures, smooth), smooth)
    strength = (slope_y**2 + slope_x**2).sqrt()
    ridge = strength * _is_ridge(strength, slope_y, slope_x)
    return _thickened(_connected(ridge, threshold), thickness)


def _blurred(pictures: Tensor, deviation: float) -> Tensor:
    reach = math.ceil(3 * deviation)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32, device=pictures.device)
    kernel = torch.exp(-0.5 * (places / deviation) ** 2)
    kernel = kernel / kernel.sum()
    count = pictures.shape[1]
    padded = functional.pad(pictures, (reach,) * 4, mode="replicate")
    rows = kernel.view(1, 1, -1, 1).expand(count, 1, -1, 1)
    columns = kernel.view(1, 1, 1, -1).expand(count, 1, 1, -1)
    blurred = functional.conv2d(padded, rows, groups=count)
    return functional.conv2d(blurred, columns, groups=count)


def _slopes(pictures: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    """The slope of the steepest channel down and to the right, [B, 1, H, W] each; 1 at a step from black to white."""
    padded = functional.pad(pictures, (1, 1, 1, 1), mode="replicate")
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    steepest = (down**2 + right**2).argmax(1, keepdim=True)
    # a step blurred by a Gaussian rises by this much of its height a pixel
    scale = smooth * math.sqrt(2 * math.pi)
    return down.gather(1, steepest) * scale, right.gather(1, steepest) * scale


def _is_ridge(strength: Tensor, slope_y: Tensor, slope_x: Tensor) -> Tensor:
    """Where no neighbour along the slope is stronger: in the nearest of the eight directions."""
    height, width = strength.shape[-2:]
    padded = functional.pad(strength, (1, 1, 1, 1))

    def neighbour(dy: int, dx: int) -> Tensor:
        return padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    tangent = math.tan(math.pi / 8)
    is_flat = slope_y.abs() <= tangent * slope_x.abs()
    is_steep = slope_x.abs() <= tangent * slope_y.abs()
    is_falling = slope_x * slope_y > 0
    before = torch.where(is_falling, neighbour(-1, -1), neighbour(-1, 1))
    after = torch.where(is_falling, neighbour(1, 1), neighbour(1, -1))
    before = torch.where(is_flat, neighbour(0, -1), torch.where(is_steep, neighbour(-1, 0), before))
    after = torch.where(is_flat, neighbour(0, 1), torch.where(is_steep, neighbour(1, 0), after))
    # of two equal neighbours one is the ridge
    return (strength >= before) & (strength > after)


def _connected(ridge: Tensor, threshold: float) -> Tensor:
    """Strong ridges and the weak ones that continue them, float32 of 0 and 1."""
    weak = (ridge >= _WEAK * threshold).float()
    found = (ridge >= threshold).float()
    for _ in range(_FURTHEST):
        grown = functional.max_pool2d(found, 3, stride=1, padding=1) * weak
        if torch.equal(grown, found):
            break
        found = grown
    return found


def _thickened(lines: Tensor, thickness: float) -> Tensor:
    """Lines drawn with a round brush of this diameter."""
    radius = thickness / 2
    reach = math.ceil(radius)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32, device=lines.device)
    # of an even number of pixels the middle lies between four: the brush reaches further up and left
    middle = 0.0 if math.floor(thickness + 0.5) % 2 else -0.5
    distance = (places[:, None] - middle) ** 2 + (places[None, :] - middle) ** 2
    brush = (distance <= radius**2).float()
    if brush.sum() <= 1:
        return lines
    drawn = functional.conv2d(lines, brush[None, None].flip(2, 3), padding=reach)
    return (drawn > 0.5).float()
