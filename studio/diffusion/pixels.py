"""Pixels as tensors and as bytes: rounding to 8 bits as diffusers does it, and resampling by Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from studio.errors import NodeError

FILTERS: Mapping[str, Pillow.Resampling] = MappingProxyType(
    {
        "nearest": Pillow.Resampling.NEAREST,
        "box": Pillow.Resampling.BOX,
        "bilinear": Pillow.Resampling.BILINEAR,
        "bicubic": Pillow.Resampling.BICUBIC,
        "lanczos": Pillow.Resampling.LANCZOS,
    }
)
"""Pillow's resampling filters by the names that nodes offer."""


def to_bytes(pixels: Tensor) -> NDArray[np.uint8]:
    """Round float32 [B, C, H, W] in [0, 1] to uint8 [B, H, W, C]; what lies outside is clamped.

    The rounding (half to even) is that of diffusers' ``VaeImageProcessor.numpy_to_pil``.
    """
    array = pixels.detach().cpu().permute(0, 2, 3, 1).float().clamp(0, 1).numpy()
    return np.ascontiguousarray((array * 255).round().astype(np.uint8))


def from_bytes(array: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 [B, H, W, C] into float32 [B, C, H, W] in [0, 1], by diffusers' division by 255."""
    return torch.from_numpy(array.astype(np.float32) / 255.0).permute(0, 3, 1, 2).contiguous()


def resample(planes: Tensor, width: int, height: int, method: str = "lanczos") -> Tensor:
    """Resample float32 [B, C, H, W] to [B, C, height, width], each plane by Pillow in float32.

    Kernels are widened when shrinking, so nothing aliases. Values may overshoot with bicubic and lanczos.
    """
    if planes.shape[-2:] == (height, width):
        return planes
    resized = [
        np.asarray(Pillow.fromarray(plane).resize((width, height), FILTERS[method]))
        for plane in planes.detach().cpu().float().flatten(0, 1).contiguous().numpy()
    ]
    return torch.from_numpy(np.stack(resized)).view(*planes.shape[:2], height, width)


def resample_bytes(pixels: Tensor, width: int, height: int) -> Tensor:
    """Resample pictures [B, 3, H, W] as ``VaeImageProcessor`` does a picture file: 8 bits, Lanczos."""
    resized = [
        np.asarray(Pillow.fromarray(picture).resize((width, height), Pillow.Resampling.LANCZOS))
        for picture in to_bytes(pixels)
    ]
    return from_bytes(np.stack(resized))


def batch_of(**counts: int) -> int:
    """Return the size of the batch that inputs of these sizes make: equal, or 1 and repeated.

    Raises NodeError naming the inputs if two sizes above 1 differ.
    """
    several = {name: count for name, count in counts.items() if count != 1}
    if len(set(several.values())) > 1:
        sizes = ", ".join(f"{count} {name}" for name, count in several.items())
        raise NodeError(
            f"the batches do not fit together: {sizes}", remedy="give as many of each, or one"
        )
    return next(iter(several.values()), 1)


def pasted(below: Tensor, above: Tensor, alpha: Tensor | None, left: int, top: int) -> Tensor:
    """Lay ``above`` [B, C, h, w] on ``below`` [B, C, H, W] at (left, top), by ``alpha`` [B, 1, h, w].

    What stands over the edge is cut. Where alpha is 0 the values stay bit for bit, where it is 1 they are replaced.
    """
    alpha = torch.ones(1, 1, *above.shape[-2:]) if alpha is None else alpha
    count = batch_of(below=len(below), above=len(above), masks=len(alpha))
    rows = slice(max(0, top), min(below.shape[-2], top + above.shape[-2]))
    columns = slice(max(0, left), min(below.shape[-1], left + above.shape[-1]))
    result = below.repeat(count // len(below), 1, 1, 1)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return result
    window = (..., rows, columns)
    source = (
        ...,
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    share = alpha[source]
    result[window] = result[window] * (1 - share) + above[source] * share
    return result
