"""How well a model knows the pictures of a data set: bits per dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

from studio.errors import NodeError
from studio.registry import Choice, Context, Range, Seed, node
from studio.values import Dataset, Image, Model, Schedule, TextEncoder

if TYPE_CHECKING:
    import torch

    from studio.training.likelihood import Bound

_FIRST_DRAW = -200
"""Address of the draws of the first batch; those of later ones lie below."""


@node(
    "bits_per_dimension",
    version=1,
    category="training",
    aliases=("likelihood", "variational_bound", "nll", "bpd"),
)
def bits_per_dimension(
    ctx: Context,
    model: Model,
    dataset: Dataset,
    text_encoder: TextEncoder | None,
    pictures: Annotated[int, Range(1, 100_000, unit="pictures")] = 64,
    looks: Annotated[int, Range(1, 1000, unit="timesteps")] = 32,
    batch: Annotated[int, Range(1, 1024, unit="pictures")] = 16,
    variance: Annotated[str, Choice("small", "large")] = "large",
    clip: bool = True,
    seed: Annotated[int, Seed()] = 0,
) -> Image:
    """How many bits a pixel-space model needs for each number of a picture that it has not seen: fewer is better.

    The variational bound of Ho et al. 2020 (eq. 5, section 3.3): what the prior, the steps of every quarter of the
    timesteps and the decoder add to it. Models that read labels or captions are told those of the pictures.

      model: A model that paints pixels, with a variance schedule.
      dataset: Pictures that it did not learn from.
      text_encoder: The model's, where it reads text.
      pictures: How many to measure.
      looks: Timesteps a picture, spread over the run; each costs a pass of the network. As many as there are is exact.
      batch: Pictures at a time.
      variance: Of the reverse steps: beta, or the smaller one of the posterior.
      clip: Cut what the network takes for the picture to its range, as the sampler does.
      seed: Of timesteps and noise.
      image: The numbers as a table.
    """
    import torch

    from studio.diffusion import noise
    from studio.diffusion.networks import held
    from studio.training.feeding import Feed
    from studio.training.likelihood import Bound, Chain, bound, picture_of
    from studio.training.objective import Process
    from studio.training.recipe import target_of

    kept = _kept(model)
    _check(model, dataset, text_encoder)
    device = torch.device(ctx.pool.device)
    betas = [1 - now / before for before, now in zip([1.0, *kept[:-1]], kept, strict=True)]
    process = Process.of(target_of(model.scheduler), betas)
    chain = Chain.of(kept, variance)
    feed = Feed(dataset, seed, device, None)
    count = min(pictures, len(feed))
    parts: list[Bound] = []
    with torch.inference_mode(), held(model.ref, ctx) as network:
        dtype = next(network.parameters()).dtype
        for first in range(0, count, batch):
            ctx.progress(first, count)
            indices = list(range(first, min(first + batch, count)))
            told = _told(ctx, model, feed, indices, text_encoder, dtype)

            def predict(
                x: torch.Tensor, index: torch.Tensor, told: dict[str, Any] = told
            ) -> torch.Tensor:
                ctx.check()
                output = cast("Any", network)(
                    x.to(dtype), index.to(device), **told, return_dict=False
                )
                return cast("torch.Tensor", output[0]).float()

            draws = noise.generator(seed, _FIRST_DRAW - first)
            denoise = picture_of(process, predict, is_clipped=clip)
            parts.append(bound(chain, feed.pictures(indices, ctx), denoise, draws, looks))
    found = Bound.joined(parts)
    rows = _rows(found)
    ctx.measure({name: value for name, value, _ in rows})
    return Image(_table(rows, count))


def _kept(model: Model) -> tuple[float, ...]:
    """alpha_bar of a model's training, by timestep."""
    from studio.diffusion.betas import of_config
    from studio.diffusion.levels import Levels

    schedule = Schedule(str(model.scheduler.get("_class_name", "")), model.scheduler, 1)
    levels = Levels.of(schedule, of_config(model.scheduler))
    if levels is None or not levels.kept:
        raise NodeError(
            "has no variance schedule, of whose steps the bound is made",
            where=".model",
            remedy="take a model that was trained on one: flow matching has none",
        )
    return levels.kept


def _check(model: Model, dataset: Dataset, text_encoder: TextEncoder | None) -> None:
    if model.downscale > 1 or model.in_channels != 3 or model.latent_channels != 3:
        raise NodeError(
            f'"{model.ref.name}" does not paint pixels alone, of which bits are counted',
            where=".model",
            remedy="take a model in pixel space",
        )
    if model.scheduler.get("variance_type") in ("learned", "learned_range"):
        raise NodeError(
            "learned its variances, which are not known here",
            where=".model",
            remedy="take a model with fixed ones",
        )
    if model.labels is not None and len(dataset.classes) != len(model.labels.names):
        raise NodeError(
            f"has {len(dataset.classes)} classes, and the model paints {len(model.labels.names)}",
            where=".dataset",
            remedy="take a data set of the model's classes",
        )
    if text_encoder is not None and not dataset.has_captions:
        raise NodeError(
            "has no captions for the model to read", where=".dataset", remedy="write some"
        )


def _told(
    ctx: Context,
    model: Model,
    feed: Any,
    indices: Sequence[int],
    text_encoder: TextEncoder | None,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """What the network is told of some pictures."""
    from studio.training.reading import FixedReader

    told: dict[str, Any] = {}
    if model.labels is not None:
        told["class_labels"] = feed.labels(indices)
    if text_encoder is not None:
        import torch

        reader = FixedReader(text_encoder, torch.device(ctx.pool.device))
        captions = [feed.examples.caption(index) for index in indices]
        told["encoder_hidden_states"] = reader.read(captions, ctx).hidden.to(dtype)
    return told


def _rows(found: Bound) -> list[tuple[str, float, float]]:
    """What is shown: names, means over the pictures, and the standard errors of these."""
    columns = {"bits_per_dimension": found.total, "prior": found.prior}
    for band in reversed(range(found.steps.shape[1])):
        columns[f"quarter_{band + 1}"] = found.steps[:, band]
    columns["decoder"] = found.decoder
    rows = []
    for name, values in columns.items():
        error = float(values.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0
        rows.append((name, float(values.mean()), error))
    return rows


_SAID = {
    "bits_per_dimension": "bits per dimension",
    "prior": "prior (L_T)",
    "quarter_4": "steps, most noise",
    "quarter_3": "steps, third quarter",
    "quarter_2": "steps, second quarter",
    "quarter_1": "steps, least noise",
    "decoder": "decoder (L_0)",
}


def _table(rows: Sequence[tuple[str, float, float]], count: int) -> torch.Tensor:
    """Rows as a picture, float32 [1, 3, H, W]: black on white."""
    import numpy as np
    import torch
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(16)
    canvas = Pillow.new("RGB", (384, 24 * (len(rows) + 1) + 16), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (name, value, error) in enumerate(rows):
        top = 8 + 24 * number
        draw.text((12, top), _SAID.get(name, name), "black", font)
        draw.text((372, top), f"{value:.4f} ± {error:.4f}", "black", font, anchor="ra")
    draw.text((12, 8 + 24 * len(rows)), f"over {count} pictures", "gray", font)
    pixels = torch.from_numpy(np.array(canvas)).permute(2, 0, 1)
    return pixels[None].float() / 255
