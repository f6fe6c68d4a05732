"""The workflow file: strict reading, canonical writing, migrations, groups, and parameters set from text.

A group is a subgraph with a name of its own, in ``"groups"``; a node of type ``group:NAME`` stands for it::

    "groups": {
      "detail": {
        "inputs": {"latents": ["denoise.latents", "mask.latents"]},    what is linked to the group's input goes there
        "outputs": {"latents": "denoise.latents"},                     where each output of the group comes from
        "params": {"strength": "denoise.strength"},                    parameters that stand on the group's node
        "nodes": {…}, "view": {…}
      }
    },
    "nodes": {
      "finish": {"type": "group:detail", "version": 1,
                 "params": {"strength": 0.4}, "inputs": {"latents": "base.latents"}}
    }

A group's input that is not linked leaves the body's own links standing; a parameter that the node does not set
keeps the body's value. Bodies may contain groups, but not themselves. ``flatten`` puts the bodies in place of the
nodes; an inner node is then called ``finish/denoise``, and ``set_param`` takes it by that name.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import networkx as nx

from studio import pictures, validation
from studio.errors import ArgumentError, FileError, GraphError
from studio.graph import (
    NODE_ID,
    Graph,
    Json,
    Link,
    Mode,
    Node,
    NodeId,
    NodeKind,
    NodeType,
    Param,
    ParamKind,
    Port,
    Types,
    Value,
    nearest,
)

FORMAT = "studio.workflow"

Document = dict[str, Json]

MIGRATIONS: Mapping[int, Callable[[Document], Document]] = {}
"""File version n -> the function that turns a document of version n into one of n + 1. Append only."""

NodeMigrations = Mapping[tuple[str, int], Callable[[Mapping[str, Json]], Mapping[str, Json]]]

NODE_MIGRATIONS: NodeMigrations = {}
"""(node type, version n) -> the function that turns its parameters into those of version n + 1. Append only."""

VERSION = len(MIGRATIONS) + 1

MAX_BYTES = 64 << 20
MAX_PICTURE_BYTES = 512 << 20
MAX_DEPTH = 64
"""Nesting of lists and objects in a file, far below where any Python's parser gives up."""
MAX_FLAT_NODES = 100_000
MAX_GROUP_DEPTH = 32
LINE_LENGTH = 100


@dataclass(frozen=True)
class Inner:
    """A port or parameter of a node inside a group, written ``node.name``."""

    node: NodeId
    name: str

    def __str__(self) -> str:
        return f"{self.node}.{self.name}"


@dataclass(frozen=True)
class Group:
    """The body of a group and what of it shows outside."""

    graph: Graph
    inputs: Mapping[str, tuple[Inner, ...]] = field(default_factory=dict)
    outputs: Mapping[str, Link] = field(default_factory=dict)
    params: Mapping[str, Inner] = field(default_factory=dict)
    view: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Fields of the file that this version does not know, kept."""


@dataclass(frozen=True)
class Workflow:
    """A workflow file as a value: what it means (graph, groups) apart from how it looks (view)."""

    graph: Graph = field(default_factory=Graph)
    groups: Mapping[str, Group] = field(default_factory=dict)
    view: Mapping[str, Json] = field(default_factory=dict)
    meta: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Fields of the file that this version does not know, kept."""


# --- reading


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


