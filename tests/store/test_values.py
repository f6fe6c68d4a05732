"""Values: what comes back from disk as it was put, and what is refused."""

import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.graph import Key, Ref, Value
from studio.store import Store
from studio.values import (
    Conditioning,
    Embedding,
    Image,
    Latents,
    Mask,
    Model,
    ModelRef,
    Picture,
    Span,
    State,
)
from tests.store.entries import bits, file_of, key, latents, same, stored


@dataclass(frozen=True)
class Palette(Value):
    """A value of a third-party pack."""

    colours: Mapping[str, tuple[int, int, int]]
    weights: torch.Tensor | None = None


REF = ModelRef("starter", "unet", "d" * 64, ((ModelRef("ink", "lora", "e" * 64), 0.1),))


VALUES: dict[str, Value] = {
    "latents": Latents(torch.randn(2, 4, 8, 8), "sdxl"),
    "image": Image(torch.rand(1, 3, 9, 7)),
    "mask": Mask(torch.rand(1, 1, 5, 6)),
    "embedding": Embedding(torch.randn(1, 77, 32), torch.randn(1, 16), (49406, 320, 49407)),
    "unpooled": Embedding(torch.randn(1, 7, 4)),
    "picture": Picture("a", ".png", (b"\x89PNG\r\n", b""), ("00", "11")),
    "palette": Palette({"sky": (1, 2, 3)}, torch.ones(3, dtype=torch.int8)),
    "model": Model(
        REF, "starter", "starter", 4, 4, 8, 128, {"_class_name": "DDIMScheduler", "betas": [0.1]}
    ),
    "conditioning": Conditioning(
        (Span(Ref(key(1), "out"), 0.0, 0.3), Span(Embedding(torch.ones(1, 2, 3))))
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_every_kind_of_value_comes_back_from_disk(tmp_path: Path, name: str) -> None:
    entry = {name: VALUES[name]}
    assert same(stored(tmp_path, entry), entry)


def test_several_outputs_of_an_entry_come_back(tmp_path: Path) -> None:
    entry = {name: VALUES[name] for name in sorted(VALUES)}
    assert same(stored(tmp_path, entry), entry)


def test_an_entry_without_outputs_comes_back(tmp_path: Path) -> None:
    assert stored(tmp_path, {}) == {}


DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64,
    torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex32, torch.complex64,
    torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
]  # fmt: skip


floats = st.floats() | st.sampled_from([-0.0, math.nan, -math.nan, math.inf, 5e-324])


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=2**200)
    | floats
    | st.text()
    | st.binary()
    | st.complex_numbers()
)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of any dtype and bits, 0 to 3 axes of 0 to 4, some transposed, strided or expanded."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    size = math.prod(shape) * dtype.itemsize
    raw = bytearray(draw(st.binary(min_size=size, max_size=size)))
    if dtype is torch.bool:
        raw = bytearray(byte & 1 for byte in raw)
    tensor = (
        torch.frombuffer(raw, dtype=dtype).reshape(shape)
        if size
        else torch.empty(shape, dtype=dtype)
    )
    view = draw(st.sampled_from(["as it is", "transposed", "every other", "expanded"]))
    if view == "transposed":
        return tensor.permute(tuple(reversed(range(tensor.ndim))))
    if view == "every other" and tensor.ndim:
        return tensor[::2]
    return tensor.expand(3, *tensor.shape) if view == "expanded" else tensor


