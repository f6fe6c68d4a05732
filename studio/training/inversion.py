"""Teaching a word: embeddings of its own learn, text encoder and network stay as they are (Gal et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from studio.diffusion import noise
from studio.diffusion.text import Part, Words, windows
from studio.models.loading import Text, load_text
from studio.registry import Context
from studio.training.data import Examples
from studio.training.denoising import Denoising
from studio.training.reading import Reader
from studio.training.recipe import NewWord
from studio.training.task import Config, Origin, Result, Weights
from studio.values import EMBEDDING

_LEARNED = f"{EMBEDDING}.vectors"
_FIRST_WEIGHTS = -106
"""Address of the draws of embeddings that begin with no word."""


class WordReader:
    """A text encoder that stays as it is, and a word whose embeddings learn."""

    def __init__(self, held: Text, new: NewWord, seed: int) -> None:
        self._text = held
        self._encoder = cast("Any", held.encoder)
        self._embedding = self._encoder.get_input_embeddings()
        known = cast("Tensor", self._embedding.weight)
        self.vectors = Parameter(_first(held, known, new, seed))
        """Of the word: float32 [N, D]."""
        ids = range(len(known), len(known) + new.vectors)
        self._words = Words(len(known), {new.word.lower(): ids}, self.vectors)

    def read(self, captions: Sequence[str], ctx: Context) -> Tensor:
        """Captions as [B, T, D], with the graph to the word's embeddings; what is beyond one window is cut."""
        cut = [windows(self._text, (Part(caption),), self._words)[0] for caption in captions]
        ids = torch.tensor([window.tokens for window in cut], device=self.vectors.device)
        mask = None
        if getattr(self._encoder.config, "use_attention_mask", False):
            mask = (ids != self._text.tokenizer.pad_token_id).long()
        with self._words.known(self._embedding, ids) as shown:
            return cast("Tensor", self._encoder(shown, attention_mask=mask).last_hidden_state)


def _first(held: Text, known: Tensor, new: NewWord, seed: int) -> Tensor:
    """The embeddings of the initial words in turn; without such, draws that are spread as the vocabulary is."""
    tokens = held.tokenizer.encode(new.initial, add_special_tokens=False) if new.initial else []
    if tokens:
        rows = [tokens[number % len(tokens)] for number in range(new.vectors)]
        return known[rows].detach().clone()
    drawn = torch.randn(
        (new.vectors, known.shape[1]), generator=noise.generator(seed, _FIRST_WEIGHTS)
    )
    return known.mean(0) + known.std(0) * drawn.to(known)


class Inversion(Denoising):
    """Teaches a word: the gradients flow through network and text encoder, which do not change."""

    def _reading(self, origin: Origin, ctx: Context) -> Reader:
        encoder, new = self.plan.text_encoder, self.plan.new_word
        assert encoder is not None, "a word is read by a text encoder"
        assert new is not None, "a word is to be learned"
        (ref,) = encoder.refs
        component = ctx.pool.library.component(ref)
        held = load_text(component, device=str(self.device), dtype="float32")
        return WordReader(held, new, self.recipe.seed)

    def _learners(self, config: Config, origin: Origin, ctx: Context) -> dict[str, Parameter]:
        self.network.requires_grad_(False)
        return {_LEARNED: cast("WordReader", self._reader).vectors}

    def _caption(self, examples: Examples, index: int, position: int | None) -> str:
        new = self.plan.new_word
        assert new is not None, "a word is to be learned"
        return new.told(examples.caption(index, position))

    def result(self, weights: Weights) -> Result:
        """The embeddings by their word, as diffusers writes them into a file."""
        new = self.plan.new_word
        assert new is not None, "a word is to be learned"
        return Result({EMBEDDING: {new.word: weights[_LEARNED]}}, {})
