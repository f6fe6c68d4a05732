"""The model library: models by name, described and digested without torch, found again by content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from studio.errors import FileError, ModelError
from studio.facts import Facts, file_digest
from studio.graph import Json, nearest
from studio.models.families import Config, Family, families, family_of_unet, family_of_vae
from studio.models.inspection import (
    CONFIG,
    CONTROLNETS,
    INDEX,
    PICKLES,
    TEXT_ENCODERS,
    UNETS,
    VAES,
    Inspection,
    Kind,
    Layout,
    class_of,
    index_parts,
    inspect,
    part_folder,
    read_json,
    refuse_code,
    refuse_pickle,
    sidecar,
    unknown_prediction,
    unsupported,
    weights_of,
)
from studio.models.lora import layers
from studio.resources import resource
from studio.values import Blocks, ControlNet, Described, Lora, Model, ModelRef, TextEncoder, Vae

BUNDLED = "starter"
"""Name of the model that ships with the program."""
TOKENIZERS = "tokenizers"
"""Folder of a library folder that holds tokenizers for single files, such as ``tokenizers/clip``."""

_ENDING = ".safetensors"
_DEEPEST = 4
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
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
class Component:
    """One loadable part of a model, by its files: all that loading reads, and nothing else."""

    name: str
    """``unet``, ``vae``, ``text_encoder`` … as diffusers names it."""
    class_name: str
    """Class in diffusers or transformers; one of those that ``studio.models.inspection`` lists."""
    config: Config
    weights: tuple[Path, ...]
    layout: Layout
    tokenizer: tuple[Path, ...] = ()
    """The tokenizer's files, all in one folder; empty where the component has none."""
    pad: str = ""
    """Padding token, where the tokenizer's own files do not decide it."""
    has_zero_empty: bool = False
    """A text encoder whose model was trained with zeros in place of the empty prompt."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with a model of the library."""

    name: str
    problem: str


@dataclass(frozen=True)
class _Parts:
    """A model taken apart: what can be loaded, and why the rest cannot."""

    components: Mapping[str, Component]
    scheduler: Config | None
    family: Family | None
    latents: str
    """Whose latents its VAE makes; "" where nothing is known."""
    missing: Mapping[str, str]

    @property
    def family_id(self) -> str:
        return self.family.id if self.family else self.latents


