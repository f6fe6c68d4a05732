"""The denoising loop as a node: which steps there are, and exactly what each of them reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

from nodes.classifier import Aiming
from nodes.controlnet import acting, added_cost, check_fit
from studio.errors import GraphError
from studio.graph import Ref, Value
from studio.registry import Chain, Context, Planning, Range, Spec, node
from studio.values import (
    ClassifierGuidance,
    Conditioning,
    Controls,
    Guidance,
    Latents,
    LowResolution,
    Masks,
    Model,
    Noise,
    Schedule,
    State,
    Timeline,
)

if TYPE_CHECKING:
    from studio.values import Image

LAST_STEP = 10_000
_BY_ITEM = frozenset({"latents", "masked", "low", "control.0"})
"""What a step uses of which each picture of the batch may have its own."""


@node(
    "denoise",
    version=1,
    category="denoise",
    aliases=("ksampler", "sampler", "img2img", "cfg"),
)
class Denoise:
    """Remove noise step by step: a U-Net predicts, a solver steps, guidance steers, a mask protects.

    Every step's whole state is kept, so an edit costs only the steps that it reaches: guidance, prompts, masks and
    controls from the step where they first differ; another model, seed, size or number of steps, all of them.

      model: the denoising network
      noise: which noise to begin with
      positive: what the picture shows, over the run
      schedule: the solver, its steps and noise levels
      negative: what the picture keeps away from; without it, the empty prompt
      latents: a picture to begin from, by strength (image-to-image), or to keep outside the mask (inpainting)
      mask: where to repaint, over the run; elsewhere the latents are kept
      masked: latents of the picture with a grey hole, for inpainting models with 9 input channels
      control: pictures to follow by ControlNets, over the run
      low_resolution: the small picture that an upscaler paints larger
      classifier_guidance: labels that classifiers are to see, over the run
      guidance_curve: guidance over the run, in place of the one value
      guidance: strength of classifier-free guidance; 1 is none and costs half
      guidance_rescale: share of the standard deviation that guidance took which is given back
      strength: how much of the run a given picture goes through; 1 forgets it
      start_step: first step to run, for a picture handed over by another denoise
      end_step: where to stop before the end, for another denoise to go on
      add_noise: noise the latents up to the first step; off for latents that are still noisy
    """

    def chain(
        self,
        model: Model,
        noise: Noise,
        schedule: Schedule,
        positive: Conditioning | None,
        negative: Conditioning | None,
        latents: Latents | None,
        mask: Masks | None,
        masked: Latents | None,
        control: Controls | None,
        low_resolution: LowResolution | None,
        classifier_guidance: ClassifierGuidance | None,
        guidance_curve: Guidance | None,
        ctx: Planning,
        guidance: Annotated[float, Range(0.0, 50.0)] = 5.0,
        guidance_rescale: Annotated[float, Range(0.0, 1.0)] = 0.0,
        strength: Annotated[float, Range(0.0, 1.0)] = 1.0,
        start_step: Annotated[int, Range(0, LAST_STEP, unit="steps")] = 0,
        end_step: Annotated[int, Range(0, LAST_STEP, unit="steps")] | None = None,
        add_noise: bool = True,
    ) -> list[Chain]:
        """One chain per picture of the batch."""
        from studio.diffusion.windows import Table, begin_index, level, order, tabulate, window

        is_inpainting = model.in_channels == 2 * model.latent_channels + 1
        if mask is not None and latents is None and not is_inpainting:
            raise _unconnected("latents", "a mask needs the picture that it keeps")
        check_fit(control, model)
        _check_labels(model, positive)
        enlarging, small = _enlarging(low_resolution, model)
        if control is not None and positive is None:
            raise _unconnected("positive", "a ControlNet reads the prompt")
        aiming = Aiming.of(classifier_guidance, model, schedule, ctx)
        table = Table.read(ctx.known(tabulate, schedule))
        total = table.passes
        begin = max(start_step, begin_index(schedule, strength) if latents is not None else 0)
        end = total if end_step is None else min(end_step, total)
        begin = min(begin, end)
        if begin < end and begin % order(schedule):
            raise GraphError(
                "",
                "start_step",
                f"{begin} is in the middle of a step",
                remedy="this solver passes twice a step: begin at an even number",
            )
        # at this strength the pipelines of the field start an inpainting from nothing but noise
        is_pure = latents is None or (mask is not None and strength == 1.0 and start_step == 0)
        curve = guidance_curve or Guidance(((0.0, guidance),))
        chains = []
        for item, seed in enumerate(noise.seeds):
            lane = replace(noise, seeds=(seed,))
            given = {
                "noise": lane,
                "family": model.family,
                "latents": model.latents,
                "downscale": model.downscale,
                "schedule": schedule,
                "labels": model.labels,
            }
            start: dict[str, object] = {
                "noise": lane,
                "channels": model.latent_channels,
                "downscale": model.downscale,
                "latents": model.latents,
                "begin": begin,
            }
            if is_pure:
                start["scale"] = table.init_noise_sigma
            else:
                start["item"] = item
                if add_noise:
                    start["level"] = level(schedule, table, begin)
            steps = []
            for index in range(begin, end):
                scale = curve.at(index / total)
                params, uses = _prompts(positive, negative, index, total, scale)
                params["model"] = model.at(index, total)
                params["window"] = window(schedule, table, index, begin)
                if params["guidance"] != 1.0 and guidance_rescale:
                    params["rescale"] = guidance_rescale
                if is_inpainting:
                    uses |= _seen(mask, masked, index, total)
                elif mask is not None and (kept := _kept(mask, latents, index, total)):
                    uses |= kept
                    params["next"] = level(schedule, table, index + 1)
                params |= enlarging
                uses |= small | _trained(model)
                controlled, pictures = acting(control, index, total)
                params |= controlled
                uses |= pictures
                aimed, weights = aiming.acting(index, total, table.timesteps[index])
                params |= aimed
                uses |= weights
                if not uses.keys().isdisjoint(_BY_ITEM):
                    params["item"] = item
                steps.append(Spec(params, uses, {**given, "index": index}))
            uses = {} if is_pure else {"latents": cast("Ref", latents)}
            cost = f"{model.ref.digest[:12]} {noise.width}x{noise.height}"
            cost += added_cost(control) + aiming.added_cost()
            chains.append(Chain(Spec(start, uses, given), tuple(steps), cost))
        return chains

    def passes(self, arguments: Mapping[str, object]) -> int:
        """Steps of all pictures together, before the schedule's table is known."""
        from studio.diffusion.windows import begin_index, passes

        schedule = cast("Schedule", arguments["schedule"])
        begin = cast("int", arguments["start_step"])
        if arguments["latents"] is not None:
            begin = max(begin, begin_index(schedule, cast("float", arguments["strength"])))
        last = cast("int | None", arguments["end_step"])
        end = passes(schedule) if last is None else min(last, passes(schedule))
        return max(0, end - begin) * len(cast("Noise", arguments["noise"]).seeds)

    def start(self, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """The noise, or the noised picture, before the first step."""
        from studio.diffusion import denoise

        return denoise.start(spec, inputs, ctx)

    def step(self, state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """One forward pass and one step of the solver."""
        from studio.diffusion import denoise

        return denoise.step(state, spec, inputs, ctx)

    def finish(self, states: Sequence[State], ctx: Context) -> Latents:
        """The last latents of every picture of the batch."""
        from studio.diffusion import denoise

        return denoise.finish(states)

    def preview(self, state: State) -> Image | None:
        """The predicted picture, small."""
        from studio.diffusion import denoise

        return denoise.preview(state)


def _trained(model: Model) -> dict[str, Ref]:
    """The result that holds the weights, where a node of the graph trains them."""
    return {} if model.ref.result is None else {"trained": cast("Ref", model.ref.result)}


def _prompts(
    positive: Conditioning | None,
    negative: Conditioning | None,
    index: int,
    total: int,
    guidance: float,
) -> tuple[dict[str, object], dict[str, Ref]]:
    """What a step reads of the prompts: nothing that has no effect in it."""
    if positive is None:
        return {"guidance": 1.0, "positive": [], "negative": []}, {}
    uses: dict[str, Ref] = {}
    weights = {"positive": _acting(positive, "positive", index, total, uses)}
    if not weights["positive"]:
        raise GraphError(
            "",
            "positive",
            f"no prompt acts in step {index} of {total}",
            remedy="let a window reach that far",
        )
    weights["negative"] = (
        _acting(negative, "negative", index, total, uses)
        if negative is not None and guidance != 1.0
        else []
    )
    return {"guidance": guidance, **weights}, uses


def _acting(
    timeline: Timeline, name: str, index: int, total: int, uses: dict[str, Ref]
) -> list[float]:
    """The weights of the items that act, which are added to ``uses``."""
    weights: list[float] = []
    for span in timeline.spans:
        if span.acts(index, total):
            uses[f"{name}.{len(weights)}"] = cast("Ref", span.source)
            weights.append(span.weight)
    # one item alone is taken whole, so its weight has no effect
    return weights if len(weights) > 1 else [1.0] * len(weights)


def _check_labels(model: Model, positive: Conditioning | None) -> None:
    if model.labels is not None and model.labels.none is None and positive is None:
        raise _unconnected("positive", "this network paints classes: link a class_label")


def _kept(mask: Masks, latents: Latents | None, index: int, total: int) -> dict[str, Ref]:
    """What latent blending reads in a step: nothing where no mask acts."""
    uses: dict[str, Ref] = {}
    _acting(mask, "mask", index, total, uses)
    return {**uses, "latents": cast("Ref", latents)} if uses else uses


def _seen(mask: Masks | None, masked: Latents | None, index: int, total: int) -> dict[str, Ref]:
    """What a network with 9 input channels reads of the picture around the mask."""
    if mask is None or masked is None:
        missing = "mask" if mask is None else "masked"
        raise _unconnected(missing, "this inpainting model reads the mask and the masked latents")
    uses = {"masked": cast("Ref", masked)}
    _acting(mask, "mask", index, total, uses)
    return uses


def _enlarging(low: LowResolution | None, model: Model) -> tuple[dict[str, object], dict[str, Ref]]:
    """What the steps of an upscaler read beside the small picture; raises GraphError if that does not fit the model."""
    upscaling = model.upscaling
    if upscaling is None and low is None:
        return {}, {}
    if low is None:
        raise _unconnected(
            "low_resolution", f'"{model.ref.name}" is an upscaler: link the picture to enlarge'
        )
    if upscaling is None:
        raise GraphError(
            "",
            "low_resolution",
            f'is linked, and "{model.ref.name}" is no upscaler',
            remedy="unlink it, or load an upscaler",
        )
    if low.noise > upscaling.strongest:
        raise GraphError(
            "",
            "low_resolution",
            f'has noise {low.noise:g}, and "{model.ref.name}" knows up to {upscaling.strongest:g}',
            remedy="lower the noise",
        )
    params: dict[str, object] = {
        "low_scale": upscaling.scale,
        "low_noise": low.noise,
        "low_label": upscaling.label(low.noise),
    }
    return params, {"low": cast("Ref", low.latents)}


def _unconnected(port: str, remedy: str) -> GraphError:
    return GraphError("", port, "is not connected", remedy=remedy)
