"""What the canvas costs by hand: ``python -m tests.benchmarks.canvas [200|1000|5000] …``, beside the goals.

Each figure is what the GUI thread computes from the event of a hand to the painted picture, off screen, on the raster
engine, at 1600 x 1000 pixels: its processor time, for wall time on a shared machine tells of the neighbours.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import psutil
import PySide6
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtWidgets import QApplication

from studio import registry
from studio.graph import Graph, Json, Link, Mode, Node, NodeId, Types
from studio.gui import edits
from studio.gui.canvas import Canvas
from studio.gui.document import Document
from studio.gui.theme import Theme
from studio.workflow import Workflow
from tests.gui.hands import move, press, release, wheel

WIDTH, HEIGHT = 1600, 1000
GOALS = {
    "build": 300.0,
    "pan": 8.0,
    "zoom step": 16.0,
    "fit all": 16.0,
    "drag of 50": 16.0,
    "rubber band": 16.0,
}
"""Milliseconds, 95 of 100, with 5,000 nodes."""
LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton


def graph(count: int, types: Types) -> Workflow:
    """``count`` nodes in a grid, one and a half links a node."""
    nodes: dict[NodeId, Node] = {}
    places: dict[str, Json] = {}
    side = round(count**0.5)
    for number in range(count):
        kind = ("latent_blend", "vae_decode", "denoise", "latent_upscale")[number % 4]
        declared = types[kind]
        name = NodeId(f"n_{number}")
        inputs: dict[str, Link] = {}
        ports = [port for port in declared.inputs if port.type.__name__ == "Latents"][
            : 2 - number % 2
        ]
        for step, port in enumerate(ports):
            source = number - 1 - step * side
            while source >= 0 and source % 4 == 1:
                source -= 1
            if source >= 0:
                inputs[port.name] = Link(NodeId(f"n_{source}"), "latents")
        nodes[name] = Node(name, kind, declared.version, declared.defaults(), inputs)
        places[name] = [number % side * 320, number // side * 420]
    return Workflow(graph=Graph(nodes), view={"nodes": places})


def main(counts: Sequence[int]) -> None:
    """Measure each size."""
    app = QApplication.instance() or QApplication([])
    types = registry.load(is_safe=True).types
    print(f"{platform.platform()}, PySide6 {PySide6.__version__}, {os.cpu_count()} cores")
    for count in counts:
        print(f"\n{count} nodes")
        measure(count, types, app.processEvents)


def measure(count: int, types: Types, settle: Callable[[], None]) -> None:
    """Every gesture on a canvas of ``count`` nodes."""
    workflow = graph(count, types)
    before = psutil.Process().memory_info().rss
    began = time.thread_time()
    canvas = Canvas(Document(types, workflow), Theme.dark())
    row("build", [time.thread_time() - began])
    canvas.resize(WIDTH, HEIGHT)
    canvas.show()
    settle()
    port, content = canvas.viewport(), canvas.content
    print(
        f"  links {len(content.links)}, memory +{(psutil.Process().memory_info().rss - before) >> 20} MiB"
    )

    def painted(action: Callable[[], object]) -> float:
        start = time.thread_time()
        action()
        settle()
        return time.thread_time() - start

    def look(zoom: float) -> None:
        canvas.set_zoom(zoom)
        canvas.look_at(content.content_rect().center())
        settle()

    canvas.frame_all()
    # by a pixel: what was painted of the same view is kept
    nudges = [partial(canvas.pan_by, QPoint(1 - 2 * (number % 2), 0)) for number in range(40)]
    row("fit all", [painted(nudge) for nudge in nudges])
    for zoom in (1.0, 0.5, 0.25):
        look(zoom)
        place = QPointF(WIDTH / 2, HEIGHT / 2)
        press(port, place, MIDDLE)
        times = []
        for step in range(60):
            place += QPointF(9 if step < 30 else -9, 5 if step < 30 else -5)
            times.append(painted(partial(move, port, place, MIDDLE)))
        release(port, place, MIDDLE)
        row("pan", times, f"at {zoom:.0%}")
    look(1.0)
    times = [painted(lambda: wheel(port, QPointF(800, 500), -1)) for _ in range(14)]
    times += [painted(lambda: wheel(port, QPointF(800, 500), 1)) for _ in range(14)]
    row("zoom step", times, "100 % … 8 % and back")
    for amount in (1, 50):
        look(1.0 if amount == 1 else 0.35)
        seen = canvas.seen_rect()
        inside = sorted(
            content.nodes_in(seen), key=lambda name: _distance(canvas, name, seen.center())
        )
        names = inside[:amount]
        canvas.select(names)
        place = QPointF(canvas.mapFromScene(content.nodes[names[0]].pos() + QPointF(60, 12)))
        press(port, place)
        times = []
        for step in range(60):
            place += QPointF(7 if step < 30 else -7, 3 if step < 30 else -3)
            times.append(painted(partial(move, port, place, LEFT)))
        release(port, place)
        row(f"drag of {amount}", times, f"at {canvas.zoom:.0%}")
    canvas.frame_all()
    canvas.select([])
    settle()
    whole = QRectF(port.rect())
    press(port, QPointF(2, 2))
    times = []
    for step in range(40):
        at = QPointF(whole.width() * step / 80 + 20, whole.height() * step / 40 + 20)
        times.append(painted(partial(move, port, at, LEFT)))
    release(port, at)
    row("rubber band", times, f"{len(content.selection)} selected")
    look(1.0)
    document = canvas.document
    modes: tuple[Mode, Mode] = ("mute", "normal")

    def toggle(mode: Mode) -> None:
        document.edit(edits.set_mode(document.workflow, names[:1], mode), "Mute")

    times = [painted(partial(toggle, modes[number % 2])) for number in range(20)]
    row("edit of a node", times)


def _distance(canvas: Canvas, name: NodeId, point: QPointF) -> float:
    return (canvas.content.nodes[name].scene_rect.center() - point).manhattanLength()


def row(what: str, seconds: Sequence[float], detail: str = "") -> None:
    """Print median and 95th of 100, and the goal."""
    ordered = sorted(one * 1e3 for one in seconds)
    high = ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))]
    goal = f"goal {GOALS[what]:.0f}" if what in GOALS else ""
    print(f"  {what:<16} {statistics.median(ordered):8.1f} ms  p95 {high:8.1f}  {goal:<9} {detail}")


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    main([int(one) for one in sys.argv[1:]] or [200, 1000, 5000])
