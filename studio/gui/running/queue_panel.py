"""The queue as a panel: what runs and how far it is, what waits, what is over; to reorder, drop, open and run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QAbstractTableModel,
    QByteArray,
    QCoreApplication,
    QEvent,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QIcon, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from studio.graph import Difference, diff
from studio.gui.keys.focus_keys import FocusKey, FocusKeys
from studio.gui.lines import Line
from studio.gui.running.queue import Ended, Ending, Job
from studio.gui.running.tracking import duration
from studio.gui.theme import Theme, icon

if TYPE_CHECKING:
    from studio.gui.running.runner import Runner

_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
_MIME = "application/x-emulsion-job"
_FRACTION = Qt.ItemDataRole.UserRole
_SHOWN_DIFFERENCES = 3
_ICONS: dict[Ending, str] = {
    "done": "ok",
    "failed": "error",
    "cancelled": "cancel",
    "crashed": "error",
}

Row = Job | Ended


def differences(runner: Runner, job: Job) -> str:
    """What is in a job's workflow and not in its document as it is now, in a line."""
    parts = []
    watch = runner.watched(job.document)
    if watch is None:
        parts.append(_tr("its document is closed"))
    else:
        now, its = watch.document.workflow, job.workflow
        found = [_difference(one) for one in diff(now.graph, its.graph)]
        names = sorted({*now.groups, *its.groups})
        found += [
            _tr("group {}").format(name)
            for name in names
            if now.groups.get(name) != its.groups.get(name)
        ]
        parts += found[:_SHOWN_DIFFERENCES]
        if len(found) > _SHOWN_DIFFERENCES:
            parts.append(_tr("{} more").format(len(found) - _SHOWN_DIFFERENCES))
        if not found:
            parts.append(_tr("as the document is now"))
    if job.targets:
        parts.insert(0, _tr("to {}").format(", ".join(job.targets)))
    return " · ".join(parts)


def _difference(found: Difference) -> str:
    if found.kind == "removed":
        return _tr("without {}").format(found.node)
    if found.kind == "added":
        return _tr("with {}").format(found.node)
    return f"{found.where} {found.after}"


