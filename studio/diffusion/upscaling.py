"""What an upscaler reads of the smaller picture: enlarged, with some noise (Ho et al. 2021, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor


def enlarged(low: Tensor, scale: int) -> Tensor:
    """Latents or pixels, float32 [B, C, h, w], brought to [B, C, scale * h, scale * w] by bilinear interpolation."""
    return torch.nn.functional.interpolate(
        low, scale_factor=scale, mode="bilinear", align_corners=False
    )


def augmented(low: Tensor, drawn: Tensor, noise: Tensor) -> Tensor:
    """Mix noise in: float32 [B, C, h, w] of standard deviation ``noise`` (float32 [B], in [0, 1]).

    The variance stays: sqrt(1 - noise²) low + noise drawn, as in the forward process.
    """
    level = noise.to(low).view(-1, 1, 1, 1)
    return (1 - level**2).sqrt() * low + level * drawn
