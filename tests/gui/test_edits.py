"""Edits as pure functions: what each does to the graph and the view, and what it refuses."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodes
from studio.errors import FileError, GraphError, StudioError
from studio.graph import Graph, Json, Link, Mode, Node, NodeId, Value, fits
from studio.gui import edits
from studio.gui.layout import Edge, estimated_size, layered
from studio.registry import collect
from studio.values import Image, Latents
from studio.workflow import Workflow, check, dumps, load, loads

TYPES = collect(nodes, "core")
BASE = load("workflows/text-to-image.json")
"""denoise (model, noise, negative, positive, schedule) -> decode (vae from model) -> save."""


def inputs(w: Workflow, node: str) -> dict[str, str]:
    return {port: str(link) for port, link in w.graph.node(node).inputs.items()}


def of(*types: str) -> Workflow:
    """One node of each type, unlinked, one beside the other."""
    w = Workflow()
    for number, type_id in enumerate(types):
        w, _ = edits.add_node(w, TYPES, type_id, (300.0 * number, 0.0))
    return w


# --- nodes


@pytest.mark.parametrize(
    ("type_id", "name"),
    [
        ("load_model", "model"),
        ("text_encoder", "prompt"),
        ("noise_source", "noise"),
        ("vae_decode", "decode"),
        ("vae_encode", "encode"),
        ("save_image", "save"),
        ("denoise", "denoise"),
    ],
)
def test_a_new_node_has_a_name_that_one_would_type(type_id: str, name: str) -> None:
    w, node = edits.add_node(Workflow(), TYPES, type_id, (10, 20))
    assert node == name
    assert edits.positions(w) == {name: (10, 20)}


def test_the_second_of_a_kind_is_numbered() -> None:
    assert list(of("text_encoder", "text_encoder", "text_encoder").graph.nodes) == [
        "prompt",
        "prompt_2",
        "prompt_3",
    ]


def test_a_name_that_no_file_can_hold_is_made_one() -> None:
    assert edits.stem("Pack:Ünder Score") == "pack_nder_score"
    assert edits.stem("3d") == "node_3d"


def test_a_new_node_has_every_parameter_and_those_given() -> None:
    w, node = edits.add_node(Workflow(), TYPES, "noise_source", params={"seed": 2**64 - 1})
    declared = TYPES["noise_source"]
    assert w.graph.node(node).params == {**declared.defaults(), "seed": 2**64 - 1}
    assert w.graph.node(node).version == declared.version


def test_an_unknown_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(GraphError, match='did you mean "denoise"'):
        edits.add_node(Workflow(), TYPES, "denose")


def test_a_new_node_is_linked_to_the_selected_one() -> None:
    w = of("load_model")
    w, prompt = edits.add_node(w, TYPES, "text_encoder", after=["model"])
    w, denoise = edits.add_node(w, TYPES, "denoise", after=["model", prompt])
    assert inputs(w, prompt) == {"text_encoder": "model.text_encoder"}
    assert inputs(w, denoise) == {"model": "model.model", "positive": "prompt.conditioning"}


def test_a_new_node_feeds_the_selected_one_where_it_cannot_follow_it() -> None:
    w, noise = edits.add_node(of("denoise"), TYPES, "noise_source", after=["denoise"])
    assert inputs(w, noise) == {}
    assert inputs(w, "denoise") == {"noise": "noise.latents"}


def test_a_new_node_does_not_take_the_place_of_a_link() -> None:
    w, _ = edits.add_node(BASE, TYPES, "noise_source", after=["denoise"])
    assert inputs(w, "denoise") == inputs(BASE, "denoise")


def test_a_link_dropped_on_the_canvas_enters_the_node_made_there() -> None:
    w, preview = edits.add_node(BASE, TYPES, "preview", source=("decode", "image"))
    assert inputs(w, preview) == {"image": "decode.image"}
    w, encode = edits.add_node(w, TYPES, "vae_encode", target=("denoise", "latents"))
    assert inputs(w, "denoise")["latents"] == f"{encode}.latents"


def test_types_that_a_link_may_enter_are_listed_best_first() -> None:
    found = edits.matching_types(TYPES, output=Latents)
    assert "vae_decode" in found
    assert "load_model" not in found
    assert found.index("vae_decode") < found.index(
        "denoise"
    )  # it needs latents; denoise may do without
    assert "vae_encode" in edits.matching_types(TYPES, port=Latents)


def test_removing_takes_links_and_the_view_along() -> None:
    w = edits.pin(
        edits.collapse(edits.color(BASE, ["decode"], "red"), ["decode"], True), ["decode"], True
    )
    w = edits.remove(w, ["decode"])
    assert "decode" not in w.graph
    assert inputs(w, "save") == {}
    assert "decode" not in dumps(w).replace("vae_decode", "")


def test_removing_and_reconnecting_closes_the_gap() -> None:
    w = of("load_image", "image_resize", "image_crop", "save_image")
    w = edits.connect_selected(w, TYPES, ["picture", "image_resize", "image_crop", "save"])
    w = edits.remove_and_reconnect(w, TYPES, ["image_resize", "image_crop"])
    assert inputs(w, "save") == {"image": "picture.image"}


def test_a_gap_that_nothing_fits_stays_open() -> None:
    w = edits.remove_and_reconnect(BASE, TYPES, ["decode"])
    assert inputs(w, "save") == {}


def test_extracting_leaves_the_node_alone_and_its_neighbours_linked() -> None:
    w = of("load_image", "image_resize", "save_image")
    w = edits.connect_selected(w, TYPES, ["picture", "image_resize", "save"])
    w = edits.extract(w, TYPES, ["image_resize"])
    assert inputs(w, "image_resize") == {}
    assert inputs(w, "save") == {"image": "picture.image"}


def test_a_file_with_a_cycle_can_be_mended_by_removing() -> None:
    looped = Node(NodeId("a"), "image_resize", inputs={"image": Link(NodeId("b"), "image")})
    back = Node(NodeId("b"), "image_resize", inputs={"image": Link(NodeId("a"), "image")})
    end = Node(NodeId("c"), "save_image", inputs={"image": Link(NodeId("a"), "image")})
    w = Workflow(Graph({node.id: node for node in (looped, back, end)}))
    assert inputs(edits.remove_and_reconnect(w, TYPES, ["a", "b"]), "c") == {}


def test_renaming_moves_links_and_view() -> None:
    w = edits.collapse(edits.color(BASE, ["model"], "blue"), ["model"], True)
    w = edits.rename(w, "model", "weights")
    assert inputs(w, "decode")["vae"] == "weights.vae"
    place = edits.positions(BASE)[NodeId("model")]
    assert edits.positions(w)[NodeId("weights")] == place
    assert edits.colors(w) == {"weights": "blue"}
    assert edits.collapsed(w) == {"weights"}


@pytest.mark.parametrize("name", ["save", "Save", "", "a.b"])
def test_a_name_that_is_taken_or_malformed_is_refused(name: str) -> None:
    with pytest.raises(GraphError):
        edits.rename(BASE, "model", name)


def test_setting_a_parameter_leaves_the_given_workflow_as_it_was() -> None:
    before = dumps(BASE)
    w = edits.set_param(BASE, "denoise", "guidance", 7.5)
    assert w.graph.node("denoise").params["guidance"] == 7.5
    assert dumps(BASE) == before


def test_resetting_gives_the_default() -> None:
    w = edits.set_param(BASE, "denoise", "guidance", 7.5)
    w = edits.reset_param(w, TYPES, "denoise", "guidance")
    default = TYPES["denoise"].defaults()["guidance"]
    assert w.graph.node("denoise").params["guidance"] == default


def test_a_mode_is_toggled_for_all_at_once() -> None:
    w = edits.set_mode(BASE, ["save"], "mute")
    w = edits.toggle_mode(w, ["save", "decode"], "mute")
    assert [w.graph.node(node).mode for node in ("save", "decode")] == ["mute", "mute"]
    w = edits.toggle_mode(w, ["save", "decode"], "mute")
    assert [w.graph.node(node).mode for node in ("save", "decode")] == ["normal", "normal"]


def test_swapping_keeps_like_named_parameters_and_fitting_links() -> None:
    w = edits.set_param(BASE, "save", "name", "kept")
    w = edits.swap_type(w, TYPES, "save", "save_animation")
    swapped = w.graph.node("save")
    assert swapped.type == "save_animation"
    assert swapped.params == {**TYPES["save_animation"].defaults(), "name": "kept"}
    assert inputs(w, "save") == {
        next(p.name for p in TYPES["save_animation"].inputs): "decode.image"
    }


def test_swapping_keeps_the_links_that_leave() -> None:
    w = edits.swap_type(BASE, TYPES, "model", "load_vae")
    assert inputs(w, "decode")["vae"] == "model.vae"
    assert "model" not in inputs(w, "denoise")


# --- links


def test_a_link_takes_the_place_of_the_one_before() -> None:
    w = edits.connect(BASE, TYPES, "negative", "conditioning", "denoise", "positive")
    assert inputs(w, "denoise")["positive"] == "negative.conditioning"


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (("denoise", "latents", "save", "image"), "takes Image, but denoise.latents gives Latents"),
        (
            ("denoise", "latents", "save", "image"),
            "vae_decode or latents_to_pixels makes one from the other",
        ),
        (("denoise", "latents", "denoise", "latents"), "would close a cycle"),
        (("denoise", "pixels", "save", "image"), "has no output pixels"),
        (("decode", "image", "save", "pixels"), "has no input pixels"),
        (("decode", "image", "nowhere", "image"), "there is no such node"),
    ],
)
def test_a_link_that_cannot_be_is_refused_with_the_reason(
    link: tuple[str, str, str, str], reason: str
) -> None:
    with pytest.raises(GraphError, match=reason):
        edits.connect(BASE, TYPES, *link)


def test_a_link_from_downstream_is_refused() -> None:
    w = edits.connect_selected(
        of("image_resize", "image_crop", "image_pad"),
        TYPES,
        ["image_resize", "image_crop", "image_pad"],
    )
    with pytest.raises(GraphError, match="cycle"):
        edits.connect(w, TYPES, "image_pad", "image", "image_resize", "image")


def test_why_types_do_not_fit_is_said_with_a_way_out() -> None:
    assert edits.connectable(TYPES, Latents, Latents) is None
    assert edits.connectable(TYPES, Image, Latents) == (
        "takes Latents, but this gives Image; vae_encode makes one from the other"
    )


def test_a_node_dropped_on_a_link_stands_in_it() -> None:
    w, resize = edits.add_node(BASE, TYPES, "image_resize")
    w = edits.insert_on_link(w, TYPES, resize, ("save", "image"))
    assert inputs(w, resize)["image"] == "decode.image"
    assert inputs(w, "save") == {"image": f"{resize}.image"}


@pytest.mark.parametrize("node", ["noise", "decode", "save"])
def test_a_node_that_does_not_fit_a_link_is_refused(node: str) -> None:
    with pytest.raises(GraphError):
        edits.insert_on_link(BASE, TYPES, node, ("save", "image"))


def test_every_link_of_an_output_moves_to_another() -> None:
    w, other = edits.add_node(BASE, TYPES, "load_model")
    w = edits.move_links(w, TYPES, ("model", "text_encoder"), (other, "text_encoder"))
    assert inputs(w, "prompt") == inputs(w, "negative") == {"text_encoder": f"{other}.text_encoder"}
    assert inputs(w, "denoise")["model"] == "model.model"


# --- copies


def test_a_duplicate_keeps_inner_links_only() -> None:
    w, copies = edits.duplicate(BASE, ["decode", "save"], (40, 30))
    assert copies == ["decode_2", "save_2"]
    assert inputs(w, "save_2") == {"image": "decode_2.image"}
    assert inputs(w, "decode_2") == {}
    x, y = edits.positions(BASE)[NodeId("decode")]
    assert edits.positions(w)[NodeId("decode_2")] == (x + 40, y + 30)


def test_a_duplicate_with_links_is_fed_as_the_original_is() -> None:
    w, copies = edits.duplicate(BASE, ["denoise"], with_links=True)
    assert inputs(w, copies[0]) == inputs(BASE, "denoise")


def test_what_was_cut_is_pasted_under_its_name() -> None:
    text = edits.copy_text(BASE, ["decode", "save"])
    w, ids = edits.paste_text(edits.remove(BASE, ["decode", "save"]), TYPES, text, (500, 600), True)
    assert sorted(ids) == ["decode", "save"]
    assert inputs(w, "decode") == inputs(BASE, "decode")
    places = edits.positions(w)
    assert min(places[node][0] for node in ids) == 500
    assert min(places[node][1] for node in ids) == 600


def test_a_copy_is_a_workflow_file() -> None:
    copied = loads(edits.copy_text(BASE, ["decode"]))
    assert copied.graph.nodes.keys() == {"decode"}
    assert copied.view == {"nodes": {"decode": BASE.view["nodes"]["decode"]}}  # type: ignore[index, call-overload]  # it is an object


def test_links_to_what_is_not_here_are_dropped() -> None:
    w, ids = edits.paste_text(Workflow(), TYPES, edits.copy_text(BASE, ["decode"]), None, True)
    assert inputs(w, ids[0]) == {}


def test_a_whole_file_is_pasted_beside_what_is_there() -> None:
    w, ids = edits.paste_text(BASE, TYPES, dumps(BASE), (0, 2000))
    assert len(w.graph) == 2 * len(BASE.graph)
    assert inputs(w, "save_2") == {"image": "decode_2.image"}
    assert len(set(ids)) == len(BASE.graph)
    assert check(w, TYPES) == []


def test_a_file_without_places_is_laid_out_when_pasted() -> None:
    w, ids = edits.paste_text(Workflow(), TYPES, dumps(replace(BASE, view={})), (100, 100))
    places = edits.positions(w)
    assert len({places[node] for node in ids}) == len(ids)
    assert min(x for x, _ in places.values()) == 100


@pytest.mark.parametrize("text", ["", "hello", "{}", '{"format": "other", "nodes": {}}'])
def test_text_that_is_no_workflow_is_not_pasted(text: str) -> None:
    with pytest.raises(FileError):
        edits.paste_text(BASE, TYPES, text, (0, 0))


def test_a_pasted_cycle_is_refused() -> None:
    nodes_ = {
        name: {"type": "image_resize", "version": 1, "inputs": {"image": f"{other}.image"}}
        for name, other in (("a", "b"), ("b", "a"))
    }
    text = json.dumps({"format": "studio.workflow", "version": 1, "nodes": nodes_})
    with pytest.raises(GraphError, match="cycle"):
        edits.paste_text(BASE, TYPES, text, (0, 0))


# --- places


def test_a_pinned_node_is_not_moved() -> None:
    w = edits.pin(BASE, ["model"], True)
    w = edits.move(w, {"model": (1, 1), "save": (7.4, 9)})
    assert edits.positions(w)[NodeId("model")] == edits.positions(BASE)[NodeId("model")]
    assert edits.positions(w)[NodeId("save")] == (7, 9)


def test_moving_a_node_changes_its_place_only() -> None:
    w = edits.move(BASE, {"save": (1, 2)})
    assert w.graph is BASE.graph
    before, after = (set(dumps(one).splitlines()) for one in (BASE, w))
    assert [line.strip().rstrip(",") for line in after - before] == ['"save": [1, 2]']


def test_marks_that_are_taken_back_leave_nothing_in_the_file() -> None:
    on = edits.pin(edits.collapse(BASE, ["save"], True), ["save", "model"], True)
    assert on.view["pinned"] == ["model", "save"]
    off = edits.pin(edits.collapse(on, ["save"], False), ["save", "model"], False)
    assert off.view == BASE.view
    assert edits.color(edits.color(off, ["save"], "red"), ["save"], None).view == BASE.view


SIZES = {NodeId("a"): (100.0, 50.0), NodeId("b"): (200.0, 80.0), NodeId("c"): (60.0, 20.0)}


def three() -> Workflow:
    w = Workflow(Graph({name: Node(name, "preview") for name in SIZES}))
    return edits.move(w, {"a": (0, 0), "b": (50, 100), "c": (400, 300)})


@pytest.mark.parametrize(
    ("how", "places"),
    [
        ("left", [(0, 0), (0, 100), (0, 300)]),
        ("center", [(180, 0), (130, 100), (200, 300)]),
        ("right", [(360, 0), (260, 100), (400, 300)]),
        ("top", [(0, 0), (50, 0), (400, 0)]),
        ("middle", [(0, 135), (50, 120), (400, 150)]),
        ("bottom", [(0, 270), (50, 240), (400, 300)]),
    ],
)
def test_nodes_are_aligned(how: edits.Align, places: list[tuple[float, float]]) -> None:
    assert list(edits.positions(edits.align(three(), "abc", how, SIZES)).values()) == places


def test_nodes_are_distributed_with_equal_gaps() -> None:
    w = edits.distribute(three(), "abc", "x", SIZES)
    # 400 - 0 between the corners less 100 and 200 of width leaves 50 a gap
    assert [x for x, _ in edits.positions(w).values()] == [0, 150, 400]


def overlaps(w: Workflow) -> list[tuple[str, str]]:
    sizes = edits.sizes_of(w, TYPES, w.graph.nodes)
    boxes = [(node, *place, *sizes[node]) for node, place in edits.positions(w).items()]
    return [
        (one[0], other[0])
        for number, one in enumerate(boxes)
        for other in boxes[number + 1 :]
        if one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
        and one[2] < other[2] + other[4]
        and other[2] < one[2] + one[4]
    ]


@pytest.mark.parametrize("name", ["text-to-image", "image-to-image", "inpaint"])
def test_a_layout_runs_from_left_to_right_without_overlaps(name: str) -> None:
    w = edits.auto_layout(load(f"workflows/{name}.json"), TYPES)
    places = edits.positions(w)
    for node in w.graph:
        for link in node.inputs.values():
            assert places[link.node][0] < places[node.id][0]
    assert overlaps(w) == []
    assert edits.auto_layout(w, TYPES) == w


def test_a_layout_does_not_depend_on_the_order_of_nodes() -> None:
    backwards = replace(BASE, graph=Graph({node.id: node for node in reversed(list(BASE.graph))}))
    assert edits.auto_layout(backwards, TYPES) == edits.auto_layout(BASE, TYPES)


def test_a_layout_leaves_pinned_nodes_and_others_alone() -> None:
    w = edits.pin(edits.move(BASE, {"save": (5000, 5000)}), ["save"], True)
    w = edits.auto_layout(w, TYPES, ["save", "decode", "denoise"])
    assert edits.positions(w)[NodeId("save")] == (5000, 5000)
    assert edits.positions(w)[NodeId("model")] == edits.positions(BASE)[NodeId("model")]


def test_the_inputs_of_a_node_are_laid_out_in_the_order_of_its_sockets() -> None:
    names = [NodeId(name) for name in ("d", "c", "b", "a", "end")]
    edges = [
        Edge(node, names[-1], 0.5, share)
        for node, share in zip(names[:-1], (0.1, 0.3, 0.6, 0.9), strict=True)
    ]
    places = layered(dict.fromkeys(names, (100.0, 40.0)), edges)
    heights = [places[node][1] for node in names[:-1]]
    assert heights == sorted(heights)


def test_a_chain_is_laid_out_in_a_straight_line() -> None:
    names = [NodeId(name) for name in "pqrs"]
    edges = [Edge(one, other) for one, other in pairwise(names)]
    places = layered(dict.fromkeys(names, (100.0, 40.0)), edges)
    assert {y for _, y in places.values()} == {0.0}


def test_linked_nodes_of_different_heights_stand_on_one_line() -> None:
    names = [NodeId(name) for name in "pqr"]
    sizes = {node: (100.0, height) for node, height in zip(names, (40.0, 300.0, 80.0), strict=True)}
    places = layered(sizes, [Edge(one, other) for one, other in pairwise(names)])
    assert len({places[node][1] + sizes[node][1] / 2 for node in names}) == 1


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_layout_overlaps(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    names = [NodeId(f"n{number}") for number in range(count)]
    size = st.tuples(st.floats(40, 400), st.floats(20, 600))
    sizes = {name: data.draw(size) for name in names}
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60)
    )
    edges = [Edge(names[min(pair)], names[max(pair)]) for pair in pairs if pair[0] != pair[1]]
    places = layered(sizes, edges)
    assert places.keys() == sizes.keys()
    for edge in edges:
        assert places[edge.source][0] < places[edge.target][0]
    boxes = [(*places[name], *sizes[name]) for name in names]
    for number, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[number + 1 :]:
            # places are whole numbers, so boxes may come half a unit nearer on each side
            assert (
                x + width <= x2 + 1
                or x2 + width2 <= x + 1
                or y + height <= y2 + 1
                or y2 + height2 <= y + 1
            )


def test_a_node_without_a_place_gets_one_below_the_others() -> None:
    bare, _ = edits.add_node(BASE, TYPES, "preview")
    view = {**bare.view, "nodes": BASE.view["nodes"]}
    w = edits.arranged(replace(bare, view=view), TYPES)
    places = edits.positions(w)
    assert places[NodeId("preview")][1] > max(y for _, y in edits.positions(BASE).values())
    assert edits.arranged(w, TYPES) is w


def test_a_collapsed_node_is_as_high_as_its_title() -> None:
    node = BASE.graph.node("denoise")
    assert estimated_size(node, TYPES["denoise"])[1] > estimated_size(node, is_collapsed=True)[1]


# --- frames and notes


def test_a_frame_surrounds_its_nodes() -> None:
    w = edits.frame(BASE, ["decode", "save"], "Finish")
    (frame,) = edits.frames(w)
    assert frame.title == "Finish"
    assert set(edits.nodes_in_frame(w, frame)) == {"decode", "save"}


def test_a_frame_takes_its_content_along() -> None:
    w = edits.frame(BASE, ["decode", "save"], "Finish")
    (frame,) = edits.frames(w)
    x, y = frame.rect[:2]
    moved = edits.move_frame(w, frame.index, (x + 10, y - 20), ["decode", "save"])
    before, after = edits.positions(w), edits.positions(moved)
    for node in ("decode", "save"):
        place = before[NodeId(node)]
        assert after[NodeId(node)] == (place[0] + 10, place[1] - 20)
    alone = edits.move_frame(w, frame.index, (0, 0))
    assert edits.positions(alone) == before


def test_frames_and_notes_are_changed_and_removed() -> None:
    w = edits.note(edits.frame(BASE, ["save"], "one", color="teal"), (5, 6), "look")
    w = edits.set_note(edits.set_frame(w, 0, title="two", color=""), 0, text="look here")
    assert (edits.frames(w)[0].title, edits.frames(w)[0].color) == ("two", "")
    assert edits.notes(w)[0].text == "look here"
    assert edits.notes(w)[0].rect[:2] == (5, 6)
    w = edits.remove_note(edits.remove_frame(w, 0), 0)
    assert (len(edits.frames(w)), len(edits.notes(w))) == (0, 0)
    with pytest.raises(GraphError, match="there is no such frame"):
        edits.remove_frame(w, 0)


def test_a_frame_is_copied_with_all_of_its_nodes() -> None:
    w = edits.frame(BASE, ["decode", "save"], "Finish")
    pasted, _ = edits.paste_text(Workflow(), TYPES, edits.copy_text(w, ["decode", "save"]), (0, 0))
    assert [frame.title for frame in edits.frames(pasted)] == ["Finish"]
    alone, _ = edits.paste_text(Workflow(), TYPES, edits.copy_text(w, ["save"]), (0, 0))
    assert edits.frames(alone) == ()


def test_what_cannot_be_read_in_a_view_is_kept() -> None:
    odd: Json = {"rect": "none", "later": True}
    w = replace(BASE, view={**BASE.view, "frames": [odd, 7], "collapsed": [["x"], 3]})
    w = edits.collapse(edits.frame(w, ["save"], "new"), ["save"], True)
    w = edits.remove(w, ["save"])
    assert cast("list[Json]", w.view["frames"])[:2] == [odd, 7]
    assert w.view["collapsed"] == [["x"], 3]
    assert [frame.index for frame in edits.frames(w)] == [2]


# --- groups


def test_grouping_and_ungrouping_give_the_same_graph() -> None:
    grouped, node = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    assert node == "paint"
    assert check(grouped, TYPES) == []
    assert inputs(grouped, "save") == {"image": "paint.image"}
    assert grouped.graph.nodes.keys() == BASE.graph.nodes.keys() - {"denoise", "decode"} | {"paint"}
    apart, ids = edits.ungroup(grouped, TYPES, ["paint"])
    assert set(ids) == {"denoise", "decode"}
    assert edits.without_stale_groups(grouped, apart).groups == {}
    assert apart.graph == BASE.graph
    assert edits.positions(apart) == edits.positions(BASE)


def test_a_source_that_feeds_two_inner_nodes_enters_the_group_once() -> None:
    w, _ = edits.group(BASE, TYPES, ["prompt", "negative"], "texts")
    assert inputs(w, "texts") == {"text_encoder": "model.text_encoder"}
    assert set(w.groups["texts"].outputs) == {"conditioning", "conditioning_2"}


def test_a_group_with_a_way_around_is_refused() -> None:
    with pytest.raises(GraphError, match="would feed itself"):
        edits.group(BASE, TYPES, ["model", "denoise"], "loop")


def test_the_inside_of_a_group_is_edited_like_a_workflow() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    inside = edits.rename(edits.body(w, "paint"), "decode", "develop")
    w = edits.with_body(w, TYPES, "paint", inside, {"decode": "develop"})
    assert w.groups["paint"].outputs["image"] == Link(NodeId("develop"), "image")
    assert check(w, TYPES) == []


def test_what_a_group_no_longer_has_is_unlinked_outside() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    w = edits.with_body(w, TYPES, "paint", edits.remove(edits.body(w, "paint"), ["decode"]))
    assert inputs(w, "save") == {}
    assert "vae" not in inputs(w, "paint")
    assert "model" in inputs(w, "paint")


def test_a_group_cannot_be_put_into_itself() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    inside, _ = edits.add_node(edits.body(w, "paint"), edits.known_types(w, TYPES), "group:paint")
    with pytest.raises(GraphError, match="contains itself"):
        edits.with_body(w, TYPES, "paint", inside)


def test_a_group_is_pasted_with_its_body_beside_another_of_its_name() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    text = edits.copy_text(w, ["paint"])
    other, _ = edits.group(BASE, TYPES, ["decode"], "paint")
    pasted, ids = edits.paste_text(other, TYPES, text, (0, 0))
    assert pasted.graph.node(ids[0]).type == "group:paint_2"
    assert pasted.groups["paint_2"] == w.groups["paint"]
    same, ids = edits.paste_text(w, TYPES, text, (0, 0))
    assert same.graph.node(ids[0]).type == "group:paint"


# --- every sequence of edits keeps a workflow sound

MODES: list[Mode] = ["normal", "mute", "bypass"]


def edit_once(w: Workflow, pick: Callable[[int], int]) -> Workflow:
    """One edit, chosen by ``pick(n)`` in 0 … n - 1; a refused one leaves the workflow."""
    names = list(w.graph.nodes)
    some = sorted({names[pick(len(names))] for _ in range(1 + pick(4))}) if names else []
    node = some[0] if some else ""
    place = (float(pick(2000)), float(pick(2000)))
    type_ids = sorted(TYPES)

    def connect() -> Workflow:
        known = edits.known_types(w, TYPES)
        links = [
            (one.id, output.name, other.id, port.name)
            for one in w.graph
            for output in known[one.type].outputs
            for other in w.graph
            for port in known[other.type].sockets
            if pick(10) == 0 or fits(output.type, port.type)
        ]
        return edits.connect(w, TYPES, *links[pick(len(links))]) if links else w

    def make_input() -> Workflow:
        params = [
            param.name for param in edits.known_types(w, TYPES)[w.graph.node(node).type].params
        ]
        return edits.make_input(w, TYPES, node, params[pick(len(params))])[0] if params else w

    def insert() -> Workflow:
        links = [(one.id, port) for one in w.graph for port in one.inputs]
        return edits.insert_on_link(w, TYPES, node, links[pick(len(links))]) if links else w

    def unlink() -> Workflow:
        ports = sorted(w.graph.node(node).inputs)
        return edits.disconnect(w, node, ports[pick(len(ports))]) if ports else w

    def group() -> Workflow:
        return edits.group(w, TYPES, some, "part")[0] if len(w.groups) < 4 else w

    def ungroup() -> Workflow:
        groups = [one.id for one in w.graph if one.type.startswith(Graph.GROUP)]
        return edits.ungroup(w, TYPES, groups[:1])[0]

    def paste() -> Workflow:
        return edits.paste_text(w, TYPES, edits.copy_text(w, some), place, bool(pick(2)))[0]

    anywhere: list[Callable[[], Workflow]] = [
        lambda: edits.add_node(w, TYPES, type_ids[pick(len(type_ids))], place, after=some)[0],
        lambda: edits.note(w, place, "a note"),
        lambda: edits.auto_layout(w, TYPES),
        lambda: edits.paste_text(w, TYPES, dumps(BASE), place)[0],
    ]
    on_nodes: list[Callable[[], Workflow]] = [
        connect,
        connect,
        connect,
        make_input,
        insert,
        unlink,
        group,
        ungroup,
        paste,
        lambda: edits.connect_selected(w, TYPES, some),
        lambda: edits.remove(w, some),
        lambda: edits.remove_and_reconnect(w, TYPES, some[:2]),
        lambda: edits.extract(w, TYPES, some),
        lambda: edits.duplicate(w, some, with_links=bool(pick(2)))[0],
        lambda: edits.rename(w, node, f"renamed_{pick(30)}"),
        lambda: edits.set_param(w, node, "guidance", pick(100) / 8),
        lambda: edits.set_mode(w, some, MODES[pick(3)]),
        lambda: edits.swap_type(w, TYPES, node, type_ids[pick(len(type_ids))]),
        lambda: edits.move(w, dict.fromkeys(some, place)),
        lambda: edits.frame(w, some, "a frame"),
        lambda: edits.collapse(w, some, bool(pick(2))),
        lambda: edits.pin(w, some, bool(pick(2))),
        lambda: edits.color(w, some, "red" if pick(2) else None),
        lambda: edits.align(w, some, "left"),
        lambda: edits.distribute(w, some, "y"),
        lambda: edits.auto_layout(w, TYPES, some),
    ]
    choices = anywhere + (on_nodes if names and len(names) < 60 else [])
    if len(names) >= 60:
        choices = [lambda: edits.remove(w, names[20:])]
    try:
        after = choices[pick(len(choices))]()
    except GraphError:
        return w
    return edits.without_stale_groups(w, after)


def assert_sound(w: Workflow) -> None:
    """Every link has a source, nothing runs in a circle, the view knows only what is there, the file holds it all."""
    w.graph.order()
    known = edits.known_types(w, TYPES)
    for graph, view in [(w.graph, w.view), *((one.graph, one.view) for one in w.groups.values())]:
        for node in graph:
            declared = known[node.type]
            for port, link in node.inputs.items():
                assert link.node in graph
                assert declared.socket(port) is not None
                gives = known[graph.node(link.node).type].output(link.output)
                if gives is not None and gives.type is Value:
                    continue  # of a group in which nothing leads to this output any more
                assert edits.refusal(  # no link that could not be made again, leaving itself out of account
                    edits.disconnect(replace(w, graph=graph), node.id, port),
                    TYPES, link.node, link.output, node.id, port,
                ) is None  # fmt: skip
        for key in ("nodes", "colors", "collapsed", "pinned"):
            assert set(cast("dict[str, Json]", view.get(key, {}))) <= graph.nodes.keys()
    text = dumps(w)
    assert loads(text) == w
    assert dumps(loads(text)) == text


@given(seed=st.integers(0, 2**32 - 1), start=st.sampled_from([Workflow(), BASE]))
@settings(max_examples=8, deadline=None)
def test_two_hundred_edits_keep_a_workflow_sound(seed: int, start: Workflow) -> None:
    choose = random.Random(seed).randrange
    w = start
    for _ in range(200):
        before = dumps(w)
        after = edit_once(w, choose)
        assert dumps(w) == before
        assert_sound(after)
        w = after


def test_no_edit_raises_anything_but_an_error_for_people() -> None:
    empty = Workflow()
    refused: list[Callable[[], Workflow]] = [
        lambda: edits.remove(empty, ["x"]),
        lambda: edits.rename(empty, "x", "y"),
        lambda: edits.set_param(empty, "x", "y", 1),
        lambda: edits.insert_on_link(empty, TYPES, "x", ("y", "z")),
        lambda: edits.swap_type(empty, TYPES, "x", "denoise"),
        lambda: edits.group(empty, TYPES, [], "x")[0],
        lambda: edits.body(empty, "x"),
    ]
    for edit in refused:
        with pytest.raises(StudioError):
            edit()


# --- what a group shows outside


def test_a_group_gets_another_name_wherever_it_stands() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    w, _ = edits.group(w, TYPES, ["paint", "save"], "whole")
    w = edits.rename_group(w, "paint", "picture")
    assert w.groups.keys() == {"picture", "whole"}
    assert w.groups["whole"].graph.node("paint").type == "group:picture"
    assert check(w, TYPES) == []
    with pytest.raises(GraphError, match="exists already"):
        edits.rename_group(w, "picture", "whole")
    with pytest.raises(GraphError, match="is not a name"):
        edits.rename_group(w, "picture", "A b")


def test_an_output_of_a_group_gets_another_name_and_links_follow() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    w = edits.rename_shown(w, "paint", "outputs", "image", "picture")
    assert inputs(w, "save") == {"image": "paint.picture"}
    assert check(w, TYPES) == []


def test_an_input_of_a_group_gets_another_name_and_links_follow() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    w = edits.rename_shown(w, "paint", "inputs", "noise", "grain")
    assert inputs(w, "paint")["grain"] == inputs(BASE, "denoise")["noise"]
    assert check(w, TYPES) == []
    with pytest.raises(GraphError, match="exists already"):
        edits.rename_shown(w, "paint", "inputs", "grain", "positive")


def test_a_parameter_is_shown_on_the_node_of_a_group_and_taken_off_again() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    shown = edits.expose(w, TYPES, "paint", "denoise", "guidance")
    assert str(shown.groups["paint"].params["guidance"]) == "denoise.guidance"
    assert edits.expose(shown, TYPES, "paint", "denoise", "guidance") == shown
    given_value = edits.set_param(shown, "paint", "guidance", 9.0)
    renamed = edits.rename_shown(given_value, "paint", "params", "guidance", "strength")
    assert renamed.graph.node("paint").params == {"strength": 9.0}
    assert check(renamed, TYPES) == []
    assert edits.conceal(renamed, "paint", "strength") == w
    with pytest.raises(GraphError, match="is no parameter"):
        edits.expose(w, TYPES, "paint", "denoise", "nothing")


def test_the_inside_of_a_group_in_a_group_is_found_by_its_path() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise", "decode"], "paint")
    w, _ = edits.group(w, TYPES, ["paint", "save"], "whole")
    path = ("whole", "paint")
    assert edits.group_at(w, path) == "paint"
    deep = edits.set_param(edits.inside(w, path), "denoise", "guidance", 9.0)
    w = edits.with_inside(w, TYPES, path, deep)
    assert w.groups["paint"].graph.node("denoise").params["guidance"] == 9.0
    assert edits.inside(w, ()) is w
    with pytest.raises(GraphError, match="no such group"):
        edits.inside(w, ("whole", "save"))
