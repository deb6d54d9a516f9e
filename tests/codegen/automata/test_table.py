"""Token tables against what walking every token from every state says."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.codegen.automata import table as table_module
from sglc.codegen.automata.constraint import TokenTable
from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.expr import Seq, Text
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.source import ConstraintError
from sglc.codegen.automata.table import token_table
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.codegen.automata.walk import value_end, walk

STRING = r'(?:[^"\\\x00-\x1f]|\\["\\nt]|\\u[0-9a-f]{4})'
# (value, text that follows)
CASES = [
    ("[a-z]{1,4}", ""),
    ("a*", ""),
    (STRING + "{0,6}", '","age":'),
    ("-?(?:0|[1-9][0-9]{0,2})", ',"tags":["'),
    ("-?(?:0|[1-9][0-9]{0,2})", "}"),
    ("(?:the )?colou?r", ""),
    (r"\d{4}-\d\d-\d\d", '"}'),
    ('"(?:ab|é)*"(?:,"(?:ab|é)*")*', "]}"),
    ("[é日😀]+|ab", "日本"),
    ("a|ab|abab", "ab"),
    ("(?:ab)*", "aba"),
    ('{"name":"' + STRING + '{0,3}","age":(?:[0-9]|1[0-9]),"colour":(?:true|false)}', ""),
]


def table_of(value: str, follow: str, vocabulary: Vocabulary, lead: str = "") -> TokenTable:
    dfa = byte_dfa(Seq((Text(lead), parse_regex(value))))
    return token_table(dfa, vocabulary, num_lead=len(lead.encode()), follow=follow)


def step(table: TokenTable, state: int, text: bytes) -> int:
    for byte in text:
        state = int(table.dfa.next[state, table.dfa.classes[byte]]) if state >= 0 else -1
    return state


def target(table: TokenTable, state: int, token: bytes) -> int:
    """Where a token leads, by the definition."""
    inside = step(table, state, token)
    if inside >= 0 or not token:
        return inside if token else -1
    follow = table.follow.encode()
    for size in range(len(token)):
        before, beyond = token[:size], token[size:]
        end = step(table, state, before)
        if end >= 0 and table.dfa.is_final[end] and follow.startswith(beyond):
            return table.num_states - 1
    return -1


def masks(table: TokenTable) -> np.ndarray:
    """[S, V] the state after each token."""
    return table.next[:, table.token_class]


@pytest.mark.parametrize(("value", "follow"), CASES)
def test_every_token_from_every_state(bpe_vocabulary, value, follow):
    table = table_of(value, follow, bpe_vocabulary)
    got = masks(table)
    assert table.num_states == len(table.dfa.is_final) + 1
    for state in range(table.num_states - 1):
        expected = [target(table, state, token) for token in bpe_vocabulary.tokens]
        assert got[state].tolist() == expected
    assert (got[-1] == -1).all()
    assert table.is_final.tolist() == [*table.dfa.is_final, True]


@pytest.mark.parametrize(("value", "follow"), CASES)
def test_classes(bpe_vocabulary, value, follow):
    table = table_of(value, follow, bpe_vocabulary)
    assert (table.next[:, 0] == -1).all()
    assert len(np.unique(table.next, axis=1).T) == table.next.shape[1]
    assert set(table.token_class) | {0} == set(range(table.next.shape[1]))
    silent = [id for id, token in enumerate(bpe_vocabulary.tokens) if not token]
    assert silent and not table.token_class[silent].any()
    assert (table.next.dtype, table.token_class.dtype) == (np.int16, np.uint16)


@pytest.mark.parametrize(("value", "follow"), CASES)
def test_distance_and_reach(bpe_vocabulary, value, follow):
    table = table_of(value, follow, bpe_vocabulary)
    for state, row in enumerate(table.next):
        targets = [int(target) for target in row if target >= 0]
        assert table.distance[state] == fewest_tokens(table, state)
        assert table.reach[state] == max((table.distance[target] for target in targets), default=0)
    assert table.fewest_tokens == fewest_tokens(table, 0)


def fewest_tokens(table: TokenTable, start: int) -> int:
    todo, seen = deque([(start, 0)]), {start}
    while True:
        state, tokens = todo.popleft()
        if table.is_final[state]:
            return tokens
        for after in {int(target) for target in table.next[state] if target >= 0} - seen:
            seen.add(after)
            todo.append((after, tokens + 1))


def stands_in(table: TokenTable) -> set[int]:
    """The states in which a gen from the start may stand, if it takes what is forced."""
    todo, seen = [0], {0}
    while todo:
        state = todo.pop()
        if table.completion[state] is not None:
            continue
        targets = {int(target) for target in table.next[state] if target >= 0}
        if table.forced[state]:
            after = state
            for id in table.forced[state]:
                after = int(table.next[after, table.token_class[id]])
            targets = {after}
        todo += targets - seen
        seen |= targets
    return seen


def language(table: TokenTable, state: int, size: int) -> set[bytes]:
    """The texts of up to `size` bytes that may still come, and longer ones' beginnings."""
    if size == 0:
        return {b""}
    found = {b""} if table.dfa.is_final[state] else set()
    for byte in range(256):
        after = step(table, state, bytes([byte]))
        if after >= 0:
            found |= {bytes([byte]) + rest for rest in language(table, after, size - 1)}
            if len(found) > 3:
                break  # enough to know that there is a choice
    return found


