"""ControlNets against the stock pipelines, and what an edit of a control costs."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image as Pillow

from studio.diffusion.windows import SOLVERS
from studio.engine import Cancel
from studio.errors import GraphError, ModelError, NodeError
from studio.graph import Graph, Json
from studio.manifest import manifest
from studio.models.library import Library
from studio.resources import resource
from studio.store import Store
from studio.validation import active
from tests.bench import (
    MACHINE,
    Bench,
    facts,
    fresh,
    linked,
    text_to_image,
    types,
    with_node,
)
from tests.controlnets import controlled
from tests.diffusion.conftest import Controlling
from tests.diffusion.test_parity import COMMON, SEED, components, graph_of
from tests.models.originals import write_header
from tests.starter import WIDTH


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The reference may warn about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench over a store in memory."""
    with Store(None) as store:
        yield Bench(store)


# --- against the stock pipelines


def reference(name: str, controlnet: object, image: object, **asked: object) -> torch.Tensor:
    """The latents of the stock pipeline with a solver by our name."""
    solver, overrides = SOLVERS[name]
    parts = components()
    scheduler = getattr(diffusers, solver).from_config({**parts["scheduler"].config, **overrides})
    pipe: Any = diffusers.StableDiffusionControlNetPipeline(
        **{**parts, "scheduler": scheduler, "controlnet": controlnet}
    )
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    given = {**COMMON, **asked, "image": image, "width": 128, "height": 128}
    latents: torch.Tensor = pipe(**given, generator=generator)[0]
    return latents


@pytest.mark.parametrize("name", ["ddim", "euler_ancestral", "dpmpp_2m", "heun"])
def test_one_control_is_the_stock_pipeline_to_the_last_bit(
    name: str, controlling: Controlling
) -> None:
    graph = graph_of(name, "compatible")
    with Pillow.open(controlling.pictures[0]) as image:
        theirs = reference(name, controlling.modules[0], image, controlnet_conditioning_scale=0.7)
    ours = fresh(controlled(graph, controlling.folders[0], controlling.pictures[0], strength=0.7))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, fresh(graph))


@pytest.mark.parametrize(
    "ends",
    # the second joins the first, or takes over from it
    [(1.0, 1.0), (0.5, 1.0)],
)
def test_two_controls_are_the_stock_pipeline_to_the_last_bit(
    ends: tuple[float, float], controlling: Controlling
) -> None:
    one, two = controlling.folders
    files = (controlling.pictures[0], controlling.large)
    graph = graph_of("ddim", "compatible")
    graph = controlled(graph, one, files[0], strength=0.5, end=ends[0])
    graph = controlled(graph, two, files[1], "second", strength=1.5, start=0.5, end=ends[1])
    with Pillow.open(files[0]) as small, Pillow.open(files[1]) as large:
        theirs = reference(
            "ddim",
            list(controlling.modules),
            [small, large],
            controlnet_conditioning_scale=[0.5, 1.5],
            control_guidance_start=[0.0, 0.5],
            control_guidance_end=list(ends),
        )
    assert torch.equal(fresh(graph), theirs)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    # Heun passes 11 times in 6 steps, and both count the passes
    [("ddim", 0.0, 0.5), ("ddim", 2 / 6, 5 / 6), ("heun", 3 / 11, 6 / 11)],
)
def test_a_window_is_the_stock_pipelines_to_the_last_bit(
    name: str, start: float, end: float, controlling: Controlling
) -> None:
    with Pillow.open(controlling.pictures[0]) as image:
        theirs = reference(
            name,
            controlling.modules[0],
            image,
            control_guidance_start=start,
            control_guidance_end=end,
        )
    folder, file = controlling.folders[0], controlling.pictures[0]
    graph = controlled(graph_of(name, "compatible"), folder, file, start=start, end=end)
    assert torch.equal(fresh(graph), theirs)


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_a_picture_of_another_size_is_resized_as_the_stock_pipeline_does(
    guidance: float, controlling: Controlling
) -> None:
    with Pillow.open(controlling.large) as image:
        theirs = reference("ddim", controlling.modules[0], image, guidance_scale=guidance)
    graph = graph_of("ddim", "compatible").set("denoise", guidance=guidance)
    ours = fresh(controlled(graph, controlling.folders[0], controlling.large))
    assert torch.equal(ours, theirs)


# --- edits

TEN = text_to_image(scheduler={"steps": 10})


def _resumes(before: Graph, after: Graph, bench: Bench) -> int:
    """The step at which an edit resumes; asserts that it gives what a full run gives."""
    bench.run(before)
    latents, done = bench.latents(after)
    assert torch.equal(latents, fresh(after))
    return done.nodes["denoise"].from_step


