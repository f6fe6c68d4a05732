"""VAE nodes against the stock diffusers pipelines with the same weights, bit for bit."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from diffusers.image_processor import VaeImageProcessor

from nodes.output import save_image
from nodes.vae import vae_decode, vae_encode
from studio.diffusion import vae as numerics
from studio.errors import Cancelled, NodeError
from studio.resources import resource
from studio.training.scenes.attributes import scene
from studio.training.scenes.painter import paint
from studio.values import Image, Latents, Mask, Noise
from tests.nodes.conftest import STARTER_VAE, Bench, OneModel


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    found = StableDiffusionPipeline.from_pretrained(
        resource("starter"), torch_dtype=torch.float32, local_files_only=True
    )
    found.set_progress_bar_config(disable=True)
    return found


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    return torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(7))


def picture(width: int, height: int, seed: int = 0) -> PIL.Image.Image:
    """A smooth picture with a little noise: uint8, no size that matters to the VAE."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], -1) * 100 + 128
    grain = np.random.default_rng(seed).normal(0, 8, waves.shape)
    return PIL.Image.fromarray((waves + grain).clip(0, 255).astype(np.uint8))


def as_image(*pictures: PIL.Image.Image) -> Image:
    stacked = np.stack([np.asarray(one, np.float32) / 255 for one in pictures])
    return Image(torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous())


def test_decoding_equals_the_stock_pipeline_pixel_for_pixel(
    pipeline: StableDiffusionPipeline, bench: Bench, latents: torch.Tensor
) -> None:
    seen: list[torch.Tensor] = []

    def keep(
        _: object, __: int, ___: int, kept: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        seen.append(kept["latents"])
        return kept

    expected = pipeline(
        "a red house",
        num_inference_steps=2,
        output_type="np",
        generator=torch.Generator().manual_seed(1),
        callback_on_step_end=keep,
    ).images
    image = vae_decode(bench, STARTER_VAE, Latents(seen[-1]))
    assert np.array_equal(image.pixels.permute(0, 2, 3, 1).numpy(), expected)


def test_saved_bytes_equal_the_stock_pipelines_pictures(
    pipeline: StableDiffusionPipeline, bench: Bench, latents: torch.Tensor
) -> None:
    decoded = pipeline.vae.decode(latents[:1] / pipeline.vae.config.scaling_factor).sample
    expected = pipeline.image_processor.postprocess(decoded.detach(), output_type="pil")[0]
    saved = save_image(vae_decode(bench, STARTER_VAE, Latents(latents[:1])))
    assert _opened(saved.files[0]).tobytes() == expected.tobytes()


def _opened(file: bytes) -> PIL.Image.Image:
    import io

    return PIL.Image.open(io.BytesIO(file))


def test_a_picture_of_a_batch_is_the_picture_that_it_is_alone(
    bench: Bench, latents: torch.Tensor
) -> None:
    together = vae_decode(bench, STARTER_VAE, Latents(latents)).pixels
    alone = vae_decode(bench, STARTER_VAE, Latents(latents[1:2])).pixels
    assert together[1].equal(alone[0])


def test_what_the_vae_gives_may_enter_autograd(
    starter_vae: AutoencoderKL, latents: torch.Tensor
) -> None:
    pixels = numerics.decode(starter_vae, latents[:1])
    assert not pixels.is_inference()
    assert not numerics.encode(starter_vae, pixels).is_inference()


def test_decoding_reports_each_picture_and_stops_between_two(
    bench: Bench, latents: torch.Tensor
) -> None:
    bench.checks_left = 2
    with pytest.raises(Cancelled):
        vae_decode(bench, STARTER_VAE, Latents(latents))
    assert bench.reports == [(1, 3), (2, 3)]


def test_latents_of_another_width_are_refused_by_number(bench: Bench) -> None:
    with pytest.raises(NodeError, match="16 channels, this VAE decodes 4"):
        vae_decode(bench, STARTER_VAE, Latents(torch.zeros(1, 16, 4, 4)))


def test_latents_that_overflow_are_no_black_picture(bench: Bench) -> None:
    with pytest.raises(NodeError, match="no numbers in float32"):
        vae_decode(bench, STARTER_VAE, Latents(torch.full((1, 4, 4, 4), torch.nan)))


def test_tiles_change_pixels_little_and_leave_the_vae_as_it_was(
    bench: Bench, starter_vae: AutoencoderKL
) -> None:
    painted = PIL.Image.fromarray(paint(scene(5, 0), 5, 0, 192))
    latents = vae_encode(bench, STARTER_VAE, as_image(painted))
    whole = vae_decode(bench, STARTER_VAE, latents).pixels
    tiled = vae_decode(bench, STARTER_VAE, latents, tile=True).pixels
    assert not tiled.equal(whole)
    assert (tiled - whole).abs().mean() < 0.05
    assert not starter_vae.use_tiling


def test_half_precision_vaes_that_overflow_run_in_float32(latents: torch.Tensor) -> None:
    def loaded() -> AutoencoderKL:
        vae = AutoencoderKL.from_pretrained(
            resource("starter", "vae"), torch_dtype=torch.float16, local_files_only=True
        ).eval()
        vae.register_to_config(force_upcast=True)
        return vae

    half, full = loaded(), loaded().float()
    pixels = vae_decode(Bench(OneModel(half)), STARTER_VAE, Latents(latents[:1])).pixels
    assert pixels.equal(vae_decode(Bench(OneModel(full)), STARTER_VAE, Latents(latents[:1])).pixels)
    assert half.dtype == torch.float16


class Scaled(torch.nn.Module):
    """A VAE that changes nothing, to see the arithmetic around it."""

    def __init__(self, **config: object) -> None:
        super().__init__()
        self.config = type("Config", (), {"scaling_factor": 0.5, **config})()
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def decode(self, latents: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        return (latents,)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # the formulas of diffusers' SD, SD3 and SDXL pipelines, then pixels = v / 2 + 1/2
        ({}, 0.1 / 0.5 / 2 + 0.5),
        ({"shift_factor": 0.25}, (0.1 / 0.5 + 0.25) / 2 + 0.5),
        ({"latents_mean": [0.5] * 3, "latents_std": [2.0] * 3}, (0.1 * 2 / 0.5 + 0.5) / 2 + 0.5),
    ],
)
def test_latents_are_unscaled_as_the_config_says(
    config: dict[str, object], expected: float
) -> None:
    pixels = numerics.decode(Scaled(**config), torch.full((1, 3, 2, 2), 0.1))
    assert pixels.flatten().tolist() == pytest.approx([expected] * 12)


