"""The numerics of one denoising chain: its first state, one step, and what comes out.

A state holds the latents (float32 [1, C, h, w]), the solver's snapshot, the predicted picture ``denoised`` (like the
latents, or None) and, for the draws of a stock pipeline, the state of its generator.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Generator, Tensor

from studio.diffusion import classifiers, control, guidance, noise, upscaling
from studio.diffusion.networks import held
from studio.diffusion.solvers import Solver
from studio.errors import NodeError
from studio.graph import Value
from studio.registry import Context, Spec
from studio.values import (
    Embedding,
    Image,
    Labelled,
    Labels,
    Latents,
    Mask,
    ModelRef,
    Noise,
    Schedule,
    State,
    Trained,
)

if TYPE_CHECKING:
    from torch.nn import Module

_LOW = -4
"""Where the noise in an upscaler's small picture is addressed, as ``step``: the negative ones are no steps of a run."""


@dataclass
class _Live:
    """Objects that carry over from one step to the next when nothing lies between; only ever a saving of time."""

    solver: Solver
    lane: Noise
    state: State | None = None


# --- start


@torch.inference_mode()
def start(spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
    """The state before the first step: scaled noise, or given latents noised up to it."""
    params = spec.params
    lane = cast("Noise", params["noise"])
    downscale = cast("int", params["downscale"])
    drawn = noise.initial(
        lane, 0, cast("int", params["channels"]), lane.height // downscale, lane.width // downscale
    )
    device = ctx.pool.device
    samples = drawn.samples.to(device)
    if "scale" in params:
        latents = samples * cast("float", params["scale"])
    else:
        latents = _item(inputs["latents"], spec).to(device)
        _check_size(latents, samples)
        if lane.scheme == "compatible_image":
            # the stock pipeline runs on in the layout of its picture, and the last bits depend on that
            latents = latents.contiguous(memory_format=torch.channels_last)
        if "level" in params:
            solver = Solver(cast("Schedule", spec.unhashed["schedule"]), lane.seeds[0])
            latents = solver.add_noise(latents, samples, cast("int", params["begin"]))
    state: dict[str, object] = {
        "latents": latents,
        "solver": None,
        "denoised": None,
        "family": params["latents"],
    }
    if drawn.generator is not None:
        state["generator"] = drawn.generator.get_state()
    return State(state)


def _item(value: Value, spec: Spec) -> Tensor:
    """The picture of a batch that this chain is about; a single one serves all."""
    samples = cast("Latents", value).samples
    index = cast("int", spec.params["item"]) % samples.shape[0]
    return samples[index : index + 1].clone(memory_format=torch.contiguous_format)


def _check_size(latents: Tensor, drawn: Tensor) -> None:
    if latents.shape != drawn.shape:
        have, want = (list(tensor.shape[1:]) for tensor in (latents, drawn))
        raise NodeError(
            f"the latents are {have} but the noise is {want} (channels, height, width)",
            where=".latents",
            remedy="give the noise source the size of the picture",
        )


# --- one step


@torch.inference_mode()
def step(state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
    """The state after one forward pass of the network and one step of the solver."""
    params = spec.params
    index = cast("int", spec.unhashed["index"])
    latents = cast("Tensor", state.data["latents"]).to(ctx.pool.device)
    solver = _solver(state, spec, ctx)
    ref = cast("ModelRef", params["model"])
    if "trained" in inputs:
        ref = replace(ref, result=cast("Trained", inputs["trained"]))
    with held(ref, ctx) as network:
        prediction = _predict(network, solver, latents, spec, inputs, ctx)
    is_drawing = solver.is_stochastic or "generator" in state.data
    generator = _generator(state, spec) if is_drawing else None
    latents, denoised = solver.step(prediction, index, latents, generator)
    if "next" in params:
        latents = _blend(latents, solver, spec, inputs, ctx)
    after: dict[str, object] = {
        "latents": latents,
        "solver": solver.snapshot(),
        "denoised": denoised,
        "family": spec.unhashed["latents"],
    }
    if generator is not None and "generator" in state.data:
        after["generator"] = generator.get_state()
    result = State(after)
    cast("_Live", ctx.scratch["live"]).state = result
    return result


def _solver(state: State, spec: Spec, ctx: Context) -> Solver:
    """The solver as it stood after ``state``: the one that has just made it, or one restored from its snapshot."""
    schedule = cast("Schedule", spec.unhashed["schedule"])
    index = cast("int", spec.unhashed["index"])
    live = ctx.scratch.get("live")
    if not isinstance(live, _Live) or live.lane is not spec.unhashed["noise"]:
        lane = cast("Noise", spec.unhashed["noise"])
        live = _Live(Solver(schedule, lane.seeds[0]), lane)
        ctx.scratch["live"] = live
    if live.state is not state:
        snapshot = state.data["solver"]
        if snapshot is None:
            live.solver.begin(index)
        else:
            known = cast("dict[str, object]", snapshot)
            live.solver.restore(known, index, ctx.pool.device)
    live.state = None
    return live.solver


def _generator(state: State, spec: Spec) -> Generator:
    lane = cast("Noise", spec.unhashed["noise"])
    running = state.data.get("generator")
    if running is None:
        return noise.generator(lane.seeds[0], cast("int", spec.unhashed["index"]))
    generator = Generator()
    generator.set_state(cast("Tensor", running).cpu())
    return generator


def _predict(
    network: Module,
    solver: Solver,
    latents: Tensor,
    spec: Spec,
    inputs: Mapping[str, Value],
    ctx: Context,
) -> Tensor:
    """The guided prediction, float32 [1, C, h, w], from one batched forward pass."""
    params = spec.params
    index = cast("int", spec.unhashed["index"])
    scale = cast("float", params["guidance"])
    positive = _embeddings("positive", params, inputs)
    negative: list[Embedding] = []
    if positive and scale != 1.0:
        negative = _embeddings("negative", params, inputs) or [_empty(positive[0])]
    sample = solver.scale_input(latents, index)
    timestep = solver.timesteps[index]
    dtype = next(network.parameters()).dtype
    prompts = [*negative, *positive]
    batch = torch.cat([sample] * max(len(prompts), 1)).to(dtype)
    extra = _carried(prompts, network, latents, spec, ctx)
    # a ControlNet reads the latents alone, also beside a network that reads mask and masked latents
    controlled = control.residuals(batch, timestep, extra, spec, inputs, ctx)
    if "masked" in inputs:
        seen = torch.cat([_mask(inputs, sample), _item(inputs["masked"], spec).to(sample)], dim=1)
        batch = torch.cat([batch, torch.cat([seen] * len(batch)).to(dtype)], dim=1)
    if "low" in inputs:
        read = torch.cat([_low(inputs["low"], sample, spec)] * len(batch))
        batch = torch.cat([batch, read.to(dtype)], dim=1)
        label = cast("int", params["low_label"])
        extra = {**extra, "class_labels": torch.full((len(batch),), label, device=batch.device)}
    output = cast("Any", network)(batch, timestep, **extra, **controlled, return_dict=False)[
        0
    ].float()
    prediction = _guided(output, len(negative), params)
    return classifiers.guided(prediction, sample, timestep, spec, inputs, ctx)


def _guided(output: Tensor, negatives: int, params: Mapping[str, object]) -> Tensor:
    """The one prediction that those for all prompts, the negative ones first, make together."""
    if not negatives:
        return _mix(output, params["positive"])
    unconditional = _mix(output[:negatives], params["negative"])
    conditional = _mix(output[negatives:], params["positive"])
    prediction = guidance.guided(unconditional, conditional, cast("float", params["guidance"]))
    if "rescale" in params:
        prediction = guidance.rescaled(prediction, conditional, cast("float", params["rescale"]))
    return prediction


def _mix(predictions: Tensor, weights: object) -> Tensor:
    if predictions.shape[0] == 1:
        return predictions
    return guidance.mixed(predictions, cast("list[float]", weights))


def _embeddings(
    name: str, params: Mapping[str, object], inputs: Mapping[str, Value]
) -> list[Embedding]:
    weights = cast("list[float]", params[name])
    return [cast("Embedding", inputs[f"{name}.{number}"]) for number in range(len(weights))]


def _empty(embedding: Embedding) -> Embedding:
    if embedding.empty is None:
        raise NodeError(
            "guidance needs a negative prompt here",
            where=".negative",
            remedy="connect one (it may be empty), or set guidance to 1",
        )
    return embedding.empty


def _carried(
    prompts: list[Embedding], network: Module, latents: Tensor, spec: Spec, ctx: Context
) -> dict[str, object]:
    """``_conditioning``, made once for as long as the same prompts act: on a GPU it is a copy to the device."""
    before = ctx.scratch.get("prompts")
    if isinstance(before, tuple):
        known, extra = before
        if len(known) == len(prompts) and all(map(operator.is_, known, prompts)):
            return cast("dict[str, object]", extra)
    extra = _labelled(prompts, network, latents, spec)
    extra |= _conditioning(prompts, latents, next(network.parameters()).dtype, spec)
    ctx.scratch["prompts"] = (prompts, extra)
    return extra


def _labelled(
    prompts: Sequence[Embedding], network: Module, latents: Tensor, spec: Spec
) -> dict[str, object]:
    """The keyword argument that carries the classes, in the order of the batch.

    Raises NodeError for a prompt that the network cannot read, or where it lacks one.
    """
    config = cast("Any", network).config
    labels = cast("Labels | None", spec.unhashed["labels"])
    reads_text = "cross_attention_dim" in config
    negatives = len(prompts) - len(cast("list[float]", spec.params["positive"]))
    for number, prompt in reversed(list(enumerate(prompts))):
        where = ".positive" if number >= negatives else ".negative"
        if reads_text != bool(prompt.hidden.numel()):
            what = "reads text, and gets a class alone" if reads_text else "reads no text"
            mend = "link a prompt to class_label" if reads_text else "take the prompt away"
            raise NodeError(f"the network {what}", where=where, remedy=mend)
        if labels is None and isinstance(prompt, Labelled):
            raise NodeError("the network reads no class", where=where, remedy="link a prompt")
    if labels is None:
        return {}
    told = [one.label if isinstance(one, Labelled) else labels.none for one in prompts]
    told = told or [labels.none]
    if None in told:
        raise NodeError(
            "the network paints classes, and is told of none",
            where=".positive",
            remedy="link a class_label",
        )
    return {"class_labels": torch.tensor(told, device=latents.device)}


def _conditioning(
    prompts: Sequence[Embedding], latents: Tensor, dtype: torch.dtype, spec: Spec
) -> dict[str, object]:
    """The keyword arguments that carry the prompts, in the order of the batch."""
    if not prompts or not prompts[0].hidden.numel():
        return {}
    longest = max(prompt.hidden.shape[1] for prompt in prompts)
    hidden = torch.cat([_padded(prompt, longest) for prompt in prompts])
    extra: dict[str, object] = {"encoder_hidden_states": hidden.to(latents.device, dtype)}
    if prompts[0].pooled is not None:
        pooled = torch.cat([cast("Tensor", prompt.pooled) for prompt in prompts])
        lane = cast("Noise", spec.unhashed["noise"])
        extra["added_cond_kwargs"] = {
            "text_embeds": pooled.to(latents.device, dtype),
            "time_ids": time_ids(
                lane.height, lane.width, cast("str", spec.unhashed["family"]), len(prompts)
            ).to(latents.device, dtype),
        }
    return extra


def _padded(prompt: Embedding, length: int) -> Tensor:
    """A prompt's windows repeated up to ``length`` tokens, so that prompts of different lengths make one batch."""
    hidden = prompt.hidden
    missing = length - hidden.shape[1]
    if not missing:
        return hidden
    tail = (prompt.empty or prompt).hidden
    repeats = -(-missing // tail.shape[1])
    return torch.cat([hidden, tail.repeat(1, repeats, 1)[:, :missing]], dim=1)


def time_ids(height: int, width: int, family: str, count: int) -> Tensor:
    """SDXL's size conditioning (Podell et al. 2023, section 2.2) of whole pictures, in pixels: float32 [count, 6].

    Original size, crop origin, target size; for the refiner [count, 5], with an aesthetic score of 6 as target.
    """
    size = [height, width]
    ids = [*size, 0, 0, 6.0] if family.endswith("refiner") else [*size, 0, 0, *size]
    return torch.tensor([ids], dtype=torch.float32).repeat(count, 1)


def _mask(inputs: Mapping[str, Value], like: Tensor) -> Tensor:
    """The union of the masks that act, float32 [1, 1, h, w]; all ones where none does."""
    size = like.shape[-2:]
    union: Tensor | None = None
    for name, value in inputs.items():
        if name.startswith("mask."):
            alpha = torch.nn.functional.interpolate(cast("Mask", value).alpha[:1], size=size).to(
                like
            )
            union = alpha if union is None else torch.maximum(union, alpha)
    return union if union is not None else torch.ones(1, 1, *size).to(like)


def _low(value: Value, like: Tensor, spec: Spec) -> Tensor:
    """What an upscaler reads beside noisy latents, float32 [1, C, h, w]: the small picture, enlarged and with noise."""
    small = _item(value, spec)
    scale = cast("int", spec.params["low_scale"])
    have = [small.shape[1], *(side * scale for side in small.shape[2:])]
    if have != list(like.shape[1:]):
        small_size, size = (list(tensor.shape[1:]) for tensor in (small, like))
        raise NodeError(
            f"the small picture is {small_size} and the noise {size} (channels, height, width);"
            f" this upscaler paints {scale} times as large",
            where=".low_resolution",
            remedy=f"give the noise source {scale} times the size of the small picture",
        )
    large = upscaling.enlarged(small, scale)
    seed = cast("Noise", spec.unhashed["noise"]).seeds[0]
    drawn = torch.randn(large.shape, generator=noise.generator(seed, _LOW))
    level = torch.tensor([cast("float", spec.params["low_noise"])])
    return upscaling.augmented(large, drawn, level).to(like)


def _blend(
    latents: Tensor, solver: Solver, spec: Spec, inputs: Mapping[str, Value], ctx: Context
) -> Tensor:
    """Outside the mask, put back the given latents at the noise level that the next step begins with."""
    kept = _item(inputs["latents"], spec).to(latents)
    _check_size(kept, latents)
    drawn = ctx.scratch.get("noise")
    lane = spec.unhashed["noise"]
    if not isinstance(drawn, tuple) or drawn[0] is not lane:
        drawn = (lane, noise.initial(cast("Noise", lane), 0, *kept.shape[1:]).samples.to(latents))
        ctx.scratch["noise"] = drawn
    kept = solver.add_noise(kept, drawn[1], cast("int", spec.unhashed["index"]) + 1)
    alpha = _mask(inputs, latents)
    return (1 - alpha) * kept + alpha * latents


# --- end


@torch.inference_mode()
def finish(states: Sequence[State]) -> Latents:
    """The latents of all pictures of the batch: float32 [B, C, h, w] on the CPU."""
    samples = torch.cat([cast("Tensor", state.data["latents"]).cpu() for state in states])
    return Latents(samples, cast("str", states[0].data["family"]))


def preview(state: State) -> Image | None:
    """The predicted picture at a state, a pixel per latent; None before the first step."""
    from studio.diffusion.preview import preview as approximate

    denoised = state.data["denoised"]
    if denoised is None:
        return None
    return approximate(cast("Tensor", denoised), cast("str", state.data["family"]))
