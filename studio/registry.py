"""Node declaration: a typed Python function is a node, its signature the schema; packs arrive by entry point.

::

    @node("karras_sigmas", version=1, category="schedule", kind=NodeKind.DESCRIBE)
    def karras_sigmas(
        steps: Annotated[int, Range(1, 1000)] = 20, rho: Annotated[float, Range(1, 20)] = 7.0
    ) -> Sigmas:
        \"\"\"Noise levels of Karras et al. 2022, eq. 5.\"\"\"

An argument annotated with a ``Value`` type is an input port (``| None``: optional); any other is a
parameter, whose widget follows from its type and hint, which needs a default and, save for lists, takes a link
as well. ``ctx`` (``Planning`` or ``Context``) is injected. The return annotation gives the outputs: a
``NamedTuple`` for several, ``Annotated[T, Output("name")]`` to name a single one, else the type's name in snake
case. The docstring is the help; a line ``name: text`` in it is the help of that port or parameter.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    runtime_checkable,
)

from studio.errors import PackError
from studio.graph import (
    NODE_ID,
    Hint,
    Json,
    Key,
    NodeKind,
    NodeType,
    Param,
    ParamKind,
    Port,
    Ref,
    Value,
)
from studio.values import Boolean, Constant, Described, Integer, Number, State, Text

if TYPE_CHECKING:
    from studio.models.pool import Pool

ENTRY_POINTS = "studio.nodes"

# --- hints


@dataclass(frozen=True)
class Range(Hint):
    """A number from ``low`` to ``high``, both admitted, in multiples of ``step``, with a unit for display."""

    low: float
    high: float
    step: float | None = None
    unit: str = ""

    def problem(self, value: Json) -> str | None:
        """Say that ``value`` is outside the range or between two steps."""
        assert isinstance(value, int | float)
        if not self.low <= value <= self.high:
            return f"{value} is outside {self.describe()}"
        if self.step and isinstance(value, int) and value % int(self.step):
            return f"{value} is not a multiple of {int(self.step)}"
        return None

    def unit_of(self, value: Json) -> str:
        """The unit as it stands behind a value: "step" behind 1, "steps" behind others."""
        is_plural = len(self.unit) > 1 and self.unit.endswith("s")
        if not is_plural or isinstance(value, bool) or value != 1:
            return self.unit
        return self.unit[:-2] if self.unit.endswith("ches") else self.unit[:-1]

    def describe(self) -> str:
        """``1 … 1000 steps``."""
        return f"{_plain(self.low)} … {_plain(self.high)}" + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True)
class Seed(Range):
    """A 64-bit seed, exact."""

    low: float = 0
    high: int = 2**64 - 1


@dataclass(frozen=True, init=False)
class Choice(Hint):
    """One of a few words."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)

    def problem(self, value: Json) -> str | None:
        """Say which words there are."""
        return None if value in self.values else f'"{value}" is not one of {self.describe()}'

    def describe(self) -> str:
        """The words, separated by bars."""
        return " | ".join(self.values)


@dataclass(frozen=True)
class Multiline(Hint):
    """Text of several lines, such as a prompt."""


@dataclass(frozen=True)
class ModelName(Hint):
    """The name of a model in the library."""


@dataclass(frozen=True)
class File(Hint):
    """A path to a file, relative to the workflow's folder or absolute; its content enters the key, not its name."""

    endings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Folder(File):
    """A path to a folder, relative as that of a file; what of its content counts enters the key."""


@dataclass(frozen=True)
class Numbers(Hint):
    """A list of finite numbers."""

    def problem(self, value: Json) -> str | None:
        """Say which entry is no finite number."""
        assert isinstance(value, list)
        for index, entry in enumerate(value):
            if not _is_number(entry):
                return f"entry {index} is not a finite number"
        return None

    def describe(self) -> str:
        """The form of the list."""
        return "[number, …]"


