"""How curves of schedules are painted: small on a node, and in the inspector with axes and a value under the mouse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from studio.gui.curves import Curves
from studio.gui.plot import Plot
from studio.gui.theme import Theme

_LOW_SHARE = 1e-6
"""Of the greatest value: where a logarithmic axis ends at the latest."""
_MAX_POINTS = 200


@dataclass(frozen=True)
class Line:
    """A curve to be painted, in words as well."""

    name: str
    values: tuple[float | None, ...]
    color: QColor
    is_scaled: bool = False
    """Drawn in shares of its own greatest value, because another line gives the axis."""

    @property
    def top(self) -> float:
        """The greatest value."""
        return max((value for value in self.values if value is not None), default=0.0) or 1.0

    @property
    def low(self) -> float:
        """Where a logarithmic axis ends, as a share of the greatest value."""
        positive = [value for value in self.values if value is not None and value > 0]
        return min(max(min(positive, default=1.0) / self.top, _LOW_SHARE), 0.5)


def lines_of(curves: Curves, theme: Theme, *, is_training: bool = False) -> list[Line]:
    """The lines of a node's curves: over the steps of the run, or over those of training."""
    if curves.guidance:
        return [Line(_tr("guidance"), curves.guidance, theme.accent)]
    if is_training or not curves.is_run:
        if not curves.betas:
            return []
        return [
            Line(_tr("alpha bar"), curves.remaining, theme.accent),
            Line(_tr("beta"), curves.betas, theme.hues["amber"], is_scaled=True),
        ]
    return [Line(_tr("sigma"), curves.sigmas, theme.accent)] if curves.sigmas else []


def thumbnail(curves: Curves, theme: Theme, width: int = 368, height: int = 112) -> QImage:
    """The curves as a node shows them; null where there are none."""
    lines = lines_of(curves, theme)
    if not lines:
        return QImage()
    image = QImage(QSize(width, height), QImage.Format.Format_RGB32)
    image.fill(theme.field)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    area = QRectF(8, 10, width - 16, height - 20)
    for line in reversed(lines):
        _paint(painter, area, line, line.top, 3.0, is_log=False)
    painter.end()
    return image


def _paint(
    painter: QPainter, area: QRectF, line: Line, top: float, width: float, *, is_log: bool
) -> None:
    painter.setPen(QPen(line.color, width))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    places = [_place(area, index, line, top, is_log=is_log) for index in _indices(len(line.values))]
    painter.drawPolyline(QPolygonF([place for place in places if place is not None]))


def _indices(count: int) -> Sequence[int]:
    """All of few, some of many, the last always."""
    if count <= _MAX_POINTS:
        return range(count)
    return [round(index * (count - 1) / (_MAX_POINTS - 1)) for index in range(_MAX_POINTS)]


def _place(area: QRectF, index: int, line: Line, top: float, *, is_log: bool) -> QPointF | None:
    value = line.values[index]
    if value is None or (is_log and value <= 0):
        return None
    across = index / (len(line.values) - 1) if len(line.values) > 1 else 0.5
    share = value / (line.top if line.is_scaled else top)
    if is_log:
        share = max(1 - math.log(share) / math.log(line.low), 0.0)
    return QPointF(area.left() + across * area.width(), area.bottom() - share * area.height())


