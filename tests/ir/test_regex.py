"""Regexes with a limit on their time: what `re` finds, in either process, or a failure."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir import types as t
from sglc.ir.host import regex
from sglc.ir.host.env import NO_ENV
from sglc.ir.host.error import HostError
from sglc.ir.host.functions import FUNCTIONS
from sglc.ir.values import Mismatch, conform

ENDLESS = [r"(a+)+b", r"(a|aa)*b", r"(?:a?){40}a{20}b", r"(.*)*(.*)*b", r"(?=(a+)+b)a", r"(a*?)*?b"]


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "SECONDS", 0.1)


ATOMS = st.sampled_from(
    ["a", "b", "é", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", r"\b", "^", "$", r"\Z", "(?i:A)", ""]
)
REPEATS = ["*", "+", "?", "*?", "{2}", "{1,3}", "{0,}", "++"]
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map("({})".format),
        inner.map("(?:{})".format),
        inner.map(r"({})b\1".format),
        inner.map("(?={})".format),
        inner.map("(?<!b)(?:{})".format),
        st.tuples(inner, st.sampled_from(REPEATS)).map(lambda pair: "(?:{}){}".format(*pair)),
    ),
    max_leaves=6,
)
TEXTS = st.text("abA é1\n\x1c\udc80\U0001f600", max_size=12)


def by_re(method: str, pattern: str, text: str) -> list[regex.Spans]:
    found = getattr(re, method)(pattern, text)
    matches = found if method == "finditer" else [found]
    return [match.regs for match in matches if match is not None]


@given(PATTERNS, TEXTS, st.sampled_from(get_args(regex.Method)))
@settings(max_examples=400, deadline=None)
def test_both_processes_find_what_re_finds(pattern, text, method) -> None:
    try:
        expected = by_re(method, pattern, text)
    except re.error:
        with pytest.raises(re.error):
            regex.spans(method, pattern, text)
        return
    assert regex.spans(method, pattern, text) == expected
    assert regex._WORKER.spans(method, pattern, text) == expected


@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_search_without_end_fails_and_the_next_one_works(pattern, short_limit) -> None:
    begin = time.process_time()
    with pytest.raises(regex.SearchFailed) as failed:
        regex.spans("search", pattern, "a" * 40)
    assert time.process_time() - begin < 0.1  # nothing of it ran here
    said = f"the regex `{pattern}` on a text of 40 characters took over 0.1 s; repeats that can"
    assert str(failed.value).startswith(said)
    assert regex.spans("search", pattern, "xaaaab") == by_re("search", pattern, "xaaaab")


@pytest.mark.parametrize(
    "pattern", [r".*", r"-?\d+", r"(a+)x", r"yes|no", r"a{1000}", r"[ab]*?c", r"(?:aa){0,9}b"]
)
def test_what_is_searched_here_takes_no_time(pattern) -> None:
    _, longest = regex._compiled(pattern)
    assert longest > 100
    begin = time.process_time()
    re.search(pattern, "a" * longest)
    assert time.process_time() - begin < 0.5


def test_long_texts_go_to_the_other_process() -> None:
    """A pattern of one repeat is quadratic where it is searched: that has an end, far away."""
    assert regex._compiled(r".*b")[1] < 100_000
    assert regex._compiled(r"yes|no")[1] > 100_000


def test_what_was_too_slow_is_not_tried_again(short_limit) -> None:
    for _ in range(2):
        with pytest.raises(regex.SearchFailed, match=r"took over 0\.1 s"):
            regex.spans("match", "(a+)+b", "a" * 60)
        process = regex._WORKER._process
        assert regex.spans("match", "(a+)+b", "a" * 61 + "b") == [((0, 62), (0, 61))]
    assert process is not None and regex._WORKER._process is process


def test_a_process_that_cannot_start(monkeypatch) -> None:
    regex._WORKER.stop()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(regex.SearchFailed, match=r"the process that searches cannot start"):
        regex.spans("search", "(a+)+b", "ab")


def test_functions_types_and_try(short_limit) -> None:
    for name in ("find", "match"):
        with pytest.raises(HostError, match=rf"`{name}`: the regex `\(a\+\)\+b` on a") as failed:
            FUNCTIONS[name](NO_ENV, "(a+)+b", "a" * 40)
        assert failed.value.code == "timeout"
    with pytest.raises(Mismatch, match=r"found that the regex .* took over"):
        conform("a" * 40, t.StrType(pattern="(a+)+b"))
    assert conform("aab", t.StrType(pattern="(a+)+b")) == "aab"


def test_an_interrupted_search_leaves_no_answer_behind() -> None:
    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            regex.spans("search", "(a+)+b", "a" * 50)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert regex.spans("search", "(a+)+b", "zaab") == [((1, 4), (1, 3))]


def test_a_process_that_is_killed_is_told_of_and_replaced(monkeypatch) -> None:
    assert regex.spans("search", "(a+)+b", "ab") == [((0, 2), (0, 1))]
    process = regex._WORKER._process
    assert process is not None
    process.kill()
    monkeypatch.setattr(process, "poll", lambda: None)  # it is seen only when it is asked
    with pytest.raises(regex.SearchFailed, match=r"ended its process \(status -9\)"):
        regex.spans("search", "(a+)+b", "ab")
    assert regex.spans("search", "(a+)+b", "ab") == [((0, 2), (0, 1))]


def test_a_forked_process_has_one_of_its_own() -> None:
    script = """
import os
from sglc.ir.host import regex
found = regex.spans("search", "(a+)+b", "ab")
child = os.fork()
answers = [regex.spans("search", "(a+)+b", "a" * i + "b") for i in range(1, 200)]
assert answers == [[((0, i + 1), (0, i))] for i in range(1, 200)], answers
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
