"""What the nodes of a run measure, step by step: kept for curves, so that long ones paint as fast as short ones."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SPAN_SHARE = 1 / 50
"""Of all steps: over how many the mean that runs along goes."""
_SPANS = (10, 1000)


class Series:
    """Numbers by step, steps rising, with a mean that runs along.

    The mean is exponential and without bias, as Adam's (Kingma & Ba 2015, algorithm 1): m_t = beta m_(t-1) + (1 - beta)
    x_t, and the mean is m_t / (1 - beta^t), with beta = 1 - 1 / ``span``.
    """

    def __init__(self, span: int = _SPANS[0]) -> None:
        self.steps = array("q")
        self.values = array("d")
        self.means = array("d")
        self._beta = 1.0 - 1.0 / span
        self._lows: list[array[float]] = []
        """The least of every 2 numbers, of every 4, 8 …; those that are not complete are not there yet."""
        self._highs: list[array[float]] = []

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: int, value: float) -> None:
        """Add a number; what was there at this step and later is forgotten."""
        if self.steps and step <= self.steps[-1]:
            self.cut(step - 1)
        count = len(self.values)
        former = self.means[-1] * (1.0 - self._beta**count) if count else 0.0
        mean = self._beta * former + (1.0 - self._beta) * value
        self.steps.append(step)
        self.values.append(value)
        self.means.append(mean / (1.0 - self._beta ** (count + 1)))
        self._pair()

    def _pair(self) -> None:
        """Complete the pairs, and the pairs of pairs, that the last number completes."""
        lows, highs = self.values, self.values
        level = 0
        while len(lows) % 2 == 0:
            if level == len(self._lows):
                self._lows.append(array("d"))
                self._highs.append(array("d"))
            self._lows[level].append(min(lows[-1], lows[-2]))
            self._highs[level].append(max(highs[-1], highs[-2]))
            lows, highs = self._lows[level], self._highs[level]
            level += 1

    def cut(self, step: int) -> None:
        """Forget what came after a step."""
        count = bisect_right(self.steps, step)
        for numbers in (self.steps, self.values, self.means):
            del numbers[count:]
        for level, (lows, highs) in enumerate(zip(self._lows, self._highs, strict=True), 1):
            del lows[count >> level :]
            del highs[count >> level :]

    def fill(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Put numbers before the first and behind the last; those between are there already."""
        known = list(zip(self.steps, self.values, strict=True))
        given = list(zip(steps, values, strict=True))
        if known:
            first, last = known[0][0], known[-1][0]
            before = [one for one in given if one[0] < first]
            known = [*before, *known, *(one for one in given if one[0] > last)]
        self.cut(-1)
        for step, value in known or given:
            self.add(step, value)

    # --- for painting

    def blocks(self, most: int) -> Iterator[tuple[int, int, float, float]]:
        """At most ``most`` + 32 blocks: the first index, the index behind it, the least and the greatest number."""
        count = len(self.values)
        level = 0
        while (count >> level) > most:
            level += 1
        lows = self._lows[level - 1] if level else self.values
        highs = self._highs[level - 1] if level else self.values
        for place, (low, high) in enumerate(zip(lows, highs, strict=True)):
            yield place << level, (place + 1) << level, low, high
        # what is not enough for a block of that size yet, in the smaller ones
        begin = len(lows) << level
        for smaller in range(level - 1, -1, -1):
            if count - begin >= 1 << smaller:
                place = begin >> smaller
                low = self._lows[smaller - 1][place] if smaller else self.values[place]
                high = self._highs[smaller - 1][place] if smaller else self.values[place]
                yield begin, begin + (1 << smaller), low, high
                begin += 1 << smaller

    def extent(self) -> tuple[float, float] | None:
        """The least and the greatest number; None of none."""
        blocks = list(self.blocks(1))
        if not blocks:
            return None
        return min(block[2] for block in blocks), max(block[3] for block in blocks)

    def nearest(self, step: float) -> int | None:
        """The index of the number whose step is nearest; None of none."""
        if not self.steps:
            return None
        after = bisect_left(self.steps, step)
        near = [index for index in (after - 1, after) if 0 <= index < len(self.steps)]
        return min(near, key=lambda index: abs(self.steps[index] - step))

    def at(self, step: int) -> int | None:
        """The index of the last number up to a step; None where there is none."""
        behind = bisect_right(self.steps, step)
        return behind - 1 if behind else None


