"""Nodes brought up to date: what is migrated and completed, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio import workflow
from studio.errors import GraphError
from studio.graph import Node, NodeId
from tests.sample_nodes import TYPES
from tests.workflow.flows import exact, flow, group, node, read


def test_an_old_node_is_migrated_in_graph_and_bodies() -> None:
    old = Node(NodeId("p"), "paint", 1, {"cfg": 7.0})
    found = workflow.migrate(
        flow(old, g=group(old)),
        TYPES,
        {("paint", 1): lambda params: {"guidance": params["cfg"]}},
    )
    for graph in (found.graph, found.groups["g"].graph):
        assert graph.node("p").version == 2
        assert graph.node("p").params == {"guidance": 7.0}


def test_newer_and_unknown_nodes_are_left_by_migration() -> None:
    unknown = read("unknown")
    assert workflow.migrate(unknown, TYPES) == unknown


def test_a_node_that_cannot_be_migrated_is_named() -> None:
    old = Node(NodeId("p"), "paint", 1, {})
    with pytest.raises(GraphError, match="p: cannot be migrated from version 1"):
        workflow.migrate(flow(old), TYPES, {("paint", 1): lambda params: {"x": params["cfg"]}})


def test_every_parameter_is_filled_in_and_given_its_type() -> None:
    a = replace(node("p", "paint"), params={"guidance": 7, "steps": 9999, "odd": 1})
    params = workflow.complete(flow(a), TYPES).graph.node("p").params
    assert exact(params) == exact(
        {
            "guidance": 7.0,
            "steps": 9999,
            "odd": 1,
            "sampler": "ddim",
            "curve": [[0.0, 1.0]],
            "is_tiled": False,
        }
    )


def test_unknown_types_groups_and_other_versions_are_not_completed() -> None:
    unknown = read("unknown")
    found = workflow.complete(unknown, TYPES)
    assert found.graph.node("paint") == unknown.graph.node("paint")
    assert found.graph.node("text") == unknown.graph.node("text")
    groups = read("groups")
    assert workflow.complete(groups, TYPES) == groups
