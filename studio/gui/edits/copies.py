"""Copies of nodes, within a workflow or by way of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from studio.graph import Graph, Json, Link, Node, NodeId, Types
from studio.gui.edits.backdrops import frames, nodes_in_frame, notes
from studio.gui.edits.form import copied, without
from studio.gui.edits.links import is_sound, known_types, with_nodes
from studio.gui.edits.nodes import free_name
from studio.gui.edits.placing import arranged
from studio.gui.edits.routes import Dot, Input, Way, dots, routed, routes
from studio.gui.edits.view import (
    collapsed,
    colors,
    forgotten,
    mark,
    named_in_view,
    pinned,
    placed,
    positions,
    rect_of,
    tidy,
    view_list,
    view_object,
    whole,
    with_view,
)
from studio.gui.layout import Point
from studio.workflow import Group, Workflow, complete, dumps, loads, migrate
from studio.workflow.groups import group_of


def copy_text(w: Workflow, ids: Iterable[str]) -> str:
    """Nodes as the JSON text of a workflow file, for the clipboard; links from outside stand in it by name."""
    return dumps(_part(w, [w.graph.node(node).id for node in ids]))


def paste_text(
    w: Workflow, types: Types, text: str, at: Point | None, with_links: bool = False
) -> tuple[Workflow, list[NodeId]]:
    """Add what a workflow's JSON text holds, its top left corner at ``at`` (None: where it was); returns the new ids.

    Links inside are kept and ids renamed where they are taken. With ``with_links``, links from outside are kept where
    a node of that name is here and fits; else they are dropped. Raises FileError for text that is no workflow, and
    GraphError for one with a cycle.
    """
    part = loads(text, name="clipboard")
    part = complete(migrate(part, types), types)
    part.graph.order()
    part = arranged(part, types)
    places = positions(part)
    rects = [one.rect for one in frames(part)] + [one.rect for one in notes(part)]
    corners = [*places.values(), *((x, y) for x, y, _, _ in rects)]
    shift = (0.0, 0.0)
    if at is not None and corners:
        shift = (at[0] - min(x for x, _ in corners), at[1] - min(y for _, y in corners))
    merged, names = merged_with(w, types, part, shift, with_links)
    return copied(merged, part, names), list(names.values())


def duplicate(
    w: Workflow, ids: Sequence[str], offset: Point = (40.0, 40.0), with_links: bool = False
) -> tuple[Workflow, list[NodeId]]:
    """Copy nodes with the links among them, and with those from outside if asked; returns the copies' ids in order."""
    chosen = [w.graph.node(node).id for node in ids]
    part = replace(_part(w, chosen), groups=w.groups)
    part = with_view(part, "frames", None)
    merged, names = merged_with(w, {}, part, offset, with_links)
    return merged, [names[node] for node in chosen]


def _part(w: Workflow, ids: Sequence[NodeId]) -> Workflow:
    """The nodes alone, with their places, the groups they need, and the frames that hold nothing else."""
    chosen = set(ids)
    part = Workflow(
        graph=Graph({node: w.graph.nodes[node] for node in ids}),
        view={key: value for key, value in w.view.items() if key != "notes"},
    )
    part = without(forgotten(part, named_in_view(w) - chosen), w.graph.nodes.keys() - chosen)
    inside = {frame.index: set(nodes_in_frame(w, frame)) for frame in frames(w)}
    part = with_view(
        part,
        "frames",
        [
            fields
            for index, fields in enumerate(view_list(w, "frames"))
            if inside.get(index) and inside[index] <= chosen
        ],
    )
    return replace(part, groups=needed_groups(part.graph, w))


def needed_groups(graph: Graph, w: Workflow) -> dict[str, Group]:
    """The groups that stand in a graph, and those in their bodies."""
    needed: dict[str, Group] = {}
    pending = [graph]
    while pending:
        for node in pending.pop():
            name = group_of(w, node)
            if name is not None and name not in needed:
                needed[name] = w.groups[name]
                pending.append(w.groups[name].graph)
    return needed


