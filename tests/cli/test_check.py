"""``studio check``: every problem on a line, with its place and its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli import main
from studio.cli.check import problems
from studio.errors import PackError
from studio.facts import Facts
from studio.models.library import Library
from studio.numerics import choose
from studio.plan import PlanningContext
from studio.registry import Registry, load
from studio.workflow import loads
from tests.cli.workflows import COPY, SCENE, Document, node, paint, with_params, workflow, write

Captured = pytest.CaptureFixture[str]


def check(document: Document, capsys: Captured) -> tuple[int, list[str]]:
    write(Path("w.json"), document)
    code = main(["check", "w.json"])
    return code, capsys.readouterr().out.splitlines()


def test_a_sound_workflow_has_no_lines(capsys: Captured) -> None:
    assert check(SCENE, capsys) == (0, [])


def test_a_picture_is_checked_by_the_workflow_that_it_carries(
    painted: Path, capsys: Captured
) -> None:
    assert main(["check", str(painted)]) == 0
    assert capsys.readouterr().out == ""


def test_nodes_that_no_output_needs_are_checked_as_well(capsys: Captured) -> None:
    paint(Path("in.png"))
    document = workflow(
        load=node("load_image", {"file": "in.png"}),
        save=node("save_image", image="load.image"),
        spare=node("vae_decode"),
    )
    code, lines = check(document, capsys)
    assert code == 1
    assert [line.partition(":")[0] for line in lines] == ["spare.vae", "spare.latents"]


def test_a_parameter_out_of_range_says_what_is_admitted(capsys: Captured) -> None:
    code, (line,) = check(with_params(SCENE, "scheduler", steps=0), capsys)
    assert code == 1
    assert line.startswith("scheduler.steps: 0 is outside 1 … 1000")


def test_a_missing_model_is_named_with_the_place_for_it(capsys: Captured) -> None:
    code, (line,) = check(with_params(SCENE, "model", model="dreamer"), capsys)
    assert code == 1
    assert line.startswith('model.model: there is no model "dreamer"')
    assert str(Path.cwd() / "models") in line


def test_a_missing_file_is_named(capsys: Captured) -> None:
    code, (line,) = check(COPY, capsys)
    assert code == 1
    assert line.startswith("load.file: ")
    assert str(Path.cwd() / "in.png") in line


def test_a_file_that_is_still_to_be_chosen_is_a_problem(capsys: Captured) -> None:
    assert check(with_params(COPY, "load", file=""), capsys) == (
        1,
        ["load.file: no file is chosen; name one, or mute this node"],
    )


def test_several_missing_things_are_all_found(capsys: Captured) -> None:
    document = workflow(
        first=node("load_image", {"file": "1.png"}),
        second=node("load_image", {"file": "2.png"}),
        model=node("load_vae", {"model": "dreamer"}),
        save=node("save_image", image="first.image"),
        odd=node("save_imagee"),
    )
    code, lines = check(document, capsys)
    assert code == 1
    assert {line.partition(":")[0] for line in lines} == {
        "first.file",
        "second.file",
        "model.model",
        "odd",
    }


def test_what_depends_on_an_unsound_node_is_not_blamed_for_it(capsys: Captured) -> None:
    paint(Path("in.png"))
    code, lines = check(
        workflow(
            load=node("load_image", {"file": "in.png"}, image="nowhere.image"),
            save=node("save_image", image="load.image"),
        ),
        capsys,
    )
    assert code == 1
    assert [line.partition(":")[0] for line in lines] == ["load.image"]


def test_a_muted_node_may_miss_its_model(capsys: Captured) -> None:
    paint(Path("in.png"))
    document = workflow(
        load=node("load_image", {"file": "in.png"}),
        save=node("save_image", image="load.image"),
        vae={**node("load_vae", {"model": "dreamer"}), "mode": "mute"},
    )
    assert check(document, capsys) == (0, [])


def test_without_an_output_node_there_is_nothing_to_run(capsys: Captured) -> None:
    code, (line,) = check(workflow(noise=node("noise_source")), capsys)
    assert code == 1
    assert "save_image" in line


def test_a_node_of_a_newer_version_is_a_problem(capsys: Captured) -> None:
    code, lines = check(workflow(noise={**node("noise_source"), "version": 99}), capsys)
    assert code == 1
    assert "noise: is version 99 of noise_source; here is version 1; update the program" in lines


def test_a_group_that_contains_itself_is_a_problem(capsys: Captured) -> None:
    inner = {"again": {"type": "group:loop", "version": 1}}
    document: Document = {
        **workflow(loop=node("group:loop")),
        "groups": {"loop": {"nodes": inner}},  # type: ignore[dict-item]  # nested
    }
    code, (line,) = check(document, capsys)
    assert code == 1
    assert "contains itself" in line


def test_a_refused_pack_is_named_where_a_type_is_missing() -> None:
    registry = Registry(load().types, (PackError("imports torch", where="pack fancy"),))
    facts = Facts(None)
    context = PlanningContext(Library((), facts), facts, choose("cpu").numerics, Path())
    document = json.dumps(workflow(odd=node("fancy_blur")))
    found = [str(problem) for problem in problems(loads(document), registry, context)]
    facts.close()
    assert "pack fancy: is refused: imports torch; it may declare fancy_blur" in found


def test_problems_are_given_as_json(capsys: Captured) -> None:
    write(Path("w.json"), COPY)
    assert main(["check", "w.json", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["sound"] is False
    (problem,) = document["problems"]
    assert (problem["where"], sorted(problem)) == ("load.file", ["remedy", "what", "where"])
