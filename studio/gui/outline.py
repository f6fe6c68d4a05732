"""The graph as a tree: every node after what it needs, its inputs below it; the way through it without a mouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSignalBlocker,
    Qt,
    Signal,
)
from PySide6.QtGui import QBrush, QIcon, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from studio.errors import GraphError
from studio.graph import Graph, Node, NodeId, NodeType
from studio.gui import edits
from studio.gui.document import Change, Document
from studio.gui.editors import icon_size
from studio.gui.states import ICONS, NodeState, Status
from studio.gui.theme import Theme, icon

_Index = QModelIndex | QPersistentModelIndex
_NODE = 0
"""Internal id of the index of a node; that of an input is the row of its node, plus one."""
_EMPTY = QModelIndex()


class Column(IntEnum):
    """What stands where: the name (of a node, or of an input), its type (or its source), the state."""

    NAME = 0
    KIND = 1
    STATE = 2


def _order(graph: Graph) -> list[NodeId]:
    try:
        return graph.order()
    except GraphError:
        # a file may hold a cycle, and this is where one would look for it
        return list(graph.nodes)


class OutlineModel(QAbstractItemModel):
    """Nodes in topological order; below each its inputs, linked ones with their source."""

    rename_refused = Signal(str)

    def __init__(self, document: Document, theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._states: Mapping[str, NodeState] = {}
        self._order: list[NodeId] = []
        self._rows: dict[NodeId, int] = {}
        self._types: Mapping[str, NodeType] = {}
        self._inputs: dict[NodeId, tuple[str, ...]] = {}
        self._icons: dict[Status, QIcon] = {}
        self._theme = theme
        self.set_theme(theme)
        self._read()

    # --- following

    def _read(self) -> None:
        workflow = self._document.workflow
        self._types = edits.known_types(workflow, self._document.types)
        self._order = _order(workflow.graph)
        self._rows = {node: row for row, node in enumerate(self._order)}
        self._inputs.clear()

    def reload(self) -> None:
        """Read the graph anew."""
        self.beginResetModel()
        self._read()
        self.endResetModel()

    def refresh(self) -> None:
        """Say that what is shown of the rows may be different; their number and order are the same."""
        if self._order:
            last = self.index(len(self._order) - 1, Column.STATE)
            self.dataChanged.emit(self.index(0, 0), last)

    def set_states(self, states: Mapping[str, NodeState]) -> None:
        """Say what the run or the plan knows of the nodes."""
        self._states = states
        self.refresh()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self._icons = {status: icon(name, theme) for status, name in ICONS.items()}
        self.refresh()

    def _node(self, row: int) -> Node | None:
        return self._document.workflow.graph.nodes.get(self._order[row])

    def _ports(self, node: Node) -> tuple[str, ...]:
        ports = self._inputs.get(node.id)
        if ports is None:
            declared = self._types.get(node.type)
            known = [port.name for port in declared.inputs] if declared else []
            ports = (*known, *(name for name in sorted(node.inputs) if name not in known))
            self._inputs[node.id] = ports
        return ports

    # --- ids

    def node_of(self, index: _Index) -> NodeId | None:
        """The node of a row, or that of the input in it."""
        if not index.isValid():
            return None
        inner = index.internalId()
        return self._order[index.row() if inner == _NODE else inner - 1]

    def source_of(self, index: _Index) -> NodeId | None:
        """Where the input in a row comes from; None for a node, and for an input that is not linked."""
        if not index.isValid() or index.internalId() == _NODE:
            return None
        node = self._node(index.internalId() - 1)
        link = node.inputs.get(self._ports(node)[index.row()]) if node else None
        return link.node if link and link.node in self._rows else None

    def index_of(self, node: str) -> QModelIndex:
        """The row of a node; invalid if there is none."""
        row = self._rows.get(NodeId(node))
        return self.index(row, Column.NAME) if row is not None else QModelIndex()

    # --- Qt's side

    def index(self, row: int, column: int, parent: _Index = _EMPTY) -> QModelIndex:
        """An index; invalid beyond the rows."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else _NODE)

    def parent(self, index: _Index = _EMPTY) -> QModelIndex:  # type: ignore[override]  # QObject.parent is another
        """The node of an input."""
        if not index.isValid() or index.internalId() == _NODE:
            return QModelIndex()
        return self.createIndex(index.internalId() - 1, Column.NAME, _NODE)

    def rowCount(self, parent: _Index = _EMPTY) -> int:
        """Nodes, or the inputs of one."""
        if not parent.isValid():
            return len(self._order)
        if parent.internalId() != _NODE or parent.column() != Column.NAME:
            return 0
        node = self._node(parent.row())
        return len(self._ports(node)) if node else 0

    def columnCount(self, parent: _Index = _EMPTY) -> int:
        """Three."""
        return len(Column)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The headings."""
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return (self.tr("Node"), self.tr("Type"), self.tr("State"))[section]

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Names of nodes can be edited."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        if index.internalId() == _NODE and index.column() == Column.NAME:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Texts, icons and what a screen reader says."""
        if not index.isValid():
            return None
        inner = index.internalId()
        node = self._node(index.row() if inner == _NODE else inner - 1)
        if node is None:
            return None
        if inner == _NODE:
            return self._of_node(node, index.column(), role)
        return self._of_input(node, index.row(), index.column(), role)

    def _of_node(self, node: Node, column: int, role: int) -> object:
        state = self._states.get(node.id)
        declared = self._types.get(node.type)
        kind = declared.title if declared else self.tr("{0} (unknown)").format(node.type)
        words = state.text or state.status.replace("_", " ") if state else ""
        if node.mode != "normal":
            words = self.tr("muted") if node.mode == "mute" else self.tr("bypassed")
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return (node.id, kind, words)[column]
        if role == Qt.ItemDataRole.DecorationRole and column == Column.STATE and state:
            return self._icons[state.status]
        if role == Qt.ItemDataRole.AccessibleTextRole and column == Column.NAME:
            return ", ".join(filter(None, (node.id, kind, words)))
        if role == Qt.ItemDataRole.ToolTipRole:
            if state and state.error:
                return str(state.error)
            return declared.summary if declared else None
        if role == Qt.ItemDataRole.ForegroundRole:
            if declared is None or (column == Column.STATE and state and state.error):
                return QBrush(self._theme.error)
            if column != Column.NAME or node.mode != "normal":
                return QBrush(self._theme.text_dim)
        return None

    def _of_input(self, node: Node, row: int, column: int, role: int) -> object:
        port = self._ports(node)[row]
        link = node.inputs.get(port)
        declared = self._types.get(node.type)
        known = declared.input(port) if declared else None
        is_needed = known is not None and not known.optional
        source = f"← {link}" if link else self.tr("needs a link") if is_needed else "–"
        if role == Qt.ItemDataRole.DisplayRole:
            return (port, source, "")[column]
        if role == Qt.ItemDataRole.AccessibleTextRole and column == Column.NAME:
            words = self.tr("from {0}").format(link) if link else self.tr("not linked")
            return self.tr("input {0}, {1}").format(port, words)
        if role == Qt.ItemDataRole.ToolTipRole and known:
            return f"{known.type.__name__}: {known.help}" if known.help else known.type.__name__
        if role == Qt.ItemDataRole.ForegroundRole:
            is_missing = is_needed and link is None
            return QBrush(self._theme.error if is_missing else self._theme.text_dim)
        return None

    def setData(self, index: _Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Rename a node; what is no name, or taken, is refused with the reason."""
        node = self.node_of(index)
        if node is None or role != Qt.ItemDataRole.EditRole:
            return False
        new = str(value).strip()
        if new == node:
            return False
        try:
            workflow = edits.rename(self._document.workflow, node, new)
        except GraphError as error:
            self.rename_refused.emit(f"{error.where} {error.what}; {error.remedy}".strip("; "))
            return False
        self._document.edit(workflow, self.tr("Rename {0} to {1}").format(node, new))
        return True


class _Tree(QTreeView):
    """The tree's own keys come before the window's."""

    inspect_requested = Signal()
    remove_requested = Signal()

    def event(self, event: QEvent) -> bool:
        """Claim Enter, Delete, Backspace and F2."""
        if isinstance(event, QKeyEvent) and not event.modifiers() & ~_KEYPAD:
            is_claim = event.type() == QEvent.Type.ShortcutOverride
            if event.key() in (*_ENTER, *_REMOVE, Qt.Key.Key_F2) and is_claim:
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter leads to the inspector, Delete removes; the rest is the tree's."""
        is_editing = self.state() == QAbstractItemView.State.EditingState
        is_plain = not event.modifiers() & ~_KEYPAD
        if event.key() in _ENTER and is_plain and not is_editing:
            self.inspect_requested.emit()
        elif event.key() in _REMOVE and is_plain and not is_editing:
            self.remove_requested.emit()
        else:
            super().keyPressEvent(event)


_KEYPAD = Qt.KeyboardModifier.KeypadModifier
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_REMOVE = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)


