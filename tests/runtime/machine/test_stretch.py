"""Rule 1: a stretch's tokens are the encoding of its whole text, however it was pieced together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.codegen.plan import Constant
from sglc.runtime.machine.stretch import StretchEncoder, runs_of
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate

ALPHABET = st.sampled_from([*"abce: A\nGur", "é", "user\n", "abc", "  ", "日", "<|im_end|>"])
texts = st.lists(ALPHABET, max_size=40).map("".join)
CONTROL = 9999


def constant_of(tokenizer, text):
    stable = tokenizer.stable_len(text)
    return Constant(
        text, tuple(tokenizer.encode(text)), stable, len(tokenizer.encode(text[:stable]))
    )


def reference(tokenizer, pieces):
    """Join, cut at control tokens, encode each run."""
    ids, run = [], ""
    for piece in [*pieces, CONTROL]:
        if isinstance(piece, str):
            run += piece
        else:
            ids += [*tokenizer.encode(run), piece]
            run = ""
    return ids[:-1]


def cut(text, rng):
    """The text in random pieces."""
    places = sorted(rng.randint(0, len(text)) for _ in range(rng.randint(0, 4)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def check(tokenizer, runs, constants, rng):
    """Encode cut-up runs with control tokens between, in a batch and again (from the cache)."""
    stretches = []
    for start in range(len(runs)):
        pieces = []
        for text in runs[start:]:
            pieces += [*cut(text, rng), *[CONTROL] * rng.randint(0, 2)]
        stretches.append(pieces)
    encoder = StretchEncoder(tokenizer, constants)
    wanted = [reference(tokenizer, pieces) for pieces in stretches]
    for _ in range(2):
        assert [encoded.all_ids() for encoded in encoder.encode(stretches)] == wanted


def check_split(tokenizer, text, more, rng):
    encoder = StretchEncoder(tokenizer)
    fixed, tail = encoder.split_stable([CONTROL, *cut(text, rng)])
    first, second = encoder.encode([fixed, [tail + more]])
    assert first.all_ids() + second.all_ids() == reference(tokenizer, [CONTROL, text + more])


def check_random(tokenizer, runs, begun, rng):
    """Constants are whole runs, beginnings of runs, and texts that only look like it."""
    texts = [*runs, *(run[: rng.randint(0, len(run))] for run in runs), *begun]
    runs = [rng.choice([run, *(text + run for text in begun)]) for run in runs]
    check(tokenizer, runs, [constant_of(tokenizer, text) for text in texts], rng)


@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, max_size=3), st.randoms())
def test_tokens_of_the_whole_text(greedy_tokenizer, runs, begun, rng):
    check_random(greedy_tokenizer, runs, begun, rng)


@given(texts.filter(bool), texts, st.randoms())
def test_an_early_split_changes_nothing(greedy_tokenizer, text, more, rng):
    check_split(greedy_tokenizer, text * 9, more, rng)


@pytest.mark.weights
@settings(max_examples=60)
@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, max_size=3), st.randoms())
def test_tokens_of_the_embedded_model(embedded_tokenizer, runs, begun, rng):
    check_random(embedded_tokenizer, runs, begun, rng)


@pytest.mark.weights
@settings(max_examples=60)
@given(st.text(min_size=70, max_size=90), st.text(max_size=10), st.randoms())
def test_an_early_split_with_the_embedded_model(embedded_tokenizer, text, more, rng):
    check_split(embedded_tokenizer, text, more, rng)


def test_what_is_known_is_not_encoded_again(greedy_tokenizer):
    """Per row only the row's own text goes through the tokenizer, and only once."""
    shots = "Question: abc e: A\n\n" * 50
    encoder = StretchEncoder(greedy_tokenizer, [constant_of(greedy_tokenizer, shots)])
    before = greedy_tokenizer.num_encoded
    for _ in range(3):
        encoder.encode([[shots, "why?"], [shots, "why?"], [shots]])
    assert greedy_tokenizer.num_encoded - before < 20


def test_runs_join_texts_and_drop_empty_ones():
    assert runs_of(["", "a", "", "b", 1, "", 2, "c", ""]) == ["ab", 1, 2, "c"]


@pytest.fixture(scope="module")
def embedded_tokenizer():
    return load_spec(locate(None)).tokenizer
