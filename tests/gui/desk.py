"""A program with windows and a worker that is told what to say, for the tests of the window."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from studio.gui.app import MakeWorker, Program, real_worker
from studio.gui.running.inbox import Event
from studio.gui.shell.page import Page
from studio.gui.shell.settings import Options, Preferences
from studio.gui.shell.window import Window
from studio.resources import resource

TEXT_TO_IMAGE = resource().parent / "workflows" / "text-to-image.json"
INPAINT = TEXT_TO_IMAGE.with_name("inpaint.json")
TRAIN = TEXT_TO_IMAGE.with_name("train-pixel.json")


@dataclass
class FakeWorker:
    """Notes what it is asked, and says what it is told to say."""

    options: Options
    on_event: Callable[[Event], None]
    asked: list[tuple[str, str]] = field(default_factory=list)
    """What and, for runs, the workflow; for looks and trajectories the node."""
    targets: list[tuple[str, ...]] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    runs: int = 0
    is_running: bool = False

    def start(self) -> None:
        self.is_running = True

    def submit(
        self,
        workflow: str,
        *,
        base: str | Path,
        name: str = "",
        targets: Sequence[str] = (),
        output: str | Path = "",
    ) -> str:
        self.runs += 1
        self.asked.append(("run", workflow))
        self.targets.append(tuple(targets))
        self.outputs.append(Path(output))
        return f"run-{self.runs}"

    def look(self, workflow: str, node: str, *, base: str | Path, name: str = "") -> str:
        self.asked.append(("look", node))
        return f"look-{len(self.asked)}"

    def trajectory(
        self, workflow: str, node: str, *, base: str | Path, name: str = "", picture: int = 0
    ) -> str:
        self.asked.append(("trajectory", node))
        return f"trajectory-{len(self.asked)}"

    def measures(self, workflow: str, node: str, *, base: str | Path, name: str = "") -> str:
        self.asked.append(("measures", node))
        return f"measures-{len(self.asked)}"

    def describe(
        self, workflow: str, nodes: Sequence[str], *, base: str | Path, name: str = ""
    ) -> str:
        self.asked.extend(("describe", node) for node in nodes)
        return f"describe-{len(self.asked)}"

    def cancel(self) -> None:
        self.asked.append(("cancel", ""))

    def stop(self) -> None:
        self.is_running = False

    # --- what it says

    def say(self, event: str, **fields: object) -> None:
        self.on_event({"event": event, "run": f"run-{self.runs}", **fields})

    def finish(
        self, node: str, status: str = "ran", seconds: float = 0.5, **fields: object
    ) -> None:
        told = {"from_step": 0, "steps": 0, **fields}
        self.say("finished", node=node, status=status, seconds=seconds, **told)

    def done(self, status: str = "ok", calls: int = 20, saved: int = 0) -> None:
        self.say(
            "done", status=status, seconds=1.5, model_calls=calls, model_calls_saved=saved,
            nodes={}, files=[],
        )  # fmt: skip


def pixels(width: int, height: int, color: tuple[int, int, int]) -> dict[str, object]:
    """A plain picture as events hold it."""
    data = base64.b64encode(bytes(color) * (width * height)).decode()
    return {"width": width, "height": height, "rgb": data}


class Desk:
    """The program of a test."""

    def __init__(self, app: QApplication, folder: Path, qtbot: QtBot) -> None:
        self.folder = folder
        self.qtbot = qtbot
        self.workers: list[FakeWorker] = []
        self.preferences = Preferences(folder / "editor.ini")
        self.preferences.set_options(Options(output=folder / "output"))
        self.program = Program(app, self.preferences, make_worker=self._make, data=folder / "data")

    def _make(self, options: Options, on_event: Callable[[Event], None]) -> FakeWorker:
        self.workers.append(FakeWorker(options, on_event))
        return self.workers[-1]

    def window(self) -> Window:
        """A window that has started."""
        window = self.program.open_window()
        window.resize(1280, 800)
        self.program.start()
        window.activateWindow()
        self.qtbot.waitUntil(window.isActiveWindow)
        return window

    @property
    def worker(self) -> FakeWorker:
        return self.workers[-1]

    def opened(self, path: Path = TEXT_TO_IMAGE) -> tuple[Window, Page]:
        """A window with a template in front, planned."""
        window = self.window()
        window.documents.open_template(path)
        page = front(window)
        self.qtbot.waitUntil(lambda: page.watch.outcome.plan is not None)
        return window, page

    def close(self) -> None:
        """End without questions."""
        for window in list(self.program.windows):
            if window.runner is not None:
                window.runner.queue.clear()
            for page in window.documents.pages:
                page.document.save(self.folder / f"kept-{time.monotonic_ns()}.json")
            window.close()


def front(window: Window) -> Page:
    """The document in front, which there must be."""
    assert window.page is not None
    return window.page


def answer(text: str) -> None:
    """Press the button of the question that is about to be asked."""

    def press() -> None:
        box = QApplication.activeModalWidget()
        if box is None:
            QTimer.singleShot(5, press)
            return
        assert isinstance(box, QMessageBox)
        buttons = {button.text().replace("&", ""): button for button in box.buttons()}
        buttons[text].click()

    QTimer.singleShot(0, press)


def in_view(page: Page, node: str) -> QPoint:
    """The middle of a node's title in the canvas's viewport."""
    canvas = page.canvas
    item = canvas.content.nodes[node]  # type: ignore[index]  # node ids are text
    return canvas.mapFromScene(item.mapToScene(60.0, 12.0))


@contextmanager
def desk(app: QApplication, folder: Path, qtbot: QtBot) -> Iterator[Desk]:
    """A program, closed at the end."""
    made = Desk(app, folder, qtbot)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def real_window(
    app: QApplication,
    folder: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    make_worker: MakeWorker = real_worker,
) -> Iterator[Window]:
    """A window with a worker process; nothing of the user's is read or written."""
    monkeypatch.setenv("STUDIO_CACHE", str(folder / "cache"))
    monkeypatch.setenv("STUDIO_MODELS", str(folder / "models"))
    preferences = Preferences(folder / "editor.ini")
    preferences.set_options(Options(output=folder / "output", device="cpu", threads=1))
    program = Program(app, preferences, make_worker=make_worker, data=folder / "data")
    window = program.open_window()
    window.resize(1280, 800)
    program.start()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    try:
        yield window
    finally:
        for page in window.documents.pages:
            page.document.save(folder / f"kept-{time.monotonic_ns()}.json")
        window.close()
