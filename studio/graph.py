"""The workflow as an immutable value: ports, parameters, node types, nodes, and pure edits of a graph."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import ClassVar, Literal, NewType

import networkx as nx

from studio.errors import GraphError

NodeId = NewType("NodeId", str)
Key = NewType("Key", str)
"""The content address of a result: 40 hexadecimal digits of blake2b."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

NODE_ID = re.compile(r"[a-z][a-z0-9_]*\Z")


class Value:
    """What flows on an edge; its subclasses are the socket types."""


@dataclass(frozen=True)
class Ref:
    """A result by name: one ``output`` of the node whose key is ``key``."""

    key: Key
    output: str


@dataclass(frozen=True)
class Hint:
    """What a parameter admits beyond its type; subclasses check and describe."""

    def problem(self, value: Json) -> str | None:
        """Return what is wrong with ``value``, or None."""
        return None

    def describe(self) -> str:
        """Return the admitted values in words, for help and messages."""
        return ""


@dataclass(frozen=True)
class Port:
    """An input or output socket: matched by ``type``, named by the declaration."""

    name: str
    type: type[Value]
    optional: bool = False
    help: str = ""


class ParamKind(Enum):
    """The JSON shape of a parameter."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    TEXT = "text"
    LIST = "list"


@dataclass(frozen=True)
class Param:
    """A parameter: its JSON shape, default, hint (range, choice …) and whether null is admitted."""

    name: str
    kind: ParamKind
    default: Json
    hint: Hint | None = None
    nullable: bool = False
    help: str = ""
    takes: type[Value] | None = None
    """What may be linked into it, as into a port of its name; None: nothing."""

    @property
    def port(self) -> Port | None:
        """The parameter as the port that a link enters, or None if it takes none."""
        return Port(self.name, self.takes, True, self.help) if self.takes else None

    def check(self, value: Json) -> Json:
        """Return ``value`` in canonical form (an integer given for a float becomes one).

        Raises ValueError with a message for the user if it does not fit.
        """
        if value is None and self.nullable:
            return None
        value = _CHECKS[self.kind](value)
        problem = self.hint.problem(value) if self.hint else None
        if problem:
            raise ValueError(problem)
        return value


def _bool(value: Json) -> Json:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is not true or false")
    return value


def _int(value: Json) -> Json:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{_shown(value)} is not a whole number")
    return value


def _float(value: Json) -> Json:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_shown(value)} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{_shown(value)} is not a finite number")
    return number


def _text(value: Json) -> Json:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not text")
    return value


def _list(value: Json) -> Json:
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not a list")
    return value


_CHECKS: Mapping[ParamKind, Callable[[Json], Json]] = {
    ParamKind.BOOL: _bool,
    ParamKind.INT: _int,
    ParamKind.FLOAT: _float,
    ParamKind.TEXT: _text,
    ParamKind.LIST: _list,
}


def _shown(value: Json) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


class NodeKind(Enum):
    """How the engine treats a node.

    COMPUTE: a pure function whose results are stored under its key.
    DESCRIBE: a pure, torch-free function evaluated while planning; its result is a description that enters
    downstream keys by value and is never stored.
    LOOP: a chain of steps (see ``studio.registry.Loop``), each with a key of its own.
    """

    COMPUTE = "compute"
    DESCRIBE = "describe"
    LOOP = "loop"


@dataclass(frozen=True)
class NodeType:
    """A declared node: schema and implementation."""

    id: str
    version: int
    category: str
    kind: NodeKind
    inputs: tuple[Port, ...]
    params: tuple[Param, ...]
    outputs: tuple[Port, ...]
    doc: str
    implementation: object = field(compare=False)
    aliases: tuple[str, ...] = ()
    is_output: bool = False
    wants_context: bool = False
    pack: str = "core"

    @property
    def title(self) -> str:
        """The name that artists read: ``vae_decode`` is "VAE decode"."""
        return titled(self.id.removeprefix(Graph.GROUP))

    @property
    def summary(self) -> str:
        """First line of the help."""
        return self.doc.strip().splitlines()[0]

    def input(self, name: str) -> Port | None:
        """The input port of that name, or None."""
        return next((port for port in self.inputs if port.name == name), None)

    def output(self, name: str) -> Port | None:
        """The output port of that name, or None."""
        return next((port for port in self.outputs if port.name == name), None)

    def param(self, name: str) -> Param | None:
        """The parameter of that name, or None."""
        return next((param for param in self.params if param.name == name), None)

    @property
    def sockets(self) -> tuple[Port, ...]:
        """All that a link may enter: the input ports, then every parameter that takes one, as a port."""
        ports = (param.port for param in self.params)
        return (*self.inputs, *(port for port in ports if port is not None))

    def socket(self, name: str) -> Port | None:
        """The input port or linkable parameter of that name, as a port; None if there is neither."""
        port = self.input(name)
        if port is None and (param := self.param(name)) is not None:
            return param.port
        return port

    def defaults(self) -> dict[str, Json]:
        """Every parameter with its default."""
        return {param.name: param.default for param in self.params}


_SPELLINGS: Mapping[str, str] = {
    "clip": "CLIP",
    "controlnet": "ControlNet",
    "gif": "GIF",
    "lora": "LoRA",
    "unet": "U-Net",
    "vae": "VAE",
}
"""Words that are not spelt as others are, wherever in a title they stand."""


def titled(name: str) -> str:
    """A name as artists read it: ``load_vae`` is "Load VAE"."""
    first, *rest = name.split("_")
    words = [_SPELLINGS.get(first, first.capitalize())]
    return " ".join([*words, *(_SPELLINGS.get(word, word) for word in rest)])


@dataclass(frozen=True)
class Link:
    """The source of an input or of a parameter: one output of a node, written ``node.output``."""

    node: NodeId
    output: str

    def __str__(self) -> str:
        return f"{self.node}.{self.output}"

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read ``node.output``; raises ValueError if ``text`` is not of that form."""
        node, dot, output = text.partition(".")
        if not dot or not NODE_ID.match(node) or not output:
            raise ValueError(f'{_shown(text)} is not of the form "node.output"')
        return cls(NodeId(node), output)


