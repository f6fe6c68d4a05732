"""The training that is looked at: what it measures is shown under what it paints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.gui.seeing.measure_view import MeasureView
from studio.gui.seeing.showing import Showing
from studio.gui.seeing.trajectory import has_trajectory
from studio.gui.states import NodeState

if TYPE_CHECKING:
    from studio.gui.shell.page import Page


class Learning(QObject):
    """Follows the node of the document in front that measures: the selected one, else the one that runs."""

    shown = Signal(bool)
    """Whether there is something to show."""

    def __init__(self, view: MeasureView, showing: Showing, parent: QObject) -> None:
        super().__init__(parent)
        self._view = view
        self._showing = showing
        self._page: Page | None = None
        self._is_shown = False
        view.hide()

    def show_page(self, page: Page | None) -> None:
        """Follow another document, or none."""
        if self._page is not None:
            self._page.watch.states_changed.disconnect(self.follow)
        self._page = page
        if page is not None:
            page.watch.states_changed.connect(self.follow)
        self.follow()

    def follow(self) -> None:
        """Show what has been measured by now."""
        node = self._node()
        page = self._page
        if page is not None and node:
            watch = page.watch
            state = watch.tracker.flat.get(node, NodeState())
            self._view.show_record(node, watch.measures.records[node], state)
        # whoever paints needs the room for the picture
        self._view.setVisible(bool(node) and not self._showing.is_held)
        if bool(node) != self._is_shown:
            self._is_shown = bool(node)
            self.shown.emit(self._is_shown)

    def _node(self) -> str:
        """The node that is shown; "" where none is."""
        page = self._page
        if page is None:
            return ""
        records, flat = page.watch.measures.records, page.watch.tracker.flat
        measuring = [name for name in records if name in flat]
        chosen = [name for name in measuring if name in page.selection]
        if chosen:
            return chosen[0]
        running = [name for name in measuring if flat[name].status == "running"]
        if running:
            return running[0]
        return "" if self._has_pictures(page) else next(reversed(measuring), "")

    def _has_pictures(self, page: Page) -> bool:
        """Whether the document has a loop whose steps can be looked at as pictures."""
        types = page.document.types
        return any(
            has_trajectory(types[node.type])
            for node in page.document.workflow.graph
            if node.type in types
        )
