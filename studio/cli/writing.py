"""How results and messages are written: clean lines, aligned tables, sizes, JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence

from studio.errors import StudioError


def prepare_streams() -> None:
    """Let stdout take every text: file names of any bytes, and UTF-8 wherever it is no terminal."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        return
    encoding = stream.encoding if stream.isatty() else "utf-8"
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    stream.reconfigure(
        encoding=encoding, errors="surrogateescape" if is_utf8 else "backslashreplace"
    )


def line(text: str) -> str:
    """``text`` on one line that no terminal can be fooled by: control characters are written as escapes.

    Names and prompts come with files from strangers.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def complain(text: str) -> None:
    """Write a message to stderr, as one line."""
    print(f"studio: {line(text)}", file=sys.stderr)


def report_error(error: StudioError) -> None:
    """Write an error to stderr, a line for each of its problems."""
    for problem in problems_of(error):
        complain(str(problem))


def problems_of(error: StudioError) -> Sequence[StudioError]:
    """The problems of which an error consists: itself, as a rule."""
    several = getattr(error, "problems", ())
    return several or (error,)


def error_json(error: StudioError) -> dict[str, str]:
    """An error as plain data."""
    return {"where": error.where, "what": error.what, "remedy": error.remedy}


def write_json(document: object, *, indent: int | None = None) -> None:
    """Write a JSON document to stdout, in UTF-8; on one line unless ``indent`` is given."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    # a file name that is no Unicode: its escape is JSON as well
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"), flush=True)


def table(rows: Iterable[Sequence[str]], *, indent: str = "", gap: str = "  ") -> list[str]:
    """Rows as lines with aligned columns; a column that is empty in all rows is left out."""
    cells = [[line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        (
            indent
            + gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        ).rstrip()
        for row in cells
    ]


def size_text(count: float) -> str:
    """A number of bytes for people, in powers of ten as drives are sold: ``19.7 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
