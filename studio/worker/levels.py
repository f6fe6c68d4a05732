"""Where the stored states of a trajectory stand, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from studio.plan import KeyedChain
from studio.remote import Message
from studio.values import Latents, Schedule, State
from studio.worker.pictures import pictures_of, pixels_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Levels:
    """Where on the way from noise to picture the states of a chain stand, the first before the first step."""

    sigmas: Sequence[float | None] = ()
    timesteps: Sequence[float | None] = ()
    begin: int = 0
    """Passes of the whole schedule that lie before the first step."""
    total: int = 0
    """Passes of the whole schedule; 0 where there is none."""
    is_wide: bool = False
    """Whether a state is a picture plus sigma times noise, and not scaled back to the spread of one."""

    def pixels(self, step: int, state: State) -> Message:
        """A state and the picture that it predicts, as small pictures of one size."""
        latents, denoised = (state.data.get(name) for name in ("latents", "denoised"))
        family = str(state.data.get("family", ""))
        sigma = self.sigmas[step]
        if latents is None:
            return {"width": 0, "height": 0, "x_t": None, "x_0": None}
        shown = cast("Tensor", latents)
        if self.is_wide and sigma is not None:
            shown = shown / math.sqrt(1 + sigma * sigma)
        small = pixels_of(pictures_of(Latents(shown, family))[0])
        x_0 = None
        if denoised is not None:
            x_0 = pixels_of(pictures_of(Latents(cast("Tensor", denoised), family))[0])["rgb"]
        return {"width": small["width"], "height": small["height"], "x_t": small["rgb"], "x_0": x_0}


def levels_of(chain: KeyedChain) -> Levels:
    """Levels of the states of a chain; unknown where it follows no schedule."""
    unknown = [None] * (len(chain.steps) + 1)
    schedule = chain.start.spec.unhashed.get("schedule")
    first = chain.steps[0].spec.unhashed.get("index") if chain.steps else None
    if not isinstance(schedule, Schedule) or not isinstance(first, int):
        return Levels(unknown, unknown)
    from studio.diffusion.solvers import Solver

    table = Solver(schedule).table
    indices = range(first, first + len(chain.steps) + 1)
    return Levels(
        [table.sigma(index) for index in indices],
        [table.timesteps[index] if index < table.passes else 0.0 for index in indices],
        first,
        table.passes,
        table.init_noise_sigma > 1.0 + 1e-6,
    )
