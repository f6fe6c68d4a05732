"""The socket types: what flows between nodes, as frozen values that need no torch to be named.

Three kinds. *Plain values* stand in for parameters and are hashed as these. *Results* hold tensors (float32 on the
CPU unless said otherwise) or encoded files and live in the store under their key. *Descriptions* say what is meant (a
model, a schedule, a noise) without computing it; they are plain data, are evaluated while planning and enter keys by
value.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from studio.graph import Json, Key, Ref, Value

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

Resolve = Callable[[Ref], Value]


# --- plain values


@dataclass(frozen=True)
class Constant(Value):
    """A plain value that may be linked into a parameter. Describing nodes alone give it: it is known while planning."""

    value: Json


@dataclass(frozen=True)
class Number(Constant):
    """A number: a float, or an int of any size."""


@dataclass(frozen=True)
class Integer(Number):
    """A whole number, exact; fits wherever a number does."""


@dataclass(frozen=True)
class Text(Constant):
    """Text: a str."""


@dataclass(frozen=True)
class Boolean(Constant):
    """A yes or no: a bool."""


# --- results


@dataclass(frozen=True, eq=False)
class Latents(Value):
    """Latents: float32 [B, C, h, w], scaled as the denoiser expects them (VAE scaling factor applied)."""

    samples: Tensor
    family: str = ""
    """Which VAE's latents these are (``sd1``, ``sdxl``, ``starter`` …); "" where nothing is known."""


@dataclass(frozen=True, eq=False)
class Image(Value):
    """Pictures: float32 [B, 3, H, W], sRGB in [0, 1]."""

    pixels: Tensor


@dataclass(frozen=True, eq=False)
class Mask(Value):
    """Masks: float32 [B, 1, H, W] in [0, 1]; 1 = repaint."""

    alpha: Tensor


@dataclass(frozen=True, eq=False)
class Embedding(Value):
    """A prompt as the denoiser reads it: hidden float32 [1, T, D], pooled float32 [1, P] where the model has it."""

    hidden: Tensor
    pooled: Tensor | None = None
    tokens: tuple[int, ...] = ()
    """Token ids, kept for the manifest."""
    empty: Embedding | None = None
    """The same encoder's reading of the empty prompt: what guidance leads away from without a negative prompt."""


@dataclass(frozen=True, eq=False)
class Labelled(Embedding):
    """A class, with or without a prompt (``hidden`` is then [1, 0, 0]), as a class-conditional denoiser reads it."""

    label: int = 0


class Delivered(Value, ABC):
    """What an output node makes, to be taken out of the graph."""

    @property
    @abstractmethod
    def sha256(self) -> tuple[str, ...]:
        """Content of each file that delivering it gives."""


@dataclass(frozen=True)
class Picture(Delivered):
    """Encoded pictures, ready to be written: what an output node makes. Needs no torch."""

    name: str
    """Stem of the file names."""
    suffix: str
    """``.png`` or ``.gif``."""
    files: tuple[bytes, ...]
    pixels_sha256: tuple[str, ...]
    """sha256 of each picture's pixels: 8-bit RGB(A), row by row from the top left."""
    is_saved: bool = True
    """Whether the files are to be written; otherwise they are only shown."""

    @property
    def sha256(self) -> tuple[str, ...]:
        """Of the pixels, not of the files."""
        return self.pixels_sha256


LORA = "lora"
"""Component of a training's result that is a LoRA: its tensors by the names that its file has for them."""


CONTROLNET = "controlnet"
"""Component of a training's result that is a ControlNet."""
EMBEDDING = "embedding"
"""Component of a training's result that is a textual inversion: its embeddings, by the word that they stand for."""


@dataclass(frozen=True, eq=False)
class Trained(Value):
    """Trained weights, with all that makes an ordinary model of them."""

    weights: Mapping[str, Mapping[str, Tensor]]
    """By component as diffusers names it: float32."""
    configs: Mapping[str, Mapping[str, Json]]
    """Config of each component, its class under ``_class_name``, and that of the ``scheduler``."""
    card: Mapping[str, Json]
    """How they came about: data, seed, recipe, measurements."""
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Texts by file name of components without weights, such as a ``tokenizer``."""


@dataclass(frozen=True, eq=False)
class State(Value):
    """The whole state of a loop after a step: nested dicts, lists and tuples of tensors and plain data."""

    data: Mapping[str, object]


# --- descriptions


@dataclass(frozen=True)
class ModelRef:
    """Weights by content: what the pool loads. ``digest`` is the sha256 of the files that hold the component."""

    name: str
    """How the user calls the model; not part of any key."""
    component: str
    """``unet``, ``vae``, ``text_encoder`` … as diffusers names it."""
    digest: str
    patches: tuple[tuple[ModelRef, float], ...] = ()
    """The LoRAs that are added to the weights, each with its strength, in order of application."""
    result: Ref | Trained | None = None
    """For weights that a node of the graph trains: its result, whose key ``digest`` then is."""

    def __key__(self) -> Json:
        patches: list[Json] = [[patch.digest, strength] for patch, strength in self.patches]
        return [self.component, self.digest, patches]


@dataclass(frozen=True)
class Blocks:
    """The half of a U-Net that its ControlNets are copies of: what one adds must fit the other."""

    residuals: tuple[int, ...]
    """Channels of each skip connection, from the outside in, and of the middle."""
    text_width: int
    addition: str = ""
    """What it reads beside text: ``text_time`` for XL's pooled text and sizes."""


