"""``studio diff``: what two workflows or pictures have not in common."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio import pictures
from studio.cli.reading import current, read_bytes, read_manifest, read_text
from studio.cli.writing import complain, line, write_json
from studio.comparison import Change, changes, environment, models
from studio.errors import FileError
from studio.graph import Json, Types
from studio.pixels import Distance, Sizes, decode, distance
from studio.registry import load
from studio.workflow import Workflow, loads

if TYPE_CHECKING:
    from studio.pixels import Pixels

_MAGIC = (pictures.SIGNATURE, b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class _Side:
    """One of the two: a workflow, a picture, or a picture that carries one."""

    path: Path
    workflow: Workflow | None
    manifest: Mapping[str, Json] | None
    picture: bytes | None


def diff(options: argparse.Namespace) -> int:
    """Print one line per difference in graph, parameters, environment and pixels."""
    types = load(is_safe=options.safe).types
    first, second = (_read(path, types) for path in (options.first, options.second))
    apart = _pixels(first, second)
    found: list[Change] = []
    if first.workflow and second.workflow:
        found += changes(first.workflow, second.workflow)
        if first.workflow.view != second.workflow.view:
            complain("the layout differs, which changes no result")
    elif first.picture and second.picture:
        for side in (first, second):
            if side.workflow is None:
                complain(f"{side.path} carries no workflow: only pixels are compared")
    else:
        raise FileError(
            "has nothing in common with the other: one is a workflow, one a picture without one",
            where=str(first.path),
            remedy="give two pictures, or pictures that studio run wrote",
        )
    changed: list[Change] = []
    if first.manifest and second.manifest:
        changed = environment(first.manifest, second.manifest)
        changed += models(first.manifest, second.manifest)
    is_apart = isinstance(apart, Sizes) or (apart is not None and apart.differing > 0)
    if options.json:
        write_json(
            {
                "graph": [str(one) for one in found],
                "environment": [str(one) for one in changed],
                "pixels": apart.to_json() if apart else None,
                "same": not (found or changed or is_apart),
            },
            indent=2,
        )
    else:
        for one in (*found, *changed, *([f"pixels: {apart}"] if is_apart else [])):
            print(line(str(one)))
        if not (found or changed or is_apart):
            complain("no difference")
    return 1 if found or changed or is_apart else 0


def _read(path: Path, types: Types) -> _Side:
    data = read_bytes(path)
    if not data.startswith(_MAGIC):
        return _Side(path, current(loads(data, name=str(path)), types), None, None)
    text = read_text(path, data) if data.startswith(pictures.SIGNATURE) else {}
    workflow, manifest = None, None
    if pictures.WORKFLOW in text:
        name = f"{path} ({pictures.WORKFLOW})"
        workflow = current(loads(text[pictures.WORKFLOW], name=name), types)
    if pictures.MANIFEST in text:
        manifest = read_manifest(path, text[pictures.MANIFEST])
    return _Side(path, workflow, manifest, data)


def _pixels(first: _Side, second: _Side) -> Distance | Sizes | None:
    if first.picture is None or second.picture is None:
        return None
    return distance(_decoded(first.path, first.picture), _decoded(second.path, second.picture))


def _decoded(path: Path, data: bytes) -> Pixels:
    try:
        return decode(data)
    except FileError as error:
        raise FileError(error.what, where=str(path)) from error
