"""What a hand does with a mouse, sent to a widget as Qt sends it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier


def _send(
    widget: QWidget,
    kind: QEvent.Type,
    at: QPointF,
    button: Qt.MouseButton,
    buttons: Qt.MouseButton,
    modifiers: Qt.KeyboardModifier,
) -> None:
    place = widget.mapToGlobal(at)
    QApplication.sendEvent(widget, QMouseEvent(kind, at, place, button, buttons, modifiers))


def press(
    widget: QWidget,
    at: QPointF,
    button: Qt.MouseButton = LEFT,
    modifiers: Qt.KeyboardModifier = NONE,
) -> None:
    _send(widget, QEvent.Type.MouseButtonPress, at, button, button, modifiers)


def move(
    widget: QWidget,
    to: QPointF,
    buttons: Qt.MouseButton = Qt.MouseButton.NoButton,
    modifiers: Qt.KeyboardModifier = NONE,
) -> None:
    none = Qt.MouseButton.NoButton
    _send(widget, QEvent.Type.MouseMove, to, none, buttons, modifiers)


def release(
    widget: QWidget,
    at: QPointF,
    button: Qt.MouseButton = LEFT,
    modifiers: Qt.KeyboardModifier = NONE,
) -> None:
    none = Qt.MouseButton.NoButton
    _send(widget, QEvent.Type.MouseButtonRelease, at, button, none, modifiers)


def drag(
    widget: QWidget,
    points: Sequence[QPointF],
    button: Qt.MouseButton = LEFT,
    modifiers: Qt.KeyboardModifier = NONE,
) -> None:
    """Press at the first point, move over the others, release at the last."""
    press(widget, points[0], button, modifiers)
    for point in points[1:]:
        move(widget, point, button, modifiers)
    release(widget, points[-1], button, modifiers)


def wheel(
    widget: QWidget, at: QPointF, notches: float, modifiers: Qt.KeyboardModifier = NONE
) -> None:
    event = QWheelEvent(
        at,
        widget.mapToGlobal(at),
        QPoint(),
        QPoint(0, int(notches * 120)),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def key(widget: QWidget, pressed: Qt.Key, modifiers: Qt.KeyboardModifier = NONE) -> None:
    QTest.keyClick(widget, pressed, modifiers)


def click(widget: QWidget, at: QPointF | None = None) -> None:
    QTest.mouseClick(widget, LEFT, NONE, at.toPoint() if at is not None else QPoint())


def double_click(widget: QWidget, at: QPointF) -> None:
    QTest.mouseDClick(widget, LEFT, NONE, at.toPoint())
