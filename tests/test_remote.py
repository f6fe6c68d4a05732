"""The worker as its parent sees it: what it tells, and what becomes of it when it, its run or its parent goes wrong."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest
import torch
from PIL import Image, ImageChops, ImageStat

from studio.cli import main
from studio.events import Step
from studio.graph import Json
from studio.remote import Mailbox, Message, Request, Worker
from studio.values import State
from studio.worker.levels import Levels
from studio.worker.report import Report
from studio.worker.waiting import Ordered, Queue
from studio.worker.wire import NICENESS, Wire
from studio.worker.worker import Worker as Served
from tests.cli.workflows import COPY, SCENE, node, paint, with_params, workflow, write
from tests.fake_worker import DONE, HELLO, READY

FAKE = Path(__file__).with_name("fake_worker.py")
LIMIT_S = 30.0

NODE = {"event": "node", "run": "$id", "node": "denoise", "from_step": 0, "steps": 9}
FINISHED = {
    "event": "finished",
    "run": "$id",
    "node": "model",
    "status": "ran",
    "from_step": 0,
    "steps": 0,
    "seconds": 0.5,
}


class Ear:
    """Hears events, and waits for them."""

    def __init__(self) -> None:
        self.events: list[Message] = []
        self._condition = threading.Condition()

    def __call__(self, event: Message) -> None:
        with self._condition:
            self.events.append(event)
            self._condition.notify_all()

    def wait(self, after: int = 0, **fields: object) -> Message:
        """The first event from number ``after`` on that has these fields, once there is one."""

        def found() -> Message | None:
            return next(
                (event for event in self.events[after:] if fields.items() <= event.items()), None
            )

        with self._condition:
            assert self._condition.wait_for(found, LIMIT_S), (fields, self.events)
            event = found()
        assert event is not None
        return event

    def told(self, *names: str) -> list[str]:
        """The kinds of events heard, those of ``names`` alone if given; of the worker's with their state."""
        kinds = [
            f"{event['event']} {event['state']}"
            if event["event"] == "worker"
            else str(event["event"])
            for event in self.events
        ]
        return [kind for kind in kinds if not names or kind.partition(" ")[0] in names]


Start = Callable[..., tuple[Worker, Ear]]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Start]:
    """Starts a fake worker that follows scripts."""
    started: list[Worker] = []

    def start(
        *scripts: dict[str, object],
        cancel_timeout_s: float | None = 3.0,
        line_bytes: int = 50_000,
        spare_after_s: float | None = None,
    ) -> tuple[Worker, Ear]:
        ear = Ear()
        command = [sys.executable, str(FAKE), str(tmp_path / "count"), json.dumps(scripts)]
        worker = Worker(
            on_event=ear,
            command=command,
            cancel_timeout_s=cancel_timeout_s,
            line_bytes=line_bytes,
            spare_after_s=spare_after_s,
        )
        started.append(worker)
        return worker, ear

    yield start
    for worker in started:
        worker.stop(0.1)


# --- a worker that works


def test_a_run_tells_its_events_in_order_and_under_its_id(fake: Start) -> None:
    worker, ear = fake({"run": [NODE, ["flood", 1], FINISHED, DONE]})
    run = worker.submit("{}", base=".")
    ear.wait(event="done")
    assert ear.told() == [
        "worker starting",
        "hello",
        "worker ready",
        "node",
        "step",
        "finished",
        "done",
    ]
    assert {event["run"] for event in ear.events if "run" in event} == {run}


def test_stopping_ends_the_process_and_says_so_last(fake: Start) -> None:
    worker, ear = fake({})
    worker.start()
    ear.wait(state="ready")
    process = psutil.Process(worker.pid)
    worker.stop()
    assert not process.is_running()
    assert ear.told()[-1] == "worker stopped"
    assert not worker.is_alive


def test_stopping_ends_a_process_that_does_not_listen(fake: Start) -> None:
    worker, ear = fake({"run": [NODE, ["hang"]]})
    worker.submit("{}", base=".")
    ear.wait(event="node")
    worker.stop(0.1)
    assert not worker.is_alive
    assert ear.told()[-2:] == ["done", "worker stopped"]
    assert "worker crashed" not in ear.told()


