"""One editor per kind of parameter: what is typed, dragged or picked becomes a checked value, or a reason why not."""

from studio.gui.editors.choices import BoolEditor, ChoiceEditor, ModelEditor
from studio.gui.editors.choosing import NullableEditor, editor_for
from studio.gui.editors.drawn import CurveEditor, StrokesEditor, read_points, written_points
from studio.gui.editors.editor import Editor, icon_size
from studio.gui.editors.numbers import NumberEditor, SeedEditor
from studio.gui.editors.prompt import PromptEditor, PromptField
from studio.gui.editors.text import (
    ColorEditor,
    FileEditor,
    FolderEditor,
    JsonEditor,
    NumbersEditor,
    TextEditor,
)

__all__ = [
    "BoolEditor",
    "ChoiceEditor",
    "ColorEditor",
    "CurveEditor",
    "Editor",
    "FileEditor",
    "FolderEditor",
    "JsonEditor",
    "ModelEditor",
    "NullableEditor",
    "NumberEditor",
    "NumbersEditor",
    "PromptEditor",
    "PromptField",
    "SeedEditor",
    "StrokesEditor",
    "TextEditor",
    "editor_for",
    "icon_size",
    "read_points",
    "written_points",
]
