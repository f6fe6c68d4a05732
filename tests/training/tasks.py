"""Trainings of something beside the starter model, and their tasks taken out of the loop."""

from __future__ import annotations

from collections.abc import Mapping

from studio.graph import Graph, Json, Node, NodeId
from studio.models.library import Library
from studio.models.pool import Pool
from studio.plan import key_graph
from studio.training.recipe import Plan
from tests.training.tiny import TYPES, Studio

_FEW: dict[str, Json] = {"steps": 4, "batch": 2, "checkpoint_every": 2, "sample_every": 0}
_LOOK: dict[str, Json] = {"samples": 2, "sample_steps": 2, "warmup": 0, "ema": 0.0}


def tuning(type_id: str, **train: Json) -> Graph:
    """A training on scenes of 64 px that begins with the starter model."""
    nodes: dict[str, tuple[str, dict[str, Json]]] = {
        "data": ("scene_painter", {"size": 64, "count": 8}),
        "starter": ("load_model", {}),
        "train": (type_id, {**_FEW, **_LOOK, **train}),
        "save": ("save_model", {"name": "companion", "dtype": "float32"}),
    }
    made = Graph()
    for name, (kind, params) in nodes.items():
        made = made.add(Node(NodeId(name), kind, params=params))
    made = made.connect("data", "dataset", "train", "dataset")
    for part in ("model", "vae", "text_encoder"):
        made = made.connect("starter", part, "train", part)
    return made.connect("train", "trained", "save", "trained")


def plan_of(studio: Studio, made: Graph) -> Plan:
    """The plan of a graph's training."""
    items = key_graph(made, TYPES, ["train"], studio.context)
    (chain,) = next(item for item in items if item.id == "train").chains
    plan = chain.start.spec.params["plan"]
    assert isinstance(plan, Plan)
    return plan


class Quiet:
    """A context that is never cancelled and tells nobody of anything."""

    def __init__(self, studio: Studio, device: str = "cpu") -> None:
        library = studio.context.models
        assert isinstance(library, Library)
        self.pool = Pool(library, device=device, dtype="float32", budget_bytes=10**9)
        self.scratch: dict[str, object] = {}

    def check(self) -> None:
        """Go on."""

    def progress(self, done: int, total: int) -> None:
        """Say nothing."""

    def measure(self, values: Mapping[str, float]) -> None:
        """Say nothing."""
