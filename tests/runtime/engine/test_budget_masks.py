"""Near the end of a budget: every allowed token can still close, checked by search, and no token
that can is refused by a table."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from sglc.codegen.automata.source import ConstraintSource
from sglc.ir import types as t
from sglc.runtime.engine.grammar_rows import Grammars
from sglc.runtime.engine.mask_rows import MaskRows
from sglc.runtime.engine.request import GenRequest, Sampling

SOURCES = [
    ConstraintSource("regex", text=r"(ab|abc|the)*(12)?x{2,4}"),
    ConstraintSource("type", type=t.ListType(t.IntType(0, 120), 1, 4)),
    ConstraintSource("type", type=t.RecordType("R", (("a", t.BOOL), ("name", t.StrType())))),
    ConstraintSource("choices", text=json.dumps(["alpha", "alphabet", "the end", "é"])),
    ConstraintSource("type", type=t.FloatType(0, 1), lead='"a":', follow=',"name":'),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.text or str(source.type))
def test_table_rows_equal_a_search(constraint_of, words, source) -> None:
    table = constraint_of(source)
    masks = MaskRows(words.eos_ids, torch.device("cpu"))
    eos = min(words.eos_ids)

    @cache
    def can_close(state: int, limit: int) -> bool:
        if table.is_final[state]:
            return True
        return limit > 0 and any(can_close(after, limit - 1) for after in targets(state))

    @cache
    def targets(state: int) -> tuple[int, ...]:
        return tuple(set(table.next[state].tolist()) - {-1})

    states = random.Random(0).sample(range(table.num_states), min(table.num_states, 12))
    for state in states:
        for limit in range(6):
            (place,) = masks.places([(table, state, limit)], words.vocab_size)
            blocked = masks.blocked[place].numpy()
            after = table.next[state, table.token_class]
            expected = [to >= 0 and can_close(int(to), limit) for to in after]
            may_end = bool(table.is_final[state]) and not table.follow
            assert masks.only_end[place] == (may_end and not any(expected))
            expected[eos] = may_end
            np.testing.assert_array_equal(~blocked, expected)


def test_rows_are_made_again_when_the_cache_is_full(constraint_of, words, monkeypatch) -> None:
    monkeypatch.setattr("sglc.runtime.engine.mask_rows.CACHE_BYTES", 4 * words.vocab_size)
    table = constraint_of(SOURCES[1])
    masks = MaskRows(words.eos_ids, torch.device("cpu"))
    fresh = MaskRows(words.eos_ids, torch.device("cpu"))
    rng = random.Random(1)
    for _ in range(30):
        keys = [
            (table, rng.randrange(table.num_states), rng.choice([-1, 1, 2]))
            for _ in range(rng.randint(1, 6))
        ]
        places = masks.places(keys, words.vocab_size)
        assert not masks.blocked[0].any()
        for key, place in zip(keys, places, strict=True):
            fresh._places.clear()
            (alone,) = fresh.places([key], words.vocab_size)
            assert torch.equal(masks.blocked[place], fresh.blocked[alone])
            assert masks.only_end[place] == fresh.only_end[alone]


def test_a_grammar_of_another_version_is_compiled_again_and_noted(
    constraint_of, words_engine, words, run
) -> None:
    source = ConstraintSource("ebnf", text='root ::= "(" root ")" | "x"')
    stale = replace(constraint_of(source), version="0.0.1", serialized="")
    engine = words_engine()
    prefix = engine.extend(engine.root, [65])
    requests = [
        GenRequest(prefix, Sampling(max_tokens=5), seed, constraint=stale) for seed in range(3)
    ]
    for result in run(engine, requests).values():
        assert result.text.strip("()") == "x" and result.text.count("(") == result.text.count(")")
    (note,) = engine.stats.notes
    assert note.startswith("a grammar was compiled again: it was compiled with xgrammar 0.0.1")


GRAMMARS = [
    ("[", "]", ConstraintSource("ebnf", text='root ::= "[" (root ("," root)*)? "]"\n')),
    ("(", ")", ConstraintSource("ebnf", text='root ::= "(" ("ab" | root)* ")"\n')),
]


@pytest.mark.parametrize(("opening", "closing", "source"), GRAMMARS)
def test_grammars_can_close_after_what_fits(constraint_of, words, opening, closing, source) -> None:
    """Random walks that take any allowed token that fits: what is open can always be closed."""
    rng = random.Random(2)
    grammars = Grammars(words, [])
    constraint = constraint_of(source)
    for _ in range(40):
        walk = grammars.walk(constraint, b"")
        left = rng.randint(2, 15)
        text = ""
        while not walk.is_over:
            walk.fill()
            bits = np.unpackbits(walk.words.view(np.uint8), bitorder="little")
            allowed = [id for id in np.flatnonzero(bits).tolist() if id not in words.eos_ids]
            good = [id for id in allowed if walk.fits(id, left)]
            depth = text.count(opening) - text.count(closing)
            for id in allowed:
                after = text + words.decode([id])
                is_open = after.count(opening) - after.count(closing)
                # one token each for the brackets, one for the second half of "ab", a pair of
                # brackets after a comma
                needed = is_open + after.endswith("a") + 2 * after.endswith(",")
                assert (id in good) == (needed <= left - 1)
            assert good and set(walk.closers(left)) <= set(good)
            assert depth <= left
            id = rng.choice(good)
            assert walk.fits(id, left)
            walk.accept(id)
            text += words.decode([id])
            left -= 1
        assert left >= 0 and text.count(opening) == text.count(closing)
