"""The shipped workflows: each is canonical, sound and runs on the starter model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from studio.cli import main
from studio.facts import Facts
from studio.graph import NodeId
from studio.models.library import Library
from studio.registry import load as load_registry
from studio.workflow import check, complete, dumps, load

WORKFLOWS = sorted((Path(__file__).parents[1] / "workflows").glob("*.json"))
TRAINING = [path for path in WORKFLOWS if path.stem.startswith("train-")]
PAINTING = [path for path in WORKFLOWS if path not in TRAINING]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_shipped_workflow_is_canonical_complete_and_sound(path: Path) -> None:
    types = load_registry(is_safe=True).types
    workflow = load(path)
    assert dumps(complete(workflow, types)) == path.read_text(encoding="utf-8")
    assert check(workflow, types) == []
    assert workflow.meta["title"]
    positions = workflow.view["nodes"]
    assert isinstance(positions, dict)
    assert set(workflow.graph.nodes) == set(positions)


@pytest.mark.parametrize("path", PAINTING, ids=lambda path: path.stem)
def test_a_shipped_workflow_paints_a_picture_with_its_workflow_inside(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUDIO_MODELS", str(tmp_path / "models"))
    fewer = ["--set", "scheduler.steps=4"]
    assert main(["run", str(path), *fewer, "--output", str(tmp_path / "out"), "--json"]) == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert done["status"] == "ok"
    (file,) = done["files"]
    with Image.open(file["path"]) as picture:
        picture.load()
        side = 256 if path.stem == "cascade" else 128
        assert picture.size == (side, side)
        # neither blank nor noise: neighbours are alike, the whole is not
        assert len(picture.getcolors(side * side) or []) > 500
    again = load(file["path"])
    assert again.graph.node("scheduler").params["steps"] == 4


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_a_shipped_training_makes_a_model_and_shows_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUDIO_MODELS", str(tmp_path / "models"))
    fewer = ["--set", "train.steps=4", "--set", "train.sample_every=2", "--set", "train.batch=2"]
    fewer += ["--set", "train.checkpoint_every=2", "--set", "data.count=20"]
    nodes = load(path).graph.nodes
    if "sample_steps" in nodes[NodeId("train")].params:
        fewer += ["--set", "train.sample_steps=2"]
    if "warmup" in nodes[NodeId("train")].params:
        # two looks that are alike would be one frame
        fewer += ["--set", "train.warmup=1"]
    if "unseen" in nodes:
        fewer += ["--set", "unseen.count=4"]
    has_film = "scheduler" in nodes
    if has_film:
        fewer += ["--set", "scheduler.steps=3", "--set", "noise.batch=2"]
    assert main(["run", str(path), *fewer, "--output", str(tmp_path / "out"), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    done = events[-1]
    assert done["status"] == "ok"
    assert done["nodes"]["train"]["steps"] == 4
    measured = [event["values"] for event in events if event["event"] == "measured"]
    losses = [values["loss"] for values in measured if "loss" in values]
    assert len(losses) == 4
    files = {file["node"]: Path(file["path"]) for file in done["files"]}
    name = str(nodes[NodeId("model")].params["name"])
    assert files["model"].with_suffix("") == tmp_path / "models" / name
    made = Library((tmp_path / "models",), Facts(None)).describe(name)
    assert made.refs
    if has_film:
        with Image.open(files["film"]) as film:
            assert film.n_frames == 4  # type: ignore[attr-defined]  # a GIF's
    with Image.open(files["progress"]) as progress:
        assert progress.n_frames == 2  # type: ignore[attr-defined]  # a GIF's
    # the same once more costs nothing and overwrites nothing
    assert main(["run", str(path), *fewer, "--output", str(tmp_path / "out"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["model_calls"] == 0
    assert again["files"] == done["files"]


_PLANNED = """
import sys
from studio.cli import main
code = main(["plan", sys.argv[1]])
heavy = {"torch", "diffusers", "transformers", "numpy", "PIL"} & set(sys.modules)
print(code, sorted(heavy))
"""


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_a_shipped_training_is_planned_without_torch(path: Path, tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _PLANNED, str(path)],
        env={**os.environ, "STUDIO_CACHE": str(tmp_path), "STUDIO_MODELS": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert found.stdout.splitlines()[-1].startswith("0 ")
    assert "torch" not in found.stdout.splitlines()[-1]
