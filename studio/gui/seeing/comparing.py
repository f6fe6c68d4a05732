"""Comparing two pictures of the history, or one with the document in front: viewer, table, and what is taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QDateTime, QLocale, QObject, QThreadPool, QTimer, Signal

from studio.comparison import Change, changes, environment, models
from studio.errors import StudioError
from studio.graph import Json, Types
from studio.gui import edits
from studio.gui.seeing.compare_panel import ComparePanel, stands_for, told
from studio.gui.seeing.gallery import Entry
from studio.gui.seeing.history import History
from studio.gui.seeing.recalling import Recalling
from studio.gui.seeing.showing import Showing
from studio.gui.seeing.surface import Slot
from studio.workflow import Workflow, complete, loads, migrate, parse

if TYPE_CHECKING:
    from studio.gui.shell.page import Page

_EDIT_MS = 60


@dataclass(frozen=True)
class _Side:
    name: str
    workflow: Workflow | None
    path: Path | None
    """The file of the picture, if there is one."""


@dataclass(frozen=True)
class _Measured:
    """What reading the files of both sides gave."""

    pixels: str
    changes: Sequence[Change]


class Comparing(QObject):
    """Follows the document in front; what is compared is either two entries, or one entry with the document."""

    status = Signal(str)
    failed = Signal(object)
    """A StudioError."""
    began = Signal()
    """The table is to be seen."""
    _measured = Signal(int, object)

    def __init__(
        self,
        panel: ComparePanel,
        history: History,
        showing: Showing,
        recalling: Recalling,
        types: Types,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._panel = panel
        self._history = history
        self._showing = showing
        self._recalling = recalling
        self._types = types
        self._page: Page | None = None
        self._entries: tuple[Entry, ...] = ()
        """Two: compared with each other; one: with the document."""
        self._sides: tuple[_Side, _Side] | None = None
        self._number = 0
        self._read = _Measured("", ())
        self._paths: tuple[Path | None, Path | None] | None = None
        """Which files were read for that."""
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_EDIT_MS)
        self._timer.timeout.connect(self._renew)
        self._measured.connect(self._take)
        history.compared.connect(self.compare)
        history.compared_with_document.connect(self.compare_with_document)
        panel.adopted.connect(self.adopt)
        panel.node_chosen.connect(self._show_node)
        panel.node_entered.connect(self._reveal)
        panel.closed.connect(self.end)
        showing.pictured.connect(self._pictured)

    def show_page(self, page: Page | None) -> None:
        """Follow another document; a comparison with the former one ends."""
        if self._page is not None:
            self._page.document.changed.disconnect(self._changed)
        self._page = page
        self.end()
        if page is not None:
            page.document.changed.connect(self._changed)

    # --- what is compared

    def compare(self, earlier: Entry, later: Entry) -> None:
        """Compare two pictures of the history: A the earlier, B the later."""
        self._entries = (earlier, later)
        self._showing.compare(
            self._recalling.picture(earlier), self._recalling.picture(later), live=None
        )
        self._renew()
        self.began.emit()

    def compare_with_document(self, entry: Entry) -> None:
        """Compare a picture of the history, A, with the document in front and its picture, B."""
        if self._page is None:
            return
        self._entries = (entry,)
        last = self._page.last
        mine = (last.whole(), last.node, last.path) if last is not None else None
        self._showing.compare(self._recalling.picture(entry), mine, live="B")
        self._renew()
        self.began.emit()

    def end(self) -> None:
        """Compare nothing."""
        self._number += 1
        self._timer.stop()
        was_comparing = bool(self._entries)
        self._entries, self._sides, self._paths = (), None, None
        self._panel.clear()
        if was_comparing:
            self._showing.end_comparison()

    def _changed(self, change: object) -> None:
        if len(self._entries) == 1:
            self._timer.start()

    def _pictured(self) -> None:
        """A run gave a picture, which the viewer shows now."""
        if len(self._entries) == 1:
            self._timer.start()
        elif self._entries:
            # the two are in the viewer no longer; the table stays until something else is compared
            self.status.emit(self.tr("The viewer shows the new picture"))

    def _renew(self) -> None:
        if not self._entries:
            return
        first = self._side(self._entries[0])
        second = self._side(self._entries[1]) if len(self._entries) == 2 else self._document()
        self._sides = (first, second)
        paths = (first.path, second.path)
        if paths == self._paths:
            self._show()
            return
        self._number += 1
        self._paths = paths
        self._read = _Measured(self.tr("comparing pixels…"), ())
        self._show()
        number = self._number
        self._pool.start(lambda: self._measured.emit(number, _measure(paths)))

    def _side(self, entry: Entry) -> _Side:
        text = self._history.workflow(entry)
        workflow = None
        try:
            loaded = loads(text, name=entry.path.name)
            workflow = complete(migrate(loaded, self._types), self._types)
        except StudioError as error:
            self.failed.emit(error)
        name = f"{entry.path.stem}, {_when(entry.time_ms)}"
        return _Side(name, workflow, entry.path if entry.path.is_file() else None)

    def _document(self) -> _Side:
        assert self._page is not None
        last = self._page.last
        path = last.path if last is not None else None
        return _Side(self.tr("this document"), self._page.document.workflow, path)

    def _take(self, number: int, measured: _Measured) -> None:
        if number == self._number:
            self._read = measured
            self._show()

    def _show(self) -> None:
        if self._sides is None:
            return
        first, second = self._sides
        found: list[Change] = []
        if first.workflow is not None and second.workflow is not None:
            found = changes(first.workflow, second.workflow)
        is_two = len(self._entries) == 2
        self._panel.show_comparison(
            (first.name, second.name),
            [*found, *self._read.changes],
            self._read.pixels,
            can_adopt=(
                self._page is not None and first.workflow is not None,
                self._page is not None and is_two and second.workflow is not None,
            ),
        )

    # --- what is done with it

    def adopt(self, slot: Slot, wanted: tuple[Change, ...]) -> None:
        """Let the document have what a side has: of these changes, or (none) altogether."""
        if self._page is None or self._sides is None:
            return
        side = self._sides[0 if slot == "A" else 1]
        if side.workflow is None:
            return
        document = self._page.document
        if wanted and not any(one.difference or one.group for one in wanted):
            self.status.emit(self.tr("An environment cannot be taken over"))
            return
        try:
            if wanted:
                after = edits.adopt(document.workflow, document.types, side.workflow, wanted)
            else:
                after = edits.adopt_all(document.workflow, side.workflow)
        except StudioError as error:
            self.failed.emit(error)
            return
        several = self.tr("Use {} values of {}").format(len(wanted), side.name)
        text = several if len(wanted) > 1 else self.tr("Use all of {}").format(side.name)
        if len(wanted) == 1:
            text = self.tr("Use {} of {}").format(wanted[0].where, side.name)
        if after == document.workflow:
            self.status.emit(self.tr("The document has that already"))
            return
        document.edit(after, text)

    def _reveal(self, node: str) -> None:
        name = self._here(node)
        if name and self._page is not None:
            self._page.reveal(name)

    def _show_node(self, node: str) -> None:
        name = self._here(node)
        if name and self._page is not None:
            focus = self._panel.table
            self._page.reveal(name)
            focus.setFocus()

    def _here(self, node: str) -> str:
        """A node as the canvas has it; says so if it is not in the document."""
        if self._page is None:
            return ""
        w = self._page.document.workflow
        group, slash, inner = node.partition("/")
        outer = stands_for(w.graph, group) if slash else None
        if outer is not None and inner in w.groups[group].graph:
            return f"{outer.id}/{inner}"
        if node in w.graph:
            return node
        self.status.emit(self.tr("{} is not in this document").format(node))
        return ""


def _when(time_ms: int) -> str:
    """A moment: of today its time with seconds, for pictures follow each other fast."""
    moment = QDateTime.fromMSecsSinceEpoch(time_ms)
    if moment.date() == QDateTime.currentDateTime().date():
        return moment.time().toString("HH:mm:ss")
    return QLocale().toString(moment, QLocale.FormatType.ShortFormat)


def _measure(paths: tuple[Path | None, Path | None]) -> _Measured:
    """Read both files; in a thread of its own, for large pictures take a second."""
    from studio.pixels import decode, distance

    try:
        data = [path.read_bytes() if path is not None else None for path in paths]
    except OSError as error:
        return _Measured(str(error), ())
    if data[0] is None or data[1] is None:
        return _Measured(told(None), ())
    try:
        pixels = told(distance(decode(data[0]), decode(data[1])))
    except StudioError as error:
        pixels = str(error)
    before, after = _manifest(data[0]), _manifest(data[1])
    found = [*environment(before, after), *models(before, after)] if before and after else []
    return _Measured(pixels, found)


def _manifest(data: bytes) -> Mapping[str, Json] | None:
    """What a picture says of its making; None if nothing that can be read."""
    from studio import pictures

    try:
        text = pictures.read_text(data).get(pictures.MANIFEST)
        found = parse(text) if text else None
    except StudioError:
        return None
    return found if isinstance(found, dict) else None
