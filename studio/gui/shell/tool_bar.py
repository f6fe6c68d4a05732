"""The tool bar: what is done all the time, and where it is computed."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QSizePolicy, QToolBar, QToolButton, QWidget

from studio.gui.keys.actions import Actions, plain
from studio.gui.theme import Theme, icon

_SHOWN = (
    "run.run",
    "run.cancel",
    "run.live",
    "",
    "run.variations",
    "queue",
    "",
    "edit.undo",
    "edit.redo",
    "edit.steps",
)
_PRIMARY = "run.run"


class ToolBar(QToolBar):
    """A row of buttons; at its end the device, which leads to the settings."""

    settings_asked = Signal()
    queue_asked = Signal()

    def __init__(self, actions: Actions, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Tool bar"))
        self.setObjectName("tools")
        self.setMovable(False)
        self.setIconSize(QSize(18, 18))
        self._actions = actions
        self.steps: QWidget = self
        """The button under which the history of edits pops up."""
        self.queue = QToolButton()
        self.queue.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.queue.setAutoRaise(True)
        self.queue.setToolTip(self.tr("What runs and what waits"))
        self.queue.clicked.connect(self.queue_asked)
        self.show_count(0)
        for name in _SHOWN:
            if not name:
                self.addSeparator()
                continue
            if name == "queue":
                self.addWidget(self.queue)
                continue
            self.addAction(actions[name])
            button = self.widgetForAction(actions[name])
            if isinstance(button, QToolButton):
                button.setAccessibleName(plain(actions.table[name].text))
                if name == "edit.steps":
                    self.steps = button
                if name == _PRIMARY:
                    button.setProperty("role", "primary")
                if name.startswith("run."):
                    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        actions["run.live"].setIconText(self.tr("Live"))
        actions["run.variations"].setIconText(self.tr("Variations"))
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(space)
        self._machine = ""
        self.set_theme(theme)
        self.device = QToolButton()
        self.device.setAccessibleName(self.tr("Device"))
        self.device.setAutoRaise(True)
        self.device.setText(self.tr("worker not started"))
        self.device.setToolTip(self.tr("Where it is computed; click for the settings"))
        self.device.clicked.connect(self.settings_asked)
        self.addWidget(self.device)

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours; most actions have their icons already."""
        self.queue.setIcon(icon("queue", theme))
        # the button of what is done most stands on the colour of what is selected
        given = icon(self._actions.table[_PRIMARY].icon, theme)
        shown = QIcon()
        for mode, of in (
            (QIcon.Mode.Normal, QIcon.Mode.Selected),
            (QIcon.Mode.Disabled, QIcon.Mode.Disabled),
        ):
            shown.addPixmap(given.pixmap(self.iconSize() * 2, of), mode)
        self._actions[_PRIMARY].setIcon(shown)

    def show_count(self, count: int) -> None:
        """Show how many jobs run or wait."""
        self.queue.setText(self.tr("Queue: {}").format(count) if count else self.tr("Queue"))
        self.queue.setAccessibleName(self.queue.text())

    def show_state(self, state: str) -> None:
        """Show what has become of the worker: starting, crashed, stopped; anything else says nothing."""
        words = {
            "starting": self.tr("worker is starting…"),
            "crashed": self.tr("worker crashed"),
            "stopped": self.tr("worker stopped"),
        }
        if state in words:
            self.device.setText(words[state])

    def show_machine(self, event: Mapping[str, object]) -> None:
        """Show where it is computed, and in how much memory, as the worker's events say."""
        name = event.get("event")
        if name == "hello":
            self._machine = f"{event.get('device')} · {event.get('dtype')}"
            threads = event.get("threads")
            if event.get("device") == "cpu" and isinstance(threads, int):
                words = self.tr("1 thread") if threads == 1 else self.tr("{} threads")
                self._machine += " · " + words.format(threads)
            self.device.setText(self._machine)
        elif name == "memory":
            device_bytes, own_bytes = event.get("device_bytes"), event.get("bytes")
            used = device_bytes if isinstance(device_bytes, int) else own_bytes
            if isinstance(used, int):
                self.device.setText(f"{self._machine} · {used / 1e9:.1f} GB")
