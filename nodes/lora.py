"""LoRAs: small files that are added to a model's weights, how strongly and for which part of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

from nodes.model import addition
from studio.errors import ModelError
from studio.graph import NodeKind
from studio.registry import ModelName, Planning, Range, node
from studio.values import Lora, Model, Span, TextEncoder

_STRENGTH = Range(-4, 4, 0.05)
_SHARE = Range(0, 1, 0.01, "of the run")


class Adapted(NamedTuple):
    """A model and its text encoder with a LoRA."""

    model: Model
    text_encoder: TextEncoder


@node(
    "load_lora",
    version=1,
    category="model",
    kind=NodeKind.DESCRIBE,
    aliases=("lora", "lora_loader"),
)
def load_lora(
    ctx: Planning,
    model: Model,
    text_encoder: TextEncoder,
    lora: Annotated[str, ModelName()] = "",
    strength: Annotated[float, _STRENGTH] = 1.0,
    text_strength: Annotated[float, _STRENGTH] = 1.0,
    start: Annotated[float, _SHARE] = 0.0,
    end: Annotated[float, _SHARE] = 1.0,
    digest: str = "",
) -> Adapted:
    """Load a LoRA and add it to a model and its text encoder (Hu et al. 2021).

    Several are chained; what they add is summed up. Outside the window, and at strength 0, the network is the
    model's own, bit for bit, so an edit of the window costs only the steps that it reaches.

    model: What it is added to.
    text_encoder: What reads the prompt; LoRAs that were trained with it change it as well.
    lora: Name in the model library.
    strength: How much of it is added to the denoising network; below 0 leads away from what it learned.
    text_strength: How much of it is added to the text encoder.
    start: Share of the run at which it begins to act on the denoising network.
    end: Share of the run at which it ends.
    digest: Content of the LoRA, as `studio models show` gives it; then no other of that name is taken.
    """
    found = _lora(ctx, lora, digest, model)
    refs = text_encoder.refs
    if text_strength:
        refs = tuple(
            replace(ref, patches=(*ref.patches, (found.ref, text_strength)))
            if ref.component in found.components
            else ref
            for ref in refs
        )
    return Adapted(_added(model, found, strength, start, end), replace(text_encoder, refs=refs))


@node(
    "load_lora_unet",
    version=1,
    category="model",
    kind=NodeKind.DESCRIBE,
    aliases=("lora_loader_model_only",),
)
def load_lora_unet(
    ctx: Planning,
    model: Model,
    lora: Annotated[str, ModelName()] = "",
    strength: Annotated[float, _STRENGTH] = 1.0,
    start: Annotated[float, _SHARE] = 0.0,
    end: Annotated[float, _SHARE] = 1.0,
    digest: str = "",
) -> Model:
    """Load a LoRA and add it to a denoising network alone; the prompt is read as without it.

    model: What it is added to.
    lora: Name in the model library.
    strength: How much of it is added; below 0 leads away from what it learned.
    start: Share of the run at which it begins to act.
    end: Share of the run at which it ends.
    digest: Content of the LoRA, as `studio models show` gives it; then no other of that name is taken.
    """
    return _added(model, _lora(ctx, lora, digest, model), strength, start, end)


def _lora(ctx: Planning, name: str, digest: str, model: Model) -> Lora:
    found = addition(ctx, name, digest, Lora, "LoRA", param="lora")
    family = model.family.removesuffix("_inpaint")
    if found.family and family and found.family != family:
        raise ModelError(
            f'"{name}" is a LoRA for {found.family}, the model is {model.family}',
            where=".lora",
            remedy=f"load a LoRA made for {model.family}",
        )
    return found


def _added(model: Model, lora: Lora, strength: float, start: float, end: float) -> Model:
    if start >= end:
        raise ModelError(
            f"the window from {start} to {end} is empty", where=".end", remedy="let start < end"
        )
    if not strength or "unet" not in lora.components:
        return model
    return replace(model, loras=(*model.loras, Span(lora, start, end, strength)))
