"""The library: finding, dragging and adding node types and models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QModelIndex, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.gui.library import Library, OfferedModel, rank
from studio.gui.mime import MIME_NODE_TYPE
from studio.gui.theme import Theme
from studio.registry import load
from tests.gui import hands

TYPES = load().types


@pytest.fixture
def library(qtbot: QtBot) -> Iterator[Library]:
    library = Library(TYPES, Theme.dark())
    qtbot.addWidget(library)
    library.resize(300, 600)
    library.show()
    qtbot.waitExposed(library)
    library.activateWindow()
    qtbot.waitUntil(library.isActiveWindow)
    yield library
    library.close()


def find(library: Library, *path: str) -> QModelIndex:
    parent = QModelIndex()
    for name in path:
        rows = range(library.model.rowCount(parent))
        parent = next(
            index for row in rows if (index := library.model.index(row, 0, parent)).data() == name
        )
    return parent


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("ksampler", "denoise"),
        ("sampler", "denoise"),
        ("denoise", "denoise"),
        ("vd", "vae_decode"),
        ("decode", "vae_decode"),
        ("load mod", "load_model"),
        ("checkerboard of nothing", None),
        ("noise source", "noise_source"),
        ("clip text", "text_encoder"),
        ("KARRAS", "karras_sigmas"),
    ],
)
def test_what_is_meant_stands_first(query: str, first: str | None) -> None:
    found = rank(query, TYPES.values())
    assert (found[0].id if found else None) == first


def test_every_type_is_found_by_its_title_its_id_and_each_alias() -> None:
    for declared in TYPES.values():
        for query in (declared.title, declared.id, *declared.aliases):
            assert declared in rank(query, TYPES.values()), query


def test_an_empty_query_means_everything() -> None:
    assert len(rank("", TYPES.values())) == len(TYPES)


def test_every_type_stands_in_its_category(library: Library) -> None:
    shown = []
    for row in range(library.model.rowCount()):
        section = library.model.index(row, 0)
        for below in range(library.model.rowCount(section)):
            title = library.model.index(below, 0, section).data()
            shown.append((str(section.data()).lower(), str(title)))
    assert sorted(shown) == sorted((d.category, d.title) for d in TYPES.values())
    # in the order in which a picture is made
    assert [name for name, _ in shown].index("model") < [name for name, _ in shown].index("vae")


def test_a_double_click_adds(library: Library, qtbot: QtBot) -> None:
    index = find(library, "Denoise", "Denoise")
    library.tree.scrollTo(index)
    at = QPointF(library.tree.visualRect(index).center())
    hands.click(library.tree.viewport(), at)
    with qtbot.waitSignal(library.add_requested) as caught:
        hands.double_click(library.tree.viewport(), at)
    assert caught.args == ["denoise", {}]


def test_a_double_click_on_a_category_only_closes_it(library: Library, qtbot: QtBot) -> None:
    index = find(library, "Model")
    at = QPointF(library.tree.visualRect(index).center())
    with qtbot.assertNotEmitted(library.add_requested):
        hands.click(library.tree.viewport(), at)
        hands.double_click(library.tree.viewport(), at)
    assert not library.tree.isExpanded(index)
    # and it stays closed when the search has come and gone
    library.search.setText("x")
    library.search.clear()
    assert not library.tree.isExpanded(find(library, "Model"))


def test_typing_and_enter_add_the_first_find(library: Library, qtbot: QtBot) -> None:
    QTest.keyClicks(library.search, "ksam")
    with qtbot.waitSignal(library.add_requested) as caught:
        hands.key(library.search, Qt.Key.Key_Return)
    assert caught.args == ["denoise", {}]
    assert library.help.text() == TYPES["denoise"].summary


def test_enter_on_a_row_adds(library: Library, qtbot: QtBot) -> None:
    library.tree.setFocus()
    library.tree.setCurrentIndex(find(library, "VAE", "VAE decode"))
    with qtbot.waitSignal(library.add_requested) as caught:
        hands.key(library.tree, Qt.Key.Key_Return)
    assert caught.args == ["vae_decode", {}]


def test_a_drag_carries_the_id_of_the_type(library: Library) -> None:
    assert library.model.mimeTypes() == [MIME_NODE_TYPE]
    data = library.model.mimeData([find(library, "VAE", "VAE decode")])
    assert data.data(MIME_NODE_TYPE).data() == b"vae_decode"
    assert not library.model.mimeData([find(library, "VAE")]).hasFormat(MIME_NODE_TYPE)


def test_models_are_listed_found_and_added_with_their_loader(
    library: Library, qtbot: QtBot
) -> None:
    library.set_models(
        [
            OfferedModel("photo"),
            OfferedModel("contours", "load_controlnet"),
            OfferedModel("brushwork", "load_lora"),
        ]
    )
    assert library.model.rowCount(find(library, "Models on disk")) == 3
    for name, added in (
        ("contours", ["load_controlnet", {"model": "contours"}]),
        ("brushwork", ["load_lora", {"lora": "brushwork"}]),
    ):
        library.search.clear()
        QTest.keyClicks(library.search, name)
        with qtbot.waitSignal(library.add_requested) as caught:
            hands.key(library.search, Qt.Key.Key_Return)
        assert caught.args == added
    data = library.model.mimeData([library.model.index(0, 0)])
    assert not data.hasFormat(MIME_NODE_TYPE)


def test_other_types_take_the_place_of_the_first(library: Library) -> None:
    library.set_types({"denoise": TYPES["denoise"]})
    assert library.model.rowCount() == 1
    library.set_theme(Theme.light())
    assert find(library, "Denoise", "Denoise").isValid()
