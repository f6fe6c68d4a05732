"""What the viewer shows: the pictures of the node that it follows, previews of a run, pictures of the history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

from studio.errors import StudioError
from studio.gui import edits
from studio.gui.prompts import prompt_of
from studio.gui.running.pictured import Pictured
from studio.gui.running.runner import Runner
from studio.gui.scope import Scope, split
from studio.gui.seeing.history import History
from studio.gui.seeing.surface import Slot
from studio.gui.seeing.viewer import Viewer, read_picture
from studio.gui.shell.dropping import relative
from studio.registry import File

if TYPE_CHECKING:
    from studio.gui.running.queue import Job
    from studio.gui.shell.page import Page

Picture = tuple[QImage, str, Path | None]
"""Pixels, a name, and the file if there is one."""


class Showing(QObject):
    """Fills the viewer from the document in front, and the history with what its runs save."""

    status = Signal(str)
    failed = Signal(object)
    """A StudioError."""
    pictured = Signal()
    """The document in front has another last picture."""

    def __init__(self, viewer: Viewer, history: History, runner: Runner, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.history = history
        self.is_held = False
        """Whether somebody else has the viewer, as the mask editor does: runs leave it alone."""
        self._runner = runner
        self._page: Page | None = None
        self._live: Slot | None = "A"
        """Where the document's pictures are shown; None: two of the history stand against each other."""
        self._index = 0
        """Which picture of a batch is shown."""
        runner.saved.connect(self._remember)
        viewer.save_requested.connect(self.save_picture)
        viewer.stepped.connect(self._step)
        viewer.file_dropped.connect(self.take_file)

    def show_page(self, page: Page | None) -> None:
        """Follow another document, or none."""
        if self._page is not None:
            self._page.canvas.shown_in_viewer.disconnect(self.view)
            self._page.previewed.disconnect(self._previewed)
            self._page.pictured.disconnect(self._pictured)
            self._page.watch.stored.disconnect(self._look_again)
        self._page = page
        if page is None:
            self.viewer.clear()
            return
        page.canvas.shown_in_viewer.connect(self.view)
        page.previewed.connect(self._previewed)
        page.pictured.connect(self._pictured)
        page.watch.stored.connect(self._look_again)
        self.viewer.clear("A")
        self.show_last()

    # --- the document in front

    def view(self, node: str) -> None:
        """Let the viewer follow a node, and ask for what it gave."""
        page = self._page
        if page is None:
            return
        page.viewed = node
        self._index = 0
        if node in page.pictures:
            self._show(page.pictures[node])
        self._runner.look(page.watch, node)
        self.status.emit(self.tr("The viewer shows {}").format(node))

    def preview(self, image: QImage, words: str) -> None:
        """Show a small picture of latents as large as the picture that will come of it."""
        if self.is_held:
            return
        size = self._whole_size(image)
        self.viewer.set_image(self._freed(), self.enlarged(image), words, size=size)

    def _freed(self) -> Slot:
        """Where the document's pictures go; two of the history give way."""
        if self._live is None:
            self._live = "A"
            self.viewer.clear("B")
        return self._live

    def _previewed(self, node: str, image: QImage, step: int, steps: int) -> None:
        page = self._page
        if page is not None and page.viewed in (None, node):
            self.preview(image, self.tr("{} · step {} of {}").format(node, step, steps))

    def enlarged(self, image: QImage) -> QImage:
        """A picture of latents as smooth as an eye expects: without it a latent pixel is a square of many."""
        size = self._whole_size(image)
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
        if made.index == 0 and page.viewed in (None, made.node):
            page.last = made
            self._index = 0
            if not self.is_held:
                self._show(made)
            self.pictured.emit()

    def _show(self, made: Pictured) -> None:
        words = made.node
        if made.count > 1:
            words = self.tr("{} {}/{}").format(made.node, made.index + 1, made.count)
        self.viewer.set_image(self._freed(), made.whole(), words, path=made.path)

    def _step(self, by: int) -> None:
        """Show the next picture of a batch, or the one before."""
        page = self._page
        if page is None or page.last is None or self.is_held or self._live is None:
            return
        batch = page.batch(page.last.node)
        index = min(len(batch) - 1, max(0, self._index + by))
        if index != self._index:
            self._index = index
            self._show(batch[index])

    def show_last(self) -> None:
        """Show what the document showed last."""
        page = self._page
        if page is not None and page.last is not None and self._live is not None:
            self._show(page.last)

    # --- the history

    def _remember(self, job: Job, made: Pictured) -> None:
        from studio.workflow import dumps

        if made.path is None:
            return
        types = self._page.document.types if self._page is not None else {}
        self.history.add(
            made.image,
            path=made.path,
            pixels_sha256=made.sha256,
            node=made.node,
            title=job.title,
            prompt=prompt_of(job.workflow, types),
            workflow=dumps(job.workflow),
        )

    def _look_again(self) -> None:
        """Something else runs, but what the document is now is stored: look at it beside the run."""
        page = self._page
        if page is not None:
            node = page.viewed or (page.last.node if page.last is not None else "")
            if node:
                self._runner.look(page.watch, node)

    def recall(self, picture: Picture) -> None:
        """Show a picture of the history where the document's are shown."""
        image, name, path = picture
        self.viewer.set_image(self._freed(), image, name, path=path)

    def put_beside(self, picture: Picture) -> None:
        """Show a picture as B."""
        image, name, path = picture
        self._freed()
        self.viewer.set_image("B", image, name, path=path)
        if self.viewer.surface.slot("A") is not None and not self.viewer.is_comparing:
            self.viewer.toggle_wipe()

    def compare(self, first: Picture, second: Picture | None, *, live: Slot | None) -> None:
        """Show two pictures against each other; those that the document comes to give go to ``live``."""
        self._live = live
        for slot, picture in (("A", first), ("B", second)):
            image, name, path = picture if picture is not None else (QImage(), "", None)
            self.viewer.set_image("A" if slot == "A" else "B", image, name, path=path)
        if second is not None and self.viewer.surface.arrangement == "single":
            self.viewer.toggle_wipe()

    def end_comparison(self) -> None:
        """Show the document's pictures alone again."""
        self._live = "A"
        self.viewer.clear()
        self.show_last()

    # --- files

    def take_file(self, path: Path) -> None:
        """Take a picture file that was dropped: for the node that is shown, if it reads one; else to look at."""
        page = self._page
        node = (page.viewed or (page.last.node if page.last else "")) if page is not None else ""
        if page is not None and node and self._replaced(page, node, path):
            return
        image = read_picture(path)
        if image.isNull():
            self.status.emit(self.tr("{} is no picture that can be shown").format(path.name))
        elif self.viewer.surface.slot("A") is None:
            self.recall((image, path.name, path))
        else:
            self.put_beside((image, path.name, path))

    def _replaced(self, page: Page, flat: str, path: Path) -> bool:
        """Let a node read another file; False if it reads none."""
        way, name = split(flat)
        scope = Scope(page.document, way)
        node = scope.workflow.graph.nodes.get(name)
        declared = scope.types.get(node.type) if node is not None else None
        param = (
            next((p for p in declared.params if isinstance(p.hint, File)), None)
            if declared
            else None
        )
        if param is None:
            return False
        file = relative(path, page.document.folder)
        text = self.tr("Read {} in {}").format(path.name, name)
        scope.edit(edits.set_param(scope.workflow, name, param.name, file), text)
        self.status.emit(text)
        return True

    def save_picture(self) -> None:
        """Ask for a name and write what the viewer shows."""
        shown = self.viewer.current
        if shown is None:
            return
        folder = platformdirs.user_pictures_path()
        name = shown.path.name if shown.path is not None else "picture.png"
        chosen, _ = QFileDialog.getSaveFileName(
            self.viewer, self.tr("Save the picture"), str(folder / name), self.tr("PNG (*.png)")
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
