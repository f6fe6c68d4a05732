"""Teaching a classifier to see what a picture shows through its noise (Dhariwal & Nichol 2021, section 4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from studio.diffusion import noise
from studio.registry import Context
from studio.training import objective
from studio.training.feeding import Feed, decoded
from studio.training.objective import Process
from studio.training.recipe import CLASSIFIER, CLASSIFIERS_CLASS, Plan
from studio.training.task import (
    SAMPLES,
    VALIDATION,
    Origin,
    Result,
    Task,
    Weights,
    all_learned,
    by_component,
    compiled,
    laid_out,
    mixes,
)
from studio.values import Network

_BANDS = 4
"""Quarters of the timesteps that validation tells apart."""
_VALIDATED = 256
"""So many pictures of a validation set are looked at, each in every quarter."""
_FRAME = 16
"""A frame takes so large a part of a picture's side: one sixteenth."""


class Classifying(Task):
    """Teaches a classifier by the cross-entropy of its answers on noised pictures."""

    def __init__(self, plan: Plan, ctx: Context, origin: Origin) -> None:
        self.plan = plan
        self.recipe = plan.recipe
        self.device = torch.device(ctx.pool.device)
        self.is_mixed = mixes(self.recipe.precision, self.device)
        self.process = Process.of(plan.recipe.target, plan.betas)
        self.feed = Feed(plan.dataset, plan.recipe.seed, self.device, plan.vae)
        self._validation = (
            Feed(plan.validation, plan.recipe.seed, self.device, plan.vae)
            if plan.validation is not None
            else None
        )
        config, self.network = origin.network(CLASSIFIER, plan.network, self.recipe.seed, ctx)
        laid_out(self.network, self.device, is_mixed=self.is_mixed)
        self._learning = compiled(self.network, self.device, is_wanted=self.recipe.is_compiled)
        self.configs = {CLASSIFIER: config}
        self.networks = {CLASSIFIER: self.network}
        self.learned = all_learned(self.networks)

    def verify(self, ctx: Context) -> None:
        """Raise NodeError if the pictures cannot all be read."""
        self.feed.examples.verify(ctx.progress)

    def loss(self, number: int, ctx: Context) -> Tensor:
        """The cross-entropy of a batch, with the graph that gradients flow back through."""
        recipe = self.recipe
        positions = range(number * recipe.batch, (number + 1) * recipe.batch)
        x = self.feed.batch(positions, ctx)
        labels = self.feed.labels(self.feed.indices(positions))
        draws = noise.generator(recipe.seed, number)
        index = objective.timesteps(recipe.batch, self.process.steps, draws)
        # which picture gets which share of the run is a chance of its own
        index = index[torch.randperm(recipe.batch, generator=draws)]
        drawn = objective.gaussian(x.shape, draws, self.device)
        logits = self._logits(x, drawn, index, self._learning)
        return functional.cross_entropy(logits, labels)

    def _logits(
        self,
        x: Tensor,
        drawn: Tensor,
        index: Tensor,
        network: Callable[..., Tensor] | None = None,
    ) -> Tensor:
        """What the classifier makes of pictures noised to some timesteps: float32 [B, classes]."""
        x_t = self.process.noised(x, drawn, index)
        called = self.network if network is None else network
        with self.mixed():
            logits: Tensor = called(x_t, self.process.timestep(index).to(self.device))
        return logits.float()

    def paint(self, ctx: Context) -> Tensor:
        """Pictures in rising noise, framed from red to green by how likely their label is to the classifier."""
        count = self.recipe.samples
        indices = [number % len(self.feed) for number in range(count)]
        x = self.feed.pictures(indices, ctx)
        draws = noise.generator(self.recipe.seed, SAMPLES)
        drawn = torch.randn(x.shape, generator=draws).to(self.device)
        index = objective.timesteps(count, self.process.steps, draws)
        chances = self._logits(x, drawn, index).softmax(-1)
        right = chances[torch.arange(count), self.feed.labels(indices)].cpu()
        shown = decoded(self.plan.vae, self.process.noised(x, drawn, index), ctx)
        return _framed(shown, right)

    def validate(self, ctx: Context) -> dict[str, float]:
        """Cross-entropy and accuracy on pictures that are not learned from, in all and by quarter of the timesteps."""
        feed = self._validation
        if feed is None:
            return {}
        count = min(_VALIDATED, len(feed))
        draws = noise.generator(self.recipe.seed, VALIDATION)
        losses = torch.zeros(_BANDS, device=self.device)
        hits = torch.zeros(_BANDS, device=self.device)
        for first in range(0, count, self.recipe.batch):
            indices = list(range(first, min(first + self.recipe.batch, count)))
            x = feed.pictures(indices, ctx)
            labels = feed.labels(indices)
            for band in range(_BANDS):
                ctx.check()
                places = (band + torch.rand(len(indices), generator=draws)) / _BANDS
                index = (places * self.process.steps).long().clamp(max=self.process.steps - 1)
                drawn = torch.randn(x.shape, generator=draws).to(self.device)
                logits = self._logits(x, drawn, index)
                losses[band] += functional.cross_entropy(logits, labels, reduction="sum")
                hits[band] += (logits.argmax(-1) == labels).sum()
        found = (hits / count).tolist()
        named = {f"accuracy_{band + 1}": share for band, share in enumerate(found)}
        mean = float(losses.sum()) / (count * _BANDS)
        return {"validation": mean, "accuracy": sum(found) / _BANDS, **named}

    def result(self, weights: Weights) -> Result:
        """The classifier, and the scheduler by whose noise it learned."""
        configs = {**self.configs, "scheduler": self.plan.scheduler}
        return Result(by_component(weights), configs)


def is_classifying(plan: Plan) -> bool:
    """Whether a plan teaches a classifier."""
    return isinstance(plan.network, Network) and plan.network.class_name == CLASSIFIERS_CLASS


def _framed(pictures: Tensor, shares: Tensor) -> Tensor:
    """Pictures, uint8 [n, 3, H, W], each framed in red (share 0) … green (share 1)."""
    height, width = pictures.shape[-2:]
    edge = max(1, min(height, width) // _FRAME)
    colors = torch.stack([1 - shares, shares, torch.zeros_like(shares)], 1)
    framed = (colors.clamp(0, 1) * 255).round().to(torch.uint8)[:, :, None, None]
    framed = framed.expand(-1, -1, height, width).clone()
    framed[:, :, edge:-edge, edge:-edge] = pictures[:, :, edge:-edge, edge:-edge]
    return framed