class CurvesPlot(Plot):
    """Curves of a schedule, which are read step by step."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._curves = Curves()
        self._is_training = False
        self._is_log = False
        self.setAccessibleName(self.tr("Curves"))

    @property
    def is_training(self) -> bool:
        """Whether betas over training are shown, not sigmas over the run."""
        return self._is_training

    def show_curves(self, curves: Curves) -> None:
        """Show other curves."""
        self._curves = curves
        self.tell()

    def show_training(self, is_training: bool) -> None:
        """Show betas over training, or sigmas over the run."""
        self._is_training = is_training
        self.index = None
        self.tell()

    def show_log(self, is_log: bool) -> None:
        """Let equal ratios take equal heights."""
        self._is_log = is_log
        self.update()

    def _lines(self) -> list[Line]:
        return lines_of(self._curves, self._theme, is_training=self._is_training)

    def tell(self) -> None:
        """Say what is shown and what is read."""
        lines = self._lines()
        if self.index is not None and lines:
            self.index = min(self.index, len(lines[0].values) - 1)
        words = [self._summary(line) for line in lines]
        self.setAccessibleDescription("; ".join(words))
        self.read.emit(self.words() if self.index is not None else "")
        self.update()

    def _summary(self, line: Line) -> str:
        known = [value for value in line.values if value is not None]
        if not known:
            return line.name
        return self.tr("{0} from {1} to {2} over {3}").format(
            line.name, f"{known[0]:.4g}", f"{known[-1]:.4g}", self._length(len(line.values))
        )

    def _length(self, count: int) -> str:
        if self._curves.guidance:
            return self.tr("the run")
        if self._is_training or not self._curves.is_run:
            return self.tr("{0} training steps").format(count)
        return self.tr("{0} steps").format(count - 1)

    def words(self) -> str:
        """What stands at the step that is read."""
        lines, index = self._lines(), self.index
        if index is None or not lines:
            return ""
        count = len(lines[0].values)
        values = [
            f"{line.name} {line.values[index]:.3g}"
            for line in lines
            if line.values[index] is not None
        ]
        if self._curves.guidance:
            return f"{index / (count - 1) * 100:.0f} %: " + ", ".join(values)
        if self._is_training or not self._curves.is_run:
            return self.tr("training {0}: ").format(index) + ", ".join(values)
        if index < len(self._curves.timesteps):
            values.append(self.tr("timestep {0}").format(f"{self._curves.timesteps[index]:.5g}"))
        step = self.tr("step {0} of {1}: ") if index < count - 1 else self.tr("the end: ")
        return step.format(index + 1, count - 1) + ", ".join(values)

    def count(self) -> int:
        """As many as the first line has values."""
        lines = self._lines()
        return len(lines[0].values) if lines else 0

    # --- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the axes, the lines and the step that is read."""
        area, lines = self.area(), self._lines()
        painter = QPainter(self)
        self.paint_frame(painter, "" if lines else self.tr("worked out by the worker…"))
        if not lines:
            return
        top = lines[0].top
        self._paint_axes(painter, area, lines[0])
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for line in reversed(lines):
            _paint(painter, area, line, top, 1.8, is_log=self._is_log)
        self._paint_dots(painter, area, lines, top)
        self._paint_read(painter, area, lines, top)
        if len(lines) > 1:
            self._paint_legend(painter, area, lines)

    def _paint_axes(self, painter: QPainter, area: QRectF, line: Line) -> None:
        top, count = line.top, len(line.values)
        theme, height = self._theme, self.fontMetrics().height()
        for part in (0.0, 0.5, 1.0):
            y = area.bottom() - part * area.height()
            painter.setPen(theme.grid if part else theme.border)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            value = top * (line.low ** (1 - part) if self._is_log else part)
            painter.setPen(theme.text_dim)
            painter.drawText(
                QRectF(0, y - height / 2, area.left() - 5, height),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                f"{value:.3g}",
            )
        painter.setPen(theme.text_dim)
        ends = QRectF(area.left(), area.bottom() + 3, area.width(), height)
        if self._curves.guidance:
            first, last = "0 %", "100 %"
        elif self._is_training or not self._curves.is_run:
            first, last = "0", str(count)
        else:
            first, last = self.tr("step 1"), str(count - 1)
        painter.drawText(ends, Qt.AlignmentFlag.AlignLeft, first)
        painter.drawText(ends, Qt.AlignmentFlag.AlignRight, last)

    def _paint_dots(
        self, painter: QPainter, area: QRectF, lines: Sequence[Line], top: float
    ) -> None:
        """A dot a step, where there is room for dots."""
        line = lines[0]
        is_run = not self._curves.guidance and not self._is_training and self._curves.is_run
        if not is_run or area.width() / len(line.values) < 5:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(line.color)
        for index in range(len(line.values)):
            place = _place(area, index, line, top, is_log=self._is_log)
            if place is not None:
                painter.drawEllipse(place, 2.2, 2.2)

    def _paint_read(
        self, painter: QPainter, area: QRectF, lines: Sequence[Line], top: float
    ) -> None:
        if self.index is None:
            return
        for line in lines:
            place = _place(area, self.index, line, top, is_log=self._is_log)
            if place is None:
                continue
            painter.setPen(QPen(self._theme.text_dim, 1, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(place.x(), area.top()), QPointF(place.x(), area.bottom()))
            painter.setPen(QPen(self._theme.text, 1.5))
            painter.setBrush(line.color)
            painter.drawEllipse(place, 4.0, 4.0)

    def _paint_legend(self, painter: QPainter, area: QRectF, lines: Sequence[Line]) -> None:
        """Say which line is which, between the ends of the axis."""
        metrics, texts = self.fontMetrics(), []
        for line in lines:
            text = self.tr("{0} (to {1})").format(line.name, f"{line.top:.3g}")
            texts.append(text if line.is_scaled else line.name)
        width = sum(metrics.horizontalAdvance(text) + 28 for text in texts) - 12
        x, y, height = area.center().x() - width / 2, area.bottom() + 3, metrics.height()
        for line, text in zip(lines, texts, strict=True):
            painter.setPen(QPen(line.color, 2))
            painter.drawLine(QPointF(x, y + height / 2), QPointF(x + 12, y + height / 2))
            painter.setPen(self._theme.text)
            room = metrics.horizontalAdvance(text) + 4
            painter.drawText(QRectF(x + 16, y, room, height), Qt.AlignmentFlag.AlignLeft, text)
            x += room + 24


def _tr(text: str) -> str:
    return QCoreApplication.translate("CurvesPlot", text)
