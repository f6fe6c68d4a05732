"""Any sequence of what hands do to a window keeps document, canvas and panels in one mind, and can all be undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget
from pytestqt.exceptions import capture_exceptions
from pytestqt.qtbot import QtBot

from studio import registry
from studio.graph import NodeId
from studio.gui import edits
from studio.gui.canvas import Canvas
from studio.gui.document import Document
from studio.gui.shell.window import Window
from studio.gui.theme import Theme
from studio.workflow import dumps
from studio.workflow.groups import group_of
from tests.gui.desk import TEXT_TO_IMAGE, Desk, front, pixels
from tests.gui.hands import double_click, key, move, press, release, wheel
from tests.gui.test_edits import BASE, assert_sound

pops_up = pytest.mark.qt_log_ignore("This plugin does not support")

STEPS = 200
MOST_NODES = 40
SHIFT, CTRL, ALT = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
NONE = Qt.KeyboardModifier.NoModifier
MODIFIERS = (NONE, NONE, NONE, SHIFT, CTRL, ALT)
LEFT, MIDDLE, RIGHT = (
    Qt.MouseButton.LeftButton,
    Qt.MouseButton.MiddleButton,
    Qt.MouseButton.RightButton,
)
TYPED = ("3", "12*2", "-1", "nonsense", "a blue lake", "0.25", "", "denoise", "prompt 2")


@dataclass
class Walk:
    """A hand on a canvas that follows numbers, and all that was seen of the document."""

    canvas: Canvas
    seen: dict[int, str] = field(default_factory=dict)
    """The document's text at each place of its history."""

    def __post_init__(self) -> None:
        self.port = self.canvas.viewport()
        self.document = self.canvas.document
        self._before = self.document.workflow
        self.note()
        self.document.changed.connect(self.note)

    def note(self) -> None:
        """Remember the document where it is now; what was undone before an edit is no more."""
        document = self.document
        position = document.position
        if position == len(document.undo_texts):
            self.seen = {at: text for at, text in self.seen.items() if at < position}
            self.seen[position] = dumps(document.workflow)
        else:
            assert self.seen[position] == dumps(document.workflow)

    # --- where

    def places(self) -> list[QPointF]:
        """Points of the viewport at which there is something: nodes, sockets, rows, links, boxes."""
        canvas, content = self.canvas, self.canvas.content
        points: list[QPointF] = []
        for item in content.nodes.values():
            at = item.pos()
            points += [at + QPointF(60, 12), at + QPointF(item.rect.width() / 2, 50)]
            points += [at + socket.at for socket in item.layout.sockets]
            for row in item.layout.rows:
                points += [at + row.rect.center(), at + row.rect.topRight() + QPointF(-8, 8)]
        for link in content.links.values():
            points.append(link.sceneBoundingRect().center())
        for box in content.boxes.values():
            rect = box.scene_rect
            points += [rect.topLeft() + QPointF(8, 8), rect.bottomRight() - QPointF(4, 4)]
        return [QPointF(canvas.mapFromScene(point)) for point in points]

    def place(self, number: int) -> QPointF:
        """A point of the viewport; one in three has nothing in particular."""
        points = self.places()
        if number % 3 == 0 or not points:
            size = self.port.size()
            return QPointF(number * 7919 % size.width(), number * 104729 % size.height())
        return points[number // 3 % len(points)]

    # --- what

    def command(self, first: int, second: int) -> None:
        """Anything of the table that can be done now, as its key or menu entry does it."""
        names = list(self.canvas.workflow.graph.nodes)
        if len(names) > MOST_NODES:
            self.canvas.select(names[MOST_NODES // 2 :])
            self.canvas.table["canvas.delete"].trigger()
            return
        if second % 2 and names:
            self.canvas.select(names[first % len(names) :][: 1 + second // 2 % 3])
        made = [one for one in self.canvas.table.made.values() if one.isEnabled()]
        made[first % len(made)].trigger()
        self.answer(second)

    def answer(self, number: int) -> None:
        """Take something of a palette or a menu that has opened, or type into a field; else leave them."""
        palette, popup = self.canvas.adding.palette, QApplication.activePopupWidget()
        if isinstance(popup, QMenu):
            entries = [
                entry
                for menu in (popup, *popup.findChildren(QMenu))
                for entry in menu.actions()
                if entry.isEnabled() and not entry.isSeparator() and entry.menu() is None
            ]
            if entries and number % 4:
                entries[number % len(entries)].trigger()
        elif palette.isVisible():
            QTest.keyClicks(palette.field, TYPED[number % len(TYPED)][:3])
            key(palette.field, Qt.Key.Key_Return if number % 4 else Qt.Key.Key_Escape)
        else:
            focus = self.focus()
            if focus is not None:
                QTest.keyClicks(focus, TYPED[number % len(TYPED)])
                key(focus, (Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Tab)[number % 3])
        while popup := QApplication.activePopupWidget():
            popup.close()
        palette.close_quietly()
        self.canvas.setFocus()

    def focus(self) -> QWidget | None:
        """A field over the canvas that is being typed into."""
        widget = QApplication.focusWidget()
        if widget is self.canvas or widget is None or not self.canvas.isAncestorOf(widget):
            return None
        return widget

    def drag(self, first: int, second: int) -> None:
        """Drag from somewhere to somewhere, with any button and key; one in eight is given up or disturbed."""
        start, end = self.place(first), self.place(second)
        button = (LEFT, LEFT, LEFT, LEFT, RIGHT, MIDDLE)[first % 6]
        keys = CTRL if button is RIGHT else MODIFIERS[second % len(MODIFIERS)]
        press(self.port, start, button, keys)
        for share in (0.3, 0.7, 1.0):
            move(self.port, start + (end - start) * share, button, keys)
        disturbance = (first + second) % 24
        if disturbance == 0:
            key(self.canvas, Qt.Key.Key_Escape)
        elif disturbance == 1:
            self.document.undo()
        elif disturbance == 2:
            self.canvas.table["canvas.delete"].trigger()
        release(self.port, end, button, keys)
        self.answer(second)

    def click(self, first: int, second: int) -> None:
        """Click, or double-click, somewhere."""
        at, keys = self.place(first), MODIFIERS[second % len(MODIFIERS)]
        if second % 2:
            double_click(self.port, at)
        else:
            press(self.port, at, LEFT, keys)
            release(self.port, at, LEFT, keys)
        self.answer(second // 2)

    def camera(self, first: int, second: int) -> None:
        """Zoom."""
        wheel(self.port, self.place(first), second % 7 - 3)

    def history(self, first: int, second: int) -> None:
        """Go back or forth, by one or to any place."""
        document = self.document
        back = max(document.position - second % 4, 0)
        forth = min(document.position + second % 8, len(document.undo_texts))
        document.go_to((back, forth, document.position)[first % 3])
        if first % 9 == 2:
            document.undo()

    def groups(self, first: int, second: int) -> None:
        """Go into a group, or out of one."""
        canvas = self.canvas
        inside = [one.id for one in canvas.workflow.graph if group_of(canvas.workflow, one)]
        if inside and first % 3:
            canvas.enter(inside[second % len(inside)])
        else:
            canvas.leave()

    def rest(self, first: int, second: int) -> None:
        """Do nothing; what a failing walk shrinks to."""

    # --- what always holds

    def check(self) -> None:
        """The document is sound, and the canvas shows it and nothing else."""
        document, canvas, content = self.document, self.canvas, self.canvas.content
        if document.workflow is not self._before:
            self._before = document.workflow
            assert_sound(document.workflow)
        shown = canvas.workflow
        assert content.nodes.keys() == shown.graph.nodes.keys()
        places = edits.positions(shown)
        for name, item in content.nodes.items():
            assert item.node is shown.graph.nodes[name]
            if name in places:
                assert (item.pos().x(), item.pos().y()) == pytest.approx(places[name], abs=1e-6)
        assert content.links.keys() == {
            (node.id, port) for node in shown.graph for port in node.inputs
        }
        assert content.selection.keys() <= shown.graph.nodes.keys()
        for name, item in content.nodes.items():
            assert item.is_selected == (name in content.selection)
        boxes = [("frames", one.index) for one in edits.frames(shown)]
        boxes += [("notes", one.index) for one in edits.notes(shown)]
        assert content.boxes.keys() == set(boxes)
        # the path leads to where the canvas is
        whole, graph = document.workflow, document.workflow.graph
        for step in canvas.group_path:
            group = group_of(whole, graph.nodes[step])
            assert group is not None
            graph = whole.groups[group].graph
        assert graph.nodes.keys() == shown.graph.nodes.keys()

    def undo_all(self) -> None:
        """Back to the start and forth to the end, every document as it was seen on the way."""
        document = self.document
        steps = len(document.undo_texts)
        document.go_to(steps)
        for position in (*range(steps, -1, -1), *range(steps + 1)):
            document.go_to(position)
            assert dumps(document.workflow) == self.seen[position]
        assert self.seen.keys() == set(range(steps + 1))


Step = tuple[str, int, int]
number = st.integers(0, 2**16)


def steps(*weights: tuple[str, int]) -> st.SearchStrategy[list[Step]]:
    """A walk; what comes first in it is the simplest, so that a failing walk shrinks to what it needs."""
    names = ["rest", *(name for name, weight in weights for _ in range(weight))]
    step = st.tuples(st.sampled_from(names), number, number)
    return st.lists(step, min_size=STEPS, max_size=STEPS)


@contextmanager
def without_errors(what: object) -> Iterator[None]:
    """What is raised in handlers of Qt reaches the test."""
    with capture_exceptions() as raised:
        yield
        # what was deleted goes, as it does in the loop
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    if raised:
        raise AssertionError(f"{what} raised {raised[0][1]!r}") from raised[0][1]


CANVAS = steps(
    ("command", 8), ("drag", 6), ("click", 4), ("camera", 1), ("history", 2), ("groups", 2)
)


def follow(walk: Walk, walked: Sequence[Step]) -> None:
    """Go the steps, looking at everything after each, then undo and do again all of it."""
    for name, first, second in walked:
        with without_errors((name, first, second)):
            getattr(walk, name)(first, second)
        walk.check()
    with without_errors("undoing all"):
        walk.undo_all()
    walk.check()


def walk_canvas(walked: Sequence[Step]) -> None:
    document = Document(registry.load(is_safe=True).types, BASE)
    canvas = Canvas(document, Theme.dark())
    canvas.resize(1000, 700)
    canvas.show()
    try:
        canvas.frame_all()
        follow(Walk(canvas), walked)
    finally:
        canvas.close()
        canvas.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pops_up
@given(walked=CANVAS)
@settings(max_examples=8, deadline=None, phases=[Phase.generate, Phase.shrink])
@pytest.mark.usefixtures("qapp")
def test_two_hundred_gestures_and_commands_keep_the_canvas_sound(walked: list[Step]) -> None:
    walk_canvas(walked)


@pops_up
@pytest.mark.slow
@given(walked=CANVAS)
@settings(max_examples=300, deadline=None)
@pytest.mark.usefixtures("qapp")
def test_many_walks_keep_the_canvas_sound(walked: list[Step]) -> None:
    walk_canvas(walked)


# --- with the panels around it, and runs


class WindowWalk(Walk):
    """The same in a whole window, whose panels follow the document and whose worker says what it likes."""

    def __init__(self, desk: Desk, window: Window) -> None:
        assert window.panels is not None
        self.desk, self.window, self.panels = desk, window, window.panels
        super().__init__(front(window).canvas)

    def inspect(self, first: int, second: int) -> None:
        """Select a node and type into a field of the inspector."""
        names = list(self.document.workflow.graph.nodes)
        if not names or self.canvas.group_path:
            return
        self.canvas.select([names[first % len(names)]])
        rows = list(self.panels.inspector.rows.values())
        if not rows:
            return
        widget: QWidget = rows[second % len(rows)].editor
        while inner := widget.focusProxy():
            widget = inner
        widget.setFocus()
        key(widget, Qt.Key.Key_A, CTRL)
        QTest.keyClicks(widget, TYPED[first % len(TYPED)])
        key(widget, Qt.Key.Key_Return)
        self.canvas.setFocus()

    def outline(self, first: int, second: int) -> None:
        """Go through the outline by keys; one in four times delete what is there."""
        tree = self.panels.outline.tree
        tree.setFocus()
        for _ in range(first % 5):
            key(tree, (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Right)[second % 3])
        key(tree, Qt.Key.Key_Delete if second % 4 == 0 else Qt.Key.Key_Return)
        self.canvas.setFocus()

    def run(self, first: int, second: int) -> None:
        """Run, or let the worker say something of a node that may be gone."""
        if first % 3 == 0 or not self.desk.workers or not self.desk.worker.runs:
            (self.window.run if second % 3 else self.window.toggle_live)()
            return
        names = [*self.document.workflow.graph.nodes, NodeId("gone"), NodeId("group/denoise")]
        node, say = names[second % len(names)], self.desk.worker.say
        what = first // 3 % 6
        if what == 0:
            say("node", node=node, from_step=second % 5, steps=20)
        elif what == 1:
            say("step", node=node, step=second % 20, steps=20, seconds=0.1)
        elif what == 2:
            say("preview", node=node, step=second % 20, **pixels(2, 2, (9, 9, 9)))
        elif what == 3:
            self.desk.worker.finish(node, ("ran", "cached", "resumed")[second % 3])
        elif what == 4:
            say("failed", node=node, what="fell", where=node, remedy="stand up")
        else:
            self.desk.worker.done(("ok", "failed", "cancelled")[second % 3])

    def panel(self, first: int, second: int) -> None:
        """Show or hide a panel, or change the theme."""
        if second % 5 == 0:
            self.window.toggle_theme()
        else:
            made = list(self.panels.actions_.made.values())
            made[first % len(made)].trigger()
        self.canvas.setFocus()

    def loop(self, first: int, second: int) -> None:
        """Let timers and threads come up."""
        self.desk.qtbot.wait(first % 40)

    def check(self) -> None:
        super().check()
        graph = self.document.workflow.graph
        assert set(self.panels.inspector.ids) <= graph.nodes.keys() or self.canvas.group_path
        model = self.panels.outline.model
        assert model.rowCount() == len(graph.nodes)
        assert self.window.page is not None
        assert self.window.isVisible()


WINDOW = steps(
    ("command", 8), ("drag", 5), ("click", 3), ("history", 3), ("groups", 2),
    ("inspect", 3), ("outline", 2), ("run", 4), ("panel", 1), ("loop", 1),
)  # fmt: skip


def walk_window(desk: Desk, walked: Sequence[Step]) -> None:
    window, _ = desk.opened(TEXT_TO_IMAGE)
    follow(WindowWalk(desk, window), walked)
    desk.close()


@pops_up
@given(walked=WINDOW)
@settings(
    max_examples=2, deadline=None, phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_two_hundred_actions_keep_a_window_of_one_mind(desk: Desk, walked: list[Step]) -> None:
    walk_window(desk, walked)


@pops_up
@pytest.mark.slow
@given(walked=WINDOW)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_many_walks_keep_a_window_of_one_mind(desk: Desk, walked: list[Step]) -> None:
    walk_window(desk, walked)


# --- what walks have found


@pytest.fixture
def canvas(qtbot: QtBot) -> Canvas:
    made = Canvas(Document(registry.load(is_safe=True).types, BASE), Theme.dark())
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    made.frame_all()
    return made


def socket(canvas: Canvas, name: str, port: str, *, is_output: bool) -> QPointF:
    at = canvas.content.nodes[NodeId(name)].socket_pos(port, is_output=is_output)
    assert at is not None
    return QPointF(canvas.mapFromScene(at))


@pops_up
def test_what_a_link_is_drawn_to_may_be_deleted_meanwhile(canvas: Canvas) -> None:
    canvas.select(["decode"])
    start = socket(canvas, "noise", "latents", is_output=True)
    end = socket(canvas, "decode", "latents", is_output=False)
    press(canvas.viewport(), start)
    for share in (0.5, 1.0):
        move(canvas.viewport(), start + (end - start) * share, LEFT)
    key(canvas, Qt.Key.Key_Delete)
    release(canvas.viewport(), end)
    assert "decode" not in canvas.workflow.graph
    assert canvas.document.undo_texts == ["Delete decode"]


@pops_up
def test_words_for_a_note_that_was_undone_meanwhile_go_nowhere(canvas: Canvas) -> None:
    w = edits.note(canvas.workflow, (0, 0), "first")
    canvas.commit(edits.note(w, (0, 400), "second"), "Add notes")
    canvas.editing.edit_box(("notes", 1))
    field = canvas.editing.field.widget
    assert field is not None
    QTest.keyClicks(field, "words")
    canvas.document.undo()
    canvas.commit(edits.note(canvas.workflow, (0, 0), "another"), "Add note")
    canvas.editing.field.finish()
    assert [note.text for note in edits.notes(canvas.workflow)] == ["another"]
    canvas.editing.edit_box(("notes", 0))
    again = canvas.editing.field.widget
    assert again is not None
    QTest.keyClicks(again, "words")
    canvas.editing.field.finish()
    assert [note.text for note in edits.notes(canvas.workflow)] == ["words"]


def test_an_empty_clipboard_pastes_nothing(canvas: Canvas) -> None:
    QApplication.clipboard().clear()
    canvas.commands.paste()
    assert canvas.document.workflow is BASE
