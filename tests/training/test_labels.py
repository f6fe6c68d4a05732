"""Class-conditional networks: taught the classes of a data set, saved, and told by denoise which one to paint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel, UNet2DModel

from nodes.labels import class_label
from nodes.training_networks import new_unet
from studio.errors import GraphError, NodeError
from studio.events import Failed
from studio.facts import Facts
from studio.graph import Graph
from studio.models.library import Library
from studio.models.loading import (
    build,
    load_module,
    load_trained,
    trained_component,
    trained_network,
)
from studio.models.saving import save_model as save
from studio.plan import key_graph
from studio.registry import Context
from studio.store import Store
from studio.training.denoising import Denoising
from studio.training.recipe import Plan
from studio.training.task import Origin
from studio.values import (
    Dataset,
    Embedding,
    Labelled,
    Labels,
    Latents,
    Model,
    ModelFolder,
    ModelRef,
    PictureFiles,
)
from tests.bench import linked, with_node
from tests.starter import WIDTH
from tests.training.test_classifier_training import colours
from tests.training.tiny import TYPES, Studio

NAMES = ("blue", "red")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def learning(folder: Path, **train: object) -> Graph:
    """A network of two classes, blue and red pictures, in pixel space."""
    params: dict[str, Any] = {"folder": str(folder), "size": 16, "classes": True}
    graph = with_node(Graph(), "data", "picture_folder", {}, **params)
    shape: dict[str, Any] = {"channels": [8, 16], "attention": 1, "head_width": 8}
    graph = with_node(graph, "unet", "new_unet", {"dataset": "data.dataset"}, **shape)
    inputs = {"dataset": "data.dataset", "network": "unet.network"}
    given: dict[str, Any] = {
        "steps": 4,
        "batch": 4,
        "checkpoint_every": 100,
        "sample_every": 0,
        "samples": 2,
        "sample_steps": 2,
        **train,
    }
    return with_node(graph, "train", "train_diffusion", inputs, **given)


def painting(graph: Graph, label: str, **denoise: Any) -> Graph:
    """Paint one class by the network that a graph trains."""
    size: dict[str, Any] = {"width": 16, "height": 16, "seed": 1, "batch": 2}
    graph = with_node(graph, "noise", "noise_source", {}, **size)
    graph = with_node(graph, "scheduler", "scheduler", {"model": "train.model"}, steps=8)
    graph = with_node(graph, "label", "class_label", {"model": "train.model"}, label=label)
    sources = {
        "model": "train.model",
        "noise": "noise.latents",
        "schedule": "scheduler.schedule",
        "positive": "label.conditioning",
    }
    return with_node(graph, "denoise", "denoise", sources, **denoise)


def painted(studio: Studio, graph: Graph) -> torch.Tensor:
    """What a denoise gives: [B, 3, 16, 16]."""
    done = studio.run(graph, "denoise")
    assert done.status == "ok", [event for event in studio.events if isinstance(event, Failed)]
    latents = studio.stored(graph, "denoise", "latents")
    assert isinstance(latents, Latents)
    return latents.samples


# --- new networks


@pytest.mark.parametrize("text_width", [0, 16])
def test_a_new_network_has_a_label_for_every_class_and_one_for_none(text_width: int) -> None:
    dataset = Dataset(PictureFiles((), "0" * 40), 16, ("a", "b", "c"))  # type: ignore[arg-type]  # a key
    network = new_unet(None, dataset, [8, 16], head_width=8, text_width=text_width)
    numbered = new_unet(None, None, [8, 16], head_width=8, text_width=text_width, classes=3)
    kind = UNet2DConditionModel if text_width else UNet2DModel
    for one, names in ((network, ["a", "b", "c"]), (numbered, ["0", "1", "2"])):
        assert one.config["classes"] == names
        module = build(trained_network({"_class_name": one.class_name, **one.config}))
        assert isinstance(module, kind)
        assert module.class_embedding.weight.shape[0] == 4
    plain = new_unet(None, None, [8, 16], head_width=8, text_width=text_width)
    assert "num_class_embeds" not in plain.config


def test_pictures_without_classes_give_no_labels() -> None:
    dataset = Dataset(PictureFiles((), "0" * 40), 16)  # type: ignore[arg-type]  # a key
    with pytest.raises(NodeError, match="the data set has no classes; unlink it, or set classes"):
        new_unet(None, dataset)


# --- learning


def test_it_paints_the_class_that_it_is_told(tmp_path: Path, studio: Studio) -> None:
    made = learning(
        colours(tmp_path / "colours"), steps=160, batch=16, learning_rate=0.01, target="sample"
    )
    red, blue = (
        painted(studio, painting(made, label, guidance=2.0)).mean((2, 3)) for label in ("red", "0")
    )
    assert bool((red[:, 0] > 0.2).all()), red
    assert bool((red[:, 2] < -0.2).all()), red
    assert bool((blue[:, 2] > 0.2).all()), blue
    assert bool((blue[:, 0] < -0.2).all()), blue


def _plan(studio: Studio, made: Graph) -> Plan:
    items = key_graph(made, TYPES, ["train"], studio.context)
    plan = next(one for one in items if one.id == "train").chains[0].start.spec.params["plan"]
    assert isinstance(plan, Plan)
    return plan


def test_a_share_of_the_labels_is_left_out(tmp_path: Path, studio: Studio) -> None:
    made = learning(colours(tmp_path / "colours"), batch=400, caption_dropout=0.25)
    engine_pool: Any = type("Here", (), {"device": "cpu"})
    here = cast("Context", type("Given", (), {"pool": engine_pool, "check": lambda self: None})())
    task = Denoising(_plan(studio, made), here, Origin())
    told: dict[int, int] = {}
    seen: list[torch.Tensor] = []

    def network(
        x: torch.Tensor, t: torch.Tensor, *, class_labels: torch.Tensor, **_: object
    ) -> Any:
        seen.append(class_labels)
        return (x,)

    task._learning = network
    task.loss(0, here)
    labels = seen[0].tolist()
    for number in labels:
        told[number] = told.get(number, 0) + 1
    # 2 stands for none; the rest of 400 falls on two classes of equal size
    assert told[2] == pytest.approx(100, abs=30)
    assert told[0] == pytest.approx(told[1], abs=40)
    kept = [number for number in labels if number != 2]
    wanted = [task.feed.examples.label(index) for index in task.feed.indices(range(400))]
    assert kept == [w for w, told_ in zip(wanted, labels, strict=True) if told_ != 2]


# --- painting


def test_guidance_leads_away_from_the_label_for_none(tmp_path: Path, studio: Studio) -> None:
    """Every step by hand: diffusers' network and scheduler on the pair of labels (Ho & Salimans 2022, eq. 6)."""
    graph = painting(learning(colours(tmp_path / "colours")), "red", guidance=3.0)
    graph = graph.set("noise", batch=1)
    ours = painted(studio, graph)
    trained = studio.trained(graph)
    network: Any = load_trained(
        trained_component(trained, "unet"), trained.weights["unet"], device="cpu", dtype="float32"
    )
    scheduler: Any = DDIMScheduler.from_config(dict(trained.configs["scheduler"]))
    scheduler.set_timesteps(8)
    without = painted(studio, graph.set("denoise", end_step=0))
    x = without
    for timestep in scheduler.timesteps:
        with torch.inference_mode():
            pair = network(
                torch.cat([x, x]), timestep, class_labels=torch.tensor([2, 1])
            ).sample.chunk(2)
        prediction = pair[0] + 3.0 * (pair[1] - pair[0])
        x = scheduler.step(prediction, timestep, x).prev_sample
    torch.testing.assert_close(ours, x, atol=1e-4, rtol=1e-4)


