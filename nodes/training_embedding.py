"""Training of a textual inversion: a word whose meaning is learned from a few pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from nodes.training_frame import AdditionTraining, Taught, chain_of, plan_of, refuse_additions
from studio.errors import GraphError
from studio.registry import Chain, Choice, Context, Planning, Range, Seed, node
from studio.training.recipe import PRECISIONS, NewWord, Rates, Recipe, target_of
from studio.values import Dataset, Model, State, TextEncoder, Vae

# brackets are emphasis in a prompt, and no file of one tensor has a dot in its name
_BAD = re.compile(r"[\s.()\[\]\\]")


@node(
    "train_embedding",
    version=1,
    category="training",
    aliases=("textual_inversion", "embedding", "trainer"),
)
class TrainEmbedding(Taught):
    """Teach a model a new word from a few pictures: a textual inversion (Gal et al. 2022).

    Only the embeddings that the word stands for learn; network and text encoder stay as they are. save_model writes a
    file of a few kilobytes, for load_embedding here and as other programs read it. Five pictures of a thing, or twenty
    of a style, are a beginning.

      dataset: What the word is to mean.
      model: What it is learned for.
      text_encoder: The model's.
      vae: The model's, where it works on latents.
      validation: Pictures that are not learned, to measure by.
      word: What is to be learned; best no word of the language, such as <thing>.
      initial_word: What it means at first: the nearest common word; empty for nothing in particular.
      vectors: Embeddings that it stands for; more hold more, and take more of the prompt.
      caption: What is read of a picture: {word} and {caption} stand for these. Captions that have the word stay.
      steps: How many steps to take in all.
      batch: Pictures a batch.
      accumulate: Batches a step: a larger batch in the same memory.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end.
      min_snr: Cap on the weight of easy timesteps (Hang et al. 2023); 0 is off.
      weight_decay: Pull of the embeddings towards 0.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the embeddings, which is what comes out; 0 keeps none.
      precision: bfloat16 halves the memory and is faster; where the hardware cannot, it is float32.
      checkpoint_every: Steps between two states that are stored.
      sample_every: Steps between two looks at what it paints by now; 0 looks at the end alone.
      samples: Pictures a look.
      sample_steps: Steps of DDIM a look.
      guidance: Of the looks.
      validate_every: Steps between two measurements on the validation set.
      seed: Of order, noise and all other chances.
      trained: The embeddings and how they came about, for save_model.
      samples: What it painted on the way, a sheet each.
    """

    def chain(
        self,
        dataset: Dataset,
        model: Model,
        text_encoder: TextEncoder,
        vae: Vae | None,
        validation: Dataset | None,
        ctx: Planning,
        word: str = "<thing>",
        initial_word: str = "",
        vectors: Annotated[int, Range(1, 64)] = 1,
        caption: str = "{word}, {caption}",
        steps: Annotated[int, Range(1, 10_000_000, unit="steps")] = 300,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 4,
        accumulate: Annotated[int, Range(1, 1024, unit="batches")] = 1,
        learning_rate: Annotated[float, Range(0, 1)] = 0.005,
        warmup: Annotated[int, Range(0, 10_000_000, unit="steps")] = 0,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.3,
        min_snr: Annotated[float, Range(0, 100)] = 5.0,
        weight_decay: Annotated[float, Range(0, 10)] = 0.0,
        clip: Annotated[float, Range(0, 1000)] = 1.0,
        ema: Annotated[float, Range(0, 1)] = 0.9,
        precision: Annotated[str, Choice(*PRECISIONS)] = "float32",
        checkpoint_every: Annotated[int, Range(1, 100_000, unit="steps")] = 50,
        sample_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 100,
        samples: Annotated[int, Range(1, 64, unit="pictures")] = 4,
        sample_steps: Annotated[int, Range(1, 1000, unit="steps")] = 20,
        guidance: Annotated[float, Range(1, 50)] = 3.0,
        validate_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        seed: Annotated[int, Seed()] = 0,
    ) -> list[Chain]:
        """One chain: a spec for every block of steps between two checkpoints."""
        _check(model, text_encoder, word, caption)
        recipe = Recipe(
            seed=seed,
            batch=batch,
            accumulate=accumulate,
            target=target_of(model.scheduler),
            min_snr=min_snr,
            weight_decay=weight_decay,
            clip=clip,
            ema=ema,
            precision=precision,
            sample_every=sample_every,
            samples=samples,
            sample_steps=sample_steps,
            guidance=guidance,
            validate_every=validate_every,
        )
        # the word is a caption by itself
        told = replace(dataset, has_captions=True)
        plan = replace(
            plan_of(recipe, told, None, model, vae, text_encoder, None, None, validation),
            new_word=NewWord(word, initial_word.strip(), vectors, caption),
        )
        rates = Rates(learning_rate, warmup, decay)
        cost = f"embedding {model.ref.digest[:12]} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, {}, cost)]

    def finish(self, states: Sequence[State], ctx: Context) -> AdditionTraining:
        """The embeddings, and the looks on the way."""
        from studio.training import loop

        return AdditionTraining(*loop.finish(states, ctx))


def _check(model: Model, text_encoder: TextEncoder, word: str, caption: str) -> None:
    """Raise GraphError for a model that cannot be taught words, and for a word that no prompt could contain."""
    if model.ref.result is not None:
        remedy = "save it by save_model, and load it by its name"
        raise GraphError("", "model", "is trained in this graph", remedy=remedy)
    refuse_additions(text_encoder)
    if not word or _BAD.search(word):
        what = (
            f"{word!r} is no single word: it has spaces, dots, brackets or backslashes, or nothing"
        )
        raise GraphError("", "word", what, remedy="write one such as <thing>")
    if "{word}" not in caption:
        raise GraphError("", "caption", "does not say {word}", remedy="write {word}, {caption}")
