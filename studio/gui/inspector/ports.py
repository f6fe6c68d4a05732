"""The inputs and outputs of a node in the inspector: where each comes from, and the way there."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPen, QPixmap
from PySide6.QtWidgets import QLabel, QToolButton, QWidget

from studio.graph import Value
from studio.gui.theme import Theme


class Socket(QLabel):
    """The shape and colour of a socket."""

    def __init__(self, of: type[Value], theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        ratio = self.devicePixelRatioF()
        side = 14
        pixmap = QPixmap(QSize(side, side) * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(side / 2, side / 2)
        socket = theme.socket(of)
        painter.setBrush(socket.color)
        painter.setPen(QPen(theme.node_border, 1))
        painter.drawPath(socket.path(4.5))
        painter.end()
        self.setPixmap(pixmap)
        self.setToolTip(of.__name__)
        self.setAccessibleName(of.__name__)


class LinkButton(QToolButton):
    """The source of an input; pressed, it leads there."""

    def __init__(self, text: str, node: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.node = node
        self.setText(text)
        self.setAutoRaise(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setToolTip(self.tr("Go to {0}").format(node))
        self.setAccessibleName(self.tr("from {0}, go there").format(text))
