"""Upscaling nodes: the way from the first stage of a cascade to the second."""

from __future__ import annotations

from typing import Annotated

from studio.graph import NodeKind
from studio.registry import Range, node
from studio.values import Latents, LowResolution


@node(
    "low_resolution",
    version=1,
    category="denoise",
    kind=NodeKind.DESCRIBE,
    aliases=("cascade", "super_resolution", "upscale"),
)
def low_resolution(
    latents: Latents, noise: Annotated[float, Range(0, 1, 0.01)] = 0.1
) -> LowResolution:
    """Give an upscaler a small picture to paint larger: the second stage of a cascade (Ho et al. 2021).

    The denoise node paints it with noise of the upscaler's size (as a rule twice the picture's) and a schedule of the
    upscaler. Pictures of other origin come by vae_encode.

      latents: The small picture, as the first stage gives it.
      noise: Standard deviation of noise mixed into it: more mends what the first stage got wrong, less keeps closer.
      low_resolution: The small picture, described.
    """
    return LowResolution(latents, noise)
