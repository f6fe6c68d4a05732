"""Teaching a network to fill holes: it reads the mask and the picture around it beside the noisy latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import interpolate

from studio.models.loading import load_trained, trained_network
from studio.registry import Context
from studio.training.denoising import Denoising, Told
from studio.training.feeding import PIXELS, Feed, Seen, encoded
from studio.training.holes import holes
from studio.training.task import Config, Origin
from studio.values import Dataset

_LEARNED = -(2**42)
_SHOWN = -(2**43)
"""Addresses of the masks, below which they lie: by position while it learns, by picture where it is looked at."""
_AROUND = "around"
"""The mask and the masked latents, among what the network is told."""


class Inpainting(Denoising):
    """Teaches a network that reads noisy latents, mask and masked latents, as Stable Diffusion's for inpainting do.

    One that reads latents alone begins with zeros for the other channels, and so paints at first as it did before.
    """

    def _fed(self, dataset: Dataset) -> Feed:
        return Feed(dataset, self.recipe.seed, self.device, self.plan.vae, has_pixels=True)

    def _begun(self, origin: Origin, ctx: Context) -> tuple[Config, Module]:
        config, network = super()._begun(origin, ctx)
        channels = 2 * self.plan.channels + 1
        if config["in_channels"] == channels:
            return config, network
        return widened(config, network, channels, str(self.device))

    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        told: Told,
        network: Callable[..., Any] | None = None,
    ) -> Tensor:
        """What the network predicts of noisy latents, of which it knows what lies around the hole."""
        rest = {name: value for name, value in told.items() if name != _AROUND}
        return super().predict(torch.cat([x, told[_AROUND]], 1), timestep, rest, network)

    def _told(
        self,
        feed: Feed,
        seen: Seen | None,
        indices: Sequence[int],
        positions: Sequence[int | None],
        number: int | None,
        ctx: Context,
    ) -> dict[str, Tensor]:
        told = super()._told(feed, seen, indices, positions, number, ctx)
        addresses = [
            _SHOWN - i if at is None else _LEARNED - at
            for i, at in zip(indices, positions, strict=True)
        ]
        pixels = (seen or feed.known(indices, ctx))[PIXELS]
        mask = holes(self.recipe.seed, addresses, pixels.shape[-1], self.device)
        masked = encoded(self.plan.vae, pixels.float() / 127.5 - 1, self.device, ctx, mask)
        # the mask shrinks as in the step that the network will be used in
        return {**told, _AROUND: torch.cat([interpolate(mask, size=masked.shape[-2:]), masked], 1)}

    def paint(self, ctx: Context) -> Tensor:
        """What the network paints by now, each behind the picture with its hole: uint8 [n, 3, H, 2 W]."""
        painted = super().paint(ctx)
        indices = [number % len(self.feed) for number in range(len(painted))]
        pixels = self.feed.known(indices, ctx)[PIXELS]
        mask = holes(self.recipe.seed, [_SHOWN - i for i in indices], pixels.shape[-1], self.device)
        grey = torch.full_like(pixels, 128)
        return torch.cat([torch.where(mask < 0.5, pixels, grey).cpu(), painted], dim=3)


def widened(config: Config, network: Module, channels: int, device: str) -> tuple[Config, Module]:
    """A network that reads ``channels`` channels, and does not heed those that it did not read before."""
    wider = {**config, "in_channels": channels}
    weights = dict(network.state_dict())
    first = weights["conv_in.weight"]
    count = channels - first.shape[1]
    zeros = first.new_zeros(first.shape[0], count, *first.shape[2:])
    weights["conv_in.weight"] = torch.cat([first, zeros], dim=1)
    component = trained_network(wider, "unet")
    return wider, load_trained(component, weights, device=device, dtype="float32")
