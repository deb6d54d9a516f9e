"""Remembered words never change an id: against the `tokenizers` library on whole texts, and code
point by code point."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.runtime.model import words as words_module
from sglc.runtime.model.gguf_vocabulary import gguf_vocabulary
from sglc.runtime.model.hf_vocabulary import hf_vocabulary
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate
from sglc.runtime.model.pretokens import KNOWN_PATTERNS
from sglc.runtime.model.stable import cuts_of
from sglc.runtime.model.tokenizer import BpeTokenizer
from sglc.runtime.model.vocabulary import Vocabulary
from sglc.runtime.model.words import LONG, LONGEST, WordMemory

CUTS = ["gpt2", "smollm", "llama3", "qwen2"]

PLAIN = [
    "the",
    "water",
    "don't",
    "12",
    "3.14",
    "(x)",
    "e\u0301",
    "日本",
    "\u0958",
    "👩\u200d👩",
    "'s",
]
SPACES = [" ", " ", " ", " ", "", "  ", "\n", " \n", "\n ", "\t", "\r\n", "\u00a0", "\u3000 "]
ODD = [
    "\u2581",
    "\x1c",
    "\x85",
    "\u180e",
    "\u200b",
    "\u2028",
    "\ufeff",
    "\u0301",
    "<|im_end|>",
    "\0",
]
PARTS = st.one_of(
    st.sampled_from(PLAIN),
    st.sampled_from(SPACES),
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)
TEXTS = st.lists(
    st.lists(st.tuples(PARTS, st.sampled_from(SPACES)).map("".join), max_size=12).map("".join),
    max_size=4,
)


@pytest.fixture(scope="module", params=[*CUTS, "sentencepiece"])
def tokenizer(request, train_byte_level, llama_metadata, write_folder):
    if request.param == "sentencepiece":
        return BpeTokenizer(gguf_vocabulary(llama_metadata), 700)
    return load_spec(locate(str(write_folder(train_byte_level(request.param))))).tokenizer


def by_library(tokenizer, texts):
    return [e.ids for e in tokenizer.library.encode_batch_fast(texts, add_special_tokens=False)]


def test_ids_are_those_of_the_library(tokenizer):
    """The memory is full of what the texts before have taught."""
    assert tokenizer._words is not None

    @settings(max_examples=200)
    @given(TEXTS)
    def check(texts):
        assert tokenizer.encode_batch(texts) == by_library(tokenizer, texts)

    check()
    memory = tokenizer._words
    assert len(memory._inner) > 30 and len(memory._first) > 20
    for word, ids in memory._inner.items():
        assert [list(memoryview(ids).cast("i"))] == by_library(tokenizer, [" " + word])


@pytest.mark.weights
@settings(max_examples=200)
@given(TEXTS)
def test_ids_of_the_embedded_model(embedded, texts):
    assert embedded.encode_batch(texts) == by_library(embedded, texts)


@pytest.mark.weights
def test_ids_of_rows_of_the_embedded_model(embedded):
    """Words and parts of words, numbers and signs."""
    spelt = [embedded.token_bytes(id).decode("utf-8", "replace") for id in range(300, 49_000)]
    draw = random.Random(3)
    for _ in range(2):
        texts = ["".join(draw.choices(spelt, k=200)) for _ in range(100)]
        texts += [" ".join(str(draw.getrandbits(30)) for _ in range(100)) for _ in range(20)]
        assert embedded.encode_batch(texts) == by_library(embedded, texts)
        assert embedded.encode_batch(texts[::-1]) == by_library(embedded, texts[::-1])


@pytest.fixture(scope="module")
def embedded():
    return load_spec(locate(None)).tokenizer


@pytest.mark.parametrize("pattern", sorted(KNOWN_PATTERNS))
def test_a_space_after_any_character_but_white_space_begins_a_piece(pattern):
    """Every code point of the planes that Unicode uses, and with something before it those of most
    scripts: of the library's pieces of `c b`, one is ` b`."""
    library = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"?": 0, "\u0120b": 1}, unk_token="?")
    )
    library.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    spaces = cuts_of(of_pattern(pattern)).spaces
    planes = [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xF0000)]
    for before, points in {"": planes, "a": planes[:0x3100]}.items():
        units = [f"{before}{chr(point)} b" for point in points]
        units = [unit for unit in units if spaces.search(unit)]
        assert len(points) - len(units) < 40
        texts = ["\n".join(units[start : start + 4000]) for start in range(0, len(units), 4000)]
        found = sum(encoding.ids.count(1) for encoding in library.encode_batch_fast(texts))
        assert found == len(units)


def of_pattern(pattern):
    step = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    pipeline = {"pre_tokenizer": step, "model": {"vocab": {}}}
    return Vocabulary(pipeline, (), None, frozenset(), True, False, {})


