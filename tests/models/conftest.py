"""Tiny models on disk: each made once, in diffusers' layout and as single files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from studio.facts import Facts
from studio.models.library import Library
from tests.models import originals


@dataclass(frozen=True)
class Tiny:
    """A pipeline in memory and the library folder that holds it as ``folder`` and ``file``."""

    pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline
    library: Path


@pytest.fixture(scope="session")
def tiny_sd1(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    place = tmp_path_factory.mktemp("sd1")
    pipeline = originals.sd1_pipeline()
    pipeline.save_pretrained(place / "folder")
    originals.write_single(
        place / "file.safetensors", originals.sd1_weights(pipeline), originals.sd1_overlay()
    )
    return Tiny(pipeline, place)


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    place = tmp_path_factory.mktemp("sdxl")
    pipeline = originals.sdxl_pipeline()
    pipeline.save_pretrained(place / "folder")
    originals.write_single(
        place / "file.safetensors", originals.sdxl_weights(pipeline), originals.sdxl_overlay()
    )
    return Tiny(pipeline, place)


@pytest.fixture
def facts() -> Facts:
    return Facts(None)


@pytest.fixture
def library(tmp_path: Path, facts: Facts) -> Library:
    """An empty library folder, beside the bundled model."""
    folder = tmp_path / "models"
    folder.mkdir()
    return Library([folder], facts)
