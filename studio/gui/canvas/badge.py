"""What is told of a node at a glance: words, a colour and a sign for every state."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from studio.graph import Mode
from studio.gui.canvas.look import Look
from studio.gui.states import NodeState


def badge_text(mode: Mode, state: NodeState, *, is_known: bool) -> str:
    """What stands on the badge over a node; empty for none. ``is_known``: whether its type is."""
    if mode == "mute":
        return _tr("muted")
    if mode == "bypass":
        return _tr("bypassed")
    if state.status == "unknown":
        return "" if is_known else _tr("unknown type")
    text = state.text or state.status.replace("_", " ")
    if state.status in ("ran", "failed") and state.seconds is not None and not state.text:
        text += f"  {state.seconds:.1f} s"
    return text


def status_color(state: NodeState, look: Look) -> QColor | None:
    """The colour of a state; None where it has none."""
    theme = look.theme
    return {
        "cached": theme.cached,
        "ran": theme.ok,
        "resumes": theme.resumes,
        "running": theme.running,
        "will_run": theme.warning,
        "failed": theme.error,
    }.get(state.status)


def paint_mark(painter: QPainter, status: str, at: QPointF, color: QColor) -> None:
    """A sign of its own for every state: colour alone need not tell."""
    painter.setPen(QPen(color, 1.8))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    x, y = at.x(), at.y()
    if status in ("cached", "ran"):
        painter.drawPolyline([QPointF(x - 4, y), QPointF(x - 1, y + 3), QPointF(x + 4, y - 3.5)])
    elif status == "running":
        painter.setBrush(color)
        painter.drawPolygon([QPointF(x - 3, y - 4), QPointF(x + 4, y), QPointF(x - 3, y + 4)])
    elif status == "resumes":
        painter.setBrush(color)
        painter.drawRect(QRectF(x - 4, y - 4, 1.5, 8))
        painter.drawPolygon([QPointF(x - 1, y - 4), QPointF(x + 5, y), QPointF(x - 1, y + 4)])
    elif status == "failed":
        painter.drawLine(QPointF(x - 3.5, y - 3.5), QPointF(x + 3.5, y + 3.5))
        painter.drawLine(QPointF(x - 3.5, y + 3.5), QPointF(x + 3.5, y - 3.5))
    elif status == "bypassed":
        painter.drawPolyline([QPointF(x - 5, y + 2), QPointF(x, y - 3), QPointF(x + 5, y + 2)])
    elif status in ("muted", "off"):
        painter.drawEllipse(at, 4.0, 4.0)
        painter.drawLine(QPointF(x - 3, y + 3), QPointF(x + 3, y - 3))
    else:
        painter.drawEllipse(at, 3.5, 3.5)


def _tr(text: str) -> str:
    return QCoreApplication.translate("Badge", text)
