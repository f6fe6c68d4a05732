"""What can be done, as tables: menus, tool bar, keys and the sheet of keys are made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QIcon, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from studio.gui.keys.keymap import Keymap, Keys

MENUS = ("File", "Edit", "Node", "View", "Run", "Help")


@dataclass(frozen=True)
class Action:
    """Something that can be done."""

    id: str
    """Dotted, unique: ``file.save``."""
    menu: str
    """One of ``MENUS``, or "" for what only has a key."""
    text: str
    """What people read, translated."""
    run: Callable[[], object]
    keys: Keys = ()
    """Where neither a preset nor the user says otherwise; the first is shown in the menu."""
    icon: str = ""
    """Name of a file of ``resources/icons``."""
    section: str = ""
    """Actions of one section stand together; a line separates it from the next."""
    is_checked: Callable[[], bool] | None = None
    """For what is on or off."""
    is_enabled: Callable[[], bool] | None = None
    """None: always."""


class Actions:
    """The table as QActions of one widget: each is made once, and menus share it."""

    def __init__(
        self,
        owner: QWidget,
        table: Iterable[Action],
        icon: Callable[[str], QIcon] | None = None,
        *,
        context: Qt.ShortcutContext = Qt.ShortcutContext.WindowShortcut,
    ) -> None:
        """``context``: where the keys count; single letters must not count while somebody types."""
        self.table: Mapping[str, Action] = {action.id: action for action in table}
        self.made: dict[str, QAction] = {}
        for action in self.table.values():
            made = QAction(action.text, owner)
            made.setObjectName(action.id)
            made.setShortcutContext(context)
            if icon and action.icon:
                made.setIcon(icon(action.icon))
            made.setIconVisibleInMenu(False)
            made.setCheckable(action.is_checked is not None)
            made.triggered.connect(_Caller(action))
            owner.addAction(made)
            self.made[action.id] = made
        self.set_keymap(Keymap())

    def __getitem__(self, name: str) -> QAction:
        return self.made[name]

    def set_keymap(self, keymap: Keymap) -> None:
        """Give every action the keys that it has now; menus and tool tips show them."""
        for name, action in self.table.items():
            keys = keymap.keys(name, action.keys)
            self.made[name].setShortcuts([QKeySequence(key) for key in keys])
            self.made[name].setToolTip(tip(action, keys))

    def refresh(self) -> None:
        """Show what is possible and what is on, as it is now."""
        for name, action in self.table.items():
            if action.is_enabled is not None:
                self.made[name].setEnabled(action.is_enabled())
            if action.is_checked is not None:
                self.made[name].setChecked(action.is_checked())

    def fill(self, menu: QMenu, name: str) -> None:
        """Append the actions of the menu ``name``, a line between sections."""
        section: str | None = None
        for action in self.table.values():
            if action.menu != name:
                continue
            if section is not None and action.section != section:
                menu.addSeparator()
            section = action.section
            menu.addAction(self.made[action.id])


class _Caller:
    """Calls an action without the state that Qt hands over."""

    def __init__(self, action: Action) -> None:
        self._action = action

    def __call__(self, _is_checked: bool = False) -> None:
        self._action.run()


def plain(text: str) -> str:
    """A menu's text without the marks of its mnemonic and its dialog."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").rstrip("…")


def shown_keys(keys: Iterable[str]) -> str:
    """The keys as this system writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(key).toString(native) for key in keys)


def tip(action: Action, keys: Keys) -> str:
    """What the mouse shows: the text and the keys."""
    shown = shown_keys(keys)
    return f"{plain(action.text)} ({shown})" if shown else plain(action.text)
