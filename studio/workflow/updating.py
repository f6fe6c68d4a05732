"""Nodes brought up to date: migrated to the versions of their types, and completed with defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from studio.errors import GraphError
from studio.graph import Graph, Json, Node, Types
from studio.workflow.workflow import Workflow

NodeMigrations = Mapping[tuple[str, int], Callable[[Mapping[str, Json]], Mapping[str, Json]]]
NODE_MIGRATIONS: NodeMigrations = {}
"""(node type, version n) -> the function that turns its parameters into those of version n + 1. Append only."""


def migrate(
    workflow: Workflow, types: Types, migrations: NodeMigrations = NODE_MIGRATIONS
) -> Workflow:
    """Raise every node of a known type to the version that ``types`` has.

    Where no function stands for a version, parameters stay as they are. Nodes that are newer than ours and unknown
    types are left for ``check`` to report. Raises GraphError if a function rejects a node's parameters.
    """

    def migrated(node: Node) -> Node:
        declared = types.get(node.type)
        if declared is None or node.version >= declared.version:
            return node
        params = node.params
        for version in range(node.version, declared.version):
            step = migrations.get((node.type, version))
            try:
                params = step(params) if step else params
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise GraphError(
                    node.id, "", f"cannot be migrated from version {version} ({error})"
                ) from error
        return replace(node, params=dict(params), version=declared.version)

    return _mapped(workflow, migrated)


def complete(workflow: Workflow, types: Types) -> Workflow:
    """Fill in every parameter that is not written with its default, and give numbers the type of their parameter.

    Nodes of unknown types, of other versions and of groups stay as they are: a group's parameter that is not set
    follows its body.
    """

    def completed(node: Node) -> Node:
        declared = types.get(node.type)
        if declared is None or node.version != declared.version:
            return node
        params = {**declared.defaults(), **node.params}
        for param in declared.params:
            try:
                params[param.name] = param.check(params[param.name])
            except ValueError:
                continue  # left as written: check names it
        return replace(node, params=params)

    return _mapped(workflow, completed)


def _mapped(workflow: Workflow, change: Callable[[Node], Node]) -> Workflow:
    def mapped(graph: Graph) -> Graph:
        return Graph({node.id: change(node) for node in graph})

    return replace(
        workflow,
        graph=mapped(workflow.graph),
        groups={
            name: replace(group, graph=mapped(group.graph))
            for name, group in workflow.groups.items()
        },
    )
