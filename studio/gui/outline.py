"""The graph as a tree: every node after what it needs, its inputs below it; the way through it without a mouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSignalBlocker,
    Qt,
    Signal,
)
from PySide6.QtGui import QKeyEvent
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
from studio.graph import Graph, NodeId
from studio.gui import edits
from studio.gui.document import Change, Document
from studio.gui.editors import icon_size
from studio.gui.outline_model import Column, OutlineModel
from studio.gui.scope import Scope, split
from studio.gui.states import NodeState
from studio.gui.theme import Theme, icon
from studio.workflow import Workflow

_MAX_FIND_DEPTH = 8
"""Deeper groups are not searched: their bodies multiply."""


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
    """Flat ids of the nodes that the user selected here, all of one graph."""
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
    def selected(self) -> tuple[str, ...]:
        """The selected nodes in the order of the tree; a selected input stands for its node.

        Where they are of several graphs, those of the current line's.
        """
        found: dict[str, QModelIndex] = {}
        for index in self.tree.selectionModel().selectedRows():
            node = self.model.node_of(index)
            if node is not None:
                found.setdefault(node, self.model.index_of(node))
        current = self.model.node_of(self.tree.currentIndex())
        graphs = {split(node)[0] for node in found}
        if len(graphs) > 1:
            here = split(current)[0] if current in found else min(graphs, key=len)
            found = {node: index for node, index in found.items() if split(node)[0] == here}
        return tuple(sorted(found, key=lambda node: found[node].row()))

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
        if _is_same_outline(before, after):
            self.model.refresh()
            return
        kept = _renamed(self.selected, before, after)
        current = self.model.node_of(self.tree.currentIndex())
        opened = _renamed(self._opened(), before, after)
        self._is_selecting = True
        try:
            self.model.reload()
            for node in opened:
                self.tree.expand(self.model.index_of(node))
            names = _renamed([current] if current else [], before, after)
            if names:
                self.tree.selectionModel().setCurrentIndex(
                    self.model.index_of(names[0]), QItemSelectionModel.SelectionFlag.NoUpdate
                )
        finally:
            self._is_selecting = False
        self.select(kept)
        self._filter(self.search.text())

    def _opened(self) -> list[str]:
        """The nodes that are unfolded, each after what it is in."""
        found: list[str] = []
        pending = self.model.nodes_below()
        while pending:
            index = pending.pop(0)
            node = self.model.node_of(index)
            if node is not None and self.tree.isExpanded(index):
                found.append(node)
                pending.extend(self.model.nodes_below(index))
        return found

    # --- acting

    def _current(self) -> str | None:
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
        elif self.model.is_node(index):
            self._inspect()

    def _go(self, node: str) -> None:
        self.tree.setCurrentIndex(self.model.index_of(node))

    def _remove(self) -> None:
        ids = self.selected
        if not ids:
            return
        row = min(self.model.index_of(node).row() for node in ids)
        path = split(ids[0])[0]
        scope = Scope(self._document, path)
        workflow = edits.remove(scope.workflow, [split(node)[1] for node in ids])
        text = self.tr("Delete {0}").format(", ".join(ids[:3]) + ("…" if len(ids) > 3 else ""))
        scope.edit(workflow, text)
        # the keyboard goes on where it was
        above = self.model.index_of("/".join(path)) if path else QModelIndex()
        last = self.model.rowCount(above) - 1
        rest = self.model.index(min(row, last), Column.NAME, above) if last >= 0 else above
        if rest.isValid():
            self.tree.setCurrentIndex(rest)

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    # --- finding

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for index in self.model.nodes_below():
            self.tree.setRowHidden(index.row(), QModelIndex(), not self._holds(index, words))

    def _holds(self, index: QModelIndex, words: Sequence[str], depth: int = 0) -> bool:
        """Whether a node or one in its body is looked for; what is not is hidden, what is inside is unfolded."""
        inside = False
        if depth < _MAX_FIND_DEPTH and (words or self.tree.isExpanded(index)):
            for one in self.model.nodes_below(index):
                is_held = self._holds(one, words, depth + 1)
                self.tree.setRowHidden(one.row(), index, not is_held)
                inside = inside or is_held
        shown = " ".join(
            str(index.siblingAtColumn(column).data()) for column in (Column.NAME, Column.KIND)
        ).lower()
        if words and inside:
            self.tree.expand(index)
        return inside or all(word in shown for word in words)

    def _jump(self) -> None:
        words = self.search.text().lower().split()
        found = self._first(self.model.nodes_below(), words)
        if found is None:
            return
        node = self.model.node_of(found)
        self.tree.setFocus(Qt.FocusReason.OtherFocusReason)
        with QSignalBlocker(self.search):
            self.search.clear()
        self._filter("")
        if node is not None:
            self.tree.setCurrentIndex(self.model.index_of(node))

    def _first(self, nodes: Sequence[QModelIndex], words: Sequence[str]) -> QModelIndex | None:
        """The first node, from the top, that is itself looked for."""
        for index in nodes:
            if self.tree.isRowHidden(index.row(), index.parent()):
                continue
            shown = f"{index.data()} {index.siblingAtColumn(Column.KIND).data()}".lower()
            if all(word in shown for word in words):
                return index
            inner = self._first(self.model.nodes_below(index), words)
            if inner is not None:
                return inner
        return None


def _is_same_outline(before: Workflow, after: Workflow) -> bool:
    """Whether two values have the same nodes with the same links, in the bodies of groups as well."""
    if list(before.groups) != list(after.groups) or not _is_same_tree(before.graph, after.graph):
        return False
    return all(
        one is after.groups[name]
        or (
            one.inputs == after.groups[name].inputs
            and one.outputs == after.groups[name].outputs
            and _is_same_tree(one.graph, after.groups[name].graph)
        )
        for name, one in before.groups.items()
    )


def _is_same_tree(before: Graph, after: Graph) -> bool:
    """Whether two graphs have the same nodes of the same types with the same links."""
    if list(before.nodes) != list(after.nodes):
        return False
    return all(
        one is other or (one.type == other.type and one.inputs == other.inputs)
        for one, other in zip(before, after, strict=True)
    )


def _renamed(ids: Iterable[str], before: Workflow, after: Workflow) -> list[str]:
    """The flat ids of nodes after an edit; what is gone is left out, renamed nodes are followed."""
    found: list[str] = []
    for flat in ids:
        steps: list[NodeId] = []
        for step in flat.split("/"):
            try:
                was = edits.inside(before, flat.split("/")[: len(steps)]).graph
                now = edits.inside(after, steps).graph
            except GraphError:
                break
            name = _renames(was, now).get(NodeId(step), NodeId(step))
            if name not in now:
                break
            steps.append(name)
        else:
            found.append("/".join(steps))
    return found


def _renames(before: Graph, after: Graph) -> dict[NodeId, NodeId]:
    if before is after:
        return {}
    gone = [node for node in before.nodes if node not in after]
    come = [node for node in after.nodes if node not in before]
    is_rename = len(gone) == len(come) == 1 and len(before) == len(after)
    return {gone[0]: come[0]} if is_rename else {}
