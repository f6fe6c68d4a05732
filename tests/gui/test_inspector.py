"""The inspector by mouse and keys, asserted on the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QMenu, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from studio.graph import Graph, Json, Link, Node, NodeId
from studio.gui import edits
from studio.gui.document import Document
from studio.gui.editors import (
    BoolEditor,
    ChoiceEditor,
    CurveEditor,
    Editor,
    ModelEditor,
    NullableEditor,
    NumberEditor,
    PromptEditor,
    SeedEditor,
    StrokesEditor,
)
from studio.gui.inspector import Inspector, LinkButton, ParamRow, prose
from studio.gui.inspector.keys import RowKeys
from studio.gui.inspector.ports import UnlinkButton
from studio.gui.states import Failure, NodeState
from studio.gui.theme import Theme
from studio.registry import load
from studio.workflow import Workflow
from tests.gui import hands

TYPES = load().types
CTRL = Qt.KeyboardModifier.ControlModifier
E = TypeVar("E", bound=Editor)


def _workflow() -> Workflow:
    w = Workflow()
    for type_id in (
        "load_model",
        "noise_source",
        "text_encoder",
        "text_encoder",
        "scheduler",
        "guidance_curve",
        "inpaint_mask",
        "denoise",
    ):
        w, _ = edits.add_node(w, TYPES, type_id)
    # the names that the tests below use
    for old, new in zip(
        list(w.graph.nodes),
        ("model", "noise", "prompt", "negative", "plan", "curve", "mask", "run"),
        strict=True,
    ):
        w = edits.rename(w, old, new)
    w = edits.connect(w, TYPES, "model", "model", "run", "model")
    w = edits.connect(w, TYPES, "prompt", "conditioning", "run", "positive")
    odd = Node(NodeId("odd"), "mystery", 3, {"x": [1, 2]}, {"in": Link(NodeId("run"), "latents")})
    return replace(w, graph=w.graph.add(replace(odd, extra={"kept": True})))


@pytest.fixture
def document(qapp: QApplication) -> Document:
    return Document(TYPES, _workflow())


@pytest.fixture
def inspector(document: Document, qtbot: QtBot) -> Iterator[Inspector]:
    inspector = Inspector(document, Theme.dark())
    qtbot.addWidget(inspector)
    inspector.resize(360, 900)
    inspector.show()
    qtbot.waitExposed(inspector)
    inspector.activateWindow()
    qtbot.waitUntil(inspector.isActiveWindow)
    yield inspector
    inspector.close()


def param(document: Document, node: str, name: str) -> Json:
    return document.workflow.graph.node(node).params[name]


def row(inspector: Inspector, name: str) -> ParamRow:
    return inspector.rows[name]


def editor(inspector: Inspector, name: str, kind: type[E]) -> E:
    found = row(inspector, name).editor
    assert isinstance(found, kind)
    return found


def number(inspector: Inspector, name: str, text: str) -> None:
    field = editor(inspector, name, NumberEditor).field
    hands.double_click(field, QPointF(20, 10))
    field.selectAll()
    QTest.keyClicks(field, text)
    hands.key(field, Qt.Key.Key_Return)


def texts(inspector: Inspector) -> list[str]:
    return [label.text() for label in inspector.findChildren(QLabel)]


# --- what is shown


def test_every_parameter_of_every_type_has_an_editor(
    document: Document, inspector: Inspector
) -> None:
    for type_id, declared in TYPES.items():
        w, node = edits.add_node(document.workflow, TYPES, type_id)
        document.edit(w, "Add")
        inspector.show_nodes([node])
        assert list(inspector.rows) == [p.name for p in declared.params]
        assert list(inspector.links) == [port.name for port in declared.inputs]
        for p in declared.params:
            shown = row(inspector, p.name)
            assert shown.editor.value() == p.default
            assert not shown.is_changed
            assert shown.error.text() == ""


def test_a_row_says_range_unit_and_help(inspector: Inspector) -> None:
    inspector.show_nodes(["noise"])
    note = row(inspector, "width").note.text()
    assert note.startswith("16 … 8192 px, multiples of 8 · Width of the picture")
    inspector.show_nodes(["run"])
    help_text = "Strength of classifier-free guidance; 1 is none and costs half"
    assert row(inspector, "guidance").note.text() == f"0 … 50 · {help_text}"
    assert help_text.lower() in row(inspector, "guidance").editor.toolTip().lower()
    target: QWidget = row(inspector, "guidance").editor
    while (proxy := target.focusProxy()) is not None:
        target = proxy
    assert target.accessibleName() == "guidance"
    assert help_text in target.accessibleDescription()


def test_the_help_of_a_node_is_its_prose() -> None:
    doc = "Decode.\n\n  Wide\n  words.\n\n  tile: Save memory.\n  image: The `picture`.\n"
    assert prose(doc) == "Decode.\n\nWide words."


def test_sources_of_inputs_are_listed_and_lead_there(inspector: Inspector, qtbot: QtBot) -> None:
    inspector.show_nodes(["run"])
    link = inspector.links["positive"]
    assert isinstance(link, LinkButton)
    assert link.text() == "← prompt.conditioning"
    with qtbot.waitSignal(inspector.node_requested) as caught:
        hands.click(link, QPointF(5, 5))
    assert caught.args == ["prompt"]
    missing, optional = inspector.links["noise"], inspector.links["mask"]
    assert isinstance(missing, QLabel)
    assert missing.text() == "needs a link"
    assert isinstance(optional, QLabel)
    assert optional.text() == "not linked"


def test_a_new_link_is_shown(document: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["run"])
    document.edit(
        edits.connect(document.workflow, TYPES, "noise", "latents", "run", "noise"), "Connect"
    )
    link = inspector.links["noise"]
    assert isinstance(link, LinkButton)
    assert link.text() == "← noise.latents"
    document.undo()
    assert not isinstance(inspector.links["noise"], LinkButton)


def test_a_node_of_an_unknown_type_shows_its_json_read_only(inspector: Inspector) -> None:
    inspector.show_nodes(["odd"])
    raw = inspector.findChild(QPlainTextEdit)
    assert isinstance(raw, QPlainTextEdit)
    assert raw.isReadOnly()
    assert json.loads(raw.toPlainText()) == {
        "type": "mystery",
        "version": 3,
        "params": {"x": [1, 2]},
        "inputs": {"in": "run.latents"},
        "kept": True,
    }
    assert inspector.rows == {}


def test_state_time_and_reason_are_shown(inspector: Inspector) -> None:
    inspector.show_nodes(["run"])
    inspector.set_states({"run": NodeState("resumes", "resumes at 14 of 20", 14, 20, 3.24)})
    assert "resumes at 14 of 20" in texts(inspector)
    failure = Failure("out of memory", "run", "make the picture smaller")
    inspector.set_states({"run": NodeState("failed", "failed", error=failure)})
    assert "failed\nrun: out of memory; make the picture smaller" in texts(inspector)


def test_a_value_of_the_file_that_does_not_fit_is_said(
    document: Document, inspector: Inspector
) -> None:
    document.edit(edits.set_param(document.workflow, "run", "guidance", 900.0), "Set")
    inspector.show_nodes(["run"])
    assert row(inspector, "guidance").error.text() == "900.0 is outside 0 … 50"
    number(inspector, "guidance", "9")
    assert row(inspector, "guidance").error.text() == ""


# --- changing


def test_a_drag_changes_the_document_and_is_one_step_of_undo(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"])
    field = editor(inspector, "guidance", NumberEditor).field
    points = [QPointF(20 + 5 * n, 10) for n in range(9)]
    hands.drag(field, points)
    # 35 pixels after the first 5, two to a step of 0.1
    assert param(document, "run", "guidance") == pytest.approx(6.8)
    assert len(document.undo_texts) == 1
    hands.drag(field, points[::-1])
    assert len(document.undo_texts) == 2
    document.undo()
    document.undo()
    assert param(document, "run", "guidance") == 5.0
    assert field.text() == "5"


def test_gestures_after_coming_back_to_a_node_are_steps_of_their_own(
    document: Document, inspector: Inspector
) -> None:
    for _ in range(2):
        inspector.show_nodes(["run"])
        number(inspector, "guidance", str(6 + len(document.undo_texts)))
        inspector.show_nodes([])
    assert len(document.undo_texts) == 2
    assert document.undo_texts[-1] == "Set run.guidance"


def test_what_is_out_of_range_is_refused_below_the_field(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["noise"])
    number(inspector, "width", "100000")
    assert param(document, "noise", "width") == 128
    assert row(inspector, "width").error.text() == "100000 is outside 16 … 8192 px"
    assert row(inspector, "width").error.isVisible()
    number(inspector, "width", "512*2")
    assert param(document, "noise", "width") == 1024
    assert not row(inspector, "width").error.isVisible()


def test_a_changed_value_is_marked_and_reset_by_button_and_backspace(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"])
    shown = row(inspector, "guidance")
    marks = [(shown.is_changed, shown.reset.isVisible())]
    number(inspector, "guidance", "7.5")
    marks.append((shown.is_changed, shown.reset.isVisible()))
    assert marks == [(False, False), (True, True)]
    assert "5" in shown.reset.toolTip()
    hands.click(shown.reset, QPointF(8, 8))
    assert param(document, "run", "guidance") == 5.0
    assert not row(inspector, "guidance").is_changed
    number(inspector, "guidance", "8")
    hands.key(editor(inspector, "guidance", NumberEditor).field, Qt.Key.Key_Backspace)
    assert param(document, "run", "guidance") == 5.0
    hands.key(editor(inspector, "add_noise", BoolEditor).box, Qt.Key.Key_Space)
    assert param(document, "run", "add_noise") is False
    hands.key(editor(inspector, "add_noise", BoolEditor).box, Qt.Key.Key_Backspace)
    assert param(document, "run", "add_noise") is True


def test_typing_a_prompt_is_one_step_and_keeps_the_cursor(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["prompt"])
    field = editor(inspector, "prompt", PromptEditor).field
    QTest.keyClicks(field, "a fox")
    hands.key(field, Qt.Key.Key_Left)
    QTest.keyClicks(field, "o")
    assert param(document, "prompt", "prompt") == "a foox"
    assert document.undo_texts == ["Set prompt.prompt"]
    document.undo()
    assert field.toPlainText() == ""


def test_undo_between_two_bursts_starts_a_new_step(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["prompt"])
    field = editor(inspector, "prompt", PromptEditor).field
    QTest.keyClicks(field, "fox")
    document.undo()
    QTest.keyClicks(field, "owl")
    assert param(document, "prompt", "prompt") == "owl"
    assert len(document.undo_texts) == 1


def test_nodes_of_one_type_are_edited_together(document: Document, inspector: Inspector) -> None:
    document.edit(edits.set_param(document.workflow, "prompt", "prompt", "fox"), "Set")
    inspector.show_nodes(["prompt", "negative"])
    both = editor(inspector, "prompt", PromptEditor)
    assert both.is_mixed
    assert both.field.toPlainText() == ""
    assert both.field.placeholderText() == "mixed"
    QTest.keyClicks(both.field, "owl")
    assert param(document, "prompt", "prompt") == "owl"
    assert param(document, "negative", "prompt") == "owl"
    assert len(document.undo_texts) == 2
    document.undo()
    assert param(document, "prompt", "prompt") == "fox"
    assert both.is_mixed


def test_nodes_of_several_types_are_listed(inspector: Inspector, qtbot: QtBot) -> None:
    inspector.show_nodes(["prompt", "run"])
    assert inspector.rows == {}
    button = inspector.findChildren(LinkButton)[1]
    with qtbot.waitSignal(inspector.node_requested) as caught:
        hands.click(button, QPointF(5, 5))
    assert caught.args == ["run"]


def test_an_edit_from_elsewhere_is_shown_without_building_anew(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"])
    before = row(inspector, "guidance")
    document.edit(edits.set_param(document.workflow, "run", "guidance", 9.0), "Set")
    assert row(inspector, "guidance") is before
    assert editor(inspector, "guidance", NumberEditor).field.text() == "9"


def test_a_deleted_node_is_no_longer_shown(document: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["run", "model"])
    document.edit(edits.remove(document.workflow, ["run"]), "Delete")
    assert list(inspector.ids) == ["model"]
    document.edit(edits.remove(document.workflow, ["model"]), "Delete")
    assert list(inspector.ids) == []
    assert "Nothing is selected" in texts(inspector)


# --- the name


def test_f2_renames_the_node_and_its_links(
    document: Document, inspector: Inspector, qtbot: QtBot
) -> None:
    inspector.show_nodes(["prompt"])
    hands.key(editor(inspector, "prompt", PromptEditor).field, Qt.Key.Key_F2)
    field = inspector.id_field
    assert field is not None
    assert field.hasFocus()
    QTest.keyClicks(field, "words")
    with qtbot.waitSignal(inspector.node_renamed) as caught:
        hands.key(field, Qt.Key.Key_Return)
    assert caught.args == ["prompt", "words"]
    assert list(inspector.ids) == ["words"]
    assert str(document.workflow.graph.node("run").inputs["positive"]) == "words.conditioning"


@pytest.mark.parametrize("name", ["run", "Two Words"])
def test_a_name_that_does_not_go_is_refused_with_the_reason(
    document: Document, inspector: Inspector, name: str
) -> None:
    inspector.show_nodes(["prompt"])
    inspector.begin_rename()
    field = inspector.id_field
    assert field is not None
    QTest.keyClicks(field, name)
    hands.key(field, Qt.Key.Key_Return)
    assert "prompt" in document.workflow.graph
    assert document.undo_texts == []
    assert any("exists already" in text or "is not a node id" in text for text in texts(inspector))


# --- special parameters


def test_a_null_parameter_is_set_and_reset(document: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["run"])
    end = editor(inspector, "end_step", NullableEditor)
    hands.key(end.box, Qt.Key.Key_Space)
    assert param(document, "run", "end_step") == 1
    hands.click(row(inspector, "end_step").reset, QPointF(8, 8))
    assert param(document, "run", "end_step") is None
    assert not end.box.isChecked()


def test_the_seed_of_the_last_run_comes_back(document: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["noise"])
    number_of = editor(inspector, "seed", SeedEditor)
    document.edit(edits.set_param(document.workflow, "noise", "seed", 2**63 + 5), "Set")
    inspector.note_run()
    for _ in range(2):
        hands.click(number_of.dice, QPointF(8, 8))
    assert param(document, "noise", "seed") != 2**63 + 5
    inspector.show_nodes(["run"])
    inspector.show_nodes(["noise"])
    hands.click(editor(inspector, "seed", SeedEditor).recall, QPointF(8, 8))
    assert param(document, "noise", "seed") == 2**63 + 5


def test_a_lock_is_kept_while_another_node_is_shown(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["noise"])
    hands.click(editor(inspector, "seed", SeedEditor).lock, QPointF(8, 8))
    inspector.show_nodes(["run"])
    inspector.show_nodes(["noise"])
    seed = editor(inspector, "seed", SeedEditor)
    assert seed.is_locked
    hands.click(seed.dice, QPointF(8, 8))
    assert param(document, "noise", "seed") == 0


def test_a_lock_is_kept_while_another_document_is_shown(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["noise"])
    hands.click(editor(inspector, "seed", SeedEditor).lock, QPointF(8, 8))
    other = Document(TYPES, _workflow())
    inspector.set_document(other)
    inspector.show_nodes(["noise"])
    locks = [editor(inspector, "seed", SeedEditor).is_locked]
    inspector.set_document(document)
    inspector.show_nodes(["noise"])
    locks.append(editor(inspector, "seed", SeedEditor).is_locked)
    assert locks == [False, True]


def test_a_point_of_the_guidance_curve_is_dragged_in_one_step(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["curve"])
    plot = editor(inspector, "points", CurveEditor).plot
    start = plot.place((0.0, 7.5))
    hands.drag(plot, [start, start + QPointF(0, 10), start + QPointF(0, 20)])
    points = param(document, "curve", "points")
    assert isinstance(points, list)
    first = points[0]
    assert isinstance(first, list)
    assert first[0] == 0.0
    assert isinstance(first[1], float)
    assert first[1] < 7.0
    assert len(document.undo_texts) == 1


def test_the_curve_is_drawn_as_the_node_reads_it(document: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["curve"])
    plot = editor(inspector, "points", CurveEditor).plot
    drawn = [plot.is_smooth]
    hands.key(editor(inspector, "smooth", BoolEditor).box, Qt.Key.Key_Space)
    drawn.append(plot.is_smooth)
    assert drawn == [True, False]


def test_strokes_are_asked_for_by_node_and_parameter(inspector: Inspector, qtbot: QtBot) -> None:
    inspector.show_nodes(["mask"])
    button = editor(inspector, "strokes", StrokesEditor).paint_button
    with qtbot.waitSignal(inspector.painting_requested) as caught:
        hands.key(button, Qt.Key.Key_Space)
    assert caught.args == ["mask", "strokes"]


def test_models_on_disk_are_offered(document: Document, inspector: Inspector) -> None:
    inspector.set_models(["photo", "starter"])
    inspector.show_nodes(["model"])
    box = editor(inspector, "model", ModelEditor).box
    hands.key(box, Qt.Key.Key_Up)
    assert param(document, "model", "model") == "photo"


def test_a_value_is_copied_from_one_row_and_pasted_into_another(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["curve"])
    document.edit(edits.set_param(document.workflow, "curve", "points", [[0.5, 4.0]]), "Set")
    row(inspector, "points").copy_value()
    document.undo()
    row(inspector, "points").paste_value()
    assert param(document, "curve", "points") == [[0.5, 4.0]]
    row(inspector, "smooth").paste_value()
    assert row(inspector, "smooth").error.text() == "[[0.5, 4.0]] is not true or false"


# --- groups, themes, other documents


def test_a_parameter_of_a_group_is_edited_and_reset_on_its_node(
    document: Document, inspector: Inspector
) -> None:
    from studio.workflow import Group, Inner

    w, _ = edits.add_node(Workflow(), TYPES, "noise_source")
    body = Group(w.graph, params={"seed": Inner(next(iter(w.graph.nodes)), "seed")})
    graph = document.workflow.graph.add(Node(NodeId("inside"), "group:look"))
    document.edit(replace(document.workflow, graph=graph, groups={"look": body}), "Group")
    inspector.show_nodes(["inside"])
    hands.click(editor(inspector, "seed", SeedEditor).dice, QPointF(8, 8))
    assert document.workflow.graph.node("inside").params["seed"] != 0
    hands.click(row(inspector, "seed").reset, QPointF(8, 8))
    assert document.workflow.graph.node("inside").params == {}


def test_another_theme_keeps_the_nodes_and_another_document_does_not(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"])
    inspector.set_theme(Theme.light())
    assert list(inspector.ids) == ["run"]
    number(inspector, "guidance", "6")
    assert param(document, "run", "guidance") == 6.0
    other = Document(TYPES, _workflow())
    inspector.set_document(other)
    assert list(inspector.ids) == []
    inspector.show_nodes(["run"])
    number(inspector, "guidance", "7")
    assert param(other, "run", "guidance") == 7.0
    assert param(document, "run", "guidance") == 6.0


def test_the_keyboard_comes_to_the_first_parameter(inspector: Inspector) -> None:
    inspector.show_nodes(["run"])
    inspector.focus_first()
    assert editor(inspector, "guidance", NumberEditor).field.hasFocus()


# --- inside groups, and groups themselves


@pytest.fixture
def grouped(document: Document, inspector: Inspector) -> Document:
    """``run`` and ``curve`` in the group ``look``."""
    w, _ = edits.group(document.workflow, TYPES, ["run", "curve"], "look")
    document.edit(w, "Group")
    return document


def body_param(document: Document, node: str, name: str) -> Json:
    return document.workflow.groups["look"].graph.node(node).params[name]


def test_a_node_in_a_group_is_edited_in_the_body(grouped: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["run"], (NodeId("look"),))
    inspector.set_states({"look/run": NodeState("resumes", "resumes at 3 of 9", 3, 9)})
    assert "resumes at 3 of 9" in texts(inspector)
    number(inspector, "guidance", "7")
    assert body_param(grouped, "run", "guidance") == 7.0
    assert grouped.undo_texts[-1] == "Set look/run.guidance"
    hands.click(row(inspector, "guidance").reset, QPointF(8, 8))
    assert body_param(grouped, "run", "guidance") == 5.0
    grouped.undo()
    assert editor(inspector, "guidance", NumberEditor).field.text() == "7"
    grouped.go_to(1)
    assert inspector.ids == ("run",)
    grouped.undo()
    assert not inspector.ids


def test_a_name_in_a_group_is_changed_with_what_the_group_shows(
    grouped: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"], (NodeId("look"),))
    inspector.begin_rename()
    field = inspector.id_field
    assert field is not None
    QTest.keyClicks(field, "paint")
    hands.key(field, Qt.Key.Key_Return)
    assert grouped.workflow.groups["look"].outputs["latents"].node == "paint"
    assert inspector.ids == ("paint",)
    assert inspector.id_field is not None
    assert inspector.id_field.hasFocus()


def test_the_node_of_a_group_shows_what_the_group_shows_and_holds(
    grouped: Document, inspector: Inspector, qtbot: QtBot
) -> None:
    inspector.show_nodes(["look"])
    shown = inspector.interface
    assert shown is not None
    assert ("outputs", "latents") in shown.fields
    assert ("inputs", "model") in shown.fields
    inside = {button.node: button for button in shown.findChildren(LinkButton)}
    assert set(inside) == {"look/run", "look/curve"}
    with qtbot.waitSignal(inspector.node_requested) as caught:
        hands.click(inside["look/run"], QPointF(5, 5))
    assert caught.args == ["look/run"]


def retype(field: QWidget, text: str) -> None:
    field.setFocus()
    hands.key(field, Qt.Key.Key_A, CTRL)
    QTest.keyClicks(field, text)
    hands.key(field, Qt.Key.Key_Return)


def test_the_interface_of_a_group_is_renamed(grouped: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["look"])
    assert inspector.interface is not None
    retype(inspector.interface.fields["outputs", "latents"], "result")
    assert str(grouped.workflow.graph.node("odd").inputs["in"]) == "look.result"
    retype(inspector.interface.fields["", ""], "style")
    assert grouped.workflow.groups.keys() == {"style"}
    assert inspector.ids == ("look",)
    retype(inspector.interface.fields["inputs", "model"], "positive")
    assert "exists already" in inspector.interface.error.text()
    grouped.undo()
    grouped.undo()
    assert grouped.workflow.groups["look"].outputs.keys() >= {"latents"}


def choose(widget: QWidget, text: str) -> None:
    """Open the menu of a widget by a right click and take an entry."""
    at = widget.rect().center()
    QApplication.sendEvent(
        widget,
        QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, widget.mapToGlobal(at)),
    )
    menu = next(menu for menu in widget.findChildren(QMenu) if menu.isVisible())
    next(action for action in menu.actions() if action.text() == text).trigger()
    menu.close()


def test_a_parameter_of_a_body_is_shown_on_the_groups_node_by_its_menu(
    grouped: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"], (NodeId("look"),))
    choose(row(inspector, "guidance"), "Show on the node of look")
    inspector.show_nodes(["look"])
    number(inspector, "guidance", "8")
    assert param(grouped, "look", "guidance") == 8.0
    inspector.show_nodes(["run"], (NodeId("look"),))
    choose(row(inspector, "guidance"), "Show on the node of look")
    assert grouped.workflow.groups["look"].params == {}
    assert grouped.workflow.graph.node("look").params == {}


def test_a_parameter_is_made_an_input_and_unlinked_again_by_its_menu(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"])
    number(inspector, "guidance", "7")
    choose(row(inspector, "guidance"), "Make it an input")
    assert str(document.workflow.graph.node("run").inputs["guidance"]) == "guidance.value"
    assert param(document, "guidance", "value") == 7.0
    link = row(inspector, "guidance").link
    assert link is not None
    assert link.node == "guidance"
    choose(row(inspector, "guidance"), "Unlink")
    assert "guidance" not in document.workflow.graph.node("run").inputs
    assert row(inspector, "guidance").link is None


def test_several_nodes_get_a_value_from_one(document: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["prompt", "negative"])
    choose(row(inspector, "clip_skip"), "Make it an input")
    graph = document.workflow.graph
    assert graph.node("prompt").inputs["clip_skip"] == graph.node("negative").inputs["clip_skip"]
    assert document.undo_texts[-1] == "Make clip_skip (2) an input"


def test_a_parameter_without_a_value_says_why_it_is_no_input(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["run"])
    before = document.workflow
    choose(row(inspector, "end_step"), "Make it an input")
    assert document.workflow is before
    assert row(inspector, "end_step").error.text().startswith("has no value")


def test_a_seed_of_a_body_is_remembered_for_the_body(
    grouped: Document, inspector: Inspector
) -> None:
    w, _ = edits.group(grouped.workflow, TYPES, ["noise"], "grain")
    grouped.edit(w, "Group")
    inspector.show_nodes(["noise"], (NodeId("grain"),))
    inspector.note_run()
    seed = editor(inspector, "seed", SeedEditor)
    hands.click(seed.dice, QPointF(8, 8))
    hands.click(seed.recall, QPointF(8, 8))
    assert grouped.workflow.groups["grain"].graph.node("noise").params["seed"] == 0


# --- room, help, links of parameters


def test_help_is_folded_until_it_is_asked_for(inspector: Inspector, qtbot: QtBot) -> None:
    inspector.show_nodes(["run"])
    guidance = row(inspector, "guidance")
    assert not inspector.header.help.isVisible()
    assert not guidance.note.isVisible()
    with qtbot.waitSignal(inspector.help_toggled) as caught:
        hands.click(inspector.header.help_button, QPointF(8, 8))
    assert caught.args == [True]
    assert inspector.header.help.isVisible()
    assert guidance.note.isVisible()
    inspector.show_nodes(["noise"])
    assert inspector.header.help.isVisible()
    hands.click(inspector.header.help_button, QPointF(8, 8))
    assert not row(inspector, "seed").note.isVisible()


def test_eight_parameters_are_seen_in_a_small_panel(inspector: Inspector) -> None:
    inspector.resize(340, 300)
    inspector.show_nodes(["plan"])
    QApplication.processEvents()
    seen = [
        name
        for name, one in inspector.rows.items()
        if one.mapTo(inspector.viewport(), one.rect().bottomLeft()).y() <= 300
    ]
    assert len(seen) >= 8


def test_a_link_is_taken_away_by_its_button(document: Document, inspector: Inspector) -> None:
    inspector.show_nodes(["run"])
    assert inspector.ports is not None
    buttons = inspector.ports.findChildren(UnlinkButton)
    positive = next(button for button in buttons if button.port == "positive")
    assert positive.accessibleName() == "Unlink positive"
    hands.click(positive, QPointF(5, 5))
    assert "positive" not in document.workflow.graph.node("run").inputs
    label = inspector.links["positive"]
    assert isinstance(label, QLabel)
    document.undo()
    assert isinstance(inspector.links["positive"], LinkButton)


def test_keys_over_a_row_copy_paste_and_reset_its_value(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["noise"])
    number(inspector, "width", "256")
    other = QWidget(inspector.window())
    other.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    other.show()
    other.setFocus()
    width, height = row(inspector, "width"), row(inspector, "height")
    hover(width)
    hands.key(other, Qt.Key.Key_C, CTRL)
    hover(height)
    hands.key(other, Qt.Key.Key_V, CTRL)
    assert param(document, "noise", "height") == 256
    hands.key(other, Qt.Key.Key_Backspace)
    assert param(document, "noise", "height") == 128
    QApplication.sendEvent(height, QEvent(QEvent.Type.Leave))
    hands.key(other, Qt.Key.Key_V, CTRL)
    assert param(document, "noise", "height") == 128


def hover(widget: QWidget) -> None:
    at = QPointF(widget.rect().center())
    place = QPointF(widget.mapToGlobal(widget.rect().center()))
    QApplication.sendEvent(widget, QEnterEvent(at, at, place))


def test_keys_on_a_row_without_text_copy_and_paste_its_value(
    document: Document, inspector: Inspector
) -> None:
    inspector.show_nodes(["plan"])
    solver = editor(inspector, "solver", ChoiceEditor)
    solver.box.setFocus()
    QApplication.clipboard().setText("euler")
    hands.key(solver.box, Qt.Key.Key_V, CTRL)
    assert param(document, "plan", "solver") == "euler"
    QApplication.clipboard().setText("none such")
    hands.key(solver.box, Qt.Key.Key_V, CTRL)
    assert param(document, "plan", "solver") == "euler"
    assert "none such" in row(inspector, "solver").error.text()
    hands.key(solver.box, Qt.Key.Key_C, CTRL)
    assert QApplication.clipboard().text() == "euler"


def test_a_linked_parameter_shows_its_source_in_place_of_its_editor(
    document: Document, inspector: Inspector, qtbot: QtBot
) -> None:
    run = document.workflow.graph.node("run")
    link = Link(NodeId("curve"), "guidance")
    linked = replace(run, inputs={**run.inputs, "guidance": link})
    graph = Graph({**document.workflow.graph.nodes, run.id: linked})
    document.edit(replace(document.workflow, graph=graph), "Link")
    inspector.show_nodes(["run"])
    shown = row(inspector, "guidance")
    assert shown.link is not None
    assert shown.link.text() == "← curve.guidance"
    assert not shown.editor.isVisible()
    with qtbot.waitSignal(inspector.node_requested) as caught:
        hands.click(shown.link, QPointF(5, 5))
    assert caught.args == ["curve"]
    hands.click(shown.findChildren(UnlinkButton)[0], QPointF(5, 5))
    assert "guidance" not in document.workflow.graph.node("run").inputs
    assert shown.editor.isVisible()
    assert param(document, "run", "guidance") == 5.0


def test_the_focus_of_a_window_that_is_taken_apart_reaches_no_row(qtbot: QtBot) -> None:
    panel = QWidget()
    qtbot.addWidget(panel)
    keys = RowKeys(panel)
    # as the garbage collector does before Qt destroys the widgets, which tells of their focus
    keys.__dict__.clear()
    keys._focus_moved(None, panel)
