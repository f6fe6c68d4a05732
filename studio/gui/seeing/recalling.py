"""What is done with a picture of the history: shown, put beside another, its nodes pasted, its parameters restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.comparison import changes
from studio.errors import StudioError
from studio.gui import edits
from studio.gui.seeing.gallery import Entry
from studio.gui.seeing.history import History
from studio.gui.seeing.showing import Showing
from studio.gui.seeing.viewer import read_picture
from studio.workflow import Workflow, complete, loads, migrate

if TYPE_CHECKING:
    from studio.gui.seeing.showing import Picture
    from studio.gui.shell.page import Page


class Recalling(QObject):
    """Between the history, the viewer and the document in front."""

    status = Signal(str)
    failed = Signal(object)
    """A StudioError."""

    def __init__(self, history: History, showing: Showing, parent: QObject) -> None:
        super().__init__(parent)
        self._history = history
        self._showing = showing
        self._page: Page | None = None
        history.status.connect(self.status)
        history.shown.connect(self.show_picture)
        history.put_beside.connect(self.put_beside)
        history.pasted.connect(self.paste)
        history.restored.connect(self.restore)

    def show_page(self, page: Page | None) -> None:
        """Act on another document, or none."""
        self._page = page

    def picture(self, entry: Entry) -> Picture:
        """The picture of an entry; where its file is gone, the small one that the history kept."""
        image = read_picture(entry.path)
        if not image.isNull():
            return image, entry.path.name, entry.path
        words = self.tr("{} is gone; its workflow can still be opened (O)")
        self.status.emit(words.format(entry.path))
        name = self.tr("{} (the file is gone)").format(entry.path.name)
        return self._history.thumbnail(entry), name, None

    def show_picture(self, entry: Entry) -> None:
        """Show a picture in the viewer."""
        self._showing.recall(self.picture(entry))

    def put_beside(self, entry: Entry) -> None:
        """Show a picture as B, to compare what A shows with it."""
        self._showing.put_beside(self.picture(entry))

    def paste(self, entry: Entry) -> None:
        """Add the nodes of a picture's workflow to the document."""
        page = self._page
        if page is None:
            return
        canvas, document = page.canvas, page.document
        middle = canvas.mapToScene(canvas.viewport().rect().center())
        text = self._history.workflow(entry)
        try:
            after, names = edits.paste_text(
                document.workflow, document.types, text, (middle.x(), middle.y())
            )
        except StudioError as error:
            self.failed.emit(error)
            return
        document.edit(after, self.tr("Paste the nodes of {}").format(entry.path.name))
        canvas.go_to(())
        canvas.select(names)
        canvas.setFocus()

    def restore(self, entry: Entry) -> None:
        """Give the nodes of the document that the picture has too, by name and type, the picture's parameters."""
        page = self._page
        if page is None:
            return
        document = page.document
        try:
            source = self._workflow(entry, page)
            wanted = [
                one
                for one in changes(document.workflow, source)
                if one.difference is not None
                and one.difference.kind == "param"
                and one.difference.old is not None
                and one.difference.new is not None
                and one.difference.old.type == one.difference.new.type
            ]
            after = edits.adopt(document.workflow, document.types, source, wanted)
        except StudioError as error:
            self.failed.emit(error)
            return
        if after == document.workflow:
            self.status.emit(self.tr("The document has these parameters already"))
            return
        document.edit(after, self.tr("Restore the parameters of {}").format(entry.path.name))
        words = self.tr("{} parameters restored; Ctrl+Z takes them back")
        self.status.emit(words.format(len(wanted)))

    def _workflow(self, entry: Entry, page: Page) -> Workflow:
        types = page.document.types
        loaded = loads(self._history.workflow(entry), name=entry.path.name)
        return complete(migrate(loaded, types), types)
