"""Pictures of the window for people to look at: ``python -m tests.gui.screenshots FOLDER``.

With the real worker on the shipped model, in a folder of their own; nothing of the user's is read or written.
``--readme`` writes the five that the README shows, small; ``--scale 2`` looks as a high-resolution screen does.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from PIL import Image

ThemeName = Literal["dark", "light"]

SIZES = ((1280, 800), (1920, 1080))
ZOOMS = (0.5, 1.0, 1.5)
README = ("start", "running", "mask", "scrubber", "compare")
README_SIZE = (1600, 1000)
"""Large enough for the rows of an example's nodes."""
README_BYTES = 200_000
PATIENCE_S = 240.0


def main() -> int:
    """Grab every scene in both themes and sizes, or those of the README."""
    parser = argparse.ArgumentParser(prog="python -m tests.gui.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readme", action="store_true", help="the README's five alone, small")
    parser.add_argument("--scale", default="1", help="pixels of the screen per pixel of the window")
    parser.add_argument("--font", type=float, default=1.0, help="size of letters, 1: as they are")
    asked = parser.parse_args()
    folder: Path = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["QT_SCALE_FACTOR"] = asked.scale
    with tempfile.TemporaryDirectory() as home:
        os.environ["STUDIO_CACHE"] = str(Path(home) / "cache")
        scenes = Scenes(folder, Path(home), asked.font)
        if asked.readme:
            scenes.sizes, scenes.themes, scenes.names = [README_SIZE], ("dark",), README
        scenes.grab_all()
    if asked.readme:
        for name in README:
            shrink(folder / f"{name}-dark-{README_SIZE[0]}.png", folder / f"{name}.png")
    return 0


def shrink(path: Path, to: Path) -> None:
    """Write a picture anew, with as few colours as keep the file small, and remove the old one."""
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    whole.save(to, optimize=True)
    for colors in (256, 192, 128, 64):
        if to.stat().st_size <= README_BYTES:
            break
        few = whole.quantize(colors, kmeans=1)
        whole.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(to, optimize=True)
    path.unlink()


