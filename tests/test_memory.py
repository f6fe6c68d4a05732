"""Memory does not grow: many runs with changing prompts in one process stay within the caps."""

from __future__ import annotations

import gc

import psutil
import pytest

from studio.store import Store
from tests.bench import Bench, pool, text_to_image

CAP = 4 * 2**20


def _run(bench: Bench, seed: int) -> None:
    graph = text_to_image(
        prompt={"prompt": f"a house, number {seed}"},
        noise={"seed": seed},
        scheduler={"steps": 2},
    )
    bench.run(graph, "decode")


@pytest.mark.parametrize("runs", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_runs_with_changing_prompts_stay_within_the_memory_cap(runs: int) -> None:
    process = psutil.Process()
    with Store(None, memory_bytes=CAP) as store:
        bench = Bench(store)
        for seed in range(10):
            _run(bench, seed)
        gc.collect()
        before = process.memory_info().rss
        models = pool().loaded()
        for seed in range(10, 10 + runs):
            _run(bench, seed)
        gc.collect()
        assert store.stats().memory_bytes <= CAP
        assert {model.component for model in pool().loaded()} == {one.component for one in models}
        assert len(pool().loaded()) == len(models)
        # the cap was full before; what the allocator keeps in hand is a few pictures' worth
        assert process.memory_info().rss - before < 32 * 2**20
