"""Arithmetic in text: exact, bounded, and nothing else."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.arithmetic import evaluate, rounded


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512*2", 1024),
        ("1/3 * 3", 1),
        ("0.1 + 0.2", 0.3),
        ("-(2 + 3)", -5),
        ("2**64 - 1", 18446744073709551615),
        ("7 // 2 + 7 % 2", 4),
        ("1e-3", 0.001),
        ("round(500 / 8) * 8", 504),
        ("max(1, 2, 3) - min(4, 5)", -1),
        ("abs(-1.5) + floor(-0.5) + ceil(0.5)", 1.5),
    ],
)
def test_arithmetic_is_exact(text: str, value: float) -> None:
    # compared through the decimal form: 0.3 means three tenths, not the float next to it
    assert evaluate(text) == evaluate(repr(value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "__import__('os')",
        "(1).real",
        "[1]",
        "1,5",
        "(1,5)",
        "max()",
        "round(1, 2)",
        "max(1, default=2)",
        "print(1)",
        "a",
        "1/0",
        "9**9**9",
        "1e999",
        "True",
        "1j",
        "1 if 1 else 2",
        "'1'",
        "(" * 150,
        "1" * 300,
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        evaluate(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_arithmetic(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(evaluate(text), Fraction)


def test_names_stand_for_numbers() -> None:
    names = {"a": Fraction(3), "b": Fraction(1, 2)}
    assert evaluate("a*2 + b", names) == Fraction(13, 2)


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="only a, b, numbers, brackets"):
        evaluate("a + z", {"a": Fraction(1), "b": Fraction(2)})


@pytest.mark.parametrize(("value", "whole"), [("2.5", 3), ("-2.5", -2), ("2.4", 2), ("3.5", 4)])
def test_halves_are_rounded_up(value: str, whole: int) -> None:
    assert rounded(Fraction(value)) == whole
