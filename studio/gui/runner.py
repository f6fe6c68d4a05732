"""Between documents and the worker: plans after edits, submits, and tells each document what its run does."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from PySide6.QtCore import QCoreApplication, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from studio.gui.planner import Planner, Request
from studio.gui.states import Failure, NodeState
from studio.gui.tracking import Outcome, Tracker, duration, failure_of

if TYPE_CHECKING:
    from studio.gui.document import Change, Document
    from studio.workflow import Workflow

Event = dict[str, object]

PLAN_MS = 60
"""After the last edit of a burst."""
LIVE_MS = 120
SETTLE_MS = 300
"""After a run, for its results to reach the disk before the plan looks for them."""
_ANSWERS = 8
PAINT_MS = 33
"""Between two pictures of the states while a run is on."""


class WorkerLike(Protocol):
    """What is needed of ``studio.remote.Worker``."""

    def start(self) -> None:
        """Start the process."""

    def submit(
        self,
        workflow: str,
        *,
        base: str | Path,
        name: str = "",
        targets: Sequence[str] = (),
        output: str | Path = "",
    ) -> str:
        """Run a workflow in place of what runs; returns the run's id."""

    def look(self, workflow: str, node: str, *, base: str | Path, name: str = "") -> str:
        """Ask for what a node has given; returns the request's id."""

    def trajectory(
        self, workflow: str, node: str, *, base: str | Path, name: str = "", picture: int = 0
    ) -> str:
        """Ask for the stored states of a loop; returns the request's id."""

    def cancel(self) -> None:
        """Stop the run."""

    def stop(self) -> None:
        """End the process in good order."""


@dataclass(frozen=True)
class Pictured:
    """A picture that a node gave."""

    node: str
    """As the canvas has it."""
    image: QImage
    """Small."""
    size: QSize
    """Of the whole picture."""
    path: Path | None
    """The whole picture, for as long as the worker lives if it was not saved."""
    is_saved: bool
    index: int
    count: int
    """Of the batch."""
    key: str
    """Of the result in the store."""
    sha256: str
    """Of the pixels; "" unless it was saved."""
    is_asked: bool
    """Whether it answers a look; else it comes from a run."""

    def whole(self) -> QImage:
        """The whole picture, or the small one if it cannot be read."""
        image = QImage(str(self.path)) if self.path else QImage()
        return self.image if image.isNull() else image


class Watch(QObject):
    """What is known of one document's plan and run."""

    states_changed = Signal(object)
    """dict of node id -> NodeState."""
    outcome_changed = Signal(object)
    """An Outcome."""
    previewed = Signal(str, QImage, int, int)
    """Node, picture, step, steps."""
    pictured = Signal(object)
    """A Pictured."""
    looked = Signal(dict)
    """The event ``look``: how many pictures a node had to show."""
    trajectory = Signal(dict)
    """The events ``trajectory`` and ``state``, as they come."""
    failed = Signal(object)
    """A Failure."""
    ended = Signal(object)
    """The event ``done``."""

    def __init__(self, number: int, document: Document, base: Path, name: str) -> None:
        super().__init__()
        self.number = number
        self.document = document
        self._base = base
        self.name = name
        """Under which the past is kept, for a document without a file."""
        self.tracker = Tracker()
        self.outcome = Outcome()
        self.has_run = False
        """Whether a run of this document came to its end in this window."""
        self.last_shown: Workflow | None = None
        """What was submitted last."""

    @property
    def base(self) -> Path:
        """The folder that relative files are relative to."""
        return self.document.folder or self._base

    @property
    def past(self) -> str:
        """The name under which the workflow's past is kept."""
        path = self.document.path
        return str(path.resolve()) if path else self.name

    def states(self) -> dict[str, NodeState]:
        """The states as they are."""
        return self.tracker.states(self.document.workflow)


