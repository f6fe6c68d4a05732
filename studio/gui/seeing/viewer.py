"""The viewer: one picture large, or two compared; zoom to pixels, copy, save, drag out."""

from __future__ import annotations

import shutil
from pathlib import Path

from PySide6.QtCore import (
    QByteArray,
    QEvent,
    QMimeData,
    QPoint,
    QPointF,
    QSize,
    Qt,
    QTemporaryDir,
    QUrl,
    Signal,
)
from PySide6.QtGui import (
    QCloseEvent,
    QColor,
    QDrag,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QImageReader,
    QImageWriter,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
)
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio.errors import OutputError
from studio.gui.keys.focus_keys import FocusKey, FocusKeys
from studio.gui.seeing.surface import Arrangement, Shown, Slot, Surface, Tool
from studio.gui.shell.dropping import PICTURES
from studio.gui.states import Failure
from studio.gui.theme import Theme, icon

_DRAG_ICON_PX = 96


class _Line(QWidget):
    """One line of text that is cut with an ellipsis; dragging it drags the picture out."""

    dragged_out = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.text = ""
        self.detail = ""
        self.swatch: QColor | None = None
        self._start: QPointF | None = None
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip(self.tr("Drag to use the picture elsewhere"))

    def show_text(self, text: str) -> None:
        self.text = text
        self.setAccessibleName(text)
        self.update()

    def show_detail(self, detail: str, swatch: QColor | None) -> None:
        self.detail = detail
        self.swatch = swatch
        self.update()

    def sizeHint(self) -> QSize:
        """A size at which it is usable."""
        return QSize(200, self.fontMetrics().height() + 6)

    def minimumSizeHint(self) -> QSize:
        """The least size at which it is usable."""
        return QSize(40, self.fontMetrics().height() + 6)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint."""
        painter = QPainter(self)
        painter.setPen(self.palette().windowText().color())
        metrics = self.fontMetrics()
        box = self.rect().adjusted(6, 0, -6, 0)
        taken = 0
        if self.detail:
            taken = min(box.width(), metrics.horizontalAdvance(self.detail))
            align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(box, align, self.detail)
            if self.swatch is not None:
                side = metrics.ascent()
                top = (self.height() - side) // 2
                painter.fillRect(box.right() - taken - side - 6, top, side, side, self.swatch)
                taken += side + 6
            taken += 10
        room = box.adjusted(0, 0, -taken, 0)
        shown = metrics.elidedText(self.text, Qt.TextElideMode.ElideRight, max(0, room.width()))
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, shown)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a gesture."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._start = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a gesture."""
        if self._start is None:
            return
        if (event.position() - self._start).manhattanLength() >= QApplication.startDragDistance():
            self._start = None
            self.dragged_out.emit()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a gesture."""
        self._start = None


class Viewer(QWidget):
    """Two slots of pictures, A and B, with the ways to look at and compare them.

    Its keys count while it has the focus. It never writes a file by itself: ``save_requested`` asks for a name,
    ``write`` writes.
    """

    save_requested = Signal()
    status = Signal(str)
    """A line for the window's status bar."""
    stepped = Signal(int)
    """The next picture of a batch is wanted (1), or the one before (-1)."""
    file_dropped = Signal(Path)
    """A picture file was dropped on it."""
    keys = FocusKeys()
    """Empty until it is built: Qt sends events before."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._hover: QPointF | None = None
        self._folder: QTemporaryDir | None = None
        self.surface = Surface(theme, self)
        self.caption = _Line(self)
        self.keys = FocusKeys(self._table())
        self._buttons: dict[str, QToolButton] = {}
        self._bar = QHBoxLayout()
        self._bar.setContentsMargins(4, 2, 4, 2)
        self._bar.setSpacing(2)
        for name, text, key, run in (
            ("fit", self.tr("Fit"), "F", self.fit),
            ("actual_size", self.tr("100 %"), "1", self.show_pixels),
            ("pin", self.tr("Keep as B to compare with"), "K", self.keep),
            ("compare", self.tr("Wipe between A and B"), "W", self.toggle_wipe),
            ("side_by_side", self.tr("A and B side by side"), "S", self.toggle_side),
            ("difference", self.tr("Difference of A and B"), "D", self.toggle_difference),
            ("expand", self.tr("Whole screen"), "Return", self.toggle_whole),
            ("duplicate", self.tr("Copy the picture"), "Ctrl+C", self.copy),
            ("save", self.tr("Save the picture…"), "Ctrl+S", self.save),
        ):
            button = QToolButton(self)
            button.setAutoRaise(True)
            button.setAccessibleName(text)
            button.setToolTip(f"{text} ({key})")
            button.setCheckable(name in ("compare", "side_by_side", "difference"))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(run)
            self._buttons[name] = button
            self._bar.addWidget(button)
        self._bar.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._bar)
        layout.addWidget(self.surface, 1)
        layout.addWidget(self.caption)
        self.setFocusProxy(self.surface)
        self.setAcceptDrops(True)
        self.setAccessibleName(self.tr("Viewer"))
        self.surface.camera_changed.connect(self._refresh)
        self.surface.hovered.connect(self._hovered)
        self.surface.dragged_out.connect(self.drag_out)
        self.caption.dragged_out.connect(self.drag_out)
        self.set_theme(theme)

    def _table(self) -> tuple[FocusKey, ...]:
        return (
            FocusKey(("F", "0"), self.tr("Show the whole picture"), self.fit),
            FocusKey(("1",), self.tr("Show at 100 %"), self.show_pixels),
            FocusKey(("+", "=", "Shift++"), self.tr("Zoom in"), self._zoom_in),
            FocusKey(("-",), self.tr("Zoom out"), self._zoom_out),
            FocusKey(("K",), self.tr("Keep the picture as B"), self.keep),
            FocusKey(("X",), self.tr("Show A or B"), self.flip),
            FocusKey(("W",), self.tr("Wipe between A and B"), self.toggle_wipe),
            FocusKey(("S",), self.tr("A and B side by side"), self.toggle_side),
            FocusKey(("D",), self.tr("Difference of A and B"), self.toggle_difference),
            FocusKey(("Left",), self.tr("Picture before; view or wipe to the left"), self._left),
            FocusKey(("Right",), self.tr("Next picture; view or wipe to the right"), self._right),
            FocusKey(("PgUp",), self.tr("The picture before, of a batch"), self._before),
            FocusKey(("PgDown",), self.tr("The next picture of a batch"), self._after),
            FocusKey(("Return", "Enter"), self.tr("Whole screen, and back"), self.toggle_whole),
            FocusKey(("Esc",), self.tr("Back from the whole screen"), self.leave_whole),
            FocusKey(("Up",), self.tr("Move the view up, or amplify differences"), self._up),
            FocusKey(("Down",), self.tr("Move the view down, or amplify less"), self._down),
            FocusKey(("Ctrl+C",), self.tr("Copy the picture"), self.copy),
            FocusKey(("Ctrl+S",), self.tr("Save the picture"), self.save),
        )

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        return self.keys.handle(event) or super().event(event)

    # --- the whole screen

    def toggle_whole(self) -> None:
        """Fill the screen, or go back to the panel."""
        if self.isWindow():
            self.leave_whole()
        elif self.parentWidget() is not None:
            self.setWindowFlag(Qt.WindowType.Window, True)
            self.setWindowTitle(self.caption.text or self.tr("Viewer"))
            self.showFullScreen()
            self.surface.setFocus(Qt.FocusReason.OtherFocusReason)

    def leave_whole(self) -> None:
        """Go back to the panel."""
        if self.isWindow() and self.parentWidget() is not None:
            self.setWindowFlag(Qt.WindowType.Window, False)
            self.show()
            self.window().activateWindow()
            self.surface.setFocus(Qt.FocusReason.OtherFocusReason)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closing the whole screen is going back."""
        if self.isWindow() and self.parentWidget() is not None:
            event.ignore()
            self.leave_whole()

    # --- files dropped

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take one picture file."""
        if _dropped(event.mimeData()) is not None and not self._is_own(event):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand a picture file on."""
        path = _dropped(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.file_dropped.emit(path)

    def _is_own(self, event: QDropEvent) -> bool:
        source = event.source()
        return isinstance(source, QWidget) and (source is self or self.isAncestorOf(source))

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        for name, button in self._buttons.items():
            button.setIcon(icon(name, theme))
        self.surface.set_theme(theme)
        self._refresh()

    # --- what is shown

    def set_image(
        self,
        slot: Slot,
        image: QImage,
        caption: str = "",
        *,
        path: Path | None = None,
        size: QSize | None = None,
    ) -> None:
        """Show a picture in a slot; a failure shown before is over.

        ``path``: the file it came from. ``size``: of the whole picture, if ``image`` is a small preview of it.
        """
        self.surface.failure = None
        self.surface.put(slot, None if image.isNull() else Shown(image, caption, path, size))
        self._refresh()

    def clear(self, slot: Slot | None = None) -> None:
        """Empty one slot, or both."""
        for each in ("A", "B") if slot is None else (slot,):
            self.surface.put("A" if each == "A" else "B", None)
        self.surface.failure = None
        self._refresh()

    def set_failure(self, failure: Failure | None) -> None:
        """Say why there is no picture, over the last one if there is one; None: take it away."""
        self.surface.failure = failure
        self.surface.update()
        self._refresh()

    def set_tool(self, tool: Tool | None) -> None:
        """Give the left button to a tool, such as the mask brush; comparing ends."""
        if tool is not None:
            self.surface.bring(self.surface.front)
        self.surface.set_tool(tool)
        self._refresh()

    @property
    def current(self) -> Shown | None:
        """What would be copied or saved: the front picture, A while comparing, or the difference."""
        if self.surface.arrangement == "difference":
            return Shown(self.surface.difference(), self.tr("difference"))
        slot: Slot = self.surface.front if self.surface.arrangement == "single" else "A"
        return self.surface.slot(slot)

    # --- looking

    def fit(self) -> None:
        """Show the whole picture."""
        self.surface.fit()

    def show_pixels(self) -> None:
        """Show a pixel of the picture on a pixel of the screen."""
        self.surface.zoom_to(1.0, self._hover)

    def _zoom_in(self) -> None:
        self.surface.zoom_to(self.surface.camera.zoom * 2, self._hover)

    def _zoom_out(self) -> None:
        self.surface.zoom_to(self.surface.camera.zoom / 2, self._hover)

    def keep(self) -> None:
        """Put the picture of A into B as well, to compare the next one with."""
        shown = self.surface.slot("A")
        if shown is None:
            return
        self.surface.put("B", shown)
        self.status.emit(self.tr("Kept as B: W wipes, S shows side by side, D the difference"))
        self._refresh()

    def flip(self) -> None:
        """Show the other slot by itself."""
        other: Slot = "B" if self.surface.front == "A" else "A"
        if self.surface.slot(other) is not None:
            self.surface.bring(other)
        self._refresh()

    def toggle_wipe(self) -> None:
        """Compare by a line that can be dragged."""
        self._toggle("wipe")

    def toggle_side(self) -> None:
        """Compare side by side."""
        self._toggle("side")

    def toggle_difference(self) -> None:
        """Compare by the amplified difference."""
        self._toggle("difference")

    def _toggle(self, arrangement: Arrangement) -> None:
        if self.surface.slot("A") is None or self.surface.slot("B") is None:
            self.status.emit(self.tr("Nothing to compare with: keep a picture as B first (K)"))
        elif self.surface.tool is None:
            same = self.surface.arrangement == arrangement
            self.surface.arrange("single" if same else arrangement)
        self._refresh()

    @property
    def is_comparing(self) -> bool:
        """Whether A and B are shown against each other."""
        return self.surface.arrangement != "single"

    def _before(self) -> None:
        self.stepped.emit(-1)

    def _after(self) -> None:
        self.stepped.emit(1)

    def _left(self) -> None:
        self._shift(-1, 0)

    def _right(self) -> None:
        self._shift(1, 0)

    def _up(self) -> None:
        self._shift(0, -1)

    def _down(self) -> None:
        self._shift(0, 1)

    def _shift(self, right: int, down: int) -> None:
        surface = self.surface
        if surface.arrangement == "wipe" and right:
            surface.set_divider(surface.divider + right / 100)
        elif surface.arrangement == "difference" and down:
            surface.gain = min(64, max(1, surface.gain // 2 if down > 0 else surface.gain * 2))
            surface.update()
        elif right and surface.arrangement == "single" and surface.camera.is_fitted:
            # there is nowhere to move to
            self.stepped.emit(right)
        else:
            middle = QPointF(surface.width() / 2, surface.height() / 2)
            step = QPointF(right * surface.width() / 8, down * surface.height() / 8)
            moved = surface.to_picture(middle + step) - surface.to_picture(middle)
            camera = surface.camera
            x, y = camera.x + moved.x(), camera.y + moved.y()
            surface.look(type(camera)(camera.zoom, x, y, is_fitted=False))
        self._refresh()

    # --- the line below

    def _hovered(self, position: object) -> None:
        self._hover = position if isinstance(position, QPointF) else None
        self._refresh_pixel()

    def _refresh(self) -> None:
        surface = self.surface
        shown = self.current
        comparing = surface.slot("A") is not None and surface.slot("B") is not None
        for name, arrangement in (
            ("compare", "wipe"),
            ("side_by_side", "side"),
            ("difference", "difference"),
        ):
            self._buttons[name].setEnabled(comparing and surface.tool is None)
            self._buttons[name].setChecked(surface.arrangement == arrangement)
        for name in ("fit", "actual_size", "pin", "expand", "duplicate", "save"):
            self._buttons[name].setEnabled(shown is not None)
        text = self._described(shown) if shown is not None else ""
        self.caption.show_text(text)
        failure = surface.failure
        spoken = str(failure) if failure else (text or surface.empty_text)
        surface.setAccessibleDescription(spoken)
        self._refresh_pixel()

    def _described(self, shown: Shown) -> str:
        surface = self.surface
        size = f"{shown.extent.width()} × {shown.extent.height()}"
        parts = [self._named(shown), size, f"{surface.camera.zoom * 100:.0f} %"]
        if surface.arrangement == "difference":
            first, second = surface.slot("A"), surface.slot("B")
            same = first is not None and second is not None and first.image == second.image
            told = self.tr("identical") if same else f"× {surface.gain}"
            parts[0] = f"A − B {told}"
        return " · ".join(part for part in parts if part)

    def _named(self, shown: Shown) -> str:
        second = self.surface.slot("B")
        if self.surface.arrangement in ("wipe", "side") and second is not None:
            return f"A {shown.caption} | B {second.caption}"
        return shown.caption if second is None else f"{self.surface.front} {shown.caption}"

    def _refresh_pixel(self) -> None:
        shown = self.current
        if self._hover is None or shown is None:
            self.caption.show_detail("", None)
            return
        surface = self.surface
        if surface.arrangement in ("wipe", "side"):
            shown = surface.slot(surface.slot_at(self._hover)) or shown
        point = surface.to_picture(self._hover)
        x, y = int(point.x()), int(point.y())
        extent, image = surface.extent, shown.image
        column = min(image.width() - 1, x * image.width() // max(1, extent.width()))
        row = min(image.height() - 1, y * image.height() // max(1, extent.height()))
        color = image.pixelColor(column, row)
        values = f"{color.red()} {color.green()} {color.blue()}"
        if image.hasAlphaChannel():
            values += f" · α {color.alpha()}"
        self.caption.show_detail(f"{x}, {y} · {values}", color)

    # --- taking it elsewhere

    def copy(self) -> None:
        """Put the picture on the clipboard."""
        shown = self.current
        if shown is not None:
            QGuiApplication.clipboard().setImage(shown.image)
            self.status.emit(self.tr("Picture copied"))

    def save(self) -> None:
        """Ask for a name to save the picture under."""
        if self.current is not None:
            self.save_requested.emit()

    def write(self, path: Path) -> None:
        """Write the picture: its own file with the workflow inside if there is one, else the pixels as PNG.

        Raises OutputError if there is no picture or the system refuses.
        """
        shown = self.current
        if shown is None:
            raise OutputError("there is no picture to save", remedy="run the workflow first")
        source = shown.path
        try:
            if source is not None and source.is_file() and source.suffix == path.suffix:
                if source.resolve() != path.resolve():
                    shutil.copyfile(source, path)
                return
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror})",
                where=str(path),
                remedy="choose another folder",
            ) from error
        if not _write_png(shown.image, path):
            raise OutputError("cannot be written", where=str(path), remedy="choose another folder")

    def mime_data(self) -> QMimeData | None:
        """The picture as pixels and as a file: its own, or a temporary PNG that lives as long as the viewer."""
        shown = self.current
        if shown is None:
            return None
        path = shown.path
        if path is None or not path.is_file():
            if self._folder is None:
                self._folder = QTemporaryDir()
            path = Path(self._folder.path()) / f"picture-{shown.image.cacheKey()}.png"
            _write_png(shown.image, path)
        return picture_mime([path], shown.image)

    def drag_out(self) -> None:
        """Begin to drag the picture to another program or part of the window."""
        mime, shown = self.mime_data(), self.current
        if mime is not None and shown is not None:
            start_drag(self, mime, shown.image)


def read_picture(path: Path) -> QImage:
    """A picture file, turned as its camera says; null if it cannot be read."""
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    # by what is in it: names may lie
    reader.setDecideFormatFromContent(True)
    return reader.read()


def _dropped(mime: QMimeData) -> Path | None:
    """The one picture file that is dragged; None for anything else."""
    paths = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    is_picture = len(paths) == 1 and paths[0].suffix.lower() in PICTURES
    return paths[0] if is_picture else None


def _write_png(image: QImage, path: Path) -> bool:
    # not QImage.save: what type it wants its format in differs between its stubs and PySide6 6.11
    return QImageWriter(str(path), QByteArray(b"PNG")).write(image)


def picture_mime(paths: list[Path], image: QImage | None = None) -> QMimeData:
    """Picture files, and the pixels of one, as other programs take them."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    if image is not None:
        mime.setImageData(image)
    return mime


def start_drag(source: QWidget, mime: QMimeData, image: QImage) -> None:
    """Drag with a small picture under the cursor, until the button is released."""
    drag = QDrag(source)
    drag.setMimeData(mime)
    small = image.scaled(
        _DRAG_ICON_PX,
        _DRAG_ICON_PX,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    drag.setPixmap(QPixmap.fromImage(small))
    drag.setHotSpot(QPoint(small.width() // 2, small.height() // 2))
    drag.exec(Qt.DropAction.CopyAction)
