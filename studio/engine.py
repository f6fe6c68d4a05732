"""Runs what a plan says: demand-driven over what is not stored, loops step by step, every failure with its node."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import psutil

from studio.errors import Cancelled, NodeError, OutputError, StudioError
from studio.events import (
    Done,
    Event,
    Failed,
    Finished,
    Measured,
    NodeReport,
    NodeStarted,
    NodeStatus,
    Preview,
    Progress,
    RunStatus,
    Started,
    Step,
    WrittenFile,
)
from studio.graph import Graph, Key, NodeId, NodeKind, Ref, Types, Value
from studio.plan import (
    Cost,
    Keyed,
    KeyedChain,
    KeyedStep,
    Outlook,
    PlanningContext,
    Reached,
    call,
    key_graph,
    learn,
    outlook,
    references,
    remember,
    remembered,
)
from studio.registry import Live, Loop, Spec, outputs
from studio.store import Store
from studio.values import Delivered, State

if TYPE_CHECKING:
    from studio.models.pool import Pool

Emit = Callable[[Event], None]


class Deliver(Protocol):
    """Takes what an output node made: writes files and says which. Raises OutputError where it cannot."""

    def __call__(self, item: Keyed, made: Delivered, plan: Sequence[Keyed], /) -> Sequence[str]:
        """Return the paths written, one per picture (none for a preview), or that of a model's folder."""


class Cancel:
    """A switch that stops a run; safe to flip from a signal handler or another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Stop the run at the next check."""
        self._event.set()

    def check(self) -> None:
        """Raise Cancelled once ``set`` was called."""
        if self._event.is_set():
            raise Cancelled


@dataclass(frozen=True)
class _Context:
    """``studio.registry.Context`` for one node in one run."""

    engine: Engine
    cancel: Cancel
    report: Callable[[int, int], None]
    measured: Callable[[Mapping[str, float]], None]
    scratch: dict[str, object] = field(default_factory=dict)

    @property
    def pool(self) -> Pool:
        return self.engine.pool

    def check(self) -> None:
        self.cancel.check()

    def progress(self, done: int, total: int) -> None:
        self.cancel.check()
        self.report(done, total)

    def measure(self, values: Mapping[str, float]) -> None:
        self.measured(values)


@dataclass
class _Run:
    """What one run has done so far."""

    name: str
    emit: Emit
    cancel: Cancel
    keyed: Sequence[Keyed]
    ahead: Mapping[NodeId, Outlook]
    readers: dict[Key, int]
    """How many nodes that still have to run read a result: it is held until the last of them has."""
    held: dict[Key, Mapping[str, Value]] = field(default_factory=dict)
    reports: dict[str, NodeReport] = field(default_factory=dict)
    files: list[WrittenFile] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    setup_seconds: float = 0.0
    """Spent on loading models."""
    failed: set[NodeId] = field(default_factory=set)
    lost: set[Key] = field(default_factory=set)
    """Results that will not come: of failed nodes and of those that depend on them."""
    calls: int = 0
    saved: int = 0
    step: int = 0
    """The step of a loop that is under way, counted as in its events."""


