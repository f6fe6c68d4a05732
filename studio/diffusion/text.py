"""Prompts into embeddings: emphasis, windows of tokens, and the layers that each family reads."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from studio.errors import NodeError
from studio.values import Embedding, TextEncoder

if TYPE_CHECKING:
    from studio.models.loading import Text
    from studio.models.pool import Pool


# --- emphasis


@dataclass(frozen=True)
class Part:
    """A stretch of a prompt, and how much it counts."""

    text: str
    weight: float = 1.0


_STRONGER = 1.1
_TOKEN = re.compile(r"\\[()\[\]\\]|[()\[\]]|[^\\()\[\]]+|\\")
_NUMBER = re.compile(r"^(.*):\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$", re.DOTALL)
_CLOSING = {"(": ")", "[": "]"}


def emphasised(prompt: str) -> tuple[Part, ...]:
    r"""Split a prompt at its brackets, as artists write them.

    ``(word)`` counts 1.1 times, ``((word))`` 1.21 times, ``[word]`` 1/1.1 times, ``(word:1.5)`` 1.5 times; brackets
    nest and multiply. ``\(``, ``\)``, ``\[``, ``\]`` and ``\\`` are the characters themselves, and so is a bracket
    without its partner. A prompt without brackets and backslashes comes back as it is.
    """
    if not re.search(r"[\\()\[\]]", prompt):
        return (Part(prompt),)
    tokens = _TOKEN.findall(prompt)
    partners = _partners(tokens)
    return _merged(_weighed(tokens, partners, 0, len(tokens), 1.0))


def _partners(tokens: Sequence[str]) -> dict[int, int]:
    """Index of the closing bracket by that of the opening one."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token in _CLOSING:
            opened.append(index)
        elif token in _CLOSING.values():
            # an opening bracket of the other kind in between has no partner
            match = next((at for at in reversed(opened) if _CLOSING[tokens[at]] == token), None)
            if match is not None:
                del opened[opened.index(match) :]
                partners[match] = index
    return partners


def _weighed(
    tokens: Sequence[str], partners: dict[int, int], start: int, end: int, weight: float
) -> list[Part]:
    # a loop with a stack of its own: a prompt of thousands of brackets is no reason to overflow
    parts: list[Part] = []
    weights = [weight]
    closings: list[int] = []
    numbered: dict[int, str] = {}
    for index in range(start, end):
        token = tokens[index]
        if index in partners:
            factor = _STRONGER if token == "(" else 1 / _STRONGER
            closing = partners[index]
            number = _NUMBER.match(tokens[closing - 1]) if token == "(" else None
            if number and closing - 1 > index:
                factor = float(number.group(2))
                numbered[closing - 1] = number.group(1)
            weights.append(weights[-1] * factor)
            closings.append(closing)
        elif closings and index == closings[-1]:
            closings.pop()
            weights.pop()
        else:
            text = numbered.get(index, token)
            is_escape = len(text) == 2 and text[0] == "\\"
            parts.append(Part(text[1] if is_escape else text, weights[-1]))
    return parts


def _merged(parts: Sequence[Part]) -> tuple[Part, ...]:
    merged: list[Part] = []
    for part in parts:
        if merged and merged[-1].weight == part.weight:
            merged[-1] = Part(merged[-1].text + part.text, part.weight)
        elif part.text:
            merged.append(part)
    return tuple(merged) or (Part(""),)


# --- windows of tokens


