from __future__ import annotations

import json
import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.errors import ModelError
from studio.models.families import families
from studio.models.headers import read_header
from studio.models.inspection import Kind, inspect
from studio.resources import resource
from tests.models.originals import write_header

Shapes = dict[str, tuple[int, ...]]


def unet(width: int, channels: int = 4, *, labels: int = 0, prefix: str = "") -> Shapes:
    """The tensors of an original U-Net that tell its family."""
    names: dict[str, tuple[int, ...]] = {
        "input_blocks.0.0.weight": (320, channels, 3, 3),
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, width),
        "middle_block.0.in_layers.0.weight": (1280,),
        "output_blocks.0.0.in_layers.0.weight": (2560,),
    }
    if labels:
        names["label_emb.0.0.weight"] = (1280, labels)
    return {f"{prefix or 'model.diffusion_model.'}{name}": shape for name, shape in names.items()}


VAE: Shapes = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "decoder.up.0.block.0.norm1.weight": (128,),
}
FIRST_STAGE = {f"first_stage_model.{name}": shape for name, shape in VAE.items()}
CLIP_L = {"cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (77, 768)}
CLIP_H = {"cond_stage_model.model.positional_embedding": (77, 1024)}
XL_TEXT = {
    "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight": (
        77,
        768,
    ),
    "conditioner.embedders.1.model.positional_embedding": (77, 1280),
}
REFINER_TEXT = {"conditioner.embedders.0.model.positional_embedding": (77, 1280)}


@pytest.mark.parametrize(
    ("shapes", "family", "components"),
    [
        (unet(768) | FIRST_STAGE | CLIP_L, "sd1", ("unet", "vae", "text_encoder")),
        (unet(768, 9) | FIRST_STAGE | CLIP_L, "sd1_inpaint", ("unet", "vae", "text_encoder")),
        (unet(1024) | FIRST_STAGE | CLIP_H, "sd2", ("unet", "vae", "text_encoder")),
        (
            unet(2048, labels=2816) | FIRST_STAGE | XL_TEXT,
            "sdxl",
            ("unet", "vae", "text_encoder", "text_encoder_2"),
        ),
        (
            unet(1280, labels=2560) | FIRST_STAGE | REFINER_TEXT,
            "sdxl_refiner",
            ("unet", "vae", "text_encoder_2"),
        ),
    ],
)
def test_a_checkpoint_is_known_by_its_header(
    tmp_path: Path, shapes: Shapes, family: str, components: tuple[str, ...]
) -> None:
    found = inspect(write_header(tmp_path / "model.safetensors", shapes))
    assert (found.kind, found.family, found.components) == (Kind.PIPELINE, family, components)
    assert (found.layout, found.dtype) == ("original", "F16")


@pytest.mark.parametrize(
    ("shapes", "kind", "family"),
    [
        (unet(768), Kind.UNET, "sd1"),
        (unet(2048, labels=2816), Kind.UNET, "sdxl"),
        (
            {
                "conv_in.weight": (320, 4, 3, 3),
                "time_embedding.linear_1.weight": (1280, 320),
                "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
                "up_blocks.0.resnets.0.norm1.weight": (2560,),
            },
            Kind.UNET,
            "sd1",
        ),
        (VAE, Kind.VAE, ""),
        (FIRST_STAGE, Kind.VAE, ""),
        (
            {
                "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
                "img_in.weight": (3072, 64),
            },
            Kind.TRANSFORMER,
            "flux",
        ),
        (
            {"model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,)},
            Kind.TRANSFORMER,
            "sd3",
        ),
        (
            unet(768, prefix="control_model.") | {"control_model.time_embed.0.weight": (1280, 320)},
            Kind.CONTROLNET,
            "sd1",
        ),
        (
            {
                "conv_in.weight": (320, 4, 3, 3),
                "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
                "add_embedding.linear_1.weight": (1280, 2816),
                "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
            },
            Kind.CONTROLNET,
            "sdxl",
        ),
        (
            {
                "text_model.encoder.layers.0.self_attn.q_proj.weight": (768, 768),
                "text_model.embeddings.token_embedding.weight": (49408, 768),
            },
            Kind.TEXT_ENCODER,
            "",
        ),
        ({"emb_params": (4, 768)}, Kind.EMBEDDING, "sd1"),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, Kind.EMBEDDING, "sdxl"),
        ({"<my-cat>": (1024,)}, Kind.EMBEDDING, "sd2"),
    ],
)  # fmt: skip
def test_a_part_is_known_by_its_header(
    tmp_path: Path, shapes: Shapes, kind: Kind, family: str
) -> None:
    found = inspect(write_header(tmp_path / "part.safetensors", shapes))
    assert (found.kind, found.family) == (kind, family)


@pytest.mark.parametrize(
    ("name", "layout", "family", "width"),
    [
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight",
         "kohya", "sd1", 768),
        ("base_model.model.unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight",
         "peft", "sdxl", 2048),
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight",
         "diffusers", "sd2", 1024),
        ("transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight",
         "diffusers", "flux", 3072),
    ],
)  # fmt: skip
def test_a_lora_is_known_with_the_tool_that_made_it(
    tmp_path: Path, name: str, layout: str, family: str, width: int
) -> None:
    up = name.replace("lora_down", "lora_up").replace("lora_A", "lora_B")
    found = inspect(write_header(tmp_path / "l.safetensors", {name: (8, width), up: (320, 8)}))
    assert (found.kind, found.layout, found.family) == (Kind.LORA, layout, family)


