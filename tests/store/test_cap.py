"""The cap on disk: what is evicted, in which order, over one tier or several."""

import os
import time
from pathlib import Path

from studio.store import Store, clear_root, prune_root, survey, tiers
from tests.store.entries import age, kept, key, latents, state, stored

SIZE = 4 * 32 * 32 * 4 + 1000
"""A little more than a file of ``latents(size=32)`` or ``state(size=32)`` takes."""


def test_the_cap_on_disk_holds(tmp_path: Path) -> None:
    with Store(tmp_path, disk_bytes=10 * SIZE) as store:
        for number in range(40):
            store.put(key(number), latents(number, 32))
            store.flush()
            held = sum(file.stat().st_size for file in tmp_path.glob("entries/*/*"))
            assert held <= 10 * SIZE
    assert kept(tmp_path, range(40))[-8:] == list(range(32, 40))


def test_states_go_before_results(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(4):
            store.put(key(number), latents(number, 32))
        for number in range(4, 8):
            store.put(key(number), state(number, 32), kind="state")
            store.flush()
    assert Store(tmp_path).prune(5 * SIZE) > 0
    assert kept(tmp_path, range(8)) == [0, 1, 2, 3, 7]


def test_states_of_the_running_process_go_after_older_results(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(3):
            store.put(key(number), latents(number, 32))
        store.put(key(3), state(3, 32), kind="state")
    for number in range(3):
        age(tmp_path, number, 100 - number)
    Store(tmp_path).prune(2 * SIZE)
    assert kept(tmp_path, range(4)) == [2, 3]


def test_what_was_read_lately_stays(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(4):
            store.put(key(number), latents(number, 32))
    for number in range(4):
        age(tmp_path, number, 100 - number)
    with Store(tmp_path) as store:
        store.stats()  # the rebuilt index
        store.get(key(0))
    Store(tmp_path).prune(2 * SIZE)
    assert kept(tmp_path, range(4)) == [0, 3]


def test_a_value_larger_than_the_cap_is_not_written(tmp_path: Path) -> None:
    with Store(tmp_path, disk_bytes=5 * SIZE) as store:
        store.put(key(0), latents(0, 32))
        store.put(key(1), latents(1, 100))
        store.flush()
        assert key(1) in store
    assert kept(tmp_path, range(2)) == [0]


def test_a_store_with_room_prunes_nothing(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    assert Store(tmp_path).prune() == 0
    assert kept(tmp_path, range(1)) == [0]


def test_tiers_that_nobody_uses_go_first(tmp_path: Path) -> None:
    stored(tmp_path / "old", latents(0, 32), 0)
    age(tmp_path / "old", 0, 2 * 24 * 3600)
    stored(tmp_path / "new", state(0, 32), 0, "state")
    age(tmp_path / "new", 0, 3 * 24 * 3600)
    with Store(tmp_path / "new", disk_bytes=5 * SIZE // 2, root=tmp_path) as store:
        store.put(key(1), latents(1, 32))
        store.flush()
    assert kept(tmp_path / "old", range(2)) == []
    assert kept(tmp_path / "new", range(2)) == [0, 1]


def test_tiers_in_use_share_the_cap_by_last_use(tmp_path: Path) -> None:
    for number, tier in enumerate(["cpu", "cuda", "cpu", "cuda"]):
        stored(tmp_path / tier, latents(number, 32), number)
    for number, tier in enumerate(["cpu", "cuda", "cpu", "cuda"]):
        age(tmp_path / tier, number, 100 - number)
    Store(tmp_path / "cpu", root=tmp_path).prune(2 * SIZE)
    assert kept(tmp_path / "cpu", range(4)) == [2]
    assert kept(tmp_path / "cuda", range(4)) == [3]


def test_a_root_is_surveyed_pruned_and_cleared(tmp_path: Path) -> None:
    stored(tmp_path / "a", latents(0, 32), 0)
    stored(tmp_path / "b" / "cpu", latents(1, 32), 1)
    (tmp_path / "models" / "entries").mkdir(parents=True)
    assert tiers(tmp_path) == (tmp_path / "a", tmp_path / "b" / "cpu")
    assert [stats.entries for stats in survey(tmp_path)] == [1, 1]
    assert prune_root(tmp_path, SIZE, current=tmp_path / "b" / "cpu") > 0
    assert [stats.entries for stats in survey(tmp_path)] == [0, 1]
    assert clear_root(tmp_path) > 0
    assert [stats.entries for stats in survey(tmp_path)] == [0, 0]


def test_replacing_entries_does_not_fill_the_cap(tmp_path: Path) -> None:
    with Store(tmp_path, disk_bytes=42 * SIZE // 10) as store:
        for number in [0, 1, 2, 3, 0, 1, 0, 1]:
            store.put(key(number), latents(number, 32))
            store.flush()
    # four files are more than what eviction would leave
    assert kept(tmp_path, range(4)) == [0, 1, 2, 3]


def test_pruning_a_root_sweeps_every_tier(tmp_path: Path) -> None:
    for tier in "ab":
        stored(tmp_path / tier, latents())
        left = tmp_path / tier / "tmp" / "1-0-0.safetensors"
        left.write_bytes(bytes(1000))
        os.utime(left, (time.time() - 4000, time.time() - 4000))
    assert prune_root(tmp_path, 10 * SIZE, current=tmp_path / "b") == 2000
    assert not list(tmp_path.glob("*/tmp/*"))
