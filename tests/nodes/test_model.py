from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from nodes.model import load_model, load_text_encoder, load_unet, load_vae
from studio.errors import ModelError
from studio.facts import Facts
from studio.graph import Json, Key, NodeKind
from studio.models.library import Library
from studio.registry import FoundFile, Models, node_type
from studio.values import Described


class Planner:
    """What a describing node is given; its library holds the starter and a model without text and VAE."""

    def __init__(self) -> None:
        self.library = Library([], Facts(None))

    @property
    def models(self) -> Models:
        return self

    def describe(self, name: str) -> Described:
        if name != "pixels":
            return self.library.describe(name)
        model = self.library.describe("starter").model
        return Described(model, missing={"vae": "pixels has no vae"})

    def refuse_new(self, name: str, key: Key, *, is_replacing: bool) -> None:
        raise AssertionError("no node here saves a model")

    def files(
        self, folder: str, endings: Collection[str], look: Callable[[Path], Json]
    ) -> Sequence[FoundFile]:
        raise AssertionError("no node here reads a folder")

    def known(self, compute: Callable[..., Json], *args: object) -> Json:
        raise AssertionError("no node here needs a fact")


def test_a_whole_model_has_three_outputs() -> None:
    declared = node_type(load_model)
    assert declared is not None
    assert declared.kind is NodeKind.DESCRIBE
    assert [port.name for port in declared.outputs] == ["model", "text_encoder", "vae"]


def test_the_parts_are_those_of_the_whole() -> None:
    ctx = Planner()
    whole = load_model(ctx)
    assert load_unet(ctx) == whole.model
    assert load_text_encoder(ctx) == whole.text_encoder
    assert load_vae(ctx) == whole.vae


def test_a_missing_part_is_named_with_its_reason() -> None:
    with pytest.raises(ModelError, match=r"^\.model: no vae: pixels has no vae"):
        load_vae(Planner(), "pixels")
    assert load_unet(Planner(), "pixels").family == "starter"


def test_an_unknown_model_says_which_there_are() -> None:
    with pytest.raises(ModelError, match=r'^\.model: there is no model .*did you mean "starter"'):
        load_model(Planner(), "startre")


def test_a_model_of_the_wanted_content_is_taken_and_another_refused() -> None:
    ctx = Planner()
    digest = ctx.describe("starter").digest
    assert load_model(ctx, digest=digest) == load_model(ctx)
    with pytest.raises(ModelError, match=f'"starter" has the digest {digest}, not 00') as caught:
        load_model(ctx, digest="00")
    assert caught.value.located("model").where == "model.digest"


def test_a_missing_model_says_which_content_is_meant() -> None:
    with pytest.raises(ModelError, match="the one that is meant has the digest 00"):
        load_model(Planner(), "nowhere", digest="00")
