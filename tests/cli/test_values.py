"""Values linked into parameters, as the command line meets them: run, plan, check, set, diff, replay."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from studio import pictures
from studio.cli import main
from studio.graph import Json
from tests.cli.workflows import (
    COPY,
    SCENE,
    Document,
    manifest_of,
    node,
    paint,
    with_params,
    workflow,
    write,
)

Captured = pytest.CaptureFixture[str]


def linked(document: Document, **links: str) -> Document:
    """A file with links into parameters, each given as ``node_param="source.output"`` (``node__param``)."""
    changed = copy.deepcopy(document)
    nodes = changed["nodes"]
    assert isinstance(nodes, dict)
    for place, source in links.items():
        name, _, param = place.partition("__")
        target = nodes[name]
        assert isinstance(target, dict)
        inputs = target["inputs"]
        assert isinstance(inputs, dict)
        inputs[param] = source
    return changed


def with_nodes(document: Document, **nodes: Document) -> Document:
    """A file with further nodes."""
    known = document["nodes"]
    assert isinstance(known, dict)
    return {**document, "nodes": {**known, **nodes}}


VALUES = linked(
    with_nodes(
        SCENE,
        steps=node("integer", {"value": 3}),
        strength=node("number", {"value": 5.0}),
        seed=node("seed", {"value": 7}),
        subject=node("text", {"value": "a red house"}),
        label=node("join_text", {"separator": "-"}, a="subject.value"),
    ),
    scheduler__steps="steps.value",
    denoise__guidance="strength.value",
    noise__seed="seed.value",
    prompt__prompt="label.value",
)
"""The scene, its numbers and its prompt given by nodes; the parameters' own values are others."""
VALUES = with_params(VALUES, "scheduler", steps=2)
VALUES = with_params(VALUES, "prompt", prompt="")


