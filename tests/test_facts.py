import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import FileError
from studio.facts import Facts, file_digest
from studio.graph import Json

json_values: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    opened = Facts(tmp_path / "facts.sqlite")
    yield opened
    opened.close()


def reopened(facts: Facts) -> Facts:
    facts.close()
    return Facts(facts.path)


def aged(path: Path, seconds: float = 100) -> Path:
    """``path``, as if it had been written that long ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@given(value=json_values)
def test_any_json_comes_back_as_it_was(value: Json) -> None:
    facts = Facts(None)
    facts.set("table", "key", value)
    assert json.dumps(facts.get("table", "key")) == json.dumps(value)
    facts.close()


def test_a_fact_outlives_the_object(facts: Facts) -> None:
    facts.set("timing", "step", [1, 2.5, "s"])
    again = reopened(facts)
    assert again.get("timing", "step") == [1, 2.5, "s"]
    again.close()


def test_spaces_are_apart(facts: Facts) -> None:
    facts.set("table", "k", 1)
    facts.set("timing", "k", 2)
    assert (facts.get("table", "k"), facts.get("timing", "k")) == (1, 2)


def test_an_unknown_fact_is_none(facts: Facts) -> None:
    assert facts.get("table", "k") is None


def test_setting_again_replaces(facts: Facts) -> None:
    facts.set("table", "k", 1)
    facts.set("table", "k", {"a": [None]})
    assert facts.get("table", "k") == {"a": [None]}


def test_thousands_are_set_and_read_at_once(facts: Facts) -> None:
    values: dict[str, Json] = {f"k{number}": number for number in range(2500)}
    facts.set_many("table", values)
    assert facts.get_many("table", [*values, "unknown"]) == values


def test_clearing_a_space_leaves_the_others(facts: Facts) -> None:
    facts.set("table", "k", 1)
    facts.set("timing", "k", 2)
    facts.clear("table")
    assert (facts.get("table", "k"), facts.get("timing", "k")) == (None, 2)


def test_clearing_all_forgets_every_space(facts: Facts) -> None:
    facts.set("table", "k", 1)
    facts.set("timing", "k", 2)
    facts.clear(None)
    assert (facts.get("table", "k"), facts.get("timing", "k")) == (None, None)


def test_what_is_no_json_is_refused(facts: Facts) -> None:
    with pytest.raises(TypeError):
        facts.set("table", "k", object())  # type: ignore[arg-type]  # what is tested


def test_a_closed_object_knows_nothing_and_does_not_complain(facts: Facts) -> None:
    facts.set("table", "k", 1)
    facts.close()
    facts.set("table", "k", 2)
    assert facts.get("table", "k") is None


@pytest.mark.parametrize(
    "content", [b"", b"not a database, " * 400, b"SQLite format 3\0" + b"\7" * 5000]
)
def test_a_file_that_is_no_database_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "facts.sqlite"
    path.write_bytes(content)
    facts = Facts(path)
    facts.set("table", "k", 1)
    again = reopened(facts)
    assert again.get("table", "k") == 1
    assert again.problem is None
    again.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "facts.sqlite"
    path.write_bytes(b"precious? " * 1000)
    Facts(path).close()
    assert (tmp_path / "facts.sqlite.damaged").read_bytes() == b"precious? " * 1000


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_replaced(tmp_path: Path, share: float) -> None:
    path = tmp_path / "facts.sqlite"
    facts = Facts(path)
    facts.set_many("table", {f"k{number}": "x" * 50 for number in range(2000)})
    facts.close()
    os.truncate(path, int(path.stat().st_size * share))
    facts = Facts(path)
    facts.get_many("table", [f"k{number}" for number in range(2000)])
    facts.set("table", "new", 1)
    assert facts.get("table", "new") == 1
    again = reopened(facts)
    assert again.get("table", "new") == 1
    again.close()


@pytest.mark.parametrize("marks", ["", "PRAGMA application_id=1164799078; PRAGMA user_version=1;"])
def test_a_foreign_schema_is_replaced(tmp_path: Path, marks: str) -> None:
    path = tmp_path / "facts.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(f"CREATE TABLE facts (name TEXT); {marks}")
    connection.close()
    facts = Facts(path)
    facts.set("table", "k", 1)
    again = reopened(facts)
    assert again.get("table", "k") == 1
    again.close()


def test_a_database_of_something_else_is_set_aside_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "facts.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE songs (name TEXT); INSERT INTO songs VALUES ('mine')")
    connection.close()
    Facts(path).close()
    connection = sqlite3.connect(tmp_path / "facts.sqlite.damaged")
    assert connection.execute("SELECT * FROM songs").fetchall() == [("mine",)]
    connection.close()


def test_a_fact_with_a_flipped_bit_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "facts.sqlite"
    facts = Facts(path)
    facts.set_many("table", {"flipped": "sigma 14.6146", "sound": "sigma 0.0292"})
    facts.close()
    path.write_bytes(path.read_bytes().replace(b"sigma 14.6146", b"sigma 15.6146"))
    facts = Facts(path)
    assert facts.get_many("table", ["flipped", "sound"]) == {"sound": "sigma 0.0292"}
    facts.close()


def test_a_folder_that_cannot_be_made_means_memory_and_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    facts = Facts(tmp_path / "file" / "facts.sqlite")
    facts.set("table", "k", 1)
    assert facts.get("table", "k") == 1
    assert facts.problem is not None
    assert "memory" in facts.problem
    facts.close()


def test_a_folder_in_the_place_of_the_file_means_memory_and_a_problem(tmp_path: Path) -> None:
    facts = Facts(tmp_path)
    facts.set("table", "k", 1)
    assert facts.get("table", "k") == 1
    assert facts.problem is not None
    facts.close()


def test_threads_share_an_object(facts: Facts) -> None:
    def work(thread: int) -> None:
        for number in range(50):
            facts.set("table", f"{thread}.{number}", number)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [f"{thread}.{number}" for thread in range(4) for number in range(50)]
    assert len(facts.get_many("table", keys)) == 200


def test_processes_share_a_file(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from studio.facts import Facts\n"
        "facts = Facts(Path(sys.argv[1]))\n"
        "for number in range(100): facts.set('table', f'{sys.argv[2]}.{number}', number)\n"
        "facts.close()"
    )
    path = tmp_path / "facts.sqlite"
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(path), str(number)])
        for number in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    facts = Facts(path)
    keys = [f"{child}.{number}" for child in range(3) for number in range(100)]
    assert len(facts.get_many("table", keys)) == 300
    facts.close()


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "facts.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    facts = Facts(path)
    facts.set("table", "k", 1)
    release.join()
    other.close()
    again = reopened(facts)
    assert again.get("table", "k") == 1
    again.close()


def test_importing_it_loads_neither_torch_nor_numpy() -> None:
    script = "import sys, studio.facts; print({'torch', 'numpy'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"


# --- digests of files


def test_a_digest_is_the_sha256_of_the_content(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    assert file_digest(path, facts) == hashlib.sha256(b"weights").hexdigest()


def test_a_digest_is_remembered_while_size_and_time_stay(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    digest = file_digest(aged(path), facts)
    before = path.stat()
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digest(path, facts) == digest


def test_a_digest_follows_a_change_of_time(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    file_digest(aged(path), facts)
    path.write_bytes(b"WEIGHTS")
    assert file_digest(aged(path, 50), facts) == hashlib.sha256(b"WEIGHTS").hexdigest()


def test_a_digest_follows_a_change_of_size(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    file_digest(aged(path), facts)
    before = path.stat()
    path.write_bytes(b"more weights")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digest(path, facts) == hashlib.sha256(b"more weights").hexdigest()


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    file_digest(path, facts)
    before = path.stat()
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digest(path, facts) == hashlib.sha256(b"WEIGHTS").hexdigest()


def test_a_link_and_its_file_have_one_digest(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    aged(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    digest = file_digest(link, facts)
    assert facts.get("digest", str(path.resolve())) == [7, path.stat().st_mtime_ns, digest]


def test_a_name_that_is_no_unicode_has_a_digest(tmp_path: Path, facts: Facts) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/model\xff"))
    path.write_bytes(b"weights")
    assert file_digest(aged(path), facts) == hashlib.sha256(b"weights").hexdigest()


def test_a_missing_file_is_an_os_error(tmp_path: Path, facts: Facts) -> None:
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "missing", facts)


def test_a_folder_is_no_file(tmp_path: Path, facts: Facts) -> None:
    with pytest.raises(FileError, match="is not a file"):
        file_digest(tmp_path, facts)


def test_a_digest_can_be_cancelled_every_few_mebibytes(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    content = bytes(range(256)) * (10 * 2**12)  # 10 MiB
    path.write_bytes(content)
    aged(path)
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        file_digest(path, facts, check)
    assert facts.get("digest", str(path.resolve())) is None
    assert file_digest(path, facts, check) == hashlib.sha256(content).hexdigest()
    assert len(asked) >= 4


def test_a_remembered_digest_asks_nobody(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    digest = file_digest(aged(path), facts)

    def check() -> None:
        raise AssertionError("asked")

    assert file_digest(path, facts, check) == digest
