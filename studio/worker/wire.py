"""The way between the worker and its parent: requests in, events out, and what binds the one process to the other."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import BinaryIO

import psutil

NICENESS = 10
_PR_SET_PDEATHSIG = 1


def streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout, for requests and events alone: whatever else prints, prints to stderr."""
    requests = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, events


def depend_on_parent() -> None:
    """End with the parent, leave the interrupts of its terminal to it, and let the rest of the machine go first."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # stdin's end is not seen while C code holds the interpreter
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(NICENESS)


class Wire:
    """The way to the parent: whole lines, from every thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, event: Mapping[str, object]) -> None:
        """Send an event; where nobody reads any more, the end of stdin says so too."""
        line = json.dumps(event).encode("ascii") + b"\n"
        with self._lock, contextlib.suppress(OSError):
            self._file.write(line)
            self._file.flush()
