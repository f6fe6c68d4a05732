"""A worker that does what it is told: the parent's tests start it in place of ``studio worker``.

``fake_worker.py FILE SCRIPTS``: the n-th process to start (counted in FILE) follows the n-th script, later ones the
last. A script says, for ``start`` and each ``do``, which actions follow: an event to send, in which ``$id`` stands for
the request's id, or a word and its arguments.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

HELLO = {"event": "hello", "protocol": 1}
READY = {"event": "worker", "state": "ready", "seconds": 0.0}
DONE = {"event": "done", "run": "$id", "status": "ok"}


def main() -> None:
    """Follow the script until stdin ends."""
    counter = Path(sys.argv[1])
    number = counter.stat().st_size if counter.exists() else 0
    with counter.open("a") as file:
        file.write("x")
    scripts = json.loads(sys.argv[2])
    script = {
        "start": [HELLO, READY],
        "stop": [["exit", 0]],
        **scripts[min(number, len(scripts) - 1)],
    }
    perform(script["start"], "")
    for line in sys.stdin:
        request = json.loads(line)
        perform(script.get(request["do"], []), request.get("id", ""))


def perform(actions: list[object], request: str) -> None:
    """Act."""
    for action in actions:
        if isinstance(action, dict):
            say(action, request)
            continue
        assert isinstance(action, list)
        word, *rest = action
        if word == "flood":
            for step in range(1, rest[0] + 1):
                say({"event": "step", "run": "$id", "node": "denoise", "step": step}, request)
        elif word == "raw":
            sys.stdout.write(rest[0])
            sys.stdout.flush()
        elif word == "log":
            sys.stderr.write(rest[0])
            sys.stderr.flush()
        elif word == "abort":
            os.abort()
        elif word == "exit":
            os._exit(rest[0])
        elif word == "hang":
            time.sleep(3600)


def say(event: dict[str, object], request: str) -> None:
    """Send an event."""
    sys.stdout.write(json.dumps(event).replace("$id", request) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
