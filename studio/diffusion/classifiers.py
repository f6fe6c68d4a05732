"""Classifier guidance (Dhariwal & Nichol 2021, section 4): a prediction moved along the gradient of log p(y | x_t)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor
from torch.nn import Module

from studio.diffusion.networks import held
from studio.graph import Value
from studio.registry import Context, Spec
from studio.values import ModelRef, Trained


def gradient(classifier: Module, x: Tensor, timestep: Tensor, label: int) -> Tensor:
    """The gradient of log p(label | x_t) with respect to x_t: float32 like ``x``, of each picture by itself.

    ``x``: float32 [B, C, h, w], as the denoising network is given it. May be called in inference mode, in which the
    weights must not have been made.
    """
    with torch.inference_mode(False), torch.enable_grad():
        # tensors made in inference mode cannot enter autograd: their copies can
        x = x.clone().requires_grad_()
        logits: Tensor = classifier(x, timestep.clone().reshape(-1))
        chances = torch.log_softmax(logits.float(), dim=-1)
        (found,) = torch.autograd.grad(chances[:, label].sum(), x)
    return found


def shifted(prediction: Tensor, step: Tensor, levels: tuple[float, float], kind: str) -> Tensor:
    """A prediction after its noise was moved by - noise · ``step``, where x_t = signal x_0 + noise eps stays as it is.

    Dhariwal & Nichol 2021, algorithm 2, for ``kind`` epsilon; what the same does to x_0 makes the others: sample,
    v_prediction (signal eps - noise x_0) and flow (eps - x_0). ``step``: strength times gradient, like x_t; channels
    that the prediction has beyond it (a learned variance) stay. ``levels``: signal and noise, signal above 0.
    """
    signal, noise = levels
    of_noise = -noise
    of_picture = noise**2 / signal
    factor = {
        "epsilon": of_noise,
        "sample": of_picture,
        "v_prediction": signal * of_noise - noise * of_picture,
        "flow": of_noise - of_picture,
    }[kind]
    channels = step.shape[1]
    moved = prediction[:, :channels] + factor * step
    return torch.cat([moved, prediction[:, channels:]], dim=1)


def guided(
    prediction: Tensor,
    x: Tensor,
    timestep: Tensor,
    spec: Spec,
    inputs: Mapping[str, Value],
    ctx: Context,
) -> Tensor:
    """A prediction after all classifiers that act in a step; as it is where none does.

    ``x``: the scaled latents, float32 [1, C, h, w].
    """
    params = spec.params
    if "classifiers" not in params:
        return prediction
    refs = cast("list[ModelRef]", params["classifiers"])
    labels = cast("list[int]", params["labels"])
    strengths = cast("list[float]", params["label_strengths"])
    total = torch.zeros_like(x)
    for number, (ref, label, strength) in enumerate(zip(refs, labels, strengths, strict=True)):
        trained = inputs.get(f"classifier.{number}")
        if trained is not None:
            ref = replace(ref, result=cast("Trained", trained))
        # loaded here, its weights are no tensors of inference mode
        with torch.inference_mode(False), held(ref, ctx) as classifier:
            slope = gradient(classifier, x, timestep, label)
        total += strength * slope
    levels = cast("tuple[float, float]", tuple(cast("list[float]", params["levels"])))
    return shifted(prediction, total, levels, cast("str", params["predicts"]))
