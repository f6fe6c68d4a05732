from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from studio.errors import ModelError
from studio.facts import Facts
from studio.models.library import Library
from studio.models.loading import chosen_dtype, load_module, load_text, size_of
from studio.models.parts import Component
from studio.resources import resource
from studio.values import ModelRef
from tests.controlnets import controlnet_of
from tests.models.conftest import Tiny
from tests.models.originals import SD1_UNET, SDXL_UNET, original_controlnet, write_single
from tests.starter import END, LENGTH

NAMES = ("unet", "vae", "text_encoder")


def component(library: Library, name: str, part: str) -> Component:
    found = library.describe(name)
    refs: list[ModelRef] = []
    refs += [found.model.ref] if found.model else []
    refs += [found.vae.ref] if found.vae else []
    refs += found.text_encoder.refs if found.text_encoder else ()
    refs += [found.controlnet.ref] if found.controlnet else []
    return library.component(next(ref for ref in refs if ref.component == part))


def load(library: Library, name: str, part: str, dtype: str = "float32") -> torch.nn.Module:
    return load_module(component(library, name, part), device="cpu", dtype=dtype)


def assert_same(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    left, right = ours.state_dict(), theirs.state_dict()
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


@pytest.mark.parametrize(
    ("part", "kind"),
    [("unet", UNet2DConditionModel), ("vae", AutoencoderKL), ("text_encoder", CLIPTextModel)],
)
def test_the_starter_is_loaded_as_diffusers_loads_it(
    library: Library, part: str, kind: type[torch.nn.Module]
) -> None:
    theirs = kind.from_pretrained(  # type: ignore[attr-defined]  # of diffusers' and transformers' mixins
        resource("starter", part), torch_dtype=torch.float32, local_files_only=True
    )
    assert_same(load(library, "starter", part), theirs)


@pytest.mark.parametrize("part", NAMES)
def test_a_module_is_ready_for_inference(library: Library, part: str) -> None:
    module = load(library, "starter", part)
    assert not module.training
    assert {weight.requires_grad for weight in module.parameters()} == {False}
    assert {weight.dtype for weight in module.parameters()} == {torch.float32}
    assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))


def test_float16_weights_become_float32_exactly(library: Library) -> None:
    stored = safetensors.torch.load_file(
        resource("starter", "unet", "diffusion_pytorch_model.safetensors")
    )
    loaded = load(library, "starter", "unet").state_dict()
    assert all(torch.equal(loaded[name], stored[name].float()) for name in stored)


def test_weights_do_not_change_with_their_file(library: Library) -> None:
    folder = Path(shutil.copytree(resource("starter"), library.folders[0] / "mine"))
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    stored = {name: weight.float() for name, weight in safetensors.torch.load_file(path).items()}
    safetensors.torch.save_file(stored, path)
    module = load(library, "mine", "vae")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(path.stat().st_size // 2))
    assert all(torch.equal(module.state_dict()[name], stored[name]) for name in stored)


@pytest.mark.parametrize("part", NAMES)
def test_an_sd1_file_is_loaded_bit_for_bit(tiny_sd1: Tiny, facts: Facts, part: str) -> None:
    library = Library([tiny_sd1.library], facts)
    assert_same(load(library, "file", part), getattr(tiny_sd1.pipeline, part))
    assert_same(load(library, "folder", part), getattr(tiny_sd1.pipeline, part))


@pytest.mark.parametrize("part", [*NAMES, "text_encoder_2"])
def test_an_sdxl_file_is_loaded_bit_for_bit(tiny_sdxl: Tiny, facts: Facts, part: str) -> None:
    library = Library([tiny_sdxl.library], facts)
    assert_same(load(library, "file", part), getattr(tiny_sdxl.pipeline, part))
    assert_same(load(library, "folder", part), getattr(tiny_sdxl.pipeline, part))


@pytest.mark.parametrize("name", ["folder", "diffusers", "original"])
def test_a_controlnet_is_loaded_bit_for_bit(tiny_sd1: Tiny, library: Library, name: str) -> None:
    theirs = controlnet_of(tiny_sd1.pipeline.unet, 1)
    place = library.folders[0]
    theirs.save_pretrained(place / "folder")
    overlay = {"components": {"controlnet": SD1_UNET}}
    write_single(place / "diffusers.safetensors", theirs.state_dict(), overlay)
    write_single(place / "original.safetensors", original_controlnet(theirs), overlay)
    assert_same(load(library, name, "controlnet"), theirs)


def test_a_controlnet_of_xl_in_one_file_is_loaded_bit_for_bit(
    tiny_sdxl: Tiny, library: Library
) -> None:
    theirs = controlnet_of(tiny_sdxl.pipeline.unet, 1)
    overlay = {"components": {"controlnet": SDXL_UNET}}
    path = library.folders[0] / "xl.safetensors"
    write_single(path, theirs.state_dict(), overlay, has_tokenizer=False)
    assert_same(load(library, "xl", "controlnet"), theirs)


def test_only_the_families_own_padding_is_used(tiny_sdxl: Tiny, facts: Facts) -> None:
    library = Library([tiny_sdxl.library], facts)
    first, second = (
        load_text(component(library, "file", part), device="cpu", dtype="float32")
        for part in ("text_encoder", "text_encoder_2")
    )
    # the end of a text, and "!"
    assert (first.tokenizer.pad_token_id, second.tokenizer.pad_token_id) == (END, 0)
    assert (first.length, second.length) == (LENGTH, LENGTH)


def test_weights_under_names_of_old_versions_are_found(library: Library) -> None:
    folder = Path(shutil.copytree(resource("starter"), library.folders[0] / "mine"))
    path = folder / "text_encoder" / "model.safetensors"
    stored = safetensors.torch.load_file(path)
    old = {f"text_model.{name}": weight for name, weight in stored.items()}
    # transformers wrote this buffer before 4.31
    old["text_model.embeddings.position_ids"] = torch.arange(LENGTH)[None]
    safetensors.torch.save_file(old, path)
    assert_same(load(library, "mine", "text_encoder"), load(library, "starter", "text_encoder"))


def test_a_vae_of_before_diffusers_0_12_is_loaded(tiny_sd1: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_sd1.library / "folder", tmp_path / "old"))
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    stored = safetensors.torch.load_file(path)
    for present, name in former.items():
        stored = {k.replace(f".{present}.", f".{name}."): w for k, w in stored.items()}
    assert any(".proj_attn." in name for name in stored)
    safetensors.torch.save_file(stored, path)
    library = Library([tmp_path], Facts(None))
    assert_same(load(library, "old", "vae"), tiny_sd1.pipeline.vae)


