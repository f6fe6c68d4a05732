"""Classifier-free guidance as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor


def guided(unconditional: Tensor, conditional: Tensor, scale: float) -> Tensor:
    """Move a prediction away from the unconditional one (Ho & Salimans 2022, eq. 6, in the form of diffusers).

    Both float32 [B, C, h, w]; ``scale`` 1 is no guidance.
    """
    return unconditional + scale * (conditional - unconditional)


def rescaled(prediction: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Give a guided prediction the standard deviation of the conditional one, mixed in by ``share`` in [0, 1].

    Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4.
    """
    axes = list(range(1, prediction.ndim))
    deviation = conditional.std(dim=axes, keepdim=True)
    factor = deviation / prediction.std(dim=axes, keepdim=True)
    return share * (prediction * factor) + (1 - share) * prediction


def mixed(predictions: Tensor, weights: list[float]) -> Tensor:
    """Average predictions [K, C, h, w] by weight into [1, C, h, w] (Liu et al. 2022, composable diffusion)."""
    scale = torch.tensor(weights, dtype=predictions.dtype, device=predictions.device)
    return (predictions * (scale / scale.sum()).view(-1, 1, 1, 1)).sum(dim=0, keepdim=True)
