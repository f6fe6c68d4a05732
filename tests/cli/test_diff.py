"""``studio diff``: graph and parameters, pixels by number, environments; 1 for a difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from studio.cli import main
from tests.cli.workflows import (
    COPY,
    SCENE,
    edited,
    manifest_of,
    node,
    paint,
    with_manifest,
    with_params,
    workflow,
    write,
)

Captured = pytest.CaptureFixture[str]


def diff(first: str | Path, second: str | Path, capsys: Captured) -> tuple[int, list[str]]:
    code = main(["diff", str(first), str(second)])
    return code, capsys.readouterr().out.splitlines()


def test_a_workflow_does_not_differ_from_itself(capsys: Captured) -> None:
    write(Path("w.json"), SCENE)
    assert diff("w.json", "w.json", capsys) == (0, [])


def test_parameters_nodes_and_links_are_named(capsys: Captured) -> None:
    write(Path("a.json"), SCENE)
    changed = with_params(SCENE, "denoise", guidance=7.5)
    nodes = changed["nodes"]
    assert isinstance(nodes, dict)
    nodes["preview"] = node("preview", image="decode.image")
    nodes["save"] = node("save_image", {"name": "scene"}, image="preview.image")
    write(Path("b.json"), changed)
    assert diff("a.json", "b.json", capsys) == (
        1,
        [
            "denoise.guidance: 5.0 -> 7.5",
            "preview: added (preview)",
            "save.image: decode.image -> preview.image",
        ],
    )


def test_a_default_that_is_not_written_is_no_difference(capsys: Captured) -> None:
    write(Path("a.json"), workflow(save=node("save_image")))
    write(Path("b.json"), workflow(save=node("save_image", {"compression": 6, "name": "picture"})))
    assert diff("a.json", "b.json", capsys) == (0, [])


def test_moving_a_node_is_no_difference(capsys: Captured) -> None:
    write(Path("a.json"), {**SCENE, "view": {"nodes": {"save": [0, 0]}}})
    write(Path("b.json"), {**SCENE, "view": {"nodes": {"save": [9, 9]}}})
    assert main(["diff", "a.json", "b.json"]) == 0
    assert "layout" in capsys.readouterr().err


def test_groups_are_compared_body_and_interface(capsys: Captured) -> None:
    def grouped(name: str, shown: str) -> Path:
        body = {
            "nodes": {"save": node("save_image", {"name": name})},
            "params": {shown: "save.name"},
        }
        return write(Path(f"{name}.json"), {**workflow(), "groups": {"out": body}})  # type: ignore[dict-item]  # nested

    assert diff(grouped("a", "name"), grouped("b", "title"), capsys) == (
        1,
        [
            "group out: save.name: 'a' -> 'b'",
            "group out: parameter name: save.name -> nothing",
            "group out: parameter title: nothing -> save.name",
        ],
    )


def test_fields_of_tomorrow_are_compared(capsys: Captured) -> None:
    write(Path("a.json"), {**SCENE, "future": 1})
    write(Path("b.json"), {**SCENE, "future": 1.0})
    assert diff("a.json", "b.json", capsys) == (
        1,
        ["file: field future differs, which this version does not know"],
    )


def test_a_picture_and_the_workflow_that_made_it_do_not_differ(
    painted: Path, capsys: Captured
) -> None:
    write(Path("w.json"), SCENE)
    assert diff(painted, "w.json", capsys) == (0, [])


def test_an_edited_pixel_is_found(painted: Path, capsys: Captured) -> None:
    changed = edited(painted, Path("edited.png"))
    code, (line,) = diff(painted, changed, capsys)
    assert code == 1
    assert line.startswith("pixels: 1 of 16384 differ (0.0061 %), by 8 of 255 levels at most")


def test_environments_are_compared(painted: Path, capsys: Captured) -> None:
    manifest = manifest_of(painted)
    numerics = manifest["numerics"]
    assert isinstance(numerics, dict)
    other = {**manifest, "numerics": {**numerics, "threads": 64}, "studio": "9.9"}
    with_manifest(painted, other, Path("other.png"))
    assert diff(painted, "other.png", capsys) == (1, ["studio: 0.1.0 -> 9.9", "threads: 1 -> 64"])


def test_pictures_without_workflows_are_compared_by_pixels(capsys: Captured) -> None:
    paint(Path("a.png"), (10, 20, 30))
    paint(Path("b.png"), (10, 20, 34))
    Image.open("a.png").save("a.bmp")
    code, (line,) = diff("a.png", "b.png", capsys)
    assert code == 1
    # one channel of three is 4 levels off: mse 16/3, 10 log10(255² · 3 / 16) = 40.86
    assert line == (
        "pixels: 16 of 16 differ (100 %), by 4 of 255 levels at most, 1.33 on average, PSNR 40.9 dB"
    )
    assert diff("a.png", "a.bmp", capsys) == (0, [])


def test_pictures_of_two_sizes_say_so(capsys: Captured) -> None:
    paint(Path("a.png"), size=(4, 6))
    paint(Path("b.png"), size=(8, 6))
    assert diff("a.png", "b.png", capsys) == (1, ["pixels: 4 × 6 px -> 8 × 6 px"])


def test_a_workflow_and_a_bare_picture_have_nothing_to_compare(capsys: Captured) -> None:
    paint(Path("a.png"))
    write(Path("w.json"), COPY)
    assert main(["diff", "a.png", "w.json"]) == 2


def test_differences_are_given_as_json(painted: Path, capsys: Captured) -> None:
    changed = edited(painted, Path("edited.png"))
    assert main(["diff", str(painted), str(changed), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["graph"], found["environment"], found["same"]) == ([], [], False)
    assert (found["pixels"]["differing"], found["pixels"]["largest"]) == (1, 8)
