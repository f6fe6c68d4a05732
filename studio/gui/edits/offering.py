"""Which node types suit a link, those that are meant most often first."""

from __future__ import annotations

from studio.graph import Types, Value, fits

USUAL = (
    "load_model",
    "text_encoder",
    "noise_source",
    "denoise",
    "scheduler",
    "vae_decode",
    "save_image",
    "preview",
    "vae_encode",
    "inpaint_mask",
    "load_image",
)
"""The node types that most graphs are made of: where several would do, one of these is meant, the first first."""


def usualness(type_id: str) -> tuple[int, str]:
    """A key to sort types by: those that are meant most often first, then the rest by name."""
    return (USUAL.index(type_id) if type_id in USUAL else len(USUAL), type_id)


def matching_types(
    types: Types, *, output: type[Value] | None = None, port: type[Value] | None = None
) -> list[str]:
    """The node types that a link from ``output`` could enter, or that could feed ``port``; the best match first.

    Those that take it into a parameter come after those that have an input for it.
    """
    ranked: list[tuple[bool, bool, tuple[bool, bool], tuple[int, str]]] = []
    for type_id, declared in types.items():
        ranks: list[tuple[bool, bool, bool]] = []
        if output is not None:
            ranks = [
                (declared.input(one.name) is None, one.optional, one.type is not output)
                for one in declared.sockets
                if fits(output, one.type)
            ]
        elif port is not None:
            ranks = [
                (False, False, one.type is not port)
                for one in declared.outputs
                if fits(one.type, port)
            ]
        if ranks:
            is_param, *rest = min(ranks)
            ranked.append((is_param, type_id not in USUAL, (rest[0], rest[1]), usualness(type_id)))
    return [type_id for _, _, _, (_, type_id) in sorted(ranked)]
