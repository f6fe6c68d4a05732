"""What the mouse is told where it rests: ports, parameters, links, failures."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QPointF

from studio.graph import Param
from studio.gui.canvas.layout import shown
from studio.gui.canvas.node_item import NodeItem
from studio.gui.canvas.scene import Scene


def help_at(content: Scene, point: QPointF, reach: float) -> str:
    """What there is to say of a place of the scene; links and dots are meant within ``reach``."""
    plug = content.plug_at(point)
    if plug is not None:
        socket = plug.socket
        kind = socket.type.__name__ + (_tr(", optional") if socket.is_optional else "")
        kind = socket.type.__name__ if socket.is_output else kind
        if socket.is_param:
            return _param_help(content.nodes[plug.node], plug.name)
        return f"{socket.name}: {kind}\n{socket.help}".strip()
    node = content.node_at(point)
    if node is not None:
        return _node_help(node, node.mapFromScene(point))
    dot = content.wires.dot_at(point, reach)
    if dot is not None:
        of = content.output_type(dot.dot.source).__name__
        hint = _tr("Drag to move it, Alt+drag to pull another link out of it, Del to remove it")
        return f"{dot.dot.source}: {of}\n{hint}"
    link = content.wires.link_at(point, reach)
    if link is not None:
        of = content.output_type(link.source).__name__
        return f"{link.source} → {link.target}.{link.port}: {of}"
    return ""


def _node_help(node: NodeItem, local: QPointF) -> str:
    row = node.layout.row_at(local)
    if row is not None and row.param is not None:
        return _param_help(node, row.name)
    if node.state.error is not None:
        return str(node.state.error)
    if node.declared is None:
        return _tr('No pack declares "{}" here; the node is kept as it is').format(node.node.type)
    return f"{node.node.id}: {node.declared.summary}"


def _param_help(node: NodeItem, name: str) -> str:
    param = node.declared.param(name) if node.declared else None
    if param is None:
        return name
    admitted = param.hint.describe() if param.hint else ""
    flow = node.flows.get(name)
    if flow is not None:
        link = _tr("from {0}, in place of {1}").format(flow.source, _own(node, param))
    else:
        link = _tr("Drag from its left edge to give it from a node") if param.takes else ""
    misfit = node.misfit(param)
    return "\n".join(part for part in (param.name, param.help, admitted, link, misfit) if part)


def _own(node: NodeItem, param: Param) -> str:
    value = node.node.params.get(param.name, param.default)
    return shown(param, value).partition("\n")[0][:40] or '""'


def _tr(text: str) -> str:
    return QCoreApplication.translate("Tips", text)
