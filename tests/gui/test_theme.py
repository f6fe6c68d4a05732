"""Colours that can be read, sockets that can be told apart, icons that are there."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QIcon, QImage
from PySide6.QtWidgets import QApplication

from studio import values
from studio.graph import Value
from studio.gui import theme as theme_module
from studio.gui.theme import Shape, Socket, Theme, apply, icon
from studio.resources import resource

THEMES = [Theme.dark(), Theme.light()]
BY_NAME = pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
SOCKETS = [
    found for found in vars(values).values() if isinstance(found, type) and issubclass(found, Value)
]
ICONS = sorted(path.stem for path in resource("icons").glob("*.svg"))

# Viénot, Brettel and Mollon 1999, "Digital video colourmaps for checking the legibility of displays by
# dichromats", in linear RGB
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
TRICHROMACY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
Matrix = tuple[tuple[float, float, float], ...]


def linear(color: QColor) -> tuple[float, ...]:
    """Linear RGB, by the transfer function of sRGB (IEC 61966-2-1)."""
    return tuple(
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (color.redF(), color.greenF(), color.blueF())
    )


def luminance(color: QColor) -> float:
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: QColor, other: QColor) -> float:
    """The contrast ratio of WCAG 2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def lab(color: QColor, seen: Matrix) -> tuple[float, float, float]:
    """CIELAB (D65) of a colour as seen through a simulation."""
    rgb = linear(color)
    red, green, blue = (
        min(max(sum(a * b for a, b in zip(row, rgb, strict=True)), 0.0), 1.0) for row in seen
    )
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
    )
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_the_ruler_measures_black_on_white_as_21_to_1() -> None:
    # the largest ratio there is, by WCAG 2's own definition
    assert contrast(QColor("black"), QColor("white")) == pytest.approx(21.0)
    assert contrast(QColor("#777777"), QColor("white")) == pytest.approx(4.48, abs=0.01)


@BY_NAME
def test_every_text_colour_can_be_read_on_every_background(theme: Theme) -> None:
    texts = ("text", "text_dim", "accent", "error", "warning", "ok", "cached", "running", "resumes")
    backgrounds = ("window", "panel", "field", "canvas", "node")
    ratios = {
        (text, background): contrast(getattr(theme, text), getattr(theme, background))
        for text in texts
        for background in backgrounds
    }
    ratios["text", "node_title"] = contrast(theme.text, theme.node_title)
    ratios["text_dim", "node_title"] = contrast(theme.text_dim, theme.node_title)
    ratios["text", "button"] = contrast(theme.text, theme.button)
    ratios["accent_text", "selection"] = contrast(theme.accent_text, theme.selection)
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


@BY_NAME
def test_the_title_of_a_coloured_node_can_be_read(theme: Theme) -> None:
    assert len(theme.tints) == 8
    assert [n for n, tint in theme.tints.items() if contrast(theme.text, tint) < 4.5] == []


@BY_NAME
def test_the_palette_keeps_the_contrast_of_the_theme(theme: Theme) -> None:
    palette = theme.palette()
    role = palette.ColorRole
    pairs = [
        (role.WindowText, role.Window),
        (role.Text, role.Base),
        (role.Text, role.AlternateBase),
        (role.ButtonText, role.Button),
        (role.ToolTipText, role.ToolTipBase),
        (role.HighlightedText, role.Highlight),
        (role.PlaceholderText, role.Base),
        (role.Link, role.Window),
    ]
    poor = [
        pair for pair in pairs if contrast(palette.color(pair[0]), palette.color(pair[1])) < 4.5
    ]
    assert poor == []


@BY_NAME
def test_every_socket_stands_out_from_the_node(theme: Theme) -> None:
    # 3:1 is what WCAG 2.1 (1.4.11) asks of what is no text
    poor = [of for of in SOCKETS if contrast(theme.socket(of).color, theme.node) < 3.0]
    assert poor == []


