"""``studio replay``: make a picture again from what it carries, and say whether it is the same."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from studio import pictures
from studio.cli.reading import Saved, base_folder, current, every_node, read_saved
from studio.cli.running import evaluate
from studio.cli.writing import complain, line, write_json
from studio.comparison import environment, models
from studio.errors import ArgumentError, FileError, ModelError, NodeError
from studio.events import Event
from studio.graph import Graph, Json, NodeId, Types
from studio.manifest import Departure, departure
from studio.manifest import manifest as describe
from studio.models.library import Library
from studio.numerics import DTYPES, choose
from studio.pixels import Distance, Sizes, decode, distance
from studio.plan import Keyed
from studio.registry import File, ModelName
from studio.session import Session, Settings, prepare, session
from studio.store import Store
from studio.values import Delivered, Picture
from studio.workflow import Workflow

MOST_THREADS = 256
"""More than this no machine of a picture can have had; a manifest may come from anybody."""


def replay(options: argparse.Namespace) -> int:
    """Print ``identical``, or the first node and step that differ, and what differs in the environment.

    Nothing is read from a cache or written anywhere: results live in memory for as long as the comparison takes.
    """
    saved = read_saved(options.file)
    with session(_settings(options, saved.manifest)) as opened:
        # states are compared at the end, so all of them have to stay
        store = Store(None, memory_bytes=opened.machine.memory_bytes)
        again = _Again(replace(opened, store=store), saved, options)
        code = again.evaluate()
        if code:
            return code
        verdict = again.verdict()
    if options.json:
        write_json(verdict.to_json(), indent=2)
    else:
        verdict.write()
    return 0 if verdict.is_identical else 1


def _settings(options: argparse.Namespace, manifest: Mapping[str, Json]) -> Settings:
    """The picture's device, dtype and threads, where the user names none and this machine has them."""
    numerics = manifest.get("numerics")
    numerics = numerics if isinstance(numerics, dict) else {}
    dtype, threads = numerics.get("dtype"), numerics.get("threads")
    device = manifest.get("device")
    wanted = options.device
    if wanted == "auto" and isinstance(device, str):
        try:
            choose(device)
            wanted = device
        except ArgumentError as error:
            complain(f"made on {device}, but {error.what}: replayed on another device")
    chosen = options.dtype
    if chosen == "auto" and isinstance(dtype, str) and dtype in DTYPES:
        chosen = dtype
    count = options.threads
    if count is None and type(threads) is int and 0 < threads <= MOST_THREADS:
        # more threads than cores are slow, but the bits depend on their number
        count = threads
    return Settings(
        is_cached=False,
        device=wanted,
        dtype=chosen,
        threads=count,
        memory_bytes=options.memory,
        is_safe=options.safe,
    )


