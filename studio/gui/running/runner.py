"""Between documents and the worker: plans after edits, runs the queue, and tells each document what its run does."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal
from PySide6.QtGui import QImage

from studio.gui.running.inbox import Event, Inbox
from studio.gui.running.measures import Measures
from studio.gui.running.pictured import image_of, pictured
from studio.gui.running.planner import Planner, Request
from studio.gui.running.queue import Answer, Ended, Ending, Job, Queue
from studio.gui.running.tracking import Outcome, Pace, Tracker, duration, failure_of
from studio.gui.states import Failure, NodeState

if TYPE_CHECKING:
    from studio.gui.document import Change, Document
    from studio.workflow import Workflow

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

    def measures(self, workflow: str, node: str, *, base: str | Path, name: str = "") -> str:
        """Ask for what a training has measured; returns the request's id."""

    def describe(
        self, workflow: str, nodes: Sequence[str], *, base: str | Path, name: str = ""
    ) -> str:
        """Ask for the schedules of nodes to be worked out; returns the request's id."""

    def cancel(self) -> None:
        """Stop the run."""

    def stop(self) -> None:
        """End the process in good order."""


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
    measured = Signal(str)
    """A node of which more is known of what it once measured."""
    failed = Signal(object)
    """A Failure."""
    stored = Signal()
    """All of what it is now is stored, and can be looked at; something else runs."""
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
        self.measures = Measures()
        """The numbers of its nodes' steps, of what ran last."""
        self.outcome = Outcome()
        self.has_run = False
        """Whether a run of this document came to its end in this window."""
        self.last_shown: Workflow | None = None
        """What was submitted last."""
        self.described: Workflow | None = None
        """Whose schedules the worker was asked to work out last."""

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
    """Runs one job of its queue at a time."""

    worker_state = Signal(str)
    """starting, ready, crashed, stopped."""
    running_changed = Signal(bool)
    status = Signal(str)
    """What has just happened, in a line."""
    progressed = Signal(str)
    """How far the run is, in a line."""
    saved = Signal(object, object)
    """A Job and a Pictured: a picture that its run has written, whether or not its document is still open."""
    broken = Signal(object)
    """A Failure: the worker does not run and is not started again by itself."""
    arrived = Signal(dict)
    """Every event of the worker."""

    def __init__(
        self,
        make_worker: Callable[[Callable[[Event], None]], WorkerLike],
        planner: Planner,
        output: Callable[[], Path],
        parent: QObject | None = None,
    ) -> None:
        """``make_worker`` is given what to call with each event, from any thread.

        ``output`` says where pictures are written, whenever a job is made.
        """
        super().__init__(parent)
        self._output = output
        self._make_worker = make_worker
        self._planner = planner
        self._worker: WorkerLike | None = None
        self._inbox: Inbox | None = None
        self._watches: dict[int, Watch] = {}
        self._numbers = itertools.count()
        self._run = ""
        """The id of the run that is on."""
        self._has_crashed = False
        self._asked: dict[str, Watch] = {}
        self._is_live = False
        self._was_running = False
        self._edited: Watch | None = None
        self._settled: Watch | None = None
        self.pace = Pace()
        """Of the job that runs."""
        self.queue = Queue(self)
        self.queue.changed.connect(self._go_on)
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

    def watched(self, number: int) -> Watch | None:
        """The document of a job, if it is still open."""
        return self._watches.get(number)

    def forget(self, watch: Watch, *, keeps_asked: bool = False) -> None:
        """Follow a document no longer; its jobs are dropped, unless those that were asked for are kept."""
        self.queue.drop(watch.number, keeps_asked=keeps_asked)
        running = self.queue.running
        is_kept = keeps_asked and running is not None and running.kind == "asked"
        if self._is_current(watch) and not is_kept:
            self.cancel()
        watch.document.changed.disconnect(self._changed)
        self._planner.forget(watch.number)
        del self._watches[watch.number]
        self._asked = {ask: one for ask, one in self._asked.items() if one is not watch}
        if self._edited is watch:
            self._edited = None
        watch.deleteLater()

    def _is_current(self, watch: Watch) -> bool:
        return self.queue.running is not None and self.queue.running.document == watch.number

    @property
    def _current(self) -> Watch | None:
        """Whose job runs, if the document is still open."""
        running = self.queue.running
        return self._watches.get(running.document) if running is not None else None

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
        running = self.queue.running
        if running is not None and request.watch == _plan_number(running):
            self.pace.plan(outcome)
        watch = self._watches.get(request.watch)
        if watch is None:
            return
        watch.outcome = outcome
        if not self._is_current(watch):
            was_run = watch.has_run and request.workflow is watch.last_shown
            watch.tracker.plan(outcome, keeps_run=was_run)
            watch.states_changed.emit(watch.states())
        watch.outcome_changed.emit(outcome)
        self._describe(watch)
        # what is all there costs nothing: undo brings the picture back with the parameters
        if (
            watch.has_run
            and outcome.is_stored
            and not self._is_live
            and request.workflow is watch.document.workflow
            and watch.last_shown is not request.workflow
            and not self.queue.show_stored(self._job(watch))
        ):
            watch.stored.emit()

    # --- running

    def start_worker(self) -> None:
        """Start the worker, if it does not run."""
        if self._worker is None:
            self._inbox = Inbox(self._take, self)
            self._worker = self._make_worker(self._inbox.put)
            self._worker.start()

    def restart_worker(self) -> None:
        """End the worker and start one with the settings of today; the job that ran is run again, and resumes."""
        worker = self._let_go()
        if worker is not None:
            # it may hang, and the window need not wait for its end; the program does
            threading.Thread(target=worker.stop, name="end of the worker").start()
        self.start_worker()
        self.queue.put_back()

    def run(self, watch: Watch, targets: Sequence[str] = (), *, is_first: bool = False) -> None:
        """Run a document as it is, or what the ``targets`` need: at once if nothing runs, else in its turn.

        ``is_first``: before all that wait.
        """
        self._live_timer.stop()
        self._tell(self.queue.ask(self._job(watch, targets), is_first=is_first))

    def run_variations(self, watch: Watch, workflows: Sequence[Workflow]) -> None:
        """Let variations of a document wait for their turns."""
        for workflow in workflows:
            self.queue.ask(replace(self._job(watch), workflow=workflow))
        self.status.emit(self.tr("{} variations are queued").format(len(workflows)))

    def run_again(self, ended: Ended) -> None:
        """Run a job that is over once more; steps that were finished are stored, so it resumes."""
        self._tell(self.queue.ask_again(ended))

    def run_live(self, watch: Watch) -> None:
        """Show a document as it is before all that waits, in place of what is only shown."""
        self._live_timer.stop()
        self.queue.show_live(self._job(watch))

    def _job(self, watch: Watch, targets: Sequence[str] = ()) -> Job:
        return Job(
            watch.number,
            watch.document.title,
            watch.document.workflow,
            watch.base,
            watch.past,
            self._output(),
            tuple(targets),
        )

    def _tell(self, answer: Answer) -> None:
        count = len(self.queue.waiting)
        waits = self.tr("Queued: 1 run waits") if count == 1 else self.tr("Queued: {} runs wait")
        words = {
            "starts": self.tr("Running…"),
            "waits": waits.format(count),
            "first": self.tr("Queued to run next"),
            "runs already": self.tr("This is running already"),
            "waits already": self.tr("This is in the queue already"),
        }
        self.status.emit(words[answer])

    def _go_on(self) -> None:
        """Begin what is next, if it is its turn."""
        job = self.queue.next()
        if job is not None:
            self._begin(job)
        if self.is_running != self._was_running:
            self._was_running = self.is_running
            self.running_changed.emit(self._was_running)

    def _begin(self, job: Job) -> None:
        from studio.workflow import dumps

        self.start_worker()
        assert self._worker is not None
        if self._current is not None:
            self._current.tracker.event({"event": "done"})
        self._has_crashed = False
        self.pace = Pace()
        self._run = self._worker.submit(
            dumps(job.workflow),
            base=job.base,
            name=job.past,
            targets=job.targets,
            output=job.output,
        )
        watch = self._watches.get(job.document)
        if watch is not None:
            watch.last_shown = job.workflow
        self.queue.begin(job)
        # for how long it is going to take
        self._planner.ask(_plan_number(job), job.workflow, job.base, job.past)

    def cancel(self) -> None:
        """Stop the job that runs; finished steps are kept, and what waits goes on."""
        self._live_timer.stop()
        if self._worker is not None and self.is_running:
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

    def ask_measures(self, watch: Watch, node: str) -> bool:
        """Ask for what a training has measured; ``measured`` of the document answers. False where nobody is to ask."""
        from studio.workflow import dumps

        if self._worker is None:
            return False
        text = dumps(watch.document.workflow)
        self._expect(self._worker.measures(text, node, base=watch.base, name=watch.past), watch)
        return True

    def _describe(self, watch: Watch) -> None:
        """Let the worker work out the schedules that the plan knows nothing of; once for each workflow."""
        from studio.workflow import dumps

        workflow, untold = watch.document.workflow, watch.outcome.drawn.untold
        if self._worker is None or not untold or watch.described is workflow:
            return
        watch.described = workflow
        request = self._worker.describe(dumps(workflow), untold, base=watch.base, name=watch.past)
        self._expect(request, watch)

    def _expect(self, request: str, watch: Watch) -> None:
        """An answer that is superseded never comes, so the newest few are enough."""
        self._asked[request] = watch
        for old in list(self._asked)[:-_ANSWERS]:
            del self._asked[old]

    @property
    def is_running(self) -> bool:
        """Whether a job runs."""
        return self.queue.running is not None

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
            self.run_live(watch)
            self.status.emit(self.tr("Running the edit…"))

    # --- events

    def _take(self, event: Event) -> None:
        self.arrived.emit(event)
        if event.get("event") == "worker":
            self._worker_changed(event)
        elif "request" in event:
            watch = self._asked.get(str(event["request"]))
            if watch is not None:
                self._answered(watch, event)
        elif event.get("run") == self._run and self.queue.running is not None:
            self._happened(self.queue.running, event)

    def _answered(self, watch: Watch, event: Event) -> None:
        name = event.get("event")
        if name == "picture":
            made = pictured(event)
            if made is not None:
                watch.pictured.emit(made)
        elif name in ("trajectory", "state"):
            watch.trajectory.emit(event)
        elif name == "measures":
            node = str(event.get("node", ""))
            is_running = watch.tracker.flat.get(node, NodeState()).status == "running"
            watch.measures.stored(event, is_running=is_running)
            watch.measured.emit(node)
        elif name == "described":
            if not event.get("problems"):
                self.plan(watch)
        elif name == "look":
            watch.looked.emit(event)

    def _happened(self, job: Job, event: Event) -> None:
        """Take in an event of the run that is on; its document may be closed."""
        name, watch = event.get("event"), self._watches.get(job.document)
        self.pace.event(event)
        if name == "picture":
            made = pictured(event)
            if made is not None and watch is not None:
                watch.pictured.emit(made)
            if made is not None and made.is_saved and made.path is not None:
                self.saved.emit(job, made)
            return
        if name == "preview":
            if watch is not None:
                self._preview(watch, event)
            return
        if watch is not None:
            watch.tracker.event(event)
            watch.measures.event(event)
        if name == "failed":
            failure = failure_of(event)
            if watch is not None:
                watch.failed.emit(failure)
            self.status.emit(str(failure))
            self.pace.failed(failure)
        elif name == "done":
            self._done(job, watch, event)
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

    def _done(self, job: Job, watch: Watch | None, event: Event) -> None:
        self._paint()
        status, words = event.get("status"), _ended(event)
        is_failed = status == "failed"
        if watch is not None:
            watch.has_run = watch.has_run or status == "ok"
        # of a failure more was said before
        if not is_failed:
            self.status.emit(words)
        self._run = ""
        how: Ending = "cancelled" if status == "cancelled" else "failed" if is_failed else "done"
        if self._has_crashed and is_failed:
            how = "crashed"
            self.queue.set_hold("crash")
        seconds = event.get("seconds", 0.0)
        self.queue.end(
            how,
            float(seconds) if isinstance(seconds, int | float) else 0.0,
            self.pace.failure if is_failed else words,
        )
        if watch is not None:
            watch.ended.emit(event)
            if not is_failed:
                self._settled = watch
                self._settle_timer.start()

    def _paint(self) -> None:
        watch = self._current
        if watch is not None:
            watch.states_changed.emit(watch.states())
            words = watch.tracker.progress()
            if words:
                self.progressed.emit(words)

    def _worker_changed(self, event: Event) -> None:
        state, what = str(event.get("state", "")), str(event.get("what", ""))
        if state == "crashed":
            self._has_crashed = True
            # a run that was lost has a failure of its own
            self.status.emit(self.tr("{}; it is started again").format(what))
        elif state == "stopped" and what:
            self._has_crashed = True
            failure = Failure(what, str(event.get("where", "")), str(event.get("remedy", "")))
            self.status.emit(str(failure))
            self.broken.emit(failure)
        elif state == "ready":
            for watch in self._watches.values():
                watch.described = None
                self._describe(watch)
        self.worker_state.emit(state)

    def close(self) -> None:
        """End the worker, and wait for its end; nothing runs or waits any more."""
        self.queue.clear()
        worker = self._let_go()
        if worker is not None:
            worker.stop()
        self.queue.end("cancelled")

    def _let_go(self) -> WorkerLike | None:
        """Listen to the worker no longer: what it still says is of no run of ours."""
        self._live_timer.stop()
        worker, self._worker = self._worker, None
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.close()
            inbox.deleteLater()
        if self._current is not None:
            self._current.tracker.event({"event": "done"})
        self._run = ""
        return worker


def _plan_number(job: Job) -> int:
    """A number for the plan of a job, where the planner wants a document's: those are not negative."""
    return -job.number


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


def _tr(text: str) -> str:
    return QCoreApplication.translate("Runner", text)
