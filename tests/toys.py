"""Node types without torch for the tests of planning and running: they count how often they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, cast

from studio.errors import NodeError
from studio.graph import Key, NodeKind, NodeType, Ref, Value
from studio.registry import Chain, Context, Planning, Range, Spec, node, node_type
from studio.values import Delivered, Picture, State


@dataclass(frozen=True)
class Number(Value):
    """A result."""

    value: float


@dataclass(frozen=True)
class Recipe(Value):
    """A description."""

    steps: int
    late: float


@dataclass(frozen=True)
class Handed(Delivered):
    """What an output node describes: complete once the number is there."""

    number: Ref | Number

    @property
    def sha256(self) -> tuple[str, ...]:
        assert isinstance(self.number, Number)
        return (str(self.number.value),)


class Walked(NamedTuple):
    """What a patient walk gives: a result, and a description known before."""

    number: Number
    recipe: Recipe


@dataclass
class Toys:
    """The node types of the tests, and how often each ran."""

    ran: Counter[str] = field(default_factory=Counter)
    at_step: dict[int, object] = field(default_factory=dict)
    """What to call when the walk is about to take a step."""

    def types(self) -> dict[str, NodeType]:
        """The declared types by id."""
        declared = [*_functions(self), _walk(self), _patient(self)]
        found = [node_type(one) for one in declared]
        return {one.id: one for one in found if one is not None}


def _functions(toys: Toys) -> list[object]:
    @node("number", version=1, category="toy")
    def number(value: Annotated[float, Range(-1e9, 1e9)] = 0.0) -> Number:
        """A number."""
        toys.ran["number"] += 1
        return Number(value)

    @node("add", version=1, category="toy")
    def add(a: Number, b: Number, ctx: Context) -> Number:
        """The sum of two numbers."""
        ctx.progress(1, 1)
        toys.ran["add"] += 1
        return Number(a.value + b.value)

    @node("fail", version=1, category="toy")
    def fail(a: Number, how: str = "error") -> Number:
        """Fails."""
        toys.ran["fail"] += 1
        if how == "error":
            raise NodeError("cannot go on", remedy="try something else")
        raise ZeroDivisionError("by nothing")

    @node("recipe", version=1, category="toy", kind=NodeKind.DESCRIBE)
    def recipe(
        steps: Annotated[int, Range(0, 100)] = 10, late: Annotated[float, Range(0, 9)] = 1.0
    ) -> Recipe:
        """How to walk."""
        return Recipe(steps, late)

    @node("show", version=1, category="toy", is_output=True)
    def show(number: Number) -> Picture:
        """Shows a number."""
        toys.ran["show"] += 1
        return Picture("number", ".txt", (str(number.value).encode(),), ("0",))

    @node("show_recipe", version=1, category="toy", is_output=True)
    def show_recipe(recipe: Recipe) -> Picture:
        """Shows a description."""
        return Picture("recipe", ".txt", (str(recipe.steps).encode(),), ("0",))

    @node("hand_over", version=1, category="toy", kind=NodeKind.DESCRIBE, is_output=True)
    def hand_over(number: Number) -> Handed:
        """Hands a number over without storing it twice."""
        return Handed(cast("Ref", number))

    return [number, add, fail, recipe, show, show_recipe, hand_over]


def _walk(toys: Toys) -> object:
    @node("walk", version=1, category="toy")
    class Walk:
        """Adds ``start`` once, then 1 a step, and ``recipe.late`` in each step from ``window`` on."""

        def chain(
            self,
            start: Number,
            recipe: Recipe,
            ctx: Planning,
            extra: Number | None = None,
            window: Annotated[int, Range(0, 100)] = 5,
            batch: Annotated[int, Range(1, 4)] = 1,
        ) -> list[Chain]:
            limit = ctx.known(limit_of, recipe.steps)
            chains = []
            for item in range(batch):
                steps = []
                for index in range(min(recipe.steps, int(str(limit)))):
                    given = cast("Ref | None", extra)  # a result that is not there yet
                    uses = {"extra": given} if given and index >= window else {}
                    late = recipe.late if index >= window else 0.0
                    steps.append(Spec({"late": late}, uses, {"index": index}))
                begin = Spec({"item": item}, {"start": cast("Ref", start)})
                chains.append(Chain(begin, tuple(steps)))
            return chains

        def passes(self, arguments: Mapping[str, object]) -> int:
            recipe = arguments["recipe"]
            assert isinstance(recipe, Recipe)
            return recipe.steps

        def start(self, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
            start, item = inputs["start"], spec.params["item"]
            assert isinstance(start, Number)
            assert isinstance(item, int)
            return State({"sum": start.value + item})

        def step(
            self, state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context
        ) -> State:
            action = toys.at_step.get(int(str(spec.unhashed["index"])))
            if callable(action):
                action()
            toys.ran["step"] += 1
            total, late = state.data["sum"], spec.params["late"]
            assert isinstance(total, float)
            assert isinstance(late, float)
            extra = inputs.get("extra")
            more = extra.value if isinstance(extra, Number) else 0.0
            return State({"sum": total + 1 + late + more})

        def finish(self, states: Sequence[State], ctx: Context) -> Number:
            toys.ran["walk"] += 1
            return Number(sum(float(str(state.data["sum"])) for state in states))

        def preview(self, state: State) -> Value | None:
            return Number(float(str(state.data["sum"])))

    return Walk


def limit_of(steps: int) -> int:
    """A fact that a chain needs."""
    return steps


def _patient(toys: Toys) -> object:
    @node("patient", version=1, category="toy")
    class Patient:
        """Adds 1 a step; a state is stored every 4 steps and, between, is an object at work."""

        def chain(
            self,
            ctx: Planning,
            steps: Annotated[int, Range(0, 100)] = 10,
            lasting: Annotated[int, Range(0, 100)] = 0,
        ) -> list[Chain]:
            specs = []
            for first in range(0, steps, 4):
                last = min(first + 4, steps)
                specs.append(
                    Spec({"first": first}, calls=2, count=last - first, is_lasting=last == lasting)
                )
            return [Chain(Spec({}, is_lasting=False), tuple(specs))]

        def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
            return {"recipe": Recipe(cast("int", arguments["steps"]), 0.0)}

        def passes(self, arguments: Mapping[str, object]) -> int:
            return cast("int", arguments["steps"])

        def start(self, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
            return State({"live": [0.0]})

        def step(
            self, state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context
        ) -> State:
            live = state.data.get("live")
            if not isinstance(live, list):
                live = [float(str(state.data["frozen"]))]
            action = toys.at_step.get(int(live[0]))
            if callable(action):
                action()
            toys.ran["step"] += 1
            live[0] += 1
            ctx.measure({"sum": live[0]})
            return State({"live": live})

        def freeze(self, state: State, ctx: Context) -> State:
            live = state.data["live"]
            return State({"frozen": live[0]}) if isinstance(live, list) else state

        def finish(self, states: Sequence[State], ctx: Context) -> Walked:
            toys.ran["walk"] += 1
            data = states[0].data
            live = data.get("live")
            total = live[0] if isinstance(live, list) else data["frozen"]
            return Walked(Number(cast("float", total)), cast("Recipe", None))

        def preview(self, state: State) -> Value | None:
            return None

    return Patient
