"""What is stored, and so what will become of each node: from the targets back up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from studio.graph import Key, NodeId, Ref
from studio.plan.keyed import Index, Keyed, Reached, references

Status = Literal["cached", "resumes", "runs", "skipped"]


@dataclass(frozen=True)
class Outlook:
    """What will become of one node."""

    status: Status
    resume: tuple[Reached | None, ...] = ()
    """For each chain of a loop that is not finished: how far it has come; None: not even the start."""
    needs: tuple[Ref, ...] = ()
    """The results that it will read."""
    from_step: int = 0
    """Steps that need not run again, over all chains."""


def outlook(keyed: Sequence[Keyed], targets: Iterable[str], index: Index) -> dict[NodeId, Outlook]:
    """Walk back from the targets over what is not stored."""
    stored = index.contains_many(item.key for item in keyed if item.described is None)
    producers: dict[Key, NodeId] = {}
    for item in keyed:
        producers.setdefault(item.key, item.id)
    needed = set(targets)
    found: dict[NodeId, Outlook] = {}
    for item in reversed(keyed):
        if item.described is not None:
            # what an output node describes is put together when it is handed over
            is_handed_over = item.type.is_output and item.id in needed
            parts = tuple(references(item.described)) if is_handed_over else ()
            found[item.id] = Outlook("cached", needs=parts)
        elif item.key in stored:
            found[item.id] = Outlook("cached")
        elif item.id not in needed:
            found[item.id] = Outlook("skipped")
        else:
            found[item.id] = _unfinished(item, index)
        needed.update(producers[ref.key] for ref in found[item.id].needs if ref.key in producers)
    return found


def _unfinished(item: Keyed, index: Index) -> Outlook:
    if not item.chains:
        return Outlook("runs", needs=tuple(references(list(item.ports.values()))))
    resume = tuple(chain.resume(index) for chain in item.chains)
    needs: dict[Ref, None] = {}
    from_step = 0
    for chain, reached in zip(item.chains, resume, strict=True):
        ahead = (chain.start, *chain.steps) if reached is None else chain.steps[reached.specs :]
        for step in ahead:
            needs.update(dict.fromkeys(step.spec.uses.values()))
        from_step += chain.passes(reached or Reached())
    status: Status = "resumes" if from_step else "runs"
    return Outlook(status, resume, tuple(needs), from_step)
