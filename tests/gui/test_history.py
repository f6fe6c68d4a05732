"""The history: what is kept, found, compared and dragged out; thousands of entries; a damaged file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from PySide6.QtCore import QModelIndex, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QIcon, QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.gui.seeing.gallery import PAGE, Entry, Gallery, Search
from studio.gui.seeing.history import History
from studio.gui.seeing.history_list import (
    SMALLEST_PX,
    THUMBNAIL_PX,
    USUAL_PX,
    HistoryModel,
    thumbnail,
)
from studio.gui.theme import Theme
from tests.gui.hands import click, double_click, key, wheel

CONTROL = Qt.KeyboardModifier.ControlModifier


def plain(color: str, width: int = 256, height: int = 128) -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(color))
    return image


class Desk:
    """A history with a folder of pictures."""

    def __init__(self, folder: Path, qtbot: QtBot) -> None:
        self.folder = folder
        self.gallery = Gallery(folder / "history.sqlite")
        self.history = History(self.gallery, Theme.dark())
        qtbot.addWidget(self.history)
        self.history.resize(480, 400)
        with qtbot.waitExposed(self.history):
            self.history.show()

    def make(self, name: str, prompt: str, color: str = "red") -> Path:
        """A finished picture."""
        path = self.folder / f"{name}.png"
        path.write_bytes(thumbnail(plain(color)))
        self.history.add(
            plain(color),
            path=path,
            pixels_sha256=name,
            node="save",
            title="Text to image",
            prompt=prompt,
            workflow=f'{{"name": "{name}"}}',
        )
        return path

    def place(self, row: int) -> QPointF:
        """The middle of an entry on the list."""
        view = self.history.list
        return QPointF(view.visualRect(self.history.model.index(row)).center())

    def pick(self, *rows: int) -> None:
        """Select entries by the mouse."""
        for number, row in enumerate(rows):
            modifiers = CONTROL if number else Qt.KeyboardModifier.NoModifier
            view = self.history.list.viewport()
            QTest.mouseClick(view, Qt.MouseButton.LeftButton, modifiers, self.place(row).toPoint())

    @property
    def prompts(self) -> list[str]:
        model = self.history.model
        return [str(model.index(row).data()) for row in range(model.rowCount())]


@pytest.fixture
def desk(tmp_path: Path, qtbot: QtBot) -> Desk:
    return Desk(tmp_path, qtbot)


def filled(path: Path | None, count: int) -> Gallery:
    gallery = Gallery(path)
    for number in range(count):
        gallery.add(
            time_ms=number,
            path=Path(f"/pictures/{number}.png"),
            pixels_sha256=str(number),
            node="save",
            title="",
            prompt=f"house number {number}",
            workflow="{}",
            thumbnail=b"",
        )
    return gallery


# --- what is kept


def test_the_latest_picture_comes_first(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a blue boat")
    assert desk.prompts == ["a blue boat", "a red house"]


def test_pictures_survive_a_restart(desk: Desk) -> None:
    path = desk.make("one", "a red house")
    desk.gallery.close()
    again = Gallery(desk.folder / "history.sqlite")
    entry = again.page()[0]
    assert (entry.path, entry.prompt, entry.node, entry.title, entry.pixels_sha256) == (
        path,
        "a red house",
        "save",
        "Text to image",
        "one",
    )
    assert again.workflow(entry.id) == '{"name": "one"}'
    assert QImage.fromData(again.thumbnail(entry.id)).width() == THUMBNAIL_PX
    again.close()


def test_the_same_picture_again_moves_to_the_front(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a blue boat")
    desk.make("one", "a red house")
    assert desk.prompts == ["a red house", "a blue boat"]
    assert [entry.prompt for entry in desk.gallery.page()] == desk.prompts


def test_thumbnails_keep_the_shape_and_small_pictures_their_size() -> None:
    large, small = (QImage.fromData(thumbnail(plain("red", width, 64))) for width in (512, 100))
    assert (large.width(), large.height()) == (THUMBNAIL_PX, 32)
    assert (small.width(), small.height()) == (100, 64)


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is no database" * 100)
    gallery = filled(path, 1)
    assert gallery.count() == 1
    assert (tmp_path / "history.sqlite.damaged").read_bytes().startswith(b"this is no database")
    gallery.close()


def test_where_nothing_can_be_written_the_history_lives_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    gallery = filled(tmp_path / "file" / "history.sqlite", 2)
    assert gallery.count() == 2
    assert gallery.problem is not None
    gallery.close()


# --- thousands


def test_a_page_is_read_at_a_time(qtbot: QtBot) -> None:
    model = HistoryModel(filled(None, PAGE + 50))
    assert model.rowCount() == PAGE
    assert model.canFetchMore(QModelIndex())
    model.fetchMore(QModelIndex())
    assert model.rowCount() == PAGE + 50
    assert not model.canFetchMore(QModelIndex())
    prompts = [str(model.index(row).data()) for row in range(model.rowCount())]
    assert prompts == [f"house number {number}" for number in reversed(range(PAGE + 50))]


def test_scrolling_down_reads_on(qtbot: QtBot) -> None:
    history = History(filled(None, PAGE + 50), Theme.dark())
    qtbot.addWidget(history)
    history.resize(480, 300)
    with qtbot.waitExposed(history):
        history.show()
    history.list.setFocus()
    assert history.model.rowCount() == PAGE
    key(history.list, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: history.model.rowCount() == PAGE + 50, timeout=2000)


def test_only_thumbnails_in_sight_are_read(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = Gallery.thumbnail

    def counted(gallery: Gallery, entry: int) -> bytes:
        asked.append(entry)
        return real(gallery, entry)

    monkeypatch.setattr(Gallery, "thumbnail", counted)
    history = History(filled(None, PAGE), Theme.dark())
    qtbot.addWidget(history)
    history.resize(480, 300)
    with qtbot.waitExposed(history):
        history.show()
    history.list.grab()
    assert 0 < len(set(asked)) < 30


# --- search


def test_every_word_must_occur(desk: Desk, qtbot: QtBot) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a red boat")
    desk.make("three", "A RED Straße by the HOUSE")
    QTest.keyClicks(desk.history.field, "house straße")
    qtbot.waitUntil(lambda: desk.prompts == ["A RED Straße by the HOUSE"], timeout=2000)
    desk.history.field.clear()
    key(desk.history.field, Qt.Key.Key_Return)
    assert len(desk.prompts) == 3


@pytest.mark.parametrize("text", ["100%", "a_b", 'say "no', "x' OR 1=1 --"])
def test_a_search_is_taken_literally(text: str) -> None:
    gallery = filled(None, 5)
    assert gallery.page(Search(text)) == []
    assert gallery.count() == 5


def test_a_new_picture_shows_only_if_it_is_searched_for(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.history.model.search(Search("house"))
    desk.make("two", "a blue boat")
    assert desk.prompts == ["a red house"]
    desk.make("three", "another house")
    assert desk.prompts == ["another house", "a red house"]


def test_finding_nothing_says_so(desk: Desk) -> None:
    assert desk.history._empty.text() == "Pictures that you make appear here"
    desk.make("one", "a red house")
    assert not desk.history._empty.isVisible()
    desk.history.model.search(Search("zebra"))
    assert desk.history._empty.isVisible()
    assert desk.history._empty.text() == "No picture has all of that"


# --- what is done with them


def test_a_double_click_shows_a_picture(desk: Desk) -> None:
    path = desk.make("one", "a red house")
    shown: list[Entry] = []
    desk.history.shown.connect(shown.append)
    desk.pick(0)
    double_click(desk.history.list.viewport(), desk.place(0))
    assert [entry.path for entry in shown] == [path]


def test_return_shows_the_selected_picture(desk: Desk) -> None:
    desk.make("one", "a red house")
    path = desk.make("two", "a blue boat")
    shown: list[Entry] = []
    desk.history.shown.connect(shown.append)
    desk.pick(0)
    key(desk.history.list, Qt.Key.Key_Return)
    assert [entry.path for entry in shown] == [path]


def test_a_picture_whose_file_is_gone_is_told_and_its_workflow_opens(desk: Desk) -> None:
    desk.make("one", "a red house").unlink()
    opened: list[str] = []
    desk.history.workflow_opened.connect(lambda text, title: opened.append(text))
    desk.pick(0)
    key(desk.history.list, Qt.Key.Key_O)
    assert opened == ['{"name": "one"}']
    assert "gone" in str(desk.history.model.index(0).data(Qt.ItemDataRole.ToolTipRole))
    said: list[str] = []
    desk.history.status.connect(said.append)
    key(desk.history.list, Qt.Key.Key_C, CONTROL)
    assert "is gone" in said[0]


def test_two_selected_pictures_are_compared_the_earlier_first(desk: Desk) -> None:
    first = desk.make("one", "a red house")
    desk.make("two", "a blue boat")
    last = desk.make("three", "a green tree")
    pairs: list[tuple[Path, Path]] = []
    desk.history.compared.connect(lambda a, b: pairs.append((a.path, b.path)))
    desk.pick(0, 2)
    key(desk.history.list, Qt.Key.Key_C)
    assert pairs == [(first, last)]
    desk.pick(0)
    key(desk.history.list, Qt.Key.Key_C)
    assert len(pairs) == 1


def test_delete_forgets_the_entry_and_keeps_the_file(desk: Desk) -> None:
    path = desk.make("one", "a red house")
    desk.make("two", "a blue boat")
    desk.pick(1)
    key(desk.history.list, Qt.Key.Key_Delete)
    assert desk.prompts == ["a blue boat"]
    assert desk.gallery.count() == 1
    assert path.is_file()


def test_reveal_opens_the_folder(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Desktop:
        @staticmethod
        def openUrl(url: QUrl) -> bool:
            opened.append(url.toLocalFile())
            return True

    monkeypatch.setattr("studio.gui.seeing.history.QDesktopServices", Desktop)
    desk.make("one", "a red house")
    desk.pick(0)
    key(desk.history.list, Qt.Key.Key_R)
    assert opened == [str(desk.folder)]


def test_the_menu_offers_what_is_possible(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a blue boat").unlink()
    desk.pick(0)
    there = [a.text().partition("\t")[0] for a in desk.history.menu().actions() if a.isEnabled()]
    assert [text for text in there if text] == [
        "Show in the viewer",
        "Show as B in the viewer",
        "Compare with the document",
        "Open the workflow",
        "Paste its nodes into the document",
        "Restore its parameters in the document",
        "A favourite",
        "Reveal the file",
        "Remove from the history",
    ]


def test_the_menu_acts_on_the_selected(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.pick(0)
    actions = {a.text().partition("\t")[0]: a for a in desk.history.menu().actions()}
    actions["Remove from the history"].trigger()
    assert desk.prompts == []


def test_letters_typed_into_the_search_are_letters(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.pick(0)
    QTest.keyClicks(desk.history.field, "ocr")
    assert desk.history.field.text() == "ocr"
    assert desk.gallery.count() == 1


def test_files_that_are_there_are_dragged_out(desk: Desk) -> None:
    path = desk.make("one", "a red house")
    desk.make("two", "a blue boat").unlink()
    model = desk.history.model
    mime = model.mimeData([model.index(0), model.index(1)])
    assert [Path(url.toLocalFile()) for url in mime.urls()] == [path]
    assert model.flags(model.index(0)) & Qt.ItemFlag.ItemIsDragEnabled


def test_an_entry_shows_its_thumbnail(desk: Desk) -> None:
    desk.make("one", "a red house", "#00ff00")
    found = desk.history.model.index(0).data(Qt.ItemDataRole.DecorationRole)
    assert isinstance(found, QIcon)
    color = found.pixmap(64, 64).toImage().pixelColor(32, 16)
    assert (color.red() < 8, color.green() > 247, color.blue() < 8) == (True, True, True)


def test_the_count_tells_selected_and_all(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a blue boat")
    assert desk.history._count.text() == "2 pictures"
    click(desk.history.list.viewport(), desk.place(1))
    assert desk.history._count.text() == "1 of 2"


# --- how it looks


@pytest.mark.parametrize("height", [60, 90, 140, 200, 400])
def test_a_whole_row_is_in_sight_at_any_height(desk: Desk, height: int) -> None:
    desk.make("one", "a red house")
    desk.history.resize(760, height)
    view = desk.history.list
    tile = view.visualRect(desk.history.model.index(0))
    assert view.viewport().rect().contains(tile.adjusted(0, 0, 0, -2)) or height == 60
    assert SMALLEST_PX <= view.tile_px <= USUAL_PX


def test_where_it_is_low_the_search_stands_beside(desk: Desk, qtbot: QtBot) -> None:
    history = desk.history

    def right_of_field() -> int:
        return history.field.mapTo(history, history.field.rect().bottomRight()).x()

    history.resize(760, 110)
    qtbot.waitUntil(lambda: right_of_field() < history.list.geometry().left())
    history.resize(760, 400)
    qtbot.waitUntil(lambda: right_of_field() > history.list.geometry().left())


def test_ctrl_and_the_wheel_make_pictures_larger(desk: Desk) -> None:
    desk.history.resize(760, 600)
    view = desk.history.list
    before = view.tile_px
    wheel(view.viewport(), QPointF(20, 20), 2, CONTROL)
    assert view.tile_px > before
    wheel(view.viewport(), QPointF(20, 20), -20, CONTROL)
    assert view.tile_px == SMALLEST_PX


# --- favourites


def test_favourites_are_kept_and_found(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a blue boat")
    desk.pick(1)
    key(desk.history.list, Qt.Key.Key_S)
    click(desk.history.favourites)
    assert desk.prompts == ["a red house"]
    again = Gallery(desk.folder / "history.sqlite")
    assert [(e.prompt, e.is_starred) for e in again.page()] == [
        ("a blue boat", False),
        ("a red house", True),
    ]
    again.close()
    # made again it stays one
    desk.make("one", "a red house")
    assert desk.gallery.page()[0].is_starred
    desk.pick(0)
    key(desk.history.list, Qt.Key.Key_S)
    assert desk.prompts == []
    assert desk.history._empty.text() == "No favourites yet: S makes one of a picture"


def test_a_file_of_the_first_version_is_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(
            "CREATE TABLE pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "time_ms INTEGER NOT NULL, path TEXT NOT NULL, pixels_sha256 TEXT NOT NULL, "
            "node TEXT NOT NULL, title TEXT NOT NULL, prompt TEXT NOT NULL, words TEXT NOT NULL, "
            "workflow TEXT NOT NULL, thumbnail BLOB NOT NULL, UNIQUE (path, pixels_sha256))"
        )
        old.execute("PRAGMA application_id=1164799080")
        old.execute("PRAGMA user_version=1")
        old.execute(
            "INSERT INTO pictures (time_ms, path, pixels_sha256, node, title, prompt, words, workflow, "
            "thumbnail) VALUES (5, '/a.png', 'x', 'save', 't', 'a red house', 'a red house', '{}', x'00')"
        )
    gallery = Gallery(path)
    (entry,) = gallery.page()
    assert (entry.prompt, entry.is_starred) == ("a red house", False)
    gallery.star([entry.id], True)
    gallery.close()
    again = Gallery(path)
    assert again.page()[0].is_starred
    again.close()
    assert not list(tmp_path.glob("*.damaged"))


# --- days


NOW = datetime(2025, 3, 31, 15, 0, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("text", "words", "days"),
    [
        ("today boat", "boat", (datetime(2025, 3, 31), datetime(2025, 4, 1))),
        ("Yesterday", "", (datetime(2025, 3, 30), datetime(2025, 3, 31))),
        ("2025-02", "", (datetime(2025, 2, 1), datetime(2025, 3, 1))),
        ("2024-12 x", "x", (datetime(2024, 12, 1), datetime(2025, 1, 1))),
        ("2025-02-28", "", (datetime(2025, 2, 28), datetime(2025, 3, 1))),
        ("2025-02 2025-02-03", "", (datetime(2025, 2, 3), datetime(2025, 2, 4))),
        ("2025-02-31 2025", "2025-02-31 2025", None),
    ],
)
def test_days_are_searched_for(
    text: str, words: str, days: tuple[datetime, datetime] | None
) -> None:
    found = Search.parse(text, NOW)
    assert found.words == words
    moments = (found.since_ms, found.before_ms)
    if days is None:
        assert moments == (None, None)
    else:
        assert moments == tuple(
            round(day.replace(tzinfo=NOW.tzinfo).timestamp() * 1000) for day in days
        )


def test_only_pictures_of_the_day_are_shown(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.history.field.setText("yesterday")
    key(desk.history.field, Qt.Key.Key_Return)
    assert desk.prompts == []
    desk.history.field.setText("today red")
    key(desk.history.field, Qt.Key.Key_Return)
    assert desk.prompts == ["a red house"]


# --- one on the other


def test_a_picture_dropped_on_another_is_compared_with_it(desk: Desk) -> None:
    first = desk.make("one", "a red house")
    last = desk.make("two", "a blue boat")
    pairs: list[tuple[Path, Path]] = []
    desk.history.compared.connect(lambda a, b: pairs.append((a.path, b.path)))
    desk.history.list.dropped_on.emit(0, 1)
    assert pairs == [(first, last)]
