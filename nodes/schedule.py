"""Schedule nodes: the solver, its steps, and noise levels and betas as data; descriptions all, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from studio.diffusion.windows import PREDICTIONS, SOLVERS, refuse_levels
from studio.errors import NodeError
from studio.graph import Json, NodeKind
from studio.registry import Choice, Numbers, Range, node
from studio.values import Betas, Model, Schedule, Sigmas

_VP = frozenset(
    {
        "DDPMScheduler",
        "DDIMScheduler",
        "PNDMScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LMSDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "DPMSolverSDEScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
        "SASolverScheduler",
        "LCMScheduler",
        "TCDScheduler",
    }
)
"""Classes that take betas as data: the solvers of models trained on discrete timesteps."""

SPACED = _VP - {"DPMSolverSinglestepScheduler", "LCMScheduler", "TCDScheduler"}
"""Classes with a choice of timestep spacing."""

SIGMA_SPACED = _VP - {
    "DDPMScheduler",
    "DDIMScheduler",
    "PNDMScheduler",
    "LCMScheduler",
    "TCDScheduler",
} | {"FlowMatchEulerDiscreteScheduler"}
"""Classes that can space noise levels as Karras and others do, and take a list of them."""

LISTED = SIGMA_SPACED | {"DDPMScheduler", "LCMScheduler", "TCDScheduler"}
"""Classes that take noise levels as data."""

WITH_FINAL_SIGMA = frozenset(
    {
        "EulerDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "UniPCMultistepScheduler",
        "EDMEulerScheduler",
        "EDMDPMSolverMultistepScheduler",
    }
)
WITH_ZERO_SNR = frozenset(
    {
        "DDPMScheduler",
        "DDIMScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "UniPCMultistepScheduler",
        "LCMScheduler",
        "TCDScheduler",
    }
)
WITH_THRESHOLDING = frozenset(
    {
        "DDPMScheduler",
        "DDIMScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
        "SASolverScheduler",
        "LCMScheduler",
        "EDMDPMSolverMultistepScheduler",
    }
)
WITH_ETA = frozenset({"DDIMScheduler", "TCDScheduler"})
WITH_CHURN = frozenset(
    {"EulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "EDMEulerScheduler"}
)
WITH_S_NOISE = WITH_CHURN | {"DPMSolverSDEScheduler"}
FLOW_TOO = frozenset(
    {
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
        "SASolverScheduler",
    }
)
"""Classes that also solve flow matching, by ``use_flow_sigmas``."""

ORDERS: Mapping[str, tuple[str, int]] = {
    "DEISMultistepScheduler": ("solver_order", 3),
    "UniPCMultistepScheduler": ("solver_order", 3),
    "SASolverScheduler": ("predictor_order", 4),
}
"""Classes whose order is the artist's to choose: the config field and its highest value."""

_SIGMA_SPACINGS = {
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}


