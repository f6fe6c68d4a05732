"""The curves of a schedule under the parameters of its node, with a choice of what is drawn and how."""

from __future__ import annotations

from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QVBoxLayout, QWidget

from studio.gui.curve_plot import CurvesPlot
from studio.gui.curves import Curves
from studio.gui.inspector.words import label
from studio.gui.plot import switch
from studio.gui.theme import Theme


class CurvesView(QWidget):
    """A plot with its switches and a line that reads it."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = CurvesPlot(theme)
        self.run = switch(self.tr("Sigmas"), self.tr("Noise level before each step of the run"))
        self.training = switch(
            self.tr("Betas"), self.tr("Variance added, and what is left, over training")
        )
        self.log = switch(self.tr("Log"), self.tr("Equal ratios take equal heights"))
        self._group = QButtonGroup(self)
        for button in (self.run, self.training):
            self._group.addButton(button)
        self.run.setChecked(True)
        self.training.toggled.connect(self.plot.show_training)
        self.log.toggled.connect(self.plot.show_log)
        self.reading = label("", "dim")
        self.reading.setMinimumWidth(1)
        self.plot.read.connect(self.reading.setText)
        bar = QHBoxLayout()
        bar.setSpacing(2)
        for button in (self.run, self.training, self.log):
            bar.addWidget(button)
        bar.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 4, 0)
        column.setSpacing(2)
        column.addLayout(bar)
        column.addWidget(self.plot)
        column.addWidget(self.reading)

    def show_curves(self, curves: Curves) -> None:
        """Show the curves of a node, as far as they are known."""
        has_both = curves.is_run and bool(curves.betas)
        self.run.setVisible(has_both)
        self.training.setVisible(has_both)
        if not has_both and self.training.isChecked():
            self.run.setChecked(True)
        self.log.setVisible(not curves.guidance)
        self.plot.show_curves(curves)
