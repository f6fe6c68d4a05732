"""What planning may ask: facts, and what lies in folders, remembered from one time to the next."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.errors import NodeError
from studio.facts import Facts, file_digests
from studio.graph import Json
from studio.keys import digest
from studio.numerics import Numerics
from studio.registry import FoundFile, Models, NotKnown

_RACY_NS = 2_000_000_000


@dataclass(frozen=True)
class PlanningContext:
    """``studio.registry.Planning``: facts come from the database, or are computed where that is allowed."""

    models: Models
    facts: Facts
    numerics: Numerics
    base: Path
    """The folder that relative files are relative to."""
    may_compute: bool = False

    def known(self, compute: Callable[..., Json], *args: object) -> Json:
        """The fact ``compute(*args)``; raises NotKnown if it is new and may not be computed now."""
        name = f"{compute.__module__}.{compute.__qualname__}"
        key = digest([name, args, self.numerics])
        fact = self.facts.get("table", key)
        if fact is None:
            if not self.may_compute:
                raise NotKnown(name)
            fact = compute(*args)
            self.facts.set("table", key, fact)
        return fact

    def files(
        self, folder: str, endings: Collection[str], look: Callable[[Path], Json]
    ) -> Sequence[FoundFile]:
        """``studio.registry.Planning.files``, digests and what was found remembered in the facts."""
        root = Path(folder)
        listed = _listed(root, endings)
        space = f"{look.__module__}.{look.__qualname__}"
        stamp = _stamp(root, listed)
        address = digest([str(root), sorted(endings), space])
        past = self.facts.get("folder", address)
        if stamp and isinstance(past, list) and past[0] == stamp:
            rows = past[1]
        else:
            rows = self._looked(root, listed, space, look)
            # what changes once more within the tick of a clock would not show
            if _is_settled(root, listed) and _stamp(root, listed) == stamp:
                self.facts.set("folder", address, [stamp, rows])
        assert isinstance(rows, list)
        files = []
        for name, row in zip(listed, rows, strict=True):
            assert isinstance(row, list)
            files.append(FoundFile(f"{root}/{name}", name, str(row[0]), row[1]))
        return files

    def _looked(
        self, root: Path, listed: Sequence[str], space: str, look: Callable[[Path], Json]
    ) -> list[Json]:
        """[digest, what was found] of each file; the digest is "" where it cannot be read."""
        digests = file_digests((root / name for name in listed), self.facts)
        readable = {content for content in digests.values() if isinstance(content, str)}
        known = self.facts.get_many(f"found {space}", readable)
        new: dict[str, Json] = {}
        rows: list[Json] = []
        for name in listed:
            path = root / name
            content = digests[path]
            try:
                if isinstance(content, OSError):
                    raise content
                if content not in known:
                    known[content] = new[content] = look(path)
            except OSError as error:
                rows.append(["", f"cannot be read ({error.strerror or error})"])
            else:
                rows.append([content, known[content]])
        self.facts.set_many(f"found {space}", new)
        return rows


def _listed(root: Path, endings: Collection[str]) -> list[str]:
    """The files under a folder, sorted by name; raises NodeError naming the folder that cannot be listed."""

    def refuse(error: OSError) -> None:
        where = Path(error.filename or root)
        reason = error.strerror or str(error)
        raise NodeError(f"{where} cannot be listed ({reason})", remedy="choose another folder")

    found = []
    for place, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(root)
        found += [
            (inside / name).as_posix()
            for name in names
            if not name.startswith(".")
            and (not endings or os.path.splitext(name)[1].lower() in endings)
        ]
    return sorted(found)


def _stamp(root: Path, names: Iterable[str]) -> str:
    """Names, sizes and times of change of files as one digest; "" where one cannot be looked at."""
    seen = hashlib.blake2b(digest_size=16)
    try:
        for name in names:
            status = os.stat(f"{root}/{name}")
            seen.update(
                f"{name}\0{status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogatepass")
            )
    except OSError:
        return ""
    return seen.hexdigest()


def _is_settled(root: Path, names: Iterable[str]) -> bool:
    """Whether all files can be looked at, and none has changed in the last two seconds."""
    latest_ns = time.time_ns() - _RACY_NS
    try:
        return all(os.stat(f"{root}/{name}").st_mtime_ns < latest_ns for name in names)
    except OSError:
        return False
