"""Noise by address: reproducible, apart for every seed and step, and in the compatible schemes what diffusers draws."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import diffusers
import pytest
import torch

from studio.diffusion import noise as noises
from studio.errors import NodeError
from studio.values import Noise

# drawn by version 1 of the scheme; if they change, its version must
GOLDEN = [0.72776859998703, -0.39881983399391174, -0.3784010112285614, -2.027451992034912]
SEEDS = (0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def _drawn(seed: int, step: int) -> torch.Tensor:
    return torch.randn(16, generator=noises.generator(seed, step))


def _start(seed: int, scheme: str = "addressed") -> noises.Start:
    return noises.initial(Noise((seed,), 64, 48, scheme), 0, 4, 6, 8)


def test_noise_of_an_address_is_always_the_same() -> None:
    drawn = torch.randn(4, generator=noises.generator(2**64 - 1, 3))
    torch.testing.assert_close(drawn, torch.tensor(GOLDEN), rtol=0, atol=1e-6)


def test_every_seed_and_step_has_noise_of_its_own() -> None:
    drawn = [_drawn(seed, step) for seed in SEEDS for step in (-1, 0, 1, 999)]
    drawn += [_start(seed).samples.flatten()[:16] for seed in SEEDS]
    same = [i for i, (a, b) in enumerate(itertools.combinations(drawn, 2)) if torch.equal(a, b)]
    # the initial noise is that of step -1
    assert len(same) == len(SEEDS)


def test_a_brownian_seed_is_no_step_of_the_run() -> None:
    assert len({noises.brownian_seed(seed) for seed in SEEDS}) == len(SEEDS)
    assert noises.brownian_seed(5) != noises.generator(5, 0).initial_seed()


def test_initial_noise_is_float32_of_unit_variance() -> None:
    samples = noises.initial(Noise((3,), 512, 512), 0, 4, 128, 128).samples
    assert samples.shape == (1, 4, 128, 128)
    assert samples.dtype == torch.float32
    # 65,536 values: the standard errors of mean and deviation are 0.004 and 0.003
    assert abs(float(samples.mean())) < 0.02
    assert abs(float(samples.std()) - 1) < 0.015


def test_a_lane_is_the_picture_that_its_seed_gives_alone() -> None:
    batch = Noise((7, 8, 9), 64, 48)
    for lane, seed in enumerate(batch.seeds):
        alone = _start(seed).samples
        assert torch.equal(noises.initial(batch, lane, 4, 6, 8).samples, alone)


@pytest.mark.parametrize("scheme", noises.SCHEMES)
@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_beyond_64_bits_is_refused(seed: int, scheme: str) -> None:
    with pytest.raises(NodeError, match="choose a 64-bit seed"):
        _start(seed, scheme)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(NodeError, match='noise scheme "philox" is unknown; use addressed or'):
        _start(1, "philox")


# --- variation


def test_variation_goes_from_one_noise_to_the_other() -> None:
    one, other = _start(1).samples, _start(2).samples
    for strength, expected in ((0.0, one), (1.0, other)):
        varied = noises.initial(Noise((1,), 64, 48, variation=(2, strength)), 0, 4, 6, 8)
        assert torch.equal(varied.samples, expected)


def test_variation_keeps_the_length_between() -> None:
    one, other = (_start(seed).samples for seed in (1, 2))
    one, other = one / one.norm(), other / other.norm()
    half = noises.slerp(one, other, 0.5)
    assert float(half.norm()) == pytest.approx(1, abs=1e-6)
    # it lies at the same angle from both
    assert float((half * one).sum()) == pytest.approx(float((half * other).sum()), abs=1e-6)


def test_variation_towards_itself_changes_nothing() -> None:
    one = _start(1).samples
    torch.testing.assert_close(noises.slerp(one, one, 0.3), one)


# --- compatible schemes, against the stock pipelines

PICTURE = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def vae() -> diffusers.AutoencoderKL:
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
    )


def _sampled(
    vae: diffusers.AutoencoderKL, picture: torch.Tensor, eps: torch.Tensor
) -> torch.Tensor:
    """The posterior sample that our noise makes."""
    posterior = vae.encode(picture).latent_dist
    latents: torch.Tensor = (posterior.mean + posterior.std * eps) * vae.config.scaling_factor
    return latents


def _pipeline(cls: type, vae: diffusers.AutoencoderKL) -> SimpleNamespace:
    fake = SimpleNamespace(vae=vae, scheduler=diffusers.DDIMScheduler(), vae_scale_factor=8)
    for name in ("prepare_latents", "prepare_mask_latents", "_encode_vae_image"):
        if hasattr(cls, name):
            setattr(fake, name, getattr(cls, name).__get__(fake))
    return fake


def test_compatible_noise_is_that_of_the_text_to_image_pipeline(
    vae: diffusers.AutoencoderKL,
) -> None:
    running = torch.Generator().manual_seed(2**64 - 1)
    pipeline = _pipeline(diffusers.StableDiffusionPipeline, vae)
    theirs = pipeline.prepare_latents(1, 4, 48, 64, torch.float32, "cpu", running)
    ours = _start(2**64 - 1, "compatible")
    assert torch.equal(ours.samples, theirs)
    assert ours.posterior is None
    assert ours.generator is not None
    assert torch.equal(ours.generator.get_state(), running.get_state())


@torch.no_grad()
def test_compatible_image_noise_is_that_of_the_image_to_image_pipeline(
    vae: diffusers.AutoencoderKL,
) -> None:
    running = torch.Generator().manual_seed(11)
    pipeline = _pipeline(diffusers.StableDiffusionImg2ImgPipeline, vae)
    timestep = torch.tensor([500])
    theirs = pipeline.prepare_latents(PICTURE, timestep, 1, 1, torch.float32, "cpu", running)
    ours = _start(11, "compatible_image")
    assert ours.posterior is not None
    clean = _sampled(vae, PICTURE, ours.posterior)
    assert torch.equal(pipeline.scheduler.add_noise(clean, ours.samples, timestep), theirs)
    assert ours.generator is not None
    assert torch.equal(ours.generator.get_state(), running.get_state())


@torch.no_grad()
def test_compatible_inpaint_noise_is_that_of_the_inpaint_pipeline(
    vae: diffusers.AutoencoderKL,
) -> None:
    running = torch.Generator().manual_seed(12)
    pipeline = _pipeline(diffusers.StableDiffusionInpaintPipeline, vae)
    _, noise, clean = pipeline.prepare_latents(
        1,
        4,
        48,
        64,
        torch.float32,
        "cpu",
        running,
        image=PICTURE,
        timestep=torch.tensor([500]),
        is_strength_max=False,
        return_noise=True,
        return_image_latents=True,
    )
    hole = torch.zeros(1, 1, 48, 64)
    hidden = PICTURE * (hole < 0.5)
    _, masked = pipeline.prepare_mask_latents(
        hole, hidden, 1, 48, 64, torch.float32, "cpu", running, False
    )
    ours = _start(12, "compatible_inpaint")
    assert torch.equal(ours.samples, noise)
    assert ours.posterior is not None
    assert ours.masked_posterior is not None
    assert torch.equal(_sampled(vae, PICTURE, ours.posterior), clean)
    assert torch.equal(_sampled(vae, hidden, ours.masked_posterior), masked)
    assert ours.generator is not None
    assert torch.equal(ours.generator.get_state(), running.get_state())
