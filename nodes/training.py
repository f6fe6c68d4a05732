"""Training: a new network, the loop that teaches it, and its way into the model library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple, cast

from studio.errors import GraphError, ModelError, NodeError
from studio.graph import Json, Key, NodeKind, Ref, Value
from studio.keys import digest
from studio.registry import (
    Chain,
    Choice,
    Context,
    Numbers,
    Output,
    Planning,
    Range,
    Seed,
    Spec,
    node,
)
from studio.training.recipe import (
    LOSSES,
    OPTIMIZERS,
    PRECISIONS,
    TARGETS,
    Adapters,
    Plan,
    Rates,
    Recipe,
    blocks,
    scheduler_config,
    target_of,
)
from studio.values import (
    CLASSES,
    Betas,
    Dataset,
    Image,
    Labels,
    Model,
    ModelFolder,
    ModelRef,
    Network,
    NewTextEncoder,
    State,
    TextEncoder,
    Trained,
    Vae,
)

MOST_STEPS = 10_000_000
"""Of any training."""


@node(
    "new_unet",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    aliases=("network", "unet", "untrained"),
)
def new_unet(
    vae: Vae | None,
    dataset: Dataset | None,
    channels: Annotated[list[int], Numbers()] = [32, 64, 96],  # noqa: B006 - a declared default, never changed
    layers: Annotated[int, Range(1, 6)] = 1,
    attention: Annotated[int, Range(0, 6, unit="levels")] = 1,
    head_width: Annotated[int, Range(4, 256, 4)] = 16,
    text_width: Annotated[int, Range(0, 4096)] = 0,
    groups: Annotated[int, Range(1, 64)] = 8,
    classes: Annotated[int, Range(0, 100_000)] = 0,
) -> Network:
    """A U-Net that has learned nothing yet (Ronneberger et al. 2015; Ho et al. 2020): what train_diffusion begins with.

    Its size decides how much it can learn and how long that takes: a few hundred thousand weights learn pictures of
    32 px within minutes on a processor.

      vae: Work on its latents; without it, on pixels.
      dataset: Read its class labels; without it, as many as classes says.
      channels: Width of each level, the picture's own size first, each further one half as large.
      layers: Residual blocks a level.
      attention: How many of the smallest levels look at the picture as a whole.
      head_width: Channels of an attention head.
      text_width: Width of the text encoder that it reads; 0 reads no text.
      groups: Of the group norms; every width is a multiple of it.
      classes: How many class labels it reads; 0 is none. One more stands for none of them.
      network: The network, described.
    """
    widths = refuse_widths(channels, groups, attention, head_width)
    depth = len(widths)
    looks = [level >= depth - attention for level in range(depth)]
    signal = vae.latent_channels if vae else 3
    kind = "CrossAttn" if text_width else "Attn"
    config: dict[str, Json] = {
        "in_channels": signal,
        "out_channels": signal,
        "block_out_channels": list(widths),
        "layers_per_block": layers,
        "down_block_types": [f"{kind}DownBlock2D" if look else "DownBlock2D" for look in looks],
        "up_block_types": [f"{kind}UpBlock2D" if look else "UpBlock2D" for look in reversed(looks)],
        "norm_num_groups": groups,
    }
    names = _names(dataset, classes)
    if names:
        # one more for none of them, which guidance leads away from (Ho & Salimans 2022)
        config |= {"num_class_embeds": len(names) + 1, CLASSES: list(names)}
    if not text_width:
        config |= {"attention_head_dim": head_width, "add_attention": attention > 0}
        return Network("UNet2DModel", config)
    # diffusers takes this field for the number of heads there
    config["attention_head_dim"] = [max(1, width // head_width) for width in widths]
    config["cross_attention_dim"] = text_width
    return Network("UNet2DConditionModel", config)


def _names(dataset: Dataset | None, classes: int) -> tuple[str, ...]:
    if dataset is None:
        return tuple(map(str, range(classes)))
    if not dataset.classes:
        raise NodeError(
            "the data set has no classes",
            where=".dataset",
            remedy="unlink it, or set classes in picture_folder",
        )
    return dataset.classes


def refuse_widths(
    channels: Sequence[float], groups: int, attention: int, head_width: int
) -> list[int]:
    """The widths of a network's levels; raises NodeError if its norms or heads cannot divide them."""
    widths = [int(width) for width in channels]
    if not widths or any(width < 1 or width % groups for width in widths):
        raise NodeError(
            f"channels {channels} are not all multiples of groups {groups}",
            where=".channels",
            remedy="such as 32, 64, 96 with 8 groups",
        )
    if any(width % head_width for width in widths[max(0, len(widths) - attention) :]):
        raise NodeError(
            f"a level with attention is no multiple of head_width {head_width}",
            where=".head_width",
            remedy="choose a divisor of its channels",
        )
    return widths


