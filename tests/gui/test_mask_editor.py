"""The mask editor: strokes by hand, their vectors, and that the mask shown is the mask computed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from studio.diffusion import masks
from studio.graph import Json
from studio.gui.seeing.mask_editor import MaskEditor
from studio.gui.seeing.strokes import Raster, Stroke, edged, filled, simplified
from studio.gui.seeing.viewer import Viewer
from studio.gui.theme import Theme
from studio.registry import Strokes
from tests.gui.hands import click, drag, key, move, press

ALT = Qt.KeyboardModifier.AltModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
WIDTH, HEIGHT = 256, 192


class Desk:
    """A viewer with a grey picture of 256 x 192 at 100 %, and the editor over it."""

    def __init__(self, qtbot: QtBot) -> None:
        self.viewer = Viewer(Theme.dark())
        self.surface = self.viewer.surface
        qtbot.addWidget(self.viewer)
        self.viewer.resize(420, 400)
        with qtbot.waitExposed(self.viewer):
            self.viewer.show()
        self.put(QSize(WIDTH, HEIGHT))
        self.editor = MaskEditor(self.viewer, Theme.dark())
        qtbot.addWidget(self.editor)
        self.given: list[list[Json]] = []
        self.editor.strokes_changed.connect(self.given.append)
        self.editor.begin([])

    def put(self, size: QSize) -> None:
        image = QImage(size, QImage.Format.Format_RGB32)
        image.fill(QColor(128, 128, 128))
        self.viewer.set_image("A", image)
        self.surface.zoom_to(1.0)

    def at(self, x: float, y: float) -> QPointF:
        """A place of the picture on the surface."""
        return self.surface.to_widget(QPointF(x, y))

    def draw(
        self,
        *points: tuple[float, float],
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        drag(self.surface, [self.at(*point) for point in points], modifiers=modifiers)

    def strength(self, x: int, y: int) -> int:
        """Of the mask that is shown, 0 to 255."""
        return self.editor.painted().pixelColor(x, y).red()

    def seen(self, x: float, y: float) -> QColor:
        """The colour on the screen."""
        self.editor.hover(None)
        return self.surface.grab().toImage().pixelColor(self.at(x, y).toPoint())


@pytest.fixture
def desk(qtbot: QtBot) -> Desk:
    return Desk(qtbot)


def values(image: QImage) -> NDArray[np.float32]:
    """float32 [H, W] in [0, 1] of an 8-bit grey image."""
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width()].astype(np.float32) / np.float32(255)


def computed(strokes: list[Stroke], width: int, height: int) -> NDArray[np.float32]:
    """What the mask node makes of strokes."""
    found = masks.painted(
        torch.zeros(1, 1, height, width),
        [masks.Stroke(each.points, each.radius, each.hardness, each.erase) for each in strokes],
    )
    result: NDArray[np.float32] = found[0, 0].numpy()
    return result


def overlap(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Intersection over union of two soft masks."""
    return float(np.minimum(first, second).sum() / np.maximum(first, second).sum())


# --- strokes


def test_a_drag_gives_a_stroke_in_shares_of_the_picture(desk: Desk) -> None:
    desk.draw((64, 48), (128, 48), (128, 96))
    stroke = Stroke.from_json(desk.given[-1][0])
    assert stroke.points == ((0.25, 0.25), (0.5, 0.25), (0.5, 0.5))
    assert stroke.radius == desk.editor.radius
    assert not stroke.erase


def test_strokes_have_the_form_that_the_node_takes(desk: Desk) -> None:
    desk.draw((64, 48), (128, 48))
    desk.draw((20, 20), (30, 30), modifiers=ALT)
    assert Strokes().problem(desk.given[-1]) is None


def test_a_click_gives_a_dot(desk: Desk) -> None:
    click(desk.surface, desk.at(64, 48))
    assert Stroke.from_json(desk.given[-1][0]).points == ((0.25, 0.25),)


def test_each_finished_stroke_is_given_once_with_those_before(desk: Desk) -> None:
    desk.draw((20, 20), (60, 20))
    desk.draw((20, 60), (60, 60))
    assert [len(strokes) for strokes in desk.given] == [1, 2]
    assert desk.given[1][0] == desk.given[0][0]


def test_painting_shows_before_the_button_is_released(desk: Desk) -> None:
    press(desk.surface, desk.at(64, 48))
    move(desk.surface, desk.at(100, 48), Qt.MouseButton.LeftButton)
    assert desk.seen(80, 48).red() > 180
    assert desk.given == []


