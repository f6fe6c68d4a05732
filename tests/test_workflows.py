"""The shipped workflows: each is canonical, sound and runs on the starter model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from studio.cli import main
from studio.registry import load as load_registry
from studio.workflow import check, complete, dumps, load

WORKFLOWS = sorted((Path(__file__).parents[1] / "workflows").glob("*.json"))


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


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_shipped_workflow_paints_a_picture_with_its_workflow_inside(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDIO_CACHE", str(tmp_path / "cache"))
    fewer = ["--set", "scheduler.steps=4"]
    assert main(["run", str(path), *fewer, "--output", str(tmp_path / "out"), "--json"]) == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert done["status"] == "ok"
    (file,) = done["files"]
    with Image.open(file["path"]) as picture:
        picture.load()
        assert picture.size == (128, 128)
        # neither blank nor noise: neighbours are alike, the whole is not
        assert len(picture.getcolors(128 * 128) or []) > 500
    again = load(file["path"])
    assert again.graph.node("scheduler").params["steps"] == 4