class Library:
    """The models of several folders, and the one that ships with the program.

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
        """The names of all models, sorted, the bundled one first."""
        return tuple(entry.name for entry in self.entries())

    def entries(self) -> tuple[Entry, ...]:
        """All models, the bundled one first; where two folders have one name, the first folder's."""
        found: dict[str, Entry] = {}
        for folder in self.folders:
            for path in _models_under(folder, _DEEPEST):
                stem = path.with_suffix("") if path.suffix == _ENDING else path
                name = stem.relative_to(folder).as_posix()
                if name in found or name == BUNDLED:
                    # a folder and a file of one stem: the file goes by its whole name
                    name = path.relative_to(folder).as_posix()
                found.setdefault(name, Entry(name, path))
        bundled = Entry(BUNDLED, resource(BUNDLED), is_bundled=True)
        return (bundled, *(found[name] for name in sorted(found) if name != BUNDLED))

    def find(self, name: str) -> Entry:
        """Find a model by name.

        Raises ModelError with the nearest name, or what to get and where to put it, if there is none such; and if
        the name is none that a model can have.
        """
        _check_name(name)
        if name == BUNDLED:
            return Entry(name, resource(BUNDLED), is_bundled=True)
        path = Path(name)
        if path.is_absolute():
            return Entry(name, self._existing(path, name))
        for folder in self.folders:
            for candidate in (folder / name, folder / f"{name}{_ENDING}"):
                if _is_model_folder(candidate) or candidate.is_file():
                    refuse_pickle(candidate)
                    return Entry(name, candidate)
        raise self._not_found(name)

    def _existing(self, path: Path, name: str) -> Path:
        refuse_pickle(path)
        if not (path.is_file() or _is_model_folder(path)):
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
            remedy=f"{guess.rstrip('?')}{'?' if guess.endswith('?') else '.'} Or put {name}{_ENDING},"
            f" or its folder in diffusers' layout, into {place}",
        )

    # --- describing

    def inspect(self, name: str) -> Inspection:
        """Say what a model's file or folder holds; raises ModelError as ``find`` and ``inspection.inspect`` do."""
        return inspect(self.find(name).path)

    def describe(self, name: str) -> Described:
        """Describe a model: which denoiser, text encoder, VAE, ControlNet and LoRA it offers, by content.

        Raises ModelError if there is none such, if it is damaged, or if it is of a kind or family that cannot be run.
        Reads no weights except to digest files that have changed since the last time.
        """
        entry = self.find(name)
        parts = self._parts(entry.path)
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
        controlnet, lora = self._controlnet(entry, parts), self._lora(entry, parts)
        return Described(model, text_encoder, vae, controlnet, lora, missing)

    def _model(self, entry: Entry, parts: _Parts, scheduler: Config, vae: Vae | None) -> Model:
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
        _refuse_unet(unet, latent_channels)
        return Model(
            ref=self._ref(entry, unet),
            family=parts.family_id,
            latents=parts.latents,
            in_channels=in_channels,
            latent_channels=latent_channels,
            downscale=downscale,
            sample_size=_sample_size(unet, parts.family, scheduler, downscale),
            scheduler={key: value for key, value in scheduler.items() if key not in _IDLE_FIELDS},
            blocks=_blocks(unet.config),
        )

    def _vae(self, entry: Entry, parts: _Parts) -> Vae | None:
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

    def _controlnet(self, entry: Entry, parts: _Parts) -> ControlNet | None:
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

    def _lora(self, entry: Entry, parts: _Parts) -> Lora | None:
        component = parts.components.get("lora")
        if component is None:
            return None
        touched = sorted({layer.component for layer in layers(component.weights[0])})
        return Lora(self._ref(entry, component), parts.family_id, tuple(touched))

    def _ref(self, entry: Entry, component: Component) -> ModelRef:
        return ModelRef(entry.name, component.name, self.digest(component))

    def component(self, ref: ModelRef) -> Component:
        """Return the files of a reference.

        Raises ModelError if the model is gone, or is no longer what it was when the reference was made.
        """
        entry = self.find(ref.name)
        component = self._parts(entry.path).components.get(ref.component)
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

    # --- taking apart

    def _parts(self, path: Path) -> _Parts:
        return self._folder_parts(path) if path.is_dir() else self._file_parts(path)

    def _folder_parts(self, folder: Path) -> _Parts:
        if (folder / INDEX).is_file():
            named = index_parts(folder)
        else:
            inspection = inspect(folder)
            _refuse_kind(inspection)
            named = {inspection.components[0]: class_of(read_json(folder / CONFIG))}
        if "transformer" in named:
            family = inspect(folder).family
            what = unsupported(family) if family else f"its {named['transformer']} is not supported"
            raise ModelError(what, where=str(folder))
        if "vqvae" in named:
            raise ModelError("its VQ-VAE is not supported", where=str(folder))
        components: dict[str, Component] = {}
        for name, classes in _LOADABLE.items():
            if name in named:
                component = _folder_component(folder, name, classes)
                components[name] = replace(component, has_zero_empty=_has_zero_empty(folder, name))
        if not components:
            raise ModelError("has no component that we can load", where=str(folder))
        unet, vae = components.get("unet"), components.get("vae")
        family_found = family_of_unet(unet.config) if unet else None
        if family_found is None and vae and not unet:
            family_found = family_of_vae(vae.config)
        file = folder / "scheduler" / "scheduler_config.json"
        scheduler: Config | None = read_json(file) if file.is_file() else None
        if scheduler is None and family_found and family_found.prediction:
            scheduler = family_found.components["scheduler"]
        latents = family_found.latents if family_found else ""
        if folder == resource(BUNDLED):
            latents = BUNDLED
        return _Parts(components, scheduler, family_found, latents, _absent(components, folder))

    def _file_parts(self, path: Path) -> _Parts:
        inspection = inspect(path)
        if inspection.kind is Kind.LORA:
            return _lora_parts(inspection)
        _refuse_kind(inspection)
        said = sidecar(path)
        family = self._file_family(inspection, said)
        overlays = _objects(said.get("components"))
        tokenizer = self._tokenizer(path)
        components: dict[str, Component] = {}
        for name in inspection.components:
            known = _known_config(family, name)
            if known is None:
                continue
            config: Config = {**known, **_objects(overlays.get(name))}
            is_text = name.startswith("text_")
            components[name] = Component(
                name=name,
                class_name=class_of(config),
                config=config,
                weights=(path,),
                layout=inspection.layout,
                tokenizer=tokenizer if is_text else (),
                pad=family.pads.get(name, "") if is_text else "",
                has_zero_empty=is_text and family.has_zero_empty,
            )
        missing = _absent(components, path)
        if "text_encoder" not in missing and not tokenizer:
            missing["text_encoder"] = (
                f"{path} holds no tokenizer; put CLIP's vocab.json and merges.txt into"
                f" {path.parent / 'tokenizer'}"
                + (f" or {self.folders[0] / TOKENIZERS / 'clip'}" if self.folders else "")
            )
        scheduler = {
            **family.components["scheduler"],
            **inspection.traits,
            "prediction_type": inspection.prediction,
            **_objects(said.get("scheduler")),
        }
        return _Parts(components, scheduler, family, family.latents, missing)

    def _file_family(self, inspection: Inspection, said: Mapping[str, Json]) -> Family:
        path = str(inspection.path)
        named = said.get("family", inspection.family)
        family = families().get(named) if isinstance(named, str) else None
        is_told = "family" in said and family is not None and family.is_supported
        if inspection.problems and not is_told:
            raise ModelError(inspection.problems[0], where=path)
        if family is None or not family.is_supported:
            raise ModelError(f"is {inspection.kind.value} of no family that we know", where=path)
        if family.sample_sizes and not inspection.prediction and "unet" in inspection.components:
            raise ModelError(unknown_prediction(inspection.path), where=path)
        return family

    def _tokenizer(self, path: Path) -> tuple[Path, ...]:
        places = [path.parent / "tokenizer", *(f / TOKENIZERS / "clip" for f in self.folders)]
        return next(filter(None, map(_tokenizer_files, places)), ())

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
            self._parts(source)
        stem = name or (source.name if source.is_dir() else source.stem)
        _check_name(stem)
        if Path(stem).is_absolute() or stem == BUNDLED:
            raise ModelError(f'"{stem}" cannot be the name of a new model', remedy="choose another")
        folder = self.folders[0]
        target = folder / stem if source.is_dir() else folder / f"{stem}{_ENDING}"
        if os.path.lexists(target) or _is_model_folder(folder / stem):
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
                parts = self._parts(entry.path)
                for component in parts.components.values():
                    for path in (*component.weights, *component.tokenizer):
                        if self._file_digest(path) != self._file_digest(path, Facts(None)):
                            yield Finding(
                                entry.name, f"{path} has changed without a new time stamp"
                            )
            except ModelError as error:
                yield Finding(entry.name, str(error))


