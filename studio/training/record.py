"""What a training has measured, read from its stored states without their weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from studio.graph import Key
from studio.plan import KeyedChain
from studio.store import Store

if TYPE_CHECKING:
    from torch import Tensor

MOST = 50_000
"""So many numbers of one name are given; of more, the least and the greatest of every few."""
_DIGITS = 6


@dataclass(frozen=True)
class Measured:
    """Numbers by step, steps rising."""

    steps: Sequence[int]
    values: Sequence[float]


def recorded(chain: KeyedChain, store: Store, most: int = MOST) -> dict[str, Measured]:
    """What the latest stored state of a training knows of its steps, by the names that it is measured under.

    Empty where no state is stored. The rate is what was planned; of the gradient nothing is known where it is not
    clipped.
    """
    for key in _states(chain, store):
        losses = store.part(key, "state", "data", "losses")
        if losses is None:
            continue
        values = cast("Tensor", losses).tolist()
        done = len(values)
        found = {"loss": Measured(range(1, done + 1), values)}
        rates = [
            rate
            for step in chain.steps
            for rate in cast("tuple[float, ...]", step.spec.params["rates"])
        ]
        found["rate"] = Measured(range(1, done + 1), rates[:done])
        norms = store.part(key, "state", "data", "norms")
        if norms is not None and len(cast("Tensor", norms)):
            values = cast("Tensor", norms).tolist()
            found["gradient"] = Measured(range(done - len(values) + 1, done + 1), values)
        rows = store.part(key, "state", "data", "validations")
        found |= _validations(cast("list[dict[str, float]]", rows or []))
        return {name: _thinned(one, most) for name, one in found.items()}
    return {}


def _states(chain: KeyedChain, store: Store) -> Iterator[Key]:
    """Stored states, the latest first."""
    reached = chain.resume(store)
    if reached is None:
        return
    if reached.steps:
        # where a run was cancelled in the middle of a spec
        yield chain.steps[reached.specs].part(reached.steps)
    yield from (step.key for step in reversed(chain.steps[: reached.specs]))


def _validations(rows: Sequence[Mapping[str, float]]) -> dict[str, Measured]:
    """What was measured on the validation set, by name."""
    names = dict.fromkeys(name for row in rows for name in row if name != "steps")
    found: dict[str, Measured] = {}
    for name in names:
        known = [row for row in rows if name in row]
        found[name] = Measured([int(row["steps"]) for row in known], [row[name] for row in known])
    return found


def _thinned(one: Measured, most: int) -> Measured:
    """The same with no more than ``most`` numbers, the least and the greatest of each share among them."""
    count = len(one.values)
    size = max(1, -(-2 * count // most))
    kept: list[int] = []
    for begin in range(0, count, size):
        share = range(begin, min(begin + size, count))
        kept += sorted(
            {min(share, key=one.values.__getitem__), max(share, key=one.values.__getitem__)}
        )
    return Measured([one.steps[i] for i in kept], [_rounded(one.values[i]) for i in kept])


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
