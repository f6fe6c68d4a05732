"""Mask nodes: where to repaint, painted, read from files or colours, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from nodes.image import ENDINGS, colour, read
from studio.errors import NodeError
from studio.graph import Json, NodeKind
from studio.registry import Choice, File, Output, Range, Strokes, node
from studio.values import Image, Mask, Masks

if TYPE_CHECKING:
    from studio.diffusion.masks import Stroke

_NO_STROKES: list[Json] = []


@node("inpaint_mask", version=1, category="mask", aliases=("paint_mask", "mask"))
def inpaint_mask(
    image: Image | None = None,
    mask: Mask | None = None,
    strokes: Annotated[list[Json], Strokes()] = _NO_STROKES,
    width: Annotated[int, Range(16, 8192, unit="px")] = 128,
    height: Annotated[int, Range(16, 8192, unit="px")] = 128,
    grow: Annotated[int, Range(-512, 512, unit="px")] = 0,
    feather: Annotated[float, Range(0, 512, unit="px")] = 0.0,
    invert: bool = False,
) -> Mask:
    """Say where a picture is repainted: a mask to begin with, strokes on it, then grown, feathered, inverted.

    image: The picture to be repainted; gives the size.
    mask: What the strokes are painted on, such as a picture's transparency; gives the size without an image.
    strokes: Painted strokes, in order; erasers take away.
    width: Width where neither an image nor a mask is linked.
    height: Height where neither an image nor a mask is linked.
    grow: Grow in every direction; negative shrinks.
    feather: Soften the edge over about as much to either side.
    invert: Repaint everything else instead.
    """
    import torch

    from studio.diffusion.masks import feathered, grown, painted
    from studio.diffusion.pixels import resample

    like = image.pixels if image else mask.alpha if mask else None
    rows, columns = (height, width) if like is None else like.shape[-2:]
    alpha = (
        resample(mask.alpha, columns, rows, "bilinear")
        if mask
        else torch.zeros(1, 1, rows, columns)
    )
    alpha = painted(alpha, [_stroke(stroke) for stroke in strokes])
    alpha = feathered(grown(alpha, grow), feather)
    return Mask(1 - alpha if invert else alpha)


@node("load_mask", version=1, category="mask")
def load_mask(
    file: Annotated[str, File(ENDINGS)] = "",
    channel: Annotated[str, Choice("luminance", "alpha", "red", "green", "blue")] = "luminance",
    invert: bool = False,
) -> Mask:
    """Load a mask from one channel of a picture file: white is repainted.

    file: PNG, JPEG, WebP, AVIF, GIF, TIFF, BMP, JPEG 2000, PPM or QOI.
    channel: Which channel counts; luminance is the grey value (ITU-R 601), alpha 1 where the file is opaque.
    invert: Repaint where the channel is dark.
    """
    import numpy as np
    import torch

    picture = read(file)
    if picture.mode.startswith("I"):
        values = np.asarray(picture, np.float32) / np.float32(65535)
        if channel == "alpha":
            values = np.ones_like(values)
    else:
        band = picture.convert("L") if channel == "luminance" else picture.convert("RGBA")
        values = np.asarray(
            band if channel == "luminance" else band.getchannel(channel[0].upper()), np.float32
        ) / np.float32(255)
    alpha = torch.from_numpy(values.clip(0, 1))[None, None]
    return Mask(1 - alpha if invert else alpha)


@node("mask_from_color", version=1, category="mask", aliases=("mask_from_colour", "chroma_key"))
def mask_from_color(
    image: Image,
    color: str = "#ffffff",
    tolerance: Annotated[float, Range(0, 1, 0.01)] = 0.1,
    softness: Annotated[float, Range(0, 1, 0.01)] = 0.0,
) -> Mask:
    """Repaint where the picture has a colour.

    image: The pictures.
    color: The colour, as #rrggbb.
    tolerance: How far a colour may be off, as a share of the distance from black to white in sRGB.
    softness: How much further the mask fades to 0.
    """
    import torch

    wanted = torch.tensor(colour(color)).view(1, 3, 1, 1)
    distance = ((image.pixels - wanted) ** 2).mean(1, keepdim=True).sqrt()
    beyond = distance - tolerance
    return Mask((1 - beyond / softness).clamp(0, 1) if softness else (beyond <= 0).float())


@node("grow_mask", version=1, category="mask")
def grow_mask(mask: Mask, pixels: Annotated[int, Range(-512, 512, unit="px")] = 8) -> Mask:
    """Grow a mask in every direction, or shrink it.

    mask: The mask.
    pixels: How far; negative shrinks.
    """
    from studio.diffusion.masks import grown

    return Mask(grown(mask.alpha, pixels))


@node("feather_mask", version=1, category="mask", aliases=("blur_mask",))
def feather_mask(mask: Mask, radius: Annotated[float, Range(0, 512, unit="px")] = 8.0) -> Mask:
    """Soften the edge of a mask by a Gaussian of half the radius.

    mask: The mask.
    radius: About how far the edge reaches to either side.
    """
    from studio.diffusion.masks import feathered

    return Mask(feathered(mask.alpha, radius))


@node("invert_mask", version=1, category="mask")
def invert_mask(mask: Mask) -> Mask:
    """Repaint what was kept, and keep what was repainted.

    mask: The mask.
    """
    return Mask(1 - mask.alpha)


@node("combine_masks", version=1, category="mask")
def combine_masks(
    mask: Mask,
    other: Mask,
    mode: Annotated[str, Choice("union", "intersect", "subtract")] = "union",
) -> Mask:
    """Combine two masks.

    mask: The first mask; gives the size.
    other: The second mask, resized to the first if need be.
    mode: union is the larger, intersect the smaller of the two; subtract takes the second from the first.
    """
    import torch

    from studio.diffusion.pixels import batch_of, resample

    rows, columns = mask.alpha.shape[-2:]
    second = resample(other.alpha, columns, rows, "bilinear")
    batch_of(mask=len(mask.alpha), other=len(second))
    if mode == "union":
        return Mask(torch.maximum(mask.alpha, second))
    return Mask(torch.minimum(mask.alpha, second if mode == "intersect" else 1 - second))


@node("mask_window", version=1, category="mask", kind=NodeKind.DESCRIBE)
def mask_window(
    mask: Masks,
    start: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.0,
    end: Annotated[float, Range(0, 1, 0.01, "of the run")] = 1.0,
) -> Annotated[Masks, Output("mask")]:
    """Let a mask act during a part of the run only; steps before it keep their results.

    mask: The mask, or masks over the run.
    start: Share of the run at which it begins to act.
    end: Share of the run at which it ends.
    """
    if start >= end:
        raise NodeError(f"the window from {start} to {end} is empty", remedy="let start < end")
    return mask.within(start, end)


@node("mask_switch", version=1, category="mask", kind=NodeKind.DESCRIBE)
def mask_switch(
    mask: Masks,
    then: Masks,
    at: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.5,
) -> Annotated[Masks, Output("mask")]:
    """Change from one mask to another during the run; only the steps after the change depend on the second.

    mask: The mask until then.
    then: The mask from there on.
    at: Share of the run at which they change.
    """
    return mask.within(0.0, at) + then.within(at, 1.0)


@node("join_masks", version=1, category="mask", kind=NodeKind.DESCRIBE)
def join_masks(mask: Masks, other: Masks) -> Annotated[Masks, Output("mask")]:
    """Put two masks over the run together, each with its own window: where both act, the union.

    mask: The first.
    other: The second.
    """
    return mask + other


def _stroke(stroke: Json) -> Stroke:
    from studio.diffusion.masks import Stroke

    fields = cast("dict[str, Json]", stroke)  # the hint has checked the form
    points = cast("list[list[float]]", fields["points"])
    return Stroke(
        tuple((float(x), float(y)) for x, y in points),
        float(cast("float", fields["radius"])),
        float(cast("float", fields.get("hardness", 1.0))),
        bool(fields.get("erase", False)),
    )
