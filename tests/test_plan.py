"""Planning: keys follow meaning, and the outlook says what is stored, what runs, and why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import nodes.value
from studio.errors import GraphError, NodeError
from studio.facts import Facts
from studio.graph import Graph, Json, Key, Link, Node, NodeId, NodeType
from studio.numerics import Numerics, choose
from studio.plan import Keyed, Outlook, PlanningContext, key_graph, outlook, plan, remember
from studio.registry import collect
from studio.values import Described
from tests.toys import Toys


class NoModels:
    """A library without models."""

    def describe(self, name: str) -> Described:
        """There is none."""
        raise NodeError(f"no model {name}")

    def refuse_new(self, name: str, key: Key, *, is_replacing: bool) -> None:
        """Any may be saved."""


class Stored(set[Key]):
    """An index of results."""

    def contains_many(self, keys: object) -> set[Key]:
        """Those that are stored."""
        return {key for key in keys if key in self}  # type: ignore[attr-defined]  # iterable


NUMERICS = choose("cpu").numerics


def context(facts: Facts | None = None, numerics: Numerics = NUMERICS) -> PlanningContext:
    """Planning that may compute facts."""
    return PlanningContext(NoModels(), facts or Facts(None), numerics, Path(), may_compute=True)


def walking(**params: float) -> Graph:
    """A walk from 2 + 3, with an extra number that acts late, shown."""
    graph = Graph()
    for name, type_id in {
        "a": "number",
        "b": "number",
        "start": "add",
        "recipe": "recipe",
        "extra": "number",
        "walk": "walk",
        "show": "show",
    }.items():
        graph = graph.add(Node(NodeId(name), type_id))
    graph = (
        graph.set("a", value=2.0).set("b", value=3.0).set("extra", value=params.get("extra", 0.5))
    )
    graph = graph.connect("a", "number", "start", "a").connect("b", "number", "start", "b")
    graph = graph.connect("start", "number", "walk", "start")
    graph = graph.connect("recipe", "recipe", "walk", "recipe")
    graph = graph.connect("extra", "number", "walk", "extra")
    graph = graph.connect("walk", "number", "show", "number")
    return graph.set("recipe", late=params.get("late", 1.0), steps=int(params.get("steps", 10)))


def keyed(
    graph: Graph, types: dict[str, NodeType], targets: tuple[str, ...] = ("show",)
) -> dict[str, Keyed]:
    """The nodes by id."""
    return {str(item.id): item for item in key_graph(graph, types, targets, context())}


def ahead_of(items: dict[str, Keyed], stored: Stored) -> dict[str, Outlook]:
    """The outlook by id."""
    return dict(outlook(list(items.values()), ["show"], stored).items())


def everything(items: dict[str, Keyed]) -> Stored:
    """An index in which every result and state is stored."""
    stored = Stored(item.key for item in items.values())
    for item in items.values():
        for chain in item.chains:
            stored.update([chain.start.key, *(step.key for step in chain.steps)])
    return stored


@pytest.fixture
def types() -> dict[str, NodeType]:
    """The toy node types."""
    return Toys().types()


EDITS: dict[str, Callable[[Graph], Graph]] = {
    "an unrelated node": lambda graph: graph.add(Node(NodeId("other"), "number")),
    "another order of the nodes": lambda graph: Graph(dict(reversed(list(graph.nodes.items())))),
    "a default written out": lambda graph: graph.set("walk", window=5),
    "a whole number for a float": lambda graph: graph.set("a", value=2),
    "an unknown field": lambda graph: Graph(
        {**graph.nodes, NodeId("a"): replace(graph.node("a"), extra={"colour": "red"})}
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_without_meaning_changes_no_key(name: str, types: dict[str, NodeType]) -> None:
    before, after = keyed(walking(), types), keyed(EDITS[name](walking()), types)
    assert {item: one.key for item, one in before.items()} == {
        item: one.key for item, one in after.items()
    }


def test_a_renamed_node_keeps_its_key(types: dict[str, NodeType]) -> None:
    after = keyed(walking().rename("start", "beginning"), types)
    assert after["beginning"].key == keyed(walking(), types)["start"].key
    assert after["show"].key == keyed(walking(), types)["show"].key


def test_each_parameter_version_and_link_changes_the_keys_below_it(
    types: dict[str, NodeType],
) -> None:
    base = keyed(walking(), types)
    newer = {**types, "number": replace(types["number"], version=2)}
    edited = [
        keyed(walking().set("a", value=2.5), types),
        keyed(walking().connect("extra", "number", "start", "b"), types),
        keyed(walking(), newer),
    ]
    for one in edited:
        assert one["start"].key != base["start"].key
        assert one["show"].key != base["show"].key


def test_another_numerics_class_has_other_keys(types: dict[str, NodeType]) -> None:
    other = replace(NUMERICS, threads=NUMERICS.threads + 1)
    before = key_graph(walking(), types, ["show"], context())
    after = key_graph(walking(), types, ["show"], context(numerics=other))
    assert not {item.key for item in before} & {
        item.key for item in after if item.described is None
    }


def test_a_late_edit_keeps_the_keys_of_the_steps_before_it(types: dict[str, NodeType]) -> None:
    def states(graph: Graph) -> list[Key]:
        (chain,) = keyed(graph, types)["walk"].chains
        return [step.key for step in chain.steps]

    before = states(walking())
    for after in (states(walking(late=2.0)), states(walking(extra=0.75))):
        assert after[:5] == before[:5]
        assert not set(after[5:]) & set(before[5:])


def test_an_input_that_never_acts_is_in_no_key(types: dict[str, NodeType]) -> None:
    graph = walking(late=0.0).set("walk", window=10)
    moved = graph.set("extra", value=7.0)
    assert keyed(graph, types)["walk"].key == keyed(moved, types)["walk"].key


def test_everything_stored_runs_nothing(types: dict[str, NodeType]) -> None:
    items = keyed(walking(), types)
    ahead = ahead_of(items, everything(items))
    assert {item.status for item in ahead.values()} == {"cached"}


def test_only_what_the_missing_result_needs_is_walked(types: dict[str, NodeType]) -> None:
    items = keyed(walking(), types)
    stored = Stored({items["walk"].key})
    ahead = ahead_of(items, stored)
    assert ahead["show"].status == "runs"
    assert ahead["walk"].status == "cached"
    assert {ahead[name].status for name in ("a", "b", "start", "extra")} == {"skipped"}


def test_a_loop_resumes_at_the_last_stored_state_and_needs_only_what_acts_after(
    types: dict[str, NodeType],
) -> None:
    stored = everything(keyed(walking(), types))
    edited = keyed(walking(extra=0.75), types)
    ahead = ahead_of(edited, stored)
    assert (ahead["walk"].status, ahead["walk"].from_step) == ("resumes", 5)
    assert ahead["extra"].status == "runs"
    assert ahead["start"] == Outlook("cached")


def test_a_fact_that_is_not_known_leaves_the_steps_to_a_prediction(
    types: dict[str, NodeType],
) -> None:
    ignorant = replace(context(), may_compute=False)
    items = {str(item.id): item for item in key_graph(walking(steps=7), types, ["show"], ignorant)}
    assert not items["walk"].is_known
    assert items["walk"].passes == 7


def test_the_plan_gives_the_root_cause_with_old_and_new_value(types: dict[str, NodeType]) -> None:
    facts = Facts(None)
    before = key_graph(walking(), types, ["show"], context(facts))
    remember(facts, "w", before, NUMERICS)
    stored = everything({str(item.id): item for item in before})
    planned = plan(walking(late=2.0), types, ["show"], context(facts), stored, "w")
    reasons = {str(node.node): node.reason for node in planned.nodes}
    assert reasons["walk"] == "recipe.late: 1.0 -> 2.0"
    assert reasons["show"] == "recipe.late: 1.0 -> 2.0"
    assert reasons["start"] == "stored"
    by_id = {str(node.node): node for node in planned.nodes}
    assert (by_id["walk"].status, by_id["walk"].from_step, by_id["walk"].steps) == (
        "resumes",
        5,
        10,
    )
    assert planned.model_calls == 5


def test_the_plan_tells_new_evicted_and_other_numerics_apart(types: dict[str, NodeType]) -> None:
    facts = Facts(None)

    def reason(numerics: Numerics) -> str:
        planned = plan(walking(), types, ["show"], context(facts, numerics), Stored(), "w")
        return {str(node.node): node.reason for node in planned.nodes}["walk"]

    assert reason(NUMERICS) == "new"
    remember(facts, "w", key_graph(walking(), types, ["show"], context(facts)), NUMERICS)
    assert reason(NUMERICS) == "no longer stored"
    other = replace(NUMERICS, torch="2.0.0")
    assert reason(other) == f"other numerics class (torch: {NUMERICS.torch} -> 2.0.0)"


def test_a_relinked_input_is_named(types: dict[str, NodeType]) -> None:
    facts = Facts(None)
    remember(facts, "w", key_graph(walking(), types, ["show"], context(facts)), NUMERICS)
    graph = walking().connect("extra", "number", "start", "b")
    planned = plan(graph, types, ["show"], context(facts), Stored(), "w")
    assert {str(n.node): n.reason for n in planned.nodes}[
        "start"
    ] == "start.b: b.number -> extra.number"


def test_a_describing_node_that_fails_names_itself(types: dict[str, NodeType]) -> None:
    graph = Graph().add(Node(NodeId("m"), "load_model"))
    import nodes.model
    from studio.registry import collect

    with pytest.raises(NodeError, match="m: no model starter"):
        key_graph(graph, collect(nodes.model, "core"), ["m"], context())


def test_planning_imports_no_torch() -> None:
    program = (
        "import sys, studio.plan, studio.workflow, studio.validation, studio.registry, studio.session;"
        "studio.registry.load();"
        "assert not {'torch', 'diffusers', 'transformers', 'PySide6'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_links_to_nodes_without_a_result_stay_references(types: dict[str, NodeType]) -> None:
    items = keyed(walking(), types)
    assert items["walk"].node.inputs["start"] == Link(NodeId("start"), "number")
    assert items["recipe"].described is not None


# --- links into parameters


@pytest.fixture
def with_values(types: dict[str, NodeType]) -> dict[str, NodeType]:
    """The toy node types beside those that give plain values."""
    return {**collect(nodes.value, "core"), **types}


def linked(graph: Graph, parameter: str, type_id: str, name: str, value: Json) -> Graph:
    """The graph with a parameter given by a node in place of the parameter's own value."""
    node, _, param = parameter.partition(".")
    graph = graph.add(Node(NodeId(name), type_id, params={"value": value}))
    return graph.connect(name, "value", node, param)


