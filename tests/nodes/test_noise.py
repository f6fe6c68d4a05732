"""Noise nodes: descriptions, and what they refuse."""

from __future__ import annotations

import pytest

from nodes.noise import noise_source, noise_variation
from studio.errors import NodeError
from studio.registry import node_type
from studio.values import Noise


def test_seeds_of_a_batch_count_up_and_wrap_at_two_to_the_64() -> None:
    noise = noise_source(seed=2**64 - 2, batch=3)
    assert noise.seeds == (2**64 - 2, 2**64 - 1, 0)


def test_a_source_describes_size_and_scheme() -> None:
    assert noise_source(5, 256, 64, 1, "compatible") == Noise((5,), 256, 64, "compatible")


def test_an_absurd_number_of_pixels_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        NodeError, match="5 × 8192 × 8192 px are 336 million pixels; stay below 268"
    ):
        noise_source(0, 8192, 8192, 5)


def test_a_side_that_is_no_multiple_of_eight_is_refused() -> None:
    declared = node_type(noise_source)
    assert declared is not None
    width = declared.param("width")
    assert width is not None
    with pytest.raises(ValueError, match="100 is not a multiple of 8"):
        width.check(100)


def test_the_output_is_called_latents() -> None:
    declared = node_type(noise_source)
    assert declared is not None
    assert [(port.name, port.type) for port in declared.outputs] == [("latents", Noise)]


def test_a_variation_names_the_other_seed_and_how_far() -> None:
    assert noise_variation(noise_source(), 9, 0.25).variation == (9, 0.25)


def test_a_variation_of_strength_0_is_the_noise_itself() -> None:
    assert noise_variation(noise_source(3), 9, 0.0) == noise_source(3)
