"""Output nodes: pictures encoded, ready to be written or shown."""

from __future__ import annotations

import re
from typing import Annotated

from nodes.image import colour
from studio.errors import NodeError
from studio.registry import Choice, Range, node
from studio.values import Image, Picture

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@node("save_image", version=1, category="output", is_output=True, aliases=("save",))
def save_image(
    image: Image,
    name: str = "picture",
    compression: Annotated[int, Range(0, 9, 1)] = 6,
) -> Picture:
    """Save pictures as 8-bit PNG files, a file each, with the workflow inside.

    image: The pictures.
    name: Stem of the file names.
    compression: 0 is fast and large, 9 slow and small; the pixels are the same.
    picture: The encoded files.
    """
    return _encoded(image, _stem(name), compression, is_saved=True)


@node("preview", version=1, category="output", is_output=True, aliases=("preview_image",))
def preview(image: Image) -> Picture:
    """Show pictures without saving them.

    image: The pictures.
    picture: The encoded pictures, to be shown only.
    """
    return _encoded(image, "preview", compression=1, is_saved=False)


@node("save_animation", version=1, category="output", is_output=True, aliases=("save_gif",))
def save_animation(
    image: Image,
    name: str = "animation",
    kind: Annotated[str, Choice("gif", "apng")] = "gif",
    rate: Annotated[float, Range(0.1, 50, unit="pictures/s")] = 8.0,
    hold: Annotated[float, Range(0, 60, unit="s")] = 1.0,
    loop: bool = True,
    bounce: bool = False,
) -> Picture:
    """Save a batch of pictures as one animation, such as the film of a denoising.

    image: The pictures, in order.
    name: Stem of the file name.
    kind: gif plays everywhere and has 256 colours a picture; apng (ending .png) keeps every colour.
    rate: Pictures a second; GIF counts in hundredths of a second.
    hold: How much longer the last picture stays.
    loop: Play again and again; otherwise once.
    bounce: Play back to the first picture before looping.
    """
    import hashlib
    import io

    from PIL import Image as Pillow

    from studio.diffusion.pixels import to_bytes

    stem = _stem(name)
    frames = list(to_bytes(image.pixels))
    durations = [1000 / rate] * len(frames)
    durations[-1] += 1000 * hold
    if bounce:
        frames += frames[-2:0:-1]
        durations += durations[-2:0:-1]
    pictures = [Pillow.fromarray(frame) for frame in frames]
    if kind == "gif":
        # a palette of its own for every picture, without dithering: still areas stay still
        pictures = [
            picture.quantize(256, Pillow.Quantize.MEDIANCUT, dither=Pillow.Dither.NONE)
            for picture in pictures
        ]
    file = io.BytesIO()
    again = {"loop": 0} if loop else {"loop": 1} if kind == "apng" else {}
    pictures[0].save(
        file,
        "GIF" if kind == "gif" else "PNG",
        save_all=True,
        append_images=pictures[1:],
        duration=[round(duration) for duration in durations],
        **again,
    )
    digest = hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest()
    suffix = ".gif" if kind == "gif" else ".png"
    return Picture(stem, suffix, (file.getvalue(),), (digest,))


@node("image_grid", version=1, category="output", aliases=("contact_sheet",))
def image_grid(
    image: Image,
    columns: Annotated[int, Range(0, 64)] = 0,
    gap: Annotated[int, Range(0, 256, unit="px")] = 4,
    color: str = "#000000",
) -> Image:
    """Lay a batch of pictures out as one sheet, row by row.

    image: The pictures.
    columns: Pictures a row; 0 makes the sheet about square.
    gap: Space between pictures.
    color: Colour of the gaps and of empty places, as #rrggbb.
    """
    import math

    import torch

    pixels = image.pixels
    count, _, height, width = pixels.shape
    across = min(columns or math.ceil(math.sqrt(count)), count)
    down = math.ceil(count / across)
    sheet = torch.tensor(colour(color)).view(1, 3, 1, 1)
    sheet = sheet.repeat(1, 1, down * (height + gap) - gap, across * (width + gap) - gap)
    for index, picture in enumerate(pixels):
        top, left = (index // across) * (height + gap), (index % across) * (width + gap)
        sheet[0, :, top : top + height, left : left + width] = picture
    return Image(sheet)


def _stem(name: str) -> str:
    problem = ""
    if not name.strip():
        problem = "is empty"
    elif found := _UNSAFE.search(name):
        problem = f"contains {found.group()!r}"
    elif name.startswith((".", " ")) or name.endswith((".", " ")):
        problem = "begins or ends with a dot or a space"
    elif _RESERVED.match(name):
        problem = "is reserved on Windows"
    elif len(name.encode()) > 150:
        problem = "is too long"
    if problem:
        raise NodeError(
            f'name "{name}" {problem}',
            remedy="use letters, digits, - and _; choose the folder with --output",
        )
    return name


def _encoded(image: Image, name: str, compression: int, *, is_saved: bool) -> Picture:
    import hashlib
    import io

    from PIL import Image as Pillow

    from studio.diffusion.pixels import to_bytes

    files: list[bytes] = []
    digests: list[str] = []
    for pixels in to_bytes(image.pixels):
        file = io.BytesIO()
        Pillow.fromarray(pixels).save(file, "PNG", compress_level=compression)
        files.append(file.getvalue())
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
    return Picture(name, ".png", tuple(files), tuple(digests), is_saved)
