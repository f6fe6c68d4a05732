"""The workflow as a value: what it means apart from how it looks, and what this version does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.graph import Graph, Json, Link, NodeId


@dataclass(frozen=True)
class Inner:
    """A port or parameter of a node inside a group, written ``node.name``."""

    node: NodeId
    name: str

    def __str__(self) -> str:
        return f"{self.node}.{self.name}"


@dataclass(frozen=True)
class Group:
    """The body of a group and what of it shows outside."""

    graph: Graph
    inputs: Mapping[str, tuple[Inner, ...]] = field(default_factory=dict)
    outputs: Mapping[str, Link] = field(default_factory=dict)
    params: Mapping[str, Inner] = field(default_factory=dict)
    view: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Fields of the file that this version does not know, kept."""


@dataclass(frozen=True)
class Workflow:
    """A workflow file as a value: what it means (graph, groups) apart from how it looks (view)."""

    graph: Graph = field(default_factory=Graph)
    groups: Mapping[str, Group] = field(default_factory=dict)
    view: Mapping[str, Json] = field(default_factory=dict)
    meta: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Fields of the file that this version does not know, kept."""
