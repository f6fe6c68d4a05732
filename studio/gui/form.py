"""The form: the parameters that a workflow publishes, with their editors and a button to run, as its simple face."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from studio.errors import GraphError
from studio.gui import edits
from studio.gui.document import Change, Document
from studio.gui.editors.number_field import Line
from studio.gui.edits import Address, Published
from studio.gui.inspector.bound import Bound
from studio.gui.inspector.keys import RowKeys
from studio.gui.inspector.row import ParamRow
from studio.gui.inspector.seeds import SeedBook
from studio.gui.inspector.words import label
from studio.gui.mime import MIME_PARAM
from studio.gui.scope import Scope
from studio.gui.theme import Theme, icon


class FormPanel(QScrollArea):
    """Shows and edits what a document publishes; rows are dragged to their places, labelled anew, taken away.

    On a row: Alt+Up and Alt+Down move it, F2 gives it another label.
    """

    painting_requested = Signal(str, str)
    node_requested = Signal(str)
    run_requested = Signal()
    refused = Signal(str)
    """Why something cannot be published."""

    def __init__(
        self,
        document: Document,
        theme: Theme,
        book: SeedBook | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """``book``: the seeds of documents, shared with other panels."""
        super().__init__(parent)
        self._document = document
        self._theme = theme
        self._book = book or SeedBook()
        self._models: tuple[str, ...] = ()
        self._shown: list[Published] = []
        self._bound: dict[str, Bound] = {}
        self._drop: int | None = None
        """Before which row what is dragged here would go."""
        self._label_field: Line | None = None
        self._labelled = ""
        self._keys = RowKeys(self)
        self._page = _Page(theme)
        self.run_button = QPushButton()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("Form"))
        self.setAcceptDrops(True)
        self.setMinimumWidth(220)
        document.changed.connect(self._changed)
        self._rebuild()

    # --- what is shown

    @property
    def rows(self) -> dict[str, ParamRow]:
        """The rows by address, in order."""
        return {address: bound.row for address, bound in self._bound.items()}

    def set_document(self, document: Document) -> None:
        """Show another document's form from now on."""
        self._document.changed.disconnect(self._changed)
        self._document = document
        document.changed.connect(self._changed)
        self._rebuild()

    def set_models(self, names: Sequence[str]) -> None:
        """Say which models there are to choose from."""
        self._models = tuple(names)
        for bound in self._bound.values():
            bound.set_models(self._models)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        self._rebuild()

    def _published(self) -> list[Published]:
        return edits.form(self._document.workflow, self._document.types)

    def _changed(self, change: Change) -> None:
        now = self._published()
        form = [(one.address, one.label, one.param) for one in now]
        if form != [(one.address, one.label, one.param) for one in self._shown]:
            self._rebuild()
            return
        self._shown = now
        for bound in self._bound.values():
            bound.show()

    def _rebuild(self) -> None:
        focus = self._focused()
        self._shown = self._published()
        self._bound = {}
        self._label_field = None
        self._keys.forget()
        self._page = _Page(self._theme)
        column = QVBoxLayout(self._page)
        column.setContentsMargins(0, 6, 0, 6)
        column.setSpacing(4)
        column.addLayout(self._head())
        if not self._shown:
            hint = label(
                self.tr(
                    "Nothing is in the form yet. Choose “Show in the form” in the menu of a parameter in the "
                    "inspector, or drag its name here."
                ),
                "dim",
                is_wrapped=True,
            )
            hint.setContentsMargins(8, 4, 8, 0)
            column.addWidget(hint)
        for one in self._shown:
            column.addWidget(self._row(one))
        column.addStretch(1)
        old = self.takeWidget()
        if old is not None:
            # an editor in it may be the sender of what led here
            old.deleteLater()
        self.setWidget(self._page)
        if focus in self._bound:
            self._bound[focus].row.editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(8, 0, 8, 0)
        title = label(self._document.title, "title")
        title.setMinimumWidth(1)
        self.run_button = QPushButton(icon("run", self._theme), self.tr("Run"))
        self.run_button.setToolTip(self.tr("Run the workflow with these values (Ctrl+Enter)"))
        self.run_button.setAccessibleName(self.tr("Run"))
        self.run_button.clicked.connect(self.run_requested)
        head.addWidget(title, 1)
        head.addWidget(self.run_button)
        return head

    def _row(self, one: Published) -> ParamRow:
        *path, node = one.address.path
        row = ParamRow(one.param, self._theme, title=one.label, address=str(one.address))
        row.entered.connect(self._keys.hover)
        scope = Scope(self._document, tuple(path))
        bound = Bound(row, scope, (node,), self._book.of(self._document))
        row.menu_opening.connect(self._fill_menu)
        bound.painting_requested.connect(self.painting_requested)
        bound.node_requested.connect(self.node_requested)
        bound.set_models(self._models)
        bound.show()
        self._bound[str(one.address)] = bound
        return row

    def _focused(self) -> str:
        focus = QApplication.focusWidget()
        found = (address for address, row in self.rows.items() if focus and row.isAncestorOf(focus))
        return next(found, "")

    # --- changing the form

    def publish(self, address: str, at: int | None = None) -> None:
        """Put a parameter into the form, before the ``at``-th row or last; or move it there."""
        workflow = self._document.workflow
        try:
            place = Address.parse(address)
            after = edits.publish(workflow, self._document.types, place, at)
        except (GraphError, ValueError) as error:
            self.refused.emit(str(error))
            return
        is_there = address in self._bound
        words = self.tr("Move {0} in the form") if is_there else self.tr("Show {0} in the form")
        self._document.edit(after, words.format(address))

    def remove(self, address: str) -> None:
        """Take a parameter out of the form."""
        after = edits.unpublish(self._document.workflow, Address.parse(address))
        self._document.edit(after, self.tr("Take {0} out of the form").format(address))

    def toggle(self, address: str, is_shown: bool) -> None:
        """Put a parameter into the form, or take it out."""
        if is_shown:
            self.publish(address)
        else:
            self.remove(address)

    def move_row(self, address: str, by: int) -> None:
        """Move a row up (-1) or down (1)."""
        order = list(self._bound)
        at = order.index(address)
        if 0 <= at + by < len(order):
            # the place is that before a row of the present order
            self.publish(address, at + by if by < 0 else at + by + 1)

    def begin_label(self, address: str) -> None:
        """Let the label of a row be typed over."""
        row = self.rows[address]
        field = Line(row.name.text(), row)
        field.setAccessibleName(self.tr("Label of {0}").format(address))
        place = row.name.geometry()
        field.setGeometry(place.adjusted(-2, -2, 60, 2))
        field.selectAll()
        field.show()
        field.setFocus(Qt.FocusReason.OtherFocusReason)
        field.editingFinished.connect(self._label_typed)
        self._label_field, self._labelled = field, address

    def _label_typed(self) -> None:
        field, self._label_field = self._label_field, None
        if field is None:
            return
        field.hide()
        field.deleteLater()
        after = edits.set_label(
            self._document.workflow, Address.parse(self._labelled), field.text()
        )
        self._document.edit(after, self.tr("Label {0}").format(self._labelled))

    def _fill_menu(self, menu: QMenu) -> None:
        row = self.sender()
        if not isinstance(row, ParamRow):
            return
        at, last = list(self._bound).index(row.address), len(self._bound) - 1
        menu.addSeparator()
        for text, what, is_enabled in (
            (self.tr("Label…"), "label", True),
            (self.tr("Move up"), "up", at > 0),
            (self.tr("Move down"), "down", at < last),
            (self.tr("Go to the node"), "go", True),
            (self.tr("Take out of the form"), "remove", True),
        ):
            action = QAction(text, menu)
            action.setEnabled(is_enabled)
            action.setData((what, row.address))
            action.triggered.connect(self._chosen)
            menu.addAction(action)

    def _chosen(self) -> None:
        action = self.sender()
        if not isinstance(action, QAction):
            return
        what, address = action.data()
        if what == "label":
            self.begin_label(address)
        elif what == "remove":
            self.remove(address)
        elif what == "go":
            self.node_requested.emit(address.rpartition(".")[0])
        else:
            self.move_row(address, -1 if what == "up" else 1)

    # --- keys

    def event(self, event: QEvent) -> bool:
        """Claim the keys of rows before the window does."""
        is_claim = event.type() == QEvent.Type.ShortcutOverride
        if isinstance(event, QKeyEvent) and is_claim and _is_row_key(event) and self._focused():
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move the row that has the keyboard, or label it; Escape leaves a label as it was."""
        address = self._focused()
        if event.key() == Qt.Key.Key_Escape and self._label_field is not None:
            self._label_field.deleteLater()
            self._label_field = None
        elif not address or not _is_row_key(event):
            super().keyPressEvent(event)
        elif event.key() == Qt.Key.Key_F2:
            self.begin_label(address)
        else:
            self.move_row(address, -1 if event.key() == Qt.Key.Key_Up else 1)

    # --- drag and drop

    def _place(self, y: float) -> int:
        """Before which row something at a height goes."""
        rows = list(self.rows.values())
        at = self._page.mapFrom(self.viewport(), self.viewport().rect().topLeft()).y() + y
        return next(
            (index for index, row in enumerate(rows) if at < row.geometry().center().y()), len(rows)
        )

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take parameters."""
        if event.mimeData().hasFormat(MIME_PARAM):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Show where it would go."""
        if event.mimeData().hasFormat(MIME_PARAM):
            self._page.show_drop(self._place(event.position().y()), list(self.rows.values()))
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Show nothing any more."""
        self._page.show_drop(None, [])

    def dropEvent(self, event: QDropEvent) -> None:
        """Publish the parameter there, or move it there."""
        address = bytes(event.mimeData().data(MIME_PARAM).data()).decode()
        at = self._place(event.position().y())
        self._page.show_drop(None, [])
        event.acceptProposedAction()
        self.publish(address, at)


class _Page(QWidget):
    """What scrolls; paints the line at which something would be dropped."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._y: int | None = None

    def show_drop(self, at: int | None, rows: Sequence[QWidget]) -> None:
        """Paint a line before the ``at``-th row, or none."""
        if at is None:
            self._y = None
        elif at < len(rows):
            self._y = rows[at].y() - 2
        else:
            self._y = rows[-1].geometry().bottom() + 3 if rows else 40
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the line."""
        if self._y is not None:
            painter = QPainter(self)
            painter.setPen(QPen(self._theme.accent, 2))
            painter.drawLine(6, self._y, self.width() - 6, self._y)


def _is_row_key(event: QKeyEvent) -> bool:
    modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    if event.key() == Qt.Key.Key_F2:
        return not modifiers
    is_move = event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down)
    return is_move and modifiers == Qt.KeyboardModifier.AltModifier
