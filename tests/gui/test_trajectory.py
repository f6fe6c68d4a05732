"""The trajectory of a loop in the window: when it is asked for, what is shown, and what branching makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot

from studio.errors import GraphError
from studio.graph import Json, Types
from studio.gui import edits
from studio.gui.seeing.branching import guidance_at, guidance_from, prompt_from, share_of
from studio.gui.seeing.trajectory import write_film
from studio.gui.shell.page import Page
from studio.gui.shell.panels import Panels
from studio.gui.shell.window import Window
from studio.values import Guidance, Span
from studio.workflow import Workflow
from tests.gui import hands
from tests.gui.desk import Desk, pixels


def panels_of(window: Window) -> Panels:
    assert window.panels is not None
    return window.panels


def asked(desk: Desk) -> int:
    return sum(what == "trajectory" for worker in desk.workers for what, _ in worker.asked)


def answer(desk: Desk, steps: int = 4, stored: int | None = None, **fields: object) -> None:
    """What the worker says of the trajectory that was asked for last: red tells the step."""
    number = max(i for i, (what, _) in enumerate(desk.worker.asked) if what == "trajectory") + 1
    common = {"request": f"trajectory-{number}", "node": "denoise", "picture": 0, **fields}
    last = steps if stored is None else stored
    desk.worker.on_event(
        {"event": "trajectory", "steps": steps, "pictures": 1, "begin": 0, "total": steps,
         "sigmas": [float(steps - i) for i in range(steps + 1)], "calls": list(range(steps + 1)),
         "stored": list(range(last + 1)), "problems": [], **common}
    )  # fmt: skip
    for step in range(last + 1):
        picture = pixels(1, 1, (10 * step, 0, 0))["rgb"]
        desk.worker.on_event(
            {"event": "state", "step": step, "sigma": float(steps - step), "width": 1, "height": 1,
             "x_t": picture, "x_0": picture if step else None, **common}
        )  # fmt: skip


def ran(desk: Desk, qtbot: QtBot) -> tuple[Page, Panels]:
    """A document that has run, with its trajectory."""
    window, page = desk.opened()
    before = asked(desk)
    window.run()
    desk.worker.done()
    qtbot.waitUntil(lambda: asked(desk) == before + 1)
    answer(desk)
    panels = panels_of(window)
    qtbot.waitUntil(lambda: panels.scrubber.frame is not None and panels.scrubber.frame.step == 4)
    return page, panels


def shown_red(panels: Panels) -> int:
    shown = panels.viewer.current
    assert shown is not None
    return shown.image.pixelColor(0, 0).red()


def test_a_trajectory_is_asked_for_after_a_run_and_can_be_scrubbed(
    desk: Desk, qtbot: QtBot
) -> None:
    _, panels = ran(desk, qtbot)
    hands.key(panels.scrubber.strip, Qt.Key.Key_Left)
    assert shown_red(panels) == 30
    assert panels.scrubber.label.text() == "step 3 of 4 · σ 1 · 3 model calls"


def test_playing_goes_through_all_steps(desk: Desk, qtbot: QtBot) -> None:
    _, panels = ran(desk, qtbot)
    seen: list[int] = []
    panels.scrubber.step_changed.connect(seen.append)
    hands.key(panels.scrubber.strip, Qt.Key.Key_Space)
    assert panels.scrubber.is_playing
    qtbot.waitUntil(lambda: not panels.scrubber.is_playing, timeout=6000)
    assert seen == [0, 1, 2, 3, 4]


def test_steps_are_shown_while_they_are_taken(desk: Desk, qtbot: QtBot) -> None:
    window, _ = desk.opened()
    panels = panels_of(window)
    window.run()
    desk.worker.say("node", node="denoise", from_step=0, steps=4)
    desk.worker.say("preview", node="denoise", step=1, **pixels(1, 1, (11, 0, 0)))
    qtbot.waitUntil(lambda: panels.scrubber.frame is not None)
    desk.worker.say("preview", node="denoise", step=3, **pixels(1, 1, (33, 0, 0)))
    qtbot.waitUntil(lambda: panels.scrubber.frame is not None and panels.scrubber.frame.step == 3)
    hands.key(panels.scrubber.strip, Qt.Key.Key_Left)
    assert panels.scrubber.frame is not None
    assert panels.scrubber.frame.step == 1
    # the levels come from the worker in between, and leave the steps alone
    answer(desk, stored=1)
    qtbot.waitUntil(lambda: panels.scrubber.frame is not None and panels.scrubber.frame.sigma == 3)
    assert [frame.step for frame in panels.scrubber._frames] == [0, 1, 3]


def test_another_seed_is_another_trajectory(desk: Desk, qtbot: QtBot) -> None:
    page, panels = ran(desk, qtbot)
    document = page.document
    document.edit(edits.set_param(document.workflow, "noise", "seed", 5), "Seed")
    qtbot.waitUntil(lambda: panels.scrubber.frame is None)
    assert panels.scrubber.label.text() == "No trajectory yet"


def test_what_the_store_has_dropped_is_told(desk: Desk, qtbot: QtBot) -> None:
    _, panels = ran(desk, qtbot)
    panels.trajectory._ask()
    answer(desk, stored=4, picture=0)
    number = len(desk.worker.asked)
    desk.worker.on_event(
        {"event": "trajectory", "request": f"trajectory-{number}", "node": "denoise", "picture": 0,
         "steps": 4, "pictures": 1, "begin": 0, "total": 4, "sigmas": [], "calls": [],
         "stored": [0, 3], "problems": []}
    )  # fmt: skip
    qtbot.waitUntil(lambda: "no longer stored" in panels.scrubber.label.text())
    assert panels.scrubber.label.text() == "2 of 4 steps are no longer stored"


def test_why_there_is_no_trajectory_is_told(desk: Desk, qtbot: QtBot) -> None:
    _, panels = ran(desk, qtbot)
    panels.trajectory._ask()
    number = len(desk.worker.asked)
    desk.worker.on_event(
        {"event": "trajectory", "request": f"trajectory-{number}", "node": "denoise", "picture": 0,
         "steps": 0, "stored": [], "problems": [{"what": "has not run yet", "remedy": "run it once"}]}
    )  # fmt: skip
    qtbot.waitUntil(
        lambda: panels.scrubber.label.text() == "has not run yet; run it once", timeout=2000
    )


def test_each_picture_of_a_batch_has_its_own(desk: Desk, qtbot: QtBot) -> None:
    _, panels = ran(desk, qtbot)
    panels.trajectory._ask()
    answer(desk, pictures=3)
    qtbot.waitUntil(panels.scrubber.chooser.isVisible)
    before = asked(desk)
    hands.key(panels.scrubber.strip, Qt.Key.Key_PageDown)
    assert asked(desk) == before + 1
    answer(desk, pictures=3, picture=1)
    qtbot.waitUntil(lambda: panels.trajectory._answer.get("picture") == 1)
    assert panels.scrubber.chooser.value() == 2


# --- branching


def test_branching_lets_a_second_prompt_take_over(desk: Desk, qtbot: QtBot) -> None:
    page, panels = ran(desk, qtbot)
    panels.scrubber.go_to(3)
    hands.key(panels.scrubber.strip, Qt.Key.Key_Return)
    graph = page.document.workflow.graph
    switch = graph.node("denoise").inputs["positive"].node
    assert graph.nodes[switch].type == "prompt_schedule"
    assert graph.nodes[switch].params["at"] == 0.75
    assert str(graph.nodes[switch].inputs["first"]) == "prompt.conditioning"
    copy = graph.nodes[switch].inputs["then"].node
    assert graph.nodes[copy].params["prompt"] == graph.node("prompt").params["prompt"]
    assert page.selection == (copy,)


def test_branching_lets_another_guidance_act(desk: Desk, qtbot: QtBot) -> None:
    page, panels = ran(desk, qtbot)
    panels.scrubber.go_to(3)
    hands.key(panels.scrubber.strip, Qt.Key.Key_G)
    dialog = panels.scrubber.findChild(QInputDialog)
    assert dialog is not None
    assert dialog.doubleValue() == 5.0
    dialog.setDoubleValue(8.5)
    hands.key(dialog, Qt.Key.Key_Return)
    graph = page.document.workflow.graph
    curve = graph.nodes[graph.node("denoise").inputs["guidance_curve"].node]
    assert curve.params == {"points": [[0.0, 5.0], [0.75, 8.5]], "smooth": False}
    assert page.selection == (curve.id,)
    page.document.undo()
    assert "guidance_curve" not in page.document.workflow.graph.node("denoise").inputs


def test_after_the_last_step_nothing_can_branch(desk: Desk, qtbot: QtBot) -> None:
    page, panels = ran(desk, qtbot)
    before = page.document.workflow
    said: list[str] = []
    panels.trajectory.status.connect(said.append)
    panels.scrubber.go_to(4)
    hands.key(panels.scrubber.strip, Qt.Key.Key_Return)
    assert page.document.workflow is before
    assert said == ["No step is left after this one: branch from an earlier one"]


def test_a_loop_inside_a_group_is_branched_in_there(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    panels, document = panels_of(window), page.document
    grouped, outer = edits.group(document.workflow, document.types, ["denoise", "prompt"], "loop")
    document.edit(grouped, "Group")
    plan = page.watch.outcome.plan
    qtbot.waitUntil(lambda: page.watch.outcome.plan is not plan)
    qtbot.waitUntil(lambda: panels.trajectory._loop == f"{outer}/denoise")
    before = asked(desk)
    window.run()
    desk.worker.done()
    qtbot.waitUntil(lambda: asked(desk) > before)
    answer(desk, node=f"{outer}/denoise")
    qtbot.waitUntil(lambda: panels.scrubber.frame is not None and panels.scrubber.frame.step == 4)
    panels.scrubber.go_to(2)
    hands.key(panels.scrubber.strip, Qt.Key.Key_Return)
    inside = document.workflow.groups["loop"].graph
    switch = inside.nodes[inside.node("denoise").inputs["positive"].node]
    assert (switch.type, switch.params["at"]) == ("prompt_schedule", 0.5)
    assert page.canvas.group_path == (outer,)


@pytest.mark.parametrize("total", [1, 3, 7, 20, 30, 60, 999, 1000])
def test_a_share_is_reached_with_its_step_and_not_before(total: int) -> None:
    for step in range(total):
        share = share_of(step, total)
        acts = [Span(Guidance(((0.0, 1.0),)), share).acts(one, total) for one in range(total)]
        assert acts == [one >= step for one in range(total)]
        curve = Guidance(((0.0, 1.0), (share, 2.0))) if share else Guidance(((0.0, 2.0),))
        assert [curve.at(one / total) for one in range(total)] == [
            2.0 if one >= step else 1.0 for one in range(total)
        ]


@pytest.fixture
def flow(desk: Desk) -> tuple[Workflow, Types]:
    _, page = desk.opened()
    return page.document.workflow, page.document.types


@pytest.mark.parametrize("smooth", [False, True])
def test_a_curve_that_is_there_is_kept_up_to_the_step(
    flow: tuple[Workflow, Types], smooth: bool
) -> None:
    w, types = flow
    points: list[Json] = [[0.0, 7.5], [0.3, 4.0], [1.0, 3.0]]
    w, curve = edits.add_node(
        w, types, "guidance_curve", params={"points": points, "smooth": smooth}
    )
    w = edits.connect(w, types, curve, "guidance", "denoise", "guidance_curve")
    before = [guidance_at(w, types, "denoise", step, 20) for step in range(20)]
    after, name = guidance_from(w, types, "denoise", 13, 20, 9.0)
    assert name == curve
    assert [guidance_at(after, types, "denoise", step, 20) for step in range(20)] == [
        *before[:13],
        *[9.0] * 7,
    ]


def test_without_a_prompt_there_is_nothing_to_branch(flow: tuple[Workflow, Types]) -> None:
    w, types = flow
    with pytest.raises(GraphError, match="no prompt"):
        prompt_from(edits.disconnect(w, "denoise", "positive"), types, "denoise", 3, 20)


# --- files


def test_the_menu_saves_the_film_that_is_shown(
    desk: Desk, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, panels = ran(desk, qtbot)
    path = desk.folder / "film.gif"
    monkeypatch.setattr(
        "studio.gui.seeing.trajectory.QFileDialog.getSaveFileName", lambda *_: (str(path), "")
    )
    panels.scrubber.branches.actions()[-1].trigger()
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) == 4


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_a_trajectory_is_written_as_an_animation(tmp_path: Path, ending: str) -> None:
    images = []
    for red in (0, 120, 250):
        image = QImage(5, 3, QImage.Format.Format_RGB32)
        image.fill(QColor(red, 0, 0))
        images.append(image)
    write_film(tmp_path / f"film.{ending}", images)
    with Image.open(tmp_path / f"film.{ending}") as film:
        assert (getattr(film, "n_frames", 1), film.size) == (3, (5, 3))
        film.seek(2)
        pixel = film.convert("RGB").getpixel((2, 1))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 230
