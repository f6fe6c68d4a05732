"""Control nodes: pictures that steer the denoiser through ControlNets, how strongly and when."""

from __future__ import annotations

from typing import Annotated, cast

from studio.errors import GraphError, NodeError
from studio.graph import NodeKind, Ref
from studio.registry import Context, Output, Range, node
from studio.values import Control, ControlNet, Controls, Image, Model, Span


@node(
    "control",
    version=1,
    category="control",
    kind=NodeKind.DESCRIBE,
    aliases=("controlnet", "apply_controlnet"),
)
def control(
    controlnet: ControlNet,
    image: Image,
    control: Controls | None = None,
    strength: Annotated[float, Range(0, 2, 0.01)] = 1.0,
    start: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.0,
    end: Annotated[float, Range(0, 1, 0.01, "of the run")] = 1.0,
) -> Annotated[Controls, Output("control")]:
    """Let a ControlNet follow a picture: edges, depth, a pose, or whatever it was trained to read.

    Several are chained, each into the next one's control; where they act at once, what they say is added up.
    Steps outside the window, and all steps at strength 0, do not depend on the picture and keep their results.
    Step i of n is inside where start · n ≤ i < end · n. diffusers' pipelines leave out the step in which a
    window ends (i + 1 > end · n); that is the same wherever end · n is a whole number.

    controlnet: Which ControlNet.
    image: What it reads; of a batch, each picture of the run has its own. Resized to the size of the run.
    control: Controls before this one.
    strength: How strongly; 0 is not at all and costs nothing.
    start: Share of the run at which it begins to act.
    end: Share of the run at which it ends.
    """
    if start >= end:
        raise NodeError(f"the window from {start} to {end} is empty", remedy="let start < end")
    ours = Controls((Span(Control(controlnet, image), start, end, strength),))
    return control + ours if control else ours


@node("image_edges", version=1, category="control", aliases=("canny", "line_art", "scribble"))
def image_edges(
    ctx: Context,
    image: Image,
    smooth: Annotated[float, Range(0.5, 20, 0.1, "px")] = 1.0,
    threshold: Annotated[float, Range(0.01, 1, 0.01)] = 0.1,
    thickness: Annotated[float, Range(1, 32, 1, "px")] = 2.0,
) -> Image:
    """Turn a picture into a drawing for a ControlNet: white lines on black wherever it changes (Canny 1986).

    image: The pictures, a photograph for instance.
    smooth: Blurred so far first; more leaves out fine things such as grass and grain.
    threshold: How large a change makes a line, as a share of the way from black to white.
    thickness: Of the lines; as thick as those that the ControlNet was trained to read.
    """
    import torch

    from studio.diffusion.edges import edges

    drawn = []
    for picture in torch.split(image.pixels, 1):
        ctx.check()
        drawn.append(edges(picture, smooth, threshold, thickness).expand(-1, 3, -1, -1))
    return Image(torch.cat(drawn))


def check_fit(controls: Controls | None, model: Model) -> None:
    """Raise GraphError if one of the ControlNets was not made for networks like this one."""
    for span in controls.spans if controls else ():
        controlnet = cast("Control", span.source).controlnet
        what = _misfit(controlnet, model)
        if what:
            raise GraphError(
                "",
                "control",
                f'"{controlnet.ref.name}" {what}',
                remedy=f"load a ControlNet made for {model.family or 'this model'}"
                if model.blocks
                else "take the control away, or load a model that reads text",
            )


def _misfit(controlnet: ControlNet, model: Model) -> str:
    ours, theirs = controlnet.family, model.family.removesuffix("_inpaint")
    if model.blocks is None:
        return f'is a ControlNet, and "{model.ref.name}" takes none'
    if ours and theirs and ours != theirs:
        return f"is a ControlNet for {ours}, the model is {model.family}"
    if controlnet.in_channels != model.latent_channels:
        return (
            f"reads latents of {controlnet.in_channels} channels,"
            f" the model's have {model.latent_channels}"
        )
    if controlnet.downscale != model.downscale:
        return (
            f"reads pictures at {controlnet.downscale} px per latent,"
            f" the model paints {model.downscale}"
        )
    if controlnet.blocks.text_width != model.blocks.text_width:
        return (
            f"reads text of width {controlnet.blocks.text_width},"
            f" the model's is {model.blocks.text_width}"
        )
    if controlnet.blocks != model.blocks:
        return "was made for a network of other blocks than the model's"
    return ""


def acting(
    controls: Controls | None, index: int, total: int
) -> tuple[dict[str, object], dict[str, Ref]]:
    """What a step reads of the controls, as ``params`` and ``uses``: nothing of those that do not act in it."""
    params: dict[str, object] = {}
    uses: dict[str, Ref] = {}
    spans = [span for span in controls.spans if span.acts(index, total)] if controls else []
    if spans:
        sources = [cast("Control", span.source) for span in spans]
        params["controlnets"] = [source.controlnet.ref for source in sources]
        params["control_strengths"] = [span.weight for span in spans]
        for number, source in enumerate(sources):
            uses[f"control.{number}"] = cast("Ref", source.image)
    return params, uses


def added_cost(controls: Controls | None) -> str:
    """What the controls add to the name under which a step's duration is learned."""
    return f" {len(controls.spans)} controls" if controls else ""
