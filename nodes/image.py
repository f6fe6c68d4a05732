"""Image nodes: pictures from files, and the operations that prepare them."""

from __future__ import annotations

import re
import struct
import warnings
from typing import TYPE_CHECKING, Annotated, NamedTuple

from studio.errors import NodeError
from studio.registry import Choice, File, Range, node
from studio.values import Image, Mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Opened
    from torch import Tensor

# only what stores pixels: Pillow opens some other formats by running programs on them
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "JPEG2000", "PPM", "QOI")
ENDINGS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff", ".bmp"),
    *(".jp2", ".pbm", ".pgm", ".ppm", ".qoi"),
)
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
_FILTERS = ("lanczos", "bicubic", "bilinear", "box", "nearest")


class Masked(NamedTuple):
    """A picture and the mask that goes with it."""

    image: Image
    mask: Mask


@node("load_image", version=1, category="image", aliases=("open_image",))
def load_image(file: Annotated[str, File(ENDINGS)] = "") -> Masked:
    """Load a picture: upright (EXIF), in sRGB (ICC profile), the first frame of an animation.

    file: PNG, JPEG, WebP, AVIF, GIF, TIFF, BMP, JPEG 2000, PPM or QOI; 8 or 16 bits, palette, grey or CMYK.
    image: The picture, colours as they stand under the transparency.
    mask: 1 where the file is transparent, to be repainted; all 0 if it is opaque.
    """
    import torch

    colours, alpha = _channels(read(file))
    pixels = torch.from_numpy(colours).permute(2, 0, 1).contiguous()
    return Masked(Image(pixels[None]), Mask(torch.from_numpy(1.0 - alpha)[None, None]))


@node("image_resize", version=1, category="image", aliases=("image_scale",))
def image_resize(
    image: Image,
    mask: Mask | None = None,
    width: Annotated[int, Range(1, 16384, unit="px")] = 128,
    height: Annotated[int, Range(1, 16384, unit="px")] = 128,
    fit: Annotated[str, Choice("stretch", "crop", "pad")] = "crop",
    resampling: Annotated[str, Choice(*_FILTERS)] = "lanczos",
) -> Masked:
    """Resize pictures, and the mask with them; edges that are added are masked, to be repainted.

    image: The pictures.
    mask: A mask to be resized in the same way.
    width: New width.
    height: New height.
    fit: stretch ignores proportions; crop fills the size and cuts what stands over; pad keeps all and adds edges.
    resampling: lanczos is sharpest, nearest keeps hard pixels.
    """
    from studio.diffusion.pixels import resample

    pixels = image.pixels
    alpha = _mask_of(image, mask)
    rows, columns = pixels.shape[-2:]
    scale = {"crop": max, "pad": min}.get(fit)
    if scale is None:
        inner_width, inner_height = width, height
    else:
        factor = scale(width / columns, height / rows)
        inner_width = max(1, round(columns * factor))
        inner_height = max(1, round(rows * factor))
    pixels = resample(pixels, inner_width, inner_height, resampling).clamp(0, 1)
    alpha = resample(alpha, inner_width, inner_height, resampling).clamp(0, 1)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    edges = (left, top, width - inner_width - left, height - inner_height - top)
    return Masked(Image(_padded(pixels, edges, "edge")), Mask(_padded(alpha, edges, 1.0)))


@node("image_crop", version=1, category="image")
def image_crop(
    image: Image,
    mask: Mask | None = None,
    left: Annotated[int, Range(0, 16384, unit="px")] = 0,
    top: Annotated[int, Range(0, 16384, unit="px")] = 0,
    width: Annotated[int, Range(1, 16384, unit="px")] = 128,
    height: Annotated[int, Range(1, 16384, unit="px")] = 128,
) -> Masked:
    """Cut a rectangle out of pictures, and of the mask with them.

    image: The pictures.
    mask: A mask to be cut in the same way.
    left: Columns to drop on the left.
    top: Rows to drop at the top.
    width: Width of the rectangle.
    height: Height of the rectangle.
    """
    rows, columns = image.pixels.shape[-2:]
    if left + width > columns or top + height > rows:
        raise NodeError(
            f"{width} × {height} px from ({left}, {top}) reach beyond the picture's {columns} × {rows} px",
            remedy="move or shrink the rectangle, or enlarge the picture by image_pad first",
        )
    window = (..., slice(top, top + height), slice(left, left + width))
    alpha = _mask_of(image, mask)
    return Masked(Image(image.pixels[window].clone()), Mask(alpha[window].clone()))


