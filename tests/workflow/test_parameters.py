"""Parameters set from text, at a node, at a group, inside a body."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio import workflow
from studio.errors import ArgumentError
from studio.graph import Json, NodeType
from studio.workflow import Workflow
from tests.sample_nodes import TYPES
from tests.workflow.flows import exact, flow, node, read, with_mode


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("paint.guidance", "7", 7.0),
        ("paint.guidance", "7.5", 7.5),
        ("paint.steps", "30", 30),
        ("paint.sampler", "euler", "euler"),
        ("paint.sampler", '"euler"', "euler"),
        ("paint.is_tiled", "true", True),
        ("paint.curve", "[[0, 2], [0.5, 3.0]]", [[0, 2], [0.5, 3.0]]),
        ("noise.seed", "18446744073709551615", 2**64 - 1),
        ("text.prompt", "42", "42"),
        ("text.prompt", "a fox, 赤", "a fox, 赤"),
        ("text.prompt", '"42"', "42"),
        ("text.prompt", '"two\\nlines"', "two\nlines"),
        ("text.prompt", '"open', '"open'),
        ("text.prompt", '"\\ud800"', '"\\ud800"'),
        ("text.prompt", "NaN", "NaN"),
        ("text.prompt", "null", "null"),
        ("text.prompt", "", ""),
        ("text.prompt", "a=b.c", "a=b.c"),
        ("text.note", "null", None),
        ("text.note", "{}", "{}"),
    ],
)
def test_a_parameter_is_set_from_text(name: str, text: str, value: Json) -> None:
    found = workflow.set_param(read("plain"), name, text, TYPES)
    node_id, param = name.split(".")
    assert exact(found.graph.node(node_id).params[param]) == exact(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("paint.guidance", "500", "paint.guidance: 500.0 is outside 0 … 30"),
        ("paint.guidance", "high", "paint.guidance: 'high': is not JSON: Expecting value; give a number"),
        ("paint.guidance", "NaN", "paint.guidance: 'NaN': NaN is not a number"),
        ("paint.guidance", "", "paint.guidance: '': is not JSON"),
        ("paint.guidance", "true", "True is not a number; give a number, 0 … 30"),
        ("paint.steps", "1e2", "100.0 is not a whole number"),
        ("paint.steps", "9" * 5000, "does not fit into 64 bits"),
        ("paint.sampler", "dimm", 'paint.sampler: "dimm" is not one of ddim | euler'),
        ("paint.is_tiled", "1", "1 is not true or false"),
        ("paint.curve", "[[0.5, 1], [0, 1]]", "point 1: shares must rise"),
        ("paint.curve", "[" * 500 + "]" * 500, "is nested more than 64 levels deep"),
        ("noise.width", "100", "100 is not a multiple of 8"),
        ("text.prompt", "\udcff", "is not text"),
        ("paint.guidence", "7", 'paint.guidence: paint has no such parameter; did you mean "guidance"?'),
        ("pant.guidance", "7", 'pant: there is no such node; did you mean "paint"?'),
        ("guidance", "7", "'guidance' is not of the form NODE.PARAM"),
        (".guidance", "7", "is not of the form NODE.PARAM"),
        ("paint.", "7", "is not of the form NODE.PARAM"),
        ("paint/x.guidance", "7", "paint: is not a group but paint"),
        ("/.x", "7", "there is no such node"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        workflow.set_param(read("plain"), name, text, TYPES)
    assert message in str(caught.value)


def test_a_node_of_an_unknown_type_cannot_be_set() -> None:
    with pytest.raises(ArgumentError, match=r'paint: there is no node type "somebody\.quantum'):
        workflow.set_param(read("unknown"), "paint.tiny", "1", TYPES)


def test_setting_leaves_the_workflow_untouched() -> None:
    plain = read("plain")
    workflow.set_param(plain, "paint.guidance", "7", TYPES)
    assert plain == read("plain")


def shares(w: Workflow) -> dict[str, Json]:
    flat = workflow.flatten(w, TYPES)
    return {n.id: n.params["share"] for n in flat if n.type == "blend"}


def test_a_parameter_that_a_group_shows_is_set_on_its_node() -> None:
    found = workflow.set_param(read("groups"), "finish.strength", "0.125", TYPES)
    assert found.graph.node("finish").params == {"strength": 0.125}
    assert shares(found) == {"finish/one/mix": 0.5, "finish/two/mix": 0.125}


def test_an_inner_parameter_that_shows_outside_is_set_where_it_shows() -> None:
    found = workflow.set_param(read("groups"), "finish/two/mix.share", "0.125", TYPES)
    assert found.graph.node("finish").params == {"strength": 0.125}
    found = workflow.set_param(read("groups"), "finish/one/mix.share", "0.125", TYPES)
    assert found.groups["twice"].graph.node("one").params == {"strength": 0.125}
    assert shares(found) == {"finish/one/mix": 0.125, "finish/two/mix": 0.25}


def test_an_inner_parameter_is_set_for_that_node_alone() -> None:
    found = workflow.set_param(read("groups"), "finish/one/again.steps", "3", TYPES)
    flat = workflow.flatten(found, TYPES)
    assert flat.node("finish/one/again").params["steps"] == 3
    assert flat.node("finish/two/again").params["steps"] == 8
    assert found.groups.keys() == {"detail", "detail_2", "twice"}
    again = workflow.set_param(found, "finish/one/again.steps", "4", TYPES)
    assert again.groups.keys() == found.groups.keys()


def test_a_value_for_an_inner_parameter_is_checked_by_its_own_range() -> None:
    with pytest.raises(ArgumentError, match=r"finish\.strength: 2\.0 is outside 0 … 1"):
        workflow.set_param(read("groups"), "finish.strength", "2", TYPES)


def test_a_parameter_may_be_called_node() -> None:
    paint = TYPES["paint"]
    odd: NodeType = replace(paint, id="odd", params=(replace(paint.params[0], name="node"),))
    found = workflow.set_param(flow(node("a", "odd")), "a.node", "7", {"odd": odd})
    assert found.graph.node("a").params == {"node": 7.0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("paint.steps", "30",
         "paint.steps: is linked to steps.value, so that setting it would change nothing; "
         "set steps.value instead"),
        ("sketch.guidance", "3", "sketch.guidance: is linked to strength.value"),
        ("sketch.guidance", "3", "set strength.value instead"),
        ("sketch/grain.seed", "3", "sketch/grain.seed: is linked to seed.value"),
        ("sketch/again.guidance", "3", "is linked to sketch/half.value"),
    ],
)  # fmt: skip
def test_a_linked_parameter_cannot_be_set_and_the_message_says_what_can(
    name: str, text: str, message: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        workflow.set_param(read("linked"), name, text, TYPES)
    assert message in str(caught.value)


def test_the_node_that_gives_a_linked_value_can_be_set() -> None:
    found = workflow.set_param(read("linked"), "steps.value", "30", TYPES)
    assert found.graph.node("steps").params["value"] == 30


def test_a_source_without_a_parameter_of_that_name_is_named_by_its_node() -> None:
    half = replace(TYPES["amount"], params=(replace(TYPES["amount"].params[0], name="share"),))
    with pytest.raises(ArgumentError, match="set a parameter of strength instead"):
        workflow.set_param(read("linked"), "paint.guidance", "3", {**TYPES, "amount": half})


def test_a_parameter_whose_source_is_muted_can_be_set() -> None:
    found = workflow.set_param(
        with_mode(read("linked"), "steps", "mute"), "paint.steps", "9", TYPES
    )
    assert found.graph.node("paint").params["steps"] == 9
