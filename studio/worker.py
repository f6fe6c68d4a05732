"""The worker: the child process of the editor that runs workflows, with the engine and the store of the command line.

``studio.remote`` has the protocol, and is the other side. Threads: the main one runs what is to be run, one at a time;
one reads requests; one answers plans, which need no torch; one looks at results; one imports torch while the others
already work. It ends when its parent does: on Linux by the kernel, elsewhere at the end of stdin.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import dataclasses
import faulthandler
import importlib
import io
import itertools
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import psutil

import studio
from studio.delivery import Delivery
from studio.diffusion.windows import tabulate, trained_betas
from studio.engine import Cancel
from studio.errors import Cancelled, GraphError, StudioError
from studio.events import Done, Event, Failed, Finished, Preview, Progress, RunStatus, Step
from studio.graph import Key, NodeKind, Port
from studio.models.loading import go_offline
from studio.plan import Keyed, KeyedChain, key_graph, outlook
from studio.plan import plan as make_plan
from studio.remote import PROTOCOL, Message, Request
from studio.session import Job, Session, Settings, node_of, prepare, session
from studio.training.record import recorded
from studio.values import Delivered, Image, Latents, Mask, Picture, Schedule, State, Trained
from studio.workflow import complete, loads, migrate, set_param

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from torch import Tensor

    from studio.models.pool import Pool

SMALL_PX = 256
"""The longest side of pictures that are sent in lines."""
NICENESS = 10
_PREVIEW_S = 0.1
_STEP_S = 0.05
_MEMORY_S = 1.0
_GRACE_S = 2.0
"""For the store, when the parent is gone."""
_BATCH = 16
"""Of a batch, how many pictures are sent small."""
_KEPT_FILES = 256

_WARM = (
    "studio.diffusion.denoise",
    "studio.diffusion.solvers",
    "studio.diffusion.text",
    "studio.diffusion.vae",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.unets.unet_2d_condition",
    "transformers.models.clip.modeling_clip",
)
"""What most runs import: seconds, spent before anybody asks."""

_PR_SET_PDEATHSIG = 1


def serve(settings: Settings, scratch: Path) -> int:
    """Answer the requests that come by stdin until they end; returns the exit code.

    ``scratch``: a folder of the parent's, for pictures that are shown and not saved.
    """
    requests, events = _streams()
    wire = _Wire(events)
    _depend_on_parent()
    try:
        with session(settings) as opened:
            worker = _Worker(opened, wire, scratch)
            worker.work(requests)
    except StudioError as error:
        wire.send({"event": "refused", **_said(error)})
        return error.exit_code
    return 0


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout, for requests and events alone: whatever else prints, prints to stderr."""
    requests = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, events


def _depend_on_parent() -> None:
    """End with the parent, leave the interrupts of its terminal to it, and let the rest of the machine go first."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # stdin's end is not seen while C code holds the interpreter
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(NICENESS)


class _Wire:
    """The way to the parent: whole lines, from every thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, event: Mapping[str, object]) -> None:
        """Send an event; where nobody reads any more, the end of stdin says so too."""
        line = json.dumps(event).encode("ascii") + b"\n"
        with self._lock, contextlib.suppress(OSError):
            self._file.write(line)
            self._file.flush()


# --- what waits


@dataclass(frozen=True)
class _Ordered:
    """A run that was asked for, and the switch that stops it."""

    request: Request
    cancel: Cancel = field(default_factory=Cancel)


