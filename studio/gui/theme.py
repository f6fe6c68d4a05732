"""Colours, socket shapes and icons: everything that tells dark from light, in one value."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

from PySide6.QtCore import QByteArray, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFontDatabase,
    QFontMetrics,
    QIcon,
    QPainter,
    QPainterPath,
    QPalette,
    QPixmap,
    QPolygonF,
)
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from studio.graph import Value
from studio.resources import resource
from studio.values import (
    Aim,
    Betas,
    Boolean,
    Classifier,
    ClassifierGuidance,
    Conditioning,
    Constant,
    Control,
    ControlNet,
    Controls,
    Dataset,
    Delivered,
    Embedding,
    Guidance,
    Image,
    Integer,
    Inversion,
    Latents,
    Lora,
    LowResolution,
    Mask,
    Masks,
    Model,
    ModelFolder,
    Network,
    NewTextEncoder,
    Noise,
    Number,
    Picture,
    Schedule,
    Sigmas,
    State,
    Text,
    TextEncoder,
    Timeline,
    Trained,
    Vae,
)

Shape = Literal[
    "circle", "square", "diamond", "triangle", "hexagon", "pentagon", "star", "pill", "cross"
]
Hue = Literal["blue", "teal", "neutral", "amber", "pink", "violet", "grey"]
Name = TypeVar("Name", bound=str)

ICON_SIZES = (16, 24, 32, 48)


@dataclass(frozen=True)
class Socket:
    """How a socket of one type looks: its colour, and a shape so that colour alone need not tell."""

    color: QColor
    shape: Shape

    def path(self, radius: float) -> QPainterPath:
        """The outline around (0, 0); all shapes of one ``radius`` look equally large."""
        path = QPainterPath()
        if self.shape == "circle":
            path.addEllipse(QPointF(0, 0), radius, radius)
        elif self.shape == "square":
            side = radius * 0.88
            path.addRect(QRectF(-side, -side, 2 * side, 2 * side))
        elif self.shape == "pill":
            wide, high = radius * 1.2, radius * 0.66
            path.addRoundedRect(QRectF(-wide, -high, 2 * wide, 2 * high), high, high)
        elif self.shape == "cross":
            reach, half = radius * 1.15, radius * 0.45
            path.addRect(QRectF(-reach, -half, 2 * reach, 2 * half))
            path.addRect(QRectF(-half, -reach, 2 * half, 2 * reach))
            path = path.simplified()
        else:
            path.addPolygon(_polygon(self.shape, radius))
            path.closeSubpath()
        return path


def _polygon(shape: Shape, radius: float) -> QPolygonF:
    corners, scale, offset = _POLYGONS[shape]
    is_star = shape == "star"
    count = corners * 2 if is_star else corners
    points = []
    for index in range(count):
        angle = 2 * math.pi * index / count - math.pi / 2 + offset
        reach = radius * scale * (0.5 if is_star and index % 2 else 1.0)
        points.append(QPointF(reach * math.cos(angle), reach * math.sin(angle)))
    return QPolygonF(points)


_POLYGONS: Mapping[Shape, tuple[int, float, float]] = {
    # corners, size relative to the circle, turn; the triangle points along the flow
    "diamond": (4, 1.25, 0.0),
    "triangle": (3, 1.3, math.pi / 2),
    "hexagon": (6, 1.12, 0.0),
    "pentagon": (5, 1.15, 0.0),
    "star": (5, 1.4, 0.0),
}

# The shape says what kind of thing it is: results are circles, models squares, what acts over the run diamonds,
# noise and schedules triangles, plain values pills (as the fields that they fill), what is learned from or has been
# learned pentagons, what else leads a network crosses, the rest hexagons. An item and its timeline share a hue, for
# one fits the other.
_SOCKETS: Mapping[type[Value], tuple[Hue, Shape]] = {
    Latents: ("pink", "circle"),
    Image: ("blue", "circle"),
    Mask: ("neutral", "circle"),
    Embedding: ("amber", "circle"),
    Model: ("violet", "square"),
    TextEncoder: ("amber", "square"),
    Vae: ("neutral", "square"),
    ControlNet: ("teal", "square"),
    Conditioning: ("amber", "diamond"),
    Masks: ("neutral", "diamond"),
    Controls: ("teal", "diamond"),
    Guidance: ("blue", "diamond"),
    Noise: ("neutral", "triangle"),
    Schedule: ("teal", "triangle"),
    Sigmas: ("blue", "triangle"),
    Betas: ("amber", "triangle"),
    Picture: ("blue", "hexagon"),
    Control: ("teal", "hexagon"),
    Lora: ("neutral", "hexagon"),
    State: ("amber", "hexagon"),
    Integer: ("blue", "pill"),
    Number: ("teal", "pill"),
    Text: ("amber", "pill"),
    Boolean: ("neutral", "pill"),
    Dataset: ("violet", "pentagon"),
    Network: ("teal", "pentagon"),
    NewTextEncoder: ("neutral", "pentagon"),
    Trained: ("amber", "pentagon"),
    Inversion: ("grey", "star"),
    Classifier: ("teal", "cross"),
    ClassifierGuidance: ("amber", "cross"),
    LowResolution: ("neutral", "cross"),
    Aim: ("grey", "star"),
    Constant: ("grey", "star"),
    Delivered: ("grey", "star"),
    ModelFolder: ("grey", "star"),
    Value: ("grey", "star"),
    Timeline: ("grey", "star"),
}
_FOREIGN_HUES: tuple[Hue, ...] = ("blue", "teal", "neutral", "amber", "pink", "violet")
_FOREIGN_SHAPE: Shape = "star"


@dataclass(frozen=True)
class Theme:
    """The named colours of the window; made by ``Theme.dark()`` and ``Theme.light()``."""

    name: Literal["dark", "light"]
    window: QColor
    panel: QColor
    """Docks, menus, cards."""
    field: QColor
    """Behind text that can be edited, and lists."""
    button: QColor
    border: QColor
    canvas: QColor
    grid: QColor
    node: QColor
    node_title: QColor
    node_border: QColor
    text: QColor
    text_dim: QColor
    """Units, hints, what is off: still readable on every background."""
    accent: QColor
    """Changed values, progress, focus, links: as text, lines and bars."""
    accent_text: QColor
    """On ``accent`` and on ``selection``."""
    selection: QColor
    """Behind selected rows and text."""
    error: QColor
    warning: QColor
    ok: QColor
    cached: QColor
    running: QColor
    resumes: QColor
    shadow: QColor
    hues: Mapping[Hue, QColor]
    """Of sockets and links."""
    tints: Mapping[str, QColor]
    """Title bars and frames that the user coloured, by the name that the file keeps."""

    @property
    def is_dark(self) -> bool:
        """Whether text is lighter than its background."""
        return self.name == "dark"

    @classmethod
    def dark(cls) -> Theme:
        """Light text on near-black, for long looks at pictures."""
        return cls("dark", **_colors(_DARK), hues=_named(_DARK_HUES), tints=_named(_DARK_TINTS))

    @classmethod
    def light(cls) -> Theme:
        """Dark text on paper."""
        return cls("light", **_colors(_LIGHT), hues=_named(_LIGHT_HUES), tints=_named(_LIGHT_TINTS))

    def socket(self, of: type[Value]) -> Socket:
        """The look of a socket type; types of other packs get one by their name, the same at every start."""
        known = _SOCKETS.get(of)
        if known is None:
            digest = hashlib.blake2b(of.__name__.encode(), digest_size=1).digest()
            hue = _FOREIGN_HUES[digest[0] % len(_FOREIGN_HUES)]
            return Socket(self.hues[hue], _FOREIGN_SHAPE)
        return Socket(self.hues[known[0]], known[1])

    def palette(self) -> QPalette:
        """The colours as Qt's widgets take them."""
        roles = {
            QPalette.ColorRole.Window: self.panel,
            QPalette.ColorRole.WindowText: self.text,
            QPalette.ColorRole.Base: self.field,
            QPalette.ColorRole.AlternateBase: self.panel,
            QPalette.ColorRole.ToolTipBase: self.panel,
            QPalette.ColorRole.ToolTipText: self.text,
            QPalette.ColorRole.PlaceholderText: self.text_dim,
            QPalette.ColorRole.Text: self.text,
            QPalette.ColorRole.Button: self.button,
            QPalette.ColorRole.ButtonText: self.text,
            QPalette.ColorRole.BrightText: self.error,
            QPalette.ColorRole.Highlight: self.selection,
            QPalette.ColorRole.HighlightedText: self.accent_text,
            QPalette.ColorRole.Accent: self.selection,
            QPalette.ColorRole.Link: self.accent,
            QPalette.ColorRole.LinkVisited: self.accent,
            QPalette.ColorRole.Light: self.button.lighter(120),
            QPalette.ColorRole.Midlight: self.button.lighter(110),
            QPalette.ColorRole.Mid: self.border,
            QPalette.ColorRole.Dark: self.border,
            QPalette.ColorRole.Shadow: self.shadow,
        }
        palette = QPalette()
        for role, color in roles.items():
            palette.setColor(role, color)
        for role in (
            QPalette.ColorRole.WindowText,
            QPalette.ColorRole.Text,
            QPalette.ColorRole.ButtonText,
        ):
            palette.setColor(QPalette.ColorGroup.Disabled, role, self.text_dim)
        palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Highlight, self.border)
        return palette


