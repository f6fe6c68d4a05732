"""``studio migrate``: today's form, nothing lost, no needless writing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli import main
from tests.cli.workflows import COPY, SCENE, node, workflow, write

Captured = pytest.CaptureFixture[str]


def test_parameters_that_are_not_written_are_filled_in_and_named(capsys: Captured) -> None:
    write(Path("w.json"), workflow(save=node("save_image", {"name": "fox"})))
    assert main(["migrate", "w.json"]) == 0
    assert capsys.readouterr().out == "save.compression: unset -> 6\n"
    saved = json.loads(Path("w.json").read_text())
    assert saved["nodes"]["save"]["params"] == {"compression": 6, "name": "fox"}


def test_a_second_migration_leaves_the_file_untouched(capsys: Captured) -> None:
    write(Path("w.json"), SCENE)
    assert main(["migrate", "w.json"]) == 0
    before = (Path("w.json").read_bytes(), Path("w.json").stat().st_ino)
    capsys.readouterr()
    assert main(["migrate", "w.json"]) == 0
    assert (Path("w.json").read_bytes(), Path("w.json").stat().st_ino) == before
    assert capsys.readouterr() == ("", "studio: w.json is in today's format already\n")


def test_what_is_unknown_survives(capsys: Captured) -> None:
    odd = {**node("of_tomorrow", {"x": [1, {"y": None}]}), "colour": "red"}
    write(Path("w.json"), {**workflow(odd=odd, save=node("save_image")), "future": {"a": 1.5}})
    assert main(["migrate", "w.json"]) == 0
    saved = json.loads(Path("w.json").read_text())
    assert saved["nodes"]["odd"] == odd
    assert saved["future"] == {"a": 1.5}


def test_a_file_that_is_only_formatted_otherwise_is_written_canonically(capsys: Captured) -> None:
    write(Path("w.json"), SCENE)
    main(["migrate", "w.json"])
    canonical = Path("w.json").read_text()
    Path("w.json").write_text(json.dumps(json.loads(canonical), indent=8))
    capsys.readouterr()
    assert main(["migrate", "w.json"]) == 0
    assert Path("w.json").read_text() == canonical
    assert capsys.readouterr().out == ""


def test_a_picture_is_refused(painted: Path, capsys: Captured) -> None:
    before = painted.read_bytes()
    assert main(["migrate", str(painted)]) == 2
    assert "--output" in capsys.readouterr().err
    assert painted.read_bytes() == before


def test_the_workflow_of_a_picture_is_written_beside_it(painted: Path, capsys: Captured) -> None:
    assert main(["migrate", str(painted), "--output", "w.json"]) == 0
    assert main(["check", "w.json"]) == 0


def test_a_file_that_is_there_already_is_not_overwritten(capsys: Captured) -> None:
    write(Path("w.json"), COPY)
    Path("precious").write_text("diary")
    assert main(["migrate", "w.json", "--output", "precious"]) == 2
    assert Path("precious").read_text() == "diary"


def test_a_file_of_tomorrow_is_refused_and_kept(capsys: Captured) -> None:
    write(Path("w.json"), {**COPY, "version": 99})
    before = Path("w.json").read_bytes()
    assert main(["migrate", "w.json"]) == 2
    assert "version 99" in capsys.readouterr().err
    assert Path("w.json").read_bytes() == before


def test_groups_are_brought_up_to_date_as_well(capsys: Captured) -> None:
    write(
        Path("w.json"),
        {**workflow(), "groups": {"out": {"nodes": {"save": node("save_image", {"name": "a"})}}}},
    )
    assert main(["migrate", "w.json"]) == 0
    assert capsys.readouterr().out == "group out: save.compression: unset -> 6\n"
