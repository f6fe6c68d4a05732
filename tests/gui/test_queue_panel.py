"""The queue in the window: keys of the editor, the panel, crashes, closing."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from studio.gui import edits
from studio.gui.running.queue import Queue
from studio.gui.running.queue_panel import QueuePanel
from studio.gui.shell.page import Page
from studio.gui.shell.window import Window
from tests.gui import hands
from tests.gui.desk import Desk, answer, front, pixels

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier
RETURN = Qt.Key.Key_Return


def set_seed(page: Page, seed: int) -> None:
    document = page.document
    document.edit(edits.set_param(document.workflow, "noise", "seed", seed), "Seed")


def queue_of(window: Window) -> Queue:
    assert window.runner is not None
    return window.runner.queue


def panel_of(window: Window) -> QueuePanel:
    assert window.panels is not None
    window.panels.show_queue()
    return window.panels.queue


def waiting(window: Window) -> list[object]:
    return [job.workflow.graph.node("noise").params["seed"] for job in queue_of(window).waiting]


def submitted(desk: Desk) -> str:
    """The workflow that was submitted last."""
    return [text for what, text in desk.worker.asked if what == "run"][-1]


def choose(panel: QueuePanel, row: int) -> None:
    panel.view.scrollTo(panel.model.index(row, 0))
    at = panel.view.visualRect(panel.model.index(row, 0)).center()
    hands.click(panel.view.viewport(), QPointF(at))


def told(panel: QueuePanel, row: int) -> list[str]:
    return [str(panel.model.data(panel.model.index(row, column))) for column in range(3)]


@pytest.fixture
def busy(desk: Desk) -> tuple[Window, Page]:
    """Seed 0 runs; 1, 2 and 3 wait, asked for by key between edits."""
    window, page = desk.opened()
    for seed in range(4):
        set_seed(page, seed)
        hands.key(page.canvas, RETURN, CTRL)
    return window, page


# --- keys of the editor


def test_control_enter_queues_a_snapshot(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, _ = busy
    assert desk.worker.runs == 1
    assert waiting(window) == [1, 2, 3]
    assert window.said.text() == "Queued: 3 runs wait"
    for run in range(2, 5):
        desk.worker.done()
        qtbot.waitUntil(lambda: desk.worker.runs == run)  # noqa: B023  # called at once
        assert f'"seed": {run - 1}' in submitted(desk)
    desk.worker.done()
    qtbot.waitUntil(lambda: queue_of(window).running is None)
    assert desk.worker.runs == 4
    assert len(queue_of(window).over) == 4


def test_control_shift_enter_goes_to_the_front(busy: tuple[Window, Page]) -> None:
    window, page = busy
    set_seed(page, 9)
    hands.key(page.canvas, RETURN, CTRL | SHIFT)
    assert waiting(window) == [9, 1, 2, 3]
    assert window.said.text() == "Queued to run next"


def test_pressing_again_says_that_it_runs(desk: Desk) -> None:
    window, page = desk.opened()
    hands.key(page.canvas, RETURN, CTRL)
    hands.key(page.canvas, RETURN, CTRL)
    assert queue_of(window).waiting == ()
    assert window.said.text() == "This is running already"


def test_cancelling_ends_one_job_and_the_next_begins(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, page = busy
    hands.key(page.canvas, RETURN, CTRL | ALT)
    assert desk.worker.asked[-1][0] == "cancel"
    desk.worker.done("cancelled")
    qtbot.waitUntil(lambda: desk.worker.runs == 2)
    assert queue_of(window).over[0].how == "cancelled"
    assert waiting(window) == [2, 3]


def test_run_to_waits_with_its_targets(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.run()
    page.canvas.select(["decode"])
    hands.key(page.canvas, Qt.Key.Key_R, CTRL)
    (job,) = queue_of(window).waiting
    assert job.targets == ("decode",)
    desk.worker.done()
    qtbot.waitUntil(lambda: desk.worker.targets == [(), ("decode",)])


def test_a_live_edit_waits_for_an_asked_job_and_goes_before_the_others(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, page = busy
    window.toggle_live()
    set_seed(page, 20)
    qtbot.waitUntil(lambda: waiting(window)[:1] == [20])
    assert desk.worker.runs == 1
    set_seed(page, 21)
    qtbot.waitUntil(lambda: waiting(window) == [21, 1, 2, 3])
    desk.worker.done()
    qtbot.waitUntil(lambda: desk.worker.runs == 2)
    # what runs live gives way to the next edit at once
    set_seed(page, 22)
    qtbot.waitUntil(lambda: desk.worker.runs == 3)
    assert '"seed": 22' in submitted(desk)
    assert waiting(window) == [1, 2, 3]


def test_what_is_stored_is_looked_at_while_something_else_runs(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.run()
    desk.worker.say("picture", node="save", index=0, count=1, path="", **pixels(2, 2, (9, 9, 9)))
    desk.worker.done()
    qtbot.waitUntil(lambda: page.watch.has_run)
    set_seed(page, 5)
    window.run()
    page.watch.stored.emit()
    assert desk.worker.asked[-1] == ("look", "save")
    assert queue_of(window).running is not None


# --- the panel


def test_the_panel_shows_what_runs_waits_and_is_over(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, page = busy
    panel = panel_of(window)
    assert panel.summary.text() == "1 running, 3 waiting"
    assert told(panel, 0) == ["Text to image", "noise.seed 0", "starting"]
    assert told(panel, 1) == ["Text to image", "noise.seed 1", "next"]
    assert told(panel, 3) == ["Text to image", "as the document is now", "2 in front"]
    set_seed(page, 1)
    assert told(panel, 1)[1] == "as the document is now"
    desk.worker.say("started", nodes=8, model_calls=20)
    desk.worker.say("node", node="denoise", from_step=0, steps=20)
    desk.worker.say("step", node="denoise", step=5, steps=20, seconds=0.1)
    qtbot.waitUntil(lambda: "denoise: 5 of 20" in told(panel, 0)[2])
    assert panel.model.data(panel.model.index(0, 2), Qt.ItemDataRole.UserRole) == 0.25
    desk.worker.done()
    qtbot.waitUntil(lambda: panel.summary.text() == "1 running, 2 waiting")
    assert told(panel, 3) == ["Text to image", "noise.seed 0", "Done in 1.5 s: 20 model calls"]


def test_what_a_document_lacks_and_what_it_has_is_named(busy: tuple[Window, Page]) -> None:
    window, page = busy
    panel = panel_of(window)
    document = page.document
    after = edits.remove(document.workflow, ["save"])
    document.edit(edits.set_mode(after, ["negative"], "mute"), "Change")
    assert told(panel, 3)[1] == "negative normal · with save"
    document.undo()
    assert told(panel, 3)[1] == "as the document is now"


def test_the_number_of_jobs_stands_on_tab_and_button(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, _ = busy
    assert window.panels is not None
    dock = window.panels.docks["queue"]
    assert (dock.windowTitle(), window.bar.queue.text()) == ("Queue (4)", "Queue: 4")
    window.drop_waiting()
    desk.worker.done()
    qtbot.waitUntil(lambda: dock.windowTitle() == "Queue")
    assert window.bar.queue.text() == "Queue"


def test_the_button_brings_the_queue_to_the_front(desk: Desk) -> None:
    window, _ = desk.opened()
    assert window.panels is not None
    view = window.panels.queue.view
    assert view.visibleRegion().isEmpty()
    hands.click(window.bar.queue)
    assert not view.visibleRegion().isEmpty()


def test_waiting_jobs_are_moved_by_key(busy: tuple[Window, Page]) -> None:
    window, _ = busy
    panel = panel_of(window)
    choose(panel, 3)
    hands.key(panel.view, Qt.Key.Key_Up, ALT)
    assert waiting(window) == [1, 3, 2]
    hands.key(panel.view, Qt.Key.Key_Up, ALT)
    hands.key(panel.view, Qt.Key.Key_Up, ALT)
    assert waiting(window) == [3, 1, 2]
    hands.key(panel.view, Qt.Key.Key_Down, ALT)
    assert waiting(window) == [1, 3, 2]
    hands.key(panel.view, Qt.Key.Key_Home, ALT)
    assert waiting(window) == [3, 1, 2]
    assert window.said.text() == "The run was moved to place 1"


@pytest.mark.parametrize(
    ("row", "before", "expected"), [(3, 1, [3, 1, 2]), (1, 3, [2, 1, 3]), (1, None, [2, 3, 1])]
)
def test_waiting_jobs_are_moved_by_dragging(
    row: int, before: int | None, expected: list[int], busy: tuple[Window, Page]
) -> None:
    window, _ = busy
    panel = panel_of(window)
    view, model = panel.view, panel.model
    data = model.mimeData([model.index(row, 0)])
    view.scrollTo(model.index(before or 3, 0))
    if before is None:
        last = view.visualRect(model.index(model.rowCount() - 1, 0))
        at = QPoint(last.center().x(), last.bottom() + 20)
    else:
        # the upper edge of a row: between it and the one above
        at = view.visualRect(model.index(before, 0)).topLeft() + QPoint(20, 1)
    move, left, none = Qt.DropAction.MoveAction, hands.LEFT, hands.NONE
    viewport = view.viewport()
    QApplication.sendEvent(viewport, QDragEnterEvent(at, move, data, left, none))
    QApplication.sendEvent(viewport, QDragMoveEvent(at, move, data, left, none))
    QApplication.sendEvent(viewport, QDropEvent(QPointF(at), move, data, left, none))
    assert waiting(window) == expected


def test_only_what_waits_can_be_dragged(busy: tuple[Window, Page]) -> None:
    window, _ = busy
    model = panel_of(window).model
    can = [bool(model.flags(model.index(row, 0)) & Qt.ItemFlag.ItemIsDragEnabled) for row in (0, 1)]
    assert can == [False, True]


def test_delete_drops_cancels_and_forgets(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, _ = busy
    panel = panel_of(window)
    choose(panel, 2)
    hands.key(panel.view, Qt.Key.Key_Delete)
    assert waiting(window) == [1, 3]
    assert window.said.text() == "Dropped from the queue: Text to image"
    choose(panel, 0)
    hands.key(panel.view, Qt.Key.Key_Delete)
    assert desk.worker.asked[-1][0] == "cancel"
    desk.worker.done("cancelled")
    qtbot.waitUntil(lambda: len(queue_of(window).over) == 1)
    assert told(panel, 2)[2] == "cancelled after 1.5 s"
    choose(panel, 2)
    hands.key(panel.view, Qt.Key.Key_Delete)
    assert panel.model.rowCount() == 2


def test_return_opens_a_job_as_a_document(busy: tuple[Window, Page]) -> None:
    window, page = busy
    panel = panel_of(window)
    choose(panel, 1)
    hands.key(panel.view, RETURN)
    opened = front(window)
    assert opened is not page
    assert opened.document.workflow.graph.node("noise").params["seed"] == 1
    assert opened.document.path is None


def test_a_job_that_is_over_runs_again(desk: Desk, busy: tuple[Window, Page], qtbot: QtBot) -> None:
    window, _ = busy
    panel = panel_of(window)
    desk.worker.done("cancelled")
    qtbot.waitUntil(lambda: len(queue_of(window).over) == 1)
    choose(panel, 3)
    hands.key(panel.view, Qt.Key.Key_R)
    assert waiting(window) == [2, 3, 0]
    assert queue_of(window).over == ()


def test_buttons_hold_drop_and_forget(desk: Desk, busy: tuple[Window, Page], qtbot: QtBot) -> None:
    window, _ = busy
    panel = panel_of(window)
    hands.click(panel.hold)
    assert panel.hold.text() == "Go on"
    desk.worker.done()
    qtbot.waitUntil(lambda: queue_of(window).running is None)
    assert told(panel, 0)[2] == "held"
    assert desk.worker.runs == 1
    hands.click(panel.hold)
    assert desk.worker.runs == 2
    hands.click(panel.clear)
    assert waiting(window) == []
    hands.click(panel.tidy)
    assert queue_of(window).over == ()


def test_the_menu_offers_what_can_be_done(busy: tuple[Window, Page]) -> None:
    window, _ = busy
    panel = panel_of(window)
    shown = {}
    for row in (0, 1):
        choose(panel, row)
        menu = panel.menu()
        shown[row] = [action.text().replace("&", "") for action in menu.actions()]
        menu.deleteLater()
    assert shown[0] == ["Open as a document", "Cancel"]
    assert shown[1] == ["Open as a document", "Run next", "Earlier", "Later", "Drop"]


# --- when things end


def test_a_crash_keeps_what_waits_and_says_so(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, page = busy
    panel = panel_of(window)
    what = "the worker was ended by SIGKILL"
    desk.worker.on_event({"event": "worker", "state": "crashed", "run": "run-1", "what": what})
    desk.worker.say("failed", node="denoise", what=what, where="denoise", remedy="run again")
    desk.worker.done("failed")
    qtbot.waitUntil(lambda: queue_of(window).running is None)
    assert waiting(window) == [1, 2, 3]
    assert panel.summary.text() == "3 waiting, held after the worker crashed"
    assert told(panel, 3)[2].startswith("worker crashed: denoise: the worker was ended by SIGKILL")
    hands.key(page.canvas, RETURN, CTRL)
    assert desk.worker.runs == 2
    assert '"seed": 1' in submitted(desk)


def test_a_failure_does_not_stop_the_queue(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot
) -> None:
    window, _ = busy
    desk.worker.say("failed", node="denoise", what="out of memory", where="denoise", remedy="")
    desk.worker.done("failed")
    qtbot.waitUntil(lambda: desk.worker.runs == 2)
    assert queue_of(window).over[0].how == "failed"


def test_settings_for_another_worker_run_the_job_again(
    desk: Desk, busy: tuple[Window, Page]
) -> None:
    window, _ = busy
    options = desk.preferences.options()
    desk.program.set_options(type(options)(output=options.output, device="cpu", threads=1))
    assert len(desk.workers) == 2
    assert '"seed": 0' in submitted(desk)
    assert waiting(window) == [1, 2, 3]


@pytest.mark.parametrize(
    ("button", "is_open", "left"),
    [
        ("Run them all the same", False, [1, 2, 3]),
        ("Drop them", False, []),
        ("Cancel", True, [1, 2, 3]),
    ],
)
def test_closing_a_document_asks_about_what_waits(
    button: str,
    is_open: bool,
    left: list[int],
    desk: Desk,
    busy: tuple[Window, Page],
    tmp_path: Path,
) -> None:
    window, page = busy
    page.document.save(tmp_path / "mine.json")
    answer(button)
    hands.key(page.canvas, Qt.Key.Key_W, CTRL)
    assert bool(window.documents.pages) is is_open
    assert waiting(window) == left
    assert ("cancel", "") not in desk.worker.asked or button == "Drop them"


def test_runs_of_a_closed_document_fill_the_history(
    desk: Desk, busy: tuple[Window, Page], qtbot: QtBot, tmp_path: Path
) -> None:
    window, page = busy
    page.document.save(tmp_path / "mine.json")
    answer("Run them all the same")
    window.documents.close_front()
    assert window.panels is not None
    history = window.panels.history
    desk.worker.say(
        "picture", node="save", output="picture", key="k", index=0, count=1, full_width=4,
        full_height=2, path=str(tmp_path / "made.png"), is_saved=True, pixels_sha256="abc",
        **pixels(4, 2, (0, 0, 255)),
    )  # fmt: skip
    desk.worker.done()
    qtbot.waitUntil(lambda: history.model.rowCount() == 1)
    entry = history.model.entry(history.model.index(0, 0))
    assert entry.title == "Text to image"
    qtbot.waitUntil(lambda: desk.worker.runs == 2)


@pytest.mark.parametrize("button", ["Close and drop", "Cancel"])
def test_closing_the_window_asks_about_what_waits(
    button: str, desk: Desk, busy: tuple[Window, Page], tmp_path: Path
) -> None:
    window, page = busy
    page.document.save(tmp_path / "mine.json")
    answer(button)
    assert window.close() is (button != "Cancel")
    if button == "Cancel":
        assert waiting(window) == [1, 2, 3]
    else:
        assert not desk.worker.is_running


def test_closing_asks_nothing_where_nothing_waits(desk: Desk) -> None:
    window, _ = desk.opened()
    window.run()
    assert window.close()
    assert QApplication.activeModalWidget() is None or not isinstance(
        QApplication.activeModalWidget(), QMessageBox
    )
