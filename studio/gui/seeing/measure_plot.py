"""What a training measures, painted as it comes: the loss with the mean that runs along, and the validation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.gui.plot import Plot
from studio.gui.running.measures import Record, Series
from studio.gui.theme import Hue, Theme

LOSS, VALIDATION = "loss", "validation"
"""What is drawn in one plot: both are losses."""
LOG_RATIO = 20.0
"""Where the greatest number is so many times the least, equal ratios take equal heights."""
_RAW_OPACITY = 0.45
_PARTS: tuple[Hue, ...] = ("teal", "amber", "violet", "pink")
"""Of the parts of the validation, those of little noise first."""
_DOTS_PX = 7.0
"""Validations nearer than that are a line without dots."""
_MEAN_POINTS = 200
_MARGIN = 0.04


class MeasurePlot(Plot):
    """One quantity of a record over the steps."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._record = Record()
        self._shown = LOSS
        self._has_parts = False
        self._log_choice: bool | None = None
        self.setAccessibleName(self.tr("What the training measures"))

    def minimumSizeHint(self) -> QSize:
        """The least size at which it is usable."""
        return QSize(160, 5 * self.fontMetrics().height())

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self.update()

    def show_record(self, record: Record) -> None:
        """Show a record, or what it has become."""
        if record is not self._record:
            self._record = record
            self.index = None
        self.tell()

    def show_quantity(self, name: str) -> None:
        """Show the numbers of a name; the validation goes with the loss."""
        self._shown = name
        self.index = None
        self.tell()

    def show_parts(self, has_parts: bool) -> None:
        """Show the parts of the validation, in place of their mean."""
        self._has_parts = has_parts
        self.tell()

    def show_log(self, is_log: bool) -> None:
        """Let equal ratios take equal heights, or not, whatever the numbers are."""
        self._log_choice = is_log
        self.update()

    @property
    def is_log(self) -> bool:
        """Whether equal ratios take equal heights: as was chosen, else where the numbers are far apart."""
        extent = self._extent()
        if extent is None or extent[0] <= 0:
            return False
        return extent[1] > LOG_RATIO * extent[0] if self._log_choice is None else self._log_choice

    # --- what is shown

    @property
    def _series(self) -> Series:
        return self._record.series.get(self._shown) or Series()

    def _validations(self) -> list[tuple[Series, QColor]]:
        """Those that go with what is shown, and their colours."""
        if self._shown != LOSS:
            return []
        found, hues = self._record.series, self._theme.hues
        if self._has_parts:
            return [(found[name], hues[hue]) for name, hue in parts(self._record)]
        return [(found[VALIDATION], hues["amber"])] if VALIDATION in found else []

    def _extent(self) -> tuple[float, float] | None:
        """The least and the greatest of all that is shown."""
        several = [self._series, *(series for series, _ in self._validations())]
        found = [extent for one in several if (extent := one.extent()) is not None]
        if not found:
            return None
        return min(low for low, _ in found), max(high for _, high in found)

    def count(self) -> int:
        """As many as there are numbers."""
        return len(self._series)

    def index_at(self, share: float) -> int:
        """The number whose step is nearest."""
        first, last = self._record.first, self._record.last
        return self._series.nearest(first + share * (last - first)) or 0

    def tell(self) -> None:
        """Say what is read and what is shown."""
        series = self._series
        if self.index is not None and self.index >= len(series):
            self.index = None
        if series:
            words = self.tr("{0} over steps {1} to {2}: {3} now, {4} on average")
            self.setAccessibleDescription(
                words.format(
                    self._shown,
                    series.steps[0],
                    series.steps[-1],
                    f"{series.values[-1]:.4g}",
                    f"{series.means[-1]:.4g}",
                )
            )
        self.read.emit(self.words())
        self.update()

    def words(self) -> str:
        """What was measured at the step that is read; "" where none is."""
        if self.index is None:
            return ""
        step = self._series.steps[self.index]
        return self.tr("step {0}: {1}").format(step, self.figures(step))

    def figures(self, step: int) -> str:
        """What was measured at a step."""
        return values_at(self._record, self._shown, step, has_parts=self._has_parts)

    # --- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the axes, the numbers, their mean and the step that is read."""
        painter = QPainter(self)
        extent = self._extent()
        self.paint_frame(painter, "" if extent else self.tr("no steps to show"))
        if extent is None:
            return
        area = self.area()
        scale = _Scale(area, self._record.first, self._record.last, extent, is_log=self.is_log)
        self._paint_axes(painter, area, scale)
        painter.setClipRect(area.adjusted(-5, -5, 5, 5))
        self._paint_series(painter, self._series, scale)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for series, color in self._validations():
            self._paint_validation(painter, series, color, scale)
        self._paint_legend(painter, area)
        self._paint_read(painter, area, scale)

    def _paint_axes(self, painter: QPainter, area: QRectF, scale: _Scale) -> None:
        theme, metrics = self._theme, self.fontMetrics()
        height = metrics.height()
        for value in scale.ticks(max(2, int(area.height() / (1.3 * height)))):
            y = scale.y(value)
            painter.setPen(theme.grid)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(theme.text_dim)
            painter.drawText(
                QRectF(0, y - height / 2, area.left() - 5, height),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                f"{value:.3g}",
            )
        painter.setPen(theme.border)
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setPen(theme.text_dim)
        wide = metrics.horizontalAdvance(f"{scale.last}")
        first = self.tr("step {0}").format(scale.first)
        ends = QRectF(area.left(), area.bottom() + 3, area.width(), height)
        painter.drawText(ends, Qt.AlignmentFlag.AlignLeft, first)
        painter.drawText(ends, Qt.AlignmentFlag.AlignRight, f"{scale.last}")
        begin = area.left() + metrics.horizontalAdvance(first) + wide
        for step in nice(scale.first, scale.last, max(1, int(area.width() / (wide + 60)))):
            x = scale.x(step)
            if begin < x < area.right() - 2 * wide and step == int(step):
                painter.setPen(theme.border)
                painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 3))
                painter.setPen(theme.text_dim)
                place = QRectF(x - wide, area.bottom() + 3, 2 * wide, height)
                painter.drawText(place, Qt.AlignmentFlag.AlignHCenter, f"{int(step)}")

    def _paint_series(self, painter: QPainter, series: Series, scale: _Scale) -> None:
        """The numbers thin, as a band from the least to the greatest where many share a pixel; the mean bold."""
        if not series:
            return
        raw = QColor(self._theme.accent)
        raw.setAlphaF(_RAW_OPACITY)
        blocks = list(series.blocks(max(int(scale.area.width()), 1)))
        painter.setPen(QPen(raw, 1))
        if len(blocks) == len(series):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.drawPolyline(scale.places(series.steps, series.values))
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(raw)
            painter.drawPolygon(_envelope(series, blocks, scale))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if len(series) > 1:
            chosen = [0, *(block[1] - 1 for block in series.blocks(_MEAN_POINTS))]
            steps, means = series.steps, series.means
            painter.setPen(QPen(self._theme.accent, 2))
            painter.drawPolyline(
                scale.places([steps[i] for i in chosen], [means[i] for i in chosen])
            )
        else:
            painter.setBrush(self._theme.accent)
            painter.drawEllipse(scale.place(series.steps[0], series.values[0]), 2.5, 2.5)

    def _paint_validation(
        self, painter: QPainter, series: Series, color: QColor, scale: _Scale
    ) -> None:
        if not series:
            return
        ends = [block[1] - 1 for block in series.blocks(max(int(scale.area.width()), 1))]
        places = scale.places([series.steps[i] for i in ends], [series.values[i] for i in ends])
        painter.setPen(QPen(color, 1.4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(places)
        if len(places) * _DOTS_PX > scale.area.width() and len(places) > 1:
            return
        painter.setPen(QPen(self._theme.field, 1))
        painter.setBrush(color)
        for place in places:
            painter.drawEllipse(place, 3.5, 3.5)

    def _paint_legend(self, painter: QPainter, area: QRectF) -> None:
        """Say which line is which, in the corner that a falling loss leaves free."""
        validations = self._validations()
        if not validations:
            return
        metrics, words = self.fontMetrics(), [(self._shown, self._theme.accent)]
        for number, (_, color) in enumerate(validations, 1):
            text = self.tr("quarter {0}") if number == 1 else "{0}"
            words.append((text.format(number) if self._has_parts else self.tr("validation"), color))
        widths = [metrics.horizontalAdvance(text) + 10 for text, _ in words]
        place = QRectF(area.right() - sum(widths), area.top(), sum(widths), metrics.height())
        ground = QColor(self._theme.field)
        ground.setAlphaF(0.8)
        painter.fillRect(place, ground)
        for (text, color), width in zip(words, widths, strict=True):
            painter.setPen(color)
            painter.drawText(place.adjusted(10, 0, 0, 0), Qt.AlignmentFlag.AlignLeft, text)
            place.setLeft(place.left() + width)

    def _paint_read(self, painter: QPainter, area: QRectF, scale: _Scale) -> None:
        series, index = self._series, self.index
        if index is None:
            return
        step = series.steps[index]
        x = scale.x(step)
        painter.setPen(QPen(self._theme.text_dim, 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setPen(QPen(self._theme.text, 1.5))
        painter.setBrush(self._theme.accent)
        painter.drawEllipse(QPointF(x, scale.y(series.means[index])), 4.0, 4.0)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QPointF(x, scale.y(series.values[index])), 3.0, 3.0)


class _Scale:
    """From steps and numbers to places."""

    def __init__(
        self, area: QRectF, first: int, last: int, extent: tuple[float, float], *, is_log: bool
    ) -> None:
        self.area, self.first, self.last = area, first, last
        self._is_log = is_log
        low, high = extent
        if is_log:
            low, high = math.log(low), math.log(high)
        margin = (high - low) * _MARGIN or abs(high) * _MARGIN or 1.0
        self._low, self._high = low - margin, high + margin
        if extent[0] >= 0 and not is_log:
            self._low = max(self._low, 0.0)

        self._down = area.height() / (self._high - self._low)
        self._right = area.width() / (last - first) if last > first else 0.0
        # a single step stands in the middle
        self._left = area.left() if last > first else area.center().x()

    def x(self, step: float) -> float:
        """Where a step is."""
        return self._left + self._right * (step - self.first)

    def y(self, value: float) -> float:
        """Where a number is."""
        height = math.log(value) if self._is_log else value
        return self.area.bottom() - self._down * (height - self._low)

    def place(self, step: float, value: float) -> QPointF:
        """Where a number of a step is."""
        return QPointF(self.x(step), self.y(value))

    def places(self, steps: Iterable[int], values: Iterable[float]) -> list[QPointF]:
        """Where many are, as ``place`` says, in a third of the time."""
        if self._is_log:
            values = map(math.log, values)
        left, right = self._left - self._right * self.first, self._right
        bottom, down = self.area.bottom() + self._down * self._low, self._down
        return [
            QPointF(left + right * step, bottom - down * height)
            for step, height in zip(steps, values, strict=True)
        ]

    def ticks(self, most: int) -> list[float]:
        """Round numbers in between."""
        if not self._is_log:
            return nice(self._low, self._high, most)
        return nice_log(math.exp(self._low), math.exp(self._high), most)


def nice(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``."""
    if high <= low or most < 1:
        return []
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [number * step for number in range(first, last + 1)]
    return []


def nice_log(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers from ``low`` to ``high``, in about equal ratios; both are above 0."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors, stride in (
        ((1, 2, 5), 1),
        ((1, 3), 1),
        ((1,), 1),
        ((1,), 2),
        ((1,), 3),
        ((1,), 6),
    ):
        found = [
            value
            for power in range(first, last + 1)
            if power % stride == 0
            for factor in factors
            if low <= (value := factor * 10.0**power) <= high
        ]
        if len(found) <= most:
            return found
    return []


def _envelope(
    series: Series, blocks: Sequence[tuple[int, int, float, float]], scale: _Scale
) -> list[QPointF]:
    """All that lies between the least and the greatest of each block, as wide as the block is."""
    steps = series.steps
    edges = [scale.x(steps[block[0]]) for block in blocks]
    edges.append(scale.x(steps[-1]))
    above, below = [], []
    for place, (_, _, low, high) in enumerate(blocks):
        bottom, top = scale.y(low), scale.y(high)
        for x in edges[place : place + 2]:
            above.append(QPointF(x, top))
            below.append(QPointF(x, bottom))
    return above + below[::-1]


def parts(record: Record) -> list[tuple[str, Hue]]:
    """The parts that the validation of a record has, with their hues."""
    names = (f"{VALIDATION}_{number}" for number in range(1, len(_PARTS) + 1))
    return [(name, hue) for name, hue in zip(names, _PARTS, strict=True) if name in record.series]


def quantities(record: Record) -> list[str]:
    """What has a plot of its own, the loss first."""
    with_loss = {VALIDATION, *(name for name, _ in parts(record))}
    names = [name for name in record.series if name not in with_loss]
    return sorted(names, key=lambda name: name != LOSS)


def values_at(record: Record, shown: str, step: int, *, has_parts: bool = False) -> str:
    """What a record has of a step, what is shown first; of what is measured now and then the last before."""
    words = []
    for name in sorted(quantities(record), key=lambda name: name != shown):
        series = record.series[name]
        index = series.at(step)
        if index is not None:
            mean = _tr(" (mean {0})").format(f"{series.means[index]:.3g}") if name == shown else ""
            words.append(f"{name} {series.values[index]:.3g}{mean}")
    named = [name for name, _ in parts(record)] if has_parts else [VALIDATION]
    told = [
        f"{found.values[index]:.3g}"
        for name in named
        if (found := record.series.get(name)) is not None and (index := found.at(step)) is not None
    ]
    if told:
        words.insert(1, _tr("validation {0}").format(" / ".join(told)))
    return " · ".join(words)


def _tr(text: str) -> str:
    return QCoreApplication.translate("MeasurePlot", text)
