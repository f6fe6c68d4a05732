"""Edges: where they must lie follows from pictures whose edges are known."""

from __future__ import annotations

import math

import pytest
import torch

from studio.diffusion.edges import edges
from studio.resources import resource


def square(low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """A square of 20 px, from 10 to 30, in a picture of 40."""
    picture = torch.full((1, 3, 40, 40), low)
    picture[..., 10:30, 10:30] = high
    return picture


def test_the_edges_of_a_square_are_thin_lines_around_it() -> None:
    drawn = edges(square(), 1.0, 0.1, 1.0)
    assert drawn.shape == (1, 1, 40, 40)
    assert bool(((drawn == 0) | (drawn == 1)).all())
    # along a row through the middle: one pixel at either side, which is one of the two at the step
    (places,) = drawn[0, 0, 20].nonzero(as_tuple=True)
    left, right = places.tolist()
    assert left in (9, 10)
    assert right in (29, 30)
    assert not drawn[0, 0, 14:26, 14:26].any()
    assert not drawn[0, 0, :6].any()


def test_a_step_is_found_by_its_height_however_smooth() -> None:
    for smooth in (1.5, 3.0):
        assert edges(square(0.4, 0.55), smooth, 0.1, 1.0).any()
        assert not edges(square(0.4, 0.55), smooth, 0.2, 1.0).any()


def test_a_weak_part_is_drawn_where_it_continues_a_strong_one() -> None:
    """Canny's hysteresis: a line that fades from 1 to 0.1 is whole, one of 0.1 alone is not there."""
    picture = torch.zeros(1, 3, 40, 40)
    picture[..., 20:] = torch.linspace(1, 0.14, 40)[:, None]
    faded = edges(picture, 1.0, 0.2, 1.0)[0, 0, 4:36, 15:25]
    assert bool(faded.any(1).all())
    picture[..., 20:] = 0.14
    assert not edges(picture, 1.0, 0.2, 1.0).any()


def test_a_change_of_colour_without_a_change_of_brightness_is_an_edge() -> None:
    picture = torch.zeros(1, 3, 40, 40)
    picture[:, 0, :, :20] = 0.6
    picture[:, 1, :, 20:] = 0.6
    assert edges(picture, 1.0, 0.3, 1.0)[0, 0, 4:36].any(1).all()


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 7])
def test_lines_are_as_thick_as_asked(thickness: int) -> None:
    drawn = edges(square(), 1.0, 0.1, thickness)
    assert int(drawn[0, 0, 20, :20].sum()) == thickness


def test_turned_pictures_have_turned_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 8, 8, generator=generator)
    picture = torch.nn.functional.interpolate(picture, size=(48, 48), mode="bicubic").clamp(0, 1)
    drawn, turned = edges(picture, 1.5, 0.2, 1.0), edges(picture.mT, 1.5, 0.2, 1.0)
    assert 0 < float(drawn.mean()) < 0.3
    # ties between equal neighbours may fall to the other side
    assert float((drawn.mT - turned).abs().mean()) < 0.02


def test_a_batch_is_drawn_as_each_picture_alone() -> None:
    from PIL import Image

    file = resource("..", "workflows", "pictures", "house.png")
    with Image.open(file) as opened:
        data = torch.tensor(list(opened.convert("RGB").tobytes()), dtype=torch.uint8)
        side = math.isqrt(len(data) // 3)
    picture = data.view(1, side, side, 3).permute(0, 3, 1, 2).float() / 255
    both = edges(torch.cat([picture, picture.flip(-1)]), 1.0, 0.1, 2.0)
    assert torch.equal(both[:1], edges(picture, 1.0, 0.1, 2.0))
    assert 0.02 < float(both.mean()) < 0.4
