"""An upscaler: it learns from pairs of pictures, is saved as an ordinary model, and denoise paints with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow

from studio.errors import ModelError, StudioError
from studio.events import Failed
from studio.graph import Graph, Node, NodeId
from studio.models.library import Library
from studio.models.saving import save_model as save
from studio.plan import key_graph
from studio.store import Store
from studio.training import scenes
from studio.training.scenes import painter
from studio.training.task import Origin
from studio.training.upscaling import Upscaler
from studio.values import Latents, Model, ModelFolder
from tests.training.tiny import TYPES, Alone, Studio, plan_of, same


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def graph(**train: object) -> Graph:
    """A network of 10,000 weights that learns to paint pictures of 32 px from such of 16 px."""
    params = {"steps": 6, "batch": 4, "warmup": 2, "checkpoint_every": 3, "sample_every": 0}
    params |= {"samples": 2, "sample_steps": 2}
    made = Graph()
    for name, type_id, given in (
        ("data", "scene_painter", {"size": 32, "count": 12, "style": "flat"}),
        ("unet", "new_unet", {"channels": [8, 16], "attention": 0}),
        ("train", "train_upscaler", params | train),
    ):
        made = made.add(Node(NodeId(name), type_id, params=given))  # type: ignore[arg-type]  # JSON
    return made.connect("data", "dataset", "train", "dataset").connect(
        "unet", "network", "train", "network"
    )


def painted(made: Graph, *, size: int = 32, noise: float = 0.2, upscaler: str = "train") -> Graph:
    """The graph with two pictures of a cascade: an untrained network paints 16 px, the upscaler 32 px."""
    for name, type_id, params in (
        ("first_data", "scene_painter", {"size": 16, "count": 4}),
        ("first", "train_diffusion", {"steps": 1, "batch": 2, "samples": 1, "sample_steps": 1}),
        ("first_noise", "noise_source", {"width": 16, "height": 16, "batch": 2}),
        ("first_schedule", "scheduler", {"steps": 2}),
        ("small", "denoise", {"guidance": 1.0}),
        ("low", "low_resolution", {"noise": noise}),
        ("noise", "noise_source", {"width": size, "height": size, "batch": 2}),
        ("schedule", "scheduler", {"steps": 3, "solver": "ddim"}),
        ("denoise", "denoise", {}),
    ):
        made = made.add(Node(NodeId(name), type_id, params=params))  # type: ignore[arg-type]  # JSON
    for source, target in (
        ("first_data.dataset", "first.dataset"),
        ("unet.network", "first.network"),
        ("first.model", "first_schedule.model"),
        ("first.model", "small.model"),
        ("first_noise.latents", "small.noise"),
        ("first_schedule.schedule", "small.schedule"),
        ("small.latents", "low.latents"),
        ("low.low_resolution", "denoise.low_resolution"),
        (f"{upscaler}.model", "schedule.model"),
        (f"{upscaler}.model", "denoise.model"),
        ("noise.latents", "denoise.noise"),
        ("schedule.schedule", "denoise.schedule"),
    ):
        made = made.connect(*source.split("."), *target.split("."))
    return made


def latents(studio: Studio, made: Graph, node: str = "denoise") -> torch.Tensor:
    """What a denoise node has painted."""
    value = studio.stored(made, node, "latents")
    assert isinstance(value, Latents)
    return value.samples


def saved(studio: Studio, made: Graph, **params: object) -> Path:
    """The folder of the upscaler that a graph trains."""
    given = {"name": "larger", "dtype": "float32", **params}
    made = made.add(Node(NodeId("save"), "save_model", params=given))  # type: ignore[arg-type]  # JSON
    made = made.connect("train", "trained", "save", "trained")
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    return save(folder, library(studio))


def library(studio: Studio) -> Library:
    """The library that a studio plans with."""
    found = studio.context.models
    assert isinstance(found, Library)
    return found


# --- learning


def test_stopped_and_taken_up_it_ends_with_the_very_same_weights(studio: Studio) -> None:
    made = graph()
    studio.stop_after(made, 4)
    assert studio.run(made).nodes["train"].from_step == 4
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        assert same(studio.trained(made), whole.trained(made))


def test_it_learns_what_the_small_picture_shows(studio: Studio) -> None:
    # the pictures of two scenes differ in their small ones alone: noise and network are the same
    made = graph(steps=100, learning_rate=0.01, batch=8, samples=2, sample_steps=4, noise=0.0)
    made = made.set("data", count=2)
    studio.run(made)
    rows = studio.image(made, "train", "samples")[-1]
    first, second = rows[:, :, :96], rows[:, :, 96:]
    own = [(half[:, :, 32:64] - half[:, :, 64:]).square().mean() for half in (first, second)]
    others = (first[:, :, 32:64] - second[:, :, 64:]).square().mean()
    assert float(max(own)) < float(others) / 2


def test_scenes_are_painted_small_and_pictures_of_a_folder_are_halved(
    studio: Studio, tmp_path: Path
) -> None:
    made = graph(steps=1, samples=1)
    studio.run(made)
    shown = studio.image(made, "train", "samples")[0]
    given = {"style": "flat"}
    wanted = painter.paint(scenes.scene(0, 0, given), 0, 0, 16)
    small = torch.from_numpy(wanted.copy()).permute(2, 0, 1).float() / 255
    assert torch.equal(shown[:, ::2, 0:32:2], small)
    (tmp_path / "data").mkdir()
    picture = Pillow.effect_noise((32, 32), 90).convert("RGB")
    picture.save(tmp_path / "data" / "one.png")
    made = made.remove("data").add(
        Node(
            NodeId("data"), "picture_folder", params={"folder": str(tmp_path / "data"), "size": 32}
        )
    )
    made = made.connect("data", "dataset", "train", "dataset")
    studio.run(made)
    shown = studio.image(made, "train", "samples")[0]
    means = torch.nn.functional.avg_pool2d(shown[None, :, :, 64:], 2)[0]
    torch.testing.assert_close(shown[:, ::2, 0:32:2], means, rtol=0, atol=0.51 / 255)


def test_crops_and_mirrored_pictures_have_small_ones_to_match(
    studio: Studio, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for number in range(3):
        picture = Pillow.linear_gradient("L").rotate(50 * number).resize((60, 48)).convert("RGB")
        picture.save(tmp_path / "data" / f"{number}.png")
    made = graph().remove("data")
    params = {"folder": str(tmp_path / "data"), "size": 32, "random_crop": True, "flip": True}
    made = made.add(Node(NodeId("data"), "picture_folder", params=params))  # type: ignore[arg-type]  # JSON
    made = made.connect("data", "dataset", "train", "dataset")
    here = Alone(library(studio))
    task = Upscaler(plan_of(made, studio.context), here, Origin())
    places = range(8)
    whole = task.feed.batch(places, here)
    small = task._small[task.feed].batch(places, here)
    means = torch.nn.functional.avg_pool2d(whole, 2)
    torch.testing.assert_close(small, means, rtol=0, atol=1.01 / 255)
    assert not torch.equal(whole[0], whole[3])


# --- painting


def test_a_step_is_that_of_diffusers_with_the_small_picture_in_more_channels(
    studio: Studio,
) -> None:
    from diffusers import DDIMScheduler, UNet2DModel

    from studio.diffusion.noise import generator

    place = saved(studio, graph())
    made = painted(graph(), noise=0.2)
    studio.run(made, "denoise")
    found, small = latents(studio, made), latents(studio, made, "small")
    network = UNet2DModel.from_pretrained(place, subfolder="unet", local_files_only=True)
    scheduler = DDIMScheduler.from_pretrained(place, subfolder="scheduler", local_files_only=True)
    scheduler.set_timesteps(3)
    for number, seed in enumerate((0, 1)):
        x = torch.randn(1, 3, 32, 32, generator=generator(seed, -1))
        drawn = torch.randn(1, 3, 32, 32, generator=generator(seed, -4))
        large = torch.nn.functional.interpolate(small[number][None], size=32, mode="bilinear")
        low = (1 - 0.2**2) ** 0.5 * large + 0.2 * drawn
        for timestep in scheduler.timesteps:
            with torch.no_grad():
                read = torch.cat([x, low], dim=1)
                output = network(read, timestep, class_labels=torch.tensor([20])).sample
            x = scheduler.step(output, timestep, x).prev_sample
        torch.testing.assert_close(found[number], x[0], rtol=0, atol=1e-5)


def test_a_saved_upscaler_is_found_by_name_and_paints_the_very_same(studio: Studio) -> None:
    made = painted(graph())
    studio.run(made, "denoise")
    direct = latents(studio, made)
    saved(studio, graph())
    loaded = made.add(Node(NodeId("load"), "load_unet", params={"model": "larger"}))
    for target in ("schedule", "denoise"):
        loaded = loaded.connect("load", "model", target, "model")
    studio.run(loaded, "denoise")
    assert torch.equal(latents(studio, loaded), direct)


def test_the_announced_upscaler_is_that_of_the_saved_folder(studio: Studio) -> None:
    made = graph(steps=1)
    made = made.set("data", size=64).add(Node(NodeId("vae"), "load_vae", params={}))
    made = made.connect("vae", "vae", "unet", "vae").connect("vae", "vae", "train", "vae")
    (item,) = (item for item in key_graph(made, TYPES, ["train"], studio.context) if item.chains)
    announced = item.announced["model"]
    assert isinstance(announced, Model)
    saved(studio, made)
    found = library(studio).describe("larger").model
    assert found is not None
    for field in (
        "in_channels",
        "latent_channels",
        "downscale",
        "latents",
        "family",
        "sample_size",
        "scheduler",
        "blocks",
        "upscaling",
    ):
        assert getattr(announced, field) == getattr(found, field), field
    assert (found.latents, found.downscale, found.in_channels) == ("starter", 8, 8)


def test_only_what_the_small_picture_is_made_of_makes_it_paint_again(studio: Studio) -> None:
    made = painted(graph())
    assert studio.run(made, "denoise").status == "ok"
    assert studio.run(made, "denoise").model_calls == 0
    done = studio.run(made.set("low", noise=0.3), "denoise")
    assert (done.nodes["denoise"].from_step, done.nodes["small"].status) == (0, "cached")
    assert studio.run(made.set("first_noise", seed=5), "denoise").nodes["denoise"].from_step == 0
    # two steps of each of the two pictures stay
    shorter = made.set("denoise", end_step=2)
    assert studio.run(shorter, "denoise").nodes["denoise"].from_step == 4


# --- what does not fit


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (lambda made: made.disconnect("denoise", "low_resolution"), "denoise.low_resolution", "not connected"),
        (lambda made: made.connect("first", "model", "denoise", "model"), "denoise.low_resolution", "no upscaler"),
        (lambda made: made.set("low", noise=0.6), "denoise.low_resolution", "knows up to 0.5"),
        (lambda made: made.set("unet", text_width=32), "train.network", "reads text"),
        (lambda made: made.set("data", size=16), "train.dataset", "none 2 times smaller"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told_while_planning(
    studio: Studio, edit: object, where: str, what: str
) -> None:
    assert callable(edit)
    with pytest.raises(StudioError) as caught:
        studio.run(edit(painted(graph())), where.partition(".")[0])
    assert what in caught.value.what
    assert caught.value.where == where


def test_noise_of_another_size_than_the_upscaler_paints_is_refused(studio: Studio) -> None:
    assert studio.run(painted(graph(), size=48), "denoise").status == "failed"
    (failed,) = (event for event in studio.events if isinstance(event, Failed))
    assert "paints 2 times as large" in failed.what
    assert failed.where == "denoise.low_resolution"


@pytest.mark.parametrize("told", [5, {"downscale": 1}, {"scale": 0, "downscale": 1}])
def test_a_config_that_says_nothing_sound_about_upscaling_is_refused(
    studio: Studio, told: object
) -> None:
    import json

    config = saved(studio, graph(steps=1)) / "unet" / "config.json"
    document = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**document, "upscaling": told}), "utf-8")
    with pytest.raises(ModelError, match="no sound upscaling"):
        library(studio).describe("larger")
