"""The program with a window: preferences, theme, windows, the recovery journal; opened by ``studio [FILE]``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox

from studio.gui import theme as themes
from studio.gui.shell import translations
from studio.gui.shell.settings import APP, Options, Preferences
from studio.gui.shell.start_page import templates
from studio.gui.shell.window import Window
from studio.gui.theme import Theme
from studio.resources import resource

if TYPE_CHECKING:
    from studio.graph import Types
    from studio.gui.journal import Journal
    from studio.gui.keys.keymap import Keymap
    from studio.gui.running.inbox import Event
    from studio.gui.running.runner import WorkerLike
    from studio.gui.seeing.gallery import Gallery

MakeWorker = Callable[[Options, "Callable[[Event], None]"], "WorkerLike"]


HIDDEN_MS = 2000
SPARE_AFTER_S = 15.0
"""Once the worker is ready; until then the first run has the processor for itself."""
SPARE_BYTES = 8 * 2**30
"""Memory of a machine on which a second process that waits is no burden."""


def real_worker(options: Options, on_event: Callable[[Event], None]) -> WorkerLike:
    """A worker process with these options, and where there is room for it one that waits in case of its end."""
    import psutil

    from studio.numerics import cuda_devices
    from studio.remote import Worker

    # on a GPU each process holds some of its memory, which models need more
    has_room = psutil.virtual_memory().total >= SPARE_BYTES and not cuda_devices()
    return Worker(options.arguments(), on_event, spare_after_s=SPARE_AFTER_S if has_room else None)


class Program(QObject):
    """What all windows share."""

    def __init__(
        self,
        app: QApplication,
        preferences: Preferences | None = None,
        *,
        make_worker: MakeWorker = real_worker,
        data: Path | None = None,
    ) -> None:
        """``data``: where history and journal lie; None: the user's data folder."""
        super().__init__(app)
        self._app = app
        self.preferences = preferences or Preferences(parent=self)
        self._make_worker = make_worker
        self._data = data or platformdirs.user_data_path(APP)
        self.windows: list[Window] = []
        self._templates = templates(workflow_folder())
        self._types: Types | None = None
        self._gallery: Gallery | None = None
        self.journal: Journal | None = None
        self.theme = _theme(self.preferences.options())
        themes.apply(app, self.theme)

    def open_window(self) -> Window:
        """Show another window; the first can be painted before anything heavy is imported."""
        window = Window(self.preferences, self.theme, self._templates, self._make_worker)
        window.window_asked.connect(self._window_asked)
        window.options_chosen.connect(self.set_options)
        window.keymap_chosen.connect(self.set_keymap)
        window.quit_asked.connect(self.quit)
        window.closed.connect(self._window_closed)
        self.windows.append(window)
        window.show()
        return window

    def start(self) -> None:
        """Import what documents need, and let the windows begin."""
        if self._types is None:
            from studio.gui.journal import Journal
            from studio.gui.seeing.gallery import Gallery
            from studio.registry import load

            self._types = load().types
            self._gallery = Gallery(self._data / "history.sqlite")
            self.journal = Journal(self._data / "recovery", parent=self)
        assert self._gallery is not None
        assert self.journal is not None
        for window in self.windows:
            if not window.has_started():
                window.documents.opened.connect(self.journal.watch)
                window.documents.closed.connect(self.journal.forget)
                self.journal.failed.connect(window.say)
                window.start(self._types, self._gallery, self._data)

    def _window_asked(self) -> None:
        self.open_window()
        self.start()
        for window in self.windows[-1:]:
            window.start_worker()

    def _window_closed(self) -> None:
        window = self.sender()
        if isinstance(window, Window):
            self.windows.remove(window)
        if not self.windows:
            self.close()

    def set_options(self, options: Options) -> None:
        """Keep options, and let them hold in every window."""
        before = self.preferences.options()
        self.preferences.set_options(options)
        if options.theme != before.theme:
            self.theme = _theme(options)
            themes.apply(self._app, self.theme)
            for window in self.windows:
                window.set_theme(self.theme)
        if options.preset != before.preset:
            self.set_keymap(self.preferences.keymap())
        for window in self.windows:
            window.take_options(before, options)

    def set_keymap(self, keymap: Keymap) -> None:
        """Keep the user's keys, and let them hold in every window."""
        self.preferences.set_changed_keys(keymap.changes)
        for window in self.windows:
            window.set_keymap(keymap)

    def offer_recovery(self) -> None:
        """Ask what becomes of work that an editor left behind when it died."""
        if self.journal is None or not self.windows:
            return
        found = self.journal.found()
        if not found:
            return
        window = self.windows[0]
        names = "\n".join(f"•  {one.title}" for one in found[:8])
        box = QMessageBox(window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Unsaved work was found"))
        box.setText(self.tr("The editor did not close in good order. This was not saved:"))
        box.setInformativeText(names)
        take = box.addButton(self.tr("&Recover"), QMessageBox.ButtonRole.AcceptRole)
        drop = box.addButton(self.tr("&Discard"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(self.tr("Ask again &later"), QMessageBox.ButtonRole.RejectRole)
        box.exec()
        types = self._types
        assert types is not None
        for one in found:
            if box.clickedButton() is take:
                window.documents.take_back(self.journal.recover(one, types))
            elif box.clickedButton() is drop:
                self.journal.discard(one)

    def quit(self) -> None:
        """Close every window, unless somebody would rather stay."""
        for window in list(self.windows):
            if not window.close():
                return

    def close(self) -> None:
        """Give everything back."""
        journal, self.journal = self.journal, None
        if journal is not None:
            journal.close()
        if self._gallery is not None:
            self._gallery.close()
            self._gallery = None
        self._types = None
        self.preferences.sync()


def _theme(options: Options) -> Theme:
    return Theme.light() if options.theme == "light" else Theme.dark()


def workflow_folder() -> Path:
    """Where the templates lie: in the package of a wheel, beside it in a checkout."""
    return resource().parent / "workflows"


def main(path: Path | None = None) -> int:
    """Show the window, on a file if there is one; returns the exit code of the program."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        QApplication.setHighDpiScaleFactorRoundingPolicy(
            Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
        )
        app = QApplication(sys.argv[:1])
    translations.install(app)
    app.setApplicationName("Emulsion")
    app.setDesktopFileName(APP)
    program = Program(app)
    window = program.open_window()
    beginning = _Beginning(program, window, path)
    window.painted.connect(beginning.begin)
    # a window that is opened minimised is not painted
    QTimer.singleShot(HIDDEN_MS, beginning.begin)
    return app.exec()


class _Beginning(QObject):
    """What happens, once, when the window is painted."""

    def __init__(self, program: Program, window: Window, path: Path | None) -> None:
        super().__init__(program)
        self._is_over = False
        self._program = program
        self._window = window
        self._path = path

    def begin(self) -> None:
        """Import what documents need, open the file, start the worker, offer what was lost."""
        if self._is_over or self._window not in self._program.windows:
            return
        self._is_over = True
        self._program.start()
        if self._path is not None:
            self._window.documents.open_file(self._path)
        self._window.start_worker()
        self._program.offer_recovery()
