"""Classifiers for the starter model's latents, with random weights, which have gradients like any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import save_file

from studio.graph import Graph, Json
from studio.models.classifier import NoisyClassifier
from studio.models.headers import read_json
from studio.resources import resource
from tests.bench import linked, with_node

CLASSES = ("house", "sailboat", "tree", "snowman")
CONFIG: dict[str, Json] = {
    "in_channels": 4,
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "attention_levels": 1,
    "attention_head_dim": 8,
    "norm_num_groups": 4,
    "classes": list(CLASSES),
    "latents": "starter",
    "downscale": 8,
}


def random_classifier(seed: int) -> NoisyClassifier:
    """A classifier that knows nothing and is sure of it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = NoisyClassifier.from_config(CONFIG)
    with torch.no_grad():
        made.head.weight *= 10
    return made.eval().requires_grad_(False)


def write_classifier(
    folder: Path,
    fields: Mapping[str, Json] = MappingProxyType({}),
    scheduler: Mapping[str, Json] | None = None,
) -> Path:
    """Write a random classifier; ``fields`` say something else in its config."""
    own = read_json(resource("starter", "scheduler", "scheduler_config.json"))
    documents = {
        "model_index.json": {
            "_class_name": "DiffusionPipeline",
            "classifier": ["studio", "NoisyClassifier"],
            "scheduler": ["diffusers", "DDIMScheduler"],
        },
        "classifier/config.json": {"_class_name": "NoisyClassifier", **CONFIG, **fields},
        "scheduler/scheduler_config.json": dict(scheduler or own),
    }
    for name, document in documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    weights = random_classifier(1).state_dict()
    save_file(weights, folder / "classifier" / "diffusion_pytorch_model.safetensors")
    return folder


def guided(graph: Graph, classifier: Path, **params: Json) -> Graph:
    """Let a classifier guide a denoise by a node ``aim``, or behind those that there are by ``aim_2``."""
    name = "aim_2" if "aim" in graph.nodes else "aim"
    before = graph.node("denoise").inputs.get("classifier_guidance")
    graph = with_node(graph, f"{name}_net", "load_classifier", {}, model=str(classifier))
    inputs = {"classifier": f"{name}_net.classifier"}
    if before is not None:
        inputs["classifier_guidance"] = str(before)
    graph = with_node(graph, name, "classifier_guidance", inputs, **{"label": "tree", **params})
    return linked(graph, f"{name}.classifier_guidance", "denoise.classifier_guidance")
