"""Classes for networks that were taught them: which one denoise paints."""

from __future__ import annotations

from typing import Annotated

from nodes.classifier import label_of
from studio.errors import NodeError
from studio.registry import Output, node
from studio.values import Embedding, Labelled, Model


@node(
    "class_label",
    version=1,
    category="text",
    aliases=("class_conditional", "label"),
)
def class_label(
    model: Model, prompt: Embedding | None, label: str = ""
) -> Annotated[Embedding, Output("conditioning")]:
    """Name the class that a class-conditional network is to paint, in place of a prompt or beside one.

    Guidance leads away from the network's label for no class, and from the empty prompt (Ho & Salimans 2022).

      model: The network; it was taught classes, as new_unet makes it.
      prompt: What it reads beside the class, where it reads text as well.
      label: Name of the class, or its number, counted from 0; empty for none.
      conditioning: The class as the denoising network reads it.
    """
    import torch

    if model.labels is None:
        raise NodeError(
            f'"{model.ref.name}" paints no classes',
            where=".model",
            remedy="take a network that was taught some (classes of new_unet), or describe the picture by a prompt",
        )
    none = model.labels.none
    chosen = none if not label.strip() and none is not None else label_of(model.labels.names, label)
    read = prompt or Embedding(torch.zeros(1, 0, 0))
    away = read.empty if prompt is not None else read
    unconditional = None
    if none is not None and away is not None:
        unconditional = Labelled(away.hidden, away.pooled, away.tokens, label=none)
    return Labelled(read.hidden, read.pooled, read.tokens, unconditional, label=chosen)
