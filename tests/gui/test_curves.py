"""Curves of schedules: taken from descriptions, worked out once by the worker, drawn on nodes and in the inspector."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.diffusion.betas import of_config, scaled_linear
from studio.diffusion.windows import Table
from studio.graph import NodeId
from studio.gui import edits
from studio.gui.curve_plot import CurvesPlot, thumbnail
from studio.gui.curves import Curves, drawn
from studio.gui.shell.page import Page
from studio.gui.theme import Theme
from studio.registry import load as registry
from studio.session import Settings, session
from studio.workflow import Workflow, load
from tests.gui import hands
from tests.gui.desk import TEXT_TO_IMAGE, Desk
from tests.gui.test_window import panels_of

RUN = Curves(
    is_run=True,
    sigmas=(8.0, 4.0, 2.0, 1.0, 0.0),
    timesteps=(900.0, 600.0, 300.0, 0.0),
    betas=(0.1, 0.2),
    remaining=(0.9, 0.72),
)


def with_nodes(*types: str) -> Workflow:
    known = registry().types
    w = load(TEXT_TO_IMAGE)
    for type_id in types:
        w, _ = edits.add_node(w, known, type_id)
    return w


def test_descriptions_are_drawn_without_torch(tmp_path: Path) -> None:
    w = with_nodes("karras_sigmas", "beta_schedule", "guidance_interval")
    w = edits.set_param(w, "karras_sigmas", "steps", 5)
    with session(Settings(cache=tmp_path)) as opened:
        found = drawn(w, opened, tmp_path)
    levels = found.curves["karras_sigmas"].sigmas
    assert len(levels) == 6
    assert levels[-1] == 0.0
    betas = found.curves["beta_schedule"]
    assert betas.betas == scaled_linear(1000, 0.00085, 0.012)
    # alpha_bar of Stable Diffusion's last training step
    assert betas.remaining[-1] == pytest.approx(0.00466, rel=1e-3)
    guidance = found.curves["guidance_interval"].guidance
    assert (guidance[0], guidance[50], guidance[100]) == (1.0, 5.0, 1.0)
    # where the solver steps is not known until it was worked out
    assert found.curves["scheduler"] == Curves(is_run=True)
    assert found.untold == ("scheduler",)


def test_a_node_that_is_not_sound_draws_nothing(tmp_path: Path) -> None:
    w = edits.disconnect(load(TEXT_TO_IMAGE), "scheduler", "model")
    with session(Settings(cache=tmp_path)) as opened:
        assert drawn(w, opened, tmp_path).curves == {}


def test_betas_are_those_that_diffusers_would_take() -> None:
    from diffusers import DDPMScheduler

    for kind in ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"):
        scheduler = DDPMScheduler(beta_schedule=kind, beta_start=0.00085, beta_end=0.012)
        betas = of_config(scheduler.config)
        assert betas is not None
        assert betas == tuple(scheduler.betas.tolist())
    assert of_config({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}) is None
    assert of_config({"trained_betas": [0.1, 0.2]}) == (0.1, 0.2)


def test_noise_levels_come_from_sigmas_or_from_what_is_left() -> None:
    table = Table(
        "DDIMScheduler",
        {},
        (900.0, 400.0),
        1.0,
        {"alpha": (0.2, 0.5), "alpha_previous": (0.5, 1.0)},
    )
    assert [table.sigma(index) for index in range(3)] == [2.0, 1.0, 0.0]
    euler = Table("E", {}, (900.0, 400.0), 8.0, {"sigmas": (8.0, math.inf, 0.0)})
    assert [euler.sigma(index) for index in range(3)] == [8.0, None, 0.0]


@pytest.fixture
def plot(qtbot: QtBot) -> CurvesPlot:
    plot = CurvesPlot(Theme.dark())
    qtbot.addWidget(plot)
    plot.resize(320, 140)
    plot.show_curves(RUN)
    plot.show()
    qtbot.waitExposed(plot)
    return plot


def test_the_mouse_reads_step_sigma_and_timestep(plot: CurvesPlot) -> None:
    area = plot.area()
    hands.move(plot, QPointF(area.left() + area.width() / 4, area.center().y()))
    assert plot.words() == "step 2 of 4: sigma 4, timestep 600"
    hands.move(plot, QPointF(area.right(), area.center().y()))
    assert plot.words() == "the end: sigma 0"


def test_keys_read_as_well_and_a_reader_is_told(plot: CurvesPlot, qtbot: QtBot) -> None:
    with qtbot.waitSignal(plot.read) as caught:
        hands.key(plot, Qt.Key.Key_Home)
    assert caught.args == ["step 1 of 4: sigma 8, timestep 900"]
    hands.key(plot, Qt.Key.Key_Right)
    assert plot.index == 1
    assert plot.accessibleDescription() == "sigma from 8 to 0 over 4 steps"
    plot.show_training(True)
    hands.key(plot, Qt.Key.Key_End)
    assert plot.words() == "training 1: alpha bar 0.72, beta 0.2"
    plot.show_curves(Curves(guidance=(7.5, 5.0, 2.5)))
    plot.index = 1
    assert plot.words() == "50 %: guidance 5"


def test_a_node_shows_its_curve_in_the_colours_of_the_theme(qapp: QApplication) -> None:
    dark, light = thumbnail(RUN, Theme.dark()), thumbnail(RUN, Theme.light())
    assert dark.pixelColor(0, 0) == Theme.dark().field
    assert light.pixelColor(0, 0) == Theme.light().field
    colors = {dark.pixelColor(x, y).name() for x in range(0, 368, 2) for y in range(112)}
    assert Theme.dark().accent.name() in colors
    assert thumbnail(Curves(is_run=True), Theme.dark()).isNull()


def has_picture(page: Page) -> bool:
    return page.canvas.content.nodes[NodeId("scheduler")].thumbnail is not None


def test_the_worker_is_asked_once_and_the_next_plan_draws(
    desk: Desk, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, page = desk.opened()
    runner = window.runner
    assert runner is not None
    runner.start_worker()
    desk.worker.on_event({"event": "worker", "state": "ready"})
    qtbot.waitUntil(lambda: ("describe", "scheduler") in desk.worker.asked)
    page.canvas.select(["scheduler"])
    view = panels_of(window).inspector.curves
    assert view is not None
    assert view.plot.accessibleDescription() == ""
    assert not has_picture(page)
    # what the worker would have worked out and kept among the facts
    levels = {"alpha": [0.2, 0.5], "alpha_previous": [0.5, 1.0]}
    table = Table(
        "DDIMScheduler", {}, (900.0, 400.0), 1.0, {k: tuple(v) for k, v in levels.items()}
    )
    monkeypatch.setattr("studio.diffusion.windows.tabulate", lambda schedule: table.json())
    monkeypatch.setattr(
        "studio.plan.PlanningContext.known", lambda self, compute, *args: compute(*args)
    )
    request = f"describe-{[what for what, _ in desk.worker.asked].index('describe') + 1}"
    desk.worker.on_event({"event": "described", "request": request, "problems": []})
    qtbot.waitUntil(lambda: view.plot.accessibleDescription() == "sigma from 2 to 0 over 2 steps")
    assert has_picture(page)
    asked = [what for what, _ in desk.worker.asked].count("describe")
    runner.plan(page.watch)
    qtbot.waitUntil(lambda: not page.watch.outcome.drawn.untold)
    assert [what for what, _ in desk.worker.asked].count("describe") == asked
