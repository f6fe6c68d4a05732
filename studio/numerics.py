"""The numerics class: everything outside the graph on which the bits of a result depend, found without torch."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from studio.errors import ArgumentError

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Numerics:
    """One numerics class. Results of different classes never share a key.

    Sources: measured, float32 results on a CPU change with the thread count and the instruction set, and on any
    device with the versions, the dtype and the evaluation layout.
    """

    torch: str
    diffusers: str
    transformers: str
    device: str
    """``cpu`` with its instruction set, or the name of the GPU."""
    dtype: str
    threads: int
    """Of torch on a CPU; 0 elsewhere, where it does not matter."""
    layout: str = "one picture, conditional and unconditional as a pair"
    attention: str = "sdpa"
    memory_format: str = "contiguous"
    is_deterministic: bool = True
    """cuDNN and cuBLAS held to deterministic algorithms, TF32 off."""

    def document(self) -> dict[str, str | int | bool]:
        """The class as plain data, for keys and manifests."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def differences(self, other: dict[str, object]) -> list[str]:
        """Say what differs from another class's document, ``name: other -> this``."""
        mine = self.document()
        return [
            f"{name}: {other.get(name)} -> {mine.get(name)}"
            for name in sorted({*mine, *other})
            if mine.get(name) != other.get(name)
        ]


@dataclass(frozen=True)
class Machine:
    """Where a run is computed."""

    device: str
    """For torch: ``cpu``, ``cuda:0``, ``mps``."""
    numerics: Numerics
    memory_bytes: int
    """Memory of the device."""


def choose(device: str = "auto", dtype: str = "auto", threads: int | None = None) -> Machine:
    """Resolve ``auto`` to CUDA, then MPS, then CPU, and to that device's dtype.

    The default number of threads is one less than the physical cores, so that the rest of the machine stays usable
    (measured: two threads on two busy cores made small models ten times slower than one).
    Raises ArgumentError if the device is not there or the dtype unknown.
    """
    gpus = cuda_devices()
    if device == "auto":
        device = "cuda:0" if gpus else "mps" if _has_mps() else "cpu"
    if dtype != "auto" and dtype not in DTYPES:
        raise ArgumentError(
            f'"{dtype}" is not a dtype', where="--dtype", remedy=f"one of auto, {', '.join(DTYPES)}"
        )
    if device == "cpu":
        count = threads or default_threads()
        numerics = _numerics(
            f"cpu {instruction_set()}", "float32" if dtype == "auto" else dtype, count
        )
        return Machine("cpu", numerics, psutil.virtual_memory().total)
    if device == "mps":
        if not _has_mps():
            raise ArgumentError(
                "there is no Metal device", where="--device", remedy="use --device cpu"
            )
        numerics = _numerics(
            f"mps {platform.processor()}", "float32" if dtype == "auto" else dtype, 0
        )
        return Machine("mps", numerics, psutil.virtual_memory().total)
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if not match:
        raise ArgumentError(
            f'"{device}" is not a device',
            where="--device",
            remedy="one of auto, cpu, cuda, cuda:N, mps",
        )
    index = int(match[1] or 0)
    if index >= len(gpus):
        found = f"there are {len(gpus)} CUDA devices" if gpus else "there is no CUDA device"
        raise ArgumentError(found, where="--device", remedy="use --device cpu")
    name, memory = gpus[index]
    return Machine(
        f"cuda:{index}", _numerics(name, "float16" if dtype == "auto" else dtype, 0), memory
    )


def _numerics(device: str, dtype: str, threads: int) -> Numerics:
    return Numerics(
        torch=version("torch"),
        diffusers=version("diffusers"),
        transformers=version("transformers"),
        device=device,
        dtype=dtype,
        threads=threads,
    )


@functools.cache
def version(package: str) -> str:
    """The installed version of a package, or "none"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def default_threads() -> int:
    """Physical cores that this process may use, less one; ``$STUDIO_THREADS`` overrides."""
    asked = os.environ.get("STUDIO_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    allowed = (
        len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else os.cpu_count()
    )
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return max(1, min(physical, allowed or 1) - 1)


@functools.cache
def instruction_set() -> str:
    """Architecture and the widest vector instructions that kernels choose by, such as ``x86_64 avx512 amx``."""
    machine = platform.machine()
    limits = [
        f"{name}={os.environ[name]}"
        for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")
        if name in os.environ
    ]
    try:
        flags = set(re.findall(r"\w+", _cpu_flags()))
    except OSError:
        flags = set()
    known = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
    return " ".join([machine, *(name for name in known if name in flags), *limits])


def _cpu_flags() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(("flags", "Features")):
            return line.partition(":")[2]
    return ""


def has_fast_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 in hardware (AMX or AVX512-BF16)."""
    return "avx512_bf16" in instruction_set() or "amx_tile" in instruction_set()


def _has_mps() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


@functools.cache
def cuda_devices() -> tuple[tuple[str, int], ...]:
    """(name, bytes of memory) of each CUDA device that the installed torch can use, asked of the driver."""
    if not _torch_has_cuda():
        return ()
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    found = []
    for index in range(count.value):
        name = ctypes.create_string_buffer(128)
        memory = ctypes.c_size_t()
        if driver.cuDeviceGetName(name, 128, index) or driver.cuDeviceTotalMem_v2(
            ctypes.byref(memory), index
        ):
            return ()
        found.append((name.value.decode(errors="replace"), memory.value))
    return tuple(found)


def _torch_has_cuda() -> bool:
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return False
    text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    match = re.search(r"^cuda[^=]*= *(.+)$", text, re.MULTILINE)
    return match is not None and match[1].strip() != "None"
