"""Training as a loop of the engine: it resumes bit for bit, learns, measures, shows, and gives an ordinary model."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nodes.training_frame import plan_of
from studio.delivery import Delivery
from studio.diffusion import runtime
from studio.engine import Cancel
from studio.errors import GraphError, ModelError, NodeError, StudioError
from studio.events import Event, Failed, Measured, Preview, Step
from studio.graph import Graph, Node, NodeId
from studio.models.library import Library
from studio.models.pool import Pool
from studio.models.saving import save_model as save
from studio.numerics import choose
from studio.plan import key_graph, outlook
from studio.resources import resource
from studio.store import Store
from studio.training.recipe import Rates, Recipe, blocks
from studio.values import Dataset, Image, Model, ModelFolder, Scenes, TextEncoder
from studio.workflow import Workflow
from tests.starter import WIDTH
from tests.training.pictures import fill
from tests.training.tiny import TYPES, Studio, graph, same

ROOT = Path(__file__).parents[2]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Store(None) as store:
        yield Studio(store, tmp_path / "models")


def failure(studio: Studio) -> Failed:
    """What failed in the last run."""
    (failed,) = (event for event in studio.events if isinstance(event, Failed))
    return failed


# --- resuming


def killed(folder: Path, steps: int, optimizer: str, at: int) -> None:
    """Train in another process, and kill it as soon as it tells of a step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.tiny", str(folder), str(steps), optimizer],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "'step', 'run'" in line and f"'step': {at}," in line:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("at", [5, 11])
def test_killed_at_any_step_a_training_ends_with_the_very_same_weights(
    tmp_path: Path, optimizer: str, at: int
) -> None:
    made = graph(steps=12, optimizer=optimizer)
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        wanted = whole.trained(made)
    killed(tmp_path, 12, optimizer, at)
    with Store(tmp_path) as store:
        again = Studio(store)
        done = again.run(made)
        assert done.status == "ok"
        # the writer's thread may not have got to the newest state before the end
        assert done.nodes["train"].from_step % 3 == 0
        assert done.nodes["train"].from_step <= at
        assert same(again.trained(made), wanted)


def test_cancelled_in_mid_block_it_goes_on_at_the_very_step(studio: Studio) -> None:
    made = graph(steps=8)
    studio.stop_after(made, 5)
    done = studio.run(made)
    assert (done.nodes["train"].status, done.nodes["train"].from_step) == ("resumed", 5)
    with Store(None) as store:
        whole = Studio(store)
        whole.run(made)
        assert same(studio.trained(made), whole.trained(made))


def test_more_steps_go_on_from_before_the_decay_and_give_what_a_whole_run_gives(
    studio: Studio,
) -> None:
    studio.run(graph(steps=10, decay=0.3))
    longer = graph(steps=20, decay=0.3)
    done = studio.run(longer)
    assert done.nodes["train"].from_step == 6
    assert (done.model_calls, done.model_calls_saved) == (14, 6)
    with Store(None) as store:
        whole = Studio(store)
        whole.run(longer)
        assert same(studio.trained(longer), whole.trained(longer))


def test_without_decay_more_steps_go_on_from_the_end(studio: Studio) -> None:
    studio.run(graph(steps=9, decay=0.0))
    assert studio.run(graph(steps=12, decay=0.0)).nodes["train"].from_step == 9


def test_any_other_change_begins_anew(studio: Studio) -> None:
    studio.run(graph())
    for change in ({"seed": 1}, {"learning_rate": 0.002}, {"target": "epsilon"}, {"batch": 5}):
        assert studio.run(graph(**change)).nodes["train"].from_step == 0


def test_checkpoints_take_bounded_room(tmp_path: Path) -> None:
    made = graph(steps=30)
    with Store(tmp_path) as store:
        Studio(store).run(made)
        store.flush()
        # before the decay, and the last
        assert store.stats().states == 2


def test_a_finished_training_is_stored_and_plans_fast(studio: Studio) -> None:
    made = graph()
    studio.run(made)
    assert studio.run(made).nodes["train"].status == "cached"
    keyed = key_graph(made, TYPES, ["train"], studio.context)
    assert outlook(keyed, ["train"], studio.store)[NodeId("train")].status == "cached"


def test_blocks_cover_all_steps_and_one_stays() -> None:
    cut = list(blocks(250, 100, Rates(0.1, 10, 0.2)))
    assert [(block.first, len(block.rates)) for block in cut] == [(0, 100), (100, 100), (200, 50)]
    assert [block.is_lasting for block in cut] == [False, True, False]


