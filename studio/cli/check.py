"""``studio check``: everything that is wrong with a workflow, all of its nodes considered."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from studio.cli.reading import base_folder, current, every_node
from studio.cli.writing import complain, error_json, line, write_json
from studio.errors import GraphError, StudioError
from studio.facts import Facts
from studio.graph import Graph, Types
from studio.models.library import Library
from studio.numerics import choose
from studio.plan import PlanningContext, key_graph
from studio.registry import File, Registry, load
from studio.session import Settings
from studio.validation import active, output_nodes
from studio.workflow import Workflow, flatten
from studio.workflow import check as structural_problems
from studio.workflow import load as load_workflow


def check(options: argparse.Namespace) -> int:
    """Print one line per problem: where, what, how to mend it."""
    workflow = load_workflow(options.file)
    registry = load(is_safe=options.safe)
    settings = Settings(is_safe=options.safe)
    facts = Facts(settings.cache_folder / "facts.sqlite")
    try:
        context = PlanningContext(
            Library(settings.model_folders, facts),
            facts,
            choose("cpu").numerics,
            base_folder(options.file, workflow, registry.types),
        )
        found = list(problems(workflow, registry, context))
    finally:
        facts.close()
    if options.json:
        write_json(
            {
                "file": str(options.file),
                "sound": not found,
                "problems": [error_json(problem) for problem in found],
            },
            indent=2,
        )
    else:
        for problem in found:
            print(line(str(problem)))
        if not found:
            complain(f"{options.file} is sound")
    return 1 if found else 0


def problems(
    workflow: Workflow, registry: Registry, context: PlanningContext
) -> Iterator[StudioError]:
    """Everything that would keep a node of a workflow from being evaluated, as far as it shows before a run.

    Nodes that are muted, bypassed or thereby off are left out, as a run would.
    """
    types = registry.types
    try:
        workflow = current(workflow, types)
        found = structural_problems(workflow, types)
        graph = active(flatten(workflow, types), types).graph
    except GraphError as error:
        yield error
        return
    yield from found
    yield from _refused(workflow, registry)
    yield from _files_to_choose(graph, types)
    yield from _planning_problems(graph, types, [problem.node for problem in found], context)
    if not output_nodes(graph, types):
        yield StudioError(
            "has no output node that is not muted or off",
            where="workflow",
            remedy="add a save_image node",
        )


def _refused(workflow: Workflow, registry: Registry) -> Iterator[StudioError]:
    """The packs that were refused, if a node is of a type that is not there: one of them may declare it."""
    missing = sorted(
        {
            node.type
            for node in every_node(workflow)
            if node.type not in registry.types and not node.type.startswith(Graph.GROUP)
        }
    )
    if not missing:
        return
    for refusal in registry.refused:
        yield StudioError(
            f"is refused: {refusal.what}",
            where=refusal.where,
            remedy="; ".join(
                part for part in (refusal.remedy, f"it may declare {', '.join(missing)}") if part
            ),
        )


def _files_to_choose(graph: Graph, types: Types) -> Iterator[StudioError]:
    for node in graph:
        declared = types.get(node.type)
        for param in declared.params if declared else ():
            is_open = isinstance(param.hint, File) and param.name not in node.inputs
            if is_open and node.params.get(param.name, param.default) == "":
                yield GraphError(
                    node.id, param.name, "no file is chosen", remedy="name one, or mute this node"
                )


def _planning_problems(
    graph: Graph, types: Types, unsound: Iterable[str], context: PlanningContext
) -> Iterator[StudioError]:
    """What planning stumbles over (files, models, values that do not fit together), node by node."""
    sound = _without(graph, unsound)
    while sound:
        try:
            key_graph(sound, types, sound.nodes, context)
        except StudioError as error:
            node = _blamed(error, sound)
            yield error
            if node is None:
                return
            sound = _without(sound, [node])
        else:
            return


def _blamed(error: StudioError, graph: Graph) -> str | None:
    name = error.where.partition(".")[0]
    return name if name in graph else None


def _without(graph: Graph, unsound: Iterable[str]) -> Graph:
    """The graph without some nodes, the bodies of groups so named, and all that depends on either."""
    names = set(unsound)
    prefixes = tuple(f"{name}/" for name in names)
    gone = {node.id for node in graph if node.id in names or node.id.startswith(prefixes)}
    pending = list(gone)
    readers: dict[str, list[str]] = {}
    for node in graph:
        for link in node.inputs.values():
            readers.setdefault(link.node, []).append(node.id)
    while pending:
        for reader in readers.get(pending.pop(), ()):
            found = graph.nodes.get(reader)  # type: ignore[call-overload]
            if found is not None and found.id not in gone:
                gone.add(found.id)
                pending.append(found.id)
    return Graph({node.id: node for node in graph if node.id not in gone})