def test_without_a_label_it_paints_none_of_the_classes(tmp_path: Path, studio: Studio) -> None:
    made = learning(colours(tmp_path / "colours"))
    named = painting(made, "", guidance=1.0)
    unlinked = named.disconnect("denoise", "positive")
    assert torch.equal(painted(studio, named), painted(studio, unlinked))
    assert not torch.equal(
        painted(studio, named), painted(studio, painting(made, "red", guidance=1.0))
    )


def test_text_and_class_are_read_side_by_side(studio: Studio) -> None:
    """One step: the scheduler's of what the network predicts of (empty, none) and (prompt, class)."""
    data: dict[str, Any] = {"size": 16, "count": 12, "style": "flat"}
    graph = with_node(Graph(), "data", "scene_painter", {}, **data)
    shape: dict[str, Any] = {"channels": [8, 16], "head_width": 8, "text_width": WIDTH}
    graph = with_node(graph, "unet", "new_unet", {"dataset": "data.dataset"}, **shape)
    graph = with_node(graph, "words", "load_text_encoder", {})
    inputs = {
        "dataset": "data.dataset",
        "network": "unet.network",
        "text_encoder": "words.text_encoder",
    }
    few: dict[str, Any] = {"steps": 2, "batch": 4, "samples": 2, "sample_steps": 2}
    graph = with_node(graph, "train", "train_diffusion", inputs, **few)
    graph = painting(graph, "tree", guidance=2.0, end_step=1).set("noise", batch=1)
    graph = with_node(graph, "text", "text_encoder", {"text_encoder": "words.text_encoder"})
    graph = linked(graph.set("text", prompt="a red hill"), "text.conditioning", "label.prompt")
    ours = painted(studio, graph)
    trained = studio.trained(graph)
    names = trained.configs["unet"]["classes"]
    assert isinstance(names, list)
    network: Any = load_trained(
        trained_component(trained, "unet"), trained.weights["unet"], device="cpu", dtype="float32"
    )
    read = studio.stored(graph, "text", "conditioning")
    assert isinstance(read, Embedding)
    assert read.empty is not None
    x = painted(studio, graph.set("denoise", end_step=0))
    scheduler: Any = DDIMScheduler.from_config(dict(trained.configs["scheduler"]))
    scheduler.set_timesteps(8)
    with torch.inference_mode():
        pair = network(
            torch.cat([x, x]),
            scheduler.timesteps[0],
            torch.cat([read.empty.hidden, read.hidden]),
            class_labels=torch.tensor([len(names), names.index("tree")]),
        ).sample.chunk(2)
    prediction = pair[0] + 2.0 * (pair[1] - pair[0])
    wanted = scheduler.step(prediction, scheduler.timesteps[0], x).prev_sample
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)


