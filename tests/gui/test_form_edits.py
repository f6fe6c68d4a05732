"""The form of a workflow as a value: published, ordered, labelled, and following what else is edited."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio.errors import GraphError
from studio.graph import Json
from studio.gui import edits
from studio.gui.edits import Address
from studio.workflow import Workflow, dumps, loads
from tests.gui.test_edits import BASE as SHIPPED
from tests.gui.test_edits import TYPES

BASE = replace(SHIPPED, view={key: value for key, value in SHIPPED.view.items() if key != "form"})


def at(text: str) -> Address:
    return Address.parse(text)


def published(w: Workflow) -> list[str]:
    return [str(one.address) for one in edits.form(w, TYPES)]


def with_form(*addresses: str, w: Workflow = BASE) -> Workflow:
    for address in addresses:
        w = edits.publish(w, TYPES, at(address))
    return w


FORM = with_form("prompt.prompt", "noise.seed", "denoise.guidance")


def test_what_is_published_stands_in_order_with_value_and_label() -> None:
    first = edits.form(FORM, TYPES)[0]
    assert published(FORM) == ["prompt.prompt", "noise.seed", "denoise.guidance"]
    assert first.label == "prompt"
    assert first.value == BASE.graph.node("prompt").params["prompt"]
    labelled = edits.set_label(FORM, at("prompt.prompt"), " What to see ")
    assert edits.form(labelled, TYPES)[0].label == "What to see"
    assert edits.set_label(labelled, at("prompt.prompt"), "") == FORM
    assert labelled.view["form"] == [
        {"param": "prompt.prompt", "label": "What to see"},
        {"param": "noise.seed"},
        {"param": "denoise.guidance"},
    ]
    assert loads(dumps(labelled)) == labelled


def test_publishing_again_moves() -> None:
    w = edits.publish(FORM, TYPES, at("denoise.guidance"), 0)
    assert published(w) == ["denoise.guidance", "prompt.prompt", "noise.seed"]
    assert edits.publish(w, TYPES, at("denoise.guidance"), 0) == w
    w = edits.publish(w, TYPES, at("denoise.guidance"), 2)
    assert published(w) == ["prompt.prompt", "denoise.guidance", "noise.seed"]
    assert published(edits.publish(w, TYPES, at("prompt.prompt"))) == [
        "denoise.guidance",
        "noise.seed",
        "prompt.prompt",
    ]
    assert published(edits.unpublish(w, at("noise.seed"))) == ["prompt.prompt", "denoise.guidance"]


def test_what_is_no_parameter_is_refused() -> None:
    for address in ("nowhere.prompt", "prompt.nothing", "group/prompt.prompt"):
        with pytest.raises(GraphError, match="is no parameter"):
            edits.publish(BASE, TYPES, at(address))


def test_renaming_and_removing_nodes_is_followed() -> None:
    w = edits.rename(FORM, "prompt", "words")
    assert published(w) == ["words.prompt", "noise.seed", "denoise.guidance"]
    w = edits.remove(w, ["noise"])
    assert w.view["form"] == [{"param": "words.prompt"}, {"param": "denoise.guidance"}]


def test_nodes_are_followed_into_groups_and_out_again() -> None:
    grouped, _ = edits.group(FORM, TYPES, ["denoise", "prompt"], "paint")
    assert published(grouped) == ["paint/prompt.prompt", "noise.seed", "paint/denoise.guidance"]
    assert "form" not in grouped.groups["paint"].view
    deep, _ = edits.group(grouped, TYPES, ["paint", "decode"], "whole")
    assert published(deep)[0] == "whole/paint/prompt.prompt"
    body = edits.inside(deep, ("whole", "paint"))
    renamed = edits.rename(body, "prompt", "words")
    deep = edits.with_inside(deep, TYPES, ("whole", "paint"), renamed, {"prompt": "words"})
    assert published(deep)[0] == "whole/paint/words.prompt"
    body = edits.remove(edits.inside(deep, ("whole", "paint")), ["words"])
    gone = edits.with_inside(deep, TYPES, ("whole", "paint"), body)
    assert published(gone) == ["noise.seed", "whole/paint/denoise.guidance"]
    apart, _ = edits.ungroup(deep, TYPES, ["whole"])
    apart, _ = edits.ungroup(apart, TYPES, ["paint"])
    assert published(apart) == ["words.prompt", "noise.seed", "denoise.guidance"]


def test_a_parameter_on_the_node_of_a_group_is_followed() -> None:
    w, _ = edits.group(BASE, TYPES, ["denoise"], "paint")
    w = with_form("paint.guidance", w=edits.expose(w, TYPES, "paint", "denoise", "guidance"))
    renamed = edits.rename_shown(w, "paint", "params", "guidance", "strength")
    assert published(renamed) == ["paint.strength"]
    assert published(edits.ungroup(renamed, TYPES, ["paint"])[0]) == ["denoise.guidance"]
    assert "form" not in edits.conceal(renamed, "paint", "strength").view


def test_the_form_comes_along_with_pasted_nodes_but_copies_are_not_doubled() -> None:
    text = edits.copy_text(FORM, ["prompt", "noise"])
    other, _ = edits.add_node(Workflow(), TYPES, "text_encoder")
    pasted, _ = edits.paste_text(other, TYPES, text, None)
    assert published(pasted) == ["prompt_2.prompt", "noise.seed"]
    again, _ = edits.paste_text(FORM, TYPES, text, None)
    assert published(again) == published(FORM)
    twice, _ = edits.duplicate(FORM, ["prompt"])
    assert published(twice) == published(FORM)


@pytest.mark.parametrize(
    "junk",
    [7, "prompt.prompt", [1, None, "x", {}, {"param": 3}, {"param": "nodot"}, {"param": "a."}]],
)
def test_what_cannot_be_read_is_passed_over_and_kept(junk: Json) -> None:
    w = replace(BASE, view={**BASE.view, "form": junk})
    assert published(w) == []
    w = edits.remove(edits.rename(w, "prompt", "words"), ["noise"])
    assert w.view["form"] == junk
    if isinstance(junk, list):
        assert published(with_form("denoise.guidance", w=w)) == ["denoise.guidance"]