@pytest.mark.parametrize(
    ("before", "after", "resumes"),
    [
        ({"end": 0.6}, {"end": 0.8}, 6),
        ({"end": 0.8}, {"end": 0.6}, 6),
        ({"start": 0.3}, {"start": 0.5}, 3),
        ({"start": 0.7}, {"start": 0.7, "strength": 0.5}, 7),
        ({"strength": 1.0}, {"strength": 0.5}, 0),
        # which steps act is what counts: 6 of 10 begin before either
        ({"end": 0.55}, {"end": 0.6}, 10),
    ],
)
def test_an_edit_of_a_control_resumes_where_it_first_matters(
    before: dict[str, Json],
    after: dict[str, Json],
    resumes: int,
    bench: Bench,
    controlling: Controlling,
) -> None:
    graph = controlled(TEN, controlling.folders[0], controlling.pictures[0])
    old, new = (graph.set("control", **params) for params in (before, after))
    assert _resumes(old, new, bench) == resumes


@pytest.mark.parametrize(
    ("params", "resumes"),
    [({"strength": 0.0}, 10), ({"start": 0.91}, 10), ({"start": 0.9}, 9), ({"end": 0.1}, 0)],
)
def test_another_control_picture_costs_the_steps_that_read_it(
    params: dict[str, Json], resumes: int, bench: Bench, controlling: Controlling
) -> None:
    before, after = (
        controlled(TEN, controlling.folders[0], picture).set("control", **params)
        for picture in controlling.pictures
    )
    assert _resumes(before, after, bench) == resumes


def test_a_control_that_never_acts_is_none(bench: Bench, controlling: Controlling) -> None:
    folder, file = controlling.folders[0], controlling.pictures[0]
    bench.run(TEN)
    assert bench.run(controlled(TEN, folder, file, strength=0.0)).model_calls == 0


def test_the_late_one_of_two_controls_leaves_the_steps_before_it(
    bench: Bench, controlling: Controlling
) -> None:
    one, two = controlling.folders
    graph = controlled(TEN, one, controlling.pictures[0])
    before = controlled(graph, two, controlling.pictures[0], "second", start=0.8)
    after = before.set("second", strength=0.5)
    assert _resumes(before, after, bench) == 8


def test_a_bypassed_control_leaves_the_others(bench: Bench, controlling: Controlling) -> None:
    folder, file = controlling.folders[0], controlling.pictures[0]
    alone = controlled(TEN, folder, file)
    both = controlled(alone, controlling.folders[1], file, "second")
    bench.run(alone)
    bypassed = active(both.set_mode("second", "bypass"), types()).graph
    assert bench.run(bypassed).model_calls == 0
    assert bench.run(both).model_calls == 10


def test_each_picture_of_a_batch_has_its_own_control_picture(
    bench: Bench, controlling: Controlling
) -> None:
    graph = controlled(TEN, controlling.folders[0], controlling.pictures[0])
    for name, file in zip(("first", "last"), controlling.pictures, strict=True):
        graph = with_node(graph, f"{name}_file", "load_image", {}, file=str(file))
        sources = {"vae": "model.vae", "image": f"{name}_file.image"}
        graph = with_node(graph, name, "vae_encode", sources)
    sources = {"latents": "first.latents", "other": "last.latents"}
    graph = with_node(graph, "both", "latent_batch", sources)
    for name, latents in (("two", "both"), ("one", "last")):
        sources = {"vae": "model.vae", "latents": f"{latents}.latents"}
        graph = with_node(graph, name, "vae_decode", sources)
    each = linked(graph, "two.image", "control.image")
    batch, _ = bench.latents(each.set("noise", seed=7, batch=2))
    second = linked(graph, "one.image", "control.image").set("noise", seed=8)
    assert torch.equal(batch[1:], fresh(second))
    # of the same batch of pictures, the first is for the first seed: not what the second seed had before
    alone, done = bench.latents(each.set("noise", seed=8, batch=1))
    assert done.model_calls == 10
    assert not torch.equal(batch[1:], alone)


