"""The progress bar on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from studio.cli.writing import line
from studio.events import Done, Event, Failed, Finished, NodeStarted, Progress, Started, Step


class Silence:
    """Shows nothing: stderr is a file, a pipe, or a terminal that cannot rewrite a line."""

    def show(self, event: Event) -> None:
        """Take no notice."""

    def note(self, text: str) -> None:
        """Take no notice."""


class Bar:
    """One line on ``stream``, rewritten by the events: node, step, time left, steps reused; a summary at the end."""

    CELLS = 24
    PAUSE_S = 0.05
    """Between two drawings of steps, so that fast steps do not spend their time on the terminal."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._columns = columns
        self._nodes = 0
        self._visited = 0
        self._reused = 0
        self._recent: deque[float] = deque(maxlen=16)
        self._drawn_s = float("-inf")
        self._note = ""
        self._is_shown = False

    def show(self, event: Event) -> None:
        """Show an event; the line is cleared when a node fails and at the end."""
        if isinstance(event, Started):
            self._nodes = event.nodes
        elif isinstance(event, NodeStarted):
            self._reused = event.from_step
            self._recent.clear()
            self._draw(f"{event.node} …", is_due=True)
        elif isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Progress):
            self._draw(
                f"{event.node} {self._cells(event.done, event.total)}",
                is_due=event.done == event.total,
            )
        elif isinstance(event, Finished):
            self._visited += 1
        elif isinstance(event, Failed):
            self._clear()
        elif isinstance(event, Done):
            self._clear()
            self._stream.write(f"{summary(event)}\n")
            self._stream.flush()

    def note(self, text: str) -> None:
        """Add something to the line, until the end."""
        self._note = text
        # called by a signal handler, perhaps in the middle of a drawing: then the next one shows it
        with contextlib.suppress(RuntimeError):
            self._draw("", is_due=True)

    def _step(self, event: Step) -> None:
        # the first step of a node loads the model, so it says nothing of those to come
        self._recent.append(event.seconds)
        seconds = list(self._recent)[1 if len(self._recent) > 1 else 0 :]
        left_s = statistics.median(seconds) * (event.steps - event.step)
        reused = f", {self._reused} steps reused" if self._reused else ""
        self._draw(
            f"{event.node} {self._cells(event.step, event.steps)} {duration(left_s)} left{reused}",
            is_due=event.step == event.steps,
        )

    def _cells(self, done: int, total: int) -> str:
        filled = min(self.CELLS, self.CELLS * done // max(total, 1))
        return f"[{'=' * filled}{' ' * (self.CELLS - filled)}] {done}/{total}"

    def _draw(self, text: str, *, is_due: bool) -> None:
        now_s = self._clock()
        if not is_due and now_s - self._drawn_s < self.PAUSE_S:
            return
        self._drawn_s = now_s
        if self._nodes:
            text = f"{min(self._visited + 1, self._nodes)}/{self._nodes} {text}"
        if self._note:
            text = f"{self._note} {text}"
        # a line that wraps cannot be rewritten
        self._stream.write(f"\r\x1b[K{line(text)[: self._columns() - 1]}")
        self._stream.flush()
        self._is_shown = True

    def _clear(self) -> None:
        if self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_shown = False


def bar_for(stream: TextIO | None) -> Bar | Silence:
    """A bar where ``stream`` is a terminal that can rewrite a line."""
    # a process without a console has no stderr at all
    is_terminal = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    return Bar(stream) if stream is not None and is_terminal else Silence()


def duration(seconds: float) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``3:05``, ``1:02:05``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def summary(done: Done) -> str:
    """One line on what a run did: how many nodes, what was reused, model calls made and saved, how long."""
    statuses = [report.status for report in done.nodes.values()]
    parts = [
        f"{number} {status}"
        for status in ("ran", "resumed", "cached", "skipped", "failed")
        if (number := statuses.count(status))
    ]
    calls = f"{done.model_calls} model calls"
    if done.model_calls_saved:
        calls += f" ({done.model_calls_saved} saved)"
    word = {"ok": "done", "failed": "failed", "cancelled": "cancelled"}[done.status]
    return f"{word} in {duration(done.seconds)}: nodes {', '.join(parts) or 'none'}; {calls}"
