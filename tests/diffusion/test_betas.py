"""Variance schedules: the numbers are diffusers' own, to the bit, and come without torch."""

from __future__ import annotations

import subprocess
import sys

import diffusers
import pytest
import torch

from studio.diffusion import betas

STABLE_DIFFUSION = (0.00085, 0.012)
HO_2020 = (0.0001, 0.02)


def _bits(numbers: tuple[float, ...]) -> torch.Tensor:
    assert all(float(torch.tensor(number)) == number for number in numbers), "not exact float32"
    return torch.tensor(numbers, dtype=torch.float32)


@pytest.mark.parametrize("ends", [STABLE_DIFFUSION, HO_2020], ids=["sd", "ho"])
@pytest.mark.parametrize("count", [1000, 100, 501, 2, 1])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("linear", "linear"),
        ("scaled_linear", "scaled_linear"),
        ("quadratic", "scaled_linear"),
        ("sigmoid", "sigmoid"),
    ],
)
def test_betas_are_bit_equal_to_those_of_ddpm(
    ours: str, theirs: str, count: int, ends: tuple[float, float]
) -> None:
    start, end = ends
    scheduler = diffusers.DDPMScheduler(
        num_train_timesteps=count, beta_start=start, beta_end=end, beta_schedule=theirs
    )
    assert torch.equal(_bits(betas.KINDS[ours](count, start, end)), scheduler.betas)


@pytest.mark.parametrize("kind", ["linear", "scaled_linear"])
@pytest.mark.parametrize("ends", [STABLE_DIFFUSION, HO_2020], ids=["sd", "ho"])
def test_betas_are_bit_equal_to_those_of_ddim(kind: str, ends: tuple[float, float]) -> None:
    scheduler = diffusers.DDIMScheduler(beta_start=ends[0], beta_end=ends[1], beta_schedule=kind)
    assert torch.equal(_bits(betas.KINDS[kind](1000, *ends)), scheduler.betas)


@pytest.mark.parametrize("count", [1000, 100, 1])
def test_cosine_betas_are_bit_equal_to_squaredcos_cap_v2(count: int) -> None:
    scheduler = diffusers.DDPMScheduler(
        num_train_timesteps=count, beta_schedule="squaredcos_cap_v2"
    )
    assert torch.equal(_bits(betas.cosine(count)), scheduler.betas)


def test_cosine_betas_are_capped() -> None:
    assert max(betas.cosine(1000, 0.0, 0.5)) == 0.5


def test_a_scheduler_given_our_betas_as_data_has_its_own_tables() -> None:
    named = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    given = diffusers.EulerDiscreteScheduler(
        trained_betas=list(betas.scaled_linear(1000, *STABLE_DIFFUSION))
    )
    assert torch.equal(named.sigmas, given.sigmas)
    assert torch.equal(named.alphas_cumprod, given.alphas_cumprod)


def test_betas_are_made_without_torch() -> None:
    code = "import sys; from studio.diffusion import betas; betas.sigmoid(9, .1, .2); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
