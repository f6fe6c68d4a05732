"""The first page: templates, recent files, "open…"; painted before anything heavy is imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QFontMetricsF,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from studio.gui.theme import Theme

_CARD = QSize(224, 196)
_PICTURE_HEIGHT = 132
_COLUMNS = 4
_NODE = QSize(220, 150)
"""About the size of a node of the canvas, for the sketch of a graph."""


@dataclass(frozen=True)
class Template:
    """A workflow that ships with the program, as far as a card shows it."""

    path: Path
    title: str
    about: str = ""
    thumbnail: Path | None = None
    places: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()


def templates(folder: Path) -> list[Template]:
    """The workflows of a folder by title, text-to-image first; files that cannot be read are left out.

    A thumbnail is ``thumbnails/NAME.png`` (or ``.webp``) beside them.
    """
    found = [one for path in sorted(folder.glob("*.json")) if (one := _template(path))]
    return sorted(found, key=lambda one: (one.path.stem != "text-to-image", one.title))


def _template(path: Path) -> Template | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    meta, view = _object(document, "meta"), _object(document, "view")
    title = meta.get("title")
    about = meta.get("about") or meta.get("description")
    nodes = _object(document, "nodes")
    pictures = (path.parent / "thumbnails" / f"{path.stem}{end}" for end in (".png", ".webp"))
    return Template(
        path,
        title if isinstance(title, str) and title else path.stem.replace("-", " ").capitalize(),
        about if isinstance(about, str) else "",
        next((picture for picture in pictures if picture.is_file()), None),
        {
            name: (float(place[0]), float(place[1]))
            for name, place in _object(view, "nodes").items()
            if isinstance(place, list)
            and len(place) == 2
            and all(isinstance(number, int | float) for number in place)
            and name in nodes
        },
        tuple(_links(nodes)),
    )


def _links(nodes: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    for name in nodes:
        for link in _object(_object(nodes, name), "inputs").values():
            yield str(link).partition(".")[0], name


def _object(value: Mapping[str, object], name: str) -> dict[str, object]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


class TemplateCard(QAbstractButton):
    """A template: its picture or a sketch of its graph, its title, its first line."""

    def __init__(self, template: Template, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.template = template
        self._theme = theme
        self._is_under_mouse = False
        self._picture = QPixmap(str(template.thumbnail)) if template.thumbnail else QPixmap()
        self.setAccessibleName(template.title)
        self.setAccessibleDescription(template.about)
        self.setToolTip(template.about or template.title)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFixedSize(_CARD)

    def set_theme(self, theme: Theme) -> None:
        """Paint in other colours."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """The same for all cards."""
        return _CARD

    def enterEvent(self, event: QEnterEvent) -> None:
        """Light up."""
        self._is_under_mouse = True
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Go back."""
        self._is_under_mouse = False
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the card."""
        theme, painter = self._theme, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        outline = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        shape = QPainterPath()
        shape.addRoundedRect(outline, 8, 8)
        is_marked = self.hasFocus() or self._is_under_mouse
        painter.fillPath(shape, theme.node_title if is_marked else theme.panel)
        picture = QRectF(outline.left(), outline.top(), outline.width(), _PICTURE_HEIGHT)
        painter.save()
        painter.setClipPath(shape)
        painter.fillRect(picture, theme.canvas)
        if self._picture.isNull():
            self._sketch(painter, picture.adjusted(16, 14, -16, -14))
        else:
            size = self._picture.size().scaled(
                picture.size().toSize(), Qt.AspectRatioMode.KeepAspectRatioByExpanding
            )
            place = QRectF(0, 0, size.width(), size.height())
            place.moveCenter(picture.center())
            painter.drawPixmap(place, self._picture, QRectF(self._picture.rect()))
        painter.restore()
        self._words(painter, outline.adjusted(12, _PICTURE_HEIGHT + 8, -12, -8))
        painter.setPen(theme.accent if is_marked else theme.border)
        painter.drawPath(shape)

    def _words(self, painter: QPainter, area: QRectF) -> None:
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(self._theme.text)
        metrics = QFontMetricsF(font)
        right = Qt.TextElideMode.ElideRight
        first = QPointF(area.left(), area.top() + metrics.ascent())
        painter.drawText(first, metrics.elidedText(self.template.title, right, area.width()))
        painter.setFont(self.font())
        painter.setPen(self._theme.text_dim)
        metrics = QFontMetricsF(self.font())
        count = len(self.template.places)
        about = self.template.about or self.tr("{} nodes").format(count)
        second = first + QPointF(0, metrics.height() + 2)
        painter.drawText(second, metrics.elidedText(about, right, area.width()))

    def _sketch(self, painter: QPainter, area: QRectF) -> None:
        """The graph in small: nodes where they stand, links between them."""
        places = self.template.places
        if not places:
            return
        boxes = {
            name: QRectF(x, y, _NODE.width(), _NODE.height()) for name, (x, y) in places.items()
        }
        whole = QRectF()
        for box in boxes.values():
            whole = whole.united(box)
        scale = min(area.width() / whole.width(), area.height() / whole.height())
        painter.save()
        painter.translate(area.center())
        painter.scale(scale, scale)
        painter.translate(-whole.center())
        pen = painter.pen()
        pen.setColor(self._theme.text_dim)
        pen.setWidthF(1.2 / scale)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for source, target in self.template.links:
            if source in boxes and target in boxes:
                painter.drawPath(_curve(boxes[source], boxes[target]))
        pen.setColor(self._theme.border)
        painter.setPen(pen)
        for box in boxes.values():
            painter.setBrush(self._theme.node)
            painter.drawRoundedRect(box, 14, 14)
            painter.fillRect(
                QRectF(box.left() + 4, box.top() + 4, box.width() - 8, 34), self._theme.accent
            )
        painter.restore()


def _curve(source: QRectF, target: QRectF) -> QPainterPath:
    start = QPointF(source.right(), source.center().y())
    end = QPointF(target.left(), target.center().y())
    reach = max(abs(end.x() - start.x()) / 2, 60.0)
    path = QPainterPath(start)
    path.cubicTo(start + QPointF(reach, 0), end - QPointF(reach, 0), end)
    return path


class StartPage(QScrollArea):
    """Where to begin."""

    template_chosen = Signal(Path)
    file_chosen = Signal(Path)
    new_asked = Signal()
    open_asked = Signal()

    def __init__(
        self,
        theme: Theme,
        offered: Sequence[Template],
        recent: Sequence[Path],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(self.tr("Start page"))
        self._theme = theme
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(48, 40, 48, 40)
        column.setSpacing(14)
        title = QLabel("Emulsion")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 2.2)
        font.setBold(True)
        title.setFont(font)
        column.addWidget(title)
        column.addLayout(self._buttons())
        column.addSpacing(12)
        column.addWidget(_heading(self.tr("Start from a template")))
        self._grid = QGridLayout()
        self._grid.setSpacing(16)
        column.addLayout(self._grid)
        self.cards = [TemplateCard(one, theme, page) for one in offered]
        for card in self.cards:
            card.clicked.connect(self._chosen)
        self._columns = 0
        column.addSpacing(12)
        self._recent_title = _heading(self.tr("Recent files"))
        column.addWidget(self._recent_title)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        column.addLayout(self._recent)
        hint = QLabel(
            self.tr("Drop a workflow, a picture or a model anywhere.  Press ? for all keys.")
        )
        hint.setProperty("role", "dim")
        column.addWidget(hint)
        column.addStretch(1)
        self.setWidget(page)
        self.set_recent(recent)
        self._arrange(_COLUMNS)

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.new = QPushButton(self.tr("&New workflow"))
        self.open = QPushButton(self.tr("&Open…"))
        self.new.clicked.connect(self.new_asked)
        self.open.clicked.connect(self.open_asked)
        for button in (self.new, self.open):
            button.setMinimumSize(140, 34)
            button.setAccessibleName(button.text().replace("&", ""))
            row.addWidget(button)
        row.addStretch(1)
        return row

    def set_theme(self, theme: Theme) -> None:
        """Paint in other colours."""
        self._theme = theme
        for card in self.cards:
            card.set_theme(theme)

    def set_recent(self, files: Sequence[Path]) -> None:
        """List the files opened last."""
        while (item := self._recent.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self._recent_title.setVisible(bool(files))
        for path in files:
            button = _RecentFile(path)
            button.clicked.connect(self._recent_chosen)
            self._recent.addWidget(button)

    def _chosen(self) -> None:
        card = self.sender()
        if isinstance(card, TemplateCard):
            self.template_chosen.emit(card.template.path)

    def _recent_chosen(self) -> None:
        button = self.sender()
        if isinstance(button, _RecentFile):
            self.file_chosen.emit(button.path)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put as many cards in a row as there is room for."""
        super().resizeEvent(event)
        room = self.viewport().width() - 96
        self._arrange(max(1, (room + 16) // (_CARD.width() + 16)))

    def _arrange(self, columns: int) -> None:
        if columns == self._columns:
            return
        for old in range(self._grid.columnCount()):
            self._grid.setColumnStretch(old, 0)
        self._columns = columns
        for number, card in enumerate(self.cards):
            self._grid.addWidget(card, number // columns, number % columns)
        self._grid.setColumnStretch(columns, 1)


class _RecentFile(QPushButton):
    """A file opened before, with the folder that it is in."""

    def __init__(self, path: Path) -> None:
        home = str(Path.home())
        folder = str(path.parent)
        shown = "~" + folder.removeprefix(home) if folder.startswith(home) else folder
        super().__init__(f"{path.name}    {shown}".replace("&", "&&"))
        self.path = path
        self.setFlat(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(path.name)
        self.setToolTip(str(path))
        self.setStyleSheet("text-align: left; padding: 4px;")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "title")
    return label
