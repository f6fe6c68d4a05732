"""Reads what a command names: a workflow with its overrides, a picture with its manifest, and where their files lie."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio import pictures
from studio.errors import ArgumentError, FileError
from studio.graph import Json, Node, Types
from studio.manifest import FORMAT, VERSION
from studio.registry import File, Registry
from studio.session import Job, prepare
from studio.workflow import (
    MAX_PICTURE_BYTES,
    Workflow,
    complete,
    load,
    loads,
    migrate,
    parse,
    set_param,
)


def read_workflow(options: argparse.Namespace, registry: Registry) -> Workflow:
    """The workflow of ``options.file``, in today's form, with ``--set`` applied."""
    workflow = current(load(options.file), registry.types)
    for edit in options.edits:
        name, equals, value = edit.partition("=")
        if not equals:
            raise ArgumentError(f'"{edit}" is not of the form NODE.PARAM=VALUE', where="--set")
        workflow = set_param(workflow, name, value, registry.types)
    return workflow


def read_job(options: argparse.Namespace, registry: Registry) -> Job:
    """The workflow made ready for its targets."""
    return prepare(read_workflow(options, registry), registry, options.targets)


def current(workflow: Workflow, types: Types) -> Workflow:
    """The workflow in today's form: migrated, every parameter written."""
    return complete(migrate(workflow, types), types)


def every_node(workflow: Workflow) -> Iterator[Node]:
    """The nodes of a file, those inside groups too."""
    yield from workflow.graph
    for group in workflow.groups.values():
        yield from group.graph


# --- pictures


@dataclass(frozen=True)
class Saved:
    """A picture that studio wrote: its bytes, its workflow, its manifest."""

    path: Path
    data: bytes
    workflow: Workflow
    manifest: dict[str, Json]


def is_picture(path: Path) -> bool:
    """Whether a file is a PNG, by its content; False for what cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(pictures.SIGNATURE)) == pictures.SIGNATURE
    except (OSError, ValueError):
        return False


def read_bytes(path: Path) -> bytes:
    """The content of a file; raises FileError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PICTURE_BYTES + 1)
    except FileNotFoundError as error:
        raise FileError("there is no such file", where=str(path)) from error
    except IsADirectoryError as error:
        raise FileError("is a folder", where=str(path), remedy="name a file in it") from error
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be read ({error})", where=str(path)) from error
    if len(data) > MAX_PICTURE_BYTES:
        raise FileError(f"is larger than {MAX_PICTURE_BYTES >> 20} MiB", where=str(path))
    return data


def read_saved(path: Path) -> Saved:
    """Read a picture with all that it says of its making; raises FileError."""
    data = read_bytes(path)
    text = read_text(path, data)
    for name, what in ((pictures.WORKFLOW, "workflow"), (pictures.MANIFEST, "manifest")):
        if name not in text:
            raise FileError(
                f"carries no {what}",
                where=str(path),
                remedy="give a .png that studio run wrote; other programs drop what it carries",
            )
    workflow = loads(text[pictures.WORKFLOW], name=f"{path} ({pictures.WORKFLOW})")
    return Saved(path, data, workflow, read_manifest(path, text[pictures.MANIFEST]))


def read_text(path: Path, data: bytes) -> dict[str, str]:
    """The text chunks of a PNG; raises FileError naming the file."""
    try:
        return pictures.read_text(data)
    except FileError as error:
        raise FileError(error.what, where=str(path), remedy=error.remedy) from error


def read_manifest(path: Path, text: str) -> dict[str, Json]:
    """Read a manifest; raises FileError for what is none, or is of a version to come."""
    where = f"{path} ({pictures.MANIFEST})"
    try:
        found = parse(text)
    except FileError as error:
        raise FileError(error.what, where=where, remedy=error.remedy) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise FileError("is no manifest", where=where)
    version = found.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise FileError(
            f"is version {version}; this program reads up to {VERSION}",
            where=where,
            remedy="update the program",
        )
    return found


# --- the files of a workflow


def base_folder(file: Path, workflow: Workflow, types: Types) -> Path:
    """The folder that relative files in a workflow are relative to: that of its file.

    A picture lies in an output folder as a rule, and moves: the folder that its manifest names is looked at first,
    then its own, the one above it and the current one.
    """
    here = file.resolve().parent
    if not is_picture(file):
        return here
    names = [name for name in _files(workflow, types) if not Path(name).is_absolute()]
    for folder in (*_recorded_base(file), here, here.parent, Path.cwd()):
        if all((folder / name).is_file() for name in names):
            return folder
    return here


def _recorded_base(picture: Path) -> Iterator[Path]:
    """The folder that a picture's manifest says its workflow lay in, relative to the picture's own."""
    try:
        text = pictures.read_text(read_bytes(picture)).get(pictures.MANIFEST)
        base = read_manifest(picture, text).get("base") if text else None
    except FileError:
        return
    if isinstance(base, str) and "\0" not in base:
        yield (picture.resolve().parent / base).resolve()


def _files(workflow: Workflow, types: Types) -> Iterator[str]:
    for node in every_node(workflow):
        declared = types.get(node.type)
        for param in declared.params if declared else ():
            if param.name in node.inputs:
                continue  # its own value is not the one that counts
            value = node.params.get(param.name)
            is_file = isinstance(param.hint, File) and isinstance(value, str) and value
            # a name that no file can have is for the plan to report
            if is_file and "\0" not in str(value):
                yield str(value)
