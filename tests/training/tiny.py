"""Graphs that train tiny networks on tiny pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from studio.engine import Cancel, Engine
from studio.events import Done, Event, Step
from studio.facts import Facts
from studio.graph import Graph, Node, NodeId
from studio.models.library import Library
from studio.models.pool import Pool
from studio.numerics import choose
from studio.plan import PlanningContext, key_graph
from studio.registry import load as load_registry
from studio.store import Store
from studio.training.recipe import Plan
from studio.values import Delivered, Image, Trained

TYPES = load_registry(is_safe=True).types
NUMERICS = choose("cpu", threads=1).numerics


def graph(**train: object) -> Graph:
    """A network of 10,000 weights that learns pictures of 16 px in steps of 4."""
    nodes = {
        "data": ("scene_painter", {"size": 16, "count": 40, "style": "flat"}),
        "unet": ("new_unet", {"channels": [8, 16], "attention": 1, "head_width": 8}),
        "train": (
            "train_diffusion",
            {
                "steps": 8,
                "batch": 4,
                "warmup": 2,
                "checkpoint_every": 3,
                "sample_every": 0,
                "samples": 2,
                "sample_steps": 2,
                **train,
            },
        ),
    }
    made = Graph()
    for name, (type_id, params) in nodes.items():
        made = made.add(Node(NodeId(name), type_id, params=params))  # type: ignore[arg-type]  # JSON
    return made.connect("data", "dataset", "train", "dataset").connect(
        "unet", "network", "train", "network"
    )


def context(base: Path = Path(), models: Path | None = None) -> PlanningContext:
    """Planning over a library of one folder."""
    facts = Facts(None)
    library = Library((models,) if models else (), facts)
    return PlanningContext(library, facts, NUMERICS, base, may_compute=True)


class Alone:
    """A context outside any engine, of a node that nobody stops."""

    def __init__(self, library: Library) -> None:
        self.pool = Pool(library, device="cpu", dtype="float32", budget_bytes=10**9)
        self.scratch: dict[str, object] = {}

    def check(self) -> None: ...
    def progress(self, done: int, total: int) -> None: ...
    def measure(self, values: object) -> None: ...


def plan_of(made: Graph, within: PlanningContext) -> Plan:
    """What the training of a graph is about."""
    (item,) = (item for item in key_graph(made, TYPES, ["train"], within) if item.chains)
    plan = item.chains[0].start.spec.params["plan"]
    assert isinstance(plan, Plan)
    return plan


class Studio:
    """An engine over one store and one library."""

    def __init__(self, store: Store, models: Path | None = None) -> None:
        self.store = store
        self.context = context(models=models)
        self.events: list[Event] = []
        self.made: list[Delivered] = []

    def run(
        self,
        made: Graph,
        target: str = "train",
        *,
        cancel: Cancel | None = None,
        listen: Callable[[Event], None] | None = None,
    ) -> Done:
        """Run a graph up to a node."""

        def pool() -> Pool:
            library = self.context.models
            assert isinstance(library, Library)
            return Pool(library, device="cpu", dtype="float32", budget_bytes=10**9)

        self.events.clear()
        engine = Engine(
            TYPES, self.store, self.context, pool, deliver=self._deliver, has_previews=True
        )
        return engine.run(made, [target], listen or self.events.append, cancel or Cancel())

    def stop_after(self, made: Graph, step: int) -> None:
        """Run a training, and cancel it once a step is done."""
        cancel = Cancel()

        def listen(event: Event) -> None:
            if isinstance(event, Step) and event.step == step:
                cancel.set()

        assert self.run(made, cancel=cancel, listen=listen).status == "cancelled"

    def taken_up(self, made: Graph, step: int) -> tuple[Trained, Trained]:
        """What a training gives that was cancelled after a step and went on, and what it gives in one go."""
        self.stop_after(made, step)
        assert self.run(made).nodes["train"].from_step == step
        with Store(None) as store:
            whole = Studio(store)
            whole.run(made)
            return self.trained(made), whole.trained(made)

    def trained(self, made: Graph) -> Trained:
        """What a training has given."""
        value = self.stored(made, "train", "trained")
        assert isinstance(value, Trained)
        return value

    def image(self, made: Graph, node: str, output: str = "image") -> torch.Tensor:
        """Pictures that a node has given."""
        value = self.stored(made, node, output)
        assert isinstance(value, Image)
        return value.pixels

    def stored(self, made: Graph, node: str, output: str) -> object:
        """A result by node and output."""
        items = key_graph(made, TYPES, [node], self.context)
        entry = self.store.get(next(item.key for item in items if item.id == node))
        assert entry is not None
        return entry[output]

    def _deliver(self, item: object, made: Delivered, plan: object, /) -> list[str]:
        self.made.append(made)
        return []


def same(one: Trained, other: Trained) -> bool:
    """Whether two trainings gave the same weights to the last bit."""
    first, second = one.weights["unet"], other.weights["unet"]
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def main(folder: str, steps: str, optimizer: str) -> None:
    """Train in a process of its own, and write a line for every event."""

    def tell(event: Event) -> None:
        sys.stdout.write(f"{event.to_json()}\n")
        sys.stdout.flush()

    with Store(Path(folder)) as store:
        Studio(store).run(graph(steps=int(steps), optimizer=optimizer), listen=tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
