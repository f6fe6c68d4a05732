"""The form by hand and key, asserted on the document."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit
from pytestqt.qtbot import QtBot

from studio.graph import Json
from studio.gui import edits
from studio.gui.document import Document
from studio.gui.editors import NumberEditor, PromptEditor, SeedEditor
from studio.gui.form import FormPanel
from studio.gui.inspector import Inspector, SeedBook
from studio.gui.inspector.row import mime_of
from studio.gui.theme import Theme
from studio.workflow import load
from tests.gui import hands
from tests.gui.desk import INPAINT, TEXT_TO_IMAGE, Desk
from tests.gui.test_edits import TYPES
from tests.gui.test_form_edits import BASE, published, with_form
from tests.gui.test_inspector import choose
from tests.gui.test_window import panels_of

ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture
def document(qapp: QApplication) -> Document:
    return Document(TYPES, with_form("prompt.prompt", "noise.seed", "denoise.guidance"))


@pytest.fixture
def form(document: Document, qtbot: QtBot) -> Iterator[FormPanel]:
    form = FormPanel(document, Theme.dark())
    qtbot.addWidget(form)
    form.resize(340, 420)
    form.show()
    qtbot.waitExposed(form)
    form.activateWindow()
    qtbot.waitUntil(form.isActiveWindow)
    yield form
    form.close()


def shown(document: Document) -> list[str]:
    return published(document.workflow)


def value(document: Document, node: str, name: str) -> Json:
    return document.workflow.graph.node(node).params[name]


def test_published_parameters_are_edited_by_their_own_editors(
    document: Document, form: FormPanel
) -> None:
    assert list(form.rows) == ["prompt.prompt", "noise.seed", "denoise.guidance"]
    prompt = form.rows["prompt.prompt"].editor
    assert isinstance(prompt, PromptEditor)
    prompt.field.selectAll()
    QTest.keyClicks(prompt.field, "an owl")
    assert value(document, "prompt", "prompt") == "an owl"
    assert len(document.undo_texts) == 1
    guidance = form.rows["denoise.guidance"].editor
    assert isinstance(guidance, NumberEditor)
    hands.key(guidance.field, Qt.Key.Key_Up)
    assert value(document, "denoise", "guidance") == 5.1
    document.undo()
    document.undo()
    assert prompt.field.toPlainText() == BASE.graph.node("prompt").params["prompt"]


def test_an_empty_form_says_how_to_fill_it(form: FormPanel) -> None:
    form.set_document(Document(TYPES, BASE))
    assert form.rows == {}
    texts = [label.text() for label in form.findChildren(QLabel)]
    assert any("Show in the form" in text for text in texts)


def test_the_run_button_asks_for_a_run(form: FormPanel, qtbot: QtBot) -> None:
    with qtbot.waitSignal(form.run_requested):
        hands.click(form.run_button, QPointF(10, 10))


def test_a_row_is_labelled_by_f2(document: Document, form: FormPanel) -> None:
    field = form.rows["denoise.guidance"].editor.focusProxy()
    assert field is not None
    field.setFocus()
    hands.key(field, Qt.Key.Key_F2)
    typed = QApplication.focusWidget()
    assert isinstance(typed, QLineEdit)
    QTest.keyClicks(typed, "How strictly")
    hands.key(typed, Qt.Key.Key_Return)
    assert edits.form(document.workflow, TYPES)[2].label == "How strictly"
    assert form.rows["denoise.guidance"].name.text() == "How strictly"
    assert form.rows["denoise.guidance"].editor.accessibleName() == "How strictly"
    document.undo()
    assert form.rows["denoise.guidance"].name.text() == "guidance"


def test_escape_leaves_a_label_as_it_was(document: Document, form: FormPanel) -> None:
    form.begin_label("denoise.guidance")
    typed = QApplication.focusWidget()
    assert isinstance(typed, QLineEdit)
    QTest.keyClicks(typed, "How strictly")
    hands.key(typed, Qt.Key.Key_Escape)
    assert document.undo_texts == []
    assert form.rows["denoise.guidance"].name.text() == "guidance"


def test_alt_and_arrows_move_a_row_and_keep_the_keyboard(
    document: Document, form: FormPanel
) -> None:
    guidance = form.rows["denoise.guidance"].editor
    assert isinstance(guidance, NumberEditor)
    guidance.field.setFocus()
    hands.key(guidance.field, Qt.Key.Key_Up, ALT)
    assert shown(document) == ["prompt.prompt", "denoise.guidance", "noise.seed"]
    assert value(document, "denoise", "guidance") == 5.0
    focus = QApplication.focusWidget()
    assert focus is not None
    assert form.rows["denoise.guidance"].isAncestorOf(focus)
    hands.key(focus, Qt.Key.Key_Down, ALT)
    assert shown(document) == ["prompt.prompt", "noise.seed", "denoise.guidance"]


def test_the_menu_moves_and_removes(document: Document, form: FormPanel) -> None:
    choose(form.rows["prompt.prompt"], "Move down")
    assert shown(document) == ["noise.seed", "prompt.prompt", "denoise.guidance"]
    choose(form.rows["noise.seed"], "Take out of the form")
    assert shown(document) == ["prompt.prompt", "denoise.guidance"]
    document.undo()
    assert list(form.rows) == ["noise.seed", "prompt.prompt", "denoise.guidance"]


def drop(form: FormPanel, address: str, at: QPoint) -> None:
    mime = mime_of(address)
    action, left, none = Qt.DropAction.CopyAction, hands.LEFT, hands.NONE
    viewport = form.viewport()
    for event in (
        QDragEnterEvent(at, action, mime, left, none),
        QDragMoveEvent(at, action, mime, left, none),
        QDropEvent(QPointF(at), action, mime, left, none),
    ):
        QApplication.sendEvent(viewport, event)


def test_a_row_that_is_dropped_goes_where_it_was_dropped(
    document: Document, form: FormPanel
) -> None:
    top = form.rows["prompt.prompt"].geometry().topLeft() + QPoint(5, 2)
    drop(form, "scheduler.steps", top)
    assert shown(document)[0] == "scheduler.steps"
    last = form.rows["denoise.guidance"].geometry().bottomLeft() + QPoint(5, 0)
    drop(form, "scheduler.steps", last)
    assert shown(document)[-1] == "scheduler.steps"


def test_what_cannot_be_published_is_said(
    document: Document, form: FormPanel, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(form.refused) as caught:
        drop(form, "nowhere.nothing", QPoint(5, 5))
    assert "is no parameter" in caught.args[0]
    assert document.undo_texts == []


def test_the_inspector_publishes_by_its_menu(document: Document, form: FormPanel) -> None:
    inspector = Inspector(document, Theme.dark())
    inspector.form_toggled.connect(form.toggle)
    inspector.show_nodes(["scheduler"])
    choose(inspector.rows["steps"], "Show in the form")
    assert shown(document)[-1] == "scheduler.steps"
    choose(inspector.rows["steps"], "Show in the form")
    assert "scheduler.steps" not in shown(document)
    inspector.close()


def test_a_lock_holds_in_inspector_and_form(document: Document, qtbot: QtBot) -> None:
    book = SeedBook()
    form, inspector = (kind(document, Theme.dark(), book) for kind in (FormPanel, Inspector))
    qtbot.addWidget(form)
    qtbot.addWidget(inspector)
    assert isinstance(inspector, Inspector)
    assert isinstance(form, FormPanel)
    inspector.show_nodes(["noise"])
    here, there = inspector.rows["seed"].editor, form.rows["noise.seed"].editor
    assert isinstance(here, SeedEditor)
    assert isinstance(there, SeedEditor)
    hands.click(here.lock, QPointF(5, 5))
    assert there.is_locked
    hands.click(there.lock, QPointF(5, 5))
    assert not here.is_locked


def test_a_parameter_in_a_group_is_edited_from_the_form(
    document: Document, form: FormPanel
) -> None:
    w, _ = edits.group(document.workflow, TYPES, ["denoise"], "paint")
    document.edit(w, "Group")
    guidance = form.rows["paint/denoise.guidance"].editor
    assert isinstance(guidance, NumberEditor)
    hands.key(guidance.field, Qt.Key.Key_Up)
    body = document.workflow.groups["paint"].graph
    assert body.node("denoise").params["guidance"] == 5.1


@pytest.mark.parametrize(
    "path", sorted(TEXT_TO_IMAGE.parent.glob("*.json")), ids=lambda path: path.stem
)
def test_every_shipped_workflow_has_a_form(path: object) -> None:
    workflow = load(str(path))
    entries = workflow.view["form"]
    assert isinstance(entries, list)
    fields = edits.form(workflow, TYPES)
    assert len(fields) == len(entries)
    assert {"seed", "steps"} <= {one.param.name for one in fields}


def test_the_form_runs_and_paints(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened(INPAINT)
    panels = panels_of(window)
    panels.docks["form"].raise_()
    hands.click(panels.form.run_button, QPointF(10, 10))
    qtbot.waitUntil(lambda: desk.worker.runs == 1)
    choose(panels.form.rows["noise.seed"], "Go to the node")
    assert page.selection == ("noise",)
    with qtbot.waitSignal(panels.form.painting_requested) as caught:
        button = panels.form.rows["mask.strokes"].editor.focusProxy()
        assert button is not None
        hands.key(button, Qt.Key.Key_Space)
    assert caught.args == ["mask", "strokes"]
    assert panels.mask.isVisible()