def test_shards_are_put_together(tiny_sd1: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_sd1.library / "folder", tmp_path / "m"))
    shutil.rmtree(folder / "unet")
    tiny_sd1.pipeline.unet.save_pretrained(folder / "unet", max_shard_size="200KB")
    assert len(list((folder / "unet").glob("*.safetensors"))) > 1
    library = Library([tmp_path], Facts(None))
    assert_same(load(library, "m", "unet"), tiny_sd1.pipeline.unet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_out_channels": [96, 192]}, "and its config wants"),
        ({"layers_per_block": 2}, "lacks .* tensors"),
        ({"down_block_types": ["DownBlock2D", "DownBlock2D"]}, "tensors too many"),
        ({"down_block_types": ["NoBlock", "DownBlock2D"]}, "is malformed"),
        ({"block_out_channels": "wide"}, "is malformed"),
        ({"act_fn": "nothing"}, "is malformed"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_refused(
    library: Library, change: dict[str, object], message: str
) -> None:
    folder = Path(shutil.copytree(resource("starter"), library.folders[0] / "mine"))
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **change}), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load(library, "mine", "unet")


def test_a_damaged_tokenizer_is_refused(library: Library) -> None:
    folder = Path(shutil.copytree(resource("starter"), library.folders[0] / "mine"))
    (folder / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="its tokenizer cannot be read"):
        load_text(component(library, "mine", "text_encoder"), device="cpu", dtype="float32")


def test_a_vae_that_overflows_in_float16_is_loaded_in_float32(library: Library) -> None:
    steady = component(library, "starter", "vae")
    assert chosen_dtype(steady, "float16") == "float16"
    vae = replace(steady, config={**steady.config, "force_upcast": True})
    assert chosen_dtype(vae, "float16") == "float32"
    assert chosen_dtype(vae, "bfloat16") == "bfloat16"
    assert chosen_dtype(component(library, "starter", "unet"), "float16") == "float16"


@pytest.mark.parametrize("name", ["file", "folder"])
def test_the_size_is_known_before_loading(tiny_sd1: Tiny, facts: Facts, name: str) -> None:
    library = Library([tiny_sd1.library], facts)
    found = component(library, name, "vae")
    module = load_module(found, device="cpu", dtype="float32")
    assert size_of(found, "float32") == sum(w.numel() * 4 for w in module.parameters())


def test_loading_is_silent_and_asks_no_network(tiny_sdxl: Tiny, tmp_path: Path) -> None:
    models = Path(shutil.copytree(tiny_sdxl.library, tmp_path / "models"))
    path = models / "folder" / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "field_of_tomorrow": 1}), encoding="utf-8")
    controlnet_of(tiny_sdxl.pipeline.unet, 1).save_pretrained(models / "control")
    program = (
        "import socket, sys; from pathlib import Path\n"
        "def refuse(*_, **__): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from studio.facts import Facts; from studio.models.library import Library\n"
        "from studio.models.pool import Pool\n"
        f"library = Library([Path({str(models)!r})], Facts(None))\n"
        "pool = Pool(library, device='cpu', dtype='float32', budget_bytes=1 << 30)\n"
        "assert 'torch' not in sys.modules\n"
        "for name in ('starter', 'file', 'folder'):\n"
        "    found = library.describe(name)\n"
        "    pool.get(found.model.ref); pool.get(found.vae.ref)\n"
        "    for ref in found.text_encoder.refs: pool.text(ref)\n"
        "pool.get(library.describe('control').controlnet.ref)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
