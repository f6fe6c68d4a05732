"""ControlNets for the starter model: its own network copied, its zero convolutions filled so that it has an effect."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from PIL import Image as Pillow

from studio.graph import Graph, Json
from studio.resources import resource
from tests.bench import linked, with_node


def controlnet_of(
    unet: UNet2DConditionModel, seed: int, widths: tuple[int, ...] = (16, 32, 96, 256)
) -> ControlNetModel:
    """A ControlNet as training begins with it, but for random weights where it has zeros.

    ``widths``: channels on the picture's way down to the latents; every one after the first halves the sides.
    """
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
    generator = torch.Generator().manual_seed(seed)
    zeros = [
        *controlnet.controlnet_down_blocks.parameters(),
        *controlnet.controlnet_mid_block.parameters(),
        *controlnet.controlnet_cond_embedding.conv_out.parameters(),
    ]
    with torch.no_grad():
        for weight in zeros:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return controlnet.eval()


def starter_controlnet(seed: int) -> ControlNetModel:
    """A ControlNet for the starter model."""
    unet = UNet2DConditionModel.from_pretrained(
        resource("starter", "unet"), torch_dtype=torch.float32, local_files_only=True
    )
    return controlnet_of(unet, seed)


def write_picture(path: Path, angle: int = 0) -> Path:
    """Write a gradient, rising in another direction for every channel and ``angle``."""
    image = Pillow.linear_gradient("L").resize((128, 128)).rotate(angle)
    Pillow.merge("RGB", (image, image.rotate(90), image.rotate(180))).save(path)
    return path


def controlled(
    graph: Graph, controlnet: Path, picture: Path, name: str = "control", **params: Json
) -> Graph:
    """Let a denoise follow a picture; another ``name`` adds a control behind those that there are."""
    before = graph.node("denoise").inputs.get("control")
    graph = with_node(graph, f"{name}_image", "load_image", {}, file=str(picture))
    graph = with_node(graph, f"{name}_net", "load_controlnet", {}, model=str(controlnet))
    inputs = {"controlnet": f"{name}_net.controlnet", "image": f"{name}_image.image"}
    if before is not None:
        inputs["control"] = str(before)
    graph = with_node(graph, name, "control", inputs, **params)
    return linked(graph, f"{name}.control", "denoise.control")
