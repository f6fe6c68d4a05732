"""What becomes of the window when the worker dies, hangs or floods, and of unsaved work when the editor is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.graph import NodeId
from studio.gui import edits
from studio.gui.running.inbox import MOST, Event, Inbox
from studio.gui.shell.page import Page
from studio.gui.shell.settings import Options
from studio.gui.shell.window import Window
from studio.remote import Worker
from tests.gui import hands
from tests.gui.desk import TEXT_TO_IMAGE, front, real_window

CTRL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
PATIENCE_MS = 120_000
STILL_S = 1.5
"""The longest that a window may stand still on a busy machine; a frozen one stands for as long as the worker does."""
STEPS = 80

denoise = NodeId("denoise")


@pytest.fixture
def window(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Window]:
    """A window with the real worker."""
    with real_window(qapp, tmp_path, qtbot, monkeypatch) as opened:
        yield opened


def workers() -> list[psutil.Process]:
    """The worker processes of this process."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "worker" in child.cmdline()
    ]


def running(window: Window, qtbot: QtBot, least: int) -> Page:
    """The page of a run that has made some steps and has many to go."""
    window.documents.open_template(TEXT_TO_IMAGE)
    page = front(window)
    document = page.document
    document.edit(edits.set_param(document.workflow, "scheduler", "steps", STEPS), "Steps")
    press(qtbot, page, Qt.Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: page.watch.states()[denoise].step >= least, timeout=PATIENCE_MS)
    return page


def press(qtbot: QtBot, page: Page, key: Qt.Key, modifiers: Qt.KeyboardModifier) -> None:
    page.canvas.activateWindow()
    qtbot.waitUntil(page.canvas.isActiveWindow)
    page.canvas.setFocus()
    hands.key(page.canvas, key, modifiers)


@contextmanager
def never_still() -> Iterator[list[float]]:
    """Measures how long the window's event loop was away, each time; at the end it must not have been for long."""
    gaps: list[float] = []
    last = time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append(now - last)
        last = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(5)
    yield gaps
    timer.stop()
    assert max(gaps) < STILL_S


def test_after_the_worker_was_killed_another_resumes_where_it_was(
    window: Window, qtbot: QtBot
) -> None:
    page = running(window, qtbot, 25)
    runner = window.runner
    assert runner is not None
    endings: list[Event] = []
    page.watch.ended.connect(endings.append)
    (worker,) = workers()
    states: list[str] = []
    runner.worker_state.connect(states.append)
    with never_still():
        worker.kill()
        qtbot.waitUntil(page.failure.isVisible, timeout=PATIENCE_MS)
    assert window.isVisible()
    assert "SIGKILL" in page.failure.what.text()
    assert "goes on at the last step" in page.failure.remedy.text()
    # the end of the run is told after its failure, perhaps in the window's next slice of events
    qtbot.waitUntil(lambda: not runner.is_running, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: "ready" in states, timeout=PATIENCE_MS)
    assert states == ["crashed", "starting", "ready"]
    assert [one.pid for one in workers()] != [worker.pid]

    press(qtbot, page, Qt.Key.Key_Return, CTRL)
    assert not page.failure.isVisible()
    qtbot.waitUntil(lambda: len(endings) == 2, timeout=PATIENCE_MS)
    assert [one["status"] for one in endings] == ["failed", "ok"]
    nodes = endings[1]["nodes"]
    assert isinstance(nodes, dict)
    report = nodes["denoise"]
    # of the steps that were seen, at most those on their way to the disk are lost
    assert report["status"] == "resumed"
    assert report["from_step"] >= 25 - 9
    assert endings[1]["model_calls"] == STEPS - report["from_step"]


def test_a_worker_that_hangs_freezes_nothing_and_is_got_rid_of(
    window: Window, qtbot: QtBot
) -> None:
    page = running(window, qtbot, 5)
    document = page.document
    endings: list[Event] = []
    page.watch.ended.connect(endings.append)
    (worker,) = workers()
    worker.suspend()
    with never_still():
        # work goes on beside it
        for seed in range(20):
            edited = edits.set_param(document.workflow, "noise", "seed", seed)
            document.edit(edited, "Seed")
            qtbot.wait(5)
        press(qtbot, page, Qt.Key.Key_Return, CTRL | ALT)
        qtbot.waitUntil(lambda: len(endings) == 1, timeout=PATIENCE_MS)
    assert endings[0]["status"] == "cancelled"
    assert not worker.is_running()
    qtbot.waitUntil(lambda: [one.pid for one in workers()] != [], timeout=PATIENCE_MS)


