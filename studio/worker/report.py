"""What the parent is told of one run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import StudioError
from studio.events import Done, Event, Failed, Finished, Preview, Progress, RunStatus, Step
from studio.plan import Keyed
from studio.remote import Message, Request
from studio.session import Job
from studio.values import Image
from studio.worker.pictures import pictures_of, pixels_of
from studio.worker.problems import ended, problems_of

if TYPE_CHECKING:
    from studio.worker.worker import Worker

_PREVIEW_S = 0.1
_STEP_S = 0.05
_MEMORY_S = 1.0


class Report:
    """Tells of one run: the engine's events under the run's id, thinned out, and small pictures of what was made."""

    def __init__(self, worker: Worker, request: Request) -> None:
        self.job: Job | None = None
        self._worker = worker
        self._request = request
        self._sent_s: dict[tuple[type[Event], str], float] = {}
        self._steps: dict[str, int] = {}
        """Of the loops that run."""
        self._items: dict[str, Keyed] | None = None
        self._is_done = False

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, Preview):
            self._preview(event)
            return
        if isinstance(event, Step):
            self._steps[event.node] = event.steps
            if not self._is_due(event, _STEP_S, event.step, event.steps):
                return
        if isinstance(event, Progress) and not self._is_due(
            event, _STEP_S, event.done, event.total
        ):
            return
        if isinstance(event, Done):
            self._worker.send_memory()
            self._is_done = True
        self._worker.wire.send({**event.to_json(), "run": self._request.id})
        if isinstance(event, Finished):
            self._finished(event)

    def end(self, status: RunStatus, error: StudioError | None = None) -> None:
        """Say that the run is over, which its engine did not."""
        if self._is_done:
            return
        for problem in problems_of(error) if error else ():
            self._worker.wire.send({"event": Failed.name, "run": self._request.id, **problem})
        self._worker.wire.send(ended(self._request.id, status))

    def _is_due(
        self, event: Step | Progress | Preview | Finished, pause_s: float, at: int, of: int
    ) -> bool:
        """Whether to send an event of which none, for its node, was sent in ``pause_s``, or which is the last."""
        node = "" if isinstance(event, Finished) else event.node
        key, now_s = (type(event), node), time.monotonic()
        if at < of and now_s - self._sent_s.get(key, -math.inf) < pause_s:
            return False
        self._sent_s[key] = now_s
        return True

    def _preview(self, event: Preview) -> None:
        of = self._steps.get(event.node, event.step)
        if isinstance(event.image, Image) and self._is_due(event, _PREVIEW_S, event.step, of):
            self._worker.wire.send(
                {
                    "event": Preview.name,
                    "run": self._request.id,
                    "node": event.node,
                    "step": event.step,
                    **pixels_of(pictures_of(event.image)[0]),
                }
            )

    def _finished(self, event: Finished) -> None:
        """Show what a node made, if it can be shown and was not yet."""
        if self._is_due(event, _MEMORY_S, 0, 1):
            self._worker.send_memory()
        # before torch is there only output nodes are shown: they need none
        if event.status in ("failed", "skipped") or not self._worker.is_warm.is_set():
            return
        item = self._keyed().get(event.node)
        if item is None or item.type.is_output:
            return
        address = (self._request.name, item.id)
        is_target = self.job is not None and item.id in self.job.targets
        if is_target or self._worker.shown.get(address) != item.key:
            about: Message = {"run": self._request.id}
            if self._worker.send_result(about, item, is_whole=is_target):
                self._worker.shown[address] = item.key

    def _keyed(self) -> Mapping[str, Keyed]:
        if self._items is None:
            assert self.job is not None
            keyed = self._worker.keyed(self.job, Path(self._request.base))
            self._items = {item.id: item for item in keyed}
        return self._items
