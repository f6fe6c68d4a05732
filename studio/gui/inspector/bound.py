"""A row bound to the parameter of nodes: shows what they have, and makes an edit of what is given."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMenu

from studio.errors import GraphError
from studio.graph import Json, Node, NodeId
from studio.gui import edits
from studio.gui.editors import FileEditor, ModelEditor, SeedEditor, StrokesEditor
from studio.gui.inspector.row import ParamRow
from studio.gui.inspector.seeds import Place, Seeds
from studio.gui.scope import Scope


class Bound(QObject):
    """Stands between a row and the like-named parameter of one or several nodes of a graph."""

    painting_requested = Signal(str, str)
    """The flat id of a node and the name of its parameter of strokes."""
    node_requested = Signal(str)
    """The flat id of the node that the parameter is linked to."""

    def __init__(self, row: ParamRow, scope: Scope, ids: Sequence[NodeId], seeds: Seeds) -> None:
        super().__init__(row)
        self.row = row
        self.scope = scope
        self.ids = tuple(ids)
        self._seeds = seeds
        self._gesture = 0
        editor = row.editor
        editor.edited.connect(self._edited)
        editor.refused.connect(row.show_error)
        editor.reset_requested.connect(self._reset)
        row.source_wanted.connect(self._go)
        row.unlinked.connect(self.unlink)
        row.menu_opening.connect(self._fill_menu)
        if isinstance(editor, FileEditor):
            editor.set_folder(scope.document.folder)
        elif isinstance(editor, StrokesEditor):
            editor.painting_requested.connect(self._paint)
        elif isinstance(editor, SeedEditor):
            editor.lock_changed.connect(self._lock)
            seeds.changed.connect(self._show_seed)
            self._show_seed()

    @property
    def name(self) -> str:
        """The parameter."""
        return self.row.param.name

    @property
    def address(self) -> str:
        """``node.param``; of several nodes, the parameter and their number."""
        is_one = len(self.ids) == 1
        return (
            f"{self.scope.flat(self.ids[0])}.{self.name}"
            if is_one
            else f"{self.name} ({len(self.ids)})"
        )

    def set_models(self, names: Sequence[str]) -> None:
        """Say which models there are to choose from."""
        if isinstance(self.row.editor, ModelEditor):
            self.row.editor.set_models(names)

    def show(self) -> None:
        """Show the values, or the link in their place, that the nodes have now."""
        nodes = self._nodes()
        if nodes:
            default = self.row.param.default
            self.row.show_values([node.params.get(self.name, default) for node in nodes])
            links = (node.inputs[self.name] for node in nodes if self.name in node.inputs)
            self.row.show_link(next(links, None))

    def _nodes(self) -> list[Node]:
        graph = self.scope.workflow.graph
        return [graph.nodes[node] for node in self.ids if node in graph]

    def _edited(self, value: Json, gesture: int) -> None:
        if gesture != self._gesture:
            # another row's gesture, or one before this row was built, may have the same number
            self._gesture = gesture
            self.scope.document.end_merge()
        before = self._nodes()[0].params.get(self.name)
        workflow = self.scope.workflow
        for node in self.ids:
            workflow = edits.set_param(workflow, node, self.name, value)
        text = self.tr("Set {0}").format(self.address)
        self.scope.edit(workflow, text, ("param", *self.scope.path, *self.ids, self.name))
        if isinstance(self.row.editor, SeedEditor) and isinstance(before, int):
            self._seeds.left(self._places()[0], before)

    def _reset(self) -> None:
        workflow = self.scope.workflow
        for node in self.ids:
            workflow = edits.reset_param(workflow, self.scope.document.types, node, self.name)
        self.row.show_error("")
        self.scope.edit(workflow, self.tr("Reset {0}").format(self.address))

    def unlink(self) -> None:
        """Let the parameter have its own value again."""
        workflow = self.scope.workflow
        for node in self._nodes():
            if self.name in node.inputs:
                workflow = edits.disconnect(workflow, node.id, self.name)
        self.scope.edit(workflow, self.tr("Unlink {0}").format(self.address))

    def make_input(self) -> None:
        """Let the parameter of all nodes come from one new node, which takes the first one's value over."""
        try:
            workflow, _ = edits.make_input(
                self.scope.workflow,
                self.scope.document.types,
                self.ids[0],
                self.name,
                sharing=self.ids,
            )
        except GraphError as error:
            self.row.show_error(f"{error.what}; {error.remedy}".strip("; "))
            return
        self.scope.edit(workflow, self.tr("Make {0} an input").format(self.address))

    def _fill_menu(self, menu: QMenu) -> None:
        """Offer to link the parameter or to unlink it."""
        menu.addSeparator()
        if self.row.link is not None:
            menu.addAction(self.tr("Unlink")).triggered.connect(self.unlink)
        elif edits.constant_for(self.scope.types, self.row.param) is not None:
            menu.addAction(self.tr("Make it an input")).triggered.connect(self.make_input)

    def _go(self, node: str) -> None:
        self.node_requested.emit(self.scope.flat(node))

    def _paint(self) -> None:
        self.painting_requested.emit(self.scope.flat(self.ids[0]), self.name)

    # --- seeds

    def _places(self) -> list[Place]:
        group = self.scope.group
        return [(group, node, self.name) for node in self.ids]

    def _lock(self, is_locked: bool) -> None:
        self._seeds.lock(self._places(), is_locked)

    def _show_seed(self) -> None:
        editor = self.row.editor
        if isinstance(editor, SeedEditor):
            places = self._places()
            editor.set_last_used(self._seeds.last(places[0]))
            editor.set_locked(self._seeds.is_locked(places))
