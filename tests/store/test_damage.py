"""Damaged files, lost indices and killed processes: an entry is sound or a miss."""

import errno
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import ClassVar

import pytest

from studio.graph import Json, Value
from studio.store import Store
from studio.store.arrays import Array
from studio.store.disk import Disk
from studio.store.file import write_file
from tests.store.entries import (
    age,
    file_of,
    kept,
    key,
    latents,
    picture,
    same,
    state,
    stored,
)


def test_any_flipped_bit_is_a_miss_or_does_not_matter(tmp_path: Path) -> None:
    entry = latents(5)
    stored(tmp_path, entry)
    file = file_of(tmp_path)
    sound = file.read_bytes()
    body = len(sound) - 4 * 8 * 8 * 4
    chance = random.Random(1)
    for _ in range(600):
        place = chance.randrange(len(sound))
        damaged = bytearray(sound)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        store = Store(tmp_path)
        got = store.get(key(0))
        if got is None:
            assert key(0) not in store
        else:
            # the head repeats dtype and shape for other readers
            assert place < body
            assert same(got, entry)


def test_a_truncated_file_is_a_miss(tmp_path: Path) -> None:
    stored(tmp_path, latents(5))
    file = file_of(tmp_path)
    sound = file.read_bytes()
    chance = random.Random(2)
    for length in [
        0,
        1,
        7,
        8,
        9,
        len(sound) - 1,
        *(chance.randrange(len(sound)) for _ in range(150)),
    ]:
        file.write_bytes(sound[:length])
        store = Store(tmp_path)
        assert store.get(key(0)) is None
        assert key(0) not in store
        assert not file.exists()


@pytest.mark.parametrize(
    "content",
    [bytes(100), b"\xff" * 100, b'\x02' + bytes(7) + b"{}", b"[" * 100_000, b"\x00\x10" + bytes(6) + b"[" * 4096],
)  # fmt: skip
def test_a_foreign_file_is_a_miss(tmp_path: Path, content: bytes) -> None:
    stored(tmp_path, latents())
    file_of(tmp_path).write_bytes(content)
    assert Store(tmp_path).get(key(0)) is None


def nested(depth: int) -> Json:
    found: Json = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("content", "dtype"),
    [(nested(600), None), ([], "complex128"), ([], "float7"), ({"int": "0x"}, None)],
    ids=["nested too deeply", "no whole number of elements", "unknown dtype", "no integer"],
)
def test_a_sealed_file_of_no_meaning_is_a_miss(
    tmp_path: Path, content: Json, dtype: str | None
) -> None:
    stored(tmp_path, latents())
    arrays = [Array("tensor", dtype, (1,), b"abc")] if dtype else []
    write_file(file_of(tmp_path), key(0), "result", {"out": content}, arrays)
    store = Store(tmp_path)
    assert store.get(key(0)) is None
    assert key(0) not in store


@dataclass(frozen=True)
class Fickle(Value):
    """A value of a pack whose next version refuses what this one held."""

    number: int
    error: ClassVar[type[Exception] | None] = None

    def __post_init__(self) -> None:
        if self.error:
            raise self.error("no more")


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, AttributeError, OverflowError])
def test_a_value_that_its_class_refuses_by_now_is_a_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    stored(tmp_path, {"out": Fickle(1)})
    monkeypatch.setattr(Fickle, "error", error)
    store = Store(tmp_path)
    assert store.get(key(0)) is None
    assert key(0) not in store
    assert file_of(tmp_path).exists()


def test_the_file_of_another_key_is_a_miss(tmp_path: Path) -> None:
    stored(tmp_path, latents(0), 0)
    stored(tmp_path, latents(1), 1)
    os.replace(file_of(tmp_path, 1), file_of(tmp_path, 0))
    assert Store(tmp_path).get(key(0)) is None


