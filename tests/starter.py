"""Facts of the bundled model, as its own files state them."""

from __future__ import annotations

import json
from typing import Any

from studio.models.headers import read_header
from studio.resources import resource


def config(*place: str) -> Any:
    """A JSON file of the model."""
    return json.loads(resource("starter", *place).read_text(encoding="utf-8"))


_TEXT = config("text_encoder", "config.json")
WIDTH: int = _TEXT["hidden_size"]
LENGTH: int = _TEXT["max_position_embeddings"]
LAYERS: int = _TEXT["num_hidden_layers"]
VOCABULARY: dict[str, int] = config("tokenizer", "vocab.json")
BEGIN, END = VOCABULARY["<|startoftext|>"], VOCABULARY["<|endoftext|>"]


def size(*place: str) -> int:
    """Bytes of a component's weights in float32."""
    tensors = read_header(resource("starter", *place)).tensors
    return 4 * sum(tensor.numel for tensor in tensors.values())
