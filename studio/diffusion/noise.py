"""Noise by address: every draw of a run follows from (seed, step), never from what was drawn before.

Schemes
    addressed            a generator of its own for each (seed, step); resuming is exact and lanes are independent
    compatible           one running generator, drawn from as ``StableDiffusionPipeline`` of diffusers does
    compatible_image     as ``StableDiffusionImg2ImgPipeline`` does: VAE posterior of the image, then the noise
    compatible_inpaint   as ``StableDiffusionInpaintPipeline`` does: posterior, noise, posterior of the masked image

All noise is drawn on the CPU in float32 and moved afterwards, so that the device does not matter.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import torch

from studio.errors import NodeError
from studio.values import Noise

ADDRESSED = "addressed"
SCHEMES = (ADDRESSED, "compatible", "compatible_image", "compatible_inpaint")

_VERSION = b"studio.noise/1"
_INITIAL = -1
_BROWNIAN = -2


@dataclass(frozen=True, eq=False)
class Start:
    """What a lane draws before its first step: float32 [1, C, h, w] each, on the CPU, unit variance."""

    samples: torch.Tensor
    """The initial noise, not yet scaled by the schedule."""
    posterior: torch.Tensor | None = None
    """Noise of the VAE's posterior sample of the source image, in the compatible schemes that draw it first."""
    masked_posterior: torch.Tensor | None = None
    """Noise of the posterior sample of the masked image, in ``compatible_inpaint``."""
    generator: torch.Generator | None = None
    """The running generator, positioned for the steps; None where noise is addressed."""


def _address(seed: int, step: int) -> int:
    if not 0 <= seed < 2**64:
        raise NodeError(f"seed {seed} is outside 0 … {2**64 - 1}", remedy="choose a 64-bit seed")
    document = _VERSION + struct.pack("<Qq", seed, step)
    return int.from_bytes(hashlib.blake2b(document, digest_size=8).digest(), "little")


def generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator for one step of one lane: the same for the same (seed, step), unrelated for any other.

    ``seed`` is a 64-bit seed, ``step`` the index of the forward pass. The seed is hashed because torch's CPU
    generator looks at the low 32 bits of ``manual_seed`` only: unhashed, 2**63 - 1 and 2**64 - 1 would give the
    same noise.
    """
    return torch.Generator().manual_seed(_address(seed, step))


def brownian_seed(seed: int) -> int:
    """Entropy of the Brownian tree of a lane."""
    return _address(seed, _BROWNIAN)


def initial(noise: Noise, lane: int, channels: int, height: int, width: int) -> Start:
    """Draw the initial noise of one picture of the batch, float32 [1, channels, height, width]; sizes in latents.

    With ``noise.variation`` the noise is turned towards that of the other seed by spherical interpolation.
    """
    shape = (1, channels, height, width)
    start = _start(noise.scheme, noise.seeds[lane], shape)
    if noise.variation is None:
        return start
    seed, strength = noise.variation
    turned = slerp(start.samples, _start(noise.scheme, seed, shape).samples, strength)
    return Start(turned, start.posterior, start.masked_posterior, start.generator)


def _start(scheme: str, seed: int, shape: tuple[int, int, int, int]) -> Start:
    if scheme == ADDRESSED:
        return Start(torch.randn(shape, generator=generator(seed, _INITIAL)))
    if scheme not in SCHEMES:
        raise NodeError(f'noise scheme "{scheme}" is unknown', remedy=f"use {' or '.join(SCHEMES)}")
    if not 0 <= seed < 2**64:
        raise NodeError(f"seed {seed} is outside 0 … {2**64 - 1}", remedy="choose a 64-bit seed")
    running = torch.Generator().manual_seed(seed)
    posterior = None if scheme == "compatible" else torch.randn(shape, generator=running)
    samples = torch.randn(shape, generator=running)
    masked = None
    if scheme == "compatible_inpaint":
        masked = torch.randn(shape, generator=running)
    return Start(samples, posterior, masked, running)


def slerp(start: torch.Tensor, end: torch.Tensor, strength: float) -> torch.Tensor:
    """Spherical interpolation (Shoemake 1985) of two float32 noises; 0 gives ``start`` and 1 ``end`` exactly."""
    if strength <= 0.0:
        return start
    if strength >= 1.0:
        return end
    first, second = start.double(), end.double()
    cosine = (first * second).sum() / (first.norm() * second.norm())
    angle = torch.arccos(cosine.clamp(-1.0, 1.0))
    sine = torch.sin(angle)
    if float(sine) < 1e-6:
        return torch.lerp(first, second, strength).float()
    turned = (
        torch.sin((1.0 - strength) * angle) * first + torch.sin(strength * angle) * second
    ) / sine
    return turned.float()
