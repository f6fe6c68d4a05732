"""JSON as text: read strictly, written canonically, whatever it means."""

from __future__ import annotations

import json
import math
import re

from studio.errors import FileError
from studio.graph import Json

Document = dict[str, Json]
MAX_DEPTH = 64
"""Nesting of lists and objects in a file, far below where any Python's parser gives up."""
LINE_LENGTH = 100
_INTEGERS = range(-(2**63), 2**64)
"""Those of 64 bits, with and without a sign."""


def parse(text: str) -> Json:
    """Read JSON, strictly: finite numbers, 64-bit integers, no key twice, sound text, limited depth.

    Raises FileError with the line and column where they are known.
    """
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_object_of,
            parse_constant=_refused_constant,
            parse_int=_exact,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise FileError(
            f"is not JSON: {error.msg}", where=f"line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    _check_sound(value)
    return value


def _object_of(pairs: list[tuple[str, Json]]) -> Document:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FileError(
                    f"an object has the key {shown(key)} twice", remedy="remove one of them"
                )
            seen.add(key)
    return found


def _refused_constant(word: str) -> Json:
    raise FileError(f"{word} is not a number that JSON knows", remedy="write a finite number")


def _exact(digits: str) -> int:
    # length first: int() of many digits takes quadratic time
    number = int(digits) if len(digits) <= 20 else _INTEGERS.stop
    if number not in _INTEGERS:
        raise FileError(f"{shown(digits)} does not fit into 64 bits")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise FileError(f"{shown(digits)} is too large a number")
    return number


def _too_deep() -> FileError:
    return FileError(f"is nested more than {MAX_DEPTH} levels deep")


_SURROGATE = re.compile("[\ud800-\udfff]")


def is_sound(text: str) -> bool:
    """Tell whether a text has no lone surrogate, which UTF-8 cannot hold."""
    return not _SURROGATE.search(text)


def _check_sound(value: Json, depth: int = 0) -> None:
    """Raise FileError for a text, or a nesting, that no file can hold."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, str):
        if not is_sound(value):
            raise FileError(f"{value[:60]!a} holds half a character (a lone surrogate)")
    elif isinstance(value, list):
        for entry in value:
            _check_sound(entry, depth + 1)
    elif isinstance(value, dict):
        for key, entry in value.items():
            _check_sound(key, depth)
            _check_sound(entry, depth + 1)


def shown(value: object) -> str:
    """Spell a value for a message, in 60 characters at most."""
    if isinstance(value, dict | list) and value:
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value) if isinstance(value, str) and not is_sound(value) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def written(document: Document) -> str:
    """Write a document canonically, with a line end.

    Sorted keys, two-space indent, a line for each key; a list without objects in it stands on one line where it fits.
    Raises FileError for what ``parse`` would refuse, such as NaN.
    """
    _check_sound(document)
    return _written(document, "", 0, "") + "\n"


def _written(value: Json, indent: str, used: int, where: str) -> str:
    """One value; ``used`` columns of its first line are taken already."""
    if isinstance(value, dict) and value:
        deeper = indent + "  "
        lines = []
        for key in sorted(value):
            name = f"{deeper}{_scalar(key, where)}: "
            lines.append(name + _written(value[key], deeper, len(name), f"{where}.{key}"))
        return "{\n" + ",\n".join(lines) + "\n" + indent + "}"
    if isinstance(value, list) and value:
        room = LINE_LENGTH - used - 1
        line = _on_one_line(value, where, room)
        if line is not None and len(line) <= room:
            return line
        deeper = indent + "  "
        entries = (deeper + _written(entry, deeper, len(deeper), where) for entry in value)
        return "[\n" + ",\n".join(entries) + "\n" + indent + "]"
    return _scalar(value, where)


def _on_one_line(value: Json, where: str, room: int) -> str | None:
    """A list without objects as one line; None if it holds any, or cannot fit into ``room`` columns."""
    if isinstance(value, list):
        if 3 * len(value) > room:
            return None
        parts = [_on_one_line(entry, where, room) for entry in value]
        whole = [part for part in parts if part is not None]
        return f"[{', '.join(whole)}]" if len(whole) == len(parts) else None
    return None if isinstance(value, dict) and value else _scalar(value, where)


def _scalar(value: Json, where: str) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FileError(
                f"{value} cannot be saved", where=where.lstrip("."), remedy="use a finite number"
            )
        return repr(value)
    if isinstance(value, int) and value not in _INTEGERS:
        raise FileError(
            "an integer beyond 64 bits cannot be saved",
            where=where.lstrip("."),
            remedy="use one that fits, or a number with a point",
        )
    return json.dumps(value, ensure_ascii=False)
