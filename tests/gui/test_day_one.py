"""What an artist expects on the first day: 66 interactions, each held by a test that acts as a hand does.

``INTERACTIONS`` names them. The tests of this file, in the whole window, say by ``holds`` which of them they hold;
``ELSEWHERE`` names tests of other files that hold some at the same level. None is without a holder: that is tested.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QAction, QContextMenuEvent, QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QWidget
from pytestqt.qtbot import QtBot

from studio.errors import ModelError
from studio.graph import Link, NodeId
from studio.gui import edits
from studio.gui.canvas.trail import Trail
from studio.gui.shell.page import Page
from studio.gui.shell.panels import Panels
from studio.gui.shell.window import Window
from studio.resources import resource
from studio.workflow import load, loads
from tests.gui import hands
from tests.gui.canvases import Hand
from tests.gui.desk import Desk, front, pixels, real_window
from tests.gui.test_app import PATIENCE_MS
from tests.gui.test_window import drop, picture

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier
K = Qt.Key
# what the off-screen platform says of menus
pops_up = pytest.mark.qt_log_ignore("This plugin does not support")
INTERACTIONS: Mapping[int, str] = {
    1: "Tab searches for a node at the cursor",
    2: "A double-click on empty canvas does so too",
    3: "Shift+A offers the types by category",
    4: "A link led to empty space offers what fits, the best first, and is wired",
    5: "A new node is linked to the selected one",
    6: "The search is fuzzy and knows other names",
    7: "A dropped picture becomes a node; on a picture's field it replaces",
    8: "A dropped picture with a workflow asks what it is for",
    9: "A dropped model becomes the node that loads it",
    10: "A picture is pasted from the clipboard",
    11: "A node dragged onto a wire goes into it, with Alt not",
    12: "A drag over empty canvas selects",
    13: "Shift adds to the selection, Ctrl toggles",
    14: "Ctrl+A selects all, Ctrl+Shift+A none",
    15: "L selects downstream, Shift+L upstream",
    16: "Middle button and Space pan, the wheel zooms at the cursor",
    17: "Arrow keys nudge, with Shift by the grid",
    18: "Shift snaps to the grid while moving",
    19: "Alt and a drag move a copy",
    20: "A frame takes its nodes along, with Ctrl not",
    21: "A node is pulled out of its links by shaking or Ctrl+Shift+X",
    22: "A link is taken off at the input's end and plugged in elsewhere",
    23: "Shift and a drag at an output move all its links",
    24: "Ctrl and the right button, or Y and a drag, cut links",
    25: "Shift and the right button put dots on links",
    26: "Alt and a click on a wire, or a double-click, put a dot there",
    27: "Ctrl+Del deletes and reconnects around the hole",
    28: "J connects the selected",
    29: "While a link is dragged, what cannot take it is dim and says why",
    30: "Wires tell types by colour, sockets by shape as well",
    31: "A link that is replaced goes, and comes back by undo",
    32: "Ctrl+D duplicates",
    33: "Ctrl+Shift+D duplicates with the links that enter",
    34: "Cut, copy and paste, with links by Ctrl+Shift+V",
    35: "Del and Backspace delete",
    36: "F2 renames",
    37: "M mutes, B bypasses",
    38: "Ctrl+G groups, Ctrl+Shift+G and Ctrl+Alt+G ungroup",
    39: "Ctrl+J frames; a double-click edits the title",
    40: "A group is entered by double-click or I, left by U, Esc or the trail",
    41: "H and Alt+C collapse, Ctrl+H hides unused sockets",
    42: "P pins",
    43: "Nodes and frames have colours, and there are notes",
    44: "Undo covers everything but what is only looked at",
    45: "The history of edits has names and any place of it can be gone to",
    46: "A node is swapped for one of its kind and keeps links and values",
    47: "F frames the selected, A and Home all",
    48: "Numbers show a node in the viewer, Ctrl and a number assign it",
    49: "W wipes between two pictures",
    50: "Ctrl+F finds a node, Enter jumps",
    51: "Alt+M shows a map that is clicked and dragged",
    52: "Nodes are laid out, aligned and distributed",
    53: "Panels are shown, hidden and float",
    54: "From afar only what can be read is painted",
    55: "Numbers are scrubbed, finely and coarsely, and typed with arithmetic",
    56: "Backspace over a field resets it; what is changed is marked",
    57: "Ctrl+Up and Ctrl+Down weigh the selected words",
    58: "A parameter becomes a socket, or stands in the form",
    59: "A value is copied to another field; nodes share a seed",
    60: "Seeds are thrown, kept, brought back, exact to 64 bits",
    61: "Ctrl+Enter queues, with Shift in front, with Alt cancels",
    62: "A run goes to a node from its menu; with live mode at every edit",
    63: "Every node shows its state and its time",
    64: "Previews come to node and viewer by themselves",
    65: "A failure is framed, with cause, remedy and details to copy",
    66: "Documents are saved, asked about when they close, kept when the editor dies",
}

ELSEWHERE: Mapping[int, tuple[str, ...]] = {
    4: ("test_canvas.py::test_a_link_dropped_on_empty_canvas_offers_what_fits_and_wires_it",),
    7: (
        "test_window.py::test_a_picture_that_is_dropped_becomes_a_node_where_it_was_dropped",
        "test_editors.py::test_a_dropped_file_is_named_relative_to_the_workflow",
    ),
    8: ("test_window.py::test_a_picture_with_a_workflow_asks_what_it_is_wanted_for",),
    10: (
        "test_pasting.py::test_a_picture_becomes_a_node_at_the_cursor_and_a_file_beside_the_workflow",
    ),
    11: ("test_canvas.py::test_a_node_dropped_on_a_link_goes_into_it",),
    12: ("test_canvas.py::test_a_rubber_band_selects_what_it_touches",),
    13: ("test_canvas.py::test_shift_adds_and_ctrl_toggles",),
    14: ("test_canvas.py::test_all_and_none_by_keys",),
    15: ("test_canvas.py::test_l_selects_downstream_and_shift_l_upstream",),
    16: (
        "test_canvas.py::test_the_wheel_zooms_and_keeps_what_is_under_the_cursor",
        "test_canvas.py::test_space_and_drag_pans_even_over_a_node",
    ),
    17: ("test_canvas.py::test_arrow_keys_nudge_and_make_one_step",),
    18: ("test_canvas.py::test_shift_snaps_to_the_grid_while_moving",),
    19: ("test_canvas.py::test_alt_drag_moves_a_copy",),
    20: (
        "test_canvas.py::test_dragging_a_frame_takes_its_nodes_along",
        "test_canvas.py::test_with_ctrl_the_frame_moves_alone",
    ),
    21: ("test_canvas.py::test_a_shaken_node_leaves_its_links",),
    22: (
        "test_canvas.py::test_a_drag_from_a_linked_input_plugs_it_in_elsewhere_as_one_step",
        "test_canvas.py::test_a_link_dropped_on_empty_canvas_is_taken_off",
    ),
    23: ("test_canvas.py::test_shift_drag_moves_all_links_of_an_output",),
    24: (
        "test_canvas.py::test_the_knife_cuts_what_it_crosses_as_one_step",
        "test_routes.py::test_y_and_a_drag_cuts_as_well",
    ),
    25: ("test_routes.py::test_a_stroke_with_shift_and_the_right_button_bends_what_it_crosses",),
    26: (
        "test_routes.py::test_alt_click_on_a_wire_puts_a_dot_there",
        "test_routes.py::test_a_double_click_on_a_wire_puts_a_dot_there_and_opens_no_palette",
    ),
    27: ("test_canvas.py::test_ctrl_delete_reconnects_around_the_hole",),
    29: ("test_canvas.py::test_what_cannot_take_a_link_is_dimmed_and_says_why",),
    30: (
        "test_theme.py::test_sockets_of_one_shape_differ_in_colour_also_without_red_or_green_cones",
        "test_theme.py::test_every_socket_stands_out_from_the_node",
    ),
    32: ("test_canvas.py::test_ctrl_d_duplicates_and_with_shift_keeps_the_links",),
    33: ("test_canvas.py::test_ctrl_d_duplicates_and_with_shift_keeps_the_links",),
    34: (
        "test_canvas.py::test_cut_and_paste_put_nodes_at_the_cursor",
        "test_canvas.py::test_paste_with_links_keeps_those_from_outside",
    ),
    35: ("test_canvas.py::test_a_key_deletes_the_selected",),
    36: ("test_canvas.py::test_f2_renames_and_links_follow",),
    37: ("test_canvas.py::test_a_key_mutes_or_bypasses_and_wakes",),
    38: ("test_canvas.py::test_a_group_is_made_entered_edited_and_left",),
    39: ("test_canvas.py::test_ctrl_j_frames_the_selected_and_takes_a_title",),
    41: ("test_canvas.py::test_ctrl_h_hides_the_sockets_that_nothing_needs_and_says_how_many",),
    42: ("test_canvas.py::test_a_pinned_node_stays",),
    45: (
        "test_docks.py::test_the_history_of_edits_names_every_step_and_marks_the_present_one",
        "test_docks.py::test_a_step_is_gone_to_by_key",
        "test_docks.py::test_a_step_is_gone_to_by_click_also_forward",
    ),
    48: ("test_runner.py::test_the_viewer_follows_the_node_that_was_chosen",),
    49: ("test_viewer.py::test_w_wipes_a_on_the_left_b_on_the_right",),
    52: ("test_edits.py::test_nodes_are_distributed_with_equal_gaps",),
    53: ("test_window.py::test_the_keys_of_panels_show_and_hide_them",),
    54: (
        "test_canvas.py::test_detail_follows_the_zoom",
        "test_canvas.py::test_from_far_away_the_selected_node_is_still_told_apart",
    ),
    55: (
        "test_canvas.py::test_dragging_a_number_scrubs_it_as_one_step",
        "test_canvas.py::test_shift_scrubs_finely_and_ctrl_coarsely",
        "test_canvas.py::test_double_click_types_a_number_with_arithmetic",
        "test_editors.py::test_a_typed_number_may_carry_its_unit",
    ),
    56: ("test_inspector.py::test_a_changed_value_is_marked_and_reset_by_button_and_backspace",),
    58: (
        "test_param_links.py::test_a_parameter_dropped_on_the_canvas_becomes_an_input",
        "test_form.py::test_published_parameters_are_edited_by_their_own_editors",
    ),
    59: (
        "test_inspector.py::test_keys_over_a_row_copy_paste_and_reset_its_value",
        "test_param_links.py::test_the_seeds_of_several_nodes_are_given_from_one",
    ),
    60: (
        "test_editors.py::test_a_seed_is_exact_to_64_bits",
        "test_editors.py::test_dice_throw_a_new_seed_and_the_last_one_comes_back",
        "test_editors.py::test_a_locked_seed_is_kept",
        "test_inspector.py::test_the_seed_of_the_last_run_comes_back",
    ),
    61: (
        "test_queue_panel.py::test_control_enter_queues_a_snapshot",
        "test_queue_panel.py::test_control_shift_enter_goes_to_the_front",
        "test_queue_panel.py::test_cancelling_ends_one_job_and_the_next_begins",
    ),
    65: ("test_runner.py::test_a_failure_is_told_in_the_bar_and_frames_its_node",),
    66: (
        "test_window.py::test_save_asks_for_a_name_once",
        "test_window.py::test_closing_asks_about_unsaved_work",
        "test_window.py::test_files_that_were_opened_are_recent",
        "test_kills.py::test_what_a_killed_editor_had_not_saved_is_offered_whole",
    ),
}
HERE: dict[str, tuple[int, ...]] = {}
"""The tests of this file, and the interactions that they hold."""
Test = TypeVar("Test", bound=Callable[..., None])


def holds(*numbers: int) -> Callable[[Test], Test]:
    """Note which interactions a test holds."""

    def noted(test: Test) -> Test:
        HERE[test.__name__] = numbers
        return test

    return noted


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

    def free_place(self) -> QPointF:
        """A place of the canvas where nothing is, with room for a node."""
        self.canvas.set_zoom(0.5)
        self.canvas.look_at(self.canvas.content.content_rect().bottomLeft())
        rect = self.port.rect()
        return QPointF(rect.width() * 0.6, rect.height() * 0.75)

    def covered(self) -> list[tuple[str, str]]:
        """Pairs of nodes of which one covers the other."""
        items = self.canvas.content.nodes.values()
        return [
            (str(one.node.id), str(other.node.id))
            for one, other in combinations(items, 2)
            if one.scene_rect.intersects(other.scene_rect)
        ]

    def double_click(self, at: QPointF) -> None:
        """As Qt sends it: two presses, the second told apart."""
        self.click(at)
        hands.double_click(self.port, at)

    def context_menu(self, at: QPointF) -> None:
        place = at.toPoint()
        reason = QContextMenuEvent.Reason.Mouse
        event = QContextMenuEvent(reason, place, self.port.mapToGlobal(place), hands.NONE)
        QApplication.sendEvent(self.port, event)

    def trigger(self, name: str) -> None:
        """Choose something in the menus of the window."""
        bar = self.window.menuBar()
        menus = [action.menu() for action in bar.actions()]
        found = [
            action
            for menu in menus
            if isinstance(menu, QMenu)
            for action in menu.actions()
            if action.objectName() == name
        ]
        assert found[0].isEnabled()
        found[0].trigger()

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


def popup() -> QMenu:
    """The menu that stands open."""
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def choose(name: str) -> None:
    """Choose something in the menu that stands open, or in one of its menus."""
    menu = popup()
    action = menu.findChild(QAction, name) or next(
        (one for one in menu.actions() if one.objectName() == name), None
    )
    assert action is not None
    action.trigger()
    menu.close()


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


@pytest.fixture
def own_worker(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Window]:
    """A window with the real worker and the model that ships."""
    with real_window(qapp, tmp_path, qtbot, monkeypatch) as opened:
        yield opened


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
        docks = artist.panels.docks.docks.items()
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


# --- create


@holds(1)
def test_tab_searches_for_a_node_to_put_at_the_cursor(artist: Artist) -> None:
    free = artist.free_place()
    artist.point(free)
    artist.key(K.Key_Escape)
    artist.key(K.Key_Tab)
    artist.pick("preview")
    at = artist.canvas.mapToScene(free.toPoint())
    assert artist.selection == ["preview"]
    assert artist.place("preview")[0] == pytest.approx(at.x(), abs=1)
    assert focused() is artist.canvas


@holds(2)
def test_a_double_click_on_empty_canvas_searches_as_well(artist: Artist) -> None:
    artist.double_click(artist.free_place())
    artist.pick("preview")
    assert artist.selection == ["preview"]


@holds(3)
@pops_up
def test_shift_a_offers_the_types_by_category(artist: Artist) -> None:
    artist.key(K.Key_A, SHIFT)
    menu = popup()
    categories = [action.text() for action in menu.actions()]
    assert categories[:2] == ["Control", "Denoise"]
    inner = next(action.menu() for action in menu.actions() if action.text() == "Output")
    assert isinstance(inner, QMenu)
    next(action for action in inner.actions() if action.text() == "Preview").trigger()
    menu.close()
    assert artist.selection == ["preview"]


@holds(5)
def test_a_new_node_is_linked_to_the_selected_one(artist: Artist) -> None:
    artist.click(artist.title("decode"))
    artist.key(K.Key_Tab)
    artist.pick("preview")
    assert artist.graph.node("preview").inputs == {"image": Link(NodeId("decode"), "image")}


@holds(6)
@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("ksampler", "denoise"),
        ("sampler", "denoise"),
        ("denoise", "denoise"),
        ("dnoise", "denoise"),
        ("vae", "vae_decode"),
        ("seed", "seed"),
        ("checkpoint", "load_model"),
        ("clip", "text_encoder"),
        ("prompt", "text_encoder"),
    ],
)
def test_the_search_knows_the_words_of_the_field(artist: Artist, query: str, first: str) -> None:
    artist.key(K.Key_Tab)
    artist.type(query)
    item = artist.canvas.adding.palette.list.item(0)
    assert item.data(Qt.ItemDataRole.UserRole) == first


@holds(9)
def test_files_dropped_together_become_the_nodes_that_load_them(
    artist: Artist, tmp_path: Path
) -> None:
    vae = resource("starter", "vae", "diffusion_pytorch_model.safetensors")
    middle = QPointF(artist.canvas.mapTo(artist.window, artist.canvas.rect().center()))
    drop(artist.window, [vae, resource("starter"), picture(tmp_path / "a.png")], middle)
    added = {name: artist.graph.node(name).type for name in artist.graph.nodes}
    assert {"vae": "load_vae", "model_2": "load_model", "picture": "load_image"}.items() <= (
        added.items()
    )


@holds(7, 9)
@pytest.mark.parametrize(
    ("name", "content"),
    [("broken.json", b"{"), ("broken.safetensors", b"xyz"), ("folder", None), ("a.txt", b"x")],
)
def test_a_file_that_is_no_good_is_told_and_changes_nothing(
    artist: Artist, tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    middle = QPointF(artist.canvas.mapTo(artist.window, artist.canvas.rect().center()))
    drop(artist.window, [path], middle)
    assert name in artist.page.failure.what.text()
    assert artist.document.position == 0
    assert len(artist.window.documents.pages) == 1


# --- select and move


@holds(16)
def test_the_middle_button_pans_even_over_a_node(artist: Artist) -> None:
    before, start = artist.canvas.seen_rect().center(), artist.title("denoise")
    artist.drag(start, start + QPointF(80, 40), Qt.MouseButton.MiddleButton)
    moved = (before - artist.canvas.seen_rect().center()) * artist.canvas.zoom
    assert (moved - QPointF(80, 40)).manhattanLength() < 3
    assert artist.document.position == 0


@holds(19)
def test_alt_drag_of_several_nodes_copies_them_with_the_links_among_them(artist: Artist) -> None:
    artist.select("decode", "save")
    start = artist.title("decode")
    artist.drag(start, start + QPointF(0, 150), modifiers=ALT)
    assert artist.graph.node("save_2").inputs == {"image": Link(NodeId("decode_2"), "image")}
    assert not artist.graph.node("decode_2").inputs
    assert artist.selection == ["decode_2", "save_2"]
    assert artist.document.undo_texts == ["Duplicate 2 nodes"]


@holds(21)
def test_ctrl_shift_x_pulls_a_node_out_and_links_its_neighbours(artist: Artist) -> None:
    artist.click(artist.free_place())
    artist.key(K.Key_Tab)
    artist.pick("latent_upscale")
    artist.document.edit(
        edits.insert_on_link(
            artist.document.workflow, artist.document.types, "latent_upscale", ("decode", "latents")
        ),
        "Insert",
    )
    artist.key(K.Key_X, CTRL | SHIFT)
    assert artist.graph.node("decode").inputs["latents"] == Link(NodeId("denoise"), "latents")
    assert not artist.graph.node("latent_upscale").inputs


# --- edit


@holds(34)
def test_nodes_go_from_one_window_to_an_empty_document_of_another_as_text(
    artist: Artist, desk: Desk
) -> None:
    artist.select("decode", "save")
    artist.key(K.Key_C, CTRL)
    text = QGuiApplication.clipboard().text()
    assert loads(text, name="clipboard").graph.nodes.keys() == {"decode", "save"}
    other = desk.window()
    other.documents.new()
    second = Artist(other)
    second.key(K.Key_V, CTRL)
    assert second.graph.node("save").inputs == {"image": Link(NodeId("decode"), "image")}
    assert second.selection == ["decode", "save"]


@holds(36)
def test_a_name_that_is_taken_is_refused_and_the_old_one_stays(artist: Artist) -> None:
    artist.click(artist.title("denoise"))
    artist.key(K.Key_F2)
    artist.type("save")
    artist.key(K.Key_Return)
    assert "exists already" in artist.window.said.text()
    assert artist.selection == ["denoise"]
    assert artist.document.position == 0


@holds(37)
@pytest.mark.parametrize(
    ("pressed", "words", "waiting"), [(K.Key_M, "muted", "off"), (K.Key_B, "bypassed", "")]
)
def test_muted_and_bypassed_are_seen_at_a_glance(
    artist: Artist, qtbot: QtBot, pressed: Qt.Key, words: str, waiting: str
) -> None:
    artist.click(artist.title("decode"))
    artist.key(pressed)
    item = artist.canvas.content.nodes[NodeId("decode")]
    assert item.badge == words
    assert item.state.status == words
    artist.key(pressed)
    assert item.badge != words


@holds(38)
@pytest.mark.parametrize("modifiers", [CTRL | SHIFT, CTRL | ALT])
def test_ungrouping_puts_everything_back(artist: Artist, modifiers: Qt.KeyboardModifier) -> None:
    before = artist.graph
    artist.select("noise", "scheduler")
    artist.key(K.Key_G, CTRL)
    assert artist.selection == ["group"]
    artist.key(K.Key_G, modifiers)
    assert artist.graph == before
    assert sorted(artist.selection) == ["noise", "scheduler"]


@holds(39)
def test_the_title_of_a_frame_is_edited_by_double_click(artist: Artist) -> None:
    artist.click(artist.title("noise"))
    artist.key(K.Key_J, CTRL)
    artist.key(K.Key_Escape)
    artist.double_click(artist.box("frames"))
    artist.type("Chance")
    artist.key(K.Key_Return)
    assert edits.frames(artist.document.workflow)[0].title == "Chance"


@holds(40)
@pytest.mark.parametrize("way_in", ["double click", "I"])
@pytest.mark.parametrize("way_out", ["U", "Escape", "trail"])
def test_a_group_is_entered_and_left(artist: Artist, way_in: str, way_out: str) -> None:
    artist.select("noise", "scheduler")
    artist.key(K.Key_G, CTRL)
    if way_in == "I":
        artist.key(K.Key_I)
    else:
        artist.double_click(artist.title("group"))
    assert (artist.path, set(artist.canvas.content.nodes)) == (["group"], {"noise", "scheduler"})
    trail = artist.canvas.findChild(Trail)
    assert trail is not None
    assert trail.isVisible()
    if way_out == "trail":
        trail.linkActivated.emit("0")
    else:
        artist.key(K.Key_U if way_out == "U" else K.Key_Escape)
    assert artist.path == []
    assert NodeId("group") in artist.canvas.content.nodes
    assert not trail.isVisible()


@holds(40)
def test_groups_lie_in_groups_and_one_group_may_stand_twice(artist: Artist) -> None:
    artist.select("noise", "scheduler")
    artist.key(K.Key_G, CTRL)
    artist.canvas.select(["group", "denoise"])
    artist.key(K.Key_G, CTRL)
    (outer,) = artist.selection
    artist.key(K.Key_D, CTRL)
    (twin,) = artist.selection
    artist.key(K.Key_I)
    artist.canvas.select(["group"])
    artist.key(K.Key_I)
    assert artist.path == [twin, "group"]
    artist.click(artist.title("noise"))
    artist.key(K.Key_M)
    artist.key(K.Key_U)
    artist.key(K.Key_U)
    artist.canvas.select([outer])
    artist.key(K.Key_I)
    artist.canvas.select(["group"])
    artist.key(K.Key_I)
    # both stand for the same group: an edit of one is an edit of the other
    assert artist.path == [outer, "group"]
    assert artist.canvas.workflow.graph.node("noise").mode == "mute"
    artist.key(K.Key_Z, CTRL)
    assert artist.canvas.workflow.graph.node("noise").mode == "normal"


@holds(41)
@pytest.mark.parametrize(("pressed", "modifiers"), [(K.Key_H, hands.NONE), (K.Key_C, ALT)])
def test_a_node_is_collapsed_and_unfolded(
    artist: Artist, pressed: Qt.Key, modifiers: Qt.KeyboardModifier
) -> None:
    artist.click(artist.title("denoise"))
    artist.key(pressed, modifiers)
    assert edits.collapsed(artist.document.workflow) == {"denoise"}
    artist.key(pressed, modifiers)
    assert not edits.collapsed(artist.document.workflow)


@holds(43)
@pops_up
def test_a_node_and_a_frame_are_coloured_from_their_menus(artist: Artist) -> None:
    artist.context_menu(artist.title("denoise"))
    choose("canvas.color_green")
    assert edits.colors(artist.document.workflow) == {"denoise": "green"}
    artist.click(artist.title("noise"))
    artist.key(K.Key_J, CTRL)
    artist.key(K.Key_Escape)
    artist.context_menu(artist.box("frames"))
    choose("canvas.color_blue")
    assert edits.frames(artist.document.workflow)[0].color == "blue"


@holds(43)
def test_shift_p_puts_a_note_at_the_cursor(artist: Artist) -> None:
    artist.point(artist.free_place())
    artist.key(K.Key_P, SHIFT)
    artist.type("warmer light")
    artist.click(QPointF(3, 3))
    assert [note.text for note in edits.notes(artist.document.workflow)] == ["warmer light"]
    artist.key(K.Key_Z, CTRL)
    assert not edits.notes(artist.document.workflow)


@holds(44)
def test_undo_takes_back_whatever_was_done_step_by_step(artist: Artist) -> None:
    whole = [artist.document.workflow]

    def done() -> None:
        assert artist.document.workflow != whole[-1]
        whole.append(artist.document.workflow)

    start = artist.title("save")
    artist.drag(start, start + QPointF(0, 60))
    done()
    artist.look_at("denoise")
    at = artist.row("denoise", "guidance")
    artist.drag(at, at + QPointF(40, 0))
    done()
    artist.drag(artist.input("denoise", "negative"), artist.input("denoise", "positive"))
    done()
    artist.key(K.Key_J, CTRL)
    artist.type("Sampling")
    artist.key(K.Key_Return)
    done()
    artist.point(QPointF(20, 20))
    artist.key(K.Key_P, SHIFT)
    artist.type("why")
    artist.click(QPointF(3, 3))
    done()
    position = artist.document.position
    artist.key(K.Key_F)
    hands.wheel(artist.port, QPointF(300, 200), 2)
    assert artist.document.position == position == 5
    for value in reversed(whole[:-1]):
        artist.key(K.Key_Z, CTRL)
        assert artist.document.workflow is value
    artist.key(K.Key_Z, CTRL | SHIFT)
    assert artist.document.workflow == whole[1]
    artist.key(K.Key_Y, CTRL)
    assert artist.document.workflow == whole[2]


@holds(46)
def test_a_node_is_swapped_for_one_of_its_kind_with_links_and_values(artist: Artist) -> None:
    artist.click(artist.title("save"))
    artist.key(K.Key_S, SHIFT)
    first = artist.canvas.adding.palette.list.item(0).data(Qt.ItemDataRole.UserRole)
    assert artist.document.types[first].category == "output"
    artist.pick("animation")
    node = artist.graph.node("save")
    assert node.type == "save_animation"
    assert node.inputs == {"image": Link(NodeId("decode"), "image")}
    assert node.params["name"] == "text-to-image"
    assert artist.selection == ["save"]


# --- view


@holds(47)
def test_f_frames_the_selected_and_a_and_home_frame_all(artist: Artist) -> None:
    artist.click(artist.title("save"))
    artist.key(K.Key_F)
    assert artist.canvas.zoom == 1.0
    everything = artist.canvas.content.content_rect()
    for pressed in (K.Key_A, K.Key_Home):
        artist.canvas.set_zoom(2.0)
        artist.key(pressed)
        assert artist.canvas.seen_rect().contains(everything)


@holds(50)
def test_ctrl_f_finds_a_node_and_enter_jumps_to_it(artist: Artist) -> None:
    artist.canvas.set_zoom(2.0)
    artist.key(K.Key_F, CTRL)
    artist.pick("sched")
    assert artist.selection == ["scheduler"]
    seen = artist.canvas.seen_rect()
    assert seen.contains(artist.canvas.content.nodes[NodeId("scheduler")].scene_rect)
    assert focused() is artist.canvas


@holds(51)
def test_dragging_over_the_minimap_moves_what_is_seen(artist: Artist) -> None:
    artist.canvas.set_zoom(2.0)
    artist.key(K.Key_M, ALT)
    minimap = artist.canvas.minimap
    assert minimap.isVisible()
    hands.press(minimap, QPointF(30, 70))
    left = artist.canvas.seen_rect().center().x()
    hands.move(minimap, QPointF(170, 70), hands.LEFT)
    hands.release(minimap, QPointF(170, 70))
    assert artist.canvas.seen_rect().center().x() > left + 300
    assert artist.document.position == 0
    artist.key(K.Key_M, ALT)
    assert not minimap.isVisible()


@holds(52)
def test_the_selected_are_laid_out_and_the_rest_stays(artist: Artist) -> None:
    before = edits.positions(artist.document.workflow)
    messy = edits.move(artist.document.workflow, {"save": (1040.0, 250.0)})
    artist.document.edit(messy, "Mess")
    artist.select("decode", "save")
    artist.key(K.Key_F, CTRL | SHIFT)
    after = edits.positions(artist.document.workflow)
    assert after[NodeId("save")][0] > after[NodeId("decode")][0] + 240
    assert {name: after[name] for name in before if name not in ("decode", "save")} == {
        name: before[name] for name in before if name not in ("decode", "save")
    }


@holds(52)
def test_nodes_are_aligned_and_distributed_from_the_menu(artist: Artist) -> None:
    artist.select("prompt", "noise", "scheduler")
    artist.document.edit(edits.move(artist.document.workflow, {"noise": (400.0, 230.0)}), "Move")
    artist.trigger("canvas.align_left")
    artist.trigger("canvas.distribute_y")
    rects = [
        artist.canvas.content.nodes[NodeId(name)].scene_rect
        for name in ("prompt", "noise", "scheduler")
    ]
    assert len({rect.left() for rect in rects}) == 1
    gaps = [low.top() - high.bottom() for high, low in pairwise(rects)]
    assert gaps[0] == pytest.approx(gaps[1], abs=2)


@holds(53)
@pops_up
def test_a_panel_floats_and_comes_back_from_the_view_menu(artist: Artist) -> None:
    dock = artist.panels.docks["viewer"]
    assert dock.features() & dock.DockWidgetFeature.DockWidgetFloatable
    dock.setFloating(True)
    assert dock.isWindow()
    artist.trigger("view.viewer")
    artist.trigger("view.viewer")
    assert dock.isVisible()
    dock.setFloating(False)
    assert not dock.isWindow()


# --- parameters


@holds(55)
def test_a_number_in_the_inspector_is_scrubbed_and_typed(artist: Artist) -> None:
    artist.click(artist.title("denoise"))
    field = artist.field("guidance")
    at = QPointF(20, field.height() / 2)
    hands.drag(field, [at, at + QPointF(5, 0), at + QPointF(25, 0)])
    scrubbed = artist.graph.node("denoise").params["guidance"]
    assert isinstance(scrubbed, float)
    assert scrubbed > 5.0
    assert artist.document.position == 1
    hands.double_click(field, at)
    artist.type("15/2")
    artist.key(K.Key_Return)
    assert artist.graph.node("denoise").params["guidance"] == 7.5


@holds(55)
def test_scrolling_over_a_number_changes_nothing(artist: Artist) -> None:
    artist.click(artist.title("denoise"))
    field = artist.field("guidance")
    hands.wheel(field, QPointF(20, 8), 3)
    assert artist.document.position == 0


@holds(56)
def test_backspace_over_a_field_resets_it(artist: Artist) -> None:
    artist.click(artist.title("denoise"))
    field = artist.field("guidance")
    artist.type("9")
    artist.key(K.Key_Return)
    assert artist.graph.node("denoise").params["guidance"] == 9.0
    hands.key(field, K.Key_Backspace)
    assert artist.graph.node("denoise").params["guidance"] == 5.0
    assert NodeId("denoise") in artist.graph


@holds(57)
def test_ctrl_up_weighs_the_selected_words_of_a_prompt(artist: Artist) -> None:
    artist.click(artist.title("prompt"))
    artist.field("prompt")
    artist.key(K.Key_Home, CTRL)
    artist.key(K.Key_Right, CTRL)
    artist.key(K.Key_Right, CTRL | SHIFT)
    artist.key(K.Key_Up, CTRL)
    prompt = str(artist.graph.node("prompt").params["prompt"])
    assert prompt.startswith("a (red:1.1) house")


# --- run and results


@holds(62)
@pops_up
def test_the_menu_of_a_node_runs_to_it(artist: Artist, desk: Desk) -> None:
    artist.context_menu(artist.title("decode"))
    choose("canvas.run_to")
    assert desk.worker.targets == [("decode",)]


@holds(62)
def test_with_the_live_switch_every_edit_runs(artist: Artist, desk: Desk, qtbot: QtBot) -> None:
    artist.key(K.Key_L, CTRL)
    assert desk.worker.runs == 1
    artist.look_at("denoise")
    at = artist.row("denoise", "guidance")
    artist.drag(at, at + QPointF(40, 0))
    qtbot.waitUntil(lambda: desk.worker.runs == 2)


@holds(63)
def test_a_node_tells_how_far_it_is_and_how_long_it_took(
    artist: Artist, desk: Desk, qtbot: QtBot
) -> None:
    artist.key(K.Key_Return, CTRL)
    item = artist.canvas.content.nodes[NodeId("denoise")]
    desk.worker.say("started", nodes=8, model_calls=20)
    desk.worker.say("node", node="denoise", from_step=0, steps=20)
    desk.worker.say("step", node="denoise", step=5, steps=20, seconds=2.0)
    qtbot.waitUntil(lambda: item.badge == "5 of 20, 30 s left")
    desk.worker.finish("denoise", steps=20, seconds=12.5)
    desk.worker.finish("prompt", "cached")
    desk.worker.done()
    qtbot.waitUntil(lambda: item.badge == "12 s")
    assert artist.canvas.content.nodes[NodeId("prompt")].badge == "stored"


@holds(64)
def test_previews_come_to_the_node_and_the_viewer_by_themselves(
    artist: Artist, desk: Desk, qtbot: QtBot
) -> None:
    artist.key(K.Key_Return, CTRL)
    desk.worker.say("node", node="denoise", from_step=0, steps=20)
    desk.worker.say("preview", node="denoise", step=5, **pixels(4, 4, (200, 10, 10)))
    item = artist.canvas.content.nodes[NodeId("denoise")]
    qtbot.waitUntil(lambda: item.thumbnail is not None)
    shown = artist.panels.viewer.current
    assert shown is not None
    assert shown.image.pixelColor(1, 1).red() == 200


@holds(65)
def test_a_failed_node_says_what_why_and_what_to_do(
    artist: Artist, desk: Desk, qtbot: QtBot
) -> None:
    artist.key(K.Key_Return, CTRL)
    desk.worker.say(
        "failed", node="denoise", what="out of memory", where="denoise", remedy="choose less"
    )
    desk.worker.done("failed")
    qtbot.waitUntil(artist.page.failure.isVisible)
    item = artist.canvas.content.nodes[NodeId("denoise")]
    assert item.state.status == "failed"
    assert str(item.state.error) == "denoise: out of memory; choose less"
    hands.click(artist.page.failure.copy)
    assert "out of memory" in QGuiApplication.clipboard().text()
    assert "guidance = 5.0" in QGuiApplication.clipboard().text()
    hands.click(artist.page.failure.show_node)
    assert artist.selection == ["denoise"]


# --- building by keys


@holds(28)
def test_j_links_all_that_is_selected_as_far_as_types_fit(artist: Artist) -> None:
    wanted = artist.graph
    bare = artist.document.workflow
    for node in wanted:
        for port in node.inputs:
            bare = edits.disconnect(bare, node.id, port)
    artist.document.edit(bare, "Unlink")
    artist.key(K.Key_A, CTRL)
    artist.key(K.Key_J)
    assert artist.graph == wanted
    assert artist.document.undo_texts[-1] == "Connect 8 nodes"


def test_shift_j_adds_what_a_node_needs_and_links_it(beginner: Artist) -> None:
    beginner.key(K.Key_Tab)
    beginner.pick("save image")
    beginner.key(K.Key_J, SHIFT)
    types = sorted(node.type for node in beginner.graph)
    assert types == [
        "denoise", "load_model", "noise_source", "save_image", "scheduler", "vae_decode",
    ]  # fmt: skip
    known = beginner.document.types
    for node in beginner.graph:
        assert not edits.missing(beginner.document.workflow, known, node.id)
    assert beginner.document.undo_texts == ["Add save_image", "Add what save needs"]
    assert beginner.covered() == []
    assert beginner.canvas.seen_rect().contains(beginner.canvas.content.content_rect())
    beginner.key(K.Key_J, SHIFT)
    assert beginner.window.said.text() == "Nothing is missing"


def test_two_inputs_of_a_node_are_given_two_things(beginner: Artist) -> None:
    beginner.key(K.Key_Tab)
    beginner.pick("image composite")
    beginner.key(K.Key_J, SHIFT)
    links = set(beginner.graph.node("image_composite").inputs.values())
    assert len(links) == 2


def test_nodes_added_by_keys_cover_no_other(beginner: Artist) -> None:
    for query in ("load model", "text encoder", "scheduler", "noise source", "preview"):
        beginner.key(K.Key_Tab)
        beginner.pick(query)
        assert beginner.canvas.seen_rect().contains(
            beginner.canvas.content.nodes[NodeId(beginner.selection[0])].scene_rect
        )
    assert beginner.covered() == []


@holds(4)
def test_a_link_led_to_the_left_ends_at_what_gives_it(artist: Artist) -> None:
    artist.look_at("decode", zoom=0.6)
    artist.document.edit(edits.disconnect(artist.document.workflow, "denoise", "noise"), "Unlink")
    artist.look_at("denoise", zoom=0.6)
    end = artist.input("denoise", "noise") + QPointF(-20, 120)
    artist.drag(artist.input("denoise", "noise"), end)
    palette = artist.canvas.adding.palette
    assert palette.list.item(0).data(Qt.ItemDataRole.UserRole) == "noise_source"
    artist.key(K.Key_Return)
    (name,) = artist.selection
    assert artist.graph.node("denoise").inputs["noise"] == Link(NodeId(name), "latents")
    rect = artist.canvas.content.nodes[NodeId(name)].scene_rect
    assert rect.right() == pytest.approx(artist.canvas.mapToScene(end.toPoint()).x(), abs=2)


@holds(4)
@pytest.mark.parametrize(
    ("node", "output", "first"),
    [
        ("denoise", "latents", "vae_decode"),
        ("decode", "image", "save_image"),
        ("prompt", "conditioning", "denoise"),
        ("model", "vae", "vae_decode"),
    ],
)
def test_what_is_meant_most_often_is_offered_first(
    artist: Artist, node: str, output: str, first: str
) -> None:
    start = artist.output(node, output)
    artist.drag(start, QPointF(artist.port.width() - 30, artist.port.height() - 30))
    palette = artist.canvas.adding.palette
    assert palette.list.item(0).data(Qt.ItemDataRole.UserRole) == first


@holds(55)
def test_enter_edits_the_values_of_a_node_and_tab_goes_on(artist: Artist) -> None:
    artist.click(artist.title("noise"))
    artist.key(K.Key_Return)
    for text in ("11", "256"):
        artist.type(text)
        artist.key(K.Key_Tab)
    artist.key(K.Key_Backtab, SHIFT)
    artist.key(K.Key_Backtab, SHIFT)
    artist.type("12")
    artist.key(K.Key_Return)
    params = artist.graph.node("noise").params
    assert (params["seed"], params["width"]) == (12, 256)
    assert focused() is artist.canvas


@holds(56)
def test_backspace_resets_a_changed_value_under_the_mouse_and_else_deletes(
    artist: Artist,
) -> None:
    artist.look_at("denoise")
    at = artist.row("denoise", "guidance")
    artist.drag(at, at + QPointF(40, 0))
    assert artist.graph.node("denoise").params["guidance"] == 6.0
    artist.point(artist.row("denoise", "guidance"))
    artist.key(K.Key_Backspace)
    assert artist.graph.node("denoise").params["guidance"] == 5.0
    artist.key(K.Key_Backspace)
    assert NodeId("denoise") not in artist.graph


def test_tab_goes_through_the_inspector_in_the_order_of_the_parameters(artist: Artist) -> None:
    artist.click(artist.title("noise"))
    artist.panels.inspector.focus_first()
    rows = list(artist.panels.inspector.rows.values())
    seen: list[int] = []
    for _ in range(30):
        index = next((n for n, row in enumerate(rows) if row.isAncestorOf(focused())), None)
        if index is None:
            break
        if index not in seen:
            seen.append(index)
        artist.key(K.Key_Tab)
    assert seen == list(range(len(rows)))


def test_text_to_image_is_built_run_and_saved_without_a_mouse(
    own_worker: Window, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = own_worker
    hands.key(window, K.Key_N, CTRL)
    artist = Artist(window)
    endings: list[dict[str, object]] = []
    artist.page.watch.ended.connect(endings.append)
    for query in ("checkpoint", "prompt"):
        artist.key(K.Key_Tab)
        artist.pick(query)
    artist.key(K.Key_Return)
    artist.key(K.Key_A, CTRL)
    artist.type("a blue sailboat at sea")
    # the field of a prompt takes Enter for itself
    artist.key(K.Key_Tab)
    artist.key(K.Key_Escape)
    assert focused() is artist.canvas
    for query in ("noise source", "scheduler", "ksampler", "vae decode", "save image"):
        artist.key(K.Key_Tab)
        artist.pick(query)
    artist.key(K.Key_A, CTRL)
    artist.key(K.Key_J)
    graph = artist.graph
    assert graph.node("denoise").inputs.keys() == {"model", "noise", "positive", "schedule"}
    assert graph.node("save").inputs.keys() == {"image"}
    # the noise is as large as the model paints: found in the outline, set in the inspector
    artist.key(K.Key_2, ALT)
    while artist.selection != ["noise"]:
        artist.key(K.Key_Down)
    artist.key(K.Key_Return)
    for size in ("width", "height"):
        while not artist.panels.inspector.rows[size].isAncestorOf(focused()):
            artist.key(K.Key_Tab)
        artist.type("64")
        artist.key(K.Key_Return)
    artist.key(K.Key_Return, CTRL)
    qtbot.waitUntil(lambda: bool(endings), timeout=PATIENCE_MS)
    assert endings[-1]["status"] == "ok"
    assert len(list((tmp_path / "output").glob("*.png"))) == 1
    # the system's own dialog asks for the name
    path = tmp_path / "mine.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    # off screen, a window is left inactive by what is closed elsewhere
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    artist.key(K.Key_S, CTRL)
    assert load(path) == artist.document.workflow
    assert load(path).graph.node("prompt").params["prompt"] == "a blue sailboat at sea"


# --- the first minutes


def test_an_empty_canvas_says_how_to_begin_and_offers_templates(beginner: Artist) -> None:
    hint = beginner.canvas.hint
    assert hint.text.isVisible()
    assert all(button.isVisible() for button in hint.buttons)
    assert hint.buttons[0].text() == "Text to image"
    # the words are in nobody's way
    beginner.double_click(QPointF(hint.text.geometry().center()))
    beginner.pick("preview")
    assert beginner.selection == ["preview"]
    assert not hint.text.isVisible()
    beginner.key(K.Key_Z, CTRL)
    assert hint.text.isVisible()


def test_a_template_is_put_into_the_empty_document_as_one_step(
    beginner: Artist, desk: Desk
) -> None:
    button = next(one for one in beginner.canvas.hint.buttons if one.text() == "Inpaint")
    hands.click(button)
    assert len(beginner.window.documents.pages) == 1
    assert len(beginner.graph) > 8
    assert focused() is beginner.canvas
    # the picture that it reads is found from here
    file = Path(str(beginner.graph.node("picture").params["file"]))
    assert (beginner.page.watch.base / file).is_file()
    beginner.key(K.Key_Z, CTRL)
    assert not beginner.graph.nodes


def test_a_run_of_nothing_says_what_to_do(beginner: Artist, desk: Desk) -> None:
    beginner.key(K.Key_Return, CTRL)
    assert desk.workers == []
    failure = beginner.page.failure
    assert failure.what.text() == "The canvas is empty"
    assert "Tab" in failure.remedy.text()
    assert not failure.offer.isVisible()


def test_a_run_that_would_keep_nothing_offers_a_node_that_does(artist: Artist, desk: Desk) -> None:
    artist.click(artist.title("save"))
    artist.key(K.Key_Delete)
    artist.key(K.Key_Return, CTRL)
    assert desk.workers == []
    failure = artist.page.failure
    assert "keeps or shows" in failure.what.text()
    hands.click(failure.offer)
    assert not failure.isVisible()
    assert artist.graph.node("save").inputs == {"image": Link(NodeId("decode"), "image")}
    artist.key(K.Key_Return, CTRL)
    assert desk.worker.runs == 1


def test_a_missing_link_is_told_with_what_gives_it_and_can_be_added(
    artist: Artist, desk: Desk, qtbot: QtBot
) -> None:
    artist.click(artist.title("noise"))
    artist.key(K.Key_Delete)
    artist.key(K.Key_Return, CTRL)
    desk.worker.say(
        "failed", node="denoise", where="denoise.noise", what="is not connected",
        remedy="add a node that gives Noise: noise_source",
    )  # fmt: skip
    desk.worker.done("failed")
    failure = artist.page.failure
    qtbot.waitUntil(failure.isVisible)
    assert "noise_source" in failure.remedy.text()
    hands.click(failure.offer)
    assert artist.graph.node("denoise").inputs["noise"] == Link(NodeId("noise"), "latents")
    assert focused() is artist.canvas


@holds(31)
def test_a_link_that_is_replaced_comes_back_by_undo(artist: Artist) -> None:
    artist.drag(artist.output("negative", "conditioning"), artist.input("denoise", "positive"))
    links = artist.graph.node("denoise").inputs
    assert links["positive"] == Link(NodeId("negative"), "conditioning")
    artist.key(K.Key_Z, CTRL)
    links = artist.graph.node("denoise").inputs
    assert links["positive"] == Link(NodeId("prompt"), "conditioning")


@holds(48)
def test_a_number_shows_the_node_that_it_was_given_to(artist: Artist) -> None:
    for name in ("decode", "denoise"):
        artist.click(artist.title(name))
        artist.key(K.Key_1, CTRL)
        assert artist.page.viewed == name
    artist.click(artist.title("decode"))
    artist.key(K.Key_2)
    assert artist.page.viewed == "decode"
    artist.key(K.Key_1)
    assert artist.page.viewed == "denoise"


def test_every_interaction_has_a_holder() -> None:
    assert list(INTERACTIONS) == list(range(1, 67))
    held = {number for numbers in HERE.values() for number in numbers}
    assert held | ELSEWHERE.keys() == INTERACTIONS.keys()


def test_every_holder_elsewhere_is_there() -> None:
    folder = Path(__file__).parent
    gone = []
    for holder in {one for several in ELSEWHERE.values() for one in several}:
        file, name = holder.split("::")
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
        if not any(isinstance(one, ast.FunctionDef) and one.name == name for one in tree.body):
            gone.append(holder)
    assert gone == []
