"""What schedules, noise levels, betas and guidance are as numbers, from descriptions alone: no torch, no toolkit."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import StudioError
from studio.graph import NodeKind, Value

if TYPE_CHECKING:
    from studio.plan import PlanningContext
    from studio.session import Session
    from studio.workflow import Workflow

_SAMPLES = 101
"""Of a guidance over the run."""


@dataclass(frozen=True)
class Curves:
    """The curves of one node; those that it has not are empty."""

    is_run: bool = False
    """Whether there are noise levels of a run, or will be once they are worked out."""
    sigmas: tuple[float | None, ...] = ()
    """The noise before each pass of the network, and what is left in the end; None where it is endless."""
    timesteps: tuple[float, ...] = ()
    """What the network is told at each pass."""
    betas: tuple[float, ...] = ()
    """The variance that each training step adds."""
    remaining: tuple[float, ...] = ()
    """alpha_bar: what is left of the picture's variance after each training step."""
    guidance: tuple[float, ...] = ()
    """Over the run, from its beginning to its end in equal shares."""


@dataclass(frozen=True)
class Drawn:
    """The curves of a workflow's nodes by flat id, and the nodes whose schedules have never been worked out."""

    curves: Mapping[str, Curves] = field(default_factory=dict)
    untold: tuple[str, ...] = ()


def drawn(workflow: Workflow, session: Session, base: Path) -> Drawn:
    """The curves of all nodes that describe some, as far as they are linked and sound."""
    from studio.plan import key_graph
    from studio.validation import active, problems
    from studio.workflow import flatten

    types = session.registry.types
    graph = active(flatten(workflow, types), types).graph
    context = session.planning(base)
    found: dict[str, Curves] = {}
    untold: list[str] = []
    for node in graph:
        declared = types.get(node.type)
        if (
            declared is None
            or declared.kind is not NodeKind.DESCRIBE
            or not _tells(declared.outputs)
        ):
            continue
        if problems(graph, types, [node.id]):
            continue
        try:
            keyed = key_graph(graph, types, [node.id], context)
        except StudioError:
            continue  # the plan says what is wrong
        for value in (keyed[-1].described or {}).values():
            curves, is_told = _curves(value, context)
            found[node.id] = curves
            if not is_told:
                untold.append(node.id)
    return Drawn(found, tuple(untold))


def _tells(outputs: Iterable[object]) -> bool:
    from studio.values import Betas, Guidance, Schedule, Sigmas

    kinds = (Betas, Guidance, Schedule, Sigmas)
    return any(issubclass(getattr(port, "type", object), kinds) for port in outputs)


def _curves(value: Value, context: PlanningContext) -> tuple[Curves, bool]:
    """The curves of a description, and whether that is all of them."""
    from studio.diffusion.windows import Table, tabulate, trained_betas
    from studio.registry import NotKnown
    from studio.values import Betas, Guidance, Schedule, Sigmas

    if isinstance(value, Betas):
        return _trained(Curves(), value.values), True
    if isinstance(value, Sigmas):
        return Curves(is_run=True, sigmas=(*value.values, 0.0)), True
    if isinstance(value, Guidance):
        shares = (index / (_SAMPLES - 1) for index in range(_SAMPLES))
        return Curves(guidance=tuple(value.at(share) for share in shares)), True
    if not isinstance(value, Schedule):
        return Curves(), True
    try:
        betas = context.known(trained_betas, value.config)
        table = Table.read(context.known(tabulate, value))
    except NotKnown:
        return Curves(is_run=True), False
    sigmas = tuple(table.sigma(index) for index in range(table.passes + 1))
    run = Curves(is_run=True, sigmas=sigmas, timesteps=table.timesteps)
    numbers = betas if isinstance(betas, list) else []
    return _trained(run, [beta for beta in numbers if isinstance(beta, float)]), True


def _trained(curves: Curves, betas: Sequence[float]) -> Curves:
    left = itertools.accumulate((1.0 - beta for beta in betas), operator.mul)
    return replace(curves, betas=tuple(betas), remaining=tuple(left))
