"""Training of a LoRA: small matrices beside the layers of a model that itself stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from nodes.training_frame import (
    MOST_STEPS,
    AdditionTraining,
    Taught,
    chain_of,
    digest_of,
    plan_of,
    with_prior,
)
from studio.errors import GraphError
from studio.registry import (
    Chain,
    Choice,
    Context,
    Planning,
    Range,
    Seed,
    node,
)
from studio.training.recipe import (
    PRECISIONS,
    Adapters,
    Rates,
    Recipe,
    target_of,
)
from studio.values import (
    Dataset,
    Model,
    State,
    TextEncoder,
    Vae,
)


@node(
    "train_lora",
    version=1,
    category="training",
    aliases=("lora_trainer", "style", "dreambooth"),
)
class TrainLora(Taught):
    """Teach a model a style or a thing from a few pictures, in a small file beside it (Hu et al. 2021).

    The model itself stays as it is: two small matrices are learned for each layer, and save_model writes them as a LoRA
    that load_lora adds to the model, as strongly as you like. Twenty pictures and some hundred steps are a beginning.

      dataset: What to learn; a trigger word in its captions calls it later.
      model: What it is learned for.
      vae: The model's, where it works on latents.
      text_encoder: The model's, where it reads text; it stays as it is.
      validation: Pictures that are not learned, to measure by.
      prior: Pictures of what is not to be forgotten, such as others of the same kind: a batch of them in every step.
      rank: Size of the matrices: how much they can hold.
      alpha: Strength times rank; as large as the rank is plain.
      layers: Those of attention, or all, which learns more of textures and strokes.
      steps: How many steps to take in all.
      batch: Pictures a batch.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end.
      min_snr: Cap on the weight of easy timesteps (Hang et al. 2023); 0 is off.
      caption_dropout: Share of captions left out.
      prior_weight: How much the prior's pictures count (DreamBooth's prior preservation: Ruiz et al. 2023).
      weight_decay: Pull of the matrices towards 0.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the matrices, which is what comes out; 0 keeps none.
      precision: bfloat16 halves the memory and is faster; where the hardware cannot, it is float32.
      checkpoint_every: Steps between two states that are stored.
      sample_every: Steps between two looks at what it paints by now; 0 looks at the end alone.
      samples: Pictures a look.
      sample_steps: Steps of DDIM a look.
      guidance: Of the looks.
      validate_every: Steps between two measurements on the validation set.
      seed: Of first weights, order, noise and all other chances.
      trained: The matrices and how they came about, for save_model.
      samples: What it painted on the way, a sheet each.
    """

    def chain(
        self,
        dataset: Dataset,
        model: Model,
        vae: Vae | None,
        text_encoder: TextEncoder | None,
        validation: Dataset | None,
        prior: Dataset | None,
        ctx: Planning,
        rank: Annotated[int, Range(1, 1024)] = 8,
        alpha: Annotated[float, Range(0.01, 1024)] = 8.0,
        layers: Annotated[str, Choice("attention", "all")] = "all",
        steps: Annotated[int, Range(1, MOST_STEPS, unit="steps")] = 300,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 4,
        learning_rate: Annotated[float, Range(0, 1)] = 0.001,
        warmup: Annotated[int, Range(0, MOST_STEPS, unit="steps")] = 20,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.3,
        min_snr: Annotated[float, Range(0, 100)] = 5.0,
        caption_dropout: Annotated[float, Range(0, 1, 0.05)] = 0.1,
        prior_weight: Annotated[float, Range(0, 100)] = 1.0,
        weight_decay: Annotated[float, Range(0, 10)] = 0.0,
        clip: Annotated[float, Range(0, 1000)] = 1.0,
        ema: Annotated[float, Range(0, 1)] = 0.98,
        precision: Annotated[str, Choice(*PRECISIONS)] = "float32",
        checkpoint_every: Annotated[int, Range(1, 100_000, unit="steps")] = 50,
        sample_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 100,
        samples: Annotated[int, Range(1, 64, unit="pictures")] = 4,
        sample_steps: Annotated[int, Range(1, 1000, unit="steps")] = 20,
        guidance: Annotated[float, Range(1, 50)] = 3.0,
        validate_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        seed: Annotated[int, Seed()] = 0,
    ) -> list[Chain]:
        """One chain: a spec for every block of steps between two checkpoints."""
        if model.ref.result is not None:
            raise GraphError(
                "",
                "model",
                "is trained in this graph",
                remedy="save it by save_model, and load it by its name",
            )
        recipe = Recipe(
            seed=seed,
            batch=batch,
            target=target_of(model.scheduler),
            min_snr=min_snr,
            caption_dropout=caption_dropout,
            weight_decay=weight_decay,
            clip=clip,
            ema=ema,
            precision=precision,
            sample_every=sample_every,
            samples=samples,
            sample_steps=sample_steps,
            guidance=guidance,
            validate_every=validate_every,
        )
        plan = replace(
            plan_of(recipe, dataset, None, model, vae, text_encoder, None, None, validation),
            adapters=Adapters(rank, alpha, layers),
        )
        plan = with_prior(plan, prior, prior_weight)
        rates = Rates(learning_rate, warmup, decay)
        cost = f"lora {digest_of(None, model)} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, {}, cost)]

    def finish(self, states: Sequence[State], ctx: Context) -> AdditionTraining:
        """The averaged matrices, and the looks on the way."""
        from studio.training import loop

        return AdditionTraining(*loop.finish(states, ctx))