@node(
    "new_text_encoder",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    aliases=("clip", "tokenizer", "untrained"),
)
def new_text_encoder(
    width: Annotated[int, Range(16, 4096, 16)] = 128,
    layers: Annotated[int, Range(1, 48)] = 3,
    head_width: Annotated[int, Range(8, 256, 8)] = 32,
    length: Annotated[int, Range(8, 512, unit="tokens")] = 40,
    vocabulary: Annotated[int, Range(520, 200_000, unit="tokens")] = 840,
) -> Annotated[NewTextEncoder, Output("text_encoder")]:
    """A text encoder that has read nothing yet (CLIP's architecture: Radford et al. 2021), to learn with a new network.

    Its tokenizer is made from the captions of the data set when the training begins.

      width: Of its hidden states: the text_width of the network.
      layers: Transformer layers.
      head_width: Channels of an attention head.
      length: Tokens that it reads at once; longer captions are cut.
      vocabulary: At most so many tokens, of which 514 are single bytes and the two marks.
      text_encoder: The encoder, described.
    """
    if width % head_width:
        raise NodeError(
            f"width {width} is no multiple of head_width {head_width}",
            where=".head_width",
            remedy="choose a divisor of the width",
        )
    return NewTextEncoder(width, layers, head_width, length, vocabulary)


class Training(NamedTuple):
    """What a training gives."""

    model: Model
    trained: Trained
    samples: Image


def chain_of(
    plan: Plan, steps: int, every: int, rates: Rates, uses: Mapping[str, Ref], cost: str
) -> Chain:
    """A spec for every block of steps between two checkpoints."""
    specs = tuple(
        Spec(
            {"first": block.first, "rates": block.rates},
            unhashed={"plan": plan},
            calls=plan.recipe.accumulate * (1 if plan.prior is None else 2),
            count=len(block.rates),
            is_lasting=block.is_lasting,
        )
        for block in blocks(steps, every, rates)
    )
    return Chain(Spec({"plan": plan}, uses, is_lasting=False), specs, cost)


