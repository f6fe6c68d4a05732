"""Latent nodes: operations between one denoising and the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from studio.errors import NodeError
from studio.registry import Choice, Range, node
from studio.values import Latents, Mask, Model, Noise, Schedule

if TYPE_CHECKING:
    from torch import Tensor


@node("empty_latents", version=1, category="latent")
def empty_latents(
    model: Model,
    width: Annotated[int, Range(16, 8192, 8, "px")] = 128,
    height: Annotated[int, Range(16, 8192, 8, "px")] = 128,
    batch: Annotated[int, Range(1, 64, 1, "pictures")] = 1,
) -> Latents:
    """Latents of zeros.

    model: Whose latents: gives the number of channels and the scale.
    width: Width of the picture.
    height: Height of the picture.
    batch: How many.
    """
    import torch

    if width % model.downscale or height % model.downscale:
        raise NodeError(
            f"{width} × {height} px do not divide into this model's latents",
            remedy=f"use multiples of {model.downscale}",
        )
    rows, columns = height // model.downscale, width // model.downscale
    return Latents(torch.zeros(batch, model.latent_channels, rows, columns), model.family)


@node("latent_upscale", version=1, category="latent", aliases=("latent_resize",))
def latent_upscale(
    latents: Latents,
    scale: Annotated[float, Range(0.25, 8, 0.05, "x")] = 2.0,
    resampling: Annotated[str, Choice("nearest", "bilinear", "bicubic", "lanczos")] = "nearest",
) -> Latents:
    """Resize latents, for a second denoising at a larger size.

    latents: What to resize.
    scale: Factor of both sides.
    resampling: nearest keeps the statistics of latents; the others are smoother and want more denoising.
    """
    from studio.diffusion.pixels import resample

    rows, columns = (max(1, round(side * scale)) for side in latents.samples.shape[-2:])
    return Latents(resample(latents.samples, columns, rows, resampling), latents.family)


@node("latent_blend", version=1, category="latent")
def latent_blend(
    latents: Latents,
    other: Latents,
    amount: Annotated[float, Range(0, 1, 0.01)] = 0.5,
    mode: Annotated[str, Choice("linear", "spherical")] = "linear",
) -> Latents:
    """Blend two latents of one size.

    latents: The first.
    other: The second.
    amount: 0 is the first, 1 the second.
    mode: linear, or along the sphere, which keeps the length and suits noise.
    """
    import torch

    from studio.diffusion.noise import slerp
    from studio.diffusion.pixels import batch_of

    a, b = latents.samples, other.samples
    _require_same_shape(a, b)
    count = batch_of(latents=len(a), other=len(b))
    if mode == "linear":
        return Latents(a * (1 - amount) + b * amount, latents.family)
    turned = [slerp(a[i % len(a)], b[i % len(b)], amount) for i in range(count)]
    return Latents(torch.stack(turned), latents.family)


@node("latent_crop", version=1, category="latent")
def latent_crop(
    latents: Latents,
    left: Annotated[int, Range(0, 2048, unit="latents")] = 0,
    top: Annotated[int, Range(0, 2048, unit="latents")] = 0,
    width: Annotated[int, Range(1, 2048, unit="latents")] = 16,
    height: Annotated[int, Range(1, 2048, unit="latents")] = 16,
) -> Latents:
    """Cut a rectangle out of latents. A latent stands for 8 px in most models.

    latents: What to cut.
    left: Columns to drop on the left.
    top: Rows to drop at the top.
    width: Width of the rectangle.
    height: Height of the rectangle.
    """
    rows, columns = latents.samples.shape[-2:]
    if left + width > columns or top + height > rows:
        raise NodeError(
            f"{width} × {height} from ({left}, {top}) reach beyond {columns} × {rows} latents",
            remedy="move or shrink the rectangle",
        )
    window = latents.samples[..., top : top + height, left : left + width]
    return Latents(window.clone(), latents.family)


@node("latent_composite", version=1, category="latent", aliases=("latent_paste",))
def latent_composite(
    latents: Latents,
    over: Latents,
    mask: Mask | None = None,
    left: Annotated[int, Range(-2048, 2048, unit="latents")] = 0,
    top: Annotated[int, Range(-2048, 2048, unit="latents")] = 0,
) -> Latents:
    """Lay latents over others where the mask is 1.

    latents: What lies below.
    over: What to lay on it; what stands over the edge is cut.
    mask: Where to lay it, resized to its size; everywhere if none is linked.
    left: Column at which the upper latents begin.
    top: Row at which the upper latents begin.
    """
    from studio.diffusion.pixels import pasted, resample

    _require_channels(latents.samples, over.samples)
    rows, columns = over.samples.shape[-2:]
    alpha = None if mask is None else resample(mask.alpha, columns, rows, "box")
    return Latents(pasted(latents.samples, over.samples, alpha, left, top), latents.family)


@node("latent_batch", version=1, category="latent", aliases=("join_latents",))
def latent_batch(latents: Latents, other: Latents) -> Latents:
    """Join two batches of latents into one.

    latents: The first pictures.
    other: The pictures that follow.
    """
    import torch

    _require_same_shape(latents.samples, other.samples)
    return Latents(torch.cat([latents.samples, other.samples]), latents.family)


@node("latent_pick", version=1, category="latent", aliases=("latent_from_batch",))
def latent_pick(
    latents: Latents,
    index: Annotated[int, Range(0, 4095)] = 0,
    count: Annotated[int, Range(1, 4096, 1, "pictures")] = 1,
) -> Latents:
    """Pick pictures out of a batch.

    latents: The batch.
    index: The first picture to take; 0 is the first of the batch.
    count: How many to take.
    """
    size = len(latents.samples)
    if index + count > size:
        raise NodeError(
            f"pictures {index} … {index + count - 1} are not in a batch of {size}",
            remedy=f"use indices 0 … {size - 1}",
        )
    return Latents(latents.samples[index : index + count].clone(), latents.family)


@node("forward_diffusion", version=1, category="latent", aliases=("add_noise",))
def forward_diffusion(
    latents: Latents,
    noise: Noise,
    schedule: Schedule,
    step: Annotated[int, Range(0, 1000, 1)] = 0,
) -> Latents:
    """Noise latents as the forward process does, in one go: q(x_t | x_0) of Ho et al. 2020, eq. 4.

    latents: The clean latents, x_0.
    noise: Which noise; a seed per picture.
    schedule: Whose noise levels.
    step: Step of the schedule; 0 is the noisiest.
    """
    import torch

    from studio.diffusion.noise import initial
    from studio.diffusion.pixels import batch_of
    from studio.diffusion.solvers import Solver

    solver = Solver(schedule)
    samples = latents.samples
    count = batch_of(latents=len(samples), seeds=len(noise.seeds))
    channels, rows, columns = samples.shape[1:]
    noised: list[Tensor] = []
    for index in range(count):
        lane = index % len(noise.seeds)
        drawn = initial(noise, lane, channels, rows, columns).samples
        noised.append(solver.add_noise(samples[index % len(samples)][None], drawn, step))
    return Latents(torch.cat(noised), latents.family)


def _require_channels(first: Tensor, second: Tensor) -> None:
    if first.shape[1] != second.shape[1]:
        raise NodeError(
            f"the latents have {first.shape[1]} and {second.shape[1]} channels",
            remedy="use latents of one kind of model",
        )


def _require_same_shape(first: Tensor, second: Tensor) -> None:
    _require_channels(first, second)
    if first.shape[-2:] != second.shape[-2:]:
        (rows, columns), (other_rows, other_columns) = first.shape[-2:], second.shape[-2:]
        raise NodeError(
            f"the latents are {columns} × {rows} and {other_columns} × {other_rows}",
            remedy="bring them to one size by latent_upscale or latent_crop",
        )
