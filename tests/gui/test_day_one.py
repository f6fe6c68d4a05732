"""What an artist does on the first day, in the whole window."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from studio.errors import ModelError
from studio.graph import NodeId
from studio.gui import edits
from studio.gui.page import Page
from studio.gui.panels import Panels
from studio.gui.window import Window
from tests.gui import hands
from tests.gui.desk import Desk, front
from tests.gui.test_canvas import Hand
from tests.gui.test_window import drop, picture

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier
K = Qt.Key


class Artist(Hand):
    """A hand on the canvas of a window; keys go to whatever has the focus."""

    def __init__(self, window: Window) -> None:
        super().__init__(front(window).canvas)
        self.window = window
        self.page: Page = front(window)
        self.document = self.page.document

    @property
    def panels(self) -> Panels:
        assert self.window.panels is not None
        return self.window.panels

    @property
    def path(self) -> list[str]:
        """The groups that were entered."""
        return [str(name) for name in self.canvas.group_path]

    @property
    def selection(self) -> list[str]:
        return [str(name) for name in self.canvas.content.selection]

    def key(self, pressed: Qt.Key, modifiers: Qt.KeyboardModifier = hands.NONE) -> None:
        hands.key(focused(), pressed, modifiers)

    def look_at(self, *names: str, zoom: float = 0.8) -> None:
        self.canvas.set_zoom(zoom)
        rect = self.canvas.content.rect_of([NodeId(name) for name in names])
        self.canvas.look_at(rect.center())

    def field(self, param: str) -> QWidget:
        """The inspector's field for a parameter, with the focus."""
        field = self.panels.inspector.rows[param].editor.focusProxy()
        assert field is not None
        field.setFocus()
        return field

    def pick(self, query: str) -> None:
        """Type into the palette and take the first."""
        self.type(query)
        self.key(K.Key_Return)

    def box(self, kind: str, index: int = 0) -> QPointF:
        """The handle of a frame or note."""
        return self.view(
            self.canvas.content.boxes[kind, index].scene_rect.topLeft() + QPointF(9, 12)
        )


def focused() -> QWidget:
    widget = QApplication.focusWidget()
    assert widget is not None
    return widget


@pytest.fixture
def artist(desk: Desk) -> Artist:
    """At the text-to-image template."""
    window, _ = desk.opened()
    return Artist(window)


@pytest.fixture
def beginner(desk: Desk) -> Artist:
    """Before an empty canvas."""
    window = desk.window()
    window.documents.new()
    return Artist(window)


# --- what is being typed counts


def test_a_prompt_typed_on_its_node_is_in_the_run_that_ctrl_enter_starts(
    artist: Artist, desk: Desk
) -> None:
    artist.look_at("prompt")
    hands.double_click(artist.port, artist.row("prompt", "prompt"))
    artist.type("a boat")
    artist.key(K.Key_Return, CTRL)
    assert '"prompt": "a boat"' in desk.worker.asked[-1][1]
    assert focused() is artist.canvas


