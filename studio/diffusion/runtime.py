"""Sets torch up for a numerics class: threads and deterministic kernels."""

from __future__ import annotations

import os

import torch

from studio.numerics import Numerics, has_fast_bfloat16


def configure(numerics: Numerics) -> None:
    """Make torch compute as ``numerics`` says; affects the whole process, and is idempotent.

    On CUDA: deterministic algorithms, no TF32, no autotuned convolutions, so that a result depends on nothing
    that is not in its key.
    """
    if numerics.threads:
        torch.set_num_threads(numerics.threads)
    if torch.cuda.is_available():
        # read by cuBLAS when its first handle is made
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether the hardware of a device multiplies bfloat16; emulated, it is 7 to 45 times slower than float32."""
    if device.type == "cpu":
        return has_fast_bfloat16()
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
