"""What differs between the environments and the models of which two manifests speak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from studio.graph import Json

PLACES = ("studio", "python", "platform")


def environment(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    """``name: before -> after`` for versions, platform and everything of the numerics class."""
    return [*_changes({key: before.get(key) for key in PLACES}, {key: after.get(key) for key in PLACES}),
            *numerics(before, after)]  # fmt: skip


def numerics(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    """What differs of the numerics class alone: that on which the bits depend."""
    return list(_changes(_object(before.get("numerics")), _object(after.get("numerics"))))


def models(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    """``model NAME/COMPONENT: before -> after`` where the content is another."""
    old, new = _object(before.get("models")), _object(after.get("models"))
    return [
        f"model {name}: {_short(old.get(name))} -> {_short(new.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{name}: {_word(before.get(name))} -> {_word(after.get(name))}"


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _word(value: Json) -> str:
    return "unknown" if value is None else str(value)


def _short(digest: Json) -> str:
    return "none" if digest is None else f"{str(digest)[:12]}…"
