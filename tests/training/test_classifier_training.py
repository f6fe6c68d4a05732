"""Training a classifier that sees through noise: it resumes, learns, measures, and is an ordinary model afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from PIL import Image as Pillow

from nodes.training_data import scene_painter
from studio.diffusion import noise
from studio.errors import GraphError
from studio.events import Failed, Measured
from studio.graph import Graph
from studio.models.library import Library
from studio.models.loading import load_module, load_trained, trained_component
from studio.models.saving import save_model as save
from studio.plan import key_graph
from studio.registry import Context
from studio.store import Store
from studio.training.data import Examples
from studio.training.feeding import Feed
from studio.training.objective import Process, timesteps
from studio.training.recipe import Plan
from studio.training.scenes import class_names
from studio.training.task import Origin
from studio.values import Dataset, ModelFolder, Trained
from tests.bench import linked, with_node
from tests.training.tiny import TYPES, Studio

_TINY: dict[str, object] = {
    "channels": [8, 16],
    "layers": 1,
    "head_width": 8,
    "steps": 8,
    "batch": 4,
    "warmup": 2,
    "checkpoint_every": 3,
    "samples": 4,
}


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def colours(folder: Path, count: int = 12) -> Path:
    """Pictures of one colour each: of two classes, reddish and bluish."""
    for number in range(count):
        for name, color in (("blue", (20, 40, 200)), ("red", (220, 60, 20))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            shade = tuple(min(255, part + number) for part in color)
            Pillow.new("RGB", (16, 16), shade).save(folder / name / f"{number}.png")
    return folder


def _on_pixels(data: str, **data_params: object) -> Graph:
    """A model in pixel space that the classifier is for: it need not be trained for that."""
    graph = with_node(Graph(), "data", data, {}, **data_params)  # type: ignore[arg-type]  # JSON
    params = {"channels": [8, 16], "attention": 1, "head_width": 8}
    graph = with_node(graph, "unet", "new_unet", {}, **params)  # type: ignore[arg-type]  # JSON
    inputs = {"dataset": "data.dataset", "network": "unet.network"}
    return with_node(graph, "pixels", "train_diffusion", inputs, target="epsilon", steps=4, batch=2)


def learning(graph: Graph, **train: object) -> Graph:
    """Train a tiny classifier for the model of a graph."""
    inputs = {"dataset": "data.dataset", "model": "pixels.model", "validation": "data.dataset"}
    return with_node(graph, "train", "train_classifier", inputs, **{**_TINY, **train})  # type: ignore[arg-type]


def scenes(**train: object) -> Graph:
    """On the subjects of scenes."""
    return learning(_on_pixels("scene_painter", size=16, count=24, style="flat"), **train)


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    """Of the classifier."""
    return dict(trained.weights["classifier"])


def equal(one: Trained, other: Trained) -> bool:
    """Whether two trainings gave the same weights to the last bit."""
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_cancelled_in_the_middle_it_goes_on_at_the_very_step(studio: Studio) -> None:
    made = scenes()
    studio.stop_after(made, 5)
    done = studio.run(made)
    assert (done.nodes["train"].status, done.nodes["train"].from_step) == ("resumed", 5)
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        assert equal(studio.trained(made), whole.trained(made))


def test_more_steps_go_on_from_before_the_decay(studio: Studio) -> None:
    studio.run(scenes(steps=10, decay=0.3))
    assert studio.run(scenes(steps=20, decay=0.3)).nodes["train"].from_step == 6


def test_it_learns_to_tell_colours_where_the_noise_lets_it(tmp_path: Path, studio: Studio) -> None:
    folder = colours(tmp_path / "colours")
    data = _on_pixels("picture_folder", folder=str(folder), size=16, classes=True)
    made = learning(data, steps=150, batch=16, learning_rate=0.01, validate_every=50)
    assert studio.run(made).status == "ok"
    measured = [dict(event.values) for event in studio.events if isinstance(event, Measured)]
    last = [values for values in measured if "accuracy" in values][-1]
    assert last["accuracy_1"] > 0.95
    # of 24 pictures at a noise of 0.95 … 1 some are beyond recognition, but colours are told long
    assert last["accuracy"] > 0.8
    assert last["accuracy"] == pytest.approx(sum(last[f"accuracy_{n}"] for n in range(1, 5)) / 4)
    assert last["validation"] < 0.45
    assert studio.trained(made).card["measured"]["accuracy 1"] > 0.95  # type: ignore[index, call-overload, operator]


def test_the_loss_is_the_cross_entropy_of_what_it_says_of_noised_pictures(studio: Studio) -> None:
    """The first loss, worked out from the address of its draws."""
    made = scenes(ema=0.0, seed=3)
    done = studio.run(made)
    # the model whose noise it learns from is not trained for that
    assert done.nodes["pixels"].status == "skipped"
    first = next(event for event in studio.events if isinstance(event, Measured)).values["loss"]
    items = key_graph(made, TYPES, ["train"], studio.context)
    item = next(one for one in items if one.id == "train")
    plan = item.chains[0].start.spec.params["plan"]
    assert isinstance(plan, Plan)
    examples = Examples(plan.dataset, 3)
    x = torch.stack([examples.picture(examples.at(position)) for position in range(4)])
    labels = torch.tensor([examples.label(examples.at(position)) for position in range(4)])
    draws = noise.generator(3, 0)
    process = Process.of("epsilon", plan.betas)
    index = timesteps(4, 1000, draws)
    index = index[torch.randperm(4, generator=draws)]
    x_t = process.noised(x, torch.randn(x.shape, generator=draws), index)
    here = cast("Context", SimpleNamespace(pool=SimpleNamespace(device="cpu")))
    _, network = Origin().network("classifier", plan.network, 3, here)
    logits = network(x_t, index)
    wanted = -torch.log_softmax(logits, -1)[torch.arange(4), labels].mean()
    assert first == pytest.approx(wanted.item(), rel=1e-4)


def test_saved_it_is_found_by_its_name_and_says_the_same(tmp_path: Path, studio: Studio) -> None:
    made = scenes()
    studio.run(made)
    trained = studio.trained(made)
    folder = save(
        ModelFolder("eyes/scenes", trained, "k" * 40, "float32"),  # type: ignore[arg-type]  # a key
        studio.context.models,  # type: ignore[arg-type]  # the library
    )
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    assert index["classifier"] == ["studio", "NoisyClassifier"]
    library = studio.context.models
    assert isinstance(library, Library)
    found = library.describe("eyes/scenes").classifier
    assert found is not None
    assert (found.classes, found.in_channels, found.downscale) == (class_names(), 3, 1)
    assert list(library.check()) == []
    x, t = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(5)), torch.tensor([9])
    loaded = load_module(library.component(found.ref), device="cpu", dtype="bfloat16")
    config = {**trained.configs["classifier"]}
    assert config["classes"] == list(class_names())
    direct = load_trained(
        trained_component(trained, "classifier"), weights(trained), device="cpu", dtype="float32"
    )
    assert torch.equal(loaded(x, t), direct(x, t))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "A classifier of noisy pictures trained on 24 pictures of 16 px." in card


def test_it_guides_within_the_graph_that_trains_it(studio: Studio) -> None:
    graph = scenes(steps=2)
    noise_params: dict[str, int] = {"width": 16, "height": 16, "seed": 1}
    graph = with_node(graph, "noise", "noise_source", {}, **noise_params)
    graph = with_node(graph, "scheduler", "scheduler", {"model": "pixels.model"}, steps=4)
    sources = {
        "model": "pixels.model",
        "noise": "noise.latents",
        "schedule": "scheduler.schedule",
    }
    graph = with_node(graph, "denoise", "denoise", sources)
    studio.run(graph, "denoise")
    plain = studio.stored(graph, "denoise", "latents")
    label = {"classifier": "train.classifier"}
    graph = with_node(graph, "aim", "classifier_guidance", label, label="tree", strength=50.0)
    graph = linked(graph, "aim.classifier_guidance", "denoise.classifier_guidance")
    done = studio.run(graph, "denoise")
    assert done.status == "ok", [event for event in studio.events if isinstance(event, Failed)]
    assert done.nodes["train"].status == "ran"
    guided = studio.stored(graph, "denoise", "latents")
    assert not torch.equal(plain.samples, guided.samples)  # type: ignore[attr-defined]  # latents


def test_pictures_of_what_it_sees_are_framed_by_how_right_it_is(studio: Studio) -> None:
    made = scenes()
    studio.run(made)
    (sheet,) = studio.image(made, "train", "samples")
    corner = sheet[:, 0, 0]
    # red and green make up one, blue is none
    assert float(corner[0] + corner[1]) == pytest.approx(1, abs=0.01)
    assert corner[2] == 0


def test_pictures_without_classes_are_refused(tmp_path: Path, studio: Studio) -> None:
    folder = colours(tmp_path / "colours")
    data = _on_pixels("picture_folder", folder=str(folder), size=16, classes=False)
    with pytest.raises(GraphError, match=r"train\.dataset: has no classes to tell apart; set"):
        studio.run(learning(data))


def test_labels_of_a_batch_are_those_of_its_pictures() -> None:
    dataset = scene_painter(count=30, size=16)
    assert isinstance(dataset, Dataset)
    feed = Feed(dataset, 0, torch.device("cpu"), None)
    indices = [3, 29, 3, 0]
    assert feed.labels(indices).tolist() == [feed.examples.label(index) for index in indices]
