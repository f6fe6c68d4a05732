"""Arithmetic as it is typed into a number field or an arithmetic node: exact, and nothing but arithmetic."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from types import MappingProxyType

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


_FUNCTIONS: Mapping[str, Callable[..., Fraction]] = {
    "abs": abs,
    "ceil": lambda value: Fraction(math.ceil(value)),
    "floor": lambda value: Fraction(math.floor(value)),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "round": lambda value: Fraction(rounded(value)),
}
_NO_NAMES: Mapping[str, Fraction] = MappingProxyType({})


def rounded(value: Fraction) -> int:
    """The nearest whole number; a half goes up."""
    return math.floor(value + Fraction(1, 2))


def evaluate(text: str, names: Mapping[str, Fraction] = _NO_NAMES) -> Fraction:
    """The exact value of ``512*2``, ``1/3``, ``2**63 - 1``, ``round(500/8) * 8`` or, with ``names``, ``a*2 + 1``.

    Numbers, names, brackets, ``+ - * / // % **`` (with whole exponents), abs, ceil, floor, max, min and round are
    known. Raises ValueError with a message for the user for anything else, and for a division by zero.
    """
    text = text.strip()
    if not text:
        raise ValueError("there is no number")
    if len(text) > _MAX_LENGTH:
        raise ValueError("this is too long for a number")
    if "," in text and "(" not in text:
        raise ValueError("write decimals with a point")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns of digits that run into letters
            tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f'"{text}" is not a number') from error
    try:
        return _value(tree.body, text, names)
    except ZeroDivisionError as error:
        raise ValueError("this divides by zero") from error
    except RecursionError as error:
        raise ValueError("this is too deep for a number") from error


def _value(node: ast.expr, text: str, names: Mapping[str, Fraction]) -> Fraction:
    match node:
        case ast.Constant():
            return _number(ast.get_source_segment(text, node) or "", node.value)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, text, names)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, text, names)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, text, names), _value(right, text, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, text, names), _value(right, text, names))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _called(name, [_value(argument, text, names) for argument in arguments])
        case ast.Tuple():
            raise ValueError("write decimals with a point")
    known = f"{', '.join(sorted(names))}, " if names else ""
    raise ValueError(
        f"only {known}numbers, brackets, + - * / // % ** and {', '.join(_FUNCTIONS)} are known here"
    )


def _called(name: str, values: list[Fraction]) -> Fraction:
    is_several = name in ("max", "min")
    if not values or (len(values) > 1 and not is_several):
        raise ValueError(f"{name} takes {'numbers' if is_several else 'one number'}")
    return _FUNCTIONS[name](*values)


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
