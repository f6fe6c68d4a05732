"""Teaching a variational autoencoder: keep a picture in few numbers, and paint it again (Kingma & Welling 2013)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import Module, functional

from studio.diffusion import noise
from studio.errors import NodeError
from studio.graph import Json
from studio.registry import Context
from studio.training.feeding import Feed
from studio.training.painting import scene_of
from studio.training.task import (
    Config,
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
from studio.training.vae_plan import COMPONENT, Balance, VaePlan
from studio.values import Scenes

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

_SCALES = (2, 4, 8)
_VALIDATED = 200
"""So many pictures of a validation set are measured."""
_MEASURED = 2000
"""So many pictures tell how the latents are distributed."""
_AT_ONCE = 32
"""So many whole pictures are looked at together."""
_LEAST_ERROR = 1e-10
"""Squared error of a picture that counts as none: 100 dB."""


class Autoencoding(Task):
    """Teaches an autoencoder to paint again what it has encoded, from latents near the normal distribution."""

    def __init__(self, plan: VaePlan, ctx: Context, origin: Origin) -> None:
        """Raises NodeError if the latents of the given network cannot be whitened."""
        self.plan = plan
        self.recipe = plan.recipe
        self.device = torch.device(ctx.pool.device)
        self.is_mixed = mixes(self.recipe.precision, self.device)
        self.feed = Feed(plan.dataset, plan.recipe.seed, self.device, None)
        self._looked_at = (
            Feed(plan.validation, plan.recipe.seed, self.device, None)
            if plan.validation is not None
            else self.feed
        )
        self._ctx = ctx
        config, network = origin.network(COMPONENT, plan.network, self.recipe.seed, ctx)
        self.network = cast("AutoencoderKL", network)
        if plan.is_whitened and not (self.network.quant_conv and self.network.post_quant_conv):
            raise NodeError(
                "has no quant_conv and post_quant_conv, which whitening goes into",
                where=".vae",
                remedy="switch whiten off, or begin with a new_vae",
            )
        laid_out(network, self.device, is_mixed=self.is_mixed)
        self.configs: dict[str, Config] = {COMPONENT: config}
        self.networks = {COMPONENT: network}
        self.learned = all_learned(self.networks)
        if plan.is_decoder_only:
            # without a gradient no optimizer moves it
            for part in (self.network.encoder, self.network.quant_conv):
                if part is not None:
                    part.requires_grad_(False)
        self._learning = compiled(
            _Repainting(self.network), self.device, is_wanted=self.recipe.is_compiled
        )

    def verify(self, ctx: Context) -> None:
        """Raise NodeError if the pictures cannot all be read."""
        self.feed.examples.verify(ctx.progress)

    # --- learning

    def loss(self, number: int, ctx: Context) -> Tensor:
        """The loss of a batch of squares, or of as many pixels in whole pictures in the last part."""
        recipe, plan = self.recipe, self.plan
        draws = noise.generator(recipe.seed, number)
        first, count = number * recipe.batch, recipe.batch
        if self.is_late:
            count = max(1, count * plan.crop**2 // plan.dataset.size**2)
        pictures = self.feed.batch(range(first, first + count), ctx)
        if not self.is_late:
            pictures = squares(pictures, plan.crop, plan.downscale, draws)
        side = pictures.shape[-1] // plan.downscale
        shape = (len(pictures), self.network.config.latent_channels, side, side)
        drawn = torch.randn(shape, generator=draws).to(self.device)
        with self.mixed():
            painted, mean, log_variance = self._learning(pictures, drawn)
        balance = plan.final if self.is_late else plan.balance
        return distance(painted - pictures, balance) + balance.kl * divergence(mean, log_variance)

    # --- looking

    def paint(self, ctx: Context) -> Tensor:
        """Pictures above what the autoencoder makes of them: uint8 [n, 3, 2 H, W]."""
        feed = self._looked_at
        indices = [number % len(feed) for number in range(self.recipe.samples)]
        pairs = list(self._repainted(feed, indices, ctx))
        return torch.cat([torch.cat(pair, dim=2) for pair in pairs])

    def validate(self, ctx: Context) -> dict[str, float]:
        """The mean PSNR of whole pictures in dB; of scenes that of each style as well."""
        validation = self.plan.validation
        if validation is None:
            return {}
        indices = range(min(_VALIDATED, validation.count))
        ratios = torch.cat(
            [psnr(*pair) for pair in self._repainted(self._looked_at, indices, ctx)]
        ).tolist()
        measured = {"psnr": sum(ratios) / len(ratios)}
        if isinstance(validation.pictures, Scenes):
            by_style: dict[str, list[float]] = {}
            for index, ratio in zip(indices, ratios, strict=True):
                style = scene_of(validation.pictures, index).style
                by_style.setdefault(style, []).append(ratio)
            if len(by_style) > 1:
                measured |= {
                    f"psnr_{style}": sum(several) / len(several)
                    for style, several in sorted(by_style.items())
                }
        return measured

    def _repainted(
        self, feed: Feed, indices: Sequence[int], ctx: Context
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures and what the autoencoder makes of them: uint8 [n, 3, H, W] each, on the CPU."""
        for first in range(0, len(indices), _AT_ONCE):
            ctx.check()
            pictures = feed.pictures(indices[first : first + _AT_ONCE], ctx)
            mean = self.network.encode(pictures, return_dict=False)[0].mean
            painted = self.network.decode(mean, return_dict=False)[0]
            yield _bytes(pictures), _bytes(painted)

    # --- the result

    def result(self, weights: Weights) -> Result:
        """The autoencoder, the distribution of its latents brought to mean 0 and variance 1."""
        config = dict(self.configs[COMPONENT])
        made = by_component(weights)[COMPONENT]
        if self.plan.is_whitened:
            with self.looking({name: weight.to(self.device) for name, weight in weights.items()}):
                means, log_variances = self._latents()
            made |= whitened(made, means, log_variances)
            neutral: dict[str, Json] = {
                "scaling_factor": 1.0,
                "shift_factor": None,
                "latents_mean": None,
                "latents_std": None,
            }
            config |= neutral
        return Result({COMPONENT: made}, {COMPONENT: config})

    def _latents(self) -> tuple[Tensor, Tensor]:
        """Means and logarithms of variances of training pictures' latents: float32 [n, C] each, on the CPU."""
        indices = self.feed.indices(range(min(_MEASURED, len(self.feed))))
        means, log_variances = [], []
        for first in range(0, len(indices), _AT_ONCE):
            self._ctx.check()
            pictures = self.feed.pictures(indices[first : first + _AT_ONCE], self._ctx)
            posterior = self.network.encode(pictures, return_dict=False)[0]
            means.append(posterior.mean.cpu().movedim(1, -1).flatten(0, 2))
            log_variances.append(posterior.logvar.cpu().movedim(1, -1).flatten(0, 2))
        return torch.cat(means), torch.cat(log_variances)


