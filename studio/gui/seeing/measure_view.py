"""The curve of a training under what it paints: the plot, its switches, and the numbers in figures."""

from __future__ import annotations

from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from studio.gui.inspector.words import words_of
from studio.gui.lines import Line
from studio.gui.plot import switch
from studio.gui.running.measures import Record
from studio.gui.running.tracking import duration
from studio.gui.seeing.measure_plot import MeasurePlot, parts, quantities
from studio.gui.states import NodeState
from studio.gui.theme import Theme


class MeasureView(QWidget):
    """Shows one record, as often as it is told to."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = Record()
        self.setAccessibleName(self.tr("Training"))
        self.plot = MeasurePlot(theme)
        self.place = Line()
        self.figures = Line()
        self.parts = switch(
            self.tr("Quarters"),
            self.tr("The validation by quarter of the timesteps, the first with the least noise"),
        )
        self.log = switch(self.tr("Log"), self.tr("Equal ratios take equal heights"))
        self.parts.toggled.connect(self.plot.show_parts)
        self.log.clicked.connect(self.plot.show_log)
        self.plot.read.connect(self._read)
        self.quantities: dict[str, QToolButton] = {}
        """What can be shown, by name."""
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(self._chosen)
        self._choices = QHBoxLayout()
        self._choices.setSpacing(2)
        bar = QHBoxLayout()
        bar.setSpacing(2)
        bar.addLayout(self._choices)
        bar.addWidget(self.parts)
        bar.addWidget(self.log)
        bar.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 2, 6, 3)
        column.setSpacing(2)
        column.addLayout(bar)
        column.addWidget(self.plot)
        column.addWidget(self.place)
        column.addWidget(self.figures)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self.plot.set_theme(theme)

    def show_record(self, node: str, record: Record, state: NodeState) -> None:
        """Show what a node has measured, and how far it is."""
        self._record = record
        self._offer(quantities(record))
        self.parts.setVisible(bool(parts(record)))
        self.plot.show_record(record)
        self.log.setChecked(self.plot.is_log)
        self.place.setText(self._place(node, record, state))

    def _place(self, node: str, record: Record, state: NodeState) -> str:
        """The node, its step, and how long it is going to take."""
        if not record.series:
            return self.tr("{0} · its steps are no longer stored").format(node)
        if not record.steps:
            return self.tr("{0} · step {1}").format(node, record.last)
        text = self.tr("{0} · step {1} of {2}").format(node, record.last, record.steps)
        if state.status == "running" and state.eta_seconds:
            text += self.tr(", {} left").format(duration(state.eta_seconds))
        return text

    def _read(self, words: str) -> None:
        """Show what is read, else what is now."""
        record = self._record
        self.figures.setText(words or self.plot.figures(record.last) or self._said(record))

    def _said(self, record: Record) -> str:
        """What the result itself says."""
        words = []
        for name, value in record.figures.items():
            several = value if isinstance(value, list) else [value]
            numbers = [f"{one:.4g}" for one in several if isinstance(one, int | float)]
            words.append(f"{name} {' / '.join(numbers)}")
        return " · ".join(words)

    @property
    def shown(self) -> str:
        """The name of what is plotted."""
        return next((name for name, one in self.quantities.items() if one.isChecked()), "")

    def _offer(self, names: list[str]) -> None:
        if list(self.quantities) == names:
            return
        shown = self.shown
        for button in self.quantities.values():
            self._group.removeButton(button)
            self._choices.removeWidget(button)
            button.deleteLater()
        self.quantities = {}
        for name in names:
            text = words_of(name)
            button = switch(text[:1].upper() + text[1:], self.tr("Show the {0}").format(text))
            self.quantities[name] = button
            self._group.addButton(button)
            self._choices.addWidget(button)
        if names:
            self.quantities[shown if shown in names else names[0]].setChecked(True)
            self.plot.show_quantity(self.shown)

    def _chosen(self) -> None:
        self.plot.show_quantity(self.shown)
        self.log.setChecked(self.plot.is_log)
