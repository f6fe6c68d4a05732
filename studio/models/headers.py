"""Reading what strangers wrote: headers of safetensors files and JSON, checked before anything is believed."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.errors import ModelError
from studio.graph import Json

PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"})
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0"), 8),
    **dict.fromkeys(("I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
# the limit of the safetensors library itself
_LONGEST_HEADER = 100_000_000
_LONGEST_JSON = 64_000_000
CONVERT = "convert it to safetensors, or get the .safetensors file of the same model"
"""What to do with a pickle."""


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """A safetensors header that was found sound."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def starting(self, prefix: str) -> bool:
        """Whether a tensor's name starts so."""
        return any(name.startswith(prefix) for name in self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor; empty if there is none such."""
        tensor = self.tensors.get(name)
        return tensor.shape if tensor else ()

    def side(self, name: str, axis: int) -> int:
        """Length of one axis of a tensor; 0 if there is none such."""
        shape = self.shape(name)
        return shape[axis] if -len(shape) <= axis < len(shape) else 0

    @property
    def dtype(self) -> str:
        """The dtype that holds most elements, as safetensors writes it (``F16``); "" if there is none."""
        sums: dict[str, int] = {}
        for tensor in self.tensors.values():
            sums[tensor.dtype] = sums.get(tensor.dtype, 0) + tensor.numel
        return max(sums, key=lambda name: sums[name], default="")


def refuse_pickle(path: Path) -> None:
    """Raise ModelError if a file's ending says that it is a pickle."""
    if path.suffix.lower() in PICKLES:
        raise ModelError("is a pickle, which can run code", where=str(path), remedy=CONVERT)


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file: the names, types and shapes of its tensors.

    Raises ModelError, naming the file, if it is a pickle or archive under a false ending, truncated, or damaged.
    """
    refuse_pickle(path)
    try:
        if not path.is_file():
            raise ModelError("is not a file", where=str(path))
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
                _refuse_magic(path, start)
                raise _damaged(path, "its header does not fit into it")
            text = file.read(length)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not JSON") from error
    return _header(path, data, size - 8 - length)


def _refuse_magic(path: Path, start: bytes) -> None:
    if start[:2] == b"PK" or start[:1] == b"\x80":
        raise ModelError(
            "is a pickle under a false ending, which can run code",
            where=str(path),
            remedy=CONVERT,
        )
    if start[:4] == b"GGUF":
        raise ModelError(
            "is a GGUF file, which is not supported",
            where=str(path),
            remedy="get the .safetensors file of the same model",
        )
    if start[:8] == b"version ":
        raise ModelError(
            "is a Git LFS pointer, not the model",
            where=str(path),
            remedy="download the file itself",
        )


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(
        f"is truncated or damaged: {what}", where=str(path), remedy="get the file again"
    )


def _header(path: Path, data: object, room: int) -> Header:
    if not isinstance(data, dict):
        raise _damaged(path, "its header is no object")
    metadata = data.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _damaged(path, "its metadata are no object")
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in data.items():
        tensor, span = _tensor(path, name, entry)
        tensors[name] = tensor
        spans.append(span)
    end = 0
    for begin, stop in sorted(spans):
        if begin != end:
            raise _damaged(path, "its tensors overlap or leave gaps")
        end = stop
    if end != room:
        raise _damaged(path, f"its tensors take {end} bytes and it has {room}")
    return Header(tensors, {str(k): v for k, v in metadata.items() if isinstance(v, str)})


def _tensor(path: Path, name: str, entry: object) -> tuple[Tensor, tuple[int, int]]:
    wrong = _damaged(path, f"the entry of tensor {name[:80]!r} is malformed")
    if not isinstance(entry, dict):
        raise wrong
    dtype = entry.get("dtype")
    shape, span = _naturals(entry.get("shape")), _naturals(entry.get("data_offsets"))
    if not isinstance(dtype, str) or dtype not in _BITS or shape is None or span is None:
        raise wrong
    tensor = Tensor(dtype, shape)
    if len(span) != 2 or 8 * (span[1] - span[0]) != tensor.numel * _BITS[dtype]:
        raise wrong
    return tensor, (span[0], span[1])


def _naturals(value: object) -> tuple[int, ...] | None:
    is_right = isinstance(value, list) and all(type(part) is int and part >= 0 for part in value)
    return tuple(value) if is_right and isinstance(value, list) else None


def read_json(path: Path) -> dict[str, Json]:
    """Read a JSON object; raises ModelError, naming the file, if it is missing, damaged or no object."""
    try:
        if not path.is_file():
            raise ModelError("is missing", where=str(path), remedy="get the model again")
        if path.stat().st_size > _LONGEST_JSON:
            raise ModelError("is too long for a config", where=str(path))
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise ModelError("is not JSON", where=str(path), remedy="get the model again") from error
    if not isinstance(data, dict):
        raise ModelError("is not a JSON object", where=str(path), remedy="get the model again")
    return data