class Outline(QWidget):
    """The tree with a line to find nodes by name or type."""

    selection_changed = Signal(tuple)
    """Ids of the nodes that the user selected here."""
    inspect_requested = Signal(str)
    """Enter on a node: the inspector should have the keyboard."""

    def __init__(self, document: Document, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._theme = theme
        self._is_selecting = False
        self._renamed: tuple[str, str] | None = None
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Find a node"))
        self.search.setAccessibleName(self.tr("Find a node by name or type"))
        self.search.setClearButtonEnabled(True)
        self._glass = self.search.addAction(
            icon("search", theme), QLineEdit.ActionPosition.LeadingPosition
        )
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._jump)
        self.tree = _Tree(self)
        self.tree.setAccessibleName(self.tr("Outline of the graph"))
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(16)
        self.tree.setIconSize(icon_size(self.tree))
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.tree.setAllColumnsShowFocus(True)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.tree.inspect_requested.connect(self._inspect)
        self.tree.remove_requested.connect(self._remove)
        self.tree.doubleClicked.connect(self._follow)
        self.message = QLabel(self)
        self.message.setProperty("role", "error")
        self.message.setWordWrap(True)
        self.message.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.search)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.message)
        self.setFocusProxy(self.tree)
        self.model = self._attach(document)

    def _attach(self, document: Document) -> OutlineModel:
        model = OutlineModel(document, self._theme, self)
        model.rename_refused.connect(self._say)
        self.tree.setModel(model)
        header = self.tree.header()
        header.setStretchLastSection(True)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(Column.NAME, self.fontMetrics().averageCharWidth() * 17)
        header.resizeSection(Column.KIND, self.fontMetrics().averageCharWidth() * 16)
        self.tree.selectionModel().selectionChanged.connect(self._selected)
        document.changed.connect(self._changed)
        return model

    def set_document(self, document: Document) -> None:
        """Show another document from now on."""
        self._document.changed.disconnect(self._changed)
        self._document = document
        old = self.model
        self.model = self._attach(document)
        old.deleteLater()
        self._filter(self.search.text())

    def set_states(self, states: Mapping[str, NodeState]) -> None:
        """Say what the run or the plan knows of the nodes."""
        self.model.set_states(states)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self._glass.setIcon(icon("search", theme))
        self.model.set_theme(theme)

    # --- selection

    @property
    def selected(self) -> tuple[NodeId, ...]:
        """The selected nodes in the order of the tree; a selected input stands for its node."""
        rows = sorted(
            {
                index.row() if index.internalId() == _NODE else index.internalId() - 1
                for index in self.tree.selectionModel().selectedIndexes()
            }
        )
        found = (self.model.node_of(self.model.index(row, 0)) for row in rows)
        return tuple(node for node in found if node is not None)

    def select(self, ids: Iterable[str]) -> None:
        """Select nodes without saying that the user did."""
        wanted = list(ids)
        if tuple(wanted) == self.selected:
            return
        chosen = QItemSelection()
        first = QModelIndex()
        for node in wanted:
            index = self.model.index_of(node)
            if index.isValid():
                chosen.select(index, index.siblingAtColumn(Column.STATE))
                first = first if first.isValid() else index
        self._is_selecting = True
        try:
            model = self.tree.selectionModel()
            model.select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            if first.isValid():
                model.setCurrentIndex(first, QItemSelectionModel.SelectionFlag.NoUpdate)
                self.tree.scrollTo(first)
        finally:
            self._is_selecting = False

    def _selected(self) -> None:
        if not self._is_selecting:
            self._say("")
            self.selection_changed.emit(self.selected)

    # --- following the document

    def _changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if before.graph is after.graph and before.groups is after.groups:
            return
        if before.groups is after.groups and _is_same_tree(before.graph, after.graph):
            self.model.refresh()
            return
        kept = _renamed(self.selected, before.graph, after.graph)
        current = self.model.node_of(self.tree.currentIndex())
        opened = _renamed(self._opened(), before.graph, after.graph)
        self._is_selecting = True
        try:
            self.model.reload()
            for node in opened:
                self.tree.expand(self.model.index_of(node))
            names = _renamed([current] if current else [], before.graph, after.graph)
            if names:
                self.tree.selectionModel().setCurrentIndex(
                    self.model.index_of(names[0]), QItemSelectionModel.SelectionFlag.NoUpdate
                )
        finally:
            self._is_selecting = False
        self.select(kept)
        self._filter(self.search.text())

    def _opened(self) -> list[NodeId]:
        rows = (self.model.index(row, 0) for row in range(self.model.rowCount()))
        nodes = (self.model.node_of(index) for index in rows if self.tree.isExpanded(index))
        return [node for node in nodes if node is not None]

    # --- acting

    def _current(self) -> NodeId | None:
        return self.model.node_of(self.tree.currentIndex())

    def _inspect(self) -> None:
        source = self.model.source_of(self.tree.currentIndex())
        if source is not None:
            self._go(source)
            return
        node = self._current()
        if node is not None:
            self.inspect_requested.emit(node)

    def _follow(self, index: QModelIndex) -> None:
        source = self.model.source_of(index)
        if source is not None:
            self._go(source)
        elif index.internalId() == _NODE:
            self._inspect()

    def _go(self, node: NodeId) -> None:
        self.tree.setCurrentIndex(self.model.index_of(node))

    def _remove(self) -> None:
        ids = self.selected
        if not ids:
            return
        row = min(self.model.index_of(node).row() for node in ids)
        workflow = edits.remove(self._document.workflow, ids)
        text = self.tr("Delete {0}").format(", ".join(ids[:3]) + ("…" if len(ids) > 3 else ""))
        self._document.edit(workflow, text)
        # the keyboard goes on where it was
        rest = self.model.index(min(row, self.model.rowCount() - 1), Column.NAME)
        if rest.isValid():
            self.tree.setCurrentIndex(rest)

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    # --- finding

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for row in range(self.model.rowCount()):
            shown = " ".join(
                str(self.model.data(self.model.index(row, column)))
                for column in (Column.NAME, Column.KIND)
            ).lower()
            self.tree.setRowHidden(row, QModelIndex(), not all(word in shown for word in words))

    def _jump(self) -> None:
        for row in range(self.model.rowCount()):
            if not self.tree.isRowHidden(row, QModelIndex()):
                self.tree.setFocus(Qt.FocusReason.OtherFocusReason)
                self.tree.setCurrentIndex(self.model.index(row, Column.NAME))
                with QSignalBlocker(self.search):
                    self.search.clear()
                self._filter("")
                return


def _is_same_tree(before: Graph, after: Graph) -> bool:
    """Whether two graphs have the same nodes of the same types with the same links."""
    if list(before.nodes) != list(after.nodes):
        return False
    return all(
        one is other or (one.type == other.type and one.inputs == other.inputs)
        for one, other in zip(before, after, strict=True)
    )


def _renamed(ids: Iterable[NodeId], before: Graph, after: Graph) -> list[NodeId]:
    """The names of nodes after an edit; what is gone is left out, a renamed node is followed."""
    gone = [node for node in before.nodes if node not in after]
    come = [node for node in after.nodes if node not in before]
    is_rename = len(gone) == len(come) == 1 and len(before) == len(after)
    names = {gone[0]: come[0]} if is_rename else {}
    return [name for node in ids if (name := names.get(node, node)) in after]