@pytest.mark.parametrize(
    ("parameter", "type_id", "value"),
    [
        ("recipe.steps", "integer", 7),
        ("recipe.late", "integer", 2),
        ("walk.window", "seed", 3),
    ],
)
def test_a_linked_value_gives_the_keys_of_the_same_value_set(
    parameter: str, type_id: str, value: Json, with_values: dict[str, NodeType]
) -> None:
    node, _, param = parameter.partition(".")
    literal = keyed(walking().set(node, **{param: value}), with_values)
    by_link = keyed(linked(walking(), parameter, type_id, "x", value), with_values)
    assert {name: one.key for name, one in literal.items()} == {
        name: one.key for name, one in by_link.items() if name != "x"
    }
    assert by_link[node].params == literal[node].params


def test_the_own_value_of_a_linked_parameter_is_in_no_key(
    with_values: dict[str, NodeType],
) -> None:
    graph = linked(walking(), "recipe.steps", "integer", "x", 7)
    before, after = keyed(graph, with_values), keyed(graph.set("recipe", steps=9), with_values)
    assert {name: one.key for name, one in before.items()} == {
        name: one.key for name, one in after.items()
    }


def test_a_late_edit_through_a_chain_of_links_resumes_like_a_direct_one(
    with_values: dict[str, NodeType],
) -> None:
    graph = linked(walking(), "recipe.late", "integer", "x", 1).disconnect("recipe", "late")
    graph = graph.add(Node(NodeId("half"), "arithmetic", params={"expression": "a/2"}))
    graph = graph.connect("x", "value", "half", "a").connect("half", "value", "recipe", "late")
    stored = everything(keyed(graph, with_values))
    ahead = ahead_of(keyed(graph.set("x", value=3), with_values), stored)
    assert (ahead["walk"].status, ahead["walk"].from_step) == ("resumes", 5)
    direct = keyed(walking(late=1.5), with_values)["walk"].key
    assert keyed(graph.set("x", value=3), with_values)["walk"].key == direct


