"""Damaged and hostile files: whatever is done to a workflow or a picture, it is read or refused, and quickly."""

from __future__ import annotations

import copy
import json
import random
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio import pictures, validation, workflow
from studio.errors import StudioError
from studio.graph import Json
from tests.sample_nodes import TYPES
from tests.test_pictures import tiny_png

CORPUS = [path.read_bytes() for path in sorted((Path(__file__).parent / "files/v1").glob("*.json"))]
PICTURES = [
    pictures.with_text(
        tiny_png(),
        {
            pictures.WORKFLOW: text.decode(),
            pictures.MANIFEST: '{"device": "cpu"}',
            pictures.PARAMETERS: "a fox\nSteps: 20",
        },
    )
    for text in CORPUS
]
BATCHES = 10
LIMIT_S = 1.0

ODD: list[Json] = [
    None, True, False, 0, -1, 1, 2**63, 2**64 - 1, 2**64, 10**400, 1.0, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), "", "a", "a.b", "text.embedding", "paint.latents", "a/b.c", "group:", "group:detail",
    "group:twice", "mute", "bypass", "\ud800", "\0", "x" * 10_000, "..", "__class__", [], [[]], {}, {"": {}},
    [0, 0], ["text.embedding"], {"nodes": {}}, {"type": "text", "version": 1},
]  # fmt: skip


def flipped(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8, 64])):
        out[chance.randrange(len(out))] = chance.randrange(256)
    return bytes(out)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def spliced(data: bytes, chance: random.Random) -> bytes:
    other = chance.choice(CORPUS + PICTURES)
    at, begin = chance.randrange(len(data)), chance.randrange(len(other))
    gone, length = chance.randrange(40), chance.choice([1, 4, 12, 200])
    return data[:at] + other[begin : begin + length] + data[at + gone :]


def repeated(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    piece = data[at : at + chance.choice([1, 2, 30])]
    return data[:at] + piece * chance.choice([2, 100, 5000]) + data[at:]


def places(value: Json) -> Iterator[tuple[dict[str, Json] | list[Json], str | int]]:
    """Every place in a document at which a value can be put."""
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from places(value[key])
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value, index
            yield from places(value[index])


def put(holder: dict[str, Json] | list[Json], key: str | int, value: Json) -> None:
    if isinstance(holder, dict):
        holder[str(key)] = value
    else:
        holder[int(key)] = value


def got(holder: dict[str, Json] | list[Json], key: str | int) -> Json:
    return holder[str(key)] if isinstance(holder, dict) else holder[int(key)]


def deep(levels: int, chance: random.Random) -> Json:
    value: Json = 1
    for _ in range(levels):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def restructured(data: bytes, chance: random.Random) -> bytes:
    document: Json = json.loads(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        spots = list(places(document))
        if not spots:
            break
        holder, key = chance.choice(spots)
        match chance.randrange(6):
            case 0 | 1:
                put(holder, key, copy.deepcopy(chance.choice(ODD)))
            case 2:
                other, place = chance.choice(spots)
                put(holder, key, copy.deepcopy(got(other, place)))
            case 3:
                put(holder, key, deep(chance.choice([3, 60, 70, 300]), chance))
            case 4:
                if isinstance(holder, dict):
                    name = chance.choice(
                        ["", "a/b", "A", "detail", "inputs", "nodes", "é", "x" * 999]
                    )
                    holder[name] = holder.pop(str(key))
            case _:
                if isinstance(holder, dict):
                    del holder[str(key)]
                else:
                    del holder[int(key)]
    return json.dumps(document).encode()


def in_picture(data: bytes, chance: random.Random) -> bytes:
    """A sound picture whose workflow is damaged."""
    damaged = chance.choice([flipped, cut, restructured])(data, chance).decode("latin-1")
    return pictures.with_text(tiny_png(), {pictures.WORKFLOW: damaged})


def resummed(data: bytes, chance: random.Random) -> bytes:
    """A picture that is damaged inside its text chunks, with checksums that hold."""
    kind = chance.choice([b"tEXt", b"zTXt", b"iTXt"])
    body = flipped(data[41 : 41 + chance.choice([5, 60, 400])], chance)
    head = len(body).to_bytes(4, "big") + kind + body
    at = data.index(b"IDAT") - 4
    return data[:at] + head + zlib.crc32(head[4:]).to_bytes(4, "big") + data[at:]


Mutation = Callable[[bytes, random.Random], bytes]
BYTES: list[Mutation] = [flipped, cut, spliced, repeated]
FILES: list[tuple[list[bytes], list[Mutation], int]] = [
    (CORPUS, BYTES, 300),
    (CORPUS, [restructured], 400),
    (CORPUS, [in_picture], 100),
    (PICTURES, [*BYTES, resummed], 200),
]


def refusal(action: Callable[[], object]) -> str | None:
    """The message with which ``action`` is refused, or None. Only StudioError is caught."""
    try:
        action()
    except StudioError as error:
        return str(error)
    return None


def use(found: workflow.Workflow) -> None:
    """All that the program does with a workflow before it runs."""
    completed = workflow.complete(workflow.migrate(found, TYPES), TYPES)
    live = validation.active(workflow.flatten(completed, TYPES), TYPES).graph
    if not validation.problems(live, TYPES):
        assert len(live.order()) == len(live)
    workflow.check(completed, TYPES, ["save", "decode"])
    workflow.check(completed, TYPES)
    workflow.set_param(completed, "paint.guidance", "3", TYPES)
    workflow.set_param(completed, "finish/one/again.steps", "3", TYPES)


def survives(data: bytes, file: Path) -> bool:
    """Take a file the way the program does; tell whether it was read."""
    file.write_bytes(data)
    message = refusal(lambda: workflow.load(file))
    if message is not None:
        assert message.startswith(str(file))
        return False
    found = workflow.load(file)
    text = workflow.dumps(found)
    assert workflow.dumps(workflow.loads(text.encode())) == text
    assert refusal(lambda: use(found)) != ""
    return True


@pytest.mark.parametrize("seed", range(BATCHES))
def test_every_mutant_is_read_or_refused_within_a_second(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    read = total = 0
    slowest = 0.0
    for files, mutations, count in FILES:
        for _ in range(count):
            data = chance.choice(mutations)(chance.choice(files), chance)
            begin = time.process_time()
            read += survives(data, tmp_path / "mutant")
            slowest = max(slowest, time.process_time() - begin)
            total += 1
    assert total == 1000
    assert slowest < LIMIT_S
    assert 100 < read < 900  # the mutations are neither harmless nor hopeless


@pytest.mark.parametrize("seed", range(2))
def test_the_pixels_of_every_mutant_are_digested_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        mutation = chance.choice([flipped, cut, spliced])
        data = mutation(tiny_png(), chance)
        assert refusal(lambda png=data: pictures.pixels_sha256(png)) != ""  # type: ignore[misc]  # a default
