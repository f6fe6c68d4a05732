"""Keys of a widget that count only while it has the focus, and then come before the window's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QKeyCombination, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence

_PORTABLE = QKeySequence.SequenceFormat.PortableText


@dataclass(frozen=True)
class FocusKey:
    """Something that a widget does on a key."""

    keys: tuple[str, ...]
    """In Qt's portable notation; the first is shown."""
    text: str
    """What people read, translated; keys with the same text are one row of the sheet of keys."""
    run: Callable[[], object]


class FocusKeys:
    """A table of keys; the widget hands its events over in ``event()``.

    Not QActions: the window has the same keys for other things (F frames the canvas), and Qt takes two shortcuts of
    one key for ambiguous and runs neither. Claiming the key by ShortcutOverride goes to the widget that has the focus.
    """

    def __init__(self, table: Iterable[FocusKey] = ()) -> None:
        self._table = tuple(table)
        self._runs = {
            QKeySequence(key).toString(_PORTABLE): entry.run
            for entry in self._table
            for key in entry.keys
        }

    def handle(self, event: QEvent) -> bool:
        """Claim or run a key; True if the event was one of ours and is done with."""
        if not isinstance(event, QKeyEvent):
            return False
        if event.type() not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            return False
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        pressed = QKeyCombination(modifiers, Qt.Key(event.key()))
        run = self._runs.get(QKeySequence(pressed).toString(_PORTABLE))
        if run is None:
            return False
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            run()
        return True

    def rows(self) -> list[tuple[str, str]]:
        """What can be done and its key as this system writes it, for the sheet of keys."""
        return [
            (entry.text, QKeySequence(entry.keys[0]).toString())
            for entry in self._table
            if entry.keys
        ]