def test_rates_rise_stay_and_fall() -> None:
    rates = Rates(0.1, 10, 0.5)
    assert rates.at(0, 100) == pytest.approx(0.01)
    assert {rates.at(step, 100) for step in range(9, 50)} == {0.1}
    assert rates.at(49, 100) == rates.at(49, 1000)
    falling = [rates.at(step, 100) for step in range(50, 100)]
    assert falling == sorted(falling, reverse=True)
    assert falling[24] == pytest.approx(0.05, abs=0.003)
    assert falling[-1] == pytest.approx(0, abs=2e-4)


# --- learning


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_hundred_tiny_steps_bring_the_loss_to_a_third(studio: Studio, optimizer: str) -> None:
    made = graph(steps=200, batch=8, learning_rate=0.005, optimizer=optimizer, checkpoint_every=100)
    made = made.set("data", count=8, subject="none", terrain="meadow", time="day", weather="clear")
    studio.run(made)
    losses = [event.values["loss"] for event in studio.events if isinstance(event, Measured)]
    assert len(losses) == 200
    assert sum(losses[-20:]) < sum(losses[:20]) / 3


@pytest.mark.parametrize("target", ["epsilon", "v_prediction", "sample", "flow"])
def test_every_target_learns_and_its_model_is_used_by_denoise(studio: Studio, target: str) -> None:
    made = painted(graph(steps=6, target=target), "flow_euler" if target == "flow" else "ddim")
    assert studio.run(made, "decode").status == "ok"
    assert studio.image(made, "decode").shape == (2, 3, 16, 16)
    losses = [event.values["loss"] for event in studio.events if isinstance(event, Measured)]
    assert all(math.isfinite(loss) for loss in losses)


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "l1"},
        {"loss": "huber"},
        {"min_snr": 5.0},
        {"accumulate": 3},
        {"precision": "bfloat16"},
        {"ema": 0.0},
        {"clip": 0.001},
        {"weight_decay": 0.5},
    ],
)
def test_every_part_of_the_recipe_changes_what_is_learned(
    studio: Studio, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda device: True)
    studio.run(graph())
    assert studio.run(graph(**change)).status == "ok"
    assert not same(studio.trained(graph()), studio.trained(graph(**change)))


def test_where_bfloat16_would_be_emulated_a_training_computes_in_float32(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda device: False)
    studio.run(graph())
    assert studio.run(graph(precision="bfloat16")).status == "ok"
    assert same(studio.trained(graph()), studio.trained(graph(precision="bfloat16")))


def losses_of(studio: Studio) -> list[float]:
    """The losses of the last run, step by step."""
    return [event.values["loss"] for event in studio.events if isinstance(event, Measured)]


def test_accumulated_batches_make_one_step_of_their_mean(studio: Studio) -> None:
    # at rate 0 the weights stay, so that three steps see what one step of three batches sees
    studio.run(graph(steps=3, learning_rate=0.0))
    single = losses_of(studio)
    studio.run(graph(steps=1, learning_rate=0.0, accumulate=3))
    assert losses_of(studio) == [pytest.approx(sum(single) / 3)]


def test_a_loss_that_is_no_number_stops_the_training_with_a_remedy(studio: Studio) -> None:
    made = graph(steps=60, learning_rate=1.0, clip=0.0, warmup=0, weight_decay=10.0, decay=0.0)
    assert studio.run(made).status == "failed"
    assert "the loss is no number after" in failure(studio).what
    assert failure(studio).where == "train.learning_rate"


# --- what is seen


def test_looks_and_validation_come_when_they_are_due(studio: Studio) -> None:
    made = graph(steps=9, sample_every=4, validate_every=4)
    made = made.add(
        Node(NodeId("unseen"), "scene_painter", params={"size": 16, "count": 6, "seed": 9})
    ).connect("unseen", "dataset", "train", "validation")
    studio.run(made)
    previews = [event for event in studio.events if isinstance(event, Preview)]
    assert [event.step for event in previews] == [4, 8]
    first = previews[0].image
    assert isinstance(first, Image)
    assert first.pixels.shape == (1, 3, 16, 32)
    assert studio.image(made, "train", "samples").shape == (3, 3, 16, 32)
    measured = [event for event in studio.events if isinstance(event, Measured)]
    validated = [event.step for event in measured if "validation" in event.values]
    assert validated == [4, 8, 9]
    values = next(event.values for event in measured if "validation" in event.values)
    assert {"validation_1", "validation_4"} <= values.keys()
    assert studio.trained(made).card["measured"]


