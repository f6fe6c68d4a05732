"""The panels around the canvas: library, outline, viewer with mask bar and scrubber, inspector, history, plan, log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from PySide6.QtCore import QByteArray, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QDockWidget,
    QFileDialog,
    QMainWindow,
    QVBoxLayout,
    QWidget,
)

from studio.errors import StudioError
from studio.graph import Json, NodeKind, Types
from studio.gui import edits
from studio.gui.actions import Action, Actions
from studio.gui.document import Change, Document
from studio.gui.dropping import LOADERS
from studio.gui.gallery import Entry, Gallery
from studio.gui.history import History
from studio.gui.inspector import Inspector
from studio.gui.library import Library, OfferedModel
from studio.gui.mask_editor import MaskEditor
from studio.gui.outline import Outline
from studio.gui.plan_panel import LogPanel, PlanPanel
from studio.gui.prompts import branched, prompt_of
from studio.gui.runner import Event, Pictured, Runner, image_of
from studio.gui.scrubber import Frame, Scrubber
from studio.gui.states import NodeState
from studio.gui.theme import Theme
from studio.gui.tracking import Outcome, duration
from studio.gui.viewer import Viewer

if TYPE_CHECKING:
    from studio.gui.page import Page
    from studio.gui.planner import FoundModel

LEFT_PX, RIGHT_PX, BOTTOM_PX = 220, 340, 215
ROOMY_PX = QSize(1400, 860)
"""Smaller windows begin without the left panels and with a low bottom: the canvas needs the room more."""
LOW_PX = 140
_SCRUB_MS = 40


class Panels(QObject):
    """The docks of a window, all showing the document in front."""

    status = Signal(str)
    restore_asked = Signal(str, str)
    """The text of a workflow and a name for it."""
    failed = Signal(object)
    """A StudioError."""

    def __init__(
        self, window: QMainWindow, runner: Runner, types: Types, theme: Theme, gallery: Gallery
    ) -> None:
        super().__init__(window)
        self._window = window
        self._runner = runner
        self._types = types
        self._theme = theme
        self._page: Page | None = None
        self._empty = Document.new(types)
        self._empty.setParent(self)
        self._frames: dict[int, Frame] = {}
        self._sigmas: list[float] = []
        self._loop = ""
        """The node whose trajectory is shown."""
        self._painted: tuple[str, str] | None = None
        """Node and parameter whose strokes are painted."""
        self._source = ""
        """The node whose picture is painted on."""
        self.viewer = Viewer(theme)
        self.mask = MaskEditor(self.viewer, theme)
        self.scrubber = Scrubber(theme)
        self.inspector = Inspector(self._empty, theme)
        self.library = Library(types, theme)
        self.outline = Outline(self._empty, theme)
        self.history = History(gallery, theme)
        self.plan = PlanPanel(theme)
        self.log = LogPanel()
        self._state = QByteArray()
        self._are_shown = False
        self.docks: dict[str, QDockWidget] = {}
        self._build()
        self.actions_ = Actions(window, self._table())
        self._connect()
        self._scrub_timer = QTimer(self)
        self._scrub_timer.setSingleShot(True)
        self._scrub_timer.setInterval(_SCRUB_MS)
        self._scrub_timer.timeout.connect(self._show_frames)

    # --- places

    def _build(self) -> None:
        looking = QWidget()
        column = QVBoxLayout(looking)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.mask)
        column.addWidget(self.viewer, 1)
        column.addWidget(self.scrubber)
        self.mask.hide()
        self.scrubber.hide()
        left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        bottom = Qt.DockWidgetArea.BottomDockWidgetArea
        for name, title, widget, area in (
            ("library", self.tr("Library"), self.library, left),
            ("outline", self.tr("Outline"), self.outline, left),
            ("viewer", self.tr("Viewer"), looking, right),
            ("inspector", self.tr("Inspector"), self.inspector, right),
            ("history", self.tr("History"), self.history, bottom),
            ("plan", self.tr("Plan"), self.plan, bottom),
            ("log", self.tr("Log"), self.log, bottom),
        ):
            dock = QDockWidget(title, self._window)
            dock.setObjectName(name)
            dock.setWidget(widget)
            dock.setAccessibleName(title)
            self._window.addDockWidget(area, dock)
            dock.hide()
            self.docks[name] = dock
        window, docks = self._window, self.docks
        window.setCorner(Qt.Corner.BottomRightCorner, right)
        window.setCorner(Qt.Corner.BottomLeftCorner, left)
        window.tabifyDockWidget(docks["library"], docks["outline"])
        window.tabifyDockWidget(docks["plan"], docks["history"])
        window.tabifyDockWidget(docks["history"], docks["log"])
        for name in ("library", "plan"):
            docks[name].raise_()
        vertical = Qt.Orientation.Vertical
        window.resizeDocks(
            [docks["library"], docks["viewer"]], [LEFT_PX, RIGHT_PX], Qt.Orientation.Horizontal
        )
        window.resizeDocks([docks["plan"]], [BOTTOM_PX], vertical)
        window.resizeDocks([docks["viewer"], docks["inspector"]], [420, 340], vertical)

    def _table(self) -> Iterator[Action]:
        for number, (name, dock) in enumerate(self.docks.items(), 1):
            yield Action(
                f"view.{name}",
                "View",
                dock.windowTitle(),
                _Toggle(self, name),
                (f"Alt+{number}",),
                section="panels",
                is_checked=dock.isVisible,
                is_enabled=self._has_page,
            )

    def _has_page(self) -> bool:
        return self._page is not None

    def toggle(self, name: str) -> None:
        """Show a panel, bring it to the front, or hide it."""
        dock = self.docks[name]
        if dock.isVisible() and not dock.visibleRegion().isEmpty():
            dock.hide()
        else:
            dock.show()
            dock.raise_()
            widget = dock.widget()
            if widget is not None:
                widget.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def arrived_at(self, state: QByteArray) -> None:
        """Take over where the panels were when the window was closed."""
        self._state = state

    def leave(self) -> QByteArray:
        """Where the panels are, to be kept."""
        return self._window.saveState() if self._are_shown else self._state

    def _show_docks(self, are_shown: bool) -> None:
        """Panels stand around documents; the start page has none."""
        if are_shown == self._are_shown:
            return
        if not are_shown:
            self._state = self._window.saveState()
        self._are_shown = are_shown
        if are_shown and not self._state.isEmpty() and self._window.restoreState(self._state):
            return
        is_roomy = self._window.width() >= ROOMY_PX.width()
        is_low = self._window.height() < ROOMY_PX.height()
        for name, dock in self.docks.items():
            is_left = name in ("library", "outline")
            dock.setVisible(are_shown and (is_roomy or not is_left))
        if are_shown:
            height = LOW_PX if is_low else BOTTOM_PX
            self._window.resizeDocks([self.docks["plan"]], [height], Qt.Orientation.Vertical)
            self.docks["library"].raise_()
            self.docks["plan"].raise_()

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        for panel in (
            self.viewer,
            self.mask,
            self.scrubber,
            self.inspector,
            self.library,
            self.outline,
            self.history,
            self.plan,
        ):
            panel.set_theme(theme)

    def key_rows(self) -> dict[str, list[tuple[str, str]]]:
        """The keys of panels, by title, for the sheet of keys."""
        return {
            self.tr("Viewer"): self.viewer.keys.rows(),
            self.tr("Mask"): self.mask.keys.rows(),
            self.tr("Trajectory"): self.scrubber.keys.rows(),
            self.tr("History"): self.history.list.keys.rows(),
        }

    # --- connections that hold for all documents

    def _connect(self) -> None:
        self.viewer.status.connect(self.status)
        self.viewer.save_requested.connect(self._save_picture)
        self.inspector.painting_requested.connect(self.paint)
        self.inspector.node_requested.connect(self._reveal)
        self.outline.selection_changed.connect(self._chosen)
        self.outline.inspect_requested.connect(self._inspect)
        self.plan.node_chosen.connect(self._reveal)
        self.mask.strokes_changed.connect(self._strokes_painted)
        self.mask.invert_changed.connect(self._inverted)
        self.mask.finished.connect(self._painting_ended)
        self.scrubber.shown.connect(self._scrubbed)
        self.scrubber.branch_from.connect(self._branch)
        self.history.shown.connect(self._recall)
        self.history.compared.connect(self._compare)
        self.history.workflow_opened.connect(self.restore_asked)
        self._runner.arrived.connect(self._note)

    def _reveal(self, node: str) -> None:
        if self._page is not None:
            self._page.reveal(node)

    def _chosen(self, names: tuple[str, ...]) -> None:
        if self._page is not None:
            self._page.canvas.select(names)

    def _inspect(self, node: str) -> None:
        self._chosen((node,))
        self.docks["inspector"].show()
        self.docks["inspector"].raise_()
        self.inspector.focus_first()

    def show_models(self, found: Sequence[FoundModel]) -> None:
        """Offer the models of the library."""
        usable = [one for one in found if one.kind]
        self.inspector.set_models([one.name for one in usable])
        self.library.set_models(
            [
                OfferedModel(one.name, LOADERS[one.kind], one.about)
                for one in usable
                if LOADERS[one.kind] in self._types
            ]
        )

    # --- the document in front

    def show_page(self, page: Page | None) -> None:
        """Show another document."""
        self.stop_painting()
        if self._page is not None:
            self._leave_page(self._page)
        self._page = page
        self._show_docks(page is not None)
        document = page.document if page is not None else self._empty
        self.inspector.set_document(document)
        self.outline.set_document(document)
        self._forget_frames()
        if page is None:
            self.viewer.clear()
            return
        document.changed.connect(self._changed)
        page.canvas.selection_changed.connect(self._selected)
        page.canvas.shown_in_viewer.connect(self.view)
        page.previewed.connect(self._previewed)
        page.pictured.connect(self._pictured)
        watch = page.watch
        watch.states_changed.connect(self._states)
        watch.outcome_changed.connect(self._planned)
        watch.trajectory.connect(self._trajectory)
        watch.ended.connect(self._ended)
        self._states(watch.states())
        self._planned(watch.outcome)
        self._selected(page.selection)
        self.viewer.clear("A")
        self._show_last()

    def _leave_page(self, page: Page) -> None:
        page.document.changed.disconnect(self._changed)
        page.canvas.selection_changed.disconnect(self._selected)
        page.canvas.shown_in_viewer.disconnect(self.view)
        page.previewed.disconnect(self._previewed)
        page.pictured.disconnect(self._pictured)
        watch = page.watch
        watch.states_changed.disconnect(self._states)
        watch.outcome_changed.disconnect(self._planned)
        watch.trajectory.disconnect(self._trajectory)
        watch.ended.disconnect(self._ended)

    def _selected(self, names: tuple[str, ...]) -> None:
        if self._page is None:
            return
        # inside a group names are another graph's
        shown = () if self._page.canvas.group_path else tuple(names)
        self._page.selection = shown
        self.inspector.show_nodes(shown)
        self.outline.select(shown)
        if self._painted is not None and self._painted[0] not in names:
            self.stop_painting()
        self._follow_loop()

    def _changed(self, change: Change) -> None:
        if self._painted is not None:
            node, param = self._painted
            if node not in change.after.graph:
                self.stop_painting()
                return
            params = change.after.graph.node(node).params
            strokes = params.get(param)
            if isinstance(strokes, list) and strokes != self.mask.strokes:
                self.mask.set_strokes(strokes)
            self.mask.set_inverted(params.get("invert") is True)

    def _states(self, states: Mapping[str, NodeState]) -> None:
        self.inspector.set_states(states)
        self.outline.set_states(states)

    def _planned(self, outcome: Outcome) -> None:
        self.plan.show_outcome(outcome)

    def _note(self, event: Event) -> None:
        """Write down what is worth it."""
        name, state = event.get("event"), event.get("state")
        if name == "worker" and state == "crashed":
            self.log.add(self.tr("The worker ended: {}").format(event.get("what", "")))
            log = str(event.get("log", "")).strip()
            if log:
                self.log.add(log)
        elif name == "worker":
            self.log.add(self.tr("Worker: {}").format(state))
        elif name == "finished":
            seconds = event.get("seconds", 0.0)
            took = duration(float(seconds)) if isinstance(seconds, int | float) else ""
            self.log.add(f"{event.get('node')}: {event.get('status')}, {took}")

    # --- pictures

    def view(self, node: str) -> None:
        """Let the viewer follow a node, and ask for what it gave."""
        page = self._page
        if page is None:
            return
        page.viewed = node
        if node in page.pictures:
            self._show(page.pictures[node])
        self._runner.look(page.watch, node)
        self.status.emit(self.tr("The viewer shows {}").format(node))

    def _previewed(self, node: str, image: QImage, step: int, steps: int) -> None:
        page = self._page
        if page is None or self._painted is not None or page.viewed not in (None, node):
            return
        words = self.tr("{} · step {} of {}").format(node, step, steps)
        size = self._whole_size(image)
        self.viewer.set_image("A", self._enlarged(image, size), words, size=size)

    def _enlarged(self, image: QImage, size: QSize) -> QImage:
        """A picture of latents as smooth as an eye expects: without it a latent pixel is a square of many."""
        if image.isNull() or image.width() * 2 > size.width():
            return image
        room = self.viewer.surface.size()
        fitted = size.scaled(room, Qt.AspectRatioMode.KeepAspectRatio)
        smooth = Qt.TransformationMode.SmoothTransformation
        return image.scaled(fitted.expandedTo(image.size()), mode=smooth)

    def _whole_size(self, image: QImage) -> QSize:
        """Of the picture that a picture of latents stands for."""
        # a latent pixel stands for 8 of the picture in most models
        last = self._page.last if self._page is not None else None
        return last.size if last is not None else image.size() * 8

    def _pictured(self, made: Pictured) -> None:
        page = self._page
        if page is None:
            return
        if made.is_saved and made.path is not None and not made.is_asked:
            self._remember(page, made)
        if made.index == 0 and page.viewed in (None, made.node):
            page.last = made
            if self._painted is None:
                self._show(made)
        if self._painted is not None and made.node == self._source and made.is_asked:
            self.viewer.set_image("A", made.whole(), made.node, path=made.path)

    def _show(self, made: Pictured) -> None:
        self.viewer.set_image("A", made.whole(), made.node, path=made.path)

    def _show_last(self) -> None:
        if self._page is not None and self._page.last is not None:
            self._show(self._page.last)

    def _remember(self, page: Page, made: Pictured) -> None:
        from studio.workflow import dumps

        workflow = page.watch.last_shown
        if workflow is None or made.path is None:
            return
        self.history.add(
            made.image,
            path=made.path,
            pixels_sha256=made.sha256,
            node=made.node,
            title=page.document.title,
            prompt=prompt_of(workflow),
            workflow=dumps(workflow),
        )

    def _recall(self, entry: Entry) -> None:
        self.viewer.set_image("A", QImage(str(entry.path)), entry.path.name, path=entry.path)

    def _compare(self, earlier: Entry, later: Entry) -> None:
        for slot, entry in (("A", later), ("B", earlier)):
            image = QImage(str(entry.path))
            self.viewer.set_image(
                "A" if slot == "A" else "B", image, entry.path.name, path=entry.path
            )
        if self.viewer.surface.arrangement == "single":
            self.viewer.toggle_wipe()

    def _save_picture(self) -> None:
        shown = self.viewer.current
        if shown is None:
            return
        folder = platformdirs.user_pictures_path()
        name = shown.path.name if shown.path is not None else "picture.png"
        chosen, _ = QFileDialog.getSaveFileName(
            self._window, self.tr("Save the picture"), str(folder / name), self.tr("PNG (*.png)")
        )
        if not chosen:
            return
        path = Path(chosen)
        try:
            self.viewer.write(path if path.suffix else path.with_suffix(".png"))
        except StudioError as error:
            self.failed.emit(error)
            return
        self.status.emit(self.tr("Saved {}").format(path.name))

    # --- masks

    def paint(self, node: str, param: str) -> None:
        """Begin to paint the strokes of a node on the picture that it masks."""
        page = self._page
        if page is None or node not in page.document.workflow.graph:
            return
        found = page.document.workflow.graph.node(node)
        self._painted = (node, param)
        link = found.inputs.get("image") or found.inputs.get("mask")
        self._source = str(link.node) if link is not None else ""
        self.viewer.set_image("A", self._under(page, found.params), self._source or node)
        if self._source:
            self._runner.look(page.watch, self._source)
        strokes = found.params.get(param)
        self.mask.begin(
            strokes if isinstance(strokes, list) else [], found.params.get("invert") is True
        )
        self.mask.show()
        dock = self.docks["viewer"]
        dock.show()
        dock.raise_()
        self.viewer.setFocus(Qt.FocusReason.OtherFocusReason)
        self.status.emit(self.tr("Paint where the picture changes; Esc ends"))

    def _under(self, page: Page, params: Mapping[str, Json]) -> QImage:
        """The picture to paint on, as far as it is here: that of the node before, its file, or an empty one."""
        if self._source in page.pictures:
            return page.pictures[self._source].whole()
        if self._source:
            file = page.document.workflow.graph.node(self._source).params.get("file")
            if isinstance(file, str) and file:
                image = QImage(str(page.watch.base / file))
                if not image.isNull():
                    return image
        width, height = params.get("width"), params.get("height")
        blank = QImage(
            width if isinstance(width, int) else 512,
            height if isinstance(height, int) else 512,
            QImage.Format.Format_RGB888,
        )
        blank.fill(self._theme.text_dim)
        return blank

    def _strokes_painted(self, strokes: list[Json]) -> None:
        if self._page is not None and self._painted is not None:
            node, param = self._painted
            document = self._page.document
            document.edit(
                edits.set_param(document.workflow, node, param, strokes), self.tr("Paint the mask")
            )

    def _inverted(self, is_inverted: bool) -> None:
        if self._page is not None and self._painted is not None:
            document = self._page.document
            document.edit(
                edits.set_param(document.workflow, self._painted[0], "invert", is_inverted),
                self.tr("Invert the mask"),
            )

    def stop_painting(self) -> None:
        """Give the viewer back to looking."""
        if self._painted is not None:
            self.mask.finish()

    def _painting_ended(self) -> None:
        self._painted = None
        self.mask.hide()
        self._show_last()

    # --- trajectories

    def _follow_loop(self) -> None:
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
        self.scrubber.setVisible(bool(name))
        if name != self._loop:
            self._forget_frames()
            self._loop = name
            if name and page.watch.has_run:
                self._runner.ask_trajectory(page.watch, name)

    def _forget_frames(self) -> None:
        self._loop = ""
        self._frames.clear()
        self._sigmas = []
        self.scrubber.clear()

    def _ended(self, event: Mapping[str, object]) -> None:
        self._follow_loop()
        self.inspector.note_run()
        if self._page is not None and self._loop and event.get("status") != "failed":
            self._runner.ask_trajectory(self._page.watch, self._loop)

    def _trajectory(self, event: Mapping[str, object]) -> None:
        if event.get("node") != self._loop:
            return
        if event.get("event") == "trajectory":
            self._frames.clear()
            sigmas = event.get("sigmas")
            self._sigmas = list(sigmas) if isinstance(sigmas, list) else []
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
        self._scrub_timer.start()

    def _show_frames(self) -> None:
        frames = [self._frames[step] for step in sorted(self._frames)]
        self.scrubber.set_trajectory(frames)

    def _scrubbed(self, image: QImage, words: str) -> None:
        if self._painted is None:
            size = self._whole_size(image)
            self.viewer.set_image(
                "A", self._enlarged(image, size), f"{self._loop} · {words}", size=size
            )

    def _branch(self, step: int) -> None:
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
        self.viewer.keep()
        document.edit(after, self.tr("Branch at step {}").format(step))
        page.reveal(name)
        self.inspector.focus_first()
        self.status.emit(self.tr("From step {} on, {} acts: change it and run").format(step, name))


class _Toggle:
    """Toggles one panel."""

    def __init__(self, panels: Panels, name: str) -> None:
        self._panels = panels
        self._name = name

    def __call__(self) -> None:
        self._panels.toggle(self._name)
