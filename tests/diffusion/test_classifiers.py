"""Classifier guidance: its gradient, the rule of Bayes, and what an edit of it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import diffusers
import pytest
import torch
from torch import Tensor, nn

from studio.diffusion.classifiers import gradient, shifted
from studio.diffusion.levels import Levels, prediction
from studio.diffusion.windows import SOLVERS, Table, tabulate, trained_betas
from studio.engine import Cancel
from studio.errors import GraphError, NodeError
from studio.events import Event, Step
from studio.graph import Graph, Json
from studio.manifest import manifest
from studio.models.library import Library
from studio.store import Store
from studio.training.objective import Process
from studio.training.recipe import TARGETS
from studio.values import Schedule
from tests.bench import MACHINE, Bench, facts, fresh, linked, text_to_image, with_node
from tests.classifiers import CLASSES, guided, random_classifier, write_classifier


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench over a store in memory."""
    with Store(None) as store:
        yield Bench(store)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights."""
    return write_classifier(tmp_path_factory.mktemp("classifiers") / "random")


# --- the gradient


class Linear(nn.Module):
    """Logits that are a matrix times x_t."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix.T


@torch.inference_mode()
def test_the_gradient_of_a_linear_classifier_is_its_row_less_the_mean_of_all_rows() -> None:
    """d/dx log softmax(W x)_k = W_k - sum_j p_j W_j."""
    with torch.inference_mode(False):
        draws = torch.Generator().manual_seed(0)
        matrix = torch.randn(5, 12, generator=draws)
    x = torch.randn(2, 3, 2, 2, generator=draws)
    chances = (x.flatten(1) @ matrix.T).softmax(-1)
    wanted = matrix[3] - chances @ matrix
    found = gradient(Linear(matrix), x, torch.tensor(7), 3)
    torch.testing.assert_close(found.flatten(1), wanted)


@torch.inference_mode()
def test_the_gradient_of_our_network_is_the_slope_of_its_log_probability() -> None:
    with torch.inference_mode(False):
        network = random_classifier(3).double()
    draws = torch.Generator().manual_seed(1)
    x, along = torch.randn(2, 1, 4, 8, 8, generator=draws, dtype=torch.float64)
    # the softmax of attention is computed in float32
    step, t = 1e-3, torch.tensor([500])
    high, low = (torch.log_softmax(network(x + s * along, t), -1)[0, 1] for s in (step, -step))
    slope = (gradient(network, x, t, 1) * along).sum()
    assert float(slope) == pytest.approx(float((high - low) / (2 * step)), rel=1e-3)
    assert abs(float(slope)) > 1e-3


@pytest.mark.parametrize("target", TARGETS)
def test_at_strength_1_the_gradient_makes_the_best_denoiser_that_of_the_class(target: str) -> None:
    """Bayes: two classes of Gaussians, of which the best denoiser and the best classifier are known.

    x_0 of class y is N(m_y, s²), so x_t is N(a m_y, v) with v = a² s² + b², and E[x_0 | x_t, y] = m_y + a s² (x_t - a
    m_y) / v. Without y it is the mean of both, weighted by p(y | x_t), whose logarithm has a gradient in closed form.
    """
    means, spread = torch.tensor([-1.0, 2.0]).double(), 0.7
    betas = None if target == "flow" else [0.0001 + 0.0199 * i / 999 for i in range(1000)]
    process = Process.of(target, betas)
    x_t = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(2)).double()
    for timestep in (20, 400, 900):
        index = torch.tensor([timestep])
        a, b = float(process.signal[timestep]), float(process.noise[timestep])
        variance = a**2 * spread**2 + b**2

        def best(mean: Tensor, a: float = a, variance: float = variance) -> Tensor:
            return mean + a * spread**2 * (x_t - a * mean) / variance

        def predicted(picture: Tensor, a: float = a, b: float = b, at: Tensor = index) -> Tensor:
            return process.wanted(picture, (x_t - a * picture) / b, at)

        # of one pixel each, so that every pixel has its own class
        logs = -((x_t[..., None] - a * means) ** 2) / (2 * variance)
        chances = logs.softmax(-1)
        pictures = torch.stack([best(mean) for mean in means], -1)
        slopes = -(x_t[..., None] - a * means) / variance
        slope = slopes[..., 1] - (chances * slopes).sum(-1)
        found = shifted(predicted((chances * pictures).sum(-1)), slope, (a, b), target)
        torch.testing.assert_close(found, predicted(best(means[1])))


