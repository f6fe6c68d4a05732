"""Every node keyed before anything runs: describing nodes are evaluated, loops get a key per step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from studio.errors import FileError, GraphError, NodeError, StudioError
from studio.facts import file_digest
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
from studio.plan.context import PlanningContext
from studio.plan.keyed import Argument, Keyed, KeyedChain, KeyedStep
from studio.registry import Announcing, Chain, File, Folder, Loop, NotKnown, outputs
from studio.validation import admitted
from studio.values import Constant, Timeline


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