def parse(text: str) -> Json:
    """Read JSON, strictly: finite numbers, 64-bit integers, no key twice, sound text, limited depth.

    Raises FileError with the line and column where they are known.
    """
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_object_of,
            parse_constant=_refused_constant,
            parse_int=_exact,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise FileError(
            f"is not JSON: {error.msg}", where=f"line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    _check_sound(value)
    return value


def _object_of(pairs: list[tuple[str, Json]]) -> Document:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FileError(
                    f"an object has the key {_shown(key)} twice", remedy="remove one of them"
                )
            seen.add(key)
    return found


def _refused_constant(word: str) -> Json:
    raise FileError(f"{word} is not a number that JSON knows", remedy="write a finite number")


def _exact(digits: str) -> int:
    # length first: int() of many digits takes quadratic time
    number = int(digits) if len(digits) <= 20 else 2**64
    if not -(2**63) <= number < 2**64:
        raise FileError(f"{_shown(digits)} does not fit into 64 bits")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise FileError(f"{_shown(digits)} is too large a number")
    return number


def _too_deep() -> FileError:
    return FileError(f"is nested more than {MAX_DEPTH} levels deep")


_SURROGATE = re.compile("[\ud800-\udfff]")


def _check_sound(value: Json, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise FileError(f"{value[:60]!a} holds half a character (a lone surrogate)")
    elif isinstance(value, list):
        for entry in value:
            _check_sound(entry, depth + 1)
    elif isinstance(value, dict):
        for key, entry in value.items():
            _check_sound(key, depth)
            _check_sound(entry, depth + 1)


def _current(
    document: Document, migrations: Mapping[int, Callable[[Document], Document]]
) -> Document:
    """Check format and version, and migrate to today's."""
    if "format" not in document:
        raise FileError('has no "format"', remedy=f'a workflow has "format": "{FORMAT}"')
    if document["format"] != FORMAT:
        raise FileError(f"is {_shown(document['format'])}, not {FORMAT!r}", where="format")
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
            f"{_shown(name)} is not a name",
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
    what = "is missing" if value is None else f"is {_shown(value)}"
    return FileError(what, where=where, remedy=f"expected {expected}")


def _shown(value: object) -> str:
    if isinstance(value, dict | list) and value:
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value) if isinstance(value, str) and _SURROGATE.search(value) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


# --- writing


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
    _check_sound(document)
    return _written(document, "", 0, "") + "\n"


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


def _written(value: Json, indent: str, used: int, where: str) -> str:
    """One value; ``used`` columns of its first line are taken already."""
    if isinstance(value, dict) and value:
        deeper = indent + "  "
        lines = []
        for key in sorted(value):
            name = f"{deeper}{_scalar(key, where)}: "
            lines.append(name + _written(value[key], deeper, len(name), f"{where}.{key}"))
        return "{\n" + ",\n".join(lines) + "\n" + indent + "}"
    if isinstance(value, list) and value:
        room = LINE_LENGTH - used - 1
        line = _on_one_line(value, where, room)
        if line is not None and len(line) <= room:
            return line
        deeper = indent + "  "
        entries = (deeper + _written(entry, deeper, len(deeper), where) for entry in value)
        return "[\n" + ",\n".join(entries) + "\n" + indent + "]"
    return _scalar(value, where)


def _on_one_line(value: Json, where: str, room: int) -> str | None:
    """A list without objects as one line; None if it holds any, or cannot fit into ``room`` columns."""
    if isinstance(value, list):
        if 3 * len(value) > room:
            return None
        parts = [_on_one_line(entry, where, room) for entry in value]
        whole = [part for part in parts if part is not None]
        return f"[{', '.join(whole)}]" if len(whole) == len(parts) else None
    return None if isinstance(value, dict) and value else _scalar(value, where)


def _scalar(value: Json, where: str) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FileError(
                f"{value} cannot be saved", where=where.lstrip("."), remedy="use a finite number"
            )
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


# --- bringing up to date


def migrate(
    workflow: Workflow, types: Types, migrations: NodeMigrations = NODE_MIGRATIONS
) -> Workflow:
    """Raise every node of a known type to the version that ``types`` has.

    Where no function stands for a version, parameters stay as they are. Nodes that are newer than ours and unknown
    types are left for ``check`` to report. Raises GraphError if a function rejects a node's parameters.
    """

    def migrated(node: Node) -> Node:
        declared = types.get(node.type)
        if declared is None or node.version >= declared.version:
            return node
        params = node.params
        for version in range(node.version, declared.version):
            step = migrations.get((node.type, version))
            try:
                params = step(params) if step else params
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise GraphError(
                    node.id, "", f"cannot be migrated from version {version} ({error})"
                ) from error
        return replace(node, params=dict(params), version=declared.version)

    return _mapped(workflow, migrated)


def complete(workflow: Workflow, types: Types) -> Workflow:
    """Fill in every parameter that is not written with its default, and give numbers the type of their parameter.

    Nodes of unknown types, of other versions and of groups stay as they are: a group's parameter that is not set
    follows its body.
    """

    def completed(node: Node) -> Node:
        declared = types.get(node.type)
        if declared is None or node.version != declared.version:
            return node
        params = {**declared.defaults(), **node.params}
        for param in declared.params:
            try:
                params[param.name] = param.check(params[param.name])
            except ValueError:
                continue  # left as written: check names it
        return replace(node, params=params)

    return _mapped(workflow, completed)


def _mapped(workflow: Workflow, change: Callable[[Node], Node]) -> Workflow:
    def mapped(graph: Graph) -> Graph:
        return Graph({node.id: change(node) for node in graph})

    return replace(
        workflow,
        graph=mapped(workflow.graph),
        groups={
            name: replace(group, graph=mapped(group.graph))
            for name, group in workflow.groups.items()
        },
    )


# --- groups


def group_of(workflow: Workflow, node: Node) -> str | None:
    """The name of the group that a node stands for, or None; groups that the file lacks are None as well."""
    name = node.type.removeprefix(Graph.GROUP)
    return name if name != node.type and name in workflow.groups else None


def group_types(workflow: Workflow, types: Types) -> dict[str, NodeType]:
    """``types`` and a node type for every group: ports and parameters as they show outside.

    What leads to unknown types is a ``Value``. Raises GraphError if a group contains itself.
    """
    known = dict(types)
    for name in _inside_out(workflow):
        group = workflow.groups[name]
        known[Graph.GROUP + name] = NodeType(
            id=Graph.GROUP + name,
            version=1,
            category="group",
            kind=NodeKind.COMPUTE,
            inputs=tuple(_group_input(group, port, known) for port in sorted(group.inputs)),
            params=tuple(
                param
                for param in (_group_param(group, port, known) for port in sorted(group.params))
                if param is not None
            ),
            outputs=tuple(_group_output(group, port, known) for port in sorted(group.outputs)),
            doc=f"Group {name}.",
            implementation=None,
        )
    return known


def _inside_out(workflow: Workflow) -> list[str]:
    """Group names, each after the groups in its body; raises GraphError if one contains itself."""
    digraph: nx.DiGraph[str] = nx.DiGraph()
    digraph.add_nodes_from(workflow.groups)
    for name, group in workflow.groups.items():
        inner = {group_of(workflow, node) for node in group.graph}
        digraph.add_edges_from((other, name) for other in inner if other is not None)
    try:
        return list(nx.lexicographical_topological_sort(digraph))
    except nx.NetworkXUnfeasible:
        found = [edge[0] for edge in reversed(nx.find_cycle(digraph))]
        first = found.index(min(found))
        cycle = found[first:] + found[:first]
        path = " -> ".join([*cycle, cycle[0]])
        raise GraphError(
            Graph.GROUP + cycle[0],
            "",
            f"contains itself: {path}",
            remedy="take one of these groups out of the other",
        ) from None


def _group_input(group: Group, port: str, types: Types) -> Port:
    found: list[Port] = []
    for inner in group.inputs[port]:
        node = group.graph.nodes.get(inner.node)
        declared = types.get(node.type) if node else None
        target = declared.input(inner.name) if declared else None
        if node and target:
            found.append(replace(target, optional=target.optional or inner.name in node.inputs))
    if not found:
        return Port(port, Value, optional=True)
    optional = all(target.optional for target in found)
    return Port(port, found[0].type, optional, found[0].help)


def _group_output(group: Group, port: str, types: Types) -> Port:
    link = group.outputs[port]
    node = group.graph.nodes.get(link.node)
    declared = types.get(node.type) if node else None
    source = declared.output(link.output) if declared else None
    return replace(source, name=port) if source else Port(port, Value)


def _group_param(group: Group, name: str, types: Types) -> Param | None:
    inner = group.params[name]
    node = group.graph.nodes.get(inner.node)
    declared = types.get(node.type) if node else None
    param = declared.param(inner.name) if declared else None
    if node is None or param is None:
        return None
    return replace(param, name=name, default=node.params.get(inner.name, param.default))


class _Place(NamedTuple):
    """A node inside instances of groups: ``prefix`` is "" or ``outer/``."""

    prefix: str
    node: NodeId


@dataclass(frozen=True)
class _Scope:
    """One instance of a body; links from ``_OUTSIDE`` come from the inputs of the node that it stands for."""

    prefix: str
    nodes: Mapping[NodeId, Node]
    group: Group | None = None
    outer: _Place | None = None
    is_muted: bool = False


_OUTSIDE = NodeId("")


def flatten(workflow: Workflow, types: Types) -> Graph:
    """Put the body of each group in place of the nodes that stand for it; inner ids are ``outer/inner``.

    A muted group's nodes are all muted. So are a bypassed one's; links from its outputs come from its first linked
    input (by name) whose type fits. Nodes of groups that the file lacks stay, as nodes of an unknown type.
    Raises GraphError if a group contains itself or bodies multiply beyond ``MAX_FLAT_NODES``.
    """
    if not any(group_of(workflow, node) for node in workflow.graph):
        return workflow.graph
    known = group_types(workflow, types)
    scopes = _scopes(workflow)
    flat: dict[NodeId, Node] = {}
    for scope in scopes.values():
        for node in scope.nodes.values():
            if group_of(workflow, node) is not None:
                continue
            inputs = {
                port: _source(workflow, known, scopes, scope, link)
                for port, link in node.inputs.items()
            }
            node_id = NodeId(scope.prefix + node.id)
            mode: Mode = "mute" if scope.is_muted else node.mode
            flat[node_id] = replace(node, id=node_id, inputs=inputs, mode=mode)
    return Graph(flat)


def _scopes(workflow: Workflow) -> dict[str, _Scope]:
    """Every instance of a body by its prefix, the file's own graph first."""
    top = _Scope("", workflow.graph.nodes)
    found = {"": top}
    pending = deque([(top, 0)])
    total = len(top.nodes)
    while pending:
        scope, depth = pending.popleft()
        for node in scope.nodes.values():
            name = group_of(workflow, node)
            if name is None:
                continue
            group = workflow.groups[name]
            total += len(group.graph)
            if total > MAX_FLAT_NODES or len(found) > MAX_FLAT_NODES or depth >= MAX_GROUP_DEPTH:
                raise GraphError(
                    scope.prefix + node.id,
                    "",
                    f"groups unfold to more than {MAX_FLAT_NODES} nodes or {MAX_GROUP_DEPTH} levels",
                )
            inner = _Scope(
                prefix=f"{scope.prefix}{node.id}/",
                nodes=_instance(group, node),
                group=group,
                outer=_Place(scope.prefix, node.id),
                is_muted=scope.is_muted or node.mode != "normal",
            )
            found[inner.prefix] = inner
            pending.append((inner, depth + 1))
    return found


def _instance(group: Group, outer: Node) -> dict[NodeId, Node]:
    """The nodes of a body with the parameters and links that the group's node gives them."""
    nodes = dict(group.graph.nodes)
    for name, value in outer.params.items():
        inner = group.params.get(name)
        if inner is not None and inner.node in nodes:
            node = nodes[inner.node]
            nodes[inner.node] = replace(node, params={**node.params, inner.name: value})
    for port in outer.inputs:
        for inner in group.inputs.get(port, ()):
            if inner.node in nodes:
                node = nodes[inner.node]
                links = {**node.inputs, inner.name: Link(_OUTSIDE, port)}
                nodes[inner.node] = replace(node, inputs=links)
    return nodes


def _source(
    workflow: Workflow, types: Types, scopes: Mapping[str, _Scope], scope: _Scope, link: Link
) -> Link:
    """Follow a link into and out of groups to the node that it comes from."""
    seen: set[tuple[str, Link]] = set()
    while True:
        if (scope.prefix, link) in seen:
            raise GraphError(
                scope.prefix + link.node,
                link.output,
                "bypassed groups are linked in a circle",
                remedy="remove one of the links",
            )
        seen.add((scope.prefix, link))
        if link.node == _OUTSIDE and scope.outer is not None:
            place = scope.outer
            scope = scopes[place.prefix]
            link = scope.nodes[place.node].inputs[link.output]
            continue
        node = scope.nodes.get(link.node)
        name = group_of(workflow, node) if node else None
        inner = workflow.groups[name].outputs.get(link.output) if name is not None else None
        if node is None or inner is None:
            return Link(NodeId(scope.prefix + link.node), link.output)
        # a muted scope gives nothing whatever its bypassed groups pass through
        is_passed = node.mode == "bypass" and not scope.is_muted
        through = validation.passed(node, types.get(node.type), link.output) if is_passed else None
        if through is not None:
            link = through
        else:
            scope = scopes[f"{scope.prefix}{node.id}/"]
            link = inner


def flat_targets(flat: Graph, targets: Iterable[str]) -> list[NodeId]:
    """Targets as nodes of the flattened graph: the node of a group stands for every node inside; others stay."""
    found: dict[NodeId, None] = {}
    for target in targets:
        inside = [node for node in flat.nodes if node.startswith(f"{target}/")]
        found.update(dict.fromkeys(inside or [NodeId(target)]))
    return list(found)


def check(
    workflow: Workflow, types: Types, targets: Iterable[str] | None = None
) -> list[GraphError]:
    """Everything that keeps ``targets`` (None: every node) from being evaluated; ids of inner nodes are flat.

    Raises GraphError where groups cannot be unfolded at all.
    """
    flat = flatten(workflow, types)
    live = validation.active(flat, types)
    found: list[GraphError] = []
    wanted = None if targets is None else flat_targets(flat, targets)
    if wanted is not None:
        found.extend(
            GraphError(target, "", live.off[target], remedy='give it the mode "normal"')
            for target in wanted
            if target in live.off
        )
        wanted = [target for target in wanted if target not in live.off]
    needed = (
        live.graph.nodes.keys()
        if wanted is None
        else live.graph.needed(name for name in wanted if name in live.graph)
    )
    for scope in _scopes(workflow).values():
        if scope.prefix and any(node.startswith(scope.prefix) for node in needed):
            found.extend(_group_problems(workflow, scope))
    found.extend(validation.problems(live.graph, types, wanted))
    return found


def _group_problems(workflow: Workflow, scope: _Scope) -> Iterator[GraphError]:
    """What the node of a group sets or links that the group has not, and what the group shows that its body has not."""
    group, place = scope.group, scope.outer
    if group is None or place is None:
        return
    outer = _outer_node(workflow, place)
    name = scope.prefix.removesuffix("/")
    for port in outer.inputs:
        if port not in group.inputs:
            yield GraphError(
                name, port, "the group has no such input", remedy=nearest(port, group.inputs)
            )
    for param in outer.params:
        if param not in group.params:
            yield GraphError(
                name, param, "the group has no such parameter", remedy=nearest(param, group.params)
            )
    shown = {
        **{port: inner.node for port, inners in group.inputs.items() for inner in inners},
        **{param: inner.node for param, inner in group.params.items()},
        **{port: link.node for port, link in group.outputs.items()},
    }
    for port, inner_node in shown.items():
        if inner_node not in group.graph:
            yield GraphError(
                name,
                port,
                f"stands for node {inner_node}, which the group has not",
                remedy=nearest(inner_node, group.graph.nodes),
            )


def _outer_node(workflow: Workflow, place: _Place) -> Node:
    graph = workflow.graph
    for step in place.prefix.split("/")[:-1]:
        name = group_of(workflow, graph.node(step))
        assert name is not None  # a prefix names instances of groups
        graph = workflow.groups[name].graph
    return graph.node(place.node)


# --- parameters from text


def set_param(workflow: Workflow, name: str, text: str, types: Types) -> Workflow:
    """Set the parameter ``node.param`` (or ``outer/inner.param``) from text, as ``--set`` does.

    ``text`` is JSON, or plain text where the parameter is text. Inside a group that exposes the parameter, it is set
    on the group's node; else in the body, which other nodes of that group then no longer share.
    Raises ArgumentError for a node or parameter that does not exist and a value that does not fit.
    """
    address, dot, param_name = name.partition(".")
    if not dot or not address or not param_name:
        raise ArgumentError(
            f"{_shown(name)} is not of the form NODE.PARAM", remedy="such as denoise.guidance"
        )
    path = address.split("/")
    node = _inner_node(workflow, path)
    declared = group_types(workflow, types).get(node.type)
    if declared is None:
        raise ArgumentError(
            f'there is no node type "{node.type}"',
            where=address,
            remedy="install the pack that declares it",
        )
    param = declared.param(param_name)
    if param is None:
        raise ArgumentError(
            f"{node.type} has no such parameter",
            where=name,
            remedy=nearest(param_name, (known.name for known in declared.params)),
        )
    value = _value(param, text, name)
    path, param_name = _exposed(workflow, path, param_name)
    workflow, holder = _unshared(workflow, path)
    return _with_graph(
        workflow, holder, _graph_of(workflow, holder).set(path[-1], **{param_name: value})
    )


def _value(param: Param, text: str, where: str) -> Json:
    if _SURROGATE.search(text):
        raise ArgumentError(f"{text[:60]!a} is not text", where=where, remedy="write it in UTF-8")
    value: Json
    try:
        value = parse(text)
    except FileError as error:
        if param.kind is not ParamKind.TEXT:
            raise ArgumentError(
                f"{_shown(text)}: {error.what}",
                where=where,
                remedy=validation.admitted(param),
            ) from error
        value = text
    is_null = value is None and param.nullable
    if param.kind is ParamKind.TEXT and not isinstance(value, str) and not is_null:
        value = text
    try:
        return param.check(value)
    except ValueError as error:
        raise ArgumentError(str(error), where=where, remedy=validation.admitted(param)) from error


def _inner_node(workflow: Workflow, path: list[str]) -> Node:
    graph = workflow.graph
    for depth, step in enumerate(path, 1):
        node = graph.nodes.get(NodeId(step))
        if node is None:
            raise ArgumentError(
                "there is no such node",
                where="/".join(path[:depth]),
                remedy=nearest(step, graph.nodes),
            )
        if depth == len(path):
            return node
        name = group_of(workflow, node)
        if name is None:
            raise ArgumentError(f"is not a group but {node.type}", where="/".join(path[:depth]))
        graph = workflow.groups[name].graph
    raise AssertionError("a path has a step")


def _exposed(workflow: Workflow, path: list[str], param: str) -> tuple[list[str], str]:
    """The outermost node at which a parameter of an inner node shows, and its name there."""
    while len(path) > 1:
        name = group_of(workflow, _inner_node(workflow, path[:-1]))
        assert name is not None  # _inner_node has walked through it
        inner = Inner(NodeId(path[-1]), param)
        shown = next((p for p, i in workflow.groups[name].params.items() if i == inner), None)
        if shown is None:
            break
        path, param = path[:-1], shown
    return path, param


def _unshared(workflow: Workflow, path: list[str]) -> tuple[Workflow, str | None]:
    """Give the bodies along a path to this path alone; returns the group that holds its last node (None: the file)."""
    holder: str | None = None
    for step in path[:-1]:
        graph = _graph_of(workflow, holder)
        node = graph.node(step)
        name = group_of(workflow, node)
        assert name is not None  # the caller has walked through it
        graphs = [workflow.graph, *(group.graph for group in workflow.groups.values())]
        if sum(other.type == node.type for graph in graphs for other in graph) > 1:
            number = 2
            while f"{name}_{number}" in workflow.groups:
                number += 1
            copy = f"{name}_{number}"
            groups = {**workflow.groups, copy: workflow.groups[name]}
            renamed = Graph({**graph.nodes, node.id: replace(node, type=Graph.GROUP + copy)})
            workflow = _with_graph(replace(workflow, groups=groups), holder, renamed)
            name = copy
        holder = name
    return workflow, holder


def _graph_of(workflow: Workflow, holder: str | None) -> Graph:
    return workflow.graph if holder is None else workflow.groups[holder].graph


def _with_graph(workflow: Workflow, holder: str | None, graph: Graph) -> Workflow:
    if holder is None:
        return replace(workflow, graph=graph)
    body = replace(workflow.groups[holder], graph=graph)
    return replace(workflow, groups={**workflow.groups, holder: body})
