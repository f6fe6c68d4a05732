"""Plans in a thread of its own, without torch: the newest request of a document wins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, Qt, QThread, Signal, Slot

from studio.errors import StudioError
from studio.gui.curves import drawn
from studio.gui.running.tracking import Outcome, summary
from studio.gui.states import Failure

if TYPE_CHECKING:
    from studio.session import Session, Settings
    from studio.workflow import Workflow


@dataclass(frozen=True)
class Request:
    """What is to be planned."""

    watch: int
    """Of which document."""
    number: int
    """Rises with every request of the program."""
    workflow: Workflow
    base: Path
    """The folder that relative files are relative to."""
    name: str
    """Under which the workflow's past is kept."""


def outcome(request: Request, session: Session) -> Outcome:
    """Plan, or say what stands in the way."""
    from studio.errors import ArgumentError
    from studio.plan import plan
    from studio.session import Unsound, prepare

    try:
        job = prepare(request.workflow, session.registry)
        made = plan(
            job.graph,
            session.registry.types,
            job.targets,
            session.planning(request.base),
            session.store,
            request.name,
        )
    except Unsound as error:
        problems = tuple(_failure(problem) for problem in error.problems)
        count = len(problems)
        text = str(problems[0])
        if count > 1:
            text = _tr("{} problems, the first: {}").format(count, text)
        return Outcome(None, problems, text)
    except ArgumentError:
        # an empty canvas is no fault
        return Outcome(None, (), _tr("Nothing to run yet: no node here keeps or shows a picture"))
    except StudioError as error:
        return Outcome(None, (_failure(error),), str(error))
    return Outcome(made, (), summary(made))


@dataclass(frozen=True)
class FoundModel:
    """A model of the library."""

    name: str
    kind: str
    """Name of a ``studio.models.inspection.Kind``; "" where it cannot be used."""
    about: str


def models(session: Session) -> tuple[FoundModel, ...]:
    """The models of the library, each looked at."""
    found = []
    for entry in session.library.entries():
        try:
            inspection = session.library.inspect(entry.name)
        except (StudioError, OSError) as error:
            found.append(FoundModel(entry.name, "", str(error)))
            continue
        family = f"{inspection.kind.value}, {inspection.family}".rstrip(", ")
        found.append(FoundModel(entry.name, inspection.kind.name, family))
    return tuple(found)


def _failure(error: StudioError) -> Failure:
    return Failure(error.what, error.where, error.remedy)


class _Worker(QObject):
    """Lives in the thread and holds the session there."""

    planned = Signal(object, object)
    listed = Signal(object)

    def __init__(self, settings: Callable[[], Settings], newest: dict[int, int]) -> None:
        super().__init__()
        self._settings = settings
        self._newest = newest
        self._stack = contextlib.ExitStack()
        self._session: Session | None = None

    @Slot(object)
    def plan(self, request: Request) -> None:
        """Answer a request unless a newer one of the same document is waiting."""
        if self._newest.get(request.watch, request.number) > request.number:
            return
        self.planned.emit(request, self._outcome(request))

    @Slot()
    def list_models(self) -> None:
        """Tell which models there are, as far as that can be known."""
        try:
            self.listed.emit(models(self._opened()))
        except (StudioError, OSError):
            self.listed.emit(())

    def _opened(self) -> Session:
        if self._session is None:
            from studio.session import session

            self._session = self._stack.enter_context(session(self._settings()))
        return self._session

    def _outcome(self, request: Request) -> Outcome:
        try:
            session = self._opened()
            found = outcome(request, session)
            return replace(found, drawn=drawn(request.workflow, session, request.base))
        except StudioError as error:
            return Outcome(None, (), str(error))
        # a fault of a pack's node must not end the thread: the plan says what it was
        except Exception as error:  # noqa: BLE001  # told to the user
            return Outcome(
                None, (), _tr("cannot be planned ({}: {})").format(type(error).__name__, error)
            )

    @Slot()
    def renew(self) -> None:
        """Close the session: the next request opens another."""
        self._stack.close()
        self._session = None

    @Slot()
    def close(self) -> None:
        """Close the session and end the thread."""
        self.renew()
        QThread.currentThread().quit()


class Planner(QObject):
    """The thread; ``planned`` gives a Request and its Outcome."""

    planned = Signal(object, object)
    models_found = Signal(object)
    """A tuple of FoundModel."""
    _asked = Signal(object)
    _listing = Signal()
    _renewed = Signal()
    _closed = Signal()

    def __init__(self, settings: Callable[[], Settings], parent: QObject | None = None) -> None:
        """``settings`` is called in the thread, at the first request."""
        super().__init__(parent)
        self._newest: dict[int, int] = {}
        self._number = 0
        self._thread = QThread(self)
        self._thread.setObjectName("planner")
        self._worker = _Worker(settings, self._newest)
        self._worker.moveToThread(self._thread)
        queued = Qt.ConnectionType.QueuedConnection
        self._asked.connect(self._worker.plan, queued)
        self._renewed.connect(self._worker.renew, queued)
        self._closed.connect(self._worker.close, queued)
        self._listing.connect(self._worker.list_models, queued)
        self._worker.planned.connect(self._done, queued)
        self._worker.listed.connect(self.models_found, queued)

    def ask(self, watch: int, workflow: Workflow, base: Path, name: str) -> None:
        """Plan a document's workflow, in place of what was asked before for it."""
        self._number += 1
        self._newest[watch] = self._number
        self._begin()
        self._asked.emit(Request(watch, self._number, workflow, base, name))

    def list_models(self) -> None:
        """Ask for the models of the library; ``models_found`` answers."""
        self._begin()
        self._listing.emit()

    def _begin(self) -> None:
        if not self._thread.isRunning():
            self._thread.start(QThread.Priority.LowPriority)

    def forget(self, watch: int) -> None:
        """Drop what a document still waits for."""
        self._number += 1
        self._newest[watch] = self._number

    def renew(self) -> None:
        """Plan with the settings of today from now on."""
        self._renewed.emit()

    def _done(self, request: Request, found: Outcome) -> None:
        if self._newest.get(request.watch) == request.number:
            self.planned.emit(request, found)

    def close(self) -> None:
        """End the thread and wait for it."""
        if self._thread.isRunning():
            self._closed.emit()
            self._thread.wait()


def _tr(text: str) -> str:
    return QCoreApplication.translate("Planner", text)
