"""The exception tree: everything that a user can cause, as one line that says what, where and how to mend it.

::

    StudioError
    ├── FileError        a workflow or picture that cannot be read                        exit 2
    ├── GraphError       a graph that does not hold together: node, port, remedy          exit 2
    ├── ArgumentError    a command line that asks for what does not exist                 exit 2
    ├── PackError        a node pack that is refused                                      (reported, never fatal)
    ├── NodeError        a node that failed while it ran                                  exit 1
    │   ├── ModelError   a model that is missing, unknown or refused                      exit 1
    │   └── OutputError  a result that could not be written                               exit 1
    └── Cancelled        the user stopped the run                                         exit 130
"""

from __future__ import annotations

from typing import ClassVar


class StudioError(Exception):
    """Base of the tree: ``what`` happened, ``where`` (node, port, file, line), the ``remedy``."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.remedy}" if self.remedy else text

    def located(self, node: str) -> StudioError:
        """Return this error with ``where`` beginning with its node."""
        if not self.where or self.where.startswith("."):
            self.where = node + self.where
        elif self.where != node and not self.where.startswith((f"{node}.", f"{node}: ")):
            self.where = f"{node}: {self.where}"
        return self


class FileError(StudioError):
    """A file that is not what it should be."""

    exit_code = 2


class GraphError(StudioError):
    """A graph that does not hold together, by node and port."""

    exit_code = 2

    def __init__(self, node: str, port: str, what: str, *, remedy: str = "") -> None:
        super().__init__(what, where=f"{node}.{port}" if port else node, remedy=remedy)
        self.node = node
        self.port = port

    def located(self, node: str) -> StudioError:
        """Return this error as one of ``node``, unless it names a node already."""
        if not self.node:
            self.node = node
        return super().located(node)


class ArgumentError(StudioError):
    """Arguments that name something that does not exist or do not fit together."""

    exit_code = 2


class PackError(StudioError):
    """A third-party node pack that is refused; the program starts without it."""


class NodeError(StudioError):
    """A node that failed while it ran; the engine adds which one."""


class ModelError(NodeError):
    """A model that is missing, of an unknown kind, or refused."""


class OutputError(NodeError):
    """A result that could not be written."""


class Cancelled(StudioError):
    """The run was stopped by its user."""

    exit_code = 130

    def __init__(self, what: str = "cancelled") -> None:
        super().__init__(what)
