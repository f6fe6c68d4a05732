"""The weight of words in a prompt, ``(word:1.1)``, raised and lowered as text."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

STEP = Decimal("0.1")
LOWEST, HIGHEST = Decimal("0.1"), Decimal(5)

_OPENING = re.compile(r"(?<!\\)\($")
_CLOSING = re.compile(r":\s*(\d+\.?\d*|\.\d+)\s*\)|\)")
_WORD = re.compile(r"[^\s,.;:!?()\[\]\\]+")


class Weighted(NamedTuple):
    """A prompt with a selection in it."""

    text: str
    start: int
    end: int


def reweighted(text: str, start: int, end: int, steps: int) -> Weighted:
    """Raise the weight of the words from ``start`` to ``end`` by ``steps`` tenths; none is the word at ``start``.

    Brackets that stand right around the selection, or around the word in it, are changed; else new ones are written.
    A weight of 1 takes the brackets away. The selection stays on the words. Where there is no word, nothing changes.
    """
    start, end = _trimmed(text, *sorted((start, end)))
    if start == end:
        start, end = _word(text, start)
    if start == end:
        return Weighted(text, start, end)
    words = text[start:end]
    before, after, weight = text[:start], text[end:], Decimal(1)
    whole = re.fullmatch(r"\(([^()]*?)(?::\s*(\d+\.?\d*|\.\d+)\s*)?\)", words, re.DOTALL)
    closing = _CLOSING.match(after)
    if whole:
        words = whole.group(1)
        weight = Decimal(whole.group(2) or "1.1")
    elif _OPENING.search(before) and closing:
        before, after = before[:-1], after[closing.end() :]
        weight = Decimal(closing.group(1) or "1.1")
    weight = min(max(weight + steps * STEP, LOWEST), HIGHEST).normalize()
    if weight == 1:
        return Weighted(before + words + after, len(before), len(before) + len(words))
    at = len(before) + 1
    return Weighted(f"{before}({words}:{weight:f}){after}", at, at + len(words))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _word(text: str, at: int) -> tuple[int, int]:
    found = next((m for m in _WORD.finditer(text) if m.start() <= at <= m.end()), None)
    return found.span() if found else (at, at)
