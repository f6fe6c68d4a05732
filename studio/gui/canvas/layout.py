"""Where the parts of a node are: sockets, parameter rows and their sizes, in the node's own coordinates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF

from studio.graph import Graph, Json, Node, NodeType, Param, ParamKind, Port, Value, titled
from studio.registry import Choice, Multiline, Points, Range, Strokes

WIDTH = 240.0
TITLE = 28.0
ROW = 20.0
PAD = 8.0
PROMPT_LINES = 4
LINE = 15.0
MAX_ROWS = 7
"""Nodes with more parameters show the changed ones and the first; the rest on a click."""
SOCKET_REACH = 11.0
"""How near to the middle of a socket the mouse takes it."""
_NEAR_EDGE = 24.0
"""How near to the left edge the mouse brings out the socket of a parameter."""
MORE = "…"
"""Name of the row that shows the other parameters."""
UNUSED = "⋯"
"""Name of the row that shows the hidden sockets."""


@dataclass(frozen=True)
class Socket:
    """An input or output of a node and where it stands."""

    name: str
    is_output: bool
    type: type[Value]
    at: QPointF
    is_optional: bool = False
    help: str = ""
    is_known: bool = True
    """Whether the node's type declares it."""
    is_param: bool = False
    """Whether it is that of a parameter, at the edge of the parameter's row."""


@dataclass(frozen=True)
class Row:
    """A parameter and where it stands."""

    name: str
    rect: QRectF
    param: Param | None
    """None: unknown to the node's type."""


@dataclass(frozen=True)
class Layout:
    """A node's parts; nodes of one type that show the same parameters share it."""

    height: float
    """Without the thumbnail."""
    sockets: tuple[Socket, ...]
    rows: tuple[Row, ...]
    hidden: int = 0
    """Parameters that are not shown."""
    unused: int = 0
    """Sockets that are not shown."""
    is_collapsed: bool = False
    _by_name: dict[tuple[bool, str], Socket] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._by_name.update({(one.is_output, one.name): one for one in self.sockets})

    def socket(self, name: str, *, is_output: bool) -> Socket | None:
        """The socket of that name, or None."""
        return self._by_name.get((is_output, name))

    def socket_at(self, point: QPointF) -> Socket | None:
        """The socket within reach of a point, or None."""
        best: Socket | None = None
        least = SOCKET_REACH**2
        for socket in self.sockets:
            across, along = point.x() - socket.at.x(), point.y() - socket.at.y()
            distance = across * across + along * along
            # the row beside it is for scrubbing
            if distance <= least and not (socket.is_param and across > PAD):
                best, least = socket, distance
        return best

    def param_at(self, point: QPointF) -> str:
        """The parameter whose row, or socket, is at a point; "" for none."""
        row = self.row_at(point)
        if row is not None:
            return row.name if row.param is not None else ""
        socket = self.socket_at(point)
        return socket.name if socket is not None and socket.is_param else ""

    def param_near(self, point: QPointF) -> str:
        """The parameter at whose edge of the node, and hence socket, a point is; "" for none."""
        for socket in self.sockets:
            if socket.is_param and abs(point.y() - socket.at.y()) <= ROW / 2:
                return socket.name if abs(point.x()) <= _NEAR_EDGE else ""
        return ""

    def row_at(self, point: QPointF) -> Row | None:
        """The parameter row under a point, or None."""
        return next((row for row in self.rows if row.rect.contains(point)), None)


Key = tuple[object, ...]
Used = tuple[frozenset[str], frozenset[str]] | None
"""The inputs and outputs that are linked, of a node that shows no others if it can; None for one that shows all."""


