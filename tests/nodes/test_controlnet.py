from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from nodes.controlnet import acting, check_fit, control
from studio.errors import GraphError, NodeError
from studio.graph import Key, Ref
from studio.values import Blocks, Control, ControlNet, Controls, Image, Model, ModelRef, Span

BLOCKS = Blocks((320, 320, 640, 640), 768)
NET = ControlNet(ModelRef("canny", "controlnet", "0" * 64), "sd1", 4, 8, BLOCKS)
MODEL = Model(ModelRef("m", "unet", "1" * 64), "sd1", "sd1", 4, 4, 8, 512, {}, BLOCKS)
EDGES, DEPTH = Ref(Key("e" * 40), "image"), Ref(Key("d" * 40), "image")


def followed(picture: Ref, before: Controls | None = None, **params: float) -> Controls:
    """The node as planning calls it: with a reference for the picture."""
    return control(NET, cast("Image", picture), before, **params)


def test_a_control_is_a_span_of_the_run() -> None:
    assert followed(EDGES, strength=0.5, start=0.2, end=0.8) == Controls(
        (Span(Control(NET, EDGES), 0.2, 0.8, 0.5),)
    )


def test_controls_are_chained_in_order() -> None:
    both = followed(DEPTH, followed(EDGES))
    assert [span.source for span in both.spans] == [Control(NET, EDGES), Control(NET, DEPTH)]


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(NodeError, match=r"the window from 0\.8 to 0\.2 is empty; let start < end"):
        followed(EDGES, start=0.8, end=0.2)


def test_a_step_reads_only_the_controls_that_act_in_it() -> None:
    both = followed(DEPTH, followed(EDGES, end=0.5), strength=0.7, start=0.4)
    assert acting(both, 3, 10) == (
        {"controlnets": [NET.ref], "control_strengths": [1.0]},
        {"control.0": EDGES},
    )
    assert acting(both, 4, 10) == (
        {"controlnets": [NET.ref, NET.ref], "control_strengths": [1.0, 0.7]},
        {"control.0": EDGES, "control.1": DEPTH},
    )
    # the first of those that act is the first, whichever that is
    assert acting(both, 5, 10) == (
        {"controlnets": [NET.ref], "control_strengths": [0.7]},
        {"control.0": DEPTH},
    )
    assert acting(followed(EDGES, strength=0.0), 0, 10) == ({}, {})
    assert acting(None, 0, 10) == ({}, {})


@pytest.mark.parametrize("family", ["sd1", "sd1_inpaint", ""])
def test_a_controlnet_fits_the_models_of_its_family_and_those_for_inpainting(family: str) -> None:
    check_fit(followed(EDGES), replace(MODEL, family=family, in_channels=9))


def test_every_control_of_a_chain_must_fit() -> None:
    other = replace(NET, ref=replace(NET.ref, name="depth"), family="sdxl")
    chained = control(other, cast("Image", DEPTH), followed(EDGES))
    with pytest.raises(
        GraphError, match='"depth" is a ControlNet for sdxl, the model is sd1; load a ControlNet'
    ):
        check_fit(chained, MODEL)


def test_a_network_without_blocks_to_control_takes_none() -> None:
    with pytest.raises(GraphError, match='"canny" is a ControlNet, and "m" takes none; take the'):
        check_fit(followed(EDGES), replace(MODEL, blocks=None))
