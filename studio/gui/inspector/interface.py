"""What the group of a node shows outside, to be renamed and taken away, and the nodes of its body."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from studio.gui import edits
from studio.gui.editors.number_field import Line
from studio.gui.inspector.ports import LinkButton, UnlinkButton
from studio.gui.inspector.words import label
from studio.gui.theme import Theme
from studio.workflow import Group


class _Name(Line):
    """A name of the interface that can be typed over."""

    def __init__(self, side: edits.Side | None, name: str) -> None:
        super().__init__(name)
        self.side = side
        self.old = name


class Interface(QWidget):
    """The name of the group, each thing that it shows with the place inside that it stands for, its nodes."""

    group_renamed = Signal(str)
    shown_renamed = Signal(str, str, str)
    """Side, old and new name."""
    concealed = Signal(str)
    """A parameter that is no longer to stand on the group's node."""
    went = Signal(str)
    """To a node of the body."""

    def __init__(
        self, name: str, group: Group, outer: str, theme: Theme, parent: QWidget | None = None
    ) -> None:
        """``outer``: the node that stands for the group."""
        super().__init__(parent)
        self._theme = theme
        self.fields: dict[tuple[str, str], Line] = {}
        """The names by side and name; that of the group by ("", "")."""
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 2, 0)
        column.setSpacing(2)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(1)
        self._grid.setColumnStretch(1, 1)
        column.addLayout(self._grid)
        self._add(self.tr("group"), None, name, "", self.tr("Name of the group"))
        for port, inners in sorted(group.inputs.items()):
            there = ", ".join(str(inner) for inner in inners)
            self._add(self.tr("input"), "inputs", port, f"→ {there}", self.tr("Input of the group"))
        for port, link in sorted(group.outputs.items()):
            self._add(
                self.tr("output"), "outputs", port, f"← {link}", self.tr("Output of the group")
            )
        for param, inner in sorted(group.params.items()):
            words = self.tr("Parameter of the group")
            row = self._add(self.tr("param"), "params", param, f"→ {inner}", words)
            away = UnlinkButton(param, theme)
            away.setToolTip(self.tr("No longer show {0} on the node").format(param))
            away.setAccessibleName(away.toolTip())
            away.clicked.connect(self._conceal)
            self._grid.addWidget(away, row, 3)
        self.error = label("", "error", is_wrapped=True)
        self.error.hide()
        column.addWidget(self.error)
        column.addWidget(label(self.tr("Nodes inside"), "dim"))
        self._add_nodes(column, group.graph.nodes, outer)

    def _add(self, kind: str, side: edits.Side | None, name: str, there: str, words: str) -> int:
        row = self._grid.rowCount()
        field = _Name(side, name)
        field.setAccessibleName(f"{words}: {name}")
        field.setAccessibleDescription(there)
        field.editingFinished.connect(self._renamed)
        self.fields[side or "", name if side else ""] = field
        place = label(there, "dim")
        place.setToolTip(there)
        place.setMinimumWidth(1)
        self._grid.addWidget(label(kind, "dim"), row, 0)
        self._grid.addWidget(field, row, 1)
        self._grid.addWidget(place, row, 2)
        return row

    def _add_nodes(self, column: QVBoxLayout, nodes: Iterable[str], outer: str) -> None:
        for name in nodes:
            button = LinkButton(name, f"{outer}/{name}")
            button.setAccessibleName(self.tr("{0}, go there").format(name))
            button.clicked.connect(self._go)
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)

    def show_error(self, text: str) -> None:
        """Say why a name does not go."""
        self.error.setText(text)
        self.error.setVisible(bool(text))

    def _renamed(self) -> None:
        field = self.sender()
        if not isinstance(field, _Name) or not field.isModified():
            return
        field.setModified(False)
        new = field.text().strip()
        if field.side is None:
            self.group_renamed.emit(new)
        else:
            self.shown_renamed.emit(field.side, field.old, new)

    def _conceal(self) -> None:
        sender = self.sender()
        if isinstance(sender, UnlinkButton):
            self.concealed.emit(sender.port)

    def _go(self) -> None:
        sender = self.sender()
        if isinstance(sender, LinkButton):
            self.went.emit(sender.node)