@pytest.mark.parametrize(("value", "follow"), CASES)
def test_completion(bpe_vocabulary, value, follow):
    table = table_of(value, follow, bpe_vocabulary)
    follow_state = table.num_states - 1
    assert table.completion[follow_state] == ""
    for state in stands_in(table) - {follow_state}:
        rest = language(table, state, 12)
        only = next(iter(rest)) if len(rest) == 1 else None
        is_text = only is not None and (not only or only[0] & 0xC0 != 0x80)
        if only is None or not is_text:
            assert table.completion[state] is None
        elif len(only) < 12:
            assert table.completion[state] == only.decode()


@pytest.mark.parametrize(("value", "follow"), CASES)
def test_forced_ids_begin_every_text(bpe_vocabulary, draw, value, follow):
    """Whatever comes after them, the tokenizer begins the rest of the text with the forced ids."""
    table = table_of(value, follow, bpe_vocabulary)
    rng = random.Random(value)
    texts = {draw(table.dfa, rng) for _ in range(60)}
    for state in stands_in(table):
        ids = list(table.forced[state])
        assert len(ids) != 1
        if not ids:
            continue
        assert table.completion[state] is None
        for text in texts:
            for place in range(len(text)):
                if step(table, 0, text[:place].encode()) == state:
                    assert bpe_vocabulary.encode(text[place:])[: len(ids)] == ids
                    assert bpe_vocabulary.encode(text[place:] + follow)[: len(ids)] == ids


def test_forced_text_is_found(word_vocabulary):
    table = table_of('{"name":"[a-z]+","age":(?:[0-9]|1[0-9])}', "", word_vocabulary)
    written = b"".join(word_vocabulary.tokens[id] for id in table.forced[0])
    assert written.startswith(b'{"name') and b'{"name":"'.startswith(written)
    after_name = walk(table, b'{"name":"ann')
    assert table.forced[after_name] == () and table.completion[after_name] is None
    assert table.completion[walk(table, b'{"name":"ann","age":12')] == "}"
    assert table.completion[walk(table, b'{"name":"ann","age":1')] is None


def test_a_constant_is_complete_at_once(bpe_vocabulary):
    table = table_of("the wind é", "x", bpe_vocabulary)
    assert table.completion[0] == "the wind é"
    assert table.forced[0] == ()
    assert table_of("", "", bpe_vocabulary).completion[0] == ""


