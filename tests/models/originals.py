"""Tiny models with random weights, in diffusers' layout and as the single files of their authors."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from studio.resources import resource
from tests.starter import LENGTH

Weights = Mapping[str, Tensor]

SD1_UNET: dict[str, object] = {
    "block_out_channels": [32, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "sample_size": 8,
}
SDXL_UNET: dict[str, object] = {
    "block_out_channels": [32, 64],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": [2, 4],
    "transformer_layers_per_block": [1, 2],
    "sample_size": 8,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 80,
}
VAE: dict[str, object] = {
    "block_out_channels": [32, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "sample_size": 16,
}
CLIP: dict[str, object] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "max_position_embeddings": LENGTH,
    "vocab_size": 837,
    "bos_token_id": 835,
    "eos_token_id": 836,
    "projection_dim": 32,
}


def family(name: str) -> dict[str, dict[str, object]]:
    """The configs of a family's components, as they ship."""
    text = resource("families", f"{name}.json").read_text(encoding="utf-8")
    components: dict[str, dict[str, object]] = json.loads(text)["components"]
    return components


def tokenizer(pad: str = "<|endoftext|>") -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(str(resource("starter", "tokenizer")), pad_token=pad)


def sd1_pipeline() -> StableDiffusionPipeline:
    """Stable Diffusion 1's architecture, a few thousand times smaller."""
    torch.manual_seed(1)
    configs = family("sd1")
    clip = CLIPTextModel(CLIPTextConfig(**{**configs["text_encoder"], **CLIP}))
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_config({**configs["vae"], **VAE}),
        text_encoder=clip,
        tokenizer=tokenizer(),
        unet=UNet2DConditionModel.from_config({**configs["unet"], **SD1_UNET}),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl_pipeline() -> StableDiffusionXLPipeline:
    """Stable Diffusion XL's architecture, a few thousand times smaller."""
    torch.manual_seed(2)
    configs = family("sdxl")
    second = {**configs["text_encoder_2"], **CLIP, "hidden_size": 64}
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_config({**configs["vae"], **VAE}),
        text_encoder=CLIPTextModel(CLIPTextConfig(**{**configs["text_encoder"], **CLIP})),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**second)),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer("!"),
        unet=UNet2DConditionModel.from_config({**configs["unet"], **SDXL_UNET}),
        scheduler=EulerDiscreteScheduler(),
    )


def sd1_overlay() -> dict[str, object]:
    """What the sidecar of ``sd1_file`` says."""
    return {"components": {"unet": SD1_UNET, "vae": VAE, "text_encoder": CLIP}}


def sdxl_overlay() -> dict[str, object]:
    """What the sidecar of ``sdxl_file`` says."""
    second = {**CLIP, "hidden_size": 64}
    return {
        "components": {
            "unet": SDXL_UNET,
            "vae": VAE,
            "text_encoder": CLIP,
            "text_encoder_2": second,
        }
    }


