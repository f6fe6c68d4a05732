"""The panels around the canvas, each in a dock, and what they say to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QMainWindow, QVBoxLayout, QWidget

from studio.graph import Types
from studio.gui.document import Document
from studio.gui.form import FormPanel
from studio.gui.inspector import Inspector, SeedBook
from studio.gui.keys.actions import Action, Actions
from studio.gui.library import Library, OfferedModel
from studio.gui.outline import Outline
from studio.gui.running.inbox import Event
from studio.gui.running.plan_panel import LogPanel, PlanPanel
from studio.gui.running.queue_panel import QueuePanel
from studio.gui.running.runner import Runner
from studio.gui.running.tracking import Outcome, duration
from studio.gui.scope import split
from studio.gui.seeing.compare_panel import ComparePanel
from studio.gui.seeing.comparing import Comparing
from studio.gui.seeing.gallery import Gallery
from studio.gui.seeing.history import History
from studio.gui.seeing.learning import Learning
from studio.gui.seeing.mask_editor import MaskEditor
from studio.gui.seeing.measure_view import MeasureView
from studio.gui.seeing.painting import Painting
from studio.gui.seeing.recalling import Recalling
from studio.gui.seeing.scrubber import Scrubber
from studio.gui.seeing.showing import Showing
from studio.gui.seeing.trajectory import Trajectory
from studio.gui.seeing.viewer import Viewer
from studio.gui.shell.docks import Docks
from studio.gui.shell.dropping import LOADERS
from studio.gui.states import NodeState
from studio.gui.theme import Theme

if TYPE_CHECKING:
    from studio.gui.running.planner import FoundModel
    from studio.gui.shell.page import Page

_ORDER = [
    "library",
    "outline",
    "viewer",
    "inspector",
    "history",
    "plan",
    "log",
    "compare",
    "queue",
    "form",
]
_DIGITS = {name: number % 10 for number, name in enumerate(_ORDER, 1)}
"""In the keys of the panels."""


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
        self._page: Page | None = None
        self._empty = Document.new(types)
        self._empty.setParent(self)
        self.viewer = Viewer(theme)
        self.mask = MaskEditor(self.viewer, theme)
        self.scrubber = Scrubber(theme)
        self.measures = MeasureView(theme)
        book = SeedBook()
        self.inspector = Inspector(self._empty, theme, book)
        self.form = FormPanel(self._empty, theme, book)
        self.library = Library(types, theme)
        self.outline = Outline(self._empty, theme)
        self.history = History(gallery, theme)
        self.plan = PlanPanel(theme)
        self.queue = QueuePanel(runner, theme)
        self.log = LogPanel()
        self.comparison = ComparePanel(theme)
        self.showing = Showing(self.viewer, self.history, runner, self)
        self.recalling = Recalling(self.history, self.showing, self)
        self.comparing = Comparing(
            self.comparison, self.history, self.showing, self.recalling, types, self
        )
        self.painting = Painting(self.mask, self.showing, runner, theme, self)
        self.trajectory = Trajectory(self.scrubber, self.showing, runner, types, self)
        self.learning = Learning(self.measures, self.showing, runner, types, self)
        self.docks = Docks(window, self._widgets(), self._give_keyboard)
        self.actions_ = Actions(window, self._table())
        self._connect()

    def _widgets(self) -> dict[str, tuple[str, QWidget]]:
        """Title and widget of every panel, those at the bottom in the order of their tabs."""
        looking = QWidget()
        column = QVBoxLayout(looking)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.mask)
        column.addWidget(self.viewer, 1)
        column.addWidget(self.scrubber)
        column.addWidget(self.measures)
        return {
            "library": (self.tr("Library"), self.library),
            "outline": (self.tr("Outline"), self.outline),
            "viewer": (self.tr("Viewer"), looking),
            "inspector": (self.tr("Inspector"), self.inspector),
            "form": (self.tr("Form"), self.form),
            "plan": (self.tr("Plan"), self.plan),
            "queue": (self.tr("Queue"), self.queue),
            "history": (self.tr("History"), self.history),
            "log": (self.tr("Log"), self.log),
            "compare": (self.tr("Compare"), self.comparison),
        }

    def _table(self) -> Iterator[Action]:
        for id_, text, run, keys in (
            ("wipe", self.tr("Wipe between A and B"), self.viewer.toggle_wipe, ("W",)),
            ("side", self.tr("A and B side by side"), self.viewer.toggle_side, ()),
            ("difference", self.tr("Difference of A and B"), self.viewer.toggle_difference, ()),
            (
                "whole",
                self.tr("Picture on the whole screen"),
                self.viewer.toggle_whole,
                ("Shift+F11",),
            ),
        ):
            yield Action(
                f"viewer.{id_}", "View", text, run, keys, section="viewer",
                is_enabled=self._has_page,
            )  # fmt: skip
        yield from self.docks.table(_DIGITS)

    def _has_page(self) -> bool:
        return self._page is not None

    def _give_keyboard(self, name: str) -> bool:
        if name == "inspector":
            self.inspector.focus_first()
        return name == "inspector"

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        for panel in (
            self.viewer,
            self.painting,
            self.scrubber,
            self.measures,
            self.inspector,
            self.form,
            self.library,
            self.outline,
            self.history,
            self.plan,
            self.comparison,
            self.queue,
        ):
            panel.set_theme(theme)

    def key_rows(self) -> dict[str, list[tuple[str, str]]]:
        """The keys of panels, by title, for the sheet of keys."""
        return {
            self.tr("Viewer"): self.viewer.keys.rows(),
            self.tr("Mask"): self.mask.keys.rows(),
            self.tr("Trajectory"): self.scrubber.keys.rows(),
            self.tr("History"): self.history.list.keys.rows(),
            self.tr("Comparison"): self.comparison.keys.rows(),
            self.tr("Queue"): self.queue.key_rows(),
        }

    # --- connections that hold for all documents

    def _connect(self) -> None:
        self.viewer.status.connect(self.status)
        for part in (self.showing, self.recalling, self.comparing, self.painting, self.trajectory):
            part.status.connect(self.status)
        self.comparing.failed.connect(self.failed)
        self.recalling.failed.connect(self.failed)
        self.comparing.began.connect(self._show_comparison)
        self.showing.failed.connect(self.failed)
        self.trajectory.failed.connect(self.failed)
        self.painting.began.connect(self._show_viewer)
        self.painting.began.connect(self.trajectory.follow)
        self.painting.ended.connect(self.trajectory.follow)
        self.trajectory.branched.connect(self._branched)
        for changed in (self.painting.began, self.painting.ended):
            changed.connect(self.learning.follow)
        self.learning.shown.connect(self.trajectory.give_way)
        self.inspector.painting_requested.connect(self.painting.paint)
        self.inspector.node_requested.connect(self._reveal)
        self.inspector.form_toggled.connect(self.form.toggle)
        self.form.painting_requested.connect(self.painting.paint)
        self.form.node_requested.connect(self._reveal)
        self.form.refused.connect(self.status)
        self.outline.selection_changed.connect(self._chosen)
        self.outline.inspect_requested.connect(self._inspect)
        self.plan.node_chosen.connect(self._reveal)
        self.history.workflow_opened.connect(self.restore_asked)
        self.queue.status.connect(self.status)
        self.queue.counted.connect(self._counted)
        self._runner.arrived.connect(self._note)

    def _reveal(self, node: str) -> None:
        if self._page is not None:
            self._page.reveal(node)

    def _chosen(self, names: tuple[str, ...]) -> None:
        """Select nodes that were chosen elsewhere; the group that they are in is entered."""
        if self._page is None:
            return
        if names:
            self._page.canvas.go_to(split(names[0])[0])
        self._page.canvas.select([split(name)[1] for name in names])

    def _inspect(self, node: str) -> None:
        self._chosen((node,))
        self.docks.bring("inspector")
        self.inspector.focus_first()

    def _counted(self, count: int) -> None:
        title = self.tr("Queue")
        self.docks["queue"].setWindowTitle(f"{title} ({count})" if count else title)

    def show_queue(self) -> None:
        """Bring the queue to the front."""
        self.docks.bring("queue")
        self.queue.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _show_viewer(self) -> None:
        self.docks.bring("viewer")

    def _show_comparison(self) -> None:
        self._show_viewer()
        self.docks.bring("compare")

    def _branched(self, node: str) -> None:
        self.inspector.focus_first()

    def show_models(self, found: Sequence[FoundModel]) -> None:
        """Offer the models of the library."""
        usable = [one for one in found if one.kind]
        for panel in (self.inspector, self.form):
            panel.set_models([one.name for one in usable])
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
        if self._page is not None:
            self._leave_page(self._page)
        self._page = page
        self.docks.show_around(page.canvas if page is not None else None)
        document = page.document if page is not None else self._empty
        self.inspector.set_document(document)
        self.form.set_document(document)
        self.outline.set_document(document)
        for part in (
            self.painting,
            self.learning,
            self.trajectory,
            self.comparing,
            self.recalling,
            self.showing,
        ):
            part.show_page(page)
        if page is None:
            return
        page.canvas.selection_changed.connect(self._selected)
        page.document.state_changed.connect(self.queue.document_changed)
        self.queue.document_changed()
        watch = page.watch
        watch.states_changed.connect(self._states)
        watch.outcome_changed.connect(self._planned)
        watch.ended.connect(self._ended)
        self._states(watch.states())
        self._planned(watch.outcome)
        self._selected(tuple(page.canvas.content.selection))

    def _leave_page(self, page: Page) -> None:
        page.canvas.selection_changed.disconnect(self._selected)
        page.document.state_changed.disconnect(self.queue.document_changed)
        watch = page.watch
        watch.states_changed.disconnect(self._states)
        watch.outcome_changed.disconnect(self._planned)
        watch.ended.disconnect(self._ended)

    def _selected(self, names: tuple[str, ...]) -> None:
        if self._page is None:
            return
        canvas = self._page.canvas
        shown = tuple(canvas.flat_id(name) for name in names)
        self._page.selection = shown
        self.inspector.show_nodes(names, canvas.group_path)
        self.outline.select(shown)
        self.painting.stop_unless(shown)
        self.learning.follow()
        self.trajectory.follow()

    def _ended(self, event: Mapping[str, object]) -> None:
        self.inspector.note_run()

    def _states(self, states: Mapping[str, NodeState]) -> None:
        self.inspector.set_states(states)
        self.outline.set_states(states)

    def _planned(self, outcome: Outcome) -> None:
        self.plan.show_outcome(outcome)
        self.inspector.set_curves(outcome.drawn.curves)

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
