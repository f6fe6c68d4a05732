"""``studio replay``: identical, or the first node and step that differ, and what differs around them."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest

from studio import pictures
from studio.cli import main
from studio.graph import Json
from studio.resources import resource
from tests.cli.workflows import (
    COPY,
    SCENE,
    Document,
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


def replay(picture: Path | str, capsys: Captured, *options: str) -> tuple[int, list[str], str]:
    code = main(["replay", str(picture), *options])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def run(capsys: Captured, document: Document = COPY, folder: str = "work") -> Path:
    """Run a workflow in a folder of its own; the picture that it made."""
    if not (Path(folder) / "in.png").exists():
        Path(folder).mkdir()
        paint(Path(folder) / "in.png")
    write(Path(folder) / "w.json", document)
    assert main(["run", f"{folder}/w.json", "--output", f"{folder}/out"]) == 0
    return Path(capsys.readouterr().out.strip())


def changed(manifest: Document, *path: str | int, to: Json) -> Document:
    """A manifest with one value replaced."""
    document = copy.deepcopy(manifest)
    place: object = document
    for step in path[:-1]:
        place = place[step]  # type: ignore[index]  # a path into JSON
    place[path[-1]] = to  # type: ignore[index]  # a path into JSON
    return document


def test_a_picture_made_again_is_identical(painted: Path, capsys: Captured) -> None:
    assert replay(painted, capsys) == (0, ["identical"], "")


def test_nothing_is_written(painted: Path, capsys: Captured) -> None:
    replay(painted, capsys)
    assert list(Path.cwd().iterdir()) == []


def test_a_renamed_and_moved_picture_is_identical(painted: Path, capsys: Captured) -> None:
    shutil.copy(painted, "other name.png")
    assert replay("other name.png", capsys)[:2] == (0, ["identical"])


def test_the_first_step_that_differs_is_named(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "nodes", "denoise", "steps", 0, 2, to="0" * 32)
    code, lines, _ = replay(with_manifest(painted, manifest, Path("p.png")), capsys)
    assert code == 1
    assert lines[:2] == [
        "first difference: denoise, step 2",
        "the pixels are identical nevertheless",
    ]


def test_the_first_node_that_differs_is_named(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "nodes", "prompt", "digest", to="0" * 32)
    code, lines, _ = replay(with_manifest(painted, manifest, Path("p.png")), capsys)
    assert code == 1
    assert lines[0] == "first difference: prompt"


def test_another_encoding_of_the_same_pixels_is_identical(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "nodes", "save", "digest", to="0" * 32)
    assert replay(with_manifest(painted, manifest, Path("p.png")), capsys)[:2] == (0, ["identical"])


def test_an_edited_picture_is_said_to_be(painted: Path, capsys: Captured) -> None:
    code, lines, _ = replay(edited(painted, Path("p.png")), capsys)
    assert code == 1
    assert lines == [
        "the file was edited after it was saved; the replay gives the pixels that were saved",
        "pixels: 1 of 16384 differ (0.0061 %), by 8 of 255 levels at most, 0.000163 on average, PSNR 77.0 dB",
    ]


def test_other_pixels_with_equal_digests_are_a_difference(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "pixels_sha256", to="0" * 64)
    code, lines, _ = replay(with_manifest(painted, manifest, Path("p.png")), capsys)
    assert code == 1
    assert "identical" not in lines


def test_another_environment_is_told_although_the_pixels_are_identical(
    painted: Path, capsys: Captured
) -> None:
    manifest = changed(manifest_of(painted), "numerics", "torch", to="1.0")
    code, lines, err = replay(with_manifest(painted, manifest, Path("p.png")), capsys)
    assert (code, lines) == (0, ["identical"])
    assert "studio: identical although this differs: torch: 1.0 -> " in err


def test_a_difference_comes_with_environment_and_models(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "numerics", "torch", to="1.0")
    manifest = changed(manifest, "models", "starter/unet", to="0" * 64)
    manifest = changed(manifest, "nodes", "denoise", "steps", 0, 0, to="0" * 32)
    code, lines, _ = replay(with_manifest(painted, manifest, Path("p.png")), capsys)
    assert code == 1
    assert lines[0] == "first difference: denoise, before its first step"
    assert any(text.startswith("model starter/unet: 000000000000… -> ") for text in lines)
    assert any(text.startswith("torch: 1.0 -> ") for text in lines)


def test_threads_and_dtype_are_those_of_the_picture(
    painted: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_THREADS", "2")
    assert replay(painted, capsys) == (0, ["identical"], "")


def test_a_device_that_is_not_here_is_told(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "device", to="cuda:99")
    code, lines, err = replay(with_manifest(painted, manifest, Path("p.png")), capsys)
    assert (code, lines) == (0, ["identical"])
    assert "made on cuda:99, but there" in err


def test_the_verdict_is_given_as_json(painted: Path, capsys: Captured) -> None:
    assert main(["replay", str(painted), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["verdict"] == "identical"
    assert verdict["departure"] is None
    assert len(set(verdict["pixels_sha256"].values())) == 1


def test_a_departure_is_given_as_json(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "nodes", "denoise", "steps", 0, 1, to="0" * 32)
    assert main(["replay", str(with_manifest(painted, manifest, Path("p.png"))), "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["verdict"], verdict["departure"]) == (
        "different",
        {"node": "denoise", "step": 1},
    )


# --- files


def test_files_are_found_beside_the_output_folder(capsys: Captured) -> None:
    assert replay(run(capsys), capsys)[:2] == (0, ["identical"])


def test_files_are_found_in_a_folder_that_is_named(capsys: Captured) -> None:
    shutil.copy(run(capsys), "moved.png")
    code, lines, err = replay("moved.png", capsys)
    assert (code, lines) == (1, [])
    assert "load.file" in err
    assert "--base" in err
    assert replay("moved.png", capsys, "--base", "work")[:2] == (0, ["identical"])


def test_a_file_that_was_replaced_is_named(capsys: Captured) -> None:
    picture = run(capsys)
    paint(Path("work/in.png"), (99, 20, 30))
    code, lines, _ = replay(picture, capsys)
    assert code == 1
    assert lines[0] == "first difference: load"
    assert any(text.startswith("load: ") and "in.png is another file" in text for text in lines)


def test_parameters_that_were_changed_inside_the_picture_are_named(capsys: Captured) -> None:
    document = workflow(
        load=node("load_image", {"file": "in.png"}),
        small=node("image_resize", {"width": 2, "height": 2}, image="load.image"),
        save=node("save_image", image="small.image"),
    )
    picture = run(capsys, document)
    other = with_params(document, "small", width=3)
    text = {pictures.WORKFLOW: json.dumps(other)}
    picture.write_bytes(pictures.with_text(picture.read_bytes(), text))
    code, lines, _ = replay(picture, capsys)
    assert code == 1
    assert "pixels: 2 × 2 px -> 3 × 2 px" in lines
    assert "small: its parameters, or its version, are others than then" in lines


# --- models


def test_a_model_that_was_renamed_is_found_by_its_content(capsys: Captured) -> None:
    shutil.copytree(resource("starter"), "models/mine")
    picture = run(capsys, with_params(SCENE, "model", model="mine"))
    Path("models/mine").rename("models/yours")
    code, lines, err = replay(picture, capsys)
    assert (code, lines) == (0, ["identical"])
    assert 'studio: model "mine" is called "yours" here' in err


def test_a_model_that_is_gone_is_named(painted: Path, capsys: Captured) -> None:
    gone = with_params(SCENE, "model", model="dreamer")
    data = pictures.with_text(painted.read_bytes(), {pictures.WORKFLOW: json.dumps(gone)})
    Path("p.png").write_bytes(data)
    code, lines, err = replay("p.png", capsys)
    assert (code, lines) == (1, [])
    assert 'there is no model "dreamer"' in err


# --- pictures that cannot be replayed


def test_a_picture_without_a_manifest_is_refused(capsys: Captured) -> None:
    paint(Path("p.png"))
    code, lines, err = replay("p.png", capsys)
    assert (code, lines) == (2, [])
    assert "carries no workflow; give a .png that studio run wrote" in err


def test_a_manifest_of_tomorrow_is_refused(painted: Path, capsys: Captured) -> None:
    manifest = changed(manifest_of(painted), "version", to=99)
    code, _, err = replay(with_manifest(painted, manifest, Path("p.png")), capsys)
    assert code == 2
    assert "is version 99; this program reads up to 1" in err


@pytest.mark.parametrize("value", [None, True, -1, 10**9, "x", "load", [], [[]], {}, {"a": None}])
@pytest.mark.parametrize(
    "name", ["node", "nodes", "numerics", "models", "index", "device", "pixels_sha256", "seeds"]
)
def test_an_odd_manifest_is_refused_or_compared_but_never_a_fault(
    name: str, value: Json, capsys: Captured
) -> None:
    picture = run(capsys)
    with_manifest(picture, changed(manifest_of(picture), name, to=value), picture)
    code, lines, err = replay(picture, capsys)
    assert code in (0, 1, 2)
    assert "should not have happened" not in err
    assert (code == 2) == (lines == [])


def test_the_workflow_of_a_manifest_needs_its_node(capsys: Captured) -> None:
    picture = run(capsys)
    with_manifest(picture, changed(manifest_of(picture), "node", to="load"), picture)
    code, _, err = replay(picture, capsys)
    assert code == 2
    assert "names node load, which makes no picture" in err


def test_a_bare_workflow_cannot_be_replayed(capsys: Captured) -> None:
    write(Path("w.json"), workflow())
    code, _, err = replay("w.json", capsys)
    assert (code, err) == (2, "studio: w.json: is not a PNG picture\n")
