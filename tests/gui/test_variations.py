"""Variations by seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.graph import NodeId, Types
from studio.gui import edits
from studio.gui.running.variations import SeedAt, VariationsDialog, seeds, variations
from studio.registry import load as load_registry
from studio.workflow import Workflow, load
from tests.gui import hands
from tests.gui.desk import TEXT_TO_IMAGE, Desk

WORKFLOW = load(TEXT_TO_IMAGE)


@pytest.fixture(scope="module")
def types() -> Types:
    return load_registry().types


def seed_of(workflow: Workflow, node: str = "noise") -> object:
    return workflow.graph.node(node).params["seed"]


def test_seeds_are_found_and_locked_ones_left_out(types: Types) -> None:
    now = seed_of(WORKFLOW)
    assert SeedAt(None, NodeId("noise"), "seed", int(str(now))) in seeds(WORKFLOW, types)
    names = {
        (one.node, one.param) for one in seeds(WORKFLOW, types, {(None, NodeId("noise"), "seed")})
    }
    assert ("noise", "seed") not in names


def test_seeds_follow_each_other_and_wrap(types: Types) -> None:
    last = edits.set_param(WORKFLOW, "noise", "seed", 2**64 - 2)
    made = variations(last, seeds(last, types), 3, "consecutive")
    assert [seed_of(one) for one in made] == [2**64 - 1, 0, 1]
    assert seed_of(last) == 2**64 - 2


def test_random_seeds_differ(types: Types) -> None:
    made = variations(WORKFLOW, seeds(WORKFLOW, types), 4, "random")
    assert len({seed_of(one) for one in made}) == 4


def test_a_seed_inside_a_group_is_varied_there(types: Types) -> None:
    grouped, _ = edits.group(WORKFLOW, types, ["noise", "scheduler"], "mine")
    (name,) = grouped.groups
    shown = replace(grouped.groups[name], params={})
    grouped = replace(grouped, groups={name: shown})
    found = [one for one in seeds(grouped, types) if one.node == "noise"]
    assert [one.group for one in found] == [name]
    (made,) = variations(grouped, found, 1, "consecutive")
    assert made.groups[name].graph.node("noise").params["seed"] == found[0].value + 1
    assert made.graph == grouped.graph


def test_a_seed_that_is_linked_is_varied_where_it_comes_from(types: Types) -> None:
    w, made = edits.make_input(WORKFLOW, types, "noise", "seed")
    found = [(one.node, one.param) for one in seeds(w, types)]
    assert (made, "value") in found
    assert (NodeId("noise"), "seed") not in found


def test_variations_are_asked_for_and_queued(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    before = page.document.workflow
    hands.key(page.canvas, Qt.Key.Key_R, _CTRL | _SHIFT)
    dialog = window.findChild(VariationsDialog)
    assert dialog is not None
    first = int(str(seed_of(before)))
    assert f"noise.seed: {first + 1} to {first + 4}" in dialog.told.text()
    field = dialog.number
    field.selectAll()
    QTest.keyClicks(field, "3")
    hands.key(dialog, Qt.Key.Key_Return)
    assert window.runner is not None
    queue = window.runner.queue
    assert queue.running is not None
    made = [queue.running, *queue.waiting]
    assert [seed_of(job.workflow) for job in made] == [first + 1, first + 2, first + 3]
    assert page.document.workflow is before
    assert window.said.text() == "3 variations are queued"


def test_locked_seeds_leave_nothing_to_vary(desk: Desk) -> None:
    window, page = desk.opened()
    assert window.panels is not None
    for seed in seeds(page.document.workflow, page.document.types):
        page.canvas.select([seed.node])
        editor = window.panels.inspector.rows[seed.param].editor
        hands.click(editor.lock)  # type: ignore[attr-defined]  # a seed's editor has one
    hands.key(page.canvas, Qt.Key.Key_R, _CTRL | _SHIFT)
    assert window.findChild(VariationsDialog) is None
    assert "no seed to vary" in window.said.text()


_CTRL = Qt.KeyboardModifier.ControlModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier
