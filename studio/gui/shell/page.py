"""One document in a tab: its canvas, the bar that tells of a failure, and the pictures that its nodes gave."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.errors import GraphError
from studio.gui import edits
from studio.gui.canvas import Canvas
from studio.gui.curve_plot import thumbnail
from studio.gui.curves import Curves
from studio.gui.document import Document
from studio.gui.running.pictured import Pictured
from studio.gui.running.plan_panel import FailureBar
from studio.gui.running.runner import Watch
from studio.gui.running.tracking import Outcome
from studio.gui.scope import Scope, split
from studio.gui.states import Failure, NodeState
from studio.gui.theme import Theme


class Page(QWidget):
    """The canvas of a document and what its run has shown so far."""

    pictured = Signal(object)
    """A Pictured that is to be looked at."""
    previewed = Signal(str, QImage, int, int)

    def __init__(self, document: Document, watch: Watch, theme: Theme) -> None:
        super().__init__()
        self.document = document
        self.watch = watch
        self.canvas = Canvas(document, theme)
        self.failure = FailureBar(theme)
        self.pictures: dict[str, Pictured] = {}
        """The last finished picture of each node, of a batch the first."""
        self._batches: dict[str, dict[int, Pictured]] = {}
        self.viewed: str | None = None
        """The node that the viewer follows; None: whatever comes last."""
        self.last: Pictured | None = None
        """What the viewer showed last."""
        self.files: list[str] = []
        """What the last run wrote."""
        self.selection: tuple[str, ...] = ()
        """The selected nodes, by flat id."""
        document.setParent(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.canvas, 1)
        layout.addWidget(self.failure)
        self.setFocusProxy(self.canvas)
        self.failure.node_chosen.connect(self.reveal)
        self.failure.taken.connect(self._add_missing)
        self._theme = theme
        self._drawn: dict[str, Curves] = {}
        """The curves that nodes show as their pictures."""
        watch.states_changed.connect(self._states)
        watch.outcome_changed.connect(self._planned)
        watch.pictured.connect(self._pictured)
        watch.previewed.connect(self._previewed)
        watch.failed.connect(self._failed)
        self._states(watch.states())

    def set_theme(self, theme: Theme) -> None:
        """Show in other colours."""
        self.canvas.set_theme(theme)
        self.failure.set_theme(theme)
        self._theme = theme
        for node, curves in self._drawn.items():
            self.canvas.set_thumbnail(node, thumbnail(curves, theme))

    def reveal(self, node: str) -> None:
        """Select a node, by its flat id, and bring it into view; the group that it is in is entered."""
        path, name = split(node)
        if self.canvas.go_to(path):
            self.canvas.select([name])
            self.canvas.frame_selected()
            self.canvas.setFocus()

    def _states(self, states: Mapping[str, NodeState]) -> None:
        self.canvas.set_states(states)

    def _planned(self, outcome: Outcome) -> None:
        """Draw the curves of schedules and the like on their nodes; what is not known now stays as it was."""
        for node, curves in outcome.drawn.curves.items():
            image = thumbnail(curves, self._theme) if curves != self._drawn.get(node) else QImage()
            if not image.isNull():
                self._drawn[node] = curves
                self.canvas.set_thumbnail(node, image)
        for node in [one for one in self._drawn if one not in outcome.drawn.curves]:
            del self._drawn[node]
            self.canvas.set_thumbnail(node, None)

    def _previewed(self, node: str, image: QImage, step: int, steps: int) -> None:
        self.canvas.set_thumbnail(node, image)
        self.previewed.emit(node, image, step, steps)

    def batch(self, node: str) -> list[Pictured]:
        """The last finished pictures of a node, as far as they have come."""
        return [made for _, made in sorted(self._batches.get(node, {}).items())]

    def _pictured(self, made: Pictured) -> None:
        batch = self._batches.setdefault(made.node, {})
        if any(other.key != made.key for other in batch.values()):
            batch.clear()
        batch[made.index] = made
        if made.index == 0:
            self.canvas.set_thumbnail(made.node, made.image)
            self.pictures[made.node] = made
        self.pictured.emit(made)

    def _failed(self, failure: Failure) -> None:
        self.failure.tell(failure, self._context(failure), self._offer(failure))

    def _offer(self, failure: Failure) -> str:
        """What can be done at once about a failure; nothing, unless the node lacks links that it needs."""
        path, name = split(failure.where.partition(":")[0].partition(".")[0])
        try:
            inside = Scope(self.document, path).workflow
            lacks = edits.missing(inside, self.document.types, name)
        except GraphError:
            return ""
        return self.tr("Add what it needs") if lacks else ""

    def may_run(self) -> bool:
        """Whether anything can come out of a run; if not, say what to do."""
        graph, types = self.document.workflow.graph, self.document.types
        # what a group gives shows once it is run
        if any(node.type not in types or types[node.type].is_output for node in graph):
            return True
        if graph.nodes:
            what = self.tr("Nothing here keeps or shows a picture")
            remedy = self.tr("add a Save image or Preview node, or run to the selected nodes")
            offer = self.tr("Add a Save image node")
        else:
            what, offer = self.tr("The canvas is empty"), ""
            remedy = self.tr("press Tab to add a node, or begin with a template (Ctrl+Home)")
        self.failure.tell(Failure(what, "", remedy), offer=offer)
        return False

    def _add_missing(self, node: str) -> None:
        """Take the offer: add what a node needs, or a node that saves pictures."""
        path, name = split(node)
        if not self.canvas.go_to(path):
            return
        if name:
            self.canvas.select([name])
            self.canvas.commands.complete()
        else:
            self.canvas.commands.add_output()
        self.canvas.setFocus()

    def _context(self, failure: Failure) -> str:
        """What helps somebody else to understand: the node's type and parameters."""
        path, name = split(failure.where.partition(":")[0].partition(".")[0])
        try:
            node = Scope(self.document, path).workflow.graph.node(name)
        except GraphError:
            return ""
        params = "\n".join(f"  {key} = {value!r}" for key, value in sorted(node.params.items()))
        return f"{node.id} ({node.type}, version {node.version})\n{params}"
