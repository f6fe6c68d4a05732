"""Pictures of the window for people to look at: ``python -m tests.gui.screenshots FOLDER``.

With the real worker on the shipped model, in a folder of their own; nothing of the user's is read or written.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

SIZES = ((1280, 800), (1920, 1080))
PATIENCE_S = 120.0


def main() -> int:
    """Grab every scene in both themes and sizes."""
    parser = argparse.ArgumentParser(prog="python -m tests.gui.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as home:
        os.environ["STUDIO_CACHE"] = str(Path(home) / "cache")
        Scenes(folder, Path(home)).grab_all()
    return 0


class Scenes:
    """A window that is led from scene to scene."""

    def __init__(self, folder: Path, home: Path) -> None:
        from PySide6.QtWidgets import QApplication

        from studio.gui.app import Program
        from studio.gui.settings import Options, Preferences

        self._folder = folder
        self._app = QApplication([])
        preferences = Preferences(home / "editor.ini")
        preferences.set_options(Options(output=home / "output"))
        self._program = Program(self._app, preferences, data=home / "data")
        self._window = self._program.open_window()
        self._app.processEvents()
        self._program.start()
        self._window.start_worker()

    def grab_all(self) -> None:
        self._grab("start")
        self._text_to_image()
        self._inpaint()
        self._keys()
        for page in self._window.documents.pages:
            page.document.save(Path(tempfile.mkdtemp()) / "kept.json")
        self._window.close()

    def _text_to_image(self) -> None:
        from studio.gui.edits import set_param
        from tests.gui.desk import TEXT_TO_IMAGE, front

        window = self._window
        window.resize(*SIZES[0])
        window.documents.open_template(TEXT_TO_IMAGE)
        page, panels = front(window), window.panels
        assert panels is not None
        document = page.document
        document.edit(set_param(document.workflow, "scheduler", "steps", 60), "Steps")
        page.canvas.select(["denoise"])
        self._wait(lambda: page.watch.outcome.plan is not None)
        self._grab("planned")
        window.run()
        self._wait(lambda: _step(page.watch.states().get("denoise")) >= 20)
        self._grab("running")
        self._wait(lambda: page.watch.has_run)
        self._wait(lambda: len(panels.scrubber.strip._frames) > 50)
        panels.scrubber.go_to(20)
        self._grab("scrubber")
        w = set_param(document.workflow, "noise", "seed", 11)
        w = set_param(w, "denoise", "guidance", 3.0)
        w = set_param(w, "prompt", "prompt", "a red house by the sea, at night")
        document.edit(w, "Another")
        window.run()
        self._wait(lambda: panels.history.model.rowCount() == 2)
        entries = [panels.history.model.entry(panels.history.model.index(row, 0)) for row in (0, 1)]
        panels.docks["history"].raise_()
        panels.history.model.star([panels.history.model.index(1, 0)], True)
        self._grab("history")
        panels.history.compared.emit(entries[1], entries[0])
        self._wait(lambda: "%" in panels.comparison.summary.text())
        self._grab("compare")
        panels.comparing.end()
        document.edit(set_param(document.workflow, "noise", "seed", -1), "Seed")
        panels.docks["plan"].raise_()
        self._wait(lambda: bool(page.watch.outcome.problems))
        window.run()
        self._wait(page.failure.isVisible)
        self._grab("failed")

    def _inpaint(self) -> None:
        from tests.gui.desk import INPAINT, front

        window = self._window
        window.documents.open_template(INPAINT)
        page, panels = front(window), window.panels
        assert panels is not None
        window.run()
        self._wait(lambda: page.watch.has_run)
        page.canvas.select(["mask"])
        panels.painting.paint("mask", "strokes")
        panels.mask.feather_changed.emit(6.0)
        self._grab("mask")
        panels.painting.stop()

    def _keys(self) -> None:
        from studio.gui.key_sheet import KeySheet

        self._window.show_keys()
        sheet = self._window.findChild(KeySheet)
        assert sheet is not None
        self._settle()
        sheet.grab().save(str(self._folder / "keys.png"))
        sheet.close()

    def _grab(self, name: str) -> None:
        options = self._program.preferences.options()
        for theme in ("dark", "light"):
            self._program.set_options(replace(options, theme=theme))
            for width, height in SIZES:
                self._window.resize(width, height)
                self._settle()
                if self._window.page is not None:
                    self._window.page.canvas.frame_all()
                    self._settle()
                self._window.grab().save(str(self._folder / f"{name}-{theme}-{width}.png"))
        self._program.set_options(options)

    def _settle(self) -> None:
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            self._app.processEvents()
            time.sleep(0.005)

    def _wait(self, is_so: Callable[[], object]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > until:
                raise TimeoutError("the scene did not come about")
            self._app.processEvents()
            time.sleep(0.005)


def _step(state: object) -> int:
    return int(getattr(state, "step", 0))


if __name__ == "__main__":
    raise SystemExit(main())
