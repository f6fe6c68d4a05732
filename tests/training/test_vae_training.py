"""Training of autoencoders: the loss by hand, resuming, the order of the latents, and a model that diffusers loads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from studio.diffusion import runtime
from studio.engine import Cancel
from studio.errors import StudioError
from studio.events import Event, Failed, Measured, Step
from studio.graph import Graph, Node, NodeId
from studio.models.library import Library
from studio.models.loading import build, load_trained, trained_component
from studio.models.saving import save_model as save
from studio.plan import key_graph
from studio.store import Store
from studio.training.autoencoding import distance, divergence, psnr, squares, whitened
from studio.training.data import Examples
from studio.training.vae_plan import Balance
from studio.values import Dataset, ModelFolder, Scenes, Trained, Vae
from tests.training.tiny import TYPES, Studio

NOTHING = Balance(0, 0, 0, 0, 0, 0)


def graph(**train: object) -> Graph:
    """An autoencoder of two levels that learns pictures of 32 px from squares of 16."""
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "data": ("scene_painter", {"size": 32, "count": 40}),
        "net": ("new_vae", {"channels": [8, 16], "groups": 4}),
        "train": (
            "train_vae",
            {
                "steps": 8,
                "batch": 4,
                "crop": 16,
                "warmup": 2,
                "checkpoint_every": 3,
                "sample_every": 0,
                "samples": 2,
                "ema": 0.9,
                **train,
            },
        ),
    }
    made = Graph()
    for name, (type_id, params) in nodes.items():
        made = made.add(Node(NodeId(name), type_id, params=params))  # type: ignore[arg-type]  # JSON
    return made.connect("data", "dataset", "train", "dataset").connect(
        "net", "network", "train", "network"
    )


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def same(one: Trained, other: Trained) -> bool:
    """Whether two trainings gave the same autoencoder to the last bit."""
    first, second = one.weights["vae"], other.weights["vae"]
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def losses(studio: Studio) -> list[float]:
    """The losses of the last run, step by step."""
    return [event.values["loss"] for event in studio.events if isinstance(event, Measured)]


def pictures(count: int = 40, size: int = 32) -> Tensor:
    """The pictures of the data set, float32 [count, 3, size, size] in [-1, 1]."""
    made = graph()
    items = key_graph(made, TYPES, ["train"], Studio(Store(None)).context)
    (data,) = (item for item in items if item.id == "data")
    assert data.described is not None
    dataset = data.described["dataset"]
    assert isinstance(dataset, Dataset)
    examples = Examples(dataset, 0)
    return torch.stack([examples.picture(index) for index in range(count)])


def network(trained: Trained) -> Any:
    """The autoencoder that a training has given."""
    component = trained_component(trained, "vae")
    return load_trained(component, trained.weights["vae"], device="cpu", dtype="float32")


# --- the loss


def test_each_part_of_the_loss_is_its_formula() -> None:
    # one channel off by 3 in one pixel of 4 x 4, which is what two neighbours across and two down see
    error = torch.zeros(1, 3, 8, 8)
    error[0, 0, 2, 5] = 3.0
    values = 3 * 8 * 8
    differences = 3 * 8 * 7
    for balance, wanted in (
        (Balance(1, 0, 0, 0, 0, 0), 3 / values),
        (Balance(0, 0, 0, 1, 0, 0), 9 / values),
        (Balance(0, 1, 0, 0, 0, 0), 2 * (3 + 3) / differences),
        # an average over any square keeps its share of the sum
        (Balance(0, 0, 1, 0, 0, 0), 3 / values),
        # grey is 1 in all three: 2, -1 and -1 are left
        (Balance(0, 0, 0, 0, 1, 0), 4 / values),
    ):
        assert float(distance(error, balance)) == pytest.approx(wanted, rel=1e-6)
    assert float(distance(error, NOTHING)) == 0
    whole = Balance(2, 3, 5, 7, 11, 0)
    summed = 2 * 3 + 5 * 3 + 7 * 9 + 11 * 4
    wanted = summed / values + 3 * 12 / differences
    assert float(distance(error, whole)) == pytest.approx(wanted, rel=1e-6)


def test_grey_errors_are_no_errors_of_colour() -> None:
    grey = torch.randn(2, 1, 8, 8).expand(2, 3, 8, 8)
    assert float(distance(grey, Balance(0, 0, 0, 0, 1, 0))) == pytest.approx(0, abs=1e-6)


def test_the_divergence_is_that_of_torchs_distributions() -> None:
    draws = torch.Generator().manual_seed(3)
    mean, log_variance = torch.randn(2, 5, 4, 6, 6, generator=draws)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    wanted = torch.distributions.kl_divergence(posterior, prior).mean()
    torch.testing.assert_close(divergence(mean, log_variance), wanted)


def test_psnr_is_of_eight_bits_and_of_each_picture() -> None:
    one = torch.full((3, 3, 8, 8), 100, dtype=torch.uint8)
    other = one.clone()
    other[1] += 10
    other[2] -= 100
    found = psnr(one, other).tolist()
    assert found[0] == pytest.approx(100)
    assert found[1] == pytest.approx(20 * math.log10(255 / 10))
    assert found[2] == pytest.approx(20 * math.log10(255 / 100))


def test_squares_are_pieces_of_their_pictures_at_multiples_of_the_step() -> None:
    draws = torch.Generator().manual_seed(0)
    # every value tells where it stood
    rows, columns = torch.arange(32)[:, None], torch.arange(32)[None]
    places = torch.stack([rows.expand(32, 32), columns.expand(32, 32), torch.zeros(32, 32)])
    shown = torch.stack([places + torch.tensor([0, 0, n])[:, None, None] for n in range(200)])
    cut = squares(shown.float(), 16, 8, draws)
    assert cut.shape == (200, 3, 16, 16)
    corners = cut[:, :2, 0, 0]
    assert set(corners.flatten().tolist()) == {0.0, 8.0, 16.0}
    assert len(set(map(tuple, corners.tolist()))) == 9
    assert torch.equal(cut[:, 2, 0, 0], torch.arange(200.0))
    assert torch.equal(cut[:, 0] - corners[:, 0, None, None], rows[:16].expand(200, 16, 16).float())
    assert torch.equal(
        cut[:, 1] - corners[:, 1, None, None], columns[:, :16].expand(200, 16, 16).float()
    )


# --- learning


def test_a_hundred_tiny_steps_bring_the_psnr_up(studio: Studio) -> None:
    unseen = {"size": 32, "count": 12, "seed": 9, "held_out": "only"}
    made = graph(steps=100, batch=8, validate_every=10, learning_rate=0.005, checkpoint_every=100)
    made = made.add(Node(NodeId("unseen"), "scene_painter", params=unseen))  # type: ignore[arg-type]  # JSON
    made = made.connect("unseen", "dataset", "train", "validation")
    studio.run(made)
    ratios = [
        event.values["psnr"]
        for event in studio.events
        if isinstance(event, Measured) and "psnr" in event.values
    ]
    assert len(ratios) == 10
    assert ratios[-1] > ratios[0] + 3
    # what is told is what the given autoencoder does
    trained = studio.trained(made)
    measured = cast("dict[str, float]", trained.card["measured"])
    assert measured["psnr"] == pytest.approx(ratios[-1], abs=1e-4)
    vae = network(trained)
    source = Scenes(9, 12, {}, is_held_out=True)
    examples = Examples(Dataset(source, 32), 0)
    shown = torch.stack([examples.picture(index) for index in range(12)])
    with torch.no_grad():
        again = vae.decode(vae.encode(shown).latent_dist.mean).sample.clamp(-1, 1)
    first, second = (
        ((each + 1) * 127.5).round().to(torch.uint8).double() for each in (shown, again)
    )
    each = 10 * (255**2 / (first - second).square().mean(dim=(1, 2, 3))).log10()
    assert ratios[-1] == pytest.approx(float(each.mean()), abs=0.02)


def test_stopped_anywhere_it_ends_with_the_very_same_weights(studio: Studio) -> None:
    # with half of the steps on whole pictures, the stop lies before, at and after the turn
    made = graph(whole=0.5)
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        wanted = whole.trained(made)
    for at in (2, 4, 5):
        with Store(None) as store:
            again = Studio(store)
            again.stop_after(made, at)
            assert again.run(made).nodes["train"].from_step == at
            assert same(again.trained(made), wanted)


def test_more_steps_go_on_from_where_the_last_part_has_not_begun(studio: Studio) -> None:
    studio.run(graph(steps=10, whole=0.5, decay=0.2))
    longer = graph(steps=20, whole=0.5, decay=0.2)
    assert studio.run(longer).nodes["train"].from_step == 3
    with Store(None) as store:
        whole = Studio(store)
        whole.run(longer)
        assert same(studio.trained(longer), whole.trained(longer))


@pytest.mark.parametrize(
    "change",
    [
        {"l1": 0.0},
        {"gradient": 0.0},
        {"scales": 0.0},
        {"mse": 9.0},
        {"final_mse": 0.0},
        {"chroma": 0.0},
        {"kl": 0.1},
        {"crop": 0},
        {"crop": 24},
        {"whole": 0.0},
        {"whiten": False},
        {"optimizer": "adamw"},
        {"precision": "bfloat16"},
        {"weight_decay": 0.5},
        {"ema": 0.0},
        {"seed": 1},
    ],
)
def test_every_parameter_changes_what_is_learned(
    studio: Studio, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda device: True)
    studio.run(graph())
    assert studio.run(graph(**change)).status == "ok"
    assert not same(studio.trained(graph()), studio.trained(graph(**change)))


def test_the_last_part_sees_whole_pictures_of_as_many_pixels_and_weighs_the_square(
    studio: Studio,
) -> None:
    # at rate 0 the weights stay: the loss of a whole picture is that of the same picture in a batch of one
    alone: dict[str, object] = {"steps": 1, "learning_rate": 0.0, "kl": 0.0, "ema": 0.0}
    studio.run(graph(**alone, whole=1.0, batch=4, final_mse=5.0))
    (late,) = losses(studio)
    studio.run(graph(**alone, whole=0.0, batch=1, crop=0, mse=5.0))
    (early,) = losses(studio)
    # the batches of 4 and of 1 begin with the same picture, and the noise is that of the step
    assert late == pytest.approx(early)


def test_it_goes_on_from_an_autoencoder_of_the_library_and_from_one_of_the_graph(
    studio: Studio,
) -> None:
    made = graph(steps=2)
    second = {
        **made.nodes[NodeId("train")].params,
        "learning_rate": 0.0,
        "ema": 0.0,
        "whiten": False,
    }
    made = made.add(Node(NodeId("more"), "train_vae", params=second))
    made = made.connect("data", "dataset", "more", "dataset").connect("train", "vae", "more", "vae")
    assert studio.run(made, "more").status == "ok"
    again = cast("Trained", studio.stored(made, "more", "trained"))
    assert same(again, studio.trained(made))

    library = studio.context.models
    assert isinstance(library, Library)
    loaded = graph(steps=1, learning_rate=0.0, ema=0.0, whiten=False).remove("net")
    loaded = loaded.add(Node(NodeId("starter"), "load_vae", params={}))
    loaded = loaded.connect("starter", "vae", "train", "vae")
    assert studio.run(loaded).status == "ok"
    from studio.models.loading import load_module

    ref = library.describe("starter").vae
    assert ref is not None
    original = load_module(library.component(ref.ref), device="cpu", dtype="float32")
    given = studio.trained(loaded).weights["vae"]
    for name, weight in original.state_dict().items():
        assert torch.equal(given[name], weight)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_decoder_learns_alone_and_leaves_the_latents_as_they_are(
    studio: Studio, optimizer: str
) -> None:
    made = graph(steps=2)
    second = {
        **made.nodes[NodeId("train")].params,
        "steps": 6,
        "decoder_only": True,
        "weight_decay": 0.1,
        "optimizer": optimizer,
    }
    made = made.add(Node(NodeId("more"), "train_vae", params=second))
    made = made.connect("data", "dataset", "more", "dataset").connect("train", "vae", "more", "vae")
    cancel = Cancel()

    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.node == "more" and event.step == 4:
            cancel.set()

    studio.run(made, "more", cancel=cancel, listen=stop)
    assert studio.run(made, "more").nodes["more"].from_step == 4
    first = studio.trained(made).weights["vae"]
    tuned = cast("Trained", studio.stored(made, "more", "trained")).weights["vae"]
    for name, weight in tuned.items():
        is_decoder = name.startswith(("decoder.", "post_quant_conv."))
        if name.endswith("weight") or not is_decoder:
            assert torch.equal(weight, first[name]) != is_decoder, name


# --- the latents


def latents_of(vae: Any, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Means of the latents and what is decoded of them."""
    with torch.no_grad():
        mean = vae.encode(shown).latent_dist.mean
        return mean, vae.decode(mean).sample


