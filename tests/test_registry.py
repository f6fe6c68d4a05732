"""A signature is a schema; a pack whose signatures are none is refused by name, and it only."""

from __future__ import annotations

import importlib.metadata
import itertools
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import pytest

from studio import registry
from studio.errors import PackError
from studio.graph import Hint, Json, NodeKind, NodeType, ParamKind, Value
from studio.registry import (
    Chain,
    Choice,
    Context,
    File,
    ModelName,
    Multiline,
    Numbers,
    Output,
    Planning,
    Points,
    Range,
    Registry,
    Seed,
    Spec,
    Strokes,
    node,
    node_type,
)
from studio.values import (
    Boolean,
    Image,
    Integer,
    Latents,
    Mask,
    Number,
    Sigmas,
    State,
    Text,
    TextEncoder,
)

ROOT = Path(__file__).parent.parent


def declared(implementation: object) -> NodeType:
    found = node_type(implementation)
    assert found is not None
    return found


# --- declaration


@node("all_kinds", version=3, category="test", aliases=["everything"], is_output=True)
def all_kinds(
    image: Image,
    mask: Mask | None = None,
    switch: bool = True,
    count: Annotated[int, Range(2, 10, step=2, unit="steps")] = 2,
    share: Annotated[float, Range(0, 1)] = 1,
    prompt: Annotated[str, Multiline()] = "",
    weights: Annotated[list[float], Numbers()] = [],  # noqa: B006 - read as a schema
    note: str | None = None,
    seed: Annotated[int | None, Seed()] = None,
    either: Annotated[str, Choice("a", "b")] | None = "a",
) -> Annotated[Mask, Output("edges")]:
    """All kinds of parameters.

    image: the picture
    count: how many
    """
    raise AssertionError("only declared")


def test_a_signature_gives_ports() -> None:
    inputs = declared(all_kinds).inputs
    assert [(p.name, p.type, p.optional, p.help) for p in inputs] == [
        ("image", Image, False, "the picture"),
        ("mask", Mask, True, ""),
    ]


def test_a_signature_gives_parameters_of_every_kind() -> None:
    assert [(p.name, p.kind, p.default, p.nullable) for p in declared(all_kinds).params] == [
        ("switch", ParamKind.BOOL, True, False),
        ("count", ParamKind.INT, 2, False),
        ("share", ParamKind.FLOAT, 1.0, False),
        ("prompt", ParamKind.TEXT, "", False),
        ("weights", ParamKind.LIST, [], False),
        ("note", ParamKind.TEXT, None, True),
        ("seed", ParamKind.INT, None, True),
        ("either", ParamKind.TEXT, "a", True),
    ]


def test_parameters_save_lists_take_links_by_their_kind() -> None:
    found = declared(all_kinds)
    assert {param.name: param.takes for param in found.params} == {
        "switch": Boolean,
        "count": Integer,
        "share": Number,
        "prompt": Text,
        "weights": None,
        "note": Text,
        "seed": Integer,
        "either": Text,
    }
    count, weights = found.socket("count"), found.socket("weights")
    assert count is not None
    assert (count.name, count.type, count.optional, count.help) == (
        "count",
        Integer,
        True,
        "how many",
    )
    assert weights is None
    assert found.socket("image") is found.input("image")
    assert [port.name for port in found.sockets[:3]] == ["image", "mask", "switch"]


def test_a_node_that_has_to_run_cannot_give_a_value_for_parameters() -> None:
    def late() -> Integer:
        """Known too late."""
        raise AssertionError("only declared")

    with pytest.raises(
        PackError, match="late: gives Integer, which has to be known while planning"
    ):
        node("late", version=1, category="test")(late)
    soon = node("soon", version=1, category="test", kind=NodeKind.DESCRIBE)(late)
    assert declared(soon).outputs[0].type is Integer


@pytest.mark.parametrize(
    ("type_id", "title"),
    [
        ("vae_decode", "VAE decode"),
        ("load_vae", "Load VAE"),
        ("load_controlnet", "Load ControlNet"),
        ("clip_vision", "CLIP vision"),
        ("all_kinds", "All kinds"),
    ],
)
def test_titles_are_spelt_as_the_field_spells_them(type_id: str, title: str) -> None:
    assert replace(declared(all_kinds), id=type_id).title == title


def test_a_whole_default_of_a_number_becomes_a_float() -> None:
    assert type(declared(all_kinds).defaults()["share"]) is float


