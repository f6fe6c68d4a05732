"""What is wrong with a graph, by node and port; what mute and bypass leave of it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from studio import validation
from studio.errors import GraphError
from studio.graph import Graph, Json, Link, Mode, Node, NodeId
from tests.sample_nodes import TYPES


def node(name: str, type_id: str, mode: Mode = "normal", **inputs: str) -> Node:
    links = {port: Link.parse(link) for port, link in inputs.items()}
    version = TYPES[type_id].version if type_id in TYPES else 1
    return Node(NodeId(name), type_id, version, {}, links, mode)


def graph(*nodes: Node) -> Graph:
    return Graph({node.id: node for node in nodes})


SOUND = graph(
    node("text", "text"),
    node("noise", "noise"),
    node("paint", "paint", positive="text.embedding", noise="noise.noise"),
    node("decode", "decode", latents="paint.latents"),
    node("save", "save", image="decode.image"),
)


def found(graph: Graph, *targets: str) -> list[str]:
    return [str(problem) for problem in validation.problems(graph, TYPES, targets or None)]


def linked(target: str, port: str, link: str) -> Graph:
    """The sound graph with one link put in without any check."""
    old = SOUND.node(target)
    return Graph(
        {**SOUND.nodes, old.id: replace(old, inputs={**old.inputs, port: Link.parse(link)})}
    )


# --- problems


VALUES = {name: node(name, name) for name in ("count", "amount", "words")}
"""A node of every kind of plain value, to be linked into parameters."""


def given(parameter: str, link: str) -> Graph:
    """The sound graph with a plain value linked into a parameter."""
    target, _, name = parameter.partition(".")
    base = linked(target, name, link)
    return Graph({**base.nodes, **{one.id: one for one in VALUES.values()}})


@pytest.mark.parametrize(
    ("parameter", "link"),
    [
        ("paint.steps", "count.value"),
        ("paint.guidance", "amount.value"),
        ("paint.guidance", "count.value"),
        ("paint.sampler", "words.value"),
        ("text.prompt", "words.value"),
        ("save.name", "words.value"),
    ],
)
def test_a_value_may_be_linked_into_a_parameter_that_it_fits(parameter: str, link: str) -> None:
    assert found(given(parameter, link)) == []


@pytest.mark.parametrize(
    ("parameter", "link", "message"),
    [
        ("paint.steps", "amount.value",
         "paint.steps: takes Integer, but amount.value gives Number; Integer comes from count.value"),
        ("paint.is_tiled", "words.value",
         "paint.is_tiled: takes Boolean, but words.value gives Text; add a node that gives Boolean"),
        ("paint.guidance", "noise.noise", "paint.guidance: takes Number, but noise.noise gives Noise"),
        ("paint.steps", "count.number", 'paint.steps: count has no output number; there are: value'),
        ("paint.curve", "words.value",
         "paint.curve: is a list, which takes no link; remove the link, and set it"),
        ("paint.stepps", "count.value",
         'paint.stepps: paint has no such input; did you mean "steps"?'),
    ],
)  # fmt: skip
def test_a_link_that_does_not_fit_a_parameter_is_named(
    parameter: str, link: str, message: str
) -> None:
    [problem] = found(given(parameter, link))
    assert problem.startswith(message)


def test_a_cycle_through_parameters_is_found() -> None:
    loop = graph(node("a", "amount", value="b.value"), node("b", "amount", value="a.value"))
    assert "is part of a cycle: a -> b -> a" in found(loop)[0]


def test_the_own_value_of_a_linked_parameter_has_to_be_sound_all_the_same() -> None:
    bad = given("paint.steps", "count.value").set("paint", steps=0)
    assert [line.split(":")[0] for line in found(bad)] == ["paint.steps"]


def test_a_sound_graph_has_no_problems() -> None:
    assert found(SOUND) == []


def test_a_link_from_an_item_into_a_timeline_is_sound() -> None:
    assert TYPES["text"].outputs[0].type is not TYPES["paint"].inputs[0].type
    assert found(SOUND, "paint") == []


def test_a_problem_names_node_and_port() -> None:
    [problem] = validation.problems(SOUND.set("paint", guidance=99), TYPES)
    assert isinstance(problem, GraphError)
    assert (problem.node, problem.port) == ("paint", "guidance")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"guidance": 99}, "paint.guidance: 99.0 is outside 0 … 30; give a number, 0 … 30"),
        ({"guidance": "5"}, "paint.guidance: '5' is not a number; give a number, 0 … 30"),
        ({"guidance": float("nan")}, "paint.guidance: nan is not a finite number; give a number, 0 … 30"),
        ({"guidance": 10**400}, "is not a finite number"),
        ({"steps": 2.0}, "paint.steps: 2.0 is not a whole number"),
        ({"steps": True}, "paint.steps: True is not a whole number"),
        ({"steps": None}, "paint.steps: None is not a whole number"),
        ({"sampler": "dimm"}, 'paint.sampler: "dimm" is not one of ddim | euler'),
        ({"is_tiled": 1}, "paint.is_tiled: 1 is not true or false; give true or false"),
        ({"curve": []}, "paint.curve: a curve needs a point"),
        ({"curve": [[0]]}, "paint.curve: point 0 is not a pair [share, value]"),
        ({"curve": {"a": 1}}, "paint.curve: {'a': 1} is not a list"),
        ({"guidence": 1}, 'paint.guidence: paint has no such parameter; did you mean "guidance"?'),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named_with_what_is_admitted(
    params: dict[str, Json], message: str
) -> None:
    [problem] = found(SOUND.set("paint", **params))
    assert message in problem


def test_a_nullable_parameter_admits_null() -> None:
    assert found(SOUND.set("text", note=None)) == []


def test_a_missing_link_is_named_with_what_fits() -> None:
    assert found(SOUND.disconnect("decode", "latents")) == [
        "decode.latents: is not connected; Latents comes from paint.latents"
    ]


def test_where_nothing_fits_a_node_type_is_proposed() -> None:
    assert found(graph(node("decode", "decode"))) == [
        "decode.latents: is not connected; add a node that gives Latents: blend, paint"
    ]


def test_an_optional_input_may_be_left_open() -> None:
    assert found(SOUND, "paint") == []
    assert "latents" not in SOUND.node("paint").inputs


@pytest.mark.parametrize(
    ("target", "port", "link", "message"),
    [
        ("decode", "latens", "paint.latents",
         'decode.latens: decode has no such input; did you mean "latents"?'),
        ("decode", "latents", "pant.latents",
         'decode.latents: is linked to pant.latents, but there is no node pant; did you mean "paint"?'),
        ("decode", "latents", "paint.latent",
         'decode.latents: paint has no output latent; did you mean "latents"?'),
        ("decode", "latents", "noise.noise",
         "decode.latents: takes Latents, but noise.noise gives Noise; Latents comes from paint.latents"),
    ],
)  # fmt: skip
def test_a_bad_link_is_named(target: str, port: str, link: str, message: str) -> None:
    assert found(linked(target, port, link)) == [message]


def test_a_group_without_that_output_is_named_in_a_flat_graph() -> None:
    inner = replace(node("x", "blend", first="paint.latents"), id=NodeId("g/x"))
    flat = Graph({**linked("decode", "latents", "g.out").nodes, inner.id: inner})
    assert found(flat, "decode") == [
        "decode.latents: group g has no output out; name one of the group's outputs"
    ]


def test_an_unknown_type_is_named_with_the_nearest() -> None:
    assert found(graph(node("a", "txt"))) == [
        'a: there is no node type "txt"; did you mean "text"?; or install the pack that declares it'
    ]


def test_links_from_an_unknown_type_are_not_judged() -> None:
    problems = found(graph(node("a", "odd"), node("decode", "decode", latents="a.b")))
    assert len(problems) == 1
    assert problems[0].startswith("a: ")


@pytest.mark.parametrize(
    ("version", "remedy"), [(3, "update the program"), (1, "rewrite the file with studio migrate")]
)
def test_another_version_is_named_with_both_numbers(version: int, remedy: str) -> None:
    other = Graph({**SOUND.nodes, NodeId("paint"): replace(SOUND.node("paint"), version=version)})
    assert found(other) == [f"paint: is version {version} of paint; here is version 2; {remedy}"]


def test_a_cycle_is_named_by_its_path() -> None:
    circle = graph(
        node("a", "blend", first="c.latents"),
        node("b", "blend", first="a.latents"),
        node("c", "blend", first="b.latents"),
    )
    assert found(circle) == [
        "a: is part of a cycle: a -> b -> c -> a; remove one of these links"
    ]  # fmt: skip


def test_a_node_linked_to_itself_is_a_cycle() -> None:
    assert "is part of a cycle: a -> a" in found(graph(node("a", "blend", first="a.latents")))[0]


def test_only_what_the_targets_need_is_judged() -> None:
    broken = SOUND.add(node("odd", "txt")).set("save", name=3).set("decode", tiles=3)
    circle = broken.add(node("x", "blend", first="x.latents"))
    assert found(circle, "paint") == []
    assert [line.split(":")[0] for line in found(circle, "decode")] == ["decode.tiles"]
    assert [line.split(":")[0] for line in found(circle)] == [
        "decode.tiles",
        "odd",
        "save.name",
        "x",
    ]


def test_a_target_that_does_not_exist_is_a_problem() -> None:
    assert found(SOUND, "pant") == ['pant: there is no such node; did you mean "paint"?']


def test_a_thousand_nodes_are_judged_in_milliseconds() -> None:
    params = TYPES["paint"].defaults()
    nodes = [node("text", "text"), node("noise", "noise"), node("n0", "paint",
             positive="text.embedding", noise="noise.noise")]  # fmt: skip
    nodes += [
        replace(
            node(f"n{i}", "paint", positive="text.embedding", noise="noise.noise",
                 latents=f"n{i - 1}.latents"),
            params=params,
        )
        for i in range(1, 1000)
    ]  # fmt: skip
    large = graph(*nodes)
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        assert validation.problems(large, TYPES) == []
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.045  # 0.006 when measured; the rest is for slow and shared machines


def test_a_thousand_bad_nodes_do_not_take_longer_than_a_second() -> None:
    bad = graph(*(node(f"n{i}", "decode", latents=f"gone{i}.noise") for i in range(1000)))
    begin = time.process_time()
    assert len(validation.problems(bad, TYPES)) == 1000
    assert time.process_time() - begin < 1.0


# --- outputs


def test_output_nodes_are_those_that_write() -> None:
    assert validation.output_nodes(SOUND.add(node("a", "save")), TYPES) == ["a", "save"]


# --- mute and bypass


def test_without_modes_the_graph_is_the_same_value() -> None:
    live = validation.active(SOUND, TYPES)
    assert live.graph is SOUND
    assert live.off == {}


def test_muting_turns_off_everything_that_cannot_do_without() -> None:
    live = validation.active(SOUND.set_mode("paint", "mute"), TYPES)
    assert live.graph.nodes.keys() == {"text", "noise"}
    assert live.off == {
        "paint": "is muted",
        "decode": "gets nothing from paint for latents",
        "save": "gets nothing from decode for image",
    }


def test_muting_what_is_optional_only_removes_the_link() -> None:
    sketch = node("sketch", "blend", "mute", first="paint.latents")
    again = node(
        "again",
        "paint",
        latents="sketch.latents",
        positive="text.embedding",
        noise="noise.noise",
    )
    live = validation.active(Graph({**SOUND.nodes, sketch.id: sketch, again.id: again}), TYPES)
    assert live.off.keys() == {"sketch"}
    assert live.graph.node("again").inputs.keys() == {"positive", "noise"}


def test_bypass_passes_the_first_input_that_fits() -> None:
    blend = node("blend", "blend", "bypass", first="paint.latents", second="other.latents")
    other = node("other", "paint", positive="text.embedding", noise="noise.noise")
    w = linked("decode", "latents", "blend.latents")
    live = validation.active(Graph({**w.nodes, blend.id: blend, other.id: other}), TYPES)
    assert live.off == {"blend": "is bypassed"}
    assert live.graph.node("decode").inputs == {"latents": Link(NodeId("paint"), "latents")}


def test_bypass_takes_the_second_input_where_the_first_is_open() -> None:
    blend = node("blend", "blend", "bypass", second="paint.latents")
    w = linked("decode", "latents", "blend.latents")
    live = validation.active(Graph({**w.nodes, blend.id: blend}), TYPES)
    assert str(live.graph.node("decode").inputs["latents"]) == "paint.latents"


def test_bypass_by_type_ignores_inputs_of_other_types() -> None:
    # paint's first inputs are conditioning and noise; its latents pass
    w = linked("paint", "latents", "other.latents").set_mode("paint", "bypass")
    other = node("other", "paint", positive="text.embedding", noise="noise.noise")
    live = validation.active(Graph({**w.nodes, other.id: other}), TYPES)
    assert str(live.graph.node("decode").inputs["latents"]) == "other.latents"


def test_bypass_where_nothing_fits_gives_nothing() -> None:
    live = validation.active(SOUND.set_mode("decode", "bypass"), TYPES)
    assert live.off == {
        "decode": "is bypassed",
        "save": "gets nothing from decode for image",
    }


def test_bypass_follows_a_chain() -> None:
    chain = [
        node(f"b{i}", "blend", "bypass", first=f"b{i - 1}.latents" if i else "paint.latents")
        for i in range(2000)
    ]
    w = linked("decode", "latents", "b1999.latents")
    live = validation.active(Graph({**w.nodes, **{n.id: n for n in chain}}), TYPES)
    assert str(live.graph.node("decode").inputs["latents"]) == "paint.latents"


def test_bypassed_nodes_in_a_circle_give_nothing() -> None:
    a = node("a", "blend", "bypass", first="b.latents")
    b = node("b", "blend", "bypass", first="a.latents")
    w = linked("decode", "latents", "a.latents")
    live = validation.active(Graph({**w.nodes, a.id: a, b.id: b}), TYPES)
    assert live.off.keys() == {"a", "b", "decode", "save"}


def test_a_bypassed_node_behind_a_muted_one_gives_nothing() -> None:
    a = node("a", "blend", "mute", first="paint.latents")
    b = node("b", "blend", "bypass", first="a.latents")
    w = linked("decode", "latents", "b.latents")
    live = validation.active(Graph({**w.nodes, a.id: a, b.id: b}), TYPES)
    assert live.graph.nodes.keys() == {"text", "noise", "paint"}


def test_a_dangling_link_is_left_for_problems_to_name() -> None:
    w = linked("decode", "latents", "gone.latents").set_mode("text", "mute")
    live = validation.active(w, TYPES)
    assert str(live.graph.node("decode").inputs["latents"]) == "gone.latents"


def test_a_parameter_that_loses_its_link_keeps_its_node() -> None:
    muted = given("paint.steps", "count.value").set_mode("count", "mute")
    live = validation.active(muted, TYPES)
    assert "paint" in live.graph
    assert "steps" not in live.graph.node("paint").inputs


def test_a_bypassed_node_passes_what_is_linked_into_its_parameter() -> None:
    graph = given("paint.guidance", "amount.value")
    through = graph.connect("count", "value", "amount", "value").set_mode("amount", "bypass")
    live = validation.active(through, TYPES)
    assert str(live.graph.node("paint").inputs["guidance"]) == "count.value"