def _model(labels: Labels | None) -> Model:
    return Model(ModelRef("m", "unet", "1" * 64), "", "", 3, 3, 1, 16, {}, labels=labels)


def test_a_label_beside_a_prompt_has_its_empty_prompt_and_the_label_for_none() -> None:
    empty = Embedding(torch.zeros(1, 4, 8))
    prompt = Embedding(torch.ones(1, 4, 8), tokens=(1, 2), empty=empty)
    found = class_label(_model(Labels(NAMES, 2)), prompt, "red")
    assert isinstance(found, Labelled)
    assert (found.label, found.tokens) == (1, (1, 2))
    assert torch.equal(found.hidden, prompt.hidden)
    assert isinstance(found.empty, Labelled)
    assert found.empty.label == 2
    assert torch.equal(found.empty.hidden, empty.hidden)
    # without the empty prompt nothing is known to lead away from
    assert (
        class_label(_model(Labels(NAMES, 2)), Embedding(torch.ones(1, 4, 8)), "red").empty is None
    )
    assert class_label(_model(Labels(NAMES)), None, "red").empty is None


@pytest.mark.parametrize(
    ("labels", "label", "message"),
    [
        (None, "red", r'"m" paints no classes; take a network that was taught some'),
        (Labels(NAMES, 2), "green", r'there is no label "green"; .*the labels are blue, red'),
        (Labels(NAMES), "", "no label is chosen; the labels are blue, red"),
    ],
)
def test_a_class_that_is_none_is_refused(labels: Labels | None, label: str, message: str) -> None:
    with pytest.raises(NodeError, match=message):
        class_label(_model(labels), None, label)


def test_a_prompt_for_a_network_without_text_is_refused(tmp_path: Path, studio: Studio) -> None:
    graph = painting(learning(colours(tmp_path / "colours")), "red")
    graph = with_node(graph, "words", "load_text_encoder", {})
    graph = with_node(graph, "text", "text_encoder", {"text_encoder": "words.text_encoder"})
    graph = linked(graph.disconnect("denoise", "positive"), "text.conditioning", "denoise.positive")
    studio.run(graph, "denoise")
    (failed,) = (event for event in studio.events if isinstance(event, Failed))
    assert (failed.where, failed.what) == ("denoise.positive", "the network reads no text")


def test_data_of_other_classes_are_refused(tmp_path: Path, studio: Studio) -> None:
    graph = learning(colours(tmp_path / "colours")).disconnect("unet", "dataset")
    studio.run(graph.set("unet", classes=2))  # numbers take the names of the data
    assert studio.trained(graph.set("unet", classes=2)).configs["unet"]["classes"] == list(NAMES)
    with pytest.raises(
        GraphError, match=r"train\.dataset: has 2 classes, and the network is for 3"
    ):
        studio.run(graph.set("unet", classes=3))


# --- in the library


def test_saved_it_is_found_with_the_names_of_its_classes(tmp_path: Path, studio: Studio) -> None:
    made = learning(colours(tmp_path / "colours"))
    studio.run(made)
    library = studio.context.models
    assert isinstance(library, Library)
    save(ModelFolder("colours", studio.trained(made), "k" * 40, "float32"), library)  # type: ignore[arg-type]
    model = library.describe("colours").model
    assert model is not None
    assert model.labels == Labels(NAMES, 2)
    loaded: Any = load_module(library.component(model.ref), device="cpu", dtype="float32")
    assert loaded.class_embedding.weight.shape[0] == 3


def test_a_stock_class_conditional_network_has_numbers_and_no_label_for_none(
    tmp_path: Path,
) -> None:
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        num_class_embeds=10,
    )
    folder = tmp_path / "stock"
    unet.save_pretrained(folder / "unet")
    DDPMScheduler().save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "DDPMPipeline",
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    model = Library([tmp_path], Facts(None)).describe("stock").model
    assert model is not None
    assert model.labels == Labels(tuple(map(str, range(10))))