def test_looking_does_not_change_what_is_learned(studio: Studio) -> None:
    studio.run(graph())
    looked = graph(sample_every=2, samples=3)
    with Store(None) as store:
        other = Studio(store)
        other.run(looked)
        assert other.image(looked, "train", "samples").shape[0] == 4
        assert same(studio.trained(graph()), other.trained(looked))


def test_a_training_goes_on_under_other_looks(studio: Studio) -> None:
    cancel = Cancel()

    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.step == 5:
            cancel.set()

    studio.run(graph(), cancel=cancel, listen=stop)
    looked = graph(sample_every=4, samples=1, validate_every=1)
    done = studio.run(looked)
    assert (done.nodes["train"].status, done.nodes["train"].from_step) == ("resumed", 5)
    assert studio.image(looked, "train", "samples").shape == (1, 3, 16, 16)
    assert studio.run(graph(guidance=9.0)).nodes["train"].status == "cached"


# --- conditions


def test_a_network_learns_to_follow_captions_in_the_latents_of_a_vae(studio: Studio) -> None:
    made = graph(steps=3)
    made = made.set("data", size=64).set("unet", text_width=WIDTH)
    made = made.add(Node(NodeId("starter"), "load_model", params={}))
    for output, target in (("vae", "unet"), ("vae", "train"), ("text_encoder", "train")):
        made = made.connect("starter", output, target, output)
    assert studio.run(made).status == "ok"
    assert studio.image(made, "train", "samples").shape == (1, 3, 64, 128)
    losses = [event.values["loss"] for event in studio.events if isinstance(event, Measured)]
    assert len(losses) == 3


def test_a_given_model_goes_on_from_its_weights(studio: Studio) -> None:
    made = graph(steps=2, learning_rate=0.0)
    made = made.set("data", size=64).remove("unet")
    made = made.add(Node(NodeId("starter"), "load_model", params={}))
    for output, port in (("model", "model"), ("vae", "vae"), ("text_encoder", "text_encoder")):
        made = made.connect("starter", output, "train", port)
    studio.run(made)
    library = studio.context.models
    assert isinstance(library, Library)
    model = library.describe("starter").model
    assert model is not None
    from studio.models.loading import load_module

    original = load_module(library.component(model.ref), device="cpu", dtype="float32")
    weights = studio.trained(made).weights["unet"]
    for name, weight in original.state_dict().items():
        assert torch.equal(weights[name], weight)


