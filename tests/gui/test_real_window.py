"""The program on a real X screen, with the real worker and model: driven by xdotool, judged by what lies outside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from studio.pictures import MANIFEST, read_text
from studio.workflow import load
from tests.gui.desk import TEXT_TO_IMAGE
from tests.gui.x_screen import SIZE, Screen, screen

FIRST_GUIDED = 12
"""Of 20 steps, the first that the guidance interval of the workflow reaches."""


@dataclass(frozen=True)
class Home:
    """What lies on the disk of the person at the screen."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Everything that is read and written lies in the folder."""
        run = self.folder / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        return {
            "HOME": str(self.folder),
            "STUDIO_CACHE": str(self.folder / "cache"),
            "STUDIO_MODELS": str(self.folder / "models"),
            "XDG_RUNTIME_DIR": str(run),
            "OMP_NUM_THREADS": "1",
        }

    def workflow(self) -> Path:
        """Text to image with guidance in the last steps only, by a node of its own."""
        text = json.loads(TEXT_TO_IMAGE.read_text(encoding="utf-8"))
        text["nodes"]["guide"] = {
            "type": "guidance_interval",
            "version": 1,
            "params": {"value": 5.0, "start": FIRST_GUIDED / 20, "end": 1.0},
            "inputs": {},
        }
        text["nodes"]["denoise"]["inputs"]["guidance_curve"] = "guide.guidance"
        path = self.folder / "text-to-image.json"
        path.write_text(json.dumps(text), encoding="utf-8")
        return path

    def pictures(self) -> dict[Path, int]:
        """The saved pictures, and a number that changes when one is written again."""
        return {path: path.stat().st_ino for path in self.folder.glob("Pictures/Emulsion/*.png")}

    def states(self) -> int:
        """How many results and states of denoising the store holds."""
        return sum(1 for _ in self.folder.glob("cache/*/entries/*/*.safetensors"))

    def unsaved(self) -> list[str]:
        """What the journal of unsaved work holds."""
        journal = self.folder.glob(".local/share/emulsion/recovery/*/*.json")
        return [path.read_text(encoding="utf-8") for path in journal]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Screen]:
    with screen(tmp_path) as made:
        yield made


def steps_of(picture: Path) -> list[str]:
    """The digests of the states that a picture came by."""
    manifest = json.loads(read_text(picture.read_bytes())[MANIFEST])
    (steps,) = manifest["nodes"]["denoise"]["steps"]
    return list(steps)


def guidance(path: Path) -> object:
    return load(path).graph.node("guide").params["value"]


def test_from_prompt_to_picture_and_back_on_a_real_screen(seen: Screen, home: Home) -> None:
    path = home.workflow()
    original = path.read_bytes()
    editor = seen.start([str(path)], home.environment)
    seen.focus("text-to-image.json – Emulsion")

    seen.keys("ctrl+Return")
    seen.wait(home.pictures, "picture")
    seen.rest()
    (first,) = home.pictures()
    after_first = home.states()
    assert len(steps_of(first)) == 21

    # the value of the guide, by the outline and the inspector
    seen.keys("ctrl+f")
    seen.type("guide")
    seen.keys("Return", "alt+2", "Return")
    seen.type("7")
    seen.keys("Return")
    seen.wait(lambda: any('\\"value\\": 7.0' in text for text in home.unsaved()), "unsaved edit")
    seen.keys("ctrl+Return")
    seen.wait(lambda: len(home.pictures()) == 2, "second picture")
    seen.rest()
    (second,) = home.pictures().keys() - {first}
    shared = [one == other for one, other in zip(steps_of(first), steps_of(second), strict=True)]
    # 13 states, the start among them, are those of the first picture; only the others were made
    assert shared == [True] * (FIRST_GUIDED + 1) + [False] * (20 - FIRST_GUIDED)
    results = 3  # of the nodes denoise, decode and save
    assert home.states() == after_first + (20 - FIRST_GUIDED) + results
    assert path.read_bytes() == original

    def brings_back(picture: Path, *keys: str) -> None:
        """The keys show a picture that was made before: it is delivered again, and nothing is computed."""
        before, states = home.pictures(), home.states()
        seen.keys(*keys)
        seen.wait(lambda: home.pictures()[picture] != before[picture], f"{picture.name} again")
        seen.rest()
        assert home.pictures().keys() == before.keys()
        assert home.states() == states

    brings_back(first, "ctrl+z")
    seen.wait(lambda: not home.unsaved(), "end of unsaved work")
    brings_back(second, "ctrl+shift+z")

    mine = home.folder / "mine.json"
    seen.keys("ctrl+shift+s")
    seen.focus("Save as")
    seen.keys("ctrl+a")
    seen.type(str(mine))
    seen.keys("Return")
    seen.focus("mine.json – Emulsion")
    assert guidance(mine) == 7.0
    assert path.read_bytes() == original

    # by mouse into the middle of the canvas, where its keys count
    seen.click(SIZE[0] // 2, SIZE[1] // 2)
    seen.keys("ctrl+f")
    seen.type("guide")
    seen.keys("Return", "m")
    seen.focus("mine.json* – Emulsion")
    seen.keys("ctrl+z")
    seen.focus("mine.json – Emulsion")
    seen.keys("m", "ctrl+s")
    seen.wait(lambda: load(mine).graph.node("guide").mode == "mute", "saved mode")
    seen.keys("ctrl+z", "ctrl+s")
    seen.wait(lambda: load(mine).graph.node("guide").mode == "normal", "saved mode")
    saved = mine.read_bytes()
    seen.keys("ctrl+q")
    assert editor.ended() == (0, "")
    assert home.unsaved() == []

    # another process finds the file, and the picture in the store
    again = seen.start([str(mine)], home.environment)
    seen.focus("mine.json – Emulsion")
    brings_back(second, "alt+r", "r")
    seen.keys("ctrl+q")
    assert again.ended() == (0, "")
    assert mine.read_bytes() == saved
    assert os.listdir(home.folder / "run") == []
