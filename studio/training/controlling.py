"""Teaching a ControlNet: a copy of a network's encoder that reads a drawing (Zhang et al. 2023)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from studio.diffusion import noise
from studio.models.loading import load_trained, trained_network
from studio.registry import Context
from studio.training.denoising import Denoising, Told
from studio.training.feeding import HINT, Feed, Seen
from studio.training.recipe import Plan
from studio.training.task import (
    INITIAL_WEIGHTS,
    Config,
    Origin,
    Result,
    Weights,
    all_learned,
    by_component,
    compiled,
    laid_out,
)
from studio.values import CONTROLNET, Dataset


class Controlling(Denoising):
    """Teaches what a network is told beside the noise: its own weights do not change."""

    _control: Module
    _learning_control: Callable[..., Any]

    def _fed(self, dataset: Dataset) -> Feed:
        assert self.plan.hints is not None, "a ControlNet reads hints"
        kind = self.plan.hints.kind
        return Feed(dataset, self.recipe.seed, self.device, self.plan.vae, hints=kind)

    def _learners(self, config: Config, origin: Origin, ctx: Context) -> dict[str, Parameter]:
        config, self._control = self._copied(origin)
        laid_out(self._control, self.device, is_mixed=self.is_mixed)
        self._learning_control = compiled(
            self._control, self.device, is_wanted=self.recipe.is_compiled
        )
        self.network.requires_grad_(False).eval()
        self.configs[CONTROLNET] = config
        self.networks = {CONTROLNET: self._control}
        return all_learned(self.networks)

    def _copied(self, origin: Origin) -> tuple[Config, Module]:
        """The ControlNet as it was frozen, or the network's encoder behind convolutions that are 0."""
        device = str(self.device)
        if origin.frozen is not None:
            config = origin.configs[CONTROLNET]
            weights = origin.weights(CONTROLNET)
            component = trained_network(config, CONTROLNET)
            return config, load_trained(component, weights, device=device, dtype="float32")
        return copied(self.network, self.plan, device)

    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        told: Told,
        network: Callable[..., Any] | None = None,
    ) -> Tensor:
        """What the network predicts with the ControlNet beside it."""
        told = dict(told)
        hint = told.pop(HINT)
        timestep = timestep.to(self.device)
        control = self._control if network is None else self._learning_control
        with self.mixed():
            skips, middle = control(x, timestep, **told, controlnet_cond=hint, return_dict=False)
            output = (network or self.network)(
                x,
                timestep,
                **told,
                down_block_additional_residuals=skips,
                mid_block_additional_residual=middle,
                return_dict=False,
            )
        return cast("Tensor", output[0])

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
        drawn = (seen or feed.known(indices, ctx))[HINT]
        # as a picture of its own: three channels in [0, 1]
        return {**told, HINT: (drawn.float() / 255).expand(-1, 3, -1, -1)}

    def paint(self, ctx: Context) -> Tensor:
        """What the network paints by now, each behind its drawing: uint8 [n, 3, H, 2 W]."""
        painted = super().paint(ctx)
        indices = [number % len(self.feed) for number in range(len(painted))]
        drawn = self.feed.known(indices, ctx)[HINT].cpu().expand(-1, 3, -1, -1)
        return torch.cat([drawn, painted], dim=3)

    def result(self, weights: Weights) -> Result:
        """The ControlNet alone."""
        return Result(by_component(weights), self.configs)


def copied(network: Module, plan: Plan, device: str) -> tuple[Config, Module]:
    """A ControlNet before its first step, and its config: the network's encoder, and zeros on every way out."""
    from diffusers.models.controlnets.controlnet import ControlNetModel

    assert plan.hints is not None, "a ControlNet reads hints"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(noise.generator(plan.recipe.seed, INITIAL_WEIGHTS).initial_seed())
        # it is put together on the CPU, so that its first weights are the same on every machine
        control = ControlNetModel.from_unet(
            network, conditioning_embedding_out_channels=plan.hints.channels
        )
        # Zhang et al. begin with zeros on the drawing's way in as well. Those on the ways out suffice to change nothing
        # at first, and so the way in learns from the second step on; the error is as good or a little better for it
        cast("Any", control).controlnet_cond_embedding.conv_out.reset_parameters()
    return json.loads(control.to_json_string()), control.to(device)
