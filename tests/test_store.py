import errno
import hashlib
import math
import os
import random
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import store as store_module
from studio.graph import Key, Ref, Value
from studio.store import Entry, Kind, Store, clear_root, prune_root, survey, tiers
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


def key(number: int) -> Key:
    # spread over the shards as digests are
    return Key(f"{(number * 2654435761) % 2**32:08x}{number:032x}")


def latents(number: int = 0, size: int = 8) -> Entry:
    samples = torch.arange(4 * size * size, dtype=torch.float32).reshape(1, 4, size, size) + number
    return {"latents": Latents(samples, "sd1")}


def state(number: int = 0, size: int = 8) -> Entry:
    return {
        "state": State({"sample": torch.full((1, 4, size, size), float(number)), "step": number})
    }


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return bytes(plain.as_strided((plain.numel(),), (1,)).view(torch.uint8).numpy().data)


def _same_parts(a: object, b: object) -> bool | None:
    """Compare containers; None for what is none."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if is_dataclass(a):
        return all(same(getattr(a, part.name), getattr(b, part.name)) for part in fields(a))
    return None


def same(a: object, b: object) -> bool:
    """Equal to the bit and of the same types, within nested values too."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return (a.dtype, a.shape, bits(a)) == (b.dtype, b.shape, bits(b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex) and isinstance(b, complex):
        return same((a.real, a.imag), (b.real, b.imag))
    parts = _same_parts(a, b)
    return bool(a == b) if parts is None else parts


def stored(folder: Path, entry: Entry, number: int = 0, kind: Kind = "result") -> Entry | None:
    """``entry`` after a way through the disk."""
    with Store(folder) as store:
        store.put(key(number), entry, kind=kind)
    assert store.problem is None
    return Store(folder).get(key(number))


def file_of(folder: Path, number: int = 0) -> Path:
    return next(folder.glob(f"entries/*/{key(number)}.safetensors"))


# --- round trips


@dataclass(frozen=True)
class Palette(Value):
    """A value of a third-party pack."""

    colours: Mapping[str, tuple[int, int, int]]
    weights: torch.Tensor | None = None


REF = ModelRef("starter", "unet", "d" * 64, (("e" * 64, 0.1),))

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


# --- tiers


def test_what_was_put_is_there_at_once() -> None:
    store = Store(None)
    entry = latents()
    store.put(key(0), entry)
    assert key(0) in store
    assert store.get(key(0)) == entry