@dataclass(frozen=True)
class Window:
    """What a text encoder reads at once: token ids and their weights, begin, end and padding included."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def is_plain(self) -> bool:
        """Whether nothing in it is emphasised."""
        return all(weight == 1.0 for weight in self.weights)


def windows(text: Text, parts: Sequence[Part], words: Words | None = None) -> list[Window]:
    """Tokenize a prompt and cut it into windows of the encoder's length, each with its own begin and end.

    A prompt that fits makes the one window that diffusers makes of it; a longer one is not cut off but continued in
    the next window. Each of ``words`` becomes the ids of its embeddings, which follow those of the vocabulary.
    """
    tokenizer = text.tokenizer
    tokens: list[int] = []
    weights: list[float] = []
    for part in parts:
        for piece in words.split(part.text) if words else (part.text,):
            ids = (
                tokenizer.encode(piece, add_special_tokens=False)
                if isinstance(piece, str)
                else list(piece)
            )
            tokens += ids
            weights += [part.weight] * len(ids)
    room = text.length - 2
    cut = []
    for start in range(0, max(len(tokens), 1), room):
        chunk = tokens[start : start + room]
        padding = room - len(chunk)
        cut.append(
            Window(
                (
                    tokenizer.bos_token_id,
                    *chunk,
                    tokenizer.eos_token_id,
                    *[tokenizer.pad_token_id] * padding,
                ),
                (1.0, *weights[start : start + room], 1.0, *[1.0] * padding),
            )
        )
    return cut


# --- words with embeddings of their own


@dataclass(frozen=True, eq=False)
class Words:
    """Words that stand for learned embeddings (textual inversion, Gal et al. 2022), for one text encoder."""

    first: int
    """Id of the first embedding: the size of the encoder's vocabulary."""
    ranges: Mapping[str, range]
    """By word, in lower case: the ids of its embeddings."""
    vectors: Tensor
    """All embeddings one below the other: [N, D], on the encoder's device and in its dtype."""

    def split(self, text: str) -> Iterator[str | range]:
        """The text between the words, and the ids of each word; case does not matter, as for CLIP."""
        if not self.ranges:
            yield text
            return
        # the longest first: one word may begin as another does
        known = "|".join(map(re.escape, sorted(self.ranges, key=len, reverse=True)))
        for number, piece in enumerate(re.split(rf"(?<!\w)({known})(?!\w)", text, flags=re.I)):
            if number % 2:
                yield self.ranges[piece.lower()]
            elif piece:
                yield piece

    @contextlib.contextmanager
    def known(self, embedding: torch.nn.Module, ids: Tensor) -> Iterator[Tensor]:
        """Let an encoder read ``ids`` [1, T]: gives the ids to hand to it, those of words replaced by another's.

        Pooling looks for the end of the text among the ids; a word's, beyond the vocabulary, would be taken for it.
        """
        if not self.ranges:
            yield ids
            return
        is_word = ids >= self.first

        def put(_module: torch.nn.Module, _args: object, output: Tensor) -> Tensor:
            output = output.clone()
            output[is_word] = self.vectors[ids[is_word] - self.first]
            return output

        hook = embedding.register_forward_hook(put)
        try:
            yield ids.masked_fill(is_word, 0)
        finally:
            hook.remove()


def words_of(pool: Pool, encoder: TextEncoder, text: Text) -> Words:
    """The words of a text encoder; raises NodeError if one was made for another, ModelError as the pool does."""
    embedding = text.encoder.get_input_embeddings()  # type: ignore[operator]  # a transformers model
    weight = embedding.weight
    ranges: dict[str, range] = {}
    vectors: list[Tensor] = []
    end = first = len(weight)
    for word, ref in encoder.words:
        found = [one for one in pool.vectors(ref) if one.shape[-1] == weight.shape[-1]]
        if not found:
            raise NodeError(
                f'"{ref.name}" has no embedding of width {weight.shape[-1]} for this text encoder',
                where=".text_encoder",
                remedy="load one that was made for this model",
            )
        vectors.append(found[0].reshape(-1, weight.shape[-1]).to(weight))
        ranges[word.lower()] = range(end, end := end + len(vectors[-1]))
    joined = torch.cat(vectors) if vectors else weight.new_empty(0, weight.shape[-1])
    return Words(first, ranges, joined)


# --- encoding


def encode(pool: Pool, encoder: TextEncoder, prompt: str, *, clip_skip: int = 0) -> Embedding:
    """Encode a prompt: hidden float32 [1, T, D] and, for the XL family, pooled float32 [1, P], on the CPU.

    ``clip_skip`` leaves out that many of the encoder's last layers. Stable Diffusion 1 and 2 read the last layer left,
    normalised; the XL family the one before it, of both encoders side by side, and the pooled projection of the
    second (of the first window). Without emphasis, and if the prompt fits into one window, bit for bit what
    diffusers' ``encode_prompt`` gives.

    Emphasis multiplies the hidden states of its tokens, then brings the window's mean back to what it was. ``empty``
    of the result is the empty prompt read the same way: zeros for models that were trained so.

    Raises NodeError if ``clip_skip`` leaves no layer, ModelError as the pool does.
    """
    texts = [pool.text(ref) for ref in encoder.refs]
    words = [words_of(pool, encoder, text) for text in texts]
    embedding = _encode(pool, encoder, texts, emphasised(prompt), clip_skip, words)
    if any(text.has_zero_empty for text in texts):
        pooled = embedding.pooled
        nothing = Embedding(
            torch.zeros_like(embedding.hidden[:, : texts[0].length]),
            None if pooled is None else torch.zeros_like(pooled),
        )
    else:
        nothing = _encode(pool, encoder, texts, (Part(""),), clip_skip, words)
    return replace(embedding, empty=nothing)


