"""The canvas widget: what it shows of the document, its camera, and which gesture a hand begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from PySide6.QtCore import QEvent, QLineF, QPoint, QPointF, QRect, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmapCache,
    QResizeEvent,
    QTransform,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QGraphicsView, QLabel, QMenu, QToolTip

from studio.errors import StudioError
from studio.graph import NodeId, ParamKind, Types
from studio.gui import edits
from studio.gui.actions import Actions
from studio.gui.canvas.adding import Adding
from studio.gui.canvas.commands import Commands
from studio.gui.canvas.editing import Editing
from studio.gui.canvas.gestures import (
    Band,
    DrawLink,
    Gesture,
    Knife,
    Move,
    MoveBox,
    MoveLinks,
    Pan,
    Pointer,
    ResizeBox,
    Scrub,
    SelectAndMove,
)
from studio.gui.canvas.layout import MORE, TITLE, Row, choices, is_number
from studio.gui.canvas.link_item import LinkItem
from studio.gui.canvas.look import GRID, OVERVIEW_ZOOM, Detail, Look
from studio.gui.canvas.menus import context_menu
from studio.gui.canvas.minimap import Minimap
from studio.gui.canvas.node_item import NodeItem
from studio.gui.canvas.overview import Overview
from studio.gui.canvas.scene import Scene
from studio.gui.canvas.tips import help_at
from studio.gui.document import Change, Document
from studio.gui.states import NodeState
from studio.gui.theme import Theme
from studio.workflow import Workflow
from studio.workflow.groups import group_of

MIME_NODE_TYPE = "application/x-studio-node-type"
MIN_ZOOM, MAX_ZOOM = 0.05, 4.0
WHEEL_FACTOR = 1.2
NUDGE, PAN_STEP = 4.0, 48
LINK_REACH = 8
"""Pixels of the screen within which a link is meant."""
IDLE_MS = 140
"""How long after the last movement links are smoothed again."""
CACHE_KIB = 96 * 1024
"""Of painted nodes, which Qt keeps for the whole program."""
_EDGE = 1_000_000.0
_Shift, _Ctrl, _Alt = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class Canvas(QGraphicsView):
    """Shows a document, or the inside of one of its groups, and edits it by hand and key."""

    selection_changed = Signal(tuple)
    """The ids of the selected nodes, as the graph that is shown has them."""
    shown_in_viewer = Signal(str)
    """The node (``group/node`` inside a group) whose output is wanted in the viewer."""
    run_to = Signal(str)
    status = Signal(str)
    """What a line at the bottom of the window may say."""
    group_changed = Signal(tuple)
    """The nodes of groups that were entered, from the outside in."""

    def __init__(self, document: Document, theme: Theme) -> None:
        super().__init__()
        self.document = document
        self.look = Look(theme)
        self.content = Scene(self.look, document.types, self)
        self.group_path: tuple[NodeId, ...] = ()
        """The nodes of the groups that were entered, from the outside in."""
        self._group: str | None = None
        self._states: Mapping[str, NodeState] = {}
        self._zoom = 1.0
        self._cursor: QPoint | None = None
        self._gesture: Gesture | None = None
        self._pending: tuple[Pointer, Gesture | None, Callable[[], None] | None] | None = None
        self._is_space = False
        self._is_committing = False
        self.overview = Overview(self.content)
        self._is_framed = False
        self._selected_count = 0
        self._set_up()
        self.adding = Adding(self, theme)
        self.editing = Editing(self)
        self.commands = Commands(self)
        self.table = Actions(self, self.commands.table(), context=Qt.ShortcutContext.WidgetShortcut)
        """Every action with its keys; ``actions()`` gives them as Qt has them."""
        self.minimap = Minimap(self)
        self._trail = QLabel(self)
        self._trail.move(10, 8)
        self._trail.setAutoFillBackground(True)
        self._trail.setMargin(5)
        self._trail.linkActivated.connect(self._leave_to)
        self._trail.hide()
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        self._idle.timeout.connect(self._rest)
        self.content.selection_moved.connect(self._selection_moved)
        document.changed.connect(self._changed)
        self._show()

    def _set_up(self) -> None:
        self.setScene(self.content)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(self.tr("Canvas"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        # wide, so that one can pan away from the nodes; the scene's own rectangle stays tight for its index
        self.setSceneRect(-_EDGE, -_EDGE, 2 * _EDGE, 2 * _EDGE)
        QPixmapCache.setCacheLimit(max(QPixmapCache.cacheLimit(), CACHE_KIB))

    # --- the document

    @property
    def theme(self) -> Theme:
        """The colours that are painted with."""
        return self.look.theme

    @property
    def workflow(self) -> Workflow:
        """What is shown, as a workflow: the document's, or the body of a group."""
        return self.content.workflow

    def commit(
        self,
        after: Workflow,
        text: str,
        merge: tuple[str, ...] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """Take ``after`` (of what is shown) as one step of the document's history."""
        if self._group is not None:
            whole = self.document.workflow
            after = edits.with_body(whole, self.document.types, self._group, after, renamed or {})
        self._is_committing = True
        try:
            self.document.edit(after, text, merge)
        finally:
            self._is_committing = False

    def attempt(
        self,
        text: str,
        make: Callable[[Workflow, Types], Workflow],
        renamed: Mapping[str, str] | None = None,
    ) -> bool:
        """Commit what ``make`` makes of the workflow; what it refuses is said in the status line."""
        try:
            self.commit(make(self.workflow, self.content.types), text, renamed=renamed)
        except StudioError as error:
            self.status.emit(str(error))
            return False
        return True

    def attempt_many(
        self, text: str, make: Callable[[Workflow, Types], tuple[Workflow, list[NodeId]]]
    ) -> None:
        """Commit what ``make`` makes and select the nodes that it names."""
        try:
            after, names = make(self.workflow, self.content.types)
            self.commit(after, text)
        except StudioError as error:
            self.status.emit(str(error))
        else:
            self.content.select(names)

    def named(self, ids: Iterable[str]) -> str:
        """Nodes in words, for the names of steps."""
        names = list(ids)
        return names[0] if len(names) == 1 else self.tr("{} nodes").format(len(names))

    def _changed(self, change: Change) -> None:
        if not self._is_committing:
            # an undo in the middle of a gesture: what the hand holds may be gone
            self._cancel_gesture()
        self._show()

    def _show(self) -> None:
        whole = self.document.workflow
        path = self.group_path
        self._group = self._group_at(whole, path)
        while path and self._group is None:
            path = path[:-1]
            self._group = self._group_at(whole, path)
        if path != self.group_path:
            self._set_path(path)
        shown = edits.body(whole, self._group) if self._group else whole
        self.content.apply(shown)
        self._look_changed()

    def _group_at(self, w: Workflow, path: Iterable[NodeId]) -> str | None:
        """The name of the group that a path leads into; None for the document itself or where there is no way."""
        graph, name = w.graph, None
        for step in path:
            node = graph.nodes.get(step)
            name = group_of(w, node) if node else None
            if name is None:
                return None
            graph = w.groups[name].graph
        return name

    def refocus(self) -> None:
        """Take the focus back from what stood over the canvas."""
        self.setFocus(Qt.FocusReason.PopupFocusReason)

    # --- groups

    def enter(self, name: NodeId) -> None:
        """Show the inside of the group that a node stands for; other nodes have none."""
        node = self.workflow.graph.nodes.get(name)
        if node is None or group_of(self.workflow, node) is None:
            return
        self._set_path((*self.group_path, name))
        self._show_elsewhere()

    def leave(self) -> None:
        """Show what is around the group that is shown."""
        if not self.group_path:
            return
        left = self.group_path[-1]
        self._set_path(self.group_path[:-1])
        self._show_elsewhere()
        self.content.select([left])

    def _leave_to(self, depth: str) -> None:
        self._set_path(self.group_path[: int(depth)])
        self._show_elsewhere()

    def _show_elsewhere(self) -> None:
        self.content.select([])
        self._show()
        self.set_states(self._states)
        self.frame_all()

    def _set_path(self, path: tuple[NodeId, ...]) -> None:
        self.group_path = path
        steps = [self.document.title, *path]
        links = [f'<a href="{depth}">{step}</a>' for depth, step in enumerate(steps[:-1])]
        self._trail.setText(" › ".join([*links, steps[-1]]))
        self._trail.adjustSize()
        self._trail.setVisible(bool(path))
        self.group_changed.emit(path)

    def flat_id(self, name: str) -> str:
        """A node's id as runs know it: inside a group, ``group/node``."""
        return "/".join([*self.group_path, name])

    # --- what runs show

    def set_states(self, states: Mapping[str, NodeState]) -> None:
        """Show what a run or a plan says of the nodes, by id (``group/node`` inside a group)."""
        self._states = states
        prefix = self.flat_id("")
        inside = {
            name.removeprefix(prefix): state
            for name, state in states.items()
            if name.startswith(prefix)
        }
        self.content.set_states(inside)

    def set_thumbnail(self, name: str, image: QImage | None) -> None:
        """Show a picture on a node, or none."""
        prefix = self.flat_id("")
        if name.startswith(prefix):
            self.content.set_thumbnail(name.removeprefix(prefix), image)

    def set_theme(self, theme: Theme) -> None:
        """Paint in other colours."""
        self.look.set_theme(theme)
        self.adding.palette.set_theme(theme)
        self.content.restyle()
        self._look_changed()
        self.viewport().update()

    # --- selection

    def select(self, ids: Iterable[str]) -> None:
        """Select these nodes and no others."""
        self.content.select(ids)

    def _selection_moved(self) -> None:
        self._look_changed()
        count = min(len(self.content.selection), 2)
        # while a band grows by hundreds, what can be done with several stays the same
        if count < 2 or count != self._selected_count:
            self._selected_count = count
            self.table.refresh()
        self.selection_changed.emit(tuple(self.content.selection))

    # --- the camera

    @property
    def zoom(self) -> float:
        """Pixels of the screen per scene unit."""
        return self._zoom

    def set_zoom(self, zoom: float, anchor: QPoint | None = None) -> None:
        """Zoom, within the limits; what is under ``anchor`` (default: the middle) stays there."""
        zoom = min(max(zoom, MIN_ZOOM), MAX_ZOOM)
        if zoom == self._zoom:
            return
        place = self.viewport().rect().center() if anchor is None else anchor
        under = self.mapToScene(place)
        self.editing.field.finish()
        self._zoom = zoom
        self.look.detail = Detail.at(zoom)
        self._is_moving()
        self.setTransform(QTransform.fromScale(zoom, zoom))
        self.pan_by(place - self.mapFromScene(under))
        self._look_changed()

    def zoom_in(self) -> None:
        """Zoom in by a step."""
        self.set_zoom(self._zoom * WHEEL_FACTOR)

    def zoom_out(self) -> None:
        """Zoom out by a step."""
        self.set_zoom(self._zoom / WHEEL_FACTOR)

    def zoom_actual(self) -> None:
        """Zoom to 1."""
        self.set_zoom(1.0)

    def pan_by(self, delta: QPoint) -> None:
        """Move what is seen by pixels of the screen."""
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(across.value() - delta.x())
        down.setValue(down.value() - delta.y())
        self.minimap.update()

    def look_at(self, point: QPointF) -> None:
        """Put a point of the scene in the middle."""
        self.pan_by(self.viewport().rect().center() - self.mapFromScene(point))

    def seen_rect(self) -> QRectF:
        """What is seen, in scene coordinates."""
        return self.mapToScene(self.viewport().rect()).boundingRect()

    def frame_all(self) -> None:
        """Show everything."""
        self._frame(self.content.content_rect())

    def frame_selected(self) -> None:
        """Show what is selected; everything if nothing is."""
        names = self.content.selection
        box = self.content.boxes.get(self.content.selected_box or ("", 0))
        if names:
            self._frame(self.content.rect_of(names))
        elif box is not None:
            self._frame(box.scene_rect)
        else:
            self.frame_all()

    def _frame(self, rect: QRectF) -> None:
        if rect.isEmpty():
            self.set_zoom(1.0)
            self.look_at(QPointF())
            return
        rect = rect.adjusted(-40, -50, 40, 40)
        size = self.viewport().size()
        zoom = min(size.width() / rect.width(), size.height() / rect.height(), 1.0)
        self.set_zoom(zoom)
        self.look_at(rect.center())

    def toggle_minimap(self) -> None:
        """Show or hide the minimap."""
        self.minimap.toggle()

    def _is_moving(self) -> None:
        """Paint links without smoothing until nothing has moved for a while: it costs more than all else."""
        self.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        self._idle.start()

    def _rest(self) -> None:
        if self._gesture is not None:
            self._idle.start()
            return
        self.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        self.viewport().update()

    # --- painting

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        """Paint the grid, as fine as the zoom allows."""
        theme = self.theme
        painter.fillRect(rect, theme.canvas)
        step = GRID
        while step * self._zoom < 24:
            step *= 5
        left, top = rect.left() // step * step, rect.top() // step * step
        columns = int((rect.right() - left) / step) + 1
        rows = int((rect.bottom() - top) / step) + 1
        lines = [
            QLineF(left + n * step, rect.top(), left + n * step, rect.bottom())
            for n in range(columns + 1)
        ]
        lines += [
            QLineF(rect.left(), top + n * step, rect.right(), top + n * step)
            for n in range(rows + 1)
        ]
        pen = QPen(theme.grid, 0)
        painter.setPen(pen)
        painter.drawLines(lines)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint item by item, or from far away all at once."""
        if self._zoom >= OVERVIEW_ZOOM:
            super().paintEvent(event)
            return
        painter = QPainter(self.viewport())
        painter.setClipRegion(event.region())
        painter.setWorldTransform(self.viewportTransform())
        self.drawBackground(painter, self.mapToScene(event.rect()).boundingRect())
        self.overview.paint(painter)
        painter.end()

    def _look_changed(self) -> None:
        self.minimap.nodes_changed()
        if self._zoom < OVERVIEW_ZOOM:
            self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the minimap in its corner; frame everything as the canvas gets its first size."""
        super().resizeEvent(event)
        self.minimap.place()
        if not self._is_framed and self.content.nodes:
            self._is_framed = True
            self.frame_all()

    # --- the mouse

    def _pointer(self, event: QMouseEvent) -> Pointer:
        place = event.position().toPoint()
        scene = self.mapToScene(place)
        return Pointer(scene, place, event.modifiers(), event.timestamp())

    def cursor_place(self) -> QPoint:
        """Where the mouse was last, in the viewport; the middle if it was never there."""
        return self.viewport().rect().center() if self._cursor is None else self._cursor

    def cursor_pos(self) -> QPointF:
        """Where the mouse was last, in the scene."""
        return self.mapToScene(self.cursor_place())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Find out what a press may become."""
        at = self._pointer(event)
        self._cursor = at.view
        self.adding.palette.close_quietly()
        self.editing.field.finish()
        self._cancel_gesture()
        button = event.button()
        if button == Qt.MouseButton.MiddleButton or (
            button == Qt.MouseButton.LeftButton and self._is_space
        ):
            self._begin(Pan(self), at)
        elif button == Qt.MouseButton.RightButton and at.has(_Ctrl):
            self._begin(Knife(self), at)
        elif button == Qt.MouseButton.LeftButton:
            self._press(at)
        event.accept()

    def _press(self, at: Pointer) -> None:
        plug = self.content.plug_at(at.scene)
        if plug is not None:
            is_bundle = plug.socket.is_output and at.has(_Shift)
            gesture: Gesture = MoveLinks(self, plug) if is_bundle else DrawLink(self, plug)
            self._pending = (at, gesture, None)
            return
        node = self.content.node_at(at.scene)
        if node is not None:
            self._press_node(node, at)
            return
        box = self.content.box_at(at.scene)
        if box is not None:
            self.content.select([], box=box.key)
            is_grip = box.is_grip(at.scene)
            self._pending = (at, ResizeBox(self, box) if is_grip else MoveBox(self, box), None)
            return
        click = None if at.has(_Shift) or at.has(_Ctrl) else self.commands.select_none
        self._pending = (at, Band(self), click)

    def _press_node(self, node: NodeItem, at: Pointer) -> None:
        name = node.node.id
        local = node.mapFromScene(at.scene)
        row = node.layout.row_at(local)
        is_plain = not at.modifiers
        click: Callable[[], None] | None = partial(self._click_node, name, at.modifiers)
        if row is not None and is_plain and self._clicks(row, local):
            click = partial(self._click_row, name, row)
        if is_plain and name not in self.content.selection:
            self.content.select([name])
        param = row.param if row else None
        can_scrub = param is not None and is_number(param) and not at.has(_Alt)
        if can_scrub and param is not None and (is_plain or name in self.content.selection):
            self._pending = (at, Scrub(self, name, param), click)
            return
        if name not in self.content.selection:
            # a drag with Shift or Ctrl takes the node along
            self._pending = (at, SelectAndMove(self, name, Move(self, is_copy=at.has(_Alt))), click)
            return
        self._pending = (at, Move(self, is_copy=at.has(_Alt)), click)

    def _clicks(self, row: Row, local: QPointF) -> bool:
        """Whether a click on a row does something: fold, tick, choose."""
        if row.name == MORE:
            return True
        is_right = local.x() > row.rect.right() - 26
        is_tick = row.param is not None and row.param.kind is ParamKind.BOOL
        return is_right and (is_tick or bool(choices(row.param)))

    def _click_node(self, name: NodeId, modifiers: Qt.KeyboardModifier) -> None:
        selection = self.content.selection
        if modifiers & _Shift:
            self.content.select([*selection, name])
        elif modifiers & _Ctrl:
            kept = [one for one in selection if one != name]
            self.content.select(kept if name in selection else [*kept, name])
        elif not modifiers & _Alt:
            self.content.select([name])

    def _click_row(self, name: NodeId, row: Row) -> None:
        if row.name == MORE:
            self.content.toggle_expanded(name)
            self._look_changed()
        else:
            self.editing.edit_row(name, row.name)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Lead the gesture on, or begin it once the hand has moved far enough."""
        at = self._pointer(event)
        self._cursor = at.view
        if self._gesture is None and self._pending is not None:
            start, gesture, _ = self._pending
            moved = (at.view - start.view).manhattanLength()
            if gesture is not None and moved >= QApplication.startDragDistance():
                self._pending = None
                self._begin(gesture, start)
        if self._gesture is not None:
            self._is_moving()
            self._gesture.move(at)
            if self._zoom < OVERVIEW_ZOOM:
                self.viewport().update()
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End the gesture, or take the press for a click."""
        at = self._pointer(event)
        gesture, self._gesture = self._gesture, None
        pending, self._pending = self._pending, None
        if gesture is not None:
            self._end(gesture, at)
        elif pending is not None:
            if isinstance(pending[1], Band):
                pending[1].end(at)
            if pending[2] is not None:
                pending[2]()
        event.accept()

    def _begin(self, gesture: Gesture, at: Pointer) -> None:
        self._gesture = gesture
        self._is_moving()
        gesture.begin(at)

    def _end(self, gesture: Gesture, at: Pointer) -> None:
        try:
            gesture.end(at)
        except StudioError as error:
            self.content.restore()
            self.status.emit(str(error))
        self._look_changed()
        self._idle.start()

    def _cancel_gesture(self) -> bool:
        """Take back what a hand has begun; True if it had."""
        gesture, self._gesture = self._gesture, None
        self._pending = None
        if gesture is None:
            return False
        gesture.cancel()
        return True

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Edit what is there; on empty canvas, add a node."""
        if event.button() != Qt.MouseButton.LeftButton or self._is_space:
            return
        at = self._pointer(event)
        self._cursor = at.view
        node = self.content.node_at(at.scene)
        box = self.content.box_at(at.scene)
        if node is not None:
            self._double_click_node(node, node.mapFromScene(at.scene))
        elif box is not None:
            self.editing.edit_box(box.key)
        else:
            self.adding.open_palette(at.view)
        event.accept()

    def _double_click_node(self, node: NodeItem, local: QPointF) -> None:
        name = node.node.id
        row = node.layout.row_at(local)
        if row is not None and row.name != MORE:
            is_tick = row.param is not None and row.param.kind is ParamKind.BOOL
            # the second click on a tick box ticks again; that on an arrow finds its menu open
            if is_tick or not self._clicks(row, local):
                self.editing.edit_row(name, row.name)
        elif node.thumbnail_rect.contains(local):
            self.shown_in_viewer.emit(self.flat_id(name))
        elif group_of(self.workflow, node.node) is not None:
            self.enter(name)
        elif 0 <= local.y() <= TITLE:
            self.content.select([name])
            self.editing.rename_selected()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the cursor; with Shift or Alt, or by a trackpad sideways, pan."""
        degrees = event.angleDelta()
        if event.modifiers() & _Shift or (event.modifiers() & _Alt):
            turned = degrees.y() or degrees.x()
            self._is_moving()
            self.pan_by(QPoint(turned // 2, 0))
        elif degrees.y():
            factor = WHEEL_FACTOR ** (degrees.y() / 120.0)
            self.set_zoom(self._zoom * factor, event.position().toPoint())
        event.accept()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer what can be done with what is here."""
        if event.modifiers() & _Ctrl or self._gesture is not None:
            return
        is_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        place = self.cursor_place() if is_key else event.pos()
        self._cursor = place
        at = self.mapToScene(place)
        node, box = self.content.node_at(at), self.content.box_at(at)
        if not is_key:
            if node is not None and node.node.id not in self.content.selection:
                self.content.select([node.node.id])
            elif node is None:
                self.content.select([], box=box.key if box else None)
        self.pop_up(context_menu(self))

    def pop_up(self, menu: QMenu) -> None:
        """Show a menu at the cursor; it is gone once it closes."""
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.viewport().mapToGlobal(self.cursor_place()))

    # --- keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys that are no actions: Escape, Space, arrows."""
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape:
            if not self._cancel_gesture():
                self.leave()
            return
        if key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._is_space = True
                self.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
            return
        if key in _ARROWS:
            across, down = _ARROWS[key]
            if not self.content.selection:
                self.pan_by(QPoint(-across * PAN_STEP, -down * PAN_STEP))
                return
            step = GRID if event.modifiers() & _Shift else NUDGE
            self.commands.nudge(across * step, down * step)
            return
        event.ignore()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Let go of Space."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._is_space = False
            self.viewport().unsetCursor()
            return
        super().keyReleaseEvent(event)

    # --- adding nodes

    def add_at_cursor(self, type_id: str) -> None:
        """Add a node where the mouse was last, linked to the selected node where types fit."""
        self.adding.at(type_id, self.cursor_pos())

    def copy_selected(self, offset: tuple[float, float], *, with_links: bool) -> None:
        """Copy the selected nodes by an offset and select the copies."""
        ids = list(self.content.selection)
        if ids:
            text = self.tr("Duplicate {}").format(self.named(ids))
            self.attempt_many(text, lambda w, types: edits.duplicate(w, ids, offset, with_links))

    def can_insert(self, name: NodeId, link: LinkItem) -> bool:
        """Whether a node would fit into a link."""
        try:
            edits.insert_on_link(self.workflow, self.content.types, name, (link.target, link.port))
        except StudioError:
            return False
        return True

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take node types from the library; files are the window's affair."""
        if event.mimeData().hasFormat(MIME_NODE_TYPE):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Follow what is dragged here."""
        if event.mimeData().hasFormat(MIME_NODE_TYPE):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        """Add a node of the type that was dropped."""
        if not event.mimeData().hasFormat(MIME_NODE_TYPE):
            event.ignore()
            return
        type_id = bytes(event.mimeData().data(MIME_NODE_TYPE).data()).decode()
        self._cursor = event.position().toPoint()
        self.adding.at(type_id, self.mapToScene(self._cursor))
        event.acceptProposedAction()

    # --- tool tips

    def viewportEvent(self, event: QEvent) -> bool:
        """Show the help of what the mouse rests on."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            text = help_at(self.content, self.mapToScene(event.pos()), LINK_REACH / self._zoom)
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        return super().viewportEvent(event)
