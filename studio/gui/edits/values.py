"""Parameters made inputs: a node of a plain value takes the place of what was set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from studio.errors import GraphError
from studio.graph import Node, NodeId, NodeKind, NodeType, Param, Types
from studio.gui.edits.links import connect, known_types
from studio.gui.edits.nodes import free_name, stem
from studio.gui.edits.view import NO_SIZES, Sizes, placed, positions, sizes_of
from studio.gui.layout import Point, estimated_size
from studio.workflow import Workflow

_WIDTH = 240.0
"""Of a node as the canvas paints it."""
_GAP, _ROOM = 60.0, 20.0
"""What is left free beside the node, and around the new one."""


def constant_for(types: Types, param: Param) -> str | None:
    """The type of node that gives a parameter a plain value and nothing else: for a seed, one that holds seeds."""
    fitting = [
        (not _is_alike(param, declared.params[0]), declared.pack != "core", type_id)
        for type_id, declared in types.items()
        if _is_constant(declared)
        and declared.params[0].kind is param.kind
        and declared.outputs[0].type is param.takes
    ]
    return min(fitting)[2] if fitting else None


def constant_param(declared: NodeType | None) -> str | None:
    """The parameter that a node of a plain value gives; None for any other type."""
    return declared.params[0].name if declared and _is_constant(declared) else None


def _is_constant(declared: NodeType) -> bool:
    return (
        declared.kind is NodeKind.DESCRIBE
        and not declared.inputs
        and len(declared.params) == len(declared.outputs) == 1
    )


def _is_alike(param: Param, own: Param) -> bool:
    return param.hint is None or own.hint is None or type(param.hint) is type(own.hint)


def make_input(
    w: Workflow,
    types: Types,
    node: str,
    name: str,
    at: Point | None = None,
    *,
    sharing: Iterable[str] = (),
    sizes: Sizes = NO_SIZES,
) -> tuple[Workflow, NodeId]:
    """Let a parameter's value come from a node of its own; returns that node's id as well.

    The new node takes the present value over, so that nothing else changes, and is called like the parameter. It
    stands at ``at``, or to the left of the node where there is room. Parameters of that name of the nodes ``sharing``
    get the same value. Raises GraphError where that cannot be, with the reason.
    """
    known = known_types(w, types)
    declared = known.get(w.graph.node(node).type)
    param = declared.param(name) if declared else None
    type_id = constant_for(known, param) if param else None
    if param is None or type_id is None:
        raise GraphError(node, name, "takes no link", remedy="choose a number, a text or a switch")
    link = w.graph.node(node).inputs.get(name)
    if link is not None:
        raise GraphError(node, name, f"is linked to {link} already", remedy="unlink it first")
    value = w.graph.node(node).params.get(name, param.default)
    own = known[type_id].params[0]
    try:
        value = own.check(value)
    except ValueError as error:
        what = "has no value" if value is None else str(error)
        raise GraphError(
            node, name, what, remedy="set it first, for a node to take over"
        ) from error
    made = free_name(stem(name), w.graph.nodes)
    fresh = Node(made, type_id, known[type_id].version, {own.name: value})
    place = _room_beside(w, known, node, fresh, sizes) if at is None else at
    w = placed(replace(w, graph=w.graph.add(fresh)), {made: place})
    output = known[type_id].outputs[0].name
    for target in dict.fromkeys([node, *sharing]):
        w = connect(w, types, made, output, target, name)
    return w, made


def _room_beside(w: Workflow, known: Types, node: str, fresh: Node, sizes: Sizes) -> Point:
    """The first place to the left of a node, from its top down, where a new one overlaps none."""
    corner = positions(w).get(NodeId(node), (0.0, 0.0))
    width, height = _WIDTH, estimated_size(fresh, known.get(fresh.type))[1]
    left, top = corner[0] - width - _GAP, corner[1]
    others = sizes_of(w, known, positions(w), sizes)
    taken = sorted(
        (y, y + others[name][1])
        for name, (x, y) in positions(w).items()
        if x < left + width + _ROOM and left < x + others[name][0] + _ROOM
    )
    for begins, ends in taken:
        if begins < top + height + _ROOM and top < ends + _ROOM:
            top = ends + _ROOM
    return (left, top)
