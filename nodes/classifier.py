"""Classifier guidance: labels that a classifier is to see in the picture, how strongly and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from studio.diffusion.levels import Levels, prediction
from studio.errors import GraphError, NodeError
from studio.graph import NodeKind, Ref, nearest
from studio.registry import Output, Planning, Range, node
from studio.values import (
    Aim,
    Classifier,
    ClassifierGuidance,
    Guidance,
    Model,
    Schedule,
    Span,
)


@node(
    "classifier_guidance",
    version=1,
    category="guidance",
    kind=NodeKind.DESCRIBE,
    aliases=("class_guidance", "label"),
)
def classifier_guidance(
    classifier: Classifier,
    classifier_guidance: ClassifierGuidance | None = None,
    curve: Guidance | None = None,
    label: str = "",
    strength: Annotated[float, Range(0, 100, 0.1)] = 5.0,
    start: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.0,
    end: Annotated[float, Range(0, 1, 0.01, "of the run")] = 1.0,
) -> Annotated[ClassifierGuidance, Output("classifier_guidance")]:
    """Lead a denoising to what a classifier takes for a label (Dhariwal & Nichol 2021, section 4).

    Each step moves the prediction along the gradient of log p(label | x_t), so that a network that was told of no
    classes paints one; text guides beside it. Several are chained: their gradients are added up. Steps outside the
    window, and those at strength 0, do not depend on it and keep their results.

    classifier: What is to see the label; made for the model's latents, or for pixels.
    classifier_guidance: Guidance before this one.
    curve: Strength over the run; multiplied by strength.
    label: Name of the label, or its number, counted from 0.
    strength: How strongly; 1 is what the rule of Bayes asks for, more is plainer and less varied, 0 is nothing.
    start: Share of the run at which it begins to act.
    end: Share of the run at which it ends.
    """
    if start >= end:
        raise NodeError(f"the window from {start} to {end} is empty", remedy="let start < end")
    aim = Aim(classifier, label_of(classifier.classes, label), curve)
    ours = ClassifierGuidance((Span(aim, start, end, strength),))
    return classifier_guidance + ours if classifier_guidance else ours


def label_of(classes: Sequence[str], label: str) -> int:
    """The number of a label that is given by its name or its number; raises NodeError that names the nearest."""
    wanted = label.strip()
    lowered = [name.lower() for name in classes]
    if wanted.lower() in lowered:
        return lowered.index(wanted.lower())
    if wanted.isdecimal() and int(wanted) < len(classes):
        return int(wanted)
    listed = ", ".join(classes[:40]) + (" …" if len(classes) > 40 else "")
    what = f'there is no label "{wanted}"' if wanted else "no label is chosen"
    guess = f"{nearest(wanted, tuple(classes))} " if wanted else ""
    raise NodeError(what, where=".label", remedy=f"{guess}the labels are {listed}")


@dataclass(frozen=True)
class Aiming:
    """What the classifiers of a denoising ask of its steps."""

    guidance: ClassifierGuidance | None = None
    levels: Levels | None = None
    """Of the run, where there is any guidance."""
    predicts: str = ""

    @classmethod
    def of(
        cls,
        guidance: ClassifierGuidance | None,
        model: Model,
        schedule: Schedule,
        ctx: Planning,
    ) -> Aiming:
        """What is linked to a denoise node; raises GraphError if a classifier does not fit the model or the solver."""
        if guidance is None:
            return cls()
        from studio.diffusion.windows import trained_betas

        own = ctx.known(trained_betas, model.scheduler)
        for span in guidance.spans:
            classifier = cast("Aim", span.source).classifier
            what = _misfit(classifier, model)
            if not what and (
                ctx.known(trained_betas, classifier.scheduler) != own
                or _is_flow(classifier) != _is_flow(model)
            ):
                what = (
                    f'learned from noise that rises in another way than that of "{model.ref.name}"'
                )
            if what:
                raise GraphError(
                    "",
                    "classifier_guidance",
                    f'"{classifier.ref.name}" {what}',
                    remedy="train one with this model linked to train_classifier",
                )
        betas = ctx.known(trained_betas, schedule.config)
        levels = Levels.of(schedule, cast("list[float] | None", betas))
        predicts = prediction(schedule)
        if levels is None or not predicts:
            raise GraphError(
                "",
                "schedule",
                "scales pictures and noise in a way of its own, which classifiers do not know",
                remedy="choose another solver such as ddim, euler or dpmpp_2m",
            )
        return cls(guidance, levels, predicts)

    def acting(
        self, index: int, total: int, timestep: float
    ) -> tuple[dict[str, object], dict[str, Ref]]:
        """What a step reads of it, as ``params`` and ``uses``: nothing of labels that do not act in it."""
        spans = (
            [span for span in self.guidance.spans if span.acts(index, total)]
            if self.guidance
            else []
        )
        aims = [(cast("Aim", span.source), span.weight) for span in spans]
        acting = [(aim, aim.at(index, total) * weight) for aim, weight in aims]
        acting = [(aim, strength) for aim, strength in acting if strength]
        if not acting:
            return {}, {}
        assert self.levels is not None, "what guides has levels"
        signal, noise = self.levels.at(timestep)
        if signal < _LEAST_SIGNAL:
            # of pure noise a classifier can tell nothing
            return {}, {}
        params: dict[str, object] = {
            "classifiers": [aim.classifier.ref for aim, _ in acting],
            "labels": [aim.label for aim, _ in acting],
            "label_strengths": [strength for _, strength in acting],
            "levels": [signal, noise],
            "predicts": self.predicts,
        }
        results = [aim.classifier.ref.result for aim, _ in acting]
        uses = {
            f"classifier.{number}": cast("Ref", result)
            for number, result in enumerate(results)
            if result is not None
        }
        return params, uses

    def added_cost(self) -> str:
        """What it adds to the name under which a step's duration is learned."""
        return f" {len(self.guidance.spans)} classifiers" if self.guidance else ""


_LEAST_SIGNAL = 1e-3


def _is_flow(value: Classifier | Model) -> bool:
    return str(value.scheduler.get("_class_name", "")).startswith("FlowMatch")


def _misfit(classifier: Classifier, model: Model) -> str:
    if classifier.latents and model.latents and classifier.latents != model.latents:
        return f'reads latents of {classifier.latents}, and "{model.ref.name}" makes those of {model.latents}'
    ours, theirs = classifier.in_channels, model.latent_channels
    if ours != theirs:
        return f'reads {ours} channels, and "{model.ref.name}" makes {theirs}'
    if classifier.downscale != model.downscale:
        return (
            f"reads pictures at {classifier.downscale} px per latent,"
            f' "{model.ref.name}" paints {model.downscale}'
        )
    return ""
