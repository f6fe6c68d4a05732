"""The finished pictures of all sessions in one SQLite file: when, from what workflow and prompt, and a thumbnail."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from studio.facts import Database

PAGE = 200
"""Entries that are read at once."""

_FIELDS = "id, time_ms, path, pixels_sha256, node, title, prompt, starred"


@dataclass(frozen=True)
class Entry:
    """A finished picture, without its workflow and its thumbnail, which are read when they are needed."""

    id: int
    time_ms: int
    """Since 1970, UTC."""
    path: Path
    pixels_sha256: str
    node: str
    title: str
    prompt: str
    is_starred: bool = False
    """One of the favourites."""


@dataclass(frozen=True)
class Search:
    """What is looked for: an entry must have all of it."""

    words: str = ""
    """Each occurs in prompt, title, node or file name."""
    since_ms: int | None = None
    before_ms: int | None = None
    only_starred: bool = False

    @staticmethod
    def parse(text: str, now: datetime, *, only_starred: bool = False) -> Search:
        """Read what somebody typed: words, and days as ``2025-01-31``, ``2025-01``, ``today``, ``yesterday``.

        The words for days are those of the interface's language as well.
        """
        words: list[str] = []
        since: datetime | None = None
        before: datetime | None = None
        for word in text.split():
            days = _days(word.casefold(), now)
            if days is None:
                words.append(word)
                continue
            since = max(since, days[0]) if since else days[0]
            before = min(before, days[1]) if before else days[1]
        return Search(" ".join(words), _ms(since), _ms(before), only_starred)

    def conditions(self) -> tuple[list[str], list[str | int]]:
        """As conditions of a query, and the values for their places."""
        words = self.words.casefold().split()
        conditions = ["instr(words, ?) > 0" for _ in words]
        values: list[str | int] = list(words)
        for condition, moment in (("time_ms >= ?", self.since_ms), ("time_ms < ?", self.before_ms)):
            if moment is not None:
                conditions.append(condition)
                values.append(moment)
        if self.only_starred:
            conditions.append("starred")
        return conditions, values


def _entry(row: tuple[int, int, str, str, str, str, str, int]) -> Entry:
    number, time_ms, path, pixels_sha256, node, title, prompt, starred = row
    return Entry(number, time_ms, Path(path), pixels_sha256, node, title, prompt, bool(starred))


_EVERYTHING = Search()
_DATE = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?\Z")


def _days(word: str, now: datetime) -> tuple[datetime, datetime] | None:
    """The first moment of what a word names, and the first after it; None if it names no day or month."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    ago = {"today": 0, "yesterday": 1, _tr("today"): 0, _tr("yesterday"): 1}.get(word)
    if ago is not None:
        begin = today - timedelta(days=ago)
        return begin, begin + timedelta(days=1)
    found = _DATE.match(word)
    if found is None:
        return None
    year, month, day = found.groups()
    try:
        begin = today.replace(year=int(year), month=int(month), day=int(day or 1))
    except ValueError:
        return None
    if day:
        return begin, begin + timedelta(days=1)
    return begin, (begin + timedelta(days=32)).replace(day=1)


def _ms(moment: datetime | None) -> int | None:
    return round(moment.timestamp() * 1000) if moment is not None else None


def _tr(text: str) -> str:
    return QCoreApplication.translate("Gallery", text)


