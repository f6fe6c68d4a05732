"""Numbers changed by dragging on them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from studio.graph import Json, NodeId, Param, ParamKind
from studio.gui import edits
from studio.gui.canvas.gestures.gesture import Pointer
from studio.gui.editors.number_field import step_of
from studio.registry import Range

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

PIXELS_PER_STEP = 4.0
"""How far a hand moves to change a number by one step."""


class Scrub:
    """Changes a number by dragging on it; Shift is fine, Ctrl coarse."""

    def __init__(self, canvas: Canvas, node: NodeId, param: Param) -> None:
        self._canvas = canvas
        self._node = node
        self._param = param
        self._before: Json = None
        self._last = 0
        self._steps = 0.0

    def begin(self, at: Pointer) -> None:
        """Take hold of the number."""
        node = self._canvas.workflow.graph.node(self._node)
        self._before = node.params.get(self._param.name, self._param.default)
        self._last = at.view.x()

    def move(self, at: Pointer) -> None:
        """Set it to where the hand is."""
        pixels = at.view.x() - self._last
        self._last = at.view.x()
        factor = 1.0
        if at.has(Qt.KeyboardModifier.ShiftModifier):
            factor = 0.1
        elif at.has(Qt.KeyboardModifier.ControlModifier):
            factor = 10.0
        self._steps += pixels / PIXELS_PER_STEP * factor
        value = scrubbed(self._param, self._before, self._steps)
        self._set(value)

    def _set(self, value: Json) -> None:
        canvas, name = self._canvas, self._param.name
        w = edits.set_param(canvas.workflow, self._node, name, value)
        text = canvas.tr("Set {}").format(f"{self._node}.{name}")
        canvas.commit(w, text, merge=("scrub", self._node, name))

    def end(self, at: Pointer) -> None:
        """One step of the history for the whole drag."""
        self._canvas.document.end_merge()

    def cancel(self) -> None:
        """Take the old number back."""
        self._set(self._before)
        self._canvas.document.end_merge()


def scrubbed(param: Param, before: Json, steps: float) -> Json:
    """A number moved by some of its steps, within its range and on its step."""
    hint = param.hint if isinstance(param.hint, Range) else None
    start = before if isinstance(before, int | float) else (hint.low if hint else 0)
    step = step_of(param)
    if param.kind is ParamKind.INT:
        moved = int(start) + round(steps) * int(step)
        if hint is not None:
            moved = min(max(moved, int(hint.low)), int(hint.high))
            moved -= moved % int(step)
        return moved
    # in decimals: what is shown is what is meant, no 0.30000000000000004
    fine = step / 10
    number = (
        (Decimal(repr(float(start))) + Decimal(steps) * step) / fine
    ).to_integral_value() * fine
    if hint is not None:
        number = min(max(number, Decimal(repr(float(hint.low)))), Decimal(repr(float(hint.high))))
    return float(number)
