"""Editors of one line of text: plain, lists of numbers, JSON, colours, files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QColorDialog, QFileDialog, QToolButton, QWidget

from studio.arithmetic import evaluate
from studio.graph import Json, Param
from studio.gui.editors.editor import Editor, button
from studio.gui.editors.number_field import Line, shown
from studio.gui.theme import Theme, icon
from studio.registry import File


class TextEditor(Editor):
    """A line of text, taken on Enter or when the field is left."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.line = Line(self)
        self.line.editingFinished.connect(self._finished)
        self._take(self.line)
        self._show()

    def _finished(self) -> None:
        if not self.line.isModified():
            return
        self.line.setModified(False)
        if not self._offer_alone(self.read(self.line.text())):
            return
        self._show()

    def read(self, text: str) -> Json:
        """The value that a text stands for; what it cannot be is left to the parameter's check."""
        return text

    def write(self, value: Json) -> str:
        """The text that stands for a value."""
        return shown(value)

    def _show(self) -> None:
        text = "" if self._is_mixed else self.write(self._value)
        self.line.setPlaceholderText(self.tr("mixed") if self._is_mixed else "")
        if self.line.text() != text:
            self.line.setText(text)
            self.line.setCursorPosition(0)


class NumbersEditor(TextEditor):
    """A list of numbers, separated by commas or spaces; each may be arithmetic."""

    def read(self, text: str) -> Json:
        """The numbers; what is no number stays text, which the parameter refuses by its place."""
        found: list[Json] = []
        for part in re.split(r"[,;\s]+", text.strip(" \t[]")):
            if not part:
                continue
            try:
                found.append(float(evaluate(part)))
            except (ValueError, OverflowError):
                found.append(part)
        return found

    def write(self, value: Json) -> str:
        """The numbers, separated by commas."""
        if not isinstance(value, list):
            return shown(value)
        return ", ".join(shown(number) for number in value)


class JsonEditor(TextEditor):
    """A list of a form that nothing is known of, as JSON."""

    def read(self, text: str) -> Json:
        """The list; text that is not JSON stays text, which the parameter refuses."""
        try:
            return cast("Json", json.loads(text))
        except ValueError:
            return text

    def write(self, value: Json) -> str:
        """The list as JSON."""
        return json.dumps(value, ensure_ascii=False)


class ColorEditor(TextEditor):
    """A colour as ``#rrggbb``, typed or picked."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        self.swatch: QToolButton | None = None
        super().__init__(param, theme, parent)
        self.swatch = button("search", self.tr("Pick a colour"), theme, self)
        self.swatch.clicked.connect(self._pick)
        self._row.addWidget(self.swatch)
        self._show()

    def _pick(self) -> None:
        start = QColor(shown(self._value))
        picked = QColorDialog.getColor(start, self, self.tr("Pick a colour"))
        if picked.isValid():
            self._offer_alone(picked.name())
            self._show()

    def _show(self) -> None:
        super()._show()
        if self.swatch is None:
            return
        pixmap = QPixmap(16, 16)
        color = QColor(shown(self._value))
        pixmap.fill(color if color.isValid() else Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setPen(self._theme.text_dim)
        painter.drawRect(0, 0, 15, 15)
        painter.end()
        self.swatch.setIcon(QIcon(pixmap))


class FileEditor(TextEditor):
    """A path: typed, browsed for or dropped; inside the workflow's folder it is kept relative to it."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self._folder: Path | None = None
        self.line.setAcceptDrops(False)
        self.setAcceptDrops(True)
        self.browse = button("open", self.tr("Browse for a file"), theme, self)
        self.browse.clicked.connect(self._browse)
        self._row.addWidget(self.browse)

    def set_theme(self, theme: Theme) -> None:
        """Take other colours."""
        super().set_theme(theme)
        self.browse.setIcon(icon("open", theme))

    def set_folder(self, folder: Path | None) -> None:
        """Say where the workflow lies."""
        self._folder = folder

    @property
    def _endings(self) -> tuple[str, ...]:
        return self.param.hint.endings if isinstance(self.param.hint, File) else ()

    def choose(self, path: Path) -> bool:
        """Take a file, if it is of a kind that the parameter reads."""
        if self._endings and path.suffix.lower() not in self._endings:
            what = self.tr("{0} is none of {1}").format(path.name, " ".join(self._endings))
            self.refused.emit(what)
            return False
        if self._folder is not None and path.is_relative_to(self._folder):
            path = path.relative_to(self._folder)
        is_taken = self._offer_alone(path.as_posix())
        self._show()
        return is_taken

    def _browse(self) -> None:
        known = " ".join(f"*{ending}" for ending in self._endings)
        kinds = self.tr("Files ({0})").format(known) if known else ""
        present = Path(self._folder or Path.cwd()) / shown(self._value)
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Choose a file"), str(present), kinds)
        if path:
            self.choose(Path(path))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept one local file."""
        if _dropped(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the file."""
        path = _dropped(event.mimeData().urls())
        if path and self.choose(path):
            event.acceptProposedAction()


class FolderEditor(FileEditor):
    """A folder: typed, browsed for or dropped."""

    def __init__(self, param: Param, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(param, theme, parent)
        self.browse.setToolTip(self.tr("Browse for a folder"))
        self.browse.setAccessibleName(self.tr("Browse for a folder"))

    def choose(self, path: Path) -> bool:
        """Take a folder."""
        if not path.is_dir():
            self.refused.emit(self.tr("{0} is no folder").format(path.name))
            return False
        return super().choose(path)

    def _browse(self) -> None:
        present = Path(self._folder or Path.cwd()) / shown(self._value)
        path = QFileDialog.getExistingDirectory(self, self.tr("Choose a folder"), str(present))
        if path:
            self.choose(Path(path))


def _dropped(urls: Sequence[QUrl]) -> Path | None:
    return Path(urls[0].toLocalFile()) if len(urls) == 1 and urls[0].isLocalFile() else None
