"""What a model file is, from headers and JSON alone: no weights are read, no code is run, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal

from studio.errors import ModelError
from studio.graph import Json
from studio.models.families import Config, families, family_of_unet, family_of_vae
from studio.models.headers import Header, read_header, read_json
from studio.models.layout import (
    CARD,
    CONFIG,
    INDEX,
    PARTS,
    class_of,
    index_parts,
    part_folder,
    refuse_code,
    weights_of,
)


class Kind(Enum):
    """What a file or folder holds; the value is how messages call it."""

    PIPELINE = "a whole model"
    UNET = "a U-Net"
    TRANSFORMER = "a diffusion transformer"
    VAE = "a VAE"
    TEXT_ENCODER = "a text encoder"
    CONTROLNET = "a ControlNet"
    LORA = "a LoRA"
    EMBEDDING = "a textual inversion"
    CLASSIFIER = "a classifier"


Layout = Literal["diffusers", "original", "kohya", "peft"]
"""How tensors are named: as diffusers does, or as the model's authors (or the training tool) did."""


@dataclass(frozen=True)
class Inspection:
    """What a file or folder holds, as far as can be known without reading weights."""

    path: Path
    kind: Kind
    layout: Layout
    family: str
    """Id of a family (``studio.models.families``); "" where the architecture is none of them."""
    components: tuple[str, ...]
    """Names as diffusers has them: unet, vae, text_encoder, text_encoder_2 …"""
    prediction: str
    """epsilon or v_prediction; "" where the file cannot tell."""
    dtype: str
    """As safetensors writes it: F16, F32, BF16 …"""
    size: int
    """Bytes on disk."""
    problems: tuple[str, ...] = ()
    """What stands in the way of using it, each with its remedy."""
    traits: Mapping[str, Json] = field(default_factory=dict)
    """Config fields that the header gives away, such as rescale_betas_zero_snr."""


# --- single files


@dataclass(frozen=True)
class _Finding:
    kind: Kind
    layout: Layout
    family: str = ""
    components: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def inspect(path: Path) -> Inspection:
    """Say what a model file or folder is.

    A folder is one in diffusers' layout (a whole model, or one component with its ``config.json``); a file is
    safetensors. Raises ModelError for a pickle, a damaged file, or anything that is not known to be a model.
    """
    if path.is_dir():
        return _inspect_folder(path)
    header = read_header(path)
    finding = classify(header)
    if finding is None:
        raise ModelError(
            _unknown(header),
            where=str(path),
            remedy="a checkpoint, VAE, LoRA, ControlNet or embedding of a known family is expected",
        )
    traits = _traits(header, path)
    prediction = traits.pop("prediction_type", "")
    known = families().get(finding.family)
    if not prediction and known and known.is_supported:
        prediction = known.prediction
    problems = finding.problems
    if known and not known.is_supported:
        problems = (*problems, unsupported(finding.family))
    if finding.family == "sd2" and not prediction and "unet" in finding.components:
        problems = (*problems, unknown_prediction(path))
    return Inspection(
        path,
        finding.kind,
        finding.layout,
        finding.family,
        finding.components,
        str(prediction),
        header.dtype,
        path.stat().st_size,
        problems,
        traits,
    )


def unsupported(family: str) -> str:
    """Say that models of a family are known but cannot be run."""
    title = families()[family].title
    return f"recognised as {title}; its transformer is not supported yet by the denoise node"


def unknown_prediction(path: Path) -> str:
    """Say that a Stable Diffusion 2 file does not tell what it predicts, and how to tell it."""
    return (
        "the file does not say whether this Stable Diffusion 2 model predicts noise or velocity; write"
        f' {{"prediction_type": "v_prediction"}} (768 px models) or {{"prediction_type": "epsilon"}}'
        f" (512 px models) into {path.with_suffix('.json').name} beside it"
    )


def sidecar(path: Path) -> dict[str, Json]:
    """Read what the owner says about a single file in the ``.json`` of its name, or nothing.

    Known fields: ``prediction_type``, ``family``, ``scheduler`` and ``components`` (config fields by component,
    laid over those of the family).
    """
    beside = path.with_suffix(".json")
    return read_json(beside) if beside.is_file() else {}


