"""The film of a denoising: its frames are the states of the denoising, and it resumes as one."""

from __future__ import annotations

import pytest
import torch

from studio.graph import Graph, Node, NodeId
from studio.store import Store
from studio.values import Latents
from tests.training.test_training import painted
from tests.training.tiny import Studio, graph


def filmed(**params: object) -> Graph:
    """Two pictures of a trained network, painted in three steps and filmed."""
    made = painted(graph(steps=2))
    made = made.add(Node(NodeId("film"), "denoising_film", params={"guidance": 1.0, **params}))  # type: ignore[dict-item]  # JSON
    for source, port in (
        ("train.model", "model"),
        ("noise.latents", "noise"),
        ("schedule.schedule", "schedule"),
    ):
        node, _, output = source.partition(".")
        made = made.connect(node, output, "film", port)
    return made


def frames(made: Graph) -> torch.Tensor:
    """The frames, float32 [F, 3, 16, 32]."""
    with Store(None) as store:
        studio = Studio(store)
        assert studio.run(made, "film").status == "ok"
        value = studio.stored(made, "film", "latents")
        assert isinstance(value, Latents)
        return value.samples


def test_a_film_begins_with_noise_and_ends_with_what_denoising_gives() -> None:
    made = filmed()
    found = frames(made)
    assert found.shape == (4, 3, 16, 32)
    assert float(found[0].std()) == pytest.approx(1, abs=0.05)
    with Store(None) as store:
        studio = Studio(store)
        studio.run(made, "denoise")
        value = studio.stored(made, "denoise", "latents")
        assert isinstance(value, Latents)
    assert torch.equal(found[-1], torch.cat(list(value.samples), dim=2))


def test_frames_may_be_fewer_and_show_what_is_predicted() -> None:
    assert frames(filmed(every=2)).shape[0] == 3
    predicted, noisy = frames(filmed(shows="predicted")), frames(filmed())
    assert torch.equal(predicted[0], noisy[0])
    assert not torch.equal(predicted[1], noisy[1])
    assert torch.allclose(predicted[-1], noisy[-1], atol=1e-5)
