"""A model taken apart: which files, config and tokenizer each of its components is loaded from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from studio.errors import ModelError
from studio.graph import Json
from studio.models.families import Config, Family, families, family_of_unet, family_of_vae
from studio.models.headers import read_json
from studio.models.inspection import (
    CLASSIFIERS,
    CONTROLNETS,
    TEXT_ENCODERS,
    UNETS,
    VAES,
    Inspection,
    Kind,
    Layout,
    inspect,
    sidecar,
    unknown_prediction,
    unsupported,
)
from studio.models.layout import (
    CONFIG,
    INDEX,
    class_of,
    index_parts,
    is_model_folder,
    part_folder,
    refuse_code,
    weights_of,
)
from studio.resources import resource

BUNDLED = "starter"
"""Name of the model that ships with the program."""
COMPANIONS = "companions"
"""Folder of the resources with what was trained for it; ``scribble`` there is the model ``starter-scribble``."""
ENDING = ".safetensors"
"""Of the files that models are."""
TOKENIZERS = "tokenizers"
"""Folder of a library folder that holds tokenizers for single files, such as ``tokenizers/clip``."""

_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def bundled() -> dict[str, Path]:
    """The models that ship with the program, by name: the starter first, then its companions, which may be none."""
    folder = resource(COMPANIONS)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    companions = {
        f"{BUNDLED}-{path.stem}": path
        for path in found
        if path.suffix == ENDING or is_model_folder(path)
    }
    return {BUNDLED: resource(BUNDLED), **companions}


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
class Parts:
    """A model taken apart: what can be loaded, and why the rest cannot."""

    components: Mapping[str, Component]
    scheduler: Config | None
    family: Family | None
    latents: str
    """Whose latents its VAE makes; "" where nothing is known."""
    missing: Mapping[str, str]

    @property
    def family_id(self) -> str:
        """How its family is called; the latents where it is of none."""
        return self.family.id if self.family else self.latents


def parts_of(path: Path, folders: Sequence[Path]) -> Parts:
    """Take a model apart; ``folders`` of the library may hold tokenizers that single files lack.

    Raises ModelError if it is damaged, or of a kind or family that cannot be run.
    """
    return _folder_parts(path) if path.is_dir() else _file_parts(path, folders)


def _folder_parts(folder: Path) -> Parts:
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
    if folder in bundled().values():
        latents = BUNDLED
    return Parts(components, scheduler, family_found, latents, _absent(components, folder))


def _file_parts(path: Path, folders: Sequence[Path]) -> Parts:
    inspection = inspect(path)
    if inspection.kind in _ADDITIONS:
        return _addition(inspection)
    _refuse_kind(inspection)
    said = sidecar(path)
    family = _file_family(inspection, said)
    overlays = _objects(said.get("components"))
    tokenizer = _tokenizer(path, folders)
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
            + (f" or {folders[0] / TOKENIZERS / 'clip'}" if folders else "")
        )
    scheduler = {
        **family.components["scheduler"],
        **inspection.traits,
        "prediction_type": inspection.prediction,
        **_objects(said.get("scheduler")),
    }
    return Parts(components, scheduler, family, family.latents, missing)


def _file_family(inspection: Inspection, said: Mapping[str, Json]) -> Family:
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


def _tokenizer(path: Path, folders: Sequence[Path]) -> tuple[Path, ...]:
    places = [path.parent / "tokenizer", *(f / TOKENIZERS / "clip" for f in folders)]
    return next(filter(None, map(_tokenizer_files, places)), ())


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
    "classifier": CLASSIFIERS,
}
_ABSENT = {"model": "unet", "text_encoder": "text_encoder", "vae": "vae"}


def _absent(components: Mapping[str, Component], path: Path) -> dict[str, str]:
    missing = {}
    for field, name in _ABSENT.items():
        if not any(known == name or known.startswith(f"{name}_") for known in components):
            missing[field] = f"{path} has no {name}; load one from another model"
    return missing


_ADDITIONS = {Kind.LORA: "load_lora", Kind.EMBEDDING: "load_embedding"}
"""What is added to a model, and the node that does it."""


def _addition(inspection: Inspection) -> Parts:
    path, name = inspection.path, inspection.components[0]
    component = Component(name, "", {}, (path,), inspection.layout)
    loader = _ADDITIONS[inspection.kind]
    what = f"{path} is {inspection.kind.value}; load a model, and then this with {loader}"
    missing = dict.fromkeys(_ABSENT, what)
    return Parts({name: component}, None, families().get(inspection.family), "", missing)


def _refuse_kind(inspection: Inspection) -> None:
    """Raise ModelError if a file is no model, U-Net, VAE or text encoder that can be run."""
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


def _objects(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}
