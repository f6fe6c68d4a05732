"""Solvers: every scheduler runs as diffusers runs it and resumes bit for bit at every step."""

from __future__ import annotations

import copy
import dataclasses
import io
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers
import pytest
import torch
from _pytest.mark import ParameterSet

from studio.diffusion import noise as noises
from studio.diffusion import windows
from studio.diffusion.solvers import Solver, tabulate
from studio.diffusion.windows import Table
from studio.errors import NodeError
from studio.graph import Json
from studio.keys import digest
from studio.values import Noise, Schedule

# diffusers mixes tensors and arrays in ways that numpy 2 warns about
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

SD: Mapping[str, Json] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
FLOW: Mapping[str, Json] = {
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "flow_shift": 3.0,
}
V: Mapping[str, Json] = {"prediction_type": "v_prediction"}
KARRAS: Mapping[str, Json] = {"use_karras_sigmas": True}
ARGUMENTS: tuple[str, ...] = ("eta", "s_churn", "s_noise")
N = 6


def _schedule(name: str, /, *steps: int, **changes: Json) -> Schedule:
    solver, fixed = windows.SOLVERS[name]
    args = {key: changes.pop(key) for key in ARGUMENTS if key in changes}
    return Schedule(solver, {**SD, **fixed, **changes}, sum(steps) or N, None, args)


def _row(name: str, /, *steps: int, **changes: Json) -> ParameterSet:
    label = " ".join(
        [name, *(f"{key}={value}" for key, value in changes.items()), *map(str, steps)]
    )
    return pytest.param(_schedule(name, *steps, **changes), id=label)


ROWS = [
    _row("ddpm"),
    _row("ddpm", **V, clip_sample=True),
    _row("ddpm", variance_type="fixed_large", thresholding=True),
    _row("ddim"),
    _row("ddim", **V, timestep_spacing="trailing"),
    _row("ddim", eta=0.7, clip_sample=True),
    _row("ddim", prediction_type="sample"),
    _row("pndm"),
    _row("pndm", 4, **V),
    _row("plms"),
    _row("plms", 2, **V, timestep_spacing="trailing"),
    _row("plms", 1),
    _row("euler"),
    _row("euler", **V, timestep_spacing="leading"),
    _row("euler", **KARRAS, final_sigmas_type="sigma_min"),
    _row("euler", s_churn=3.0, s_noise=1.01),
    _row("euler", timestep_spacing="trailing", rescale_betas_zero_snr=True, **V),
    _row("euler_ancestral"),
    _row("euler_ancestral", **V, timestep_spacing="trailing"),
    _row("heun"),
    _row("heun", **KARRAS, clip_sample=True),
    _row("lms"),
    _row("lms", **V, use_exponential_sigmas=True),
    _row("dpm2"),
    _row("dpm2", **KARRAS),
    _row("dpm2_ancestral"),
    _row("dpm2_ancestral", **V),
    _row("dpmpp_2m"),
    _row("dpmpp_2m", 16, **KARRAS),
    _row("dpmpp_2m", **V, solver_type="heun", euler_at_final=True),
    _row("dpmpp_2m", **FLOW),
    _row("dpmpp_2m", 16, final_sigmas_type="sigma_min", lower_order_final=False),
    _row("dpmpp_2m_sde"),
    _row("dpmpp_2m_sde", 16, **KARRAS),
    _row("dpmpp_3m"),
    _row("dpmpp_3m", 16, use_lu_lambdas=True),
    _row("dpmpp_3m_sde"),
    _row("dpmpp_2s"),
    _row("dpmpp_2s", 7, **V, **KARRAS),
    _row("dpmpp_3s", 7),
    _row("dpmpp_3s", 6, final_sigmas_type="sigma_min"),
    _row("dpmpp_sde"),
    _row("dpmpp_sde", **V, **KARRAS),
    _row("deis"),
    _row("deis", 16, solver_order=3),
    _row("deis", 5, solver_order=3, use_beta_sigmas=True),
    _row("unipc"),
    _row("unipc", solver_order=3, solver_type="bh1", final_sigmas_type="sigma_min"),
    _row("unipc", **FLOW),
    _row("unipc", disable_corrector=[0, 2], lower_order_final=False, final_sigmas_type="sigma_min"),
    _row("unipc", predict_x0=False, final_sigmas_type="sigma_min"),
    _row("sa_solver"),
    _row("sa_solver", predictor_order=3, corrector_order=4),
    _row("sa_solver", **V, algorithm_type="noise_prediction", timestep_spacing="trailing"),
    _row("ipndm", 8),
    _row("lcm"),
    _row("lcm", **V, thresholding=True),
    _row("tcd"),
    _row("tcd", eta=0.0),
    _row("tcd", eta=1.0, **V),
    _row("unclip"),
    _row("unclip", prediction_type="sample", clip_sample=True),
    _row("flow_euler", shift=3.0),
    _row("flow_euler", stochastic_sampling=True),
    _row("flow_euler", **KARRAS),
    _row("flow_heun"),
    _row("flow_heun", s_churn=2.0),
    _row("edm_euler"),
    _row("edm_euler", s_churn=2.0, **V),
    _row("edm_dpmpp_2m"),
    _row("edm_dpmpp_2m", solver_order=3, steps=16),
    _row("edm_dpmpp_2m", algorithm_type="sde-dpmsolver++", sigma_schedule="exponential"),
]
SEED = 2**63 + 5