@dataclass
class _Again:
    """One making of a picture, and what came of it."""

    opened: Session
    saved: Saved
    options: argparse.Namespace
    plan: Sequence[Keyed] = ()
    item: Keyed | None = None
    picture: Picture | None = None
    renamed: dict[str, str] = field(default_factory=dict)

    def evaluate(self) -> int:
        """Run the picture's node; the exit code of a run that did not get there, else 0."""
        types = self.opened.registry.types
        target = self.saved.manifest.get("node")
        if not isinstance(target, str):
            raise _malformed(self.saved, "names no node")
        workflow = current(self.saved.workflow, types)
        workflow = self._with_models(workflow, types)
        job = prepare(workflow, self.opened.registry, [target])
        base = self.options.base or base_folder(self.saved.path, workflow, types)
        try:
            done = evaluate(
                self.opened.engine(base, self._take, str(self.saved.path)),
                job,
                _ignore,
                is_debug=self.options.debug,
            )
        except NodeError as error:
            if _is_of_a_file(error, job.graph, types):
                error.remedy = "name the folder that the workflow lay in with --base"
            raise
        if done.status != "ok":
            return 130 if done.status == "cancelled" else 1
        if self.item is None:
            raise _malformed(self.saved, f"names node {target}, which makes no picture")
        return 0

    def _take(self, item: Keyed, made: Delivered, plan: Sequence[Keyed], /) -> Sequence[str]:
        if isinstance(made, Picture):
            self.item, self.picture, self.plan = item, made, plan
        return []

    def _with_models(self, workflow: Workflow, types: Types) -> Workflow:
        """The workflow with models that are called otherwise here by the names that they have here."""
        names = {
            value
            for node in every_node(workflow)
            for value in _model_names(node.params, node.type, types)
        }
        for name in sorted(names):
            try:
                self.opened.library.find(name)
            except ModelError:
                found = _same_content(name, self.saved.manifest, self.opened.library)
                if found:
                    complain(f'model "{name}" is called "{found}" here')
                    self.renamed[found] = name
        return _renamed(workflow, types, {old: new for new, old in self.renamed.items()})

    def verdict(self) -> Verdict:
        """Compare with the manifest and with the pixels of the file."""
        assert self.item is not None  # evaluate() has said 0
        assert self.picture is not None
        before = self.saved.manifest
        machine = self.opened.machine
        after = describe(self.item, self.plan, self.opened.store, machine.numerics, machine.device)
        after["models"] = {
            self._former(name): digest for name, digest in _object(after["models"]).items()
        }
        index = before.get("index", 0)
        if type(index) is not int or not 0 <= index < len(self.picture.files):
            raise _malformed(self.saved, f"speaks of picture {index} of {len(self.picture.files)}")
        pixels = self.picture.pixels_sha256[index]
        is_same = pixels == before.get("pixels_sha256")
        # an encoder of another version may pack the same pixels otherwise
        compared = _without(after, self.item.id) if is_same else after
        of_file = _pixels_of(self.saved)
        return Verdict(
            path=self.saved.path,
            departure=departure(before, compared),
            is_same=is_same,
            is_edited=of_file is not None and of_file != before.get("pixels_sha256"),
            is_animation=of_file is None,
            distance=_distance(self.saved.data, self.picture.files[index]),
            environment=tuple(map(str, environment(before, after))),
            models=tuple(map(str, models(before, after))),
            inputs=tuple(_other_inputs(before, after, self.plan)),
            sha256={
                "file": of_file,
                "manifest": before.get("pixels_sha256"),
                "replay": pixels,
            },
        )

    def _former(self, name: str) -> str:
        model, slash, component = name.rpartition("/")
        return f"{self.renamed.get(model, model)}{slash}{component}"


@dataclass(frozen=True)
class Verdict:
    """How the second making compares with the first."""

    path: Path
    departure: Departure | None
    is_same: bool
    """Whether the replay's pixels are those of the manifest."""
    is_edited: bool
    """Whether the file's own pixels are not those of the manifest."""
    is_animation: bool
    """The file's frames cannot be compared with the manifest: encoders merge equal ones."""
    distance: Distance | Sizes | None
    """Between the file's pixels and the replay's."""
    environment: tuple[str, ...]
    models: tuple[str, ...]
    inputs: tuple[str, ...]
    """Nodes that were given something else than then, in words."""
    sha256: Mapping[str, Json]

    @property
    def is_identical(self) -> bool:
        """Every pixel, and every intermediate result of which a digest is known, is the same."""
        return self.is_same and not self.is_edited and self.departure is None

    def to_json(self) -> dict[str, object]:
        """The verdict as plain data."""
        return {
            "picture": str(self.path),
            "verdict": "identical" if self.is_identical else "different",
            "departure": dataclasses.asdict(self.departure) if self.departure else None,
            "is_edited": self.is_edited,
            "pixels_sha256": dict(self.sha256),
            "pixels": self.distance.to_json() if self.distance else None,
            "inputs": self.inputs,
            "models": self.models,
            "environment": self.environment,
        }

    def write(self) -> None:
        """Write the verdict for people; of an identical picture, what differs around it goes to stderr."""
        if self.is_identical:
            print("identical")
            for text in (*self.models, *self.environment):
                complain(f"identical although this differs: {text}")
            return
        for text in self._lines():
            print(line(text))

    def _lines(self) -> Iterator[str]:
        if self.departure:
            yield str(self.departure)
        if self.is_edited:
            again = "gives" if self.is_same else "does not give"
            yield f"the file was edited after it was saved; the replay {again} the pixels that were saved"
        elif self.is_same:
            yield "the pixels are identical nevertheless"
        if isinstance(self.distance, Sizes) or (self.distance and self.distance.differing):
            yield f"pixels: {self.distance}"
        causes = (*self.inputs, *self.models, *self.environment)
        yield from causes
        if not causes and (self.departure or not self.is_same):
            yield "nothing that is recorded of the environment differs; the node itself may not be deterministic"


