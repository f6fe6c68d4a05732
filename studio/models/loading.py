"""Components into memory: from local safetensors only, without a hub, a pickle or code of the model's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from studio.errors import ModelError
from studio.graph import Json
from studio.models.headers import read_header
from studio.models.inspection import CLASSIFIERS
from studio.models.parts import Component
from studio.values import Trained

if TYPE_CHECKING:
    import torch

    Weights = dict[str, torch.Tensor]


class Tokenizer(Protocol):
    """The part of a CLIP tokenizer that we use: text to token ids and back."""

    bos_token_id: int
    eos_token_id: int
    pad_token_id: int

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids of a text."""

    def decode(self, token_ids: list[int]) -> str:
        """The text of token ids."""


@dataclass(frozen=True, eq=False)
class Text:
    """A loaded text encoder with its tokenizer."""

    tokenizer: Tokenizer
    encoder: torch.nn.Module
    length: int
    """Tokens that the encoder reads at once, begin and end included."""
    has_zero_empty: bool = False
    """Zeros stand for the empty prompt."""

    @property
    def has_projection(self) -> bool:
        """Whether it gives a pooled, projected embedding beside the hidden states."""
        return hasattr(self.encoder, "text_projection")


def go_offline() -> None:
    """Keep diffusers and transformers from the network; call before either is imported."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DIFFUSERS_OFFLINE"):
        os.environ[name] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # a pool of tokenizing threads does not survive a fork and says so loudly; a prompt is one line
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def dtype_of(name: str) -> torch.dtype:
    """The torch dtype of ``float32``, ``bfloat16`` or ``float16``."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def chosen_dtype(component: Component, dtype: str) -> str:
    """The dtype that a component is loaded in when ``dtype`` is asked for.

    A VAE whose config says ``force_upcast`` overflows in float16 (Stable Diffusion XL's does) and gets float32. So
    does a classifier, whose gradients are too small for less.
    """
    if dtype == "float16" and component.config.get("force_upcast") is True:
        return "float32"
    if component.class_name in CLASSIFIERS:
        return "float32"
    return dtype


def size_of(component: Component, dtype: str) -> int:
    """Bytes that a component will take in memory, from the headers of its files; an upper bound for single files."""
    width = 4 if chosen_dtype(component, dtype) == "float32" else 2
    wanted = _source(component).wants
    return width * sum(
        tensor.numel
        for path in component.weights
        for name, tensor in read_header(path).tensors.items()
        if wanted(name)
    )


def load_module(component: Component, *, device: str, dtype: str) -> torch.nn.Module:
    """Load a component: on ``device``, in ``dtype``, in evaluation mode, without gradients.

    Weights stored in another dtype are converted; from float16 to float32 that is exact. Raises ModelError if the
    files do not fit the config, are damaged, or memory does not suffice.
    """
    go_offline()
    import torch

    torch_dtype = dtype_of(chosen_dtype(component, dtype))
    try:
        # built without memory and without random initial weights: every parameter comes from the file
        with torch.device("meta"):
            module = build(component)
        expected = module.state_dict()
        weights = _fitted(component, _read(component, expected.keys()), expected)
        weights = {
            name: weight.to(device, torch_dtype if weight.is_floating_point() else None, copy=True)
            for name, weight in weights.items()
        }
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"memory of {device} does not suffice for the {component.name}",
            where=str(component.weights[0]),
            remedy="close other programs, or choose --dtype bfloat16 or a smaller model",
        ) from error
    module.load_state_dict(weights, strict=True, assign=True)
    _materialise(module, device)
    return module.eval().requires_grad_(False)


def trained_component(trained: Trained, name: str) -> Component:
    """A component of a training's result as one that lies in no file."""
    return trained_network(trained.configs[name], name)


def trained_network(config: Mapping[str, Json], name: str = "unet") -> Component:
    """A component that lies in no file, by its config."""
    return Component(
        name, str(config["_class_name"]), dict(config), (Path("trained", name),), "diffusers"
    )


def load_trained(
    component: Component, trained: Mapping[str, torch.Tensor], *, device: str, dtype: str
) -> torch.nn.Module:
    """Build a component with trained weights, as ``load_module`` gives those of files."""
    go_offline()
    import torch

    with torch.device("meta"):
        module = build(component)
    kind = dtype_of(chosen_dtype(component, dtype))
    # as through a file: in memory of its own, laid out in the order of the axes
    weights = {
        key: weight.to(device, kind if weight.is_floating_point() else None).clone(
            memory_format=torch.contiguous_format
        )
        for key, weight in trained.items()
    }
    module.load_state_dict(weights, strict=True, assign=True)
    _materialise(module, device)
    return module.eval().requires_grad_(False)


