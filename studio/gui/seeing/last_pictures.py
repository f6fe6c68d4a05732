"""The last picture of each workflow file, small, in a folder, for the start page."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PySide6.QtGui import QImage

KEPT = 64
"""Pictures; those of files that have not been run for the longest time go first."""


class LastPictures:
    """A folder of pictures, one for each file; one that cannot be written or read is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, file: Path, image: QImage) -> None:
        """Put a picture in the place of the one before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if image.save(str(self._path(file))):
            for old in sorted(self._folder.glob("*.png"), key=_age)[KEPT:]:
                old.unlink(missing_ok=True)

    def of(self, file: Path) -> Path | None:
        """Where the picture of a file is; None if there is none."""
        path = self._path(file)
        return path if path.is_file() else None

    def _path(self, file: Path) -> Path:
        name = hashlib.blake2b(str(file.resolve()).encode(errors="surrogateescape"), digest_size=16)
        return self._folder / f"{name.hexdigest()}.png"


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
