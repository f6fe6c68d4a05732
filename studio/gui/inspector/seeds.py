"""What the editor remembers of a document's seeds: the last that were used, and those that are kept."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from PySide6.QtCore import QObject, Signal

from studio.graph import Graph, NodeId, Types
from studio.gui.document import Document
from studio.registry import Seed
from studio.workflow import Workflow

Place = tuple[str | None, str, str]
"""The group whose body it is in (None: the document itself), the node, the parameter."""


class Seeds(QObject):
    """Seeds by place; the body of a group is one place, however many nodes stand for it."""

    changed = Signal()
    """A run told of seeds, or some were locked or let go."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[Place, int] = {}
        self._locked: set[Place] = set()

    def note(self, workflow: Workflow, types: Types) -> None:
        """Remember all seeds as the last that were used."""
        self._note(None, workflow.graph, types)
        for name, group in workflow.groups.items():
            self._note(name, group.graph, types)
        self.changed.emit()

    def _note(self, group: str | None, graph: Graph, types: Types) -> None:
        for node in graph:
            declared = types.get(node.type)
            for param in declared.params if declared else ():
                seed = node.params.get(param.name, param.default)
                if isinstance(param.hint, Seed) and isinstance(seed, int):
                    self._last[group, node.id, param.name] = seed

    def last(self, place: Place) -> int | None:
        """The seed that was used last."""
        return self._last.get(place)

    def left(self, place: Place, seed: int) -> None:
        """A seed was left for another: it is the last used one unless a run told of one."""
        self._last.setdefault(place, seed)

    def is_locked(self, places: Iterable[Place]) -> bool:
        """Whether any of them is kept."""
        return any(place in self._locked for place in places)

    @property
    def locked(self) -> frozenset[Place]:
        """Those that are kept."""
        return frozenset(self._locked)

    def lock(self, places: Iterable[Place], is_locked: bool) -> None:
        """Keep seeds, or let them go."""
        for place in places:
            (self._locked.add if is_locked else self._locked.discard)(place)
        self.changed.emit()

    def rename(self, group: str | None, old: NodeId, new: NodeId) -> None:
        """Follow a node to another name."""
        self._last = {_named(place, group, old, new): seed for place, seed in self._last.items()}
        self._locked = {_named(place, group, old, new) for place in self._locked}


class SeedBook:
    """The seeds of every document that is open."""

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[Document, Seeds] = WeakKeyDictionary()

    def of(self, document: Document) -> Seeds:
        """Those of a document."""
        return self._found.setdefault(document, Seeds())


def _named(place: Place, group: str | None, old: NodeId, new: NodeId) -> Place:
    return (group, new, place[2]) if place[:2] == (group, old) else place
