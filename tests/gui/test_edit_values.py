"""Links into parameters as edits: made, kept by every other edit, and what they give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import nodes
from studio.errors import GraphError
from studio.graph import Graph, Json, Link, NodeId
from studio.gui import edits
from studio.gui.flowing import Flow, flowing
from studio.gui.prompts import prompt_of
from studio.gui.seeing.branching import guidance_at, prompt_from
from studio.gui.shell.dropping import rebased
from studio.registry import collect
from studio.validation import problems
from studio.values import Integer, Number, Text
from studio.workflow import Workflow, check, flatten, load

TYPES = collect(nodes, "core")
BASE = load("workflows/text-to-image.json")
"""denoise (model, noise, negative, positive, schedule) -> decode (vae from model) -> save."""


def source(w: Workflow, node: str, param: str) -> str:
    return str(w.graph.node(node).inputs.get(param))


def given(node: str, param: str) -> Workflow:
    return edits.make_input(BASE, TYPES, node, param)[0]


def values(w: Workflow) -> dict[str, Json]:
    """What links give to parameters, as far as it is known."""
    keys = [(node.id, port) for node in w.graph for port in node.inputs]
    of = [
        key for key in keys if edits.known_types(w, TYPES)[w.graph.node(key[0]).type].param(key[1])
    ]
    found = flowing(w, TYPES, of)
    return {f"{node}.{port}": flow.value for (node, port), flow in found.items() if flow.is_known}


# --- made


@pytest.mark.parametrize(
    ("node", "param", "type_id", "value"),
    [
        ("denoise", "guidance", "number", 5.0),
        ("scheduler", "steps", "integer", 20),
        ("noise", "seed", "seed", 7),
        ("scheduler", "solver", "text", "ddim"),
        ("prompt", "prompt", "text", BASE.graph.node("prompt").params["prompt"]),
        ("denoise", "add_noise", "boolean", True),
    ],
)
def test_a_parameter_is_made_an_input_that_takes_its_value_over(
    node: str, param: str, type_id: str, value: Json
) -> None:
    w, made = edits.make_input(BASE, TYPES, node, param)
    assert w.graph.node(made).type == type_id
    assert w.graph.node(made).params == {"value": value}
    assert source(w, node, param) == f"{made}.value"
    assert w.graph.node(node).params == BASE.graph.node(node).params
    assert check(w, TYPES) == []
    assert values(w) == {f"{node}.{param}": value}


def test_the_new_node_is_called_like_the_parameter_and_stands_beside_where_there_is_room() -> None:
    w, made = edits.make_input(BASE, TYPES, "denoise", "guidance")
    assert made == "guidance"
    w, second = edits.make_input(w, TYPES, "denoise", "strength")
    places = edits.positions(w)
    assert places[made][0] < places[NodeId("denoise")][0]
    sizes = edits.sizes_of(w, TYPES, w.graph.nodes)
    boxes = {name: (*places[name], 240.0, sizes[name][1]) for name in w.graph.nodes}
    for one in (made, second):
        x, y, width, height = boxes[one]
        assert [
            other
            for other, (left, top, wide, high) in boxes.items()
            if other != one
            and left < x + width and x < left + wide and top < y + height and y < top + high
        ] == []  # fmt: skip


def test_one_node_gives_the_same_value_to_several() -> None:
    w, noise = edits.add_node(BASE, TYPES, "noise_source", params={"seed": 9})
    w, made = edits.make_input(w, TYPES, "noise", "seed", sharing=["noise", noise])
    assert source(w, "noise", "seed") == source(w, noise, "seed") == f"{made}.value"
    assert values(w) == {"noise.seed": 7, f"{noise}.seed": 7}


@pytest.mark.parametrize(
    ("node", "param", "message"),
    [
        ("denoise", "end_step", "denoise.end_step: has no value; set it first"),
        ("denoise", "nothing", "denoise.nothing: takes no link"),
    ],
)
def test_what_cannot_be_made_an_input_is_refused(node: str, param: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        edits.make_input(BASE, TYPES, node, param)


def test_a_list_takes_no_link() -> None:
    w, node = edits.add_node(Workflow(), TYPES, "guidance_curve")
    with pytest.raises(GraphError, match="takes no link"):
        edits.make_input(w, TYPES, node, "points")
    w, number = edits.add_node(w, TYPES, "number")
    with pytest.raises(GraphError, match="is a list, which takes no link"):
        edits.connect(w, TYPES, number, "value", node, "points")


def test_what_is_linked_already_is_not_made_an_input_again() -> None:
    with pytest.raises(GraphError, match=r"is linked to guidance\.value already"):
        edits.make_input(given("denoise", "guidance"), TYPES, "denoise", "guidance")


def test_a_link_into_a_parameter_is_refused_by_type_and_by_cycle() -> None:
    w, number = edits.add_node(BASE, TYPES, "number")
    with pytest.raises(GraphError, match=r"takes Integer, but number\.value gives Number"):
        edits.connect(w, TYPES, number, "value", "scheduler", "steps")
    w = edits.connect(w, TYPES, number, "value", "denoise", "guidance")
    w, other = edits.add_node(w, TYPES, "number")
    w = edits.connect(w, TYPES, number, "value", other, "value")
    with pytest.raises(GraphError, match="would close a cycle"):
        edits.connect(w, TYPES, other, "value", number, "value")


# --- added and linked by itself


def test_types_that_take_a_value_into_a_parameter_come_after_those_with_an_input() -> None:
    found = edits.matching_types(TYPES, output=Integer)
    assert found.index("arithmetic") < found.index("noise_source")
    assert "vae_decode" not in edits.matching_types(TYPES, output=Text)
    assert "seed" in edits.matching_types(TYPES, port=Number)


def test_a_value_dropped_for_a_new_node_enters_its_parameter() -> None:
    w, seed = edits.add_node(Workflow(), TYPES, "seed")
    w, noise = edits.add_node(w, TYPES, "noise_source", source=(seed, "value"))
    assert source(w, noise, "seed") == "seed.value"
    w, steps = edits.add_node(w, TYPES, "integer")
    w, batch = edits.add_node(
        edits.rename(w, steps, "batch"), TYPES, "noise_source", after=["batch"]
    )
    assert source(w, batch, "batch") == "batch.value"


def test_a_new_value_takes_no_parameter_that_is_set() -> None:
    w, _ = edits.add_node(BASE, TYPES, "integer", after=["scheduler"])
    assert source(w, "scheduler", "steps") == "None"


# --- kept


def test_deleting_the_source_gives_the_parameter_its_own_value_back() -> None:
    w = edits.remove(given("denoise", "guidance"), ["guidance"])
    assert w.graph == BASE.graph


def test_deleting_and_reconnecting_leads_the_link_past_the_node() -> None:
    w = given("denoise", "guidance")
    w, node = edits.add_node(w, TYPES, "arithmetic")
    w = edits.insert_on_link(w, TYPES, node, ("denoise", "guidance"))
    assert source(w, node, "a") == "guidance.value"
    assert source(w, "denoise", "guidance") == "arithmetic.value"
    for after in (
        edits.remove_and_reconnect(w, TYPES, [node]),
        edits.extract(w, TYPES, [node]),
    ):
        assert source(after, "denoise", "guidance") == "guidance.value"


def test_copies_with_links_and_pasted_text_keep_links_into_parameters() -> None:
    w = given("denoise", "guidance")
    linked, (copy,) = edits.duplicate(w, ["denoise"], with_links=True)
    assert source(linked, copy, "guidance") == "guidance.value"
    alone, (copy,) = edits.duplicate(w, ["denoise"])
    assert source(alone, copy, "guidance") == "None"
    both, (first, second) = edits.duplicate(w, ["denoise", "guidance"])
    assert source(both, first, "guidance") == f"{second}.value"
    text = edits.copy_text(w, ["denoise"])
    pasted, (copy,) = edits.paste_text(w, TYPES, text, (0, 0), with_links=True)
    assert source(pasted, copy, "guidance") == "guidance.value"


def test_a_swapped_node_keeps_links_into_parameters_of_the_same_name() -> None:
    w = given("noise", "seed")
    w = edits.swap_type(w, TYPES, "noise", "noise_variation")
    assert source(w, "noise", "seed") == "seed.value"
    w = edits.swap_type(w, TYPES, "seed", "integer")
    assert source(w, "noise", "seed") == "seed.value"
    w = edits.swap_type(w, TYPES, "seed", "text")
    assert source(w, "noise", "seed") == "None"


def test_moved_links_take_those_into_parameters_along() -> None:
    w = given("denoise", "guidance")
    w, other = edits.add_node(w, TYPES, "number")
    w = edits.move_links(w, TYPES, ("guidance", "value"), (other, "value"))
    assert source(w, "denoise", "guidance") == "number.value"


def test_laid_out_nodes_stand_after_what_gives_their_parameters() -> None:
    w = edits.auto_layout(given("denoise", "guidance"), TYPES)
    places = edits.positions(w)
    assert places[NodeId("guidance")][0] < places[NodeId("denoise")][0]


# --- groups


def test_a_link_from_outside_into_a_parameter_becomes_an_input_of_the_group() -> None:
    w, node = edits.group(given("denoise", "guidance"), TYPES, ["denoise", "decode"], "paint")
    assert source(w, node, "guidance") == "guidance.value"
    shown = edits.known_types(w, TYPES)["group:paint"].input("guidance")
    assert shown is not None
    assert shown.type is Number
    flat = flatten(w, TYPES)
    assert str(flat.node("paint/denoise").inputs["guidance"]) == "guidance.value"
    assert problems(flat, TYPES) == []
    apart, _ = edits.ungroup(w, TYPES, [node])
    assert apart.graph == given("denoise", "guidance").graph


def test_a_parameter_that_stands_on_a_group_is_linked_there_and_stays_so_without_the_group() -> (
    None
):
    w, node = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    w = edits.expose(w, TYPES, "paint", "denoise", "guidance")
    w, made = edits.make_input(w, TYPES, node, "guidance")
    assert w.graph.node(made).params == {"value": 5.0}
    assert str(flatten(w, TYPES).node("paint/denoise").inputs["guidance"]) == "guidance.value"
    assert values(w) == {"paint.guidance": 5.0}
    apart, _ = edits.ungroup(w, TYPES, [node])
    assert source(apart, "denoise", "guidance") == "guidance.value"


def test_a_group_that_loses_the_node_of_a_parameter_loses_the_link_to_it() -> None:
    w, node = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    w = edits.expose(w, TYPES, "paint", "decode", "tile")
    w, _ = edits.make_input(w, TYPES, node, "tile")
    w = edits.with_body(w, TYPES, "paint", edits.remove(edits.body(w, "paint"), ["decode"]))
    assert source(w, node, "tile") == "None"


# --- what flows


def test_what_flows_is_known_through_arithmetic_groups_and_bypassed_nodes() -> None:
    w = given("denoise", "guidance")
    w, node = edits.add_node(w, TYPES, "arithmetic", params={"expression": "a*2 - 1"})
    w = edits.insert_on_link(w, TYPES, node, ("denoise", "guidance"))
    assert values(w) == {"denoise.guidance": 9.0}
    assert values(edits.set_mode(w, [node], "bypass")) == {"denoise.guidance": 5.0}
    w, _ = edits.group(w, TYPES, ["guidance", node], "twice")
    assert values(w) == {"denoise.guidance": 9.0}


def test_a_muted_source_gives_nothing() -> None:
    w = edits.set_mode(given("denoise", "guidance"), ["guidance"], "mute")
    assert flowing(w, TYPES, [(NodeId("denoise"), "guidance")]) == {}


def test_a_source_that_fails_or_is_not_known_gives_something_unknown() -> None:
    w = given("denoise", "guidance")
    w, node = edits.add_node(w, TYPES, "arithmetic", params={"expression": "a/0"})
    w = edits.insert_on_link(w, TYPES, node, ("denoise", "guidance"))
    key = (NodeId("denoise"), "guidance")
    assert flowing(w, TYPES, [key]) == {key: Flow(Link(NodeId("arithmetic"), "value"))}
    strange = replace(w.graph.node(node), type="from_a_pack")
    odd = replace(w, graph=Graph({**w.graph.nodes, strange.id: strange}))
    assert not flowing(odd, TYPES, [key])[key].is_known


# --- what else reads parameters


def test_the_prompt_of_a_picture_is_the_linked_one() -> None:
    w = given("prompt", "prompt")
    w = edits.set_param(w, "prompt_2", "value", "a blue boat")
    assert prompt_of(w, TYPES) == "a blue boat"
    own = prompt_of(edits.set_mode(w, ["prompt_2"], "mute"), TYPES)
    assert own == BASE.graph.node("prompt").params["prompt"]


def test_a_branch_of_a_linked_prompt_has_the_text_to_be_changed() -> None:
    w = edits.set_param(given("prompt", "prompt"), "prompt_2", "value", "a blue boat")
    after, copy = prompt_from(w, TYPES, "denoise", 10, 20)
    assert after.graph.node(copy).params["prompt"] == "a blue boat"
    assert "prompt" not in after.graph.node(copy).inputs
    assert source(after, "prompt", "prompt") == "prompt_2.value"


def test_guidance_branches_from_the_linked_value() -> None:
    w = edits.set_param(given("denoise", "guidance"), "guidance", "value", 7.5)
    assert guidance_at(w, TYPES, "denoise", 10, 20) == 7.5


def test_a_file_named_by_a_link_is_found_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "in.png").write_bytes(b"a picture")
    w, node = edits.add_node(Workflow(), TYPES, "load_image", params={"file": "in.png"})
    w, made = edits.make_input(w, TYPES, node, "file")
    moved = rebased(w, TYPES, tmp_path / "deep", tmp_path)
    assert moved.graph.node(made).params == {"value": "deep/in.png"}
