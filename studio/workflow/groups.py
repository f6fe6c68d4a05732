"""Groups: what they show outside, their bodies in place of the nodes that stand for them, and what is wrong with them.

A group is a subgraph with a name of its own, in ``"groups"``; a node of type ``group:NAME`` stands for it::

    "groups": {
      "detail": {
        "inputs": {"latents": ["denoise.latents", "mask.latents"],     what is linked to the group's input goes there,
                   "seed": ["noise.seed"]},                            into parameters too
        "outputs": {"latents": "denoise.latents"},                     where each output of the group comes from
        "params": {"strength": "denoise.strength"},                    parameters that stand on the group's node
        "nodes": {…}, "view": {…}
      }
    },
    "nodes": {
      "finish": {"type": "group:detail", "version": 1,
                 "params": {"strength": 0.4}, "inputs": {"latents": "base.latents"}}
    }

A group's input that is not linked leaves the body's own links and values standing; a parameter that the node does
not set keeps the body's value, and one that is linked on the node (``"inputs": {"strength": "number.value"}``) is
linked in the body. Bodies may contain groups, but not themselves. ``flatten`` puts the bodies in place of the
nodes; an inner node is then called ``finish/denoise``, and ``set_param`` takes it by that name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import networkx as nx

from studio import validation
from studio.errors import GraphError
from studio.graph import (
    Graph,
    Link,
    Mode,
    Node,
    NodeId,
    NodeKind,
    NodeType,
    Param,
    Port,
    Types,
    Value,
    nearest,
)
from studio.workflow.workflow import Group, Inner, Workflow

MAX_FLAT_NODES = 100_000
MAX_GROUP_DEPTH = 32


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
        target = declared.socket(inner.name) if declared else None
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
        for inner in led_to(group, port):
            if inner.node in nodes:
                node = nodes[inner.node]
                links = {**node.inputs, inner.name: Link(_OUTSIDE, port)}
                nodes[inner.node] = replace(node, inputs=links)
    return nodes


def led_to(group: Group, name: str) -> tuple[Inner, ...]:
    """Where in the body a link goes that enters the group's node by this name: by an input, or by a parameter."""
    if name in group.inputs:
        return group.inputs[name]
    return (group.params[name],) if name in group.params else ()


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
        if port not in group.inputs and port not in group.params:
            names = {*group.inputs, *group.params}
            yield GraphError(name, port, "the group has no such input", remedy=nearest(port, names))
    for param in outer.params:
        if param not in group.params:
            yield GraphError(
                name, param, "the group has no such parameter", remedy=nearest(param, group.params)
            )
    shown = [
        *((port, inner.node) for port, inners in group.inputs.items() for inner in inners),
        *((param, inner.node) for param, inner in group.params.items()),
        *((port, link.node) for port, link in group.outputs.items()),
    ]
    for port, inner_node in dict.fromkeys(shown):
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
