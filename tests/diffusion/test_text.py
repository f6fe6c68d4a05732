from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from hypothesis import given
from hypothesis import strategies as st

from studio.diffusion.text import Part, Window, emphasised, encode, weighted_states, windows
from studio.errors import NodeError
from studio.facts import Facts
from studio.models.library import Library
from studio.models.pool import Pool
from studio.resources import resource
from studio.values import TextEncoder
from tests.models import originals
from tests.starter import BEGIN, END, LAYERS, LENGTH, VOCABULARY, WIDTH

PROMPTS = [
    "",
    "a red house on a hill",
    "A Red   House,\n by the sea: day; watercolor!",
    "ein Häuschen am Meer — 日本 🏠",
    "a " * 38,
]


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool(Library([], Facts(None)), device="cpu", dtype="float32", budget_bytes=10**9)


@pytest.fixture(scope="module")
def encoder(pool: Pool) -> TextEncoder:
    found = pool.library.describe("starter").text_encoder
    assert found is not None
    return found


@pytest.fixture(scope="module")
def stock() -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(
        resource("starter"), torch_dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


# --- emphasis


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a red house", [("a red house", 1.0)]),
        ("", [("", 1.0)]),
        ("a (red) house", [("a ", 1.0), ("red", 1.1), (" house", 1.0)]),
        ("((red))", [("red", 1.1 * 1.1)]),
        ("[red]", [("red", 1 / 1.1)]),
        ("(red:1.5)", [("red", 1.5)]),
        ("( red : .5 )", [(" red ", 0.5)]),
        ("(red:0)", [("red", 0.0)]),
        ("(a (red:1.5) house:2)", [("a ", 2.0), ("red", 3.0), (" house", 2.0)]),
        ("(12:30)", [("12", 30.0)]),
        ("at 12:30 (red)", [("at 12:30 ", 1.0), ("red", 1.1)]),
        ("[red:1.5]", [("red:1.5", 1 / 1.1)]),
        (r"a \(red\) house", [("a (red) house", 1.0)]),
        (r"(\(red\):1.5)", [("(red)", 1.5)]),
        (r"back\\slash \[x\] \n", [(r"back\slash [x] \n", 1.0)]),
        ("a sad house :(", [("a sad house :(", 1.0)]),
        ("a) (red)", [("a) ", 1.0), ("red", 1.1)]),
        ("([red)]", [("[red", 1.1), ("]", 1.0)]),
        ("(red)(green)", [("redgreen", 1.1)]),
        ("()", [("", 1.0)]),
    ],
)
def test_brackets_weigh_as_artists_write_them(prompt: str, parts: list[tuple[str, float]]) -> None:
    assert emphasised(prompt) == tuple(Part(text, weight) for text, weight in parts)


@given(st.text(alphabet="ab()[]\\:1. ", max_size=40))
def test_no_prompt_breaks_the_brackets(prompt: str) -> None:
    plain = "".join(part.text for part in emphasised(prompt))
    assert set(plain) <= set(prompt)
    assert len(plain) <= len(prompt)


def test_ten_thousand_brackets_are_read() -> None:
    deep = 10_000
    assert [part.text for part in emphasised("(" * deep + "x")] == ["(" * deep + "x"]
    assert emphasised("[" * 50 + "x" + "]" * 50)[0].weight == pytest.approx(1.1**-50)


# --- parity


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_plain_prompt_is_what_diffusers_makes_of_it(
    pool: Pool, encoder: TextEncoder, stock: StableDiffusionPipeline, prompt: str
) -> None:
    theirs, empty = stock.encode_prompt(prompt, "cpu", 1, True)
    ours = encode(pool, encoder, prompt)
    assert torch.equal(ours.hidden, theirs)
    assert ours.pooled is None
    assert ours.empty is not None
    assert torch.equal(ours.empty.hidden, empty)


def test_clip_skip_reads_an_earlier_layer_normalised(pool: Pool, encoder: TextEncoder) -> None:
    text = pool.text(encoder.refs[0])
    ids = torch.tensor([windows(text, (Part("a red house"),))[0].tokens])
    module = text.encoder
    layers: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda *call: layers.append(call[2]))
        for layer in module.get_submodule("encoder.layers").children()
    ]
    with torch.no_grad():
        module(ids)
        expected = module.get_submodule("final_layer_norm")(layers[-2])
    for hook in hooks:
        hook.remove()
    assert torch.equal(encode(pool, encoder, "a red house", clip_skip=1).hidden, expected)


def test_clip_skip_that_leaves_nothing_is_refused(pool: Pool, encoder: TextEncoder) -> None:
    with pytest.raises(NodeError, match=rf"leaves no layer.*use 0 … {LAYERS - 1}"):
        encode(pool, encoder, "a", clip_skip=LAYERS)


@pytest.fixture(scope="module")
def tiny_xl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StableDiffusionXLPipeline]:
    place = tmp_path_factory.mktemp("xl")
    pipeline = originals.sdxl_pipeline()
    pipeline.save_pretrained(place / "folder")
    originals.write_single(
        place / "file.safetensors", originals.sdxl_weights(pipeline), originals.sdxl_overlay()
    )
    return place, pipeline


