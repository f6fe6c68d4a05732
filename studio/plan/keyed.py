"""Nodes, and the steps of loops, with the keys of their results, and what of a chain is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from studio.graph import Json, Key, Node, NodeId, NodeType, Ref, Value
from studio.keys import digest
from studio.registry import Spec

Argument = Ref | Value | None


class Index(Protocol):
    """What is stored, by key."""

    def __contains__(self, key: Key, /) -> bool:
        """Tell whether a result is stored."""

    def contains_many(self, keys: Iterable[Key]) -> Container[Key]:
        """Those of ``keys`` that are stored."""


@dataclass(frozen=True)
class KeyedStep:
    """A step of a loop and the key of the state after it."""

    key: Key
    spec: Spec

    def part(self, done: int) -> Key:
        """The key of the state after ``done`` of the spec's steps, kept when a run is cancelled there."""
        return digest(["part", self.key, done])


class Reached(NamedTuple):
    """How far a chain has come in what is stored."""

    specs: int = 0
    """That are done."""
    steps: int = 0
    """Of the next spec that are done, where a run was cancelled in the middle of it."""


@dataclass(frozen=True)
class KeyedChain:
    """A chain of steps with their keys; ``start`` is the state before the first."""

    start: KeyedStep
    steps: tuple[KeyedStep, ...]
    cost: str = ""

    @property
    def final(self) -> Key:
        """The key of the last state."""
        return self.steps[-1].key if self.steps else self.start.key

    def passes(self, reached: Reached | None = None) -> int:
        """How many steps lie behind a place; all of them by default."""
        if reached is None:
            return sum(step.spec.count for step in self.steps)
        return sum(step.spec.count for step in self.steps[: reached.specs]) + reached.steps

    def calls(self, reached: Reached | None = None) -> int:
        """How many forward passes the steps behind a place cost; all of them by default."""
        behind = self.steps if reached is None else self.steps[: reached.specs]
        calls = sum(step.spec.count * step.spec.calls for step in behind)
        if reached is not None and reached.steps:
            calls += reached.steps * self.steps[reached.specs].spec.calls
        return calls

    def resume(self, index: Index) -> Reached | None:
        """The latest stored state; None if not even the start is stored."""
        for done in range(len(self.steps), 0, -1):
            if self.steps[done - 1].key in index:
                return Reached(done, self._begun(done, index))
        return Reached(0, self._begun(0, index)) if self.start.key in index else None

    def _begun(self, specs: int, index: Index) -> int:
        """How many steps of the spec after ``specs`` others a cancelled run has done."""
        if specs == len(self.steps):
            return 0
        step = self.steps[specs]
        keys = {step.part(done): done for done in range(1, step.spec.count)}
        stored = index.contains_many(keys) if keys else ()
        return max((done for key, done in keys.items() if key in stored), default=0)


@dataclass(frozen=True)
class Keyed:
    """A node with its arguments and the key of its result."""

    node: Node
    type: NodeType
    key: Key
    ports: Mapping[str, Argument]
    """By input port: a reference to a result, or a description (which may hold references)."""
    params: Mapping[str, Json]
    """By parameter, complete and canonical, as links give them; files as absolute paths."""
    described: Mapping[str, Value] | None = None
    """The outputs of a describing node."""
    announced: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    """Those outputs of a loop that are descriptions, known before it has run."""
    chains: tuple[KeyedChain, ...] = ()
    passes: int = 0
    """Steps of all chains together."""
    is_known: bool = True
    """False where a fact that the chain needs is not known yet; the key is then a placeholder."""
    document: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    """What the key was made of, for telling why it changed."""

    @property
    def id(self) -> NodeId:
        """The node's id."""
        return self.node.id


def references(value: object) -> Iterator[Ref]:
    """Every reference inside an argument."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from references(getattr(value, field.name))
