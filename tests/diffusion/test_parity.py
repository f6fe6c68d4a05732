"""Our graph against the stock diffusers pipelines: same weights, scheduler and seed give the same latents."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image as Pillow

from studio.diffusion.windows import SOLVERS
from studio.graph import Graph, Json
from studio.resources import resource
from tests.bench import fresh, linked, text_to_image, with_node, with_params

STEPS = 6
SEED = 1234
PROMPT, NEGATIVE = "a red house on green hills at sunset", "fog"

NOT_FOR_PIPELINES = {
    "unclip": "its step takes the previous timestep, which the pipelines do not pass",
    "flow_euler": "has no scale_model_input",
    "flow_heun": "has no scale_model_input",
    "edm_euler": "wants preconditioned networks",
    "edm_dpmpp_2m": "wants preconditioned networks",
    "dpmpp_sde": "its Brownian tree is seeded by chance in the pipelines",
}
NAMES = [name for name in SOLVERS if name not in NOT_FOR_PIPELINES]
FROM_PICTURES = [name for name in NAMES if name != "ipndm"]  # it has no add_noise
INPAINTING = [name for name in FROM_PICTURES if name != "pndm"]  # the pipeline makes it plms


@cache
def components() -> dict[str, Any]:
    """The starter's parts, as diffusers loads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = diffusers.StableDiffusionPipeline.from_pretrained(
            resource("starter"), torch_dtype=torch.float32, local_files_only=True
        )
    return dict(pipe.components)


def pipeline(kind: str, name: str) -> Any:
    """A stock pipeline with a solver by our name."""
    solver, overrides = SOLVERS[name]
    parts = components()
    scheduler = getattr(diffusers, solver).from_config({**parts["scheduler"].config, **overrides})
    pipe = getattr(diffusers, kind)(**{**parts, "scheduler": scheduler})
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The reference may warn about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def graph_of(name: str, scheme: str) -> Graph:
    """Text to image with the draws of a stock pipeline, which calls every solver with ``eta`` 0."""
    params: dict[str, dict[str, Json]] = {
        "prompt": {"prompt": PROMPT},
        "negative": {"prompt": NEGATIVE},
        "noise": {"seed": SEED, "scheme": scheme, "width": 128, "height": 128},
        "scheduler": {"solver": name, "steps": STEPS, "eta": 0.0 if name == "tcd" else None},
        "denoise": {"guidance": 5.0},
    }
    if name != "ipndm":
        return text_to_image(**params)
    # refused by the scheduler node: the model was not trained for it; the pipelines let it pass
    del params["scheduler"]
    graph = text_to_image(**params).remove("scheduler")
    sources = {"model": "model.model"}
    graph = with_node(graph, "scheduler", "any_schedule", sources, solver=name, steps=STEPS)
    return linked(graph, "scheduler.schedule", "denoise.schedule")


def picture() -> Pillow.Image:
    """A picture with structure everywhere."""
    image = Pillow.linear_gradient("L").resize((128, 128))
    return Pillow.merge("RGB", (image, image.rotate(90), image.rotate(180)))


def mask() -> Pillow.Image:
    """White (repaint) in the left half."""
    image = Pillow.new("L", (128, 128), 0)
    image.paste(255, (0, 0, 64, 128))
    return image


def with_picture(graph: Graph, folder: Any) -> Graph:
    """The picture, loaded and encoded with the draws of the pipelines."""
    picture().save(folder / "picture.png")
    graph = with_node(graph, "load", "load_image", {}, file=str(folder / "picture.png"))
    sources = {"vae": "model.vae", "image": "load.image", "noise": "noise.latents"}
    graph = with_node(graph, "encode", "vae_encode", sources, mode="sample")
    return linked(graph, "encode.latents", "denoise.latents")


COMMON: dict[str, Any] = {
    "prompt": PROMPT,
    "negative_prompt": NEGATIVE,
    "num_inference_steps": STEPS,
    "guidance_scale": 5.0,
    "output_type": "latent",
    "return_dict": False,
}


@pytest.mark.parametrize("name", NAMES)
def test_text_to_image_is_the_stock_pipeline_to_the_last_bit(name: str) -> None:
    pipe = pipeline("StableDiffusionPipeline", name)
    generator = torch.Generator().manual_seed(SEED)
    reference = pipe(**COMMON, width=128, height=128, generator=generator)[0]
    assert torch.equal(fresh(graph_of(name, "compatible")), reference)


@pytest.mark.parametrize("name", FROM_PICTURES)
def test_image_to_image_is_the_stock_pipeline_to_the_last_bit(name: str, tmp_path: Any) -> None:
    pipe = pipeline("StableDiffusionImg2ImgPipeline", name)
    generator = torch.Generator().manual_seed(SEED)
    reference = pipe(**COMMON, image=picture(), strength=0.7, generator=generator)[0]
    graph = with_picture(graph_of(name, "compatible_image"), tmp_path)
    assert torch.equal(fresh(graph.set("denoise", strength=0.7)), reference)


@pytest.mark.parametrize("strength", [0.7, 1.0])
@pytest.mark.parametrize("name", INPAINTING)
def test_inpainting_is_the_stock_pipeline_to_the_last_bit(
    name: str, strength: float, tmp_path: Any
) -> None:
    pipe = pipeline("StableDiffusionInpaintPipeline", name)
    generator = torch.Generator().manual_seed(SEED)
    reference = pipe(
        **COMMON,
        image=picture(),
        mask_image=mask(),
        strength=strength,
        width=128,
        height=128,
        generator=generator,
    )[0]
    graph = with_picture(graph_of(name, "compatible_inpaint"), tmp_path)
    mask().save(tmp_path / "mask.png")
    graph = with_node(
        graph, "mask", "load_mask", {}, file=str(tmp_path / "mask.png"), channel="luminance"
    )
    graph = linked(graph, "mask.mask", "denoise.mask")
    graph = with_params(graph, denoise={"strength": strength})
    assert torch.equal(fresh(graph), reference)
