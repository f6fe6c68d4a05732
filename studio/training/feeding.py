"""The pictures of a data set on the device, as what a network works on, with what goes with them: hints, pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from studio.diffusion import vae
from studio.diffusion.edges import edges
from studio.registry import Context
from studio.training.data import Examples
from studio.training.painting import Painters
from studio.values import Dataset, PictureFiles, Scenes, Vae

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

_TABLE_BYTES = {"cpu": 512 << 20, "cuda": 24 << 30}
"""So much of a data set is kept ready."""
_AHEAD = 4096
"""So many pictures are asked of the painters in advance."""
_ENCODED = 64
"""So many pictures a VAE encodes at a time on an accelerator."""


SIGNAL, HINT, PIXELS = "signal", "hint", "pixels"
Seen = Mapping[str, Tensor]
"""Some pictures on the device: what the network works on, float32 [B, C, h, w], pixels in [-1, 1] or latents, under
``SIGNAL``; on demand the drawings, uint8 [B, 1, H, W], under ``HINT``, and uint8 [B, 3, H, W] under ``PIXELS``."""

_LINES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"edges": (1.0, 0.1, 2.0), "scribble": (2.0, 0.15, 3.0)}
)
"""Smoothing, threshold and thickness of the lines that are drawn of a picture, by the kind of hint."""


class Feed:
    """Gives batches by their positions in the endless, shuffled stream of a data set.

    What does not change from one look to the next (no crops, no mirroring) is made once and kept on the device.
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: int,
        device: torch.device,
        described: Vae | None,
        *,
        shrink: int = 1,
        hints: str = "",
        has_pixels: bool = False,
    ) -> None:
        """``described``: the VAE whose latents are given; None gives pixels.

        ``shrink``: every square of so many pixels a side becomes their mean. ``hints``: the kind of drawing that goes
        with each picture, of ``recipe.HINTS``. ``has_pixels``: give them beside the latents.
        """
        source = dataset.pictures
        is_painted = isinstance(source, Scenes)
        # scenes are kept here alone; files were all read once to see whether they can be
        self.examples = (
            Examples(dataset, seed, cache_bytes=0) if is_painted else Examples(dataset, seed)
        )
        self._device = device
        self._vae = described
        self._shrink = shrink
        self._hints = hints
        self._has_pixels = has_pixels or described is None
        self._is_scribbled = is_painted and hints == "scribble"
        self._is_fixed = not (
            isinstance(source, PictureFiles) and (source.is_random or source.is_flipped)
        )
        self._tables: dict[str, Tensor] = {}
        self._places: dict[int, int] = {}
        self._labels: Tensor | None = None
        self._painters: Painters | None = None
        if device.type != "cpu" and isinstance(source, Scenes):
            self._painters = Painters(source, dataset.size, is_scribbled=self._is_scribbled)

    def __len__(self) -> int:
        return len(self.examples)

    def indices(self, positions: Sequence[int]) -> list[int]:
        """Which pictures stand at some positions."""
        return [self.examples.at(position) for position in positions]

    def batch(self, positions: Sequence[int], ctx: Context) -> Tensor:
        """What stands at some positions: float32 [B, C, h, w] on the device; pixels lie in [-1, 1]."""
        return self.seen(positions, ctx)[SIGNAL]

    def seen(self, positions: Sequence[int], ctx: Context) -> Seen:
        """What stands at some positions, with all that goes with it."""
        indices = self.indices(positions)
        if not self._is_fixed:
            pictures = [
                self.examples.picture(i, at) for i, at in zip(indices, positions, strict=True)
            ]
            return self._given(self._made(torch.stack(pictures), None, ctx))
        if self._painters is not None:
            last = positions[-1]
            self._painters.ask(self._unknown(indices))
            self._painters.ask(
                self._unknown(self.indices(range(last + 1, min(last + _AHEAD, len(self)))))
            )
        return self.known(indices, ctx)

    def pictures(self, indices: Sequence[int], ctx: Context) -> Tensor:
        """Some pictures of the data set, neither cropped nor mirrored by chance: as ``batch`` gives them."""
        return self.known(indices, ctx)[SIGNAL]

    def known(self, indices: Sequence[int], ctx: Context) -> Seen:
        """Some pictures of the data set, neither cropped nor mirrored by chance, with all that goes with them."""
        unknown = self._unknown(indices)
        made: dict[str, Tensor] = {}
        if unknown:
            made = self._made(*self._painted(unknown), ctx)
            self._keep(unknown, made)
        if all(index in self._places for index in indices):
            rows = torch.tensor([self._places[index] for index in indices], device=self._device)
            return self._given({name: table[rows] for name, table in self._tables.items()})
        # more than are kept
        fresh = {index: row for row, index in enumerate(unknown)}
        return self._given(
            {
                name: torch.stack(
                    [
                        values[fresh[index]]
                        if index in fresh
                        else self._tables[name][self._places[index]]
                        for index in indices
                    ]
                )
                for name, values in made.items()
            }
        )

    def labels(self, indices: Sequence[int]) -> Tensor:
        """The class labels of some pictures, int64 [B] on the device."""
        if self._labels is None:
            self._labels = torch.full((len(self),), -1)
        wanted = torch.tensor(indices)
        unknown: list[int] = wanted[self._labels[wanted] < 0].tolist()
        for index in unknown:
            self._labels[index] = self.examples.label(index)
        return self._labels[wanted].to(self._device)

    def _unknown(self, indices: Sequence[int]) -> list[int]:
        return [index for index in dict.fromkeys(indices) if index not in self._places]

    def _shrunk(self, pictures: Tensor) -> Tensor:
        if self._shrink == 1:
            return pictures
        small = torch.nn.functional.avg_pool2d(pictures, self._shrink)
        # of 8 bits, as every picture is
        return ((small + 1) * 127.5).round() / 127.5 - 1

    def _painted(self, indices: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Pictures, float32 [B, 3, H, W] in [-1, 1], and their scribbles, uint8 [B, 1, H, W]."""
        if self._painters is None:
            pictures = torch.stack([self.examples.picture(index) for index in indices])
            if not self._is_scribbled:
                return pictures, None
            return pictures, torch.stack([self.examples.scribble(i)[None] for i in indices])
        taken = torch.from_numpy(np.stack(self._painters.take(indices)))
        taken = taken.to(self._device).permute(0, 3, 1, 2)
        return taken[:, :3].float() / 127.5 - 1, taken[:, 3:] if self._is_scribbled else None

    def _made(self, pictures: Tensor, scribbles: Tensor | None, ctx: Context) -> dict[str, Tensor]:
        """All that is given of some pictures, as it is kept: pixels came from 8 bits and go back without loss."""
        pictures = self._shrunk(pictures)
        made = {}
        if self._has_pixels:
            made[PIXELS] = ((pictures.to(self._device) + 1) * 127.5).round().to(torch.uint8)
        if self._vae is not None:
            made[SIGNAL] = encoded(self._vae, pictures, self._device, ctx)
        if scribbles is not None:
            made[HINT] = scribbles.to(self._device)
        elif self._hints:
            smooth, threshold, thickness = _LINES[self._hints]
            lines = edges(pictures.to(self._device) / 2 + 0.5, smooth, threshold, thickness)
            made[HINT] = (lines * 255).to(torch.uint8)
        return made

    def _keep(self, indices: Sequence[int], made: Seen) -> None:
        if not self._tables:
            row_bytes = sum(rows[0].numel() * rows.dtype.itemsize for rows in made.values())
            count = min(len(self), _TABLE_BYTES.get(self._device.type, 0) // row_bytes)
            self._tables = {
                name: torch.empty((count, *rows.shape[1:]), dtype=rows.dtype, device=self._device)
                for name, rows in made.items()
            }
        first = len(self._places)
        count = min(len(indices), *(len(table) - first for table in self._tables.values()))
        for name, rows in made.items():
            self._tables[name][first : first + count] = rows[:count]
        self._places.update(zip(indices[:count], range(first, first + count), strict=True))
        if self._painters is not None and len(self._places) == len(self):
            self._painters.close()
            self._painters = None

    def _given(self, kept: Seen) -> Seen:
        if SIGNAL in kept:
            return kept
        return {**kept, SIGNAL: kept[PIXELS].float() / 127.5 - 1}


def encoded(
    described: Vae | None,
    pictures: Tensor,
    device: torch.device,
    ctx: Context,
    holes: Tensor | None = None,
) -> Tensor:
    """Pictures, float32 [B, 3, H, W] in [-1, 1], as a VAE's latents, float32 [B, C, h, w]; without one as they are.

    ``holes``, float32 [B, 1, H, W], are grey first where they are 0.5 or more. On a CPU each is encoded alone: in a
    batch its last bits would depend on its neighbours.
    """
    if described is None:
        return (pictures if holes is None else pictures * (holes < 0.5)).to(device)
    size = 1 if device.type == "cpu" else _ENCODED
    parts = []
    with ctx.pool.use(described.ref) as module:
        network = cast("AutoencoderKL", module)
        for first in range(0, len(pictures), size):
            ctx.check()
            part = pictures[first : first + size] / 2 + 0.5
            hole = None if holes is None else holes[first : first + size]
            parts.append(vae.encode(network, part, hole=hole))
    return torch.cat(parts).to(device)


def decoded(described: Vae | None, signal: Tensor, ctx: Context) -> Tensor:
    """Pixels in [-1, 1] or latents, float32 [B, C, h, w], as pictures: uint8 [B, 3, H, W] on the CPU."""
    if described is None:
        pixels = signal.cpu() / 2 + 0.5
    else:
        with ctx.pool.use(described.ref) as module:
            network = cast("AutoencoderKL", module)
            pixels = torch.cat([vae.decode(network, one[None]) for one in signal])
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
