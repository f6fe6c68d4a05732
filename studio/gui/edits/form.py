"""The form of a workflow: parameters that are published for whoever only wants to use it, in order, with labels.

A list in the view, ``"form": [{"param": "prompt.prompt", "label": "Prompt"}, …]``; a parameter inside a group is
``group/node.param``, as the command line calls it. Entries follow renamed nodes and go with removed ones; what cannot
be read, or stands for nothing now, is passed over and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from studio.errors import GraphError
from studio.graph import Graph, Json, NodeId, Param, Types
from studio.gui.edits.links import known_types
from studio.gui.edits.view import view_list, with_view
from studio.workflow import Workflow
from studio.workflow.groups import group_of


class Address(NamedTuple):
    """A parameter of a node, which may be inside groups."""

    path: tuple[NodeId, ...]
    """The node, after the nodes of the groups that it is in."""
    param: str

    def __str__(self) -> str:
        return f"{'/'.join(self.path)}.{self.param}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """The inverse of ``str``; raises ValueError for what is none."""
        path, dot, param = text.rpartition(".")
        if not (dot and path and param):
            raise ValueError(f"{text!r} names no parameter")
        return cls(tuple(NodeId(step) for step in path.split("/")), param)


@dataclass(frozen=True)
class Published:
    """A parameter in the form."""

    address: Address
    label: str
    param: Param
    value: Json


Change = Callable[[Address], Address | None]
"""What becomes of an address by an edit; None: it is gone."""


def form(w: Workflow, types: Types) -> list[Published]:
    """What the form shows, in order."""
    known = known_types(w, types)
    found: dict[Address, Published] = {}
    for entry in view_list(w, "form"):
        address = _address(entry)
        shown = _published(w, known, address, entry) if address is not None else None
        if shown is not None:
            found.setdefault(shown.address, shown)
    return list(found.values())


def _published(w: Workflow, known: Types, address: Address, entry: Json) -> Published | None:
    graph = _graph_at(w, address.path[:-1])
    node = graph.nodes.get(address.path[-1]) if graph is not None else None
    declared = known.get(node.type) if node is not None else None
    param = declared.param(address.param) if declared is not None else None
    if node is None or param is None:
        return None
    label = entry.get("label") if isinstance(entry, dict) else None
    words = label if isinstance(label, str) and label.strip() else param.name.replace("_", " ")
    return Published(address, words, param, node.params.get(param.name, param.default))


def publish(w: Workflow, types: Types, address: Address, at: int | None = None) -> Workflow:
    """Put a parameter into the form, or to another place in it: before the ``at``-th shown, else last.

    Raises GraphError if there is no such parameter.
    """
    if _published(w, known_types(w, types), address, None) is None:
        raise GraphError("/".join(address.path), address.param, "is no parameter")
    shown = [one.address for one in form(w, types)]
    before = shown[at] if at is not None and at < len(shown) else None
    if before == address:
        return w
    entries = view_list(w, "form")
    fresh: Json = {"param": str(address)}
    own = next((entry for entry in entries if _address(entry) == address), fresh)
    rest = [entry for entry in entries if _address(entry) != address]
    place = next((i for i, e in enumerate(rest) if before and _address(e) == before), len(rest))
    return with_view(w, "form", [*rest[:place], own, *rest[place:]])


def unpublish(w: Workflow, address: Address) -> Workflow:
    """Take a parameter out of the form."""
    kept = [entry for entry in view_list(w, "form") if _address(entry) != address]
    return with_view(w, "form", kept)


def set_label(w: Workflow, address: Address, label: str) -> Workflow:
    """Call a parameter of the form otherwise; an empty label is its own name again."""
    words = label.strip()

    def labelled(entry: Json) -> Json:
        if _address(entry) != address or not isinstance(entry, dict):
            return entry
        rest = {key: value for key, value in entry.items() if key != "label"}
        return {**rest, "label": words} if words else rest

    return with_view(w, "form", [labelled(entry) for entry in view_list(w, "form")])


# --- following other edits


def followed(w: Workflow, change: Change) -> Workflow:
    """Let the form follow what an edit did to addresses."""
    entries = view_list(w, "form")
    changed: list[Json] = []
    for entry in entries:
        old = _address(entry)
        new = change(old) if old is not None else None
        if old is None or new == old:
            changed.append(entry)
        elif new is not None and isinstance(entry, dict):
            changed.append({**entry, "param": str(new)})
    return with_view(w, "form", changed) if changed != entries else w


def renamed_in(w: Workflow, names: Mapping[str, str]) -> Workflow:
    """Follow nodes of the workflow's own graph to other names."""

    def change(address: Address) -> Address:
        first, *rest = address.path
        return address._replace(path=(NodeId(names.get(first, first)), *rest))

    return followed(w, change) if names else w


