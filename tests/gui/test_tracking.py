"""What a plan and the events of a run say about nodes."""

from __future__ import annotations

import pytest

from studio.graph import Graph, Key, Node, NodeId
from studio.gui.running.tracking import Outcome, Tracker, duration, fold, summary
from studio.gui.states import Failure, NodeState
from studio.plan import Plan, Planned, Status
from studio.workflow import Workflow


def planned(
    node: str, status: Status, *, done: int = 0, steps: int = 0, seconds: float | None = None
) -> Planned:
    return Planned(NodeId(node), node, Key(""), status, done, steps, "", seconds, None)


def workflow(*nodes: Node) -> Workflow:
    return Workflow(Graph({node.id: node for node in nodes}))


def node(name: str, mode: str = "normal") -> Node:
    return Node(NodeId(name), name, mode=mode)  # type: ignore[arg-type]  # one of the modes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (9.94, "9.9 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7260, "2 h 1 min")],
)
def test_a_duration_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_summary_says_what_is_stored_where_it_resumes_and_how_long() -> None:
    plan = Plan(
        (
            planned("prompt", "cached"),
            planned("denoise", "resumes", done=14, steps=20, seconds=2.5),
            planned("decode", "runs", seconds=0.5),
        )
    )
    assert summary(plan) == "1 of 3 nodes stored, denoise resumes at 14 of 20, about 3.0 s"


def test_the_summary_admits_that_a_duration_is_not_known() -> None:
    assert summary(Plan((planned("decode", "runs"),))).endswith("duration not known yet")


def test_a_plan_becomes_the_states_of_nodes() -> None:
    tracker = Tracker()
    tracker.plan(
        Outcome(
            Plan(
                (
                    planned("prompt", "cached"),
                    planned("denoise", "resumes", done=14, steps=20, seconds=2.5),
                    planned("decode", "runs", seconds=0.5),
                )
            )
        )
    )
    flow = workflow(
        *map(node, ("prompt", "denoise", "decode", "lost")), node("quiet", "mute"),
        node("through", "bypass"),
    )  # fmt: skip
    states = tracker.states(flow)
    assert {name: state.status for name, state in states.items()} == {
        "prompt": "cached",
        "denoise": "resumes",
        "decode": "will_run",
        "lost": "off",
        "quiet": "muted",
        "through": "bypassed",
    }
    assert states["denoise"].text == "resumes at 14 of 20, about 2.5 s"
    assert (states["denoise"].step, states["denoise"].steps) == (14, 20)


def test_what_keeps_a_plan_from_being_made_stands_on_its_node() -> None:
    tracker = Tracker()
    failure = Failure("is not connected", "decode.vae", "add load_vae")
    tracker.plan(Outcome(None, (failure,)))
    states = tracker.states(workflow(node("decode"), node("save")))
    assert states["decode"] == NodeState("failed", "is not connected", error=failure)
    assert states["save"].status == "unknown"


@pytest.fixture
def running() -> Tracker:
    tracker = Tracker()
    tracker.event({"event": "started"})
    tracker.event({"event": "node", "node": "denoise", "from_step": 14, "steps": 20})
    return tracker


def test_steps_count_up_and_tell_the_time_that_is_left(running: Tracker) -> None:
    assert running.flat["denoise"].step == 14
    for step, seconds in ((15, 0.5), (16, 0.7), (17, 0.6)):
        running.event(
            {"event": "step", "node": "denoise", "step": step, "steps": 20, "seconds": seconds}
        )
    state = running.flat["denoise"]
    assert (state.status, state.step, state.steps) == ("running", 17, 20)
    # 3 steps at the median of 0.6 s
    assert state.eta_seconds == pytest.approx(1.8)
    assert state.text == "17 of 20, 1.8 s left"
    assert running.progress() == "denoise: 17 of 20, 1.8 s left"


def test_the_pace_of_one_node_is_not_that_of_the_next(running: Tracker) -> None:
    step = {"event": "step", "node": "denoise", "step": 15, "steps": 20, "seconds": 9.0}
    running.event(step)
    running.event({"event": "node", "node": "refine", "from_step": 0, "steps": 10})
    running.event({**step, "node": "refine", "step": 1, "steps": 10, "seconds": 1.0})
    assert running.flat["refine"].eta_seconds == pytest.approx(9.0)


def test_a_finished_node_says_how_long_it_took_and_where_it_resumed(running: Tracker) -> None:
    running.event(
        {
            "event": "finished", "node": "denoise", "status": "resumed", "seconds": 3.0,
            "from_step": 14, "steps": 20,
        }
    )  # fmt: skip
    state = running.flat["denoise"]
    assert (state.status, state.seconds, state.text) == ("ran", 3.0, "3.0 s from step 14")


def test_a_failure_keeps_what_where_and_remedy(running: Tracker) -> None:
    running.event(
        {"event": "failed", "node": "denoise", "what": "out of memory", "where": "denoise",
         "remedy": "choose a smaller size"}
    )  # fmt: skip
    running.event({"event": "finished", "node": "denoise", "status": "failed", "seconds": 1.0})
    state = running.flat["denoise"]
    assert state.status == "failed"
    assert state.error == Failure("out of memory", "denoise", "choose a smaller size")


def test_a_run_that_is_stopped_leaves_nothing_running(running: Tracker) -> None:
    running.event({"event": "done", "status": "cancelled"})
    state = running.flat["denoise"]
    assert (state.status, state.text, running.is_running) == (
        "will_run",
        "stopped at 14 of 20",
        False,
    )


def test_a_node_that_ran_keeps_its_time_when_it_is_planned_again() -> None:
    tracker = Tracker()
    tracker.event(
        {"event": "finished", "node": "decode", "status": "ran", "seconds": 0.3, "steps": 0}
    )
    tracker.plan(Outcome(Plan((planned("decode", "cached"),))))
    assert tracker.flat["decode"].seconds == 0.3
    tracker.plan(Outcome(Plan((planned("decode", "runs"),))))
    assert tracker.flat["decode"].status == "will_run"


def test_a_group_shows_what_weighs_most_of_its_nodes() -> None:
    tracker = Tracker()
    tracker.plan(
        Outcome(Plan((planned("style/a", "cached"), planned("style/b", "runs", seconds=1.0))))
    )
    states = tracker.states(workflow(node("style")))
    assert states["style"].status == "will_run"
    assert states["style/a"].status == "cached"


def test_the_times_of_a_group_add_up() -> None:
    folded = fold([NodeState("ran", "1.0 s", seconds=1.0), NodeState("ran", "2.0 s", seconds=2.0)])
    assert (folded.seconds, folded.text) == (3.0, "3.0 s")
