"""Training a textual inversion: a word learns, nothing else does, and the file is read as diffusers reads it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from studio.diffusion.text import encode
from studio.errors import StudioError
from studio.events import Measured
from studio.graph import Graph, Node, NodeId
from studio.models.library import Library
from studio.models.pool import Pool
from studio.models.saving import save_model as save
from studio.resources import resource
from studio.store import Store
from studio.training.inversion import WordReader
from studio.training.recipe import NewWord
from studio.training.trainer import Trainer
from studio.values import EMBEDDING, ModelFolder, TextEncoder
from tests.training.pictures import fill
from tests.training.tiny import Alone, Studio, plan_of

WORD = "<mill>"


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def graph(**train: object) -> Graph:
    """A word for the starter model, learned from scenes of 64 px."""
    given: dict[str, object] = {
        "steps": 4,
        "batch": 2,
        "checkpoint_every": 2,
        "samples": 1,
        "sample_steps": 2,
    }
    given |= {"sample_every": 0, "word": WORD, "vectors": 2, "initial_word": "windmill"}
    made = Graph()
    for name, type_id, params in (
        ("data", "scene_painter", {"size": 64, "count": 4, "subject": "windmill"}),
        ("starter", "load_model", {}),
        ("train", "train_embedding", {**given, **train}),
        ("save", "save_model", {"name": "mill", "dtype": "float32"}),
    ):
        made = made.add(Node(NodeId(name), type_id, params=params))  # type: ignore[arg-type]  # JSON
    for source, target in (
        ("data.dataset", "train.dataset"),
        ("starter.model", "train.model"),
        ("starter.vae", "train.vae"),
        ("starter.text_encoder", "train.text_encoder"),
        ("train.trained", "save.trained"),
    ):
        made = made.connect(*source.split("."), *target.split("."))
    return made


def library(studio: Studio) -> Library:
    """The library that a studio plans with."""
    found = studio.context.models
    assert isinstance(found, Library)
    return found


def vectors(studio: Studio, made: Graph) -> torch.Tensor:
    """The embeddings that a training has given."""
    trained = studio.trained(made)
    assert trained.weights.keys() == {EMBEDDING}
    ((word, found),) = trained.weights[EMBEDDING].items()
    assert word == WORD
    return found


def saved(studio: Studio, made: Graph) -> Path:
    """The file of the embedding, after the training has run."""
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    return save(folder, library(studio))


def starter(studio: Studio) -> TextEncoder:
    """The starter's text encoder, described."""
    encoder = library(studio).describe("starter").text_encoder
    assert encoder is not None
    return encoder


def embeddings(pool: Pool, encoder: TextEncoder) -> torch.Tensor:
    """Those of the vocabulary."""
    module = pool.text(encoder.refs[0]).encoder
    weight = module.get_input_embeddings().weight  # type: ignore[operator]  # a transformers model
    assert isinstance(weight, torch.Tensor)
    return weight


# --- what learns


def test_the_word_learns_and_nothing_else_does(studio: Studio) -> None:
    here = Alone(library(studio))
    trainer = Trainer(plan_of(graph(learning_rate=0.05), studio.context), here)
    task = trainer._task
    reader = task._reader  # type: ignore[attr-defined]  # of an Inversion
    assert isinstance(reader, WordReader)
    (listener,) = reader._listeners
    modules = {"network": task.network, "encoder": listener.text.encoder}  # type: ignore[attr-defined]
    before = {
        f"{name}.{key}": weight.clone()
        for name, module in modules.items()
        for key, weight in module.state_dict().items()
    }
    (vectors,) = reader.vectors
    first = vectors.detach().clone()
    for _ in range(3):
        trainer.step(0.05, here)
    for name, module in modules.items():
        for key, weight in module.state_dict().items():
            assert torch.equal(weight, before[f"{name}.{key}"]), key
        assert all(weight.grad is None for weight in module.parameters())
    assert task.learned.keys() == {"embedding.vectors"}
    assert (vectors - first).abs().min(1).values.gt(0).all()


def test_it_begins_as_the_initial_word(studio: Studio) -> None:
    made = graph(steps=1, learning_rate=0.0, vectors=3, initial_word="red windmill")
    studio.run(made)
    pool = Alone(library(studio)).pool
    encoder = starter(studio)
    tokens = pool.text(encoder.refs[0]).tokenizer.encode("red windmill", add_special_tokens=False)
    known = embeddings(pool, encoder)
    wanted = torch.stack([known[tokens[number % len(tokens)]] for number in range(3)])
    assert torch.equal(vectors(studio, made), wanted)


def test_without_an_initial_word_it_begins_where_words_are(studio: Studio) -> None:
    made = graph(steps=1, learning_rate=0.0, vectors=64, initial_word="")
    studio.run(made)
    known = embeddings(Alone(library(studio)).pool, starter(studio))
    found = vectors(studio, made)
    assert float(found.std()) == pytest.approx(float(known.std()), rel=0.1)
    assert not torch.equal(found[0], found[1])


def test_stopped_and_taken_up_it_ends_with_the_very_same_embeddings(studio: Studio) -> None:
    made = graph(steps=5)
    studio.stop_after(made, 3)
    assert studio.run(made).nodes["train"].from_step == 3
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        assert torch.equal(vectors(studio, made), vectors(whole, made))