CLASSES = "classes"
"""Field of a network's config that names the classes which it was taught; the label after the last stands for none."""
UPSCALING = "upscaling"
"""Field in the config of a U-Net that is an upscaler: its scale, and whose latents it works on."""


@dataclass(frozen=True)
class Upscaling:
    """What an upscaler reads beside the noise: a small picture, itself with some noise (Ho et al. 2021, section 4)."""

    scale: int
    """How many times larger it paints."""
    levels: int
    """So many levels of that noise it knows, each a hundredth: the first is none. It is told the level as a class."""

    @property
    def strongest(self) -> float:
        """Standard deviation of the strongest noise, beside a signal of variance 1 - noise²."""
        return (self.levels - 1) / 100

    def label(self, noise: float) -> int:
        """The class of a noise."""
        return round(noise * 100)


@dataclass(frozen=True)
class Labels:
    """The classes that a denoising network can be told to paint."""

    names: tuple[str, ...]
    none: int | None = None
    """The label that stands for no class, which guidance leads away from; None where the network knows none such."""


@dataclass(frozen=True)
class Model(Value):
    """A denoising network, described."""

    ref: ModelRef
    family: str
    latents: str
    """Whose latents it works on, as in ``Latents.family``."""
    in_channels: int
    latent_channels: int
    downscale: int
    """Pixels per latent in each direction (8 for Stable Diffusion, 1 in pixel space)."""
    sample_size: int
    """Side of the pictures that it was trained on, in pixels."""
    scheduler: Mapping[str, Json]
    """Its own scheduler: ``{"_class_name": "DDIMScheduler", "prediction_type": …, …}``."""
    blocks: Blocks | None = None
    """What a ControlNet for it must fit; None where it takes none."""
    loras: tuple[Span, ...] = ()
    """The LoRAs that act on it, each with its share of the run and its strength."""
    upscaling: Upscaling | None = None
    """For the second stage of a cascade: what it reads of the first."""
    labels: Labels | None = None
    """The classes that it paints; None where it reads none."""

    def at(self, step: int, steps: int) -> ModelRef:
        """The weights of ``step`` of ``steps``: with the LoRAs that act in it."""
        return replace(
            self.ref,
            patches=tuple(
                (span.source.ref, span.weight)
                for span in self.loras
                if isinstance(span.source, Lora) and span.acts(step, steps)
            ),
        )


@dataclass(frozen=True)
class TextEncoder(Value):
    """Tokenizers and text encoders, described: a reference each, in the order the family concatenates them."""

    refs: tuple[ModelRef, ...]
    family: str
    words: tuple[tuple[str, ModelRef], ...] = ()
    """Words with embeddings of their own (textual inversion), and where these are."""


@dataclass(frozen=True)
class Vae(Value):
    """A variational autoencoder, described."""

    ref: ModelRef
    family: str
    latent_channels: int
    downscale: int


@dataclass(frozen=True)
class ControlNet(Value):
    """A ControlNet, described."""

    ref: ModelRef
    family: str
    """Family of the models that it was made for; "" where the architecture is none that we know."""
    in_channels: int
    """Channels of the latents that it reads."""
    downscale: int
    """Pixels of the control picture per latent, in each direction."""
    blocks: Blocks


@dataclass(frozen=True)
class Lora(Value):
    """A LoRA, described."""

    ref: ModelRef
    family: str
    """Family of the models that it was made for; "" where the file cannot tell."""
    components: tuple[str, ...]
    """What it adds to: ``unet``, ``text_encoder`` …"""


@dataclass(frozen=True)
class Inversion(Value):
    """A textual inversion, described: learned embeddings that stand for a word."""

    ref: ModelRef
    family: str
    """Family of the models that it was made for; "" where the file cannot tell."""
    widths: tuple[int, ...]
    """Of its embeddings, one for each text encoder that it is for."""