class Taught:
    """What every training loop has in common."""

    def passes(self, arguments: Mapping[str, object]) -> int:
        """All steps."""
        return cast("int", arguments["steps"])

    def start(self, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """The network before its first step; every file of the data is read once to see whether it can be."""
        from studio.training import loop

        return loop.start(spec, inputs, ctx)

    def step(self, state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """One step of the optimizer."""
        from studio.training import loop

        return loop.step(state, spec, ctx)

    def freeze(self, state: State, ctx: Context) -> State:
        """Weights, average and optimizer, copied."""
        from studio.training import loop

        return loop.freeze(state)

    def preview(self, state: State) -> Image | None:
        """What it paints by now."""
        from studio.training import loop

        return loop.preview(state)


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
      text_encoder: Learn to follow captions, as this encoder reads them; it stays as it is.
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
      optimizer: AdamW, or Muon for matrices and AdamW for the rest.
      weight_decay: Pull of the weights towards 0.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the weights, which is what comes out; 0 keeps none.
      precision: bfloat16 computes in half the memory, faster where the hardware can; weights stay float32.
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
            recipe, dataset, network, model, vae, text_encoder, new_text, betas, validation
        )
        plan = _with_prior(plan, prior, prior_weight)
        uses = {}
        if model is not None and model.ref.result is not None:
            uses["base"] = cast("Ref", model.ref.result)
        rates = Rates(learning_rate, warmup, decay)
        cost = f"{_digest(network, model)} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, uses, cost)]

    def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
        """The model that the training gives, as a denoise node takes it."""
        model = cast("Model | None", arguments["model"])
        vae = cast("Vae | None", arguments["vae"])
        dataset = cast("Dataset", arguments["dataset"])
        result = ModelRef("trained", "unet", key, result=Ref(key, "trained"))
        betas = cast("Betas | None", arguments["betas"])
        scheduler = _scheduler(model, cast("str", arguments["target"]), betas)
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
                    _named(cast("Network | None", arguments["network"]), dataset).config
                ),
            )
        }

    def finish(self, states: Sequence[State], ctx: Context) -> Training:
        """The averaged weights, and the looks on the way."""
        from studio.training import loop

        trained, samples = loop.finish(states, ctx)
        # the model was announced before
        return Training(cast("Model", None), trained, samples)


class AdditionTraining(NamedTuple):
    """What the training of something that is added to a model gives."""

    trained: Trained
    samples: Image


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
      precision: bfloat16 computes in half the memory, faster where the hardware can.
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
        plan = _with_prior(plan, prior, prior_weight)
        rates = Rates(learning_rate, warmup, decay)
        cost = f"lora {_digest(None, model)} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, {}, cost)]

    def finish(self, states: Sequence[State], ctx: Context) -> AdditionTraining:
        """The averaged matrices, and the looks on the way."""
        from studio.training import loop

        return AdditionTraining(*loop.finish(states, ctx))


def plan_of(
    recipe: Recipe,
    dataset: Dataset,
    network: Network | None,
    model: Model | None,
    vae: Vae | None,
    text_encoder: TextEncoder | None,
    new_text: NewTextEncoder | None,
    betas: Betas | None,
    validation: Dataset | None,
) -> Plan:
    """What is trained, checked for whether it fits together; raises GraphError naming the port."""
    if (network is None) == (model is None):
        raise GraphError(
            "", "network", "or model: one of the two is needed, and only one", remedy="link one"
        )
    if model is not None and model.loras:
        raise GraphError(
            "", "model", "has LoRAs, which a training would not see", remedy="unlink them"
        )
    config = _config(network)
    if "latent_channels" in config:
        raise GraphError(
            "",
            "network",
            "is an autoencoder, not a denoising network",
            remedy="link it to train_vae, and a new_unet here",
        )
    channels = model.latent_channels if model else int(str(config["in_channels"]))
    check_vae(channels, model.downscale if model else 0, vae)
    reads_text = model.blocks is not None if model else "cross_attention_dim" in config
    _check_text(config, model, reads_text, text_encoder, new_text)
    if reads_text and not dataset.has_captions:
        raise GraphError(
            "",
            "dataset",
            "has no captions, and the network reads text",
            remedy="write captions beside the pictures, or give picture_folder a trigger",
        )
    if validation is not None and validation.size != dataset.size:
        raise GraphError(
            "",
            "validation",
            f"has pictures of {validation.size} px, and the data set of {dataset.size} px",
            remedy="give both one size",
        )
    labels = model.labels if model else labels_of(config)
    _check_labels(labels, dataset, validation)
    depth = len(cast("list[Json]", config.get("block_out_channels", [])) or [0])
    refuse_size(dataset, vae, depth)
    scheduler = _scheduler(model, recipe.target, betas)
    return Plan(
        recipe=recipe,
        dataset=dataset,
        network=replace(model.ref, result=None) if model else _named(network, dataset),
        scheduler=scheduler,
        betas=betas_of(scheduler),
        channels=channels,
        latent_size=dataset.size // (vae.downscale if vae else 1),
        vae=vae,
        text_encoder=text_encoder,
        new_text=new_text,
        validation=validation,
        label_count=len(labels.names) + 1 if labels else 0,
    )


