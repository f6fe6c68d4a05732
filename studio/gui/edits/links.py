"""Links made, refused with the reason, led past nodes; an input has one link at most."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from studio.errors import GraphError
from studio.graph import Graph, Link, Node, NodeId, NodeType, Port, Types, Value, fits, nearest
from studio.gui.edits.offering import usualness
from studio.gui.edits.routes import Input, Way, routed, routes, unrouted
from studio.gui.layout import Point
from studio.validation import passed
from studio.workflow import Workflow, group_types


def known_types(w: Workflow, types: Types) -> Types:
    """``types`` and those of the workflow's own groups; without these while a group contains itself."""
    if not w.groups:
        return types
    try:
        return group_types(w, types)
    except GraphError:
        return types


def with_nodes(w: Workflow, *nodes: Node) -> Workflow:
    """Put nodes in, over those of the same ids."""
    if not nodes:
        return w
    return unrouted(w, Graph({**w.graph.nodes, **{node.id: node for node in nodes}}))


def with_inputs(w: Workflow, changed: Mapping[NodeId, Mapping[str, Link]]) -> Workflow:
    """Give nodes other inputs."""
    return with_nodes(
        w, *(replace(w.graph.nodes[node], inputs=dict(inputs)) for node, inputs in changed.items())
    )


def connectable(types: Types, output: type[Value], port: type[Value]) -> str | None:
    """None where an output of one type may enter a port of the other; else why not, for people.

    Names a node type that turns the one into the other, if there is one: "takes Latents, but this gives Image;
    vae_encode makes one from the other".
    """
    if fits(output, port):
        return None
    between = sorted(
        (
            declared.id
            for declared in types.values()
            if any(fits(output, one.type) and not one.optional for one in declared.inputs)
            and any(fits(one.type, port) for one in declared.outputs)
        ),
        key=usualness,
    )
    reason = f"takes {port.__name__}, but this gives {output.__name__}"
    return f"{reason}; {' or '.join(between[:2])} makes one from the other" if between else reason


def refusal(
    w: Workflow, types: Types, source: str, output: str, target: str, port: str
) -> GraphError | None:
    """Why a link cannot be made, or None if it can; a link that is there already does not stand in the way."""
    known = known_types(w, types)
    origin, found = w.graph.node(source), w.graph.node(target)
    gives, takes = known.get(origin.type), known.get(found.type)
    for node, declared in ((origin, gives), (found, takes)):
        if declared is None:
            return GraphError(
                node.id, "", f'there is no node type "{node.type}"', remedy="install its pack first"
            )
    assert gives is not None
    assert takes is not None
    leaving, entering = gives.output(output), takes.socket(port)
    if leaving is None:
        names = (one.name for one in gives.outputs)
        return GraphError(source, "", f"has no output {output}", remedy=nearest(output, names))
    if entering is None:
        if takes.param(port) is not None:
            return GraphError(target, port, "is a list, which takes no link", remedy="set it")
        names = (one.name for one in takes.sockets)
        return GraphError(target, "", f"has no input {port}", remedy=nearest(port, names))
    if not fits(leaving.type, entering.type):
        what = (
            f"takes {entering.type.__name__}, but {source}.{output} gives {leaving.type.__name__}"
        )
        reason = connectable(known, leaving.type, entering.type) or ""
        return GraphError(target, port, what, remedy=reason.partition("; ")[2])
    if found.id in w.graph.needed([source]):
        return GraphError(
            target, port, f"a link from {source} would close a cycle", remedy="link another node"
        )
    return None


def connect(
    w: Workflow,
    types: Types,
    source: str,
    output: str,
    target: str,
    port: str,
    way: Sequence[Point] = (),
) -> Workflow:
    """Link an output to an input, in place of the link there, over these dots.

    Raises GraphError with the reason if it cannot be.
    """
    problem = refusal(w, types, source, output, target, port)
    if problem is not None:
        raise problem
    found = w.graph.node(target)
    w = with_inputs(w, {found.id: {**found.inputs, port: Link(NodeId(source), output)}})
    return routed(w, {(found.id, port): way})


def connect_any(w: Workflow, types: Types, source: str, target: str, port: str) -> Workflow:
    """Link whichever output of a node fits best to an input or parameter; raises GraphError where none does."""
    known = known_types(w, types)
    after = linked(w, known, source, target, port=port, only_free=False)
    if after is not w:
        return after
    declared = known.get(w.graph.node(source).type)
    for output in declared.outputs if declared else ():
        return connect(w, types, source, output.name, target, port)
    raise GraphError(source, "", "gives nothing", remedy="drop it on another node")


