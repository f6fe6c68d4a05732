"""The result store: key -> values, in memory over one safetensors file per entry on disk, capped in size.

The file system is the truth: an entry exists if its file does, and a file is believed only if its checksum holds.
SQLite keeps accounts (size, kind, last use) and is rebuilt from the files when it is lost. Layout of a tier::

    FOLDER/CACHEDIR.TAG
    FOLDER/index.sqlite
    FOLDER/entries/KE/KEY.safetensors       arrays by number; document, layout and checksum in the metadata
    FOLDER/tmp/                             files being written, moved into place when complete

Inside, each module builds on those before it: ``arrays``, ``encoding``, ``file``, ``index``, ``disk``, ``writer``,
``store`` and, beside it, ``root``.
"""

from studio.store.disk import Stats, tiers
from studio.store.encoding import Entry
from studio.store.file import Kind
from studio.store.root import clear_root, prune_root, survey
from studio.store.store import Store

__all__ = [
    "Entry",
    "Kind",
    "Stats",
    "Store",
    "clear_root",
    "prune_root",
    "survey",
    "tiers",
]
