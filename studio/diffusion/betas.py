"""Variance schedules beta_1 … beta_T as numbers, bit-equal to diffusers' own tensors, without torch.

With alpha_bar_t = prod (1 - beta_s), a training step noises x_0 to sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from studio.graph import Json

Floats = NDArray[np.float32]


def linear(num_train_timesteps: int, beta_start: float, beta_end: float) -> tuple[float, ...]:
    """Betas in equal steps (Ho et al. 2020, section 4: 0.0001 … 0.02)."""
    return _numbers(_linspace(beta_start, beta_end, num_train_timesteps))


def scaled_linear(
    num_train_timesteps: int, beta_start: float, beta_end: float
) -> tuple[float, ...]:
    """Betas whose square roots rise in equal steps (Stable Diffusion: 0.00085 … 0.012)."""
    roots = _linspace(beta_start**0.5, beta_end**0.5, num_train_timesteps)
    return _numbers(roots * roots)


def quadratic(num_train_timesteps: int, beta_start: float, beta_end: float) -> tuple[float, ...]:
    """The "quadratic" schedule of the literature is ``scaled_linear``: the square of a line in t."""
    return scaled_linear(num_train_timesteps, beta_start, beta_end)


def cosine(
    num_train_timesteps: int, beta_start: float = 0.0, beta_end: float = 0.999
) -> tuple[float, ...]:
    """alpha_bar falls as a squared cosine (Nichol & Dhariwal 2021, eq. 17); diffusers' ``squaredcos_cap_v2``.

    The shape fixes the betas: ``beta_start`` has no part in them, ``beta_end`` caps the last (0.999 in the paper).
    """

    def alpha_bar(share: float) -> float:
        return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    count = num_train_timesteps
    betas = [
        min(1 - alpha_bar((step + 1) / count) / alpha_bar(step / count), beta_end)
        for step in range(count)
    ]
    return _numbers(np.array(betas, dtype=np.float32))


def sigmoid(num_train_timesteps: int, beta_start: float, beta_end: float) -> tuple[float, ...]:
    """Betas along a sigmoid from -6 to 6 (GeoDiff, Xu et al. 2022); in diffusers only DDPM has it."""
    share = _logistic(_linspace(-6.0, 6.0, num_train_timesteps))
    return _numbers(share * np.float32(beta_end - beta_start) + np.float32(beta_start))


KINDS: Mapping[str, Callable[[int, float, float], tuple[float, ...]]] = MappingProxyType(
    {
        "linear": linear,
        "scaled_linear": scaled_linear,
        "quadratic": quadratic,
        "cosine": cosine,
        "sigmoid": sigmoid,
    }
)
"""The variance schedules by name: (num_train_timesteps, beta_start, beta_end) -> betas."""


_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "squaredcos_cap_v2": "cosine",
        **{name: name for name in ("linear", "scaled_linear", "sigmoid")},
    }
)
"""diffusers' names of ``beta_schedule``."""


def of_config(config: Mapping[str, Json]) -> tuple[float, ...] | None:
    """The betas that a scheduler's config stands for; None for one that is not of this kind, such as flow matching."""
    listed = config.get("trained_betas")
    if isinstance(listed, list):
        return tuple(float(beta) for beta in listed if isinstance(beta, int | float))
    kind = _NAMES.get(str(config.get("beta_schedule", "linear")))
    count = config.get("num_train_timesteps", 1000)
    start, end = config.get("beta_start"), config.get("beta_end")
    if kind is None or not isinstance(count, int) or config.get("use_flow_sigmas"):
        return None
    if kind == "cosine":
        return cosine(count)
    if isinstance(start, int | float) and isinstance(end, int | float):
        return KINDS[kind](count, float(start), float(end))
    return None


def _numbers(betas: Floats) -> tuple[float, ...]:
    return tuple(float(beta) for beta in betas)


def _fused(factor: Floats, other: Floats | np.float32, addend: Floats | np.float32) -> Floats:
    """``factor * other + addend`` rounded once, like a fused multiply-add: float64 holds the product exactly."""
    exact: NDArray[np.float64] = factor.astype(np.float64) * np.float64(other)
    return (exact + addend).astype(np.float32)


def _linspace(start: float, end: float, count: int) -> Floats:
    """torch.linspace in float32, which works from both ends inwards with fused multiply-adds."""
    first, last = np.float32(start), np.float32(end)
    if count == 1:
        return np.array([first], dtype=np.float32)
    stride = np.float32((last - first) / np.float32(count - 1))
    forward = np.arange(count, dtype=np.float32)
    rising = _fused(forward, stride, first)
    falling = _fused(forward[::-1], -stride, last)
    return np.where(np.arange(count) < count // 2, rising, falling)


_LN2_HIGH, _LN2_LOW = np.float32(0.693145751953125), np.float32(1.428606765330187e-06)
_EXP_TERMS = tuple(
    np.float32(term)
    for term in (
        0.00139304355252534151,
        0.00833336077630519867,
        0.04166648536920547485,
        0.16666667163372039795,
        0.5,
    )
)


def _logistic(x: Floats) -> Floats:
    """torch.sigmoid in float32: its exponential is a polynomial of the reduced argument, as in SLEEF's expf."""
    powers = np.rint(-x * np.float32(math.log2(math.e))).astype(np.float32)
    rest = _fused(powers, -_LN2_LOW, _fused(powers, -_LN2_HIGH, -x))
    terms = np.full_like(x, np.float32(0.000198527617612853646))
    for term in _EXP_TERMS:
        terms = _fused(terms, rest, term)
    reduced = _fused((rest * rest).astype(np.float32), terms, rest) + np.float32(1)
    exponential = np.ldexp(reduced, powers.astype(np.int32)).astype(np.float32)
    share: Floats = np.float32(1) / (np.float32(1) + exponential)
    return share
