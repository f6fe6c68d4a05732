"""What the program promises, held from outside: processes, signals, the disk, and what is imported."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from studio.workflow import load

WORKFLOW = Path(__file__).parents[1] / "workflows" / "text-to-image.json"
MOST_LOST = 9
"""Steps that SIGKILL may cost: those in the writer's queue, and the one that is under way."""


@dataclass(frozen=True)
class Studio:
    """The command, with a cache of its own."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "studio", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the user's, and no display."""
        kept = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
        return {
            **kept,
            "STUDIO_CACHE": str(self.folder / "cache"),
            "STUDIO_MODELS": str(self.folder),
        }

    def run(self, *arguments: str) -> dict[str, Any]:
        """``studio run --json``; the last event."""
        done = subprocess.run(
            self.command("run", *arguments, "--json", "--output", str(self.folder / "out")),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr
        last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return last

    @contextlib.contextmanager
    def at_step(self, step: int, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
        """A run that has just reported ``step`` or the next, and which of them."""
        with subprocess.Popen(
            self.command("run", *arguments, "--json", "--output", str(self.folder / "out")),
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            events = (json.loads(line) for line in process.stdout)
            yield (
                process,
                next(e["step"] for e in events if e["event"] == "step" and e["step"] >= step),
            )

    def text(self, *arguments: str) -> str:
        """The standard output of a command."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """The command in an empty folder."""
    return Studio(tmp_path)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Studio, dict[str, Any]]:
    """The command in a folder where the text-to-image workflow has run, with the run's last event."""
    studio = Studio(tmp_path_factory.mktemp("painted"))
    return studio, studio.run(str(WORKFLOW))


def pixels(done: dict[str, Any]) -> list[str]:
    """The digests of the pictures of a run."""
    return [file["pixels_sha256"] for file in done["files"]]


def test_the_first_run_makes_twenty_calls(painted: tuple[Studio, dict[str, Any]]) -> None:
    _, done = painted
    assert (done["model_calls"], done["model_calls_saved"]) == (20, 0)
    assert {node["status"] for node in done["nodes"].values()} == {"ran"}
    assert done["nodes"]["denoise"]["steps"] == 20


def test_the_second_process_runs_nothing_and_paints_the_same(
    painted: tuple[Studio, dict[str, Any]],
) -> None:
    studio, first = painted
    again = studio.run(str(WORKFLOW))
    assert (again["model_calls"], again["model_calls_saved"]) == (0, 20)
    assert {node["status"] for node in again["nodes"].values()} == {"cached"}
    assert pixels(again) == pixels(first)
    assert again["seconds"] < 1


def _modules(program: str, environment: dict[str, str]) -> set[str]:
    """The heavy packages that a program has imported at its end."""
    probe = (
        f"import sys\n{program}\nheavy = {{'torch', 'diffusers', 'transformers', 'PySide6', 'numpy'}}\n"
        "print('\\nheavy:', *sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].removeprefix("heavy:").split())


def test_a_stored_run_and_the_commands_that_only_look_import_nothing_heavy(
    painted: tuple[Studio, dict[str, Any]],
) -> None:
    studio, _ = painted
    out = str(studio.folder / "out")
    for arguments in (
        ["run", str(WORKFLOW), "--output", out],
        ["plan", str(WORKFLOW)],
        ["plan", str(WORKFLOW), "--set", "scheduler.steps=33"],
        ["check", str(WORKFLOW)],
        ["nodes"],
    ):
        program = f"from studio.cli import main\nassert main({arguments!r}) == 0"
        assert _modules(program, studio.environment) == set(), arguments


def test_importing_the_packages_imports_nothing_heavy(studio: Studio) -> None:
    assert _modules("import studio, nodes", studio.environment) == set()


def test_a_run_never_imports_qt(studio: Studio) -> None:
    arguments = ["run", str(WORKFLOW), "--set", "scheduler.steps=1", "--output", str(studio.folder)]
    program = f"from studio.cli import main\nassert main({arguments!r}) == 0"
    assert "PySide6" not in _modules(program, studio.environment)


def test_an_edit_in_a_new_process_pays_only_the_late_steps(
    painted: tuple[Studio, dict[str, Any]], tmp_path: Path
) -> None:
    studio, _ = painted
    document = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    curve = {"points": [[0.0, 5.0], [0.6, 5.0]], "smooth": False}
    node = {"type": "guidance_curve", "version": 1, "params": curve, "inputs": {}}
    document["nodes"]["curve"] = node
    document["nodes"]["denoise"]["inputs"]["guidance_curve"] = "curve.guidance"
    file = tmp_path / "curve.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    # a curve that says what the number said changes nothing
    assert studio.run(str(file))["model_calls"] == 0
    edit = ("--set", "curve.points=[[0, 5], [0.6, 8]]")
    plan = json.loads(studio.text("plan", str(file), *edit, "--json"))
    assert plan["model_calls"] == 8
    assert plan["nodes"]["denoise"]["from_step"] == 12
    done = studio.run(str(file), *edit)
    assert done["model_calls"] == 8
    assert done["nodes"]["denoise"] | {"seconds": 0} == {
        "status": "resumed",
        "from_step": 12,
        "steps": 20,
        "seconds": 0,
    }
    uncached = studio.run(str(file), *edit, "--no-cache")
    assert uncached["model_calls"] == 20
    assert pixels(uncached) == pixels(done)


def test_interrupted_and_run_again_pays_the_rest_only(studio: Studio) -> None:
    seed = ("--set", "noise.seed=101")
    with studio.at_step(13, str(WORKFLOW), *seed) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        done = json.loads(process.stdout.read().splitlines()[-1])
    assert process.returncode == 130
    assert done["status"] == "cancelled"
    again = studio.run(str(WORKFLOW), *seed)
    assert again["nodes"]["denoise"]["from_step"] == done["model_calls"]
    assert again["model_calls"] == 20 - done["model_calls"]
    assert pixels(again) == pixels(studio.run(str(WORKFLOW), *seed, "--no-cache"))


def test_killed_and_run_again_loses_at_most_what_was_in_the_queue(studio: Studio) -> None:
    seed = ("--set", "noise.seed=102")
    with studio.at_step(13, str(WORKFLOW), *seed) as (process, step):
        process.kill()
    again = studio.run(str(WORKFLOW), *seed)
    assert again["nodes"]["denoise"]["from_step"] >= step - MOST_LOST
    assert again["model_calls"] <= 20 - step + MOST_LOST
    assert pixels(again) == pixels(studio.run(str(WORKFLOW), *seed, "--no-cache"))


def test_two_processes_share_a_cache(studio: Studio) -> None:
    seeds = [("--set", f"noise.seed={seed}", "--set", "scheduler.steps=3") for seed in (1, 1, 2)]
    running = [
        subprocess.Popen(
            studio.command("run", str(WORKFLOW), *seed, "--output", str(studio.folder / "out")),
            env=studio.environment,
            stdout=subprocess.DEVNULL,
        )
        for seed in seeds
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    for seed in seeds:
        assert studio.run(str(WORKFLOW), *seed)["model_calls"] == 0


def test_a_picture_replays_identically(painted: tuple[Studio, dict[str, Any]]) -> None:
    studio, done = painted
    assert studio.text("replay", done["files"][0]["path"]) == "identical\n"


def test_a_picture_names_its_model_by_content(painted: tuple[Studio, dict[str, Any]]) -> None:
    studio, done = painted
    digest = load(done["files"][0]["path"]).graph.node("model").params["digest"]
    shown = json.loads(studio.text("models", "show", "starter", "--json"))
    parts = "".join(f"{name} {shown['digests'][name]}\n" for name in sorted(shown["digests"]))
    assert digest == hashlib.sha256(parts.encode()).hexdigest()


@pytest.mark.slow
def test_the_first_picture_comes_in_ten_seconds_and_one_and_a_half_gigabytes(
    studio: Studio,
) -> None:
    began = time.monotonic()
    with subprocess.Popen(
        studio.command("run", str(WORKFLOW), "--output", str(studio.folder)), env=studio.environment
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert time.monotonic() - began < 10
    assert usage.ru_maxrss * 1024 < 1.5e9
