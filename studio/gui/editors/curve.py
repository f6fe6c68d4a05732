"""A plot of a curve over the run whose points are dragged by mouse or keys."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.gui.theme import Theme

Pair = tuple[float, float]

_GRAB_PX = 9.0
_RADIUS = 4.5
_APART = 0.001
"""Shares of neighbouring points differ at least by this; it is also what they are rounded to."""
_KEYS = frozenset(
    {
        Qt.Key.Key_Left,
        Qt.Key.Key_Right,
        Qt.Key.Key_Up,
        Qt.Key.Key_Down,
        Qt.Key.Key_PageUp,
        Qt.Key.Key_PageDown,
        Qt.Key.Key_Insert,
        Qt.Key.Key_Delete,
        Qt.Key.Key_Backspace,
    }
)


class CurvePlot(QWidget):
    """Points ``(share of the run, value)`` between ``low`` and ``high``.

    Drag a point; double-click adds one, right-click or Delete removes one. With keys: Page Up and Page Down go from
    point to point, arrows move it (Shift finer), Insert adds one after it, Delete removes it.
    """

    changed = Signal(object)
    """The points as ``[[share, value], …]``, shares rising."""
    began = Signal()
    """A gesture begins."""
    reset_requested = Signal()

    def __init__(self, low: float, high: float, theme: Theme, parent: QWidget | None = None):
        super().__init__(parent)
        self._low, self._high = low, high
        self._theme = theme
        self._points: list[Pair] = []
        self._is_smooth = True
        self._chosen = 0
        self._before: list[Pair] | None = None
        self._top = high
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName(self.tr("Curve over the run"))
        self._say()

    def sizeHint(self) -> QSize:
        """Wide, and some lines of text high."""
        return QSize(220, self.fontMetrics().lineSpacing() * 8)

    def points(self) -> list[Pair]:
        """The points as they are shown."""
        return list(self._points)

    def set_points(self, points: Sequence[Pair]) -> None:
        """Show other points; the scale follows except during a drag."""
        self._points = list(points)
        self._chosen = min(self._chosen, max(len(self._points) - 1, 0))
        if self._before is None:
            self._fit()
        self._say()
        self.update()

    @property
    def is_smooth(self) -> bool:
        """Whether the value goes straight from point to point; otherwise each holds until the next."""
        return self._is_smooth

    def set_smooth(self, is_smooth: bool) -> None:
        """Draw lines from point to point, or let each value hold until the next."""
        self._is_smooth = is_smooth
        self.update()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self.update()

    # --- places

    def _fit(self) -> None:
        largest = max((value for _, value in self._points), default=self._high)
        room = (largest - self._low) * 1.25 + (self._high - self._low) * 0.02
        self._top = min(self._high, self._low + room)

    def _area(self) -> QRectF:
        metrics = self.fontMetrics()
        left = metrics.horizontalAdvance(f"{self._top:.1f}") + 8
        below = metrics.height() + 4
        return QRectF(self.rect()).adjusted(left, metrics.height() / 2 + 3, -10, -below)

    def place(self, point: Pair) -> QPointF:
        """Where a point is painted, in the widget's coordinates."""
        area = self._area()
        share = (point[1] - self._low) / ((self._top - self._low) or 1.0)
        return QPointF(area.left() + point[0] * area.width(), area.bottom() - share * area.height())

    def _pair(self, at: QPointF) -> Pair:
        area = self._area()
        share = (at.x() - area.left()) / area.width()
        value = self._low + (area.bottom() - at.y()) / area.height() * (self._top - self._low)
        return share, value

    def _nearest(self, at: QPointF) -> int | None:
        def distance(index: int) -> float:
            offset = self.place(self._points[index]) - at
            return float(offset.manhattanLength())

        if not self._points:
            return None
        index = min(range(len(self._points)), key=distance)
        return index if distance(index) <= 2 * _GRAB_PX else None

    # --- changes

    def _move(self, index: int, to: Pair) -> None:
        """Move a point as far as its neighbours and the range let it."""
        left = self._points[index - 1][0] + _APART if index else 0.0
        is_last = index == len(self._points) - 1
        right = 1.0 if is_last else self._points[index + 1][0] - _APART
        if right < left:  # typed closer together than a drag would put them
            left = right = self._points[index][0]
        share = min(max(round(to[0], 3), left), right)
        value = min(max(round(to[1], 2), self._low), self._high)
        self._points[index] = (round(share, 6), value)
        self._emit()

    def _emit(self) -> None:
        self._say()
        self.update()
        self.changed.emit([[share, value] for share, value in self._points])

    def _add(self, to: Pair) -> None:
        share = min(max(round(to[0], 3), 0.0), 1.0)
        if any(abs(share - other) < _APART for other, _ in self._points):
            return
        value = min(max(round(to[1], 2), self._low), self._high)
        self.began.emit()
        self._points = sorted([*self._points, (share, value)])
        self._chosen = self._points.index((share, value))
        self._emit()

    def _remove(self, index: int) -> None:
        if len(self._points) < 2:
            return
        self.began.emit()
        del self._points[index]
        self._chosen = min(index, len(self._points) - 1)
        self._emit()
        self._fit()

    # --- mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of a point; the right button removes it."""
        index = self._nearest(event.position())
        if index is None:
            return
        self._chosen = index
        self._say()
        self.update()
        if event.button() == Qt.MouseButton.LeftButton:
            self._before = list(self._points)
            self.began.emit()
        elif event.button() == Qt.MouseButton.RightButton:
            self._remove(index)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the point, or show that it can be moved."""
        if self._before is not None:
            self._move(self._chosen, self._pair(event.position()))
            return
        is_near = self._nearest(event.position()) is not None
        self.setCursor(Qt.CursorShape.SizeAllCursor if is_near else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go; the scale follows the curve."""
        if self._before is not None:
            self._before = None
            self._fit()
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Add a point."""
        if event.button() == Qt.MouseButton.LeftButton and self._nearest(event.position()) is None:
            self._add(self._pair(event.position()))

    # --- keys

    def event(self, event: QEvent) -> bool:
        """Claim the plot's keys before the window's shortcuts."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            plain = not event.modifiers() & ~(
                Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier
            )
            is_cancel = event.key() == Qt.Key.Key_Escape and self._before is not None
            if is_cancel or (plain and event.key() in _KEYS):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose, move, add and remove points."""
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape and self._before is not None:
            self._points, self._before = self._before, None
            self._emit()
        elif key == Qt.Key.Key_Backspace:
            self.reset_requested.emit()
        elif key not in _KEYS or not self._points:
            event.ignore()
        else:
            self._act(key, event)

    def _act(self, key: Qt.Key, event: QKeyEvent) -> None:
        share, value = self._points[self._chosen]
        is_fine = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        across, up = (0.001, 0.01) if is_fine else (0.01, 0.1)
        moves = {
            Qt.Key.Key_Left: (share - across, value),
            Qt.Key.Key_Right: (share + across, value),
            Qt.Key.Key_Up: (share, value + up),
            Qt.Key.Key_Down: (share, value - up),
        }
        if key in moves:
            if not event.isAutoRepeat():
                self.began.emit()
            self._move(self._chosen, moves[key])
            self._fit()
        elif key == Qt.Key.Key_Delete:
            self._remove(self._chosen)
        elif key == Qt.Key.Key_Insert:
            is_last = self._chosen == len(self._points) - 1
            after = (1.0, value) if is_last else self._points[self._chosen + 1]
            self._add(((share + after[0]) / 2, (value + after[1]) / 2))
        else:
            step = 1 if key == Qt.Key.Key_PageDown else -1
            self._chosen = min(max(self._chosen + step, 0), len(self._points) - 1)
            self._say()
            self.update()

    def _say(self) -> None:
        """Tell a screen reader which point is chosen."""
        if not self._points:
            self.setAccessibleDescription(self.tr("no points"))
            return
        share, value = self._points[self._chosen]
        self.setAccessibleDescription(
            self.tr("point {0} of {1}: {2} at {3} of the run").format(
                self._chosen + 1, len(self._points), f"{value:g}", f"{share:g}"
            )
        )

    # --- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the axes, the curve and its points."""
        theme, area = self._theme, self._area()
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.field)
        painter.setPen(theme.accent if self.hasFocus() else theme.border)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        self._paint_axes(painter, area)
        if not self._points:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.accent, 2))
        painter.drawPolyline(self._line(area))
        for index, point in enumerate(self._points):
            is_chosen = index == self._chosen and self.hasFocus()
            painter.setBrush(theme.accent if is_chosen else theme.field)
            painter.setPen(QPen(theme.accent, 2))
            painter.drawEllipse(self.place(point), _RADIUS, _RADIUS)

    def _paint_axes(self, painter: QPainter, area: QRectF) -> None:
        theme, height = self._theme, self.fontMetrics().height()
        for part in (0.0, 0.25, 0.5, 0.75, 1.0):
            painter.setPen(theme.grid)
            x, y = area.left() + part * area.width(), area.bottom() - part * area.height()
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            if part in (0.25, 0.75):
                continue
            painter.setPen(theme.text_dim)
            value = self._low + part * (self._top - self._low)
            painter.drawText(
                QRectF(0, y - height / 2, area.left() - 5, height),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                f"{value:.1f}".removesuffix(".0"),
            )
            words = QRectF(x - 60, area.bottom() + 3, 120, height)
            if part == 0.0:
                words.moveLeft(area.left())
            elif part == 1.0:
                words.moveRight(area.right() + 8)
            painter.drawText(words, _ALIGNED[part], f"{part * 100:.0f} %")

    def _line(self, area: QRectF) -> QPolygonF:
        places = [self.place(point) for point in self._points]
        found = [QPointF(area.left(), places[0].y())]
        for at in places:
            if not self._is_smooth:
                found.append(QPointF(at.x(), found[-1].y()))
            found.append(at)
        found.append(QPointF(area.right(), places[-1].y()))
        return QPolygonF(found)


_ALIGNED = {
    0.0: Qt.AlignmentFlag.AlignLeft,
    0.5: Qt.AlignmentFlag.AlignHCenter,
    1.0: Qt.AlignmentFlag.AlignRight,
}
