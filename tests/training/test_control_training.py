"""Training a ControlNet: nothing changes at first, the model stays, and the stock pipeline paints with the result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from studio.diffusion.edges import edges
from studio.errors import GraphError
from studio.graph import Graph, Json, Node, NodeId
from studio.models.library import Library
from studio.models.saving import save_model as save
from studio.resources import resource
from studio.store import Store
from studio.training.controlling import Controlling
from studio.training.denoising import Denoising
from studio.training.feeding import HINT, Feed
from studio.training.painting import Painters, paint, scribble
from studio.training.task import Origin
from studio.values import CONTROLNET, Dataset, ModelFolder, Scenes, Trained
from tests.bench import fresh
from tests.controlnets import controlled, write_picture
from tests.diffusion.test_parity import COMMON, SEED, components, graph_of
from tests.starter import WIDTH
from tests.training.pictures import fill
from tests.training.tasks import Quiet, plan_of, tuning
from tests.training.tiny import Studio

CPU = torch.device("cpu")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def graph(**train: Json) -> Graph:
    return tuning("train_controlnet", **train)


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return dict(trained.weights[CONTROLNET])


def saved(studio: Studio, made: Graph) -> Path:
    """The folder of the ControlNet, after the training has run."""
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    library = studio.context.models
    assert isinstance(library, Library)
    return save(folder, library)


# --- what is learned


def test_before_the_first_step_the_network_paints_as_without_it(studio: Studio) -> None:
    """Zhang et al. 2023, section 3.1: zero convolutions add nothing, to the last bit."""
    made = graph()
    ctx = Quiet(studio)
    task = Controlling(plan_of(studio, made), ctx, Origin())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    text = torch.randn(2, 7, WIDTH, generator=generator)
    hint = torch.rand(2, 3, 64, 64, generator=generator)
    t = torch.tensor([10, 700])
    with torch.no_grad():
        ours = task.predict(x, t, {"encoder_hidden_states": text, HINT: hint})
        alone = Denoising.predict(task, x, t, {"encoder_hidden_states": text})
    assert torch.equal(ours, alone)


def test_it_begins_as_diffusers_copies_a_network(studio: Studio) -> None:
    studio.run(graph(learning_rate=0.0, steps=1))
    trained = studio.trained(graph(learning_rate=0.0, steps=1))
    unet = diffusers.UNet2DConditionModel.from_pretrained(
        resource("starter", "unet"), torch_dtype=torch.float32, local_files_only=True
    )
    theirs = diffusers.ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(16, 32, 64, 128)
    )
    ours = weights(trained)
    assert ours.keys() == theirs.state_dict().keys()
    for name, weight in theirs.state_dict().items():
        if not name.startswith("controlnet_cond_embedding."):
            assert torch.equal(ours[name], weight), name
    ignored = {"_diffusers_version", "_use_default_values"}
    for name, value in theirs.config.items():
        if name not in ignored:
            given = trained.configs[CONTROLNET][name]
            assert given == (list(value) if isinstance(value, tuple) else value)


def test_it_learns_to_read_the_drawing_as_soon_as_its_ways_out_are_open(studio: Studio) -> None:
    # those open in the first step; from the second on the drawing's whole way in learns
    made = graph(steps=2, learning_rate=0.01)
    studio.run(made.set("train", learning_rate=0.0))
    before = weights(studio.trained(made.set("train", learning_rate=0.0)))
    studio.run(made)
    after = weights(studio.trained(made))
    way = [name for name in before if name.startswith("controlnet_cond_embedding.")]
    assert way
    for name in way:
        assert not torch.equal(before[name], after[name]), name


def test_it_learns_and_a_cancelled_training_ends_with_the_very_same_weights(
    studio: Studio,
) -> None:
    made = graph(steps=5, learning_rate=0.01)
    studio.stop_after(made, 3)
    assert studio.run(made).nodes["train"].from_step == 3
    found = weights(studio.trained(made))
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        wanted = weights(whole.trained(made))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert found["controlnet_mid_block.weight"].any()
    assert found["controlnet_cond_embedding.conv_out.weight"].any()


def test_what_the_drawing_shows_decides_what_is_learned(studio: Studio) -> None:
    # of three steps: the first moves the ways out alone, the second what reads the drawing, the third sees it
    given = graph(hint="scribble", steps=3), graph(hint="edges", steps=3)
    for made in given:
        assert studio.run(made).status == "ok"
    one, two = (weights(studio.trained(made)) for made in given)
    assert not torch.equal(one["controlnet_mid_block.weight"], two["controlnet_mid_block.weight"])


def test_looks_show_each_picture_behind_its_drawing(studio: Studio) -> None:
    studio.run(graph())
    shown = studio.image(graph(), "train", "samples")
    assert shown.shape == (1, 3, 64, 2 * 128)
    source = Scenes(0, 8)
    drawn = torch.from_numpy(np.stack(scribble(source, [0, 1], 64))).float() / 255
    for number in (0, 1):
        place = shown[0, :, :, number * 128 : number * 128 + 64]
        assert torch.equal(place, drawn[number].expand(3, -1, -1))


# --- what comes of it


@pytest.mark.filterwarnings("ignore")
def test_the_stock_pipeline_paints_the_same_with_the_saved_folder(
    studio: Studio, tmp_path: Path
) -> None:
    folder = saved(studio, graph(steps=3, learning_rate=0.02))
    library = studio.context.models
    assert isinstance(library, Library)
    assert library.describe("companion").controlnet is not None
    assert (folder / "card.json").is_file()
    controlnet: Any = diffusers.ControlNetModel.from_pretrained(folder, local_files_only=True)
    parts = components()
    pipe: Any = diffusers.StableDiffusionControlNetPipeline(**{**parts, "controlnet": controlnet})
    pipe.set_progress_bar_config(disable=True)
    file = write_picture(tmp_path / "drawing.png")
    with Pillow.open(file) as image:
        generator = torch.Generator().manual_seed(SEED)
        given = {**COMMON, "image": image, "width": 128, "height": 128}
        theirs = pipe(**given, generator=generator)[0]
    ours = fresh(controlled(graph_of("ddim", "compatible"), folder, file))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, fresh(graph_of("ddim", "compatible")))


def test_a_controlnet_in_half_precision_takes_half_the_room(studio: Studio) -> None:
    whole = saved(studio, graph(steps=1))
    half = saved(studio, graph(steps=1).set("save", dtype="float16", name="half"))
    sizes = [(p / "diffusion_pytorch_model.safetensors").stat().st_size for p in (whole, half)]
    assert sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.01)


# --- hints


def test_scenes_come_with_the_scribble_of_their_address(studio: Studio) -> None:
    source = Scenes(3, 6)
    feed = Feed(Dataset(source, 32), 0, CPU, None, hints="scribble")
    ctx = Quiet(studio)
    seen = feed.seen(range(4), ctx)
    wanted = np.stack(scribble(source, feed.indices(range(4)), 32))
    assert torch.equal(seen[HINT][:, 0], torch.from_numpy(wanted))
    assert torch.equal(feed.seen(range(4), ctx)[HINT], seen[HINT])


def test_painters_hand_over_each_picture_with_its_scribble() -> None:
    source = Scenes(0, 4)
    painters = Painters(source, 32, is_scribbled=True)
    try:
        taken = painters.take([2, 0])
    finally:
        painters.close()
    for index, both in zip((2, 0), taken, strict=True):
        assert np.array_equal(both[..., :3], paint(source, [index], 32)[0])
        assert np.array_equal(both[..., 3], scribble(source, [index], 32)[0])


def test_a_photograph_is_drawn_where_it_was_cropped_and_mirrored(
    studio: Studio, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "data", count=2, size=(96, 64))
    for file in folder.glob("*.png"):
        with Pillow.open(file) as opened:
            opened.paste("black", (10, 10, 50, 40))
            opened.save(file)
    made = graph(hint="edges").remove("data")
    params: dict[str, Json] = {"folder": str(folder), "size": 64, "random_crop": True, "flip": True}
    made = made.add(Node(NodeId("data"), "picture_folder", params=params))
    made = made.connect("data", "dataset", "train", "dataset")
    assert studio.run(made).status == "ok"
    feed = Feed(plan_of(studio, made).dataset, 0, CPU, None, hints="edges")
    seen = feed.seen(range(6), Quiet(studio))
    for picture, drawn in zip(seen["signal"], seen[HINT], strict=True):
        lines = edges(picture[None] / 2 + 0.5, 1.0, 0.1, 2.0)
        assert torch.equal(drawn[None].float() / 255, lines)
        assert lines.any()


# --- what does not fit


@pytest.mark.parametrize(
    ("params", "where", "told"),
    [
        (
            {"hint_channels": [16, 32, 64]},
            "hint_channels",
            r"lead to 4 px a latent, and the model has 8.*give 4 widths, such as \[16, 32, 64, 128\]",
        ),
        ({"hint_channels": []}, "hint_channels", "give 4 widths"),
    ],
)
def test_a_way_down_that_does_not_fit_the_latents_is_refused(
    studio: Studio, params: dict[str, Json], where: str, told: str
) -> None:
    with pytest.raises(GraphError, match=told) as caught:
        studio.run(graph(**params))
    assert caught.value.where == f"train.{where}"


def test_a_network_that_reads_no_text_takes_none(studio: Studio) -> None:
    made = graph().add(
        Node(NodeId("pixels"), "new_unet", params={"channels": [8, 16], "head_width": 8})
    )
    made = made.add(Node(NodeId("first"), "train_diffusion", params={"steps": 1, "batch": 2}))
    made = made.connect("pixels", "network", "first", "network")
    made = made.connect("data", "dataset", "first", "dataset")
    made = made.connect("first", "model", "train", "model")
    with pytest.raises(GraphError, match="is trained in this graph; save it by save_model"):
        studio.run(made)