def without(w: Workflow, gone: Collection[str]) -> Workflow:
    """Forget nodes of the workflow's own graph."""
    return followed(w, lambda address: None if address.path[0] in gone else address)


def body_changed(
    w: Workflow, before: Workflow, group: str, graph: Graph, names: Mapping[str, str]
) -> Workflow:
    """Follow an edit of a group's body, which is ``graph`` now: renamed nodes (old id: new id), and what is gone."""

    def change(address: Address) -> Address | None:
        path = list(address.path)
        for depth in range(1, len(path)):
            if _group_at(before, address.path[:depth]) == group:
                path[depth] = NodeId(names.get(path[depth], path[depth]))
                if path[depth] not in graph:
                    return None
        return address._replace(path=tuple(path))

    return followed(w, change)


def grouped(w: Workflow, nodes: Collection[str], stand_in: NodeId) -> Workflow:
    """Follow nodes into a group."""

    def change(address: Address) -> Address:
        is_inside = address.path[0] in nodes
        return address._replace(path=(stand_in, *address.path)) if is_inside else address

    return followed(w, change)


def ungrouped(
    w: Workflow,
    outer: str,
    names: Mapping[NodeId, NodeId],
    params: Mapping[str, tuple[NodeId, str]],
) -> Workflow:
    """Follow nodes out of a group (id inside: id now); ``params``: what its node's own parameters stood for."""

    def change(address: Address) -> Address | None:
        if address.path[0] != outer:
            return address
        if len(address.path) == 1:
            inner = params.get(address.param)
            return Address((names[inner[0]],), inner[1]) if inner and inner[0] in names else None
        first = names.get(address.path[1])
        return address._replace(path=(first, *address.path[2:])) if first is not None else None

    return followed(w, change)


def shown_changed(w: Workflow, before: Workflow, group: str, old: str, new: str | None) -> Workflow:
    """Follow a parameter on the nodes of a group to another name; None: it no longer stands there."""

    def change(address: Address) -> Address | None:
        if address.param != old or _group_at(before, address.path) != group:
            return address
        return address._replace(param=new) if new is not None else None

    return followed(w, change)


def copied(w: Workflow, part: Workflow, names: Mapping[NodeId, NodeId]) -> Workflow:
    """Bring the entries of nodes along that were added from another workflow (id there: id here).

    Copies within one workflow are not doubled in its form.
    """
    here = {_address(entry) for entry in view_list(w, "form")}
    entries: list[Json] = []
    for entry in view_list(part, "form"):
        address = _address(entry)
        if address is None or address in here or not isinstance(entry, dict):
            continue
        if address.path[0] in names:
            added = address._replace(path=(names[address.path[0]], *address.path[1:]))
            entries.append({**entry, "param": str(added)})
    return with_view(w, "form", [*view_list(w, "form"), *entries]) if entries else w


def _address(entry: Json) -> Address | None:
    text = entry.get("param") if isinstance(entry, dict) else None
    try:
        return Address.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _group_at(w: Workflow, path: tuple[NodeId, ...]) -> str | None:
    graph, name = w.graph, None
    for step in path:
        node = graph.nodes.get(step)
        name = group_of(w, node) if node is not None else None
        if name is None:
            return None
        graph = w.groups[name].graph
    return name


def _graph_at(w: Workflow, path: tuple[NodeId, ...]) -> Graph | None:
    name = _group_at(w, path)
    if path and name is None:
        return None
    return w.groups[name].graph if name is not None else w.graph