def _colors(values: Mapping[str, str]) -> dict[str, QColor]:
    return {name: QColor(value) for name, value in values.items()}


def _named(values: Mapping[Name, str]) -> Mapping[Name, QColor]:
    return {name: QColor(value) for name, value in values.items()}


_DARK: Mapping[str, str] = {
    "window": "#1c1f23",
    "panel": "#24272c",
    "field": "#191b1f",
    "button": "#33383f",
    "border": "#454b54",
    "canvas": "#17191c",
    "grid": "#24272b",
    "node": "#2a2e34",
    "node_title": "#363c45",
    "node_border": "#0f1113",
    "text": "#e8eaed",
    "text_dim": "#a9b0ba",
    "accent": "#6cb2ff",
    "accent_text": "#ffffff",
    "selection": "#1f62b5",
    "error": "#ff8a80",
    "warning": "#ffc45c",
    "ok": "#7ddc9a",
    "cached": "#7ddc9a",
    "running": "#6cb2ff",
    "resumes": "#c9a6ff",
    "shadow": "#000000",
}
_LIGHT: Mapping[str, str] = {
    "window": "#eceef1",
    "panel": "#f6f7f9",
    "field": "#ffffff",
    "button": "#e6e9ed",
    "border": "#b9c0ca",
    "canvas": "#dfe3e8",
    "grid": "#d0d5dc",
    "node": "#fbfcfd",
    "node_title": "#e3e8ee",
    "node_border": "#8f98a5",
    "text": "#1b1e22",
    "text_dim": "#4d5661",
    "accent": "#0a54ab",
    "accent_text": "#ffffff",
    "selection": "#1560bd",
    "error": "#ab1b12",
    "warning": "#734c00",
    "ok": "#0f602f",
    "cached": "#0f602f",
    "running": "#0a54ab",
    "resumes": "#6026b0",
    "shadow": "#5b6470",
}
_DARK_HUES: Mapping[Hue, str] = {
    "blue": "#4da3ff",
    "teal": "#4fd1bd",
    "neutral": "#f2f2f2",
    "amber": "#ffb547",
    "pink": "#ff7fbe",
    "violet": "#b78bff",
    "grey": "#98a1ae",
}
_LIGHT_HUES: Mapping[Hue, str] = {
    "blue": "#0b63ce",
    "teal": "#008573",
    "neutral": "#2b2f36",
    "amber": "#9a6700",
    "pink": "#c02b7a",
    "violet": "#7c3aed",
    "grey": "#6a7380",
}
_DARK_TINTS: Mapping[str, str] = {
    "red": "#6b2f2c",
    "orange": "#6b4420",
    "yellow": "#5a4d15",
    "green": "#2a5236",
    "teal": "#1e5152",
    "blue": "#28487a",
    "purple": "#4e3a75",
    "grey": "#4a5058",
}
_LIGHT_TINTS: Mapping[str, str] = {
    "red": "#f4c9c4",
    "orange": "#f6d5b5",
    "yellow": "#f1e3a4",
    "green": "#c6e7cd",
    "teal": "#bfe5e2",
    "blue": "#c6dcf7",
    "purple": "#ddd0f5",
    "grey": "#d3d8de",
}


