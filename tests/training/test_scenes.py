"""Scenes: the same at every address, as their attributes say, told in words that a list knows."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageFilter

from studio.training.scenes import (
    HELD_OUT,
    SUBJECTS,
    Scene,
    caption,
    full_caption,
    is_held_out,
    scene,
)
from studio.training.scenes.attributes import (
    COLORED,
    COLORS,
    NONE,
    STYLES,
    TERRAINS,
    TIMES,
    WEATHERS,
)
from studio.training.scenes.captions import vocabulary
from studio.training.scenes.painter import paint, scribble

_PRINT = """
import hashlib
from studio.training.scenes import scene
from studio.training.scenes.painter import paint
digest = hashlib.sha256()
for index in range(12):
    digest.update(paint(scene(4, index), 4, index, 64).tobytes())
print(digest.hexdigest())
"""


def test_a_scene_and_its_picture_follow_from_the_address_in_any_process() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", _PRINT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert scene(4, 0) != scene(4, 1)
    assert scene(4, 0) != scene(5, 0)


def test_training_never_sees_what_is_held_out_and_a_test_can_ask_for_it() -> None:
    assert not any(is_held_out(scene(0, index)) for index in range(3000))
    held = [scene(0, index, held_out=True) for index in range(300)]
    assert all(map(is_held_out, held))
    shown = {number for one in held for number, each in enumerate(HELD_OUT) if one.shows(each)}
    assert shown == set(range(10))


def test_a_companion_counts_as_a_subject_of_a_held_out_combination() -> None:
    tree = Scene("flat", "day", "clear", "hills", "cactus", position="left")
    assert not is_held_out(tree)
    assert is_held_out(replace(tree, companion="tree", companion_color="purple"))


def test_every_attribute_comes_about_as_often_as_its_weight_says() -> None:
    drawn = [scene(1, index, held_out=None) for index in range(4000)]
    for name, weights in (("style", STYLES), ("time", TIMES), ("subject", SUBJECTS)):
        counts = Counter(getattr(one, name) for one in drawn)
        for value, weight in weights.items():
            share = weight / sum(weights.values())
            assert counts[value] / len(drawn) == pytest.approx(share, abs=0.025)
    assert {one.terrain for one in drawn} == set(TERRAINS)
    assert {one.weather for one in drawn} == set(WEATHERS)
    assert all((one.color != NONE) == (one.subject in COLORED) for one in drawn)
    assert all((one.companion_color != NONE) == (one.companion in COLORED) for one in drawn)
    beside = [one for one in drawn if one.position != "center"]
    with_companion = [one for one in drawn if one.companion != NONE]
    assert all(one in beside for one in with_companion)
    assert len(with_companion) / len(beside) == pytest.approx(0.6, abs=0.03)


def test_a_companion_that_is_asked_for_stands_beside_a_subject_in_a_colour() -> None:
    asked = [scene(2, index, {"companion": "tree"}) for index in range(200)]
    assert all(one.subject != NONE and one.position != "center" for one in asked)
    assert {one.companion_color for one in asked} == set(COLORS)
    middle = scene(2, 0, {"companion": "tree", "position": "center"})
    assert middle.companion == NONE


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no scene has style pixel, subject windmill"):
        scene(0, 0, {"subject": "windmill", "style": "pixel"}, held_out=False)


def test_a_full_caption_tells_everything_and_a_short_one_less() -> None:
    one = Scene(
        "watercolor", "night", "snow", "sea", "house", "red", "left", "big", "balloon", "blue"
    )
    told = full_caption(one, random.Random(3))
    for word in ("red", "blue", "balloon", "left", "right"):
        assert word in told
    lengths = {len(caption(one, random.Random(seed)).split()) for seed in range(50)}
    assert min(lengths) < len(told.split())


def test_position_is_told_in_nearly_every_caption() -> None:
    drawn = [(scene(2, i), random.Random(i)) for i in range(2000)]
    sided = [caption(one, draw) for one, draw in drawn if one.position in ("left", "right")]
    told = sum("left" in text or "right" in text for text in sided)
    assert 0.95 < told / len(sided) < 1


_WORDS = {
    "style": r"\b(water ?colou?r|painting)",
    "time": r"\b(night|midnight)\b",
    "weather": r"\b(snow|snowy|winter)\b",
    "terrain": r"\b(sea|ocean)\b",
    "color": r"\bred (house|cottage|home)\b",
    "position": r"\b(house|cottage|home) (on|to|at) the left\b",
    "size": r"\b(big|large|huge)\b",
    "companion": r"\bballoon\b",
    "its color": r"\bblue (hot air )?balloon\b",
    "its position": r"\bballoon (on|to|at) the right\b",
}


def test_every_attribute_is_told_often_and_none_always() -> None:
    one = Scene(
        "watercolor", "night", "snow", "sea", "house", "red", "left", "big", "balloon", "blue"
    )
    texts = [caption(one, random.Random(number)) for number in range(1000)]
    for name, pattern in _WORDS.items():
        told = sum(re.search(pattern, text) is not None for text in texts) / len(texts)
        assert 0.85 < told < 1, name


_OPEN = {
    "style": (
        "flat",
        r"paint|watercolor|watercolour|pixel|drawing|sketch|illustration|flat|vector",
    ),
    "time": ("day", r"dawn|sunrise|morning|\bday\b|daylight|noon|sunset|dusk|evening|night"),
    "weather": ("clear", r"clear|cloud|rain|\bin the snow|snowy weather|winter|falling|fog|mist"),
    "position": ("center", r"left|right|center|middle"),
}
"""By attribute what is ordinary, and words of which each caption has one that tells the attribute."""


@pytest.mark.parametrize("name", _OPEN)
def test_what_a_caption_leaves_open_is_mostly_the_ordinary(name: str) -> None:
    ordinary, told = _OPEN[name]
    drawn = [(scene(2, i), random.Random(i)) for i in range(4000)]
    silent = [
        getattr(one, name)
        for one, draw in drawn
        if one.subject != NONE and re.search(told, caption(one, draw)) is None
    ]
    assert len(silent) > 200
    assert silent.count(ordinary) / len(silent) > 0.7


def test_captions_keep_to_a_small_vocabulary() -> None:
    known = set(vocabulary())
    for index in range(2000):
        words = caption(scene(6, index), random.Random(index)).replace(",", "").split()
        assert set(words) <= known
    assert len(known) < 150


@pytest.mark.parametrize("style", [style for style in STYLES if style != "blueprint"])
def test_a_subject_is_where_its_position_says_and_in_its_colour(style: str) -> None:
    for position, columns in (("left", slice(0, 64)), ("right", slice(64, 128))):
        given = {
            "style": style,
            "subject": "balloon",
            "color": "red",
            "position": position,
            "size": "big",
            "time": "day",
            "weather": "clear",
            "terrain": "meadow",
            "companion": NONE,
            "companion_color": NONE,
        }
        for index in range(4):
            found = paint(scene(7, index, given), 7, index).astype(int)
            sky = found[8:70]
            red = (sky[..., 0] > 150) & (sky[..., 1] < 120) & (sky[..., 2] < 120)
            assert red[:, columns].sum() > 0.95 * red.sum() > 60


@pytest.mark.parametrize("style", [style for style in STYLES if style != "blueprint"])
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(("color", "hues"), [("pink", (306, 344)), ("purple", (262, 296))])
def test_small_pink_and_purple_subjects_are_no_grey(
    style: str, time: str, color: str, hues: tuple[int, int]
) -> None:
    given = {"style": style, "time": time, "subject": "tent", "color": color, "size": "small"}
    for weather in ("clear", "fog", "snow"):
        one = scene(5, 1, {**given, "terrain": "hills", "weather": weather, "position": "center"})
        hue, saturation, _ = np.moveaxis(
            np.asarray(Image.fromarray(paint(one, 5, 1)).convert("HSV")).astype(float), -1, 0
        )
        shown = (saturation > 0.4 * 255) & (hue > hues[0] / 360 * 255) & (hue < hues[1] / 360 * 255)
        assert shown[60:115, 40:90].sum() > 120


def test_lines_of_drawings_are_three_pixels_wide() -> None:
    for index in range(6):
        given = {"style": "line", "time": "day", "weather": "clear", "subject": "house"}
        grey = Image.fromarray(paint(scene(6, index, given), 6, index)).convert("L")
        ink = grey.point([255 if value < 96 else 0 for value in range(256)])
        # what a square of 3 pixels can be laid into
        opened = ink.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
        assert np.asarray(opened).mean() > 0.75 * np.asarray(ink).mean() > 4


def test_blueprints_come_on_request_alone_and_are_blue_and_white() -> None:
    assert not any(scene(3, index).style == "blueprint" for index in range(2000))
    one = scene(3, 0, {"style": "blueprint"})
    red, _, blue = paint(one, 3, 0).astype(int).mean((0, 1))
    assert blue > red + 60
    assert "blueprint" in full_caption(one, random.Random(0))


def test_pixel_art_is_made_of_blocks_aligned_to_the_grid_of_latents() -> None:
    picture = paint(scene(8, 0, {"style": "pixel"}), 8, 0, 128)
    blocks = picture.reshape(32, 4, 32, 4, 3)
    assert np.array_equal(blocks, np.broadcast_to(blocks[:, :1, :, :1], blocks.shape))


@pytest.mark.parametrize("size", [16, 32, 64, 128, 200])
def test_a_scene_is_the_same_at_every_size(size: int) -> None:
    one = scene(9, 2, {"style": "flat"})
    found = paint(one, 9, 2, size)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    small = paint(one, 9, 2, 16).astype(int)
    cells = np.linspace(0, size, 17).astype(int)
    averaged = np.array(
        [
            [found[a:b, c:d].reshape(-1, 3).mean(0) for c, d in pairwise(cells)]
            for a, b in pairwise(cells)
        ]
    )
    assert np.abs(averaged - small).mean() < 8


_DRAWING = {"style": "line", "time": "day", "weather": "cloudy", "position": "left"}


def _on_ink(drawn: int, painted: int) -> float:
    """Which share of one address' scribble lies within 3 pixels of the ink of another's drawing."""
    strokes = scribble(scene(4, drawn, _DRAWING), 4, drawn) > 127
    grey = Image.fromarray(paint(scene(4, painted, _DRAWING), 4, painted)).convert("L")
    ink = np.asarray(grey.filter(ImageFilter.MinFilter(7))) < 96
    return float(ink[strokes].mean())


def test_a_scribble_follows_the_lines_of_its_picture() -> None:
    own = [_on_ink(index, index) for index in range(20)]
    assert min(own) > 0.85
    assert np.mean([_on_ink(index, index + 1) for index in range(20)]) < np.mean(own) - 0.15


def test_a_scribble_is_the_same_at_every_call_and_size_and_white_on_black() -> None:
    for style in STYLES:
        one = scene(4, 1, {"style": style})
        found = scribble(one, 4, 1)
        assert found.dtype == np.uint8
        assert found.shape == (128, 128)
        assert np.array_equal(found, scribble(one, 4, 1))
        assert (found < 32).mean() > 0.6
        assert (found > 223).mean() > 0.01
        large = np.asarray(Image.fromarray(scribble(one, 4, 1, 256)).reduce(2))
        assert np.abs(large.astype(int) - found).mean() < 6


def test_scribbles_are_drawn_with_thin_and_with_thick_brushes() -> None:
    def kept(index: int) -> float:
        strokes = Image.fromarray(scribble(scene(4, index), 4, index)).point(
            lambda v: 255 * (v > 127)
        )
        return float(
            np.asarray(strokes.filter(ImageFilter.MinFilter(3))).mean() / np.asarray(strokes).mean()
        )

    shares = [kept(index) for index in range(30)]
    assert min(shares) < 0.2
    assert max(shares) > 0.35


def test_a_scribble_of_a_blueprint_is_that_of_the_drawing_it_prints() -> None:
    one = scene(4, 3, {"style": "blueprint", "time": "night"})
    drawing = replace(one, style="line", time="day")
    assert np.array_equal(scribble(one, 4, 3), scribble(drawing, 4, 3))
