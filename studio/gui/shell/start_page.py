"""The first page: templates, recent files, "open…"; painted before anything heavy is imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QFontMetricsF,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from studio.gui.seeing.last_pictures import LastPictures
from studio.gui.theme import Theme

_TEMPLATE = QSize(248, 218)
_RECENT = QSize(178, 158)
_GAP = 16
_MOST_WIDE = 1330
_FIRST = ("text-to-image", "image-to-image", "inpaint")
"""Templates to begin with, by file name."""
_NODE = QSize(220, 150)
"""About the size of a node of the canvas, for the sketch of a graph."""


@dataclass(frozen=True)
class Offer:
    """A workflow that can be opened, as far as a card shows it."""

    path: Path
    title: str
    about: str = ""
    thumbnail: Path | None = None
    places: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()


def templates(folder: Path) -> list[Offer]:
    """The workflows of a folder: to begin with first, then others by title, trainings last.

    Files that cannot be read are left out. A thumbnail is ``thumbnails/NAME.png`` (or ``.webp``) beside them.
    """
    found = [one for path in sorted(folder.glob("*.json")) if (one := _template(path))]
    return sorted(found, key=_rank)


def _rank(offer: Offer) -> tuple[int, bool, str]:
    name = offer.path.stem
    place = _FIRST.index(name) if name in _FIRST else len(_FIRST)
    return place, name.startswith("train-"), offer.title


def _template(path: Path) -> Offer | None:
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
    return Offer(
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


class Card(QAbstractButton):
    """A workflow: its picture or a sketch of its graph, its title, what it is about."""

    def __init__(self, offer: Offer, size: QSize, theme: Theme, lines: int) -> None:
        """``lines``: of what it is about."""
        super().__init__()
        self._offer = offer
        self._theme = theme
        self._lines = lines
        self._is_under_mouse = False
        self._picture = QPixmap()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFixedSize(size)
        self.set_offer(offer)

    @property
    def offer(self) -> Offer:
        """What it shows."""
        return self._offer

    def set_offer(self, offer: Offer) -> None:
        """Show a workflow."""
        self._offer = offer
        self._picture = QPixmap(str(offer.thumbnail)) if offer.thumbnail else QPixmap()
        self.setAccessibleName(offer.title)
        self.setAccessibleDescription(offer.about)
        self.setToolTip("\n".join(filter(None, (offer.title, offer.about))))
        self.update()

    def set_theme(self, theme: Theme) -> None:
        """Paint in other colours."""
        self._theme = theme
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter does what a click does; arrows are for the cards around."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
            return
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down):
            event.ignore()
            return
        super().keyPressEvent(event)

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
        painter.fillPath(shape, theme.node_title if is_marked else theme.node)
        words_height = 14 + QFontMetricsF(self.font()).lineSpacing() * (self._lines + 1)
        picture = QRectF(outline)
        picture.setBottom(outline.bottom() - words_height)
        painter.save()
        painter.setClipPath(shape)
        painter.fillRect(picture, theme.canvas)
        if self._picture.isNull():
            self._sketch(painter, picture.adjusted(16, 14, -16, -14))
        else:
            self._paint_picture(painter, picture)
        painter.restore()
        self._words(painter, QRectF(outline).adjusted(11, picture.height() + 6, -11, -4))
        pen = painter.pen()
        pen.setColor(theme.accent if is_marked else theme.border)
        pen.setWidthF(2.0 if self.hasFocus() else 1.0)
        painter.setPen(pen)
        painter.drawPath(shape)

    def _paint_picture(self, painter: QPainter, area: QRectF) -> None:
        """The picture, as large as it must be to leave nothing of the area empty."""
        by_expanding = Qt.AspectRatioMode.KeepAspectRatioByExpanding
        size = self._picture.size().toSizeF().scaled(area.size(), by_expanding)
        place = QRectF(QPointF(), size)
        place.moveCenter(area.center())
        painter.setClipRect(area, Qt.ClipOperation.IntersectClip)
        painter.drawPixmap(place, self._picture, QRectF(self._picture.rect()))

    def _words(self, painter: QPainter, area: QRectF) -> None:
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(self._theme.text)
        metrics = QFontMetricsF(font)
        first = QPointF(area.left(), area.top() + metrics.ascent())
        right = Qt.TextElideMode.ElideRight
        painter.drawText(first, metrics.elidedText(self._offer.title, right, area.width()))
        painter.setFont(self.font())
        painter.setPen(self._theme.text_dim)
        metrics = QFontMetricsF(self.font())
        count = len(self._offer.places)
        about = self._offer.about or (self.tr("{} nodes").format(count) if count else "")
        at = first + QPointF(0, 1)
        for line in _wrapped(about, metrics, area.width(), self._lines):
            at += QPointF(0, metrics.lineSpacing())
            painter.drawText(at, line)

    def _sketch(self, painter: QPainter, area: QRectF) -> None:
        """The graph in small: nodes where they stand, links between them."""
        places = self._offer.places
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
        for source, target in self._offer.links:
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


def _wrapped(text: str, metrics: QFontMetricsF, width: float, count: int) -> list[str]:
    """A text in at most ``count`` lines; what does not fit is left out of the last, in the middle of a single one."""
    if count == 1:
        return [metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width)]
    lines: list[str] = []
    rest = text
    while rest and len(lines) < count - 1:
        line = ""
        for word in rest.split():
            longer = f"{line} {word}".strip()
            if line and metrics.horizontalAdvance(longer) > width:
                break
            line = longer
        lines.append(metrics.elidedText(line, Qt.TextElideMode.ElideRight, width))
        rest = " ".join(rest.split())[len(line) :].strip()
    if rest:
        lines.append(metrics.elidedText(rest, Qt.TextElideMode.ElideRight, width))
    return lines


class Cards(QWidget):
    """Cards in rows, as many in each as there is room for; arrow keys go from one to the next."""

    chosen = Signal(Path)
    focused = Signal(object)
    """The Card that arrow keys have gone to."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[Card] = []
        self._columns = 1
        policy = self.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        self.setSizePolicy(policy)

    def show_cards(self, cards: Sequence[Card]) -> None:
        """Show cards in place of those that are here."""
        for old in self.cards:
            old.hide()
            old.deleteLater()
        self.cards = list(cards)
        for card in self.cards:
            card.setParent(self)
            card.clicked.connect(self._clicked)
            card.show()
        self._arrange()

    def _clicked(self) -> None:
        card = self.sender()
        if isinstance(card, Card):
            self.chosen.emit(card.offer.path)

    def _arrange(self) -> None:
        if not self.cards:
            self.setFixedHeight(0)
            return
        size = self.cards[0].size()
        self._columns = max(1, (self.width() + _GAP) // (size.width() + _GAP))
        for number, card in enumerate(self.cards):
            row, column = divmod(number, self._columns)
            card.move(column * (size.width() + _GAP), row * (size.height() + _GAP))
        rows = -(-len(self.cards) // self._columns)
        self.setFixedHeight(rows * (size.height() + _GAP) - _GAP)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put as many cards in a row as there is room for."""
        super().resizeEvent(event)
        self._arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go to the card in the direction of an arrow."""
        by = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -self._columns,
            Qt.Key.Key_Down: self._columns,
        }.get(Qt.Key(event.key()))
        here = next((place for place, card in enumerate(self.cards) if card.hasFocus()), None)
        if by is None or here is None or not 0 <= here + by < len(self.cards):
            super().keyPressEvent(event)
            return
        self.cards[here + by].setFocus(Qt.FocusReason.OtherFocusReason)
        self.focused.emit(self.cards[here + by])


class StartPage(QScrollArea):
    """Where to begin."""

    template_chosen = Signal(Path)
    file_chosen = Signal(Path)
    new_asked = Signal()
    open_asked = Signal()

    def __init__(
        self,
        theme: Theme,
        offered: Sequence[Offer],
        recent: Sequence[Path],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(self.tr("Start page"))
        self._theme = theme
        self._pictures: LastPictures | None = None
        self._unread: list[Card] = []
        """Cards of recent files that show no more than a name yet."""
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._read_next)
        self.templates = Cards()
        self.recent = Cards()
        self.empty = QLabel(self.tr("Workflows that you save or open are found here again."))
        self.empty.setProperty("role", "dim")
        column = QVBoxLayout()
        column.setContentsMargins(48, 36, 48, 36)
        column.setSpacing(12)
        column.addLayout(self._head())
        column.addLayout(self._buttons())
        column.addSpacing(10)
        column.addWidget(_heading(self.tr("Start from a template")))
        column.addWidget(self.templates)
        column.addSpacing(10)
        column.addWidget(_heading(self.tr("Recent files")))
        column.addWidget(self.empty)
        column.addWidget(self.recent)
        column.addStretch(1)
        middle = QWidget()
        middle.setMaximumWidth(_MOST_WIDE)
        middle.setLayout(column)
        page = QWidget()
        row = QHBoxLayout(page)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(middle)
        self.setWidget(page)
        self.templates.show_cards([Card(one, _TEMPLATE, theme, 2) for one in offered])
        self.templates.chosen.connect(self.template_chosen)
        self.recent.chosen.connect(self.file_chosen)
        for cards in (self.templates, self.recent):
            cards.focused.connect(self._reveal)
        self.set_recent(recent)

    def _head(self) -> QHBoxLayout:
        title = QLabel("Emulsion")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 2.2)
        font.setBold(True)
        title.setFont(font)
        words = QLabel(self.tr("Compose pictures as a graph. Every step is kept."))
        words.setProperty("role", "dim")
        keys = QLabel(self.tr("Press ? for all keys"))
        keys.setProperty("role", "dim")
        row = QHBoxLayout()
        row.setSpacing(18)
        row.addWidget(title)
        row.addWidget(words, 1, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(keys, 0, Qt.AlignmentFlag.AlignBottom)
        return row

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.new = QPushButton(self.tr("&New workflow"))
        self.new.setProperty("role", "primary")
        self.open = QPushButton(self.tr("&Open…"))
        self.drop = QPushButton(self.tr("Drop a workflow, a picture or a model anywhere here"))
        self.drop.setProperty("role", "drop")
        self.new.clicked.connect(self.new_asked)
        for button in (self.open, self.drop):
            button.clicked.connect(self.open_asked)
        for button, stretch in ((self.new, 0), (self.open, 0), (self.drop, 1)):
            button.setMinimumSize(150, 40)
            button.setAccessibleName(button.text().replace("&", ""))
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            row.addWidget(button, stretch)
        return row

    @property
    def cards(self) -> list[Card]:
        """The cards of the templates."""
        return self.templates.cards

    def set_theme(self, theme: Theme) -> None:
        """Paint in other colours."""
        self._theme = theme
        for card in (*self.templates.cards, *self.recent.cards):
            card.set_theme(theme)

    def set_dropping(self, is_dropping: bool) -> None:
        """Show that what is dragged over the window can be dropped, or that nothing is."""
        self.drop.setProperty("isOver", is_dropping)
        self.drop.style().unpolish(self.drop)
        self.drop.style().polish(self.drop)

    def set_recent(self, files: Sequence[Path]) -> None:
        """Show the files opened last."""
        cards = [Card(_named(path), _RECENT, self._theme, 1) for path in files]
        self.recent.show_cards(cards)
        self.empty.setVisible(not files)
        self.recent.setVisible(bool(files))
        self._unread = cards
        if self._pictures is not None:
            self._timer.start()

    def illustrate(self, pictures: LastPictures) -> None:
        """Show pictures of recent files from now on, or sketches of their graphs: files are read one by one."""
        self._pictures = pictures
        self.set_recent([card.offer.path for card in self.recent.cards])

    def _read_next(self) -> None:
        if not self._unread or self._pictures is None:
            self._timer.stop()
            return
        card = self._unread.pop(0)
        offer = card.offer
        picture = self._pictures.of(offer.path)
        if picture is not None:
            card.set_offer(replace(offer, thumbnail=picture))
            return
        found = _template(offer.path)
        if found is not None:
            card.set_offer(replace(offer, places=found.places, links=found.links))

    def _reveal(self, card: Card) -> None:
        self.ensureWidgetVisible(card)


def _named(path: Path) -> Offer:
    """A file by its name and folder, unread."""
    home, folder = str(Path.home()), str(path.parent)
    shown = "~" + folder.removeprefix(home) if folder.startswith(home) else folder
    return Offer(path, path.name, shown, path if path.suffix.lower() == ".png" else None)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "title")
    return label