@dataclass(frozen=True)
class Points(Hint):
    """A curve over the run: ``[[share, value], …]``, shares rising within [0, 1]."""

    low: float
    high: float

    def problem(self, value: Json) -> str | None:
        """Say which point is malformed, out of range or out of order."""
        assert isinstance(value, list)
        before = -1.0
        for index, point in enumerate(value):
            if not (isinstance(point, list) and len(point) == 2 and all(map(_is_number, point))):
                return f"point {index} is not a pair [share, value]"
            share, height = (typing.cast("float", number) for number in point)
            if not 0 <= share <= 1 or share <= before:
                return f"point {index}: shares must rise from 0 to 1"
            if not self.low <= height <= self.high:
                return (
                    f"point {index}: {height} is outside {_plain(self.low)} … {_plain(self.high)}"
                )
            before = share
        return None if value else "a curve needs a point"

    def describe(self) -> str:
        """The form of the list and the range of the values."""
        return f"[[share, value], …], values {_plain(self.low)} … {_plain(self.high)}"


@dataclass(frozen=True)
class Strokes(Hint):
    """Painted strokes as vectors: ``[{"points": [[x, y], …], "radius": r, "hardness": h, "erase": false}, …]``.

    Coordinates and radius are shares of the picture's width (x, radius) and height (y).
    """

    def problem(self, value: Json) -> str | None:
        """Say which stroke is malformed."""
        assert isinstance(value, list)
        for index, stroke in enumerate(value):
            problem = _stroke_problem(stroke)
            if problem:
                return f"stroke {index}: {problem}"
        return None

    def describe(self) -> str:
        """The form of a stroke."""
        return '[{"points": [[x, y], …], "radius": r, "hardness": h, "erase": false}, …]'


def _stroke_problem(stroke: Json) -> str | None:
    if not isinstance(stroke, dict):
        return "is not an object"
    points = stroke.get("points")
    if not isinstance(points, list) or not points:
        return '"points" is not a list of [x, y]'
    for point in points:
        if not (isinstance(point, list) and len(point) == 2 and all(map(_is_number, point))):
            return '"points" is not a list of [x, y]'
    radius, hardness = stroke.get("radius"), stroke.get("hardness", 1.0)
    if not _is_number(radius) or not 0 < typing.cast("float", radius) <= 4:
        return '"radius" is not a number in (0, 4]'
    if not _is_number(hardness) or not 0 <= typing.cast("float", hardness) <= 1:
        return '"hardness" is not a number in [0, 1]'
    if not isinstance(stroke.get("erase", False), bool):
        return '"erase" is not true or false'
    unknown = stroke.keys() - {"points", "radius", "hardness", "erase"}
    return f"unknown field {sorted(unknown)[0]!r}" if unknown else None


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    )


def _plain(number: float) -> str:
    return f"{int(number)}" if number == int(number) else f"{number:g}"


@dataclass(frozen=True)
class Output:
    """Names the single output of a node."""

    name: str


# --- what a node is given


class Models(Protocol):
    """The model library as nodes see it while planning."""

    def describe(self, name: str) -> Described:
        """Describe a model by name; raises ModelError if there is none such."""

    def refuse_new(self, name: str, key: Key, *, is_replacing: bool) -> None:
        """Raise ModelError if a model from the training of some key cannot be saved under a name."""


@dataclass(frozen=True)
class FoundFile:
    """A file of a folder: where it lies, its content, and what was found in it."""

    path: str
    name: str
    """Relative to the folder, with ``/`` between."""
    digest: str
    """sha256 of the content; "" where it cannot be read."""
    found: Json
    """What ``look`` gave, or the reason in words why the file cannot be read."""


T = TypeVar("T")


class Planning(Protocol):
    """Given to describing nodes and to ``Loop.chain``: what can be known without torch."""

    @property
    def models(self) -> Models:
        """The model library."""

    def known(self, compute: Callable[..., Json], *args: object) -> Json:
        """A fact that needs torch to compute (``compute(*args)``), from the database of facts.

        While only planning, raises ``NotKnown`` if it was never computed; in a run, computes and keeps it.
        """

    def files(
        self, folder: str, endings: Collection[str], look: Callable[[Path], Json]
    ) -> Sequence[FoundFile]:
        """The files under a folder with one of some endings, by name, each with what ``look`` finds in it.

        ``look`` needs no torch and depends on the content alone; what it found is remembered by that. Hidden files and
        folders are passed over. Raises NodeError if there is no such folder or it cannot be listed.
        """


class NotKnown(Exception):
    """A fact that a plan needs has not been computed yet; the plan says so and the run will find out."""


