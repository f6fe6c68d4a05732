"""A plan for people: what would run, from which step, why, how long and in how much memory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from studio.graph import Graph, Json, Key, NodeId, Types
from studio.keys import digest
from studio.numerics import Numerics
from studio.plan.context import PlanningContext
from studio.plan.keyed import Index, Keyed
from studio.plan.keying import key_graph
from studio.plan.memory import cost_of, costs_of, remembered
from studio.plan.outstanding import Outlook, Status, outlook


@dataclass(frozen=True)
class Planned:
    """One line of a plan."""

    node: NodeId
    type: str
    key: Key
    status: Status
    from_step: int
    steps: int
    reason: str
    seconds: float | None
    """Predicted from past runs on this device; None if there were none."""
    bytes: int | None
    """Predicted peak memory of the process while it runs; None if unknown."""


@dataclass(frozen=True)
class Plan:
    """What would run, node by node in topological order."""

    nodes: tuple[Planned, ...]
    setup_seconds: float = 0.0
    """Predicted time for loading models, if any node runs."""

    @property
    def seconds(self) -> float:
        """Predicted duration of all that would run, as far as it is known."""
        return self.setup_seconds + sum(node.seconds or 0.0 for node in self.nodes)

    @property
    def bytes(self) -> int | None:
        """Predicted peak memory, as far as it is known."""
        return max((node.bytes for node in self.nodes if node.bytes), default=None)

    @property
    def model_calls(self) -> int:
        """Forward passes of the denoising network that lie ahead."""
        return sum(
            node.steps - node.from_step
            for node in self.nodes
            if node.status in ("runs", "resumes") and node.steps
        )

    def to_json(self) -> dict[str, object]:
        """The plan as plain data: ``nodes`` by id, and the totals."""
        nodes = {node.node: dataclasses.asdict(node) for node in self.nodes}
        for node in nodes.values():
            del node["node"]
        return {
            "nodes": nodes,
            "model_calls": self.model_calls,
            "seconds": self.seconds,
            "bytes": self.bytes,
        }


def plan(
    graph: Graph,
    types: Types,
    targets: Sequence[str],
    context: PlanningContext,
    index: Index,
    workflow: str,
) -> Plan:
    """Say what would run, from which step, why, how long and in how much memory.

    ``workflow`` names whose past counts. Raises what ``key_graph`` raises.
    """
    keyed = key_graph(graph, types, targets, context)
    ahead = outlook(keyed, targets, index)
    past = remembered(context.facts, workflow)
    causes = _causes(keyed, past, context.numerics)
    costs = costs_of(keyed, context, workflow)
    nodes = tuple(
        _planned(item, ahead[item.id], past, causes[item.id], costs.get(item.id)) for item in keyed
    )
    runs = any(ahead[item.id].status in ("runs", "resumes") for item in keyed)
    setup = context.facts.get("timing", f"{workflow} setup {digest(context.numerics)}")
    return Plan(nodes, cost_of(setup)[0] if runs else 0.0)


def _planned(
    item: Keyed,
    ahead: Outlook,
    past: Mapping[str, Json],
    causes: Sequence[str],
    cost: tuple[float, float] | None,
) -> Planned:
    status = ahead.status
    if item.described is not None and (causes or item.id not in past):
        status = "runs"
    if status not in ("runs", "resumes"):
        cost = None
    left = item.passes - ahead.from_step if item.passes else 1
    return Planned(
        item.id,
        item.type.id,
        item.key,
        status,
        item.passes if status == "cached" else ahead.from_step,
        item.passes,
        _reason(item, status, past, causes),
        None if cost is None else cost[0] * left,
        None if cost is None else int(cost[1]),
    )


def _reason(item: Keyed, status: Status, past: Mapping[str, Json], causes: Sequence[str]) -> str:
    if status == "cached":
        return "described" if item.described is not None else "stored"
    if status == "skipped":
        return "not needed: what depends on it is stored"
    if item.id not in past:
        return "new"
    return ", ".join(causes) or "no longer stored"


def _causes(
    keyed: Sequence[Keyed], past: Mapping[str, Json], numerics: Numerics
) -> dict[NodeId, tuple[str, ...]]:
    """For each node the root causes of a changed key: parameters, links and versions, its own or upstream."""
    causes: dict[NodeId, tuple[str, ...]] = {}
    numerics_before = past.get("")
    for item in keyed:
        before = past.get(item.id)
        found: dict[str, None] = {}
        if isinstance(before, dict):
            if before.get("numerics") != item.document["numerics"] and isinstance(
                numerics_before, dict
            ):
                changes = "; ".join(numerics.differences(dict(numerics_before)))
                found[f"other numerics class ({changes})"] = None
            found.update(dict.fromkeys(_own_causes(item, before)))
            for port, (link, identity) in _inputs(item.document).items():
                was = _inputs(before).get(port)
                if was is not None and was[0] == link and was[1] != identity:
                    upstream = item.node.inputs[port].node
                    found.update(dict.fromkeys(causes[upstream] or (f"{upstream} is new",)))
        causes[item.id] = tuple(found)
    return causes


def _own_causes(item: Keyed, before: Mapping[str, Json]) -> Iterator[str]:
    for name in ("type", "version"):
        if before.get(name) != item.document[name]:
            yield f"{item.id}: {name} {before.get(name)} -> {item.document[name]}"
    old, new = before.get("params"), item.document["params"]
    assert isinstance(new, dict)
    old = old if isinstance(old, dict) else {}
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            source = f" ({item.node.inputs[name]})" if name in item.node.inputs else ""
            yield f"{item.id}.{name}: {_shown(old.get(name))} -> {_shown(new.get(name))}{source}"
    now, was = _inputs(item.document), _inputs(before)
    for port in sorted({*now, *was}):
        source, target = was.get(port, ("nothing",))[0], now.get(port, ("nothing",))[0]
        if source != target:
            yield f"{item.id}.{port}: {source} -> {target}"


def _inputs(document: Mapping[str, Json]) -> dict[str, tuple[str, str]]:
    inputs = document.get("inputs")
    if not isinstance(inputs, dict):
        return {}
    return {
        port: (str(source[0]), str(source[1]))
        for port, source in inputs.items()
        if isinstance(source, list) and len(source) == 2
    }


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