def apply(app: QApplication, theme: Theme, scale: float = 1.0) -> None:
    """Dress the application: Fusion, the palette, a little style sheet, and the system's font times ``scale``."""
    app.setStyle("Fusion")
    app.setPalette(theme.palette())
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    if font.pointSizeF() > 0:
        font.setPointSizeF(font.pointSizeF() * scale)
    app.setFont(font)
    names = {
        field.name: color.name()
        for field in fields(theme)
        if isinstance(color := getattr(theme, field.name), QColor)
    }
    side = max(13, round(QFontMetrics(font).height() * 0.85))
    images = {name: resource("theme", f"{name}.svg").as_posix() for name in ("checked", "partial")}
    app.setStyleSheet(_SHEET.format(**names, **images, side=side))


# Fusion's outlines are darker than the window, which is nothing to see on a dark one. No border on spin and combo
# boxes: that would take their arrows away.
_SHEET = """
QToolTip {{ color: {text}; background: {panel}; border: 1px solid {border}; padding: 4px; }}
QMainWindow, QMainWindow::separator {{ background: {window}; }}
QToolBar {{ border: none; spacing: 2px; padding: 3px 6px; }}
QToolBar QToolButton {{ border: 1px solid transparent; border-radius: 4px; padding: 4px 7px; }}
QToolBar QToolButton:hover {{ background: {button}; }}
QToolBar QToolButton:pressed {{ background: {border}; }}
QToolBar QToolButton:checked {{ background: {button}; border-color: {accent}; }}
QToolBar QToolButton:focus {{ border-color: {accent}; }}
QToolBar QToolButton[role="primary"]:enabled, QPushButton[role="primary"] {{
    background: {selection}; color: {accent_text}; border: 1px solid {selection}; border-radius: 4px; font-weight: 600;
}}
QToolBar QToolButton[role="primary"] {{ padding: 4px 14px 4px 10px; }}
QToolBar QToolButton[role="primary"]:hover:enabled, QPushButton[role="primary"]:hover {{ border-color: {accent}; }}
QPushButton[role="primary"]:focus {{ border: 2px solid {accent}; }}
QPushButton[role="drop"] {{
    background: transparent; color: {text_dim}; border: 1px dashed {text_dim}; border-radius: 6px;
}}
QPushButton[role="drop"]:hover, QPushButton[role="drop"]:focus {{ border-color: {accent}; color: {text}; }}
QPushButton[role="drop"][isOver="true"] {{ border: 2px dashed {accent}; color: {text}; background: {button}; }}
QDockWidget {{ font-weight: 600; }}
QDockWidget::title {{ background: {window}; padding: 5px 8px; text-align: left; }}
QLabel[role="title"] {{ font-weight: 600; }}
QLabel[role="dim"] {{ color: {text_dim}; }}
QLabel[role="error"] {{ color: {error}; }}
QLineEdit, QPlainTextEdit {{
    background: {field}; border: 1px solid {border}; border-radius: 3px; padding: 2px 3px;
    selection-background-color: {selection}; selection-color: {accent_text};
}}
QLineEdit:focus, QPlainTextEdit:focus {{ border-color: {accent}; }}
QLineEdit:disabled {{ background: {panel}; }}
QComboBox QLineEdit, QAbstractSpinBox QLineEdit {{ border: none; padding: 0; }}
QCheckBox::indicator {{
    width: {side}px; height: {side}px; border: 1px solid {text_dim}; border-radius: 3px; background: {field};
}}
QCheckBox::indicator:focus {{ border: 2px solid {accent}; }}
QCheckBox::indicator:checked {{ background: {selection}; image: url("{checked}"); }}
QCheckBox::indicator:indeterminate {{ background: {selection}; image: url("{partial}"); }}
QCheckBox::indicator:disabled {{ border-color: {border}; }}
"""


def icon(name: str, theme: Theme) -> QIcon:
    """One of the icons in ``resources/icons``, in the theme's text colour; dimmed where it is disabled.

    Raises FileNotFoundError if there is none of that name.
    """
    drawing = resource("icons", f"{name}.svg").read_text(encoding="utf-8")
    found = QIcon()
    for mode, color in (
        (QIcon.Mode.Normal, theme.text),
        (QIcon.Mode.Selected, theme.accent_text),
        (QIcon.Mode.Disabled, _between(theme.border, theme.text_dim)),
    ):
        colored = drawing.replace("currentColor", color.name())
        renderer = QSvgRenderer(QByteArray(colored.encode()))
        for size in ICON_SIZES:
            pixmap = QPixmap(size, size)
            pixmap.fill(Qt.GlobalColor.transparent)
            painter = QPainter(pixmap)
            renderer.render(painter)
            painter.end()
            found.addPixmap(pixmap, mode)
    return found


def _between(one: QColor, other: QColor) -> QColor:
    return QColor(
        (one.red() + other.red()) // 2,
        (one.green() + other.green()) // 2,
        (one.blue() + other.blue()) // 2,
    )
