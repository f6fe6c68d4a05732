"""The finished pictures of all sessions in one SQLite file: when, from what workflow and prompt, and a thumbnail."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.facts import Database

PAGE = 200
"""Entries that are read at once."""

_FIELDS = "id, time_ms, path, pixels_sha256, node, title, prompt"


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


class Gallery:
    """Entries, the latest first. No fault of the file is raised: a damaged one is set aside, see ``Database``."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the file; None: in memory."""
        self._database = Database(
            path,
            application=0x456D6C68,
            version=1,
            # workflow and thumbnail last: what is read and searched for a page lies before them
            schema="CREATE TABLE pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "time_ms INTEGER NOT NULL, path TEXT NOT NULL, pixels_sha256 TEXT NOT NULL, "
            "node TEXT NOT NULL, title TEXT NOT NULL, prompt TEXT NOT NULL, words TEXT NOT NULL, "
            "workflow TEXT NOT NULL, thumbnail BLOB NOT NULL, UNIQUE (path, pixels_sha256))",
            synchronous="NORMAL",
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

        def insert(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(
                "INSERT OR REPLACE INTO pictures (time_ms, path, pixels_sha256, node, title, prompt, "
                "words, workflow, thumbnail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            return cursor.lastrowid or 0

        number = self._database.run(insert, 0, writes=True)
        return Entry(number, time_ms, path, pixels_sha256, node, title, prompt)

    def page(self, search: str = "", before: int | None = None, limit: int = PAGE) -> list[Entry]:
        """The latest entries, or those older than the entry ``before``, in which every word of ``search`` occurs."""
        words = search.casefold().split()
        conditions = ["instr(words, ?) > 0" for _ in words]
        values: list[str | int] = list(words)
        if before is not None:
            conditions.append("id < ?")
            values.append(before)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        query = f"SELECT {_FIELDS} FROM pictures {where}ORDER BY id DESC LIMIT ?"

        def read(connection: sqlite3.Connection) -> list[Entry]:
            rows = connection.execute(query, (*values, limit)).fetchall()
            return [Entry(row[0], row[1], Path(row[2]), *row[3:]) for row in rows]

        nothing: list[Entry] = []
        return self._database.run(read, nothing)

    def count(self) -> int:
        """How many pictures are remembered."""
        return self._database.run(
            lambda connection: int(
                connection.execute("SELECT count(*) FROM pictures").fetchone()[0]
            ),
            0,
        )

    def thumbnail(self, entry: int) -> bytes:
        """The thumbnail of an entry as PNG; empty if there is no such entry."""
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
