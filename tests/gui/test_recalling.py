"""What the window does with pictures: of the history, of a batch, and files dropped on the viewer."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QImageWriter
from pytestqt.qtbot import QtBot

from studio.gui import edits
from studio.gui.shell.page import Page
from studio.gui.shell.panels import Panels
from studio.gui.shell.window import Window
from studio.workflow import Workflow, dumps
from tests.gui import hands
from tests.gui.desk import INPAINT, Desk, pixels


def panels_of(window: Window) -> Panels:
    assert window.panels is not None
    return window.panels


def written(path: Path, color: str) -> Path:
    image = QImage(16, 16, QImage.Format.Format_RGB32)
    image.fill(QColor(color))
    QImageWriter(str(path), QByteArray(b"PNG")).write(image)
    return path


def remembered(desk: Desk, window: Window, name: str, workflow: Workflow, color: str) -> Path:
    path = written(desk.folder / f"{name}.png", color)
    panels_of(window).history.add(
        QImage(str(path)), path=path, pixels_sha256=name, node="save", title="", prompt=name,
        workflow=dumps(workflow),
    )  # fmt: skip
    return path


def press(window: Window, key: Qt.Key) -> None:
    """A key on the first picture of the history."""
    panels = panels_of(window)
    panels.docks["history"].raise_()
    view = panels.history.list
    hands.click(view.viewport(), QPointF(view.visualRect(panels.history.model.index(0)).center()))
    hands.key(view, key)


def caption(panels: Panels, slot: str = "A") -> str:
    shown = panels.viewer.surface.slot("A" if slot == "A" else "B")
    return shown.caption if shown is not None else ""


# --- the history


def test_a_picture_is_shown_and_put_beside_another(desk: Desk) -> None:
    window, page = desk.opened()
    panels = panels_of(window)
    remembered(desk, window, "one", page.document.workflow, "red")
    press(window, Qt.Key.Key_Return)
    assert caption(panels) == "one.png"
    remembered(desk, window, "two", page.document.workflow, "blue")
    press(window, Qt.Key.Key_B)
    assert (caption(panels), caption(panels, "B")) == ("one.png", "two.png")
    assert panels.viewer.surface.arrangement == "wipe"


def test_a_picture_whose_file_is_gone_is_shown_small_and_told(desk: Desk) -> None:
    window, page = desk.opened()
    panels = panels_of(window)
    remembered(desk, window, "one", page.document.workflow, "red").unlink()
    press(window, Qt.Key.Key_Return)
    assert caption(panels) == "one.png (the file is gone)"
    assert "is gone" in window.said.text()


def test_the_parameters_of_a_picture_are_restored_as_one_step(desk: Desk) -> None:
    window, page = desk.opened()
    document = page.document
    before = document.workflow
    other = edits.set_param(before, "denoise", "guidance", 8.0)
    other = edits.set_param(other, "noise", "seed", 77)
    remembered(desk, window, "one", edits.remove(other, ["negative"]), "red")
    press(window, Qt.Key.Key_V)
    graph = document.workflow.graph
    assert graph.node("denoise").params["guidance"] == 8.0
    assert graph.node("noise").params["seed"] == 77
    assert "negative" in graph
    assert "negative" in graph.node("denoise").inputs
    document.undo()
    assert document.workflow == before


def test_the_nodes_of_a_picture_are_pasted(desk: Desk) -> None:
    window, page = desk.opened()
    before = set(page.document.workflow.graph.nodes)
    remembered(desk, window, "one", page.document.workflow, "red")
    press(window, Qt.Key.Key_P)
    after = set(page.document.workflow.graph.nodes)
    assert len(after) == 2 * len(before)
    assert set(page.canvas.content.selection) == after - before


# --- batches


def test_the_pictures_of_a_batch_follow_each_other(desk: Desk, qtbot: QtBot) -> None:
    window, _ = desk.opened()
    panels = panels_of(window)
    window.run()
    for index in range(3):
        desk.worker.say(
            "picture", node="save", index=index, count=3, key="k",
            **pixels(2, 2, (50 * index, 0, 0)),
        )  # fmt: skip
    qtbot.waitUntil(lambda: caption(panels) == "save 1/3")
    panels.viewer.setFocus()
    for key, expected in (
        (Qt.Key.Key_Right, "save 2/3"),
        (Qt.Key.Key_PageDown, "save 3/3"),
        (Qt.Key.Key_Right, "save 3/3"),
        (Qt.Key.Key_Left, "save 2/3"),
    ):
        hands.key(panels.viewer.surface, key)
        assert caption(panels) == expected
    shown = panels.viewer.current
    assert shown is not None
    assert shown.image.pixelColor(0, 0).red() == 50


# --- files


@pytest.fixture
def painted(desk: Desk) -> tuple[Window, Page]:
    return desk.opened(INPAINT)


def test_a_file_dropped_while_a_loader_is_shown_is_read_by_it(
    desk: Desk, painted: tuple[Window, Page]
) -> None:
    window, page = painted
    panels = panels_of(window)
    graph = page.document.workflow.graph
    (name,) = [node.id for node in graph if node.type == "load_image"]
    panels.showing.view(name)
    path = written(desk.folder / "other.png", "red")
    panels.viewer.file_dropped.emit(path)
    assert page.document.workflow.graph.node(name).params["file"] == str(path)
    page.document.undo()
    assert page.document.workflow.graph == graph


def test_a_file_dropped_otherwise_is_compared(desk: Desk, painted: tuple[Window, Page]) -> None:
    window, page = painted
    panels = panels_of(window)
    before = page.document.workflow
    panels.viewer.file_dropped.emit(written(desk.folder / "a.png", "red"))
    panels.viewer.file_dropped.emit(written(desk.folder / "b.png", "blue"))
    assert (caption(panels), caption(panels, "B")) == ("a.png", "b.png")
    assert page.document.workflow is before


# --- keys


def test_the_wipe_has_a_key_on_the_canvas_and_in_the_sheet(desk: Desk) -> None:
    window, page = desk.opened()
    panels = panels_of(window)
    for slot in ("A", "B"):
        image = QImage(8, 8, QImage.Format.Format_RGB32)
        panels.viewer.set_image("A" if slot == "A" else "B", image)
    page.canvas.setFocus()
    hands.key(page.canvas, Qt.Key.Key_W)
    assert panels.viewer.is_comparing
    rows = [row for rows in panels.key_rows().values() for row in rows]
    assert ("Wipe between A and B", "W") in rows
