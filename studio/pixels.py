"""How far the pixels of two pictures are apart, without torch."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from studio.errors import FileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

# what stores pixels and is decoded by Pillow itself
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


@dataclass(frozen=True)
class Distance:
    """What lies between two pictures of one size, in 8-bit levels over all channels."""

    pixels: int
    differing: int
    """Pixels that differ in any channel."""
    largest: int
    mean: float
    """Mean absolute difference."""
    psnr: float | None
    """Peak signal-to-noise ratio in dB; None for equal pictures."""

    def to_json(self) -> dict[str, object]:
        """The distance as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.differing:
            return "all equal"
        # one of a million is not 0 %
        share = 100 * self.differing / self.pixels
        return (
            f"{self.differing} of {self.pixels} differ ({share:.3g} %), by {self.largest} of 255 levels at most, "
            f"{self.mean:.3g} on average, PSNR {self.psnr:.1f} dB"
        )


@dataclass(frozen=True)
class Sizes:
    """Two pictures that cannot be compared pixel by pixel: (width, height) of each."""

    first: tuple[int, int]
    second: tuple[int, int]

    def to_json(self) -> dict[str, object]:
        """The sizes as plain data."""
        return {"sizes": [list(self.first), list(self.second)]}

    def __str__(self) -> str:
        before, after = (f"{width} × {height} px" for width, height in (self.first, self.second))
        return f"{before} -> {after}"


def distance(before: Pixels, after: Pixels) -> Distance | Sizes:
    """Compare two decoded pictures."""
    import numpy as np

    if before.shape[:2] != after.shape[:2]:
        return Sizes((before.shape[1], before.shape[0]), (after.shape[1], after.shape[0]))
    gaps = np.abs(before.astype(np.int16) - after)
    if (before[..., 3] == 255).all() and (after[..., 3] == 255).all():
        # a fourth channel of nothing would thin out the averages
        gaps = gaps[..., :3]
    square = float(np.mean(np.square(gaps, dtype=np.float64)))
    return Distance(
        pixels=int(gaps.shape[0] * gaps.shape[1]),
        differing=int(np.count_nonzero(gaps.any(axis=-1))),
        largest=int(gaps.max()),
        mean=float(gaps.mean()),
        psnr=10 * math.log10(255**2 / square) if square else None,
    )


def decode(data: bytes) -> Pixels:
    """Decode a picture, of an animation the first frame: uint8 [H, W, 4], RGBA; raises FileError."""
    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                if picture.mode.startswith("I"):
                    # Pillow would clip 16 bits to 8
                    grey = np.asarray(picture).astype(np.float64) / 257
                    return np.asarray(
                        Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGBA")
                    )
                return np.asarray(picture.convert("RGBA"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileError(f"has more than {Image.MAX_IMAGE_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise FileError("is no picture that can be read") from error
    except Exception as error:  # damaged pictures make Pillow raise a dozen kinds
        raise FileError(f"cannot be decoded ({error})") from error
