"""What comes into a window from elsewhere: files and pictures, nodes of the library; one may need a question."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QObject, QPoint, QPointF, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QMessageBox

from studio.errors import FileError, StudioError
from studio.gui.shell.documents import Documents
from studio.gui.shell.settings import Preferences

if TYPE_CHECKING:
    from studio.graph import Json, Types

_APART = 40.0
"""Between nodes of files that are dropped together."""


class Intake(QObject):
    """Opens workflows, and makes nodes of everything else, in the document in front or a new one."""

    failed = Signal(object)
    """A StudioError."""

    def __init__(
        self, documents: Documents, preferences: Preferences, types: Types, pasted: Path
    ) -> None:
        """``pasted``: the folder for pasted pictures of documents that have no file yet."""
        super().__init__(documents)
        self._pasted = pasted
        self._documents = documents
        self._preferences = preferences
        self._types = types

    def add_node(self, type_id: str, params: dict[str, Json]) -> None:
        """Add a node chosen in the library."""
        from studio.gui.edits import add_node

        page = self._documents.front_or_new()
        canvas = page.canvas
        if not params:
            canvas.add_at_cursor(type_id)
            return
        middle = canvas.mapToScene(canvas.viewport().rect().center())
        try:
            after, name = add_node(
                canvas.workflow, self._types, type_id, (middle.x(), middle.y()), params
            )
        except StudioError as error:
            self.failed.emit(error)
            return
        canvas.commit(after, self.tr("Add {}").format(name))
        canvas.select([name])

    def take_files(self, paths: Iterable[Path], position: QPoint) -> None:
        """Take files that were dropped at a point of the window."""
        self._take_files(paths, self._scene_point(position))

    def _take_files(self, paths: Iterable[Path], at: tuple[float, float]) -> None:
        for number, path in enumerate(paths):
            self.take_file(path, (at[0] + _APART * number, at[1] + _APART * number))

    def take_pasted(self, data: QMimeData, at: QPointF) -> None:
        """Take what came by the clipboard to a place of the canvas: files as if they were dropped, or a picture."""
        paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
        if paths:
            self._take_files(paths, (at.x(), at.y()))
            return
        image = data.imageData()
        if isinstance(image, QImage) and not image.isNull():
            self._take_image(image, (at.x(), at.y()))

    def _take_image(self, image: QImage, at: tuple[float, float]) -> None:
        """Keep a picture beside the workflow and put a node there that loads it."""
        from studio.gui.shell.dropping import keep_picture

        # a template has a folder too, but that is the program's
        path = self._documents.front_or_new().document.path
        folder = self._pasted if path is None else path.absolute().parent
        try:
            self._put(keep_picture(image, folder), at, is_model=False)
        except StudioError as error:
            self.failed.emit(error)

    def _scene_point(self, position: QPoint) -> tuple[float, float]:
        """A point of the window in the scene of the canvas in front; the origin if there is none."""
        page = self._documents.front
        if page is None:
            return (0.0, 0.0)
        viewport = page.canvas.viewport()
        point = page.canvas.mapToScene(viewport.mapFrom(viewport.window(), position))
        return (point.x(), point.y())

    def take_file(self, path: Path, at: tuple[float, float]) -> None:
        """Open a workflow, or put a node for a picture or a model at a place of the canvas."""
        from studio.gui.shell.dropping import what_is

        what: str = what_is(path)
        if what == "picture with workflow":
            what = self._asked_about(path)
        try:
            if what == "workflow":
                self._documents.open_file(path)
            elif what in ("picture", "model"):
                self._put(path, at, is_model=what == "model")
            elif what == "nodes":
                self._paste_from(path, at)
            elif what == "other":
                raise FileError(
                    self.tr("is neither a workflow, a picture nor a model"), where=str(path)
                )
        except StudioError as error:
            self.failed.emit(error)

    def _asked_about(self, path: Path) -> str:
        """What a picture that carries a workflow is wanted for."""
        box = QMessageBox(self._documents)
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
        from studio.gui.shell.dropping import add_model, add_picture

        page = self._documents.front_or_new()
        # what is shown may be the inside of a group
        canvas = page.canvas
        if is_model:
            folders = self._preferences.options().session().model_folders
            after, name = add_model(canvas.workflow, self._types, path, at, folders)
        else:
            folder = page.document.folder
            after, name = add_picture(canvas.workflow, self._types, path, at, folder)
        canvas.commit(after, self.tr("Add {}").format(path.name))
        canvas.select([name])

    def _paste_from(self, path: Path, at: tuple[float, float]) -> None:
        from studio.gui.edits import paste_text
        from studio.gui.shell.dropping import workflow_text

        page = self._documents.front_or_new()
        text = workflow_text(path)
        if text is not None:
            after, names = paste_text(page.canvas.workflow, self._types, text, at)
            page.canvas.commit(after, self.tr("Paste the nodes of {}").format(path.name))
            page.canvas.select(names)