def test_a_stopped_worker_starts_again_with_the_next_request(fake: Start) -> None:
    worker, ear = fake({"run": [DONE]})
    worker.start()
    ear.wait(state="ready")
    worker.stop()
    run = worker.submit("{}", base=".")
    ear.wait(event="done", run=run)


def test_an_answer_carries_the_id_of_its_request(fake: Start) -> None:
    worker, ear = fake({"plan": [{"event": "plan", "request": "$id"}]})
    request = worker.plan("{}", base=".")
    ear.wait(event="plan", request=request)


# --- newest run wins


def test_events_of_an_older_run_are_dropped(fake: Start) -> None:
    late = {"event": "finished", "run": "run-1", "node": "late"}
    worker, ear = fake({"run": [NODE, late, DONE]})
    worker.submit("{}", base=".")
    ear.wait(event="done", run="run-1")
    second = worker.submit("{}", base=".")
    heard = len(ear.events)
    ear.wait(event="done", run=second)
    assert all(event.get("run", second) == second for event in ear.events[heard:])


def test_what_an_older_run_did_is_not_told_of_a_newer_one(fake: Start) -> None:
    late = {**FINISHED, "run": "run-1"}
    worker, ear = fake({"run": [late, NODE], "cancel": [DONE]})
    worker.submit("{}", base=".")
    ear.wait(event="node")
    worker.cancel()
    ear.wait(event="done")
    second = worker.submit("{}", base=".")
    ear.wait(event="node", run=second)
    worker.kill()
    assert ear.wait(event="done", run=second)["nodes"] == {}


def test_the_newest_run_goes_on_in_a_new_process_where_the_one_before_does_not_end(
    fake: Start,
) -> None:
    worker, ear = fake({"run": [NODE, ["hang"]]}, {"run": [DONE]}, cancel_timeout_s=0.1)
    worker.submit("{}", base=".")
    ear.wait(event="node")
    second = worker.submit("{}", base=".")
    ear.wait(event="done", run=second, status="ok")
    assert ear.wait(state="starting", reason="a run did not stop within 0.1 s")
    assert "worker crashed" not in ear.told()


def test_the_newest_run_goes_on_where_the_one_before_brings_the_process_down(fake: Start) -> None:
    worker, ear = fake({"run": [NODE, ["hang"]]}, {"run": [DONE]}, cancel_timeout_s=None)
    worker.submit("{}", base=".")
    ear.wait(event="node")
    second = worker.submit("{}", base=".")
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    ear.wait(event="done", run=second, status="ok")
    assert ear.wait(state="crashed")["run"] == ""


def test_of_runs_that_wait_in_the_child_the_newest_is_kept() -> None:
    queue, runs = Queue(), [Ordered(Request("run", name)) for name in "abc"]
    assert queue.put(runs[0]) is None
    assert queue.take() is runs[0]
    assert queue.put(runs[1]) is None
    assert queue.put(runs[2]) is runs[1]
    with pytest.raises(Exception, match="cancelled"):
        runs[0].cancel.check()
    assert queue.take() is runs[2]
    runs[2].cancel.check()


# --- cancel


def test_a_cancelled_run_that_obeys_keeps_its_process(fake: Start) -> None:
    cancelled = {"event": "done", "run": "$id", "status": "cancelled"}
    worker, ear = fake({"run": [NODE], "cancel": [cancelled], "plan": [{"event": "plan"}]})
    worker.submit("{}", base=".")
    ear.wait(event="node")
    pid = worker.pid
    worker.cancel()
    ear.wait(event="done", status="cancelled")
    worker.plan("{}", base=".")
    ear.wait(event="plan")
    assert worker.pid == pid
    assert worker._deadlines == {}


