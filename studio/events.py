"""What the engine reports while it runs: frozen dataclasses, each with a JSON form of one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

NodeStatus = Literal["ran", "cached", "resumed", "skipped", "failed"]
RunStatus = Literal["ok", "failed", "cancelled"]


@dataclass(frozen=True)
class Event:
    """Something that happened in the run named ``run``."""

    name: ClassVar[str]

    run: str

    def to_json(self) -> dict[str, object]:
        """The event as plain data: ``event``, ``run`` and its own fields."""
        return {"event": self.name, **_plain(self)}


def _plain(value: object) -> dict[str, object]:
    assert dataclasses.is_dataclass(value)
    return {
        field.name: _item(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.repr
    }


def _item(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return _plain(value)
    if isinstance(value, Mapping):
        return {key: _item(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_item(item) for item in value]
    return value


@dataclass(frozen=True)
class Started(Event):
    """The plan is made; nodes that will be evaluated are known."""

    name = "started"

    nodes: int
    """How many nodes the targets need."""
    model_calls: int
    """Forward passes of the denoising network that lie ahead."""


@dataclass(frozen=True)
class NodeStarted(Event):
    """A node begins to run."""

    name = "node"

    node: str
    from_step: int
    steps: int
    key: str
    """Names the result that is being made, in the store and in plans."""


@dataclass(frozen=True)
class Step(Event):
    """A step of a loop is done."""

    name = "step"

    node: str
    step: int
    """Steps done, counted from 1 over all pictures of the batch."""
    steps: int
    seconds: float
    """Of this step."""


@dataclass(frozen=True)
class Progress(Event):
    """A node that is no loop reports how far it is."""

    name = "progress"

    node: str
    done: int
    total: int


@dataclass(frozen=True)
class Measured(Event):
    """Numbers worth a curve, such as the loss of a training step."""

    name = "measured"

    node: str
    step: int
    """The step that they were measured in, counted as in ``Step``."""
    values: Mapping[str, float]
    """Finite, by name: ``loss``, ``rate`` …"""


@dataclass(frozen=True)
class Preview(Event):
    """A small picture of a state."""

    name = "preview"

    node: str
    step: int
    image: object = dataclasses.field(repr=False)
    """An ``Image`` value; not part of the JSON form."""


@dataclass(frozen=True)
class Finished(Event):
    """A node is done."""

    name = "finished"

    node: str
    status: NodeStatus
    from_step: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class Failed(Event):
    """A node failed: what, where, and what to do."""

    name = "failed"

    node: str
    what: str
    where: str
    remedy: str


@dataclass(frozen=True)
class NodeReport:
    """One node in the summary of a run."""

    status: NodeStatus
    from_step: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class WrittenFile:
    """A file that an output node wrote."""

    node: str
    path: str
    pixels_sha256: str


@dataclass(frozen=True)
class Done(Event):
    """The run is over; always the last event."""

    name = "done"

    status: RunStatus
    seconds: float
    model_calls: int
    model_calls_saved: int
    nodes: Mapping[str, NodeReport]
    files: Sequence[WrittenFile]
