"""Models by name: checkpoints and their parts."""

from __future__ import annotations

from typing import Annotated, NamedTuple, TypeVar

from studio.errors import ModelError
from studio.graph import NodeKind, Value
from studio.registry import ModelName, Planning, node
from studio.values import Described, Model, TextEncoder, Vae

V = TypeVar("V", bound=Value)


class WholeModel(NamedTuple):
    """What a checkpoint consists of."""

    model: Model
    text_encoder: TextEncoder
    vae: Vae


def _part(described: Described, name: str, part: str, value: V | None) -> V:
    if value is None:
        what = described.missing.get(part, f"{name} has none")
        raise ModelError(f"no {part.replace('_', ' ')}: {what}")
    return value


@node("load_model", version=1, category="model", kind=NodeKind.DESCRIBE, aliases=("checkpoint",))
def load_model(ctx: Planning, model: Annotated[str, ModelName()] = "starter") -> WholeModel:
    """Load a whole model from the library: denoising network, text encoder and VAE.

    The name is that of a folder in diffusers' layout or of a safetensors file, as `studio models list` shows it.

      model: name in the model library; "starter" ships with the program
    """
    described = ctx.models.describe(model)
    return WholeModel(
        _part(described, model, "model", described.model),
        _part(described, model, "text_encoder", described.text_encoder),
        _part(described, model, "vae", described.vae),
    )


@node("load_unet", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_unet(ctx: Planning, model: Annotated[str, ModelName()] = "starter") -> Model:
    """Load only the denoising network of a model, such as one that paints pixels and reads no text.

    model: name in the model library
    """
    described = ctx.models.describe(model)
    return _part(described, model, "model", described.model)


@node("load_text_encoder", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_text_encoder(ctx: Planning, model: Annotated[str, ModelName()] = "starter") -> TextEncoder:
    """Load only the text encoder of a model, with its tokenizer.

    model: name in the model library
    """
    described = ctx.models.describe(model)
    return _part(described, model, "text_encoder", described.text_encoder)


@node("load_vae", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_vae(ctx: Planning, model: Annotated[str, ModelName()] = "starter") -> Vae:
    """Load only a VAE: of a model, or one that lies alone in the library.

    model: name in the model library
    """
    described = ctx.models.describe(model)
    return _part(described, model, "vae", described.vae)
