"""What each step reads of its schedule, as plain exact data, so that a key changes when and only when the step does.

Torch-free: works on the ``Table`` that ``studio.diffusion.solvers.tabulate`` computes once per schedule. For a solver
that is not described here every step reads the whole schedule, which is always right and shares nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from studio.errors import NodeError
from studio.graph import Json
from studio.values import Schedule

SOLVERS: Mapping[str, tuple[str, Mapping[str, Json]]] = MappingProxyType(
    {
        "ddpm": ("DDPMScheduler", {}),
        "ddim": ("DDIMScheduler", {}),
        "pndm": ("PNDMScheduler", {"skip_prk_steps": False}),
        "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
        "euler": ("EulerDiscreteScheduler", {}),
        "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
        "heun": ("HeunDiscreteScheduler", {}),
        "lms": ("LMSDiscreteScheduler", {}),
        "dpm2": ("KDPM2DiscreteScheduler", {}),
        "dpm2_ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
        "dpmpp_2m": (
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "dpmsolver++", "solver_order": 2},
        ),
        "dpmpp_2m_sde": (
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++", "solver_order": 2},
        ),
        "dpmpp_3m": (
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "dpmsolver++", "solver_order": 3},
        ),
        "dpmpp_3m_sde": (
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++", "solver_order": 3},
        ),
        "dpmpp_2s": (
            "DPMSolverSinglestepScheduler",
            {"algorithm_type": "dpmsolver++", "solver_order": 2, "lower_order_final": True},
        ),
        "dpmpp_3s": (
            "DPMSolverSinglestepScheduler",
            {"algorithm_type": "dpmsolver++", "solver_order": 3, "lower_order_final": True},
        ),
        "dpmpp_sde": ("DPMSolverSDEScheduler", {}),
        "deis": ("DEISMultistepScheduler", {"algorithm_type": "deis", "solver_type": "logrho"}),
        "unipc": ("UniPCMultistepScheduler", {"solver_type": "bh2"}),
        "sa_solver": ("SASolverScheduler", {"algorithm_type": "data_prediction"}),
        "ipndm": ("IPNDMScheduler", {}),
        "lcm": ("LCMScheduler", {}),
        "tcd": ("TCDScheduler", {}),
        "unclip": (
            "UnCLIPScheduler",
            {"variance_type": "fixed_small_log", "beta_schedule": "squaredcos_cap_v2"},
        ),
        "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
        "flow_heun": ("FlowMatchHeunDiscreteScheduler", {}),
        "edm_euler": ("EDMEulerScheduler", {}),
        "edm_dpmpp_2m": (
            "EDMDPMSolverMultistepScheduler",
            {"algorithm_type": "dpmsolver++", "solver_order": 2},
        ),
    }
)
"""The field's short names of solvers: diffusers' class, and what of its config the name fixes."""

TWO_PASS = frozenset(
    {
        "HeunDiscreteScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "DPMSolverSDEScheduler",
    }
)
"""Solvers that call the network twice a step, save the last: diffusers' ``order`` 2."""


# --- the table


@dataclass(frozen=True)
class Table:
    """A schedule worked out: what diffusers' scheduler holds after ``set_timesteps``, exactly, as Python floats."""

    solver: str
    config: Mapping[str, Json]
    """The resolved config, narrowed to what a step reads (``effective``)."""
    timesteps: tuple[float, ...]
    """What the network is told, one per forward pass; 0 … 999 for most models."""
    init_noise_sigma: float
    """Standard deviation of x at the first step: pure noise is scaled by it."""
    columns: Mapping[str, tuple[float | None, ...]]
    """Named coefficients by step (``sigmas``, ``alpha``, ``alpha_previous`` …); None where there is none such."""

    @property
    def passes(self) -> int:
        """Number of forward passes of the whole run."""
        return len(self.timesteps)

    def sigma(self, index: int) -> float | None:
        """The noise before a pass over what is left of the picture, as standard deviations; None: unknown or endless.

        ``index`` may be ``passes``: what is left in the end.
        """
        sigmas, alphas = self.columns.get("sigmas", ()), self.columns.get("alpha", ())
        sigma = sigmas[index] if index < len(sigmas) else None
        alpha = alphas[index] if index < len(alphas) else None
        if index == self.passes and "alpha_previous" in self.columns:
            alpha = self.columns["alpha_previous"][-1]
        if sigma is None and alpha:
            sigma = math.sqrt(max(0.0, 1 - alpha) / alpha)
        if sigma is None and index >= self.passes:
            sigma = 0.0
        return sigma if sigma is None or math.isfinite(sigma) else None

    def json(self) -> dict[str, Json]:
        """The table as JSON; every finite float survives the round trip exactly, others are written as text."""
        return {
            "solver": self.solver,
            "config": dict(self.config),
            "timesteps": list(self.timesteps),
            "init_noise_sigma": self.init_noise_sigma,
            "columns": {
                name: [_written(number) for number in column]
                for name, column in self.columns.items()
            },
        }

    @classmethod
    def read(cls, document: Json) -> Table:
        """The inverse of ``json``; raises KeyError or TypeError if it is not that."""
        document = _typed(document, dict)
        solver = _typed(document["solver"], str)
        config = _typed(document["config"], dict)
        timesteps = _typed(document["timesteps"], list)
        columns = _typed(document["columns"], dict)
        return cls(
            solver=solver,
            config=config,
            timesteps=tuple(_number(entry) for entry in timesteps),
            init_noise_sigma=_number(document["init_noise_sigma"]),
            columns={
                name: tuple(
                    None if number is None else _number(number) for number in _typed(column, list)
                )
                for name, column in columns.items()
            },
        )


