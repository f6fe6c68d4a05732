"""Several tiers under one folder: counted, cleared and pruned together."""

from __future__ import annotations

from pathlib import Path

from studio.store.disk import Disk, Stats, tiers


def survey(root: Path) -> tuple[Stats, ...]:
    """Count what every tier under a root holds."""
    found: list[Stats] = []
    for folder in tiers(root):
        disk = Disk(folder, 0, None)
        found.append(disk.stats())
        disk.close()
    return tuple(found)


def clear_root(root: Path) -> int:
    """Remove every entry of every tier under a root; returns the bytes freed."""
    freed = 0
    for folder in tiers(root):
        disk = Disk(folder, 0, None)
        freed += disk.clear() + disk.sweep()
        disk.close()
    return freed


def prune_root(root: Path, target_bytes: int, *, current: Path | None = None) -> int:
    """Evict until no more than ``target_bytes`` are left under a root; returns the bytes freed.

    Tiers unused for a day go first, but for ``current``. What killed processes left half-written goes from all.
    """
    folders = tiers(root)
    if not folders:
        return 0
    disk = Disk(current or folders[-1], target_bytes, root)
    freed = disk.prune(target_bytes)
    disk.close()
    return freed
