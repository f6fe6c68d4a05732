"""How well a model paints what it was asked for: ``python -m tests.evaluation [MODEL]``.

A judge, a small classifier trained on the painter's pictures, looks at what the model paints and at the true pictures
of the same scenes. The report lies in a folder: ``report.md``, ``report.json`` and sheets of the first pictures of
each set, none of them picked.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from studio.errors import StudioError
from tests.evaluation import classifier
from tests.evaluation.classifier import Classifier, Recipe
from tests.evaluation.measures import (
    Nearest,
    accuracy,
    compared,
    judge,
    nearest_by_features,
    nearest_by_pixels,
    psnr,
)
from tests.evaluation.model import Painter, Way, file_sizes, folder_of
from tests.evaluation.report import Findings, Judged, as_data, as_markdown, goals
from tests.evaluation.scenes import (
    SETS,
    Address,
    Pictures,
    addresses,
    any_addresses,
    paint_all,
    training_addresses,
)
from tests.evaluation.sheets import interleaved, write_sheet

_SHOWN = 36


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    wanted = _parser().parse_args(arguments)
    device = wanted.device or ("cuda" if torch.cuda.is_available() else "cpu")
    recipe = Recipe(wanted.judge_pictures, wanted.judge_epochs)
    try:
        if wanted.train_classifier:
            _judge(wanted.train_classifier, recipe, device, is_anew=True)
            return 0
        _evaluate(wanted, recipe, device)
    except StudioError as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    way = Way.shipped()
    parser = argparse.ArgumentParser("python -m tests.evaluation", description=__doc__)
    add = parser.add_argument
    add("model", nargs="?", default="starter", help="name in the library, or a folder (starter)")
    add("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    add(
        "--count",
        type=int,
        default=120,
        help="scenes in each of the four sets; of 120 a share is known to 0.02 or so (%(default)s)",
    )
    add("--seed", type=int, default=1_000_003, help="of scenes and noise (%(default)s)")
    add("--out", type=Path, default=Path("evaluation"), help="folder of the report (%(default)s)")
    add("--steps", type=int, default=way.steps, help="of DDIM (%(default)s)")
    add("--guidance", type=float, default=way.guidance, help="(%(default)s)")
    add("--classifier", type=Path, help="file of the judge (judge.safetensors in the folder)")
    add(
        "--train-classifier",
        type=Path,
        metavar="OUT",
        help="train a judge, say how well it sees, write it to this file and do nothing else",
    )
    add("--judge-pictures", type=int, default=Recipe.pictures, help="(%(default)s)")
    add("--judge-epochs", type=int, default=Recipe.epochs, help="(%(default)s)")
    add("--training-seed", type=int, default=0, help="of the scenes it learned from (%(default)s)")
    add(
        "--neighbours",
        type=int,
        default=6000,
        help="pictures of the training that are compared with (%(default)s)",
    )
    return parser


def _judge(path: Path, recipe: Recipe, device: str, *, is_anew: bool = False) -> Classifier:
    digest = recipe.digest()
    net = None if is_anew else classifier.load(path, digest, device)
    if net is not None:
        _tell(f"judge: read from {path}")
        return net
    if path.exists():
        _tell(f"judge: {path} learned from other scenes or in another way; training a new one")
    net = classifier.train(recipe, device, _tell)
    classifier.save(net, path, digest)
    fresh = any_addresses(min(2000, recipe.pictures), recipe.seed + 1)
    found = accuracy(judge([one.scene for one in fresh], net.see(paint_all(fresh, 128))))
    told = ", ".join(f"{name} {share:.3f}" for name, share in found.items())
    _tell(f"judge: right on {len(fresh)} new pictures: {told}; written to {path}")
    return net


def _evaluate(wanted: argparse.Namespace, recipe: Recipe, device: str) -> None:
    out: Path = wanted.out
    out.mkdir(parents=True, exist_ok=True)
    folder = folder_of(wanted.model)
    painter = Painter(folder, device, Way(wanted.steps, wanted.guidance))
    net = _judge(wanted.classifier or out / "judge.safetensors", recipe, device)
    asked = {name: addresses(name, wanted.count, wanted.seed) for name in SETS}
    seconds, core_seconds = painter.seconds(asked["seen"][0])
    real, made, judged = {}, {}, {}
    for name, several in asked.items():
        began = time.perf_counter()
        real[name] = paint_all(several, painter.size)
        made[name] = painter.paint(several)
        looked_at = (made[name], painter.restore(real[name]), real[name])
        judged[name] = _judged(net, several, looked_at, SETS[name].unasked)
        _tell(f"{name}: {len(several)} pictures in {time.perf_counter() - began:.0f} s")
        shown = min(_SHOWN, len(several))
        prompts = [one.prompt for one in several[:shown]]
        write_sheet(out / f"{name.replace(' ', '-')}.png", made[name][:shown], prompts)
    held_out = asked["held out"]
    findings = Findings(
        wanted.model,
        {
            "count": wanted.count,
            "seed": wanted.seed,
            "steps": wanted.steps,
            "guidance": wanted.guidance,
            "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "prompts cut short": sum(painter.cut(several) for several in asked.values()),
        },
        judged,
        _decibels(painter, held_out, real["held out"], out),
        _neighbours(net, wanted, made["held out"], real["held out"], out),
        seconds,
        core_seconds,
        file_sizes(folder),
    )
    (out / "report.json").write_text(json.dumps(as_data(findings), indent=2) + "\n", "utf-8")
    (out / "report.md").write_text(as_markdown(findings), "utf-8")
    for goal, value, is_met in goals(findings):
        print(f"{'met    ' if is_met else 'not met'}  {goal}: {value}")
    print(out / "report.md")


def _judged(
    net: Classifier,
    asked: list[Address],
    looked_at: tuple[Pictures, Pictures, Pictures],
    unasked: frozenset[str],
) -> Judged:
    scenes = [one.scene for one in asked]
    verdicts = (judge(scenes, net.see(pictures)) for pictures in looked_at)
    return Judged(*([one for one in each if one.attribute not in unasked] for each in verdicts))


def _decibels(
    painter: Painter, asked: list[Address], real: Pictures, out: Path
) -> dict[str, float]:
    restored = painter.restore(real)
    found = psnr(real, restored)
    styles = [one.scene.style for one in asked]
    shown = min(_SHOWN // 2, len(asked))
    captions = [
        caption
        for style, value in zip(styles[:shown], found[:shown], strict=True)
        for caption in (f"{style}: painted", f"through the VAE, {value:.1f} dB")
    ]
    write_sheet(out / "vae.png", interleaved(real[:shown], restored[:shown]), captions)
    by_style = {
        style: float(found[[one == style for one in styles]].mean())
        for style in sorted(set(styles))
    }
    return {"all": float(found.mean()), **by_style}


def _neighbours(
    net: Classifier, wanted: argparse.Namespace, made: Pictures, real: Pictures, out: Path
) -> dict[str, dict[str, float]]:
    known = training_addresses(wanted.neighbours, wanted.training_seed)
    training = paint_all(known, made.shape[1])
    features = net.see(training).features
    by_pixels = nearest_by_pixels(made, training)
    by_features = nearest_by_features(net.see(made).features, features)
    shown = min(_SHOWN // 3, len(made))
    rows = interleaved(
        made[:shown], training[by_pixels.index[:shown]], training[by_features.index[:shown]]
    )
    write_sheet(out / "nearest.png", rows, _neighbour_captions(by_pixels, by_features, shown))
    found = {
        "pixels": compared(by_pixels, nearest_by_pixels(real, training)),
        "features": compared(by_features, nearest_by_features(net.see(real).features, features)),
    }
    return {name: dict(values) for name, values in found.items()}


def _neighbour_captions(by_pixels: Nearest, by_features: Nearest, shown: int) -> list[str]:
    captions = []
    for number in range(shown):
        captions += [
            "generated",
            f"nearest by pixels: {by_pixels.distance[number]:.3f}",
            f"nearest by features: {by_features.distance[number]:.3f}",
        ]
    return captions


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
