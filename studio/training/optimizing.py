"""Optimizers: AdamW, and Muon for the matrices with AdamW for the rest; their state as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import Parameter

_BETAS = (0.9, 0.99)


class Optimizer:
    """Takes steps along the gradients of a network's weights."""

    def __init__(self, weights: Iterable[Parameter], kind: str, weight_decay: float) -> None:
        """``kind``: ``adamw``, or ``muon`` (Jordan et al. 2024, with steps as long as AdamW's: Liu et al. 2025)."""
        weights = list(weights)
        matrices = [weight for weight in weights if weight.ndim > 1]
        vectors = [weight for weight in weights if weight.ndim <= 1]
        self._flat: list[tuple[Parameter, Parameter]] = []
        decayed = matrices
        if kind == "muon":
            # Muon takes matrices: a convolution is one with a row per output channel, in the same memory
            self._flat = [(w, Parameter(_matrix(w.detach()))) for w in matrices]
            decayed = []
        groups = [
            {"params": decayed, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [group for group in groups if group["params"]],
                betas=_BETAS,
                fused=weights[0].is_cuda,
            )
        ]
        if self._flat:
            flat = [view for _, view in self._flat]
            self._parts.append(
                torch.optim.Muon(flat, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )

    def step(self, rate: float) -> None:
        """Move the weights, and forget the gradients."""
        for weight, view in self._flat:
            view.grad = None if weight.grad is None else _matrix(weight.grad, like=weight)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)
        for weight, _ in self._flat:
            weight.grad = None

    def state(self) -> list[dict[int, dict[str, Tensor]]]:
        """All that the next step depends on beside weights and gradients: a copy."""
        return [
            {
                number: {name: value.detach().clone() for name, value in entry.items()}
                for number, entry in part.state_dict()["state"].items()
            }
            for part in self._parts
        ]

    def restore(self, state: list[dict[int, dict[str, Tensor]]]) -> None:
        """Take up a former state."""
        for part, entries in zip(self._parts, state, strict=True):
            document = part.state_dict()
            document["state"] = {number: dict(_copied(entry)) for number, entry in entries.items()}
            part.load_state_dict(document)


def _matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """A weight as a matrix, in the order that ``like`` (else itself) has in memory: so it is the same memory."""
    if weight.ndim == 4 and not (weight if like is None else like).is_contiguous():
        weight = weight.permute(0, 2, 3, 1)
    return weight.reshape(len(weight), -1)


def _copied(entry: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, value in entry.items():
        yield name, value.clone()
