"""Windows: what a step reads of its schedule, all of it and nothing else, for every scheduler class."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import itertools
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import diffusers
import pytest
import torch

from studio.diffusion import noise, windows
from studio.diffusion.solvers import Solver, tabulate
from studio.diffusion.windows import Table
from studio.errors import NodeError
from studio.graph import Json
from studio.keys import digest
from studio.values import Schedule

# diffusers mixes tensors and arrays in ways that numpy 2 warns about
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning"),
]

CLASSES = sorted({solver for solver, _ in windows.SOLVERS.values()})
SEED = 2**64 - 3
LEVELS = (13.0, 8.0, 4.0, 2.0, 1.0, 0.3)
OTHER_TAIL = (13.0, 8.0, 4.0, 2.0, 0.7, 0.1)
LONGER = (13.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.2)
FLOW_LEVELS = (0.95, 0.8, 0.6, 0.4, 0.2)
FLOW_TAIL = (0.95, 0.8, 0.6, 0.3, 0.1)
HEAD = (14.5, 8.5, 4.0, 2.0, 1.0, 0.3)
LATE = (4.0, 2.0, 1.0, 0.3, 0.2, 0.1)
MANY = tuple(14.0 * 0.7**i for i in range(16))
MANY_TAIL = (*MANY[:13], *(sigma * 0.9 for sigma in MANY[13:]))
MORE = (*MANY[:14], 0.09, 0.08, 0.05)


def _paired() -> list[Json]:
    """Betas that are all but 0 after each timestep of the leading spacings: equal alphas at neighbouring timesteps."""
    return [
        1e-9 if (t - 1) % 166 == 0 or (t - 1) % 142 == 0 else 0.001 + 0.00001 * t
        for t in range(1000)
    ]


def _bumped(above: int) -> list[Json]:
    """Betas that depart from others above one timestep only."""
    root = [0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * t / 999 for t in range(1000)]
    return [beta**2 * (1.3 if t >= above else 1.0) for t, beta in enumerate(root)]


CHANGES: Mapping[str, Sequence[Json]] = {
    "beta_end": (0.02,),
    "trained_betas": (_paired(), _bumped(1000), _bumped(900), _bumped(700)),
    "num_train_timesteps": (900,),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "steps_offset": (0, 1),
    "set_alpha_to_one": (True, False),
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "use_karras_sigmas": (True,),
    "use_exponential_sigmas": (True,),
    "timestep_type": ("continuous",),
    "final_sigmas_type": ("sigma_min", "zero"),
    "lower_order_final": (True, False),
    "euler_at_final": (True, False),
    "solver_order": (1, 2, 3),
    "predictor_order": (1, 2, 3),
    "corrector_order": (1, 2, 3, 4),
    "solver_type": ("midpoint", "heun", "bh1", "bh2"),
    "algorithm_type": (
        "dpmsolver++",
        "sde-dpmsolver++",
        "data_prediction",
        "noise_prediction",
    ),
    "predict_x0": (True, False),
    "disable_corrector": ([], [0], [2]),
    "skip_prk_steps": (True, False),
    "clip_sample": (True, False),
    "clip_sample_range": (0.6,),
    "thresholding": (True, False),
    "dynamic_thresholding_ratio": (0.6,),
    "sample_max_value": (3.0,),
    "variance_type": ("fixed_large", "fixed_small", None),
    "timestep_scaling": (0.01,),
    "original_inference_steps": (25,),
    "rescale_betas_zero_snr": (True,),
    "shift": (3.0,),
    "stochastic_sampling": (True, False),
    "invert_sigmas": (True,),
    "use_flow_sigmas": (True,),
    "flow_shift": (3.0,),
    "sigma_data": (1.0,),
    "sigma_max": (40.0,),
    "sigma_schedule": ("exponential",),
    "rho": (5.0,),
}
ARGUMENTS: Mapping[str, Sequence[Json]] = {
    "eta": (0.0, 0.4, 1.0),
    "use_clipped_model_output": (True,),
    "s_churn": (0.0, 1.5, 3.0),
    "s_tmin": (0.5,),
    "s_tmax": (0.8, 3.0),
    "s_noise": (1.1,),
    "order": (2, 3),
}
PLAIN: Mapping[str, Json] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
START_FROM: Sequence[Mapping[str, Json]] = (
    {"thresholding": True, "sample_max_value": 3.0},
    {"trained_betas": _paired(), "timestep_spacing": "leading", "steps_offset": 0},
    {"trained_betas": _paired(), "timestep_spacing": "leading", "skip_prk_steps": True},
    {"algorithm_type": "sde-dpmsolver++"},
    {"stochastic_sampling": True},
    {"predictor_order": 1, "corrector_order": 3},
    {"clip_sample": True},
    {"final_sigmas_type": "sigma_min"},
    {"solver_order": 3, "final_sigmas_type": "sigma_min"},
    {"use_flow_sigmas": True, "prediction_type": "flow_prediction"},
)
SLOW = (
    "LMSDiscreteScheduler",
    "DPMSolverSDEScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
)
"""Built or stepped slowly: fewer scenarios."""


@dataclass(frozen=True)
class Scenario:
    schedule: Schedule
    begin: int = 0


@dataclass(frozen=True)
class Trace:
    """What a run did: the windows of its steps, and a digest of its whole state after each."""

    scenario: Scenario
    windows: tuple[dict[str, Json], ...]
    states: tuple[str, ...]
    snapshots: tuple[tuple[dict[str, object], torch.Tensor], ...]


def _base(solver: str) -> Scenario:
    config = dict(PLAIN)
    for name, fixed in windows.SOLVERS.values():
        if name == solver:
            config.update(fixed)
            break
    return Scenario(Schedule(solver, config, 6))


def _edits(scenario: Scenario) -> Iterator[Scenario]:
    """The scenario with one thing changed."""
    schedule = scenario.schedule
    cls = getattr(diffusers, schedule.solver)
    accepted = set(inspect.signature(cls).parameters)
    if schedule.solver == "EulerAncestralDiscreteScheduler":
        accepted |= {"use_karras_sigmas", "use_exponential_sigmas"}

    def changed(**changes: object) -> Scenario:
        edited = dataclasses.replace(schedule, **changes)  # type: ignore[arg-type]  # fields by name
        return dataclasses.replace(scenario, schedule=edited)

    for name in sorted(accepted & CHANGES.keys()):
        for value in CHANGES[name]:
            yield changed(config={**schedule.config, name: value})
    for name in sorted(inspect.signature(cls.step).parameters.keys() & ARGUMENTS.keys()):
        for value in ARGUMENTS[name]:
            yield changed(step_args={**schedule.step_args, name: value})
    for steps in (4, 5) if schedule.solver in SLOW else (4, 5, 7, 14, 15, 16):
        yield changed(steps=steps, sigmas=None)
    flow = schedule.solver.startswith("FlowMatch") or schedule.config.get("use_flow_sigmas")
    many = () if schedule.solver in SLOW else (MANY, MANY_TAIL, MORE, MANY[:15])
    levels = (FLOW_LEVELS, FLOW_TAIL) if flow else (LEVELS, OTHER_TAIL, LONGER, LATE, *many)
    for sigmas in levels:
        yield changed(sigmas=sigmas, steps=len(sigmas))
    for begin in (0, 2, 4):
        yield dataclasses.replace(scenario, begin=begin)


_LATE_RUNS = (
    (LEVELS, 2),
    (LEVELS, 4),
    (HEAD, 2),
    (HEAD, 4),
    (LATE, 0),
    (FLOW_LEVELS, 1),
    (FLOW_LEVELS[1:], 0),
)


def _far_edits(scenario: Scenario) -> Iterator[Scenario]:
    """Changes of several things at once that leave all but one field of a window alone."""
    schedule = scenario.schedule
    for sigmas, begin in _LATE_RUNS:
        changed = dataclasses.replace(schedule, sigmas=sigmas, steps=len(sigmas))
        yield Scenario(changed, begin)
    for steps in (
        () if schedule.solver in SLOW else (300, 301, 999, 1000)
    ):  # the same timesteps at another index
        for left in (2, 4):
            yield Scenario(dataclasses.replace(schedule, steps=steps, sigmas=None), steps - left)
    for count, first in ((1000, 0.9), (900, 1.0)):  # the same timestep at another level
        config = {**schedule.config, "num_train_timesteps": count}
        yield Scenario(dataclasses.replace(schedule, config=config, sigmas=(first, 0.45), steps=2))


def _model(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return torch.tanh(latents + latents.roll(1, 1) * 0.3 + float(timestep) / 700) * 0.9


def _state_digest(state: object) -> str:
    hasher = hashlib.blake2b(digest_size=12)

    def feed(value: object) -> None:
        if isinstance(value, torch.Tensor):
            hasher.update(str((value.dtype, value.shape)).encode() + value.numpy().tobytes())
        elif isinstance(value, dict):
            for name in sorted(value):
                hasher.update(str(name).encode())
                feed(value[name])
        elif isinstance(value, list | tuple):
            hasher.update(b"[%d" % len(value))
            for item in value:
                feed(item)
        else:
            hasher.update(repr(value).encode())

    feed(state)
    return hasher.hexdigest()


def _run(solver: Solver, latents: torch.Tensor, begin: int, count: int) -> Iterator[torch.Tensor]:
    for index in range(begin, begin + count):
        output = _model(solver.scale_input(latents, index), solver.timesteps[index])
        latents, _ = solver.step(output, index, latents, noise.generator(SEED, index))
        yield latents


START = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1)) * 3


@cache
def _solver(key: str) -> Solver:
    return Solver(_BY_KEY[key], SEED)


_BY_KEY: dict[str, Schedule] = {}


def _trace(scenario: Scenario) -> Trace | None:
    """Run a scenario from the same latents; None where diffusers cannot."""
    key = digest(windows.whole(scenario.schedule))
    _BY_KEY[key] = scenario.schedule
    begin = scenario.begin
    try:
        solver = _solver(key)
    except NodeError:
        return None
    count = min(len(solver) - begin, 16)
    if not 0 <= begin < len(solver):
        return None
    solver.begin(begin)
    states: list[str] = []
    snapshots = []
    try:
        for latents in _run(solver, START, begin, count):
            snapshot = solver.snapshot()
            states.append(_state_digest([snapshot, latents]))
            snapshots.append((snapshot, latents))
    except (NodeError, RuntimeError):
        return None  # diffusers has not this combination
    table = Table.read(tabulate_once(key))
    read = tuple(
        windows.window(scenario.schedule, table, begin + i, begin) for i in range(len(states))
    )
    return Trace(scenario, read, tuple(states), tuple(snapshots))


def tabulate_once(key: str) -> Json:
    return _solver(key).table.json()


@cache
def _pool(solver: str) -> tuple[Trace, ...]:
    """Runs around random schedules of one class: each a schedule and all its single edits."""
    dice = random.Random(zlib.crc32(solver.encode()))
    first = _base(solver)
    schedule = first.schedule
    accepted = inspect.signature(getattr(diffusers, solver)).parameters
    arguments = inspect.signature(getattr(diffusers, solver).step).parameters
    bases = [first]
    for config in START_FROM:
        if config.keys() <= accepted.keys():
            changed = dataclasses.replace(schedule, config={**schedule.config, **config})
            bases.append(Scenario(changed))
    for name, value in (("s_churn", 1.5), ("eta", 0.4)):
        if name in arguments:
            bases.append(Scenario(dataclasses.replace(schedule, step_args={name: value})))
    for _ in range(0 if solver in SLOW else 2):
        scenario = dice.choice(bases)
        for _ in range(dice.randint(1, 3)):
            scenario = dice.choice(list(_edits(scenario)))
        bases.append(scenario)
    traces: dict[str, Trace] = {}
    for base in bases:
        for scenario in (base, *_edits(base), *_far_edits(base)):
            name = digest([windows.whole(scenario.schedule), scenario.begin])
            if name not in traces:
                trace = _trace(scenario)
                if trace is not None:
                    traces[name] = trace
    return tuple(traces.values())


def _fields(window: Mapping[str, Json]) -> Iterator[str]:
    for name, value in window.items():
        if name == "config":
            assert isinstance(value, dict)
            yield from (f"config.{field}" for field in value)
        else:
            yield name


def _without(window: Mapping[str, Json], field: str) -> dict[str, Json]:
    config = window["config"]
    assert isinstance(config, dict)
    return {
        **{name: value for name, value in window.items() if name != field},
        "config": {name: value for name, value in config.items() if f"config.{name}" != field},
    }


def _conflict(traces: Sequence[Trace], dropped: str = "") -> str | None:
    """Two runs whose windows, less a field, agree up to a step after which their states differ; or None."""
    seen: dict[str, tuple[str, Trace]] = {}
    for trace in traces:
        prefix = ""
        for index, (window, state) in enumerate(zip(trace.windows, trace.states, strict=True)):
            prefix = digest([prefix, _without(window, dropped)])
            known, other = seen.setdefault(prefix, (state, trace))
            if known != state:
                return f"step {index}: {trace.scenario} and {other.scenario}"
    return None


@pytest.mark.parametrize("solver", CLASSES)
def test_runs_with_equal_windows_have_equal_states(solver: str) -> None:
    traces = _pool(solver)
    assert len(traces) > 15
    assert _conflict(traces) is None


_FLOW = {"config.use_flow_sigmas"}
"""The same levels stand at other timesteps under flow matching, and the timestep is in the window."""
_SDE = {"config.algorithm_type"}
"""Of the two that are offered, the one with noise has ``index`` in its window and the other has not."""
_OF_N = {"timestep", "sigma", "index", "length"}
"""No levels can be given: the number of steps decides all of these together."""

REDUNDANT: Mapping[str, set[str]] = {
    "DEISMultistepScheduler": _FLOW,
    "UniPCMultistepScheduler": _FLOW,
    "SASolverScheduler": _FLOW,
    "DPMSolverMultistepScheduler": _FLOW | _SDE,
    "DPMSolverSinglestepScheduler": _FLOW | _SDE,
    # its predictions stay below 1, where thresholding does nothing
    "EDMDPMSolverMultistepScheduler": _SDE
    | {"timestep", "index", "sigma", "config.dynamic_thresholding_ratio"},
    "EDMEulerScheduler": _OF_N,
    "FlowMatchHeunDiscreteScheduler": _OF_N | {"sigma_previous"},
    # a level and its timestep differ by a factor, the number of training steps
    "FlowMatchEulerDiscreteScheduler": {"config.stochastic_sampling", "timestep"},
    # beta and timestep are functions of each other
    "IPNDMScheduler": {"beta", "timestep"},
    # functions of the levels that the step before had in its window
    "KDPM2DiscreteScheduler": {"sigma_next"},
    "KDPM2AncestralDiscreteScheduler": {"sigma_up", "sigma_down"},
    "DPMSolverSDEScheduler": {"sigma"},
    # the distillation grid: what is read at a timestep moves with it
    "LCMScheduler": {"timestep"},
    "TCDScheduler": {"timestep", "alpha_previous"},
    # the timesteps of the first twelve passes come in pairs in one mode and not in the other
    "PNDMScheduler": {"config.skip_prk_steps"},
    # one beta schedule only: the number of training steps decides all of these together
    "UnCLIPScheduler": {"alpha", "beta", "timestep", "config.variance_type"},
}
"""Fields that no scenario can do without the others, and why. They stay in the window: the step does read them."""


@pytest.mark.parametrize("solver", CLASSES)
def test_every_field_of_a_window_is_needed(solver: str) -> None:
    traces = _pool(solver)
    fields = {name for trace in traces for window in trace.windows for name in _fields(window)}
    idle = {name for name in sorted(fields - {"solver"}) if _conflict(traces, name) is None}
    assert sorted(idle) == sorted(REDUNDANT.get(solver, set()))


@pytest.mark.parametrize("solver", CLASSES)
def test_a_state_under_equal_windows_continues_any_of_the_runs(solver: str) -> None:
    compared = 0
    seen: dict[str, Trace] = {}
    for trace in _pool(solver):
        prefix = ""
        for count, window in enumerate(trace.windows, start=1):
            prefix = digest([prefix, window])
            other = seen.setdefault(prefix, trace)
            if other is trace or count == len(trace.windows) or compared > 150:
                continue
            begin = trace.scenario.begin
            ours = _solver(digest(windows.whole(trace.scenario.schedule)))
            snapshot, latents = other.snapshots[count - 1]
            ours.restore(snapshot, begin + count)
            following = next(_run(ours, latents, begin + count, 1))
            state = _state_digest([ours.snapshot(), following])
            assert state == trace.states[count], (count, trace.scenario, other.scenario)
            compared += 1
    assert compared > 4


# --- what is shared, and what is not


def _windows(schedule: Schedule) -> list[dict[str, Json]]:
    table = Table.read(Solver(schedule).table.json())
    return [windows.window(schedule, table, index) for index in range(table.passes)]


def _shared(one: Schedule, other: Schedule) -> int:
    pairs = zip(_windows(one), _windows(other), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        # four levels of six are the same: three steps lead from one of them to another
        ("euler", 3),
        ("euler_ancestral", 3),
        ("lms", 3),
        ("dpmpp_2m", 3),
        ("dpmpp_2m_sde", 3),
        ("dpmpp_3m", 3),
        ("dpmpp_2s", 3),
        ("deis", 3),
        ("unipc", 3),
        ("sa_solver", 3),
        ("heun", 6),
        ("dpm2", 6),
        ("dpm2_ancestral", 6),
        # its Brownian tree spans the run, and the lowest level is another
        ("dpmpp_sde", 0),
    ],
)
def test_another_tail_keeps_the_steps_before_it(name: str, shared: int) -> None:
    solver, fixed = windows.SOLVERS[name]
    config = {**PLAIN, **fixed}
    one, other = (Schedule(solver, config, 6, sigmas) for sigmas in (LEVELS, OTHER_TAIL))
    assert _shared(one, other) == shared
    assert _shared(one, one) == windows.passes(one)


def test_every_step_of_an_unknown_solver_reads_the_whole_schedule() -> None:
    schedule = Schedule("DDIMInverseScheduler", dict(PLAIN), 5)
    other = dataclasses.replace(schedule, config={**PLAIN, "beta_end": 0.013})
    assert not windows.is_known(schedule.solver)
    assert _shared(schedule, other) == 0
    assert _shared(schedule, schedule) == 5
    table = Table.read(tabulate(schedule))
    assert windows.level(schedule, table, 2) != windows.level(other, table, 2)


def test_an_unknown_solver_resumes_as_well() -> None:
    solver = Solver(Schedule("DDIMParallelScheduler", dict(PLAIN), 5), SEED)
    solver.begin()
    whole = list(_run(solver, START, 0, 5))
    solver.begin()
    latents = list(_run(solver, START, 0, 3))[-1]
    resumed = Solver(solver.schedule, SEED)
    resumed.restore(solver.snapshot(), 3)
    assert torch.equal(list(_run(resumed, latents, 3, 2))[-1], whole[-1])


@pytest.mark.parametrize("solver", CLASSES)
def test_equal_levels_are_noised_alike(solver: str) -> None:
    """And every difference in the noised latents is one of the levels."""
    noised: dict[str, tuple[bytes, Scenario]] = {}
    clean = START.roll(1, 1) * 0.2
    for trace in _pool(solver):
        schedule = trace.scenario.schedule
        ours = _solver(digest(windows.whole(schedule)))
        for index in range(min(len(ours), 6)):
            name = digest(windows.level(schedule, ours.table, index))
            result = ours.add_noise(clean, START, index).numpy().tobytes()
            assert noised.setdefault(name, (result, trace.scenario))[0] == result
    assert len(noised) > 5
    assert len({result for result, _ in noised.values()}) > len(noised) * 0.5


@pytest.mark.parametrize("name", sorted(windows.SOLVERS))
def test_passes_are_predicted_for_any_number_of_steps(name: str) -> None:
    solver, fixed = windows.SOLVERS[name]
    for steps in (1, 2, 3, 4, 5, 20) if solver not in SLOW else (2, 5):
        schedule = Schedule(solver, {**PLAIN, **fixed}, steps)
        try:
            made = len(Solver(schedule))
        except NodeError:
            # Runge-Kutta begins with four timesteps, unCLIP divides by N - 1
            assert steps < {"pndm": 4, "unclip": 2}[name]
        else:
            assert windows.passes(schedule) == made, steps


@pytest.mark.parametrize("name", ["euler", "heun", "ddim", "plms"])
@pytest.mark.parametrize("strength", [0.0, 0.04, 0.3, 0.5, 0.99, 1.0])
def test_a_run_from_an_image_begins_where_diffusers_begins_it(name: str, strength: float) -> None:
    solver, fixed = windows.SOLVERS[name]
    schedule = Schedule(solver, {**PLAIN, **fixed}, 20)
    scheduler = getattr(diffusers, solver).from_config({**PLAIN, **fixed})
    scheduler.set_timesteps(20)
    pipeline = SimpleNamespace(scheduler=scheduler)
    get_timesteps = diffusers.StableDiffusionImg2ImgPipeline.get_timesteps
    theirs, _ = get_timesteps(pipeline, 20, strength, "cpu")
    begin = windows.begin_index(schedule, strength)
    assert torch.equal(Solver(schedule).timesteps[begin:], theirs) or (
        # diffusers keeps the second PLMS pass of a run of which nothing is to be done
        strength < 0.05 and name == "plms" and len(theirs) == 1
    )
