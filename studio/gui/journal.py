"""The recovery journal: unsaved work in files of its own, so that nothing is lost when the editor or the machine dies.

Each running editor has a folder in the journal's, held by a lock that ends with its process::

    recovery/
      4f0c…/            one editor
        lock
        1.json          one document with unsaved changes: {"format": "studio.recovery", "version": 1,
        2.json            "path": file or null, "folder": …, "title": …, "workflow": the workflow file as text}

A document's file is written soon after it changes, whole or not at all, and goes when it is saved or closed. What
lies in a folder whose lock is free was left by an editor that died, and is offered to the next one.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, QTimer, Signal

from studio.errors import FileError
from studio.graph import Json, Types
from studio.gui.document import Change, Document
from studio.workflow import Workflow, dumps, loads, parse
from studio.workflow.json_text import written

FORMAT = "studio.recovery"
VERSION = 1
DELAY_MS = 1000
"""How far the journal may lag behind an edit."""


@dataclass(frozen=True)
class Recovered:
    """Unsaved work that an editor left behind when it died."""

    file: Path
    title: str
    path: Path | None
    """The file that the document belonged to, if it had one."""
    folder: Path | None
    workflow: Workflow
    modified: float
    """When it was written, in seconds since 1970."""


class Journal(QObject):
    """Keeps the unsaved work of the documents that it watches.

    It writes in the window's own thread, rarely enough to take a twentieth of its time at most: in another thread,
    writing JSON would hold the interpreter's lock and stall the window no less.
    """

    failed = Signal(str)
    """Unsaved work could not be written or read: why."""

    def __init__(
        self, folder: Path, *, delay_ms: int = DELAY_MS, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._folder = folder
        self._own = folder / uuid.uuid4().hex
        self._lock: QLockFile | None = None
        self._held: dict[Path, QLockFile] = {}
        self._entries: dict[Document, _Entry] = {}
        self._count = 0
        self._delay_ms = delay_ms
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(delay_ms)
        self._timer.timeout.connect(self.flush)

    def watch(self, document: Document) -> None:
        """Keep the unsaved work of a document from now on, until ``forget``."""
        if document in self._entries:
            return
        self._count += 1
        self._entries[document] = _Entry(self._own / f"{self._count}.json")
        document.changed.connect(self._changed)
        document.state_changed.connect(self._drop_saved)
        if document.is_modified:
            self._timer.start()

    def forget(self, document: Document) -> None:
        """Stop keeping a document and drop what was kept: it was closed, and its unsaved work is not wanted."""
        entry = self._entries.pop(document, None)
        if entry is not None:
            document.changed.disconnect(self._changed)
            document.state_changed.disconnect(self._drop_saved)
            entry.drop()

    def flush(self) -> None:
        """Write what the journal still lags behind; what cannot be written is told, and tried again next time."""
        began = time.monotonic()
        self._timer.stop()
        for document, entry in self._entries.items():
            if document.is_modified and entry.kept is not document.workflow:
                try:
                    self._write(document, entry)
                except (FileError, OSError) as error:
                    self.failed.emit(str(error))
        spent_ms = 1000 * (time.monotonic() - began)
        self._timer.setInterval(max(self._delay_ms, round(20 * spent_ms)))

    def close(self) -> None:
        """End cleanly: nothing of this editor is left to recover."""
        self._timer.stop()
        for document in list(self._entries):
            self.forget(document)
        if self._lock is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            self._lock.unlock()
            self._lock = None
        for lock in self._held.values():
            lock.unlock()
        self._held.clear()

    def _changed(self, change: Change) -> None:
        # not started again by each edit of a gesture: a long one would never be written
        if not self._timer.isActive():
            self._timer.start()

    def _drop_saved(self) -> None:
        for document, entry in self._entries.items():
            if not document.is_modified:
                entry.drop()

    def _write(self, document: Document, entry: _Entry) -> None:
        if self._lock is None:
            self._own.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self._own)
            self._lock.tryLock(0)
        _write(entry.file, document)
        entry.kept = document.workflow

    # --- recovery

    def found(self) -> list[Recovered]:
        """The unsaved work of editors that died, the latest first; held for this editor until it is closed.

        What cannot be read stays where it is.
        """
        left: list[Recovered] = []
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else []:
            # an editor that is just starting has made its folder and not yet locked it
            is_ours = folder == self._own or not any(folder.glob("*"))
            if is_ours or not self._hold(folder):
                continue
            for file in sorted(folder.glob("*.json")):
                try:
                    left.append(_read(file))
                except FileError as error:
                    self.failed.emit(str(error))
            self._drop_empty(folder)
        return sorted(left, key=lambda one: one.modified, reverse=True)

    def recover(self, found: Recovered, types: Types) -> Document:
        """Open unsaved work as a modified document of this editor, which then keeps it."""
        document = Document(
            types, found.workflow, found.path, folder=found.folder, name=found.title,
            is_modified=True,
        )  # fmt: skip
        self.watch(document)
        self.flush()
        if self._entries[document].kept is not None:
            self.discard(found)
        return document

    def discard(self, found: Recovered) -> None:
        """Drop unsaved work that is not wanted."""
        found.file.unlink(missing_ok=True)
        self._drop_empty(found.file.parent)

    def _hold(self, folder: Path) -> bool:
        """Take a dead editor's folder; False while its editor is alive or another one has taken it."""
        if folder in self._held:
            return True
        lock = _lock(folder)
        is_ours = lock.tryLock(0)
        if not is_ours and not lock.getLockInfo()[0]:
            # a lock without a process in it: the machine died before it reached the disk
            is_ours = lock.removeStaleLockFile() and lock.tryLock(0)
        if not is_ours:
            return False
        self._held[folder] = lock
        return True

    def _drop_empty(self, folder: Path) -> None:
        if folder in self._held and not any(folder.glob("*.json")):
            self._held.pop(folder).unlock()
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Entry:
    """What the journal keeps of one document."""

    file: Path
    kept: Workflow | None = None
    """What lies in the file; None while there is none."""

    def drop(self) -> None:
        """Remove the file, if there is one."""
        if self.kept is not None:
            self.kept = None
            self.file.unlink(missing_ok=True)


