"""What a PNG carries besides its pixels: text chunks, spliced in and read without decoding; and the pixels' digest."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from studio.errors import FileError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

WORKFLOW = "studio.workflow"
MANIFEST = "studio.manifest"
PARAMETERS = "parameters"
"""Keyword of the line that galleries of other tools read."""

MAX_TEXT_BYTES = 64 << 20
"""All text of a picture together, unpacked."""

_COMPRESS_FROM = 1 << 10
# Pillow refuses a picture with compressed text of more than 1 MiB; stored text it takes
_COMPRESS_TO = 1 << 20

_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    """Of the whole chunk, at its length field."""
    body: bytes
    is_sound: bool
    """Whether the checksum holds (only looked at for text)."""

    @property
    def end(self) -> int:
        return self.start + 12 + len(self.body)


def _chunks(png: bytes) -> Iterator[_Chunk]:
    """The chunks up to IEND; raises FileError if the file ends before or is no PNG."""
    if not png.startswith(SIGNATURE):
        raise FileError("is not a PNG picture")
    position = len(SIGNATURE)
    while True:
        head = png[position : position + 8]
        if len(head) < 8:
            raise _truncated()
        length, kind = struct.unpack(">I4s", head)
        end = position + 12 + length
        if end > len(png):
            raise _truncated()
        body = png[position + 8 : end - 4]
        is_sound = True
        if kind in _TEXT:
            is_sound = zlib.crc32(png[position + 4 : end - 4]) == int.from_bytes(png[end - 4 : end])
        yield _Chunk(kind, position, body, is_sound)
        if kind == b"IEND":
            return
        position = end


def _truncated() -> FileError:
    return FileError("ends too early", remedy="copy or download the picture again")


# --- text


def read_text(png: bytes) -> dict[str, str]:
    """The text chunks of a PNG by keyword; of several with one keyword, the last.

    Raises FileError for what is no PNG, is cut short or damaged, or unpacks to more than ``MAX_TEXT_BYTES``.
    """
    found: dict[str, str] = {}
    left = MAX_TEXT_BYTES
    for chunk in _chunks(png):
        if chunk.kind not in _TEXT:
            continue
        if not chunk.is_sound:
            raise FileError("a text chunk is damaged", remedy="copy or download the picture again")
        keyword, data, encoding = _content(chunk, left)
        left -= len(data)
        if left < 0:
            raise _too_much_text()
        try:
            found[keyword] = data.decode(encoding)
        except UnicodeDecodeError as error:
            raise FileError(f"text chunk {keyword!r} is not UTF-8") from error
    return found


def _content(chunk: _Chunk, limit: int) -> tuple[str, bytes, str]:
    """Keyword, unpacked text of at most ``limit`` + 1 bytes, and its encoding."""
    keyword, separator, rest = chunk.body.partition(b"\0")
    if not separator:
        raise _malformed()
    name = keyword.decode("latin-1")
    if chunk.kind == b"tEXt":
        return name, rest, "latin-1"
    if chunk.kind == b"zTXt":
        if rest[:1] != b"\0":
            raise _malformed()
        return name, _unpacked(rest[1:], limit), "latin-1"
    is_packed, method = rest[:1], rest[1:2]
    parts = rest[2:].split(b"\0", 2)  # language, translated keyword, text
    if (
        len(parts) != 3
        or is_packed not in (b"\0", b"\1")
        or (is_packed == b"\1" and method != b"\0")
    ):
        raise _malformed()
    data = _unpacked(parts[2], limit) if is_packed == b"\1" else parts[2]
    return name, data, "utf-8"


def _unpacked(data: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise FileError("a text chunk cannot be unpacked") from error
    if len(text) > limit:
        raise _too_much_text()
    if not unpacker.eof:
        raise FileError("a text chunk cannot be unpacked")
    return text


def _malformed() -> FileError:
    return FileError("a text chunk is malformed")


def _too_much_text() -> FileError:
    return FileError(f"carries more than {MAX_TEXT_BYTES >> 20} MiB of text")


def with_text(png: bytes, text: Mapping[str, str]) -> bytes:
    """The PNG with text chunks, in place of those of the same keyword; every other byte stays.

    ``parameters`` is written as plain Latin-1 where it can be, since that is what other tools look for; all else is
    UTF-8, packed from 1 KiB. Raises FileError for what is no PNG or is cut short, ValueError for a keyword that is
    not 1 to 79 Latin-1 characters.
    """
    parts: list[bytes] = [SIGNATURE]
    is_written = False
    replaced = {_keyword(name) for name in text}
    for chunk in _chunks(png):
        if chunk.kind in _TEXT and chunk.body.partition(b"\0")[0] in replaced:
            continue
        if chunk.kind in (b"IDAT", b"IEND") and not is_written:
            parts.extend(_text_chunk(name, value) for name, value in text.items())
            is_written = True
        parts.append(png[chunk.start : chunk.end])
    return b"".join(parts)


def _keyword(name: str) -> bytes:
    keyword = name.encode("latin-1")
    if not 1 <= len(keyword) <= 79 or b"\0" in keyword:
        raise ValueError(f"{name!r} is not a keyword of 1 to 79 Latin-1 characters")
    return keyword


def _text_chunk(name: str, text: str) -> bytes:
    keyword = _keyword(name)
    if name == PARAMETERS and "\0" not in text:
        try:
            return _chunk(b"tEXt", keyword + b"\0" + text.encode("latin-1"))
        except UnicodeEncodeError:
            pass
    data = text.encode()
    is_packed = _COMPRESS_FROM < len(data) <= _COMPRESS_TO
    flags = b"\1\0" if is_packed else b"\0\0"
    return _chunk(
        b"iTXt", keyword + b"\0" + flags + b"\0\0" + (zlib.compress(data) if is_packed else data)
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def parameters_line(
    *,
    prompt: str,
    negative: str = "",
    steps: int | None = None,
    sampler: str | None = None,
    guidance: float | None = None,
    seed: int | None = None,
    width: int | None = None,
    height: int | None = None,
    model: str | None = None,
) -> str:
    """The de-facto description of a picture that galleries of other tools read; None leaves a field out."""
    size = f"{width}x{height}" if width is not None and height is not None else None
    fields = {
        "Steps": steps,
        "Sampler": sampler,
        "CFG scale": guidance,
        "Seed": seed,
        "Size": size,
        "Model": model,
    }
    lines = [prompt]
    if negative:
        lines.append(f"Negative prompt: {negative}")
    settings = ", ".join(f"{name}: {value}" for name, value in fields.items() if value is not None)
    if settings:
        lines.append(settings)
    return "\n".join(lines)


# --- pixels


def pixels_sha256(png: bytes) -> str:
    """sha256 of the pixels: 8-bit RGB, or RGBA where the picture has transparency, row by row from the top left.

    Raises FileError for what cannot be decoded and for more pixels than Pillow's limit against bombs.
    """
    # text chunks stay out: Pillow unpacks them as well, within limits of its own
    bare = b"".join([SIGNATURE, *(png[c.start : c.end] for c in _chunks(png) if c.kind in _PIXELS)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(bare), formats=["PNG"]) as picture:
                has_alpha = "A" in picture.getbands() or "transparency" in picture.info
                pixels = picture.convert("RGBA" if has_alpha else "RGB").tobytes()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileError(f"has more than {Image.MAX_IMAGE_PIXELS} pixels") from error
    except UnidentifiedImageError as error:  # its message names the buffer
        raise FileError("is no picture that can be decoded") from error
    except Exception as error:  # damaged pictures make Pillow raise a dozen kinds
        raise FileError(f"cannot be decoded ({error})") from error
    return hashlib.sha256(pixels).hexdigest()
