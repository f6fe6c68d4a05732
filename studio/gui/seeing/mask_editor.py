"""Paints a mask on the viewer's picture: strokes by brush, eraser, lasso and rectangle, given back as vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio.graph import Json
from studio.gui.keys.focus_keys import FocusKey, FocusKeys
from studio.gui.seeing.strokes import Point, Raster, Stroke, edged, filled, simplified
from studio.gui.seeing.surface import CRISP_ABOVE, Gesture, draw_part
from studio.gui.seeing.viewer import Viewer
from studio.gui.theme import Theme, icon

Instrument = Literal["brush", "eraser", "lasso", "rectangle"]

OVERLAYS = (
    QColor(255, 32, 48),
    QColor(32, 224, 255),
    QColor(64, 255, 64),
    QColor(255, 64, 255),
)
"""Where the picture is repainted; red, as masks are in the field, unless the picture is too."""
_LONGEST_PX = 1024
"""Masks of larger pictures are shown at this size; the strokes are exact at any."""
_SMALLEST, _LARGEST = 0.002, 0.5
_NOTCHES = 100
_MOST_GROW, _MOST_FEATHER = 64, 64
"""Of the sliders; the inspector takes all that the node does."""
_EDGE_MS = 50
_CLEAR = 140.0
"""From here on two colours are told apart at a glance, in RGB of 255 levels."""


class _Drawing:
    """A stroke of brush or eraser."""

    def __init__(
        self, editor: MaskEditor, position: QPointF, erase: bool, start: QPointF | None
    ) -> None:
        self._editor = editor
        self._erase = erase
        self._points: list[QPointF] = []
        editor.raster.begin(editor.radius, editor.hardness, erase)
        if start is not None:
            self._add(start)
        self._add(editor.to_picture(position))

    def move(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        point = self._editor.to_picture(position)
        gap = point - self._points[-1]
        # half a pixel of the screen says nothing new
        if math.hypot(gap.x(), gap.y()) * self._editor.scale >= 0.5:
            self._add(point)

    def _add(self, point: QPointF) -> None:
        self._points.append(point)
        self._editor.show_change(self._editor.raster.extend(self._editor.share(point)))

    def end(self) -> None:
        self._editor.raster.drop()
        points = simplified(self._points, self._editor.extent)
        editor = self._editor
        editor.add([Stroke(points, editor.radius, editor.hardness, self._erase)], self._points[-1])

    def cancel(self) -> None:
        self._editor.show_change(self._editor.raster.drop())


class _Outlining:
    """An area by lasso or rectangle."""

    def __init__(
        self, editor: MaskEditor, position: QPointF, erase: bool, is_rectangle: bool
    ) -> None:
        self._editor = editor
        self._erase = erase
        self._is_rectangle = is_rectangle
        self._start = editor.to_picture(position)
        self._points = [self._start]

    def move(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        point = self._editor.to_picture(position)
        if self._is_rectangle:
            start = self._start
            across, down = QPointF(point.x(), start.y()), QPointF(start.x(), point.y())
            self._points = [start, across, point, down]
        else:
            self._points.append(point)
        self._editor.show_outline(self._points)

    def end(self) -> None:
        self._editor.show_outline(())
        if len(self._points) > 2:
            strokes = filled(self._points, self._editor.extent, self._erase)
            if strokes:
                self._editor.add(strokes, None)

    def cancel(self) -> None:
        self._editor.show_outline(())


class MaskEditor(QWidget):
    """The bar of the mask editor, and the tool that it gives to the viewer between ``begin`` and ``finish``.

    Holds no truth: ``strokes_changed`` proposes the whole list after each stroke, whoever owns the document shows
    what came of it by ``set_strokes``, and so undo is the document's.
    """

    strokes_changed = Signal(list)
    """All strokes, as the parameter of the mask node takes them."""
    invert_changed = Signal(bool)
    grow_changed = Signal(int)
    feather_changed = Signal(float)
    edge_settled = Signal()
    """The slider was let go: what follows is another step of the history."""
    finished = Signal()
    keys = FocusKeys()

    def __init__(self, viewer: Viewer, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._surface = viewer.surface
        self._instrument: Instrument = "brush"
        self._is_inverted = False
        self._is_active = False
        self._outline: Sequence[QPointF] = ()
        self._cursor: QPointF | None = None
        self._last: QPointF | None = None
        self.raster = Raster(QSize(1, 1))
        self._overlay = QImage()
        self._color = OVERLAYS[0]
        self._grow: int | None = None
        self._feather: float | None = None
        """None: the node has no such parameter."""
        self._edge_timer = QTimer(self)
        self._edge_timer.setSingleShot(True)
        self._edge_timer.setInterval(_EDGE_MS)
        self._edge_timer.timeout.connect(self._renew_overlay)
        self.keys = FocusKeys(self._table())
        self.setAccessibleName(self.tr("Mask editor"))
        self._instruments = QButtonGroup(self)
        self._icons: list[tuple[QToolButton, str]] = []
        buttons = QHBoxLayout()
        buttons.setSpacing(2)
        self._choices: dict[Instrument, QToolButton] = {}
        choices: tuple[tuple[Instrument, str, str, str], ...] = (
            ("brush", "brush", self.tr("Brush"), "B"),
            ("eraser", "eraser", self.tr("Eraser"), "E"),
            ("lasso", "lasso", self.tr("Lasso"), "L"),
            ("rectangle", "frame", self.tr("Rectangle"), "R"),
        )
        for name, drawing, text, key in choices:
            button = self._button(drawing, f"{text} ({key})", text)
            button.setCheckable(True)
            self._instruments.addButton(button)
            self._choices[name] = button
            buttons.addWidget(button)
        self._instruments.buttonClicked.connect(self._chosen)
        buttons.addSpacing(8)
        self._invert = self._button(
            "invert", self.tr("Repaint everything else (I)"), self.tr("Invert")
        )
        self._invert.setCheckable(True)
        self._invert.clicked.connect(self.toggle_invert)
        buttons.addWidget(self._invert)
        clear = self._button("delete", self.tr("Remove all strokes (Delete)"), self.tr("Clear"))
        clear.clicked.connect(self.clear)
        buttons.addWidget(clear)
        buttons.addStretch(1)
        done = QToolButton(self)
        done.setText(self.tr("Done"))
        done.setToolTip(self.tr("Stop painting (Esc)"))
        done.setAccessibleName(self.tr("Done"))
        done.clicked.connect(self.finish)
        buttons.addWidget(done)
        grid = QGridLayout()
        grid.setVerticalSpacing(2)
        grid.setHorizontalSpacing(6)
        for column in (1, 4):
            grid.setColumnStretch(column, 1)
        self._size, self._size_label = self._slider(grid, 0, 0, self.tr("Size"), (0, _NOTCHES), 55)
        self._hard, self._hard_label = self._slider(grid, 0, 3, self.tr("Hardness"), (0, 100), 80)
        self._grown, self._grown_label = self._slider(
            grid, 1, 0, self.tr("Grow"), (-_MOST_GROW, _MOST_GROW), 0
        )
        self._soft, self._soft_label = self._slider(
            grid, 1, 3, self.tr("Feather"), (0, _MOST_FEATHER), 0
        )
        self._opacity, self._opacity_label = self._slider(
            grid, 2, 0, self.tr("Overlay"), (0, 100), 50
        )
        self._grown.valueChanged.connect(self._grow_moved)
        self._soft.valueChanged.connect(self._feather_moved)
        for slider in (self._grown, self._soft):
            slider.sliderReleased.connect(self.edge_settled)
        self._swatch = QToolButton(self)
        self._swatch.setToolTip(self.tr("Another colour of the overlay (C)"))
        self._swatch.setAccessibleName(self.tr("Colour of the overlay"))
        self._swatch.clicked.connect(self.next_color)
        grid.addWidget(self._swatch, 2, 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addLayout(grid)
        self._surface.camera_changed.connect(self._picture_changed)
        self.set_theme(theme)
        self.choose("brush")
        self._show_values()

    def _table(self) -> tuple[FocusKey, ...]:
        return (
            FocusKey(("B",), self.tr("Brush"), self._brush),
            FocusKey(("E",), self.tr("Eraser, and back; or hold Alt"), self._eraser),
            FocusKey(("L",), self.tr("Lasso"), self._lasso),
            FocusKey(("R",), self.tr("Rectangle"), self._rectangle),
            FocusKey(("[",), self.tr("Smaller brush"), self._smaller),
            FocusKey(("]",), self.tr("Larger brush"), self._larger),
            FocusKey(("{", "Shift+{", "Shift+["), self.tr("Softer brush"), self._softer),
            FocusKey(("}", "Shift+}", "Shift+]"), self.tr("Harder brush"), self._harder),
            FocusKey(("I",), self.tr("Repaint everything else"), self.toggle_invert),
            FocusKey((",", "<", "Shift+<"), self.tr("Shrink the mask"), self._shrink),
            FocusKey((".", ">", "Shift+>"), self.tr("Grow the mask"), self._widen),
            FocusKey((";",), self.tr("Feather less"), self._harden),
            FocusKey(("'",), self.tr("Feather more"), self._soften),
            FocusKey(("C",), self.tr("Another colour of the overlay"), self.next_color),
            FocusKey(("Del", "Backspace"), self.tr("Remove all strokes"), self.clear),
            FocusKey(("Esc",), self.tr("Drop the stroke, or stop painting"), self._escape),
        )

    def _button(self, drawing: str, tip: str, name: str) -> QToolButton:
        button = QToolButton(self)
        button.setAutoRaise(True)
        button.setToolTip(tip)
        button.setAccessibleName(name)
        self._icons.append((button, drawing))
        return button

    def _slider(
        self,
        grid: QGridLayout,
        row: int,
        column: int,
        name: str,
        span: tuple[int, int],
        value: int,
    ) -> tuple[QSlider, QLabel]:
        label = QLabel(name, self)
        slider = QSlider(Qt.Orientation.Horizontal, self)
        slider.setRange(*span)
        slider.setValue(value)
        slider.setMinimumWidth(40)
        slider.setAccessibleName(name)
        label.setBuddy(slider)
        shown = QLabel(self)
        shown.setMinimumWidth(self.fontMetrics().horizontalAdvance("888 px"))
        shown.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        slider.valueChanged.connect(self._show_values)
        for offset, widget in enumerate((label, slider, shown)):
            grid.addWidget(widget, row, column + offset)
        return slider, shown

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        return self.keys.handle(event) or super().event(event)

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        for button, drawing in self._icons:
            button.setIcon(icon(drawing, theme))

    # --- the mode

    @property
    def is_active(self) -> bool:
        """Whether the viewer paints masks now."""
        return self._is_active

    def begin(
        self,
        strokes: Sequence[Json],
        inverted: bool = False,
        grow: int | None = None,
        feather: float | None = None,
    ) -> None:
        """Paint on the viewer's picture; ``strokes`` have the form that ``studio.registry.Strokes`` checks.

        ``grow``, ``feather``: as the node has them; None where it has no such parameter.
        """
        self._is_active = True
        self._last = None
        self._viewer.set_tool(self)
        self._is_inverted = inverted
        self._invert.setChecked(inverted)
        self.raster = Raster(self._raster_size())
        self._color = self._readable()
        self.set_edge(grow, feather)
        self.set_strokes(strokes)
        self._show_values()
        self._surface.setFocus()

    def finish(self) -> None:
        """Give the left button back to the viewer."""
        if self._is_active:
            self._is_active = False
            self._viewer.set_tool(None)
            self.finished.emit()

    def set_strokes(self, strokes: Sequence[Json]) -> None:
        """Show these strokes: what the document holds now."""
        self._surface.cancel_gesture()
        self.raster.show([Stroke.from_json(stroke) for stroke in strokes])
        self._renew_overlay()

    def set_inverted(self, inverted: bool) -> None:
        """Show the mask inverted, as the document has it now."""
        self._is_inverted = inverted
        self._invert.setChecked(inverted)
        self._renew_overlay()

    def set_edge(self, grow: int | None, feather: float | None) -> None:
        """Show the mask grown and feathered by so many pixels, as the document has it now."""
        is_another = (grow, feather) != (self._grow, self._feather)
        self._grow, self._feather = grow, feather
        for slider, label, value in (
            (self._grown, self._grown_label, grow),
            (self._soft, self._soft_label, feather),
        ):
            slider.blockSignals(True)
            slider.setValue(round(value or 0))
            slider.blockSignals(False)
            slider.setEnabled(value is not None)
            label.setEnabled(value is not None)
        if is_another:
            self._show_values()
            self._edge_timer.start()

    @property
    def strokes(self) -> list[Json]:
        """The strokes that are shown."""
        return [stroke.to_json() for stroke in self.raster.strokes]

    def painted(self) -> QImage:
        """The mask that is shown: 8-bit grey, white is repainted; at most 1024 px."""
        scale = self.raster.size.width() / max(1, self._surface.extent.width())
        image = edged(self.raster.image, (self._grow or 0) * scale, (self._feather or 0.0) * scale)
        if self._is_inverted:
            image = image.copy()
            image.invertPixels()
        return image

    def _readable(self) -> QColor:
        """The colour that is furthest from all that the picture shows."""
        shown = self._surface.slot(self._surface.front)
        if shown is None or shown.image.isNull():
            return OVERLAYS[0]
        small = shown.image.scaled(8, 8, mode=Qt.TransformationMode.SmoothTransformation)
        seen = [small.pixelColor(x, y) for x in range(small.width()) for y in range(small.height())]

        def clearance(color: QColor) -> float:
            # the nearest eighth counts: one pixel of that colour is no reason
            distances = sorted(_distance(color, other) for other in seen)
            return distances[len(distances) // 8]

        usual = OVERLAYS[0]
        return usual if clearance(usual) > _CLEAR else max(OVERLAYS, key=clearance)

    def next_color(self) -> None:
        """Show the mask in another colour."""
        self._color = OVERLAYS[(OVERLAYS.index(self._color) + 1) % len(OVERLAYS)]
        self._show_values()
        self._renew_overlay()

    def _raster_size(self) -> QSize:
        extent = self._surface.extent
        if extent.isEmpty():
            return QSize(1, 1)
        longest = max(extent.width(), extent.height())
        if longest <= _LONGEST_PX:
            return extent
        width, height = (
            max(1, side * _LONGEST_PX // longest) for side in (extent.width(), extent.height())
        )
        return QSize(width, height)

    def _picture_changed(self) -> None:
        if self._is_active and self.raster.size != self._raster_size():
            self._surface.cancel_gesture()
            strokes = self.raster.strokes
            self.raster = Raster(self._raster_size())
            self.raster.show(strokes)
            self._renew_overlay()
            self._show_values()

    # --- what is painted with

    @property
    def radius(self) -> float:
        """Of the brush, as a share of the picture's width."""
        share = self._size.value() / _NOTCHES
        return float(round(_SMALLEST * (_LARGEST / _SMALLEST) ** share, 5))

    @property
    def hardness(self) -> float:
        """Of the brush: the share of the radius at full strength."""
        return self._hard.value() / 100

    @property
    def instrument(self) -> Instrument:
        """What the left button does."""
        return self._instrument

    def choose(self, instrument: Instrument) -> None:
        """Take another instrument."""
        self._instrument = instrument
        self._choices[instrument].setChecked(True)
        self._surface.update()

    def _chosen(self, button: QToolButton) -> None:
        self.choose(next(name for name, each in self._choices.items() if each is button))

    def _brush(self) -> None:
        self.choose("brush")

    def _eraser(self) -> None:
        self.choose("brush" if self._instrument == "eraser" else "eraser")

    def _lasso(self) -> None:
        self.choose("lasso")

    def _rectangle(self) -> None:
        self.choose("rectangle")

    def _smaller(self) -> None:
        self._size.setValue(self._size.value() - 4)

    def _larger(self) -> None:
        self._size.setValue(self._size.value() + 4)

    def _softer(self) -> None:
        self._hard.setValue(self._hard.value() - 10)

    def _harder(self) -> None:
        self._hard.setValue(self._hard.value() + 10)

    def _escape(self) -> None:
        if not self._surface.cancel_gesture():
            self.finish()

    def _show_values(self) -> None:
        width = max(1, self._surface.extent.width())
        self._size_label.setText(f"{max(1, round(2 * self.radius * width))} px")
        self._hard_label.setText(f"{self._hard.value()} %")
        self._opacity_label.setText(f"{self._opacity.value()} %")
        self._grown_label.setText(f"{self._grow:+d} px" if self._grow else "0 px")
        self._soft_label.setText(f"{self._feather or 0:g} px")
        swatch = QPixmap(14, 14)
        swatch.fill(self._color)
        self._swatch.setIcon(QIcon(swatch))
        self._surface.update()

    def _grow_moved(self, value: int) -> None:
        self._grow = value
        self._show_values()
        self._edge_timer.start()
        self.grow_changed.emit(value)

    def _feather_moved(self, value: int) -> None:
        self._feather = float(value)
        self._show_values()
        self._edge_timer.start()
        self.feather_changed.emit(float(value))

    def _shrink(self) -> None:
        self._step(self._grown, -1)

    def _widen(self) -> None:
        self._step(self._grown, 1)

    def _harden(self) -> None:
        self._step(self._soft, -1)

    def _soften(self) -> None:
        self._step(self._soft, 1)

    def _step(self, slider: QSlider, by: int) -> None:
        if slider.isEnabled():
            slider.setValue(slider.value() + by)

    def toggle_invert(self) -> None:
        """Propose to repaint what is not painted."""
        self.set_inverted(not self._is_inverted)
        self.invert_changed.emit(self._is_inverted)

    def clear(self) -> None:
        """Propose to remove all strokes."""
        if self.raster.strokes:
            self.raster.show(())
            self._renew_overlay()
            self.strokes_changed.emit([])

    # --- the tool

    def press(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> Gesture:
        """Begin a stroke or an area; Alt erases, Shift draws a straight line from the last stroke."""
        erase = bool(modifiers & Qt.KeyboardModifier.AltModifier) or self._instrument == "eraser"
        if self._instrument in ("lasso", "rectangle"):
            return _Outlining(self, position, erase, self._instrument == "rectangle")
        straight = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
        return _Drawing(self, position, erase, self._last if straight else None)

    def hover(self, position: QPointF | None) -> None:
        """Move the ring that shows the brush."""
        for at in (self._cursor, position):
            if at is not None:
                reach = self.radius * self.extent.width() * self.scale + 3
                box = QRectF(at.x() - reach, at.y() - reach, 2 * reach, 2 * reach)
                self._surface.update(box.toAlignedRect())
        self._cursor = position

    def paint(self, painter: QPainter, area: QRectF) -> None:
        """Paint the mask over the picture, an outline, and the ring of the brush."""
        painter.setOpacity(self._opacity.value() / 100)
        zoom = area.width() / max(1, self._overlay.width())
        draw_part(painter, self._overlay, area, QRectF(self._surface.rect()), zoom <= CRISP_ABOVE)
        painter.setOpacity(1.0)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._outline:
            polygon = QPolygonF([self._surface.to_widget(point) for point in self._outline])
            for color, dashes in ((Qt.GlobalColor.black, None), (Qt.GlobalColor.white, [4.0, 4.0])):
                pen = QPen(color, 1)
                if dashes:
                    pen.setDashPattern(dashes)
                painter.setPen(pen)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawPolygon(polygon)
        elif self._cursor is not None and self._instrument in ("brush", "eraser"):
            self._paint_ring(painter, self._cursor)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_ring(self, painter: QPainter, at: QPointF) -> None:
        radius = self.radius * self.extent.width() * self.scale
        painter.setBrush(Qt.BrushStyle.NoBrush)
        # dark beside light, so that the ring shows on every picture
        painter.setPen(QPen(QColor(0, 0, 0, 190), 1))
        painter.drawEllipse(at, radius + 1, radius + 1)
        white = QPen(QColor(255, 255, 255), 1)
        if self._instrument == "eraser":
            white.setDashPattern([4.0, 3.0])
        painter.setPen(white)
        painter.drawEllipse(at, radius, radius)
        inner = radius * self.hardness
        if 3 < inner < radius - 3:
            painter.setPen(QPen(QColor(255, 255, 255, 110), 1))
            painter.drawEllipse(at, inner, inner)

    # --- what gestures use

    @property
    def extent(self) -> QSize:
        """Size of the picture in pixels."""
        return self._surface.extent

    @property
    def scale(self) -> float:
        """Widget pixels a picture's pixel."""
        return self._surface.scale

    def to_picture(self, position: QPointF) -> QPointF:
        """Widget pixels to picture pixels."""
        return self._surface.to_picture(position)

    def share(self, point: QPointF) -> Point:
        """Picture pixels to shares of width and height."""
        return point.x() / self.extent.width(), point.y() / self.extent.height()

    def show_outline(self, points: Sequence[QPointF]) -> None:
        """Show the outline of an area that is being drawn, in picture pixels."""
        self._outline = tuple(points)
        self._surface.update()

    def show_change(self, changed: QRect) -> None:
        """Show pixels of the raster that were drawn on."""
        if changed.isEmpty():
            return
        self._tint(changed)
        scale = self.extent.width() / self.raster.size.width()
        corner = self._surface.to_widget(QPointF(changed.topLeft()) * scale)
        size = QPointF(changed.width(), changed.height()) * (scale * self.scale)
        box = QRectF(corner.x(), corner.y(), size.x(), size.y())
        self._surface.update(box.toAlignedRect().adjusted(-3, -3, 3, 3))

    def add(self, strokes: Sequence[Stroke], last: QPointF | None) -> None:
        """Propose more strokes; ``last`` is where a straight line would go on from."""
        self._last = last
        self.raster.show([*self.raster.strokes, *strokes])
        self._renew_overlay()
        self.strokes_changed.emit(self.strokes)

    def _renew_overlay(self) -> None:
        if self._overlay.size() != self.raster.size:
            self._overlay = QImage(self.raster.size, QImage.Format.Format_ARGB32_Premultiplied)
        self._lay(self._overlay.rect(), self.painted())
        self._surface.update()

    def _tint(self, rect: QRect) -> None:
        """Show a part as it is drawn; its edge comes when the stroke is done."""
        strength = self.raster.image.copy(rect)
        if self._is_inverted:
            strength.invertPixels()
        self._lay(rect, strength)

    def _lay(self, rect: QRect, strength: QImage) -> None:
        patch = QImage(rect.size(), QImage.Format.Format_ARGB32)
        patch.fill(self._color)
        patch.setAlphaChannel(strength)
        painter = QPainter(self._overlay)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(rect.topLeft(), patch)
        painter.end()


def _distance(one: QColor, other: QColor) -> float:
    return math.dist(
        (one.red(), one.green(), one.blue()), (other.red(), other.green(), other.blue())
    )
