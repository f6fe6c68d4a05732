"""A drawing with axes that is read place by place, by the mouse or the arrow keys."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QEnterEvent, QFocusEvent, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QSizePolicy, QToolButton, QWidget

from studio.gui.theme import Theme

_LINES = 8


class Plot(QWidget):
    """A field for curves; what they are, ``count`` and ``tell`` say, which others define."""

    read = Signal(str)
    """What stands at the place under the mouse; "" where there is none."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.index: int | None = None
        """The place that is read."""
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """As high as eight lines of text."""
        return QSize(200, _LINES * self.fontMetrics().height())

    def count(self) -> int:
        """How many places there are to read."""
        return 0

    def index_at(self, share: float) -> int:
        """The place at a share of the width; there is one."""
        return round(share * (self.count() - 1))

    def tell(self) -> None:
        """Say what is read, and what can be seen, to those who do not see it; paint again."""
        self.update()

    def area(self) -> QRectF:
        """Where the curves are, with room for numbers to the left and below."""
        height = self.fontMetrics().height()
        left = self.fontMetrics().horizontalAdvance("0000.0") + 6
        return QRectF(
            left, height / 2 + 2, self.width() - left - 10, self.height() - 1.5 * height - 8
        )

    def paint_frame(self, painter: QPainter, words: str) -> None:
        """Paint the field, and words where there is nothing else to show."""
        painter.fillRect(self.rect(), self._theme.field)
        painter.setPen(self._theme.accent if self.hasFocus() else self._theme.border)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.setPen(self._theme.text_dim)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, words)

    # --- reading

    def _read_at(self, x: float) -> None:
        if self.count() < 2:
            return
        area = self.area()
        share = (x - area.left()) / max(area.width(), 1.0)
        self.index = self.index_at(min(max(share, 0.0), 1.0))
        self.tell()

    def _read_nothing(self) -> None:
        self.index = None
        self.tell()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read what is under the mouse."""
        self._read_at(event.position().x())

    def enterEvent(self, event: QEnterEvent) -> None:
        """Begin to read."""
        self._read_at(event.position().x())
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Read no more, unless by keys."""
        if not self.hasFocus():
            self._read_nothing()
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and Right go from place to place, Home and End to the first and last."""
        last = self.count() - 1
        present = self.index if self.index is not None else 0
        moved = {
            Qt.Key.Key_Left: present - 1,
            Qt.Key.Key_Right: present + 1 if self.index is not None else 0,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }.get(Qt.Key(event.key()))
        if moved is None or last < 0:
            super().keyPressEvent(event)
            return
        self.index = min(max(moved, 0), last)
        self.tell()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Read no more."""
        super().focusOutEvent(event)
        self._read_nothing()


def switch(text: str, tip: str) -> QToolButton:
    """A button above a plot that says what is drawn, or how."""
    button = QToolButton()
    button.setText(text)
    button.setCheckable(True)
    button.setAutoRaise(True)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    button.setAccessibleDescription(tip)
    return button