def load_text(component: Component, *, device: str, dtype: str) -> Text:
    """Load a text encoder with its tokenizer; raises as ``load_module`` does."""
    module = load_module(component, device=device, dtype=dtype)
    import transformers.utils.logging

    # they warn of prompts that are longer than the encoder reads at once, which we read in windows
    transformers.utils.logging.set_verbosity_error()
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    folder = component.tokenizer[0].parent
    options = {"pad_token": component.pad} if component.pad else {}
    # the library raises bare Exceptions on damaged files
    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True, **options)
    except Exception as error:
        raise ModelError(
            f"its tokenizer cannot be read ({type(error).__name__})",
            where=str(folder),
            remedy="get the model again",
        ) from error
    length = component.config.get("max_position_embeddings", 77)
    assert isinstance(length, int)
    return Text(
        cast("Tokenizer", tokenizer),
        module,
        min(length, int(tokenizer.model_max_length)),
        component.has_zero_empty,
    )


def read_vectors(component: Component) -> list[torch.Tensor]:
    """The tensors of a textual inversion: [D] or [N, D] each; raises ModelError if the file cannot be read."""
    weights = _tensors(component, lambda name: True)
    return [weight for weight in weights.values() if weight.dim() in (1, 2)]


# --- building


def build(component: Component) -> torch.nn.Module:
    """Build a component from its config alone, without weights; raises ModelError if the config is malformed."""
    import diffusers.utils.logging

    # they report every idle field of a config, which no user can do anything about
    diffusers.utils.logging.set_verbosity_error()
    config = dict(component.config)
    try:
        return _CLASSES[component.class_name](config)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError) as error:
        raise ModelError(
            f"the config of its {component.name} is malformed ({error})",
            where=str(component.weights[0].parent),
            remedy="get the model again",
        ) from error


def _unet(config: Mapping[str, object]) -> torch.nn.Module:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return cast("torch.nn.Module", UNet2DConditionModel.from_config(config))


def _pixel_unet(config: Mapping[str, object]) -> torch.nn.Module:
    from diffusers.models.unets.unet_2d import UNet2DModel

    return cast("torch.nn.Module", UNet2DModel.from_config(config))


def _vae(config: Mapping[str, object]) -> torch.nn.Module:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return cast("torch.nn.Module", AutoencoderKL.from_config(config))


def _controlnet(config: Mapping[str, object]) -> torch.nn.Module:
    from diffusers.models.controlnets.controlnet import ControlNetModel

    return cast("torch.nn.Module", ControlNetModel.from_config(config))


def _clip(config: Mapping[str, object]) -> torch.nn.Module:
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    return cast("torch.nn.Module", CLIPTextModel(CLIPTextConfig.from_dict(_text_config(config))))


def _projected_clip(config: Mapping[str, object]) -> torch.nn.Module:
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModelWithProjection

    return cast(
        "torch.nn.Module",
        CLIPTextModelWithProjection(CLIPTextConfig.from_dict(_text_config(config))),
    )


def _classifier(config: Mapping[str, object]) -> torch.nn.Module:
    from studio.models.classifier import NoisyClassifier

    return NoisyClassifier.from_config(config)


def _text_config(config: Mapping[str, object]) -> dict[str, object]:
    # the dtype is ours to choose, and a model built in float16 would round its position of weights on the way
    return {name: value for name, value in config.items() if name not in ("dtype", "torch_dtype")}


_CLASSES: Mapping[str, Callable[[Mapping[str, object]], torch.nn.Module]] = {
    "UNet2DConditionModel": _unet,
    "UNet2DModel": _pixel_unet,
    "AutoencoderKL": _vae,
    "ControlNetModel": _controlnet,
    "CLIPTextModel": _clip,
    "CLIPTextModelWithProjection": _projected_clip,
    "NoisyClassifier": _classifier,
}


def _materialise(module: torch.nn.Module, device: str) -> None:
    """Make the buffers that no file holds."""
    import torch

    for owner in module.modules():
        for name, buffer in list(owner.named_buffers(recurse=False)):
            if not buffer.is_meta:
                continue
            if name != "position_ids":
                raise AssertionError(f"a buffer {name} of {type(owner).__name__} is in no file")
            owner.register_buffer(
                name, torch.arange(buffer.shape[-1], device=device)[None], persistent=False
            )


# --- reading


@dataclass(frozen=True)
class _Source:
    """Which tensors of a file a component is made of, and how they are renamed."""

    wants: Callable[[str], bool]
    convert: Callable[[Component, Weights], Weights]


def _read(component: Component, expected: Iterable[str]) -> Weights:
    source = _source(component)
    weights = source.convert(component, _tensors(component, source.wants))
    return _with_names(weights, set(expected))


def _tensors(component: Component, wants: Callable[[str], bool]) -> Weights:
    import safetensors

    weights: Weights = {}
    for path in component.weights:
        read_header(path)
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping: only keys() lists the names
                    if wants(name):
                        weights[name] = file.get_tensor(name)
        except (OSError, safetensors.SafetensorError) as error:
            raise ModelError(
                f"cannot be read ({error})", where=str(path), remedy="get the model again"
            ) from error
    return weights


