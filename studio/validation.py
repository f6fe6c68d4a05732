"""What is wrong with a graph, by node and port; which of its nodes take part once mute and bypass are applied."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from studio.errors import GraphError
from studio.graph import (
    Graph,
    Link,
    Node,
    NodeId,
    NodeType,
    Param,
    Port,
    Types,
    Value,
    fits,
    nearest,
)

# --- mute and bypass


@dataclass(frozen=True)
class Active:
    """The part of a graph that takes part in a run."""

    graph: Graph
    """Without muted, bypassed and off nodes; links run past bypassed ones."""
    off: Mapping[NodeId, str] = field(default_factory=dict)
    """Every node that was left out, with the reason in words."""


def active(graph: Graph, types: Types) -> Active:
    """Apply mute and bypass.

    A muted node gives nothing: links from it vanish, and a node that thereby loses a required input is off as
    well, and so on downstream; a parameter that loses its link has its own value again. Links from an output of a
    bypassed node come from the source of its first linked input or parameter (in the order of the declaration) whose
    type fits that output; where there is none, they vanish.
    """
    if all(node.mode == "normal" for node in graph):
        return Active(graph)
    off: dict[NodeId, str] = {
        node.id: "is muted" if node.mode == "mute" else "is bypassed"
        for node in graph
        if node.mode != "normal"
    }
    inputs: dict[NodeId, dict[str, Link]] = {}
    consumers: dict[NodeId, list[tuple[Node, str]]] = {}
    lost: deque[tuple[Node, str, NodeId]] = deque()
    for node in graph:
        if node.id in off:
            continue
        kept: dict[str, Link] = {}
        for port, link in node.inputs.items():
            source = _past_bypass(graph, types, link)
            if source is None or source.node in off:
                lost.append((node, port, link.node))
            else:
                kept[port] = source
                consumers.setdefault(source.node, []).append((node, port))
        inputs[node.id] = kept
    while lost:
        node, port, source_id = lost.popleft()
        inputs[node.id].pop(port, None)
        if node.id in off or not _is_required(types.get(node.type), port):
            continue
        off[node.id] = f"gets nothing from {source_id} for {port}"
        lost.extend(
            (consumer, name, node.id)
            for consumer, name in consumers.get(node.id, ())
            if name in inputs[consumer.id]
        )
    nodes = {
        node.id: node if node.inputs == inputs[node.id] else replace(node, inputs=inputs[node.id])
        for node in graph
        if node.id not in off
    }
    return Active(Graph(nodes), off)


def passed(node: Node, declared: NodeType | None, output: str) -> Link | None:
    """The source that a bypassed node passes through to ``output``, or None."""
    port = declared.output(output) if declared else None
    if declared is None or port is None:
        return None
    return next(
        (
            node.inputs[candidate.name]
            for candidate in declared.sockets
            if candidate.name in node.inputs and fits(candidate.type, port.type)
        ),
        None,
    )


def _past_bypass(graph: Graph, types: Types, link: Link) -> Link | None:
    """Follow a link through bypassed nodes; None where it comes from nothing or runs in a circle."""
    seen: set[Link] = set()
    while (node := graph.nodes.get(link.node)) is not None and node.mode == "bypass":
        source = passed(node, types.get(node.type), link.output)
        if source is None or link in seen:
            return None
        seen.add(link)
        link = source
    return link


def _is_required(declared: NodeType | None, port: str) -> bool:
    found = declared.input(port) if declared else None
    return found is not None and not found.optional


def output_nodes(graph: Graph, types: Types) -> list[NodeId]:
    """The nodes that write results, by id: the targets of a run that names none."""
    return sorted(node.id for node in graph if node.type in types and types[node.type].is_output)


# --- problems


def problems(graph: Graph, types: Types, targets: Iterable[str] | None = None) -> list[GraphError]:
    """Everything that keeps ``targets`` (None: every node) from being evaluated, ordered by node.

    Meant for a flat graph after ``active``. What no target needs may be unknown or unsound.
    """
    if targets is None:
        wanted: AbstractSet[NodeId] = graph.nodes.keys()
        found: list[GraphError] = []
    else:
        names = list(targets)
        found = [
            GraphError(name, "", "there is no such node", remedy=nearest(name, graph.nodes))
            for name in names
            if name not in graph.nodes
        ]
        wanted = graph.needed(name for name in names if name in graph.nodes)
    checker = _Checker(graph, types)
    for node_id in sorted(wanted):
        found.extend(checker.node(graph.nodes[node_id]))
    if _has_cycle(graph, wanted):
        try:
            Graph({node: graph.nodes[node] for node in wanted}).order()
        except GraphError as error:
            found.append(error)
    return found


def _has_cycle(graph: Graph, wanted: AbstractSet[NodeId]) -> bool:
    # Kahn's algorithm: networkx is asked for the path only once there is a cycle to show (it takes ten times as long)
    waiting = {
        node: len({link.node for link in graph.nodes[node].inputs.values() if link.node in wanted})
        for node in wanted
    }
    followers: dict[NodeId, list[NodeId]] = {}
    for node in wanted:
        for source in {link.node for link in graph.nodes[node].inputs.values()}:
            followers.setdefault(source, []).append(node)
    ready = [node for node, count in waiting.items() if not count]
    done = 0
    while ready:
        done += 1
        for follower in followers.get(ready.pop(), ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return done < len(waiting)


@dataclass(frozen=True)
class _Schema:
    """A node type, what links may enter, its parameters and outputs by name."""

    declared: NodeType
    sockets: Mapping[str, Port]
    params: Mapping[str, Param]
    outputs: Mapping[str, Port]
    required: tuple[Port, ...]

    @classmethod
    def of(cls, declared: NodeType) -> _Schema:
        return cls(
            declared,
            {port.name: port for port in declared.sockets},
            {param.name: param for param in declared.params},
            {port.name: port for port in declared.outputs},
            tuple(port for port in declared.inputs if not port.optional),
        )


_SUGGESTIONS = 20


class _Checker:
    """Checks the nodes of one graph; looks each type up once."""

    def __init__(self, graph: Graph, types: Types) -> None:
        self._graph = graph
        self._types = types
        self._schemas: dict[str, _Schema | None] = {}
        self._sources: dict[type[Value], str] = {}
        self._groups = {
            name[:at] for name in graph.nodes for at, letter in enumerate(name) if letter == "/"
        }
        self._missing: dict[str, str] = {}

    def _schema(self, type_id: str) -> _Schema | None:
        try:
            return self._schemas[type_id]
        except KeyError:
            declared = self._types.get(type_id)
            schema = _Schema.of(declared) if declared else None
            self._schemas[type_id] = schema
            return schema

    def node(self, node: Node) -> Iterator[GraphError]:
        """The problems of one node."""
        schema = self._schema(node.type)
        if schema is None:
            yield self._unknown(node)
            return
        ours = schema.declared.version
        if node.version != ours:
            is_newer = node.version > ours
            yield GraphError(
                node.id,
                "",
                f"is version {node.version} of {node.type}; here is version {ours}",
                remedy="update the program" if is_newer else "rewrite the file with studio migrate",
            )
            return
        for name, value in node.params.items():
            param = schema.params.get(name)
            if param is None:
                remedy = nearest(name, schema.params)
                yield GraphError(node.id, name, f"{node.type} has no such parameter", remedy=remedy)
                continue
            try:
                param.check(value)
            except ValueError as error:
                yield GraphError(node.id, name, str(error), remedy=admitted(param))
        for port in schema.required:
            if port.name not in node.inputs:
                yield GraphError(
                    node.id, port.name, "is not connected", remedy=self._fitting(port.type)
                )
        for name, link in node.inputs.items():
            problem = self._link(schema, node, name, link)
            if problem is not None:
                yield problem

    def _unknown(self, node: Node) -> GraphError:
        if node.type.startswith(Graph.GROUP):
            group = node.type.removeprefix(Graph.GROUP)
            return GraphError(
                node.id,
                "",
                f'there is no group "{group}" in this file',
                remedy="add it or mute this node",
            )
        return GraphError(
            node.id,
            "",
            f'there is no node type "{node.type}"',
            remedy=f"{nearest(node.type, self._types)}; or install the pack that declares it",
        )

    def _link(self, schema: _Schema, node: Node, name: str, link: Link) -> GraphError | None:
        port = schema.sockets.get(name)
        if port is None:
            return _no_socket(schema, node, name)
        source = self._graph.nodes.get(link.node)
        if source is None:
            if link.node in self._groups:
                return GraphError(
                    node.id, name, f"group {link.node} has no output {link.output}",
                    remedy="name one of the group's outputs",
                )  # fmt: skip
            return GraphError(
                node.id,
                name,
                f"is linked to {link}, but there is no node {link.node}",
                remedy=self._nearest_node(link.node),
            )
        origin = self._schema(source.type)
        if origin is None:
            return None
        output = origin.outputs.get(link.output)
        if output is None:
            return GraphError(
                node.id,
                name,
                f"{link.node} has no output {link.output}",
                remedy=nearest(link.output, origin.outputs),
            )
        if not fits(output.type, port.type):
            return GraphError(
                node.id,
                name,
                f"takes {port.type.__name__}, but {link} gives {output.type.__name__}",
                remedy=self._fitting(port.type),
            )
        return None

    def _nearest_node(self, name: str) -> str:
        # a search through every name: enough for the first few, too slow for thousands
        if name not in self._missing:
            is_early = len(self._missing) < _SUGGESTIONS
            self._missing[name] = nearest(name, self._graph.nodes) if is_early else "name a node"
        return self._missing[name]

    def _fitting(self, wanted: type[Value]) -> str:
        """Name what could be linked into a port of type ``wanted``: outputs here, else node types."""
        if wanted not in self._sources:
            self._sources[wanted] = self._found(wanted)
        return self._sources[wanted]

    def _found(self, wanted: type[Value]) -> str:
        here = _first(
            f"{node.id}.{output.name}"
            for node in self._graph
            if node.type in self._types
            for output in self._types[node.type].outputs
            if fits(output.type, wanted)
        )
        if here:
            return f"{wanted.__name__} comes from {here}"
        declared = _first(
            name
            for name in sorted(self._types)
            if any(fits(output.type, wanted) for output in self._types[name].outputs)
        )
        return f"add a node that gives {wanted.__name__}" + (f": {declared}" if declared else "")


def _no_socket(schema: _Schema, node: Node, name: str) -> GraphError:
    if name in schema.params:
        return GraphError(
            node.id, name, "is a list, which takes no link", remedy="remove the link, and set it"
        )
    return GraphError(
        node.id, name, f"{node.type} has no such input", remedy=nearest(name, schema.sockets)
    )


def _first(names: Iterable[str], count: int = 3) -> str:
    shown: list[str] = []
    for name in names:
        if len(shown) == count:
            shown.append("…")
            break
        shown.append(name)
    return ", ".join(shown)


def admitted(param: Param) -> str:
    """What may be given for a parameter, in words."""
    words = param.hint.describe() if param.hint else ""
    return f"give {_KIND_WORDS[param.kind.value]}" + (f", {words}" if words else "")


_KIND_WORDS: Mapping[str, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "text": "text",
    "list": "a list",
}
