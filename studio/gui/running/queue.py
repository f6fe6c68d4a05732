"""What is to be run: the job that runs, those that wait, those that are over. Knows neither worker nor widgets.

A job is a snapshot: what is edited after it was asked for does not change it. Three kinds are told apart. *Asked* jobs
wait for each other, in an order that can be changed, and nothing but their removal ends them early. A *live* job shows
an edit; there is one at most, it goes before what waits, and it gives way to the next edit at once, but it never stops
an asked job. A *stored* job only shows what has been computed before, where nothing else runs or waits.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from studio.workflow import Workflow

Kind = Literal["asked", "live", "stored"]
Ending = Literal["done", "failed", "cancelled", "crashed"]
Answer = Literal["starts", "waits", "first", "runs already", "waits already"]
"""What has become of a job that was asked for."""
Hold = Literal["", "asked", "crash"]

KEPT = 100
"""Jobs that are over and still shown."""


@dataclass(frozen=True)
class Job:
    """A workflow as it was when somebody asked for it, and all that running it takes."""

    document: int
    """Number of the document's Watch; the document may be closed by now."""
    title: str
    workflow: Workflow
    base: Path
    """The folder that relative files are relative to."""
    past: str
    """The name under which the workflow's past is kept."""
    output: Path
    """Where pictures are written."""
    targets: tuple[str, ...] = ()
    """Empty: all output nodes."""
    kind: Kind = "asked"
    number: int = 0
    """Given by the queue, rising."""

    def gives_same(self, other: Job) -> bool:
        """Whether the other one computes and writes the very same."""
        return (
            (self.document, self.targets, self.output, self.base)
            == (other.document, other.targets, other.output, other.base)
            and self.workflow.graph == other.workflow.graph
            and self.workflow.groups == other.workflow.groups
        )


@dataclass(frozen=True)
class Ended:
    """A job that is over."""

    job: Job
    how: Ending
    seconds: float
    words: str
    """What it came to, in a line."""


