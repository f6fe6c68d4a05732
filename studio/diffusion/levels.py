"""How much of the picture and how much noise a network's input has at a timestep; no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from studio.values import Schedule


@dataclass(frozen=True)
class Levels:
    """x_t = signal x_0 + noise eps, at every timestep of a network's training.

    The network is told the timestep of a step, so whatever a solver makes of its sigmas, these are the network's own.
    """

    kept: tuple[float, ...]
    """alpha_bar by timestep; empty in flow matching, whose noise is the timestep's share of ``count``."""
    count: int

    @classmethod
    def of(cls, schedule: Schedule, betas: Sequence[float] | None) -> Levels | None:
        """Those of a schedule; None where there is neither a variance schedule nor flow matching."""
        config = schedule.config
        count = config.get("num_train_timesteps", 1000)
        if prediction(schedule) == "flow" and isinstance(count, int):
            return cls((), count)
        if betas is None:
            return None
        kept = list(accumulate((1 - beta for beta in betas), mul))
        if config.get("rescale_betas_zero_snr"):
            # Lin et al. 2023, algorithm 1
            roots = [math.sqrt(one) for one in kept]
            first, last = roots[0], roots[-1]
            kept = [((root - last) * first / (first - last)) ** 2 for root in roots]
        return cls(tuple(kept), len(kept))

    def at(self, timestep: float) -> tuple[float, float]:
        """Signal and noise; between two timesteps the logarithm of their ratio goes straight."""
        if not self.kept:
            noise = min(max(timestep / self.count, 0.0), 1.0)
            return 1 - noise, noise
        place = min(max(timestep, 0.0), self.count - 1.0)
        left = min(int(place), self.count - 2) if self.count > 1 else 0
        share = place - left
        low, high = self.kept[left], self.kept[min(left + 1, self.count - 1)]
        if share == 0 or not high > 0 or not low < 1:
            kept = high if share == 1 else low
        else:
            ratio = (1 - share) * math.log(1 / low - 1) + share * math.log(1 / high - 1)
            kept = 1 / (1 + math.exp(ratio))
        return math.sqrt(kept), math.sqrt(1 - kept)


def prediction(schedule: Schedule) -> str:
    """What the network of a schedule predicts: epsilon, v_prediction, sample, or flow (noise - picture); "" if unknown.

    Unknown are the solvers that scale pictures and noise in ways of their own.
    """
    solver, config = schedule.solver, schedule.config
    if solver.startswith("EDM") or solver == "IPNDMScheduler":
        return ""
    kind = config.get("prediction_type", "epsilon")
    if solver.startswith("FlowMatch") or kind == "flow_prediction" or config.get("use_flow_sigmas"):
        return "flow"
    return kind if kind in ("epsilon", "v_prediction", "sample") else ""
