"""A batch's ids are those of each text alone; common beginnings go through the tokenizer once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.runtime.machine.batch_encoder import BatchEncoder
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate

WORDS = ["abce: A", "beta", " gamma", "\n", "  ", "user\n", "é", "日本", "12", "3.", "'s "]
runs = st.lists(st.sampled_from(WORDS), max_size=90).map("".join)


class Counting:
    """A tokenizer that counts the characters it is given."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self.num_characters = 0
        self.stable_len = tokenizer.stable_len

    def encode_batch(self, texts):
        self.num_characters += sum(map(len, texts))
        return self._tokenizer.encode_batch(texts)


def check(tokenizer, headers, tails):
    texts = [5 * header + tail for header in headers for tail in tails]
    encoder = BatchEncoder(tokenizer)
    for batch in (texts, texts[::2], texts):
        assert encoder.encode(batch) == [tokenizer.encode(text) for text in batch]


@given(headers=st.lists(runs, min_size=1, max_size=3), tails=st.lists(runs, max_size=5))
def test_ids_are_those_of_each_text_alone(greedy_tokenizer, headers, tails):
    check(greedy_tokenizer, headers, tails)


@pytest.mark.weights
@settings(max_examples=60)
@given(headers=st.lists(runs, min_size=1, max_size=3), tails=st.lists(runs, max_size=5))
def test_ids_of_the_embedded_model(embedded_tokenizer, headers, tails):
    check(embedded_tokenizer, headers, tails)


def test_a_header_is_tokenized_once(greedy_tokenizer):
    header = "Many words that all rows begin with. " * 40
    counting = Counting(greedy_tokenizer)
    encoder = BatchEncoder(counting)
    first = [f"{header}Item {n}." for n in range(10)]
    assert encoder.encode(first) == [greedy_tokenizer.encode(text) for text in first]
    assert counting.num_characters < 2 * len(header)
    for name, most in (("And a later one", 2 * len(header)), ("Then another", len(header) // 4)):
        # the first tells that "Item " is not a part of the header
        seen = counting.num_characters
        later = f"{header}{name}."
        assert encoder.encode([later]) == [greedy_tokenizer.encode(later)]
        assert counting.num_characters - seen < most


def test_no_more_beginnings_are_remembered_than_said(greedy_tokenizer):
    encoder = BatchEncoder(greedy_tokenizer)
    for n in range(200):
        header = f"{n} words that two rows begin with. " * 12
        encoder.encode([header + "a", header + "b"])
    assert len(encoder._known) <= 64


@pytest.mark.parametrize("texts", [[], [""], ["", "a", ""]])
def test_empty_batches_and_texts(greedy_tokenizer, texts):
    assert BatchEncoder(greedy_tokenizer).encode(texts) == [
        greedy_tokenizer.encode(text) for text in texts
    ]


@pytest.fixture(scope="module")
def embedded_tokenizer():
    return load_spec(locate(None)).tokenizer
