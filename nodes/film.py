"""The film of a denoising: its pictures one after the other, to be decoded and saved as an animation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from nodes.denoise import Denoise
from studio.graph import Value
from studio.registry import Chain, Choice, Context, Planning, Range, Spec, node
from studio.values import (
    ClassifierGuidance,
    Conditioning,
    Latents,
    LowResolution,
    Model,
    Noise,
    Schedule,
    State,
)

if TYPE_CHECKING:
    from studio.values import Image


@node("denoising_film", version=1, category="denoise", aliases=("film", "trajectory", "frames"))
class DenoisingFilm:
    """Denoise, and give every step on the way in place of the end alone: the film of how noise becomes a picture.

    Several pictures are laid side by side, so that each frame shows them all.

      model: The denoising network.
      noise: Which noise to begin with.
      schedule: The solver, its steps and noise levels.
      positive: What the picture shows, over the run.
      negative: What the picture keeps away from; without it, the empty prompt.
      low_resolution: The small picture that an upscaler paints larger.
      classifier_guidance: Labels that classifiers are to see, over the run.
      guidance: Strength of classifier-free guidance; 1 is none and costs half.
      shows: The picture in its noise, or what the network takes it to become.
      every: Steps from a frame to the next; first and last are always there.
      latents: The frames, in order, to be decoded as any latents.
    """

    def chain(
        self,
        model: Model,
        noise: Noise,
        schedule: Schedule,
        positive: Conditioning | None,
        negative: Conditioning | None,
        low_resolution: LowResolution | None,
        classifier_guidance: ClassifierGuidance | None,
        ctx: Planning,
        guidance: Annotated[float, Range(0.0, 50.0)] = 5.0,
        shows: Annotated[str, Choice("noisy", "predicted")] = "noisy",
        every: Annotated[int, Range(1, 1000, unit="steps")] = 1,
    ) -> list[Chain]:
        """The chains of the denoising; of their states, which hold all frames so far, the newest stays."""
        chains = Denoise().chain(
            model,
            noise,
            schedule,
            positive,
            negative,
            latents=None,
            mask=None,
            masked=None,
            control=None,
            low_resolution=low_resolution,
            classifier_guidance=classifier_guidance,
            guidance_curve=None,
            ctx=ctx,
            guidance=guidance,
        )
        filmed = []
        for chain in chains:
            last = len(chain.steps)
            steps = tuple(
                replace(
                    step,
                    params={**step.params, "shows": shows, "is_frame": _is_frame(at, last, every)},
                    is_lasting=at == last,
                )
                for at, step in enumerate(chain.steps, 1)
            )
            filmed.append(replace(chain, start=replace(chain.start, is_lasting=False), steps=steps))
        return filmed

    def passes(self, arguments: Mapping[str, object]) -> int:
        """Steps of all pictures together."""
        return Denoise().passes({**arguments, "start_step": 0, "latents": None, "end_step": None})

    def start(self, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """The noise, the first frame."""
        from studio.diffusion import film

        return film.start(spec, inputs, ctx)

    def step(self, state: State, spec: Spec, inputs: Mapping[str, Value], ctx: Context) -> State:
        """One step of the denoising."""
        from studio.diffusion import film

        return film.step(state, spec, inputs, ctx)

    def finish(self, states: Sequence[State], ctx: Context) -> Latents:
        """All frames, the pictures of a batch side by side."""
        from studio.diffusion import film

        return film.finish(states)

    def preview(self, state: State) -> Image | None:
        """The predicted picture, small."""
        from studio.diffusion import film

        return film.preview(state)


def _is_frame(at: int, last: int, every: int) -> bool:
    return at == last or at % every == 0
