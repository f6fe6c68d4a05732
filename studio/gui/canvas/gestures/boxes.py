"""Frames and notes moved and resized."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt

from studio.graph import NodeId
from studio.gui import edits
from studio.gui.canvas.frame_item import LEAST, BoxItem
from studio.gui.canvas.gestures.gesture import Pointer, snapped
from studio.gui.edits import Dot, Frame

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas


class MoveBox:
    """Moves a frame with what stands on it, or a note; with Ctrl, the frame alone."""

    def __init__(self, canvas: Canvas, box: BoxItem) -> None:
        self._canvas = canvas
        self._box = box
        self._start = QPointF()
        self._rect = QRectF()
        self._places: dict[NodeId, QPointF] = {}
        self._dots: list[Dot] = []

    def begin(self, at: Pointer) -> None:
        """Take hold of the box and of what stands on it."""
        content = self._canvas.content
        self._start = at.scene
        self._rect = self._box.scene_rect
        is_alone = at.has(Qt.KeyboardModifier.ControlModifier)
        box = self._box.box
        if isinstance(box, Frame) and not is_alone:
            inside = edits.nodes_in_frame(content.workflow, box, content.sizes())
            self._places = {
                name: content.nodes[name].pos()
                for name in inside
                if not content.nodes[name].is_pinned
            }
            self._dots = edits.dots_in(content.workflow, box.rect)

    def _delta(self, at: Pointer) -> QPointF:
        delta = at.scene - self._start
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            delta = snapped(self._rect.topLeft() + delta) - self._rect.topLeft()
        return QPointF(round(delta.x()), round(delta.y()))

    def move(self, at: Pointer) -> None:
        """Follow the hand."""
        delta = self._delta(at)
        self._box.stand(self._rect.translated(delta))
        self._canvas.content.place(
            {name: place + delta for name, place in self._places.items()},
            {dot: QPointF(*dot.at) + delta for dot in self._dots},
        )

    def end(self, at: Pointer) -> None:
        """One step of the history."""
        canvas, box, delta = self._canvas, self._box.box, self._delta(at)
        rect = self._rect.translated(delta)
        to = (rect.x(), rect.y())
        if isinstance(box, Frame):
            w = edits.move_frame(canvas.workflow, box.index, to, self._places, self._dots)
            canvas.commit(w, canvas.tr("Move frame"))
        else:
            w = edits.set_note(canvas.workflow, box.index, rect=(*to, rect.width(), rect.height()))
            canvas.commit(w, canvas.tr("Move note"))

    def cancel(self) -> None:
        """Put everything back."""
        self._canvas.content.restore()


class ResizeBox:
    """Drags the corner of a frame or note."""

    def __init__(self, canvas: Canvas, box: BoxItem) -> None:
        self._canvas = canvas
        self._box = box
        self._start = QPointF()
        self._rect = QRectF()

    def begin(self, at: Pointer) -> None:
        """Take hold of the corner."""
        self._start, self._rect = at.scene, self._box.scene_rect

    def move(self, at: Pointer) -> None:
        """Follow the hand."""
        self._box.stand(self._now(at))

    def _now(self, at: Pointer) -> QRectF:
        corner = self._rect.bottomRight() + at.scene - self._start
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            corner = snapped(corner)
        width = max(corner.x() - self._rect.left(), LEAST)
        height = max(corner.y() - self._rect.top(), LEAST)
        return QRectF(self._rect.topLeft(), self._rect.topLeft() + QPointF(width, height))

    def end(self, at: Pointer) -> None:
        """One step of the history."""
        canvas, box, rect = self._canvas, self._box.box, self._now(at)
        numbers = (rect.x(), rect.y(), rect.width(), rect.height())
        if isinstance(box, Frame):
            w = edits.set_frame(canvas.workflow, box.index, rect=numbers)
            canvas.commit(w, canvas.tr("Resize frame"))
        else:
            w = edits.set_note(canvas.workflow, box.index, rect=numbers)
            canvas.commit(w, canvas.tr("Resize note"))

    def cancel(self) -> None:
        """Put the corner back."""
        self._canvas.content.restore()
