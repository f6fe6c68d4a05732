"""The document: one edit command, a history with names, and the file it belongs to."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.errors import FileError
from studio.graph import NodeId
from studio.gui import document as document_module
from studio.gui import edits
from studio.gui.document import Change, Document
from studio.pictures import WORKFLOW, with_text
from studio.workflow import Workflow, dumps, load
from tests.gui.test_edits import BASE, TYPES, edit_once

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def document(tmp_path: Path) -> Document:
    path = tmp_path / "flow.json"
    path.write_text(dumps(BASE))
    return Document.open(path, TYPES)


class Changes(list[Change]):
    """What a document told of its changes."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        document.changed.connect(self.append)


def guided(document: Document, value: float) -> Workflow:
    return edits.set_param(document.workflow, "denoise", "guidance", value)


def guidance(document: Document) -> object:
    return document.workflow.graph.node("denoise").params["guidance"]


# --- edits and history


def test_an_edit_is_told_with_both_values_and_its_name(document: Document) -> None:
    told = Changes(document)
    before, after = document.workflow, guided(document, 7.0)
    document.edit(after, "Set guidance")
    assert told == [Change(before, after, "Set guidance")]
    assert document.workflow is after


def test_undo_brings_back_parameters_links_places_and_frames(document: Document) -> None:
    start = document.workflow
    document.edit(guided(document, 7.0), "Set guidance")
    document.edit(edits.disconnect(document.workflow, "save", "image"), "Unlink")
    document.edit(edits.move(document.workflow, {"save": (1, 2)}), "Move")
    document.edit(edits.frame(document.workflow, ["save"], "End"), "Frame")
    end = document.workflow
    for _ in range(4):
        document.undo()
    assert document.workflow is start
    for _ in range(4):
        document.redo()
    assert document.workflow is end


def test_undo_and_redo_stop_at_the_ends(document: Document) -> None:
    told = Changes(document)
    document.undo()
    document.redo()
    assert told == []
    assert (document.can_undo, document.can_redo) == (False, False)


def test_the_history_has_names_and_any_place_of_it_can_be_gone_to(document: Document) -> None:
    values = [document.workflow]
    for number in range(3):
        document.edit(guided(document, float(number)), f"Guidance {number}")
        values.append(document.workflow)
    assert document.undo_texts == ["Guidance 0", "Guidance 1", "Guidance 2"]
    told = Changes(document)
    document.go_to(1)
    assert (document.position, document.workflow) == (1, values[1])
    assert told == [Change(values[3], values[1], "Undo Guidance 1")]
    document.go_to(3)
    assert document.workflow is values[3]
    with pytest.raises(IndexError):
        document.go_to(4)


def test_an_edit_after_undo_drops_what_was_undone(document: Document) -> None:
    document.edit(guided(document, 1.0), "one")
    document.edit(guided(document, 2.0), "two")
    document.undo()
    document.edit(guided(document, 3.0), "three")
    assert document.undo_texts == ["one", "three"]
    assert not document.can_redo


def test_an_edit_that_changes_nothing_leaves_no_step(document: Document) -> None:
    told = Changes(document)
    place = edits.positions(document.workflow)[NodeId("save")]
    document.edit(edits.move(document.workflow, {"save": place}), "Move")
    assert (document.undo_texts, told) == ([], [])


def test_the_history_is_bounded_and_keeps_the_latest(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_module, "MAX_STEPS", 3)
    for number in range(5):
        document.edit(guided(document, float(number)), str(number))
    assert document.undo_texts == ["2", "3", "4"]
    document.go_to(0)
    assert guidance(document) == 1.0


# --- gestures


def test_a_scrub_is_one_step(document: Document) -> None:
    for value in (6.0, 6.5, 7.0):
        document.edit(guided(document, value), "Set guidance", ("denoise", "guidance"))
    assert (document.undo_texts, guidance(document)) == (["Set guidance"], 7.0)
    document.undo()
    assert guidance(document) == 5.0


