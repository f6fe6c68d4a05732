"""The training loop's states: a ``Trainer`` at work between those that are stored, plain data in those that are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from studio.graph import Value
from studio.registry import Context, Spec
from studio.training.recipe import Plan
from studio.training.trainer import Trainer
from studio.training.vae_plan import VaePlan
from studio.values import Image, State, Trained

AnyPlan = Plan | VaePlan

_MOST_SHEETS = 200
"""So many sheets are kept of one training; then every other goes."""


def start(spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
    """A training that has not begun to learn."""
    base = cast("Trained | None", inputs.get("base"))
    return _state(Trainer(cast("AnyPlan", spec.params["plan"]), ctx, base=base))


def step(state: State, spec: Spec, ctx: Context) -> State:
    """One step of a training, and a look at it where one is due."""
    trainer = _trainer(state, cast("AnyPlan", spec.unhashed["plan"]), ctx)
    rates = cast("tuple[float, ...]", spec.params["rates"])
    rate = rates[trainer.done - cast("int", spec.params["first"])]
    turn = cast("int | None", spec.params.get("turn"))
    measured = trainer.step(rate, ctx, is_late=turn is not None and trainer.done >= turn)
    recipe = trainer.recipe
    if _is_due(recipe.validate_every, trainer.done):
        measured |= trainer.validate(ctx)
    ctx.measure(measured)
    is_shown = _is_due(recipe.sample_every, trainer.done)
    if is_shown:
        trainer.paint(ctx)
        if len(trainer.sheets) > _MOST_SHEETS:
            del trainer.sheets[1::2]
    return _state(trainer, is_shown=is_shown)


def _is_due(every: int, done: int) -> bool:
    return every > 0 and done % every == 0


def _state(trainer: Trainer, *, is_shown: bool = False) -> State:
    return State({"live": trainer, "done": trainer.done, "is_shown": is_shown})


def _trainer(state: State, plan: AnyPlan, ctx: Context) -> Trainer:
    live = state.data.get("live")
    if isinstance(live, Trainer):
        assert live.done == state.data["done"], "a training went on without its state"
        return live
    return Trainer(plan, ctx, frozen=state.data)


def freeze(state: State) -> State:
    """The state as data that can be stored."""
    live = state.data.get("live")
    return State(live.frozen()) if isinstance(live, Trainer) else state


def finish(states: Sequence[State], ctx: Context) -> tuple[Trained, Image]:
    """The trained model, measured, and all that was painted on the way, a sheet each."""
    (state,) = states
    live = state.data.get("live")
    plan = live.plan if isinstance(live, Trainer) else cast("AnyPlan", state.data["plan"])
    trainer = _trainer(state, plan, ctx)
    if not _is_due(plan.recipe.sample_every, trainer.done):
        trainer.paint(ctx)
    if plan.validation is not None and not _is_due(plan.recipe.validate_every, trainer.done):
        ctx.measure(trainer.validate(ctx))
    sheets = torch.cat([_sheet(pictures) for pictures in trainer.sheets])
    return trainer.trained(plan.card()), Image(sheets)


def preview(state: State) -> Image | None:
    """What was painted in the step before, as one sheet."""
    live = state.data.get("live")
    if not isinstance(live, Trainer) or not state.data["is_shown"]:
        return None
    return Image(_sheet(live.sheets[-1]))


def _sheet(pictures: Tensor) -> Tensor:
    """Pictures, uint8 [n, 3, H, W], side by side in rows: float32 [1, 3, rows * H, columns * W] in [0, 1]."""
    count, channels, height, width = pictures.shape
    columns = next(c for c in range(1, count + 1) if c * c >= count)
    rows = -(-count // columns)
    sheet = torch.ones(channels, rows * height, columns * width)
    for number, picture in enumerate(pictures):
        top, left = number // columns * height, number % columns * width
        sheet[:, top : top + height, left : left + width] = picture.float() / 255
    return sheet[None]