def test_escape_drops_the_stroke_and_stays_in_the_mode(desk: Desk) -> None:
    press(desk.surface, desk.at(64, 48))
    move(desk.surface, desk.at(100, 48), Qt.MouseButton.LeftButton)
    key(desk.surface, Qt.Key.Key_Escape)
    assert desk.strength(80, 48) == 0
    assert desk.given == []
    assert desk.editor.is_active


def test_a_second_escape_leaves_the_mode(desk: Desk, qtbot: QtBot) -> None:
    with qtbot.waitSignal(desk.editor.finished):
        key(desk.surface, Qt.Key.Key_Escape)
    assert desk.surface.tool is None
    desk.draw((64, 48), (128, 48))
    assert desk.given == []


def test_the_document_may_take_a_stroke_back(desk: Desk) -> None:
    desk.draw((20, 20), (60, 20))
    desk.draw((20, 60), (60, 60))
    desk.editor.set_strokes(desk.given[0])
    assert (desk.strength(40, 20), desk.strength(40, 60)) == (255, 0)
    desk.editor.set_strokes([])
    assert desk.strength(40, 20) == 0


def test_e_erases(desk: Desk) -> None:
    desk.draw((20, 48), (200, 48))
    key(desk.surface, Qt.Key.Key_E)
    desk.draw((100, 20), (100, 80))
    assert (desk.strength(60, 48), desk.strength(100, 48)) == (255, 0)
    key(desk.surface, Qt.Key.Key_E)
    assert desk.editor.instrument == "brush"


def test_alt_erases_while_it_is_held(desk: Desk) -> None:
    desk.draw((20, 48), (200, 48))
    desk.draw((100, 20), (100, 80), modifiers=ALT)
    assert desk.strength(100, 48) == 0
    assert desk.editor.instrument == "brush"


def test_shift_draws_straight_on_from_the_last_stroke(desk: Desk) -> None:
    click(desk.surface, desk.at(32, 48))
    press(desk.surface, desk.at(160, 48), modifiers=SHIFT)
    key(desk.surface, Qt.Key.Key_Escape)
    desk.draw((160, 48), (160, 48), modifiers=SHIFT)
    assert Stroke.from_json(desk.given[-1][1]).points == ((0.125, 0.25), (0.625, 0.25))


def test_brackets_change_the_size(desk: Desk) -> None:
    before = desk.editor.radius
    key(desk.surface, Qt.Key.Key_BracketRight)
    larger = desk.editor.radius
    key(desk.surface, Qt.Key.Key_BracketLeft)
    key(desk.surface, Qt.Key.Key_BracketLeft)
    assert desk.editor.radius < before < larger


def test_braces_change_the_hardness(desk: Desk) -> None:
    before = desk.editor.hardness
    key(desk.surface, Qt.Key.Key_BraceLeft, SHIFT)
    assert desk.editor.hardness == pytest.approx(before - 0.1)
    desk.draw((64, 48), (128, 48))
    assert Stroke.from_json(desk.given[-1][0]).hardness == pytest.approx(before - 0.1)


def test_the_sliders_change_the_brush_by_keys(desk: Desk) -> None:
    before = desk.editor.radius
    key(desk.editor._size, Qt.Key.Key_Right)
    assert desk.editor.radius > before


def test_i_inverts(desk: Desk) -> None:
    told: list[bool] = []
    desk.editor.invert_changed.connect(told.append)
    desk.draw((20, 48), (200, 48))
    key(desk.surface, Qt.Key.Key_I)
    assert told == [True]
    assert (desk.strength(60, 48), desk.strength(60, 150)) == (0, 255)


def test_delete_removes_all_strokes(desk: Desk) -> None:
    desk.draw((20, 48), (200, 48))
    key(desk.surface, Qt.Key.Key_Delete)
    assert desk.given[-1] == []
    assert desk.strength(60, 48) == 0


def test_space_pans_instead_of_painting(desk: Desk, qtbot: QtBot) -> None:
    from PySide6.QtTest import QTest

    before = desk.surface.camera
    QTest.keyPress(desk.surface, Qt.Key.Key_Space)
    desk.draw((100, 100), (120, 110))
    QTest.keyRelease(desk.surface, Qt.Key.Key_Space)
    assert desk.given == []
    assert (desk.surface.camera.x, desk.surface.camera.y) == (before.x - 20, before.y - 10)


def test_zoomed_in_a_stroke_lies_where_it_is_drawn(desk: Desk) -> None:
    desk.surface.zoom_to(4.0, desk.at(64, 48))
    desk.draw((64, 48), (70, 48))
    assert Stroke.from_json(desk.given[-1][0]).points == (
        (0.25, 0.25),
        (round(70 / 256, 5), 0.25),
    )