@node(
    "scheduler",
    version=1,
    category="schedule",
    kind=NodeKind.DESCRIBE,
    aliases=("sampler", "solver"),
)
def scheduler(
    model: Model,
    betas: Betas | None = None,
    sigmas: Sigmas | None = None,
    solver: Annotated[str, Choice(*SOLVERS)] = "ddim",
    steps: Annotated[int, Range(1, 1000, 1, "steps")] = 20,
    spacing: Annotated[str, Choice("model", "leading", "trailing", "linspace")] = "model",
    sigma_spacing: Annotated[str, Choice("default", *_SIGMA_SPACINGS)] = "default",
    final_sigma: Annotated[str, Choice("default", "zero", "sigma_min")] = "default",
    prediction_type: Annotated[
        str, Choice("model", "epsilon", "sample", "v_prediction", "flow_prediction")
    ] = "model",
    order: Annotated[int, Range(0, 4)] = 0,
    eta: Annotated[float, Range(0, 1)] | None = None,
    s_churn: Annotated[float, Range(0, 1000)] = 0.0,
    s_noise: Annotated[float, Range(0, 2)] = 1.0,
    shift: Annotated[float, Range(0.01, 100)] | None = None,
    zero_terminal_snr: bool = False,
    thresholding: bool = False,
) -> Schedule:
    """The solver of a run, its number of steps and its noise levels, on the betas of the model.

    Two-pass solvers (heun, dpm2, dpmpp_sde, flow_heun) run the network twice a step, save the last.

      model: Its own scheduler's config is what everything here starts from.
      betas: Another variance schedule than the model was trained on.
      sigmas: The noise levels as data, in place of steps and spacing.
      solver: How to step from noise to picture.
      steps: Number of noise levels; a list of sigmas overrides it.
      spacing: Where the timesteps lie; model keeps the model's own.
      sigma_spacing: How the noise levels are spread; default keeps the model's own.
      final_sigma: The level after the last step: none left, or the lowest the model knows.
      prediction_type: What the network predicts; model keeps the model's own.
      order: Order of deis, unipc and sa_solver; 0 keeps the solver's own.
      eta: Share of fresh noise in each step of ddim and tcd; empty keeps the solver's own (0 and 0.3).
      s_churn: Noise stirred in before each step of euler, flow_heun and edm_euler (Karras et al. 2022).
      s_noise: Standard deviation of that noise, and of the noise of dpmpp_sde.
      shift: Of flow matching: above 1 spends more steps on high noise; empty keeps the model's own.
      zero_terminal_snr: Rescale the betas so that the first step starts from noise alone (Lin et al. 2023).
      thresholding: Dynamic thresholding of the predicted picture, for models in pixel space (Saharia et al. 2022).
    """
    cls, fixed = SOLVERS[solver]
    config = {name: value for name, value in model.scheduler.items() if name[:1] != "_"}
    config.update(fixed)
    _predict(model, config, solver, prediction_type, shift)
    if betas is not None:
        _take_betas(config, solver, betas)
    if spacing != "model":
        _refuse_unless(cls in SPACED, f"spacing {spacing}", solver, "set spacing to model")
        config["timestep_spacing"] = spacing
    if sigma_spacing != "default":
        _refuse_unless(
            cls in SIGMA_SPACED and not (cls in FLOW_TOO and config.get("use_flow_sigmas")),
            f"sigma_spacing {sigma_spacing}",
            solver,
            "set sigma_spacing to default, or choose a solver such as euler or dpmpp_2m",
        )
        for name, switch in _SIGMA_SPACINGS.items():
            config[switch] = name == sigma_spacing
    if final_sigma != "default":
        _refuse_unless(
            cls in WITH_FINAL_SIGMA, f"final_sigma {final_sigma}", solver, "set it to default"
        )
        config["final_sigmas_type"] = final_sigma
    if order:
        field, highest = ORDERS.get(cls, ("", 0))
        _refuse_unless(
            order <= highest,
            f"order {order}",
            solver,
            f"set order to 0{f' … {highest}' if highest else ''}",
        )
        config[field] = order
    if zero_terminal_snr:
        _refuse_unless(cls in WITH_ZERO_SNR, "zero_terminal_snr", solver, "switch it off")
        config["rescale_betas_zero_snr"] = True
    if thresholding:
        _refuse_unless(cls in WITH_THRESHOLDING, "thresholding", solver, "switch it off")
        config["thresholding"] = True
    return _schedule(
        solver, config, steps, sigmas, sigma_spacing, _step_args(solver, eta, s_churn, s_noise)
    )


def _schedule(
    solver: str,
    config: dict[str, Json],
    steps: int,
    sigmas: Sigmas | None,
    sigma_spacing: str,
    step_args: dict[str, Json],
) -> Schedule:
    cls = SOLVERS[solver][0]
    if sigmas is None:
        _refuse_few_steps(solver, config, steps)
        return Schedule(cls, config, steps, None, step_args)
    _refuse_unless(
        cls in LISTED,
        "a list of sigmas",
        solver,
        "disconnect sigmas, or choose a solver such as euler or dpmpp_2m",
    )
    if sigma_spacing != "default":
        raise NodeError(
            f"sigmas are given as a list, and sigma_spacing is {sigma_spacing}",
            remedy="set sigma_spacing to default, or disconnect sigmas",
        )
    schedule = Schedule(cls, config, len(sigmas.values), sigmas.values, step_args)
    refuse_levels(schedule)
    return schedule


def _refuse_unless(is_supported: bool, what: str, solver: str, remedy: str) -> None:
    if not is_supported:
        raise NodeError(f"the solver {solver} does not support {what}", remedy=remedy)


def _refuse_few_steps(solver: str, config: Mapping[str, Json], steps: int) -> None:
    least = {"pndm": 4, "unclip": 2}.get(solver, 1)
    if steps < least:
        raise NodeError(
            f"steps is {steps}, and the solver {solver} needs {least} or more",
            remedy=f"set steps to {least} or more, or choose another solver",
        )
    if solver == "lcm":
        most = config.get("original_inference_steps", 50)
        if isinstance(most, int) and steps > most:
            raise NodeError(
                f"steps is {steps}, and the solver lcm knows {most} (the model's original_inference_steps)",
                remedy=f"set steps to {most} or less; 4 to 8 are usual",
            )


