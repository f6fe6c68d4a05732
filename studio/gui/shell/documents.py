"""The documents of a window, in tabs behind the start page: new, open, save, close, and what each of them asks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox, QTabWidget, QToolButton

from studio.errors import StudioError
from studio.gui.shell.settings import Preferences
from studio.gui.shell.start_page import Offer, StartPage
from studio.gui.theme import Theme, icon

if TYPE_CHECKING:
    from studio.graph import Types
    from studio.gui.document import Document
    from studio.gui.running.runner import Runner
    from studio.gui.running.tracking import Outcome
    from studio.gui.shell.page import Page
    from studio.workflow import Workflow


_OFFERED = 3
"""Templates that an empty canvas offers."""


class Documents(QTabWidget):
    """The start page and the open documents; until ``start`` none can be opened."""

    front_changed = Signal()
    """Another page is in front, or the start page."""
    state_changed = Signal()
    """A title, whether something is modified, or what can be undone may have changed."""
    added = Signal(object)
    """A Page: it was opened just now."""
    opened = Signal(object)
    """A Document, for the journal."""
    closed = Signal(object)
    """A Document."""
    edited = Signal(str)
    """The name of the step that the document in front has just made."""
    planned = Signal(object)
    """The Outcome of the document in front."""
    said = Signal(str)
    """What has just happened, in a line."""
    failed = Signal(object)
    """A StudioError."""

    def __init__(self, theme: Theme, templates: Sequence[Offer], preferences: Preferences) -> None:
        super().__init__()
        self._theme = theme
        self._preferences = preferences
        self._types: Types = {}
        self._runner: Runner | None = None
        self.front: Page | None = None
        """The page whose document is in front."""
        self.setDocumentMode(True)
        self.setMovable(True)
        self.setAccessibleName(self.tr("Documents"))
        self.start_page = StartPage(theme, templates, preferences.recent())
        self.addTab(self.start_page, self.tr("Start"))
        self.start_page.template_chosen.connect(self.open_template)
        self.start_page.file_chosen.connect(self.open_file)
        self.start_page.new_asked.connect(self.new)
        self.start_page.open_asked.connect(self.ask_and_open)
        self.currentChanged.connect(self._front_changed)
        preferences.recent_changed.connect(self._show_recent)

    def start(self, types: Types, runner: Runner) -> None:
        """Bring in what documents need; afterwards they can be opened."""
        self._types = types
        self._runner = runner

    # --- which there are

    @property
    def pages(self) -> list[Page]:
        """The open documents, from left to right."""
        if self._runner is None:
            return []
        from studio.gui.shell.page import Page

        widgets = (self.widget(index) for index in range(self.count()))
        return [widget for widget in widgets if isinstance(widget, Page)]

    def show_start(self) -> None:
        """Show the start page."""
        self.setCurrentWidget(self.start_page)

    def next(self) -> None:
        """Bring the next document to the front."""
        self.setCurrentIndex((self.currentIndex() + 1) % self.count())

    def previous(self) -> None:
        """Bring the previous document to the front."""
        self.setCurrentIndex((self.currentIndex() - 1) % self.count())

    def _front_changed(self) -> None:
        current = self.currentWidget()
        self.front = next((page for page in self.pages if page is current), None)
        self.front_changed.emit()

    # --- open

    def new(self) -> None:
        """Begin with an empty canvas."""
        from studio.gui.document import Document

        self.add(Document.new(self._types))
        self.said.emit(self.tr("Began an empty workflow"))

    def front_or_new(self) -> Page:
        """The page in front; an empty one where there is none."""
        if self.front is None:
            self.new()
        assert self.front is not None
        return self.front

    def ask_and_open(self) -> None:
        """Ask which files to open."""
        recent = self._preferences.recent()
        folder = str(recent[0].parent if recent else Path.home())
        kinds = self.tr("Workflows and pictures (*.json *.png);;All files (*)")
        names, _ = QFileDialog.getOpenFileNames(self, self.tr("Open"), folder, kinds)
        for name in names:
            self.open_file(Path(name))

    def open_file(self, path: Path) -> None:
        """Open a workflow, or the one that a picture carries; one that is open comes to the front."""
        from studio.gui.document import Document

        path = path.absolute()
        for page in self.pages:
            if page.document.path == path:
                self.setCurrentWidget(page)
                return
        try:
            document = Document.open(path, self._types)
        except StudioError as error:
            self.failed.emit(error)
            return
        self.add(document)
        self._preferences.add_recent(path)
        self.said.emit(self.tr("Opened {}").format(path.name))

    def open_template(self, path: Path) -> None:
        """Begin with a copy of a template."""
        from studio.gui.document import Document

        try:
            opened = Document.open(path, self._types)
        except StudioError as error:
            self.failed.emit(error)
            return
        # without a file of its own: the template is never written over
        document = Document(self._types, opened.workflow, folder=path.parent)
        self.add(document)
        self.said.emit(self.tr("Began with a copy of {}").format(document.title))

    def _begin_with(self, path: Path) -> None:
        """Put a template into the empty document in front, as a step of its history."""
        from studio.gui.document import Document
        from studio.gui.shell.dropping import rebased

        page = self.front
        if page is None:
            return
        try:
            opened = Document.open(path, self._types)
        except StudioError as error:
            self.failed.emit(error)
            return
        moved = rebased(opened.workflow, self._types, path.parent, page.watch.base)
        page.document.edit(moved, self.tr("Begin with {}").format(opened.title))
        page.canvas.select([])
        page.canvas.frame_all()
        page.canvas.setFocus()

    def open_copy(self, workflow: Workflow, name: str, folder: Path) -> None:
        """Open a workflow as a document of its own; relative files are in ``folder``."""
        from studio.gui.document import Document

        self.add(Document(self._types, workflow, folder=folder, name=name))
        self.said.emit(self.tr("Opened a copy of {}").format(name))

    def open_text(self, text: str, name: str) -> None:
        """Open the text of a workflow as a document of its own that is called ``name``."""
        from studio.gui.document import Document
        from studio.workflow import loads

        try:
            workflow = loads(text, name=name)
        except StudioError as error:
            self.failed.emit(error)
            return
        self.add(Document(self._types, workflow, name=name))
        self.said.emit(self.tr("Opened the workflow of {}").format(name))

    def add(self, document: Document) -> Page:
        """Show a document in a tab of its own, in front."""
        from studio.gui.shell.page import Page

        assert self._runner is not None
        name = f"untitled-{uuid.uuid4().hex[:12]}"
        watch = self._runner.watch(document, document.folder or Path.home(), name)
        page = Page(document, watch, self._theme)
        watch.outcome_changed.connect(self._outcome_changed)
        document.state_changed.connect(self._document_changed)
        document.changed.connect(self._document_edited)
        cards = self.start_page.cards[:_OFFERED]
        page.canvas.hint.offer([(card.offer.title, card.offer.path) for card in cards])
        page.canvas.hint.chosen.connect(self._begin_with)
        self.added.emit(page)
        index = self.addTab(page, document.title)
        self._add_close_button(index, page)
        self.setCurrentIndex(index)
        self._document_changed()
        self.opened.emit(document)
        page.canvas.frame_all()
        page.canvas.setFocus()
        return page

    def take_back(self, document: Document) -> None:
        """Show recovered work, in place of the file that it belongs to where that is open as it was saved."""
        old = next((page for page in self.pages if page.document.path == document.path), None)
        self.add(document)
        if old is not None and document.path is not None and not old.document.is_modified:
            self._close(old)

    def _add_close_button(self, index: int, page: Page) -> None:
        button = CloseButton(page, icon("close", self._theme))
        button.setToolTip(self.tr("Close"))
        button.setAccessibleName(button.toolTip())
        button.clicked.connect(self._close_clicked)
        bar = self.tabBar()
        bar.setTabButton(index, bar.ButtonPosition.RightSide, button)

    # --- what happens to them

    def take_typed(self) -> None:
        """Let what is being typed count: the keys of the window come before the field has given its text."""
        field, window = QApplication.focusWidget(), self.window()
        is_typing = Qt.WidgetAttribute.WA_InputMethodEnabled
        if field is None or not window.isAncestorOf(field) or not field.testAttribute(is_typing):
            return
        field.clearFocus()
        if field.isVisible():
            field.setFocus(Qt.FocusReason.OtherFocusReason)
        elif self.front is not None:
            self.front.setFocus()

    def _outcome_changed(self, outcome: Outcome) -> None:
        if self.front is not None and self.sender() is self.front.watch:
            self.planned.emit(outcome)

    def _document_edited(self, change: object) -> None:
        text = getattr(change, "text", "")
        if self.front is not None and self.sender() is self.front.document and text:
            self.edited.emit(str(text))

    def _document_changed(self) -> None:
        for page in self.pages:
            mark = "● " if page.document.is_modified else ""
            index = self.indexOf(page)
            self.setTabText(index, (mark + page.document.title).replace("&", "&&"))
            path = page.document.path
            self.setTabToolTip(index, str(path) if path else self.tr("not saved yet"))
        self.state_changed.emit()

    def _show_recent(self) -> None:
        self.start_page.set_recent(self._preferences.recent())

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        self.start_page.set_theme(theme)
        for page in self.pages:
            page.set_theme(theme)
        for button in self.tabBar().findChildren(CloseButton):
            button.setIcon(icon("close", theme))

    # --- save

    def save(self) -> bool:
        """Save the document in front; asks for a name where it has none. False if it was not."""
        page = self.front
        if page is None:
            return False
        self.take_typed()
        return self._save(page, page.document.path) if page.document.path else self.save_as()

    def save_as(self) -> bool:
        """Ask for a name and save the document in front under it. False if it was not."""
        page = self.front
        if page is None:
            return False
        self.take_typed()
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
        return any(card.offer.path.parent == path.parent for card in self.start_page.cards)

    def _save(self, page: Page, path: Path) -> bool:
        from studio.gui.shell.dropping import rebased

        document = page.document
        folder = document.folder
        if folder is not None and folder.absolute() != path.absolute().parent:
            moved = rebased(document.workflow, self._types, folder, path.absolute().parent)
            document.edit(moved, self.tr("Keep the files that it reads"))
        try:
            document.save(path)
        except StudioError as error:
            self.failed.emit(error)
            return False
        self._preferences.add_recent(path)
        self.said.emit(self.tr("Saved {}").format(path.name))
        return True

    # --- close

    def close_front(self) -> None:
        """Close the document in front; asks about unsaved work."""
        if self.front is not None:
            self._close(self.front)

    def _close_clicked(self) -> None:
        button = self.sender()
        if isinstance(button, CloseButton):
            self._close(button.page)

    def _close(self, page: Page) -> None:
        if not self.may_close(page):
            return
        what = self._asked_about_queue(page)
        if what == "stay":
            return
        assert self._runner is not None
        title, count = page.document.title, len(self._runner.queue.of(page.watch.number))
        self._runner.forget(page.watch, keeps_asked=what == "keep")
        if what == "drop":
            self.said.emit(self.tr("Closed {}; dropped what waited: {}").format(title, count))
        else:
            self.said.emit(self.tr("Closed {}").format(title))
        self.removeTab(self.indexOf(page))
        self.closed.emit(page.document)
        page.deleteLater()

    def _asked_about_queue(self, page: Page) -> Literal["nothing", "keep", "drop", "stay"]:
        """What is to become of runs that wait in the queue when their document closes."""
        assert self._runner is not None
        count = len(self._runner.queue.of(page.watch.number))
        if not count:
            return "nothing"
        self.setCurrentWidget(page)
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Runs are waiting"))
        words = self.tr("1 run of {1} waits.") if count == 1 else self.tr("{0} runs of {1} wait.")
        box.setText(words.format(count, page.document.title))
        box.setInformativeText(
            self.tr("Each is a copy of the workflow, which can be run without the document.")
        )
        roles = QMessageBox.ButtonRole
        keep = box.addButton(self.tr("&Run them all the same"), roles.AcceptRole)
        drop = box.addButton(self.tr("&Drop them"), roles.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(keep)
        box.exec()
        if box.clickedButton() is keep:
            return "keep"
        return "drop" if box.clickedButton() is drop else "stay"

    def may_close(self, page: Page) -> bool:
        """Ask about unsaved work; False if the user would rather stay."""
        self.take_typed()
        if not page.document.is_modified:
            return True
        self.setCurrentWidget(page)
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