def test_strokes_scale_with_the_picture(desk: Desk) -> None:
    desk.draw((64, 48), (128, 48))
    desk.put(QSize(512, 384))
    assert desk.editor.painted().size() == QSize(512, 384)
    assert desk.strength(192, 96) == 255


def test_the_mask_of_a_large_picture_is_shown_smaller(desk: Desk) -> None:
    desk.put(QSize(4096, 2048))
    assert desk.editor.painted().size() == QSize(1024, 512)


def test_the_overlay_is_red_at_the_chosen_opacity(desk: Desk) -> None:
    desk.draw((20, 48), (200, 48))
    half = desk.seen(60, 48)
    assert half.red() == pytest.approx((128 + 255) / 2, abs=3)
    desk.editor._opacity.setValue(100)
    assert desk.seen(60, 48) == QColor(255, 32, 48)
    assert desk.seen(60, 150) == QColor(128, 128, 128)


def test_the_ring_has_the_size_of_the_brush(desk: Desk) -> None:
    at = desk.at(128, 96)
    move(desk.surface, at)
    radius = desk.editor.radius * WIDTH * desk.surface.scale
    image = desk.surface.grab().toImage()
    row = [image.pixelColor(round(at.x() + dx), round(at.y())).red() for dx in range(40)]
    assert row.index(max(row)) == pytest.approx(radius, abs=1)


# --- areas


def test_the_lasso_fills_what_it_encloses(desk: Desk) -> None:
    key(desk.surface, Qt.Key.Key_L)
    circle = [
        (128 + 60 * math.cos(turn / 20), 96 + 60 * math.sin(turn / 20)) for turn in range(126)
    ]
    desk.draw(*circle)
    assert len(desk.given) == 1
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    disc = (np.hypot(x - 128, y - 96) <= 60).astype(np.float32)
    assert overlap(values(desk.editor.painted()), disc) > 0.97


def test_the_rectangle_fills_itself_and_alt_erases_it(desk: Desk) -> None:
    key(desk.surface, Qt.Key.Key_R)
    desk.draw((40, 30), (90, 90), (200, 150))
    assert (desk.strength(44, 34), desk.strength(196, 146), desk.strength(120, 90)) == (
        255,
        255,
        255,
    )
    assert (desk.strength(38, 90), desk.strength(120, 152)) == (0, 0)
    desk.draw((80, 60), (160, 120), modifiers=ALT)
    assert (desk.strength(120, 90), desk.strength(60, 90)) == (0, 255)


def test_an_area_with_bays_is_filled_without_spilling() -> None:
    star = [
        QPointF(
            128 + (80 + 40 * math.cos(5 * t / 40)) * math.cos(t / 40) * 0.8,
            96 + (80 + 40 * math.cos(5 * t / 40)) * math.sin(t / 40) * 0.8,
        )
        for t in range(252)
    ]
    raster = Raster(QSize(WIDTH, HEIGHT))
    raster.show(filled(star, raster.size, erase=False))
    from PIL import Image, ImageDraw

    picture = Image.new("L", (WIDTH * 4, HEIGHT * 4))
    ImageDraw.Draw(picture).polygon([(p.x() * 4, p.y() * 4) for p in star], fill=255)
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    wanted = np.asarray(small, np.float32) / np.float32(255)
    assert overlap(values(raster.image), wanted) > 0.97


# --- as the node computes it

LINES = [
    Stroke(((0.1, 0.2), (0.5, 0.7), (0.9, 0.3)), 0.06, 1.0),
    Stroke(((0.5, 0.5),), 0.1, 0.3),
    Stroke(((0.3, 0.9), (0.35, 0.1)), 0.05, 0.0),
    Stroke(((0.2, 0.5), (0.8, 0.52)), 0.03, 0.5, True),
    Stroke(((0.7, 0.1), (0.75, 0.15)), 0.001, 1.0),
    Stroke(((0.0, 0.0), (-0.1, 1.2)), 0.04, 0.8),
]


@pytest.mark.parametrize("count", range(1, len(LINES) + 1))
def test_the_mask_shown_is_the_mask_computed(count: int) -> None:
    raster = Raster(QSize(256, 256))
    raster.show(LINES[:count])
    wanted = computed(LINES[:count], 256, 256)
    shown = values(raster.image)
    assert overlap(shown, wanted) > 0.97
    assert np.abs(shown - wanted).max() < 0.05