class Context(Protocol):
    """Given to computing nodes and to steps."""

    @property
    def pool(self) -> Pool:
        """Loaded models, by reference."""

    @property
    def scratch(self) -> dict[str, object]:
        """A place for one node during one run: live objects that only save time, never results."""

    def check(self) -> None:
        """Raise Cancelled if the run was stopped."""

    def progress(self, done: int, total: int) -> None:
        """Report progress inside a node."""

    def measure(self, values: Mapping[str, float]) -> None:
        """Report numbers worth a curve, such as the loss of the step that is under way."""


# --- loops


@dataclass(frozen=True)
class Spec:
    """All that one step reads: plain ``params``, and the results that it ``uses`` by name."""

    params: Mapping[str, object]
    uses: Mapping[str, Ref] = field(default_factory=dict)
    unhashed: Mapping[str, object] = field(default_factory=dict)
    """Given to the step beyond the key. As far as the step reads it, it must follow from ``params`` or from the
    specs before it in the chain: a solver's whole schedule, of which ``params`` hold what this step reads."""
    calls: int = 1
    """Forward passes of the denoising network that the step costs; not part of any key."""
    count: int = 1
    """How many steps the spec covers: ``step`` is called as often, and the state after the last of them is stored."""
    is_lasting: bool = True
    """Whether the stored state stays; otherwise it goes when a later state of its chain is stored."""


@dataclass(frozen=True)
class Chain:
    """One chain of steps (one picture of a batch): how it starts, and a spec per step."""

    start: Spec
    steps: tuple[Spec, ...]
    cost: str = ""
    """What a step's duration depends on (model, size …): the name under which it is learned."""


