"""Memory and disk as one store: what is found where, what stays, what is counted."""

import subprocess
import sys
from pathlib import Path

import torch

from studio.store import Store
from studio.values import (
    Latents,
    State,
)
from tests.store.entries import file_of, key, latents, same, state, stored


def test_what_was_put_is_there_at_once() -> None:
    store = Store(None)
    entry = latents()
    store.put(key(0), entry)
    assert key(0) in store
    assert store.get(key(0)) == entry


def test_an_unknown_key_is_a_miss(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert key(0) not in store
    assert store.get(key(0)) is None
    assert store.fingerprint(key(0)) is None


def test_a_store_that_is_only_asked_makes_no_folder(tmp_path: Path) -> None:
    with Store(tmp_path / "tier") as store:
        assert key(0) not in store
        assert store.get(key(0)) is None
        assert store.stats().entries == 0
        assert store.prune() == 0
    assert not (tmp_path / "tier").exists()


def test_contains_many_finds_memory_and_disk(tmp_path: Path) -> None:
    stored(tmp_path, latents(), 1)
    store = Store(tmp_path)
    store.put(key(2), latents())
    assert store.contains_many([key(number) for number in range(5)]) == {key(1), key(2)}
    store.close()


def test_a_second_put_replaces_the_first(tmp_path: Path) -> None:
    stored(tmp_path, latents(1))
    assert same(stored(tmp_path, latents(2)), latents(2))


def test_an_evicted_file_does_not_change_what_was_read(tmp_path: Path) -> None:
    got = stored(tmp_path, latents(3))
    file = file_of(tmp_path)
    file.write_bytes(bytes(file.stat().st_size))
    file.unlink()
    assert same(got, latents(3))


def test_memory_keeps_what_was_used_last_within_its_cap() -> None:
    size = 4 * 8 * 8 * 4
    store = Store(None, memory_bytes=4 * size + 2000)
    for number in range(4):
        store.put(key(number), latents(number))
    store.get(key(0))
    store.put(key(4), latents(4))
    assert store.contains_many(key(n) for n in range(5)) == {key(0), key(2), key(3), key(4)}
    assert store.stats().memory_bytes <= 4 * size + 2000


def test_memory_counts_the_storage_behind_a_view() -> None:
    store = Store(None, memory_bytes=1_000_000)
    store.put(key(0), {"latents": Latents(torch.zeros(1000, 1000)[0])})
    assert key(0) not in store


def test_memory_counts_bytes_and_shared_storage_once() -> None:
    whole = torch.zeros(1000)
    store = Store(None)
    store.put(key(0), {"s": State({"a": whole, "b": whole[10:], "c": bytes(500)})})
    assert 4500 <= store.stats().memory_bytes < 5000


def test_what_memory_forgot_is_read_from_disk(tmp_path: Path) -> None:
    with Store(tmp_path, memory_bytes=0) as store:
        store.put(key(0), latents(1))
        store.flush()
        assert store.stats().memory_entries == 0
        assert same(store.get(key(0)), latents(1))


def test_a_closed_store_still_answers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(key(0), latents())
    store.close()
    store.close()
    store.put(key(1), latents(1))
    assert same(store.get(key(0)), latents())
    assert same(store.get(key(1)), latents(1))
    assert key(1) not in Store(tmp_path)


def test_a_store_that_is_given_up_still_writes_what_waits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(key(0), latents())
    del store
    assert same(Store(tmp_path).get(key(0)), latents())


def test_what_waits_at_exit_is_written(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from studio.graph import Key\n"
        "from studio.store import Store; from studio.values import Picture\n"
        "store = Store(Path(sys.argv[1]))\n"
        f"store.put(Key('{key(0)}'), {{'p': Picture('a', '.png', (bytes(10**6),), ('x',))}})"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert key(0) in Store(tmp_path)


def test_clear_forgets_memory_and_disk(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put(key(0), latents())
        store.flush()
        assert store.clear() > 0
        assert key(0) not in store
        assert store.stats().entries == store.stats().memory_entries == 0


def test_stats_count_states_and_results(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put(key(0), latents())
        store.put(key(1), state(), kind="state")
        store.put(key(2), state(), kind="state")
        store.flush()
        stats = store.stats()
    assert (stats.entries, stats.results, stats.states) == (3, 1, 2)
    assert stats.disk_bytes == sum(file.stat().st_size for file in tmp_path.glob("entries/*/*"))


def test_a_part_is_read_without_the_rest(tmp_path: Path) -> None:
    weights, losses = torch.arange(4096.0), torch.tensor([3.0, 2.0], dtype=torch.float64)
    entry = {"state": State({"weights": {"a": weights}, "losses": losses, "rows": [[4.0, 0.5]]})}
    store = Store(tmp_path)
    store.put(key(0), entry, kind="state")
    store.close()
    assert store.part(key(0), "state", "data", "rows") == [[4.0, 0.5]]
    # a byte of the weights is another: whoever reads them finds out, and nobody else
    file = file_of(tmp_path)
    content = file.read_bytes()
    place = content.index(weights.numpy().tobytes())
    file.write_bytes(content[:place] + b"x" + content[place + 1 :])
    fresh = Store(tmp_path)
    found = fresh.part(key(0), "state", "data", "losses")
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, losses)
    assert fresh.part(key(0), "state", "data", "rows") == [[4.0, 0.5]]
    assert fresh.get(key(0)) is None


def test_a_part_that_is_not_there_is_none(tmp_path: Path) -> None:
    stored(tmp_path, state())
    for store in (Store(tmp_path), Store(None)):
        store.put(key(1), state())
        for number in (0, 1, 2):
            for path in (("state", "data", "losses"), ("state", "nothing"), ("nothing",)):
                assert store.part(key(number), *path) is None
        assert store.part(key(1), "state", "data", "step") == 0
