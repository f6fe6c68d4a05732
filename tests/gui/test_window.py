"""The window: documents, menus, keys, drops, questions."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QLineEdit,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from studio.errors import ModelError
from studio.graph import NodeId
from studio.gui import edits
from studio.gui.document import Document
from studio.gui.keys.key_sheet import KeySheet
from studio.gui.shell.documents import CloseButton
from studio.gui.shell.intake import Intake
from studio.gui.shell.panels import Panels
from studio.gui.shell.settings import Options, SettingsDialog
from studio.gui.shell.start_page import templates
from studio.gui.shell.window import Window
from studio.gui.states import Failure
from studio.pictures import WORKFLOW, with_text
from studio.resources import resource
from studio.workflow import load
from tests.gui import hands
from tests.gui.desk import INPAINT, TEXT_TO_IMAGE, Desk, answer, front, in_view

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier


def panels_of(window: Window) -> Panels:
    assert window.panels is not None
    return window.panels


def intake_of(window: Window) -> Intake:
    assert window.intake is not None
    return window.intake


def modify(window: Window, value: float = 7.5) -> Document:
    document = front(window).document
    document.edit(edits.set_param(document.workflow, "denoise", "guidance", value), "Guidance")
    return document


def drop(window: Window, paths: list[Path], at: QPointF) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left, none = Qt.DropAction.CopyAction, hands.LEFT, hands.NONE
    enter = QDragEnterEvent(at.toPoint(), copy, mime, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(at, copy, mime, left, none))
    # files are taken once the drop is over
    QTest.qWait(0)


# --- start page


def test_the_start_page_offers_every_template(desk: Desk) -> None:
    window = desk.program.open_window()
    titles = [card.offer.title for card in window.documents.start_page.cards]
    assert titles[0] == "Text to image"
    assert {"Image to image", "Inpaint"} < set(titles)


def test_a_file_that_is_no_workflow_is_no_template(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "good.json").write_text(TEXT_TO_IMAGE.read_text(encoding="utf-8"), encoding="utf-8")
    assert [one.path.name for one in templates(tmp_path)] == ["good.json"]


def test_a_template_opens_by_click_as_a_copy_without_a_file(desk: Desk) -> None:
    window = desk.window()
    hands.click(window.documents.start_page.cards[0])
    document = front(window).document
    assert document.path is None
    assert not document.is_modified
    assert document.workflow.graph == load(TEXT_TO_IMAGE).graph


def test_files_that_were_opened_are_recent(desk: Desk, tmp_path: Path) -> None:
    window = desk.window()
    path = tmp_path / "mine.json"
    path.write_text(TEXT_TO_IMAGE.read_text(encoding="utf-8"), encoding="utf-8")
    window.documents.open_file(path)
    assert desk.preferences.recent() == [path]
    window.documents.show_start()
    window.documents.close_front()
    path.unlink()
    assert desk.preferences.recent() == []


def test_panels_stand_around_documents_and_not_around_the_start_page(desk: Desk) -> None:
    window = desk.window()
    viewer = panels_of(window).docks["viewer"]
    assert not viewer.isVisible()
    window.documents.new()
    assert viewer.isVisible()
    window.documents.show_start()
    assert not viewer.isVisible()


# --- documents


def test_the_tab_marks_unsaved_work(desk: Desk, tmp_path: Path) -> None:
    window, page = desk.opened()
    index = window.documents.indexOf(page)
    assert window.documents.tabText(index) == "Text to image"
    modify(window)
    assert window.documents.tabText(index) == "● Text to image"
    page.document.save(tmp_path / "mine.json")
    assert window.documents.tabText(index) == "mine.json"


def test_save_asks_for_a_name_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, page = desk.opened()
    asked: list[str] = []

    def name(parent: QWidget, title: str, suggestion: str, kinds: str) -> tuple[str, str]:
        asked.append(suggestion)
        return str(tmp_path / "mine"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", name)
    hands.key(page.canvas, Qt.Key.Key_S, CTRL)
    assert page.document.path == tmp_path / "mine.json"
    # a template is not offered to be written over
    assert asked == [str(Path.home() / "text-to-image.json")]
    modify(window)
    hands.key(page.canvas, Qt.Key.Key_S, CTRL)
    assert len(asked) == 1
    assert load(tmp_path / "mine.json") == page.document.workflow


def test_files_of_a_template_are_found_from_where_it_is_saved(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, page = desk.opened(INPAINT)
    chosen = (str(tmp_path / "deep" / "mine.json"), "")
    (tmp_path / "deep").mkdir()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: chosen)
    assert window.documents.save()
    file = str(page.document.workflow.graph.node("picture").params["file"])
    assert (tmp_path / "deep" / file).is_file()


@pytest.mark.parametrize(
    ("button", "is_open", "is_saved"),
    [("Save", False, True), ("Discard", False, False), ("Cancel", True, False)],
)
def test_closing_asks_about_unsaved_work(
    button: str,
    is_open: bool,
    is_saved: bool,
    desk: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window, page = desk.opened()
    path = tmp_path / "mine.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    modify(window)
    answer(button)
    hands.key(page.canvas, Qt.Key.Key_W, CTRL)
    assert bool(window.documents.pages) is is_open
    assert path.is_file() is is_saved


def test_closing_without_changes_asks_nothing(desk: Desk) -> None:
    window, _ = desk.opened()
    hands.click(window.documents.tabBar().findChildren(CloseButton)[0])
    assert window.documents.pages == []


def test_the_window_stays_where_somebody_would_rather_stay(desk: Desk) -> None:
    window, _ = desk.opened()
    modify(window)
    answer("Cancel")
    assert not window.close()
    assert window.isVisible()


def test_a_file_that_is_open_comes_to_the_front(desk: Desk, tmp_path: Path) -> None:
    window = desk.window()
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        path.write_text(TEXT_TO_IMAGE.read_text(encoding="utf-8"), encoding="utf-8")
        window.documents.open_file(path)
    window.documents.open_file(paths[0])
    assert len(window.documents.pages) == 2
    assert front(window).document.path == paths[0]


def test_a_file_that_cannot_be_read_is_told_and_opens_nothing(desk: Desk, tmp_path: Path) -> None:
    window, page = desk.opened()
    path = tmp_path / "broken.json"
    path.write_text("{", encoding="utf-8")
    window.documents.open_file(path)
    assert window.documents.pages == [page]
    assert "broken.json" in page.failure.what.text()


def test_two_documents_have_runs_and_histories_of_their_own(desk: Desk) -> None:
    window, first = desk.opened()
    window.documents.new()
    second = front(window)
    modify_first = edits.set_param(first.document.workflow, "denoise", "guidance", 3.0)
    first.document.edit(modify_first, "Guidance")
    assert not second.document.is_modified
    hands.key(second.canvas, Qt.Key.Key_Z, CTRL)
    assert first.document.is_modified
    window.documents.previous()
    assert front(window) is first
    hands.key(first.canvas, Qt.Key.Key_Z, CTRL)
    assert not first.document.is_modified


# --- keys and menus


def test_control_enter_runs_and_control_alt_enter_cancels(desk: Desk) -> None:
    _, page = desk.opened()
    hands.key(page.canvas, Qt.Key.Key_Return, CTRL)
    assert desk.worker.asked[-1][0] == "run"
    hands.key(page.canvas, Qt.Key.Key_Return, CTRL | ALT)
    assert desk.worker.asked[-1][0] == "cancel"


def test_control_r_runs_to_the_selected_node(desk: Desk) -> None:
    _, page = desk.opened()
    hands.click(page.canvas.viewport(), QPointF(in_view(page, "prompt")))
    hands.key(page.canvas, Qt.Key.Key_R, CTRL)
    assert desk.worker.targets == [("prompt",)]


def test_every_key_means_one_thing(desk: Desk) -> None:
    window, page = desk.opened()
    tables = [window.actions_.table, panels_of(window).actions_.table, page.canvas.table.table]
    keys = [key for table in tables for action in table.values() for key in action.keys]
    assert sorted(keys) == sorted(set(keys))


def test_everything_in_the_tables_is_in_a_menu_or_has_a_key(desk: Desk) -> None:
    window, page = desk.opened()
    shown = {
        action.objectName() for menu in window.menus.menus.values() for action in menu.actions()
    }
    for table in (window.actions_, panels_of(window).actions_, page.canvas.table):
        for name, action in table.table.items():
            assert name in shown if action.menu else action.keys


def test_the_sheet_of_keys_is_made_from_the_tables(desk: Desk) -> None:
    window, page = desk.opened()
    hands.key(page.canvas, Qt.Key.Key_Question)
    sheet = window.findChild(KeySheet)
    assert sheet is not None
    text = sheet.text()
    words_and_keys = ("Run", "Ctrl+Return", "Frame all", "Home", "Wipe between A and B", "Alt+1")
    for words in (*words_and_keys, "Put a dot on a link", "Ctrl+H"):
        assert words in text
    sheet.close()


def test_a_letter_typed_into_a_field_is_no_command(desk: Desk) -> None:
    window, page = desk.opened()
    before = page.document.workflow
    page.canvas.select(["denoise"])
    field = panels_of(window).library.findChildren(QLineEdit)[0]
    field.setFocus()
    for letter in (Qt.Key.Key_M, Qt.Key.Key_B, Qt.Key.Key_H, Qt.Key.Key_Question):
        hands.key(field, letter)
    assert page.document.workflow is before
    assert window.findChild(KeySheet) is None


def test_every_button_of_the_tool_bar_has_a_name(desk: Desk) -> None:
    window = desk.window()
    buttons = [one for one in window.bar.findChildren(QToolButton) if one.isVisible()]
    assert len(buttons) >= 5
    assert all(one.accessibleName() for one in buttons)


def test_the_keys_of_panels_show_and_hide_them(desk: Desk) -> None:
    window, page = desk.opened()
    docks = panels_of(window).docks
    assert docks["viewer"].isVisible()
    hands.key(page.canvas, Qt.Key.Key_3, ALT)
    assert not docks["viewer"].isVisible()
    hands.key(page.canvas, Qt.Key.Key_3, ALT)
    assert docks["viewer"].isVisible()


# --- panels


def test_the_selection_of_the_canvas_is_inspected(desk: Desk) -> None:
    window, page = desk.opened()
    hands.click(page.canvas.viewport(), QPointF(in_view(page, "denoise")))
    panels = panels_of(window)
    assert panels.inspector.ids == ("denoise",)
    assert panels.outline.selected == ("denoise",)


def test_a_node_in_a_group_is_chosen_in_the_outline_and_edited(desk: Desk) -> None:
    window, page = desk.opened()
    document, panels = page.document, panels_of(window)
    w, _ = edits.group(document.workflow, document.types, ["denoise", "decode"], "paint")
    document.edit(w, "Group")
    outline, inspector = panels.outline, panels.inspector
    outline.tree.setCurrentIndex(outline.model.index_of("paint/denoise"))
    assert page.canvas.group_path == ("paint",)
    assert inspector.ids == ("denoise",)
    assert page.selection == ("paint/denoise",)
    field = inspector.rows["guidance"].editor.focusProxy()
    assert field is not None
    field.setFocus()
    hands.key(field, Qt.Key.Key_Up)
    body = document.workflow.groups["paint"].graph
    assert body.node("denoise").params["guidance"] == 5.1
    page.canvas.leave()
    assert inspector.ids == ("paint",)
    assert outline.selected == ("paint",)
    page.reveal("paint/decode")
    assert inspector.ids == ("decode",)


def test_that_help_was_unfolded_is_remembered(desk: Desk) -> None:
    window, page = desk.opened()
    page.canvas.select(["denoise"])
    inspector = panels_of(window).inspector
    hands.click(inspector.header.help_button, QPointF(8, 8))
    assert inspector.header.help.isVisible()
    other = desk.window()
    other.documents.open_template(TEXT_TO_IMAGE)
    front(other).canvas.select(["denoise"])
    assert panels_of(other).inspector.header.help.isVisible()


def test_strokes_of_a_mask_in_a_group_are_painted(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened(INPAINT)
    document, panels = page.document, panels_of(window)
    w, _ = edits.group(document.workflow, document.types, ["mask"], "area")
    document.edit(w, "Group")
    page.reveal("area/mask")
    panels.painting.paint("area/mask", "strokes")
    assert panels.mask.isVisible()
    surface = panels.viewer.surface
    middle = QPointF(surface.rect().center())
    before = document.workflow.groups["area"].graph.node("mask").params["strokes"]
    hands.drag(surface, [middle, middle + QPointF(10, 0), middle + QPointF(20, 0)])
    qtbot.waitUntil(
        lambda: document.workflow.groups["area"].graph.node("mask").params["strokes"] != before
    )
    page.canvas.leave()
    assert not panels.mask.isVisible()


def test_a_row_of_the_plan_leads_to_its_node(desk: Desk) -> None:
    window, page = desk.opened()
    panels = panels_of(window)
    rows = [panels.plan.model.node(row) for row in range(panels.plan.model.rowCount())]
    row = rows.index("decode")
    table = panels.plan.table
    hands.click(
        table.viewport(), QPointF(table.visualRect(panels.plan.model.index(row, 0)).center())
    )
    assert page.selection == ("decode",)


def test_strokes_painted_in_the_viewer_become_an_edit(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened(INPAINT)
    panels = panels_of(window)
    before = page.document.workflow.graph.node("mask").params["strokes"]
    page.canvas.select(["mask"])
    panels.painting.paint("mask", "strokes")
    assert panels.mask.isVisible()
    surface = panels.viewer.surface
    middle = QPointF(surface.rect().center())
    hands.drag(surface, [middle, middle + QPointF(10, 0), middle + QPointF(20, 5)])
    after = page.document.workflow.graph.node("mask").params["strokes"]
    assert isinstance(before, list)
    assert isinstance(after, list)
    assert len(after) == len(before) + 1
    page.document.undo()
    assert panels.mask.strokes == before
    hands.key(surface, Qt.Key.Key_Escape)
    assert not panels.mask.isVisible()


# --- files from elsewhere


def picture(path: Path, text: dict[str, str] | None = None) -> Path:
    image = QImage(4, 4, QImage.Format.Format_RGB888)
    image.fill(Qt.GlobalColor.red)
    assert image.save(str(path))
    if text:
        path.write_bytes(with_text(path.read_bytes(), text))
    return path


def test_a_picture_that_is_dropped_becomes_a_node_where_it_was_dropped(
    desk: Desk, tmp_path: Path
) -> None:
    window, page = desk.opened()
    path = picture(tmp_path / "photo.png")
    place = QPointF(page.canvas.mapTo(window, page.canvas.rect().center()))
    drop(window, [path], place)
    (name,) = page.selection
    node = page.document.workflow.graph.node(name)
    assert (node.type, node.params["file"]) == ("load_image", str(path))
    where = edits.positions(page.document.workflow)[NodeId(name)]
    middle = page.canvas.mapToScene(page.canvas.viewport().rect().center())
    assert abs(where[0] - middle.x()) < 20
    assert abs(where[1] - middle.y()) < 20


@pytest.mark.parametrize("button", ["Open as document", "Paste its nodes", "Image only"])
def test_a_picture_with_a_workflow_asks_what_it_is_wanted_for(
    button: str, desk: Desk, tmp_path: Path
) -> None:
    window, page = desk.opened()
    path = picture(tmp_path / "made.png", {WORKFLOW: TEXT_TO_IMAGE.read_text(encoding="utf-8")})
    answer(button)
    drop(window, [path], QPointF(page.canvas.mapTo(window, page.canvas.rect().center())))
    assert len(window.documents.pages) == (2 if button == "Open as document" else 1)
    count = {"Open as document": 8, "Paste its nodes": 16, "Image only": 9}[button]
    assert len(front(window).document.workflow.graph) == count


def test_a_model_that_is_dropped_becomes_its_loader(desk: Desk) -> None:
    window, page = desk.opened()
    path = resource("starter", "vae", "diffusion_pytorch_model.safetensors")
    intake_of(window).take_file(path, (0.0, 0.0))
    (name,) = page.selection
    assert page.document.workflow.graph.node(name).type == "load_vae"


def test_a_pickle_is_refused_with_a_remedy(desk: Desk, tmp_path: Path) -> None:
    window, page = desk.opened()
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04")
    intake_of(window).take_file(tmp_path / "model.ckpt", (0.0, 0.0))
    assert "model.ckpt" in page.failure.what.text()
    assert "safetensors" in page.failure.remedy.text()


def test_a_file_of_no_use_is_said_to_be_so(desk: Desk, tmp_path: Path) -> None:
    window, page = desk.opened()
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    intake_of(window).take_file(tmp_path / "notes.txt", (0.0, 0.0))
    assert "neither a workflow, a picture nor a model" in page.failure.what.text()


# --- looks, settings, the end


def test_the_theme_changes_at_once_and_is_kept(desk: Desk, qapp: QApplication) -> None:
    _, page = desk.opened()
    dark = qapp.palette().window().color()
    hands.key(page.canvas, Qt.Key.Key_T, CTRL | ALT)
    assert qapp.palette().window().color().lightness() > dark.lightness() + 100
    assert page.canvas.theme.name == "light"
    assert desk.preferences.options().theme == "light"


def test_the_status_line_says_what_was_done(desk: Desk, tmp_path: Path) -> None:
    window, page = desk.opened()
    assert window.said.text() == "Began with a copy of Text to image"
    modify(window)
    assert window.said.text() == "Guidance"
    hands.key(page.canvas, Qt.Key.Key_Z, CTRL)
    assert window.said.text() == "Undo Guidance"
    hands.key(page.canvas, Qt.Key.Key_T, CTRL | ALT)
    assert window.said.text() == "The theme is light"
    hands.key(page.canvas, Qt.Key.Key_Return, CTRL)
    assert window.said.text() == "Running…"
    hands.key(page.canvas, Qt.Key.Key_Return, CTRL | ALT)
    assert window.said.text() == "Stopping; finished steps are kept"
    page.document.save(tmp_path / "mine.json")
    hands.key(page.canvas, Qt.Key.Key_S, CTRL)
    assert window.said.text() == "Saved mine.json"
    hands.key(page.canvas, Qt.Key.Key_W, CTRL)
    assert window.said.text() == "Closed mine.json"
    hands.key(window, Qt.Key.Key_N, CTRL)
    assert window.said.text() == "Began an empty workflow"


def test_settings_are_kept(desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    window = desk.window()
    window.show_settings()
    dialog = window.findChild(SettingsDialog)
    assert dialog is not None
    dialog.output.setText(str(tmp_path / "elsewhere"))
    dialog.threads.setValue(3)
    dialog.cache.setValue(2.5)
    hands.key(dialog, Qt.Key.Key_Return)
    options = desk.preferences.options()
    assert (options.output, options.threads, options.cache_gb) == (tmp_path / "elsewhere", 3, 2.5)
    assert options.arguments() == ["--device", "auto", "--cache-size", "2.5GB", "--threads", "3"]
    assert options.session().disk_bytes == 2_500_000_000


def test_preferences_that_are_damaged_mean_defaults(desk: Desk) -> None:
    file = desk.folder / "editor.ini"
    desk.preferences.sync()
    file.write_text("[options]\ntheme=purple\nthreads=many\ncache_gb=-4\n", encoding="utf-8")
    from studio.gui.shell.settings import Preferences

    options = Preferences(file).options()
    assert (options.theme, options.threads, options.cache_gb) == ("dark", 0, 0.1)


def test_where_panels_were_is_remembered(desk: Desk) -> None:
    window, _ = desk.opened()
    panels_of(window).docks.toggle("inspector")
    assert not panels_of(window).docks["inspector"].isVisible()
    window.close()
    window = desk.window()
    window.documents.new()
    assert not panels_of(window).docks["inspector"].isVisible()
    assert panels_of(window).docks["viewer"].isVisible()


def test_a_second_window_has_a_worker_of_its_own(desk: Desk) -> None:
    window, _ = desk.opened()
    window.start_worker()
    hands.key(window, Qt.Key.Key_N, CTRL | SHIFT)
    assert len(desk.program.windows) == 2
    assert len(desk.workers) == 2
    desk.program.windows[1].close()
    assert not desk.workers[1].is_running
    assert desk.workers[0].is_running


def test_work_of_an_editor_that_died_is_offered(desk: Desk) -> None:
    window, page = desk.opened()
    journal = desk.program.journal
    assert journal is not None
    modify(window, 6.25)
    journal.flush()
    # as a process leaves it that is killed: the folder is there, its lock is free
    left = next(path for path in (desk.folder / "data" / "recovery").iterdir())
    copy = left.with_name("0" * 32)
    copy.mkdir()
    for file in left.glob("*.json"):
        (copy / file.name).write_bytes(file.read_bytes())
    answer("Recover")
    desk.program.offer_recovery()
    assert len(window.documents.pages) == 2
    recovered = front(window).document
    assert recovered.is_modified
    assert recovered.workflow == page.document.workflow


def test_details_of_a_failure_go_to_the_clipboard(desk: Desk, qtbot: QtBot) -> None:
    window, page = desk.opened()
    window.complain(ModelError("no such thing", where="denoise", remedy="do this"))
    hands.click(page.failure.copy)
    text = QApplication.clipboard().text()
    assert text.startswith("denoise: no such thing; do this")
    page.failure.tell(page.watch.states()["denoise"].error or _failure(), page._context(_failure()))
    hands.click(page.failure.copy)
    assert "guidance = 5.0" in QApplication.clipboard().text()
    hands.click(page.failure.show_node)
    assert page.selection == ("denoise",)
    hands.click(page.failure.dismiss)
    assert not page.failure.isVisible()


def _failure() -> Failure:

    return Failure("x", "denoise")


def test_options_that_are_equal_ask_nothing_of_the_worker(desk: Desk) -> None:
    window, _ = desk.opened()
    window.start_worker()
    options = desk.preferences.options()
    desk.program.set_options(Options(theme="light", output=options.output))
    assert len(desk.workers) == 1


def test_growing_the_mask_in_the_editor_is_one_edit_of_the_node(desk: Desk) -> None:
    window, page = desk.opened(INPAINT)
    panels = panels_of(window)
    page.canvas.select(["mask"])
    panels.painting.paint("mask", "strokes")
    assert not panels.scrubber.isVisible()
    before = page.document.workflow.graph.node("mask").params
    steps = page.document.position
    for _ in range(3):
        hands.key(panels.viewer.surface, Qt.Key.Key_Period)
    after = page.document.workflow.graph.node("mask").params
    assert after["grow"] == cast("int", before["grow"]) + 3
    assert page.document.position == steps + 1
    page.document.undo()
    assert panels.mask._grown.value() == before["grow"]
    assert page.document.workflow.graph.node("mask").params == before