class Runner(QObject):
    """Runs one document at a time; the newest run wins."""

    worker_state = Signal(str)
    """starting, ready, crashed, stopped."""
    running_changed = Signal(bool)
    status = Signal(str)
    """What has just happened, in a line."""
    progressed = Signal(str)
    """How far the run is, in a line."""
    broken = Signal(object)
    """A Failure: the worker does not run and is not started again by itself."""
    arrived = Signal(dict)
    """Every event of the worker."""
    _arrived = Signal(dict)

    def __init__(
        self,
        make_worker: Callable[[Callable[[Event], None]], WorkerLike],
        planner: Planner,
        output: Callable[[], Path],
        parent: QObject | None = None,
    ) -> None:
        """``make_worker`` is given what to call with each event, from any thread.

        ``output`` says where pictures are written, at every run.
        """
        super().__init__(parent)
        self._output = output
        self._make_worker = make_worker
        self._planner = planner
        self._worker: WorkerLike | None = None
        self._watches: dict[int, Watch] = {}
        self._numbers = itertools.count()
        self._runs: dict[str, Watch] = {}
        self._asked: dict[str, Watch] = {}
        self._current: Watch | None = None
        """Whose run is on."""
        self._is_live = False
        self._edited: Watch | None = None
        self._settled: Watch | None = None
        self.state = "stopped"
        self._arrived.connect(self._take, Qt.ConnectionType.QueuedConnection)
        planner.planned.connect(self._planned)
        self._plan_timer = self._timer(PLAN_MS, self._plan_edited)
        self._live_timer = self._timer(LIVE_MS, self._run_edited)
        self._settle_timer = self._timer(SETTLE_MS, self._plan_settled)
        self._paint_timer = self._timer(PAINT_MS, self._paint)

    def _timer(self, milliseconds: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    # --- documents

    def watch(self, document: Document, base: Path, name: str) -> Watch:
        """Begin to follow a document; its first plan comes soon."""
        watch = Watch(next(self._numbers), document, base, name)
        watch.setParent(self)
        self._watches[watch.number] = watch
        document.changed.connect(self._changed)
        self.plan(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        """Follow a document no longer; its run is stopped."""
        if self._current is watch:
            self.cancel()
            self._set_current(None)
        watch.document.changed.disconnect(self._changed)
        self._planner.forget(watch.number)
        del self._watches[watch.number]
        self._runs = {run: one for run, one in self._runs.items() if one is not watch}
        self._asked = {ask: one for ask, one in self._asked.items() if one is not watch}
        if self._edited is watch:
            self._edited = None
        watch.deleteLater()

    def _changed(self, change: Change) -> None:
        document = self.sender()
        watch = next((one for one in self._watches.values() if one.document is document), None)
        if watch is None:
            return
        before, after = change.before, change.after
        if before.graph == after.graph and before.groups == after.groups:
            return
        if self._edited is not None and self._edited is not watch:
            self._plan_edited()
        self._edited = watch
        # new nodes and modes show at once, what they mean for the rest a moment later
        watch.states_changed.emit(watch.states())
        self._plan_timer.start()
        if self._is_live:
            self._live_timer.start()

    # --- planning

    def plan(self, watch: Watch) -> None:
        """Ask for a plan."""
        self._planner.ask(watch.number, watch.document.workflow, watch.base, watch.past)

    def _plan_edited(self) -> None:
        if self._edited is not None:
            self.plan(self._edited)
            if not self._live_timer.isActive():
                self._edited = None

    def _plan_settled(self) -> None:
        watch, self._settled = self._settled, None
        if watch is not None and watch.number in self._watches:
            self.plan(watch)

    def _planned(self, request: Request, outcome: Outcome) -> None:
        watch = self._watches.get(request.watch)
        if watch is None:
            return
        watch.outcome = outcome
        if watch is not self._current:
            was_run = watch.has_run and request.workflow is watch.last_shown
            watch.tracker.plan(outcome, keeps_run=was_run)
            watch.states_changed.emit(watch.states())
        watch.outcome_changed.emit(outcome)
        # what is all there costs nothing: undo brings the picture back with the parameters
        if (
            watch.has_run
            and outcome.is_stored
            and not self._is_live
            and self._current is None
            and request.workflow is watch.document.workflow
            and watch.last_shown is not request.workflow
        ):
            self.run(watch)

    # --- running

    def start_worker(self) -> None:
        """Start the worker, if it does not run."""
        if self._worker is None:
            self._worker = self._make_worker(self._arrived.emit)
            self._worker.start()

    def restart_worker(self) -> None:
        """End the worker and start one with the settings of today."""
        self.close()
        self.start_worker()

    def run(self, watch: Watch, targets: Sequence[str] = ()) -> None:
        """Run a document, or what the ``targets`` need, in place of what runs."""
        from studio.workflow import dumps

        self.start_worker()
        assert self._worker is not None
        if self._current is not None:
            self._current.tracker.event({"event": "done"})
        self._live_timer.stop()
        workflow = watch.document.workflow
        run = self._worker.submit(
            dumps(workflow),
            base=watch.base,
            name=watch.past,
            targets=tuple(targets),
            output=self._output(),
        )
        self._runs = {run: watch}
        watch.last_shown = workflow
        self._set_current(watch)
        self.status.emit(self.tr("Running…"))

    def cancel(self) -> None:
        """Stop the run; finished steps are kept."""
        self._live_timer.stop()
        if self._worker is not None and self._current is not None:
            self._worker.cancel()
            self.status.emit(self.tr("Stopping; finished steps are kept"))

    def look(self, watch: Watch, node: str) -> None:
        """Ask for what a node gave; ``pictured`` and then ``looked`` of the document answer."""
        from studio.workflow import dumps

        if self._worker is not None:
            text = dumps(watch.document.workflow)
            self._expect(self._worker.look(text, node, base=watch.base, name=watch.past), watch)

    def ask_trajectory(self, watch: Watch, node: str, picture: int = 0) -> None:
        """Ask for the states of a loop; ``trajectory`` of the document answers."""
        from studio.workflow import dumps

        if self._worker is not None:
            request = self._worker.trajectory(
                dumps(watch.document.workflow),
                node,
                base=watch.base,
                name=watch.past,
                picture=picture,
            )
            self._expect(request, watch)

    def _expect(self, request: str, watch: Watch) -> None:
        """An answer that is superseded never comes, so the newest few are enough."""
        self._asked[request] = watch
        for old in list(self._asked)[:-_ANSWERS]:
            del self._asked[old]

    @property
    def is_running(self) -> bool:
        """Whether a run is on."""
        return self._current is not None

    @property
    def is_live(self) -> bool:
        """Whether every edit runs."""
        return self._is_live

    def set_live(self, is_live: bool) -> None:
        """Let every edit stop the run and start it again at the first step that is affected."""
        self._is_live = is_live
        if not is_live:
            self._live_timer.stop()

    def _run_edited(self) -> None:
        watch, self._edited = self._edited, None
        if watch is not None and watch.number in self._watches:
            self.run(watch)

    def _set_current(self, watch: Watch | None) -> None:
        was_running = self.is_running
        self._current = watch
        if was_running != self.is_running:
            self.running_changed.emit(self.is_running)

    # --- events

    def _take(self, event: Event) -> None:
        name = event.get("event")
        self.arrived.emit(event)
        if name == "worker":
            self._worker_changed(event)
            return
        known = self._asked if "request" in event else self._runs
        watch = known.get(str(event.get("request", event.get("run", ""))))
        if watch is None:
            return
        if name == "picture":
            made = pictured(event)
            if made is not None:
                watch.pictured.emit(made)
        elif name in ("trajectory", "state"):
            watch.trajectory.emit(event)
        elif name == "look":
            watch.looked.emit(event)
        elif name == "preview":
            self._preview(watch, event)
        else:
            self._progress(watch, event)

    def _progress(self, watch: Watch, event: Event) -> None:
        name = event.get("event")
        watch.tracker.event(event)
        if name == "failed":
            failure = failure_of(event)
            watch.failed.emit(failure)
            self.status.emit(str(failure))
        elif name == "done":
            self._done(watch, event)
        if not self._paint_timer.isActive():
            self._paint_timer.start()

    def _preview(self, watch: Watch, event: Event) -> None:
        image = image_of(event)
        if image is not None:
            node = str(event.get("node", ""))
            state = watch.tracker.flat.get(node, NodeState())
            step = event.get("step")
            watch.previewed.emit(
                node.partition("/")[0], image, step if isinstance(step, int) else 0, state.steps
            )

    def _done(self, watch: Watch, event: Event) -> None:
        self._paint()
        if watch is self._current:
            self._set_current(None)
        watch.has_run = watch.has_run or event.get("status") == "ok"
        # of a failure more was said before
        if event.get("status") != "failed":
            self.status.emit(_ended(event))
        watch.ended.emit(event)
        if event.get("status") != "failed":
            self._settled = watch
            self._settle_timer.start()

    def _paint(self) -> None:
        for watch in {id(one): one for one in self._runs.values()}.values():
            watch.states_changed.emit(watch.states())
        if self._current is not None:
            words = self._current.tracker.progress()
            if words:
                self.progressed.emit(words)

    def _worker_changed(self, event: Event) -> None:
        state, what = str(event.get("state", "")), str(event.get("what", ""))
        self.state = state
        if state == "crashed":
            # a run that was lost has a failure of its own
            self.status.emit(self.tr("{}; it is started again").format(what))
        elif state == "stopped" and what:
            failure = Failure(what, str(event.get("where", "")), str(event.get("remedy", "")))
            self.status.emit(str(failure))
            self.broken.emit(failure)
        self.worker_state.emit(state)

    def close(self) -> None:
        """End the worker."""
        self._live_timer.stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
        if self._current is not None:
            self._current.tracker.event({"event": "done"})
        self._runs = {}
        self._set_current(None)


def _ended(event: Mapping[str, object]) -> str:
    """What a run came to, in a line."""
    status, seconds = event.get("status"), event.get("seconds", 0.0)
    calls, saved = event.get("model_calls", 0), event.get("model_calls_saved", 0)
    took = duration(float(seconds)) if isinstance(seconds, int | float) else ""
    if status == "cancelled":
        return _tr("Stopped; finished steps are kept")
    if saved:
        return _tr("Done in {}: {} model calls, {} saved").format(took, calls, saved)
    return _tr("Done in {}: {} model calls").format(took, calls)


def pictured(event: Mapping[str, object]) -> Pictured | None:
    """The picture of a ``picture`` event; None if it holds no pixels."""
    image = image_of(event)
    if image is None:
        return None
    path, index, count = event.get("path"), event.get("index"), event.get("count")
    width, height = event.get("full_width"), event.get("full_height")
    is_known = isinstance(width, int) and isinstance(height, int)
    return Pictured(
        str(event.get("node", "")).partition("/")[0],
        image,
        QSize(cast("int", width), cast("int", height)) if is_known else image.size(),
        Path(path) if isinstance(path, str) and path else None,
        event.get("is_saved") is True,
        index if isinstance(index, int) else 0,
        count if isinstance(count, int) else 1,
        str(event.get("key", "")),
        str(event.get("pixels_sha256") or ""),
        "request" in event,
    )


def image_of(event: Mapping[str, object], name: str = "rgb") -> QImage | None:
    """The pixels under ``name``: base64 of 8-bit RGB, ``width`` x ``height``; None if there are none."""
    data, width, height = event.get(name), event.get("width"), event.get("height")
    if not (isinstance(data, str) and isinstance(width, int) and isinstance(height, int)):
        return None
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != width * height * 3 or not raw:
        return None
    # a copy: the image would only borrow the bytes
    return QImage(raw, width, height, width * 3, QImage.Format.Format_RGB888).copy()


def _tr(text: str) -> str:
    return QCoreApplication.translate("Runner", text)
