"""What would run: every node keyed before anything runs, and which results are stored, without torch.

Two stages. ``key_graph`` walks down in topological order: describing nodes are evaluated, the others get the key
of their result, loops a key per step. ``outlook`` walks back up from the targets over what is not stored. The
engine runs what these two say; ``plan`` adds the reasons and the costs for people.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from studio.errors import FileError, GraphError, NodeError, StudioError
from studio.facts import Facts, file_digest, file_digests
from studio.graph import (
    Graph,
    Json,
    Key,
    Link,
    Node,
    NodeId,
    NodeKind,
    NodeType,
    Param,
    Ref,
    Types,
    Value,
    fits,
)
from studio.keys import digest
from studio.numerics import Numerics
from studio.registry import (
    Announcing,
    Chain,
    File,
    Folder,
    FoundFile,
    Loop,
    Models,
    NotKnown,
    Spec,
    outputs,
)
from studio.validation import admitted
from studio.values import Constant, Timeline

Argument = Ref | Value | None


class Index(Protocol):
    """What is stored, by key."""

    def __contains__(self, key: Key, /) -> bool:
        """Tell whether a result is stored."""

    def contains_many(self, keys: Iterable[Key]) -> Container[Key]:
        """Those of ``keys`` that are stored."""


# --- keys


@dataclass(frozen=True)
class KeyedStep:
    """A step of a loop and the key of the state after it."""

    key: Key
    spec: Spec

    def part(self, done: int) -> Key:
        """The key of the state after ``done`` of the spec's steps, kept when a run is cancelled there."""
        return digest(["part", self.key, done])


class Reached(NamedTuple):
    """How far a chain has come in what is stored."""

    specs: int = 0
    """That are done."""
    steps: int = 0
    """Of the next spec that are done, where a run was cancelled in the middle of it."""


@dataclass(frozen=True)
class KeyedChain:
    """A chain of steps with their keys; ``start`` is the state before the first."""

    start: KeyedStep
    steps: tuple[KeyedStep, ...]
    cost: str = ""

    @property
    def final(self) -> Key:
        """The key of the last state."""
        return self.steps[-1].key if self.steps else self.start.key

    def passes(self, reached: Reached | None = None) -> int:
        """How many steps lie behind a place; all of them by default."""
        if reached is None:
            return sum(step.spec.count for step in self.steps)
        return sum(step.spec.count for step in self.steps[: reached.specs]) + reached.steps

    def calls(self, reached: Reached | None = None) -> int:
        """How many forward passes the steps behind a place cost; all of them by default."""
        behind = self.steps if reached is None else self.steps[: reached.specs]
        calls = sum(step.spec.count * step.spec.calls for step in behind)
        if reached is not None and reached.steps:
            calls += reached.steps * self.steps[reached.specs].spec.calls
        return calls

    def resume(self, index: Index) -> Reached | None:
        """The latest stored state; None if not even the start is stored."""
        for done in range(len(self.steps), 0, -1):
            if self.steps[done - 1].key in index:
                return Reached(done, self._begun(done, index))
        return Reached(0, self._begun(0, index)) if self.start.key in index else None

    def _begun(self, specs: int, index: Index) -> int:
        """How many steps of the spec after ``specs`` others a cancelled run has done."""
        if specs == len(self.steps):
            return 0
        step = self.steps[specs]
        keys = {step.part(done): done for done in range(1, step.spec.count)}
        stored = index.contains_many(keys) if keys else ()
        return max((done for key, done in keys.items() if key in stored), default=0)


@dataclass(frozen=True)
class Keyed:
    """A node with its arguments and the key of its result."""

    node: Node
    type: NodeType
    key: Key
    ports: Mapping[str, Argument]
    """By input port: a reference to a result, or a description (which may hold references)."""
    params: Mapping[str, Json]
    """By parameter, complete and canonical, as links give them; files as absolute paths."""
    described: Mapping[str, Value] | None = None
    """The outputs of a describing node."""
    announced: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    """Those outputs of a loop that are descriptions, known before it has run."""
    chains: tuple[KeyedChain, ...] = ()
    passes: int = 0
    """Steps of all chains together."""
    is_known: bool = True
    """False where a fact that the chain needs is not known yet; the key is then a placeholder."""
    document: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    """What the key was made of, for telling why it changed."""

    @property
    def id(self) -> NodeId:
        """The node's id."""
        return self.node.id


