"""What computing nodes are given, in small: the starter's VAE loaded once, and a stop button."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
import torch
from diffusers import AutoencoderKL

from studio.errors import Cancelled
from studio.resources import resource
from studio.values import ModelRef, Vae

if TYPE_CHECKING:
    from studio.models.pool import Pool

STARTER_VAE = Vae(ModelRef("starter", "vae", "0" * 64), "starter", 4, 8)


@dataclass
class OneModel:
    """A pool that holds one loaded module."""

    module: torch.nn.Module

    @contextmanager
    def use(self, ref: ModelRef) -> Iterator[torch.nn.Module]:
        yield self.module


@dataclass
class Bench:
    """A context outside any engine; ``checks_left`` counts down to the user's stop."""

    models: OneModel
    scratch: dict[str, object] = field(default_factory=dict)
    checks_left: int = -1
    reports: list[tuple[int, int]] = field(default_factory=list)
    measured: list[dict[str, float]] = field(default_factory=list)

    @property
    def pool(self) -> Pool:
        return cast("Pool", self.models)

    def check(self) -> None:
        if self.checks_left == 0:
            raise Cancelled
        self.checks_left -= 1

    def progress(self, done: int, total: int) -> None:
        self.reports.append((done, total))

    def measure(self, values: Mapping[str, float]) -> None:
        self.measured.append(dict(values))


@pytest.fixture(scope="session")
def starter_vae() -> AutoencoderKL:
    vae = AutoencoderKL.from_pretrained(
        resource("starter", "vae"), torch_dtype=torch.float32, local_files_only=True
    )
    return vae.eval()


@pytest.fixture
def bench(starter_vae: AutoencoderKL) -> Bench:
    return Bench(OneModel(starter_vae))
