"""The trajectory of a denoising: every step to drag along, its noise level, and x_t or the predicted x_0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QHideEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import (
    QAbstractSlider,
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QSpinBox,
    QStyle,
    QStyleOptionFocusRect,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio.gui.keys.focus_keys import FocusKey, FocusKeys
from studio.gui.lines import Line
from studio.gui.seeing.surface import draw_part
from studio.gui.theme import Theme, icon

_SIDE_PX = 8
"""From the strip's edge to the first and the last step, so that the handle is never cut."""
_SHADE_SHARE = 0.5
_HOVER_PX = 128
_PLAY_MS, _FASTEST_MS = 2500, 40
"""Of the whole trajectory, and of one step at least."""


@dataclass(frozen=True)
class Frame:
    """One step of a trajectory."""

    step: int
    """Steps done; 0 is the start."""
    sigma: float | None
    """Noise level after the step; None if it is not known."""
    x0: QImage | None = None
    """The prediction of the finished picture."""
    xt: QImage | None = None
    """The picture with the noise that is still in it."""
    calls: int | None = None
    """Forward passes of the network so far, if known."""


class _Strip(QAbstractSlider):
    """A slider whose groove is the film of the steps, under the curve of log sigma."""

    hovered = Signal(int)
    """The frame under the mouse, -1 when it has left."""
    keys = FocusKeys()

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._frames: tuple[Frame, ...] = ()
        self._shows_x0 = True
        self._value_before: int | None = None
        self.setOrientation(Qt.Orientation.Horizontal)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Step of the denoising"))
        self.setPageStep(5)
        self.setMouseTracking(True)
        self.setRange(0, 0)
        self.valueChanged.connect(self._moved)

    def sizeHint(self) -> QSize:
        """A size at which it is usable."""
        return QSize(300, 64)

    def minimumSizeHint(self) -> QSize:
        """The least size at which it is usable."""
        return QSize(120, 64)

    def event(self, event: QEvent) -> bool:
        """Take the scrubber's keys before the slider takes them for its own."""
        return self.keys.handle(event) or super().event(event)

    def show_frames(self, frames: Sequence[Frame], shows_x0: bool) -> None:
        self._frames = tuple(frames)
        self._shows_x0 = shows_x0
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def x_of(self, index: float) -> float:
        """Where a step lies, in widget pixels."""
        last = max(1, len(self._frames) - 1)
        return _SIDE_PX + (self.width() - 2 * _SIDE_PX) * index / last

    def _index_at(self, x: float) -> int:
        last = max(1, len(self._frames) - 1)
        return round((x - _SIDE_PX) / max(1, self.width() - 2 * _SIDE_PX) * last)

    def _moved(self) -> None:
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a gesture."""
        if event.button() == Qt.MouseButton.LeftButton and self._frames:
            self.hovered.emit(-1)
            self._value_before = self.value()
            self.setSliderDown(True)
            self.setValue(self._index_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a gesture."""
        if self.isSliderDown():
            self.setValue(self._index_at(event.position().x()))
        elif self._frames:
            index = self._index_at(event.position().x())
            self.hovered.emit(min(len(self._frames) - 1, max(0, index)))

    def leaveEvent(self, event: QEvent) -> None:
        """The mouse left."""
        self.hovered.emit(-1)
        super().leaveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a gesture."""
        self.setSliderDown(False)

    def cancel_drag(self) -> None:
        """Back to the step from before the press."""
        if self.isSliderDown() and self._value_before is not None:
            self.setSliderDown(False)
            self.setValue(self._value_before)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint."""
        painter = QPainter(self)
        groove = QRectF(self.rect())
        painter.fillRect(groove, self._theme.field)
        if not self._frames:
            return
        self._paint_film(painter, groove)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_curve(painter)
        x = self.x_of(self.value())
        painter.setPen(QPen(QColor(0, 0, 0, 160), 4))
        painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        painter.setPen(QPen(QColor(255, 255, 255), 2))
        painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        painter.setPen(QPen(QColor(0, 0, 0, 160), 1))
        painter.setBrush(QColor(255, 255, 255))
        painter.drawEllipse(QPointF(x, self._curve_y(self.value())), 5, 5)
        if self.hasFocus():
            option = QStyleOptionFocusRect()
            option.initFrom(self)
            self.style().drawPrimitive(
                QStyle.PrimitiveElement.PE_FrameFocusRect, option, painter, self
            )

    def _paint_film(self, painter: QPainter, groove: QRectF) -> None:
        """As many thumbnails as there is room for, each of the step in its middle."""
        side = groove.height()
        count = max(1, math.ceil(groove.width() / side))
        width = groove.width() / count
        for place in range(count):
            middle = (place + 0.5) * width
            index = min(len(self._frames) - 1, max(0, self._index_at(middle)))
            frame = self._frames[index]
            image = frame.x0 if self._shows_x0 else frame.xt
            if image is None or image.isNull():
                continue
            cell = QRectF(place * width, 0, width, side)
            # cut to the cell's shape, not squeezed
            scale = max(cell.width() / image.width(), cell.height() / image.height())
            area = QRectF(0, 0, image.width() * scale, image.height() * scale)
            area.moveCenter(cell.center())
            painter.setClipRect(cell)
            draw_part(painter, image, area, cell, smooth=True)
            painter.setClipping(False)
        if any(frame.x0 or frame.xt for frame in self._frames):
            shade = QColor(self._theme.field)
            shade.setAlphaF(_SHADE_SHARE)
            painter.fillRect(groove, shade)

    def _paint_curve(self, painter: QPainter) -> None:
        points = [
            QPointF(self.x_of(i), self._curve_y(i))
            for i, frame in enumerate(self._frames)
            if frame.sigma is not None
        ]
        painter.setBrush(Qt.BrushStyle.NoBrush)
        halo = QColor(self._theme.field)
        for color, width in ((halo, 4.0), (self._theme.accent, 1.6)):
            painter.setPen(QPen(color, width))
            painter.drawPolyline(QPolygonF(points))

    def _curve_y(self, index: int) -> float:
        """Height of log sigma; where sigma is 0 the curve rests on the ground."""
        logs = [math.log(frame.sigma) for frame in self._frames if frame.sigma]
        top, ground = 8.0, self.height() - 8.0
        sigma = self._frames[min(index, len(self._frames) - 1)].sigma
        if not sigma or not logs:
            return ground
        span = max(logs) - min(logs)
        # the last noise level above 0 still stands off the ground
        share = (math.log(sigma) - min(logs)) / span if span > 0 else 1.0
        return ground - (0.08 + 0.92 * share) * (ground - top)