def _with_prior(plan: Plan, prior: Dataset | None, weight: float) -> Plan:
    """A plan in which pictures of what is not to be forgotten are learned as well."""
    if prior is None or weight == 0:
        return plan
    data = plan.dataset
    if prior.size != data.size:
        what = f"has pictures of {prior.size} px, and the data set of {data.size} px"
        raise GraphError("", "prior", what, remedy="give both one size")
    reads_text = plan.text_encoder is not None or plan.new_text is not None
    if reads_text and not prior.has_captions:
        what = "has no captions, and the network reads text"
        remedy = "write captions beside the pictures, or give picture_folder a trigger"
        raise GraphError("", "prior", what, remedy=remedy)
    if plan.label_count and prior.classes != data.classes:
        what = "has other classes than the data set"
        raise GraphError("", "prior", what, remedy="give both the same folders")
    return replace(plan, prior=prior, recipe=replace(plan.recipe, prior_weight=weight))


def _named(network: Network | None, dataset: Dataset) -> Network:
    """A network whose classes have the names that they have in its data."""
    assert network is not None, "there is a network where there is no model"
    if CLASSES not in network.config:
        return network
    return replace(network, config={**network.config, CLASSES: list(dataset.classes)})


def labels_of(config: Mapping[str, Json]) -> Labels | None:
    """The classes of a new network."""
    names = config.get(CLASSES)
    return Labels(tuple(map(str, names)), len(names)) if isinstance(names, list) else None


def _check_labels(labels: Labels | None, dataset: Dataset, validation: Dataset | None) -> None:
    """Raise GraphError if a network was made for other classes than those of its data."""
    if labels is None:
        return
    if labels.none is None:
        raise GraphError(
            "",
            "model",
            "has no label that stands for none of its classes",
            remedy="begin with a new_unet that has classes",
        )
    numbers = tuple(map(str, range(len(labels.names))))
    for port, data in (("dataset", dataset), ("validation", validation)):
        if data is None or data.classes == labels.names:
            continue
        if len(data.classes) == len(labels.names) and labels.names == numbers:
            continue
        raise GraphError(
            "",
            port,
            f"has {len(data.classes)} classes, and the network is for {len(labels.names)}"
            if len(data.classes) != len(labels.names)
            else "has other classes than the network",
            remedy="link the data set to new_unet",
        )


def _check_text(
    config: Mapping[str, Json],
    model: Model | None,
    reads_text: bool,
    text_encoder: TextEncoder | None,
    new_text: NewTextEncoder | None,
) -> None:
    if new_text is not None and model is not None:
        raise GraphError(
            "", "new_text", "would forget what the model knows", remedy="link the model's encoder"
        )
    count = (text_encoder is not None) + (new_text is not None)
    if reads_text and count != 1:
        what = "or new_text: the network reads text, and needs one of the two"
        raise GraphError("", "text_encoder", what, remedy="link one")
    if not reads_text and count:
        port = "text_encoder" if text_encoder is not None else "new_text"
        raise GraphError(
            "",
            port,
            "the network reads no text",
            remedy="unlink it, or give new_unet a text_width",
        )
    width = config.get("cross_attention_dim")
    if new_text is not None and new_text.width != width:
        raise GraphError(
            "",
            "new_text",
            f"is {new_text.width} wide, and the network reads text of width {width}",
            remedy="give new_unet that text_width",
        )


def _config(network: Network | None) -> Mapping[str, Json]:
    return network.config if network else {}


