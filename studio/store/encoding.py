"""Values taken apart into a JSON document and numbered arrays, put together again, and named by their content."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from studio.graph import Json, Value
from studio.store.arrays import TAKEN, Array, Body, special_strides

if TYPE_CHECKING:
    from torch import Tensor

Entry = Mapping[str, Value]
"""What a key names: values by output name."""
_Path = tuple["_Path", str] | None
"""Where in a value: the way down, innermost last."""


@dataclass
class Encoder:
    """Takes values apart: ``arrays`` by reference, the rest as JSON. Floats are written as hexadecimal."""

    arrays: list[Array] = field(default_factory=list)
    has_moved: bool = False
    """A tensor was copied from another device."""

    def entry(self, entry: Entry) -> Json:
        """Encode an entry, outputs in the order of their names."""
        document: dict[str, Json] = {}
        for name in sorted(entry):
            if not isinstance(entry[name], Value):
                raise _refusal(entry[name], (None, name))
            document[name] = self._encode(entry[name], (None, name))
        return document

    def _encode(self, item: object, path: _Path) -> Json:
        """Encode anything; JSON objects are tags, so that list, tuple and dict stay apart."""
        if item is None or item is True or item is False:
            return item
        kind = type(item)
        if kind is str:
            return str(item)
        if isinstance(item, int) and kind is int:
            # decimal digits of unlimited length are refused by Python itself
            return item if -(2**63) <= item < 2**63 else {"int": hex(item)}
        if isinstance(item, float) and kind is float:
            return _float(item)
        if isinstance(item, list) and kind is list:
            return self._items(item, path)
        if isinstance(item, bytes):
            return self._add(Array("bytes", "", (len(item),), bytes(item)))
        return self._container(item, path)

    def _container(self, item: object, path: _Path) -> Json:
        kind = type(item)
        if isinstance(item, tuple) and (kind is tuple or kind.__module__ == "torch"):
            return {"tuple": self._items(item, path)}
        if isinstance(item, dict | OrderedDict | MappingProxyType):
            return {
                "dict": [
                    [self._encode(key, (path, "key")), self._encode(value, (path, f"[{key!r}]"))]
                    for key, value in item.items()
                ]
            }
        if isinstance(item, frozenset):
            count = len(self.arrays)
            members = self._items(item, path)
            if len(self.arrays) > count:
                # they are numbered in the order of iteration, which differs between processes
                raise TypeError(f"{_place(path)}: cannot store a frozenset of arrays or bytes")
            return {"frozenset": sorted(members, key=json.dumps)}
        if is_dataclass(item) and not isinstance(item, type) and _is_frozen(kind):
            parts = {
                part.name: self._encode(getattr(item, part.name), (path, f".{part.name}"))
                for part in fields(item)
                if part.init
            }
            return {"value": [kind.__module__, kind.__qualname__, parts]}
        return self._foreign(item, path)

    def _items(self, items: Iterable[object], path: _Path) -> list[Json]:
        return [self._encode(item, (path, f"[{index}]")) for index, item in enumerate(items)]

    def _foreign(self, item: object, path: _Path) -> Json:
        """Encode what belongs to torch or numpy, which are loaded if there is such a thing."""
        if "torch" in sys.modules:
            import torch

            if isinstance(item, torch.Tensor):
                return self._tensor(item, path)
        if "numpy" in sys.modules:
            import numpy as np

            if isinstance(item, np.generic):
                plain: object = item.item()
                if not isinstance(plain, np.generic):
                    return self._encode(plain, path)
            elif isinstance(item, np.ndarray) and item.dtype.kind in "biufcSU":
                return self._add(Array("ndarray", item.dtype.str, item.shape, item.tobytes()))
        if isinstance(item, complex) and type(item) is complex:
            return {"complex": [_float(item.real), _float(item.imag)]}
        raise _refusal(item, path)

    def _tensor(self, tensor: Tensor, path: _Path) -> Json:
        import torch

        dtype = str(tensor.dtype).removeprefix("torch.")
        if tensor.layout is not torch.strided or dtype not in TAKEN or tensor.device.type == "meta":
            raise _refusal(tensor, path)
        tensor = tensor.detach().resolve_conj().resolve_neg()
        if tensor.device.type != "cpu":
            tensor = tensor.cpu()
            self.has_moved = True
        return self._add(
            Array("tensor", dtype, tuple(tensor.shape), tensor, special_strides(tensor))
        )

    def _add(self, array: Array) -> Json:
        self.arrays.append(array)
        return {"array": len(self.arrays) - 1}


def _place(path: _Path) -> str:
    parts: list[str] = []
    while path is not None:
        path, part = path
        parts.append(part)
    return "".join(reversed(parts))


def _refusal(item: object, path: _Path) -> TypeError:
    kind = type(item)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return TypeError(f"{_place(path)}: cannot store a {name}")


def _float(number: float) -> Json:
    if math.isnan(number):
        return {"nan": struct.pack(">d", number).hex()}
    return {"float": number.hex()}


def _is_frozen(kind: type) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    return bool(getattr(parameters, "frozen", False))


def _classes() -> Iterator[type[Value]]:
    pending: list[type[Value]] = [Value]
    while pending:
        kind = pending.pop()
        yield kind
        pending.extend(kind.__subclasses__())


def _class(module: str, name: str) -> type:
    """Return the loaded class of that name, or the only Value of that name elsewhere (it may have moved).

    Raises LookupError if there is none: nothing is imported for the sake of a file.
    """
    values = [kind for kind in _classes() if kind.__qualname__ == name]
    exact = [kind for kind in values if kind.__module__ == module]
    if len(exact or values) == 1:
        return (exact or values)[0]
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and is_dataclass(found) and _is_frozen(found):
        return found
    raise LookupError(f"{module}.{name} is not loaded")


def _decode(item: Json, arrays: Sequence[object] | Mapping[int, object]) -> object:
    """Rebuild what ``Encoder._encode`` took apart; raises LookupError for unknown classes."""
    if isinstance(item, list):
        return [_decode(part, arrays) for part in item]
    if not isinstance(item, dict):
        return item
    ((tag, content),) = item.items()
    if tag == "array" and isinstance(content, int):
        return arrays[content]
    if isinstance(content, str):
        return _decode_number(tag, content)
    if not isinstance(content, list):
        raise LookupError(f"unknown tag {tag}")
    if tag == "value":
        return _decode_value(content, arrays)
    items = [_decode(part, arrays) for part in content]
    if tag == "tuple":
        return tuple(items)
    if tag == "frozenset":
        return frozenset(items)
    if tag == "dict":
        return {pair[0]: pair[1] for pair in items if isinstance(pair, list)}
    if tag == "complex" and isinstance(items[0], float) and isinstance(items[1], float):
        return complex(items[0], items[1])
    raise LookupError(f"unknown tag {tag}")


def _decode_number(tag: str, content: str) -> int | float:
    if tag == "int":
        return int(content, 16)
    if tag == "float":
        return float.fromhex(content)
    if tag == "nan":
        number: float = struct.unpack(">d", bytes.fromhex(content))[0]
        return number
    raise LookupError(f"unknown tag {tag}")


def _decode_value(content: list[Json], arrays: Sequence[object] | Mapping[int, object]) -> object:
    module, name, parts = content
    if not (isinstance(module, str) and isinstance(name, str) and isinstance(parts, dict)):
        raise LookupError("not the name of a class")
    kind = _class(module, name)
    if {part.name for part in fields(kind) if part.init} != set(parts):
        raise LookupError(f"{module}.{name} has other fields now")
    return kind(**{part: _decode(item, arrays) for part, item in parts.items()})


def decode_entry(outputs: Json, arrays: Sequence[object]) -> dict[str, Value]:
    """Rebuild what ``Encoder.entry`` took apart; raises LookupError for classes that are not loaded or have changed."""
    entry: dict[str, Value] = {}
    for name, item in outputs.items() if isinstance(outputs, dict) else ():
        value = _decode(item, arrays)
        if not isinstance(value, Value):
            raise LookupError(f"{name} is not a value")
        entry[name] = value
    return entry


def find_part(outputs: Json, path: Sequence[str]) -> Json:
    """What stands at a path of an encoded entry: an output, then fields of values and keys of dicts, still encoded.

    Raises LookupError if there is no such thing.
    """
    place = outputs[path[0]] if isinstance(outputs, dict) else None
    for name in path[1:]:
        match place:
            case {"value": [_, _, dict(parts)]}:
                place = parts[name]
            case {"dict": list(pairs)}:
                place = {str(pair[0]): pair[1] for pair in pairs if isinstance(pair, list)}[name]
            case _:
                raise LookupError(f"{name} is in no value and no dict")
    return place


def decode_part(item: Json, read: Callable[[int], object]) -> object:
    """Rebuild a part; ``read`` gives the arrays that it needs. Raises LookupError for classes that are not loaded."""
    return _decode(item, {number: read(number) for number in _arrays_of(item)})


def _arrays_of(item: Json) -> Iterator[int]:
    if isinstance(item, dict):
        for tag, content in item.items():
            if tag == "array" and isinstance(content, int):
                yield content
            else:
                yield from _arrays_of(content)
    elif isinstance(item, list):
        for part in item:
            yield from _arrays_of(part)


def compose_document(outputs: Json, arrays: Sequence[Array], bodies: Sequence[Body]) -> str:
    """Write an encoded entry as ASCII text, without the bytes of its arrays and without their layout."""
    specs = [
        [array.kind, array.dtype, list(array.shape), body.nbytes]
        for array, (body, _) in zip(arrays, bodies, strict=True)
    ]
    return json.dumps({"arrays": specs, "outputs": outputs}, separators=(",", ":"))


def fingerprint(document: str, bodies: Iterable[Body]) -> str:
    """blake2b-128 of a document and the bytes of its arrays, whose lengths the document gives."""
    digest = hashlib.blake2b(document.encode("ascii"), digest_size=16)
    for body, _ in bodies:
        digest.update(body)
    return digest.hexdigest()
