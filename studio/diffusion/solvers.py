"""Solvers: one diffusers scheduler, begun, snapshotted and restored at any step, with noise given by address.

A solver's state is what its scheduler's ``__dict__`` holds beyond the scheduler right after ``set_timesteps``;
latents from elsewhere plus that state continue a run bit for bit.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol, cast

import numpy as np
import torch

from studio.diffusion.noise import brownian_seed
from studio.diffusion.windows import (
    PREDICTIONS,
    TWO_PASS,
    Table,
    effective,
    is_known,
    is_stochastic,
    levels,
    passes,
    refuse_levels,
)
from studio.errors import NodeError
from studio.graph import Json
from studio.values import Schedule

Generators = torch.Generator | list[torch.Generator]


class _Scheduler(Protocol):
    """What is used of diffusers' schedulers."""

    timesteps: torch.Tensor
    sigmas: torch.Tensor
    alphas_cumprod: torch.Tensor
    config: Mapping[str, object]
    init_noise_sigma: torch.Tensor | float

    def set_timesteps(self, *args: object, **kwargs: object) -> None: ...

    def scale_model_input(self, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor: ...

    def step(
        self, output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor, **kwargs: object
    ) -> tuple[torch.Tensor, ...]: ...

    def add_noise(
        self, sample: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor: ...

    def scale_noise(
        self, sample: torch.Tensor, timestep: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor: ...


_NOT_STATE = frozenset({"_internal_dict", "noise_sampler", "_step_index", "_begin_index"})
"""Fields of ``__dict__`` that are set by position, or rebuilt (a Brownian tree cannot be copied)."""

_GIVES_X0 = frozenset(
    {
        "DDPMScheduler",
        "DDIMScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "LMSDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "DPMSolverSDEScheduler",
        "UnCLIPScheduler",
        "EDMEulerScheduler",
        "LCMScheduler",
    }
)
"""Classes whose ``step`` returns the predicted x_0 as its second value."""

_BY_TIMESTEPS = frozenset({"DDPMScheduler", "LCMScheduler", "TCDScheduler"})
"""Classes that take a list of timesteps where they know no sigmas: custom levels go to the nearest timestep."""

_FAULTS = (
    ValueError,
    TypeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    NotImplementedError,
)
"""What diffusers raises for combinations that it does not support."""

_SINGULAR: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # public, but not in the stubs


# --- building


@cache
def _scheduler_class(name: str) -> Callable[..., _Scheduler]:
    found = getattr(importlib.import_module("diffusers.schedulers"), name, None)
    if found is None or not name.endswith("Scheduler") or not hasattr(found, "set_timesteps"):
        raise NodeError(f"solver {name} is unknown", remedy="choose one of the solvers listed")
    return cast("Callable[..., _Scheduler]", found)


@cache
def _parameters(function: Callable[..., object]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _build(schedule: Schedule) -> _Scheduler:
    """The scheduler right after ``set_timesteps``, its tables on the CPU; NodeError for what is not supported."""
    refuse_levels(schedule)
    if levels(schedule) < 1:
        raise NodeError("the schedule has no steps", remedy="set steps to 1 or more")
    cls = _scheduler_class(schedule.solver)
    kind, kinds = schedule.config.get("prediction_type"), PREDICTIONS.get(schedule.solver)
    if kind is not None and kinds and kind not in kinds:
        raise NodeError(
            f"{schedule.solver} does not take {kind} from the network",
            remedy=f"choose a solver that does; this one takes {', '.join(kinds)}",
        )
    # tables made under inference_mode could not be used under autograd later
    with torch.inference_mode(False), torch.no_grad():
        try:
            scheduler = _set(schedule, cls)
        except NodeError:
            raise
        except _FAULTS as error:
            raise NodeError(
                f"{schedule.solver} cannot make this schedule: {error}",
                remedy="change the solver, its spacing or the number of steps",
            ) from error
    _refuse_unsound(schedule, scheduler)
    if hasattr(scheduler, "is_scale_input_called"):
        setattr(scheduler, "is_scale_input_called", True)  # noqa: B010 - outside the protocol
    return scheduler


def _config(schedule: Schedule, cls: Callable[..., _Scheduler]) -> dict[str, Json]:
    accepted = _parameters(cls)
    return {name: value for name, value in schedule.config.items() if name in accepted}


def _set(schedule: Schedule, cls: Callable[..., _Scheduler]) -> _Scheduler:
    config = _config(schedule, cls)
    if schedule.solver == "EulerAncestralDiscreteScheduler":
        return _set_euler_ancestral(schedule, cls(**config))
    if schedule.sigmas is not None:
        return _set_levels(schedule, cls, config, np.array(schedule.sigmas, dtype=np.float32))
    if _overshoots(schedule, config):
        return _set_trailing(schedule, cls, config)
    scheduler = cls(**config)
    mu = schedule.config.get("mu")
    if mu is None:
        scheduler.set_timesteps(schedule.steps)
    else:
        scheduler.set_timesteps(schedule.steps, mu=mu)
    return scheduler


def _set_euler_ancestral(schedule: Schedule, scheduler: _Scheduler) -> _Scheduler:
    """Give Euler ancestral the levels of Euler, so that Karras and custom ones serve it; bit-equal otherwise."""
    euler = _build(
        Schedule("EulerDiscreteScheduler", schedule.config, schedule.steps, schedule.sigmas)
    )
    scheduler.set_timesteps(levels(schedule))
    scheduler.sigmas, scheduler.timesteps = euler.sigmas, euler.timesteps
    return scheduler


def _set_levels(
    schedule: Schedule, cls: Callable[..., _Scheduler], config: dict[str, Json], sigmas: np.ndarray
) -> _Scheduler:
    """A scheduler with custom noise levels, taken as they are; only the level after the last is the class's own."""
    if schedule.solver in _BY_TIMESTEPS:
        scheduler = cls(**config)
        scheduler.set_timesteps(timesteps=_nearest_timesteps(scheduler, schedule))
        return scheduler
    is_flow = bool(config.get("use_flow_sigmas"))
    if schedule.solver == "UniPCMultistepScheduler" and is_flow:
        plain = {"flow_shift": 1.0, "use_dynamic_shifting": False, "shift_terminal": None}
        scheduler = cls(**{**config, **_NO_SPACING, **plain})
        scheduler.set_timesteps(sigmas=sigmas.astype(np.float64))
        return scheduler
    if not hasattr(cls, "_convert_to_karras"):
        raise NodeError(
            f"{schedule.solver} does not take a list of noise levels",
            remedy="use euler, euler_ancestral, heun, lms, dpm2, dpmpp_2m, dpmpp_2s, dpmpp_sde, deis, unipc, "
            "sa_solver, flow_euler, or (to the nearest timestep) ddpm, lcm, tcd",
        )
    if "use_dynamic_shifting" in config:
        config = {**config, "use_dynamic_shifting": False}
    if "shift_terminal" in config:
        config = {**config, "shift_terminal": None}
    return _install(schedule, cls, config, sigmas)


_NO_SPACING: Mapping[str, Json] = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}


def _install(
    schedule: Schedule, cls: Callable[..., _Scheduler], config: dict[str, Json], sigmas: np.ndarray
) -> _Scheduler:
    """Put levels in the place of the class's Karras levels: it builds all its other tables around them itself."""
    accepted = _parameters(cls)
    spacing = {name: value for name, value in _NO_SPACING.items() if name in accepted}
    scheduler = cls(**{**config, **spacing, "use_karras_sigmas": True})
    setattr(scheduler, "_convert_to_karras", lambda *args, **kwargs: sigmas)  # noqa: B010 - outside the protocol
    scheduler.set_timesteps(len(sigmas))
    delattr(scheduler, "_convert_to_karras")
    if config.get("use_flow_sigmas"):
        # the Karras branch maps levels to timesteps by the betas, which flow matching has not
        count = float(cast("int", scheduler.config["num_train_timesteps"]))
        scheduler.timesteps = torch.from_numpy(sigmas.astype(np.float64) * count).to(torch.int64)
    return scheduler


def _nearest_timesteps(scheduler: _Scheduler, schedule: Schedule) -> list[int]:
    assert schedule.sigmas is not None
    alphas = scheduler.alphas_cumprod.double().numpy()
    known = 0.5 * (np.log1p(-alphas) - np.log(alphas))
    nearest = [int(np.abs(known - math.log(sigma)).argmin()) for sigma in schedule.sigmas]
    for index, (above, timestep) in enumerate(itertools.pairwise(nearest), start=1):
        if timestep == above:
            raise NodeError(
                f"noise levels {index - 1} and {index} fall on the same timestep {timestep} of {schedule.solver}",
                remedy="give fewer levels, or a solver that works on sigmas such as euler",
            )
    return nearest


def _overshoots(schedule: Schedule, config: Mapping[str, Json]) -> bool:
    """Tell whether trailing spacing would give one timestep too many, -1.

    diffusers counts by ``np.arange(T, 0, -T / N)``, whose rounding adds an element at 62 of the N up to 1000, as at 61.
    """
    if config.get("timestep_spacing") != "trailing" or any(
        config.get(name) for name in (*_NO_SPACING, "use_lu_lambdas", "use_flow_sigmas")
    ):
        return False
    count, n = _train_timesteps(config), schedule.steps
    return len(np.arange(count, 0, -(count / n))) > n


def _train_timesteps(config: Mapping[str, Json]) -> int:
    count = config.get("num_train_timesteps", 1000)
    return count if isinstance(count, int) else 1000


def _set_trailing(
    schedule: Schedule, cls: Callable[..., _Scheduler], config: dict[str, Json]
) -> _Scheduler:
    n = schedule.steps
    if schedule.solver == "PNDMScheduler":
        raise NodeError(
            f"PNDMScheduler has no trailing spacing of {n} steps",
            remedy=f"use {n - 1} or {n + 1} steps, or another spacing",
        )
    scheduler = cls(**config)
    if schedule.solver in TWO_PASS:
        count = _train_timesteps(config)
        timesteps = np.round(count - np.arange(n) * (count / n)) - 1
        known = (((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5).numpy()
        sigmas = np.interp(timesteps, np.arange(len(known)), known).astype(np.float32)
        return _install(schedule, cls, config, sigmas)
    scheduler.set_timesteps(n)
    scheduler.timesteps = scheduler.timesteps[:n]
    if "sigmas" in vars(scheduler):
        scheduler.sigmas = torch.cat([scheduler.sigmas[:n], scheduler.sigmas[n + 1 :]])
    if "num_inference_steps" in vars(scheduler):
        setattr(scheduler, "num_inference_steps", n)  # noqa: B010 - outside the protocol
    return scheduler


def _refuse_unsound(schedule: Schedule, scheduler: _Scheduler) -> None:
    """Raise NodeError where diffusers makes tables that it cannot step through."""
    remedy = "use fewer steps or another spacing"
    timesteps = scheduler.timesteps
    if len(timesteps) != passes(schedule):
        raise NodeError(
            f"{schedule.solver} makes {len(timesteps)} timesteps where {passes(schedule)} were asked for",
            remedy=remedy,
        )
    count = scheduler.config.get("num_train_timesteps")
    if not timesteps.is_floating_point() and isinstance(count, int):
        low, high = int(timesteps.min()), int(timesteps.max())
        if low < 0 or high >= count:
            raise NodeError(
                f"{schedule.solver} makes timestep {low if low < 0 else high}, outside 0 … {count - 1}",
                remedy=remedy,
            )
    if "sigmas" in vars(scheduler):
        sigmas = scheduler.sigmas[:-1]
        stalled = int((sigmas[1:] >= sigmas[:-1]).sum())
        if not bool(scheduler.config.get("invert_sigmas")) and stalled > (
            # the two passes of a step stand at one level
            levels(schedule) if schedule.solver in TWO_PASS else 0
        ):
            raise NodeError(
                f"{schedule.solver} makes {stalled} noise levels that do not fall", remedy=remedy
            )


# --- the table


def tabulate(schedule: Schedule) -> dict[str, Json]:
    """Work a schedule out: ``Table.json`` of its exact timesteps, noise levels and coefficients.

    Raises NodeError if diffusers cannot make it.
    """
    solver = Solver(schedule)
    return solver.table.json()


def _table(schedule: Schedule, scheduler: _Scheduler) -> Table:
    resolved = cast("Mapping[str, Json]", scheduler.config)
    config = effective(schedule.solver, resolved if is_known(schedule.solver) else schedule.config)
    return Table(
        solver=schedule.solver,
        config=config,
        timesteps=_floats(scheduler.timesteps),
        # the flow matching classes have none: their x at the start is the noise itself
        init_noise_sigma=float(getattr(scheduler, "init_noise_sigma", 1.0)),
        columns=_columns(schedule, scheduler),
    )


def _floats(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values.tolist())


def _columns(schedule: Schedule, scheduler: _Scheduler) -> dict[str, tuple[float | None, ...]]:
    fields = vars(scheduler)
    columns: dict[str, tuple[float | None, ...]] = {}
    for name in ("sigmas", "sigmas_interpol", "sigmas_up", "sigmas_down"):
        if name in fields:
            columns[name] = _floats(fields[name])
    if "order_list" in fields:
        columns["order"] = tuple(float(order) for order in fields["order_list"])
    if schedule.solver == "IPNDMScheduler":
        columns["beta"] = _floats(fields["betas"])
    elif schedule.solver == "SASolverScheduler":
        columns["alpha"] = _alphas(scheduler, scheduler.timesteps.tolist())
    elif "sigmas" not in fields and is_known(schedule.solver):
        columns.update(_alpha_columns(schedule, scheduler))
    return columns


def _alphas(scheduler: _Scheduler, timesteps: list[int]) -> tuple[float | None, ...]:
    """Cumulative alphas at timesteps as the DDIM family looks them up: below 0 the final one, beyond the last none."""
    fields = vars(scheduler)
    known = _floats(scheduler.alphas_cumprod)
    final = float(fields["final_alpha_cumprod"]) if "final_alpha_cumprod" in fields else 1.0
    return tuple(
        final if timestep < 0 else known[timestep] if timestep < len(known) else None
        for timestep in timesteps
    )


def _alpha_columns(
    schedule: Schedule, scheduler: _Scheduler
) -> dict[str, tuple[float | None, ...]]:
    timesteps: list[int] = scheduler.timesteps.tolist()
    fields = vars(scheduler)
    columns = {"alpha": _alphas(scheduler, timesteps)}
    following = [*timesteps[1:], -1]
    if schedule.solver in ("DDIMScheduler", "PNDMScheduler"):
        stride = _train_timesteps(cast("Mapping[str, Json]", scheduler.config)) // schedule.steps
        following = [timestep - stride for timestep in timesteps]
    if schedule.solver == "PNDMScheduler":
        runge_kutta = [int(timestep) for timestep in fields["prk_timesteps"]]
        columns["alpha_half"] = _alphas(scheduler, [t - stride // 2 for t in timesteps])
        columns["alpha_before"] = _alphas(scheduler, [t + stride for t in timesteps])
        columns["alpha_runge_kutta"] = _alphas(
            scheduler, [runge_kutta[i // 4 * 4] for i in range(len(runge_kutta))]
        )
    if schedule.solver == "TCDScheduler":
        following[-1] = 0
        eta = schedule.step_args.get("eta", 0.3)
        assert isinstance(eta, int | float)
        between = [int(torch.floor((1 - eta) * torch.tensor(t))) for t in following]
        columns["alpha_between"] = _alphas(scheduler, between)
    if schedule.solver == "UnCLIPScheduler":
        betas = _floats(fields["betas"])
        columns["beta"] = tuple(
            betas[timestep] if previous == timestep - 1 else None
            for timestep, previous in zip(timesteps, following, strict=True)
        )
    columns["alpha_previous"] = _alphas(scheduler, following)
    return columns


# --- solving


class _BrownianNoise:
    """Noise of DPMSolverSDE from one lane's Brownian tree, on the CPU whatever the device, which thus does not matter.

    Values are those of diffusers' ``BrownianTreeNoiseSampler``; queries a rounding error outside the tree are
    clamped here, where torchsde does the same with a warning.
    """

    def __init__(self, shape: torch.Size, sigmas: torch.Tensor, seed: int) -> None:
        module = importlib.import_module("diffusers.schedulers.scheduling_dpmsolver_sde")
        self._tree = module.BatchedBrownianTree(
            torch.zeros(shape, dtype=torch.float32), sigmas[sigmas > 0].min(), sigmas.max(), seed
        )
        # torchsde rounds its ends, so that a query at an end may lie beyond it
        interval = self._tree.trees[0]
        self._low, self._high = float(interval._start), float(interval._end)

    def __call__(self, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = self._tree(self._clamped(sigma), self._clamped(sigma_next))
        return drawn / (sigma_next - sigma).abs().sqrt()

    def _clamped(self, sigma: torch.Tensor) -> float:
        return min(max(float(sigma), self._low), self._high)


class _Moved:
    """The same noise on the device of the latents."""

    def __init__(self, noise: _BrownianNoise, device: torch.device) -> None:
        self._noise, self._device = noise, device

    def __call__(self, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        return self._noise(sigma.cpu(), sigma_next.cpu()).to(self._device)


class Solver:
    """One diffusers scheduler at one place of one run.

    ``begin`` or ``restore``, then for each index ``scale_input`` and ``step``; ``snapshot`` after any step. Tensors
    that are handed in may be kept and must not be changed in place afterwards.
    """

    def __init__(self, schedule: Schedule, seed: int = 0) -> None:
        """Build the tables; ``seed`` is the lane's, for the solvers with a Brownian tree. Raises NodeError."""
        self.schedule = schedule
        self._scheduler = _build(schedule)
        self._seed = seed
        self._pristine = _frozen(vars(self._scheduler))
        self.table = _table(schedule, self._scheduler)
        self.timesteps = self._scheduler.timesteps
        """What the network is told at each forward pass, on the CPU, in the class's own dtype."""
        self._prepare()

    def _prepare(self) -> None:
        schedule = self.schedule
        self._is_known = is_known(schedule.solver)
        self._moments = list(self.timesteps.unbind())
        accepted = _parameters(type(self._scheduler).step)
        unknown = schedule.step_args.keys() - accepted
        if unknown:
            raise NodeError(
                f"{schedule.solver} has no {sorted(unknown)[0]}",
                remedy="choose a solver that has it, or leave it at its default",
            )
        self._arguments: dict[str, object] = {**schedule.step_args, "return_dict": False}
        self._takes_generator = "generator" in accepted
        self.is_stochastic = self._takes_generator and is_stochastic(schedule)
        """Steps may draw from the generator that they are given."""
        self._next = -1
        self._has_index = "_step_index" in self._pristine
        self._noiser: _Scheduler | None = None

    def lane(self, seed: int) -> Solver:
        """Another solver of the same schedule for another lane, sharing the tables; not begun."""
        lane = object.__new__(Solver)
        lane.schedule, lane.table, lane.timesteps = self.schedule, self.table, self.timesteps
        lane._seed = seed
        lane._pristine = self._pristine
        lane._scheduler = self._copy()
        lane._prepare()
        return lane

    def _copy(self) -> _Scheduler:
        copied = object.__new__(type(self._scheduler))
        vars(copied).update(_thawed(self._pristine, self._is_known))
        return copied

    @property
    def init_noise_sigma(self) -> float:
        """Standard deviation of x at the first step: pure noise is multiplied by it."""
        return self.table.init_noise_sigma

    def __len__(self) -> int:
        """Number of forward passes of a whole run."""
        return len(self._moments)

    # --- position

    def begin(self, index: int = 0) -> None:
        """Stand before step ``index`` of a run that begins there, with no history."""
        self._reset()
        self._place(index)

    def snapshot(self) -> dict[str, object]:
        """The state beyond the latents: a nested dict of tensors, numbers, text and None, copied, without tables."""
        pristine, is_known_class = self._pristine, self._is_known
        return {
            name: _copied(value)
            for name, value in vars(self._scheduler).items()
            if name not in _NOT_STATE
            and not (name in pristine and _is_same(value, pristine[name], is_known_class))
        }

    def restore(
        self, snapshot: Mapping[str, object], index: int, device: torch.device | str = "cpu"
    ) -> None:
        """Stand before step ``index`` with the state that ``snapshot`` gave before it; the snapshot stays intact.

        ``device``: where the latents are, whatever device the snapshot came from or lay on.
        """
        self._reset()
        fields = vars(self._scheduler)
        for name, value in snapshot.items():
            fields[name] = _copied(value, device)
        self._place(index)

    def _reset(self) -> None:
        fields = vars(self._scheduler)
        fields.clear()
        fields.update(_thawed(self._pristine, self._is_known))

    def _place(self, index: int) -> None:
        self._next = index
        if self._has_index:
            vars(self._scheduler)["_step_index"] = index

    # --- stepping

    def scale_input(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """What the network is given at step ``index``: [B, C, h, w], at unit variance where the class does so."""
        self._expect(index)
        return (
            self._scheduler.scale_model_input(latents, self._moments[index])
            if hasattr(self._scheduler, "scale_model_input")
            else latents
        )

    def step(
        self,
        output: torch.Tensor,
        index: int,
        latents: torch.Tensor,
        generator: Generators | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Advance over step ``index``: (x at the next level, predicted x_0 or None), float32 [B, C, h, w].

        ``output`` is what the network said of ``scale_input(latents, index)``. ``generator`` is a CPU generator, or
        one for each image of the batch; required where ``is_stochastic``. Raises NodeError where diffusers cannot.
        """
        self._expect(index)
        arguments = self._arguments
        if self.is_stochastic:
            if generator is None:
                raise ValueError(f"{self.schedule.solver} draws noise: step needs a generator")
            arguments = {**arguments, "generator": generator}
        if self.schedule.solver == "DPMSolverSDEScheduler":
            self._grow_tree(latents)
        elif self.schedule.solver == "UnCLIPScheduler" and index + 1 < len(self._moments):
            arguments = {**arguments, "prev_timestep": self._moments[index + 1]}
        try:
            result = self._scheduler.step(output, self._moments[index], latents, **arguments)
        except (*_FAULTS, UnboundLocalError, _SINGULAR) as error:
            raise NodeError(
                f"{self.schedule.solver} failed in step {index}: {error}",
                remedy="change the solver's settings, its order or the spacing",
            ) from error
        self._next = index + 1
        if self.schedule.solver == "IPNDMScheduler":
            # the list would grow for ever; the next step adds one entry and reads four
            del vars(self._scheduler)["ets"][:-3]
        if self.schedule.solver in _GIVES_X0:
            return result[0], result[1]
        return result[0], self._denoised(output, index, latents)

    def _expect(self, index: int) -> None:
        if index != self._next:
            raise ValueError(f"the solver stands before step {self._next}, not {index}")

    def _grow_tree(self, latents: torch.Tensor) -> None:
        fields = vars(self._scheduler)
        if fields["noise_sampler"] is not None:
            return
        noise = _BrownianNoise(latents.shape, self._scheduler.sigmas, brownian_seed(self._seed))
        fields["noise_sampler"] = (
            noise if latents.device.type == "cpu" else _Moved(noise, latents.device)
        )

    def _denoised(
        self, output: torch.Tensor, index: int, latents: torch.Tensor
    ) -> torch.Tensor | None:
        """The predicted x_0 where the class does not return it: of_x * x + of_output * output."""
        weights = self._x0_weights(index)
        if weights is None:
            return None
        of_x, of_output = weights
        if output.shape[1] != latents.shape[1]:
            output = output[:, : latents.shape[1]]  # the rest is a learned variance
        return torch.add(output * of_output, latents, alpha=of_x)

    def _x0_weights(self, index: int) -> tuple[float, float] | None:
        if not self._is_known:
            return None
        config, columns = self._scheduler.config, self.table.columns
        kind = config.get("prediction_type", "v_prediction")
        if self.schedule.solver.startswith("FlowMatch"):
            return 1.0, -_known(columns["sigmas"][index])
        if self.schedule.solver == "IPNDMScheduler":
            beta = _known(columns["beta"][index])
            return math.sqrt(1.0 - beta**2), -beta
        if kind == "sample":
            return 0.0, 1.0
        if "sigmas" not in columns:
            alpha = math.sqrt(_known(columns["alpha"][index]))
            sigma = math.sqrt(1.0 - _known(columns["alpha"][index]))
        else:
            sigma = _known(columns["sigmas"][index])
            if kind == "flow_prediction":
                return 1.0, -sigma
            if self.schedule.solver == "EDMDPMSolverMultistepScheduler":
                of_data = cast("float", config["sigma_data"])
                total = sigma**2 + of_data**2
                sign = -1.0 if kind == "v_prediction" else 1.0
                return of_data**2 / total, sign * sigma * of_data / math.sqrt(total)
            alpha = 1.0 - sigma if config.get("use_flow_sigmas") else 1.0 / math.sqrt(sigma**2 + 1)
            sigma = sigma if config.get("use_flow_sigmas") else sigma * alpha
        if kind == "v_prediction":
            return alpha, -sigma
        return (1.0 / alpha, -sigma / alpha) if alpha else None

    # --- noise levels

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """Clean ``latents`` with unit ``noise`` added up to the level of step ``index``; both [B, C, h, w].

        Does not disturb the run. ``index == len(self)``, after the last step, gives ``latents`` back.
        """
        if index >= len(self._moments):
            return latents
        if self.schedule.solver == "IPNDMScheduler":
            beta = _known(self.table.columns["beta"][index])
            return math.sqrt(1.0 - beta**2) * latents + beta * noise
        if self._noiser is None:
            self._noiser = self._copy()
        noiser = self._noiser
        if self._has_index:
            vars(noiser)["_step_index"] = vars(noiser)["_begin_index"] = index
        timesteps = self.timesteps[index : index + 1]
        if hasattr(noiser, "add_noise"):
            return noiser.add_noise(latents, noise, timesteps)
        if hasattr(noiser, "scale_noise"):
            return noiser.scale_noise(latents, timesteps, noise)
        raise NodeError(
            f"{self.schedule.solver} cannot start from an image", remedy="choose another solver"
        )


def _known(number: float | None) -> float:
    assert number is not None
    return number


class _Kept(tuple[object, ...]):
    """A list as it was, out of reach of the scheduler that goes on changing it."""


def _frozen(fields: Mapping[str, object]) -> dict[str, object]:
    return {
        name: _Kept(value) if isinstance(value, list) else value for name, value in fields.items()
    }


def _thawed(pristine: Mapping[str, object], is_known_class: bool) -> dict[str, object]:
    # the classes of ``windows`` never write into a table; any other might
    return {
        name: list(value)
        if isinstance(value, _Kept)
        else value
        if is_known_class or name in _NOT_STATE
        else _copied(value)
        for name, value in pristine.items()
    }


def _is_same(value: object, before: object, by_identity: bool) -> bool:
    if value is before:
        return True
    if isinstance(value, list) and isinstance(before, _Kept):
        return len(value) == len(before) and all(
            _is_same(mine, other, by_identity) for mine, other in zip(value, before, strict=True)
        )
    if isinstance(value, torch.Tensor):
        return (
            not by_identity
            and isinstance(before, torch.Tensor)
            and value.shape == before.shape
            and torch.allclose(value, before, rtol=0.0, atol=0.0, equal_nan=True)
        )
    if isinstance(value, np.ndarray):
        return not by_identity and np.array_equal(value, cast("np.ndarray", before))
    if type(value) is not type(before) or not isinstance(value, bool | int | float | str):
        return False
    return value == before or (value != value and before != before)  # NaN is NaN


def _copied(value: object, device: torch.device | str | None = None) -> object:
    """A copy; on demand with all that has the latents' form on their device: timesteps and sigmas stay on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.clone() if device is None or value.ndim < 2 else value.to(device, copy=True)
    if isinstance(value, list):
        return [_copied(item, device) for item in value]
    if isinstance(value, tuple):
        return tuple(_copied(item, device) for item in value)
    if isinstance(value, dict):
        return {name: _copied(item, device) for name, item in value.items()}
    return value
