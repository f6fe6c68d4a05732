"""The pictures of a data set on the device, as what a network works on: pixels, or a VAE's latents of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from studio.diffusion import vae
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
    ) -> None:
        """``described``: the VAE whose latents are given; None gives pixels.

        ``shrink``: every square of so many pixels a side becomes their mean.
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
        self._is_fixed = not (
            isinstance(source, PictureFiles) and (source.is_random or source.is_flipped)
        )
        self._table: Tensor | None = None
        self._places: dict[int, int] = {}
        self._labels: Tensor | None = None
        self._painters: Painters | None = None
        if device.type != "cpu" and isinstance(source, Scenes):
            self._painters = Painters(source, dataset.size)

    def __len__(self) -> int:
        return len(self.examples)

    def indices(self, positions: Sequence[int]) -> list[int]:
        """Which pictures stand at some positions."""
        return [self.examples.at(position) for position in positions]

    def batch(self, positions: Sequence[int], ctx: Context) -> Tensor:
        """What stands at some positions: float32 [B, C, h, w] on the device; pixels lie in [-1, 1]."""
        indices = self.indices(positions)
        if not self._is_fixed:
            pictures = [
                self.examples.picture(i, at) for i, at in zip(indices, positions, strict=True)
            ]
            return encoded(self._vae, self._shrunk(torch.stack(pictures)), self._device, ctx)
        if self._painters is not None:
            last = positions[-1]
            self._painters.ask(self._unknown(indices))
            self._painters.ask(
                self._unknown(self.indices(range(last + 1, min(last + _AHEAD, len(self)))))
            )
        return self.pictures(indices, ctx)

    def pictures(self, indices: Sequence[int], ctx: Context) -> Tensor:
        """Some pictures of the data set, neither cropped nor mirrored by chance: as ``batch`` gives them."""
        unknown = self._unknown(indices)
        made: dict[int, Tensor] = {}
        if unknown:
            painted = self._shrunk(self._painted(unknown))
            signal = encoded(self._vae, painted, self._device, ctx)
            made = dict(zip(unknown, signal, strict=True))
            self._keep(unknown, signal)
        if all(index in self._places for index in indices):
            rows = torch.tensor([self._places[index] for index in indices], device=self._device)
            return self._read(rows)
        # more than are kept
        return torch.stack(
            [
                made[index] if index in made else self._read(torch.tensor([self._places[index]]))[0]
                for index in indices
            ]
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

    def _painted(self, indices: Sequence[int]) -> Tensor:
        if self._painters is None:
            return torch.stack([self.examples.picture(index) for index in indices])
        pixels = torch.from_numpy(np.stack(self._painters.take(indices)))
        return pixels.to(self._device).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _keep(self, indices: Sequence[int], signal: Tensor) -> None:
        if self._table is None:
            # pixels came from 8 bits and go back to them without loss
            dtype = torch.uint8 if self._vae is None else torch.float32
            row_bytes = signal[0].numel() * dtype.itemsize
            rows = min(len(self), _TABLE_BYTES.get(self._device.type, 0) // row_bytes)
            self._table = torch.empty((rows, *signal.shape[1:]), dtype=dtype, device=self._device)
        first = len(self._places)
        count = min(len(indices), len(self._table) - first)
        kept = signal[:count]
        if self._table.dtype == torch.uint8:
            kept = ((kept + 1) * 127.5).round()
        self._table[first : first + count] = kept.to(self._table.dtype)
        self._places.update(zip(indices[:count], range(first, first + count), strict=True))
        if self._painters is not None and len(self._places) == len(self):
            self._painters.close()

    def _read(self, rows: Tensor) -> Tensor:
        assert self._table is not None, "nothing has a place before there is a table"
        found = self._table[rows.to(self._table.device)]
        return found.float() / 127.5 - 1 if found.dtype == torch.uint8 else found


def encoded(described: Vae | None, pictures: Tensor, device: torch.device, ctx: Context) -> Tensor:
    """Pictures, float32 [B, 3, H, W] in [-1, 1], as a VAE's latents, float32 [B, C, h, w]; without one as they are.

    On a CPU each is encoded alone: in a batch its last bits would depend on its neighbours.
    """
    if described is None:
        return pictures.to(device)
    size = 1 if device.type == "cpu" else _ENCODED
    parts = []
    with ctx.pool.use(described.ref) as module:
        for part in torch.split(pictures, size):
            ctx.check()
            parts.append(vae.encode(cast("AutoencoderKL", module), part / 2 + 0.5))
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