class Loop(Protocol):
    """A node whose work is a chain of steps, iterated by the engine, each state stored under a key of its own.

    A class whose ``chain`` has the node's signature (with ``ctx: Planning``) and whose ``finish`` has the return
    annotation. ``start`` and ``step`` are pure: they are given exactly what was hashed.
    """

    chain: Callable[..., Sequence[Chain]]
    finish: Callable[..., object]

    def start(self, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """The state before the first step."""

    def step(self, state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """The state after a step; must not change ``state``."""

    def passes(self, arguments: Mapping[str, object]) -> int:
        """Predicted number of steps, from the arguments of ``chain``, where its facts are not known yet."""

    def preview(self, state: State) -> Value | None:
        """A small picture of a state, or None."""


@runtime_checkable
class Live(Protocol):
    """A loop whose states between two that are stored are objects at work, too large to be copied at every step."""

    def freeze(self, state: State, ctx: Context) -> State:
        """The same state as plain data that can be stored, and from which ``step`` can go on."""


@runtime_checkable
class Announcing(Protocol):
    """A loop with outputs that are descriptions: known, without torch, before it has run."""

    def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
        """Those outputs by name; ``key`` is that of the loop's result, which they may refer to."""


# --- declaration

Declared = TypeVar("Declared", bound=Callable[..., object])
_ATTRIBUTE = "__node_type__"
_KINDS: Mapping[object, ParamKind] = {
    bool: ParamKind.BOOL,
    int: ParamKind.INT,
    float: ParamKind.FLOAT,
    str: ParamKind.TEXT,
    list: ParamKind.LIST,
}
_TAKES: Mapping[ParamKind, type[Constant]] = {
    ParamKind.BOOL: Boolean,
    ParamKind.INT: Integer,
    ParamKind.FLOAT: Number,
    ParamKind.TEXT: Text,
}
"""What may be linked into a parameter; lists have no socket."""


def node(
    type_id: str,
    *,
    version: int,
    category: str,
    kind: NodeKind | None = None,
    aliases: Sequence[str] = (),
    is_output: bool = False,
) -> Callable[[Declared], Declared]:
    """Declare a function (or a ``Loop`` class) as a node type; raises PackError if its signature is no schema."""

    def declare(implementation: Declared) -> Declared:
        is_loop = inspect.isclass(implementation)
        chain = implementation.chain if is_loop else implementation  # type: ignore[attr-defined]  # a Loop
        finish = implementation.finish if is_loop else implementation  # type: ignore[attr-defined]  # a Loop
        if not NODE_ID.match(type_id) or version < 1:
            raise PackError(
                "is no name for a node type" if version >= 1 else f"has version {version}",
                where=type_id,
                remedy="use a-z, 0-9 and _, and versions from 1",
            )
        doc = inspect.getdoc(implementation) or ""
        if not doc.strip():
            raise PackError("has no docstring", where=type_id, remedy="say what the node does")
        helps = dict(re.findall(r"(?m)^ *(\w+): (.+)$", doc))
        inputs, params, wants_context = _arguments(type_id, chain, helps)
        declared = NodeType(
            id=type_id,
            version=version,
            category=category,
            kind=kind or (NodeKind.LOOP if is_loop else NodeKind.COMPUTE),
            inputs=inputs,
            params=params,
            # what a line says of an input is not meant for the output of that name
            outputs=_outputs(
                type_id,
                finish,
                {n: h for n, h in helps.items() if n not in {i.name for i in inputs}},
            ),
            doc=doc,
            implementation=implementation() if is_loop else implementation,
            aliases=tuple(aliases),
            is_output=is_output,
            wants_context=wants_context,
        )
        _refuse_late_constants(declared)
        setattr(implementation, _ATTRIBUTE, declared)
        return implementation

    return declare


def _refuse_late_constants(declared: NodeType) -> None:
    """Raise PackError if a node that has to run gives what planning has to know."""
    if declared.kind is NodeKind.DESCRIBE:
        return
    for port in declared.outputs:
        if issubclass(port.type, Constant):
            raise PackError(
                f"gives {port.type.__name__}, which has to be known while planning",
                where=declared.id,
                remedy="declare it with kind=NodeKind.DESCRIBE",
            )


def node_type(implementation: object) -> NodeType | None:
    """The node type that a function or class was declared as, or None."""
    # statically: an attribute of a pack may be an object that answers every question by importing or raising
    found = inspect.getattr_static(implementation, _ATTRIBUTE, None)
    return found if isinstance(found, NodeType) else None


def _hints(type_id: str, function: Callable[..., object]) -> dict[str, object]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise PackError(
            f"has an annotation that cannot be read ({error})", where=type_id
        ) from error


def _arguments(
    type_id: str, function: Callable[..., object], helps: Mapping[str, str]
) -> tuple[tuple[Port, ...], tuple[Param, ...], bool]:
    hints = _hints(type_id, function)
    ports: list[Port] = []
    params: list[Param] = []
    wants_context = False
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        if name not in hints:
            raise PackError(f"argument {name} has no annotation", where=type_id)
        if hints[name] in (Planning, Context):
            wants_context = True
            continue
        annotation, hint, is_optional = _unwrapped(hints[name])
        if inspect.isclass(annotation) and issubclass(annotation, Value):
            ports.append(Port(name, annotation, is_optional, helps.get(name, "")))
            continue
        kind = _KINDS.get(annotation if annotation in _KINDS else get_origin(annotation))
        if kind is None:
            raise PackError(f"argument {name} is neither a port nor a parameter", where=type_id)
        if parameter.default is inspect.Parameter.empty:
            raise PackError(f"parameter {name} has no default", where=type_id)
        help_line, takes = helps.get(name, ""), _TAKES.get(kind)
        param = Param(name, kind, parameter.default, hint, is_optional, help_line, takes)
        try:
            param = replace(param, default=param.check(param.default))
        except ValueError as error:
            raise PackError(f"default of {name}: {error}", where=type_id) from error
        params.append(param)
    return tuple(ports), tuple(params), wants_context


def _unwrapped(annotation: object) -> tuple[object, Hint | None, bool]:
    """Split ``Annotated[T, hint] | None`` into T, its hint, and whether None is admitted."""
    hint: Hint | None = None
    is_optional = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *extras = get_args(annotation)
            hint = next((extra for extra in extras if isinstance(extra, Hint)), hint)
        elif get_origin(annotation) in (types.UnionType, typing.Union):
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) != 1:
                return annotation, hint, is_optional
            is_optional = True
            annotation = members[0]
        else:
            return annotation, hint, is_optional


def _outputs(
    type_id: str, function: Callable[..., object], helps: Mapping[str, str]
) -> tuple[Port, ...]:
    annotation = _hints(type_id, function).get("return")
    name = ""
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        name = next((extra.name for extra in extras if isinstance(extra, Output)), "")
    if not inspect.isclass(annotation):
        raise PackError("has no return annotation", where=type_id)
    if issubclass(annotation, Value):
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", annotation.__name__).lower()
        name = name or snake
        return (Port(name, annotation, help=helps.get(name, "")),)
    if issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        fields = typing.get_type_hints(annotation)
        return tuple(Port(port, of, help=helps.get(port, "")) for port, of in fields.items())
    raise PackError("returns neither a value nor a NamedTuple of values", where=type_id)


def outputs(declared: NodeType, result: object) -> dict[str, Value]:
    """Name what an implementation returned by the node's output ports; what a loop announces it returns as None."""
    values = result if isinstance(result, tuple) and len(declared.outputs) > 1 else (result,)
    named: dict[str, Value] = {}
    for port, value in zip(declared.outputs, values, strict=True):
        if value is None and isinstance(declared.implementation, Announcing):
            continue
        if not isinstance(value, port.type):
            raise TypeError(f"{declared.id} gave {type(value).__name__} as {port.name}")
        named[port.name] = value
    return named


# --- packs


@dataclass(frozen=True)
class Registry:
    """Node types by id, and the packs that were refused with the reason."""

    types: Mapping[str, NodeType]
    refused: tuple[PackError, ...] = ()


def collect(module: object, pack: str) -> dict[str, NodeType]:
    """The node types among a module's attributes; raises PackError if two have one id."""
    if not isinstance(module, types.ModuleType):
        raise PackError("is not a module", where=pack)
    found: dict[str, NodeType] = {}
    for attribute in vars(module).values():
        declared = node_type(attribute)
        if declared is None:
            continue
        if declared.id in found and found[declared.id] is not declared:
            raise PackError(f"declares {declared.id} twice", where=pack)
        found[declared.id] = declared
    return {name: replace(declared, pack=pack) for name, declared in found.items()}


def load(*, is_safe: bool = False) -> Registry:
    """Load the core nodes, then every installed pack that is sound; a bad pack is refused by name.

    With ``is_safe`` only the core is loaded.
    """
    points = sorted(
        importlib.metadata.entry_points(group=ENTRY_POINTS),
        key=lambda point: (point.name != "core", point.name),
    )
    return assemble(point for point in points if point.name == "core" or not is_safe)


def assemble(points: Iterable[importlib.metadata.EntryPoint]) -> Registry:
    """Load packs in the given order; later packs may not redefine a type."""
    known: dict[str, NodeType] = {}
    refused: list[PackError] = []
    for point in points:
        try:
            pack = _pack(point)
            taken = sorted(pack.keys() & known.keys())
            if taken:
                owner = known[taken[0]].pack
                raise PackError(
                    f"declares {taken[0]}, which pack {owner} has already", where=point.name
                )
        except PackError as error:
            error.where = f"pack {point.name}" + (
                f", node {error.where}" if error.where not in ("", point.name) else ""
            )
            refused.append(error)
            continue
        known.update(pack)
    return Registry(known, tuple(refused))


_HEAVY = frozenset({"torch", "diffusers", "transformers"})


class _Refuser(importlib.abc.MetaPathFinder):
    """While it stands on ``sys.meta_path``, importing torch and its like fails at once."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Raise ImportError for the heavy packages; leave every other name to the finders behind."""
        if fullname in _HEAVY:
            raise ImportError(f"imports {fullname} at module level")


def _pack(point: importlib.metadata.EntryPoint) -> dict[str, NodeType]:
    refuser = _Refuser()
    sys.meta_path.insert(0, refuser)
    try:
        module = point.load()
    except PackError:
        raise
    # whatever a pack's import raises refuses that pack, and it only
    except (Exception, SystemExit) as error:
        is_heavy = isinstance(error, ImportError) and "at module level" in str(error)
        raise PackError(
            str(error) if is_heavy else f"cannot be imported: {type(error).__name__}: {error}",
            remedy="import it inside the node's function" if is_heavy else "",
        ) from error
    finally:
        sys.meta_path.remove(refuser)
    return collect(module, point.name)
