"""Gestures that change what is seen or selected, and no document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtWidgets import QRubberBand

from studio.graph import NodeId
from studio.gui.canvas.gestures.gesture import Pointer

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas


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
    """Selects the nodes that a rectangle touches."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._before: dict[NodeId, None] = {}
        self._start = QPointF()
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, canvas.viewport())

    def begin(self, at: Pointer) -> None:
        """Fix one corner."""
        self._before = dict(self._canvas.content.selection)
        self._start = at.scene
        self._band.show()

    def move(self, at: Pointer) -> None:
        """Select what is inside now."""
        corner = self._canvas.mapFromScene(self._start)
        left, right = sorted((corner.x(), at.view.x()))
        top, bottom = sorted((corner.y(), at.view.y()))
        self._band.setGeometry(left, top, right - left, bottom - top)
        inside = self._canvas.content.nodes_in(QRectF(self._start, at.scene).normalized())
        wanted: dict[NodeId, None] = dict.fromkeys(inside)
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            wanted = {**self._before, **wanted}
        elif at.has(Qt.KeyboardModifier.ControlModifier):
            wanted = {
                **{name: None for name in self._before if name not in wanted},
                **{name: None for name in wanted if name not in self._before},
            }
        self._canvas.content.select(wanted)

    def end(self, at: Pointer) -> None:
        """Keep the selection."""
        self._band.deleteLater()

    def cancel(self) -> None:
        """Take the old selection back."""
        self._canvas.content.select(self._before)
        self._band.deleteLater()