def tabulate(schedule: Schedule) -> Json:
    """The ``json`` of a schedule's table, worked out by the solver itself: a fact, which needs torch."""
    from studio.diffusion.solvers import tabulate as by_solver

    return by_solver(schedule)


def trained_betas(config: Mapping[str, Json]) -> Json:
    """The betas that a scheduler's config stands for, null where it has none: a fact, which needs numpy."""
    from studio.diffusion.betas import of_config

    betas = of_config(config)
    return None if betas is None else list(betas)


T = TypeVar("T")


def _typed(value: Json, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"a table has {value!r} where {kind.__name__} should be")
    return value


def _written(number: float | None) -> float | str | None:
    return number if number is None or math.isfinite(number) else repr(number)


def _number(value: Json) -> float:
    if isinstance(value, str):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a table has {value!r} where a number should be")
    return float(value)


# --- predictions from the description alone


def levels(schedule: Schedule) -> int:
    """Number N of noise levels that the schedule asks for."""
    return len(schedule.sigmas) if schedule.sigmas is not None else schedule.steps


def order(schedule: Schedule) -> int:
    """Forward passes per step: 2 for Heun and its like, else 1."""
    return 2 if schedule.solver in TWO_PASS else 1


def passes(schedule: Schedule) -> int:
    """Number of forward passes of a whole run, from the description alone."""
    n = levels(schedule)
    if schedule.solver in TWO_PASS:
        return 2 * n - 1
    if schedule.solver == "PNDMScheduler":
        if not schedule.config.get("skip_prk_steps", False):
            return n + 9
        return n + 1 if n > 1 else 1
    return n


def begin_index(schedule: Schedule, strength: float) -> int:
    """Index of the first forward pass of a run that keeps ``strength`` in [0, 1] of the whole.

    As in diffusers' image-to-image. At strength 0 that is past the last step: nothing is denoised.
    """
    n = levels(schedule)
    kept = min(int(n * strength), n)
    return min((n - kept) * order(schedule), passes(schedule))


def is_stochastic(schedule: Schedule) -> bool:
    """Tell whether steps may draw noise from the generator that they are given."""
    draws = _DRAWS.get(schedule.solver)
    return True if draws is None else draws(schedule)


def _churns(schedule: Schedule) -> bool:
    return _argument(schedule, "s_churn", 0.0) > 0


def _argument(schedule: Schedule, name: str, default: float) -> float:
    value = schedule.step_args.get(name, default)
    return value if isinstance(value, int | float) else default


def _is_sde(schedule: Schedule) -> bool:
    return str(schedule.config.get("algorithm_type", "")).startswith("sde")


def _never(schedule: Schedule) -> bool:
    return False


def _always(schedule: Schedule) -> bool:
    return True