def test_a_cancelled_run_that_does_not_obey_loses_its_process(fake: Start) -> None:
    worker, ear = fake({"run": [FINISHED, NODE, ["hang"]]}, {}, cancel_timeout_s=0.1)
    worker.submit("{}", base=".")
    ear.wait(event="node")
    first = worker.pid
    worker.cancel()
    done = ear.wait(event="done")
    assert done["status"] == "cancelled"
    assert done["nodes"] == {"model": {"status": "ran", "from_step": 0, "steps": 0, "seconds": 0.5}}
    ear.wait(after=ear.events.index(done), state="ready")
    assert worker.pid != first
    assert "worker crashed" not in ear.told()


def test_killing_cancels_the_run_and_brings_a_new_process(fake: Start) -> None:
    worker, ear = fake({"run": [NODE, ["hang"]]}, {})
    worker.submit("{}", base=".")
    ear.wait(event="node")
    worker.kill()
    done = ear.wait(event="done", status="cancelled")
    ear.wait(after=ear.events.index(done), state="ready")


def children() -> set[int]:
    """The processes that follow scripts."""
    found = set()
    for child in psutil.Process().children():
        # one that ends meanwhile has no command line
        with contextlib.suppress(psutil.NoSuchProcess):
            if str(FAKE) in child.cmdline():
                found.add(child.pid)
    return found


