"""The workflow file: what is read, refused, migrated and written."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import pictures, workflow
from studio.errors import FileError, GraphError
from studio.graph import Graph, Json, Link, Node, NodeId
from studio.workflow import Group, Inner, Workflow
from tests.sample_nodes import TYPES
from tests.test_pictures import tiny_png
from tests.workflow.flows import CORPUS, FILES, document, exact, flow, node, read


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_released_file_is_saved_back_byte_for_byte(path: Path) -> None:
    assert workflow.dumps(workflow.load(path)) == path.read_text(encoding="utf-8")


def test_the_corpus_has_every_kind_of_file() -> None:
    assert [path.stem for path in CORPUS] == [
        "groups",
        "linked",
        "modes",
        "plain",
        "unknown",
    ]


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
    monkeypatch.setattr("studio.workflow.file.MAX_PICTURE_BYTES", 1 << 20)
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


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**63) - 1, [1, 2**64], 10**5000],
    ids=["over", "under", "in a list", "huge"],
)
def test_an_integer_that_would_not_be_read_is_not_written(value: Json) -> None:
    bad = flow(Node(NodeId("a"), "text", params={"x": value}))
    with pytest.raises(FileError, match=r"nodes\.a\.params\.x: .* cannot be saved"):
        workflow.dumps(bad)


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
