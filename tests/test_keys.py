"""Content addresses: what differs in meaning has another key, what does not has the same."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.graph import Key, Ref
from studio.keys import digest
from studio.values import ModelRef

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, "1"),
        (1, True),
        (0, False),
        (0.0, -0.0),
        (None, ""),
        ("ab", b"ab"),
        ([], {}),
        (["a", "b"], ["ab"]),
        ([["a"], "b"], ["a", ["b"]]),
        ({"a": {"b": 1}}, {"a": 1, "b": {}}),
        (Ref(Key("00"), "a"), Ref(Key("00"), "b")),
        (0.1 + 0.2, 0.3),
        (2**63, float(2**63)),
        (2**64 - 1, 2**64),
    ],
)
def test_values_that_differ_have_different_keys(one: object, other: object) -> None:
    assert digest(one) != digest(other)


def test_the_order_of_a_mapping_and_the_kind_of_a_sequence_do_not_count() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": (2, 3), "a": 1})


@given(PLAIN, PLAIN)
def test_keys_are_equal_exactly_when_the_documents_are(one: object, other: object) -> None:
    assert (digest(one) == digest(other)) == (repr(_sorted(one)) == repr(_sorted(other)))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_a_key_is_the_same_in_every_process_and_version() -> None:
    # recorded once: a change of this value is a change of the format of every store
    document = {
        "type": "denoise",
        "params": {"guidance": 5.0, "steps": 20, "text": "ä"},
        "none": None,
    }
    assert digest(document) == "1a06da96fab66952bfebbbe28a2aa84ec6e294c7"


def test_a_model_is_known_by_content_not_by_name() -> None:
    one, other = ModelRef("a", "unet", "00"), ModelRef("b", "unet", "00")
    assert digest(one) == digest(other)
    assert digest(one) != digest(ModelRef("a", "vae", "00"))
    ink, same_ink = (ModelRef(name, "lora", "11") for name in ("ink", "copy of ink"))
    patched = digest(ModelRef("a", "unet", "00", ((ink, 0.5),)))
    assert patched not in (digest(one), digest(ModelRef("a", "unet", "00", ((ink, 0.6),))))
    assert patched == digest(ModelRef("a", "unet", "00", ((same_ink, 0.5),)))


def test_what_has_no_content_address_is_named_by_its_place() -> None:
    @dataclass(frozen=True)
    class Holder:
        inner: object

    with pytest.raises(TypeError, match=r"document\.params\[1\]\.inner is a object"):
        digest({"params": [1, Holder(object())]})


def test_a_mapping_with_keys_that_are_not_text_is_refused() -> None:
    with pytest.raises(TypeError, match="the key 1"):
        digest({1: "a"})
