"""Latent nodes against their formulas."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from nodes.latent import (
    empty_latents,
    forward_diffusion,
    latent_batch,
    latent_blend,
    latent_composite,
    latent_crop,
    latent_pick,
    latent_upscale,
)
from studio.diffusion.noise import initial
from studio.errors import NodeError
from studio.graph import Json
from studio.values import Latents, Mask, Model, ModelRef, Noise, Schedule

MODEL = Model(ModelRef("m", "unet", "0" * 64), "starter", "starter", 4, 4, 8, 128, {})


def ramp(batch: int = 1, height: int = 4, width: int = 6) -> Latents:
    count = batch * 4 * height * width
    return Latents(torch.arange(count, dtype=torch.float32).view(batch, 4, height, width), "sd1")


def test_empty_latents_have_the_models_shape() -> None:
    empty = empty_latents(MODEL, 256, 128, 2)
    assert empty.samples.equal(torch.zeros(2, 4, 16, 32))
    assert empty.family == "starter"


def test_a_size_between_two_latents_is_refused() -> None:
    model = Model(MODEL.ref, "deep", "deep", 4, 4, 32, 128, {})
    with pytest.raises(NodeError, match="multiples of 32"):
        empty_latents(model, 136, 128)


def test_nearest_upscaling_repeats_every_latent() -> None:
    latents = ramp()
    doubled = latent_upscale(latents, 2.0, "nearest")
    assert doubled.samples.equal(latents.samples.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert doubled.family == "sd1"


def test_smooth_upscaling_of_a_constant_is_that_constant() -> None:
    smooth = latent_upscale(Latents(torch.full((1, 4, 3, 3), -2.5)), 1.5, "lanczos").samples
    assert smooth.shape == (1, 4, 4, 4)
    torch.testing.assert_close(smooth, torch.full((1, 4, 4, 4), -2.5))


def test_blending_linearly_is_the_weighted_mean() -> None:
    blended = latent_blend(ramp(), Latents(torch.zeros(1, 4, 4, 6)), 0.25)
    assert blended.samples.equal(ramp().samples * 0.75)


def test_blending_along_the_sphere_keeps_the_length_of_noise() -> None:
    first, second = torch.randn(2, 1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    second = second * first.norm() / second.norm()
    turned = latent_blend(Latents(first), Latents(second), 0.5, "spherical").samples
    assert turned.norm().item() == pytest.approx(first.norm().item(), rel=1e-5)


def test_blending_spherically_is_each_pictures_own_affair() -> None:
    pair = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    other = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    both = latent_blend(Latents(pair), Latents(other), 0.3, "spherical").samples
    alone = latent_blend(Latents(pair[1:]), Latents(other), 0.3, "spherical").samples
    assert both[1].equal(alone[0])


def test_cropping_takes_the_rectangle() -> None:
    assert latent_crop(ramp(), 1, 2, 3, 2).samples.equal(ramp().samples[..., 2:4, 1:4])


def test_cropping_beyond_the_edge_is_refused_with_numbers() -> None:
    with pytest.raises(NodeError, match=r"4 × 4 from \(3, 0\) reach beyond 6 × 4"):
        latent_crop(ramp(), 3, 0, 4, 4)


def test_a_composite_cuts_what_stands_over_and_keeps_the_rest() -> None:
    over = Latents(torch.full((1, 4, 3, 3), -1.0))
    expected = ramp().samples.clone()
    expected[..., :2, 5:] = -1.0
    assert latent_composite(ramp(), over, None, 5, -1).samples.equal(expected)


def test_a_composite_far_away_changes_nothing() -> None:
    assert latent_composite(ramp(), ramp(), None, 50, 0).samples.equal(ramp().samples)


def test_a_composite_follows_its_mask_at_latent_size() -> None:
    mask = torch.zeros(1, 1, 32, 48)
    mask[..., :28] = 1.0  # three latents and a half
    zeros = Latents(torch.zeros(1, 4, 4, 6))
    found = latent_composite(zeros, ramp(), Mask(mask)).samples
    assert found[..., :3].equal(ramp().samples[..., :3])
    assert found[..., 3].equal(ramp().samples[..., 3] / 2)
    assert not found[..., 4:].any()


def test_batches_join_in_order_and_come_apart_again() -> None:
    joined = latent_batch(ramp(2), Latents(torch.zeros(1, 4, 4, 6)))
    assert latent_pick(joined, 0, 2).samples.equal(ramp(2).samples)
    assert not latent_pick(joined, 2, 1).samples.any()


def test_picking_beyond_the_batch_is_refused() -> None:
    with pytest.raises(NodeError, match=r"pictures 1 … 2 are not in a batch of 2"):
        latent_pick(ramp(2), 1, 2)


def test_latents_of_two_sizes_are_refused_by_both_sizes() -> None:
    with pytest.raises(NodeError, match="6 × 4 and 3 × 3"):
        latent_batch(ramp(), Latents(torch.zeros(1, 4, 3, 3)))


def test_latents_of_two_kinds_are_refused() -> None:
    with pytest.raises(NodeError, match="4 and 16 channels"):
        latent_composite(ramp(), Latents(torch.zeros(1, 16, 4, 6)))


def test_forward_diffusion_is_the_closed_form() -> None:
    config: dict[str, Json] = {
        "beta_schedule": "linear",
        "timestep_spacing": "trailing",
        "clip_sample": False,
    }
    scheduler = DDIMScheduler(**config)
    scheduler.set_timesteps(10)
    noise = Noise((3, 4), 48, 32)
    latents = Latents(ramp().samples / 100, "sd1")
    noised = forward_diffusion(latents, noise, Schedule("DDIMScheduler", config, 10), 4)
    alpha_bar = scheduler.alphas_cumprod[scheduler.timesteps[4]]
    drawn = torch.cat([initial(noise, lane, 4, 4, 6).samples for lane in (0, 1)])
    expected = alpha_bar.sqrt() * latents.samples + (1 - alpha_bar).sqrt() * drawn
    torch.testing.assert_close(noised.samples, expected, rtol=1e-6, atol=1e-6)
    assert noised.family == "sd1"
