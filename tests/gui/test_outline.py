"""The outline: the graph as a tree, by keys, asserted on the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPointF, Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from studio.graph import Graph, Link, Node, NodeId
from studio.gui import edits
from studio.gui.document import Document
from studio.gui.outline import Outline
from studio.gui.outline_model import Column
from studio.gui.states import Failure, NodeState
from studio.gui.theme import Theme
from studio.workflow import Workflow
from tests.gui import hands
from tests.gui.test_inspector import TYPES, _workflow


@pytest.fixture
def document(qapp: QApplication) -> Document:
    return Document(TYPES, _workflow())


@pytest.fixture
def outline(document: Document, qtbot: QtBot) -> Iterator[Outline]:
    outline = Outline(document, Theme.dark())
    qtbot.addWidget(outline)
    outline.resize(420, 500)
    outline.show()
    qtbot.waitExposed(outline)
    outline.activateWindow()
    qtbot.waitUntil(outline.isActiveWindow)
    outline.tree.setFocus()
    yield outline
    outline.close()


def words(model: QAbstractItemModel, parent: QModelIndex | None = None) -> list[tuple[str, ...]]:
    parent = parent or QModelIndex()
    return [
        tuple(str(model.index(row, column, parent).data() or "") for column in Column)
        for row in range(model.rowCount(parent))
    ]


def names(outline: Outline) -> list[str]:
    return [row[0] for row in words(outline.model)]


def test_nodes_stand_after_what_they_need(document: Document, outline: Outline) -> None:
    assert names(outline) == document.workflow.graph.order()
    assert names(outline).index("model") < names(outline).index("run") < names(outline).index("odd")


def test_inputs_are_listed_below_with_their_sources(outline: Outline) -> None:
    run = outline.model.index_of("run")
    below = words(outline.model, run)
    assert below[0] == ("model", "← model.model", "")
    assert ("noise", "needs a link", "") in below
    assert ("mask", "–", "") in below
    # of a type that nothing is known of, what the file says
    odd = outline.model.index_of("odd")
    assert words(outline.model, odd) == [("in", "← run.latents", "")]
    assert odd.siblingAtColumn(Column.KIND).data() == "mystery (unknown)"


def test_the_model_is_sound_by_qts_own_tester(document: Document, outline: Outline) -> None:
    tester = QAbstractItemModelTester(
        outline.model, QAbstractItemModelTester.FailureReportingMode.Fatal
    )
    document.edit(edits.remove(document.workflow, ["model"]), "Delete")
    document.undo()
    w, _ = edits.add_node(document.workflow, TYPES, "vae_decode")
    document.edit(w, "Add")
    assert tester.model() is outline.model


def test_a_cycle_in_a_file_can_still_be_looked_at(qtbot: QtBot) -> None:
    one = Node(NodeId("one"), "vae_decode", inputs={"latents": Link(NodeId("two"), "image")})
    two = Node(NodeId("two"), "vae_encode", inputs={"image": Link(NodeId("one"), "latents")})
    document = Document(TYPES, Workflow(Graph({one.id: one, two.id: two})))
    outline = Outline(document, Theme.dark())
    qtbot.addWidget(outline)
    assert names(outline) == ["one", "two"]


def test_states_are_shown_and_read_out(outline: Outline) -> None:
    failure = Failure("out of memory", "run", "make it smaller")
    outline.set_states({"run": NodeState("failed", "failed", error=failure)})
    index = outline.model.index_of("run")
    assert index.siblingAtColumn(Column.STATE).data() == "failed"
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "run, Denoise, failed"
    assert index.data(Qt.ItemDataRole.ToolTipRole) == "run: out of memory; make it smaller"
    child = outline.model.index(0, 0, index)
    assert child.data(Qt.ItemDataRole.AccessibleTextRole) == "input model, from model.model"


def test_arrow_keys_select_and_say_so(outline: Outline, qtbot: QtBot) -> None:
    outline.tree.setCurrentIndex(outline.model.index(0, 0))
    with qtbot.waitSignal(outline.selection_changed) as caught:
        hands.key(outline.tree, Qt.Key.Key_Down)
    assert caught.args == [(names(outline)[1],)]
    with qtbot.waitSignal(outline.selection_changed) as caught:
        hands.key(outline.tree, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert caught.args == [tuple(names(outline)[1:3])]


def test_a_selection_from_elsewhere_is_shown_without_an_answer(
    outline: Outline, qtbot: QtBot
) -> None:
    with qtbot.assertNotEmitted(outline.selection_changed):
        outline.select(["run", "prompt", "nowhere"])
    assert set(outline.selected) == {"run", "prompt"}


def test_enter_asks_for_the_inspector(outline: Outline, qtbot: QtBot) -> None:
    outline.select(["run"])
    with qtbot.waitSignal(outline.inspect_requested) as caught:
        hands.key(outline.tree, Qt.Key.Key_Return)
    assert caught.args == ["run"]


def test_enter_on_an_input_goes_to_its_source(outline: Outline) -> None:
    outline.select(["run"])
    hands.key(outline.tree, Qt.Key.Key_Right)
    hands.key(outline.tree, Qt.Key.Key_Down)
    assert list(outline.selected) == ["run"]
    hands.key(outline.tree, Qt.Key.Key_Return)
    assert list(outline.selected) == ["model"]


def test_delete_removes_and_the_keyboard_goes_on(document: Document, outline: Outline) -> None:
    outline.select(["noise", "prompt"])
    hands.key(outline.tree, Qt.Key.Key_Delete)
    graph = document.workflow.graph
    assert "noise" not in graph
    assert "prompt" not in graph
    assert "positive" not in graph.node("run").inputs
    assert len(document.undo_texts) == 1
    assert outline.tree.currentIndex().isValid()
    document.undo()
    assert "noise" in names(outline)


def rename(outline: Outline, old: str, new: str, qtbot: QtBot) -> None:
    outline.select([old])
    hands.key(outline.tree, Qt.Key.Key_F2)
    field = outline.tree.viewport().findChild(QLineEdit)
    assert isinstance(field, QLineEdit)
    field.selectAll()
    QTest.keyClicks(field, new)
    hands.key(field, Qt.Key.Key_Return)
    # Qt takes what was typed when it comes back to its loop
    with qtbot.waitSignal(field.destroyed):
        pass


def test_f2_renames_and_keeps_selection_and_what_is_open(
    document: Document, outline: Outline, qtbot: QtBot
) -> None:
    outline.tree.expand(outline.model.index_of("run"))
    rename(outline, "run", "paint", qtbot)
    assert "paint" in document.workflow.graph
    assert document.workflow.graph.node("odd").inputs["in"].node == "paint"
    assert list(outline.selected) == ["paint"]
    assert outline.tree.isExpanded(outline.model.index_of("paint"))


def test_a_taken_name_is_refused_with_the_reason(
    document: Document, outline: Outline, qtbot: QtBot
) -> None:
    rename(outline, "run", "model", qtbot)
    assert document.undo_texts == []
    assert outline.message.isVisible()
    assert outline.message.text() == "model exists already; choose another id"


def test_an_edit_of_a_parameter_leaves_the_tree_as_it_is(
    document: Document, outline: Outline, qtbot: QtBot
) -> None:
    outline.select(["run"])
    with qtbot.assertNotEmitted(outline.model.modelReset):
        document.edit(edits.set_param(document.workflow, "run", "guidance", 9.0), "Set")
    with qtbot.waitSignal(outline.model.modelReset):
        document.edit(edits.disconnect(document.workflow, "run", "model"), "Cut")
    assert list(outline.selected) == ["run"]


def test_muting_is_shown(document: Document, outline: Outline) -> None:
    document.edit(edits.set_mode(document.workflow, ["run"], "mute"), "Mute")
    assert outline.model.index_of("run").siblingAtColumn(Column.STATE).data() == "muted"


def test_finding_hides_the_rest_and_enter_jumps(outline: Outline) -> None:
    QTest.keyClicks(outline.search, "text enc")
    shown = [
        name
        for row, name in enumerate(names(outline))
        if not outline.tree.isRowHidden(row, QModelIndex())
    ]
    assert shown == ["negative", "prompt"]
    hands.key(outline.search, Qt.Key.Key_Return)
    assert list(outline.selected) == ["negative"]
    assert outline.tree.hasFocus()
    assert not outline.tree.isRowHidden(0, QModelIndex())


def test_another_document_is_shown(document: Document, outline: Outline) -> None:
    w, _ = edits.add_node(Workflow(), TYPES, "scheduler")
    other = Document(TYPES, w)
    outline.set_document(other)
    assert names(outline) == ["scheduler"]
    document.edit(replace(document.workflow, graph=Graph()), "Clear")
    assert names(outline) == ["scheduler"]


def test_a_double_click_on_a_node_asks_for_the_inspector(outline: Outline, qtbot: QtBot) -> None:
    rect = outline.tree.visualRect(outline.model.index_of("prompt"))
    hands.click(outline.tree.viewport(), QPointF(rect.center()))
    with qtbot.waitSignal(outline.inspect_requested) as caught:
        hands.double_click(outline.tree.viewport(), QPointF(rect.center()))
    assert caught.args == ["prompt"]


# --- groups


@pytest.fixture
def nested(document: Document, outline: Outline) -> Document:
    """``run`` and ``curve`` in the group ``look``, and that in ``all``."""
    w, _ = edits.group(document.workflow, TYPES, ["run", "curve"], "look")
    w, _ = edits.group(w, TYPES, ["look", "odd"], "all")
    document.edit(w, "Group")
    return document


def test_a_group_unfolds_to_its_nodes_and_they_to_theirs(
    nested: Document, outline: Outline
) -> None:
    outer = outline.model.index_of("all")
    inner = [row[0] for row in words(outline.model, outer)]
    assert inner[-2:] == ["look", "odd"]
    assert "model" in inner[:-2]
    deep = outline.model.index_of("all/look/run")
    assert deep.data() == "run"
    assert outline.model.node_of(deep.parent()) == "all/look"
    outline.set_states({"all/look/run": NodeState("resumes", "resumes at 3 of 9")})
    assert deep.siblingAtColumn(Column.STATE).data() == "resumes at 3 of 9"


def test_the_model_with_groups_is_sound_by_qts_own_tester(
    nested: Document, outline: Outline
) -> None:
    tester = QAbstractItemModelTester(
        outline.model, QAbstractItemModelTester.FailureReportingMode.Fatal
    )
    outline.tree.expandAll()
    nested.undo()
    nested.redo()
    assert tester.model() is outline.model


def test_arrow_keys_lead_into_a_group(nested: Document, outline: Outline, qtbot: QtBot) -> None:
    outline.select(["all"])
    hands.key(outline.tree, Qt.Key.Key_Right)
    below = [row[0] for row in words(outline.model, outline.model.index_of("all"))]
    with qtbot.waitSignals([outline.selection_changed] * (below.index("look") + 1)):
        for _ in range(below.index("look") + 1):
            hands.key(outline.tree, Qt.Key.Key_Down)
    assert outline.selected == ("all/look",)


def test_nodes_of_several_graphs_are_not_selected_together(
    nested: Document, outline: Outline
) -> None:
    outline.select(["model", "all/odd", "all/look"])
    assert outline.selected == ("model",)


def test_a_node_in_a_group_is_renamed_and_followed(
    nested: Document, outline: Outline, qtbot: QtBot
) -> None:
    rename(outline, "all/look/run", "paint", qtbot)
    assert "paint" in nested.workflow.groups["look"].graph
    assert nested.workflow.groups["look"].outputs["latents"].node == "paint"
    assert outline.selected == ("all/look/paint",)
    assert outline.tree.isExpanded(outline.model.index_of("all/look"))


def test_delete_removes_from_the_body_of_a_group(nested: Document, outline: Outline) -> None:
    outline.select(["all/look/curve"])
    hands.key(outline.tree, Qt.Key.Key_Delete)
    assert list(nested.workflow.groups["look"].graph.nodes) == ["run"]
    assert outline.tree.currentIndex().parent() == outline.model.index_of("all/look")
    nested.undo()
    assert "curve" in nested.workflow.groups["look"].graph


def test_finding_looks_into_groups(nested: Document, outline: Outline) -> None:
    QTest.keyClicks(outline.search, "curve")
    assert outline.tree.isRowHidden(outline.model.index_of("model").row(), QModelIndex())
    assert outline.tree.isExpanded(outline.model.index_of("all/look"))
    hands.key(outline.search, Qt.Key.Key_Return)
    assert outline.selected == ("all/look/curve",)
    run = outline.model.index_of("all/look/run")
    assert not outline.tree.isRowHidden(run.row(), run.parent())
