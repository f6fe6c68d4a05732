"""Bits per dimension: the bound where it is known in closed form, and the node that measures a model by it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor

from studio.diffusion import noise
from studio.diffusion.betas import linear
from studio.events import Failed, Measured
from studio.graph import Graph
from studio.store import Store
from studio.training.likelihood import Chain, bound, log_probability, picture_of
from studio.training.objective import Process
from studio.training.recipe import TARGETS
from studio.values import Trained
from tests.bench import with_node
from tests.training.test_classifier_training import colours
from tests.training.test_labels import learning
from tests.training.tiny import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def kept_of(betas: tuple[float, ...]) -> list[float]:
    """alpha_bar by timestep."""
    kept: list[float] = torch.tensor(betas, dtype=torch.float64).neg().add(1).cumprod(0).tolist()
    return kept


# --- the closed form


@pytest.mark.parametrize("variance", ["small", "large"])
def test_gaussian_pictures_and_the_best_denoiser_need_the_bits_that_the_formulas_say(
    variance: str,
) -> None:
    """x_0 ~ N(m, s²), of which E[x_0 | x_t] = m + a s² (x_t - a m) / (a² s² + b²), with variance s² b² / (a² s² + b²).

    So the expected squared distance of the means in L_{t-1} is c0² times that variance (eq. 8), and the decoder, whose
    Gaussian is wide beside a pixel's interval, has the density of x_0 times the interval's width.
    """
    mean, spread, steps = 0.1, 0.3, 20
    chain = Chain.of(kept_of(linear(steps, 0.02, 0.4)), variance)
    expected = {"prior": 0.0, "steps": 0.0, "decoder": 0.0}
    for t in range(steps):
        kept = float(chain.kept[t])
        uncertain = spread**2 * (1 - kept) / (kept * spread**2 + 1 - kept)
        ours = float(chain.reverse[t])
        if t == 0:
            density = 0.5 * math.log(2 * math.pi * ours) + uncertain / (2 * ours)
            expected["decoder"] = density - math.log(2 / 255)
        else:
            true, share = float(chain.posterior[t]), float(chain.of_picture[t])
            expected["steps"] += 0.5 * (
                math.log(ours / true) + (true + share**2 * uncertain) / ours - 1
            )
    last = float(chain.kept[-1])
    square = mean**2 + spread**2
    expected["prior"] = 0.5 * (1 - last + last * square - 1 - math.log(1 - last))

    def denoise(x_t: Tensor, index: Tensor) -> Tensor:
        kept = chain.kept[index].view(-1, 1, 1, 1)
        a, b2 = kept.sqrt(), 1 - kept
        return mean + a * spread**2 * (x_t.double() - a * mean) / (kept * spread**2 + b2)

    draws = torch.Generator().manual_seed(0)
    x = mean + spread * torch.randn(64, 3, 16, 16, generator=draws)
    for looks in (steps - 1, 5):
        found = bound(chain, x, denoise, draws, looks)
        for name, values in (
            ("prior", found.prior),
            ("steps", found.steps.sum(1)),
            ("decoder", found.decoder),
        ):
            error = float(values.std()) / 8
            assert float(values.mean()) == pytest.approx(
                expected[name] / math.log(2), abs=4 * error + 1e-3
            ), (name, looks)


def test_every_quarter_of_the_timesteps_has_its_own_terms() -> None:
    """Looked at one by one, and all at once."""
    chain = Chain.of(kept_of(linear(8, 0.05, 0.4)), "small")
    x = torch.zeros(2, 3, 4, 4)

    def denoise(x_t: Tensor, index: Tensor) -> Tensor:
        return x_t * 0.5

    found = bound(chain, x, denoise, torch.Generator().manual_seed(3), 7)
    draws = torch.Generator().manual_seed(3)
    wanted = torch.zeros(2, 4, dtype=torch.float64)
    for t in range(1, 8):
        torch.rand(2, generator=draws)
        noise = torch.randn(x.shape, generator=draws)
        wanted[:, t // 2] += chain.step(x, noise, torch.tensor([t, t]), denoise)
    torch.testing.assert_close(found.steps, wanted / math.log(2))


def test_the_posterior_is_that_of_diffusers() -> None:
    scheduler: Any = DDPMScheduler(num_train_timesteps=100, beta_schedule="linear")
    chain = Chain.of(kept_of(linear(100, 0.0001, 0.02)), "small")
    for t in (1, 50, 99):
        assert float(chain.posterior[t]) == pytest.approx(
            float(scheduler._get_variance(t)), rel=1e-3
        )
    x = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x_t = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    stock: Any = DDPMScheduler(num_train_timesteps=100, prediction_type="sample", clip_sample=False)
    for t in (0, 1, 50, 99):
        # the noise that it adds is the same, and falls out
        one, none = (
            stock.step(a, t, b, generator=torch.Generator().manual_seed(2)).prev_sample
            for a, b in ((x, x_t), (0 * x, 0 * x_t))
        )
        ours = float(chain.of_picture[t]) * x + float(chain.of_noisy[t]) * x_t
        # diffusers computes 1 - alpha_bar of the first timesteps in float32
        torch.testing.assert_close(ours, one - none, atol=3e-4, rtol=1e-3)


def test_the_probabilities_of_all_values_of_a_pixel_add_up_to_one() -> None:
    values = (torch.arange(256) / 127.5 - 1).view(-1, 1, 1, 1)
    for mean, deviation in ((0.03, 0.05), (-0.99, 0.2), (1.5, 0.4)):
        found = log_probability(values, torch.tensor(mean), deviation)
        assert float(found.exp().sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "flow"])
def test_whatever_a_network_predicts_its_picture_is_the_same(target: str) -> None:
    process = Process.of(target, linear(1000, 0.0001, 0.02))
    draws = torch.Generator().manual_seed(5)
    x, noise = torch.randn(2, 2, 3, 4, 4, generator=draws)
    index = torch.tensor([3, 600])
    x_t = process.noised(x, noise, index)

    def predict(x_t: Tensor, index: Tensor) -> Tensor:
        return process.wanted(x, noise, index)

    found = picture_of(process, predict, is_clipped=False)(x_t, index)
    torch.testing.assert_close(found, x, atol=1e-4, rtol=1e-4)
    clipped = picture_of(process, predict, is_clipped=True)(x_t, index)
    assert float(clipped.abs().max()) == 1


# --- the node


def measured(studio: Studio, graph: Graph) -> dict[str, float]:
    """What a run of the node measures."""
    done = studio.run(graph, "bits")
    assert done.status == "ok", [event for event in studio.events if isinstance(event, Failed)]
    found = [event for event in studio.events if isinstance(event, Measured)]
    return next(dict(one.values) for one in found if one.node == "bits")


def test_training_lowers_the_bits_and_they_are_shown(tmp_path: Path, studio: Studio) -> None:
    folder = colours(tmp_path / "colours")
    few: dict[str, Any] = {"pictures": 8, "looks": 16, "batch": 4}
    found = []
    for steps in (1, 120):
        graph = learning(folder, steps=steps, batch=16, learning_rate=0.01, target="epsilon")
        sources = {"model": "train.model", "dataset": "data.dataset"}
        graph = with_node(graph, "bits", "bits_per_dimension", sources, **few)
        found.append(measured(studio, graph))
        image = studio.image(graph, "bits")
        assert image.shape[1] == 3
        assert 0 < float((image == 0).float().mean()) < 0.2
    before, after = found
    assert after["bits_per_dimension"] < 0.8 * before["bits_per_dimension"]
    parts = sum(value for name, value in after.items() if name != "bits_per_dimension")
    assert after["bits_per_dimension"] == pytest.approx(parts, rel=1e-6)


def test_it_is_the_bound_of_the_networks_own_predictions(tmp_path: Path, studio: Studio) -> None:
    """All timesteps of one picture, one by one, by diffusers' network."""
    graph = learning(colours(tmp_path / "colours"), target="v_prediction")
    betas: dict[str, Any] = {
        "num_train_timesteps": 12,
        "beta_start": 0.01,
        "beta_end": 0.3,
        "kind": "linear",
    }
    graph = with_node(graph, "betas", "beta_schedule", {}, **betas)
    graph = graph.connect("betas", "betas", "train", "betas")
    sources = {"model": "train.model", "dataset": "data.dataset"}
    asked: dict[str, Any] = {"pictures": 1, "looks": 11, "batch": 1, "seed": 4, "clip": False}
    graph = with_node(graph, "bits", "bits_per_dimension", sources, **asked)
    found = measured(studio, graph)
    value = studio.stored(graph, "train", "trained")
    assert isinstance(value, Trained)
    network: Any = UNet2DModel.from_config(dict(value.configs["unet"]))
    network.load_state_dict(dict(value.weights["unet"]))
    network.eval()
    chain = Chain.of(kept_of(linear(12, 0.01, 0.3)), "large")
    draws = noise.generator(4, -200)
    x = torch.full((1, 3, 16, 16), 0.0)
    x[0] = (torch.tensor([20, 40, 200]) / 127.5 - 1).view(3, 1, 1)

    def denoise(x_t: Tensor, index: Tensor) -> Tensor:
        kept = chain.kept[index].float().view(-1, 1, 1, 1)
        with torch.no_grad():
            v = network(x_t, index, class_labels=torch.tensor([0])).sample
        found: Tensor = kept.sqrt() * x_t - (1 - kept).sqrt() * v
        return found

    terms = 0.0
    for t in range(1, 12):
        torch.rand(1, generator=draws)
        drawn = torch.randn(x.shape, generator=draws)
        terms += float(chain.step(x, drawn, torch.tensor([t]), denoise))
    last = float(chain.decoder(x, torch.randn(x.shape, generator=draws), denoise))
    total = (terms + last + float(chain.prior(x))) / math.log(2)
    assert found["bits_per_dimension"] == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize(
    ("train", "what"), [({"target": "flow"}, "has no variance schedule, of whose steps")]
)
def test_a_model_of_which_there_is_no_bound_is_refused(
    train: dict[str, object], what: str, tmp_path: Path, studio: Studio
) -> None:
    graph = learning(colours(tmp_path / "colours"), **train)
    sources = {"model": "train.model", "dataset": "data.dataset"}
    graph = with_node(graph, "bits", "bits_per_dimension", sources)
    studio.run(graph, "bits")
    (failed,) = (event for event in studio.events if isinstance(event, Failed))
    assert what in failed.what
    assert failed.where == "bits.model"


def test_a_model_of_latents_is_refused(studio: Studio) -> None:
    graph = with_node(Graph(), "model", "load_unet", {})
    graph = with_node(graph, "data", "scene_painter", {}, size=32, count=4)
    sources = {"model": "model.model", "dataset": "data.dataset"}
    graph = with_node(graph, "bits", "bits_per_dimension", sources)
    studio.run(graph, "bits")
    (failed,) = (event for event in studio.events if isinstance(event, Failed))
    assert failed.what == '"starter" does not paint pixels alone, of which bits are counted'
