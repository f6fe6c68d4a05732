"""Keys: presets, keys that the user gave, and the sheet that shows and changes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QTreeWidgetItem

from studio.gui.keys.actions import Action
from studio.gui.keys.key_sheet import KeySheet
from studio.gui.keys.keymap import PRESETS, Keymap, Preset, portable, preset
from studio.gui.shell.settings import Preferences, SettingsDialog
from studio.gui.shell.window import Window
from tests.gui import hands
from tests.gui.desk import Desk, front

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
K = Qt.Key
HELD = ("Space", "Y", "Esc", "Left", "Right", "Up", "Down")
"""Keys that the canvas takes for gestures."""


def actions(window: Window) -> dict[str, Action]:
    """All that can be reached while the canvas in front has the keyboard."""
    assert window.panels is not None
    tables = (window.actions_, window.panels.actions_, front(window).canvas.table)
    return {name: action for table in tables for name, action in table.table.items()}


def resolved(window: Window, keymap: Keymap) -> Mapping[str, tuple[str, ...]]:
    return {name: keymap.keys(name, one.keys) for name, one in actions(window).items()}


def shown(window: Window, action: str) -> list[str]:
    """The keys that a QAction has in fact."""
    assert window.panels is not None
    for table in (window.actions_, window.panels.actions_, front(window).canvas.table):
        if action in table.made:
            return [key.toString() for key in table[action].shortcuts()]
    raise KeyError(action)


# --- presets


@pytest.mark.parametrize("name", get_args(Preset))
def test_in_every_preset_a_key_means_one_thing(name: Preset, desk: Desk) -> None:
    window, _ = desk.opened()
    keys = [key for found in resolved(window, Keymap(name)).values() for key in found]
    assert sorted(keys) == sorted(set(keys))
    assert not {*portable(HELD)} & {*keys}


@pytest.mark.parametrize("name", get_args(Preset))
def test_in_every_preset_what_has_a_key_keeps_one(name: Preset, desk: Desk) -> None:
    window, _ = desk.opened()
    table = actions(window)
    found = resolved(window, Keymap(name))
    assert [one for one in table if table[one].keys and not found[one]] == []


@pytest.mark.parametrize("name", get_args(Preset))
def test_presets_name_actions_that_are_there_and_keys_that_are_keys(
    name: Preset, desk: Desk
) -> None:
    window, _ = desk.opened()
    for action, keys in PRESETS[name].items():
        assert action in actions(window)
        assert len(portable(keys)) == len(keys)
        assert not any(QKeySequence(key).isEmpty() for key in keys)


def test_a_preset_that_is_not_known_is_ours() -> None:
    assert preset("nuke") == "nuke"
    assert preset("vi") == "emulsion"


def test_keys_of_another_program_hold_at_once_in_all_windows(desk: Desk) -> None:
    window, page = desk.opened()
    window.window_asked.emit()
    second = desk.program.windows[1]
    second.documents.new()
    desk.program.set_options(replace(desk.preferences.options(), preset="comfyui"))
    assert shown(window, "canvas.mute") == ["Ctrl+M"]
    assert shown(second, "canvas.mute") == ["Ctrl+M"]
    window.activateWindow()
    page.canvas.select(["denoise"])
    hands.key(page.canvas, K.Key_M)
    assert page.document.workflow.graph.node("denoise").mode == "normal"
    hands.key(page.canvas, K.Key_M, CTRL)
    assert page.document.workflow.graph.node("denoise").mode == "mute"
    assert "Ctrl+M" in page.canvas.table["canvas.mute"].toolTip()


def test_a_preset_is_chosen_in_the_settings_and_holds_for_new_documents(desk: Desk) -> None:
    window, _ = desk.opened()
    window.show_settings()
    dialog = window.findChild(SettingsDialog)
    assert dialog is not None
    for _ in range(2):
        hands.key(dialog.keys, K.Key_Down)
    assert dialog.keys.currentText() == "Blender"
    hands.key(dialog, K.Key_Return)
    assert desk.preferences.options().preset == "blender"
    window.documents.new()
    assert shown(window, "canvas.duplicate") == ["Shift+D"]


# --- keys of the user's


def test_a_change_takes_the_key_from_whoever_had_it() -> None:
    keymap = Keymap("emulsion", {"canvas.mute": ("Ctrl+D",)})
    assert keymap.keys("canvas.mute", ("M",)) == ("Ctrl+D",)
    assert keymap.keys("canvas.duplicate", ("Ctrl+D",)) == ()
    assert keymap.keys("canvas.bypass", ("B",)) == ("B",)


def test_changes_are_kept(desk: Desk) -> None:
    changes = {"canvas.mute": ("Ctrl+,", "Ctrl+;"), "canvas.pin": (), "help.keys": ('"', "\\")}
    desk.preferences.set_changed_keys(changes)
    again = Preferences(desk.folder / "editor.ini")
    assert again.keymap() == Keymap("emulsion", changes)
    again.set_changed_keys({})
    assert again.keymap().changes == {}


# --- the sheet


def sheet_of(window: Window) -> KeySheet:
    hands.key(front(window).canvas, K.Key_Question)
    found = window.findChild(KeySheet)
    assert found is not None
    return found


def row(sheet: KeySheet, text: str) -> QTreeWidgetItem:
    return next(item for item in sheet._rows() if item.text(0) == text)


def press_key_of(sheet: KeySheet, text: str) -> None:
    """Click on the key of a row."""
    sheet.tree.scrollToItem(row(sheet, text))
    area = sheet.tree.visualItemRect(row(sheet, text))
    at = QPointF(sheet.tree.columnViewportPosition(1) + 20, area.center().y())
    hands.click(sheet.tree.viewport(), at)


def test_the_sheet_finds_by_words_and_by_keys(desk: Desk) -> None:
    window, _ = desk.opened()
    sheet = sheet_of(window)
    QTest.keyClicks(sheet.filter, "frame all")
    assert sheet.text() == "Frame all\tA, Home"
    sheet.filter.selectAll()
    QTest.keyClicks(sheet.filter, "ctrl+g")
    assert "Group\tCtrl+G" in sheet.text()
    assert "Frame all" not in sheet.text()


def test_a_click_and_a_key_give_an_action_another_key(desk: Desk) -> None:
    window, page = desk.opened()
    sheet = sheet_of(window)
    press_key_of(sheet, "Mute")
    assert row(sheet, "Mute").text(1) == "press a key…"
    hands.key(sheet.tree, K.Key_F8)
    assert row(sheet, "Mute").text(1) == "F8"
    sheet.close()
    assert desk.preferences.keymap().changes == {"canvas.mute": ("F8",)}
    page.canvas.select(["denoise"])
    hands.key(page.canvas, K.Key_F8)
    assert page.document.workflow.graph.node("denoise").mode == "mute"


def test_escape_keeps_the_old_key_and_the_sheet_open(desk: Desk) -> None:
    window, _ = desk.opened()
    sheet = sheet_of(window)
    press_key_of(sheet, "Mute")
    hands.key(sheet.tree, K.Key_Escape)
    assert row(sheet, "Mute").text(1) == "M"
    assert sheet.isVisible()
    assert desk.preferences.keymap().changes == {}


def test_a_key_that_belongs_to_another_is_told_and_can_be_taken(desk: Desk) -> None:
    window, _ = desk.opened()
    sheet = sheet_of(window)
    press_key_of(sheet, "Mute")
    hands.key(sheet.tree, K.Key_D, CTRL)
    assert "Duplicate" in sheet.told.text()
    assert row(sheet, "Mute").text(1) == "M"
    assert shown(window, "canvas.duplicate") == ["Ctrl+D"]
    hands.click(sheet.take)
    assert shown(window, "canvas.mute") == ["Ctrl+D"]
    assert shown(window, "canvas.duplicate") == []
    assert not sheet.take.isVisible()


def test_reset_gives_a_key_back_and_takes_it_from_whoever_has_it(desk: Desk) -> None:
    window, _ = desk.opened()
    sheet = sheet_of(window)
    press_key_of(sheet, "Mute")
    hands.key(sheet.tree, K.Key_D, CTRL)
    hands.click(sheet.take)
    sheet.tree.setCurrentItem(row(sheet, "Duplicate"))
    hands.click(sheet.reset)
    assert shown(window, "canvas.duplicate") == ["Ctrl+D"]
    assert shown(window, "canvas.mute") == []
    hands.click(sheet.reset_all)
    assert shown(window, "canvas.mute") == ["M"]
    assert desk.preferences.keymap().changes == {}


def test_an_action_can_have_no_key(desk: Desk) -> None:
    window, _ = desk.opened()
    sheet = sheet_of(window)
    sheet.tree.setCurrentItem(row(sheet, "Mute"))
    hands.click(sheet.clear)
    assert shown(window, "canvas.mute") == []
    assert row(sheet, "Mute").text(1) == ""


def test_the_sheet_is_used_by_keyboard(desk: Desk) -> None:
    window, _ = desk.opened()
    sheet = sheet_of(window)
    QTest.keyClicks(sheet.filter, "bypass")
    hands.key(sheet.filter, K.Key_Down)
    hands.key(sheet.tree, K.Key_Return)
    hands.key(sheet.tree, K.Key_B, CTRL | SHIFT)
    assert shown(window, "canvas.bypass") == ["Ctrl+Shift+B"]


def test_keys_of_panels_stay(desk: Desk) -> None:
    window, _ = desk.opened()
    sheet = sheet_of(window)
    press_key_of(sheet, "Keep the picture as B")
    assert row(sheet, "Keep the picture as B").text(1) == "K"
    assert not sheet.other.isEnabled()
    assert "stays" in sheet.told.text()
