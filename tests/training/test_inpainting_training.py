"""Training an inpainting model: it paints at first as the base does, whatever the mask, and denoise takes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch.nn.functional import interpolate

from studio.diffusion import vae
from studio.errors import GraphError
from studio.events import Measured
from studio.graph import Graph, Json, Node, NodeId
from studio.models.library import Library
from studio.models.saving import save_model as save
from studio.store import Store
from studio.training.denoising import Denoising
from studio.training.feeding import PIXELS
from studio.training.holes import holes
from studio.training.inpainting import Inpainting
from studio.training.task import Origin
from studio.values import Latents, ModelFolder
from tests.starter import WIDTH
from tests.training.tasks import Quiet, plan_of, tuning
from tests.training.tiny import Studio, same

CPU = torch.device("cpu")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def graph(**train: Json) -> Graph:
    return tuning("train_inpainting", **train)


def painted(made: Graph) -> Graph:
    """A hole of a scene painted by the model that the graph trains."""
    nodes: dict[str, tuple[str, dict[str, Json]]] = {
        "prompt": ("text_encoder", {"prompt": "a red house"}),
        "picture": ("dataset_pictures", {"count": 1}),
        "hole": ("mask_from_color", {"color": "#ffffff", "tolerance": 0.4}),
        "masked": ("vae_encode", {}),
        "noise": ("noise_source", {"width": 64, "height": 64}),
        "schedule": ("scheduler", {"steps": 3}),
        "denoise": ("denoise", {"guidance": 2.0}),
    }
    for name, (kind, params) in nodes.items():
        made = made.add(Node(NodeId(name), kind, params=params))
    for source, target in (
        ("starter.text_encoder", "prompt.text_encoder"),
        ("data.dataset", "picture.dataset"),
        ("picture.image", "hole.image"),
        ("picture.image", "masked.image"),
        ("hole.mask", "masked.mask"),
        ("starter.vae", "masked.vae"),
        ("starter.model", "schedule.model"),
        ("train.model", "denoise.model"),
        ("prompt.conditioning", "denoise.positive"),
        ("noise.latents", "denoise.noise"),
        ("schedule.schedule", "denoise.schedule"),
        ("hole.mask", "denoise.mask"),
        ("masked.latents", "denoise.masked"),
    ):
        node, _, output = source.partition(".")
        other, _, port = target.partition(".")
        made = made.connect(node, output, other, port)
    return made


def latents(studio: Studio, made: Graph) -> torch.Tensor:
    """What denoise gives."""
    assert studio.run(made, "denoise").status == "ok"
    value = studio.stored(made, "denoise", "latents")
    assert isinstance(value, Latents)
    return value.samples


# --- what is learned


def test_before_the_first_step_it_paints_as_the_base_whatever_the_mask(studio: Studio) -> None:
    made = graph()
    ctx = Quiet(studio)
    task = Inpainting(plan_of(studio, made), ctx, Origin())
    base = Denoising(plan_of(studio, tuning("train_diffusion")), ctx, Origin())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    text = {"encoder_hidden_states": torch.randn(2, 7, WIDTH, generator=generator)}
    t = torch.tensor([10, 700])
    with torch.no_grad():
        around = [torch.randn(2, 5, 8, 8, generator=generator) for _ in range(2)]
        one, two = (task.predict(x, t, {**text, "around": each}) for each in around)
        alone = base.predict(x, t, text)
    # weights of 0 leave no trace; the sum over nine channels may be rounded otherwise than that over four
    assert torch.equal(one, two)
    assert torch.allclose(one, alone, atol=1e-5)


def test_a_batch_is_told_the_mask_and_what_the_vae_sees_of_the_rest(studio: Studio) -> None:
    """In the order of Stable Diffusion's inpainting models: latents, mask, masked latents."""
    ctx = Quiet(studio)
    plan = plan_of(studio, graph())
    task = Inpainting(plan, ctx, Origin())
    seen: list[torch.Tensor] = []
    task.network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    task.loss(0, ctx)
    (given,) = seen
    assert given.shape == (2, 9, 8, 8)
    positions = range(2)
    pixels = task.feed.known(task.feed.indices(positions), ctx)[PIXELS].float() / 127.5 - 1
    mask = holes(plan.recipe.seed, [-(2**42) - at for at in positions], 64, CPU)
    assert torch.equal(given[:, 4:5], interpolate(mask, size=(8, 8)))
    assert plan.vae is not None
    with ctx.pool.use(plan.vae.ref) as module:
        network: Any = module
        for row in positions:
            picture = pixels[row][None] / 2 + 0.5
            masked = vae.encode(network, picture, hole=mask[row][None])
            assert torch.equal(given[row, 5:], masked[0])


