"""The plane on which pictures are shown: camera, painting, and the gestures of the mouse."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QCursor,
    QEnterEvent,
    QFont,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from studio.gui.keys.focus_keys import FocusKeys
from studio.gui.states import Failure
from studio.gui.theme import Theme

Slot = Literal["A", "B"]
Arrangement = Literal["single", "wipe", "side", "difference"]

MAX_ZOOM = 32.0
MIN_ZOOM = 1 / 64
CRISP_ABOVE = 1.0
"""Zoom beyond which pixels are squares, unless the picture is fitted into its place; up to it they are interpolated."""
_CHECKER_PX = 8
_GRIP_PX = 7
_CARD_PX = 460


@dataclass(frozen=True)
class Shown:
    """A picture in a slot."""

    image: QImage
    caption: str = ""
    path: Path | None = None
    """The file that it came from; None: it is only in memory."""
    size: QSize | None = None
    """Of the picture that the image is a small preview of, in pixels; None: the image's own."""

    @property
    def extent(self) -> QSize:
        """The size in pixels that the picture has in the plane."""
        return self.size if self.size is not None else self.image.size()


@dataclass(frozen=True)
class Camera:
    """What part of a picture is seen."""

    zoom: float = 1.0
    """Device pixels a picture's pixel."""
    x: float = 0.0
    """The picture's column in the middle of the pane, in pixels."""
    y: float = 0.0
    is_fitted: bool = True
    """The whole picture is in the pane and stays there when the pane or the picture changes."""


