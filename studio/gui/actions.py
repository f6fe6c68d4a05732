"""One table of all that can be done: menus, tool bar, keys and the sheet of keys are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QAction, QIcon, QKeySequence
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QMenu, QTextBrowser, QVBoxLayout, QWidget

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
    keys: tuple[str, ...] = ()
    """In Qt's portable notation; the first is shown in the menu."""
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
            made.setShortcuts([QKeySequence(key) for key in action.keys])
            made.setShortcutContext(context)
            made.setToolTip(tip(action))
            if icon and action.icon:
                made.setIcon(icon(action.icon))
            made.setIconVisibleInMenu(False)
            made.setCheckable(action.is_checked is not None)
            made.triggered.connect(_Caller(action))
            owner.addAction(made)
            self.made[action.id] = made

    def __getitem__(self, name: str) -> QAction:
        return self.made[name]

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


def tip(action: Action) -> str:
    """What the mouse shows: the text and the keys."""
    keys = shown_keys(action.keys)
    return f"{plain(action.text)} ({keys})" if keys else plain(action.text)


# --- the sheet of keys

_ROW = "<tr><td width='330' style='padding:2px 20px 2px 0'>{}</td><td style='padding:2px 0'><b>{}</b></td></tr>"


def sheet(sections: Iterable[tuple[str, Iterable[tuple[str, str]]]]) -> str:
    """The sheet of keys as rich text: under each title what can be done and its keys."""
    parts = []
    for title, rows in sections:
        lines = "".join(_ROW.format(_escaped(what), _escaped(keys)) for what, keys in rows if keys)
        if lines:
            parts.append(f"<h3>{_escaped(title)}</h3><table>{lines}</table>")
    return "".join(parts)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


class KeySheet(QDialog):
    """The sheet of keys in a window of its own."""

    def __init__(
        self, sections: Iterable[tuple[str, Iterable[tuple[str, str]]]], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(_tr("Keys and gestures"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(620, 680)
        self.text = QTextBrowser(self)
        self.text.setAccessibleName(_tr("Keys and gestures"))
        self.text.setHtml(sheet(sections))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)


def _tr(text: str) -> str:
    return QCoreApplication.translate("Actions", text)
