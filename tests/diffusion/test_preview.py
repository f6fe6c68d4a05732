"""Previews: the fitted map on latents that it was not fitted to, and what has no map."""

from __future__ import annotations

import timeit

import pytest
import torch
from diffusers import StableDiffusionPipeline

from studio.diffusion.preview import Map, fit, fitted, preview
from studio.resources import resource


@pytest.fixture(scope="module")
def painted() -> tuple[torch.Tensor, torch.Tensor]:
    """Final latents of the starter for prompts and seeds that the map was not fitted to, and their pictures."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        resource("starter"), torch_dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.cat(
        [
            pipeline(
                f"{style} picture of a {subject}",
                num_inference_steps=8,
                guidance_scale=4.0,
                generator=torch.Generator().manual_seed(1000 + seed),
                output_type="latent",
            ).images
            for seed, (style, subject) in enumerate(
                [
                    ("flat", "blue house at night"),
                    ("watercolor", "red sailboat on the sea at sunset"),
                    ("flat", "white snowman in the forest by day"),
                ]
            )
        ]
    )
    with torch.no_grad():
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return latents, (decoded / 2 + 0.5).clamp(0, 1)


def explained(shown: torch.Tensor, pictures: torch.Tensor) -> float:
    """The share of the pictures' variance that small pictures explain."""
    pooled = torch.nn.functional.adaptive_avg_pool2d(pictures, (shown.shape[2], shown.shape[3]))
    return 1 - ((shown - pooled).square().mean() / pooled.var()).item()


def test_the_starters_map_explains_pictures_that_it_was_not_fitted_to(
    painted: tuple[torch.Tensor, torch.Tensor],
) -> None:
    latents, pictures = painted
    shown = preview(latents, "starter").pixels
    assert shown.shape == (3, 3, 16, 16)
    assert explained(shown, pictures) > 0.8


def test_false_colours_explain_less_than_the_map(
    painted: tuple[torch.Tensor, torch.Tensor],
) -> None:
    latents, pictures = painted
    assert explained(preview(latents, "unheard of").pixels, pictures) < 0.5


def test_fitting_finds_the_map_that_made_the_pictures() -> None:
    generator = torch.Generator().manual_seed(0)
    true = Map(
        ((0.1, -0.2, 0.0, 0.3), (0.05, 0.1, 0.2, 0.0), (0.0, 0.0, -0.1, 0.25)), (0.5, 0.4, 0.6)
    )
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    pictures = true(latents).repeat_interleave(8, 2).repeat_interleave(8, 3)
    assert fit(latents, pictures) == true


def test_a_map_reads_what_it_writes() -> None:
    import json

    found = fitted("starter")
    assert found is not None
    assert Map.parse(json.dumps(found.json())) == found


@pytest.mark.parametrize("channels", [1, 4, 16])
def test_a_family_without_a_map_is_shown_in_colours_that_fill_the_range(channels: int) -> None:
    samples = torch.randn(1, channels, 8, 8, generator=torch.Generator().manual_seed(0)) * 30 + 7
    shown = preview(samples, "").pixels
    assert shown.shape == (1, 3, 8, 8)
    assert shown.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shown.std().item() == pytest.approx(0.25, abs=0.03)


def test_latents_of_another_width_than_the_familys_map_are_shown_all_the_same() -> None:
    assert preview(torch.zeros(1, 16, 4, 4), "starter").pixels.shape == (1, 3, 4, 4)


def test_pixels_are_their_own_preview() -> None:
    samples = torch.tensor([-1.0, 0.0, 3.0]).view(1, 3, 1, 1)
    assert preview(samples, "pixels").pixels.flatten().tolist() == [0.0, 0.5, 1.0]


def test_a_preview_of_half_precision_is_float32() -> None:
    assert (
        preview(torch.zeros(1, 4, 2, 2, dtype=torch.bfloat16), "starter").pixels.dtype
        is torch.float32
    )


def test_a_preview_costs_less_than_a_millisecond() -> None:
    samples = torch.zeros(1, 4, 64, 64)
    preview(samples, "starter")
    assert min(timeit.repeat(lambda: preview(samples, "starter"), number=1, repeat=20)) < 1e-3
