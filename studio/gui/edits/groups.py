"""Nodes put into groups and taken out again, and the inside of a group shown as a workflow of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from studio.errors import GraphError
from studio.graph import NODE_ID, Graph, Link, Node, NodeId, Types, nearest
from studio.gui.edits.copies import merged_with, needed_groups
from studio.gui.edits.form import body_changed, grouped, shown_changed, ungrouped
from studio.gui.edits.links import known_types, with_inputs
from studio.gui.edits.nodes import free_name, set_mode, set_param
from studio.gui.edits.routes import Input, Way, routed, routes, unrouted
from studio.gui.edits.view import forgotten, named_in_view, placed, positions
from studio.workflow import Group, Inner, Workflow, group_types
from studio.workflow.groups import group_of, led_to

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


def body(w: Workflow, name: str) -> Workflow:
    """The inside of a group as a workflow of its own, to be shown and edited; raises GraphError if there is none."""
    inside = w.groups.get(name)
    if inside is None:
        raise GraphError(
            Graph.GROUP + name, "", "there is no such group", remedy=nearest(name, w.groups)
        )
    return Workflow(graph=inside.graph, groups=w.groups, view=inside.view)


def group_at(w: Workflow, path: Iterable[str]) -> str | None:
    """The name of the group that a path of nodes leads into; None for no path, and where there is no way."""
    graph, name = w.graph, None
    for step in path:
        node = graph.nodes.get(NodeId(step))
        name = group_of(w, node) if node else None
        if name is None:
            return None
        graph = w.groups[name].graph
    return name


def inside(w: Workflow, path: Sequence[str]) -> Workflow:
    """The workflow itself, or the body of the group that ``path`` leads into; raises GraphError if none is there."""
    name = group_at(w, path)
    if path and name is None:
        raise GraphError("/".join(path), "", "there is no such group")
    return body(w, name) if name is not None else w


def with_inside(
    w: Workflow,
    types: Types,
    path: Sequence[str],
    edited: Workflow,
    renamed: Mapping[str, str] = _NO_NAMES,
) -> Workflow:
    """Put an edited ``inside`` back, as ``with_body`` does."""
    name = group_at(w, path)
    return edited if name is None else with_body(w, types, name, edited, renamed)


def with_body(
    w: Workflow, types: Types, name: str, edited: Workflow, renamed: Mapping[str, str] = _NO_NAMES
) -> Workflow:
    """Put an edited ``body`` back; ports and parameters shown outside follow ``renamed`` nodes (old id: new id).

    What the group showed of nodes that are gone is gone too, and so are links to it. Raises GraphError if the group
    would contain itself.
    """
    before, old = w, body(w, name).groups[name]
    graph = edited.graph

    def inner(one: Inner) -> Inner:
        return Inner(NodeId(renamed.get(one.node, one.node)), one.name)

    fed = {
        p: tuple(i for i in map(inner, found) if i.node in graph) for p, found in old.inputs.items()
    }
    led = {
        p: Link(inner(Inner(link.node, "")).node, link.output) for p, link in old.outputs.items()
    }
    set_ = {p: inner(found) for p, found in old.params.items()}
    changed = replace(
        old,
        graph=graph,
        view=edited.view,
        inputs={port: found for port, found in fed.items() if found},
        outputs={port: link for port, link in led.items() if link.node in graph},
        params={param: found for param, found in set_.items() if found.node in graph},
    )
    lost = _Lost(
        Graph.GROUP + name,
        inputs=old.inputs.keys() - changed.inputs.keys(),
        outputs=old.outputs.keys() - changed.outputs.keys(),
        params=old.params.keys() - changed.params.keys(),
    )
    groups = {**edited.groups, name: changed}
    w = replace(
        w,
        graph=lost.taken_from(w.graph),
        groups={key: replace(one, graph=lost.taken_from(one.graph)) for key, one in groups.items()},
    )
    group_types(w, types)
    w = body_changed(w, before, name, graph, renamed)
    for param in lost.params:
        w = shown_changed(w, before, name, param, None)
    return w


@dataclass(frozen=True)
class _Lost:
    """What the nodes of a type no longer have."""

    type: str
    inputs: Collection[str]
    outputs: Collection[str]
    params: Collection[str]

    def taken_from(self, graph: Graph) -> Graph:
        """The graph without links and parameters that have nothing to hold on to."""
        if not (self.inputs or self.outputs or self.params):
            return graph
        standing = {node.id for node in graph if node.type == self.type}
        nodes: dict[NodeId, Node] = {}
        for node in graph:
            inputs = {
                port: link
                for port, link in node.inputs.items()
                if not (link.node in standing and link.output in self.outputs)
                and not (node.id in standing and (port in self.inputs or port in self.params))
            }
            is_ours = node.id in standing
            params = {
                key: value
                for key, value in node.params.items()
                if not (is_ours and key in self.params)
            }
            nodes[node.id] = replace(node, inputs=inputs, params=params)
        return Graph(nodes)


def group(w: Workflow, types: Types, ids: Iterable[str], name: str) -> tuple[Workflow, NodeId]:
    """Put nodes into a group of their own; one node stands for it, with the links that crossed its edge.

    Outputs that nothing takes show outside as well. Raises GraphError if the name is malformed or a link would leave
    the group and come back.
    """
    chosen = {w.graph.node(node).id for node in ids}
    if not NODE_ID.match(name):
        raise GraphError(name, "", "is not a name", remedy="use a-z, 0-9 and _, a letter first")
    if not chosen:
        raise GraphError(name, "", "has no nodes", remedy="select what goes into the group")
    inside = {node.id: node for node in w.graph if node.id in chosen}
    name = free_name(name, w.groups)
    crossing = _Crossing.of(w.graph, chosen, known_types(w, types))
    places = {node: place for node, place in positions(w).items() if node in chosen}
    within = Graph(
        {
            node.id: replace(
                node, inputs={p: link for p, link in node.inputs.items() if link.node in chosen}
            )
            for node in inside.values()
        }
    )
    part = forgotten(unrouted(w, within), named_in_view(w) - chosen)
    view = {
        key: value for key, value in part.view.items() if key not in ("frames", "notes", "form")
    }
    made = Group(
        graph=within,
        inputs=crossing.inputs,
        outputs=crossing.outputs,
        view=view,
    )
    stand_in = free_name(name, w.graph.nodes.keys() - chosen)
    ports = {link: port for port, link in crossing.outputs.items()}
    nodes = {
        node.id: replace(
            node,
            inputs={
                port: Link(stand_in, ports[link]) if link.node in chosen else link
                for port, link in node.inputs.items()
            },
        )
        for node in w.graph
        if node.id not in chosen
    }
    nodes[stand_in] = Node(stand_in, Graph.GROUP + name, inputs=crossing.sources)
    graph = Graph(nodes)
    fed_by = (link.node for link in crossing.sources.values())
    if stand_in in graph.needed(node for node in fed_by if node in graph):
        raise GraphError(
            name, "", "would feed itself: a link leaves the selection and comes back",
            remedy="select what lies between as well",
        )  # fmt: skip
    ways = routes(w)
    w = forgotten(replace(w, graph=graph, groups={**w.groups, name: made}), chosen)
    w = grouped(w, chosen, stand_in)
    w = routed(
        w,
        {
            (stand_in, port): ways.get((inners[0].node, inners[0].name), ())
            for port, inners in crossing.inputs.items()
        },
    )
    if places:
        corner = (min(x for x, _ in places.values()), min(y for _, y in places.values()))
        w = placed(w, {stand_in: corner})
    return w, stand_in


@dataclass(frozen=True)
class _Crossing:
    """What crosses the edge of a set of nodes, by the names of the ports that a group for them gets."""

    inputs: Mapping[str, tuple[Inner, ...]]
    sources: Mapping[str, Link]
    outputs: Mapping[str, Link]

    @classmethod
    def of(cls, graph: Graph, chosen: Collection[NodeId], known: Types) -> _Crossing:
        fed: dict[Link, list[Inner]] = {}
        taken: dict[Link, None] = {}
        used: set[Link] = set()
        for node in graph:
            for port, link in node.inputs.items():
                if node.id in chosen:
                    used.add(link)
                    if link.node not in chosen:
                        fed.setdefault(link, []).append(Inner(node.id, port))
                elif link.node in chosen:
                    taken[link] = None
        for node in graph:
            declared = known.get(node.type) if node.id in chosen else None
            for output in declared.outputs if declared else ():
                if Link(node.id, output.name) not in used:
                    taken[Link(node.id, output.name)] = None
        inputs: dict[str, tuple[Inner, ...]] = {}
        sources: dict[str, Link] = {}
        for link, inners in fed.items():
            port = free_name(inners[0].name, inputs)
            inputs[port] = tuple(inners)
            sources[port] = link
        outputs: dict[str, Link] = {}
        for link in taken:
            outputs[free_name(link.output, outputs)] = link
        return cls(inputs, sources, outputs)


def ungroup(w: Workflow, types: Types, ids: Iterable[str]) -> tuple[Workflow, list[NodeId]]:
    """Put the bodies of groups in place of the nodes that stand for them; returns what came out.

    Raises GraphError for a node that is no group, and for a bypassed one: its body has no such mode.
    """
    out: list[NodeId] = []
    for node in ids:
        w, inner = _unpacked(w, w.graph.node(node))
        out.extend(inner)
    return w, out


def _unpacked(w: Workflow, outer: Node) -> tuple[Workflow, list[NodeId]]:
    name = group_of(w, outer)
    if name is None:
        raise GraphError(outer.id, "", f"is not a group but {outer.type}")
    if outer.mode == "bypass":
        raise GraphError(outer.id, "", "is bypassed", remedy="wake it before taking it apart")
    inside = body(w, name)
    shown = w.groups[name]
    for param, value in outer.params.items():
        place = shown.params.get(param)
        if place is not None and place.node in inside.graph:
            inside = set_param(inside, place.node, place.name, value)
    if outer.mode != "normal":
        inside = set_mode(inside, inside.graph.nodes, outer.mode)
    at = positions(w).get(outer.id)
    places = positions(inside).values()
    shift = (0.0, 0.0)
    if at is not None and places:
        shift = (at[0] - min(x for x, _ in places), at[1] - min(y for _, y in places))
    rest = forgotten(
        replace(w, graph=Graph({n.id: n for n in w.graph if n.id != outer.id})), [outer.id]
    )
    merged, names = merged_with(rest, {}, inside, shift, with_links=False)
    merged = ungrouped(
        merged, outer.id, names, {key: (one.node, one.name) for key, one in shown.params.items()}
    )
    fed: dict[NodeId, dict[str, Link]] = {}
    old, ways = routes(w), dict[Input, Way]()
    for port, link in outer.inputs.items():
        for inner in led_to(shown, port):
            if inner.node in names:
                fed.setdefault(names[inner.node], {})[inner.name] = link
                ways[names[inner.node], inner.name] = old.get((outer.id, port), ())
    inputs = {node: {**merged.graph.nodes[node].inputs, **links} for node, links in fed.items()}
    past = _past_group(rest.graph, outer.id, shown, names)
    ways.update({key: way for key, way in old.items() if key[1] in past.get(key[0], {})})
    return routed(with_inputs(merged, {**inputs, **past}), ways), list(names.values())


def _past_group(
    graph: Graph, outer: NodeId, shown: Group, names: Mapping[NodeId, NodeId]
) -> dict[NodeId, dict[str, Link]]:
    """The inputs of what a group fed, led to the nodes that came out of it."""
    changed: dict[NodeId, dict[str, Link]] = {}
    for consumer in graph:
        if not any(link.node == outer for link in consumer.inputs.values()):
            continue
        inputs: dict[str, Link] = {}
        for port, link in consumer.inputs.items():
            source = shown.outputs.get(link.output)
            if link.node != outer:
                inputs[port] = link
            elif source is not None and source.node in names:
                inputs[port] = Link(names[source.node], source.output)
        changed[consumer.id] = inputs
    return changed


def without_stale_groups(before: Workflow, after: Workflow) -> Workflow:
    """Drop the groups that were in use before an edit and are no longer; what was never in use stays."""
    if not after.groups or after.graph is before.graph:
        return after
    stale = needed_groups(before.graph, before).keys() - needed_groups(after.graph, after).keys()
    if not stale:
        return after
    # a body that stays for its own sake may still hold them
    kept = {name: one for name, one in after.groups.items() if name not in stale}
    for one in list(kept.values()):
        kept.update(needed_groups(one.graph, after))
    return replace(after, groups=kept)
