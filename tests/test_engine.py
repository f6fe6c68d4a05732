"""The engine: exactly what is not stored runs, loops resume, failures name their node, cancelling loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from studio.engine import Cancel, Engine
from studio.errors import OutputError
from studio.events import Done, Event, Failed, Preview, Step
from studio.graph import Graph, Node, NodeId
from studio.plan import Keyed
from studio.store import Store
from studio.values import Picture
from tests.test_plan import context, walking
from tests.toys import Toys


@dataclass
class Bench:
    """An engine over toy nodes, with all that it reported and delivered."""

    store: Store
    toys: Toys = field(default_factory=Toys)
    events: list[Event] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    refusal: Exception | None = None

    def deliver(self, item: Keyed, picture: Picture, plan: Sequence[Keyed], /) -> Sequence[str]:
        """Take the pictures, or fail as told."""
        if self.refusal:
            raise self.refusal
        self.shown.extend(picture.files)
        return [f"{item.id}.txt"]

    def run(
        self,
        graph: Graph,
        targets: tuple[str, ...] = ("show",),
        cancel: Cancel | None = None,
        *,
        has_previews: bool = False,
    ) -> Done:
        """Run, and forget the counts of the run before."""
        self.toys.ran.clear()
        self.events.clear()

        def no_pool() -> object:
            raise AssertionError("no model is needed")

        engine = Engine(
            self.toys.types(),
            self.store,
            context(),
            no_pool,  # type: ignore[arg-type]  # never called
            deliver=self.deliver,
            has_previews=has_previews,
        )
        return engine.run(graph, targets, self.events.append, cancel or Cancel())


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An engine over an empty store in memory."""
    with Store(None) as store:
        yield Bench(store)


def test_every_needed_node_runs_once_and_the_result_is_delivered(bench: Bench) -> None:
    done = bench.run(walking())
    assert dict(bench.toys.ran) == {"number": 3, "add": 1, "step": 10, "walk": 1, "show": 1}
    # 2 + 3, ten steps of 1, and from step 5 on 1.0 and 0.5 more
    assert bench.shown == [b"22.5"]
    assert done.status == "ok"
    assert (done.model_calls, done.model_calls_saved) == (10, 0)
    assert {name: report.status for name, report in done.nodes.items()} == {
        "a": "ran",
        "b": "ran",
        "start": "ran",
        "recipe": "ran",
        "extra": "ran",
        "walk": "ran",
        "show": "ran",
    }
    assert [(file.node, file.path) for file in done.files] == [("show", "show.txt")]


def test_a_second_run_runs_nothing_and_delivers_the_same(bench: Bench) -> None:
    bench.run(walking())
    done = bench.run(walking())
    assert not bench.toys.ran
    assert bench.shown == [b"22.5", b"22.5"]
    assert (done.model_calls, done.model_calls_saved) == (0, 10)
    assert {report.status for name, report in done.nodes.items() if name != "recipe"} == {"cached"}


def test_a_late_edit_runs_only_the_late_steps(bench: Bench) -> None:
    bench.run(walking())
    done = bench.run(walking(late=2.0))
    assert dict(bench.toys.ran) == {"step": 5, "walk": 1, "show": 1}
    assert bench.shown[-1] == b"27.5"
    walk = done.nodes["walk"]
    assert (walk.status, walk.from_step, walk.steps) == ("resumed", 5, 10)
    assert (done.model_calls, done.model_calls_saved) == (5, 5)


def test_undoing_an_edit_costs_nothing(bench: Bench) -> None:
    bench.run(walking())
    bench.run(walking(late=2.0))
    bench.run(walking())
    assert not bench.toys.ran


def test_a_target_that_is_no_output_runs_only_what_it_needs(bench: Bench) -> None:
    done = bench.run(walking(), targets=("start",))
    assert dict(bench.toys.ran) == {"number": 2, "add": 1}
    assert not done.files


def test_nodes_with_one_meaning_run_once(bench: Bench) -> None:
    graph = walking().set("a", value=3.0)
    bench.run(graph, targets=("start",))
    assert dict(bench.toys.ran) == {"number": 1, "add": 1}


def test_cancelling_in_mid_loop_keeps_the_steps_that_are_done(bench: Bench) -> None:
    cancel = Cancel()
    bench.toys.at_step[7] = cancel.set
    done = bench.run(walking(), cancel=cancel)
    assert done.status == "cancelled"
    assert bench.toys.ran["step"] == 8
    assert isinstance(bench.events[-1], Done)
    assert done.nodes["show"].status == "skipped"
    bench.toys.at_step.clear()
    done = bench.run(walking())
    assert bench.toys.ran["step"] == 2
    assert bench.shown == [b"22.5"]
    assert done.nodes["walk"].from_step == 8