def _predict(
    model: Model, config: dict[str, Json], solver: str, prediction_type: str, shift: float | None
) -> None:
    """Settle what the network predicts and whether the solver fits the way in which the model was trained."""
    cls = SOLVERS[solver][0]
    own = str(model.scheduler.get("_class_name", ""))
    if prediction_type != "model":
        config["prediction_type"] = prediction_type
    was_flow = (
        own.startswith("FlowMatch")
        or model.scheduler.get("prediction_type") == "flow_prediction"
        or bool(model.scheduler.get("use_flow_sigmas"))
    )
    is_flow = was_flow if prediction_type == "model" else prediction_type == "flow_prediction"
    _refuse_foreign(cls, own, solver, is_flow)
    if cls == "UnCLIPScheduler" and model.scheduler.get("beta_schedule", "") not in (
        "squaredcos_cap_v2",
        *(("",) if own == cls else ()),
    ):
        raise NodeError(
            "the solver unclip works on cosine betas, on which the model was not trained",
            remedy="choose ddpm, which does the same on the model's own betas",
        )
    if is_flow:
        _flow(config, cls, shift)
    else:
        if "use_flow_sigmas" in config:
            config["use_flow_sigmas"] = False
        _refuse_unless(shift is None, "shift", solver, "clear it: only flow matching has a shift")
        kinds, kind = PREDICTIONS.get(cls, ()), config.get("prediction_type")
        _refuse_unless(
            not kinds or kind is None or kind in kinds,
            f"prediction_type {kind}",
            solver,
            "choose another solver such as ddim or euler"
            if prediction_type == "model"
            else f"set prediction_type to {' or '.join(kinds)}",
        )


def _refuse_foreign(cls: str, own: str, solver: str, is_flow: bool) -> None:
    for kind, is_models, is_solvers, remedy in (
        (
            "flow matching",
            is_flow,
            cls.startswith("FlowMatch") or (is_flow and cls in FLOW_TOO),
            "flow_euler, flow_heun, dpmpp_2m or unipc",
        ),
        ("EDM preconditioning", own.startswith("EDM"), cls.startswith("EDM"), "edm_dpmpp_2m"),
        ("the angle of IPNDM", own == "IPNDMScheduler", cls == "IPNDMScheduler", "ipndm"),
    ):
        if is_models and not is_solvers:
            raise NodeError(
                f"the model was trained by {kind}, which the solver {solver} does not solve",
                remedy=f"set solver to {remedy}",
            )
        if is_solvers and not is_models:
            raise NodeError(
                f"the solver {solver} is for models trained by {kind}, and this one was not",
                remedy="set solver to another one such as ddim, euler or dpmpp_2m",
            )


def _flow(config: dict[str, Json], cls: str, shift: float | None) -> None:
    own = config.get("flow_shift", config.get("shift", 1.0))
    if cls in FLOW_TOO:
        config.update(prediction_type="flow_prediction", use_flow_sigmas=True)
        # these classes would take the levels of the betas, which flow matching has not
        config.update(dict.fromkeys(_SIGMA_SPACINGS.values(), False))
        config["flow_shift"] = own if shift is None else shift
    elif shift is not None:
        config["shift"] = shift
    if shift is not None:
        config["use_dynamic_shifting"] = False
    if config.get("use_dynamic_shifting"):
        raise NodeError(
            "the model shifts its noise levels by the size of the picture, which shift has to say",
            remedy="set shift: about 1.9 for 512 px, 3 for 1024 px",
        )


def _take_betas(config: dict[str, Json], solver: str, betas: Betas) -> None:
    _refuse_unless(SOLVERS[solver][0] in _VP, "betas", solver, "disconnect betas")
    count = config.get("num_train_timesteps", 1000)
    if len(betas.values) != count:
        raise NodeError(
            f"{len(betas.values)} betas are given, and the model was trained on {count} timesteps",
            remedy=f"set num_train_timesteps of the beta schedule to {count}",
        )
    config["trained_betas"] = list(betas.values)


def _step_args(solver: str, eta: float | None, s_churn: float, s_noise: float) -> dict[str, Json]:
    cls = SOLVERS[solver][0]
    step_args: dict[str, Json] = {}
    if eta is not None:
        _refuse_unless(
            cls in WITH_ETA or eta == 0, f"eta {eta:g}", solver, "clear eta, or choose ddim or tcd"
        )
        if cls in WITH_ETA:
            step_args["eta"] = eta
    if s_churn:
        _refuse_unless(cls in WITH_CHURN, f"s_churn {s_churn:g}", solver, "set it to 0")
        step_args["s_churn"] = s_churn
    if s_noise != 1.0:
        _refuse_unless(cls in WITH_S_NOISE, f"s_noise {s_noise:g}", solver, "set it to 1")
        if s_churn or cls == "DPMSolverSDEScheduler":
            step_args["s_noise"] = s_noise
    return step_args


