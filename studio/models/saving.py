"""Trained models into the library: ordinary folders in diffusers' layout, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import ModelError
from studio.graph import Json
from studio.models.layout import CARD, OWN
from studio.models.library import Library, saved_key
from studio.models.parts import ENDING
from studio.values import CONTROLNET, EMBEDDING, LORA, ModelFolder, Trained

if TYPE_CHECKING:
    from torch import Tensor

_TRANSFORMERS = frozenset({"text_encoder", "tokenizer"})
"""Components that transformers defines, not diffusers."""
_FILES = frozenset({LORA, EMBEDDING})
"""Components that are files, not folders."""
_WHOLE = frozenset({"unet", "scheduler", "vae", "text_encoder", "tokenizer"})
"""What a pipeline that paints from text is made of."""


def save_model(made: ModelFolder, library: Library) -> Path:
    """Write a model into the first library folder, unless it is there; returns its folder.

    It appears under its name only when it is whole. Raises ModelError as ``Library.refuse_new`` does, and if the
    system refuses.
    """
    trained = made.trained
    assert isinstance(trained, Trained), "the trained weights are handed on with the folder"
    library.refuse_new(made.name, made.key, is_replacing=made.is_replacing)
    target = library.place(made.name)
    lone = trained.weights.keys() & _FILES
    if lone:
        target = target.with_name(f"{target.name}{ENDING}")
    if saved_key(target) == made.key:
        return target
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    former = target.with_name(f".{target.name}.{os.getpid()}.former")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if lone:
            _write_file(partial, made, trained, *lone)
        else:
            partial.mkdir()
            _fill(partial, made, _with_vae(made, trained, library))
        if os.path.lexists(target):
            os.rename(target, former)
        os.rename(partial, target)
    except OSError as error:
        if os.path.lexists(former) and not os.path.lexists(target):
            os.rename(former, target)
        raise ModelError(
            f"cannot be written ({error.strerror or error})",
            where=str(target),
            remedy="make room, or name another folder in $STUDIO_MODELS",
        ) from error
    finally:
        for left in (partial, former):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return target


def _with_vae(made: ModelFolder, trained: Trained, library: Library) -> Trained:
    if made.vae is None:
        return trained
    from studio.models.loading import load_module

    component = library.component(made.vae)
    weights = load_module(component, device="cpu", dtype="float32").state_dict()
    config = {"_class_name": component.class_name, **component.config}
    return replace(
        trained,
        weights={**trained.weights, "vae": weights},
        configs={**trained.configs, "vae": config},
    )


def _fill(folder: Path, made: ModelFolder, trained: Trained) -> None:
    if trained.configs.keys() == {CONTROLNET}:
        # alone it is no pipeline's part, but a folder of its own
        _write_component(folder, CONTROLNET, made, trained)
        _write_card(folder, made, trained)
        return
    names = trained.configs.keys() | trained.files.keys()
    is_whole = names >= _WHOLE
    index: dict[str, Json] = {
        "_class_name": "StableDiffusionPipeline" if is_whole else "DiffusionPipeline",
        **_written_by(),
    }
    if is_whole:
        index |= {
            "feature_extractor": [None, None],
            "image_encoder": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
        }
    for name, config in trained.configs.items():
        is_foreign = name in _TRANSFORMERS
        index[name] = [_library_of(name, is_foreign), str(config["_class_name"])]
        (folder / name).mkdir()
        _write_component(folder / name, name, made, trained)
    for name, files in trained.files.items():
        index[name] = ["transformers", "CLIPTokenizer"]
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text, encoding="utf-8")
    _write_json(folder / "model_index.json", index)
    _write_card(folder, made, trained)


def _write_component(part: Path, name: str, made: ModelFolder, trained: Trained) -> None:
    is_foreign = name in _TRANSFORMERS
    config = trained.configs[name]
    file = "scheduler_config.json" if name == "scheduler" else "config.json"
    if is_foreign:
        config = {name: value for name, value in config.items() if name != "_class_name"}
    else:
        config = {**config, **_written_by()}
    _write_json(part / file, config)
    if name in trained.weights:
        weights = dict(_stored(trained.weights[name], made.dtype))
        file = "model" if is_foreign else "diffusion_pytorch_model"
        _write_weights(part / f"{file}.safetensors", weights, {})


def _write_card(folder: Path, made: ModelFolder, trained: Trained) -> None:
    card = _card(made, trained)
    (folder / "README.md").write_text(_told(card), encoding="utf-8")
    _write_json(folder / CARD, card)


def _written_by() -> dict[str, Json]:
    # some of diffusers' pipelines load no network that does not say it
    return {"_diffusers_version": version("diffusers")}


def _library_of(component: str, is_foreign: bool) -> str:
    if component == "classifier":
        return OWN
    return "transformers" if is_foreign else "diffusers"


def _write_file(path: Path, made: ModelFolder, trained: Trained, name: str) -> None:
    card = json.dumps(_card(made, trained), ensure_ascii=False, sort_keys=True)
    _write_weights(path, dict(_stored(trained.weights[name], made.dtype)), {CARD: card})


def _write_weights(path: Path, weights: dict[str, Tensor], metadata: Mapping[str, str]) -> None:
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    save_file(weights, path, metadata={"format": "pt", **metadata})
    # safetensors lets nobody else read what it writes, whatever the umask says
    path.chmod(mode)


def _card(made: ModelFolder, trained: Trained) -> dict[str, Json]:
    head: dict[str, Json] = {"format": "studio.card", "version": 1, "name": made.name}
    return {**head, "key": made.key, "dtype": made.dtype, **trained.card}


def _stored(weights: Mapping[str, Tensor], dtype: str) -> Iterator[tuple[str, Tensor]]:
    from studio.models.loading import dtype_of

    for name, weight in weights.items():
        converted = weight.to(dtype_of(dtype)) if weight.is_floating_point() else weight
        if not bool(converted.isfinite().all()):
            raise ModelError(
                f"{name} does not fit into {dtype}", remedy="save it in float32 or bfloat16"
            )
        yield name, converted.contiguous()


def _write_json(path: Path, document: Mapping[str, object]) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
    path.write_text(f"{text}\n", encoding="utf-8")


def _told(card: Mapping[str, Json]) -> str:
    """The card for people."""
    lines = [f"# {card['name']}", "", str(card.get("summary", "")), ""]
    for part in ("data", "recipe", "measured"):
        facts = card.get(part)
        if isinstance(facts, dict) and facts:
            lines += [f"## {part.capitalize()}", "", "| | |", "|---|---|"]
            lines += [f"| {name} | {_cell(value)} |" for name, value in facts.items()]
            lines.append("")
    lines.append(f"Made by a training workflow; its result has the key `{card['key']}`.")
    return "\n".join(lines) + "\n"


def _cell(value: Json) -> str:
    text = f"{value:.5g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text.strip('"').replace("|", "\\|").replace("\n", " ")
