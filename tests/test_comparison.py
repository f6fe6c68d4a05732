"""What two workflows and two manifests have not in common, each thing once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from studio.comparison import changes, environment, models
from studio.graph import Graph, Json, Link, Node, NodeId
from studio.workflow import Group, Inner, Workflow


def node(name: str, params: dict[str, Json] | None = None, **inputs: str) -> Node:
    links = {port: Link(*_split(source)) for port, source in inputs.items()}
    return Node(NodeId(name), "type", params=params or {}, inputs=links)


def _split(source: str) -> tuple[NodeId, str]:
    name, _, output = source.partition(".")
    return NodeId(name), output


def flow(*nodes: Node) -> Workflow:
    return Workflow(graph=Graph({one.id: one for one in nodes}))


def test_a_change_of_a_parameter_names_node_parameter_and_both_values() -> None:
    [found] = changes(flow(node("a", {"x": 1})), flow(node("a", {"x": 2})))
    assert (found.where, found.before, found.after) == ("a.x", "1", "2")
    assert found.difference is not None
    assert (found.difference.kind, found.difference.node) == ("param", "a")
    assert str(found) == "a.x: 1 -> 2"


def test_links_and_nodes_are_told_apart() -> None:
    before, after = flow(node("a"), node("b", port="a.out")), flow(node("a"), node("c"))
    kinds = [one.difference.kind for one in changes(before, after) if one.difference]
    assert kinds == ["removed", "added"]
    [link] = changes(before, flow(node("a"), node("b")))
    assert link.difference is not None
    assert (link.difference.kind, link.after) == ("link", "nothing")


def test_the_body_and_the_interface_of_a_group_are_compared() -> None:
    inside = Graph({NodeId("s"): node("s", {"x": 1})})
    group = Group(graph=inside, params={"x": Inner(NodeId("s"), "x")})
    other = replace(group, graph=inside.set("s", x=2), params={})
    found = changes(Workflow(groups={"g": group}), Workflow(groups={"g": other}))
    assert [str(one) for one in found] == [
        "group g: s.x: 1 -> 2",
        "group g: parameter x: s.x -> nothing",
    ]
    assert [one.group for one in found] == ["g", "g"]
    [gone] = changes(Workflow(groups={"g": group}), Workflow())
    assert str(gone) == "group g: removed"


def test_a_digest_that_only_one_side_knows_is_no_difference() -> None:
    known, unknown = flow(node("m", {"digest": "1" * 64})), flow(node("m", {"digest": ""}))
    assert changes(known, unknown) == changes(unknown, known) == []
    assert changes(known, flow(node("m", {"digest": "2" * 64})))


def test_what_a_manifest_does_not_say_is_unknown() -> None:
    found = environment({}, {"studio": "1", "numerics": {"dtype": "float32"}})
    assert [str(one) for one in found] == ["studio: unknown -> 1", "dtype: unknown -> float32"]


def test_models_are_compared_by_content() -> None:
    before: dict[str, Json] = {"models": {"a/unet": "1" * 64, "a/vae": "2" * 64}}
    after: dict[str, Json] = {"models": {"a/unet": "3" * 64, "a/vae": "2" * 64}}
    [found] = models(before, after)
    assert str(found) == "model a/unet: 111111111111… -> 333333333333…"


def test_comparing_loads_neither_torch_nor_numpy_ahead() -> None:
    code = (
        "import sys, studio.comparison, studio.pixels; print({'torch', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