def test_moving_a_value_into_a_node_costs_nothing_and_is_no_reason(
    with_values: dict[str, NodeType],
) -> None:
    facts = Facts(None)
    before = key_graph(walking(), with_values, ["show"], context(facts))
    remember(facts, "w", before, NUMERICS)
    stored = everything({str(item.id): item for item in before})
    moved = linked(walking(), "recipe.steps", "integer", "x", 10)
    planned = plan(moved, with_values, ["show"], context(facts), stored, "w")
    assert {node.status for node in planned.nodes if node.node != "x"} == {"cached"}
    assert planned.model_calls == 0


def test_the_reason_names_the_source_of_a_linked_value(with_values: dict[str, NodeType]) -> None:
    facts = Facts(None)
    graph = linked(walking(), "recipe.late", "integer", "extra_late", 1)
    before = key_graph(graph, with_values, ["show"], context(facts))
    remember(facts, "w", before, NUMERICS)
    stored = everything({str(item.id): item for item in before})
    edited = graph.set("extra_late", value=2)
    planned = plan(edited, with_values, ["show"], context(facts), stored, "w")
    reasons = {str(node.node): node.reason for node in planned.nodes}
    assert reasons["walk"] == "recipe.late: 1.0 -> 2.0 (extra_late.value)"
    assert reasons["extra_late"] == "extra_late.value: 1 -> 2"


def test_a_linked_value_out_of_range_names_parameter_source_and_remedy(
    with_values: dict[str, NodeType],
) -> None:
    graph = linked(walking(), "recipe.late", "integer", "x", 20)
    with pytest.raises(GraphError) as caught:
        keyed(graph, with_values)
    assert str(caught.value) == (
        "recipe.late: 20.0 is outside 0 … 9 (linked from x.value); "
        "let x give a number, 0 … 9, or cut the link"
    )
    assert (caught.value.node, caught.value.port) == ("recipe", "late")


def test_what_lies_in_a_folder_is_known_by_content_and_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b.txt", "in/a.txt", ".hidden.txt", "c.bin"):
        (tmp_path / name).write_text(name)
    looked: list[str] = []

    def look(path: Path) -> Json:
        looked.append(path.name)
        return len(path.read_text())

    planning = context()
    for _ in range(2):
        files = planning.files(str(tmp_path), (".txt",), look)
        assert [(file.name, file.found) for file in files] == [("b.txt", 5), ("in/a.txt", 8)]
    assert looked == ["b.txt", "a.txt"]
    (tmp_path / "b.txt").write_text("longer")
    assert planning.files(str(tmp_path), (".txt",), look)[0].found == 6