def disconnect(w: Workflow, target: str, port: str) -> Workflow:
    """Remove the link into a port, if there is one."""
    if port not in w.graph.node(target).inputs:
        return w
    return unrouted(w, w.graph.disconnect(target, port))


def move_links(w: Workflow, types: Types, source: tuple[str, str], to: tuple[str, str]) -> Workflow:
    """Let every link from one output (node, output) come from another; raises GraphError if one of them cannot."""
    old = Link(NodeId(source[0]), source[1])
    ways = routes(w)
    for node in w.graph:
        for port, link in node.inputs.items():
            if link == old:
                way = ways.get((node.id, port), ())
                w = connect(w, types, to[0], to[1], node.id, port, way)
    return w


def connect_selected(w: Workflow, types: Types, ids: Sequence[str]) -> Workflow:
    """Link nodes in the order given where types fit and an input is free: each to the next, then what is left.

    Beyond its neighbours a node is linked into an input that is required, or if it feeds nothing yet.
    """
    known = known_types(w, types)
    for left, right in pairwise(ids):
        w = linked_either_way(w, known, left, right)
    for target in ids:
        for source in ids:
            w = _linked_if_wanted(w, known, source, target)
    return w


def _linked_if_wanted(w: Workflow, known: Types, source: str, target: str) -> Workflow:
    inputs = w.graph.node(target).inputs.values()
    best = _best(w, known, source, target) if source != target else None
    if best is None or any(link.node == source for link in inputs):
        return w
    declared = known.get(w.graph.node(target).type)
    port = declared.input(best[1]) if declared else None
    is_idle = all(link.node != source for node in w.graph for link in node.inputs.values())
    if is_idle or (port is not None and not port.optional):
        return connect(w, known, source, best[0], target, best[1])
    return w


def linked_either_way(w: Workflow, known: Types, one: str, other: str) -> Workflow:
    """Make the best link from one node to another into a free input or parameter, or else the best one back.

    Back into inputs only: a parameter that was set would lose its value.
    """
    forth = linked(w, known, one, other, into_params=True)
    return linked(w, known, other, one) if forth is w else forth


def linked(
    w: Workflow,
    known: Types,
    source: str,
    target: str,
    *,
    output: str | None = None,
    port: str | None = None,
    only_free: bool = True,
    into_params: bool = False,
) -> Workflow:
    """Make the best link from one node to another; the same workflow if none fits.

    Into a parameter only where ``port`` names it, or with ``into_params`` where no input takes what is given.
    """
    found = _best(w, known, source, target, output=output, port=port, only_free=only_free)
    if found is None and into_params:
        found = _best_param(w, known, source, target, output=output)
    return connect(w, known, source, found[0], target, found[1]) if found else w


def _best(
    w: Workflow,
    known: Types,
    source: str,
    target: str,
    *,
    output: str | None = None,
    port: str | None = None,
    only_free: bool = True,
) -> tuple[str, str] | None:
    """The best pair (output, port) for a link: free before taken, exact types, like names, required, as declared."""
    origin, found = w.graph.node(source), w.graph.node(target)
    gives, takes = known.get(origin.type), known.get(found.type)
    if gives is None or takes is None or found.id in w.graph.needed([source]):
        return None
    pairs: list[tuple[tuple[bool, ...], str, str]] = []
    for leaving in gives.outputs:
        for entering in takes.inputs if port is None else takes.sockets:
            is_taken = entering.name in found.inputs
            if output not in (None, leaving.name) or port not in (None, entering.name):
                continue
            if (is_taken and only_free) or not fits(leaving.type, entering.type):
                continue
            rank = (is_taken, *distance(leaving, entering))
            pairs.append((rank, leaving.name, entering.name))
    if not pairs:
        return None
    _, best_output, best_port = min(pairs, key=lambda pair: pair[0])
    return best_output, best_port