def test_a_training_goes_on_from_the_result_of_another(studio: Studio) -> None:
    made = graph(steps=4)
    second = {**made.nodes[NodeId("train")].params, "learning_rate": 0.0, "ema": 0.0}
    made = made.add(Node(NodeId("more"), "train_diffusion", params=second))
    made = made.connect("data", "dataset", "more", "dataset")
    made = made.connect("train", "model", "more", "model")
    assert studio.run(made, "more").status == "ok"
    tuned = studio.stored(made, "more", "trained")
    first = studio.trained(made).weights["unet"]
    for name, weight in tuned.weights["unet"].items():  # type: ignore[attr-defined]  # a Trained
        assert torch.equal(first[name], weight)


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (lambda made: made.disconnect("train", "network"), "train.network", "one of the two"),
        (lambda made: made.set("unet", text_width=32), "train.text_encoder", "reads text"),
        (lambda made: made.set("data", size=24).set("unet", channels=[8] * 5), "train.dataset", "halves them 4 times"),
        (lambda made: made.set("unet", channels=[7]), "unet.channels", "not all multiples"),
        (lambda made: made.set("unet", head_width=12), "unet.head_width", "no multiple"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told_while_planning(
    studio: Studio, edit: object, where: str, what: str
) -> None:
    assert callable(edit)
    with pytest.raises(StudioError) as caught:
        studio.run(edit(graph()))
    assert what in caught.value.what
    assert caught.value.where == where


def test_a_data_set_that_is_broken_never_starts_a_training(studio: Studio, tmp_path: Path) -> None:
    folder = fill(tmp_path / "data")
    made = graph().remove("data")
    made = made.add(
        Node(NodeId("data"), "picture_folder", params={"folder": str(folder), "size": 16})
    )
    made = made.connect("data", "dataset", "train", "dataset")
    assert studio.run(made).status == "ok"
    (folder / "a1.png").write_bytes((folder / "a1.png").read_bytes()[:60])
    studio.events.clear()
    done = studio.run(made)
    assert done.status == "failed"
    assert "a1.png cannot be decoded" in failure(studio).what
    assert not any(isinstance(event, Step) for event in studio.events)
    (folder / "a2.png").write_bytes(b"nothing")
    with pytest.raises(NodeError, match=r"a2\.png is no picture that can be read"):
        studio.run(made)


# --- the model


def painted(made: Graph, solver: str = "ddim") -> Graph:
    """The graph with two pictures painted by the network that it trains."""
    for name, type_id, params in (
        ("noise", "noise_source", {"width": 16, "height": 16, "batch": 2}),
        ("schedule", "scheduler", {"steps": 3, "solver": solver}),
        ("denoise", "denoise", {"guidance": 1.0}),
        ("decode", "latents_to_pixels", {}),
    ):
        made = made.add(Node(NodeId(name), type_id, params=params))  # type: ignore[arg-type]  # JSON
    for source, target in (
        ("train.model", "schedule.model"),
        ("train.model", "denoise.model"),
        ("noise.latents", "denoise.noise"),
        ("schedule.schedule", "denoise.schedule"),
        ("denoise.latents", "decode.latents"),
    ):
        made = made.connect(*source.split("."), *target.split("."))
    return made


def folder_of(studio: Studio, made: Graph, **params: object) -> ModelFolder:
    """What save_model hands over after the training has run."""
    made = made.add(Node(NodeId("save"), "save_model", params={"name": "tiny", **params}))  # type: ignore[dict-item]  # JSON
    made = made.connect("train", "trained", "save", "trained")
    studio.made.clear()
    assert studio.run(made, "save").status == "ok"
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    return folder


def test_a_saved_model_is_found_by_name_and_paints_the_very_same(
    studio: Studio, tmp_path: Path
) -> None:
    made = painted(graph(steps=5))
    studio.run(made, "decode")
    direct = studio.image(made, "decode")
    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder_of(studio, made, dtype="float32"), library)
    assert place == tmp_path / "models" / "tiny"
    loaded = made.add(Node(NodeId("load"), "load_unet", params={"model": "tiny"}))
    for target in ("schedule", "denoise"):
        loaded = loaded.connect("load", "model", target, "model")
    studio.run(loaded, "decode")
    assert torch.equal(studio.image(loaded, "decode"), direct)
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    assert card["recipe"]["seed"] == 0
    assert card["data"]["pictures"] == 40
    assert card["measured"]["steps"] == 5
    assert "# tiny" in (place / "README.md").read_text(encoding="utf-8")
    assert not list((tmp_path / "models").glob(".*"))


def test_stock_diffusers_loads_a_saved_model(studio: Studio) -> None:
    from diffusers import DDIMScheduler, UNet2DModel

    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder_of(studio, graph(steps=2)), library)
    network = UNet2DModel.from_pretrained(place, subfolder="unet", local_files_only=True)
    assert tuple(network.config.block_out_channels) == (8, 16)
    scheduler = DDIMScheduler.from_pretrained(place, subfolder="scheduler", local_files_only=True)
    assert scheduler.config.prediction_type == "v_prediction"


def test_others_may_read_a_saved_model_as_they_may_any_file(studio: Studio, tmp_path: Path) -> None:
    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder_of(studio, graph(steps=2)), library)
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in place.rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "plain").stat().st_mode}


def test_a_model_is_never_overwritten_without_being_told(studio: Studio) -> None:
    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder_of(studio, graph(steps=2)), library)
    before = (place / "card.json").read_bytes()
    # the same training once more is no conflict
    assert save(folder_of(studio, graph(steps=2)), library) == place
    other = graph(steps=2, seed=5)
    made = other.add(Node(NodeId("save"), "save_model", params={"name": "tiny"}))
    made = made.connect("train", "trained", "save", "trained")
    studio.events.clear()
    with pytest.raises(ModelError, match='there is a model "tiny" already') as caught:
        studio.run(made, "save")
    assert caught.value.where == "save.name"
    assert not studio.events
    assert (place / "card.json").read_bytes() == before
    save(folder_of(studio, other, replace=True), library)
    assert (place / "card.json").read_bytes() != before
    assert library.describe("tiny").model is not None