def until(is_so: Callable[[], object]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_process_that_waits_takes_the_place_of_one_that_was_killed(fake: Start) -> None:
    worker, ear = fake({"run": [NODE, ["hang"]]}, {"run": [DONE]}, spare_after_s=0.0)
    worker.start()
    ear.wait(state="ready")
    until(lambda: len(children()) == 2)
    (spare,) = children() - {worker.pid}
    worker.submit("{}", base=".")
    ear.wait(event="node")
    worker.kill()
    done = ear.wait(event="done", status="cancelled")
    ear.wait(after=ear.events.index(done), state="ready")
    assert worker.pid == spare
    run = worker.submit("{}", base=".")
    ear.wait(event="done", run=run, status="ok")
    until(lambda: len(children()) == 2)  # and another waits


def test_the_process_that_waits_is_not_started_while_a_run_is_on(fake: Start) -> None:
    worker, ear = fake({"start": [HELLO], "run": [NODE, READY, ["hang"]]}, {}, spare_after_s=0.0)
    worker.submit("{}", base=".")
    ear.wait(state="ready")
    # it would come at once
    limit = time.monotonic() + 0.5
    while time.monotonic() < limit:
        assert children() == {worker.pid}


def test_where_the_one_that_waits_is_gone_another_is_started(fake: Start) -> None:
    worker, ear = fake({}, spare_after_s=0.0)
    worker.start()
    ear.wait(state="ready")
    until(lambda: len(children()) == 2)
    (spare,) = children() - {worker.pid}
    psutil.Process(spare).kill()
    until(lambda: spare not in children())
    before = len(ear.events)
    worker.kill()
    ear.wait(after=before, state="ready")
    assert worker.pid != spare


def test_stopping_ends_the_one_that_waits_as_well(fake: Start) -> None:
    worker, ear = fake({}, spare_after_s=0.0)
    worker.start()
    ear.wait(state="ready")
    until(lambda: len(children()) == 2)
    worker.stop()
    assert not children()


def test_cancelling_what_is_done_does_nothing(fake: Start) -> None:
    worker, ear = fake({"run": [DONE], "cancel": [["exit", 3]], "plan": [{"event": "plan"}]})
    worker.submit("{}", base=".")
    ear.wait(event="done")
    worker.cancel()
    worker.plan("{}", base=".")
    ear.wait(event="plan")
    assert "worker crashed" not in ear.told()


# --- a worker that fails


def test_a_crash_is_told_with_its_node_and_log_and_the_worker_replaced(fake: Start) -> None:
    script: dict[str, object] = {"run": [NODE, ["log", "out of luck\n"], ["abort"]]}
    worker, ear = fake(script, {"run": [DONE]})
    run = worker.submit("{}", base=".")
    done = ear.wait(event="done")
    assert ear.told()[4:7] == ["worker crashed", "failed", "done"]
    crash = ear.wait(state="crashed")
    assert (crash["run"], crash["node"], crash["exit"]) == (run, "denoise", -signal.SIGABRT)
    assert crash["what"] == "the worker was ended by SIGABRT"
    assert "out of luck" in str(crash["log"])
    failed = ear.wait(event="failed")
    assert (failed["run"], failed["node"], failed["what"]) == (run, "denoise", crash["what"])
    assert (done["run"], done["status"]) == (run, "failed")
    again = worker.submit("{}", base=".")
    ear.wait(event="done", run=again, status="ok")


@pytest.mark.parametrize(
    ("garbage", "what"),
    [
        ("Segmentation fault\n", "'Segmentation fault"),
        ("[1, 2]\n", "which is no event"),
        ('{"event": 3}\n', "which is no event"),
        ("[" * 40_000 + "\n", "which is no event"),
        ("x" * 50_001, "more than 50000 bytes"),
    ],
)
def test_a_worker_that_writes_garbage_is_replaced(fake: Start, garbage: str, what: str) -> None:
    worker, ear = fake({"run": [["raw", garbage], ["hang"]]}, {})
    worker.submit("{}", base=".")
    crash = ear.wait(state="crashed")
    assert what in str(crash["what"])
    ear.wait(event="done", status="failed")
    ear.wait(after=ear.events.index(crash), state="ready")


def test_a_worker_of_another_protocol_is_not_listened_to(fake: Start) -> None:
    worker, ear = fake({"start": [{"event": "hello", "protocol": 2}, READY]}, {})
    worker.start()
    assert "protocol 2" in str(ear.wait(state="crashed")["what"])


def test_a_worker_that_refuses_its_settings_is_not_started_again(fake: Start) -> None:
    refused = {"event": "refused", "what": "no device", "where": "--device", "remedy": "use cpu"}
    worker, ear = fake({"start": [refused, ["exit", 2]]}, {"run": [DONE]})
    worker.start()
    stopped = ear.wait(state="stopped")
    assert (stopped["what"], stopped["where"]) == ("no device", "--device")
    assert stopped["remedy"] == "use cpu"
    assert ear.told().count("worker starting") == 1
    worker.submit("{}", base=".")
    ear.wait(event="done", status="ok")


def test_a_worker_that_never_gets_ready_is_given_up(fake: Start) -> None:
    worker, ear = fake({"start": [HELLO, ["exit", 7]]})
    worker.start()
    assert "3 times" in str(ear.wait(state="stopped")["what"])
    assert ear.told().count("worker crashed") == 3
    assert ear.wait(state="crashed")["what"] == "the worker ended with exit code 7"


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    ear = Ear()
    worker = Worker(on_event=ear, command=[str(tmp_path / "nothing")])
    run = worker.submit("{}", base=".")
    ear.wait(event="done", run=run, status="failed")
    assert "cannot be started" in str(ear.wait(state="stopped")["what"])
    worker.stop()


# --- floods


def test_of_a_flood_of_steps_the_last_comes_and_the_end(fake: Start) -> None:
    worker, ear = fake({"run": [["flood", 20_000], DONE]})
    worker.submit("{}", base=".")
    ear.wait(event="done")
    steps = [event["step"] for event in ear.events if event["event"] == "step"]
    assert steps[-1] == 20_000
    assert len(steps) < 2_000


def test_steps_that_wait_give_way_to_later_ones_of_their_node() -> None:
    box = Mailbox(events=3)
    for step in range(10_000):
        box.put({"event": "step", "node": "a", "step": step})
        box.put({"event": "preview", "node": "a", "step": step})
    box.put({"event": "finished", "node": "a"})
    assert box.take() == [
        {"event": "step", "node": "a", "step": 9999},
        {"event": "preview", "node": "a", "step": 9999},
        {"event": "finished", "node": "a"},
    ]


@pytest.mark.parametrize(
    ("box", "size"), [(Mailbox(events=2), 0), (Mailbox(size=1000), 400)], ids=["number", "bytes"]
)
def test_where_nothing_may_be_dropped_the_reader_waits(box: Mailbox, size: int) -> None:
    def flood() -> None:
        for number in range(50):
            box.put({"event": "finished", "number": number}, size)

    reader = threading.Thread(target=flood)
    reader.start()
    taken: list[object] = []
    while len(taken) < 50:
        assert len(box) <= 2
        taken += [event["number"] for event in box.take()]
    reader.join()
    assert taken == list(range(50))


def test_an_event_larger_than_the_box_is_taken() -> None:
    box = Mailbox(size=10)
    box.put({"event": "finished"}, 1000)
    assert box.take() == [{"event": "finished"}]


def test_an_ear_that_fails_hears_the_next_event(
    fake: Start, caplog: pytest.LogCaptureFixture
) -> None:
    worker, ear = fake({"run": [NODE, DONE]})

    def deaf(event: Message) -> None:
        if event["event"] == "node":
            raise ValueError("no")
        ear(event)

    worker._on_event = deaf
    worker.submit("{}", base=".")
    ear.wait(event="done")
    assert "node was not taken" in caplog.text


# --- messages


def test_a_request_survives_its_line() -> None:
    request = Request(
        "run", "r", "{\n}", "/a\udcffb", "n", ("a", "b"), ("a.b=1",), "out", "node", 3
    )
    assert request.line().count(b"\n") == 1
    assert Request.read(request.line()) == request
    assert {field.name for field in dataclasses.fields(request)} == set(json.loads(request.line()))


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"{}", b'{"do": "fly"}', b'{"do": "run", "base": 1}', b'{"do": "run", "x": ""}'],
)
def test_what_is_no_request_is_not_read_as_one(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Request.read(line)


def test_what_prints_in_the_worker_does_not_reach_its_events() -> None:
    code = (
        "import os, sys; from studio.worker.wire import streams; requests, events = streams(); "
        "print('stray', flush=True); os.write(1, b'native'); events.write(b'event'); events.flush(); "
        "print(sys.stdin.read() == '', requests.read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"request", capture_output=True, check=True
    )
    assert done.stdout == b"event"
    assert done.stderr.replace(b"\r", b"") == b"stray\nnativeTrue b'request'\n"


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("studio.remote", ("torch", "diffusers", "numpy", "PIL", "PySide6", "studio.engine")),
        ("studio.worker", ("torch", "diffusers", "PySide6")),
        ("studio.cli.worker", ("torch", "diffusers", "PySide6")),
    ],
)
def test_importing_a_side_of_the_worker_stays_light(module: str, never: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {never!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_does_not_list_the_worker(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "worker" not in capsys.readouterr().out


def test_of_quick_steps_the_first_and_the_last_are_told() -> None:
    file = io.BytesIO()
    worker = cast("Served", SimpleNamespace(wire=Wire(file)))
    report = Report(worker, Request("run", "mine"))
    for step in range(1, 51):
        report(Step("the engine's", "denoise", step, 50, 0.001))
    told = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [(event["run"], event["step"]) for event in told] == [("mine", 1), ("mine", 50)]


def test_a_noisy_state_is_shown_at_the_spread_of_a_picture() -> None:
    latents = torch.linspace(-1, 1, 4 * 8 * 8).view(1, 4, 8, 8)
    plain = Levels([0.0], [0.0]).pixels(0, State({"latents": latents, "family": "starter"}))
    # a picture plus 3 times noise of its spread has sqrt(1 + 9) times its spread
    noisy = State({"latents": latents * 10**0.5, "denoised": latents, "family": "starter"})
    shown = Levels([3.0], [0.0], is_wide=True).pixels(0, noisy)
    assert shown["x_t"] == shown["x_0"] == plain["x_t"]
    assert plain["x_0"] is None


# --- the real worker


@dataclasses.dataclass(frozen=True)
class Real:
    """A worker that runs models, and what it says."""

    worker: Worker
    ear: Ear
    folder: Path

    def run(self, document: dict[str, Json], **options: object) -> list[Message]:
        """Evaluate a workflow; all that is told from then on."""
        heard = len(self.ear.events)
        run = self.worker.submit(json.dumps(document), base=self.folder, name="scene", **options)  # type: ignore[arg-type]  # as given
        self.ear.wait(after=heard, event="done", run=run)
        return self.ear.events[heard:]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    folder = tmp_path_factory.mktemp("real")
    ear = Ear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_CACHE", str(folder / "cache"))
        patch.setenv("STUDIO_MODELS", str(folder / "models"))
        worker = Worker(["--threads", "1", "--device", "cpu"], ear)
        worker.start()
        ear.wait(state="ready")
        yield Real(worker, ear, folder)
        worker.stop()


def of(events: list[Message], kind: str, node: str = "") -> list[Message]:
    """The events of a kind, and of a node."""
    return [event for event in events if event["event"] == kind and node in ("", event.get("node"))]


def pixels(rgb: object, width: object, height: object) -> Image.Image:
    """A picture out of an event."""
    assert isinstance(width, int)
    assert isinstance(height, int)
    return Image.frombytes("RGB", (width, height), base64.b64decode(str(rgb)))


def distance(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures, of 255."""
    bands = ImageStat.Stat(ImageChops.difference(one, other)).mean
    return sum(bands) / len(bands)


def test_a_run_paints_and_shows_what_it_does(real: Real) -> None:
    events = real.run(SCENE)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "started"
    assert kinds[-1] == "done"
    assert events[-1]["status"] == "ok"
    assert [event["step"] for event in of(events, "step")][-1] == 3
    assert [event["step"] for event in of(events, "preview")][-1] == 3
    (decoded,) = of(events, "picture", "decode")
    (saved,) = of(events, "picture", "save")
    path = Path(str(saved["path"]))
    assert path.parent == real.folder / "output"
    assert events[-1]["files"] == [
        {"node": "save", "path": str(path), "pixels_sha256": saved["pixels_sha256"]}
    ]
    with Image.open(path) as opened:
        for shown in (decoded, saved):
            small = pixels(shown["rgb"], shown["width"], shown["height"])
            assert small.size == opened.size
            assert small.tobytes() == opened.tobytes()


def test_a_picture_of_the_editor_costs_the_command_line_nothing(
    real: Real, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real.run(SCENE)
    monkeypatch.setenv("STUDIO_CACHE", str(real.folder / "cache"))
    file = write(real.folder / "scene.json", SCENE)
    assert main(["plan", str(file), "--threads", "1", "--device", "cpu", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["model_calls"] == 0
    assert planned["nodes"]["save"]["status"] == "cached"


def test_a_plan_is_answered_beside_a_run_and_a_cancelled_run_resumes(real: Real) -> None:
    long = with_params(SCENE, "scheduler", steps=500)
    run = real.worker.submit(json.dumps(long), base=real.folder)
    real.ear.wait(event="step", run=run)
    request = real.worker.plan(json.dumps(long), base=real.folder)
    planned = real.ear.wait(event="plan", request=request)
    assert planned["problems"] == []
    pid = real.worker.pid
    assert not any(event["event"] == "done" and event["run"] == run for event in real.ear.events)
    real.worker.cancel()
    assert real.ear.wait(event="done", run=run)["status"] == "cancelled"
    assert real.worker.pid == pid
    request = real.worker.plan(json.dumps(long), base=real.folder)
    nodes = real.ear.wait(event="plan", request=request)["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["denoise"]["status"] == "resumes"
    assert nodes["denoise"]["from_step"] > 0


def test_a_trajectory_has_the_state_before_the_first_step_and_after_each(real: Real) -> None:
    real.run(SCENE)
    request = real.worker.trajectory(json.dumps(SCENE), "denoise", base=real.folder)
    last = real.ear.wait(event="state", request=request, step=3)
    told = real.ear.wait(event="trajectory", request=request)
    assert (told["steps"], told["stored"], told["pictures"]) == (3, [0, 1, 2, 3], 1)
    assert (told["begin"], told["total"], told["calls"]) == (0, 3, [0, 1, 2, 3])
    sigmas = told["sigmas"]
    assert isinstance(sigmas, list)
    assert sorted(sigmas, reverse=True) == sigmas
    # its DDIM ends at the picture itself
    assert sigmas[-1] == 0
    first = real.ear.wait(event="state", request=request, step=0)
    assert first["x_0"] is None
    # 128 px are 16 latents a side; in the end hardly more is left than the prediction
    begin, end, predicted = (
        pixels(rgb, 16, 16) for rgb in (first["x_t"], last["x_t"], last["x_0"])
    )
    assert distance(end, predicted) < 5 < 30 < distance(begin, predicted)


def test_what_a_training_measured_is_told_again_from_what_is_stored(real: Real) -> None:
    # tests of the training itself have how long its curves are
    nodes: dict[str, tuple[str, dict[str, Json], dict[str, Json]]] = {
        "data": ("scene_painter", {"size": 16, "count": 8, "style": "flat"}, {}),
        "unet": ("new_unet", {"channels": [8, 16], "attention": 1, "head_width": 8}, {}),
        "train": (
            "train_diffusion",
            {"steps": 5, "batch": 2, "samples": 1, "sample_steps": 2, "checkpoint_every": 2},
            {"dataset": "data.dataset", "network": "unet.network"},
        ),
    }
    document: dict[str, Json] = {
        "format": "studio.workflow",
        "version": 1,
        "nodes": {
            name: {"type": type_id, "version": 1, "params": params, "inputs": inputs}
            for name, (type_id, params, inputs) in nodes.items()
        },
    }

    def told() -> Message:
        request = real.worker.measures(json.dumps(document), "train", base=real.folder)
        return real.ear.wait(event="measures", request=request)

    before = told()
    assert (before["series"], before["figures"], before["problems"]) == ({}, {}, [])
    events = real.run(document, targets=["train"])
    after = told()
    (began,) = of(events, "node", "train")
    assert (after["key"], after["steps"]) == (began["key"], 5)
    losses = [event["values"]["loss"] for event in of(events, "measured", "train")]  # type: ignore[index]  # a dict
    series = after["series"]
    assert isinstance(series, dict)
    assert series["loss"] == {"steps": [1, 2, 3, 4, 5], "values": pytest.approx(losses, rel=1e-5)}
    assert series.keys() == {"loss", "rate", "gradient"}
    figures = after["figures"]
    assert isinstance(figures, dict)
    assert figures["loss of the last steps"] == pytest.approx(sum(losses) / 5)
    request = real.worker.measures(json.dumps(document), "unet", base=real.folder)
    problems = real.ear.wait(event="measures", request=request)["problems"]
    assert isinstance(problems, list)
    assert [problem["what"] for problem in problems] == ["is no training"]


def test_a_schedule_is_worked_out_for_plans_to_know(real: Real) -> None:
    fresh = with_params(SCENE, "scheduler", steps=37)

    def planned() -> object:
        request = real.worker.plan(json.dumps(fresh), base=real.folder)
        nodes = real.ear.wait(event="plan", request=request)["nodes"]
        assert isinstance(nodes, dict)
        return nodes["denoise"]["key"]

    # a loop whose schedule nobody has worked out has a placeholder for a key
    before = planned()
    request = real.worker.describe(json.dumps(fresh), ["scheduler"], base=real.folder)
    told = real.ear.wait(event="described", request=request)
    assert (told["nodes"], told["problems"]) == (["scheduler"], [])
    assert planned() != before
    request = real.worker.describe(json.dumps(fresh), ["nowhere"], base=real.folder)
    assert real.ear.wait(event="described", request=request)["problems"]


def test_looking_gives_the_whole_picture_as_a_file(real: Real) -> None:
    (saved,) = of(real.run(SCENE), "picture", "save")
    request = real.worker.look(json.dumps(SCENE), "decode", base=real.folder)
    assert real.ear.wait(event="look", request=request)["count"] == 1
    shown = real.ear.wait(event="picture", request=request)
    with (
        Image.open(str(shown["path"])) as looked,
        Image.open(str(saved["path"])) as opened,
    ):
        assert looked.tobytes() == opened.tobytes()


def test_a_preview_node_is_shown_small_and_whole_without_being_saved(real: Real) -> None:
    paint(real.folder / "in.png", size=(600, 300))
    shown = workflow(
        load=node("load_image", {"file": "in.png"}), show=node("preview", image="load.image")
    )
    events = real.run(shown, output=real.folder / "never")
    (picture,) = of(events, "picture", "show")
    assert (picture["width"], picture["height"]) == (256, 128)
    assert (picture["full_width"], picture["full_height"], picture["is_saved"]) == (600, 300, False)
    with Image.open(io.BytesIO(Path(str(picture["path"])).read_bytes())) as opened:
        assert opened.size == (600, 300)
    assert not (real.folder / "never").exists()


def test_errors_come_as_data_with_their_node(real: Real) -> None:
    events = real.run(with_params(COPY, "load", file="gone.png"))
    (failed,) = of(events, "failed")
    assert (failed["node"], failed["where"]) == ("load", "load.file")
    assert "gone.png" in str(failed["what"])
    assert failed["remedy"]
    assert events[-1]["status"] == "failed"
    request = real.worker.plan(
        json.dumps(with_params(COPY, "load", file="gone.png")), base=real.folder
    )
    problems = real.ear.wait(event="plan", request=request)["problems"]
    assert isinstance(problems, list)
    assert [problem["node"] for problem in problems] == ["load"]


def test_what_is_no_workflow_fails_and_the_worker_goes_on(real: Real) -> None:
    pid = real.worker.pid
    run = real.worker.submit("{", base=real.folder)
    assert real.ear.wait(event="done", run=run)["status"] == "failed"
    assert real.ear.wait(event="failed", run=run)["what"]
    assert real.run(SCENE)[-1]["status"] == "ok"
    assert real.worker.pid == pid


def test_after_a_kill_in_mid_run_the_same_run_would_resume(real: Real) -> None:
    long = json.dumps(with_params(SCENE, "scheduler", steps=400))
    heard = len(real.ear.events)
    run = real.worker.submit(long, base=real.folder)
    while int(str(real.ear.wait(after=heard, event="step", run=run)["step"])) < 12:
        heard += 1
    assert real.worker.pid is not None
    os.kill(real.worker.pid, signal.SIGKILL)
    assert real.ear.wait(event="done", run=run)["status"] == "failed"
    crash = real.ear.wait(state="crashed")
    assert (crash["node"], crash["what"]) == ("denoise", "the worker was ended by SIGKILL")
    # plans are to be had before models can run again
    real.ear.wait(after=real.ear.events.index(crash), event="hello")
    request = real.worker.plan(long, base=real.folder)
    nodes = real.ear.wait(event="plan", request=request)["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["denoise"]["status"] == "resumes"
    assert nodes["denoise"]["from_step"] > 0


# --- its parent


PARENT = """
import sys, threading
from studio.remote import Worker
def show(event):
    if event["event"] == "hello":
        print(event["pid"], flush=True)
Worker(["--cache", sys.argv[1]], show).start()
threading.Event().wait()
"""


@pytest.mark.parametrize(
    "is_deaf",
    # in C code that holds the interpreter a process reads no stdin; there the kernel has to end it
    [False, True] if sys.platform == "linux" else [False],
)
def test_the_child_of_a_killed_parent_ends(tmp_path: Path, is_deaf: bool) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.nice() == min(19, psutil.Process().nice() + NICENESS)
        if is_deaf:
            child.suspend()
        parent.kill()
    assert has_ended(child)


def has_ended(process: psutil.Process) -> bool:
    """Wait until a process of another parent has ended; nobody may have asked for its exit code."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            process.wait(0.05)
        except psutil.TimeoutExpired:
            continue
        except psutil.NoSuchProcess:
            return True
    return False


def test_the_end_of_stdin_ends_the_worker(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "studio", "worker", "--scratch", str(tmp_path / "s")]
    done = subprocess.run(
        [*command, "--cache", str(tmp_path)],
        input=b"",
        capture_output=True,
        check=True,
        timeout=LIMIT_S,
    )
    assert json.loads(done.stdout.splitlines()[0])["event"] == "hello"


def test_a_worker_on_a_device_that_is_not_there_refuses(tmp_path: Path) -> None:
    ear = Ear()
    worker = Worker(["--cache", str(tmp_path), "--device", "abacus"], ear)
    worker.start()
    stopped = ear.wait(state="stopped")
    assert "abacus" in str(stopped["what"])
    assert stopped["where"] == "--device"
    worker.stop()