def test_hints_and_help_come_along() -> None:
    count = declared(all_kinds).param("count")
    assert count is not None
    assert count.hint == Range(2, 10, step=2, unit="steps")
    assert count.help == "how many"


def test_the_rest_of_the_declaration() -> None:
    found = declared(all_kinds)
    assert (found.id, found.version, found.category) == ("all_kinds", 3, "test")
    assert found.kind is NodeKind.COMPUTE
    assert found.aliases == ("everything",)
    assert found.is_output
    assert not found.wants_context
    assert found.implementation is all_kinds
    assert found.title == "All kinds"
    assert found.summary == "All kinds of parameters."


def test_an_output_can_be_named() -> None:
    assert [(p.name, p.type) for p in declared(all_kinds).outputs] == [("edges", Mask)]


def test_an_output_without_a_name_is_called_by_its_type() -> None:
    @node("encoder", version=1, category="test", kind=NodeKind.DESCRIBE)
    def encoder() -> TextEncoder:
        """An encoder."""
        raise AssertionError("only declared")

    assert [p.name for p in declared(encoder).outputs] == ["text_encoder"]
    assert declared(encoder).kind is NodeKind.DESCRIBE


class Parts(NamedTuple):
    latents: Latents
    mask: Mask


@node("parts", version=1, category="test")
def parts(ctx: Context) -> Parts:
    """Two outputs."""
    raise AssertionError("only declared")


def test_a_named_tuple_gives_several_outputs() -> None:
    assert [(p.name, p.type) for p in declared(parts).outputs] == [
        ("latents", Latents),
        ("mask", Mask),
    ]


def test_the_context_is_no_port() -> None:
    assert declared(parts).inputs == ()
    assert declared(parts).wants_context


@node("walk", version=1, category="test")
class Walk:
    """A walk."""

    def chain(
        self, latents: Latents, ctx: Planning, steps: Annotated[int, Range(1, 9)] = 3
    ) -> Sequence[Chain]:
        raise AssertionError("only declared")

    def start(self, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        raise AssertionError("only declared")

    def finish(self, states: list[State]) -> Latents:
        raise AssertionError("only declared")


def test_a_class_is_a_loop_with_the_signature_of_its_chain() -> None:
    found = declared(Walk)
    assert found.kind is NodeKind.LOOP
    assert [p.name for p in found.inputs] == ["latents"]
    assert found.defaults() == {"steps": 3}
    assert [p.name for p in found.outputs] == ["latents"]
    assert found.wants_context
    assert isinstance(found.implementation, Walk)


def test_a_declared_function_stays_the_function_it_was() -> None:
    @node("same", version=1, category="test")
    def same(levels: Annotated[int, Range(1, 9)] = 2) -> Sigmas:
        """Levels."""
        return Sigmas((1.0,) * levels)

    assert same(3) == Sigmas((1.0, 1.0, 1.0))


def test_results_are_named_by_the_output_ports() -> None:
    latents, mask = Latents.__new__(Latents), Mask.__new__(Mask)
    assert registry.outputs(declared(parts), Parts(latents, mask)) == {
        "latents": latents,
        "mask": mask,
    }
    assert registry.outputs(declared(all_kinds), mask) == {"edges": mask}
    with pytest.raises(TypeError, match="all_kinds gave Latents as edges"):
        registry.outputs(declared(all_kinds), latents)


# --- hints


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (Range(0, 30), 30.0, None),
        (Range(0, 30), 30.5, "30.5 is outside 0 … 30"),
        (Range(-1, 1, unit="EV"), -2, "-2 is outside -1 … 1 EV"),
        (Range(0, 100, step=8), 12, "12 is not a multiple of 8"),
        (Range(0, 100, step=8), 16, None),
        (Seed(), 2**64 - 1, None),
        (Seed(), 2**64, "18446744073709551616 is outside 0 … 18446744073709551615"),
        (Seed(), -1, "-1 is outside 0 … 18446744073709551615"),
        (Choice("a", "b"), "b", None),
        (Choice("a", "b"), "c", '"c" is not one of a | b'),
        (Multiline(), "x\ny", None),
        (ModelName(), "starter", None),
        (File((".png",)), "a.png", None),
        (Numbers(), [1, 2.5], None),
        (Numbers(), [1, "x"], "entry 1 is not a finite number"),
        (Numbers(), [float("inf")], "entry 0 is not a finite number"),
        (Numbers(), [True], "entry 0 is not a finite number"),
        (Points(0, 30), [[0, 1], [0.5, 30.0]], None),
        (Points(0, 30), [], "a curve needs a point"),
        (Points(0, 30), [[0, 1, 2]], "point 0 is not a pair [share, value]"),
        (Points(0, 30), [[0, 1], [0, 2]], "point 1: shares must rise from 0 to 1"),
        (Points(0, 30), [[1.5, 1]], "point 0: shares must rise from 0 to 1"),
        (Points(0, 30), [[0, 31]], "point 0: 31 is outside 0 … 30"),
        (Strokes(), [{"points": [[0, 0.5]], "radius": 0.1}], None),
        (Strokes(), [3], "stroke 0: is not an object"),
        (Strokes(), [{"points": [], "radius": 1}], 'stroke 0: "points" is not a list of [x, y]'),
        (Strokes(), [{"points": [[0]], "radius": 1}], 'stroke 0: "points" is not a list of [x, y]'),
        (Strokes(), [{"points": [[0, 0]]}], 'stroke 0: "radius" is not a number in (0, 4]'),
        (
            Strokes(),
            [{"points": [[0, 0]], "radius": 1, "hardness": 2}],
            'stroke 0: "hardness" is not a number in [0, 1]',
        ),
        (
            Strokes(),
            [{"points": [[0, 0]], "radius": 1, "erase": 1}],
            'stroke 0: "erase" is not true or false',
        ),
        (Strokes(), [{"points": [[0, 0]], "radius": 1, "odd": 1}], "stroke 0: unknown field 'odd'"),
    ],
)
def test_a_hint_says_what_is_wrong_with_a_value(
    hint: Hint, value: Json, problem: str | None
) -> None:
    assert hint.problem(value) == problem


