"""Text in PNG files: spliced in without touching a pixel, read back within limits; the digest of the pixels."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from studio import pictures
from studio.errors import FileError

PIXELS = bytes(range(48))


def tiny_png(mode: str = "RGB", **options: PngImagePlugin.PngInfo) -> bytes:
    """4 x 4 pixels that hold the bytes 0 … 47 (RGB)."""
    picture = Image.frombytes("RGB", (4, 4), PIXELS).convert(mode)
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(kind: bytes, body: bytes) -> bytes:
    png = tiny_png()
    at = png.index(b"IDAT") - 4
    return png[:at] + chunk(kind, body) + png[at:]


def kinds(png: bytes) -> list[bytes]:
    """Chunk kinds in order, read independently of the module."""
    found, at = [], 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        found.append(kind)
        at += 12 + length
    return found


def pillow_text(png: bytes) -> dict[str, str]:
    with Image.open(io.BytesIO(png)) as picture:
        assert isinstance(picture, PngImagePlugin.PngImageFile)
        picture.load()
        return {key: str(value) for key, value in picture.text.items()}


# --- text


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([pictures.WORKFLOW, pictures.MANIFEST, pictures.PARAMETERS]),
        st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: text * 40),
    )
)
def test_any_text_comes_back(text: dict[str, str]) -> None:
    assert pictures.read_text(pictures.with_text(tiny_png(), text)) == text


@pytest.mark.parametrize("size", [10, 5_000, 3_000_000])
def test_pillow_reads_our_text(size: int) -> None:
    text = ("näïve 赤 " * size)[:size]
    assert pillow_text(pictures.with_text(tiny_png(), {pictures.WORKFLOW: text})) == {
        pictures.WORKFLOW: text
    }


def test_we_read_the_text_of_pillow() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("plain", "é")
    info.add_text("packed", "é" * 100, zip=True)
    info.add_itxt("unicode", "赤", lang="ja", tkey="鍵")
    info.add_itxt("packed unicode", "赤" * 100, zip=True)
    assert pictures.read_text(tiny_png(pnginfo=info)) == {
        "plain": "é",
        "packed": "é" * 100,
        "unicode": "赤",
        "packed unicode": "赤" * 100,
    }


def test_the_other_bytes_stay() -> None:
    png = tiny_png()
    spliced = pictures.with_text(png, {"a": "b"})
    added = chunk(b"iTXt", b"a\0\0\0\0\0b")
    assert spliced.count(added) == 1
    assert spliced.replace(added, b"") == png


def test_text_stands_before_the_pixels() -> None:
    assert kinds(pictures.with_text(tiny_png(), {"a": "b"})) == [b"IHDR", b"iTXt", b"IDAT", b"IEND"]


def test_text_of_the_same_keyword_is_replaced_and_other_text_stays() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "old", zip=True)
    info.add_text("Software", "other")
    png = pictures.with_text(tiny_png(pnginfo=info), {"parameters": "new"})
    assert pictures.read_text(png) == {"Software": "other", "parameters": "new"}
    assert len(kinds(png)) == 5
    assert pictures.with_text(png, {"parameters": "new"}) == png


def test_large_text_is_packed_and_small_is_not() -> None:
    assert b"x" * 1024 in pictures.with_text(tiny_png(), {"a": "x" * 1024})
    assert len(pictures.with_text(tiny_png(), {"a": "x" * 100_000})) < 1000


def test_parameters_are_latin_1_where_they_can_be() -> None:
    assert b"tEXtparameters\0caf\xe9" in pictures.with_text(tiny_png(), {"parameters": "café"})
    png = pictures.with_text(tiny_png(), {"parameters": "赤"})
    assert b"iTXtparameters\0\0\0\0\0" + "赤".encode() in png


@pytest.mark.parametrize("keyword", ["", "a" * 80, "赤", "a\0b"])
def test_a_keyword_that_png_lacks_is_an_error(keyword: str) -> None:
    with pytest.raises(ValueError, match=r"keyword|latin-1"):
        pictures.with_text(tiny_png(), {keyword: "x"})


BAD = {
    "empty": (b"", "is not a PNG"),
    "another file": (b"GIF89a", "is not a PNG"),
    "signature only": (pictures.SIGNATURE, "ends too early"),
    "cut in a chunk": (tiny_png()[:-20], "ends too early"),
    "cut before IEND": (tiny_png()[:-12], "ends too early"),
    "large length": (pictures.SIGNATURE + b"\xff\xff\xff\xffIHDR" + bytes(30), "ends too early"),
    "checksum": (with_chunk(b"tEXt", b"a\0b").replace(b"a\0b", b"a\0c"), "is damaged"),
    "no separator": (with_chunk(b"tEXt", b"abc"), "is malformed"),
    "no method": (with_chunk(b"zTXt", b"a\0"), "is malformed"),
    "odd method": (with_chunk(b"zTXt", b"a\0\7" + zlib.compress(b"x")), "is malformed"),
    "short iTXt": (with_chunk(b"iTXt", b"a\0\0\0\0"), "is malformed"),
    "odd flag": (with_chunk(b"iTXt", b"a\0\2\0\0\0x"), "is malformed"),
    "not UTF-8": (with_chunk(b"iTXt", b"a\0\0\0\0\0\xff"), "is not UTF-8"),
    "not packed": (with_chunk(b"zTXt", b"a\0\0garbage"), "cannot be unpacked"),
    "packed cut short": (with_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 99)[:-3]),
                         "cannot be unpacked"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_picture_is_refused(case: str) -> None:
    png, message = BAD[case]
    with pytest.raises(FileError, match=message):
        pictures.read_text(png)


def test_a_bomb_is_refused_while_it_unpacks() -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    with pytest.raises(FileError, match="more than 64 MiB of text"):
        pictures.read_text(with_chunk(b"iTXt", b"a\0\1\0\0\0" + bomb))


def test_many_texts_that_are_a_bomb_together_are_refused() -> None:
    half = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(33 << 20)))
    png = tiny_png()
    at = png.index(b"IDAT") - 4
    with pytest.raises(FileError, match="more than 64 MiB of text"):
        pictures.read_text(png[:at] + half + half + png[at:])


# --- the parameters line


def test_the_parameters_line_is_the_one_of_other_tools() -> None:
    line = pictures.parameters_line(
        prompt="a red circle",
        negative="blurry",
        steps=20,
        sampler="DDIM",
        guidance=5.0,
        seed=1,
        width=128,
        height=96,
        model="starter",
    )
    assert line == (
        "a red circle\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: DDIM, CFG scale: 5.0, Seed: 1, Size: 128x96, Model: starter"
    )


def test_what_is_not_known_is_left_out_of_the_line() -> None:
    assert pictures.parameters_line(prompt="a fox", seed=0) == "a fox\nSeed: 0"
    assert pictures.parameters_line(prompt="a fox") == "a fox"


# --- pixels


def test_the_digest_is_that_of_the_raw_pixels() -> None:
    assert pictures.pixels_sha256(tiny_png()) == hashlib.sha256(PIXELS).hexdigest()


def test_transparency_enters_the_digest() -> None:
    rows = b"".join(PIXELS[at : at + 3] + b"\xff" for at in range(0, 48, 3))
    assert pictures.pixels_sha256(tiny_png("RGBA")) == hashlib.sha256(rows).hexdigest()


def test_text_does_not_enter_the_digest_even_where_pillow_would_refuse_it() -> None:
    bomb = with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20)))
    assert pictures.pixels_sha256(bomb) == hashlib.sha256(PIXELS).hexdigest()


@pytest.mark.parametrize("side", [10_000, 100_000])
def test_a_picture_beyond_the_limit_of_pixels_is_refused(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = (
        pictures.SIGNATURE
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(FileError, match="has more than 89478485 pixels"):
        pictures.pixels_sha256(png)


def test_damaged_pixels_are_refused() -> None:
    png = tiny_png()
    at = png.index(b"IDAT") + 6
    with pytest.raises(FileError, match="cannot be decoded"):
        pictures.pixels_sha256(png[:at] + bytes(8) + png[at + 8 :])
