"""What a group shows outside: its name, its inputs and outputs, and the parameters that stand on its node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, TypeVar

from studio.errors import GraphError
from studio.graph import NODE_ID, Graph, Link, Node, NodeId, Types, nearest
from studio.gui.edits.form import shown_changed
from studio.gui.edits.links import known_types
from studio.gui.edits.nodes import free_name
from studio.workflow import Group, Inner, Workflow

Side = Literal["inputs", "outputs", "params"]
"""What of a group is shown outside."""
T = TypeVar("T")


def rename_group(w: Workflow, old: str, new: str) -> Workflow:
    """Give a group another name; every node that stands for it follows.

    Raises GraphError if it is taken or malformed.
    """
    if old == new:
        return w
    _group(w, old)
    _refuse_name(new, w.groups)

    def renamed(node: Node) -> Node:
        is_ours = node.type == Graph.GROUP + old
        return replace(node, type=Graph.GROUP + new) if is_ours else node

    w = replace(w, groups={new if name == old else name: one for name, one in w.groups.items()})
    return _with_every_graph(w, lambda graph: _each(graph, renamed))


def rename_shown(w: Workflow, group: str, side: Side, old: str, new: str) -> Workflow:
    """Give an input, output or parameter of a group another name outside; links and values follow.

    Raises GraphError if there is none of that name, or the new one is taken or malformed.
    """
    one = _group(w, group)
    names: Mapping[str, object] = getattr(one, side)
    if old not in names:
        raise GraphError(Graph.GROUP + group, old, "is not shown", remedy=nearest(old, names))
    if old == new:
        return w
    # a parameter may be linked like an input, so these share their names
    taken = names if side == "outputs" else {**one.inputs, **one.params}
    _refuse_name(new, taken)
    if side == "params":
        w = shown_changed(w, w, group, old, new)
    w = replace(w, groups={**w.groups, group: _with_name(one, side, old, new)})
    ours = Graph.GROUP + group

    def followed(graph: Graph) -> Graph:
        if side == "outputs":
            return _with_links(graph, ours, old, new)
        return _each(graph, lambda node: _with_own(node, ours, old, new))

    return _with_every_graph(w, followed)


def expose(w: Workflow, types: Types, group: str, node: str, param: str) -> Workflow:
    """Let a parameter of a body stand on the group's node, under its own name where that is free.

    Raises GraphError if there is no such parameter.
    """
    one = _group(w, group)
    found = one.graph.node(node)
    declared = known_types(w, types).get(found.type)
    if declared is None or declared.param(param) is None:
        raise GraphError(node, param, "is no parameter")
    inner = Inner(NodeId(node), param)
    if inner in one.params.values():
        return w
    name = free_name(param, {**one.inputs, **one.params})
    changed = replace(one, params={**one.params, name: inner})
    return replace(w, groups={**w.groups, group: changed})


def conceal(w: Workflow, group: str, param: str) -> Workflow:
    """Take a parameter off the group's node: the body keeps its own value, and what nodes of the group set is gone.

    Raises GraphError if it is not there.
    """
    one = _group(w, group)
    if param not in one.params:
        raise GraphError(
            Graph.GROUP + group, param, "is not shown", remedy=nearest(param, one.params)
        )
    kept = {name: inner for name, inner in one.params.items() if name != param}
    w = shown_changed(w, w, group, param, None)
    w = replace(w, groups={**w.groups, group: replace(one, params=kept)})
    ours = Graph.GROUP + group

    def without(node: Node) -> Node:
        if node.type != ours:
            return node
        return replace(
            node, params=_without(node.params, param), inputs=_without(node.inputs, param)
        )

    return _with_every_graph(w, lambda graph: _each(graph, without))


def _group(w: Workflow, name: str) -> Group:
    found = w.groups.get(name)
    if found is None:
        raise GraphError(
            Graph.GROUP + name, "", "there is no such group", remedy=nearest(name, w.groups)
        )
    return found


def _refuse_name(name: str, taken: Mapping[str, object]) -> None:
    if not NODE_ID.match(name):
        raise GraphError(name, "", "is not a name", remedy="use a-z, 0-9 and _, a letter first")
    if name in taken:
        raise GraphError(name, "", "exists already", remedy="choose another name")


def _with_name(one: Group, side: Side, old: str, new: str) -> Group:
    if side == "inputs":
        return replace(one, inputs=_with_key(one.inputs, old, new))
    if side == "outputs":
        return replace(one, outputs=_with_key(one.outputs, old, new))
    return replace(one, params=_with_key(one.params, old, new))


def _with_key(found: Mapping[str, T], old: str, new: str) -> dict[str, T]:
    return {new if name == old else name: value for name, value in found.items()}


def _without(found: Mapping[str, T], gone: str) -> dict[str, T]:
    return {name: value for name, value in found.items() if name != gone}


def _with_every_graph(w: Workflow, change: Callable[[Graph], Graph]) -> Workflow:
    groups = {name: replace(one, graph=change(one.graph)) for name, one in w.groups.items()}
    return replace(w, graph=change(w.graph), groups=groups)


def _each(graph: Graph, change: Callable[[Node], Node]) -> Graph:
    return Graph({node.id: change(node) for node in graph})


def _with_own(node: Node, ours: str, old: str, new: str) -> Node:
    if node.type != ours:
        return node
    return replace(
        node, params=_with_key(node.params, old, new), inputs=_with_key(node.inputs, old, new)
    )


def _with_links(graph: Graph, ours: str, old: str, new: str) -> Graph:
    standing = {node.id for node in graph if node.type == ours}
    return _each(
        graph,
        lambda node: replace(
            node,
            inputs={
                port: Link(link.node, new) if link.node in standing and link.output == old else link
                for port, link in node.inputs.items()
            },
        ),
    )
