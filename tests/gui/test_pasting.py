"""What the clipboard holds, pasted on the canvas: nodes, pictures and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QGuiApplication, QImage

from studio.graph import Node
from studio.gui import edits
from studio.gui.shell.page import Page
from studio.gui.shell.window import Window
from tests.gui import hands
from tests.gui.desk import Desk, front

CTRL = Qt.KeyboardModifier.ControlModifier


def bitmap(color: str = "teal") -> QImage:
    image = QImage(24, 16, QImage.Format.Format_RGB888)
    image.fill(QColor(color))
    return image


def paste(page: Page, at: QPointF) -> None:
    """Ctrl+V with the mouse over a place of the canvas."""
    hands.move(page.canvas.viewport(), at)
    hands.key(page.canvas, Qt.Key.Key_V, CTRL)


def added(page: Page) -> Node:
    (name,) = page.selection
    return page.document.workflow.graph.node(name)


def saved(desk: Desk) -> tuple[Window, Page]:
    window, page = desk.opened()
    page.document.save(desk.folder / "mine.json")
    return window, page


def test_a_picture_becomes_a_node_at_the_cursor_and_a_file_beside_the_workflow(desk: Desk) -> None:
    _, page = saved(desk)
    QGuiApplication.clipboard().setImage(bitmap())
    place = QPointF(300, 260)
    paste(page, place)
    node = added(page)
    name = str(node.params["file"])
    assert node.type == "load_image"
    assert (name.startswith("pasted-"), name.endswith(".png")) == (True, True)
    assert QImage(str(desk.folder / name)) == bitmap().convertToFormat(
        QImage(str(desk.folder / name)).format()
    )
    where = edits.positions(page.document.workflow)[node.id]
    at = page.canvas.mapToScene(place.toPoint())
    assert abs(where[0] - at.x()) + abs(where[1] - at.y()) < 4
    page.document.undo()
    assert node.id not in page.document.workflow.graph


def test_the_same_picture_is_one_file_and_another_is_another(desk: Desk) -> None:
    _, page = saved(desk)
    names = []
    for color in ("teal", "teal", "red"):
        QGuiApplication.clipboard().setImage(bitmap(color))
        paste(page, QPointF(300, 260))
        names.append(added(page).params["file"])
    assert names[0] == names[1] != names[2]
    assert len(list(desk.folder.glob("pasted-*.png"))) == 2


def test_without_a_file_of_its_own_a_document_keeps_pictures_with_the_data(desk: Desk) -> None:
    _, page = desk.opened()
    QGuiApplication.clipboard().setImage(bitmap())
    paste(page, QPointF(300, 260))
    path = Path(str(added(page).params["file"]))
    assert path.parent == desk.folder / "data" / "pasted"
    assert path.is_file()


def test_nodes_as_text_are_pasted_even_with_a_picture_beside(desk: Desk) -> None:
    _, page = desk.opened()
    data = QMimeData()
    data.setText(edits.copy_text(page.document.workflow, ["decode"]))
    data.setImageData(bitmap())
    QGuiApplication.clipboard().setMimeData(data)
    paste(page, QPointF(300, 260))
    assert added(page).type == "vae_decode"


def test_a_picture_with_its_address_as_text_is_the_picture(desk: Desk) -> None:
    _, page = saved(desk)
    data = QMimeData()
    data.setText("https://example.org/cat.png")
    data.setUrls([QUrl("https://example.org/cat.png")])
    data.setImageData(bitmap())
    QGuiApplication.clipboard().setMimeData(data)
    paste(page, QPointF(300, 260))
    assert added(page).type == "load_image"


def test_copied_files_are_taken_as_if_they_were_dropped(desk: Desk) -> None:
    window, page = saved(desk)
    picture, workflow = desk.folder / "photo.png", desk.folder / "other.json"
    assert bitmap().save(str(picture))
    page.document.save(workflow)
    page.document.save(desk.folder / "mine.json")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(picture))])
    QGuiApplication.clipboard().setMimeData(data)
    paste(page, QPointF(300, 260))
    assert added(page).params["file"] == "photo.png"
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(workflow))])
    QGuiApplication.clipboard().setMimeData(data)
    paste(page, QPointF(300, 260))
    assert front(window).document.path == workflow


def test_a_folder_that_cannot_be_written_to_is_told_in_words(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, page = saved(desk)
    told: list[object] = []
    assert window.intake is not None
    window.intake.failed.disconnect()
    window.intake.failed.connect(told.append)
    (desk.folder / "blocked").write_text("a file where a folder should be", encoding="utf-8")
    blocked = desk.folder / "blocked" / "mine.json"
    monkeypatch.setattr(type(page.document), "path", property(lambda _: blocked))
    QGuiApplication.clipboard().setImage(bitmap())
    paste(page, QPointF(300, 260))
    assert "cannot be written" in str(told[0])
    assert page.document.position == 0