@pytest.mark.parametrize("lead", ['":"', "[", '{"a":[', "é", "the "])
@pytest.mark.parametrize("value", ["[a-z]*", "(?:-?[0-9]+)?", STRING + "{0,4}", "é|è|ê"])
def test_lead(bpe_vocabulary, draw, lead, value):
    """In the lead a token is canonical or goes on into the value; beyond it nothing changes."""
    table = table_of(value, '"}', bpe_vocabulary, lead)
    free = token_table(table.dfa, bpe_vocabulary, follow='"}')
    data = lead.encode()
    inside = {walk(table, data[:size]): data[size:] for size in range(len(data))}
    got, unrestricted = masks(table), masks(free)
    for state in range(table.num_states):
        if state not in inside:
            assert (got[state] == unrestricted[state]).all()
            continue
        assert table.forced[state] == () and table.completion[state] is None
        rest = inside[state]
        if rest[0] & 0xC0 == 0x80:
            continue
        canonical = bpe_vocabulary.encode(rest.decode())[0]
        for id, token in enumerate(bpe_vocabulary.tokens):
            allowed = id == canonical or len(token) > len(rest)
            assert got[state, id] == (unrestricted[state, id] if allowed else -1)
    # every value can still be written, by the lead's own tokens
    state = 0
    for id in bpe_vocabulary.encode(lead):
        state = int(got[state, id])
    assert state == walk(table, data)


@pytest.mark.parametrize(("value", "follow"), CASES)
def test_value_end(bpe_vocabulary, draw, value, follow):
    """Random walks over tokens end in a value, or in one and the beginning of what follows."""
    table = table_of(value, follow, bpe_vocabulary)
    rng = random.Random(follow)
    got = masks(table)
    for _ in range(100):
        state, written, before = 0, b"", b""
        while state != table.num_states - 1 and not (
            table.is_final[state] and (rng.random() < 0.2 or len(written) > 30)
        ):
            allowed = np.flatnonzero(got[state] >= 0)
            if not allowed.size:
                break
            if len(written) > 20:
                nearer = table.distance[got[state, allowed]] < table.distance[state]
                allowed = allowed[nearer] if nearer.any() else allowed
            token = int(rng.choice(allowed))
            before, state = written, int(got[state, token])
            written += bpe_vocabulary.tokens[token]
        end = value_end(table, written)
        assert table.dfa.is_final[step(table, 0, written[:end])]
        if state == table.num_states - 1:
            assert len(before) <= end < len(written)
            assert follow.encode().startswith(written[end:])
        else:
            assert end == len(written)
            assert walk(table, written) == state


def test_what_is_not_allowed_has_no_place(bpe_vocabulary):
    table = table_of("a+", "b", bpe_vocabulary)
    with pytest.raises(ValueError, match="does not allow b'ab'"):
        walk(table, b"ab")
    assert value_end(table, b"aab") == 2
    with pytest.raises(ValueError, match="does not allow b'aac'"):
        value_end(table, b"aac")
    with pytest.raises(ValueError, match="does not allow b'b'"):
        value_end(table, b"b")


def test_tokens_that_cannot_spell_it():
    vocabulary = Vocabulary([b"a", b"bb", b""], lambda text: [])
    table = token_table(byte_dfa(parse_regex("(?:a|ab|abb)c?|a")), vocabulary)
    # what needs a single b or a c is not begun
    assert masks(table)[0].tolist() == [1, -1, -1]
    assert masks(table)[walk(table, b"a")].tolist() == [-1, walk(table, b"abb"), -1]
    with pytest.raises(ConstraintError, match="cannot spell"):
        token_table(byte_dfa(parse_regex("b")), vocabulary)


def test_bounds(bpe_vocabulary, monkeypatch):
    monkeypatch.setattr(table_module, "MAX_TABLE_BYTES", 200)
    with pytest.raises(TooLarge, match="a table of 41 states and"):
        table_of("[a-z]{0,39}", "", bpe_vocabulary)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(alphabet='ab"é,', min_size=1, max_size=4), min_size=1, max_size=6),
    st.text(alphabet='ab"é,', max_size=4),
    st.lists(st.binary(min_size=1, max_size=3) | st.text(alphabet='ab"é,').map(str.encode)),
)
def test_any_choices_and_follow(choices, follow, extra):
    bytes_ = [bytes([byte]) for byte in range(256)]
    vocabulary = Vocabulary([*bytes_, *extra, b""], lambda text: list(text.encode()))
    dfa = byte_dfa(parse_regex("|".join(map(_escaped, choices))))
    table = token_table(dfa, vocabulary, follow=follow)
    for state in range(table.num_states - 1):
        expected = [target(table, state, token) for token in vocabulary.tokens]
        assert masks(table)[state].tolist() == expected


def _escaped(text: str) -> str:
    return "".join(f"[{character}]" for character in text)