# --- betas and sigmas as data


@node("beta_schedule", version=1, category="schedule", kind=NodeKind.DESCRIBE)
def beta_schedule(
    kind: Annotated[
        str, Choice("scaled_linear", "linear", "cosine", "quadratic", "sigmoid")
    ] = "scaled_linear",
    num_train_timesteps: Annotated[int, Range(1, 10000, 1, "steps")] = 1000,
    beta_start: Annotated[float, Range(0, 0.999)] = 0.00085,
    beta_end: Annotated[float, Range(0, 0.999)] = 0.012,
) -> Betas:
    """The variance schedule of training as data: how much noise each training step adds.

    kind: The shape; quadratic is the literature's name for scaled_linear.
    num_train_timesteps: Number of training steps; must be that of the model.
    beta_start: Variance of the first step; cosine has no use for it.
    beta_end: Variance of the last step; the cap of cosine (0.999 in the paper).
    """
    from studio.diffusion import betas as schedules

    if kind != "cosine" and not 0 < beta_start <= beta_end:
        raise NodeError(
            f"beta_start {beta_start:g} and beta_end {beta_end:g} do not rise from above 0",
            remedy="set 0 < beta_start <= beta_end",
        )
    if beta_end <= 0:
        raise NodeError("beta_end is 0", remedy="set it above 0; 0.999 in the paper")
    return Betas(schedules.KINDS[kind](num_train_timesteps, beta_start, beta_end))


_SIGMA_MIN, _SIGMA_MAX = 0.0292, 14.6146
"""The lowest and highest noise level of Stable Diffusion's betas."""


def _refuse_range(sigma_min: float, sigma_max: float) -> None:
    if not 0 < sigma_min < sigma_max:
        raise NodeError(
            f"sigma_min {sigma_min:g} is not below sigma_max {sigma_max:g}",
            remedy="set sigma_min below sigma_max",
        )


@node("karras_sigmas", version=1, category="schedule", kind=NodeKind.DESCRIBE)
def karras_sigmas(
    steps: Annotated[int, Range(1, 1000, 1, "steps")] = 20,
    sigma_min: Annotated[float, Range(0.0001, 1000)] = _SIGMA_MIN,
    sigma_max: Annotated[float, Range(0.0001, 1000)] = _SIGMA_MAX,
    rho: Annotated[float, Range(1, 20)] = 7.0,
) -> Sigmas:
    """Noise levels of Karras et al. 2022, eq. 5.

    steps: Number of noise levels.
    sigma_min: The lowest level.
    sigma_max: The highest level.
    rho: How much closer the low levels lie; 7 in the paper, 1 is equal steps.
    """
    _refuse_range(sigma_min, sigma_max)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    last = max(steps - 1, 1)
    inner = ((high + index / last * (low - high)) ** rho for index in range(1, steps - 1))
    # the ends exactly, not through a root and back
    return Sigmas((sigma_max, *inner, sigma_min) if steps > 1 else (sigma_max,))


@node("exponential_sigmas", version=1, category="schedule", kind=NodeKind.DESCRIBE)
def exponential_sigmas(
    steps: Annotated[int, Range(1, 1000, 1, "steps")] = 20,
    sigma_min: Annotated[float, Range(0.0001, 1000)] = _SIGMA_MIN,
    sigma_max: Annotated[float, Range(0.0001, 1000)] = _SIGMA_MAX,
) -> Sigmas:
    """Noise levels in equal ratios.

    steps: Number of noise levels.
    sigma_min: The lowest level.
    sigma_max: The highest level.
    """
    _refuse_range(sigma_min, sigma_max)
    ratio, last = math.log(sigma_min / sigma_max), max(steps - 1, 1)
    inner = (sigma_max * math.exp(index / last * ratio) for index in range(1, steps - 1))
    return Sigmas((sigma_max, *inner, sigma_min) if steps > 1 else (sigma_max,))


_EXAMPLE = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152]


@node("custom_sigmas", version=1, category="schedule", kind=NodeKind.DESCRIBE)
def custom_sigmas(values: Annotated[list[float], Numbers()] = _EXAMPLE) -> Sigmas:
    """Noise levels written out. The default is "Align Your Steps" for Stable Diffusion 1.5 (Sabour et al. 2024).

    An edit that first matters at level k costs only the steps from k on.

      values: The levels, each below the one before; a final 0 may be left out.
    """
    levels = tuple(float(value) for value in values)
    if levels and levels[-1] == 0:
        levels = levels[:-1]
    refuse_levels(Schedule("", {}, len(levels), levels))
    return Sigmas(levels)