def _traits(header: Header, path: Path) -> dict[str, Json]:
    """What the file and its companions say about the scheduler; the owner's word is the last."""
    traits: dict[str, Json] = {}
    told = header.metadata.get("modelspec.prediction_type", "").lower()
    if told in ("v", "v_prediction", "v-prediction") or "v_pred" in header.tensors:
        traits["prediction_type"] = "v_prediction"
    elif told == "epsilon":
        traits["prediction_type"] = "epsilon"
    if "ztsnr" in header.tensors:
        traits["rescale_betas_zero_snr"] = True
    original = path.with_suffix(".yaml")
    if original.is_file() and original.stat().st_size < 1_000_000:
        text = original.read_text(encoding="utf-8", errors="replace")
        line = re.search(r"(?m)^\s*parameterization:\s*[\"']?(\w+)", text)
        traits["prediction_type"] = "v_prediction" if line and line.group(1) == "v" else "epsilon"
    said = sidecar(path).get("prediction_type")
    if said is not None:
        if said not in ("epsilon", "v_prediction", "sample"):
            raise ModelError(
                f"prediction_type {said!r} is unknown",
                where=str(path.with_suffix(".json")),
                remedy="write epsilon, v_prediction or sample",
            )
        traits["prediction_type"] = said
    return traits


def classify(header: Header) -> _Finding | None:
    """Say what a single file's tensors make up; None if that is nothing we know."""
    for rule in _RULES:
        found = rule(header)
        if found is not None:
            return found
    return None


def _unknown(header: Header) -> str:
    names = header.tensors
    if not names:
        return "holds no tensors"
    language = re.compile(
        r"(^|\.)(model\.layers\.\d+\.(self_attn|mlp)|transformer\.h\.\d+|lm_head|gpt_neox\.layers)"
    )
    if any(language.search(name) for name in names):
        return "is not a model that we know: a language model?"
    example = min(names)
    return f"is not a model that we know (its first tensor is {example[:80]!r})"


_LORA_DOWN = re.compile(
    r"\.(lora_down|lora_A|lora\.down|lora_A\.default|to_\w+_lora\.down)\.weight$"
    r"|_lora\.down\.weight$|\.(hada_w1_b|lokr_w1|lokr_w1_a|oft_blocks|dora_scale)$"
)
_CONTEXT_LAYER = re.compile(r"attn2[._](processor\.)?(to_k)")


def _lora(header: Header) -> _Finding | None:
    down = [name for name in header.tensors if _LORA_DOWN.search(name)]
    if not down:
        return None
    layout: Layout = "diffusers"
    if any(name.startswith(("lora_unet_", "lora_te", "lora_transformer_")) for name in down):
        layout = "kohya"
    elif any(name.startswith("base_model.model.") for name in down):
        layout = "peft"
    families_of_context = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl_refiner"}
    context = next((header.side(name, 1) for name in down if _CONTEXT_LAYER.search(name)), 0)
    family = families_of_context.get(context, "")
    if not family and any("double_blocks" in name or "single_transformer" in name for name in down):
        family = "flux"
    elif not family and any("joint_blocks" in name for name in down):
        family = "sd3"
    return _Finding(Kind.LORA, layout, family, ("lora",))


def _embedding(header: Header) -> _Finding | None:
    names = header.tensors
    widths = {192: "starter", 768: "sd1", 1024: "sd2"}
    part = ("embedding",)
    if names.keys() == {"clip_l", "clip_g"}:
        # those of trainings of ours may be for encoders of any width
        is_known = header.side("clip_g", -1) == 1280 or CARD in header.metadata
        return _Finding(Kind.EMBEDDING, "original", "sdxl", part) if is_known else None
    if "emb_params" in names and len(names) <= 2:
        family = widths.get(header.side("emb_params", -1))
        return _Finding(Kind.EMBEDDING, "original", family, part) if family else None
    if len(names) == 1:
        (name, tensor), *_ = names.items()
        is_token = "." not in name and len(tensor.shape) <= 2 and tensor.numel <= 75 * 1024
        family = widths.get(tensor.shape[-1]) if tensor.shape else None
        if family is None and CARD in header.metadata:
            # made by a training of ours, for an encoder of any width
            family = ""
        is_known = is_token and family is not None
        return _Finding(Kind.EMBEDDING, "diffusers", family or "", part) if is_known else None
    return None