class _Queue:
    """At most one run that runs and one that waits: the newest wins."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._running: _Ordered | None = None
        self._waiting: _Ordered | None = None
        self._is_closed = False

    def put(self, ordered: _Ordered) -> _Ordered | None:
        """Cancel what runs and wait for its end; returns what waited before, which will not run."""
        with self._condition:
            if self._running:
                self._running.cancel.set()
            dropped, self._waiting = self._waiting, ordered
            self._condition.notify_all()
            return dropped

    def take(self) -> _Ordered | None:
        """The next run, once there is one; None at the end."""
        with self._condition:
            self._running = None
            self._condition.wait_for(lambda: self._waiting or self._is_closed)
            if not self._is_closed:
                self._running, self._waiting = self._waiting, None
            return self._running

    def cancel(self, run: str) -> None:
        """Stop a run, or keep it from beginning."""
        with self._condition:
            for ordered in (self._running, self._waiting):
                if ordered and ordered.request.id == run:
                    ordered.cancel.set()

    def close(self) -> None:
        """Stop what runs, and take nothing more."""
        with self._condition:
            self._is_closed = True
            if self._running:
                self._running.cancel.set()
            self._condition.notify_all()


class _Desk:
    """Answers requests in a thread of its own; of those that wait for one workflow, only the newest of a kind."""

    def __init__(self, name: str, answer: Callable[[Request], None]) -> None:
        self._answer = answer
        self._condition = threading.Condition()
        self._waiting: dict[tuple[str, str], Request] = {}
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, request: Request) -> None:
        """Answer a request soon."""
        with self._condition:
            self._waiting.pop((request.do, request.name), None)
            self._waiting[request.do, request.name] = request
            self._condition.notify_all()

    def has_newer(self, request: Request) -> bool:
        """Whether somebody waits who makes this answer useless."""
        return (request.do, request.name) in self._waiting

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting)
                request = self._waiting.pop(next(iter(self._waiting)))
            self._answer(request)


# --- the worker


class _Worker:
    """One session, its models, and what is asked of them."""

    def __init__(self, opened: Session, wire: _Wire, scratch: Path) -> None:
        self.session = opened
        self.wire = wire
        self.scratch = _Scratch(scratch)
        self.is_warm = threading.Event()
        self.shown: dict[tuple[str, str], Key] = {}
        """Of which result the picture of a node was sent last, by workflow and node."""
        self._pool: Pool | None = None
        self._queue = _Queue()
        self._is_over = threading.Event()

    def work(self, requests: BinaryIO) -> None:
        """Run what is asked for until the requests end."""
        machine = self.session.machine
        self.wire.send(
            {
                "event": "hello",
                "protocol": PROTOCOL,
                "studio": studio.__version__,
                "pid": os.getpid(),
                "device": machine.device,
                "dtype": machine.numerics.dtype,
                "threads": machine.numerics.threads,
                "memory_bytes": machine.memory_bytes,
                "numerics": machine.numerics.document(),
                "cache": str(self.session.store.folder) if self.session.store.folder else None,
            }
        )
        threading.Thread(target=self._warm, name="warm", daemon=True).start()
        threading.Thread(target=self._read, args=[requests], name="requests", daemon=True).start()
        while ordered := self._queue.take():
            self._run(ordered)
        self.session.store.flush(_GRACE_S)
        self._is_over.set()

    def _warm(self) -> None:
        """Import what running models needs, so that the first run need not wait for it."""
        began = time.perf_counter()
        try:
            go_offline()
            for module in _WARM:
                importlib.import_module(module)
        except (ImportError, OSError) as error:
            self.wire.send(
                {
                    "event": "refused",
                    "what": f"a library that it needs cannot be loaded ({error})",
                    "where": "",
                    "remedy": "see studio doctor --full",
                }
            )
            os._exit(2)
        self.is_warm.set()
        seconds = round(time.perf_counter() - began, 3)
        self.wire.send({"event": "worker", "state": "ready", "seconds": seconds})

    def _read(self, requests: BinaryIO) -> None:
        """Take requests until they end; the process does not outlive them by much."""
        plans = _Desk("plans", self._plan)
        looks: list[_Desk] = []
        looks.append(_Desk("looks", lambda request: self._look(request, looks[0].has_newer)))
        for line in requests:
            try:
                request = Request.read(line)
            except (ValueError, TypeError, RecursionError) as error:
                logging.getLogger(__name__).warning("%r is not understood: %s", line[:60], error)
                continue
            if request.do == "run":
                dropped = self._queue.put(_Ordered(request))
                if dropped:
                    self.wire.send(_ended(dropped.request.id, "cancelled"))
            elif request.do == "cancel":
                self._queue.cancel(request.id)
            elif request.do == "plan":
                plans.put(request)
            elif request.do == "stop":
                break
            else:
                looks[0].put(request)
        self._queue.close()
        # a forward pass may take minutes, and whoever wanted it is gone
        if not self._is_over.wait(_GRACE_S):
            os._exit(1)

    def prepared(self, request: Request) -> Job:
        """The workflow of a request, ready to be planned; raises StudioError."""
        types = self.session.registry.types
        workflow = loads(request.workflow, name=request.name)
        workflow = complete(migrate(workflow, types), types)
        for edit in request.edits:
            name, _, value = edit.partition("=")
            workflow = set_param(workflow, name, value, types)
        targets = request.targets or ((request.node,) if request.node else ())
        return prepare(workflow, self.session.registry, targets)

    def keyed(self, job: Job, base: Path) -> list[Keyed]:
        """The nodes that a job needs, with the keys of their results."""
        types, planning = self.session.registry.types, self.session.planning(base)
        return key_graph(job.graph, types, job.targets, planning)

    # --- runs

    def _run(self, ordered: _Ordered) -> None:
        request = ordered.request
        report = _Report(self, request)
        try:
            self._evaluate(ordered, report)
        except Cancelled:
            report.end("cancelled")
        except StudioError as error:
            report.end("failed", error)
        except Exception as error:
            logging.getLogger(__name__).exception("a run failed")
            report.end("failed", _unexpected(error))

    def _evaluate(self, ordered: _Ordered, report: _Report) -> None:
        ordered.cancel.check()
        base = Path(ordered.request.base)
        job = self.prepared(ordered.request)
        report.job = job
        if not self.is_warm.is_set() and not self._is_stored(job, base):
            while not self.is_warm.wait(0.05):
                ordered.cancel.check()
        delivery = Delivery(
            Path(ordered.request.output or base / "output"),
            job.workflow,
            self.session.store,
            self.session.machine,
            base,
            self.session.library,
            self.session.registry.types,
        )

        def deliver(item: Keyed, made: Delivered, plan: Sequence[Keyed], /) -> Sequence[str]:
            paths = delivery(item, made, plan)
            if isinstance(made, Picture):
                self.send_picture({"run": ordered.request.id}, item, made, paths)
            return paths

        engine = self.session.engine(
            base, deliver, ordered.request.name, has_previews=True, make_pool=self._shared_pool
        )
        engine.run(job.graph, job.targets, report, ordered.cancel)

    def _is_stored(self, job: Job, base: Path) -> bool:
        """Whether nothing of a job has to be computed: then it does not wait for torch."""
        keyed = self.keyed(job, base)
        ahead = outlook(keyed, job.targets, self.session.store)
        return all(item.is_known for item in keyed) and all(
            look.status in ("cached", "skipped") for look in ahead.values()
        )

    def _shared_pool(self) -> Pool:
        if self._pool is None:
            self._pool = self.session.pool()
        # every engine counts from 0
        self._pool.loading_seconds = 0.0
        return self._pool

    def send_memory(self) -> None:
        """Say what is in memory; called between nodes, when nothing is being loaded."""
        device = self.session.machine.device
        held = None
        if device != "cpu" and self._pool is not None:
            import torch

            is_cuda = device.startswith("cuda")
            held = (
                torch.cuda.memory_reserved(device)
                if is_cuda
                else torch.mps.driver_allocated_memory()
            )
        loaded = self._pool.loaded() if self._pool else ()
        self.wire.send(
            {
                "event": "memory",
                "bytes": psutil.Process().memory_info().rss,
                "device_bytes": held,
                "total_bytes": self.session.machine.memory_bytes,
                "models": [
                    {"name": one.name, "component": one.component, "bytes": one.size}
                    for one in loaded
                ],
                "problem": self.session.store.problem,
            }
        )

    # --- plans

    def _plan(self, request: Request) -> None:
        answer: Message = {"event": "plan", "request": request.id, "name": request.name}
        with self._answering(answer):
            job = self.prepared(request)
            planned = make_plan(
                job.graph,
                self.session.registry.types,
                job.targets,
                self.session.planning(Path(request.base)),
                self.session.store,
                request.name,
            )
            answer |= planned.to_json()
        if answer["problems"]:
            answer |= {"nodes": {}, "model_calls": 0, "seconds": 0.0, "bytes": None}
        self.wire.send(answer)

    @contextlib.contextmanager
    def _answering(self, answer: Message) -> Iterator[None]:
        """Let what fails become the ``problems`` of an answer."""
        answer["problems"] = []
        try:
            yield
        except StudioError as error:
            answer["problems"] = _problems(error)
        except Exception as error:
            logging.getLogger(__name__).exception("%s failed", answer["request"])
            answer["problems"] = _problems(_unexpected(error))

    # --- looking at results

    def _look(self, request: Request, is_stale: Callable[[Request], bool]) -> None:
        self.is_warm.wait()
        if request.do == "trajectory":
            self._trajectory(request, is_stale)
            return
        if request.do == "measures":
            self._measures(request)
            return
        if request.do == "describe":
            self._describe(request)
            return
        answer: Message = {
            "event": "look",
            "request": request.id,
            "node": request.node,
            "count": 0,
        }
        with self._answering(answer):
            item = self._item(request)
            answer["count"] = self.send_result({"request": request.id}, item, is_whole=True)
        self.wire.send(answer)

    def _describe(self, request: Request) -> None:
        """Work the schedules of nodes out: facts, which plans find from then on."""
        answer: Message = {
            "event": "described",
            "request": request.id,
            "nodes": list(request.targets),
        }
        with self._answering(answer):
            job = self.prepared(request)
            base = Path(request.base)
            context = dataclasses.replace(self.session.planning(base), may_compute=True)
            for item in self.keyed(job, base):
                for value in (item.described or {}).values():
                    if item.id in job.targets and isinstance(value, Schedule):
                        context.known(tabulate, value)
                        context.known(trained_betas, value.config)
        self.wire.send(answer)

    def _measures(self, request: Request) -> None:
        answer: Message = {
            "event": "measures",
            "request": request.id,
            "node": request.node,
            "key": "",
            "steps": 0,
            "series": {},
            "figures": {},
        }
        with self._answering(answer):
            item = self._item(request)
            port = next(
                (port for port in item.type.outputs if issubclass(port.type, Trained)), None
            )
            if port is None or not item.chains:
                raise GraphError(request.node, "", "is no training", remedy="choose a training")
            series = recorded(item.chains[-1], self.session.store)
            answer |= {
                "key": item.key,
                "steps": item.passes,
                "series": {
                    name: {"steps": list(one.steps), "values": list(one.values)}
                    for name, one in series.items()
                },
                "figures": self.session.store.part(item.key, port.name, "card", "measured") or {},
            }
        self.wire.send(answer)

    def _item(self, request: Request) -> Keyed:
        job = self.prepared(request)
        return next(
            item for item in self.keyed(job, Path(request.base)) if item.id == job.targets[0]
        )

    def _trajectory(self, request: Request, is_stale: Callable[[Request], bool]) -> None:
        answer: Message = {
            "event": "trajectory",
            "request": request.id,
            "node": request.node,
            "picture": request.picture,
            "pictures": 0,
            "steps": 0,
            "begin": 0,
            "total": 0,
            "calls": [],
            "sigmas": [],
            "timesteps": [],
            "stored": [],
        }
        stored: list[tuple[int, Key]] = []
        levels = _Levels()
        with self._answering(answer):
            chains = self._chains(request)
            chain = chains[min(request.picture, len(chains) - 1)]
            levels = _levels(chain)
            keys = [chain.start.key, *(step.key for step in chain.steps)]
            stored = [(step, key) for step, key in enumerate(keys) if key in self.session.store]
            answer |= {
                "pictures": len(chains),
                "steps": len(chain.steps),
                "begin": levels.begin,
                "total": levels.total or len(chain.steps),
                "calls": [0, *itertools.accumulate(step.spec.calls for step in chain.steps)],
                "sigmas": levels.sigmas,
                "timesteps": levels.timesteps,
                "stored": [step for step, _ in stored],
            }
        self.wire.send(answer)
        for step, key in stored:
            if is_stale(request):
                return
            entry = self.session.store.get(key)
            state = entry.get("state") if entry else None
            if isinstance(state, State):
                self.wire.send(
                    {
                        "event": "state",
                        "request": request.id,
                        "node": request.node,
                        "picture": request.picture,
                        "step": step,
                        "sigma": levels.sigmas[step],
                        "timestep": levels.timesteps[step],
                        **levels.pixels(step, state),
                    }
                )

    def _chains(self, request: Request) -> Sequence[KeyedChain]:
        item = self._item(request)
        if item.type.kind is not NodeKind.LOOP:
            raise GraphError(request.node, "", "has no steps", remedy="choose a denoise node")
        if not any(issubclass(port.type, Latents) for port in item.type.outputs):
            raise GraphError(request.node, "", "has no trajectory", remedy="choose a denoise node")
        if not item.is_known:
            raise GraphError(request.node, "", "has not run yet", remedy="run it once")
        if not item.chains:
            raise GraphError(request.node, "", "makes no picture")
        return item.chains

    # --- pictures

    def send_result(self, about: Message, item: Keyed, *, is_whole: bool) -> int:
        """Send the pictures of what a node has given, if it is stored; returns how many."""
        port = _shown_port(item)
        entry = self.session.store.get(item.key) if port else None
        if port is None or entry is None:
            return 0
        value = entry[port.name]
        if isinstance(value, Picture):
            return self.send_picture(about, item, value, ())
        pictures = _pictures(value)
        for index, picture in enumerate(pictures[:_BATCH]):
            path = ""
            if is_whole:
                file = io.BytesIO()
                picture.save(file, "PNG", compress_level=1)
                path = self.scratch.keep(
                    f"{item.key[:24]}-{port.name}-{index}.png", file.getvalue()
                )
            self.wire.send(
                {
                    "event": "picture",
                    **about,
                    "node": item.id,
                    "output": port.name,
                    "key": item.key,
                    "index": index,
                    "count": len(pictures),
                    **_small(picture),
                    "path": path,
                    "is_saved": False,
                    "pixels_sha256": "",
                }
            )
        return min(len(pictures), _BATCH)

    def send_picture(
        self, about: Message, item: Keyed, picture: Picture, paths: Sequence[str]
    ) -> int:
        """Send what an output node made; ``paths``: where it was saved, empty if it was not."""
        from PIL import Image as Pillow

        port = item.type.outputs[0].name
        for index, data in enumerate(picture.files[:_BATCH]):
            name = f"{item.key[:24]}-{port}-{index}{picture.suffix}"
            try:
                with Pillow.open(io.BytesIO(data)) as opened:
                    small = _small(opened)
            except OSError:  # a pack may make files that are no pictures
                small = {"width": 0, "height": 0, "rgb": "", "full_width": 0, "full_height": 0}
            self.wire.send(
                {
                    "event": "picture",
                    **about,
                    "node": item.id,
                    "output": port,
                    "key": item.key,
                    "index": index,
                    "count": len(picture.files),
                    **small,
                    "path": paths[index] if paths else self.scratch.keep(name, data),
                    "is_saved": bool(paths),
                    "pixels_sha256": picture.pixels_sha256[index],
                }
            )
        return min(len(picture.files), _BATCH)


class _Report:
    """Tells of one run: the engine's events under the run's id, thinned out, and small pictures of what was made."""

    def __init__(self, worker: _Worker, request: Request) -> None:
        self.job: Job | None = None
        self._worker = worker
        self._request = request
        self._sent_s: dict[tuple[type[Event], str], float] = {}
        self._steps: dict[str, int] = {}
        """Of the loops that run."""
        self._items: dict[str, Keyed] | None = None
        self._is_done = False

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, Preview):
            self._preview(event)
            return
        if isinstance(event, Step):
            self._steps[event.node] = event.steps
            if not self._is_due(event, _STEP_S, event.step, event.steps):
                return
        if isinstance(event, Progress) and not self._is_due(
            event, _STEP_S, event.done, event.total
        ):
            return
        if isinstance(event, Done):
            self._worker.send_memory()
            self._is_done = True
        self._worker.wire.send({**event.to_json(), "run": self._request.id})
        if isinstance(event, Finished):
            self._finished(event)

    def end(self, status: RunStatus, error: StudioError | None = None) -> None:
        """Say that the run is over, which its engine did not."""
        if self._is_done:
            return
        for problem in _problems(error) if error else ():
            self._worker.wire.send({"event": Failed.name, "run": self._request.id, **problem})
        self._worker.wire.send(_ended(self._request.id, status))

    def _is_due(
        self, event: Step | Progress | Preview | Finished, pause_s: float, at: int, of: int
    ) -> bool:
        """Whether to send an event of which none, for its node, was sent in ``pause_s``, or which is the last."""
        node = "" if isinstance(event, Finished) else event.node
        key, now_s = (type(event), node), time.monotonic()
        if at < of and now_s - self._sent_s.get(key, -math.inf) < pause_s:
            return False
        self._sent_s[key] = now_s
        return True

    def _preview(self, event: Preview) -> None:
        of = self._steps.get(event.node, event.step)
        if isinstance(event.image, Image) and self._is_due(event, _PREVIEW_S, event.step, of):
            self._worker.wire.send(
                {
                    "event": Preview.name,
                    "run": self._request.id,
                    "node": event.node,
                    "step": event.step,
                    **_pixels(_pictures(event.image)[0]),
                }
            )

    def _finished(self, event: Finished) -> None:
        """Show what a node made, if it can be shown and was not yet."""
        if self._is_due(event, _MEMORY_S, 0, 1):
            self._worker.send_memory()
        # before torch is there only output nodes are shown: they need none
        if event.status in ("failed", "skipped") or not self._worker.is_warm.is_set():
            return
        item = self._keyed().get(event.node)
        if item is None or item.type.is_output:
            return
        address = (self._request.name, item.id)
        is_target = self.job is not None and item.id in self.job.targets
        if is_target or self._worker.shown.get(address) != item.key:
            about: Message = {"run": self._request.id}
            if self._worker.send_result(about, item, is_whole=is_target):
                self._worker.shown[address] = item.key

    def _keyed(self) -> Mapping[str, Keyed]:
        if self._items is None:
            assert self.job is not None
            keyed = self._worker.keyed(self.job, Path(self._request.base))
            self._items = {item.id: item for item in keyed}
        return self._items


class _Scratch:
    """Files of pictures that are shown and not saved: the latest few hundred."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def keep(self, name: str, data: bytes) -> str:
        """Write a file, unless it is there, and return its path; "" where the disk does not take it."""
        path = self._folder / name
        with self._lock, contextlib.suppress(OSError):
            if path.is_file():
                os.utime(path)
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                unfinished = path.with_name(f".{name}")
                unfinished.write_bytes(data)
                unfinished.replace(path)
                self._forget()
            return str(path)
        return ""

    def _forget(self) -> None:
        files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[:-_KEPT_FILES]:
            file.unlink()


