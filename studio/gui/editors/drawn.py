"""Editors of what is drawn: curves over the run, and painted strokes."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from studio.arithmetic import evaluate
from studio.graph import Json, Param
from studio.gui.editors.curve import CurvePlot
from studio.gui.editors.editor import Editor, button
from studio.gui.editors.number_field import Line, shown
from studio.gui.theme import Theme, icon
from studio.registry import Points


class CurveEditor(Editor):
    """A curve over the run: points to drag, and the same points as text."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        assert isinstance(param.hint, Points)
        self.plot = CurvePlot(param.hint.low, param.hint.high, theme, self)
        self.plot.began.connect(self.begin_gesture)
        self.plot.changed.connect(self._plotted)
        self.plot.reset_requested.connect(self.reset_requested)
        self.line = Line(self)
        self.line.setAccessibleName(self.tr("Points of the curve as text"))
        self.line.editingFinished.connect(self._typed)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(self.plot)
        column.addWidget(self.line)
        self._row.addLayout(column)
        self.setFocusProxy(self.plot)
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.plot.set_theme(theme)

    def set_smooth(self, is_smooth: bool) -> None:
        """Draw lines from point to point, or steps."""
        self.plot.set_smooth(is_smooth)

    def _plotted(self, points: object) -> None:
        if self.offer(cast("Json", points)):
            self._show_line()

    def _typed(self) -> None:
        if not self.line.isModified():
            return
        self.line.setModified(False)
        if self._offer_alone(read_points(self.line.text())):
            self._show()

    def _show(self) -> None:
        points = self._value if isinstance(self._value, list) else []
        pairs = [
            (float(point[0]), float(point[1]))
            for point in points
            if isinstance(point, list)
            and len(point) == 2
            and isinstance(point[0], int | float)
            and isinstance(point[1], int | float)
        ]
        self.plot.set_points([] if self._is_mixed else pairs)
        self._show_line()

    def _show_line(self) -> None:
        self.line.setPlaceholderText(self.tr("mixed") if self._is_mixed else "")
        text = "" if self._is_mixed else written_points(self._value)
        if self.line.text() != text:
            self.line.setText(text)


def written_points(value: Json) -> str:
    """A curve as it is typed: ``0: 7.5, 1: 3``."""
    pairs = value if isinstance(value, list) else []
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return shown(value)
    return ", ".join(
        f"{shown(cast('list[Json]', pair)[0])}: {shown(cast('list[Json]', pair)[1])}"
        for pair in pairs
    )


def read_points(text: str) -> Json:
    """A typed curve; what is malformed is left in a form that the parameter refuses by its place."""
    found: list[Json] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        share, _, height = part.partition(":")
        try:
            found.append([float(evaluate(share)), float(evaluate(height))])
        except (ValueError, OverflowError):
            found.append(part)
    return found


class StrokesEditor(Editor):
    """Painted strokes: how many there are; they are painted in the mask editor."""

    painting_requested = Signal()

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.paint_button = QPushButton(icon("brush", theme), self.tr("Paint…"), self)
        self.paint_button.clicked.connect(self.painting_requested)
        self.clear_button = button("delete", self.tr("Remove all strokes"), theme, self)
        self.clear_button.clicked.connect(self._clear)
        self.summary = QLabel(self)
        self._take(self.paint_button, self.summary, self.clear_button)
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.paint_button.setIcon(icon("brush", theme))
        self.clear_button.setIcon(icon("delete", theme))

    def _clear(self) -> None:
        self._offer_alone([])
        self._show()

    def _show(self) -> None:
        count = len(self._value) if isinstance(self._value, list) else 0
        text = self.tr("mixed") if self._is_mixed else self.tr("{0} strokes").format(count)
        if not self._is_mixed and count == 1:
            text = self.tr("1 stroke")
        self.summary.setText(text)
        self.clear_button.setEnabled(bool(count) or self._is_mixed)
