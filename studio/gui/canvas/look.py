"""What every item of a canvas paints with: the theme's colours, the fonts, and how much detail the zoom allows."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainterPath, QPen
from PySide6.QtWidgets import QApplication

from studio.graph import Value
from studio.gui.theme import Theme

GRID = 20.0
"""Side of a square of the grid, in scene units (pixels at zoom 1)."""
NEAR_ZOOM = 0.55
"""From here on everything is painted; below, the letters of parameters would be too small to read."""
MIDDLE_ZOOM = 0.2
"""From here on titles and sockets are painted; below, only coloured boxes and thumbnails."""
OVERVIEW_ZOOM = 0.12
"""Below this the view paints all nodes in one batch instead of item by item."""
SOCKET_RADIUS = 5.0
FAR_SIZES = (20, 24, 30)
"""Of titles at middle zooms, in scene units."""
FAR_PIXELS = 10.0
"""How tall their letters should be on the screen at least."""


class Detail(IntEnum):
    """How much of a node is painted."""

    FAR = 0
    MIDDLE = 1
    NEAR = 2

    @classmethod
    def at(cls, zoom: float) -> Detail:
        """The detail for a zoom factor."""
        # zooming out and in again by factors may end a rounding error short of the limit
        if zoom >= NEAR_ZOOM - 1e-6:
            return cls.NEAR
        return cls.MIDDLE if zoom >= MIDDLE_ZOOM - 1e-6 else cls.FAR


class Look:
    """Shared by the items of one canvas; only the canvas changes it."""

    def __init__(self, theme: Theme) -> None:
        self.detail = Detail.NEAR
        self.text_font = QFont(QApplication.font())
        # in scene units, so that nodes are laid out alike on every screen
        self.text_font.setPixelSize(12)
        self.small_font = QFont(self.text_font)
        self.small_font.setPixelSize(11)
        self.title_font = QFont(self.text_font)
        self.title_font.setBold(True)
        self._far_fonts = {size: QFont(self.title_font) for size in FAR_SIZES}
        for size, font in self._far_fonts.items():
            font.setPixelSize(size)
        self._far_metrics = {size: QFontMetricsF(font) for size, font in self._far_fonts.items()}
        self.text_metrics = QFontMetricsF(self.text_font)
        self.small_metrics = QFontMetricsF(self.small_font)
        self.title_metrics = QFontMetricsF(self.title_font)
        self.set_theme(theme)

    def far_font(self, zoom: float, room: float) -> tuple[QFont, QFontMetricsF]:
        """The font of titles at middle zooms: the further away, the larger in the scene, within a height."""
        fitting = [size for size in FAR_SIZES if size <= room * 0.8] or [FAR_SIZES[0]]
        size = next((one for one in fitting if one * zoom >= FAR_PIXELS), fitting[-1])
        return self._far_fonts[size], self._far_metrics[size]

    def set_theme(self, theme: Theme) -> None:
        """Take other colours; what was painted before must be painted again."""
        self.theme = theme
        self.dim = QColor(theme.text_dim)
        self._sockets: dict[type[Value], tuple[QColor, QPainterPath]] = {}
        self._pens: dict[tuple[type[Value], bool], QPen] = {}

    def socket(self, of: type[Value]) -> tuple[QColor, QPainterPath]:
        """Colour and outline (around 0, 0) of the sockets of a type."""
        found = self._sockets.get(of)
        if found is None:
            socket = self.theme.socket(of)
            found = self._sockets[of] = (socket.color, socket.path(SOCKET_RADIUS))
        return found

    def link_pen(self, of: type[Value], *, is_dim: bool = False) -> QPen:
        """The pen of links of a type; paler where nothing flows."""
        found = self._pens.get((of, is_dim))
        if found is None:
            color = QColor(self.socket(of)[0])
            color.setAlphaF(0.35 if is_dim else 0.9)
            found = self._pens[of, is_dim] = QPen(color, 2.0)
        return found
