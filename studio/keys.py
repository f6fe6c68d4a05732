"""Content addresses: blake2b over a type-tagged canonical encoding of plain data and descriptions."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

from studio.graph import Key, Ref

DIGEST_BYTES = 20


def digest(document: object) -> Key:
    """Return the key of a document: 40 hexadecimal digits.

    Documents are None, bool, int, float, str, bytes, lists and tuples (alike), mappings with str keys (in any
    order), ``Ref`` and frozen dataclasses of these; a dataclass may narrow itself to what counts by
    ``__key__() -> document``.
    ``1``, ``1.0``, ``"1"`` and ``True`` have different keys, and so do ``0.0`` and ``-0.0``.

    Raises TypeError naming the place of what cannot be hashed.
    """
    parts: list[str] = []
    _encode(document, parts.append, "document")
    text = "".join(parts).encode("utf-8", "surrogatepass")
    return Key(hashlib.blake2b(text, digest_size=DIGEST_BYTES).hexdigest())


def _encode(value: object, emit: Callable[[str], None], where: str) -> None:  # noqa: C901 - one case per type
    kind = type(value)
    if kind is str:
        emit(f"s{len(value)}:{value}")  # type: ignore[arg-type]  # a str
    elif kind is int:
        emit(f"i{value};")
    elif kind is float:
        emit(f"f{value.hex()};")  # type: ignore[attr-defined]  # a float
    elif value is None:
        emit("n")
    elif kind is bool:
        emit("T" if value else "F")
    elif isinstance(value, Ref):
        emit(f"r{value.key}.{value.output};")
    elif isinstance(value, Mapping):
        emit("{")
        for name in sorted(value):
            if type(name) is not str:
                raise TypeError(f"{where} has the key {name!r}, which is not text")
            emit(f"{len(name)}:{name}")
            _encode(value[name], emit, f"{where}.{name}")
        emit("}")
    elif isinstance(value, list | tuple):
        emit("[")
        for index, item in enumerate(value):
            _encode(item, emit, f"{where}[{index}]")
        emit("]")
    elif kind is bytes:
        emit(f"b{value.hex()};")  # type: ignore[attr-defined]  # bytes
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        emit(f"d{kind.__qualname__}(")
        narrowed = getattr(value, "__key__", None)
        if narrowed is not None:
            _encode(narrowed(), emit, where)
        else:
            for field in dataclasses.fields(value):
                emit(f"{len(field.name)}:{field.name}")
                _encode(getattr(value, field.name), emit, f"{where}.{field.name}")
        emit(")")
    else:
        raise TypeError(f"{where} is a {kind.__qualname__}, which has no content address")
