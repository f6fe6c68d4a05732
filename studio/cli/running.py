"""Runs an engine under the eyes of a user: progress and failures on stderr, signals, a reader that goes away."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

from studio.cli.progress import bar_for
from studio.cli.writing import complain
from studio.engine import Cancel, Engine
from studio.events import Done, Event, Failed
from studio.session import Job

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def evaluate(
    engine: Engine, job: Job, listen: Callable[[Event], None], *, is_debug: bool = False
) -> Done:
    """Run a job; ``listen`` is given every event after progress and failures have gone to stderr.

    What ``listen`` raises as OSError (its reader has gone, its disk is full) ends the run in good order, and then is
    raised. Raises what ``Engine.run`` raises.
    """
    bar = bar_for(sys.stderr)
    cancel = Cancel()
    lost: list[OSError] = []

    def report(event: Event) -> None:
        bar.show(event)
        if isinstance(event, Failed):
            _report_failure(event, is_debug=is_debug)
        if not lost:
            try:
                listen(event)
            except OSError as error:
                # raised here it would look like a fault of the node that runs
                lost.append(error)
                cancel.set()

    with _interruptible(cancel, bar.note):
        done = engine.run(job.graph, job.targets, report, cancel)
    if lost:
        raise lost[0]
    return done


def _report_failure(event: Failed, *, is_debug: bool) -> None:
    remedy = f"; {event.remedy}" if event.remedy else ""
    complain(f"{event.where}: {event.what}{remedy}")
    # the engine reports a failure while it handles it
    if is_debug and sys.exc_info()[1] is not None:
        traceback.print_exc()


@contextlib.contextmanager
def _interruptible(cancel: Cancel, note: Callable[[str], None]) -> Iterator[None]:
    """Let Ctrl-C, or a request to terminate, end the run in good order; a second one ends the process at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        cancel.set()
        note("stopping, finished steps are kept; once more to stop at once")

    before = [(number, signal.signal(number, stop)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
