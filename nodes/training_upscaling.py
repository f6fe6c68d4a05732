"""Training of an upscaler: the second stage of a cascade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, cast

from nodes.training_frame import Taught, Training, chain_of, plan_of
from studio.errors import GraphError
from studio.graph import Json, Key, Ref, Value
from studio.keys import digest
from studio.registry import Chain, Choice, Context, Planning, Range, Seed, node
from studio.training.recipe import OPTIMIZERS, PRECISIONS, Rates, Recipe, scheduler_config
from studio.values import (
    CLASSES,
    UPSCALING,
    Betas,
    Dataset,
    Model,
    ModelRef,
    Network,
    Scenes,
    State,
    Upscaling,
    Vae,
)

_TARGET = "v_prediction"


@node(
    "train_upscaler",
    version=1,
    category="training",
    aliases=("super_resolution", "cascade", "trainer"),
)
class TrainUpscaler(Taught):
    """Teach a network to paint small pictures larger, with what they lack: the second stage of a cascade.

    It learns to predict v (Salimans & Ho 2022) of a picture beside a small one of it (Saharia et al. 2021), which has
    noise of a strength by chance (Ho et al. 2021), so that it forgives what the first stage gets wrong. save_model
    writes it as a model that load_unet finds; denoise paints with it, given low_resolution.

      dataset: Pictures of the size to be painted; scenes are painted small as well, of others small ones are made.
      network: A new network that reads no text; what it reads beside the noise is added to it.
      vae: Learn its latents in place of pixels.
      betas: Variance schedule; by default linear from 0.0001 to 0.02 (Ho et al. 2020).
      validation: Pictures that are not learned, to measure by.
      scale: How many times larger it paints.
      noise: Standard deviation of the strongest noise in the small pictures.
      steps: How many steps to take in all.
      batch: Pictures a batch.
      accumulate: Batches a step: a larger batch in the same memory.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end, along half a cosine.
      min_snr: Cap on the weight of easy timesteps (Hang et al. 2023); 0 is off.
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
      validate_every: Steps between two measurements on the validation set; 0 measures at the end alone.
      seed: Of first weights, order, noise and all other chances.
      trained: The weights and how they came about, for save_model.
      samples: What it painted on the way, a sheet each: small picture, what it paints of it, the whole.
    """

    def chain(
        self,
        dataset: Dataset,
        network: Network,
        vae: Vae | None,
        betas: Betas | None,
        validation: Dataset | None,
        ctx: Planning,
        scale: Annotated[int, Range(2, 8)] = 2,
        noise: Annotated[float, Range(0, 1, 0.01)] = 0.5,
        steps: Annotated[int, Range(1, 10_000_000, unit="steps")] = 1000,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 16,
        accumulate: Annotated[int, Range(1, 1024, unit="batches")] = 1,
        learning_rate: Annotated[float, Range(0, 1)] = 0.001,
        warmup: Annotated[int, Range(0, 10_000_000, unit="steps")] = 50,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.3,
        min_snr: Annotated[float, Range(0, 100)] = 5.0,
        optimizer: Annotated[str, Choice(*OPTIMIZERS)] = "adamw",
        weight_decay: Annotated[float, Range(0, 10)] = 0.01,
        clip: Annotated[float, Range(0, 1000)] = 1.0,
        ema: Annotated[float, Range(0, 1)] = 0.995,
        precision: Annotated[str, Choice(*PRECISIONS)] = "float32",
        compiled: bool = False,
        checkpoint_every: Annotated[int, Range(1, 100_000, unit="steps")] = 100,
        sample_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 100,
        samples: Annotated[int, Range(1, 64, unit="pictures")] = 4,
        sample_steps: Annotated[int, Range(1, 1000, unit="steps")] = 10,
        validate_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        seed: Annotated[int, Seed()] = 0,
    ) -> list[Chain]:
        """One chain: a spec for every block of steps between two checkpoints."""
        _check(dataset, network, vae, scale)
        recipe = Recipe(
            seed=seed,
            batch=batch,
            accumulate=accumulate,
            target=_TARGET,
            min_snr=min_snr,
            optimizer=optimizer,
            weight_decay=weight_decay,
            clip=clip,
            ema=ema,
            precision=precision,
            is_compiled=compiled,
            sample_every=sample_every,
            samples=samples,
            sample_steps=sample_steps,
            validate_every=validate_every,
        )
        upscaling = _upscaling(scale, noise)
        plan = replace(
            plan_of(recipe, dataset, network, None, vae, None, None, betas, validation),
            network=_widened(network, vae, upscaling),
            upscaling=upscaling,
        )
        rates = Rates(learning_rate, warmup, decay)
        cost = f"upscaler {digest(network)[:12]} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, {}, cost)]

    def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
        """The upscaler that the training gives, as a denoise node takes it."""
        vae = cast("Vae | None", arguments["vae"])
        betas = cast("Betas | None", arguments["betas"])
        channels = vae.latent_channels if vae else 3
        family = vae.family if vae else ""
        upscaling = _upscaling(cast("int", arguments["scale"]), cast("float", arguments["noise"]))
        return {
            "model": Model(
                ref=ModelRef("trained", "unet", key, result=Ref(key, "trained")),
                family=family,
                latents=family,
                in_channels=2 * channels,
                latent_channels=channels,
                downscale=vae.downscale if vae else 1,
                sample_size=cast("Dataset", arguments["dataset"]).size,
                scheduler=scheduler_config(_TARGET, betas.values if betas else None),
                upscaling=upscaling,
            )
        }

    def finish(self, states: Sequence[State], ctx: Context) -> Training:
        """The averaged weights, and the looks on the way."""
        from studio.training import loop

        trained, samples = loop.finish(states, ctx)
        # the model was announced before
        return Training(cast("Model", None), trained, samples)


def _upscaling(scale: int, noise: float) -> Upscaling:
    return Upscaling(scale, round(noise * 100) + 1)


def _check(dataset: Dataset, network: Network, vae: Vae | None, scale: int) -> None:
    """Raise GraphError if the network is none for an upscaler, or if small pictures cannot be made."""
    if "cross_attention_dim" in network.config:
        raise GraphError(
            "", "network", "reads text; an upscaler reads none", remedy="set its text_width to 0"
        )
    if CLASSES in network.config:
        raise GraphError(
            "", "network", "reads classes; an upscaler reads none", remedy="set its classes to 0"
        )
    unit = scale * (vae.downscale if vae else 1)
    least = 16 * scale if isinstance(dataset.pictures, Scenes) else 0
    if dataset.size % unit or dataset.size < least:
        raise GraphError(
            "",
            "dataset",
            f"has pictures of {dataset.size} px, of which none {scale} times smaller can be made",
            remedy=f"choose a multiple of {unit} px" + (f", at least {least}" if least else ""),
        )


def _widened(network: Network, vae: Vae | None, upscaling: Upscaling) -> Network:
    """A network that reads a small picture and a level of noise as well, and says so in its config."""
    told: dict[str, Json] = {
        "scale": upscaling.scale,
        "downscale": vae.downscale if vae else 1,
        "latents": vae.family if vae else "",
    }
    config: dict[str, Json] = {
        **network.config,
        "in_channels": 2 * int(str(network.config["in_channels"])),
        "num_class_embeds": upscaling.levels,
        UPSCALING: told,
    }
    return Network(network.class_name, config)