def _encode(
    pool: Pool,
    encoder: TextEncoder,
    texts: Sequence[Text],
    parts: Sequence[Part],
    clip_skip: int,
    words: Sequence[Words],
) -> Embedding:
    cuts = [windows(text, parts, ours) for text, ours in zip(texts, words, strict=True)]
    most = max(map(len, cuts))
    is_penultimate = any(text.has_projection for text in texts)
    hidden: list[Tensor] = []
    pooled: Tensor | None = None
    for ref, text, cut, ours in zip(encoder.refs, texts, cuts, words, strict=True):
        # tokenizers of one model may differ by a token; their windows must not
        cut = cut + windows(text, (Part(""),)) * (most - len(cut))
        read = []
        with pool.use(ref):
            for window in cut:
                states, projected = _read(
                    text, window, clip_skip, is_penultimate, pool.device, ours
                )
                read.append(weighted_states(states, window))
                if pooled is None:
                    pooled = projected
        hidden.append(torch.cat(read, dim=1))
    tokens = tuple(token for cut in cuts for window in cut for token in window.tokens)
    return Embedding(torch.cat(hidden, dim=-1), pooled, tokens)


def _read(
    text: Text, window: Window, clip_skip: int, is_penultimate: bool, device: str, words: Words
) -> tuple[Tensor, Tensor | None]:
    """One window: hidden states float32 [1, T, D], and the projection float32 [1, P] where the encoder has one."""
    ids = torch.tensor([window.tokens], device=device)
    with torch.inference_mode():
        states, projected = states_of(text, ids, clip_skip, is_penultimate, words)
    # a clone made outside inference_mode may enter autograd; the states get theirs when the windows are joined
    return states.float().cpu(), None if projected is None else projected.float().cpu().clone()


def states_of(
    text: Text, ids: Tensor, clip_skip: int, is_penultimate: bool, words: Words | None = None
) -> tuple[Tensor, Tensor | None]:
    """Windows of tokens, int64 [B, T] on the encoder's device, as it reads them: hidden states, projection.

    Tensors [B, T, D] and [B, P] (where the encoder has a projection), on its device and in its dtype.
    """
    encoder = cast("Any", text.encoder)  # transformers declares no types that hold for both classes
    layers: int = encoder.config.num_hidden_layers
    deepest = layers - (1 if is_penultimate else 0)
    if clip_skip >= deepest:
        raise NodeError(
            f"clip_skip {clip_skip} leaves no layer of this text encoder",
            where=".clip_skip",
            remedy=f"use 0 … {deepest - 1}",
        )
    mask = None
    if getattr(encoder.config, "use_attention_mask", False):
        mask = (ids != text.tokenizer.pad_token_id).long()
    known = (
        words.known(encoder.get_input_embeddings(), ids) if words else contextlib.nullcontext(ids)
    )
    with known as shown:
        output = encoder(shown, attention_mask=mask, output_hidden_states=True)
    if is_penultimate:
        states = output.hidden_states[-(clip_skip + 2)]
    elif clip_skip == 0:
        states = output.last_hidden_state
    else:
        inner = getattr(encoder, "text_model", encoder)
        states = inner.final_layer_norm(output.hidden_states[-(clip_skip + 1)])
    return states, output.text_embeds if text.has_projection else None


def weighted_states(states: Tensor, window: Window) -> Tensor:
    """Scale the hidden states, float32 [1, T, D], of a window by its weights, and restore their mean."""
    if window.is_plain:
        return states
    weights = torch.tensor(window.weights, dtype=states.dtype)
    weighted = states * weights[None, :, None]
    ratio = (states.mean() / weighted.mean()).item()
    # where the mean is about zero the ratio is noise: it is never more than the strongest emphasis explains
    bound = max(*window.weights, 1 / max(min(window.weights), 0.1))
    return weighted * min(max(ratio, 1 / bound), bound) if math.isfinite(ratio) else weighted
