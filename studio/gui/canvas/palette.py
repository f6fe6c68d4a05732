"""The search palette: node types, or nodes, by name, alias and meaning, at the place that they are wanted for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from studio.graph import NodeType, titled
from studio.gui.theme import Theme

WIDTH = 380
HEIGHT = 360
_KEY = Qt.ItemDataRole.UserRole
_STEP_KEYS = {
    Qt.Key.Key_Down: 1,
    Qt.Key.Key_Up: -1,
    Qt.Key.Key_Tab: 1,
    Qt.Key.Key_Backtab: -1,
    Qt.Key.Key_PageDown: 8,
    Qt.Key.Key_PageUp: -8,
}


@dataclass(frozen=True)
class Entry:
    """Something that can be searched for and taken."""

    key: str
    title: str
    detail: str = ""
    """Beside the title: a category, a type."""
    help: str = ""
    """A sentence about it, which is searched as well."""
    names: tuple[str, ...] = ()
    """What else it is called."""


def entries(types: Iterable[NodeType]) -> list[Entry]:
    """Node types as entries."""
    return [
        Entry(
            declared.id,
            declared.title,
            titled(declared.category),
            declared.summary,
            (declared.id, *declared.aliases),
        )
        for declared in types
    ]


def ranked(query: str, offered: Sequence[Entry]) -> list[Entry]:
    """The entries that a query means, the best first; those that match alike stay in the order given.

    Every word of the query must be found: as a name or its beginning, within one, as letters in this order in one
    (``kdenz``), or in the detail or help.
    """
    words = query.lower().replace("_", " ").split()
    if not words:
        return list(offered)
    scored = []
    for index, entry in enumerate(offered):
        costs = [_cost(word, entry) for word in words]
        known = [cost for cost in costs if cost is not None]
        if len(known) == len(costs):
            scored.append((sum(known), index, entry))
    return [entry for _, _, entry in sorted(scored, key=lambda one: one[:2])]


def _cost(word: str, entry: Entry) -> float | None:
    """How far a word is from an entry; None if it does not mean it."""
    found: list[float] = []
    for rank, name in enumerate((entry.title, *entry.names)):
        cost = _name_cost(word, name.lower().replace("_", " "))
        if cost is not None:
            # what it is called second is as good, but behind what is called so first
            found.append(cost + (0.5 if rank > 1 else 0.0))
    if word in entry.detail.lower():
        found.append(20.0)
    if word in entry.help.lower():
        found.append(25.0)
    return min(found, default=None)


def _name_cost(word: str, text: str) -> float | None:
    if word == text:
        return 0.0
    if text.startswith(word):
        return 1.0 + len(text) * 0.01
    if any(part.startswith(word) for part in text.split()):
        return 3.0 + len(text) * 0.01
    if word in text:
        return 6.0 + len(text) * 0.01
    gaps = _gaps(word, text)
    # letters strewn over a long name mean nothing
    return 10.0 + gaps if gaps is not None and gaps <= len(word) and len(word) >= 3 else None


def _gaps(word: str, text: str) -> int | None:
    """Letters skipped to find a word's letters in order; None if they are not all there."""
    at, gaps = -1, 0
    for letter in word:
        found = text.find(letter, at + 1)
        if found < 0:
            return None
        gaps += found - at - 1 if at >= 0 else 0
        at = found
    return gaps


class Palette(QFrame):
    """A field and a list over the canvas; Enter takes, Escape or another place closes."""

    chosen = Signal(str)
    """The key of the entry that was taken."""
    given_up = Signal()
    """Closed by Escape: the focus goes back to where it came from."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._home = parent
        self._offered: Sequence[Entry] = ()
        self.setObjectName("palette")
        self.setAccessibleName(self.tr("Add a node"))
        self.field = QLineEdit(self)
        self.field.setAccessibleName(self.tr("Search nodes"))
        self.field.setClearButtonEnabled(True)
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Matching nodes"))
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(2)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.help = QLabel(self)
        self.help.setWordWrap(True)
        self.help.setMinimumHeight(self.help.fontMetrics().height() * 2)
        self.help.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for widget in (self.field, self.list, self.help):
            layout.addWidget(widget)
        self.setFocusProxy(self.field)
        self.field.textChanged.connect(self._search)
        self.field.installEventFilter(self)
        self.list.currentItemChanged.connect(self._explain)
        self.list.itemClicked.connect(self._take)
        self.set_theme(theme)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self.setPalette(theme.palette())
        panel, border = theme.panel.name(), theme.border.name()
        # of this frame only, not of the field and the list in it
        self.setStyleSheet(
            f"#palette {{ background: {panel}; border: 1px solid {border}; border-radius: 6px; }}"
        )

    def open(self, offered: Iterable[Entry], place: QPoint, hint: str) -> None:
        """Offer entries, the best first, at a place of the parent widget; it stays inside of it."""
        self._offered = tuple(offered)
        self.field.setPlaceholderText(hint)
        self.field.clear()
        self._search("")
        area = self._home.rect().adjusted(4, 4, -4, -4)
        width, height = min(WIDTH, area.width()), min(HEIGHT, area.height())
        x = min(max(place.x(), area.left()), area.right() - width)
        y = min(max(place.y(), area.top()), area.bottom() - height)
        self.setGeometry(x, y, width, height)
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)

    def close_quietly(self) -> None:
        """Close without a choice; the focus stays where it went."""
        self.hide()

    def _search(self, query: str) -> None:
        self.list.clear()
        for entry in ranked(query, self._offered):
            detail = f"   —  {entry.detail}" if entry.detail else ""
            item = QListWidgetItem(f"{entry.title}{detail}")
            item.setData(_KEY, entry.key)
            item.setToolTip(entry.help)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        if not self.list.count():
            self.help.setText(self.tr("Nothing is called that"))

    def _explain(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.help.setText(item.toolTip())

    def _take(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.hide()
            self.chosen.emit(item.data(_KEY))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Lead the list by the keys that go to the field, and close where the focus goes elsewhere."""
        if watched is self.field and isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.KeyPress:
                return self._key(event)
        elif watched is self.field and event.type() == QEvent.Type.FocusOut:
            now = QApplication.focusWidget()
            if now is None or not self.isAncestorOf(now):
                self.close_quietly()
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape:
            self.hide()
            self.given_up.emit()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._take(self.list.currentItem())
        elif key in _STEP_KEYS and self.list.count():
            row = self.list.currentRow() + _STEP_KEYS[key]
            self.list.setCurrentRow(min(max(row, 0), self.list.count() - 1))
        else:
            return False
        return True
