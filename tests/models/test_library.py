from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

from studio.errors import ModelError
from studio.facts import Facts
from studio.models.library import Library
from studio.resources import resource
from studio.values import Blocks, ModelRef
from tests.controlnets import starter_controlnet
from tests.models.conftest import Tiny
from tests.models.originals import write_header, write_single
from tests.starter import WIDTH


def copy_starter(library: Library, name: str = "mine") -> Path:
    return Path(shutil.copytree(resource("starter"), library.folders[0] / name))


# --- describing


def test_the_starter_is_described(library: Library) -> None:
    found = library.describe("starter")
    assert found.model is not None
    assert found.vae is not None
    assert found.text_encoder is not None
    model = found.model
    assert (model.family, model.in_channels, model.latent_channels) == ("starter", 4, 4)
    # 128 px pictures as 16 x 16 latents, as starter-model's configs say
    assert (model.downscale, model.sample_size) == (8, 128)
    assert model.scheduler["_class_name"] == "DDIMScheduler"
    assert model.scheduler["prediction_type"] == "v_prediction"
    assert (found.vae.family, found.vae.downscale) == ("starter", 8)
    assert [ref.component for ref in found.text_encoder.refs] == ["text_encoder"]


def test_the_starter_is_described_within_20_ms_and_without_torch() -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from studio.facts import Facts; from studio.models.library import Library\n"
        "library = Library([], Facts(None)); library.describe('starter')\n"
        "start = time.perf_counter(); library.describe('starter')\n"
        "print(time.perf_counter() - start)\n"
        "assert not {'torch', 'diffusers', 'transformers'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.020


def test_the_same_files_under_another_name_have_the_same_digests(library: Library) -> None:
    copy_starter(library, "elsewhere")
    mine, bundled = library.describe("elsewhere"), library.describe("starter")
    assert mine.model is not None
    assert bundled.model is not None
    assert mine.model.ref.digest == bundled.model.ref.digest
    assert mine.model.ref.__key__() == bundled.model.ref.__key__()


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("unet/config.json", "model"),
        ("vae/config.json", "vae"),
        ("tokenizer/merges.txt", "text_encoder"),
        ("text_encoder/model.safetensors", "text_encoder"),
    ],
)
def test_what_changes_a_component_changes_its_digest_and_no_other(
    library: Library, file: str, changed: str
) -> None:
    folder = copy_starter(library)
    before = library.describe("mine")
    path = folder / file
    if path.suffix == ".json":
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**config, "norm_eps": 2e-5}), encoding="utf-8")
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    after = library.describe("mine")
    for name in ("model", "vae", "text_encoder"):
        assert (getattr(before, name) != getattr(after, name)) == (name == changed)


def test_who_wrote_a_config_does_not_change_a_digest(library: Library) -> None:
    folder = copy_starter(library)
    before = library.describe("mine")
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["_diffusers_version"] = "0.1.0"
    path.write_text(json.dumps(config, indent=7), encoding="utf-8")
    assert library.describe("mine") == before


def test_the_digest_is_of_the_file_contents(library: Library, facts: Facts) -> None:
    folder = copy_starter(library)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    old = time.time() - 100
    os.utime(weights, (old, old))
    library.describe("mine")
    remembered = facts.get("digest", str(weights.resolve()))
    assert isinstance(remembered, list)
    assert remembered[-1] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_a_controlnet_is_described_with_what_it_must_fit(library: Library) -> None:
    starter_controlnet(1).save_pretrained(library.folders[0] / "edges")
    found = library.describe("edges").controlnet
    assert found is not None
    # 96 channels at 16 x 16 latents: the first layer, a block's one layer and its way down; then 160: one, and the
    # middle
    assert found.blocks == Blocks((96, 96, 96, 160, 160), WIDTH)
    assert (found.family, found.in_channels, found.downscale) == ("", 4, 8)
    assert found.ref.component == "controlnet"
    model = library.describe("starter").model
    assert model is not None
    assert model.blocks == found.blocks
    assert library.describe("edges").model is None
    assert library.describe("starter").controlnet is None


