"""Edits of a graph: pure, never dangling, never cyclic; and what two graphs differ in."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from studio.errors import GraphError
from studio.graph import Graph, Json, Link, Mode, Node, NodeId, diff, fits, nearest
from studio.values import Conditioning, Embedding, Image, Latents, Mask, Masks


def node(name: str, *links: str, **params: Json) -> Node:
    inputs = {f"in{i}": Link.parse(link) for i, link in enumerate(links)}
    return Node(NodeId(name), "type", 1, params, inputs)


def graph(*nodes: Node) -> Graph:
    return Graph({node.id: node for node in nodes})


def edges(graph: Graph) -> set[tuple[str, str, str]]:
    return {(str(link), node.id, port) for node in graph for port, link in node.inputs.items()}


CHAIN = graph(node("a"), node("b", "a.out"), node("c", "b.out", "a.out"))

names = st.sampled_from([f"n{i}" for i in range(7)])
ports = st.sampled_from(["x", "y"])


def reaches(links: Mapping[str, set[str]], start: str, goal: str) -> bool:
    """Whether ``goal`` depends on ``start``; written without networkx, as a second opinion."""
    pending, seen = [start], set()
    while pending:
        at = pending.pop()
        if at == goal:
            return True
        if at not in seen:
            seen.add(at)
            pending.extend(links.get(at, ()))
    return False


class Edits(RuleBasedStateMachine):
    """Any sequence of edits, held against a model of plain dictionaries."""

    present = Bundle("present")

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph()
        self.links: dict[tuple[str, str], tuple[str, str]] = {}
        self.params: dict[str, dict[str, int]] = {}
        self.before: tuple[Graph, Graph] | None = None

    def edit(self, new: Graph) -> None:
        self.before = (self.graph, copy.deepcopy(self.graph))
        self.graph = new

    @initialize(target=present)
    def begin(self) -> str:
        self.edit(self.graph.add(node("n0")))
        self.params["n0"] = {}
        return "n0"

    @rule(target=present)
    def add(self) -> str:
        name = self.graph.free_id("n")
        self.edit(self.graph.add(node(name)))
        self.params[name] = {}
        return name

    @rule(name=present)
    def add_twice(self, name: str) -> None:
        with pytest.raises(GraphError, match="exists already"):
            self.graph.add(node(name))

    @rule(name=present, param=ports, value=st.integers(0, 3))
    def set_param(self, name: str, param: str, value: int) -> None:
        self.edit(self.graph.set(name, **{param: value}))
        self.params[name][param] = value

    @rule(name=present, mode=st.sampled_from(["normal", "mute", "bypass"]))
    def set_mode(self, name: str, mode: Mode) -> None:
        self.edit(self.graph.set_mode(name, mode))
        assert self.graph.node(name).mode == mode

    @rule(source=present, end=present, output=ports, port=ports)
    def connect(self, source: str, end: str, output: str, port: str) -> None:
        down: dict[str, set[str]] = {}
        for (later, _), (earlier, _) in self.links.items():
            down.setdefault(earlier, set()).add(later)
        if reaches(down, end, source):
            with pytest.raises(GraphError, match="would close a cycle"):
                self.graph.connect(source, output, end, port)
        else:
            self.edit(self.graph.connect(source, output, end, port))
            self.links[end, port] = (source, output)

    @rule(name=present, port=ports)
    def disconnect(self, name: str, port: str) -> None:
        self.edit(self.graph.disconnect(name, port))
        self.links.pop((name, port), None)

    @rule(name=consumes(present))
    def remove(self, name: str) -> None:
        self.edit(self.graph.remove(name))
        del self.params[name]
        self.links = {
            end: begin for end, begin in self.links.items() if name not in (end[0], begin[0])
        }

    @rule(target=present, old=consumes(present), new=names)
    def rename(self, old: str, new: str) -> str:
        if new in self.graph and new != old:
            with pytest.raises(GraphError, match="exists already"):
                self.graph.rename(old, new)
            return old
        self.edit(self.graph.rename(old, new))
        self.params[new] = self.params.pop(old)

        def moved(name: str) -> str:
            return new if name == old else name

        self.links = {
            (moved(end), port): (moved(begin), output)
            for (end, port), (begin, output) in self.links.items()
        }
        return new

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert {node.id: node.params for node in self.graph} == self.params
        assert edges(self.graph) == {
            (f"{begin}.{output}", end, port) for (end, port), (begin, output) in self.links.items()
        }

    @invariant()
    def is_keyed_by_its_own_ids(self) -> None:
        assert all(name == node.id for name, node in self.graph.nodes.items())

    @invariant()
    def has_no_dangling_link_and_no_cycle(self) -> None:
        order = self.graph.order()
        assert sorted(order) == sorted(self.graph.nodes)
        for node in self.graph:
            for link in node.inputs.values():
                assert order.index(link.node) < order.index(node.id)

    @precondition(lambda self: self.before is not None)
    @invariant()
    def leaves_the_old_value_untouched(self) -> None:
        assert self.before is not None
        assert self.before[0] == self.before[1]

    @precondition(lambda self: self.before is not None)
    @invariant()
    def differs_exactly_where_diff_says(self) -> None:
        assert self.before is not None
        assert bool(diff(self.before[0], self.graph)) == (self.before[0] != self.graph)


Edits.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestEdits = Edits.TestCase


# --- edits one by one


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a.b", "a/b", "é", "a\n"])
def test_a_malformed_id_is_refused(name: str) -> None:
    with pytest.raises(GraphError, match="is not a node id"):
        Graph().add(node(name))
    with pytest.raises(GraphError, match="is not a node id"):
        CHAIN.rename("a", name)


def test_a_node_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(GraphError, match='pant: there is no such node; did you mean "paint"'):
        graph(node("paint"), node("text")).node("pant")


def test_a_free_id_counts_from_two() -> None:
    assert CHAIN.free_id("x") == "x"
    assert CHAIN.free_id("a") == "a_2"
    assert CHAIN.add(node("a_2")).free_id("a") == "a_3"


def test_connecting_takes_the_place_of_the_link() -> None:
    assert edges(CHAIN.connect("a", "other", "b", "in0")) == {
        ("a.other", "b", "in0"),
        ("b.out", "c", "in0"),
        ("a.out", "c", "in1"),
    }


@pytest.mark.parametrize(("source", "target"), [("c", "a"), ("b", "a"), ("a", "a")])
def test_a_link_that_closes_a_cycle_is_refused_by_node_and_port(source: str, target: str) -> None:
    with pytest.raises(GraphError) as caught:
        CHAIN.connect(source, "out", target, "x")
    assert (caught.value.node, caught.value.port) == (target, "x")
    assert f"a link from {source} would close a cycle" in str(caught.value)


def test_rename_follows_links() -> None:
    assert edges(CHAIN.rename("a", "z")) == {
        ("z.out", "b", "in0"),
        ("b.out", "c", "in0"),
        ("z.out", "c", "in1"),
    }


def test_rename_keeps_the_place_in_the_order() -> None:
    assert list(CHAIN.rename("b", "z").nodes) == ["a", "z", "c"]


def test_remove_takes_the_links_along() -> None:
    assert edges(CHAIN.remove("a")) == {("b.out", "c", "in0")}
    assert CHAIN.remove("a", "b").nodes.keys() == {"c"}


def test_removing_leaves_a_link_that_dangled_before() -> None:
    assert edges(graph(node("a"), node("b", "gone.x")).remove("a")) == {("gone.x", "b", "in0")}


def test_a_node_may_have_a_parameter_called_node() -> None:
    assert CHAIN.set("a", node=1).node("a").params == {"node": 1}


def test_edits_keep_what_the_type_does_not_know() -> None:
    odd = graph(replace(node("a"), extra={"colour": "red"}))
    edited = odd.set("a", x=1).set_mode("a", "mute").rename("a", "b")
    assert edited.node("b").extra == {"colour": "red"}


# --- structure


def test_order_puts_inputs_first_and_is_the_same_for_any_order_of_nodes() -> None:
    mixed = graph(node("c", "b.out", "a.out"), node("b", "a.out"), node("a"))
    assert mixed.order() == CHAIN.order() == ["a", "b", "c"]


def test_order_names_a_cycle() -> None:
    with pytest.raises(GraphError, match=r"is part of a cycle: (a -> b -> a|b -> a -> b)"):
        graph(node("a", "b.out"), node("b", "a.out")).order()


def test_downstream_and_needed() -> None:
    assert CHAIN.downstream("a") == {"b", "c"}
    assert CHAIN.downstream("c") == frozenset()
    assert CHAIN.add(node("d")).needed(["b"]) == {"a", "b"}


def test_needed_passes_over_dangling_links_and_cycles() -> None:
    assert graph(node("a", "b.x", "gone.x"), node("b", "a.x")).needed(["a"]) == {"a", "b"}


@pytest.mark.parametrize("text", ["", "a", "a.", ".b", "A.b", "a b.c", "a/b.c"])
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        Link.parse(text)


# --- types


def test_an_output_fits_its_type_a_wider_one_and_a_timeline_of_it() -> None:
    assert fits(Latents, Latents)
    assert fits(Embedding, Conditioning)
    assert fits(Conditioning, Conditioning)
    assert fits(Mask, Masks)
    assert not fits(Conditioning, Embedding)
    assert not fits(Embedding, Masks)
    assert not fits(Latents, Image)


# --- diff


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (CHAIN, []),
        (CHAIN.add(node("d")), ["d: added (type)"]),
        (
            CHAIN.remove("b"),
            ["b: removed (type)", "c.in0: b.out -> nothing"],
        ),
        (CHAIN.set_mode("a", "mute"), ["a: normal -> mute"]),
        (CHAIN.connect("a", "other", "b", "in0"), ["b.in0: a.out -> a.other"]),
        (CHAIN.connect("a", "out", "b", "new"), ["b.new: nothing -> a.out"]),
        (CHAIN.set("a", x=1), ["a.x: unset -> 1"]),
        (CHAIN.set("a", x=None), ["a.x: unset -> None"]),
        (
            Graph({**CHAIN.nodes, NodeId("a"): replace(CHAIN.node("a"), type="t", version=3)}),
            ["a: type 1 -> t 3"],
        ),
    ],
)
def test_diff_names_each_change(new: Graph, lines: list[str]) -> None:
    assert [str(one) for one in diff(CHAIN, new)] == lines


@pytest.mark.parametrize(
    ("old", "new"), [(1, 1.0), (1, True), (0.0, -0.0), (None, "None"), ([1], [1.0]), ("1", 1)]
)
def test_diff_tells_values_that_compare_equal_apart(old: Json, new: Json) -> None:
    [found] = diff(CHAIN.set("a", x=old), CHAIN.set("a", x=new))
    assert str(found) == f"a.x: {old!r} -> {new!r}"


def test_diff_shortens_long_values() -> None:
    [found] = diff(CHAIN.set("a", x="p" * 500), CHAIN.set("a", x="q" * 500))
    assert len(str(found)) < 140


# --- names


def test_the_nearest_name_is_proposed_else_the_names_there_are() -> None:
    assert nearest("guidence", ["guidance", "steps"]) == 'did you mean "guidance"?'
    assert nearest("zzz", ["b", "a"]) == "there are: a, b"
    assert nearest("zzz", []) == "there are none"
    assert nearest("zzz", [f"{i:02}" for i in range(20)]).endswith("10, 11, …")