class StopAt(Cancel):
    """Stops at a check, by its number; 0 is never."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last
        self.count = 0

    def check(self) -> None:
        self.count += 1
        if self.count == self.last:
            self.set()
        super().check()


def test_a_cancel_inside_the_pass_of_a_controlnet_leaves_the_next_one_exact(
    bench: Bench, controlling: Controlling
) -> None:
    graph = controlled(TEN, controlling.folders[0], controlling.pictures[0])
    counts = []
    for one in (TEN, graph):
        bench.run(one.set("denoise", end_step=1))
        never = StopAt(0)
        bench.run(one.set("denoise", end_step=2), cancel=never)
        counts.append(never.count)
    # a ControlNet lets itself be stopped before each of its blocks
    assert counts[1] >= counts[0] + 2
    # it passes before the U-Net
    done = bench.run(graph, cancel=StopAt(counts[1] - counts[0]))
    assert (done.status, done.model_calls) == ("cancelled", 0)
    assert torch.equal(bench.latents(graph)[0], fresh(graph))


def test_the_manifest_of_a_picture_names_its_controlnets(
    bench: Bench, controlling: Controlling
) -> None:
    graph = controlled(TEN, controlling.folders[0], controlling.pictures[0])
    bench.run(graph, "save")
    keyed = bench.keyed(graph, "save")
    written = manifest(
        keyed["save"], list(keyed.values()), bench.store, MACHINE.numerics, MACHINE.device
    )
    models = written["models"]
    assert isinstance(models, dict)
    weights = controlling.folders[0]
    described = Library((), facts()).describe(str(weights)).controlnet
    assert described is not None
    assert models[f"{weights}/controlnet"] == described.ref.digest


# --- what cannot be done is said


def _with_config(folder: Path, controlling: Controlling, **fields: Json) -> Path:
    """A ControlNet whose config says something else."""
    shutil.copytree(controlling.folders[0], folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **fields}), encoding="utf-8")
    return folder


def test_a_controlnet_of_another_family_is_refused(
    tmp_path: Path, bench: Bench, controlling: Controlling
) -> None:
    text = resource("families", "sd1.json").read_text(encoding="utf-8")
    config = {**json.loads(text)["components"]["unet"], "_class_name": "ControlNetModel"}
    weights = tmp_path / "canny" / "diffusion_pytorch_model.safetensors"
    write_header(weights, {"conv_in.weight": (320, 4, 3, 3)})
    (tmp_path / "canny" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    graph = controlled(TEN, tmp_path / "canny", controlling.pictures[0])
    with pytest.raises(
        GraphError,
        match=r'denoise\.control: ".*canny" is a ControlNet for sd1, the model is starter;'
        r" load a ControlNet made for starter",
    ):
        bench.run(graph)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"in_channels": 16}, "reads latents of 16 channels, the model's have 4"),
        (
            {"conditioning_embedding_out_channels": [16, 32, 96]},
            "reads pictures at 4 px per latent, the model paints 8",
        ),
        ({"cross_attention_dim": 64}, f"reads text of width 64, the model's is {WIDTH}"),
        ({"layers_per_block": 2}, "was made for a network of other blocks than the model's"),
        (
            {"addition_embed_type": "text_time"},
            "was made for a network of other blocks than the model's",
        ),
    ],
)
def test_a_controlnet_that_does_not_fit_is_refused(
    fields: dict[str, Json], what: str, tmp_path: Path, bench: Bench, controlling: Controlling
) -> None:
    folder = _with_config(tmp_path / "net", controlling, **fields)
    # also where it never acts: one would look for the fault elsewhere later
    graph = controlled(TEN, folder, controlling.pictures[0], strength=0.0)
    with pytest.raises(GraphError, match=rf'denoise\.control: ".*net" {what}; load a ControlNet'):
        bench.run(graph)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nowhere", r'there is no model "nowhere"; there are: starter\b.*\. Or put'),
        ("starter", r'"starter" is no ControlNet; name a ControlNet as'),
        ("", "names none; name a ControlNet as"),
    ],
)
def test_a_name_that_is_no_controlnets_is_refused(
    name: str, what: str, bench: Bench, controlling: Controlling
) -> None:
    graph = controlled(TEN, controlling.folders[0], controlling.pictures[0])
    with pytest.raises(ModelError, match=rf"control_net\.model: {what}"):
        bench.run(graph.set("control_net", model=name))


def test_a_control_without_a_prompt_is_refused(bench: Bench, controlling: Controlling) -> None:
    graph = controlled(TEN, controlling.folders[0], controlling.pictures[0])
    with pytest.raises(GraphError, match=r"denoise\.positive: is not connected; a ControlNet"):
        bench.run(graph.disconnect("denoise", "positive"))


def test_an_empty_window_is_refused(bench: Bench, controlling: Controlling) -> None:
    graph = controlled(TEN, controlling.folders[0], controlling.pictures[0], start=0.5, end=0.5)
    with pytest.raises(NodeError, match=r"control: the window from 0\.5 to 0\.5 is empty; let"):
        bench.run(graph)
