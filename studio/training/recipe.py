"""A training as plain values: what is learned and how, and the rate of every step; no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from studio.graph import Json
from studio.keys import digest
from studio.values import (
    Dataset,
    ModelRef,
    Network,
    NewTextEncoder,
    Scenes,
    TextEncoder,
    Upscaling,
    Vae,
)

TARGETS = ("epsilon", "v_prediction", "sample", "flow")
LOSSES = ("l2", "l1", "huber")
OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("float32", "bfloat16")
TRAIN_TIMESTEPS = 1000
HUBER_DELTA = 0.1
"""Where the Huber loss turns from square to straight, in units of the prediction."""

CLASSIFIER = "classifier"
"""Component of a classifier of noisy pictures."""
CLASSIFIERS_CLASS = "NoisyClassifier"
"""Of its network."""

_PREDICTIONS: Mapping[str, str] = MappingProxyType(
    {"epsilon": "epsilon", "v_prediction": "v_prediction", "sample": "sample"}
)


_LOOKS = frozenset({"sample_every", "samples", "sample_steps", "guidance", "validate_every"})


@dataclass(frozen=True)
class Recipe:
    """How a denoising network is trained; everything but the number of steps and their rates."""

    seed: int = 0
    batch: int = 16
    accumulate: int = 1
    """Batches whose gradients make one step."""
    target: str = "epsilon"
    """What the network learns to predict."""
    loss: str = "l2"
    min_snr: float = 0.0
    """Cap on the weight of easy timesteps (Hang et al. 2023); 0 is none."""
    caption_dropout: float = 0.0
    optimizer: str = "adamw"
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest norm of the gradients; 0 is no limit."""
    ema: float = 0.995
    """Decay of the average of the weights; 0 keeps none."""
    prior_weight: float = 1.0
    """How much the pictures of a prior count beside those of the data set."""
    precision: str = "float32"
    is_compiled: bool = False
    """Translate the network for the accelerator first: a minute at the start, faster from then on."""
    sample_every: int = 0
    """Steps between two looks at what has been learned; 0 looks at the end alone."""
    samples: int = 4
    sample_steps: int = 20
    guidance: float = 1.0
    validate_every: int = 0

    def document(self) -> dict[str, Json]:
        """The recipe as plain data."""
        return asdict(self)

    def __key__(self) -> Json:
        # how often somebody looks changes nothing of what is learned: a training goes on under other looks, and
        # shows those that were taken when they were
        return {name: value for name, value in self.document().items() if name not in _LOOKS}


@dataclass(frozen=True)
class Adapters:
    """A LoRA to be learned (Hu et al. 2021)."""

    rank: int
    alpha: float
    """Strength at which it acts, times the rank."""
    layers: str
    """``attention`` or ``all``."""


HINTS = ("scribble", "edges")


@dataclass(frozen=True)
class Hints:
    """What a ControlNet that is to be learned reads beside the noise (Zhang et al. 2023)."""

    kind: str
    """``scribble``: drawn by hand, or lines as thick of a picture that nobody drew; ``edges``: thin lines."""
    channels: tuple[int, ...]
    """Widths of the layers from the hint down to the latents; every one after the first halves the sides."""


@dataclass(frozen=True)
class NewWord:
    """A word whose meaning is to be learned (Gal et al. 2022)."""

    word: str
    initial: str
    """Words that it means at first; empty: nothing in particular."""
    vectors: int
    """Embeddings that it stands for."""
    caption: str
    """What is read of a picture: {word} and {caption} stand for these."""

    def told(self, caption: str) -> str:
        """The caption of a picture with the word in it; one that has it already stays."""
        if self.word.lower() in caption.lower():
            return caption
        told = self.caption.replace("{word}", self.word).replace("{caption}", caption)
        return told.strip(" ,")


