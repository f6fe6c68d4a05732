"""Reroute dots: looks that no key knows, put on links and moved by hand, kept through every edit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from studio import registry
from studio.graph import Graph, Json, Link, NodeId, Types
from studio.gui import edits
from studio.gui.canvas import curves
from studio.gui.canvas.tips import help_at
from studio.gui.document import Document
from studio.gui.edits import Bend, Dot
from studio.gui.theme import Theme
from studio.workflow import Workflow, dumps, load, loads
from tests.gui.canvases import ALT, CTRL, LEFT, NONE, RIGHT, SHIFT, WORKFLOWS, Hand, opened
from tests.gui.hands import double_click, drag, move, press, release

BASE = load(WORKFLOWS / "text-to-image.json")
MODEL = Link(NodeId("model"), "model")
LATENTS = Link(NodeId("denoise"), "latents")
pops_up = pytest.mark.qt_log_ignore("This plugin does not support")


def name(node: str, port: str) -> edits.Input:
    return NodeId(node), port


def way(w: Workflow, node: str, port: str) -> edits.Way:
    return edits.routes(w).get(name(node, port), ())


def bent(w: Workflow, node: str, port: str, *points: edits.Point) -> Workflow:
    for leg, point in enumerate(points):
        w, _ = edits.add_dots(w, [Bend(name(node, port), leg, point)])
    return w


@pytest.fixture(scope="module")
def types() -> Types:
    return registry.load(is_safe=True).types


# --- edits


def test_dots_are_looks_and_change_no_node() -> None:
    w = bent(BASE, "decode", "latents", (700, 40), (800, 90))
    assert w.graph is BASE.graph or w.graph == BASE.graph
    assert w.view["routes"] == {"decode": {"latents": [[700, 40], [800, 90]]}}
    assert loads(dumps(w)).view == w.view


def test_links_of_one_output_that_are_bent_together_share_a_dot_between() -> None:
    bends = [
        Bend(name("denoise", "model"), 0, (400.0, 0.0)),
        Bend(name("scheduler", "model"), 0, (400.0, 100.0)),
        Bend(name("decode", "latents"), 0, (900.0, 50.0)),
    ]
    w, made = edits.add_dots(BASE, bends)
    assert made == [Dot(MODEL, (400.0, 50.0)), Dot(LATENTS, (900.0, 50.0))]
    assert way(w, "denoise", "model") == way(w, "scheduler", "model") == ((400.0, 50.0),)


def shared() -> Workflow:
    """Two links from the model over one dot."""
    bends = [Bend(name(node, "model"), 0, (400.0, 50.0)) for node in ("denoise", "scheduler")]
    return edits.add_dots(BASE, bends)[0]


def test_a_dot_on_a_shared_stretch_is_put_on_all_its_links() -> None:
    w, _ = edits.add_dots(shared(), [Bend(name("denoise", "model"), 0, (300.0, 0.0))])
    assert way(w, "scheduler", "model") == ((300.0, 0.0), (400.0, 50.0))
    w, _ = edits.add_dots(w, [Bend(name("denoise", "model"), 2, (500.0, 0.0))])
    assert way(w, "denoise", "model") == ((300.0, 0.0), (400.0, 50.0), (500.0, 0.0))
    assert way(w, "scheduler", "model") == ((300.0, 0.0), (400.0, 50.0))


def test_a_shared_dot_moves_and_goes_for_all_its_links() -> None:
    dot = Dot(MODEL, (400.0, 50.0))
    w = edits.move_dots(shared(), {dot: (410.4, 60.0)})
    assert way(w, "denoise", "model") == way(w, "scheduler", "model") == ((410.0, 60.0),)
    w = edits.remove_dots(w, [Dot(MODEL, (410.0, 60.0))])
    assert w == BASE


def test_dots_of_a_link_that_meet_become_one() -> None:
    w = bent(BASE, "decode", "latents", (700, 40), (800, 90))
    w = edits.move_dots(w, {Dot(LATENTS, (800.0, 90.0)): (700.0, 40.0)})
    assert way(w, "decode", "latents") == ((700.0, 40.0),)


def test_a_rename_takes_the_dots_along() -> None:
    w = edits.rename(bent(BASE, "decode", "latents", (700, 40)), "decode", "paint")
    assert way(w, "paint", "latents") == ((700.0, 40.0),)
    w = edits.rename(w, "denoise", "dream")
    assert edits.dots(w) == [Dot(Link(NodeId("dream"), "latents"), (700.0, 40.0))]


def test_a_link_that_is_cut_or_replaced_loses_its_dots(types: Types) -> None:
    w = bent(BASE, "denoise", "positive", (200, 40))
    assert "routes" not in edits.disconnect(w, "denoise", "positive").view
    other = edits.connect(w, types, "negative", "conditioning", "denoise", "positive")
    assert "routes" not in other.view
    assert "routes" not in edits.remove(w, ["prompt"]).view
    assert "routes" not in edits.remove(w, ["denoise"]).view
    again = edits.connect(w, types, "prompt", "conditioning", "denoise", "positive", [(1, 2)])
    assert way(again, "denoise", "positive") == ((1.0, 2.0),)


def test_an_edit_of_a_node_keeps_the_dots_at_it() -> None:
    w = bent(BASE, "decode", "latents", (700, 40))
    w = edits.set_mode(edits.set_param(w, "denoise", "guidance", 3.0), ["decode"], "mute")
    assert way(w, "decode", "latents") == ((700.0, 40.0),)


def test_all_links_of_an_output_move_with_their_dots(types: Types) -> None:
    w, new = edits.add_node(shared(), types, "load_model")
    w = edits.move_links(w, types, ("model", "model"), (new, "model"))
    assert edits.dots(w) == [Dot(Link(new, "model"), (400.0, 50.0))]


def test_a_node_put_into_a_link_parts_its_dots_and_pulled_out_joins_them(types: Types) -> None:
    w = bent(BASE, "decode", "latents", (700, 40), (800, 90))
    w, new = edits.add_node(w, types, "latent_upscale", (750, 0))
    put = edits.insert_on_link(w, types, new, ("decode", "latents"), leg=1)
    assert way(put, new, "latents") == ((700.0, 40.0),)
    assert way(put, "decode", "latents") == ((800.0, 90.0),)
    out = edits.extract(put, types, [new])
    assert way(out, "decode", "latents") == ((700.0, 40.0), (800.0, 90.0))
    gone = edits.remove_and_reconnect(put, types, [new])
    assert way(gone, "decode", "latents") == ((700.0, 40.0), (800.0, 90.0))


def test_a_swapped_node_keeps_the_dots_of_the_links_that_stay(types: Types) -> None:
    w = bent(bent(BASE, "decode", "latents", (700, 40)), "save", "image", (900, 40))
    w = edits.swap_type(w, types, "save", "preview")
    assert way(w, "save", "image") == ((900.0, 40.0),)
    w = edits.swap_type(w, types, "denoise", "latent_upscale")
    assert w.graph.node("decode").inputs["latents"].node == "denoise"
    assert way(w, "decode", "latents") == ((700.0, 40.0),)


def test_copies_take_their_dots_along_and_share_those_from_outside() -> None:
    w = bent(shared(), "decode", "latents", (700, 40))
    w, (denoise, decode) = edits.duplicate(w, ["denoise", "decode"], (40, 30), with_links=True)
    assert way(w, decode, "latents") == ((740.0, 70.0),)
    assert way(w, denoise, "model") == ((400.0, 50.0),)


def test_pasted_nodes_bring_their_dots_to_where_they_stand(types: Types) -> None:
    w = bent(BASE, "decode", "latents", (700, 40))
    x, y = edits.positions(w)[NodeId("denoise")]
    top = min(y, edits.positions(w)[NodeId("decode")][1])
    text = edits.copy_text(w, ["denoise", "decode"])
    pasted, _ = edits.paste_text(Workflow(), types, text, (0.0, 0.0))
    assert way(pasted, "decode", "latents") == ((700.0 - x, 40.0 - top),)


def test_grouping_takes_inner_dots_in_and_leaves_outer_ones_out(types: Types) -> None:
    w = bent(shared(), "decode", "latents", (700, 40))
    w = bent(w, "denoise", "noise", (100, 900))
    grouped, stand_in = edits.group(w, types, ["denoise", "noise"], "part")
    inside = edits.body(grouped, "part")
    assert edits.routes(inside) == {name("denoise", "noise"): ((100.0, 900.0),)}
    assert "routes" in inside.view
    assert inside.view["routes"] == {"denoise": {"noise": [[100, 900]]}}
    assert way(grouped, stand_in, "model") == way(grouped, "scheduler", "model") == ((400.0, 50.0),)
    assert way(grouped, "decode", "latents") == ((700.0, 40.0),)
    apart, _ = edits.ungroup(grouped, types, [stand_in])
    assert edits.routes(apart) == edits.routes(w)


def test_laying_out_takes_the_dots_of_links_between_what_is_laid_out(types: Types) -> None:
    w = bent(bent(BASE, "decode", "latents", (700, 40)), "save", "image", (900, 40))
    part = edits.auto_layout(w, types, ["denoise", "decode"])
    assert edits.routes(part) == {name("save", "image"): ((900.0, 40.0),)}
    assert "routes" not in edits.auto_layout(w, types).view


JUNK: list[Json] = [
    7,
    {"decode": 3},
    {"decode": {"latents": "round"}},
    {"decode": {"latents": [[1, 2], [3]]}},
    {"decode": {"latents": [[1, "x"]]}},
    {"nobody": {"latents": [[1, 2]]}, "decode": {"no_port": [[1, 2]]}},
]


@pytest.mark.parametrize("junk", JUNK)
def test_routes_that_cannot_be_read_are_passed_over_and_kept(junk: Json) -> None:
    w = replace(BASE, view={**BASE.view, "routes": junk})
    assert edits.routes(w) == {}
    changed = edits.set_param(w, "denoise", "guidance", 2.0)
    assert changed.view["routes"] == junk


def test_other_routes_survive_beside_junk() -> None:
    w = replace(BASE, view={**BASE.view, "routes": {"nobody": {"x": [[1, 2]]}, "save": "odd"}})
    w = bent(w, "decode", "latents", (700, 40))
    w = edits.remove_dots(w, edits.dots(w))
    assert w.view["routes"] == {"nobody": {"x": [[1, 2]]}, "save": "odd"}


# --- curves


def test_a_way_runs_through_its_dots_without_a_corner() -> None:
    dots = [QPointF(200, 100), QPointF(150, 250)]
    heads = {0: curves.unit(QPointF(1, 2)), 1: curves.unit(QPointF(-1, 1))}
    legs = curves.legs(QPointF(0, 0), dots, QPointF(400, 300), heads)
    assert [leg[0] for leg in legs[1:]] == dots
    for before, after in pairwise(legs):
        arriving = curves.unit(before[3] - before[2])
        leaving = curves.unit(after[1] - after[0])
        assert (arriving - leaving).manhattanLength() < 1e-9
    assert legs[0][1].y() == 0.0
    assert legs[-1][2].y() == 300.0


# --- by hand


@pytest.fixture
def hand(qtbot: QtBot, types: Types) -> Hand:
    return opened(Document.open(WORKFLOWS / "text-to-image.json", types), qtbot)


def now(hand: Hand) -> Workflow:
    return hand.canvas.document.workflow


def on_link(hand: Hand, node: str, port: str, share: float = 0.5) -> QPointF:
    """A place of the screen on a link."""
    legs = hand.canvas.content.links[name(node, port)].legs
    points = [point for leg in legs for point in curves.points(leg)]
    return hand.view(points[round(share * (len(points) - 1))])


def with_dots(hand: Hand, node: str, port: str, *points: edits.Point) -> list[Dot]:
    hand.canvas.document.edit(bent(now(hand), node, port, *points), "Bend")
    source = hand.graph.node(node).inputs[port]
    return [Dot(source, point) for point in points]


def at(hand: Hand, dot: Dot) -> QPointF:
    return hand.view(QPointF(*dot.at))


def test_alt_click_on_a_wire_puts_a_dot_there(hand: Hand) -> None:
    place = on_link(hand, "decode", "latents")
    hand.click(place, ALT)
    (dot,) = edits.dots(now(hand))
    assert (at(hand, dot) - place).manhattanLength() < 4
    assert hand.canvas.document.undo_texts[-1:] == ["Add 1 dot(s)"]
    assert list(hand.canvas.content.selected_dots) == [dot]
    hand.canvas.document.undo()
    assert not hand.canvas.content.dots


def test_a_double_click_on_a_wire_puts_a_dot_there_and_opens_no_palette(hand: Hand) -> None:
    place = on_link(hand, "decode", "latents")
    double_click(hand.port, place)
    assert len(way(now(hand), "decode", "latents")) == 1
    assert not hand.canvas.adding.palette.isVisible()
    double_click(hand.port, place)
    assert len(way(now(hand), "decode", "latents")) == 1


def test_a_stroke_with_shift_and_the_right_button_bends_what_it_crosses(hand: Hand) -> None:
    x = hand.output("model", "model").x() + 12
    heights = [hand.output("model", port).y() for port in ("model", "text_encoder", "vae")]
    drag(
        hand.port,
        [QPointF(x, min(heights) - 30), QPointF(x, heights[1]), QPointF(x, max(heights) + 30)],
        RIGHT,
        SHIFT,
    )
    found = edits.dots(now(hand))
    sources = sorted(str(dot.source) for dot in found)
    assert sources == ["model.model", "model.text_encoder", "model.vae"]
    assert way(now(hand), "denoise", "model") == way(now(hand), "scheduler", "model") != ()
    assert hand.canvas.document.position == 1


def test_a_dot_is_dragged_and_its_links_follow(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    start = at(hand, dot)
    press(hand.port, start)
    move(hand.port, start + QPointF(30, 60), LEFT)
    assert hand.canvas.content.links[name("decode", "latents")].legs[0][3] == QPointF(950, 800)
    release(hand.port, start + QPointF(30, 60))
    assert way(now(hand), "decode", "latents") == ((950.0, 800.0),)
    assert list(hand.canvas.content.selected_dots) == [dot.at_point((950, 800))]
    assert hand.canvas.document.undo_texts[-1] == "Move a dot"


def test_escape_puts_a_dragged_dot_back(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    start = at(hand, dot)
    press(hand.port, start)
    move(hand.port, start + QPointF(30, 60), LEFT)
    hand.key(Qt.Key.Key_Escape)
    assert hand.canvas.content.dots[dot].pos() == QPointF(900, 700)
    assert hand.canvas.content.links[name("decode", "latents")].legs[0][3] == QPointF(900, 700)


def test_shift_snaps_a_dot_to_the_grid(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (907, 703))
    hand.drag(at(hand, dot), at(hand, dot) + QPointF(31, 17), modifiers=SHIFT)
    ((x, y),) = way(now(hand), "decode", "latents")
    assert (x % 20, y % 20) == (0, 0)
    assert (x, y) != (907, 703)


def test_a_band_takes_dots_and_nodes_and_they_move_together(hand: Hand) -> None:
    (dot,) = with_dots(hand, "save", "image", (1400, 900))
    save = hand.canvas.content.nodes[NodeId("save")].scene_rect
    before = hand.place("save")
    hand.canvas.frame_all()
    rect = save.united(hand.canvas.content.dots[dot].sceneBoundingRect()).adjusted(-4, -4, 4, 4)
    hand.drag(hand.view(rect.bottomLeft()), hand.view(rect.topRight()))
    assert list(hand.canvas.content.selected_dots) == [dot]
    assert "save" in hand.canvas.content.selection
    hand.canvas.content.select(["save"], dots=[dot])
    start = hand.title("save")
    hand.drag(start, start + QPointF(50, 0))
    shift = hand.place("save")[0] - before[0]
    assert shift > 0
    assert way(now(hand), "save", "image") == ((1400.0 + shift, 900.0),)
    assert hand.canvas.document.undo_texts[-1] == "Move save with dots"


def test_shift_and_ctrl_click_add_and_toggle_dots(hand: Hand) -> None:
    one, other = with_dots(hand, "decode", "latents", (900, 700), (980, 760))
    hand.select("save")
    hand.click(at(hand, one), SHIFT)
    hand.click(at(hand, other), CTRL)
    assert list(hand.canvas.content.selected_dots) == [one, other]
    assert list(hand.canvas.content.selection) == ["save"]
    hand.click(at(hand, one), CTRL)
    assert list(hand.canvas.content.selected_dots) == [other]
    hand.click(QPointF(5, 890))
    assert not hand.canvas.content.selected_dots


def test_arrow_keys_nudge_dots_as_one_step(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    hand.click(at(hand, dot))
    hand.key(Qt.Key.Key_Right)
    hand.key(Qt.Key.Key_Down, SHIFT)
    assert way(now(hand), "decode", "latents") == ((904.0, 720.0),)
    assert hand.canvas.document.position == 2


@pytest.mark.parametrize("pressed", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_del_removes_a_dot_and_the_link_stays(hand: Hand, pressed: Qt.Key) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    hand.select("save")
    hand.click(at(hand, dot))
    hand.key(pressed)
    assert "routes" not in now(hand).view
    assert hand.graph.node("decode").inputs["latents"] == LATENTS
    assert NodeId("save") in hand.graph


def test_alt_drag_pulls_another_link_out_of_a_dot_that_comes_the_same_way(hand: Hand) -> None:
    one, other = with_dots(hand, "scheduler", "model", (300, 1000), (380, 1060))
    hand.canvas.document.edit(edits.disconnect(now(hand), "denoise", "model"), "Cut")
    hand.drag(at(hand, one), hand.input("denoise", "model"), modifiers=ALT)
    assert hand.graph.node("denoise").inputs["model"] == MODEL
    assert way(now(hand), "denoise", "model") == (one.at,)
    assert way(now(hand), "scheduler", "model") == (one.at, other.at)
    links = hand.canvas.content.links
    painted = [
        links[name(node, "model")].path().elementCount() for node in ("denoise", "scheduler")
    ]
    # five legs of three points and a move each; the one that both share is painted once
    assert sum(painted) == 2 + 3 * 4


def test_a_link_dropped_on_a_dot_comes_from_its_output(hand: Hand) -> None:
    (dot,) = with_dots(hand, "scheduler", "model", (420, 900))
    hand.canvas.document.edit(edits.disconnect(now(hand), "denoise", "model"), "Cut")
    hand.drag(hand.input("denoise", "model"), at(hand, dot))
    assert hand.graph.node("denoise").inputs["model"] == MODEL
    assert way(now(hand), "denoise", "model") == (dot.at,)


@pops_up
def test_a_dot_of_another_type_refuses_the_link(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    hand.canvas.document.edit(edits.disconnect(now(hand), "denoise", "model"), "Cut")
    hand.drag(hand.input("denoise", "model"), at(hand, dot))
    assert "model" not in hand.graph.node("denoise").inputs


def test_a_link_plugged_in_elsewhere_keeps_its_way(hand: Hand) -> None:
    (dot,) = with_dots(hand, "denoise", "negative", (300, 900))
    hand.drag(hand.input("denoise", "negative"), hand.input("denoise", "positive"))
    assert way(now(hand), "denoise", "positive") == (dot.at,)
    assert way(now(hand), "denoise", "negative") == ()


def test_the_knife_cuts_all_links_of_a_shared_stretch(hand: Hand) -> None:
    w, _ = edits.add_dots(
        now(hand), [Bend(name(node, "model"), 0, (420, 900)) for node in ("denoise", "scheduler")]
    )
    hand.canvas.document.edit(w, "Bend")
    leg = hand.canvas.content.links[name("denoise", "model")].legs[0]
    middle = hand.view(curves.points(leg)[12])
    hand.drag(middle - QPointF(25, 0), middle + QPointF(25, 0), RIGHT, CTRL)
    assert "model" not in hand.graph.node("denoise").inputs
    assert "model" not in hand.graph.node("scheduler").inputs
    assert not hand.canvas.content.dots


def test_y_and_a_drag_cuts_as_well(hand: Hand) -> None:
    middle = on_link(hand, "decode", "latents")
    QTest.keyPress(hand.canvas, Qt.Key.Key_Y)
    hand.drag(middle - QPointF(0, 30), middle + QPointF(0, 30))
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Y)
    assert "latents" not in hand.graph.node("decode").inputs
    before = now(hand)
    hand.drag(QPointF(5, 890), QPointF(60, 830))
    assert now(hand) is before


def test_a_node_dropped_on_a_bent_wire_parts_its_dots(hand: Hand, types: Types) -> None:
    with_dots(hand, "decode", "latents", (1100, 900), (1500, 900))
    w, new = edits.add_node(now(hand), types, "latent_upscale", (1200.0, 1300.0))
    hand.canvas.document.edit(edits.move(w, {"decode": (1900.0, 240.0)}), "Add")
    hand.canvas.frame_all()
    leg = hand.canvas.content.links[name("decode", "latents")].legs[1]
    middle = curves.points(leg)[12]
    hand.drag(hand.title(new), hand.view(middle - QPointF(60, 30)))
    assert way(now(hand), new, "latents") == ((1100.0, 900.0),)
    assert way(now(hand), "decode", "latents") == ((1500.0, 900.0),)


def test_a_frame_takes_the_dots_that_stand_on_it_along(hand: Hand) -> None:
    noise = hand.canvas.content.nodes[NodeId("noise")].scene_rect
    place = (round(noise.right()) + 10.0, round(noise.center().y()) + 0.0)
    with_dots(hand, "denoise", "noise", place)
    w = edits.frame(now(hand), ["noise"], "Noise", sizes=hand.canvas.content.sizes())
    hand.canvas.document.edit(w, "Frame")
    hand.canvas.frame_all()
    box = hand.canvas.content.boxes["frames", 0].scene_rect
    start = hand.view(box.topLeft() + QPointF(8, 12))
    hand.drag(start, start + QPointF(0, 60))
    shift = edits.frames(now(hand))[0].rect[1] - box.top()
    assert shift > 30
    assert way(now(hand), "denoise", "noise") == ((place[0], place[1] + shift),)


def test_select_all_takes_dots_too(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    hand.key(Qt.Key.Key_A, CTRL)
    assert list(hand.canvas.content.selected_dots) == [dot]


@pytest.mark.parametrize("zoom", [1.0, 0.3, 0.15, 0.06])
def test_a_dot_is_in_sight_at_every_zoom_and_shows_that_it_is_selected(
    hand: Hand, zoom: float
) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 1400))
    hand.canvas.set_zoom(zoom)
    hand.canvas.look_at(QPointF(*dot.at))
    middle = at(hand, dot).toPoint()
    theme = Theme.dark()

    def pixels() -> set[str]:
        image = hand.canvas.grab().toImage()
        return {
            image.pixelColor(middle.x() + x, middle.y() + y).name()
            for x in range(-9, 10)
            for y in range(-9, 10)
        }

    assert theme.accent.name() not in pixels()
    hand.click(at(hand, dot))
    assert theme.accent.name() in pixels()


def test_a_dot_says_what_can_be_done_with_it(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    text = help_at(hand.canvas.content, QPointF(*dot.at), 8)
    assert "denoise.latents: Latents" in text
    assert "Alt" in text


@pops_up
def test_the_menu_of_a_dot_deletes_it(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    place = at(hand, dot).toPoint()
    event = QContextMenuEvent(
        QContextMenuEvent.Reason.Mouse, place, hand.port.mapToGlobal(place), NONE
    )
    QApplication.sendEvent(hand.port, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    next(one for one in menu.actions() if one.objectName() == "canvas.delete").trigger()
    menu.close()
    assert not edits.dots(now(hand))


def test_undo_brings_dots_back_with_their_ways(hand: Hand) -> None:
    (dot,) = with_dots(hand, "decode", "latents", (900, 700))
    hand.select("denoise")
    hand.key(Qt.Key.Key_Delete)
    assert not hand.canvas.content.dots
    hand.canvas.document.undo()
    assert list(hand.canvas.content.dots) == [dot]
    assert len(hand.canvas.content.links[name("decode", "latents")].legs) == 2


def test_dots_work_inside_a_group(hand: Hand) -> None:
    hand.select("denoise", "decode")
    hand.key(Qt.Key.Key_G, CTRL)
    group = next(node.id for node in hand.graph if node.type.startswith(Graph.GROUP))
    hand.canvas.enter(group)
    hand.click(on_link(hand, "decode", "latents"), ALT)
    body = next(iter(now(hand).groups.values()))
    assert list(body.view["routes"]) == ["decode"]  # type: ignore[arg-type]  # an object of JSON


def test_a_file_with_dots_opens_as_it_was_saved(tmp_path: Path, hand: Hand, types: Types) -> None:
    with_dots(hand, "decode", "latents", (900, 700))
    path = tmp_path / "bent.json"
    hand.canvas.document.save(path)
    text = path.read_text()
    again = Document.open(path, types)
    assert edits.routes(again.workflow) == edits.routes(now(hand))
    again.save(path)
    assert path.read_text() == text
