"""Schedule nodes: what an artist asks of a solver becomes a schedule that runs, or a refusal that says what to do."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
from collections.abc import Mapping

import diffusers
import pytest
import torch

from nodes import schedule as nodes
from studio.diffusion import windows
from studio.diffusion.solvers import Solver
from studio.errors import NodeError
from studio.graph import Json, NodeKind
from studio.registry import node_type
from studio.values import Betas, Model, ModelRef, Schedule, Sigmas

# diffusers mixes tensors and arrays in ways that numpy 2 warns about
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

SD: Mapping[str, Json] = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}
FLOW: Mapping[str, Json] = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
EDM: Mapping[str, Json] = {"_class_name": "EDMEulerScheduler", "sigma_max": 80.0}
IPNDM: Mapping[str, Json] = {"_class_name": "IPNDMScheduler"}
UNCLIP: Mapping[str, Json] = {
    "_class_name": "UnCLIPScheduler",
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "sample",
}


def _model(scheduler: Mapping[str, Json] = SD) -> Model:
    return Model(ModelRef("m", "unet", "0" * 64), "sd1", "sd1", 4, 4, 8, 512, scheduler)


def _home(solver: str) -> Mapping[str, Json]:
    """The config of a model that the solver is for."""
    own = {"flow_": FLOW, "edm_": EDM, "ipndm": IPNDM, "unclip": UNCLIP}
    return next((config for prefix, config in own.items() if solver.startswith(prefix)), SD)


# --- the scheduler node


@pytest.mark.parametrize("solver", windows.SOLVERS)
def test_every_solver_of_the_choice_makes_a_schedule_that_can_be_built(solver: str) -> None:
    schedule = nodes.scheduler(_model(_home(solver)), solver=solver, steps=8)
    assert schedule.solver == windows.SOLVERS[solver][0]
    assert len(Solver(schedule)) == windows.passes(schedule)


@pytest.mark.parametrize("solver", ["ddim", "euler", "dpmpp_2m", "unipc", "heun"])
def test_a_solver_stands_on_the_models_config_as_in_diffusers(solver: str) -> None:
    schedule = nodes.scheduler(_model(), solver=solver, steps=7)
    cls, fixed = windows.SOLVERS[solver]
    theirs = getattr(diffusers, cls).from_config({**SD, **fixed})
    theirs.set_timesteps(7)
    ours = Solver(schedule)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert ours.init_noise_sigma == float(theirs.init_noise_sigma)


def test_spacing_of_timesteps_is_the_artists_to_choose() -> None:
    first = {
        spacing: Solver(nodes.scheduler(_model(), solver="ddim", spacing=spacing)).timesteps[0]
        for spacing in ("model", "leading", "trailing", "linspace")
    }
    # 20 steps of 50: leading 19 * 50 + offset 1, the others start at the last
    assert first == {"model": 951, "leading": 951, "trailing": 999, "linspace": 999}


def test_karras_spacing_is_diffusers_own() -> None:
    ours = Solver(nodes.scheduler(_model(), solver="dpmpp_2m", sigma_spacing="karras", steps=12))
    theirs = diffusers.DPMSolverMultistepScheduler.from_config(dict(SD), use_karras_sigmas=True)
    theirs.set_timesteps(12)
    assert ours.table.columns["sigmas"] == tuple(theirs.sigmas.tolist())


def test_one_sigma_spacing_replaces_that_of_the_model() -> None:
    model = _model({**SD, "use_karras_sigmas": True})
    schedule = nodes.scheduler(model, solver="euler", sigma_spacing="exponential")
    assert schedule.config["use_karras_sigmas"] is False
    assert schedule.config["use_exponential_sigmas"] is True
    Solver(schedule)


def test_sigmas_as_data_take_the_place_of_steps() -> None:
    levels = nodes.custom_sigmas([10.0, 4.0, 1.0])
    schedule = nodes.scheduler(_model(), sigmas=levels, solver="euler", steps=50)
    assert (schedule.steps, schedule.sigmas) == (3, (10.0, 4.0, 1.0))
    assert Solver(schedule).table.columns["sigmas"] == (10.0, 4.0, 1.0, 0.0)


def test_betas_as_data_take_the_place_of_the_models() -> None:
    betas = nodes.beta_schedule("linear", 1000, 0.0001, 0.02)
    ours = Solver(nodes.scheduler(_model(), betas=betas, solver="euler"))
    theirs = diffusers.EulerDiscreteScheduler.from_config(
        {**SD, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
    )
    theirs.set_timesteps(20)
    assert ours.table.columns["sigmas"] == tuple(theirs.sigmas.tolist())


def test_eta_churn_and_noise_reach_the_step() -> None:
    assert nodes.scheduler(_model(), solver="ddim", eta=0.5).step_args == {"eta": 0.5}
    assert nodes.scheduler(_model(), solver="tcd", eta=0.0).step_args == {"eta": 0.0}
    assert nodes.scheduler(_model(), solver="tcd").step_args == {}
    churned = nodes.scheduler(_model(), solver="euler", s_churn=2.0, s_noise=1.1)
    assert churned.step_args == {"s_churn": 2.0, "s_noise": 1.1}


def test_what_has_no_effect_does_not_enter_the_schedule() -> None:
    plain = nodes.scheduler(_model(), solver="euler")
    assert nodes.scheduler(_model(), solver="euler", s_noise=1.2) == plain
    assert nodes.scheduler(_model(), solver="euler", eta=0.0) == plain


def test_order_is_set_where_the_solver_has_one() -> None:
    assert nodes.scheduler(_model(), solver="unipc", order=3).config["solver_order"] == 3
    assert nodes.scheduler(_model(), solver="sa_solver", order=3).config["predictor_order"] == 3


@pytest.mark.parametrize("solver", ["dpmpp_2m", "dpmpp_2s", "deis", "unipc", "sa_solver"])
def test_solvers_on_sigmas_serve_flow_matching_with_its_shift(solver: str) -> None:
    schedule = nodes.scheduler(_model(FLOW), solver=solver)
    assert schedule.config["prediction_type"] == "flow_prediction"
    sigmas = Solver(schedule).table.columns["sigmas"]
    # linear levels of 20 steps, s, shifted to 3 s / (1 + 2 s); unipc begins at 1, the others at 0.999
    share = 1 - 0.999 / 20 if solver == "unipc" else 0.999 * 19 / 20
    assert sigmas[1] == pytest.approx(3 * share / (1 + 2 * share), abs=1e-6)
    assert nodes.scheduler(_model(FLOW), solver=solver, shift=1.5).config["flow_shift"] == 1.5


def test_shift_of_flow_euler_is_the_artists_to_choose() -> None:
    model = _model({**FLOW, "use_dynamic_shifting": True})
    schedule = nodes.scheduler(model, solver="flow_euler", shift=2.0)
    sigmas = Solver(schedule).table.columns["sigmas"]
    unshifted = Solver(nodes.scheduler(_model({**FLOW, "shift": 1.0}), solver="flow_euler"))
    second = unshifted.table.columns["sigmas"][1]
    assert second is not None
    # sigma_min, the end of the line, is shifted as well: equal but for that
    assert sigmas[1] == pytest.approx(2 * second / (1 + second), abs=1e-3)


REFUSALS: list[tuple[Mapping[str, Json], dict[str, object], str]] = [
    (
        SD,
        {"solver": "ddim", "sigma_spacing": "karras"},
        "ddim does not support sigma_spacing karras; set sigma_spacing",
    ),
    (
        SD,
        {"solver": "lcm", "spacing": "trailing"},
        "lcm does not support spacing trailing; set spacing to model",
    ),
    (
        SD,
        {"solver": "heun", "final_sigma": "zero"},
        "heun does not support final_sigma zero; set it to default",
    ),
    (SD, {"solver": "heun", "order": 2}, "heun does not support order 2; set order to 0"),
    (SD, {"solver": "unipc", "order": 4}, "unipc does not support order 4; set order to 0 … 3"),
    (
        SD,
        {"solver": "euler", "eta": 0.5},
        "euler does not support eta 0.5; clear eta, or choose ddim or tcd",
    ),
    (SD, {"solver": "ddim", "s_churn": 1.0}, "ddim does not support s_churn 1; set it to 0"),
    (SD, {"solver": "ddim", "s_noise": 1.1}, "ddim does not support s_noise 1.1; set it to 1"),
    (
        SD,
        {"solver": "heun", "zero_terminal_snr": True},
        "heun does not support zero_terminal_snr; switch it off",
    ),
    (
        SD,
        {"solver": "euler", "thresholding": True},
        "euler does not support thresholding; switch it off",
    ),
    (
        SD,
        {"solver": "plms", "prediction_type": "sample"},
        "plms does not support prediction_type sample; set prediction_type to epsilon or v_prediction",
    ),
    (
        UNCLIP,
        {"solver": "plms"},
        "plms does not support prediction_type sample; choose another solver",
    ),
    (SD, {"solver": "euler", "shift": 2.0}, "euler does not support shift; clear it"),
    (SD, {"solver": "flow_euler"}, "flow_euler is for models trained by flow matching"),
    (
        FLOW,
        {"solver": "ddim"},
        "trained by flow matching, which the solver ddim does not solve; set solver to flow_euler",
    ),
    (
        FLOW,
        {"solver": "dpmpp_2m", "sigma_spacing": "karras"},
        "does not support sigma_spacing karras",
    ),
    ({**FLOW, "use_dynamic_shifting": True}, {"solver": "flow_euler"}, "set shift: about"),
    (SD, {"solver": "edm_euler"}, "edm_euler is for models trained by EDM preconditioning"),
    (
        EDM,
        {"solver": "euler"},
        "trained by EDM preconditioning, which the solver euler does not solve",
    ),
    (SD, {"solver": "ipndm"}, "ipndm is for models trained by the angle of IPNDM"),
    (IPNDM, {"solver": "ddim"}, "which the solver ddim does not solve; set solver to ipndm"),
    (SD, {"solver": "unclip"}, "unclip works on cosine betas"),
    (SD, {"solver": "pndm", "steps": 3}, "steps is 3, and the solver pndm needs 4 or more"),
    (UNCLIP, {"solver": "unclip", "steps": 1}, "needs 2 or more"),
    (SD, {"solver": "lcm", "steps": 51}, "steps is 51, and the solver lcm knows 50"),
    (
        SD,
        {"solver": "ddim", "sigmas": Sigmas((2.0, 1.0))},
        "ddim does not support a list of sigmas; disconnect sigmas",
    ),
    (
        SD,
        {"solver": "euler", "sigmas": Sigmas((2.0, 1.0)), "sigma_spacing": "karras"},
        "sigmas are given as a list",
    ),
    (SD, {"solver": "euler", "sigmas": Sigmas((1.0, 2.0))}, "noise level 1 is 2.0"),
    (
        SD,
        {"solver": "euler", "betas": Betas((0.1,))},
        "1 betas are given, and the model was trained on 1000",
    ),
    (
        FLOW,
        {"solver": "flow_euler", "betas": Betas((0.1,) * 1000)},
        "flow_euler does not support betas",
    ),
]


@pytest.mark.parametrize(("config", "asked", "message"), REFUSALS, ids=[m for _, _, m in REFUSALS])
def test_what_a_solver_cannot_do_is_refused_with_a_remedy(
    config: Mapping[str, Json], asked: dict[str, object], message: str
) -> None:
    with pytest.raises(NodeError) as caught:
        nodes.scheduler(_model(config), **asked)  # type: ignore[arg-type]  # parameters by name
    assert message in str(caught.value)
    assert caught.value.remedy


# --- the tables of what classes support, against diffusers


def _accepts(cls: str, name: str) -> bool:
    return name in inspect.signature(getattr(diffusers, cls)).parameters


CLASSES = sorted({cls for cls, _ in windows.SOLVERS.values()})


@pytest.mark.parametrize("cls", CLASSES)
def test_what_the_node_offers_is_what_the_class_takes(cls: str) -> None:
    step = inspect.signature(getattr(diffusers, cls).step).parameters
    assert (cls in nodes.WITH_FINAL_SIGMA) == _accepts(cls, "final_sigmas_type")
    assert (cls in nodes.WITH_ZERO_SNR) == _accepts(cls, "rescale_betas_zero_snr")
    assert (cls in nodes.FLOW_TOO) == _accepts(cls, "use_flow_sigmas")
    assert (cls in nodes.WITH_ETA) == ("eta" in step)
    if cls != "TCDScheduler":  # it takes the field and ignores it
        assert (cls in nodes.WITH_THRESHOLDING) == _accepts(cls, "thresholding")
    if cls not in ("LCMScheduler", "TCDScheduler"):  # they as well
        assert (cls in nodes.SPACED) == _accepts(cls, "timestep_spacing")
    if cls != "EulerAncestralDiscreteScheduler":  # the solver lends it the levels of Euler
        assert (cls in nodes.SIGMA_SPACED) == _accepts(cls, "use_karras_sigmas")
    if cls != "FlowMatchEulerDiscreteScheduler":  # it takes the argument and ignores it
        assert (cls in nodes.WITH_CHURN) == ("s_churn" in step)
    if cls in nodes.ORDERS:
        assert _accepts(cls, nodes.ORDERS[cls][0])


@pytest.mark.parametrize("solver", windows.SOLVERS)
def test_levels_as_data_are_refused_while_planning_or_not_at_all(solver: str) -> None:
    levels = Sigmas((0.9, 0.5, 0.2))
    try:
        schedule = nodes.scheduler(_model(_home(solver)), sigmas=levels, solver=solver)
    except NodeError:
        with pytest.raises(NodeError, match="does not take a list of noise levels"):
            Solver(
                Schedule(windows.SOLVERS[solver][0], windows.SOLVERS[solver][1], 3, levels.values)
            )
    else:
        assert len(Solver(schedule)) in (3, 5)


# --- betas and sigmas


def test_karras_sigmas_are_those_of_the_paper() -> None:
    # eq. 5 at i = 1 of N = 3: ((80^(1/7) + 0.002^(1/7)) / 2)^7
    assert nodes.karras_sigmas(3, 0.002, 80.0, 7.0).values == pytest.approx(
        (80.0, 2.5152, 0.002), rel=1e-4
    )


def test_exponential_sigmas_have_equal_ratios() -> None:
    levels = nodes.exponential_sigmas(6, 0.1, 10.0).values
    ratios = [one / other for one, other in itertools.pairwise(levels)]
    assert ratios == pytest.approx([100 ** (1 / 5)] * 5)


@pytest.mark.parametrize("make", [nodes.karras_sigmas, nodes.exponential_sigmas])
@pytest.mark.parametrize("steps", [1, 2, 3, 1000])
def test_made_sigmas_fall_from_end_to_end(make: object, steps: int) -> None:
    assert callable(make)
    levels = make(steps, 0.03, 14.0).values
    assert len(levels) == steps
    assert levels[0] == 14.0
    assert steps == 1 or levels[-1] == 0.03
    assert all(one > other for one, other in itertools.pairwise(levels))


@pytest.mark.parametrize("make", [nodes.karras_sigmas, nodes.exponential_sigmas])
def test_a_range_upside_down_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(NodeError, match="sigma_min 5 is not below sigma_max 5"):
        make(10, 5.0, 5.0)


def test_a_final_zero_is_left_to_the_solver() -> None:
    assert nodes.custom_sigmas([2, 1, 0]) == nodes.custom_sigmas([2.0, 1.0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "the list of noise levels is empty"),
        ([0.0], "the list of noise levels is empty"),
        ([2.0, float("nan"), 1.0], "noise level 1 is nan"),
        ([1.0, 2.0], "noise level 1 is 2.0"),
        ([2.0, 0.0, -1.0], "noise level 1 is 0.0"),
        ([float("inf"), 1.0], "noise level 0 is inf"),
    ],
)
def test_levels_that_make_no_sense_are_refused(values: list[float], message: str) -> None:
    with pytest.raises(NodeError, match=message):
        nodes.custom_sigmas(values)


def test_betas_that_do_not_rise_are_refused() -> None:
    with pytest.raises(NodeError, match="do not rise from above 0"):
        nodes.beta_schedule("linear", 10, 0.02, 0.01)
    with pytest.raises(NodeError, match="beta_end is 0"):
        nodes.beta_schedule("cosine", 10, 0.0, 0.0)


# --- declaration


def test_all_are_descriptions_that_need_no_torch() -> None:
    found = [
        declared for value in vars(nodes).values() if (declared := node_type(value)) is not None
    ]
    assert sorted(declared.id for declared in found) == [
        "beta_schedule",
        "custom_sigmas",
        "exponential_sigmas",
        "karras_sigmas",
        "scheduler",
    ]
    assert {declared.kind for declared in found} == {NodeKind.DESCRIBE}
    code = (
        "import sys; from nodes import schedule as s; s.beta_schedule(); s.karras_sigmas();"
        "print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


def test_every_port_and_parameter_has_its_help() -> None:
    for value in vars(nodes).values():
        declared = node_type(value)
        if declared is not None:
            helps = {part.name: part.help for part in declared.inputs}
            helps.update({part.name: part.help for part in declared.params})
            assert all(helps.values()), helps
