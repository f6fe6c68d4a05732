"""What all nodes that train have in common: the loop, and what of a recipe fits together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, cast

from studio.errors import GraphError
from studio.graph import Json, Ref, Value
from studio.keys import digest
from studio.registry import (
    Chain,
    Context,
    Spec,
)
from studio.training.recipe import (
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
    Network,
    NewTextEncoder,
    State,
    TextEncoder,
    Trained,
    Vae,
)

MOST_STEPS = 10_000_000
"""Of any training."""


class Training(NamedTuple):
    """What a training gives."""

    model: Model
    trained: Trained
    samples: Image


class AdditionTraining(NamedTuple):
    """What the training of something that is added to a model gives."""

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
    *,
    learns_text: bool = False,
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
    if learns_text:
        _check_learner(text_encoder)
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
    scheduler = scheduler_of(model, recipe.target, betas)
    return Plan(
        recipe=recipe,
        dataset=dataset,
        network=replace(model.ref, result=None) if model else with_labels(network, dataset),
        scheduler=scheduler,
        betas=betas_of(scheduler),
        channels=channels,
        latent_size=dataset.size // (vae.downscale if vae else 1),
        vae=vae,
        text_encoder=text_encoder,
        learns_text=learns_text,
        new_text=new_text,
        validation=validation,
        label_count=len(labels.names) + 1 if labels else 0,
    )


def with_prior(plan: Plan, prior: Dataset | None, weight: float) -> Plan:
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


def with_labels(network: Network | None, dataset: Dataset) -> Network:
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


def _check_learner(encoder: TextEncoder | None) -> None:
    """Raise GraphError if there is no text encoder of a model that could learn."""
    if encoder is None:
        what = "asks a text encoder of a model to learn, and none is linked"
        raise GraphError("", "learn_text", what, remedy="link one, or turn this off")
    if len(encoder.refs) != 1 or encoder.refs[0].component != "text_encoder":
        what = "is for models that read by one CLIP text encoder"
        raise GraphError("", "learn_text", what, remedy="turn it off")
    refuse_additions(encoder)


def refuse_additions(encoder: TextEncoder) -> None:
    """Raise GraphError if a text encoder whose own weights are read has LoRAs or learned words beside them."""
    if encoder.words or any(ref.patches for ref in encoder.refs):
        what = "has LoRAs or words of its own, which a training would not see"
        raise GraphError("", "text_encoder", what, remedy="link the model's")


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


def scheduler_of(model: Model | None, target: str, betas: Betas | None) -> Mapping[str, Json]:
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


def digest_of(network: Network | None, model: Model | None) -> str:
    """The beginning of the digest of what is trained, by which the duration of its steps is remembered."""
    return model.ref.digest[:12] if model else digest(network)[:12]