def test_the_residuals_of_a_description_are_those_of_the_network() -> None:
    controlnet = starter_controlnet(1)
    down, middle = controlnet(
        torch.zeros(1, 4, 16, 16),
        1,
        encoder_hidden_states=torch.zeros(1, 2, WIDTH),
        controlnet_cond=torch.zeros(1, 3, 128, 128),
        return_dict=False,
    )
    assert [part.shape[1] for part in (*down, middle)] == [96, 96, 96, 160, 160]


@pytest.mark.parametrize(
    ("width", "channels", "family", "residuals"),
    [(768, 320, "sd1", 13), (1024, 320, "sd2", 13)],
)
def test_a_single_file_of_a_controlnet_is_described_by_its_family(
    library: Library, width: int, channels: int, family: str, residuals: int
) -> None:
    names = {
        "control_model.time_embed.0.weight": (1280, 320),
        "control_model.input_blocks.0.0.weight": (channels, 4, 3, 3),
        "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, width),
    }
    write_header(library.folders[0] / "canny.safetensors", names)
    found = library.describe("canny").controlnet
    assert found is not None
    assert (found.family, found.in_channels, found.downscale) == (family, 4, 8)
    assert found.blocks.text_width == width
    # 12 skip connections of Stable Diffusion's U-Net, and the middle
    assert len(found.blocks.residuals) == residuals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conditioning_channels": 1}, "reads pictures of 1 channels"),
        ({"global_pool_conditions": True}, "follows a picture as a whole"),
        ({"class_embed_type": "timestep"}, r"reads a condition \(class_embed_type\)"),
        ({"block_out_channels": "wide"}, "has no sound block_out_channels"),
        ({"conditioning_embedding_out_channels": 3}, "has no sound conditioning_embedding"),
    ],
)
def test_a_controlnet_that_cannot_be_run_is_refused(
    library: Library, change: dict[str, object], message: str
) -> None:
    folder = library.folders[0] / "edges"
    starter_controlnet(1).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        library.describe("edges")


def test_a_controlnet_of_no_known_family_in_one_file_is_refused(library: Library) -> None:
    names = {
        "conv_in.weight": (320, 4, 3, 3),
        "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 123),
    }
    write_header(library.folders[0] / "strange.safetensors", names)
    with pytest.raises(ModelError, match="is a ControlNet of no family that we know"):
        library.describe("strange")


def test_a_pixel_space_model_is_described_without_text_and_vae(library: Library) -> None:
    folder = library.folders[0] / "ddpm"
    unet = UNet2DModel(
        sample_size=32,
        block_out_channels=(16, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
    )
    unet.save_pretrained(folder / "unet")
    DDPMScheduler().save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "DDPMPipeline",
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    found = library.describe("ddpm")
    assert found.model is not None
    model = found.model
    assert (model.latent_channels, model.downscale, model.sample_size) == (3, 1, 32)
    assert (found.text_encoder, found.vae) == (None, None)
    assert "has no vae" in found.missing["vae"]


def test_an_inpainting_unet_predicts_fewer_channels_than_it_reads(
    tiny_sd1: Tiny, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "inpaint"
    shutil.copytree(tiny_sd1.library / "folder", folder)
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "in_channels": 9}), encoding="utf-8")
    model = Library([tmp_path / "models"], Facts(None)).describe("inpaint").model
    assert model is not None
    assert (model.in_channels, model.latent_channels) == (9, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"in_channels": 8},
        {"addition_embed_type": "image"},
        {"class_embed_type": "timestep"},
        {"encoder_hid_dim_type": "text_image_proj"},
    ],
)
def test_a_unet_that_reads_what_we_do_not_give_is_refused(
    library: Library, change: dict[str, object]
) -> None:
    path = copy_starter(library) / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **change}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"its U-Net reads .* which is not supported"):
        library.describe("mine")


def test_a_single_file_is_described_like_its_folder(tiny_sd1: Tiny, facts: Facts) -> None:
    library = Library([tiny_sd1.library], facts)
    file, folder = library.describe("file"), library.describe("folder")
    assert file.model is not None
    assert folder.model is not None
    # the folder's own architecture is of no family; the file's owner said that it is of Stable Diffusion 1's
    assert (file.model.family, folder.model.family) == ("sd1", "")
    assert file.model.sample_size == folder.model.sample_size == 8 * 2
    assert file.vae is not None
    assert file.vae.downscale == 2
    assert file.text_encoder is not None
    assert file.text_encoder.family == "sd1"


