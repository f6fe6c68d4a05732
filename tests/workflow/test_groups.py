"""Groups: how they unfold, what they show, and what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio import validation, workflow
from studio.errors import GraphError
from studio.graph import NodeId
from studio.workflow import Inner
from tests.sample_nodes import TYPES
from tests.workflow.flows import flow, group, node, read, with_mode


def test_bodies_take_the_place_of_the_nodes_that_stand_for_them() -> None:
    flat = workflow.flatten(read("groups"), TYPES)
    inner = {f"finish/{a}/{b}" for a in ("one", "two") for b in ("again", "grain", "mix")}
    assert flat.nodes.keys() == {"decode", "noise", "paint", "save", "text"} | inner
    links = {str(node.id): {p: str(link) for p, link in node.inputs.items()} for node in flat}
    assert links["finish/one/again"] == {
        "noise": "finish/one/grain.noise",
        "latents": "paint.latents",
        "positive": "text.embedding",
    }
    assert links["finish/two/mix"] == {
        "first": "finish/one/mix.latents",
        "second": "finish/two/again.latents",
    }
    assert links["decode"] == {"latents": "finish/two/mix.latents"}
    assert validation.problems(flat, TYPES) == []


def test_a_parameter_of_a_group_reaches_through_two_levels() -> None:
    flat = workflow.flatten(read("groups"), TYPES)
    assert flat.node("finish/two/mix").params["share"] == 0.25
    assert flat.node("finish/one/mix").params["share"] == 0.5


def test_a_graph_without_groups_is_flat_already() -> None:
    plain = read("plain")
    assert workflow.flatten(plain, TYPES) is plain.graph


def test_an_unlinked_input_of_a_group_leaves_the_links_of_its_body() -> None:
    body = group(node("n", "noise"), node("b", "blend", first="n.x"), inputs={"first": "b.first"})
    flat = workflow.flatten(flow(node("g", "group:g"), g=body), TYPES)
    assert str(flat.node("g/b").inputs["first"]) == "g/n.x"


def test_a_muted_group_mutes_everything_inside() -> None:
    flat = workflow.flatten(with_mode(read("groups"), "finish", "mute"), TYPES)
    assert {n.mode for n in flat if n.id.startswith("finish/")} == {"mute"}
    live = validation.active(flat, TYPES)
    assert live.graph.nodes.keys() == {"noise", "paint", "text"}


def test_a_bypassed_group_passes_its_first_fitting_input_through() -> None:
    flat = workflow.flatten(with_mode(read("groups"), "finish", "bypass"), TYPES)
    assert str(flat.node("decode").inputs["latents"]) == "paint.latents"
    live = validation.active(flat, TYPES).graph
    assert live.nodes.keys() == {"noise", "paint", "text", "decode", "save"}


def test_a_bypassed_group_inside_a_body_passes_the_outer_link_through() -> None:
    groups = read("groups")
    twice = groups.groups["twice"]
    bypassed = replace(twice, graph=twice.graph.set_mode("one", "bypass"))
    w = replace(groups, groups={**groups.groups, "twice": bypassed})
    flat = workflow.flatten(w, TYPES)
    assert str(flat.node("finish/two/mix").inputs["first"]) == "paint.latents"


def test_bypassed_groups_in_a_circle_are_refused() -> None:
    body = group(node("b", "blend"), inputs={"i": "b.first"}, outputs={"o": "b.latents"})
    a = replace(node("a", "group:g", i="b.o"), mode="bypass")
    b = replace(node("b", "group:g", i="a.o"), mode="bypass")
    with pytest.raises(GraphError, match="linked in a circle"):
        workflow.flatten(flow(a, b, node("d", "decode", latents="a.o"), g=body), TYPES)


def test_a_group_that_contains_itself_is_refused_by_its_path() -> None:
    w = flow(
        node("x", "group:a"),
        a=group(node("x", "group:b")),
        b=group(node("x", "group:c")),
        c=group(node("x", "group:a")),
    )
    with pytest.raises(GraphError) as caught:
        workflow.flatten(w, TYPES)
    assert "group:a: contains itself: a -> b -> c -> a" in str(caught.value)


def test_groups_that_multiply_without_end_are_refused() -> None:
    doubling = {f"g{n}": group(node("x", f"group:g{n + 1}"), node("y", f"group:g{n + 1}"))
                for n in range(30)}  # fmt: skip
    w = flow(node("x", "group:g0"), **doubling, g30=group(node("z")))
    with pytest.raises(GraphError, match="groups unfold to more than 100000 nodes"):
        workflow.flatten(w, TYPES)


def test_groups_nested_beyond_all_measure_are_refused() -> None:
    chain = {f"g{n}": group(node("x", f"group:g{n + 1}")) for n in range(2000)}
    with pytest.raises(GraphError, match="32 levels"):
        workflow.flatten(flow(node("x", "group:g0"), **chain, g2000=group(node("z"))), TYPES)


def test_a_group_that_the_file_lacks_stays_as_an_unknown_node() -> None:
    w = flow(node("x", "group:gone"), node("y", "group:g"), g=group(node("z")))
    assert workflow.flatten(w, TYPES).node("x").type == "group:gone"
    assert [str(p) for p in workflow.check(w, TYPES)] == [
        'x: there is no group "gone" in this file; add it or mute this node'
    ]


def test_a_group_shows_the_types_of_its_body() -> None:
    shown = workflow.group_types(read("groups"), TYPES)["group:twice"]
    assert [(p.name, p.type.__name__, p.optional) for p in shown.inputs] == [
        ("latents", "Latents", False),
        ("positive", "Conditioning", False),
    ]
    assert [(p.name, p.type.__name__) for p in shown.outputs] == [("latents", "Latents")]
    assert [(p.name, p.default) for p in shown.params] == [("strength", 0.75)]


def test_links_into_parameters_run_through_groups() -> None:
    flat = workflow.flatten(read("linked"), TYPES)
    links = {str(node.id): {p: str(link) for p, link in node.inputs.items()} for node in flat}
    assert links["sketch/grain"] == {"seed": "seed.value"}
    assert links["sketch/paint"]["steps"] == links["sketch/again"]["steps"] == "steps.value"
    # by a parameter of the group, and by the body's own link
    assert links["sketch/paint"]["guidance"] == "strength.value"
    assert links["sketch/again"]["guidance"] == "sketch/half.value"


def test_a_group_shows_the_parameters_that_its_inputs_lead_into() -> None:
    shown = workflow.group_types(read("linked"), TYPES)["group:sketch"]
    assert [(p.name, p.type.__name__, p.optional) for p in shown.inputs] == [
        ("positive", "Conditioning", False),
        ("seed", "Integer", True),
        ("steps", "Integer", True),
    ]
    assert [port.name for port in shown.sockets] == ["positive", "seed", "steps", "guidance"]


def test_a_muted_value_leaves_a_group_its_own() -> None:
    flat = workflow.flatten(with_mode(read("linked"), "steps", "mute"), TYPES)
    live = validation.active(flat, TYPES).graph
    assert "steps" not in live.node("sketch/paint").inputs
    assert live.node("sketch/paint").params["steps"] == 20


def test_a_sound_workflow_has_no_problems() -> None:
    for name in ("plain", "modes", "groups", "linked"):
        assert workflow.check(read(name), TYPES) == []


def test_what_a_group_lacks_is_named_at_its_node() -> None:
    body = group(node("z"), inputs={"i": "gone.x"}, outputs={"o": "z.embedding"})
    outer = replace(node("g", "group:g", latent="z.embedding"), params={"q": 1})
    save = node("d", "decode", latents="g.nope")
    found = [str(p) for p in workflow.check(flow(outer, node("z"), save, g=body), TYPES)]
    assert found == [
        "g.latent: the group has no such input; there are: i",
        "g.q: the group has no such parameter; there are none",
        "g.i: stands for node gone, which the group has not; there are: z",
        "d.latents: group g has no output nope; name one of the group's outputs",
    ]


def test_what_a_group_lacks_is_named_though_an_output_has_the_name_of_the_input() -> None:
    body = group(node("z"), inputs={"latents": "gone.x"}, outputs={"latents": "z.embedding"})
    found = [str(p) for p in workflow.check(flow(node("g", "group:g"), g=body), TYPES)]
    assert found == [
        "g.latents: stands for node gone, which the group has not; there are: z",
    ]


def test_every_place_that_an_input_of_a_group_leads_to_is_looked_at() -> None:
    places = [Inner(NodeId(name), "note") for name in ("lost", "gone", "gone", "z")]
    body = replace(group(node("z")), inputs={"i": tuple(places)})
    found = [str(p) for p in workflow.check(flow(node("g", "group:g"), g=body), TYPES)]
    assert found == [
        "g.i: stands for node lost, which the group has not; there are: z",
        "g.i: stands for node gone, which the group has not; there are: z",
    ]


def test_what_no_target_needs_may_be_unsound() -> None:
    plain = read("plain")
    broken = replace(plain, graph=plain.graph.add(node("odd", "group:gone")))
    assert workflow.check(broken, TYPES, ["save"]) == []
    assert [p.node for p in workflow.check(broken, TYPES)] == ["odd"]


def test_a_target_that_is_off_is_a_problem() -> None:
    muted = with_mode(read("plain"), "decode", "mute")
    found = workflow.check(muted, TYPES, ["save"])
    assert [str(p) for p in found] == [
        'save: gets nothing from decode for image; give it the mode "normal"'
    ]


def test_a_group_as_a_target_stands_for_its_nodes() -> None:
    groups = read("groups")
    flat = workflow.flatten(groups, TYPES)
    assert workflow.flat_targets(flat, ["save", "finish/two", "gone"]) == [
        "save",
        "finish/two/again",
        "finish/two/grain",
        "finish/two/mix",
        "gone",
    ]
    assert workflow.check(groups, TYPES, ["finish"]) == []