def test_whitened_latents_are_uncorrelated_and_mean_the_same_pictures(studio: Studio) -> None:
    made = graph(steps=30, learning_rate=0.005)
    studio.run(made)
    studio.run(graph(steps=30, learning_rate=0.005, whiten=False))
    plain = studio.trained(graph(steps=30, learning_rate=0.005, whiten=False))
    trained = studio.trained(made)
    shown = pictures()
    before, painted = latents_of(network(plain), shown)
    after, painted_again = latents_of(network(trained), shown)
    torch.testing.assert_close(painted_again, painted, rtol=0, atol=1e-4)
    values = after.movedim(1, 0).flatten(1)
    torch.testing.assert_close(values.mean(dim=1), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(torch.cov(values), torch.eye(4), rtol=0, atol=1e-2)
    # they were not so before
    former = before.movedim(1, 0).flatten(1)
    assert float((torch.cov(former) - torch.eye(4)).abs().max()) > 0.1
    assert trained.configs["vae"]["scaling_factor"] == 1.0


def test_the_posterior_keeps_its_spread_on_average() -> None:
    vae: Any = build(
        cast(
            "Any",
            SimpleNamespace(
                config=tiny_config(),
                class_name="AutoencoderKL",
                name="vae",
                weights=(Path("none"),),
            ),
        )
    )
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        # channels that hang together, of different sizes
        vae.quant_conv.weight.copy_(torch.randn(8, 8, 1, 1, generator=draws))
    shown = torch.randn(16, 3, 16, 16, generator=draws)

    def spread() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            posterior = vae.encode(shown).latent_dist
        return tuple(
            each.movedim(1, -1).flatten(0, 2) for each in (posterior.mean, posterior.logvar)
        )

    mean, log_variance = spread()
    vae.load_state_dict({**vae.state_dict(), **whitened(vae.state_dict(), mean, log_variance)})
    turned, log_turned = spread()
    torch.testing.assert_close(torch.cov(turned.T), torch.eye(4), rtol=0, atol=1e-2)
    # the variance of W z is the diagonal of W diag(v) W'; W is what turns one set of means into the other
    solved = torch.linalg.lstsq(mean - mean.mean(0), turned).solution.T
    wanted = log_variance.exp() @ solved.square().T
    torch.testing.assert_close(log_turned.mean(0), wanted.log().mean(0), rtol=0, atol=1e-2)


def tiny_config() -> dict[str, object]:
    """The config that new_vae gives for two levels."""
    items = key_graph(graph(), TYPES, ["train"], Studio(Store(None)).context)
    (net,) = (item for item in items if item.id == "net")
    assert net.described is not None
    described = cast("Any", net.described["network"])
    return {"_class_name": described.class_name, **described.config}


# --- the model


def folder_of(studio: Studio, made: Graph, **params: object) -> ModelFolder:
    """What save_model hands over after the training has run."""
    made = made.add(Node(NodeId("save"), "save_model", params={"name": "tiny", **params}))  # type: ignore[dict-item]  # JSON
    made = made.connect("train", "trained", "save", "trained")
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    return folder


def test_load_vae_finds_it_and_stock_diffusers_loads_it(studio: Studio) -> None:
    from diffusers import AutoencoderKL

    made = graph(steps=3)
    folder = folder_of(studio, made, dtype="float32")
    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder, library)
    theirs = AutoencoderKL.from_pretrained(place, subfolder="vae", local_files_only=True)
    assert theirs.config.scaling_factor == 1.0
    shown = pictures(3)
    ours = latents_of(network(studio.trained(made)), shown)
    for one, other in zip(latents_of(theirs, shown), ours, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)

    described = library.describe("tiny").vae
    assert described is not None
    assert (described.latent_channels, described.downscale) == (4, 2)
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    assert card["recipe"]["crop"] == 16
    assert card["recipe"]["loss"]["gradient"] == 0.7
    assert card["data"]["pictures"] == 40
    assert "target" not in card["recipe"]


