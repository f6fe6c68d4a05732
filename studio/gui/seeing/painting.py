"""Painting masks: between the strokes in the document, the picture under them, and the mask editor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage

from studio.graph import Json, Node
from studio.gui import edits
from studio.gui.document import Change
from studio.gui.running.pictured import Pictured
from studio.gui.running.runner import Runner
from studio.gui.scope import Scope, split
from studio.gui.seeing.mask_editor import MaskEditor
from studio.gui.seeing.showing import Showing
from studio.gui.theme import Theme

if TYPE_CHECKING:
    from studio.gui.shell.page import Page


class Painting(QObject):
    """Gives the mask editor what a node holds, and the document what the mask editor proposes."""

    status = Signal(str)
    began = Signal()
    """The viewer is to be seen."""
    ended = Signal()

    def __init__(
        self, mask: MaskEditor, showing: Showing, runner: Runner, theme: Theme, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._mask = mask
        self._showing = showing
        self._runner = runner
        self._theme = theme
        self._page: Page | None = None
        self._painted: tuple[str, str] | None = None
        """Node and parameter whose strokes are painted."""
        self._source = ""
        """The node whose picture is painted on."""
        mask.hide()
        mask.strokes_changed.connect(self._strokes_painted)
        mask.invert_changed.connect(self._inverted)
        mask.grow_changed.connect(self._grown)
        mask.feather_changed.connect(self._feathered)
        mask.edge_settled.connect(self._settled)
        mask.finished.connect(self._ended)

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        self._mask.set_theme(theme)

    def show_page(self, page: Page | None) -> None:
        """Follow another document; painting ends."""
        self.stop()
        if self._page is not None:
            self._page.document.changed.disconnect(self._changed)
            self._page.pictured.disconnect(self._pictured)
        self._page = page
        if page is not None:
            page.document.changed.connect(self._changed)
            page.pictured.connect(self._pictured)

    def paint(self, node: str, param: str) -> None:
        """Begin to paint the strokes of a node, by its flat id, on the picture that it masks."""
        page = self._page
        found = self._node(page, node) if page is not None else None
        if page is None or found is None:
            return
        self._painted = (node, param)
        self._showing.is_held = True
        link = found.inputs.get("image") or found.inputs.get("mask")
        self._source = "/".join([*split(node)[0], link.node]) if link is not None else ""
        viewer = self._showing.viewer
        viewer.set_image("A", self._under(page, found.params), self._source or node)
        if self._source:
            self._runner.look(page.watch, self._source)
        strokes = found.params.get(param)
        self._mask.begin(
            strokes if isinstance(strokes, list) else [],
            found.params.get("invert") is True,
            *_edge(found.params),
        )
        self._mask.show()
        self.began.emit()
        viewer.setFocus(Qt.FocusReason.OtherFocusReason)
        self.status.emit(self.tr("Paint where the picture changes; Esc ends"))

    def _node(self, page: Page, flat: str) -> Node | None:
        """A node by its flat id, inside a group or not."""
        path, name = split(flat)
        return Scope(page.document, path).workflow.graph.nodes.get(name)

    def _under(self, page: Page, params: Mapping[str, Json]) -> QImage:
        """The picture to paint on, as far as it is here: that of the node before, its file, or an empty one."""
        if self._source in page.pictures:
            return page.pictures[self._source].whole()
        if self._source:
            source = self._node(page, self._source)
            is_own = source is not None and "file" not in source.inputs
            file = source.params.get("file") if source is not None and is_own else None
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

    def stop(self) -> None:
        """Give the viewer back to looking."""
        if self._painted is not None:
            self._mask.finish()

    def stop_unless(self, names: tuple[str, ...]) -> None:
        """Go on painting only if the painted node is among those selected."""
        if self._painted is not None and self._painted[0] not in names:
            self.stop()

    def _ended(self) -> None:
        self._painted = None
        self._showing.is_held = False
        self._mask.hide()
        self._showing.show_last()
        self.ended.emit()

    # --- the document

    def _strokes_painted(self, strokes: list[Json]) -> None:
        self._set("strokes", strokes, self.tr("Paint the mask"))

    def _inverted(self, is_inverted: bool) -> None:
        self._set("invert", is_inverted, self.tr("Invert the mask"))

    def _grown(self, pixels: int) -> None:
        self._set("grow", pixels, self.tr("Grow the mask"), ("grow",))

    def _feathered(self, pixels: float) -> None:
        self._set("feather", pixels, self.tr("Feather the mask"), ("feather",))

    def _settled(self) -> None:
        if self._page is not None:
            self._page.document.end_merge()

    def _set(self, what: str, value: Json, text: str, merge: tuple[str, ...] | None = None) -> None:
        if self._page is not None and self._painted is not None:
            node, param = self._painted
            name = param if what == "strokes" else what
            path, inner = split(node)
            scope = Scope(self._page.document, path)
            after = edits.set_param(scope.workflow, inner, name, value)
            scope.edit(after, text, (node, *merge) if merge else None)

    def _changed(self, change: Change) -> None:
        if self._painted is None or self._page is None:
            return
        flat, param = self._painted
        node = self._node(self._page, flat)
        if node is None:
            self.stop()
            return
        params = node.params
        strokes = params.get(param)
        if isinstance(strokes, list) and strokes != self._mask.strokes:
            self._mask.set_strokes(strokes)
        self._mask.set_inverted(params.get("invert") is True)
        self._mask.set_edge(*_edge(params))

    def _pictured(self, made: Pictured) -> None:
        if self._painted is not None and made.node == self._source and made.is_asked:
            self._showing.viewer.set_image("A", made.whole(), made.node, path=made.path)


def _edge(params: Mapping[str, Json]) -> tuple[int | None, float | None]:
    """How far a node grows and feathers its mask, as far as it does."""
    grow, feather = params.get("grow"), params.get("feather")
    return (
        grow if isinstance(grow, int) else None,
        float(feather) if isinstance(feather, int | float) else None,
    )
