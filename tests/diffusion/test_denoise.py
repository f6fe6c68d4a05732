"""The denoising loop on true weights: an edit pays for the steps it reaches, and gives what a full run gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.diffusion.windows import SOLVERS
from studio.engine import Cancel
from studio.errors import GraphError
from studio.events import Event, Step
from studio.graph import Graph, Json
from studio.keys import digest
from studio.plan import KeyedChain, KeyedStep
from studio.registry import Chain
from studio.resources import resource
from studio.store import Store
from tests.bench import Bench, fresh, linked, text_to_image, with_node, with_params
from tests.controlnets import controlled
from tests.diffusion.conftest import Controlling

STEPS = 8
NAMES = [name for name in SOLVERS if not name.startswith("edm")]


def with_solver(name: str, steps: int = STEPS) -> Graph:
    """Text to image with a guidance curve that may change after step 5 of 8."""
    graph = text_to_image(scheduler={"steps": steps})
    if name in (
        "ipndm",
        "unclip",
    ):  # refused by the scheduler node: this model was not trained for them
        graph = graph.remove("scheduler")
        sources = {"model": "model.model"}
        graph = with_node(graph, "scheduler", "any_schedule", sources, solver=name, steps=steps)
        graph = linked(graph, "scheduler.schedule", "denoise.schedule")
    else:
        prediction = "flow_prediction" if name.startswith("flow") else "model"
        graph = graph.set("scheduler", solver=name, prediction_type=prediction)
    return with_curve(graph, 5.0)


def with_curve(graph: Graph, late: float, share: float = 0.625) -> Graph:
    """Guidance 5, and ``late`` from a share of the run on."""
    points: list[Json] = [[0.0, 5.0], [share, late]]
    if "curve" in graph:
        return graph.set("curve", points=points)
    graph = with_node(graph, "curve", "guidance_curve", {}, points=points, smooth=False)
    return linked(graph, "curve.guidance", "denoise.guidance_curve")


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench over a store in memory."""
    with Store(None) as store:
        yield Bench(store)


