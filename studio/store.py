"""The result store: key -> values, in memory over one safetensors file per entry on disk, capped in size.

The file system is the truth: an entry exists if its file does, and a file is believed only if its checksum holds.
SQLite keeps accounts (size, kind, last use) and is rebuilt from the files when it is lost. Layout of a tier::

    FOLDER/CACHEDIR.TAG
    FOLDER/index.sqlite
    FOLDER/entries/KE/KEY.safetensors       arrays by number; document, layout and checksum in the metadata
    FOLDER/tmp/                             files being written, moved into place when complete
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import math
import os
import re
import secrets
import sqlite3
import struct
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from io import FileIO
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Self

from studio.facts import Database
from studio.graph import Json, Key, Value

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["result", "state"]
Entry = Mapping[str, Value]
"""What a key names: values by output name."""

_KEY = re.compile(r"[0-9A-Za-z_-]{2,128}\Z")
_SUFFIX = ".safetensors"
_FORMAT = "1"
_RESULT_WAIT_S = 2.0
_EXIT_WAIT_S = 30.0
_FRESH_NS = 10 * 10**9
_ABANDONED_NS = 24 * 3600 * 10**9
_STALE_NS = 3600 * 10**9
_RECOUNT_S = 60.0
_FULL = 0.9
"""Share of the cap that eviction leaves, so that it is rare."""
_OVERHEAD_BYTES = 256
"""What an entry costs in memory beside its arrays."""


@dataclass(frozen=True)
class Stats:
    """What a store holds."""

    folder: Path | None
    entries: int
    """On disk: ``states`` + ``results``."""
    states: int
    results: int
    disk_bytes: int
    memory_entries: int = 0
    memory_bytes: int = 0
    pending: int = 0
    """Entries on their way to the disk."""
    dropped: int = 0
    """States that were kept off the disk because newer ones arrived faster than they could be written."""
    problem: str | None = None


# --- encoding: values <-> a JSON document and numbered arrays

# fmt: off
_NATIVE = frozenset({
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
    "bfloat16", "complex64", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
})
# fmt: on
"""torch dtypes that safetensors names alike; the rest of those we take are stored as plain bytes."""
_TAKEN = _NATIVE | {"complex32", "complex128"}

_Path = tuple["_Path", str] | None
"""Where in a value: the way down, innermost last."""


_Body = tuple[memoryview, int]
"""The bytes of an array and their address, which is valid as long as the view lives."""


@dataclass(frozen=True)
class _Array:
    """The content of one array: ``data`` is a tensor on the CPU for kind "tensor", else raw bytes."""

    kind: Literal["tensor", "ndarray", "bytes"]
    dtype: str
    """torch's name of it, numpy's (``<f4``), or nothing."""
    shape: tuple[int, ...]
    data: Tensor | bytes
    strides: tuple[int, ...] | None = None
    """In elements, where they are not those of C order."""

    @property
    def nbytes(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else self.data.nbytes

    def restored(self) -> object:
        """What it was taken from: a tensor (now on the CPU), a numpy array or bytes."""
        if self.kind == "ndarray" and isinstance(self.data, bytes):
            return _ndarray(self.data, self.dtype, self.shape)
        return self.data

    def raw(self) -> _Body:
        """Its bytes in C order."""
        if isinstance(self.data, bytes):
            address = ctypes.cast(ctypes.c_char_p(self.data), ctypes.c_void_p).value
            return memoryview(self.data), address or 0
        import torch

        # not reshape(-1): a single element, or none, keeps a stride that refuses the view as bytes
        flat = self.data.contiguous().as_strided((self.data.numel(),), (1,)).view(torch.uint8)
        return flat.numpy().data, flat.data_ptr()


@dataclass
class _Encoder:
    """Takes values apart: ``arrays`` by reference, the rest as JSON. Floats are written as hexadecimal."""

    arrays: list[_Array] = field(default_factory=list)
    has_moved: bool = False
    """A tensor was copied from another device."""

    def entry(self, entry: Entry) -> Json:
        """Encode an entry, outputs in the order of their names."""
        document: dict[str, Json] = {}
        for name in sorted(entry):
            if not isinstance(entry[name], Value):
                raise _refusal(entry[name], (None, name))
            document[name] = self.encode(entry[name], (None, name))
        return document

    def encode(self, item: object, path: _Path) -> Json:
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
            return self._add(_Array("bytes", "", (len(item),), bytes(item)))
        return self._container(item, path)

    def _container(self, item: object, path: _Path) -> Json:
        kind = type(item)
        if isinstance(item, tuple) and (kind is tuple or kind.__module__ == "torch"):
            return {"tuple": self._items(item, path)}
        if isinstance(item, dict | OrderedDict | MappingProxyType):
            return {
                "dict": [
                    [self.encode(key, (path, "key")), self.encode(value, (path, f"[{key!r}]"))]
                    for key, value in item.items()
                ]
            }
        if isinstance(item, frozenset):
            members = self._items(item, path)
            return {"frozenset": sorted(members, key=json.dumps)}
        if is_dataclass(item) and not isinstance(item, type) and _is_frozen(kind):
            parts = {
                part.name: self.encode(getattr(item, part.name), (path, f".{part.name}"))
                for part in fields(item)
                if part.init
            }
            return {"value": [kind.__module__, kind.__qualname__, parts]}
        return self._foreign(item, path)

    def _items(self, items: Iterable[object], path: _Path) -> list[Json]:
        return [self.encode(item, (path, f"[{index}]")) for index, item in enumerate(items)]

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
                    return self.encode(plain, path)
            elif isinstance(item, np.ndarray) and item.dtype.kind in "biufcSU":
                return self._add(_Array("ndarray", item.dtype.str, item.shape, item.tobytes()))
        if isinstance(item, complex) and type(item) is complex:
            return {"complex": [_float(item.real), _float(item.imag)]}
        raise _refusal(item, path)

    def _tensor(self, tensor: Tensor, path: _Path) -> Json:
        import torch

        dtype = str(tensor.dtype).removeprefix("torch.")
        if (
            tensor.layout is not torch.strided
            or dtype not in _TAKEN
            or tensor.device.type == "meta"
        ):
            raise _refusal(tensor, path)
        tensor = tensor.detach().resolve_conj().resolve_neg()
        if tensor.device.type != "cpu":
            tensor = tensor.cpu()
            self.has_moved = True
        return self._add(
            _Array("tensor", dtype, tuple(tensor.shape), tensor, _special_strides(tensor))
        )

    def _add(self, array: _Array) -> Json:
        self.arrays.append(array)
        return {"array": len(self.arrays) - 1}


def _refusal(item: object, path: _Path) -> TypeError:
    parts: list[str] = []
    while path is not None:
        path, part = path
        parts.append(part)
    kind = type(item)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return TypeError(f"{''.join(reversed(parts))}: cannot store a {name}")


def _float(number: float) -> Json:
    if math.isnan(number):
        return {"nan": struct.pack(">d", number).hex()}
    return {"float": number.hex()}


def _is_frozen(kind: type) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    return bool(getattr(parameters, "frozen", False))


def _special_strides(tensor: Tensor) -> tuple[int, ...] | None:
    """Strides worth restoring, because kernels choose their order of summation by them; None for C order.

    Kept for permuted (channels last), sliced and expanded tensors; not where elements overlap in other ways or lie so
    far apart that the copy would be mostly holes.
    """
    shape, strides = tuple(tensor.shape), tuple(tensor.stride())
    plain, step = [1] * len(shape), 1
    for axis in range(len(shape) - 1, -1, -1):
        plain[axis], step = step, step * max(shape[axis], 1)
    if strides == tuple(plain) or tensor.numel() == 0:
        return None
    reach, distinct = 0, 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1 and stride > 0:
            if stride <= reach:
                return None
            reach += stride * (size - 1)
            distinct *= size
    return strides if reach + 1 <= 4 * distinct else None


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


def _decode(item: Json, arrays: Sequence[object]) -> object:
    """Rebuild what ``_Encoder.encode`` took apart; raises LookupError for unknown classes."""
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


def _decode_value(content: list[Json], arrays: Sequence[object]) -> object:
    module, name, parts = content
    if not (isinstance(module, str) and isinstance(name, str) and isinstance(parts, dict)):
        raise LookupError("not the name of a class")
    kind = _class(module, name)
    if {part.name for part in fields(kind) if part.init} != set(parts):
        raise LookupError(f"{module}.{name} has other fields now")
    return kind(**{part: _decode(item, arrays) for part, item in parts.items()})


def _decode_entry(outputs: Json, arrays: Sequence[object]) -> dict[str, Value]:
    entry: dict[str, Value] = {}
    for name, item in outputs.items() if isinstance(outputs, dict) else ():
        value = _decode(item, arrays)
        if not isinstance(value, Value):
            raise LookupError(f"{name} is not a value")
        entry[name] = value
    return entry


def _document(outputs: Json, arrays: Sequence[_Array], bodies: Sequence[_Body]) -> str:
    specs = [
        [array.kind, array.dtype, list(array.shape), body.nbytes]
        for array, (body, _) in zip(arrays, bodies, strict=True)
    ]
    return json.dumps({"arrays": specs, "outputs": outputs}, separators=(",", ":"))


def _fingerprint(document: str, bodies: Iterable[_Body]) -> str:
    """blake2b-128 of a document and the bytes of its arrays, whose lengths the document gives."""
    digest = hashlib.blake2b(document.encode("ascii"), digest_size=16)
    for body, _ in bodies:
        digest.update(body)
    return digest.hexdigest()


def _footprint(arrays: Iterable[object]) -> int:
    """Bytes that arrays hold in memory: whole storages, each once."""
    storages: dict[int, int] = {}
    size = _OVERHEAD_BYTES
    for array in arrays:
        if isinstance(array, bytes):
            size += len(array)
        elif hasattr(array, "untyped_storage"):
            storage = array.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        else:
            size += int(getattr(array, "nbytes", 0))
    return size + sum(storages.values())


# --- files


class _Damaged(Exception):
    """A file that is not, or no longer, what a store wrote."""


@dataclass(frozen=True)
class _Header:
    """The checked head of a file."""

    kind: Kind
    fingerprint: str
    document: str
    outputs: Json
    specs: list[tuple[str, str, list[int], int]]
    """Kind, dtype, shape and length in bytes of each array."""
    layout: list[list[int] | None]
    starts: list[int]
    """First byte of each array in the file."""


def _seal(metadata: Mapping[str, str]) -> str:
    """The checksum of everything in the metadata but itself."""
    text = json.dumps({name: metadata[name] for name in sorted(metadata) if name != "checksum"})
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _write_file(path: Path, key: Key, kind: Kind, outputs: Json, arrays: Sequence[_Array]) -> str:
    """Write an entry and return its fingerprint; raises OSError or SafetensorError."""
    from safetensors import TensorSpec, serialize_file

    bodies = [array.raw() for array in arrays]
    document = _document(outputs, arrays, bodies)
    metadata = {
        "format": _FORMAT,
        "key": key,
        "kind": kind,
        "document": document,
        "layout": json.dumps([array.strides for array in arrays]),
        "fingerprint": _fingerprint(document, bodies),
    }
    metadata["checksum"] = _seal(metadata)
    specs: dict[str, TensorSpec] = {}
    for number, (array, (body, address)) in enumerate(zip(arrays, bodies, strict=True)):
        if body.nbytes:
            is_native = array.kind == "tensor" and array.dtype in _NATIVE
            specs[str(number)] = TensorSpec(
                dtype=array.dtype if is_native else "uint8",
                shape=array.shape if is_native else (body.nbytes,),
                data_ptr=address,
                data_len=body.nbytes,
            )
    # safetensors takes addresses: ``bodies`` keeps what they point to alive until here
    serialize_file(specs, path, metadata)
    return metadata["fingerprint"]


def _read_header(file: FileIO, key: str) -> _Header:
    """Read and check the head of a file; raises _Damaged if it is not the sound head of this key's entry."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= size - 8:
        raise _Damaged("cut off")
    try:
        head = json.loads(file.read(length).decode("utf-8"))
        metadata = head["__metadata__"]
        if metadata["checksum"] != _seal(metadata) or metadata["key"] != key:
            raise _Damaged("head does not match its checksum")
        if metadata["format"] != _FORMAT:
            raise _Damaged("of another format")
        # from here on the metadata are what we wrote; only the offsets may still be wrong
        document = json.loads(metadata["document"])
        starts: list[int] = []
        for number, (*_, wanted) in enumerate(document["arrays"]):
            begin, end = head[str(number)]["data_offsets"] if wanted else (0, 0)
            if not (0 <= begin <= end <= size - 8 - length and end - begin == wanted):
                raise _Damaged("cut off")
            starts.append(8 + length + begin)
        return _Header(
            metadata["kind"],
            metadata["fingerprint"],
            metadata["document"],
            document["outputs"],
            document["arrays"],
            json.loads(metadata["layout"]),
            starts,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _Damaged("head is no safetensors head of ours") from error


def _read_file(path: Path, key: str) -> tuple[_Header, list[object]]:
    """Read an entry into memory of its own.

    Returns the head and the arrays: tensors, bytes and numpy arrays. Raises OSError, and _Damaged if a checksum fails.
    """
    with open(path, "rb", buffering=0) as file:
        header = _read_header(file, key)
        arrays: list[object] = []
        bodies: list[_Body] = []
        for spec, strides, start in zip(header.specs, header.layout, header.starts, strict=True):
            file.seek(start)
            array, body = _read_array(file, spec, strides)
            arrays.append(array)
            bodies.append((body, 0))
    if _fingerprint(header.document, bodies) != header.fingerprint:
        raise _Damaged("content does not match its checksum")
    return header, arrays


def _read_array(
    file: FileIO, spec: tuple[str, str, list[int], int], strides: list[int] | None
) -> tuple[object, memoryview]:
    kind, dtype, shape, nbytes = spec
    if kind == "tensor":
        return _read_tensor(file, dtype, shape, strides, nbytes)
    buffer = bytearray(nbytes)
    _fill(file, memoryview(buffer))
    body = memoryview(buffer)
    if kind == "bytes":
        return bytes(buffer), body
    return _ndarray(buffer, dtype, shape), body


def _read_tensor(
    file: FileIO, dtype_name: str, shape: list[int], strides: list[int] | None, nbytes: int
) -> tuple[Tensor, memoryview]:
    import torch

    dtype = getattr(torch, dtype_name)
    # a tensor made in inference mode could not be trained on by whoever reads it later; memory of torch's own
    # allocator is aligned as that of any computed tensor, which the order of summation may depend on
    with torch.inference_mode(mode=False):
        flat = torch.empty(nbytes, dtype=torch.uint8, device="cpu")
        body = flat.numpy().data
        _fill(file, body)
        tensor = flat.view(dtype).reshape(shape) if nbytes else torch.empty(shape, dtype=dtype)
        if strides is not None:
            # expanded axes (stride 0) hold one element, and are expanded again
            sizes = [size if stride else 1 for size, stride in zip(shape, strides, strict=True)]
            for axis, size in enumerate(sizes):
                tensor = tensor.narrow(axis, 0, size)
            placed = torch.empty_strided(sizes, strides, dtype=dtype, device="cpu")
            tensor = placed.copy_(tensor).expand(shape)
    return tensor, body


def _ndarray(buffer: bytes | bytearray, dtype: str, shape: Sequence[int]) -> object:
    import numpy as np

    # not frombuffer, which refuses what is empty
    return np.ndarray(tuple(shape), np.dtype(dtype), buffer).copy()


def _fill(file: FileIO, body: memoryview) -> None:
    done = 0
    while done < body.nbytes:
        got = file.readinto(body[done:])
        if not got:
            raise _Damaged("cut off")
        done += got


# --- the disk tier


@dataclass
class _Account:
    """What the index knows of a file."""

    size: int
    kind: Kind
    used_ns: int


class _Disk:
    """One tier folder: files, and their accounts in SQLite."""

    def __init__(self, folder: Path, cap_bytes: int, root: Path | None) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._cap_bytes = cap_bytes
        self._root = root
        self._entries = str(folder / "entries")
        self._scratch = folder / "tmp"
        self._index = Database(
            folder / "index.sqlite",
            application=0x456D6C73,
            version=1,
            schema="CREATE TABLE entries (key TEXT PRIMARY KEY, size INTEGER NOT NULL, "
            "kind TEXT NOT NULL, used_ns INTEGER NOT NULL) WITHOUT ROWID",
            synchronous="OFF",
        )
        self._unreadable: set[str] = set()
        self._touched: dict[str, int] = {}
        self._names = count()
        self._token = secrets.token_hex(4)
        self._total_bytes: int | None = None
        self._counted_s = 0.0
        self._is_prepared = False

    # files

    def path(self, key: str) -> str:
        return f"{self._entries}{os.sep}{key[:2]}{os.sep}{key}{_SUFFIX}"

    def __contains__(self, key: str) -> bool:
        return os.access(self.path(key), os.F_OK) and key not in self._unreadable

    def read(self, key: Key) -> tuple[_Header, list[object], dict[str, Value]] | None:
        """Read an entry; a damaged file is removed, one of unknown classes is passed over from now on."""
        if key in self._unreadable:
            return None
        try:
            header, arrays = _read_file(Path(self.path(key)), key)
            return header, arrays, _decode_entry(header.outputs, arrays)
        except FileNotFoundError:
            pass
        except _Damaged:
            self.discard(key)
        except (OSError, LookupError, TypeError, ValueError):
            # TypeError, ValueError: a class that refuses what it once held
            self._unreadable.add(key)
        return None

    def header(self, key: Key) -> _Header | None:
        try:
            with open(self.path(key), "rb", buffering=0) as file:
                return _read_header(file, key)
        except (OSError, _Damaged):
            return None

    def discard(self, key: str) -> bool:
        """Remove a file that is not worth keeping; returns whether it is gone."""
        try:
            os.unlink(self.path(key))
        except FileNotFoundError:
            pass
        except OSError:
            self._unreadable.add(key)
            return False
        return True

    def write(self, key: Key, kind: Kind, outputs: Json, arrays: Sequence[_Array]) -> str | None:
        """Write an entry in place of any former one and return its fingerprint; None, and ``problem``, on failure."""
        from safetensors import SafetensorError

        scratch = self._scratch / f"{os.getpid()}-{self._token}-{next(self._names)}{_SUFFIX}"
        try:
            if sum(array.nbytes for array in arrays) > self._cap_bytes:
                return None
            self._prepare()
            fingerprint = _write_file(scratch, key, kind, outputs, arrays)
            size = scratch.stat().st_size
            self._publish(scratch, key, _Account(size, kind, time.time_ns()))
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            self.problem = f"{self.folder}: {error}; new results are kept in memory only"
            return None
        self.problem = None
        self._unreadable.discard(key)
        self._grow(size)
        return fingerprint

    def _publish(self, scratch: Path, key: Key, account: _Account) -> None:
        # the account comes first: a file without one would escape the cap until the next scan
        self._record({key: account})
        target = self.path(key)
        try:
            os.replace(scratch, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(scratch, target)

    def _prepare(self) -> None:
        if self._is_prepared and self._scratch.is_dir():
            return
        self._scratch.mkdir(parents=True, exist_ok=True)
        os.makedirs(self._entries, exist_ok=True)
        tag = self.folder / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(
                "Signature: 8a477f597d28d172789f06886806bc55\n"
                "# Intermediate results of Emulsion; safe to delete. https://bford.info/cachedir/\n"
            )
        self._sweep()
        self._is_prepared = True

    def _sweep(self) -> int:
        """Remove what killed processes were writing; returns the bytes freed."""
        oldest_ns = time.time_ns() - _STALE_NS
        freed = 0
        with contextlib.suppress(OSError), os.scandir(self._scratch) as found:
            for item in found:
                with contextlib.suppress(OSError):
                    status = item.stat()
                    if status.st_mtime_ns < oldest_ns:
                        os.unlink(item.path)
                        freed += status.st_size
        return freed

    # accounts

    def _record(self, accounts: Mapping[str, _Account]) -> None:
        rows = [(key, found.size, found.kind, found.used_ns) for key, found in accounts.items()]

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)

        self._index.run(insert, None, writes=True)

    def _forget(self, keys: Iterable[str]) -> None:
        rows = [(key,) for key in keys]

        def delete(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM entries WHERE key = ?", rows)

        if rows:
            self._index.run(delete, None, writes=True)

    def touch(self, key: str) -> None:
        self._touched[key] = time.time_ns()

    def settle(self) -> None:
        """Write down the last uses."""
        touched, self._touched = self._touched, {}
        rows = [(used_ns, key) for key, used_ns in touched.items()]

        def update(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE entries SET used_ns = ? WHERE key = ?", rows)

        if rows and self.exists():
            self._index.run(update, None, writes=True)

    def exists(self) -> bool:
        return os.path.isdir(self._entries)

    def accounts(self) -> dict[str, _Account]:
        """Every entry by its file, with the accounts mended to agree: files are the truth."""
        if not self.exists():
            return {}
        self.settle()
        no_rows: list[tuple[str, int, Kind, int]] = []
        rows = self._index.run(
            lambda connection: connection.execute("SELECT * FROM entries").fetchall(), no_rows
        )
        known = {key: _Account(size, kind, used_ns) for key, size, kind, used_ns in rows}
        found: dict[str, _Account] = {}
        changed: dict[str, _Account] = {}
        for key, size, changed_ns in self._files():
            account = known.get(key)
            if account is None or account.size != size:
                header = self.header(Key(key))
                if header is None:
                    self.discard(key)
                    continue
                used_ns = account.used_ns if account else changed_ns
                account = changed[key] = _Account(size, header.kind, used_ns)
            found[key] = account
        if changed:
            self._record(changed)
        # an account precedes its file by a moment
        settled_ns = time.time_ns() - _FRESH_NS
        self._forget(
            key
            for key, account in known.items()
            if key not in found and account.used_ns < settled_ns
        )
        self._index.is_fresh = False
        return found

    def _files(self) -> Iterator[tuple[str, int, int]]:
        with contextlib.suppress(OSError), os.scandir(self._entries) as shards:
            for shard in shards:
                with contextlib.suppress(OSError), os.scandir(shard.path) as files:
                    for file in files:
                        key = file.name.removesuffix(_SUFFIX)
                        if key == file.name or not _KEY.match(key):
                            continue
                        with contextlib.suppress(OSError):
                            status = file.stat(follow_symlinks=False)
                            yield key, status.st_size, status.st_mtime_ns

    # size

    def _tiers(self) -> list[_Disk]:
        """This tier and the others under the root, which share its cap."""
        others = tiers(self._root) if self._root else ()
        here = self.folder.resolve()
        return [self, *(_Disk(path, 0, None) for path in others if path.resolve() != here)]

    def _grow(self, size: int) -> None:
        """Count a new file, and evict when that is too much."""
        now_s = time.monotonic()
        if self._total_bytes is None or now_s - self._counted_s > _RECOUNT_S:
            # other processes write to the folder as well
            self._total_bytes = sum(tier.size() for tier in self._tiers())
            self._counted_s = now_s
        else:
            self._total_bytes += size
        if self._total_bytes > self._cap_bytes:
            self.evict(int(self._cap_bytes * _FULL))

    def size(self) -> int:
        """Bytes of all files by the accounts."""
        if not self.exists():
            return 0
        total = self._index.run(
            lambda connection: connection.execute("SELECT sum(size) FROM entries").fetchone()[0],
            None,
        )
        if total is None or self._index.is_fresh:
            return sum(account.size for account in self.accounts().values())
        return int(total)

    def evict(self, target_bytes: int) -> int:
        """Remove entries until no more than ``target_bytes`` are left under the root; returns the bytes freed.

        First go tiers that nobody has used for a day, then states, then results, each the least recently used first;
        what was used in the last seconds goes last.
        """
        now_ns = time.time_ns()
        total = 0
        order: list[tuple[tuple[int, int, int], int, _Disk, str]] = []
        for tier in self._tiers():
            accounts = tier.accounts()
            latest_ns = max((account.used_ns for account in accounts.values()), default=0)
            is_abandoned = tier is not self and latest_ns < now_ns - _ABANDONED_NS
            for key, account in accounts.items():
                total += account.size
                rank = 2 if account.kind == "result" else 1
                if is_abandoned:
                    place = (0, latest_ns, account.used_ns)
                elif account.used_ns > now_ns - _FRESH_NS:
                    place = (rank + 2, account.used_ns, 0)
                else:
                    place = (rank, account.used_ns, 0)
                order.append((place, account.size, tier, key))
        order.sort(key=lambda candidate: candidate[0])
        freed = 0
        gone: dict[_Disk, list[str]] = {}
        for _, size, tier, key in order:
            if total - freed <= target_bytes:
                break
            if tier.discard(key):
                freed += size
                gone.setdefault(tier, []).append(key)
        for tier, keys in gone.items():
            tier._forget(keys)
            if tier is not self:
                tier.close()
        self._total_bytes = total - freed
        self._counted_s = time.monotonic()
        return freed

    def prune(self, target_bytes: int | None) -> int:
        if target_bytes is None:
            held = sum(tier.size() for tier in self._tiers())
            target_bytes = int(self._cap_bytes * (1 if held <= self._cap_bytes else _FULL))
        return self._sweep() + self.evict(target_bytes)

    def clear(self) -> int:
        """Remove every entry; returns the bytes freed."""
        freed = 0
        gone: list[str] = []
        for key, size, _ in self._files():
            if self.discard(key):
                freed += size
                gone.append(key)
        if self.exists():
            self._forget(gone)
        self._unreadable.clear()
        self._total_bytes = None
        return freed

    def close(self) -> None:
        self.settle()
        self._index.close()


# --- the writer


@dataclass(eq=False)
class _Record:
    """An entry of this process."""

    value: Entry
    kind: Kind
    memory_bytes: int
    outputs: Json = None
    arrays: Sequence[_Array] | None = None
    """Kept until the entry is written."""
    fingerprint: str | None = None


class _Writer:
    """A thread that writes records: results in order, then the newest state, older states while there is time."""

    def __init__(self, disk: _Disk, pending: int) -> None:
        self.disk = disk
        self.dropped = 0
        self.pending: dict[Key, _Record] = {}
        """Not on disk yet: waiting or being written."""
        self._limit = max(pending, 1)
        self._waiting: dict[Kind, dict[Key, _Record]] = {"result": {}, "state": {}}
        self._is_writing = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, key: Key, record: _Record) -> None:
        with self._changed:
            if self._is_closed:
                return
            queue = self._waiting[record.kind]
            if record.kind == "state":
                if key not in queue and len(queue) >= self._limit:
                    oldest = next(iter(queue))
                    self._done(oldest, queue.pop(oldest))
                    self.dropped += 1
            else:
                # results are never dropped: a disk that hangs costs memory rather than pictures
                self._changed.wait_for(lambda: len(queue) < self._limit, _RESULT_WAIT_S)
            queue.pop(key, None)
            queue[key] = record
            self.pending[key] = record
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="studio-store", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout_s: float | None) -> bool:
        with self._changed:
            is_done = self._changed.wait_for(lambda: not self._is_busy(), timeout_s)
        self.disk.settle()
        return is_done

    def forget(self) -> None:
        """Drop what waits, and wait for what is being written."""
        with self._changed:
            for queue in self._waiting.values():
                queue.clear()
            self._changed.wait_for(lambda: not self._is_writing)
            self.pending.clear()
            self._changed.notify_all()

    def close(self, timeout_s: float | None) -> bool:
        is_done = self.flush(timeout_s)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if is_done:
            self.disk.close()
        return is_done

    def _is_busy(self) -> bool:
        return self._is_writing or any(self._waiting.values())

    def _done(self, key: Key, record: _Record) -> None:
        record.arrays = None
        record.outputs = None
        if self.pending.get(key) is record:
            del self.pending[key]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or any(self._waiting.values()))
                if not any(self._waiting.values()):
                    return
                results, states = self._waiting["result"], self._waiting["state"]
                if results:
                    key = next(iter(results))
                    record = results.pop(key)
                else:
                    key, record = states.popitem()
                self._is_writing = True
                outputs, arrays = record.outputs, record.arrays or ()
                self._changed.notify_all()
            try:
                fingerprint = self.disk.write(key, record.kind, outputs, arrays)
                record.fingerprint = fingerprint or record.fingerprint
            except (MemoryError, RuntimeError, ValueError) as error:
                # too large for a second copy in memory, or for the file format
                self.disk.problem = f"{self.disk.folder}: {error}; kept in memory only"
            finally:
                with self._changed:
                    self._is_writing = False
                    self._done(key, record)
                    self._changed.notify_all()


