"""The menu of the right button: what can be done with what is under the mouse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QMenu

from studio.gui import edits
from studio.gui.canvas.node_item import NodeItem

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

_NODE_MENU: tuple[str, ...] = (
    "cut", "copy", "paste", "duplicate", "duplicate_linked", "-",
    "delete", "delete_reconnect", "-",
    "rename", "swap", "mute", "bypass", "collapse", "hide_unused", "pin", "colors", "-",
    "connect", "complete", "extract", "frame", "group", "ungroup", "enter", "-",
    "select_downstream", "select_upstream", "frame_selected", "layout", "-",
    "run_to", "show_1",
)  # fmt: skip
_DOT_MENU: tuple[str, ...] = ("delete",)
_BOX_MENU: tuple[str, ...] = ("delete", "colors", "frame_selected")
_EMPTY_MENU: tuple[str, ...] = (
    "add", "add_menu", "note", "-", "paste", "paste_linked", "-",
    "select_all", "frame_all", "minimap", "layout", "leave",
)  # fmt: skip


def context_menu(canvas: Canvas, node: NodeItem | None = None, param: str = "") -> QMenu:
    """The menu for what is selected, or for empty canvas; first for a parameter of a node, if one is meant."""
    menu = QMenu(canvas)
    if node is not None and param:
        _add_param(menu, canvas, node, param)
    canvas.table.refresh()
    content = canvas.content
    names = _EMPTY_MENU
    if content.selection:
        names = _NODE_MENU
    elif content.selected_dots:
        names = _DOT_MENU
    elif content.selected_box is not None:
        names = _BOX_MENU
    for name in names:
        if name == "-":
            menu.addSeparator()
        elif name == "colors":
            _add_colors(menu, canvas)
        else:
            menu.addAction(canvas.table[f"canvas.{name}"])
    return menu


def _add_param(menu: QMenu, canvas: Canvas, item: NodeItem, name: str) -> None:
    """What can be done with the link of a parameter."""
    node = item.node
    param = item.declared.param(name) if item.declared else None
    link = node.inputs.get(name)
    shown = name.replace("_", " ")
    if link is not None:
        _add(menu, canvas.tr("Unlink {}").format(shown), partial(canvas.unlink, node.id, name))
        there = canvas.tr("Go to {}").format(link.node)
        _add(menu, there, partial(canvas.show_node, link.node))
    elif param is not None and edits.constant_for(canvas.content.types, param) is not None:
        make = canvas.adding.make_input
        _add(menu, canvas.tr("Make {} an input").format(shown), partial(make, node.id, name))
        alike = canvas.content.with_param(name, param)
        if len(alike) > 1 and node.id in alike:
            text = canvas.tr("Give {} of all {} selected from one node").format(shown, len(alike))
            _add(menu, text, partial(make, node.id, name, sharing=alike))
    if not menu.isEmpty():
        menu.addSeparator()


def _add(menu: QMenu, text: str, act: Callable[[], object]) -> None:
    menu.addAction(text).triggered.connect(Call(act))


class Call:
    """Calls without the state that Qt hands over."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def __call__(self, _is_checked: bool = False) -> None:
        """Call."""
        self._call()


def _add_colors(menu: QMenu, canvas: Canvas) -> None:
    colors = menu.addMenu(canvas.tr("Colour"))
    for name in (None, *canvas.theme.tints):
        action = colors.addAction(canvas.tr("None") if name is None else name.capitalize())
        action.setObjectName(f"canvas.color_{name or 'none'}")
        action.triggered.connect(_Painter(canvas, name))


class _Painter:
    """Gives what is selected a colour."""

    def __init__(self, canvas: Canvas, name: str | None) -> None:
        self._canvas, self._name = canvas, name

    def __call__(self, _is_checked: bool = False) -> None:
        self._canvas.commands.color(self._name)
