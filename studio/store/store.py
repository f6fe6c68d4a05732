"""The store itself: what was used last in memory, everything on disk."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from studio.graph import Key
from studio.store.arrays import footprint
from studio.store.disk import Disk, Stats, is_key
from studio.store.encoding import Encoder, Entry, compose_document, decode_entry, fingerprint
from studio.store.file import Kind
from studio.store.writer import Record, Writer

_EXIT_WAIT_S = 30.0


class Store:
    """Results by key: what was used last in memory, everything on disk up to a cap.

    Entries and what they hold are immutable by convention: neither whoever puts nor whoever gets one changes a tensor
    in place. No fault of the disk is raised; ``problem`` says why results stay in memory. Threads may share a store,
    and processes a folder.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        memory_bytes: int = 2**30,
        disk_bytes: int = 10 * 10**9,
        pending: int = 8,
        root: Path | None = None,
    ) -> None:
        """Name a tier; nothing is read or made yet.

        ``folder``: one per format, torch version and device kind; None: memory only. ``pending``: how many states,
        and how many results, may wait for the disk. ``root``: the folder whose tiers share the cap ``disk_bytes``.
        """
        self.folder = folder
        self._memory_bytes = memory_bytes
        self._memory: OrderedDict[Key, Record] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()
        self._writer = Writer(Disk(folder, disk_bytes, root), pending) if folder else None
        # also called at exit, while the writer thread still runs
        self._finish = (
            weakref.finalize(self, self._writer.close, _EXIT_WAIT_S) if self._writer else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def problem(self) -> str | None:
        """Why results do not reach the disk, in one line; None while they do."""
        return self._writer.disk.problem if self._writer else None

    def __contains__(self, key: object) -> bool:
        """Tell whether ``get`` would find an entry, without reading it."""
        if key in self._memory:
            return True
        writer = self._writer
        if writer is None or not isinstance(key, str) or not is_key(key):
            return False
        return key in writer.pending or key in writer.disk

    def contains_many(self, keys: Iterable[Key]) -> set[Key]:
        """Return those of ``keys`` that are stored."""
        return {key for key in keys if key in self}

    def get(self, key: Key) -> Entry | None:
        """Return an entry, tensors on the CPU, or None.

        None as well for a file that is damaged (it is removed) or holds values of classes that are not loaded, or that
        refuse them.
        """
        record = self._recall(key)
        return record.value if record else None

    def part(self, key: Key, *where: str) -> object:
        """Return a part of an entry without reading the rest, or None.

        ``where``: the output, then names of fields and keys of dicts of text: a state's ``losses``, not its weights.
        Unlike what ``get`` returns, it is not remembered, and damage within its arrays is not noticed.
        """
        record = self._here(key)
        if record is None:
            return self._writer.disk.part(key, where) if self._writer and is_key(key) else None
        found: object = record.value
        for name in where:
            found = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
        return found

    def put(
        self, key: Key, entry: Entry, *, kind: Kind = "result", replaces: Iterable[Key] = ()
    ) -> None:
        """Store an entry in place of any former one: in memory at once, on disk soon.

        Never waits for the disk with a "state": where too many wait, the oldest of them stays off the disk. A
        "result" may wait up to 2 s for room. Tensors are taken by reference, those of other devices copied to the
        CPU. An entry larger than the cap of memory or disk is not kept there. What an entry ``replaces`` is
        forgotten, on disk not before the entry has got there: whenever the process dies, one of them is left.
        Subclasses of dict come back as dict, numpy scalars as Python numbers. Raises TypeError, naming the place, for
        what cannot be encoded.
        """
        if not is_key(key):
            raise ValueError(f"{key!r} is not a key")
        encoder = Encoder()
        try:
            outputs = encoder.entry(entry)
        except RecursionError as error:
            raise TypeError("nested too deeply, or within itself") from error
        value = dict(entry)
        if encoder.has_moved:
            # the memory of an accelerator is too precious for what may never be asked for again
            value = decode_entry(outputs, [array.restored() for array in encoder.arrays])
        former = tuple(one for one in replaces if one != key)
        record = Record(
            value, kind, footprint(array.data for array in encoder.arrays), replaces=former
        )
        self._forget(former)
        self._remember(key, record)
        if self._writer:
            record.outputs, record.arrays = outputs, encoder.arrays
            self._writer.put(key, record)

    def fingerprint(self, key: Key) -> str | None:
        """Return 32 hexadecimal digits that name an entry's content: equal exactly for bit-equal values.

        blake2b-128 over the bytes of the arrays with dtypes and shapes, names and plain data; not over memory layout.
        That of a file is taken from its checked head, without reading the arrays.
        """
        record = self._here(key)
        if record is None:
            header = self._writer.disk.header(key) if self._writer and key in self else None
            return header.fingerprint if header else None
        if record.fingerprint is None:
            encoder = Encoder()
            outputs = encoder.entry(record.value)
            bodies = [array.raw() for array in encoder.arrays]
            document = compose_document(outputs, encoder.arrays, bodies)
            record.fingerprint = fingerprint(document, bodies)
        return record.fingerprint

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until everything is on disk; returns False if ``timeout_s`` was not enough."""
        return self._writer.flush(timeout_s) if self._writer else True

    def close(self) -> None:
        """Flush and stop writing. What is stored can still be read; what is put later stays in memory."""
        if self._writer and self._finish:
            self._finish.detach()
            self._writer.close(None)

    def stats(self) -> Stats:
        """Count what is held, by looking at the files."""
        with self._lock:
            memory_entries, used_bytes = len(self._memory), self._used_bytes
        writer = self._writer
        if writer:
            held = replace(writer.disk.stats(), pending=len(writer.pending), dropped=writer.dropped)
        else:
            held = Stats(None, entries=0, states=0, results=0, disk_bytes=0)
        return replace(held, memory_entries=memory_entries, memory_bytes=used_bytes)

    def clear(self) -> int:
        """Forget every entry of this tier, in memory and on disk; returns the bytes freed on disk."""
        with self._lock:
            self._memory.clear()
            self._used_bytes = 0
        if self._writer is None:
            return 0
        self._writer.forget()
        return self._writer.disk.clear()

    def prune(self, target_bytes: int | None = None) -> int:
        """Evict from disk until ``target_bytes`` are left; None: as the cap demands. Returns the bytes freed.

        Also removes what killed processes left half-written.
        """
        if self._writer is None:
            return 0
        self._writer.flush(None)
        return self._writer.disk.prune(target_bytes)

    def _here(self, key: Key) -> Record | None:
        with self._lock:
            record = self._memory.get(key)
            if record is not None:
                self._memory.move_to_end(key)
        if record is None and self._writer:
            record = self._writer.pending.get(key)
        return record

    def _recall(self, key: Key) -> Record | None:
        record = self._here(key)
        writer = self._writer
        if record is None and writer and is_key(key):
            found = writer.disk.read(key)
            if found:
                header, arrays, value = found
                record = Record(
                    value, header.kind, footprint(arrays), fingerprint=header.fingerprint
                )
                self._remember(key, record)
        if record is not None and writer:
            writer.disk.touch(key)
        return record

    def _forget(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in keys:
                former = self._memory.pop(key, None)
                if former is not None:
                    self._used_bytes -= former.memory_bytes

    def _remember(self, key: Key, record: Record) -> None:
        with self._lock:
            former = self._memory.pop(key, None)
            if former is not None:
                self._used_bytes -= former.memory_bytes
            if record.memory_bytes > self._memory_bytes:
                return
            self._memory[key] = record
            self._used_bytes += record.memory_bytes
            while self._used_bytes > self._memory_bytes:
                _, oldest = self._memory.popitem(last=False)
                self._used_bytes -= oldest.memory_bytes