def _model(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """A nonlinear function of x and t in place of a network; mixes channels and neighbours."""
    share = float(timestep) / 1000
    turned = latents.roll(1, dims=1) - 0.5 * latents.roll(1, dims=3)
    return torch.tanh(0.7 * latents + 0.3 * turned + share) + 0.1 * latents * share


@pytest.fixture(scope="module")
def start() -> torch.Tensor:
    return noises.initial(Noise((SEED,), 64, 64), 0, 4, 8, 8).samples


def _run(
    solver: Solver, latents: torch.Tensor, begin: int = 0, end: int | None = None
) -> Iterator[torch.Tensor]:
    """x after each step, addressed noise."""
    for index in range(begin, len(solver) if end is None else end):
        output = _model(solver.scale_input(latents, index), solver.timesteps[index])
        latents, _ = solver.step(output, index, latents, noises.generator(SEED, index))
        yield latents


def _fresh_run(schedule: Schedule, start: torch.Tensor, begin: int = 0) -> list[torch.Tensor]:
    solver = Solver(schedule, SEED)
    solver.begin(begin)
    return list(_run(solver, start * solver.init_noise_sigma, begin))


def _is_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _bare(schedule: Schedule) -> Any:  # diffusers is untyped
    cls = getattr(diffusers, schedule.solver)
    accepted = set(cls._get_init_keys(cls))
    config = {name: value for name, value in schedule.config.items() if name in accepted}
    scheduler = cls.from_config(config)
    scheduler.set_timesteps(schedule.steps)
    return scheduler


# --- running as diffusers does


@pytest.mark.filterwarnings("ignore:Should have t:UserWarning")  # torchsde, of bare diffusers
@pytest.mark.parametrize("schedule", ROWS)
def test_a_run_is_bit_equal_to_the_bare_diffusers_loop(
    schedule: Schedule, start: torch.Tensor
) -> None:
    ours = _fresh_run(schedule, start)

    scheduler = _bare(schedule)
    if schedule.solver == "DPMSolverSDEScheduler":
        scheduler.noise_sampler_seed = noises.brownian_seed(SEED)
    latents = start * getattr(scheduler, "init_noise_sigma", 1.0)
    takes_generator = "generator" in scheduler.step.__code__.co_varnames
    for index, timestep in enumerate(scheduler.timesteps):
        scaled = (
            scheduler.scale_model_input(latents, timestep)
            if hasattr(scheduler, "scale_model_input")
            else latents
        )
        arguments: dict[str, object] = dict(schedule.step_args)
        if takes_generator:
            arguments["generator"] = noises.generator(SEED, index)
        if schedule.solver == "UnCLIPScheduler" and index + 1 < len(ours):
            arguments["prev_timestep"] = scheduler.timesteps[index + 1]
        latents = scheduler.step(_model(scaled, timestep), timestep, latents, **arguments)[0]
        assert torch.equal(ours[index], latents), index
    assert bool(latents.isfinite().all())


@pytest.mark.parametrize("schedule", ROWS)
def test_the_number_of_passes_is_known_without_torch(schedule: Schedule) -> None:
    table = Table.read(tabulate(schedule))
    assert windows.passes(schedule) == table.passes == len(Solver(schedule))


@pytest.mark.parametrize("schedule", ROWS)
def test_a_table_survives_json_exactly(schedule: Schedule) -> None:
    document = tabulate(schedule)
    text = json.dumps(document, allow_nan=False)
    again = Table.read(json.loads(text))
    assert json.dumps(again.json()) == json.dumps(document)
    scheduler = Solver(schedule)
    assert torch.tensor(again.timesteps, dtype=scheduler.timesteps.dtype).equal(scheduler.timesteps)
    assert again.init_noise_sigma == scheduler.init_noise_sigma


# --- resuming


def _through_bytes(snapshot: object) -> object:
    stream = io.BytesIO()
    torch.save(snapshot, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=True)


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _plain(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or type(value) in (bool, int, float, str, torch.Tensor)


@pytest.mark.parametrize("schedule", ROWS)
def test_a_run_resumes_bit_for_bit_at_every_step(schedule: Schedule, start: torch.Tensor) -> None:
    whole = _fresh_run(schedule, start)
    solver, resumed = Solver(schedule, SEED), Solver(schedule, SEED)
    solver.begin()
    states: list[tuple[object, torch.Tensor]] = []
    for latents in _run(solver, start * solver.init_noise_sigma):
        snapshot = solver.snapshot()
        assert _plain(snapshot), snapshot
        states.append((_through_bytes(snapshot), latents.clone()))
    for index, (state, latents) in enumerate(states[:-1], start=1):
        assert isinstance(state, dict)
        before = copy.deepcopy(state)
        resumed.restore(state, index)
        for step, after in enumerate(_run(resumed, latents, index), start=index):
            assert _is_equal(after, whole[step]), (index, step)
        assert digest(_digestible(state)) == digest(_digestible(before)), "snapshot was changed"


def _digestible(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), value.double().numpy().tobytes()]
    if isinstance(value, dict):
        return {name: _digestible(item) for name, item in value.items()}
    return [_digestible(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("schedule", ROWS)
def test_a_run_that_begins_late_resumes_too(schedule: Schedule, start: torch.Tensor) -> None:
    begin = windows.begin_index(schedule, 0.7)
    if schedule.solver == "PNDMScheduler" and not schedule.config["skip_prk_steps"]:
        begin = 0  # diffusers cannot begin Runge-Kutta late
    whole = _fresh_run(schedule, start, begin)
    first, second = Solver(schedule, SEED), Solver(schedule, SEED)
    first.begin(begin)
    for index, latents in enumerate(
        _run(first, start * first.init_noise_sigma, begin), start=begin + 1
    ):
        second.restore(first.snapshot(), index)
        rest = list(_run(second, latents, index))
        assert all(map(_is_equal, [latents, *rest], whole[index - begin - 1 :]))


def _moved(value: Any, device: str) -> Any:
    """A snapshot with its tensors on a device; what comes from meta, which holds no values, is zero."""
    if isinstance(value, torch.Tensor):
        return value if value.device.type == device else torch.zeros_like(value, device=device)
    if isinstance(value, dict):
        return {name: _moved(item, device) for name, item in value.items()}
    return [_moved(item, device) for item in value] if isinstance(value, list | tuple) else value


def _devices(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.device.type
    if isinstance(value, dict):
        return {name: _devices(item) for name, item in value.items()}
    return [_devices(item) for item in value] if isinstance(value, list | tuple) else None


@pytest.mark.parametrize("schedule", ROWS)
def test_what_was_stored_on_a_cpu_is_taken_up_where_the_latents_are(schedule: Schedule) -> None:
    solver, resumed = Solver(schedule, SEED), Solver(schedule, SEED)
    solver.begin()
    latents = torch.empty(1, 4, 8, 8, device="meta")
    for index in range(len(solver) - 1):
        output = 0.5 * solver.scale_input(latents, index)
        latents, _ = solver.step(output, index, latents, noises.generator(SEED, index))
        live = solver.snapshot()
        resumed.restore(_moved(live, "cpu"), index + 1, "meta")
        assert _devices(resumed.snapshot()) == _devices(live), index


def test_a_restored_state_does_not_follow_the_run(start: torch.Tensor) -> None:
    schedule = _schedule("pndm")
    solver = Solver(schedule)
    solver.begin()
    list(_run(solver, start, 0, 6))
    snapshot = solver.snapshot()
    kept = _digestible(copy.deepcopy(snapshot))
    list(_run(solver, start, 6, 10))
    assert _digestible(snapshot) == kept


def test_lanes_of_one_schedule_do_not_disturb_each_other(start: torch.Tensor) -> None:
    schedule = _schedule("unipc")
    alone = _fresh_run(schedule, start)
    first = Solver(schedule, SEED)
    second = first.lane(7)
    first.begin()
    second.begin()
    one, two = _run(first, start), _run(second, start * 2)
    mixed = [next(one) for _ in range(N) if next(two) is not None]
    assert all(map(torch.equal, mixed, alone))


def test_a_brownian_lane_hangs_on_all_64_bits_of_its_seed(start: torch.Tensor) -> None:
    schedule = _schedule("dpmpp_sde")
    ends = []
    for seed in (2**64 - 1, 2**63 - 1, 2**32 - 1):
        solver = Solver(schedule, seed)
        solver.begin()
        ends.append(list(_run(solver, start * solver.init_noise_sigma))[-1])
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(ends, 2))


@pytest.mark.parametrize("schedule", ROWS)
def test_no_run_writes_into_the_tables(schedule: Schedule, start: torch.Tensor) -> None:
    solver, untouched = Solver(schedule, SEED), Solver(schedule, SEED)
    solver.begin()
    list(_run(solver, start * solver.init_noise_sigma))
    for name, value in solver._pristine.items():
        if isinstance(value, torch.Tensor):
            assert _is_equal(value, untouched._pristine[name]), name  # type: ignore[arg-type]  # a tensor as well


def test_a_step_out_of_turn_is_refused(start: torch.Tensor) -> None:
    solver = Solver(_schedule("euler"))
    solver.begin(2)
    with pytest.raises(ValueError, match="stands before step 2, not 3"):
        solver.step(start, 3, start)


def test_a_stochastic_step_wants_a_generator(start: torch.Tensor) -> None:
    solver = Solver(_schedule("euler_ancestral"))
    solver.begin()
    with pytest.raises(ValueError, match="needs a generator"):
        solver.step(start, 0, start)


# --- predicted x_0


@pytest.mark.parametrize("schedule", ROWS)
def test_a_perfect_network_predicts_the_clean_latents(
    schedule: Schedule, start: torch.Tensor
) -> None:
    unclipped = {**schedule.config, "thresholding": False, "clip_sample": False}
    schedule = dataclasses.replace(schedule, config=unclipped, step_args={})
    clean = noises.initial(Noise((1,), 64, 64), 0, 4, 8, 8).samples * 0.4
    solver = Solver(schedule, SEED)
    begin = 2 if len(solver) > 3 else 0
    if schedule.solver == "PNDMScheduler" and not schedule.config["skip_prk_steps"]:
        begin = 0
    solver.begin(begin)
    latents = solver.add_noise(clean, start, begin)
    output = _truth(schedule, solver, clean, start, begin)
    _, denoised = solver.step(output, begin, latents, noises.generator(SEED, begin))
    assert denoised is not None
    tolerance = 0.25 if schedule.solver == "LCMScheduler" else 2e-3
    torch.testing.assert_close(denoised, clean, rtol=0, atol=tolerance)


def _truth(
    schedule: Schedule, solver: Solver, clean: torch.Tensor, noise: torch.Tensor, index: int
) -> torch.Tensor:
    kind = str(schedule.config.get("prediction_type", "epsilon"))
    columns = solver.table.columns
    if schedule.solver.startswith("FlowMatch") or kind == "flow_prediction":
        return noise - clean
    if kind == "sample":
        return clean
    if schedule.solver == "IPNDMScheduler":
        beta = columns["beta"][index]
        assert beta is not None
        return math.sqrt(1 - beta**2) * noise - beta * clean
    if schedule.solver.startswith("EDM"):
        sigma = columns["sigmas"][index]
        assert sigma is not None
        total = sigma**2 + 0.25
        skip, scale = 0.25 / total, sigma * 0.5 / math.sqrt(total)
        sign = -1.0 if kind == "v_prediction" else 1.0
        return sign * (clean - skip * (clean + sigma * noise)) / scale
    if kind == "epsilon":
        return noise
    alpha_bar = columns["alpha"][index] if "alpha" in columns else None
    if alpha_bar is None:
        sigma = columns["sigmas"][index]
        assert sigma is not None
        alpha_bar = 1 / (1 + sigma**2)
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
    return alpha * noise - sigma * clean


def test_the_level_after_the_last_step_has_no_noise(start: torch.Tensor) -> None:
    solver = Solver(_schedule("euler"))
    assert solver.add_noise(start, torch.ones_like(start), len(solver)) is start


def test_adding_noise_during_a_run_does_not_disturb_it(start: torch.Tensor) -> None:
    schedule = _schedule("dpmpp_2m")
    alone = _fresh_run(schedule, start)
    solver = Solver(schedule, SEED)
    solver.begin()
    for index, latents in enumerate(_run(solver, start)):
        solver.add_noise(start, start, index + 1)
        assert torch.equal(latents, alone[index])


# --- custom levels

LEVELS = (14.0, 9.5, 5.0, 2.5, 1.1, 0.5, 0.1)
FLOW_LEVELS = (0.97, 0.8, 0.6, 0.4, 0.2)


def _with_levels(name: str, sigmas: tuple[float, ...], **changes: Json) -> Schedule:
    return dataclasses.replace(_schedule(name, len(sigmas), **changes), sigmas=sigmas)


TAKES_LEVELS = [
    "euler",
    "euler_ancestral",
    "heun",
    "lms",
    "dpm2",
    "dpm2_ancestral",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_3m",
    "dpmpp_2s",
    "dpmpp_sde",
    "deis",
    "unipc",
    "sa_solver",
]


@pytest.mark.parametrize("name", TAKES_LEVELS)
def test_custom_levels_are_taken_as_they_are(name: str, start: torch.Tensor) -> None:
    schedule = _with_levels(name, LEVELS)
    sigmas = [sigma for sigma in Table.read(tabulate(schedule)).columns["sigmas"] if sigma]
    expected = torch.tensor(LEVELS).tolist()
    assert list(dict.fromkeys(sigmas)) == expected
    assert bool(_fresh_run(schedule, start)[-1].isfinite().all())


@pytest.mark.parametrize(
    "schedule",
    [
        _with_levels("flow_euler", FLOW_LEVELS, shift=3.0),
        _with_levels("unipc", FLOW_LEVELS, **FLOW),
        _with_levels("dpmpp_2m", FLOW_LEVELS, **FLOW),
    ],
    ids=["flow_euler", "unipc", "dpmpp_2m"],
)
def test_custom_flow_levels_are_not_shifted_again(schedule: Schedule) -> None:
    table = Table.read(tabulate(schedule))
    torch.testing.assert_close(
        torch.tensor(table.columns["sigmas"]), torch.tensor([*FLOW_LEVELS, 0.0])
    )
    torch.testing.assert_close(
        torch.tensor(table.timesteps), 1000 * torch.tensor(FLOW_LEVELS), rtol=0, atol=1.0
    )


def test_custom_levels_of_euler_are_diffusers_own() -> None:
    schedule = _with_levels("euler", LEVELS)
    scheduler = diffusers.EulerDiscreteScheduler.from_config(dict(SD))
    scheduler.set_timesteps(sigmas=[*LEVELS, 0.0])
    solver = Solver(schedule)
    assert torch.equal(solver.timesteps, scheduler.timesteps)
    assert solver.table.columns["sigmas"] == tuple(scheduler.sigmas.tolist())


@pytest.mark.parametrize("name", ["ddpm", "lcm", "tcd"])
def test_custom_levels_fall_on_the_nearest_timestep(name: str) -> None:
    scheduler = diffusers.DDPMScheduler.from_config(dict(SD))
    sigmas = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
    wanted = [999, 700, 333, 20]
    levels = tuple(float(sigmas[timestep]) * 1.0001 for timestep in wanted)
    assert Solver(_with_levels(name, levels)).timesteps.tolist() == wanted


@pytest.mark.parametrize("name", ["ddim", "plms", "unclip", "ipndm", "flow_heun", "edm_euler"])
def test_solvers_without_levels_say_which_have_them(name: str) -> None:
    with pytest.raises(NodeError, match=r"does not take a list of noise levels; use euler,"):
        Solver(_with_levels(name, LEVELS))


def test_levels_that_collide_on_a_timestep_are_refused() -> None:
    with pytest.raises(NodeError, match="noise levels 0 and 1 fall on the same timestep"):
        Solver(_with_levels("ddpm", (1.0, 0.9999, 0.1)))


@pytest.mark.parametrize("levels", [(1.0, 2.0), (1.0, 1.0), (1.0, float("nan")), (1.0, 0.0), ()])
def test_levels_that_do_not_fall_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(NodeError, match="noise level"):
        Solver(_with_levels("euler", levels))


# --- what diffusers cannot do


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Schedule("LatentScheduler", {}, 5), "solver LatentScheduler is unknown"),
        (Schedule("EulerDiscrete", {}, 5), "solver EulerDiscrete is unknown"),
        (_schedule("unclip", 1), "UnCLIPScheduler cannot make this schedule"),
        (_schedule("pndm", 3), "PNDMScheduler cannot make this schedule"),
        (_schedule("lcm", 51), "LCMScheduler cannot make this schedule"),
        (_schedule("ddim", 1000), "DDIMScheduler makes timestep 1000, outside"),
        (_schedule("dpmpp_2m", 1000), "noise levels that do not fall"),
        (_schedule("euler", timestep_spacing="cubic"), "cubic"),
        (_schedule("heun", eta=0.5), "HeunDiscreteScheduler has no eta"),
        (_schedule("flow_euler", use_dynamic_shifting=True), "mu"),
    ],
)
def test_what_diffusers_cannot_do_is_refused_in_words(schedule: Schedule, message: str) -> None:
    with pytest.raises(NodeError, match=message):
        Solver(schedule)


TRAILING = [
    name
    for name in windows.SOLVERS
    if name not in ("pndm", "plms", "ipndm", "lcm", "tcd", "unclip", "dpmpp_2s", "dpmpp_3s")
    and not name.startswith(("flow", "edm"))
]


@pytest.mark.parametrize("name", TRAILING)
def test_trailing_spacing_never_makes_a_step_too_many(name: str, start: torch.Tensor) -> None:
    # diffusers makes 62 timesteps of 61, the last -1: np.arange(1000, 0, -1000 / 61) rounds one too many
    assert len(_bare(_schedule("euler", 61, timestep_spacing="trailing")).timesteps) == 62
    schedule = _schedule(name, 61, timestep_spacing="trailing")
    table = Table.read(tabulate(schedule))
    assert table.passes == windows.passes(schedule)
    steps = (
        table.timesteps[:1] + table.timesteps[2::2]
        if windows.order(schedule) == 2
        else table.timesteps
    )
    expected = [round(1000 - i * 1000 / 61) - 1 for i in range(61)]
    torch.testing.assert_close(torch.tensor(steps), torch.tensor(expected).float(), rtol=0, atol=1)
