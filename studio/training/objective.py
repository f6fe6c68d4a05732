"""What a denoising network learns: noise in closed form, the target to predict, and how much each timestep counts.

Timesteps are indices 0 … T - 1, int64 [B]; pictures or latents x_0 and noise are float32 [B, C, H, W].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.training.recipe import HUBER_DELTA, TRAIN_TIMESTEPS

Predict = Callable[[Tensor, Tensor], Tensor]
"""(x_t, timestep) -> prediction."""


@dataclass(frozen=True, eq=False)
class Process:
    """The forward process x_t = signal_t x_0 + noise_t noise, and what is predicted of it."""

    target: str
    signal: Tensor
    """float64 [T]."""
    noise: Tensor
    """float64 [T]."""

    @classmethod
    def of(cls, target: str, betas: Sequence[float] | None) -> Process:
        """The variance-preserving process of some betas, or the straight line of flow matching.

        Ho et al. 2020, eq. 4: alpha_bar_t is the product of 1 - beta_s. Lipman et al. 2023: the line from picture to
        noise, whose level is (t + 1) / T.
        """
        if target == "flow":
            level = torch.arange(1, TRAIN_TIMESTEPS + 1, dtype=torch.float64) / TRAIN_TIMESTEPS
            return cls(target, 1 - level, level)
        assert betas is not None, "a variance-preserving process has betas"
        kept = (1 - torch.tensor(betas, dtype=torch.float64)).cumprod(0)
        return cls(target, kept.sqrt(), (1 - kept).sqrt())

    @property
    def steps(self) -> int:
        """How many timesteps there are."""
        return len(self.signal)

    def timestep(self, index: Tensor) -> Tensor:
        """What the network is told of a timestep: its index, or in flow matching the level times T."""
        return index.float() + 1 if self.target == "flow" else index

    def noised(self, x: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """x_t, by the closed form."""
        signal, level = self._at(index, x)
        return signal * x + level * noise

    def wanted(self, x: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """What the network is to predict: noise, picture, v (Salimans & Ho 2022, eq. 12) or the flow's velocity."""
        if self.target == "epsilon":
            return noise
        if self.target == "sample":
            return x
        if self.target == "flow":
            return noise - x
        signal, level = self._at(index, x)
        return signal * noise - level * x

    def split(self, x_t: Tensor, prediction: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """The picture and the noise that a prediction takes x_t to be made of."""
        signal, level = self._at(index, x_t)
        if self.target == "epsilon":
            return (x_t - level * prediction) / signal.clamp(min=1e-4), prediction
        if self.target == "sample":
            return prediction, (x_t - signal * prediction) / level.clamp(min=1e-4)
        if self.target == "flow":
            return x_t - level * prediction, x_t + signal * prediction
        return signal * x_t - level * prediction, level * x_t + signal * prediction

    def weights(self, index: Tensor, min_snr: float) -> Tensor:
        """How much each item counts, float32 [B]: 1, or min-SNR weights (Hang et al. 2023, section 3.4)."""
        if not min_snr or self.target == "flow":
            return torch.ones(len(index))
        signal, level = self.signal[index], self.noise[index]
        snr = (signal / level) ** 2
        capped = snr.clamp(max=min_snr)
        if self.target == "epsilon":
            capped = capped / snr.clamp(min=1e-8)
        elif self.target == "v_prediction":
            capped = capped / (snr + 1)
        return capped.float()

    def _at(self, index: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1, 1, 1, 1)
        place = index.cpu()
        return self.signal[place].to(like).view(shape), self.noise[place].to(like).view(shape)


def loss(prediction: Tensor, wanted: Tensor, weights: Tensor, kind: str) -> Tensor:
    """The weighted mean over the batch of each item's mean loss."""
    difference = prediction.float() - wanted
    if kind == "l2":
        values = difference**2
    elif kind == "l1":
        values = difference.abs()
    else:
        size = difference.abs()
        square, straight = 0.5 * size**2, HUBER_DELTA * (size - 0.5 * HUBER_DELTA)
        values = torch.where(size <= HUBER_DELTA, square, straight)
    return (values.mean(dim=(1, 2, 3)) * weights.to(values)).mean()


def gaussian(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Gaussian noise, float32; an accelerator draws its own, other than a CPU's but the same each time."""
    if device.type == "cpu":
        return torch.randn(shape, generator=generator)
    own = torch.Generator(device).manual_seed(generator.initial_seed())
    return torch.randn(shape, generator=own, device=device)


def timesteps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """One timestep from each of ``count`` equal shares of the run, int64 [count]: so stratified, losses vary less."""
    places = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return (places * steps).long().clamp(max=steps - 1)


def sampled(
    process: Process, predict: Predict, x: Tensor, steps: int, *, is_bounded: bool
) -> Tensor:
    """Paint from noise by DDIM (Song et al. 2021, eq. 12, without fresh noise), at equal distances down to the picture.

    ``is_bounded``: pictures lie in [-1, 1], so what is predicted beyond is cut.
    """
    last = process.steps
    levels = [round(last * (steps - number) / steps) - 1 for number in range(steps)]
    for number, level in enumerate(levels):
        index = torch.full((len(x),), max(level, 0))
        prediction = predict(x, process.timestep(index))
        picture, noise = process.split(x, prediction.float(), index)
        if is_bounded:
            picture = picture.clamp(-1, 1)
        if number + 1 == steps:
            return picture
        after = torch.full((len(x),), max(levels[number + 1], 0))
        x = process.noised(picture, noise, after)
    return x
