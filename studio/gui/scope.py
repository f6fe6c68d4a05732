"""Where an edit happens: the document itself, or the body of a group that a path of nodes leads into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from studio.errors import GraphError
from studio.graph import NodeId, Types
from studio.gui import edits
from studio.gui.document import Document
from studio.workflow import Workflow

Path = tuple[NodeId, ...]
"""Nodes of groups, from the outside in."""
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


def split(flat: str) -> tuple[Path, NodeId]:
    """The path and the node that a flat id (``group/node``) names."""
    *path, name = flat.split("/")
    return tuple(NodeId(step) for step in path), NodeId(name)


@dataclass(frozen=True)
class Scope:
    """A document, or the inside of one of its groups, as a workflow that can be edited."""

    document: Document
    path: Path = ()

    @property
    def workflow(self) -> Workflow:
        """What is there now; nothing where the path has ceased to lead anywhere."""
        return self.of(self.document.workflow)

    def of(self, whole: Workflow) -> Workflow:
        """What is there in another value of the document."""
        try:
            return edits.inside(whole, self.path)
        except GraphError:
            return Workflow()

    @property
    def types(self) -> Types:
        """The types of nodes that may stand there, groups among them."""
        return edits.known_types(self.document.workflow, self.document.types)

    @property
    def group(self) -> str | None:
        """The name of the group whose body it is; None for the document itself."""
        return edits.group_at(self.document.workflow, self.path)

    def flat(self, name: str) -> str:
        """A node's id as runs know it: inside a group, ``group/node``."""
        return "/".join([*self.path, name])

    def edit(
        self,
        after: Workflow,
        text: str,
        merge: tuple[str, ...] | None = None,
        renamed: Mapping[str, str] = _NO_NAMES,
    ) -> None:
        """Take ``after`` as what is there, as one step of the document's history."""
        document = self.document
        whole = edits.with_inside(document.workflow, document.types, self.path, after, renamed)
        document.edit(whole, text, merge)