class Gallery:
    """Entries, the latest first. No fault of the file is raised: a damaged one is set aside, see ``Database``."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the file; None: in memory."""
        self._database = Database(
            path,
            application=0x456D6C68,
            version=2,
            # workflow and thumbnail last: what is read and searched for a page lies before them
            schema="CREATE TABLE pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "time_ms INTEGER NOT NULL, path TEXT NOT NULL, pixels_sha256 TEXT NOT NULL, "
            "node TEXT NOT NULL, title TEXT NOT NULL, prompt TEXT NOT NULL, words TEXT NOT NULL, "
            "starred INTEGER NOT NULL DEFAULT 0, "
            "workflow TEXT NOT NULL, thumbnail BLOB NOT NULL, UNIQUE (path, pixels_sha256))",
            synchronous="NORMAL",
            migrations={1: "ALTER TABLE pictures ADD COLUMN starred INTEGER NOT NULL DEFAULT 0"},
        )
        self._database.run(lambda connection: None, None)

    @property
    def problem(self) -> str | None:
        """Why entries are kept in memory only, in one line; None if they reach the file."""
        return self._database.problem

    def add(
        self,
        *,
        time_ms: int,
        path: Path,
        pixels_sha256: str,
        node: str,
        title: str,
        prompt: str,
        workflow: str,
        thumbnail: bytes,
    ) -> Entry:
        """Remember a picture as the latest; one that is known already, by file and pixels, moves to the front."""
        # folded here, because SQLite folds ASCII only
        words = f"{prompt}\n{title}\n{node}\n{path.name}".casefold()
        row = (time_ms, str(path), pixels_sha256, node, title, prompt, words, workflow, thumbnail)

        def insert(connection: sqlite3.Connection) -> tuple[int, bool]:
            known = connection.execute(
                "SELECT starred FROM pictures WHERE path = ? AND pixels_sha256 = ?",
                (str(path), pixels_sha256),
            ).fetchone()
            starred = bool(known and known[0])
            cursor = connection.execute(
                "INSERT OR REPLACE INTO pictures (time_ms, path, pixels_sha256, node, title, prompt, "
                "words, workflow, thumbnail, starred) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, starred),
            )
            return cursor.lastrowid or 0, starred

        number, starred = self._database.run(insert, (0, False), writes=True)
        return Entry(number, time_ms, path, pixels_sha256, node, title, prompt, is_starred=starred)

    def page(
        self, search: Search = _EVERYTHING, before: int | None = None, limit: int = PAGE
    ) -> list[Entry]:
        """The latest entries, or those older than the entry ``before``, that have what is searched for."""
        conditions, values = search.conditions()
        if before is not None:
            conditions.append("id < ?")
            values.append(before)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        query = f"SELECT {_FIELDS} FROM pictures {where}ORDER BY id DESC LIMIT ?"

        def read(connection: sqlite3.Connection) -> list[Entry]:
            rows = connection.execute(query, (*values, limit)).fetchall()
            return [_entry(row) for row in rows]

        nothing: list[Entry] = []
        return self._database.run(read, nothing)

    def star(self, entries: Sequence[int], is_starred: bool) -> None:
        """Make entries favourites, or no longer."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE pictures SET starred = ? WHERE id = ?",
                [(is_starred, entry) for entry in entries],
            )

        self._database.run(write, None, writes=True)

    def count(self) -> int:
        """How many pictures are remembered."""
        return self._database.run(
            lambda connection: int(
                connection.execute("SELECT count(*) FROM pictures").fetchone()[0]
            ),
            0,
        )

    def thumbnail(self, entry: int) -> bytes:
        """The thumbnail of an entry, the bytes of an image file; empty if there is no such entry."""
        found = self._field("thumbnail", entry)
        return found if isinstance(found, bytes) else b""

    def workflow(self, entry: int) -> str:
        """The workflow file of an entry; empty if there is no such entry."""
        found = self._field("workflow", entry)
        return found if isinstance(found, str) else ""

    def _field(self, name: str, entry: int) -> str | bytes | None:
        def read(connection: sqlite3.Connection) -> str | bytes | None:
            row = connection.execute(
                f"SELECT {name} FROM pictures WHERE id = ?", (entry,)
            ).fetchone()
            return row[0] if row else None

        nothing: str | bytes | None = None
        return self._database.run(read, nothing)

    def remove(self, entries: Sequence[int]) -> None:
        """Forget entries; their files stay."""

        def delete(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM pictures WHERE id = ?", [(entry,) for entry in entries]
            )

        self._database.run(delete, None, writes=True)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