def test_encoding_draws_as_the_stock_image_to_image_pipeline(
    pipeline: StableDiffusionPipeline, bench: Bench
) -> None:
    source = picture(64, 64)
    stock = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    stock.scheduler.add_noise = lambda latents, noise, timestep: latents
    try:
        expected = stock.prepare_latents(
            stock.image_processor.preprocess(source),
            None,
            1,
            1,
            torch.float32,
            torch.device("cpu"),
            torch.Generator().manual_seed(5),
        )
    finally:
        del stock.scheduler.add_noise
    noise = Noise((5,), 64, 64, "compatible_image")
    found = vae_encode(bench, STARTER_VAE, as_image(source), noise=noise, mode="sample")
    assert found.samples.equal(expected)
    assert found.family == "starter"


@pytest.mark.parametrize(
    ("scheme", "draws_before"),
    [
        ("compatible_inpaint", 2),  # the image's posterior and the noise
        ("compatible", 1),  # 9-channel models at full strength encode no image: the noise only
    ],
)
def test_masked_image_latents_equal_the_stock_inpainting_pipelines(
    pipeline: StableDiffusionPipeline, bench: Bench, scheme: str, draws_before: int
) -> None:
    source = picture(64, 64)
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., 16:40, 8:48] = 1.0
    stock = StableDiffusionInpaintPipeline(**pipeline.components, requires_safety_checker=False)
    generator = torch.Generator().manual_seed(5)
    for _ in range(draws_before):
        torch.randn(1, 4, 8, 8, generator=generator)
    _, expected = stock.prepare_mask_latents(
        hole,
        stock.image_processor.preprocess(source) * (hole < 0.5),
        1,
        64,
        64,
        torch.float32,
        torch.device("cpu"),
        generator,
        False,
    )
    found = vae_encode(
        bench,
        STARTER_VAE,
        as_image(source),
        Mask(hole),
        Noise((5,), 64, 64, scheme),
        mode="sample",
    )
    assert found.samples.equal(expected)


def test_a_hole_begins_at_half_and_is_grey(bench: Bench) -> None:
    image = as_image(picture(16, 16))
    grey = Image(torch.full((1, 3, 16, 16), 0.5))
    half = vae_encode(bench, STARTER_VAE, image, Mask(torch.full((1, 1, 16, 16), 0.5)))
    less = vae_encode(bench, STARTER_VAE, image, Mask(torch.full((1, 1, 16, 16), 0.49)))
    assert half.samples.equal(vae_encode(bench, STARTER_VAE, grey).samples)
    assert less.samples.equal(vae_encode(bench, STARTER_VAE, image).samples)


def test_the_mean_needs_no_noise(bench: Bench, starter_vae: AutoencoderKL) -> None:
    source = picture(64, 64)
    with torch.inference_mode():
        expected = starter_vae.encode(VaeImageProcessor().preprocess(source)).latent_dist.mean
    assert vae_encode(bench, STARTER_VAE, as_image(source)).samples.equal(
        expected * starter_vae.config.scaling_factor
    )


def test_a_size_that_is_no_multiple_is_shrunk_as_diffusers_does(
    bench: Bench, starter_vae: AutoencoderKL
) -> None:
    source = picture(70, 61)
    with torch.inference_mode():
        expected = starter_vae.encode(VaeImageProcessor().preprocess(source)).latent_dist.mean
    found = vae_encode(bench, STARTER_VAE, as_image(source)).samples
    assert found.shape == (1, 4, 7, 8)
    assert found.equal(expected * starter_vae.config.scaling_factor)


def test_addressed_samples_depend_on_the_seed_only(bench: Bench) -> None:
    image = as_image(picture(32, 32))

    def sample(*seeds: int) -> torch.Tensor:
        noise = Noise(seeds, 32, 32)
        return vae_encode(bench, STARTER_VAE, image, noise=noise, mode="sample").samples

    assert sample(3, 4)[1].equal(sample(4)[0])
    assert not sample(3).equal(sample(4))


def test_batches_that_do_not_fit_together_are_named(bench: Bench) -> None:
    image = as_image(picture(16, 16), picture(16, 16, 1))
    with pytest.raises(NodeError, match="2 pictures, 3 seeds"):
        vae_encode(bench, STARTER_VAE, image, noise=Noise((1, 2, 3), 16, 16), mode="sample")


def test_a_picture_smaller_than_a_latent_is_refused(bench: Bench) -> None:
    with pytest.raises(NodeError, match="5 × 16 px is too small"):
        vae_encode(bench, STARTER_VAE, as_image(picture(5, 16)))
