"""Contact sheets: pictures in rows with a caption under each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from tests.evaluation.scenes import Pictures

_WIDE = 256
_LINE = 14
_LINES = 4
_GAP = 8


def write_sheet(path: Path, pictures: Pictures, captions: Sequence[str], columns: int = 6) -> None:
    """Write pictures, uint8 [n, H, W, 3], enlarged without smoothing, as one PNG."""
    font = ImageFont.load_default(size=11)
    wrapped = [textwrap.wrap(caption, 44)[:_LINES] for caption in captions]
    high = max((len(lines) for lines in wrapped), default=0) * _LINE
    rows = -(-len(pictures) // columns)
    cell = (_WIDE + _GAP, _WIDE + high + _GAP)
    sheet = Pillow.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (picture, lines) in enumerate(zip(pictures, wrapped, strict=True)):
        left = _GAP + number % columns * cell[0]
        top = _GAP + number // columns * cell[1]
        image = Pillow.fromarray(picture).resize((_WIDE, _WIDE), Pillow.Resampling.NEAREST)
        sheet.paste(image, (left, top))
        draw.multiline_text((left, top + _WIDE + 1), "\n".join(lines), "black", font, spacing=2)
    sheet.save(path, optimize=True)


def interleaved(*several: Pictures) -> Pictures:
    """The first picture of each, then the second of each, and so on."""
    return np.stack(several, 1).reshape(-1, *several[0].shape[1:])
