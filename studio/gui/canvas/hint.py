"""What an empty canvas says: how to begin, and templates to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from studio.gui.theme import Theme

_GAP = 14


class Hint(QObject):
    """Stands in the middle of an empty canvas and lets the mouse through, but for its buttons."""

    chosen = Signal(object)
    """The path of the template to begin with."""

    def __init__(self, canvas: QWidget, theme: Theme) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.text = QLabel(canvas)
        self.text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.text.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.text.setText(
            "<p style='font-size:large'><b>{}</b></p><p>{}</p><p>{}</p>".format(
                self.tr("Nothing is here yet"),
                self.tr("<b>Tab</b> or a double-click adds a node, <b>?</b> shows all keys"),
                self.tr("Drop a picture, a model or a workflow here"),
            )
        )
        self.choices = QWidget(canvas)
        self._row = QHBoxLayout(self.choices)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        self.buttons: list[QPushButton] = []
        self.set_theme(theme)
        self.set_visible(False)

    def set_theme(self, theme: Theme) -> None:
        """Write in other colours."""
        self.text.setStyleSheet(f"color: {theme.text_dim.name()}; background: transparent;")

    def offer(self, templates: Sequence[tuple[str, Path]]) -> None:
        """Offer templates by their titles."""
        for title, path in templates:
            button = QPushButton(title, self.choices)
            button.setAccessibleName(self.tr("Begin with {}").format(title))
            button.setToolTip(button.accessibleName())
            button.setProperty("path", str(path))
            button.clicked.connect(self._clicked)
            self._row.addWidget(button)
            self.buttons.append(button)
        self.set_visible(not self.text.isHidden())

    def set_visible(self, is_visible: bool) -> None:
        """Show it, or not."""
        self.text.setVisible(is_visible)
        self.choices.setVisible(is_visible and bool(self.buttons))
        if is_visible:
            self.place()

    def place(self) -> None:
        """Stand in the middle."""
        self.text.adjustSize()
        self.choices.adjustSize()
        area = self._canvas.rect()
        top = (area.height() - self.text.height() - _GAP - self.choices.height()) // 2
        self.text.move((area.width() - self.text.width()) // 2, top)
        left = (area.width() - self.choices.width()) // 2
        self.choices.move(left, top + self.text.height() + _GAP)

    def _clicked(self) -> None:
        button = self.sender()
        if isinstance(button, QPushButton):
            self.chosen.emit(Path(str(button.property("path"))))
