"""The way from the thread that reads events to the one that consumes them."""

from __future__ import annotations

import itertools
import threading

from studio.remote.protocol import LINE_BYTES, Message

_COALESCED = frozenset({"step", "progress", "preview"})
"""Events of which only the latest of a node counts."""


class Mailbox:
    """Events between a thread that reads and one that consumes, bounded: the reader waits where nothing can be dropped.

    Of steps, progress and previews only the latest of each node is kept.
    """

    def __init__(self, *, events: int = 1024, size: int = 2 * LINE_BYTES) -> None:
        """``events`` and ``size`` (bytes of JSON): how much may wait; a single event always may."""
        self._most, self._most_bytes = events, size
        self._condition = threading.Condition()
        self._waiting: dict[object, tuple[Message, int]] = {}
        self._bytes = 0
        self._serial = itertools.count()
        self._is_lenient = self._is_closed = False

    def put(self, event: Message, size: int = 0, *, is_patient: bool = True) -> None:
        """Add an event, after waiting for room if ``is_patient``; drops it once the box is closed."""
        kind = event.get("event")
        key: object = (kind, event.get("node")) if kind in _COALESCED else next(self._serial)
        with self._condition:
            if is_patient:
                self._condition.wait_for(lambda: self._is_lenient or self._has_room(key, size))
            if self._is_closed:
                return
            _, former = self._waiting.pop(key, ({}, 0))
            self._waiting[key] = (event, size)
            self._bytes += size - former
            self._condition.notify_all()

    def _has_room(self, key: object, size: int) -> bool:
        if not self._waiting or key in self._waiting:
            return True
        return len(self._waiting) < self._most and self._bytes + size <= self._most_bytes

    def take(self) -> list[Message]:
        """All that waits, in order, once there is something; empty once the box is closed and empty."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_closed or self._waiting)
            taken = [event for event, _ in self._waiting.values()]
            self._waiting.clear()
            self._bytes = 0
            self._condition.notify_all()
            return taken

    def relent(self) -> None:
        """Let nobody wait for room any more."""
        with self._condition:
            self._is_lenient = True
            self._condition.notify_all()

    def close(self) -> None:
        """Take nothing more; what waits can still be taken."""
        with self._condition:
            self._is_lenient = self._is_closed = True
            self._condition.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)
