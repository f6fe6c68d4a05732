"""A tokenizer of CLIP's kind, learned from captions: byte pair encoding (Sennrich et al. 2016) with CLIP's rules."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from studio.models.loading import Tokenizer

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
BYTES = 512
"""Tokens that every vocabulary has: 256 bytes, and 256 that end a word."""


def learned(captions: Iterable[str], size: int) -> dict[str, str]:
    """The files of a tokenizer (vocab.json, merges.txt) with at most ``size`` tokens, the two marks included.

    The same captions give the same tokens on every machine.
    """
    from tokenizers import Tokenizer as Learner
    from tokenizers import models, pre_tokenizers, trainers
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    rules = CLIPTokenizer().backend_tokenizer
    learner = Learner(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    ends = [f"{letter}</w>" for letter in letters]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=letters,
        # pairs as frequent as one another are told apart by the numbers of their tokens: those of ends, unless they are
        # given, come by chance
        special_tokens=ends,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    # each merge follows from those before it, so that fewer of them are a smaller vocabulary
    merges = json.loads(learner.to_str())["model"]["merges"][: size - BYTES - 2]
    tokens = [*letters, *ends, *map("".join, merges)]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    for mark in (BEGIN, END):
        vocabulary[mark] = len(vocabulary)
    return {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]) + "\n",
    }


def build(files: Mapping[str, str], length: int) -> Tokenizer:
    """The tokenizer of those files, which reads ``length`` tokens at once."""
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    merges = [tuple(line.split(" ")) for line in files["merges.txt"].splitlines()[1:]]
    return cast(
        "Tokenizer",
        CLIPTokenizer(
            vocab=json.loads(files["vocab.json"]), merges=merges, model_max_length=length
        ),
    )


def folder(files: Mapping[str, str], length: int) -> dict[str, str]:
    """All files of a tokenizer's folder, as transformers writes them, with those that it was built of."""
    with tempfile.TemporaryDirectory() as place:
        cast("Any", build(files, length)).save_pretrained(place)
        written = {path.name: path.read_text("utf-8") for path in Path(place).iterdir()}
    return {**written, **files}
