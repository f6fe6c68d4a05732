"""Latents as small pictures without a VAE: a linear map per family, fitted by least squares, a pixel per latent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Self

import torch
from torch import Tensor

from studio.graph import Json
from studio.resources import resource
from studio.values import Image


@dataclass(frozen=True)
class Map:
    """Colours from latents: ``rgb = weights @ latent + bias``, in [0, 1] before clamping."""

    weights: tuple[tuple[float, ...], ...]
    """A row for each of red, green and blue, a column for each channel of the latents."""
    bias: tuple[float, float, float]

    def json(self) -> Json:
        """The map as plain data."""
        return {"weights": [list(row) for row in self.weights], "bias": list(self.bias)}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``json`` gives."""
        data = json.loads(text)
        red, green, blue = data["bias"]
        return cls(tuple(tuple(row) for row in data["weights"]), (red, green, blue))

    def __call__(self, samples: Tensor) -> Tensor:
        """Turn [B, C, h, w] into colours, [B, 3, h, w], not clamped."""
        weights, bias = samples.new_tensor(self.weights), samples.new_tensor(self.bias)
        return torch.einsum("rc,bchw->brhw", weights, samples) + bias.view(1, 3, 1, 1)


def fit(latents: Tensor, images: Tensor) -> Map:
    """Fit the map by least squares, in float64, to latents [B, C, h, w] and their pictures [B, 3, H, W] in [0, 1].

    The pictures are averaged over the area of each latent. The numbers in ``resources/previews`` come from this
    function, given final latents of the family's model for prompts of all kinds and their decoded pictures.
    """
    pooled = torch.nn.functional.adaptive_avg_pool2d(
        images.double(), (latents.shape[-2], latents.shape[-1])
    )
    known = latents.double().permute(0, 2, 3, 1).flatten(0, 2)
    known = torch.cat([known, torch.ones(len(known), 1, dtype=torch.float64)], dim=1)
    wanted = pooled.permute(0, 2, 3, 1).flatten(0, 2)
    solution = torch.linalg.lstsq(known, wanted).solution.T
    rows = [tuple(round(number, 5) for number in row) for row in solution.tolist()]
    red, green, blue = (row[-1] for row in rows)
    return Map(tuple(row[:-1] for row in rows), (red, green, blue))


def preview(samples: Tensor, family: str) -> Image:
    """Approximate the pictures of clean latents [B, C, h, w] of any dtype and device: [B, 3, h, w] on the CPU.

    Families without a fitted map are shown in false colours; latents of 3 channels are pixels in [-1, 1].
    """
    with torch.inference_mode():
        samples = samples.detach().float()
        if samples.shape[1] == 3:
            colours = samples / 2 + 0.5
        else:
            found = fitted(family)
            is_fitted = found is not None and len(found.weights[0]) == samples.shape[1]
            colours = found(samples) if found and is_fitted else _false_colours(samples)
        colours = colours.clamp(0, 1).cpu()
    return Image(colours.clone())


@cache
def fitted(family: str) -> Map | None:
    """Return the map of a family, or None if there is none. Read once: the files ship with the program."""
    path = resource("previews", f"{family}.json")
    return Map.parse(path.read_text(encoding="utf-8")) if family and path.is_file() else None


def _false_colours(samples: Tensor) -> Tensor:
    """The first three channels (one: as grey), each centred and scaled to two standard deviations."""
    shown = samples[:, :3] if samples.shape[1] > 3 else samples[:, :1].expand(-1, 3, -1, -1)
    mean = shown.mean((-2, -1), keepdim=True)
    spread = shown.std((-2, -1), keepdim=True, correction=0)
    return (shown - mean) / (4 * spread + 1e-6) + 0.5
