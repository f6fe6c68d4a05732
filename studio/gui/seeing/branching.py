"""Edits that act from a step of a trajectory on, so that only the steps from there are computed. No toolkit."""

from __future__ import annotations

import math

from studio.errors import GraphError
from studio.graph import Json, Link, NodeId, Types
from studio.gui import edits
from studio.gui.flowing import held
from studio.workflow import Workflow

_SWITCH = "prompt_schedule"
_CURVE = "guidance_curve"
_DECIMALS = 9


def share_of(step: int, total: int) -> float:
    """The shortest share of a run of ``total`` steps that is reached with ``step``, and not with the step before."""
    for decimals in range(2, _DECIMALS):
        scale = float(10**decimals)
        share = math.floor(scale * step / total) / scale
        if share * total > step - 1:
            return share
    return step / total


def prompt_from(
    w: Workflow, types: Types, loop: str, step: int, total: int
) -> tuple[Workflow, NodeId]:
    """Let a copy of the prompt take over after ``step`` of ``total`` steps; returns the copy's id as well.

    Until the copy is changed every result is what it was. Raises GraphError where no prompt leads the loop.
    """
    graph = w.graph
    link = graph.node(loop).inputs.get("positive")
    prompt = _encoder(w, link) if link is not None and link.node in graph else None
    if link is None or prompt is None or _SWITCH not in types:
        raise GraphError(
            loop, "positive", "has no prompt to branch from", remedy="link a text encoder"
        )
    x, y = edits.positions(w).get(prompt, (0.0, 0.0))
    after, copies = edits.duplicate(w, [prompt], (0.0, -220.0), True)
    copy = copies[0]
    # the copy is there to be changed
    text = held(w, types, graph.nodes[prompt], "prompt")
    after = edits.disconnect(after, copy, "prompt")
    after = edits.set_param(after, copy, "prompt", "" if text is None else text)
    at = share_of(step, total)
    after, switch = edits.add_node(after, types, _SWITCH, (x + 40.0, y - 400.0), {"at": at})
    output = link.output if link.node == prompt else "conditioning"
    after = edits.connect(after, types, link.node, link.output, switch, "first")
    after = edits.connect(after, types, copy, output, switch, "then")
    after = edits.connect(after, types, switch, "conditioning", loop, "positive")
    return after, copy


def guidance_at(w: Workflow, types: Types, loop: str, step: int, total: int) -> float:
    """The guidance with which the step after ``step`` is taken."""
    from studio.values import Guidance

    node = w.graph.node(loop)
    curve = _points(w, loop)
    if curve:
        source = w.graph.node(node.inputs["guidance_curve"].node)
        smooth = held(w, types, source, "smooth") is True
        return Guidance(tuple(curve), smooth).at(step / total)
    value = held(w, types, node, "guidance")
    if not isinstance(value, int | float):
        raise GraphError(loop, "guidance", "has no guidance to branch from")
    return float(value)


def guidance_from(
    w: Workflow, types: Types, loop: str, step: int, total: int, value: float
) -> tuple[Workflow, NodeId]:
    """Let guidance be ``value`` from ``step`` of ``total`` on; returns the id of the curve that says so.

    A curve that is linked already is kept up to there. Raises GraphError where the loop takes no guidance.
    """
    before = guidance_at(w, types, loop, step, total)
    share = share_of(step, total)
    link = w.graph.node(loop).inputs.get("guidance_curve")
    old = _points(w, loop)
    if link is not None and old:
        kept = [point for point in old if point[0] < share]
        if held(w, types, w.graph.node(link.node), "smooth") is True:
            kept = _as_stairs(w, types, loop, step, total)
            w = edits.disconnect(w, link.node, "smooth")
            w = edits.set_param(w, link.node, "smooth", False)
        w = edits.set_param(w, link.node, "points", _listed([*kept, (share, value)]))
        return w, link.node
    if _CURVE not in types or link is not None:
        raise GraphError(
            loop, "guidance_curve", "is fed by something that is no curve",
            remedy="change that node, or take its link away",
        )  # fmt: skip
    x, y = edits.positions(w).get(NodeId(loop), (0.0, 0.0))
    params: dict[str, Json] = {
        "points": _listed([(0.0, before), (share, value)]),
        "smooth": False,
    }
    w, curve = edits.add_node(w, types, _CURVE, (x - 230.0, y + 260.0), params)
    return edits.connect(w, types, curve, "guidance", loop, "guidance_curve"), curve


def _as_stairs(
    w: Workflow, types: Types, loop: str, step: int, total: int
) -> list[tuple[float, float]]:
    """The values of a smooth curve for each step before ``step``: any other line would differ in the last bit."""
    stairs: list[tuple[float, float]] = []
    for index in range(step):
        value = guidance_at(w, types, loop, index, total)
        if not stairs or stairs[-1][1] != value:
            stairs.append((share_of(index, total), value))
    return stairs


def _listed(points: list[tuple[float, float]]) -> list[Json]:
    return [[share, value] for share, value in points]


def _points(w: Workflow, loop: str) -> list[tuple[float, float]]:
    """The points of the curve that is linked, if it is one."""
    link = w.graph.node(loop).inputs.get("guidance_curve")
    source = w.graph.nodes.get(link.node) if link is not None else None
    points = source.params.get("points") if source is not None and source.type == _CURVE else None
    found: list[tuple[float, float]] = []
    for point in points if isinstance(points, list) else ():
        if isinstance(point, list) and len(point) == 2:
            share, value = point
            if isinstance(share, int | float) and isinstance(value, int | float):
                found.append((float(share), float(value)))
    return found


def _encoder(workflow: Workflow, link: Link) -> NodeId | None:
    """The nearest node before a link that has a prompt."""
    graph = workflow.graph
    pending, seen = [link.node], {link.node}
    while pending:
        node = graph.nodes[pending.pop(0)]
        if "prompt" in node.params:
            return node.id
        for source in node.inputs.values():
            if source.node in graph and source.node not in seen:
                seen.add(source.node)
                pending.append(source.node)
    return None
