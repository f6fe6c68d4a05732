"""The start page: templates, recent files with their pictures, what is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.gui.seeing.last_pictures import KEPT, LastPictures
from studio.gui.shell.start_page import Card, StartPage, templates
from studio.gui.shell.window import Window
from studio.resources import resource
from tests.gui import hands
from tests.gui.desk import INPAINT, TEXT_TO_IMAGE, Desk, front, pixels

K = Qt.Key


@pytest.fixture
def files(desk: Desk, tmp_path: Path) -> list[Path]:
    """Recent files, the latest first."""
    made: list[Path] = []
    for name in ("c", "b", "a"):
        path = tmp_path / f"{name}.json"
        path.write_text(TEXT_TO_IMAGE.read_text(encoding="utf-8"), encoding="utf-8")
        desk.preferences.add_recent(path)
        made.insert(0, path)
    return made


def page_of(window: Window) -> StartPage:
    return window.documents.start_page


def names(cards: list[Card]) -> list[str]:
    return [card.accessibleName() for card in cards]


def test_every_template_says_what_it_is_for() -> None:
    offered = templates(resource().parent / "workflows")
    assert offered
    assert [one.path.name for one in offered if not one.about] == []


def test_templates_begin_with_what_to_begin_with_and_end_with_trainings() -> None:
    found = [one.path.stem for one in templates(resource().parent / "workflows")]
    assert found[:3] == ["text-to-image", "image-to-image", "inpaint"]
    are_trainings = [name.startswith("train-") for name in found]
    assert are_trainings == sorted(are_trainings)


def test_recent_files_are_cards_with_their_folder_and_a_sketch(
    desk: Desk, files: list[Path], qtbot: QtBot
) -> None:
    page = page_of(desk.window())
    cards = page.recent.cards
    assert names(cards) == ["a.json", "b.json", "c.json"]
    assert cards[0].accessibleDescription().endswith(files[0].parent.name)
    qtbot.waitUntil(lambda: all(len(card.offer.places) == 8 for card in cards))


def test_before_the_window_has_started_no_recent_file_is_read(
    desk: Desk, files: list[Path], qtbot: QtBot
) -> None:
    page = page_of(desk.program.open_window())
    qtbot.wait(30)
    assert names(page.recent.cards) == ["a.json", "b.json", "c.json"]
    assert not any(card.offer.places for card in page.recent.cards)


def test_a_recent_file_shows_the_picture_that_it_gave_last(
    desk: Desk, files: list[Path], qtbot: QtBot, tmp_path: Path
) -> None:
    window = desk.window()
    window.documents.open_file(files[1])
    window.run()
    desk.worker.say(
        "picture", node="save", index=0, count=1, path=str(tmp_path / "made.png"), is_saved=True,
        pixels_sha256="abc", **pixels(4, 2, (0, 0, 255)),
    )  # fmt: skip
    desk.worker.done()
    qtbot.waitUntil(lambda: window.runner is not None and not window.runner.is_running)
    desk.preferences.add_recent(files[1])
    card = page_of(window).recent.cards[0]
    qtbot.waitUntil(lambda: card.offer.thumbnail is not None)
    assert card.offer.path == files[1]
    assert card._picture.toImage().pixelColor(0, 0).name() == "#0000ff"


def test_without_recent_files_it_says_what_comes_there(desk: Desk, tmp_path: Path) -> None:
    page = page_of(desk.window())
    assert page.empty.isVisible()
    path = tmp_path / "mine.json"
    path.write_text(TEXT_TO_IMAGE.read_text(encoding="utf-8"), encoding="utf-8")
    desk.preferences.add_recent(path)
    assert not page.empty.isVisible()
    assert names(page.recent.cards) == ["mine.json"]


def test_cards_are_reached_and_opened_by_keys(desk: Desk, files: list[Path]) -> None:
    window = desk.window()
    cards = page_of(window).recent.cards
    cards[0].setFocus()
    hands.key(cards[0], K.Key_Right)
    assert cards[1].hasFocus()
    hands.key(cards[1], K.Key_Left)
    assert cards[0].hasFocus()
    hands.key(cards[0], K.Key_Return)
    assert front(window).document.path == files[0]


def test_down_goes_to_the_row_below(desk: Desk, tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / f"{number:02}.json"
        path.write_text(INPAINT.read_text(encoding="utf-8"), encoding="utf-8")
        desk.preferences.add_recent(path)
    page = page_of(desk.window())
    cards = page.recent.cards
    cards[0].setFocus()
    hands.key(cards[0], K.Key_Down)
    focused = next(card for card in cards if card.hasFocus())
    assert focused.x() == cards[0].x()
    assert focused.y() > cards[0].y()


def test_cards_fill_rows_and_none_hangs_over(desk: Desk) -> None:
    page = page_of(desk.window())
    cards = page.templates
    assert all(card.geometry().right() <= cards.width() for card in cards.cards)
    assert len({card.y() for card in cards.cards}) == -(-len(cards.cards) // cards._columns)


def test_the_place_for_files_lights_up_while_one_is_dragged(desk: Desk, tmp_path: Path) -> None:
    window = desk.window()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "x.json"))])
    enter = QDragEnterEvent(
        QPoint(200, 200), Qt.DropAction.CopyAction, mime, hands.LEFT, hands.NONE
    )
    QApplication.sendEvent(window, enter)
    assert page_of(window).drop.property("isOver") is True
    QApplication.sendEvent(window, QDragLeaveEvent())
    assert page_of(window).drop.property("isOver") is False


def test_only_so_many_last_pictures_are_kept(tmp_path: Path) -> None:
    last = LastPictures(tmp_path / "last")
    image = QImage(2, 2, QImage.Format.Format_RGB888)
    for number in range(KEPT + 3):
        last.keep(tmp_path / f"{number}.json", image)
    assert len(list((tmp_path / "last").iterdir())) == KEPT
    assert last.of(tmp_path / "never.json") is None