def write_single(
    path: Path, weights: Weights, overlay: Mapping[str, object], *, has_tokenizer: bool = True
) -> Path:
    """Write a single file with its sidecar, and the tokenizer where one is looked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: weight.detach().contiguous().clone() for name, weight in weights.items()}
    safetensors.torch.save_file(tensors, path)
    path.with_suffix(".json").write_text(json.dumps(overlay), encoding="utf-8")
    if has_tokenizer:
        shutil.copytree(
            resource("starter", "tokenizer"), path.parent / "tokenizer", dirs_exist_ok=True
        )
    return path


def sd1_weights(pipeline: StableDiffusionPipeline) -> dict[str, Tensor]:
    """The weights of a Stable Diffusion 1 pipeline under the names of its authors."""
    return {
        **original_unet(pipeline.unet),
        **original_vae(pipeline.vae),
        **original_clip(pipeline.text_encoder, "cond_stage_model.transformer.text_model."),
    }


def sdxl_weights(pipeline: StableDiffusionXLPipeline) -> dict[str, Tensor]:
    """The weights of a Stable Diffusion XL pipeline under the names of its authors."""
    prefix = "conditioner.embedders."
    return {
        **original_unet(pipeline.unet),
        **original_vae(pipeline.vae),
        **original_clip(pipeline.text_encoder, f"{prefix}0.transformer.text_model."),
        **original_open_clip(pipeline.text_encoder_2, f"{prefix}1.model."),
    }


# --- the authors' names, from CompVis/stable-diffusion and Stability-AI/generative-models

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OUTER = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


_HINT = {"conv_in": 0, "conv_out": 14, **{f"blocks.{index}": 2 * index + 2 for index in range(6)}}


def original_controlnet(controlnet: ControlNetModel) -> dict[str, Tensor]:
    """The weights of a ControlNet under the names of its authors, from lllyasviel/ControlNet."""

    def renamed(name: str) -> str:
        for ours, number in _HINT.items():
            name = name.replace(
                f"controlnet_cond_embedding.{ours}.", f"control_model.input_hint_block.{number}."
            )
        name = re.sub(r"^controlnet_down_blocks\.(\d+)", r"control_model.zero_convs.\1.0", name)
        return name.replace("controlnet_mid_block.", "control_model.middle_block_out.0.")

    state = controlnet.state_dict()
    ours = {name: weight for name, weight in state.items() if not name.startswith("controlnet_")}
    copied = original_unet(controlnet, ours)
    return {
        **{
            name.replace("model.diffusion_model.", "control_model."): copied[name]
            for name in copied
        },
        **{renamed(name): state[name] for name in state if name not in ours},
    }


def original_unet(
    unet: UNet2DConditionModel | ControlNetModel, weights: Weights | None = None
) -> dict[str, Tensor]:
    layers: int = unet.config.layers_per_block + 1
    has_attention = [name.startswith("CrossAttn") for name in unet.config.get("up_block_types", ())]

    def renamed(name: str) -> str:
        for ours, theirs in _OUTER.items():
            if name.startswith(f"{ours}."):
                return theirs + name[len(ours) :]
        rest = name
        for ours, theirs in _RESNET.items():
            rest = re.sub(rf"(resnets\.\d+)\.{ours}\.", rf"\1.{theirs}.", rest)
        parts = rest.split(".")
        if parts[0] == "mid_block":
            place = "1" if parts[1] == "attentions" else ("0" if parts[2] == "0" else "2")
            return ".".join(["middle_block", place, *parts[3:]])
        block, kind, number = int(parts[1]), parts[2], int(parts[3])
        if parts[0] == "down_blocks":
            if kind == "downsamplers":
                return ".".join([f"input_blocks.{(block + 1) * layers}.0.op", parts[-1]])
            at = 1 + block * layers + number
            return ".".join([f"input_blocks.{at}.{int(kind == 'attentions')}", *parts[4:]])
        if kind == "upsamplers":
            slot = 2 if has_attention[block] else 1
            at = block * layers + layers - 1
            return ".".join([f"output_blocks.{at}.{slot}.conv", parts[-1]])
        at = block * layers + number
        return ".".join([f"output_blocks.{at}.{int(kind == 'attentions')}", *parts[4:]])

    state = unet.state_dict() if weights is None else weights
    return {f"model.diffusion_model.{renamed(name)}": state[name] for name in state}


_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def original_vae(vae: AutoencoderKL, prefix: str = "first_stage_model.") -> dict[str, Tensor]:
    blocks = len(vae.config.block_out_channels)
    weights: dict[str, Tensor] = {}
    for name, weight in vae.state_dict().items():
        new = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        new = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", new)
        new = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", new)
        for kind, theirs in (("resnets", "block"), ("upsamplers.0", "upsample")):
            found = re.search(rf"up_blocks\.(\d+)\.{kind}", new)
            if found:
                at = blocks - 1 - int(found.group(1))
                new = new.replace(found.group(0), f"up.{at}.{theirs}")
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m.group(1)) + 1}", new)
        if "mid_block.attentions.0" in new:
            new = new.replace("mid_block.attentions.0", "mid.attn_1")
            for ours, theirs in _ATTENTION.items():
                new = new.replace(f".{ours}.", f".{theirs}.")
            if weight.ndim == 2:
                weight = weight[:, :, None, None]
        weights[prefix + new] = weight
    return weights


def original_clip(encoder: CLIPTextModel, prefix: str) -> dict[str, Tensor]:
    state = encoder.state_dict()
    return {prefix + name.removeprefix("text_model."): state[name] for name in state}


_OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def original_open_clip(encoder: CLIPTextModelWithProjection, prefix: str) -> dict[str, Tensor]:
    state = {name.removeprefix("text_model."): w for name, w in encoder.state_dict().items()}
    weights = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T,
        "logit_scale": torch.tensor(1.0),
    }
    for name, weight in state.items():
        found = re.match(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$", name)
        if not found:
            continue
        layer, part, kind = found.groups()
        place = f"transformer.resblocks.{layer}"
        if part in _OPEN_CLIP:
            weights[f"{place}.{_OPEN_CLIP[part]}.{kind}"] = weight
        elif part == "self_attn.q_proj":
            parts = [name.replace("q_proj", f"{which}_proj") for which in "qkv"]
            weights[f"{place}.attn.in_proj_{kind}"] = torch.cat([state[name] for name in parts])
    return {prefix + name: weight for name, weight in weights.items()}


# --- headers without weights


def write_header(
    path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a safetensors file of the given float16 tensors whose data is a hole in the file."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path
