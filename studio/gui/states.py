"""What a node of the canvas shows of its run: a frozen value, without Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Status = Literal[
    "unknown",
    "cached",
    "will_run",
    "resumes",
    "running",
    "ran",
    "failed",
    "muted",
    "bypassed",
    "off",
]
"""unknown: not planned yet; off: no output node needs it, or something before it is muted."""

ICONS: Mapping[Status, str] = {
    "unknown": "state_unknown",
    "cached": "state_cached",
    "will_run": "state_will_run",
    "resumes": "state_resumes",
    "running": "state_running",
    "ran": "state_ran",
    "failed": "state_failed",
    "muted": "mute",
    "bypassed": "bypass",
    "off": "state_off",
}
"""The name of the icon of each status."""


@dataclass(frozen=True)
class Failure:
    """Why a node failed or cannot run."""

    what: str
    where: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.remedy}" if self.remedy else text


@dataclass(frozen=True)
class NodeState:
    """The state of one node at a glance."""

    status: Status = "unknown"
    text: str = ""
    """What stands on the badge, ready to be shown: "resumes at 14 of 20"."""
    step: int = 0
    """Steps done: where a loop resumes, or how far it is."""
    steps: int = 0
    """Steps in all; 0 where a node has none."""
    seconds: float | None = None
    """How long it ran, or will run as predicted; None if unknown."""
    eta_seconds: float | None = None
    """While running: how long it is still expected to take; None if unknown."""
    error: Failure | None = None

    @property
    def fraction(self) -> float | None:
        """How much is done, 0 to 1; None where there are no steps."""
        return min(self.step / self.steps, 1.0) if self.steps else None