Mode = Literal["normal", "mute", "bypass"]
_EMPTY: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True)
class Node:
    """A node of a graph; what its type does not know is in ``extra`` and is kept.

    ``inputs`` may name a parameter too: the link then gives its value, and the one in ``params`` holds once the link
    is cut or gives nothing.
    """

    id: NodeId
    type: str
    version: int = 1
    params: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, Link] = field(default_factory=dict)
    mode: Mode = "normal"
    extra: Mapping[str, Json] = field(default_factory=dict)


Types = Mapping[str, NodeType]
"""Node types by id."""


@dataclass(frozen=True)
class Graph:
    """An immutable graph: every edit returns the next value; the old one is untouched."""

    nodes: Mapping[NodeId, Node] = field(default_factory=dict)

    GROUP: ClassVar[str] = "group:"
    """Prefix of the type of a node that stands for a subgraph."""

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes

    def node(self, node: str) -> Node:
        """Return a node; raises GraphError with the nearest name if there is none."""
        found = self.nodes.get(NodeId(node))
        if found is None:
            raise GraphError(node, "", "there is no such node", remedy=nearest(node, self.nodes))
        return found

    # --- edits

    def _with(self, *nodes: Node) -> Graph:
        return Graph({**self.nodes, **{node.id: node for node in nodes}})

    def add(self, node: Node) -> Graph:
        """Add a node; raises GraphError if its id is taken or malformed."""
        if not NODE_ID.match(node.id):
            raise GraphError(node.id, "", "is not a node id", remedy="use a-z, 0-9 and _")
        if node.id in self.nodes:
            raise GraphError(node.id, "", "exists already", remedy="choose another id")
        return self._with(node)

    def free_id(self, stem: str) -> NodeId:
        """Return ``stem`` or the first of ``stem_2``, ``stem_3`` … that is not taken."""
        if stem not in self.nodes:
            return NodeId(stem)
        number = 2
        while f"{stem}_{number}" in self.nodes:
            number += 1
        return NodeId(f"{stem}_{number}")

    def set(self, node: str, /, **params: Json) -> Graph:
        """Set parameters of a node (checked by ``validate``, not here)."""
        found = self.node(node)
        return self._with(replace(found, params={**found.params, **params}))

    def set_mode(self, node: str, mode: Mode) -> Graph:
        """Mute, bypass or wake a node."""
        return self._with(replace(self.node(node), mode=mode))

    def connect(self, source: str, output: str, target: str, port: str) -> Graph:
        """Link an output to an input, in place of any link there.

        Raises GraphError if that would close a cycle.
        """
        self.node(source)
        found = self.node(target)
        if source == target or source in self.downstream(target):
            raise GraphError(
                target,
                port,
                f"a link from {source} would close a cycle",
                remedy="link another node",
            )
        link = Link(NodeId(source), output)
        return self._with(replace(found, inputs={**found.inputs, port: link}))

    def disconnect(self, target: str, port: str) -> Graph:
        """Remove the link into a port, if there is one."""
        found = self.node(target)
        inputs = {name: link for name, link in found.inputs.items() if name != port}
        return self._with(replace(found, inputs=inputs))

    def remove(self, *nodes: str) -> Graph:
        """Remove nodes and every link from them."""
        gone = {self.node(node).id for node in nodes}
        return Graph(
            {
                node.id: replace(
                    node,
                    inputs={p: link for p, link in node.inputs.items() if link.node not in gone},
                )
                if any(link.node in gone for link in node.inputs.values())
                else node
                for node in self
                if node.id not in gone
            }
        )

    def rename(self, node: str, new: str) -> Graph:
        """Give a node another id; its links follow."""
        found = self.node(node)
        if new == node:
            return self
        if not NODE_ID.match(new):
            raise GraphError(new, "", "is not a node id", remedy="use a-z, 0-9 and _")
        if new in self.nodes:
            raise GraphError(new, "", "exists already", remedy="choose another id")
        renamed = NodeId(new)

        def moved(link: Link) -> Link:
            return Link(renamed, link.output) if link.node == found.id else link

        nodes: dict[NodeId, Node] = {}
        for other in self:
            changed = replace(other, inputs={p: moved(link) for p, link in other.inputs.items()})
            if other.id == found.id:
                changed = replace(changed, id=renamed)
            nodes[changed.id] = changed
        return Graph(nodes)

    # --- structure

    def digraph(self) -> nx.DiGraph[NodeId]:
        """The links between nodes that exist, as a networkx graph."""
        digraph: nx.DiGraph[NodeId] = nx.DiGraph()
        digraph.add_nodes_from(self.nodes)
        digraph.add_edges_from(
            (link.node, node.id)
            for node in self
            for link in node.inputs.values()
            if link.node in self.nodes
        )
        return digraph

    def downstream(self, node: str) -> AbstractSet[NodeId]:
        """Every node that depends on ``node``."""
        return frozenset(nx.descendants(self.digraph(), node))

    def order(self) -> list[NodeId]:
        """Node ids with every node after its inputs; raises GraphError on a cycle."""
        digraph = self.digraph()
        try:
            return list(nx.lexicographical_topological_sort(digraph))
        except nx.NetworkXUnfeasible:
            edges = nx.find_cycle(digraph)
            path = " -> ".join([*(edge[0] for edge in edges), edges[-1][1]])
            raise GraphError(
                edges[0][0], "", f"is part of a cycle: {path}", remedy="remove one of these links"
            ) from None

    def needed(self, targets: Iterable[str]) -> AbstractSet[NodeId]:
        """The targets and everything upstream of them."""
        pending = [self.node(target).id for target in targets]
        found: dict[NodeId, None] = {}
        while pending:
            node = pending.pop()
            if node in found or node not in self.nodes:
                continue
            found[node] = None
            pending.extend(link.node for link in self.nodes[node].inputs.values())
        return found.keys()