_CONTEXT_FAMILIES: Mapping[tuple[int, bool, int], str] = {
    # width of the text, whether it has a label embedding, input channels
    (768, False, 4): "sd1",
    (768, False, 9): "sd1_inpaint",
    (1024, False, 4): "sd2",
    (1024, False, 9): "sd2_inpaint",
    (2048, True, 4): "sdxl",
    (2048, True, 9): "sdxl_inpaint",
    (1280, True, 4): "sdxl_refiner",
}
_VARIANTS: Mapping[tuple[int, bool, int], str] = {
    (768, False, 8): "an InstructPix2Pix model of Stable Diffusion 1",
    (1024, False, 5): "a depth-to-image model of Stable Diffusion 2",
    (1024, True, 7): "an upscaler of Stable Diffusion 2",
    (2048, True, 8): "an InstructPix2Pix model of Stable Diffusion XL",
}


def _unet_signature(
    header: Header, prefix: str, conv_in: str, labels: Sequence[str]
) -> tuple[int, bool, int]:
    contexts = [
        tensor.shape[1]
        for name, tensor in header.tensors.items()
        if name.startswith(prefix) and name.endswith("attn2.to_k.weight") and len(tensor.shape) == 2
    ]
    has_labels = any(prefix + label in header.tensors for label in labels)
    width = contexts[0] if contexts and len(set(contexts)) == 1 else 0
    return width, has_labels, header.side(prefix + conv_in, 1)


def _unet_problems(signature: tuple[int, bool, int]) -> tuple[str, ...]:
    if signature in _CONTEXT_FAMILIES:
        return ()
    if signature in _VARIANTS:
        return (f"recognised as {_VARIANTS[signature]}, which is not supported",)
    width, _, channels = signature
    return (
        f"its U-Net, with {channels} input channels and text of width {width}, is of no family that we know",
    )


def _original_unet(header: Header) -> _Finding | None:
    prefix = "model.diffusion_model." if header.starting("model.diffusion_model.") else ""
    if not (
        f"{prefix}input_blocks.0.0.weight" in header.tensors
        and f"{prefix}middle_block.0.in_layers.0.weight" in header.tensors
        and header.starting(f"{prefix}output_blocks.")
    ):
        return None
    signature = _unet_signature(
        header, prefix, "input_blocks.0.0.weight", ("label_emb.0.0.weight", "label_emb.weight")
    )
    components = ["unet"]
    names = header.tensors
    if "first_stage_model.decoder.conv_in.weight" in names:
        components.append("vae")
    if header.starting("cond_stage_model.transformer.") or header.starting(
        "cond_stage_model.model."
    ):
        components.append("text_encoder")
    if header.starting("conditioner.embedders.0.transformer."):
        components.append("text_encoder")
    if header.starting("conditioner.embedders.0.model.") or header.starting(
        "conditioner.embedders.1.model."
    ):
        components.append("text_encoder_2")
    problems = _unet_problems(signature)
    if "edm_mean" in names:
        problems = ("recognised as Playground 2.5, whose noise schedule is not supported",)
    return _Finding(
        Kind.UNET if components == ["unet"] else Kind.PIPELINE,
        "original",
        _CONTEXT_FAMILIES.get(signature, ""),
        tuple(components),
        problems,
    )


def _diffusers_unet(header: Header) -> _Finding | None:
    names = header.tensors
    if not ("conv_in.weight" in names and "time_embedding.linear_1.weight" in names):
        return None
    if not (header.starting("down_blocks.") and header.starting("up_blocks.")):
        return None
    if any("motion_modules" in name for name in names):
        return None
    signature = _unet_signature(header, "", "conv_in.weight", ("add_embedding.linear_1.weight",))
    if signature[0] == 0:
        problem = "a U-Net without text needs its config.json: use the folder that it came in"
        return _Finding(Kind.UNET, "diffusers", "", ("unet",), (problem,))
    return _Finding(
        Kind.UNET,
        "diffusers",
        _CONTEXT_FAMILIES.get(signature, ""),
        ("unet",),
        _unet_problems(signature),
    )


def _controlnet(header: Header) -> _Finding | None:
    if "control_model.time_embed.0.weight" in header.tensors:
        signature = _unet_signature(
            header, "control_model.", "input_blocks.0.0.weight", ("label_emb.0.0.weight",)
        )
        layout: Layout = "original"
    elif header.starting("controlnet_cond_embedding.conv_in."):
        signature = _unet_signature(
            header, "", "conv_in.weight", ("add_embedding.linear_1.weight",)
        )
        layout = "diffusers"
    else:
        return None
    return _Finding(Kind.CONTROLNET, layout, _CONTEXT_FAMILIES.get(signature, ""), ("controlnet",))


