"""Pictures, captions and labels of a data set, in an order and with chances that follow from (seed, position) alone."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps
from torch import Tensor

from studio.diffusion import noise
from studio.errors import NodeError
from studio.training import scenes
from studio.training.folder import DAMAGE, FORMATS
from studio.training.painting import Pixels, paint, scene_of, scribble
from studio.values import Dataset, PictureFile, PictureFiles, Scenes

_EPOCH = -1000
"""Address of the first epoch's order; those after it lie below."""
_CACHE_BYTES = 512 << 20
_SCENES = 200_000
"""So many scenes are kept in mind: each is put into words time and again."""


class Examples:
    """Reads a data set; pictures that were read stay in memory as far as there is room."""

    def __init__(self, dataset: Dataset, seed: int, cache_bytes: int = _CACHE_BYTES) -> None:
        self.dataset = dataset
        self._seed = seed
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[int, Pixels] = OrderedDict()
        self._cached_bytes = 0
        self._scenes: dict[int, scenes.Scene] = {}
        self._epoch = -1
        self._order: list[int] = []

    def __len__(self) -> int:
        return self.dataset.count

    def at(self, position: int) -> int:
        """The index of the picture at a position of the endless stream: every epoch is shuffled anew."""
        epoch, place = divmod(position, len(self))
        if epoch != self._epoch:
            draws = noise.generator(self._seed, _EPOCH - epoch)
            self._order = torch.randperm(len(self), generator=draws).tolist()
            self._epoch = epoch
        return self._order[place]

    def picture(self, index: int, position: int | None = None) -> Tensor:
        """A picture, float32 [3, size, size] in [-1, 1]; cropped and mirrored by chance where a position is given."""
        pixels = self._pixels(index)
        source = self.dataset.pictures
        size = self.dataset.size
        if isinstance(source, PictureFiles):
            draw = None if position is None else self._chance(position)
            pixels = _window(pixels, size, draw if source.is_random else None)
            if draw is not None and source.is_flipped and draw.random() < 0.5:
                pixels = pixels[:, ::-1]
        tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        return tensor.float() / 127.5 - 1

    def scribble(self, index: int) -> Tensor:
        """What somebody might draw to ask for a scene, uint8 [size, size], white on black."""
        source = self.dataset.pictures
        assert isinstance(source, Scenes), "pictures of a folder have no scribbles"
        (drawing,) = scribble(source, [index], self.dataset.size)
        return torch.from_numpy(drawing.copy())

    def caption(self, index: int, position: int | None = None) -> str:
        """The caption of a picture; a scene is put into words afresh at every position."""
        source = self.dataset.pictures
        if isinstance(source, PictureFiles):
            return source.files[index].caption
        scene = self._scene(source, index)
        if position is None:
            return scenes.full_caption(scene, random.Random(index))
        return scenes.caption(scene, self._chance(position))

    def _scene(self, source: Scenes, index: int) -> scenes.Scene:
        known = self._scenes.get(index)
        if known is None:
            known = scene_of(source, index)
            if len(self._scenes) < _SCENES:
                self._scenes[index] = known
        return known

    def label(self, index: int) -> int:
        """The class label of a picture."""
        source = self.dataset.pictures
        if isinstance(source, PictureFiles):
            return source.files[index].label
        return scenes.class_names().index(scene_of(source, index).subject)

    def verify(self, check: Callable[[int, int], None]) -> None:
        """Decode every file once; raises NodeError that names all that cannot be. ``check`` is told how far it is."""
        source = self.dataset.pictures
        if not isinstance(source, PictureFiles):
            return
        broken = []
        for number, file in enumerate(source.files):
            check(number, len(source.files))
            try:
                self._pixels(number)
            except NodeError as error:
                broken.append(f"{file.name} {error.what}")
        if broken:
            raise NodeError(
                f"{len(broken)} pictures cannot be used: {'; '.join(broken)}",
                where=".dataset",
                remedy="mend or remove them",
            )

    def _chance(self, position: int) -> random.Random:
        packed = b"studio.chance/1" + struct.pack("<Qq", self._seed, position)
        return random.Random(hashlib.blake2b(packed, digest_size=16).digest())

    def _pixels(self, index: int) -> Pixels:
        known = self._cache.get(index)
        if known is not None:
            self._cache.move_to_end(index)
            return known
        source = self.dataset.pictures
        if isinstance(source, Scenes):
            (pixels,) = paint(source, [index], self.dataset.size)
        else:
            pixels = _read(source.files[index], self.dataset.size, source.fit)
        self._cache[index] = pixels
        self._cached_bytes += pixels.nbytes
        while self._cached_bytes > self._cache_bytes and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return pixels


def _read(file: PictureFile, size: int, fit: str) -> Pixels:
    """A picture's pixels: its shorter side (its longer, to be padded) brought to ``size``."""
    try:
        data = Path(file.path).read_bytes()
    except OSError as error:
        raise NodeError(f"cannot be read ({error.strerror})", where=".dataset") from error
    if hashlib.sha256(data).hexdigest() != file.digest:
        raise NodeError("has changed since the run began", where=".dataset", remedy="run again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(data), formats=FORMATS) as opened:
                picture = _upright(opened)
    except (*DAMAGE, Pillow.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NodeError(f"cannot be decoded ({reason})", where=".dataset") from error
    if fit == "stretch":
        return np.asarray(picture.resize((size, size), Pillow.Resampling.LANCZOS))
    if fit == "pad":
        return np.asarray(ImageOps.pad(picture, (size, size), Pillow.Resampling.LANCZOS))
    factor = size / min(picture.size)
    width, height = (max(size, round(side * factor)) for side in picture.size)
    return np.asarray(picture.resize((width, height), Pillow.Resampling.LANCZOS))


def _upright(opened: Pillow.Image) -> Pillow.Image:
    picture = ImageOps.exif_transpose(opened)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layered = picture.convert("RGBA")
    white = Pillow.new("RGBA", layered.size, "white")
    return Pillow.alpha_composite(white, layered).convert("RGB")


def _window(pixels: Pixels, size: int, draw: random.Random | None) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = (height - size) // 2, (width - size) // 2
    if draw is not None:
        top, left = draw.randint(0, height - size), draw.randint(0, width - size)
    return pixels[top : top + size, left : left + size]
