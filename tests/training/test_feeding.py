"""What a training is fed with: the same pictures whoever paints them and however many are kept."""

from __future__ import annotations

import pytest
import torch

from studio.models.pool import Pool
from studio.training import feeding
from studio.training.data import Examples
from studio.training.feeding import Feed
from studio.training.painting import Painters, paint
from studio.values import Dataset, Scenes

SOURCE = Scenes(seed=3, count=12)
DATASET = Dataset(SOURCE, 16, (), has_captions=True)
CPU = torch.device("cpu")


class Nobody:
    """A context of a node that nobody stops and that uses no model."""

    pool: Pool
    scratch: dict[str, object]

    def check(self) -> None: ...
    def progress(self, done: int, total: int) -> None: ...
    def measure(self, values: object) -> None: ...


def alone(positions: range) -> torch.Tensor:
    """The pictures at some positions of the stream, read one by one."""
    examples = Examples(DATASET, seed=7)
    return torch.stack(
        [examples.picture(examples.at(position), position) for position in positions]
    )


@pytest.mark.parametrize("kept_bytes", [0, 5 * 16 * 16 * 3, 1 << 20])
def test_a_batch_is_what_stands_in_the_stream_however_much_is_kept(
    kept_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(feeding._TABLE_BYTES, "cpu", kept_bytes)
    feed = Feed(DATASET, 7, CPU, None)
    for first in (0, 5, 10, 15, 20):
        positions = range(first, first + 5)
        torch.testing.assert_close(
            feed.batch(positions, Nobody()), alone(positions), rtol=0, atol=1e-6
        )


def test_painters_in_other_processes_paint_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(DATASET, 7, CPU, None)
    painters = Painters(SOURCE, 16)
    try:
        feed._painters = painters
        for first in (0, 5, 10):
            positions = range(first, first + 5)
            found = feed.batch(positions, Nobody())
            torch.testing.assert_close(found, alone(positions), rtol=0, atol=1e-6)
    finally:
        painters.close()


def test_a_picture_that_was_asked_for_is_painted_once() -> None:
    painters = Painters(SOURCE, 16)
    try:
        painters.ask([4, 2, 4])
        painters.ask([2])
        taken = painters.take([2, 4])
    finally:
        painters.close()
    for found, wanted in zip(taken, paint(SOURCE, [2, 4], 16), strict=True):
        assert (found == wanted).all()
