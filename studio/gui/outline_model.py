"""The tree of the outline: nodes after what they need, inputs and the bodies of groups below them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from PySide6.QtCore import (
    QAbstractItemModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)
from PySide6.QtGui import QBrush, QIcon

from studio.errors import GraphError
from studio.graph import Graph, Node, NodeId, NodeType
from studio.gui import edits
from studio.gui.document import Document
from studio.gui.scope import Path, Scope, split
from studio.gui.states import ICONS, NodeState, Status
from studio.gui.theme import Theme, icon
from studio.workflow.groups import group_of

_Index = QModelIndex | QPersistentModelIndex
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


@dataclass
class _Entry:
    """A line of the tree: a node, or an input of one."""

    parent: int
    """The number of the entry above; -1 for a node of the document itself."""
    row: int
    path: Path
    node: NodeId
    port: str | None = None
    below: list[int] | None = None
    """The numbers of the entries below, once they were asked for."""


class OutlineModel(QAbstractItemModel):
    """Nodes in topological order; below each its inputs, linked ones with their source, and the body of a group."""

    rename_refused = Signal(str)

    def __init__(self, document: Document, theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._states: Mapping[str, NodeState] = {}
        self._entries: list[_Entry] = []
        self._top: list[int] = []
        self._types: Mapping[str, NodeType] = {}
        self._icons: dict[Status, QIcon] = {}
        self._theme = theme
        self.set_theme(theme)
        self._read()

    # --- following

    def _read(self) -> None:
        self._types = Scope(self._document).types
        self._entries = []
        self._top = self._nodes_of((), -1, 0)

    def _nodes_of(self, path: Path, parent: int, first_row: int) -> list[int]:
        graph = Scope(self._document, path).workflow.graph
        return [
            self._add(_Entry(parent, row, path, node))
            for row, node in enumerate(_order(graph), first_row)
        ]

    def _add(self, entry: _Entry) -> int:
        self._entries.append(entry)
        return len(self._entries) - 1

    def _below(self, number: int) -> list[int]:
        """The entries below one; bodies are unfolded as they are asked for, so that nesting costs nothing unseen."""
        entry = self._entries[number]
        if entry.below is None:
            entry.below = []
            node = self._node(entry)
            if entry.port is None and node is not None:
                entry.below = [
                    self._add(_Entry(number, row, entry.path, entry.node, port))
                    for row, port in enumerate(self._ports(node))
                ]
                if group_of(self._document.workflow, node) is not None:
                    inside = (*entry.path, entry.node)
                    entry.below += self._nodes_of(inside, number, len(entry.below))
        return entry.below

    def reload(self) -> None:
        """Read the graph anew."""
        self.beginResetModel()
        self._read()
        self.endResetModel()

    def refresh(self) -> None:
        """Say that what is shown of the rows may be different; their number and order are the same."""
        for parent in [QModelIndex(), *self._unfolded()]:
            last = self.rowCount(parent) - 1
            if last >= 0:
                self.dataChanged.emit(
                    self.index(0, 0, parent), self.index(last, Column.STATE, parent)
                )

    def _unfolded(self) -> list[QModelIndex]:
        """Nodes whose lines below were asked for."""
        return [self._index(number) for number, entry in enumerate(self._entries) if entry.below]

    def set_states(self, states: Mapping[str, NodeState]) -> None:
        """Say what the run or the plan knows of the nodes, by flat id."""
        self._states = states
        self.refresh()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self._icons = {status: icon(name, theme) for status, name in ICONS.items()}
        self.refresh()

    def _node(self, entry: _Entry) -> Node | None:
        return Scope(self._document, entry.path).workflow.graph.nodes.get(entry.node)

    def _ports(self, node: Node) -> tuple[str, ...]:
        declared = self._types.get(node.type)
        known = [port.name for port in declared.inputs] if declared else []
        return (*known, *(name for name in sorted(node.inputs) if name not in known))

    # --- ids

    def node_of(self, index: _Index) -> str | None:
        """The flat id of the node of a row, or of that of the input in it."""
        if not index.isValid():
            return None
        entry = self._entries[index.internalId()]
        return "/".join([*entry.path, entry.node])

    def is_node(self, index: _Index) -> bool:
        """Whether a row is a node, not an input."""
        return index.isValid() and self._entries[index.internalId()].port is None

    def source_of(self, index: _Index) -> str | None:
        """Where the input in a row comes from; None for a node, and for an input that is not linked."""
        entry = self._entries[index.internalId()] if index.isValid() else None
        if entry is None or entry.port is None:
            return None
        scope = Scope(self._document, entry.path)
        node = scope.workflow.graph.nodes.get(entry.node)
        link = node.inputs.get(entry.port) if node else None
        return scope.flat(link.node) if link and link.node in scope.workflow.graph else None

    def index_of(self, node: str) -> QModelIndex:
        """The row of a node by its flat id; invalid if there is none."""
        below, found = self._top, -1
        for step in node.split("/"):
            found = next(
                (
                    number
                    for number in below
                    if self._entries[number].port is None and self._entries[number].node == step
                ),
                -1,
            )
            if found < 0:
                return QModelIndex()
            below = self._below(found)
        return self._index(found)

    def nodes_below(self, parent: _Index = _EMPTY) -> list[QModelIndex]:
        """The nodes of the document, or those of the body of a group."""
        below = self._below(parent.internalId()) if parent.isValid() else self._top
        return [self._index(one) for one in below if self._entries[one].port is None]

    def _index(self, number: int, column: int = Column.NAME) -> QModelIndex:
        return self.createIndex(self._entries[number].row, column, number)

    # --- Qt's side

    def index(self, row: int, column: int, parent: _Index = _EMPTY) -> QModelIndex:
        """An index; invalid beyond the rows."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        below = self._below(parent.internalId()) if parent.isValid() else self._top
        return self.createIndex(row, column, below[row])

    def parent(self, index: _Index = _EMPTY) -> QModelIndex:  # type: ignore[override]  # QObject.parent is another
        """The node of an input, or the group that a node is in."""
        above = self._entries[index.internalId()].parent if index.isValid() else -1
        return self._index(above) if above >= 0 else QModelIndex()

    def rowCount(self, parent: _Index = _EMPTY) -> int:
        """Nodes, or what is below one."""
        if not parent.isValid():
            return len(self._top)
        return len(self._below(parent.internalId())) if parent.column() == Column.NAME else 0

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
        if self.is_node(index) and index.column() == Column.NAME:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Texts, icons and what a screen reader says."""
        if not index.isValid():
            return None
        entry = self._entries[index.internalId()]
        node = self._node(entry)
        if node is None:
            return None
        if entry.port is None:
            return self._of_node(
                node, self._states.get(self.node_of(index) or ""), index.column(), role
            )
        return self._of_input(node, entry.port, index.column(), role)

    def _of_node(self, node: Node, state: NodeState | None, column: int, role: int) -> object:
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

    def _of_input(self, node: Node, port: str, column: int, role: int) -> object:
        link = node.inputs.get(port)
        declared = self._types.get(node.type)
        known = declared.socket(port) if declared else None
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
        flat = self.node_of(index)
        if flat is None or role != Qt.ItemDataRole.EditRole:
            return False
        path, old = split(flat)
        scope = Scope(self._document, path)
        new = str(value).strip()
        if new == old:
            return False
        try:
            workflow = edits.rename(scope.workflow, old, new)
        except GraphError as error:
            self.rename_refused.emit(f"{error.where} {error.what}; {error.remedy}".strip("; "))
            return False
        text = self.tr("Rename {0} to {1}").format(flat, new)
        scope.edit(workflow, text, renamed={old: new})
        return True
