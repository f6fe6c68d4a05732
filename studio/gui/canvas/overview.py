"""The whole graph in batches, for sizes at which a node is a few pixels: zoomed far out, and in the minimap."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from studio.graph import NodeId
from studio.gui.canvas.scene import Scene
from studio.gui.edits import Dot


class Overview:
    """Boxes and lines of a scene; gathered anew only when one of them changed."""

    def __init__(self, content: Scene) -> None:
        self._content = content
        self._version = -1
        self._links: list[QLineF] = []
        self._dots: dict[Dot, QPointF] = {}
        self._rects: dict[NodeId, QRectF] = {}
        self._frames: list[QRectF] = []
        self._boxes: list[tuple[QColor, list[QRectF]]] = []

    def _gather(self) -> None:
        content = self._content
        if self._version == content.version:
            return
        self._version = content.version
        theme = content.look.theme
        self._links = [
            QLineF(leg[0], leg[3]) for link in content.links.values() for leg in link.legs
        ]
        self._dots = {dot: item.pos() for dot, item in content.dots.items()}
        self._rects = {name: item.scene_rect for name, item in content.nodes.items()}
        self._frames = [box.scene_rect for box in content.boxes.values()]
        boxes: dict[str, tuple[QColor, list[QRectF]]] = {}
        for item in content.nodes.values():
            color = theme.tints.get(item.tint, theme.node_title)
            if item.state.status == "failed":
                color = theme.error
            boxes.setdefault(color.name(), (color, []))[1].append(self._rects[item.node.id])
        self._boxes = list(boxes.values())

    def paint(self, painter: QPainter, *, with_links: bool = True) -> None:
        """Paint in scene coordinates; the pens are a pixel wide at every scale."""
        self._gather()
        theme = self._content.look.theme
        frame = QColor(theme.tints.get("grey", theme.node_title))
        frame.setAlphaF(0.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(frame)
        painter.drawRects(self._frames)
        if with_links:
            line = QColor(theme.text_dim)
            line.setAlphaF(0.5)
            painter.setPen(QPen(line, 0))
            painter.drawLines(self._links)
            self._paint_dots(painter, self._dots, theme.text_dim)
        painter.setPen(QPen(theme.text_dim, 0))
        for color, rects in self._boxes:
            painter.setBrush(color)
            painter.drawRects(rects)

    def paint_selected(self, painter: QPainter) -> None:
        """Paint what is selected over it, in scene coordinates."""
        self._gather()
        theme, content = self._content.look.theme, self._content
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.accent)
        painter.drawRects([self._rects[name] for name in content.selection if name in self._rects])
        self._paint_dots(painter, list(content.selected_dots), theme.accent)

    def _paint_dots(self, painter: QPainter, dots: Iterable[Dot], color: QColor) -> None:
        pen = QPen(color, 3.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.drawPoints([self._dots[dot] for dot in dots if dot in self._dots])
