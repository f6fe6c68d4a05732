"""Teaching a word: embeddings of its own learn, text encoder and network stay as they are (Gal et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from studio.diffusion import noise
from studio.diffusion.text import Part, Words, states_of, windows
from studio.models.loading import Text, load_text
from studio.registry import Context
from studio.training.data import Examples
from studio.training.denoising import Denoising
from studio.training.reading import Read, Reader
from studio.training.recipe import NewWord
from studio.training.task import Config, Origin, Result, Weights, by_component
from studio.values import EMBEDDING

_NAMES = ("clip_l", "clip_g")
"""Of the embeddings in a file for two text encoders, in their order (the XL family)."""
_FIRST_WEIGHTS = -106
"""Address of the draws of embeddings that begin with no word."""


class _Listener:
    """A text encoder that stays as it is, and a word whose embeddings learn."""

    def __init__(self, held: Text, new: NewWord, draws: torch.Generator) -> None:
        self.text = held
        known = cast("Any", held.encoder).get_input_embeddings().weight
        self.vectors = Parameter(_first(held, known, new, draws))
        """Of the word: float32 [N, D]."""
        ids = range(len(known), len(known) + new.vectors)
        self._words = Words(len(known), {new.word.lower(): ids}, self.vectors)

    def read(self, captions: Sequence[str], is_penultimate: bool) -> tuple[Tensor, Tensor | None]:
        """Captions as [B, T, D] and, where there is a projection, [B, P]; what is beyond one window is cut."""
        cut = [windows(self.text, (Part(caption),), self._words)[0] for caption in captions]
        ids = torch.tensor([window.tokens for window in cut], device=self.vectors.device)
        return states_of(self.text, ids, 0, is_penultimate, self._words)


class WordReader:
    """The text encoders of a model, which stay as they are, and a word that learns in each."""

    def __init__(self, held: Sequence[Text], new: NewWord, seed: int) -> None:
        draws = noise.generator(seed, _FIRST_WEIGHTS)
        self._listeners = [_Listener(text, new, draws) for text in held]
        self._is_penultimate = any(text.has_projection for text in held)
        self._has_zero_empty = any(text.has_zero_empty for text in held)

    @property
    def vectors(self) -> tuple[Parameter, ...]:
        """The word's embeddings, for each encoder float32 [N, D]."""
        return tuple(listener.vectors for listener in self._listeners)

    def read(self, captions: Sequence[str], ctx: Context) -> Read:
        """Captions, with the graph to the word's embeddings."""
        hidden: list[Tensor] = []
        pooled: Tensor | None = None
        for listener in self._listeners:
            states, projected = listener.read(captions, self._is_penultimate)
            hidden.append(states)
            pooled = projected if pooled is None else pooled
        read = Read(torch.cat(hidden, dim=-1), pooled)
        if not self._has_zero_empty:
            return read
        told = torch.tensor([float(bool(caption)) for caption in captions]).to(read.hidden)
        return Read(
            read.hidden * told[:, None, None], None if pooled is None else pooled * told[:, None]
        )


def _first(held: Text, known: Tensor, new: NewWord, draws: torch.Generator) -> Tensor:
    """The embeddings of the initial words in turn; without such, draws that are spread as the vocabulary is."""
    tokens = held.tokenizer.encode(new.initial, add_special_tokens=False) if new.initial else []
    if tokens:
        rows = [tokens[number % len(tokens)] for number in range(new.vectors)]
        return known[rows].detach().clone()
    drawn = torch.randn((new.vectors, known.shape[1]), generator=draws)
    return known.mean(0) + known.std(0) * drawn.to(known)


class Inversion(Denoising):
    """Teaches a word: the gradients flow through network and text encoder, which do not change."""

    def _reading(self, origin: Origin, ctx: Context) -> Reader:
        encoder, new = self.plan.text_encoder, self.plan.new_word
        assert encoder is not None, "a word is read by a text encoder"
        assert new is not None, "a word is to be learned"
        held = [
            load_text(ctx.pool.library.component(ref), device=str(self.device), dtype="float32")
            for ref in encoder.refs
        ]
        return WordReader(held, new, self.recipe.seed)

    def _learners(self, config: Config, origin: Origin, ctx: Context) -> dict[str, Parameter]:
        self.network.requires_grad_(False)
        vectors = cast("WordReader", self._reader).vectors
        names = _NAMES if len(vectors) > 1 else ("vectors",)
        return {f"{EMBEDDING}.{name}": one for name, one in zip(names, vectors, strict=True)}

    def _caption(self, examples: Examples, index: int, position: int | None) -> str:
        new = self.plan.new_word
        assert new is not None, "a word is to be learned"
        return new.told(examples.caption(index, position))

    def result(self, weights: Weights) -> Result:
        """The embeddings by their word, as diffusers writes them into a file; for two encoders by their names."""
        new = self.plan.new_word
        assert new is not None, "a word is to be learned"
        found = by_component(weights)[EMBEDDING]
        if len(found) == 1:
            (vectors,) = found.values()
            found = {new.word: vectors}
        return Result({EMBEDDING: found}, {})
