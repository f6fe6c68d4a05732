"""``studio cache``: what the result store holds, and making room."""

from __future__ import annotations

import argparse
from pathlib import Path

from studio.cli.writing import size_text, table, write_json
from studio.errors import FileError
from studio.numerics import choose
from studio.session import Settings, tier_folder
from studio.store import clear_root, prune_root, survey


def stats(options: argparse.Namespace) -> int:
    """Print what every tier holds (one per format, torch version and kind of device), and the sum."""
    root = _root(options)
    found = survey(root)
    total = sum(tier.disk_bytes for tier in found)
    facts = root / "facts.sqlite"
    facts_bytes = facts.stat().st_size if facts.is_file() else 0
    if options.json:
        tiers = [
            {
                "folder": str(tier.folder),
                "results": tier.results,
                "states": tier.states,
                "bytes": tier.disk_bytes,
            }
            for tier in found
        ]
        write_json(
            {"folder": str(root), "bytes": total, "facts_bytes": facts_bytes, "tiers": tiers},
            indent=2,
        )
        return 0
    print(f"folder: {root}")
    rows = [
        (
            str(tier.folder.relative_to(root)) if tier.folder else "",
            f"{tier.results} results,",
            f"{tier.states} states,",
            size_text(tier.disk_bytes),
        )
        for tier in found
    ]
    for text in table(rows, indent="  ", gap=" "):
        print(text)
    print(f"stored: {size_text(total)}; facts: {size_text(facts_bytes)}")
    return 0


def clear(options: argparse.Namespace) -> int:
    """Remove every stored result; what is known of models, schedules and durations stays."""
    print(f"freed {size_text(clear_root(_root(options)))}")
    return 0


def prune(options: argparse.Namespace) -> int:
    """Remove results, the least recently used first, until no more than ``--size`` is left."""
    root = _root(options)
    freed = prune_root(root, options.size, current=tier_folder(root, choose()))
    print(f"freed {size_text(freed)}")
    return 0


def _root(options: argparse.Namespace) -> Path:
    root = Settings(cache=options.cache).cache_folder
    if root.exists() and not root.is_dir():
        raise FileError("is not a folder", where=str(root), remedy="name a folder with --cache")
    return root
