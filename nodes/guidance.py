"""Guidance nodes: the strength of classifier-free guidance over the run, as a description."""

from __future__ import annotations

from typing import Annotated

from studio.errors import NodeError
from studio.graph import NodeKind
from studio.registry import Points, Range, node
from studio.values import Guidance

_FALLING: list[list[float]] = [[0.0, 7.5], [1.0, 3.0]]


@node("guidance_curve", version=1, category="guidance", kind=NodeKind.DESCRIBE)
def guidance_curve(
    points: Annotated[list[list[float]], Points(0, 50)] = _FALLING, smooth: bool = True
) -> Guidance:
    """Guidance that changes over the run.

    An edit that first matters at step k costs only the steps from k on.

      points: The curve: pairs of share of the run (0 … 1) and value. 1 is no guidance, and halves the cost of a step.
      smooth: Go straight from point to point; otherwise each value holds until the next point.
      guidance: The curve.
    """
    # shares and values typed as whole numbers must be the same description
    return Guidance(tuple((float(share), float(value)) for share, value in points), smooth)


@node("guidance_interval", version=1, category="guidance", kind=NodeKind.DESCRIBE)
def guidance_interval(
    value: Annotated[float, Range(0, 50, 0.1)] = 5.0,
    start: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.2,
    end: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.8,
) -> Guidance:
    """Guidance in a limited interval only, 1 (none) outside: cheaper and more varied (Kynkäänniemi et al. 2024).

    value: Guidance inside the interval.
    start: Share of the run at which the interval begins.
    end: Share of the run at which it ends; the step there is outside.
    guidance: The curve.
    """
    if start >= end:
        raise NodeError(f"the interval from {start} to {end} is empty", remedy="let start < end")
    points = [(start, value)] if start == 0 else [(0.0, 1.0), (start, value)]
    if end < 1:
        points.append((end, 1.0))
    return Guidance(tuple(points))
