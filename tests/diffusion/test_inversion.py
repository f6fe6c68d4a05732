"""Textual inversions: words with embeddings of their own, against the stock pipelines."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from studio.diffusion.text import encode
from studio.errors import ModelError, NodeError
from studio.facts import Facts
from studio.graph import Graph, Json
from studio.models.library import Library
from studio.models.parts import Component
from studio.models.pool import Pool
from studio.resources import resource
from studio.values import ModelRef, TextEncoder
from tests.bench import Bench, fresh, linked, text_to_image, with_node
from tests.models import originals
from tests.starter import WIDTH


def vectors(count: int, width: int = WIDTH, seed: int = 5) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def written(path: Path, **tensors: Tensor) -> Path:
    safetensors.torch.save_file(tensors, path)
    return path


@pytest.fixture
def pool() -> Pool:
    return Pool(Library([], Facts(None)), device="cpu", dtype="float32", budget_bytes=10**9)


def taught(pool: Pool, path: Path, word: str) -> TextEncoder:
    encoder = pool.library.describe("starter").text_encoder
    inversion = pool.library.describe(str(path)).inversion
    assert encoder is not None
    assert inversion is not None
    return replace(encoder, words=((word, inversion.ref),))


def stock(path: Path, word: str) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(
        resource("starter"), torch_dtype=torch.float32, local_files_only=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.load_textual_inversion(str(path), token=word, local_files_only=True)
    return pipeline


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "prompt", ["a <cat> on a hill", "<cat>", "a red house, <cat>, a blue <cat> at night"]
)
def test_a_word_is_read_as_the_stock_pipeline_reads_it(
    prompt: str, count: int, pool: Pool, tmp_path: Path
) -> None:
    path = written(tmp_path / "cat.safetensors", emb_params=vectors(count))
    pipeline = stock(path, "<cat>")
    # a word of several embeddings is several tokens there
    reference = pipeline.encode_prompt(prompt, "cpu", 1, False)[0]
    ours = encode(pool, taught(pool, path, "<cat>"), prompt)
    assert torch.equal(ours.hidden, reference)


def test_a_prompt_without_the_word_is_read_as_before(pool: Pool, tmp_path: Path) -> None:
    encoder = taught(pool, written(tmp_path / "cat.safetensors", emb_params=vectors(2)), "cat")
    prompt = "a category of cats"
    plain = encode(pool, replace(encoder, words=()), prompt)
    assert torch.equal(encode(pool, encoder, prompt).hidden, plain.hidden)
    assert not torch.equal(
        encode(pool, encoder, "a CAT").hidden,
        encode(pool, replace(encoder, words=()), "a CAT").hidden,
    )


def test_the_longest_of_several_words_is_meant(pool: Pool, tmp_path: Path) -> None:
    one = taught(pool, written(tmp_path / "a.safetensors", emb_params=vectors(1, seed=1)), "ink")
    two = taught(pool, written(tmp_path / "b.safetensors", emb_params=vectors(1, seed=2)), "ink-2")
    both = replace(one, words=(*one.words, *two.words))
    assert torch.equal(encode(pool, both, "ink-2").hidden, encode(pool, two, "ink-2").hidden)
    assert torch.equal(encode(pool, both, "ink").hidden, encode(pool, one, "ink").hidden)


def test_a_word_can_be_emphasised(pool: Pool, tmp_path: Path) -> None:
    encoder = taught(pool, written(tmp_path / "a.safetensors", emb_params=vectors(1)), "ink")
    plain = encode(pool, encoder, "a ink house")
    strong = encode(pool, encoder, "a (ink:1.5) house")
    assert plain.tokens == strong.tokens
    assert not torch.equal(plain.hidden, strong.hidden)


def test_both_encoders_of_xl_read_their_own_embeddings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: StableDiffusionXLPipeline = originals.sdxl_pipeline()
    pipeline.save_pretrained(tmp_path / "xl")
    pool = Pool(Library([], Facts(None)), device="cpu", dtype="float32", budget_bytes=10**9)
    encoder = pool.library.describe(str(tmp_path / "xl")).text_encoder
    assert encoder is not None
    path = written(
        tmp_path / "cat.safetensors", clip_l=vectors(1, 32), clip_g=vectors(1, 64, seed=6)
    )
    # too narrow to be taken for one of XL's by its header
    ref = ModelRef(str(path), "embedding", "0" * 64)
    found = pool.library.component
    monkeypatch.setattr(
        pool.library,
        "component",
        lambda one: (
            Component("embedding", "", {}, (path,), "original") if one is ref else found(one)
        ),
    )
    taught_xl = replace(encoder, words=(("cat", ref),))
    ours = encode(pool, taught_xl, "a cat").hidden
    before = encode(pool, encoder, "a cat").hidden
    assert not torch.equal(ours[..., :32], before[..., :32])
    assert not torch.equal(ours[..., 32:], before[..., 32:])


# --- as a node


def graph(path: Path, **params: Json) -> Graph:
    found = text_to_image(prompt={"prompt": "a house, ink"})
    found = with_node(
        found, "words", "load_embedding", {"text_encoder": "model.text_encoder"},
        embedding=str(path), **params,
    )  # fmt: skip
    return linked(found, "words.text_encoder", "prompt.text_encoder")


def test_the_word_is_the_files_name_unless_another_is_given(tmp_path: Path) -> None:
    path = written(tmp_path / "ink.safetensors", emb_params=vectors(1))
    plain = fresh(text_to_image(prompt={"prompt": "a house, ink"}))
    assert not torch.equal(fresh(graph(path)), plain)
    assert torch.equal(fresh(graph(path, word="other")), plain)


def test_what_is_no_inversion_is_refused() -> None:
    with pytest.raises(ModelError, match=r'words\.embedding: "starter" is no textual inversion'):
        Bench().keyed(graph(Path("starter")), "denoise")


def test_one_of_another_family_is_refused_while_planning(tmp_path: Path) -> None:
    path = written(tmp_path / "ink.safetensors", emb_params=vectors(1, 768))
    with pytest.raises(ModelError, match=r"words\.embedding: .* is for sd1, the text encoder is"):
        Bench().keyed(graph(path), "denoise")


def test_one_of_another_width_is_refused(pool: Pool, tmp_path: Path) -> None:
    encoder = taught(pool, written(tmp_path / "a.safetensors", emb_params=vectors(1, 768)), "ink")
    with pytest.raises(NodeError, match=f"no embedding of width {WIDTH}"):
        encode(pool, encoder, "a ink house")
