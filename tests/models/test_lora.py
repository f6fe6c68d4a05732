"""LoRA files: every tool's names lead to the same layers, and what is added is the formula of the paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

from studio.errors import ModelError
from studio.models.lora import layers, ldm_name, originals, sums, write
from studio.models.parts import Component
from tests import loras
from tests.loras import ATTENTION, Style, pairs, tensors
from tests.models.conftest import Tiny
from tests.models.originals import family, write_header


def base(module: torch.nn.Module, name: str = "unet") -> Component:
    config = {"layers_per_block": 1} if name == "unet" else {}
    return Component(name, "", config, (), "diffusers")


def file(path: Path) -> Component:
    return Component("lora", "", {}, (path,), "kohya")


@pytest.fixture
def unet(tiny_sd1: Tiny) -> torch.nn.Module:
    module: torch.nn.Module = tiny_sd1.pipeline.unet
    return module


@pytest.mark.parametrize("style", ["peft", "wrapped", "diffusers", "former", "kohya"])
def test_every_tools_names_lead_to_the_same_sums(
    style: Style, unet: torch.nn.Module, tmp_path: Path
) -> None:
    found = pairs(unet, ATTENTION)
    path = loras.write(tmp_path / "a.safetensors", tensors(found, style))
    added = sums(unet, base(unet), [(file(path), 0.5)])
    assert added.keys() == found.keys()
    for name, pair in found.items():
        weight = unet.get_parameter(f"{name}.weight")
        torch.testing.assert_close(added[name], 0.5 * pair.delta(weight))


def test_convolutions_and_linear_layers_outside_attention_are_added_to(
    unet: torch.nn.Module, tmp_path: Path
) -> None:
    found = pairs(unet, ("conv1", "time_emb_proj", "ff.net.2", "proj_in", "conv_shortcut"))
    path = loras.write(tmp_path / "a.safetensors", tensors(found, "kohya"))
    added = sums(unet, base(unet), [(file(path), 1.0)])
    for name, pair in found.items():
        torch.testing.assert_close(added[name], pair.delta(unet.get_parameter(f"{name}.weight")))


def test_a_layer_with_a_lora_computes_what_the_paper_says(tmp_path: Path) -> None:
    # Hu et al. 2021, section 4.1: h = W x + (alpha / r) B A x
    module = torch.nn.Sequential(torch.nn.Linear(6, 5))
    pair = pairs(module, ("0",), rank=2)["0"]
    path = loras.write(tmp_path / "a.safetensors", tensors({"0": pair}, "kohya"))
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    plain = module(x)
    kept = originals(module, ["0"])
    write(module, kept, sums(module, base(module), [(file(path), 1.5)]))
    expected = plain + 1.5 * (pair.alpha / 2) * (x @ pair.down.T @ pair.up.T)
    torch.testing.assert_close(module(x), expected)
    write(module, kept, {})
    assert torch.equal(module(x), plain)


def test_several_are_summed(unet: torch.nn.Module, tmp_path: Path) -> None:
    one, two = pairs(unet, ATTENTION, 3), pairs(unet, ("to_q",), 4)
    files = [
        (file(loras.write(tmp_path / f"{n}.safetensors", tensors(found, "peft"))), strength)
        for n, (found, strength) in enumerate(((one, 1.0), (two, -2.0)))
    ]
    added = sums(unet, base(unet), files)
    for name, pair in one.items():
        weight = unet.get_parameter(f"{name}.weight")
        expected = pair.delta(weight)
        if name in two:
            expected = expected - 2 * two[name].delta(weight)
        torch.testing.assert_close(added[name], expected)


@pytest.mark.parametrize("style", ["peft", "kohya"])
def test_a_text_encoder_is_found_with_and_without_its_inner_module(
    style: Style, tiny_sd1: Tiny, tmp_path: Path
) -> None:
    text = tiny_sd1.pipeline.text_encoder
    found = pairs(text, ("q_proj", "out_proj", "fc1"))
    with_inner = {f"text_model.{name.removeprefix('text_model.')}": p for name, p in found.items()}
    path = loras.write(tmp_path / "a.safetensors", tensors(with_inner, style, "text_encoder"))
    assert {layer.component for layer in layers(path)} == {"text_encoder"}
    added = sums(text, base(text, "text_encoder"), [(file(path), 1.0)])
    assert added.keys() == found.keys()
    assert sums(text, base(text, "unet"), [(file(path), 1.0)]) == {}


def test_alpha_is_read_from_the_configuration_that_diffusers_keeps(
    unet: torch.nn.Module, tmp_path: Path
) -> None:
    found = pairs(unet, ("to_q",))
    plain = {
        name: loras.Pair(pair.down, pair.up, float(pair.down.shape[0]))
        for name, pair in found.items()
    }
    config = {"unet.lora_alpha": 8, "unet.alpha_pattern": {next(iter(found)): 2}}
    metadata = {"lora_adapter_metadata": json.dumps(config)}
    path = loras.write(tmp_path / "a.safetensors", tensors(plain, "peft"), metadata)
    added = sums(unet, base(unet), [(file(path), 1.0)])
    for number, (name, pair) in enumerate(plain.items()):
        alpha = 2 if number == 0 else 8
        delta = pair.delta(unet.get_parameter(f"{name}.weight")) * (alpha / pair.down.shape[0])
        torch.testing.assert_close(added[name], delta)


@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_the_authors_names_are_those_that_diffusers_converts(name: str) -> None:
    config = family(name)["unet"]
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    per_block = config["layers_per_block"]
    assert isinstance(per_block, int)
    ours = {
        f"model.diffusion_model.{ldm_name(layer, per_block, unet)}.weight": f"{layer}.weight"
        for layer, module in unet.named_modules()
        if getattr(module, "weight", None) is not None and module.weight.dim() > 1
    }
    # the converter walks over biases and norms as well, which no LoRA has
    rest = {
        key.replace(".weight", ".bias"): value.replace(".weight", ".bias")
        for key, value in ours.items()
    }
    converted = convert_ldm_unet_checkpoint({**ours, **rest}, dict(config))
    assert all(converted[layer] == layer for layer in ours.values())
    assert len(ours) > 100


def test_a_lora_of_xl_in_its_authors_names_finds_its_layers(
    tiny_sdxl: Tiny, tmp_path: Path
) -> None:
    unet = tiny_sdxl.pipeline.unet
    found = pairs(unet, (*ATTENTION, "conv2", "downsamplers.0.conv", "upsamplers.0.conv"))
    renamed = {ldm_name(name, 1, unet): pair for name, pair in found.items()}
    assert renamed.keys().isdisjoint(found)
    path = loras.write(tmp_path / "a.safetensors", tensors(renamed, "kohya"))
    added = sums(unet, base(unet), [(file(path), 1.0)])
    assert added.keys() == found.keys()
    for name, pair in found.items():
        torch.testing.assert_close(added[name], pair.delta(unet.get_parameter(f"{name}.weight")))


# --- refused


@pytest.mark.parametrize(
    "tensor", ["a.hada_w1_b", "a.lokr_w1", "lora_unet_a.dora_scale", "lora_unet_a.lora_mid.weight"]
)
def test_what_is_no_plain_lora_is_refused_by_name(tensor: str, tmp_path: Path) -> None:
    pair = {"lora_unet_a.lora_down.weight": (4, 8), "lora_unet_a.lora_up.weight": (8, 4)}
    path = write_header(tmp_path / "a.safetensors", {**pair, tensor: (4, 8)})
    with pytest.raises(ModelError, match=f"pairs of matrices alone .*{tensor}.*LoHa"):
        layers(path)


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    path = write_header(tmp_path / "a.safetensors", {"lora_unet_a.lora_down.weight": (4, 8)})
    with pytest.raises(ModelError, match="lora_unet_a"):
        layers(path)


def test_a_lora_for_a_transformer_is_refused(tmp_path: Path) -> None:
    names = ("transformer.a.lora_A.weight", "transformer.a.lora_B.weight")
    path = write_header(tmp_path / "a.safetensors", dict(zip(names, ((4, 8), (8, 4)), strict=True)))
    with pytest.raises(ModelError, match="for transformers"):
        layers(path)


def test_a_lora_with_a_layer_that_the_network_lacks_is_refused(
    unet: torch.nn.Module, tmp_path: Path
) -> None:
    found = pairs(unet, ("to_q",))
    stranger = {**found, "up_blocks.7.attentions.0.to_q": next(iter(found.values()))}
    path = loras.write(tmp_path / "a.safetensors", tensors(stranger, "peft"))
    with pytest.raises(ModelError, match=r"another network: 1 of its \d+ layers.*up_blocks\.7"):
        sums(unet, base(unet), [(file(path), 1.0)])


def test_a_lora_of_other_shapes_is_refused(unet: torch.nn.Module, tmp_path: Path) -> None:
    name, pair = next(iter(pairs(unet, ("to_q",)).items()))
    wider = loras.Pair(torch.cat([pair.down] * 2, dim=1), pair.up, pair.alpha)
    path = loras.write(tmp_path / "a.safetensors", tensors({name: wider}, "peft"))
    with pytest.raises(ModelError, match=r"another network: its .* is \[.*the model's \["):
        sums(unet, base(unet), [(file(path), 1.0)])
