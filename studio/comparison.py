"""What two workflows, or the pictures that they made, have not in common: meaning, environment and models."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from studio.graph import Difference, Graph, Json, diff
from studio.workflow import Group, Workflow

PLACES = ("studio", "python", "platform")


@dataclass(frozen=True)
class Change:
    """One thing in which two makings of a picture differ."""

    where: str
    """What it is about: ``denoise.guidance``, ``group out: input image``, ``threads``, ``model sd/unet``."""
    before: str
    after: str
    group: str = ""
    """The group in whose body it is; "" for the workflow itself."""
    difference: Difference | None = None
    """What differs of a graph; None for anything else."""
    said: str = ""
    """What to say instead of both sides."""

    def __str__(self) -> str:
        if self.said:
            return f"{self.where}{self.said}"
        if self.difference is not None:
            within = f"group {self.group}: " if self.group else ""
            return f"{within}{self.difference}"
        return f"{self.where}: {self.before} -> {self.after}"


# --- workflows


def changes(before: Workflow, after: Workflow) -> list[Change]:
    """How two workflows differ in what they mean: graph, parameters, groups, and fields that we do not know.

    Both in today's form. Where only one says which content a model has, that is no difference: a picture says it, the
    workflow that it was made from as a rule does not.
    """
    after = _with_digests_of(before, after)
    return [*_graphs(before.graph, after.graph), *_groups(before, after),
            *_fields("file", before.extra, after.extra)]  # fmt: skip


def _with_digests_of(known: Workflow, other: Workflow) -> Workflow:
    """``other`` with the digests of ``known`` where one of the two does not say which content a model has."""

    def settled(mine: Graph, theirs: Graph) -> Graph:
        for node in theirs:
            before, after = mine.nodes.get(node.id), node.params.get("digest")
            digest = before.params.get("digest") if before else None
            if digest is not None and "" in (digest, after):
                theirs = theirs.set(node.id, digest=digest)
        return theirs

    groups = {
        name: replace(group, graph=settled(known.groups[name].graph, group.graph))
        if name in known.groups
        else group
        for name, group in other.groups.items()
    }
    return replace(other, graph=settled(known.graph, other.graph), groups=groups)


def _graphs(before: Graph, after: Graph, group: str = "") -> Iterator[Change]:
    within = f"group {group}: " if group else ""
    for one in diff(before, after):
        yield Change(within + one.where, one.before, one.after, group, one)
    for node in sorted(before.nodes.keys() & after.nodes.keys()):
        yield from _fields(f"{within}{node}", before.nodes[node].extra, after.nodes[node].extra)


def _groups(before: Workflow, after: Workflow) -> Iterator[Change]:
    for name in sorted({*before.groups, *after.groups}):
        old, new = before.groups.get(name), after.groups.get(name)
        if old is not None and new is not None:
            yield from _graphs(old.graph, new.graph, name)
            yield from _interface(name, old, new)
            yield from _fields(f"group {name}: group", old.extra, new.extra)
        else:
            is_new = old is None
            sides = ("nothing", "a group") if is_new else ("a group", "nothing")
            said = ": added" if is_new else ": removed"
            yield Change(f"group {name}", *sides, group=name, said=said)


def _interface(name: str, before: Group, after: Group) -> Iterator[Change]:
    old_inputs, new_inputs = (
        {port: ", ".join(map(str, inners)) for port, inners in group.inputs.items()}
        for group in (before, after)
    )
    yield from _pairs(name, "input", old_inputs, new_inputs)
    yield from _pairs(name, "output", before.outputs, after.outputs)
    yield from _pairs(name, "parameter", before.params, after.params)


def _pairs(
    group: str, what: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            where = f"group {group}: {what} {name}"
            yield Change(where, str(old or "nothing"), str(new or "nothing"), group)


def _fields(where: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = repr(before.get(name)), repr(after.get(name))
        if old != new:
            said = " differs, which this version does not know"
            yield Change(f"{where}: field {name}", old, new, said=said)


# --- manifests


def environment(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Change]:
    """What differs of versions, platform and everything of the numerics class, between two manifests."""
    old, new = ({key: manifest.get(key) for key in PLACES} for manifest in (before, after))
    return [
        *_changes(old, new),
        *_changes(_object(before.get("numerics")), _object(after.get("numerics"))),
    ]


def models(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Change]:
    """The models of two manifests whose content is another."""
    old, new = _object(before.get("models")), _object(after.get("models"))
    return [
        Change(f"model {name}", _short(old.get(name)), _short(new.get(name)))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Change(name, _word(before.get(name)), _word(after.get(name)))


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _word(value: Json) -> str:
    return "unknown" if value is None else str(value)


def _short(digest: Json) -> str:
    return "none" if digest is None else f"{str(digest)[:12]}…"


# --- words

Span = tuple[int, int]
"""Where something begins in a text, and where it ends."""
_WORD = re.compile(r"\w+|[^\w\s]")


def marked(before: str, after: str) -> tuple[list[Span], list[Span]]:
    """The words of each text that the other has not in that place; neighbours are one span."""
    old, new = list(_WORD.finditer(before)), list(_WORD.finditer(after))
    matcher = difflib.SequenceMatcher(
        None, [word[0] for word in old], [word[0] for word in new], autojunk=False
    )
    gone: list[Span] = []
    come: list[Span] = []
    for tag, first, last, start, end in matcher.get_opcodes():
        if tag == "equal":
            continue
        if first < last:
            gone.append((old[first].start(), old[last - 1].end()))
        if start < end:
            come.append((new[start].start(), new[end - 1].end()))
    return gone, come
