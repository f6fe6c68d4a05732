"""The head of the inspector: what is shown, the node's name to change, its state, and help behind a button."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QToolButton, QWidget

from studio.gui.editors import icon_size
from studio.gui.editors.number_field import Line
from studio.gui.inspector.words import label, state_words
from studio.gui.states import ICONS, NodeState
from studio.gui.theme import Theme, icon

_TITLE_SCALE = 1.15


class Header(QWidget):
    """Title and name in one row, the state in the next; help and hints below."""

    renamed = Signal(str)
    """The name that was typed."""
    help_toggled = Signal(bool)

    def __init__(self, title: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.title = label(title, "title")
        font = self.title.font()
        font.setPointSizeF(font.pointSizeF() * _TITLE_SCALE)
        self.title.setFont(font)
        self.field: Line | None = None
        """Where the name is typed; None where no single node is shown."""
        self.help_button = QToolButton()
        self.help_button.setIcon(icon("help", theme))
        self.help_button.setIconSize(icon_size(self))
        self.help_button.setAutoRaise(True)
        self.help_button.setCheckable(True)
        tip = self.tr("Explain the node and its parameters")
        self.help_button.setToolTip(tip)
        self.help_button.setAccessibleName(tip)
        self.help_button.toggled.connect(self._toggled)
        self.help_button.hide()
        self.help = label("", "dim", is_wrapped=True)
        self.hint = label("", "dim", is_wrapped=True)
        self.error = label("", "error", is_wrapped=True)
        self._state_icon = QLabel()
        self._state_text = label("", "dim", is_wrapped=True)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(8, 2, 2, 2)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._grid.addWidget(self.title, 0, 0)
        self._grid.addWidget(self.help_button, 0, 2)
        state = QHBoxLayout()
        state.setSpacing(6)
        state.addWidget(self._state_icon, 0, Qt.AlignmentFlag.AlignTop)
        state.addWidget(self._state_text, 1)
        self._grid.addLayout(state, 1, 0, 1, 3)
        for row, line in enumerate((self.error, self.hint, self.help), 2):
            self._grid.addWidget(line, row, 0, 1, 3)
            line.hide()
        self.show_state(None)

    def name(self, text: str) -> None:
        """Offer the name of the one node that is shown."""
        self.field = Line(text)
        self.field.setToolTip(self.tr("The node's name, as links and the command line call it"))
        self.field.setAccessibleName(self.tr("Name of the node"))
        self.field.editingFinished.connect(self._finished)
        self.title.setBuddy(self.field)
        self._grid.addWidget(self.field, 0, 1)

    def explain(self, text: str, *, is_shown: bool) -> None:
        """Put help behind the button, folded unless ``is_shown``."""
        self.help.setText(text)
        self.help_button.show()
        with QSignalBlocker(self.help_button):
            self.help_button.setChecked(is_shown)
        self.help.setVisible(is_shown and bool(text))

    def say(self, text: str) -> None:
        """Show a line that is not folded."""
        self.hint.setText(text)
        self.hint.setVisible(bool(text))

    def show_error(self, text: str) -> None:
        """Say why the name does not go; "" says that all is well."""
        self.error.setText(text)
        self.error.setVisible(bool(text))

    def show_state(self, state: NodeState | None) -> None:
        """Say what the run or the plan knows of the node."""
        is_told = state is not None and (state.status != "unknown" or bool(state.text))
        text = state_words(state) if state and is_told else ""
        self._state_text.setText(text)
        self._state_text.setProperty("role", "error" if state and state.error else "dim")
        self._state_text.style().polish(self._state_text)
        for widget in (self._state_text, self._state_icon):
            widget.setVisible(bool(text))
        if state and text:
            size = self.fontMetrics().height()
            self._state_icon.setPixmap(icon(ICONS[state.status], self._theme).pixmap(size, size))

    def _finished(self) -> None:
        if self.field is not None and self.field.isModified():
            self.renamed.emit(self.field.text().strip())

    def _toggled(self, is_shown: bool) -> None:
        self.help.setVisible(is_shown and bool(self.help.text()))
        self.help_toggled.emit(is_shown)
