"""LoRA files: which layer of which network each tensor is for, and the weights with what the files add to them.

A LoRA holds, for some layers of a network, two small matrices whose product is added to the layer's weight
(Hu et al. 2021): W + strength · (alpha / rank) · up · down. The tools of the field name layers in their own ways;
all are resolved against the names that the network itself has, and what does not resolve is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.errors import ModelError
from studio.models.headers import Header, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from torch.nn import Module

    from studio.models.parts import Component

_MATRIX = re.compile(
    r"(?P<layer>.+?)[._]lora(?:[._]|_linear_layer\.)(?P<role>down|up|A|B)(?:\.default)?\.weight\Z"
)
_PREFIXES = (
    ("lora_unet_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("unet.", "unet"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
)
_WRAPPED = "base_model.model."
_FOREIGN = ("transformer.", "lora_transformer_", "text_encoder_3.", "lora_te3_")
_METADATA = "lora_adapter_metadata"
"""Where diffusers keeps PEFT's configuration."""


@dataclass(frozen=True)
class Layer:
    """A layer that a file adds to, by the names of its tensors."""

    component: str
    """``unet``, ``text_encoder`` or ``text_encoder_2``."""
    name: str
    """As the file calls the layer within its component."""
    down: str
    up: str
    alpha: str = ""
    """"" where alpha is the rank."""


def layers(path: Path) -> tuple[Layer, ...]:
    """The layers that a LoRA file adds to, from its header; raises ModelError for a kind that cannot be applied."""
    header = read_header(path)
    found: dict[str, dict[str, str]] = {}
    for tensor in header.tensors:
        match = _MATRIX.match(tensor)
        if match is not None:
            role = {"A": "down", "B": "up"}.get(match["role"], match["role"])
            found.setdefault(match["layer"], {})[role] = tensor
    claimed = {tensor for roles in found.values() for tensor in roles.values()}
    for layer, roles in found.items():
        alpha = f"{layer}.alpha"
        if alpha in header.tensors:
            roles["alpha"] = alpha
            claimed.add(alpha)
    left = sorted(header.tensors.keys() - claimed)
    halves = [layer for layer, roles in found.items() if not {"down", "up"} <= roles.keys()]
    if left or halves:
        raise ModelError(
            f"is not made of pairs of matrices alone (it has {(left or halves)[0][:80]})",
            where=str(path),
            remedy="LoHa, LoKr, OFT and DoRA cannot be applied; get a plain LoRA",
        )
    return tuple(
        Layer(*_owner(layer, path), roles["down"], roles["up"], roles.get("alpha", ""))
        for layer, roles in found.items()
    )


def _owner(layer: str, path: Path) -> tuple[str, str]:
    """The component of a layer, and its name there."""
    name = layer.removeprefix(_WRAPPED)
    if name.startswith(_FOREIGN):
        raise ModelError("is a LoRA for transformers, which is not supported", where=str(path))
    for prefix, component in _PREFIXES:
        if name.startswith(prefix):
            return component, name.removeprefix(prefix)
    return "unet", name


# --- adding


def originals(module: Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Copies of the weights of layers, by the layer's name."""
    return {name: _weight(module, name).detach().clone() for name in names}


def sums(
    module: Module, base: Component, patches: Sequence[tuple[Component, float]]
) -> dict[str, Tensor]:
    """What LoRA files add to the weights of a network, by the name of its layer: float32, in the weight's shape.

    ``patches``: the files with their strengths, summed in this order. Raises ModelError if one was made for
    another network.
    """
    names = _names(module, base)
    total: dict[str, Tensor] = {}
    for file, strength in patches:
        for name, delta in _deltas(module, base.name, file, names):
            delta = delta * strength
            total[name] = total[name] + delta if name in total else delta
    return total


def write(module: Module, base: Mapping[str, Tensor], added: Mapping[str, Tensor]) -> None:
    """Set the weights of layers to ``base`` (which names every layer of ``added``) plus ``added``, in their dtype."""
    import torch

    # weights that were loaded inside inference mode can be written nowhere else
    with torch.inference_mode():
        for name, weight in base.items():
            whole = weight.float() + added[name] if name in added else weight
            _weight(module, name).copy_(whole)


def _deltas(
    module: Module, component: str, file: Component, names: Mapping[str, str]
) -> Iterator[tuple[str, Tensor]]:
    import safetensors

    path = file.weights[0]
    header = read_header(path)
    wanted = [layer for layer in layers(path) if layer.component == component]
    strangers = [layer.name for layer in wanted if _squashed(layer.name) not in names]
    if strangers:
        raise _misfit(
            path,
            f"{len(strangers)} of its {len(wanted)} layers for the {component} are not in"
            f" the model's (such as {strangers[0][:80]})",
        )
    alphas = _Alphas.read(header, path)
    try:
        with safetensors.safe_open(path, framework="pt") as tensors:
            for layer in wanted:
                name = names[_squashed(layer.name)]
                weight = _weight(module, name)
                down = tensors.get_tensor(layer.down).to(weight.device).float()
                up = tensors.get_tensor(layer.up).to(weight.device).float()
                rank = down.shape[0]
                alpha = alphas.of(component, name, rank)
                if layer.alpha:
                    alpha = float(tensors.get_tensor(layer.alpha))
                product = up.flatten(1) @ down.flatten(1) if up.shape[1] == rank else None
                if product is None or product.numel() != weight.numel():
                    raise _misfit(
                        path, f"its {layer.name[:80]} is {_shape(up)} x {_shape(down)},"
                        f" the model's {_shape(weight)}"
                    )  # fmt: skip
                yield name, product.reshape(weight.shape) * (alpha / rank)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"cannot be read ({error})", where=str(path), remedy="get the LoRA again"
        ) from error


