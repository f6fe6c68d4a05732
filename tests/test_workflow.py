"""The workflow file: what is read, refused, written, migrated, unfolded and set."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import pictures, validation, workflow
from studio.errors import ArgumentError, FileError, GraphError
from studio.graph import Graph, Json, Link, Node, NodeId, NodeType
from studio.workflow import Group, Inner, Workflow
from tests.sample_nodes import TYPES
from tests.test_pictures import tiny_png

FILES = Path(__file__).parent / "files" / "v1"
CORPUS = sorted(FILES.glob("*.json"))


def read(name: str) -> Workflow:
    return workflow.load(FILES / f"{name}.json")


def node(name: str, type_id: str = "text", **inputs: str) -> Node:
    links = {port: Link.parse(link) for port, link in inputs.items()}
    return Node(NodeId(name), type_id, TYPES[type_id].version if type_id in TYPES else 1, {}, links)


def flow(*nodes: Node, **groups: Group) -> Workflow:
    return Workflow(Graph({node.id: node for node in nodes}), groups)


def group(
    *nodes: Node,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
) -> Group:
    return Group(
        Graph({node.id: node for node in nodes}),
        inputs={
            port: (Inner(Link.parse(inner).node, Link.parse(inner).output),)
            for port, inner in (inputs or {}).items()
        },
        outputs={port: Link.parse(link) for port, link in (outputs or {}).items()},
    )


# --- the corpus


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_released_file_is_saved_back_byte_for_byte(path: Path) -> None:
    assert workflow.dumps(workflow.load(path)) == path.read_text(encoding="utf-8")


def test_the_corpus_has_every_kind_of_file() -> None:
    assert [path.stem for path in CORPUS] == ["groups", "modes", "plain", "unknown"]


def test_fields_are_read_into_their_places() -> None:
    plain = read("plain")
    paint = plain.graph.node("paint")
    assert paint.type == "paint"
    assert paint.version == 2
    assert paint.params["curve"] == [[0.0, 1.0], [0.5, 7.5]]
    assert paint.inputs["positive"] == Link(NodeId("text"), "embedding")
    assert plain.graph.node("noise").params["seed"] == 2**64 - 1
    assert plain.meta == {"title": "Text to image"}
    assert plain.view["nodes"] == {"decode": [820, 80], "paint": [620, 80.5]}


def test_what_is_unknown_is_kept() -> None:
    unknown = read("unknown")
    assert unknown.extra.keys() == {"licence"}
    assert unknown.graph.node("paint").extra == {"colour": "#ff8800"}
    assert unknown.graph.node("decode").params == {"tiles": 4}


def test_a_mode_is_read() -> None:
    modes = read("modes").graph
    assert modes.node("sketch").mode == "mute"
    assert modes.node("smooth").mode == "bypass"
    assert modes.node("paint").mode == "normal"


def test_params_inputs_view_and_meta_may_be_left_out() -> None:
    text = '{"format":"studio.workflow","version":1,"nodes":{"a":{"type":"text","version":1}}}'
    assert workflow.loads(text) == flow(node("a"))


# --- refusals


def document(**changes: Json) -> str:
    fields: dict[str, Json] = {
        "format": "studio.workflow",
        "version": 1,
        "nodes": {"a": {"type": "text", "version": 1, "params": {}, "inputs": {}}},
    }
    return json.dumps({**fields, **changes})


def with_node(**changes: Json) -> str:
    fields: dict[str, Json] = {"type": "text", "version": 1, "params": {}, "inputs": {}}
    return document(nodes={"a": {**fields, **changes}})


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "w: is empty"),
    "blank": (" \n", "w: is empty"),
    "no JSON": ('{\n  "a": nope}', "w: line 2, column 8: is not JSON: Expecting value"),
    "cut short": ('{"format": "studio.workflow"', "w: line 1, column 29: is not JSON"),
    "two documents": (document() + "{}", "is not JSON: Extra data"),
    "a list": ("[]", "w: is not an object"),
    "null": ("null", "w: is not an object"),
    "not UTF-8": (b'{"a": "\xff"}', "w: is not UTF-8 (byte 7)"),
    "UTF-16": ("{}".encode("utf-16"), "is not UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "NaN": ('{"a": NaN}', "NaN is not a number"),
    "infinity": ('{"a": -Infinity}', "-Infinity is not a number"),
    "large float": ('{"a": 1e999}', "'1e999' is too large a number"),
    "65 bits": ('{"a": 18446744073709551616}', "does not fit into 64 bits"),
    "negative 65 bits": ('{"a": -9223372036854775809}', "does not fit into 64 bits"),
    "ten thousand digits": ('{"a": ' + "9" * 10_000 + "}", "does not fit into 64 bits"),
    "key twice": ('{"a": {"b": 1, "b": 1}}', "an object has the key 'b' twice"),
    "lone surrogate": ('{"a": "\\ud800"}', "half a character"),
    "lone surrogate in a key": ('{"\\udfff": 1}', "half a character"),
    "deep": ("[" * 100 + "]" * 100, "is nested more than 64 levels deep"),
    "very deep": ("[" * 1_000_000, "is nested more than 64 levels deep"),
    "very deep objects": ('{"a":' * 100_000, "is nested more than 64 levels deep"),
    "no format": ("{}", 'w: has no "format"'),
    "other format": (document(format="comfy"), "w: format: is 'comfy', not 'studio.workflow'"),
    "format a list": (document(format=[1]), "w: format: is a list"),
    "no version": ('{"format": "studio.workflow"}', "w: version: is missing"),
    "version text": (document(version="1"), "w: version: is '1'; expected a whole number from 1"),
    "version true": (document(version=True), "w: version: is True"),
    "version 0": (document(version=0), "w: version: is 0"),
    "version 1.0": (document(version=1.0), "w: version: is 1.0"),
    "newer": (document(version=7), "is version 7 of the format; this program reads up to 1"),
    "no nodes": ('{"format": "studio.workflow", "version": 1}', 'has no "nodes"'),
    "nodes a list": (document(nodes=[]), "w: nodes: is []; expected an object"),
    "node a text": (document(nodes={"a": "b"}), "w: nodes.a: is 'b'"),
    "node id": (document(nodes={"A b": {}}), "w: nodes: 'A b' is not a name; use a-z"),
    "node id with a slash": (document(nodes={"a/b": {}}), "'a/b' is not a name"),
    "node id with a line end": (document(nodes={"a\n": {}}), "'a\\n' is not a name"),
    "no type": (document(nodes={"a": {"version": 1}}), "w: nodes.a.type: is missing"),
    "type a number": (with_node(type=3), "w: nodes.a.type: is 3"),
    "type empty": (with_node(type=""), "w: nodes.a.type: is ''"),
    "no node version": (document(nodes={"a": {"type": "t"}}), "w: nodes.a.version: is missing"),
    "params a list": (with_node(params=[1]), "w: nodes.a.params: is a list; expected an object"),
    "inputs null": (with_node(inputs=None), "w: nodes.a.inputs: is missing"),
    "link a number": (with_node(inputs={"x": 1}), "w: nodes.a.inputs.x: is 1; expected a link"),
    "link without output": (
        with_node(inputs={"x": "b"}),
        "w: nodes.a.inputs.x: 'b' is not of the form \"node.output\"",
    ),
    "link to no id": (with_node(inputs={"x": "B.c"}), "nodes.a.inputs.x: 'B.c' is not of the form"),
    "mode": (with_node(mode="off"), "w: nodes.a.mode: is 'off'; expected one of"),
    "mode a list": (with_node(mode=["mute"]), "w: nodes.a.mode: is a list"),
    "meta": (document(meta=3), "w: meta: is 3; expected an object"),
    "title": (document(meta={"title": 3}), "w: meta.title: is 3; expected text"),
    "view": (document(view=[]), "w: view: is []"),
    "view of nodes": (document(view={"nodes": []}), "w: view.nodes: is []"),
    "position": (document(view={"nodes": {"a": [1, "x"]}}), "w: view.nodes.a: is a list"),
    "position of three": (document(view={"nodes": {"a": [1, 2, 3]}}), "expected a position [x, y]"),
    "frames": (document(view={"frames": {}}), "w: view.frames: is {}; expected a list"),
    "notes": (document(view={"notes": "x"}), "w: view.notes: is 'x'; expected a list"),
    "groups": (document(groups=[]), "w: groups: is []"),
    "group": (document(groups={"g": 1}), "w: groups.g: is 1"),
    "group name": (document(groups={"G!": {}}), "w: groups: 'G!' is not a name"),
    "group nodes": (document(groups={"g": {"nodes": []}}), "w: groups.g.nodes: is []"),
    "group input": (document(groups={"g": {"inputs": {"x": "a.b"}}}), "groups.g.inputs.x: is 'a.b'"),
    "group output": (document(groups={"g": {"outputs": {"x": []}}}), "groups.g.outputs.x: is []"),
    "group param": (document(groups={"g": {"params": {"x": "a"}}}), "groups.g.params.x: 'a' is not"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_with_place_and_reason(case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(FileError) as caught:
        workflow.loads(text, name="w")
    assert message in str(caught.value)
    assert str(caught.value).startswith("w: ")


def test_a_file_over_the_size_cap_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(1 << 30)  # sparse
    with pytest.raises(FileError, match="is larger than 64 MiB"):
        workflow.load(path)


def test_a_picture_over_its_own_cap_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "MAX_PICTURE_BYTES", 1 << 20)
    path = tmp_path / "large.png"
    path.write_bytes(tiny_png() + bytes(1 << 20))
    with pytest.raises(FileError, match=r"large\.png: is larger than 1 MiB"):
        workflow.load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "is a folder"), ("nothing.json", "there is no such file"), ("a\0b", "cannot be read")],
)
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        workflow.load(tmp_path / name)


# --- pictures


def test_a_picture_is_known_by_content_and_gives_its_workflow(tmp_path: Path) -> None:
    plain = read("plain")
    path = tmp_path / "picture.json"
    path.write_bytes(pictures.with_text(tiny_png(), {pictures.WORKFLOW: workflow.dumps(plain)}))
    assert workflow.load(path) == plain


def test_a_picture_without_a_workflow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(tiny_png())
    with pytest.raises(FileError, match=r"picture\.png: is a picture that carries no workflow"):
        workflow.load(path)


def test_a_bad_workflow_in_a_picture_is_named_by_file_and_chunk(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(pictures.with_text(tiny_png(), {pictures.WORKFLOW: "[]"}))
    with pytest.raises(FileError, match=r"picture\.png \(studio\.workflow\): is not an object"):
        workflow.load(path)


# --- writing

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.é\n", max_size=3), inner),
    max_leaves=12,
)  # fmt: skip
names = st.from_regex(r"[a-z][a-z0-9_]{0,3}", fullmatch=True)
objects = st.dictionaries(st.from_regex(r"x[a-z]{1,3}", fullmatch=True), values, max_size=3)
links = st.builds(Link, names.map(NodeId), names)
inners = st.builds(Inner, names.map(NodeId), names)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    nodes = {}
    for name in draw(st.lists(names, max_size=4, unique=True)):
        nodes[NodeId(name)] = Node(
            id=NodeId(name),
            type=draw(st.sampled_from(["text", "paint", "group:g", "x.y"])),
            version=draw(st.integers(1, 9)),
            params=draw(objects),
            inputs=draw(st.dictionaries(names, links, max_size=2)),
            mode=draw(st.sampled_from(["normal", "mute", "bypass"])),
            extra=draw(objects),
        )
    return Graph(nodes)


bodies = st.builds(
    Group,
    graph=graphs(),
    inputs=st.dictionaries(names, st.lists(inners, max_size=2).map(tuple), max_size=2),
    outputs=st.dictionaries(names, links, max_size=2),
    params=st.dictionaries(names, inners, max_size=2),
    view=objects,
    extra=objects,
)
workflows = st.builds(
    Workflow,
    graph=graphs(),
    groups=st.dictionaries(names, bodies, max_size=2),
    view=objects,
    meta=objects,
    extra=objects,
)


def exact(value: object) -> str:
    """Distinguishes 1, 1.0 and true, and 0.0 from -0.0, whatever the order of keys."""
    if isinstance(value, dict):
        return repr(sorted((key, exact(entry)) for key, entry in value.items()))
    return repr([exact(entry) for entry in value]) if isinstance(value, list) else repr(value)


@settings(max_examples=150, deadline=None)
@given(workflows)
def test_writing_and_reading_any_workflow_gives_it_back_and_the_same_text(w: Workflow) -> None:
    text = workflow.dumps(w)
    again = workflow.loads(text)
    assert again == w
    assert workflow.dumps(again) == text


@settings(max_examples=150, deadline=None)
@given(values)
def test_a_parameter_keeps_its_exact_value(value: Json) -> None:
    a = Node(NodeId("a"), "text", params={"x": value})
    read_back = workflow.loads(workflow.dumps(flow(a))).graph.node("a").params["x"]
    assert exact(read_back) == exact(value)


def written(value: Json) -> str:
    """How a parameter x stands in the file, without the margin of its line."""
    text = workflow.dumps(flow(Node(NodeId("a"), "text", params={"x": value})))
    found = re.search(r'(?ms)^        "x": (.*?)\n      \},\n      "type"', text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5.0"),
        (5, "5"),
        (1e22, "1e+22"),
        (0.1, "0.1"),
        (2**64 - 1, "18446744073709551615"),
        (True, "true"),
        (None, "null"),
        ("赤\n", '"赤\\n"'),
        ([], "[]"),
        ({}, "{}"),
        ([620, 80], "[620, 80]"),
        ([[0.0, 1.0], [0.5, 2.0]], "[[0.0, 1.0], [0.5, 2.0]]"),
        ([{"a": 1}], '[\n          {\n            "a": 1\n          }\n        ]'),
    ],
)  # fmt: skip
def test_values_are_written_in_shortest_exact_form(value: Json, text: str) -> None:
    assert written(value) == text


def test_a_list_that_fills_the_line_stays_on_it_and_a_longer_one_is_broken() -> None:
    # '        "x": ["' + '"]' + the comma that may follow: 18 columns of 100
    assert written(["y" * 82]) == f'["{"y" * 82}"]'
    assert written(["y" * 83]) == f'[\n          "{"y" * 83}"\n        ]'
    many: list[Json] = [[float(n), 0.5] for n in range(40)]
    assert written(many).splitlines()[1] == "          [0.0, 0.5],"


def test_moving_a_node_changes_one_line() -> None:
    plain = read("plain")
    moved = replace(plain, view={**plain.view, "nodes": {"decode": [1, 2], "paint": [620, 80.5]}})
    before, after = (workflow.dumps(w).splitlines() for w in (plain, moved))
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [('      "decode": [820, 80],', '      "decode": [1, 2],')]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("-inf")]])
def test_a_number_that_json_lacks_is_not_written(value: Json) -> None:
    bad = flow(Node(NodeId("a"), "text", params={"x": value}))
    with pytest.raises(FileError, match=r"nodes\.a\.params\.x: .* cannot be saved"):
        workflow.dumps(bad)


def test_a_flattened_graph_is_not_written() -> None:
    flat = workflow.flatten(read("groups"), TYPES)
    with pytest.raises(GraphError, match="save the graph before flattening"):
        workflow.dumps(Workflow(flat))


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    workflow.save(read("plain"), path)
    assert path.read_bytes() == (FILES / "plain.json").read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.json"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_save_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.json"
    path.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"w\.json: cannot be written \(.*No space left"):
        workflow.save(read("plain"), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.json"]


# --- migrations


def renamed_nodes(old: dict[str, Json]) -> dict[str, Json]:
    fields = dict(old)
    fields["nodes"] = fields.pop("boxes")
    return fields


def titled(old: dict[str, Json]) -> dict[str, Json]:
    return {**old, "meta": {"title": "migrated"}}


def test_an_old_file_goes_through_every_migration_in_order() -> None:
    old = json.loads(document())
    old["boxes"] = old.pop("nodes")
    found = workflow.loads(json.dumps(old), migrations={1: renamed_nodes, 2: titled})
    assert found.graph.nodes.keys() == {"a"}
    assert found.meta == {"title": "migrated"}


def test_a_file_of_the_middle_version_skips_the_first_migration() -> None:
    found = workflow.loads(document(version=2), migrations={1: renamed_nodes, 2: titled})
    assert found.meta == {"title": "migrated"}


def test_a_migration_that_stumbles_over_a_bad_file_is_a_file_error() -> None:
    with pytest.raises(FileError, match="cannot be migrated from version 1"):
        workflow.loads(document(), migrations={1: renamed_nodes})


def test_the_migrations_lead_to_the_version_that_is_written() -> None:
    assert sorted(workflow.MIGRATIONS) == list(range(1, workflow.VERSION))


def test_an_old_node_is_migrated_in_graph_and_bodies() -> None:
    old = Node(NodeId("p"), "paint", 1, {"cfg": 7.0})
    found = workflow.migrate(
        flow(old, g=group(old)),
        TYPES,
        {("paint", 1): lambda params: {"guidance": params["cfg"]}},
    )
    for graph in (found.graph, found.groups["g"].graph):
        assert graph.node("p").version == 2
        assert graph.node("p").params == {"guidance": 7.0}


def test_newer_and_unknown_nodes_are_left_by_migration() -> None:
    unknown = read("unknown")
    assert workflow.migrate(unknown, TYPES) == unknown


def test_a_node_that_cannot_be_migrated_is_named() -> None:
    old = Node(NodeId("p"), "paint", 1, {})
    with pytest.raises(GraphError, match="p: cannot be migrated from version 1"):
        workflow.migrate(flow(old), TYPES, {("paint", 1): lambda params: {"x": params["cfg"]}})


# --- completing


def test_every_parameter_is_filled_in_and_given_its_type() -> None:
    a = replace(node("p", "paint"), params={"guidance": 7, "steps": 9999, "odd": 1})
    params = workflow.complete(flow(a), TYPES).graph.node("p").params
    assert exact(params) == exact(
        {
            "guidance": 7.0,
            "steps": 9999,
            "odd": 1,
            "sampler": "ddim",
            "curve": [[0.0, 1.0]],
            "is_tiled": False,
        }
    )


def test_unknown_types_groups_and_other_versions_are_not_completed() -> None:
    unknown = read("unknown")
    found = workflow.complete(unknown, TYPES)
    assert found.graph.node("paint") == unknown.graph.node("paint")
    assert found.graph.node("text") == unknown.graph.node("text")
    groups = read("groups")
    assert workflow.complete(groups, TYPES) == groups


# --- groups


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


def with_mode(w: Workflow, name: str, mode: str) -> Workflow:
    assert mode in ("mute", "bypass")
    return replace(w, graph=w.graph.set_mode(name, "mute" if mode == "mute" else "bypass"))


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


# --- check


def test_a_sound_workflow_has_no_problems() -> None:
    for name in ("plain", "modes", "groups"):
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


# --- parameters from text


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
