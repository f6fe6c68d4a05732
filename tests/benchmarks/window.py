"""What the window costs: until it is painted, while the worker computes, and until the worker is back."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

WORKFLOW = Path(__file__).parents[2] / "workflows" / "text-to-image.json"
ROUNDS = 5
FRAMES = 400
PATIENCE_S = 120.0


def row(what: str, seconds: Sequence[float], goal: str = "") -> None:
    """Print median, 95th of 100 and the largest, in milliseconds, and the goal."""
    ordered = sorted(1e3 * one for one in seconds)
    high = ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))]
    print(
        f"  {what:<46} {statistics.median(ordered):8.1f} ms  p95 {high:8.1f}"
        f"  max {ordered[-1]:8.1f}  {goal}"
    )


# --- from process start to paint

PAINT = """
import sys, time
from pathlib import Path
from PySide6.QtCore import QTimer
from studio.gui import app

def opened(program, open_window=app.Program.open_window):
    window = open_window(program)
    def painted():
        print(time.monotonic(), flush=True)
        QTimer.singleShot(0, window.close)
    window.painted.connect(painted)
    return window

app.Program.open_window = opened
# only the way to the first paint counts
app._Beginning.begin = lambda self: None
raise SystemExit(app.main(None))
"""


def start() -> None:
    """Time a new process until its window is painted, off screen and on a real X screen."""
    from tests.gui import x_screen

    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "STUDIO_CACHE": home, "XDG_CONFIG_HOME": home}

        def painted(**more: str) -> float:
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", PAINT],
                env={**environment, **more}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            return float(done.stdout.split()[0]) - began

        painted(QT_QPA_PLATFORM="offscreen")
        off = [painted(QT_QPA_PLATFORM="offscreen") for _ in range(ROUNDS)]
        row("process start to a painted window, off screen", off, "goal 500")
        lacking = x_screen.missing()
        if lacking:
            print(f"  on a real screen: {', '.join(lacking)} is missing")
            return
        with x_screen.screen(Path(home)) as screen:
            on = [painted(QT_QPA_PLATFORM="xcb", DISPLAY=screen.display) for _ in range(ROUNDS)]
            row("process start to a painted window, Xvfb", on, "goal 500")


# --- frames while the worker computes


def frames() -> None:
    """Pan a window at full speed, at rest and while its worker denoises."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QPoint, QTimer
    from PySide6.QtWidgets import QApplication

    from studio.gui import edits
    from studio.gui.app import Program
    from studio.gui.shell.settings import Options, Preferences

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["STUDIO_CACHE"] = str(home / "cache")
        instance = QApplication.instance()
        app = instance if isinstance(instance, QApplication) else QApplication([])
        preferences = Preferences(home / "editor.ini")
        preferences.set_options(Options(output=home / "output", device="cpu"))
        program = Program(app, preferences, data=home / "data")
        window = program.open_window()
        window.resize(1600, 1000)
        program.start()
        window.start_worker()
        window.documents.open_template(WORKFLOW)
        page = window.page
        assert page is not None
        document, canvas = page.document, page.canvas

        def wait(is_so: Callable[[], object]) -> None:
            until = time.monotonic() + PATIENCE_S
            while not is_so():
                app.processEvents()
                time.sleep(0.001)
                if time.monotonic() > until:
                    raise TimeoutError("the worker did not come up")

        def panned() -> list[float]:
            """Seconds of each turn of the event loop in which the canvas moved by a few pixels."""
            found: list[float] = []
            last = time.perf_counter()

            def tick() -> None:
                nonlocal last
                now = time.perf_counter()
                found.append(now - last)
                last = now
                canvas.pan_by(QPoint(7 if len(found) // 40 % 2 else -7, 3))
                if len(found) > FRAMES:
                    app.exit()

            timer = QTimer()
            timer.timeout.connect(tick)
            timer.start(0)
            app.exec()
            timer.stop()
            canvas.frame_all()
            return found[1:]

        ready: list[str] = []
        runner = window.runner
        assert runner is not None
        runner.worker_state.connect(ready.append)
        wait(lambda: "ready" in ready)
        row("a frame of panning, nothing computing", panned(), "goal p95 16")
        edited = edits.set_param(document.workflow, "scheduler", "steps", 900)
        document.edit(edited, "Steps")
        window.run()
        wait(lambda: page.watch.states()["denoise"].step > 5)
        computing = panned()
        assert runner.is_running, "the run was over too soon to be measured beside"
        row("a frame of panning, the worker denoising", computing, "goal p95 16")
        document.save(home / "kept.json")
        window.close()


# --- the worker


def worker() -> None:
    """Time a worker process until it answers and until it can run models, the first time and after a kill."""
    from studio.remote import Message, Worker

    heard = threading.Condition()
    events: list[tuple[float, str]] = []

    def hear(event: Message) -> None:
        with heard:
            name = str(event.get("state") if event["event"] == "worker" else event["event"])
            events.append((time.monotonic(), name))
            heard.notify_all()

    def when(name: str, after: float) -> float:
        """When something was said for the first time after a moment."""

        def found() -> float | None:
            return next((at for at, said in events if said == name and at > after), None)

        with heard:
            at = heard.wait_for(found, PATIENCE_S)
        assert at is not None, f"no {name}"
        return at - after

    with tempfile.TemporaryDirectory() as folder:
        settings = ["--cache", folder, "--device", "cpu"]
        one = Worker(settings, hear)
        reserved = Worker(settings, hear, spare_after_s=0.0)
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            began = time.monotonic()
            one.start()
            times.setdefault("start to the first answer", []).append(when("hello", began))
            times.setdefault("start to ready", []).append(when("ready", began))
            began = time.monotonic()
            one.kill()
            times.setdefault("kill to the first answer", []).append(when("hello", began))
            times.setdefault("kill to ready", []).append(when("ready", began))
            assert one.pid is not None
            resident = psutil.Process(one.pid).memory_info().rss
            one.stop()
            began = time.monotonic()
            reserved.start()
            when("ready", began)
            # nothing outside tells when the one in reserve is ready as well: it is given twice the time
            time.sleep(2 * times["start to ready"][-1])
            began = time.monotonic()
            reserved.kill()
            times.setdefault("kill to ready, one in reserve", []).append(when("ready", began))
            reserved.stop()
        goals = {"start to ready": "goal 4000", "kill to ready, one in reserve": "goal 100"}
        for what, found in times.items():
            row(what, found, goals.get(what, ""))
        print(f"  memory of a worker that is ready: {resident / 1e6:.0f} MB")