def nearest(name: str, names: Iterable[str]) -> str:
    """Return "did you mean …?" for the nearest of ``names``, or the names if none is near."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f'did you mean "{close[0]}"?'
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"there are: {shown}" if known else "there are none"


def fits(output: type[Value], port: type[Value]) -> bool:
    """Tell whether a link from an output of one type into a port of another is sound."""
    item = getattr(port, "item", None)
    return issubclass(output, port) or (item is not None and issubclass(output, item))


@dataclass(frozen=True)
class Difference:
    """One thing in which two graphs differ."""

    kind: Literal["added", "removed", "type", "mode", "param", "link"]
    old: Node | None
    new: Node | None
    name: str = ""
    """The parameter or the input port."""

    @property
    def node(self) -> NodeId:
        """The node that it is about."""
        node = self.old or self.new
        assert node is not None
        return node.id

    @property
    def where(self) -> str:
        """The node, with the parameter or port if it is about one."""
        return f"{self.node}.{self.name}" if self.name else str(self.node)

    @property
    def before(self) -> str:
        """What the old graph has, in words."""
        return self._said(self.old)

    @property
    def after(self) -> str:
        """What the new graph has, in words."""
        return self._said(self.new)

    def _said(self, node: Node | None) -> str:
        if node is None:
            return "nothing"
        if self.kind == "mode":
            return node.mode
        if self.kind == "param":
            # by repr: it tells 1 from 1.0 and from true, inside lists too, and an unset parameter from null
            return repr(node.params[self.name]) if self.name in node.params else "unset"
        if self.kind == "link":
            return str(node.inputs.get(self.name) or "nothing")
        return f"{node.type} {node.version}" if self.kind == "type" else node.type

    def __str__(self) -> str:
        if self.kind == "added":
            return f"{self.where}: added ({self.after})"
        if self.kind == "removed":
            return f"{self.where}: removed ({self.before})"
        return f"{self.where}: {_cut(self.before)} -> {_cut(self.after)}"


def diff(old: Graph, new: Graph) -> list[Difference]:
    """How two graphs differ, in the order of node ids."""
    found: list[Difference] = []
    for node in sorted({*old.nodes, *new.nodes}):
        before, after = old.nodes.get(node), new.nodes.get(node)
        if before is None or after is None:
            found.append(Difference("added" if before is None else "removed", before, after))
        else:
            found.extend(_node_diff(before, after))
    return found


def _node_diff(old: Node, new: Node) -> Iterator[Difference]:
    if (old.type, old.version) != (new.type, new.version):
        yield Difference("type", old, new)
    if old.mode != new.mode:
        yield Difference("mode", old, new)
    params = (Difference("param", old, new, name) for name in sorted({*old.params, *new.params}))
    yield from (one for one in params if one.before != one.after)
    for port in sorted({*old.inputs, *new.inputs}):
        if old.inputs.get(port) != new.inputs.get(port):
            yield Difference("link", old, new, port)