@pytest.mark.parametrize("name", NAMES)
def test_guidance_changed_late_costs_the_late_steps_and_equals_a_full_run(
    name: str, bench: Bench
) -> None:
    graph = with_solver(name)
    before, first = bench.latents(graph)
    edited = with_curve(graph, 9.0)
    after, second = bench.latents(edited)
    steps = first.nodes["denoise"].steps
    kept = -(-steps * 5 // 8)
    assert first.model_calls == steps
    assert second.nodes["denoise"].from_step == kept
    assert (second.model_calls, second.model_calls_saved) == (steps - kept, kept)
    assert not torch.equal(before, after)
    assert torch.equal(after, fresh(edited))


@pytest.mark.parametrize("name", NAMES)
def test_a_cancelled_run_goes_on_where_it_stopped(name: str, bench: Bench) -> None:
    graph = with_solver(name)
    cancel = Cancel()

    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.step == 4:
            cancel.set()

    bench.on_event = stop
    assert bench.run(graph, cancel=cancel).status == "cancelled"
    bench.on_event = None
    after, done = bench.latents(graph)
    assert done.nodes["denoise"].from_step == 4
    assert done.model_calls == done.nodes["denoise"].steps - 4
    assert torch.equal(after, fresh(graph))


def test_a_cancel_inside_a_forward_pass_leaves_the_next_one_exact(bench: Bench) -> None:
    graph = with_solver("dpmpp_2m")

    class InMidPass(Cancel):
        """Stops at the 40th check: there are more than ten in a forward pass."""

        count = 0

        def check(self) -> None:
            self.count += 1
            if self.count == 40:
                self.set()
            super().check()

    done = bench.run(graph, cancel=InMidPass())
    assert done.status == "cancelled"
    assert 0 < done.model_calls < STEPS
    after, again = bench.latents(graph)
    assert again.model_calls == STEPS - done.model_calls
    assert torch.equal(after, fresh(graph))


# --- edits


def _switched(graph: Graph, at: float) -> Graph:
    if "switch" not in graph:
        sources = {"first": "prompt.conditioning", "then": "other.conditioning"}
        graph = with_node(graph, "switch", "prompt_schedule", sources)
        graph = linked(graph, "switch.conditioning", "denoise.positive")
    return graph.set("switch", at=at)


def _latents(graph: Graph) -> Graph:
    """Latents to begin from, made by another denoise."""
    if "given" in graph:
        return graph
    graph = with_node(graph, "other_noise", "noise_source", {}, width=64, height=64, seed=99)
    graph = with_node(graph, "short", "scheduler", {"model": "model.model"}, steps=2)
    return with_node(
        graph,
        "given",
        "denoise",
        {
            "model": "model.model",
            "noise": "other_noise.latents",
            "positive": "other.conditioning",
            "schedule": "short.schedule",
        },
    )


def _painted(graph: Graph, name: str, x: float) -> Graph:
    strokes: list[Json] = [{"points": [[x, 0.5]], "radius": 0.3, "hardness": 1.0, "erase": False}]
    return with_node(graph, name, "inpaint_mask", {}, width=64, height=64, strokes=strokes)


def _masked(graph: Graph, late: float | None = None, share: float = 0.75) -> Graph:
    """Inpainting; with ``late``, another mask from a share of the run on."""
    graph = linked(_painted(_latents(graph), "early_mask", 0.3), "given.latents", "denoise.latents")
    if late is None:
        return linked(graph, "early_mask.mask", "denoise.mask")
    graph = _painted(graph, "late_mask", late)
    graph = with_node(
        graph,
        "mask",
        "mask_switch",
        {"mask": "early_mask.mask", "then": "late_mask.mask"},
        at=share,
    )
    return linked(graph, "mask.mask", "denoise.mask")


@dataclass(frozen=True)
class Edit:
    """Two graphs, and the step from which the second one departs."""

    before: Graph
    after: Graph
    resumes: int


BASE = text_to_image(scheduler={"steps": STEPS})
EDITS: dict[str, Edit] = {
    "the same": Edit(BASE, BASE, 8),
    "a prompt switch moved": Edit(_switched(BASE, 0.75), _switched(BASE, 0.875), 6),
    "the late prompt": Edit(
        _switched(BASE, 0.75), _switched(BASE, 0.75).set("other", prompt="a pine"), 6
    ),
    "the end step": Edit(BASE, BASE.set("denoise", end_step=6), 6),
    "another mask late": Edit(_masked(BASE, 0.6), _masked(BASE, 0.7), 6),
    "a negative prompt where guidance is 1": Edit(
        BASE.set("denoise", guidance=1.0),
        BASE.set("denoise", guidance=1.0).set("negative", prompt="rain"),
        8,
    ),
    "a negative prompt": Edit(BASE, BASE.set("negative", prompt="rain"), 0),
    "guidance rescale": Edit(BASE, BASE.set("denoise", guidance_rescale=0.5), 0),
    "the seed": Edit(BASE, BASE.set("noise", seed=8), 0),
    "the size": Edit(BASE, BASE.set("noise", width=72), 0),
    "the number of steps": Edit(BASE, BASE.set("scheduler", steps=9), 0),
    "the first prompt": Edit(BASE, BASE.set("prompt", prompt="a pine"), 0),
    "the strength": Edit(
        linked(_latents(BASE), "given.latents", "denoise.latents").set("denoise", strength=0.5),
        linked(_latents(BASE), "given.latents", "denoise.latents").set("denoise", strength=0.75),
        0,
    ),
    "the tail of a list of noise levels": Edit(
        linked(
            with_node(BASE, "levels", "custom_sigmas", {}, values=[14.0, 7.0, 4.0, 2.0, 1.0, 0.5]),
            "levels.sigmas",
            "scheduler.sigmas",
        ).set("scheduler", solver="euler"),
        linked(
            with_node(BASE, "levels", "custom_sigmas", {}, values=[14.0, 7.0, 4.0, 2.0, 0.8, 0.2]),
            "levels.sigmas",
            "scheduler.sigmas",
        ).set("scheduler", solver="euler"),
        3,
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_resumes_where_it_first_matters_and_equals_a_full_run(
    name: str, bench: Bench
) -> None:
    edit = EDITS[name]
    bench.run(edit.before)
    after, done = bench.latents(edit.after)
    report = done.nodes["denoise"]
    # states that are the result itself count as cached, not as resumed
    assert report.from_step == edit.resumes
    assert torch.equal(after, fresh(edit.after))


def test_variants_of_the_late_guidance_share_the_early_steps(bench: Bench) -> None:
    graph = with_solver("euler")
    calls = [bench.run(with_curve(graph, late)).model_calls for late in (3.0, 4.0, 6.0, 7.0)]
    assert calls == [8, 3, 3, 3]


# --- the key is exactly as large as it must be


def _without(field: str) -> Callable[[Chain, object], KeyedChain]:
    """``plan.key_chain`` with one field of every step's spec left out of the keys."""

    def key_chain(chain: Chain, identity: object) -> KeyedChain:
        key = digest(["start", identity, chain.start.params, chain.start.uses])
        start = KeyedStep(key, chain.start)
        steps = []
        for spec in chain.steps:
            params = {name: value for name, value in spec.params.items() if name != field}
            uses = {
                name: ref for name, ref in spec.uses.items() if name.partition(".")[0] != field[5:]
            }
            if not field.startswith("uses."):
                uses = dict(spec.uses)
            key = digest([key, params, uses])
            steps.append(KeyedStep(key, spec))
        return KeyedChain(start, tuple(steps), chain.cost)

    return key_chain


def _mixed(weight: float) -> Graph:
    sources = {"first": "prompt.conditioning", "second": "other.conditioning"}
    graph = with_node(BASE, "mix", "prompt_mix", sources, first_weight=1.0, second_weight=weight)
    return linked(graph, "mix.conditioning", "denoise.positive")


def _mixed_negative(weight: float) -> Graph:
    sources = {"first": "negative.conditioning", "second": "other.conditioning"}
    graph = with_node(BASE, "mix", "prompt_mix", sources, first_weight=1.0, second_weight=weight)
    return linked(graph, "mix.conditioning", "denoise.negative")


def _with_given(prompt: str) -> Graph:
    return with_params(_masked(BASE), other={"prompt": prompt})


def _batch_of_given(seed: int, batch: int) -> Graph:
    graph = with_params(_masked(BASE), other_noise={"batch": 2})
    return with_params(graph, noise={"seed": seed, "batch": batch})


def _one_of(steps: int) -> Graph:
    """The first of many trailing steps: DDIM itself steps down by 1000 // steps, the next level lies elsewhere."""
    graph = with_params(_masked(BASE), scheduler={"steps": steps, "spacing": "trailing"})
    return graph.set("denoise", end_step=1)


Pair = tuple[Graph, Graph]
MUTATIONS: dict[str, Pair] = {
    "window": (BASE, BASE.set("scheduler", eta=0.5)),
    "guidance": (BASE, BASE.set("denoise", guidance=7.0)),
    "rescale": (BASE, BASE.set("denoise", guidance_rescale=0.5)),
    "positive": (_mixed(0.5), _mixed(2.0)),
    "negative": (_mixed_negative(0.5), _mixed_negative(2.0)),
    "next": (_one_of(600), _one_of(700)),
    "item": (_batch_of_given(7, 2), _batch_of_given(8, 1)),
    "uses.positive": (BASE, BASE.set("prompt", prompt="a pine")),
    "uses.negative": (BASE, BASE.set("negative", prompt="rain")),
    "uses.mask": (_masked(BASE, 0.6), _masked(BASE, 0.7)),
    "uses.latents": (_with_given("a pine"), _with_given("a castle")),
}
OF_FILES = ("model", "controlnets", "control_strengths", "uses.control")
"""Fields whose scenarios need models and pictures of their own."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The starter, and the starter with its network's last layer turned down."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("same", "other"):
        shutil.copytree(resource("starter"), folder / name)
    weights = folder / "other" / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_out.weight"] = tensors["conv_out.weight"] * 0.5
    save_file(tensors, weights)
    return folder / "same", folder / "other"


def _with_model(folder: Path) -> Graph:
    graph = with_node(BASE, "network", "load_unet", {}, model=str(folder))
    return linked(graph, "network.model", "denoise.model")


def _spec_fields(graph: Graph) -> set[str]:
    """The names of all fields of the specs of a denoise's steps."""
    fields: set[str] = set()
    with Store(None) as store:
        bench = Bench(store)
        if "given" in graph:
            bench.run(graph, "given")
        for chain in bench.keyed(graph, "denoise")["denoise"].chains:
            for step in chain.steps:
                fields.update(step.spec.params)
                fields.update(f"uses.{name.partition('.')[0]}" for name in step.spec.uses)
    return fields


def _is_stale(before: Graph, after: Graph, bench: Bench) -> bool:
    bench.run(before)
    stale = bench.latents(after)[0]
    return not torch.equal(stale, fresh(after))


@pytest.fixture
def mutations(networks: tuple[Path, Path], controlling: Controlling) -> dict[str, Pair]:
    """By field of a spec: two graphs that differ in what this field holds, and in no other."""
    (one, two), (left, right) = controlling.folders, controlling.pictures
    base = controlled(BASE, one, left)
    same, other = networks
    return {
        **MUTATIONS,
        "model": (_with_model(same), _with_model(other)),
        "controlnets": (base, controlled(BASE, two, left)),
        "control_strengths": (base, base.set("control", strength=0.5)),
        "uses.control": (base, controlled(BASE, one, right)),
    }


@pytest.mark.parametrize("field", [*MUTATIONS, *OF_FILES])
def test_a_key_without_any_one_field_gives_a_stale_picture(
    field: str, mutations: dict[str, Pair], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = mutations[field]
    assert not _is_stale(before, after, Bench(Store(None)))
    monkeypatch.setattr("studio.plan.keying.key_chain", _without(field))
    assert _is_stale(before, after, bench)


def test_every_field_of_a_spec_is_mutated(mutations: dict[str, Pair]) -> None:
    assert mutations.keys() == {*MUTATIONS, *OF_FILES}
    graphs = [graph for pair in mutations.values() for graph in pair]
    assert set().union(*map(_spec_fields, graphs)) == mutations.keys()


# --- a batch is its pictures


@pytest.mark.parametrize("name", ["ddim", "euler_ancestral", "dpmpp_2m_sde", "dpmpp_sde"])
def test_a_picture_of_a_batch_is_the_picture_alone(name: str, bench: Bench) -> None:
    graph = with_params(with_solver(name), noise={"seed": 2**64 - 2, "batch": 3})
    batch, done = bench.latents(graph)
    assert done.model_calls == 3 * STEPS * (2 if name in ("dpmpp_sde",) else 1) - 3 * (
        name == "dpmpp_sde"
    )
    for index, seed in enumerate([2**64 - 2, 2**64 - 1, 0]):
        alone = with_params(graph, noise={"seed": seed, "batch": 1})
        assert torch.equal(batch[index : index + 1], fresh(alone))
        assert bench.run(alone).model_calls == 0


def test_a_batch_of_given_pictures_is_each_of_them(bench: Bench) -> None:
    both = linked(_latents(BASE), "given.latents", "denoise.latents")
    both = with_params(both, other_noise={"batch": 2}, denoise={"strength": 0.5})
    batch, _ = bench.latents(both.set("noise", batch=2))
    second = with_params(both, other_noise={"seed": 100, "batch": 1}, noise={"seed": 8})
    assert torch.equal(batch[1:], fresh(second))


# --- what cannot be done is said


def test_a_mask_without_a_picture_is_refused(bench: Bench) -> None:
    graph = linked(_painted(BASE, "mask", 0.5), "mask.mask", "denoise.mask")
    with pytest.raises(GraphError, match=r"denoise\.latents: is not connected; a mask needs"):
        bench.run(graph)


def test_a_gap_between_prompts_is_refused(bench: Bench) -> None:
    graph = with_node(
        BASE, "gap", "prompt_window", {"conditioning": "prompt.conditioning"}, end=0.5
    )
    graph = linked(graph, "gap.conditioning", "denoise.positive")
    with pytest.raises(GraphError, match=r"denoise\.positive: no prompt acts in step 4 of 8"):
        bench.run(graph)


def test_latents_of_another_size_than_the_noise_are_refused(bench: Bench) -> None:
    graph = linked(_latents(BASE), "given.latents", "denoise.latents").set("denoise", strength=0.5)
    graph = with_params(graph, noise={"width": 72})
    with pytest.raises(AssertionError, match="the latents are"):
        bench.run(graph)


def test_a_seed_of_64_bits_counts_to_its_last_bit() -> None:
    one, other = (
        fresh(text_to_image(noise={"seed": seed}, scheduler={"steps": 1}))
        for seed in (2**63, 2**63 + 1)
    )
    assert not torch.equal(one, other)