@dataclass(frozen=True)
class PlanningContext:
    """``studio.registry.Planning``: facts come from the database, or are computed where that is allowed."""

    models: Models
    facts: Facts
    numerics: Numerics
    base: Path
    """The folder that relative files are relative to."""
    may_compute: bool = False

    def known(self, compute: Callable[..., Json], *args: object) -> Json:
        """The fact ``compute(*args)``; raises NotKnown if it is new and may not be computed now."""
        name = f"{compute.__module__}.{compute.__qualname__}"
        key = digest([name, args, self.numerics])
        fact = self.facts.get("table", key)
        if fact is None:
            if not self.may_compute:
                raise NotKnown(name)
            fact = compute(*args)
            self.facts.set("table", key, fact)
        return fact

    def files(
        self, folder: str, endings: Collection[str], look: Callable[[Path], Json]
    ) -> Sequence[FoundFile]:
        """``studio.registry.Planning.files``, digests and what was found remembered in the facts."""
        root = Path(folder)
        listed = _listed(root, endings)
        space = f"{look.__module__}.{look.__qualname__}"
        stamp = _stamp(root, listed)
        address = digest([str(root), sorted(endings), space])
        past = self.facts.get("folder", address)
        if stamp and isinstance(past, list) and past[0] == stamp:
            rows = past[1]
        else:
            rows = self._looked(root, listed, space, look)
            # what changes once more within the tick of a clock would not show
            if _is_settled(root, listed) and _stamp(root, listed) == stamp:
                self.facts.set("folder", address, [stamp, rows])
        assert isinstance(rows, list)
        files = []
        for name, row in zip(listed, rows, strict=True):
            assert isinstance(row, list)
            files.append(FoundFile(f"{root}/{name}", name, str(row[0]), row[1]))
        return files

    def _looked(
        self, root: Path, listed: Sequence[str], space: str, look: Callable[[Path], Json]
    ) -> list[Json]:
        """[digest, what was found] of each file; the digest is "" where it cannot be read."""
        digests = file_digests((root / name for name in listed), self.facts)
        readable = {content for content in digests.values() if isinstance(content, str)}
        known = self.facts.get_many(f"found {space}", readable)
        new: dict[str, Json] = {}
        rows: list[Json] = []
        for name in listed:
            path = root / name
            content = digests[path]
            try:
                if isinstance(content, OSError):
                    raise content
                if content not in known:
                    known[content] = new[content] = look(path)
            except OSError as error:
                rows.append(["", f"cannot be read ({error.strerror or error})"])
            else:
                rows.append([content, known[content]])
        self.facts.set_many(f"found {space}", new)
        return rows


def key_graph(
    graph: Graph, types: Types, targets: Iterable[str], context: PlanningContext
) -> list[Keyed]:
    """Key every node that the targets need, in topological order.

    What is linked into a parameter stands in its place before anything is hashed: a link gives the key that the value
    would give, had it been set.
    ``graph`` is flat, active and sound (``studio.validation``). Raises NodeError, with the node's name, where a
    describing node fails or a file is missing, and GraphError where what is linked into a parameter does not fit it.
    """
    needed = graph.needed(targets)
    class_digest = digest(context.numerics)
    done: dict[NodeId, Keyed] = {}
    for node_id in graph.order():
        if node_id in needed:
            node = graph.nodes[node_id]
            try:
                done[node_id] = _key_node(node, types[node.type], done, context, class_digest)
            except StudioError as error:
                raise error.located(node_id) from error
    return list(done.values())


