"""The accounts of a tier in SQLite: size, kind and last use of every file; lost ones cost a scan, no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.facts import Database
from studio.store.file import Kind


@dataclass
class Account:
    """What the index knows of a file."""

    size: int
    kind: Kind
    used_ns: int


class Index:
    """What is known of the files of a tier, by key; no fault of the database is raised."""

    def __init__(self, path: Path) -> None:
        self._database = Database(
            path,
            application=0x456D6C73,
            version=1,
            schema="CREATE TABLE entries (key TEXT PRIMARY KEY, size INTEGER NOT NULL, "
            "kind TEXT NOT NULL, used_ns INTEGER NOT NULL) WITHOUT ROWID",
            synchronous="OFF",
        )

    def record(self, accounts: Mapping[str, Account]) -> None:
        """Add accounts, in place of any former ones."""
        rows = [(key, found.size, found.kind, found.used_ns) for key, found in accounts.items()]

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)

        self._database.run(insert, None, writes=True)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove accounts."""
        rows = [(key,) for key in keys]

        def delete(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM entries WHERE key = ?", rows)

        if rows:
            self._database.run(delete, None, writes=True)

    def note_uses(self, used_ns: Mapping[str, int]) -> None:
        """Write down when entries were used last; those without an account are passed over."""
        rows = [(when_ns, key) for key, when_ns in used_ns.items()]

        def update(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE entries SET used_ns = ? WHERE key = ?", rows)

        if rows:
            self._database.run(update, None, writes=True)

    def accounts(self) -> dict[str, Account]:
        """Every account."""
        no_rows: list[tuple[str, int, Kind, int]] = []
        rows = self._database.run(
            lambda connection: connection.execute("SELECT * FROM entries").fetchall(), no_rows
        )
        return {key: Account(size, kind, used_ns) for key, size, kind, used_ns in rows}

    def mark_refilled(self) -> None:
        """Take it that the accounts agree with the files from now on."""
        self._database.is_fresh = False

    def size(self) -> int | None:
        """Bytes of all files; None if the accounts have to be mended first."""
        total = self._database.run(
            lambda connection: connection.execute("SELECT sum(size) FROM entries").fetchone()[0],
            None,
        )
        return None if total is None or self._database.is_fresh else int(total)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
