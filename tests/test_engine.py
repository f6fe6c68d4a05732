"""The engine: exactly what is not stored runs, loops resume, failures name their node, cancelling loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from studio.engine import Cancel, Engine
from studio.errors import OutputError
from studio.events import Done, Event, Failed, Measured, NodeStarted, Preview, Step
from studio.graph import Graph, Node, NodeId
from studio.plan import Keyed, Reached, key_graph, outlook
from studio.store import Store
from studio.values import Delivered, Picture
from tests.test_plan import context, walking
from tests.toys import Handed, Number, Recipe, Toys


@dataclass
class Bench:
    """An engine over toy nodes, with all that it reported and delivered."""

    store: Store
    toys: Toys = field(default_factory=Toys)
    events: list[Event] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    made: list[Delivered] = field(default_factory=list)
    refusal: Exception | None = None

    def deliver(self, item: Keyed, made: Delivered, plan: Sequence[Keyed], /) -> Sequence[str]:
        """Take the pictures, or fail as told."""
        if self.refusal:
            raise self.refusal
        self.made.append(made)
        if isinstance(made, Handed):
            assert isinstance(made.number, Number)
            self.shown.append(str(made.number.value).encode())
        else:
            assert isinstance(made, Picture)
            self.shown.extend(made.files)
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


# --- states at intervals


def patient(**params: float) -> Graph:
    """A walk that stores a state every 4 steps, shown."""
    graph = Graph().add(Node(NodeId("walk"), "patient", params=dict(params)))
    graph = graph.add(Node(NodeId("show"), "show"))
    return graph.connect("walk", "number", "show", "number")


def stored_states(store: Store, graph: Graph, toys: Toys) -> list[int]:
    """The numbers of steps whose states are stored."""
    (item,) = (
        item for item in key_graph(graph, toys.types(), ["show"], context()) if item.id == "walk"
    )
    (chain,) = item.chains
    found = [0] if chain.start.key in store else []
    return found + [
        chain.passes(Reached(number + 1))
        for number, step in enumerate(chain.steps)
        if step.key in store
    ]


def test_a_loop_of_long_specs_counts_and_reports_single_steps(bench: Bench) -> None:
    done = bench.run(patient(steps=10))
    assert bench.shown == [b"10.0"]
    steps = [event.step for event in bench.events if isinstance(event, Step)]
    assert steps == list(range(1, 11))
    measured = [event for event in bench.events if isinstance(event, Measured)]
    assert [(event.step, event.values["sum"]) for event in measured][:2] == [(1, 1.0), (2, 2.0)]
    assert (done.model_calls, done.nodes["walk"].steps) == (20, 10)
    # whoever keeps what was measured knows what for
    keys = {event.node: event.key for event in bench.events if isinstance(event, NodeStarted)}
    keyed = key_graph(patient(steps=10), bench.toys.types(), ["walk"], context())
    assert keys["walk"] == next(item.key for item in keyed if item.id == "walk")


def test_passing_states_go_when_a_later_one_comes_and_lasting_ones_stay(bench: Bench) -> None:
    graph = patient(steps=14, lasting=8)
    bench.run(graph)
    assert stored_states(bench.store, graph, bench.toys) == [8, 14]


def test_more_steps_go_on_from_the_newest_state(bench: Bench) -> None:
    bench.run(patient(steps=8))
    done = bench.run(patient(steps=16))
    assert bench.shown[-1] == b"16.0"
    assert bench.toys.ran["step"] == 8
    assert (done.nodes["walk"].status, done.nodes["walk"].from_step) == ("resumed", 8)
    assert (done.model_calls, done.model_calls_saved) == (16, 16)


@pytest.mark.parametrize("at", [3, 7, 8, 9])
def test_a_cancelled_loop_goes_on_at_the_very_step(bench: Bench, at: int) -> None:
    cancel = Cancel()
    bench.toys.at_step[at] = cancel.set
    assert bench.run(patient(steps=12), cancel=cancel).status == "cancelled"
    bench.toys.at_step.clear()
    # the plan knows it
    keyed = key_graph(patient(steps=12), bench.toys.types(), ["show"], context())
    ahead = outlook(keyed, ["show"], bench.store)[NodeId("walk")]
    assert (ahead.status, ahead.from_step) == ("resumes", at + 1)
    done = bench.run(patient(steps=12))
    assert bench.shown == [b"12.0"]
    assert bench.toys.ran["step"] == 12 - (at + 1)
    assert done.nodes["walk"].from_step == at + 1
    (began,) = (
        event for event in bench.events if isinstance(event, NodeStarted) and event.node == "walk"
    )
    assert began.from_step == at + 1
    # two forward passes a step
    assert (done.model_calls, done.model_calls_saved) == (2 * (11 - at), 2 * (at + 1))
    assert bench.store.stats().memory_entries == 3  # the last state and two results


def test_what_a_cancelled_loop_left_goes_when_it_is_cancelled_again(bench: Bench) -> None:
    for at in (4, 6):
        cancel = Cancel()
        bench.toys.at_step = {at: cancel.set}
        assert bench.run(patient(steps=12), cancel=cancel).status == "cancelled"
    assert stored_states(bench.store, patient(steps=12), bench.toys) == [4]
    assert bench.store.stats().memory_entries == 2  # that state, and the one after 7 steps
    bench.toys.at_step.clear()
    assert bench.run(patient(steps=12)).nodes["walk"].from_step == 7


def test_a_killed_run_goes_on_from_the_last_state_on_disk(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with Store(tmp_path, memory_bytes=1) as store:
        bench = Bench(store)
        bench.toys.at_step[10] = stop
        with pytest.raises(KeyboardInterrupt):
            bench.run(patient(steps=12))
        store.flush()
    with Store(tmp_path) as store:
        again = Bench(store)
        done = again.run(patient(steps=12))
        assert again.shown == [b"12.0"]
        assert done.nodes["walk"].from_step == 8
        store.flush()
        assert stored_states(store, patient(steps=12), again.toys) == [12]


def test_what_a_loop_announces_is_known_while_planning(bench: Bench) -> None:
    graph = patient(steps=4).add(Node(NodeId("recipe_of"), "show_recipe"))
    graph = graph.connect("walk", "recipe", "recipe_of", "recipe")
    keyed = {
        item.id: item
        for item in key_graph(graph, bench.toys.types(), ["recipe_of", "show"], context())
    }
    announced = keyed[NodeId("recipe_of")].ports["recipe"]
    assert isinstance(announced, Recipe)
    assert announced.steps == 4
    assert bench.run(graph, ("recipe_of",)).status == "ok"
    assert not bench.toys.ran["step"]


def test_an_output_that_only_describes_is_put_together_from_results(bench: Bench) -> None:
    graph = patient(steps=4).add(Node(NodeId("hand"), "hand_over"))
    graph = graph.connect("walk", "number", "hand", "number")
    done = bench.run(graph, ("hand",))
    assert done.status == "ok"
    assert bench.shown == [b"4.0"]
    assert [file.sha256 for file in bench.made] == [("4.0",)]
    again = bench.run(graph, ("hand",))
    assert not bench.toys.ran["step"]
    assert again.files == done.files


def test_such_an_output_is_passed_over_where_its_result_failed(bench: Bench) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    bench.toys.at_step[1] = fail
    graph = patient(steps=4).add(Node(NodeId("hand"), "hand_over"))
    graph = graph.connect("walk", "number", "hand", "number")
    done = bench.run(graph, ("hand",))
    assert (done.status, done.nodes["hand"].status) == ("failed", "skipped")
    assert not bench.shown