def _known_config(family: Family, name: str) -> Config | None:
    """The config of a family's component, for files that hold none."""
    if name != "controlnet":
        return family.components.get(name)
    # a copy of the U-Net's down half: what only the up half has is left out
    foreign = ("out_channels", "up_block_types", "sample_size")
    unet = family.components["unet"]
    ours = {field: value for field, value in unet.items() if field not in foreign}
    return {**ours, "_class_name": "ControlNetModel"}


_LOADABLE: Mapping[str, frozenset[str]] = {
    "unet": UNETS,
    "vae": VAES,
    "text_encoder": TEXT_ENCODERS,
    "text_encoder_2": TEXT_ENCODERS,
    "controlnet": CONTROLNETS,
}
_ABSENT = {"model": "unet", "text_encoder": "text_encoder", "vae": "vae"}


def _absent(components: Mapping[str, Component], path: Path) -> dict[str, str]:
    missing = {}
    for field, name in _ABSENT.items():
        if not any(known == name or known.startswith(f"{name}_") for known in components):
            missing[field] = f"{path} has no {name}; load one from another model"
    return missing


def _lora_parts(inspection: Inspection) -> _Parts:
    path = inspection.path
    component = Component("lora", "", {}, (path,), inspection.layout)
    what = f"{path} is a LoRA; load a model, and then this with load_lora"
    missing = dict.fromkeys(_ABSENT, what)
    return _Parts({"lora": component}, None, families().get(inspection.family), "", missing)


