"""A few declared nodes, enough to build graphs of every shape without the core pack."""

from __future__ import annotations

from typing import Annotated

from studio.graph import NodeKind, Types
from studio.registry import Choice, Multiline, Output, Points, Range, Seed, node, node_type
from studio.values import (
    Conditioning,
    Embedding,
    Image,
    Integer,
    Latents,
    Noise,
    Number,
    Picture,
    Text,
)


@node("text", version=1, category="text")
def text(prompt: Annotated[str, Multiline()] = "", note: str | None = None) -> Embedding:
    """A prompt."""
    raise AssertionError("only declared")


@node("noise", version=1, category="noise", kind=NodeKind.DESCRIBE)
def noise(
    seed: Annotated[int, Seed()] = 0, width: Annotated[int, Range(8, 4096, step=8)] = 128
) -> Noise:
    """A noise."""
    raise AssertionError("only declared")


@node("paint", version=2, category="sampling")
def paint(
    positive: Conditioning,
    noise: Noise,
    latents: Latents | None = None,
    guidance: Annotated[float, Range(0, 30)] = 5.0,
    steps: Annotated[int, Range(1, 1000)] = 20,
    sampler: Annotated[str, Choice("ddim", "euler")] = "ddim",
    curve: Annotated[list[object], Points(0, 30)] = [[0.0, 1.0]],  # noqa: B006 - read as a schema
    is_tiled: bool = False,
) -> Latents:
    """Latents from a prompt and a noise."""
    raise AssertionError("only declared")


@node("blend", version=1, category="latents")
def blend(
    first: Latents, second: Latents | None = None, share: Annotated[float, Range(0, 1)] = 0.5
) -> Latents:
    """A mixture of latents."""
    raise AssertionError("only declared")


@node("decode", version=1, category="vae")
def decode(latents: Latents) -> Image:
    """Pixels of latents."""
    raise AssertionError("only declared")


@node("save", version=1, category="output", is_output=True)
def save(image: Image, name: str = "picture") -> Picture:
    """A file."""
    raise AssertionError("only declared")


@node("count", version=1, category="value", kind=NodeKind.DESCRIBE)
def count(value: int = 8) -> Annotated[Integer, Output("value")]:
    """A whole number."""
    raise AssertionError("only declared")


@node("amount", version=1, category="value", kind=NodeKind.DESCRIBE)
def amount(of: Number | None = None, value: float = 0.5) -> Annotated[Number, Output("value")]:
    """A number."""
    raise AssertionError("only declared")


@node("words", version=1, category="value", kind=NodeKind.DESCRIBE)
def words(value: str = "") -> Annotated[Text, Output("value")]:
    """A text."""
    raise AssertionError("only declared")


TYPES: Types = {
    declared.id: declared
    for declared in map(node_type, (text, noise, paint, blend, decode, save, count, amount, words))
    if declared is not None
}
