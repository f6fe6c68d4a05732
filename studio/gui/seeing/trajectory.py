"""The trajectory of the loop that is looked at: asked of the worker, gathered step by step, shown by the scrubber."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QInputDialog

from studio.errors import StudioError
from studio.graph import NodeId, NodeKind, NodeType, Types
from studio.gui.running.pictured import image_of
from studio.gui.running.runner import Runner
from studio.gui.running.tracking import Outcome
from studio.gui.scope import Scope, split
from studio.gui.seeing.branching import guidance_at, guidance_from, prompt_from
from studio.gui.seeing.scrubber import Frame, Scrubber
from studio.gui.seeing.showing import Showing
from studio.values import Latents
from studio.workflow import Workflow

if TYPE_CHECKING:
    from studio.gui.shell.page import Page
    from studio.plan import Planned

Brancher = Callable[[Workflow, Types, str, int, int], tuple[Workflow, NodeId]]
"""Makes a workflow of which something acts from a step of so many on; gives the id of what acts as well."""
_SCRUB_MS = 40
_MOST_GUIDANCE = 50.0


class Trajectory(QObject):
    """Follows the selected loop of the document in front, as far as its states are stored."""

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
        self._answer: Mapping[str, object] = {}
        """The event ``trajectory``: what the loop's steps are, and which are stored."""
        self._loop = ""
        """The node whose trajectory is shown, ``group/node`` inside a group."""
        self._key = ""
        """Of the result whose trajectory was asked for last."""
        self._picture = 0
        self._is_running = False
        self._gives_way = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SCRUB_MS)
        self._timer.timeout.connect(self._show_frames)
        scrubber.hide()
        scrubber.shown.connect(self._scrubbed)
        scrubber.branch_from.connect(self.branch)
        scrubber.guidance_from.connect(self.ask_guidance)
        scrubber.picture_chosen.connect(self._pick)
        scrubber.export_requested.connect(self.export)

    def show_page(self, page: Page | None) -> None:
        """Follow another document, or none."""
        if self._page is not None:
            watch = self._page.watch
            watch.trajectory.disconnect(self._arrived)
            watch.ended.disconnect(self._ended)
            watch.outcome_changed.disconnect(self._planned)
            watch.previewed.disconnect(self._previewed)
        self._page = page
        self._forget()
        if page is not None:
            watch = page.watch
            watch.trajectory.connect(self._arrived)
            watch.ended.connect(self._ended)
            watch.outcome_changed.connect(self._planned)
            watch.previewed.connect(self._previewed)

    def follow(self) -> None:
        """Show the trajectory of the selected loop, else of the last one."""
        page = self._page
        if page is None:
            return
        loops = self._loops(page)
        chosen = [name for name in loops if name in page.selection] or loops[-1:]
        name = chosen[0] if chosen else ""
        # whoever paints needs the room for the picture
        is_free = not self._showing.is_held and not self._gives_way
        self._scrubber.setVisible(bool(name) and is_free)
        if name != self._loop:
            self._forget()
            self._loop = name
            self._planned(page.watch.outcome)

    def give_way(self, gives_way: bool) -> None:
        """Leave the room to something else, or take it again."""
        self._gives_way = gives_way
        self.follow()

    def _loops(self, page: Page) -> list[str]:
        """The loops of the document, those inside groups as the plan names them."""
        found = [
            str(node.id)
            for node in page.document.workflow.graph
            if node.type in self._types and has_trajectory(self._types[node.type])
        ]
        plan = page.watch.outcome.plan
        inside = [str(one.node) for one in plan.nodes if "/" in one.node] if plan else []
        types = {str(one.node): one.type for one in plan.nodes} if plan else {}
        return found + [
            name
            for name in inside
            if types[name] in self._types and has_trajectory(self._types[types[name]])
        ]

    def _forget(self) -> None:
        self._loop = ""
        self._key = ""
        self._picture = 0
        self._is_running = False
        self._clear()

    def _clear(self) -> None:
        self._frames.clear()
        self._answer = {}
        self._scrubber.clear()

    def _planned(self, outcome: Outcome) -> None:
        """Ask again where an edit, an undo or a restart made it another trajectory."""
        page = self._page
        if page is None:
            return
        if not self._loop:
            self.follow()
            return
        planned = self._plan_of(outcome)
        if planned is None or str(planned.key) == self._key:
            return
        self._key = str(planned.key)
        self._picture = 0
        if planned.status == "runs":
            # nothing of it is stored; what was shown is another edit's
            self._clear()
        else:
            self._ask()

    def _plan_of(self, outcome: Outcome) -> Planned | None:
        nodes = outcome.plan.nodes if outcome.plan is not None else ()
        return next((one for one in nodes if one.node == self._loop), None)

    def _ask(self) -> None:
        if self._page is not None and self._loop:
            self._runner.ask_trajectory(self._page.watch, self._loop, self._picture)

    def _pick(self, picture: int) -> None:
        """Show another picture of the batch."""
        if picture != self._picture:
            self._picture = picture
            self._ask()

    # --- what comes

    def _ended(self, event: Mapping[str, object]) -> None:
        self._is_running = False
        self.follow()
        if event.get("status") != "failed":
            self._ask()

    def _previewed(self, node: str, image: QImage, step: int, steps: int) -> None:
        """A step of a run, as it is taken: its prediction, before anything is read back from the store."""
        if node != self._loop.partition("/")[0] or step < 1:
            return
        if not self._is_running:
            self._is_running = True
            if not self._frames or len(self._frames) > step:
                self._clear()
            self._ask()
        each = self._whole("steps") or steps
        # the pictures of a batch are made one after another
        picture, done = divmod(step - 1, each) if each else (0, step - 1)
        if picture == self._picture:
            known = self._frames.get(done + 1)
            if known is None or known.x0 is None:
                self._frames[done + 1] = self._frame(done + 1, image, None)
                self._timer.start()

    def _arrived(self, event: Mapping[str, object]) -> None:
        if event.get("node") != self._loop or event.get("picture", 0) != self._picture:
            return
        if event.get("event") == "trajectory":
            self._answer = event
            live = self._frames if self._is_running else {}
            self._frames = {step: self._frame(step, one.x0, one.xt) for step, one in live.items()}
        else:
            step = event.get("step")
            if isinstance(step, int):
                self._frames[step] = self._frame(
                    step, image_of(event, "x_0"), image_of(event, "x_t"), event.get("sigma")
                )
        self._timer.start()

    def _frame(
        self, step: int, x0: QImage | None, xt: QImage | None, sigma: object = None
    ) -> Frame:
        level = sigma if sigma is not None else self._listed("sigmas", step)
        calls = self._listed("calls", step)
        return Frame(
            step,
            float(level) if isinstance(level, int | float) else None,
            x0,
            xt,
            calls if isinstance(calls, int) else None,
        )

    def _listed(self, name: str, step: int) -> object:
        values = self._answer.get(name)
        return values[step] if isinstance(values, list) and step < len(values) else None

    def _whole(self, name: str) -> int:
        value = self._answer.get(name)
        return value if isinstance(value, int) else 0

    def _show_frames(self) -> None:
        frames = [self._frames[step] for step in sorted(self._frames)]
        steps = self._whole("steps") or None
        self._scrubber.set_trajectory(
            frames,
            steps,
            note=self._note(),
            picture=self._picture,
            pictures=max(1, self._whole("pictures")),
        )

    def _note(self) -> str:
        """What stands in the way of seeing every step."""
        problems = self._answer.get("problems")
        if isinstance(problems, list) and problems and isinstance(problems[0], Mapping):
            problem = problems[0]
            return f"{problem.get('what', '')}; {problem.get('remedy', '')}".strip("; ")
        steps, stored = self._whole("steps"), self._answer.get("stored")
        if self._is_running or not steps or not isinstance(stored, list):
            return ""
        planned = self._plan_of(self._page.watch.outcome) if self._page is not None else None
        has_ended = planned is not None and planned.status == "cached"
        if not stored:
            return self.tr("Its steps are no longer stored; the result is") if has_ended else ""
        gaps = (max(stored) if not has_ended else steps) + 1 - len(stored)
        words = self.tr("{} of {} steps are no longer stored")
        return words.format(gaps, steps) if gaps > 0 else ""

    def _scrubbed(self, image: QImage, words: str) -> None:
        self._showing.preview(image, f"{self._loop} · {words}")

    # --- branching

    def branch(self, step: int) -> None:
        """Let a second prompt take over after a step: only the steps from there on run."""
        self._branch(step, prompt_from, self.tr("Branch at step {}").format(step))

    def ask_guidance(self, step: int) -> None:
        """Ask for another guidance that acts from a step on."""
        page, place = self._page, self._place(step)
        if page is None or place is None:
            return
        path, loop = split(self._loop)
        try:
            scope = Scope(page.document, path)
            value = guidance_at(scope.workflow, scope.types, loop, *place)
        except StudioError as error:
            self.failed.emit(error)
            return
        dialog = QInputDialog(self._scrubber)
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setWindowTitle(self.tr("Branch"))
        dialog.setLabelText(self.tr("Guidance from step {} on:").format(step))
        dialog.setDoubleRange(0.0, _MOST_GUIDANCE)
        dialog.setDoubleDecimals(2)
        dialog.setDoubleStep(0.5)
        dialog.setDoubleValue(value)
        dialog.doubleValueSelected.connect(_Guidance(self, step))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def branch_guidance(self, step: int, value: float) -> None:
        """Let guidance be another from a step on."""
        text = self.tr("Guidance {} from step {}").format(f"{value:g}", step)

        def edit(
            w: Workflow, types: Types, loop: str, step: int, total: int
        ) -> tuple[Workflow, NodeId]:
            return guidance_from(w, types, loop, step, total, value)

        self._branch(step, edit, text)

    def _branch(self, step: int, edit: Brancher, text: str) -> None:
        page, place = self._page, self._place(step)
        if page is None or place is None:
            return
        path, loop = split(self._loop)
        scope = Scope(page.document, path)
        try:
            after, name = edit(scope.workflow, scope.types, loop, *place)
        except StudioError as error:
            self.failed.emit(error)
            return
        self._showing.viewer.keep()
        scope.edit(after, text)
        page.reveal(scope.flat(name))
        self.branched.emit(name)
        words = self.tr("From step {} on, {} acts: change it and run")
        self.status.emit(words.format(step, name))

    def _place(self, step: int) -> tuple[int, int] | None:
        """Where a step of this loop lies in the whole schedule; None, and a word, where nothing is left to branch."""
        steps = self._whole("steps") or max(self._frames, default=0)
        total = self._whole("total") or steps
        if not self._loop or not total:
            return None
        if step >= steps:
            self.status.emit(self.tr("No step is left after this one: branch from an earlier one"))
            return None
        place = self._whole("begin") + step
        if place < 1:
            self.status.emit(self.tr("Nothing has been done yet: change the prompt itself"))
            return None
        return place, total

    # --- files

    def export(self) -> None:
        """Ask for a name and write the steps, as they are shown, as an animation."""
        images = self._scrubber.film
        if not images:
            return
        name = str(platformdirs.user_pictures_path() / f"{self._loop.replace('/', '-')}.webp")
        chosen, _ = QFileDialog.getSaveFileName(
            self._scrubber,
            self.tr("Save the trajectory"),
            name,
            self.tr("Animation (*.webp *.gif)"),
        )
        if not chosen:
            return
        path = Path(chosen)
        path = path if path.suffix.lower() in (".webp", ".gif") else path.with_suffix(".webp")
        enlarged = [self._showing.enlarged(image) for image in images]
        try:
            write_film(path, enlarged)
        except OSError as error:
            self.status.emit(self.tr("{} cannot be written: {}").format(path.name, error.strerror))
            return
        self.status.emit(self.tr("Saved {}").format(path.name))


class _Guidance:
    """Branches with the value that was typed."""

    def __init__(self, trajectory: Trajectory, step: int) -> None:
        self._trajectory = trajectory
        self._step = step

    def __call__(self, value: float) -> None:
        self._trajectory.branch_guidance(self._step, value)


def write_film(
    path: Path, images: list[QImage], *, frame_ms: int = 80, last_ms: int = 1500
) -> None:
    """Write pictures as an endless animation, GIF or WebP by the file's ending; raises OSError."""
    from PIL import Image

    frames = []
    for image in images:
        rgb = image.convertToFormat(QImage.Format.Format_RGB888)
        data = bytes(rgb.constBits())
        size, stride = (rgb.width(), rgb.height()), rgb.bytesPerLine()
        frames.append(Image.frombuffer("RGB", size, data, "raw", "RGB", stride, 1).copy())
    durations = [frame_ms] * (len(frames) - 1) + [last_ms]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=90
    )


def has_trajectory(declared: NodeType) -> bool:
    """Whether the states of a node are pictures on their way; those of a training are networks."""
    gives_latents = any(issubclass(port.type, Latents) for port in declared.outputs)
    return declared.kind is NodeKind.LOOP and gives_latents