def test_an_xl_file_has_two_text_encoders(tiny_sdxl: Tiny, facts: Facts) -> None:
    found = Library([tiny_sdxl.library], facts).describe("file")
    assert found.text_encoder is not None
    names = [ref.component for ref in found.text_encoder.refs]
    assert names == ["text_encoder", "text_encoder_2"]
    assert found.model is not None
    assert found.model.family == "sdxl"


def test_a_file_without_tokenizer_says_which_files_to_put_where(
    tiny_sd1: Tiny, library: Library
) -> None:
    path = library.folders[0] / "lone.safetensors"
    for ending in (".safetensors", ".json"):
        shutil.copyfile(tiny_sd1.library / f"file{ending}", path.with_suffix(ending))
    found = library.describe("lone")
    assert found.model is not None
    assert found.text_encoder is None
    told = found.missing["text_encoder"]
    assert "vocab.json and merges.txt" in told
    assert str(library.folders[0] / "tokenizers" / "clip") in told


def test_a_tokenizer_of_the_library_serves_every_single_file(
    tiny_sd1: Tiny, library: Library
) -> None:
    path = library.folders[0] / "deep" / "lone.safetensors"
    path.parent.mkdir()
    for ending in (".safetensors", ".json"):
        shutil.copyfile(tiny_sd1.library / f"file{ending}", path.with_suffix(ending))
    place = library.folders[0] / "tokenizers" / "clip"
    shutil.copytree(resource("starter", "tokenizer"), place)
    assert library.describe("deep/lone").text_encoder is not None


def test_sd2_is_not_described_before_it_is_known_what_it_predicts(library: Library) -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "input_blocks.0.0.weight": (320, 4, 3, 3),
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
        "middle_block.0.in_layers.0.weight": (1280,),
        "output_blocks.0.0.in_layers.0.weight": (2560,),
    }
    path = write_header(library.folders[0] / "sd2.safetensors", shapes)
    with pytest.raises(ModelError, match="predicts noise or velocity"):
        library.describe("sd2")
    path.with_suffix(".json").write_text('{"prediction_type": "v_prediction"}', encoding="utf-8")
    model = library.describe("sd2").model
    assert model is not None
    # 768 px for the v-prediction models, as the model card of stable-diffusion-2-1 says
    assert (model.sample_size, model.scheduler["prediction_type"]) == (768, "v_prediction")


def test_a_vae_file_needs_to_be_told_its_family(tiny_sd1: Tiny, library: Library) -> None:
    from tests.models.originals import VAE, original_vae

    weights = original_vae(tiny_sd1.pipeline.vae, prefix="")
    overlay = {"components": {"vae": VAE}}
    path = write_single(library.folders[0] / "vae.safetensors", weights, overlay)
    with pytest.raises(ModelError, match=r'\{"family": "sd1"\}'):
        library.describe("vae")
    path.with_suffix(".json").write_text(
        json.dumps({**overlay, "family": "sdxl"}), encoding="utf-8"
    )
    found = library.describe("vae")
    assert found.model is None
    assert found.vae is not None
    assert found.vae.family == "sdxl"


def test_flux_is_refused_by_name_on_describing(library: Library) -> None:
    shapes = {"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}
    write_header(library.folders[0] / "flux.safetensors", shapes)
    with pytest.raises(ModelError, match="recognised as Flux; its transformer is not supported"):
        library.describe("flux")


def test_a_lora_is_not_described_as_a_model(library: Library) -> None:
    pair = {"lora_te_a.lora_down.weight": (4, 768), "lora_te_a.lora_up.weight": (768, 4)}
    write_header(library.folders[0] / "l.safetensors", pair)
    described = library.describe("l")
    assert described.lora is not None
    assert described.lora.components == ("text_encoder",)
    assert described.model is None
    assert "is a LoRA; load a model, and then this" in described.missing["model"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("unet/config.json", "is missing"),
        ("unet/diffusion_pytorch_model.safetensors", "holds no weights"),
        ("tokenizer", "holds no tokenizer"),
        ("vae", "is missing"),
    ],
)
def test_a_missing_file_is_named(library: Library, file: str, message: str) -> None:
    path = copy_starter(library) / file
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(ModelError, match=message) as caught:
        library.describe("mine")
    assert Path(file).parts[0] in caught.value.where


