"""What texts begin with in common, against comparing characters one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sglc.runtime import beginnings
from sglc.runtime.beginnings import common_len, shared_beginnings

texts = st.text("ab", max_size=12)


@given(texts, texts)
def test_common_len_is_that_of_the_longest_common_prefix(a, b):
    length = max(n for n in range(13) if a[:n] == b[:n] and n <= min(len(a), len(b)))
    assert common_len(a, b) == common_len(a.encode(), b.encode()) == length


@given(st.lists(texts, max_size=12))
def test_what_is_shared_is_shared_with_another_text(many):
    with_least(3, lambda: check(many))


def check(many):
    found = shared_beginnings(many)
    for text, length in found.items():
        assert length >= 3
        assert any(other != text and other.startswith(text[:length]) for other in many)
    for text in set(many) - set(found):
        alike = [other for other in many if other != text and other[:3] == text[:3]]
        assert len(text) < 3 or all(len(other) < 3 or other in found for other in alike)


def test_rows_below_two_documents_are_two_groups():
    header = "h" * 300
    ones = [header + "1" * 700 + ask for ask in ("a", "b", "c")]
    twos = [header + "2" * 700 + ask for ask in ("a", "b")]
    assert shared_beginnings(ones + twos) == dict.fromkeys(ones + twos, 1000)


def test_a_chance_likeness_does_not_make_the_group_smaller():
    header = "h" * 1000
    many = [header + tail for tail in ("ax", "ay", "bx", "c")]
    assert shared_beginnings(many) == dict.fromkeys(many, 1000)


def test_short_texts_are_left_alone():
    assert shared_beginnings(["abc", "abd", ""]) == {}


def with_least(count, call):
    before, beginnings.LEAST = beginnings.LEAST, count
    try:
        call()
    finally:
        beginnings.LEAST = before