@pytest.mark.parametrize("name", ["starter", "../out", "/abs/olute", "", ".hidden"])
def test_a_name_that_no_model_can_have_is_refused_while_planning(studio: Studio, name: str) -> None:
    made = graph().add(Node(NodeId("save"), "save_model", params={"name": name}))
    made = made.connect("train", "trained", "save", "trained")
    with pytest.raises(ModelError) as caught:
        studio.run(made, "save")
    assert caught.value.where.startswith("save.name")


def test_a_model_that_cannot_be_written_says_so_and_the_training_stays(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    folder = folder_of(studio, graph(steps=2))
    library = studio.context.models
    assert isinstance(library, Library)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", refuse)
        with pytest.raises(ModelError, match="No space left"):
            save(folder, library)
    assert not list((tmp_path / "models").iterdir())
    assert save(folder, library).is_dir()


def test_the_delivery_writes_a_model_into_the_library(studio: Studio, tmp_path: Path) -> None:
    folder = folder_of(studio, graph(steps=2))
    library = studio.context.models
    assert isinstance(library, Library)
    delivery = Delivery(
        tmp_path / "out", Workflow(Graph()), studio.store, choose("cpu"), tmp_path, library, TYPES
    )
    (item,) = (
        item for item in key_graph(graph(steps=2), TYPES, ["train"], studio.context) if item.chains
    )
    assert delivery(item, folder, []) == [str(tmp_path / "models" / "tiny")]
    assert not (tmp_path / "out").exists()


def test_the_announced_model_is_that_of_the_saved_folder(studio: Studio) -> None:
    made = graph(steps=2)
    (item,) = (item for item in key_graph(made, TYPES, ["train"], studio.context) if item.chains)
    announced = item.announced["model"]
    assert isinstance(announced, Model)
    library = studio.context.models
    assert isinstance(library, Library)
    save(folder_of(studio, made), library)
    saved = library.describe("tiny").model
    assert saved is not None
    for field in ("in_channels", "latent_channels", "downscale", "latents", "family", "scheduler"):
        assert getattr(announced, field) == getattr(saved, field)


# --- a text encoder that learns


def reading(**train: object) -> Graph:
    """A network and a text encoder, both new, on the latents of the starter's VAE."""
    made = graph(steps=6, **train)
    made = made.set("data", size=64).set("unet", text_width=32)
    made = made.add(Node(NodeId("starter"), "load_model", params={}))
    encoder = {"width": 32, "layers": 1, "head_width": 16, "vocabulary": 600}
    made = made.add(Node(NodeId("text"), "new_text_encoder", params=encoder))
    made = made.connect("text", "text_encoder", "train", "new_text")
    return made.connect("starter", "vae", "unet", "vae").connect("starter", "vae", "train", "vae")


def test_a_new_text_encoder_learns_with_the_network_and_resumes_bit_for_bit(
    studio: Studio,
) -> None:
    made = reading()
    first, second = studio.taken_up(made, 4)
    assert same(first, second)
    still = studio.run(reading(learning_rate=0.0))
    assert still.status == "ok"
    unlearned = studio.trained(reading(learning_rate=0.0))
    for name, weight in first.weights["text_encoder"].items():
        assert torch.equal(weight, second.weights["text_encoder"][name])
        if "q_proj.weight" in name or "token_embedding" in name:
            assert not torch.equal(weight, unlearned.weights["text_encoder"][name])


def test_with_its_vae_it_is_a_whole_pipeline_that_diffusers_loads(
    studio: Studio, tmp_path: Path
) -> None:
    made = reading()
    made = made.add(
        Node(NodeId("save"), "save_model", params={"name": "whole", "dtype": "float32"})
    )
    made = made.connect("train", "trained", "save", "trained").connect(
        "starter", "vae", "save", "vae"
    )
    studio.run(made, "save")
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder, library)

    from diffusers import StableDiffusionPipeline

    from studio.diffusion.text import encode
    from studio.models.pool import Pool

    pipeline = StableDiffusionPipeline.from_pretrained(place, torch_dtype=torch.float32)
    described = library.describe("whole")
    assert described.text_encoder is not None
    assert described.vae is not None
    caption = "a red balloon over the sea"
    theirs, _ = pipeline.encode_prompt(caption, "cpu", 1, do_classifier_free_guidance=False)
    pool = Pool(library, device="cpu", dtype="float32", budget_bytes=10**9)
    ours = encode(pool, described.text_encoder, caption).hidden
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    words = pipeline.tokenizer.tokenize(caption)
    assert words[0] == "a</w>"
    assert len(pipeline.tokenizer) <= 600


