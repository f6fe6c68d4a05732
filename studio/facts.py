"""Small facts worth remembering between runs: JSON values in one SQLite file that is only ever a cache."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sqlite3
import stat
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from studio.errors import FileError
from studio.graph import Json

T = TypeVar("T")

_NO_MIGRATIONS: Mapping[int, str] = MappingProxyType({})

_BUSY_S = 5.0
_BUSY_PAUSE_S = 0.005
_RACY_NS = 2_000_000_000
_CHUNK = 500
"""Keys per query; SQLite admits 999 variables in its older builds."""
_PIECE_BYTES = 4 << 20

_DAMAGE = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Primary result codes that say the file is not what we wrote (ERROR: a table or column is missing)."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT})


class Database:
    """A SQLite file whose loss costs time only: no fault of file or folder is ever raised.

    A damaged or foreign file is set aside as ``NAME.damaged`` and made anew; where the folder cannot be written the
    database lives in memory and ``problem`` says why. Several threads may share an object, several processes a file.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        application: int,
        version: int,
        schema: str,
        synchronous: str,
        migrations: Mapping[int, str] = _NO_MIGRATIONS,
    ) -> None:
        """``schema``: a CREATE statement; a file with another ``application`` or ``version`` is foreign.

        ``migrations``: by older version, the statement that makes a file of that version one of the next.
        """
        self.path = path
        self.problem: str | None = None
        self.is_fresh = False
        """The tables were made by this object and hold nothing of former runs; whoever refills them resets it."""
        self._application = application
        self._version = version
        self._schema = schema
        self._migrations = migrations
        self._synchronous = synchronous
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._is_closed = False

    def run(
        self, work: Callable[[sqlite3.Connection], T], default: T, *, writes: bool = False
    ) -> T:
        """Return what ``work`` makes of the connection, in one transaction; ``default`` if that is impossible.

        With ``writes`` the lock for writing is taken at once, because SQLite refuses to wait for it later.
        """
        with self._lock:
            # damage found while working is mended by a new file, and what forbids that by memory
            for _ in range(3):
                if self._is_closed:
                    break
                try:
                    return self._transaction(work, writes)
                except (sqlite3.Error, OSError) as error:
                    if not self._recover(error):
                        break
            return default

    def close(self) -> None:
        """Close the file; from then on ``run`` returns its default."""
        with self._lock:
            self._is_closed = True
            self._drop()

    def __del__(self) -> None:
        self.close()

    def _transaction(self, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open()
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        if self.path is None or self.problem:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        try:
            # undecodable text is damage of one value, which its checksum finds, not of the file
            connection.text_factory = _text
            _write_ahead(connection)
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            self._prepare(connection)
            self._file = self._identity()
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables in an empty file; raises sqlite3.DatabaseError if it belongs to something else."""
        expected = (self._application, self._version)
        if self._marks(connection) == expected:
            return
        connection.execute("BEGIN IMMEDIATE")
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if self._marks(connection) == expected:  # another process came first
            connection.execute("ROLLBACK")
            return
        application, found = self._marks(connection)
        older = range(found, self._version)
        if tables and application == self._application and older:
            if not set(older) <= self._migrations.keys():
                raise sqlite3.DatabaseError(f"it is of version {found}")
            for step in older:
                connection.execute(self._migrations[step])
        elif tables:
            raise sqlite3.DatabaseError("it holds the tables of something else")
        else:
            connection.execute(f"PRAGMA application_id={self._application}")
            connection.execute(self._schema)
        connection.execute(f"PRAGMA user_version={self._version}")
        connection.execute("COMMIT")
        self.is_fresh = not tables

    @staticmethod
    def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        return application, version

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path) if self.path else None
        except OSError:
            found = None
        return (found.st_dev, found.st_ino) if found else None

    def _recover(self, error: sqlite3.Error | OSError) -> bool:
        """Tell whether it is worth another try after ``error``."""
        # errors that sqlite3 raises by itself, without a result code, are ours from _prepare or about undecodable text
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if isinstance(error, sqlite3.Error) and code in _BUSY:
            return False
        self._drop()
        if isinstance(error, sqlite3.Error) and code in _DAMAGE and self.path is not None:
            if self._file not in (None, self._identity()):
                self._file = None
                return True  # another process has replaced the damaged file already
            try:
                self._set_aside(self.path)
            except OSError as refused:
                error = refused
            else:
                return True
        if self.problem is not None:
            return False
        self.problem = f"{self.path}: {error}; kept in memory only"
        return True

    @staticmethod
    def _set_aside(path: Path) -> None:
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, path.with_name(path.name + ".damaged"))

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log, for which SQLite itself does not wait while another process makes the file."""
    last = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > last:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


class Facts:
    """JSON values by space and key, in one file that several threads and processes may share.

    A cache: a file that is damaged, foreign or cannot be written is never an error (``problem`` says what is wrong),
    and a fact that does not match its checksum is not there. Keys name everything that the value depends on.
    """

    def __init__(self, path: Path | None) -> None:
        """Open or make the file; None: in memory, for as long as the object lives."""
        self._database = Database(
            path,
            application=0x456D6C66,
            version=1,
            schema="CREATE TABLE facts (space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, "
            "checksum INTEGER NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID",
            synchronous="NORMAL",
        )
        # a folder that cannot be written is known from the start
        self._database.run(lambda connection: None, None)

    @property
    def path(self) -> Path | None:
        """The file; None: in memory."""
        return self._database.path

    @property
    def problem(self) -> str | None:
        """Why facts are kept in memory only, in one line; None if they reach the file."""
        return self._database.problem

    def get(self, space: str, key: str) -> Json | None:
        """Return a fact, or None if it is not known."""
        return self.get_many(space, (key,)).get(key)

    def get_many(self, space: str, keys: Iterable[str]) -> dict[str, Json]:
        """Return those facts of a space that are known."""
        wanted = list(keys)

        def read(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
            rows: list[tuple[str, str, int]] = []
            for start in range(0, len(wanted), _CHUNK):
                part = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(part))
                rows += connection.execute(
                    f"SELECT key, value, checksum FROM facts WHERE space = ? AND key IN ({marks})",
                    (space, *part),
                ).fetchall()
            return rows

        found: dict[str, Json] = {}
        nothing: list[tuple[str, str, int]] = []
        for key, text, checksum in self._database.run(read, nothing):
            if checksum == _checksum(space, key, text):
                found[key] = json.loads(text)
        return found

    def set(self, space: str, key: str, value: Json) -> None:
        """Remember a fact in place of any former one."""
        self.set_many(space, {key: value})

    def set_many(self, space: str, facts: Mapping[str, Json]) -> None:
        """Remember facts of one space, all of them or none. Raises TypeError if a value is not JSON."""
        texts = {key: json.dumps(value) for key, value in facts.items()}
        rows = [(space, key, text, _checksum(space, key, text)) for key, text in texts.items()]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", rows)

        self._database.run(write, None, writes=True)

    def clear(self, space: str | None = None) -> None:
        """Forget the facts of one space, or all."""

        def delete(connection: sqlite3.Connection) -> None:
            if space is None:
                connection.execute("DELETE FROM facts")
            else:
                connection.execute("DELETE FROM facts WHERE space = ?", (space,))

        self._database.run(delete, None, writes=True)

    def close(self) -> None:
        """Close the file; afterwards nothing is known and nothing is remembered."""
        self._database.close()


def _checksum(space: str, key: str, text: str) -> int:
    return zlib.crc32("\0".join((space, key, text)).encode("utf-8", "surrogatepass"))


def file_digest(path: Path, facts: Facts, check: Callable[[], None] | None = None) -> str:
    """Return the sha256 of a file's content in hexadecimal, remembered by path, size and time of change.

    ``check`` is called before every 4 MiB that are read; what it raises ends the reading and is let through.
    A file changed within the last 2 s is read again each time: a second change may not show in its time stamp.
    Raises FileError if ``path`` is a folder or a device; lets OSError through if it is missing or unreadable.
    """
    resolved = path.resolve(strict=True)
    before = resolved.stat()
    if not stat.S_ISREG(before.st_mode):
        raise FileError("is not a file", where=str(path), remedy="name a file")
    known = _known_digest(facts.get("digest", _file_key(resolved)), before)
    return known or _new_digest(resolved, before, facts, check)


def file_digests(
    paths: Iterable[Path], facts: Facts, check: Callable[[], None] | None = None
) -> dict[Path, str | OSError]:
    """``file_digest`` of many files, of which all that are remembered cost one question; OSError for the unreadable."""
    found: dict[Path, str | OSError] = {}
    looked: dict[Path, tuple[Path, os.stat_result]] = {}
    for path in paths:
        try:
            resolved = path.resolve(strict=True)
            looked[path] = (resolved, resolved.stat())
        except OSError as error:
            found[path] = error
        except RuntimeError:  # until Python 3.13, of links in a circle
            found[path] = OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    known = facts.get_many("digest", {_file_key(resolved) for resolved, _ in looked.values()})
    for path, (resolved, before) in looked.items():
        digest = _known_digest(known.get(_file_key(resolved)), before)
        try:
            found[path] = digest or _new_digest(resolved, before, facts, check)
        except OSError as error:
            found[path] = error
    return found


def _file_key(resolved: Path) -> str:
    # a name that is no Unicode (Linux admits any bytes) cannot be a key as it is
    return os.fsencode(resolved).decode("utf-8", "backslashreplace")


def _known_digest(known: Json, now: os.stat_result) -> str | None:
    if isinstance(known, list) and known[:2] == [now.st_size, now.st_mtime_ns]:
        digest = known[2]
        if isinstance(digest, str):
            return digest
    return None


def _new_digest(
    resolved: Path, before: os.stat_result, facts: Facts, check: Callable[[], None] | None
) -> str:
    with resolved.open("rb") as file:
        started_ns = time.time_ns()
        digest = _sha256(file, check)
        after = os.fstat(file.fileno())
    unchanged = (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    if unchanged and before.st_mtime_ns < started_ns - _RACY_NS:
        facts.set("digest", _file_key(resolved), [before.st_size, before.st_mtime_ns, digest])
    return digest


def _sha256(file: BufferedReader, check: Callable[[], None] | None) -> str:
    digest = hashlib.sha256()
    piece = memoryview(bytearray(_PIECE_BYTES))
    while True:
        if check is not None:
            check()
        length = file.readinto(piece)
        if not length:
            return digest.hexdigest()
        digest.update(piece[:length])