class Engine:
    """Evaluates graphs over one store, one pool of models and one numerics class.

    ``deliver`` receives the pictures of output nodes. ``has_previews`` asks loops for a small picture of every state.
    Not thread-safe: one run at a time.
    """

    def __init__(
        self,
        types: Types,
        store: Store,
        context: PlanningContext,
        make_pool: Callable[[], Pool],
        *,
        deliver: Deliver,
        workflow: str = "",
        has_previews: bool = False,
    ) -> None:
        self._types = types
        self._store = store
        self._context = dataclasses.replace(context, may_compute=True)
        self._make_pool = make_pool
        self._pool: Pool | None = None
        self._deliver = deliver
        self._workflow = workflow
        self._has_previews = has_previews

    @property
    def pool(self) -> Pool:
        """The models; made, and torch set up for the numerics class, when first asked for."""
        if self._pool is None:
            from studio.diffusion.runtime import configure

            configure(self._context.numerics)
            self._pool = self._make_pool()
        return self._pool

    def run(self, graph: Graph, targets: Sequence[str], emit: Emit, cancel: Cancel) -> Done:
        """Evaluate ``targets`` of a flat, active, sound graph; the events end with the returned Done.

        A failed node ends its branch and the run's status is ``failed``; branches that do not need it go on.
        Raises StudioError only where the graph cannot be keyed at all (then nothing ran).
        """
        began = time.perf_counter()
        keyed = key_graph(graph, self._types, targets, self._context)
        ahead = outlook(keyed, targets, self._store)
        run = _Run(
            uuid.uuid4().hex[:12], emit, cancel, keyed, ahead, _readers(keyed, ahead, targets)
        )
        past = remembered(self._context.facts, self._workflow)
        emit(Started(run.name, len(keyed), _calls_ahead(keyed, ahead)))
        status: RunStatus = "ok"
        try:
            for item in keyed:
                cancel.check()
                self._visit(run, item, is_target=item.id in targets, past=past)
        except Cancelled:
            status = "cancelled"
        self._store.flush()
        finished = [item for item in keyed if item.id in run.reports and item.id not in run.failed]
        remember(self._context.facts, self._workflow, finished, self._context.numerics)
        learn(run.costs, run.setup_seconds, self._context, self._workflow)
        if run.failed and status == "ok":
            status = "failed"
        for item in keyed:
            if item.id not in run.reports:
                run.reports[item.id] = NodeReport("skipped", 0, item.passes, 0.0)
        done = Done(
            run.name,
            status,
            time.perf_counter() - began,
            run.calls,
            run.saved,
            {item.id: run.reports[item.id] for item in keyed},
            tuple(run.files),
        )
        emit(done)
        return done

    # --- one node

    def _visit(
        self, run: _Run, item: Keyed, *, is_target: bool, past: Mapping[str, object]
    ) -> None:
        ahead = run.ahead[item.id]
        began = time.perf_counter()
        status: NodeStatus = "cached"
        from_step = item.passes
        if item.described is not None:
            if any(ref.key in run.lost for ref in ahead.needs):
                run.lost.add(item.key)
                return
            status = "cached" if past.get(item.id) == item.document else "ran"
        elif ahead.status == "skipped":
            status, from_step = "skipped", 0
            run.saved += _calls(item.chains)
        elif ahead.status != "cached" and item.key not in self._store:
            if any(ref.key in run.lost for ref in ahead.needs):
                run.lost.add(item.key)
                return
            # a few results may have been stored or lost since the plan; what counts is found out step by step
            try:
                from_step = self._evaluate(run, item)
            except Cancelled:
                self._report(
                    run, item, "resumed" if ahead.from_step else "ran", ahead.from_step, began
                )
                raise
            except StudioError as error:
                self._fail(run, item, error, began)
                return
            status = "resumed" if from_step else "ran"
        else:
            run.saved += _calls(item.chains)
        if is_target and item.type.is_output:
            try:
                self._hand_over(run, item)
            except StudioError as error:
                self._fail(run, item, error, began)
                return
            if item.described is not None:
                self._release(run, item)
        self._report(run, item, status, from_step, began)

    def _report(
        self, run: _Run, item: Keyed, status: NodeStatus, from_step: int, began: float
    ) -> None:
        seconds = time.perf_counter() - began
        report = NodeReport(status, from_step, item.passes, round(seconds, 6))
        run.reports[item.id] = report
        run.emit(Finished(run.name, item.id, status, from_step, item.passes, report.seconds))

    def _fail(self, run: _Run, item: Keyed, error: StudioError, began: float) -> None:
        run.failed.add(item.id)
        run.lost.add(item.key)
        error.located(item.id)
        run.emit(Failed(run.name, item.id, error.what, error.where, error.remedy))
        self._report(run, item, "failed", 0, began)

    def _evaluate(self, run: _Run, item: Keyed) -> int:
        """Compute an item's result and store it; return the steps that did not need to run."""
        from_step = run.ahead[item.id].from_step
        run.emit(NodeStarted(run.name, item.id, from_step, item.passes, item.key))
        context = _Context(
            self,
            run.cancel,
            lambda done, total: run.emit(Progress(run.name, item.id, done, total)),
            lambda values: run.emit(Measured(run.name, item.id, run.step, values)),
        )
        from_step = 0
        peak = _Peak()
        loading = self._loading_seconds()
        began = time.perf_counter()
        with _attributed(item):
            if item.type.kind is NodeKind.LOOP:
                result, from_step, step_seconds = self._loop(run, item, context, peak)
            else:
                ports = {name: self._resolved(run, value) for name, value in item.ports.items()}
                result = call(item.type, {**ports, **item.params}, context)
                step_seconds = [time.perf_counter() - began - self._loading_seconds() + loading]
            values = outputs(item.type, result)
        run.setup_seconds += self._loading_seconds() - loading
        self._store.put(item.key, values)
        self._release(run, item)
        if run.readers.get(item.key):
            run.held[item.key] = values
        if step_seconds:
            run.costs.append(Cost(item, statistics.median(step_seconds), peak.sample(now=True)))
        return from_step

    def _loading_seconds(self) -> float:
        return self._pool.loading_seconds if self._pool else 0.0

    # --- results

    def _value(self, run: _Run, ref: Ref) -> Value:
        values = run.held.get(ref.key) or self._store.get(ref.key)
        if values is None:
            # damaged or evicted by another process since the plan: make it again
            item = next(item for item in run.keyed if item.key == ref.key)
            run.readers[ref.key] = run.readers.get(ref.key, 0) + 1
            self._evaluate(run, item)
            values = run.held[ref.key]
        return values[ref.output]

    def _resolved(self, run: _Run, value: object) -> object:
        """An argument with every reference replaced by the result it names."""
        if isinstance(value, Ref):
            return self._value(run, value)
        if isinstance(value, tuple):
            return tuple(self._resolved(run, item) for item in value)
        if (
            dataclasses.is_dataclass(value)
            and not isinstance(value, type)
            and any(references(value))
        ):
            changes = {
                part.name: self._resolved(run, getattr(value, part.name))
                for part in dataclasses.fields(value)
            }
            return dataclasses.replace(value, **changes)
        return value

    def _release(self, run: _Run, item: Keyed) -> None:
        for ref in {ref.key: ref for ref in run.ahead[item.id].needs}.values():
            left = run.readers.get(ref.key, 0) - 1
            run.readers[ref.key] = left
            if left <= 0:
                run.held.pop(ref.key, None)

    def _hand_over(self, run: _Run, item: Keyed) -> None:
        for port in item.type.outputs:
            made = self._made(run, item, port.name)
            if not isinstance(made, Delivered):
                continue
            try:
                paths = self._deliver(item, made, run.keyed)
            except OSError as error:
                raise OutputError(
                    f"{error.filename or 'the file'} cannot be written ({error.strerror})",
                    remedy="choose another folder with --output, or make room",
                ) from error
            run.files.extend(
                WrittenFile(item.id, path, content)
                for path, content in zip(paths, made.sha256, strict=False)
            )

    def _made(self, run: _Run, item: Keyed, port: str) -> object:
        """What an output node gives, complete."""
        if item.described is None:
            return self._value(run, Ref(item.key, port))
        return self._resolved(run, item.described[port])

    # --- loops

    def _loop(
        self, run: _Run, item: Keyed, context: _Context, peak: _Peak
    ) -> tuple[object, int, list[float]]:
        loop: Loop = item.type.implementation  # type: ignore[assignment]  # NodeKind.LOOP says so
        states: list[State] = []
        seconds: list[float] = []
        skipped = 0
        run.step = 0
        for chain in item.chains:
            place = self._stored_place(chain)
            behind = chain.passes(place.reached)
            skipped += behind
            run.step += behind
            run.saved += chain.calls(place.reached)
            state = place.state
            if state is None:
                inputs = self._uses(run, chain.start.spec)
                state = loop.start(chain.start.spec, inputs, context)
                self._keep(loop, chain.start, state, place.passing, context)
            first, begun = place.reached
            for step in chain.steps[first:]:
                state = self._spec(
                    run, item, loop, step, state, begun, place.passing, context, seconds, peak
                )
                begun = 0
            states.append(state)
        return loop.finish(states, context), skipped, seconds

    def _spec(
        self,
        run: _Run,
        item: Keyed,
        loop: Loop,
        step: KeyedStep,
        state: State,
        begun: int,
        passing: list[Key],
        context: _Context,
        seconds: list[float],
        peak: _Peak,
    ) -> State:
        """Run the steps of one spec that are left after ``begun`` of them, and store the state after the last."""
        done = begun
        try:
            while done < step.spec.count:
                run.cancel.check()
                began = time.perf_counter()
                run.step += 1
                state = loop.step(state, step.spec, self._uses(run, step.spec), context)
                done += 1
                if done == step.spec.count:
                    self._keep(loop, step, state, passing, context)
                run.calls += step.spec.calls
                seconds.append(time.perf_counter() - began)
                self._stepped(run, item, seconds[-1], loop, state)
                peak.sample()
        except Cancelled:
            if begun < done < step.spec.count and isinstance(loop, Live):
                frozen = loop.freeze(state, context)
                former = [step.part(begun)] if begun else []
                self._store.put(step.part(done), {"state": frozen}, kind="state", replaces=former)
            raise
        return state

    def _stored_place(self, chain: KeyedChain) -> _Place:
        """The latest state of a chain that can be read."""
        reached = chain.resume(self._store)
        while reached is not None:
            place = self._read_place(chain, reached)
            if place is not None:
                return place
            reached = chain.resume(self._store)  # what could not be read is no longer in the index
        return _Place(Reached(), None, [])

    def _read_place(self, chain: KeyedChain, reached: Reached) -> _Place | None:
        """The state at a place, if it can be read."""
        step = chain.steps[reached.specs - 1] if reached.specs else chain.start
        key, passing = step.key, [] if step.spec.is_lasting else [step.key]
        if reached.steps:
            key = chain.steps[reached.specs].part(reached.steps)
            passing.append(key)
        state = self._stored_state(key)
        return None if state is None else _Place(reached, state, passing)

    def _stored_state(self, key: Key) -> State | None:
        entry = self._store.get(key)
        state = entry.get("state") if entry else None
        return state if isinstance(state, State) else None

    def _keep(
        self, loop: Loop, step: KeyedStep, state: State, passing: list[Key], context: _Context
    ) -> None:
        """Store the state after a spec, in place of the passing ones before it."""
        frozen = loop.freeze(state, context) if isinstance(loop, Live) else state
        self._store.put(step.key, {"state": frozen}, kind="state", replaces=passing)
        # what the disk has not let go of yet is named again next time
        passing[:] = [key for key in passing if key in self._store]
        if not step.spec.is_lasting:
            passing.append(step.key)

    def _uses(self, run: _Run, spec: Spec) -> dict[str, Value]:
        return {name: self._value(run, ref) for name, ref in spec.uses.items()}

    def _stepped(self, run: _Run, item: Keyed, seconds: float, loop: Loop, state: State) -> None:
        run.emit(Step(run.name, item.id, run.step, item.passes, seconds))
        if self._has_previews:
            image = loop.preview(state)
            if image is not None:
                run.emit(Preview(run.name, item.id, run.step, image))