def test_a_learned_variance_stays_as_it_is() -> None:
    both = torch.randn(1, 6, 2, 2, generator=torch.Generator().manual_seed(3))
    moved = shifted(both, torch.ones(1, 3, 2, 2), (0.6, 0.8), "epsilon")
    torch.testing.assert_close(moved[:, :3], both[:, :3] - 0.8)
    assert torch.equal(moved[:, 3:], both[:, 3:])


# --- how noisy an input is


def scheduled(solver: str, **config: Json) -> Schedule:
    """A schedule of Stable Diffusion's noise."""
    name, overrides = SOLVERS[solver]
    own: dict[str, Json] = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "num_train_timesteps": 1000,
    }
    return Schedule(name, {**own, **overrides, **config}, 10)


def levels_of(schedule: Schedule) -> Levels:
    """The levels of a schedule."""
    betas = trained_betas(schedule.config)
    found = Levels.of(schedule, cast("list[float] | None", betas))
    assert found is not None
    return found


@pytest.mark.parametrize("rescale", [False, True])
def test_levels_are_those_of_diffusers(rescale: bool) -> None:
    schedule = scheduled("ddim", rescale_betas_zero_snr=rescale)
    theirs = diffusers.DDIMScheduler.from_config(dict(schedule.config)).alphas_cumprod
    ours = levels_of(schedule)
    for timestep in (0, 1, 500, 999):
        signal, noise = ours.at(timestep)
        assert signal**2 == pytest.approx(float(theirs[timestep]), rel=1e-4, abs=1e-9)
        assert signal**2 + noise**2 == pytest.approx(1)


@pytest.mark.parametrize("solver", ["euler", "heun", "dpm2", "dpmpp_2m", "unipc", "lms"])
@pytest.mark.parametrize("karras", [False, True])
def test_between_timesteps_levels_are_the_sigmas_of_the_solver(solver: str, karras: bool) -> None:
    schedule = scheduled(solver, use_karras_sigmas=karras)
    table, levels = Table.read(tabulate(schedule)), levels_of(schedule)
    for index in range(0, table.passes, 2):
        signal, noise = levels.at(table.timesteps[index])
        sigma = table.columns["sigmas"][index]
        assert sigma is not None
        # solvers round timesteps, and two passes of one step share a place in the table
        if sigma and not (solver == "dpm2" and index % 2):
            assert noise / signal == pytest.approx(sigma, rel=0.02)


def test_flow_matching_is_a_straight_line() -> None:
    for solver, config in (("flow_euler", {}), ("dpmpp_2m", {"use_flow_sigmas": True})):
        schedule = scheduled(solver, **config)
        assert prediction(schedule) == "flow"
        assert levels_of(schedule).at(250.0) == (0.75, 0.25)


# --- in the loop

TEN = text_to_image(scheduler={"steps": 10})


def test_it_raises_the_log_probability_that_the_classifier_gives_the_label(folder: Path) -> None:
    classifier = random_classifier(1)
    plain = TEN.set("noise", batch=4)
    led = [guided(plain, folder, label="tree", strength=strength) for strength in (10.0, 40.0)]
    label = CLASSES.index("tree")
    none, some, much = (
        torch.log_softmax(classifier(fresh(graph), torch.tensor([0])), -1)[:, label]
        for graph in (plain, *led)
    )
    assert bool((some > none).all()), (none, some)
    assert bool((much > some + 0.05).all()), (some, much)
    assert bool((much > none + 0.1).all()), (none, much)


def test_at_strength_0_it_is_none_to_the_last_bit(bench: Bench, folder: Path) -> None:
    bench.run(TEN)
    assert bench.run(guided(TEN, folder, strength=0.0)).model_calls == 0
    assert torch.equal(fresh(guided(TEN, folder, strength=0.0)), fresh(TEN))


@pytest.mark.parametrize(
    ("before", "after", "resumes"),
    [
        ({"start": 0.6}, {"start": 0.6, "strength": 4.0}, 6),
        ({"start": 0.6}, {"start": 0.6, "label": "house"}, 6),
        ({"end": 0.6}, {"end": 0.8}, 6),
        ({"strength": 1.0}, {"strength": 2.0}, 0),
        ({"label": "tree"}, {"label": "2"}, 10),
    ],
)
def test_an_edit_resumes_where_it_first_matters(
    before: dict[str, Json], after: dict[str, Json], resumes: int, bench: Bench, folder: Path
) -> None:
    bench.run(guided(TEN, folder, **before))
    latents, done = bench.latents(guided(TEN, folder, **after))
    assert torch.equal(latents, fresh(guided(TEN, folder, **after)))
    assert done.nodes["denoise"].from_step == resumes


