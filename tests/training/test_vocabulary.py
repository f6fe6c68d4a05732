"""A tokenizer learned from captions, against the rules of CLIP's."""

from __future__ import annotations

import json
import random

import pytest
import torch

from studio.training import scenes, vocabulary
from studio.training.data import Examples
from studio.training.reading import LearningReader
from studio.values import Dataset, NewTextEncoder, Scenes
from tests.training.test_feeding import Nobody

CAPTIONS = [scenes.caption(scenes.scene(0, i), random.Random(i)) for i in range(600)]


@pytest.mark.parametrize("size", [520, 600, 900])
def test_it_has_all_bytes_the_two_marks_at_the_end_and_at_most_the_tokens_asked_for(
    size: int,
) -> None:
    files = vocabulary.learned(CAPTIONS, size)
    tokens = json.loads(files["vocab.json"])
    assert len(tokens) <= size
    assert sorted(tokens.values()) == list(range(len(tokens)))
    assert (tokens[vocabulary.BEGIN], tokens[vocabulary.END]) == (len(tokens) - 2, len(tokens) - 1)
    tokenizer = vocabulary.build(files, 64)
    for text in ("Zwölf Boxkämpfer", "雪", "a red balloon, at night"):
        read = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False))
        assert read.replace(" ", "") == text.lower().replace(" ", "")


def test_pairs_as_frequent_as_one_another_come_in_one_order() -> None:
    words = [f"n{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    files = [vocabulary.learned(words, 530) for _ in range(8)]
    assert all(one == files[0] for one in files)


def test_frequent_words_become_one_token_and_a_smaller_vocabulary_is_its_beginning() -> None:
    large, small = (json.loads(vocabulary.learned(CAPTIONS, n)["vocab.json"]) for n in (900, 700))
    assert {"the</w>", "picture</w>", "sailboat</w>", "mountains</w>"} <= large.keys()
    marks = {vocabulary.BEGIN, vocabulary.END}
    assert list(small)[:-2] == list(large)[: len(small) - 2]
    assert set(small) - set(large) == set()
    assert marks <= small.keys()


def test_a_learning_encoder_reads_the_ids_that_the_tokenizer_gives() -> None:
    examples = Examples(Dataset(Scenes(0, 200), 32, (), has_captions=True), 0)
    described = NewTextEncoder(width=32, layers=1, head_width=16, length=24, vocabulary=700)
    reader = LearningReader.new(described, examples, 0, torch.device("cpu"))
    texts = ["A red  balloon, over the SEA!", "", "it's " * 40]
    seen: list[torch.Tensor] = []
    embedding = reader.module.get_input_embeddings()  # type: ignore[operator]  # a transformers model
    embedding.register_forward_hook(lambda _module, args, _output: seen.append(args[0]))
    hidden = reader.read(texts, Nobody()).hidden
    assert hidden.shape == (3, 24, 32)
    tokenizer = vocabulary.build(reader.files, 24)
    wanted = tokenizer(texts, padding="max_length", truncation=True, max_length=24)  # type: ignore[operator]  # a transformers tokenizer
    assert seen[0].tolist() == wanted["input_ids"]