def refuse_size(dataset: Dataset, vae: Vae | None, depth: int) -> None:
    """Raise GraphError if a network of some levels cannot halve the pictures (or a VAE's latents of them) so often."""
    unit = (vae.downscale if vae else 1) * 2 ** (depth - 1)
    if dataset.size % unit:
        raise GraphError(
            "",
            "dataset",
            f"has pictures of {dataset.size} px, and the network halves them {depth - 1} times",
            remedy=f"choose a multiple of {unit} px",
        )


def check_vae(channels: int, downscale: int, vae: Vae | None) -> None:
    """Raise GraphError if a network of some channels (of a model of some ``downscale``) needs another VAE, or none."""
    if vae is not None and vae.latent_channels != channels:
        raise GraphError(
            "",
            "vae",
            f"has latents of {vae.latent_channels} channels, and the network reads {channels}",
            remedy="link the VAE of the model, or give new_unet this one",
        )
    if vae is not None and vae.ref.result is not None:
        raise GraphError(
            "",
            "vae",
            "is trained in this graph",
            remedy="save it by save_model, and load it by its name",
        )
    if vae is None and (channels != 3 or downscale > 1):
        raise GraphError(
            "", "vae", "is needed: the network works on latents", remedy="link the model's VAE"
        )


def _scheduler(model: Model | None, target: str, betas: Betas | None) -> Mapping[str, Json]:
    """The config of the scheduler that the trained network will be used with."""
    values = betas.values if betas else None
    if model is None:
        return scheduler_config(target, values)
    if values is None:
        return model.scheduler
    config = dict(model.scheduler)
    return {**config, "trained_betas": list(values), "num_train_timesteps": len(values)}


def betas_of(config: Mapping[str, Json]) -> tuple[float, ...] | None:
    """The betas that a scheduler's config means; None in flow matching, which has none."""
    from studio.diffusion.betas import KINDS, cosine

    if target_of(config) == "flow":
        return None
    given = config.get("trained_betas")
    if isinstance(given, list):
        return tuple(float(str(beta)) for beta in given)
    count = int(str(config.get("num_train_timesteps", 1000)))
    kind = str(config.get("beta_schedule", "linear"))
    if kind == "squaredcos_cap_v2":
        return cosine(count)
    first = float(str(config.get("beta_start", 0.0001)))
    last = float(str(config.get("beta_end", 0.02)))
    if kind not in KINDS:
        raise GraphError("", "betas", f"are needed: the model's {kind} schedule is not known")
    return KINDS[kind](count, first, last)


def _digest(network: Network | None, model: Model | None) -> str:
    return model.ref.digest[:12] if model else digest(network)[:12]


@node(
    "save_model",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    is_output=True,
    aliases=("save_checkpoint", "export_model"),
)
def save_model(
    ctx: Planning,
    trained: Trained,
    vae: Vae | None,
    name: str = "my-model",
    dtype: Annotated[str, Choice("float16", "bfloat16", "float32")] = "float16",
    replace: bool = False,
) -> Annotated[ModelFolder, Output("folder")]:
    """Write a trained model into the model library, as a folder in diffusers' layout that load_unet finds by its name.

    A LoRA becomes a file that load_lora finds. A card (README.md and card.json in the folder, metadata in the file)
    says how the model was trained. A model of that name from another training is in the way: this shows before
    anything runs.

      trained: What a training gives.
      vae: Written beside it, so that the folder is whole.
      name: In the library; folders are written with /.
      dtype: What the weights are stored in; float16 halves the file.
      replace: Overwrite another model of that name.
      folder: The model's folder.
    """
    # while planning, a result is the reference to it
    result = cast("Ref", trained)
    if vae is not None and vae.ref.result is not None:
        raise GraphError(
            "", "vae", "is trained in this graph", remedy="save it by a node of its own"
        )
    key = result.key if vae is None else digest([result.key, vae.ref.digest])
    try:
        ctx.models.refuse_new(name, key, is_replacing=replace)
    except ModelError as error:
        raise error.located(".name") from error.__cause__
    return ModelFolder(name, result, key, dtype, replace, vae.ref if vae else None)
