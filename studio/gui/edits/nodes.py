"""Nodes added, removed, renamed, set and swapped for others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from studio.errors import GraphError
from studio.graph import (
    NODE_ID,
    Graph,
    Json,
    Link,
    Mode,
    Node,
    NodeId,
    NodeType,
    Types,
    fits,
    nearest,
)
from studio.gui.edits.form import renamed_in, without
from studio.gui.edits.links import (
    bridged,
    distance,
    is_sound,
    known_types,
    linked,
    linked_either_way,
    with_inputs,
    with_nodes,
)
from studio.gui.edits.routes import Input, Way, routed, routes, unrouted
from studio.gui.edits.view import forgotten, placed, renamed
from studio.gui.layout import Point
from studio.workflow import Workflow

STEMS: Mapping[str, str] = MappingProxyType(
    {
        "load_classifier": "classifier",
        "load_controlnet": "controlnet",
        "load_image": "picture",
        "load_mask": "mask",
        "load_model": "model",
        "load_text_encoder": "text_encoder",
        "load_unet": "unet",
        "load_vae": "vae",
        "inpaint_mask": "mask",
        "noise_source": "noise",
        "save_animation": "animation",
        "save_image": "save",
        "text_encoder": "prompt",
        "vae_decode": "decode",
        "vae_encode": "encode",
    }
)
"""What a new node is called, by its type, where the type's own name is not what one would type."""

_NO_PARAMS: Mapping[str, Json] = MappingProxyType({})


def stem(type_id: str) -> str:
    """The name, without a number, of a new node of a type."""
    name = STEMS.get(type_id, type_id.removeprefix(Graph.GROUP))
    name = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
    return name if NODE_ID.match(name) else f"node_{name}".rstrip("_")


def free_name(wanted: str, taken: Collection[str]) -> NodeId:
    """``wanted``, or its stem with the first free number."""
    if wanted not in taken:
        return NodeId(wanted)
    base = re.sub(r"_\d+\Z", "", wanted)
    number = 2
    while f"{base}_{number}" in taken:
        number += 1
    return NodeId(f"{base}_{number}")


def add_node(
    w: Workflow,
    types: Types,
    type_id: str,
    at: Point = (0.0, 0.0),
    params: Mapping[str, Json] = _NO_PARAMS,
    *,
    after: Sequence[str] = (),
    source: tuple[str, str] | None = None,
    target: tuple[str, str] | None = None,
) -> tuple[Workflow, NodeId]:
    """Add a node with every parameter at its default, save ``params``; returns its id as well.

    With ``after`` it is linked to these nodes where types fit: from each, one output into the best free input of the
    new node, or else from the new node into a free input there. ``source`` (node, output) and ``target`` (node,
    input) are the end of a link that was dropped where the node now stands: the best fitting port takes it.
    Raises GraphError for an unknown type.
    """
    known = known_types(w, types)
    declared = known.get(type_id)
    if declared is None:
        raise GraphError(type_id, "", "there is no such node type", remedy=nearest(type_id, known))
    # a parameter that a group's node does not set follows the body
    defaults = {} if type_id.startswith(Graph.GROUP) else declared.defaults()
    node = Node(
        id=w.graph.free_id(stem(type_id)),
        type=type_id,
        version=declared.version,
        params={**defaults, **params},
    )
    w = placed(replace(w, graph=w.graph.add(node)), {node.id: at})
    if source is not None:
        w = linked(w, known, source[0], node.id, output=source[1], into_params=True)
    if target is not None:
        w = linked(w, known, node.id, target[0], port=target[1], only_free=False)
    for other in after:
        w = linked_either_way(w, known, other, node.id)
    return w, node.id


def remove(w: Workflow, ids: Iterable[str]) -> Workflow:
    """Remove nodes, their links, and what the view says about them."""
    gone = {w.graph.node(node).id for node in ids}
    if not gone:
        return w
    return without(forgotten(unrouted(w, w.graph.remove(*gone)), gone), gone)


def remove_and_reconnect(w: Workflow, types: Types, ids: Iterable[str]) -> Workflow:
    """Remove nodes and link what they fed to what fed them, where types fit."""
    gone = {w.graph.node(node).id for node in ids}
    return remove(bridged(w, types, gone), gone)


def rename(w: Workflow, old: str, new: str) -> Workflow:
    """Give a node another id; links and view follow. Raises GraphError if it is taken or malformed."""
    if old == new:
        return w
    return renamed_in(renamed(replace(w, graph=w.graph.rename(old, new)), old, new), {old: new})


def set_param(w: Workflow, node: str, name: str, value: Json) -> Workflow:
    """Set a parameter; whether the value fits is for ``Param.check`` before, and for validation after."""
    found = w.graph.node(node)
    return with_nodes(w, replace(found, params={**found.params, name: value}))