def test_a_hung_worker_can_be_replaced_without_waiting_for_it(window: Window, qtbot: QtBot) -> None:
    window.start_worker()
    qtbot.waitUntil(lambda: len(workers()) == 1)
    (worker,) = workers()
    worker.suspend()
    with never_still() as gaps:
        qtbot.waitUntil(lambda: bool(gaps))
        window.restart_worker()
        qtbot.waitUntil(lambda: len(workers()) == 2)
    # the last one goes when it was given time to end in good order
    qtbot.waitUntil(lambda: not worker.is_running(), timeout=PATIENCE_MS)


FLOOD = """
import json, sys
def say(event): sys.stdout.write(json.dumps(event) + "\\n")
say({"event": "hello", "protocol": 1})
say({"event": "worker", "state": "ready", "seconds": 0.0})
sys.stdout.flush()
for line in sys.stdin:
    if '"stop"' in line:
        sys.exit()
    if '"run"' in line:
        break
run = json.loads(line)["id"]
while True:
    say({"run": run, **json.loads(sys.argv[1])})
"""
PIXELS = "AAAA" * 65536
FLOODS: dict[str, dict[str, object]] = {
    "steps": {"event": "step", "node": "denoise", "step": 3, "steps": 9, "seconds": 0.1},
    "measures": {"event": "measured", "node": "denoise", "step": 3, "values": {"loss": 0.5}},
    "nodes": {"event": "finished", "node": "prompt", "status": "ran", "from_step": 0, "steps": 0,
              "seconds": 0.1},
    "failures": {"event": "failed", "node": "prompt", "what": "fell", "where": "prompt",
                 "remedy": "stand up"},
    "pictures": {"event": "picture", "node": "decode", "output": "image", "key": "k", "index": 0,
                 "count": 1, "width": 256, "height": 256, "rgb": PIXELS, "full_width": 256,
                 "full_height": 256, "path": "", "is_saved": False, "pixels_sha256": ""},
}  # fmt: skip


