"""Value nodes: what they give, and what they say where something is missing."""

from __future__ import annotations

import pytest

import nodes.value
from nodes.value import (
    arithmetic,
    boolean,
    choose_number,
    choose_text,
    format_text,
    integer,
    join_text,
    number,
    seed,
    text_value,
)
from studio.errors import GraphError
from studio.graph import NodeKind
from studio.registry import collect
from studio.values import Boolean, Constant, Integer, Number, Text


def test_plain_nodes_give_their_value() -> None:
    assert integer(3) == Integer(3)
    assert number(0.5) == Number(0.5)
    assert text_value("a") == Text("a")
    assert boolean(True) == Boolean(True)
    assert seed(2**64 - 1) == Integer(2**64 - 1)


def test_every_value_node_is_known_while_planning_and_gives_what_parameters_take() -> None:
    for declared in collect(nodes.value, "core").values():
        assert declared.kind is NodeKind.DESCRIBE
        assert declared.category == "value"
        assert all(issubclass(port.type, Constant) for port in declared.outputs)


@pytest.mark.parametrize(
    ("expression", "value", "whole"),
    [("a*2+1", 7.0, 7), ("a/b", 0.75, 1), ("round(a/b*100)", 75.0, 75), ("a - b", -1.0, -1)],
)
def test_arithmetic_reckons_with_what_is_linked(expression: str, value: float, whole: int) -> None:
    found = arithmetic(Integer(3), Number(4.0), None, expression)
    assert found == (Number(value), Integer(whole))
    assert type(found.value.value) is float


def test_arithmetic_is_exact_for_seeds() -> None:
    assert arithmetic(Integer(2**64 - 2), None, None, "a + 1").integer == Integer(2**64 - 1)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("a + b", "b: is not linked, but the expression asks for it"),
        ("a +", 'expression: "a +" is not a number'),
        ("a.real", "expression: only a, numbers, brackets"),
        ("__import__('os')", "expression: only a, numbers"),
        ("a / 0", "expression: this divides by zero"),
        ("10**128 * 10**128 * 10**128", "expression: the result is out of bounds"),
    ],
)
def test_arithmetic_says_where_it_cannot_go_on(expression: str, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        arithmetic(Integer(3), None, None, expression)
    assert str(caught.value.located("sum")).startswith(f"sum.{message}")
    assert caught.value.node == "sum"


def test_texts_are_joined_without_the_empty_ones() -> None:
    assert join_text(Text("a fox"), None, Text(" "), Text("oil")) == Text("a fox, oil")
    assert join_text(None, None, None, None) == Text("")


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{a} by {b}", "fox by 7"),
        ("{b:03}-{c:.2f}", "007-0.50"),
        ("{{a}} {d}", "{a} true"),
        ("no place", "no place"),
    ],
)
def test_a_template_is_filled(template: str, filled: str) -> None:
    assert format_text(Text("fox"), Integer(7), Number(0.5), Boolean(True), template) == Text(
        filled
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{b}", "b: is not linked, but the template asks for it"),
        ("{e}", 'template: "{e}" is no place that can be filled'),
        ("{a.__class__}", 'template: "{a.__class__}" is no place'),
        ("{a:999999999}", 'template: "{a:999999999}" is no place'),
        ("{", 'template: "{" is no place'),
        ("{a:.2f}", "template: \"{a:.2f}\" does not fit 'fox'"),
    ],
)
def test_a_template_that_cannot_be_filled_says_why(template: str, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        format_text(Text("fox"), None, None, None, template)
    assert str(caught.value.located("label")).startswith(f"label.{message}")


def test_the_chosen_one_passes() -> None:
    assert choose_text(Text("a"), Text("b"), None, None, 2) == Text("b")
    assert choose_number(Integer(2**64 - 1), None, None, Number(1.5), 1).integer == Integer(
        2**64 - 1
    )
    assert choose_number(Integer(4), None, None, Number(1.5), 4) == (Number(1.5), Integer(2))


def test_a_choice_that_is_not_linked_is_named() -> None:
    with pytest.raises(GraphError, match="c: is not linked, but index 3 asks for it"):
        choose_text(Text("a"), Text("b"), None, None, 3)
