"""Mask nodes against geometry, and masks over the run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from nodes.mask import (
    combine_masks,
    feather_mask,
    grow_mask,
    inpaint_mask,
    invert_mask,
    join_masks,
    load_mask,
    mask_from_color,
    mask_switch,
    mask_window,
)
from studio.errors import NodeError
from studio.graph import Json
from studio.values import Image, Mask, Masks


def stroke(*points: tuple[float, float], radius: float, **more: Json) -> Json:
    return {"points": [[x, y] for x, y in points], "radius": radius, **more}


def dot(radius: float = 0.25, **more: Json) -> Json:
    return stroke((0.5, 0.5), radius=radius, **more)


def area(mask: Mask) -> float:
    return mask.alpha.sum().item()


def test_without_anything_nothing_is_repainted() -> None:
    assert inpaint_mask(width=24, height=16).alpha.equal(torch.zeros(1, 1, 16, 24))


def test_a_hard_dot_has_the_area_of_a_disc() -> None:
    mask = inpaint_mask(strokes=[dot(0.25)], width=200, height=100)
    assert area(mask) == pytest.approx(math.pi * 50**2, rel=2e-3)
    assert mask.alpha[0, 0, 50, 100] == 1.0


def test_a_line_has_the_area_of_a_stadium() -> None:
    mask = inpaint_mask(
        strokes=[stroke((0.25, 0.5), (0.75, 0.5), radius=0.1)], width=200, height=80
    )
    assert area(mask) == pytest.approx(100 * 40 + math.pi * 20**2, rel=2e-3)


def test_a_bent_line_covers_no_more_than_its_parts() -> None:
    ends = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8))
    bent = inpaint_mask(strokes=[stroke(*ends, radius=0.05)]).alpha
    first = inpaint_mask(strokes=[stroke(*ends[:2], radius=0.05)]).alpha
    second = inpaint_mask(strokes=[stroke(*ends[1:], radius=0.05)]).alpha
    assert bent.equal(torch.maximum(first, second))


def test_edges_are_antialiased() -> None:
    edge = inpaint_mask(strokes=[dot(0.25)]).alpha
    assert ((edge > 0) & (edge < 1)).any()


def test_a_soft_brush_falls_linearly_to_its_radius() -> None:
    mask = inpaint_mask(strokes=[dot(0.25, hardness=0.0)], width=128, height=128)
    # radius 32 px; the centre of pixel (79, 64) lies 15.5 right of and 0.5 below the dot's
    assert mask.alpha[0, 0, 64, 79].item() == pytest.approx(1 - math.hypot(15.5, 0.5) / 32)
    assert mask.alpha[0, 0, 64, 97] == 0.0


def test_erasing_and_painting_again_happen_in_order() -> None:
    erased = inpaint_mask(strokes=[dot(0.3), dot(0.1, erase=True)])
    assert erased.alpha[0, 0, 64, 64] == 0.0
    assert erased.alpha[0, 0, 64, 90] == 1.0
    again = inpaint_mask(strokes=[dot(0.3), dot(0.1, erase=True), dot(0.05)])
    assert again.alpha[0, 0, 64, 64] == 1.0


def test_crossing_a_soft_stroke_again_does_not_darken() -> None:
    soft = dot(0.3, hardness=0.2)
    assert inpaint_mask(strokes=[soft, soft]).alpha.equal(inpaint_mask(strokes=[soft]).alpha)


def test_strokes_outside_the_picture_paint_nothing() -> None:
    assert area(inpaint_mask(strokes=[stroke((3.0, -2.0), radius=0.1)])) == 0.0


def test_the_picture_gives_the_size_and_the_mask_is_fitted_to_it() -> None:
    image = Image(torch.zeros(1, 3, 32, 48))
    assert inpaint_mask(image, Mask(torch.ones(2, 1, 16, 24))).alpha.equal(torch.ones(2, 1, 32, 48))


def test_strokes_are_painted_on_the_mask_that_is_given() -> None:
    given = torch.zeros(1, 1, 64, 64)
    given[..., :8] = 1.0
    mask = inpaint_mask(mask=Mask(given), strokes=[dot(0.1)]).alpha
    assert mask[..., :8].all()
    assert mask[0, 0, 32, 32] == 1.0
    assert given[0, 0, 32, 32] == 0.0


def test_inverting_comes_last() -> None:
    kept = inpaint_mask(strokes=[dot()], grow=4, feather=6.0)
    assert inpaint_mask(strokes=[dot()], grow=4, feather=6.0, invert=True).alpha.equal(
        1 - kept.alpha
    )


def point(size: int = 41) -> Mask:
    alpha = torch.zeros(1, 1, size, size)
    alpha[0, 0, size // 2, size // 2] = 1.0
    return Mask(alpha)


def test_growing_a_point_gives_every_pixel_within_the_distance() -> None:
    y, x = np.mgrid[-20:21, -20:21]
    expected = x**2 + y**2 <= 7**2
    assert np.array_equal(grow_mask(point(), 7).alpha[0, 0].numpy() == 1.0, expected)


def test_growing_keeps_soft_values() -> None:
    half = Mask(point().alpha * 0.5)
    assert grow_mask(half, 3).alpha.max().item() == 0.5


def test_shrinking_undoes_growing_a_disc() -> None:
    disc = grow_mask(point(), 6)
    assert grow_mask(grow_mask(disc, 5), -5).alpha.equal(disc.alpha)


def test_shrinking_does_not_eat_from_the_edge_of_the_picture() -> None:
    alpha = torch.zeros(1, 1, 9, 9)
    alpha[..., :4] = 1.0
    assert grow_mask(Mask(alpha), -2).alpha[0, 0, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_growing_further_than_the_picture_is_wide_fills_it() -> None:
    assert grow_mask(point(9), 400).alpha.all()


def test_feathering_spreads_a_point_as_a_gaussian() -> None:
    mask = feather_mask(point(), 6.0)
    weights = mask.alpha[0, 0].double()
    offsets = torch.arange(-20, 21, dtype=torch.float64)
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-5)
    variance = (weights.sum(0) * offsets**2).sum().item()
    assert variance == pytest.approx(3.0**2, rel=0.01)


def test_feathering_leaves_the_other_pictures_alone() -> None:
    pair = Mask(torch.cat([point().alpha, torch.zeros(1, 1, 41, 41)]))
    assert not feather_mask(pair, 6.0).alpha[1].any()


def test_a_feather_of_0_changes_nothing() -> None:
    assert feather_mask(point(), 0.0).alpha.equal(point().alpha)


def test_inverting_exchanges_repaint_and_keep() -> None:
    assert invert_mask(Mask(torch.tensor([[[[0.0, 0.25, 1.0]]]]))).alpha.flatten().tolist() == [
        1.0,
        0.75,
        0.0,
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("union", [0.0, 1.0, 1.0, 1.0]),
        ("intersect", [0.0, 0.0, 0.0, 1.0]),
        ("subtract", [0.0, 0.0, 1.0, 0.0]),
    ],
)
def test_masks_combine_as_sets(mode: str, expected: list[float]) -> None:
    first = Mask(torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]]))
    second = Mask(torch.tensor([[[[0.0, 1.0, 0.0, 1.0]]]]))
    assert combine_masks(first, second, mode).alpha.flatten().tolist() == expected


def test_the_second_mask_is_fitted_to_the_first() -> None:
    assert combine_masks(point(41), Mask(torch.ones(1, 1, 8, 8))).alpha.shape == (1, 1, 41, 41)


def test_a_colour_is_found_within_its_tolerance() -> None:
    pixels = torch.tensor([[255, 0, 0], [250, 5, 5], [0, 0, 255]]).T.view(1, 3, 1, 3) / 255
    found = [
        mask_from_color(Image(pixels), "#ff0000", tolerance).alpha.flatten().tolist()
        for tolerance in (0.0, 0.02, 0.9)
    ]
    assert found == [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]


def test_softness_fades_beyond_the_tolerance() -> None:
    grey = Image(torch.full((1, 3, 1, 1), 0.25))
    # black and grey are 0.25 of the distance from black to white apart
    mask = mask_from_color(grey, "#000000", tolerance=0.15, softness=0.2)
    assert mask.alpha.item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("text", ["red", "#fff", "ff0000", "#gg0000"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(NodeError, match="is no colour; write it as #rrggbb"):
        mask_from_color(Image(torch.zeros(1, 3, 1, 1)), text)


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("red", 10),
        ("green", 20),
        ("blue", 200),
        ("alpha", 40),
        (
            "luminance",
            38,
        ),  # (299 · 10 + 587 · 20 + 114 · 200) / 1000 = 37.5, in Pillow's fixed point 38
    ],
)
def test_a_mask_is_one_channel_of_a_file(tmp_path: Path, channel: str, expected: int) -> None:
    path = tmp_path / "mask.png"
    PIL.Image.new("RGBA", (2, 1), (10, 20, 200, 40)).save(path)
    mask = load_mask(str(path), channel)
    assert mask.alpha.flatten().tolist() == pytest.approx([expected / 255] * 2)
    inverted = load_mask(str(path), channel, invert=True)
    assert inverted.alpha.equal(1 - mask.alpha)


def test_a_mask_of_sixteen_bits_keeps_its_precision(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    PIL.Image.fromarray(np.array([[1, 65535]], np.uint16)).save(path)
    assert load_mask(str(path)).alpha.flatten().tolist() == pytest.approx([1 / 65535, 1.0])


def test_an_opaque_file_has_full_alpha(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    PIL.Image.new("L", (2, 2), 0).save(path)
    assert load_mask(str(path), "alpha").alpha.all()


def windows(masks: Masks) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in masks.spans]


def test_a_window_says_when_a_mask_acts() -> None:
    assert windows(mask_window(Masks.of(point()), 0.2, 0.7)) == [(0.2, 0.7)]


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(NodeError, match=r"from 0\.5 to 0\.5 is empty"):
        mask_window(Masks.of(point()), 0.5, 0.5)


def test_a_switch_hands_over_from_one_mask_to_the_other() -> None:
    first, then = point(3), point(5)
    switched = mask_switch(Masks.of(first), Masks.of(then), 0.4)
    assert windows(switched) == [(0.0, 0.4), (0.4, 1.0)]
    assert [span.source for span in switched.spans] == [first, then]


def test_joined_masks_keep_their_windows() -> None:
    first = Masks.of(point()).within(0.0, 0.6)
    second = Masks.of(point()).within(0.3, 1.0)
    assert windows(join_masks(first, second)) == [(0.0, 0.6), (0.3, 1.0)]