# --- problems


def _unexpected(error: Exception) -> StudioError:
    text = " ".join(str(error).split())
    return StudioError(
        f"this should not have happened ({type(error).__name__}: {text})",
        remedy="report it with what stands in the log",
    )


def _said(error: StudioError) -> Message:
    return {"what": error.what, "where": error.where, "remedy": error.remedy}


def _problems(error: StudioError) -> list[Message]:
    """An error, or each of those that it consists of, with the node that it speaks of."""
    several: Sequence[StudioError] = getattr(error, "problems", ()) or (error,)
    return [{"node": node_of(one), **_said(one)} for one in several]


def _ended(run: str, status: RunStatus) -> dict[str, object]:
    return Done(run, status, 0.0, 0, 0, {}, ()).to_json()


# --- pixels


def _pixels(picture: PillowImage) -> Message:
    """A picture at no more than ``SMALL_PX`` a side: its size, and its pixels as base64."""
    small = picture.convert("RGB")
    small.thumbnail((SMALL_PX, SMALL_PX))
    rgb = base64.b64encode(small.tobytes()).decode("ascii")
    return {"width": small.width, "height": small.height, "rgb": rgb}


def _small(picture: PillowImage) -> Message:
    """The same, and the size of the whole picture."""
    return {**_pixels(picture), "full_width": picture.width, "full_height": picture.height}


