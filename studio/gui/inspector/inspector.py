"""The selected nodes: what they are, and every parameter of theirs to look at and change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast
from weakref import WeakKeyDictionary

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import (
    QFontDatabase,
    QKeyEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from studio.errors import GraphError
from studio.graph import Json, Node, NodeId, NodeType, Param, Value
from studio.gui import edits
from studio.gui.document import Change, Document
from studio.gui.editors import (
    CurveEditor,
    Editor,
    FileEditor,
    ModelEditor,
    SeedEditor,
    StrokesEditor,
)
from studio.gui.inspector.ports import LinkButton, Socket
from studio.gui.inspector.row import ParamRow
from studio.gui.inspector.words import label, prose, raw_json, state_words
from studio.gui.number_field import Line
from studio.gui.states import ICONS, NodeState
from studio.gui.theme import Theme, icon
from studio.registry import Seed


class Inspector(QScrollArea):
    """Shows the selected nodes of a document and edits their parameters."""

    painting_requested = Signal(str, str)
    """The id of a node and the name of its parameter of strokes."""
    node_requested = Signal(str)
    """A node that the user wants to go to."""
    node_renamed = Signal(str, str)
    """Old and new id."""

    def __init__(self, document: Document, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._theme = theme
        self._ids: tuple[NodeId, ...] = ()
        self._types: Mapping[str, NodeType] = {}
        self._declared: NodeType | None = None
        self._states: Mapping[str, NodeState] = {}
        self._models: tuple[str, ...] = ()
        self._gestures: dict[str, int] = {}
        self._serial = 0
        self._last_seeds: dict[tuple[str, str], int] = {}
        self._locked: set[tuple[str, str]] = set()
        self._seeds_of: WeakKeyDictionary[
            Document, tuple[dict[tuple[str, str], int], set[tuple[str, str]]]
        ] = WeakKeyDictionary()
        self.rows: dict[str, ParamRow] = {}
        self.links: dict[str, QWidget] = {}
        """What stands at each input: a LinkButton, or a label that says that nothing is linked."""
        self.id_field: Line | None = None
        self._id_error: QLabel | None = None
        self._state_icon: QLabel | None = None
        self._state_text: QLabel | None = None
        self._link_area: QWidget | None = None
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

    def show_nodes(self, ids: Iterable[str]) -> None:
        """Show nodes; ids that the document lacks are left out."""
        graph = self._document.workflow.graph
        found = tuple(NodeId(node) for node in ids if node in graph)
        if found != self._ids:
            self._ids = found
            self._rebuild()

    def set_document(self, document: Document) -> None:
        """Show another document's nodes from now on, none to begin with."""
        self._document.changed.disconnect(self._changed)
        self._seeds_of[self._document] = (self._last_seeds, self._locked)
        self._document = document
        self._ids = ()
        self._states = {}
        self._last_seeds, self._locked = self._seeds_of.get(document, ({}, set()))
        document.changed.connect(self._changed)
        self._rebuild()

    def set_states(self, states: Mapping[str, NodeState]) -> None:
        """Say what the run or the plan knows of the nodes."""
        self._states = states
        self._show_state()

    def set_models(self, names: Sequence[str]) -> None:
        """Say which models there are to choose from."""
        self._models = tuple(names)
        for row in self.rows.values():
            if isinstance(row.editor, ModelEditor):
                row.editor.set_models(self._models)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self._rebuild()

    def note_run(self) -> None:
        """Remember the document's seeds as the last that were used."""
        workflow = self._document.workflow
        known = edits.known_types(workflow, self._document.types)
        for node in workflow.graph:
            declared = known.get(node.type)
            for param in declared.params if declared else ():
                seed = node.params.get(param.name, param.default)
                if isinstance(param.hint, Seed) and isinstance(seed, int):
                    self._last_seeds[node.id, param.name] = seed
        for name, row in self.rows.items():
            self._prepare_seed(name, row.editor)

    def focus_first(self) -> None:
        """Give the keyboard to the first parameter."""
        for row in self.rows.values():
            row.editor.setFocus(Qt.FocusReason.OtherFocusReason)
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

    def _changed(self, change: Change) -> None:
        graph = change.after.graph
        kept = tuple(node for node in self._ids if node in graph)
        if kept != self._ids:
            self._ids = kept
            self._rebuild()
            return
        nodes = [graph.nodes[node] for node in kept]
        before = [change.before.graph.nodes.get(node) for node in kept]
        if change.before.groups is change.after.groups and all(
            one is other for one, other in zip(nodes, before, strict=True)
        ):
            return
        is_form_same = all(
            other is not None
            and (one.type, one.version, one.mode) == (other.type, other.version, other.mode)
            for one, other in zip(nodes, before, strict=True)
        )
        if not is_form_same or self._declared is None or self._declared_now() != self._declared:
            self._rebuild()
            return
        self._show_values()
        if any(
            other is None or one.inputs != other.inputs
            for one, other in zip(nodes, before, strict=True)
        ):
            self._show_links()

    def _nodes(self) -> list[Node]:
        return [self._document.workflow.graph.nodes[node] for node in self._ids]

    def _declared_now(self) -> NodeType | None:
        """The one type of all nodes, if it is known."""
        kinds = {node.type for node in self._nodes()}
        self._types = edits.known_types(self._document.workflow, self._document.types)
        return self._types.get(kinds.pop()) if len(kinds) == 1 else None

    # --- building

    def _rebuild(self) -> None:
        self.rows, self.links = {}, {}
        self.id_field = self._id_error = self._state_icon = self._state_text = None
        self._link_area = None
        self._gestures.clear()
        self._declared = self._declared_now() if self._ids else None
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(4, 8, 4, 8)
        column.setSpacing(4)
        if not self._ids:
            self._say(column, self.tr("Nothing is selected"))
            self._add_hint(column, self.tr("Select a node to see its parameters."))
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

    def _say(self, column: QVBoxLayout, text: str) -> None:
        title = label(text, "title", is_wrapped=True)
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.2)
        title.setFont(font)
        title.setContentsMargins(6, 0, 6, 0)
        column.addWidget(title)

    def _add_hint(self, column: QVBoxLayout, text: str) -> None:
        hint = label(text, "dim", is_wrapped=True)
        hint.setContentsMargins(6, 0, 6, 0)
        column.addWidget(hint)

    def _section(self, column: QVBoxLayout, text: str) -> None:
        line = QFrame()
        line.setFixedHeight(1)
        line.setStyleSheet(f"background: {self._theme.border.name()};")
        column.addSpacing(6)
        column.addWidget(line)
        heading = label(text, "title")
        heading.setContentsMargins(6, 2, 6, 2)
        column.addWidget(heading)

    def _build_known(self, column: QVBoxLayout, declared: NodeType) -> None:
        is_one = len(self._ids) == 1
        title = declared.title.removeprefix("Group:")
        self._say(column, title if is_one else f"{len(self._ids)} × {title}")
        if is_one:
            self._build_id(column, self._ids[0])
        else:
            self._add_hint(column, self.tr("Edited together: {0}").format(", ".join(self._ids)))
        self._build_state(column)
        self._add_hint(column, prose(declared.doc))
        if declared.params:
            self._section(column, self.tr("Parameters"))
        for param in declared.params:
            column.addWidget(self._row(param))
        if is_one and (declared.inputs or declared.outputs):
            self._section(column, self.tr("Inputs and outputs"))
            self._link_area = QWidget()
            column.addWidget(self._link_area)
            self._show_links()
        self._show_values()

    def _build_id(self, column: QVBoxLayout, node: NodeId) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(6, 0, 6, 0)
        words = label(self.tr("Name"), "dim")
        self.id_field = Line(node)
        self.id_field.setToolTip(self.tr("The node's name, as links and the command line call it"))
        self.id_field.setAccessibleName(self.tr("Name of the node"))
        self.id_field.editingFinished.connect(self._rename)
        words.setBuddy(self.id_field)
        row.addWidget(words)
        row.addWidget(self.id_field, 1)
        column.addLayout(row)
        self._id_error = label("", "error", is_wrapped=True)
        self._id_error.setContentsMargins(6, 0, 6, 0)
        self._id_error.setVisible(False)
        column.addWidget(self._id_error)

    def _build_state(self, column: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(6, 0, 6, 0)
        self._state_icon = QLabel()
        self._state_text = label("", "dim", is_wrapped=True)
        row.addWidget(self._state_icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._state_text, 1)
        column.addLayout(row)

    def _build_unknown(self, column: QVBoxLayout, node: Node) -> None:
        self._say(column, node.type)
        self._build_id(column, node.id)
        self._build_state(column)
        self._add_hint(
            column,
            self.tr("No pack here declares this type of node. It is kept as it is in the file."),
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
        self._say(column, self.tr("{0} nodes of several types").format(len(self._ids)))
        self._add_hint(column, self.tr("Nodes of one type can be edited together."))
        for node in self._nodes():
            button = LinkButton(f"{node.id} · {node.type}", node.id)
            button.clicked.connect(self._go)
            column.addWidget(button)

    def _row(self, param: Param) -> ParamRow:
        row = ParamRow(param, self._theme)
        editor = row.editor
        editor.edited.connect(self._edited)
        editor.refused.connect(self._refused)
        editor.reset_requested.connect(self._reset)
        row.reset.clicked.connect(editor.reset_requested)
        if isinstance(editor, FileEditor):
            editor.set_folder(self._document.folder)
        elif isinstance(editor, ModelEditor):
            editor.set_models(self._models)
        elif isinstance(editor, StrokesEditor):
            editor.painting_requested.connect(self._paint)
        elif isinstance(editor, SeedEditor):
            editor.lock_changed.connect(self._lock)
        self.rows[param.name] = row
        self._prepare_seed(param.name, editor)
        return row

    # --- showing

    def _show_values(self) -> None:
        nodes = self._nodes()
        for name, row in self.rows.items():
            row.show_values([node.params.get(name, row.param.default) for node in nodes])
        curve = next(
            (r.editor for r in self.rows.values() if isinstance(r.editor, CurveEditor)), None
        )
        if curve is not None:
            smooth = nodes[0].params.get("smooth", True)
            curve.set_smooth(smooth is not False)

    def _show_links(self) -> None:
        area, declared = self._link_area, self._declared
        if area is None or declared is None:
            return
        old = area.layout()
        if old is not None:
            for child in area.findChildren(
                QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly
            ):
                child.setParent(None)
                child.deleteLater()
            QWidget().setLayout(old)  # a widget lets go of its layout only to another
        grid = QGridLayout(area)
        grid.setContentsMargins(6, 0, 6, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(2, 1)
        node = self._nodes()[0]
        self.links = {}
        for port in declared.inputs:
            link = node.inputs.get(port.name)
            if link is not None:
                source: QWidget = LinkButton(f"← {link}", link.node)
                cast("LinkButton", source).clicked.connect(self._go)
            elif port.optional:
                source = label(self.tr("not linked"), "dim")
            else:
                source = label(self.tr("needs a link"), "error")
            self.links[port.name] = source
            self._add_port(grid, port.name, port.type, port.help, source)
        for port in declared.outputs:
            self._add_port(
                grid, port.name, port.type, port.help, label(f"{port.type.__name__} →", "dim")
            )

    def _add_port(
        self, grid: QGridLayout, name: str, of: type[Value], help_text: str, source: QWidget
    ) -> None:
        row = grid.rowCount()
        grid.setRowMinimumHeight(row, self.fontMetrics().height() + 6)
        if isinstance(source, QLabel):
            source.setContentsMargins(6, 0, 0, 0)
        words = label(name.replace("_", " "))
        words.setToolTip(f"{of.__name__}: {help_text}" if help_text else of.__name__)
        grid.addWidget(Socket(of, self._theme), row, 0)
        grid.addWidget(words, row, 1)
        grid.addWidget(source, row, 2, Qt.AlignmentFlag.AlignLeft)

    def _show_state(self) -> None:
        if self._state_text is None or self._state_icon is None:
            return
        state = self._states.get(self._ids[0]) if len(self._ids) == 1 else None
        text = state_words(state) if state else ""
        self._state_text.setText(text)
        self._state_text.setProperty("role", "error" if state and state.error else "dim")
        self._state_text.style().polish(self._state_text)
        for widget in (self._state_text, self._state_icon):
            widget.setVisible(bool(text))
        if state and text:
            size = self.fontMetrics().height()
            drawn = icon(ICONS[state.status], self._theme)
            self._state_icon.setPixmap(drawn.pixmap(size, size))

    def _prepare_seed(self, name: str, editor: Editor) -> None:
        if isinstance(editor, SeedEditor):
            editor.set_last_used(self._last_seeds.get((self._ids[0], name)))
            editor.set_locked(any((node, name) in self._locked for node in self._ids))

    # --- changing

    def _name_of(self, editor: object) -> str:
        return next(name for name, row in self.rows.items() if row.editor is editor)

    def _edited(self, value: Json, gesture: int) -> None:
        name = self._name_of(self.sender())
        if self._gestures.get(name) != gesture:
            self._gestures[name] = gesture
            self._serial += 1
        seed = self._nodes()[0].params.get(name)
        editor = self.rows[name].editor
        workflow = self._document.workflow
        for node in self._ids:
            workflow = edits.set_param(workflow, node, name, value)
        text = self.tr("Set {0}").format(self._address(name))
        self._document.edit(workflow, text, ("param", *self._ids, name, str(self._serial)))
        if isinstance(editor, SeedEditor) and isinstance(seed, int):
            self._last_seeds.setdefault((self._ids[0], name), seed)

    def _address(self, name: str) -> str:
        return f"{self._ids[0]}.{name}" if len(self._ids) == 1 else f"{name} ({len(self._ids)})"

    def _refused(self, reason: str) -> None:
        self.rows[self._name_of(self.sender())].show_error(reason)

    def _reset(self) -> None:
        name = self._name_of(self.sender())
        workflow = self._document.workflow
        for node in self._ids:
            workflow = edits.reset_param(workflow, self._types, node, name)
        self._document.edit(workflow, self.tr("Reset {0}").format(self._address(name)))
        row = self.rows.get(name)
        if row is not None:
            row.show_error("")

    def _lock(self, is_locked: bool) -> None:
        name = self._name_of(self.sender())
        pairs = {(node, name) for node in self._ids}
        self._locked = self._locked | pairs if is_locked else self._locked - pairs

    def _paint(self) -> None:
        self.painting_requested.emit(self._ids[0], self._name_of(self.sender()))

    def _go(self) -> None:
        sender = self.sender()
        if isinstance(sender, LinkButton):
            self.node_requested.emit(sender.node)

    def _rename(self) -> None:
        field, error_label = self.id_field, self._id_error
        if field is None or error_label is None or not field.isModified():
            return
        old, new = self._ids[0], field.text().strip()
        try:
            workflow = edits.rename(self._document.workflow, old, new)
        except GraphError as error:
            error_label.setText(f"{error.what}; {error.remedy}" if error.remedy else error.what)
            error_label.setVisible(True)
            return
        field.setModified(False)
        error_label.setVisible(False)
        if new == old:
            return
        for seeds in (self._last_seeds,):
            for node, name in [key for key in seeds if key[0] == old]:
                seeds[new, name] = seeds.pop((node, name))
        self._locked = {(new if node == old else node, name) for node, name in self._locked}
        self._ids = (NodeId(new),)
        self._document.edit(workflow, self.tr("Rename {0} to {1}").format(old, new))
        self.node_renamed.emit(old, new)
