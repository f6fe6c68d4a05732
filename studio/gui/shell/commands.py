"""What can be done with a window, in one table: menus, tool bar, keys and the sheet of keys are made from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from studio.gui.keys.actions import Action

if TYPE_CHECKING:
    from studio.gui.shell.window import Window


def table(window: Window) -> Iterator[Action]:
    """Every action of a window; those of canvas and panels are in tables of their own."""
    yield from _file(window)
    yield from _edit(window)
    yield from _view(window)
    yield from _run(window)
    yield Action(
        "help.keys", "Help", _tr("&Keys and gestures"), window.show_keys, ("?", "F1"), "help"
    )
    yield Action("help.about", "Help", _tr("&About Emulsion"), window.show_about)


def _file(window: Window) -> Iterator[Action]:
    documents, has_page, make = window.documents, window.has_page, Action
    yield make("file.new", "File", _tr("&New"), documents.new, ("Ctrl+N",), "new")
    yield make("file.open", "File", _tr("&Open…"), documents.ask_and_open, ("Ctrl+O",), "open")
    yield make("file.start", "File", _tr("S&tart page"), documents.show_start, ("Ctrl+Home",))
    yield make(
        "file.save", "File", _tr("&Save"), documents.save, ("Ctrl+S",), "save", "save",
        is_enabled=has_page,
    )  # fmt: skip
    yield make(
        "file.save_as", "File", _tr("Save &as…"), documents.save_as, ("Ctrl+Shift+S",),
        section="save", is_enabled=has_page,
    )  # fmt: skip
    yield make(
        "file.close", "File", _tr("&Close"), documents.close_front, ("Ctrl+W",),
        section="save", is_enabled=has_page,
    )  # fmt: skip
    yield make(
        "file.window", "File", _tr("New &window"), window.window_asked.emit,
        ("Ctrl+Shift+N",), section="window",
    )  # fmt: skip
    yield make(
        "file.settings", "File", _tr("S&ettings…"), window.show_settings, ("Ctrl+,",),
        "settings", "window",
    )  # fmt: skip
    yield make(
        "file.quit", "File", _tr("&Quit"), window.quit_asked.emit, ("Ctrl+Q",), section="quit"
    )


def _edit(window: Window) -> Iterator[Action]:
    yield Action(
        "edit.undo", "Edit", _tr("&Undo"), window.undo, ("Ctrl+Z",), "undo",
        is_enabled=window.can_undo,
    )  # fmt: skip
    yield Action(
        "edit.redo", "Edit", _tr("&Redo"), window.redo, ("Ctrl+Shift+Z", "Ctrl+Y"), "redo",
        is_enabled=window.can_redo,
    )  # fmt: skip
    yield Action(
        "edit.steps", "Edit", _tr("&History of edits…"), window.show_steps, ("Ctrl+Alt+Z",),
        "history", is_enabled=window.can_travel,
    )  # fmt: skip


def _view(window: Window) -> Iterator[Action]:
    documents = window.documents
    yield Action(
        "view.dark", "View", _tr("&Dark theme"), window.toggle_theme, ("Ctrl+Alt+T",),
        "dark", "window", is_checked=window.is_dark,
    )  # fmt: skip
    yield Action(
        "view.full", "View", _tr("&Full screen"), window.toggle_full_screen, ("F11",),
        section="window", is_checked=window.isFullScreen,
    )  # fmt: skip
    yield Action(
        "view.next", "View", _tr("&Next document"), documents.next,
        ("Ctrl+Tab", "Ctrl+PgDown"), section="tabs",
    )  # fmt: skip
    yield Action(
        "view.previous", "View", _tr("&Previous document"), documents.previous,
        ("Ctrl+Shift+Tab", "Ctrl+PgUp"), section="tabs",
    )  # fmt: skip


def _run(window: Window) -> Iterator[Action]:
    yield Action(
        "run.run", "Run", _tr("&Run"), window.run, ("Ctrl+Return", "Ctrl+Enter"), "run",
        is_enabled=window.has_page,
    )  # fmt: skip
    yield Action(
        "run.first", "Run", _tr("Run &next, before what waits"), window.run_first,
        ("Ctrl+Shift+Return", "Ctrl+Shift+Enter"), is_enabled=window.has_page,
    )  # fmt: skip
    yield Action(
        "run.to", "Run", _tr("Run to the &selected nodes"), window.run_to_selected,
        ("Ctrl+R",), "run_to", is_enabled=window.has_page,
    )  # fmt: skip
    yield Action(
        "run.cancel", "Run", _tr("&Cancel"), window.cancel,
        ("Ctrl+Alt+Return", "Ctrl+Alt+Enter"), "cancel", is_enabled=window.is_running,
    )  # fmt: skip
    yield Action(
        "run.variations", "Run", _tr("Queue &variations…"), window.ask_variations,
        ("Ctrl+Shift+R",), "variations", "queue", is_enabled=window.has_page,
    )  # fmt: skip
    yield Action(
        "run.hold", "Run", _tr("&Hold the queue"), window.toggle_hold, ("Pause",), "pause",
        "queue", is_checked=window.is_held, is_enabled=window.has_started,
    )  # fmt: skip
    yield Action(
        "run.drop", "Run", _tr("&Drop all that waits"), window.drop_waiting, (), "remove",
        "queue", is_enabled=window.has_waiting,
    )  # fmt: skip
    yield Action(
        "run.live", "Run", _tr("&Live: run at every edit"), window.toggle_live, ("Ctrl+L",),
        "live", "live", is_checked=window.is_live, is_enabled=window.has_page,
    )  # fmt: skip
    yield Action(
        "run.restart", "Run", _tr("Restart the &worker"), window.restart_worker,
        section="worker", is_enabled=window.has_started,
    )  # fmt: skip


def _tr(text: str) -> str:
    return QCoreApplication.translate("Commands", text)
