"""The workflow file: its fields, strictly read from JSON or a picture and migrated, and canonically written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from studio import pictures
from studio.errors import FileError, GraphError
from studio.graph import NODE_ID, Graph, Json, Link, Mode, Node, NodeId
from studio.workflow.json_text import Document, parse, shown, written
from studio.workflow.workflow import Group, Inner, Workflow

FORMAT = "studio.workflow"
MIGRATIONS: Mapping[int, Callable[[Document], Document]] = {}
"""File version n -> the function that turns a document of version n into one of n + 1. Append only."""
VERSION = len(MIGRATIONS) + 1
MAX_BYTES = 64 << 20
MAX_PICTURE_BYTES = 512 << 20


def load(path: str | os.PathLike[str]) -> Workflow:
    """Read a workflow from a ``.json``, or from a picture that carries one; raises FileError.

    Which of the two it is follows from the content, not from the name.
    """
    data = _read(Path(path))
    if data.startswith(pictures.SIGNATURE):
        try:
            text = pictures.read_text(data).get(pictures.WORKFLOW)
        except FileError as error:
            raise _within(str(path), error) from error
        if text is None:
            raise FileError(
                "is a picture that carries no workflow",
                where=str(path),
                remedy="give a picture that studio wrote, or a workflow .json",
            )
        return loads(text, name=f"{path} ({pictures.WORKFLOW})")
    return loads(data, name=str(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(len(pictures.SIGNATURE))
            cap = MAX_PICTURE_BYTES if data == pictures.SIGNATURE else MAX_BYTES
            data += file.read(cap + 1 - len(data))
    except FileNotFoundError as error:
        raise FileError("there is no such file", where=str(path)) from error
    except IsADirectoryError as error:
        raise FileError("is a folder", where=str(path), remedy="name a file in it") from error
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be read ({error})", where=str(path)) from error
    if len(data) > cap:
        raise FileError(f"is larger than {cap >> 20} MiB", where=str(path))
    return data


def loads(
    text: str | bytes,
    *,
    name: str = "workflow",
    migrations: Mapping[int, Callable[[Document], Document]] = MIGRATIONS,
) -> Workflow:
    """Read a workflow from JSON text; ``name`` is what messages call it.

    Raises FileError with the line and column or the path in the document.
    """
    try:
        document = parse(_decoded(text))
        if not isinstance(document, dict):
            raise FileError("is not an object", remedy='a workflow is {"format": …, "nodes": …}')
        return _workflow(_current(document, migrations))
    except FileError as error:
        raise _within(name, error) from error


def _within(name: str, error: FileError) -> FileError:
    where = f"{name}: {error.where}" if error.where else name
    return FileError(error.what, where=where, remedy=error.remedy)


def _decoded(text: str | bytes) -> str:
    if len(text) > MAX_BYTES:
        raise FileError(f"is larger than {MAX_BYTES >> 20} MiB")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FileError(
                f"is not UTF-8 (byte {error.start})", remedy="save it as UTF-8"
            ) from error
    if text.startswith("\ufeff"):
        raise FileError("begins with a byte order mark", remedy="save it as UTF-8 without BOM")
    if not text.strip():
        raise FileError("is empty")
    return text


def _current(
    document: Document, migrations: Mapping[int, Callable[[Document], Document]]
) -> Document:
    """Check format and version, and migrate to today's."""
    if "format" not in document:
        raise FileError('has no "format"', remedy=f'a workflow has "format": "{FORMAT}"')
    if document["format"] != FORMAT:
        raise FileError(f"is {shown(document['format'])}, not {FORMAT!r}", where="format")
    version = _whole(document, "version", "")
    ours = len(migrations) + 1
    if version > ours:
        raise FileError(
            f"is version {version} of the format; this program reads up to {ours}",
            remedy="update the program",
        )
    for number in range(version, ours):
        try:
            document = {**migrations[number](document), "version": number + 1}
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"cannot be migrated from version {number} ({error})") from error
    return document


def _workflow(document: Document) -> Workflow:
    fields = dict(document)
    del fields["format"], fields["version"]
    if "nodes" not in fields:
        raise FileError('has no "nodes"')
    nodes = _object(fields.pop("nodes"), "nodes")
    groups = _object(fields.pop("groups", {}), "groups")
    meta = _object(fields.pop("meta", {}), "meta")
    if not isinstance(meta.get("title", ""), str):
        raise _wrong(meta["title"], "text", "meta.title")
    return Workflow(
        graph=_graph(nodes, "nodes"),
        groups={
            _name(name, "groups"): _group(body, f"groups.{name}") for name, body in groups.items()
        },
        view=_view(fields.pop("view", {}), "view"),
        meta=meta,
        extra=fields,
    )


def _graph(nodes: Document, where: str) -> Graph:
    return Graph(
        {
            NodeId(name): _node(NodeId(_name(name, where)), fields, f"{where}.{name}")
            for name, fields in nodes.items()
        }
    )


