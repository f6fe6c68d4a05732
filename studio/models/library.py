"""The model library: models by name, described and digested without torch, found again by content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from studio.errors import FileError, ModelError
from studio.facts import Facts, file_digest
from studio.graph import Json, Key, nearest
from studio.models.families import Config, Family, family_of_unet
from studio.models.headers import PICKLES, read_header, refuse_pickle
from studio.models.inspection import Inspection, Kind, inspect
from studio.models.layout import CARD, is_model_folder
from studio.models.lora import layers
from studio.models.parts import ENDING, TOKENIZERS, Component, Parts, bundled, parts_of
from studio.values import (
    CLASSES,
    UPSCALING,
    Blocks,
    Classifier,
    ControlNet,
    Described,
    Inversion,
    Labels,
    Lora,
    Model,
    ModelRef,
    TextEncoder,
    Upscaling,
    Vae,
)

_DEEPEST = 4
# who wrote a config and in which dtype says nothing about results: the dtype is always ours to choose
_IDLE_FIELDS = frozenset(
    {"_diffusers_version", "_name_or_path", "transformers_version", "torch_dtype", "dtype"}
)


@dataclass(frozen=True)
class Entry:
    """A model of the library: its name and where it lies."""

    name: str
    path: Path
    is_bundled: bool = False


@dataclass(frozen=True)
class Finding:
    """Something wrong with a model of the library."""

    name: str
    problem: str


class Library:
    """The models of several folders, and those that ship with the program.

    A model's name is its folder's or its file's stem relative to a library folder, with ``/`` between; an absolute
    path is a name as well. Names come with workflows from strangers: they can make the library read model files,
    and nothing else.
    """

    def __init__(self, folders: Sequence[Path], facts: Facts) -> None:
        """``folders``: searched in this order; ``facts`` remembers digests. Nothing is read yet."""
        self.folders = tuple(folders)
        self.facts = facts

    # --- finding

    def names(self) -> tuple[str, ...]:
        """The names of all models, sorted, the bundled ones first."""
        return tuple(entry.name for entry in self.entries())

    def entries(self) -> tuple[Entry, ...]:
        """All models, the bundled ones first; where two folders have one name, the first folder's."""
        ours = bundled()
        found: dict[str, Entry] = {}
        for folder in self.folders:
            for path in _models_under(folder, _DEEPEST):
                stem = path.with_suffix("") if path.suffix == ENDING else path
                name = stem.relative_to(folder).as_posix()
                if name in found or name in ours:
                    # a folder and a file of one stem: the file goes by its whole name
                    name = path.relative_to(folder).as_posix()
                found.setdefault(name, Entry(name, path))
        shipped = (Entry(name, path, is_bundled=True) for name, path in ours.items())
        return (*shipped, *(found[name] for name in sorted(found) if name not in ours))

    def find(self, name: str) -> Entry:
        """Find a model by name.

        Raises ModelError with the nearest name, or what to get and where to put it, if there is none such; and if
        the name is none that a model can have.
        """
        _check_name(name)
        ours = bundled()
        if name in ours:
            return Entry(name, ours[name], is_bundled=True)
        path = Path(name)
        if path.is_absolute():
            return Entry(name, self._existing(path, name))
        for folder in self.folders:
            for candidate in (folder / name, folder / f"{name}{ENDING}"):
                if is_model_folder(candidate) or candidate.is_file():
                    refuse_pickle(candidate)
                    return Entry(name, candidate)
        raise self._not_found(name)

    def _existing(self, path: Path, name: str) -> Path:
        refuse_pickle(path)
        if not (path.is_file() or is_model_folder(path)):
            raise ModelError(f'there is no model at "{name}"', remedy="name one of the library")
        return path

    def _not_found(self, name: str) -> ModelError:
        for folder in self.folders:
            pickled = [folder / f"{name}{ending}" for ending in sorted(PICKLES)]
            for path in pickled:
                if path.is_file():
                    refuse_pickle(path)
        guess = nearest(name, self.names())
        place = str(self.folders[0]) if self.folders else "a folder named in $STUDIO_MODELS"
        return ModelError(
            f'there is no model "{name}"',
            remedy=f"{guess.rstrip('?')}{'?' if guess.endswith('?') else '.'} Or put {name}{ENDING},"
            f" or its folder in diffusers' layout, into {place}",
        )

    # --- describing

    def inspect(self, name: str) -> Inspection:
        """Say what a model's file or folder holds; raises ModelError as ``find`` and ``inspection.inspect`` do."""
        return inspect(self.find(name).path)

    def describe(self, name: str) -> Described:
        """Describe a model: which denoiser, text encoder, VAE and so on it offers, by content.

        Raises ModelError if there is none such, if it is damaged, or if it is of a kind or family that cannot be run.
        Reads no weights except to digest files that have changed since the last time.
        """
        entry = self.find(name)
        parts = parts_of(entry.path, self.folders)
        missing = dict(parts.missing)
        model: Model | None = None
        vae = self._vae(entry, parts)
        if "unet" in parts.components:
            if parts.scheduler is None:
                missing["model"] = (
                    f"{entry.path} has no scheduler/scheduler_config.json; get it again"
                )
            else:
                model = self._model(entry, parts, parts.scheduler, vae)
        encoders = [parts.components[key] for key in parts.components if key.startswith("text_")]
        text_encoder: TextEncoder | None = None
        if encoders and "text_encoder" not in missing:
            refs = tuple(self._ref(entry, component) for component in encoders)
            text_encoder = TextEncoder(refs, parts.family_id)
        return Described(
            model,
            text_encoder,
            vae,
            self._controlnet(entry, parts),
            self._lora(entry, parts),
            self._inversion(entry, parts),
            self._classifier(entry, parts),
            missing,
        )

    def _model(self, entry: Entry, parts: Parts, scheduler: Config, vae: Vae | None) -> Model:
        unet = parts.components["unet"]
        in_channels, out_channels = (
            _natural(unet, field) for field in ("in_channels", "out_channels")
        )
        # a lone U-Net of Stable Diffusion's kind, as opposed to one that paints pixels
        is_latent = unet.class_name == "UNet2DConditionModel" and out_channels == 4
        downscale = vae.downscale if vae else (8 if is_latent else 1)
        # an inpainting network reads mask and masked picture beside the latents that it predicts
        learned = scheduler.get("variance_type") in ("learned", "learned_range")
        latent_channels = vae.latent_channels if vae else out_channels // (2 if learned else 1)
        told = unet.config.get(UPSCALING)
        upscaling = None if told is None else _upscaling(unet, told)
        latents = parts.latents
        if isinstance(told, dict):
            downscale, latents = _whole(told, "downscale", unet), str(told.get("latents", ""))
        labels = None if upscaling else _labels(unet)
        _refuse_unet(unet, latent_channels, upscaling)
        return Model(
            ref=self._ref(entry, unet),
            family=parts.family_id or latents,
            latents=latents,
            in_channels=in_channels,
            latent_channels=latent_channels,
            downscale=downscale,
            sample_size=_sample_size(unet, parts.family, scheduler, downscale),
            scheduler=_told(scheduler),
            blocks=_blocks(unet.config),
            upscaling=upscaling,
            labels=labels,
        )

    def _vae(self, entry: Entry, parts: Parts) -> Vae | None:
        component = parts.components.get("vae")
        if component is None:
            return None
        blocks = component.config.get("block_out_channels")
        if not isinstance(blocks, list) or not blocks:
            raise _malformed(component, "block_out_channels")
        return Vae(
            ref=self._ref(entry, component),
            family=parts.latents,
            latent_channels=_natural(component, "latent_channels"),
            downscale=2 ** (len(blocks) - 1),
        )

    def _controlnet(self, entry: Entry, parts: Parts) -> ControlNet | None:
        component = parts.components.get("controlnet")
        if component is None:
            return None
        _refuse_controlnet(component)
        hint = component.config.get("conditioning_embedding_out_channels", [16, 32, 96, 256])
        if not isinstance(hint, list) or not hint:
            raise _malformed(component, "conditioning_embedding_out_channels")
        blocks = _blocks(component.config)
        if blocks is None:
            raise _malformed(component, "block_out_channels")
        family = family_of_unet(component.config) or parts.family
        return ControlNet(
            ref=self._ref(entry, component),
            family=family.id if family else "",
            in_channels=_natural(component, "in_channels"),
            downscale=2 ** (len(hint) - 1),
            blocks=blocks,
        )

    def _lora(self, entry: Entry, parts: Parts) -> Lora | None:
        component = parts.components.get("lora")
        if component is None:
            return None
        touched = sorted({layer.component for layer in layers(component.weights[0])})
        return Lora(self._ref(entry, component), parts.family_id, tuple(touched))

    def _inversion(self, entry: Entry, parts: Parts) -> Inversion | None:
        component = parts.components.get("embedding")
        if component is None:
            return None
        tensors = read_header(component.weights[0]).tensors.values()
        widths = tuple(tensor.shape[-1] for tensor in tensors if tensor.shape)
        return Inversion(self._ref(entry, component), parts.family_id, widths)

    def _classifier(self, entry: Entry, parts: Parts) -> Classifier | None:
        component = parts.components.get("classifier")
        if component is None:
            return None
        config, latents = component.config, component.config.get("latents", "")
        classes = config.get("classes")
        names = [str(name) for name in classes] if isinstance(classes, list) else []
        if len(names) < 2:
            raise _malformed(component, "classes")
        if parts.scheduler is None:
            raise ModelError(
                "has no scheduler/scheduler_config.json, which tells how its noise is made",
                where=str(entry.path),
                remedy="get the classifier again",
            )
        return Classifier(
            ref=self._ref(entry, component),
            latents=latents if isinstance(latents, str) else "",
            in_channels=_natural(component, "in_channels"),
            downscale=_natural(component, "downscale"),
            classes=tuple(names),
            scheduler=_told(parts.scheduler),
        )

    def _ref(self, entry: Entry, component: Component) -> ModelRef:
        return ModelRef(entry.name, component.name, self.digest(component))

    def component(self, ref: ModelRef) -> Component:
        """Return the files of a reference.

        Raises ModelError if the model is gone, or is no longer what it was when the reference was made.
        """
        entry = self.find(ref.name)
        component = parts_of(entry.path, self.folders).components.get(ref.component)
        if component is None:
            raise ModelError(f"has no {ref.component}", where=str(entry.path))
        if self.digest(component) != ref.digest:
            raise ModelError(
                f'{ref.component} of "{ref.name}" is another version than the workflow was made with',
                where=str(entry.path),
                remedy="put the former file back, or run the workflow anew",
            )
        return component

    def digest(self, component: Component) -> str:
        """sha256 over everything that decides what a component computes: weights, config, tokenizer.

        Independent of where the files lie, of the program that wrote the config, and of which fields it left out
        of no consequence (versions, dtype).
        """
        config = {key: value for key, value in component.config.items() if key not in _IDLE_FIELDS}
        lines = ["config " + json.dumps(config, sort_keys=True), f"pad {component.pad}"]
        lines += [f"layout {component.layout}", f"class {component.class_name}"]
        lines.append(f"zero {component.has_zero_empty}")
        for number, path in enumerate(component.weights):
            lines.append(f"weights {number} {self._file_digest(path)}")
        lines += [
            f"tokenizer {path.name} {self._file_digest(path)}" for path in component.tokenizer
        ]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    def _file_digest(self, path: Path, facts: Facts | None = None) -> str:
        try:
            return file_digest(path, facts or self.facts)
        except (OSError, FileError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.what
            raise ModelError(f"cannot be read: {reason}", where=str(path)) from error

    # --- changing and checking

    def add(self, path: Path, *, name: str = "", is_link: bool = False) -> Entry:
        """Copy a model into the first library folder, or link it there, under its own name or ``name``.

        Of a folder only configs, tokenizers and safetensors are copied: no pickles, no code. Companions of a file
        (``.json``, ``.yaml`` of its name) come along. A copy appears under its name only when it is whole.

        Raises ModelError if the path holds no model that we know, if the name is taken, or if it cannot be written.
        """
        if not self.folders:
            raise ModelError("there is no library folder", remedy="name one in $STUDIO_MODELS")
        source = path.resolve()
        inspection = inspect(source)
        if source.is_dir() and inspection.kind is Kind.PIPELINE:
            parts_of(source, self.folders)
        stem = name or (source.name if source.is_dir() else source.stem)
        _check_name(stem)
        if Path(stem).is_absolute() or stem in bundled():
            raise ModelError(f'"{stem}" cannot be the name of a new model', remedy="choose another")
        folder = self.folders[0]
        target = folder / stem if source.is_dir() else folder / f"{stem}{ENDING}"
        if os.path.lexists(target) or is_model_folder(folder / stem):
            raise ModelError(
                f'there is a model "{stem}" already',
                where=str(target),
                remedy="choose another name",
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_link:
                target.symlink_to(source, target_is_directory=source.is_dir())
            else:
                _copy(source, target)
        except OSError as error:
            raise ModelError(f"cannot be written: {error.strerror}", where=str(target)) from error
        return Entry(stem, target)

    def place(self, name: str) -> Path:
        """Where a new model of some name would lie, in the first library folder.

        Raises ModelError for a name that no new model can have, and where there is no library folder.
        """
        _check_name(name)
        if Path(name).is_absolute() or name in bundled() or name.startswith((".", TOKENIZERS)):
            raise ModelError(f'"{name}" cannot be the name of a new model', remedy="choose another")
        if not self.folders:
            raise ModelError("there is no library folder", remedy="name one in $STUDIO_MODELS")
        return self.folders[0] / name

    def refuse_new(self, name: str, key: Key, *, is_replacing: bool) -> None:
        """Raise ModelError if no model can be saved under a name: it is none, or that of another model.

        A model of that name from the training of the same ``key`` is no obstacle.
        """
        folder = self.place(name)
        for place in (folder, folder.with_name(f"{folder.name}{ENDING}")):
            if is_replacing or not os.path.lexists(place) or saved_key(place) == key:
                continue
            raise ModelError(
                f'there is a model "{name}" already, and not of this training ({place})',
                remedy="choose another name, or set replace to overwrite it",
            )

    def check(self) -> Iterator[Finding]:
        """Yield what is wrong with the library, model by model: reads and digests every file anew."""
        for folder in self.folders:
            for path in _pickles_under(folder, _DEEPEST):
                name = path.relative_to(folder).as_posix()
                yield Finding(name, "is a pickle, which can run code; convert it to safetensors")
        for entry in self.entries():
            try:
                for problem in inspect(entry.path).problems:
                    yield Finding(entry.name, problem)
                parts = parts_of(entry.path, self.folders)
                for component in parts.components.values():
                    for path in (*component.weights, *component.tokenizer):
                        if self._file_digest(path) != self._file_digest(path, Facts(None)):
                            yield Finding(
                                entry.name, f"{path} has changed without a new time stamp"
                            )
            except ModelError as error:
                yield Finding(entry.name, str(error))


def saved_key(place: Path) -> str | None:
    """The key of the training that a saved model (a folder, or a file with its card in the metadata) came from."""
    try:
        if place.suffix == ENDING:
            text = read_header(place).metadata.get(CARD, "")
        else:
            text = (place / CARD).read_text(encoding="utf-8")
        card = json.loads(text)
    except (OSError, ValueError, ModelError):
        return None
    key = card.get("key") if isinstance(card, dict) else None
    return key if isinstance(key, str) else None


def _told(scheduler: Config) -> dict[str, Json]:
    """A scheduler's config without what says nothing about results."""
    return {key: value for key, value in scheduler.items() if key not in _IDLE_FIELDS}


def _natural(component: Component, field: str) -> int:
    value = component.config.get(field)
    if type(value) is not int or value < 1:
        raise _malformed(component, field)
    return value


def _upscaling(unet: Component, told: Json) -> Upscaling:
    """What the config of an upscaler says about it."""
    if not isinstance(told, dict):
        raise _malformed(unet, UPSCALING)
    return Upscaling(_whole(told, "scale", unet), _natural(unet, "num_class_embeds"))


def _whole(told: Mapping[str, Json], field: str, unet: Component) -> int:
    value = told.get(field)
    if type(value) is not int or value < 1:
        raise _malformed(unet, f"{UPSCALING}.{field}")
    return value


def _labels(unet: Component) -> Labels | None:
    """The classes of a class-conditional network; those of one that was not trained here have numbers for names."""
    count = unet.config.get("num_class_embeds")
    if count is None or unet.config.get("class_embed_type") is not None:
        return None
    total = _natural(unet, "num_class_embeds")
    names = unet.config.get(CLASSES)
    if names is None:
        return Labels(tuple(map(str, range(total))))
    if not isinstance(names, list) or len(names) != total - 1:
        raise _malformed(unet, CLASSES)
    return Labels(tuple(map(str, names)), total - 1)


def _refuse_unet(unet: Component, latent_channels: int, upscaling: Upscaling | None) -> None:
    """Raise ModelError if a U-Net reads more than latents, text, a class, a mask, XL's sizes, a picture to enlarge."""
    channels = unet.config["in_channels"]
    config = unet.config
    if config.get("class_embed_type") is None:
        config = {name: value for name, value in config.items() if name != "num_class_embeds"}
    what = _condition(config)
    known = (2 * latent_channels,) if upscaling else (latent_channels, 2 * latent_channels + 1)
    if channels not in known:
        what = f"reads {channels} channels for {latent_channels} of latents"
    if what:
        raise ModelError(f"its U-Net {what}, which is not supported", where=str(unet.weights[0]))


def _refuse_controlnet(controlnet: Component) -> None:
    """Raise ModelError if a ControlNet reads more than latents, text, a picture and XL's sizes."""
    config = controlnet.config
    what = _condition(config)
    if config.get("conditioning_channels", 3) != 3:
        what = f"reads pictures of {config['conditioning_channels']} channels"
    elif config.get("global_pool_conditions"):
        what = "follows a picture as a whole (global_pool_conditions)"
    if what:
        where = str(controlnet.weights[0])
        raise ModelError(f"the ControlNet {what}, which is not supported", where=where)


def _condition(config: Config) -> str:
    """What a network reads beside latents, text and XL's sizes; "" if that is all."""
    if config.get("addition_embed_type") not in (None, "text_time"):
        return f"reads a condition of kind {config['addition_embed_type']}"
    for field in ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type"):
        if config.get(field) is not None:
            return f"reads a condition ({field})"
    return ""


def _blocks(config: Config) -> Blocks | None:
    """What a U-Net and its ControlNets have in common; what a config leaves out is as diffusers takes it.

    None where the config is none that ControlNets are made for.
    """
    channels = _naturals(config.get("block_out_channels", [320, 640, 1280, 1280]))
    layers = _naturals(config.get("layers_per_block", 2))
    widths = _naturals(config.get("cross_attention_dim", 1280))
    if config.get("_class_name") == "UNet2DModel" or not (channels and layers and widths):
        return None
    residuals = [channels[0]]
    for width, count in zip(channels, layers * len(channels), strict=False):
        residuals += [width] * (count + 1)  # of its layers, and of the way down to the next
    residuals[-1] = channels[-1]  # no way leads down from the last: the middle instead
    return Blocks(tuple(residuals), widths[0], str(config.get("addition_embed_type") or ""))


def _naturals(value: Json) -> list[int]:
    """Positive numbers, of which a config may give one for all; none where it holds anything else."""
    values = value if isinstance(value, list) else [value]
    numbers = [number for number in values if type(number) is int and number > 0]
    return numbers if len(numbers) == len(values) else []


def _malformed(component: Component, field: str) -> ModelError:
    return ModelError(
        f"the config of its {component.name} has no sound {field}",
        where=str(component.weights[0].parent),
        remedy="get the model again",
    )


def _sample_size(unet: Component, family: Family | None, scheduler: Config, downscale: int) -> int:
    told = family.sample_sizes.get(str(scheduler.get("prediction_type"))) if family else None
    size = unet.config.get("sample_size")
    if isinstance(size, list):
        size = max((side for side in size if isinstance(side, int)), default=None)
    if unet.layout == "original" and told:
        return told
    if type(size) is int and size > 0:
        return size * downscale
    return told or 512


# --- names and folders

_BAD_NAME = re.compile(r"[\x00-\x1f\x7f]")


def _check_name(name: str) -> None:
    """Raise ModelError for a name that would lead out of a library folder, to a network, or nowhere."""
    what = ""
    if not name.strip() or len(name) > 1000 or _BAD_NAME.search(name):
        what = "is not a name"
    elif name.startswith(("//", "\\\\")):
        # opening such a path on Windows would sign in to a stranger's server
        what = "is a path of the network"
    elif ".." in PureWindowsPath(name).parts:  # which splits at both kinds of slash
        what = "leads out of the library"
    elif PureWindowsPath(name).drive and not Path(name).is_absolute():
        what = "is not a path of this system"
    if what:
        raise ModelError(f"{name[:80]!r} {what}", remedy="name a model as `studio models` lists it")


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        # a library folder that is not there (yet) holds nothing
        return []


def _models_under(folder: Path, depth: int) -> Iterator[Path]:
    """Folders in diffusers' layout and safetensors files, not those within a model's folder."""
    for path in _children(folder):
        if path.is_dir():
            if is_model_folder(path):
                yield path
            elif depth > 1 and path.name not in (TOKENIZERS, "tokenizer"):
                yield from _models_under(path, depth - 1)
        elif path.suffix == ENDING:
            yield path


def _pickles_under(folder: Path, depth: int) -> Iterator[Path]:
    for path in _children(folder):
        if path.is_dir():
            if depth > 1 and not is_model_folder(path):
                yield from _pickles_under(path, depth - 1)
        elif path.suffix.lower() in PICKLES:
            yield path


def _copy(source: Path, target: Path) -> None:
    """Copy a model so that it appears under its name only when it is whole."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        if source.is_dir():
            shutil.copytree(source, partial, ignore=_foreign)
        else:
            shutil.copyfile(source, partial)
            for ending in (".json", ".yaml"):
                companion = source.with_suffix(ending)
                if companion.is_file() and not target.with_suffix(ending).exists():
                    shutil.copyfile(companion, target.with_suffix(ending))
        os.rename(partial, target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def _foreign(folder: str, names: list[str]) -> set[str]:
    """Everything that a model's folder may hold beside what loading reads."""
    wanted = {ENDING, ".json", ".txt", ".md", ""}
    return {
        name
        for name in names
        if not (Path(folder) / name).is_dir() and Path(name).suffix.lower() not in wanted
    }
