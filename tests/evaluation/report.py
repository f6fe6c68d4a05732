"""The report: figures as plain data, beside their goals, and as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.evaluation.measures import Verdict, accuracy, by_value, counts
from tests.evaluation.scenes import SETS

GOAL_DB = 30.0
LINE_DB = 24.0
GOAL_RATIO = 0.95
GOAL_BYTES = 40_000_000
GOAL_SECONDS = 1.5


@dataclass(frozen=True)
class Judged:
    """What a judge says of one set of scenes."""

    generated: Sequence[Verdict]
    restored: Sequence[Verdict]
    """Of the true pictures, through the VAE and back."""
    real: Sequence[Verdict]
    """Of the true pictures: the ceiling."""


@dataclass(frozen=True)
class Row:
    """One attribute in one set."""

    count: int
    generated: float
    restored: float
    real: float

    @property
    def ratio(self) -> float:
        """What is right in generated pictures, by what the judge tells right in true ones."""
        return self.generated / self.real if self.real else float("nan")


@dataclass(frozen=True)
class Findings:
    """All that was measured."""

    model: str
    settings: Mapping[str, str | int | float]
    sets: Mapping[str, Judged]
    decibels: Mapping[str, float]
    """PSNR of the VAE by style, and over all."""
    neighbours: Mapping[str, Mapping[str, float]]
    """Distances to the nearest pictures of the training, by the measure."""
    seconds: float
    """For one picture, by the clock."""
    core_seconds: float
    """For one picture, of all cores together."""
    sizes: Mapping[str, int]
    """Bytes of each file."""

    def rows(self, name: str) -> dict[str, Row]:
        """The attributes of a set."""
        judged = self.sets[name]
        generated, restored = accuracy(judged.generated), accuracy(judged.restored)
        real, count = accuracy(judged.real), counts(judged.real)
        return {one: Row(count[one], generated[one], restored[one], real[one]) for one in real}


def goals(found: Findings) -> list[tuple[str, str, bool]]:
    """Each goal, what was measured, and whether it is met."""
    size = sum(found.sizes.values())
    below = {
        name: row.ratio
        for name, row in found.rows("held out").items()
        if not row.ratio >= GOAL_RATIO
    }
    told = ", ".join(f"{name} {ratio:.3f}" for name, ratio in below.items()) or "all"
    return [
        (
            f"VAE at least {GOAL_DB:g} dB",
            f"{found.decibels['all']:.2f} dB",
            found.decibels["all"] >= GOAL_DB,
        ),
        (
            f"VAE at least {LINE_DB:g} dB on line drawings",
            f"{found.decibels.get('line', float('nan')):.2f} dB",
            found.decibels.get("line", 0.0) >= LINE_DB,
        ),
        (f"held out: every attribute at least {GOAL_RATIO:g} of its ceiling", told, not below),
        (
            f"files at most {GOAL_BYTES / 1e6:g} MB",
            f"{size / 1e6:.2f} MB",
            size <= GOAL_BYTES,
        ),
        (
            f"a picture in at most {GOAL_SECONDS:g} s on two idle cores",
            f"{found.seconds:.2f} s, {found.core_seconds:.2f} core-seconds,"
            f" {found.settings['device']}, {found.settings['threads']} threads",
            found.seconds <= GOAL_SECONDS,
        ),
    ]


def as_data(found: Findings) -> dict[str, object]:
    """The findings as JSON has them."""
    return {
        "model": found.model,
        "settings": dict(found.settings),
        "goals": [
            {"goal": goal, "found": value, "met": is_met} for goal, value, is_met in goals(found)
        ],
        "sets": {
            name: {
                attribute: {
                    "count": row.count,
                    "generated": row.generated,
                    "through the VAE": row.restored,
                    "real": row.real,
                    "ratio": row.ratio,
                }
                for attribute, row in found.rows(name).items()
            }
            for name in found.sets
        },
        "values": {
            name: {
                attribute: {
                    value: {"count": count, "generated": share}
                    for value, (count, share) in by_value(judged.generated, attribute).items()
                }
                for attribute in accuracy(judged.generated)
            }
            for name, judged in found.sets.items()
        },
        "vae_db": dict(found.decibels),
        "neighbours": {name: dict(values) for name, values in found.neighbours.items()},
        "seconds": found.seconds,
        "core_seconds": found.core_seconds,
        "bytes": dict(found.sizes),
    }


def as_markdown(found: Findings) -> str:
    """The findings as a page."""
    told = ", ".join(f"{name} {value}" for name, value in found.settings.items())
    lines = [f"# Evaluation of {found.model}", "", f"{told}.", "", "## Goals", ""]
    lines += _table(
        ("goal", "found", "met"),
        [(goal, value, "yes" if is_met else "**no**") for goal, value, is_met in goals(found)],
    )
    lines += ["", "## Attributes", "", _LEGEND, ""]
    for name in found.sets:
        lines += [f"### {name[0].upper()}{name[1:]}: {SETS[name].meaning}", ""]
        lines += _table(
            ("attribute", "n", "generated", "through the VAE", "ceiling", "ratio"),
            [
                (
                    attribute,
                    str(row.count),
                    *(f"{share:.3f}" for share in (row.generated, row.restored, row.real)),
                    f"{row.ratio:.3f}" if row.ratio >= GOAL_RATIO else f"**{row.ratio:.3f}**",
                )
                for attribute, row in found.rows(name).items()
            ],
        )
        lines.append("")
    lines += ["## What is painted well, all sets together, prompts that leave all open too", ""]
    lines += [*_by_style(found), "", *_by_value(found, "subject"), ""]
    lines += [*_by_value(found, "weather"), "", *_by_value(found, "color"), ""]
    lines += ["## VAE", "", "PSNR in dB, mean over pictures of held-out scenes, 8 bit.", ""]
    lines += _table(
        tuple(found.decibels), [tuple(f"{value:.2f}" for value in found.decibels.values())]
    )
    lines += ["", "## Nearest pictures of the training", "", _NEAREST, ""]
    measured = next(iter(found.neighbours.values()))
    lines += _table(
        ("distance", *measured),
        [
            (name, *(f"{value:.4f}" for value in values.values()))
            for name, values in found.neighbours.items()
        ],
    )
    lines += ["", "## Files", ""]
    lines += _table(
        ("file", "bytes"),
        [(name, f"{size:,}") for name, size in found.sizes.items()]
        + [("all", f"{sum(found.sizes.values()):,}")],
    )
    return "\n".join(lines) + "\n"


_LEGEND = (
    "Share of pictures in which the judge, a classifier trained on the painter's own pictures, sees what was asked for:"
    " in generated pictures, in the true pictures of the same scenes after the VAE, and in the true pictures themselves"
    " (the ceiling). Ratio: generated by ceiling; bold below the goal."
)
_NEAREST = (
    "Medians, over pictures with held-out prompts, of the distance to the nearest of the training's pictures: generated"
    " pictures beside real ones of the same scenes. A ratio near 1 means that the model composes; well below, that it"
    " remembers."
)


def _by_style(found: Findings) -> list[str]:
    verdicts = [one for judged in found.sets.values() for one in judged.generated]
    styles = sorted({one.style for one in verdicts})
    table = {style: accuracy([one for one in verdicts if one.style == style]) for style in styles}
    names = [name for name in accuracy(verdicts) if all(name in table[s] for s in styles)]
    rows = [(name, *(f"{table[style][name]:.3f}" for style in styles)) for name in names]
    return _table(("generated, by style", *styles), rows)


def _by_value(found: Findings, attribute: str) -> list[str]:
    generated = by_value(
        [one for judged in found.sets.values() for one in judged.generated], attribute
    )
    real = by_value([one for judged in found.sets.values() for one in judged.real], attribute)
    rows = [
        (value, str(count), f"{share:.3f}", f"{real[value][1]:.3f}")
        for value, (count, share) in generated.items()
    ]
    return _table((attribute, "n", "generated", "ceiling"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