def test_a_number_typed_in_the_inspector_is_in_the_run_and_in_the_file(
    artist: Artist, desk: Desk, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    artist.document.save(path)
    artist.click(artist.title("denoise"))
    field = artist.field("guidance")
    artist.type("9")
    artist.key(K.Key_Return, CTRL)
    assert '"guidance": 9.0' in desk.worker.asked[-1][1]
    assert focused() is field
    artist.type("4")
    artist.key(K.Key_S, CTRL)
    assert '"guidance": 4.0' in path.read_text(encoding="utf-8")


# --- where the keyboard is


def test_escape_gives_up_the_gesture_then_leaves_the_group_then_the_selection(
    artist: Artist,
) -> None:
    artist.select("noise", "scheduler")
    artist.key(K.Key_G, CTRL)
    artist.key(K.Key_I)
    artist.click(artist.title("noise"))
    start = artist.title("noise")
    hands.press(artist.port, start)
    hands.move(artist.port, start + QPointF(60, 60), hands.LEFT)
    artist.key(K.Key_Escape)
    assert artist.path == ["group"]
    hands.release(artist.port, start)
    artist.key(K.Key_Escape)
    assert artist.path == []
    assert artist.selection == ["group"]
    artist.key(K.Key_Escape)
    assert artist.selection == []


def test_a_panel_that_is_hidden_gives_the_keyboard_back_to_the_canvas(artist: Artist) -> None:
    artist.click(artist.title("denoise"))
    artist.panels.inspector.focus_first()
    artist.key(K.Key_4, ALT)
    assert not artist.panels.docks["inspector"].isVisible()
    assert focused() is artist.canvas


def test_f6_goes_round_the_panels_and_shift_f6_back(artist: Artist) -> None:
    seen = []
    for _ in range(5):
        artist.key(K.Key_F6)
        docks = artist.panels.docks.items()
        seen.append(next((n for n, dock in docks if dock.isAncestorOf(focused())), "canvas"))
    assert seen == ["viewer", "inspector", "plan", "canvas", "viewer"]
    artist.key(K.Key_F6, SHIFT)
    assert focused() is artist.canvas


def test_space_held_while_the_focus_goes_elsewhere_is_let_go(artist: Artist) -> None:
    QTest.keyPress(focused(), K.Key_Space)
    artist.panels.inspector.setFocus()
    artist.canvas.setFocus()
    artist.click(artist.title("save"))
    assert artist.selection == ["save"]


def test_a_key_of_the_canvas_still_counts_while_a_failure_is_told(artist: Artist) -> None:
    artist.click(artist.title("denoise"))
    artist.window.complain(ModelError("no such thing", where="denoise", remedy="do this"))
    artist.key(K.Key_C, ALT)
    assert edits.collapsed(artist.document.workflow) == {"denoise"}


def test_keys_for_text_in_a_field_leave_the_nodes_alone(artist: Artist) -> None:
    artist.click(artist.title("prompt"))
    artist.field("prompt")
    artist.key(K.Key_A, CTRL)
    artist.key(K.Key_C, CTRL)
    assert QGuiApplication.clipboard().text().startswith("a red house")
    assert artist.selection == ["prompt"]


# --- the selection outlives what happens


def test_undo_of_a_deletion_selects_what_comes_back(artist: Artist) -> None:
    artist.click(artist.title("save"))
    artist.key(K.Key_Delete)
    artist.key(K.Key_Z, CTRL)
    assert artist.selection == ["save"]


def test_a_node_renamed_in_the_inspector_stays_selected(artist: Artist) -> None:
    artist.click(artist.title("save"))
    artist.key(K.Key_F6)
    inspector = artist.panels.inspector
    assert inspector.id_field is not None
    inspector.id_field.setFocus()
    inspector.id_field.selectAll()
    artist.type("keep")
    artist.key(K.Key_Return)
    assert artist.selection == ["keep"]
    assert inspector.ids == ("keep",)


def test_del_and_f2_act_on_a_frame_that_was_clicked(artist: Artist) -> None:
    artist.click(artist.title("noise"))
    artist.key(K.Key_J, CTRL)
    artist.key(K.Key_Escape)
    artist.click(QPointF(3, 3))
    artist.click(artist.box("frames"))
    artist.key(K.Key_F2)
    artist.type("Chance")
    artist.key(K.Key_Return)
    assert edits.frames(artist.document.workflow)[0].title == "Chance"
    artist.click(artist.box("frames"))
    artist.key(K.Key_Delete)
    assert not edits.frames(artist.document.workflow)


def test_a_frame_and_the_title_typed_with_it_are_one_step(artist: Artist) -> None:
    artist.click(artist.title("noise"))
    artist.key(K.Key_J, CTRL)
    artist.type("Chance")
    artist.key(K.Key_Return)
    assert artist.document.undo_texts == ["Frame noise"]
    assert edits.frames(artist.document.workflow)[0].title == "Chance"


# --- inside groups


def test_what_is_dropped_while_a_group_is_shown_lands_in_it(artist: Artist, tmp_path: Path) -> None:
    artist.select("noise", "scheduler")
    artist.key(K.Key_G, CTRL)
    artist.key(K.Key_I)
    middle = artist.canvas.mapTo(artist.window, artist.canvas.rect().center())
    drop(artist.window, [picture(tmp_path / "photo.png")], QPointF(middle))
    assert artist.selection == ["picture"]
    assert NodeId("picture") in artist.document.workflow.groups["group"].graph
    assert NodeId("picture") not in artist.graph


def test_nodes_keep_their_pictures_while_a_group_is_looked_into(artist: Artist) -> None:
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    artist.canvas.set_thumbnail("decode", image)
    artist.select("noise", "scheduler")
    artist.key(K.Key_G, CTRL)
    artist.key(K.Key_I)
    artist.key(K.Key_U)
    assert artist.canvas.content.nodes[NodeId("decode")].thumbnail == image


def test_a_node_outside_or_inside_of_the_shown_group_can_be_gone_to(artist: Artist) -> None:
    artist.select("noise", "scheduler")
    artist.key(K.Key_G, CTRL)
    artist.key(K.Key_I)
    artist.page.reveal("decode")
    assert (artist.path, artist.selection) == ([], ["decode"])
    artist.page.reveal("group/noise")
    assert (artist.path, artist.selection) == (["group"], ["noise"])
