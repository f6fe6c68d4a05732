"""Training of a denoising network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, cast

from nodes.training_frame import (
    MOST_STEPS,
    Taught,
    Training,
    chain_of,
    digest_of,
    labels_of,
    plan_of,
    scheduler_of,
    with_labels,
    with_prior,
)
from studio.graph import Key, Ref, Value
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
    LOSSES,
    OPTIMIZERS,
    PRECISIONS,
    TARGETS,
    Rates,
    Recipe,
    target_of,
)
from studio.values import (
    Betas,
    Dataset,
    Model,
    ModelRef,
    Network,
    NewTextEncoder,
    State,
    TextEncoder,
    Vae,
)


@node(
    "train_diffusion",
    version=1,
    category="training",
    aliases=("train", "fine_tune", "trainer"),
)
class TrainDiffusion(Taught):
    """Teach a denoising network: draw a timestep, add noise in closed form, predict, step down the loss.

    The state (weights, average, optimizer) is stored every checkpoint_every steps. A training that was stopped goes on
    where it stopped; after a crash, at the last checkpoint, with the very same result. More steps go on from the last
    checkpoint before the rate began to fall. How often it is looked at may be changed at any time; any other change
    begins anew.

      dataset: What to learn.
      network: A new network to begin with.
      model: A trained network to go on with, in place of a new one.
      vae: Learn its latents in place of pixels.
      text_encoder: Learn to follow captions, as this encoder reads them; it stays as it is unless learn_text is on.
      new_text: A new text encoder, which learns to read captions together with a new network.
      betas: Variance schedule; by default that of the model, or linear from 0.0001 to 0.02 (Ho et al. 2020).
      validation: Pictures that are not learned, to measure by.
      prior: Pictures of what is not to be forgotten, such as others of the same kind: a batch of them in every step.
      steps: How many steps to take in all.
      batch: Pictures a batch.
      accumulate: Batches a step: a larger batch in the same memory.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end, along half a cosine; 1 is a classic cosine.
      target: What to predict: the noise, v, the picture, or the velocity of flow matching; a given model keeps its own.
      loss: Squared, absolute, or Huber's (square up to 0.1).
      prior_weight: How much the prior's pictures count (DreamBooth's prior preservation: Ruiz et al. 2023).
      min_snr: Cap on the weight of easy timesteps (Hang et al. 2023); 5 in the paper, 0 is off.
      caption_dropout: Share of captions and labels left out, so that guidance has an unconditional half.
      learn_text: The text_encoder learns along, and save_model writes both; by default it stays as it is.
      optimizer: AdamW, or Muon for matrices and AdamW for the rest.
      weight_decay: Pull of the weights towards 0.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the weights, which is what comes out; 0 keeps none.
      precision: bfloat16 halves the memory and is faster; where the hardware cannot, it is float32, as weights are.
      compiled: Translate the network for the graphics card first: a minute at the start, faster from then on.
      checkpoint_every: Steps between two states that are stored.
      sample_every: Steps between two looks at what it paints by now; 0 looks at the end alone.
      samples: Pictures a look.
      sample_steps: Steps of DDIM a look.
      guidance: Of the looks, for networks that read text.
      validate_every: Steps between two measurements on the validation set; 0 measures at the end alone.
      seed: Of first weights, order, noise and all other chances.
      trained: The weights and how they came about, for save_model.
      samples: What it painted on the way, a sheet each.
    """

    def chain(
        self,
        dataset: Dataset,
        network: Network | None,
        model: Model | None,
        vae: Vae | None,
        text_encoder: TextEncoder | None,
        new_text: NewTextEncoder | None,
        betas: Betas | None,
        validation: Dataset | None,
        prior: Dataset | None,
        ctx: Planning,
        steps: Annotated[int, Range(1, MOST_STEPS, unit="steps")] = 1000,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 16,
        accumulate: Annotated[int, Range(1, 1024, unit="batches")] = 1,
        learning_rate: Annotated[float, Range(0, 1)] = 0.001,
        warmup: Annotated[int, Range(0, MOST_STEPS, unit="steps")] = 50,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.3,
        target: Annotated[str, Choice(*TARGETS)] = "v_prediction",
        loss: Annotated[str, Choice(*LOSSES)] = "l2",
        prior_weight: Annotated[float, Range(0, 100)] = 1.0,
        min_snr: Annotated[float, Range(0, 100)] = 0.0,
        caption_dropout: Annotated[float, Range(0, 1, 0.05)] = 0.1,
        learn_text: bool = False,
        optimizer: Annotated[str, Choice(*OPTIMIZERS)] = "adamw",
        weight_decay: Annotated[float, Range(0, 10)] = 0.01,
        clip: Annotated[float, Range(0, 1000)] = 1.0,
        ema: Annotated[float, Range(0, 1)] = 0.995,
        precision: Annotated[str, Choice(*PRECISIONS)] = "float32",
        compiled: bool = False,
        checkpoint_every: Annotated[int, Range(1, 100_000, unit="steps")] = 100,
        sample_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 100,
        samples: Annotated[int, Range(1, 64, unit="pictures")] = 16,
        sample_steps: Annotated[int, Range(1, 1000, unit="steps")] = 20,
        guidance: Annotated[float, Range(1, 50)] = 3.0,
        validate_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        seed: Annotated[int, Seed()] = 0,
    ) -> list[Chain]:
        """One chain: a spec for every block of steps between two checkpoints."""
        recipe = Recipe(
            seed=seed,
            batch=batch,
            accumulate=accumulate,
            target=target if model is None else target_of(model.scheduler),
            loss=loss,
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
        plan = plan_of(
            recipe,
            dataset,
            network,
            model,
            vae,
            text_encoder,
            new_text,
            betas,
            validation,
            learns_text=learn_text,
        )
        plan = with_prior(plan, prior, prior_weight)
        uses = {}
        if model is not None and model.ref.result is not None:
            uses["base"] = cast("Ref", model.ref.result)
        rates = Rates(learning_rate, warmup, decay)
        cost = f"{digest_of(network, model)} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, uses, cost)]

    def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
        """The model that the training gives, as a denoise node takes it."""
        model = cast("Model | None", arguments["model"])
        vae = cast("Vae | None", arguments["vae"])
        dataset = cast("Dataset", arguments["dataset"])
        result = ModelRef("trained", "unet", key, result=Ref(key, "trained"))
        betas = cast("Betas | None", arguments["betas"])
        scheduler = scheduler_of(model, cast("str", arguments["target"]), betas)
        if model is not None:
            return {"model": replace(model, ref=result, scheduler=scheduler)}
        channels = vae.latent_channels if vae else 3
        return {
            "model": Model(
                ref=result,
                family=vae.family if vae else "",
                latents=vae.family if vae else "",
                in_channels=channels,
                latent_channels=channels,
                downscale=vae.downscale if vae else 1,
                sample_size=dataset.size,
                scheduler=scheduler,
                labels=labels_of(
                    with_labels(cast("Network | None", arguments["network"]), dataset).config
                ),
            )
        }

    def finish(self, states: Sequence[State], ctx: Context) -> Training:
        """The averaged weights, and the looks on the way."""
        from studio.training import loop

        trained, samples = loop.finish(states, ctx)
        # the model was announced before
        return Training(cast("Model", None), trained, samples)