def _key_node(
    node: Node,
    node_type: NodeType,
    done: Mapping[NodeId, Keyed],
    context: PlanningContext,
    class_digest: Key,
) -> Keyed:
    ports = {port.name: _argument(node, port.name, port.type, done) for port in node_type.inputs}
    params, hashed = _params(node, node_type, done, context)
    document: dict[str, Json] = {
        "type": node_type.id,
        "version": node_type.version,
        "params": hashed,
        "numerics": class_digest,
        "inputs": {
            name: [str(node.inputs[name]), _identity(argument)]
            for name, argument in ports.items()
            if argument is not None
        },
    }
    keyed = Keyed(node, node_type, Key(""), ports, params, document=document)
    if node_type.kind is NodeKind.LOOP:
        return _key_loop(keyed, context, class_digest)
    key = digest([node_type.id, node_type.version, hashed, ports, class_digest])
    if node_type.kind is NodeKind.COMPUTE:
        return replace(keyed, key=key)
    described = outputs(node_type, call(node_type, {**ports, **params}, context))
    return replace(keyed, key=key, described=described)


def _identity(argument: Argument) -> str:
    """What an argument is, for telling whether it has changed."""
    return f"{argument.key}.{argument.output}" if isinstance(argument, Ref) else digest(argument)


def call(node_type: NodeType, arguments: Mapping[str, object], context: object) -> object:
    """Call a node's function with its arguments, as tuples where JSON has lists."""
    function = node_type.implementation
    assert callable(function)
    if node_type.wants_context:
        arguments = {**arguments, "ctx": context}
    return function(**arguments)


def _argument(
    node: Node, port: str, port_type: type[Value], done: Mapping[NodeId, Keyed]
) -> Argument:
    link = node.inputs.get(port)
    if link is None:
        return None
    source = done[link.node]
    output = source.type.output(link.output)
    assert output is not None, f"{link} was not validated"
    known = source.announced if source.described is None else source.described
    value = known.get(link.output, Ref(source.key, link.output))
    if issubclass(port_type, Timeline) and not issubclass(output.type, port_type):
        return port_type.of(value)
    return value


def _given(node: Node, param: Param, done: Mapping[NodeId, Keyed]) -> Json:
    """The value of a parameter, its own or the linked one, in canonical form."""
    link = node.inputs.get(param.name)
    if link is None:
        return param.check(node.params.get(param.name, param.default))
    constant = (done[link.node].described or {}).get(link.output)
    assert isinstance(constant, Constant), f"{link} was not validated"
    try:
        return param.check(constant.value)
    except ValueError as error:
        raise GraphError(
            node.id,
            param.name,
            f"{error} (linked from {link})",
            remedy=f"let {link.node} {admitted(param)}, or cut the link",
        ) from error


def _params(
    node: Node, node_type: NodeType, done: Mapping[NodeId, Keyed], context: PlanningContext
) -> tuple[dict[str, Json], dict[str, Json]]:
    """The parameters as the node is given them, and as they enter the key."""
    given: dict[str, Json] = {}
    hashed: dict[str, Json] = {}
    for param in node_type.params:
        value = _given(node, param, done)
        given[param.name] = hashed[param.name] = value
        if isinstance(param.hint, File) and value:
            path = (context.base / str(value)).absolute()
            given[param.name] = str(path)
            where = f"{node.id}.{param.name}"
            if not isinstance(param.hint, Folder):
                hashed[param.name] = ["sha256", _file_digest(path, where, context)]
            elif node_type.kind is NodeKind.COMPUTE:
                # a describing node says itself what of the folder counts
                hashed[param.name] = ["folder", _folder_digest(path, context)]
    return given, hashed


def _file_digest(path: Path, where: str, context: PlanningContext) -> str:
    remedy = "name a file that exists, relative to the workflow's folder or absolute"
    try:
        return file_digest(path, context.facts)
    except FileError as error:
        raise NodeError(f"{path} {error.what}", where=where, remedy=remedy) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        what = f"{path} cannot be read ({reason})"
        raise NodeError(what, where=where, remedy=remedy) from error


def _folder_digest(path: Path, context: PlanningContext) -> Key:
    """The content of all that lies under a folder, by name."""
    files = context.files(str(path), (), _nothing)
    return digest([[file.name, file.digest] for file in files])


