"""Captions into what a denoising network reads: by an encoder that stays as it is, or by one that learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor
from torch.nn import Module

from studio.diffusion import noise, text
from studio.graph import Json
from studio.models.loading import Tokenizer, build, load_text, load_trained, trained_network
from studio.models.parts import Component
from studio.registry import Context
from studio.training import vocabulary
from studio.training.data import Examples
from studio.values import Embedding, NewTextEncoder, TextEncoder

TEXT_ENCODER, TOKENIZER = "text_encoder", "tokenizer"
"""Components as diffusers names them."""
_KEPT = 50_000
"""So many captions are kept as they were read."""
_HEARD = 20_000
"""So many captions a vocabulary is learned from."""
_EMPHASIS = frozenset("()[]\\")
"""What makes a stretch of a prompt count more or less."""
_FIRST_WEIGHTS = -105
"""Address of the draws of a text encoder's first weights."""
_SPREAD = 0.4
"""Standard deviation of the first embeddings: words must tell apart before the network can learn to listen."""


class Read(NamedTuple):
    """Captions as a network reads them, on the training's device."""

    hidden: Tensor
    """[B, T, D]."""
    pooled: Tensor | None = None
    """[B, P], for the XL family."""


class Reader(Protocol):
    """Reads captions."""

    def read(self, captions: Sequence[str], ctx: Context) -> Read:
        """Captions in one batch."""


class _Tokens:
    """Captions as windows of a tokenizer of CLIP's kind."""

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        self._tokenizer = tokenizer
        self._room = length - 2
        # a tokenizer looks these up each time that it is asked
        self._begin: int = tokenizer.bos_token_id
        self._end: int = tokenizer.eos_token_id
        self._padding: list[int] = [tokenizer.pad_token_id] * self._room
        self._words: dict[str, list[int]] = {}

    def of(self, captions: Sequence[str]) -> Tensor:
        """Token ids, int64 [B, length], begin and end included; what is longer is cut."""
        rows = []
        for caption in captions:
            ids = self._ids(caption)[: self._room]
            rows.append([self._begin, *ids, self._end, *self._padding[len(ids) :]])
        return torch.tensor(rows)

    def _ids(self, caption: str) -> list[int]:
        # no token spans a space, so that words, of which there are few, can be looked up
        ids: list[int] = []
        for word in caption.split():
            known = self._words.get(word)
            if known is None:
                known = self._tokenizer.encode(word, add_special_tokens=False)
                self._words[word] = known
            ids += known
        return ids


class FixedReader:
    """A text encoder of a model, which reads captions as it reads prompts.

    On a CPU each is read alone and once: in a batch its last bits would depend on its neighbours.
    """

    def __init__(self, encoder: TextEncoder, device: torch.device) -> None:
        self._encoder = encoder
        self._device = device
        self._known: dict[str, Embedding] = {}
        self._tokens: _Tokens | None = None

    def read(self, captions: Sequence[str], ctx: Context) -> Read:
        """Captions, float32."""
        is_plain = len(self._encoder.refs) == 1 and not self._encoder.words
        if self._device.type != "cpu" and is_plain and _EMPHASIS.isdisjoint("".join(captions)):
            return self.together(captions, ctx)
        for caption in captions:
            if caption not in self._known:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                found = text.encode(ctx.pool, self._encoder, caption)
                # some models were trained with zeros where there is no caption
                self._known[caption] = found if caption else found.empty or found
        known = [self._known[caption] for caption in captions]
        length = min(one.hidden.shape[1] for one in known)
        # a caption longer than one window is cut: it would make the whole batch as long
        hidden = torch.cat([one.hidden[:, :length] for one in known]).clone().to(self._device)
        pooled = [one.pooled for one in known if one.pooled is not None]
        return Read(hidden, torch.cat(pooled).clone().to(self._device) if pooled else None)

    def together(self, captions: Sequence[str], ctx: Context) -> Read:
        """Captions without emphasis, read by one encoder in one batch: float32."""
        (ref,) = self._encoder.refs
        loaded = ctx.pool.text(ref)
        if self._tokens is None:
            self._tokens = _Tokens(loaded.tokenizer, loaded.length)
        # many are left out, and alike
        different = list(dict.fromkeys(captions))
        places = {caption: place for place, caption in enumerate(different)}
        ids = self._tokens.of(different).to(self._device)
        with ctx.pool.use(ref), torch.inference_mode():
            states, pooled = text.states_of(loaded, ids, 0, loaded.has_projection)
        rows = torch.tensor([places[caption] for caption in captions]).to(self._device)
        hidden = states.float()[rows].clone()
        return Read(hidden, None if pooled is None else pooled.float()[rows].clone())


