"""Where panels are, and the history of edits that pops up."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.gui import edits
from studio.gui.shell.docks import Docks
from studio.gui.shell.steps import Steps
from studio.gui.shell.window import Window
from tests.gui import hands
from tests.gui.desk import Desk, front

CTRL = Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier
K = Qt.Key
# what the off-screen platform says of what pops up
pops_up = pytest.mark.qt_log_ignore("This plugin does not support")


def docks_of(window: Window) -> Docks:
    assert window.panels is not None
    return window.panels.docks


def test_panels_grow_with_a_window_until_somebody_resizes_them(desk: Desk, qtbot: QtBot) -> None:
    window, _ = desk.opened()
    docks = docks_of(window)
    qtbot.waitUntil(lambda: docks["inspector"].width() == 340)
    window.resize(1920, 1080)
    qtbot.waitUntil(lambda: docks["inspector"].width() == 442)
    assert docks["plan"].height() > 200
    window.resizeDocks([docks["viewer"]], [600], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: docks["viewer"].width() == 600)
    window.resize(1700, 1080)
    qtbot.wait(50)
    assert docks["viewer"].width() == 600


@pops_up
def test_the_layout_can_be_reset(desk: Desk, qtbot: QtBot) -> None:
    window, _ = desk.opened()
    docks = docks_of(window)
    docks["viewer"].setFloating(True)
    docks["plan"].hide()
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks["inspector"])
    assert window.panels is not None
    window.panels.actions_["view.reset_panels"].trigger()
    assert not docks["viewer"].isFloating()
    assert window.dockWidgetArea(docks["inspector"]) == Qt.DockWidgetArea.RightDockWidgetArea
    assert docks["plan"].isVisible()
    assert docks["queue"] in window.tabifiedDockWidgets(docks["plan"])
    qtbot.waitUntil(lambda: docks["inspector"].width() == 340)


@pytest.fixture
def edited(desk: Desk) -> Window:
    """Three edits, the last one undone."""
    window, page = desk.opened()
    document = page.document
    for seed in (1, 2, 3):
        after = edits.set_param(document.workflow, "noise", "seed", seed)
        document.edit(after, f"Seed {seed}")
    document.undo()
    return window


def steps_of(window: Window) -> Steps:
    hands.key(front(window).canvas, K.Key_Z, CTRL | ALT)
    found = window.findChild(Steps)
    assert found is not None
    return found


@pops_up
def test_the_history_of_edits_names_every_step_and_marks_the_present_one(edited: Window) -> None:
    steps = steps_of(edited)
    rows = [steps.list.item(row) for row in range(steps.list.count())]
    assert [row.text() for row in rows] == ["Seed 3", "Seed 2", "Seed 1", "The beginning"]
    assert [row.font().bold() for row in rows] == [False, True, False, False]
    assert steps.list.currentItem() is rows[1]
    steps.close()


@pops_up
def test_a_step_is_gone_to_by_key(edited: Window) -> None:
    steps = steps_of(edited)
    hands.key(steps.list, K.Key_Down)
    hands.key(steps.list, K.Key_Down)
    hands.key(steps.list, K.Key_Return)
    document = front(edited).document
    assert (document.position, document.is_modified) == (0, False)
    assert not steps.isVisible()


@pops_up
def test_a_step_is_gone_to_by_click_also_forward(edited: Window) -> None:
    steps = steps_of(edited)
    area = steps.list.visualItemRect(steps.list.item(0))
    hands.click(steps.list.viewport(), QPointF(area.center()))
    assert front(edited).document.position == 3
    assert edited.said.text() == "Redo Seed 3"


@pops_up
def test_escape_closes_the_history_of_edits(edited: Window) -> None:
    steps = steps_of(edited)
    hands.key(steps.list, K.Key_Escape)
    assert not steps.isVisible()
    assert QApplication.activePopupWidget() is None
    assert front(edited).document.position == 2
