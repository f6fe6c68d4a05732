"""Teaching an upscaler, the second stage of a cascade: it paints each picture anew, beside a small one of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from studio.diffusion import noise
from studio.diffusion.upscaling import augmented, enlarged
from studio.registry import Context
from studio.training import objective
from studio.training.denoising import Denoising, Told
from studio.training.feeding import Feed, Seen, decoded
from studio.training.recipe import Plan
from studio.training.task import SAMPLES, Origin
from studio.values import Dataset, Scenes, Upscaling

_NOISE = -(2**41)
"""Address of the draws of the noise in the small pictures of the first batch; those of later ones lie below."""


class Upscaler(Denoising):
    """Teaches a U-Net that reads a small picture, enlarged, in as many channels again (Saharia et al. 2021).

    Some noise is mixed into the small picture, and the network is told how much (Ho et al. 2021, section 4): so it
    learns not to trust every detail of what the stage before will have painted.
    """

    def __init__(self, plan: Plan, ctx: Context, origin: Origin) -> None:
        super().__init__(plan, ctx, origin)
        assert plan.upscaling is not None, "an upscaler enlarges"
        self._upscaling: Upscaling = plan.upscaling
        self._small = {self.feed: self._shrunk(plan.dataset)}
        if self._validation is not None and plan.validation is not None:
            self._small[self._validation] = self._shrunk(plan.validation)

    def _shrunk(self, dataset: Dataset) -> Feed:
        """The same pictures, small: scenes are painted so, others become means of their pixels."""
        scale, plan = self._upscaling.scale, self.plan
        is_painted = isinstance(dataset.pictures, Scenes)
        small = replace(dataset, size=dataset.size // scale) if is_painted else dataset
        shrink = 1 if is_painted else scale
        return Feed(small, plan.recipe.seed, self.device, plan.vae, shrink=shrink)

    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        told: Told,
        network: Callable[..., Any] | None = None,
    ) -> Tensor:
        """What the network predicts of a noisy signal beside the small picture."""
        other = {name: value for name, value in told.items() if name != "low"}
        return super().predict(torch.cat([x, told["low"]], dim=1), timestep, other, network)

    def _told(
        self,
        feed: Feed,
        seen: Seen | None,
        indices: Sequence[int],
        positions: Sequence[int | None],
        number: int | None,
        ctx: Context,
    ) -> dict[str, Tensor]:
        """The small pictures, enlarged, with noise of a level by chance; with none where no ``number`` gives it."""
        small = self._small[feed]
        if number is None:
            low = enlarged(small.pictures(indices, ctx), self._upscaling.scale)
            return {"low": low, "class_labels": torch.zeros(len(low)).long().to(self.device)}
        places = [position for position in positions if position is not None]
        low = enlarged(small.batch(places, ctx), self._upscaling.scale)
        draws = noise.generator(self.recipe.seed, _NOISE - number)
        labels = torch.randint(self._upscaling.levels, (len(low),), generator=draws)
        drawn = torch.randn(low.shape, generator=draws).to(self.device)
        low = augmented(low, drawn, labels.float() / 100)
        return {"low": low, "class_labels": labels.to(self.device)}

    def paint(self, ctx: Context) -> Tensor:
        """Small pictures, what is painted of them by now, and what they are of, side by side: uint8 [n, 3, H, 3 W]."""
        recipe, plan = self.recipe, self.plan
        indices = [number % len(self.feed) for number in range(recipe.samples)]
        told = self._told(self.feed, None, indices, [None] * len(indices), None, ctx)
        drawn = torch.randn(
            (len(indices), plan.channels, plan.latent_size, plan.latent_size),
            generator=noise.generator(recipe.seed, SAMPLES),
        ).to(self.device)

        def predict(x: Tensor, timestep: Tensor) -> Tensor:
            ctx.check()
            return self.predict(x, timestep, told)

        found = objective.sampled(
            self.process, predict, drawn, recipe.sample_steps, is_bounded=plan.vae is None
        )
        low = decoded(plan.vae, self._small[self.feed].pictures(indices, ctx).cpu(), ctx)
        whole = torch.stack([self.feed.examples.picture(index) for index in indices])
        scale = self._upscaling.scale
        parts = (
            low.repeat_interleave(scale, 2).repeat_interleave(scale, 3),
            decoded(plan.vae, found.cpu(), ctx),
            decoded(None, whole, ctx),
        )
        return torch.cat(parts, dim=3)
