"""What the mouse is told where it rests: ports, parameters, links, failures."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QPointF

from studio.gui.canvas.node_item import NodeItem
from studio.gui.canvas.scene import Scene


def help_at(content: Scene, point: QPointF, reach: float) -> str:
    """What there is to say of a place of the scene; links and dots are meant within ``reach``."""
    plug = content.plug_at(point)
    if plug is not None:
        socket = plug.socket
        kind = socket.type.__name__ + (_tr(", optional") if socket.is_optional else "")
        kind = socket.type.__name__ if socket.is_output else kind
        return f"{socket.name}: {kind}\n{socket.help}".strip()
    node = content.node_at(point)
    if node is not None:
        return _node_help(node, node.mapFromScene(point))
    dot = content.dot_at(point, reach)
    if dot is not None:
        of = content.output_type(dot.dot.source).__name__
        hint = _tr("Drag to move it, Alt+drag to pull another link out of it, Del to remove it")
        return f"{dot.dot.source}: {of}\n{hint}"
    link = content.link_at(point, reach)
    if link is not None:
        of = content.output_type(link.source).__name__
        return f"{link.source} → {link.target}.{link.port}: {of}"
    return ""


def _node_help(node: NodeItem, local: QPointF) -> str:
    row = node.layout.row_at(local)
    if row is not None and row.param is not None:
        param = row.param
        admitted = param.hint.describe() if param.hint else ""
        return "\n".join(part for part in (param.name, param.help, admitted) if part)
    if node.state.error is not None:
        return str(node.state.error)
    if node.declared is None:
        return _tr('No pack declares "{}" here; the node is kept as it is').format(node.node.type)
    return f"{node.node.id}: {node.declared.summary}"


def _tr(text: str) -> str:
    return QCoreApplication.translate("Tips", text)
