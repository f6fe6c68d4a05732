"""Training models of the XL family: two text encoders, a pooled reading and the sizes of pictures enter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

from studio.diffusion.text import encode
from studio.graph import Graph, Node, NodeId
from studio.models.library import Library
from studio.models.saving import save_model as save
from studio.store import Store
from studio.training.reading import FixedReader
from studio.training.trainer import Trainer
from studio.values import EMBEDDING, Latents, ModelFolder, TextEncoder, Trained
from tests.models import originals
from tests.training.tiny import Alone, Studio, plan_of

SIZE = 32
GIVEN = {"steps": 3, "batch": 2, "checkpoint_every": 2, "samples": 1, "sample_steps": 2}


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionXLPipeline:
    made: StableDiffusionXLPipeline = originals.sdxl_pipeline()
    config = {**originals.family("sdxl")["unet"], **originals.SDXL_UNET}
    # as wide as what these encoders give: both side by side; a projection of 32 beside six numbers
    config |= {"cross_attention_dim": 32 + 64}
    config |= {
        "projection_class_embeddings_input_dim": 32
        + 6 * int(str(config["addition_time_embed_dim"]))
    }
    torch.manual_seed(3)
    made.register_modules(unet=UNet2DConditionModel.from_config(config))
    return made


@pytest.fixture
def studio(tmp_path: Path, pipeline: StableDiffusionXLPipeline) -> Iterator[Studio]:
    models = tmp_path / "models"
    pipeline.save_pretrained(models / "xl")
    with Store(None) as store:
        yield Studio(store, models)


def graph(node: str, **train: object) -> Graph:
    """A training of the XL model on scenes."""
    made = Graph()
    for name, type_id, params in (
        ("data", "scene_painter", {"size": SIZE, "count": 4}),
        ("xl", "load_model", {"model": "xl"}),
        ("train", node, {**GIVEN, "sample_every": 0, **train}),
        ("save", "save_model", {"name": "made", "dtype": "float32"}),
    ):
        made = made.add(Node(NodeId(name), type_id, params=params))  # type: ignore[arg-type]  # JSON
    made = made.connect("data", "dataset", "train", "dataset")
    for port in ("model", "vae", "text_encoder"):
        made = made.connect("xl", port, "train", port)
    return made.connect("train", "trained", "save", "trained")


def library(studio: Studio) -> Library:
    """The library that a studio plans with."""
    found = studio.context.models
    assert isinstance(found, Library)
    return found


def encoder_of(studio: Studio) -> TextEncoder:
    """The model's text encoders, described."""
    found = library(studio).describe("xl").text_encoder
    assert found is not None
    return found


def trained(studio: Studio, made: Graph) -> Trained:
    """What a training gives."""
    assert studio.run(made).status == "ok"
    return studio.trained(made)


def saved(studio: Studio, made: Graph) -> Path:
    """The file that comes of a training."""
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    return save(folder, library(studio))


def test_a_network_is_told_what_stock_diffusers_tells_it(
    studio: Studio, pipeline: StableDiffusionXLPipeline
) -> None:
    here = Alone(library(studio))
    task = Trainer(plan_of(graph("train_lora"), studio.context), here)._task
    captions = ["a red house by the sea", "a boat"]
    told = task._read(captions, here)  # type: ignore[attr-defined]  # of Denoising
    hidden, _, pooled, _ = pipeline.encode_prompt(captions, do_classifier_free_guidance=False)
    size = (SIZE, SIZE)
    sizes = pipeline._get_add_time_ids(
        size, (0, 0), size, torch.float32, pipeline.text_encoder_2.config.projection_dim
    )
    torch.testing.assert_close(told["encoder_hidden_states"], hidden, rtol=0, atol=1e-5)
    added = told["added_cond_kwargs"]
    torch.testing.assert_close(added["text_embeds"], pooled, rtol=0, atol=1e-5)
    assert torch.equal(added["time_ids"], sizes.repeat(2, 1))


def test_where_there_is_no_caption_the_model_is_told_zeros_if_it_was_trained_so(
    studio: Studio,
) -> None:
    here = Alone(library(studio))
    is_zero = any(here.pool.text(ref).has_zero_empty for ref in encoder_of(studio).refs)
    assert is_zero
    hidden, pooled = FixedReader(encoder_of(studio), torch.device("cpu")).read(["", "a"], here)
    assert pooled is not None
    assert not hidden[0].any()
    assert not pooled[0].any()
    assert hidden[1].any()
    assert pooled[1].any()