def test_an_unknown_key_is_a_miss(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert key(0) not in store
    assert store.get(key(0)) is None
    assert store.fingerprint(key(0)) is None


def test_a_store_that_is_only_asked_makes_no_folder(tmp_path: Path) -> None:
    with Store(tmp_path / "tier") as store:
        assert key(0) not in store
        assert store.get(key(0)) is None
        assert store.stats().entries == 0
        assert store.prune() == 0
    assert not (tmp_path / "tier").exists()


def test_contains_many_finds_memory_and_disk(tmp_path: Path) -> None:
    stored(tmp_path, latents(), 1)
    store = Store(tmp_path)
    store.put(key(2), latents())
    assert store.contains_many([key(number) for number in range(5)]) == {key(1), key(2)}
    store.close()


def test_a_second_put_replaces_the_first(tmp_path: Path) -> None:
    stored(tmp_path, latents(1))
    assert same(stored(tmp_path, latents(2)), latents(2))


def test_an_evicted_file_does_not_change_what_was_read(tmp_path: Path) -> None:
    got = stored(tmp_path, latents(3))
    file = file_of(tmp_path)
    file.write_bytes(bytes(file.stat().st_size))
    file.unlink()
    assert same(got, latents(3))


def test_memory_keeps_what_was_used_last_within_its_cap() -> None:
    size = 4 * 8 * 8 * 4
    store = Store(None, memory_bytes=4 * size + 2000)
    for number in range(4):
        store.put(key(number), latents(number))
    store.get(key(0))
    store.put(key(4), latents(4))
    assert store.contains_many(key(n) for n in range(5)) == {key(0), key(2), key(3), key(4)}
    assert store.stats().memory_bytes <= 4 * size + 2000


def test_memory_counts_the_storage_behind_a_view() -> None:
    store = Store(None, memory_bytes=1_000_000)
    store.put(key(0), {"latents": Latents(torch.zeros(1000, 1000)[0])})
    assert key(0) not in store


def test_memory_counts_bytes_and_shared_storage_once() -> None:
    whole = torch.zeros(1000)
    store = Store(None)
    store.put(key(0), {"s": State({"a": whole, "b": whole[10:], "c": bytes(500)})})
    assert 4500 <= store.stats().memory_bytes < 5000


def test_what_memory_forgot_is_read_from_disk(tmp_path: Path) -> None:
    with Store(tmp_path, memory_bytes=0) as store:
        store.put(key(0), latents(1))
        store.flush()
        assert store.stats().memory_entries == 0
        assert same(store.get(key(0)), latents(1))


def test_a_closed_store_still_answers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(key(0), latents())
    store.close()
    store.close()
    store.put(key(1), latents(1))
    assert same(store.get(key(0)), latents())
    assert same(store.get(key(1)), latents(1))
    assert key(1) not in Store(tmp_path)


def test_a_store_that_is_given_up_still_writes_what_waits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(key(0), latents())
    del store
    assert same(Store(tmp_path).get(key(0)), latents())


def test_what_waits_at_exit_is_written(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from studio.graph import Key\n"
        "from studio.store import Store; from studio.values import Picture\n"
        "store = Store(Path(sys.argv[1]))\n"
        f"store.put(Key('{key(0)}'), {{'p': Picture('a', '.png', (bytes(10**6),), ('x',))}})"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert key(0) in Store(tmp_path)


def test_clear_forgets_memory_and_disk(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put(key(0), latents())
        store.flush()
        assert store.clear() > 0
        assert key(0) not in store
        assert store.stats().entries == store.stats().memory_entries == 0


def test_stats_count_states_and_results(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put(key(0), latents())
        store.put(key(1), state(), kind="state")
        store.put(key(2), state(), kind="state")
        store.flush()
        stats = store.stats()
    assert (stats.entries, stats.results, stats.states) == (3, 1, 2)
    assert stats.disk_bytes == sum(file.stat().st_size for file in tmp_path.glob("entries/*/*"))


# --- damage


def test_any_flipped_bit_is_a_miss_or_does_not_matter(tmp_path: Path) -> None:
    entry = latents(5)
    stored(tmp_path, entry)
    file = file_of(tmp_path)
    sound = file.read_bytes()
    body = len(sound) - 4 * 8 * 8 * 4
    chance = random.Random(1)
    for _ in range(600):
        place = chance.randrange(len(sound))
        damaged = bytearray(sound)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        store = Store(tmp_path)
        got = store.get(key(0))
        if got is None:
            assert key(0) not in store
        else:
            # the head repeats dtype and shape for other readers
            assert place < body
            assert same(got, entry)


def test_a_truncated_file_is_a_miss(tmp_path: Path) -> None:
    stored(tmp_path, latents(5))
    file = file_of(tmp_path)
    sound = file.read_bytes()
    chance = random.Random(2)
    for length in [
        0,
        1,
        7,
        8,
        9,
        len(sound) - 1,
        *(chance.randrange(len(sound)) for _ in range(150)),
    ]:
        file.write_bytes(sound[:length])
        store = Store(tmp_path)
        assert store.get(key(0)) is None
        assert key(0) not in store
        assert not file.exists()


@pytest.mark.parametrize(
    "content",
    [bytes(100), b"\xff" * 100, b'\x02' + bytes(7) + b"{}", b"[" * 100_000, b"\x00\x10" + bytes(6) + b"[" * 4096],
)  # fmt: skip
def test_a_foreign_file_is_a_miss(tmp_path: Path, content: bytes) -> None:
    stored(tmp_path, latents())
    file_of(tmp_path).write_bytes(content)
    assert Store(tmp_path).get(key(0)) is None


def test_the_file_of_another_key_is_a_miss(tmp_path: Path) -> None:
    stored(tmp_path, latents(0), 0)
    stored(tmp_path, latents(1), 1)
    os.replace(file_of(tmp_path, 1), file_of(tmp_path, 0))
    assert Store(tmp_path).get(key(0)) is None


def test_a_damaged_file_is_replaced_by_the_next_put(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    file_of(tmp_path).write_bytes(b"half")
    with Store(tmp_path) as store:
        assert store.get(key(0)) is None
        store.put(key(0), latents())
    assert same(Store(tmp_path).get(key(0)), latents())


def test_a_lost_index_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    stored(tmp_path, latents(), 0)
    stored(tmp_path, state(), 1, "state")
    for file in tmp_path.glob("index*"):
        file.unlink()
    stats = Store(tmp_path).stats()
    assert (stats.results, stats.states) == (1, 1)


def test_a_damaged_file_is_not_counted_by_a_rebuilt_index(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    file_of(tmp_path).write_bytes(b"half")
    store = Store(tmp_path)
    assert store.stats().entries == 0
    assert key(0) not in store


def test_a_file_that_is_no_entry_is_left_alone(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    note = file_of(tmp_path).with_name("read me.safetensors")
    note.write_text("mine")
    store = Store(tmp_path)
    store.prune(0)
    assert store.clear() == 0
    assert note.read_text() == "mine"


def test_a_damaged_index_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    stored(tmp_path, latents(), 0)
    (tmp_path / "index.sqlite").write_bytes(b"no database " * 1000)
    with Store(tmp_path) as store:
        store.put(key(1), state(), kind="state")
        store.flush()
        stats = store.stats()
    assert (stats.results, stats.states) == (1, 1)


CHILD = """
import sys
from pathlib import Path
from studio.graph import Key
from studio.store import Store
from studio.values import Picture

def entry(number):
    return {"p": Picture(str(number), ".png", (bytes([number % 251]) * (1000 + 700 * number % 90000),), ("x",))}

store = Store(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    store.put(Key(f"{(number * 2654435761) % 2**32:08x}{number:032x}"), entry(number))
    print(number, flush=True)
store.close()
"""


def picture(number: int) -> Entry:
    """What CHILD puts under ``key(number)``."""
    content = bytes([number % 251]) * (1000 + 700 * number % 90000)
    return {"p": Picture(str(number), ".png", (content,), ("x",))}


@pytest.mark.parametrize("last", [20, 77, 210])
def test_a_process_killed_while_writing_leaves_sound_entries_only(
    tmp_path: Path, last: int
) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), "0", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= last:
                break
        child.kill()
        written = last + len(child.stdout.readlines())
    store = Store(tmp_path)
    found = [number for number in range(written + 2) if key(number) in store]
    assert len(found) >= last - 8 - 1  # those that may wait, and the one being written
    for number in found:
        assert same(store.get(key(number)), picture(number))
    assert len(found) == store.stats().entries == len(list(tmp_path.glob("entries/*/*")))


def test_processes_that_write_the_same_keys_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), "0", "150"]
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    store = Store(tmp_path)
    assert all(same(store.get(key(number)), picture(number)) for number in range(150))
    assert store.stats().results == 150
    assert not list((tmp_path / "tmp").iterdir())


def test_what_a_killed_process_left_half_written_is_swept_after_an_hour(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    old, new = tmp_path / "tmp" / "1-0-0.safetensors", tmp_path / "tmp" / "2-0-0.safetensors"
    old.write_bytes(bytes(1000))
    new.write_bytes(bytes(1000))
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    assert Store(tmp_path).prune() == 1000
    assert (old.exists(), new.exists()) == (False, True)


# --- the cap

SIZE = 4 * 32 * 32 * 4 + 1000
"""A little more than a file of ``latents(size=32)`` or ``state(size=32)`` takes."""


def age(folder: Path, number: int, seconds: float) -> None:
    """Let an entry have been used last that long ago: by its file, since the index is rebuilt from it."""
    for file in folder.glob("index*"):
        file.unlink()
    then = time.time() - seconds
    os.utime(file_of(folder, number), (then, then))


def kept(folder: Path, numbers: range) -> list[int]:
    store = Store(folder)
    return [number for number in numbers if key(number) in store]


def test_the_cap_on_disk_holds(tmp_path: Path) -> None:
    with Store(tmp_path, disk_bytes=10 * SIZE) as store:
        for number in range(40):
            store.put(key(number), latents(number, 32))
            store.flush()
            held = sum(file.stat().st_size for file in tmp_path.glob("entries/*/*"))
            assert held <= 10 * SIZE
    assert kept(tmp_path, range(40))[-8:] == list(range(32, 40))


def test_states_go_before_results(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(4):
            store.put(key(number), latents(number, 32))
        for number in range(4, 8):
            store.put(key(number), state(number, 32), kind="state")
            store.flush()
    assert Store(tmp_path).prune(5 * SIZE) > 0
    assert kept(tmp_path, range(8)) == [0, 1, 2, 3, 7]


def test_states_of_the_running_process_go_after_older_results(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(3):
            store.put(key(number), latents(number, 32))
        store.put(key(3), state(3, 32), kind="state")
    for number in range(3):
        age(tmp_path, number, 100 - number)
    Store(tmp_path).prune(2 * SIZE)
    assert kept(tmp_path, range(4)) == [2, 3]


def test_what_was_read_lately_stays(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(4):
            store.put(key(number), latents(number, 32))
    for number in range(4):
        age(tmp_path, number, 100 - number)
    with Store(tmp_path) as store:
        store.stats()  # the rebuilt index
        store.get(key(0))
    Store(tmp_path).prune(2 * SIZE)
    assert kept(tmp_path, range(4)) == [0, 3]


def test_a_value_larger_than_the_cap_is_not_written(tmp_path: Path) -> None:
    with Store(tmp_path, disk_bytes=5 * SIZE) as store:
        store.put(key(0), latents(0, 32))
        store.put(key(1), latents(1, 100))
        store.flush()
        assert key(1) in store
    assert kept(tmp_path, range(2)) == [0]


def test_a_store_with_room_prunes_nothing(tmp_path: Path) -> None:
    stored(tmp_path, latents())
    assert Store(tmp_path).prune() == 0
    assert kept(tmp_path, range(1)) == [0]


def test_tiers_that_nobody_uses_go_first(tmp_path: Path) -> None:
    stored(tmp_path / "old", latents(0, 32), 0)
    age(tmp_path / "old", 0, 2 * 24 * 3600)
    stored(tmp_path / "new", state(0, 32), 0, "state")
    age(tmp_path / "new", 0, 3 * 24 * 3600)
    with Store(tmp_path / "new", disk_bytes=5 * SIZE // 2, root=tmp_path) as store:
        store.put(key(1), latents(1, 32))
        store.flush()
    assert kept(tmp_path / "old", range(2)) == []
    assert kept(tmp_path / "new", range(2)) == [0, 1]


def test_tiers_in_use_share_the_cap_by_last_use(tmp_path: Path) -> None:
    for number, tier in enumerate(["cpu", "cuda", "cpu", "cuda"]):
        stored(tmp_path / tier, latents(number, 32), number)
    for number, tier in enumerate(["cpu", "cuda", "cpu", "cuda"]):
        age(tmp_path / tier, number, 100 - number)
    Store(tmp_path / "cpu", root=tmp_path).prune(2 * SIZE)
    assert kept(tmp_path / "cpu", range(4)) == [2]
    assert kept(tmp_path / "cuda", range(4)) == [3]


def test_a_root_is_surveyed_pruned_and_cleared(tmp_path: Path) -> None:
    stored(tmp_path / "a", latents(0, 32), 0)
    stored(tmp_path / "b" / "cpu", latents(1, 32), 1)
    (tmp_path / "models" / "entries").mkdir(parents=True)
    assert tiers(tmp_path) == (tmp_path / "a", tmp_path / "b" / "cpu")
    assert [stats.entries for stats in survey(tmp_path)] == [1, 1]
    assert prune_root(tmp_path, SIZE, current=tmp_path / "b" / "cpu") > 0
    assert [stats.entries for stats in survey(tmp_path)] == [0, 1]
    assert clear_root(tmp_path) > 0
    assert [stats.entries for stats in survey(tmp_path)] == [0, 0]


# --- a disk that cannot be written


def test_a_folder_that_cannot_be_made_means_memory_and_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Store(tmp_path / "file" / "tier") as store:
        store.put(key(0), latents())
        store.flush()
        assert same(store.get(key(0)), latents())
        assert store.problem is not None
        assert "\n" not in store.problem
        assert "memory only" in store.problem
        assert store.stats().entries == 0


def test_a_full_disk_means_memory_and_a_problem_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store(tmp_path) as store:
        with monkeypatch.context() as full:
            full.setattr("studio.store.os.replace", refuse)
            store.put(key(0), latents())
            store.flush()
        assert "No space left" in str(store.problem)
        assert same(store.get(key(0)), latents())
        assert store.stats().entries == 0
        assert not list((tmp_path / "tmp").iterdir())
        store.put(key(1), latents())
        store.flush()
        assert store.problem is None
    assert kept(tmp_path, range(2)) == [1]


def test_a_file_that_the_system_refuses_to_grow_means_memory_and_a_problem(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from studio.graph import Key\n"
        "from studio.store import Store; from studio.values import Picture\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "store = Store(Path(sys.argv[1]))\n"
        f"store.put(Key('{key(0)}'), {{'p': Picture('a', '.png', (bytes(10**6),), ('x',))}})\n"
        "store.flush(); print(store.problem, store.stats().entries, list(store.folder.glob('tmp/*')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "File too large" in found.stdout
    assert found.stdout.strip().endswith("0 []")


class Stall:
    """Holds the writer thread in the middle of its first file until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        write = store_module._write_file

        def stalled(path: Path, *rest: object) -> str:
            self.entered.set()
            assert self.released.wait(60)
            return write(path, *rest)  # type: ignore[arg-type]  # passed through

        monkeypatch.setattr(store_module, "_write_file", stalled)


def test_a_stalled_disk_costs_old_states_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = Stall(monkeypatch)
    store = Store(tmp_path, pending=4)
    store.put(key(0), state(0), kind="state")
    assert stall.entered.wait(60)
    for number in range(1, 31):
        store.put(key(number), state(number), kind="state")
    assert store.contains_many(key(number) for number in range(31)) == {key(n) for n in range(31)}
    assert not store.flush(0.01)
    assert store.stats().dropped == 26
    stall.released.set()
    store.close()
    assert kept(tmp_path, range(31)) == [0, 27, 28, 29, 30]


def test_results_are_never_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stall = Stall(monkeypatch)
    monkeypatch.setattr(store_module, "_RESULT_WAIT_S", 0.01)
    store = Store(tmp_path, pending=2)
    for number in range(10):
        store.put(key(number), latents(number))
    stall.released.set()
    store.close()
    assert kept(tmp_path, range(10)) == list(range(10))


def test_a_result_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stall = Stall(monkeypatch)
    monkeypatch.setattr(store_module, "_RESULT_WAIT_S", 60)
    store = Store(tmp_path, pending=1)
    store.put(key(0), latents(0))
    assert stall.entered.wait(60)
    store.put(key(1), latents(1))
    blocked = threading.Thread(target=store.put, args=(key(2), latents(2)))
    blocked.start()
    blocked.join(0.05)
    assert blocked.is_alive()
    stall.released.set()
    blocked.join(60)
    store.close()
    assert kept(tmp_path, range(3)) == [0, 1, 2]


def test_the_newest_state_is_written_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write = store_module._write_file

    def noted(path: Path, name: Key, *rest: object) -> str:
        order.append(name)
        return write(path, name, *rest)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(store_module, "_write_file", noted)
    stall = Stall(monkeypatch)
    store = Store(tmp_path)
    store.put(key(0), state(0), kind="state")
    assert stall.entered.wait(60)
    store.put(key(1), state(1), kind="state")
    store.put(key(2), state(2), kind="state")
    store.put(key(3), latents(3))
    stall.released.set()
    store.close()
    assert order == [key(0), key(3), key(2), key(1)]


def test_what_waits_for_the_disk_is_there_when_memory_forgot_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = Stall(monkeypatch)
    with Store(tmp_path, memory_bytes=0) as store:
        store.put(key(0), latents(0))
        assert key(0) in store
        assert same(store.get(key(0)), latents(0))
        stall.released.set()


def test_threads_share_a_store(tmp_path: Path) -> None:
    wrong: list[int] = []

    def work(thread: int) -> None:
        for number in range(30):
            name = key(100 * thread + number)
            store.put(name, picture(number))
            if not same(store.get(name), picture(number)):
                wrong.append(number)

    with Store(tmp_path, memory_bytes=100_000) as store:
        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert Store(tmp_path).stats().entries == 120


# --- fingerprints


def print_of(entry: Entry) -> str:
    store = Store(None)
    store.put(key(0), entry)
    found = store.fingerprint(key(0))
    assert found is not None
    return found


def tensor_print(tensor: torch.Tensor) -> str:
    return print_of({"state": State({"x": tensor})})


def test_a_fingerprint_is_the_same_in_memory_on_disk_and_anywhere(tmp_path: Path) -> None:
    samples = torch.arange(4.0).reshape(1, 1, 2, 2)
    entry = {"out": Latents(samples, "sd1"), "more": State({"p": b"png", "x": -0.5})}
    with Store(tmp_path) as store:
        store.put(key(0), entry)
        store.flush()
        written = store.fingerprint(key(0))
    fresh = Store(tmp_path)
    from_head = fresh.fingerprint(key(0))
    fresh.get(key(0))
    # written out by hand: nothing of process, folder or key may enter
    document = (
        '{"arrays":[["bytes","",[3],3],["tensor","float32",[1,1,2,2],16]],"outputs":{'
        '"more":{"value":["studio.values","State",{"data":{"dict":'
        '[["p",{"array":0}],["x",{"float":"-0x1.0000000000000p-1"}]]}}]},'
        '"out":{"value":["studio.values","Latents",{"samples":{"array":1},"family":"sd1"}]}}}'
    )
    content = document.encode() + b"png" + struct.pack("<4f", 0, 1, 2, 3)
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert [written, from_head, fresh.fingerprint(key(0)), print_of(entry)] == [expected] * 4


def test_a_fingerprint_does_not_depend_on_memory_layout() -> None:
    tensor = torch.arange(24.0).reshape(2, 3, 4)
    assert tensor_print(tensor.permute(2, 0, 1)) == tensor_print(
        tensor.permute(2, 0, 1).contiguous()
    )


@pytest.mark.parametrize(
    "other",
    [
        torch.zeros(3, 2),
        torch.zeros(2, 3, dtype=torch.int32),
        torch.tensor([[0, 0, 0], [0, 0, 5e-45]]),
        torch.tensor([[0, 0, 0], [0, 0, -0.0]]),
        torch.zeros(6),
    ],
    ids=["shape", "dtype", "one bit", "sign of zero", "axes"],
)
def test_a_fingerprint_differs_with(other: torch.Tensor) -> None:
    assert tensor_print(other) != tensor_print(torch.zeros(2, 3))


def test_a_fingerprint_takes_the_bits_of_nan_as_they_are() -> None:
    quiet = torch.tensor([0x7FC00000], dtype=torch.int32).view(torch.float32)
    other = torch.tensor([0x7FC00001], dtype=torch.int32).view(torch.float32)
    assert tensor_print(quiet) == tensor_print(quiet.clone())
    assert tensor_print(quiet) != tensor_print(other)


@pytest.mark.parametrize(
    ("a", "b"), [([1], (1,)), (1, 1.0), (1, True), (0.0, -0.0), ("a", b"a"), ({"a": 1}, [["a", 1]])]
)
def test_plain_data_that_differ_in_type_have_other_fingerprints(a: object, b: object) -> None:
    assert print_of({"s": State({"x": a})}) != print_of({"s": State({"x": b})})


def test_names_enter_a_fingerprint() -> None:
    tensor = torch.zeros(1, 1, 2, 2)
    prints = {
        print_of({"a": Latents(tensor)}),
        print_of({"b": Latents(tensor)}),
        print_of({"a": Image(tensor)}),
        print_of({"a": Latents(tensor, "sd1")}),
    }
    assert len(prints) == 4
