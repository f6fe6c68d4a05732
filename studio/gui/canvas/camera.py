"""The camera of a canvas: a graphics view that pans, zooms and frames, over a grid; it knows no document."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPixmap, QPixmapCache, QTransform
from PySide6.QtWidgets import QFrame, QGraphicsView

from studio.gui.canvas.look import GRID, OVERVIEW_ZOOM, Detail
from studio.gui.canvas.overview import Overview
from studio.gui.canvas.scene import Scene

MIN_ZOOM, MAX_ZOOM = 0.05, 4.0
WHEEL_FACTOR = 1.2
IDLE_MS = 140
"""How long after the last movement links are smoothed again."""
CACHE_KIB = 96 * 1024
"""Of painted nodes, which Qt keeps for the whole program."""
_EDGE = 1_000_000.0


class Camera(QGraphicsView):
    """Shows a scene at a zoom and place; from far away all at once instead of item by item."""

    zooming = Signal()
    """The zoom is about to change: what stands over the scene must close."""
    moved = Signal()
    """Something else is seen."""

    def __init__(self, content: Scene) -> None:
        super().__init__()
        self.content = content
        self.look = content.look
        self.overview = Overview(content)
        self._zoom = 1.0
        self._far: QPixmap | None = None
        """All as it is seen from far away, without the selection."""
        self._far_seen: tuple[int, QTransform, QSize] | None = None
        """The version of the scene, and from where, that was last painted from far away."""
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        self._idle.timeout.connect(self._rest)
        self.setScene(content)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        # wide, so that one can pan away from the nodes; the scene's own rectangle stays tight for its index
        self.setSceneRect(-_EDGE, -_EDGE, 2 * _EDGE, 2 * _EDGE)
        QPixmapCache.setCacheLimit(max(QPixmapCache.cacheLimit(), CACHE_KIB))

    # --- where it looks

    @property
    def zoom(self) -> float:
        """Pixels of the screen per scene unit."""
        return self._zoom

    @property
    def is_far(self) -> bool:
        """Whether all is painted at once, for items are too small to matter."""
        return self._zoom < OVERVIEW_ZOOM

    def set_zoom(self, zoom: float, anchor: QPoint | None = None) -> None:
        """Zoom, within the limits; what is under ``anchor`` (default: the middle) stays there."""
        zoom = min(max(zoom, MIN_ZOOM), MAX_ZOOM)
        if zoom == self._zoom:
            return
        place = self.viewport().rect().center() if anchor is None else anchor
        under = self.mapToScene(place)
        self.zooming.emit()
        self._zoom = zoom
        self.look.detail = Detail.at(zoom)
        self.stir()
        self.setTransform(QTransform.fromScale(zoom, zoom))
        self.pan_by(place - self.mapFromScene(under))
        self.refresh_far()

    def zoom_in(self) -> None:
        """Zoom in by a step."""
        self.set_zoom(self._zoom * WHEEL_FACTOR)

    def zoom_out(self) -> None:
        """Zoom out by a step."""
        self.set_zoom(self._zoom / WHEEL_FACTOR)

    def zoom_actual(self) -> None:
        """Zoom to 1."""
        self.set_zoom(1.0)

    def pan_by(self, delta: QPoint) -> None:
        """Move what is seen by pixels of the screen."""
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(across.value() - delta.x())
        down.setValue(down.value() - delta.y())
        self.moved.emit()

    def look_at(self, point: QPointF) -> None:
        """Put a point of the scene in the middle."""
        self.pan_by(self.viewport().rect().center() - self.mapFromScene(point))

    def show_rect(self, rect: QRectF) -> None:
        """Let a rectangle of the scene be seen: move as little as that takes, zoom out only for what is larger."""
        seen = self.seen_rect()
        if seen.contains(rect):
            return
        if rect.width() > seen.width() or rect.height() > seen.height():
            self._frame(rect)
            return
        margin = 24.0 / self._zoom
        wanted = rect.adjusted(-margin, -margin, margin, margin)
        across = min(wanted.left() - seen.left(), 0.0) + max(wanted.right() - seen.right(), 0.0)
        down = min(wanted.top() - seen.top(), 0.0) + max(wanted.bottom() - seen.bottom(), 0.0)
        self.look_at(seen.center() + QPointF(across, down))

    def seen_rect(self) -> QRectF:
        """What is seen, in scene coordinates."""
        return self.mapToScene(self.viewport().rect()).boundingRect()

    def frame_all(self) -> None:
        """Show everything."""
        self._frame(self.content.content_rect())

    def frame_selected(self) -> None:
        """Show what is selected; everything if nothing is."""
        names = self.content.selection
        box = self.content.boxes.get(self.content.selected_box or ("", 0))
        if names:
            self._frame(self.content.rect_of(names))
        elif box is not None:
            self._frame(box.scene_rect)
        else:
            self.frame_all()

    def _frame(self, rect: QRectF) -> None:
        if rect.isEmpty():
            self.set_zoom(1.0)
            self.look_at(QPointF())
            return
        rect = rect.adjusted(-40, -50, 40, 40)
        size = self.viewport().size()
        zoom = min(size.width() / rect.width(), size.height() / rect.height(), 1.0)
        self.set_zoom(zoom)
        self.look_at(rect.center())

    # --- smoothing

    def stir(self) -> None:
        """Paint links without smoothing until nothing has moved for a while: it costs more than all else."""
        self.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        self._idle.start()

    def is_held(self) -> bool:
        """Whether a hand holds something; then it is no time to rest."""
        return False

    def _rest(self) -> None:
        if self.is_held():
            self._idle.start()
            return
        self.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        self.viewport().update()

    # --- painting

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        """Paint the grid, as fine as the zoom allows."""
        theme = self.look.theme
        painter.fillRect(rect, theme.canvas)
        step = GRID
        while step * self._zoom < 24:
            step *= 5
        left, top = rect.left() // step * step, rect.top() // step * step
        columns = int((rect.right() - left) / step) + 1
        rows = int((rect.bottom() - top) / step) + 1
        lines = [
            QLineF(left + n * step, rect.top(), left + n * step, rect.bottom())
            for n in range(columns + 1)
        ]
        lines += [
            QLineF(rect.left(), top + n * step, rect.right(), top + n * step)
            for n in range(rows + 1)
        ]
        painter.setPen(QPen(theme.grid, 0))
        painter.drawLines(lines)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint item by item, or from far away all at once."""
        if not self.is_far:
            super().paintEvent(event)
            return
        painter = QPainter(self.viewport())
        seen = (self.content.version, self.viewportTransform(), self.viewport().size())
        if seen != self._far_seen:
            self._far_seen, self._far = seen, None
            self._paint_far(painter)
        else:
            # seen before, so it may be so again: while a band selects, only the selection changes
            if self._far is None:
                self._far = self._painted_far()
            painter.drawPixmap(0, 0, self._far)
        painter.setWorldTransform(self.viewportTransform())
        self.overview.paint_selected(painter)
        painter.end()

    def _paint_far(self, painter: QPainter) -> None:
        painter.setWorldTransform(self.viewportTransform())
        self.drawBackground(painter, self.seen_rect())
        self.overview.paint(painter)

    def _painted_far(self) -> QPixmap:
        ratio = self.viewport().devicePixelRatioF()
        found = QPixmap((self.viewport().size().toSizeF() * ratio).toSize())
        found.setDevicePixelRatio(ratio)
        painter = QPainter(found)
        self._paint_far(painter)
        painter.end()
        return found

    def refresh_far(self) -> None:
        """Paint anew what Qt does not know to have changed: from far away, items do not paint themselves."""
        if self.is_far:
            self.viewport().update()
