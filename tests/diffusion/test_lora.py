"""LoRAs in a run: what they change, what an edit of one costs, and that nothing of one is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from studio.errors import ModelError
from studio.graph import Graph, Json
from studio.manifest import manifest
from studio.models.library import Library
from studio.models.pool import Pool
from studio.resources import resource
from studio.store import Store
from studio.values import Model, Span
from tests import loras
from tests.bench import MACHINE, Bench, facts, fresh, linked, pool, text_to_image, with_node
from tests.loras import starter_lora, starter_unet
from tests.models.originals import write_header

STEPS = 10


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return starter_lora(tmp_path_factory.mktemp("loras") / "style.safetensors")


@pytest.fixture(scope="module")
def text_style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA for the text encoder alone."""
    encoder = pool().library.describe("starter").text_encoder
    assert encoder is not None
    module = pool().get(encoder.refs[0])
    found = loras.pairs(module, ("q_proj", "v_proj"), 5)
    names = {f"text_model.{name.removeprefix('text_model.')}": pair for name, pair in found.items()}
    path = tmp_path_factory.mktemp("loras") / "words.safetensors"
    return loras.write(path, loras.tensors(names, "kohya", "text_encoder"))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Store(None) as store:
        yield Bench(store)


def plain() -> Graph:
    return text_to_image(scheduler={"steps": STEPS, "solver": "euler"})


def adapted(lora: Path, **params: Json) -> Graph:
    """Text to image with a LoRA between the model and all that uses it."""
    return with_lora(plain(), lora, "lora", **params)


def with_lora(graph: Graph, lora: Path, name: str, **params: Json) -> Graph:
    before = {
        port: str(graph.node(user).inputs[port])
        for user, port in (("denoise", "model"), ("prompt", "text_encoder"))
    }
    graph = with_node(graph, name, "load_lora", before, lora=str(lora), **params)
    graph = linked(graph, f"{name}.model", "denoise.model")
    for prompt in ("prompt", "other", "negative"):
        graph = linked(graph, f"{name}.text_encoder", f"{prompt}.text_encoder")
    return graph


def test_a_lora_acts_as_its_sum_written_into_the_model(style: Path, tmp_path: Path) -> None:
    """W + s · (alpha / r) · up · down (Hu et al. 2021), computed here and saved as a model of its own."""
    unet = starter_unet()
    with torch.no_grad():
        for name, pair in loras.pairs(unet, loras.ATTENTION).items():
            weight = unet.get_parameter(f"{name}.weight")
            weight += pair.delta(weight) * 0.7
    unet.save_pretrained(tmp_path / "merged")
    shutil.copytree(resource("starter", "scheduler"), tmp_path / "merged" / "scheduler")
    merged = with_node(plain(), "unet", "load_unet", {}, model=str(tmp_path / "merged"))
    reference = fresh(linked(merged, "unet.model", "denoise.model"))
    ours = fresh(adapted(style, strength=0.7))
    torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ours, fresh(plain()), atol=1e-2)


def test_at_strength_0_it_is_the_base_and_costs_nothing(bench: Bench, style: Path) -> None:
    base = bench.latents(plain())[0]
    again, done = bench.latents(adapted(style, strength=0.0, text_strength=0.0))
    assert done.model_calls == 0
    assert torch.equal(again, base)


def test_its_strength_scales_it(style: Path) -> None:
    base = fresh(plain())
    away = [
        float((fresh(adapted(style, strength=strength)) - base).square().mean())
        for strength in (0.1, 0.3, 0.9)
    ]
    assert away == sorted(away)
    assert away[0] > 0


def test_nothing_of_it_is_left_behind(bench: Bench, style: Path) -> None:
    base = fresh(plain())
    other = fresh(adapted(style, strength=0.5))
    assert torch.equal(fresh(plain()), base)
    assert torch.equal(fresh(adapted(style, strength=0.5)), other)


@pytest.mark.parametrize(
    ("before", "after", "resumes_at"),
    [
        ({"end": 0.5}, {"end": 0.8}, 5),
        ({"start": 0.4}, {"start": 0.7}, 4),
        ({"start": 0.6}, {"start": 0.6, "strength": -0.5}, 6),
        ({"start": 0.6}, {"strength": 0.0}, 6),
    ],
)
def test_an_edit_of_its_window_costs_the_steps_that_it_reaches(
    bench: Bench, style: Path, before: dict[str, Json], after: dict[str, Json], resumes_at: int
) -> None:
    bench.run(adapted(style, **before))
    resumed, done = bench.latents(adapted(style, **after))
    assert done.nodes["denoise"].from_step == resumes_at
    assert done.model_calls == STEPS - resumes_at
    assert torch.equal(resumed, fresh(adapted(style, **after)))