def _vae(header: Header) -> _Finding | None:
    names = header.tensors
    prefix = "first_stage_model." if header.starting("first_stage_model.") else ""
    layout: Layout
    if f"{prefix}decoder.up.0.block.0.norm1.weight" in names:
        layout = "original"
    elif "decoder.up_blocks.0.resnets.0.norm1.weight" in names:
        layout = "diffusers"
    else:
        return None
    shape = header.shape(f"{prefix}decoder.conv_in.weight")
    if len(shape) != 4 or f"{prefix}encoder.conv_in.weight" not in names:
        return None
    channels = shape[1]
    if channels == 4:
        problem = (
            "the file does not say whether its latents are Stable Diffusion 1's or XL's; write"
            ' {"family": "sd1"} or {"family": "sdxl"} into the .json of its name beside it'
        )
    else:
        problem = f"a VAE of {channels} channels is of no family that is supported"
    return _Finding(Kind.VAE, layout, "", ("vae",), (problem,))


_TRANSFORMERS: Sequence[tuple[str, Sequence[str]]] = (
    # the more special before those that they were made from
    ("chroma", ("distilled_guidance_layer.in_proj.bias",)),
    ("flux2", ("single_stream_modulation.lin.weight",)),
    ("hunyuan_video", ("txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias",)),
    (
        "flux",
        (
            "double_blocks.0.img_attn.norm.key_norm.scale",
            "single_transformer_blocks.0.norm.linear.weight",
        ),
    ),
    ("sd3", ("joint_blocks.0.context_block.adaLN_modulation.1.bias",)),
    ("sd3", ("transformer_blocks.0.norm1_context.linear.bias",)),
    ("auraflow", ("double_layers.0.attn.w2q.weight",)),
    ("hidream", ("double_stream_blocks.0.block.adaLN_modulation.1.bias",)),
    ("lumina2", ("cap_embedder.0.weight",)),
    ("stable_cascade", ("clip_txt_mapper.weight", "down_blocks.1.0.channelwise.0.weight")),
    ("sana", ("blocks.0.cross_attn.kv_linear.weight", "blocks.0.cross_attn.q_linear.weight")),
    ("ltx_video", ("patchify_proj.weight",)),
    ("wan", ("head.modulation",)),
    ("qwen_image", ("txt_in.text_norm.weight", "transformer_blocks.0.img_mod.1.weight")),
    ("hunyuan_dit", ("pos_embed.proj.weight", "blocks.0.norm1.linear.weight")),
    ("pixart", ("adaln_single.linear.weight", "caption_projection.linear_1.weight")),
)
_TRANSFORMER_PREFIXES = ("", "model.diffusion_model.", "transformer.")
_ANY_OF = frozenset({"flux", "stable_cascade", "qwen_image"})


def _transformer(header: Header) -> _Finding | None:
    for prefix in _TRANSFORMER_PREFIXES:
        for family, marks in _TRANSFORMERS:
            there = [prefix + mark in header.tensors for mark in marks]
            if any(there) if family in _ANY_OF else all(there):
                layout: Layout = "diffusers" if "transformer_blocks" in marks[0] else "original"
                return _Finding(Kind.TRANSFORMER, layout, family, ("transformer",))
    return None


def _text_encoder(header: Header) -> _Finding | None:
    marks = (
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "transformer.resblocks.0.attn.in_proj_weight",
    )
    tails = ("embeddings.token_embedding.weight", "shared.weight", "token_embedding.weight")
    names = header.tensors
    for prefix in ("", "text_model."):
        if any(prefix + mark in names for mark in marks) and any(
            prefix + tail in names for tail in tails
        ):
            problem = "a text encoder alone cannot be loaded: use the folder that it came in"
            return _Finding(Kind.TEXT_ENCODER, "diffusers", "", ("text_encoder",), (problem,))
    return None


_RULES: Sequence[Callable[[Header], _Finding | None]] = (
    # LoRAs and ControlNets carry names of the networks that they are for: first
    _lora,
    _controlnet,
    _original_unet,
    _transformer,
    _diffusers_unet,
    _vae,
    _text_encoder,
    _embedding,
)


