"""The trajectory of the loop that is looked at: asked of the worker, gathered step by step, shown by the scrubber."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from studio.errors import StudioError
from studio.graph import NodeKind, Types
from studio.gui.pictured import image_of
from studio.gui.prompts import branched
from studio.gui.runner import Runner
from studio.gui.scrubber import Frame, Scrubber
from studio.gui.showing import Showing

if TYPE_CHECKING:
    from studio.gui.page import Page

_SCRUB_MS = 40


class Trajectory(QObject):
    """Follows the selected loop of the document in front."""

    status = Signal(str)
    failed = Signal(object)
    """A StudioError."""
    branched = Signal(str)
    """The node that acts from the chosen step on."""

    def __init__(
        self, scrubber: Scrubber, showing: Showing, runner: Runner, types: Types, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._scrubber = scrubber
        self._showing = showing
        self._runner = runner
        self._types = types
        self._page: Page | None = None
        self._frames: dict[int, Frame] = {}
        self._loop = ""
        """The node whose trajectory is shown."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SCRUB_MS)
        self._timer.timeout.connect(self._show_frames)
        scrubber.hide()
        scrubber.shown.connect(self._scrubbed)
        scrubber.branch_from.connect(self.branch)

    def show_page(self, page: Page | None) -> None:
        """Follow another document, or none."""
        if self._page is not None:
            self._page.watch.trajectory.disconnect(self._arrived)
            self._page.watch.ended.disconnect(self._ended)
        self._page = page
        self._forget()
        if page is not None:
            page.watch.trajectory.connect(self._arrived)
            page.watch.ended.connect(self._ended)

    def follow(self) -> None:
        """Show the trajectory of the selected loop, else of the only one."""
        page = self._page
        if page is None:
            return
        loops = [
            node.id
            for node in page.document.workflow.graph
            if node.type in self._types and self._types[node.type].kind is NodeKind.LOOP
        ]
        chosen = [node for node in loops if node in page.selection] or loops[-1:]
        name = chosen[0] if chosen else ""
        self._scrubber.setVisible(bool(name))
        if name != self._loop:
            self._forget()
            self._loop = name
            if name and page.watch.has_run:
                self._runner.ask_trajectory(page.watch, name)

    def _forget(self) -> None:
        self._loop = ""
        self._frames.clear()
        self._scrubber.clear()

    def _ended(self, event: Mapping[str, object]) -> None:
        self.follow()
        if self._page is not None and self._loop and event.get("status") != "failed":
            self._runner.ask_trajectory(self._page.watch, self._loop)

    def _arrived(self, event: Mapping[str, object]) -> None:
        if event.get("node") != self._loop:
            return
        if event.get("event") == "trajectory":
            self._frames.clear()
        else:
            step, sigma = event.get("step"), event.get("sigma")
            if not isinstance(step, int):
                return
            self._frames[step] = Frame(
                step,
                float(sigma) if isinstance(sigma, int | float) else 0.0,
                image_of(event, "x_0"),
                image_of(event, "x_t"),
            )
        self._timer.start()

    def _show_frames(self) -> None:
        self._scrubber.set_trajectory([self._frames[step] for step in sorted(self._frames)])

    def _scrubbed(self, image: QImage, words: str) -> None:
        self._showing.preview(image, f"{self._loop} · {words}")

    def branch(self, step: int) -> None:
        """Let a second prompt take over after a step: only the steps from there on run."""
        page = self._page
        if page is None or not self._loop:
            return
        document = page.document
        steps = max((frame.step for frame in self._frames.values()), default=0)
        try:
            after, name = branched(
                document.workflow, document.types, self._loop, step / steps if steps else 0.5
            )
        except StudioError as error:
            self.failed.emit(error)
            return
        self._showing.viewer.keep()
        document.edit(after, self.tr("Branch at step {}").format(step))
        page.reveal(name)
        self.branched.emit(name)
        self.status.emit(self.tr("From step {} on, {} acts: change it and run").format(step, name))
