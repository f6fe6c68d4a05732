"""One session, its models, and what is asked of them."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import psutil

import studio
from studio.delivery import Delivery
from studio.diffusion.windows import tabulate, trained_betas
from studio.errors import Cancelled, GraphError, StudioError
from studio.graph import Key, NodeKind
from studio.models.loading import go_offline
from studio.plan import Keyed, KeyedChain, key_graph, outlook
from studio.plan import plan as make_plan
from studio.remote import PROTOCOL, Message, Request
from studio.session import Job, Session, Settings, prepare, session
from studio.training.record import recorded
from studio.values import Delivered, Latents, Picture, Schedule, State, Trained
from studio.worker.levels import Levels, levels_of
from studio.worker.pictures import Scratch, pictures_of, shown_port, small_of
from studio.worker.problems import ended, problems_of, said, unexpected
from studio.worker.report import Report
from studio.worker.waiting import Desk, Ordered, Queue
from studio.worker.wire import Wire, depend_on_parent, streams
from studio.workflow import complete, loads, migrate, set_param

if TYPE_CHECKING:
    from studio.models.pool import Pool

_GRACE_S = 2.0
"""For the store, when the parent is gone."""
_BATCH = 16
"""Of a batch, how many pictures are sent small."""
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


def serve(settings: Settings, scratch: Path) -> int:
    """Answer the requests that come by stdin until they end; returns the exit code.

    ``scratch``: a folder of the parent's, for pictures that are shown and not saved.
    """
    requests, events = streams()
    wire = Wire(events)
    depend_on_parent()
    try:
        with session(settings) as opened:
            worker = Worker(opened, wire, scratch)
            worker.work(requests)
    except StudioError as error:
        wire.send({"event": "refused", **said(error)})
        return error.exit_code
    return 0


class Worker:
    """One session, its models, and what is asked of them."""

    def __init__(self, opened: Session, wire: Wire, scratch: Path) -> None:
        self.session = opened
        self.wire = wire
        self.scratch = Scratch(scratch)
        self.is_warm = threading.Event()
        self.shown: dict[tuple[str, str], Key] = {}
        """Of which result the picture of a node was sent last, by workflow and node."""
        self._pool: Pool | None = None
        self._queue = Queue()
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
        plans = Desk("plans", self._plan)
        looks: list[Desk] = []
        looks.append(Desk("looks", lambda request: self._look(request, looks[0].has_newer)))
        for line in requests:
            try:
                request = Request.read(line)
            except (ValueError, TypeError, RecursionError) as error:
                logging.getLogger(__name__).warning("%r is not understood: %s", line[:60], error)
                continue
            if request.do == "run":
                dropped = self._queue.put(Ordered(request))
                if dropped:
                    self.wire.send(ended(dropped.request.id, "cancelled"))
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

    def _run(self, ordered: Ordered) -> None:
        request = ordered.request
        report = Report(self, request)
        try:
            self._evaluate(ordered, report)
        except Cancelled:
            report.end("cancelled")
        except StudioError as error:
            report.end("failed", error)
        except Exception as error:
            logging.getLogger(__name__).exception("a run failed")
            report.end("failed", unexpected(error))

    def _evaluate(self, ordered: Ordered, report: Report) -> None:
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
            answer["problems"] = problems_of(error)
        except Exception as error:
            logging.getLogger(__name__).exception("%s failed", answer["request"])
            answer["problems"] = problems_of(unexpected(error))

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
        levels = Levels()
        with self._answering(answer):
            chains = self._chains(request)
            chain = chains[min(request.picture, len(chains) - 1)]
            levels = levels_of(chain)
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
        port = shown_port(item)
        entry = self.session.store.get(item.key) if port else None
        if port is None or entry is None:
            return 0
        value = entry[port.name]
        if isinstance(value, Picture):
            return self.send_picture(about, item, value, ())
        pictures = pictures_of(value)
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
                    **small_of(picture),
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
                    small = small_of(opened)
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
