"""The menu of the right button: what can be done with what is under the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QMenu

if TYPE_CHECKING:
    from studio.gui.canvas.view import Canvas

_NODE_MENU: tuple[str, ...] = (
    "cut", "copy", "paste", "duplicate", "duplicate_linked", "-",
    "delete", "delete_reconnect", "-",
    "rename", "swap", "mute", "bypass", "collapse", "hide_unused", "pin", "colors", "-",
    "connect", "extract", "frame", "group", "ungroup", "enter", "-",
    "select_downstream", "select_upstream", "frame_selected", "layout", "-",
    "run_to", "show_1",
)  # fmt: skip
_DOT_MENU: tuple[str, ...] = ("delete",)
_BOX_MENU: tuple[str, ...] = ("delete", "colors", "frame_selected")
_EMPTY_MENU: tuple[str, ...] = (
    "add", "add_menu", "note", "-", "paste", "paste_linked", "-",
    "select_all", "frame_all", "minimap", "layout", "leave",
)  # fmt: skip


def context_menu(canvas: Canvas) -> QMenu:
    """The menu for what is selected, or for empty canvas."""
    menu = QMenu(canvas)
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