# --- the store


class Store:
    """Results by key: what was used last in memory, everything on disk up to a cap.

    Entries and what they hold are immutable by convention: neither whoever puts nor whoever gets one changes a tensor
    in place. No fault of the disk is raised; ``problem`` says why results stay in memory. Threads may share a store,
    and processes a folder.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        memory_bytes: int = 2**30,
        disk_bytes: int = 10 * 10**9,
        pending: int = 8,
        root: Path | None = None,
    ) -> None:
        """Name a tier; nothing is read or made yet.

        ``folder``: one per format, torch version and device kind; None: memory only. ``pending``: how many states,
        and how many results, may wait for the disk. ``root``: the folder whose tiers share the cap ``disk_bytes``.
        """
        self.folder = folder
        self._memory_bytes = memory_bytes
        self._disk_bytes = disk_bytes
        self._memory: OrderedDict[Key, _Record] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()
        self._writer = _Writer(_Disk(folder, disk_bytes, root), pending) if folder else None
        # also called at exit, while the writer thread still runs
        self._finish = (
            weakref.finalize(self, self._writer.close, _EXIT_WAIT_S) if self._writer else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def problem(self) -> str | None:
        """Why results do not reach the disk, in one line; None while they do."""
        return self._writer.disk.problem if self._writer else None

    def __contains__(self, key: object) -> bool:
        """Tell whether ``get`` would find an entry, without reading it."""
        if key in self._memory:
            return True
        writer = self._writer
        if writer is None or not isinstance(key, str) or not _KEY.match(key):
            return False
        return key in writer.pending or key in writer.disk

    def contains_many(self, keys: Iterable[Key]) -> set[Key]:
        """Return those of ``keys`` that are stored."""
        return {key for key in keys if key in self}

    def get(self, key: Key) -> Entry | None:
        """Return an entry, tensors on the CPU, or None.

        None as well for a file that is damaged (it is removed) or holds values of classes that are not loaded.
        """
        record = self._recall(key)
        return record.value if record else None

    def put(self, key: Key, entry: Entry, *, kind: Kind = "result") -> None:
        """Store an entry in place of any former one: in memory at once, on disk soon.

        Never waits for the disk with a "state": where too many wait, the oldest of them stays off the disk. A "result"
        may wait up to 2 s for room. Tensors are taken by reference, those of other devices copied to the CPU. An entry
        larger than the cap of memory or disk is not kept there. Subclasses of dict come back as dict, numpy scalars as
        Python numbers. Raises TypeError, naming the place, for what cannot be encoded.
        """
        if not _KEY.match(key):
            raise ValueError(f"{key!r} is not a key")
        encoder = _Encoder()
        try:
            outputs = encoder.entry(entry)
        except RecursionError as error:
            raise TypeError("nested too deeply, or within itself") from error
        value = dict(entry)
        if encoder.has_moved:
            # the memory of an accelerator is too precious for what may never be asked for again
            value = _decode_entry(outputs, [array.restored() for array in encoder.arrays])
        record = _Record(value, kind, _footprint(array.data for array in encoder.arrays))
        self._remember(key, record)
        if self._writer:
            record.outputs, record.arrays = outputs, encoder.arrays
            self._writer.put(key, record)

    def fingerprint(self, key: Key) -> str | None:
        """Return 32 hexadecimal digits that name an entry's content: equal exactly for bit-equal values.

        blake2b-128 over the bytes of the arrays with dtypes and shapes, names and plain data; not over memory layout.
        That of a file is taken from its checked head, without reading the arrays.
        """
        record = self._here(key)
        if record is None:
            header = self._writer.disk.header(key) if self._writer and key in self else None
            return header.fingerprint if header else None
        if record.fingerprint is None:
            encoder = _Encoder()
            outputs = encoder.entry(record.value)
            bodies = [array.raw() for array in encoder.arrays]
            document = _document(outputs, encoder.arrays, bodies)
            record.fingerprint = _fingerprint(document, bodies)
        return record.fingerprint

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until everything is on disk; returns False if ``timeout_s`` was not enough."""
        return self._writer.flush(timeout_s) if self._writer else True

    def close(self) -> None:
        """Flush and stop writing. What is stored can still be read; what is put later stays in memory."""
        if self._writer and self._finish:
            self._finish.detach()
            self._writer.close(None)

    def stats(self) -> Stats:
        """Count what is held, by looking at the files."""
        with self._lock:
            memory_entries, used_bytes = len(self._memory), self._used_bytes
        writer = self._writer
        accounts = writer.disk.accounts() if writer else {}
        return _stats(
            self.folder,
            accounts,
            memory_entries=memory_entries,
            memory_bytes=used_bytes,
            pending=len(writer.pending) if writer else 0,
            dropped=writer.dropped if writer else 0,
            problem=self.problem,
        )

    def clear(self) -> int:
        """Forget every entry of this tier, in memory and on disk; returns the bytes freed on disk."""
        with self._lock:
            self._memory.clear()
            self._used_bytes = 0
        if self._writer is None:
            return 0
        self._writer.forget()
        return self._writer.disk.clear()

    def prune(self, target_bytes: int | None = None) -> int:
        """Evict from disk until ``target_bytes`` are left; None: as the cap demands. Returns the bytes freed.

        Also removes what killed processes left half-written.
        """
        if self._writer is None:
            return 0
        self._writer.flush(None)
        return self._writer.disk.prune(target_bytes)

    def _here(self, key: Key) -> _Record | None:
        with self._lock:
            record = self._memory.get(key)
            if record is not None:
                self._memory.move_to_end(key)
        if record is None and self._writer:
            record = self._writer.pending.get(key)
        return record

    def _recall(self, key: Key) -> _Record | None:
        record = self._here(key)
        writer = self._writer
        if record is None and writer and _KEY.match(key):
            found = writer.disk.read(key)
            if found:
                header, arrays, value = found
                record = _Record(
                    value, header.kind, _footprint(arrays), fingerprint=header.fingerprint
                )
                self._remember(key, record)
        if record is not None and writer:
            writer.disk.touch(key)
        return record

    def _remember(self, key: Key, record: _Record) -> None:
        with self._lock:
            former = self._memory.pop(key, None)
            if former is not None:
                self._used_bytes -= former.memory_bytes
            if record.memory_bytes > self._memory_bytes:
                return
            self._memory[key] = record
            self._used_bytes += record.memory_bytes
            while self._used_bytes > self._memory_bytes:
                _, oldest = self._memory.popitem(last=False)
                self._used_bytes -= oldest.memory_bytes


