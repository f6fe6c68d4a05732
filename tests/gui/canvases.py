"""A canvas on the screen and a hand on it, for the tests of what hands and keys do to a document."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from studio.graph import Graph, NodeId
from studio.gui import edits
from studio.gui.canvas import Canvas
from studio.gui.document import Document
from studio.gui.theme import Theme
from tests.gui.hands import drag, key, move, press, release

WORKFLOWS = Path(__file__).parents[2] / "workflows"
LEFT = Qt.MouseButton.LeftButton
MIDDLE = Qt.MouseButton.MiddleButton
RIGHT = Qt.MouseButton.RightButton
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier
NONE = Qt.KeyboardModifier.NoModifier


class Hand:
    """A hand on a canvas: places are named by what is there."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.port = canvas.viewport()

    @property
    def graph(self) -> Graph:
        return self.canvas.document.workflow.graph

    def view(self, point: QPointF) -> QPointF:
        return QPointF(self.canvas.mapFromScene(point))

    def title(self, name: str) -> QPointF:
        return self.view(self.canvas.content.nodes[NodeId(name)].pos() + QPointF(60, 12))

    def row(self, name: str, param: str, share: float = 0.4) -> QPointF:
        item = self.canvas.content.nodes[NodeId(name)]
        rect = next(row.rect for row in item.layout.rows if row.name == param)
        place = QPointF(rect.left() + rect.width() * share, rect.top() + rect.height() / 2)
        return self.view(item.pos() + place)

    def socket(self, name: str, port: str, *, is_output: bool) -> QPointF:
        item = self.canvas.content.nodes[NodeId(name)]
        at = item.socket_pos(port, is_output=is_output)
        assert at is not None
        return self.view(at)

    def output(self, name: str, port: str) -> QPointF:
        return self.socket(name, port, is_output=True)

    def input(self, name: str, port: str) -> QPointF:
        return self.socket(name, port, is_output=False)

    def drag(
        self,
        start: QPointF,
        end: QPointF,
        button: Qt.MouseButton = LEFT,
        modifiers: Qt.KeyboardModifier = NONE,
    ) -> None:
        middle = (start + end) / 2
        drag(self.port, [start, middle, end], button, modifiers)

    def click(self, at: QPointF, modifiers: Qt.KeyboardModifier = NONE) -> None:
        press(self.port, at, LEFT, modifiers)
        release(self.port, at, LEFT, modifiers)

    def point(self, at: QPointF) -> None:
        move(self.port, at)

    def key(self, pressed: Qt.Key, modifiers: Qt.KeyboardModifier = NONE) -> None:
        key(self.canvas, pressed, modifiers)

    def select(self, *names: str) -> None:
        self.canvas.select(names)

    def place(self, name: str) -> tuple[float, float]:
        return edits.positions(self.canvas.document.workflow)[NodeId(name)]

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        QTest.keyClicks(focused(), text)


def focused() -> QWidget:
    widget = QApplication.focusWidget()
    assert widget is not None
    return widget


def opened(document: Document, qtbot: QtBot, zoom: float = 0.6) -> Hand:
    """A hand on a canvas that shows a document."""
    canvas = Canvas(document, Theme.dark())
    document.setParent(canvas)
    qtbot.addWidget(canvas)
    canvas.resize(1200, 900)
    with qtbot.waitExposed(canvas):
        canvas.show()
    canvas.activateWindow()
    canvas.setFocus()
    canvas.set_zoom(zoom)
    canvas.look_at(canvas.content.content_rect().center())
    return Hand(canvas)