@node("image_pad", version=1, category="image", aliases=("outpaint",))
def image_pad(
    image: Image,
    mask: Mask | None = None,
    left: Annotated[int, Range(0, 8192, unit="px")] = 0,
    top: Annotated[int, Range(0, 8192, unit="px")] = 0,
    right: Annotated[int, Range(0, 8192, unit="px")] = 0,
    bottom: Annotated[int, Range(0, 8192, unit="px")] = 0,
    feather: Annotated[int, Range(0, 1024, unit="px")] = 8,
    fill: Annotated[str, Choice("edge", "mirror", "grey")] = "edge",
) -> Masked:
    """Enlarge pictures for outpainting: new edges, and the mask that repaints them.

    image: The pictures.
    mask: What is to be repainted as well.
    left: Columns to add on the left.
    top: Rows to add at the top.
    right: Columns to add on the right.
    bottom: Rows to add at the bottom.
    feather: How far the new mask fades into the old picture, to hide the seam.
    fill: What the new area begins with: the edge drawn out, the picture mirrored, or grey.
    """
    import torch

    edges = (left, top, right, bottom)
    rows, columns = image.pixels.shape[-2:]
    across = torch.arange(columns) + 0.5
    down = torch.arange(rows) + 0.5
    fades = [torch.zeros(1, 1, rows, columns)]
    if feather:
        distances = (across, down[:, None], columns - across, rows - down[:, None])
        fades += [
            (1 - distance / feather).clamp(0, 1).expand(1, 1, rows, columns)
            for distance, added in zip(distances, edges, strict=True)
            if added
        ]
    alpha = torch.stack([fade.expand_as(_mask_of(image, mask)) for fade in fades]).amax(0)
    alpha = torch.maximum(alpha, _mask_of(image, mask))
    border: str | float = 0.5 if fill == "grey" else fill
    return Masked(Image(_padded(image.pixels, edges, border)), Mask(_padded(alpha, edges, 1.0)))


@node("image_blend", version=1, category="image")
def image_blend(
    image: Image,
    over: Image,
    mode: Annotated[
        str, Choice("normal", "multiply", "screen", "overlay", "add", "difference")
    ] = "normal",
    amount: Annotated[float, Range(0, 1, 0.01)] = 0.5,
) -> Image:
    """Blend two pictures of one size.

    image: The lower picture.
    over: The upper picture.
    mode: How the two make a colour; the formulas of the W3C compositing standard, in sRGB.
    amount: 0 is the lower picture, 1 the blend.
    """
    import torch

    from studio.diffusion.pixels import batch_of

    a, b = image.pixels, over.pixels
    require_one_size(a, b)
    batch_of(pictures=len(a), over=len(b))
    if mode == "normal":
        blended = b
    elif mode == "multiply":
        blended = a * b
    elif mode == "screen":
        blended = a + b - a * b
    elif mode == "overlay":
        blended = torch.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))
    elif mode == "add":
        blended = (a + b).clamp(0, 1)
    else:
        blended = (a - b).abs()
    return Image(a * (1 - amount) + blended * amount)


@node("image_composite", version=1, category="image", aliases=("image_paste",))
def image_composite(
    image: Image,
    over: Image,
    mask: Mask | None = None,
    left: Annotated[int, Range(-16384, 16384, unit="px")] = 0,
    top: Annotated[int, Range(-16384, 16384, unit="px")] = 0,
) -> Image:
    """Lay a picture over another where the mask is 1; elsewhere pixels stay exactly as they are.

    image: The picture below.
    over: The picture to lay on it; what stands over the edge is cut.
    mask: Where to lay it, resized to its size if need be; everywhere if none is linked.
    left: Column of the lower picture at which the upper one begins.
    top: Row of the lower picture at which the upper one begins.
    """
    from studio.diffusion.pixels import pasted, resample

    rows, columns = over.pixels.shape[-2:]
    alpha = None if mask is None else resample(mask.alpha, columns, rows, "bilinear")
    return Image(pasted(image.pixels, over.pixels, alpha, left, top))