class Layouts:
    """Layouts by what they follow from, so that a thousand nodes of one type share one."""

    def __init__(self) -> None:
        self._known: dict[Key, Layout] = {}

    def of(
        self,
        node: Node,
        declared: NodeType | None,
        *,
        is_collapsed: bool,
        is_expanded: bool,
        is_tidy: bool = False,
        used_outputs: Sequence[str] = (),
    ) -> Layout:
        """The layout of a node; ``used_outputs`` are those that links of the graph name.

        One that is tidy shows no output that is unused and no optional input that is free.
        """
        if declared is None:
            inputs = tuple(node.inputs)
            outputs = tuple(used_outputs)
            params = tuple(node.params)
        else:
            inputs = tuple(name for name in node.inputs if declared.socket(name) is None)
            outputs = tuple(name for name in used_outputs if declared.output(name) is None)
            params = shown_params(node, declared, is_expanded=is_expanded)
        # by identity: hashing a declaration with all its ports would cost more than the layout
        kind: object = id(declared) if declared else node.type
        used: Used = None
        if is_tidy and declared is not None:
            used = (frozenset(node.inputs), frozenset(used_outputs))
        # a node that shows its title only has sockets for those parameters that are linked
        linked = linked_params(node, declared) if is_collapsed else ()
        seen = linked if is_collapsed else params
        key: Key = (kind, inputs, outputs, seen, is_collapsed, used)
        found = self._known.get(key)
        if found is None:
            sides = _ports(declared, inputs, outputs, used)
            found = self._known[key] = (
                _folded(declared, sides, linked)
                if is_collapsed
                else _layout(declared, sides, params)
            )
        return found

    def clear(self) -> None:
        """Forget all, when the declarations may be gone."""
        self._known.clear()


def linked_params(node: Node, declared: NodeType | None) -> tuple[str, ...]:
    """The parameters that links enter, in the order of the declaration."""
    if declared is None or not node.inputs:
        return ()
    return tuple(
        param.name for param in declared.params if param.port and param.name in node.inputs
    )


def shown_params(node: Node, declared: NodeType, *, is_expanded: bool) -> tuple[str, ...]:
    """The parameters that a node shows, in the order of the declaration: those that are linked in any case."""
    params = declared.params
    if is_expanded or len(params) <= MAX_ROWS:
        return tuple(param.name for param in params)
    changed = [
        param.name
        for param in params
        if param.name in node.params and node.params[param.name] != param.default
    ]
    kept = set(linked_params(node, declared))
    kept.update(changed[: max(MAX_ROWS - len(kept), 0)])
    for param in params:
        if len(kept) >= MAX_ROWS:
            break
        kept.add(param.name)
    return tuple(param.name for param in params if param.name in kept)


@dataclass(frozen=True)
class _Sides:
    """The ports that a node shows, inputs and outputs, each with whether it is declared."""

    lefts: tuple[tuple[Port, bool], ...]
    rights: tuple[tuple[Port, bool], ...]
    unused: int
    """Ports that are not shown."""

    def __iter__(self) -> Iterator[tuple[bool, tuple[tuple[Port, bool], ...]]]:
        """Each side, told whether it is that of the outputs."""
        return iter(((False, self.lefts), (True, self.rights)))


def _ports(
    declared: NodeType | None, inputs: Sequence[str], outputs: Sequence[str], used: Used
) -> _Sides:
    own = (declared.inputs, declared.outputs) if declared else ((), ())
    lefts, rights = (
        [*((port, True) for port in ports), *((Port(name, Value, True), False) for name in names)]
        for ports, names in ((own[0], inputs), (own[1], outputs))
    )
    total = len(lefts) + len(rights)
    if used is not None:
        lefts = [pair for pair in lefts if not pair[0].optional or pair[0].name in used[0]]
        rights = [pair for pair in rights if pair[0].name in used[1]]
    return _Sides(tuple(lefts), tuple(rights), total - len(lefts) - len(rights))


def _socket(
    port: Port, is_output: bool, at: QPointF, *, is_known: bool = True, is_param: bool = False
) -> Socket:
    is_optional = is_output or port.optional
    return Socket(port.name, is_output, port.type, at, is_optional, port.help, is_known, is_param)


