"""The trajectory scrubber: choosing a step by mouse and keys, x_0 and x_t, branching."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.gui.seeing.scrubber import Frame, Scrubber
from studio.gui.theme import Theme
from tests.gui.hands import click, drag, key, move, press

SIGMAS = (14.6, 7.0, 3.0, 1.0, 0.2, 0.0)


def plain(red: int, blue: int) -> QImage:
    image = QImage(16, 16, QImage.Format.Format_RGB32)
    image.fill(QColor(red, 0, blue))
    return image


def film(count: int = len(SIGMAS)) -> list[Frame]:
    """Steps whose x_0 is red and whose x_t is blue, in tens of the step."""
    return [
        Frame(step, SIGMAS[step], plain(10 * step, 0), plain(0, 10 * step), 2 * step)
        for step in range(count)
    ]


@pytest.fixture
def scrubber(qtbot: QtBot) -> Scrubber:
    scrubber = Scrubber(Theme.dark())
    qtbot.addWidget(scrubber)
    scrubber.resize(420, 110)
    with qtbot.waitExposed(scrubber):
        scrubber.show()
    scrubber.setFocus()
    scrubber.set_trajectory(film())
    return scrubber


@pytest.fixture
def seen(scrubber: Scrubber) -> list[QColor]:
    """The colours of the pictures that were shown."""
    found: list[QColor] = []

    def note(image: QImage, text: str) -> None:
        found.append(image.pixelColor(0, 0))

    scrubber.shown.connect(note)
    return found


def step(scrubber: Scrubber) -> int:
    assert scrubber.frame is not None
    return scrubber.frame.step


def at(scrubber: Scrubber, index: float) -> QPointF:
    return QPointF(scrubber.strip.x_of(index), scrubber.strip.height() / 2)


def test_a_new_trajectory_stands_at_its_end(scrubber: Scrubber) -> None:
    assert step(scrubber) == 5


def test_a_press_chooses_the_nearest_step(scrubber: Scrubber, seen: list[QColor]) -> None:
    click(scrubber.strip, at(scrubber, 2.3))
    assert step(scrubber) == 2
    assert seen == [QColor(20, 0, 0)]


def test_dragging_shows_every_step_on_the_way(scrubber: Scrubber, seen: list[QColor]) -> None:
    drag(scrubber.strip, [at(scrubber, index) for index in (4, 3, 2, 1)])
    assert [color.red() for color in seen] == [40, 30, 20, 10]


def test_the_right_button_chooses_nothing(scrubber: Scrubber) -> None:
    drag(scrubber.strip, [at(scrubber, 3), at(scrubber, 1)], Qt.MouseButton.RightButton)
    assert step(scrubber) == 5


def test_dragging_past_the_ends_stays_at_the_ends(scrubber: Scrubber) -> None:
    drag(scrubber.strip, [at(scrubber, 3), QPointF(-500, 10)])
    assert step(scrubber) == 0


def test_escape_lets_the_handle_go_back(scrubber: Scrubber) -> None:
    press(scrubber.strip, at(scrubber, 1))
    key(scrubber.strip, Qt.Key.Key_Escape)
    assert step(scrubber) == 5


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ([Qt.Key.Key_Left], 4),
        ([Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Right], 4),
        ([Qt.Key.Key_Home], 0),
        ([Qt.Key.Key_Home, Qt.Key.Key_End], 5),
        ([Qt.Key.Key_Right], 5),
    ],
)
def test_keys_choose_a_step(scrubber: Scrubber, keys: list[Qt.Key], wanted: int) -> None:
    for each in keys:
        key(scrubber.strip, each)
    assert step(scrubber) == wanted


def test_t_shows_the_noisy_picture_and_back(scrubber: Scrubber, seen: list[QColor]) -> None:
    key(scrubber.strip, Qt.Key.Key_T)
    key(scrubber.strip, Qt.Key.Key_T)
    assert seen == [QColor(0, 0, 50), QColor(50, 0, 0)]


def test_the_buttons_choose_x_0_or_x_t(scrubber: Scrubber, seen: list[QColor]) -> None:
    click(scrubber._xt, QPointF(5, 5))
    assert scrubber._xt.isChecked()
    assert not scrubber._x0.isChecked()
    assert seen == [QColor(0, 0, 50)]


def test_the_line_says_step_sigma_and_calls(scrubber: Scrubber) -> None:
    scrubber.go_to(3)
    assert scrubber.label.text() == "step 3 of 5 · σ 1 · 6 model calls"
    assert scrubber.strip.accessibleDescription() == scrubber.label.text()


def test_return_branches_from_the_chosen_step(scrubber: Scrubber) -> None:
    asked: list[int] = []
    scrubber.branch_from.connect(asked.append)
    scrubber.go_to(2)
    key(scrubber.strip, Qt.Key.Key_Return)
    click(scrubber._branch, QPointF(5, 5))
    assert asked == [2, 2]


def test_who_watches_the_last_step_follows_a_running_one(scrubber: Scrubber) -> None:
    scrubber.set_trajectory(film(3), steps=5)
    assert (step(scrubber), scrubber.label.text()[:11]) == (2, "step 2 of 5")
    scrubber.set_trajectory(film(4), steps=5)
    assert step(scrubber) == 3


def test_who_looks_at_an_earlier_step_is_left_there(scrubber: Scrubber) -> None:
    scrubber.go_to(1)
    scrubber.set_trajectory(film())
    assert step(scrubber) == 1


def test_a_shorter_trajectory_ends_where_it_ends(scrubber: Scrubber) -> None:
    scrubber.set_trajectory(film(2))
    assert step(scrubber) == 1


def test_without_a_trajectory_nothing_can_be_chosen(scrubber: Scrubber, seen: list[QColor]) -> None:
    asked: list[int] = []
    scrubber.branch_from.connect(asked.append)
    scrubber.clear()
    for each in (Qt.Key.Key_Left, Qt.Key.Key_Home, Qt.Key.Key_Return, Qt.Key.Key_T):
        key(scrubber, each)
    assert (scrubber.frame, asked, seen) == (None, [], [])
    assert scrubber.label.text() == "No trajectory yet"
    assert not scrubber._branch.isEnabled()


def test_steps_without_pictures_still_have_a_curve(scrubber: Scrubber) -> None:
    scrubber.set_trajectory([Frame(index, sigma) for index, sigma in enumerate(SIGMAS)])
    heights = [scrubber.strip._curve_y(index) for index in range(len(SIGMAS))]
    assert heights == sorted(heights)
    # equal ratios of sigma are equal distances: the scale is logarithmic
    scrubber.set_trajectory([Frame(index, 10.0**-index) for index in range(4)])
    first, second, third, fourth = (scrubber.strip._curve_y(index) for index in range(4))
    assert second - first == pytest.approx(third - second)
    assert third - second == pytest.approx(fourth - third)


def test_the_strip_shows_the_thumbnails(scrubber: Scrubber) -> None:
    scrubber.set_trajectory([Frame(index, 1.0, plain(250, 0)) for index in range(3)])
    image = scrubber.strip.grab().toImage()
    reds = [image.pixelColor(x, 50).red() for x in range(20, 200)]
    assert min(reds) > 100


def test_a_single_step_can_be_shown(scrubber: Scrubber, seen: list[QColor]) -> None:
    scrubber.set_trajectory(film(1))
    click(scrubber.strip, QPointF(300, 20))
    assert step(scrubber) == 0


def test_the_step_under_the_mouse_is_shown_above_it(scrubber: Scrubber) -> None:
    move(scrubber.strip, at(scrubber, 2))
    assert scrubber.glance.isVisible()
    assert scrubber.glance.words.text() == "step 2 of 5 · σ 3 · 4 model calls"
    assert scrubber.glance.picture.pixmap().toImage().pixelColor(5, 5).red() == 20
    assert step(scrubber) == 5
    QApplication.sendEvent(scrubber.strip, QEvent(QEvent.Type.Leave))
    assert not scrubber.glance.isVisible()


def test_space_plays_from_the_start_and_stops(scrubber: Scrubber, qtbot: QtBot) -> None:
    key(scrubber.strip, Qt.Key.Key_Space)
    assert step(scrubber) == 0
    qtbot.waitUntil(lambda: step(scrubber) == 2)
    key(scrubber.strip, Qt.Key.Key_Space)
    assert not scrubber.is_playing


def test_steps_that_come_while_one_looks_leave_the_step(scrubber: Scrubber) -> None:
    scrubber.go_to(3)
    scrubber.set_trajectory([frame for frame in film() if frame.step != 1])
    assert step(scrubber) == 3


def test_guidance_is_branched_by_a_key(scrubber: Scrubber) -> None:
    asked: list[int] = []
    scrubber.guidance_from.connect(asked.append)
    scrubber.go_to(2)
    key(scrubber.strip, Qt.Key.Key_G)
    assert asked == [2]
