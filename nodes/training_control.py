"""Training of ControlNets: what a model is told by a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple

from nodes.training_frame import MOST_STEPS, Taught, chain_of, plan_of
from studio.errors import GraphError
from studio.registry import Chain, Choice, Context, Numbers, Planning, Range, Seed, node
from studio.training.recipe import (
    HINTS,
    OPTIMIZERS,
    PRECISIONS,
    Hints,
    Rates,
    Recipe,
    target_of,
)
from studio.values import Dataset, Image, Model, State, TextEncoder, Trained, Vae


class ControlTraining(NamedTuple):
    """What the training of a ControlNet gives."""

    trained: Trained
    samples: Image


@node(
    "train_controlnet",
    version=1,
    category="training",
    aliases=("controlnet_trainer", "scribble", "sketch"),
)
class TrainControlNet(Taught):
    """Teach a ControlNet to tell a model what a drawing asks for (Zhang et al. 2023).

    The model itself stays as it is. The ControlNet begins as a copy of its encoder behind convolutions that are 0, so
    that nothing changes at first; save_model writes it, and load_controlnet finds it by its name. With many captions
    left out it learns to go by the drawing alone.

      dataset: What to learn; scenes come with scribbles, of other pictures the lines are drawn.
      model: What it is learned for.
      vae: The model's, where it works on latents.
      text_encoder: The model's; it stays as it is.
      validation: Pictures that are not learned, to measure by.
      hint: Scribbles by an unsteady hand (of pictures from files: thick lines), or edges as image_edges draws them.
      hint_channels: Widths from the drawing down to the latents; each after the first halves it: 4 for 8 px a latent.
      steps: How many steps to take in all.
      batch: Pictures a batch.
      accumulate: Batches a step: a larger batch in the same memory.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end.
      min_snr: Cap on the weight of easy timesteps (Hang et al. 2023); 0 is off.
      caption_dropout: Share of captions left out, for which the drawing must do.
      optimizer: AdamW, or Muon for matrices and AdamW for the rest.
      weight_decay: Pull of the weights towards 0.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the weights, which is what comes out; 0 keeps none.
      precision: bfloat16 halves the memory and is faster; where the hardware cannot, it is float32, as weights are.
      compiled: Translate the networks for the graphics card first: a minute at the start, faster from then on.
      checkpoint_every: Steps between two states that are stored.
      sample_every: Steps between two looks at what it paints by now; 0 looks at the end alone.
      samples: Pictures a look, each behind its drawing.
      sample_steps: Steps of DDIM a look.
      guidance: Of the looks.
      validate_every: Steps between two measurements on the validation set; 0 measures at the end alone.
      seed: Of first weights, order, noise and all other chances.
      trained: The ControlNet and how it came about, for save_model.
      samples: What it painted on the way, a sheet each.
    """

    def chain(
        self,
        dataset: Dataset,
        model: Model,
        vae: Vae | None,
        text_encoder: TextEncoder,
        validation: Dataset | None,
        ctx: Planning,
        hint: Annotated[str, Choice(*HINTS)] = "scribble",
        hint_channels: Annotated[list[int], Numbers()] = [16, 32, 64, 128],  # noqa: B006 - a declared default, never changed
        steps: Annotated[int, Range(1, MOST_STEPS, unit="steps")] = 1000,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 8,
        accumulate: Annotated[int, Range(1, 1024, unit="batches")] = 1,
        learning_rate: Annotated[float, Range(0, 1)] = 0.0005,
        warmup: Annotated[int, Range(0, MOST_STEPS, unit="steps")] = 50,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.3,
        min_snr: Annotated[float, Range(0, 100)] = 5.0,
        caption_dropout: Annotated[float, Range(0, 1, 0.05)] = 0.4,
        optimizer: Annotated[str, Choice(*OPTIMIZERS)] = "adamw",
        weight_decay: Annotated[float, Range(0, 10)] = 0.01,
        clip: Annotated[float, Range(0, 1000)] = 1.0,
        ema: Annotated[float, Range(0, 1)] = 0.995,
        precision: Annotated[str, Choice(*PRECISIONS)] = "float32",
        compiled: bool = False,
        checkpoint_every: Annotated[int, Range(1, 100_000, unit="steps")] = 100,
        sample_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 100,
        samples: Annotated[int, Range(1, 64, unit="pictures")] = 8,
        sample_steps: Annotated[int, Range(1, 1000, unit="steps")] = 20,
        guidance: Annotated[float, Range(1, 50)] = 3.0,
        validate_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        seed: Annotated[int, Seed()] = 0,
    ) -> list[Chain]:
        """One chain: a spec for every block of steps between two checkpoints."""
        _refuse_model(model)
        channels = tuple(int(width) for width in hint_channels)
        _refuse_channels(channels, model.downscale)
        recipe = Recipe(
            seed=seed,
            batch=batch,
            accumulate=accumulate,
            target=target_of(model.scheduler),
            min_snr=min_snr,
            caption_dropout=caption_dropout,
            optimizer=optimizer,
            weight_decay=weight_decay,
            clip=clip,
            ema=ema,
            precision=precision,
            is_compiled=compiled,
            sample_every=sample_every,
            samples=samples,
            sample_steps=sample_steps,
            guidance=guidance,
            validate_every=validate_every,
        )
        plan = replace(
            plan_of(recipe, dataset, None, model, vae, text_encoder, None, None, validation),
            hints=Hints(hint, channels),
        )
        cost = f"controlnet {model.ref.digest[:12]} {dataset.size} {batch} {precision}"
        return [
            chain_of(plan, steps, checkpoint_every, Rates(learning_rate, warmup, decay), {}, cost)
        ]

    def finish(self, states: Sequence[State], ctx: Context) -> ControlTraining:
        """The averaged weights, and the looks on the way."""
        from studio.training import loop

        return ControlTraining(*loop.finish(states, ctx))


def _refuse_model(model: Model) -> None:
    """Raise GraphError if no ControlNet can be learned for a model."""
    what, remedy = "", ""
    if model.ref.result is not None:
        what = "is trained in this graph"
        remedy = "save it by save_model, and load it by its name"
    elif model.blocks is None:
        what = "takes no ControlNet, as it reads no text"
        remedy = "link a model that reads text"
    elif model.in_channels != model.latent_channels:
        what = "is an inpainting model"
        remedy = "link the model that it was made of; the ControlNet will do for both"
    if what:
        raise GraphError("", "model", what, remedy=remedy)


def _refuse_channels(channels: Sequence[int], downscale: int) -> None:
    """Raise GraphError if the way from a drawing down to the latents is none."""
    if not channels or min(channels) < 1 or 2 ** (len(channels) - 1) != downscale:
        count = downscale.bit_length()
        raise GraphError(
            "",
            "hint_channels",
            f"{list(channels)} lead to {2 ** (len(channels) - 1) if channels else 0} px a latent,"
            f" and the model has {downscale}",
            remedy=f"give {count} widths, such as {[16 * 2**level for level in range(count)]}",
        )
