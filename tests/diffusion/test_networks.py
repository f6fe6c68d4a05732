"""Other kinds of network than the starter's, each against its stock pipeline: SDXL, inpainting U-Nets, pixel space."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.errors import GraphError
from studio.graph import Graph
from studio.resources import resource
from tests.bench import Bench, fresh, linked, text_to_image, with_node, with_params
from tests.controlnets import controlled, controlnet_of, write_picture
from tests.diffusion.conftest import Controlling
from tests.diffusion.test_parity import COMMON, NEGATIVE, PROMPT, SEED, STEPS, mask, picture
from tests.models import originals


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The reference may warn about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compatible(folder: Path, size: int) -> Graph:
    """Text to image by the model in a folder, drawing as the stock pipelines do."""
    return text_to_image(
        model={"model": str(folder)},
        prompt={"prompt": PROMPT},
        negative={"prompt": NEGATIVE},
        noise={"seed": SEED, "scheme": "compatible", "width": size, "height": size},
        scheduler={"steps": STEPS},
    )


def sdxl(folder: Path) -> Any:
    """A tiny Stable Diffusion XL that reads what its encoders give, written to a folder."""
    pipe = originals.sdxl_pipeline()
    widths = {"cross_attention_dim": 32 + 64}
    torch.manual_seed(4)
    pipe.unet = diffusers.UNet2DConditionModel.from_config({**pipe.unet.config, **widths}).eval()
    pipe.save_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_sdxl_with_its_two_encoders_and_sizes_is_the_stock_pipeline(tmp_path: Path) -> None:
    pipe = sdxl(tmp_path / "xl")
    generator = torch.Generator().manual_seed(SEED)
    reference = pipe(**COMMON, width=64, height=64, generator=generator)[0]
    graph = compatible(tmp_path / "xl", 64).set("scheduler", solver="euler")
    assert torch.equal(fresh(graph), reference)


def test_sdxl_with_a_controlnet_is_the_stock_pipeline(tmp_path: Path) -> None:
    pipe = sdxl(tmp_path / "xl")
    # two blocks in the VAE: two pixels per latent
    controlnet = controlnet_of(pipe.unet, 13, (16, 32))
    controlnet.save_pretrained(tmp_path / "control")
    stock = diffusers.StableDiffusionXLControlNetPipeline(**pipe.components, controlnet=controlnet)
    stock.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    reference = stock(**COMMON, image=picture(), width=64, height=64, generator=generator)[0]
    graph = compatible(tmp_path / "xl", 64).set("scheduler", solver="euler")
    file = write_picture(tmp_path / "picture.png")
    assert torch.equal(fresh(controlled(graph, tmp_path / "control", file)), reference)


@pytest.fixture(scope="module")
def nine_channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter with an inpainting network's input: mask and masked latents get small weights."""
    folder = tmp_path_factory.mktemp("models") / "nine"
    shutil.copytree(resource("starter"), folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    first = tensors["conv_in.weight"]
    more = torch.randn(first.shape[0], 5, 3, 3, generator=torch.Generator().manual_seed(5)) * 0.05
    tensors["conv_in.weight"] = torch.cat([first, more.to(first.dtype)], dim=1)
    save_file(tensors, weights)
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text().replace('"in_channels": 4', '"in_channels": 9'))
    return folder


def inpainting(folder: Path, files: Path) -> Graph:
    """Inpainting of ``picture`` where ``mask`` is white."""
    picture().save(files / "picture.png")
    mask().save(files / "mask.png")
    graph = compatible(folder, 128)
    graph = with_node(graph, "load", "load_image", {}, file=str(files / "picture.png"))
    graph = with_node(graph, "mask", "load_mask", {}, file=str(files / "mask.png"))
    sources = {
        "vae": "model.vae",
        "image": "load.image",
        "mask": "mask.mask",
        "noise": "noise.latents",
    }
    return with_node(graph, "hole", "vae_encode", sources, mode="sample")


def test_an_inpainting_network_is_the_stock_pipeline(nine_channels: Path, tmp_path: Path) -> None:
    pipe: Any = diffusers.StableDiffusionInpaintPipeline.from_pretrained(
        nine_channels, torch_dtype=torch.float32, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    given = {"image": picture(), "mask_image": mask(), "width": 128, "height": 128}
    reference = pipe(**COMMON, **given, strength=1.0, generator=generator)[0]
    graph = inpainting(nine_channels, tmp_path)
    graph = linked(linked(graph, "mask.mask", "denoise.mask"), "hole.latents", "denoise.masked")
    assert torch.equal(fresh(graph), reference)


def test_an_inpainting_network_with_a_controlnet_is_the_stock_pipeline(
    nine_channels: Path, tmp_path: Path, controlling: Controlling
) -> None:
    pipe: Any = diffusers.StableDiffusionControlNetInpaintPipeline.from_pretrained(
        nine_channels,
        controlnet=controlling.modules[0],
        torch_dtype=torch.float32,
        local_files_only=True,
    )
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    given = {"image": picture(), "mask_image": mask(), "width": 128, "height": 128}
    control = {"control_image": picture(), "controlnet_conditioning_scale": 1.0}
    reference = pipe(**COMMON, **given, **control, strength=1.0, generator=generator)[0]
    graph = inpainting(nine_channels, tmp_path)
    graph = linked(linked(graph, "mask.mask", "denoise.mask"), "hole.latents", "denoise.masked")
    file = write_picture(tmp_path / "control.png")
    assert torch.equal(fresh(controlled(graph, controlling.folders[0], file)), reference)


def test_an_inpainting_network_asks_for_mask_and_masked_latents(
    nine_channels: Path, tmp_path: Path
) -> None:
    graph = inpainting(nine_channels, tmp_path)
    with pytest.raises(GraphError, match=r"denoise\.mask: is not connected; this inpainting model"):
        Bench().run(graph)
    with pytest.raises(GraphError, match=r"denoise\.masked: is not connected"):
        Bench().run(linked(graph, "mask.mask", "denoise.mask"))


def test_a_network_in_pixel_space_is_the_stock_pipeline(
    tmp_path: Path, controlling: Controlling
) -> None:
    torch.manual_seed(3)
    unet = diffusers.UNet2DModel(
        sample_size=16,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        layers_per_block=1,
    )
    pipe = diffusers.DDPMPipeline(unet=unet, scheduler=diffusers.DDPMScheduler())
    pipe.save_pretrained(tmp_path / "pixels")
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    asked = {"num_inference_steps": STEPS, "generator": generator, "output_type": "np"}
    reference = torch.from_numpy(pipe(**asked).images).permute(0, 3, 1, 2)
    graph = compatible(tmp_path / "pixels", 16).remove(
        "model", "prompt", "other", "negative", "decode", "save"
    )
    graph = with_node(graph, "network", "load_unet", {}, model=str(tmp_path / "pixels"))
    graph = linked(
        linked(graph, "network.model", "denoise.model"), "network.model", "scheduler.model"
    )
    graph = with_params(graph, scheduler={"solver": "ddpm"})
    assert torch.equal((fresh(graph) / 2 + 0.5).clamp(0, 1), reference)
    file = write_picture(tmp_path / "picture.png")
    with pytest.raises(
        GraphError, match=r'denoise\.control: .* is a ControlNet, and ".*" takes none'
    ):
        Bench().run(controlled(graph, controlling.folders[0], file))
