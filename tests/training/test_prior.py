"""Prior preservation: what is not to be forgotten is learned as well, in every step (Ruiz et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from studio.errors import StudioError
from studio.events import Failed, Measured
from studio.graph import Graph, Node, NodeId
from studio.store import Store
from studio.values import LORA
from tests.training.pictures import fill
from tests.training.test_lora_training import graph as lora_graph
from tests.training.tiny import Studio, graph, same


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def with_prior(made: Graph, **params: object) -> Graph:
    """The training with other scenes that are not to be forgotten."""
    given = {"size": 16, "count": 9, "style": "watercolor", "seed": 4, **params}
    made = made.add(Node(NodeId("others"), "scene_painter", params=given))  # type: ignore[arg-type]  # JSON
    return made.connect("others", "dataset", "train", "prior")


def losses(studio: Studio, made: Graph) -> list[float]:
    """The losses of a training."""
    studio.run(made)
    return [event.values["loss"] for event in studio.events if isinstance(event, Measured)]


def test_the_loss_is_that_of_the_pictures_and_by_weight_that_of_the_prior(studio: Studio) -> None:
    # at rate 0 the weights stay, so that all see the same network
    still = {"steps": 2, "learning_rate": 0.0}
    alone = losses(studio, graph(**still))
    once, thrice = (
        losses(studio, with_prior(graph(**still, prior_weight=weight))) for weight in (1.0, 3.0)
    )
    for own, one, three in zip(alone, once, thrice, strict=True):
        assert one > own
        assert three == pytest.approx(own + 3 * (one - own), rel=1e-5)


def test_what_the_prior_shows_is_remembered(studio: Studio) -> None:
    def error(made: Graph) -> float:
        """The error on pictures like the prior's, after a training."""
        made = made.set("data", style="flat", time="night")
        given = {"size": 16, "count": 8, "style": "watercolor", "time": "day", "seed": 8}
        made = made.add(Node(NodeId("unseen"), "scene_painter", params=given))  # type: ignore[arg-type]  # JSON
        studio.run(made.connect("unseen", "dataset", "train", "validation"))
        measured = [event.values for event in studio.events if isinstance(event, Measured)]
        return measured[-1]["validation"]

    taught = {"steps": 60, "learning_rate": 0.01, "checkpoint_every": 60, "ema": 0.0}
    assert error(with_prior(graph(**taught), time="day")) < 0.9 * error(graph(**taught))


def test_a_prior_without_weight_changes_nothing(studio: Studio) -> None:
    studio.run(graph())
    done = studio.run(with_prior(graph(prior_weight=0.0)))
    assert done.nodes["train"].status == "cached"


def test_stopped_and_taken_up_it_ends_with_the_very_same_weights(studio: Studio) -> None:
    made = with_prior(graph(steps=6))
    studio.stop_after(made, 4)
    done = studio.run(made)
    assert done.nodes["train"].from_step == 4
    with Store(None) as store:
        whole = Studio(store)
        # two passes a step
        assert whole.run(made).model_calls == 12
        assert same(studio.trained(made), whole.trained(made))


def test_a_lora_takes_a_prior_as_well(studio: Studio) -> None:
    plain = lora_graph(steps=2)
    studio.run(plain)
    made = with_prior(plain, size=64, count=2)
    assert studio.run(made).status == "ok"
    one, other = (studio.trained(each).weights[LORA] for each in (plain, made))
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert studio.trained(made).card["recipe"]["prior pictures"] == 2  # type: ignore[index,call-overload]  # JSON


def test_a_prior_of_another_size_is_refused(studio: Studio) -> None:
    with pytest.raises(StudioError, match="pictures of 24 px, and the data set of 16 px") as caught:
        studio.run(with_prior(graph(), size=24))
    assert caught.value.where == "train.prior"


def test_a_broken_picture_of_the_prior_is_told_of_before_the_first_step(
    studio: Studio, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "prior")
    made = graph().add(
        Node(NodeId("others"), "picture_folder", params={"folder": str(folder), "size": 16})
    )
    made = made.connect("others", "dataset", "train", "prior")
    (folder / "a1.png").write_bytes((folder / "a1.png").read_bytes()[:60])
    assert studio.run(made).status == "failed"
    (failed,) = (event for event in studio.events if isinstance(event, Failed))
    assert failed.where == "train.prior"
    assert "a1.png cannot be decoded" in failed.what
