"""The canvas widget: what it shows of the document, and what keys, mouse, menus and drops do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFocusEvent,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QMenu, QToolTip

from studio.errors import StudioError
from studio.graph import NodeId, Types
from studio.gui import edits
from studio.gui.canvas.adding import Adding
from studio.gui.canvas.camera import WHEEL_FACTOR, Camera
from studio.gui.canvas.commands import Commands
from studio.gui.canvas.editing import Editing
from studio.gui.canvas.hand import Hand
from studio.gui.canvas.hint import Hint
from studio.gui.canvas.link_item import DOT_RADIUS, LinkItem
from studio.gui.canvas.look import GRID, Look
from studio.gui.canvas.menus import context_menu
from studio.gui.canvas.minimap import Minimap
from studio.gui.canvas.scene import Scene
from studio.gui.canvas.tips import help_at
from studio.gui.canvas.trail import Trail
from studio.gui.document import Change, Document
from studio.gui.edits import Bend
from studio.gui.keys.actions import Actions
from studio.gui.states import NodeState
from studio.gui.theme import Theme
from studio.workflow import Workflow
from studio.workflow.groups import group_of

NUDGE, PAN_STEP = 4.0, 48
LINK_REACH, DOT_REACH = 8, 9
"""Pixels of the screen within which a link or a dot is meant."""
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


class Canvas(Camera):
    """Shows a document, or the inside of one of its groups, and edits it by hand and key."""

    selection_changed = Signal(tuple)
    """The ids of the selected nodes, as the graph that is shown has them."""
    shown_in_viewer = Signal(str)
    """The node (``group/node`` inside a group) whose output is wanted in the viewer."""
    run_to = Signal(str)
    pasted = Signal(QMimeData, QPointF)
    """Files or a picture came by the clipboard to a place of the scene."""
    status = Signal(str)
    """What a line at the bottom of the window may say."""
    group_changed = Signal(tuple)
    """The nodes of groups that were entered, from the outside in."""

    def __init__(self, document: Document, theme: Theme) -> None:
        super().__init__(Scene(Look(theme), document.types))
        self.content.setParent(self)
        self.document = document
        self.group_path: tuple[NodeId, ...] = ()
        """The nodes of the groups that were entered, from the outside in."""
        self._shown_path: tuple[NodeId, ...] = ()
        self._group: str | None = None
        self._thumbnails: dict[str, QImage] = {}
        """By the ids that runs know; kept for nodes that are not shown, or may come back."""
        self._states: Mapping[str, NodeState] = {}
        self._is_committing = False
        self._is_framed = False
        self._selected_count = 0
        self._told: tuple[NodeId, ...] = ()
        """The selection that was last told."""
        self.setAccessibleName(self.tr("Canvas"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.hand = Hand(self)
        self.adding = Adding(self, theme)
        self.editing = Editing(self)
        self.commands = Commands(self)
        self.table = Actions(self, self.commands.table(), context=Qt.ShortcutContext.WidgetShortcut)
        """Every action with its keys; ``actions()`` gives them as Qt has them."""
        self.minimap = Minimap(self)
        self.hint = Hint(self, theme)
        self._trail = Trail(self)
        self._trail.went_back.connect(self._leave_to)
        self.zooming.connect(self.editing.field.finish)
        self.moved.connect(self.minimap.update)
        self.content.selection_moved.connect(self._selection_moved)
        document.changed.connect(self._changed)
        self.table.refresh()
        self._show()

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
        if merge is None:
            # a command in the middle of a gesture: what the hand holds may be gone
            self.hand.cancel()
        if self._group is not None:
            whole = self.document.workflow
            after = edits.with_body(whole, self.document.types, self._group, after, renamed or {})
        for old, new in (renamed or {}).items():
            # the old name keeps it as well, for undo
            image = self._thumbnails.get(self.flat_id(old))
            if image is not None:
                self._thumbnails[self.flat_id(new)] = image
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

    def named(self, ids: Iterable[str], dots: int = 0) -> str:
        """Nodes, and so many dots, in words, for the names of steps."""
        names = list(ids)
        if dots and not names:
            return self.tr("a dot") if dots == 1 else self.tr("{} dots").format(dots)
        words = names[0] if len(names) == 1 else self.tr("{} nodes").format(len(names))
        return self.tr("{} with dots").format(words) if dots else words

    def _changed(self, change: Change) -> None:
        if not self._is_committing:
            # an undo in the middle of a gesture: what the hand holds may be gone
            self.hand.cancel()
        self._show(is_followed=not self._is_committing)

    def _show(self, *, is_followed: bool = False) -> None:
        """``is_followed``: select what comes, by undo or under another name, for it is worked on next."""
        whole = self.document.workflow
        path = self.group_path
        self._group = edits.group_at(whole, path)
        while path and self._group is None:
            path = path[:-1]
            self._group = edits.group_at(whole, path)
        is_elsewhere = path != self._shown_path
        self._shown_path = path
        if path != self.group_path:
            self._set_path(path)
        shown = edits.body(whole, self._group) if self._group else whole
        before = self.content.workflow.graph.nodes
        is_followed = is_followed and not is_elsewhere
        come = [name for name in shown.graph.nodes if name not in before] if is_followed else []
        self.content.apply(shown, come or None)
        if is_elsewhere or shown.graph.nodes.keys() != before.keys():
            self._show_thumbnails()
        self.hint.set_visible(not (path or self.content.nodes or self.content.boxes))
        self.look_changed()

    def _show_thumbnails(self) -> None:
        """Give nodes that came back the pictures that they had."""
        for name, item in self.content.nodes.items():
            image = self._thumbnails.get(self.flat_id(name))
            if image is not item.thumbnail:
                self.content.set_thumbnail(name, image)

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

    def _leave_to(self, depth: int) -> None:
        self.go_to(self.group_path[:depth])

    def go_to(self, path: Sequence[NodeId]) -> bool:
        """Show the inside of the group that a path of nodes leads into; False if there is no such way."""
        if path and edits.group_at(self.document.workflow, path) is None:
            return False
        if tuple(path) != self.group_path:
            self._set_path(tuple(path))
            self._show_elsewhere()
        return True

    def _show_elsewhere(self) -> None:
        self.content.select([])
        self._show()
        self.set_states(self._states)
        self.frame_all()

    def _set_path(self, path: tuple[NodeId, ...]) -> None:
        self.group_path = path
        self._trail.show_path(self.document.title, path)
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
        if image is None:
            self._thumbnails.pop(name, None)
        else:
            self._thumbnails[name] = image
        prefix = self.flat_id("")
        if name.startswith(prefix):
            self.content.set_thumbnail(name.removeprefix(prefix), image)

    def set_theme(self, theme: Theme) -> None:
        """Paint in other colours."""
        self.look.set_theme(theme)
        self.adding.palette.set_theme(theme)
        self.hint.set_theme(theme)
        self.content.restyle()
        self.look_changed()
        self.viewport().update()

    # --- selection

    def select(self, ids: Iterable[str]) -> None:
        """Select these nodes and no others."""
        self.content.select(ids)

    def _selection_moved(self) -> None:
        self.look_changed()
        count = min(len(self.content.selection), 2)
        # while a band grows by hundreds, what can be done with several stays the same
        if count < 2 or count != self._selected_count:
            self._selected_count = count
            self.table.refresh()
        names = tuple(self.content.selection)
        if names != self._told:
            self._told = names
            self.selection_changed.emit(names)

    # --- what is painted

    def is_held(self) -> bool:
        """Whether a hand holds something."""
        return self.hand.holds

    def look_changed(self) -> None:
        """Paint anew where all nodes are painted at once: the minimap, and the canvas from far away."""
        self.minimap.nodes_changed()
        self.refresh_far()

    def toggle_minimap(self) -> None:
        """Show or hide the minimap."""
        self.minimap.toggle()

    def toggle_expanded(self, name: NodeId) -> None:
        """Show all parameters of a node, or only the most telling."""
        self.content.toggle_expanded(name)
        self.look_changed()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the minimap in its corner; frame everything as the canvas gets its first size."""
        super().resizeEvent(event)
        self.minimap.place()
        self.hint.place()
        if not self._is_framed and self.content.nodes:
            self._is_framed = True
            self.frame_all()

    # --- the mouse

    def cursor_place(self) -> QPoint:
        """Where the mouse was last, in the viewport; the middle if it was never there."""
        place = self.hand.place
        return self.viewport().rect().center() if place is None else place

    def cursor_pos(self) -> QPointF:
        """Where the mouse was last, in the scene."""
        return self.mapToScene(self.cursor_place())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close what is open and begin what a press begins."""
        self.adding.palette.close_quietly()
        self.editing.field.finish()
        self.hand.press(event)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Lead the hand's gesture on."""
        self.hand.move(event)
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End the hand's gesture."""
        self.hand.release(event)
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Edit what is there; on empty canvas, add a node."""
        self.hand.double_click(event)
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the cursor; with Shift or Alt, or by a trackpad sideways, pan."""
        degrees = event.angleDelta()
        if event.modifiers() & _Shift or (event.modifiers() & _Alt):
            turned = degrees.y() or degrees.x()
            self.stir()
            self.pan_by(QPoint(turned // 2, 0))
        elif degrees.y():
            factor = WHEEL_FACTOR ** (degrees.y() / 120.0)
            self.set_zoom(self.zoom * factor, event.position().toPoint())
        event.accept()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer what can be done with what is here."""
        is_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        if self.hand.holds or (event.modifiers() & (_Ctrl | _Shift) and not is_key):
            return
        place = self.cursor_place() if is_key else event.pos()
        self.hand.place = place
        at = self.mapToScene(place)
        node, box = self.content.node_at(at), self.content.box_at(at)
        dot = None if node else self.content.wires.dot_at(at, self.dot_reach())
        if not is_key:
            if node is not None and node.node.id not in self.content.selection:
                self.content.select([node.node.id])
            elif dot is not None and dot.dot not in self.content.selected_dots:
                self.content.select([], dots=[dot.dot])
            elif node is None and dot is None:
                self.content.select([], box=box.key if box else None)
        param = node.layout.param_at(node.mapFromScene(at)) if node is not None else ""
        self.pop_up(context_menu(self, node, param))

    def unlink(self, name: NodeId, port: str) -> None:
        """Cut the link into an input or a parameter."""
        self.attempt(
            self.tr("Unlink {}").format(f"{name}.{port}"),
            lambda w, types: edits.disconnect(w, name, port),
        )

    def show_node(self, name: NodeId) -> None:
        """Select a node and bring it into sight."""
        self.select([name])
        self.frame_selected()

    def pop_up(self, menu: QMenu) -> None:
        """Show a menu at the cursor; it is gone once it closes."""
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.viewport().mapToGlobal(self.cursor_place()))

    # --- keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys that are no actions: Escape, Space, Y, arrows."""
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape:
            self._escape()
            return
        if key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self.hand.is_panning = True
                self.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
            return
        if key == Qt.Key.Key_Y and not event.modifiers():
            if not event.isAutoRepeat():
                self.hand.is_cutting = True
                self.viewport().setCursor(Qt.CursorShape.CrossCursor)
            return
        if key in _ARROWS:
            across, down = _ARROWS[key]
            if not self.content.selection and not self.content.selected_dots:
                self.pan_by(QPoint(-across * PAN_STEP, -down * PAN_STEP))
                return
            step = GRID if event.modifiers() & _Shift else NUDGE
            self.commands.nudge(across * step, down * step)
            return
        event.ignore()

    def _escape(self) -> None:
        """Give up the nearest thing: a gesture, then the group that was entered, then the selection."""
        if self.hand.cancel():
            return
        if self.group_path:
            self.leave()
        else:
            self.commands.select_none()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Let go of Space or Y."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Y) and not event.isAutoRepeat():
            self.hand.let_go_of_keys()
            return
        super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Forget the keys that are down."""
        self.hand.let_go_of_keys()
        super().focusOutEvent(event)

    # --- adding nodes

    def add_at_cursor(self, type_id: str) -> None:
        """Add a node where the mouse was last, linked to the selected node where types fit."""
        self.adding.at(type_id, self.cursor_pos(), is_pointed=False)

    def copy_selected(self, offset: tuple[float, float], *, with_links: bool) -> None:
        """Copy the selected nodes by an offset and select the copies."""
        ids = list(self.content.selection)
        if ids:
            text = self.tr("Duplicate {}").format(self.named(ids))
            self.attempt_many(text, lambda w, types: edits.duplicate(w, ids, offset, with_links))

    def add_dots(self, bends: Iterable[Bend]) -> None:
        """Bend links, as one step, and select the new dots."""
        w, made = edits.add_dots(self.workflow, bends)
        if made:
            self.commit(w, self.tr("Add %n dot(s)", "", len(made)))
            self.content.select([], dots=made)

    def dot_reach(self) -> float:
        """How near to a dot the mouse takes it, in the scene: by pixels far out, by its size from near."""
        return max(DOT_REACH / self.zoom, DOT_RADIUS + 2.0)

    def link_at(self, point: QPointF) -> LinkItem | None:
        """The link that is meant at a point, or None."""
        return self.content.wires.link_at(point, LINK_REACH / self.zoom)

    def can_insert(self, name: NodeId, link: LinkItem) -> bool:
        """Whether a node would fit into a link."""
        try:
            edits.insert_on_link(self.workflow, self.content.types, name, (link.target, link.port))
        except StudioError:
            return False
        return True

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take node types from the library and parameters from the inspector; files are the window's affair."""
        if self.adding.takes(event.mimeData()):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Follow what is dragged here."""
        if self.adding.takes(event.mimeData()):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        """Add a node of the type that was dropped, or for the parameter that was."""
        if not self.adding.takes(event.mimeData()):
            event.ignore()
            return
        self.hand.place = event.position().toPoint()
        self.adding.drop(event.mimeData(), self.cursor_pos())
        event.acceptProposedAction()

    # --- tool tips

    def viewportEvent(self, event: QEvent) -> bool:
        """Show the help of what the mouse rests on; notice when it goes."""
        if event.type() == QEvent.Type.Leave:
            self.content.hover(None)
            self.hand.is_over = False
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            text = help_at(self.content, self.mapToScene(event.pos()), LINK_REACH / self.zoom)
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        return super().viewportEvent(event)