def reset_param(w: Workflow, types: Types, node: str, name: str) -> Workflow:
    """Set a parameter to its default; on the node of a group, let it follow the body again."""
    found = w.graph.node(node)
    declared = known_types(w, types).get(found.type)
    param = declared.param(name) if declared else None
    if param is None or found.type.startswith(Graph.GROUP):
        kept = {key: value for key, value in found.params.items() if key != name}
        return with_nodes(w, replace(found, params=kept))
    return set_param(w, node, name, param.default)


def set_mode(w: Workflow, ids: Iterable[str], mode: Mode) -> Workflow:
    """Mute, bypass or wake nodes."""
    nodes = [replace(w.graph.node(node), mode=mode) for node in ids]
    return with_nodes(w, *nodes)


def toggle_mode(w: Workflow, ids: Sequence[str], mode: Mode) -> Workflow:
    """Give nodes a mode, or wake them if all of them have it."""
    is_on = all(w.graph.node(node).mode == mode for node in ids)
    return set_mode(w, ids, "normal" if is_on else mode)


def swap_type(w: Workflow, types: Types, node: str, type_id: str) -> Workflow:
    """Make a node one of another type; like-named parameters that fit stay, and so do links, by name or by type.

    Its name stays. Raises GraphError for an unknown type.
    """
    known = known_types(w, types)
    old, declared = w.graph.node(node), known.get(type_id)
    if declared is None:
        raise GraphError(type_id, "", "there is no such node type", remedy=nearest(type_id, known))
    params: dict[str, Json] = {} if type_id.startswith(Graph.GROUP) else dict(declared.defaults())
    for param in declared.params:
        if param.name in old.params:
            try:
                params[param.name] = param.check(old.params[param.name])
            except ValueError:
                continue  # the default stands
    fresh = replace(old, type=type_id, version=declared.version, params=params, inputs={})
    swapped = with_nodes(w, fresh)
    inputs = _refitted(swapped.graph, known, old, declared)
    swapped = with_inputs(swapped, {old.id: inputs})
    before = known.get(old.type)
    changed: dict[NodeId, dict[str, Link]] = {}
    for consumer in swapped.graph:
        if any(link.node == old.id for link in consumer.inputs.values()):
            changed[consumer.id] = _refed(consumer, known, old.id, before, declared)
    return _routed_alike(with_inputs(swapped, changed), w, old.id)


def _routed_alike(w: Workflow, before: Workflow, swapped: NodeId) -> Workflow:
    """Lead the links to and from a swapped node as they were led before, at whatever ports they are now."""
    ways: dict[Input, Way] = {}
    for (node, port), way in routes(before).items():
        link = before.graph.nodes[node].inputs[port]
        now = w.graph.nodes[node].inputs
        if link.node == swapped and port in now:
            ways[node, port] = way
        elif node == swapped:
            ways.update({(node, other): way for other, one in now.items() if one == link})
    return routed(w, ways)


def _refitted(graph: Graph, known: Types, old: Node, declared: NodeType) -> dict[str, Link]:
    """The links of a node for the ports of another type: by name first, then by type into what is free."""
    inputs: dict[str, Link] = {}
    rest: list[Link] = []
    for port, link in old.inputs.items():
        if declared.socket(port) and is_sound(graph, known, link, declared, port):
            inputs[port] = link
        else:
            rest.append(link)
    for link in rest:
        source = graph.nodes.get(link.node)
        gives = known.get(source.type) if source else None
        leaving = gives.output(link.output) if gives else None
        free = [
            port
            for port in declared.inputs
            if leaving is not None and port.name not in inputs and fits(leaving.type, port.type)
        ]
        if leaving is not None and free:
            best = min(free, key=lambda port: distance(leaving, port))
            inputs[best.name] = link
    return inputs


def _refed(
    consumer: Node, known: Types, node: NodeId, before: NodeType | None, after: NodeType
) -> dict[str, Link]:
    """The inputs of a consumer once the node that feeds it has another type."""
    takes = known.get(consumer.type)
    inputs: dict[str, Link] = {}
    for port, link in consumer.inputs.items():
        entering = takes.socket(port) if takes else None
        if link.node != node:
            inputs[port] = link
            continue
        was = before.output(link.output) if before else None
        fitting = [
            output
            for output in after.outputs
            if entering is None or fits(output.type, entering.type)
        ]
        named = next((output for output in fitting if output.name == link.output), None)
        if named is None and entering is not None:
            exact = [output for output in fitting if was is not None and output.type is was.type]
            named = next(iter(exact or fitting), None)
        if named is not None:
            inputs[port] = Link(node, named.name)
    return inputs
