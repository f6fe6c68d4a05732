"""Two pictures of the history compared, or one with the document: what differs, and what is taken over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray, QPointF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QImageWriter
from pytestqt.qtbot import QtBot

from studio.comparison import changes
from studio.errors import GraphError
from studio.graph import Link, NodeId
from studio.gui import edits
from studio.gui.seeing.compare_panel import side, what
from studio.gui.shell.page import Page
from studio.gui.shell.panels import Panels
from studio.gui.shell.window import Window
from studio.workflow import Workflow, dumps
from tests.gui import hands
from tests.gui.desk import Desk, pixels

CONTROL = Qt.KeyboardModifier.ControlModifier


def panels_of(window: Window) -> Panels:
    assert window.panels is not None
    return window.panels


def remember(desk: Desk, window: Window, name: str, workflow: Workflow, color: str) -> Path:
    image = QImage(16, 16, QImage.Format.Format_RGB32)
    image.fill(QColor(color))
    path = desk.folder / f"{name}.png"
    QImageWriter(str(path), QByteArray(b"PNG")).write(image)
    panels_of(window).history.add(
        image,
        path=path,
        pixels_sha256=name,
        node="save",
        title="Text to image",
        prompt=name,
        workflow=dumps(workflow),
    )
    return path


def compared(desk: Desk, qtbot: QtBot) -> tuple[Window, Page, Panels]:
    """Two pictures of the history, of which the later has another prompt and guidance, compared by hand."""
    window, page = desk.opened()
    panels = panels_of(window)
    w = page.document.workflow
    w = edits.set_param(w, "prompt", "prompt", "a blue sailboat at sea")
    remember(desk, window, "early", w, "#102030")
    w = edits.set_param(w, "prompt", "prompt", "a red sailboat at sea, at night")
    w = edits.set_param(w, "denoise", "guidance", 9.5)
    remember(desk, window, "late", w, "#102838")
    panels.docks["history"].raise_()
    view = panels.history.list
    for row, modifier in ((0, Qt.KeyboardModifier.NoModifier), (1, CONTROL)):
        place = QPointF(view.visualRect(panels.history.model.index(row)).center())
        hands.press(view.viewport(), place, modifiers=modifier)
        hands.release(view.viewport(), place, modifiers=modifier)
    hands.key(view, Qt.Key.Key_C)
    qtbot.waitUntil(lambda: "pixels" in panels.comparison.summary.text())
    qtbot.waitUntil(lambda: "comparing" not in panels.comparison.summary.text())
    return window, page, panels


def rows(panels: Panels) -> list[tuple[str, str, str]]:
    return [(what(one), side(one, "A"), side(one, "B")) for one in panels.comparison.model.changes]


def pick(panels: Panels, row: int) -> None:
    table = panels.comparison.table
    hands.click(
        table.viewport(),
        QPointF(table.visualRect(panels.comparison.model.index(row, 0)).center()),
    )


def test_two_pictures_of_the_history_are_told_apart(desk: Desk, qtbot: QtBot) -> None:
    _, _, panels = compared(desk, qtbot)
    assert rows(panels) == [
        ("denoise.guidance", "5.0", "9.5"),
        ("prompt.prompt", "a blue sailboat at sea", "a red sailboat at sea, at night"),
    ]
    assert panels.comparison.summary.text().startswith(
        "2 differences · 100 % of pixels differ, by 8"
    )
    surface = panels.viewer.surface
    assert surface.arrangement == "wipe"
    first, second = surface.slot("A"), surface.slot("B")
    assert first is not None
    assert second is not None
    assert (first.caption, second.caption) == ("early.png", "late.png")
    assert panels.comparison.isVisible()


def test_the_words_that_differ_are_marked(desk: Desk, qtbot: QtBot) -> None:
    _, _, panels = compared(desk, qtbot)
    model = panels.comparison.model
    spans = [model.index(1, column).data(int(Qt.ItemDataRole.UserRole)) for column in (1, 2)]
    assert spans == [[(2, 6)], [(2, 5), (21, 31)]]


def test_a_row_shows_its_node(desk: Desk, qtbot: QtBot) -> None:
    _, page, panels = compared(desk, qtbot)
    pick(panels, 1)
    assert page.selection == ("prompt",)
    pick(panels, 0)
    assert page.selection == ("denoise",)


def test_one_value_of_a_picture_is_taken_over_as_one_step(desk: Desk, qtbot: QtBot) -> None:
    _, page, panels = compared(desk, qtbot)
    pick(panels, 0)
    steps = page.document.position
    hands.key(panels.comparison.table, Qt.Key.Key_B)
    graph = page.document.workflow.graph
    assert graph.node("denoise").params["guidance"] == 9.5
    assert graph.node("prompt").params["prompt"] != "a red sailboat at sea, at night"
    assert page.document.position == steps + 1
    page.document.undo()
    assert page.document.workflow.graph.node("denoise").params["guidance"] == 5.0


def test_without_a_choice_everything_is_taken_over(desk: Desk, qtbot: QtBot) -> None:
    _, page, panels = compared(desk, qtbot)
    before = page.document.workflow.view
    hands.click(panels.comparison.buttons["B"])
    graph = page.document.workflow.graph
    assert graph.node("denoise").params["guidance"] == 9.5
    assert graph.node("prompt").params["prompt"] == "a red sailboat at sea, at night"
    assert page.document.workflow.view == before


def test_a_new_picture_of_the_document_takes_the_viewer_back(desk: Desk, qtbot: QtBot) -> None:
    window, _, panels = compared(desk, qtbot)
    window.run()
    desk.worker.say("picture", node="save", index=0, count=1, key="k", **pixels(2, 2, (9, 9, 9)))
    qtbot.waitUntil(lambda: panels.viewer.surface.slot("B") is None)
    shown = panels.viewer.current
    assert shown is not None
    assert shown.caption == "save"


def test_escape_ends_the_comparison(desk: Desk, qtbot: QtBot) -> None:
    _, _, panels = compared(desk, qtbot)
    hands.key(panels.comparison.table, Qt.Key.Key_Escape)
    assert panels.viewer.surface.slot("A") is None
    assert panels.comparison.model.rowCount() == 0


def test_a_picture_is_compared_with_the_document_as_it_is_edited(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    panels = panels_of(window)
    remember(desk, window, "old", page.document.workflow, "red")
    panels.docks["history"].raise_()
    view = panels.history.list
    hands.click(view.viewport(), QPointF(view.visualRect(panels.history.model.index(0)).center()))
    hands.key(view, Qt.Key.Key_D)
    assert rows(panels) == []
    w = page.document.workflow
    page.document.edit(edits.set_param(w, "denoise", "guidance", 2.0), "Guidance")
    qtbot.waitUntil(lambda: rows(panels) == [("denoise.guidance", "5.0", "2.0")])
    assert not panels.comparison.buttons["B"].isVisible()
    hands.key(panels.comparison.table, Qt.Key.Key_A)
    assert page.document.workflow.graph.node("denoise").params["guidance"] == 5.0
    qtbot.waitUntil(lambda: rows(panels) == [])


def test_the_pictures_that_the_document_comes_to_give_are_compared_with_the_old_one(
    desk: Desk, qtbot: QtBot
) -> None:
    window, page = desk.opened()
    panels = panels_of(window)
    remember(desk, window, "old", page.document.workflow, "red")
    panels.comparing.compare_with_document(
        panels.history.model.entry(panels.history.model.index(0))
    )
    window.run()
    desk.worker.say("picture", node="save", index=0, count=1, key="k", **pixels(2, 2, (9, 9, 9)))
    qtbot.waitUntil(lambda: panels.viewer.surface.slot("B") is not None)
    first, second = panels.viewer.surface.slot("A"), panels.viewer.surface.slot("B")
    assert first is not None
    assert second is not None
    assert (first.caption, second.caption) == ("old.png", "save")


def test_a_picture_whose_file_is_gone_is_compared_by_its_workflow(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    panels = panels_of(window)
    remember(desk, window, "old", page.document.workflow, "red").unlink()
    w = edits.set_param(page.document.workflow, "denoise", "guidance", 2.0)
    remember(desk, window, "new", w, "blue")
    model = panels.history.model
    panels.comparing.compare(model.entry(model.index(1)), model.entry(model.index(0)))
    qtbot.waitUntil(lambda: "not compared" in panels.comparison.summary.text())
    assert rows(panels) == [("denoise.guidance", "5.0", "2.0")]
    first = panels.viewer.surface.slot("A")
    assert first is not None
    assert "gone" in first.caption


def test_rows_are_copied_as_the_command_line_prints_them(desk: Desk, qtbot: QtBot) -> None:
    _, _, panels = compared(desk, qtbot)
    pick(panels, 0)
    hands.key(panels.comparison.table, Qt.Key.Key_C, CONTROL)
    assert QGuiApplication.clipboard().text() == "denoise.guidance: 5.0 -> 9.5"


# --- taking over, as an edit


@pytest.fixture
def flows(desk: Desk) -> tuple[Workflow, Page]:
    _, page = desk.opened()
    return page.document.workflow, page


def test_a_link_and_a_removed_node_come_back(flows: tuple[Workflow, Page]) -> None:
    source, page = flows
    types = page.document.types
    without = edits.remove(source, ["prompt"])
    found = changes(source, without)
    after = edits.adopt(without, types, source, found)
    assert after.graph == source.graph
    assert edits.positions(after)[NodeId("prompt")] == edits.positions(source)[NodeId("prompt")]
    [link] = [one for one in found if one.difference and one.difference.kind == "link"]
    with pytest.raises(GraphError, match="not here"):
        edits.adopt(without, types, source, [link])


def test_a_node_that_the_source_has_not_goes(flows: tuple[Workflow, Page]) -> None:
    source, page = flows
    types = page.document.types
    more, name = edits.add_node(source, types, "preview")
    more = edits.connect(more, types, "decode", "image", name, "image")
    after = edits.adopt(more, types, source, changes(source, more))
    assert after.graph == source.graph


def test_what_is_inside_a_group_is_taken_over(flows: tuple[Workflow, Page]) -> None:
    w, page = flows
    types = page.document.types
    grouped, outer = edits.group(w, types, ["denoise"], "loop")
    inside = edits.body(grouped, "loop")
    other = edits.with_body(
        grouped, types, "loop", edits.set_param(inside, "denoise", "guidance", 1.5)
    )
    [found] = changes(other, grouped)
    assert found.group == "loop"
    after = edits.adopt(grouped, types, other, [found])
    assert after.groups["loop"].graph.node("denoise").params["guidance"] == 1.5
    assert after.graph.node(outer).type == "group:loop"


def test_taking_all_over_keeps_the_layout(flows: tuple[Workflow, Page]) -> None:
    source, _ = flows
    moved = edits.move(edits.set_param(source, "denoise", "guidance", 2.0), {"denoise": (9.0, 9.0)})
    after = edits.adopt_all(moved, source)
    assert after.graph == source.graph
    assert edits.positions(after)[NodeId("denoise")] == (9.0, 9.0)


def test_a_link_that_would_close_a_circle_is_refused(flows: tuple[Workflow, Page]) -> None:
    w, page = flows
    types = page.document.types
    first, a = edits.add_node(w, types, "image_resize")
    first, b = edits.add_node(first, types, "image_resize")
    forth = edits.connect(first, types, a, "image", b, "image")
    back = edits.connect(first, types, b, "image", a, "image")
    [found] = [one for one in changes(back, forth) if one.difference and one.difference.node == a]
    node = forth.graph.node(a)
    assert found.difference is not None
    assert found.difference.old == replace(node, inputs={"image": Link(b, "image")})
    with pytest.raises(GraphError, match="cycle"):
        edits.adopt(forth, types, back, [found])