def _nothing(path: Path) -> Json:
    return None


def _listed(root: Path, endings: Collection[str]) -> list[str]:
    """The files under a folder, sorted by name; raises NodeError naming the folder that cannot be listed."""

    def refuse(error: OSError) -> None:
        where = Path(error.filename or root)
        reason = error.strerror or str(error)
        raise NodeError(f"{where} cannot be listed ({reason})", remedy="choose another folder")

    found = []
    for place, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(root)
        found += [
            (inside / name).as_posix()
            for name in names
            if not name.startswith(".")
            and (not endings or os.path.splitext(name)[1].lower() in endings)
        ]
    return sorted(found)


_RACY_NS = 2_000_000_000


def _stamp(root: Path, names: Iterable[str]) -> str:
    """Names, sizes and times of change of files as one digest; "" where one cannot be looked at."""
    seen = hashlib.blake2b(digest_size=16)
    try:
        for name in names:
            status = os.stat(f"{root}/{name}")
            seen.update(
                f"{name}\0{status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogatepass")
            )
    except OSError:
        return ""
    return seen.hexdigest()


def _is_settled(root: Path, names: Iterable[str]) -> bool:
    """Whether all files can be looked at, and none has changed in the last two seconds."""
    latest_ns = time.time_ns() - _RACY_NS
    try:
        return all(os.stat(f"{root}/{name}").st_mtime_ns < latest_ns for name in names)
    except OSError:
        return False


def constants(graph: Graph, types: Types) -> dict[Link, Constant]:
    """The plain values of a flat, active graph that are known without models and files, by the outputs that give them.

    What is unsound, or fails, is left out, and so is what follows from it; nothing is raised.
    """
    try:
        order = graph.order()
    except GraphError:
        return {}
    done: dict[NodeId, Keyed] = {}
    for node_id in order:
        node = graph.nodes[node_id]
        declared = types.get(node.type)
        if declared is None or not _is_plain(node, declared, done):
            continue
        # a node's function may stumble over values that planning would not have let through
        with contextlib.suppress(StudioError, ValueError, TypeError, ArithmeticError, LookupError):
            ports = {one.name: _argument(node, one.name, one.type, done) for one in declared.inputs}
            params = {param.name: _given(node, param, done) for param in declared.params}
            described = outputs(declared, call(declared, {**ports, **params}, None))
            done[node_id] = Keyed(node, declared, Key(""), ports, params, described)
    return {
        Link(node_id, name): value
        for node_id, item in done.items()
        for name, value in (item.described or {}).items()
        if isinstance(value, Constant)
    }


def _is_plain(node: Node, declared: NodeType, done: Mapping[NodeId, Keyed]) -> bool:
    """Whether a node gives plain values, and nothing but plain values enters it."""
    if declared.kind is not NodeKind.DESCRIBE or declared.wants_context:
        return False
    if not all(issubclass(port.type, Constant) for port in declared.outputs):
        return False
    if any(not port.optional and port.name not in node.inputs for port in declared.inputs):
        return False
    for name, link in node.inputs.items():
        port, source = declared.socket(name), done.get(link.node)
        output = source.type.output(link.output) if source else None
        if port is None or output is None or not fits(output.type, port.type):
            return False
    return True


def _key_loop(keyed: Keyed, context: PlanningContext, class_digest: Key) -> Keyed:
    loop = keyed.type.implementation
    arguments: dict[str, object] = {**keyed.ports, **keyed.params}
    identity = [keyed.type.id, keyed.type.version, class_digest]
    try:
        chains: Sequence[Chain] = _loop(loop).chain(**arguments, ctx=context)
    except NotKnown:
        found = replace(
            keyed,
            key=digest(["not known", identity, keyed.params, keyed.ports]),
            passes=_loop(loop).passes(arguments),
            is_known=False,
        )
    else:
        keyed_chains = tuple(key_chain(chain, identity) for chain in chains)
        found = replace(
            keyed,
            key=digest(["finished", identity, [chain.final for chain in keyed_chains]]),
            chains=keyed_chains,
            passes=sum(chain.passes() for chain in keyed_chains),
        )
    if isinstance(loop, Announcing):
        return replace(found, announced=loop.announce(found.key, arguments))
    return found


