"""The history of a document's edits as a list that pops up: a step that is chosen is gone to."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QBrush
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from studio.gui.document import Document
from studio.gui.theme import Theme, icon

_ROWS = 16


class Steps(QFrame):
    """All steps by name, the latest first; the present one is marked, those that are undone are dim."""

    def __init__(self, document: Document, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._document = document
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("History of edits"))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setIconSize(QSize(14, 14))
        texts = [self.tr("The beginning"), *document.undo_texts]
        mark, none = icon("play", theme), icon("state_off", theme)
        for position in reversed(range(len(texts))):
            item = QListWidgetItem(texts[position])
            item.setData(Qt.ItemDataRole.UserRole, position)
            is_now = position == document.position
            item.setIcon(mark if is_now else none)
            font = item.font()
            font.setBold(is_now)
            item.setFont(font)
            if position > document.position:
                item.setForeground(QBrush(theme.text_dim))
                item.setToolTip(self.tr("Undone; choose it to do it again"))
            self.list.addItem(item)
            if is_now:
                self.list.setCurrentItem(item)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, 1)
        column.addWidget(self.list)
        row = max(self.list.sizeHintForRow(0), 1)
        self.setFixedSize(300, row * min(len(texts), _ROWS) + 6)
        self.list.itemActivated.connect(self._chosen)
        self.list.itemClicked.connect(self._chosen)
        self.setFocusProxy(self.list)

    def show_below(self, widget: QWidget) -> None:
        """Pop up under a widget, the keyboard in the list."""
        self.move(widget.mapToGlobal(QPoint(0, widget.height())))
        self.show()
        self.list.setFocus(Qt.FocusReason.PopupFocusReason)

    def _chosen(self, item: QListWidgetItem) -> None:
        self._document.go_to(int(item.data(Qt.ItemDataRole.UserRole)))
        self.close()
