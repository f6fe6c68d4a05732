"""Pictures as the worker's events hold them, and what is known of a picture that a node gave."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from PySide6.QtCore import QSize
from PySide6.QtGui import QImage


@dataclass(frozen=True)
class Pictured:
    """A picture that a node gave."""

    node: str
    """As the canvas has it."""
    image: QImage
    """Small."""
    size: QSize
    """Of the whole picture."""
    path: Path | None
    """The whole picture, for as long as the worker lives if it was not saved."""
    is_saved: bool
    index: int
    count: int
    """Of the batch."""
    key: str
    """Of the result in the store."""
    sha256: str
    """Of the pixels; "" unless it was saved."""
    is_asked: bool
    """Whether it answers a look; else it comes from a run."""

    def whole(self) -> QImage:
        """The whole picture, or the small one if it cannot be read."""
        image = QImage(str(self.path)) if self.path else QImage()
        return self.image if image.isNull() else image


def pictured(event: Mapping[str, object]) -> Pictured | None:
    """The picture of a ``picture`` event; None if it holds no pixels."""
    image = image_of(event)
    if image is None:
        return None
    path, index, count = event.get("path"), event.get("index"), event.get("count")
    width, height = event.get("full_width"), event.get("full_height")
    is_known = isinstance(width, int) and isinstance(height, int)
    return Pictured(
        str(event.get("node", "")).partition("/")[0],
        image,
        QSize(cast("int", width), cast("int", height)) if is_known else image.size(),
        Path(path) if isinstance(path, str) and path else None,
        event.get("is_saved") is True,
        index if isinstance(index, int) else 0,
        count if isinstance(count, int) else 1,
        str(event.get("key", "")),
        str(event.get("pixels_sha256") or ""),
        "request" in event,
    )


def image_of(event: Mapping[str, object], name: str = "rgb") -> QImage | None:
    """The pixels under ``name``: base64 of 8-bit RGB, ``width`` x ``height``; None if there are none."""
    data, width, height = event.get(name), event.get("width"), event.get("height")
    if not (isinstance(data, str) and isinstance(width, int) and isinstance(height, int)):
        return None
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != width * height * 3 or not raw:
        return None
    # a copy: the image would only borrow the bytes
    return QImage(raw, width, height, width * 3, QImage.Format.Format_RGB888).copy()