def _lock(folder: Path) -> QLockFile:
    lock = QLockFile(str(folder / "lock"))
    lock.setStaleLockTime(
        0
    )  # however long an editor runs, it is its process that says whether it lives
    return lock


def _write(file: Path, document: Document) -> None:
    """Write an entry, whole or not at all; raises FileError."""
    path, folder = document.path, document.folder
    text = written(
        {
            "format": FORMAT,
            "version": VERSION,
            "path": None if path is None else str(path.absolute()),
            "folder": None if folder is None else str(folder.absolute()),
            "title": document.title,
            "workflow": dumps(document.workflow),
        }
    )
    temporary = file.with_suffix(".tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError as error:
        raise FileError(
            f"unsaved work cannot be kept ({error})", where=str(file), remedy="save it soon"
        ) from error


def _read(file: Path) -> Recovered:
    """Read an entry; raises FileError."""
    try:
        text, modified = file.read_text(encoding="utf-8"), file.stat().st_mtime
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot be read ({error})", where=str(file)) from error
    try:
        fields = parse(text)
    except FileError as error:
        raise FileError(error.what, where=str(file)) from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise FileError("is not unsaved work", where=str(file))
    if fields.get("version") != VERSION:
        raise FileError("is of another version", where=str(file), remedy="update the program")
    title, workflow = fields.get("title"), fields.get("workflow")
    if not isinstance(title, str) or not isinstance(workflow, str):
        raise FileError("lacks its workflow", where=str(file))
    return Recovered(
        file=file,
        title=title,
        path=_path(fields.get("path")),
        folder=_path(fields.get("folder")),
        workflow=loads(workflow, name=str(file)),
        modified=modified,
    )


def _path(value: Json) -> Path | None:
    return Path(value) if isinstance(value, str) and value else None