class _Glance(QFrame):
    """The picture of the step under the mouse, above the strip."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.hide()
        self.setAutoFillBackground(True)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.picture = QLabel()
        self.words = QLabel()
        for label in (self.picture, self.words):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(2)
        layout.addWidget(self.picture)
        layout.addWidget(self.words)

    def show_at(self, window: QWidget, above: QPoint, image: QImage | None, words: str) -> None:
        """Show a picture, its lower edge at a place of a window, as far as it fits in there."""
        self.picture.setVisible(image is not None)
        if image is not None:
            keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode
            self.picture.setPixmap(
                QPixmap.fromImage(
                    image.scaled(_HOVER_PX, _HOVER_PX, keep, smooth.SmoothTransformation)
                )
            )
        self.words.setText(words)
        if self.parent() is not window:
            self.setParent(window)
        self.adjustSize()
        left = above.x() - self.width() // 2
        self.move(
            max(0, min(left, window.width() - self.width())),
            max(0, above.y() - self.height() - 4),
        )
        self.show()
        self.raise_()


class Scrubber(QWidget):
    """Drags along a trajectory or plays it; emits the picture of each step, and asks to branch from one."""

    shown = Signal(QImage, str)
    """The picture of the chosen step and a line that names it; only where the frame has one."""
    step_changed = Signal(int)
    """Steps done at the chosen frame."""
    branch_from = Signal(int)
    """Make another prompt act after this many steps."""
    guidance_from = Signal(int)
    """Make another guidance act after this many steps."""
    picture_chosen = Signal(int)
    """Which of the batch is wanted, counted from 0."""
    export_requested = Signal()
    keys = FocusKeys()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frames: tuple[Frame, ...] = ()
        self._shows_x0 = True
        self._steps: int | None = None
        self._note = ""
        self._theme = theme
        self._player = QTimer(self)
        self._player.timeout.connect(self._advance)
        self.setAccessibleName(self.tr("Trajectory"))
        self.strip = _Strip(theme, self)
        self.strip.valueChanged.connect(self._announce)
        self.strip.hovered.connect(self._hovered)
        self.glance = _Glance(self)
        self.label = Line()
        self.label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self._play = self._button("", self.tr("Play the steps (Space)"), self.play)
        kinds = QButtonGroup(self)
        self._x0 = self._kind("x₀", self.tr("The predicted picture (T)"), kinds)
        self._xt = self._kind("xₜ", self.tr("The picture with its noise (T)"), kinds)
        kinds.buttonClicked.connect(self._kind_chosen)
        self.chooser = QSpinBox(self)
        self.chooser.setAccessibleName(self.tr("Picture of the batch"))
        self.chooser.setToolTip(self.tr("Picture of the batch (PgUp, PgDown)"))
        self.chooser.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.chooser.valueChanged.connect(self._picture_changed)
        self._branch = QToolButton(self)
        self._branch.setText(self.tr("Branch"))
        self._branch.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._branch.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self._branch.setAccessibleName(self.tr("Branch from this step"))
        self._branch.setToolTip(
            self.tr("Another prompt from this step on (Return); guidance and more in the menu")
        )
        self._branch.clicked.connect(self.branch)
        self.branches = QMenu(self._branch)
        for text, run in (
            (self.tr("Another &prompt from here\tReturn"), self.branch),
            (self.tr("Another &guidance from here…\tG"), self.branch_guidance),
        ):
            self.branches.addAction(text).triggered.connect(run)
        self.branches.addSeparator()
        self._export = self.branches.addAction(self.tr("&Save the steps as an animation…"))
        self._export.triggered.connect(self.export_requested)
        self._branch.setMenu(self.branches)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self._play)
        row.addWidget(self.label, 1)
        for widget in (self.chooser, self._x0, self._xt):
            row.addWidget(widget)
        row.addSpacing(4)
        row.addWidget(self._branch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(3)
        layout.addWidget(self.strip)
        layout.addLayout(row)
        self.setFocusProxy(self.strip)
        self.strip.keys = self.keys = FocusKeys(
            (
                FocusKey(("Left",), self.tr("The step before"), self._before),
                FocusKey(("Right",), self.tr("The next step"), self._next),
                FocusKey(("Home",), self.tr("The start"), self._first),
                FocusKey(("End",), self.tr("The last step"), self._last),
                FocusKey(("Space",), self.tr("Play, or stop"), self.play),
                FocusKey(("T",), self.tr("x_0 or x_t"), self.toggle),
                FocusKey(
                    ("PgUp",), self.tr("The picture before, of a batch"), self.chooser.stepDown
                ),
                FocusKey(("PgDown",), self.tr("The next picture of a batch"), self.chooser.stepUp),
                FocusKey(
                    ("Return", "Enter"), self.tr("Another prompt from this step on"), self.branch
                ),
                FocusKey(
                    ("G",), self.tr("Another guidance from this step on"), self.branch_guidance
                ),
                FocusKey(("Esc",), self.tr("Let go of the handle, or stop"), self._escape),
            )
        )
        self.set_theme(theme)
        self._refresh()

    def _kind(self, text: str, tip: str, group: QButtonGroup) -> QToolButton:
        button = self._button(text, tip, None)
        button.setCheckable(True)
        group.addButton(button)
        return button

    def _button(self, text: str, tip: str, run: Callable[[], object] | None) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setAutoRaise(True)
        if run is not None:
            button.clicked.connect(run)
        return button

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        return self.keys.handle(event) or super().event(event)

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        self.strip.set_theme(theme)
        self._branch.setIcon(icon("branch", theme))
        self._show_playing()

    # --- what is shown

    def set_trajectory(
        self,
        frames: Sequence[Frame],
        steps: int | None = None,
        *,
        note: str = "",
        picture: int = 0,
        pictures: int = 1,
    ) -> None:
        """Show a trajectory, in the order of its steps; whoever watched the last step watches the new last one.

        ``steps``: how many there will be; None: the last frame is the last step. ``note``: why some are missing.
        ``picture``, ``pictures``: which of the batch it is.
        """
        was_last = self.strip.value() >= len(self._frames) - 1
        before = self.frame
        self._frames = tuple(frames)
        self._steps = steps
        self._note = note
        self.strip.show_frames(self._frames, self._shows_x0)
        last = max(0, len(self._frames) - 1)
        index = last
        if before is not None and not was_last:
            index = next((i for i, one in enumerate(frames) if one.step >= before.step), last)
        for widget in (self.strip, self.chooser):
            widget.blockSignals(True)
        self.strip.setRange(0, last)
        self.strip.setValue(index)
        self.chooser.setRange(1, pictures)
        self.chooser.setSuffix(self.tr(" of {}").format(pictures))
        self.chooser.setValue(picture + 1)
        for widget in (self.strip, self.chooser):
            widget.blockSignals(False)
        self.chooser.setVisible(pictures > 1)
        if not self._frames:
            self._stop()
        self._refresh()

    def clear(self) -> None:
        """Show no trajectory."""
        self.set_trajectory(())

    @property
    def frame(self) -> Frame | None:
        """The chosen step."""
        return self._frames[self.strip.value()] if self._frames else None

    @property
    def image(self) -> QImage | None:
        """The picture of the chosen step: x_0 or x_t."""
        frame = self.frame
        return self._image_of(frame) if frame else None

    @property
    def film(self) -> list[QImage]:
        """The pictures of all steps that have one, as they are shown."""
        images = (self._image_of(frame) for frame in self._frames)
        return [image for image in images if image is not None]

    def _image_of(self, frame: Frame) -> QImage | None:
        return frame.x0 if self._shows_x0 else frame.xt

    def go_to(self, step: int) -> None:
        """Choose the frame with so many steps done, or the nearest."""
        if self._frames:
            indices = range(len(self._frames))
            self.strip.setValue(min(indices, key=lambda i: abs(self._frames[i].step - step)))

    def toggle(self) -> None:
        """Show the noisy picture instead of the predicted one, or back."""
        self._show_kind(not self._shows_x0)

    def branch(self) -> None:
        """Ask for another prompt from the chosen step on."""
        frame = self.frame
        if frame is not None:
            self._stop()
            self.branch_from.emit(frame.step)

    def branch_guidance(self) -> None:
        """Ask for another guidance from the chosen step on."""
        frame = self.frame
        if frame is not None:
            self._stop()
            self.guidance_from.emit(frame.step)

    def _picture_changed(self, number: int) -> None:
        self.picture_chosen.emit(number - 1)

    def _kind_chosen(self, button: QToolButton) -> None:
        self._show_kind(button is self._x0)

    def _show_kind(self, x0: bool) -> None:
        self._shows_x0 = x0
        self.strip.show_frames(self._frames, x0)
        self._announce()

    def _before(self) -> None:
        self._stop()
        self.strip.setValue(self.strip.value() - 1)

    def _next(self) -> None:
        self._stop()
        self.strip.setValue(self.strip.value() + 1)

    def _first(self) -> None:
        self.strip.setValue(0)

    def _last(self) -> None:
        self.strip.setValue(len(self._frames) - 1)

    def _escape(self) -> None:
        self._stop()
        self.strip.cancel_drag()

    # --- playing

    @property
    def is_playing(self) -> bool:
        """Whether it goes from step to step by itself."""
        return self._player.isActive()

    def play(self) -> None:
        """Go from step to step, from the start if it stands at the end; or stop."""
        if self.is_playing:
            self._stop()
            return
        if len(self._frames) < 2:
            return
        if self.strip.value() >= len(self._frames) - 1:
            self.strip.setValue(0)
        self._player.start(max(_FASTEST_MS, _PLAY_MS // len(self._frames)))
        self._show_playing()

    def _advance(self) -> None:
        self.strip.setValue(self.strip.value() + 1)
        if self.strip.value() >= len(self._frames) - 1:
            self._stop()

    def _stop(self) -> None:
        self._player.stop()
        self._show_playing()

    def _show_playing(self) -> None:
        self._play.setIcon(icon("pause" if self.is_playing else "play", self._theme))

    # --- words

    def _hovered(self, index: int) -> None:
        frame = self._frames[index] if 0 <= index < len(self._frames) else None
        if frame is None:
            self.glance.hide()
            return
        window = self.window()
        above = self.strip.mapTo(window, QPoint(round(self.strip.x_of(index)), 0))
        self.glance.show_at(window, above, self._image_of(frame), self._told(frame))

    def hideEvent(self, event: QHideEvent) -> None:
        """Take what floats along."""
        self.glance.hide()
        self._stop()
        super().hideEvent(event)

    def _announce(self) -> None:
        self._refresh()
        frame, image = self.frame, self.image
        if frame is not None:
            self.step_changed.emit(frame.step)
            if image is not None:
                kind = "x₀" if self._shows_x0 else "xₜ"
                self.shown.emit(image, f"{kind} · {self._described(frame)}")

    def _described(self, frame: Frame) -> str:
        steps = self._steps if self._steps is not None else self._frames[-1].step
        return self.tr("step {step} of {steps}").format(step=frame.step, steps=steps)

    def _told(self, frame: Frame) -> str:
        text = self._described(frame)
        if frame.sigma is not None:
            text += f" · σ {frame.sigma:.3g}"
        if frame.calls is not None:
            text += " · " + self.tr("{calls} model calls").format(calls=frame.calls)
        return text

    def _refresh(self) -> None:
        frame = self.frame
        text = self._note or self.tr("No trajectory yet")
        if frame is not None:
            text = " · ".join(part for part in (self._told(frame), self._note) if part)
        self.label.setText(text)
        self.strip.setAccessibleDescription(text)
        self.strip.setToolTip("" if frame is not None else text)
        (self._x0 if self._shows_x0 else self._xt).setChecked(True)
        for widget in (self.strip, self._branch, self._play):
            widget.setEnabled(frame is not None)
        self._export.setEnabled(bool(self.film))
        self._x0.setEnabled(any(each.x0 is not None for each in self._frames))
        self._xt.setEnabled(any(each.xt is not None for each in self._frames))