class Queue(QObject):
    """The jobs of one worker. Whoever runs them asks ``next`` after every change, and tells ``begin`` and ``end``."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = itertools.count(1)
        self._waiting: list[Job] = []
        self._over: list[Ended] = []
        self._running: Job | None = None
        self._gives_way = False
        """Whether the job that runs is to be replaced by the next, without being waited for."""
        self._hold: Hold = ""

    # --- what there is

    @property
    def running(self) -> Job | None:
        """The job that runs."""
        return self._running

    @property
    def waiting(self) -> tuple[Job, ...]:
        """The jobs that wait, the next one first."""
        return tuple(self._waiting)

    @property
    def over(self) -> tuple[Ended, ...]:
        """The asked jobs that are over, the latest first."""
        return tuple(self._over)

    @property
    def asked(self) -> int:
        """How many asked jobs wait."""
        return sum(job.kind == "asked" for job in self._waiting)

    @property
    def hold(self) -> Hold:
        """Why asked jobs are held back: because somebody asked for it, or after a crash; "": they are not."""
        return self._hold

    def of(self, document: int) -> tuple[Job, ...]:
        """The asked jobs of a document that wait."""
        return tuple(
            job for job in self._waiting if job.document == document and job.kind == "asked"
        )

    # --- what is asked for

    def ask(self, job: Job, *, is_first: bool = False) -> Answer:
        """Let a job wait for its turn, at the end or before all others; what is there already is not there twice.

        Asking lets go of what a crash held back.
        """
        if self._hold == "crash":
            self._hold = ""
        job = replace(job, kind="asked")
        running = self._running
        if running is not None and running.gives_same(job) and not self._gives_way:
            # what was shown in passing is wanted now, so that the next edit does not end it
            self._running = replace(running, kind="asked")
            self._changed()
            return "runs already"
        known = next((one for one in self._waiting if one.gives_same(job)), None)
        if known is not None and known.kind == "live":
            self._waiting.remove(known)
            known = None
        if known is not None and not is_first:
            self._changed()
            return "waits already"
        if known is not None:
            self._waiting.remove(known)
        added = known or self._numbered(job)
        is_alone = not self._waiting
        self._waiting.insert(0 if is_first else len(self._waiting), added)
        if running is not None and running.kind != "asked" and running.document == job.document:
            self._gives_way = self._gives_way or is_alone or is_first
        self._changed()
        if self._running is not None and self._running.number == added.number:
            return "starts"
        return "first" if is_first else "waits"

    def show_live(self, job: Job) -> None:
        """Run an edit before what waits; the live job before it is not needed any more."""
        self._waiting = [one for one in self._waiting if one.kind == "asked"]
        self._waiting.insert(0, self._numbered(replace(job, kind="live")))
        if self._running is not None and self._running.kind != "asked":
            self._gives_way = True
        self._changed()

    def show_stored(self, job: Job) -> bool:
        """Show what is stored, if nothing runs or waits; whether it does."""
        if self._running is not None or self._waiting:
            return False
        self._waiting.append(self._numbered(replace(job, kind="stored")))
        self._changed()
        return True

    def ask_again(self, ended: Ended) -> Answer:
        """Let a job that is over wait once more; finished steps are stored, so it resumes."""
        if ended in self._over:
            self._over.remove(ended)
        return self.ask(ended.job)

    def _numbered(self, job: Job) -> Job:
        return replace(job, number=next(self._numbers))

    # --- what becomes of it

    def move(self, number: int, place: int) -> None:
        """Put a waiting job at a place among those that wait, 0 being the next; live ones stay before it."""
        job = self._found(number)
        if job is None:
            return
        at = self._waiting.index(job)
        self._waiting.remove(job)
        first = sum(one.kind == "live" for one in self._waiting) if job.kind == "asked" else 0
        place = min(max(place, first), len(self._waiting))
        self._waiting.insert(place, job)
        if place != at:
            self._changed()

    def remove(self, number: int) -> Job | None:
        """Take a job from those that wait; which it was."""
        job = self._found(number)
        if job is not None:
            self._waiting.remove(job)
            self._changed()
        return job

    def clear(self) -> int:
        """Let nothing wait; how many jobs were dropped."""
        count = len(self._waiting)
        self._waiting.clear()
        self._hold = ""
        self._changed()
        return count

    def drop(self, document: int, *, keeps_asked: bool = False) -> int:
        """Take a document's jobs from those that wait, or only its live one; how many were dropped."""
        kept = [
            job
            for job in self._waiting
            if job.document != document or (keeps_asked and job.kind == "asked")
        ]
        count = len(self._waiting) - len(kept)
        if count:
            self._waiting = kept
            self._changed()
        return count

    def forget(self, number: int) -> None:
        """Show a job that is over no longer."""
        kept = [ended for ended in self._over if ended.job.number != number]
        if len(kept) != len(self._over):
            self._over = kept
            self._changed()

    def forget_all(self) -> None:
        """Show no job that is over."""
        if self._over:
            self._over.clear()
            self._changed()

    def set_hold(self, hold: Hold) -> None:
        """Hold asked jobs back, or let them go on; the one that runs is not touched."""
        if hold != self._hold:
            self._hold = hold
            self._changed()

    def _found(self, number: int) -> Job | None:
        return next((job for job in self._waiting if job.number == number), None)

    def _changed(self) -> None:
        if not any(job.kind == "asked" for job in self._waiting) and self._hold == "crash":
            # nothing is held back
            self._hold = ""
        self.changed.emit()

    # --- how it is run

    def next(self) -> Job | None:
        """The job to be begun now, in place of the one that runs; None: there is none, or it is not its turn."""
        if self._running is not None and not self._gives_way:
            return None
        for job in self._waiting[:1]:
            return None if self._hold and job.kind == "asked" else job
        return None

    def begin(self, job: Job) -> None:
        """A waiting job has begun."""
        self._waiting.remove(job)
        self._running = job
        self._gives_way = False
        self.changed.emit()

    def end(self, how: Ending, seconds: float = 0.0, words: str = "") -> None:
        """The job that ran is over."""
        job, self._running = self._running, None
        self._gives_way = False
        if job is not None and job.kind == "asked":
            self._over.insert(0, Ended(job, how, seconds, words))
            del self._over[KEPT:]
        self._changed()

    def put_back(self) -> None:
        """The worker is gone on purpose: what ran waits again, before all others."""
        job, self._running = self._running, None
        self._gives_way = False
        if job is not None and job.kind == "asked":
            self._waiting.insert(0, job)
        self._changed()
