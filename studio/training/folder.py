"""Folders of pictures with captions as data sets: what counts of them, and what is wrong, file by file; no torch."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from studio.errors import NodeError
from studio.graph import Json
from studio.keys import digest
from studio.registry import FoundFile
from studio.values import Dataset, PictureFile, PictureFiles

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff", ".bmp")
TABLES = (".csv", ".jsonl")
TEXT = ".txt"
ENDINGS = (*PICTURES, *TABLES, TEXT)
"""Of the files that are looked at; all others are passed over."""
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error)
"""What Pillow's decoders raise on damaged files."""
CAPTIONS = ("auto", "beside", "table", "none")

_FILE_COLUMNS = ("file_name", "file", "image", "path", "name")
_TEXT_COLUMNS = ("text", "caption", "prompt")
_TABLE_NAMES = ("metadata", "captions")
_SHOWN = 20
"""So many files are named; the rest is counted."""


def look(path: Path) -> Json:
    """What counts of a file: [width, height] of a picture, {"text": …} or {"rows": [[file, text], …]}; else a reason.

    Of pictures only the head is read: whether the rest can be decoded shows when they are used.
    """
    ending = path.suffix.lower()
    if ending in PICTURES:
        return _size(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    if ending == TEXT:
        return {"text": " ".join(text.split())}
    rows = _csv_rows(text) if ending == ".csv" else _json_rows(text)
    return rows if isinstance(rows, str) else {"rows": rows}


def _size(path: Path) -> Json:
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(path, formats=FORMATS) as picture:
                return [picture.width, picture.height]
    except PermissionError:
        raise
    except (*DAMAGE, Pillow.DecompressionBombError):
        return "is no picture that can be read"


def _csv_rows(text: str) -> list[Json] | str:
    lines = csv.DictReader(io.StringIO(text))
    names = {name.strip().lower(): name for name in lines.fieldnames or () if name}
    file = next((names[name] for name in _FILE_COLUMNS if name in names), None)
    caption = next((names[name] for name in _TEXT_COLUMNS if name in names), None)
    if file is None or caption is None:
        return f"has no columns {_FILE_COLUMNS[0]} and {_TEXT_COLUMNS[0]}"
    try:
        return [[line[file] or "", " ".join((line[caption] or "").split())] for line in lines]
    except csv.Error as error:
        return f"line {lines.line_num} cannot be read ({error})"


def _json_rows(text: str) -> list[Json] | str:
    rows: list[Json] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            return f"line {number} is no JSON ({error})"
        named = row if isinstance(row, dict) else {}
        file = next((named[name] for name in _FILE_COLUMNS if name in named), None)
        caption = next((named[name] for name in _TEXT_COLUMNS if name in named), None)
        if not isinstance(file, str) or not isinstance(caption, str):
            return f"line {number} has no {_FILE_COLUMNS[0]} and {_TEXT_COLUMNS[0]}"
        rows.append([file, " ".join(caption.split())])
    return rows


@dataclass(frozen=True)
class Reading:
    """How a folder is to be read."""

    size: int
    captions: str = "auto"
    trigger: str = ""
    """Begins every caption."""
    has_classes: bool = False
    """The folders that the pictures lie in are their classes."""
    fit: str = "crop"
    is_random: bool = False
    is_flipped: bool = False


@dataclass
class _Problems:
    """What is wrong, file by file."""

    found: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, problem: str) -> None:
        self.found.setdefault(name, problem)

    def refuse(self) -> None:
        """Raise NodeError if anything is wrong."""
        if not self.found:
            return
        lines = [f"{name} {problem}" for name, problem in sorted(self.found.items())]
        if len(lines) > _SHOWN:
            lines = [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more"]
        count = len(self.found)
        raise NodeError(
            f"{count} {'file' if count == 1 else 'files'} cannot be used: {'; '.join(lines)}",
            where=".folder",
            remedy="mend or remove them",
        )


def gather(files: Sequence[FoundFile], reading: Reading) -> Dataset:
    """Make a data set of what lies in a folder; raises NodeError that names every file that is wrong."""
    problems = _Problems()
    pictures = [file for file in files if _ending(file.name) in PICTURES]
    if not pictures:
        raise NodeError(
            "there are no pictures in the folder",
            where=".folder",
            remedy=f"put some there: {' '.join(PICTURES)}",
        )
    for file in pictures:
        if isinstance(file.found, str):
            problems.add(file.name, file.found)
        elif isinstance(file.found, list):
            width, height = (int(str(side)) for side in file.found)
            if min(width, height) < reading.size:
                problems.add(file.name, f"is {width} × {height} px, smaller than {reading.size} px")
    captions = _captions(files, pictures, reading, problems)
    labels, classes = _labels(pictures, problems) if reading.has_classes else ({}, ())
    problems.refuse()
    trigger = reading.trigger.strip()
    has_captions = captions is not None or bool(trigger)
    made = tuple(
        PictureFile(
            file.path,
            file.name,
            file.digest,
            ", ".join(part for part in (trigger, (captions or {}).get(file.name, "")) if part),
            labels.get(file.name, 0),
        )
        for file in pictures
    )
    return Dataset(
        PictureFiles(
            made,
            digest([one.__key__() for one in made]),
            reading.fit,
            reading.is_random,
            reading.is_flipped,
        ),
        reading.size,
        classes,
        has_captions,
    )


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _captions(
    files: Sequence[FoundFile],
    pictures: Sequence[FoundFile],
    reading: Reading,
    problems: _Problems,
) -> Mapping[str, str] | None:
    """The caption of every picture by its name; None where there are none."""
    if reading.captions == "none":
        return None
    tables = [
        file
        for file in files
        if _ending(file.name) in TABLES and PurePosixPath(file.name).stem in _TABLE_NAMES
    ]
    if reading.captions == "table" and not tables:
        names = " or ".join(f"{name}{ending}" for name in _TABLE_NAMES for ending in TABLES)
        raise NodeError(f"there is no {names} in the folder", where=".captions")
    if reading.captions == "table" or (reading.captions == "auto" and tables):
        found = _tabled(tables, {file.name for file in pictures}, problems)
        source = "has no caption in the table"
    else:
        found = _beside(files, problems)
        source = "has no caption in a .txt file beside it"
    if reading.captions == "auto" and not tables and not found:
        return None
    for name in sorted(file.name for file in pictures):
        if not found.get(name):
            problems.add(name, source if name not in found else "has an empty caption")
    return found


def _tabled(tables: Iterable[FoundFile], names: set[str], problems: _Problems) -> dict[str, str]:
    captions: dict[str, str] = {}
    for table in tables:
        if not isinstance(table.found, dict):
            problems.add(table.name, str(table.found))
            continue
        rows = table.found["rows"]
        assert isinstance(rows, list)
        place = PurePosixPath(table.name).parent
        for row in rows:
            assert isinstance(row, list)
            name = (place / str(row[0]).replace("\\", "/")).as_posix()
            if name not in names:
                problems.add(name, f"is named in {table.name} but is not there")
            captions[name] = str(row[1])
    return captions


def _beside(files: Iterable[FoundFile], problems: _Problems) -> dict[str, str]:
    texts: dict[str, str] = {}
    pictures: dict[str, list[str]] = {}
    for file in files:
        stem = os.path.splitext(file.name)[0]
        if _ending(file.name) in PICTURES:
            pictures.setdefault(stem, []).append(file.name)
        elif _ending(file.name) == TEXT:
            if isinstance(file.found, dict):
                texts[stem] = str(file.found["text"])
            else:
                problems.add(file.name, str(file.found))
    return {
        name: texts[stem] for stem, names in pictures.items() if stem in texts for name in names
    }


def _labels(
    pictures: Sequence[FoundFile], problems: _Problems
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The class label of every picture, and the names of the classes."""
    folders = {file.name: PurePosixPath(file.name).parent.as_posix() for file in pictures}
    for name, folder in folders.items():
        if folder == ".":
            problems.add(name, "lies in no folder that would be its class")
    classes = tuple(sorted({folder for folder in folders.values() if folder != "."}))
    return {name: classes.index(f) for name, f in folders.items() if f != "."}, classes
