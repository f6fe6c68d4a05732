"""What waits: runs, of which the newest wins, and questions, of which only the newest of a kind is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from studio.engine import Cancel
from studio.remote import Request


@dataclass(frozen=True)
class Ordered:
    """A run that was asked for, and the switch that stops it."""

    request: Request
    cancel: Cancel = field(default_factory=Cancel)


class Queue:
    """At most one run that runs and one that waits: the newest wins."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._running: Ordered | None = None
        self._waiting: Ordered | None = None
        self._is_closed = False

    def put(self, ordered: Ordered) -> Ordered | None:
        """Cancel what runs and wait for its end; returns what waited before, which will not run."""
        with self._condition:
            if self._running:
                self._running.cancel.set()
            dropped, self._waiting = self._waiting, ordered
            self._condition.notify_all()
            return dropped

    def take(self) -> Ordered | None:
        """The next run, once there is one; None at the end."""
        with self._condition:
            self._running = None
            self._condition.wait_for(lambda: self._waiting or self._is_closed)
            if not self._is_closed:
                self._running, self._waiting = self._waiting, None
            return self._running

    def cancel(self, run: str) -> None:
        """Stop a run, or keep it from beginning."""
        with self._condition:
            for ordered in (self._running, self._waiting):
                if ordered and ordered.request.id == run:
                    ordered.cancel.set()

    def close(self) -> None:
        """Stop what runs, and take nothing more."""
        with self._condition:
            self._is_closed = True
            if self._running:
                self._running.cancel.set()
            self._condition.notify_all()


class Desk:
    """Answers requests in a thread of its own; of those that wait for one workflow, only the newest of a kind."""

    def __init__(self, name: str, answer: Callable[[Request], None]) -> None:
        self._answer = answer
        self._condition = threading.Condition()
        self._waiting: dict[tuple[str, str], Request] = {}
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, request: Request) -> None:
        """Answer a request soon."""
        with self._condition:
            self._waiting.pop((request.do, request.name), None)
            self._waiting[request.do, request.name] = request
            self._condition.notify_all()

    def has_newer(self, request: Request) -> bool:
        """Whether somebody waits who makes this answer useless."""
        return (request.do, request.name) in self._waiting

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting)
                request = self._waiting.pop(next(iter(self._waiting)))
            self._answer(request)