# --- packs

PREAMBLE = """
from typing import Annotated
from studio.registry import node, Range
from studio.values import Latents
"""
GOOD = '''
@node("{name}", version=1, category="test")
def {name}(latents: Latents, share: Annotated[float, Range(0, 1)] = 0.5) -> Latents:
    """A sound node."""
    return latents
'''

MakePack = Callable[[str], importlib.metadata.EntryPoint]
_numbers = itertools.count()


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePack:
    """Makes an entry point to a new module with the given source."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def make(source: str) -> importlib.metadata.EntryPoint:
        name = f"pack_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(PREAMBLE + textwrap.dedent(source), encoding="utf-8")
        return importlib.metadata.EntryPoint(name, name, registry.ENTRY_POINTS)

    return make


def test_a_sound_pack_is_loaded_and_its_types_know_it(pack: MakePack) -> None:
    point = pack(GOOD.format(name="mine"))
    found = registry.assemble([point])
    assert found.refused == ()
    assert found.types["mine"].pack == point.name


BAD = {
    "no docstring": (
        """
        @node("bad", version=1, category="x")
        def bad(latents: Latents) -> Latents:
            return latents
        """,
        ", node bad: has no docstring; say what the node does",
    ),
    "no annotation": (
        '''
        @node("bad", version=1, category="x")
        def bad(latents) -> Latents:
            """Bad."""
        ''',
        ", node bad: argument latents has no annotation",
    ),
    "no default": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: int) -> Latents:
            """Bad."""
        ''',
        ", node bad: parameter steps has no default",
    ),
    "default out of range": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: Annotated[int, Range(1, 9)] = 10) -> Latents:
            """Bad."""
        ''',
        ", node bad: default of steps: 10 is outside 1 … 9",
    ),
    "default of another type": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: int = 1.5) -> Latents:
            """Bad."""
        ''',
        ", node bad: default of steps: 1.5 is not a whole number",
    ),
    "odd type": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: complex = 1j) -> Latents:
            """Bad."""
        ''',
        ", node bad: argument steps is neither a port nor a parameter",
    ),
    "union": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: int | str = 1) -> Latents:
            """Bad."""
        ''',
        ", node bad: argument steps is neither a port nor a parameter",
    ),
    "no return": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: int = 1):
            """Bad."""
        ''',
        ", node bad: has no return annotation",
    ),
    "odd return": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: int = 1) -> int:
            """Bad."""
        ''',
        ", node bad: returns neither a value nor a NamedTuple of values",
    ),
    "unknown name in an annotation": (
        '''
        @node("bad", version=1, category="x")
        def bad(steps: "Nowhere" = 1) -> Latents:
            """Bad."""
        ''',
        ", node bad: has an annotation that cannot be read (name 'Nowhere' is not defined)",
    ),
    "two of one id": (
        '''
        @node("bad", version=1, category="x")
        def one(steps: int = 1) -> Latents:
            """Bad."""

        @node("bad", version=1, category="x")
        def two(steps: int = 1) -> Latents:
            """Bad."""
        ''',
        ": declares bad twice",
    ),
    "id of another pack": (GOOD.format(name="first"), ": declares first, which pack "),
    "import error": ("import nowhere_at_all", ": cannot be imported: ModuleNotFoundError: No "),
    "syntax error": ("def (", ": cannot be imported: SyntaxError"),
    "error at import": ("1 / 0", ": cannot be imported: ZeroDivisionError: division by zero"),
    "exit at import": ("raise SystemExit(3)", ": cannot be imported: SystemExit: 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_pack_is_refused_by_name_and_the_others_load(pack: MakePack, case: str) -> None:
    source, message = BAD[case]
    first, bad, last = pack(GOOD.format(name="first")), pack(source), pack(GOOD.format(name="last"))
    found = registry.assemble([first, bad, last])
    assert found.types.keys() == {"first", "last"}
    [refused] = found.refused
    assert isinstance(refused, PackError)
    assert str(refused).startswith(f"pack {bad.name}{message}")


def test_a_lazy_object_in_a_pack_is_left_alone(pack: MakePack) -> None:
    source = """
    class Lazy:
        def __getattr__(self, name):
            raise RuntimeError(name)
    lazy = Lazy()
    """
    found = registry.assemble([pack(textwrap.dedent(source) + GOOD.format(name="mine"))])
    assert found == Registry({"mine": found.types["mine"]})


def test_an_entry_point_that_is_no_module_is_refused(pack: MakePack) -> None:
    point = pack("answer = 42")
    odd = importlib.metadata.EntryPoint("odd", f"{point.value}:answer", point.group)
    found = registry.assemble([odd, pack(GOOD.format(name="mine"))])
    assert found.types.keys() == {"mine"}
    assert [str(error) for error in found.refused] == ["pack odd: is not a module"]


def test_importing_does_not_leave_the_guard_behind(pack: MakePack) -> None:
    before = list(sys.meta_path)
    registry.assemble([pack("1 / 0"), pack("x = 1")])
    assert sys.meta_path == before


def run_python(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(folder: Path, distribution: str, name: str, source: str) -> None:
    """What an installed distribution leaves: a module, and metadata with an entry point."""
    module = f"nodes_of_{name}"
    (folder / f"{module}.py").write_text(PREAMBLE + source, encoding="utf-8")
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        f"[{registry.ENTRY_POINTS}]\n{name} = {module}\n", encoding="utf-8"
    )


@pytest.mark.parametrize("heavy", ["torch", "torch.nn.functional", "diffusers", "transformers"])
def test_a_pack_that_imports_torch_at_module_level_is_refused(tmp_path: Path, heavy: str) -> None:
    install(tmp_path, "emulsion", "core", GOOD.format(name="core_node"))
    install(tmp_path, "heavy", "heavy", f"import {heavy}\n" + GOOD.format(name="slow"))
    out = run_python(
        tmp_path,
        """
        import sys
        from studio import registry
        found = registry.load()
        print(sorted(found.types), *found.refused, "torch" in sys.modules)
        """,
    )
    package = heavy.partition(".")[0]
    assert out.strip() == (
        f"['core_node'] pack heavy: imports {package} at module level; "
        "import it inside the node's function False"
    )


def test_the_core_comes_first_and_safe_mode_loads_nothing_else(tmp_path: Path) -> None:
    install(tmp_path, "emulsion", "core", GOOD.format(name="shared"))
    install(tmp_path, "aaa", "aaa", GOOD.format(name="shared"))
    install(tmp_path, "bbb", "bbb", GOOD.format(name="other"))
    out = run_python(
        tmp_path,
        """
        import sys
        from studio import registry
        safe = registry.load(is_safe=True)
        print(sorted(safe.types), safe.refused, "nodes_of_bbb" in sys.modules)
        found = registry.load()
        print(sorted(found.types), *found.refused)
        """,
    )
    assert out.splitlines() == [
        "['shared'] () False",
        "['other', 'shared'] pack aaa: declares shared, which pack core has already",
    ]


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("steps", 1, "step"),
        ("steps", 2, "steps"),
        ("steps", 0, "steps"),
        ("batches", 1, "batch"),
        ("px", 1, "px"),
        ("s", 1.0, "s"),
        ("", 1, ""),
    ],
)
def test_the_unit_behind_one_is_singular(unit: str, value: float, shown: str) -> None:
    assert Range(0, 10, unit=unit).unit_of(value) == shown