class Scenes:
    """A window that is led from scene to scene."""

    def __init__(self, folder: Path, home: Path, font: float) -> None:
        from PySide6.QtWidgets import QApplication

        from studio.gui.app import Program
        from studio.gui.shell.settings import Options, Preferences

        self._folder = folder
        self.sizes: Sequence[tuple[int, int]] = SIZES
        self.themes: Sequence[ThemeName] = ("dark", "light")
        self.names: Sequence[str] | None = None
        """The scenes that are wanted; None: all."""
        self._app = QApplication([])
        letters = self._app.font()
        letters.setPointSizeF(letters.pointSizeF() * font)
        self._app.setFont(letters)
        preferences = Preferences(home / "editor.ini")
        preferences.set_options(Options(output=home / "output"))
        self._program = Program(self._app, preferences, data=home / "data")
        self._window = self._program.open_window()
        self._app.processEvents()
        self._program.start()
        self._window.start_worker()

    def grab_all(self) -> None:
        """Go from scene to scene."""
        self._grab("start")
        self._text_to_image()
        self._inpaint()
        self._training()
        self._keys()
        for page in self._window.documents.pages:
            page.document.save(Path(tempfile.mkdtemp()) / "kept.json")
        self._window.close()

    def _text_to_image(self) -> None:
        from studio.graph import NodeId
        from studio.gui.edits import set_param
        from tests.gui.desk import TEXT_TO_IMAGE, front

        window, denoise = self._window, NodeId("denoise")
        window.resize(*SIZES[0])
        window.documents.open_template(TEXT_TO_IMAGE)
        page, panels = front(window), window.panels
        assert panels is not None
        document, history = page.document, panels.history

        def set_to(node: str, **values: int) -> None:
            for name, value in values.items():
                document.edit(set_param(document.workflow, node, name, value), name)

        page.canvas.select([denoise])
        self._wait(lambda: page.watch.outcome.plan is not None)
        self._grab("planned")
        set_to("scheduler", steps=400)
        window.run()
        self._wait(lambda: page.watch.states()[denoise].step >= 60)
        self._grab("running")
        window.cancel()
        self._wait(lambda: not window.is_running())
        set_to("scheduler", steps=30)
        window.run()
        self._wait(lambda: history.model.rowCount() == 1 and not window.is_running())
        self._wait(lambda: panels.scrubber.strip.maximum() == 30)
        panels.scrubber.go_to(14)
        self._grab("scrubber")
        self._zooms()
        w = set_param(document.workflow, "noise", "seed", 11)
        w = set_param(w, "denoise", "guidance", 3.0)
        w = set_param(w, "prompt", "prompt", "a red house by the sea, at night")
        document.edit(w, "Another")
        window.run()
        self._wait(lambda: history.model.rowCount() == 2 and not window.is_running())
        entries = [history.model.entry(history.model.index(row, 0)) for row in (0, 1)]
        panels.docks["history"].raise_()
        history.model.star([history.model.index(1, 0)], True)
        self._grab("history")
        history.compared.emit(entries[1], entries[0])
        self._wait(lambda: "%" in panels.comparison.summary.text())
        self._grab("compare")
        panels.comparing.end()
        set_to("noise", seed=-1)
        panels.docks["plan"].raise_()
        self._wait(lambda: bool(page.watch.outcome.problems))
        window.run()
        self._wait(page.failure.isVisible)
        self._grab("failed")

    def _zooms(self) -> None:
        """The canvas near and far, and with a field over a row of it."""
        from studio.graph import NodeId
        from tests.gui.desk import front

        canvas = front(self._window).canvas
        for theme in self._in_themes("zoom"):
            for zoom in ZOOMS:
                canvas.frame_all()
                canvas.set_zoom(zoom)
                canvas.look_at(canvas.content.nodes[NodeId("denoise")].sceneBoundingRect().center())
                self._settle()
                if zoom == 1.0:
                    canvas.editing.edit_row(NodeId("denoise"), "guidance")
                    self._settle()
                canvas.grab().save(str(self._folder / f"zoom-{theme}-{zoom:.0%}.png"))
                canvas.editing.field.close()

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

    def _training(self) -> None:
        from studio.gui.edits import set_param
        from tests.gui.desk import TRAIN, front

        window = self._window
        window.documents.open_template(TRAIN)
        page = front(window)
        w = page.document.workflow
        for name, value in (("steps", 200), ("sample_every", 40), ("samples", 16)):
            w = set_param(w, "train", name, value)
        page.document.edit(w, "A short training")
        page.canvas.select(["train"])
        window.run()
        self._wait(lambda: page.watch.states()["train"].step >= 125)
        self._grab("training")
        window.cancel()
        self._wait(lambda: not window.is_running())

    def _keys(self) -> None:
        if self.names is not None:
            return
        from studio.gui.keys.key_sheet import KeySheet

        self._window.show_keys()
        sheet = self._window.findChild(KeySheet)
        assert sheet is not None
        self._settle()
        sheet.grab().save(str(self._folder / "keys.png"))
        sheet.close()

    def _in_themes(self, name: str) -> Iterator[ThemeName]:
        """Each theme in turn, for a scene that is wanted."""
        if self.names is not None and name not in self.names:
            return
        options = self._program.preferences.options()
        for theme in self.themes:
            self._program.set_options(replace(options, theme=theme))
            yield theme
        self._program.set_options(options)

    def _grab(self, name: str) -> None:
        for theme in self._in_themes(name):
            for width, height in self.sizes:
                self._window.resize(width, height)
                self._settle()
                if self._window.page is not None:
                    self._window.page.canvas.frame_all()
                    self._settle()
                self._window.grab().save(str(self._folder / f"{name}-{theme}-{width}.png"))

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


if __name__ == "__main__":
    raise SystemExit(main())