def test_a_word_that_meant_nothing_learns_what_lowers_the_loss(studio: Studio) -> None:
    def error(rate: float) -> float:
        """The error on the pictures themselves, with the same noise every time, once the word has learned."""
        made = graph(steps=30, batch=4, learning_rate=rate, initial_word="", caption="{word}")
        made = made.set("data", count=2, style="flat", time="night")
        studio.run(made.connect("data", "dataset", "train", "validation"))
        measured = [event.values for event in studio.events if isinstance(event, Measured)]
        return measured[-1]["validation"]

    assert error(0.01) < error(0.0)


# --- what is read


def test_what_is_read_of_a_picture() -> None:
    new = NewWord(WORD, "", 1, "{caption} in the style of {word}")
    assert new.told("a house") == "a house in the style of <mill>"
    assert new.told("a <MILL> at night") == "a <MILL> at night"
    assert replace(new, caption="{word}, {caption}").told("") == WORD


def test_pictures_without_captions_suffice(studio: Studio, tmp_path: Path) -> None:
    made = graph(steps=1).remove("data")
    folder = fill(tmp_path / "data")
    for path in folder.rglob("*.txt"):
        path.unlink()
    params = {"folder": str(folder), "size": 16, "captions": "none"}
    made = made.add(Node(NodeId("data"), "picture_folder", params=params))  # type: ignore[arg-type]  # JSON
    assert studio.run(made.connect("data", "dataset", "train", "dataset")).status == "ok"


def test_the_word_is_read_while_it_learns_as_when_it_is_loaded(studio: Studio) -> None:
    made = graph(learning_rate=0.05)
    file = saved(studio, made)
    assert file.name == "mill.safetensors"
    found = library(studio).describe("mill").inversion
    assert found is not None
    here = Alone(library(studio))
    encoder = replace(starter(studio), words=((WORD, found.ref),))
    reader = WordReader([here.pool.text(encoder.refs[0])], NewWord(WORD, "", 2, "{word}"), 0)
    reader.vectors[0].data.copy_(vectors(studio, made))
    for caption in ("a <mill> by the sea", WORD, "no such word", "<mill>, <MILL> at night"):
        loaded = encode(here.pool, encoder, caption).hidden
        torch.testing.assert_close(reader.read([caption], here).hidden, loaded, rtol=0, atol=1e-6)


def test_stock_diffusers_reads_the_file(studio: Studio) -> None:
    from diffusers import StableDiffusionPipeline

    file = saved(studio, graph(learning_rate=0.05))
    # one tensor under the word's name, as diffusers and the programs of the field have it
    assert safetensors.torch.load_file(file).keys() == {WORD}
    pipeline = StableDiffusionPipeline.from_pretrained(
        resource("starter"), torch_dtype=torch.float32, local_files_only=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.load_textual_inversion(str(file), local_files_only=True)
    found = library(studio).describe("mill").inversion
    assert found is not None
    encoder = replace(starter(studio), words=((WORD, found.ref),))
    prompt = "a red <mill> on the left"
    ours = encode(Alone(library(studio)).pool, encoder, prompt).hidden
    assert torch.equal(ours, pipeline.encode_prompt(prompt, "cpu", 1, False)[0])


def test_load_embedding_finds_what_was_saved(studio: Studio) -> None:
    made = graph(learning_rate=0.05)
    saved(studio, made)
    for name, type_id, params in (
        ("words", "load_embedding", {"embedding": "mill", "word": WORD}),
        ("prompt", "text_encoder", {"prompt": f"a {WORD}"}),
    ):
        made = made.add(Node(NodeId(name), type_id, params=params))
    made = made.connect("starter", "text_encoder", "words", "text_encoder")
    made = made.connect("words", "text_encoder", "prompt", "text_encoder")
    assert studio.run(made, "prompt").status == "ok"


# --- what does not fit


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (lambda made: made.set("train", word=""), "train.word", "no single word"),
        (lambda made: made.set("train", word="two words"), "train.word", "no single word"),
        (lambda made: made.set("train", word="(thing)"), "train.word", "no single word"),
        (lambda made: made.set("train", caption="{caption}"), "train.caption", "does not say"),
        (lambda made: made.disconnect("train", "vae"), "train.vae", "is needed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told_while_planning(
    studio: Studio, edit: object, where: str, what: str
) -> None:
    assert callable(edit)
    with pytest.raises(StudioError) as caught:
        studio.run(edit(graph()))
    assert what in caught.value.what
    assert caught.value.where == where


def test_a_model_with_words_or_loras_is_refused(studio: Studio) -> None:
    saved(studio, graph())
    made = graph(steps=1).add(
        Node(NodeId("words"), "load_embedding", params={"embedding": "mill", "word": "mill"})
    )
    made = made.connect("starter", "text_encoder", "words", "text_encoder")
    made = made.connect("words", "text_encoder", "train", "text_encoder")
    with pytest.raises(StudioError) as caught:
        studio.run(made)
    assert "words of its own" in caught.value.what
    assert caught.value.where == "train.text_encoder"
