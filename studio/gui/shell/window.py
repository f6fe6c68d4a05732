"""The window: documents in the middle, panels around them, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QIcon,
    QPaintEvent,
)
from PySide6.QtWidgets import QMainWindow, QMessageBox

from studio.errors import StudioError
from studio.gui.keys.actions import Actions
from studio.gui.keys.key_sheet import KeySheet, Section
from studio.gui.keys.keymap import Keymap
from studio.gui.lines import Line
from studio.gui.seeing.last_pictures import LastPictures
from studio.gui.shell.commands import table
from studio.gui.shell.documents import Documents
from studio.gui.shell.menus import Menus
from studio.gui.shell.settings import Options, Preferences, SettingsDialog, ThemeName
from studio.gui.shell.start_page import Offer
from studio.gui.shell.tool_bar import ToolBar
from studio.gui.theme import Theme, icon

if TYPE_CHECKING:
    from studio.graph import Types
    from studio.gui.running.inbox import Event
    from studio.gui.running.pictured import Pictured
    from studio.gui.running.planner import Planner
    from studio.gui.running.queue import Job
    from studio.gui.running.runner import Runner, WorkerLike
    from studio.gui.running.tracking import Outcome
    from studio.gui.running.variations import How
    from studio.gui.seeing.gallery import Gallery
    from studio.gui.shell.intake import Intake
    from studio.gui.shell.page import Page
    from studio.gui.shell.panels import Panels
    from studio.gui.states import Failure
    from studio.session import Settings

WINDOW_SIZE = QSize(1440, 900)


class Window(QMainWindow):
    """One main window. It can be painted before ``start`` brings in what documents need."""

    window_asked = Signal()
    options_chosen = Signal(object)
    """Options that are to be kept and to hold in every window."""
    keymap_chosen = Signal(object)
    """A Keymap that is to be kept and to hold in every window."""
    quit_asked = Signal()
    closed = Signal()
    painted = Signal()
    """Once, when it has been painted for the first time."""

    def __init__(
        self,
        preferences: Preferences,
        theme: Theme,
        templates: Sequence[Offer],
        make_worker: Callable[[Options, Callable[[Event], None]], WorkerLike],
    ) -> None:
        super().__init__()
        self._preferences = preferences
        self._theme = theme
        self._keymap = preferences.keymap()
        self._make_worker = make_worker
        self.runner: Runner | None = None
        self._planner: Planner | None = None
        self.panels: Panels | None = None
        self.intake: Intake | None = None
        self._varied: tuple[int, How] = (4, "consecutive")
        """How many variations were asked for last, and how their seeds were found."""
        self._last_pictures: LastPictures | None = None
        self._was_painted = False
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.resize(WINDOW_SIZE)
        self.documents = Documents(theme, templates, preferences)
        self.setCentralWidget(self.documents)
        self.said = Line()
        self.ahead = Line()
        self.ahead.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.statusBar().addWidget(self.said, 1)
        self.statusBar().addPermanentWidget(self.ahead, 1)
        self.actions_ = Actions(self, table(self), self._icon)
        self.menus = Menus(self, preferences)
        self.bar = ToolBar(self.actions_, theme, self)
        self.addToolBar(self.bar)
        self._connect()
        self.set_keymap(self._keymap)
        self._fill_menus()
        geometry = preferences.layout("geometry")
        if not geometry.isEmpty():
            self.restoreGeometry(geometry)
        self._title()
        self.refresh()

    def _connect(self) -> None:
        documents = self.documents
        documents.front_changed.connect(self._front_changed)
        documents.state_changed.connect(self._title)
        documents.state_changed.connect(self.refresh)
        documents.added.connect(self._page_added)
        documents.edited.connect(self.said.setText)
        documents.planned.connect(self._planned)
        documents.said.connect(self.say)
        documents.failed.connect(self.complain)
        self.menus.recent_chosen.connect(documents.open_file)
        self.bar.settings_asked.connect(self.show_settings)

    def start(self, types: Types, gallery: Gallery, data: Path) -> None:
        """Bring in what documents need, with a folder for data; afterwards they can be opened."""
        from studio.gui.running.planner import Planner
        from studio.gui.running.runner import Runner
        from studio.gui.shell.intake import Intake
        from studio.gui.shell.panels import Panels

        self._planner = Planner(self._session_settings, self)
        self.runner = Runner(self._worker, self._planner, self._output, self)
        self.runner.status.connect(self.say)
        self.runner.progressed.connect(self.said.setText)
        self.runner.broken.connect(self._broken)
        self.runner.queue.changed.connect(self.refresh)
        self.runner.worker_state.connect(self._worker_state)
        self.runner.arrived.connect(self.bar.show_machine)
        self.intake = Intake(self.documents, self._preferences, types, data / "pasted")
        self.intake.failed.connect(self.complain)
        self.documents.start(types, self.runner)
        self._last_pictures = LastPictures(data / "last")
        self.documents.start_page.illustrate(self._last_pictures)
        self.runner.saved.connect(self._keep_last)
        self.panels = Panels(self, self.runner, types, self._theme, gallery)
        self.panels.actions_.set_keymap(self._keymap)
        self.panels.docks.arrived_at(self._preferences.layout("docks"))
        self.panels.inspector.explain(self._preferences.flag("help"))
        self.panels.inspector.help_toggled.connect(self._keep_help)
        self.panels.form.run_requested.connect(self.run)
        self.panels.status.connect(self.say)
        self.panels.library.add_requested.connect(self.intake.add_node)
        self.panels.restore_asked.connect(self.documents.open_text)
        self.panels.failed.connect(self.complain)
        self.panels.queue.open_asked.connect(self._open_job)
        self.panels.queue.counted.connect(self.bar.show_count)
        self.bar.queue_asked.connect(self.panels.show_queue)
        self._planner.models_found.connect(self.panels.show_models)
        self._planner.list_models()
        self._fill_menus()
        self.refresh()

    def _keep_help(self, is_shown: bool) -> None:
        self._preferences.set_flag("help", is_shown)

    def _keep_last(self, job: Job, made: Pictured) -> None:
        """Let the start page show what a file gave last."""
        if made.index == 0 and self._last_pictures is not None and Path(job.past).is_file():
            self._last_pictures.keep(Path(job.past), made.image)

    def _session_settings(self) -> Settings:
        return self._preferences.options().session()

    def _worker(self, on_event: Callable[[Event], None]) -> WorkerLike:
        return self._make_worker(self._preferences.options(), on_event)

    def _output(self) -> Path:
        return self._preferences.options().output

    # --- what can be done

    def _icon(self, name: str) -> QIcon:
        return icon(name, self._theme)

    def _fill_menus(self) -> None:
        """Let menus and keys act on the window, the panels and the canvas in front."""
        tables = [self.actions_]
        if self.panels is not None:
            tables.append(self.panels.actions_)
        if self.page is not None:
            tables.append(self.page.canvas.table)
        self.menus.fill(tables)

    def refresh(self) -> None:
        """Show what can be done now."""
        self.actions_.refresh()
        if self.panels is not None:
            self.panels.actions_.refresh()

    @property
    def page(self) -> Page | None:
        """The document in front."""
        return self.documents.front

    def has_page(self) -> bool:
        """Whether a document is in front."""
        return self.page is not None

    def has_started(self) -> bool:
        """Whether documents can be opened."""
        return self.runner is not None

    def is_running(self) -> bool:
        """Whether a run is on."""
        return self.runner is not None and self.runner.is_running

    def is_held(self) -> bool:
        """Whether the queue is held."""
        return self.runner is not None and bool(self.runner.queue.hold)

    def has_waiting(self) -> bool:
        """Whether runs wait in the queue."""
        return self.runner is not None and bool(self.runner.queue.waiting)

    def is_live(self) -> bool:
        """Whether every edit runs."""
        return self.runner is not None and self.runner.is_live

    def can_undo(self) -> bool:
        """Whether the document in front has a step to undo."""
        return self.page is not None and self.page.document.can_undo

    def can_redo(self) -> bool:
        """Whether the document in front has a step to do again."""
        return self.page is not None and self.page.document.can_redo

    def is_dark(self) -> bool:
        """Whether it is shown in the dark theme."""
        return self._theme.is_dark

    # --- words

    def say(self, text: str) -> None:
        """Say what has just happened, in the status line and the log."""
        self.said.setText(text)
        if self.panels is not None and text:
            self.panels.log.add(text)

    def complain(self, error: StudioError) -> None:
        """Say what went wrong: in the bar of the document in front, else in a box."""
        from studio.gui.states import Failure

        self.say(str(error))
        if self.page is not None:
            self.page.failure.tell(Failure(error.what, error.where, error.remedy))
            return
        box = QMessageBox(QMessageBox.Icon.Warning, "Emulsion", str(error), parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    def _broken(self, failure: Failure) -> None:
        if self.page is not None:
            self.page.failure.tell(failure)

    def _worker_state(self, state: str) -> None:
        self.bar.show_state(state)
        if state == "ready" and not self.is_running():
            self.say(self.tr("Ready"))

    def _planned(self, outcome: Outcome) -> None:
        count = len(outcome.problems)
        if count:
            words = self.tr("1 problem") if count == 1 else self.tr("{} problems").format(count)
            self.ahead.setText(words)
        else:
            self.ahead.setText(outcome.summary)

    def _title(self) -> None:
        page = self.page
        self.setWindowTitle(f"{page.document.title}[*] – Emulsion" if page else "Emulsion")
        self.setWindowModified(page is not None and page.document.is_modified)

    def show_keys(self) -> None:
        """Show the sheet of keys and of what the mouse does."""
        from studio.gui.canvas.mouse_rows import mouse_rows

        sections = list(self.menus.sections())
        sections.append(Section(self.tr("Mouse on the canvas"), rows=mouse_rows()))
        if self.panels is not None:
            rows = self.panels.key_rows()
            sections += [Section(title, rows=found) for title, found in rows.items()]
        KeySheet(sections, self._keymap, self.keymap_chosen.emit, self._theme, self).open()

    def show_about(self) -> None:
        """Say what this is."""
        from studio import __version__

        box = QMessageBox(self)
        box.setWindowTitle(self.tr("About Emulsion"))
        box.setText(f"<b>Emulsion {__version__}</b>")
        box.setInformativeText(
            self.tr(
                "A native node-graph studio for diffusion images: every step kept, every edit "
                "resumed, every picture replayable."
            )
        )
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    # --- documents

    def _page_added(self, page: Page) -> None:
        page.canvas.status.connect(self.say)
        page.canvas.run_to.connect(self.run_to)
        if self.intake is not None:
            page.canvas.pasted.connect(self.intake.take_pasted)
        page.canvas.table.set_keymap(self._keymap)

    def _front_changed(self) -> None:
        page = self.page
        self._fill_menus()
        if self.panels is not None:
            self.panels.show_page(page)
        if page is not None:
            self._planned(page.watch.outcome)
        else:
            self.ahead.clear()
        self._title()
        self.refresh()

    def undo(self) -> None:
        """Undo the last step."""
        if self.page is not None:
            self.page.document.undo()

    def redo(self) -> None:
        """Do the next step again."""
        if self.page is not None:
            self.page.document.redo()

    def show_steps(self) -> None:
        """Show the history of edits of the document in front, to go to any step."""
        from studio.gui.shell.steps import Steps

        if self.page is not None:
            Steps(self.page.document, self._theme, self).show_below(self.bar.steps)

    def can_travel(self) -> bool:
        """Whether the document in front has steps to go to."""
        return self.can_undo() or self.can_redo()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if self.intake is not None and any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()
            self.documents.start_page.set_dropping(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Nothing is going to be dropped."""
        self.documents.start_page.set_dropping(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        """Open workflows, make nodes of pictures and models."""
        event.acceptProposedAction()
        self.documents.start_page.set_dropping(False)
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if self.intake is not None:
            # later: where they come from waits for this to end, and there may be a question
            place = event.position().toPoint()
            QTimer.singleShot(0, self, partial(self.intake.take_files, paths, place))

    # --- running

    def start_worker(self) -> None:
        """Start the worker process ahead of the first run."""
        if self.runner is not None:
            self.runner.start_worker()

    def restart_worker(self) -> None:
        """End the worker and start it again."""
        if self.runner is not None:
            self.say(self.tr("The worker is started again"))
            self.runner.restart_worker()

    def run(self) -> None:
        """Run the document in front: at once if nothing runs, else after what waits."""
        if self.page is not None and self.runner is not None:
            self.documents.take_typed()
            self.page.failure.hide()
            if self.page.may_run():
                self.runner.run(self.page.watch)

    def run_first(self) -> None:
        """Run the document in front before all that waits."""
        if self.page is not None and self.runner is not None:
            self.documents.take_typed()
            self.page.failure.hide()
            if self.page.may_run():
                self.runner.run(self.page.watch, is_first=True)

    def run_to(self, node: str) -> None:
        """Run what a node needs, and show what it gives."""
        if self.page is not None and self.runner is not None:
            self.documents.take_typed()
            self.page.failure.hide()
            self.page.viewed = node
            self.runner.run(self.page.watch, (node,))

    def run_to_selected(self) -> None:
        """Run what the selected nodes need."""
        if self.page is not None and self.runner is not None:
            if not self.page.selection:
                self.say(self.tr("Select the nodes to run to"))
                return
            self.documents.take_typed()
            self.page.failure.hide()
            self.runner.run(self.page.watch, self.page.selection)

    def cancel(self) -> None:
        """Stop the run."""
        if self.runner is not None:
            self.runner.cancel()

    def toggle_live(self) -> None:
        """Run at every edit, or only when asked."""
        if self.runner is not None:
            self.runner.set_live(not self.runner.is_live)
            if self.runner.is_live:
                self.say(self.tr("Live: every edit runs at once"))
                if self.page is not None:
                    self.page.failure.hide()
                    self.runner.run_live(self.page.watch)
            else:
                self.say(self.tr("Live mode is off"))
        self.refresh()

    def toggle_hold(self) -> None:
        """Hold back what waits in the queue, or let it go on."""
        if self.panels is not None:
            self.panels.queue.toggle_hold()

    def drop_waiting(self) -> None:
        """Let nothing wait in the queue."""
        if self.panels is not None:
            self.panels.queue.drop_all()

    def ask_variations(self) -> None:
        """Ask how many variations of the document in front are to be queued."""
        from studio.gui.running.variations import VariationsDialog, seeds

        page = self.page
        if page is None or self.panels is None:
            return
        self.documents.take_typed()
        document = page.document
        found = seeds(document.workflow, document.types, self.panels.inspector.locked_seeds)
        if not found:
            self.say(self.tr("There is no seed to vary: the workflow has none, or all are locked"))
            return
        dialog = VariationsDialog(found, *self._varied, self)
        dialog.accepted.connect(self._variations_chosen)
        dialog.open()

    def _variations_chosen(self) -> None:
        from studio.gui.running.variations import VariationsDialog

        dialog, page = self.sender(), self.page
        if isinstance(dialog, VariationsDialog) and page is not None and self.runner is not None:
            self._varied = (dialog.count, dialog.how)
            page.failure.hide()
            self.runner.run_variations(page.watch, dialog.variations(page.document.workflow))

    def _open_job(self, job: Job) -> None:
        self.documents.open_copy(job.workflow, job.title, job.base)

    # --- looks

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        for name, action in self.actions_.table.items():
            if action.icon:
                self.actions_[name].setIcon(icon(action.icon, theme))
        self.bar.set_theme(theme)
        self.documents.set_theme(theme)
        if self.panels is not None:
            self.panels.set_theme(theme)
        self.refresh()

    def set_keymap(self, keymap: Keymap) -> None:
        """Let actions have other keys."""
        self._keymap = keymap
        tables = [self.actions_, *(page.canvas.table for page in self.documents.pages)]
        if self.panels is not None:
            tables.append(self.panels.actions_)
        for table_ in tables:
            table_.set_keymap(keymap)

    def toggle_theme(self) -> None:
        """Dark or light."""
        options = self._preferences.options()
        theme: ThemeName = "light" if self._theme.is_dark else "dark"
        self.options_chosen.emit(replace(options, theme=theme))
        self.say(self.tr("The theme is dark") if theme == "dark" else self.tr("The theme is light"))

    def toggle_full_screen(self) -> None:
        """Fill the screen, or go back."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self.refresh()

    def show_settings(self) -> None:
        """Ask for the settings."""
        from studio.numerics import cuda_devices

        devices = ["auto", "cpu", *(f"cuda:{number}" for number in range(len(cuda_devices())))]
        dialog = SettingsDialog(self._preferences.options(), devices, self)
        dialog.accepted.connect(self._settings_chosen)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _settings_chosen(self) -> None:
        dialog = self.sender()
        if isinstance(dialog, SettingsDialog):
            self.options_chosen.emit(dialog.options())
            self.say(self.tr("The settings are kept"))

    def take_options(self, before: Options, after: Options) -> None:
        """Let changed settings hold: what concerns computing needs another worker and another plan."""
        if before.arguments() != after.arguments() and self.runner is not None:
            self.runner.restart_worker()
            if self._planner is not None:
                self._planner.renew()
            for page in self.documents.pages:
                self.runner.plan(page.watch)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint, and say so the first time, once the children are painted as well."""
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            QTimer.singleShot(0, self.painted.emit)

    # --- the end

    def _may_drop_queue(self) -> bool:
        """Ask about runs that wait; False if the user would rather stay."""
        count = self.runner.queue.asked if self.runner is not None else 0
        if not count:
            return True
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Runs are waiting"))
        box.setText(
            self.tr("1 run waits in the queue.")
            if count == 1
            else self.tr("{} runs wait in the queue.").format(count)
        )
        box.setInformativeText(self.tr("What waits is dropped when the window closes."))
        close = box.addButton(self.tr("&Close and drop"), QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is close

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask about unsaved work, remember where everything stands, end the worker."""
        for page in self.documents.pages:
            if not self.documents.may_close(page):
                event.ignore()
                return
        if not self._may_drop_queue():
            event.ignore()
            return
        self._preferences.set_layout("geometry", self.saveGeometry())
        if self.panels is not None:
            self._preferences.set_layout("docks", self.panels.docks.leave())
        self._preferences.sync()
        for page in self.documents.pages:
            self.documents.closed.emit(page.document)
        if self.runner is not None:
            self.runner.close()
        if self._planner is not None:
            self._planner.close()
        self.closed.emit()
        super().closeEvent(event)
