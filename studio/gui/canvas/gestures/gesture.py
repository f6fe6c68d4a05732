"""What every gesture is: one object from press to release; ``cancel`` leaves everything as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QPoint, QPointF, Qt

from studio.gui.canvas.look import GRID


@dataclass(frozen=True)
class Pointer:
    """Where the mouse is, and what is held down with it."""

    scene: QPointF
    view: QPoint
    modifiers: Qt.KeyboardModifier
    time_ms: int = 0

    def has(self, modifier: Qt.KeyboardModifier) -> bool:
        """Whether a modifier is held."""
        return bool(self.modifiers & modifier)


class Gesture(Protocol):
    """A press, moves, and a release or an escape."""

    def begin(self, at: Pointer) -> None:
        """The hand went down here and now moves."""

    def move(self, at: Pointer) -> None:
        """The hand is here."""

    def end(self, at: Pointer) -> None:
        """The hand let go here."""

    def cancel(self) -> None:
        """The hand thought better of it."""


def snapped(point: QPointF) -> QPointF:
    """The nearest crossing of the grid."""
    return QPointF(round(point.x() / GRID) * GRID, round(point.y() / GRID) * GRID)