def _is_of_a_file(error: NodeError, graph: Graph, types: Types) -> bool:
    """Whether an error is about a file that a parameter names."""
    name, _, param_name = error.where.partition(".")
    node = graph.nodes.get(NodeId(name))
    declared = types.get(node.type) if node else None
    param = declared.param(param_name) if declared else None
    return param is not None and isinstance(param.hint, File)


def _ignore(_event: Event) -> None:
    """Progress and failures are shown already; nothing goes to stdout before the verdict."""


def _malformed(saved: Saved, what: str) -> FileError:
    return FileError(f"{what}", where=f"{saved.path} ({pictures.MANIFEST})")


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _pixels_of(saved: Saved) -> str | None:
    """The digest of the file's own pixels; None for an animation."""
    if b"acTL" in saved.data[:1024]:
        return None
    try:
        return pictures.pixels_sha256(saved.data)
    except FileError as error:
        raise FileError(error.what, where=str(saved.path)) from error


def _distance(file: bytes, again: bytes) -> Distance | Sizes | None:
    try:
        return distance(decode(file), decode(again))
    except FileError:
        return None  # no picture but an animation of another kind


def _without(manifest: Mapping[str, Json], node: str) -> dict[str, Json]:
    nodes = {name: one for name, one in _object(manifest["nodes"]).items() if name != node}
    return {**manifest, "nodes": nodes}


def _other_inputs(
    before: Mapping[str, Json], after: Mapping[str, Json], plan: Sequence[Keyed]
) -> Iterator[str]:
    """The nodes whose keys are others although the environment and all that they depend on is the same."""
    if before.get("numerics") != after.get("numerics"):
        return  # then every key is another
    old, new = _object(before.get("nodes")), _object(after.get("nodes"))
    changed: set[str] = set()
    for item in plan:
        if item.id not in old:
            yield f"{item.id}: is not in the manifest"
            continue
        if _object(old[item.id]).get("key") == _object(new[item.id]).get("key"):
            continue
        if not any(link.node in changed for link in item.node.inputs.values()):
            files = [
                str(item.params[param.name])
                for param in item.type.params
                if isinstance(param.hint, File) and item.params[param.name]
            ]
            if files:
                yield f"{item.id}: {', '.join(files)} is another file than then, or a parameter is another"
            elif not any(isinstance(param.hint, ModelName) for param in item.type.params):
                yield f"{item.id}: its parameters, or its version, are others than then"
        changed.add(item.id)


# --- models that are called otherwise


def _model_names(params: Mapping[str, Json], type_id: str, types: Types) -> Iterator[str]:
    declared = types.get(type_id)
    for param in declared.params if declared else ():
        value = params.get(param.name)
        if isinstance(param.hint, ModelName) and isinstance(value, str):
            yield value


def _same_content(name: str, manifest: Mapping[str, Json], library: Library) -> str | None:
    """The name of a model here that has, component by component, the content that the manifest gives ``name``."""
    wanted = {
        key.rpartition("/")[2]: digest
        for key, digest in _object(manifest.get("models")).items()
        if key.rpartition("/")[0] == name
    }
    if not wanted:
        return None
    # the bundled model comes last: a copy of it with a name of its own counts as another family
    for entry in sorted(library.entries(), key=lambda entry: entry.is_bundled):
        try:
            if not wanted.keys() <= set(library.inspect(entry.name).components):
                continue
            described = library.describe(entry.name)
        except ModelError:
            continue
        if wanted.items() <= {ref.component: ref.digest for ref in described.refs}.items():
            return entry.name
    return None


def _renamed(workflow: Workflow, types: Types, names: Mapping[str, str]) -> Workflow:
    """The workflow with every model of ``names`` called by its new name."""
    if not names:
        return workflow

    def renamed(graph: Graph) -> Graph:
        for node in graph:
            declared = types.get(node.type)
            for param in declared.params if declared else ():
                value = node.params.get(param.name)
                if isinstance(param.hint, ModelName) and isinstance(value, str) and value in names:
                    graph = graph.set(node.id, **{param.name: names[value]})
        return graph

    groups = {
        name: replace(group, graph=renamed(group.graph)) for name, group in workflow.groups.items()
    }
    return replace(workflow, graph=renamed(workflow.graph), groups=groups)
