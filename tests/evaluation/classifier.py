"""A judge of pictures: a small convolutional network that tells what a scene shows, trained on the painter's own.

It tells style, time, weather and terrain of the whole, and of each of three places (left, centre, right) which
subject stands there, in which colour and how big. So "a small tree on the left and a house on the right" has one
answer, whichever of the two the scene calls its subject.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from studio.diffusion import runtime
from studio.keys import digest
from studio.training.scenes import VERSION, Scene
from studio.training.scenes.attributes import (
    COLORED,
    COLORS,
    NONE,
    POSITIONS,
    SIZES,
    STYLES,
    SUBJECTS,
    TERRAINS,
    TIMES,
    WEATHERS,
)
from tests.evaluation.augmentation import soften
from tests.evaluation.scenes import Pictures, any_addresses, paint_all

WHOLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "style": tuple(name for name, weight in STYLES.items() if weight),
        "time": tuple(TIMES),
        "weather": tuple(WEATHERS),
        "terrain": tuple(TERRAINS),
    }
)
"""What is told of a whole picture, with its values."""
PLACED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"kind": tuple(SUBJECTS), "color": COLORS, "size": tuple(SIZES)}
)
"""What is told of each place, with its values; the first kind stands for nothing."""

_SIZE = 128
_NO_LABEL = -100
_WIDTHS = (24, 48, 96, 160)
_GRID = 8
_CENTERS = (0.25, 0.5, 0.75)
_BATCH = 128


@dataclass(frozen=True)
class Recipe:
    """How the judge is trained."""

    pictures: int = 16_000
    epochs: int = 8
    rate: float = 3e-3
    seed: int = 770_001
    version: int = 2
    """Of the network and the way it is trained."""

    def digest(self) -> str:
        """Of the recipe and of what the painter paints today: a judge of other scenes is another judge."""
        painted = paint_all(any_addresses(24, self.seed), _SIZE)
        tables = {name: list(values) for name, values in {**WHOLE, **PLACED}.items()}
        return digest(
            [asdict(self), tables, VERSION, hashlib.sha256(painted.tobytes()).hexdigest()]
        )


@dataclass(frozen=True)
class Sight:
    """What the judge sees in n pictures: probabilities, float32."""

    whole: Mapping[str, NDArray[np.float32]]
    """[n, values] by attribute."""
    placed: Mapping[str, NDArray[np.float32]]
    """[n, places, values] by attribute."""
    features: NDArray[np.float32]
    """[n, F], of length 1: alike where pictures show the like."""


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.silu(self.norm(self.conv(x)))


class Classifier(nn.Module):
    """Pictures, float [B, 3, 128, 128] in [0, 1], to logits by attribute."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        width = 12
        for number, wider in enumerate(_WIDTHS):
            stride = 2 if number else 1
            layers += [
                nn.Conv2d(width, wider, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(wider),
                nn.SiLU(),
            ]
            if number:
                layers.append(_Block(wider))
            width = wider
        self.trunk = nn.Sequential(*layers)
        self.whole = nn.ModuleDict(
            {name: nn.Linear(2 * width, len(values)) for name, values in WHOLE.items()}
        )
        # where to look for what stands at a place: columns about its middle to begin with
        columns = (torch.arange(_GRID) + 0.5) / _GRID
        about = torch.stack([torch.exp(-(((columns - x) / 0.12) ** 2)) for x in _CENTERS])
        looks = about[:, None, None, :].repeat(1, width, _GRID, 1) / _GRID**2
        self.looks = nn.Parameter(looks.flatten(2))
        self.hidden = nn.Sequential(nn.Linear(width, 256), nn.SiLU(), nn.Dropout(0.1))
        self.placed = nn.ModuleDict(
            {name: nn.Linear(256, len(values)) for name, values in PLACED.items()}
        )

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Logits [B, values] of the whole, [B, places, values] of the places, and features [B, F]."""
        seen = self.trunk((x - 0.5) / 0.25)
        features = torch.cat((seen.mean((2, 3)), seen.amax((2, 3))), 1)
        at_places = self.hidden(torch.einsum("bcs,pcs->bpc", seen.flatten(2), self.looks))
        return (
            {name: head(features) for name, head in self.whole.items()},
            {name: head(at_places) for name, head in self.placed.items()},
            features,
        )

    @torch.inference_mode()
    def see(self, pictures: Pictures) -> Sight:
        """Look at pictures of any size."""
        self.eval()
        whole: dict[str, list[Tensor]] = {name: [] for name in WHOLE}
        placed: dict[str, list[Tensor]] = {name: [] for name in PLACED}
        features = []
        for start in range(0, len(pictures), 256):
            one, two, found = self(_sized(_floats(pictures[start : start + 256], self.device)))
            for logits, kept in ((one, whole), (two, placed)):
                for name, values in logits.items():
                    kept[name].append(values.float().softmax(-1).cpu())
            features.append(functional.normalize(found.float(), dim=1).cpu())
        return Sight(
            {name: torch.cat(parts).numpy() for name, parts in whole.items()},
            {name: torch.cat(parts).numpy() for name, parts in placed.items()},
            torch.cat(features).numpy(),
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.looks.device


def _floats(pictures: Pictures | Tensor, device: torch.device) -> Tensor:
    found = torch.as_tensor(pictures).to(device)
    return found.permute(0, 3, 1, 2).float().div(255)


def _sized(pictures: Tensor) -> Tensor:
    if pictures.shape[-1] == _SIZE:
        return pictures
    return functional.interpolate(pictures, (_SIZE, _SIZE), mode="bilinear", antialias=True)


def labels(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """What is to be told: int64 [n] of the whole, [n, places] of the places, -100 where there is nothing to tell."""
    found: dict[str, list[object]] = {name: [] for name in (*WHOLE, *PLACED)}
    for one in scenes:
        for name, values in WHOLE.items():
            found[name].append(values.index(getattr(one, name)))
        for name, placed in _placed_labels(one).items():
            found[name].append(placed)
    return {name: torch.tensor(values) for name, values in found.items()}


def _placed_labels(one: Scene) -> dict[str, list[int]]:
    told = {
        "kind": [PLACED["kind"].index(NONE)] * len(POSITIONS),
        "color": [_NO_LABEL] * len(POSITIONS),
        "size": [_NO_LABEL] * len(POSITIONS),
    }
    for kind, color, position, size in (
        (one.subject, one.color, one.position, one.size),
        (one.companion, one.companion_color, one.companion_position, None),
    ):
        if kind == NONE:
            continue
        place = POSITIONS.index(position)
        told["kind"][place] = PLACED["kind"].index(kind)
        if kind in COLORED:
            told["color"][place] = PLACED["color"].index(color)
        if size is not None:
            told["size"][place] = PLACED["size"].index(size)
    return told


_FLIP = torch.tensor([POSITIONS.index(name) for name in ("right", "center", "left")])
"""Which place each place becomes in a mirror, in the order of ``POSITIONS``."""
assert POSITIONS == ("left", "center", "right"), "the places are taken from left to right"


def train(recipe: Recipe, device: str, tell: Callable[[str], None] = print) -> Classifier:
    """Train a judge; the recipe is the same on every device."""
    began = time.perf_counter()
    drawn = any_addresses(recipe.pictures, recipe.seed)
    pictures = paint_all(drawn, _SIZE)
    tell(f"judge: {len(pictures)} pictures painted in {time.perf_counter() - began:.0f} s")
    torch.manual_seed(recipe.seed)
    net = Classifier().to(device).train()
    data = torch.from_numpy(pictures).to(device)
    told = {name: values.to(device) for name, values in labels([a.scene for a in drawn]).items()}
    steps = recipe.epochs * (len(data) // _BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=max(steps, 2), pct_start=0.15
    )
    kind = torch.device(device).type
    is_mixed = runtime.multiplies_bfloat16(torch.device(device))
    done, order = 0, torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < _BATCH:
            order = torch.randperm(len(data))
        batch, order = order[:_BATCH].to(device), order[_BATCH:]
        batch_told = {name: values[batch] for name, values in told.items()}
        x = soften(_floats(data[batch], net.device))
        if step % 2:
            x = x.flip(3)
            for name in PLACED:
                batch_told[name] = batch_told[name][:, _FLIP.to(device)]
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(kind, torch.bfloat16, enabled=is_mixed):
            whole, placed, _ = net(x)
        loss = _loss(whole | placed, batch_told)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        schedule.step()
        if (done := step + 1) % 50 == 0 or done == steps:
            spent = time.perf_counter() - began
            tell(f"judge: step {done} of {steps}, loss {loss.item():.3f}, {spent:.0f} s")
    return net.eval()


def _loss(logits: Mapping[str, Tensor], told: Mapping[str, Tensor]) -> Tensor:
    losses = [
        functional.cross_entropy(
            values.float().flatten(0, -2), told[name].flatten(), ignore_index=_NO_LABEL
        )
        for name, values in logits.items()
    ]
    return torch.stack(losses).sum()


def save(net: Classifier, path: Path, digest_: str) -> None:
    """Write a judge and the digest of what it was trained on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    save_file(weights, path, {"recipe": digest_})


def load(path: Path, digest_: str, device: str) -> Classifier | None:
    """Read a judge; None if there is none, or one that learned from other scenes or in another way."""
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("recipe") != digest_:
                return None
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (FileNotFoundError, SafetensorError):
        return None
    net = Classifier()
    net.load_state_dict(weights)
    return net.to(device).eval()
