"""How far pictures are apart, in numbers that can be counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.pixels import Distance, Sizes, decode, distance


def test_the_distance_counts_pixels_levels_and_noise() -> None:
    before = np.full((2, 3, 4), 255, np.uint8)
    after = before.copy()
    after[0, 0, 0] = 245
    after[0, 0, 1] = 250
    found = distance(before, after)
    assert isinstance(found, Distance)
    assert (found.pixels, found.differing, found.largest) == (6, 1, 10)
    assert found.mean == pytest.approx(15 / 18)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 * 18 / 125))


def test_transparency_counts_where_there_is_any() -> None:
    before = np.zeros((1, 1, 4), np.uint8)
    after = before.copy()
    after[..., 3] = 4
    found = distance(before, after)
    assert isinstance(found, Distance)
    assert (found.differing, found.largest, found.mean) == (1, 4, 1.0)


def test_equal_pictures_have_no_noise_ratio() -> None:
    picture = np.zeros((1, 1, 4), np.uint8)
    found = distance(picture, picture)
    assert isinstance(found, Distance)
    assert found.psnr is None


def test_other_sizes_are_no_distance() -> None:
    found = distance(np.zeros((1, 2, 4), np.uint8), np.zeros((1, 3, 4), np.uint8))
    assert found == Sizes((2, 1), (3, 1))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert decode((tmp_path / "deep.png").read_bytes())[0, :, 0].tolist() == [0, 100, 255]
