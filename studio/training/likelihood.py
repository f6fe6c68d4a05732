"""How many bits a diffusion model needs for the pictures of a data set: the variational bound on their likelihood.

Ho et al. 2020, eq. 5: L = L_T + sum of L_{t-1} over t = 2 … T + L_0. L_T and L_{t-1} are divergences between Gaussians
(Sohl-Dickstein et al. 2015, eq. 14), L_0 is the discrete decoder of section 3.3. Timesteps are indices 0 … T - 1 here,
so that L_0 belongs to index 0. Pixels are float32 [B, 3, H, W] in [-1, 1], of 256 values each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from studio.training.objective import Process

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x_t, index [B]) -> the picture that the network takes x_t to be of."""

_HALF = 1 / 255
"""Half the distance of two pixel values in [-1, 1]."""
_LEAST = 1e-12
"""Probability below which a pixel value counts as this improbable, as in Ho et al.'s own program."""


@dataclass(frozen=True, eq=False)
class Chain:
    """The Gaussians of a variance-preserving process: float64 [T] each."""

    kept: Tensor
    """alpha_bar."""
    of_picture: Tensor
    """What of x_0 the mean of q(x_{t-1} | x_t, x_0) has (eq. 7)."""
    of_noisy: Tensor
    """What of x_t it has."""
    posterior: Tensor
    """Its variance, beta~ (eq. 7); 0 at index 0."""
    reverse: Tensor
    """The variance of p(x_{t-1} | x_t)."""

    @classmethod
    def of(cls, kept: Sequence[float], variance: str) -> Chain:
        """``kept``: alpha_bar by timestep. ``variance`` of the reverse steps: ``small`` (beta~) or ``large`` (beta)."""
        now = torch.tensor(kept, dtype=torch.float64)
        before = torch.cat([torch.ones(1, dtype=torch.float64), now[:-1]])
        beta = 1 - now / before
        posterior = beta * (1 - before) / (1 - now)
        reverse = posterior.clone() if variance == "small" else beta.clone()
        if len(now) > 1:
            # beta~ of index 0 is 0, of which no Gaussian is made: Ho et al. take that of index 1 there, for either kind
            reverse[0] = posterior[1]
        return cls(
            now,
            before.sqrt() * beta / (1 - now),
            (now / before).sqrt() * (1 - before) / (1 - now),
            posterior,
            reverse,
        )

    @property
    def steps(self) -> int:
        """How many timesteps there are."""
        return len(self.kept)

    def prior(self, x: Tensor) -> Tensor:
        """L_T in nats, of each picture: float64 [B], a mean over its numbers."""
        kept = float(self.kept[-1])
        variance = 1 - kept
        terms = 0.5 * (variance + kept * x.double() ** 2 - 1 - math.log(variance))
        return terms.mean((1, 2, 3))

    def step(self, x: Tensor, noise: Tensor, index: Tensor, denoise: Denoise) -> Tensor:
        """L_{t-1} in nats of each picture at its ``index``, 1 or more: float64 [B], a mean over its numbers."""
        mean, told = self._means(x, noise, index, denoise)
        true, ours = self._at(self.posterior, index, mean), self._at(self.reverse, index, mean)
        terms = 0.5 * ((ours / true).log() + (true + (mean - told) ** 2) / ours - 1)
        return terms.mean((1, 2, 3))

    def decoder(self, x: Tensor, noise: Tensor, denoise: Denoise) -> Tensor:
        """L_0 in nats of each picture: float64 [B], a mean over its numbers (section 3.3, eq. 13)."""
        index = torch.zeros(len(x), dtype=torch.long)
        _, told = self._means(x, noise, index, denoise)
        return -log_probability(x, told, float(self.reverse[0]) ** 0.5).mean((1, 2, 3))

    def _means(
        self, x: Tensor, noise: Tensor, index: Tensor, denoise: Denoise
    ) -> tuple[Tensor, Tensor]:
        """The means of q(x_{t-1} | x_t, x_0) and of p(x_{t-1} | x_t): float64."""
        kept = self._at(self.kept, index, x)
        x_t = kept.sqrt() * x.double() + (1 - kept).sqrt() * noise.double()
        found = denoise(x_t.float(), index).double()
        picture, noisy = self._at(self.of_picture, index, x), self._at(self.of_noisy, index, x)
        return picture * x.double() + noisy * x_t, picture * found + noisy * x_t

    def _at(self, values: Tensor, index: Tensor, like: Tensor) -> Tensor:
        return values[index.cpu()].to(like.device).view(-1, 1, 1, 1)


def log_probability(x: Tensor, mean: Tensor, deviation: float) -> Tensor:
    """ln of the share of a Gaussian that falls to a pixel's value; lowest and highest take the rest (eq. 13)."""
    x = x.double()
    low = torch.special.ndtr((x - _HALF - mean) / deviation)
    high = torch.special.ndtr((x + _HALF - mean) / deviation)
    low = torch.where(x < -1 + _HALF, torch.zeros_like(low), low)
    high = torch.where(x > 1 - _HALF, torch.ones_like(high), high)
    return (high - low).clamp(min=_LEAST).log()


def picture_of(process: Process, predict: Denoise, *, is_clipped: bool) -> Denoise:
    """What a network's prediction, whatever it predicts, takes x_t to be of; cut to [-1, 1] on demand."""

    def denoise(x_t: Tensor, index: Tensor) -> Tensor:
        picture, _ = process.split(x_t, predict(x_t, index), index)
        return picture.clamp(-1, 1) if is_clipped else picture

    return denoise


@dataclass(frozen=True, eq=False)
class Bound:
    """The bound of some pictures in bits per dimension, float64 [N] each."""

    prior: Tensor
    steps: Tensor
    """[N, Q]: by quarter of the timesteps, the least noisy first."""
    decoder: Tensor

    @property
    def total(self) -> Tensor:
        """Of each picture."""
        return self.prior + self.steps.sum(1) + self.decoder

    @classmethod
    def joined(cls, parts: Sequence[Bound]) -> Bound:
        """Of several batches."""
        return cls(
            torch.cat([part.prior for part in parts]),
            torch.cat([part.steps for part in parts]),
            torch.cat([part.decoder for part in parts]),
        )


def bound(
    chain: Chain,
    x: Tensor,
    denoise: Denoise,
    draws: torch.Generator,
    looks: int,
    bands: int = 4,
) -> Bound:
    """The bound of a batch: the sum over timesteps by ``looks`` of them a picture, one from each of as many shares.

    All of them where there are as many looks. ``denoise`` is called once more, for the decoder.
    """
    count, last = len(x), chain.steps - 1
    looks = min(looks, last)

    def drawn() -> Tensor:
        return torch.randn(x.shape, generator=draws).to(x.device)

    edges = [look * last / looks for look in range(looks + 1)] if looks else []
    sums = torch.zeros(count, bands, dtype=torch.float64)
    for low, high in pairwise(edges):
        places = low + (high - low) * torch.rand(count, generator=draws)
        index = 1 + places.long().clamp(max=last - 1)
        terms = chain.step(x, drawn(), index, denoise).cpu() * (last / looks)
        sums.scatter_add_(1, (index * bands // chain.steps)[:, None], terms[:, None])
    decoder = chain.decoder(x, drawn(), denoise).cpu()
    nats = math.log(2)
    return Bound(chain.prior(x).cpu() / nats, sums / nats, decoder / nats)