class Gesture(Protocol):
    """What the mouse does from press to release; positions in the surface's coordinates."""

    def move(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        """The mouse moved."""

    def end(self) -> None:
        """The button was released."""

    def cancel(self) -> None:
        """Escape, or the window went away: as if nothing had happened."""


class Tool(Protocol):
    """A mode in which the left button does something else than pan."""

    @property
    def keys(self) -> FocusKeys:
        """Keys that count while the tool is on, before the viewer's."""

    def press(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> Gesture | None:
        """The left button was pressed on the surface."""

    def hover(self, position: QPointF | None) -> None:
        """The mouse is there, or has left."""

    def paint(self, painter: QPainter, area: QRectF) -> None:
        """Paint over the picture, which fills ``area``; in the surface's coordinates."""


class _Pan:
    def __init__(self, surface: Surface, start: QPointF) -> None:
        self._surface = surface
        self._start = start
        self._camera = surface.camera
        surface.setCursor(Qt.CursorShape.ClosedHandCursor)

    def move(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        moved = (self._start - position) / self._surface.scale
        x, y = self._camera.x + moved.x(), self._camera.y + moved.y()
        self._surface.look(replace(self._camera, x=x, y=y, is_fitted=False))

    def end(self) -> None:
        self._surface.refresh_cursor()

    def cancel(self) -> None:
        self._surface.look(self._camera)
        self._surface.refresh_cursor()


class _Divide:
    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._before = surface.divider

    def move(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        self._surface.set_divider(position.x() / max(1, self._surface.width()))

    def end(self) -> None:
        self._surface.refresh_cursor()

    def cancel(self) -> None:
        self._surface.set_divider(self._before)


class _DragOut:
    def __init__(self, surface: Surface, start: QPointF) -> None:
        self._surface = surface
        self._start = start

    def move(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        if (position - self._start).manhattanLength() >= QApplication.startDragDistance():
            self._surface.forget_gesture()
            self._surface.dragged_out.emit()

    def end(self) -> None:
        pass

    def cancel(self) -> None:
        pass


class Surface(QWidget):
    """Shows slot A, slot B or both; knows nothing of files, workflows or runs."""

    camera_changed = Signal()
    hovered = Signal(object)
    """QPointF in picture pixels, or None outside."""
    dragged_out = Signal()
    _tool: Tool | None = None  # Qt sends events before the object is built

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._slots: dict[Slot, Shown] = {}
        self._reduced: dict[tuple[int, int], QImage] = {}
        self._difference: tuple[tuple[int, int, int], QImage] | None = None
        self._gesture: Gesture | None = None
        self._is_space_down = False
        self.camera = Camera()
        self.arrangement: Arrangement = "single"
        self.front: Slot = "A"
        self.divider = 0.5
        """Where the wipe divides, as a share of the surface's width."""
        self.gain = 8
        """How much differences are amplified."""
        self.failure: Failure | None = None
        self.empty_text = self.tr("Press Ctrl+Enter to run")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(120, 90)
        self.setAccessibleName(self.tr("Picture"))
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def sizeHint(self) -> QSize:
        """A size at which it is usable."""
        return QSize(380, 320)

    # --- what is shown

    def slot(self, slot: Slot) -> Shown | None:
        """What a slot holds."""
        return self._slots.get(slot)

    def put(self, slot: Slot, shown: Shown | None) -> None:
        """Fill or empty a slot; the view stays where it was if the picture has the size of the last one."""
        before = self.extent
        if shown is None:
            self._slots.pop(slot, None)
        else:
            self._slots[slot] = shown
        kept = {held.image.cacheKey() for held in self._slots.values()}
        self._reduced = {key: image for key, image in self._reduced.items() if key[0] in kept}
        if len(self._slots) < 2:
            self.arrangement = "single"
            if self.front not in self._slots:
                self.front = "B" if self.front == "A" and self._slots else "A"
        self._settle(before)

    def set_theme(self, theme: Theme) -> None:
        """Paint in other colours."""
        self._theme = theme
        self.update()

    def arrange(self, arrangement: Arrangement) -> None:
        """Compare the two slots, or stop comparing."""
        before = self.extent
        self.arrangement = arrangement if len(self._slots) == 2 else "single"
        self._settle(before)

    def bring(self, slot: Slot) -> None:
        """Show a slot by itself."""
        before = self.extent
        self.front = slot
        self.arrangement = "single"
        self._settle(before)

    def _settle(self, before: QSize) -> None:
        if self.camera.is_fitted:
            self.fit()
        elif before != self.extent and not before.isEmpty() and not self.extent.isEmpty():
            x = self.camera.x * self.extent.width() / before.width()
            y = self.camera.y * self.extent.height() / before.height()
            self.look(replace(self.camera, x=x, y=y))
        self.refresh_cursor()
        self.camera_changed.emit()
        self.update()

    @property
    def extent(self) -> QSize:
        """Pixels of the picture that the plane is measured in: the front one, or A while comparing."""
        shown = self._slots.get(self.front if self.arrangement == "single" else "A")
        return shown.extent if shown else QSize()

    # --- camera

    @property
    def scale(self) -> float:
        """Widget pixels a picture's pixel."""
        return self.camera.zoom / self.devicePixelRatioF()

    def look(self, camera: Camera) -> None:
        """Show another part; some of the picture always stays in sight."""
        zoom = min(MAX_ZOOM, max(MIN_ZOOM, camera.zoom))
        x = min(max(camera.x, 0.0), float(self.extent.width()))
        y = min(max(camera.y, 0.0), float(self.extent.height()))
        self.camera = replace(camera, zoom=zoom, x=x, y=y)
        self.camera_changed.emit()
        self.update()

    def fit(self) -> None:
        """Show the whole picture, as large as it can be."""
        size, pane = self.extent, self.panes()[0][1]
        if size.isEmpty():
            self.look(Camera())
            return
        zoom = min(pane.width() / size.width(), pane.height() / size.height())
        zoom *= self.devicePixelRatioF()
        self.look(Camera(zoom, size.width() / 2, size.height() / 2))

    def zoom_to(self, zoom: float, at: QPointF | None = None) -> None:
        """Zoom, so that what is under ``at`` (None: in the middle of the pane) stays there."""
        zoom = min(MAX_ZOOM, max(MIN_ZOOM, zoom))
        pane = self._pane_at(at)[1] if at is not None else self.panes()[0][1]
        offset = (at if at is not None else pane.center()) - pane.center()
        under_x = self.camera.x + offset.x() / self.scale
        under_y = self.camera.y + offset.y() / self.scale
        scale = zoom / self.devicePixelRatioF()
        x, y = under_x - offset.x() / scale, under_y - offset.y() / scale
        self.look(Camera(zoom, x, y, is_fitted=False))

    def panes(self) -> list[tuple[Slot, QRectF]]:
        """The parts of the surface and the slot that each shows; both whole while wiping."""
        whole = QRectF(self.rect())
        if self.arrangement == "side":
            half = (whole.width() - 1) / 2
            right = QRectF(half + 1, 0, half, whole.height())
            return [("A", QRectF(0, 0, half, whole.height())), ("B", right)]
        if self.arrangement == "wipe":
            return [("A", whole), ("B", whole)]
        return [(self.front if self.arrangement == "single" else "A", whole)]

    def _pane_at(self, position: QPointF) -> tuple[Slot, QRectF]:
        panes = self.panes()
        if len(panes) == 1:
            return panes[0]
        edge = self._divider_x if self.arrangement == "wipe" else panes[1][1].left()
        return panes[position.x() >= edge]

    @property
    def _divider_x(self) -> float:
        return round(self.divider * self.width())

    def set_divider(self, share: float) -> None:
        """Move the line between A and B."""
        self.divider = min(1.0, max(0.0, share))
        self.update()

    def area(self, pane: QRectF | None = None) -> QRectF:
        """Where the whole picture lies, in widget pixels, on device pixels."""
        pane = pane if pane is not None else self.panes()[0][1]
        ratio = self.devicePixelRatioF()
        left = pane.center().x() - self.camera.x * self.scale
        top = pane.center().y() - self.camera.y * self.scale
        corner = QPointF(round(left * ratio) / ratio, round(top * ratio) / ratio)
        return QRectF(corner.x(), corner.y(), *(side * self.scale for side in self._sides()))

    def _sides(self) -> tuple[int, int]:
        return max(0, self.extent.width()), max(0, self.extent.height())

    def to_picture(self, position: QPointF) -> QPointF:
        """Widget pixels to picture pixels (0, 0 is the corner of the first)."""
        corner = self.area(self._pane_at(position)[1]).topLeft()
        return (position - corner) / self.scale

    def to_widget(self, point: QPointF) -> QPointF:
        """Picture pixels to widget pixels, in the first pane."""
        return self.area().topLeft() + point * self.scale

    def slot_at(self, position: QPointF) -> Slot:
        """The slot that is shown at a place."""
        return self._pane_at(position)[0]

    # --- tool and gestures

    @property
    def tool(self) -> Tool | None:
        """The tool that has the left button."""
        return self._tool

    def set_tool(self, tool: Tool | None) -> None:
        """Give the left button to a tool, or back to panning."""
        self.cancel_gesture()
        if self._tool is not None:
            self._tool.hover(None)
        self._tool = tool
        self.refresh_cursor()
        self.update()

    def forget_gesture(self) -> None:
        """Let go of a gesture without ending it."""
        self._gesture = None

    def cancel_gesture(self) -> bool:
        """Undo what a gesture has done so far; True if there was one."""
        gesture, self._gesture = self._gesture, None
        if gesture is not None:
            gesture.cancel()
        return gesture is not None

    def refresh_cursor(self) -> None:
        """Show the cursor of what a press would do now."""
        position = QPointF(self.mapFromGlobal(QCursor.pos()))
        if not self._slots:
            self.unsetCursor()
        elif self._is_on_divider(position):
            self.setCursor(Qt.CursorShape.SplitHCursor)
        elif self._tool is not None and not self._is_space_down:
            self.setCursor(Qt.CursorShape.CrossCursor)
        else:
            self.setCursor(Qt.CursorShape.OpenHandCursor)

    def _is_on_divider(self, position: QPointF) -> bool:
        return self.arrangement == "wipe" and abs(position.x() - self._divider_x) <= _GRIP_PX

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        if self._tool is not None and self._tool.keys.handle(event):
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys."""
        if event.key() == Qt.Key.Key_Escape and self.cancel_gesture():
            return
        if event.key() == Qt.Key.Key_Space and self._slots:
            self._is_space_down = True
            self.refresh_cursor()
            return
        super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Keys let go."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._is_space_down = False
            self.refresh_cursor()
            return
        super().keyReleaseEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a gesture."""
        if self._gesture is not None or not self._slots:
            return
        self._gesture = self._begin(event)

    def _begin(self, event: QMouseEvent) -> Gesture | None:
        position = event.position()
        if event.button() == Qt.MouseButton.MiddleButton:
            return _Pan(self, position)
        if event.button() != Qt.MouseButton.LeftButton:
            return None
        if self._is_space_down:
            return _Pan(self, position)
        if self._tool is not None:
            return self._tool.press(position, event.modifiers())
        if self._is_on_divider(position):
            return _Divide(self)
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return _DragOut(self, position)
        return _Pan(self, position)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a gesture."""
        position = event.position()
        if self._gesture is not None:
            self._gesture.move(position, event.modifiers())
        elif self.arrangement == "wipe":
            self.refresh_cursor()
        self._hover(position)

    def _hover(self, position: QPointF) -> None:
        if self._tool is not None:
            self._tool.hover(position)
        point = self.to_picture(position)
        inside = QRectF(0, 0, *self._sides()).contains(point) and bool(self._slots)
        self.hovered.emit(position if inside else None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a gesture."""
        gesture, self._gesture = self._gesture, None
        if gesture is not None:
            gesture.end()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """A second press in short time."""
        if self._tool is not None or event.button() != Qt.MouseButton.LeftButton:
            self.mousePressEvent(event)
        elif self.camera.is_fitted:
            self.zoom_to(1.0, event.position())
        else:
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the cursor."""
        notches = event.angleDelta().y() / 120
        if notches and self._slots:
            self.zoom_to(self.camera.zoom * 2 ** (notches / 2), event.position())
            self._hover(event.position())
        event.accept()

    def enterEvent(self, event: QEnterEvent) -> None:
        """The mouse came."""
        self.refresh_cursor()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """The mouse left."""
        if self._tool is not None:
            self._tool.hover(None)
        self.hovered.emit(None)
        super().leaveEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit into the new size."""
        super().resizeEvent(event)
        if self.camera.is_fitted:
            self.fit()

    # --- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint."""
        painter = QPainter(self)
        painter.fillRect(event.rect(), self._theme.canvas)
        if self.arrangement == "wipe":
            self._paint_wipe(painter)
        elif self.arrangement == "difference":
            self._paint(painter, Shown(self.difference()), QRectF(self.rect()))
        else:
            for slot, pane in self.panes():
                if slot in self._slots:
                    painter.setClipRect(pane)
                    self._paint(painter, self._slots[slot], pane)
                    painter.setClipping(False)
        if self.arrangement == "side":
            edge = self.panes()[1][1].left() - 1
            painter.fillRect(QRectF(edge, 0, 1, self.height()), self._theme.border)
            self._label(painter, "A", left=0.0)
            self._label(painter, "B", right=float(self.width()))
        if self._tool is not None and self._slots:
            self._tool.paint(painter, self.area())
        if self.failure is not None:
            self._paint_failure(painter, self.failure)
        elif not self._slots:
            painter.setPen(self._theme.text_dim)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(16, 16, -16, -16), flags, self.empty_text)
        if self.hasFocus():
            painter.setPen(QPen(self._theme.accent, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _paint_wipe(self, painter: QPainter) -> None:
        x = self._divider_x
        for slot, left, right in (("A", 0.0, x), ("B", x, float(self.width()))):
            shown = self._slots["A" if slot == "A" else "B"]
            painter.setClipRect(QRectF(left, 0, right - left, self.height()))
            self._paint(painter, shown, QRectF(self.rect()))
            painter.setClipping(False)
        # light on dark on light, so that the line shows on every picture
        painter.fillRect(QRectF(x - 1.5, 0, 3, self.height()), QColor(0, 0, 0, 150))
        painter.fillRect(QRectF(x - 0.5, 0, 1, self.height()), QColor(255, 255, 255))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(0, 0, 0, 150), 1))
        painter.setBrush(QColor(255, 255, 255))
        painter.drawEllipse(QPointF(x, self.height() / 2), _GRIP_PX, _GRIP_PX)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        self._label(painter, "A", right=x - 10)
        self._label(painter, "B", left=x + 10)

    def _label(
        self, painter: QPainter, text: str, left: float | None = None, right: float | None = None
    ) -> None:
        size = 20.0
        x = left + 6 if left is not None else (right or 0.0) - 6 - size
        box = QRectF(x, 6, size, size)
        painter.fillRect(box, QColor(0, 0, 0, 170))
        painter.setPen(QColor(255, 255, 255))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _paint(self, painter: QPainter, shown: Shown, pane: QRectF) -> None:
        area = self.area(pane)
        if shown.image.hasAlphaChannel():
            painter.fillRect(area, _checkers(area.topLeft()))
        zoom = area.width() * self.devicePixelRatioF() / max(1, shown.image.width())
        smooth = self.camera.is_fitted or zoom <= CRISP_ABOVE
        draw_part(painter, self._sharp(shown.image, zoom), area, pane, smooth)

    def _sharp(self, image: QImage, zoom: float) -> QImage:
        """The image, or below half its size an average: interpolating alone would drop pixels."""
        level = int(math.log2(1 / zoom)) if 0 < zoom <= 0.5 else 0
        if not level:
            return image
        key = (image.cacheKey(), level)
        if key not in self._reduced:
            self._reduced[key] = image.scaled(
                max(1, image.width() >> level),
                max(1, image.height() >> level),
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        return self._reduced[key]

    def difference(self) -> QImage:
        """|A - B| of the colours, amplified; B is scaled to A if need be. Transparency counts as black."""
        first, second = self._slots["A"].image, self._slots["B"].image
        key = (first.cacheKey(), second.cacheKey(), self.gain)
        if self._difference is None or self._difference[0] != key:
            self._difference = (key, difference(first, second, self.gain))
        return self._difference[1]

    def _paint_failure(self, painter: QPainter, failure: Failure) -> None:
        rows: list[tuple[str, QFont, QColor]] = []
        bold = QFont(self.font())
        bold.setBold(True)
        if failure.where:
            rows.append((failure.where, bold, self._theme.error))
        rows.append((failure.what, self.font(), self._theme.text))
        if failure.remedy:
            rows.append((failure.remedy, self.font(), self._theme.text_dim))
        width = min(_CARD_PX, self.width() - 24)
        inner = QRectF(0, 0, width - 32, 10_000)
        wrap = int(Qt.TextFlag.TextWordWrap.value) | int(Qt.AlignmentFlag.AlignLeft.value)
        heights = [
            QFontMetricsF(font).boundingRect(inner, wrap, text).height() for text, font, _ in rows
        ]
        height = sum(heights) + 6 * (len(rows) - 1) + 24
        top = 12.0 if self._slots else max(12.0, (self.height() - height) / 2)
        card = QRectF((self.width() - width) / 2, top, width, height)
        painter.fillRect(card, self._theme.panel)
        painter.fillRect(QRectF(card.left(), card.top(), 4, card.height()), self._theme.error)
        y = card.top() + 12
        for (text, font, color), row_height in zip(rows, heights, strict=True):
            painter.setFont(font)
            painter.setPen(color)
            painter.drawText(QRectF(card.left() + 18, y, width - 32, row_height), wrap, text)
            y += row_height + 6


def draw_part(painter: QPainter, image: QImage, area: QRectF, pane: QRectF, smooth: bool) -> None:
    """Draw what can be seen in ``pane`` of an image that fills ``area``.

    Only that part, because Qt's scaling overflows for pictures of tens of thousands of pixels on the screen.
    """
    if area.isEmpty() or image.isNull():
        return
    seen = area.intersected(pane)
    if seen.isEmpty():
        return
    x, y = image.width() / area.width(), image.height() / area.height()
    # two pixels more on each side, so that interpolation has its neighbours
    left = max(0, math.floor((seen.left() - area.left()) * x) - 2)
    top = max(0, math.floor((seen.top() - area.top()) * y) - 2)
    right = min(image.width(), math.ceil((seen.right() - area.left()) * x) + 2)
    bottom = min(image.height(), math.ceil((seen.bottom() - area.top()) * y) + 2)
    target = QRectF(
        area.left() + left / x, area.top() + top / y, (right - left) / x, (bottom - top) / y
    )
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
    painter.drawImage(target, image, QRectF(QRect(left, top, right - left, bottom - top)))


def difference(first: QImage, second: QImage, gain: int) -> QImage:
    """|first - second| x ``gain`` (a power of two), clipped; RGB of the size of the first."""
    result = _opaque(first)
    other = second
    if other.size() != result.size():
        other = other.scaled(
            result.size(),
            Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    painter = QPainter(result)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Difference)
    painter.drawImage(0, 0, _opaque(other))
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Plus)
    for _ in range(gain.bit_length() - 1):
        painter.drawImage(0, 0, result.copy())
    painter.end()
    return result


def _opaque(image: QImage) -> QImage:
    result = QImage(image.size(), QImage.Format.Format_RGB32)
    result.fill(Qt.GlobalColor.black)
    painter = QPainter(result)
    painter.drawImage(QRect(0, 0, image.width(), image.height()), image)
    painter.end()
    return result


def _checkers(origin: QPointF) -> QBrush:
    # greys of the middle in both themes: transparency has to show against white and black alike
    tile = QPixmap(2 * _CHECKER_PX, 2 * _CHECKER_PX)
    tile.fill(QColor("#8c8c8c"))
    painter = QPainter(tile)
    for corner in (0, _CHECKER_PX):
        painter.fillRect(corner, corner, _CHECKER_PX, _CHECKER_PX, QColor("#b4b4b4"))
    painter.end()
    brush = QBrush(tile)
    transform = brush.transform()
    transform.translate(origin.x(), origin.y())
    brush.setTransform(transform)
    return brush


__all__ = [
    "CRISP_ABOVE",
    "MAX_ZOOM",
    "Arrangement",
    "Camera",
    "Gesture",
    "Shown",
    "Slot",
    "Surface",
    "Tool",
    "difference",
    "draw_part",
]