def test_it_learns_and_a_cancelled_training_ends_with_the_very_same_weights(
    studio: Studio,
) -> None:
    made = graph(steps=5)
    studio.stop_after(made, 3)
    assert studio.run(made).nodes["train"].from_step == 3
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        assert same(studio.trained(made), whole.trained(made))
    first = studio.trained(made).weights["unet"]["conv_in.weight"]
    assert first.shape[1] == 9
    assert first[:, 4:].any()


def test_validation_looks_through_the_same_holes_every_time(studio: Studio) -> None:
    made = graph(steps=2, learning_rate=0.0, validate_every=1)
    made = made.add(
        Node(NodeId("unseen"), "scene_painter", params={"size": 64, "count": 3, "seed": 9})
    ).connect("unseen", "dataset", "train", "validation")
    studio.run(made)
    events = [event.values for event in studio.events if isinstance(event, Measured)]
    first, second = (values["validation"] for values in events if "validation" in values)
    assert first == second


def test_looks_show_each_picture_behind_the_one_with_its_hole(studio: Studio) -> None:
    studio.run(graph())
    shown = studio.image(graph(), "train", "samples")
    assert shown.shape == (1, 3, 64, 2 * 128)


# --- what comes of it


def test_denoise_paints_with_the_model_and_with_the_saved_folder_alike(studio: Studio) -> None:
    made = painted(graph(steps=3))
    inside = latents(studio, made)
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder, library)
    theirs: Any = diffusers.UNet2DConditionModel.from_pretrained(
        place, subfolder="unet", local_files_only=True
    )
    assert theirs.config.in_channels == 9
    made = made.add(Node(NodeId("loaded"), "load_unet", params={"model": "companion"}))
    made = made.connect("loaded", "model", "denoise", "model")
    assert torch.equal(latents(studio, made), inside)


def test_an_inpainting_model_goes_on(studio: Studio) -> None:
    made = graph(steps=2)
    more: dict[str, Json] = {**made.nodes[NodeId("train")].params, "learning_rate": 0.0}
    made = made.add(Node(NodeId("more"), "train_inpainting", params=more))
    made = made.connect("data", "dataset", "more", "dataset")
    made = made.connect("train", "model", "more", "model")
    for part in ("vae", "text_encoder"):
        made = made.connect("starter", part, "more", part)
    assert studio.run(made, "more").status == "ok"
    tuned: Any = studio.stored(made, "more", "trained")
    assert same(tuned, studio.trained(made))


def test_a_model_without_a_vae_is_told_while_planning(studio: Studio) -> None:
    with pytest.raises(GraphError, match="vae"):
        studio.run(graph().disconnect("train", "vae"))


# --- holes


def test_a_hole_follows_from_seed_and_address_alone() -> None:
    many = holes(3, range(40), 32, CPU)
    assert torch.equal(holes(3, [7, 31], 32, CPU), many[[7, 31]])
    assert not torch.equal(holes(4, [7], 32, CPU), many[7:8])


def test_holes_are_of_every_size_and_some_cover_all() -> None:
    made = holes(0, range(400), 32, CPU)
    assert bool(((made == 0) | (made == 1)).all())
    shares = made.mean((1, 2, 3))
    # 15 in 100 are everything
    assert 40 <= int((shares == 1).sum()) <= 80
    assert int((shares == 0).sum()) <= 8
    assert 0.33 < float(shares.mean()) < 0.5
    for low in (0.05, 0.2, 0.4):
        assert bool(((shares > low) & (shares < low + 0.2)).any())


def test_a_hole_is_the_same_at_another_size() -> None:
    """Masks are shapes, not pixels: at twice the size each shrinks to nearly the same."""
    small, large = holes(1, range(50), 32, CPU), holes(1, range(50), 64, CPU)
    assert float((torch.nn.functional.avg_pool2d(large, 2) - small).abs().mean()) < 0.03
