"""Models on disk that several tests of the numerics share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from diffusers import ControlNetModel
from PIL import Image as Pillow

from tests.controlnets import starter_controlnet, write_picture


@dataclass(frozen=True)
class Controlling:
    """Two ControlNets of the starter, in memory and on disk, and pictures: two of one size, the second in another."""

    modules: tuple[ControlNetModel, ControlNetModel]
    folders: tuple[Path, Path]
    pictures: tuple[Path, Path]
    large: Path


@pytest.fixture(scope="session")
def controlling(tmp_path_factory: pytest.TempPathFactory) -> Controlling:
    place = tmp_path_factory.mktemp("controls")
    modules = (starter_controlnet(11), starter_controlnet(12))
    folders = (place / "one", place / "two")
    for module, folder in zip(modules, folders, strict=True):
        module.save_pretrained(folder)
    pictures = (write_picture(place / "one.png"), write_picture(place / "two.png", 45))
    large = place / "large.png"
    with Pillow.open(pictures[1]) as small:
        small.resize((200, 168), Pillow.Resampling.BICUBIC).save(large)
    return Controlling(modules, folders, pictures, large)