def _shown_port(item: Keyed) -> Port | None:
    """The output of a node that can be shown."""
    kinds = (Picture, Image, Mask, Latents)
    return next((port for port in item.type.outputs if issubclass(port.type, kinds)), None)


def _pictures(value: object) -> list[PillowImage]:
    """Pictures, masks (grey) or latents (approximately, a pixel each) as 8-bit pictures."""
    from PIL import Image as Pillow

    from studio.diffusion.pixels import to_bytes
    from studio.diffusion.preview import preview

    if isinstance(value, Latents):
        value = preview(value.samples, value.family)
    if isinstance(value, Mask):
        value = Image(value.alpha.expand(-1, 3, -1, -1))
    return (
        [Pillow.fromarray(one) for one in to_bytes(value.pixels)]
        if isinstance(value, Image)
        else []
    )


# --- trajectories


@dataclass(frozen=True)
class _Levels:
    """Where on the way from noise to picture the states of a chain stand, the first before the first step."""

    sigmas: Sequence[float | None] = ()
    timesteps: Sequence[float | None] = ()
    begin: int = 0
    """Passes of the whole schedule that lie before the first step."""
    total: int = 0
    """Passes of the whole schedule; 0 where there is none."""
    is_wide: bool = False
    """Whether a state is a picture plus sigma times noise, and not scaled back to the spread of one."""

    def pixels(self, step: int, state: State) -> Message:
        """A state and the picture that it predicts, as small pictures of one size."""
        latents, denoised = (state.data.get(name) for name in ("latents", "denoised"))
        family = str(state.data.get("family", ""))
        sigma = self.sigmas[step]
        if latents is None:
            return {"width": 0, "height": 0, "x_t": None, "x_0": None}
        shown = cast("Tensor", latents)
        if self.is_wide and sigma is not None:
            shown = shown / math.sqrt(1 + sigma * sigma)
        small = _pixels(_pictures(Latents(shown, family))[0])
        x_0 = None
        if denoised is not None:
            x_0 = _pixels(_pictures(Latents(cast("Tensor", denoised), family))[0])["rgb"]
        return {"width": small["width"], "height": small["height"], "x_t": small["rgb"], "x_0": x_0}


def _levels(chain: KeyedChain) -> _Levels:
    unknown = [None] * (len(chain.steps) + 1)
    schedule = chain.start.spec.unhashed.get("schedule")
    first = chain.steps[0].spec.unhashed.get("index") if chain.steps else None
    if not isinstance(schedule, Schedule) or not isinstance(first, int):
        return _Levels(unknown, unknown)
    from studio.diffusion.solvers import Solver

    table = Solver(schedule).table
    indices = range(first, first + len(chain.steps) + 1)
    return _Levels(
        [table.sigma(index) for index in indices],
        [table.timesteps[index] if index < table.passes else 0.0 for index in indices],
        first,
        table.passes,
        table.init_noise_sigma > 1.0 + 1e-6,
    )
