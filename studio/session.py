"""Puts the pieces together for one process: node types, facts, models, store, machine; makes a workflow ready."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from studio.engine import Deliver, Engine
from studio.errors import ArgumentError, GraphError, NodeError, StudioError
from studio.facts import Facts
from studio.graph import NODE_ID, Graph
from studio.models.library import Library
from studio.numerics import Machine, choose
from studio.plan import PlanningContext
from studio.registry import Registry
from studio.registry import load as load_registry
from studio.store import Store
from studio.validation import active, output_nodes
from studio.workflow import Workflow, check, flat_targets, flatten

if TYPE_CHECKING:
    from studio.models.pool import Pool

APP = "emulsion"
FORMAT = 1
"""Of the stored results; a change of the encoding or of the keys bumps it."""

GIB = 2**30
SWITCH_INTERVAL_S = 0.0005
"""How long a Python thread may keep others waiting. Measured: 0.5 ms a step less than with the default."""


class Unsound(StudioError):
    """A workflow with problems, one by one in ``problems``."""

    exit_code = 2

    def __init__(self, found: Sequence[StudioError]) -> None:
        super().__init__("\n".join(str(problem) for problem in found))
        self.problems = tuple(found)


def node_of(error: StudioError) -> str:
    """The node that an error speaks of, or ""."""
    if isinstance(error, GraphError):
        return error.node
    name = error.where.partition(".")[0].partition(":")[0]
    # of a file, the place is its name
    is_node = isinstance(error, NodeError) and all(map(NODE_ID.match, name.split("/")))
    return name if is_node else ""


@dataclass(frozen=True)
class Settings:
    """What the command line may set; every default is that of a user who said nothing."""

    cache: Path | None = None
    """Where results live; None: ``$STUDIO_CACHE``, or the user's cache folder."""
    is_cached: bool = True
    models: tuple[Path, ...] = ()
    """Folders of models; empty: ``$STUDIO_MODELS``, or the user's data folder."""
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    memory_bytes: int | None = None
    """Budget for loaded models; None: half of the device's memory."""
    disk_bytes: int = 10 * 10**9
    is_safe: bool = False

    @property
    def cache_folder(self) -> Path:
        """The root of all that is cached."""
        default = os.environ.get("STUDIO_CACHE") or platformdirs.user_cache_path(APP)
        return self.cache or Path(default)

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """The library's folders, the bundled models not counted."""
        if self.models:
            return self.models
        listed = os.environ.get("STUDIO_MODELS", "")
        if listed:
            return tuple(Path(folder) for folder in listed.split(os.pathsep) if folder)
        return (platformdirs.user_data_path(APP) / "models",)


@dataclass(frozen=True)
class Session:
    """The pieces, each of them made from ``settings`` and nothing else."""

    settings: Settings
    registry: Registry
    facts: Facts
    library: Library
    machine: Machine
    store: Store

    def planning(self, base: Path) -> PlanningContext:
        """What planning needs, with relative files taken from ``base``."""
        return PlanningContext(self.library, self.facts, self.machine.numerics, base)

    def pool(self) -> Pool:
        """A new pool of models for this session's device; nothing is loaded yet."""
        from studio.models.pool import Pool

        return Pool(
            self.library,
            device=self.machine.device,
            dtype=self.machine.numerics.dtype,
            budget_bytes=self.settings.memory_bytes or self.machine.memory_bytes // 2,
        )

    def engine(
        self,
        base: Path,
        deliver: Deliver,
        workflow: str,
        *,
        has_previews: bool = False,
        make_pool: Callable[[], Pool] | None = None,
    ) -> Engine:
        """An engine over this session's store; ``workflow`` names whose history it writes.

        ``make_pool`` lets several engines, one after the other, share their models.
        """
        return Engine(
            self.registry.types,
            self.store,
            self.planning(base),
            make_pool or self.pool,
            deliver=deliver,
            workflow=workflow,
            has_previews=has_previews,
        )


def tier_folder(root: Path, machine: Machine) -> Path:
    """The folder of results that this stack made: one per format, torch version and kind of device."""
    kind = machine.device.partition(":")[0]
    return root / f"v{FORMAT}-torch-{machine.numerics.torch}-{kind}"


@contextlib.contextmanager
def session(settings: Settings) -> Iterator[Session]:
    """Open a session; leaving it writes what is still pending."""
    machine = choose(settings.device, settings.dtype, settings.threads)
    # read by torch's thread pools when they start
    if machine.numerics.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(machine.numerics.threads))
    # the thread that writes states must not hold up a step for the interpreter's default of 5 ms
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    root = settings.cache_folder
    facts = Facts(root / "facts.sqlite" if settings.is_cached else None)
    store = Store(
        tier_folder(root, machine) if settings.is_cached else None,
        memory_bytes=min(GIB, machine.memory_bytes // 8),
        disk_bytes=settings.disk_bytes,
        root=root if settings.is_cached else None,
    )
    try:
        with store:
            yield Session(
                settings,
                load_registry(is_safe=settings.is_safe),
                facts,
                Library(settings.model_folders, facts),
                machine,
                store,
            )
    finally:
        facts.close()
        sys.setswitchinterval(interval)


@dataclass(frozen=True)
class Job:
    """A workflow made ready: flat, active, sound, with its targets."""

    workflow: Workflow
    graph: Graph
    targets: tuple[str, ...]


def prepare(workflow: Workflow, registry: Registry, targets: Sequence[str] = ()) -> Job:
    """Make a workflow ready to be planned; ``targets`` default to its output nodes.

    Raises Unsound with every problem that the targets would meet, and ArgumentError if there is nothing to do.
    """
    types = registry.types
    flat = flatten(workflow, types)
    live = active(flat, types)
    wanted = tuple(flat_targets(flat, targets) if targets else output_nodes(live.graph, types))
    found = check(workflow, types, wanted)
    if found:
        raise Unsound(found)
    if not wanted:
        raise ArgumentError(
            "the workflow has no output node that is not muted or off",
            remedy="add a save_image node, or name nodes with --target",
        )
    return Job(workflow, live.graph, wanted)
