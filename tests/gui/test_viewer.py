"""The viewer: zoom, pan, comparison, copying and dragging out."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from studio.errors import OutputError
from studio.gui.seeing.surface import MAX_ZOOM, Surface, difference
from studio.gui.seeing.viewer import Viewer
from studio.gui.states import Failure
from studio.gui.theme import Theme
from tests.gui.hands import click, double_click, drag, key, move, press, release, wheel

RED, BLUE, GREEN = QColor(200, 12, 30), QColor(10, 20, 220), QColor(0, 150, 0)


def plain(color: QColor, width: int = 64, height: int = 48) -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(color)
    return image


@pytest.fixture
def viewer(qtbot: QtBot) -> Viewer:
    viewer = Viewer(Theme.dark())
    qtbot.addWidget(viewer)
    viewer.resize(400, 380)
    with qtbot.waitExposed(viewer):
        viewer.show()
    viewer.setFocus()
    return viewer


@pytest.fixture
def surface(viewer: Viewer) -> Surface:
    viewer.set_image("A", plain(RED), "decode")
    return viewer.surface


def painted(surface: QWidget, at: QPointF) -> QColor:
    return surface.grab().toImage().pixelColor(at.toPoint())


def middle(surface: Surface) -> QPointF:
    return QPointF(surface.width() // 2, surface.height() // 2)


# --- zoom and pan


def test_a_new_picture_fills_the_pane(surface: Surface) -> None:
    area = surface.area()
    assert area.width() == pytest.approx(surface.width(), abs=1)
    assert area.height() <= surface.height()


def test_the_wheel_zooms_at_the_cursor(surface: Surface) -> None:
    at = QPointF(130, 90)
    under = surface.to_picture(at)
    zoom = surface.camera.zoom
    wheel(surface, at, 2)
    assert surface.camera.zoom == pytest.approx(2 * zoom)
    now = surface.to_picture(at)
    assert (now.x(), now.y()) == pytest.approx((under.x(), under.y()), abs=0.1)


def test_zooming_ends_at_3200_percent(surface: Surface) -> None:
    wheel(surface, middle(surface), 40)
    assert surface.camera.zoom == MAX_ZOOM == 32


def test_f_shows_the_whole_picture_again(surface: Surface) -> None:
    fitted = surface.camera
    wheel(surface, QPointF(30, 30), 3)
    key(surface, Qt.Key.Key_F)
    assert surface.camera == fitted


def test_0_shows_the_whole_picture_too(surface: Surface) -> None:
    wheel(surface, QPointF(30, 30), 3)
    key(surface, Qt.Key.Key_0)
    assert surface.camera.is_fitted


def test_1_shows_a_pixel_as_a_pixel(surface: Surface) -> None:
    key(surface, Qt.Key.Key_1)
    assert surface.area().size() == QSize(64, 48)


def test_dragging_moves_the_picture_with_the_mouse(surface: Surface) -> None:
    wheel(surface, middle(surface), 4)
    under = surface.to_picture(QPointF(100, 100))
    drag(surface, [QPointF(100, 100), QPointF(150, 120), QPointF(160, 140)])
    now = surface.to_picture(QPointF(160, 140))
    assert (now.x(), now.y()) == pytest.approx((under.x(), under.y()), abs=0.1)


def test_escape_takes_a_pan_back(surface: Surface) -> None:
    before = surface.camera
    press(surface, QPointF(100, 100))
    move(surface, QPointF(150, 150), Qt.MouseButton.LeftButton)
    assert surface.camera != before
    key(surface, Qt.Key.Key_Escape)
    assert surface.camera == before


def test_a_double_click_goes_to_100_percent_and_back(surface: Surface) -> None:
    fitted = surface.camera
    double_click(surface, middle(surface))
    assert surface.camera.zoom == 1
    double_click(surface, middle(surface))
    assert surface.camera == fitted


def test_a_fitted_picture_stays_fitted_when_the_pane_grows(
    viewer: Viewer, surface: Surface
) -> None:
    zoom = surface.camera.zoom
    viewer.resize(600, 600)
    assert surface.camera.zoom == pytest.approx(zoom * 1.5, rel=0.01)


def test_a_preview_and_its_final_picture_lie_in_the_same_place(viewer: Viewer) -> None:
    surface = viewer.surface
    viewer.set_image("A", plain(RED, 16, 12), size=QSize(64, 48))
    wheel(surface, QPointF(90, 60), 3)
    before = surface.area()
    viewer.set_image("A", plain(BLUE))
    assert surface.area() == before


def test_a_picture_of_another_size_is_shown_at_the_same_place_of_the_picture(
    viewer: Viewer, surface: Surface
) -> None:
    surface.zoom_to(8.0, QPointF(60, 60))
    share = surface.camera.x / 64
    viewer.set_image("A", plain(BLUE, 128, 96))
    assert surface.camera.x / 128 == pytest.approx(share)


# --- pixels


def test_pixels_are_crisp_above_100_percent(viewer: Viewer) -> None:
    image = plain(QColor("black"), 2, 1)
    image.setPixelColor(1, 0, QColor("white"))
    viewer.set_image("A", image)
    viewer.surface.zoom_to(32.0)
    edge = viewer.surface.area().center()
    assert painted(viewer.surface, edge - QPointF(2, 0)) == QColor("black")
    assert painted(viewer.surface, edge + QPointF(2, 0)) == QColor("white")


def test_pixels_are_interpolated_where_the_picture_is_fitted(viewer: Viewer) -> None:
    image = plain(QColor("black"), 2, 1)
    image.setPixelColor(1, 0, QColor("white"))
    viewer.set_image("A", image)
    corner = viewer.surface.area().topLeft()
    width = int(viewer.surface.area().width())
    greys = [painted(viewer.surface, corner + QPointF(x, 5)).red() for x in range(0, width, 8)]
    assert any(0 < grey < 255 for grey in greys)
    viewer.surface.zoom_to(1.5)
    corner = viewer.surface.area().topLeft()
    greys = [painted(viewer.surface, corner + QPointF(x, 0.5)).red() for x in range(3)]
    assert set(greys) == {0, 255}


def test_far_below_its_size_a_picture_is_averaged(viewer: Viewer) -> None:
    image = plain(QColor("black"), 512, 512)
    for x in range(0, 512, 8):  # one column of eight is white: averaged 32, picked 0 or 255
        for y in range(512):
            image.setPixelColor(x, y, QColor("white"))
    viewer.set_image("A", image)
    viewer.surface.zoom_to(1 / 8)
    center = viewer.surface.area().center()
    assert painted(viewer.surface, center).red() == pytest.approx(255 / 8, abs=3)


def test_transparency_shows_a_checkerboard(viewer: Viewer) -> None:
    image = QImage(64, 48, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    viewer.set_image("A", image)
    corner = viewer.surface.area().topLeft()
    first = painted(viewer.surface, corner + QPointF(4, 4))
    second = painted(viewer.surface, corner + QPointF(12, 4))
    assert {first.name(), second.name()} == {"#8c8c8c", "#b4b4b4"}


def test_the_line_says_node_size_and_zoom(viewer: Viewer, surface: Surface) -> None:
    surface.zoom_to(4.0)
    assert viewer.caption.text == "decode · 64 × 48 · 400 %"


def test_the_line_says_the_pixel_under_the_cursor(viewer: Viewer) -> None:
    image = plain(RED)
    image.setPixelColor(7, 3, BLUE)
    viewer.set_image("A", image)
    move(viewer.surface, viewer.surface.to_widget(QPointF(7.5, 3.5)))
    assert viewer.caption.detail == "7, 3 · 10 20 220"
    assert viewer.caption.swatch == BLUE


def test_beside_the_picture_there_is_no_pixel(viewer: Viewer, surface: Surface) -> None:
    move(surface, middle(surface))
    assert viewer.caption.detail
    move(surface, QPointF(2, 2))
    assert viewer.caption.detail == ""


# --- comparing


@pytest.fixture
def pair(viewer: Viewer, surface: Surface) -> Surface:
    viewer.set_image("B", plain(BLUE), "before")
    return surface


def test_k_keeps_the_picture_to_compare_the_next_with(viewer: Viewer, surface: Surface) -> None:
    key(surface, Qt.Key.Key_K)
    viewer.set_image("A", plain(GREEN))
    kept = surface.slot("B")
    assert kept is not None
    assert kept.image.pixelColor(0, 0) == RED


def test_without_b_nothing_is_compared(viewer: Viewer, surface: Surface, qtbot: QtBot) -> None:
    with qtbot.waitSignal(viewer.status):
        key(surface, Qt.Key.Key_W)
    assert surface.arrangement == "single"


def test_w_wipes_a_on_the_left_b_on_the_right(pair: Surface) -> None:
    key(pair, Qt.Key.Key_W)
    at = middle(pair)
    assert painted(pair, at - QPointF(30, 40)) == RED
    assert painted(pair, at + QPointF(30, 40)) == BLUE
    key(pair, Qt.Key.Key_W)
    assert painted(pair, at + QPointF(30, 40)) == RED


def test_the_divider_can_be_dragged(pair: Surface) -> None:
    key(pair, Qt.Key.Key_W)
    at = middle(pair)
    drag(pair, [at, QPointF(100, at.y()), QPointF(60, at.y())])
    assert pair.divider == pytest.approx(60 / pair.width())
    assert painted(pair, at - QPointF(30, 40)) == BLUE


def test_the_arrows_move_the_divider(pair: Surface) -> None:
    key(pair, Qt.Key.Key_W)
    key(pair, Qt.Key.Key_Left)
    assert pair.divider == pytest.approx(0.49)


def test_the_pixel_of_a_wipe_is_that_of_its_side(viewer: Viewer, pair: Surface) -> None:
    key(pair, Qt.Key.Key_W)
    move(pair, middle(pair) + QPointF(30, 0))
    assert viewer.caption.swatch == BLUE


def test_s_shows_both_whole(pair: Surface) -> None:
    key(pair, Qt.Key.Key_S)
    quarter = pair.width() / 4
    at = middle(pair)
    assert painted(pair, at - QPointF(quarter, 0)) == RED
    assert painted(pair, at + QPointF(quarter, 0)) == BLUE
    assert pair.area().width() <= pair.width() / 2


def test_d_shows_the_amplified_difference(viewer: Viewer, surface: Surface) -> None:
    viewer.set_image("B", plain(QColor(203, 10, 90)))
    key(surface, Qt.Key.Key_D)
    # |200 - 203| * 8, |12 - 10| * 8, |30 - 90| * 8 clipped
    assert painted(surface, middle(surface)) == QColor(24, 16, 255)


def test_up_amplifies_more(viewer: Viewer, surface: Surface) -> None:
    viewer.set_image("B", plain(QColor(203, 10, 90)))
    key(surface, Qt.Key.Key_D)
    key(surface, Qt.Key.Key_Up)
    assert painted(surface, middle(surface)) == QColor(48, 32, 255)


def test_equal_pictures_are_told_identical(viewer: Viewer, surface: Surface) -> None:
    viewer.set_image("B", plain(RED))
    key(surface, Qt.Key.Key_D)
    assert "identical" in viewer.caption.text


def test_a_difference_of_sizes_scales_the_second() -> None:
    found = difference(plain(RED, 8, 8), plain(RED, 16, 16), 8)
    assert found.size() == QSize(8, 8)
    assert found.pixelColor(4, 4) == QColor(0, 0, 0)


def test_x_shows_b_by_itself(pair: Surface) -> None:
    key(pair, Qt.Key.Key_X)
    assert painted(pair, middle(pair)) == BLUE


def test_the_buttons_do_what_the_keys_do(viewer: Viewer, pair: Surface) -> None:
    buttons = {button.accessibleName(): button for button in viewer._buttons.values()}
    click(buttons["Wipe between A and B"])
    assert pair.arrangement == "wipe"
    assert buttons["Wipe between A and B"].isChecked()
    click(buttons["100 %"])
    assert pair.camera.zoom == 1


# --- elsewhere


def test_ctrl_c_copies_the_picture(surface: Surface) -> None:
    key(surface, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().image().pixelColor(5, 5) == RED


def test_ctrl_s_asks_for_a_name(viewer: Viewer, surface: Surface, qtbot: QtBot) -> None:
    with qtbot.waitSignal(viewer.save_requested):
        key(surface, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)


def test_saving_keeps_what_the_file_carries(viewer: Viewer, tmp_path: Path) -> None:
    source = tmp_path / "made.png"
    source.write_bytes(b"pixels and a workflow")
    viewer.set_image("A", plain(RED), path=source)
    viewer.write(tmp_path / "copy.png")
    assert (tmp_path / "copy.png").read_bytes() == b"pixels and a workflow"


def test_saving_a_picture_without_a_file_writes_its_pixels(viewer: Viewer, tmp_path: Path) -> None:
    viewer.set_image("A", plain(RED))
    viewer.write(tmp_path / "new.png")
    assert QImage(str(tmp_path / "new.png")) == plain(RED)


def test_saving_where_one_cannot_says_so(viewer: Viewer, tmp_path: Path) -> None:
    viewer.set_image("A", plain(RED))
    with pytest.raises(OutputError, match="cannot be written"):
        viewer.write(tmp_path / "no folder" / "new.png")


@pytest.fixture
def dragged(monkeypatch: pytest.MonkeyPatch) -> list[QMimeData]:
    """What would be dragged: the system's loop of a drag cannot run here."""
    found: list[QMimeData] = []

    def begin(source: QWidget, mime: QMimeData, image: QImage) -> None:
        found.append(mime)

    monkeypatch.setattr("studio.gui.seeing.viewer.start_drag", begin)
    return found