def _folded(declared: NodeType | None, sides: _Sides, linked: Sequence[str]) -> Layout:
    """A title bar, the sockets fanned out over its sides."""
    params = [declared.param(name) for name in linked] if declared else []
    ports = [param.port for param in params if param and param.port]
    sockets = []
    for is_output, own in sides:
        x = WIDTH if is_output else 0.0
        entries = [(port, is_known, False) for port, is_known in own]
        entries += [] if is_output else [(port, True, True) for port in ports]
        for index, (port, is_known, is_param) in enumerate(entries):
            at = QPointF(x, TITLE * (index + 1) / (len(entries) + 1))
            sockets.append(_socket(port, is_output, at, is_known=is_known, is_param=is_param))
    return Layout(TITLE, tuple(sockets), (), unused=sides.unused, is_collapsed=True)


def _layout(declared: NodeType | None, sides: _Sides, params: Sequence[str]) -> Layout:
    sockets = []
    top = TITLE + 4.0
    for is_output, own in sides:
        x = WIDTH if is_output else 0.0
        for index, (port, is_known) in enumerate(own):
            at = QPointF(x, top + ROW * (index + 0.5))
            sockets.append(_socket(port, is_output, at, is_known=is_known))
    top += ROW * max(len(sides.lefts), len(sides.rights))
    rows = []
    if sides.unused:
        rows.append(Row(UNUSED, QRectF(PAD, top, WIDTH - 2 * PAD, ROW), None))
        top += ROW
    for name in params:
        param = declared.param(name) if declared else None
        height = ROW
        if param is not None and isinstance(param.hint, Multiline):
            height = ROW - 3.0 + PROMPT_LINES * LINE + 7.0
        rows.append(Row(name, QRectF(PAD, top, WIDTH - 2 * PAD, height), param))
        if param is not None and param.port is not None:
            sockets.append(_socket(param.port, False, QPointF(0.0, top + ROW / 2), is_param=True))
        top += height
    total = len(declared.params) if declared else len(params)
    # an expanded node keeps the row, to be folded again
    if total > MAX_ROWS:
        rows.append(Row(MORE, QRectF(PAD, top, WIDTH - 2 * PAD, ROW), None))
        top += ROW
    return Layout(top + PAD - 2.0, tuple(sockets), tuple(rows), total - len(params), sides.unused)


# --- what parameters show


def value_of(node: Node, row: Row) -> Json:
    """The value of a row's parameter."""
    default = row.param.default if row.param else None
    return node.params.get(row.name, default)


def shown(param: Param | None, value: Json) -> str:
    """A value as it stands on the node."""
    if value is None:
        return "none"
    if param is None:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return _counted(param, value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        text = f"{value:.6g}" if abs(value) < 1e15 else repr(value)
    else:
        text = str(value)
    unit = param.hint.unit_of(value) if isinstance(param.hint, Range) else ""
    return f"{text} {unit}" if unit else text


def _counted(param: Param, value: list[Json]) -> str:
    if isinstance(param.hint, Points) and len(value) == 1 and isinstance(value[0], list):
        return f"constant {value[0][-1]}"
    noun = {Points: "point", Strokes: "stroke"}.get(type(param.hint) if param.hint else type(None))
    noun = noun or "number"
    return f"{len(value)} {noun}" + ("" if len(value) == 1 else "s")


def fraction(param: Param, value: Json) -> float | None:
    """How far along its range a number is, 0 to 1; None where a bar would say nothing."""
    hint = param.hint
    if type(hint) is not Range or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    span = hint.high - hint.low
    if param.kind is not ParamKind.FLOAT or not 0 < span <= 100:
        return None
    return min(max((value - hint.low) / span, 0.0), 1.0)


def is_number(param: Param | None) -> bool:
    """Whether dragging scrubs it."""
    return param is not None and param.kind in (ParamKind.INT, ParamKind.FLOAT)


def choices(param: Param | None) -> tuple[str, ...]:
    """The words to choose from, or none."""
    return param.hint.values if param is not None and isinstance(param.hint, Choice) else ()


def title_of(node: Node, declared: NodeType | None) -> str:
    """What the title bar says first."""
    if node.type.startswith(Graph.GROUP):
        return titled(node.type.removeprefix(Graph.GROUP))
    return declared.title if declared else node.type
