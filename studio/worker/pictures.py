"""Results as small pictures in lines, and as files for as long as somebody looks at them."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from studio.graph import Port
from studio.plan import Keyed
from studio.remote import Message
from studio.values import Image, Latents, Mask, Picture

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SMALL_PX = 256
"""The longest side of pictures that are sent in lines."""
_KEPT_FILES = 256


class Scratch:
    """Files of pictures that are shown and not saved: the latest few hundred."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def keep(self, name: str, data: bytes) -> str:
        """Write a file, unless it is there, and return its path; "" where the disk does not take it."""
        path = self._folder / name
        with self._lock, contextlib.suppress(OSError):
            if path.is_file():
                os.utime(path)
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                unfinished = path.with_name(f".{name}")
                unfinished.write_bytes(data)
                unfinished.replace(path)
                self._forget()
            return str(path)
        return ""

    def _forget(self) -> None:
        files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[:-_KEPT_FILES]:
            file.unlink()


def pixels_of(picture: PillowImage) -> Message:
    """A picture at no more than ``SMALL_PX`` a side: its size, and its pixels as base64."""
    small = picture.convert("RGB")
    small.thumbnail((SMALL_PX, SMALL_PX))
    rgb = base64.b64encode(small.tobytes()).decode("ascii")
    return {"width": small.width, "height": small.height, "rgb": rgb}


def small_of(picture: PillowImage) -> Message:
    """The same, and the size of the whole picture."""
    return {**pixels_of(picture), "full_width": picture.width, "full_height": picture.height}


def shown_port(item: Keyed) -> Port | None:
    """The output of a node that can be shown."""
    kinds = (Picture, Image, Mask, Latents)
    return next((port for port in item.type.outputs if issubclass(port.type, kinds)), None)


def pictures_of(value: object) -> list[PillowImage]:
    """Pictures, masks (grey) or latents (approximately, a pixel each) as 8-bit pictures."""
    from PIL import Image as Pillow

    from studio.diffusion.pixels import to_bytes
    from studio.diffusion.preview import preview

    if isinstance(value, Latents):
        value = preview(value.samples, value.family)
    if isinstance(value, Mask):
        value = Image(value.alpha.expand(-1, 3, -1, -1))
    return (
        [Pillow.fromarray(one) for one in to_bytes(value.pixels)]
        if isinstance(value, Image)
        else []
    )
