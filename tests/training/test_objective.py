"""The mathematics of training, against the papers' formulas and against what it is defined by."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.training_utils import compute_snr
from torch.nn import Parameter

from studio.diffusion import betas as schedules
from studio.diffusion import runtime
from studio.training.objective import Process, loss, sampled, timesteps
from studio.training.optimizing import BatchedMuon
from studio.training.recipe import HUBER_DELTA, TARGETS, scheduler_config

KINDS = {
    "linear": (0.0001, 0.02),
    "scaled_linear": (0.00085, 0.012),
    "quadratic": (0.00085, 0.012),
    "cosine": (0.0, 0.999),
    "sigmoid": (0.0001, 0.02),
}


def process(target: str = "epsilon", kind: str = "linear", steps: int = 1000) -> Process:
    """A process on one of the variance schedules."""
    given = None if target == "flow" else schedules.KINDS[kind](steps, *KINDS[kind])
    return Process.of(target, given)


# --- the forward process


@pytest.mark.parametrize("kind", KINDS)
def test_noising_in_one_go_has_the_distribution_of_noising_step_by_step(kind: str) -> None:
    """Mean and variance after 30 of 50 steps, of 20,000 chains; the bounds are four standard errors."""
    steps, chains, last = 50, 20_000, 29
    betas = schedules.KINDS[kind](steps, *KINDS[kind])
    draws = torch.Generator().manual_seed(1)
    picture = torch.full((chains, 1, 1, 1), 0.7)
    stepwise = picture.clone()
    for beta in betas[: last + 1]:
        fresh = torch.randn(stepwise.shape, generator=draws)
        stepwise = math.sqrt(1 - beta) * stepwise + math.sqrt(beta) * fresh
    index = torch.full((chains,), last)
    fresh = torch.randn(picture.shape, generator=draws)
    at_once = Process.of("epsilon", betas).noised(picture, fresh, index)
    variance = float(at_once.var())
    error = 4 * math.sqrt(2 * variance / chains)
    assert float(stepwise.mean()) == pytest.approx(float(at_once.mean()), abs=error)
    assert float(stepwise.var()) == pytest.approx(
        variance, abs=4 * variance * math.sqrt(4 / chains)
    )
    kept = math.prod(1 - beta for beta in betas[: last + 1])
    assert variance == pytest.approx(1 - kept, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_closed_form_is_that_of_diffusers(kind: str) -> None:
    betas = schedules.KINDS[kind](1000, *KINDS[kind])
    stock = DDPMScheduler(trained_betas=np.array(betas, np.float32))
    x, noise = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    index = torch.tensor([0, 1, 500, 998, 999])
    found = Process.of("epsilon", betas).noised(x, noise, index)
    assert torch.allclose(found, stock.add_noise(x, noise, index), atol=1e-5)
    velocity = Process.of("v_prediction", betas).wanted(x, noise, index)
    assert torch.allclose(velocity, stock.get_velocity(x, noise, index), atol=1e-5)


def test_linear_betas_are_those_of_ho_et_al() -> None:
    betas = schedules.linear(1000, 1e-4, 0.02)
    assert betas[0] == pytest.approx(1e-4)
    assert betas[-1] == pytest.approx(0.02)
    assert betas[499] == pytest.approx(1e-4 + 499 / 999 * (0.02 - 1e-4), rel=1e-5)


def test_cosine_keeps_what_nichol_and_dhariwal_say() -> None:
    kept = process("epsilon", "cosine").signal ** 2
    for t in (0, 250, 500, 900):
        f = [math.cos((u / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (t + 1, 0)]
        assert float(kept[t]) == pytest.approx(f[0] / f[1], rel=2e-4, abs=1e-6)


def test_flow_matching_is_a_straight_line_from_picture_to_noise() -> None:
    line = process("flow")
    x, noise = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    index = torch.tensor([0, 499, 999])
    assert torch.allclose(line.noised(x, noise, index)[1], (x[1] + noise[1]) / 2, atol=1e-6)
    assert torch.allclose(line.noised(x, noise, index)[2], noise[2], atol=1e-6)
    assert torch.equal(line.wanted(x, noise, index), noise - x)
    assert line.timestep(index).tolist() == [1, 500, 1000]


# --- targets and weights


@pytest.mark.parametrize("target", TARGETS)
def test_the_right_prediction_gives_back_picture_and_noise(target: str) -> None:
    made = process(target)
    x, noise = torch.randn(4, 3, 4, 4), torch.randn(4, 3, 4, 4)
    index = torch.tensor([10, 300, 700, 950])
    x_t = made.noised(x, noise, index)
    picture, drawn = made.split(x_t, made.wanted(x, noise, index), index)
    assert torch.allclose(picture, x, atol=2e-4)
    assert torch.allclose(drawn, noise, atol=2e-4)


@pytest.mark.parametrize("target", ["epsilon", "v_prediction", "sample"])
def test_min_snr_weights_are_those_of_hang_et_al(target: str) -> None:
    made = process(target)
    index = torch.tensor([0, 50, 200, 500, 999])
    stock = DDPMScheduler(beta_start=0.0001, beta_end=0.02)
    snr = compute_snr(stock, index)
    wanted = torch.minimum(snr, torch.tensor(5.0))
    if target == "epsilon":
        wanted = wanted / snr
    elif target == "v_prediction":
        wanted = wanted / (snr + 1)
    assert torch.allclose(made.weights(index, 5.0), wanted, rtol=1e-3)
    assert torch.equal(made.weights(index, 0.0), torch.ones(5))


def test_weighted_epsilon_and_picture_losses_agree_below_the_cap() -> None:
    """The weights make the losses of both targets one: |e|^2 min(SNR, g) / SNR = |x|^2 min(SNR, g)."""
    x, noise = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    index = torch.tensor([400, 800])
    by_noise, by_picture = process("epsilon"), process("sample")
    wrong = noise + 0.1 * torch.randn(noise.shape)
    x_t = by_noise.noised(x, noise, index)
    picture, _ = by_noise.split(x_t, wrong, index)
    one = loss(wrong, noise, by_noise.weights(index, 5.0), "l2")
    other = loss(picture, x, by_picture.weights(index, 5.0), "l2")
    assert float(one) == pytest.approx(float(other), rel=1e-3)


@pytest.mark.parametrize("kind", ["l2", "l1", "huber"])
def test_losses_are_what_torch_calls_so(kind: str) -> None:
    one, other = torch.randn(4, 3, 5, 5), torch.randn(4, 3, 5, 5)
    wanted = {
        "l2": torch.nn.functional.mse_loss(one, other),
        "l1": torch.nn.functional.l1_loss(one, other),
        "huber": torch.nn.functional.huber_loss(one, other, delta=HUBER_DELTA),
    }[kind]
    assert float(loss(one, other, torch.ones(4), kind)) == pytest.approx(float(wanted), rel=1e-5)
    first = loss(one, other, torch.tensor([4.0, 0, 0, 0]), kind)
    alone = loss(one[:1], other[:1], torch.ones(1), kind)
    assert float(first) == pytest.approx(float(alone), rel=1e-5)


def test_timesteps_come_one_from_each_share_and_reach_all() -> None:
    draws = torch.Generator().manual_seed(0)
    drawn = [timesteps(8, 1000, draws) for _ in range(400)]
    for several in drawn:
        assert (several // 125).tolist() == list(range(8))
    everything = torch.cat(drawn)
    assert everything.min() < 5
    assert everything.max() > 994
    assert float(everything.float().mean()) == pytest.approx(499.5, abs=15)


# --- painting


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_that_knows_the_answer_paints_it(target: str) -> None:
    made = process(target)
    picture = torch.rand(2, 3, 4, 4) * 2 - 1
    start = torch.randn(2, 3, 4, 4)

    def predict(x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        index = (timestep - 1 if target == "flow" else timestep).long()
        signal = made.signal[index].float().view(-1, 1, 1, 1)
        level = made.noise[index].float().view(-1, 1, 1, 1)
        return made.wanted(picture, (x_t - signal * picture) / level, index)

    found = sampled(made, predict, start, 10, is_bounded=True)
    assert torch.allclose(found, picture, atol=1e-3)


def test_painting_takes_the_steps_of_stock_ddim() -> None:
    made = process("epsilon")
    stock = DDIMScheduler.from_config(scheduler_config("epsilon", None))
    stock.set_timesteps(10)

    def predict(x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) * 0.5 + timestep.view(-1, 1, 1, 1) / 2000

    start = torch.randn(2, 3, 4, 4)
    wanted = start
    for t in stock.timesteps:
        prediction = predict(wanted, t.expand(2))
        wanted = stock.step(prediction, t, wanted).prev_sample
    found = sampled(made, predict, start, 10, is_bounded=False)
    assert torch.allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("is_fast", [True, False])
def test_muon_of_many_matrices_at_once_moves_each_as_torchs_own(
    is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda device: is_fast)
    draws = torch.Generator().manual_seed(0)
    shapes = [(8, 24), (8, 24), (24, 8), (6, 6)]
    first = [Parameter(torch.randn(shape, generator=draws)) for shape in shapes]
    second = [Parameter(weight.detach().clone()) for weight in first]
    single = torch.optim.Muon(first, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    batched = BatchedMuon(second, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for one, other in zip(first, second, strict=True):
            one.grad = torch.randn(one.shape, generator=draws)
            other.grad = one.grad.clone()
        single.step()  # type: ignore[no-untyped-call]  # torch's own
        batched.step()
        for one, other in zip(first, second, strict=True):
            # torch's orthogonalises in bfloat16, in another order; a step is some 3e-3 long
            torch.testing.assert_close(one, other, rtol=0, atol=1.5e-3)


@pytest.mark.parametrize(("kind", "known"), [("scaled_linear", True), ("sigmoid", False)])
def test_a_schedule_that_diffusers_knows_is_called_by_its_name(kind: str, known: bool) -> None:
    betas = schedules.KINDS[kind](1000, 0.00085, 0.012)
    config = scheduler_config("v_prediction", betas)
    assert ("trained_betas" in config) != known
    theirs = DDIMScheduler.from_config(config).betas
    assert theirs.tolist() == list(betas)
