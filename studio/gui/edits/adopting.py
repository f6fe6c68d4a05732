"""Values, links and nodes taken over from another workflow, such as that of an older picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from studio.comparison import Change
from studio.errors import GraphError
from studio.graph import Difference, Graph, Node, Types
from studio.gui.edits.copies import needed_groups
from studio.gui.edits.groups import body, with_body
from studio.gui.edits.links import with_nodes
from studio.gui.edits.nodes import remove
from studio.gui.edits.view import forgotten, named_in_view, placed, positions
from studio.workflow import Workflow

_ORDER = ("removed", "added", "type", "mode", "param", "link")


def adopt(w: Workflow, types: Types, source: Workflow, changes: Iterable[Change]) -> Workflow:
    """Make that of which ``changes`` speak as it is in ``source``, and leave all else.

    A node comes with its parameters, its place, and links from nodes that are here. Raises GraphError where a node that
    is to be changed, or linked from, is missing, and where a link would close a circle.
    """
    by_group: dict[str, list[Change]] = {}
    for one in changes:
        by_group.setdefault(one.group, []).append(one)
    for name, several in by_group.items():
        differences = [one.difference for one in several if one.difference is not None]
        if not name:
            w = _adopted(w, source, differences)
        elif name not in source.groups:
            # its body goes with the last node that stands for it
            continue
        elif name in w.groups and len(differences) == len(several):
            inside = _adopted(body(w, name), body(source, name), differences)
            w = with_body(w, types, name, inside)
        else:
            needed = needed_groups(source.groups[name].graph, source)
            w = replace(w, groups={**w.groups, **needed, name: source.groups[name]})
    w.graph.order()
    return w


def adopt_all(w: Workflow, source: Workflow) -> Workflow:
    """Let a workflow mean what ``source`` means; what both have stays where it stands."""
    after = replace(w, graph=source.graph, groups=source.groups, extra=source.extra)
    after = forgotten(after, named_in_view(after) - set(source.graph.nodes))
    here = positions(w)
    places = {node: place for node, place in positions(source).items() if node not in here}
    return placed(after, places)


def _adopted(w: Workflow, source: Workflow, differences: Sequence[Difference]) -> Workflow:
    for one in sorted(differences, key=lambda one: _ORDER.index(one.kind)):
        theirs = source.graph.nodes.get(one.node)
        mine = w.graph.nodes.get(one.node)
        if theirs is None:
            w = remove(w, [one.node]) if mine is not None else w
        elif mine is None:
            if one.kind not in ("added", "removed"):
                raise GraphError(
                    one.node, one.name, "is not in this document",
                    remedy="take everything over, or open the workflow",
                )  # fmt: skip
            w = _with_node(w, source, theirs)
        else:
            w = with_nodes(w, _changed(w.graph, mine, theirs, one))
    return w


def _with_node(w: Workflow, source: Workflow, node: Node) -> Workflow:
    inputs = {port: link for port, link in node.inputs.items() if link.node in w.graph}
    groups = needed_groups(Graph({node.id: node}), source)
    w = replace(w, groups={**groups, **w.groups})
    at = positions(source).get(node.id)
    return placed(with_nodes(w, replace(node, inputs=inputs)), {node.id: at} if at else {})


def _changed(graph: Graph, mine: Node, theirs: Node, one: Difference) -> Node:
    if one.kind == "mode":
        return replace(mine, mode=theirs.mode)
    if one.kind == "type":
        inputs = {port: link for port, link in theirs.inputs.items() if link.node in graph}
        return replace(theirs, inputs=inputs)
    if one.kind == "param":
        params = {name: value for name, value in mine.params.items() if name != one.name}
        if one.name in theirs.params:
            params[one.name] = theirs.params[one.name]
        return replace(mine, params=params)
    if one.kind == "link":
        inputs = {port: link for port, link in mine.inputs.items() if port != one.name}
        link = theirs.inputs.get(one.name)
        if link is not None and link.node not in graph:
            raise GraphError(
                mine.id, one.name, f"was fed by {link.node}, which is not here",
                remedy="take that node over first",
            )  # fmt: skip
        return replace(mine, inputs={**inputs, one.name: link} if link else inputs)
    return mine