def _with_names(weights: Weights, expected: set[str]) -> Weights:
    """Follow renamings of diffusers and transformers over the years, where the present name is expected."""
    renamed: Weights = {}
    for name, weight in weights.items():
        for present in _present_names(name):
            if present in expected:
                name = present
                break
        renamed[name] = weight
    return renamed


_FORMER = (
    (".query.", ".to_q."),
    (".key.", ".to_k."),
    (".value.", ".to_v."),
    (".proj_attn.", ".to_out.0."),
)
"""Attention of AutoencoderKL before diffusers 0.12."""


def _present_names(name: str) -> Iterable[str]:
    yield name
    # transformers 5.6 took CLIPTextModel's inner module away
    yield name.removeprefix("text_model.")
    yield f"text_model.{name}"
    for former, present in _FORMER:
        if former in name:
            yield name.replace(former, present)


def _fitted(
    component: Component, weights: Weights, expected: Mapping[str, torch.Tensor]
) -> Weights:
    """The weights that the module has; raises ModelError if any is missing, superfluous or of another shape."""
    where = str(component.weights[0])
    missing = sorted(expected.keys() - weights.keys())
    extra = sorted(weights.keys() - expected.keys())
    if missing:
        what = f"its {component.name} lacks {len(missing)} tensors (such as {missing[0]})"
    elif extra and not component.name.startswith("text_"):
        what = f"its {component.name} has {len(extra)} tensors too many (such as {extra[0]})"
    else:
        for name, model in expected.items():
            if weights[name].shape != model.shape:
                found, wanted = tuple(weights[name].shape), tuple(model.shape)
                what = f"{name} of its {component.name} is {found} and its config wants {wanted}"
                break
        else:
            return {name: weights[name] for name in expected}
    raise ModelError(what, where=where, remedy="get the model again, or mend its config")


def _source(component: Component) -> _Source:
    if component.layout == "original":
        return _ORIGINAL[component.name]
    return _Source(lambda name: True, lambda component, weights: weights)


_UNET_PREFIX = "model.diffusion_model."
_VAE_PREFIX = "first_stage_model."


def _original_unet(component: Component, weights: Weights) -> Weights:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    if not any(name.startswith(_UNET_PREFIX) for name in weights):
        weights = {_UNET_PREFIX + name: weight for name, weight in weights.items()}
    return cast("Weights", convert_ldm_unet_checkpoint(weights, dict(component.config)))


_UNET_PARTS = (
    _UNET_PREFIX,
    "input_blocks.",
    "middle_block.",
    "output_blocks.",
    "time_embed.",
    "label_emb.",
    "out.",
)


def _is_unet(name: str) -> bool:
    return name.startswith(_UNET_PARTS)


def _original_vae(component: Component, weights: Weights) -> Weights:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return cast("Weights", convert_ldm_vae_checkpoint(weights, dict(component.config)))


def _is_vae(name: str) -> bool:
    name = name.removeprefix(_VAE_PREFIX)
    return name.startswith(("encoder.", "decoder.", "quant_conv.", "post_quant_conv."))


_CONTROLNET_PREFIX = "control_model."


def _original_controlnet(component: Component, weights: Weights) -> Weights:
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    return cast("Weights", convert_controlnet_checkpoint(weights, dict(component.config)))


_CLIP_PREFIXES = ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer.")
_OPEN_CLIP_PREFIX = "cond_stage_model.model."
_XL_OPEN_CLIP_PREFIXES = ("conditioner.embedders.1.model.", "conditioner.embedders.0.model.")


def _original_text(component: Component, weights: Weights) -> Weights:
    prefixes = (*_CLIP_PREFIXES, _OPEN_CLIP_PREFIX, *_XL_OPEN_CLIP_PREFIXES)
    prefix = next(prefix for prefix in prefixes if any(name.startswith(prefix) for name in weights))
    if prefix in _CLIP_PREFIXES:
        return {name.removeprefix(prefix): weight for name, weight in weights.items()}
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    class Sized:
        class config:
            hidden_size = component.config["hidden_size"]

    return cast("Weights", convert_open_clip_checkpoint(Sized, weights, prefix=prefix))


_ORIGINAL: Mapping[str, _Source] = {
    "unet": _Source(_is_unet, _original_unet),
    "vae": _Source(_is_vae, _original_vae),
    "controlnet": _Source(lambda name: name.startswith(_CONTROLNET_PREFIX), _original_controlnet),
    "text_encoder": _Source(
        lambda name: name.startswith((*_CLIP_PREFIXES, _OPEN_CLIP_PREFIX)), _original_text
    ),
    "text_encoder_2": _Source(lambda name: name.startswith(_XL_OPEN_CLIP_PREFIXES), _original_text),
}
