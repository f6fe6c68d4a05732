"""A denoising that keeps its frames: a state holds that of the denoising and, for each frame, float32 [1, C, h, w]."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from studio.diffusion import denoise
from studio.graph import Value
from studio.registry import Context, Spec
from studio.values import Image, Latents, State


def start(spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
    """The state before the first step, its noise as the first frame."""
    inner = denoise.start(spec, inputs, ctx)
    noise = cast("Tensor", inner.data["latents"])
    # solvers by noise level begin with noise that is many times as strong
    return State({"inner": inner, "frames": (noise / noise.std(),)})


def step(state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
    """The state after one step of the denoising, with its frame if it is to be one."""
    inner = denoise.step(cast("State", state.data["inner"]), spec, inputs, ctx)
    frames = cast("tuple[Tensor, ...]", state.data["frames"])
    if spec.params["is_frame"]:
        predicted = inner.data["denoised"]
        is_predicted = spec.params["shows"] == "predicted" and predicted is not None
        shown = cast("Tensor", predicted if is_predicted else inner.data["latents"])
        frames = (*frames, shown.cpu())
    return State({"inner": inner, "frames": frames})


@torch.inference_mode()
def finish(states: Sequence[State]) -> Latents:
    """The frames of all pictures, float32 [F, C, rows * h, columns * w], pictures side by side."""
    films = [torch.cat([frame.cpu() for frame in _frames(state)]) for state in states]
    count = len(films)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    blank = torch.zeros_like(films[0])
    films += [blank] * (rows * columns - count)
    lines = [torch.cat(films[row * columns :][:columns], dim=3) for row in range(rows)]
    family = cast("State", states[0].data["inner"]).data["family"]
    return Latents(torch.cat(lines, dim=2).clone(), cast("str", family))


def preview(state: State) -> Image | None:
    """The predicted picture at a state."""
    return denoise.preview(cast("State", state.data["inner"]))


def _frames(state: State) -> tuple[Tensor, ...]:
    return cast("tuple[Tensor, ...]", state.data["frames"])
