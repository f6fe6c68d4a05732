"""The sheet of keys: everything that has a key, to be searched, and to be given other keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QKeyCombination, QObject, QSignalBlocker, Qt
from PySide6.QtGui import QBrush, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from studio.gui.keys.actions import Action, plain, shown_keys
from studio.gui.keys.keymap import NAMES, Keymap, Keys, portable
from studio.gui.theme import Theme

_ID = Qt.ItemDataRole.UserRole
_MODIFIERS = frozenset(
    [
        Qt.Key.Key_Shift,
        Qt.Key.Key_Control,
        Qt.Key.Key_Alt,
        Qt.Key.Key_Meta,
        Qt.Key.Key_AltGr,
        Qt.Key.Key_CapsLock,
        Qt.Key.Key_NumLock,
        Qt.Key.Key_unknown,
    ]
)


@dataclass(frozen=True)
class Section:
    """Keys under one title: of actions, which can be given others, or of a widget, which cannot."""

    title: str
    actions: Sequence[Action] = ()
    rows: Sequence[tuple[str, str]] = ()


class KeySheet(QDialog):
    """Shows the keys of today; ``change`` is called with the keymap that is wanted."""

    def __init__(
        self,
        sections: Iterable[Section],
        keymap: Keymap,
        change: Callable[[Keymap], None],
        theme: Theme,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._sections = tuple(sections)
        self._keymap = keymap
        self._change = change
        self._theme = theme
        self._wanted: Keys = ()
        """A key that is pressed for the chosen row and belongs to another action."""
        self._is_listening = False
        self.setWindowTitle(self.tr("Keys and gestures"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(640, 700)
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText(self.tr("Search for what it does, or for a key"))
        self.filter.setAccessibleName(self.tr("Search"))
        self.filter.textChanged.connect(self._show_filtered)
        self.filter.installEventFilter(self)
        self.tree = QTreeWidget()
        self._set_up_tree()
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.take = QPushButton(self.tr("&Take it"))
        self.take.clicked.connect(self._take)
        self.other = QPushButton(self.tr("&Change…"))
        self.other.clicked.connect(self.listen)
        self.clear = QPushButton(self.tr("&No key"))
        self.clear.clicked.connect(self.remove)
        self.reset = QPushButton(self.tr("&Reset"))
        self.reset.clicked.connect(self.reset_row)
        self.reset_all = QPushButton(self.tr("Reset &all"))
        self.reset_all.clicked.connect(self.reset_everything)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        words = QHBoxLayout()
        words.addWidget(self.told, 1)
        words.addWidget(self.take)
        row = QHBoxLayout()
        for button in (self.other, self.clear, self.reset, self.reset_all):
            button.setAutoDefault(False)
            button.setAccessibleName(button.text().replace("&", ""))
            row.addWidget(button)
        self.take.setAutoDefault(False)
        self.take.setAccessibleName(self.tr("Take it"))
        row.addStretch(1)
        row.addWidget(buttons)
        column = QVBoxLayout(self)
        column.addWidget(self.filter)
        column.addWidget(self.tree, 1)
        column.addLayout(words)
        column.addLayout(row)
        self._fill()
        self.filter.setFocus(Qt.FocusReason.OtherFocusReason)

    def _set_up_tree(self) -> None:
        tree = self.tree
        tree.setAccessibleName(self.tr("Keys and gestures"))
        tree.setColumnCount(2)
        tree.setHeaderHidden(True)
        tree.setFrameShape(QFrame.Shape.NoFrame)
        tree.setRootIsDecorated(False)
        tree.setIndentation(12)
        tree.setUniformRowHeights(True)
        tree.setStyleSheet("QTreeView::item { padding: 2px 0; }")
        tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        tree.setItemsExpandable(False)
        tree.setColumnWidth(0, 360)
        tree.currentItemChanged.connect(self._chosen)
        tree.itemActivated.connect(self.listen)
        tree.itemClicked.connect(self._clicked)
        tree.installEventFilter(self)

    # --- what is shown

    def _fill(self) -> None:
        kept = self._id()
        with QSignalBlocker(self.tree):
            self.tree.clear()
            for section in self._sections:
                head = QTreeWidgetItem([section.title])
                font = head.font(0)
                font.setBold(True)
                head.setFont(0, font)
                head.setFlags(Qt.ItemFlag.ItemIsEnabled)
                head.addChildren([self._row(action) for action in section.actions])
                head.addChildren([self._fixed(what, keys) for what, keys in section.rows if keys])
                if head.childCount():
                    self.tree.addTopLevelItem(head)
                    head.setFirstColumnSpanned(True)
            self.tree.expandAll()
        self._show_filtered()
        found = self._item(kept)
        if found is not None:
            self.tree.setCurrentItem(found)
        self._tell()

    def _row(self, action: Action) -> QTreeWidgetItem:
        keys = self._keymap.keys(action.id, action.keys)
        item = QTreeWidgetItem([plain(action.text), shown_keys(keys)])
        item.setData(0, _ID, action.id)
        font = item.font(1)
        font.setBold(True)
        item.setFont(1, font)
        if action.id in self._keymap.changes:
            item.setForeground(1, QBrush(self._theme.accent))
            item.setToolTip(1, self.tr("Changed by you"))
        return item

    def _fixed(self, what: str, keys: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem([what, keys])
        item.setForeground(1, QBrush(self._theme.text_dim))
        return item

    def _rows(self) -> list[QTreeWidgetItem]:
        return [row for head in self._heads() for row in _children(head)]

    def _heads(self) -> list[QTreeWidgetItem]:
        count = self.tree.topLevelItemCount()
        return [head for place in range(count) if (head := self.tree.topLevelItem(place))]

    def _item(self, action: str | None) -> QTreeWidgetItem | None:
        rows = (item for item in self._rows() if action and item.data(0, _ID) == action)
        return next(rows, None)

    def _show_filtered(self) -> None:
        words = self.filter.text().casefold().split()
        for item in self._rows():
            text = f"{item.text(0)} {item.text(1)}".casefold()
            item.setHidden(not all(word in text for word in words))
        for head in self._heads():
            head.setHidden(all(row.isHidden() for row in _children(head)))

    def text(self) -> str:
        """All of it as text, what the search hides left out."""
        return "\n".join(
            f"{item.text(0)}\t{item.text(1)}" for item in self._rows() if not item.isHidden()
        )

    def set_keymap(self, keymap: Keymap) -> None:
        """Show other keys."""
        self._keymap = keymap
        self._stop()
        self._fill()

    # --- the chosen row

    def _id(self) -> str | None:
        item = self.tree.currentItem()
        found = item.data(0, _ID) if item is not None else None
        return found if isinstance(found, str) else None

    def _actions(self) -> dict[str, Action]:
        return {action.id: action for one in self._sections for action in one.actions}

    def _chosen(self) -> None:
        self._stop()
        self._tell()

    def _clicked(self, _item: QTreeWidgetItem, column: int) -> None:
        if column == 1:
            self.listen()

    def _tell(self, words: str = "") -> None:
        """Say what can be done with the chosen row, or ``words``."""
        action = self._id()
        item = self.tree.currentItem()
        if not words and action is not None:
            words = self.tr("Enter, or a click on its key, gives it another key.")
        elif not words and item is not None and item.parent() is not None:
            words = self.tr("This key counts only while its panel has the keyboard; it stays.")
        elif not words:
            words = self.tr("The keys of {}. Choose a row to change its key.").format(
                NAMES[self._keymap.preset]
            )
        self.told.setText(words)
        self.take.setVisible(bool(self._wanted))
        self.other.setEnabled(action is not None)
        self.clear.setEnabled(action is not None)
        self.reset.setEnabled(action in self._keymap.changes)
        self.reset_all.setEnabled(bool(self._keymap.changes))

    def listen(self) -> None:
        """Wait for the key that the chosen row is to have."""
        item = self.tree.currentItem()
        if item is None or self._id() is None:
            return
        self._is_listening = True
        self._wanted = ()
        item.setText(1, self.tr("press a key…"))
        self.tree.setFocus(Qt.FocusReason.OtherFocusReason)
        self._tell(self.tr("Press the new key for {}; Esc keeps the old one.").format(item.text(0)))

    def _stop(self) -> None:
        self._wanted = ()
        if self._is_listening:
            self._is_listening = False
            self._show_keys()

    def _show_keys(self) -> None:
        actions = self._actions()
        for item in self._rows():
            action = actions.get(str(item.data(0, _ID)))
            if action is not None:
                item.setText(1, shown_keys(self._keymap.keys(action.id, action.keys)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the key that is waited for, whatever it would do elsewhere; go from the search to the rows."""
        if not isinstance(event, QKeyEvent) or event.type() not in (
            QEvent.Type.ShortcutOverride,
            QEvent.Type.KeyPress,
        ):
            return super().eventFilter(watched, event)
        if watched is self.filter:
            if event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Down:
                self._go_to_rows()
                return True
            return False
        if not self._is_listening:
            return False
        event.accept()
        if event.type() == QEvent.Type.KeyPress and event.key() not in _MODIFIERS:
            self._pressed(event)
        return True

    def _go_to_rows(self) -> None:
        first = next((item for item in self._rows() if not item.isHidden()), None)
        if first is not None:
            self.tree.setCurrentItem(first)
            self.tree.setFocus(Qt.FocusReason.OtherFocusReason)

    def _pressed(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self._stop()
            self._tell()
            return
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if event.text() and not event.text().isalnum() and event.text().isprintable():
            # what Shift makes of a key is part of the key itself
            modifiers &= ~Qt.KeyboardModifier.ShiftModifier
        pressed = QKeySequence(QKeyCombination(modifiers, Qt.Key(event.key())))
        keys = portable([pressed.toString(QKeySequence.SequenceFormat.PortableText)])
        if keys:
            self._want(keys)

    def _want(self, keys: Keys) -> None:
        action = self._id()
        assert action is not None
        other = self._owner(keys[0])
        self._is_listening = False
        if other is None or other.id == action:
            self._set(self._keymap.with_keys(action, keys))
            return
        self._show_keys()
        self._wanted = keys
        self._tell(self.tr("{} belongs to “{}”.").format(shown_keys(keys), plain(other.text)))
        self.take.setFocus(Qt.FocusReason.OtherFocusReason)

    def _owner(self, key: str) -> Action | None:
        """The action that has a key now."""
        return next(
            (
                action
                for action in self._actions().values()
                if key in self._keymap.keys(action.id, action.keys)
            ),
            None,
        )

    def _take(self) -> None:
        """Give the chosen row a key that was another's, which keeps those that it has beside it."""
        action, keys = self._id(), self._wanted
        other = self._owner(keys[0]) if keys else None
        if action is None or other is None:
            return
        left = tuple(k for k in self._keymap.keys(other.id, other.keys) if k not in keys)
        self._set(self._keymap.with_keys(other.id, left).with_keys(action, keys))

    def remove(self) -> None:
        """Let the chosen row have no key."""
        action = self._id()
        if action is not None:
            self._set(self._keymap.with_keys(action, ()))

    def reset_row(self) -> None:
        """Give the chosen row the key of the preset again."""
        action = self._id()
        if action is None:
            return
        wanted = self._keymap.without(action)
        declared = self._actions()[action]
        for key in Keymap(self._keymap.preset).keys(action, declared.keys):
            # whoever was given it in the meantime gives it back
            for id_, keys in wanted.changes.items():
                if key in keys:
                    wanted = wanted.with_keys(id_, tuple(one for one in keys if one != key))
        self._set(wanted)

    def reset_everything(self) -> None:
        """Give every row the keys of the preset again."""
        self._set(Keymap(self._keymap.preset))

    def _set(self, keymap: Keymap) -> None:
        self._change(keymap)
        self.set_keymap(keymap)
        self.tree.setFocus(Qt.FocusReason.OtherFocusReason)


def _children(head: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    return [row for place in range(head.childCount()) if (row := head.child(place))]