@pytest.mark.parametrize(
    ("node", "params"),
    [
        ("train_lora", {"rank": 2}),
        ("train_diffusion", {}),
        ("train_inpainting", {}),
        ("train_controlnet", {"hint_channels": [4, 8]}),
    ],
)
def test_each_training_learns(studio: Studio, node: str, params: dict[str, object]) -> None:
    first = trained(studio, graph(node, learning_rate=0.0, **params))
    last = trained(studio, graph(node, learning_rate=0.01, **params))
    (part,) = first.weights
    assert first.weights[part].keys() == last.weights[part].keys()
    changed = [
        name
        for name, weight in last.weights[part].items()
        if not torch.equal(weight, first.weights[part][name])
    ]
    assert changed
    assert all(bool(weight.isfinite().all()) for weight in last.weights[part].values())


def test_a_lora_of_it_changes_what_it_paints_by_its_strength(studio: Studio) -> None:
    made = graph("train_lora", rank=2, learning_rate=0.01, ema=0.0)
    assert saved(studio, made).name == "made.safetensors"
    for name, type_id, params in (
        ("lora", "load_lora_unet", {"lora": "made"}),
        ("prompt", "text_encoder", {"prompt": "a red house"}),
        ("noise", "noise_source", {"width": SIZE, "height": SIZE}),
        ("schedule", "scheduler", {"steps": 2}),
        ("denoise", "denoise", {"guidance": 1.0}),
    ):
        made = made.add(Node(NodeId(name), type_id, params=params))
    for source, target in (
        ("xl.model", "lora.model"),
        ("xl.text_encoder", "prompt.text_encoder"),
        ("xl.model", "schedule.model"),
        ("xl.model", "noise.model"),
        ("lora.model", "denoise.model"),
        ("prompt.conditioning", "denoise.positive"),
        ("noise.latents", "denoise.noise"),
        ("schedule.schedule", "denoise.schedule"),
    ):
        made = made.connect(*source.split("."), *target.split("."))

    def painted(found: Graph) -> torch.Tensor:
        assert studio.run(found, "denoise").status == "ok"
        latents = studio.stored(found, "denoise", "latents")
        assert isinstance(latents, Latents)
        return latents.samples

    plain = painted(made.connect("xl", "model", "denoise", "model"))
    assert torch.equal(painted(made.set("lora", strength=0.0)), plain)
    weak, strong = (painted(made.set("lora", strength=each)) for each in (0.5, 1.0))
    assert 0 < float((weak - plain).norm()) < float((strong - plain).norm())


def test_a_word_learns_in_both_text_encoders_and_is_read_so_when_it_is_loaded(
    studio: Studio,
) -> None:
    made = graph("train_embedding", word="<mill>", vectors=2, learning_rate=0.05)
    still = trained(studio, made.set("train", learning_rate=0.0)).weights[EMBEDDING]
    found = trained(studio, made).weights[EMBEDDING]
    assert {name: list(one.shape) for name, one in found.items()} == {
        "clip_l": [2, 32],
        "clip_g": [2, 64],
    }
    assert all(not torch.equal(found[name], still[name]) for name in found)

    path = saved(studio, made)
    # as stock diffusers and the programs of the field have it
    assert safetensors.torch.load_file(path).keys() == {"clip_l", "clip_g"}
    inversion = library(studio).describe("made").inversion
    assert inversion is not None
    encoder = replace(encoder_of(studio), words=(("<mill>", inversion.ref),))
    here = Alone(library(studio))
    reader = Trainer(plan_of(made, studio.context), here)._task._reader  # type: ignore[attr-defined]
    for listener, name in zip(reader._listeners, ("clip_l", "clip_g"), strict=True):
        listener.vectors.data.copy_(found[name])
    for caption in ("a <mill> by the sea", "a house", ""):
        loaded = encode(here.pool, encoder, caption)
        loaded = loaded if caption else (loaded.empty or loaded)
        hidden, pooled = reader.read([caption], here)
        torch.testing.assert_close(hidden, loaded.hidden, rtol=0, atol=1e-5)
        torch.testing.assert_close(pooled, loaded.pooled, rtol=0, atol=1e-5)
