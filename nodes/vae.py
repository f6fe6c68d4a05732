"""VAE nodes: between latents and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from studio.errors import NodeError
from studio.registry import Choice, Context, node
from studio.values import Image, Latents, Mask, Noise, Vae

if TYPE_CHECKING:
    from torch import Tensor


@node("vae_decode", version=1, category="vae")
def vae_decode(ctx: Context, vae: Vae, latents: Latents, tile: bool = False) -> Image:
    """Decode latents to pictures, one at a time, each as it would be alone.

    vae: The autoencoder that belongs to the model.
    latents: What to decode.
    tile: Decode in overlapping tiles: less memory for very large pictures, slightly other pixels.
    image: The pictures.
    """
    import torch

    from studio.diffusion.vae import decode

    channels = latents.samples.shape[1]
    if channels != vae.latent_channels:
        raise NodeError(
            f"the latents have {channels} channels, this VAE decodes {vae.latent_channels}",
            remedy="use the VAE of the model that made the latents",
        )
    pictures: list[Tensor] = []
    with ctx.pool.use(vae.ref) as module:
        for sample in torch.split(latents.samples, 1):
            ctx.check()
            pictures.append(decode(module, sample, is_tiled=tile))
            ctx.progress(len(pictures), len(latents.samples))
    return Image(torch.cat(pictures))


@node("latents_to_pixels", version=1, category="vae", aliases=("pixel_space",))
def latents_to_pixels(latents: Latents) -> Image:
    """Show what a pixel-space model has painted: its latents are the picture itself, in [-1, 1].

    latents: Of a model that works on pixels.
    image: The pictures.
    """
    channels = latents.samples.shape[1]
    if channels != 3:
        raise NodeError(
            f"the latents have {channels} channels, pixels have 3",
            where=".latents",
            remedy="decode them with the VAE of the model that made them (vae_decode)",
        )
    return Image((latents.samples / 2 + 0.5).clamp(0, 1))


@node("vae_encode", version=1, category="vae")
def vae_encode(
    ctx: Context,
    vae: Vae,
    image: Image,
    mask: Mask | None = None,
    noise: Noise | None = None,
    mode: Annotated[str, Choice("mean", "sample")] = "mean",
    tile: bool = False,
) -> Latents:
    """Encode pictures to latents, one at a time.

    A size that is no multiple of the VAE's downscale (8 px as a rule) is shrunk to the next that is.

    vae: The autoencoder that belongs to the model.
    image: The pictures.
    mask: Blanked to grey before encoding where it is 0.5 or more, as 9-channel inpainting models want it.
    noise: Its seeds sample the posterior (without it, seed 0); several seeds make several latents of one picture.
    mode: mean is the same every time; sample draws from the posterior, as the stock pipelines do.
    tile: Encode in overlapping tiles: less memory for very large pictures, slightly other latents.
    latents: The latents, scaled for the model.
    """
    import torch

    from studio.diffusion.pixels import batch_of, resample
    from studio.diffusion.vae import encode, fitted, posterior_noise

    height, width = image.pixels.shape[-2:]
    if min(height, width) < vae.downscale:
        raise NodeError(
            f"a picture of {width} × {height} px is too small to encode",
            remedy=f"give it at least {vae.downscale} px a side",
        )
    pictures = fitted(image.pixels, vae.downscale)
    height, width = pictures.shape[-2:]
    holes = None if mask is None else resample(mask.alpha, width, height)
    drawn = (noise or Noise((0,), width, height)) if mode == "sample" else None
    size = (vae.latent_channels, height // vae.downscale, width // vae.downscale)
    count = batch_of(
        pictures=len(pictures),
        masks=1 if holes is None else len(holes),
        seeds=len(drawn.seeds) if drawn else 1,
    )
    encoded: list[Tensor] = []
    with ctx.pool.use(vae.ref) as module:
        for index in range(count):
            ctx.check()
            draw = None
            if drawn:
                lane = index % len(drawn.seeds)
                draw = posterior_noise(drawn, lane, *size, is_masked=mask is not None)
            encoded.append(
                encode(
                    module,
                    pictures[index % len(pictures)][None],
                    hole=None if holes is None else holes[index % len(holes)][None],
                    draw=draw,
                    is_tiled=tile,
                )
            )
            ctx.progress(len(encoded), count)
    return Latents(torch.cat(encoded), vae.family)
