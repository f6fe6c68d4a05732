"""The pictures of the history as tiles: read page by page, sized to their place, starred, dragged onto each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import (
    QAbstractListModel,
    QBuffer,
    QByteArray,
    QDateTime,
    QEvent,
    QIODevice,
    QLocale,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QIcon,
    QImage,
    QImageWriter,
    QPainter,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from studio.gui.keys.focus_keys import FocusKeys
from studio.gui.seeing.gallery import PAGE, Entry, Gallery, Search
from studio.gui.seeing.viewer import picture_mime
from studio.gui.theme import Theme, icon

THUMBNAIL_PX = 256
"""As it is kept; shown it is as large as there is room for and as is wanted."""
SMALLEST_PX, USUAL_PX = 32, 128
_QUALITY = 88
_KEPT_ICONS = 600
_GAP_PX = 5
_NARROWEST_PX = 84
"""Of a tile, so that some words of a caption can be read."""
_BADGE_PX = 16
_STARRED = int(Qt.ItemDataRole.UserRole)
_GONE = _STARRED + 1
_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


def thumbnail(image: QImage) -> bytes:
    """A picture of at most ``THUMBNAIL_PX`` as the bytes of a file: JPEG, or PNG where it is transparent."""
    small = image
    if max(image.width(), image.height()) > THUMBNAIL_PX:
        small = image.scaled(
            THUMBNAIL_PX,
            THUMBNAIL_PX,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QImageWriter(buffer, QByteArray(b"PNG" if small.hasAlphaChannel() else b"JPEG"))
    writer.setQuality(_QUALITY)
    writer.write(small)
    return bytes(data.data())


class HistoryModel(QAbstractListModel):
    """The entries of a gallery that match a search, read page by page as one scrolls; thumbnails as they are seen."""

    def __init__(self, gallery: Gallery, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gallery = gallery
        self._search = Search()
        self._entries: list[Entry] = []
        self._has_more = True
        self._icons: dict[int, QIcon] = {}
        self._gone: dict[int, bool] = {}
        self.search(self._search)

    def search(self, wanted: Search) -> None:
        """Show the entries that match; looks again which files are there."""
        self.beginResetModel()
        self._search = wanted
        self._gone.clear()
        self._entries = self._gallery.page(wanted)
        self._has_more = len(self._entries) == PAGE
        self.endResetModel()

    @property
    def searched(self) -> Search:
        """What was searched for last."""
        return self._search

    def entry(self, index: _Index) -> Entry:
        """The entry of a row."""
        return self._entries[index.row()]

    def put_first(self, entry: Entry) -> None:
        """Show an entry that was just added to the gallery, if it matches the search."""
        known = [
            row
            for row, each in enumerate(self._entries)
            if (each.path, each.pixels_sha256) == (entry.path, entry.pixels_sha256)
        ]
        self._take(known)
        if [found.id for found in self._gallery.page(self._search, limit=1)] == [entry.id]:
            self.beginInsertRows(_ROOT, 0, 0)
            self._entries.insert(0, entry)
            self.endInsertRows()

    def remove(self, indexes: Sequence[_Index]) -> None:
        """Forget entries; their files stay."""
        rows = sorted(index.row() for index in indexes)
        self._gallery.remove([self._entries[row].id for row in rows])
        self._take(rows)

    def star(self, indexes: Sequence[_Index], is_starred: bool) -> None:
        """Make entries favourites, or no longer."""
        self._gallery.star([self.entry(index).id for index in indexes], is_starred)
        for index in indexes:
            row = index.row()
            self._entries[row] = replace(self._entries[row], is_starred=is_starred)
            self.dataChanged.emit(self.index(row), self.index(row))

    def _take(self, rows: Sequence[int]) -> None:
        for row in reversed(rows):
            self.beginRemoveRows(_ROOT, row, row)
            self._icons.pop(self._entries.pop(row).id, None)
            self.endRemoveRows()

    def look_again(self) -> None:
        """Forget which files are there; they are looked for as they are seen."""
        self._gone.clear()

    def is_gone(self, entry: Entry) -> bool:
        """Whether the file of an entry is not there any more."""
        found = self._gone.get(entry.id)
        if found is None:
            found = self._gone[entry.id] = not entry.path.is_file()
        return found

    # --- what Qt asks

    def rowCount(self, parent: _Index = _ROOT) -> int:
        """Entries read so far."""
        return 0 if parent.isValid() else len(self._entries)

    def canFetchMore(self, parent: _Index) -> bool:
        """Whether there may be older entries."""
        return self._has_more and not parent.isValid()

    def fetchMore(self, parent: _Index) -> None:
        """Read the next page."""
        last = self._entries[-1].id if self._entries else None
        found = self._gallery.page(self._search, before=last)
        self._has_more = len(found) == PAGE
        if found:
            start = len(self._entries)
            self.beginInsertRows(_ROOT, start, start + len(found) - 1)
            self._entries += found
            self.endInsertRows()

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Prompt, thumbnail, badges, and all about an entry as its tool tip."""
        entry = self.entry(index)
        if role == Qt.ItemDataRole.DisplayRole:
            return " ".join((entry.prompt or entry.title or entry.path.name).split())
        if role == Qt.ItemDataRole.DecorationRole:
            return self._icon(entry.id)
        if role == _STARRED:
            return entry.is_starred
        if role == _GONE:
            return self.is_gone(entry)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return self._told(entry)
        return None

    def _told(self, entry: Entry) -> str:
        when = QDateTime.fromMSecsSinceEpoch(entry.time_ms)
        lines = [
            entry.prompt,
            " · ".join(part for part in (entry.title, entry.node) if part),
            QLocale().toString(when, QLocale.FormatType.ShortFormat),
            str(entry.path),
        ]
        if entry.is_starred:
            lines.append(self.tr("A favourite"))
        if not entry.path.is_file():
            lines.append(self.tr("The file is gone; its workflow can still be opened"))
        return "\n".join(line for line in lines if line)

    def _icon(self, entry: int) -> QIcon:
        found = self._icons.get(entry)
        if found is None:
            pixmap = QPixmap()
            pixmap.loadFromData(self._gallery.thumbnail(entry))
            found = QIcon(pixmap)
            if len(self._icons) >= _KEPT_ICONS:
                del self._icons[next(iter(self._icons))]
            self._icons[entry] = found
        return found

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Entries can be dragged out, and onto each other."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsDragEnabled | Qt.ItemFlag.ItemIsDropEnabled

    def supportedDragActions(self) -> Qt.DropAction:
        """Dragging leaves the file where it is."""
        return Qt.DropAction.CopyAction

    def mimeTypes(self) -> list[str]:
        """Files."""
        return ["text/uri-list"]

    def mimeData(self, indexes: Sequence[_Index]) -> QMimeData:
        """The files of entries, as far as they are still there."""
        paths = [self.entry(index).path for index in indexes]
        return picture_mime([path for path in paths if path.is_file()])


