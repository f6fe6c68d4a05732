"""What two pictures have not in common, as a table: pixels in a line, then each parameter, link and node."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QGuiApplication,
    QPainter,
    QPalette,
    QTextCharFormat,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from studio.comparison import Change, Span, marked
from studio.graph import Graph, Json, Node
from studio.gui.keys.focus_keys import FocusKey, FocusKeys
from studio.gui.lines import Line
from studio.gui.seeing.surface import Slot
from studio.gui.theme import Theme
from studio.pixels import Distance, Sizes

_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
_SPANS = int(Qt.ItemDataRole.UserRole)
"""The words of a cell that the other side has not."""
_MOST_LINES = 4
_PAD_PX = 4
_LONGEST = 400


class CompareModel(QAbstractTableModel):
    """The changes between A and B: what, in A, in B."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._changes: Sequence[Change] = ()
        self._names = ("A", "B")

    def show_changes(self, changes: Sequence[Change], names: tuple[str, str]) -> None:
        """Take over what differs between the sides of these names."""
        self.beginResetModel()
        self._changes = tuple(changes)
        self._names = names
        self.endResetModel()

    def set_theme(self, theme: Theme) -> None:
        """Colour by another theme."""
        self._theme = theme
        if self._changes:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._changes) - 1, 2))

    @property
    def changes(self) -> Sequence[Change]:
        """What is shown, row by row."""
        return self._changes

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """A row per change."""
        return 0 if parent.isValid() else len(self._changes)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        """What, in A, in B."""
        return 0 if parent.isValid() else 3

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The titles of the columns: the names of the sides."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return (_tr("What differs"), *self._names)[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What a cell shows."""
        change, column = self._changes[index.row()], index.column()
        texts = (what(change), side(change, "A"), side(change, "B"))
        if role == Qt.ItemDataRole.DisplayRole:
            return texts[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return texts[column]
        if role == _SPANS and column and is_text(change):
            return marked(texts[1], texts[2])[column - 1]
        if role == Qt.ItemDataRole.ForegroundRole:
            is_nothing = column > 0 and texts[column] == _NOTHING
            return self._theme.text_dim if is_nothing or change.difference is None else None
        return None


_NOTHING = "–"


def what(change: Change) -> str:
    """What a change is about, for people."""
    one = change.difference
    if one is None:
        return change.where
    kinds = {
        "added": _tr("node"),
        "removed": _tr("node"),
        "type": _tr("type"),
        "mode": _tr("mode"),
        "link": _tr("link"),
    }
    where = f"{change.group}/{one.where}" if change.group else one.where
    kind = kinds.get(one.kind)
    return f"{where} ({kind})" if kind else where


def side(change: Change, slot: Slot) -> str:
    """What one side has, for people."""
    one = change.difference
    if one is None:
        value = change.before if slot == "A" else change.after
        return _NOTHING if value in ("nothing", "none") else value
    node = one.old if slot == "A" else one.new
    if node is None:
        return _NOTHING
    if one.kind == "param":
        return _shown(node.params[one.name]) if one.name in node.params else _NOTHING
    if one.kind == "link":
        return str(node.inputs.get(one.name) or _NOTHING)
    return one.before if slot == "A" else one.after


def _shown(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(repr(value)) > _LONGEST:
        return _tr("{} entries").format(len(value))
    return repr(value) if isinstance(value, float) else _json(value)


def _json(value: Json) -> str:
    words = {None: _tr("nothing"), True: _tr("on"), False: _tr("off")}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def is_text(change: Change) -> bool:
    """Whether both sides are words, such as a prompt."""
    one = change.difference
    if one is None or one.kind != "param":
        return False
    return all(isinstance(node.params.get(one.name), str) for node in (one.old, one.new) if node)


def told(apart: Distance | Sizes | None) -> str:
    """How far two pictures are apart, in a line."""
    if apart is None:
        return _tr("pixels not compared")
    if isinstance(apart, Sizes):
        first, second = (f"{width} × {height}" for width, height in (apart.first, apart.second))
        return _tr("other size: {} → {}").format(first, second)
    if not apart.differing:
        return _tr("pixels identical")
    share = 100 * apart.differing / apart.pixels
    text = _tr("{share} % of pixels differ, by {largest} of 255 at most, {mean} on average")
    return text.format(share=f"{share:.3g}", largest=apart.largest, mean=f"{apart.mean:.3g}")


class _Words(QStyledItemDelegate):
    """Paints text over several lines, with a ground behind the words that the other side has not."""

    def __init__(self, theme: Theme, table: QTableView) -> None:
        super().__init__(table)
        self.theme = theme
        self._table = table

    def _layout(self, index: _Index, option: QStyleOptionViewItem, width: float) -> QTextLayout:
        # on the ground of the selection the marks would swallow its text
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        spans: list[Span] = [] if is_chosen else index.data(_SPANS) or []
        text = str(index.data() or "").replace("\n", "\u2028")
        layout = QTextLayout(text, option.font)
        wrap = QTextOption()
        wrap.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        layout.setTextOption(wrap)
        ground = QTextCharFormat()
        ground.setBackground(self.theme.tints["red" if index.column() == 1 else "green"])
        formats = []
        for start, end in spans:
            one = QTextLayout.FormatRange()
            one.start, one.length, one.format = start, end - start, ground
            formats.append(one)
        layout.setFormats(formats)
        layout.beginLayout()
        top = 0.0
        for _ in range(_MOST_LINES):
            line = layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(max(20.0, width))
            line.setPosition(QPointF(0, top))
            top += line.height()
        layout.endLayout()
        return layout

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Paint a cell."""
        self.initStyleOption(option, index)
        text = option.palette.color(QPalette.ColorRole.Text)
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        option.text = ""
        style = self._table.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, self._table)
        area = option.rect.adjusted(_PAD_PX, 2, -_PAD_PX, -2)
        layout = self._layout(index, option, area.width())
        painter.save()
        painter.setClipRect(area)
        painter.setPen(self.theme.accent_text if is_chosen else text)
        layout.draw(painter, QPointF(area.topLeft()))
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """As high as its lines, at the width that its column has."""
        self.initStyleOption(option, index)
        width = self._table.columnWidth(index.column()) - 2 * _PAD_PX
        layout = self._layout(index, option, width)
        height = layout.boundingRect().height()
        return QSize(width, round(height) + 5)


class _Table(QTableView):
    keys = FocusKeys()

    def event(self, event: QEvent) -> bool:
        """Take the keys that are ours before anything else."""
        return self.keys.handle(event) or super().event(event)


class ComparePanel(QWidget):
    """The table with its summary; proposes to take over what one side has, and changes nothing itself."""

    node_chosen = Signal(str)
    """A node is to be seen, as the canvas has it; ``group/node`` inside a group."""
    node_entered = Signal(str)
    """The same, and it is to be worked on."""
    adopted = Signal(str, object)
    """The side ("A" or "B") whose values are wanted, and the Changes; an empty tuple: everything."""
    closed = Signal()
    keys = FocusKeys()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._can_adopt: dict[Slot, bool] = {"A": False, "B": False}
        self._is_shown = False
        self.setAccessibleName(self.tr("Comparison"))
        self.summary = Line()
        self.summary.setProperty("role", "title")
        self.model = CompareModel(theme, self)
        self.table = _Table()
        self.table.setAccessibleName(self.tr("What differs"))
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setShowGrid(False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setTabKeyNavigation(False)
        self.table.setAlternatingRowColors(True)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._open_menu)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._words = _Words(theme, self.table)
        self.table.setItemDelegate(self._words)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.table.setColumnWidth(0, 190)
        header.sectionResized.connect(self.table.resizeRowsToContents)
        self.buttons: dict[Slot, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.summary, 1)
        for slot in ("A", "B"):
            button = QPushButton()
            button.clicked.connect(self.adopt_a if slot == "A" else self.adopt_b)
            self.buttons["A" if slot == "A" else "B"] = button
            row.addWidget(button)
        self.close_button = QPushButton(self.tr("Done"))
        self.close_button.setAccessibleName(self.tr("End the comparison"))
        self.close_button.setToolTip(self.tr("End the comparison (Esc)"))
        self.close_button.clicked.connect(self.closed)
        row.addWidget(self.close_button)
        self._empty = QLabel()
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setProperty("role", "dim")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 4)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.table, 1)
        layout.addWidget(self._empty, 1)
        self.setFocusProxy(self.table)
        self.table.keys = self.keys = FocusKeys(
            (
                FocusKey(("Return", "Enter"), self.tr("Show the node"), self.reveal),
                FocusKey(("A",), self.tr("Take over what A has"), self.adopt_a),
                FocusKey(("B",), self.tr("Take over what B has"), self.adopt_b),
                FocusKey(("Ctrl+C",), self.tr("Copy the rows as text"), self.copy),
                FocusKey(("Esc",), self.tr("End the comparison"), self.closed.emit),
            )
        )
        self.table.clicked.connect(self._clicked)
        self.table.doubleClicked.connect(self.reveal)
        self.table.selectionModel().selectionChanged.connect(self._refresh)
        self.clear()

    def set_theme(self, theme: Theme) -> None:
        """Colour by another theme."""
        self._words.theme = theme
        self.model.set_theme(theme)

    # --- what is shown

    def show_comparison(
        self,
        names: tuple[str, str],
        changes: Sequence[Change],
        apart: str,
        *,
        can_adopt: tuple[bool, bool],
    ) -> None:
        """Show what differs; ``apart`` says how far the pixels are, ``can_adopt`` which side's values can be taken."""
        self._is_shown = True
        self._can_adopt = {"A": can_adopt[0], "B": can_adopt[1]}
        self.model.show_changes(changes, (f"A · {names[0]}", f"B · {names[1]}"))
        count = len(changes)
        several = self.tr("{} differences") if count != 1 else self.tr("{} difference")
        words = several.format(count) if count else self.tr("no difference in the workflows")
        self.summary.setText(" · ".join(part for part in (words, apart) if part))
        self._empty.setText(self.tr("Nothing differs in what the two workflows mean."))
        self.table.resizeRowsToContents()
        self._refresh()

    def clear(self) -> None:
        """Show nothing."""
        self._is_shown = False
        self._can_adopt = {"A": False, "B": False}
        self.model.show_changes((), ("A", "B"))
        self.summary.setText(self.tr("Nothing is compared"))
        self._empty.setText(
            self.tr("Select two pictures in the history and press C, or drop one on the other.")
        )
        self._refresh()

    def _refresh(self) -> None:
        chosen = len(self.selected)
        has_rows = self.model.rowCount() > 0
        self.table.setVisible(has_rows)
        self._empty.setVisible(not has_rows)
        self.close_button.setVisible(self._is_shown)
        for slot, button in self.buttons.items():
            text = self.tr("Use all of {}").format(slot)
            if chosen:
                text = self.tr("Use {}: {} chosen").format(slot, chosen)
            button.setText(text)
            button.setAccessibleName(text)
            button.setToolTip(
                self.tr("Let the document have what {0} has, in the rows chosen ({0})").format(slot)
            )
            button.setVisible(self._can_adopt[slot])
            button.setEnabled(has_rows)

    # --- what is done with it

    @property
    def selected(self) -> tuple[Change, ...]:
        """The changes of the selected rows."""
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return tuple(self.model.changes[row] for row in rows)

    def adopt_a(self) -> None:
        """Propose to take over what A has: in the selected rows, else everything."""
        self._adopt("A")

    def adopt_b(self) -> None:
        """Propose to take over what B has: in the selected rows, else everything."""
        self._adopt("B")

    def _adopt(self, slot: Slot) -> None:
        if self._can_adopt[slot] and self.model.rowCount():
            self.adopted.emit(slot, self.selected)

    def reveal(self) -> None:
        """Ask for the node of the current row."""
        name = self._node_at(self.table.currentIndex())
        if name:
            self.node_entered.emit(name)

    def _clicked(self, index: QModelIndex) -> None:
        name = self._node_at(index)
        if name:
            self.node_chosen.emit(name)

    def _node_at(self, index: QModelIndex) -> str:
        change = self.model.changes[index.row()] if index.isValid() else None
        if change is None or change.difference is None:
            return ""
        node = change.difference.node
        return f"{change.group}/{node}" if change.group else node

    def copy(self) -> None:
        """Put the selected rows, or all, on the clipboard, as ``studio diff`` would print them."""
        rows = self.selected or self.model.changes
        QGuiApplication.clipboard().setText("\n".join(str(one) for one in rows))

    def menu(self) -> QMenu:
        """What can be done with the selected rows."""
        menu = QMenu(self)
        rows = self.selected
        for text, run, enabled in (
            (self.tr("Show the node\tReturn"), self.reveal, bool(rows)),
            (self.tr("Use what A has\tA"), self.adopt_a, self._can_adopt["A"]),
            (self.tr("Use what B has\tB"), self.adopt_b, self._can_adopt["B"]),
            (self.tr("Copy as text\tCtrl+C"), self.copy, True),
        ):
            action = menu.addAction(text)
            action.triggered.connect(run)
            action.setEnabled(enabled)
        return menu

    def _open_menu(self, position: QPoint) -> None:
        if self.model.rowCount():
            menu = self.menu()
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.table.viewport().mapToGlobal(position))


def stands_for(graph: Graph, group: str) -> Node | None:
    """A node that stands for a group, to be shown for what is inside."""
    return next((node for node in graph if node.type == Graph.GROUP + group), None)


def _tr(text: str) -> str:
    return QCoreApplication.translate("ComparePanel", text)