class QueueModel(QAbstractTableModel):
    """A row for the job that runs, for each that waits in order, for each that is over, the latest first."""

    moved = Signal(str)
    """What was moved, in a line."""

    def __init__(self, runner: Runner, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._queue = runner.queue
        self._theme = theme
        self._icons: dict[str, QIcon] = {}
        self._rows: list[Row] = []
        self._told: dict[int, str] = {}
        """What a job differs in, by its number, as long as it is shown like this."""
        self.refresh()

    def refresh(self) -> None:
        """Take over the queue as it is."""
        self.beginResetModel()
        queue = self._queue
        running = [queue.running] if queue.running is not None else []
        self._rows = [*running, *queue.waiting, *queue.over]
        self._told.clear()
        self.endResetModel()

    def refresh_differences(self) -> None:
        """Some document has changed."""
        self._told.clear()
        if self._rows:
            self.dataChanged.emit(self.index(0, 1), self.index(len(self._rows) - 1, 1))

    def refresh_progress(self) -> None:
        """The job that runs got on."""
        if self._queue.running is not None:
            self.dataChanged.emit(self.index(0, 2), self.index(0, 2))

    def set_theme(self, theme: Theme) -> None:
        """Colour by another theme."""
        self._theme = theme
        self._icons.clear()
        if self._rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._rows) - 1, 2))

    def row(self, index: _Index) -> Row:
        """What a row shows."""
        return self._rows[index.row()]

    def number(self, index: _Index) -> int:
        """The number of a row's job."""
        row = self.row(index)
        return row.job.number if isinstance(row, Ended) else row.number

    def row_of(self, number: int) -> int | None:
        """Where a job is shown."""
        numbers = (row.job.number if isinstance(row, Ended) else row.number for row in self._rows)
        return next((place for place, one in enumerate(numbers) if one == number), None)

    def is_waiting(self, index: _Index) -> bool:
        """Whether a row is a job that waits."""
        return index.isValid() and self.row(index) in self._queue.waiting

    def is_running(self, index: _Index) -> bool:
        """Whether a row is the job that runs."""
        return index.isValid() and self.row(index) == self._queue.running

    # --- what Qt asks

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """A row per job."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        """Workflow, what is in it, state."""
        return 0 if parent.isValid() else 3

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The titles of the columns."""
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return (_tr("Workflow"), _tr("What is different in it"), _tr("State"))[section]

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What a cell shows."""
        row, column = self.row(index), index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._text(row, column)
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return self._icon(row)
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._color(row, column)
        if role == _FRACTION and column == 2 and self.is_running(index):
            return self._runner.pace.fraction
        return None

    def _text(self, row: Row, column: int) -> str:
        job = row.job if isinstance(row, Ended) else row
        if column == 0:
            return job.title
        if column == 1:
            if job.number not in self._told:
                self._told[job.number] = differences(self._runner, job)
            return self._told[job.number]
        if isinstance(row, Ended):
            return self._how(row)
        if row == self._queue.running:
            return self._progress(row)
        if row.kind == "live":
            return _tr("next: live")
        place = self._queue.waiting.index(row)
        if self._queue.hold:
            return _tr("held")
        return _tr("next") if place == 0 else _tr("{} in front").format(place)

    def _how(self, row: Ended) -> str:
        if row.how == "done":
            return row.words
        if row.how == "cancelled":
            return _tr("cancelled after {}").format(duration(row.seconds))
        word = _tr("worker crashed") if row.how == "crashed" else _tr("failed")
        return f"{word}: {row.words}" if row.words else word

    def _progress(self, job: Job) -> str:
        pace = self._runner.pace
        parts = [pace.words or _tr("starting")]
        eta = pace.eta_seconds
        if eta:
            parts.append(_tr("about {} in all").format(duration(eta)))
        if job.kind == "live":
            parts.insert(0, _tr("live"))
        return " · ".join(parts)

    def _icon(self, row: Row) -> QIcon:
        if isinstance(row, Ended):
            name = _ICONS[row.how]
        elif row == self._queue.running:
            name = "state_running"
        else:
            name = "live" if row.kind == "live" else "state_will_run"
        if name not in self._icons:
            self._icons[name] = icon(name, self._theme)
        return self._icons[name]

    def _color(self, row: Row, column: int) -> object:
        theme = self._theme
        if isinstance(row, Ended):
            is_bad = row.how in ("failed", "crashed")
            return theme.error if is_bad and column == 2 else theme.text_dim
        return theme.text_dim if column == 1 else None

    # --- dragging

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """What waits can be dragged; things can be dropped between rows."""
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsDragEnabled if self.is_waiting(index) else flags

    def supportedDropActions(self) -> Qt.DropAction:
        """Jobs are moved."""
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        """Jobs."""
        return [_MIME]

    def mimeData(self, indexes: Sequence[_Index]) -> QMimeData:
        """The number of the job."""
        data = QMimeData()
        numbers = sorted({self.number(index) for index in indexes})
        data.setData(_MIME, QByteArray(",".join(map(str, numbers)).encode()))
        return data

    def dropMimeData(
        self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: _Index
    ) -> bool:
        """Put a job where it was dropped, between rows or on one."""
        if not data.hasFormat(_MIME):
            return False
        number = int(bytes(data.data(_MIME).data()).decode().partition(",")[0])
        target = row if row >= 0 else parent.row() if parent.isValid() else len(self._rows)
        place = target - (self._queue.running is not None)
        waiting = [job.number for job in self._queue.waiting]
        if number not in waiting:
            return False
        # the row itself is taken away before it is put back
        place -= place > waiting.index(number)
        self._queue.move(number, place)
        self.moved.emit(_tr("The run was moved to place {}").format(max(place, 0) + 1))
        return True


class _Bar(QStyledItemDelegate):
    """Paints how far a job is behind the words that say so."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """A bar, then the words."""
        fraction = index.data(_FRACTION)
        if isinstance(fraction, float):
            area = QRectF(option.rect).adjusted(2, 2, -2, -2)
            color = QColor(self.theme.running)
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            color.setAlphaF(0.14)
            painter.setBrush(color)
            painter.drawRoundedRect(area, 3, 3)
            color.setAlphaF(0.34)
            painter.setBrush(color)
            area.setWidth(area.width() * fraction)
            painter.drawRoundedRect(area, 3, 3)
            painter.restore()
        super().paint(painter, option, index)


class _View(QTreeView):
    """The table; it says so where it is empty."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.keys = FocusKeys()

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        return self.keys.handle(event) or super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the rows, or what would stand here."""
        super().paintEvent(event)
        if self.model().rowCount() == 0:
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().placeholderText().color())
            area = self.viewport().rect().adjusted(16, 8, -16, -8)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(
                area, flags, _tr("What is asked to run while something else runs waits here.")
            )


class QueuePanel(QWidget):
    """The table under a line that sums it up, with what can be done."""

    status = Signal(str)
    """What has just happened, in a line."""
    open_asked = Signal(object)
    """A Job whose workflow is to be opened as a document."""
    counted = Signal(int)
    """How many jobs run or wait, whenever that changes."""

    def __init__(self, runner: Runner, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._queue = runner.queue
        self._count = 0
        self.summary = Line()
        self.summary.setProperty("role", "title")
        self.model = QueueModel(runner, theme, self)
        self._bar = _Bar(theme, self)
        self.view = _View(self)
        self._set_up_view()
        self.hold = self._button(self.tr("Hold"), self.toggle_hold)
        self.hold.setCheckable(True)
        self.clear = self._button(self.tr("Drop all"), self.drop_all)
        self.tidy = self._button(self.tr("Forget what is over"), self.forget_over)
        self._keys = FocusKeys(
            [
                FocusKey(("Alt+Up",), self.tr("Earlier"), self.move_up),
                FocusKey(("Alt+Down",), self.tr("Later"), self.move_down),
                FocusKey(("Alt+Home",), self.tr("Run next"), self.move_first),
                FocusKey(("Del", "Backspace"), self.tr("Drop, cancel or forget"), self.remove),
                FocusKey(("Return", "Enter"), self.tr("Open as a document"), self.open),
                FocusKey(("R",), self.tr("Run again"), self.run_again),
            ]
        )
        self.view.keys = self._keys
        row = QHBoxLayout()
        row.addWidget(self.summary, 1)
        for button in (self.hold, self.clear, self.tidy):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 4)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.view, 1)
        self.setFocusProxy(self.view)
        self.set_theme(theme)
        self.model.moved.connect(self.status)
        self._queue.changed.connect(self._refresh)
        runner.progressed.connect(self._progressed)
        self._refresh()

    def _set_up_view(self) -> None:
        view = self.view
        view.setModel(self.model)
        view.setAccessibleName(self.tr("Queue"))
        view.setRootIsDecorated(False)
        view.setUniformRowHeights(True)
        view.setAllColumnsShowFocus(True)
        view.setFrameShape(QFrame.Shape.NoFrame)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        view.setDefaultDropAction(Qt.DropAction.MoveAction)
        view.setDropIndicatorShown(True)
        view.setItemDelegateForColumn(2, self._bar)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._menu)
        view.doubleClicked.connect(self.open)
        view.setHeaderHidden(True)
        header = view.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for column, width in ((0, 190), (2, 300)):
            view.setColumnWidth(column, width)

    def _button(self, text: str, run: Callable[[], object]) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setAccessibleName(text)
        button.setAutoRaise(True)
        button.setIconSize(QSize(16, 16))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.clicked.connect(run)
        return button

    def set_theme(self, theme: Theme) -> None:
        """Colour by another theme."""
        self._theme = theme
        self._bar.theme = theme
        self.model.set_theme(theme)
        self.clear.setIcon(icon("remove", theme))
        self.tidy.setIcon(icon("delete", theme))
        self._show_hold()

    def key_rows(self) -> list[tuple[str, str]]:
        """What can be done with keys, for the sheet of keys."""
        return self._keys.rows()

    # --- what is shown

    def _refresh(self) -> None:
        kept = self._chosen()
        place = self.view.currentIndex().row()
        self.model.refresh()
        row = self.model.row_of(kept) if kept is not None else None
        if row is None and kept is not None and self.model.rowCount():
            row = min(place, self.model.rowCount() - 1)
        if row is not None:
            self.view.setCurrentIndex(self.model.index(row, 0))
        self._sum_up()
        self._show_hold()
        queue = self._queue
        self.clear.setEnabled(bool(queue.waiting))
        self.tidy.setEnabled(bool(queue.over))
        count = len(queue.waiting) + (queue.running is not None)
        if count != self._count:
            self._count = count
            self.counted.emit(count)

    def _progressed(self) -> None:
        self.model.refresh_progress()

    def document_changed(self) -> None:
        """What differs from a document may be something else now."""
        self.model.refresh_differences()

    def _sum_up(self) -> None:
        queue = self._queue
        waiting = len(queue.waiting)
        parts = []
        if queue.running is not None:
            parts.append(self.tr("1 running"))
        if waiting:
            parts.append(self.tr("{} waiting").format(waiting))
        if queue.hold == "crash":
            parts.append(self.tr("held after the worker crashed"))
        elif queue.hold:
            parts.append(self.tr("held"))
        self.summary.setText(", ".join(parts) or self.tr("Nothing runs or waits"))

    def _show_hold(self) -> None:
        is_held = bool(self._queue.hold)
        self.hold.setChecked(is_held)
        self.hold.setText(self.tr("Go on") if is_held else self.tr("Hold"))
        self.hold.setAccessibleName(self.hold.text())
        self.hold.setToolTip(
            self.tr("Let what waits go on")
            if is_held
            else self.tr("Start nothing that waits until told to go on")
        )
        self.hold.setIcon(icon("play" if is_held else "pause", self._theme))

    # --- what is done

    def _chosen(self) -> int | None:
        index = self.view.currentIndex()
        return self.model.number(index) if index.isValid() else None

    def _row(self) -> Row | None:
        index = self.view.currentIndex()
        return self.model.row(index) if index.isValid() else None

    def toggle_hold(self) -> None:
        """Hold back what waits, or let it go on."""
        is_held = bool(self._queue.hold)
        self._queue.set_hold("" if is_held else "asked")
        self._show_hold()
        self.status.emit(self.tr("The queue goes on") if is_held else self.tr("The queue is held"))

    def drop_all(self) -> None:
        """Let nothing wait."""
        count = self._queue.clear()
        self.status.emit(self.tr("Dropped what waited: {}").format(count))

    def forget_over(self) -> None:
        """Show nothing that is over."""
        self._queue.forget_all()
        self.status.emit(self.tr("What is over is not shown any more"))

    def move_up(self) -> None:
        """Let the chosen job run earlier."""
        self._move(-1)

    def move_down(self) -> None:
        """Let the chosen job run later."""
        self._move(+1)

    def _move(self, by: int) -> None:
        row = self._row()
        if isinstance(row, Job) and row in self._queue.waiting:
            self._put(row, max(self._queue.waiting.index(row) + by, 0))

    def move_first(self) -> None:
        """Let the chosen job run next."""
        row = self._row()
        if isinstance(row, Job) and row in self._queue.waiting:
            self._put(row, 0)

    def _put(self, job: Job, place: int) -> None:
        self._queue.move(job.number, place)
        now = next(at for at, one in enumerate(self._queue.waiting) if one.number == job.number)
        self.status.emit(self.tr("The run was moved to place {}").format(now + 1))

    def remove(self) -> None:
        """Drop a job that waits, cancel the one that runs, forget one that is over."""
        row = self._row()
        if isinstance(row, Ended):
            self._queue.forget(row.job.number)
        elif row is not None and row == self._queue.running:
            self._runner.cancel()
        elif row is not None and self._queue.remove(row.number) is not None:
            self.status.emit(self.tr("Dropped from the queue: {}").format(row.title))

    def open(self) -> None:
        """Open the workflow of the chosen job as a document."""
        row = self._row()
        if row is not None:
            self.open_asked.emit(row.job if isinstance(row, Ended) else row)

    def run_again(self) -> None:
        """Run a job that is over once more."""
        row = self._row()
        if isinstance(row, Ended):
            self._runner.run_again(row)

    def _menu(self, at: QPoint) -> None:
        index = self.view.indexAt(at)
        if not index.isValid():
            return
        self.view.setCurrentIndex(index)
        self.menu().popup(self.view.viewport().mapToGlobal(at))

    def menu(self) -> QMenu:
        """What can be done with the chosen job."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        row = self._row()
        menu.addAction(self.tr("&Open as a document"), self.open)
        if isinstance(row, Ended):
            menu.addAction(self.tr("Run &again"), self.run_again)
            menu.addAction(self.tr("&Forget"), self.remove)
        elif row is not None and row == self._queue.running:
            menu.addAction(self.tr("&Cancel"), self.remove)
        else:
            menu.addAction(self.tr("Run &next"), self.move_first)
            menu.addAction(self.tr("&Earlier"), self.move_up)
            menu.addAction(self.tr("&Later"), self.move_down)
            menu.addAction(self.tr("&Drop"), self.remove)
        return menu


def _tr(text: str) -> str:
    return QCoreApplication.translate("QueuePanel", text)