def test_a_curve_that_changes_late_costs_the_late_steps(bench: Bench, folder: Path) -> None:
    def curved(last: float) -> Graph:
        points: list[Json] = [[0.0, 2.0], [0.7, last]]
        graph = guided(TEN, folder)
        graph = with_node(graph, "curve", "guidance_curve", {}, points=points, smooth=False)
        return linked(graph, "curve.guidance", "aim.curve")

    bench.run(curved(1.0))
    assert bench.run(curved(0.0)).nodes["denoise"].from_step == 7


@pytest.mark.parametrize("solver", ["ddim", "euler_ancestral", "dpmpp_2m", "heun", "pndm"])
def test_cancelled_in_the_middle_it_goes_on_to_the_very_same_end(
    solver: str, bench: Bench, folder: Path
) -> None:
    graph = guided(TEN.set("scheduler", solver=solver), folder, strength=5.0)
    cancel = Cancel()

    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.step == 5:
            cancel.set()

    bench.on_event = stop
    assert bench.run(graph, cancel=cancel).status == "cancelled"
    bench.on_event = None
    latents, done = bench.latents(graph)
    assert done.nodes["denoise"].from_step == 5
    assert torch.equal(latents, fresh(graph))
    assert not torch.equal(latents, fresh(TEN.set("scheduler", solver=solver)))


def test_a_picture_of_a_batch_is_what_it_is_alone(folder: Path) -> None:
    graph = guided(TEN, folder, strength=5.0)
    both = fresh(graph.set("noise", seed=7, batch=2))
    assert torch.equal(both[1:], fresh(graph.set("noise", seed=8)))


def test_the_gradients_of_two_are_added_up(folder: Path) -> None:
    one = guided(TEN, folder, strength=5.0)
    halves = guided(guided(TEN, folder, strength=2.0), folder, strength=3.0)
    torch.testing.assert_close(fresh(halves), fresh(one), atol=1e-3, rtol=1e-3)


def test_a_model_that_reads_no_text_is_guided_as_well(folder: Path) -> None:
    graph = TEN.set("denoise", guidance=1.0)
    assert not torch.equal(fresh(guided(graph, folder, strength=5.0)), fresh(graph))


def test_the_manifest_of_a_picture_names_its_classifier(bench: Bench, folder: Path) -> None:
    graph = guided(TEN, folder)
    bench.run(graph, "save")
    keyed = bench.keyed(graph, "save")
    written = manifest(
        keyed["save"], list(keyed.values()), bench.store, MACHINE.numerics, MACHINE.device
    )
    models = written["models"]
    assert isinstance(models, dict)
    described = Library((), facts()).describe(str(folder)).classifier
    assert described is not None
    assert models[f"{folder}/classifier"] == described.ref.digest


# --- what cannot be done is said


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            "treee",
            r'aim\.label: there is no label "treee"; did you mean "tree"\? the labels are house',
        ),
        ("7", r'there is no label "7"'),
        ("", r"aim\.label: no label is chosen; the labels are house, sailboat, tree, snowman"),
    ],
)
def test_a_label_that_is_none_is_refused_with_those_that_there_are(
    label: str, message: str, bench: Bench, folder: Path
) -> None:
    with pytest.raises(NodeError, match=message):
        bench.run(guided(TEN, folder, label=label))


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"latents": "sd1"}, "reads latents of sd1, and"),
        ({"in_channels": 3}, "reads 3 channels, and"),
        ({"downscale": 4}, "reads pictures at 4 px per latent"),
    ],
)
def test_a_classifier_for_other_latents_is_refused(
    fields: dict[str, Json], what: str, tmp_path: Path, bench: Bench
) -> None:
    other = write_classifier(tmp_path / "other", fields)
    with pytest.raises(GraphError, match=rf"denoise\.classifier_guidance: .* {what}"):
        bench.run(guided(TEN, other))


def test_a_classifier_of_other_noise_is_refused(tmp_path: Path, bench: Bench) -> None:
    config: dict[str, Json] = {"_class_name": "DDIMScheduler", "beta_schedule": "squaredcos_cap_v2"}
    other = write_classifier(tmp_path / "other", scheduler=config)
    with pytest.raises(GraphError, match="learned from noise that rises in another way"):
        bench.run(guided(TEN, other))


def test_levels_between_equal_neighbours_do_not_fail() -> None:
    levels = Levels((0.9, 0.0), 2)
    assert levels.at(0.5) == (math.sqrt(0.9), math.sqrt(1 - 0.9))
    assert levels.at(1.0) == (0.0, 1.0)
