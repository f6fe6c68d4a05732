"""The minimap: the whole graph in a corner, and where the window looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

SIZE = QSize(200, 140)
_DELAY_MS = 120


class Minimap(QWidget):
    """Shows the nodes as dots; a click or drag looks there."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._nodes = QPixmap()
        self._area = QRectF()
        self.setFixedSize(SIZE)
        self.setAccessibleName(self.tr("Minimap"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        # small graphs need none, and it covers the canvas
        self.hide()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self._draw_nodes)

    def nodes_changed(self) -> None:
        """Draw the nodes anew before long."""
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def place(self) -> None:
        """Stand in the lower right corner."""
        area = self._canvas.viewport().geometry()
        self.move(area.right() - SIZE.width() - 10, area.bottom() - SIZE.height() - 10)

    def toggle(self) -> None:
        """Show or hide it."""
        self.setVisible(not self.isVisible())
        if self.isVisible():
            self.place()
            self._draw_nodes()

    def _draw_nodes(self) -> None:
        area = self._canvas.content.content_rect()
        pad = max(area.width(), area.height(), 100.0) * 0.08
        self._area = area.adjusted(-pad, -pad, pad, pad)
        self._nodes = QPixmap(SIZE)
        self._nodes.fill(Qt.GlobalColor.transparent)
        painter = QPainter(self._nodes)
        scale, offset = self._transform()
        painter.translate(offset)
        painter.scale(scale, scale)
        self._canvas.overview.paint(painter, with_links=False)
        self._canvas.overview.paint_selected(painter)
        painter.end()
        self.update()

    def _transform(self) -> tuple[float, QPointF]:
        """Scale and offset from scene coordinates to here."""
        if self._area.isEmpty():
            return 1.0, QPointF()
        scale = min(SIZE.width() / self._area.width(), SIZE.height() / self._area.height())
        rest = QPointF(
            SIZE.width() - self._area.width() * scale, SIZE.height() - self._area.height() * scale
        )
        return scale, rest / 2 - self._area.topLeft() * scale

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the nodes and where the window looks."""
        theme = self._canvas.theme
        painter = QPainter(self)
        back = QColor(theme.panel)
        back.setAlphaF(0.92)
        painter.fillRect(self.rect(), back)
        painter.drawPixmap(0, 0, self._nodes)
        scale, offset = self._transform()
        seen = self._canvas.seen_rect()
        painter.setPen(QPen(theme.accent, 1.5))
        painter.drawRect(
            QRectF(offset + seen.topLeft() * scale, offset + seen.bottomRight() * scale)
        )
        painter.setPen(QPen(theme.border, 1.0))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Look at the place."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._look_at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Look on."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._look_at(event.position())

    def _look_at(self, place: QPointF) -> None:
        scale, offset = self._transform()
        self._canvas.look_at((place - offset) / scale)
