"""What would run and what has been said: the plan as a table, the log, and the bar that tells of a failure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    Signal,
)
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from studio.gui.lines import Line
from studio.gui.running.tracking import Outcome, duration
from studio.gui.states import Failure
from studio.gui.theme import Theme

if TYPE_CHECKING:
    from studio.plan import Planned

_LOG_LINES = 2000
_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()


class PlanModel(QAbstractTableModel):
    """The plan's nodes: name, status, why, how long."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: Sequence[Planned] = ()
        self._problems: Sequence[Failure] = ()

    def show_outcome(self, outcome: Outcome) -> None:
        """Take over what planning gave."""
        self.beginResetModel()
        self._rows = outcome.plan.nodes if outcome.plan else ()
        self._problems = outcome.problems
        self.endResetModel()

    def set_theme(self, theme: Theme) -> None:
        """Colour by another theme."""
        self._theme = theme
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, 3))

    def node(self, row: int) -> str:
        """The node of a row, as the canvas has it."""
        if self._problems:
            return self._problems[row].where.partition(":")[0].partition(".")[0].partition("/")[0]
        return self._rows[row].node.partition("/")[0]

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """A row per node, or per problem."""
        return 0 if parent.isValid() else len(self._problems) or len(self._rows)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        """Node, status, reason, duration."""
        return 0 if parent.isValid() else 4

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The titles of the columns."""
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return (_tr("Node"), _tr("What happens"), _tr("Why"), _tr("Time"))[section]

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What a cell shows."""
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole or role == Qt.ItemDataRole.ToolTipRole:
            if self._problems:
                problem = self._problems[row]
                what = _tr("cannot run")
                return (problem.where, what, _sentence(problem), "")[column]
            node = self._rows[row]
            return (str(node.node), _status(node), node.reason, _time(node))[column]
        if role == Qt.ItemDataRole.ForegroundRole and column == 1:
            if self._problems:
                return self._theme.error
            status = self._rows[row].status
            return {
                "cached": self._theme.cached,
                "resumes": self._theme.resumes,
                "runs": self._theme.running,
                "skipped": self._theme.text_dim,
            }[status]
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 3:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


def _status(node: Planned) -> str:
    if node.status == "resumes":
        return _tr("resumes at {} of {}").format(node.from_step, node.steps)
    if node.status == "runs":
        return _tr("runs {} steps").format(node.steps) if node.steps else _tr("runs")
    return _tr("stored") if node.status == "cached" else _tr("not needed")


def _time(node: Planned) -> str:
    if node.status not in ("runs", "resumes"):
        return ""
    if node.seconds is None:
        return "?"
    return duration(node.seconds) if node.seconds else ""


def _sentence(problem: Failure) -> str:
    return f"{problem.what}; {problem.remedy}" if problem.remedy else problem.what


class PlanPanel(QWidget):
    """The summary above the table; a row chosen is a node to be shown."""

    node_chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.summary = Line(self.tr("No plan yet"))
        self.summary.setProperty("role", "title")
        self.model = PlanModel(theme, self)
        self.table = QTableView()
        self.table.setAccessibleName(self.tr("Plan"))
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setTabKeyNavigation(False)
        self.table.verticalHeader().hide()
        row = self.table.fontMetrics().height() + 6
        self.table.verticalHeader().setDefaultSectionSize(row)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        for column, width in ((0, 130), (1, 150), (3, 70)):
            self.table.setColumnWidth(column, width)
        self.table.activated.connect(self._activated)
        self.table.clicked.connect(self._activated)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 4)
        layout.addWidget(self.summary)
        layout.addWidget(self.table)

    def show_outcome(self, outcome: Outcome) -> None:
        """Show what planning gave."""
        self.summary.setText(outcome.summary)
        self.model.show_outcome(outcome)

    def set_theme(self, theme: Theme) -> None:
        """Colour by another theme."""
        self.model.set_theme(theme)

    def _activated(self, index: QModelIndex) -> None:
        self.node_chosen.emit(self.model.node(index.row()))


class LogPanel(QPlainTextEdit):
    """What happened, a line each with its time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setMaximumBlockCount(_LOG_LINES)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(self.tr("Log"))
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(True)

    def add(self, text: str) -> None:
        """Append a line."""
        self.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")


class FailureBar(QFrame):
    """Tells of a failure in plain words: what, where, what to do; gives the details to the clipboard."""

    node_chosen = Signal(str)
    taken = Signal(str)
    """The offer was taken, for the node that failed; "" for the whole."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Failure"))
        self._details = ""
        self._node = ""
        self.what = QLabel()
        self.remedy = QLabel()
        for label in (self.what, self.remedy):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.what.setProperty("role", "error")
        self.offer = QPushButton(self.tr("Add what it needs"))
        self.offer.clicked.connect(self._taken)
        self.show_node = QPushButton(self.tr("Show the n&ode"))
        self.copy = QPushButton(self.tr("Cop&y details"))
        self.dismiss = QPushButton(self.tr("&Dismiss"))
        self.show_node.clicked.connect(self._chosen)
        self.copy.clicked.connect(self._copied)
        self.dismiss.clicked.connect(self.hide)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.what)
        words.addWidget(self.remedy)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 10, 8)
        row.addLayout(words, 1)
        for button in (self.offer, self.show_node, self.copy, self.dismiss):
            button.setAccessibleName(button.text().replace("&", "") or self.tr("Mend it"))
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.set_theme(theme)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """Colour by another theme."""
        self.setStyleSheet(
            f"FailureBar {{ background: {theme.panel.name()};"
            f" border-left: 4px solid {theme.error.name()}; }}"
        )

    def tell(self, failure: Failure, details: str = "", offer: str = "") -> None:
        """Show a failure; ``details`` is what is copied beyond it, ``offer`` what can be done about it at once."""
        self._node = failure.where.partition(":")[0].partition(".")[0]
        self.offer.setText(offer)
        self.offer.setAccessibleName(offer or self.tr("Mend it"))
        self.offer.setVisible(bool(offer))
        where = f"{failure.where}: " if failure.where else ""
        self.what.setText(where + failure.what)
        remedy = failure.remedy
        self.remedy.setText(remedy[:1].upper() + remedy[1:])
        self.remedy.setVisible(bool(remedy))
        self.show_node.setVisible(bool(self._node))
        self._details = "\n".join(filter(None, (str(failure), details)))
        self.show()

    def _chosen(self) -> None:
        self.node_chosen.emit(self._node)

    def _taken(self) -> None:
        self.hide()
        self.taken.emit(self._node)

    def _copied(self) -> None:
        QGuiApplication.clipboard().setText(self._details)


def _tr(text: str) -> str:
    return QCoreApplication.translate("PlanPanel", text)