@pytest.mark.parametrize("what", FLOODS)
def test_a_worker_that_floods_freezes_nothing(
    qapp: QApplication,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    heard: list[Event] = []

    def make(options: Options, on_event: Callable[[Event], None]) -> Worker:
        # by a file, for a picture is longer than an argument may be
        flood = FLOOD.replace("json.loads(sys.argv[1])", "json.load(open(sys.argv[1]))")
        said = tmp_path / "said.json"
        said.write_text(json.dumps(FLOODS[what]))
        command = [sys.executable, "-c", flood, str(said)]
        return Worker(on_event=on_event, command=command, cancel_timeout_s=0.2)

    with real_window(qapp, tmp_path, qtbot, monkeypatch, make) as window:
        window.documents.open_template(TEXT_TO_IMAGE)
        page, runner = front(window), window.runner
        assert runner is not None
        qtbot.waitUntil(lambda: page.watch.outcome.plan is not None)
        runner.arrived.connect(heard.append)
        with never_still() as gaps:
            press(qtbot, page, Qt.Key.Key_Return, CTRL)
            told = FLOODS[what]["event"]
            qtbot.waitUntil(
                lambda: sum(one["event"] == told for one in heard) > 20 and len(gaps) > 100,
                timeout=PATIENCE_MS,
            )
            press(qtbot, page, Qt.Key.Key_Return, CTRL | ALT)
            qtbot.waitUntil(lambda: not runner.is_running, timeout=PATIENCE_MS)


def test_an_inbox_hands_over_in_order_and_lets_its_bringer_wait(qtbot: QtBot) -> None:
    taken: list[object] = []
    inbox = Inbox(lambda event: taken.append(event["number"]))
    count = 3 * MOST

    def bring() -> None:
        for number in range(count):
            inbox.put({"number": number})

    bringer = threading.Thread(target=bring)
    bringer.start()
    # without the loop of the window nothing is taken
    bringer.join(0.2)
    assert bringer.is_alive()
    assert taken == []
    qtbot.waitUntil(lambda: len(taken) == count)
    bringer.join()
    assert taken == list(range(count))


def test_a_closed_inbox_lets_nobody_wait(qtbot: QtBot) -> None:
    taken: list[Event] = []
    inbox = Inbox(taken.append)

    def bring() -> None:
        for _ in range(2 * MOST):
            inbox.put({})

    bringer = threading.Thread(target=bring)
    bringer.start()
    inbox.close()
    bringer.join(10)
    assert not bringer.is_alive()
    qtbot.wait(1)
    assert taken == []


# --- the editor

EDITING = """
import json, os, sys, traceback
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from studio.gui import app, edits
from studio.gui.shell.window import Window
from studio.workflow import dumps

class Worker:
    def __getattr__(self, name): return lambda *asked, **more: ""

app.Program.__init__.__kwdefaults__["make_worker"] = lambda options, on_event: Worker()

def fail(*error):
    traceback.print_exception(*error)
    os._exit(1)

sys.excepthook = fail

def window():
    found = [one for one in QApplication.topLevelWidgets() if isinstance(one, Window)]
    return found[0] if found and found[0].has_started() else None

def tell(pages):
    told = [[str(page.document.path or ""), dumps(page.document.workflow)] for page in pages]
    print(json.dumps(sorted(told)), flush=True)

def edit():
    documents = window().documents
    first = documents.front
    w = first.document.workflow
    first.document.edit(edits.set_param(w, "prompt", "prompt", "nobody saved this"), "Prompt")
    first.document.edit(edits.move(first.document.workflow, {"denoise": (7.0, 9.0)}), "Move")
    documents.new()
    canvas = documents.front.canvas
    canvas.add_at_cursor("load_model")
    canvas.add_at_cursor("scheduler")
    canvas.table["canvas.select_all"].trigger()
    canvas.table["canvas.group"].trigger()
    (group,) = canvas.workflow.graph.nodes
    canvas.enter(group)
    canvas.commit(edits.set_param(canvas.workflow, "scheduler", "steps", 33), "Steps")
    tell(documents.pages)

def answer():
    box = QApplication.activeModalWidget()
    if not isinstance(box, QMessageBox):
        QTimer.singleShot(20, answer)
        return
    QTimer.singleShot(20, lambda: tell(window().documents.pages))
    next(one for one in box.buttons() if "Recover" in one.text()).click()

def begin():
    if window() is None or (sys.argv[1] == "edit" and window().documents.front is None):
        QTimer.singleShot(20, begin)
    else:
        {"edit": edit, "answer": answer}[sys.argv[1]]()

QApplication([])
QTimer.singleShot(20, begin)
raise SystemExit(app.main(Path(sys.argv[2]) if len(sys.argv) > 2 else None))
"""


@contextmanager
def editor(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[list[str]]]]:
    """An editor process, and the documents that it tells of; it is killed at the end."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("XDG_")},
        "HOME": str(home),
        "STUDIO_CACHE": str(home / "cache"),
        "QT_QPA_PLATFORM": "offscreen",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", EDITING, *arguments],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL


def journal(home: Path) -> list[list[str]]:
    """What lies in the journal: file and workflow of each document."""
    found = home.glob(".local/share/emulsion/recovery/*/*.json")
    read = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    return sorted([one["path"] or "", one["workflow"]] for one in read)


def test_what_a_killed_editor_had_not_saved_is_offered_whole(qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(TEXT_TO_IMAGE.read_text(encoding="utf-8"), encoding="utf-8")
    with editor(tmp_path, "edit", str(path)) as (_, edited):
        assert len(edited) == 2
        assert '"steps": 33' in edited[0][1]
        assert "nobody saved this" in edited[1][1]
        qtbot.waitUntil(lambda: journal(tmp_path) == edited, timeout=PATIENCE_MS)
    assert "nobody saved this" not in path.read_text(encoding="utf-8")
    # opened on the file that it belongs to, the recovered work comes in its place and not beside it
    with editor(tmp_path, "answer", str(path)) as (_, recovered):
        assert recovered == edited
        # and it is kept again by the editor that took it over
        assert journal(tmp_path) == edited
