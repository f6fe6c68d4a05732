"""What a training has measured, as its stored states tell it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.engine import Cancel
from studio.events import Event, Step
from studio.events import Measured as Told
from studio.graph import Graph, Node, NodeId
from studio.plan import KeyedChain, key_graph
from studio.store import Store
from studio.training.record import Measured, recorded
from tests.training.tiny import TYPES, Studio, context, graph


def validated(**train: object) -> Graph:
    """A training that is validated on six pictures that it does not learn."""
    unseen = Node(NodeId("unseen"), "scene_painter", params={"size": 16, "count": 6, "seed": 9})
    return graph(**train).add(unseen).connect("unseen", "dataset", "train", "validation")


def chain_of(made: Graph) -> KeyedChain:
    items = key_graph(made, TYPES, ["train"], context())
    return next(item for item in items if item.id == "train").chains[-1]


def pairs(one: Measured) -> dict[int, float]:
    return dict(zip(one.steps, one.values, strict=True))


def told(events: list[Event], name: str, up_to: int = 99) -> dict[int, float]:
    return {
        event.step: event.values[name]
        for event in events
        if isinstance(event, Told) and name in event.values and event.step <= up_to
    }


def test_it_is_what_was_told_while_it_ran(tmp_path: Path) -> None:
    made = validated(steps=9, validate_every=3, clip=1.0)
    with Store(tmp_path) as store:
        studio = Studio(store)
        studio.run(made)
    found = recorded(chain_of(made), Store(tmp_path))
    names = {"loss", "rate", "gradient", "validation", *(f"validation_{n}" for n in (1, 2, 3, 4))}
    assert found.keys() == names
    for name in names:
        assert pairs(found[name]) == pytest.approx(told(studio.events, name), rel=1e-5)
    assert list(found["validation"].steps) == [3, 6, 9]


def test_of_a_training_that_was_cancelled_in_mid_block_it_is_what_was_done() -> None:
    made, cancel, events = graph(steps=8, clip=0.0), Cancel(), list[Event]()

    def stop(event: Event) -> None:
        events.append(event)
        if isinstance(event, Step) and event.step == 5:
            cancel.set()

    with Store(None) as store:
        assert recorded(chain_of(made), store) == {}
        Studio(store).run(made, cancel=cancel, listen=stop)
        found = recorded(chain_of(made), store)
    assert pairs(found["loss"]) == pytest.approx(told(events, "loss"), rel=1e-5)
    assert list(found["loss"].steps) == [1, 2, 3, 4, 5]
    assert "gradient" not in found  # that is not measured unless it is clipped


def test_a_training_that_goes_on_knows_its_gradients_from_the_first_step() -> None:
    made = graph(steps=6, clip=1.0)
    with Store(None) as store:
        studio = Studio(store)
        cancel = Cancel()

        def stop(event: Event) -> None:
            if isinstance(event, Step) and event.step == 4:
                cancel.set()

        studio.run(made, cancel=cancel, listen=stop)
        studio.run(made)
        found = recorded(chain_of(made), store)
    assert list(found["gradient"].steps) == [1, 2, 3, 4, 5, 6]
    assert told(studio.events, "gradient").keys() == {5, 6}


def test_of_many_numbers_the_extremes_stay() -> None:
    made = graph(steps=8)
    with Store(None) as store:
        studio = Studio(store)
        studio.run(made)
        whole = pairs(recorded(chain_of(made), store)["loss"])
        few = pairs(recorded(chain_of(made), store, most=4)["loss"])
    # shares of four steps
    assert len(few) == 4
    assert few.items() <= whole.items()
    for share in ((1, 2, 3, 4), (5, 6, 7, 8)):
        values = [whole[step] for step in share]
        assert {few[step] for step in share if step in few} == {min(values), max(values)}
