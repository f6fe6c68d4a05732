"""Writing behind the caller's back: a disk that refuses, a disk that stalls, and what is written first."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from studio.graph import Key
from studio.store import Store
from studio.store.disk import Disk
from tests.store.entries import kept, key, latents, picture, same, state


def test_a_folder_that_cannot_be_made_means_memory_and_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Store(tmp_path / "file" / "tier") as store:
        store.put(key(0), latents())
        store.flush()
        assert same(store.get(key(0)), latents())
        assert store.problem is not None
        assert "\n" not in store.problem
        assert "memory only" in store.problem
        assert store.stats().entries == 0


def test_a_full_disk_means_memory_and_a_problem_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store(tmp_path) as store:
        with monkeypatch.context() as full:
            full.setattr("studio.store.disk.os.replace", refuse)
            store.put(key(0), latents())
            store.flush()
        assert "No space left" in str(store.problem)
        assert same(store.get(key(0)), latents())
        assert store.stats().entries == 0
        assert not list((tmp_path / "tmp").iterdir())
        store.put(key(1), latents())
        store.flush()
        assert store.problem is None
    assert kept(tmp_path, range(2)) == [1]


def test_a_file_that_the_system_refuses_to_grow_means_memory_and_a_problem(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from studio.graph import Key\n"
        "from studio.store import Store; from studio.values import Picture\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "store = Store(Path(sys.argv[1]))\n"
        f"store.put(Key('{key(0)}'), {{'p': Picture('a', '.png', (bytes(10**6),), ('x',))}})\n"
        "store.flush(); print(store.problem, store.stats().entries, list(store.folder.glob('tmp/*')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "File too large" in found.stdout
    assert found.stdout.strip().endswith("0 []")


class Stall:
    """Holds the writer thread in the middle of its first file until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        write = Disk.write

        def stalled(disk: Disk, *rest: object) -> str | None:
            self.entered.set()
            assert self.released.wait(60)
            return write(disk, *rest)  # type: ignore[arg-type]  # passed through

        monkeypatch.setattr(Disk, "write", stalled)


def test_a_stalled_disk_costs_old_states_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = Stall(monkeypatch)
    store = Store(tmp_path, pending=4)
    store.put(key(0), state(0), kind="state")
    assert stall.entered.wait(60)
    for number in range(1, 31):
        store.put(key(number), state(number), kind="state")
    assert store.contains_many(key(number) for number in range(31)) == {key(n) for n in range(31)}
    assert not store.flush(0.01)
    assert store.stats().dropped == 26
    stall.released.set()
    store.close()
    assert kept(tmp_path, range(31)) == [0, 27, 28, 29, 30]


def test_results_are_never_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stall = Stall(monkeypatch)
    monkeypatch.setattr("studio.store.writer._RESULT_WAIT_S", 0.01)
    store = Store(tmp_path, pending=2)
    for number in range(10):
        store.put(key(number), latents(number))
    stall.released.set()
    store.close()
    assert kept(tmp_path, range(10)) == list(range(10))


def test_a_result_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stall = Stall(monkeypatch)
    monkeypatch.setattr("studio.store.writer._RESULT_WAIT_S", 60)
    store = Store(tmp_path, pending=1)
    store.put(key(0), latents(0))
    assert stall.entered.wait(60)
    store.put(key(1), latents(1))
    blocked = threading.Thread(target=store.put, args=(key(2), latents(2)))
    blocked.start()
    blocked.join(0.05)
    assert blocked.is_alive()
    stall.released.set()
    blocked.join(60)
    store.close()
    assert kept(tmp_path, range(3)) == [0, 1, 2]


def test_the_newest_state_is_written_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write = Disk.write

    def noted(disk: Disk, name: Key, *rest: object) -> str | None:
        order.append(name)
        return write(disk, name, *rest)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(Disk, "write", noted)
    stall = Stall(monkeypatch)
    store = Store(tmp_path)
    store.put(key(0), state(0), kind="state")
    assert stall.entered.wait(60)
    store.put(key(1), state(1), kind="state")
    store.put(key(2), state(2), kind="state")
    store.put(key(3), latents(3))
    stall.released.set()
    store.close()
    assert order == [key(0), key(3), key(2), key(1)]


def test_a_result_takes_the_place_of_a_waiting_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = Stall(monkeypatch)
    store = Store(tmp_path)
    store.put(key(0), state(0), kind="state")
    assert stall.entered.wait(60)
    store.put(key(1), state(1), kind="state")
    store.put(key(1), latents(1))
    stall.released.set()
    store.close()
    fresh = Store(tmp_path)
    assert same(fresh.get(key(1)), latents(1))
    assert (fresh.stats().results, fresh.stats().states) == (1, 1)


def test_a_state_that_takes_the_place_of_a_waiting_result_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = Stall(monkeypatch)
    store = Store(tmp_path, pending=2)
    store.put(key(0), state(0), kind="state")
    assert stall.entered.wait(60)
    store.put(key(1), latents(1))
    store.put(key(1), state(1), kind="state")
    for number in range(2, 6):
        store.put(key(number), state(number), kind="state")
    stall.released.set()
    store.close()
    assert kept(tmp_path, range(6)) == [0, 1, 4, 5]
    assert same(Store(tmp_path).get(key(1)), state(1))


def test_a_fault_that_nobody_foresaw_is_a_problem_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Disk.write

    def broken(disk: Disk, name: Key, *rest: object) -> str | None:
        if name == key(0):
            raise LookupError("first line\nsecond line")
        return write(disk, name, *rest)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(Disk, "write", broken)
    stall = Stall(monkeypatch)
    store = Store(tmp_path)
    store.put(key(0), latents(0))
    assert stall.entered.wait(60)
    store.put(key(1), latents(1))
    stall.released.set()
    assert store.flush(20)
    assert kept(tmp_path, range(2)) == [1]
    assert same(store.get(key(0)), latents(0))


def test_a_fault_that_nobody_foresaw_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str | None:
        raise LookupError("first line\nsecond line")

    monkeypatch.setattr(Disk, "write", broken)
    with Store(tmp_path) as store:
        store.put(key(0), latents(0))
        assert store.flush(20)
        assert store.problem == (
            f"{tmp_path}: LookupError: first line second line; kept in memory only"
        )


def test_what_waits_for_the_disk_is_there_when_memory_forgot_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = Stall(monkeypatch)
    with Store(tmp_path, memory_bytes=0) as store:
        store.put(key(0), latents(0))
        assert key(0) in store
        assert same(store.get(key(0)), latents(0))
        stall.released.set()


def test_threads_share_a_store(tmp_path: Path) -> None:
    wrong: list[int] = []

    def work(thread: int) -> None:
        for number in range(30):
            name = key(100 * thread + number)
            store.put(name, picture(number))
            if not same(store.get(name), picture(number)):
                wrong.append(number)

    with Store(tmp_path, memory_bytes=100_000) as store:
        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert Store(tmp_path).stats().entries == 120