class _Repainting(Module):
    """An autoencoder's whole way, as one network that can be translated."""

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is painted of pictures, and means and logarithms of variances of the latents: float32.

        ``drawn``, float32 [B, C, h, w], is the noise that the posterior is sampled with (reparameterisation).
        """
        network = self.network
        moments = network.encoder(pictures)
        if network.quant_conv is not None:
            moments = network.quant_conv(moments)
        mean, log_variance = moments.float().chunk(2, dim=1)
        # as diffusers bounds it
        log_variance = log_variance.clamp(-30, 20)
        latents = mean + torch.exp(0.5 * log_variance) * drawn
        if network.post_quant_conv is not None:
            latents = network.post_quant_conv(latents)
        return network.decoder(latents).float(), mean, log_variance


# --- the loss


def distance(error: Tensor, balance: Balance) -> Tensor:
    """What a picture's loss is, by its error: float32 [B, 3, H, W] in units of [-1, 1]; all parts are means."""
    total = error.new_zeros(())
    if balance.l1:
        total = total + balance.l1 * error.abs().mean()
    if balance.mse:
        total = total + balance.mse * error.square().mean()
    # differences, averages and grey are linear: those of two pictures differ by those of the error
    if balance.gradient:
        across = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
        down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        total = total + balance.gradient * (across + down)
    if balance.scales:
        pooled = [functional.avg_pool2d(error, side).abs().mean() for side in _SCALES]
        total = total + balance.scales * torch.stack(pooled).mean()
    if balance.chroma:
        total = total + balance.chroma * (error - error.mean(dim=1, keepdim=True)).abs().mean()
    return total


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of the posterior from the normal distribution, in nats a latent (Kingma & Welling 2013, B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def squares(pictures: Tensor, side: int, step: int, draws: torch.Generator) -> Tensor:
    """A square of each picture, at multiples of ``step``: float32 [B, 3, side, side]."""
    count, _, height, width = pictures.shape
    if side >= min(height, width):
        return pictures
    top = torch.randint((height - side) // step + 1, (count,), generator=draws) * step
    left = torch.randint((width - side) // step + 1, (count,), generator=draws) * step
    along = torch.arange(side)
    device = pictures.device
    rows = (top[:, None] + along)[:, :, None].to(device)
    columns = (left[:, None] + along)[:, None, :].to(device)
    each = torch.arange(count, device=device)[:, None, None]
    return pictures[each, :, rows, columns].movedim(-1, 1)


def psnr(one: Tensor, other: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, float64 [B], of uint8 [B, 3, H, W]; 100 without any error."""
    error = (one.double() - other.double()) / 255
    return -10 * error.square().mean(dim=(1, 2, 3)).clamp(min=_LEAST_ERROR).log10()


# --- the latents


def whitened(weights: Weights, means: Tensor, log_variances: Tensor) -> dict[str, Tensor]:
    """The two convolutions around the latents, such that those have mean 0, variance 1 and no correlations.

    ``means`` and ``log_variances``: float32 [n, C], of the posteriors of many latents. What is decoded stays the same
    but for rounding. The posterior's variances are those of the turned latents on average; a covariance between
    channels, which the turn gives them, has no place in a diagonal posterior.
    """
    samples = means.double()
    center = samples.mean(dim=0)
    covariance = torch.cov(samples.T, correction=0).reshape(len(center), -1)
    scales, axes = torch.linalg.eigh(covariance)
    scales = scales.clamp(min=1e-12)
    # of all matrices that whiten, the symmetric one turns the channels least (Kessy et al. 2018)
    whitening = axes @ torch.diag(scales.rsqrt()) @ axes.T
    colouring = axes @ torch.diag(scales.sqrt()) @ axes.T

    shares = whitening.square() / whitening.square().sum(dim=1, keepdim=True)
    turned = (log_variances.double().exp() @ whitening.square().T).log().mean(dim=0)
    shift = turned - shares @ log_variances.double().mean(dim=0)

    count = len(center)
    encode, offset = weights["quant_conv.weight"], weights["quant_conv.bias"]
    decode, constant = weights["post_quant_conv.weight"], weights["post_quant_conv.bias"]
    rows = encode.double().flatten(1)
    columns = decode.double().flatten(1)
    return {
        "quant_conv.weight": torch.cat([whitening @ rows[:count], shares @ rows[count:]])
        .reshape(encode.shape)
        .to(encode.dtype),
        "quant_conv.bias": torch.cat(
            [
                whitening @ (offset[:count].double() - center),
                shares @ offset[count:].double() + shift,
            ]
        ).to(offset.dtype),
        "post_quant_conv.weight": (columns @ colouring).reshape(decode.shape).to(decode.dtype),
        "post_quant_conv.bias": (columns @ center + constant.double()).to(constant.dtype),
    }


def _bytes(signal: Tensor) -> Tensor:
    return ((signal.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