def test_a_language_model_is_refused_and_called_one(tmp_path: Path) -> None:
    path = write_header(
        tmp_path / "chat.safetensors",
        {"model.layers.0.self_attn.q_proj.weight": (64, 64), "lm_head.weight": (100, 64)},
    )
    with pytest.raises(ModelError, match="not a model that we know: a language model"):
        inspect(path)


def test_what_is_not_known_is_refused_and_never_guessed(tmp_path: Path) -> None:
    path = write_header(tmp_path / "x.safetensors", {"weight": (3, 4), "bias": (4,)})
    with pytest.raises(ModelError, match="is not a model that we know"):
        inspect(path)


def test_a_unet_of_no_known_width_is_of_no_family(tmp_path: Path) -> None:
    found = inspect(write_header(tmp_path / "x.safetensors", unet(555)))
    assert found.family == ""
    assert "text of width 555" in found.problems[0]


def test_an_eight_channel_unet_is_called_what_it_is(tmp_path: Path) -> None:
    found = inspect(write_header(tmp_path / "x.safetensors", unet(768, 8)))
    assert "InstructPix2Pix" in found.problems[0]


def test_flux_is_recognised_and_said_to_be_unsupported(tmp_path: Path) -> None:
    shapes = {"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}
    found = inspect(write_header(tmp_path / "flux.safetensors", shapes))
    assert found.problems == (
        "recognised as Flux; its transformer is not supported yet by the denoise node",
    )


# --- what a file predicts


def test_the_header_of_sd2_does_not_tell_what_it_predicts(tmp_path: Path) -> None:
    found = inspect(write_header(tmp_path / "sd2.safetensors", unet(1024)))
    assert found.prediction == ""
    assert "sd2.json beside it" in found.problems[0]


@pytest.mark.parametrize(
    ("ending", "text", "prediction"),
    [
        (".json", '{"prediction_type": "v_prediction"}', "v_prediction"),
        (".json", '{"prediction_type": "epsilon"}', "epsilon"),
        (".yaml", "model:\n  params:\n    parameterization: \"v\"\n", "v_prediction"),
        (".yaml", "model:\n  params:\n    timesteps: 1000\n", "epsilon"),
    ],
)  # fmt: skip
def test_a_file_beside_it_says_what_sd2_predicts(
    tmp_path: Path, ending: str, text: str, prediction: str
) -> None:
    path = write_header(tmp_path / "sd2.safetensors", unet(1024))
    path.with_suffix(ending).write_text(text, encoding="utf-8")
    found = inspect(path)
    assert (found.prediction, found.problems) == (prediction, ())


def test_a_sidecar_that_says_something_else_is_refused(tmp_path: Path) -> None:
    path = write_header(tmp_path / "sd2.safetensors", unet(1024))
    path.with_suffix(".json").write_text('{"prediction_type": "velocity"}', encoding="utf-8")
    with pytest.raises(ModelError, match="prediction_type 'velocity' is unknown"):
        inspect(path)


def test_metadata_say_what_a_model_predicts(tmp_path: Path) -> None:
    path = write_header(tmp_path / "m.safetensors", unet(1024), {"modelspec.prediction_type": "v"})
    assert inspect(path).prediction == "v_prediction"


def test_marker_tensors_say_what_an_xl_model_predicts(tmp_path: Path) -> None:
    shapes = {**unet(2048, labels=2816), "v_pred": (0,), "ztsnr": (0,)}
    found = inspect(write_header(tmp_path / "m.safetensors", shapes))
    assert found.prediction == "v_prediction"
    assert found.traits["rescale_betas_zero_snr"] is True


# --- hostile and damaged files


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("this-must-not-exist",)


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".pth", ".bin", ".CKPT"])
def test_a_pickle_is_refused_by_its_ending_and_never_opened(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model{ending}"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match=r"is a pickle, which.*convert it to safetensors"):
        inspect(path)


def test_a_pickle_under_a_false_ending_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="pickle under a false ending"):
        inspect(path)
    assert not (tmp_path / "this-must-not-exist").exists()


