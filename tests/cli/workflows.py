"""Small workflows and pictures for the tests of the command line."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path

from PIL import Image

from studio import pictures
from studio.graph import Json

Document = dict[str, Json]


def node(kind: str, params: Document | None = None, **inputs: str) -> Document:
    """One node of a file."""
    return {"type": kind, "version": 1, "params": params or {}, "inputs": dict(inputs)}


def workflow(**nodes: Document) -> Document:
    """A file with these nodes."""
    return {"format": "studio.workflow", "version": 1, "nodes": dict(nodes)}


SCENE = workflow(
    model=node("load_model", {"model": "starter"}),
    prompt=node("text_encoder", {"prompt": "a red house"}, text_encoder="model.text_encoder"),
    noise=node("noise_source", {"seed": 7, "width": 128, "height": 128}),
    scheduler=node("scheduler", {"steps": 3}, model="model.model"),
    denoise=node(
        "denoise",
        {"guidance": 5.0},
        model="model.model",
        noise="noise.latents",
        positive="prompt.conditioning",
        schedule="scheduler.schedule",
    ),
    decode=node("vae_decode", vae="model.vae", latents="denoise.latents"),
    save=node("save_image", {"name": "scene"}, image="decode.image"),
)
"""The starter model paints 128 px in three steps."""

COPY = workflow(
    load=node("load_image", {"file": "in.png"}), save=node("save_image", image="load.image")
)
"""A picture from a file, saved again: no model, no time."""


def with_params(document: Document, name: str, **params: Json) -> Document:
    """A file with some parameters of one node replaced."""
    changed = copy.deepcopy(document)
    _object(_object(_object(changed["nodes"])[name])["params"]).update(params)
    return changed


def write(path: Path, document: Document) -> Path:
    """Write a file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def paint(
    path: Path, colour: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (4, 4)
) -> Path:
    """Write a picture of one colour; returns its path."""
    Image.new("RGB", size, colour).save(path, "PNG")
    return path


def manifest_of(picture: Path) -> Document:
    """The manifest that a picture carries."""
    return _object(json.loads(pictures.read_text(picture.read_bytes())[pictures.MANIFEST]))


def with_manifest(picture: Path, manifest: Json, target: Path) -> Path:
    """The picture with another manifest, as another file."""
    text = {pictures.MANIFEST: json.dumps(manifest)}
    target.write_bytes(pictures.with_text(picture.read_bytes(), text))
    return target


def edited(picture: Path, target: Path) -> Path:
    """The picture with one pixel changed and all its text kept, as another file."""
    data = picture.read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        changed = opened.convert("RGB")
    red, green, blue = changed.getpixel((0, 0))  # type: ignore[misc]  # three bands were asked for
    changed.putpixel((0, 0), (red ^ 8, green, blue))
    file = io.BytesIO()
    changed.save(file, "PNG")
    target.write_bytes(pictures.with_text(file.getvalue(), pictures.read_text(data)))
    return target


def _object(value: Json) -> Document:
    assert isinstance(value, dict)
    return value