# --- names


def test_a_missing_model_says_the_nearest_name_and_where_to_put_it(library: Library) -> None:
    with pytest.raises(ModelError) as caught:
        library.find("startr")
    told = str(caught.value)
    assert 'did you mean "starter"?' in told
    assert (
        f"put startr.safetensors, or its folder in diffusers' layout, into {library.folders[0]}"
        in told
    )


def added(library: Library) -> list[str]:
    """The models that do not ship with the program."""
    return [entry.name for entry in library.entries() if not entry.is_bundled]


def test_every_companion_of_the_starter_is_found_by_its_folder(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "resources"
    (shipped / "companions").mkdir(parents=True)
    (shipped / "starter").symlink_to(resource("starter"), target_is_directory=True)
    starter_controlnet(1).save_pretrained(shipped / "companions" / "scribble")
    shutil.copytree(resource("starter", "unet"), shipped / "companions" / "again" / "unet")
    shutil.copytree(
        resource("starter", "scheduler"), shipped / "companions" / "again" / "scheduler"
    )
    index = {"_class_name": "DiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    (shipped / "companions" / "again" / "model_index.json").write_text(json.dumps(index))
    (shipped / "companions" / "README.md").write_text("no model")
    monkeypatch.setattr("studio.models.parts.resource", shipped.joinpath)
    copy_starter(library, "starter-scribble")
    assert library.names()[:3] == ("starter", "starter-again", "starter-scribble")
    assert all(entry.is_bundled for entry in library.entries()[:3])
    assert library.describe("starter-scribble").controlnet is not None
    again, starter = library.describe("starter-again").model, library.describe("starter").model
    assert again is not None
    assert starter is not None
    assert (again.latents, again.ref.digest) == ("starter", starter.ref.digest)
    with pytest.raises(ModelError, match="cannot be the name of a new model"):
        library.place("starter-scribble")


def test_names_are_paths_relative_to_the_library(library: Library) -> None:
    copy_starter(library, "painting/mine")
    write_header(library.folders[0] / "lora" / "ink.safetensors", {"a.lora_down.weight": (4, 768)})
    assert added(library) == ["lora/ink", "painting/mine"]


def test_a_file_beside_a_folder_of_its_stem_goes_by_its_whole_name(library: Library) -> None:
    copy_starter(library, "mine")
    file = write_header(library.folders[0] / "mine.safetensors", {"a.lora_down.weight": (4, 768)})
    assert added(library) == ["mine", "mine.safetensors"]
    assert library.find("mine").path == library.folders[0] / "mine"
    assert library.find("mine.safetensors").path == file


def test_an_absolute_path_is_a_name(library: Library, tmp_path: Path) -> None:
    folder = shutil.copytree(resource("starter"), tmp_path / "elsewhere")
    assert library.describe(str(folder)).model is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../secret", "leads out of the library"),
        ("a/../../secret", "leads out of the library"),
        ("a\\..\\..\\secret", "leads out of the library"),
        ("\\\\server\\share\\model", "is a path of the network"),
        ("//server/share/model", "is a path of the network"),
        ("", "is not a name"),
        ("a\0b", "is not a name"),
        ("x" * 5000, "is not a name"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(library: Library, name: str, message: str) -> None:
    write_header(library.folders[0].parent / "secret.safetensors", {"emb_params": (1, 768)})
    with pytest.raises(ModelError, match=message):
        library.find(name)


def test_a_path_to_something_else_is_read_by_nobody(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "diary.txt"
    path.write_text("dear diary, ", encoding="utf-8")
    with pytest.raises(ModelError, match="truncated or damaged") as caught:
        library.describe(str(path))
    assert "dear" not in str(caught.value)


def test_a_pickle_in_the_library_is_named_when_it_is_asked_for(library: Library) -> None:
    (library.folders[0] / "old.ckpt").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="is a pickle"):
        library.find("old")


def test_the_first_folder_wins(tmp_path: Path, facts: Facts) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        write_header(folder / "m.safetensors", {"emb_params": (1, 768)})
    assert Library([first, second], facts).find("m").path == first / "m.safetensors"


# --- references


def test_a_changed_model_is_no_longer_what_the_reference_meant(library: Library) -> None:
    folder = copy_starter(library)
    model = library.describe("mine").model
    assert model is not None
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "norm_eps": 1.0}), encoding="utf-8")
    with pytest.raises(ModelError, match="another version than the workflow was made with"):
        library.component(model.ref)


