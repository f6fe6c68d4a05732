"""Links into parameters by hand: sockets at the edges of rows, what flows, menus and drops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QDragEnterEvent, QDropEvent, QImage, QPainter
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu
from pytestqt.qtbot import QtBot

from studio import registry
from studio.graph import NodeId, Types
from studio.gui import edits
from studio.gui.canvas.layout import Socket
from studio.gui.canvas.node_item import NodeItem
from studio.gui.canvas.tips import help_at
from studio.gui.document import Document
from studio.gui.mime import MIME_PARAM
from tests.gui.canvases import CTRL, LEFT, NONE, RIGHT, WORKFLOWS, Hand, opened
from tests.gui.hands import double_click, drag, key, move, press, release

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
def linked(open_canvas: Open, types: Types) -> Hand:
    """Guidance is given by a number, the seed by a seed."""
    document = Document.open(WORKFLOWS / "text-to-image.json", types)
    w = edits.make_input(document.workflow, types, "denoise", "guidance")[0]
    w = edits.make_input(w, types, "noise", "seed")[0]
    document.edit(w, "Make inputs")
    return open_canvas(document)


def source(hand: Hand, node: str, param: str) -> str:
    return str(hand.graph.node(node).inputs.get(param))


def item(hand: Hand, name: str) -> NodeItem:
    return hand.canvas.content.nodes[NodeId(name)]


def socket(hand: Hand, name: str, param: str) -> Socket:
    found = item(hand, name).layout.socket(param, is_output=False)
    assert found is not None
    return found


def is_shown(hand: Hand, name: str, param: str) -> bool:
    """Whether something is painted in the colour of the socket, where the parameter's socket stands."""
    found = socket(hand, name, param)
    image = QImage(24, 24, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.translate(QPointF(12, 12) - found.at)
    item(hand, name).paint(painter, None)  # type: ignore[arg-type]  # looks at no option
    painter.end()
    # left of the node's edge nothing else is painted
    return image.pixelColor(8, 12).alpha() > 100


def drag_over(hand: Hand, start: QPointF, end: QPointF) -> None:
    """Drag as far as a place, and hold."""
    press(hand.port, start)
    for point in ((start + end) / 2, end):
        move(hand.port, point, LEFT)


def menu_at(hand: Hand, at: QPointF) -> dict[str, Callable[[], None]]:
    """What the menu of the right button offers at a place."""
    place = at.toPoint()
    reason = QContextMenuEvent.Reason.Mouse
    event = QContextMenuEvent(reason, place, hand.port.mapToGlobal(place), NONE)
    QApplication.sendEvent(hand.port, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    menu.hide()
    return {action.text(): action.trigger for action in menu.actions()}


# --- sockets


def test_a_parameter_shows_its_socket_only_near_the_mouse(hand: Hand) -> None:
    assert not is_shown(hand, "scheduler", "steps")
    hand.point(hand.input("scheduler", "steps") + QPointF(6, 0))
    assert is_shown(hand, "scheduler", "steps")
    assert not is_shown(hand, "scheduler", "spacing")
    hand.point(hand.row("scheduler", "steps", 0.6))
    assert not is_shown(hand, "scheduler", "steps")


def test_the_socket_goes_when_the_mouse_leaves(hand: Hand) -> None:
    hand.point(hand.input("scheduler", "steps"))
    hand.point(hand.input("denoise", "guidance"))
    assert not is_shown(hand, "scheduler", "steps")
    assert is_shown(hand, "denoise", "guidance")


def test_a_linked_parameter_shows_its_socket_and_the_link_ends_there(linked: Hand) -> None:
    assert is_shown(linked, "denoise", "guidance")
    link = linked.canvas.content.links[NodeId("denoise"), "guidance"]
    assert link.end == item(linked, "denoise").pos() + socket(linked, "denoise", "guidance").at


def test_lists_have_no_socket(hand: Hand, types: Types) -> None:
    document = hand.canvas.document
    document.edit(edits.add_node(document.workflow, types, "guidance_curve")[0], "Add")
    assert item(hand, "guidance_curve").layout.socket("points", is_output=False) is None
    assert item(hand, "guidance_curve").layout.socket("smooth", is_output=False) is not None


def test_a_collapsed_node_shows_the_links_into_its_parameters(linked: Hand) -> None:
    document = linked.canvas.document
    document.edit(edits.collapse(document.workflow, ["denoise"], True), "Collapse")
    found = item(linked, "denoise").layout
    assert found.socket("guidance", is_output=False) is not None
    assert found.socket("strength", is_output=False) is None
    link = linked.canvas.content.links[NodeId("denoise"), "guidance"]
    assert link.end == item(linked, "denoise").pos() + socket(linked, "denoise", "guidance").at


def test_a_row_that_is_linked_is_never_hidden(hand: Hand, types: Types) -> None:
    rows = [row.name for row in item(hand, "scheduler").layout.rows]
    assert "s_noise" not in rows
    document = hand.canvas.document
    document.edit(edits.make_input(document.workflow, types, "scheduler", "s_noise")[0], "Link")
    assert "s_noise" in [row.name for row in item(hand, "scheduler").layout.rows]


# --- drawn


def test_a_value_is_linked_by_a_drop_on_the_row(linked: Hand) -> None:
    linked.drag(linked.output("guidance", "value"), linked.row("denoise", "strength"))
    assert source(linked, "denoise", "strength") == "guidance.value"
    assert linked.canvas.document.undo_texts[-1] == "Link denoise.strength"


def test_a_value_is_linked_by_a_drop_on_the_socket_of_a_row(linked: Hand) -> None:
    linked.drag(linked.output("seed", "value"), linked.input("scheduler", "steps"))
    assert source(linked, "scheduler", "steps") == "seed.value"


@pops_up
def test_rows_that_fit_show_their_sockets_while_a_value_is_dragged_and_others_say_why(
    linked: Hand, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(linked.canvas.status) as said:
        drag_over(
            linked, linked.output("guidance", "value"), linked.row("denoise", "start_step", 0.7)
        )
    assert said.args is not None
    assert "denoise.start_step: takes Integer, but guidance.value gives Number" in said.args[0]
    assert is_shown(linked, "denoise", "guidance_rescale")
    assert not is_shown(linked, "denoise", "start_step")
    release(linked.port, linked.row("denoise", "start_step", 0.7))
    assert source(linked, "denoise", "start_step") == "None"
    assert not is_shown(linked, "denoise", "guidance_rescale")


def test_no_row_shows_a_socket_while_anything_else_is_dragged(hand: Hand) -> None:
    start = hand.output("noise", "latents")
    drag_over(hand, start, hand.row("denoise", "start_step", 0.1))
    assert not is_shown(hand, "denoise", "start_step")
    hand.canvas.hand.cancel()


def test_a_link_is_drawn_from_the_edge_of_a_row_to_an_output(linked: Hand) -> None:
    linked.drag(linked.input("denoise", "strength"), linked.output("guidance", "value"))
    assert source(linked, "denoise", "strength") == "guidance.value"


def test_a_link_drawn_from_a_row_into_the_empty_canvas_offers_the_plain_node_first(
    hand: Hand,
) -> None:
    end = hand.view(item(hand, "denoise").scene_rect.bottomLeft() + QPointF(40, 120))
    hand.drag(hand.input("scheduler", "steps"), end)
    palette = hand.canvas.adding.palette
    assert palette.list.item(0).data(Qt.ItemDataRole.UserRole) == "integer"
    key(palette.field, Qt.Key.Key_Return)
    assert source(hand, "scheduler", "steps") == "steps.value"
    assert hand.graph.node("steps").params == {"value": 20}
    at = hand.canvas.mapToScene(end.toPoint())
    assert hand.place("steps")[0] == pytest.approx(at.x(), abs=2)
    hand.canvas.document.undo()
    assert "steps" not in hand.graph


def test_another_node_than_the_plain_one_is_linked_as_well(hand: Hand) -> None:
    end = hand.view(item(hand, "denoise").scene_rect.bottomLeft() + QPointF(40, 120))
    hand.drag(hand.input("denoise", "guidance"), end)
    hand.type("arithmetic")
    key(hand.canvas.adding.palette.field, Qt.Key.Key_Return)
    assert source(hand, "denoise", "guidance") == "arithmetic.value"


def test_a_link_into_a_parameter_is_taken_off_and_dropped(linked: Hand) -> None:
    end = linked.view(item(linked, "denoise").scene_rect.bottomLeft() + QPointF(40, 120))
    linked.drag(linked.input("denoise", "guidance"), end)
    assert source(linked, "denoise", "guidance") == "None"
    assert linked.canvas.document.undo_texts[-1] == "Unlink denoise.guidance"


def test_a_link_into_a_parameter_is_plugged_in_elsewhere(linked: Hand) -> None:
    linked.drag(linked.input("denoise", "guidance"), linked.row("denoise", "strength"))
    assert source(linked, "denoise", "guidance") == "None"
    assert source(linked, "denoise", "strength") == "guidance.value"


def test_the_knife_cuts_a_link_into_a_parameter(linked: Hand) -> None:
    document = linked.canvas.document
    document.edit(edits.move(document.workflow, {"guidance": (-300.0, 900.0)}), "Move")
    linked.canvas.frame_all()
    start = linked.output("guidance", "value")
    drag(
        linked.port,
        [start + QPointF(12, -20), start + QPointF(12, 0), start + QPointF(12, 20)],
        RIGHT,
        CTRL,
    )
    assert source(linked, "denoise", "guidance") == "None"


# --- what flows


def test_a_row_shows_what_flows_and_its_own_value_once_nothing_does(linked: Hand) -> None:
    document = linked.canvas.document
    document.edit(edits.set_param(document.workflow, "guidance", "value", 7.5), "Set")
    row = next(row for row in item(linked, "denoise").layout.rows if row.name == "guidance")
    assert item(linked, "denoise").value_of(row) == 7.5
    document.edit(edits.set_mode(document.workflow, ["guidance"], "mute"), "Mute")
    assert item(linked, "denoise").value_of(row) == 5.0


def test_what_does_not_fit_is_told(linked: Hand) -> None:
    document = linked.canvas.document
    document.edit(edits.set_param(document.workflow, "guidance", "value", 99.0), "Set")
    declared = item(linked, "denoise").declared
    param = declared.param("guidance") if declared else None
    assert param is not None
    assert item(linked, "denoise").misfit(param) == "99.0 is outside 0 … 50"


def test_a_linked_row_can_be_neither_scrubbed_nor_typed_and_says_where_its_value_comes_from(
    linked: Hand, qtbot: QtBot
) -> None:
    before = linked.canvas.document.workflow.graph
    at = linked.row("denoise", "guidance", 0.6)
    linked.drag(at, at + QPointF(40, 0))
    assert linked.graph.node("denoise").params == before.node("denoise").params
    at = linked.row("denoise", "guidance", 0.6)
    with qtbot.waitSignal(linked.canvas.status) as said:
        double_click(linked.port, at)
    assert said.args is not None
    assert "denoise.guidance comes from guidance.value" in said.args[0]
    assert linked.canvas.findChild(QLineEdit) is None or not linked.canvas.editing.field.widget
    tip = help_at(linked.canvas.content, linked.canvas.mapToScene(at.toPoint()), 8)
    assert "from guidance.value, in place of 5" in tip


def test_a_row_whose_source_is_muted_can_be_scrubbed(linked: Hand) -> None:
    document = linked.canvas.document
    document.edit(edits.set_mode(document.workflow, ["guidance"], "mute"), "Mute")
    at = linked.row("denoise", "guidance", 0.6)
    linked.drag(at, at + QPointF(40, 0))
    assert linked.graph.node("denoise").params["guidance"] != 5.0


# --- menus and drops


@pops_up
def test_the_menu_of_a_row_makes_it_an_input_and_unlinks_it_again(hand: Hand) -> None:
    offered = menu_at(hand, hand.row("denoise", "guidance"))
    offered["Make guidance an input"]()
    assert source(hand, "denoise", "guidance") == "guidance.value"
    assert hand.graph.node("guidance").params == {"value": 5.0}
    assert list(hand.canvas.content.selection) == ["guidance"]
    offered = menu_at(hand, hand.row("denoise", "guidance"))
    assert "Make guidance an input" not in offered
    offered["Go to guidance"]()
    assert list(hand.canvas.content.selection) == ["guidance"]
    hand.canvas.look_at(item(hand, "denoise").scene_rect.center())
    menu_at(hand, hand.row("denoise", "guidance"))["Unlink guidance"]()
    assert source(hand, "denoise", "guidance") == "None"


@pops_up
def test_the_seeds_of_several_nodes_are_given_from_one(hand: Hand, types: Types) -> None:
    document = hand.canvas.document
    place = edits.positions(document.workflow)[NodeId("noise")]
    w, _ = edits.add_node(document.workflow, types, "noise_source", (place[0], place[1] - 300))
    document.edit(w, "Add")
    hand.canvas.frame_all()
    hand.canvas.set_zoom(0.6)
    hand.select("noise", "noise_2")
    menu_at(hand, hand.row("noise", "seed"))["Give seed of all 2 selected from one node"]()
    assert source(hand, "noise", "seed") == source(hand, "noise_2", "seed") == "seed.value"
    assert hand.graph.node("seed").params == {"value": 7}
    hand.canvas.document.undo()
    assert source(hand, "noise_2", "seed") == "None"


def drop(hand: Hand, address: str, place: QPointF) -> None:
    """Drop a parameter from the inspector."""
    data = QMimeData()
    data.setData(MIME_PARAM, address.encode())
    enter = QDragEnterEvent(place.toPoint(), Qt.DropAction.CopyAction, data, LEFT, NONE)
    QApplication.sendEvent(hand.port, enter)
    assert enter.isAccepted()
    event = QDropEvent(place, Qt.DropAction.CopyAction, data, LEFT, NONE)
    QApplication.sendEvent(hand.port, event)


def test_a_parameter_dropped_on_the_canvas_becomes_an_input(hand: Hand) -> None:
    end = hand.view(item(hand, "denoise").scene_rect.bottomLeft() + QPointF(40, 120))
    drop(hand, "noise.seed", end)
    assert source(hand, "noise", "seed") == "seed.value"
    assert hand.graph.node("seed").type == "seed"
    assert hand.place("seed")[0] == pytest.approx(hand.canvas.mapToScene(end.toPoint()).x(), abs=2)


def test_a_parameter_dropped_on_a_node_is_linked_to_it(linked: Hand, qtbot: QtBot) -> None:
    drop(linked, "denoise.strength", linked.title("guidance"))
    assert source(linked, "denoise", "strength") == "guidance.value"
    with qtbot.waitSignal(linked.canvas.status) as said:
        drop(linked, "denoise.strength", linked.title("model"))
    assert said.args is not None
    assert "takes Number, but model.model gives Model" in said.args[0]


def test_a_parameter_of_another_group_is_refused(hand: Hand, qtbot: QtBot) -> None:
    with qtbot.waitSignal(hand.canvas.status) as said:
        drop(hand, "part/denoise.strength", QPointF(30, 30))
    assert said.args == ["part/denoise.strength is in another group"]


# --- groups


def test_inside_a_group_a_parameter_is_made_an_input_of_the_body(hand: Hand, types: Types) -> None:
    document = hand.canvas.document
    document.edit(edits.group(document.workflow, types, ["denoise", "decode"], "paint")[0], "Group")
    hand.canvas.enter(NodeId("paint"))
    hand.canvas.set_zoom(0.6)
    drop(hand, "paint/denoise.guidance", QPointF(40, 40))
    body = document.workflow.groups["paint"].graph
    assert str(body.node("denoise").inputs["guidance"]) == "guidance.value"
    assert hand.canvas.content.flow(NodeId("denoise"), "guidance") is not None


def test_thousands_of_nodes_share_layouts_with_and_without_links(
    open_canvas: Open, types: Types
) -> None:
    document = Document.open(WORKFLOWS / "text-to-image.json", types)
    w = document.workflow
    for _ in range(3):
        w = edits.duplicate(w, ["noise"])[0]
    w = edits.make_input(w, types, "noise", "seed", sharing=["noise_2"])[0]
    document.edit(w, "Copies")
    hand = open_canvas(document)
    names = ("noise", "noise_2", "noise_3", "noise_4")
    assert len({id(item(hand, name).layout) for name in names}) == 1