def through(made: Graph, source: str) -> Graph:
    """The graph with a picture encoded and decoded by an autoencoder."""
    made = made.add(Node(NodeId("show"), "dataset_pictures", params={"count": 2}))
    made = made.add(Node(NodeId("encode"), "vae_encode", params={}))
    made = made.add(Node(NodeId("decode"), "vae_decode", params={}))
    for link in (
        ("data.dataset", "show.dataset"),
        ("show.image", "encode.image"),
        (f"{source}.vae", "encode.vae"),
        (f"{source}.vae", "decode.vae"),
        ("encode.latents", "decode.latents"),
    ):
        made = made.connect(*link[0].split("."), *link[1].split("."))
    return made


def test_the_graph_that_trains_it_uses_it_as_the_saved_one(studio: Studio) -> None:
    made = through(graph(steps=3), "train")
    assert studio.run(made, "decode").status == "ok"
    direct = studio.image(made, "decode")
    library = studio.context.models
    assert isinstance(library, Library)
    save(folder_of(studio, made, dtype="float32"), library)
    loaded = graph().add(Node(NodeId("load"), "load_vae", params={"model": "tiny"}))
    loaded = through(loaded, "load")
    studio.run(loaded, "decode")
    assert torch.equal(studio.image(loaded, "decode"), direct)

    items = key_graph(made, TYPES, ["train"], studio.context)
    (announced,) = (item.announced["vae"] for item in items if item.id == "train")
    assert isinstance(announced, Vae)
    saved = library.describe("tiny").vae
    assert saved is not None
    for field in ("family", "latent_channels", "downscale"):
        assert getattr(announced, field) == getattr(saved, field)


