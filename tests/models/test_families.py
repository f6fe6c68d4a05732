from __future__ import annotations

import pytest
import torch

from studio.models.families import families, family_of_unet, family_of_vae
from studio.models.layout import class_of
from studio.models.loading import build
from studio.models.parts import Component

# millions of parameters, as the authors' code prints them when it loads the published checkpoints
# ("DiffusionWrapper has 859.52 M params.", "FrozenCLIPEmbedder has 123.06 M parameters" …)
PUBLISHED = [
    ("sd1", "unet", 859.52),
    ("sd1", "vae", 83.65),
    ("sd1", "text_encoder", 123.06),
    ("sd2", "unet", 865.91),
    ("sdxl", "unet", 2567.46),
    ("sdxl", "text_encoder_2", 694.66),
]


@pytest.mark.parametrize(("family", "name", "millions"), PUBLISHED)
def test_a_familys_config_builds_the_published_network(
    family: str, name: str, millions: float
) -> None:
    config = families()[family].components[name]
    with torch.device("meta"):
        module = build(Component(name, class_of(config), config, (), "diffusers"))
    parameters = sum(weight.numel() for weight in module.parameters())
    assert round(parameters / 1e6, 2) == millions


@pytest.mark.parametrize("family", ["sd1", "sd1_inpaint", "sd2", "sdxl", "sdxl_refiner"])
def test_a_unet_is_matched_to_its_family_by_its_config(family: str) -> None:
    found = family_of_unet(families()[family].components["unet"])
    assert found is not None
    assert found.id == family


def test_another_architecture_is_of_no_family() -> None:
    assert family_of_unet({"block_out_channels": [96, 160], "cross_attention_dim": 128}) is None


def test_the_scale_tells_the_vaes_of_sd1_and_sdxl_apart() -> None:
    for family in ("sd1", "sdxl"):
        found = family_of_vae(families()[family].components["vae"])
        assert found is not None
        assert found.latents == family
