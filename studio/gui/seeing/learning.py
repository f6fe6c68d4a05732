"""The training that is looked at: what it measures is shown under what it paints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.graph import NodeKind, Types
from studio.gui.running.runner import Runner
from studio.gui.seeing.measure_view import MeasureView
from studio.gui.seeing.showing import Showing
from studio.gui.seeing.trajectory import has_trajectory
from studio.gui.states import NodeState
from studio.values import Trained

if TYPE_CHECKING:
    from studio.gui.shell.page import Page


class Learning(QObject):
    """Follows the node of the document in front that measures: the selected one, else the one that runs."""

    shown = Signal(bool)
    """Whether there is something to show."""

    def __init__(
        self, view: MeasureView, showing: Showing, runner: Runner, types: Types, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._view = view
        self._showing = showing
        self._runner = runner
        self._types = types
        self._asked: dict[str, tuple[str, str]] = {}
        """Key and status of the trainings that the worker was asked about last."""
        self._page: Page | None = None
        self._is_shown = False
        view.hide()
        runner.worker_state.connect(self._worker_changed)

    def show_page(self, page: Page | None) -> None:
        """Follow another document, or none."""
        if self._page is not None:
            former = self._page.watch
            former.states_changed.disconnect(self.follow)
            former.outcome_changed.disconnect(self._ask)
            former.measured.disconnect(self._measured)
        self._page = page
        self._asked.clear()
        if page is not None:
            page.watch.states_changed.connect(self.follow)
            page.watch.outcome_changed.connect(self._ask)
            page.watch.measured.connect(self._measured)
            self._ask()
        self.follow()

    def follow(self) -> None:
        """Show what has been measured by now."""
        node = self._node()
        page = self._page
        if page is not None and node:
            watch = page.watch
            state = watch.tracker.flat.get(node, NodeState())
            self._view.show_record(node, watch.measures.records[node], state)
        # whoever paints needs the room for the picture
        self._view.setVisible(bool(node) and not self._showing.is_held)
        if bool(node) != self._is_shown:
            self._is_shown = bool(node)
            self.shown.emit(self._is_shown)

    def _node(self) -> str:
        """The node that is shown; "" where none is."""
        page = self._page
        if page is None:
            return ""
        records, flat = page.watch.measures.records, page.watch.tracker.flat
        measuring = [name for name in records if name in flat]
        chosen = [name for name in measuring if name in page.selection]
        if chosen:
            return chosen[0]
        running = [name for name in measuring if flat[name].status == "running"]
        if running:
            return running[0]
        return "" if self._has_pictures(page) else next(reversed(measuring), "")

    # --- what was measured in former sessions

    def _worker_changed(self, state: str) -> None:
        """What another worker was asked it never answers."""
        if state == "ready":
            self._asked.clear()
            self._ask()

    def _measured(self, node: str) -> None:
        self.follow()
        # one after another: a newer question about a document takes the place of one that waits
        self._ask()

    def _ask(self) -> None:
        """Ask for the curve of a training that has run and is not known from its first step on, once."""
        page = self._page
        plan = page.watch.outcome.plan if page is not None else None
        if page is None or plan is None:
            return
        for planned in plan.nodes:
            node, key = str(planned.node), str(planned.key)
            if planned.status not in ("cached", "resumes") or not self._is_training(planned.type):
                continue
            record = page.watch.measures.records.get(node)
            is_known = record is not None and record.key == key and record.first == 1
            if is_known or self._asked.get(node) == (key, planned.status):
                continue
            if self._runner.ask_measures(page.watch, node):
                self._asked[node] = (key, planned.status)
            return

    def _is_training(self, type_id: str) -> bool:
        declared = self._types.get(type_id)
        if declared is None or declared.kind is not NodeKind.LOOP:
            return False
        return any(issubclass(port.type, Trained) for port in declared.outputs)

    def _has_pictures(self, page: Page) -> bool:
        """Whether the document has a loop whose steps can be looked at as pictures."""
        types = page.document.types
        return any(
            has_trajectory(types[node.type])
            for node in page.document.workflow.graph
            if node.type in types
        )
