"""The worker, kept alive: its parent asks, cancels, kills and starts it again."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import math
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from studio.events import Done, Event, Failed, NodeReport, RunStatus
from studio.remote.child import Child, Garbled, parsed
from studio.remote.mailbox import Mailbox
from studio.remote.protocol import LINE_BYTES, PROTOCOL, Do, Message, Request

_PACE_S = 0.016
"""Between two deliveries: a frame."""
_SCRATCH = "studio-worker-"


class Worker:
    """The worker process, kept alive: the parent's side.

    Methods may be called from every thread and do not wait, but for ``stop``. ``on_event`` is called with each event
    on a thread of the worker's own; while it does not return, events wait, a bounded number of them, and then the
    child does.
    """

    def __init__(
        self,
        settings: Sequence[str] = (),
        on_event: Callable[[Message], None] = lambda event: None,
        *,
        command: Sequence[str] = (),
        cancel_timeout_s: float | None = 3.0,
        attempts: int = 3,
        line_bytes: int = LINE_BYTES,
        spare_after_s: float | None = None,
    ) -> None:
        """Describe a worker; ``start``, or the first request, starts it.

        ``settings``: options of ``studio worker``, such as ``--device cpu``. ``cancel_timeout_s``: how long a cancelled
        run may go on before the process is killed and started again; None: for ever. ``attempts``: how often in a row
        it may end before it is ready; after that it stays stopped until the next request. ``command``: what to start
        in place of ``studio worker``. ``line_bytes``: the longest line that is taken from it. ``spare_after_s``: once
        it has been ready for so long and does not run, another is started that waits, to take its place at once should
        it end (measured: 0.1 s in place of 4 and more, for some 350 MB); None: none.
        """
        self._settings = tuple(settings)
        self._on_event = on_event
        self._command = tuple(command)
        self._timeout_s = cancel_timeout_s
        self._attempts = attempts
        self._line_bytes = line_bytes
        self._spare_after_s = spare_after_s
        self._spare: Child | None = None
        self._spare_due_s = math.inf
        self._ids = itertools.count(1)
        self._lock = threading.Condition()
        self._mailbox = Mailbox()
        self._scratch: Path | None = None
        self._threads: list[threading.Thread] = []
        self._is_running = self._is_stopping = False
        self._child: Child | None = None
        self._held: dict[tuple[Do, str], Request] = {}
        """Requests that wait for a process."""
        self._deadlines: dict[str, float | None] = {}
        """Runs of the process that are not done; when it has to be, for those that were cancelled."""
        # of the latest run
        self._request = Request("run")
        self._began_s = 0.0
        self._has_begun = False
        self._node = ""
        self._reports: dict[str, NodeReport] = {}

    # --- requests

    def submit(
        self,
        workflow: str,
        *,
        base: str | Path,
        name: str = "",
        targets: Sequence[str] = (),
        edits: Sequence[str] = (),
        output: str | Path = "",
    ) -> str:
        """Run a workflow, in place of any run before it; returns the run's id."""
        request = Request(
            "run",
            f"run-{next(self._ids)}",
            workflow,
            str(base),
            name,
            tuple(targets),
            tuple(edits),
            str(output),
        )
        with self._lock:
            self._overdue()
            self._request, self._has_begun, self._node, self._reports = request, False, "", {}
            self._began_s = time.monotonic()
            self.start()
            self._send(request)
        return request.id

    def cancel(self, run: str = "") -> None:
        """Stop a run (the latest, by default), if it is not done; its ``done`` says when it has stopped."""
        with self._lock:
            run = run or self._request.id
            held = self._held.get(("run", ""))
            if held is not None and held.id == run:
                del self._held["run", ""]
                self._close("cancelled")
            elif run in self._deadlines:
                self._overdue(run)
                self._send(Request("cancel", run))

    def plan(
        self,
        workflow: str,
        *,
        base: str | Path,
        name: str = "",
        targets: Sequence[str] = (),
        edits: Sequence[str] = (),
    ) -> str:
        """Ask what would run; returns the request's id."""
        return self._ask(
            Request(
                "plan", "", workflow, str(base), name, targets=tuple(targets), edits=tuple(edits)
            )
        )

    def look(
        self,
        workflow: str,
        node: str,
        *,
        base: str | Path,
        name: str = "",
        edits: Sequence[str] = (),
    ) -> str:
        """Ask for what a node has given, whole; returns the request's id."""
        return self._ask(
            Request("look", "", workflow, str(base), name, edits=tuple(edits), node=node)
        )

    def trajectory(
        self,
        workflow: str,
        node: str,
        *,
        base: str | Path,
        name: str = "",
        picture: int = 0,
        edits: Sequence[str] = (),
    ) -> str:
        """Ask for the stored states of a loop; returns the request's id."""
        return self._ask(
            Request(
                "trajectory",
                "",
                workflow,
                str(base),
                name,
                edits=tuple(edits),
                node=node,
                picture=picture,
            )
        )

    def measures(self, workflow: str, node: str, *, base: str | Path, name: str = "") -> str:
        """Ask for what a training has measured; returns the request's id."""
        return self._ask(Request("measures", "", workflow, str(base), name, node=node))

    def describe(
        self, workflow: str, nodes: Sequence[str], *, base: str | Path, name: str = ""
    ) -> str:
        """Ask for the schedules that nodes give to be worked out; returns the request's id."""
        return self._ask(Request("describe", "", workflow, str(base), name, targets=tuple(nodes)))

    def _ask(self, request: Request) -> str:
        request = dataclasses.replace(request, id=f"{request.do}-{next(self._ids)}")
        with self._lock:
            self.start()
            self._send(request)
        return request.id

    def _send(self, request: Request) -> None:
        if self._child is not None:
            if request.do == "run":
                self._deadlines[request.id] = None
            self._child.send(request)
        elif request.do != "cancel":
            key = (request.do, "" if request.do == "run" else request.name)
            self._held[key] = request

    def _overdue(self, run: str = "") -> None:
        """Give runs (all, by default) that were not cancelled before until the timeout to end."""
        timeout_s = math.inf if self._timeout_s is None else self._timeout_s
        for one, deadline in self._deadlines.items():
            if deadline is None and run in ("", one):
                self._deadlines[one] = time.monotonic() + timeout_s
        self._lock.notify_all()

    # --- life

    @property
    def is_alive(self) -> bool:
        """Whether there is a process."""
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """The process's id."""
        child = self._child
        return child.pid if child else None

    def start(self) -> None:
        """Start the process, unless there is one or it is being stopped."""
        with self._lock:
            if self._is_stopping or self._is_running:
                return
            self._is_running = True
            self._mailbox = Mailbox()
            self._scratch = self._scratch or _scratch_folder()
            self._threads = [
                threading.Thread(target=self._supervise, name="worker reader", daemon=True),
                threading.Thread(
                    target=self._deliver, args=[self._mailbox], name="worker events", daemon=True
                ),
                threading.Thread(target=self._watch, name="worker watch", daemon=True),
            ]
            for thread in self._threads:
                thread.start()

    def kill(self) -> None:
        """End the process, and the run, at once, whatever it does; a new process is started."""
        with self._lock:
            self._overdue()
            if self._child is not None:
                self._child.kill("it was told to")

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the process in good order, or after ``timeout_s`` at once; the last event is that it has stopped.

        Waits for the end, and until it is told, unless called by ``on_event``.
        """
        with self._lock:
            threads, self._threads = self._threads, []
            if not threads:
                return
            self._is_stopping = True
            self._mailbox.relent()
            if self._child is not None:
                self._child.send(Request("stop"))
            self._lock.notify_all()
        threads[0].join(timeout_s)
        self.kill()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)
        with self._lock:
            self._is_stopping = False
            scratch, self._scratch = self._scratch, None
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)

    def _supervise(self) -> None:
        """Keep a process running and read from it; a thread of its own for as long as there is one."""
        fruitless = 0
        reason = ""
        refusal: Mapping[str, object] = {}
        while True:
            self._say("starting", reason=reason)
            try:
                child = self._take_spare() or Child(self._arguments())
            except OSError as error:
                refusal = {"what": f"the worker cannot be started ({error.strerror or error})"}
                break
            with self._lock:
                self._child = child
                held, self._held = self._held, {}
                for request in held.values():
                    self._send(request)
                if self._is_stopping:
                    child.send(Request("stop"))
            fault = self._read(child)
            code = child.end()
            was_fruitless = not child.was_ready and bool(fault or not child.killed_for)
            fruitless = fruitless + 1 if was_fruitless else 0
            reason = child.killed_for
            self._ended(child, fault, code)
            if self._is_stopping:
                break
            if child.refusal is not None:
                refusal = child.refusal
                break
            if fruitless >= self._attempts:
                refusal = {
                    "what": f"the worker ended {fruitless} times before it was ready",
                    "remedy": "see its log, or run studio doctor --full",
                }
                break
            if fruitless > 1:
                with self._lock:
                    self._lock.wait_for(lambda: self._is_stopping, 0.2 * 2**fruitless)
        self._give_up(refusal)

    def _take_spare(self) -> Child | None:
        """The process that waits, if there is one and it lives."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None or spare.is_alive:
            return spare
        spare.end()
        return None

    def _give_up(self, refusal: Mapping[str, object]) -> None:
        spare = self._take_spare()
        if spare is not None:
            spare.kill("it is not needed")
            spare.end()
        what, where, remedy = (str(refusal.get(name, "")) for name in ("what", "where", "remedy"))
        with self._lock:
            if self._held.pop(("run", ""), None) is not None:
                if what:
                    self._fail(what, remedy)
                self._close("failed" if what else "cancelled")
            self._held.clear()
            self._say("stopped", what=what, where=where, remedy=remedy)
            self._mailbox.close()
            self._is_running = False
            self._lock.notify_all()

    def _arguments(self) -> list[str]:
        if self._command:
            return [*self._command]
        # -P: what lies in the current folder is no module of ours
        studio = [sys.executable, "-P", "-m", "studio", "worker"]
        return [*studio, "--scratch", str(self._scratch), *self._settings]

    # --- events

    def _read(self, child: Child) -> str:
        """Pass on what the child says until it ends; returns what was wrong with that."""
        try:
            for line in child.lines(self._line_bytes):
                self._take(child, parsed(line), len(line))
        except Garbled as garbled:
            fault = str(garbled)
            child.kill(fault)
            return fault
        return ""

    def _take(self, child: Child, event: Message, size: int) -> None:
        kind, run = event.get("event"), event.get("run")
        if kind == "hello" and event.get("protocol") != PROTOCOL:
            raise Garbled(f"it speaks protocol {event.get('protocol')}, not {PROTOCOL}")
        if kind == "refused":
            child.refusal = event
            return
        if kind == "worker" and event.get("state") == "ready":
            child.was_ready = True
            if self._spare_after_s is not None:
                with self._lock:
                    self._spare_due_s = time.monotonic() + self._spare_after_s
                    self._lock.notify_all()
        with self._lock:
            if kind == "done":
                self._deadlines.pop(str(run), None)
                self._lock.notify_all()
            elif self._is_stopping:
                return
            if "run" in event and run != self._request.id:
                return
            if kind == "node":
                self._node = str(event.get("node"))
            elif kind == "finished":
                self._reports[str(event.get("node"))] = _node_report(event)
            self._has_begun = self._has_begun or "run" in event
        self._mailbox.put(event, size)

    def _ended(self, child: Child, fault: str, code: int) -> None:
        """The process is gone: say so, and what becomes of the run."""
        with self._lock:
            self._child = None
            self._spare_due_s = math.inf  # until the next one is ready
            run = self._request.id
            is_lost = run in self._deadlines
            was_cancelled = self._deadlines.get(run) is not None
            has_others = len(self._deadlines) > 1
            self._deadlines.clear()
            self._lock.notify_all()
            is_innocent = has_others and not self._has_begun
            if is_lost and not was_cancelled and not self._is_stopping and is_innocent:
                # the run before it would not end, or brought the process down
                self._held["run", ""] = self._request
                is_lost = False
            what = remedy = ""
            if child.refusal is not None:
                what, remedy = (str(child.refusal.get(name, "")) for name in ("what", "remedy"))
            elif fault or not (self._is_stopping or child.killed_for):
                what, remedy = _why(fault, code)
                self._say(
                    "crashed",
                    run=run if is_lost else "",
                    node=self._node if is_lost else "",
                    what=what,
                    remedy=remedy,
                    exit=code,
                    log=child.log,
                )
            if is_lost and what:
                self._fail(what, remedy)
            if is_lost:
                self._close("failed" if what else "cancelled")

    def _fail(self, what: str, remedy: str) -> None:
        where = self._node or "the worker"
        self._tell(Failed(self._request.id, self._node, what, where, remedy))

    def _close(self, status: RunStatus) -> None:
        seconds = time.monotonic() - self._began_s
        self._tell(Done(self._request.id, status, seconds, 0, 0, dict(self._reports), ()))

    def _tell(self, event: Event) -> None:
        self._mailbox.put(event.to_json(), is_patient=False)

    def _say(self, state: str, **more: object) -> None:
        self._mailbox.put({"event": "worker", "state": state, **more}, is_patient=False)

    def _deliver(self, mailbox: Mailbox) -> None:
        while taken := mailbox.take():
            for event in taken:
                # a newer run may have been submitted while it waited
                is_stale = "run" in event and event["run"] != self._request.id
                if not is_stale or event["event"] == "worker":
                    try:
                        self._on_event(event)
                    except Exception:
                        logging.getLogger(__name__).exception("%s was not taken", event["event"])
            time.sleep(_PACE_S)

    def _watch(self) -> None:
        """Kill the process where a cancelled run does not end in time; start the one that waits."""
        with self._lock:
            while self._is_running:
                now = time.monotonic()
                due = min(
                    (at for at in self._deadlines.values() if at is not None), default=math.inf
                )
                if due <= now and self._child is not None:
                    self._child.kill(f"a run did not stop within {self._timeout_s:g} s")
                    self._lock.wait()  # for its end
                    continue
                if not self._deadlines and not self._is_stopping:
                    if self._spare_due_s <= now and self._child is not None:
                        self._start_spare()
                    due = min(due, self._spare_due_s)
                self._lock.wait(None if due == math.inf else max(due - now, 0.0))

    def _start_spare(self) -> None:
        self._spare_due_s = math.inf
        if self._spare is None:
            # without one, a restart takes as long as a start
            with contextlib.suppress(OSError):
                self._spare = Child(self._arguments())


def _node_report(event: Message) -> NodeReport:
    names = ("status", "from_step", "steps", "seconds")
    return NodeReport(*(event.get(name) for name in names))  # type: ignore[arg-type]  # as the engine told it


def _why(fault: str, code: int) -> tuple[str, str]:
    """What became of the process, and the remedy."""
    if fault:
        return f"the worker was replaced: {fault}", "run again; if it happens again, report it"
    if code >= 0:
        return f"the worker ended with exit code {code}", "run again; the log may say more"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    remedy = "run again: it goes on at the last step that was stored"
    if name == "SIGKILL":
        remedy += "; where memory ran out, choose a smaller size or --dtype bfloat16"
    return f"the worker was ended by {name}", remedy


def _scratch_folder() -> Path:
    """A new folder for the worker's files; those whose process was killed go."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_SCRATCH}*"):
        import psutil

        owner = left.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
