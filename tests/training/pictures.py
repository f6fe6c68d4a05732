"""Folders of pictures for the tests of data sets."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from studio.facts import Facts
from studio.plan import PlanningContext
from studio.values import PictureFiles
from tests.test_plan import NUMERICS, NoModels

COLORS = ("red", "lime", "blue", "white")


def fill(folder: Path, *, count: int = 4, size: tuple[int, int] = (40, 32)) -> Path:
    """Plain pictures a0.png … with captions beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        color = COLORS[number % len(COLORS)]
        Image.new("RGB", size, color).save(folder / f"a{number}.png")
        (folder / f"a{number}.txt").write_text(f"a {color} wall\n", encoding="utf-8")
    return folder


def planning(facts: Facts | None = None) -> PlanningContext:
    """What a describing node is given."""
    return PlanningContext(NoModels(), facts or Facts(None), NUMERICS, Path())


def files(pictures: object) -> PictureFiles:
    """The pictures of a data set that was read from a folder."""
    assert isinstance(pictures, PictureFiles)
    return pictures
