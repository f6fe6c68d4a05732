"""The selected nodes: what they are, and every parameter of theirs to look at and change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QAction, QFontDatabase, QKeyEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QMenu,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from studio.errors import GraphError
from studio.graph import Node, NodeId, NodeType, Param
from studio.gui import edits
from studio.gui.curves import Curves
from studio.gui.document import Change, Document
from studio.gui.editors import (
    CurveEditor,
)
from studio.gui.editors.number_field import Line
from studio.gui.inspector.bound import Bound
from studio.gui.inspector.curves_view import CurvesView
from studio.gui.inspector.header import Header
from studio.gui.inspector.interface import Interface
from studio.gui.inspector.keys import RowKeys
from studio.gui.inspector.ports import LinkButton, Ports
from studio.gui.inspector.row import ParamRow
from studio.gui.inspector.seeds import Place, SeedBook, Seeds
from studio.gui.inspector.words import label, prose, raw_json
from studio.gui.scope import Path, Scope
from studio.gui.states import NodeState
from studio.gui.theme import Theme
from studio.workflow import Workflow
from studio.workflow.groups import group_of


class Inspector(QScrollArea):
    """Shows the selected nodes of a document, or of the body of a group in it, and edits their parameters.

    Ids that it is given are those of the graph that is shown; ids that it gives are flat (``group/node``).
    """

    painting_requested = Signal(str, str)
    """The id of a node and the name of its parameter of strokes."""
    node_requested = Signal(str)
    """A node that the user wants to go to."""
    node_renamed = Signal(str, str)
    """Old and new id."""
    help_toggled = Signal(bool)
    """Whether nodes and parameters are explained in full from now on."""

    form_toggled = Signal(str, bool)
    """A parameter (``node.param``) that is to be in the form, or no longer."""

    def __init__(
        self,
        document: Document,
        theme: Theme,
        book: SeedBook | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """``book``: the seeds of documents, shared with other panels."""
        super().__init__(parent)
        self._scope = Scope(document)
        self._theme = theme
        self._ids: tuple[NodeId, ...] = ()
        self._declared: NodeType | None = None
        self._states: Mapping[str, NodeState] = {}
        self._models: tuple[str, ...] = ()
        self._book = book or SeedBook()
        self._is_explained = False
        self._bound: dict[str, Bound] = {}
        self.header = Header("", theme)
        self.ports: Ports | None = None
        self.interface: Interface | None = None
        self.curves: CurvesView | None = None
        self._curves: Mapping[str, Curves] = {}
        self._keys = RowKeys(self)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("Inspector"))
        self.setMinimumWidth(220)
        document.changed.connect(self._changed)
        self._rebuild()

    # --- what is shown

    @property
    def ids(self) -> tuple[NodeId, ...]:
        """The nodes that are shown."""
        return self._ids

    @property
    def rows(self) -> dict[str, ParamRow]:
        """The rows by parameter."""
        return {name: bound.row for name, bound in self._bound.items()}

    @property
    def _seeds(self) -> Seeds:
        return self._book.of(self._document)

    @property
    def links(self) -> dict[str, QWidget]:
        """What stands at each input: a LinkButton, or a label that says that nothing is linked."""
        return self.ports.sources if self.ports is not None else {}

    @property
    def id_field(self) -> Line | None:
        """Where the node's name is typed; None where no single node is shown."""
        return self.header.field

    @property
    def locked_seeds(self) -> frozenset[Place]:
        """The seeds of the document that are locked."""
        return self._seeds.locked

    def show_nodes(self, ids: Iterable[str], path: Path = ()) -> None:
        """Show nodes of the graph that ``path`` leads to; ids that it lacks are left out."""
        scope = Scope(self._document, path)
        graph = scope.workflow.graph
        found = tuple(NodeId(node) for node in ids if node in graph)
        if found != self._ids or scope != self._scope:
            self._scope, self._ids = scope, found
            self._rebuild()

    def set_document(self, document: Document) -> None:
        """Show another document's nodes from now on, none to begin with."""
        self._document.changed.disconnect(self._changed)
        self._scope = Scope(document)
        self._ids = ()
        self._states, self._curves = {}, {}
        document.changed.connect(self._changed)
        self._rebuild()

    def set_states(self, states: Mapping[str, NodeState]) -> None:
        """Say what the run or the plan knows of the nodes, by flat id."""
        self._states = states
        self._show_state()

    def set_curves(self, curves: Mapping[str, Curves]) -> None:
        """Say what the schedules, betas and the like of the nodes are as numbers, by flat id."""
        self._curves = curves
        self._show_curves()

    def set_models(self, names: Sequence[str]) -> None:
        """Say which models there are to choose from."""
        self._models = tuple(names)
        for bound in self._bound.values():
            bound.set_models(self._models)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self._rebuild()

    def explain(self, is_explained: bool) -> None:
        """Show the help of the node and of each parameter, or leave it to tool tips."""
        if is_explained != self._is_explained:
            self._is_explained = is_explained
            for row in self.rows.values():
                row.explain(is_explained)
            self.header.help_button.setChecked(is_explained)
            self.help_toggled.emit(is_explained)

    def note_run(self) -> None:
        """Remember the document's seeds as the last that were used."""
        self._seeds.note(self._document.workflow, self._scope.types)

    def focus_first(self) -> None:
        """Give the keyboard to the first parameter."""
        for row in self.rows.values():
            (row.link or row.editor).setFocus(Qt.FocusReason.OtherFocusReason)
            self.ensureWidgetVisible(row)
            return
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def begin_rename(self) -> None:
        """Let the node's id be typed."""
        if self.id_field is not None:
            self.id_field.setFocus(Qt.FocusReason.OtherFocusReason)
            self.id_field.selectAll()

    def event(self, event: QEvent) -> bool:
        """Claim F2 before the window does."""
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_F2 and not event.modifiers():
            if event.type() == QEvent.Type.ShortcutOverride and self.id_field is not None:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress and self.id_field is not None:
                self.begin_rename()
                return True
        return super().event(event)

    # --- following the document

    @property
    def _document(self) -> Document:
        return self._scope.document

    def _changed(self, change: Change) -> None:
        before, after = self._scope.of(change.before), self._scope.of(change.after)
        kept = tuple(node for node in self._ids if node in after.graph)
        if kept != self._ids:
            self._ids = kept
            self._rebuild()
            return
        nodes = [after.graph.nodes[node] for node in kept]
        old = [before.graph.nodes.get(node) for node in kept]
        is_group_same = before.groups is after.groups or not self._is_group()
        if is_group_same and all(one is other for one, other in zip(nodes, old, strict=True)):
            return
        is_form_same = is_group_same and all(
            other is not None
            and (one.type, one.version, one.mode) == (other.type, other.version, other.mode)
            for one, other in zip(nodes, old, strict=True)
        )
        if not is_form_same or self._declared is None or self._declared_now() != self._declared:
            self._rebuild()
            return
        self._show_values()
        if any(
            other is None or one.inputs != other.inputs
            for one, other in zip(nodes, old, strict=True)
        ):
            self._show_links()

    def _nodes(self) -> list[Node]:
        graph = self._scope.workflow.graph
        return [graph.nodes[node] for node in self._ids]

    def _is_group(self) -> bool:
        w = self._scope.workflow
        return any(group_of(w, node) is not None for node in self._nodes())

    def _declared_now(self) -> NodeType | None:
        """The one type of all nodes, if it is known."""
        kinds = {node.type for node in self._nodes()}
        return self._scope.types.get(kinds.pop()) if len(kinds) == 1 else None

    # --- building

    def _rebuild(self) -> None:
        focus = self._focused()
        self._bound, self.ports, self.interface, self.curves = {}, None, None, None
        self._keys.forget()
        self._declared = self._declared_now() if self._ids else None
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 4, 0, 4)
        column.setSpacing(0)
        if not self._ids:
            self._add_header(column, self.tr("Nothing is selected"))
            self.header.say(self.tr("Select a node to see its parameters."))
        elif self._declared is not None:
            self._build_known(column, self._declared)
        elif len(self._ids) == 1:
            self._build_unknown(column, self._nodes()[0])
        else:
            self._build_mixture(column)
        column.addStretch(1)
        old = self.takeWidget()
        if old is not None:
            # an editor in it may be the sender of what led here
            old.deleteLater()
        self.setWidget(page)
        self._show_state()
        self._refocus(focus)

    def _focused(self) -> str | None:
        """The row that has the keyboard, or "" for the name of the node."""
        focus = QApplication.focusWidget()
        if focus is None or not self.isAncestorOf(focus):
            return None
        if focus is self.id_field:
            return ""
        return next((name for name, row in self.rows.items() if row.isAncestorOf(focus)), None)

    def _refocus(self, place: str | None) -> None:
        if place == "" and self.id_field is not None:
            self.id_field.setFocus(Qt.FocusReason.OtherFocusReason)
        elif place and place in self.rows:
            self.rows[place].editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def _add_header(self, column: QVBoxLayout, title: str) -> None:
        self.header = Header(title, self._theme)
        self.header.renamed.connect(self._rename)
        self.header.help_toggled.connect(self.explain)
        if len(self._ids) == 1:
            self.header.name(self._ids[0])
        column.addWidget(self.header)

    def _section(self, column: QVBoxLayout, text: str = "") -> None:
        line = QFrame()
        line.setFixedHeight(1)
        line.setStyleSheet(f"background: {self._theme.border.name()};")
        column.addSpacing(4)
        column.addWidget(line)
        column.addSpacing(3)
        if text:
            heading = label(text, "title")
            heading.setContentsMargins(8, 0, 8, 2)
            column.addWidget(heading)

    def _build_known(self, column: QVBoxLayout, declared: NodeType) -> None:
        is_one = len(self._ids) == 1
        title = declared.title if is_one else f"{len(self._ids)} × {declared.title}"
        self._add_header(column, title)
        self.header.title.setToolTip(declared.summary)
        self.header.explain(prose(declared.doc), is_shown=self._is_explained)
        if not is_one:
            self.header.say(self.tr("Edited together: {0}").format(", ".join(self._ids)))
        if declared.params:
            self._section(column)
        for param in declared.params:
            column.addWidget(self._row(param))
        self._curve_column = QVBoxLayout()
        column.addLayout(self._curve_column)
        self._show_curves()
        if is_one and (declared.inputs or declared.outputs):
            self._section(column)
            self._port_column = QVBoxLayout()
            column.addLayout(self._port_column)
        self._show_values()
        self._show_links()
        if is_one:
            self._build_interface(column)

    def _build_interface(self, column: QVBoxLayout) -> None:
        w, node = self._scope.workflow, self._nodes()[0]
        name = group_of(w, node)
        if name is None:
            return
        self._section(column, self.tr("Group"))
        outer = self._scope.flat(node.id)
        self.interface = Interface(name, w.groups[name], outer, self._theme)
        self.interface.went.connect(self.node_requested)
        self.interface.group_renamed.connect(self._rename_group)
        self.interface.shown_renamed.connect(self._rename_shown)
        self.interface.concealed.connect(self._conceal)
        column.addWidget(self.interface)

    def _build_unknown(self, column: QVBoxLayout, node: Node) -> None:
        self._add_header(column, node.type)
        self.header.say(
            self.tr("No pack here declares this type of node. It is kept as it is in the file.")
        )
        raw = QPlainTextEdit(raw_json(node))
        raw.setReadOnly(True)
        raw.setTabChangesFocus(True)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(self.font().pointSizeF())
        raw.setFont(font)
        raw.setAccessibleName(self.tr("The node as JSON"))
        raw.setMinimumHeight(raw.fontMetrics().lineSpacing() * 16)
        column.addWidget(raw)

    def _build_mixture(self, column: QVBoxLayout) -> None:
        self._add_header(column, self.tr("{0} nodes of several types").format(len(self._ids)))
        self.header.say(self.tr("Nodes of one type can be edited together."))
        for node in self._nodes():
            button = LinkButton(f"{node.id} · {node.type}", node.id)
            button.clicked.connect(self._go)
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)

    def _row(self, param: Param) -> ParamRow:
        address = f"{self._scope.flat(self._ids[0])}.{param.name}" if len(self._ids) == 1 else ""
        row = ParamRow(param, self._theme, address=address)
        row.explain(self._is_explained)
        row.entered.connect(self._keys.hover)
        bound = Bound(row, self._scope, self._ids, self._seeds)
        row.menu_opening.connect(self._fill_menu)
        bound.painting_requested.connect(self.painting_requested)
        bound.node_requested.connect(self.node_requested)
        bound.set_models(self._models)
        self._bound[param.name] = bound
        return row

    # --- showing

    def _show_values(self) -> None:
        for bound in self._bound.values():
            bound.show()
        curve = next(
            (r.editor for r in self.rows.values() if isinstance(r.editor, CurveEditor)), None
        )
        if curve is not None:
            smooth = self._nodes()[0].params.get("smooth", True)
            curve.set_smooth(smooth is not False)

    def _show_links(self) -> None:
        declared = self._declared
        if declared is None:
            return
        nodes = self._nodes()
        if len(nodes) != 1 or not (declared.inputs or declared.outputs):
            return
        if self.ports is not None:
            self._port_column.removeWidget(self.ports)
            # what was pressed in it may have led here
            self.ports.hide()
            self.ports.deleteLater()
        self.ports = Ports(declared.inputs, declared.outputs, nodes[0], self._theme)
        self.ports.went.connect(self._go_to)
        self.ports.unlinked.connect(self._unlink)
        self._port_column.addWidget(self.ports)

    def _show_curves(self) -> None:
        """Draw what the one node describes, unless an editor of it draws it already."""
        is_one = len(self._ids) == 1 and self._declared is not None
        curves = self._curves.get(self._scope.flat(self._ids[0])) if is_one else None
        if any(isinstance(row.editor, CurveEditor) for row in self.rows.values()):
            curves = None
        if curves is None:
            if self.curves is not None:
                self.curves.hide()
            return
        if self.curves is None:
            self.curves = CurvesView(self._theme)
            self._curve_column.addSpacing(4)
            self._curve_column.addWidget(self.curves)
        self.curves.show()
        self.curves.show_curves(curves)

    def _show_state(self) -> None:
        is_one = len(self._ids) == 1
        state = self._states.get(self._scope.flat(self._ids[0])) if is_one else None
        self.header.show_state(state)

    # --- changing links

    def _go(self) -> None:
        sender = self.sender()
        if isinstance(sender, LinkButton):
            self._go_to(sender.node)

    def _go_to(self, node: str) -> None:
        self.node_requested.emit(self._scope.flat(node))

    def _unlink(self, port: str) -> None:
        node = self._ids[0]
        workflow = edits.disconnect(self._scope.workflow, node, port)
        self._scope.edit(workflow, self.tr("Unlink {0}").format(f"{self._scope.flat(node)}.{port}"))

    # --- names

    def _rename(self, new: str) -> None:
        old = self._ids[0]
        try:
            workflow = edits.rename(self._scope.workflow, old, new)
        except GraphError as error:
            self.header.show_error(_reason(error))
            return
        self.header.show_error("")
        if self.id_field is not None:
            self.id_field.setModified(False)
        if new == old:
            return
        self._seeds.rename(self._scope.group, old, NodeId(new))
        self._ids = (NodeId(new),)
        text = self.tr("Rename {0} to {1}").format(old, new)
        self._scope.edit(workflow, text, renamed={old: new})
        self.node_renamed.emit(self._scope.flat(old), self._scope.flat(new))

    def _group_edit(self, text: str, after: Workflow) -> None:
        """Take a change of groups, which are the document's wherever they are looked at."""
        whole = self._document.workflow
        self._document.edit(after, text)
        if whole is not self._document.workflow and self.interface is not None:
            self.interface.show_error("")

    def _rename_group(self, new: str) -> None:
        whole = self._document.workflow
        old = group_of(whole, self._nodes()[0])
        if old is None:
            return
        try:
            after = edits.rename_group(whole, old, new)
        except GraphError as error:
            self._refuse_interface(error)
            return
        self._group_edit(self.tr("Rename the group {0} to {1}").format(old, new), after)

    def _rename_shown(self, side: edits.Side, old: str, new: str) -> None:
        whole = self._document.workflow
        name = group_of(whole, self._nodes()[0])
        if name is None:
            return
        try:
            after = edits.rename_shown(whole, name, side, old, new)
        except GraphError as error:
            self._refuse_interface(error)
            return
        self._group_edit(self.tr("Rename {0} of {1} to {2}").format(old, name, new), after)

    def _refuse_interface(self, error: GraphError) -> None:
        if self.interface is not None:
            self.interface.show_error(f"{error.where}: {_reason(error)}")

    def _conceal(self, param: str) -> None:
        name = group_of(self._document.workflow, self._nodes()[0])
        if name is not None:
            text = self.tr("No longer show {0} on {1}").format(param, name)
            self._group_edit(text, edits.conceal(self._document.workflow, name, param))

    # --- the menu of a row

    def _fill_menu(self, menu: QMenu) -> None:
        """Offer to show the parameter in the form and, inside a group, on the group's node."""
        row = self.sender()
        if not isinstance(row, ParamRow) or not row.address:
            return
        published = [
            str(one.address) for one in edits.form(self._document.workflow, self._document.types)
        ]
        in_form = QAction(self.tr("Show in the form"), menu)
        in_form.setCheckable(True)
        in_form.setChecked(row.address in published)
        in_form.setData((row.address, row.address not in published))
        in_form.triggered.connect(self._toggle_form)
        menu.addAction(in_form)
        self._offer_exposing(menu, row)

    def _toggle_form(self) -> None:
        action = self.sender()
        if isinstance(action, QAction):
            self.form_toggled.emit(*action.data())

    def _offer_exposing(self, menu: QMenu, row: ParamRow) -> None:
        group = self._scope.group
        if group is None:
            return
        action = QAction(self.tr("Show on the node of {0}").format(group), menu)
        shown = self._document.workflow.groups[group].params
        found = [
            name
            for name, inner in shown.items()
            if (inner.node, inner.name) == (self._ids[0], row.param.name)
        ]
        action.setCheckable(True)
        action.setChecked(bool(found))
        action.setData((group, self._ids[0], row.param.name, found))
        action.triggered.connect(self._toggle_exposed)
        menu.addAction(action)

    def _toggle_exposed(self) -> None:
        action = self.sender()
        if not isinstance(action, QAction):
            return
        group, node, param, found = action.data()
        whole = self._document.workflow
        if found:
            for name in found:
                whole = edits.conceal(whole, group, name)
            text = self.tr("No longer show {0} on {1}").format(param, group)
        else:
            whole = edits.expose(whole, self._document.types, group, node, param)
            text = self.tr("Show {0} on {1}").format(param, group)
        self._document.edit(whole, text)


def _reason(error: GraphError) -> str:
    return f"{error.what}; {error.remedy}" if error.remedy else error.what