_DRAWS: Mapping[str, Callable[[Schedule], bool]] = {
    "DDPMScheduler": _always,
    "DDIMScheduler": lambda schedule: _argument(schedule, "eta", 0.0) > 0,
    "PNDMScheduler": _never,
    "EulerDiscreteScheduler": _churns,
    "EulerAncestralDiscreteScheduler": _always,
    "HeunDiscreteScheduler": _never,
    "LMSDiscreteScheduler": _never,
    "KDPM2DiscreteScheduler": _never,
    "KDPM2AncestralDiscreteScheduler": _always,
    "DPMSolverMultistepScheduler": _is_sde,
    "DPMSolverSinglestepScheduler": _is_sde,
    "DPMSolverSDEScheduler": _never,  # its Brownian tree hangs on the seed, not on a generator
    "DEISMultistepScheduler": _never,
    "UniPCMultistepScheduler": _never,
    "SASolverScheduler": _always,
    "IPNDMScheduler": _never,
    "LCMScheduler": _always,
    "TCDScheduler": lambda schedule: _argument(schedule, "eta", 0.3) > 0,
    "UnCLIPScheduler": _always,
    "FlowMatchEulerDiscreteScheduler": lambda schedule: bool(
        schedule.config.get("stochastic_sampling", False)
    ),
    "FlowMatchHeunDiscreteScheduler": _churns,
    "EDMEulerScheduler": _churns,
    "EDMDPMSolverMultistepScheduler": _is_sde,
}


# --- windows

_CLIP = ("clip_sample", "clip_sample_range")
_THRESHOLD = ("thresholding", "dynamic_thresholding_ratio", "sample_max_value")

_READS: Mapping[str, tuple[str, ...]] = {
    "DDPMScheduler": ("prediction_type", "variance_type", *_CLIP, *_THRESHOLD),
    "DDIMScheduler": ("prediction_type", *_CLIP, *_THRESHOLD),
    "PNDMScheduler": ("prediction_type", "skip_prk_steps"),
    "EulerDiscreteScheduler": ("prediction_type",),
    "EulerAncestralDiscreteScheduler": ("prediction_type",),
    "HeunDiscreteScheduler": ("prediction_type", *_CLIP),
    "LMSDiscreteScheduler": ("prediction_type",),
    "KDPM2DiscreteScheduler": ("prediction_type",),
    "KDPM2AncestralDiscreteScheduler": ("prediction_type",),
    "DPMSolverMultistepScheduler": (
        "prediction_type",
        "algorithm_type",
        "solver_order",
        "solver_type",
        "variance_type",
        "use_flow_sigmas",
        *_THRESHOLD,
    ),
    "DPMSolverSinglestepScheduler": (
        "prediction_type",
        "algorithm_type",
        "solver_order",
        "solver_type",
        "variance_type",
        "use_flow_sigmas",
        *_THRESHOLD,
    ),
    "DPMSolverSDEScheduler": ("prediction_type",),
    "DEISMultistepScheduler": ("prediction_type", "solver_order", "use_flow_sigmas", *_THRESHOLD),
    "UniPCMultistepScheduler": (
        "prediction_type",
        "solver_order",
        "solver_type",
        "predict_x0",
        "use_flow_sigmas",
        *_THRESHOLD,
    ),
    "SASolverScheduler": (
        "prediction_type",
        "predictor_order",
        "corrector_order",
        "algorithm_type",
        "variance_type",
        "use_flow_sigmas",
        *_THRESHOLD,
    ),
    "IPNDMScheduler": (),
    "LCMScheduler": ("prediction_type", "timestep_scaling", *_CLIP, *_THRESHOLD),
    "TCDScheduler": ("prediction_type",),
    "UnCLIPScheduler": ("prediction_type", "variance_type", *_CLIP),
    "FlowMatchEulerDiscreteScheduler": ("stochastic_sampling",),
    "FlowMatchHeunDiscreteScheduler": (),
    "EDMEulerScheduler": ("prediction_type", "sigma_data"),
    "EDMDPMSolverMultistepScheduler": (
        "prediction_type",
        "algorithm_type",
        "solver_order",
        "solver_type",
        "sigma_data",
        *_THRESHOLD,
    ),
}
"""Config fields that ``step`` itself reads; all others act through the table, or a rule worked out below."""

_LEARNED = ("learned", "learned_range")
_READS_LEARNED_VARIANCE = (
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
)
"""Classes that read ``variance_type`` only to cut off a learned variance."""

_RULES: Mapping[str, tuple[str, ...]] = {
    "DPMSolverMultistepScheduler": ("lower_order_final", "euler_at_final", "final_sigmas_type"),
    "EDMDPMSolverMultistepScheduler": ("lower_order_final", "euler_at_final", "final_sigmas_type"),
    "DEISMultistepScheduler": ("lower_order_final",),
    "UniPCMultistepScheduler": ("lower_order_final", "disable_corrector"),
    "SASolverScheduler": ("lower_order_final",),
}
"""Config fields that decide the order at the ends of a run; a window has the order itself in their place."""


PREDICTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "DDPMScheduler": ("epsilon", "sample", "v_prediction"),
        "DDIMScheduler": ("epsilon", "sample", "v_prediction"),
        "PNDMScheduler": ("epsilon", "v_prediction"),
        "EulerDiscreteScheduler": ("epsilon", "sample", "v_prediction"),
        "EulerAncestralDiscreteScheduler": ("epsilon", "v_prediction"),
        "HeunDiscreteScheduler": ("epsilon", "sample", "v_prediction"),
        "LMSDiscreteScheduler": ("epsilon", "sample", "v_prediction"),
        "KDPM2DiscreteScheduler": ("epsilon", "v_prediction"),
        "KDPM2AncestralDiscreteScheduler": ("epsilon", "v_prediction"),
        "DPMSolverMultistepScheduler": ("epsilon", "sample", "v_prediction", "flow_prediction"),
        "DPMSolverSinglestepScheduler": ("epsilon", "sample", "v_prediction", "flow_prediction"),
        "DPMSolverSDEScheduler": ("epsilon", "v_prediction"),
        "DEISMultistepScheduler": ("epsilon", "sample", "v_prediction", "flow_prediction"),
        "UniPCMultistepScheduler": ("epsilon", "sample", "v_prediction", "flow_prediction"),
        "SASolverScheduler": ("epsilon", "sample", "v_prediction", "flow_prediction"),
        "LCMScheduler": ("epsilon", "sample", "v_prediction"),
        "TCDScheduler": ("epsilon", "sample", "v_prediction"),
        "UnCLIPScheduler": ("epsilon", "sample"),
        "EDMEulerScheduler": ("epsilon", "v_prediction"),
        "EDMDPMSolverMultistepScheduler": ("epsilon", "v_prediction"),
        # these know one kind each: v over an angle, and the flow's velocity
        "IPNDMScheduler": (),
        "FlowMatchEulerDiscreteScheduler": (),
        "FlowMatchHeunDiscreteScheduler": (),
    }
)
"""What a network may predict, by solver class; none where the class knows one kind only."""


def is_known(solver: str) -> bool:
    """Tell whether the steps of this diffusers class are described here."""
    return solver in _READS


