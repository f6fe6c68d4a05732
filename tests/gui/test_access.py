"""For everybody: names and roles of all that takes the focus, keys to all of it, no word that cannot be translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

import pytest
from PySide6.QtCore import Qt, QTranslator
from PySide6.QtGui import QAccessible, QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QGroupBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from studio.gui.canvas.palette import Palette
from studio.gui.inspector.header import Header
from studio.gui.inspector.ports import Ports
from studio.gui.inspector.row import ParamRow
from studio.gui.shell.page import Page
from studio.gui.shell.panels import Panels
from studio.gui.shell.start_page import Card
from studio.gui.shell.window import Window
from tests.gui.desk import INPAINT, Desk

pops_up = pytest.mark.qt_log_ignore("This plugin does not support")
TAGS = re.compile(r"<[^>]*>")
BRACKETED = re.compile(r"«[^«»]*»")
WORD = re.compile(r"[^\W\d_]{3,}")
NAMES = {"Emulsion", "ComfyUI", "Blender", "Nuke", "auto", "cpu", "cuda"}
"""What is called so in every language."""


class Brackets(QTranslator):
    """Translates every text into itself in brackets."""

    def translate(
        self, context: str, source: str, disambiguation: str | None = None, n: int = -1
    ) -> str:
        return f"«{source}»"

    def isEmpty(self) -> bool:
        return False


@pytest.fixture
def brackets(qapp: QApplication) -> Iterator[None]:
    translator = Brackets()
    qapp.installTranslator(translator)
    yield
    qapp.removeTranslator(translator)


def opened(desk: Desk, qtbot: QtBot) -> tuple[Window, Page, Panels]:
    """A window with every panel side by side with others, on a document."""
    window, page = desk.opened(INPAINT)
    window.resize(1600, 1000)
    panels = window.panels
    assert panels is not None
    for dock in panels.docks.docks.values():
        dock.show()
    page.canvas.select(["mask"])
    qtbot.waitUntil(lambda: "strokes" in panels.inspector.rows)
    return window, page, panels


def places(window: Window, page: Page) -> Iterator[tuple[str, QWidget]]:
    """The window, then each of its dialogs while it is open."""
    yield "window", window
    for name in ("show_settings", "show_keys", "show_about"):
        getattr(window, name)()
        for dialog in window.findChildren(QDialog):
            if dialog.isVisible():
                yield name, dialog
                dialog.close()
    page.canvas.commands.add()
    yield "palette", page.canvas.adding.palette
    page.canvas.adding.palette.close_quietly()
    window.documents.show_start()
    yield "start page", window.documents.start_page


# --- names and roles


def focusable(root: QWidget) -> Iterator[QWidget]:
    """What takes the focus by keys, seen or in a tab behind; not the inner parts of fields."""
    for widget in [root, *root.findChildren(QWidget)]:
        is_part = widget.focusProxy() is not None
        owner = widget.parentWidget()
        while owner is not None and not is_part:
            is_part = isinstance(owner, QAbstractSpinBox | QComboBox)
            owner = owner.parentWidget()
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and not is_part:
            yield widget


@pops_up
def test_all_that_takes_the_focus_has_a_name_and_a_role(desk: Desk, qtbot: QtBot) -> None:
    window, page, _ = opened(desk, qtbot)
    nameless = []
    for place, root in places(window, page):
        for widget in focusable(root):
            told = QAccessible.queryAccessibleInterface(widget)
            assert told is not None
            name = told.text(QAccessible.Text.Name)
            if not name or told.role() == QAccessible.Role.NoRole:
                owner = type(widget.parent()).__name__
                nameless.append(
                    f"{place}: {type(widget).__name__} {widget.objectName()} in {owner}"
                )
    assert nameless == []


# --- keys


def has_focus(widget: QWidget | None) -> bool:
    focus = QApplication.focusWidget()
    return (
        widget is not None and focus is not None and (widget is focus or widget.isAncestorOf(focus))
    )


@pops_up
def test_every_panel_is_reached_by_its_key(desk: Desk, qtbot: QtBot) -> None:
    _, page, panels = opened(desk, qtbot)
    for name, dock in panels.docks.docks.items():
        dock.hide()
        page.canvas.setFocus()
        action = panels.actions_[f"view.{name}"]
        assert not action.shortcut().isEmpty()
        action.trigger()
        # while nothing is compared there is nothing in it to be worked on
        assert has_focus(dock.widget()) or name == "compare", name


@pops_up
def test_one_key_leads_through_the_panels_that_are_seen_and_back(desk: Desk, qtbot: QtBot) -> None:
    _, page, panels = opened(desk, qtbot)
    page.canvas.setFocus()
    panels.docks["plan"].raise_()
    seen = [name for name, dock in panels.docks.docks.items() if not dock.visibleRegion().isEmpty()]
    assert len(seen) >= 4
    for name in seen:
        panels.actions_["view.next_panel"].trigger()
        assert has_focus(panels.docks[name].widget()), name
    panels.actions_["view.next_panel"].trigger()
    assert page.canvas.hasFocus()
    panels.actions_["view.previous_panel"].trigger()
    assert has_focus(panels.docks[seen[-1]].widget())


@pops_up
def test_everything_in_menus_has_a_way_by_keys(desk: Desk, qtbot: QtBot) -> None:
    window, _, panels = opened(desk, qtbot)
    titles = [action.text() for action in window.menuBar().actions()]
    letters = [QKeySequence.mnemonic(title).toString() for title in titles]
    assert all(letters)
    assert len(set(letters)) == len(letters)
    # Qt runs neither of two actions with one key
    made = [*window.actions_.made.values(), *panels.actions_.made.values()]
    keys = list(chain.from_iterable(action.shortcuts() for action in made))
    assert len({key.toString() for key in keys}) == len(keys)


# --- words


def texts(root: QWidget) -> Iterator[tuple[QWidget | QAction, str]]:
    """Everything that is read on widgets and actions, of what is no data of the document or the node types."""
    for widget in [root, *root.findChildren(QWidget)]:
        yield widget, widget.toolTip()
        yield widget, widget.accessibleName()
        if isinstance(widget, QLabel | QAbstractButton):
            yield widget, widget.text()
        if isinstance(widget, QLineEdit | QPlainTextEdit):
            yield widget, widget.placeholderText()
        if isinstance(widget, QGroupBox):
            yield widget, widget.title()
        if isinstance(widget, QDialog):
            yield widget, widget.windowTitle()
        if isinstance(widget, QComboBox | QTabBar):
            text = widget.itemText if isinstance(widget, QComboBox) else widget.tabText
            yield from ((widget, text(index)) for index in range(widget.count()))
        if isinstance(widget, QHeaderView) and widget.model() is not None:
            for index in range(widget.count()):
                yield widget, str(widget.model().headerData(index, widget.orientation()) or "")
    for action in root.findChildren(QAction):
        yield action, action.text()
        yield action, action.toolTip()


def unbracketed(text: str) -> set[str]:
    """The words of a text that stand in no brackets, and the keys after it."""
    text = re.sub(r" \([^()]*\)$", "", TAGS.sub("", text))
    while (less := BRACKETED.sub("", text)) != text:
        text = less
    return set(WORD.findall(text))


def words_of(text: str) -> set[str]:
    return set(WORD.findall(text))


@pops_up
@pytest.mark.usefixtures("brackets")
def test_every_word_can_be_translated(desk: Desk, qtbot: QtBot) -> None:
    window, page, panels = opened(desk, qtbot)
    document = page.document
    # what the file, the node types and the templates say is said in their language
    data = NAMES | words_of(" ".join(document.workflow.graph.nodes)) | words_of(document.title)
    for declared in document.types.values():
        ports = (*declared.inputs, *declared.outputs)
        said = [declared.id, declared.title, declared.category, *declared.aliases]
        said += [port.name for port in ports] + [param.name for param in declared.params]
        said += [port.type.__name__ for port in ports]
        for text in said:
            data |= {word for part in words_of(text.replace("_", " ")) for word in _cases(part)}
    for card in window.documents.start_page.cards:
        data |= words_of(card.offer.title)
    assert panels.inspector.findChildren(QLabel)
    found: dict[str, set[str]] = {}
    for place, root in places(window, page):
        for owner, text in texts(root):
            left = unbracketed(text) - data
            if left and not is_help(owner):
                found.setdefault(f"{place}: {type(owner).__name__} {text!r}", set()).update(left)
    assert found == {}


def _cases(word: str) -> tuple[str, str, str]:
    return word, word.lower(), word.capitalize()


def is_help(owner: QWidget | QAction) -> bool:
    """Whether something shows what a node type says of itself: help, ranges and their units."""
    parent = owner.parent()
    is_row = isinstance(parent, ParamRow | Header | Ports)
    return is_row or isinstance(parent, Palette) or isinstance(owner, Card)
