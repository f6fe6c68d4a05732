"""``studio migrate``: an older workflow file, rewritten in today's format."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from studio import pictures
from studio.cli.reading import current, read_bytes
from studio.cli.writing import complain, line
from studio.errors import FileError
from studio.graph import diff
from studio.registry import load
from studio.workflow import VERSION, Workflow, dumps, loads, parse, save
from studio.workflow import load as load_workflow


def migrate(options: argparse.Namespace) -> int:
    """Rewrite a workflow: today's version, every parameter written, canonical; say what changed.

    What this version does not know is kept. A file that needs no change is not touched.
    """
    file: Path = options.file
    output: Path | None = options.output
    data = read_bytes(file)
    is_picture = data.startswith(pictures.SIGNATURE)
    if is_picture and output is None:
        raise FileError(
            "is a picture, which keeps the workflow that made it",
            where=str(file),
            remedy="write today's form of it beside with --output FILE.json",
        )
    if output is not None and output.exists():
        raise FileError("is there already", where=str(output), remedy="name a new file")
    before = load_workflow(file) if is_picture else loads(data, name=str(file))
    after = current(before, load(is_safe=options.safe).types)
    if not is_picture and dumps(after).encode() == data:
        complain(f"{file} is in today's format already")
        if output is None:
            return 0
    save(after, output or file)
    version = None if is_picture else _version(data)
    if version is not None and version != VERSION:
        print(f"version: {version} -> {VERSION}")
    lines = list(_changes(before, after))
    for text in lines:
        print(line(text))
    if not lines and version in (None, VERSION):
        complain(f"{output or file} is written in canonical form; nothing in it changed")
    return 0


def _version(data: bytes) -> int | None:
    document = parse(data.decode())
    version = document.get("version") if isinstance(document, dict) else None
    return version if isinstance(version, int) else None


def _changes(before: Workflow, after: Workflow) -> Iterator[str]:
    yield from map(str, diff(before.graph, after.graph))
    for name, group in after.groups.items():
        for one in diff(before.groups[name].graph, group.graph):
            yield f"group {name}: {one}"
