"""An upscaler for the starter's latents, with random weights: what train_upscaler writes, without the training."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DModel


def write_upscaler(folder: Path) -> Path:
    """Write a folder in diffusers' layout, with a network of 30,000 weights."""
    torch.manual_seed(0)
    network = UNet2DModel(
        in_channels=8,
        out_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        add_attention=False,
        num_class_embeds=51,
    )
    network.save_pretrained(folder / "unet")
    config = folder / "unet" / "config.json"
    told = {"scale": 2, "downscale": 8, "latents": "starter"}
    document = {**json.loads(config.read_text("utf-8")), "upscaling": told}
    config.write_text(json.dumps(document), "utf-8")
    scheduler = DDIMScheduler(prediction_type="v_prediction", timestep_spacing="trailing")
    scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "DiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    return folder