@dataclass(frozen=True)
class _Place:
    """How far a chain has come, with its state there."""

    reached: Reached
    state: State | None
    passing: list[Key]
    """Of stored states that go when the next one is stored."""


class _Peak:
    """Samples the process's memory, at most four times a second: asking the system costs a tenth of a millisecond."""

    INTERVAL_S = 0.25

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._bytes = 0
        self._next = 0.0

    def sample(self, *, now: bool = False) -> int:
        """The most resident memory seen so far, in bytes; ``now`` looks whatever the time."""
        moment = time.monotonic()
        if now or moment >= self._next:
            self._next = moment + self.INTERVAL_S
            self._bytes = max(self._bytes, self._process.memory_info().rss)
        return self._bytes


@contextlib.contextmanager
def _attributed(item: Keyed) -> Iterator[None]:
    """Turn whatever a node raises into a NodeError that names it; the boundary between the engine and nodes."""
    try:
        yield
    except StudioError as error:
        raise error.located(item.id) from error.__cause__
    except MemoryError as error:
        raise _out_of_memory(item) from error
    except Exception as error:
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(error, torch.OutOfMemoryError):
            raise _out_of_memory(item) from error
        if "DefaultCPUAllocator" in str(error):
            raise _out_of_memory(item) from error
        text = str(error).strip().splitlines()
        raise NodeError(
            f"{type(error).__name__}: {text[0] if text else 'no message'}",
            where=item.id,
            remedy="run with --debug to see the traceback",
        ) from error


def _out_of_memory(item: Keyed) -> NodeError:
    return NodeError(
        "ran out of memory", where=item.id, remedy="choose a smaller size, or --dtype bfloat16"
    )


def _readers(
    keyed: Sequence[Keyed], ahead: Mapping[NodeId, Outlook], targets: Sequence[str]
) -> dict[Key, int]:
    readers: dict[Key, int] = {}
    for item in keyed:
        for key in {ref.key for ref in ahead[item.id].needs}:
            readers[key] = readers.get(key, 0) + 1
        if item.id in targets and item.type.is_output:
            readers[item.key] = readers.get(item.key, 0) + 1
    return readers


def _calls(chains: Sequence[KeyedChain]) -> int:
    return sum(chain.calls() for chain in chains)


def _calls_ahead(keyed: Sequence[Keyed], ahead: Mapping[NodeId, Outlook]) -> int:
    return sum(
        chain.calls() - chain.calls(reached or Reached())
        for item in keyed
        for chain, reached in zip(item.chains, ahead[item.id].resume, strict=False)
    )
