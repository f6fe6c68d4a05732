"""The evaluation of a model: verdicts, measures and sets by hand-made cases, and the whole command once, small."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from studio.resources import resource
from studio.training.data import Examples
from studio.training.scenes import ORDINARY, Scene, is_held_out
from studio.training.scenes.attributes import NONE, POSITIONS
from studio.values import Dataset, Scenes
from tests.evaluation import __main__ as command
from tests.evaluation import classifier
from tests.evaluation.augmentation import soften
from tests.evaluation.classifier import PLACED, WHOLE, Recipe, Sight, labels
from tests.evaluation.measures import (
    ATTRIBUTES,
    accuracy,
    compared,
    counts,
    judge,
    nearest_by_features,
    nearest_by_pixels,
    psnr,
)
from tests.evaluation.scenes import SETS, addresses, any_addresses, paint_all, training_addresses

TWO = Scene("flat", "day", "rain", "hills", "cactus", NONE, "right", "small", "house", "blue")


def sight_of(*scenes: Scene) -> Sight:
    """What a judge without fault sees."""
    told = {name: values.numpy() for name, values in labels(scenes).items()}
    values = {**WHOLE, **PLACED}
    seen = {
        name: np.stack([found == number for number in range(len(values[name]))], -1)
        for name, found in told.items()
    }
    likely = {name: found.astype(np.float32) for name, found in seen.items()}
    return Sight(
        {name: likely[name] for name in WHOLE},
        {name: likely[name] for name in PLACED},
        np.zeros((len(scenes), 1), np.float32),
    )


def wrong(asked: Scene, shown: Scene) -> set[str]:
    """The attributes that a judge without fault finds wrong."""
    return {one.attribute for one in judge([asked], sight_of(shown)) if not one.is_right}


def test_a_picture_of_the_scene_is_right_in_every_attribute() -> None:
    drawn = [one.scene for one in any_addresses(300, 5)]
    verdicts = judge(drawn, sight_of(*drawn))
    assert accuracy(verdicts) == dict.fromkeys(ATTRIBUTES, 1.0)
    assert counts(verdicts)["style"] == 300
    assert counts(verdicts)["companion color"] < counts(verdicts)["companion position"] < 300


@pytest.mark.parametrize(
    ("change", "attributes"),
    [
        ({"style": "line"}, {"style"}),
        ({"weather": "snow"}, {"weather"}),
        ({"subject": "pine"}, {"subject"}),
        ({"companion_color": "red"}, {"companion color"}),
        ({"position": "left"}, {"position", "companion position"}),
        ({"companion": NONE, "companion_color": NONE}, {"companion"}),
    ],
)
def test_one_mistake_is_counted_once(change: dict[str, str], attributes: set[str]) -> None:
    found = wrong(TWO, replace(TWO, **change))
    if "subject" in change or "companion" in change:
        # of what is not there nothing else can be told: chance may have it right
        assert (
            attributes
            <= found
            <= attributes | {"position", "size", "companion color"} | {"companion position"}
        )
    else:
        assert found == attributes


def test_which_of_two_the_scene_calls_its_subject_makes_no_difference() -> None:
    one = replace(TWO, subject="tree", color="red")
    other = replace(
        one,
        subject="house",
        color="blue",
        position="left",
        companion="tree",
        companion_color="red",
    )
    assert wrong(one, other) <= {"size"}


def test_what_nobody_asked_for_is_a_mistake() -> None:
    alone = replace(TWO, companion=NONE, companion_color=NONE)
    assert wrong(alone, TWO) == {"companion"}
    assert wrong(replace(alone, subject=NONE), alone) == {"subject"}


def test_psnr_follows_its_formula() -> None:
    black = np.zeros((2, 8, 8, 3), np.uint8)
    grey = black.copy()
    grey[1] = 16
    assert psnr(black, grey)[1] == pytest.approx(20 * np.log10(255 / 16))
    assert psnr(black, grey)[0] == pytest.approx(100)


def test_learning_by_heart_is_told_from_composing() -> None:
    known = paint_all(training_addresses(40, 3), 64)
    fresh = paint_all(addresses("held out", 20, 4), 64)
    copied = nearest_by_pixels(known[5:15], known)
    assert list(copied.index) == list(range(5, 15))
    real = nearest_by_pixels(fresh, known)
    difference = (known - fresh[0].astype(float)) / 255
    halved = difference.reshape(40, 32, 2, 32, 2, 3).mean((2, 4))
    distances = np.sqrt((halved**2).mean((1, 2, 3)))
    assert real.index[0] == distances.argmin()
    assert real.distance[0] == pytest.approx(distances.min())
    assert compared(copied, real)["ratio"] < 0.01
    assert compared(copied, real)["nearer than 99 % of real"] == 1.0
    assert compared(real, real)["ratio"] == 1.0


def test_features_are_compared_by_their_angle() -> None:
    axes = np.eye(3, dtype=np.float32)
    between = np.array([[0.6, 0.8, 0.0]], np.float32)
    found = nearest_by_features(between, axes)
    assert found.index.tolist() == [1]
    assert found.distance == pytest.approx([0.2], abs=1e-6)


def test_every_set_shows_what_it_is_for_and_none_shares_an_address() -> None:
    drawn = {name: addresses(name, 60, 9) for name in SETS}
    assert all(is_held_out(one.scene) for one in drawn["held out"])
    for name in ("seen", "position", "two subjects", "left open"):
        assert not any(is_held_out(one.scene) for one in drawn[name])
    assert {one.scene.position for one in drawn["position"]} == set(POSITIONS)
    assert all(one.scene.companion == NONE for one in drawn["position"])
    assert all(one.scene.companion != NONE for one in drawn["two subjects"])
    assert len({one.index for several in drawn.values() for one in several}) == 300


def test_a_prompt_that_leaves_all_open_names_a_subject_and_asks_for_the_ordinary() -> None:
    for one in addresses("left open", 60, 9):
        assert {name: getattr(one.scene, name) for name in ORDINARY} == ORDINARY
        assert one.scene.color == NONE or one.scene.color in one.prompt
        # every other attribute is told with one of these, or as a style
        told = {"at", "by", "in", "on", "under", "with", "of", "flat", "big", "small"}
        assert not told & set(one.prompt.split())


def test_neighbours_are_sought_among_the_very_pictures_that_training_sees() -> None:
    source = Examples(Dataset(Scenes(8, 3), 64), 0)
    for number, picture in enumerate(paint_all(training_addresses(3, 8), 64)):
        seen = (source.picture(number) + 1) * 127.5
        assert torch.equal(seen.permute(1, 2, 0).round().to(torch.uint8), torch.tensor(picture))


def test_pictures_are_the_same_however_many_processes_paint_them() -> None:
    several = training_addresses(320, 2)
    assert np.array_equal(paint_all(several, 16)[:40], paint_all(several[:40], 16))


def test_softening_keeps_the_range_and_leaves_a_part_alone() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(64, 3, 32, 32)
    softened = soften(pictures)
    assert softened.min() >= 0
    assert softened.max() <= 1
    same = (softened == pictures).flatten(1).all(1).float().mean()
    assert 0.1 < same < 0.4
    smooth = torch.linspace(0, 1, 32).expand(64, 3, 32, 32)
    assert (soften(smooth) - smooth).abs().mean() < 0.06


def test_a_judge_learns_and_is_read_back_only_where_it_fits(tmp_path: Path) -> None:
    recipe = Recipe(pictures=256, epochs=4)
    net = classifier.train(recipe, "cpu", lambda _: None)
    drawn = any_addresses(200, 1)
    pictures = paint_all(drawn, 128)
    found = accuracy(judge([one.scene for one in drawn], net.see(pictures)))
    assert found["time"] > 0.5  # a guess is right one time in four
    path = tmp_path / "judge.safetensors"
    classifier.save(net, path, recipe.digest())
    again = classifier.load(path, recipe.digest(), "cpu")
    assert again is not None
    assert np.array_equal(again.see(pictures[:4]).features, net.see(pictures[:4]).features)
    assert classifier.load(path, replace(recipe, epochs=2).digest(), "cpu") is None
    assert classifier.load(tmp_path / "none.safetensors", recipe.digest(), "cpu") is None


def test_the_command_measures_the_starter_and_writes_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "--count 2 --steps 1 --judge-pictures 128 --judge-epochs 1 --neighbours 10"
    code = command.main([*small.split(), "--device", "cpu", "--out", str(tmp_path)])
    assert code == 0
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert set(report["sets"]) == set(SETS)
    held_out = addresses("held out", 2, report["settings"]["seed"])
    assert report["sets"]["held out"]["subject"]["count"] == 2
    assert set(report["values"]["held out"]["subject"]) == {one.scene.subject for one in held_out}
    weights = resource("starter", "unet", "diffusion_pytorch_model.safetensors")
    assert report["bytes"]["unet/diffusion_pytorch_model.safetensors"] == weights.stat().st_size
    assert 12 < report["vae_db"]["all"] < 45
    page = (tmp_path / "report.md").read_text("utf-8")
    assert f"{report['vae_db']['all']:.2f} dB" in page
    assert "VAE at least 30 dB" in capsys.readouterr().out
    sheets = {path.stem for path in tmp_path.glob("*.png")}
    assert sheets == {*(name.replace(" ", "-") for name in SETS), "vae", "nearest"}


def test_a_model_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "model_index.json" in capsys.readouterr().err
    assert command.main(["startre", "--out", str(tmp_path / "out")]) == 1
    assert "starter" in capsys.readouterr().err
