"""Value nodes: numbers, text and switches to be linked into parameters; they cost nothing, and name no tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, NamedTuple, TypeVar

from studio.arithmetic import evaluate, rounded
from studio.errors import GraphError
from studio.graph import NodeKind
from studio.registry import Multiline, Output, Range, Seed, node
from studio.values import Boolean, Constant, Integer, Number, Text

C = TypeVar("C", bound=Constant)

_LETTERS = "abcd"


@node(
    "integer",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("int", "whole_number", "constant", "primitive"),
)
def integer(
    value: Annotated[int, Range(-(10**9), 10**9)] = 0,
) -> Annotated[Integer, Output("value")]:
    """A whole number for one parameter or many: steps, sizes, batches.

    value: The number.
    """
    return Integer(value)


@node(
    "number",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("float", "decimal", "constant", "primitive"),
)
def number(value: float = 0.0) -> Annotated[Number, Output("value")]:
    """A number for one parameter or many: guidance, strength, weights.

    value: The number.
    """
    return Number(value)


@node(
    "text",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("string", "constant", "primitive"),
)
def text_value(
    value: Annotated[str, Multiline()] = "",
) -> Annotated[Text, Output("value")]:
    """A text for one parameter or many: prompts, choices, names of files.

    value: The text.
    """
    return Text(value)


@node(
    "boolean",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("bool", "toggle", "constant", "primitive"),
)
def boolean(value: bool = False) -> Annotated[Boolean, Output("value")]:
    """On or off for one parameter or many.

    value: On or off.
    """
    return Boolean(value)


@node("seed", version=1, category="value", kind=NodeKind.DESCRIBE, aliases=("random", "noise_seed"))
def seed(value: Annotated[int, Seed()] = 0) -> Annotated[Integer, Output("value")]:
    """A seed for several nodes at once, exact to 64 bits.

    value: The seed.
    """
    return Integer(value)


class Reckoned(NamedTuple):
    """A number, and the whole number next to it."""

    value: Number
    integer: Integer


@node(
    "arithmetic",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("math", "expression", "calculate"),
)
def arithmetic(
    a: Number | None, b: Number | None, c: Number | None, expression: str = "a"
) -> Reckoned:
    """Reckon with numbers, exactly: `a*2 + 1`, `round(a/8) * 8`, `max(a, b)`.

    Known are `+ - * / // % **`, brackets, and abs, ceil, floor, max, min and round.

      a: A number, called a in the expression.
      b: Another.
      c: A third.
      expression: What to reckon.
      value: The result.
      integer: The result as a whole number: the nearest one, halves go up.
    """
    given = {
        letter: Fraction(str(operand.value))
        for letter, operand in zip(_LETTERS, (a, b, c), strict=False)
        if operand is not None
    }
    for letter in _LETTERS[:3]:
        if letter not in given and re.search(rf"\b{letter}\b", expression):
            raise _not_linked(letter, "the expression")
    try:
        result = evaluate(expression, given)
        return Reckoned(Number(float(result)), Integer(rounded(result)))
    except OverflowError as error:
        raise GraphError("", "expression", "the result is out of bounds") from error
    except ValueError as error:
        raise GraphError("", "expression", str(error), remedy="write it such as a*2 + 1") from error


def _not_linked(letter: str, reader: str) -> GraphError:
    return GraphError(
        "", letter, f"is not linked, but {reader} asks for it", remedy="link it, or do not ask"
    )


@node(
    "join_text",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("concatenate", "string_concatenate"),
)
def join_text(
    a: Text | None,
    b: Text | None,
    c: Text | None,
    d: Text | None,
    separator: str = ", ",
) -> Annotated[Text, Output("value")]:
    """Put texts together: subject, style and quality of a prompt, each from a node of its own.

    a: The first text.
    b: The second.
    c: The third.
    d: The fourth; what is empty or not linked is left out.
    separator: What stands between them.
    value: The whole.
    """
    texts = (str(part.value) for part in (a, b, c, d) if part is not None)
    return Text(separator.join(text for text in texts if text.strip()))


_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FORMAT = re.compile(r"([a-d])(?::(0?\d{0,2}(?:\.\d{1,2})?[bdefgoxX%]?))?\Z")


@node(
    "format_text",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("template", "string_format"),
)
def format_text(
    a: Constant | None,
    b: Constant | None,
    c: Constant | None,
    d: Constant | None,
    template: Annotated[str, Multiline()] = "{a}",
) -> Annotated[Text, Output("value")]:
    """Fill values into a text: `a {a} house, {b} style`; `{a:03}` writes 007, `{a:.2f}` two decimals.

    A bracket itself is written twice: `{{`.

      a: What stands for {a}: text, a number, on or off.
      b: What stands for {b}.
      c: What stands for {c}.
      d: What stands for {d}.
      template: The text, with the places to be filled.
      value: The text with everything in its place.
    """
    given = {
        letter: part.value
        for letter, part in zip(_LETTERS, (a, b, c, d), strict=True)
        if part is not None
    }

    def filled(found: re.Match[str]) -> str:
        return found[0][0] if found[0] in ("{{", "}}") else _filled(found[0], found[1], given)

    return Text(_FIELD.sub(filled, template))


def _filled(place: str, inside: str | None, given: Mapping[str, object]) -> str:
    parsed = _FORMAT.match(inside or "")
    if parsed is None:
        raise GraphError(
            "",
            "template",
            f'"{place}" is no place that can be filled',
            remedy="write {a} or {a:.2f}; a bracket itself twice",
        )
    letter, form = parsed[1], parsed[2] or ""
    if letter not in given:
        raise _not_linked(letter, "the template")
    value = given[letter]
    if isinstance(value, bool):
        value = "true" if value else "false"
    try:
        return format(value, form)
    except ValueError as error:
        raise GraphError(
            "", "template", f'"{place}" does not fit {value!r}', remedy=f"write {{{letter}}}"
        ) from error


@node(
    "choose_number",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("switch", "select", "index_switch"),
)
def choose_number(
    a: Number | None,
    b: Number | None,
    c: Number | None,
    d: Number | None,
    index: Annotated[int, Range(1, len(_LETTERS))] = 1,
) -> Reckoned:
    """Let one of several numbers through.

    a: The number of index 1.
    b: The number of index 2.
    c: The number of index 3.
    d: The number of index 4.
    index: Which of them: 1 for a, 2 for b, 3 for c, 4 for d.
    value: The number that was chosen.
    integer: The same as a whole number: the nearest one, halves go up.
    """
    chosen = _chosen((a, b, c, d), index)
    return Reckoned(Number(chosen.value), Integer(rounded(Fraction(str(chosen.value)))))


@node(
    "choose_text",
    version=1,
    category="value",
    kind=NodeKind.DESCRIBE,
    aliases=("switch", "select", "string_switch"),
)
def choose_text(
    a: Text | None,
    b: Text | None,
    c: Text | None,
    d: Text | None,
    index: Annotated[int, Range(1, len(_LETTERS))] = 1,
) -> Annotated[Text, Output("value")]:
    """Let one of several texts through: prompts to compare, solvers to try.

    a: The text of index 1.
    b: The text of index 2.
    c: The text of index 3.
    d: The text of index 4.
    index: Which of them: 1 for a, 2 for b, 3 for c, 4 for d.
    value: The text that was chosen.
    """
    return Text(_chosen((a, b, c, d), index).value)


def _chosen(given: tuple[C | None, ...], index: int) -> C:
    chosen = given[index - 1]
    if chosen is None:
        raise _not_linked(_LETTERS[index - 1], f"index {index}")
    return chosen
