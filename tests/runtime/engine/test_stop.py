"""Stop rules against a reference that looks at every token, and rule 3 of the language."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.runtime.engine.request import Sampling
from sglc.runtime.engine.stop import ENDS, MAY_STOP, StopTables, find_stop, keep

# letters, overlaps, parts of characters, a token inside which a stop can lie whole, an empty one
VOCABULARY = [
    b"", b"a", b"b", b"ab", b"ba", b"aab", b"\n", b"\n\n", "é".encode(), b"\xc3", b"\xa9",
    "\U0001f600".encode(), b"\xf0\x9f", b"\x98\x80", b"b\xf0", b"xaby", b" ", b"y",
]  # fmt: skip
EOS = 0
TOKENS = st.lists(st.integers(1, len(VOCABULARY) - 1), min_size=1, max_size=25)
STOPS = st.lists(st.text("ab\né\U0001f600y", min_size=1, max_size=4), max_size=3)


def is_whole(data: bytes) -> bool:
    """No character is cut short at the end (bytes that never make one do not count)."""
    for extra in (b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0\x80", b"\x90\x80\x80"):
        if len((data + extra).decode("utf-8", "replace")) < len(
            data.decode("utf-8", "replace")
        ) + len(extra.decode("utf-8", "replace")):
            return False
    return True


def reference(tokens: list[int], stops: list[str], min_tokens: int) -> tuple[int, int | None]:
    """How many tokens are sampled, and the byte at which the text stops (None: it does not)."""
    for count in range(min_tokens + 1, len(tokens) + 1):
        data = b"".join(VOCABULARY[token] for token in tokens[:count])
        protected = sum(len(VOCABULARY[token]) for token in tokens[:min_tokens])
        starts = [
            start
            for stop in stops
            for start in range(len(data))
            if data.startswith(stop.encode(), start) and start + len(stop.encode()) > protected
        ]
        if starts:
            return count, min(starts)
    return len(tokens), None


def by_tables(tokens: list[int], sampling: Sampling) -> tuple[int, int | None]:
    """The same by the tables and the check of flagged tokens."""
    codes = StopTables(VOCABULARY, [EOS]).codes(sampling)
    for count in range(1, len(tokens) + 1):
        assert codes[tokens[count - 1]] != ENDS
        if codes[tokens[count - 1]] == MAY_STOP:
            pieces = [VOCABULARY[token] for token in tokens[:count]]
            stop_at = find_stop(pieces, sampling)
            if stop_at is not None:
                return count, stop_at
    return len(tokens), None


@given(TOKENS, STOPS, st.integers(0, 6))
@settings(max_examples=300, deadline=None)
def test_stops_are_found_where_the_reference_finds_them(tokens, stops, min_tokens) -> None:
    sampling = Sampling(stop=tuple(stops), min_tokens=min_tokens)
    assert by_tables(tokens, sampling) == reference(tokens, stops, min_tokens)


@given(TOKENS, STOPS)
@settings(max_examples=300, deadline=None)
def test_regexes_agree_with_texts(tokens, stops) -> None:
    """A stop text written as a regex stops at the same token and place, but for broken
    characters."""
    text = Sampling(stop=tuple(stops))
    regex = Sampling(stop_regex=tuple(re.escape(stop) for stop in stops))
    assert by_tables(tokens, regex) == by_tables(tokens, text)


@given(TOKENS, STOPS)
@settings(max_examples=300, deadline=None)
def test_what_is_kept(tokens, stops) -> None:
    count, stop_at = reference(tokens, stops, 0)
    pieces = [VOCABULARY[token] for token in tokens[:count]]
    kept = keep(pieces, stop_at)
    data = b"".join(pieces)[:stop_at]
    while not is_whole(data):
        data = data[:-1]
    assert kept.text == data.decode("utf-8", "replace")
    settled = b"".join(pieces[: kept.num_tokens])
    assert kept.text == settled.decode("utf-8", "replace") + kept.rest
    # the most tokens that end at or before the stop and on a character boundary
    fitting = [
        n
        for n in range(len(pieces) + 1)
        if len(b"".join(pieces[:n])) <= len(data) and is_whole(b"".join(pieces[:n]))
    ]
    assert kept.num_tokens == max(fitting)


@pytest.mark.parametrize(
    ("pieces", "stop", "kept", "text", "rest"),
    [
        ([b"one", b" two"], None, 2, "one two", ""),
        ([b"one", b" t\nwo"], b"\n", 1, "one t", " t"),  # a stop inside a token
        ([b"one", b"\n", b"\n"], b"\n\n", 1, "one", ""),  # a stop over two tokens
        ([b"a\n\n"], b"\n\n", 0, "a", "a"),
        ([b"x", "é".encode()[:1], "é".encode()[1:]], None, 3, "xé", ""),
        ([b"x", "é".encode()[:1]], None, 1, "x", ""),  # half a character is no text
        ([b"x\xc3"], None, 0, "x", "x"),
        ([b"x", b"\xc3", b"\xa9\n"], b"\n", 1, "xé", "é"),
        ([b"x", b"\xff", b"y"], None, 3, "x\ufffdy", ""),
    ],
)
def test_examples(pieces, stop, kept, text, rest) -> None:
    stop_at = b"".join(pieces).find(stop) if stop else None
    found = keep(pieces, stop_at)
    assert (found.num_tokens, found.text, found.rest) == (kept, text, rest)
