"""The history: what is kept, found, compared and dragged out; thousands of entries; a damaged file."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QModelIndex, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QIcon, QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.gui.gallery import PAGE, Entry, Gallery
from studio.gui.history import THUMBNAIL_PX, History, HistoryModel, thumbnail_png
from studio.gui.theme import Theme
from tests.gui.hands import click, double_click, key

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
        path.write_bytes(thumbnail_png(plain(color)))
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
    large, small = (QImage.fromData(thumbnail_png(plain("red", width, 64))) for width in (512, 100))
    assert (large.width(), large.height()) == (THUMBNAIL_PX, 16)
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
    assert gallery.page(text) == []
    assert gallery.count() == 5


def test_a_new_picture_shows_only_if_it_is_searched_for(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.history.model.search("house")
    desk.make("two", "a blue boat")
    assert desk.prompts == ["a red house"]
    desk.make("three", "another house")
    assert desk.prompts == ["another house", "a red house"]


def test_finding_nothing_says_so(desk: Desk) -> None:
    assert desk.history._empty.text() == "Pictures that you make appear here"
    desk.make("one", "a red house")
    assert not desk.history._empty.isVisible()
    desk.history.model.search("zebra")
    assert desk.history._empty.isVisible()
    assert desk.history._empty.text() == "No prompt has these words"


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


def test_a_picture_whose_file_is_gone_is_not_shown_but_its_workflow_opens(desk: Desk) -> None:
    desk.make("one", "a red house").unlink()
    shown: list[Entry] = []
    opened: list[str] = []
    desk.history.shown.connect(shown.append)
    desk.history.workflow_opened.connect(lambda text, title: opened.append(text))
    desk.pick(0)
    key(desk.history.list, Qt.Key.Key_Return)
    key(desk.history.list, Qt.Key.Key_O)
    assert (shown, opened) == ([], ['{"name": "one"}'])
    assert "gone" in str(desk.history.model.index(0).data(Qt.ItemDataRole.ToolTipRole))


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

    monkeypatch.setattr("studio.gui.history.QDesktopServices", Desktop)
    desk.make("one", "a red house")
    desk.pick(0)
    key(desk.history.list, Qt.Key.Key_R)
    assert opened == [str(desk.folder)]


def test_the_menu_offers_what_is_possible(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a blue boat").unlink()
    desk.pick(0)
    there = {a.text().partition("\t")[0]: a.isEnabled() for a in desk.history.menu().actions()}
    assert there == {
        "Show in the viewer": False,
        "Compare the two selected": False,
        "Compare with the document": True,
        "Open the workflow": True,
        "Reveal the file": True,
        "Remove from the history": True,
    }


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
    assert found.pixmap(64, 64).toImage().pixelColor(32, 16) == QColor("#00ff00")


def test_the_count_tells_selected_and_all(desk: Desk) -> None:
    desk.make("one", "a red house")
    desk.make("two", "a blue boat")
    assert desk.history._count.text() == "2 pictures"
    click(desk.history.list.viewport(), desk.place(1))
    assert desk.history._count.text() == "1 of 2"
