"""What the mouse does on the canvas, in words, for the sheet of keys; ``hand`` does it."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication


def mouse_rows() -> list[tuple[str, str]]:
    """What can be done, and how."""
    return [
        (_tr("Pan"), _tr("middle button, or Space, and drag")),
        (_tr("Zoom at the cursor"), _tr("wheel")),
        (_tr("Pan sideways"), _tr("Shift or Alt and wheel")),
        (_tr("Select by a box; add; toggle"), _tr("drag on the canvas; Shift; Ctrl")),
        (_tr("Add to the selection; toggle"), _tr("Shift+click; Ctrl+click")),
        (_tr("Snap to the grid while moving"), _tr("hold Shift")),
        (_tr("Move a copy"), _tr("Alt+drag a node")),
        (_tr("Put a node into a link; not so"), _tr("drop it on the link; hold Alt")),
        (_tr("Pull a node out of its links"), _tr("shake it")),
        (_tr("Move a frame without what stands on it"), _tr("Ctrl+drag its title")),
        (_tr("Link, or plug in elsewhere"), _tr("drag a socket")),
        (_tr("Move all links of an output"), _tr("Shift+drag the output")),
        (_tr("Cut links"), _tr("Ctrl+right drag, or Y and drag, across them")),
        (_tr("Put a dot on a link"), _tr("Alt+click or double-click the link")),
        (_tr("Put dots on links; those of one output share it"), _tr("Shift+right drag across")),
        (_tr("Pull a link out of a dot"), _tr("Alt+drag the dot")),
        (_tr("Change a number; finely; coarsely"), _tr("drag it; Shift; Ctrl")),
        (_tr("Type a value; edit a text or title"), _tr("double-click")),
        (_tr("Add a node"), _tr("double-click the canvas, or drop a link there")),
    ]


def _tr(text: str) -> str:
    return QCoreApplication.translate("MouseRows", text)