@pytest.mark.parametrize("name", ["folder", "file"])
@pytest.mark.parametrize("clip_skip", [0, 1])
def test_an_xl_prompt_is_what_diffusers_makes_of_it(
    tiny_xl: tuple[Path, StableDiffusionXLPipeline], name: str, clip_skip: int
) -> None:
    place, pipeline = tiny_xl
    library = Library([place], Facts(None))
    encoder = library.describe(name).text_encoder
    assert encoder is not None
    xl = Pool(library, device="cpu", dtype="float32", budget_bytes=10**9)
    ours = encode(xl, encoder, "a red house", clip_skip=clip_skip)
    hidden, no_hidden, pooled, no_pooled = pipeline.encode_prompt(
        "a red house", device="cpu", clip_skip=clip_skip or None
    )
    assert ours.hidden.shape == (1, LENGTH, 32 + 64)
    assert torch.equal(ours.hidden, hidden)
    assert ours.pooled is not None
    assert torch.equal(ours.pooled, pooled)
    assert not ours.pooled.is_inference()
    # without a negative prompt the pipeline gives zeros
    assert ours.empty is not None
    assert ours.empty.pooled is not None
    assert torch.equal(ours.empty.hidden, no_hidden)
    assert torch.equal(ours.empty.pooled, no_pooled)


def test_an_xl_model_that_does_not_want_zeros_gets_its_empty_prompt(
    tiny_xl: tuple[Path, StableDiffusionXLPipeline], tmp_path: Path
) -> None:
    _, pipeline = tiny_xl
    pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    pipeline.save_pretrained(tmp_path / "other")
    pipeline.register_to_config(force_zeros_for_empty_prompt=True)
    library = Library([tmp_path], Facts(None))
    encoder = library.describe("other").text_encoder
    assert encoder is not None
    xl = Pool(library, device="cpu", dtype="float32", budget_bytes=10**9)
    empty = encode(xl, encoder, "a red house").empty
    assert empty is not None
    assert torch.equal(empty.hidden, encode(xl, encoder, "").hidden)


# --- windows


def test_a_long_prompt_is_continued_and_not_cut_off(pool: Pool, encoder: TextEncoder) -> None:
    words = ["red", "house"] * 25
    found = encode(pool, encoder, " ".join(words))
    # 50 tokens in windows of less, begin and end included
    assert found.hidden.shape == (1, 2 * LENGTH, WIDTH)
    first = encode(pool, encoder, " ".join(words[: LENGTH - 2]))
    second = encode(pool, encoder, " ".join(words[LENGTH - 2 :]))
    assert torch.equal(found.hidden, torch.cat([first.hidden, second.hidden], dim=1))
    assert found.tokens == first.tokens + second.tokens


def test_each_window_begins_and_ends_and_is_padded(pool: Pool, encoder: TextEncoder) -> None:
    text = pool.text(encoder.refs[0])
    first, second = windows(text, (Part("red " * LENGTH),))
    red = VOCABULARY["red</w>"]
    assert first.tokens == (BEGIN, *[red] * (LENGTH - 2), END)
    assert second.tokens == (BEGIN, red, red, END, *[END] * (LENGTH - 4))


# --- emphasis in numbers


def test_emphasis_scales_its_tokens_and_restores_the_mean(pool: Pool, encoder: TextEncoder) -> None:
    plain = encode(pool, encoder, "a red house").hidden
    strong = encode(pool, encoder, "a (red:1.2) house").hidden
    weights = torch.ones(LENGTH)
    weights[2] = 1.2
    scaled = plain * weights[None, :, None]
    torch.testing.assert_close(strong, scaled * (plain.mean() / scaled.mean()))
    assert strong.mean().item() == pytest.approx(plain.mean().item(), rel=1e-4)


def test_a_weight_of_one_changes_nothing(pool: Pool, encoder: TextEncoder) -> None:
    plain = encode(pool, encoder, "a red house").hidden
    assert torch.equal(encode(pool, encoder, "a (red:1.0) house").hidden, plain)


def test_a_mean_of_about_zero_does_not_blow_up_the_states() -> None:
    states = torch.tensor([[[1.0, 0.0], [-1.0, 0.001]]])
    # the mean goes from 0.00025 to -0.2495: their ratio would turn the states over and all but erase them
    found = weighted_states(states, Window((1, 2), (1.0, 2.0)))
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.0], [-1.0, 0.001]]]))


def test_an_embedding_may_enter_autograd(pool: Pool, encoder: TextEncoder) -> None:
    hidden = encode(pool, encoder, "a (red) house").hidden
    weight = torch.ones(WIDTH, requires_grad=True)
    (gradient,) = torch.autograd.grad((hidden * weight).sum(), weight)
    torch.testing.assert_close(gradient, hidden.sum(dim=(0, 1)))
