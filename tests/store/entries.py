"""Entries for tests of the store, their way through the disk, and what makes two of them the same."""

import os
import struct
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import torch

from studio.graph import Key
from studio.store import Entry, Kind, Store
from studio.values import (
    Latents,
    Picture,
    State,
)


def key(number: int) -> Key:
    # spread over the shards as digests are
    return Key(f"{(number * 2654435761) % 2**32:08x}{number:032x}")


def latents(number: int = 0, size: int = 8) -> Entry:
    samples = torch.arange(4 * size * size, dtype=torch.float32).reshape(1, 4, size, size) + number
    return {"latents": Latents(samples, "sd1")}


def state(number: int = 0, size: int = 8) -> Entry:
    return {
        "state": State({"sample": torch.full((1, 4, size, size), float(number)), "step": number})
    }


def picture(number: int) -> Entry:
    """What CHILD puts under ``key(number)``."""
    content = bytes([number % 251]) * (1000 + 700 * number % 90000)
    return {"p": Picture(str(number), ".png", (content,), ("x",))}


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return bytes(plain.as_strided((plain.numel(),), (1,)).view(torch.uint8).numpy().data)


def _same_parts(a: object, b: object) -> bool | None:
    """Compare containers; None for what is none."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if is_dataclass(a):
        return all(same(getattr(a, part.name), getattr(b, part.name)) for part in fields(a))
    return None


def same(a: object, b: object) -> bool:
    """Equal to the bit and of the same types, within nested values too."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return (a.dtype, a.shape, bits(a)) == (b.dtype, b.shape, bits(b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex) and isinstance(b, complex):
        return same((a.real, a.imag), (b.real, b.imag))
    parts = _same_parts(a, b)
    return bool(a == b) if parts is None else parts


def stored(folder: Path, entry: Entry, number: int = 0, kind: Kind = "result") -> Entry | None:
    """``entry`` after a way through the disk."""
    with Store(folder) as store:
        store.put(key(number), entry, kind=kind)
    assert store.problem is None
    return Store(folder).get(key(number))


def file_of(folder: Path, number: int = 0) -> Path:
    return next(folder.glob(f"entries/*/{key(number)}.safetensors"))


def kept(folder: Path, numbers: range) -> list[int]:
    store = Store(folder)
    return [number for number in numbers if key(number) in store]


def age(folder: Path, number: int, seconds: float) -> None:
    """Let an entry have been used last that long ago: by its file, since the index is rebuilt from it."""
    for file in folder.glob("index*"):
        file.unlink()
    then = time.time() - seconds
    os.utime(file_of(folder, number), (then, then))
