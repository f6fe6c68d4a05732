"""What a picture says about its making: enough to make it again and to say where another making departs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import studio
from studio.graph import Json, Key
from studio.numerics import Numerics
from studio.plan import Keyed, KeyedStep
from studio.store import Store
from studio.values import Classifier, ControlNet, Lora, Model, ModelRef, Noise, TextEncoder, Vae

V = TypeVar("V")

FORMAT = "studio.manifest"
VERSION = 1


def manifest(
    item: Keyed, plan: Sequence[Keyed], store: Store, numerics: Numerics, device: str
) -> dict[str, Json]:
    """Describe how the result of an output node came about: keys and content digests of all that it depends on."""
    needed = list(_upstream(item, plan))
    return {
        "format": FORMAT,
        "version": VERSION,
        "studio": studio.__version__,
        "python": platform.python_version(),
        "platform": sys.platform,
        "device": device,
        "node": item.id,
        "numerics": dict(numerics.document()),
        "seeds": [seed for noise in _described(needed, Noise) for seed in noise.seeds],
        "models": _models(needed),
        "nodes": {one.id: _node(one, store) for one in needed},
    }


def _upstream(item: Keyed, plan: Sequence[Keyed]) -> Iterator[Keyed]:
    """The nodes that ``item`` depends on and itself, in the order of the plan."""
    wanted = {item.id}
    for one in reversed(plan):
        if one.id in wanted:
            wanted.update(link.node for link in one.node.inputs.values())
    return (one for one in plan if one.id in wanted)


def _described(plan: Sequence[Keyed], kind: type[V]) -> Iterator[V]:
    for item in plan:
        for value in (item.described or {}).values():
            if isinstance(value, kind):
                yield value


def _models(plan: Sequence[Keyed]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for item in plan:
        for value in (item.described or {}).values():
            for ref in _refs(value):
                found[f"{ref.name}/{ref.component}"] = ref.digest
    return found


def _refs(value: object) -> tuple[ModelRef, ...]:
    if isinstance(value, Model):
        loras = (span.source for span in value.loras)
        return (value.ref, *(one.ref for one in loras if isinstance(one, Lora)))
    if isinstance(value, Vae | ControlNet | Classifier):
        return (value.ref,)
    if isinstance(value, TextEncoder):
        return (*value.refs, *(ref for _, ref in value.words))
    return ()


def _node(item: Keyed, store: Store) -> dict[str, Json]:
    document: dict[str, Json] = {"type": item.type.id, "key": item.key}
    if item.described is None:
        document["digest"] = store.fingerprint(item.key)
    if item.chains:
        document["steps"] = [
            [store.fingerprint(key) for key in _keys(chain.start.key, chain.steps)]
            for chain in item.chains
        ]
    return document


def _keys(start: Key, steps: Sequence[KeyedStep]) -> list[Key]:
    return [start, *(step.key for step in steps)]


@dataclass(frozen=True)
class Departure:
    """The first place where two makings differ."""

    node: str
    step: int | None
    """Steps done before the states differed; None for a node without steps."""

    def __str__(self) -> str:
        if self.step is None:
            return f"first difference: {self.node}"
        if self.step == 0:
            return f"first difference: {self.node}, before its first step"
        return f"first difference: {self.node}, step {self.step}"


def departure(before: Mapping[str, Json], after: Mapping[str, Json]) -> Departure | None:
    """The first node, and inside a loop the first step, whose content digests differ; None if none is known to."""
    old, new = before.get("nodes"), after.get("nodes")
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None
    for node, mine in new.items():
        theirs = old.get(node)
        if not isinstance(mine, dict) or not isinstance(theirs, dict):
            continue
        step = _first_step(theirs.get("steps"), mine.get("steps"))
        if step is not None:
            return Departure(node, step)
        if _differ(theirs.get("digest"), mine.get("digest")):
            return Departure(node, None)
    return None


def _first_step(before: Json, after: Json) -> int | None:
    if not isinstance(before, list) or not isinstance(after, list):
        return None
    for old, new in zip(before, after, strict=False):
        if isinstance(old, list) and isinstance(new, list):
            for step, (left, right) in enumerate(zip(old, new, strict=False)):
                if _differ(left, right):
                    return step
    return None


def _differ(before: Json, after: Json) -> bool:
    """Digests that are not known on either side do not count."""
    return before is not None and after is not None and before != after
