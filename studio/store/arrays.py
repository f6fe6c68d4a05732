"""The content of an array, be it a tensor, a numpy array or bytes: its bytes, its layout and its memory."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

# fmt: off
NATIVE = frozenset({
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
    "bfloat16", "complex64", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
})
# fmt: on
"""torch dtypes that safetensors names alike; the rest of those we take are stored as plain bytes."""
TAKEN = NATIVE | {"complex32", "complex128"}
"""torch dtypes that can be stored."""
_OVERHEAD_BYTES = 256
"""What an entry costs in memory beside its arrays."""
Body = tuple[memoryview, int]
"""The bytes of an array and their address, which is valid as long as the view lives."""


@dataclass(frozen=True)
class Array:
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
        """Length in bytes, in C order."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.nbytes

    def restored(self) -> object:
        """What it was taken from: a tensor (now on the CPU), a numpy array or bytes."""
        if self.kind == "ndarray" and isinstance(self.data, bytes):
            return ndarray(self.data, self.dtype, self.shape)
        return self.data

    def raw(self) -> Body:
        """Its bytes in C order."""
        if isinstance(self.data, bytes):
            address = ctypes.cast(ctypes.c_char_p(self.data), ctypes.c_void_p).value
            return memoryview(self.data), address or 0
        import torch

        # not reshape(-1): a single element, or none, keeps a stride that refuses the view as bytes
        flat = self.data.contiguous().as_strided((self.data.numel(),), (1,)).view(torch.uint8)
        return flat.numpy().data, flat.data_ptr()


def ndarray(buffer: bytes | bytearray, dtype: str, shape: Sequence[int]) -> object:
    """Return a numpy array of its own memory with the content of ``buffer``, which is in C order."""
    import numpy as np

    # not frombuffer, which refuses what is empty
    return np.ndarray(tuple(shape), np.dtype(dtype), buffer).copy()


def special_strides(tensor: Tensor) -> tuple[int, ...] | None:
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


def footprint(arrays: Iterable[object]) -> int:
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
