"""``studio nodes``: the node types, for people and for programs."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator

from studio.cli.writing import complain, line, table, write_json
from studio.errors import ArgumentError
from studio.graph import Hint, Json, NodeType, Param, Port, Types, nearest
from studio.registry import Range, load

WIDEST = 100
LONGEST_DEFAULT = 30


def nodes(options: argparse.Namespace) -> int:
    """Print all node types by category, those of one category, or one of them in full."""
    registry = load(is_safe=options.safe)
    for refusal in registry.refused:
        complain(str(refusal))
    if options.name is None:
        return _print_all(registry.types.values(), is_json=options.json)
    found = _find(options.name, registry.types)
    if found is not None:
        if options.json:
            write_json(_as_json(found), indent=2)
        else:
            print("\n".join(_detail(found)))
        return 0
    category = [known for known in registry.types.values() if known.category == options.name]
    if not category:
        names = {*registry.types, *(known.category for known in registry.types.values())}
        raise ArgumentError(
            f'there is no node type "{options.name}"', remedy=nearest(options.name, names)
        )
    return _print_all(category, is_json=options.json)


def _find(name: str, types: Types) -> NodeType | None:
    """A type by its name or by what it is called elsewhere."""
    return types.get(name) or next(
        (known for known in types.values() if name in known.aliases), None
    )


def _print_all(types: Iterable[NodeType], *, is_json: bool) -> int:
    ordered = sorted(types, key=lambda known: (known.category, known.id))
    if is_json:
        write_json({"nodes": {known.id: _as_json(known) for known in ordered}}, indent=2)
        return 0
    # one width for all categories, so that the eye can run down
    width = max((len(known.id) for known in ordered), default=0)
    room = _columns() - width - 4
    category = None
    for known in ordered:
        if known.category != category:
            print(("" if category is None else "\n") + line(known.category))
            category = known.category
        summary = line(known.summary)
        if sys.stdout.isatty():
            summary = textwrap.shorten(summary, max(room, 20), placeholder=" …")
        print(f"  {known.id:<{width}}  {summary}")
    return 0


def _columns() -> int:
    return min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)


# --- one type, for people


def _detail(known: NodeType) -> Iterator[str]:
    about = [f"version {known.version}", known.category]
    if known.pack != "core":
        about.append(f"pack {known.pack}")
    if known.aliases:
        about.append(f"also called {', '.join(known.aliases)}")
    yield from textwrap.wrap(f"{known.id} ({'; '.join(about)})", _columns())
    for paragraph in _paragraphs(known):
        yield ""
        yield from textwrap.wrap(line(paragraph), _columns())
    yield from _section(
        "inputs",
        (
            (port.name, _type_of(port), "optional" if port.optional else "", port.help)
            for port in known.inputs
        ),
    )
    yield from _section("parameters (a link may give all but lists)", map(_param_row, known.params))
    yield from _section(
        "outputs", ((port.name, _type_of(port), "", port.help) for port in known.outputs)
    )


def _paragraphs(known: NodeType) -> Iterator[str]:
    """The help without the lines that the tables show."""
    told = {port.name for port in (*known.inputs, *known.outputs) if port.help}
    told.update(param.name for param in known.params if param.help)
    kept = [
        text
        for text in known.doc.strip().splitlines()
        if not ((match := re.match(r" *(\w+): ", text)) and match[1] in told)
    ]
    for paragraph in re.split(r"\n\s*\n", "\n".join(kept)):
        if paragraph.strip():
            yield " ".join(paragraph.split())


def _section(title: str, rows: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    """A table whose last column, the help, is wrapped within itself."""
    cells = list(rows)
    if not cells:
        return
    yield ""
    yield title
    heads = table((row[:3] for row in cells), indent="  ")
    width = max(map(len, heads)) + 2
    room = _columns() - width
    for head, row in zip(heads, cells, strict=True):
        if room < 30:
            yield head
            yield from textwrap.wrap(
                line(row[3]), _columns() - 6, initial_indent="      ", subsequent_indent="      "
            )
            continue
        texts = textwrap.wrap(line(row[3]), room) or [""]
        yield f"{head:<{width}}{texts[0]}".rstrip()
        yield from (" " * width + text for text in texts[1:])


def _type_of(port: Port) -> str:
    return port.type.__name__


_KINDS = {
    "bool": "true | false",
    "int": "whole number",
    "float": "number",
    "text": "text",
    "list": "list",
}


def _param_row(param: Param) -> tuple[str, str, str, str]:
    """A row of the table; long descriptions go to the help, where there is room for them."""
    kind = _kind(param)
    if isinstance(param.hint, Range) or len(kind) <= WIDEST // 3:
        return param.name, kind, _shown(param.default), param.help
    return param.name, _KINDS[param.kind.value], _shown(param.default), f"{param.help} ({kind})"


def _kind(param: Param) -> str:
    """What may be given: the hint's words where they say it all, else the kind and the hint."""
    admitted = param.hint.describe() if param.hint else ""
    kind = _KINDS[param.kind.value]
    if isinstance(param.hint, Range):
        step = f", in steps of {param.hint.step:g}" if param.hint.step not in (None, 1) else ""
        admitted = f"{kind}, {admitted}{step}"
    words = admitted or kind
    return f"{words} | null" if param.nullable else words


def _shown(value: Json) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "= true", False: "= false", None: "= null"}[value]
    text = f'"{value}"' if isinstance(value, str) else f"{value}"
    return f"= {text if len(text) <= LONGEST_DEFAULT else text[: LONGEST_DEFAULT - 1] + '…'}"


# --- for programs


def _as_json(known: NodeType) -> dict[str, object]:
    return {
        "id": known.id,
        "version": known.version,
        "title": known.title,
        "category": known.category,
        "kind": known.kind.value,
        "pack": known.pack,
        "aliases": known.aliases,
        "is_output": known.is_output,
        "summary": known.summary,
        "doc": known.doc,
        "inputs": [_port_json(port) for port in known.inputs],
        "params": [_param_json(param) for param in known.params],
        "outputs": [_port_json(port) for port in known.outputs],
    }


def _port_json(port: Port) -> dict[str, object]:
    return {
        "name": port.name,
        "type": port.type.__name__,
        "optional": port.optional,
        "help": port.help,
    }


def _param_json(param: Param) -> dict[str, object]:
    return {
        "name": param.name,
        "type": param.kind.value,
        "takes": param.takes.__name__ if param.takes else None,
        "default": param.default,
        "nullable": param.nullable,
        "hint": _hint_json(param.hint) if param.hint else None,
        "help": param.help,
    }


def _hint_json(hint: Hint) -> dict[str, object]:
    """The hint's own fields, and its kind in snake case."""
    fields = {field.name: getattr(hint, field.name) for field in dataclasses.fields(hint)}
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(hint).__name__).lower()
    return {"kind": kind, "admits": hint.describe(), **fields}