@dataclass(frozen=True)
class Classifier(Value):
    """A classifier of noisy pictures or latents, described (Dhariwal & Nichol 2021, section 4)."""

    ref: ModelRef
    latents: str
    """Whose latents it reads, as in ``Latents.family``."""
    in_channels: int
    downscale: int
    """Pixels per latent in each direction; 1 reads pixels."""
    classes: tuple[str, ...]
    """Names of the labels, in their order."""
    scheduler: Mapping[str, Json]
    """By which scheduler's noise it was trained."""


@dataclass(frozen=True)
class Described:
    """What a model file offers: None where it has no such component."""

    model: Model | None = None
    text_encoder: TextEncoder | None = None
    vae: Vae | None = None
    controlnet: ControlNet | None = None
    lora: Lora | None = None
    inversion: Inversion | None = None
    classifier: Classifier | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a component that is not there cannot be had, and the remedy, by the name of its field."""

    @property
    def refs(self) -> tuple[ModelRef, ...]:
        """All its weights."""
        single = (
            self.model,
            self.vae,
            self.controlnet,
            self.lora,
            self.inversion,
            self.classifier,
        )
        encoders = self.text_encoder.refs if self.text_encoder else ()
        return (*(part.ref for part in single if part is not None), *encoders)

    @property
    def digest(self) -> str:
        """The content of the whole: sha256 over the digests of its components, by name."""
        lines = sorted(f"{ref.component} {ref.digest}\n" for ref in self.refs)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class ModelFolder(Delivered):
    """A trained model, to be written into the library as an ordinary one."""

    name: str
    """In the library."""
    trained: Ref | Trained
    key: Key
    """Of the training's result: what tells whether a model of that name is this one."""
    dtype: str = "float16"
    """What the weights are stored in."""
    is_replacing: bool = False
    """Another model of that name may be overwritten."""
    vae: ModelRef | None = None
    """A VAE to lie beside what was trained, so that the folder is whole."""

    @property
    def sha256(self) -> tuple[str, ...]:
        """The training's key; the weights are named by the model library once they are there."""
        return (self.key,)


@dataclass(frozen=True)
class Scenes:
    """Pictures that the scene painter draws, by address: index 0 … count - 1 under one seed."""

    seed: int
    count: int
    given: Mapping[str, str] = field(default_factory=dict)
    """Attributes that every scene has."""
    is_held_out: bool | None = False
    """False: without the combinations kept out of training; True: nothing else; None: all."""
    version: str = ""
    """Of the painter and of what it draws with."""


@dataclass(frozen=True)
class PictureFile:
    """A picture of a data set, by content."""

    path: str
    name: str
    digest: str
    caption: str
    label: int = 0

    def __key__(self) -> Json:
        return [self.digest, self.caption, self.label]


@dataclass(frozen=True)
class PictureFiles:
    """Pictures of a folder, in the order of their names."""

    files: tuple[PictureFile, ...]
    digest: Key
    """Of their contents, captions and labels: what enters keys."""
    fit: str = "crop"
    """``crop``, ``pad`` or ``stretch`` to the size."""
    is_random: bool = False
    """Crop anywhere, afresh each time; otherwise the middle."""
    is_flipped: bool = False
    """Mirror every other picture, by chance."""

    def __key__(self) -> Json:
        return [self.digest, self.fit, self.is_random, self.is_flipped]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.files)


@dataclass(frozen=True)
class Dataset(Value):
    """Square pictures to learn from, with captions and class labels, described."""

    pictures: Scenes | PictureFiles
    size: int
    """Side in pixels."""
    classes: tuple[str, ...] = ()
    """Names of the class labels; empty where the pictures have none."""
    has_captions: bool = True

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return self.pictures.count


@dataclass(frozen=True)
class Network(Value):
    """A network that does not exist yet: diffusers' class and config; training begins with random weights."""

    class_name: str
    config: Mapping[str, Json]


@dataclass(frozen=True)
class NewTextEncoder(Value):
    """A text encoder of CLIP's architecture that does not exist yet, nor does its tokenizer."""

    width: int
    layers: int
    head_width: int
    length: int
    """Tokens that it reads at once, begin and end included."""
    vocabulary: int
    """At most so many tokens."""


@dataclass(frozen=True)
class Noise(Value):
    """Which noise: addressed by (seed, step), never drawn from a running generator unless ``scheme`` says so."""

    seeds: tuple[int, ...]
    """One 64-bit seed per picture of the batch."""
    width: int
    height: int
    scheme: str = "addressed"
    variation: tuple[int, float] | None = None
    """(seed, strength): spherical interpolation of the initial noise towards that of another seed."""


