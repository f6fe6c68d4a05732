"""An inpainting network of the starter's, as train_inpainting writes it before it has learned anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from studio.resources import resource


def write_inpainter(folder: Path) -> Path:
    """Write a folder in diffusers' layout: the starter's network, with zeros for mask and masked latents."""
    base = UNet2DConditionModel.from_pretrained(
        resource("starter", "unet"), torch_dtype=torch.float32, local_files_only=True
    )
    network = UNet2DConditionModel.from_config({**base.config, "in_channels": 9})
    weights = base.state_dict()
    first = weights["conv_in.weight"]
    weights["conv_in.weight"] = torch.cat(
        [first, torch.zeros_like(first)[:, :1].repeat(1, 5, 1, 1)], 1
    )
    network.load_state_dict(weights)
    network.save_pretrained(folder / "unet")
    shutil.copytree(resource("starter", "scheduler"), folder / "scheduler")
    index = {
        "_class_name": "DiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    return folder