@dataclass
class Record:
    """What one node has measured."""

    key: str = ""
    """Of the result that it measured itself for."""
    steps: int = 0
    """Of the node in all; 0 where that is not known."""
    figures: Mapping[str, object] = field(default_factory=dict)
    """What the result itself says, by name, for where no steps are known."""
    series: dict[str, Series] = field(default_factory=dict)
    """By the name of what is measured, in the order of their coming."""

    @property
    def first(self) -> int:
        """The first step of which anything is known; 0 where nothing is."""
        return min((one.steps[0] for one in self.series.values() if one), default=0)

    @property
    def last(self) -> int:
        """The last step of which anything is known; 0 where nothing is."""
        return max((one.steps[-1] for one in self.series.values() if one), default=0)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Take what was measured in a step."""
        for name, value in values.items():
            self._of(name).add(step, value)

    def cut(self, step: int) -> None:
        """Forget what came after a step."""
        for series in self.series.values():
            series.cut(step)

    def fill(self, name: str, steps: Sequence[int], values: Sequence[float]) -> None:
        """Put what was measured earlier before what is there, and what was measured later behind it."""
        self._of(name).fill(steps, values)

    def _of(self, name: str) -> Series:
        if name not in self.series:
            least, most = _SPANS
            self.series[name] = Series(min(max(round(self.steps * SPAN_SHARE), least), most))
        return self.series[name]


class Measures:
    """What the nodes of one document have measured last, by flat id."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._begun: dict[str, tuple[str, int]] = {}
        """Of the nodes that run and have measured nothing yet: key and all steps."""

    def event(self, event: Mapping[str, object]) -> None:
        """Take in an event of a run."""
        name, node = event.get("event"), str(event.get("node", ""))
        if name == "started":
            self._begun.clear()
        elif name == "node":
            key, steps = event.get("key"), event.get("steps")
            if isinstance(steps, int):
                self._begun[node] = (str(key or ""), steps)
        elif name == "measured":
            step, values = event.get("step"), event.get("values")
            if isinstance(step, int) and isinstance(values, Mapping):
                self._record(node, step).add(step, numbers(values))

    def _record(self, node: str, step: int) -> Record:
        """Where the numbers of a step go: what was measured for another result, or later, gives way to the first."""
        begun = self._begun.pop(node, None)
        record = self.records.get(node)
        if begun is not None:
            key, steps = begun
            if record is None or not key or record.key != key:
                record = self.records[node] = Record(key, steps)
            else:
                record.cut(step - 1)
        elif record is None:
            record = self.records[node] = Record()
        return record

    def stored(self, event: Mapping[str, object], *, is_running: bool = False) -> None:
        """Take in what the worker has found in the store of what a node once measured.

        ``is_running``: the node measures just now, and what is told of another result is out of date.
        """
        node, key, found = (
            str(event.get("node", "")),
            str(event.get("key", "")),
            event.get("series"),
        )
        steps, figures = event.get("steps"), event.get("figures")
        if not isinstance(found, Mapping) or not isinstance(figures, Mapping):
            return
        if not isinstance(steps, int) or not (found or figures):
            return
        record = self.records.get(node)
        if record is None or record.key != key:
            if is_running and record is not None:
                return
            record = self.records[node] = Record(key, steps)
        record.figures = figures
        for name, series in found.items():
            if isinstance(series, Mapping):
                at, values = series.get("steps"), series.get("values")
                if isinstance(at, list) and isinstance(values, list) and len(at) == len(values):
                    record.fill(str(name), at, values)


def numbers(values: Mapping[object, object]) -> dict[str, float]:
    """Those of the values that are numbers."""
    return {
        str(name): float(value) for name, value in values.items() if isinstance(value, int | float)
    }
