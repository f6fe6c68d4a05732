"""Workflows for tests: the released files, and small ones made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from studio import workflow
from studio.graph import Graph, Json, Link, Node, NodeId
from studio.workflow import Group, Inner, Workflow
from tests.sample_nodes import TYPES

FILES = Path(__file__).parents[1] / "files" / "v1"


CORPUS = sorted(FILES.glob("*.json"))


def read(name: str) -> Workflow:
    return workflow.load(FILES / f"{name}.json")


def node(name: str, type_id: str = "text", **inputs: str) -> Node:
    links = {port: Link.parse(link) for port, link in inputs.items()}
    return Node(NodeId(name), type_id, TYPES[type_id].version if type_id in TYPES else 1, {}, links)


def flow(*nodes: Node, **groups: Group) -> Workflow:
    return Workflow(Graph({node.id: node for node in nodes}), groups)


def group(
    *nodes: Node,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
) -> Group:
    return Group(
        Graph({node.id: node for node in nodes}),
        inputs={
            port: (Inner(Link.parse(inner).node, Link.parse(inner).output),)
            for port, inner in (inputs or {}).items()
        },
        outputs={port: Link.parse(link) for port, link in (outputs or {}).items()},
    )


def document(**changes: Json) -> str:
    fields: dict[str, Json] = {
        "format": "studio.workflow",
        "version": 1,
        "nodes": {"a": {"type": "text", "version": 1, "params": {}, "inputs": {}}},
    }
    return json.dumps({**fields, **changes})


def exact(value: object) -> str:
    """Distinguishes 1, 1.0 and true, and 0.0 from -0.0, whatever the order of keys."""
    if isinstance(value, dict):
        return repr(sorted((key, exact(entry)) for key, entry in value.items()))
    return repr([exact(entry) for entry in value]) if isinstance(value, list) else repr(value)


def with_mode(w: Workflow, name: str, mode: str) -> Workflow:
    assert mode in ("mute", "bypass")
    return replace(w, graph=w.graph.set_mode(name, "mute" if mode == "mute" else "bypass"))
