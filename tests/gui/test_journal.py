"""The recovery journal: what survives the death of the editor, and what a clean end leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from studio.gui import edits
from studio.gui.document import Document
from studio.gui.journal import Journal
from studio.workflow import dumps
from tests.gui.test_edits import BASE, TYPES

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recovery"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    made = Journal(folder, delay_ms=0)
    yield made
    made.close()


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.json"))


def edited(document: Document) -> None:
    guidance = document.workflow.graph.node("denoise").params["guidance"]
    assert isinstance(guidance, float)
    document.edit(
        edits.set_param(document.workflow, "denoise", "guidance", guidance + 1), "Set guidance"
    )


def test_an_edit_reaches_the_disk_by_itself(qtbot: QtBot, journal: Journal, folder: Path) -> None:
    document = Document(TYPES, BASE)
    journal.watch(document)
    assert entries(folder) == []
    edited(document)
    qtbot.waitUntil(lambda: len(entries(folder)) == 1, timeout=5000)


def test_a_gesture_without_end_is_written_meanwhile(qtbot: QtBot, folder: Path) -> None:
    journal = Journal(folder, delay_ms=50)
    document = Document(TYPES, BASE)
    journal.watch(document)

    def went_on() -> bool:
        edited(document)
        return len(entries(folder)) == 1

    qtbot.waitUntil(went_on, timeout=5000)  # an edit every 10 ms, never 50 ms of rest
    journal.close()


def test_each_document_has_a_file(journal: Journal, folder: Path) -> None:
    for document in (Document(TYPES, BASE), Document(TYPES, BASE)):
        journal.watch(document)
        edited(document)
    journal.flush()
    assert len(entries(folder)) == 2


def test_saving_removes_the_entry(journal: Journal, folder: Path, tmp_path: Path) -> None:
    document = Document(TYPES, BASE)
    journal.watch(document)
    edited(document)
    journal.flush()
    assert len(entries(folder)) == 1
    document.save(tmp_path / "flow.json")
    journal.flush()
    assert entries(folder) == []


def test_undo_to_what_was_saved_removes_the_entry(journal: Journal, folder: Path) -> None:
    document = Document(TYPES, BASE)
    journal.watch(document)
    edited(document)
    journal.flush()
    document.undo()
    journal.flush()
    assert entries(folder) == []
    document.redo()
    journal.flush()
    assert len(entries(folder)) == 1


def test_a_closed_document_is_not_kept(journal: Journal, folder: Path) -> None:
    document = Document(TYPES, BASE)
    journal.watch(document)
    edited(document)
    journal.flush()
    journal.forget(document)
    edited(document)
    journal.flush()
    assert entries(folder) == []


def test_a_clean_end_leaves_nothing(journal: Journal, folder: Path) -> None:
    document = Document(TYPES, BASE)
    journal.watch(document)
    edited(document)
    journal.flush()
    journal.close()
    assert list(folder.iterdir()) == []


def test_the_work_of_a_living_editor_is_not_offered(journal: Journal, folder: Path) -> None:
    document = Document(TYPES, BASE)
    journal.watch(document)
    edited(document)
    journal.flush()
    other = Journal(folder)
    assert other.found() == journal.found() == []
    other.close()
    assert len(entries(folder)) == 1


EDITOR = """
    import sys
    from pathlib import Path
    from PySide6.QtCore import QCoreApplication
    from studio.gui import edits
    from studio.gui.document import Document
    from studio.gui.journal import Journal

    app = QCoreApplication([])
    journal = Journal(Path(sys.argv[1]), delay_ms=0)
    document = Document({}, path=None if sys.argv[2] == "-" else Path(sys.argv[2]))
    journal.watch(document)
    document.edit(edits.note(document.workflow, (1, 2), "not saved"), "Note")
    journal.flush()
    print("kept", flush=True)
    app.exec()
"""


def killed(folder: Path, path: str = "-") -> None:
    """Run an editor that edits a document and is killed."""
    editor = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(EDITOR), str(folder), path],
        stdout=subprocess.PIPE,
        text=True,
    )
    with editor:
        assert editor.stdout is not None
        assert editor.stdout.readline() == "kept\n"
        editor.kill()
    assert editor.returncode == -signal.SIGKILL


def test_work_survives_a_killed_editor(journal: Journal, folder: Path, tmp_path: Path) -> None:
    killed(folder, str(tmp_path / "flow.json"))
    (found,) = journal.found()
    assert (found.title, found.path) == ("flow.json", tmp_path / "flow.json")
    assert [note.text for note in edits.notes(found.workflow)] == ["not saved"]


def test_recovered_work_is_a_modified_document_that_is_kept_again(
    journal: Journal, folder: Path
) -> None:
    killed(folder)
    (found,) = journal.found()
    document = journal.recover(found, TYPES)
    assert document.is_modified
    assert (document.path, document.workflow) == (None, found.workflow)
    assert not found.file.exists()
    assert len(entries(folder)) == 1
    journal.forget(document)
    journal.flush()
    assert journal.found() == []


def test_discarded_work_is_gone(journal: Journal, folder: Path) -> None:
    killed(folder)
    (found,) = journal.found()
    journal.discard(found)
    assert journal.found() == []
    assert list(folder.iterdir()) == []


def test_work_that_was_neither_recovered_nor_discarded_is_offered_again(
    journal: Journal, folder: Path
) -> None:
    killed(folder)
    (found,) = journal.found()
    journal.close()
    later = Journal(folder)
    assert later.found() == [found]
    later.close()


def test_work_is_offered_to_one_editor_only(journal: Journal, folder: Path) -> None:
    killed(folder)
    assert len(journal.found()) == 1
    other = Journal(folder)
    assert other.found() == []
    other.close()


def test_a_lock_that_never_reached_the_disk_does_not_hide_work(
    journal: Journal, folder: Path
) -> None:
    killed(folder)
    (lock,) = folder.glob("*/lock")
    lock.write_bytes(b"")
    assert len(journal.found()) == 1


@pytest.mark.parametrize("text", ["", "{", "{}", '{"format": "studio.recovery", "version": 2}'])
def test_an_entry_that_cannot_be_read_is_said_and_kept(
    qtbot: QtBot, journal: Journal, folder: Path, text: str
) -> None:
    killed(folder)
    (entry,) = entries(folder)
    entry.write_text(text)
    with qtbot.waitSignal(journal.failed) as failure:
        assert journal.found() == []
    assert failure.args is not None
    assert str(entry) in str(failure.args[0])
    assert entry.read_text() == text


def test_a_journal_that_cannot_be_written_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    journal = Journal(blocked / "recovery")
    document = Document(TYPES, BASE)
    journal.watch(document)
    edited(document)
    with qtbot.waitSignal(journal.failed) as failure:
        journal.flush()
    assert failure.args is not None
    assert str(blocked) in str(failure.args[0])
    journal.close()


def test_an_entry_is_replaced_whole_or_not_at_all(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    document = Document(TYPES, BASE)
    journal.watch(document)
    edited(document)
    journal.flush()
    (entry,) = entries(folder)
    before = entry.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    edited(document)
    with qtbot.waitSignal(journal.failed) as failure:
        journal.flush()
    assert failure.args is not None
    assert "No space left" in str(failure.args[0])
    assert entry.read_text() == before
    assert dumps(document.workflow) not in before