def merged_with(
    w: Workflow, types: Types, part: Workflow, shift: Point, with_links: bool
) -> tuple[Workflow, dict[NodeId, NodeId]]:
    """Put ``part`` beside what is there; returns the new name of each of its nodes as well."""
    w, part = _with_groups_of(w, part)
    known = known_types(w, types)
    taken = set(w.graph.nodes)
    names: dict[NodeId, NodeId] = {}
    for old in part.graph.nodes:
        names[old] = free_name(old, taken)
        taken.add(names[old])
    nodes: list[Node] = []
    for node in part.graph:
        inputs: dict[str, Link] = {}
        for port, link in node.inputs.items():
            if link.node in names:
                inputs[port] = Link(names[link.node], link.output)
            elif (
                with_links
                and link.node in w.graph
                and is_sound(w.graph, known, link, known.get(node.type), port)
            ):
                inputs[port] = link
        nodes.append(replace(node, id=names[node.id], inputs=inputs))
    merged = with_nodes(w, *nodes)
    merged = placed(
        merged,
        {names[n]: (x + shift[0], y + shift[1]) for n, (x, y) in positions(part).items()},
    )
    merged = mark(merged, "collapsed", [names[node] for node in collapsed(part)], True)
    merged = mark(merged, "pinned", [names[node] for node in pinned(part)], True)
    merged = mark(merged, "tidy", [names[node] for node in tidy(part)], True)
    painted: dict[str, Json] = {names[node]: name for node, name in colors(part).items()}
    if painted:
        merged = with_view(merged, "colors", {**view_object(merged, "colors"), **painted})
    merged = routed(merged, _copied_ways(w, part, names, shift))
    for key in ("frames", "notes"):
        added = [_shifted(fields, shift) for fields in view_list(part, key)]
        if added:
            merged = with_view(merged, key, [*view_list(merged, key), *added])
    return merged, names


def _copied_ways(
    w: Workflow, part: Workflow, names: Mapping[NodeId, NodeId], shift: Point
) -> dict[Input, Way]:
    """The dots of copied links: moved along with the copies; those from outside keep what they share with others."""
    here = set(dots(w))
    ways: dict[Input, Way] = {}
    for (node, port), way in routes(part).items():
        link = part.graph.nodes[node].inputs[port]
        if link.node in names:
            ways[names[node], port] = tuple((x + shift[0], y + shift[1]) for x, y in way)
        elif all(Dot(link, point) in here for point in way):
            ways[names[node], port] = way
    return ways


def _shifted(fields: Json, shift: Point) -> Json:
    rect = rect_of(fields)
    if rect is None or not isinstance(fields, dict):
        return fields
    x, y, width, height = rect
    return {**fields, "rect": whole((x + shift[0], y + shift[1], width, height))}


def _with_groups_of(w: Workflow, part: Workflow) -> tuple[Workflow, Workflow]:
    """Bring the groups of ``part`` along, under other names where another group has the name."""
    names: dict[str, str] = {}
    taken = set(w.groups) | set(part.groups)
    for name, body in part.groups.items():
        if name in w.groups and w.groups[name] != body:
            names[name] = free_name(name, taken)
            taken.add(names[name])

    def renamed(graph: Graph) -> Graph:
        return Graph(
            {
                node.id: replace(
                    node, type=Graph.GROUP + names[node.type.removeprefix(Graph.GROUP)]
                )
                if group_of(part, node) in names
                else node
                for node in graph
            }
        )

    if not part.groups:
        return w, part
    groups = {
        names.get(name, name): replace(body, graph=renamed(body.graph)) if names else body
        for name, body in part.groups.items()
    }
    return replace(w, groups={**w.groups, **groups}), replace(part, graph=renamed(part.graph))
