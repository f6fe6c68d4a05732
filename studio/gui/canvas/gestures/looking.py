"""Gestures that change what is seen or selected, and no document."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtWidgets import QRubberBand

from studio.graph import NodeId
from studio.gui.canvas.gestures.gesture import Pointer
from studio.gui.edits import Dot

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

_One = TypeVar("_One", NodeId, Dot)


class Pan:
    """Moves what is seen."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._last = QPoint()

    def begin(self, at: Pointer) -> None:
        """Take hold."""
        self._last = at.view
        self._canvas.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)

    def move(self, at: Pointer) -> None:
        """Follow the hand."""
        self._canvas.pan_by(at.view - self._last)
        self._last = at.view

    def end(self, at: Pointer) -> None:
        """Let go."""
        self._canvas.viewport().unsetCursor()

    def cancel(self) -> None:
        """Let go."""
        self._canvas.viewport().unsetCursor()


class Band:
    """Selects the nodes that a rectangle touches, and the dots on it."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._before: dict[NodeId, None] = {}
        self._dots_before: dict[Dot, None] = {}
        self._start = QPointF()
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, canvas.viewport())

    def begin(self, at: Pointer) -> None:
        """Fix one corner."""
        self._before = dict(self._canvas.content.selection)
        self._dots_before = dict(self._canvas.content.selected_dots)
        self._start = at.scene
        self._band.show()

    def move(self, at: Pointer) -> None:
        """Select what is inside now."""
        corner = self._canvas.mapFromScene(self._start)
        left, right = sorted((corner.x(), at.view.x()))
        top, bottom = sorted((corner.y(), at.view.y()))
        self._band.setGeometry(left, top, right - left, bottom - top)
        content, rect = self._canvas.content, QRectF(self._start, at.scene).normalized()
        names = _joined(self._before, content.nodes_in(rect), at)
        content.select(names, dots=_joined(self._dots_before, content.wires.dots_in(rect), at))

    def end(self, at: Pointer) -> None:
        """Keep the selection."""
        self._band.deleteLater()

    def cancel(self) -> None:
        """Take the old selection back."""
        self._canvas.content.select(self._before, dots=self._dots_before)
        self._band.deleteLater()


def _joined(before: dict[_One, None], inside: list[_One], at: Pointer) -> dict[_One, None]:
    """What is selected once a band holds ``inside``: with Shift beside what was, with Ctrl instead where it was."""
    wanted = dict.fromkeys(inside)
    if at.has(Qt.KeyboardModifier.ShiftModifier):
        return {**before, **wanted}
    if at.has(Qt.KeyboardModifier.ControlModifier):
        kept = {one: None for one in before if one not in wanted}
        return {**kept, **{one: None for one in wanted if one not in before}}
    return wanted
