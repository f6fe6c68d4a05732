"""What engine, canvas and window cost: ``python -m tests.benchmarks [PART …]``, ``--help`` lists the parts.

Every comparison is made within one process, in turns, and reported as medians and ratios: absolute times on a shared
machine mean little.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from studio.numerics import choose
from studio.session import SWITCH_INTERVAL_S
from tests.benchmarks import window

ROUNDS = 9


def main() -> None:
    """Run the parts that were asked for, or all."""
    parts: dict[str, Callable[[], None]] = {
        "overhead": overhead,
        "steps": steps,
        "start": start,
        "canvas": canvas,
        "window": window.start,
        "frames": window.frames,
        "worker": window.worker,
    }
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure, beside the goals where there are some.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {n:<10}{p.__doc__}" for n, p in parts.items()),
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="those alone; default: all")
    asked = parser.parse_args().parts
    unknown = [name for name in asked if name not in parts]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(parts)}")
    machine = choose("cpu", "float32")
    print(f"{platform.platform()}, {machine.numerics.device}, threads {machine.numerics.threads}")
    print(f"torch {machine.numerics.torch}, diffusers {machine.numerics.diffusers}")
    for name in asked or parts:
        print(f"\n{name}")
        parts[name]()


def row(what: str, seconds: Sequence[float], unit: str = "ms", per: int = 1) -> float:
    """Print the least, the median and the largest of ``seconds / per``; return the median in seconds."""
    factor = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    low, middle, high = (
        value * factor / per for value in (min(seconds), statistics.median(seconds), max(seconds))
    )
    print(f"  {what:<58} {middle:9.2f} {unit}  ({low:.2f} … {high:.2f})")
    return statistics.median(seconds) / per


def timed(action: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Seconds of each of several calls."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        found.append(time.perf_counter() - began)
    return found


# --- engine overhead per trivial node


def overhead() -> None:
    """Plan, run cold and run again graphs of nodes that add two numbers."""
    from studio.facts import Facts
    from studio.graph import Graph, Link, Node, NodeId
    from studio.plan import plan
    from studio.store import Store
    from tests.test_engine import Bench
    from tests.test_plan import context
    from tests.toys import Toys

    for count in (200, 1000):
        nodes = {NodeId("n0"): Node(NodeId("n0"), "number", params={"value": 1.0})}
        for index in range(1, count):
            before = Link(NodeId(f"n{index - 1}"), "number")
            first = Link(NodeId("n0"), "number")
            node = Node(NodeId(f"n{index}"), "add", inputs={"a": before, "b": first})
            nodes[node.id] = node
        graph, last = Graph(nodes), f"n{count - 1}"
        types, facts = Toys().types(), Facts(None)

        planned = functools.partial(plan, graph, types, [last], context(facts), Store(None), "w")
        row(f"{count} nodes: plan, nothing stored", timed(planned))
        cold, again, reopened = [], [], []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                with Store(Path(folder)) as store:
                    bench = Bench(store)
                    cold += timed(lambda: bench.run(graph, (last,)), 1)  # noqa: B023 - called here
                    again += timed(lambda: bench.run(graph, (last,)), 1)  # noqa: B023 - called here
                with Store(Path(folder)) as store:
                    bench = Bench(store)
                    reopened += timed(lambda: bench.run(graph, (last,)), 1)  # noqa: B023 - called here
        row(f"{count} nodes: cold, to disk, per node", cold, "µs", count)
        row(f"{count} nodes: all stored, per node", again, "µs", count)
        row(f"{count} nodes: all stored, new store, per node", reopened, "µs", count)


# --- per-step overhead


def steps() -> None:
    """A starter run of 20 steps at 128 px: bare U-Net and scheduler, ours, and the stock pipeline, in turns."""
    import torch

    warnings.simplefilter("ignore")
    from studio.store import Store
    from tests.bench import Bench, text_to_image
    from tests.diffusion.test_parity import COMMON, NEGATIVE, PROMPT, pipeline

    pipe = pipeline("StableDiffusionPipeline", "ddim")
    asked = {**COMMON, "num_inference_steps": 20}
    hidden = torch.cat(pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)[::-1])

    @torch.inference_mode()
    def bare() -> None:
        pipe.scheduler.set_timesteps(20)
        latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
        for moment in pipe.scheduler.timesteps:
            sample = pipe.scheduler.scale_model_input(torch.cat([latents] * 2), moment)
            output = pipe.unet(sample, moment, encoder_hidden_states=hidden, return_dict=False)[0]
            empty, full = output.chunk(2)
            output = empty + 5.0 * (full - empty)
            latents = pipe.scheduler.step(output, moment, latents, return_dict=False)[0]

    def stock() -> None:
        pipe(**asked, width=128, height=128, generator=torch.Generator().manual_seed(1))

    seeds = iter(range(1, 1000))

    def ours(store: Store) -> Callable[[], object]:
        def run() -> None:
            graph = text_to_image(
                noise={"width": 128, "height": 128, "seed": next(seeds)},
                prompt={"prompt": PROMPT},
                negative={"prompt": NEGATIVE},
            )
            Bench(store).run(graph)

        return run

    watches = [Stopwatch(pipe.unet), Stopwatch(_our_network())]
    found: dict[str, list[float]] = {}
    outside: dict[str, list[float]] = {}
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # as every session does
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder)) as disk,
        Store(None) as memory,
    ):
        actions: dict[str, Callable[[], object]] = {
            BARE: bare,
            "ours, states in memory": ours(memory),
            "ours, states to disk": ours(disk),
            "stock diffusers pipeline, latents only": stock,
        }
        for action in actions.values():
            action()
        for _ in range(ROUNDS):
            for name, action in actions.items():
                within = sum(watch.seconds for watch in watches)
                (seconds,) = timed(action, 1)
                within = sum(watch.seconds for watch in watches) - within
                found.setdefault(name, []).append(seconds)
                outside.setdefault(name, []).append(seconds - within)
    for name, times in found.items():
        row(f"{name}, 20 steps", times)
    for name, times in outside.items():
        row(f"{name}, outside the network", times)
    forward = statistics.median(found[BARE]) - statistics.median(outside[BARE])
    for name in list(found)[1:]:
        pairs = zip(found[name], found[BARE], strict=True)
        ratio = statistics.median(mine / its for mine, its in pairs)
        more = statistics.median(outside[name]) - statistics.median(outside[BARE])
        print(
            f"  {name}: {ratio:.3f} of the bare loop;"
            f" outside the network {more / 20 * 1e3:+.2f} ms a step, {more / forward:+.1%} of a step"
        )


BARE = "bare loop of U-Net and scheduler"


class Stopwatch:
    """Adds up the time inside a network's forward passes."""

    def __init__(self, network: Any) -> None:
        self.seconds = 0.0
        forward = network.forward

        def timed_forward(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return forward(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - began

        network.forward = timed_forward


def _our_network() -> Any:
    """The network that our graphs call."""
    from studio.values import ModelRef
    from tests.bench import Bench, pool, text_to_image

    (chain,) = Bench().keyed(text_to_image(), "denoise")["denoise"].chains
    ref = chain.steps[0].spec.params["model"]
    assert isinstance(ref, ModelRef)
    return pool().get(ref)


# --- process start


def start() -> None:
    """From process start to the first event, to the end, cold and with everything stored; peak memory."""
    workflow = Path(__file__).parents[2] / "workflows" / "text-to-image.json"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "STUDIO_CACHE": folder}

        def run(*arguments: str) -> tuple[float, float, int]:
            began = time.perf_counter()
            with subprocess.Popen(
                [
                    *(sys.executable, "-m", "studio", "run", str(workflow), "--json"),
                    *(*arguments, "--output", folder),
                ],
                stdout=subprocess.PIPE,
                env=environment,
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                first = time.perf_counter() - began
                last = process.stdout.read().splitlines()[-1]
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            assert json.loads(last)["status"] == "ok"
            return first, time.perf_counter() - began, usage.ru_maxrss * 1024

        run()
        for name, arguments in (
            ("nothing stored", ("--set", "noise.seed={}")),
            ("all stored", ()),
        ):
            runs = [run(*(part.format(1000 + k) for part in arguments)) for k in range(5)]
            row(f"{name}: to the first event", [one[0] for one in runs], "s")
            row(f"{name}: to the end", [one[1] for one in runs], "s")
            print(f"  {name}: peak memory {max(one[2] for one in runs) / 1e6:.0f} MB")


# --- the canvas


def canvas() -> None:
    """Pan, zoom, drag, select and build graphs of 200, 1,000 and 5,000 nodes, off screen."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from tests.benchmarks import canvas as benchmark

    benchmark.main([200, 1000, 5000])


if __name__ == "__main__":
    main()
