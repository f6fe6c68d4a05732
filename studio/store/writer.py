"""The queue of entries on their way to the disk, and the thread that writes them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from studio.graph import Json, Key
from studio.store.arrays import Array
from studio.store.disk import Disk
from studio.store.encoding import Entry
from studio.store.file import Kind

_RESULT_WAIT_S = 2.0


@dataclass(eq=False)
class Record:
    """An entry of this process."""

    value: Entry
    kind: Kind
    memory_bytes: int
    outputs: Json = None
    arrays: Sequence[Array] | None = None
    """Kept until the entry is written."""
    fingerprint: str | None = None
    replaces: Sequence[Key] = ()
    """Goes from the disk once the record is there."""


class Writer:
    """A thread that writes records: results in order, then the newest state, older states while there is time."""

    def __init__(self, disk: Disk, pending: int) -> None:
        self.disk = disk
        self.dropped = 0
        self.pending: dict[Key, Record] = {}
        """Not on disk yet: waiting or being written."""
        self._limit = max(pending, 1)
        self._waiting: dict[Kind, dict[Key, Record]] = {"result": {}, "state": {}}
        self._is_writing = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, key: Key, record: Record) -> None:
        """Queue a record in place of any that waits under its key.

        A result waits for room for a moment, a state pushes out the oldest that waits.
        """
        with self._changed:
            if self._is_closed:
                return
            results, states = self._waiting["result"], self._waiting["state"]
            if record.kind == "result":
                # results are never dropped: a disk that hangs costs memory rather than pictures
                self._changed.wait_for(lambda: len(results) < self._limit, _RESULT_WAIT_S)
                queue = results
            else:
                # nor is what takes the place of one
                queue = results if key in results else states
                if queue is states and key not in states and len(states) >= self._limit:
                    oldest = next(iter(states))
                    self._done(oldest, states.pop(oldest))
                    self.dropped += 1
            for former_key in record.replaces:
                waiting_former = states.pop(former_key, None)
                if waiting_former is not None:
                    self._done(former_key, waiting_former)
            # at once: who asks meanwhile finds the one or the other
            self.pending[key] = record
            for waiting in (results, states):
                former = waiting.pop(key, None)
                if former is not None:
                    self._done(key, former)
            queue[key] = record
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="studio-store", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until nothing waits or is being written; returns False if ``timeout_s`` was not enough."""
        with self._changed:
            is_done = self._changed.wait_for(lambda: not self._is_busy(), timeout_s)
        self.disk.settle()
        return is_done

    def forget(self) -> None:
        """Drop what waits, and wait for what is being written."""
        with self._changed:
            for queue in self._waiting.values():
                queue.clear()
            self._changed.wait_for(lambda: not self._is_writing)
            self.pending.clear()
            self._changed.notify_all()

    def close(self, timeout_s: float | None) -> bool:
        """Flush and let the thread end; what is put later is passed over."""
        is_done = self.flush(timeout_s)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if is_done:
            self.disk.close()
        return is_done

    def _is_busy(self) -> bool:
        return self._is_writing or any(self._waiting.values())

    def _done(self, key: Key, record: Record) -> None:
        record.arrays = None
        record.outputs = None
        if self.pending.get(key) is record:
            del self.pending[key]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or any(self._waiting.values()))
                if not any(self._waiting.values()):
                    return
                results, states = self._waiting["result"], self._waiting["state"]
                if results:
                    key = next(iter(results))
                    record = results.pop(key)
                else:
                    key, record = states.popitem()
                self._is_writing = True
                outputs, arrays = record.outputs, record.arrays or ()
                self._changed.notify_all()
            try:
                fingerprint = self.disk.write(key, record.kind, outputs, arrays)
                record.fingerprint = fingerprint or record.fingerprint
                if fingerprint is not None and record.replaces:
                    self.disk.remove(record.replaces)
            except Exception as error:  # noqa: BLE001 - a thread that ends would leave the rest unwritten
                # such as MemoryError: too large for a second copy
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                self.disk.problem = f"{self.disk.folder}: {reason}; kept in memory only"
            finally:
                with self._changed:
                    self._is_writing = False
                    self._done(key, record)
                    self._changed.notify_all()
