"""From the worker's threads to the window's: events arrive in order, and never more at once than the window bears."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal

Event = dict[str, object]

MOST = 256
"""How many events may wait; after that, whoever brings one does."""
SHARE_S = 0.006
"""How long the window is kept by events before it may paint and listen again."""


class Inbox(QObject):
    """Takes events from any thread and hands them over in its own.

    A queued signal for each event would not do: Qt hands over all that is posted, what is posted meanwhile included,
    before it paints again, and a worker that tells more than can be shown froze the window for good.
    """

    _came = Signal()

    def __init__(self, take: Callable[[Event], None], parent: QObject | None = None) -> None:
        """``take`` is called with each event in the thread that made this."""
        super().__init__(parent)
        self._take = take
        self._home = threading.get_ident()
        self._condition = threading.Condition()
        self._waiting: deque[Event] = deque()
        self._is_told = self._is_closed = False
        self._came.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)
        # by a timer: it fires after what the window has to do, whatever has come
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(0)
        self._rest.timeout.connect(self._hand_over)

    def put(self, event: Event) -> None:
        """Add an event; waits for room, unless in the thread that makes it."""
        with self._condition:
            if threading.get_ident() != self._home:
                self._condition.wait_for(lambda: self._is_closed or len(self._waiting) < MOST)
            if self._is_closed:
                return
            self._waiting.append(event)
            if not self._is_told:
                self._is_told = True
                # with the lock held: once it is closed, it may be gone
                self._came.emit()

    def _hand_over(self) -> None:
        until = time.monotonic() + SHARE_S
        while True:
            with self._condition:
                if not self._waiting:
                    self._is_told = False
                    return
                event = self._waiting.popleft()
                self._condition.notify_all()
            self._take(event)
            if time.monotonic() > until:
                break
        self._rest.start()

    def close(self) -> None:
        """Hand over nothing more, and let nobody wait."""
        with self._condition:
            self._is_closed = True
            self._waiting.clear()
            self._condition.notify_all()
        self._rest.stop()
