"""What every item of a canvas paints with: the theme's colours, the fonts, and how much detail the zoom allows."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainterPath, QPen
from PySide6.QtWidgets import QApplication

from studio.graph import Value
from studio.gui.theme import Theme

GRID = 20.0
"""Side of a square of the grid, in scene units (pixels at zoom 1)."""
NEAR_ZOOM = 0.5
"""From here on everything is painted."""
MIDDLE_ZOOM = 0.2
"""From here on titles and sockets are painted; below, only coloured boxes and thumbnails."""
OVERVIEW_ZOOM = 0.12
"""Below this the view paints all nodes in one batch instead of item by item."""
SOCKET_RADIUS = 5.0


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
        self.far_font = QFont(self.title_font)
        self.far_font.setPixelSize(19)
        """Of titles at middle zooms, to be read as long as can be."""
        self.text_metrics = QFontMetricsF(self.text_font)
        self.small_metrics = QFontMetricsF(self.small_font)
        self.far_metrics = QFontMetricsF(self.far_font)
        self.title_metrics = QFontMetricsF(self.title_font)
        self.set_theme(theme)

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