def _misfit(path: Path, what: str) -> ModelError:
    return ModelError(
        f"was made for another network: {what}",
        where=str(path),
        remedy="load a LoRA that was made for this model",
    )


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join(map(str, tensor.shape)) + "]"


def _weight(module: Module, name: str) -> Tensor:
    return module.get_parameter(f"{name}.weight")


@dataclass(frozen=True)
class _Alphas:
    """The alphas that PEFT's configuration gives, where the file holds them not as tensors."""

    config: Mapping[str, object]

    @classmethod
    def read(cls, header: Header, path: Path) -> _Alphas:
        try:
            config = json.loads(header.metadata.get(_METADATA, "{}"))
        except ValueError as error:
            raise ModelError(f"its {_METADATA} is not JSON ({error})", where=str(path)) from error
        return cls(config if isinstance(config, dict) else {})

    def of(self, component: str, layer: str, rank: int) -> float:
        pattern = self.config.get(f"{component}.alpha_pattern")
        for name, alpha in pattern.items() if isinstance(pattern, dict) else ():
            if layer.endswith(name) and isinstance(alpha, int | float):
                return float(alpha)
        alpha = self.config.get(f"{component}.lora_alpha", rank)
        return float(alpha) if isinstance(alpha, int | float) else float(rank)


# --- names


def _squashed(name: str) -> str:
    """A layer's name without what tools differ in: dots, underscores, attention processors."""
    return re.sub(r"[._]|processor", "", name)


def _names(module: Module, base: Component) -> dict[str, str]:
    """The name of every layer of a network that can be added to, by all the (squashed) names that files call it."""
    found: dict[str, str] = {}
    layers_per_block = base.config.get("layers_per_block")
    for name, layer in module.named_modules():
        weight = getattr(layer, "weight", None)
        if weight is None or weight.dim() < 2:
            continue
        aliases = [name, *_text_aliases(name)]
        if base.name == "unet":
            aliases.append(name.removesuffix(".0") if name.endswith("to_out.0") else name)
            if isinstance(layers_per_block, int):
                aliases.append(ldm_name(name, layers_per_block, module))
        for alias in aliases:
            found.setdefault(_squashed(alias), name)
    return found


def _text_aliases(name: str) -> Iterator[str]:
    # transformers 5.6 took CLIPTextModel's inner module away
    bare = name.removeprefix("text_model.")
    for stem in (bare, f"text_model.{bare}"):
        yield stem
        # as diffusers wrote them before 0.22
        for ours, former in (
            ("q_proj", "to_q"),
            ("k_proj", "to_k"),
            ("v_proj", "to_v"),
            ("out_proj", "to_out"),
        ):
            if stem.endswith(f"self_attn.{ours}"):
                yield stem.removesuffix(ours) + former


_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


def ldm_name(name: str, layers_per_block: int, unet: Module) -> str:
    """What the authors of Stable Diffusion call a layer of diffusers' U-Net; LoRAs for XL use these names.

    A layer that is in no block and that they do not have keeps its name.

    The blocks are counted through: each holds ``layers_per_block`` pairs of residual and attention layers and, but
    for the last, what changes the resolution (on the way up one pair more, and the change within its last).
    """
    side, *rest = name.split(".")
    if side not in ("down_blocks", "mid_block", "up_blocks"):
        return _OUTSIDE.get(name, name)
    span = layers_per_block + 1
    if side == "mid_block":
        kind, number, *inner = rest
        place = f"middle_block.{2 * int(number) if kind == 'resnets' else 1}"
        return _within(place, kind, inner)
    block, kind, number, *inner = rest
    if kind == "downsamplers":
        return f"input_blocks.{(int(block) + 1) * span}.0.op"
    if kind == "upsamplers":
        has_attention = hasattr(unet.get_submodule(f"up_blocks.{block}"), "attentions")
        return f"output_blocks.{int(block) * span + span - 1}.{1 + has_attention}.conv"
    index = int(block) * span + int(number)
    place = f"input_blocks.{1 + index}" if side == "down_blocks" else f"output_blocks.{index}"
    return _within(f"{place}.{0 if kind == 'resnets' else 1}", kind, inner)


def _within(place: str, kind: str, inner: Sequence[str]) -> str:
    path = ".".join(inner)
    return f"{place}.{_RESNET.get(path, path) if kind == 'resnets' else path}"
