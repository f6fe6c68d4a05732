"""What a workflow's prompts are. No toolkit."""

from __future__ import annotations

from studio.graph import NodeId, Types
from studio.gui.flowing import held
from studio.workflow import Workflow


def prompt_of(workflow: Workflow, types: Types) -> str:
    """The prompts that lead denoising, one after another; those that lead away from something are left out."""
    graph = workflow.graph
    pending = [node.inputs["positive"].node for node in graph if "positive" in node.inputs]
    found: dict[NodeId, str] = {}
    seen: set[NodeId] = set()
    while pending:
        name = pending.pop(0)
        if name in seen or name not in graph:
            continue
        seen.add(name)
        node = graph.nodes[name]
        text = held(workflow, types, node, "prompt")
        if isinstance(text, str) and text.strip():
            found[name] = text.strip()
        pending.extend(link.node for link in node.inputs.values())
    return " | ".join(found.values())
