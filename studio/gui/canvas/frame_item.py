"""Frames and notes on the canvas: titled backdrops that take what stands on them along, and texts."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from studio.gui.canvas.look import Detail, Look
from studio.gui.edits import Frame, Note

BAR = 30.0
"""Height of a frame's title bar, by which it is held."""
GRIP = 16.0
"""Side of the corner that resizes."""
LEAST = 60.0
"""Smallest side."""


def key_of(box: Frame | Note) -> tuple[str, int]:
    """Which list of the view a box is in, and where."""
    return ("frames" if isinstance(box, Frame) else "notes", box.index)


class BoxItem(QGraphicsItem):
    """What frames and notes have in common: a rectangle with a corner to resize it by."""

    def __init__(self, look: Look, box: Frame | Note) -> None:
        super().__init__()
        self._look = look
        self.box = box
        self.is_selected = False
        self._rect = QRectF()
        self.setZValue(-10.0 if isinstance(box, Frame) else -5.0)
        self.show_box(box)

    @property
    def key(self) -> tuple[str, int]:
        """Which list of the view it is in, and where."""
        return key_of(self.box)

    @property
    def scene_rect(self) -> QRectF:
        """Its rectangle in scene coordinates."""
        return self._rect.translated(self.pos())

    def show_box(self, box: Frame | Note) -> None:
        """Show a frame or note from now on."""
        self.box = box
        x, y, width, height = box.rect
        self.stand(QRectF(x, y, width, height))

    def stand(self, rect: QRectF) -> None:
        """Stand at a rectangle, in scene coordinates."""
        self.prepareGeometryChange()
        self._rect = QRectF(0, 0, rect.width(), rect.height())
        self.setPos(rect.topLeft())
        self.update()

    def set_selected(self, is_selected: bool) -> None:
        """Mark it as selected or not."""
        if is_selected != self.is_selected:
            self.is_selected = is_selected
            self.update()

    def is_handle(self, point: QPointF) -> bool:
        """Tell whether a point (in scene coordinates) moves it: the title of a frame, all of a note."""
        rect = self.scene_rect
        if isinstance(self.box, Frame):
            rect.setHeight(min(BAR, rect.height()))
        return rect.contains(point)

    def is_grip(self, point: QPointF) -> bool:
        """Tell whether a point (in scene coordinates) resizes it."""
        rect = self.scene_rect
        corner = QRectF(rect.right() - GRIP, rect.bottom() - GRIP, GRIP, GRIP)
        return corner.contains(point)

    @property
    def text_rect(self) -> QRectF:
        """Where its text stands and is edited, in scene coordinates."""
        rect = self.scene_rect
        if isinstance(self.box, Frame):
            return QRectF(rect.left() + 4, rect.top() + 3, rect.width() - 8, BAR - 6)
        return rect.adjusted(4, 4, -4, -4)

    def boundingRect(self) -> QRectF:
        """The rectangle with its outline."""
        return self._rect.adjusted(-3, -3, 3, 3)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """Paint backdrop, title or text, and grip."""
        if isinstance(self.box, Frame):
            self._paint_frame(painter, self.box)
        else:
            self._paint_note(painter, self.box)
        if self._look.detail is Detail.NEAR:
            painter.setPen(QPen(self._look.theme.text_dim, 1.0))
            for reach in (5.0, 9.0):
                corner = self._rect.bottomRight() - QPointF(3, 3)
                painter.drawLine(corner - QPointF(reach, 0), corner - QPointF(0, reach))

    def _paint_frame(self, painter: QPainter, frame: Frame) -> None:
        theme = self._look.theme
        tint = theme.tints.get(frame.color, theme.tints.get("grey", theme.node_title))
        fill = QColor(tint)
        fill.setAlphaF(0.4)
        painter.setBrush(fill)
        painter.setPen(self._outline(tint))
        painter.drawRoundedRect(self._rect, 8, 8)
        painter.fillRect(QRectF(1, 1, self._rect.width() - 2, BAR - 2), tint)
        font, metrics = self._look.title_font, self._look.title_metrics
        if self._look.detail is not Detail.NEAR:
            font, metrics = self._look.far_font(painter.worldTransform().m11(), BAR)
        painter.setFont(font)
        painter.setPen(theme.text)
        title = metrics.elidedText(
            frame.title, Qt.TextElideMode.ElideRight, self._rect.width() - 20
        )
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.drawText(QRectF(10, 0, self._rect.width() - 20, BAR), flags, title)

    def _paint_note(self, painter: QPainter, note: Note) -> None:
        theme = self._look.theme
        tint = theme.tints.get("yellow", theme.panel)
        painter.setBrush(tint)
        painter.setPen(self._outline(tint))
        painter.drawRoundedRect(self._rect, 4, 4)
        if self._look.detail is Detail.FAR:
            return
        painter.setFont(self._look.text_font)
        painter.setPen(theme.text)
        area = self._rect.adjusted(8, 6, -8, -6)
        painter.setClipRect(area)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(area, flags, note.text)
        painter.setClipping(False)

    def _outline(self, tint: QColor) -> QPen:
        theme = self._look.theme
        return QPen(theme.accent, 2.5) if self.is_selected else QPen(tint.darker(120), 1.0)
