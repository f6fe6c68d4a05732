"""Processes that paint scenes ahead of a training that is faster than one painter; no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from studio.training import scenes
from studio.training.scenes import painter
from studio.values import Scenes

Pixels = NDArray[np.uint8]
"""uint8 [H, W, 3], sRGB."""
Scribble = NDArray[np.uint8]
"""uint8 [H, W], white on black."""

_PIECE = 32
"""So many pictures a process paints at a time."""


def scene_of(source: Scenes, index: int) -> scenes.Scene:
    """What a picture of a painted data set shows."""
    return scenes.scene(source.seed, index, source.given, held_out=source.is_held_out)


def paint(source: Scenes, indices: Sequence[int], size: int) -> list[Pixels]:
    """Paint some scenes of a data set: uint8 [size, size, 3] each."""
    return [painter.paint(scene_of(source, i), source.seed, i, size) for i in indices]


def scribble(source: Scenes, indices: Sequence[int], size: int) -> list[Scribble]:
    """Scribble some scenes of a data set: uint8 [size, size] each."""
    return [painter.scribble(scene_of(source, i), source.seed, i, size) for i in indices]


def _drawn(source: Scenes, indices: Sequence[int], size: int, is_scribbled: bool) -> list[Pixels]:
    pictures = paint(source, indices, size)
    if not is_scribbled:
        return pictures
    drawings = scribble(source, indices, size)
    return [np.dstack(both) for both in zip(pictures, drawings, strict=True)]


class Painters:
    """A process for every processor; they live until ``close``."""

    def __init__(self, source: Scenes, size: int, *, is_scribbled: bool = False) -> None:
        """``is_scribbled``: each picture comes with its scribble, as a fourth channel."""
        self._source = source
        self._size = size
        self._is_scribbled = is_scribbled
        self._asked: dict[int, tuple[Future[list[Pixels]], int]] = {}
        # not forked: threads of this process may hold locks
        self._pool = ProcessPoolExecutor(os.cpu_count(), get_context("spawn"))

    def ask(self, indices: Sequence[int]) -> None:
        """Have some pictures painted, unless that was asked before."""
        fresh = [index for index in dict.fromkeys(indices) if index not in self._asked]
        for first in range(0, len(fresh), _PIECE):
            piece = fresh[first : first + _PIECE]
            future = self._pool.submit(_drawn, self._source, piece, self._size, self._is_scribbled)
            self._asked |= {index: (future, place) for place, index in enumerate(piece)}

    def take(self, indices: Sequence[int]) -> list[Pixels]:
        """Painted pictures, uint8 [H, W, 3 or 4]; waits for those that are not ready."""
        self.ask(indices)
        taken = []
        for index in indices:
            future, place = self._asked.pop(index)
            taken.append(future.result()[place])
        return taken

    def close(self) -> None:
        """Let the processes go."""
        self._pool.shutdown(wait=False, cancel_futures=True)
