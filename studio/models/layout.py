"""Folders in diffusers' layout: which files make up a component, and that none of them may bring code."""

from __future__ import annotations

import re
from pathlib import Path

from studio.errors import ModelError
from studio.models.families import Config
from studio.models.headers import CONVERT, PICKLES, read_json

INDEX = "model_index.json"
CONFIG = "config.json"
CARD = "card.json"
"""In the folder of a model that a workflow trained, or in its file's metadata: how it came about."""
PARTS = (
    "unet",
    "vae",
    "vqvae",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "transformer",
    "classifier",
)
"""The components of a whole model that we know, by their folders."""
OWN = "studio"
"""What an index names as the library of a class that is neither of diffusers nor of transformers but ours."""
_LIBRARIES = ("diffusers", "transformers", OWN)


def is_model_folder(path: Path) -> bool:
    """Whether a folder holds a model in diffusers' layout, or one component of it."""
    return (path / INDEX).is_file() or (path / CONFIG).is_file()


def class_of(config: Config) -> str:
    """Name of the class that a component's config is for; "" if it does not say."""
    name = config.get("_class_name")
    if isinstance(name, str):
        return name
    architectures = config.get("architectures")
    if isinstance(architectures, list) and len(architectures) == 1:
        return str(architectures[0])
    return ""


def refuse_code(config: Config, path: Path) -> None:
    """Raise ModelError if a config asks for code that came with the model."""
    for name in ("auto_map", "custom_pipeline", "trust_remote_code"):
        if config.get(name):
            raise ModelError(
                f"asks for code of its own ({name}), which is never run",
                where=str(path),
                remedy="get the model in diffusers' standard layout",
            )


def index_parts(folder: Path) -> dict[str, str]:
    """The parts that a ``model_index.json`` names, with their class; raises ModelError if it asks for foreign code."""
    path = folder / INDEX
    index = read_json(path)
    refuse_code(index, path)
    if not isinstance(index.get("_class_name"), str):
        raise ModelError(
            "asks for a pipeline of its own, which is code and is never run",
            where=str(path),
            remedy="get the model in diffusers' standard layout",
        )
    parts: dict[str, str] = {}
    for name, entry in index.items():
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)):
            continue
        if name in PARTS and entry[0] not in _LIBRARIES:
            raise ModelError(
                f"asks for code of its own for {name} ({entry[0]}), which is never run",
                where=str(path),
                remedy="get the model in diffusers' standard layout",
            )
        parts[name] = entry[1]
    return parts


def weights_of(folder: Path) -> tuple[Path, ...]:
    """The weight files of a component's folder: one file, a variant such as fp16, or shards.

    Raises ModelError if there are none, if there is only a pickle, or if an index names files elsewhere.
    """
    for stem in ("diffusion_pytorch_model", "model"):
        for variant in ("", ".fp16", ".bf16"):
            file = folder / f"{stem}{variant}.safetensors"
            if file.is_file():
                return (file,)
            index = folder / f"{stem}.safetensors.index{variant}.json"
            if index.is_file():
                return _shards(index)
    pickled = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in PICKLES)
    if pickled:
        raise ModelError(
            f"holds only a pickle ({pickled[0]}), which can run code",
            where=str(folder),
            remedy=CONVERT,
        )
    raise ModelError("holds no weights", where=str(folder), remedy="get the model again")


def _shards(index: Path) -> tuple[Path, ...]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise ModelError("lists no files", where=str(index), remedy="get the model again")
    shards: set[Path] = set()
    for name in names.values():
        is_plain = isinstance(name, str) and re.fullmatch(r"[\w.-]+\.safetensors", name)
        if not is_plain:
            raise ModelError("names a file outside its folder", where=str(index))
        shard = index.parent / str(name)
        if not shard.is_file():
            raise ModelError(f"{name} is missing", where=str(index.parent), remedy="get it again")
        shards.add(shard)
    return tuple(sorted(shards))


def part_folder(folder: Path, component: str) -> Path:
    """Where a component lies: in the folder of its name, or in the folder itself if that is one component."""
    return folder / component if (folder / INDEX).is_file() else folder
