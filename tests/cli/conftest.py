"""Folders of its own for every test, and one picture that the starter model painted."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli import main
from tests.cli.workflows import SCENE, write


def point_elsewhere(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let nothing touch the user's folders, and torch use one thread."""
    patch.setenv("STUDIO_CACHE", str(folder / "cache"))
    patch.setenv("STUDIO_MODELS", str(folder / "models"))
    patch.setenv("STUDIO_THREADS", "1")
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("COLUMNS", "100")
    patch.chdir(folder)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_elsewhere(monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 3 steps; not to be changed."""
    folder = tmp_path_factory.mktemp("painted")
    with pytest.MonkeyPatch.context() as patch:
        point_elsewhere(patch, folder)
        assert main(["run", str(write(folder / "scene.json", SCENE)), "--output", "out"]) == 0
    (picture,) = (folder / "out").glob("*.png")
    return picture