def test_each_picture_of_a_batch_has_its_own_states(bench: Bench) -> None:
    bench.run(walking())
    done = bench.run(walking().set("walk", batch=3))
    assert bench.toys.ran["step"] == 20
    assert (done.model_calls, done.model_calls_saved) == (20, 10)
    assert bench.shown[-1] == str(22.5 * 3 + 1 + 2).encode()


def failing(how: str) -> Graph:
    """``walking`` with a second output that fails."""
    graph = walking().add(Node(NodeId("broken"), "fail", params={"how": how}))
    graph = graph.add(Node(NodeId("after"), "show"))
    return graph.connect("a", "number", "broken", "a").connect(
        "broken", "number", "after", "number"
    )


@pytest.mark.parametrize(
    ("how", "what", "remedy"),
    [
        ("error", "cannot go on", "try something else"),
        ("bug", "ZeroDivisionError: by nothing", "run with --debug to see the traceback"),
    ],
)
def test_a_failure_names_its_node_and_ends_only_its_branch(
    bench: Bench, how: str, what: str, remedy: str
) -> None:
    done = bench.run(failing(how), targets=("show", "after"))
    (failed,) = (event for event in bench.events if isinstance(event, Failed))
    assert (failed.node, failed.where, failed.what, failed.remedy) == (
        "broken",
        "broken",
        what,
        remedy,
    )
    assert done.status == "failed"
    assert {name: done.nodes[name].status for name in ("broken", "after", "show")} == {
        "broken": "failed",
        "after": "skipped",
        "show": "ran",
    }
    assert bench.shown == [b"22.5"]


@pytest.mark.parametrize(
    ("refusal", "what"),
    [
        (OSError(28, "No space left on device", "out.png"), "out.png cannot be written"),
        (OutputError("is not a folder"), "is not a folder"),
    ],
)
def test_an_output_that_cannot_be_written_fails_its_node_and_loses_no_result(
    bench: Bench, refusal: Exception, what: str
) -> None:
    bench.refusal = refusal
    done = bench.run(walking())
    assert done.status == "failed"
    (failed,) = (event for event in bench.events if isinstance(event, Failed))
    assert failed.node == "show"
    assert what in failed.what
    bench.refusal = None
    bench.run(walking())
    assert not bench.toys.ran


def test_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        Bench(store).run(walking())
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:-1])
    with Store(tmp_path) as store:
        again = Bench(store)
        assert again.run(walking()).status == "ok"
        assert again.shown == [b"22.5"]


def test_results_outlive_the_process(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        Bench(store).run(walking())
    with Store(tmp_path) as store:
        again = Bench(store)
        again.run(walking())
        assert not again.toys.ran
        assert again.shown == [b"22.5"]


def test_a_memory_too_small_for_any_result_still_gives_the_result() -> None:
    with Store(None, memory_bytes=1) as store:
        bench = Bench(store)
        bench.run(walking())
        assert bench.shown == [b"22.5"]


def test_steps_are_reported_one_by_one_with_previews_where_asked(bench: Bench) -> None:
    bench.run(walking(), has_previews=True)
    steps = [event for event in bench.events if isinstance(event, Step)]
    assert [(event.step, event.steps) for event in steps] == [(k, 10) for k in range(1, 11)]
    assert sum(isinstance(event, Preview) for event in bench.events) == 10
    bench.run(walking(late=2.0))
    steps = [event for event in bench.events if isinstance(event, Step)]
    assert [event.step for event in steps] == [6, 7, 8, 9, 10]


def test_a_step_is_given_nothing_that_it_did_not_declare(bench: Bench) -> None:
    walk = bench.toys.types()["walk"].implementation
    given: list[tuple[set[str], set[str]]] = []
    step: Callable[..., object] = walk.step  # type: ignore[attr-defined]  # a loop

    def spy(state: object, spec: object, inputs: dict[str, object], ctx: object) -> object:
        given.append((set(inputs), set(spec.uses)))  # type: ignore[attr-defined]  # a Spec
        return step(state, spec, inputs, ctx)

    walk.step = spy  # type: ignore[attr-defined]  # a loop
    types = bench.toys.types()
    spied = {**types, "walk": replace(types["walk"], implementation=walk)}
    bench.toys.types = lambda: spied  # type: ignore[method-assign]  # the spy stands in
    bench.run(walking())
    assert given == [(set(), set())] * 5 + [({"extra"}, {"extra"})] * 5
