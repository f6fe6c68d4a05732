"""Training of inpainting models: networks that read what lies around a hole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, cast

from nodes.training_frame import MOST_STEPS, Taught, Training, chain_of, plan_of
from studio.errors import GraphError
from studio.graph import Key, Ref, Value
from studio.registry import Chain, Choice, Context, Planning, Range, Seed, node
from studio.training.recipe import OPTIMIZERS, PRECISIONS, Rates, Recipe, target_of
from studio.values import Dataset, Model, ModelRef, State, TextEncoder, Vae


@node(
    "train_inpainting",
    version=1,
    category="training",
    aliases=("inpainting_trainer", "outpainting", "fill"),
)
class TrainInpainting(Taught):
    """Make an inpainting model of a model: it learns to fill holes so that they fit what lies around them.

    Beside the noisy latents it reads the mask and the latents of the picture with a grey hole, as Stable Diffusion's
    inpainting models do (Rombach et al. 2022): in denoise, link mask and masked. For these it begins with weights of
    0, so that it paints at first as the model does. The holes are rectangles, ellipses, strokes of a brush, half of the
    picture, all of it.

      dataset: What to learn.
      model: What to begin with; an inpainting model goes on.
      vae: The model's.
      text_encoder: The model's, where it reads text; it stays as it is.
      validation: Pictures that are not learned, to measure by.
      steps: How many steps to take in all.
      batch: Pictures a batch.
      accumulate: Batches a step: a larger batch in the same memory.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end.
      min_snr: Cap on the weight of easy timesteps (Hang et al. 2023); 0 is off.
      caption_dropout: Share of captions left out, so that guidance has an unconditional half.
      optimizer: AdamW, or Muon for matrices and AdamW for the rest.
      weight_decay: Pull of the weights towards 0.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the weights, which is what comes out; 0 keeps none.
      precision: bfloat16 halves the memory and is faster; where the hardware cannot, it is float32, as weights are.
      compiled: Translate the network for the graphics card first: a minute at the start, faster from then on.
      checkpoint_every: Steps between two states that are stored.
      sample_every: Steps between two looks at what it paints by now; 0 looks at the end alone.
      samples: Pictures a look, each behind the picture with its hole.
      sample_steps: Steps of DDIM a look.
      guidance: Of the looks.
      validate_every: Steps between two measurements on the validation set; 0 measures at the end alone.
      seed: Of order, holes, noise and all other chances.
      trained: The weights and how they came about, for save_model.
      samples: What it painted on the way, a sheet each.
    """

    def chain(
        self,
        dataset: Dataset,
        model: Model,
        vae: Vae,
        text_encoder: TextEncoder | None,
        validation: Dataset | None,
        ctx: Planning,
        steps: Annotated[int, Range(1, MOST_STEPS, unit="steps")] = 1000,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 8,
        accumulate: Annotated[int, Range(1, 1024, unit="batches")] = 1,
        learning_rate: Annotated[float, Range(0, 1)] = 0.0003,
        warmup: Annotated[int, Range(0, MOST_STEPS, unit="steps")] = 50,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.3,
        min_snr: Annotated[float, Range(0, 100)] = 5.0,
        caption_dropout: Annotated[float, Range(0, 1, 0.05)] = 0.1,
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
        if model.in_channels not in (model.latent_channels, 2 * model.latent_channels + 1):
            what = f"reads {model.in_channels} channels for {model.latent_channels} of latents"
            raise GraphError("", "model", what, remedy="link one that reads latents alone")
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
            is_inpainting=True,
        )
        uses = {} if model.ref.result is None else {"base": cast("Ref", model.ref.result)}
        rates = Rates(learning_rate, warmup, decay)
        cost = f"inpainting {model.ref.digest[:12]} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, uses, cost)]

    def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
        """The model that the training gives, as a denoise node takes it."""
        model = cast("Model", arguments["model"])
        ref = ModelRef("trained", "unet", key, result=Ref(key, "trained"))
        return {"model": replace(model, ref=ref, in_channels=2 * model.latent_channels + 1)}

    def finish(self, states: Sequence[State], ctx: Context) -> Training:
        """The averaged weights, and the looks on the way."""
        from studio.training import loop

        trained, samples = loop.finish(states, ctx)
        # the model was announced before
        return Training(cast("Model", None), trained, samples)
