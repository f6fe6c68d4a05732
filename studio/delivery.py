"""Takes results out of the graph: pictures, named by content and carrying their making; models into the library."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from studio.errors import ModelError, OutputError
from studio.graph import Graph, Types
from studio.keys import digest
from studio.manifest import manifest
from studio.models.library import Library
from studio.models.saving import save_model
from studio.numerics import Machine
from studio.pictures import MANIFEST, PARAMETERS, WORKFLOW, parameters_line, with_text
from studio.plan import Keyed, references
from studio.registry import File, ModelName
from studio.store import Store
from studio.values import Delivered, ModelFolder, Noise, Picture, Schedule
from studio.workflow import Workflow, dumps


@dataclass(frozen=True)
class Delivery:
    """Delivers a run's pictures into a folder."""

    folder: Path
    workflow: Workflow
    store: Store
    machine: Machine
    base: Path
    """The folder that the workflow's relative files are relative to."""
    models: Library
    types: Types

    def __call__(self, item: Keyed, made: Delivered, plan: Sequence[Keyed], /) -> Sequence[str]:
        """Write what an output node made; return the paths.

        Pictures go into the folder, a model into the library.
        """
        if isinstance(made, ModelFolder):
            return [str(save_model(made, self.models))]
        return self._pictures(item, made, plan) if isinstance(made, Picture) else []

    def _pictures(self, item: Keyed, picture: Picture, plan: Sequence[Keyed]) -> Sequence[str]:
        """Write pictures.

        The name holds a digest of how the picture came about, so the same result is the same file and no other file is
        overwritten. Raises OutputError if the folder is not a folder, and OSError for what the system refuses.
        """
        if not picture.is_saved:
            return []
        paths = []
        for number, data in enumerate(picture.files):
            address = digest([item.key, number])[:10]
            path = self.folder / f"{picture.name}-{address}{picture.suffix}"
            if picture.suffix == ".png":
                data = with_text(data, self._text(item, picture, plan, number))
            self._write(path, data)
            paths.append(str(path))
        return paths

    def _text(
        self, item: Keyed, picture: Picture, plan: Sequence[Keyed], number: int
    ) -> dict[str, str]:
        made = manifest(item, plan, self.store, self.machine.numerics, self.machine.device)
        made["index"] = number
        made["pixels_sha256"] = picture.pixels_sha256[number]
        if _reads_files(plan):
            made["base"] = Path(os.path.relpath(self.base, self.folder)).as_posix()
        return {
            WORKFLOW: dumps(self._with_digests(plan)),
            MANIFEST: json.dumps(made, ensure_ascii=False, sort_keys=True),
            PARAMETERS: _parameters(item, plan, number),
        }

    def _with_digests(self, plan: Sequence[Keyed]) -> Workflow:
        """The workflow with the content of every model that it names, so that no other of that name is taken for it."""
        given = {item.id: item.params for item in plan}

        def known(graph: Graph) -> Graph:
            # of a group's body each instance may be given another model by a link
            by_link = given if graph is self.workflow.graph else {}
            for node in graph:
                declared = self.types.get(node.type)
                for param in declared.params if declared and declared.param("digest") else ():
                    params = by_link.get(node.id, {}) if param.name in node.inputs else node.params
                    name = params.get(param.name)
                    if isinstance(param.hint, ModelName) and isinstance(name, str):
                        # a branch that did not run may name what is not here
                        with contextlib.suppress(ModelError):
                            graph = graph.set(node.id, digest=self.models.describe(name).digest)
            return graph

        groups = {
            name: replace(group, graph=known(group.graph))
            for name, group in self.workflow.groups.items()
        }
        return replace(self.workflow, graph=known(self.workflow.graph), groups=groups)

    def _write(self, path: Path, data: bytes) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(
                f"{self.folder} is not a folder", remedy="name a folder with --output"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _reads_files(plan: Sequence[Keyed]) -> bool:
    return any(
        isinstance(param.hint, File) and bool(item.params[param.name])
        for item in plan
        for param in item.type.params
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _parameters(item: Keyed, plan: Sequence[Keyed], number: int) -> str:
    """The line that galleries of other tools read, from the denoising that is nearest to the output."""
    by_id = {one.id: one for one in plan}
    pending, seen = [item.id], {item.id}
    while pending:
        found = by_id[pending.pop(0)]
        if found.type.id == "denoise":
            return _denoising(found, plan, number)
        for link in found.node.inputs.values():
            if link.node not in seen:
                seen.add(link.node)
                pending.append(link.node)
    return parameters_line(prompt="")


def _denoising(found: Keyed, plan: Sequence[Keyed], number: int) -> str:
    noise, schedule = found.ports.get("noise"), found.ports.get("schedule")
    model = found.ports.get("model")
    guidance = found.params.get("guidance")
    seeds = noise.seeds if isinstance(noise, Noise) else ()
    return parameters_line(
        prompt=_prompt(found, "positive", plan),
        negative=_prompt(found, "negative", plan),
        steps=schedule.steps if isinstance(schedule, Schedule) else None,
        sampler=schedule.solver.removesuffix("Scheduler")
        if isinstance(schedule, Schedule)
        else None,
        guidance=guidance if isinstance(guidance, float) else None,
        seed=seeds[number % len(seeds)] if seeds else None,
        width=noise.width if isinstance(noise, Noise) else None,
        height=noise.height if isinstance(noise, Noise) else None,
        model=getattr(getattr(model, "ref", None), "name", None),
    )


def _prompt(found: Keyed, port: str, plan: Sequence[Keyed]) -> str:
    keys = {ref.key for ref in references(found.ports.get(port))}
    texts = [
        str(one.params["prompt"]) for one in plan if one.key in keys and "prompt" in one.params
    ]
    return " | ".join(texts)
