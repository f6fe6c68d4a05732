"""The library: every type of node by category, and the models on disk, to find, drag and add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QMimeData, QModelIndex, QPersistentModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import (
    QDrag,
    QKeyEvent,
    QPainter,
    QPixmap,
    QStandardItem,
    QStandardItemModel,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QLineEdit,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from studio.graph import Json, NodeType, titled
from studio.gui.editors import icon_size
from studio.gui.mime import MIME_NODE_TYPE
from studio.gui.theme import Theme, icon
from studio.registry import ModelName

_TYPE_ROLE = Qt.ItemDataRole.UserRole + 1
_MODEL_ROLE = Qt.ItemDataRole.UserRole + 2
_CATEGORIES = (
    "model",
    "value",
    "text",
    "noise",
    "schedule",
    "guidance",
    "denoise",
    "control",
    "latent",
    "vae",
    "mask",
    "image",
    "output",
    "training",
)
"""In the order in which a picture is made; those of other packs follow by name."""


@dataclass(frozen=True)
class OfferedModel:
    """A model on disk: its name, and the type of node that loads it."""

    name: str
    loader: str = "load_model"
    summary: str = ""


# --- finding


def rank(query: str, types: Iterable[NodeType]) -> list[NodeType]:
    """The types that a query may mean, the likeliest first; an empty query means all, by title.

    Every word must be found in the title, the id, an alias, the category or the outputs: as the whole, at the
    beginning of a word, inside one, or as letters in order ("vd" finds "VAE decode").
    """
    words = query.lower().split()
    scored = []
    for declared in types:
        scores = [_score(word, declared) for word in words]
        if all(scores):
            scored.append((-sum(scores), declared.title, declared))
    return [declared for _, _, declared in sorted(scored, key=lambda entry: entry[:2])]


def _score(word: str, declared: NodeType) -> float:
    title = declared.title.lower()
    names = [(title, 1.0), (declared.id, 0.98)]
    names += [(alias.lower().replace("_", " "), 0.9) for alias in declared.aliases]
    names += [(alias.lower(), 0.9) for alias in declared.aliases]
    names.append((declared.category.lower(), 0.5))
    names += [(port.type.__name__.lower(), 0.4) for port in declared.outputs]
    best = max(_match(word, name) * weight for name, weight in names)
    return best or 0.1 * _match_letters(word, title)


def _match(word: str, name: str) -> float:
    if name == word:
        return 10.0
    if name.startswith(word):
        return 8.0
    if any(part.startswith(word) for part in name.replace("_", " ").split()):
        return 6.0
    return 3.0 if word in name else 0.0


def _match_letters(word: str, name: str) -> float:
    """Whether the letters of a word come in this order, the first one at the beginning of a word of the name."""
    for start, letter in enumerate(name):
        if letter != word[0] or (start and name[start - 1] != " "):
            continue
        letters = iter(name[start:])
        if all(letter in letters for letter in word):
            return 10.0
    return 0.0


# --- the widget


class _Tree(QTreeView):
    """A tree whose leaves are dragged as node types and chosen with Enter or a double-click."""

    chosen = Signal(QModelIndex)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme
        self.setHeaderHidden(True)
        self.setUniformRowHeights(True)
        self.setIndentation(14)
        self.setIconSize(icon_size(self))
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setExpandsOnDoubleClick(True)
        self.doubleClicked.connect(self._choose)

    def _choose(self, index: QModelIndex) -> None:
        if index.data(_TYPE_ROLE):
            self.chosen.emit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter chooses."""
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_enter and not event.isAutoRepeat():
            self._choose(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def startDrag(self, supported: Qt.DropAction) -> None:
        """Drag a node type, with its title under the cursor."""
        index = self.currentIndex()
        data = self.model().mimeData([index])
        if not data.hasFormat(MIME_NODE_TYPE):
            return
        drag = QDrag(self)
        drag.setMimeData(data)
        drag.setPixmap(_card(str(index.data()), self.theme, self))
        drag.setHotSpot(QPoint(12, 12))
        drag.exec(Qt.DropAction.CopyAction)


def _card(text: str, theme: Theme, widget: QWidget) -> QPixmap:
    metrics = widget.fontMetrics()
    ratio = widget.devicePixelRatioF()
    width, height = metrics.horizontalAdvance(text) + 24, metrics.height() + 12
    pixmap = QPixmap(round(width * ratio), round(height * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(theme.node_title)
    painter.setPen(theme.accent)
    painter.drawRoundedRect(1, 1, width - 2, height - 2, 5, 5)
    painter.setPen(theme.text)
    painter.drawText(12, 6 + metrics.ascent(), text)
    painter.end()
    return pixmap


class LibraryModel(QStandardItemModel):
    """Categories with their node types, and the models; drags carry the id of a type."""

    def mimeTypes(self) -> list[str]:
        """The one kind of data."""
        return [MIME_NODE_TYPE]

    def mimeData(self, indexes: Sequence[QModelIndex | QPersistentModelIndex]) -> QMimeData:
        """The type of the first row that stands for one; a model is not dragged: a type alone would not name it."""
        data = QMimeData()
        for index in indexes:
            type_id = index.data(_TYPE_ROLE)
            if type_id and not index.data(_MODEL_ROLE):
                data.setData(MIME_NODE_TYPE, str(type_id).encode())
                break
        return data


class Library(QWidget):
    """Search, node types by category, and the models on disk."""

    add_requested = Signal(str, object)
    """The id of a node type, and the parameters to add it with, as a dict."""

    def __init__(
        self, types: Mapping[str, NodeType], theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._types = dict(types)
        self._models: tuple[OfferedModel, ...] = ()
        self._theme = theme
        self._closed: set[str] = set()
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search nodes and models"))
        self.search.setAccessibleName(self.tr("Search nodes and models"))
        self.search.setClearButtonEnabled(True)
        self._glass = self.search.addAction(
            icon("search", theme), QLineEdit.ActionPosition.LeadingPosition
        )
        self.search.textChanged.connect(self._fill)
        self.search.returnPressed.connect(self._add_first)
        self.tree = _Tree(theme, self)
        self.tree.setAccessibleName(self.tr("Node types and models"))
        self.model = LibraryModel(self)
        self.tree.setModel(self.model)
        self.tree.chosen.connect(self._chosen)
        self.tree.collapsed.connect(self._collapsed)
        self.tree.expanded.connect(self._expanded)
        self.tree.selectionModel().currentChanged.connect(self._describe)
        self.help = QLabel(self)
        self.help.setProperty("role", "dim")
        self.help.setWordWrap(True)
        self.help.setTextFormat(Qt.TextFormat.PlainText)
        self.help.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.help.setMinimumHeight(self.fontMetrics().lineSpacing() * 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.search)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.help)
        self.setFocusProxy(self.search)
        self._fill()

    def set_types(self, types: Mapping[str, NodeType]) -> None:
        """Offer other types."""
        self._types = dict(types)
        self._fill()

    def set_models(self, models: Sequence[OfferedModel]) -> None:
        """Say which models there are."""
        self._models = tuple(models)
        self._fill()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = self.tree.theme = theme
        self._glass.setIcon(icon("search", theme))
        self._fill()

    # --- filling

    def _fill(self) -> None:
        query = self.search.text().strip()
        self.model.clear()
        if query:
            # ranked, without categories: what is meant stands first
            for declared in rank(query, self._types.values()):
                self.model.appendRow(self._type_item(declared, titled(declared.category)))
            for model in self._models:
                if all(word in model.name.lower() for word in query.lower().split()):
                    self.model.appendRow(self._model_item(model))
            self.tree.setRootIsDecorated(False)
            self.tree.setCurrentIndex(self.model.index(0, 0))
            return
        self.tree.setRootIsDecorated(True)
        for category in self._ordered():
            children = [d for d in rank("", self._types.values()) if d.category == category]
            self._add_section(
                titled(category), [self._type_item(declared) for declared in children]
            )
        if self._models:
            self._add_section(
                self.tr("Models on disk"), [self._model_item(model) for model in self._models]
            )
        self.help.clear()

    def _ordered(self) -> list[str]:
        known = {declared.category for declared in self._types.values()}
        return [c for c in _CATEGORIES if c in known] + sorted(known - set(_CATEGORIES))

    def _add_section(self, name: str, children: list[QStandardItem]) -> None:
        section = QStandardItem(name)
        font = section.font()
        font.setBold(True)
        section.setFont(font)
        section.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        section.appendRows(children)
        self.model.appendRow(section)
        self.tree.setExpanded(section.index(), section.text() not in self._closed)

    def _type_item(self, declared: NodeType, category: str = "") -> QStandardItem:
        text = f"{declared.title}  ·  {category}" if category else declared.title
        item = QStandardItem(icon("node", self._theme), text)
        item.setData(declared.id, _TYPE_ROLE)
        item.setToolTip(declared.summary)
        item.setData(f"{declared.title}: {declared.summary}", Qt.ItemDataRole.AccessibleTextRole)
        return item

    def _model_item(self, model: OfferedModel) -> QStandardItem:
        item = QStandardItem(icon("model", self._theme), model.name)
        item.setData(model.loader, _TYPE_ROLE)
        item.setData(model.name, _MODEL_ROLE)
        item.setToolTip(model.summary or model.name)
        item.setData(self.tr("model {0}").format(model.name), Qt.ItemDataRole.AccessibleTextRole)
        return item

    # --- choosing

    def _collapsed(self, index: QModelIndex) -> None:
        self._closed.add(str(index.data()))

    def _expanded(self, index: QModelIndex) -> None:
        self._closed.discard(str(index.data()))

    def _describe(self, index: QModelIndex) -> None:
        declared = self._types.get(str(index.data(_TYPE_ROLE)))
        if index.data(_MODEL_ROLE):
            self.help.setText(str(index.data(Qt.ItemDataRole.ToolTipRole)))
        else:
            self.help.setText(declared.summary if declared else "")

    def _add_first(self) -> None:
        index = self.tree.currentIndex()
        if index.isValid() and index.data(_TYPE_ROLE):
            self._chosen(index)

    def _chosen(self, index: QModelIndex) -> None:
        params: dict[str, Json] = {}
        model, type_id = index.data(_MODEL_ROLE), str(index.data(_TYPE_ROLE))
        if model:
            named = (p.name for p in self._types[type_id].params if isinstance(p.hint, ModelName))
            params[next(named)] = str(model)
        self.add_requested.emit(type_id, params)