def test_every_move_of_a_gesture_is_told(document: Document) -> None:
    told = Changes(document)
    values = [document.workflow]
    for value in (6.0, 6.5):
        document.edit(guided(document, value), "Set guidance", ("denoise", "guidance"))
        values.append(document.workflow)
    assert [(one.before, one.after) for one in told] == [
        (values[0], values[1]),
        (values[1], values[2]),
    ]


def scrub(document: Document, value: float) -> None:
    document.edit(guided(document, value), "Set guidance", ("denoise", "guidance"))


def test_the_next_gesture_is_another_step(document: Document) -> None:
    scrub(document, 6.0)
    document.end_merge()
    scrub(document, 7.0)
    assert document.undo_texts == ["Set guidance", "Set guidance"]


def test_another_key_is_another_step(document: Document) -> None:
    scrub(document, 6.0)
    document.edit(edits.move(document.workflow, {"save": (0, 0)}), "Move", ("save",))
    scrub(document, 7.0)
    assert document.undo_texts == ["Set guidance", "Move", "Set guidance"]


def test_edits_without_a_key_never_merge(document: Document) -> None:
    document.edit(guided(document, 6.0), "one")
    document.edit(guided(document, 7.0), "two")
    assert document.undo_texts == ["one", "two"]


def test_undo_ends_a_gesture(document: Document) -> None:
    scrub(document, 6.0)
    document.undo()
    scrub(document, 7.0)
    document.undo()
    assert guidance(document) == 5.0
    document.redo()
    scrub(document, 8.0)
    assert document.undo_texts == ["Set guidance", "Set guidance"]


def test_a_gesture_that_comes_back_leaves_no_step(document: Document) -> None:
    scrub(document, 6.0)
    told = Changes(document)
    scrub(document, 5.0)
    assert document.undo_texts == []
    assert told[0].after is document.workflow
    assert not modified(document)
    scrub(document, 7.0)
    assert document.undo_texts == ["Set guidance"]


def test_a_gesture_does_not_reach_back_past_a_save(document: Document) -> None:
    scrub(document, 6.0)
    document.save()
    scrub(document, 7.0)
    document.undo()
    assert (guidance(document), document.is_modified) == (6.0, False)


# --- groups


def test_a_group_that_is_no_longer_used_goes_with_the_edit_and_comes_back(
    document: Document,
) -> None:
    document.edit(edits.group(document.workflow, TYPES, ["decode"], "part")[0], "Group")
    document.edit(edits.remove(document.workflow, ["part"]), "Delete")
    assert document.workflow.groups == {}
    document.undo()
    assert document.workflow.groups.keys() == {"part"}


def test_a_group_that_was_never_used_stays() -> None:
    grouped, _ = edits.group(BASE, TYPES, ["decode"], "part")
    document = Document(TYPES, replace(BASE, groups=grouped.groups))
    document.edit(edits.remove(document.workflow, ["decode"]), "Delete")
    assert document.workflow.groups.keys() == {"part"}


# --- file


def modified(document: Document) -> bool:
    # asked by a call: a checker takes a property for what it was
    return document.is_modified


def test_a_saved_file_reads_back_and_is_not_modified(document: Document, tmp_path: Path) -> None:
    document.edit(guided(document, 7.0), "Set guidance")
    assert modified(document)
    document.save(tmp_path / "other.json")
    assert (document.path, document.title) == (tmp_path / "other.json", "other.json")
    assert not modified(document)
    assert load(tmp_path / "other.json") == document.workflow


def test_undo_to_the_saved_place_is_not_modified(document: Document) -> None:
    document.edit(guided(document, 7.0), "one")
    document.save()
    document.edit(guided(document, 8.0), "two")
    document.undo()
    assert not modified(document)
    document.undo()
    assert modified(document)
    document.edit(guided(document, 9.0), "three")
    document.undo()
    assert modified(document)  # what was saved lies on a branch that is gone


