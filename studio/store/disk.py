"""One tier on disk: where its files lie, what they take, and which go when that is too much."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from studio.graph import Json, Key, Value
from studio.store.arrays import Array
from studio.store.encoding import decode_entry
from studio.store.file import Damaged, Header, Kind, read_file, read_header, read_part, write_file
from studio.store.index import Account, Index

_KEY = re.compile(r"[0-9A-Za-z_-]{2,128}\Z")
_SUFFIX = ".safetensors"
_FRESH_NS = 10 * 10**9
_ABANDONED_NS = 24 * 3600 * 10**9
_STALE_NS = 3600 * 10**9
_RECOUNT_S = 60.0
_PASSED_OVER = (
    OSError,
    LookupError,
    # a class that refuses what it once held, arrays that torch cannot make, what nests too deep for the stack
    ArithmeticError,
    AssertionError,
    AttributeError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Faults of reading a file that is not damaged: it may be read by another process, or later."""
_FULL = 0.9
"""Share of the cap that eviction leaves, so that it is rare."""


def is_key(text: str) -> bool:
    """Tell whether a text may name a file of a tier: it leads out of no folder."""
    return _KEY.match(text) is not None


@dataclass(frozen=True)
class Stats:
    """What a store holds."""

    folder: Path | None
    entries: int
    """On disk: ``states`` + ``results``."""
    states: int
    results: int
    disk_bytes: int
    memory_entries: int = 0
    memory_bytes: int = 0
    pending: int = 0
    """Entries on their way to the disk."""
    dropped: int = 0
    """States that were kept off the disk because newer ones arrived faster than they could be written."""
    problem: str | None = None