@dataclass(frozen=True)
class Betas(Value):
    """A variance schedule as data: beta_t for every training step, each in (0, 1)."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Sigmas(Value):
    """Noise levels of a run as data, falling; the final 0 is left to the solver."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Schedule(Value):
    """A solver and its run: diffusers' scheduler class, its config, number of steps or the noise levels."""

    solver: str
    """Name of the class in diffusers, such as ``EulerDiscreteScheduler``."""
    config: Mapping[str, Json]
    steps: int
    sigmas: tuple[float, ...] | None = None
    """Custom noise levels in place of ``steps`` levels by the solver's own spacing."""
    step_args: Mapping[str, Json] = field(default_factory=dict)
    """Arguments of the solver's ``step``, such as ``eta`` or ``s_churn``."""


@dataclass(frozen=True)
class Guidance(Value):
    """Strength of classifier-free guidance over the run: (share of the run in [0, 1], value), shares rising."""

    points: tuple[tuple[float, float], ...]
    is_smooth: bool = False
    """Interpolate linearly between the points; otherwise each value holds until the next point."""

    def at(self, share: float) -> float:
        """The value at a share of the run in [0, 1]."""
        points = self.points
        if share <= points[0][0]:
            return points[0][1]
        for (left, before), (right, after) in pairwise(points):
            # a share computed as k/n may fall a rounding error short of a point written as a decimal
            if share < right - 1e-9:
                if not self.is_smooth:
                    return before
                return before + (after - before) * (share - left) / (right - left)
        return points[-1][1]


@dataclass(frozen=True)
class Span:
    """One item of a timeline: where it comes from and when it acts."""

    source: Ref | Value
    start: float = 0.0
    end: float = 1.0
    weight: float = 1.0

    def acts(self, step: int, steps: int) -> bool:
        """Tell whether it acts in ``step`` of ``steps``: from share ``start`` up to but not including ``end``."""
        return (
            self.weight != 0.0
            and step >= self.start * steps - 1e-9
            and step < self.end * steps - 1e-9
        )


@dataclass(frozen=True)
class Timeline(Value):
    """Items of one type, each with its share of the run. A single item is taken as one that acts all the time."""

    spans: tuple[Span, ...]

    item: ClassVar[type[Value]]

    @classmethod
    def of(cls, source: Ref | Value) -> Self:
        """The timeline of one item that acts throughout."""
        return cls((Span(source),))

    def within(self, start: float, end: float) -> Self:
        """The same items, each cut to the window from ``start`` to ``end``."""
        spans = (
            replace(span, start=max(span.start, start), end=min(span.end, end))
            for span in self.spans
        )
        return replace(self, spans=tuple(span for span in spans if span.start < span.end))

    def weighted(self, weight: float) -> Self:
        """The same items, their weights multiplied."""
        return replace(
            self, spans=tuple(replace(span, weight=span.weight * weight) for span in self.spans)
        )

    def __add__(self, other: Self) -> Self:
        return replace(self, spans=self.spans + other.spans)


@dataclass(frozen=True)
class Conditioning(Timeline):
    """Prompts over the run: several that act at once are mixed by weight."""

    item: ClassVar[type[Value]] = Embedding


@dataclass(frozen=True)
class Masks(Timeline):
    """Inpaint masks over the run: where several act at once, the union."""

    item: ClassVar[type[Value]] = Mask


@dataclass(frozen=True)
class LowResolution(Value):
    """A small picture for an upscaler to paint larger."""

    latents: Ref | Latents
    """A reference while planning, as for every result."""
    noise: float = 0.0
    """Standard deviation of the noise that is mixed into it, so that its faults do not count as detail."""


@dataclass(frozen=True)
class Control(Value):
    """A ControlNet and the pictures that it reads; the span that holds it says how strongly and when it acts."""

    controlnet: ControlNet
    image: Ref | Image
    """A reference while planning, as for every result."""


@dataclass(frozen=True)
class Controls(Timeline):
    """ControlNets over the run: what several that act at once say is added up."""

    item: ClassVar[type[Value]] = Control


@dataclass(frozen=True)
class Aim(Value):
    """A label that a classifier is to see; the span that holds it says how strongly and when."""

    classifier: Classifier
    label: int
    curve: Guidance | None = None
    """Strength over the run, times that of the span."""

    def at(self, step: int, steps: int) -> float:
        """What the strength of the span is multiplied by in ``step`` of ``steps``."""
        return self.curve.at(step / steps) if self.curve else 1.0


@dataclass(frozen=True)
class ClassifierGuidance(Timeline):
    """Labels over the run: the gradients of several that act at once are added up."""

    item: ClassVar[type[Value]] = Aim
