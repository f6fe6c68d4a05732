"""Editors that pick: yes or no, one of a few words, one of the models on disk."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QCompleter, QWidget

from studio.graph import Param
from studio.gui.editors.editor import Editor, resets
from studio.gui.editors.number_field import Line, shown
from studio.gui.theme import Theme
from studio.registry import Choice


class BoolEditor(Editor):
    """A check box, half checked where values differ."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.box = QCheckBox(self)
        self.box.clicked.connect(self._clicked)
        self.box.installEventFilter(self)
        self._take(self.box)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Reset on Backspace."""
        return resets(self, event) or super().eventFilter(watched, event)

    def _clicked(self, is_checked: bool) -> None:
        self.box.setTristate(False)
        self._offer_alone(self.box.isChecked() or is_checked)
        self._show()

    def _show(self) -> None:
        self.box.setTristate(self._is_mixed)
        if self._is_mixed:
            self.box.setCheckState(Qt.CheckState.PartiallyChecked)
        else:
            self.box.setChecked(self._value is True)
        self.box.setText(
            self.tr("mixed")
            if self._is_mixed
            else self.tr("on")
            if self._value is True
            else self.tr("off")
        )


class Combo(QComboBox):
    """A combo box that the wheel only turns while it has the focus, so that scrolling past changes nothing."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn only with the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ChoiceEditor(Editor):
    """One of a few words."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.box = Combo(self)
        assert isinstance(param.hint, Choice)
        for word in param.hint.values:
            self.box.addItem(word)
        self.box.activated.connect(self._activated)
        self.box.installEventFilter(self)
        self._take(self.box)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Reset on Backspace."""
        return resets(self, event) or super().eventFilter(watched, event)

    def _activated(self, index: int) -> None:
        self._offer_alone(self.box.itemText(index))

    def _show(self) -> None:
        self.box.setPlaceholderText(self.tr("mixed") if self._is_mixed else shown(self._value))
        index = -1 if self._is_mixed else self.box.findText(shown(self._value))
        self.box.setCurrentIndex(index)


class ModelEditor(Editor):
    """The name of a model: picked from those on disk, or typed."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.box = Combo(self)
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.setLineEdit(Line(self.box))
        completer = QCompleter(self.box.model(), self.box)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.box.setCompleter(completer)
        self.box.activated.connect(self._activated)
        line = self.box.lineEdit()
        assert line is not None  # it was just set
        line.editingFinished.connect(self._finished)
        self._take(self.box)
        self._show()

    def set_models(self, names: Sequence[str]) -> None:
        """Say which models there are."""
        with QSignalBlocker(self.box):
            self.box.clear()
            self.box.addItems(list(names))
        self._show()

    def _activated(self, index: int) -> None:
        self._offer_alone(self.box.itemText(index))

    def _finished(self) -> None:
        if self.box.currentText() != self._text():
            self._offer_alone(self.box.currentText())

    def _text(self) -> str:
        return "" if self._is_mixed else shown(self._value)

    def _show(self) -> None:
        line = self.box.lineEdit()
        assert line is not None  # set in the constructor
        line.setPlaceholderText(self.tr("mixed") if self._is_mixed else self.tr("name of a model"))
        with QSignalBlocker(self.box):
            self.box.setCurrentIndex(self.box.findText(self._text()))
            self.box.setEditText(self._text())