def _best_param(
    w: Workflow, known: Types, source: str, target: str, *, output: str | None
) -> tuple[str, str] | None:
    """The best pair (output, parameter) for a plain value: like names first, exact types, as declared."""
    origin, found = w.graph.node(source), w.graph.node(target)
    gives, takes = known.get(origin.type), known.get(found.type)
    if gives is None or takes is None or found.id in w.graph.needed([source]):
        return None
    pairs = [
        (
            (not origin.id.startswith(entering.name), leaving.type is not entering.type),
            leaving,
            entering,
        )
        for leaving in gives.outputs
        for entering in (param.port for param in takes.params)
        if output in (None, leaving.name) and entering is not None
        if entering.name not in found.inputs and fits(leaving.type, entering.type)
    ]
    if not pairs:
        return None
    _, leaving, entering = min(pairs, key=lambda pair: pair[0])
    return leaving.name, entering.name


def distance(leaving: Port, entering: Port) -> tuple[bool, ...]:
    """How far two fitting ports are from being made for each other; to be compared."""
    return (leaving.type is not entering.type, leaving.name != entering.name, entering.optional)


def insert_on_link(
    w: Workflow, types: Types, node: str, link: tuple[str, str], leg: int | None = None
) -> Workflow:
    """Put a node into the link that enters ``link`` (node, port): the source feeds it, and it feeds the port.

    The first ``leg`` dots of the link (None: all) lead to the node, the rest on from it. Raises GraphError if there
    is no such link, or the node has no fitting ports.
    """
    known = known_types(w, types)
    target, port = link
    source = w.graph.node(target).inputs.get(port)
    if source is None:
        raise GraphError(target, port, "is not linked", remedy="drop the node on a link")
    if node in (target, source.node):
        raise GraphError(node, "", "is an end of this link", remedy="drop it on another link")
    w.graph.node(source.node)
    entering = _best(w, known, source.node, node, output=source.output, only_free=False)
    if entering is None:
        raise GraphError(node, "", f"cannot take {source}", remedy="drop it on another link")
    way = routes(w).get((NodeId(target), port), ())
    fed = connect(w, known, source.node, source.output, node, entering[1], way[:leg])
    leaving = _best(fed, known, node, target, port=port, only_free=False)
    if leaving is None:
        raise GraphError(
            node, "", f"gives nothing that {target}.{port} takes", remedy="drop it on another link"
        )
    rest = () if leg is None else way[leg:]
    return connect(fed, known, node, leaving[0], target, port, rest)


def extract(w: Workflow, types: Types, ids: Iterable[str]) -> Workflow:
    """Pull nodes out: they keep the links among themselves, and their neighbours are linked past them."""
    taken = {w.graph.node(node).id for node in ids}
    w = bridged(w, types, taken)
    return with_inputs(
        w,
        {
            node: {
                port: link
                for port, link in w.graph.nodes[node].inputs.items()
                if link.node in taken
            }
            for node in taken
        },
    )


def bridged(w: Workflow, types: Types, gone: Collection[NodeId]) -> Workflow:
    """Lead every link that comes from ``gone`` past it, or drop it where nothing fits."""
    known, ways = known_types(w, types), routes(w)
    changed: dict[NodeId, dict[str, Link]] = {}
    led: dict[Input, Way] = {}
    for node in w.graph:
        if node.id in gone or not any(link.node in gone for link in node.inputs.values()):
            continue
        declared = known.get(node.type)
        inputs: dict[str, Link] = {}
        for port, link in node.inputs.items():
            source: Link | None = link
            seen: set[Link] = set()  # a file may hold a cycle
            way = ways.get((node.id, port), ())
            while source is not None and source.node in gone:
                if source in seen:
                    source = None
                    break
                seen.add(source)
                past = w.graph.nodes[source.node]
                source = passed(past, known.get(past.type), source.output)
                entered = next((p for p, one in past.inputs.items() if one == source), "")
                way = (*ways.get((past.id, entered), ()), *way)
            if source is None:
                continue
            if way:
                led[node.id, port] = way
            if link.node not in gone or is_sound(w.graph, known, source, declared, port):
                inputs[port] = source
        changed[node.id] = inputs
    led = {(node, port): way for (node, port), way in led.items() if port in changed[node]}
    return routed(with_inputs(w, changed), led)


def is_sound(graph: Graph, known: Types, link: Link, declared: NodeType | None, port: str) -> bool:
    """Whether a link fits a port; what cannot be known does."""
    source = graph.nodes.get(link.node)
    gives = known.get(source.type) if source else None
    leaving = gives.output(link.output) if gives else None
    entering = declared.socket(port) if declared else None
    return leaving is None or entering is None or fits(leaving.type, entering.type)
