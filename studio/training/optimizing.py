"""Optimizers: AdamW, and Muon for the matrices with AdamW for the rest; their state as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from studio.diffusion import runtime

_BETAS = (0.9, 0.99)


class BatchedMuon(torch.optim.Muon):
    """Muon on all matrices of one shape at once: one by one, an accelerator waits for its many small kernels.

    Where bfloat16 would be emulated it works in float32.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # we have no closures
        """Move the matrices."""
        for group in self.param_groups:
            weights: list[Tensor] = [w for w in group["params"] if w.grad is not None]
            gradients: list[Tensor] = [weight.grad for weight in weights if weight.grad is not None]
            for weight in weights:
                if "momentum_buffer" not in self.state[weight]:
                    self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
            momenta = [self.state[weight]["momentum_buffer"] for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            shapes: dict[torch.Size, list[int]] = {}
            for number, weight in enumerate(weights):
                shapes.setdefault(weight.shape, []).append(number)
            for shape, numbers in shapes.items():
                turned = _orthogonal(torch.stack([updates[number] for number in numbers]))
                # steps as long as AdamW's: Liu et al. 2025
                length = group["lr"] * 0.2 * max(shape) ** 0.5
                moved = [weights[number] for number in numbers]
                torch._foreach_add_(moved, list(turned.float().unbind()), alpha=-length)


def _orthogonal(matrices: Tensor) -> Tensor:
    """Near orthogonal matrices, [N, r, c]: five Newton-Schulz steps, bfloat16 is enough (Jordan et al. 2024)."""
    is_tall: bool = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if is_tall else matrices
    if runtime.multiplies_bfloat16(x.device):
        x = x.bfloat16()
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    found: Tensor = x.mT if is_tall else x
    return found


class Optimizer:
    """Takes steps along the gradients of a network's weights."""

    def __init__(self, learned: Mapping[str, Parameter], kind: str, weight_decay: float) -> None:
        """``kind``: ``adamw``, or ``muon`` (Jordan et al. 2024, with steps as long as AdamW's: Liu et al. 2025)."""
        weights = list(learned.values())
        # the rows of an embedding are vectors, each for itself
        matrices = [w for name, w in learned.items() if w.ndim > 1 and not _is_embedding(name)]
        vectors = [w for name, w in learned.items() if w.ndim <= 1 or _is_embedding(name)]
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
            device = weights[0].device
            is_stock = device.type == "cpu" and runtime.multiplies_bfloat16(device)
            kind_of = torch.optim.Muon if is_stock else BatchedMuon
            self._parts.append(
                kind_of(flat, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
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


def _is_embedding(name: str) -> bool:
    return name.endswith("embedding.weight")


def _matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """A weight as a matrix, in the order that ``like`` (else itself) has in memory: so it is the same memory."""
    if weight.ndim == 4 and not (weight if like is None else like).is_contiguous():
        weight = weight.permute(0, 2, 3, 1)
    return weight.reshape(len(weight), -1)


def _copied(entry: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, value in entry.items():
        yield name, value.clone()