class _Tile(QStyledItemDelegate):
    """Paints a picture over its caption, with a star and a mark where the file is gone."""

    def __init__(self, theme: Theme, view: QListView) -> None:
        super().__init__(view)
        self._view = view
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._missing = icon("warning", theme)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Paint a tile."""
        self.initStyleOption(option, index)
        theme = self._theme
        side = self._view.iconSize().height()
        tile = option.rect.adjusted(2, 2, -2, -2)
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        is_current = bool(option.state & QStyle.StateFlag.State_HasFocus)
        if is_chosen:
            painter.fillRect(tile, theme.selection)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(tile, theme.button)
        place = QRect(tile.left() + 2, tile.top() + 2, tile.width() - 4, side)
        found = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(found, QIcon) and not found.isNull():
            ratio = self._view.devicePixelRatioF()
            pixmap = found.pixmap(QSize(place.width(), side), ratio)
            size = pixmap.deviceIndependentSize().toSize()
            area = QRect(0, 0, size.width(), size.height())
            area.moveCenter(place.center())
            painter.setOpacity(0.45 if index.data(_GONE) else 1.0)
            painter.drawPixmap(area, pixmap)
            painter.setOpacity(1.0)
        if index.data(_GONE):
            self._missing.paint(
                painter, QRect(place.left() + 2, place.top() + 2, _BADGE_PX, _BADGE_PX)
            )
        if index.data(_STARRED):
            self._paint_star(painter, place)
        words = QRect(
            place.left(), place.bottom() + 1, place.width(), tile.bottom() - place.bottom()
        )
        text = option.fontMetrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, words.width()
        )
        painter.setPen(theme.accent_text if is_chosen else theme.text)
        painter.drawText(words, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter, text)
        if is_current:
            painter.setPen(QPen(theme.accent, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(tile.adjusted(0, 0, -1, -1))

    def _paint_star(self, painter: QPainter, place: QRect) -> None:
        font = painter.font()
        larger = painter.font()
        larger.setPixelSize(_BADGE_PX)
        box = QRect(place.right() - _BADGE_PX - 3, place.top() + 2, _BADGE_PX + 2, _BADGE_PX + 2)
        # gold on a dark ground shows on every picture
        painter.fillRect(box, QColor(0, 0, 0, 170))
        painter.setFont(larger)
        painter.setPen(QColor("#ffc45c"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "★")
        painter.setFont(font)

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """The size of a tile."""
        return self._view.gridSize()


class HistoryList(QListView):
    """Tiles in rows; a whole row always fits, whatever the height. Ctrl and the wheel make them larger or smaller."""

    keys = FocusKeys()
    dropped_on = Signal(int, int)
    """One picture was dropped on another: the row of the dragged, and of the other."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._wanted = USUAL_PX
        self._dragged: int | None = None
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        self.setDefaultDropAction(Qt.DropAction.CopyAction)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._tile = _Tile(theme, self)
        self.setItemDelegate(self._tile)
        self._fit()

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        return self.keys.handle(event) or super().event(event)

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._tile.set_theme(theme)
        self.viewport().update()

    # --- size

    @property
    def tile_px(self) -> int:
        """How large the pictures are now."""
        return self.iconSize().height()

    def zoom(self, notches: float) -> None:
        """Want larger pictures, or smaller ones."""
        at_least, at_most = SMALLEST_PX, THUMBNAIL_PX
        self._wanted = min(at_most, max(at_least, round(self._wanted * 1.2**notches)))
        self._fit()

    def larger(self) -> None:
        """Want larger pictures."""
        self.zoom(1)

    def smaller(self) -> None:
        """Want smaller pictures."""
        self.zoom(-1)

    def _fit(self) -> None:
        """As large as is wanted, but a whole row in sight."""
        caption = self.fontMetrics().height() + 3
        room = self.viewport().height() - caption - 8
        side = max(SMALLEST_PX, min(self._wanted, room))
        if side == self.iconSize().height() and self.gridSize().isValid():
            return
        width, height = max(_NARROWEST_PX, side + 8), side + caption + 6
        self.setIconSize(QSize(side, side))
        self.setGridSize(QSize(width + _GAP_PX, height))
        self.verticalScrollBar().setSingleStep(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the tiles to the place."""
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll a row at a time; with Ctrl, change the size."""
        notches = event.angleDelta().y() / 120
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(notches)
        else:
            bar = self.verticalScrollBar()
            bar.setValue(round(bar.value() - notches * bar.singleStep()))
        event.accept()

    # --- one on the other

    def startDrag(self, actions: Qt.DropAction) -> None:
        """Drag the selected pictures out, or one onto another."""
        self._dragged = self.currentIndex().row()
        super().startDrag(actions)
        self._dragged = None

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take our own pictures; files of elsewhere are for the window."""
        if event.source() is self:
            event.acceptProposedAction()
        else:
            event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Say whether there is another picture under the mouse."""
        if self._target(event) is not None:
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        """Compare the two."""
        target = self._target(event)
        if target is None or self._dragged is None:
            event.ignore()
            return
        event.acceptProposedAction()
        self.dropped_on.emit(self._dragged, target)

    def _target(self, event: QDropEvent) -> int | None:
        if event.source() is not self or self._dragged is None:
            return None
        index = self.indexAt(event.position().toPoint())
        return index.row() if index.isValid() and index.row() != self._dragged else None