def effective(solver: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """Narrow a resolved config to what steps read: a switch that is off is absent, with all that hangs on it."""
    if solver not in _READS:
        return dict(config)
    names = _READS[solver] + _RULES.get(solver, ())
    kept = {name: config[name] for name in names if name in config}
    is_thresholding = bool(kept.pop("thresholding", False))
    is_clipping = bool(kept.pop("clip_sample", False)) and not is_thresholding
    if not is_thresholding:
        kept.pop("dynamic_thresholding_ratio", None)
        kept.pop("sample_max_value", None)
    if not is_clipping:
        kept.pop("clip_sample_range", None)
    if solver in _READS_LEARNED_VARIANCE and kept["variance_type"] not in _LEARNED:
        del kept["variance_type"]
    return kept


def whole(schedule: Schedule) -> dict[str, Json]:
    """Everything about a schedule, as plain data."""
    return {
        "solver": schedule.solver,
        "config": dict(schedule.config),
        "steps": schedule.steps,
        "sigmas": None if schedule.sigmas is None else list(schedule.sigmas),
        "step_args": dict(schedule.step_args),
    }


def window(schedule: Schedule, table: Table, index: int, begin: int = 0) -> dict[str, Json]:
    """All that step ``index`` reads of the schedule, in a run that began at step ``begin``: plain exact data.

    Two runs whose windows agree from their first step up to k have bit-equal states after k, if all else agrees.
    """
    if schedule.solver not in _READS:
        return {"schedule": whole(schedule), "index": index, "begin": begin}
    rules = _RULES.get(schedule.solver, ())
    read: dict[str, Json] = {
        "solver": schedule.solver,
        "timestep": table.timesteps[index],
        "config": {name: value for name, value in table.config.items() if name not in rules},
    }
    if is_stochastic(schedule):
        read["index"] = index  # the address of the step's noise
    read.update(_WINDOWS[schedule.solver](schedule, table, index, begin))
    return read


def level(schedule: Schedule, table: Table, index: int) -> dict[str, Json]:
    """All that adding noise up to the level of step ``index`` reads: at the start from an image, outside a mask.

    ``index`` may be ``table.passes``: the level after the last step, which has no noise where the solver ends at 0.
    """
    if schedule.solver not in _READS:
        return {"schedule": whole(schedule), "index": index}
    read: dict[str, Json] = {"solver": schedule.solver}
    if index >= table.passes:
        return read
    column = next(name for name in ("alpha", "beta", "sigmas") if name in table.columns)
    read[column] = _at(table, column, index)
    if "use_flow_sigmas" in table.config and column == "sigmas":
        read["use_flow_sigmas"] = table.config["use_flow_sigmas"]
    return read


def _at(table: Table, column: str, index: int) -> float | str | None:
    return _written(table.columns[column][index])


def _length(table: Table) -> int:
    return len(table.timesteps)


def _between(table: Table, index: int) -> dict[str, Json]:
    return {
        "sigma": _at(table, "sigmas", index),
        "sigma_next": _at(table, "sigmas", index + 1),
    }


def _churn(schedule: Schedule, table: Table) -> dict[str, Json]:
    if not _churns(schedule):
        return {}
    return {
        "length": len(table.columns["sigmas"]) - 1,
        **{name: value for name, value in schedule.step_args.items() if name.startswith("s_")},
    }


def _is_first_half(index: int, begin: int) -> bool:
    return (index - begin) % 2 == 0


def _euler(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    return {**_between(table, index), **_churn(schedule, table)}


def _flow_euler(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    return _between(table, index)  # it accepts s_churn and ignores it


def _lms(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    highest = int(_argument(schedule, "order", 4))
    used = min(index + 1, highest)
    # even a run that begins late reads the levels before its first step
    sigmas = [_at(table, "sigmas", i) for i in range(index - used + 1, index + 2)]
    return {"sigmas": list(sigmas)}


def _heun(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    if _is_first_half(index, begin):
        return _between(table, index)
    return {"sigma": _at(table, "sigmas", index)}


def _flow_heun(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    read = _heun(schedule, table, index, begin)
    if _churns(schedule) and not _is_first_half(index, begin):
        read["sigma_previous"] = _at(table, "sigmas", index - 1)
    return {**read, **_churn(schedule, table)}


def _kdpm2(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    if _is_first_half(index, begin):
        return {
            "sigma": _at(table, "sigmas", index),
            "sigma_middle": _at(table, "sigmas_interpol", index + 1),
        }
    return {
        "sigma": _at(table, "sigmas", index - 1),
        "sigma_middle": _at(table, "sigmas_interpol", index),
        "sigma_next": _at(table, "sigmas", index),
    }


def _kdpm2_ancestral(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    if _is_first_half(index, begin):
        return {
            "sigma": _at(table, "sigmas", index),
            "sigma_middle": _at(table, "sigmas_interpol", index),
        }
    return {
        "sigma": _at(table, "sigmas", index - 1),
        "sigma_middle": _at(table, "sigmas_interpol", index - 1),
        "sigma_up": _at(table, "sigmas_up", index - 1),
        "sigma_down": _at(table, "sigmas_down", index - 1),
    }


def _dpm_sde(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    from_index = index if _is_first_half(index, begin) else index - 1
    sigmas = [sigma for sigma in table.columns["sigmas"] if sigma]
    return {
        **_between(table, from_index),
        "s_noise": _argument(schedule, "s_noise", 1.0),
        # the Brownian tree spans the whole run: its ends decide every value in it
        "sigma_min": min(sigmas),
        "sigma_max": max(sigmas),
    }


def _whole_number(table: Table, name: str) -> int:
    value = table.config[name]
    assert isinstance(value, int)
    return value


def _multistep(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    config = table.config
    highest = _whole_number(table, "solver_order")
    steps = _length(table)
    is_short = bool(config["lower_order_final"]) and steps < 15
    is_last_first_order = (
        is_short or bool(config.get("euler_at_final")) or config.get("final_sigmas_type") == "zero"
    )
    used = min(highest, index - begin + 1)
    if index == steps - 1 and is_last_first_order:
        used = 1
    elif index == steps - 2 and is_short:
        used = min(used, 2)
    return {**_between(table, index), "order": used}


def _singlestep(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    listed = table.columns["order"][index]
    assert listed is not None
    return {**_between(table, index), "order": min(int(listed), index - begin + 1)}


def _unipc(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    config = table.config
    used = _whole_number(table, "solver_order")
    if config["lower_order_final"]:
        used = min(used, _length(table) - index)
    disabled = config["disable_corrector"]
    is_corrected = index > begin and not (isinstance(disabled, list) and index - 1 in disabled)
    return {
        **_between(table, index),
        "order": min(used, index - begin + 1),
        "is_corrected": is_corrected,
    }


def _sa_solver(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    predictor = _whole_number(table, "predictor_order")
    corrector = _whole_number(table, "corrector_order")
    if table.config["lower_order_final"]:
        left = _length(table) - index
        predictor, corrector = min(predictor, left), min(corrector, left + 1)
    return {
        **_between(table, index),
        "order": min(predictor, index - begin + 1),
        # the corrector that the next step will use is decided in this one
        "order_of_corrector": min(corrector, index - begin + 2),
    }


def _alphas(table: Table, index: int) -> dict[str, Json]:
    return {
        "alpha": _at(table, "alpha", index),
        "alpha_previous": _at(table, "alpha_previous", index),
    }


def _ddpm(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    return _alphas(table, index)


def _ddim(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    given = {name: value for name, value in schedule.step_args.items() if value}
    return {**_alphas(table, index), **given}


def _pndm(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    count = index - begin
    runge_kutta = table.columns["alpha_runge_kutta"]
    if count < len(runge_kutta):
        return {
            "alpha": _at(table, "alpha_runge_kutta", count),
            "alpha_previous": _at(table, "alpha" if count % 2 else "alpha_half", index),
        }
    if count == 1 and table.config["skip_prk_steps"]:
        return {
            "alpha": _at(table, "alpha_before", index),
            "alpha_previous": _at(table, "alpha", index),
        }
    return _alphas(table, index)


def _ipndm(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    return {"beta": _at(table, "beta", index), "beta_next": _at(table, "beta", index + 1)}


def _lcm(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    if index == _length(table) - 1:
        return {"alpha": _at(table, "alpha", index)}
    return _alphas(table, index)


def _tcd(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    read: dict[str, Json] = {
        "alpha": _at(table, "alpha", index),
        "alpha_between": _at(table, "alpha_between", index),
    }
    if is_stochastic(schedule) and index != _length(table) - 1:
        read["alpha_previous"] = _at(table, "alpha_previous", index)
    return read


def _unclip(schedule: Schedule, table: Table, index: int, begin: int) -> dict[str, Json]:
    return {**_alphas(table, index), "beta": _at(table, "beta", index)}


_WINDOWS: Mapping[str, Callable[[Schedule, Table, int, int], dict[str, Json]]] = {
    "DDPMScheduler": _ddpm,
    "DDIMScheduler": _ddim,
    "PNDMScheduler": _pndm,
    "EulerDiscreteScheduler": _euler,
    "EulerAncestralDiscreteScheduler": _euler,
    "HeunDiscreteScheduler": _heun,
    "LMSDiscreteScheduler": _lms,
    "KDPM2DiscreteScheduler": _kdpm2,
    "KDPM2AncestralDiscreteScheduler": _kdpm2_ancestral,
    "DPMSolverMultistepScheduler": _multistep,
    "DPMSolverSinglestepScheduler": _singlestep,
    "DPMSolverSDEScheduler": _dpm_sde,
    "DEISMultistepScheduler": _multistep,
    "UniPCMultistepScheduler": _unipc,
    "SASolverScheduler": _sa_solver,
    "IPNDMScheduler": _ipndm,
    "LCMScheduler": _lcm,
    "TCDScheduler": _tcd,
    "UnCLIPScheduler": _unclip,
    "FlowMatchEulerDiscreteScheduler": _flow_euler,
    "FlowMatchHeunDiscreteScheduler": _flow_heun,
    "EDMEulerScheduler": _euler,
    "EDMDPMSolverMultistepScheduler": _multistep,
}


def refuse_levels(schedule: Schedule) -> None:
    """Raise NodeError unless custom noise levels are finite, positive and strictly falling."""
    if schedule.sigmas is None:
        return
    if not schedule.sigmas:
        raise NodeError("the list of noise levels is empty", remedy="give at least one sigma")
    above = math.inf
    for index, sigma in enumerate(schedule.sigmas):
        if not 0 < sigma < above:
            raise NodeError(
                f"noise level {index} is {sigma}",
                remedy="sigmas must be finite, above 0 and each below the one before; the final 0 is the solver's",
            )
        above = sigma