def test_a_mask_painted_by_hand_is_the_mask_computed(desk: Desk) -> None:
    for row in range(4):
        wave = [(20 + 2 * i, 30 + 40 * row + 12 * math.sin(i / 6)) for i in range(100)]
        desk.draw(*wave, modifiers=ALT if row == 2 else Qt.KeyboardModifier.NoModifier)
    strokes = [Stroke.from_json(stroke) for stroke in desk.given[-1]]
    wanted = computed(strokes, WIDTH, HEIGHT)
    assert overlap(values(desk.editor.painted()), wanted) > 0.97


def test_drawing_on_gives_what_drawing_at_once_gives() -> None:
    live = Raster(QSize(128, 128))
    live.show(LINES[:3])
    live.begin(LINES[3].radius, LINES[3].hardness, LINES[3].erase)
    for point in LINES[3].points:
        live.extend(point)
    whole = Raster(QSize(128, 128))
    whole.show(LINES[:4])
    assert live.image == whole.image


def test_undo_and_redo_of_many_strokes_redraw_the_same_mask() -> None:
    many = [
        Stroke(((0.05 * i, 0.1), (0.05 * i, 0.9)), 0.02, 0.5, erase=i % 5 == 4) for i in range(20)
    ]
    raster = Raster(QSize(64, 64))
    for count in (20, 19, 5, 6, 20, 0, 20):
        raster.show(many[:count])
        fresh = Raster(QSize(64, 64))
        fresh.show(many[:count])
        assert raster.image == fresh.image


def test_another_stroke_in_place_of_the_last_is_drawn_afresh() -> None:
    raster, fresh = Raster(QSize(64, 64)), Raster(QSize(64, 64))
    raster.show(LINES[:2])
    raster.show([LINES[0], LINES[2]])
    fresh.show([LINES[0], LINES[2]])
    assert raster.image == fresh.image


def test_a_straight_line_keeps_only_its_ends() -> None:
    points = [QPointF(x, 50 + 0.1 * math.sin(x)) for x in range(100)]
    assert simplified(points, QSize(100, 100)) == ((0.0, 0.5), (0.99, 0.499))


def test_a_stroke_survives_the_file() -> None:
    for stroke in LINES:
        assert Stroke.from_json(stroke.to_json()) == stroke


# --- edges


@pytest.mark.parametrize(
    ("grow", "feather"), [(0, 6.0), (9, 0.0), (-5, 0.0), (12, 10.0), (-4, 3.0)]
)
def test_the_edge_that_is_shown_is_the_edge_that_is_computed(grow: int, feather: float) -> None:
    raster = Raster(QSize(WIDTH, HEIGHT))
    raster.show([Stroke(((0.3, 0.5), (0.6, 0.4)), 0.1), Stroke(((0.0, 1.0),), 0.2)])
    shown = values(edged(raster.image, grow, feather))
    alpha = torch.from_numpy(values(raster.image))[None, None]
    wanted = masks.feathered(masks.grown(alpha, grow), feather)[0, 0].numpy()
    assert np.abs(shown - wanted).max() < 0.03
    assert np.abs(shown - wanted).mean() < 0.002


def test_growing_and_feathering_are_proposed_and_shown(qtbot: QtBot) -> None:
    desk = Desk(qtbot)
    grown: list[int] = []
    soft: list[float] = []
    desk.editor.grow_changed.connect(grown.append)
    desk.editor.feather_changed.connect(soft.append)
    desk.editor.begin([Stroke(((0.5, 0.5),), 0.1).to_json()], False, 0, 0.0)
    before = values(desk.editor.painted()).sum()
    for _ in range(3):
        key(desk.surface, Qt.Key.Key_Period)
    key(desk.surface, Qt.Key.Key_Apostrophe)
    assert (grown, soft) == ([1, 2, 3], [1.0])
    assert values(desk.editor.painted()).sum() > before
    assert (desk.editor._grown_label.text(), desk.editor._soft_label.text()) == ("+3 px", "1 px")


def test_a_node_without_edges_has_none_to_set(qtbot: QtBot) -> None:
    desk = Desk(qtbot)
    grown: list[int] = []
    desk.editor.grow_changed.connect(grown.append)
    key(desk.surface, Qt.Key.Key_Period)
    assert grown == []
    assert not desk.editor._grown.isEnabled()


def test_the_overlay_is_not_of_the_colour_of_the_picture(qtbot: QtBot) -> None:
    desk = Desk(qtbot)
    image = QImage(64, 64, QImage.Format.Format_RGB32)
    image.fill(QColor(240, 40, 40))
    desk.viewer.set_image("A", image)
    desk.editor.begin([])
    first = desk.editor._color
    assert first.red() < 200 or first.green() > 200
    key(desk.surface, Qt.Key.Key_C)
    assert desk.editor._color != first
