"""What can be done on the canvas beside gestures: each as one step of the history, in one table with its keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu

from studio.errors import StudioError
from studio.graph import Mode, NodeId, NodeType, Types, titled
from studio.gui import edits
from studio.gui.canvas.menus import Call
from studio.gui.canvas.palette import Entry, entries
from studio.gui.keys.actions import Action
from studio.workflow import Workflow

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

VIEWERS = 9
COPY_OFFSET = (40.0, 40.0)


class Commands:
    """Acts on the selection of one canvas."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._viewed: dict[int, NodeId] = {}
        """The nodes that the number keys show."""
        self._nudged: tuple[edits.Dot, ...] = ()
        """The dots that were nudged last, as they are now."""
        self._nudges = 0

    # --- the table

    def table(self) -> list[Action]:
        """Every action with its keys, in the order of the menus."""
        canvas = self._canvas
        tr = canvas.tr
        some, one = self._has_selection, self._has_one
        rows: list[
            tuple[
                str, str, str, str, Callable[[], object], tuple[str, ...], Callable[[], bool] | None
            ]
        ] = [
            ("cut", "Edit", "clipboard", tr("Cut"), self.cut, ("Ctrl+X",), some),
            ("copy", "Edit", "clipboard", tr("Copy"), self.copy, ("Ctrl+C",), some),
            ("paste", "Edit", "clipboard", tr("Paste"), self.paste, ("Ctrl+V",), None),
            ("paste_linked", "Edit", "clipboard", tr("Paste with links"), self.paste_linked, ("Ctrl+Shift+V",), None),
            ("duplicate", "Edit", "clipboard", tr("Duplicate"), self.duplicate, ("Ctrl+D",), some),
            ("duplicate_linked", "Edit", "clipboard", tr("Duplicate with links"),
             self.duplicate_linked, ("Ctrl+Shift+D",), some),
            ("delete", "Edit", "delete", tr("Delete"), self.delete, ("Del",), self._has_any),
            ("backspace", "", "", tr("Reset the changed value under the mouse, or delete"),
             self.backspace, ("Backspace",), None),
            ("delete_reconnect", "Edit", "delete", tr("Delete and reconnect"),
             self.delete_reconnect, ("Ctrl+Del",), some),
            ("select_all", "Edit", "select", tr("Select all"), self.select_all, ("Ctrl+A",), None),
            ("select_none", "Edit", "select", tr("Select none"), self.select_none, ("Ctrl+Shift+A",), None),
            ("select_downstream", "Edit", "select", tr("Select what depends on it"),
             self.select_downstream, ("L",), some),
            ("select_upstream", "Edit", "select", tr("Select what it needs"),
             self.select_upstream, ("Shift+L",), some),
            ("find", "Edit", "select", tr("Find node…"), self.find, ("Ctrl+F",), None),
            ("add", "Node", "add", tr("Add node…"), self.add, ("Tab",), None),
            ("add_menu", "Node", "add", tr("Add node by category…"), self.add_menu, ("Shift+A",), None),
            ("note", "Node", "add", tr("Add note"), self.note, ("Shift+P",), None),
            ("rename", "Node", "change", tr("Rename…"), canvas.editing.rename_selected, ("F2",), self._has_one_or_box),
            ("edit", "Node", "change", tr("Edit its values"), canvas.editing.edit_first, ("Return", "Enter"), one),
            ("swap", "Node", "change", tr("Swap for another type…"), self.swap, ("Shift+S",), one),
            ("mute", "Node", "change", tr("Mute"), self.mute, ("M",), some),
            ("bypass", "Node", "change", tr("Bypass"), self.bypass, ("B",), some),
            ("collapse", "Node", "change", tr("Collapse"), self.collapse, ("H", "Alt+C"), some),
            ("hide_unused", "Node", "change", tr("Hide unused sockets"), self.hide_unused, ("Ctrl+H",), some),
            ("pin", "Node", "change", tr("Pin"), self.pin, ("P",), some),
            ("connect", "Node", "links", tr("Connect the selected"), self.connect, ("J",), some),
            ("complete", "Node", "links", tr("Add what is missing"), self.complete, ("Shift+J",), some),
            ("extract", "Node", "links", tr("Pull out of its links"), self.extract, ("Ctrl+Shift+X",), some),
            ("frame", "Node", "group", tr("Put into a frame"), self.frame, ("Ctrl+J",), some),
            ("group", "Node", "group", tr("Group"), self.group, ("Ctrl+G",), some),
            ("ungroup", "Node", "group", tr("Ungroup"), self.ungroup, ("Ctrl+Shift+G", "Ctrl+Alt+G"),
             self._has_group),
            ("enter", "Node", "group", tr("Enter group"), self.enter, ("I",), self._has_group),
            ("leave", "Node", "group", tr("Leave group"), canvas.leave, ("U",), lambda: bool(canvas.group_path)),
            ("run_to", "Node", "run", tr("Run to this node"), self.run_to, (), one),
            ("frame_selected", "View", "zoom", tr("Frame the selected"), canvas.frame_selected, ("F",), None),
            ("frame_all", "View", "zoom", tr("Frame all"), canvas.frame_all, ("A", "Home"), None),
            ("zoom_in", "View", "zoom", tr("Zoom in"), canvas.zoom_in, ("Ctrl++", "Ctrl+="), None),
            ("zoom_out", "View", "zoom", tr("Zoom out"), canvas.zoom_out, ("Ctrl+-",), None),
            ("zoom_1", "View", "zoom", tr("Zoom 100 %"), canvas.zoom_actual, ("Ctrl+0",), None),
            ("minimap", "View", "zoom", tr("Minimap"), canvas.toggle_minimap, ("Alt+M",), None),
            ("layout", "View", "layout", tr("Lay out automatically"), self.auto_layout, ("Ctrl+Shift+F",), None),
        ]  # fmt: skip
        table = [
            Action(f"canvas.{id_}", menu, text, run, keys, section=section, is_enabled=enabled)
            for id_, menu, section, text, run, keys, enabled in rows
        ]
        aligned = {
            "left": tr("Align left edges"),
            "center": tr("Align centres"),
            "right": tr("Align right edges"),
            "top": tr("Align tops"),
            "middle": tr("Align middles"),
            "bottom": tr("Align bottoms"),
        }
        hows: tuple[edits.Align, ...] = ("left", "center", "right", "top", "middle", "bottom")
        table += [
            Action(
                f"canvas.align_{how}",
                "View",
                aligned[how],
                partial(self.align, how),
                section="layout",
                is_enabled=self._has_several,
            )
            for how in hows
        ]
        for axis, text in (
            ("x", tr("Distribute horizontally")),
            ("y", tr("Distribute vertically")),
        ):
            table.append(
                Action(
                    f"canvas.distribute_{axis}",
                    "View",
                    text,
                    partial(self.distribute, axis),
                    section="layout",
                    is_enabled=self._has_several,
                )
            )
        for number in range(1, VIEWERS + 1):
            show = tr("Show in the viewer ({})").format(number)
            assign = tr("Show the selected as {} in the viewer").format(number)
            table.append(
                Action(
                    f"canvas.show_{number}", "", show, partial(self.show, number), (f"{number}",)
                )
            )
            table.append(
                Action(
                    f"canvas.assign_{number}",
                    "",
                    assign,
                    partial(self.assign, number),
                    (f"Ctrl+{number}",),
                )
            )
        return table

    # --- what is selected

    @property
    def _ids(self) -> tuple[NodeId, ...]:
        return tuple(self._canvas.content.selection)

    @property
    def _dots(self) -> tuple[edits.Dot, ...]:
        return tuple(self._canvas.content.selected_dots)

    def _has_selection(self) -> bool:
        return bool(self._canvas.content.selection)

    def _has_one(self) -> bool:
        return len(self._canvas.content.selection) == 1

    def _has_one_or_box(self) -> bool:
        return self._has_one() or self._canvas.content.selected_box is not None

    def _has_several(self) -> bool:
        return len(self._canvas.content.selection) > 1

    def _has_any(self) -> bool:
        content = self._canvas.content
        return bool(content.selection or content.selected_dots or content.selected_box)

    def _has_group(self) -> bool:
        if self._has_several():
            # the commands themselves look for groups among many
            return True
        graph = self._canvas.workflow.graph
        return any(graph.node(name).type.startswith(graph.GROUP) for name in self._ids)

    def _named(self, text: str) -> str:
        return text.format(self._canvas.named(self._ids))

    # --- clipboard and copies

    def copy(self) -> None:
        """Put the selected nodes on the clipboard, as the text of a workflow file."""
        if self._ids:
            QGuiApplication.clipboard().setText(edits.copy_text(self._canvas.workflow, self._ids))

    def cut(self) -> None:
        """Copy, then delete."""
        if self._ids:
            self.copy()
            self._remove(self._canvas.tr("Cut {}"))

    def paste(self) -> None:
        """Add the nodes of the clipboard at the cursor; of files and pictures it holds, nodes that load them."""
        self._paste(with_links=False)

    def paste_linked(self) -> None:
        """Add the nodes of the clipboard at the cursor, linked to what they were linked to."""
        self._paste(with_links=True)

    def _paste(self, *, with_links: bool) -> None:
        canvas = self._canvas
        # an empty clipboard has none, whatever the stubs say
        data = cast("QMimeData | None", QGuiApplication.clipboard().mimeData())
        if data is None:
            return
        text = data.text()
        at = canvas.cursor_pos()
        is_file = any(url.isLocalFile() for url in data.urls())
        # nodes are text; others give text beside a picture, such as its address
        if not text.lstrip().startswith("{") and (is_file or data.hasImage()):
            canvas.pasted.emit(data, at)
            return
        canvas.attempt_many(
            canvas.tr("Paste"),
            lambda w, types: edits.paste_text(w, types, text, (at.x(), at.y()), with_links),
        )

    def duplicate(self) -> None:
        """Copy the selected nodes beside themselves."""
        self._canvas.copy_selected(COPY_OFFSET, with_links=False)

    def duplicate_linked(self) -> None:
        """Copy the selected nodes, fed by the same nodes."""
        self._canvas.copy_selected(COPY_OFFSET, with_links=True)

    def delete(self) -> None:
        """Delete the selected nodes and dots, or the selected frame or note."""
        canvas, box = self._canvas, self._canvas.content.selected_box
        if self._ids or self._dots:
            self._remove(canvas.tr("Delete {}"))
        elif box is not None and box[0] == "frames":
            canvas.commit(edits.remove_frame(canvas.workflow, box[1]), canvas.tr("Delete frame"))
        elif box is not None:
            canvas.commit(edits.remove_note(canvas.workflow, box[1]), canvas.tr("Delete note"))

    def backspace(self) -> None:
        """Reset the value under the mouse if it is changed; elsewhere, delete."""
        canvas, found = self._canvas, self._canvas.hand.pointed_row()
        if found is None:
            self.delete()
            return
        name, param = found
        canvas.attempt(
            canvas.tr("Reset {}").format(f"{name}.{param}"),
            lambda w, types: edits.reset_param(w, types, name, param),
        )

    def _remove(self, text: str) -> None:
        ids, dots = self._ids, self._dots
        self._canvas.attempt(
            text.format(self._canvas.named(ids, len(dots))),
            lambda w, types: edits.remove(edits.remove_dots(w, dots), ids),
        )

    def delete_reconnect(self) -> None:
        """Delete the selected nodes and link their neighbours."""
        ids = self._ids
        if ids:
            text = self._named(self._canvas.tr("Delete and reconnect {}"))
            self._canvas.attempt(text, lambda w, types: edits.remove_and_reconnect(w, types, ids))

    # --- selection

    def select_all(self) -> None:
        """Select every node and dot."""
        content = self._canvas.content
        content.select(list(content.nodes), dots=list(content.dots))

    def select_none(self) -> None:
        """Select nothing."""
        self._canvas.select([])

    def select_downstream(self) -> None:
        """Select what depends on the selected nodes as well."""
        self._canvas.select(self._canvas.content.linked(self._ids, is_downstream=True))

    def select_upstream(self) -> None:
        """Select what the selected nodes need as well."""
        self._canvas.select(self._canvas.content.linked(self._ids, is_downstream=False))

    def find(self) -> None:
        """Offer the nodes of this graph; the one taken is selected and framed."""
        canvas = self._canvas
        offered = []
        for node in canvas.workflow.graph:
            declared = canvas.content.types.get(node.type)
            title = declared.title if declared else node.type
            offered.append(Entry(node.id, str(node.id), title, "", (node.type,)))
        canvas.adding.offer(offered, canvas.tr("Find a node"), self._found)

    def _found(self, name: str) -> None:
        self._canvas.select([name])
        self._canvas.frame_selected()

    # --- adding

    def add(self) -> None:
        """Open the search palette at the cursor."""
        self._canvas.adding.open_palette(self._canvas.cursor_place(), is_pointed=False)

    def add_menu(self) -> None:
        """Open a menu of the node types by category."""
        canvas = self._canvas
        menu = QMenu(canvas)
        menus: dict[str, QMenu] = {}
        for declared in sorted(canvas.content.types.values(), key=_by_category):
            category = titled(declared.category)
            if category not in menus:
                menus[category] = menu.addMenu(category)
            made = menus[category].addAction(declared.title)
            made.setToolTip(declared.summary)
            made.triggered.connect(Call(partial(canvas.add_at_cursor, declared.id)))
        canvas.pop_up(menu)

    def note(self) -> None:
        """Put a note at the cursor and edit it."""
        canvas, at = self._canvas, self._canvas.cursor_pos()
        w = edits.note(canvas.workflow, (at.x(), at.y()), canvas.tr("Note"))
        canvas.editing.add_box(w, canvas.tr("Add note"))

    def swap(self) -> None:
        """Offer types to put in the place of the selected node, those of its category first."""
        canvas = self._canvas
        if len(self._ids) != 1:
            return
        node = canvas.workflow.graph.node(self._ids[0])
        mine = canvas.content.types.get(node.type)
        category = mine.category if mine else ""
        types = sorted(
            (one for one in canvas.content.types.values() if one.id != node.type),
            key=lambda one: (one.category != category, one.id),
        )
        hint = canvas.tr("Put another type in the place of {}").format(node.id)
        canvas.adding.offer(entries(types), hint, partial(self._swapped, node.id))

    def _swapped(self, name: NodeId, type_id: str) -> None:
        canvas = self._canvas
        before = set(canvas.workflow.graph.nodes)
        text = canvas.tr("Swap {}").format(name)
        canvas.attempt(text, lambda w, types: edits.swap_type(w, types, name, type_id))
        now = canvas.workflow.graph.nodes
        canvas.select([name] if name in now else [one for one in now if one not in before])

    # --- changing

    def mute(self) -> None:
        """Mute the selected nodes, or wake them."""
        self._toggle_mode("mute", self._canvas.tr("Mute {}"))

    def bypass(self) -> None:
        """Bypass the selected nodes, or wake them."""
        self._toggle_mode("bypass", self._canvas.tr("Bypass {}"))

    def _toggle_mode(self, mode: Mode, text: str) -> None:
        ids = self._ids
        if ids:
            self._canvas.attempt(
                self._named(text), lambda w, types: edits.toggle_mode(w, ids, mode)
            )

    def collapse(self) -> None:
        """Show the selected nodes by their title only, or whole."""
        ids = self._ids
        is_on = not set(ids) <= edits.collapsed(self._canvas.workflow)
        text = self._canvas.tr("Collapse {}") if is_on else self._canvas.tr("Unfold {}")
        self._canvas.attempt(self._named(text), lambda w, types: edits.collapse(w, ids, is_on))

    def hide_unused(self, ids: Sequence[NodeId] = ()) -> None:
        """Let nodes (none: the selected) hide the sockets that nothing is linked to, or show all again."""
        names = ids or self._ids
        is_on = not set(names) <= edits.tidy(self._canvas.workflow)
        text = self._canvas.tr("Hide the unused sockets of {}")
        if not is_on:
            text = self._canvas.tr("Show all sockets of {}")
        self._canvas.attempt(
            text.format(self._canvas.named(names)),
            lambda w, types: edits.hide_unused(w, names, is_on),
        )

    def pin(self) -> None:
        """Hold the selected nodes where they are, or let them go."""
        ids = self._ids
        is_on = not set(ids) <= edits.pinned(self._canvas.workflow)
        text = self._canvas.tr("Pin {}") if is_on else self._canvas.tr("Unpin {}")
        self._canvas.attempt(self._named(text), lambda w, types: edits.pin(w, ids, is_on))

    def color(self, name: str | None) -> None:
        """Give the selected nodes a colour of the theme, or none; or the selected frame."""
        canvas, ids, box = self._canvas, self._ids, self._canvas.content.selected_box
        if ids:
            text = self._named(canvas.tr("Colour {}"))
            canvas.attempt(text, lambda w, types: edits.color(w, ids, name))
        elif box is not None and box[0] == "frames":
            w = edits.set_frame(canvas.workflow, box[1], color=name or "")
            canvas.commit(w, canvas.tr("Colour frame"))

    def connect(self) -> None:
        """Link the selected nodes, from left to right, where types fit."""
        nodes = self._canvas.content.nodes
        ids = sorted(self._ids, key=lambda name: (nodes[name].x(), nodes[name].y()))
        text = self._named(self._canvas.tr("Connect {}"))
        self._canvas.attempt(text, lambda w, types: edits.connect_selected(w, types, ids))

    def complete(self) -> None:
        """Link the free inputs that the selected nodes need, to what is here or to new nodes."""
        canvas, ids = self._canvas, self._ids
        sizes = canvas.content.sizes()
        try:
            after, added = edits.completed(canvas.workflow, canvas.content.types, ids, sizes)
        except StudioError as error:
            canvas.status.emit(str(error))
            return
        if after is canvas.workflow:
            canvas.status.emit(canvas.tr("Nothing is missing"))
            return
        canvas.commit(after, self._named(canvas.tr("Add what {} needs")))
        canvas.select([*ids, *added])
        canvas.show_rect(canvas.content.rect_of([*ids, *added]))

    def add_output(self) -> None:
        """Add a node that saves pictures, linked to what gives some."""
        canvas, content = self._canvas, self._canvas.content
        rect = content.content_rect()

        def make(w: Workflow, types: Types) -> tuple[Workflow, list[NodeId]]:
            added, name = edits.add_node(w, types, "save_image", (rect.right() + 100, rect.top()))
            added, more = edits.completed(added, types, [name], content.sizes())
            return added, [name, *more]

        canvas.attempt_many(canvas.tr("Add {}").format("save_image"), make)
        canvas.show_rect(content.rect_of(content.selection))

    def extract(self) -> None:
        """Pull the selected nodes out of their links."""
        ids = self._ids
        text = self._named(self._canvas.tr("Pull out {}"))
        self._canvas.attempt(text, lambda w, types: edits.extract(w, types, ids))

    def frame(self) -> None:
        """Put a frame behind the selected nodes and edit its title."""
        canvas, ids = self._canvas, self._ids
        if not ids:
            return
        w = edits.frame(canvas.workflow, ids, canvas.tr("Frame"), sizes=canvas.content.sizes())
        canvas.editing.add_box(w, canvas.tr("Frame {}").format(canvas.named(ids)))

    def group(self) -> None:
        """Put the selected nodes into a group."""
        ids = self._ids
        if ids:
            text = self._named(self._canvas.tr("Group {}"))
            self._canvas.attempt_many(
                text, lambda w, types: _one(edits.group(w, types, ids, "group"))
            )

    def ungroup(self) -> None:
        """Put what is in the selected groups in their place."""
        graph = self._canvas.workflow.graph
        ids = [name for name in self._ids if graph.node(name).type.startswith(graph.GROUP)]
        if ids:
            text = self._named(self._canvas.tr("Ungroup {}"))
            self._canvas.attempt_many(text, lambda w, types: edits.ungroup(w, types, ids))

    def enter(self) -> None:
        """Show the inside of the selected group."""
        if self._ids:
            self._canvas.enter(self._ids[0])

    def run_to(self) -> None:
        """Ask for a run up to the selected node."""
        if self._ids:
            self._canvas.run_to.emit(self._canvas.flat_id(self._ids[0]))

    # --- places

    def auto_layout(self) -> None:
        """Lay out the selected nodes, or all."""
        canvas, ids = self._canvas, self._ids
        sizes = canvas.content.sizes()
        canvas.attempt(
            canvas.tr("Lay out"),
            lambda w, types: edits.auto_layout(w, types, ids if len(ids) > 1 else None, sizes),
        )

    def align(self, how: edits.Align) -> None:
        """Line the selected nodes up."""
        canvas, ids = self._canvas, self._ids
        sizes = canvas.content.sizes()
        canvas.attempt(canvas.tr("Align"), lambda w, types: edits.align(w, ids, how, sizes))

    def distribute(self, axis: str) -> None:
        """Leave the same gaps between the selected nodes."""
        canvas, ids = self._canvas, self._ids
        sizes = canvas.content.sizes()
        along: Literal["x", "y"] = "x" if axis == "x" else "y"
        canvas.attempt(
            canvas.tr("Distribute"), lambda w, types: edits.distribute(w, ids, along, sizes)
        )

    def nudge(self, across: float, down: float) -> None:
        """Move the selected nodes and dots a little; one step for as long as it is the same ones."""
        canvas, ids, dots = self._canvas, self._ids, self._dots
        nodes = canvas.content.nodes
        places: dict[str, edits.Point] = {
            name: (nodes[name].x() + across, nodes[name].y() + down) for name in ids
        }
        ends = {dot: (dot.at[0] + across, dot.at[1] + down) for dot in dots}
        if dots != self._nudged:
            # dots go by their place, which is another after each nudge
            self._nudges += 1
        moved = edits.move_dots(edits.move(canvas.workflow, places), ends)
        text = canvas.tr("Move {}").format(canvas.named(ids, len(dots)))
        canvas.commit(moved, text, merge=("nudge", str(self._nudges), *ids))
        self._nudged = tuple(dot.at_point(end) for dot, end in ends.items())
        canvas.content.select(ids, dots=self._nudged)

    # --- the viewer

    def show(self, number: int) -> None:
        """Show the node of a number in the viewer; the selected one becomes it if there is none yet."""
        name = self._viewed.get(number)
        if name is None or name not in self._canvas.content.nodes:
            self.assign(number)
        else:
            self._canvas.shown_in_viewer.emit(self._canvas.flat_id(name))

    def assign(self, number: int) -> None:
        """Let a number show the selected node, and show it."""
        if not self._ids:
            self._canvas.status.emit(self._canvas.tr("Select a node to show in the viewer"))
            return
        self._viewed[number] = self._ids[-1]
        self._canvas.shown_in_viewer.emit(self._canvas.flat_id(self._ids[-1]))


def _by_category(declared: NodeType) -> tuple[str, str]:
    return declared.category, declared.id


def _one(
    made: tuple[Workflow, NodeId],
) -> tuple[Workflow, list[NodeId]]:
    return made[0], [made[1]]
