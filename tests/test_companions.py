"""The starter's companions, as they ship: each does on scenes that it never saw what it was trained for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from studio.facts import Facts
from studio.models.library import Library
from studio.models.loading import load_module
from studio.plan import key_graph
from studio.resources import resource
from studio.training.autoencoding import psnr
from studio.training.recipe import CLASSIFIER, Plan
from studio.training.task import Task
from studio.training.trainer import Trainer
from studio.values import CONTROLNET, ModelRef
from studio.workflow import load
from tests.training.tiny import TYPES, Alone, context

WORKFLOWS = Path(__file__).parents[1] / "workflows"
MOST_BYTES = 80 * 10**6


@pytest.fixture(scope="module")
def here() -> Alone:
    return Alone(Library((), Facts(None)))


def task_of(here: Alone, workflow: str) -> Task:
    """The training of a shipped workflow before its first step."""
    graph = load(WORKFLOWS / f"{workflow}.json").graph
    items = key_graph(graph, TYPES, ["train"], context())
    (chain,) = next(item for item in items if item.id == "train").chains
    plan = chain.start.spec.params["plan"]
    assert isinstance(plan, Plan)
    return Trainer(plan, here)._task


def weights_of(here: Alone, name: str, component: str) -> dict[str, Tensor]:
    """The weights of a companion, as a training names them: float32."""
    described = here.pool.library.describe(name)
    (ref,) = (ref for ref in described.refs if ref.component == component)
    assert isinstance(ref, ModelRef)
    module = load_module(here.pool.library.component(ref), device="cpu", dtype="float32")
    return {f"{component}.{key}": weight for key, weight in module.state_dict().items()}


def card(name: str) -> dict[str, float]:
    """What was measured at the end of a companion's training."""
    text = resource("companions", name, "card.json").read_text("utf-8")
    measured: dict[str, float] = json.loads(text)["measured"]
    return measured


BESIDE = {"scribble": 0.231}
"""As resources/companions/README.md says: measured beside the starter as it ships, which learned further after it."""

COMPANIONS = [
    pytest.param("classifier", CLASSIFIER, id="classifier"),
    pytest.param("scribble", CONTROLNET, id="scribble"),
    pytest.param("inpainting", "unet", id="inpainting"),
    pytest.param("upscaler", "unet", id="upscaler"),
]


@pytest.mark.parametrize(("name", "component"), COMPANIONS)
def test_its_card_says_what_it_does_on_pictures_that_it_never_saw(
    here: Alone, name: str, component: str
) -> None:
    task = task_of(here, f"train-{name}")
    with task.looking({}):
        before = task.validate(here)
    with task.looking(weights_of(here, f"starter-{name}", component)):
        after = task.validate(here)
    told = card(name)
    # the file has half of the digits
    assert after["validation"] == pytest.approx(BESIDE.get(name, told["validation"]), rel=0.02)
    # an untaught ControlNet adds nothing, an untaught inpainting network sees no surroundings
    assert after["validation"] < 0.97 * before["validation"]
    last = "accuracy_4" if name == "classifier" else "validation_4"
    is_better = after[last] > before[last] if name == "classifier" else after[last] < before[last]
    assert is_better


def steepness(pictures: Tensor) -> float:
    """The mean square of what lies between neighbours in a row: float pictures [B, 3, H, W]."""
    return float(pictures.diff(dim=3).square().mean())


def test_the_upscaler_paints_edges_that_enlarging_blurs_and_keeps_the_picture(here: Alone) -> None:
    task = task_of(here, "train-upscaler")
    with task.looking(weights_of(here, "starter-upscaler", "unet")):
        parts = torch.split(task.paint(here).float(), 256, dim=3)
    repeated, painted, whole = parts
    small = repeated[..., ::2, ::2]
    enlarged = functional.interpolate(small, scale_factor=2, mode="bicubic")
    assert 1.3 * steepness(enlarged) < steepness(painted) < 1.1 * steepness(whole)
    again = functional.avg_pool2d(painted, 2).round().to(torch.uint8)
    assert float(psnr(again, small.to(torch.uint8)).mean()) > 27


def test_all_that_ships_is_small() -> None:
    files = [path for path in resource().rglob("*") if path.suffix == ".safetensors"]
    assert len(files) > 3
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
