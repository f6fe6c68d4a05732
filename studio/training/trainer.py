"""A training at work: the networks, their average, the optimizer and what was measured, step by step.

Every chance is addressed by (seed, step), so that a training restored from a frozen state goes on bit for bit as the
one that was frozen (float32 on a CPU).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from studio.errors import NodeError
from studio.graph import Json
from studio.registry import Context
from studio.training.autoencoding import Autoencoding
from studio.training.classifying import Classifying, is_classifying
from studio.training.controlling import Controlling
from studio.training.denoising import Denoising
from studio.training.inpainting import Inpainting
from studio.training.inversion import Inversion
from studio.training.optimizing import Optimizer
from studio.training.recipe import Plan
from studio.training.task import Origin, Task
from studio.training.upscaling import Upscaler
from studio.training.vae_plan import VaePlan
from studio.values import Trained


class Trainer:
    """One training. ``step`` changes it in place; ``frozen`` gives a copy from which ``Trainer`` goes on."""

    def __init__(
        self,
        plan: Plan | VaePlan,
        ctx: Context,
        *,
        base: Trained | None = None,
        frozen: Mapping[str, object] | None = None,
    ) -> None:
        """Begin a training, or take up a frozen one; raises NodeError if the data cannot be read."""
        self.plan = plan
        self.recipe = plan.recipe
        self.done = 0
        self.losses: list[float] = []
        self.norms: list[float] = []
        """Of the gradients, where they are clipped."""
        self.validations: list[dict[str, float]] = []
        """What was measured on the validation set, and after how many ``steps``."""
        self.sheets: list[Tensor] = []
        """What was painted on the way, uint8 [n, 3, H, W] each."""
        self._task = _task(plan, ctx, Origin(base, frozen))
        self._learned = self._task.learned
        if frozen is None:
            self._task.verify(ctx)
        recipe = plan.recipe
        self._optimizer = Optimizer(self._learned, recipe.optimizer, recipe.weight_decay)
        self._average: dict[str, Tensor] = {}
        if frozen is not None:
            self._restore(frozen)
        elif recipe.ema:
            self._average = {name: w.detach().clone() for name, w in self._learned.items()}

    # --- state

    def frozen(self) -> dict[str, object]:
        """The whole state as plain data, copied."""
        return {
            "plan": self.plan,
            "done": self.done,
            "configs": {name: dict(config) for name, config in self._task.configs.items()},
            "files": {name: dict(files) for name, files in self._task.files.items()},
            "weights": {name: _copy(weight) for name, weight in self._learned.items()},
            "average": {name: _copy(weight) for name, weight in self._average.items()},
            "optimizer": self._optimizer.state(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "norms": torch.tensor(self.norms, dtype=torch.float64),
            "validations": [dict(each) for each in self.validations],
            "sheets": list(self.sheets),
        }

    def _restore(self, frozen: Mapping[str, object]) -> None:
        self.done = cast("int", frozen["done"])
        weights = cast("Mapping[str, Tensor]", frozen["weights"])
        average = cast("Mapping[str, Tensor]", frozen["average"])
        with torch.no_grad():
            for name, weight in self._learned.items():
                weight.copy_(weights[name])
                if average:
                    self._average[name] = torch.empty_like(weight).copy_(average[name])
        self._optimizer.restore(cast("list[dict[int, dict[str, Tensor]]]", frozen["optimizer"]))
        self.losses = cast("Tensor", frozen["losses"]).tolist()
        # states of former versions have none
        if "norms" in frozen:
            self.norms = cast("Tensor", frozen["norms"]).tolist()
        validations = cast("list[dict[str, float]]", frozen["validations"])
        self.validations = [dict(each) for each in validations]
        self.sheets = list(cast("list[Tensor]", frozen["sheets"]))

    # --- one step

    def step(self, rate: float, ctx: Context, *, is_late: bool = False) -> dict[str, float]:
        """Learn from the next batches; returns what was measured. Raises NodeError once the loss is no number.

        ``is_late``: the last part of the training has begun.
        """
        recipe = self.recipe
        self._task.is_late = is_late
        parts = []
        for part in range(recipe.accumulate):
            ctx.check()
            value = self._task.loss(self.done * recipe.accumulate + part, ctx) / recipe.accumulate
            value.backward()  # type: ignore[no-untyped-call]  # torch's own
            parts.append(value.detach())
        norm = None
        if recipe.clip:
            norm = torch.nn.utils.clip_grad_norm_(self._learned.values(), recipe.clip)
        self._optimizer.step(rate)
        self.done += 1
        self._follow()
        # read last: an accelerator is given all its work before we wait for it
        total = float(sum(parts))
        if not math.isfinite(total):
            raise NodeError(
                f"the loss is no number after {self.done} steps",
                where=".learning_rate",
                remedy="lower the learning rate, clip the gradients, or train in float32",
            )
        self.losses.append(total)
        measured = {"loss": total, "rate": rate}
        if norm is not None:
            measured["gradient"] = float(norm)
            self.norms.append(measured["gradient"])
        return measured

    def _follow(self) -> None:
        """Let the average follow the weights, closely at first."""
        if not self.recipe.ema:
            return
        decay = min(self.recipe.ema, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self._average.values()),
                [self._learned[name] for name in self._average],
                1 - decay,
            )

    # --- looking at it

    def paint(self, ctx: Context) -> Tensor:
        """Pictures that show what it can do by now, uint8 [n, 3, H, W]; kept among the sheets."""
        with self._task.looking(self._average):
            self.sheets.append(self._task.paint(ctx))
        return self.sheets[-1]

    def validate(self, ctx: Context) -> dict[str, float]:
        """Measurements on pictures that are not learned from; empty where there are none."""
        with self._task.looking(self._average):
            measured = self._task.validate(ctx)
        if measured:
            self.validations.append({"steps": float(self.done), **measured})
        return measured

    # --- the result

    def trained(self, card: Mapping[str, Json]) -> Trained:
        """The average of the weights (or the weights, where there is no average) as an ordinary model."""
        learned = {name: _copy(weight) for name, weight in self._learned.items()}
        learned.update({name: _copy(weight) for name, weight in self._average.items()})
        result = self._task.result(learned)
        last = self.losses[-50:]
        measured: dict[str, Json] = {"steps": self.done}
        if last:
            measured["loss of the last steps"] = sum(last) / len(last)
        if self.validations:
            values = dict(self.validations[-1])
            del values["steps"]
            measured |= {name.replace("_", " "): round(v, 5) for name, v in values.items()}
        return Trained(result.weights, result.configs, {**card, "measured": measured}, result.files)


def _task(plan: Plan | VaePlan, ctx: Context, origin: Origin) -> Task:
    if isinstance(plan, VaePlan):
        return Autoencoding(plan, ctx, origin)
    if plan.new_word is not None:
        return Inversion(plan, ctx, origin)
    if plan.upscaling is not None:
        return Upscaler(plan, ctx, origin)
    if is_classifying(plan):
        return Classifying(plan, ctx, origin)
    if plan.hints is not None:
        return Controlling(plan, ctx, origin)
    if plan.is_inpainting:
        return Inpainting(plan, ctx, origin)
    return Denoising(plan, ctx, origin)


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().cpu().clone(memory_format=torch.contiguous_format)
