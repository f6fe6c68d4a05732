"""A bench for tests on true weights: graphs of the core nodes, the starter model, and a store of one's choice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

import torch

from studio.diffusion.runtime import configure
from studio.diffusion.windows import SOLVERS
from studio.engine import Cancel, Engine
from studio.events import Done, Event, Failed
from studio.facts import Facts
from studio.graph import Graph, Json, Node, NodeId, NodeKind, NodeType
from studio.models.library import Library
from studio.models.pool import Pool
from studio.numerics import choose
from studio.plan import Keyed, PlanningContext, key_graph
from studio.registry import Range, collect, load, node
from studio.store import Store
from studio.values import Delivered, Latents, Model, Schedule

MACHINE = choose("cpu", "float32", threads=1)
configure(MACHINE.numerics)  # references must compute with as many threads as we do
SIZE = 64
"""Pixels: the starter's U-Net is four times as quick as at its own size, and nothing else changes."""


@node("any_schedule", version=1, category="test", kind=NodeKind.DESCRIBE)
def any_schedule(
    model: Model, solver: str = "ddim", steps: Annotated[int, Range(1, 1000)] = 20
) -> Schedule:
    """Any solver on any model, whether or not a picture comes of it: for the arithmetic of the loop."""
    name, overrides = SOLVERS[solver]
    own = {key: value for key, value in model.scheduler.items() if not key.startswith("_")}
    # UnCLIP knows no other prediction that the starter's would fit
    prediction = {"prediction_type": "epsilon"} if solver == "unclip" else {}
    return Schedule(name, {**own, **overrides, **prediction}, steps)


@cache
def types() -> dict[str, NodeType]:
    """The core node types, and ``any_schedule``."""
    return {**load(is_safe=True).types, **collect(sys.modules[__name__], "test")}


@cache
def facts() -> Facts:
    """Facts for the whole test process: schedule tables and digests are worked out once."""
    return Facts(None)


@cache
def pool() -> Pool:
    """Loaded models for the whole test process."""
    library = Library((), facts())
    return Pool(library, device="cpu", dtype="float32", budget_bytes=2**30)


def planning() -> PlanningContext:
    """Planning over the starter model."""
    return PlanningContext(
        Library((), facts()), facts(), MACHINE.numerics, Path(), may_compute=True
    )


def text_to_image(**params: dict[str, Json]) -> Graph:
    """Prompt to latents to picture; ``params`` by node id."""
    graph = Graph()
    for name, type_id in {
        "model": "load_model",
        "prompt": "text_encoder",
        "other": "text_encoder",
        "negative": "text_encoder",
        "noise": "noise_source",
        "scheduler": "scheduler",
        "denoise": "denoise",
        "decode": "vae_decode",
        "save": "save_image",
    }.items():
        graph = graph.add(Node(NodeId(name), type_id))
    graph = graph.set("noise", width=SIZE, height=SIZE, seed=7)
    graph = graph.set("prompt", prompt="a red house on green hills at sunset")
    graph = graph.set("other", prompt="a blue tent in the snow at night")
    graph = graph.set("negative", prompt="fog")
    for source, output, target, port in (
        ("model", "text_encoder", "prompt", "text_encoder"),
        ("model", "text_encoder", "other", "text_encoder"),
        ("model", "text_encoder", "negative", "text_encoder"),
        ("model", "model", "scheduler", "model"),
        ("model", "model", "denoise", "model"),
        ("noise", "latents", "denoise", "noise"),
        ("prompt", "conditioning", "denoise", "positive"),
        ("negative", "conditioning", "denoise", "negative"),
        ("scheduler", "schedule", "denoise", "schedule"),
        ("model", "vae", "decode", "vae"),
        ("denoise", "latents", "decode", "latents"),
        ("decode", "image", "save", "image"),
    ):
        graph = graph.connect(source, output, target, port)
    return with_params(graph, **params)


def with_params(graph: Graph, **params: dict[str, Json]) -> Graph:
    """Set parameters by node id."""
    for name, values in params.items():
        graph = graph.set(name, **values)
    return graph


def with_node(
    graph: Graph, name: str, type_id: str, inputs: dict[str, str], **params: Json
) -> Graph:
    """Add a node, its inputs given as ``node.output``."""
    graph = graph.add(Node(NodeId(name), type_id, params=params))
    for port, source in inputs.items():
        node, _, output = source.partition(".")
        graph = graph.connect(node, output, name, port)
    return graph


def linked(graph: Graph, source: str, target: str) -> Graph:
    """Link ``node.output`` to ``node.port``."""
    node, _, output = source.partition(".")
    other, _, port = target.partition(".")
    return graph.connect(node, output, other, port)


@dataclass
class Bench:
    """Runs graphs over one store."""

    store: Store = field(default_factory=lambda: Store(None))
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] | None = None

    def keyed(self, graph: Graph, target: str) -> dict[str, Keyed]:
        """The nodes that a target needs, by id."""
        return {item.id: item for item in key_graph(graph, types(), [target], planning())}

    def run(self, graph: Graph, target: str = "denoise", cancel: Cancel | None = None) -> Done:
        """Run, asserting that nothing failed."""
        engine = Engine(types(), self.store, planning(), pool, deliver=_nowhere)
        self.events.clear()
        done = engine.run(graph, [target], self._emit, cancel or Cancel())
        failures = [event for event in self.events if isinstance(event, Failed)]
        assert not failures, failures
        return done

    def latents(self, graph: Graph, target: str = "denoise") -> tuple[torch.Tensor, Done]:
        """Run and return float32 [B, C, h, w] and the report."""
        done = self.run(graph, target)
        return self.stored(graph, target), done

    def stored(self, graph: Graph, target: str = "denoise") -> torch.Tensor:
        """The latents of a node that has run."""
        item = self.keyed(graph, target)[target]
        entry = self.store.get(item.key)
        assert entry is not None
        value = entry["latents"]
        assert isinstance(value, Latents)
        return value.samples

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        if self.on_event:
            self.on_event(event)


def fresh(graph: Graph, target: str = "denoise") -> torch.Tensor:
    """The latents of a run in which nothing is stored."""
    with Store(None) as store:
        return Bench(store).latents(graph, target)[0]


def _nowhere(item: Keyed, made: Delivered, plan: Sequence[Keyed], /) -> Sequence[str]:
    return []
