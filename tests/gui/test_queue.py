"""The queue by itself: no worker, no window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studio.gui import edits
from studio.gui.running.queue import KEPT, Job, Queue
from studio.workflow import Workflow, load
from tests.gui.desk import TEXT_TO_IMAGE

WORKFLOW = load(TEXT_TO_IMAGE)


def seeded(seed: int) -> Workflow:
    return edits.set_param(WORKFLOW, "noise", "seed", seed)


def job(seed: int = 0, document: int = 0, **fields: object) -> Job:
    made = Job(document, "mine", seeded(seed), Path("/a"), "past", Path("/out"))
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of Job


def seeds(queue: Queue) -> list[object]:
    return [one.workflow.graph.node("noise").params["seed"] for one in queue.waiting]


def begin(queue: Queue) -> Job:
    """What the runner does."""
    job = queue.next()
    assert job is not None
    queue.begin(job)
    return job


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def busy(queue: Queue) -> Queue:
    """Seed 0 runs; 1, 2 and 3 wait."""
    for seed in range(4):
        queue.ask(job(seed))
        if seed == 0:
            begin(queue)
    return queue


def test_jobs_run_in_the_order_in_which_they_were_asked_for(busy: Queue) -> None:
    assert busy.next() is None
    busy.end("done", 1.0, "fine")
    assert begin(busy).workflow == seeded(1)
    assert seeds(busy) == [2, 3]
    assert [(ended.how, ended.words) for ended in busy.over] == [("done", "fine")]


def test_a_job_can_be_asked_for_before_all_others(busy: Queue) -> None:
    assert busy.ask(job(9), is_first=True) == "first"
    assert seeds(busy) == [9, 1, 2, 3]


def test_the_same_is_not_queued_twice(busy: Queue) -> None:
    assert busy.ask(job(0)) == "runs already"
    assert busy.ask(job(2)) == "waits already"
    assert busy.ask(job(2, targets=("decode",))) == "waits"
    assert busy.ask(job(2, document=1)) == "waits"
    assert seeds(busy) == [1, 2, 3, 2, 2]


def test_asking_first_for_what_waits_moves_it(busy: Queue) -> None:
    assert busy.ask(job(3), is_first=True) == "first"
    assert seeds(busy) == [3, 1, 2]


def test_how_a_workflow_looks_makes_no_other_job(busy: Queue) -> None:
    moved = edits.move(seeded(2), {"noise": (5.0, 5.0)})
    assert busy.ask(job(workflow=moved)) == "waits already"


@pytest.mark.parametrize(
    ("place", "expected"),
    [(0, [3, 1, 2]), (1, [1, 3, 2]), (7, [1, 2, 3]), (-1, [3, 1, 2])],
)
def test_jobs_are_moved(place: int, expected: list[int], busy: Queue) -> None:
    busy.move(busy.waiting[2].number, place)
    assert seeds(busy) == expected


def test_a_live_job_goes_first_and_the_next_edit_takes_its_place(busy: Queue) -> None:
    busy.show_live(job(10))
    assert busy.next() is None, "an edit must not end a job that was asked for"
    busy.show_live(job(11))
    assert seeds(busy) == [11, 1, 2, 3]
    busy.end("done")
    assert begin(busy).kind == "live"
    busy.show_live(job(12))
    assert begin(busy).workflow == seeded(12)
    assert seeds(busy) == [1, 2, 3]
    busy.end("done")
    assert len(busy.over) == 1, "what was only shown is no job that is over"


def test_a_job_is_not_moved_before_a_live_one(busy: Queue) -> None:
    busy.show_live(job(10))
    busy.move(busy.waiting[3].number, 0)
    assert seeds(busy) == [10, 3, 1, 2]


def test_what_waits_does_not_take_the_place_of_a_live_job_that_runs(busy: Queue) -> None:
    busy.show_live(job(10))
    busy.end("done")
    begin(busy)
    assert busy.next() is None


def test_asking_for_what_runs_live_lets_it_end(queue: Queue) -> None:
    queue.show_live(job(1))
    begin(queue)
    assert queue.ask(job(1)) == "runs already"
    queue.show_live(job(2))
    assert queue.next() is None
    queue.end("done")
    assert len(queue.over) == 1


def test_asking_for_a_document_ends_its_live_job(queue: Queue) -> None:
    queue.show_live(job(1))
    begin(queue)
    queue.ask(job(2))
    assert begin(queue).workflow == seeded(2)


def test_asking_for_another_document_lets_a_live_job_end(queue: Queue) -> None:
    queue.show_live(job(1))
    begin(queue)
    queue.ask(job(2, document=1))
    assert queue.next() is None


def test_what_is_stored_is_shown_only_where_nothing_else_runs_or_waits(queue: Queue) -> None:
    assert queue.show_stored(job(1))
    begin(queue)
    assert not queue.show_stored(job(2))
    queue.end("done")
    assert queue.over == ()


def test_a_held_queue_begins_nothing_but_live_jobs(busy: Queue) -> None:
    busy.set_hold("asked")
    busy.end("done")
    assert busy.next() is None
    busy.ask(job(8))
    assert busy.next() is None
    busy.show_live(job(10))
    assert begin(busy).kind == "live"
    busy.end("done")
    busy.set_hold("")
    assert begin(busy).workflow == seeded(1)


def test_a_crash_holds_what_waits_until_somebody_asks_again(busy: Queue) -> None:
    busy.set_hold("crash")
    busy.end("crashed", 1.0, "killed")
    assert busy.next() is None
    assert seeds(busy) == [1, 2, 3]
    (ended,) = busy.over
    assert busy.ask_again(ended) == "waits"
    assert busy.over == ()
    assert begin(busy).workflow == seeded(1)
    assert seeds(busy) == [2, 3, 0]


def test_a_crash_holds_nothing_where_nothing_waits(queue: Queue) -> None:
    queue.ask(job(0))
    begin(queue)
    queue.set_hold("crash")
    queue.end("crashed")
    assert queue.hold == ""


def test_jobs_of_a_closed_document_are_dropped_or_kept(busy: Queue) -> None:
    busy.ask(job(5, document=1))
    busy.show_live(job(6))
    assert busy.drop(0, keeps_asked=True) == 1
    assert seeds(busy) == [1, 2, 3, 5]
    assert busy.drop(0) == 3
    assert seeds(busy) == [5]


def test_what_ran_waits_again_when_the_worker_is_replaced(busy: Queue) -> None:
    busy.put_back()
    assert busy.running is None
    assert seeds(busy) == [0, 1, 2, 3]


def test_removing_and_clearing(busy: Queue) -> None:
    assert busy.remove(busy.waiting[1].number) is not None
    assert busy.remove(12345) is None
    assert seeds(busy) == [1, 3]
    assert busy.clear() == 2
    assert busy.running is not None


def test_only_the_latest_that_are_over_are_kept(queue: Queue) -> None:
    for seed in range(KEPT + 3):
        queue.ask(job(seed))
        begin(queue)
        queue.end("done")
    assert len(queue.over) == KEPT
    assert queue.over[0].job.workflow == seeded(KEPT + 2)
    queue.forget(queue.over[0].job.number)
    assert queue.over[0].job.workflow == seeded(KEPT + 1)
    queue.forget_all()
    assert queue.over == ()


def test_every_change_is_told(queue: Queue) -> None:
    told: list[None] = []
    queue.changed.connect(lambda: told.append(None))
    queue.ask(job(1))
    begin(queue)
    queue.end("done")
    assert len(told) == 3
