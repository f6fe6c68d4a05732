"""The whole graph in batches, for sizes at which a node is a few pixels: zoomed far out, and in the minimap."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from studio.gui.canvas.scene import Scene
from studio.gui.edits import Dot


class Overview:
    """Boxes and lines of a scene; gathered anew only when one of them changed."""

    def __init__(self, content: Scene) -> None:
        self._content = content
        self._version = -1
        self._links: list[QLineF] = []
        self._dots: list[tuple[QPointF, Dot]] = []
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
        self._dots = [(item.pos(), item.dot) for item in content.dots.values()]
        self._frames = [box.scene_rect for box in content.boxes.values()]
        boxes: dict[str, tuple[QColor, list[QRectF]]] = {}
        for item in content.nodes.values():
            color = theme.tints.get(item.tint, theme.node_title)
            if item.state.status == "failed":
                color = theme.error
            boxes.setdefault(color.name(), (color, []))[1].append(item.scene_rect)
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
            chosen = self._content.selected_dots
            for is_chosen, color in ((False, theme.text_dim), (True, theme.accent)):
                pen = QPen(color, 3.0)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawPoints([at for at, dot in self._dots if (dot in chosen) is is_chosen])
        painter.setPen(QPen(theme.text_dim, 0))
        for color, rects in self._boxes:
            painter.setBrush(color)
            painter.drawRects(rects)
        nodes = self._content.nodes
        painter.setPen(QPen(theme.accent, 0))
        painter.setBrush(theme.accent)
        painter.drawRects(
            [nodes[name].scene_rect for name in self._content.selection if name in nodes]
        )