class Disk:
    """One tier folder: files, and their accounts in SQLite."""

    def __init__(self, folder: Path, cap_bytes: int, root: Path | None) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._cap_bytes = cap_bytes
        self._root = root
        self._entries = str(folder / "entries")
        self._scratch = folder / "tmp"
        self._index = Index(folder / "index.sqlite")
        self._unreadable: set[str] = set()
        self._touched: dict[str, int] = {}
        self._names = count()
        self._token = secrets.token_hex(4)
        self._total_bytes: int | None = None
        self._counted_s = 0.0
        self._is_prepared = False

    # files

    def _path(self, key: str) -> str:
        return f"{self._entries}{os.sep}{key[:2]}{os.sep}{key}{_SUFFIX}"

    def __contains__(self, key: str) -> bool:
        return os.access(self._path(key), os.F_OK) and key not in self._unreadable

    def read(self, key: Key) -> tuple[Header, list[object], dict[str, Value]] | None:
        """Read an entry; a damaged file is removed, one that cannot be understood is passed over from now on."""
        if key in self._unreadable:
            return None
        try:
            header, arrays = read_file(Path(self._path(key)), key)
            return header, arrays, decode_entry(header.outputs, arrays)
        except FileNotFoundError:
            pass
        except Damaged:
            self.discard(key)
        except _PASSED_OVER:
            self._unreadable.add(key)
        return None

    def part(self, key: Key, where: Sequence[str]) -> object:
        """Read a part of an entry; None where that cannot be done now, whatever the reason."""
        try:
            return read_part(Path(self._path(key)), key, where)
        except (Damaged, *_PASSED_OVER):
            return None

    def header(self, key: Key) -> Header | None:
        """Read the head of an entry; None for a file that is missing or damaged."""
        try:
            return self._header(key)
        except (OSError, Damaged):
            return None

    def _header(self, key: Key) -> Header:
        with open(self._path(key), "rb", buffering=0) as file:
            return read_header(file, key)

    def discard(self, key: str) -> bool:
        """Remove a file that is not worth keeping; returns whether it is gone."""
        try:
            os.unlink(self._path(key))
        except FileNotFoundError:
            pass
        except OSError:
            self._unreadable.add(key)
            return False
        return True

    def remove(self, keys: Iterable[Key]) -> None:
        """Remove entries that are no longer wanted, with their accounts."""
        gone = [key for key in keys if is_key(key) and self.discard(key)]
        known = self._index.accounts()
        self._index.forget(gone)
        if self._total_bytes is not None:
            self._total_bytes -= sum(known[key].size for key in gone if key in known)

    def write(self, key: Key, kind: Kind, outputs: Json, arrays: Sequence[Array]) -> str | None:
        """Write an entry in place of any former one and return its fingerprint; None, and ``problem``, on failure."""
        scratch = self._scratch / f"{os.getpid()}-{self._token}-{next(self._names)}{_SUFFIX}"
        try:
            if sum(array.nbytes for array in arrays) > self._cap_bytes:
                return None
            self._prepare()
            fingerprint = write_file(scratch, key, kind, outputs, arrays)
            size = scratch.stat().st_size
            former_size = self._publish(scratch, key, Account(size, kind, time.time_ns()))
        except OSError as error:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            self.problem = f"{self.folder}: {error}; new results are kept in memory only"
            return None
        self.problem = None
        self._unreadable.discard(key)
        self._grow(size - former_size)
        return fingerprint

    def _publish(self, scratch: Path, key: Key, account: Account) -> int:
        """Move a file into place; returns the bytes of the one that was there."""
        # the account comes first: a file without one would escape the cap until the next scan
        self._index.record({key: account})
        target = self._path(key)
        former_size = 0
        with contextlib.suppress(OSError):
            former_size = os.stat(target).st_size
        try:
            os.replace(scratch, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(scratch, target)
        return former_size

    def _prepare(self) -> None:
        if self._is_prepared and self._scratch.is_dir():
            return
        self._scratch.mkdir(parents=True, exist_ok=True)
        os.makedirs(self._entries, exist_ok=True)
        tag = self.folder / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(
                "Signature: 8a477f597d28d172789f06886806bc55\n"
                "# Intermediate results of Emulsion; safe to delete. https://bford.info/cachedir/\n"
            )
        self.sweep()
        self._is_prepared = True

    def sweep(self) -> int:
        """Remove what killed processes were writing; returns the bytes freed."""
        oldest_ns = time.time_ns() - _STALE_NS
        freed = 0
        with contextlib.suppress(OSError), os.scandir(self._scratch) as found:
            for item in found:
                with contextlib.suppress(OSError):
                    status = item.stat()
                    if status.st_mtime_ns < oldest_ns:
                        os.unlink(item.path)
                        freed += status.st_size
        return freed

    # accounts

    def touch(self, key: str) -> None:
        """Note that an entry was used, in memory for now."""
        self._touched[key] = time.time_ns()

    def settle(self) -> None:
        """Write down the last uses."""
        touched, self._touched = self._touched, {}
        if touched and self._exists():
            self._index.note_uses(touched)

    def _exists(self) -> bool:
        return os.path.isdir(self._entries)

    def accounts(self) -> dict[str, Account]:
        """Every entry by its file, with the accounts mended to agree: files are the truth.

        Only damaged files are discarded; those that cannot be read for now are counted as they are known.
        """
        if not self._exists():
            return {}
        self.settle()
        known = self._index.accounts()
        found: dict[str, Account] = {}
        changed: dict[str, Account] = {}
        files, is_whole = self._files()
        is_mended = is_whole
        for key, size, changed_ns in files:
            account = known.get(key)
            if account is None or account.size != size:
                kind = account.kind if account else "result"
                account = Account(size, kind, account.used_ns if account else changed_ns)
                try:
                    account.kind = self._header(Key(key)).kind
                    changed[key] = account
                except FileNotFoundError:
                    continue
                except Damaged:
                    self.discard(key)
                    continue
                except OSError:
                    # such as too many open files: it takes its room, and its head is read another time
                    is_mended = False
            found[key] = account
        if changed:
            self._index.record(changed)
        if is_whole:
            # an account precedes its file by a moment
            settled_ns = time.time_ns() - _FRESH_NS
            self._index.forget(
                key
                for key, account in known.items()
                if key not in found and account.used_ns < settled_ns
            )
        if is_mended:
            self._index.mark_refilled()
        return found

    def _files(self) -> tuple[list[tuple[str, int, int]], bool]:
        """Key, size and time of change of every file, and whether every folder could be listed."""
        found: list[tuple[str, int, int]] = []
        shards, is_whole = _listed(self._entries)
        for shard in shards:
            files, is_listed = _listed(shard.path)
            is_whole = is_whole and is_listed
            for file in files:
                key = file.name.removesuffix(_SUFFIX)
                if key == file.name or not is_key(key):
                    continue
                try:
                    status = file.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError:
                    is_whole = False
                    continue
                found.append((key, status.st_size, status.st_mtime_ns))
        return found, is_whole

    # size

    def _tiers(self) -> list[Disk]:
        """This tier and the others under the root, which share its cap."""
        others = tiers(self._root) if self._root else ()
        here = self.folder.resolve()
        return [self, *(Disk(path, 0, None) for path in others if path.resolve() != here)]

    def _grow(self, size: int) -> None:
        """Count that many bytes more, and evict when that is too much."""
        now_s = time.monotonic()
        if self._total_bytes is None or now_s - self._counted_s > _RECOUNT_S:
            # other processes write to the folder as well
            self._total_bytes = sum(tier.size() for tier in self._tiers())
            self._counted_s = now_s
        else:
            self._total_bytes += size
        if self._total_bytes > self._cap_bytes:
            self.evict(int(self._cap_bytes * _FULL))

    def size(self) -> int:
        """Bytes of all files by the accounts."""
        if not self._exists():
            return 0
        total = self._index.size()
        if total is None:
            return sum(account.size for account in self.accounts().values())
        return total

    def stats(self) -> Stats:
        """Count what the folder holds, by looking at the files."""
        accounts = self.accounts()
        states = sum(account.kind == "state" for account in accounts.values())
        return Stats(
            folder=self.folder,
            entries=len(accounts),
            states=states,
            results=len(accounts) - states,
            disk_bytes=sum(account.size for account in accounts.values()),
            problem=self.problem,
        )

    def evict(self, target_bytes: int) -> int:
        """Remove entries until no more than ``target_bytes`` are left under the root; returns the bytes freed.

        First go tiers that nobody has used for a day, then states, then results, each the least recently used first;
        what was used in the last seconds goes last.
        """
        now_ns = time.time_ns()
        total = 0
        order: list[tuple[tuple[int, int, int], int, Disk, str]] = []
        for tier in self._tiers():
            accounts = tier.accounts()
            latest_ns = max((account.used_ns for account in accounts.values()), default=0)
            is_abandoned = tier is not self and latest_ns < now_ns - _ABANDONED_NS
            for key, account in accounts.items():
                total += account.size
                rank = 2 if account.kind == "result" else 1
                if is_abandoned:
                    place = (0, latest_ns, account.used_ns)
                elif account.used_ns > now_ns - _FRESH_NS:
                    place = (rank + 2, account.used_ns, 0)
                else:
                    place = (rank, account.used_ns, 0)
                order.append((place, account.size, tier, key))
        order.sort(key=lambda candidate: candidate[0])
        freed = 0
        gone: dict[Disk, list[str]] = {}
        for _, size, tier, key in order:
            if total - freed <= target_bytes:
                break
            if tier.discard(key):
                freed += size
                gone.setdefault(tier, []).append(key)
        for tier, keys in gone.items():
            tier._index.forget(keys)
            if tier is not self:
                tier.close()
        self._total_bytes = total - freed
        self._counted_s = time.monotonic()
        return freed

    def prune(self, target_bytes: int | None) -> int:
        """Sweep every tier, and evict down to ``target_bytes`` (None: as the cap demands); returns the bytes freed."""
        found = self._tiers()
        if target_bytes is None:
            held = sum(tier.size() for tier in found)
            target_bytes = int(self._cap_bytes * (1 if held <= self._cap_bytes else _FULL))
        return sum(tier.sweep() for tier in found) + self.evict(target_bytes)

    def clear(self) -> int:
        """Remove every entry; returns the bytes freed."""
        freed = 0
        gone: list[str] = []
        for key, size, _ in self._files()[0]:
            if self.discard(key):
                freed += size
                gone.append(key)
        if self._exists():
            self._index.forget(gone)
        self._unreadable.clear()
        self._total_bytes = None
        return freed

    def close(self) -> None:
        """Write down the last uses and let go of the accounts; files can still be read."""
        self.settle()
        self._index.close()


def _listed(folder: str) -> tuple[list[os.DirEntry[str]], bool]:
    """What is in a folder (nothing if there is none), and whether it could be listed."""
    try:
        with os.scandir(folder) as found:
            return list(found), True
    except (FileNotFoundError, NotADirectoryError):
        return [], True
    except OSError:
        return [], False


def tiers(root: Path) -> tuple[Path, ...]:
    """The tier folders under a root, at any depth up to three, sorted."""
    found = {
        marker.parent
        for depth in range(3)
        for marker in root.glob("*/" * (depth + 1) + "entries")
        if (marker.parent / "CACHEDIR.TAG").is_file()
    }
    return tuple(sorted(found))
