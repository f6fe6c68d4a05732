"""Where the panels are: docks around the canvas, how they are arranged at first, and the way back to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise

from PySide6.QtCore import QByteArray, QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication, QDockWidget, QMainWindow, QWidget

from studio.gui.keys.actions import Action

_AREAS: Mapping[str, Qt.DockWidgetArea] = {
    "library": Qt.DockWidgetArea.LeftDockWidgetArea,
    "outline": Qt.DockWidgetArea.LeftDockWidgetArea,
    "viewer": Qt.DockWidgetArea.RightDockWidgetArea,
    "inspector": Qt.DockWidgetArea.RightDockWidgetArea,
    "form": Qt.DockWidgetArea.RightDockWidgetArea,
}
"""All others are at the bottom."""
_IN_FRONT = ("library", "inspector", "plan")
_TOLERANCE_PX = 30
"""By which layouts round, and tabs and titles take of a dock's height."""
_ROOMY_PX = 1400
"""Narrower windows begin without the left panels: the canvas needs the room more."""


class Docks(QObject):
    """A dock for each panel. They are shown around documents; the start page has none."""

    def __init__(
        self,
        window: QMainWindow,
        panels: Mapping[str, tuple[str, QWidget]],
        focus: Callable[[str], bool],
    ) -> None:
        """``panels``: title and widget by name, those at the bottom in the order of their tabs.

        ``focus`` gives the keyboard to a panel that knows better than the order of Tab where it belongs, or says False.
        """
        super().__init__(window)
        self._window = window
        self._focus = focus
        self._canvas: QWidget | None = None
        self._state = QByteArray()
        self._given = (0, 0)
        """Width of the right docks and height of the lower ones, where nobody has changed them."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._give_room)
        self.docks: dict[str, QDockWidget] = {}
        for name, (title, widget) in panels.items():
            dock = QDockWidget(title, window)
            dock.setObjectName(name)
            dock.setWidget(widget)
            dock.setAccessibleName(title)
            dock.hide()
            self.docks[name] = dock
        self._arrange()
        window.installEventFilter(self)

    def __getitem__(self, name: str) -> QDockWidget:
        return self.docks[name]

    def _arrange(self) -> None:
        """Put every dock where it begins."""
        window, docks = self._window, self.docks
        bottom = Qt.DockWidgetArea.BottomDockWidgetArea
        for name, dock in docks.items():
            dock.setFloating(False)
            window.addDockWidget(_AREAS.get(name, bottom), dock)
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        window.tabifyDockWidget(docks["library"], docks["outline"])
        window.splitDockWidget(docks["viewer"], docks["inspector"], Qt.Orientation.Vertical)
        window.tabifyDockWidget(docks["inspector"], docks["form"])
        low = [dock for name, dock in docks.items() if name not in _AREAS]
        for before, after in pairwise(low):
            window.tabifyDockWidget(before, after)

    def _give_room(self) -> None:
        """Share the window's size out."""
        window, docks = self._window, self.docks
        width, height = window.width(), window.height()
        right = min(max(round(width * 0.23), 340), 460)
        left = min(max(round(width * 0.13), 220), 280)
        low = min(max(round(height * 0.24), 180), 270)
        tall = height - low // 4
        self._given = (right, low)
        horizontal, vertical = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        window.resizeDocks([docks["library"], docks["viewer"]], [left, right], horizontal)
        window.resizeDocks([docks["plan"]], [low], vertical)
        window.resizeDocks(
            [docks["viewer"], docks["inspector"]], [round(tall * 0.5), round(tall * 0.5)], vertical
        )

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let docks that nobody has resized grow and shrink with the window."""
        if event.type() == QEvent.Type.Resize and self._canvas is not None and self._is_as_given():
            self._timer.start()
        return super().eventFilter(watched, event)

    def _is_as_given(self) -> bool:
        now = (self.docks["inspector"].width(), self.docks["plan"].height())
        # hidden ones have no size that counts, and those that float are where somebody put them
        here = [not dock.isHidden() and not dock.isFloating() for dock in self.docks.values()]
        pairs = zip(now, self._given, strict=True)
        return any(here) and all(abs(one - given) <= _TOLERANCE_PX for one, given in pairs)

    # --- shown and hidden

    def arrived_at(self, state: QByteArray) -> None:
        """Take over where the panels were when the window was closed."""
        self._state = state

    def leave(self) -> QByteArray:
        """Where the panels are, to be kept."""
        return self._window.saveState() if self._canvas is not None else self._state

    def show_around(self, canvas: QWidget | None) -> None:
        """Show the panels around a canvas, as they were; hide them where there is none."""
        was_shown = self._canvas is not None
        if was_shown and canvas is None:
            self._state = self._window.saveState()
            for dock in self.docks.values():
                dock.hide()
        self._canvas = canvas
        if canvas is None or was_shown:
            return
        if self._state.isEmpty() or not self._window.restoreState(self._state):
            self._begin()

    def _begin(self) -> None:
        is_roomy = self._window.width() >= _ROOMY_PX
        for name, dock in self.docks.items():
            is_left = _AREAS.get(name) == Qt.DockWidgetArea.LeftDockWidgetArea
            dock.setVisible(is_roomy or not is_left)
        self._give_room()
        for name in _IN_FRONT:
            self.docks[name].raise_()

    def reset(self) -> None:
        """Put every panel back where it began."""
        self._arrange()
        self._begin()
        self.to_canvas()

    def bring(self, name: str) -> None:
        """Show a panel in front of those that share its place."""
        self.docks[name].show()
        self.docks[name].raise_()

    def toggle(self, name: str) -> None:
        """Show a panel, bring it to the front, or hide it."""
        dock = self.docks[name]
        if dock.isVisible() and not dock.visibleRegion().isEmpty():
            dock.hide()
            self.to_canvas()
        else:
            self.bring(name)
            self._give_keyboard(dock)

    # --- the keyboard

    def to_canvas(self) -> None:
        """Give the keyboard to the canvas."""
        if self._canvas is not None:
            self._canvas.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def next(self) -> None:
        """Give the keyboard to the next panel that can be seen; after the last, to the canvas."""
        self._go_on(1)

    def previous(self) -> None:
        """Give the keyboard to the panel before; before the first, to the canvas."""
        self._go_on(-1)

    def _go_on(self, step: int) -> None:
        if self._canvas is None:
            return
        docks = [one for one in self.docks.values() if not one.visibleRegion().isEmpty()]
        stops: list[QWidget] = [self._canvas, *docks]
        focus = QApplication.focusWidget()
        has_it = [focus is not None and one.isAncestorOf(focus) for one in stops]
        here = has_it.index(True) if True in has_it else 0
        self._give_keyboard(stops[(here + step) % len(stops)])

    def _give_keyboard(self, widget: QWidget) -> None:
        """To a panel: to what in it comes first by Tab, unless the panel knows better."""
        reason = Qt.FocusReason.ShortcutFocusReason
        if not isinstance(widget, QDockWidget):
            widget.setFocus(reason)
            return
        if self._focus(widget.objectName()):
            return
        inner = widget.widget()
        for one in (inner, *inner.findChildren(QWidget)):
            by_tab = bool(one.focusPolicy() & Qt.FocusPolicy.TabFocus)
            if one.isVisible() and one.isEnabled() and (by_tab or one.focusProxy()):
                one.setFocus(reason)
                return

    # --- what can be done

    def table(self, order: Mapping[str, int]) -> Iterator[Action]:
        """The actions of the View menu; ``order``: the digit in the key of each panel."""
        for name, dock in self.docks.items():
            yield Action(
                f"view.{name}",
                "View",
                dock.windowTitle(),
                partial(self.toggle, name),
                (f"Alt+{order[name]}",) if name in order else (),
                section="panels",
                is_checked=dock.isVisible,
                is_enabled=self._are_shown,
            )
        for name, text, run, keys in (
            ("next_panel", self.tr("Go to the next panel"), self.next, ("F6",)),
            ("previous_panel", self.tr("Go to the previous panel"), self.previous, ("Shift+F6",)),
            ("reset_panels", self.tr("Reset the layout of panels"), self.reset, ()),
        ):
            yield Action(
                f"view.{name}", "View", text, run, keys, section="arrangement",
                is_enabled=self._are_shown,
            )  # fmt: skip

    def _are_shown(self) -> bool:
        return self._canvas is not None