def read(file: str) -> Opened:
    """Open a picture file: its first frame, upright, loaded.

    Raises NodeError if there is none, if it is not one of the formats, is damaged, or is absurdly large.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps, UnidentifiedImageError

    if not file:
        raise NodeError("no file is chosen", remedy="choose a picture file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            with Pillow.open(file, formats=_FORMATS) as picture:
                return ImageOps.exif_transpose(picture)
    except FileNotFoundError as error:
        raise NodeError(f'there is no file "{file}"', remedy="choose another file") from error
    except UnidentifiedImageError as error:
        raise NodeError(
            f'"{file}" is no picture that can be read',
            remedy="choose a PNG, JPEG, WebP, AVIF, GIF, TIFF, BMP, JPEG 2000, PPM or QOI file",
        ) from error
    except (Pillow.DecompressionBombWarning, Pillow.DecompressionBombError) as error:
        raise NodeError(
            f'"{file}" has more than {(Pillow.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels',
            remedy="shrink it in an image editor first",
        ) from error
    except _DAMAGE as error:
        raise NodeError(
            f'"{file}" cannot be read: {error}', remedy="the file may be damaged: save it anew"
        ) from error


# what Pillow's decoders raise on damaged files, besides OSError
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error)


def colour(text: str) -> tuple[float, float, float]:
    """Read ``#rrggbb`` as red, green and blue in [0, 1]; raises NodeError if it is no such colour."""
    if not _COLOUR.fullmatch(text):
        raise NodeError(f'"{text}" is no colour', remedy="write it as #rrggbb, such as #ff8000")
    red, green, blue = bytes.fromhex(text[1:])
    return red / 255, green / 255, blue / 255


def _channels(picture: Opened) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The colours, float32 [H, W, 3] in sRGB, and the opacity, float32 [H, W], both in [0, 1]."""
    import numpy as np

    opaque = np.ones((picture.height, picture.width), np.float32)
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = np.asarray(picture, np.float32)
        if picture.mode != "F":
            grey = grey / np.float32(65535)
        return np.repeat(grey.clip(0, 1)[..., None], 3, axis=2), opaque
    if picture.has_transparency_data:
        layers = np.asarray(picture.convert("RGBA"), np.float32) / np.float32(255)
        opaque = layers[..., 3].copy()
    return np.asarray(_in_srgb(picture), np.float32) / np.float32(255), opaque


def _in_srgb(picture: Opened) -> Opened:
    """Convert to RGB, through the picture's ICC profile if it has a usable one that is not sRGB."""
    import io

    from PIL import ImageCms

    # straight to RGB, Pillow warns where a palette's transparency is more than one entry
    plain = (picture.convert("RGBA") if picture.mode == "P" else picture).convert("RGB")
    profile = picture.info.get("icc_profile")
    if not profile:
        return plain
    source = picture if picture.mode in ("L", "CMYK", "LAB") else plain
    if picture.mode == "LA":
        source = picture.convert("L")
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(given):
            return plain
        turned = ImageCms.profileToProfile(
            source, given, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return plain  # a profile that is broken or of another colour space says nothing
    return turned or plain


def _mask_of(image: Image, mask: Mask | None) -> Tensor:
    """The mask at the picture's size, float32 [B, 1, H, W]; all 0 if there is none."""
    from studio.diffusion.pixels import resample

    rows, columns = image.pixels.shape[-2:]
    if mask is None:
        return image.pixels.new_zeros(1, 1, rows, columns)
    return resample(mask.alpha, columns, rows, "bilinear")


def _padded(planes: Tensor, edges: tuple[int, int, int, int], border: str | float) -> Tensor:
    """Add (left, top, right, bottom) edges to [B, C, H, W]; negative ones cut. ``border``: edge, mirror or a value."""
    import numpy as np
    import torch

    left, top, right, bottom = edges
    rows, columns = planes.shape[-2:]
    planes = planes[
        ...,
        max(0, -top) : rows + min(0, bottom),
        max(0, -left) : columns + min(0, right),
    ]
    widths = ((0, 0), (0, 0), (max(0, top), max(0, bottom)), (max(0, left), max(0, right)))
    array = planes.numpy()
    if isinstance(border, str):
        mode = "edge" if border == "edge" else "symmetric"
        array = np.pad(array, widths, mode=mode)  # type: ignore[call-overload]  # mode is a Literal there
    else:
        array = np.pad(array, widths, constant_values=border)
    return torch.from_numpy(np.ascontiguousarray(array)).clone()


def require_one_size(first: Tensor, second: Tensor) -> None:
    """Raise NodeError unless two batches of pictures are of one size."""
    if first.shape[-2:] != second.shape[-2:]:
        (rows, columns), (other_rows, other_columns) = first.shape[-2:], second.shape[-2:]
        raise NodeError(
            f"the pictures are {columns} × {rows} px and {other_columns} × {other_rows} px",
            remedy="bring them to one size by image_resize",
        )