def changed(vocabulary, model=None, **steps):
    pipeline = {**vocabulary.pipeline, **steps}
    pipeline["model"] = {**vocabulary.pipeline["model"], **(model or {})}
    return replace(vocabulary, pipeline=pipeline)


def test_no_cuts_without_a_proof(llama_metadata):
    patterns = [of_pattern(pattern) for pattern in KNOWN_PATTERNS]
    llama = gguf_vocabulary(llama_metadata)
    assert all(map(cuts_of, [*patterns, llama]))
    assert cuts_of(of_pattern(r"\w+|.")) is None
    for vocabulary in (*patterns, llama):
        assert cuts_of(changed(vocabulary, {"dropout": 0.1})) is None
    # where a word is taken whole, or spelt otherwise at an end, it matters where a text is cut
    for setting in ("ignore_merges", "continuing_subword_prefix", "end_of_word_suffix"):
        assert cuts_of(changed(llama, {setting: "#"})) is None
    spaces = llama.pipeline["normalizer"]
    for pattern, content in (({"String": "a"}, "b"), ({"Regex": " +"}, "\u2581")):
        other = {"type": "Replace", "pattern": pattern, "content": content}
        both = {"type": "Sequence", "normalizers": [spaces, other]}
        assert cuts_of(changed(llama, normalizer=both)) is None


def test_without_cuts_the_library_encodes(llama_metadata):
    llama = changed(gguf_vocabulary(llama_metadata), {"ignore_merges": True})
    tokenizer = BpeTokenizer(llama, 700)
    assert tokenizer.stable_len("one word after another") == 0
    assert tokenizer.encode_batch(["the water"]) == by_library(tokenizer, ["the water"])


class Counting:
    """The library, counting the characters that it is given."""

    def __init__(self, library):
        self._library = library
        self.num_characters = 0

    def encode_batch(self, texts, **options):
        self.num_characters += sum(map(len, texts))
        return self._library.encode_batch(texts, **options)

    def encode_batch_fast(self, texts, **options):
        self.num_characters += sum(map(len, texts))
        return self._library.encode_batch_fast(texts, **options)


@pytest.fixture
def memory(train_byte_level, write_folder):
    vocabulary = hf_vocabulary(write_folder(train_byte_level("llama3")))
    library = tokenizers.Tokenizer.from_str(json.dumps(vocabulary.pipeline))
    cuts = cuts_of(vocabulary)
    assert cuts is not None
    return WordMemory(Counting(library), cuts.spaces)


def test_each_word_is_tokenized_once(memory):
    library = memory._encoder
    memory.encode_batch(["one two", "two one  two three", "one"])
    # as beginnings: "one", "two"; and behind them " two", " one", "  two", " three"
    assert library.num_characters == sum(
        map(len, ["one", " two", "two", " one", "  two", " three"])
    )
    memory.encode_batch(["two one two three", "one two one", "", " three", "two  two"])
    assert library.num_characters == 25
    memory.encode_batch(["one four"])
    assert library.num_characters == 30


def test_what_is_long_or_may_go_on_is_not_kept(memory):
    long = "long" * (LONGEST // 4)
    for text in (long + "er", "a " + long + "er", "a\n", "a \n", "a ", "  "):
        memory.encode_batch([text])
        before = memory._encoder.num_characters
        memory.encode_batch([text])
        assert memory._encoder.num_characters > before


def test_a_long_text_is_encoded_once_for_two_that_ask(memory, monkeypatch):
    # no spaces: nothing of it is remembered as words
    texts = [str(number) * (LONG // 4) for number in range(10_000, 10_003)]
    expected = [e.ids for e in memory._encoder._library.encode_batch_fast(texts)]
    for asked, times in (("whether it has room", 1), ("to be run", 1), ("by another run", 2)):
        assert memory.encode_batch(texts) == expected, asked
        assert memory._encoder.num_characters == times * sum(map(len, texts)), asked
    assert memory.encode_batch([texts[0], texts[0]]) == [expected[0]] * 2
    monkeypatch.setattr(words_module, "MOST_ASKED_ONCE", 2 * LONG)
    assert memory.encode_batch(texts) == expected  # too many to be kept
    assert not memory._asked_once


def test_the_memory_is_bounded_and_shared_by_threads(memory, monkeypatch):
    monkeypatch.setattr(words_module, "MOST_WORDS", 50)

    def encode(seed):
        draw = random.Random(seed)
        for _ in range(150):
            texts = [" ".join(draw.choices(PLAIN, k=5)) + str(draw.randrange(99)) for _ in range(4)]
            expected = [e.ids for e in memory._encoder._library.encode_batch_fast(texts)]
            assert memory.encode_batch(texts) == expected
            assert len(memory._inner) + len(memory._first) <= 50 + num_threads
        return seed

    num_threads = 4
    with ThreadPoolExecutor(num_threads) as threads:
        assert list(threads.map(encode, range(num_threads))) == list(range(num_threads))
