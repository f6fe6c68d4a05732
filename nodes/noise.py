"""Noise nodes: which noise a run starts from, as a description."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from studio.errors import NodeError
from studio.graph import NodeKind
from studio.registry import Choice, Output, Range, Seed, node
from studio.values import Noise

_MOST_PIXELS = 2**28
"""Four pictures of 8192 px squared: more is a slip of the hand."""


@node("noise_source", version=1, category="noise", kind=NodeKind.DESCRIBE, aliases=("seed",))
def noise_source(
    seed: Annotated[int, Seed()] = 0,
    width: Annotated[int, Range(16, 8192, 8, "px")] = 128,
    height: Annotated[int, Range(16, 8192, 8, "px")] = 128,
    batch: Annotated[int, Range(1, 64, 1, "pictures")] = 1,
    scheme: Annotated[
        str, Choice("addressed", "compatible", "compatible_image", "compatible_inpaint")
    ] = "addressed",
) -> Annotated[Noise, Output("latents")]:
    """Gaussian noise to denoise, by seed and size.

    Picture i of a batch has the seed ``seed + i`` and is the picture that this seed gives alone. Addressed noise
    depends on (seed, step) only, so that a late edit resumes exactly. The compatible schemes reproduce the draws
    of the stock diffusers pipelines from one running generator.

      seed: Seed of the first picture; the following ones count up and wrap at 2^64.
      width: Width of the picture; the model's trained size suits it best.
      height: Height of the picture.
      batch: Number of pictures, each with a seed of its own.
      scheme: addressed, or as diffusers' text-to-image, image-to-image or inpainting pipeline draws it.
      latents: The noise, to be linked to a denoise node.
    """
    if width * height * batch > _MOST_PIXELS:
        raise NodeError(
            f"{batch} × {width} × {height} px are {width * height * batch / 1e6:.0f} million pixels",
            remedy=f"stay below {_MOST_PIXELS / 1e6:.0f} million: a smaller size or batch",
        )
    seeds = tuple((seed + index) % 2**64 for index in range(batch))
    return Noise(seeds, width, height, scheme)


@node("noise_variation", version=1, category="noise", kind=NodeKind.DESCRIBE)
def noise_variation(
    noise: Noise,
    seed: Annotated[int, Seed()] = 1,
    strength: Annotated[float, Range(0, 1, 0.01)] = 0.1,
) -> Annotated[Noise, Output("latents")]:
    """Vary a noise a little: turn it, along the sphere, towards the noise of another seed.

    noise: The noise to vary.
    seed: Seed of the noise to turn towards.
    strength: How far: 0 changes nothing, 1 is the other noise.
    latents: The varied noise.
    """
    # strength 0 must be the same description, so that it costs nothing
    return replace(noise, variation=(seed, strength) if strength else None)
