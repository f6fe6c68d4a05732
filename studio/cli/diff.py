"""``studio diff``: what two workflows or pictures have not in common."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from studio import pictures
from studio.cli.environment import environment, models
from studio.cli.pixels import Distance, Pixels, Sizes, decode, distance
from studio.cli.reading import current, read_bytes, read_manifest, read_text
from studio.cli.writing import complain, line, write_json
from studio.errors import FileError
from studio.graph import Graph, Json, Types
from studio.graph import diff as graph_diff
from studio.registry import load
from studio.workflow import Group, Workflow, loads

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
    found: list[str] = []
    if first.workflow and second.workflow:
        found += differences(first.workflow, _with_digests_of(first.workflow, second.workflow))
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
    changed: list[str] = []
    if first.manifest and second.manifest:
        changed = environment(first.manifest, second.manifest)
        changed += models(first.manifest, second.manifest)
    is_apart = isinstance(apart, Sizes) or (apart is not None and apart.differing > 0)
    if options.json:
        write_json(
            {
                "graph": found,
                "environment": changed,
                "pixels": apart.to_json() if apart else None,
                "same": not (found or changed or is_apart),
            },
            indent=2,
        )
    else:
        for text in (*found, *changed, *([f"pixels: {apart}"] if is_apart else [])):
            print(line(text))
        if not (found or changed or is_apart):
            complain("no difference")
    return 1 if found or changed or is_apart else 0


def _with_digests_of(known: Workflow, other: Workflow) -> Workflow:
    """``other`` with the digests of ``known`` where one of the two does not say which content a model has.

    A picture says it, the workflow that it was made from as a rule does not; that is no difference.
    """

    def settled(mine: Graph, theirs: Graph) -> Graph:
        for node in theirs:
            before, after = mine.nodes.get(node.id), node.params.get("digest")
            digest = before.params.get("digest") if before else None
            if digest is not None and "" in (digest, after):
                theirs = theirs.set(node.id, digest=digest)
        return theirs

    groups = {
        name: replace(group, graph=settled(known.groups[name].graph, group.graph))
        if name in known.groups
        else group
        for name, group in other.groups.items()
    }
    return replace(other, graph=settled(known.graph, other.graph), groups=groups)


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


def differences(before: Workflow, after: Workflow) -> list[str]:
    """How two workflows differ in what they mean: graph, parameters, groups, and fields that we do not know."""
    return [*_graphs(before.graph, after.graph), *_groups(before, after),
            *_fields("file", before.extra, after.extra)]  # fmt: skip


def _graphs(before: Graph, after: Graph) -> Iterator[str]:
    yield from graph_diff(before, after)
    for node in sorted(before.nodes.keys() & after.nodes.keys()):
        yield from _fields(node, before.nodes[node].extra, after.nodes[node].extra)


def _groups(before: Workflow, after: Workflow) -> Iterator[str]:
    for name in sorted({*before.groups, *after.groups}):
        old, new = before.groups.get(name), after.groups.get(name)
        if old is None or new is None:
            yield f"group {name}: {'added' if old is None else 'removed'}"
            continue
        for text in (*_graphs(old.graph, new.graph), *_interface(old, new)):
            yield f"group {name}: {text}"


def _interface(before: Group, after: Group) -> Iterator[str]:
    old_inputs, new_inputs = (
        {port: ", ".join(map(str, inners)) for port, inners in group.inputs.items()}
        for group in (before, after)
    )
    yield from _pairs("input", old_inputs, new_inputs)
    yield from _pairs("output", before.outputs, after.outputs)
    yield from _pairs("parameter", before.params, after.params)
    yield from _fields("group", before.extra, after.extra)


def _pairs(what: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{what} {name}: {old or 'nothing'} -> {new or 'nothing'}"


def _fields(where: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if repr(before.get(name)) != repr(after.get(name)):
            yield f"{where}: field {name} differs, which this version does not know"
