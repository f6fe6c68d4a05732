"""What ControlNets add to the forward pass of a U-Net (Zhang et al. 2023, "Adding Conditional Control …", eq. 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from studio.diffusion.networks import held
from studio.diffusion.pixels import resample_bytes
from studio.graph import Value
from studio.registry import Context, Spec
from studio.values import Image, ModelRef


def residuals(
    batch: Tensor,
    timestep: Tensor,
    conditions: Mapping[str, object],
    spec: Spec,
    inputs: Mapping[str, Value],
    ctx: Context,
) -> dict[str, object]:
    """The keyword arguments by which a U-Net takes the sum of what a step's ControlNets say; none without any.

    ``batch``: scaled latents [K, C, h, w] in the network's dtype, one for each of the K prompts in ``conditions``;
    every one of them is controlled alike (diffusers' pipelines with ``guess_mode`` off).
    """
    if "controlnets" not in spec.params:
        return {}
    refs = cast("list[ModelRef]", spec.params["controlnets"])
    strengths = cast("list[float]", spec.params["control_strengths"])
    skips: list[Tensor] = []
    middle: Tensor | None = None
    for number, (ref, strength) in enumerate(zip(refs, strengths, strict=True)):
        picture = _picture(f"control.{number}", batch, spec, inputs, ctx)
        with held(ref, ctx) as controlnet:
            more, inner = cast("Any", controlnet)(
                batch,
                timestep,
                **conditions,
                controlnet_cond=torch.cat([picture] * len(batch)),
                conditioning_scale=strength,
                return_dict=False,
            )
        # one by one in the order of the controls, as diffusers' MultiControlNetModel adds them
        skips = [sum_ + part for sum_, part in zip(skips, more, strict=True)] if skips else more
        middle = inner if middle is None else middle + inner
    # both, always: without the skips, UNet2DConditionModel silently ignores what the middle is given
    return {"down_block_additional_residuals": skips, "mid_block_additional_residual": middle}


def _picture(
    name: str, batch: Tensor, spec: Spec, inputs: Mapping[str, Value], ctx: Context
) -> Tensor:
    """The control picture of this chain, [1, 3, H, W] in [0, 1], on the device and in the dtype of the latents.

    A picture of another size is resized as diffusers' ``control_image_processor`` does it: 8 bits, Lanczos.
    """
    downscale = cast("int", spec.unhashed["downscale"])
    height, width = (side * downscale for side in batch.shape[-2:])
    prepared = cast("dict[object, Tensor]", ctx.scratch.setdefault("control", {}))
    item = cast("int", spec.params["item"])
    # large photographs take longer to resize than small networks to run
    address = (spec.uses[name], item, height, width)
    if address not in prepared:
        pixels = cast("Image", inputs[name]).pixels
        pixels = pixels[item % len(pixels)][None]
        if pixels.shape[-2:] != (height, width):
            pixels = resample_bytes(pixels, width, height)
        prepared[address] = pixels.to(batch)
    return prepared[address]