def test_samples_are_pictures_above_what_is_made_of_them(studio: Studio) -> None:
    made = graph(steps=4, sample_every=2)
    studio.run(made)
    sheets = studio.image(made, "train", "samples")
    assert sheets.shape == (2, 3, 64, 64)
    torch.testing.assert_close(sheets[-1, :, :32, :32], pictures(1)[0] / 2 + 0.5, rtol=0, atol=1e-6)
    shown = pictures(1)
    _, painted = latents_of(network(studio.trained(made)), shown)
    below = (painted[0].clamp(-1, 1) / 2 + 0.5 - sheets[-1, :, 32:, :32]).abs()
    assert float(below.max()) < 0.01


# --- what does not fit


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (lambda made: made.disconnect("train", "network"), "train.network", "one of the two"),
        (lambda made: made.set("train", crop=15), "train.crop", "squares of 15 px do not fit"),
        (lambda made: made.set("train", crop=40), "train.crop", "squares of 40 px do not fit"),
        (lambda made: made.set("net", channels=[8] * 7), "train.dataset", "a latent stands for 64"),
        (lambda made: made.set("net", channels=[7]), "net.channels", "not all multiples"),
        (lambda made: made.set("net", channels=[]), "net.channels", "not all multiples"),
    ],
)
def test_what_does_not_fit_together_is_told_while_planning(
    studio: Studio, edit: Callable[[Graph], Graph], where: str, what: str
) -> None:
    with pytest.raises(StudioError) as caught:
        studio.run(edit(graph()))
    assert what in caught.value.what
    assert caught.value.where == where


