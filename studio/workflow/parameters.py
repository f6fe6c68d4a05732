"""Parameters set from text, inside groups too."""

from __future__ import annotations

from dataclasses import replace

from studio import validation
from studio.errors import ArgumentError, FileError
from studio.graph import Graph, Json, Link, Node, NodeId, Param, ParamKind, Types, nearest
from studio.workflow.groups import flatten, group_of, group_types
from studio.workflow.json_text import is_sound, parse, shown
from studio.workflow.workflow import Inner, Workflow


def set_param(workflow: Workflow, name: str, text: str, types: Types) -> Workflow:
    """Set the parameter ``node.param`` (or ``outer/inner.param``) from text, as ``--set`` does.

    ``text`` is JSON, or plain text where the parameter is text. Inside a group that exposes the parameter, it is set
    on the group's node; else in the body, which other nodes of that group then no longer share.
    Raises ArgumentError for a node or parameter that does not exist, a value that does not fit, and a parameter whose
    value comes from a link.
    """
    address, dot, param_name = name.partition(".")
    if not dot or not address or not param_name:
        raise ArgumentError(
            f"{shown(name)} is not of the form NODE.PARAM", remedy="such as denoise.guidance"
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
    link = _overriding(workflow, path, param_name, types)
    if link is not None:
        raise ArgumentError(
            f"is linked to {link}, so that setting it would change nothing",
            where=name,
            remedy=_instead(workflow, link, types),
        )
    path, param_name = _exposed(workflow, path, param_name)
    workflow, holder = _unshared(workflow, path)
    return _with_graph(
        workflow, holder, _graph_of(workflow, holder).set(path[-1], **{param_name: value})
    )


def _value(param: Param, text: str, where: str) -> Json:
    if not is_sound(text):
        raise ArgumentError(f"{text[:60]!a} is not text", where=where, remedy="write it in UTF-8")
    value: Json
    try:
        value = parse(text)
    except FileError as error:
        if param.kind is not ParamKind.TEXT:
            raise ArgumentError(
                f"{shown(text)}: {error.what}",
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


def _overriding(workflow: Workflow, path: list[str], param: str, types: Types) -> Link | None:
    """The link that gives a parameter its value in a run, its source by its flat name; None where its own holds."""
    node = _inner_node(workflow, path)
    while (name := group_of(workflow, node)) is not None:
        inner = workflow.groups[name].params[param]
        path, param = [*path, inner.node], inner.name
        node = _inner_node(workflow, path)
    live = validation.active(flatten(workflow, types), types).graph
    found = live.nodes.get(NodeId("/".join(path)))
    link = found.inputs.get(param) if found else None
    # a link from nowhere is for check to report
    return link if link is not None and link.node in live else None


def _instead(workflow: Workflow, link: Link, types: Types) -> str:
    """What to set in place of a parameter that a link overrides."""
    source = _inner_node(workflow, link.node.split("/"))
    declared = types.get(source.type)
    is_same = declared is not None and declared.param(link.output) is not None
    return f"set {link} instead" if is_same else f"set a parameter of {link.node} instead"


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
