"""The history: a gallery of finished pictures that survives restarts, to search, compare, restore and drag out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import (
    QAbstractListModel,
    QBuffer,
    QByteArray,
    QDateTime,
    QEvent,
    QIODevice,
    QItemSelection,
    QLocale,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QSize,
    Qt,
    QTimer,
    QUrl,
    Signal,
)
from PySide6.QtGui import QDesktopServices, QIcon, QImage, QImageWriter, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from studio.gui.focus_keys import FocusKey, FocusKeys
from studio.gui.gallery import PAGE, Entry, Gallery
from studio.gui.theme import Theme, icon
from studio.gui.viewer import picture_mime

THUMBNAIL_PX = 128
_KEPT_ICONS = 600
_SEARCH_DELAY_MS = 150
_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


def thumbnail_png(image: QImage) -> bytes:
    """A picture of at most 128 px as PNG."""
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
    QImageWriter(buffer, QByteArray(b"PNG")).write(small)
    return bytes(data.data())


class HistoryModel(QAbstractListModel):
    """The entries of a gallery that match a search, read page by page as one scrolls; thumbnails as they are seen."""

    def __init__(self, gallery: Gallery, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gallery = gallery
        self._search = ""
        self._entries: list[Entry] = []
        self._has_more = True
        self._icons: dict[int, QIcon] = {}
        self.search("")

    def search(self, text: str) -> None:
        """Show the entries in which every word occurs; none: all."""
        self.beginResetModel()
        self._search = text
        self._entries = self._gallery.page(text)
        self._has_more = len(self._entries) == PAGE
        self.endResetModel()

    @property
    def searched(self) -> str:
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

    def _take(self, rows: Sequence[int]) -> None:
        for row in reversed(rows):
            self.beginRemoveRows(_ROOT, row, row)
            self._icons.pop(self._entries.pop(row).id, None)
            self.endRemoveRows()

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
        """Prompt, thumbnail, and all about an entry as its tool tip."""
        entry = self.entry(index)
        if role == Qt.ItemDataRole.DisplayRole:
            return " ".join((entry.prompt or entry.title or entry.path.name).split())
        if role == Qt.ItemDataRole.DecorationRole:
            return self._icon(entry.id)
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
        """Entries can be dragged out."""
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

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


class _List(QListView):
    keys = FocusKeys()

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        return self.keys.handle(event) or super().event(event)


class History(QWidget):
    """The gallery with its search field."""

    workflow_opened = Signal(str, str)
    """The text of a workflow file, and a title for it."""
    shown = Signal(object)
    """An ``Entry`` whose file is to be shown in the viewer."""
    compared = Signal(object, object)
    """Two entries, the earlier and the later."""
    compared_with_document = Signal(object)
    """An entry."""

    def __init__(self, gallery: Gallery, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gallery = gallery
        self._theme = theme
        self.model = HistoryModel(gallery, self)
        self.setAccessibleName(self.tr("History"))
        self.field = QLineEdit(self)
        self.field.setPlaceholderText(self.tr("Search prompts"))
        self.field.setAccessibleName(self.tr("Search prompts"))
        self.field.setClearButtonEnabled(True)
        self._search_icon = self.field.addAction(
            icon("search", theme), QLineEdit.ActionPosition.LeadingPosition
        )
        self._waiting = QTimer(self)
        self._waiting.setSingleShot(True)
        self._waiting.setInterval(_SEARCH_DELAY_MS)
        self._waiting.timeout.connect(self._search)
        self.field.textChanged.connect(self._typed)
        self.field.returnPressed.connect(self._search)
        self._count = QLabel(self)
        self._count.setProperty("role", "dim")
        self.list = _List(self)
        self.list.setModel(self.model)
        self.list.setAccessibleName(self.tr("Finished pictures"))
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(QSize(THUMBNAIL_PX, THUMBNAIL_PX))
        height = THUMBNAIL_PX + self.fontMetrics().height() + 16
        self.list.setGridSize(QSize(THUMBNAIL_PX + 16, height))
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setDragEnabled(True)
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.list.doubleClicked.connect(self.show_selected)
        self.list.keys = self.keys = FocusKeys(
            (
                FocusKey(("Return", "Enter"), self.tr("Show in the viewer"), self.show_selected),
                FocusKey(("O",), self.tr("Open the workflow"), self.open_workflow),
                FocusKey(("C",), self.tr("Compare the two selected"), self.compare),
                FocusKey(("D",), self.tr("Compare with the document"), self.compare_with_document),
                FocusKey(("R",), self.tr("Reveal the file"), self.reveal),
                FocusKey(("Del",), self.tr("Remove from the history"), self.remove),
            )
        )
        self._empty = QLabel(self.list.viewport())
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setProperty("role", "dim")
        row = QHBoxLayout()
        row.addWidget(self.field, 1)
        row.addWidget(self._count)
        inside = QVBoxLayout(self.list.viewport())
        inside.addWidget(self._empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.list, 1)
        self.list.selectionModel().selectionChanged.connect(self._selection_changed)
        for changed in (
            self.model.rowsInserted,
            self.model.rowsRemoved,
            self.model.modelReset,
        ):
            changed.connect(self._refresh)
        self._refresh()

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        self._search_icon.setIcon(icon("search", theme))

    def add(
        self,
        image: QImage,
        *,
        path: Path,
        pixels_sha256: str,
        node: str,
        title: str,
        prompt: str,
        workflow: str,
    ) -> None:
        """Remember a finished picture as the latest."""
        entry = self._gallery.add(
            time_ms=time.time_ns() // 1_000_000,
            path=path.absolute(),
            pixels_sha256=pixels_sha256,
            node=node,
            title=title,
            prompt=prompt,
            workflow=workflow,
            thumbnail=thumbnail_png(image),
        )
        self.model.put_first(entry)

    # --- what is done with the selected

    @property
    def selected(self) -> list[Entry]:
        """The selected entries, the latest first."""
        rows = sorted(self.list.selectionModel().selectedIndexes(), key=QModelIndex.row)
        return [self.model.entry(index) for index in rows]

    def show_selected(self) -> None:
        """Ask to show the latest selected picture, if its file is there."""
        selected = self.selected
        if selected and selected[0].path.is_file():
            self.shown.emit(selected[0])

    def open_workflow(self) -> None:
        """Ask to open the workflow of the latest selected picture."""
        selected = self.selected
        if selected:
            workflow = self._gallery.workflow(selected[0].id)
            self.workflow_opened.emit(workflow, selected[0].title or selected[0].path.stem)

    def compare(self) -> None:
        """Ask to compare the two selected pictures."""
        selected = self.selected
        if self._can_compare(selected):
            self.compared.emit(selected[1], selected[0])

    @staticmethod
    def _can_compare(selected: Sequence[Entry]) -> bool:
        return len(selected) == 2

    def compare_with_document(self) -> None:
        """Ask to compare the latest selected picture with the document in front."""
        selected = self.selected
        if selected:
            self.compared_with_document.emit(selected[0])

    def workflow(self, entry: Entry) -> str:
        """The workflow file of an entry."""
        return self._gallery.workflow(entry.id)

    def thumbnail(self, entry: Entry) -> QImage:
        """The small picture of an entry, which outlives its file."""
        return QImage.fromData(self._gallery.thumbnail(entry.id))

    def reveal(self) -> None:
        """Open the folder of the latest selected picture."""
        selected = self.selected
        if selected and selected[0].path.parent.is_dir():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(selected[0].path.parent)))

    def remove(self) -> None:
        """Remove the selected pictures from the history; their files stay."""
        self.model.remove(self.list.selectionModel().selectedIndexes())

    def menu(self) -> QMenu:
        """What can be done with the selected pictures."""
        selected = self.selected
        there = bool(selected) and selected[0].path.is_file()
        menu = QMenu(self)
        for text, run, enabled in (
            (self.tr("Show in the viewer\tReturn"), self.show_selected, there),
            (self.tr("Compare the two selected\tC"), self.compare, self._can_compare(selected)),
            (self.tr("Compare with the document\tD"), self.compare_with_document, bool(selected)),
            (self.tr("Open the workflow\tO"), self.open_workflow, len(selected) == 1),
            (self.tr("Reveal the file\tR"), self.reveal, bool(selected)),
            (self.tr("Remove from the history\tDel"), self.remove, bool(selected)),
        ):
            action = menu.addAction(text)
            action.triggered.connect(run)
            action.setEnabled(enabled)
        return menu

    def _open_menu(self, position: QPoint) -> None:
        if self.selected:
            menu = self.menu()
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.list.viewport().mapToGlobal(position))

    # --- search

    def _typed(self) -> None:
        self._waiting.start()

    def _search(self) -> None:
        self._waiting.stop()
        if self.field.text() != self.model.searched:
            self.model.search(self.field.text())

    def _selection_changed(self, new: QItemSelection, old: QItemSelection) -> None:
        self._refresh()

    def _refresh(self) -> None:
        total = self._gallery.count()
        chosen = len(self.list.selectionModel().selectedIndexes())
        text = self.tr("{count} pictures").format(count=total)
        if chosen:
            text = self.tr("{chosen} of {count}").format(chosen=chosen, count=total)
        self._count.setText(text)
        is_empty = self.model.rowCount() == 0
        self._empty.setVisible(is_empty)
        self._empty.setText(
            self.tr("No prompt has these words")
            if total
            else self.tr("Pictures that you make appear here")
        )
