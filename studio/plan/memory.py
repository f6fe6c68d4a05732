"""What is remembered of past runs: what each key was made of, and what nodes cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from studio.facts import Facts
from studio.graph import Json, Key, NodeId, NodeKind
from studio.keys import digest
from studio.numerics import Numerics
from studio.plan.context import PlanningContext
from studio.plan.keyed import Keyed


def remembered(facts: Facts, workflow: str) -> dict[str, Json]:
    """The last key document of every node of a workflow, and under "" the numerics class they were made in."""
    past = facts.get("document", workflow)
    return past if isinstance(past, dict) else {}


def remember(facts: Facts, workflow: str, finished: Iterable[Keyed], numerics: Numerics) -> None:
    """Keep the key documents of nodes that have finished."""
    documents: dict[str, Json] = {item.id: dict(item.document) for item in finished}
    facts.set(
        "document",
        workflow,
        {**remembered(facts, workflow), **documents, "": dict(numerics.document())},
    )


def _cost_names(item: Keyed, where: Key, workflow: str) -> list[str]:
    """Under which names the cost of a node (of a step, for loops) is learned, the most telling first.

    ``where`` is the digest of the numerics class.
    """
    if item.type.kind is NodeKind.LOOP:
        labels = sorted({chain.cost for chain in item.chains})
        return [f"{item.type.id} {label} {where}" for label in labels] or [
            f"{item.type.id} {where}"
        ]
    return [f"{workflow} {item.id} {item.type.id} {where}", f"{item.type.id} {where}"]


def costs_of(
    keyed: Sequence[Keyed], context: PlanningContext, workflow: str
) -> dict[NodeId, tuple[float, float]]:
    """(seconds, peak bytes) of the nodes, or of a step of theirs, whose cost is known."""
    where = digest(context.numerics)
    names = {
        item.id: _cost_names(item, where, workflow) for item in keyed if item.described is None
    }
    wanted = {name for several in names.values() for name in several}
    known = context.facts.get_many("timing", wanted)
    costs = {item.id: (0.0, 0.0) for item in keyed if item.described is not None}
    for node, several in names.items():
        cost = next((known[name] for name in several if name in known), None)
        if cost is not None:
            costs[node] = cost_of(cost)
    return costs


def cost_of(fact: Json) -> tuple[float, float]:
    """(seconds, peak bytes) as ``learn`` keeps them; zeros for anything else."""
    if isinstance(fact, list) and len(fact) == 2:
        seconds, peak = fact
        if isinstance(seconds, int | float) and isinstance(peak, int | float):
            return float(seconds), float(peak)
    return 0.0, 0.0


@dataclass(frozen=True)
class Cost:
    """What a node cost in a run: seconds (of a step, for loops), and the peak memory of the process meanwhile."""

    item: Keyed
    seconds: float
    peak_bytes: int


def learn(
    costs: Iterable[Cost], setup_seconds: float, context: PlanningContext, workflow: str
) -> None:
    """Keep what nodes cost, and what loading the models did; the last run on this device predicts the next."""
    where = digest(context.numerics)
    learned: dict[str, Json] = {
        name: [cost.seconds, cost.peak_bytes]
        for cost in costs
        for name in _cost_names(cost.item, where, workflow)
    }
    if setup_seconds:
        learned[f"{workflow} setup {where}"] = [setup_seconds, 0]
    context.facts.set_many("timing", learned)
