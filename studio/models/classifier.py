"""A classifier of noisy pictures or latents: the down half of a U-Net that is told the timestep, and a head on it.

Dhariwal & Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 4: trained on x_t of every timestep,
the gradient of its log p(y | x_t) leads a denoising network that knows nothing of classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d_blocks import AttnDownBlock2D, DownBlock2D
from torch import Tensor, nn

_EPS = 1e-6


class NoisyClassifier(nn.Module):
    """x_t and its timestep to logits of classes."""

    def __init__(
        self,
        in_channels: int,
        classes: int,
        block_out_channels: Sequence[int],
        layers_per_block: int,
        attention_levels: int,
        attention_head_dim: int,
        norm_num_groups: int,
    ) -> None:
        """``attention_levels``: so many of the smallest levels look at the picture as a whole."""
        super().__init__()
        width, deepest = block_out_channels[0], block_out_channels[-1]
        told = 4 * width
        self.time_proj = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, told)
        self.conv_in = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down_blocks = nn.ModuleList()
        depth = len(block_out_channels)
        for level, wider in enumerate(block_out_channels):
            is_last = level + 1 == depth
            common: dict[str, Any] = {
                "in_channels": width,
                "out_channels": wider,
                "temb_channels": told,
                "num_layers": layers_per_block,
                "resnet_eps": _EPS,
                "resnet_groups": norm_num_groups,
                "downsample_padding": 1,
            }
            if level < depth - attention_levels:
                block: nn.Module = DownBlock2D(**common, add_downsample=not is_last)
            else:
                kind = cast("str", None if is_last else "conv")
                block = AttnDownBlock2D(
                    **common, attention_head_dim=attention_head_dim, downsample_type=kind
                )
            self.down_blocks.append(block)
            width = wider
        self.norm_out = nn.GroupNorm(norm_num_groups, deepest, eps=_EPS)
        self.pool = _Pool(deepest, attention_head_dim)
        self.head = nn.Linear(deepest, classes)
        for part in self.modules():
            if isinstance(part, Attention):
                # written out, its gradient is the same every time on a GPU as well
                part.set_processor(AttnProcessor())

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Self:
        """As a ``config.json`` describes it; raises KeyError, TypeError or ValueError if it is malformed."""
        names = cast("Sequence[str]", config["classes"])
        widths = cast("Sequence[int]", config["block_out_channels"])
        return cls(
            cast("int", config["in_channels"]),
            len(names),
            widths,
            cast("int", config["layers_per_block"]),
            cast("int", config["attention_levels"]),
            cast("int", config["attention_head_dim"]),
            cast("int", config["norm_num_groups"]),
        )

    def forward(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Logits [B, classes] of x_t [B, C, h, w], as a denoising network would be given it; timesteps [B] or [1]."""
        times = timestep.to(sample.device).expand(len(sample))
        told = self.time_embedding(self.time_proj(times).to(sample.dtype))
        x = self.conv_in(sample)
        for block in self.down_blocks:
            x, _ = block(x, told)
        seen: Tensor = self.head(self.pool(torch.nn.functional.silu(self.norm_out(x))))
        return seen


class _Pool(nn.Module):
    """Attention of the mean over all places (Radford et al. 2021, section 2.4), without a size that it is made for."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.heads = max(1, width // head_width)
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(width, 2 * width)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C]."""
        count, width = x.shape[:2]
        places = x.flatten(2).transpose(1, 2)
        mean = places.mean(1, keepdim=True)
        places = torch.cat([mean, places], 1)
        q = self.to_q(mean).view(count, 1, self.heads, -1).transpose(1, 2)
        kv = self.to_kv(places).view(count, places.shape[1], 2, self.heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4)
        looks = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        found: Tensor = self.to_out((looks @ v).reshape(count, width))
        return found
