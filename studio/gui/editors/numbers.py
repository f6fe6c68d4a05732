"""Editors of numbers: whole, decimal, and seeds with their dice."""

from __future__ import annotations

import secrets
from fractions import Fraction

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QWidget

from studio.arithmetic import evaluate
from studio.graph import Json, Param, ParamKind
from studio.gui.editors.editor import Editor, button
from studio.gui.editors.number_field import NumberField
from studio.gui.theme import Theme, icon
from studio.registry import Range


class NumberEditor(Editor):
    """A whole or decimal number, by ``NumberField``."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.field = NumberField(param, theme, self)
        self.field.stepped.connect(self.offer)
        self.field.typed.connect(self._type)
        self.field.began.connect(self.begin_gesture)
        self.field.abandoned.connect(self._abandon)
        self.field.reset_requested.connect(self.reset_requested)
        self.edited.connect(self._show)
        self._take(self.field)
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.field.set_theme(theme)

    def _show(self) -> None:
        self.field.show_value(self._value, is_mixed=self._is_mixed)

    def _abandon(self) -> None:
        self.refused.emit("")

    def _type(self, text: str) -> None:
        try:
            number = evaluate(_without_unit(text, self.param))
            value = _number(number, self.param)
        except ValueError as error:
            self.refused.emit(str(error))
            self.field.set_bad(True)
            return
        if not self._offer_alone(value):
            self.field.set_bad(True)
            return
        self.field.end_typing()


def _without_unit(text: str, param: Param) -> str:
    unit = param.hint.unit if isinstance(param.hint, Range) else ""
    return text.strip().removesuffix(unit).strip() if unit else text.strip()


def _number(number: Fraction, param: Param) -> Json:
    if param.kind is ParamKind.INT:
        if number.denominator != 1:
            raise ValueError(f"{float(number):g} is not a whole number")
        return int(number)
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError("this is out of bounds") from error


class SeedEditor(NumberEditor):
    """A 64-bit seed: exact, typed or thrown by dice, kept by the lock, and the last one used brought back."""

    lock_changed = Signal(bool)

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self._last_used: int | None = None
        self.dice = button("dice", self.tr("New random seed"), theme, self)
        self.dice.clicked.connect(self.throw)
        self.recall = button("recall", self.tr("Last used seed"), theme, self)
        self.recall.clicked.connect(self._recall)
        self.recall.setEnabled(False)
        self.lock = button("lock", "", theme, self)
        self.lock.setCheckable(True)
        self.lock.toggled.connect(self._lock_toggled)
        for tool in (self.dice, self.recall, self.lock):
            self._row.addWidget(tool)
        self.set_locked(False)
        self.edited.connect(self._show_recall)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.dice.setIcon(icon("dice", theme))
        self.recall.setIcon(icon("recall", theme))
        self._show_lock()

    @property
    def is_locked(self) -> bool:
        """Whether the seed is kept: neither dice nor typing change it."""
        return self.lock.isChecked()

    def set_locked(self, is_locked: bool) -> None:
        """Keep the seed, or let it go."""
        with QSignalBlocker(self.lock):
            self.lock.setChecked(is_locked)
        self._show_lock()

    def set_last_used(self, seed: int | None) -> None:
        """Say which seed the button brings back; None: there is none."""
        self._last_used = seed
        self._show_recall()

    def set_value(self, value: Json, *, is_mixed: bool = False) -> None:
        """Show a value without saying that it was edited."""
        super().set_value(value, is_mixed=is_mixed)
        self._show_recall()

    def throw(self) -> None:
        """Take a new random seed, from the system's source."""
        before = self._value
        if self._offer_alone(secrets.randbits(64)) and isinstance(before, int):
            self.set_last_used(before)

    def _recall(self) -> None:
        before, seed = self._value, self._last_used
        # what is left is brought back by the next press
        if self._offer_alone(seed) and isinstance(before, int):
            self.set_last_used(before)

    def _lock_toggled(self, is_locked: bool) -> None:
        self._show_lock()
        self.lock_changed.emit(is_locked)

    def _show_lock(self) -> None:
        is_locked = self.is_locked
        self.lock.setIcon(icon("lock" if is_locked else "unlock", self._theme))
        text = self.tr("Seed is kept; press to let it change")
        if not is_locked:
            text = self.tr("Keep this seed")
        self.lock.setToolTip(text)
        self.lock.setAccessibleName(text)
        self.field.setEnabled(not is_locked)
        self.dice.setEnabled(not is_locked)
        self._show_recall()

    def _show_recall(self) -> None:
        seed = self._last_used
        self.recall.setEnabled(seed is not None and seed != self._value and not self.is_locked)
        if seed is not None:
            self.recall.setToolTip(self.tr("Last used seed: {0}").format(seed))