# --- a root of several tiers


def tiers(root: Path) -> tuple[Path, ...]:
    """The tier folders under a root, at any depth up to three, sorted."""
    found = {
        marker.parent
        for depth in range(3)
        for marker in root.glob("*/" * (depth + 1) + "entries")
        if (marker.parent / "CACHEDIR.TAG").is_file()
    }
    return tuple(sorted(found))


def survey(root: Path) -> tuple[Stats, ...]:
    """Count what every tier under a root holds."""
    found: list[Stats] = []
    for folder in tiers(root):
        disk = _Disk(folder, 0, None)
        found.append(_stats(folder, disk.accounts()))
        disk.close()
    return tuple(found)


def clear_root(root: Path) -> int:
    """Remove every entry of every tier under a root; returns the bytes freed."""
    freed = 0
    for folder in tiers(root):
        disk = _Disk(folder, 0, None)
        freed += disk.clear() + disk._sweep()
        disk.close()
    return freed


def prune_root(root: Path, target_bytes: int, *, current: Path | None = None) -> int:
    """Evict until no more than ``target_bytes`` are left under a root; returns the bytes freed.

    Tiers unused for a day go first, but for ``current``.
    """
    folders = tiers(root)
    if not folders:
        return 0
    disk = _Disk(current or folders[-1], target_bytes, root)
    freed = disk.prune(target_bytes)
    disk.close()
    return freed


def _stats(
    folder: Path | None,
    accounts: Mapping[str, _Account],
    *,
    memory_entries: int = 0,
    memory_bytes: int = 0,
    pending: int = 0,
    dropped: int = 0,
    problem: str | None = None,
) -> Stats:
    states = sum(account.kind == "state" for account in accounts.values())
    return Stats(
        folder=folder,
        entries=len(accounts),
        states=states,
        results=len(accounts) - states,
        disk_bytes=sum(account.size for account in accounts.values()),
        memory_entries=memory_entries,
        memory_bytes=memory_bytes,
        pending=pending,
        dropped=dropped,
        problem=problem,
    )