def test_an_archive_under_a_false_ending_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="pickle under a false ending"):
        inspect(path)


def whole(tmp_path: Path) -> bytes:
    path = write_header(tmp_path / "whole.safetensors", {"<cat>": (768,)})
    return path.read_bytes()


def with_header(text: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ENTRY = '{"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x10",
        with_header(b"{}", length=2**40),
        with_header(b"{}", length=2**63),
        with_header(b"not json"),
        with_header(b"\xff\xfe\xff"),
        with_header(b"[1, 2]"),
        with_header(b"[" * 100_000),
        with_header(b'{"a": 1}'),
        with_header(b'{"a": {"dtype": "F16", "shape": [1]}}'),
        with_header(b'{"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}', b"12"),
        with_header(b'{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 2]}}', b"12"),
        with_header(b'{"a": {"dtype": "XX", "shape": [1], "data_offsets": [0, 2]}}', b"12"),
        with_header(b'{"a": {"dtype": "F16", "shape": [true], "data_offsets": [0, 2]}}', b"12"),
        with_header(b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [2, 4]}}', b"1234"),
        with_header(f'{{"a": {ENTRY}, "b": {ENTRY}}}'.encode(), b"12"),
        with_header(f'{{"a": {ENTRY}}}'.encode(), b"1"),
        with_header(f'{{"a": {ENTRY}}}'.encode(), b"123"),
        with_header(f'{{"a": {ENTRY}, "__metadata__": 3}}'.encode(), b"12"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="truncated or damaged") as caught:
        read_header(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_header_of_more_than_100_mb_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001))
        file.truncate(200_000_000)
    with pytest.raises(ModelError, match="its header does not fit into it"):
        read_header(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = whole(tmp_path)
    path = tmp_path / "cut.safetensors"
    for length in (*range(0, 120, 7), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            read_header(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_inspection(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.safetensors"
        path.write_bytes(with_header(content))
        with pytest.raises(ModelError):
            inspect(path)


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(ModelError, match="Git LFS pointer"):
        inspect(path)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="is not a file"):
        inspect(path)


# --- folders


def write_folder(folder: Path, index: object, configs: Mapping[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if index is not None:
        (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    for name, config in configs.items():
        part = folder / name
        part.mkdir(parents=True, exist_ok=True)
        (part / "config.json").write_text(json.dumps(config), encoding="utf-8")
        write_header(part / "diffusion_pytorch_model.safetensors", {"conv_in.weight": (4, 4, 3, 3)})
    return folder


def test_the_starter_folder_is_sound() -> None:
    found = inspect(resource("starter"))
    assert (found.kind, found.problems) == (Kind.PIPELINE, ())
    assert found.components == ("unet", "vae", "text_encoder")
    assert (found.prediction, found.dtype) == ("v_prediction", "F16")


def test_a_folder_of_one_component_is_known(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "vae", None, {".": {"_class_name": "AutoencoderKL"}})
    assert inspect(folder).kind is Kind.VAE


def test_a_controlnets_folder_is_known_with_its_family(tmp_path: Path) -> None:
    unet = families()["sd1"].components["unet"]
    config = {**unet, "_class_name": "ControlNetModel"}
    found = inspect(write_folder(tmp_path / "canny", None, {".": config}))
    assert (found.kind, found.family, found.components) == (Kind.CONTROLNET, "sd1", ("controlnet",))


def test_a_flux_folder_is_recognised(tmp_path: Path) -> None:
    index = {
        "_class_name": "FluxPipeline",
        "transformer": ["diffusers", "FluxTransformer2DModel"],
    }
    config = {"transformer": {"_class_name": "FluxTransformer2DModel"}}
    found = inspect(write_folder(tmp_path / "flux", index, config))
    assert found.family == "flux"


@pytest.mark.parametrize(
    "index",
    [
        {"_class_name": ["pipeline", "MyPipeline"]},
        {"_class_name": "StableDiffusionPipeline", "unet": ["my_code", "MyUNet"]},
        {"_class_name": "StableDiffusionPipeline", "custom_pipeline": "lpw"},
        {"_class_name": "StableDiffusionPipeline", "auto_map": {"AutoModel": "code.Model"}},
    ],
)
def test_a_folder_that_brings_code_is_refused(tmp_path: Path, index: object) -> None:
    folder = write_folder(tmp_path / "m", index, {})
    (folder / "my_code.py").write_text("raise SystemExit", encoding="utf-8")
    with pytest.raises(ModelError, match=r"(?s)of its own.*never run"):
        inspect(folder)


def test_a_config_that_asks_for_code_is_a_problem(tmp_path: Path) -> None:
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DModel"]}
    config = {"unet": {"_class_name": "UNet2DModel", "auto_map": {"AutoModel": "code.Model"}}}
    found = inspect(write_folder(tmp_path / "m", index, config))
    assert "which is never run" in found.problems[0]


def test_a_component_that_is_only_a_pickle_is_a_problem(tmp_path: Path) -> None:
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DModel"]}
    folder = write_folder(tmp_path / "m", index, {"unet": {"_class_name": "UNet2DModel"}})
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    assert "holds only a pickle (diffusion_pytorch_model.bin)" in inspect(folder).problems[0]


@pytest.mark.parametrize("name", ["../../secret.safetensors", "/etc/passwd", "a/b.safetensors", 3])
def test_shards_outside_the_folder_are_not_read(tmp_path: Path, name: object) -> None:
    config = {"_class_name": "UNet2DModel"}
    folder = write_folder(tmp_path / "m", None, {".": config})
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    index = {"weight_map": {"conv_in.weight": name}}
    path = folder / "diffusion_pytorch_model.safetensors.index.json"
    path.write_text(json.dumps(index), encoding="utf-8")
    write_header(tmp_path.parent / "secret.safetensors", {"conv_in.weight": (1,)})
    assert "names a file outside its folder" in inspect(folder).problems[0]


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds neither"):
        inspect(tmp_path)


def test_a_language_models_folder_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "llm", None, {".": {"architectures": ["LlamaForCausalLM"]}})
    with pytest.raises(ModelError, match="LlamaForCausalLM"):
        inspect(folder)
