"""What the plan and the events of a run say about each node, as states that the canvas shows."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from studio.gui.curves import Drawn
from studio.gui.states import Failure, NodeState, Status

if TYPE_CHECKING:
    from studio.plan import Plan, Planned
    from studio.workflow import Workflow

_SHORT_S = 0.05
"""Less is not worth a number."""
_RECENT = 8
"""Steps over which the pace is taken."""


@dataclass(frozen=True)
class Outcome:
    """What planning gave: a plan, or what stands in its way."""

    plan: Plan | None = None
    problems: tuple[Failure, ...] = ()
    """One by one, ``where`` beginning with the node."""
    summary: str = ""
    """One line for people."""
    drawn: Drawn = field(default_factory=Drawn)
    """The curves of the nodes that describe some."""

    @property
    def is_sound(self) -> bool:
        """Whether it can be run."""
        return self.plan is not None

    @property
    def is_stored(self) -> bool:
        """Whether everything that the targets need is stored already."""
        return self.plan is not None and not any(
            node.status in ("runs", "resumes") and node.seconds != 0.0 for node in self.plan.nodes
        )


def summary(plan: Plan) -> str:
    """The plan in one line: what is stored, where loops resume, how long it takes."""
    ahead = [node for node in plan.nodes if node.status in ("runs", "resumes")]
    stored = sum(node.status == "cached" for node in plan.nodes)
    parts = [_tr("{} of {} nodes stored").format(stored, len(plan.nodes))]
    parts += [
        _tr("{} resumes at {} of {}").format(node.node, node.from_step, node.steps)
        for node in ahead
        if node.status == "resumes"
    ]
    if not ahead:
        parts.append(_tr("nothing to compute"))
    elif all(node.seconds is not None for node in ahead):
        parts.append(_tr("about {}").format(duration(plan.seconds)))
    else:
        parts.append(_tr("duration not known yet"))
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A duration as people say it: ``0.4 s``, ``12 s``, ``3 min 20 s``."""
    if seconds < 10:
        return _tr("{} s").format(f"{seconds:.1f}")
    if seconds < 60:
        return _tr("{} s").format(f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _tr("{} min {} s").format(minutes, rest)
    return _tr("{} h {} min").format(minutes // 60, minutes % 60)


@dataclass
class Tracker:
    """The states of one document's nodes, by flat id (those inside a group are ``group/node``)."""

    flat: dict[str, NodeState] = field(default_factory=dict)
    is_running: bool = False
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def plan(self, outcome: Outcome, *, keeps_run: bool = False) -> None:
        """Take over a plan; ``keeps_run``: of the very workflow that was run last, so what ran is done.

        What has just been computed may be on its way to the disk still, where the plan does not see it.
        """
        if outcome.plan is None:
            self.flat = {_node_of(one): _failed(one) for one in outcome.problems if one.where}
            return
        planned = {str(node.node): _planned(node) for node in outcome.plan.nodes}
        for node, state in planned.items():
            before = self.flat.get(node)
            if before is None:
                continue
            # that a node has run, and how long it took, is worth more than that it is stored
            is_done = before.status == "ran" and state.status == "cached"
            if is_done or (keeps_run and before.status in ("ran", "cached")):
                planned[node] = before
        self.flat = planned

    def event(self, event: Mapping[str, object]) -> None:
        """Take in an event of a run."""
        name, node = event.get("event"), str(event.get("node", ""))
        if name == "started":
            self.is_running = True
        elif name == "node":
            self._recent.clear()
            step, steps = _whole(event, "from_step"), _whole(event, "steps")
            self.flat[node] = _running(step, steps, None)
        elif name == "step":
            self._recent.append(_number(event, "seconds"))
            step, steps = _whole(event, "step"), _whole(event, "steps")
            pace = statistics.median(self._recent)
            self.flat[node] = _running(step, steps, pace * max(steps - step, 0))
        elif name == "progress":
            self.flat[node] = _running(_whole(event, "done"), _whole(event, "total"), None)
        elif name == "finished":
            self.flat[node] = self._finished(event)
        elif name == "failed":
            failure = failure_of(event)
            if node:
                self.flat[node] = _failed(failure)
        elif name == "done":
            self._stop()

    def _finished(self, event: Mapping[str, object]) -> NodeState:
        status, seconds = event.get("status"), _number(event, "seconds")
        steps = _whole(event, "steps")
        if status == "failed":
            return self.flat.get(str(event.get("node")), NodeState("failed"))
        if status == "cached":
            return NodeState("cached", _tr("stored"), steps, steps)
        if status == "skipped":
            return NodeState("off", _tr("not needed"))
        text = duration(seconds) if seconds >= _SHORT_S else _tr("done")
        if status == "resumed":
            text = _tr("{} from step {}").format(text, _whole(event, "from_step"))
        return NodeState("ran", text, steps, steps, seconds)

    def _stop(self) -> None:
        """What was under way when the run ended is no longer."""
        self.is_running = False
        for node, state in self.flat.items():
            if state.status == "running":
                self.flat[node] = NodeState(
                    "will_run", _tr("stopped at {} of {}").format(state.step, state.steps)
                    if state.steps else _tr("stopped"), state.step, state.steps
                )  # fmt: skip

    def progress(self) -> str:
        """What is running and how far it is, in a line; "" if nothing is."""
        running = [(name, one) for name, one in self.flat.items() if one.status == "running"]
        return "; ".join(f"{name}: {state.text}" for name, state in running)

    def states(self, workflow: Workflow) -> dict[str, NodeState]:
        """The states of all nodes, modes shown: those inside groups as ``group/node``, and folded on the group."""
        inner: dict[str, list[NodeState]] = {}
        for name, state in self.flat.items():
            inner.setdefault(name.partition("/")[0], []).append(state)
        found = {name: state for name, state in self.flat.items() if "/" in name}
        for node in workflow.graph:
            if node.mode == "mute":
                found[node.id] = NodeState("muted", _tr("muted"))
            elif node.mode == "bypass":
                found[node.id] = NodeState("bypassed", _tr("bypassed"))
            elif node.id in inner:
                found[node.id] = fold(inner[node.id])
            else:
                is_planned = bool(self.flat) and not any(
                    state.status == "failed" for state in self.flat.values()
                )
                found[node.id] = NodeState("off", _tr("not used")) if is_planned else NodeState()
        return found


class Pace:
    """How far a run is, and how long it is going to take: by the plan, and by the steps of the loop that runs."""

    def __init__(self) -> None:
        self._ahead: dict[str, float | None] = {}
        """Seconds that nodes ahead are expected to take; None: unknown."""
        self._over: set[str] = set()
        self._states = Tracker()
        self._spent_s = 0.0
        self.failure = ""
        """What went wrong, in a line."""

    def plan(self, outcome: Outcome) -> None:
        """Take over what planning expects; nodes that are over by now are left out."""
        for node in outcome.plan.nodes if outcome.plan is not None else ():
            if node.status in ("runs", "resumes") and node.node not in self._over:
                self._ahead[node.node] = node.seconds

    def event(self, event: Mapping[str, object]) -> None:
        """Take in an event of the run."""
        self._states.event(event)
        if event.get("event") == "finished":
            node = str(event.get("node", ""))
            self._over.add(node)
            self._ahead.pop(node, None)
            self._spent_s += _number(event, "seconds")

    def failed(self, failure: Failure) -> None:
        """Take down what went wrong."""
        self.failure = str(failure)

    @property
    def _running(self) -> tuple[str, NodeState] | None:
        found = ((n, one) for n, one in self._states.flat.items() if one.status == "running")
        return next(found, None)

    @property
    def eta_seconds(self) -> float | None:
        """How long it is still expected to take; None if that is not known."""
        running = self._running
        name, state = running if running is not None else ("", NodeState())
        rest = [seconds for node, seconds in self._ahead.items() if node != name]
        planned = self._ahead.get(name, 0.0)
        if state.eta_seconds is not None:
            mine: float | None = state.eta_seconds
        else:
            mine = planned if planned is None else planned * (1.0 - (state.fraction or 0.0))
        if mine is None or any(seconds is None for seconds in rest):
            return None
        return mine + sum(seconds for seconds in rest if seconds is not None)

    @property
    def fraction(self) -> float | None:
        """How much is done, 0 to 1; None if that is not known."""
        running, eta = self._running, self.eta_seconds
        state = running[1] if running is not None else NodeState()
        if eta is None:
            return state.fraction
        return None if not state.steps else self._share(state, eta)

    def _share(self, state: NodeState, eta: float) -> float | None:
        done = state.fraction or 0.0
        if state.eta_seconds is None or not 0.0 < done < 1.0:
            return done
        spent = self._spent_s + state.eta_seconds * done / (1.0 - done)
        return spent / (spent + eta) if spent + eta > 0 else None

    @property
    def words(self) -> str:
        """What runs and how far it is, in a line; "" before anything does."""
        return self._states.progress()


_WEIGHTIEST: Sequence[Status] = (
    "failed",
    "running",
    "resumes",
    "will_run",
    "ran",
    "cached",
    "off",
    "unknown",
)


def fold(states: Iterable[NodeState]) -> NodeState:
    """The one state that stands for those of a group's nodes."""
    several = list(states)
    first = min(several, key=lambda state: _WEIGHTIEST.index(state.status))
    if len(several) == 1 or first.status == "running":
        return first
    seconds = [state.seconds for state in several if state.seconds is not None]
    total = sum(seconds) if seconds else None
    text = duration(total) if first.status == "ran" and total is not None else first.text
    return replace(first, text=text, seconds=total)


def failure_of(event: Mapping[str, object]) -> Failure:
    """What a ``failed`` event says."""
    return Failure(
        str(event.get("what", "")),
        str(event.get("where", "") or event.get("node", "")),
        str(event.get("remedy", "")),
    )


def _node_of(failure: Failure) -> str:
    return failure.where.partition(":")[0].partition(".")[0]


def _failed(failure: Failure) -> NodeState:
    return NodeState("failed", failure.what, error=failure)


def _planned(node: Planned) -> NodeState:
    if node.status == "cached":
        return NodeState("cached", _tr("stored"), node.steps, node.steps)
    if node.status == "skipped":
        return NodeState("off", _tr("not needed"))
    took = (
        ""
        if (node.seconds or 0.0) < _SHORT_S
        else _tr(", about {}").format(duration(node.seconds or 0.0))
    )
    if node.status == "resumes":
        text = _tr("resumes at {} of {}").format(node.from_step, node.steps)
        return NodeState("resumes", text + took, node.from_step, node.steps, node.seconds)
    # no bar for what has not begun
    text = _tr("will run") if not node.steps else _tr("will run {} steps").format(node.steps)
    return NodeState("will_run", text + took, 0, node.steps, node.seconds)


def _running(step: int, steps: int, eta: float | None) -> NodeState:
    text = _tr("running") if not steps else _tr("{} of {}").format(step, steps)
    if eta is not None and step < steps:
        text += _tr(", {} left").format(duration(eta))
    return NodeState("running", text, step, steps, eta_seconds=eta)


def _whole(event: Mapping[str, object], name: str) -> int:
    value = event.get(name, 0)
    return value if isinstance(value, int) else 0


def _number(event: Mapping[str, object], name: str) -> float:
    value = event.get(name, 0.0)
    return float(value) if isinstance(value, int | float) else 0.0


def _tr(text: str) -> str:
    return QCoreApplication.translate("Tracking", text)
