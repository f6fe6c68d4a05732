"""What a workflow's prompts are, and how a second one takes over in mid-run. No toolkit."""

from __future__ import annotations

from studio.errors import GraphError
from studio.graph import Link, NodeId, Types
from studio.gui import edits
from studio.workflow import Workflow

_SWITCH = "prompt_schedule"


def prompt_of(workflow: Workflow) -> str:
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
        text = node.params.get("prompt")
        if isinstance(text, str) and text.strip():
            found[name] = text.strip()
        pending.extend(link.node for link in node.inputs.values())
    return " | ".join(found.values())


def branched(workflow: Workflow, types: Types, loop: str, share: float) -> tuple[Workflow, NodeId]:
    """Let a copy of the prompt take over at a ``share`` of the run; returns the copy's id as well.

    Steps before the share keep their results. Raises GraphError where no prompt leads the loop.
    """
    graph = workflow.graph
    link = graph.node(loop).inputs.get("positive")
    if link is None or link.node not in graph or _SWITCH not in types:
        raise GraphError(
            loop, "positive", "has no prompt to branch from", remedy="link a text encoder"
        )
    prompt = _encoder(workflow, link)
    if prompt is None:
        raise GraphError(loop, "positive", "has no prompt to branch from", remedy="link one")
    places = edits.positions(workflow)
    x, y = places.get(prompt, (0.0, 0.0))
    after, copies = edits.duplicate(workflow, [prompt], (0.0, -220.0), True)
    copy = copies[0]
    after, switch = edits.add_node(
        after, types, _SWITCH, (x + 40.0, y - 400.0), {"at": round(share, 2)}
    )
    after = edits.connect(after, types, link.node, link.output, switch, "first")
    after = edits.connect(
        after, types, copy, link.output if link.node == prompt else "conditioning", switch, "then"
    )
    after = edits.connect(after, types, switch, "conditioning", loop, "positive")
    return after, copy


def _encoder(workflow: Workflow, link: Link) -> NodeId | None:
    """The nearest node before a link that has a prompt."""
    graph = workflow.graph
    pending, seen = [link.node], {link.node}
    while pending:
        node = graph.nodes[pending.pop(0)]
        if "prompt" in node.params:
            return node.id
        for source in node.inputs.values():
            if source.node in graph and source.node not in seen:
                seen.add(source.node)
                pending.append(source.node)
    return None
