"""Which editor suits a parameter; and how one that may be null is left to its node."""

from __future__ import annotations

import re
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QCheckBox, QWidget

from studio.graph import Json, Param, ParamKind
from studio.gui.editors.choices import BoolEditor, ChoiceEditor, ModelEditor
from studio.gui.editors.drawn import CurveEditor, StrokesEditor
from studio.gui.editors.editor import Editor, resets
from studio.gui.editors.numbers import NumberEditor, SeedEditor
from studio.gui.editors.prompt import PromptEditor
from studio.gui.editors.text import (
    ColorEditor,
    FileEditor,
    FolderEditor,
    JsonEditor,
    NumbersEditor,
    TextEditor,
)
from studio.gui.theme import Theme
from studio.registry import (
    Choice,
    File,
    Folder,
    ModelName,
    Multiline,
    Numbers,
    Points,
    Range,
    Seed,
    Strokes,
)

_COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")


class NullableEditor(Editor):
    """A parameter that may be left to the node: a check box, and the editor of the value while it is checked."""

    def __init__(self, inner: Editor, parent: QWidget | None = None) -> None:
        super().__init__(inner.param, inner._theme, parent)
        self.inner = inner
        inner.setParent(self)
        self.box = QCheckBox(self)
        self.box.setToolTip(self.tr("Set a value; otherwise the node decides"))
        self.box.clicked.connect(self._toggled)
        self.box.installEventFilter(self)
        inner.edited.connect(self._inner_edited)
        inner.refused.connect(self.refused)
        inner.reset_requested.connect(self.reset_requested)
        self._kept = _first_value(inner.param)
        self._row.addWidget(self.box)
        self._row.addWidget(inner, 1)
        self.setFocusProxy(self.box)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Reset on Backspace."""
        return resets(self, event) or super().eventFilter(watched, event)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.inner.set_theme(theme)

    def _toggled(self, is_checked: bool) -> None:
        self._offer_alone(self._kept if is_checked else None)
        self._show()

    def _inner_edited(self, value: Json, gesture: int) -> None:
        self._value, self._is_mixed = value, False
        self._kept = value
        self.edited.emit(value, gesture)

    def _show(self) -> None:
        is_set = self._value is not None
        if is_set:
            self._kept = self._value
        self.box.setChecked(is_set)
        self.inner.setEnabled(is_set or self._is_mixed)
        self.inner.set_value(self._value, is_mixed=self._is_mixed)


def _first_value(param: Param) -> Json:
    """The value that a parameter without one starts from: 1, or the nearest that is admitted."""
    number: float = 1
    if isinstance(param.hint, Range):
        number = min(max(number, param.hint.low), param.hint.high)
        if param.hint.step and param.kind is ParamKind.INT and number % param.hint.step:
            number = param.hint.low
    by_kind: dict[ParamKind, Json] = {
        ParamKind.BOOL: True,
        ParamKind.INT: int(number),
        ParamKind.FLOAT: float(number),
        ParamKind.TEXT: param.hint.values[0] if isinstance(param.hint, Choice) else "",
        ParamKind.LIST: [],
    }
    return by_kind[param.kind]


Maker = Callable[[Param, Theme], Editor]


def editor_for(param: Param, theme: Theme) -> Editor:
    """The editor that suits a parameter, by its kind and hint."""
    made = _maker(param)(param, theme)
    return NullableEditor(made) if param.nullable else made


def _maker(param: Param) -> Maker:
    hint = param.hint
    by_hint: tuple[tuple[type, Maker], ...] = (
        (Seed, SeedEditor),
        (Choice, ChoiceEditor),
        (Multiline, PromptEditor),
        (Folder, FolderEditor),
        (File, FileEditor),
        (ModelName, ModelEditor),
        (Points, CurveEditor),
        (Strokes, StrokesEditor),
    )
    for kind, maker in by_hint:
        if isinstance(hint, kind):
            return maker
    return _by_kind(param)


def _by_kind(param: Param) -> Maker:
    if param.kind is ParamKind.BOOL:
        return BoolEditor
    if param.kind in (ParamKind.INT, ParamKind.FLOAT):
        return NumberEditor
    if param.kind is ParamKind.TEXT:
        is_color = isinstance(param.default, str) and _COLOR.match(param.default)
        return ColorEditor if is_color else TextEditor
    return NumbersEditor if isinstance(param.hint, Numbers) else JsonEditor
