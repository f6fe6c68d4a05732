"""What files that are dropped or pasted become: pictures and models become nodes, workflows are opened."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QSaveFile
from PySide6.QtGui import QImage, QImageWriter

from studio import pictures
from studio.errors import FileError, ModelError
from studio.graph import Node, NodeId, Param, Types
from studio.gui import edits
from studio.registry import File
from studio.workflow import MAX_PICTURE_BYTES, Workflow

What = Literal["workflow", "picture", "picture with workflow", "model", "other"]

PICTURES = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".avif",
        ".gif",
        ".tif",
        ".tiff",
        ".bmp",
        ".jp2",
        ".ppm",
        ".pgm",
        ".pbm",
        ".qoi",
    ]
)
MODELS = frozenset({".safetensors", ".ckpt", ".pt", ".pth", ".bin"})
"""Pickles as well: what refuses them says why, and what to do."""

LOADERS = {
    "PIPELINE": "load_model",
    "UNET": "load_unet",
    "TRANSFORMER": "load_unet",
    "VAE": "load_vae",
    "TEXT_ENCODER": "load_text_encoder",
    "CONTROLNET": "load_controlnet",
    "LORA": "load_lora",
    "EMBEDDING": "load_embedding",
    "CLASSIFIER": "load_classifier",
}
"""The type of node that loads a model of a kind (``studio.models.inspection.Kind``)."""


def what_is(path: Path) -> What:
    """Tell what a file is for us; looks inside a PNG for a workflow."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return "workflow"
    if suffix in MODELS or path.is_dir():
        return "model"
    if suffix == ".png" and workflow_text(path) is not None:
        return "picture with workflow"
    return "picture" if suffix in PICTURES else "other"


def workflow_text(path: Path) -> str | None:
    """The workflow that a picture carries, as text; None if it carries none or cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PICTURE_BYTES)
        return pictures.read_text(data).get(pictures.WORKFLOW)
    except (OSError, FileError):
        return None


def relative(path: Path, base: Path | None) -> str:
    """A path as a parameter holds it: relative where the file lies under ``base``, so that a folder can move."""
    path = path.absolute()
    if base is not None:
        try:
            return path.relative_to(base.absolute()).as_posix()
        except ValueError:
            pass
    return str(path)


def add_picture(
    workflow: Workflow, types: Types, path: Path, at: tuple[float, float], base: Path | None
) -> tuple[Workflow, NodeId]:
    """Add a node that loads a picture; raises StudioError if no such node type is there."""
    return edits.add_node(workflow, types, "load_image", at, {"file": relative(path, base)})


def keep_picture(image: QImage, folder: Path) -> Path:
    """Write a picture that has no file as PNG into a folder, named by its content: the same one twice is one file.

    Raises FileError where it cannot be written.
    """
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    data = buffer.data().data()
    path = folder / f"pasted-{hashlib.sha256(data).hexdigest()[:16]}.png"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritten(path, str(error)) from error
    file = QSaveFile(os.fspath(path))
    if not file.open(QSaveFile.OpenModeFlag.WriteOnly) or file.write(data) < 0 or not file.commit():
        raise _unwritten(path, file.errorString())
    return path


def _unwritten(path: Path, reason: str) -> FileError:
    return FileError(
        _tr("the pasted picture cannot be written ({})").format(reason),
        where=str(path),
        remedy=_tr("save the workflow in a folder that can be written to"),
    )


def add_model(
    workflow: Workflow,
    types: Types,
    path: Path,
    at: tuple[float, float],
    folders: tuple[Path, ...],
) -> tuple[Workflow, NodeId]:
    """Add the node that loads a model of that kind, found by looking at the file's header.

    ``folders``: the library; a model in it goes by its name, another by its path. Raises StudioError for what is no
    model, is refused, or has no node.
    """
    from studio.models.inspection import inspect

    found = inspect(path)
    loader = LOADERS[found.kind.name]
    if loader not in types:
        raise ModelError(
            _tr("is {}, and there is no node that loads one").format(found.kind.value),
            where=str(path),
            remedy=_tr("install a pack of nodes that does"),
        )
    param = next((one.name for one in types[loader].params if one.kind.value == "text"), "model")
    return edits.add_node(workflow, types, loader, at, {param: _name(path, folders)})


def _name(path: Path, folders: tuple[Path, ...]) -> str:
    stem = path.absolute().with_suffix("") if path.suffix == ".safetensors" else path.absolute()
    for folder in folders:
        try:
            return stem.relative_to(folder.absolute()).as_posix()
        except ValueError:
            continue
    return os.fspath(path.absolute())


def _tr(text: str) -> str:
    return QCoreApplication.translate("Dropping", text)


def rebased(workflow: Workflow, types: Types, old: Path, new: Path) -> Workflow:
    """The workflow with relative files written so that they are found from another folder."""
    for node in workflow.graph:
        declared = types.get(node.type)
        for param in declared.params if declared else ():
            if not isinstance(param.hint, File):
                continue
            holder, name = _holder(workflow, types, node, param)
            value = workflow.graph.node(holder).params.get(name)
            if not isinstance(value, str) or not value:
                continue
            if not Path(value).is_absolute() and (old / value).exists():
                found = relative((old / value).resolve(), new)
                workflow = edits.set_param(workflow, holder, name, found)
    return workflow


def _holder(workflow: Workflow, types: Types, node: Node, param: Param) -> tuple[NodeId, str]:
    """Where a parameter's value is written: in the node, or in the one of a plain value that is linked to it."""
    link = node.inputs.get(param.name)
    source = workflow.graph.nodes.get(link.node) if link else None
    name = edits.constant_param(types.get(source.type)) if source is not None else None
    return (source.id, name) if source is not None and name else (node.id, param.name)
