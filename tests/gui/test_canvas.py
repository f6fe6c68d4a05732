"""The canvas: what hands and keys do to the document, and what of the scene an edit touches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QPainter,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QPlainTextEdit
from pytestqt.qtbot import QtBot

from studio import registry
from studio.graph import Graph, Json, Link, Node, NodeId, Types
from studio.gui import edits
from studio.gui.canvas.layout import shown
from studio.gui.canvas.look import Detail
from studio.gui.canvas.palette import entries, ranked
from studio.gui.canvas.row_editor import parsed, typed
from studio.gui.canvas.tips import help_at
from studio.gui.document import Document
from studio.gui.mime import MIME_NODE_TYPE
from studio.gui.states import Failure, NodeState
from studio.gui.theme import Theme
from studio.workflow import Workflow
from tests.gui.canvases import (
    ALT,
    CTRL,
    LEFT,
    MIDDLE,
    NONE,
    RIGHT,
    SHIFT,
    WORKFLOWS,
    Hand,
    focused,
    opened,
)
from tests.gui.hands import double_click, drag, key, move, press, release, wheel

# what the off-screen platform says of menus and tool tips
pops_up = pytest.mark.qt_log_ignore("This plugin does not support")


@pytest.fixture(scope="module")
def types() -> Types:
    return registry.load(is_safe=True).types


Open = Callable[[Document], Hand]


@pytest.fixture
def open_canvas(qtbot: QtBot) -> Open:
    return partial(opened, qtbot=qtbot)


@pytest.fixture
def hand(open_canvas: Open, types: Types) -> Hand:
    return open_canvas(Document.open(WORKFLOWS / "text-to-image.json", types))


@pytest.fixture
def empty(open_canvas: Open, types: Types) -> Hand:
    return open_canvas(Document.new(types))


# --- what an edit touches


def test_an_edit_of_a_parameter_rebuilds_one_node_and_its_links_only(
    hand: Hand, types: Types
) -> None:
    document = hand.canvas.document
    others = {name: item for name, item in hand.canvas.content.nodes.items() if name != "denoise"}
    document.edit(edits.set_param(document.workflow, "denoise", "guidance", 7.5), "Set")
    applied = hand.canvas.content.applied
    assert (applied.nodes, applied.moved, applied.links, applied.removed) == (1, 0, 6, 0)
    assert all(hand.canvas.content.nodes[name] is item for name, item in others.items())


def test_a_move_rebuilds_no_node_and_only_the_links_at_it(hand: Hand) -> None:
    document = hand.canvas.document
    document.edit(edits.move(document.workflow, {"save": (900.0, 500.0)}), "Move")
    applied = hand.canvas.content.applied
    assert (applied.nodes, applied.moved, applied.links, applied.removed) == (0, 1, 1, 0)


def test_removing_a_node_takes_its_links_from_the_scene(hand: Hand) -> None:
    document = hand.canvas.document
    document.edit(edits.remove(document.workflow, ["denoise"]), "Delete")
    assert NodeId("denoise") not in hand.canvas.content.nodes
    ends = {(link.source.node, link.target) for link in hand.canvas.content.links.values()}
    assert not any("denoise" in pair for pair in ends)
    assert len(ends) == 5


def test_undo_brings_the_links_of_a_removed_node_back(hand: Hand) -> None:
    document = hand.canvas.document
    before = set(hand.canvas.content.links)
    document.edit(edits.remove(document.workflow, ["denoise"]), "Delete")
    document.undo()
    assert set(hand.canvas.content.links) == before
    item = hand.canvas.content.links[NodeId("decode"), "latents"]
    assert item.start == hand.canvas.content.nodes[NodeId("denoise")].socket_pos(
        "latents", is_output=True
    )


def test_a_thousand_nodes_of_a_type_share_one_layout(open_canvas: Open, types: Types) -> None:
    defaults = types["vae_decode"].defaults()
    nodes = {
        NodeId(f"d_{n}"): Node(NodeId(f"d_{n}"), "vae_decode", params=defaults) for n in range(1000)
    }
    view: dict[str, Json] = {
        "nodes": {f"d_{n}": [n % 40 * 300, n // 40 * 200] for n in range(1000)}
    }
    hand = open_canvas(Document(types, Workflow(graph=Graph(nodes), view=view)))
    assert len({id(item.layout) for item in hand.canvas.content.nodes.values()}) == 1


def test_a_node_of_an_unknown_type_keeps_its_data_and_shows_its_links(
    open_canvas: Open, types: Types
) -> None:
    strange = Node(NodeId("odd"), "from_a_pack", 3, {"knob": 5}, {}, extra={"note": "kept"})
    save = Node(NodeId("save"), "save_image", inputs={"image": Link(NodeId("odd"), "picture")})
    document = Document(types, Workflow(graph=Graph({strange.id: strange, save.id: save})))
    hand = open_canvas(document)
    item = hand.canvas.content.nodes[strange.id]
    assert [s.name for s in item.layout.sockets if s.is_output] == ["picture"]
    assert (NodeId("save"), "image") in hand.canvas.content.links
    hand.drag(hand.title("odd"), hand.title("odd") + QPointF(60, 0))
    assert hand.graph.node("odd") == strange


def test_nodes_without_a_place_are_laid_out_apart(open_canvas: Open, types: Types) -> None:
    document = Document.open(WORKFLOWS / "text-to-image.json", types)
    document = Document(types, replace(document.workflow, view={}))
    hand = open_canvas(document)
    rects = [item.scene_rect for item in hand.canvas.content.nodes.values()]
    assert not any(a is not b and a.intersects(b) for a in rects for b in rects)


# --- the camera


def test_the_wheel_zooms_and_keeps_what_is_under_the_cursor(hand: Hand) -> None:
    place = hand.title("denoise")
    before = hand.canvas.mapToScene(place.toPoint())
    wheel(hand.port, place, 3)
    assert hand.canvas.zoom == pytest.approx(0.6 * 1.2**3)
    after = hand.canvas.mapToScene(place.toPoint())
    assert (after - before).manhattanLength() < 3.0


@pytest.mark.parametrize(("notches", "limit"), [(60, 4.0), (-60, 0.05)])
def test_zoom_ends_at_its_limits(hand: Hand, notches: int, limit: float) -> None:
    wheel(hand.port, QPointF(400, 300), notches)
    assert hand.canvas.zoom == limit


def test_a_drag_with_the_middle_button_pans_and_changes_nothing(hand: Hand) -> None:
    before, document = hand.canvas.seen_rect().center(), hand.canvas.document.workflow
    hand.drag(QPointF(300, 300), QPointF(420, 360), MIDDLE)
    moved = (before - hand.canvas.seen_rect().center()) * hand.canvas.zoom
    assert (moved - QPointF(120, 60)).manhattanLength() < 3
    assert hand.canvas.document.workflow is document


def test_space_and_drag_pans_even_over_a_node(hand: Hand) -> None:
    before, start = hand.canvas.seen_rect().center(), hand.title("denoise")
    QTest.keyPress(hand.canvas, Qt.Key.Key_Space)
    hand.drag(start, start + QPointF(90, 0))
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Space)
    assert hand.canvas.seen_rect().center().x() < before.x()
    assert hand.canvas.document.position == 0


@pytest.mark.parametrize("pressed", [Qt.Key.Key_A, Qt.Key.Key_Home])
def test_a_key_frames_all(hand: Hand, pressed: Qt.Key) -> None:
    hand.canvas.set_zoom(3.0)
    hand.key(pressed)
    assert hand.canvas.seen_rect().contains(hand.canvas.content.content_rect())


def test_f_frames_the_selected(hand: Hand) -> None:
    hand.select("save")
    hand.key(Qt.Key.Key_F)
    assert hand.canvas.zoom == 1.0
    center = hand.canvas.content.nodes[NodeId("save")].scene_rect.center()
    assert (hand.canvas.seen_rect().center() - center).manhattanLength() < 40


@pytest.mark.parametrize(
    ("zoom", "detail"),
    [(1.0, Detail.NEAR), (0.6, Detail.NEAR), (0.5, Detail.MIDDLE), (0.15, Detail.FAR)],
)
def test_detail_follows_the_zoom(hand: Hand, zoom: float, detail: Detail) -> None:
    hand.canvas.set_zoom(0.3)
    hand.canvas.set_zoom(zoom)
    assert hand.canvas.look.detail is detail


def test_links_are_smooth_only_when_nothing_moves(hand: Hand, qtbot: QtBot) -> None:
    smooth = QPainter.RenderHint.Antialiasing
    wheel(hand.port, QPointF(400, 300), 1)
    assert not hand.canvas.renderHints() & smooth
    qtbot.waitUntil(lambda: bool(hand.canvas.renderHints() & smooth), timeout=2000)


def test_from_far_away_the_selected_node_is_still_told_apart(hand: Hand) -> None:
    hand.select("denoise")
    hand.canvas.set_zoom(0.06)
    place = hand.view(hand.canvas.content.nodes[NodeId("denoise")].scene_rect.center())
    image = hand.canvas.grab().toImage()
    assert image.pixelColor(place.toPoint()) == Theme.dark().accent


@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_the_text_of_a_muted_node_can_still_be_read(hand: Hand, zoom: float) -> None:
    hand.select("save")
    hand.key(Qt.Key.Key_M)
    hand.select()
    hand.canvas.set_zoom(zoom)
    item = hand.canvas.content.nodes[NodeId("save")]
    hand.canvas.look_at(item.scene_rect.center())
    image = hand.canvas.grab().toImage()
    bar = QRectF(hand.view(item.pos()), hand.view(item.pos() + QPointF(110, 28)))
    shades = [
        image.pixelColor(x, y).lightnessF()
        for x in range(int(bar.left()) + 3, int(bar.right()))
        for y in range(int(bar.top()) + 3, int(bar.bottom()) - 1)
    ]
    light, dark = max(shades), min(shades)
    # 4.5 : 1 in the dark theme
    assert (light**2.2 + 0.05) / (dark**2.2 + 0.05) > 4.5


def test_the_minimap_looks_where_it_is_clicked(hand: Hand) -> None:
    hand.canvas.set_zoom(2.0)
    hand.canvas.look_at(hand.canvas.content.nodes[NodeId("save")].scene_rect.center())
    before = hand.canvas.seen_rect().center().x()
    hand.canvas.minimap.hide()
    hand.key(Qt.Key.Key_M, ALT)
    assert hand.canvas.minimap.isVisible()
    press(hand.canvas.minimap, QPointF(20, 70))
    assert hand.canvas.seen_rect().center().x() < before - 500


# --- selecting


def test_a_click_selects_one_node(hand: Hand, qtbot: QtBot) -> None:
    hand.select("save", "model")
    with qtbot.waitSignal(hand.canvas.selection_changed) as signal:
        hand.click(hand.title("denoise"))
    assert signal.args == [("denoise",)]


def test_shift_adds_and_ctrl_toggles(hand: Hand) -> None:
    hand.click(hand.title("noise"))
    hand.click(hand.title("denoise"), SHIFT)
    hand.click(hand.title("denoise"), SHIFT)
    assert list(hand.canvas.content.selection) == ["noise", "denoise"]
    hand.click(hand.title("noise"), CTRL)
    hand.click(hand.title("save"), CTRL)
    assert list(hand.canvas.content.selection) == ["denoise", "save"]


def test_a_click_on_empty_canvas_selects_nothing(hand: Hand) -> None:
    hand.select("save")
    hand.click(QPointF(5, 890))
    assert not hand.canvas.content.selection


def test_a_rubber_band_selects_what_it_touches(hand: Hand) -> None:
    prompt, negative = (hand.canvas.content.nodes[NodeId(n)] for n in ("prompt", "negative"))
    around = prompt.scene_rect.united(negative.scene_rect).adjusted(-12, -12, -80, -12)
    hand.drag(hand.view(around.topLeft()), hand.view(around.bottomRight()))
    assert set(hand.canvas.content.selection) == {"prompt", "negative"}


def test_all_and_none_by_keys(hand: Hand) -> None:
    hand.key(Qt.Key.Key_A, CTRL)
    assert set(hand.canvas.content.selection) == set(hand.graph.nodes)
    hand.key(Qt.Key.Key_A, CTRL | SHIFT)
    assert not hand.canvas.content.selection


def test_l_selects_downstream_and_shift_l_upstream(hand: Hand) -> None:
    hand.select("denoise")
    hand.key(Qt.Key.Key_L)
    assert set(hand.canvas.content.selection) == {"denoise", "decode", "save"}
    hand.select("scheduler")
    hand.key(Qt.Key.Key_L, SHIFT)
    assert set(hand.canvas.content.selection) == {"scheduler", "model"}


# --- moving


def test_dragging_moves_the_selected_nodes_as_one_step(hand: Hand) -> None:
    hand.select("prompt", "negative")
    before = {name: hand.place(name) for name in ("prompt", "negative", "noise")}
    start = hand.title("prompt")
    hand.drag(start, start + QPointF(-60, 30))
    document = hand.canvas.document
    assert hand.place("prompt") == (before["prompt"][0] - 100, before["prompt"][1] + 50)
    assert hand.place("negative") == (before["negative"][0] - 100, before["negative"][1] + 50)
    assert hand.place("noise") == before["noise"]
    assert document.undo_texts == ["Move 2 nodes"]
    document.undo()
    assert hand.canvas.content.nodes[NodeId("prompt")].pos() == QPointF(*before["prompt"])


def test_shift_snaps_to_the_grid_while_moving(hand: Hand) -> None:
    hand.select("save")
    start = hand.title("save")
    hand.drag(start, start + QPointF(37, -23), modifiers=SHIFT)
    x, y = hand.place("save")
    assert (x % 20, y % 20) == (0, 0)
    assert hand.canvas.document.position == 1


def test_escape_puts_moved_nodes_back(hand: Hand) -> None:
    before, start = hand.place("save"), hand.title("save")
    press(hand.port, start)
    move(hand.port, start + QPointF(80, 80), LEFT)
    assert hand.canvas.content.nodes[NodeId("save")].pos() != QPointF(*before)
    hand.key(Qt.Key.Key_Escape)
    release(hand.port, start + QPointF(80, 80))
    assert hand.canvas.content.nodes[NodeId("save")].pos() == QPointF(*before)
    assert hand.canvas.document.position == 0


def test_arrow_keys_nudge_and_make_one_step(hand: Hand) -> None:
    hand.select("save")
    x, y = hand.place("save")
    hand.key(Qt.Key.Key_Right)
    hand.key(Qt.Key.Key_Down)
    hand.key(Qt.Key.Key_Down, SHIFT)
    assert hand.place("save") == (x + 4, y + 24)
    assert hand.canvas.document.position == 1


def test_a_pinned_node_stays(hand: Hand) -> None:
    hand.select("save")
    hand.key(Qt.Key.Key_P)
    before, start = hand.place("save"), hand.title("save")
    hand.drag(start, start + QPointF(90, 0))
    assert hand.place("save") == before


def test_alt_drag_moves_a_copy(hand: Hand) -> None:
    hand.select("noise")
    before, start = hand.place("noise"), hand.title("noise")
    hand.drag(start, start + QPointF(0, 120), modifiers=ALT)
    assert hand.place("noise") == before
    assert hand.place("noise_2") == (before[0], before[1] + 200)


def test_a_shaken_node_leaves_its_links(hand: Hand) -> None:
    start = hand.title("decode")
    turns = [start + QPointF(dx, 0) for dx in (40, -40, 40, -40, 40, -40, 40)]
    drag(hand.port, [start, *turns])
    assert not hand.graph.node("decode").inputs


# --- linking


def test_a_drag_from_an_output_links_and_replaces(hand: Hand) -> None:
    hand.drag(hand.output("negative", "conditioning"), hand.input("denoise", "positive"))
    assert hand.graph.node("denoise").inputs["positive"] == Link(NodeId("negative"), "conditioning")
    assert hand.canvas.document.position == 1


def test_a_drag_from_a_free_input_links(hand: Hand) -> None:
    w = edits.disconnect(hand.canvas.document.workflow, "decode", "latents")
    hand.canvas.document.edit(w, "Unlink")
    hand.drag(hand.input("decode", "latents"), hand.output("denoise", "latents"))
    assert hand.graph.node("decode").inputs["latents"] == Link(NodeId("denoise"), "latents")


def test_a_drag_from_a_linked_input_plugs_it_in_elsewhere_as_one_step(hand: Hand) -> None:
    hand.drag(hand.input("denoise", "negative"), hand.input("denoise", "positive"))
    inputs = hand.graph.node("denoise").inputs
    assert inputs["positive"] == Link(NodeId("negative"), "conditioning")
    assert "negative" not in inputs
    assert hand.canvas.document.position == 1


def test_a_link_dropped_on_empty_canvas_is_taken_off(hand: Hand) -> None:
    hand.drag(hand.input("denoise", "negative"), QPointF(600, 880))
    assert "negative" not in hand.graph.node("denoise").inputs


def test_a_link_put_back_where_it_was_is_no_step(hand: Hand) -> None:
    place = hand.input("denoise", "negative")
    drag(hand.port, [place, place + QPointF(-40, 60), place])
    assert hand.canvas.document.position == 0
    assert hand.canvas.content.links[NodeId("denoise"), "negative"].isVisible()


@pops_up
def test_what_cannot_take_a_link_is_dimmed_and_says_why(hand: Hand, qtbot: QtBot) -> None:
    start = hand.output("denoise", "latents")
    press(hand.port, start)
    move(hand.port, start + QPointF(20, 60), LEFT)
    decode = hand.canvas.content.nodes[NodeId("decode")]
    assert (False, "vae") in decode._dimmed
    assert (False, "latents") not in decode._dimmed
    with qtbot.waitSignal(hand.canvas.status) as signal:
        move(hand.port, hand.input("decode", "vae"), LEFT)
    assert signal.args is not None
    assert "takes Vae, but denoise.latents gives Latents" in str(signal.args[0])
    release(hand.port, hand.input("decode", "vae"))
    assert hand.canvas.document.position == 0
    assert not decode._dimmed


@pops_up
def test_a_link_that_would_close_a_cycle_is_refused(open_canvas: Open, types: Types) -> None:
    w, first = edits.add_node(Workflow(), types, "latent_upscale", (0.0, 0.0))
    w, second = edits.add_node(w, types, "latent_upscale", (400.0, 0.0))
    w = edits.connect(w, types, first, "latents", second, "latents")
    hand = open_canvas(Document(types, w))
    hand.drag(hand.output(second, "latents"), hand.input(first, "latents"))
    assert not hand.graph.node(first).inputs


def test_a_link_dropped_on_a_node_finds_the_free_input_that_fits(hand: Hand) -> None:
    w = edits.disconnect(hand.canvas.document.workflow, "save", "image")
    hand.canvas.document.edit(w, "Unlink")
    hand.drag(hand.output("decode", "image"), hand.title("save"))
    assert hand.graph.node("save").inputs["image"] == Link(NodeId("decode"), "image")


def test_shift_drag_moves_all_links_of_an_output(hand: Hand, types: Types) -> None:
    document = hand.canvas.document
    w, new = edits.add_node(document.workflow, types, "load_model", (40.0, 520.0))
    document.edit(w, "Add")
    hand.drag(hand.output("model", "model"), hand.output(new, "model"), modifiers=SHIFT)
    assert hand.graph.node("denoise").inputs["model"] == Link(new, "model")
    assert hand.graph.node("scheduler").inputs["model"] == Link(new, "model")
    assert hand.graph.node("decode").inputs["vae"] == Link(NodeId("model"), "vae")


def test_the_knife_cuts_what_it_crosses_as_one_step(hand: Hand) -> None:
    link = hand.canvas.content.links[NodeId("decode"), "latents"]
    middle = (link.start + link.end) / 2
    above, below = middle + QPointF(0, -40), middle + QPointF(0, 40)
    hand.drag(hand.view(above), hand.view(below), RIGHT, CTRL)
    assert "latents" not in hand.graph.node("decode").inputs
    assert hand.canvas.document.position == 1


def test_a_node_dropped_on_a_link_goes_into_it(hand: Hand, types: Types) -> None:
    document = hand.canvas.document
    w, new = edits.add_node(document.workflow, types, "latent_upscale", (700.0, 700.0))
    w = edits.move(w, {"decode": (1500.0, 240.0)})
    document.edit(w, "Add")
    link = hand.canvas.content.links[NodeId("decode"), "latents"]
    middle = (link.start + link.end) / 2
    item = hand.canvas.content.nodes[new]
    target = hand.view(middle - QPointF(60, 40))
    hand.drag(hand.title(new), target)
    assert hand.graph.node("decode").inputs["latents"] == Link(new, "latents")
    assert hand.graph.node(new).inputs["latents"] == Link(NodeId("denoise"), "latents")
    assert document.undo_texts[-1] == f"Insert {new}"
    document.undo()
    hand.drag(hand.title(new), target, modifiers=ALT)
    assert hand.graph.node("decode").inputs["latents"] == Link(NodeId("denoise"), "latents")
    assert item.isVisible()


# --- the palette


@pytest.mark.parametrize("query", ["ksampler", "sampler", "denoise", "deno", "dnoise"])
def test_the_search_finds_denoise_by_name_alias_and_letters(types: Types, query: str) -> None:
    assert ranked(query, entries(types.values()))[0].key == "denoise"


def test_tab_opens_the_palette_and_enter_adds_at_the_cursor(empty: Hand) -> None:
    empty.point(QPointF(300, 200))
    at = empty.canvas.mapToScene(QPoint(300, 200))
    empty.key(Qt.Key.Key_Tab)
    empty.type("ksampler")
    key(empty.canvas.adding.palette.field, Qt.Key.Key_Return)
    assert [node.type for node in empty.graph] == ["denoise"]
    x, y = empty.place("denoise")
    assert abs(x - at.x()) <= 1
    assert abs(y - at.y()) <= 16
    assert not empty.canvas.adding.palette.isVisible()
    assert list(empty.canvas.content.selection) == ["denoise"]


def test_arrow_keys_lead_through_the_palette(empty: Hand) -> None:
    double_click(empty.port, QPointF(300, 200))
    box = empty.canvas.adding.palette
    wanted = box.list.item(2).text()
    key(box.field, Qt.Key.Key_Down)
    key(box.field, Qt.Key.Key_Down)
    assert box.list.currentItem().text() == wanted
    key(box.field, Qt.Key.Key_Escape)
    assert not box.isVisible()
    assert not empty.graph.nodes


def test_escape_gives_the_focus_back_and_a_letter_is_a_key_again(hand: Hand) -> None:
    hand.select("decode")
    hand.key(Qt.Key.Key_Tab)
    hand.type("m")
    key(focused(), Qt.Key.Key_Escape)
    assert hand.graph.node("decode").mode == "normal"
    key(focused(), Qt.Key.Key_M)
    assert hand.graph.node("decode").mode == "mute"


def test_a_link_dropped_on_empty_canvas_offers_what_fits_and_wires_it(hand: Hand) -> None:
    hand.drag(hand.output("denoise", "latents"), QPointF(900, 700))
    box = hand.canvas.adding.palette
    keys = [box.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(box.list.count())]
    assert "vae_decode" in keys
    assert "load_image" not in keys
    hand.type("vae")
    key(box.field, Qt.Key.Key_Return)
    assert hand.graph.node("decode_2").inputs == {"latents": Link(NodeId("denoise"), "latents")}
    assert hand.canvas.document.position == 1


def test_a_new_node_is_linked_to_the_selected_one(hand: Hand) -> None:
    hand.select("decode")
    hand.canvas.add_at_cursor("preview")
    assert hand.graph.node("preview").inputs == {"image": Link(NodeId("decode"), "image")}


def test_a_type_dropped_from_the_library_stands_there(empty: Hand) -> None:
    data = QMimeData()
    data.setData(MIME_NODE_TYPE, b"load_model")
    place = QPointF(420, 330)
    enter = QDragEnterEvent(place.toPoint(), Qt.DropAction.CopyAction, data, LEFT, NONE)
    QApplication.sendEvent(empty.port, enter)
    assert enter.isAccepted()
    event = QDropEvent(place, Qt.DropAction.CopyAction, data, LEFT, NONE)
    QApplication.sendEvent(empty.port, event)
    assert empty.place("model")[0] == pytest.approx(
        empty.canvas.mapToScene(place.toPoint()).x(), abs=1
    )


def test_ctrl_f_finds_a_node_and_frames_it(hand: Hand) -> None:
    hand.key(Qt.Key.Key_F, CTRL)
    hand.type("sched")
    key(hand.canvas.adding.palette.field, Qt.Key.Key_Return)
    assert list(hand.canvas.content.selection) == ["scheduler"]
    center = hand.canvas.content.nodes[NodeId("scheduler")].scene_rect.center()
    assert hand.canvas.seen_rect().contains(center)


def test_swapping_the_type_keeps_the_links(hand: Hand) -> None:
    hand.select("save")
    hand.key(Qt.Key.Key_S, SHIFT)
    hand.type("preview")
    key(hand.canvas.adding.palette.field, Qt.Key.Key_Return)
    swapped = [node for node in hand.graph if node.type == "preview"]
    assert swapped[0].inputs == {"image": Link(NodeId("decode"), "image")}
    assert not any(node.type == "save_image" for node in hand.graph)


# --- keys that edit


@pytest.mark.parametrize("pressed", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_a_key_deletes_the_selected(hand: Hand, pressed: Qt.Key) -> None:
    hand.select("noise", "save")
    hand.key(pressed)
    assert NodeId("noise") not in hand.graph
    assert NodeId("save") not in hand.graph
    assert hand.canvas.document.undo_texts == ["Delete 2 nodes"]


def test_ctrl_delete_reconnects_around_the_hole(hand: Hand, types: Types) -> None:
    document = hand.canvas.document
    w, new = edits.add_node(document.workflow, types, "latent_upscale", (700.0, 700.0))
    w = edits.insert_on_link(w, types, new, ("decode", "latents"))
    document.edit(w, "Insert")
    hand.select(new)
    hand.key(Qt.Key.Key_Delete, CTRL)
    assert hand.graph.node("decode").inputs["latents"] == Link(NodeId("denoise"), "latents")


def test_ctrl_d_duplicates_and_with_shift_keeps_the_links(hand: Hand) -> None:
    hand.select("denoise")
    hand.key(Qt.Key.Key_D, CTRL)
    assert not hand.graph.node("denoise_2").inputs
    assert list(hand.canvas.content.selection) == ["denoise_2"]
    hand.select("denoise")
    hand.key(Qt.Key.Key_D, CTRL | SHIFT)
    assert hand.graph.node("denoise_3").inputs == hand.graph.node("denoise").inputs


def test_cut_and_paste_put_nodes_at_the_cursor(hand: Hand) -> None:
    hand.select("noise")
    hand.key(Qt.Key.Key_X, CTRL)
    assert NodeId("noise") not in hand.graph
    hand.point(QPointF(700, 600))
    hand.key(Qt.Key.Key_V, CTRL)
    at = hand.canvas.mapToScene(QPoint(700, 600))
    assert hand.place("noise") == pytest.approx((at.x(), at.y()), abs=1)


def test_paste_with_links_keeps_those_from_outside(hand: Hand) -> None:
    hand.select("decode")
    hand.key(Qt.Key.Key_C, CTRL)
    hand.key(Qt.Key.Key_V, CTRL | SHIFT)
    assert hand.graph.node("decode_2").inputs == hand.graph.node("decode").inputs


def test_pasting_what_is_no_workflow_says_so(hand: Hand, qtbot: QtBot) -> None:
    QGuiApplication.clipboard().setText("a shopping list")
    with qtbot.waitSignal(hand.canvas.status):
        hand.key(Qt.Key.Key_V, CTRL)
    assert hand.canvas.document.position == 0


@pytest.mark.parametrize(("pressed", "mode"), [(Qt.Key.Key_M, "mute"), (Qt.Key.Key_B, "bypass")])
def test_a_key_mutes_or_bypasses_and_wakes(hand: Hand, pressed: Qt.Key, mode: str) -> None:
    hand.select("decode")
    hand.key(pressed)
    assert hand.graph.node("decode").mode == mode
    hand.key(pressed)
    assert hand.graph.node("decode").mode == "normal"


def test_h_collapses_to_the_title_and_links_follow(hand: Hand) -> None:
    hand.select("denoise")
    hand.key(Qt.Key.Key_H)
    assert edits.collapsed(hand.canvas.document.workflow) == {"denoise"}
    item = hand.canvas.content.nodes[NodeId("denoise")]
    assert item.rect.height() == 28
    link = hand.canvas.content.links[NodeId("decode"), "latents"]
    assert link.start == item.socket_pos("latents", is_output=True)


def sockets(hand: Hand, name: str) -> set[str]:
    """The inputs and outputs that a node shows; parameters have theirs at their rows."""
    layout = hand.canvas.content.nodes[NodeId(name)].layout
    return {one.name for one in layout.sockets if not one.is_param}


def test_ctrl_h_hides_the_sockets_that_nothing_needs_and_says_how_many(hand: Hand) -> None:
    before, height = sockets(hand, "denoise"), hand.canvas.content.nodes[NodeId("denoise")].rect
    hand.select("denoise")
    hand.key(Qt.Key.Key_H, CTRL)
    inputs = set(hand.graph.node("denoise").inputs)
    assert sockets(hand, "denoise") == inputs | {"latents"}
    item = hand.canvas.content.nodes[NodeId("denoise")]
    assert item.rect.height() < height.height()
    assert item.layout.unused == len(hand.canvas.content.hidden_sockets()[NodeId("denoise")]) == 7
    link = hand.canvas.content.links[NodeId("decode"), "latents"]
    assert link.start == item.socket_pos("latents", is_output=True)
    hand.click(hand.row("denoise", "⋯"))
    assert sockets(hand, "denoise") == before
    assert hand.canvas.document.undo_texts == [
        "Hide the unused sockets of denoise",
        "Show all sockets of denoise",
    ]


def test_required_inputs_of_a_tidy_node_stay_and_outputs_come_with_links(hand: Hand) -> None:
    hand.select("denoise", "decode")
    hand.key(Qt.Key.Key_H, CTRL)
    hand.canvas.document.edit(
        edits.disconnect(hand.canvas.document.workflow, "decode", "latents"), "Unlink"
    )
    assert "latents" in sockets(hand, "decode")
    assert "latents" not in sockets(hand, "denoise")
    hand.canvas.document.undo()
    assert "latents" in sockets(hand, "denoise")


@pytest.fixture
def tidy(hand: Hand, types: Types) -> Hand:
    """A hand beside a tidy denoise and an encode that could feed it."""
    w, _ = edits.add_node(hand.canvas.document.workflow, types, "vae_encode", (40.0, 700.0))
    hand.canvas.document.edit(edits.hide_unused(w, ["denoise"], True), "Prepare")
    return hand


def test_hidden_sockets_that_fit_show_while_a_link_is_dragged_and_take_it(tidy: Hand) -> None:
    assert "mask" not in sockets(tidy, "denoise")
    start = tidy.output("encode", "latents")
    press(tidy.port, start)
    move(tidy.port, start + QPointF(20, 20), LEFT)
    assert "mask" in sockets(tidy, "denoise")
    target = tidy.input("denoise", "latents")
    move(tidy.port, target, LEFT)
    release(tidy.port, target)
    assert tidy.graph.node("denoise").inputs["latents"] == Link(NodeId("encode"), "latents")
    item = tidy.canvas.content.nodes[NodeId("denoise")]
    assert item.layout.socket("latents", is_output=False) is not None
    assert item.layout.unused == 6


def test_hidden_sockets_go_again_when_a_drag_is_given_up(tidy: Hand) -> None:
    before = sockets(tidy, "denoise")
    start = tidy.output("encode", "latents")
    press(tidy.port, start)
    move(tidy.port, start + QPointF(20, 20), LEFT)
    assert sockets(tidy, "denoise") > before
    tidy.key(Qt.Key.Key_Escape)
    assert sockets(tidy, "denoise") == before


def test_a_copy_of_a_tidy_node_is_tidy(hand: Hand) -> None:
    hand.select("denoise")
    hand.key(Qt.Key.Key_H, CTRL)
    hand.key(Qt.Key.Key_D, CTRL)
    assert edits.tidy(hand.canvas.document.workflow) == {"denoise", "denoise_2"}


def test_ctrl_j_frames_the_selected_and_takes_a_title(hand: Hand) -> None:
    hand.select("prompt", "negative")
    hand.key(Qt.Key.Key_J, CTRL)
    hand.type("Words")
    key(focused(), Qt.Key.Key_Return)
    frame = edits.frames(hand.canvas.document.workflow)[0]
    assert frame.title == "Words"
    rect = QRectF(*frame.rect)
    assert rect.contains(hand.canvas.content.nodes[NodeId("prompt")].scene_rect)
    assert rect.contains(hand.canvas.content.nodes[NodeId("negative")].scene_rect)


def test_j_connects_the_selected_from_left_to_right(hand: Hand) -> None:
    w = edits.disconnect(hand.canvas.document.workflow, "save", "image")
    hand.canvas.document.edit(w, "Unlink")
    hand.select("save", "decode")
    hand.key(Qt.Key.Key_J)
    assert hand.graph.node("save").inputs["image"] == Link(NodeId("decode"), "image")


def test_f2_renames_and_links_follow(hand: Hand) -> None:
    hand.select("denoise")
    hand.key(Qt.Key.Key_F2)
    hand.type("paint")
    key(focused(), Qt.Key.Key_Return)
    assert hand.graph.node("decode").inputs["latents"] == Link(NodeId("paint"), "latents")
    assert list(hand.canvas.content.selection) == ["paint"]


def test_a_taken_name_is_refused_in_words(hand: Hand, qtbot: QtBot) -> None:
    hand.select("denoise")
    hand.key(Qt.Key.Key_F2)
    hand.type("save")
    with qtbot.waitSignal(hand.canvas.status) as signal:
        key(focused(), Qt.Key.Key_Return)
    assert signal.args is not None
    assert "exists already" in str(signal.args[0])
    assert NodeId("denoise") in hand.graph


def test_number_keys_show_a_node_and_remember_it(hand: Hand, qtbot: QtBot) -> None:
    hand.select("decode")
    with qtbot.waitSignal(hand.canvas.shown_in_viewer) as first:
        hand.key(Qt.Key.Key_1)
    hand.select("denoise")
    with qtbot.waitSignal(hand.canvas.shown_in_viewer) as second:
        hand.key(Qt.Key.Key_1)
    with qtbot.waitSignal(hand.canvas.shown_in_viewer) as third:
        hand.key(Qt.Key.Key_1, CTRL)
    assert [first.args, second.args, third.args] == [["decode"], ["decode"], ["denoise"]]


def test_every_action_has_a_text_and_no_key_is_given_twice(hand: Hand) -> None:
    keys = [key for action in hand.canvas.actions() for key in action.shortcuts()]
    assert len(keys) == len({key.toString() for key in keys})
    assert all(action.text() and action.objectName() for action in hand.canvas.actions())


@pops_up
def test_the_menu_of_a_node_selects_it_and_acts_on_it(hand: Hand) -> None:
    place = hand.title("decode").toPoint()
    event = QContextMenuEvent(
        QContextMenuEvent.Reason.Mouse, place, hand.port.mapToGlobal(place), NONE
    )
    QApplication.sendEvent(hand.port, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert list(hand.canvas.content.selection) == ["decode"]
    next(one for one in menu.actions() if one.objectName() == "canvas.mute").trigger()
    menu.close()
    assert hand.graph.node("decode").mode == "mute"


# --- groups


def test_a_group_is_made_entered_edited_and_left(hand: Hand) -> None:
    hand.select("denoise", "noise")
    hand.key(Qt.Key.Key_G, CTRL)
    name = next(node.id for node in hand.graph if node.type.startswith(Graph.GROUP))
    hand.select(name)
    hand.key(Qt.Key.Key_I)
    assert set(hand.canvas.content.nodes) == {"denoise", "noise"}
    hand.select("denoise")
    hand.key(Qt.Key.Key_M)
    body = next(iter(hand.canvas.document.workflow.groups.values()))
    assert body.graph.node("denoise").mode == "mute"
    hand.key(Qt.Key.Key_U)
    assert name in hand.canvas.content.nodes
    assert hand.canvas.group_path == ()


def test_the_state_of_a_node_in_a_group_goes_by_its_flat_id(hand: Hand) -> None:
    hand.select("denoise", "noise")
    hand.key(Qt.Key.Key_G, CTRL)
    name = next(node.id for node in hand.graph if node.type.startswith(Graph.GROUP))
    hand.canvas.set_states({f"{name}/denoise": NodeState("cached", "cached")})
    hand.canvas.enter(name)
    assert hand.canvas.content.nodes[NodeId("denoise")].state.status == "cached"
    assert hand.canvas.content.nodes[NodeId("noise")].state.status == "unknown"


# --- editing in place


def test_dragging_a_number_scrubs_it_as_one_step(hand: Hand) -> None:
    at = hand.row("denoise", "guidance")
    drag(hand.port, [at, at + QPointF(20, 0), at + QPointF(40, 0)])
    assert hand.graph.node("denoise").params["guidance"] == 6.0
    assert hand.canvas.document.undo_texts == ["Set denoise.guidance"]


def test_where_rows_are_not_painted_a_drag_moves_the_node(hand: Hand) -> None:
    hand.canvas.set_zoom(0.5)
    at = hand.row("denoise", "guidance")
    drag(hand.port, [at, at + QPointF(20, 0), at + QPointF(40, 0)])
    assert hand.graph.node("denoise").params["guidance"] == 5.0
    assert hand.canvas.document.undo_texts == ["Move denoise"]


def test_two_drags_of_a_number_are_two_steps(hand: Hand) -> None:
    for _ in range(2):
        at = hand.row("denoise", "guidance")
        drag(hand.port, [at, at + QPointF(40, 0)])
    assert hand.canvas.document.position == 2
    hand.canvas.document.undo()
    assert hand.graph.node("denoise").params["guidance"] == 6.0


@pytest.mark.parametrize(("modifiers", "value"), [(SHIFT, 5.1), (CTRL, 15.0)])
def test_shift_scrubs_finely_and_ctrl_coarsely(
    hand: Hand, modifiers: Qt.KeyboardModifier, value: float
) -> None:
    hand.select("denoise")
    at = hand.row("denoise", "guidance")
    drag(hand.port, [at, at + QPointF(40, 0)], modifiers=modifiers)
    assert hand.graph.node("denoise").params["guidance"] == value


def test_scrubbing_stops_at_the_range(hand: Hand) -> None:
    at = hand.row("denoise", "strength")
    drag(hand.port, [at, at + QPointF(3000, 0)])
    assert hand.graph.node("denoise").params["strength"] == 1.0


def test_escape_takes_a_scrub_back(hand: Hand) -> None:
    at = hand.row("denoise", "guidance")
    press(hand.port, at)
    move(hand.port, at + QPointF(40, 0), LEFT)
    hand.key(Qt.Key.Key_Escape)
    release(hand.port, at + QPointF(40, 0))
    assert hand.graph.node("denoise").params["guidance"] == 5.0


def test_double_click_types_a_number_with_arithmetic(hand: Hand) -> None:
    double_click(hand.port, hand.row("noise", "width"))
    assert isinstance(hand.canvas.editing.field.widget, QLineEdit)
    hand.type("512*2")
    key(hand.canvas.editing.field.widget, Qt.Key.Key_Return)
    assert hand.graph.node("noise").params["width"] == 1024
    assert hand.canvas.editing.field.widget is None


def test_a_number_out_of_range_is_refused_in_words(hand: Hand, qtbot: QtBot) -> None:
    double_click(hand.port, hand.row("denoise", "strength"))
    hand.type("7")
    with qtbot.waitSignal(hand.canvas.status) as signal:
        key(focused(), Qt.Key.Key_Return)
    assert signal.args == ["denoise.strength: 7.0 is outside 0 … 1"]
    assert hand.graph.node("denoise").params["strength"] == 1.0


def test_a_seed_is_exact_to_the_last_of_64_bits(hand: Hand) -> None:
    double_click(hand.port, hand.row("noise", "seed"))
    hand.type("2**64 - 1")
    key(focused(), Qt.Key.Key_Return)
    assert hand.graph.node("noise").params["seed"] == 2**64 - 1


def test_a_prompt_is_edited_in_several_lines_over_its_row(hand: Hand) -> None:
    double_click(hand.port, hand.row("prompt", "prompt"))
    editor = hand.canvas.editing.field.widget
    assert isinstance(editor, QPlainTextEdit)
    item = hand.canvas.content.nodes[NodeId("prompt")]
    assert hand.canvas.mapFromScene(item.scene_rect).boundingRect().contains(editor.geometry())
    hand.type("a boat")
    key(editor, Qt.Key.Key_Return)
    hand.type("at sea")
    hand.click(QPointF(5, 890))
    assert hand.graph.node("prompt").params["prompt"] == "a boat\nat sea"


def test_what_was_typed_is_taken_when_the_focus_goes_elsewhere(hand: Hand) -> None:
    double_click(hand.port, hand.row("noise", "seed"))
    hand.type("12")
    hand.canvas.setFocus()
    assert hand.graph.node("noise").params["seed"] == 12


def test_escape_gives_typing_up(hand: Hand) -> None:
    double_click(hand.port, hand.row("prompt", "prompt"))
    hand.type("gone")
    key(focused(), Qt.Key.Key_Escape)
    assert hand.canvas.document.position == 0


def test_a_click_on_the_tick_sets_it(hand: Hand) -> None:
    hand.click(hand.row("decode", "tile", 0.97))
    assert hand.graph.node("decode").params["tile"] is True


@pops_up
def test_a_click_on_the_arrow_offers_the_words(hand: Hand) -> None:
    hand.click(hand.row("scheduler", "solver", 0.97))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    next(one for one in menu.actions() if one.text() == "euler").trigger()
    menu.close()
    assert hand.graph.node("scheduler").params["solver"] == "euler"


def test_a_node_with_many_parameters_shows_all_on_a_click(hand: Hand) -> None:
    item = hand.canvas.content.nodes[NodeId("scheduler")]
    before = {row.name for row in item.layout.rows}
    hand.click(hand.row("scheduler", "…"))
    after = {row.name for row in item.layout.rows}
    assert "thresholding" in after - before
    assert hand.canvas.document.position == 0


def test_what_is_typed_is_what_was_shown_to_type(types: Types) -> None:
    for declared in types.values():
        for param in declared.params:
            again = parsed(param, typed(param, param.default))
            assert repr(again) == repr(param.default), (declared.id, param.name)


# --- frames and notes


@pytest.fixture
def framed(hand: Hand) -> Hand:
    document = hand.canvas.document
    w = edits.frame(document.workflow, ["noise"], "Noise", sizes=hand.canvas.content.sizes())
    document.edit(edits.note(w, (700.0, 900.0), "remember"), "Prepare")
    hand.canvas.frame_all()
    return hand


def handle(hand: Hand, key: tuple[str, int]) -> QPointF:
    return hand.view(hand.canvas.content.boxes[key].scene_rect.topLeft() + QPointF(8, 12))


def test_dragging_a_frame_takes_its_nodes_along(framed: Hand) -> None:
    before, frame = framed.place("noise"), edits.frames(framed.canvas.document.workflow)[0]
    start = handle(framed, ("frames", 0))
    framed.drag(start, start + QPointF(0, 100))
    now = edits.frames(framed.canvas.document.workflow)[0]
    shift = now.rect[1] - frame.rect[1]
    assert shift > 50
    assert framed.place("noise") == pytest.approx((before[0], before[1] + shift), abs=1)
    assert framed.canvas.document.position == 2


def test_with_ctrl_the_frame_moves_alone(framed: Hand) -> None:
    before = framed.place("noise")
    start = handle(framed, ("frames", 0))
    framed.drag(start, start + QPointF(0, 100), modifiers=CTRL)
    assert framed.place("noise") == before


def test_a_corner_resizes_a_note(framed: Hand) -> None:
    rect = framed.canvas.content.boxes["notes", 0].scene_rect
    corner = framed.view(rect.bottomRight() - QPointF(4, 4))
    framed.drag(corner, corner + QPointF(60, 40))
    width, height = edits.notes(framed.canvas.document.workflow)[0].rect[2:]
    assert width > rect.width() + 50
    assert height > rect.height() + 30


def test_a_note_is_moved_edited_and_deleted(framed: Hand) -> None:
    start = handle(framed, ("notes", 0))
    framed.drag(start, start + QPointF(50, 0))
    assert edits.notes(framed.canvas.document.workflow)[0].rect[0] > 740
    double_click(framed.port, handle(framed, ("notes", 0)))
    framed.type("later")
    framed.click(QPointF(3, 3))
    assert edits.notes(framed.canvas.document.workflow)[0].text == "later"
    framed.click(handle(framed, ("notes", 0)))
    framed.key(Qt.Key.Key_Delete)
    assert not edits.notes(framed.canvas.document.workflow)


# --- what runs show


def test_a_failure_is_painted_on_its_node_and_told_by_its_tip(hand: Hand) -> None:
    error = Failure("not enough memory", "decode", "turn on tile")
    hand.canvas.set_states({"decode": NodeState("failed", "failed", error=error)})
    item = hand.canvas.content.nodes[NodeId("decode")]
    assert item.boundingRect().height() > item.rect.height() + 40
    assert "turn on tile" in help_at(hand.canvas.content, item.pos() + QPointF(60, 12), 8)


def test_only_nodes_whose_state_changed_are_painted_again(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {str(name): NodeState("cached", "cached") for name in hand.graph.nodes}
    hand.canvas.set_states(states)
    updated: list[str] = []
    for name, item in hand.canvas.content.nodes.items():
        monkeypatch.setattr(item, "update", lambda name=name: updated.append(name))
    hand.canvas.set_states({**states, "denoise": NodeState("running", "step 1 of 20", 1, 20)})
    assert updated == ["denoise"]


def test_a_thumbnail_stands_under_the_rows_and_moves_no_socket(hand: Hand) -> None:
    item = hand.canvas.content.nodes[NodeId("decode")]
    before, height = item.socket_pos("image", is_output=True), item.rect.height()
    image = QImage(64, 32, QImage.Format.Format_RGB32)
    image.fill(QColor(10, 200, 30))
    hand.canvas.set_thumbnail("decode", image)
    assert item.socket_pos("image", is_output=True) == before
    assert item.rect.height() == height + 112 + 8
    place = hand.view(item.pos() + item.thumbnail_rect.center())
    painted = hand.canvas.grab().toImage().pixelColor(place.toPoint())
    assert (painted.red(), painted.green(), painted.blue()) == pytest.approx((10, 200, 30), abs=2)


def test_a_thumbnail_for_a_node_that_is_gone_is_let_go(hand: Hand) -> None:
    hand.canvas.set_thumbnail("long_gone", QImage(4, 4, QImage.Format.Format_RGB32))
    assert NodeId("long_gone") not in hand.canvas.content.nodes


def test_values_are_shown_as_people_read_them(types: Types) -> None:
    scheduler, denoise = types["scheduler"], types["denoise"]
    texts = [
        shown(scheduler.param("steps"), 20),
        shown(denoise.param("guidance"), 5.0),
        shown(denoise.param("end_step"), None),
        shown(denoise.param("add_noise"), True),
        shown(types["inpaint_mask"].param("strokes"), [{}]),
    ]
    assert texts == ["20 steps", "5", "none", "on", "1 stroke"]


def test_another_theme_paints_in_its_colours(hand: Hand) -> None:
    place = hand.view(hand.canvas.content.nodes[NodeId("save")].pos() + QPointF(120, 12))
    hand.canvas.set_theme(Theme.light())
    painted = hand.canvas.grab().toImage().pixelColor(place.toPoint())
    assert painted == Theme.light().node_title