def _refuse_kind(inspection: Inspection) -> None:
    """Raise ModelError if a file is no model, U-Net, VAE or text encoder."""
    if inspection.kind is Kind.EMBEDDING:
        raise ModelError(
            f"is {inspection.kind.value}, not a model",
            where=str(inspection.path),
            remedy="name the model that it was made for",
        )
    if inspection.kind in (Kind.TRANSFORMER, Kind.TEXT_ENCODER) and inspection.problems:
        raise ModelError(inspection.problems[0], where=str(inspection.path))


def _folder_component(folder: Path, name: str, classes: frozenset[str]) -> Component:
    part = part_folder(folder, name)
    config = read_json(part / CONFIG)
    refuse_code(config, part / CONFIG)
    class_name = class_of(config)
    if class_name not in classes:
        raise ModelError(
            f"its {name} is a {class_name or 'class without a name'}, which is not supported",
            where=str(folder),
            remedy=f"supported: {', '.join(sorted(classes))}",
        )
    tokenizer: tuple[Path, ...] = ()
    if name.startswith("text_encoder"):
        place = folder / name.replace("text_encoder", "tokenizer")
        tokenizer = _tokenizer_files(place)
        if not tokenizer:
            raise ModelError(
                "holds no tokenizer (tokenizer.json, or vocab.json and merges.txt)",
                where=str(place),
                remedy="get the model again",
            )
    return Component(name, class_name, config, weights_of(part), "diffusers", tokenizer)


def _has_zero_empty(folder: Path, name: str) -> bool:
    # only the XL family's pipelines know the field, and take it as true where it is not told
    if name != "text_encoder_2" or not (folder / INDEX).is_file():
        return False
    return read_json(folder / INDEX).get("force_zeros_for_empty_prompt", True) is True


def _tokenizer_files(folder: Path) -> tuple[Path, ...]:
    files = tuple(path for name in _TOKENIZER_FILES if (path := folder / name).is_file())
    names = {path.name for path in files}
    is_whole = "tokenizer.json" in names or {"vocab.json", "merges.txt"} <= names
    return files if is_whole else ()


def _natural(component: Component, field: str) -> int:
    value = component.config.get(field)
    if type(value) is not int or value < 1:
        raise _malformed(component, field)
    return value


def _refuse_unet(unet: Component, latent_channels: int) -> None:
    """Raise ModelError if a U-Net reads more than latents, text, a mask and XL's sizes."""
    channels = unet.config["in_channels"]
    what = _condition(unet.config)
    if channels not in (latent_channels, 2 * latent_channels + 1):
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


def _objects(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


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


def _is_model_folder(path: Path) -> bool:
    return (path / INDEX).is_file() or (path / CONFIG).is_file()


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
            if _is_model_folder(path):
                yield path
            elif depth > 1 and path.name not in (TOKENIZERS, "tokenizer"):
                yield from _models_under(path, depth - 1)
        elif path.suffix == _ENDING:
            yield path


def _pickles_under(folder: Path, depth: int) -> Iterator[Path]:
    for path in _children(folder):
        if path.is_dir():
            if depth > 1 and not _is_model_folder(path):
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
    wanted = {_ENDING, ".json", ".txt", ".md", ""}
    return {
        name
        for name in names
        if not (Path(folder) / name).is_dir() and Path(name).suffix.lower() not in wanted
    }
