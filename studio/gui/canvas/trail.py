"""The way into the groups that were entered, as a line of links over the canvas."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLabel, QWidget


class Trail(QLabel):
    """Shows the steps from the document to the group that is shown; a click goes back to one of them."""

    went_back = Signal(int)
    """To so many steps from the document."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.move(10, 8)
        self.setAutoFillBackground(True)
        self.setMargin(5)
        self.linkActivated.connect(self._clicked)
        self.hide()

    def show_path(self, title: str, path: Sequence[str]) -> None:
        """Show the way from the document of that title; nothing at the document itself."""
        steps = [title, *path]
        links = [f'<a href="{depth}">{step}</a>' for depth, step in enumerate(steps[:-1])]
        self.setText(" › ".join([*links, steps[-1]]))
        self.adjustSize()
        self.setVisible(bool(path))

    def _clicked(self, depth: str) -> None:
        self.went_back.emit(int(depth))