def test_several_are_summed_in_a_chain(bench: Bench, style: Path, tmp_path: Path) -> None:
    other = starter_lora(tmp_path / "other.safetensors", 4)
    both = with_lora(adapted(style, strength=0.5), other, "second", strength=0.5)
    item = bench.keyed(both, "denoise")["second"]
    model = cast("Model", (item.described or {})["model"])
    assert [one.name for one, _ in model.at(0, STEPS).patches] == [str(style), str(other)]
    assert not torch.equal(fresh(both), fresh(adapted(style, strength=0.5)))


def test_one_for_the_text_encoder_changes_the_prompts_alone(bench: Bench, text_style: Path) -> None:
    graph = adapted(text_style, strength=2.0)
    item = bench.keyed(graph, "denoise")["lora"]
    assert cast("Model", (item.described or {})["model"]).loras == ()
    assert not torch.allclose(fresh(graph), fresh(plain()), atol=1e-3)
    assert torch.equal(fresh(adapted(text_style, text_strength=0.0)), fresh(plain()))


def test_the_manifest_names_it(bench: Bench, style: Path) -> None:
    graph = adapted(style)
    bench.run(graph, "save")
    plan = list(bench.keyed(graph, "save").values())
    made = manifest(plan[-1], plan, bench.store, MACHINE.numerics, "cpu")
    models = cast("dict[str, Json]", made["models"])
    lora = Library((), facts()).describe(str(style)).lora
    assert lora is not None
    assert models[f"{style}/lora"] == lora.ref.digest


# --- the pool


def refs(style: Path, strength: float) -> tuple[Model, Model]:
    library = Library((), facts())
    base = library.describe("starter").model
    lora = library.describe(str(style)).lora
    assert base is not None
    assert lora is not None
    return base, replace(base, loras=(Span(lora, weight=strength),))


def test_one_network_serves_all_strengths(style: Path) -> None:
    small = Pool(Library((), facts()), device="cpu", dtype="float32", budget_bytes=10**9)
    base, half = refs(style, 0.5)
    plain_network = small.get(base.ref)
    weights = {name: weight.clone() for name, weight in plain_network.named_parameters()}
    assert small.get(half.at(0, 1)) is plain_network
    changed = [n for n, w in plain_network.named_parameters() if not torch.equal(w, weights[n])]
    assert changed
    assert all(name.endswith("weight") for name in changed)
    assert small.get(base.ref) is plain_network
    assert all(torch.equal(w, weights[n]) for n, w in plain_network.named_parameters())
    assert len(small.loaded()) == 1


def test_a_network_in_use_is_not_changed_under_its_user(style: Path) -> None:
    small = Pool(Library((), facts()), device="cpu", dtype="float32", budget_bytes=10**9)
    base, half = refs(style, 0.5)
    with small.use(base.ref) as network:
        before = network.get_parameter("conv_in.weight").clone()
        assert small.get(half.at(0, 1)) is not network
        assert torch.equal(network.get_parameter("conv_in.weight"), before)


def test_a_misfit_leaves_the_network_as_it_was(style: Path, tmp_path: Path) -> None:
    unet = starter_unet()
    found = loras.pairs(unet, ("to_q",))
    stranger = {"up_blocks.9.to_q": next(iter(found.values()))}
    misfit = loras.write(tmp_path / "a.safetensors", loras.tensors(stranger, "peft"))
    small = Pool(Library((), facts()), device="cpu", dtype="float32", budget_bytes=10**9)
    base, _ = refs(style, 0.5)
    network = small.get(base.ref)
    with pytest.raises(ModelError, match="another network"):
        small.get(refs(misfit, 1.0)[1].at(0, 1))
    assert small.get(base.ref) is network


# --- refused


def test_a_lora_of_another_family_is_refused_while_planning(tmp_path: Path) -> None:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    path = write_header(
        tmp_path / "photo.safetensors",
        {f"{name}.lora_down.weight": (4, 768), f"{name}.lora_up.weight": (320, 4)},
    )
    with pytest.raises(ModelError, match=r"lora\.lora: .* is a LoRA for sd1, the model is starter"):
        Bench().keyed(adapted(path), "denoise")


def test_what_is_no_lora_is_refused() -> None:
    with pytest.raises(ModelError, match=r'lora\.lora: "starter" is no LoRA'):
        Bench().keyed(adapted(Path("starter")), "denoise")


def test_an_empty_window_is_refused(style: Path) -> None:
    with pytest.raises(ModelError, match=r"lora\.end: the window from 0\.5 to 0\.5 is empty"):
        Bench().keyed(adapted(style, start=0.5, end=0.5), "denoise")
