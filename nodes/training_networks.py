"""Networks that have learned nothing yet: what a training begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from studio.errors import NodeError
from studio.graph import Json, NodeKind
from studio.registry import (
    Numbers,
    Output,
    Range,
    node,
)
from studio.values import (
    CLASSES,
    Dataset,
    Network,
    NewTextEncoder,
    Vae,
)


@node(
    "new_unet",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    aliases=("network", "unet", "untrained"),
)
def new_unet(
    vae: Vae | None,
    dataset: Dataset | None,
    channels: Annotated[list[int], Numbers()] = [32, 64, 96],  # noqa: B006 - a declared default, never changed
    layers: Annotated[int, Range(1, 6)] = 1,
    attention: Annotated[int, Range(0, 6, unit="levels")] = 1,
    head_width: Annotated[int, Range(4, 256, 4)] = 16,
    text_width: Annotated[int, Range(0, 4096)] = 0,
    groups: Annotated[int, Range(1, 64)] = 8,
    classes: Annotated[int, Range(0, 100_000)] = 0,
) -> Network:
    """A U-Net that has learned nothing yet (Ronneberger et al. 2015; Ho et al. 2020): what train_diffusion begins with.

    Its size decides how much it can learn and how long that takes: a few hundred thousand weights learn pictures of
    32 px within minutes on a processor.

      vae: Work on its latents; without it, on pixels.
      dataset: Read its class labels; without it, as many as classes says.
      channels: Width of each level, the picture's own size first, each further one half as large.
      layers: Residual blocks a level.
      attention: How many of the smallest levels look at the picture as a whole.
      head_width: Channels of an attention head.
      text_width: Width of the text encoder that it reads; 0 reads no text.
      groups: Of the group norms; every width is a multiple of it.
      classes: How many class labels it reads; 0 is none. One more stands for none of them.
      network: The network, described.
    """
    widths = refuse_widths(channels, groups, attention, head_width)
    depth = len(widths)
    looks = [level >= depth - attention for level in range(depth)]
    signal = vae.latent_channels if vae else 3
    kind = "CrossAttn" if text_width else "Attn"
    config: dict[str, Json] = {
        "in_channels": signal,
        "out_channels": signal,
        "block_out_channels": list(widths),
        "layers_per_block": layers,
        "down_block_types": [f"{kind}DownBlock2D" if look else "DownBlock2D" for look in looks],
        "up_block_types": [f"{kind}UpBlock2D" if look else "UpBlock2D" for look in reversed(looks)],
        "norm_num_groups": groups,
    }
    names = _names(dataset, classes)
    if names:
        # one more for none of them, which guidance leads away from (Ho & Salimans 2022)
        config |= {"num_class_embeds": len(names) + 1, CLASSES: list(names)}
    if not text_width:
        config |= {"attention_head_dim": head_width, "add_attention": attention > 0}
        return Network("UNet2DModel", config)
    # diffusers takes this field for the number of heads there
    config["attention_head_dim"] = [max(1, width // head_width) for width in widths]
    config["cross_attention_dim"] = text_width
    return Network("UNet2DConditionModel", config)


def _names(dataset: Dataset | None, classes: int) -> tuple[str, ...]:
    if dataset is None:
        return tuple(map(str, range(classes)))
    if not dataset.classes:
        raise NodeError(
            "the data set has no classes",
            where=".dataset",
            remedy="unlink it, or set classes in picture_folder",
        )
    return dataset.classes


def refuse_widths(
    channels: Sequence[float], groups: int, attention: int, head_width: int
) -> list[int]:
    """The widths of a network's levels; raises NodeError if its norms or heads cannot divide them."""
    widths = [int(width) for width in channels]
    if not widths or any(width < 1 or width % groups for width in widths):
        raise NodeError(
            f"channels {channels} are not all multiples of groups {groups}",
            where=".channels",
            remedy="such as 32, 64, 96 with 8 groups",
        )
    if any(width % head_width for width in widths[max(0, len(widths) - attention) :]):
        raise NodeError(
            f"a level with attention is no multiple of head_width {head_width}",
            where=".head_width",
            remedy="choose a divisor of its channels",
        )
    return widths


@node(
    "new_text_encoder",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    aliases=("tokenizer", "untrained"),
)
def new_text_encoder(
    width: Annotated[int, Range(16, 4096, 16)] = 128,
    layers: Annotated[int, Range(1, 48)] = 3,
    head_width: Annotated[int, Range(8, 256, 8)] = 32,
    length: Annotated[int, Range(8, 512, unit="tokens")] = 40,
    vocabulary: Annotated[int, Range(520, 200_000, unit="tokens")] = 840,
) -> Annotated[NewTextEncoder, Output("text_encoder")]:
    """A text encoder that has read nothing yet (CLIP's architecture: Radford et al. 2021), to learn with a new network.

    Its tokenizer is made from the captions of the data set when the training begins.

      width: Of its hidden states: the text_width of the network.
      layers: Transformer layers.
      head_width: Channels of an attention head.
      length: Tokens that it reads at once; longer captions are cut.
      vocabulary: At most so many tokens, of which 514 are single bytes and the two marks.
      text_encoder: The encoder, described.
    """
    if width % head_width:
        raise NodeError(
            f"width {width} is no multiple of head_width {head_width}",
            where=".head_width",
            remedy="choose a divisor of the width",
        )
    return NewTextEncoder(width, layers, head_width, length, vocabulary)
