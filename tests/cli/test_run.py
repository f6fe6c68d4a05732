"""``studio run`` and ``studio plan`` as a user meets them, signals and terminals included."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from studio.cli import main
from studio.cli.progress import Bar, Silence, bar_for, duration
from studio.cli.running import evaluate
from studio.engine import Cancel, Engine
from studio.errors import Cancelled
from studio.events import (
    Done,
    Event,
    Failed,
    Finished,
    NodeReport,
    NodeStarted,
    Progress,
    Started,
    Step,
)
from studio.session import Job
from tests.cli.workflows import COPY, SCENE, node, paint, with_params, workflow, write

Captured = pytest.CaptureFixture[str]


def test_a_run_prints_the_files_that_it_wrote_and_nothing_else(capsys: Captured) -> None:
    paint(Path("in.png"))
    write(Path("w.json"), COPY)
    assert main(["run", "w.json", "--output", "out"]) == 0
    out, err = capsys.readouterr()
    (written,) = out.splitlines()
    assert Path(written).parent == Path("out")
    assert Path(written).read_bytes().startswith(b"\x89PNG")
    assert err == ""


def test_json_events_end_with_done(capsys: Captured) -> None:
    paint(Path("in.png"))
    write(Path("w.json"), COPY)
    assert main(["run", "w.json", "--json"]) == 0
    events = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "done"
    assert events[-1]["status"] == "ok"
    assert [file["node"] for file in events[-1]["files"]] == ["save"]
    assert {event["run"] for event in events} == {events[0]["run"]}


def test_a_run_that_cannot_begin_ends_its_events_with_done_as_well(capsys: Captured) -> None:
    write(Path("w.json"), COPY)  # in.png is missing
    assert main(["run", "w.json", "--json"]) == 1
    out, err = capsys.readouterr()
    failed, done = (json.loads(text) for text in out.splitlines())
    assert (failed["event"], failed["node"], failed["where"]) == ("failed", "load", "load.file")
    assert (done["event"], done["status"], done["files"]) == ("done", "failed", [])
    assert err.startswith("studio: load.file: ")


def test_a_failing_node_is_one_line(capsys: Captured) -> None:
    Path("in.png").write_bytes(b"no picture")
    write(Path("w.json"), COPY)
    assert main(["run", "w.json"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("studio: load")


@pytest.mark.parametrize("arguments", [["--debug", "run", "w.json"], ["run", "w.json", "--debug"]])
def test_debug_shows_the_traceback_of_a_failing_node(
    arguments: list[str], capsys: Captured
) -> None:
    Path("in.png").write_bytes(b"no picture")
    write(Path("w.json"), COPY)
    assert main(arguments) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_stored_picture_is_written_again_without_torch(
    painted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = painted.parent.parent
    code = (
        "import sys; from studio.cli import main; "
        f"code = main(['run', 'scene.json', '--cache', 'cache', '--output', {str(Path.cwd() / 'again')!r}]); "
        "sys.exit(code or 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).read_bytes() == painted.read_bytes()


def test_a_plan_puts_every_reason_on_its_line(painted: Path, capsys: Captured) -> None:
    folder = painted.parent.parent
    code = main(
        [
            "plan",
            str(folder / "scene.json"),
            "--cache",
            str(folder / "cache"),
            "--set",
            'prompt.prompt="two\\nlines"',
        ]
    )
    out = capsys.readouterr().out.splitlines()
    assert code == 0
    assert len(out) == len(cast("dict[str, object]", SCENE["nodes"])) + 1
    assert any(text.startswith("prompt ") and "two\\nlines" in text for text in out)


def test_a_plan_as_json_has_every_node(painted: Path, capsys: Captured) -> None:
    folder = painted.parent.parent
    assert (
        main(["plan", str(folder / "scene.json"), "--cache", str(folder / "cache"), "--json"]) == 0
    )
    planned = json.loads(capsys.readouterr().out)
    assert planned["model_calls"] == 0
    assert {name: one["status"] for name, one in planned["nodes"].items()}["denoise"] == "cached"


def test_a_picture_is_a_workflow_whose_files_may_lie_beside_its_folder(capsys: Captured) -> None:
    paint(Path("in.png"))
    write(Path("w.json"), COPY)
    assert main(["run", "w.json", "--output", "out"]) == 0
    picture = capsys.readouterr().out.strip()
    assert main(["run", picture, "--output", "again"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == Path(picture).name


# --- signals


class _Engine:
    """Does what a test says in place of nodes."""

    def __init__(self, work: Callable[[Callable[[Event], None], Cancel], None]) -> None:
        self._work = work

    def run(
        self, graph: object, targets: object, emit: Callable[[Event], None], cancel: Cancel
    ) -> Done:
        try:
            self._work(emit, cancel)
        except Cancelled:
            return Done("r", "cancelled", 0.0, 0, 0, {}, ())
        return Done("r", "ok", 0.0, 0, 0, {}, ())


def _evaluate(
    work: Callable[[Callable[[Event], None], Cancel], None],
    listen: Callable[[Event], None] = lambda event: None,
) -> Done:
    job = cast("Job", type("job", (), {"graph": None, "targets": ()}))
    return evaluate(cast("Engine", _Engine(work)), job, listen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_good_order(number: signal.Signals) -> None:
    def work(emit: object, cancel: Cancel) -> None:
        cancel.check()
        signal.raise_signal(number)
        cancel.check()
        raise AssertionError("went on")

    before = signal.getsignal(number)
    assert _evaluate(work).status == "cancelled"
    assert signal.getsignal(number) == before


def test_a_second_signal_would_end_the_process_at_once() -> None:
    def work(emit: object, cancel: Cancel) -> None:
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    assert _evaluate(work).status == "ok"


def test_a_reader_that_goes_away_stops_the_run_and_blames_no_node() -> None:
    seen: list[Event] = []

    def listen(event: Event) -> None:
        seen.append(event)
        raise BrokenPipeError

    def work(emit: Callable[[Event], None], cancel: Cancel) -> None:
        emit(Started("r", 1, 0))
        emit(Started("r", 1, 0))
        with pytest.raises(Cancelled):
            cancel.check()

    with pytest.raises(BrokenPipeError):
        _evaluate(work, listen)
    assert len(seen) == 1


def test_an_interrupted_process_says_so_in_its_last_event_and_exits_130(painted: Path) -> None:
    write(Path("w.json"), with_params(SCENE, "scheduler", steps=1000))
    process = subprocess.Popen(
        [sys.executable, "-m", "studio", "run", "w.json", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    last = ""
    for last in process.stdout:
        if json.loads(last)["event"] == "step":
            process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "")
    done = json.loads(last)
    assert (done["event"], done["status"]) == ("done", "cancelled")


# --- the bar


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def _shown(*events: Event, columns: int = 100) -> str:
    stream = io.StringIO()
    bar = Bar(stream, clock=_Clock(), columns=lambda: columns)
    for event in events:
        bar.show(event)
    return stream.getvalue().split("\r\x1b[K")[-1]


def test_the_bar_shows_node_step_time_left_and_what_was_reused() -> None:
    text = _shown(
        Started("r", 7, 10),
        Finished("r", "model", "ran", 0, 0, 0.0),
        NodeStarted("r", "denoise", 4, 20, "k"),
        Step("r", "denoise", 5, 20, 2.0),
    )
    assert text == "2/7 denoise [======                  ] 5/20 30 s left, 4 steps reused"


def test_the_time_left_ignores_the_first_step_which_loads_the_model() -> None:
    steps = [Step("r", "d", 1, 10, 9.0), Step("r", "d", 2, 10, 1.0)]
    assert "2/10 8.0 s left" in _shown(NodeStarted("r", "d", 0, 10, "k"), *steps)


def test_the_time_left_ignores_single_slow_steps() -> None:
    steps = [
        Step("r", "d", i, 10, seconds) for i, seconds in enumerate([9.0, 1.0, 1.0, 8.0, 1.0], 1)
    ]
    assert "5/10 5.0 s left" in _shown(NodeStarted("r", "d", 0, 10, "k"), *steps)


def test_fast_steps_are_drawn_now_and_then_but_the_last_always() -> None:
    stream = io.StringIO()
    bar = Bar(stream, clock=lambda: 1.0, columns=lambda: 100)
    for step in range(1, 101):
        bar.show(Step("r", "d", step, 100, 0.001))
    assert stream.getvalue().count("\r") == 2
    assert "100/100" in stream.getvalue()


def test_the_bar_never_wraps() -> None:
    assert len(_shown(Progress("r", "a" * 50, 1, 3), columns=30)) == 29


def test_the_bar_leaves_a_summary() -> None:
    reports = {
        "model": NodeReport("cached", 0, 0, 0.0),
        "denoise": NodeReport("resumed", 8, 20, 3.0),
        "save": NodeReport("ran", 0, 0, 0.1),
    }
    text = _shown(NodeStarted("r", "save", 0, 0, "k"), Done("r", "ok", 12.3, 12, 8, reports, ()))
    assert text == "done in 12 s: nodes 1 ran, 1 resumed, 1 cached; 12 model calls (8 saved)\n"


def test_a_failure_clears_the_line_for_its_message() -> None:
    assert (
        _shown(NodeStarted("r", "save", 0, 0, "k"), Failed("r", "save", "is odd", "save", "")) == ""
    )


def test_a_note_from_a_signal_stands_beside_the_progress() -> None:
    stream = io.StringIO()
    bar = Bar(stream, clock=_Clock(), columns=lambda: 100)
    bar.note("stopping")
    bar.show(Step("r", "d", 1, 2, 1.0))
    assert "stopping d [" in stream.getvalue()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(bar_for(_Terminal()), Bar)
    assert isinstance(bar_for(io.StringIO()), Silence)
    assert isinstance(bar_for(None), Silence)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(bar_for(_Terminal()), Silence)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1:00"), (185, "3:05"), (3725, "1:02:05")],
)  # fmt: skip
def test_durations_are_written_as_people_read_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_workflow_without_outputs_needs_a_target(capsys: Captured) -> None:
    write(Path("w.json"), workflow(noise=node("noise_source")))
    assert main(["run", "w.json"]) == 2
    assert "--target" in capsys.readouterr().err
