"""Guidance nodes: the value over the run."""

from __future__ import annotations

import pytest

from nodes.guidance import guidance_curve, guidance_interval
from studio.errors import NodeError
from studio.values import Guidance


def test_whole_numbers_make_the_same_description_as_decimals() -> None:
    curve = guidance_curve([[0, 7], [1, 3]], smooth=True)
    assert repr(curve) == repr(Guidance(((0.0, 7.0), (1.0, 3.0)), True))


def test_a_smooth_curve_goes_straight_between_points() -> None:
    assert guidance_curve([[0.0, 8.0], [1.0, 4.0]], smooth=True).at(0.25) == 7.0


def test_a_stepped_curve_holds_until_the_next_point() -> None:
    curve = guidance_curve([[0.0, 8.0], [0.6, 4.0]], smooth=False)
    assert [curve.at(share) for share in (0.0, 0.55, 0.6, 1.0)] == [8.0, 8.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.2, 0.8, [1.0, 5.0, 5.0, 1.0, 1.0]),
        (0.0, 0.5, [5.0, 5.0, 1.0, 1.0, 1.0]),
        (0.5, 1.0, [1.0, 1.0, 5.0, 5.0, 5.0]),
    ],
)
def test_an_interval_guides_inside_only(start: float, end: float, expected: list[float]) -> None:
    interval = guidance_interval(5.0, start, end)
    assert [interval.at(share) for share in (0.0, 0.25, 0.5, 0.8, 1.0)] == expected


def test_an_empty_interval_is_refused() -> None:
    with pytest.raises(NodeError, match=r"from 0\.6 to 0\.6 is empty"):
        guidance_interval(5.0, 0.6, 0.6)