def done(capsys: Captured) -> dict[str, Json]:
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def plan(capsys: Captured, *options: str) -> tuple[Json, dict[str, dict[str, Json]]]:
    """The model calls that lie ahead, and the plan of every node."""
    assert main(["plan", "w.json", "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    return found["model_calls"], found["nodes"]


def test_linked_values_paint_the_picture_that_the_same_values_paint_and_replay_identical(
    painted: Path, capsys: Captured
) -> None:
    write(Path("w.json"), VALUES)
    assert main(["run", "w.json"]) == 0
    picture = Path(capsys.readouterr().out.strip())
    mine, theirs = manifest_of(picture), manifest_of(painted)
    assert mine["pixels_sha256"] == theirs["pixels_sha256"]
    nodes, known = mine["nodes"], theirs["nodes"]
    assert isinstance(nodes, dict)
    assert isinstance(known, dict)
    assert {name: nodes[name] for name in known} == known
    line = pictures.read_text(picture.read_bytes())[pictures.PARAMETERS]
    assert line.startswith("a red house")
    assert "Steps: 3" in line
    assert main(["replay", str(picture)]) == 0
    assert capsys.readouterr().out == "identical\n"


def test_moving_values_into_nodes_costs_nothing_and_a_late_edit_through_them_resumes(
    capsys: Captured,
) -> None:
    write(Path("w.json"), SCENE)
    assert main(["run", "w.json", "--json"]) == 0
    assert done(capsys)["model_calls"] == 3
    curve = node("guidance_interval", {"value": 5.0, "start": 0.0, "end": 1.0})
    write(Path("w.json"), VALUES)
    assert plan(capsys)[0] == 0
    late = linked(with_nodes(VALUES, curve=curve), denoise__guidance_curve="curve.guidance")
    late = linked(with_nodes(late, until=node("number", {"value": 1.0})), curve__end="until.value")
    write(Path("w.json"), late)
    assert plan(capsys)[0] == 0
    calls, nodes = plan(capsys, "--set", "until.value=0.5")
    assert calls == 1
    assert nodes["denoise"]["status"] == "resumes"


def test_the_plan_says_where_a_changed_value_comes_from(capsys: Captured) -> None:
    write(Path("w.json"), VALUES)
    assert main(["run", "w.json"]) == 0
    capsys.readouterr()
    _, nodes = plan(capsys, "--set", "strength.value=7")
    assert nodes["denoise"]["reason"] == "denoise.guidance: 5.0 -> 7.0 (strength.value)"


def test_setting_a_linked_parameter_is_refused_with_what_to_set_instead(capsys: Captured) -> None:
    write(Path("w.json"), VALUES)
    assert main(["plan", "w.json", "--set", "scheduler.steps=30"]) == 2
    assert capsys.readouterr().err == (
        "studio: scheduler.steps: is linked to steps.value, so that setting it would change nothing; "
        "set steps.value instead\n"
    )


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_linked_value_out_of_range_ends_the_command_with_its_source(
    command: str, capsys: Captured
) -> None:
    write(Path("w.json"), with_params(VALUES, "steps", value=2000))
    assert main([command, "w.json"]) == 2
    assert capsys.readouterr().err == (
        "studio: scheduler.steps: 2000 is outside 1 … 1000 steps (linked from steps.value); "
        "let steps give a whole number, 1 … 1000 steps, or cut the link\n"
    )


def test_check_finds_what_a_link_gives_to_a_parameter(capsys: Captured) -> None:
    write(Path("w.json"), VALUES)
    assert main(["check", "w.json"]) == 0
    capsys.readouterr()
    bad = linked(with_params(VALUES, "strength", value=99.0), scheduler__order="strength.value")
    write(Path("w.json"), bad)
    assert main(["check", "w.json"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "scheduler.order: takes Integer, but strength.value gives Number; "
        "Integer comes from steps.value, seed.value",
    ]
    write(Path("w.json"), with_params(VALUES, "strength", value=99.0))
    assert main(["check", "w.json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("denoise.guidance: 99.0 is outside 0 … 50 (linked from strength.value)")


def test_a_file_may_be_named_by_a_link(capsys: Captured) -> None:
    paint(Path("in.png"))
    document = linked(
        with_nodes(COPY, name=node("text", {"value": "in.png"})), load__file="name.value"
    )
    document = with_params(document, "load", file="")
    write(Path("w.json"), document)
    assert main(["check", "w.json"]) == 0
    assert main(["run", "w.json", "--output", "out"]) == 0
    picture = capsys.readouterr().out.strip()
    assert main(["replay", picture]) == 0
    assert capsys.readouterr().out == "identical\n"
    assert main(["run", "w.json", "--set", "name.value=gone.png"]) == 1
    assert "load.file: " in capsys.readouterr().err


def test_a_picture_pins_the_model_that_a_link_names(capsys: Captured) -> None:
    document = linked(
        with_nodes(SCENE, which=node("text", {"value": "starter"})), model__model="which.value"
    )
    write(Path("w.json"), with_params(document, "model", model="not here"))
    assert main(["run", "w.json"]) == 0
    picture = Path(capsys.readouterr().out.strip())
    saved = json.loads(pictures.read_text(picture.read_bytes())[pictures.WORKFLOW])
    assert len(saved["nodes"]["model"]["params"]["digest"]) == 64
    assert main(["replay", str(picture)]) == 0
    assert capsys.readouterr().out == "identical\n"


def test_diff_names_a_link_into_a_parameter(capsys: Captured) -> None:
    write(Path("a.json"), workflow(steps=node("integer"), s=node("scheduler")))
    write(Path("b.json"), workflow(steps=node("integer"), s=node("scheduler", steps="steps.value")))
    assert main(["diff", "a.json", "b.json"]) == 1
    assert capsys.readouterr().out == "s.steps: nothing -> steps.value\n"


def test_the_node_types_say_what_their_parameters_take(capsys: Captured) -> None:
    assert main(["nodes", "denoise", "--json"]) == 0
    params = {one["name"]: one["takes"] for one in json.loads(capsys.readouterr().out)["params"]}
    assert (params["guidance"], params["start_step"], params["add_noise"]) == (
        "Number",
        "Integer",
        "Boolean",
    )
    assert main(["nodes", "value"]) == 0
    assert "  arithmetic " in capsys.readouterr().out
