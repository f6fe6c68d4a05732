"""Which gesture a hand begins: by the button, the keys held with it and what lies under the mouse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from studio.errors import StudioError
from studio.graph import NodeId, ParamKind
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
    Reroute,
    ResizeBox,
    Scrub,
    SelectAndMove,
)
from studio.gui.canvas.layout import MORE, TITLE, UNUSED, Row, choices, is_number, value_of
from studio.gui.canvas.look import Detail
from studio.gui.canvas.node_item import NodeItem
from studio.gui.edits import Bend, Dot
from studio.workflow.groups import group_of

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

_Shift, _Ctrl, _Alt = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)


class Hand:
    """Turns the mouse events of a canvas into gestures, clicks and double-clicks."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self.place: QPoint | None = None
        """Where the mouse was last, in the viewport; None if it was never there."""
        self.is_over = False
        """Whether the mouse is over the canvas now."""
        self.is_panning = False
        """Whether Space is down, so that a drag moves what is seen."""
        self.is_cutting = False
        """Whether Y is down, so that a drag cuts links."""
        self._gesture: Gesture | None = None
        self._pending: tuple[Pointer, Gesture | None, Callable[[], object] | None] | None = None
        """A press that may yet become a gesture, or a click."""

    @property
    def holds(self) -> bool:
        """Whether a gesture is under way."""
        return self._gesture is not None

    def _pointer(self, event: QMouseEvent) -> Pointer:
        place = event.position().toPoint()
        self.place = place
        self.is_over = True
        scene = self._canvas.mapToScene(place)
        return Pointer(scene, place, event.modifiers(), event.timestamp())

    def let_go_of_keys(self) -> None:
        """Know of no key that is down: it may come up elsewhere."""
        self.is_panning = self.is_cutting = False
        self._canvas.viewport().unsetCursor()

    def press(self, event: QMouseEvent) -> None:
        """Find out what a press may become."""
        canvas, at = self._canvas, self._pointer(event)
        self.cancel()
        button = event.button()
        if button == Qt.MouseButton.MiddleButton or (
            button == Qt.MouseButton.LeftButton and self.is_panning
        ):
            self._begin(Pan(canvas), at)
        elif (button == Qt.MouseButton.RightButton and at.has(_Ctrl)) or (
            button == Qt.MouseButton.LeftButton and self.is_cutting
        ):
            self._begin(Knife(canvas), at)
        elif button == Qt.MouseButton.RightButton and at.has(_Shift):
            self._begin(Reroute(canvas), at)
        elif button == Qt.MouseButton.LeftButton:
            self._press(at)

    def _press(self, at: Pointer) -> None:
        canvas, content = self._canvas, self._canvas.content
        plug = content.plug_at(at.scene)
        if plug is not None:
            is_bundle = plug.socket.is_output and at.has(_Shift)
            gesture: Gesture = MoveLinks(canvas, plug) if is_bundle else DrawLink(canvas, plug)
            # the edge of a row is part of the node until it is dragged
            is_row = plug.socket.is_param
            click_row = partial(self._click_node, plug.node, at.modifiers) if is_row else None
            self._pending = (at, gesture, click_row)
            return
        node = content.node_at(at.scene)
        if node is not None:
            self._press_node(node, at)
            return
        dot = content.wires.dot_at(at.scene, canvas.dot_reach())
        if dot is not None:
            self._press_dot(dot.dot, at)
            return
        if at.has(_Alt) and canvas.link_at(at.scene) is not None:
            self._pending = (at, Band(canvas), partial(self._bend, at.scene))
            return
        box = content.box_at(at.scene)
        if box is not None:
            content.select([], box=box.key)
            is_grip = box.is_grip(at.scene)
            self._pending = (at, ResizeBox(canvas, box) if is_grip else MoveBox(canvas, box), None)
            return
        click = None if at.has(_Shift) or at.has(_Ctrl) else canvas.commands.select_none
        self._pending = (at, Band(canvas), click)

    def _press_dot(self, dot: Dot, at: Pointer) -> None:
        canvas, content = self._canvas, self._canvas.content
        if at.has(_Alt):
            plug = content.plug_of(dot)
            self._pending = (at, DrawLink(canvas, plug) if plug else None, None)
            return
        if not at.modifiers and dot not in content.selected_dots:
            content.select([], dots=[dot])
        move = Move(canvas, is_copy=False)
        gesture = move if dot in content.selected_dots else SelectAndMove(canvas, dot, move)
        self._pending = (at, gesture, partial(self._click_dot, dot, at.modifiers))

    def _click_dot(self, dot: Dot, modifiers: Qt.KeyboardModifier) -> None:
        content = self._canvas.content
        names, dots = content.selection, content.selected_dots
        if modifiers & _Shift:
            content.select(names, dots=[*dots, dot])
        elif modifiers & _Ctrl:
            kept = [one for one in dots if one != dot]
            content.select(names, dots=kept if dot in dots else [*kept, dot])
        else:
            content.select([], dots=[dot])

    def _bend(self, place: QPointF) -> bool:
        """Put a dot on the link at a place; False if there is none."""
        link = self._canvas.link_at(place)
        if link is None:
            return False
        leg, foot = link.foot(place)
        self._canvas.add_dots([Bend(link.key, leg, (foot.x(), foot.y()))])
        return True

    def _press_node(self, node: NodeItem, at: Pointer) -> None:
        canvas, selection = self._canvas, self._canvas.content.selection
        name = node.node.id
        local = node.mapFromScene(at.scene)
        row = self._row_at(node, local)
        is_plain = not at.modifiers
        click: Callable[[], None] | None = partial(self._click_node, name, at.modifiers)
        if row is not None and is_plain and _clicks(row, local):
            click = partial(self._click_row, name, row)
        if is_plain and name not in selection:
            canvas.content.select([name])
            selection = canvas.content.selection
        param = row.param if row else None
        is_given = param is not None and canvas.content.flow(name, param.name) is not None
        can_scrub = is_number(param) and not is_given and not at.has(_Alt)
        if can_scrub and param is not None and (is_plain or name in selection):
            self._pending = (at, Scrub(canvas, name, param), click)
            return
        move = Move(canvas, is_copy=at.has(_Alt))
        # a drag with Shift or Ctrl takes the node along
        gesture = move if name in selection else SelectAndMove(canvas, name, move)
        self._pending = (at, gesture, click)

    def _row_at(self, node: NodeItem, local: QPointF) -> Row | None:
        """The row that is meant; none from so far away that rows are not painted."""
        is_seen = self._canvas.look.detail is Detail.NEAR
        return node.layout.row_at(local) if is_seen else None

    def _click_node(self, name: NodeId, modifiers: Qt.KeyboardModifier) -> None:
        content = self._canvas.content
        dots = content.selected_dots
        if modifiers & _Shift:
            content.select([*content.selection, name], dots=dots)
        elif modifiers & _Ctrl:
            kept = [one for one in content.selection if one != name]
            content.select(kept if name in content.selection else [*kept, name], dots=dots)
        elif not modifiers & _Alt:
            content.select([name])

    def _click_row(self, name: NodeId, row: Row) -> None:
        if row.name == MORE:
            self._canvas.toggle_expanded(name)
        elif row.name == UNUSED:
            self._canvas.commands.hide_unused([name])
        else:
            self._canvas.editing.edit_row(name, row.name)

    def move(self, event: QMouseEvent) -> None:
        """Lead the gesture on, or begin it once the hand has moved far enough."""
        at = self._pointer(event)
        if self._gesture is None and self._pending is not None:
            start, gesture, _ = self._pending
            moved = (at.view - start.view).manhattanLength()
            if gesture is not None and moved >= QApplication.startDragDistance():
                self._pending = None
                self._begin(gesture, start)
        if self._gesture is not None:
            self._canvas.stir()
            self._gesture.move(at)
            self._canvas.refresh_far()
        is_free = self._pending is None and self._gesture is None
        self._canvas.content.hover(at.scene if is_free and not event.buttons() else None)

    def release(self, event: QMouseEvent) -> None:
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

    def _begin(self, gesture: Gesture, at: Pointer) -> None:
        self._gesture = gesture
        self._canvas.stir()
        gesture.begin(at)

    def _end(self, gesture: Gesture, at: Pointer) -> None:
        try:
            gesture.end(at)
        except StudioError as error:
            self._canvas.content.restore()
            self._canvas.status.emit(str(error))
        self._canvas.look_changed()
        self._canvas.stir()

    def cancel(self) -> bool:
        """Take back what a hand has begun; True if it had."""
        gesture, self._gesture = self._gesture, None
        self._pending = None
        if gesture is None:
            return False
        gesture.cancel()
        return True

    def pointed_row(self) -> tuple[NodeId, str] | None:
        """The node and parameter whose changed value the mouse is over, close enough to be read."""
        canvas = self._canvas
        if self.place is None or canvas.look.detail is not Detail.NEAR or not self.is_over:
            return None
        point = canvas.mapToScene(self.place)
        item = canvas.content.node_at(point)
        row = item.layout.row_at(item.mapFromScene(point)) if item is not None else None
        if item is None or row is None or row.param is None:
            return None
        is_changed = value_of(item.node, row) != row.param.default
        return (item.node.id, row.name) if is_changed else None

    def double_click(self, event: QMouseEvent) -> None:
        """Edit what is there; on empty canvas, add a node."""
        if event.button() != Qt.MouseButton.LeftButton or self.is_panning:
            return
        at, content = self._pointer(event), self._canvas.content
        node = content.node_at(at.scene)
        box = content.box_at(at.scene)
        if node is not None:
            self._double_click_node(node, node.mapFromScene(at.scene))
        elif content.wires.dot_at(at.scene, self._canvas.dot_reach()) is not None:
            return
        elif box is not None:
            self._canvas.editing.edit_box(box.key)
        elif not self._bend(at.scene):
            self._canvas.adding.open_palette(at.view)

    def _double_click_node(self, node: NodeItem, local: QPointF) -> None:
        canvas, name = self._canvas, node.node.id
        row = self._row_at(node, local)
        if row is not None and row.name not in (MORE, UNUSED):
            is_tick = row.param is not None and row.param.kind is ParamKind.BOOL
            # the second click on a tick box ticks again; that on an arrow finds its menu open
            if is_tick or not _clicks(row, local):
                canvas.editing.edit_row(name, row.name)
        elif node.thumbnail_rect.contains(local):
            canvas.shown_in_viewer.emit(canvas.flat_id(name))
        elif group_of(canvas.workflow, node.node) is not None:
            canvas.enter(name)
        elif 0 <= local.y() <= TITLE:
            canvas.select([name])
            canvas.editing.rename_selected()


def _clicks(row: Row, local: QPointF) -> bool:
    """Whether a click on a row does something: fold, tick, choose."""
    if row.name in (MORE, UNUSED):
        return True
    is_right = local.x() > row.rect.right() - 26
    is_tick = row.param is not None and row.param.kind is ParamKind.BOOL
    return is_right and (is_tick or bool(choices(row.param)))