def test_a_reference_to_a_component_that_is_not_there_is_an_error(library: Library) -> None:
    with pytest.raises(ModelError, match="has no text_encoder_2"):
        library.component(ModelRef("starter", "text_encoder_2", "0" * 64))


# --- adding and checking


def test_a_model_is_added_by_copying_only_what_is_read(library: Library, tmp_path: Path) -> None:
    source = shutil.copytree(resource("starter"), tmp_path / "new")
    (source / "code.py").write_text("raise SystemExit", encoding="utf-8")
    (source / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    entry = library.add(source)
    assert entry.path == library.folders[0] / "new"
    assert library.describe("new").model is not None
    copied = {path.suffix for path in entry.path.rglob("*") if path.is_file()}
    assert copied == {".json", ".md", ".safetensors", ".txt"}


def test_a_single_file_is_added_with_its_companions(library: Library, tiny_sd1: Tiny) -> None:
    library.add(tiny_sd1.library / "file.safetensors", name="painting/new")
    names = {path.name for path in (library.folders[0] / "painting").iterdir()}
    assert names == {"new.safetensors", "new.json"}


def test_a_model_is_linked(library: Library, tmp_path: Path) -> None:
    source = shutil.copytree(resource("starter"), tmp_path / "new")
    entry = library.add(source, is_link=True)
    assert entry.path.is_symlink()
    assert library.describe("new").model is not None


def test_nothing_is_overwritten_by_adding(library: Library, tmp_path: Path) -> None:
    source = shutil.copytree(resource("starter"), tmp_path / "new")
    library.add(source)
    with pytest.raises(ModelError, match='there is a model "new" already'):
        library.add(source)


def test_a_file_is_not_overwritten_by_adding(library: Library, tmp_path: Path) -> None:
    source = write_header(tmp_path / "ink.safetensors", {"a.lora_down.weight": (4, 768)})
    library.add(source)
    with pytest.raises(ModelError, match='there is a model "ink" already'):
        library.add(source)


@pytest.mark.parametrize("name", ["starter", "../out", "/tmp/out"])
def test_a_model_is_not_added_under_a_name_that_is_none(
    library: Library, tmp_path: Path, name: str
) -> None:
    source = shutil.copytree(resource("starter"), tmp_path / "new")
    with pytest.raises(ModelError):
        library.add(source, name=name)


def test_a_pickle_is_not_added(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="is a pickle"):
        library.add(path)
    assert list(library.folders[0].iterdir()) == []


def test_a_failed_copy_leaves_nothing_behind(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(resource("starter"), tmp_path / "new")

    def fail(source: str, target: str, **_: object) -> None:
        Path(target).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studio.models.library.shutil.copytree", fail)
    with pytest.raises(ModelError, match="cannot be written: No space left on device"):
        library.add(source)
    assert list(library.folders[0].iterdir()) == []


def test_a_sound_library_has_no_findings(library: Library) -> None:
    copy_starter(library)
    assert list(library.check()) == []


def test_checking_finds_pickles_damage_and_changes_of_content(library: Library) -> None:
    folder = copy_starter(library)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    old = time.time() - 100
    os.utime(weights, (old, old))
    library.describe("mine")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, (old, old))
    (library.folders[0] / "old.ckpt").write_bytes(b"\x80\x04.")
    (library.folders[0] / "cut.safetensors").write_bytes(b"12")
    found = {(finding.name, finding.problem.split(": ")[-1]) for finding in library.check()}
    names = {name for name, _ in found}
    assert names == {"mine", "old.ckpt", "cut"}
    assert any("has changed without a new time stamp" in problem for _, problem in found)
