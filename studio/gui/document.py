"""A workflow being edited: one command, a history of it with names, and the file that it belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QCoreApplication, QObject, Signal

from studio import pictures
from studio import workflow as workflow_file
from studio.errors import FileError, GraphError
from studio.graph import Types
from studio.gui.edits import arranged, without_stale_groups
from studio.workflow import Workflow, complete, migrate

MAX_STEPS = 500
"""Steps that can be undone; values share what an edit left alone, but not their tables of nodes."""


@dataclass(frozen=True)
class Change:
    """What just happened to a document: the value before, the value now, and its name."""

    before: Workflow
    after: Workflow
    text: str


@dataclass(frozen=True)
class _Step:
    """An entry of the history: what it is called, and the value after it."""

    text: str
    after: Workflow
    merge: tuple[str, ...] | None = None


class Document(QObject):
    """A workflow with undo, whether it is saved, and its file.

    Every edit is one call of ``edit`` with the next value; views follow ``changed`` and compare the two values.
    """

    changed = Signal(object)
    """A Change: the workflow is another value now."""
    state_changed = Signal()
    """The path, the title, whether it is modified, or what can be undone or redone may have changed."""

    def __init__(
        self,
        types: Types,
        workflow: Workflow | None = None,
        path: Path | None = None,
        *,
        folder: Path | None = None,
        name: str = "",
        is_modified: bool = False,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.types = types
        self._first = Workflow() if workflow is None else workflow
        self._steps: list[_Step] = []
        self._position = 0
        self._saved: Workflow | None = None if is_modified else self._first
        self._gesture: tuple[str, ...] | None = None
        self._path = path
        self._folder = folder
        self._name = name

    @staticmethod
    def new(types: Types) -> Document:
        """An empty document without a file."""
        return Document(types)

    @staticmethod
    def open(path: str | Path, types: Types) -> Document:
        """Open a workflow file, or the workflow that a picture carries; raises FileError.

        Nodes are brought up to the types of today, completed with defaults, and given a place where they have none.
        A picture is only read: the document has no file until it is saved as one.
        """
        document = Document(types)
        document.load(path)
        return document

    def load(self, path: str | Path) -> None:
        """Read a file in place of everything here, history included; raises FileError and then changes nothing."""
        path = Path(path)
        loaded = _current(workflow_file.load(path), self.types)
        before = self.workflow
        is_picture = _is_picture(path)
        self._path = None if is_picture else path
        self._folder = path.parent
        self._name = path.stem if is_picture else ""
        self._first, self._steps, self._position = loaded, [], 0
        self._saved = loaded
        self._gesture = None
        text = QCoreApplication.translate("Document", "Open {name}").format(name=path.name)
        self.changed.emit(Change(before, loaded, text))
        self.state_changed.emit()

    # --- what it is

    @property
    def workflow(self) -> Workflow:
        """The value now."""
        return self._at(self._position)

    @property
    def path(self) -> Path | None:
        """The file that it belongs to; None until it is saved as one."""
        return self._path

    @property
    def folder(self) -> Path | None:
        """The folder that relative file names in parameters start from."""
        return self._path.parent if self._path else self._folder

    @property
    def is_modified(self) -> bool:
        """Whether the value differs from what the file holds."""
        return self.workflow is not self._saved

    @property
    def title(self) -> str:
        """What a tab calls it: the file's name, else the workflow's title."""
        if self._path is not None:
            return self._path.name
        title = self.workflow.meta.get("title")
        if self._name:
            return self._name
        if isinstance(title, str) and title.strip():
            return title
        return QCoreApplication.translate("Document", "Untitled")

    # --- edits

    def edit(self, after: Workflow, text: str, merge: tuple[str, ...] | None = None) -> None:
        """Take ``after`` as the value, as one step of the history that is called ``text``.

        Edits with the same ``merge`` key that follow each other make one step (the scrub of a number, the drag of a
        node), until ``end_merge``, another key, undo or save. An edit that changes nothing leaves no step; a gesture
        that comes back to where it began leaves none either.
        """
        before = self.workflow
        after = without_stale_groups(before, after)
        is_merged = merge is not None and merge == self._gesture and self._position > 0
        if after == before:
            return
        start = self._at(self._position - 1) if is_merged else before
        del self._steps[self._position - is_merged :]
        if after == start:
            # the very object, so that the saved value is known again
            after = start
            self._gesture = None
        else:
            self._steps.append(_Step(text, after, merge))
            self._gesture = merge
        self._trim()
        self._position = len(self._steps)
        self.changed.emit(Change(before, after, text))
        self.state_changed.emit()

    def end_merge(self) -> None:
        """End a gesture: the next edit is a step of its own whatever its key."""
        self._gesture = None

    def _trim(self) -> None:
        surplus = len(self._steps) - MAX_STEPS
        if surplus > 0:
            self._first = self._steps[surplus - 1].after
            del self._steps[:surplus]

    def _at(self, position: int) -> Workflow:
        return self._steps[position - 1].after if position else self._first

    # --- history

    @property
    def undo_texts(self) -> list[str]:
        """The names of all steps, the oldest first; those from ``position`` on are undone."""
        return [step.text for step in self._steps]

    @property
    def position(self) -> int:
        """How many of the steps are done."""
        return self._position

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self._position < len(self._steps)

    def undo(self) -> None:
        """Undo the last step, if there is one."""
        self.go_to(max(self._position - 1, 0))

    def redo(self) -> None:
        """Do the next step again, if there is one."""
        self.go_to(min(self._position + 1, len(self._steps)))

    def go_to(self, position: int) -> None:
        """Go to any place of the history, 0 being the beginning; raises IndexError outside of it."""
        if not 0 <= position <= len(self._steps):
            raise IndexError(
                f"{position} is not within the {len(self._steps)} steps of the history"
            )
        self._gesture = None
        if position == self._position:
            return
        before, old = self.workflow, self._position
        self._position = position
        self.changed.emit(Change(before, self.workflow, self._passage(old, position)))
        self.state_changed.emit()

    def _passage(self, old: int, new: int) -> str:
        direction: Literal["undo", "redo"] = "undo" if new < old else "redo"
        steps: Sequence[_Step] = self._steps[min(old, new) : max(old, new)]
        words = {
            "undo": QCoreApplication.translate("Document", "Undo {step}"),
            "redo": QCoreApplication.translate("Document", "Redo {step}"),
        }
        last = steps[0] if direction == "undo" else steps[-1]
        return words[direction].format(step=last.text)

    # --- file

    def save(self, path: str | Path | None = None) -> None:
        """Write it to ``path``, which then is its file, or to its file; raises FileError.

        A file that is replaced is replaced whole or not at all.
        """
        target = self._path if path is None else Path(path)
        if target is None:
            raise FileError("has no file yet", where=self.title, remedy="save it under a name")
        value = self.workflow
        workflow_file.save(value, target)
        self._path = target
        self._saved = value
        self._gesture = None
        self.state_changed.emit()


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(pictures.SIGNATURE)) == pictures.SIGNATURE
    except OSError as error:
        raise FileError(f"cannot be read ({error})", where=str(path)) from error


def _current(loaded: Workflow, types: Types) -> Workflow:
    """Up to date, complete, and with a place for every node."""
    with contextlib.suppress(
        GraphError
    ):  # left as written: check says which node cannot be brought up to date
        loaded = complete(migrate(loaded, types), types)
    return arranged(loaded, types)
