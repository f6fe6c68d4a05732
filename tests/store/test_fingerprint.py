"""Fingerprints: equal exactly for bit-equal values, wherever they are asked for."""

import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from studio.store import Entry, Store
from studio.values import (
    Image,
    Latents,
    State,
)
from tests.store.entries import key


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


def test_a_set_has_one_fingerprint_in_every_process() -> None:
    script = (
        "from studio.graph import Key; from studio.store import Store\n"
        "from studio.values import State; store = Store(None)\n"
        "members = frozenset({'a', 'b', 'c', 'd', ('e', 1), frozenset({'f', 'g', None})})\n"
        f"store.put(Key('{key(0)}'), {{'state': State({{'s': members}})}})\n"
        f"print(' '.join(map(str, members)), store.fingerprint(Key('{key(0)}')))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in "123"
    }
    assert len(found) > 1  # the orders of the members
    assert len({line.split()[-1] for line in found}) == 1


def test_names_enter_a_fingerprint() -> None:
    tensor = torch.zeros(1, 1, 2, 2)
    prints = {
        print_of({"a": Latents(tensor)}),
        print_of({"b": Latents(tensor)}),
        print_of({"a": Image(tensor)}),
        print_of({"a": Latents(tensor, "sd1")}),
    }
    assert len(prints) == 4