def test_networks_of_another_kind_are_refused_on_both_sides(studio: Studio) -> None:
    made = graph().add(Node(NodeId("unet"), "new_unet", params={}))
    with pytest.raises(StudioError, match="is a UNet2DModel") as caught:
        studio.run(made.connect("unet", "network", "train", "network"))
    assert caught.value.where == "train.network"
    other = graph().remove("train").add(Node(NodeId("train"), "train_diffusion", params={}))
    other = other.connect("data", "dataset", "train", "dataset")
    with pytest.raises(StudioError, match="is an autoencoder") as caught:
        studio.run(other.connect("net", "network", "train", "network"))
    assert caught.value.where == "train.network"


def test_a_diffusion_training_wants_the_autoencoder_saved_first(studio: Studio) -> None:
    made = graph().add(Node(NodeId("unet"), "new_unet", params={}))
    made = made.add(Node(NodeId("next"), "train_diffusion", params={}))
    for source, target in (
        ("data.dataset", "next.dataset"),
        ("train.vae", "unet.vae"),
        ("train.vae", "next.vae"),
        ("unet.network", "next.network"),
    ):
        made = made.connect(*source.split("."), *target.split("."))
    with pytest.raises(StudioError, match="is trained in this graph") as caught:
        studio.run(made, "next")
    assert caught.value.where == "next.vae"


def test_validation_pictures_have_the_size_of_those_that_are_learned(studio: Studio) -> None:
    made = graph().add(Node(NodeId("unseen"), "scene_painter", params={"size": 16}))
    with pytest.raises(StudioError, match="pictures of 16 px") as caught:
        studio.run(made.connect("unseen", "dataset", "train", "validation"))
    assert caught.value.where == "train.validation"


def test_a_loss_that_is_no_number_names_the_learning_rate(studio: Studio) -> None:
    made = graph(steps=60, learning_rate=1.0, clip=0.0, warmup=0, weight_decay=10.0, decay=0.0)
    assert studio.run(made).status == "failed"
    (failed,) = (event for event in studio.events if isinstance(event, Failed))
    assert "the loss is no number after" in failed.what
    assert failed.where == "train.learning_rate"
