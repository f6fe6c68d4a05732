"""Training a LoRA: the model stays, the file is one that load_lora adds, and it resumes like any training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from studio.errors import GraphError, ModelError
from studio.events import Measured
from studio.graph import Graph, Node, NodeId
from studio.models.library import Library
from studio.models.saving import save_model as save
from studio.store import Store
from studio.values import LORA, Latents, ModelFolder
from tests.starter import WIDTH
from tests.training.tiny import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def graph(**train: object) -> Graph:
    """A LoRA of the starter model for line drawings of 64 px, and a picture painted with the model."""
    given = {"steps": 4, "batch": 2, "checkpoint_every": 2, "samples": 1, "sample_steps": 2}
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "data": ("scene_painter", {"size": 64, "count": 8, "style": "line"}),
        "starter": ("load_model", {}),
        "train": ("train_lora", {**given, "sample_every": 0, "rank": 2, "alpha": 2.0, **train}),
        "save": ("save_model", {"name": "ink"}),
        "prompt": ("text_encoder", {"prompt": "a red house"}),
        "noise": ("noise_source", {"width": 64, "height": 64}),
        "schedule": ("scheduler", {"steps": 3}),
        "denoise": ("denoise", {"guidance": 1.0}),
    }
    made = Graph()
    for name, (type_id, params) in nodes.items():
        made = made.add(Node(NodeId(name), type_id, params=params))  # type: ignore[arg-type]  # JSON
    for source, target in (
        ("data.dataset", "train.dataset"),
        ("starter.model", "train.model"),
        ("starter.vae", "train.vae"),
        ("starter.text_encoder", "train.text_encoder"),
        ("train.trained", "save.trained"),
        ("starter.text_encoder", "prompt.text_encoder"),
        ("starter.model", "schedule.model"),
        ("starter.model", "denoise.model"),
        ("prompt.conditioning", "denoise.positive"),
        ("noise.latents", "denoise.noise"),
        ("schedule.schedule", "denoise.schedule"),
    ):
        node, _, output = source.partition(".")
        other, _, port = target.partition(".")
        made = made.connect(node, output, other, port)
    return made


def weights(studio: Studio, made: Graph) -> dict[str, torch.Tensor]:
    """The matrices that a training has given."""
    return dict(studio.trained(made).weights[LORA])


def saved(studio: Studio, made: Graph) -> Path:
    """The file of the LoRA, after the training has run."""
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    library = studio.context.models
    assert isinstance(library, Library)
    return save(folder, library)


def latents(studio: Studio, made: Graph) -> torch.Tensor:
    """What denoise gives."""
    assert studio.run(made, "denoise").status == "ok"
    value = studio.stored(made, "denoise", "latents")
    assert isinstance(value, Latents)
    return value.samples


def with_lora(made: Graph, strength: float) -> Graph:
    """The picture painted with the LoRA."""
    made = made.add(
        Node(NodeId("lora"), "load_lora_unet", params={"lora": "ink", "strength": strength})
    )
    return made.connect("starter", "model", "lora", "model").connect(
        "lora", "model", "denoise", "model"
    )


def test_a_trained_lora_is_loaded_by_name_and_its_strength_scales_it(studio: Studio) -> None:
    made = graph(steps=6, learning_rate=0.005, warmup=0, ema=0.0)
    base = latents(studio, made)
    file = saved(studio, made)
    assert file.name == "ink.safetensors"
    library = studio.context.models
    assert isinstance(library, Library)
    assert library.describe("ink").lora is not None
    assert torch.equal(latents(studio, with_lora(made, 0.0)), base)
    half, whole = (latents(studio, with_lora(made, strength)) for strength in (0.5, 1.0))
    assert 0 < float((half - base).norm()) < float((whole - base).norm())


def test_a_lora_acts_while_it_is_learned_as_it_does_when_it_is_loaded(studio: Studio) -> None:
    """The first prediction of the loaded model equals that of the network with adapters beside it."""
    made = graph(steps=3, learning_rate=0.02, warmup=0, ema=0.0, layers="all")
    saved(studio, made.set("save", dtype="float32"))
    from studio.models import lora
    from studio.models.loading import load_module
    from studio.training.adapters import attach

    library = studio.context.models
    assert isinstance(library, Library)
    described, model = library.describe("ink").lora, library.describe("starter").model
    assert described is not None
    assert model is not None
    component = library.component(model.ref)
    plain = load_module(component, device="cpu", dtype="float32")
    beside = load_module(component, device="cpu", dtype="float32")
    learned = attach(beside, 2, 2.0, "all", 0)
    for name, weight in learned.items():
        weight.data.copy_(weights(studio, made)[name])
    added = lora.sums(plain, component, [(library.component(described.ref), 1.0)])
    lora.write(plain, lora.originals(plain, added), added)
    x, text, t = torch.randn(1, 4, 8, 8), torch.randn(1, 7, WIDTH), torch.tensor([500])
    with torch.no_grad():
        one = plain(x, t, text, return_dict=False)[0]
        other = beside(x, t, text, return_dict=False)[0]
    assert torch.allclose(one, other, atol=1e-4)


def test_nothing_is_added_before_the_first_step(studio: Studio) -> None:
    made = graph(steps=1, learning_rate=0.0)
    studio.run(made)
    for name, weight in weights(studio, made).items():
        if name.endswith("lora_B.weight"):
            assert not weight.any()


def test_attention_alone_is_a_part_of_all(studio: Studio) -> None:
    few, many = graph(steps=1, layers="attention"), graph(steps=1, layers="all")
    studio.run(few)
    studio.run(many)
    assert weights(studio, few).keys() < weights(studio, many).keys()
    assert all("attn" in name or "attentions" in name for name in weights(studio, few))


def test_a_cancelled_lora_goes_on_bit_for_bit(studio: Studio) -> None:
    made = graph(steps=5)
    studio.stop_after(made, 3)
    assert studio.run(made).nodes["train"].from_step == 3
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        one, other = weights(studio, made), weights(whole, made)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_falls_on_the_pictures_that_are_learned(studio: Studio) -> None:
    made = graph(steps=60, batch=4, learning_rate=0.005, checkpoint_every=60, min_snr=0.0, rank=8)
    made = made.set("data", count=2)
    studio.run(made)
    losses = [event.values["loss"] for event in studio.events if isinstance(event, Measured)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_lora_of_the_same_name_is_in_the_way_unless_it_is_the_same(studio: Studio) -> None:
    made = graph(steps=1)
    file = saved(studio, made)
    assert saved(studio, made) == file
    with pytest.raises(ModelError, match='there is a model "ink" already'):
        studio.run(graph(steps=2), "save")


def test_a_network_that_this_graph_trains_is_to_be_saved_first(studio: Studio) -> None:
    made = graph().add(Node(NodeId("full"), "train_diffusion", params={"steps": 1}))
    for source, port in (
        ("data.dataset", "dataset"),
        ("starter.model", "model"),
        ("starter.vae", "vae"),
        ("starter.text_encoder", "text_encoder"),
    ):
        node, _, output = source.partition(".")
        made = made.connect(node, output, "full", port)
    with pytest.raises(GraphError, match="is trained in this graph"):
        studio.run(made.connect("full", "model", "train", "model"))
