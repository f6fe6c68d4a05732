"""LoRAs with random weights for networks of the tests, written as the tools of the field write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import Module

from studio.resources import resource

Style = Literal["peft", "wrapped", "diffusers", "former", "kohya"]


@dataclass(frozen=True)
class Pair:
    """The matrices of a layer, and alpha."""

    down: Tensor
    up: Tensor
    alpha: float

    def delta(self, weight: Tensor) -> Tensor:
        """What is added to a weight: alpha / rank · up · down (Hu et al. 2021)."""
        rank = self.down.shape[0]
        return (self.up.flatten(1) @ self.down.flatten(1)).reshape(weight.shape) * self.alpha / rank


def pairs(module: Module, names: tuple[str, ...], seed: int = 3, rank: int = 4) -> dict[str, Pair]:
    """Matrices for those layers whose name ends with one of ``names``; alpha is not the rank."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Pair] = {}
    for name, layer in module.named_modules():
        if not name.endswith(names):
            continue
        weight = layer.weight
        assert isinstance(weight, Tensor)
        outs, ins, *kernel = weight.shape
        down = torch.randn(rank, ins, *kernel, generator=generator) * 0.05
        up = torch.randn(outs, rank, *(1 for _ in kernel), generator=generator) * 0.3
        found[name] = Pair(down, up, 2.0)
    assert found
    return found


def tensors(found: Mapping[str, Pair], style: Style, component: str = "unet") -> dict[str, Tensor]:
    """The tensors of a file, named in the way of a tool. Only kohya's tools write alpha as tensors."""
    written: dict[str, Tensor] = {}
    for name, pair in found.items():
        scale = pair.alpha / pair.down.shape[0]
        if style == "kohya":
            prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[component]
            stem = prefix + name.replace(".", "_")
            written[f"{stem}.lora_down.weight"] = pair.down
            written[f"{stem}.lora_up.weight"] = pair.up
            written[f"{stem}.alpha"] = torch.tensor(pair.alpha)
            continue
        down, up, stem = {
            "peft": (".lora_A.weight", ".lora_B.weight", f"{component}.{name}"),
            "wrapped": (".lora_A.weight", ".lora_B.weight", f"base_model.model.{component}.{name}"),
            "diffusers": (".lora.down.weight", ".lora.up.weight", f"{component}.{name}"),
            "former": ("_lora.down.weight", "_lora.up.weight", _former(f"{component}.{name}")),
        }[style]
        written[stem + down] = pair.down
        written[stem + up] = pair.up * scale
    return {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in written.items()
    }


def _former(name: str) -> str:
    """As diffusers named attention before PEFT."""
    owner, _, layer = name.removesuffix(".0").rpartition(".")
    return f"{owner}.processor.{layer}"


def write(
    path: Path, written: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> Path:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(dict(written), path, metadata)
    return path


def starter_unet() -> UNet2DConditionModel:
    """The network of the starter model."""
    return UNet2DConditionModel.from_pretrained(
        resource("starter", "unet"), torch_dtype=torch.float32, local_files_only=True
    ).eval()


ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


def starter_lora(path: Path, seed: int = 3) -> Path:
    """Write a LoRA for the attention of the starter's network."""
    return write(path, tensors(pairs(starter_unet(), ATTENTION, seed), "kohya"))