@dataclass(frozen=True)
class Plan:
    """All that a training depends on, but for the steps' rates."""

    recipe: Recipe
    dataset: Dataset
    network: Network | ModelRef
    """A new network, or the weights to begin with."""
    scheduler: Mapping[str, Json]
    betas: tuple[float, ...] | None
    channels: int
    latent_size: int
    vae: Vae | None = None
    text_encoder: TextEncoder | None = None
    learns_text: bool = False
    """The text encoder learns along."""
    new_text: NewTextEncoder | None = None
    """A text encoder that learns with the network, in place of one that stays as it is."""
    validation: Dataset | None = None
    prior: Dataset | None = None
    """Pictures of what is not to be forgotten, a batch of them in every step (Ruiz et al. 2023, eq. 2)."""
    adapters: Adapters | None = None
    """Learned beside the network, which stays as it is; None: the network itself learns."""
    label_count: int = 0
    """Class labels that the network reads, the last of which stands for none; 0 where it reads none."""
    hints: Hints | None = None
    """For a ControlNet, which learns in place of the network."""
    is_inpainting: bool = False
    """The network learns to fill holes."""
    upscaling: Upscaling | None = None
    """What an upscaler reads beside the noise: each picture of the data set, small."""
    new_word: NewWord | None = None
    """Learned in place of the network, which stays as it is."""

    def card(self) -> dict[str, Json]:
        """The plan for the card of the model that comes of it."""
        recipe = self.recipe.document()
        if self.prior is None:
            del recipe["prior_weight"]
        else:
            recipe |= {"prior": digest(self.prior), "prior pictures": self.prior.count}
        if self.adapters is not None:
            recipe |= asdict(self.adapters)
        if self.hints is not None:
            recipe |= {"hints": self.hints.kind, "hint channels": list(self.hints.channels)}
        if self.new_word is not None:
            recipe |= asdict(self.new_word)
        if self.upscaling is not None:
            recipe |= {"scale": self.upscaling.scale, "noise": self.upscaling.strongest}
        if self.learns_text and self.text_encoder is not None:
            recipe |= {"text encoder began with": self.text_encoder.refs[0].digest}
        if self.vae is not None:
            recipe |= {"vae": self.vae.ref.digest}
        if isinstance(self.network, Network):
            recipe |= {"network": self.network.class_name}
        else:
            recipe |= {"began with": self.network.digest}
        return {
            "summary": f"{self._what} trained on {self.dataset.count} pictures of"
            f" {self.dataset.size} px.",
            "data": data_card(self.dataset),
            "recipe": recipe,
        }

    @property
    def _what(self) -> str:
        if self.upscaling is not None:
            return f"An upscaler that paints {self.upscaling.scale} times larger,"
        if isinstance(self.network, Network) and self.network.class_name == CLASSIFIERS_CLASS:
            return "A classifier of noisy pictures"
        if self.hints is not None:
            return f"A ControlNet for {self.hints.kind}"
        if self.is_inpainting:
            return "An inpainting network"
        if self.new_word is not None:
            return f'The meaning of "{self.new_word.word}",'
        return "A LoRA" if self.adapters else "A denoising network"


def data_card(dataset: Dataset) -> dict[str, Json]:
    """What was learned, for the card of a model."""
    pictures = dataset.pictures
    data: dict[str, Json] = {
        "pictures": dataset.count,
        "size": dataset.size,
        "digest": digest(dataset),
    }
    if isinstance(pictures, Scenes):
        given: dict[str, Json] = {f"all {name}": value for name, value in pictures.given.items()}
        data |= {"source": "scene painter", "seed": pictures.seed, **given}
    return data


@dataclass(frozen=True)
class Rates:
    """The learning rate of every step: a rise, a plateau, a fall along half a cosine to nothing.

    While the plateau lasts a rate does not depend on how many steps there are, so that a longer training shares its
    beginning with a shorter one (warm-up, stable, decay: Hu et al. 2024).
    """

    peak: float
    warmup: int
    decay: float
    """Share of the steps over which the rate falls; 1 is the classic cosine."""

    def decay_start(self, steps: int) -> int:
        """The first step whose rate depends on the number of steps."""
        return steps - round(steps * self.decay)

    def at(self, step: int, steps: int) -> float:
        """The rate of a step."""
        rate = self.peak * min(1.0, (step + 1) / max(self.warmup, 1))
        start = self.decay_start(steps)
        if step < start:
            return rate
        return rate * 0.5 * (1 + math.cos(math.pi * (step + 1 - start) / (steps - start + 1)))


@dataclass(frozen=True)
class Block:
    """Steps between two states that are stored."""

    first: int
    rates: tuple[float, ...]
    is_lasting: bool
    """More steps, or another decay, may go on from its end."""


def blocks(steps: int, every: int, rates: Rates) -> Iterator[Block]:
    """Cut a training into blocks of ``every`` steps; the last may be shorter."""
    stay = rates.decay_start(steps) // every * every
    for first in range(0, steps, every):
        last = min(first + every, steps)
        several = tuple(rates.at(step, steps) for step in range(first, last))
        yield Block(first, several, last == stay)


def scheduler_config(target: str, betas: tuple[float, ...] | None) -> dict[str, Json]:
    """The config of the scheduler that a network trained for ``target`` is used with; betas are linear where None."""
    if target == "flow":
        return {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": TRAIN_TIMESTEPS,
            "shift": 1.0,
        }
    config: dict[str, Json] = {
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": TRAIN_TIMESTEPS if betas is None else len(betas),
        "beta_schedule": "linear",
        "beta_start": 0.0001,
        "beta_end": 0.02,
        "prediction_type": _PREDICTIONS[target],
        "timestep_spacing": "trailing",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "steps_offset": 1,
    }
    if betas is None:
        return config
    from studio.diffusion.betas import KINDS

    # they were rounded to float32, and people name round numbers
    first, last = (float(f"{beta:.6g}") for beta in (betas[0], betas[-1]))
    for kind in ("linear", "scaled_linear"):
        if KINDS[kind](len(betas), first, last) == betas:
            return {**config, "beta_schedule": kind, "beta_start": first, "beta_end": last}
    return {**config, "trained_betas": list(betas)}


def target_of(config: Mapping[str, Json]) -> str:
    """What a network with this scheduler was trained to predict."""
    if str(config.get("_class_name", "")).startswith("FlowMatch"):
        return "flow"
    kind = config.get("prediction_type")
    return kind if isinstance(kind, str) and kind in _PREDICTIONS else "epsilon"