def _node(node: NodeId, value: Json, where: str) -> Node:
    fields = dict(_object(value, where))
    type_id = fields.pop("type", None)
    if not isinstance(type_id, str) or not type_id:
        raise _wrong(type_id, "the name of a node type", f"{where}.type")
    version = _whole(fields, "version", f"{where}.")
    del fields["version"]
    mode = fields.pop("mode", "normal")
    modes: dict[str, Mode] = {"normal": "normal", "mute": "mute", "bypass": "bypass"}
    if not isinstance(mode, str) or mode not in modes:
        raise _wrong(mode, 'one of "normal", "mute", "bypass"', f"{where}.mode")
    inputs = _object(fields.pop("inputs", {}), f"{where}.inputs")
    return Node(
        id=node,
        type=type_id,
        version=version,
        params=_object(fields.pop("params", {}), f"{where}.params"),
        inputs={port: _link(link, f"{where}.inputs.{port}") for port, link in inputs.items()},
        mode=modes[mode],
        extra=fields,
    )


def _group(value: Json, where: str) -> Group:
    fields = dict(_object(value, where))
    inputs = _object(fields.pop("inputs", {}), f"{where}.inputs")
    outputs = _object(fields.pop("outputs", {}), f"{where}.outputs")
    params = _object(fields.pop("params", {}), f"{where}.params")
    return Group(
        graph=_graph(_object(fields.pop("nodes", {}), f"{where}.nodes"), f"{where}.nodes"),
        inputs={
            _name(port, f"{where}.inputs"): tuple(
                _inner(inner, f"{where}.inputs.{port}")
                for inner in _list(inners, f"{where}.inputs.{port}")
            )
            for port, inners in inputs.items()
        },
        outputs={
            _name(port, f"{where}.outputs"): _link(link, f"{where}.outputs.{port}")
            for port, link in outputs.items()
        },
        params={
            _name(name, f"{where}.params"): _inner(inner, f"{where}.params.{name}")
            for name, inner in params.items()
        },
        view=_view(fields.pop("view", {}), f"{where}.view"),
        extra=fields,
    )


def _view(value: Json, where: str) -> Document:
    view = _object(value, where)
    for node, position in _object(view.get("nodes", {}), f"{where}.nodes").items():
        pair = _list(position, f"{where}.nodes.{node}")
        if len(pair) != 2 or not all(
            isinstance(number, int | float) and not isinstance(number, bool) for number in pair
        ):
            raise _wrong(position, "a position [x, y]", f"{where}.nodes.{node}")
    _list(view.get("frames", []), f"{where}.frames")
    _list(view.get("notes", []), f"{where}.notes")
    return view


def _object(value: Json, where: str) -> Document:
    if not isinstance(value, dict):
        raise _wrong(value, "an object {…}", where)
    return value


def _list(value: Json, where: str) -> list[Json]:
    if not isinstance(value, list):
        raise _wrong(value, "a list […]", where)
    return value


def _whole(fields: Document, key: str, where: str) -> int:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(value, "a whole number from 1", f"{where}{key}")
    return value


def _name(name: str, where: str) -> str:
    if not NODE_ID.match(name):
        raise FileError(
            f"{shown(name)} is not a name",
            where=where,
            remedy="use a-z, 0-9 and _, a letter first",
        )
    return name


def _link(value: Json, where: str) -> Link:
    if not isinstance(value, str):
        raise _wrong(value, 'a link "node.output"', where)
    try:
        return Link.parse(value)
    except ValueError as error:
        raise FileError(str(error), where=where, remedy='write a link as "node.output"') from error


def _inner(value: Json, where: str) -> Inner:
    link = _link(value, where)
    return Inner(link.node, link.output)


def _wrong(value: Json, expected: str, where: str) -> FileError:
    what = "is missing" if value is None else f"is {shown(value)}"
    return FileError(what, where=where, remedy=f"expected {expected}")


def dumps(workflow: Workflow) -> str:
    """Write a workflow canonically: the same value gives the same text, and reading that gives the value.

    Sorted keys, two-space indent, one line per parameter and link; a list without objects in it stands on one line
    where it fits. Raises FileError for what no workflow file can hold, such as NaN.
    """
    document: Document = {
        **workflow.extra,
        "format": FORMAT,
        "version": VERSION,
        "nodes": _graph_json(workflow.graph),
    }
    if workflow.groups:
        document["groups"] = {name: _group_json(group) for name, group in workflow.groups.items()}
    if workflow.view:
        document["view"] = dict(workflow.view)
    if workflow.meta:
        document["meta"] = dict(workflow.meta)
    return written(document)


def save(workflow: Workflow, path: str | os.PathLike[str]) -> None:
    """Write a workflow to a file, whole or not at all; raises FileError."""
    data = dumps(workflow).encode()
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be written ({error})", where=str(path)) from error


def _graph_json(graph: Graph) -> Document:
    return {node.id: _node_json(node) for node in graph}


def _node_json(node: Node) -> Document:
    if not NODE_ID.match(node.id):
        raise GraphError(node.id, "", "is not a node id", remedy="save the graph before flattening")
    fields: Document = {
        **node.extra,
        "type": node.type,
        "version": node.version,
        "params": dict(node.params),
        "inputs": {port: str(link) for port, link in node.inputs.items()},
    }
    if node.mode != "normal":
        fields["mode"] = node.mode
    return fields


def _group_json(group: Group) -> Document:
    fields: Document = {
        **group.extra,
        "inputs": {port: [str(inner) for inner in inners] for port, inners in group.inputs.items()},
        "outputs": {port: str(link) for port, link in group.outputs.items()},
        "params": {name: str(inner) for name, inner in group.params.items()},
        "nodes": _graph_json(group.graph),
    }
    if group.view:
        fields["view"] = dict(group.view)
    return fields