class LearningReader:
    """A text encoder that learns with the network: CLIP's architecture (Radford et al. 2021) and its tokenizer."""

    def __init__(
        self,
        module: Module,
        config: Mapping[str, Json],
        files: Mapping[str, str],
        length: int,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """``tokenizer``: as its ``files`` were loaded; where there is none, it is built of them."""
        self.module = module
        self.config = config
        self.files = files
        """Of the tokenizer, by name."""
        self._length = length
        self._is_own = tokenizer is None
        self._tokens = _Tokens(tokenizer or vocabulary.build(files, length), length)
        self._device = next(module.parameters()).device

    @classmethod
    def new(
        cls, described: NewTextEncoder, examples: Examples, seed: int, device: torch.device
    ) -> LearningReader:
        """An encoder that knows the words of a data set, and nothing about them."""
        heard = [examples.caption(i, i) for i in range(min(len(examples), _HEARD))]
        files = vocabulary.learned(heard, described.vocabulary)
        tokenizer = vocabulary.build(files, described.length)
        config: dict[str, Json] = {
            "_class_name": "CLIPTextModel",
            "architectures": ["CLIPTextModel"],
            "model_type": "clip_text_model",
            "vocab_size": tokenizer.eos_token_id + 1,
            "hidden_size": described.width,
            "intermediate_size": described.width * 4,
            "projection_dim": described.width,
            "num_hidden_layers": described.layers,
            "num_attention_heads": described.width // described.head_width,
            "max_position_embeddings": described.length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(noise.generator(seed, _FIRST_WEIGHTS).initial_seed())
            module = build(trained_network(config, TEXT_ENCODER))
            embedding = cast("Any", module).get_input_embeddings()
            torch.nn.init.normal_(embedding.weight, std=_SPREAD)
        return cls(module.to(device), config, files, described.length)

    @classmethod
    def thawed(
        cls,
        config: Mapping[str, Json],
        weights: Mapping[str, Tensor],
        files: Mapping[str, str],
        device: torch.device,
    ) -> LearningReader:
        """An encoder as a training left it."""
        component = trained_network(config, TEXT_ENCODER)
        module = load_trained(component, weights, device=str(device), dtype="float32")
        return cls(module, config, files, int(str(config["max_position_embeddings"])))

    @classmethod
    def known(
        cls, component: Component, weights: Mapping[str, Tensor] | None, device: torch.device
    ) -> LearningReader:
        """The encoder of a model, which learns further; ``weights``: those that it has by now."""
        text = load_text(component, device=str(device), dtype="float32")
        if weights is not None:
            text.encoder.load_state_dict(weights)
        config = {"_class_name": component.class_name, **component.config}
        files = {path.name: path.read_text("utf-8") for path in component.tokenizer}
        return cls(text.encoder, config, files, text.length, text.tokenizer)

    def read(self, captions: Sequence[str], ctx: Context) -> Read:
        """Captions; the tokens beyond the encoder's length are cut."""
        tokens = self._tokens.of(captions).to(self._device)
        return Read(cast("Any", self.module)(tokens).last_hidden_state)

    def tokenizer_files(self) -> dict[str, str]:
        """All files that a tokenizer's folder holds, by name."""
        if not self._is_own:
            return dict(self.files)
        return vocabulary.folder(self.files, self._length)