# --- folders in diffusers' layout

UNETS = frozenset({"UNet2DConditionModel", "UNet2DModel"})
VAES = frozenset({"AutoencoderKL"})
TEXT_ENCODERS = frozenset({"CLIPTextModel", "CLIPTextModelWithProjection"})
CONTROLNETS = frozenset({"ControlNetModel"})
CLASSIFIERS = frozenset({"NoisyClassifier"})
_KINDS: Mapping[str, tuple[Kind, str]] = {
    **dict.fromkeys(UNETS, (Kind.UNET, "unet")),
    **dict.fromkeys(VAES, (Kind.VAE, "vae")),
    **dict.fromkeys(TEXT_ENCODERS, (Kind.TEXT_ENCODER, "text_encoder")),
    **dict.fromkeys(CONTROLNETS, (Kind.CONTROLNET, "controlnet")),
    **dict.fromkeys(CLASSIFIERS, (Kind.CLASSIFIER, "classifier")),
}
_TRANSFORMER_CLASSES = {
    "SD3Transformer2DModel": "sd3",
    "FluxTransformer2DModel": "flux",
    "Flux2Transformer2DModel": "flux2",
    "ChromaTransformer2DModel": "chroma",
    "PixArtTransformer2DModel": "pixart",
    "HunyuanDiT2DModel": "hunyuan_dit",
    "SanaTransformer2DModel": "sana",
    "AuraFlowTransformer2DModel": "auraflow",
    "Lumina2Transformer2DModel": "lumina2",
    "QwenImageTransformer2DModel": "qwen_image",
    "HiDreamImageTransformer2DModel": "hidream",
    "WanTransformer3DModel": "wan",
    "LTXVideoTransformer3DModel": "ltx_video",
    "HunyuanVideoTransformer3DModel": "hunyuan_video",
    "CosmosTransformer3DModel": "cosmos",
}


def _inspect_folder(folder: Path) -> Inspection:
    if (folder / INDEX).is_file():
        parts = index_parts(folder)
        components = tuple(name for name in PARTS if name in parts)
        kind = Kind.CLASSIFIER if components == ("classifier",) else Kind.PIPELINE
    elif (folder / CONFIG).is_file():
        config = read_json(folder / CONFIG)
        refuse_code(config, folder / CONFIG)
        class_name = class_of(config)
        if class_name not in _KINDS and class_name not in _TRANSFORMER_CLASSES:
            raise ModelError(
                f"is not a model that we know ({class_name or 'no class'} in {CONFIG})",
                where=str(folder),
                remedy="a folder in diffusers' layout is expected",
            )
        kind, name = _KINDS.get(class_name, (Kind.TRANSFORMER, "transformer"))
        parts = {name: class_name}
        components = (name,)
    else:
        raise ModelError(
            f"holds neither {INDEX} nor {CONFIG}",
            where=str(folder),
            remedy="a folder in diffusers' layout is expected",
        )
    size, dtype, problems = 0, "", []
    configs: dict[str, Config] = {}
    for name in components:
        part = part_folder(folder, name)
        try:
            configs[name] = read_json(part / CONFIG)
            refuse_code(configs[name], part / CONFIG)
            for file in weights_of(part):
                header = read_header(file)
                dtype = dtype or header.dtype
                size += file.stat().st_size
        except ModelError as error:
            problems.append(str(error))
    family = _folder_family(parts, configs)
    known = families().get(family)
    if known and not known.is_supported:
        problems.append(unsupported(family))
    return Inspection(
        folder,
        kind,
        "diffusers",
        family,
        components,
        _folder_prediction(folder),
        dtype,
        size,
        tuple(problems),
    )


def _folder_family(parts: Mapping[str, str], configs: Mapping[str, Config]) -> str:
    if "transformer" in parts:
        return _TRANSFORMER_CLASSES.get(parts["transformer"], "")
    family = None
    if "unet" in configs:
        family = family_of_unet(configs["unet"])
    elif "vae" in configs:
        family = family_of_vae(configs["vae"])
    elif "controlnet" in configs:
        family = family_of_unet(configs["controlnet"])
    return family.id if family else ""


def _folder_prediction(folder: Path) -> str:
    try:
        kind = read_json(folder / "scheduler" / "scheduler_config.json").get("prediction_type")
    except ModelError:
        return ""
    return kind if isinstance(kind, str) else "epsilon"
