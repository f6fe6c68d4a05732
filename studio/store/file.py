"""One entry as a safetensors file: a head that is checked by itself, and arrays that are checked with it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from studio.graph import Json, Key
from studio.store.arrays import NATIVE, Array, Body, ndarray
from studio.store.encoding import compose_document, decode_part, find_part, fingerprint

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["result", "state"]
_FORMAT = "1"


class Damaged(Exception):
    """A file that is not, or no longer, what a store wrote."""


@dataclass(frozen=True)
class Header:
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


def write_file(path: Path, key: Key, kind: Kind, outputs: Json, arrays: Sequence[Array]) -> str:
    """Write an entry and return its fingerprint; raises OSError."""
    from safetensors import SafetensorError, TensorSpec, serialize_file

    bodies = [array.raw() for array in arrays]
    document = compose_document(outputs, arrays, bodies)
    metadata = {
        "format": _FORMAT,
        "key": key,
        "kind": kind,
        "document": document,
        "layout": json.dumps([array.strides for array in arrays]),
        "fingerprint": fingerprint(document, bodies),
    }
    metadata["checksum"] = _seal(metadata)
    specs: dict[str, TensorSpec] = {}
    for number, (array, (body, address)) in enumerate(zip(arrays, bodies, strict=True)):
        if body.nbytes:
            is_native = array.kind == "tensor" and array.dtype in NATIVE
            specs[str(number)] = TensorSpec(
                dtype=array.dtype if is_native else "uint8",
                shape=array.shape if is_native else (body.nbytes,),
                data_ptr=address,
                data_len=body.nbytes,
            )
    # safetensors takes addresses: ``bodies`` keeps what they point to alive until here
    try:
        serialize_file(specs, path, metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    return metadata["fingerprint"]


def read_header(file: FileIO, key: str) -> Header:
    """Read and check the head of a file; raises Damaged if it is not the sound head of this key's entry."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= size - 8:
        raise Damaged("cut off")
    try:
        head = json.loads(file.read(length).decode("utf-8"))
        metadata = head["__metadata__"]
        if metadata["checksum"] != _seal(metadata) or metadata["key"] != key:
            raise Damaged("head does not match its checksum")
        if metadata["format"] != _FORMAT:
            raise Damaged("of another format")
        # from here on the metadata are what we wrote; only the offsets may still be wrong
        document = json.loads(metadata["document"])
        starts: list[int] = []
        for number, (*_, wanted) in enumerate(document["arrays"]):
            begin, end = head[str(number)]["data_offsets"] if wanted else (0, 0)
            if not (0 <= begin <= end <= size - 8 - length and end - begin == wanted):
                raise Damaged("cut off")
            starts.append(8 + length + begin)
        return Header(
            metadata["kind"],
            metadata["fingerprint"],
            metadata["document"],
            document["outputs"],
            document["arrays"],
            json.loads(metadata["layout"]),
            starts,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged("head is no safetensors head of ours") from error


def read_file(path: Path, key: str) -> tuple[Header, list[object]]:
    """Read an entry into memory of its own.

    Returns the head and the arrays: tensors, bytes and numpy arrays. Raises OSError, and Damaged if a checksum fails.
    """
    with open(path, "rb", buffering=0) as file:
        header = read_header(file, key)
        arrays: list[object] = []
        bodies: list[Body] = []
        for number in range(len(header.specs)):
            array, body = _read_array(file, header, number)
            arrays.append(array)
            bodies.append((body, 0))
    if fingerprint(header.document, bodies) != header.fingerprint:
        raise Damaged("content does not match its checksum")
    return header, arrays


def read_part(path: Path, key: str, where: Sequence[str]) -> object:
    """Read a part of an entry (``find_part``) and no arrays but its own.

    The head is checked, the arrays are not: for that the whole file would have to be read. Raises OSError, LookupError,
    and Damaged.
    """
    with open(path, "rb", buffering=0) as file:
        header = read_header(file, key)
        part = find_part(header.outputs, where)
        return decode_part(part, lambda number: _read_array(file, header, number)[0])


def _read_array(file: FileIO, header: Header, number: int) -> tuple[object, memoryview]:
    kind, dtype, shape, nbytes = header.specs[number]
    file.seek(header.starts[number])
    if kind == "tensor":
        return _read_tensor(file, dtype, shape, header.layout[number], nbytes)
    buffer = bytearray(nbytes)
    _fill(file, memoryview(buffer))
    body = memoryview(buffer)
    if kind == "bytes":
        return bytes(buffer), body
    return ndarray(buffer, dtype, shape), body


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


def _fill(file: FileIO, body: memoryview) -> None:
    done = 0
    while done < body.nbytes:
        got = file.readinto(body[done:])
        if not got:
            raise Damaged("cut off")
        done += got
