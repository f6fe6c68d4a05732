"""The program as a whole: with the real worker, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from studio.graph import NodeId
from studio.gui.app import Program
from studio.gui.running.inbox import Event
from studio.gui.shell.settings import Preferences
from studio.gui.shell.window import Window
from studio.workflow import load
from tests.gui import hands
from tests.gui.desk import TEXT_TO_IMAGE, front, real_window

CTRL = Qt.KeyboardModifier.ControlModifier
PATIENCE_MS = 60_000
"""The worker imports torch first."""

denoise = NodeId("denoise")


@pytest.fixture
def window(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Window]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with real_window(qapp, tmp_path, qtbot, monkeypatch) as opened:
        yield opened


def press(qtbot: QtBot, canvas: QWidget, key: Qt.Key, modifiers: Qt.KeyboardModifier) -> None:
    """A key while the canvas has the focus; off screen, a window is left inactive by what is closed elsewhere."""
    canvas.activateWindow()
    qtbot.waitUntil(canvas.isActiveWindow)
    canvas.setFocus()
    hands.key(canvas, key, modifiers)


def test_a_picture_from_template_to_file_and_back(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(TEXT_TO_IMAGE.read_text(encoding="utf-8"), encoding="utf-8")
    window.documents.open_file(path)
    page = front(window)
    document, canvas, panels = page.document, page.canvas, window.panels
    assert panels is not None
    endings: list[Event] = []
    page.watch.ended.connect(endings.append)

    press(qtbot, canvas, Qt.Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: len(endings) == 1, timeout=PATIENCE_MS)
    assert endings[0]["status"] == "ok"
    assert endings[0]["model_calls"] == 20
    (picture,) = (tmp_path / "output").glob("*.png")
    assert panels.viewer.current is not None
    assert panels.viewer.current.path == picture
    assert panels.history.model.rowCount() == 1
    first = panels.viewer.current.image.copy()
    qtbot.waitUntil(lambda: page.watch.states()[denoise].status == "ran")

    # guidance by keyboard in the inspector: every step depends on it, the prompts do not
    canvas.select([denoise])
    field = panels.inspector.rows["guidance"].editor.focusProxy()
    assert field is not None
    QTest.keyClicks(field, "7")
    hands.key(field, Qt.Key.Key_Return)
    assert document.workflow.graph.node("denoise").params["guidance"] == 7.0
    qtbot.waitUntil(lambda: page.watch.states()[denoise].status == "will_run")
    press(qtbot, canvas, Qt.Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: len(endings) == 2, timeout=PATIENCE_MS)
    assert endings[1]["model_calls"] == 20
    nodes = endings[1]["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["prompt"]["status"] == "cached"
    assert len(list((tmp_path / "output").glob("*.png"))) == 2

    # what is stored costs nothing: undo brings the picture back by itself
    press(qtbot, canvas, Qt.Key.Key_Z, CTRL)
    assert not document.is_modified
    qtbot.waitUntil(lambda: len(endings) == 3, timeout=PATIENCE_MS)
    assert endings[2]["model_calls"] == 0
    assert panels.viewer.current.image == first

    # a branch late in the trajectory pays the late steps only
    qtbot.waitUntil(lambda: len(panels.scrubber.strip._frames) == 21)
    panels.scrubber.go_to(15)
    hands.key(panels.scrubber.strip, Qt.Key.Key_Return)
    (copy,) = page.selection
    prompt = panels.inspector.rows["prompt"].editor.focusProxy()
    assert prompt is not None
    prompt.setFocus()
    hands.key(prompt, Qt.Key.Key_A, CTRL)
    QTest.keyClicks(prompt, "a blue lake")
    canvas.setFocus()
    assert document.workflow.graph.node(copy).params["prompt"] == "a blue lake"
    qtbot.waitUntil(lambda: "resumes at 15 of 20" in page.watch.states()[denoise].text)
    press(qtbot, canvas, Qt.Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: len(endings) == 4, timeout=PATIENCE_MS)
    assert (endings[3]["model_calls"], endings[3]["model_calls_saved"]) == (5, 15)

    press(qtbot, canvas, Qt.Key.Key_S, CTRL)
    assert not document.is_modified
    saved = document.workflow
    assert load(path) == saved
    press(qtbot, canvas, Qt.Key.Key_W, CTRL)
    window.documents.open_file(path)
    assert front(window).document.workflow == saved


STARTUP = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from studio.gui import app

class Worker:
    def start(self): print("worker", flush=True)
    def stop(self): pass

app.real_worker = lambda options, on_event: Worker()
app.Program.__init__.__kwdefaults__["make_worker"] = app.real_worker
def look():
    windows = [one for one in QApplication.topLevelWidgets() if isinstance(one, app.Window)]
    for window in windows:
        window.painted.connect(lambda: print("painted", time.perf_counter() - began, flush=True))
        QTimer.singleShot(50, lambda: wait(window))
def wait(window):
    page = window.page
    if page is None or not page.watch.outcome.summary:
        QTimer.singleShot(50, lambda: wait(window))
        return
    print("planned", page.watch.outcome.summary, flush=True)
    heavy = sorted({"torch", "diffusers", "transformers", "numpy"} & sys.modules.keys())
    print("heavy", heavy, flush=True)
    window.close()
opened = app.Program.open_window
def open_window(self):
    window = opened(self)
    look()
    return window
app.Program.open_window = open_window
raise SystemExit(app.main(Path(sys.argv[1])))
"""


def test_the_editor_process_never_imports_torch(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "STUDIO_CACHE": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", STARTUP, str(TEXT_TO_IMAGE)],
        env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert "planned 0 of 8 nodes stored, duration not known yet" in lines
    assert lines[-1] == "heavy []"
    # painted first; then the document is opened, then the worker is started
    assert [line.split()[0] for line in lines] == ["painted", "worker", "planned", "heavy"]


def test_the_worker_is_not_started_before_the_window_is_painted(
    qapp: QApplication, tmp_path: Path
) -> None:
    started: list[float] = []

    class Worker:
        def start(self) -> None:
            started.append(time.perf_counter())

        def stop(self) -> None: ...

    program = Program(
        qapp,
        Preferences(tmp_path / "editor.ini"),
        make_worker=lambda options, on_event: Worker(),  # type: ignore[arg-type,return-value]  # as far as it is asked
        data=tmp_path / "data",
    )
    window = program.open_window()
    assert window.isVisible()
    assert started == []
    program.start()
    assert started == []
    window.start_worker()
    assert len(started) == 1
    window.close()
