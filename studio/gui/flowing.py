"""What links give to parameters, as far as it is known without a run. No toolkit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from studio.errors import GraphError
from studio.graph import Graph, Json, Link, Node, NodeId, Types
from studio.gui.edits import Input
from studio.plan import constants
from studio.validation import active
from studio.workflow import Workflow, flatten

_PROBE = "?"
"""Begins the ids of nodes that stand, for a moment, where a value is wanted: no file can hold such an id."""


@dataclass(frozen=True)
class Flow:
    """What stands in for a parameter's own value."""

    source: Link
    value: Json = None
    is_known: bool = False
    """Whether ``value`` says what it is."""


def param_links(nodes: Iterable[Node], types: Types) -> set[Input]:
    """The links of these nodes that enter parameters; ``types`` has those of groups as well."""
    found: set[Input] = set()
    for node in nodes:
        declared = types.get(node.type) if node.inputs else None
        if declared is not None:
            found.update(
                (node.id, name)
                for name in node.inputs
                if declared.param(name) is not None and declared.input(name) is None
            )
    return found


def flowing(w: Workflow, types: Types, links: Iterable[Input]) -> dict[Input, Flow]:
    """What these links into parameters give; those that give nothing, for their source is muted, are left out."""
    sources = {key: w.graph.nodes[key[0]].inputs[key[1]] for key in links}
    if not sources:
        return {}
    probes = {
        NodeId(f"{_PROBE}{number}"): Node(NodeId(f"{_PROBE}{number}"), _PROBE, inputs={"": link})
        for number, link in enumerate(dict.fromkeys(sources.values()))
    }
    upstream = w.graph.needed(link.node for link in sources.values() if link.node in w.graph)
    part = Graph({**{name: w.graph.nodes[name] for name in upstream}, **probes})
    try:
        live = active(flatten(replace(w, graph=part), types), types).graph
    except GraphError:
        # groups in a circle: nothing is known, and the links are there all the same
        return {key: Flow(link) for key, link in sources.items()}
    values = constants(live, types)
    given: dict[Link, Flow] = {}
    for name, probe in probes.items():
        source = live.nodes[name].inputs.get("")
        if source is not None:
            link = probe.inputs[""]
            constant = values.get(source)
            given[link] = Flow(link) if constant is None else Flow(link, constant.value, True)
    return {key: given[link] for key, link in sources.items() if link in given}


def held(w: Workflow, types: Types, node: Node, param: str) -> Json:
    """What holds for a parameter: what a link gives, or its own value; None where that is not known."""
    key = (node.id, param)
    flow = flowing(w, types, [key]).get(key) if param in node.inputs else None
    return node.params.get(param) if flow is None else flow.value
