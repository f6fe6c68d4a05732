"""One process of the worker, with its three pipes."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from studio.remote.protocol import Message, Request

_LOG_BYTES = 32_768


class Garbled(Exception):
    """What the child wrote is not of the protocol."""


class Child:
    """One process with its three pipes. Made by a thread that outlives it: Linux ends it with that thread."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start; raises OSError."""
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._outbox: dict[object, bytes] = {}
        self._serial = itertools.count()
        self._condition = threading.Condition()
        self._is_ended = False
        self._log = bytearray()
        self.killed_for = ""
        """Why it was killed, if by us."""
        self.refusal: Message | None = None
        self.was_ready = False
        self._threads = [
            threading.Thread(target=work, name=f"worker {name}", daemon=True)
            for name, work in (("writer", self._write), ("log", self._read_log))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """The end of what it wrote to stderr."""
        return bytes(self._log[-_LOG_BYTES:]).decode("utf-8", "replace")

    def send(self, request: Request) -> None:
        """Send a request soon; never waits. What it makes useless and was not sent yet is dropped."""
        is_question = request.do in ("plan", "look", "trajectory", "measures", "describe")
        key: object = (request.do, request.name) if is_question else next(self._serial)
        with self._condition:
            self._outbox.pop(key, None)
            self._outbox[key] = request.line()
            self._condition.notify_all()

    def lines(self, longest: int) -> Iterator[bytes]:
        """What it says, until it ends; raises Garbled for a line longer than ``longest``."""
        output = self._process.stdout
        assert output is not None
        while line := output.readline(longest + 1):
            if len(line) > longest:
                raise Garbled(f"it wrote a line of more than {longest} bytes")
            if not line.endswith(b"\n"):
                return  # cut off by its end
            yield line

    def kill(self, reason: str) -> None:
        """End it at once."""
        self.killed_for = self.killed_for or reason
        self._process.kill()

    def end(self) -> int:
        """Wait for its end, give everything back and return the exit code."""
        code = self._process.wait()
        with self._condition:
            self._is_ended = True
            self._condition.notify_all()
        for thread in self._threads:
            # somebody else may have inherited its stderr, and keep it open
            thread.join(1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # unsent requests meet a closed pipe
                pipe.close()  # type: ignore[union-attr]  # Popen was asked for both
        return code

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._is_ended or self._outbox)
                if self._is_ended:
                    return
                line = self._outbox.pop(next(iter(self._outbox)))
            try:
                pipe.write(line)
                pipe.flush()
            except (OSError, ValueError):
                return  # it has gone, which whoever reads from it finds out

    def _read_log(self) -> None:
        pipe: IO[bytes] | None = self._process.stderr
        assert pipe is not None
        with pipe:
            while data := pipe.read1(65_536):  # type: ignore[attr-defined]  # Popen gives a BufferedReader
                self._log += data
                del self._log[:-_LOG_BYTES]


def parsed(line: bytes) -> Message:
    """The event that a line holds; raises Garbled."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise Garbled(f"it wrote {line[:60]!r}, which is no event")
    return event