def test_a_shipped_file_is_opened_as_it_stands(document: Document) -> None:
    assert document.path is not None
    text = document.path.read_text()
    document.save()
    assert document.path.read_text() == text


def test_a_document_without_a_file_cannot_be_saved_without_a_name() -> None:
    document = Document.new(TYPES)
    assert (document.title, document.path, document.is_modified) == ("Untitled", None, False)
    with pytest.raises(FileError, match="save it under a name"):
        document.save()


def test_a_save_that_fails_leaves_it_modified(document: Document, tmp_path: Path) -> None:
    before = document.path
    document.edit(guided(document, 7.0), "Set guidance")
    with pytest.raises(FileError):
        document.save(tmp_path / "no" / "folder.json")
    assert (document.path, document.is_modified) == (before, True)


PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415478da63f8ffff3f0005fe02fe0def46b80000000049454e44ae426082"
)


def test_a_picture_is_opened_but_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "house.png"
    path.write_bytes(with_text(PIXEL, {WORKFLOW: dumps(BASE)}))
    document = Document.open(path, TYPES)
    assert document.workflow == BASE
    assert (document.path, document.folder, document.title) == (None, tmp_path, "house")
    with pytest.raises(FileError, match="save it under a name"):
        document.save()


def test_a_file_written_by_hand_is_completed_and_laid_out(tmp_path: Path) -> None:
    path = tmp_path / "hand.json"
    path.write_text(
        '{"format": "studio.workflow", "version": 1, "nodes": {'
        '"a": {"type": "noise_source", "version": 1}, "b": {"type": "preview", "version": 1}}}'
    )
    document = Document.open(path, TYPES)
    assert document.workflow.graph.node("a").params == TYPES["noise_source"].defaults()
    places = edits.positions(document.workflow)
    assert len(set(places.values())) == 2
    assert not document.is_modified


def test_a_bad_file_leaves_the_document_as_it_was(document: Document, tmp_path: Path) -> None:
    document.edit(guided(document, 7.0), "Set guidance")
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    before = document.workflow, document.path, document.undo_texts
    with pytest.raises(FileError, match=r"bad\.json"):
        document.load(bad)
    assert (document.workflow, document.path, document.undo_texts) == before


def test_loading_begins_a_new_history(document: Document) -> None:
    assert document.path is not None
    document.edit(guided(document, 7.0), "Set guidance")
    told = Changes(document)
    document.load(document.path)
    assert (guidance(document), document.undo_texts, document.is_modified) == (5.0, [], False)
    assert told[0].text == "Open flow.json"


def test_a_title_stands_for_a_name_until_there_is_a_file() -> None:
    assert Document(TYPES, BASE).title == BASE.meta["title"]


def test_state_is_told_when_saved_and_undone(document: Document) -> None:
    states: list[tuple[bool, bool]] = []

    def note() -> None:
        states.append((document.is_modified, document.can_undo))

    document.state_changed.connect(note)
    document.edit(guided(document, 7.0), "Set guidance")
    document.save()
    document.undo()
    assert states == [(True, True), (False, True), (True, False)]


# --- any sequence of edits


@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_two_hundred_edits_are_undone_and_done_again_exactly(seed: int) -> None:
    choose = random.Random(seed).randrange
    document = Document(TYPES, BASE)
    texts = [dumps(BASE)]
    for _ in range(200):
        document.edit(
            edit_once(document.workflow, choose), "Edit", (("drag",) if choose(3) == 0 else None)
        )
        if len(document.undo_texts) == len(texts):
            texts.append(dumps(document.workflow))
        else:
            texts[len(document.undo_texts) :] = [dumps(document.workflow)]
    for text in reversed(texts):
        assert dumps(document.workflow) == text
        document.undo()
    assert document.workflow is BASE
    for text in texts:
        assert dumps(document.workflow) == text
        document.redo()
