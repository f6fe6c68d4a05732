"""Between latents and pixels, bit for bit as diffusers' pipelines do it, one picture at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from studio.diffusion.noise import ADDRESSED, generator, initial
from studio.diffusion.pixels import resample_bytes
from studio.errors import NodeError
from studio.values import Noise

_POSTERIOR = -3
"""Where the posterior's noise is addressed, as ``step``: the negative ones are no steps of a run."""


def decode(vae: AutoencoderKL, latents: Tensor, *, is_tiled: bool = False) -> Tensor:
    """Decode float32 [1, C, h, w] (scaled) to a picture: float32 [1, 3, H, W] in [0, 1] on the CPU.

    Computed on the VAE's device in its dtype, except that a float16 VAE whose config says ``force_upcast`` runs in
    float32, as in diffusers' pipelines. ``is_tiled`` bounds the memory for very large pictures; seams are blended,
    so the pixels differ slightly. Raises NodeError if the VAE overflows or cannot be tiled.
    """
    with _upcast(vae), _tiled(vae, is_tiled):
        with torch.inference_mode():
            pixels: Tensor = vae.decode(
                _unscaled(vae, latents.to(vae.device, vae.dtype)), return_dict=False
            )[0]
            pixels = (pixels * 0.5 + 0.5).clamp(0, 1).cpu().float()
        _require_finite(pixels, vae)
    return pixels.clone()  # outside inference_mode, so that gradients may pass through it later


def encode(
    vae: AutoencoderKL,
    picture: Tensor,
    *,
    hole: Tensor | None = None,
    draw: Tensor | None = None,
    is_tiled: bool = False,
) -> Tensor:
    """Encode a picture, float32 [1, 3, H, W] in [0, 1], to float32 [1, C, h, w] (scaled) on the CPU.

    ``hole`` (float32 [1, 1, H, W]) is blanked to grey first where it is 0.5 or more: the masked-image latents of
    9-channel inpainting models. ``draw`` (float32, as ``posterior_noise`` gives it) samples the posterior; without it
    the mean is taken.
    H and W must be multiples of the VAE's downscale (see ``fitted``).
    """
    with _upcast(vae), _tiled(vae, is_tiled):
        with torch.inference_mode():
            signal = 2.0 * picture - 1.0
            if hole is not None:
                signal = signal * (hole < 0.5)
            # diffusers turns picture files into tensors of this layout, and the last bits depend on it
            signal = signal.to(vae.device, vae.dtype).contiguous(memory_format=torch.channels_last)
            posterior = vae.encode(signal).latent_dist
            latents: Tensor = posterior.mean
            if draw is not None:
                latents = latents + posterior.std * draw.to(latents)
            latents = _scaled(vae, latents).cpu().float()
        _require_finite(latents, vae)
    return latents.clone()


def fitted(pictures: Tensor, multiple: int) -> Tensor:
    """Shrink pictures [B, 3, H, W] to the next multiples of ``multiple``, as diffusers' ``VaeImageProcessor``."""
    height, width = pictures.shape[-2:]
    size = width - width % multiple, height - height % multiple
    return pictures if size == (width, height) else resample_bytes(pictures, *size)


def posterior_noise(
    noise: Noise, lane: int, channels: int, height: int, width: int, *, is_masked: bool
) -> Tensor:
    """Return what the posterior of a lane's picture is sampled with: float32 [1, channels, height, width] in latents.

    Addressed noise has a domain of its own for it. The compatible schemes give the draw that the stock pipeline
    makes for its image or, with ``is_masked``, for the masked image. ``compatible`` draws after the initial noise,
    as the inpainting pipeline does with a 9-channel model at full strength, where it encodes no image before.
    """
    shape = (1, channels, height, width)
    if noise.scheme == ADDRESSED:
        return torch.randn(shape, generator=generator(noise.seeds[lane], _POSTERIOR))
    start = initial(noise, lane, channels, height, width)
    drawn = start.masked_posterior if is_masked else start.posterior
    return torch.randn(shape, generator=start.generator) if drawn is None else drawn


def _unscaled(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    factor: float = vae.config.scaling_factor
    statistics = _statistics(vae, latents)
    if statistics:
        mean, std = statistics
        return latents * std / factor + mean
    shift: float | None = getattr(vae.config, "shift_factor", None)
    return latents / factor if shift is None else latents / factor + shift


def _scaled(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    factor: float = vae.config.scaling_factor
    statistics = _statistics(vae, latents)
    if statistics:
        mean, std = statistics
        return (latents - mean) * factor / std
    shift: float | None = getattr(vae.config, "shift_factor", None)
    return (latents if shift is None else latents - shift) * factor


def _statistics(vae: AutoencoderKL, latents: Tensor) -> tuple[Tensor, Tensor] | None:
    mean = getattr(vae.config, "latents_mean", None)
    std = getattr(vae.config, "latents_std", None)
    if mean is None or std is None:
        return None
    return latents.new_tensor(mean).view(1, -1, 1, 1), latents.new_tensor(std).view(1, -1, 1, 1)


def _require_finite(values: Tensor, vae: AutoencoderKL) -> None:
    if not bool(values.isfinite().all()):
        kind = str(vae.dtype).removeprefix("torch.")
        raise NodeError(
            f"the VAE gave values that are no numbers in {kind}",
            remedy="use float32 or bfloat16 (--dtype), or another VAE",
        )


@contextmanager
def _upcast(vae: AutoencoderKL) -> Iterator[None]:
    if vae.dtype != torch.float16 or not getattr(vae.config, "force_upcast", False):
        yield
        return
    vae.to(torch.float32)
    try:
        yield
    finally:
        vae.to(torch.float16)  # exact: the weights were float16


@contextmanager
def _tiled(vae: AutoencoderKL, is_tiled: bool) -> Iterator[None]:
    if not is_tiled:
        yield
        return
    if not hasattr(vae, "enable_tiling"):
        raise NodeError("this VAE cannot work in tiles", remedy="switch tile off")
    vae.enable_tiling()
    try:
        yield
    finally:
        vae.disable_tiling()
