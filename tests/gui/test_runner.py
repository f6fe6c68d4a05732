"""Between documents and the worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from studio.graph import NodeId
from studio.gui import edits
from studio.gui.running.pictured import Pictured, image_of, pictured
from studio.gui.running.tracking import Outcome
from studio.gui.states import Failure, NodeState
from studio.workflow import dumps
from tests.gui.desk import Desk, front, pixels

denoise = NodeId("denoise")


def set_guidance(desk: Desk, value: float) -> None:
    document = front(desk.program.windows[0]).document
    document.edit(edits.set_param(document.workflow, "denoise", "guidance", value), "Guidance")


def test_a_document_is_planned_when_it_opens(desk: Desk) -> None:
    _, page = desk.opened()
    states = page.watch.states()
    assert {state.status for state in states.values()} == {"will_run"}
    assert page.watch.outcome.summary.startswith("0 of 8 nodes stored")


def test_an_edit_is_planned_again_and_a_move_is_not(desk: Desk, qtbot: QtBot) -> None:
    _, page = desk.opened()
    outcomes: list[Outcome] = []
    page.watch.outcome_changed.connect(outcomes.append)
    document = page.document
    document.edit(edits.move(document.workflow, {"denoise": (0.0, 0.0)}), "Move")
    document.edit(edits.disconnect(document.workflow, "denoise", "model"), "Cut")
    qtbot.waitUntil(lambda: bool(outcomes))
    assert [problem.where for problem in outcomes[0].problems] == ["denoise.model"]
    assert len(outcomes) == 1
    assert page.watch.states()["denoise"].status == "failed"


def test_a_burst_of_edits_is_planned_once(desk: Desk, qtbot: QtBot) -> None:
    _, page = desk.opened()
    outcomes: list[Outcome] = []
    page.watch.outcome_changed.connect(outcomes.append)
    for value in (1.0, 2.0, 3.0):
        set_guidance(desk, value)
    qtbot.waitUntil(lambda: bool(outcomes))
    qtbot.wait(150)
    assert len(outcomes) == 1


def test_a_run_submits_the_workflow_that_is_there(desk: Desk) -> None:
    window, page = desk.opened()
    window.run()
    assert desk.worker.asked == [("run", dumps(page.document.workflow))]
    assert desk.worker.outputs == [desk.folder / "output"]
    assert window.runner is not None
    assert window.runner.is_running


def test_events_reach_the_canvas(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.run()
    worker = desk.worker
    worker.say("started", nodes=8, model_calls=20)
    worker.say("node", node="denoise", from_step=0, steps=20)
    worker.say("step", node="denoise", step=5, steps=20, seconds=0.1)
    shown = page.canvas.content.nodes
    qtbot.waitUntil(lambda: shown[denoise].state.step == 5)
    assert shown[denoise].state.status == "running"
    worker.finish("denoise", steps=20)
    worker.done()
    qtbot.waitUntil(lambda: shown[denoise].state.status == "ran")
    assert window.runner is not None
    assert not window.runner.is_running
    assert window.said.text() == "Done in 1.5 s: 20 model calls"


def test_events_of_a_run_that_was_replaced_are_dropped(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.toggle_live()
    set_guidance(desk, 8.0)
    qtbot.waitUntil(lambda: desk.worker.runs == 2)
    desk.worker.on_event({"event": "node", "run": "run-1", "node": "denoise", "steps": 20})
    desk.worker.say("node", node="decode", steps=0, from_step=0)
    qtbot.waitUntil(lambda: page.watch.tracker.flat["decode"].status == "running")
    assert page.watch.tracker.flat["denoise"].status == "will_run"


def test_a_failure_is_told_in_the_bar_and_frames_its_node(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.run()
    desk.worker.say(
        "failed", node="denoise", what="out of memory", where="denoise", remedy="choose less"
    )
    desk.worker.done("failed")
    qtbot.waitUntil(page.failure.isVisible)
    assert page.failure.what.text() == "denoise: out of memory"
    assert page.failure.remedy.text() == "Choose less"
    assert page.watch.states()["denoise"].error == Failure(
        "out of memory", "denoise", "choose less"
    )


def test_live_mode_runs_after_every_edit(desk: Desk, qtbot: QtBot) -> None:
    window, _ = desk.opened()
    window.toggle_live()
    assert desk.worker.runs == 1
    set_guidance(desk, 8.0)
    qtbot.waitUntil(lambda: desk.worker.runs == 2)
    assert '"guidance": 8.0' in desk.worker.asked[-1][1]
    window.toggle_live()
    set_guidance(desk, 9.0)
    qtbot.wait(250)
    assert desk.worker.runs == 2


def test_without_live_mode_an_edit_runs_nothing(desk: Desk, qtbot: QtBot) -> None:
    desk.opened()
    set_guidance(desk, 8.0)
    qtbot.wait(250)
    assert desk.workers == []


def test_cancelling_asks_the_worker(desk: Desk) -> None:
    window, _ = desk.opened()
    window.run()
    window.cancel()
    assert desk.worker.asked[-1] == ("cancel", "")


def test_a_crash_is_said_and_the_window_stays(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.run()
    desk.worker.on_event(
        {"event": "worker", "state": "crashed", "run": "run-1", "node": "denoise",
         "what": "the worker was ended by SIGKILL", "remedy": "run again", "exit": -9, "log": "x"}
    )  # fmt: skip
    desk.worker.say(
        "failed", node="denoise", what="the worker was ended by SIGKILL", where="denoise",
        remedy="run again",
    )  # fmt: skip
    desk.worker.done("failed")
    qtbot.waitUntil(page.failure.isVisible)
    assert "SIGKILL" in page.failure.what.text()
    assert window.isVisible()
    assert window.runner is not None
    assert not window.runner.is_running
    window.run()
    assert desk.worker.runs == 2


def test_a_worker_that_cannot_be_started_is_told(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.start_worker()
    desk.worker.on_event(
        {"event": "worker", "state": "stopped", "what": "there is no CUDA device",
         "where": "--device", "remedy": "use --device cpu"}
    )  # fmt: skip
    qtbot.waitUntil(page.failure.isVisible)
    assert "no CUDA device" in page.failure.what.text()
    assert window.bar.device.text() == "worker stopped"


def test_settings_that_concern_computing_start_another_worker(desk: Desk) -> None:
    window, _ = desk.opened()
    window.start_worker()
    first = desk.worker
    options = desk.preferences.options()
    desk.program.set_options(type(options)(output=options.output, device="cpu", threads=1))
    assert not first.is_running
    assert len(desk.workers) == 2
    assert desk.worker.options.arguments()[:2] == ["--device", "cpu"]


def test_previews_and_pictures_reach_viewer_thumbnail_and_history(
    desk: Desk, qtbot: QtBot, tmp_path: Path
) -> None:
    window, page = desk.opened()
    window.run()
    assert window.panels is not None
    viewer, history = window.panels.viewer, window.panels.history
    desk.worker.say("preview", node="denoise", step=3, **pixels(4, 2, (255, 0, 0)))
    qtbot.waitUntil(lambda: viewer.current is not None)
    assert viewer.current is not None
    assert viewer.current.image.pixelColor(0, 0).name() == "#ff0000"
    assert page.canvas.content.nodes[denoise].thumbnail is not None
    path = tmp_path / "made.png"
    desk.worker.say(
        "picture", node="save", output="picture", key="k", index=0, count=1, full_width=4,
        full_height=2, path=str(path), is_saved=True, pixels_sha256="abc",
        **pixels(4, 2, (0, 0, 255)),
    )  # fmt: skip
    desk.worker.done()
    qtbot.waitUntil(lambda: history.model.rowCount() == 1)
    assert viewer.current is not None
    assert viewer.current.image.pixelColor(0, 0).name() == "#0000ff"
    entry = history.model.entry(history.model.index(0, 0))
    assert (entry.path, entry.pixels_sha256, entry.node) == (path, "abc", "save")
    assert entry.prompt.startswith("a red house")


def test_the_viewer_follows_the_node_that_was_chosen(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.run()
    assert window.panels is not None
    window.panels.showing.view("decode")
    assert desk.worker.asked[-1] == ("look", "decode")
    whole = {"index": 0, "count": 1, "path": ""}
    desk.worker.say("picture", node="decode", **whole, **pixels(2, 2, (0, 255, 0)))
    desk.worker.say("picture", node="save", **whole, **pixels(2, 2, (0, 0, 255)))
    qtbot.waitUntil(lambda: "save" in page.pictures)
    shown = window.panels.viewer.current
    assert shown is not None
    assert shown.image.pixelColor(0, 0).name() == "#00ff00"


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"rgb": "AAAA", "width": 2, "height": 1},
        {"rgb": "not base64!", "width": 1, "height": 1},
        {"rgb": "", "width": 0, "height": 0},
    ],
)
def test_pixels_that_do_not_fit_are_no_picture(event: dict[str, object]) -> None:
    assert image_of(event) is None
    assert pictured(event) is None


def test_a_picture_inside_a_group_belongs_to_the_group() -> None:
    made = pictured({"node": "style/decode", **pixels(1, 1, (1, 2, 3))})
    assert isinstance(made, Pictured)
    assert made.node == "style"
    assert made.image.pixelColor(0, 0).getRgb() == (1, 2, 3, 255)


def test_states_know_how_much_is_done() -> None:
    assert NodeState("running", step=5, steps=20).fraction == 0.25
    assert NodeState("running").fraction is None
