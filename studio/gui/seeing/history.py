"""The history: a gallery of finished pictures that survives restarts, to search, compare, restore and drag out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QItemSelection, QModelIndex, QPoint, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QImage, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio.gui.keys.focus_keys import FocusKey, FocusKeys
from studio.gui.seeing.gallery import Entry, Gallery, Search
from studio.gui.seeing.history_list import HistoryList, HistoryModel, thumbnail
from studio.gui.theme import Theme, icon

_SEARCH_DELAY_MS = 150
_LOW_PX = 150
"""Up to this height the search stands beside the pictures: a row of them needs the height more."""
_BESIDE_PX = 170


class History(QWidget):
    """The gallery with its search field."""

    workflow_opened = Signal(str, str)
    """The text of a workflow file, and a title for it."""
    pasted = Signal(object)
    """An Entry whose nodes are wanted in the document."""
    restored = Signal(object)
    """An Entry whose parameters are wanted in the document."""
    shown = Signal(object)
    """An Entry that is to be shown in the viewer."""
    put_beside = Signal(object)
    """An Entry that is to be B in the viewer."""
    compared = Signal(object, object)
    """Two entries, the earlier and the later."""
    compared_with_document = Signal(object)
    """An entry."""
    status = Signal(str)

    def __init__(self, gallery: Gallery, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gallery = gallery
        self._theme = theme
        self.model = HistoryModel(gallery, self)
        self.setAccessibleName(self.tr("History"))
        self.field = QLineEdit(self)
        self.field.setPlaceholderText(self.tr("Search"))
        self.field.setAccessibleName(self.tr("Search the history"))
        self.field.setToolTip(
            self.tr(
                "Words of the prompt, the title, the node or the file; days as 2025-01-31, "
                "2025-01, today, yesterday"
            )
        )
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
        self.favourites = QToolButton(self)
        self.favourites.setCheckable(True)
        self.favourites.setAutoRaise(True)
        self.favourites.setAccessibleName(self.tr("Favourites only"))
        self.favourites.setToolTip(self.tr("Favourites only; S makes one"))
        self.favourites.toggled.connect(self._search)
        self._count = QLabel(self)
        self._count.setProperty("role", "dim")
        self.list = HistoryList(theme, self)
        self.list.setModel(self.model)
        self.list.setAccessibleName(self.tr("Finished pictures"))
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.list.doubleClicked.connect(self.show_selected)
        self.list.dropped_on.connect(self._dropped)
        self.list.keys = self.keys = FocusKeys(self._table())
        self._empty = QLabel(self.list.viewport())
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setProperty("role", "dim")
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.field, 1)
        row.addWidget(self.favourites)
        self._beside = QWidget(self)
        self._head = QBoxLayout(QBoxLayout.Direction.LeftToRight, self._beside)
        self._head.setContentsMargins(0, 0, 0, 0)
        self._head.addLayout(row, 1)
        self._head.addWidget(self._count)
        self._head.addStretch(0)
        inside = QVBoxLayout(self.list.viewport())
        inside.addWidget(self._empty)
        self._layout = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.setContentsMargins(4, 4, 4, 4)
        self._layout.setSpacing(4)
        self._layout.addWidget(self._beside)
        self._layout.addWidget(self.list, 1)
        self.setFocusProxy(self.list)
        self.list.selectionModel().selectionChanged.connect(self._selection_changed)
        for changed in (
            self.model.rowsInserted,
            self.model.rowsRemoved,
            self.model.modelReset,
        ):
            changed.connect(self._refresh)
        self.set_theme(theme)
        self._refresh()

    def _table(self) -> tuple[FocusKey, ...]:
        return (
            FocusKey(("Return", "Enter"), self.tr("Show in the viewer"), self.show_selected),
            FocusKey(("C",), self.tr("Compare the two selected"), self.compare),
            FocusKey(("D",), self.tr("Compare with the document"), self.compare_with_document),
            FocusKey(("B",), self.tr("Show as B in the viewer"), self.show_beside),
            FocusKey(("O",), self.tr("Open the workflow"), self.open_workflow),
            FocusKey(("P",), self.tr("Paste its nodes into the document"), self.paste),
            FocusKey(("V",), self.tr("Restore its parameters in the document"), self.restore),
            FocusKey(("S",), self.tr("A favourite, or no longer"), self.toggle_star),
            FocusKey(("Ctrl+C",), self.tr("Copy the picture"), self.copy),
            FocusKey(("R",), self.tr("Reveal the file"), self.reveal),
            FocusKey(("Ctrl++", "Ctrl+="), self.tr("Larger pictures"), self.list.larger),
            FocusKey(("Ctrl+-",), self.tr("Smaller pictures"), self.list.smaller),
            FocusKey(("Ctrl+F", "/"), self.tr("Search"), self.field.setFocus),
            FocusKey(("Del",), self.tr("Remove from the history"), self.remove),
        )

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self._theme = theme
        self._search_icon.setIcon(icon("search", theme))
        self.favourites.setIcon(icon("star", theme))
        self.list.set_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where it is low, let the search stand beside the pictures."""
        super().resizeEvent(event)
        is_low = self.height() < _LOW_PX
        across, down = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
        self._layout.setDirection(across if is_low else down)
        self._head.setDirection(down if is_low else across)
        self._head.setStretch(2, 1 if is_low else 0)
        self._beside.setMaximumWidth(_BESIDE_PX if is_low else 16777215)

    def showEvent(self, event: QShowEvent) -> None:
        """Look again which files are there."""
        super().showEvent(event)
        self.model.look_again()

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
            thumbnail=thumbnail(image),
        )
        self.model.put_first(entry)

    # --- what is done with the selected

    @property
    def selected(self) -> list[Entry]:
        """The selected entries, the latest first."""
        rows = sorted(self.list.selectionModel().selectedIndexes(), key=QModelIndex.row)
        return [self.model.entry(index) for index in rows]

    def _with_first(self, act: Callable[[Entry], None]) -> None:
        selected = self.selected
        if selected:
            act(selected[0])

    def workflow(self, entry: Entry) -> str:
        """The workflow file of an entry."""
        return self._gallery.workflow(entry.id)

    def thumbnail(self, entry: Entry) -> QImage:
        """The small picture of an entry, which outlives its file."""
        return QImage.fromData(self._gallery.thumbnail(entry.id))

    def show_selected(self) -> None:
        """Ask to show the latest selected picture."""
        self._with_first(self.shown.emit)

    def show_beside(self) -> None:
        """Ask to show the latest selected picture as B."""
        self._with_first(self.put_beside.emit)

    def open_workflow(self) -> None:
        """Ask to open the workflow of the latest selected picture."""
        self._with_first(self._open)

    def _open(self, entry: Entry) -> None:
        self.workflow_opened.emit(self.workflow(entry), entry.title or entry.path.stem)

    def paste(self) -> None:
        """Ask for the nodes of the latest selected picture in the document."""
        self._with_first(self.pasted.emit)

    def restore(self) -> None:
        """Ask for the parameters of the latest selected picture in the document."""
        self._with_first(self.restored.emit)

    def compare(self) -> None:
        """Ask to compare the two selected pictures."""
        selected = self.selected
        if len(selected) == 2:
            self.compared.emit(selected[1], selected[0])
        else:
            self.status.emit(self.tr("Select two pictures to compare"))

    def compare_with_document(self) -> None:
        """Ask to compare the latest selected picture with the document in front."""
        self._with_first(self.compared_with_document.emit)

    def _dropped(self, dragged: int, target: int) -> None:
        pair = [self.model.entry(self.model.index(row)) for row in (dragged, target)]
        self.compared.emit(*sorted(pair, key=_age))

    def toggle_star(self) -> None:
        """Make the selected pictures favourites; if all are, no longer."""
        selected = self.selected
        is_on = not all(entry.is_starred for entry in selected)
        self.model.star(self.list.selectionModel().selectedIndexes(), is_on)
        if self.favourites.isChecked() and not is_on:
            self._search()

    def copy(self) -> None:
        """Put the latest selected picture on the clipboard, as pixels and as a file."""
        selected = self.selected
        if not selected:
            return
        mime = self.model.mimeData(self.list.selectionModel().selectedIndexes())
        image = QImage(str(selected[0].path))
        if image.isNull():
            self._tell_gone(selected[0])
            return
        mime.setImageData(image)
        QGuiApplication.clipboard().setMimeData(mime)
        self.status.emit(self.tr("Picture copied"))

    def _tell_gone(self, entry: Entry) -> None:
        words = self.tr("{} is gone; its workflow can still be opened (O)")
        self.status.emit(words.format(entry.path))

    def reveal(self) -> None:
        """Open the folder of the latest selected picture."""
        selected = self.selected
        if not selected:
            return
        folder = selected[0].path.parent
        if folder.is_dir():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
        else:
            self.status.emit(self.tr("The folder {} is gone").format(folder))

    def remove(self) -> None:
        """Remove the selected pictures from the history; their files stay."""
        self.model.remove(self.list.selectionModel().selectedIndexes())

    def menu(self) -> QMenu:
        """What can be done with the selected pictures."""
        selected = self.selected
        some, one, two = bool(selected), len(selected) == 1, len(selected) == 2
        there = some and selected[0].path.is_file()
        are_starred = some and all(entry.is_starred for entry in selected)
        star = self.tr("No favourite any more\tS") if are_starred else self.tr("A favourite\tS")
        menu = QMenu(self)
        entries: Sequence[tuple[str, Callable[[], object], bool] | None] = (
            (self.tr("Show in the viewer\tReturn"), self.show_selected, some),
            (self.tr("Show as B in the viewer\tB"), self.show_beside, some),
            (self.tr("Compare the two selected\tC"), self.compare, two),
            (self.tr("Compare with the document\tD"), self.compare_with_document, some),
            None,
            (self.tr("Open the workflow\tO"), self.open_workflow, one),
            (self.tr("Paste its nodes into the document\tP"), self.paste, one),
            (self.tr("Restore its parameters in the document\tV"), self.restore, one),
            None,
            (star, self.toggle_star, some),
            (self.tr("Copy the picture\tCtrl+C"), self.copy, there),
            (self.tr("Reveal the file\tR"), self.reveal, some),
            (self.tr("Remove from the history\tDel"), self.remove, some),
        )
        for entry in entries:
            if entry is None:
                menu.addSeparator()
                continue
            text, run, is_enabled = entry
            action = menu.addAction(text)
            action.triggered.connect(run)
            action.setEnabled(is_enabled)
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
        starred = self.favourites.isChecked()
        wanted = Search.parse(self.field.text(), datetime.now().astimezone(), only_starred=starred)
        if wanted != self.model.searched or starred:
            self.model.search(wanted)

    def _selection_changed(self, new: QItemSelection, old: QItemSelection) -> None:
        self._refresh()

    def _refresh(self) -> None:
        total = self._gallery.count()
        chosen = len(self.list.selectionModel().selectedIndexes())
        pictures = self.tr("{count} pictures") if total != 1 else self.tr("{count} picture")
        text = pictures.format(count=total)
        if chosen:
            text = self.tr("{chosen} of {count}").format(chosen=chosen, count=total)
        self._count.setText(text)
        is_empty = self.model.rowCount() == 0
        self._empty.setVisible(is_empty)
        if not total:
            self._empty.setText(self.tr("Pictures that you make appear here"))
        elif self.favourites.isChecked() and not self.field.text().strip():
            self._empty.setText(self.tr("No favourites yet: S makes one of a picture"))
        else:
            self._empty.setText(self.tr("No picture has all of that"))


def _age(entry: Entry) -> int:
    return entry.id