nested = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner, max_size=3)
        | st.builds(State, st.dictionaries(st.text(), inner, max_size=2))
    ),
    max_leaves=10,
)


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@settings(max_examples=150, deadline=None)
@given(data=st.dictionaries(st.text(), nested, max_size=4))
def test_any_nested_state_comes_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, data: Mapping[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("tier")
    entry = {"state": State(data)}
    assert same(stored(folder, entry, kind="state"), entry)


@pytest.mark.parametrize(
    "value", [2**20_000, -(2**64), 2**63, -(2**63) - 1], ids=["huge", "long", "over", "under"]
)
def test_an_integer_of_any_size_comes_back(tmp_path: Path, value: int) -> None:
    entry = {"state": State({"n": value})}
    assert same(stored(tmp_path, entry), entry)


def test_numpy_scalars_come_back_as_numbers_of_the_same_value(tmp_path: Path) -> None:
    data = {"a": np.float32(0.1), "b": np.int64(-7), "c": np.bool_(True), "d": np.float64(0.1)}
    got = stored(tmp_path, {"state": State(data)})
    expected = {"a": float(np.float32(0.1)), "b": -7, "c": True, "d": 0.1}
    assert same(got, {"state": State(expected)})


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2", "|b1", "<c16", "<U3", "|S2"])
def test_a_numpy_array_comes_back_with_its_dtype(tmp_path: Path, dtype: str) -> None:
    entry = {
        "state": State({"a": np.array([[0, 1, 2]]).astype(dtype), "b": np.zeros((0, 2), dtype)})
    }
    assert same(stored(tmp_path, entry), entry)


def test_tensors_that_share_memory_come_back_equal(tmp_path: Path) -> None:
    whole = torch.arange(12.0)
    entry = {"state": State({"a": whole, "b": whole, "c": whole[3:], "d": whole.view(3, 4).T})}
    assert same(stored(tmp_path, entry), entry)


def test_tensors_of_inference_mode_come_back_as_ordinary_ones(tmp_path: Path) -> None:
    with torch.inference_mode():
        entry = {"latents": Latents(torch.ones(1, 4, 2, 2).transpose(2, 3))}
        got = stored(tmp_path, entry)
    assert same(got, entry)
    assert got is not None
    back = got["latents"]
    assert isinstance(back, Latents)
    assert not back.samples.is_inference()


def test_a_conjugate_and_a_tensor_with_gradient_come_back(tmp_path: Path) -> None:
    data = {"c": torch.tensor([1 + 2j]).conj(), "g": torch.ones(2, requires_grad=True)}
    assert same(stored(tmp_path, {"state": State(data)}), {"state": State(data)})


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.permute(1, 3, 0, 2),
        lambda x: x[:, ::2],
        lambda x: x[:1].expand(3, 4, 6, 6),
        lambda x: x[0, 0, 0, ::6],
    ],
    ids=["channels last", "permuted", "sliced", "expanded", "one element"],
)
def test_the_memory_layout_comes_back(
    tmp_path: Path, view: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    tensor = view(torch.randn(2, 4, 6, 6))
    got = stored(tmp_path, {"latents": Latents(tensor)})
    assert got is not None
    back = got["latents"]
    assert isinstance(back, Latents)
    assert (back.samples.stride(), bits(back.samples)) == (tensor.stride(), bits(tensor))


def test_a_small_view_of_a_large_tensor_is_stored_small(tmp_path: Path) -> None:
    entry = {"latents": Latents(torch.zeros(1000, 1000)[:, 0])}
    assert same(stored(tmp_path, entry), entry)
    assert file_of(tmp_path).stat().st_size < 10_000
    store = Store(tmp_path)
    store.get(key(0))
    assert store.stats().memory_bytes < 10_000


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (State({"a": [1, object()]}), r"out\.data\['a'\]\[1\]: cannot store a object"),
        (State({"f": lambda: 0}), r"out\.data\['f'\]: cannot store a function"),
        (State({"s": {1, 2}}), r"out\.data\['s'\]: cannot store a set"),
        (State({"f": frozenset({b"a"})}), r"out\.data\['f'\]: cannot store a frozenset of arrays"),
        (
            State({"f": (1, frozenset({Picture("", ".png", (b"",), ("x",))}))}),
            r"\['f'\]\[1\]: .*arrays",
        ),
        (State({"f": frozenset({torch.ones(1)})}), r"\['f'\]: .* frozenset of arrays or bytes"),
        (State({"t": torch.eye(2).to_sparse()}), r"out\.data\['t'\]: cannot store a torch\.Tensor"),
        (State({"m": torch.ones(2, device="meta")}), r"out\.data\['m'\]"),
        (State({"o": np.array([None])}), r"out\.data\['o'\]: cannot store a numpy\.ndarray"),
        (Value(), r"out: cannot store a studio\.graph\.Value"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_place(value: Value, where: str) -> None:
    with pytest.raises(TypeError, match=where):
        Store(None).put(key(0), {"out": value})


def test_a_value_within_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="within itself"):
        Store(None).put(key(0), {"state": State({"loop": loop})})


def test_a_key_that_would_leave_the_folder_is_refused(tmp_path: Path) -> None:
    stored(tmp_path / "tier", latents())
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(b"weights of somebody")
    store = Store(tmp_path / "tier")
    with pytest.raises(ValueError, match="is not a key"):
        store.put(Key("../outside"), latents())
    assert Key("../outside") not in store
    assert store.get(Key("../outside")) is None
    assert outside.exists()


def test_a_read_only_mapping_comes_back_as_a_dict(tmp_path: Path) -> None:
    got = stored(tmp_path, {"state": State(MappingProxyType({"a": 1}))})
    assert same(got, {"state": State({"a": 1})})


def test_a_value_of_a_class_that_is_not_loaded_is_a_miss(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dataclasses import dataclass\n"
        "from studio.graph import Value, Key; from studio.store import Store\n"
        "@dataclass(frozen=True)\n"
        "class Elsewhere(Value):\n    n: int\n"
        f"with Store(Path(sys.argv[1])) as store: store.put(Key('{key(0)}'), {{'out': Elsewhere(1)}})"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    store = Store(tmp_path)
    assert key(0) in store
    assert store.get(key(0)) is None
    assert key(0) not in store
    assert file_of(tmp_path).exists()


def test_a_picture_round_trips_without_torch_and_numpy(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from studio.graph import Key\n"
        "from studio.store import Store; from studio.values import Picture\n"
        "picture = Picture('a', '.png', (b'abc', b'', bytes(range(256))), ('x', 'y', 'z'))\n"
        f"key = Key('{key(0)}')\n"
        "with Store(Path(sys.argv[1])) as store: store.put(key, {'picture': picture})\n"
        "again = Store(Path(sys.argv[1]))\n"
        "assert key in again and again.get(key) == {'picture': picture}\n"
        "assert again.fingerprint(key) and Store(None).fingerprint(key) is None\n"
        "print({'torch', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"
