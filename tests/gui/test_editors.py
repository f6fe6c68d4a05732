"""The editors of parameters, by mouse and keys: what they give, refuse and show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from studio.graph import Json, Param, ParamKind
from studio.gui.editors import (
    BoolEditor,
    ChoiceEditor,
    ColorEditor,
    CurveEditor,
    Editor,
    FileEditor,
    FolderEditor,
    JsonEditor,
    ModelEditor,
    NullableEditor,
    NumberEditor,
    NumbersEditor,
    PromptEditor,
    PromptField,
    SeedEditor,
    StrokesEditor,
    TextEditor,
    editor_for,
    read_points,
    written_points,
)
from studio.gui.editors.number_field import NumberField, step_of
from studio.gui.editors.prompt_weights import reweighted
from studio.gui.theme import Theme
from studio.registry import (
    Choice,
    File,
    Folder,
    ModelName,
    Multiline,
    Numbers,
    Points,
    Range,
    Seed,
    Strokes,
)
from tests.gui import hands

GUIDANCE = Param("guidance", ParamKind.FLOAT, 5.0, Range(0.0, 50.0))
WIDTH = Param("width", ParamKind.INT, 128, Range(16, 8192, 8, "px"))
STRENGTH = Param("strength", ParamKind.FLOAT, 0.5, Range(0, 1, 0.01))
SEED = Param("seed", ParamKind.INT, 0, Seed())
SOLVER = Param("solver", ParamKind.TEXT, "ddim", Choice("ddim", "euler", "heun"))
PROMPT = Param("prompt", ParamKind.TEXT, "", Multiline())
FILE = Param("file", ParamKind.TEXT, "", File((".png", ".jpg")))
FOLDER = Param("folder", ParamKind.TEXT, "", Folder())
MODEL = Param("model", ParamKind.TEXT, "starter", ModelName())
POINTS = Param("points", ParamKind.LIST, [[0.0, 7.5], [1.0, 3.0]], Points(0, 50))
SIGMAS = Param("values", ParamKind.LIST, [3.0, 1.0], Numbers())
STROKES = Param("strokes", ParamKind.LIST, [], Strokes())
ETA = Param("eta", ParamKind.FLOAT, None, Range(0.0, 1.0), nullable=True)
FLAG = Param("tile", ParamKind.BOOL, False)
COLOR = Param("color", ParamKind.TEXT, "#ffffff")

SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
E = TypeVar("E", bound=Editor)


class Heard:
    """What an editor says."""

    def __init__(self, editor: Editor) -> None:
        self.values: list[Json] = []
        self.gestures: list[int] = []
        self.reasons: list[str] = []
        self.resets = 0
        editor.edited.connect(self._edited)
        editor.refused.connect(self.reasons.append)
        editor.reset_requested.connect(self._reset)

    def _edited(self, value: Json, gesture: int) -> None:
        self.values.append(value)
        self.gestures.append(gesture)

    def _reset(self) -> None:
        self.resets += 1


Show = Callable[[Param, type[E]], tuple[E, Heard]]


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[QWidget]:
    window = QWidget()
    QVBoxLayout(window)
    window.resize(320, 240)
    qtbot.addWidget(window)
    yield window
    window.close()


@pytest.fixture
def show(window: QWidget, qtbot: QtBot) -> Show[Editor]:
    def shown(param: Param, kind: type[E]) -> tuple[E, Heard]:
        editor = editor_for(param, Theme.dark())
        assert isinstance(editor, kind)
        layout = window.layout()
        assert layout is not None
        layout.addWidget(editor)
        window.show()
        qtbot.waitExposed(window)
        window.activateWindow()
        qtbot.waitUntil(window.isActiveWindow)
        return editor, Heard(editor)

    return shown


def scrub(field: NumberField, distance: float, modifiers: Qt.KeyboardModifier = hands.NONE) -> None:
    """Drag over a field: a little to take hold, then ``distance`` pixels."""
    start = QPointF(60, 10)
    held = start + QPointF(5, 0)
    hands.drag(field, [start, held, held + QPointF(distance / 2, 0), held + QPointF(distance, 0)],
               modifiers=modifiers)  # fmt: skip


def type_number(field: NumberField, text: str, end: Qt.Key = Qt.Key.Key_Return) -> None:
    hands.double_click(field, QPointF(20, 10))
    field.selectAll()
    QTest.keyClicks(field, text)
    hands.key(field, end)


# --- numbers


def test_dragging_a_number_by_two_pixels_is_a_step(show: Show[NumberEditor]) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    scrub(editor.field, 20)
    assert heard.values[-1] == 128 + 10 * 8


def test_a_drag_is_one_gesture_and_the_next_drag_another(show: Show[NumberEditor]) -> None:
    editor, heard = show(STRENGTH, NumberEditor)
    scrub(editor.field, 20)
    assert len(heard.values) == 2
    assert len(set(heard.gestures)) == 1
    scrub(editor.field, -8)
    assert len(set(heard.gestures)) == 2


def test_shift_drags_finer_and_ctrl_coarser(show: Show[NumberEditor]) -> None:
    editor, heard = show(STRENGTH, NumberEditor)
    scrub(editor.field, 20, SHIFT)
    assert heard.values[-1] == 0.51
    editor.set_value(0.5)
    scrub(editor.field, 6, SHIFT)
    assert heard.values[-1] == 0.503
    editor.set_value(0.5)
    scrub(editor.field, 4, CTRL)
    assert heard.values[-1] == 0.7


def test_a_drag_stops_at_the_ends_of_the_range(show: Show[NumberEditor]) -> None:
    editor, heard = show(STRENGTH, NumberEditor)
    scrub(editor.field, 2000)
    assert heard.values[-1] == 1.0
    scrub(editor.field, -2000)
    assert heard.values[-1] == 0.0
    assert heard.reasons[-1] == ""


def test_a_drag_of_decimals_leaves_no_rounding_behind(show: Show[NumberEditor]) -> None:
    editor, heard = show(STRENGTH, NumberEditor)
    editor.set_value(0.1)
    scrub(editor.field, 40)
    assert heard.values[-1] == 0.3


def test_escape_during_a_drag_brings_the_value_back(show: Show[NumberEditor]) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    field = editor.field
    hands.press(field, QPointF(10, 10))
    hands.move(field, QPointF(20, 10), hands.LEFT)
    hands.move(field, QPointF(60, 10), hands.LEFT)
    assert heard.values[-1] != 128
    hands.key(field, Qt.Key.Key_Escape)
    assert editor.value() == 128
    hands.move(field, QPointF(90, 10), hands.LEFT)
    assert editor.value() == 128


def test_a_click_without_a_drag_changes_nothing(show: Show[NumberEditor]) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    hands.click(editor.field, QPointF(10, 10))
    # nor does a hand that trembles
    hands.drag(editor.field, [QPointF(10, 10), QPointF(11, 10), QPointF(12, 10)], modifiers=CTRL)
    assert heard.values == []


def test_double_click_types_and_arithmetic_is_done(show: Show[NumberEditor]) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    type_number(editor.field, "512*2")
    assert heard.values == [1024]
    assert editor.field.text() == "1024"


def test_enter_and_a_digit_begin_typing(show: Show[NumberEditor]) -> None:
    editor, heard = show(GUIDANCE, NumberEditor)
    editor.field.setFocus()
    hands.key(editor.field, Qt.Key.Key_Return)
    typing = [editor.field.is_typing]
    hands.key(editor.field, Qt.Key.Key_Escape)
    typing.append(editor.field.is_typing)
    assert typing == [True, False]
    QTest.keyClicks(editor.field, "7.5")
    hands.key(editor.field, Qt.Key.Key_Return)
    assert heard.values == [7.5]


def test_a_typed_number_may_carry_its_unit(show: Show[NumberEditor]) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    type_number(editor.field, "256 px")
    assert heard.values == [256]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9000", "9000 is outside 16 … 8192 px"),
        ("130", "130 is not a multiple of 8"),
        ("1/3", "0.333333 is not a whole number"),
        ("wide", "only numbers"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason_and_not_clamped(
    show: Show[NumberEditor], text: str, reason: str
) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    type_number(editor.field, text)
    assert heard.values == []
    assert editor.value() == 128
    assert reason in heard.reasons[-1]
    assert editor.field.is_typing
    assert editor.field.text() == text
    hands.key(editor.field, Qt.Key.Key_Escape)
    assert editor.field.text() == "128"
    assert heard.reasons[-1] == ""


def test_leaving_the_field_takes_what_was_typed(show: Show[NumberEditor], window: QWidget) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    other = QToolButton(window)
    other.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    other.show()
    hands.double_click(editor.field, QPointF(20, 10))
    QTest.keyClicks(editor.field, "64")
    other.setFocus()
    assert heard.values == [64]


def test_arrow_keys_step_and_backspace_resets(show: Show[NumberEditor]) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    hands.key(editor.field, Qt.Key.Key_Up)
    hands.key(editor.field, Qt.Key.Key_Up, CTRL)
    hands.key(editor.field, Qt.Key.Key_Down)
    assert heard.values == [136, 216, 208]
    assert len(set(heard.gestures)) == 3
    hands.key(editor.field, Qt.Key.Key_Backspace)
    assert heard.resets == 1


def test_a_value_is_copied_from_one_field_and_pasted_into_another(
    show: Show[NumberEditor],
) -> None:
    one, _ = show(GUIDANCE, NumberEditor)
    other, heard = show(Param("rho", ParamKind.FLOAT, 7.0, Range(1, 20)), NumberEditor)
    one.set_value(3.25)
    hands.key(one.field, Qt.Key.Key_C, CTRL)
    hands.key(other.field, Qt.Key.Key_V, CTRL)
    assert heard.values == [3.25]


def test_several_values_are_shown_as_mixed_until_one_is_given(show: Show[NumberEditor]) -> None:
    editor, heard = show(WIDTH, NumberEditor)
    editor.set_value(128, is_mixed=True)
    assert editor.field.text() == "mixed"
    type_number(editor.field, "128")
    assert heard.values == [128]
    assert editor.field.text() == "128"


@pytest.mark.parametrize(
    ("param", "step"),
    [
        (WIDTH, "8"),
        (STRENGTH, "0.01"),
        (GUIDANCE, "0.1"),
        (Param("rescale", ParamKind.FLOAT, 0.0, Range(0, 1)), "0.01"),
        (Param("beta_start", ParamKind.FLOAT, 0.00085, Range(0, 0.999)), "0.00001"),
        (Param("steps", ParamKind.INT, 20, Range(1, 1000)), "1"),
        (Param("free", ParamKind.FLOAT, 0.0), "0.1"),
    ],
)
def test_a_step_suits_the_range_and_the_default(param: Param, step: str) -> None:
    assert f"{step_of(param):f}" == step


# --- seeds


def test_a_seed_is_exact_to_64_bits(show: Show[SeedEditor]) -> None:
    editor, heard = show(SEED, SeedEditor)
    type_number(editor.field, "18446744073709551615")
    assert heard.values == [2**64 - 1]
    assert editor.field.text() == "18446744073709551615"
    type_number(editor.field, "2**64")
    assert "is outside" in heard.reasons[-1]
    assert editor.value() == 2**64 - 1


def test_dice_throw_a_new_seed_and_the_last_one_comes_back(show: Show[SeedEditor]) -> None:
    editor, heard = show(SEED, SeedEditor)
    editor.set_value(2**60 + 1)
    assert not editor.recall.isEnabled()
    hands.click(editor.dice, QPointF(8, 8))
    thrown = heard.values[-1]
    assert thrown != 2**60 + 1
    hands.click(editor.recall, QPointF(8, 8))
    assert heard.values[-1] == 2**60 + 1
    hands.click(editor.recall, QPointF(8, 8))
    assert heard.values[-1] == thrown


def test_dice_reach_both_halves_of_64_bits(show: Show[SeedEditor]) -> None:
    editor, heard = show(SEED, SeedEditor)
    for _ in range(64):
        hands.click(editor.dice, QPointF(8, 8))
    seeds = [seed for seed in heard.values if isinstance(seed, int)]
    assert len(set(seeds)) == 64
    # 64 fair throws miss one half once in 2**63 runs
    assert min(seeds) < 2**63 <= max(seeds)


def test_a_locked_seed_is_kept(show: Show[SeedEditor]) -> None:
    editor, heard = show(SEED, SeedEditor)
    hands.click(editor.lock, QPointF(8, 8))
    assert editor.is_locked
    hands.click(editor.dice, QPointF(8, 8))
    hands.double_click(editor.field, QPointF(20, 10))
    assert not editor.field.is_typing
    assert heard.values == []
    hands.click(editor.lock, QPointF(8, 8))
    hands.click(editor.dice, QPointF(8, 8))
    assert len(heard.values) == 1


# --- words


@pytest.mark.parametrize(
    ("before", "steps", "after"),
    [
        ("a [red] cat", 1, "a ([red]:1.1) cat"),
        ("a ([red]:1.1) cat", 1, "a ([red]:1.2) cat"),
        ("a ([red]:1.1) cat", -1, "a [red] cat"),
        ("a ([red]) cat", 1, "a ([red]:1.2) cat"),
        ("a ([red fox]:0.9) cat", 1, "a [red fox] cat"),
        ("a r[]ed cat", -1, "a ([red]:0.9) cat"),
        ("a [(red:1.3)] cat", 2, "a ([red]:1.5) cat"),
        ("a [ red ] cat", 1, "a  ([red]:1.1)  cat"),
        (r"a \([red]\) cat", 1, r"a \(([red]:1.1)\) cat"),
        ("([red]:4.95)", 5, "([red]:5)"),
        ("([red]:0.15)", -5, "([red]:0.1)"),
        ("a cat, []", 1, "a cat, []"),
    ],
)
def test_weights_are_written_changed_and_taken_away(before: str, steps: int, after: str) -> None:
    """The selection is what stands in square brackets here."""

    def parsed(text: str) -> tuple[str, int, int]:
        return text.replace("[", "").replace("]", ""), text.index("["), text.index("]") - 1

    assert tuple(reweighted(*parsed(before), steps)) == parsed(after)


def test_a_weight_means_to_the_encoder_what_it_says() -> None:
    from studio.diffusion.text import Part, emphasised

    text = reweighted("a red cat", 2, 5, 3).text
    assert emphasised(text) == (Part("a "), Part("red", 1.3), Part(" cat"))


def test_ctrl_up_and_down_weigh_the_selected_words(show: Show[PromptEditor]) -> None:
    editor, heard = show(PROMPT, PromptEditor)
    # the character beyond 16 bits counts twice in Qt's positions
    editor.set_value("a 🦊 red cat")
    cursor = editor.field.textCursor()
    cursor.setPosition(5)
    cursor.setPosition(8, QTextCursor.MoveMode.KeepAnchor)
    assert cursor.selectedText() == "red"
    editor.field.setTextCursor(cursor)
    hands.key(editor.field, Qt.Key.Key_Up, CTRL)
    hands.key(editor.field, Qt.Key.Key_Up, CTRL)
    assert heard.values == ["a 🦊 (red:1.1) cat", "a 🦊 (red:1.2) cat"]
    assert editor.field.textCursor().selectedText() == "red"
    hands.key(editor.field, Qt.Key.Key_Down, CTRL)
    hands.key(editor.field, Qt.Key.Key_Down, CTRL)
    assert heard.values[-1] == "a 🦊 red cat"
    assert len(set(heard.gestures)) == 4


def test_a_burst_of_typing_is_one_gesture(show: Show[PromptEditor]) -> None:
    editor, heard = show(PROMPT, PromptEditor)
    QTest.keyClicks(editor.field, "red")
    hands.key(editor.field, Qt.Key.Key_Return)
    assert heard.values[:3] == ["r", "re", "red"]
    assert len(set(heard.gestures)) == 1


def test_a_value_from_outside_ends_a_burst_of_typing(show: Show[PromptEditor]) -> None:
    editor, heard = show(PROMPT, PromptEditor)
    QTest.keyClicks(editor.field, "a")
    editor.set_value("")
    assert editor.field.toPlainText() == ""
    QTest.keyClicks(editor.field, "b")
    assert heard.values == ["a", "b"]
    assert len(set(heard.gestures)) == 2


@pytest.mark.parametrize("kind", [PromptEditor, TextEditor])
def test_undo_in_a_text_is_left_to_the_document(
    show: Show[Editor], window: QWidget, kind: type[Editor], qtbot: QtBot
) -> None:
    from PySide6.QtGui import QKeySequence, QShortcut

    param = PROMPT if kind is PromptEditor else Param("name", ParamKind.TEXT, "")
    editor, _ = show(param, kind)
    undone: list[bool] = []
    shortcut = QShortcut(QKeySequence(QKeySequence.StandardKey.Undo), window)
    shortcut.activated.connect(lambda: undone.append(True))
    target = editor.focusProxy()
    assert target is not None
    target.setFocus()
    qtbot.waitUntil(target.hasFocus)
    QTest.keyClicks(target, "red")
    if isinstance(target, PromptField):
        assert not target.document().isUndoAvailable()
    QTest.keyClick(target, Qt.Key.Key_Z, CTRL)
    assert undone == [True]


def test_a_choice_is_picked_by_key(show: Show[ChoiceEditor]) -> None:
    editor, heard = show(SOLVER, ChoiceEditor)
    hands.key(editor.box, Qt.Key.Key_Down)
    assert heard.values == ["euler"]
    hands.key(editor.box, Qt.Key.Key_Backspace)
    assert heard.resets == 1


def test_the_wheel_does_not_turn_a_choice_that_has_no_focus(show: Show[ChoiceEditor]) -> None:
    editor, heard = show(SOLVER, ChoiceEditor)
    editor.box.clearFocus()
    hands.wheel(editor.box, QPointF(5, 5), -1)
    assert heard.values == []
    editor.box.setFocus()
    assert editor.box.hasFocus()
    hands.wheel(editor.box, QPointF(5, 5), -1)
    assert heard.values == ["euler"]


def test_a_choice_that_is_not_offered_is_shown_as_it_is(show: Show[ChoiceEditor]) -> None:
    editor, _ = show(SOLVER, ChoiceEditor)
    editor.set_value("magic")
    assert editor.box.currentIndex() == -1
    assert editor.box.placeholderText() == "magic"


def test_a_check_box_gives_true_and_false_and_shows_that_values_differ(
    show: Show[BoolEditor],
) -> None:
    editor, heard = show(FLAG, BoolEditor)
    hands.key(editor.box, Qt.Key.Key_Space)
    hands.key(editor.box, Qt.Key.Key_Space)
    assert heard.values == [True, False]
    editor.set_value(False, is_mixed=True)
    assert editor.box.checkState() == Qt.CheckState.PartiallyChecked
    hands.key(editor.box, Qt.Key.Key_Space)
    assert heard.values[-1] is True
    assert editor.box.checkState() == Qt.CheckState.Checked


def test_a_line_is_taken_on_enter_and_not_before(show: Show[TextEditor]) -> None:
    editor, heard = show(Param("name", ParamKind.TEXT, "picture"), TextEditor)
    editor.line.selectAll()
    QTest.keyClicks(editor.line, "fox")
    assert heard.values == []
    hands.key(editor.line, Qt.Key.Key_Return)
    assert heard.values == ["fox"]


def test_a_colour_is_shown_beside_its_name(show: Show[ColorEditor]) -> None:
    editor, heard = show(COLOR, ColorEditor)
    editor.line.selectAll()
    QTest.keyClicks(editor.line, "#3050ff")
    hands.key(editor.line, Qt.Key.Key_Return)
    assert heard.values == ["#3050ff"]
    assert editor.swatch is not None
    image = editor.swatch.icon().pixmap(16, 16).toImage()
    assert image.pixelColor(8, 8).name() == "#3050ff"


# --- files and models


def drop(editor: FileEditor, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), copy, data, hands.LEFT, none)
    QApplication.sendEvent(editor, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(editor, QDropEvent(QPointF(5, 5), copy, data, hands.LEFT, none))


def test_a_dropped_file_is_named_relative_to_the_workflow(
    show: Show[FileEditor], tmp_path: Path
) -> None:
    editor, heard = show(FILE, FileEditor)
    editor.set_folder(tmp_path)
    drop(editor, tmp_path / "in" / "fox.PNG")
    assert heard.values == ["in/fox.PNG"]
    drop(editor, tmp_path.parent / "cat.jpg")
    assert heard.values[-1] == (tmp_path.parent / "cat.jpg").as_posix()


def test_a_dropped_file_of_another_kind_is_refused(show: Show[FileEditor], tmp_path: Path) -> None:
    editor, heard = show(FILE, FileEditor)
    drop(editor, tmp_path / "fox.txt")
    assert heard.values == []
    assert heard.reasons[-1] == "fox.txt is none of .png .jpg"


def test_a_dropped_folder_is_taken_and_a_file_is_none(
    show: Show[FolderEditor], tmp_path: Path
) -> None:
    editor, heard = show(FOLDER, FolderEditor)
    editor.set_folder(tmp_path)
    (tmp_path / "cats.png").mkdir()
    drop(editor, tmp_path / "cats.png")
    assert heard.values == ["cats.png"]
    (tmp_path / "one.png").touch()
    drop(editor, tmp_path / "one.png")
    assert heard.values == ["cats.png"]
    assert heard.reasons[-1] == "one.png is no folder"


# the offscreen platform says so of the popup of completions
@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_a_model_is_picked_or_typed(show: Show[ModelEditor]) -> None:
    editor, heard = show(MODEL, ModelEditor)
    editor.set_models(["photo", "starter"])
    assert editor.box.currentText() == "starter"
    assert heard.values == []
    hands.key(editor.box, Qt.Key.Key_Up)
    assert heard.values == ["photo"]
    line = editor.box.lineEdit()
    assert line is not None
    line.selectAll()
    QTest.keyClicks(line, "elsewhere")
    hands.key(line, Qt.Key.Key_Return)
    assert heard.values == ["photo", "elsewhere"]


# --- lists


def curve_of(editor: CurveEditor) -> list[tuple[float, float]]:
    return editor.plot.points()


def test_a_point_of_a_curve_is_dragged(show: Show[CurveEditor]) -> None:
    editor, heard = show(POINTS, CurveEditor)
    plot = editor.plot
    start, target = plot.place((0.0, 7.5)), plot.place((0.0, 2.0))
    hands.drag(plot, [start, (start + target) / 2, target])
    assert heard.values[-1] == [[0.0, pytest.approx(2.0, abs=0.1)], [1.0, 3.0]]
    assert len(set(heard.gestures)) == 1
    assert editor.line.text().endswith(", 1: 3")
    start = plot.place((1.0, 3.0))
    hands.drag(plot, [start, start + QPointF(0, 4)])
    assert len(set(heard.gestures)) == 2


def test_a_point_stays_between_its_neighbours_and_in_range(show: Show[CurveEditor]) -> None:
    editor, heard = show(POINTS, CurveEditor)
    editor.set_value([[0.2, 5.0], [0.5, 5.0], [0.8, 5.0]])
    start = editor.plot.place((0.5, 5.0))
    hands.drag(editor.plot, [start, start + QPointF(900, 900)])
    assert heard.values[-1] == [[0.2, 5.0], [0.799, 0.0], [0.8, 5.0]]


def test_escape_takes_a_dragged_point_back(show: Show[CurveEditor]) -> None:
    editor, _ = show(POINTS, CurveEditor)
    start = editor.plot.place((0.0, 7.5))
    hands.press(editor.plot, start)
    hands.move(editor.plot, start + QPointF(20, 20), hands.LEFT)
    assert editor.value() != POINTS.default
    hands.key(editor.plot, Qt.Key.Key_Escape)
    assert editor.value() == POINTS.default


def test_points_are_added_by_double_click_and_removed_by_right_click(
    show: Show[CurveEditor],
) -> None:
    editor, heard = show(POINTS, CurveEditor)
    hands.double_click(editor.plot, editor.plot.place((0.5, 1.0)))
    assert len(curve_of(editor)) == 3
    share, value = curve_of(editor)[1]
    assert share == pytest.approx(0.5, abs=0.01)
    assert value == pytest.approx(1.0, abs=0.2)
    at = editor.plot.place(curve_of(editor)[1])
    hands.press(editor.plot, at, Qt.MouseButton.RightButton)
    assert heard.values[-1] == POINTS.default


def test_a_curve_is_edited_by_keys_alone(show: Show[CurveEditor]) -> None:
    editor, heard = show(POINTS, CurveEditor)
    plot = editor.plot
    hands.key(plot, Qt.Key.Key_Insert)
    assert heard.values[-1] == [[0.0, 7.5], [0.5, 5.25], [1.0, 3.0]]
    hands.key(plot, Qt.Key.Key_Up)
    hands.key(plot, Qt.Key.Key_Left)
    assert heard.values[-1] == [[0.0, 7.5], [0.49, 5.35], [1.0, 3.0]]
    hands.key(plot, Qt.Key.Key_PageDown)
    hands.key(plot, Qt.Key.Key_Down, SHIFT)
    assert heard.values[-1] == [[0.0, 7.5], [0.49, 5.35], [1.0, 2.99]]
    assert plot.accessibleDescription() == "point 3 of 3: 2.99 at 1 of the run"
    hands.key(plot, Qt.Key.Key_Delete)
    assert heard.values[-1] == [[0.0, 7.5], [0.49, 5.35]]
    hands.key(plot, Qt.Key.Key_Backspace)
    assert heard.resets == 1


def test_the_last_point_of_a_curve_cannot_be_removed(show: Show[CurveEditor]) -> None:
    editor, heard = show(POINTS, CurveEditor)
    editor.set_value([[0.5, 4.0]])
    hands.key(editor.plot, Qt.Key.Key_Delete)
    assert heard.values == []
    assert curve_of(editor) == [(0.5, 4.0)]


def test_a_curve_is_typed(show: Show[CurveEditor]) -> None:
    editor, heard = show(POINTS, CurveEditor)
    editor.line.selectAll()
    QTest.keyClicks(editor.line, "0: 8, 1/2: 4, 1: 2")
    hands.key(editor.line, Qt.Key.Key_Return)
    assert heard.values == [[[0.0, 8.0], [0.5, 4.0], [1.0, 2.0]]]
    assert curve_of(editor) == [(0.0, 8.0), (0.5, 4.0), (1.0, 2.0)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0: 8, 1: 90", "90.0 is outside 0 … 50"),
        ("0.5: 1, 0.2: 1", "shares must rise"),
        ("0: x", "is not a pair"),
        ("", "a curve needs a point"),
    ],
)
def test_a_typed_curve_that_does_not_fit_is_refused(
    show: Show[CurveEditor], text: str, reason: str
) -> None:
    editor, heard = show(POINTS, CurveEditor)
    editor.line.selectAll()
    hands.key(editor.line, Qt.Key.Key_Delete)
    QTest.keyClicks(editor.line, text)
    hands.key(editor.line, Qt.Key.Key_Return)
    assert heard.values == []
    assert reason in heard.reasons[-1]


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 50)), min_size=1, unique_by=lambda pair: pair[0]
    )
)
def test_a_curve_comes_back_from_its_text(pairs: list[tuple[float, float]]) -> None:
    points: Json = [[share, value] for share, value in sorted(pairs)]
    assert read_points(written_points(points)) == points


def test_numbers_are_typed_with_arithmetic(show: Show[NumbersEditor]) -> None:
    editor, heard = show(SIGMAS, NumbersEditor)
    assert editor.line.text() == "3, 1"
    editor.line.selectAll()
    QTest.keyClicks(editor.line, "10/4, 1.5 0.5")
    hands.key(editor.line, Qt.Key.Key_Return)
    assert heard.values == [[2.5, 1.5, 0.5]]
    editor.line.selectAll()
    QTest.keyClicks(editor.line, "1, two")
    hands.key(editor.line, Qt.Key.Key_Return)
    assert heard.reasons[-1] == "entry 1 is not a finite number"
    assert editor.value() == [2.5, 1.5, 0.5]


def test_a_list_of_which_nothing_is_known_is_typed_as_json(show: Show[JsonEditor]) -> None:
    editor, heard = show(Param("items", ParamKind.LIST, []), JsonEditor)
    editor.line.selectAll()
    QTest.keyClicks(editor.line, '[1, {"a": null}]')
    hands.key(editor.line, Qt.Key.Key_Return)
    assert heard.values == [[1, {"a": None}]]


def test_strokes_are_counted_cleared_and_painted_elsewhere(show: Show[StrokesEditor]) -> None:
    editor, heard = show(STROKES, StrokesEditor)
    painted: list[bool] = []
    editor.painting_requested.connect(lambda: painted.append(True))
    editor.set_value([{"points": [[0.5, 0.5]], "radius": 0.1}])
    assert editor.summary.text() == "1 stroke"
    hands.key(editor.paint_button, Qt.Key.Key_Space)
    assert painted == [True]
    hands.click(editor.clear_button, QPointF(8, 8))
    assert heard.values == [[]]
    assert not editor.clear_button.isEnabled()


# --- null


def test_a_parameter_that_may_be_left_out_is_switched_on_and_off(
    show: Show[NullableEditor],
) -> None:
    editor, heard = show(ETA, NullableEditor)
    assert not editor.inner.isEnabled()
    hands.key(editor.box, Qt.Key.Key_Space)
    assert heard.values == [1.0]
    inner = editor.inner
    assert isinstance(inner, NumberEditor)
    type_number(inner.field, "0.25")
    hands.key(editor.box, Qt.Key.Key_Space)
    hands.key(editor.box, Qt.Key.Key_Space)
    assert heard.values == [1.0, 0.25, None, 0.25]


def test_every_editor_takes_the_focus_and_both_themes(window: QWidget, qtbot: QtBot) -> None:
    params = [
        GUIDANCE,
        SEED,
        SOLVER,
        PROMPT,
        FILE,
        MODEL,
        POINTS,
        SIGMAS,
        STROKES,
        ETA,
        FLAG,
        COLOR,
    ]
    layout = window.layout()
    assert layout is not None
    editors = [editor_for(param, Theme.dark()) for param in params]
    for editor in editors:
        layout.addWidget(editor)
    window.show()
    for editor in editors:
        editor.set_theme(Theme.light())
        target: QWidget = editor
        while (proxy := target.focusProxy()) is not None:
            target = proxy
        assert target is not editor
        assert target.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert editor.mapTo(window, QPoint(0, 0)).y() >= 0