def key_chain(chain: Chain, identity: object) -> KeyedChain:
    """Key a chain: each state's key from the state before and all that the step reads."""
    key = digest(["start", identity, chain.start.params, chain.start.uses])
    start = KeyedStep(key, chain.start)
    steps = []
    for spec in chain.steps:
        key = digest([key, spec.params, spec.uses])
        steps.append(KeyedStep(key, spec))
    return KeyedChain(start, tuple(steps), chain.cost)


def _loop(implementation: object) -> Loop:
    return implementation  # type: ignore[return-value]  # NodeKind.LOOP says so


def references(value: object) -> Iterator[Ref]:
    """Every reference inside an argument."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from references(getattr(value, field.name))


# --- what is stored


Status = Literal["cached", "resumes", "runs", "skipped"]


@dataclass(frozen=True)
class Outlook:
    """What will become of one node."""

    status: Status
    resume: tuple[Reached | None, ...] = ()
    """For each chain of a loop that is not finished: how far it has come; None: not even the start."""
    needs: tuple[Ref, ...] = ()
    """The results that it will read."""
    from_step: int = 0
    """Steps that need not run again, over all chains."""


def outlook(keyed: Sequence[Keyed], targets: Iterable[str], index: Index) -> dict[NodeId, Outlook]:
    """Walk back from the targets over what is not stored."""
    stored = index.contains_many(item.key for item in keyed if item.described is None)
    producers: dict[Key, NodeId] = {}
    for item in keyed:
        producers.setdefault(item.key, item.id)
    needed = set(targets)
    found: dict[NodeId, Outlook] = {}
    for item in reversed(keyed):
        if item.described is not None:
            # what an output node describes is put together when it is handed over
            is_handed_over = item.type.is_output and item.id in needed
            parts = tuple(references(item.described)) if is_handed_over else ()
            found[item.id] = Outlook("cached", needs=parts)
        elif item.key in stored:
            found[item.id] = Outlook("cached")
        elif item.id not in needed:
            found[item.id] = Outlook("skipped")
        else:
            found[item.id] = _unfinished(item, index)
        needed.update(producers[ref.key] for ref in found[item.id].needs if ref.key in producers)
    return found


def _unfinished(item: Keyed, index: Index) -> Outlook:
    if not item.chains:
        return Outlook("runs", needs=tuple(references(list(item.ports.values()))))
    resume = tuple(chain.resume(index) for chain in item.chains)
    needs: dict[Ref, None] = {}
    from_step = 0
    for chain, reached in zip(item.chains, resume, strict=True):
        ahead = (chain.start, *chain.steps) if reached is None else chain.steps[reached.specs :]
        for step in ahead:
            needs.update(dict.fromkeys(step.spec.uses.values()))
        from_step += chain.passes(reached or Reached())
    status: Status = "resumes" if from_step else "runs"
    return Outlook(status, resume, tuple(needs), from_step)


# --- for people


@dataclass(frozen=True)
class Planned:
    """One line of a plan."""

    node: NodeId
    type: str
    key: Key
    status: Status
    from_step: int
    steps: int
    reason: str
    seconds: float | None
    """Predicted from past runs on this device; None if there were none."""
    bytes: int | None
    """Predicted peak memory of the process while it runs; None if unknown."""


@dataclass(frozen=True)
class Plan:
    """What would run, node by node in topological order."""

    nodes: tuple[Planned, ...]
    setup_seconds: float = 0.0
    """Predicted time for loading models, if any node runs."""

    @property
    def seconds(self) -> float:
        """Predicted duration of all that would run, as far as it is known."""
        return self.setup_seconds + sum(node.seconds or 0.0 for node in self.nodes)

    @property
    def bytes(self) -> int | None:
        """Predicted peak memory, as far as it is known."""
        return max((node.bytes for node in self.nodes if node.bytes), default=None)

    @property
    def model_calls(self) -> int:
        """Forward passes of the denoising network that lie ahead."""
        return sum(
            node.steps - node.from_step
            for node in self.nodes
            if node.status in ("runs", "resumes") and node.steps
        )

    def to_json(self) -> dict[str, object]:
        """The plan as plain data: ``nodes`` by id, and the totals."""
        nodes = {node.node: dataclasses.asdict(node) for node in self.nodes}
        for node in nodes.values():
            del node["node"]
        return {
            "nodes": nodes,
            "model_calls": self.model_calls,
            "seconds": self.seconds,
            "bytes": self.bytes,
        }


def plan(
    graph: Graph,
    types: Types,
    targets: Sequence[str],
    context: PlanningContext,
    index: Index,
    workflow: str,
) -> Plan:
    """Say what would run, from which step, why, how long and in how much memory.

    ``workflow`` names whose past counts. Raises what ``key_graph`` raises.
    """
    keyed = key_graph(graph, types, targets, context)
    ahead = outlook(keyed, targets, index)
    past = remembered(context.facts, workflow)
    causes = _causes(keyed, past, context.numerics)
    costs = _learned(keyed, context, workflow)
    nodes = tuple(
        _planned(item, ahead[item.id], past, causes[item.id], costs.get(item.id)) for item in keyed
    )
    runs = any(ahead[item.id].status in ("runs", "resumes") for item in keyed)
    setup = context.facts.get("timing", f"{workflow} setup {digest(context.numerics)}")
    return Plan(nodes, _cost(setup)[0] if runs else 0.0)


def _planned(
    item: Keyed,
    ahead: Outlook,
    past: Mapping[str, Json],
    causes: Sequence[str],
    cost: tuple[float, float] | None,
) -> Planned:
    status = ahead.status
    if item.described is not None and (causes or item.id not in past):
        status = "runs"
    if status not in ("runs", "resumes"):
        cost = None
    left = item.passes - ahead.from_step if item.passes else 1
    return Planned(
        item.id,
        item.type.id,
        item.key,
        status,
        item.passes if status == "cached" else ahead.from_step,
        item.passes,
        _reason(item, status, past, causes),
        None if cost is None else cost[0] * left,
        None if cost is None else int(cost[1]),
    )


def _reason(item: Keyed, status: Status, past: Mapping[str, Json], causes: Sequence[str]) -> str:
    if status == "cached":
        return "described" if item.described is not None else "stored"
    if status == "skipped":
        return "not needed: what depends on it is stored"
    if item.id not in past:
        return "new"
    return ", ".join(causes) or "no longer stored"


def _causes(
    keyed: Sequence[Keyed], past: Mapping[str, Json], numerics: Numerics
) -> dict[NodeId, tuple[str, ...]]:
    """For each node the root causes of a changed key: parameters, links and versions, its own or upstream."""
    causes: dict[NodeId, tuple[str, ...]] = {}
    numerics_before = past.get("")
    for item in keyed:
        before = past.get(item.id)
        found: dict[str, None] = {}
        if isinstance(before, dict):
            if before.get("numerics") != item.document["numerics"] and isinstance(
                numerics_before, dict
            ):
                changes = "; ".join(numerics.differences(dict(numerics_before)))
                found[f"other numerics class ({changes})"] = None
            found.update(dict.fromkeys(_own_causes(item, before)))
            for port, (link, identity) in _inputs(item.document).items():
                was = _inputs(before).get(port)
                if was is not None and was[0] == link and was[1] != identity:
                    upstream = item.node.inputs[port].node
                    found.update(dict.fromkeys(causes[upstream] or (f"{upstream} is new",)))
        causes[item.id] = tuple(found)
    return causes


def _own_causes(item: Keyed, before: Mapping[str, Json]) -> Iterator[str]:
    for name in ("type", "version"):
        if before.get(name) != item.document[name]:
            yield f"{item.id}: {name} {before.get(name)} -> {item.document[name]}"
    old, new = before.get("params"), item.document["params"]
    assert isinstance(new, dict)
    old = old if isinstance(old, dict) else {}
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            source = f" ({item.node.inputs[name]})" if name in item.node.inputs else ""
            yield f"{item.id}.{name}: {_shown(old.get(name))} -> {_shown(new.get(name))}{source}"
    now, was = _inputs(item.document), _inputs(before)
    for port in sorted({*now, *was}):
        source, target = was.get(port, ("nothing",))[0], now.get(port, ("nothing",))[0]
        if source != target:
            yield f"{item.id}.{port}: {source} -> {target}"


def _inputs(document: Mapping[str, Json]) -> dict[str, tuple[str, str]]:
    inputs = document.get("inputs")
    if not isinstance(inputs, dict):
        return {}
    return {
        port: (str(source[0]), str(source[1]))
        for port, source in inputs.items()
        if isinstance(source, list) and len(source) == 2
    }


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


# --- what is remembered of past runs


def remembered(facts: Facts, workflow: str) -> dict[str, Json]:
    """The last key document of every node of a workflow, and under "" the numerics class they were made in."""
    past = facts.get("document", workflow)
    return past if isinstance(past, dict) else {}


def remember(facts: Facts, workflow: str, finished: Iterable[Keyed], numerics: Numerics) -> None:
    """Keep the key documents of nodes that have finished."""
    documents: dict[str, Json] = {item.id: dict(item.document) for item in finished}
    facts.set(
        "document",
        workflow,
        {**remembered(facts, workflow), **documents, "": dict(numerics.document())},
    )


def _cost_names(item: Keyed, where: Key, workflow: str) -> list[str]:
    """Under which names the cost of a node (of a step, for loops) is learned, the most telling first.

    ``where`` is the digest of the numerics class.
    """
    if item.type.kind is NodeKind.LOOP:
        labels = sorted({chain.cost for chain in item.chains})
        return [f"{item.type.id} {label} {where}" for label in labels] or [
            f"{item.type.id} {where}"
        ]
    return [f"{workflow} {item.id} {item.type.id} {where}", f"{item.type.id} {where}"]


def _learned(
    keyed: Sequence[Keyed], context: PlanningContext, workflow: str
) -> dict[NodeId, tuple[float, float]]:
    """(seconds, peak bytes) of the nodes, or of a step of theirs, whose cost is known."""
    where = digest(context.numerics)
    names = {
        item.id: _cost_names(item, where, workflow) for item in keyed if item.described is None
    }
    wanted = {name for several in names.values() for name in several}
    known = context.facts.get_many("timing", wanted)
    costs = {item.id: (0.0, 0.0) for item in keyed if item.described is not None}
    for node, several in names.items():
        cost = next((known[name] for name in several if name in known), None)
        if cost is not None:
            costs[node] = _cost(cost)
    return costs


def _cost(fact: Json) -> tuple[float, float]:
    """(seconds, peak bytes) as ``learn`` keeps them; zeros for anything else."""
    if isinstance(fact, list) and len(fact) == 2:
        seconds, peak = fact
        if isinstance(seconds, int | float) and isinstance(peak, int | float):
            return float(seconds), float(peak)
    return 0.0, 0.0


@dataclass(frozen=True)
class Cost:
    """What a node cost in a run: seconds (of a step, for loops), and the peak memory of the process meanwhile."""

    item: Keyed
    seconds: float
    peak_bytes: int


def learn(
    costs: Iterable[Cost], setup_seconds: float, context: PlanningContext, workflow: str
) -> None:
    """Keep what nodes cost, and what loading the models did; the last run on this device predicts the next."""
    where = digest(context.numerics)
    learned: dict[str, Json] = {
        name: [cost.seconds, cost.peak_bytes]
        for cost in costs
        for name in _cost_names(cost.item, where, workflow)
    }
    if setup_seconds:
        learned[f"{workflow} setup {where}"] = [setup_seconds, 0]
    context.facts.set_many("timing", learned)
