"""Arithmetic as it is typed into a number field: exact, and nothing but arithmetic."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction

_MAX_LENGTH = 200
_MAX_POWER = 128
_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda left, right: Fraction(left // right),
    ast.Mod: operator.mod,
}


def evaluate(text: str) -> Fraction:
    """The exact value of ``512*2``, ``1/3``, ``2**63 - 1`` or ``(3 + 4) * 1e-2``.

    Numbers, brackets, and ``+ - * / // % **`` (with whole exponents) are known. Raises ValueError with a message for
    the user for anything else, and for a division by zero.
    """
    text = text.strip()
    if not text:
        raise ValueError("there is no number")
    if len(text) > _MAX_LENGTH:
        raise ValueError("this is too long for a number")
    if "," in text:
        raise ValueError("write decimals with a point")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns of digits that run into letters
            tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f'"{text}" is not a number') from error
    try:
        return _value(tree.body, text)
    except ZeroDivisionError as error:
        raise ValueError("this divides by zero") from error
    except RecursionError as error:
        raise ValueError("this is too deep for a number") from error


def _value(node: ast.expr, text: str) -> Fraction:
    match node:
        case ast.Constant():
            return _number(ast.get_source_segment(text, node) or "", node.value)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, text)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, text)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, text), _value(right, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, text), _value(right, text))
    raise ValueError("only numbers, brackets and + - * / // % ** are known here")


def _number(source: str, value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{source} is not a number")
    if isinstance(value, int):
        return Fraction(value)
    try:
        # from the digits, not from the float: 0.1 + 0.2 is 0.3
        number = Decimal(source)
    except InvalidOperation as error:
        raise ValueError(f"{source} is not a number") from error
    if abs(number.adjusted()) > 400:
        raise ValueError(f"{source} is out of bounds")
    return Fraction(number)


def _power(left: Fraction, right: Fraction) -> Fraction:
    is_large = max(abs(left.numerator), left.denominator).bit_length() > 256
    if right.denominator != 1 or abs(right) > _MAX_POWER or is_large:
        raise ValueError(f"exponents are whole numbers up to {_MAX_POWER}")
    return Fraction(left ** int(right))