@BY_NAME
@pytest.mark.parametrize(
    "seen", [TRICHROMACY, PROTANOPIA, DEUTERANOPIA], ids=["all cones", "no red", "no green"]
)
def test_sockets_of_one_shape_differ_in_colour_also_without_red_or_green_cones(
    theme: Theme, seen: Matrix
) -> None:
    # those that stand for several, or that no node takes, look like any value
    plain = (
        values.Timeline,
        values.Aim,
        values.Constant,
        values.Delivered,
        values.Inversion,
        values.ModelFolder,
    )
    types = [of for of in SOCKETS if of not in plain]
    alike = []
    for one, other in itertools.combinations(types, 2):
        first, second = theme.socket(one), theme.socket(other)
        distance = math.dist(lab(first.color, seen), lab(second.color, seen))
        # a difference of 10 is seen at a glance; one of 2.3 is just noticed (Mahy et al. 1994)
        if first.shape == second.shape and distance < 10:
            alike.append((one.__name__, other.__name__, round(distance, 1)))
    assert alike == []


@BY_NAME
def test_an_item_has_the_hue_of_its_timeline(theme: Theme) -> None:
    for timeline in (values.Conditioning, values.Masks, values.Controls):
        assert theme.socket(timeline).color == theme.socket(timeline.item).color
        assert theme.socket(timeline).shape != theme.socket(timeline.item).shape


def test_a_type_of_another_pack_has_a_look_that_no_core_type_has() -> None:
    class Depth(Value):
        pass

    theme = Theme.dark()
    look = theme.socket(Depth)
    known = {(s.color.name(), s.shape) for s in map(theme.socket, SOCKETS)}
    assert (look.color.name(), look.shape) not in known


def test_a_type_of_another_pack_looks_the_same_at_every_start() -> None:
    script = (
        "from studio.graph import Value; from studio.gui.theme import Theme\n"
        "looks = [Theme.dark().socket(type(n, (Value,), {})) for n in ('Depth', 'Audio', 'Mesh')]\n"
        "print([(look.color.name(), look.shape) for look in looks])"
    )
    # two processes, whose salted hash() differs
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin", "QT_QPA_PLATFORM": "offscreen"},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_every_shape_is_about_as_large_as_the_circle() -> None:
    shapes: set[Shape] = {Theme.dark().socket(of).shape for of in SOCKETS}
    shapes.add("pentagon")
    color = QColor("white")
    sizes = {shape: Socket(color, shape).path(10).boundingRect() for shape in shapes}
    assert len(sizes) == 9
    for rect in sizes.values():
        assert 17 <= max(rect.width(), rect.height()) <= 28


@pytest.mark.parametrize("name", ICONS)
def test_an_icon_is_drawn_for_both_themes(qapp: QApplication, name: str) -> None:
    drawing = resource("icons", f"{name}.svg").read_text()
    assert 'viewBox="0 0 16 16"' in drawing
    assert 'stroke="currentColor"' in drawing
    assert set(re.findall(r'stroke-width="([^"]+)"', drawing)) == {"1.5"}
    for theme in THEMES:
        image = icon(name, theme).pixmap(QSize(16, 16)).toImage()
        strongest = max(
            (image.pixelColor(x, y) for x in range(16) for y in range(16)), key=QColor.alpha
        )
        assert strongest.alpha() > 180
        assert contrast(strongest, theme.panel) > 4.5


def test_the_icons_that_the_window_asks_for_are_there() -> None:
    asked = {
        name
        for path in Path(theme_module.__file__).parent.rglob("*.py")
        for name in re.findall(r"""\bicon\(\s*["'](\w+)["']""", path.read_text(encoding="utf-8"))
    }
    assert "dice" in asked
    assert asked - set(ICONS) == set()


def test_a_disabled_icon_is_dimmer(qapp: QApplication) -> None:
    found = icon("ok", Theme.dark())

    def brightest(mode: QIcon.Mode) -> float:
        image: QImage = found.pixmap(QSize(16, 16), mode).toImage()
        return max(luminance(image.pixelColor(x, y)) for x in range(16) for y in range(16))

    assert brightest(QIcon.Mode.Disabled) < brightest(QIcon.Mode.Normal) / 2


def test_applying_a_theme_again_does_not_let_the_font_grow(qapp: QApplication) -> None:
    font, palette, style = qapp.font(), qapp.palette(), qapp.styleSheet()
    try:
        apply(qapp, Theme.light(), 1.5)
        first = qapp.font().pointSizeF()
        apply(qapp, Theme.dark(), 1.5)
        assert qapp.font().pointSizeF() == first
        apply(qapp, Theme.dark())
        assert first == pytest.approx(1.5 * qapp.font().pointSizeF())
        assert qapp.palette().window().color() == Theme.dark().panel
    finally:
        qapp.setFont(font)
        qapp.setPalette(palette)
        qapp.setStyleSheet(style)
