"""Text broken into lines that fit a width."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontMetricsF, QTextLayout, QTextOption


def wrapped(text: str, font: QFont, width: float, count: int) -> tuple[str, ...]:
    """The first ``count`` lines of a text broken at ``width``; the last one says by … if there is more."""
    lines: list[str] = []
    for paragraph in _paragraphs(text, count):
        start = 0
        for end in _breaks(paragraph, font, width):
            if len(lines) == count:
                break
            lines.append(paragraph[start:end].rstrip())
            start = end
        if len(lines) == count:
            rest = paragraph[start:] or text[text.find(paragraph) + len(paragraph) :].strip()
            if rest:
                cut = f"{lines[-1]} …"
                lines[-1] = QFontMetricsF(font).elidedText(cut, Qt.TextElideMode.ElideRight, width)
            break
    return tuple(lines)


def _paragraphs(text: str, count: int) -> Iterable[str]:
    # a prompt may be a book: no more of it is measured than can be shown
    return [line[:2000] for line in text.split("\n")[: count + 1]]


def _breaks(text: str, font: QFont, width: float) -> list[int]:
    """Where lines end."""
    if not text:
        return [0]
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout = QTextLayout(text, font)
    layout.setTextOption(option)
    ends: list[int] = []
    layout.beginLayout()
    while (line := layout.createLine()).isValid() and len(ends) < 12:
        line.setLineWidth(width)
        ends.append(line.textStart() + line.textLength())
    layout.endLayout()
    return ends
