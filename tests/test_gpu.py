"""The loop on a GPU: an edit resumes, a run repeats, and the stock pipeline gives the same within its precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.diffusion.runtime import configure
from studio.engine import Cancel, Engine
from studio.graph import Graph
from studio.models.library import Library
from studio.models.pool import Pool
from studio.numerics import Machine, choose
from studio.plan import PlanningContext, key_graph
from studio.store import Store
from studio.training import objective
from studio.training.trainer import Trainer
from studio.values import Latents
from tests import bench
from tests.bench import text_to_image
from tests.classifiers import guided, write_classifier
from tests.diffusion.test_denoise import NAMES, with_curve, with_solver
from tests.diffusion.test_parity import COMMON, NEGATIVE, PROMPT, SEED, pipeline
from tests.training.tasks import Quiet, plan_of, tuning
from tests.training.test_classifier_training import scenes
from tests.training.tiny import Studio

pytestmark = pytest.mark.gpu

DTYPES = ("float32", "float16", "bfloat16")
TOLERANCE = {"float32": 1e-3, "float16": 0.2, "bfloat16": 0.5}


@pytest.fixture(params=DTYPES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """The first GPU in each precision."""
    chosen = choose("cuda", request.param)
    configure(chosen.numerics)
    yield chosen
    torch.cuda.empty_cache()


def run(graph: Graph, machine: Machine, store: Store) -> tuple[torch.Tensor, int]:
    """The latents and the number of model calls of a run on the machine."""
    library = Library((), bench.facts())
    context = PlanningContext(library, bench.facts(), machine.numerics, Path(), may_compute=True)
    dtype = machine.numerics.dtype

    def make_pool() -> Pool:
        return Pool(library, device=machine.device, dtype=dtype, budget_bytes=2**31)

    engine = Engine(bench.types(), store, context, make_pool, deliver=lambda *_: [])
    done = engine.run(graph, ["denoise"], lambda _: None, Cancel())
    assert done.status == "ok"
    (item,) = (one for one in key_graph(graph, bench.types(), ["denoise"], context) if one.chains)
    entry = store.get(item.key)
    assert entry is not None
    latents = entry["latents"]
    assert isinstance(latents, Latents)
    return latents.samples, done.model_calls


@pytest.mark.parametrize("name", NAMES)
def test_a_late_edit_resumes_and_equals_a_full_run_on_the_gpu(name: str, machine: Machine) -> None:
    graph = with_solver(name)
    with Store(None) as store:
        _, calls = run(graph, machine, store)
        resumed, few = run(with_curve(graph, 9.0), machine, store)
    with Store(None) as store:
        full, _ = run(with_curve(graph, 9.0), machine, store)
    assert 0 < few < calls
    # unclip, which is not made for this model, leads beyond what half precision holds
    assert torch.allclose(resumed, full, rtol=0, atol=0, equal_nan=name == "unclip")


def test_two_runs_on_the_gpu_are_equal(machine: Machine) -> None:
    found = []
    for _ in range(2):
        with Store(None) as store:
            found.append(run(with_solver("dpmpp_2m"), machine, store)[0])
    assert torch.equal(*found)


def test_the_gpu_agrees_with_the_stock_pipeline(machine: Machine) -> None:
    precision = getattr(torch, machine.numerics.dtype)
    pipe: Any = pipeline("StableDiffusionPipeline", "ddim").to(machine.device, precision)
    # drawn in float32, as ours is: in half precision a generator draws other numbers
    drawn = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(SEED))
    start = drawn.to(machine.device, precision)
    reference = pipe(**COMMON, width=128, height=128, latents=start)[0].float().cpu()
    graph = text_to_image(
        prompt={"prompt": PROMPT},
        negative={"prompt": NEGATIVE},
        noise={"seed": SEED, "scheme": "compatible", "width": 128, "height": 128},
        scheduler={"steps": 6},
    )
    with Store(None) as store:
        mine, _ = run(graph, machine, store)
    # the pipeline keeps its latents in half precision, we keep ours in float32
    assert (mine - reference).abs().max() < TOLERANCE[machine.numerics.dtype]


@pytest.fixture
def drawn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training noise as a CPU draws it, on either device."""

    def gaussian(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Any:
        return torch.randn(shape, generator=generator).to(device)

    monkeypatch.setattr(objective, "gaussian", gaussian)


@pytest.mark.usefixtures("drawn_alike")
@pytest.mark.parametrize("kind", ["train_controlnet", "train_inpainting"])
def test_companions_learn_on_a_gpu_as_on_a_cpu(kind: str, tmp_path: Path) -> None:
    with Store(None) as store:
        studio = Studio(store, tmp_path)
        plan = plan_of(studio, tuning(kind, batch=8))
        losses: dict[str, list[float]] = {}
        for device in ("cuda", "cpu"):
            ctx = Quiet(studio, device)
            trainer = Trainer(plan, ctx)
            losses[device] = [trainer.step(1e-4, ctx)["loss"] for _ in range(4)]
            assert trainer.paint(ctx).shape == (2, 3, 64, 128)
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)


@pytest.mark.usefixtures("drawn_alike")
def test_a_classifier_learns_on_a_gpu_as_on_a_cpu(tmp_path: Path) -> None:
    with Store(None) as store:
        studio = Studio(store, tmp_path)
        plan = plan_of(studio, scenes(batch=8))
        losses: dict[str, list[float]] = {}
        for device in ("cuda", "cpu"):
            ctx = Quiet(studio, device)
            trainer = Trainer(plan, ctx)
            losses[device] = [trainer.step(1e-3, ctx)["loss"] for _ in range(4)]
            assert trainer.paint(ctx).shape == (4, 3, 16, 16)
            assert 0 <= trainer.validate(ctx)["accuracy"] <= 1
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)


def test_a_classifier_guides_the_gpu_to_the_same_end_every_time(
    machine: Machine, tmp_path: Path
) -> None:
    folder = write_classifier(tmp_path / "classifier")
    graph = guided(text_to_image(scheduler={"steps": 10}), folder, strength=5.0, start=0.3)
    with Store(None) as store:
        plain, _ = run(text_to_image(scheduler={"steps": 10}), machine, store)
        late, few = run(graph, machine, store)
    with Store(None) as store:
        whole, calls = run(graph, machine, store)
    assert (few, calls) == (7, 10)
    assert torch.equal(late, whole)
    assert not torch.equal(late, plain)
