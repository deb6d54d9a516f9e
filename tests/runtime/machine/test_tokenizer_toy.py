"""The toy tokenizer keeps the laws that the tests rely on; else they would test nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

texts = st.lists(st.sampled_from([*"abce: A\nGur", "é", "user\n", "日"]), max_size=30).map("".join)


@given(texts)
def test_it_loses_nothing(greedy_tokenizer, text):
    assert greedy_tokenizer.decode(greedy_tokenizer.encode(text)) == text


@given(texts, texts)
def test_stable_len(greedy_tokenizer, text, more):
    encode, cut = greedy_tokenizer.encode, greedy_tokenizer.stable_len(text)
    assert encode(text + more) == encode(text[:cut]) + encode(text[cut:] + more)


def test_parts_differ_from_the_whole(greedy_tokenizer):
    encode = greedy_tokenizer.encode
    assert encode("a") + encode("bc") != encode("abc")
    assert greedy_tokenizer.stable_len("x" * 50) > 30
