"""Variations of a workflow by its seeds: which seeds there are, the workflows, and the question how many."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QRadioButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from studio.graph import Graph, Json, NodeId, Types
from studio.gui.edits import known_types, set_param
from studio.gui.inspector.seeds import Place
from studio.registry import Seed
from studio.workflow import Workflow

How = Literal["consecutive", "random"]
MOST = 100
_SEEDS = 2**64


@dataclass(frozen=True)
class SeedAt:
    """A seed of a workflow."""

    group: str | None
    """Name of the group whose body it is in; None outside of groups."""
    node: NodeId
    param: str
    value: int


def seeds(workflow: Workflow, types: Types, locked: Collection[Place] = ()) -> tuple[SeedAt, ...]:
    """The seeds of a workflow, those in groups as well, without those that are ``locked``."""
    known = known_types(workflow, types)
    found = [*_in_graph(None, workflow.graph, known)]
    for name, group in workflow.groups.items():
        # what a group shows outside is set on its nodes
        shown = {(inner.node, inner.name) for inner in group.params.values()}
        inside = _in_graph(name, group.graph, known)
        found += [one for one in inside if (one.node, one.param) not in shown]
    return tuple(one for one in found if (one.group, one.node, one.param) not in locked)


def _in_graph(group: str | None, graph: Graph, types: Types) -> Iterator[SeedAt]:
    for node in graph:
        declared = types.get(node.type)
        for param in declared.params if declared is not None else ():
            value = node.params.get(param.name, param.default)
            if param.name in node.inputs:
                continue  # varied where it comes from
            if isinstance(param.hint, Seed) and isinstance(value, int):
                yield SeedAt(group, node.id, param.name, value)


def variations(
    workflow: Workflow, varied: Collection[SeedAt], count: int, how: How
) -> list[Workflow]:
    """``count`` workflows that differ in these seeds: the next ones after those of now, or random ones."""
    made = []
    for number in range(1, count + 1):
        after = workflow
        for seed in varied:
            value = secrets.randbits(64) if how == "random" else (seed.value + number) % _SEEDS
            after = _with(after, seed, value)
        made.append(after)
    return made


def _with(workflow: Workflow, seed: SeedAt, value: Json) -> Workflow:
    if seed.group is None:
        return set_param(workflow, seed.node, seed.param, value)
    group = workflow.groups[seed.group]
    inside = set_param(Workflow(graph=group.graph), seed.node, seed.param, value)
    groups = {**workflow.groups, seed.group: replace(group, graph=inside.graph)}
    return replace(workflow, groups=groups)


class VariationsDialog(QDialog):
    """Asks how many variations, and how their seeds are found."""

    def __init__(
        self, varied: Collection[SeedAt], count: int, how: How, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self._varied = tuple(varied)
        self.setWindowTitle(self.tr("Queue variations"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.number = QSpinBox()
        self.number.setRange(1, MOST)
        self.number.setValue(count)
        self.number.setAccessibleName(self.tr("How many"))
        self.consecutive = QRadioButton(self.tr("&Next seeds, one after the other"))
        self.random = QRadioButton(self.tr("&Random seeds"))
        (self.random if how == "random" else self.consecutive).setChecked(True)
        self.told = QLabel()
        self.told.setProperty("role", "dim")
        self.told.setWordWrap(True)
        form = QFormLayout()
        form.addRow(self.tr("&How many"), self.number)
        form.addRow(self.tr("Seeds"), self.consecutive)
        form.addRow("", self.random)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.queue = buttons.addButton(self.tr("&Queue"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.queue.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.told)
        column.addWidget(buttons)
        self.number.valueChanged.connect(self._tell)
        self.random.toggled.connect(self._tell)
        self.number.setFocus(Qt.FocusReason.OtherFocusReason)
        self.number.selectAll()
        self._tell()

    @property
    def count(self) -> int:
        """How many were asked for."""
        return self.number.value()

    @property
    def how(self) -> How:
        """How their seeds are found."""
        return "random" if self.random.isChecked() else "consecutive"

    def variations(self, workflow: Workflow) -> list[Workflow]:
        """What was asked for, of the workflow whose seeds these are."""
        return variations(workflow, self._varied, self.count, self.how)

    def _tell(self) -> None:
        lines = [self._line(seed) for seed in self._varied]
        lines.append(self.tr("The document stays as it is; locked seeds stay in every variation."))
        self.told.setText("\n".join(lines))

    def _line(self, seed: SeedAt) -> str:
        name = f"{seed.group}/{seed.node}" if seed.group else seed.node
        name = f"{name}.{seed.param}"
        if self.how == "random":
            return self.tr("{}: random").format(name)
        first, last = (seed.value + 1) % _SEEDS, (seed.value + self.count) % _SEEDS
        if first == last:
            return f"{name}: {first}"
        return self.tr("{}: {} to {}").format(name, first, last)
