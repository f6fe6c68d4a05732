"""Captions as a model's own text encoder reads them."""

from __future__ import annotations

from pathlib import Path

import torch

from studio.diffusion import text
from studio.store import Store
from studio.training.reading import FixedReader
from tests.training.tasks import Quiet
from tests.training.tiny import Studio

CAPTIONS = ["a red house on green hills, at night", "", "a boat", "a red house " * 40, ""]


def test_captions_read_in_one_batch_are_those_that_are_read_as_prompts(tmp_path: Path) -> None:
    with Store(None) as store:
        studio = Studio(store, tmp_path)
        ctx = Quiet(studio)
        encoder = ctx.pool.library.describe("starter").text_encoder
        assert encoder is not None
        reader = FixedReader(encoder, torch.device("cpu"))
        together = reader.together(CAPTIONS, ctx).hidden
        alone = [text.encode(ctx.pool, encoder, caption).hidden for caption in CAPTIONS]
    length = together.shape[1]
    # what is longer than one window is cut
    wanted = torch.cat([states[:, :length] for states in alone])
    assert torch.allclose(together, wanted, atol=1e-5)
    assert torch.equal(together[1], together[4])
    assert not torch.allclose(together[0], together[2], atol=0.1)


def test_what_is_read_may_enter_a_graph_of_gradients(tmp_path: Path) -> None:
    with Store(None) as store:
        ctx = Quiet(Studio(store, tmp_path))
        encoder = ctx.pool.library.describe("starter").text_encoder
        assert encoder is not None
        hidden = FixedReader(encoder, torch.device("cpu")).together(["a boat"], ctx).hidden
    weight = torch.ones(hidden.shape[-1], requires_grad=True)
    torch.autograd.backward((hidden * weight).sum())
    assert weight.grad is not None
    assert bool(weight.grad.any())
