"""Text nodes: prompts into conditioning, and which prompt acts when."""

from __future__ import annotations

from typing import Annotated

from studio.errors import NodeError
from studio.graph import NodeKind
from studio.registry import Context, Multiline, Output, Range, node
from studio.values import Conditioning, Embedding, TextEncoder


@node(
    "text_encoder",
    version=1,
    category="text",
    aliases=("prompt", "negative_prompt", "clip_text_encode"),
)
def text_encoder(
    ctx: Context,
    text_encoder: TextEncoder,
    prompt: Annotated[str, Multiline()] = "",
    clip_skip: Annotated[int, Range(0, 30, 1, "layers")] = 0,
) -> Annotated[Embedding, Output("conditioning")]:
    r"""Read a prompt with the model's text encoder.

    `(word)` counts 1.1 times, `(word:1.5)` 1.5 times, `[word]` 1/1.1 times; `\(` is the bracket itself. A prompt that
    is longer than the encoder reads at once is continued in further windows instead of being cut off.

      text_encoder: The text encoder of the model.
      prompt: What the picture shows, or keeps away from.
      clip_skip: Last layers of the encoder to leave out; some models were trained with 1.
      conditioning: The prompt as the denoising network reads it.
    """
    from studio.diffusion.text import encode

    return encode(ctx.pool, text_encoder, prompt, clip_skip=clip_skip)


@node("prompt_schedule", version=1, category="text", kind=NodeKind.DESCRIBE)
def prompt_schedule(
    first: Conditioning,
    then: Conditioning,
    at: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.5,
) -> Conditioning:
    """Switch prompts in mid-run: what comes early decides the layout, what comes late the detail.

    Changing the second prompt, or moving the switch, costs only the steps from the earliest change on.

      first: The prompt until the switch.
      then: The prompt from the switch on.
      at: Share of the run at which to switch.
      conditioning: Both, each in its time.
    """
    return first.within(0.0, at) + then.within(at, 1.0)


@node("prompt_window", version=1, category="text", kind=NodeKind.DESCRIBE)
def prompt_window(
    conditioning: Conditioning,
    start: Annotated[float, Range(0, 1, 0.01, "of the run")] = 0.0,
    end: Annotated[float, Range(0, 1, 0.01, "of the run")] = 1.0,
    weight: Annotated[float, Range(0, 10, 0.05)] = 1.0,
) -> Conditioning:
    """Let a prompt act in a part of the run only, and with a weight beside others that act then.

    conditioning: The prompt.
    start: Share of the run at which it begins to act.
    end: Share of the run at which it ends; the step there is outside.
    weight: How much it counts beside others; alone it counts whole.
    """
    if start >= end:
        raise NodeError(f"the window from {start} to {end} is empty", remedy="let start < end")
    return conditioning.within(start, end).weighted(weight)


@node("prompt_mix", version=1, category="text", kind=NodeKind.DESCRIBE, aliases=("prompt_and",))
def prompt_mix(
    first: Conditioning,
    second: Conditioning,
    first_weight: Annotated[float, Range(0, 10, 0.05)] = 1.0,
    second_weight: Annotated[float, Range(0, 10, 0.05)] = 1.0,
) -> Conditioning:
    """Let two prompts act at once: their predictions are averaged by weight (Liu et al. 2022).

    Each prompt that acts costs a forward pass of its own in every step.

    first: One prompt.
    second: The other.
    first_weight: How much the first counts; 0 leaves it out.
    second_weight: How much the second counts.
    conditioning: Both together.
    """
    if first_weight == 0 and second_weight == 0:
        raise NodeError("both weights are 0", remedy="give one prompt a weight")
    return first.weighted(first_weight) + second.weighted(second_weight)