# --- a text encoder of a model that learns further


def further(**train: object) -> Graph:
    """The starter goes on learning, its network and its text encoder."""
    made = graph(**{"steps": 5, "learn_text": True, **train}).remove("unet").set("data", size=64)
    made = made.add(Node(NodeId("starter"), "load_model", params={}))
    for port in ("model", "vae", "text_encoder"):
        made = made.connect("starter", port, "train", port)
    return made


def test_a_models_text_encoder_learns_further_on_demand_and_resumes_bit_for_bit(
    studio: Studio,
) -> None:
    made = further()
    first, second = studio.taken_up(made, 4)
    assert same(first, second)
    studio.run(further(learning_rate=0.0))
    before = studio.trained(further(learning_rate=0.0)).weights
    library = studio.context.models
    assert isinstance(library, Library)
    (ref,) = starter_encoder(library).refs
    module = Pool(library, device="cpu", dtype="float32", budget_bytes=10**9).get(ref)
    for name, weight in module.state_dict().items():
        # it begins as the model has it, and all of it learns
        assert torch.equal(before["text_encoder"][name], weight)
        assert torch.equal(
            first.weights["text_encoder"][name], second.weights["text_encoder"][name]
        )
        assert name.endswith("k_proj.bias") or not torch.equal(
            first.weights["text_encoder"][name], weight
        )


def starter_encoder(library: Library) -> TextEncoder:
    """The starter's text encoder, described."""
    found = library.describe("starter").text_encoder
    assert found is not None
    return found


def test_without_that_it_stays_as_it_is(studio: Studio) -> None:
    made = further(steps=1, learn_text=False)
    studio.run(made)
    assert studio.trained(made).weights.keys() == {"unet"}


def test_a_model_that_learned_to_read_anew_is_saved_whole_with_the_tokenizer_that_it_had(
    studio: Studio,
) -> None:
    made = further(steps=1)
    made = made.add(Node(NodeId("save"), "save_model", params={"name": "on", "dtype": "float32"}))
    made = made.connect("train", "trained", "save", "trained").connect(
        "starter", "vae", "save", "vae"
    )
    studio.run(made, "save")
    (folder,) = studio.made
    assert isinstance(folder, ModelFolder)
    library = studio.context.models
    assert isinstance(library, Library)
    place = save(folder, library)
    theirs = resource("starter", "tokenizer")
    assert {path.name: path.read_text() for path in (place / "tokenizer").iterdir()} == {
        path.name: path.read_text() for path in theirs.iterdir()
    }
    described = library.describe("on")
    assert described.vae is not None
    assert described.text_encoder is not None
    assert described.model is not None


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (
            lambda made: graph(steps=1, learn_text=True),
            "train.learn_text",
            "none is linked",
        ),
        (
            lambda made: made.add(
                Node(NodeId("text"), "new_text_encoder", params={})
            ).connect("text", "text_encoder", "train", "new_text"),
            "train.new_text",
            "would forget",
        ),
    ],
)  # fmt: skip
def test_a_text_encoder_that_cannot_learn_is_told_while_planning(
    studio: Studio, edit: Callable[[Graph], Graph], where: str, what: str
) -> None:
    with pytest.raises(GraphError) as caught:
        studio.run(edit(further(steps=1)))
    assert what in caught.value.what
    assert caught.value.where == where


def test_a_text_encoder_with_a_lora_of_its_own_is_not_taken_for_the_models(studio: Studio) -> None:
    library = studio.context.models
    assert isinstance(library, Library)
    described = library.describe("starter")
    encoder = starter_encoder(library)
    (ref,) = encoder.refs
    patched = replace(encoder, refs=(replace(ref, patches=((ref, 1.0),)),))
    data = Dataset(Scenes(0, 4), 64, has_captions=True)
    given = (Recipe(), data, None, described.model, described.vae)
    plan_of(*given, patched, None, None, None)
    plan_of(*given, encoder, None, None, None, learns_text=True)
    with pytest.raises(GraphError, match="which a training would not see"):
        plan_of(*given, patched, None, None, None, learns_text=True)
