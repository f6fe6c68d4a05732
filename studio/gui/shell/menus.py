"""The menu bar, filled from the tables of the window, the panels and the canvas in front, and the recent files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QMenu

from studio.gui.keys.actions import MENUS, Actions, plain
from studio.gui.keys.key_sheet import Section
from studio.gui.shell.settings import Preferences

_RECENT_BEFORE = "file.save"


class Menus(QObject):
    """One menu for each name of ``MENUS``; a menu that would be empty is not shown."""

    recent_chosen = Signal(Path)

    def __init__(self, window: QMainWindow, preferences: Preferences) -> None:
        super().__init__(window)
        self._preferences = preferences
        self._titles = {
            "File": self.tr("&File"),
            "Edit": self.tr("&Edit"),
            "Node": self.tr("&Node"),
            "View": self.tr("&View"),
            "Run": self.tr("&Run"),
            "Help": self.tr("&Help"),
        }
        self.menus = {name: window.menuBar().addMenu(self._titles[name]) for name in MENUS}
        self._tables: tuple[Actions, ...] = ()
        self._recent = QMenu(self.tr("Open &recent"), window)
        preferences.recent_changed.connect(self._show_recent)
        self._show_recent()

    def fill(self, tables: Iterable[Actions]) -> None:
        """Show these tables, each behind a line of its own."""
        self._tables = tuple(tables)
        for name, menu in self.menus.items():
            menu.clear()
            for table in self._tables:
                if not menu.isEmpty():
                    menu.addSeparator()
                table.fill(menu, name)
                if name == "File" and _RECENT_BEFORE in table.made:
                    menu.insertMenu(table[_RECENT_BEFORE], self._recent)
            menu.menuAction().setVisible(not menu.isEmpty())

    def sections(self) -> Iterator[Section]:
        """Under the title of each menu its actions; what only has a key comes last."""
        for name in (*MENUS, ""):
            actions = [
                action
                for table in self._tables
                for action in table.table.values()
                if action.menu == name
            ]
            yield Section(plain(self._titles[name]) if name else self.tr("Canvas"), actions)

    def _show_recent(self) -> None:
        files = self._preferences.recent()
        self._recent.clear()
        for path in files:
            entry = self._recent.addAction(str(path).replace("&", "&&"))
            entry.setData(str(path))
            entry.triggered.connect(self._recent_chosen)
        if files:
            self._recent.addSeparator()
            self._recent.addAction(self.tr("Clear the list")).triggered.connect(
                self._preferences.clear_recent
            )
        self._recent.setEnabled(bool(files))

    def _recent_chosen(self) -> None:
        entry = self.sender()
        if isinstance(entry, QAction):
            self.recent_chosen.emit(Path(str(entry.data())))
