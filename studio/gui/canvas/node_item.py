"""A node on the canvas: one graphics item that paints title, sockets, parameter rows, thumbnail and state itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QPainter,
    QPainterPath,
    QPen,
)
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from studio.graph import Json, Node, NodeType, Param, ParamKind
from studio.gui.canvas.badge import badge_text, paint_mark, status_color
from studio.gui.canvas.layout import (
    LINE,
    MORE,
    PAD,
    PROMPT_LINES,
    ROW,
    TITLE,
    UNUSED,
    WIDTH,
    Layout,
    Row,
    Socket,
    choices,
    fraction,
    shown,
    title_of,
    value_of,
)
from studio.gui.canvas.look import Detail, Look
from studio.gui.canvas.wrapping import wrapped
from studio.gui.flowing import Flow
from studio.gui.states import NodeState

THUMBNAIL = 200.0
"""Greatest height of a thumbnail."""
OFF_OPACITY = 0.85
"""Of nodes that give nothing: their text must still be read."""
ROWS_ZOOM = 0.4
"""From here on rows show as bars where they are not written."""
_BADGE = 18.0
_ABOVE = _BADGE + 6.0
_AROUND = 9.0
_NAME_SHARE = 0.46
"""Of a parameter row, for its name."""
_UNKNOWN_STATE = NodeState()
_NO_FLOWS: Mapping[str, Flow] = MappingProxyType({})
_PALE = 0.25
"""Of what a dragged link cannot enter."""


@dataclass(frozen=True)
class Texts:
    """What a node writes, cut to fit; made when it is first painted near."""

    title: str
    id: str
    id_left: float
    names: tuple[str, ...]
    values: tuple[str, ...]
    wrong: frozenset[str]
    """The parameters that what a link gives does not fit."""


class NodeItem(QGraphicsItem):
    """Paints one node; the scene alone writes to it."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self.node: Node
        self.declared: NodeType | None = None
        self.layout: Layout
        self.tint = ""
        """Name of the colour that the user gave it."""
        self.is_selected = False
        self.is_pinned = False
        self.state = _UNKNOWN_STATE
        self.thumbnail: QImage | None = None
        self._thumbnail_height = 0.0
        self.flows = _NO_FLOWS
        """What links give to parameters, by their names."""
        self._dimmed: frozenset[tuple[bool, str]] = frozenset()
        self._offered: frozenset[str] = frozenset()
        self._hovered = ""
        self._target: Socket | None = None
        self._texts: Texts | None = None
        self._error_lines: tuple[str, ...] = ()
        self._bounds = QRectF()
        self._x = self._y = 0.0
        self.box = (0.0, 0.0, 0.0, 0.0)
        """Left, top, right and bottom in the scene; kept, for questions to thousands of nodes at once."""
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)

    # --- what the scene writes

    def show_node(
        self, node: Node, declared: NodeType | None, layout: Layout, *, tint: str, is_pinned: bool
    ) -> None:
        """Show a node from now on."""
        self.node = node
        self.declared = declared
        self.layout = layout
        self.tint = tint
        self.is_pinned = is_pinned
        self._texts = None
        self._measure()
        self.update()

    def set_selected(self, is_selected: bool) -> None:
        """Mark it as selected or not."""
        if is_selected != self.is_selected:
            self.is_selected = is_selected
            self.update()

    def set_state(self, state: NodeState) -> None:
        """Show what the run says of it."""
        if state == self.state:
            return
        self.state = state
        self._measure()
        self.update()

    def set_thumbnail(self, image: QImage | None) -> None:
        """Show a picture under the parameters, or none."""
        self.thumbnail = image if image is not None and not image.isNull() else None
        self._measure()
        self.update()

    def set_flows(self, flows: Mapping[str, Flow]) -> None:
        """Show what links give to parameters in place of their own values."""
        if flows != self.flows:
            self.flows = flows
            self._texts = None
            self.update()

    def set_dimmed(
        self, sockets: frozenset[tuple[bool, str]], offered: frozenset[str] = frozenset()
    ) -> None:
        """While a link is dragged, paint these as out of reach, and show the sockets of the parameters ``offered``."""
        if (sockets, offered) != (self._dimmed, self._offered):
            self._dimmed, self._offered = sockets, offered
            self.update()

    def set_hovered(self, name: str) -> None:
        """Show the socket of a parameter, for the mouse is near it; "" for none."""
        if name != self._hovered:
            self._hovered = name
            self.update()

    def set_target(self, socket: Socket | None) -> None:
        """Mark the socket that a dragged link would take."""
        if socket is not self._target:
            self._target = socket
            self.update()

    def restyle(self) -> None:
        """Paint again in other colours."""
        self._texts = None
        self.update()

    # --- geometry

    def stand(self, x: float, y: float) -> None:
        """Stand with the top left corner here, in scene coordinates."""
        self._x, self._y = x, y
        self.setPos(x, y)
        self._keep_box()

    def _keep_box(self) -> None:
        height = self.layout.height + self._thumbnail_height
        self.box = (self._x, self._y, self._x + WIDTH, self._y + height)

    @property
    def rect(self) -> QRectF:
        """The box of the node, without badge and halo, in its own coordinates."""
        return QRectF(0.0, 0.0, WIDTH, self.layout.height + self._thumbnail_height)

    @property
    def scene_rect(self) -> QRectF:
        """The box in scene coordinates."""
        left, top, right, bottom = self.box
        return QRectF(left, top, right - left, bottom - top)

    @property
    def thumbnail_rect(self) -> QRectF:
        """Where the thumbnail stands; empty without one."""
        if not self._thumbnail_height:
            return QRectF()
        height = self._thumbnail_height - PAD
        return QRectF(PAD, self.layout.height, WIDTH - 2 * PAD, height)

    def socket_pos(self, name: str, *, is_output: bool) -> QPointF | None:
        """Where links to a socket end, in scene coordinates; None if there is no such socket."""
        socket = self.layout.socket(name, is_output=is_output)
        return QPointF(self._x + socket.at.x(), self._y + socket.at.y()) if socket else None

    def _measure(self) -> None:
        height = 0.0
        if self.thumbnail is not None and not self.layout.is_collapsed:
            width = WIDTH - 2 * PAD
            height = min(width * self.thumbnail.height() / self.thumbnail.width(), THUMBNAIL) + PAD
        self._error_lines = self._error_text()
        below = _AROUND + (10.0 + LINE * len(self._error_lines) if self._error_lines else 0.0)
        bounds = QRectF(
            -_AROUND, -_ABOVE, WIDTH + 2 * _AROUND, _ABOVE + self.layout.height + height + below
        )
        if bounds != self._bounds or height != self._thumbnail_height:
            self.prepareGeometryChange()
            self._bounds = bounds
            self._thumbnail_height = height
            self._keep_box()

    def _error_text(self) -> tuple[str, ...]:
        error = self.state.error
        if error is None:
            return ()
        font = self._look.small_font
        width = WIDTH - 2 * PAD
        lines = wrapped(error.what, font, width, 3)
        if error.remedy:
            lines += wrapped(error.remedy, font, width, 2)
        return lines

    def boundingRect(self) -> QRectF:
        """All that is painted, with badge, halo and message."""
        return self._bounds

    # --- painting

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """Paint as much as the zoom allows."""
        detail = self._look.detail
        if detail is Detail.FAR:
            self._paint_far(painter)
            return
        if self._is_off():
            painter.setOpacity(OFF_OPACITY)
        if detail is Detail.MIDDLE:
            self._paint_middle(painter)
        else:
            self._paint_near(painter)

    def _is_off(self) -> bool:
        return self.node.mode == "mute" or self.state.status == "off"

    def _title_color(self) -> QColor:
        theme = self._look.theme
        if self.declared is None:
            return theme.tints.get("grey", theme.node_title)
        return theme.tints.get(self.tint, theme.node_title)

    def _outline(self) -> QPen:
        theme = self._look.theme
        if self.is_selected:
            return QPen(theme.accent, 2.5)
        if self.state.status == "failed":
            return QPen(theme.error, 2.0)
        if self.state.status == "running":
            return QPen(theme.running, 2.0)
        pen = QPen(theme.node_border, 1.0)
        if self.node.mode != "normal" or self.declared is None:
            pen = QPen(theme.text_dim, 1.2, Qt.PenStyle.DashLine)
        return pen

    def _paint_far(self, painter: QPainter) -> None:
        theme = self._look.theme
        rect = self.rect
        painter.fillRect(rect, theme.accent if self.is_selected else theme.node)
        color = theme.error if self.state.status == "failed" else self._title_color()
        painter.fillRect(QRectF(0, 0, WIDTH, TITLE), color)
        if self.thumbnail is not None and self._thumbnail_height:
            painter.drawImage(self.thumbnail_rect, self.thumbnail)

    def _paint_middle(self, painter: QPainter) -> None:
        theme = self._look.theme
        rect = self.rect
        zoom = painter.worldTransform().m11()
        # nothing else is written, so the title may take more than its bar
        font, metrics = self._look.far_font(zoom, self.layout.height * 1.3)
        bar = max(TITLE, metrics.height())
        painter.fillRect(rect, theme.node)
        painter.fillRect(QRectF(0, 0, WIDTH, min(bar, rect.height())), self._title_color())
        if zoom >= ROWS_ZOOM:
            # where there are parameters, although they cannot be read
            for row in self.layout.rows:
                painter.fillRect(row.rect.adjusted(0, 2, 0, -2), theme.window)
        painter.setPen(self._outline())
        painter.drawRect(rect)
        for socket in self.layout.sockets:
            if self._is_hidden(socket):
                continue
            color = (
                theme.node_border
                if (socket.is_output, socket.name) in self._dimmed
                else self._color(socket)
            )
            painter.fillRect(QRectF(socket.at.x() - 5, socket.at.y() - 5, 10, 10), color)
        self._set_title_font(painter, font)
        title = title_of(self.node, self.declared)
        title = metrics.elidedText(title, Qt.TextElideMode.ElideRight, WIDTH - 2 * PAD)
        painter.setPen(theme.text)
        baseline = (min(bar, rect.height()) + metrics.ascent() - metrics.descent()) / 2
        painter.drawText(QPointF(PAD, baseline), title)
        if self.thumbnail is not None and self._thumbnail_height:
            self._paint_thumbnail(painter)
        status = status_color(self.state, self._look)
        if status is not None:
            painter.fillRect(QRectF(0, -8, WIDTH, 6), status)

    def _paint_near(self, painter: QPainter) -> None:
        look, theme = self._look, self._look.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = self.rect
        body = QPainterPath()
        body.addRoundedRect(rect, 6, 6)
        painter.fillPath(body, theme.node)
        painter.save()
        painter.setClipRect(QRectF(0, 0, WIDTH, TITLE))
        painter.fillPath(body, self._title_color())
        painter.restore()
        self._paint_progress(painter)
        painter.setPen(self._outline())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(body)
        texts = self._texts_now()
        self._set_title_font(painter, look.title_font)
        painter.setPen(theme.text)
        baseline = TITLE / 2 + look.title_metrics.ascent() / 2 - 1.5
        painter.drawText(QPointF(PAD + 2, baseline), texts.title)
        painter.setFont(look.small_font)
        painter.setPen(theme.text_dim if not self.tint else theme.text)
        painter.drawText(QPointF(texts.id_left, baseline), texts.id)
        self._paint_sockets(painter)
        opacity = painter.opacity()
        for index, row in enumerate(self.layout.rows):
            is_dim = (False, row.name) in self._dimmed
            painter.setOpacity(opacity * (2 * _PALE if is_dim else 1.0))
            self._paint_row(painter, row, texts.names[index], texts.values[index])
        painter.setOpacity(opacity)
        if self.thumbnail is not None and self._thumbnail_height:
            self._paint_thumbnail(painter)
        self._paint_badge(painter)
        self._paint_error(painter)

    def _set_title_font(self, painter: QPainter, font: QFont) -> None:
        if self.node.mode == "mute":
            font = QFont(font)
            font.setStrikeOut(True)
        painter.setFont(font)

    def _color(self, socket: Socket) -> QColor:
        return self._look.socket(socket.type)[0]

    def _paint_sockets(self, painter: QPainter) -> None:
        look, theme = self._look, self._look.theme
        painter.setFont(look.text_font)
        drop = look.text_metrics.ascent() / 2 - 1.5
        for socket in self.layout.sockets:
            if self._is_hidden(socket):
                continue
            color, outline = look.socket(socket.type)
            is_dim = (socket.is_output, socket.name) in self._dimmed
            if is_dim:
                painter.setOpacity(painter.opacity() * _PALE)
            painter.translate(socket.at)
            if socket is self._target:
                painter.setPen(QPen(theme.accent, 2.0))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawEllipse(QPointF(0, 0), 9.0, 9.0)
            painter.setPen(QPen(theme.node_border, 1.0))
            # an optional input is hollow until something is linked to it
            is_hollow = not socket.is_output and socket.name not in self.node.inputs
            if is_hollow and socket.is_optional:
                painter.setPen(QPen(color, 1.6))
                painter.setBrush(theme.node)
            else:
                painter.setBrush(color)
            painter.drawPath(outline)
            painter.translate(-socket.at)
            if not self.layout.is_collapsed and not socket.is_param:
                is_faint = is_hollow and socket.is_optional
                painter.setPen(theme.text_dim if is_faint else theme.text)
                label = socket.name.replace("_", " ")
                left = PAD + 4
                if socket.is_output:
                    left = WIDTH - PAD - 4 - look.text_metrics.horizontalAdvance(label)
                painter.drawText(QPointF(left, socket.at.y() + drop), label)
            if is_dim:
                painter.setOpacity(painter.opacity() / _PALE)

    def _is_hidden(self, socket: Socket) -> bool:
        """Parameters show a socket while it is of use."""
        return (
            socket.is_param
            and socket.name not in self.node.inputs
            and socket.name != self._hovered
            and socket.name not in self._offered
            and socket is not self._target
        )

    def value_of(self, row: Row) -> Json:
        """What holds for a parameter: what a link gives, or its own value."""
        flow = self.flows.get(row.name)
        return value_of(self.node, row) if flow is None else flow.value

    def _text_of(self, row: Row) -> str:
        flow = self.flows.get(row.name)
        if flow is not None and not flow.is_known:
            return f"← {flow.source}"
        return shown(row.param, self.value_of(row))

    def _paint_row(self, painter: QPainter, row: Row, name: str, value: str) -> None:
        look, theme = self._look, self._look.theme
        drop = look.text_metrics.ascent() / 2 - 1.5
        box = row.rect.adjusted(0, 1, 0, -1)
        middle = row.rect.top() + ROW / 2
        painter.setFont(look.text_font)
        if row.name in (MORE, UNUSED):
            painter.setPen(theme.text_dim)
            painter.drawText(QPointF(box.left() + 6, middle + drop), name)
            return
        is_given = row.name in self.flows
        is_changed = (
            row.param is not None
            and not is_given
            and row.name in self.node.params
            and self.node.params[row.name] != row.param.default
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.window)
        if row.rect.height() > ROW:
            painter.setPen(theme.text if is_changed else theme.text_dim)
            painter.drawText(QPointF(box.left() + 4, middle - 1 + drop), name)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawRoundedRect(box.adjusted(0, ROW - 4, 0, -1), 3, 3)
            painter.setPen(theme.text_dim if is_given else theme.text)
            top = box.top() + ROW - 2 + look.text_metrics.ascent()
            for index, line in enumerate(value.split("\n")):
                painter.drawText(QPointF(box.left() + 6, top + index * LINE), line)
            return
        painter.drawRoundedRect(box, 3, 3)
        current = self.value_of(row)
        share = fraction(row.param, current) if row.param else None
        if share:
            fill = QColor(theme.text_dim if is_given else theme.accent)
            fill.setAlphaF(0.22)
            painter.setBrush(fill)
            painter.drawRoundedRect(
                QRectF(box.left(), box.top(), box.width() * share, box.height()), 3, 3
            )
        if is_changed:
            painter.setBrush(theme.accent)
            painter.drawRect(QRectF(box.left(), box.top() + 3, 2, box.height() - 6))
        painter.setPen(theme.text_dim)
        painter.drawText(QPointF(box.left() + 6, middle + drop), name)
        right = box.right() - 6
        if row.param is not None and row.param.kind is ParamKind.BOOL and current is not None:
            place = QRectF(right - 12, middle - 6, 12, 12)
            self._paint_check(painter, place, current is True, is_given=is_given)
            return
        if choices(row.param) and not is_given:
            right = box.right() - 16
            painter.setPen(QPen(theme.text_dim, 1.3))
            x, y = box.right() - 10, middle
            painter.drawPolyline(
                [QPointF(x - 3, y - 1.5), QPointF(x, y + 2), QPointF(x + 3, y - 1.5)]
            )
        painter.setPen(theme.text_dim if row.param is None or is_given else theme.text)
        if row.name in self._texts_now().wrong:
            painter.setPen(theme.error)
        width = look.text_metrics.horizontalAdvance(value)
        painter.drawText(QPointF(right - width, middle + drop), value)

    def _paint_check(self, painter: QPainter, box: QRectF, is_on: bool, *, is_given: bool) -> None:
        theme = self._look.theme
        color = theme.text_dim if is_given else theme.selection
        painter.setPen(QPen(color if is_on else theme.text_dim, 1.2))
        painter.setBrush(color if is_on else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 2.5, 2.5)
        if is_on:
            painter.setPen(QPen(theme.node if is_given else theme.accent_text, 1.8))
            painter.drawPolyline(
                [
                    box.topLeft() + QPointF(2.8, 6.2),
                    box.topLeft() + QPointF(5.0, 8.6),
                    box.topLeft() + QPointF(9.4, 3.4),
                ]
            )

    def _paint_thumbnail(self, painter: QPainter) -> None:
        assert self.thumbnail is not None
        area = self.thumbnail_rect
        scale = min(area.width() / self.thumbnail.width(), area.height() / self.thumbnail.height())
        width, height = self.thumbnail.width() * scale, self.thumbnail.height() * scale
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        left = area.center().x() - width / 2
        if self._is_off():
            painter.setOpacity(0.35)
        painter.drawImage(QRectF(left, area.top(), width, height), self.thumbnail)
        if self._is_off():
            painter.setOpacity(OFF_OPACITY)

    def _paint_progress(self, painter: QPainter) -> None:
        if self.state.status not in ("running", "resumes"):
            return
        theme = self._look.theme
        share = self.state.fraction
        track = QRectF(0, TITLE - 4, WIDTH, 4)
        painter.fillRect(track, theme.field)
        color = theme.running if self.state.status == "running" else theme.resumes
        painter.fillRect(QRectF(0, TITLE - 4, WIDTH * (share or 0.0), 4), color)

    def _paint_badge(self, painter: QPainter) -> None:
        text = self.badge
        if not text:
            return
        look, theme = self._look, self._look.theme
        metrics = look.small_metrics
        text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, WIDTH - 30)
        box = QRectF(0, -_ABOVE + 2, metrics.horizontalAdvance(text) + 24, _BADGE)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.panel)
        painter.drawRoundedRect(box, _BADGE / 2, _BADGE / 2)
        color = status_color(self.state, look) or theme.text_dim
        paint_mark(painter, self._status(), QPointF(box.left() + 11, box.center().y()), color)
        painter.setFont(look.small_font)
        painter.setPen(theme.text if self._status() != "failed" else theme.error)
        painter.drawText(
            QPointF(box.left() + 20, box.center().y() + metrics.ascent() / 2 - 1.5), text
        )

    @property
    def badge(self) -> str:
        """What stands on the badge over the node; empty for none."""
        return badge_text(self.node.mode, self.state, is_known=self.declared is not None)

    def _status(self) -> str:
        mode = self.node.mode
        return {"mute": "muted", "bypass": "bypassed"}.get(mode, self.state.status)

    def _paint_error(self, painter: QPainter) -> None:
        if not self._error_lines:
            return
        look, theme = self._look, self._look.theme
        top = self.rect.bottom() + 4
        box = QRectF(0, top, WIDTH, LINE * len(self._error_lines) + 6)
        painter.setPen(QPen(theme.error, 1.0))
        painter.setBrush(theme.panel)
        painter.drawRoundedRect(box, 4, 4)
        painter.setFont(look.small_font)
        painter.setPen(theme.error)
        baseline = top + 3 + look.small_metrics.ascent()
        for index, line in enumerate(self._error_lines):
            painter.drawText(QPointF(PAD, baseline + index * LINE), line)

    def _texts_now(self) -> Texts:
        if self._texts is None:
            self._texts = self._cut_texts()
        return self._texts

    def _cut_texts(self) -> Texts:
        look = self._look
        right = Qt.TextElideMode.ElideRight
        room = WIDTH - 2 * PAD - 4
        title = title_of(self.node, self.declared)
        title = look.title_metrics.elidedText(title, right, room * 0.7)
        name = "" if self.node.id == self.node.type else str(self.node.id)
        if self.is_pinned:
            name = f"{name} ⚲".strip()
        taken = look.title_metrics.horizontalAdvance(title) + 10
        name = look.small_metrics.elidedText(name, right, room - taken)
        id_left = WIDTH - PAD - 2 - look.small_metrics.horizontalAdvance(name)
        names, values = [], []
        for row in self.layout.rows:
            if row.name == UNUSED:
                count = self.layout.unused
                names.append(
                    _tr("1 hidden socket") if count == 1 else _tr("{} hidden sockets").format(count)
                )
                values.append("")
                continue
            if row.name == MORE:
                count = self.layout.hidden
                names.append(_tr("{} more…").format(count) if count else _tr("fewer"))
                values.append("")
                continue
            width = row.rect.width() - 14
            label = row.name.replace("_", " ")
            text = self._text_of(row)
            if row.rect.height() > ROW:
                names.append(label)
                lines = wrapped(text, look.text_font, width, PROMPT_LINES)
                values.append("\n".join(lines))
                continue
            # a short name leaves its room to the value
            needed = look.text_metrics.horizontalAdvance(text)
            share = max(width * _NAME_SHARE, width - needed - 8)
            label = look.text_metrics.elidedText(label, right, share)
            taken = look.text_metrics.horizontalAdvance(label) + 8
            names.append(label)
            arrow = 12 if choices(row.param) and row.name not in self.flows else 0
            line = text.replace("\n", " ")
            values.append(look.text_metrics.elidedText(line, right, width - taken - arrow))
        wrong = frozenset(
            row.name for row in self.layout.rows if row.param and self.misfit(row.param)
        )
        return Texts(title, name, id_left, tuple(names), tuple(values), wrong)

    def misfit(self, param: Param) -> str:
        """Why what a link gives does not fit a parameter; "" where it does, or is not known."""
        flow = self.flows.get(param.name)
        if flow is None or not flow.is_known:
            return ""
        try:
            param.check(flow.value)
        except ValueError as error:
            return str(error)
        return ""


def _tr(text: str) -> str:
    return QCoreApplication.translate("NodeItem", text)
