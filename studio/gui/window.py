"""The window: documents in tabs, panels around them, and one table of actions behind menus, keys and tool bar."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QIcon, QPaintEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QMainWindow,
    QMenu,
    QMessageBox,
    QSizePolicy,
    QTabWidget,
    QToolBar,
    QToolButton,
    QWidget,
)

from studio.errors import StudioError
from studio.gui.actions import MENUS, Action, Actions, KeySheet, plain, shown_keys
from studio.gui.lines import Line
from studio.gui.settings import Options, Preferences, SettingsDialog, ThemeName
from studio.gui.start_page import StartPage, Template
from studio.gui.theme import Theme, icon

if TYPE_CHECKING:
    from studio.graph import Json, Types
    from studio.gui.document import Document
    from studio.gui.gallery import Gallery
    from studio.gui.page import Page
    from studio.gui.panels import Panels
    from studio.gui.planner import Planner
    from studio.gui.runner import Event, Runner, WorkerLike
    from studio.gui.states import Failure
    from studio.gui.tracking import Outcome
    from studio.session import Settings

WINDOW_SIZE = QSize(1440, 900)
FILTER = "Workflows and pictures (*.json *.png);;All files (*)"


class Window(QMainWindow):
    """One main window. It can be painted before ``start`` brings in what documents need."""

    window_asked = Signal()
    options_chosen = Signal(object)
    """Options that are to be kept and to hold in every window."""
    quit_asked = Signal()
    document_opened = Signal(object)
    """A Document, for the journal."""
    document_closed = Signal(object)
    closed = Signal()
    painted = Signal()
    """Once, when it has been painted for the first time."""

    def __init__(
        self,
        preferences: Preferences,
        theme: Theme,
        templates: Sequence[Template],
        make_worker: Callable[[Options, Callable[[Event], None]], WorkerLike],
    ) -> None:
        super().__init__()
        self._preferences = preferences
        self._theme = theme
        self._make_worker = make_worker
        self._types: Types = {}
        self.runner: Runner | None = None
        self._planner: Planner | None = None
        self.panels: Panels | None = None
        self._page: Page | None = None
        """The page whose document the panels show."""
        self._canvas_actions: Actions | None = None
        self._device = ""
        self._was_painted = False
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.resize(WINDOW_SIZE)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setMovable(True)
        self.tabs.setAccessibleName(self.tr("Documents"))
        self.start_page = StartPage(theme, templates, preferences.recent())
        self.tabs.addTab(self.start_page, self.tr("Start"))
        self.setCentralWidget(self.tabs)
        self.said = Line()
        self.ahead = Line()
        self.ahead.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.statusBar().addWidget(self.said, 1)
        self.statusBar().addPermanentWidget(self.ahead, 1)
        self.actions_ = Actions(self, self._table(), self._icon)
        self._menus = {name: self.menuBar().addMenu(self._menu_title(name)) for name in MENUS}
        self._recent_menu = QMenu(self.tr("Open &recent"), self)
        self.bar = self._tool_bar()
        self._fill_menus()
        self.start_page.template_chosen.connect(self.open_template)
        self.start_page.file_chosen.connect(self.open_file)
        self.start_page.new_asked.connect(self.new_document)
        self.start_page.open_asked.connect(self.open_asked)
        self.tabs.currentChanged.connect(self._tab_changed)
        preferences.recent_changed.connect(self._show_recent)
        geometry = preferences.layout("geometry")
        if not geometry.isEmpty():
            self.restoreGeometry(geometry)
        self._show_recent()
        self._title()
        self.refresh()

    def start(self, types: Types, gallery: Gallery) -> None:
        """Bring in what documents need; afterwards they can be opened."""
        from studio.gui.panels import Panels
        from studio.gui.planner import Planner
        from studio.gui.runner import Runner

        self._types = types
        self._planner = Planner(self._session_settings, self)
        self.runner = Runner(self._worker, self._planner, self._output, self)
        self.runner.status.connect(self.say)
        self.runner.progressed.connect(self.said.setText)
        self.runner.broken.connect(self._broken)
        self.runner.running_changed.connect(self.refresh)
        self.runner.worker_state.connect(self._worker_state)
        self.panels = Panels(self, self.runner, types, self._theme, gallery)
        self.panels.arrived_at(self._preferences.layout("docks"))
        self.panels.status.connect(self.say)
        self.panels.library.add_requested.connect(self._add_node)
        self.panels.restore_asked.connect(self._restore)
        self.panels.failed.connect(self.complain)
        self.runner.arrived.connect(self._show_machine)
        self._planner.models_found.connect(self.panels.show_models)
        self._planner.list_models()
        self._fill_menus()
        self.refresh()

    def _session_settings(self) -> Settings:
        return self._preferences.options().session()

    def _worker(self, on_event: Callable[[Event], None]) -> WorkerLike:
        return self._make_worker(self._preferences.options(), on_event)

    def _output(self) -> Path:
        return self._preferences.options().output

    # --- actions

    def _table(self) -> Iterator[Action]:
        yield from self._file_table()
        yield from self._edit_table()
        yield from self._view_table()
        yield from self._run_table()
        yield Action(
            "help.keys",
            "Help",
            self.tr("&Keys and gestures"),
            self.show_keys,
            ("?", "F1"),
            icon="help",
        )
        yield Action("help.about", "Help", self.tr("&About Emulsion"), self.show_about)

    def _file_table(self) -> Iterator[Action]:
        has_page, make = self._has_page, Action
        yield make("file.new", "File", self.tr("&New"), self.new_document, ("Ctrl+N",), "new")
        yield make("file.open", "File", self.tr("&Open…"), self.open_asked, ("Ctrl+O",), "open")
        yield make("file.start", "File", self.tr("S&tart page"), self.show_start, ("Ctrl+Home",))
        yield make(
            "file.save", "File", self.tr("&Save"), self.save, ("Ctrl+S",), "save", "save",
            is_enabled=has_page,
        )  # fmt: skip
        yield make(
            "file.save_as", "File", self.tr("Save &as…"), self.save_as, ("Ctrl+Shift+S",),
            section="save", is_enabled=has_page,
        )  # fmt: skip
        yield make(
            "file.close", "File", self.tr("&Close"), self.close_document, ("Ctrl+W",),
            section="save", is_enabled=has_page,
        )  # fmt: skip
        yield make(
            "file.window", "File", self.tr("New &window"), self.window_asked.emit,
            ("Ctrl+Shift+N",), section="window",
        )  # fmt: skip
        yield make(
            "file.settings", "File", self.tr("S&ettings…"), self.show_settings, ("Ctrl+,",),
            "settings", "window",
        )  # fmt: skip
        yield make(
            "file.quit", "File", self.tr("&Quit"), self.quit_asked.emit, ("Ctrl+Q",), section="quit"
        )

    def _edit_table(self) -> Iterator[Action]:
        yield Action(
            "edit.undo", "Edit", self.tr("&Undo"), self.undo, ("Ctrl+Z",), "undo",
            is_enabled=self._can_undo,
        )  # fmt: skip
        yield Action(
            "edit.redo", "Edit", self.tr("&Redo"), self.redo, ("Ctrl+Shift+Z", "Ctrl+Y"), "redo",
            is_enabled=self._can_redo,
        )  # fmt: skip

    def _view_table(self) -> Iterator[Action]:
        yield Action(
            "view.dark", "View", self.tr("&Dark theme"), self.toggle_theme, ("Ctrl+Alt+T",),
            "dark", "window", is_checked=self._is_dark,
        )  # fmt: skip
        yield Action(
            "view.full", "View", self.tr("&Full screen"), self.toggle_full_screen, ("F11",),
            section="window", is_checked=self.isFullScreen,
        )  # fmt: skip
        yield Action(
            "view.next", "View", self.tr("&Next document"), self.next_tab,
            ("Ctrl+Tab", "Ctrl+PgDown"), section="tabs",
        )  # fmt: skip
        yield Action(
            "view.previous", "View", self.tr("&Previous document"), self.previous_tab,
            ("Ctrl+Shift+Tab", "Ctrl+PgUp"), section="tabs",
        )  # fmt: skip

    def _run_table(self) -> Iterator[Action]:
        yield Action(
            "run.run", "Run", self.tr("&Run"), self.run, ("Ctrl+Return", "Ctrl+Enter"), "run",
            is_enabled=self._has_page,
        )  # fmt: skip
        yield Action(
            "run.to", "Run", self.tr("Run to the &selected nodes"), self.run_to_selected,
            ("Ctrl+R",), "run_to", is_enabled=self._has_page,
        )  # fmt: skip
        yield Action(
            "run.cancel", "Run", self.tr("&Cancel"), self.cancel,
            ("Ctrl+Alt+Return", "Ctrl+Alt+Enter"), "cancel", is_enabled=self._is_running,
        )  # fmt: skip
        yield Action(
            "run.live", "Run", self.tr("&Live: run at every edit"), self.toggle_live, ("Ctrl+L",),
            "live", "live", is_checked=self._is_live, is_enabled=self._has_page,
        )  # fmt: skip
        yield Action(
            "run.restart", "Run", self.tr("Restart the &worker"), self.restart_worker,
            section="worker", is_enabled=self._is_started,
        )  # fmt: skip

    def _icon(self, name: str) -> QIcon:
        return icon(name, self._theme)

    def _menu_title(self, name: str) -> str:
        titles = {
            "File": self.tr("&File"),
            "Edit": self.tr("&Edit"),
            "Node": self.tr("&Node"),
            "View": self.tr("&View"),
            "Run": self.tr("&Run"),
            "Help": self.tr("&Help"),
        }
        return titles[name]

    def _fill_menus(self) -> None:
        """Fill the menus from the tables of the window, of the canvas in front and of the panels."""
        for name, menu in self._menus.items():
            menu.clear()
            self.actions_.fill(menu, name)
            if name == "File":
                menu.insertMenu(self.actions_["file.save"], self._recent_menu)
            if name == "View" and self.panels is not None:
                menu.addSeparator()
                self.panels.actions_.fill(menu, name)
            if self._canvas_actions is not None:
                menu.addSeparator()
                self._canvas_actions.fill(menu, name)
            menu.menuAction().setVisible(not menu.isEmpty())

    def _tool_bar(self) -> QToolBar:
        bar = QToolBar(self.tr("Tool bar"), self)
        bar.setObjectName("tools")
        bar.setMovable(False)
        bar.setIconSize(QSize(20, 20))
        self.addToolBar(bar)
        for name in ("run.run", "run.cancel", "run.live", "", "edit.undo", "edit.redo"):
            if not name:
                bar.addSeparator()
                continue
            bar.addAction(self.actions_[name])
            button = bar.widgetForAction(self.actions_[name])
            if isinstance(button, QToolButton):
                button.setAccessibleName(plain(self.actions_.table[name].text))
                if name.startswith("run."):
                    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.actions_["run.live"].setIconText(self.tr("Live"))
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(space)
        self.device = QToolButton()
        self.device.setAccessibleName(self.tr("Device"))
        self.device.setAutoRaise(True)
        self.device.setText(self.tr("worker not started"))
        self.device.setToolTip(self.tr("Where it is computed; click for the settings"))
        self.device.clicked.connect(self.show_settings)
        bar.addWidget(self.device)
        return bar

    def refresh(self) -> None:
        """Show what can be done now."""
        self.actions_.refresh()
        if self.panels is not None:
            self.panels.actions_.refresh()

    def _has_page(self) -> bool:
        return self._page is not None

    @property
    def is_started(self) -> bool:
        """Whether documents can be opened."""
        return self.runner is not None

    def _is_started(self) -> bool:
        return self.is_started

    def start_worker(self) -> None:
        """Start the worker process ahead of the first run."""
        if self.runner is not None:
            self.runner.start_worker()

    def _is_running(self) -> bool:
        return self.runner is not None and self.runner.is_running

    def _is_live(self) -> bool:
        return self.runner is not None and self.runner.is_live

    def _can_undo(self) -> bool:
        return self._page is not None and self._page.document.can_undo

    def _can_redo(self) -> bool:
        return self._page is not None and self._page.document.can_redo

    def _is_dark(self) -> bool:
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
        if self._page is not None:
            self._page.failure.tell(Failure(error.what, error.where, error.remedy))
            return
        box = QMessageBox(QMessageBox.Icon.Warning, "Emulsion", str(error), parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    def _broken(self, failure: Failure) -> None:
        if self._page is not None:
            self._page.failure.tell(failure)

    def _worker_state(self, state: str) -> None:
        words = {
            "starting": self.tr("worker is starting…"),
            "crashed": self.tr("worker crashed"),
            "stopped": self.tr("worker stopped"),
        }
        if state in words:
            self.device.setText(words[state])
        if state == "ready" and not self._is_running():
            self.say(self.tr("Ready"))

    def _show_machine(self, event: Event) -> None:
        """Show where it is computed, and in how much memory."""
        name = event.get("event")
        if name == "hello":
            self._device = f"{event.get('device')} · {event.get('dtype')}"
            threads = event.get("threads")
            if event.get("device") == "cpu" and isinstance(threads, int):
                words = self.tr("1 thread") if threads == 1 else self.tr("{} threads")
                self._device += " · " + words.format(threads)
            self.device.setText(self._device)
        elif name == "memory":
            device_bytes, own_bytes = event.get("device_bytes"), event.get("bytes")
            used = device_bytes if isinstance(device_bytes, int) else own_bytes
            if isinstance(used, int):
                self.device.setText(f"{self._device} · {used / 1e9:.1f} GB")

    def _outcome_changed(self, outcome: Outcome) -> None:
        if self._page is not None and self.sender() is self._page.watch:
            self._planned(outcome)

    def _planned(self, outcome: Outcome) -> None:
        count = len(outcome.problems)
        if count:
            words = self.tr("1 problem") if count == 1 else self.tr("{} problems").format(count)
            self.ahead.setText(words)
        else:
            self.ahead.setText(outcome.summary)

    def show_keys(self) -> None:
        """Show the sheet of keys."""
        sections: dict[str, list[tuple[str, str]]] = {}
        tables = [self.actions_]
        tables += [self._canvas_actions] if self._canvas_actions else []
        tables += [self.panels.actions_] if self.panels else []
        for name in (*MENUS, ""):
            for table in tables:
                for action in table.table.values():
                    if action.menu == name and action.keys:
                        title = plain(self._menu_title(name)) if name else self.tr("Canvas")
                        row = (plain(action.text), shown_keys(action.keys))
                        sections.setdefault(title, []).append(row)
        if self.panels is not None:
            sections.update(self.panels.key_rows())
        KeySheet(sections.items(), self).open()

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

    @property
    def pages(self) -> list[Page]:
        """The open documents, from left to right."""
        if not self.is_started:
            return []
        from studio.gui.page import Page

        widgets = (self.tabs.widget(index) for index in range(self.tabs.count()))
        return [widget for widget in widgets if isinstance(widget, Page)]

    @property
    def page(self) -> Page | None:
        """The document in front."""
        return self._page

    def new_document(self) -> None:
        """Begin with an empty canvas."""
        from studio.gui.document import Document

        self.add_document(Document.new(self._types))

    def open_asked(self) -> None:
        """Ask which files to open."""
        recent = self._preferences.recent()
        folder = str(recent[0].parent if recent else Path.home())
        names, _ = QFileDialog.getOpenFileNames(self, self.tr("Open"), folder, self.tr(FILTER))
        for name in names:
            self.open_file(Path(name))

    def open_file(self, path: Path) -> None:
        """Open a workflow, or the one that a picture carries; one that is open comes to the front."""
        from studio.gui.document import Document

        path = path.absolute()
        for page in self.pages:
            if page.document.path == path:
                self.tabs.setCurrentWidget(page)
                return
        try:
            document = Document.open(path, self._types)
        except StudioError as error:
            self.complain(error)
            return
        self.add_document(document)
        self._preferences.add_recent(path)
        self.say(self.tr("Opened {}").format(path.name))

    def open_template(self, path: Path) -> None:
        """Begin with a copy of a template."""
        from studio.gui.document import Document

        try:
            opened = Document.open(path, self._types)
        except StudioError as error:
            self.complain(error)
            return
        # without a file of its own: the template is never written over
        document = Document(self._types, opened.workflow, folder=path.parent)
        self.add_document(document)

    def add_document(self, document: Document) -> Page:
        """Show a document in a tab of its own, in front."""
        from studio.gui.page import Page

        assert self.runner is not None
        name = f"untitled-{uuid.uuid4().hex[:12]}"
        watch = self.runner.watch(document, document.folder or Path.home(), name)
        page = Page(document, watch, self._theme)
        watch.outcome_changed.connect(self._outcome_changed)
        document.state_changed.connect(self._document_changed)
        document.changed.connect(self._said_edit)
        page.canvas.status.connect(self.say)
        page.canvas.run_to.connect(self.run_to)
        index = self.tabs.addTab(page, document.title)
        self._add_close_button(index, page)
        self.tabs.setCurrentIndex(index)
        self._document_changed()
        self.document_opened.emit(document)
        page.canvas.frame_all()
        page.canvas.setFocus()
        return page

    def _add_close_button(self, index: int, page: Page) -> None:
        button = CloseButton(page, self._icon("close"))
        button.setToolTip(plain(self.actions_.table["file.close"].text))
        button.setAccessibleName(button.toolTip())
        button.clicked.connect(self._close_clicked)
        bar = self.tabs.tabBar()
        bar.setTabButton(index, bar.ButtonPosition.RightSide, button)

    def _close_clicked(self) -> None:
        button = self.sender()
        if isinstance(button, CloseButton) and self._may_close(button.page):
            self._remove(button.page)

    def show_start(self) -> None:
        """Show the start page."""
        self.tabs.setCurrentWidget(self.start_page)

    def next_tab(self) -> None:
        """Bring the next document to the front."""
        self.tabs.setCurrentIndex((self.tabs.currentIndex() + 1) % self.tabs.count())

    def previous_tab(self) -> None:
        """Bring the previous document to the front."""
        self.tabs.setCurrentIndex((self.tabs.currentIndex() - 1) % self.tabs.count())

    def _tab_changed(self) -> None:
        current = self.tabs.currentWidget()
        self._page = next((page for page in self.pages if page is current), None)
        self._bind_canvas()
        if self.panels is not None:
            self.panels.show_page(self._page)
        if self._page is not None:
            self._planned(self._page.watch.outcome)
        else:
            self.ahead.clear()
        self._title()
        self.refresh()

    def _bind_canvas(self) -> None:
        """Let menus and keys act on the canvas in front."""
        self._canvas_actions = self._page.canvas.table if self._page is not None else None
        self._fill_menus()

    def _said_edit(self, change: object) -> None:
        text = getattr(change, "text", "")
        if self._page is not None and self.sender() is self._page.document and text:
            self.said.setText(str(text))

    def _document_changed(self) -> None:
        for page in self.pages:
            mark = "● " if page.document.is_modified else ""
            index = self.tabs.indexOf(page)
            self.tabs.setTabText(index, (mark + page.document.title).replace("&", "&&"))
            path = page.document.path
            self.tabs.setTabToolTip(index, str(path) if path else self.tr("not saved yet"))
        self._title()
        self.refresh()

    def _title(self) -> None:
        page = self._page
        self.setWindowTitle(f"{page.document.title}[*] – Emulsion" if page else "Emulsion")
        self.setWindowModified(page is not None and page.document.is_modified)

    def save(self) -> bool:
        """Save the document in front; asks for a name where it has none. False if it was not."""
        page = self._page
        if page is None:
            return False
        return self._save(page, page.document.path) if page.document.path else self.save_as()

    def save_as(self) -> bool:
        """Ask for a name and save the document in front under it. False if it was not."""
        page = self._page
        if page is None:
            return False
        document = page.document
        name = document.path or (document.folder or Path.home()) / f"{_stem(document.title)}.json"
        if document.path is None and self._is_shipped(name):
            name = Path.home() / name.name
        chosen, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save as"), str(name), self.tr("Workflow (*.json)")
        )
        if not chosen:
            return False
        path = Path(chosen)
        return self._save(page, path if path.suffix else path.with_suffix(".json"))

    def _is_shipped(self, path: Path) -> bool:
        return any(card.template.path.parent == path.parent for card in self.start_page.cards)

    def _save(self, page: Page, path: Path) -> bool:
        from studio.gui.dropping import rebased

        document = page.document
        folder = document.folder
        if folder is not None and folder.absolute() != path.absolute().parent:
            moved = rebased(document.workflow, self._types, folder, path.absolute().parent)
            document.edit(moved, self.tr("Keep the files that it reads"))
        try:
            document.save(path)
        except StudioError as error:
            self.complain(error)
            return False
        self._preferences.add_recent(path)
        self.say(self.tr("Saved {}").format(path.name))
        return True

    def close_document(self) -> None:
        """Close the document in front; asks about unsaved work."""
        if self._page is not None and self._may_close(self._page):
            self._remove(self._page)

    def _remove(self, page: Page) -> None:
        assert self.runner is not None
        self.runner.forget(page.watch)
        self.tabs.removeTab(self.tabs.indexOf(page))
        self.document_closed.emit(page.document)
        page.deleteLater()

    def _may_close(self, page: Page) -> bool:
        """Ask about unsaved work; False if the user would rather stay."""
        if not page.document.is_modified:
            return True
        self.tabs.setCurrentWidget(page)
        buttons = QMessageBox.StandardButton
        box = QMessageBox(
            QMessageBox.Icon.Question,
            self.tr("Unsaved work"),
            self.tr("Save the changes to {}?").format(page.document.title),
            buttons.Save | buttons.Discard | buttons.Cancel,
            self,
        )
        box.setInformativeText(self.tr("What is not saved is lost when the document closes."))
        box.setDefaultButton(buttons.Save)
        answer = box.exec()
        if answer == buttons.Save:
            return self.save()
        return answer == buttons.Discard

    def _restore(self, text: str, name: str) -> None:
        """Open a workflow from the history of pictures as a document of its own."""
        from studio.gui.document import Document
        from studio.workflow import loads

        try:
            workflow = loads(text, name=name)
        except StudioError as error:
            self.complain(error)
            return
        self.add_document(Document(self._types, workflow, name=name))

    # --- running

    def run(self) -> None:
        """Run the document in front."""
        if self._page is not None and self.runner is not None:
            self._page.failure.hide()
            self.runner.run(self._page.watch)

    def run_to(self, node: str) -> None:
        """Run what a node needs, and show what it gives."""
        if self._page is not None and self.runner is not None:
            self._page.failure.hide()
            self._page.viewed = node
            self.runner.run(self._page.watch, (node,))

    def run_to_selected(self) -> None:
        """Run what the selected nodes need."""
        if self._page is not None and self.runner is not None:
            if not self._page.selection:
                self.say(self.tr("Select the nodes to run to"))
                return
            self._page.failure.hide()
            self.runner.run(self._page.watch, self._page.selection)

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
                self.run()
            else:
                self.say(self.tr("Live mode is off"))
        self.refresh()

    def restart_worker(self) -> None:
        """End the worker and start it again."""
        if self.runner is not None:
            self.runner.restart_worker()

    def undo(self) -> None:
        """Undo the last step."""
        if self._page is not None:
            self._page.document.undo()

    def redo(self) -> None:
        """Do the next step again."""
        if self._page is not None:
            self._page.document.redo()

    # --- nodes from elsewhere

    def _add_node(self, type_id: str, params: dict[str, Json]) -> None:
        """Add a node chosen in the library."""
        page = self._page or self._new_page()
        if not params:
            page.canvas.add_at_cursor(type_id)
            return
        from studio.gui.edits import add_node

        canvas = page.canvas
        middle = canvas.mapToScene(canvas.viewport().rect().center())
        try:
            after, name = add_node(
                page.document.workflow, self._types, type_id, (middle.x(), middle.y()), params
            )
        except StudioError as error:
            self.complain(error)
            return
        page.document.edit(after, self.tr("Add {}").format(name))
        canvas.select([name])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if self.is_started and any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open workflows, make nodes of pictures and models."""
        event.acceptProposedAction()
        at = self._scene_point(event.position().toPoint())
        for number, url in enumerate(url for url in event.mimeData().urls() if url.isLocalFile()):
            offset = 40.0 * number
            self.take_file(Path(url.toLocalFile()), (at[0] + offset, at[1] + offset))

    def _scene_point(self, position: QPoint) -> tuple[float, float]:
        """A point of the window in the scene of the canvas in front; the origin if there is none."""
        if self._page is None:
            return (0.0, 0.0)
        canvas = self._page.canvas
        point = canvas.mapToScene(canvas.viewport().mapFrom(self, position))
        return (point.x(), point.y())

    def take_file(self, path: Path, at: tuple[float, float]) -> None:
        """Open a workflow, or put a node for a picture or a model at a place of the canvas."""
        from studio.errors import FileError
        from studio.gui.dropping import what_is

        what: str = what_is(path)
        if what == "picture with workflow":
            what = self._asked_about(path)
        try:
            if what == "workflow":
                self.open_file(path)
            elif what in ("picture", "model"):
                self._put(path, at, is_model=what == "model")
            elif what == "nodes":
                self._paste_from(path, at)
            elif what == "other":
                raise FileError(
                    self.tr("is neither a workflow, a picture nor a model"), where=str(path)
                )
        except StudioError as error:
            self.complain(error)

    def _asked_about(self, path: Path) -> str:
        """What a picture that carries a workflow is wanted for."""
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(path.name)
        box.setText(self.tr("{} carries the workflow that made it.").format(path.name))
        role = QMessageBox.ButtonRole.AcceptRole
        answers = {
            box.addButton(self.tr("&Open as document"), role): "workflow",
            box.addButton(self.tr("&Paste its nodes"), role): "nodes",
            box.addButton(self.tr("&Image only"), role): "picture",
        }
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        return next((what for button, what in answers.items() if button is box.clickedButton()), "")

    def _put(self, path: Path, at: tuple[float, float], *, is_model: bool) -> None:
        from studio.gui.dropping import add_model, add_picture

        page = self._page or self._new_page()
        document = page.document
        if is_model:
            folders = self._preferences.options().session().model_folders
            after, name = add_model(document.workflow, self._types, path, at, folders)
        else:
            after, name = add_picture(document.workflow, self._types, path, at, document.folder)
        document.edit(after, self.tr("Add {}").format(path.name))
        page.canvas.select([name])

    def _new_page(self) -> Page:
        self.new_document()
        assert self._page is not None
        return self._page

    def _paste_from(self, path: Path, at: tuple[float, float]) -> None:
        from studio.gui.dropping import workflow_text
        from studio.gui.edits import paste_text

        page = self._page or self._new_page()
        text = workflow_text(path)
        if text is not None:
            after, names = paste_text(page.document.workflow, self._types, text, at)
            page.document.edit(after, self.tr("Paste the nodes of {}").format(path.name))
            page.canvas.select(names)

    # --- looks

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        for name, action in self.actions_.table.items():
            if action.icon:
                self.actions_[name].setIcon(icon(action.icon, theme))
        self.start_page.set_theme(theme)
        for page in self.pages:
            page.set_theme(theme)
        for button in self.tabs.tabBar().findChildren(CloseButton):
            button.setIcon(self._icon("close"))
        if self.panels is not None:
            self.panels.set_theme(theme)
        self.refresh()

    def toggle_theme(self) -> None:
        """Dark or light."""
        options = self._preferences.options()
        theme: ThemeName = "light" if self._theme.is_dark else "dark"
        self.options_chosen.emit(replace(options, theme=theme))

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

    def take_options(self, before: Options, after: Options) -> None:
        """Let changed settings hold: what concerns computing needs another worker and another plan."""
        if before.arguments() != after.arguments() and self.runner is not None:
            self.runner.restart_worker()
            if self._planner is not None:
                self._planner.renew()
            for page in self.pages:
                self.runner.plan(page.watch)

    def _show_recent(self) -> None:
        files = self._preferences.recent()
        self.start_page.set_recent(files)
        self._recent_menu.clear()
        for path in files:
            entry = self._recent_menu.addAction(str(path).replace("&", "&&"))
            entry.setData(str(path))
            entry.triggered.connect(self._recent_chosen)
        if files:
            self._recent_menu.addSeparator()
            self._recent_menu.addAction(self.tr("Clear the list")).triggered.connect(
                self._preferences.clear_recent
            )
        self._recent_menu.setEnabled(bool(files))

    def _recent_chosen(self) -> None:
        entry = self.sender()
        if isinstance(entry, QAction):
            self.open_file(Path(str(entry.data())))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint, and say so the first time, once the children are painted as well."""
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            QTimer.singleShot(0, self.painted.emit)

    # --- the end

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask about unsaved work, remember where everything stands, end the worker."""
        for page in self.pages:
            if not self._may_close(page):
                event.ignore()
                return
        self._preferences.set_layout("geometry", self.saveGeometry())
        if self.panels is not None:
            self._preferences.set_layout("docks", self.panels.leave())
        self._preferences.sync()
        for page in self.pages:
            self.document_closed.emit(page.document)
        if self.runner is not None:
            self.runner.close()
        if self._planner is not None:
            self._planner.close()
        self.closed.emit()
        super().closeEvent(event)


class CloseButton(QToolButton):
    """Closes the document of its tab."""

    def __init__(self, page: Page, picture: QIcon) -> None:
        super().__init__()
        self.page = page
        self.setIcon(picture)
        self.setAutoRaise(True)
        self.setIconSize(QSize(14, 14))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)


def _stem(title: str) -> str:
    """A file name of a title."""
    words = "".join(letter if letter.isalnum() else " " for letter in title.lower()).split()
    return "-".join(words) or "workflow"