def test_ctrl_drag_takes_out_a_temporary_file(surface: Surface, dragged: list[QMimeData]) -> None:
    points = [QPointF(100, 100), QPointF(150, 150)]
    drag(surface, points, modifiers=Qt.KeyboardModifier.ControlModifier)
    path = Path(dragged[0].urls()[0].toLocalFile())
    assert QImage(str(path)) == plain(RED)


def test_dragging_the_line_takes_out_the_file_itself(
    viewer: Viewer, dragged: list[QMimeData], tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"anything")
    viewer.set_image("A", plain(RED), path=path)
    drag(viewer.caption, [QPointF(10, 5), QPointF(60, 5)])
    assert [url.toLocalFile() for url in dragged[0].urls()] == [str(path)]


def test_a_plain_drag_takes_nothing_out(surface: Surface, dragged: list[QMimeData]) -> None:
    drag(surface, [QPointF(100, 100), QPointF(150, 150)])
    assert dragged == []


# --- empty and failed


def test_an_empty_viewer_says_how_to_begin(viewer: Viewer) -> None:
    assert viewer.surface.accessibleDescription() == "Press Ctrl+Enter to run"
    image = viewer.surface.grab().toImage()
    assert len({image.pixel(x, image.height() // 2) for x in range(image.width())}) > 1


def test_a_failure_is_shown_and_spoken(viewer: Viewer, surface: Surface) -> None:
    viewer.set_failure(Failure("out of memory", "denoise", "choose a smaller size"))
    assert surface.accessibleDescription() == "denoise: out of memory; choose a smaller size"
    assert painted(surface, QPointF(surface.width() / 2, 16)) == Theme.dark().panel


def test_the_next_picture_ends_a_failure(viewer: Viewer, surface: Surface) -> None:
    viewer.set_failure(Failure("out of memory"))
    viewer.set_image("A", plain(BLUE))
    assert painted(surface, QPointF(surface.width() / 2, 60)) == BLUE


def test_clearing_empties_the_viewer(viewer: Viewer, pair: Surface) -> None:
    viewer.clear()
    assert viewer.current is None
    assert viewer.caption.text == ""


def test_keys_come_before_the_shortcuts_of_a_window(qtbot: QtBot) -> None:
    from PySide6.QtGui import QKeySequence, QShortcut

    window = QWidget()
    qtbot.addWidget(window)
    viewer = Viewer(Theme.light(), window)
    viewer.set_image("A", plain(RED))
    viewer.surface.zoom_to(8.0)
    stolen: list[bool] = []
    shortcut = QShortcut(QKeySequence("F"), window)
    shortcut.activated.connect(lambda: stolen.append(True))
    with qtbot.waitExposed(window):
        window.show()
    viewer.setFocus()
    key(viewer.surface, Qt.Key.Key_F)
    assert viewer.surface.camera.is_fitted
    assert stolen == []


def test_every_button_has_a_name(viewer: Viewer) -> None:
    assert all(button.accessibleName() for button in viewer._buttons.values())


def test_a_release_without_a_press_does_nothing(surface: Surface) -> None:
    before = surface.camera
    release(surface, QPointF(10, 10))
    assert surface.camera == before


# --- whole screen, files, batches


def in_a_window(qtbot: QtBot) -> tuple[QWidget, Viewer]:
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    inside = Viewer(Theme.dark())
    layout.addWidget(inside)
    window.resize(300, 300)
    with qtbot.waitExposed(window):
        window.show()
    inside.set_image("A", plain(QColor("red")))
    inside.setFocus()
    return window, inside


def test_return_fills_the_screen_and_escape_goes_back(qtbot: QtBot) -> None:
    window, inside = in_a_window(qtbot)
    key(inside.surface, Qt.Key.Key_Return)
    assert inside.isWindow()
    assert inside.isFullScreen()
    key(inside.surface, Qt.Key.Key_Escape)
    assert not inside.isWindow()
    assert inside.parentWidget() is window
    qtbot.waitUntil(inside.isVisible)
    qtbot.waitUntil(lambda: inside.width() < 300)


def test_a_picture_file_is_taken_and_others_are_left(qtbot: QtBot, tmp_path: Path) -> None:
    _, inside = in_a_window(qtbot)
    taken: list[Path] = []
    inside.file_dropped.connect(taken.append)
    for name, count in (("a.png", 1), ("a.json", 0), ("b.safetensors", 0)):
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(tmp_path / name))])
        copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
        none = Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(QPoint(9, 9), copy, mime, left, none)
        QApplication.sendEvent(inside, enter)
        assert enter.isAccepted() == bool(count)
        if count:
            QApplication.sendEvent(inside, QDropEvent(QPointF(9, 9), copy, mime, left, none))
    assert taken == [tmp_path / "a.png"]


def test_arrows_ask_for_the_next_of_a_batch_where_nothing_can_move(viewer: Viewer) -> None:
    asked: list[int] = []
    viewer.stepped.connect(asked.append)
    viewer.set_image("A", plain(QColor("red")))
    key(viewer.surface, Qt.Key.Key_Right)
    key(viewer.surface, Qt.Key.Key_PageUp)
    viewer.surface.zoom_to(20.0)
    key(viewer.surface, Qt.Key.Key_Right)
    assert asked == [1, -1]
