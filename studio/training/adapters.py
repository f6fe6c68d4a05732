"""Low-rank adapters (Hu et al. 2021): two small matrices beside each of some layers of a network that itself stays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import Conv2d, Linear, Module, Parameter
from torch.nn.functional import conv2d, linear

from studio.diffusion import noise

LAYERS = ("attention", "all")
_ATTENTION = re.compile(r"attn\w*\.|attentions\.")
_FIRST_WEIGHTS = -103
"""Address of the draws of the first matrices; the second begin at 0, so that nothing is added yet."""


def attach(
    network: Module, rank: int, alpha: float, layers: str, seed: int
) -> dict[str, Parameter]:
    """Let adapters act on a network; returns their matrices by the names that LoRA files have for them.

    ``layers``: those of the attentions, or every linear layer and convolution.
    """
    learned: dict[str, Parameter] = {}
    draws = noise.generator(seed, _FIRST_WEIGHTS)
    for name, layer in network.named_modules():
        if not isinstance(layer, Linear | Conv2d):
            continue
        if layers == "attention" and not _ATTENTION.search(name):
            continue
        weight = layer.weight
        inner, outer = weight[0].numel(), weight.shape[0]
        down = torch.randn(rank, *weight.shape[1:], generator=draws) / inner**0.5
        up = torch.zeros(outer, rank, *(1 for _ in weight.shape[2:]))
        first, second = Parameter(down.to(weight.device)), Parameter(up.to(weight.device))
        layer.register_forward_hook(partial(_add, first, second, alpha / rank))
        learned[f"unet.{name}.lora_A.weight"] = first
        learned[f"unet.{name}.lora_B.weight"] = second
    return learned


def _add(
    down: Tensor,
    up: Tensor,
    scale: float,
    layer: Module,
    inputs: tuple[Tensor, ...],
    output: Tensor,
) -> Tensor:
    (x,) = inputs[:1]
    if isinstance(layer, Conv2d):
        inner = conv2d(x, down, None, layer.stride, layer.padding, layer.dilation)
        return output + scale * conv2d(inner, up)
    return output + scale * linear(linear(x, down), up)


def file_tensors(learned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """The tensors of a LoRA file: the matrices, and alpha for each layer."""
    tensors = dict(learned)
    for name in learned:
        if name.endswith(".lora_A.weight"):
            tensors[name.removesuffix(".lora_A.weight") + ".alpha"] = torch.tensor(float(alpha))
    return tensors