def test_a_damaged_file_is_replaced_by_the_next_put(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    file_of(tmp_path).write_bytes(b"half")
    with Store(tmp_path) as store:
        assert store.get(key(0)) is None
        store.put(key(0), latents())
    assert same(Store(tmp_path).get(key(0)), latents())


def test_a_lost_index_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    stored(tmp_path, latents(), 0)
    stored(tmp_path, state(), 1, "state")
    for file in tmp_path.glob("index*"):
        file.unlink()
    stats = Store(tmp_path).stats()
    assert (stats.results, stats.states) == (1, 1)


def test_a_damaged_file_is_not_counted_by_a_rebuilt_index(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    file_of(tmp_path).write_bytes(b"half")
    store = Store(tmp_path)
    assert store.stats().entries == 0
    assert key(0) not in store


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_opened_for_now_is_counted_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse_with_code(*_: object, **__: object) -> None:
        raise OSError(code, "not now")

    stored(tmp_path, state(5), kind="state")
    for file in tmp_path.glob("index*"):
        file.unlink()
    store = Store(tmp_path)
    with monkeypatch.context() as busy:
        busy.setattr("studio.store.disk.open", refuse_with_code, raising=False)
        assert store.stats().entries == 1
    assert same(store.get(key(0)), state(5))
    stats = store.stats()
    assert (stats.results, stats.states) == (0, 1)


def test_what_could_not_be_opened_for_now_is_counted_by_the_next_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path, latents(), 0)
    stored(tmp_path, latents(), 1)
    size = file_of(tmp_path, 0).stat().st_size + file_of(tmp_path, 1).stat().st_size
    for file in tmp_path.glob("index*"):
        file.unlink()
    shut = str(file_of(tmp_path, 1))

    def open_but_one(path: str, *_: object, **__: object) -> FileIO:
        if path == shut:
            raise OSError(errno.EMFILE, "Too many open files")
        return FileIO(path)

    disk = Disk(tmp_path, 10**9, None)
    with monkeypatch.context() as busy:
        busy.setattr("studio.store.disk.open", open_but_one, raising=False)
        disk.accounts()
    assert disk.size() == size


def test_last_uses_outlive_a_folder_that_cannot_be_listed_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        stored(tmp_path, latents(number), number)
    size = file_of(tmp_path, 0).stat().st_size
    for number in range(2):
        age(tmp_path, number, 100 - number)
    with Store(tmp_path) as store:
        store.stats()  # the rebuilt index
        store.get(key(0))
    with monkeypatch.context() as busy:
        busy.setattr("studio.store.disk._FRESH_NS", 0)
        busy.setattr("studio.store.disk.os.scandir", refuse)
        Store(tmp_path).stats()
    Store(tmp_path).prune(size)
    assert kept(tmp_path, range(2)) == [0]


def test_a_file_that_is_no_entry_is_left_alone(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    note = file_of(tmp_path).with_name("read me.safetensors")
    note.write_text("mine")
    store = Store(tmp_path)
    store.prune(0)
    assert store.clear() == 0
    assert note.read_text() == "mine"


def test_a_damaged_index_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    stored(tmp_path, latents(), 0)
    (tmp_path / "index.sqlite").write_bytes(b"no database " * 1000)
    with Store(tmp_path) as store:
        store.put(key(1), state(), kind="state")
        store.flush()
        stats = store.stats()
    assert (stats.results, stats.states) == (1, 1)


CHILD = """
import sys
from pathlib import Path
from studio.graph import Key
from studio.store import Store
from studio.values import Picture

def entry(number):
    return {"p": Picture(str(number), ".png", (bytes([number % 251]) * (1000 + 700 * number % 90000),), ("x",))}

store = Store(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    store.put(Key(f"{(number * 2654435761) % 2**32:08x}{number:032x}"), entry(number))
    print(number, flush=True)
store.close()
"""


@pytest.mark.parametrize("last", [20, 77, 210])
def test_a_process_killed_while_writing_leaves_sound_entries_only(
    tmp_path: Path, last: int
) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), "0", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= last:
                break
        child.kill()
        written = last + len(child.stdout.readlines())
    store = Store(tmp_path)
    found = [number for number in range(written + 2) if key(number) in store]
    assert len(found) >= last - 8 - 1  # those that may wait, and the one being written
    for number in found:
        assert same(store.get(key(number)), picture(number))
    assert len(found) == store.stats().entries == len(list(tmp_path.glob("entries/*/*")))


def test_processes_that_write_the_same_keys_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), "0", "150"]
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    store = Store(tmp_path)
    assert all(same(store.get(key(number)), picture(number)) for number in range(150))
    assert store.stats().results == 150
    assert not list((tmp_path / "tmp").iterdir())


def test_what_a_killed_process_left_half_written_is_swept_after_an_hour(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    old, new = tmp_path / "tmp" / "1-0-0.safetensors", tmp_path / "tmp" / "2-0-0.safetensors"
    old.write_bytes(bytes(1000))
    new.write_bytes(bytes(1000))
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    assert Store(tmp_path).prune() == 1000
    assert (old.exists(), new.exists()) == (False, True)
