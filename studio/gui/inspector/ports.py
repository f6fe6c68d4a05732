"""The inputs and outputs of a node in the inspector: where each comes from, and the way there."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPen, QPixmap
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QToolButton, QWidget

from studio.graph import Link, Node, Port, Value
from studio.gui.editors import icon_size
from studio.gui.inspector.words import label, words_of
from studio.gui.theme import Theme, icon


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
    """A way to a node: the source of an input, or one of several that are shown."""

    def __init__(self, text: str, node: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.node = node
        self.setText(text)
        self.setAutoRaise(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setToolTip(self.tr("Go to {0}").format(node))
        self.setAccessibleName(self.tr("from {0}, go there").format(text))

    @classmethod
    def of(cls, link: Link, parent: QWidget | None = None) -> LinkButton:
        """The way to where a link comes from."""
        return cls(f"← {link}", link.node, parent)


class UnlinkButton(QToolButton):
    """Takes the link of an input away."""

    def __init__(self, port: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.port = port
        self.setIcon(icon("close", theme))
        self.setIconSize(icon_size(self) * 0.75)
        self.setAutoRaise(True)
        tip = self.tr("Unlink {0}").format(words_of(port))
        self.setToolTip(tip)
        self.setAccessibleName(tip)


class Ports(QWidget):
    """A row per port: its socket, its name, and for an input its source with a way to let it go."""

    went = Signal(str)
    """To the node that a link comes from."""
    unlinked = Signal(str)
    """An input that is to be linked no more."""

    def __init__(
        self,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        node: Node,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self.sources: dict[str, QWidget] = {}
        """What stands at each input: a LinkButton, or a label that says that nothing is linked."""
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(8, 0, 2, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(0)
        self._grid.setColumnStretch(2, 1)
        for port in inputs:
            self._add_input(port, node.inputs.get(port.name))
        for port in outputs:
            self._add(port, label(f"{port.type.__name__} →", "dim"))

    def _add_input(self, port: Port, link: Link | None) -> None:
        if link is not None:
            source: QWidget = LinkButton.of(link)
            assert isinstance(source, LinkButton)
            source.clicked.connect(self._go)
        elif port.optional:
            source = label(self.tr("not linked"), "dim")
        else:
            source = label(self.tr("needs a link"), "error")
        self.sources[port.name] = source
        row = self._add(port, source)
        if link is not None:
            unlink = UnlinkButton(port.name, self._theme)
            unlink.clicked.connect(self._unlink)
            self._grid.addWidget(unlink, row, 3)

    def _add(self, port: Port, source: QWidget) -> int:
        row = self._grid.rowCount()
        self._grid.setRowMinimumHeight(row, self.fontMetrics().height() + 6)
        if isinstance(source, QLabel):
            source.setContentsMargins(6, 0, 0, 0)
        words = label(words_of(port.name))
        of = port.type.__name__
        words.setToolTip(f"{of}: {port.help}" if port.help else of)
        self._grid.addWidget(Socket(port.type, self._theme), row, 0)
        self._grid.addWidget(words, row, 1)
        self._grid.addWidget(source, row, 2, Qt.AlignmentFlag.AlignLeft)
        return row

    def _go(self) -> None:
        sender = self.sender()
        if isinstance(sender, LinkButton):
            self.went.emit(sender.node)

    def _unlink(self) -> None:
        sender = self.sender()
        if isinstance(sender, UnlinkButton):
            self.unlinked.emit(sender.port)
