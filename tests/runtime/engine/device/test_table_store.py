"""Tables on the device: what a number stands for is the table that was given it, whatever is added
or forgotten."""

from __future__ import annotations

import random

import numpy as np
import torch

from sglc.codegen.automata.constraint import ByteDfa, TokenTable
from sglc.kernels.lane_tensors import COMPLETE, FORCED, RUNNING, ConstraintTables
from sglc.runtime.engine.device.table_store import FEWEST, TableStore

V = 30
NO_DFA = ByteDfa(np.zeros(256, np.uint8), np.zeros((1, 1), np.int32), np.ones(1, np.bool_))


def random_table(rng: np.random.Generator) -> TokenTable:
    S, C = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    size = int(rng.integers(V - 5, V + 1))
    return TokenTable(
        token_class=rng.integers(0, C, size).astype(np.uint16),
        next=rng.integers(-1, S, (S, C)).astype(np.int16),
        is_final=rng.random(S) < 0.5,
        distance=rng.integers(0, 9, S).astype(np.int32),
        reach=rng.integers(0, 9, S).astype(np.int32),
        forced=tuple((3,) if rng.random() < 0.3 else () for _ in range(S)),
        completion=tuple("" if rng.random() < 0.3 else None for _ in range(S)),
        dfa=NO_DFA,
        follow=rng.choice(["", "x"]),
    )


def check(tensors: ConstraintTables, row: int, table: TokenTable) -> None:
    at_class, at_next, at_state, num_classes, may_end = tensors.directory[row].tolist()
    S, C = table.next.shape
    assert num_classes == C and bool(may_end) == (not table.follow)
    classes = tensors.token_class.view(-1)[at_class : at_class + V].numpy()
    assert classes[: len(table.token_class)].tolist() == table.token_class.tolist()
    assert not classes[len(table.token_class) :].any()
    assert (tensors.next[at_next : at_next + S * C].numpy() == table.next.ravel()).all()
    states = slice(at_state, at_state + S)
    for name in ("is_final", "distance", "reach"):
        assert (getattr(tensors, name)[states].numpy() == getattr(table, name)).all()
    after = [
        COMPLETE if completion is not None else FORCED if ids else RUNNING
        for ids, completion in zip(table.forced, table.completion, strict=True)
    ]
    if table.follow:
        after[-1] = COMPLETE
    assert tensors.after[states].tolist() == after


def test_numbers_stay_while_they_are_used() -> None:
    rng, choose = np.random.default_rng(0), random.Random(0)
    store = TableStore(V, torch.device("cpu"))
    used: dict[int, TokenTable] = {}
    num_replaced, most = 0, 0
    for _ in range(6 * FEWEST):
        if len(used) > 40:
            del used[choose.choice(list(used))]
        table = choose.choice(list(used.values())) if used and rng.random() < 0.2 else None
        table = table or random_table(rng)
        before = store.tensors
        row = store.row(table, used)
        assert used.setdefault(row, table) is table
        num_replaced += store.tensors is not before
        most = max(most, len(store))
        for number in [row, *choose.sample(list(used), min(len(used), 3))]:
            check(store.tensors, number, used[number])
    for number, table in used.items():
        check(store.tensors, number, table)
    # tables come and go by the hundred, tensors seldom
    assert most <= FEWEST and num_replaced < 40


def test_more_than_a_few_may_be_in_use() -> None:
    rng = np.random.default_rng(1)
    store = TableStore(V, torch.device("cpu"))
    used: dict[int, TokenTable] = {}
    for _ in range(3 * FEWEST):
        table = random_table(rng)
        used[store.row(table, used)] = table
    assert len(used) == 3 * FEWEST
    for number, table in used.items():
        check(store.tensors, number, table)


def test_what_was_launched_keeps_what_it_reads() -> None:
    rng = np.random.default_rng(2)
    store = TableStore(V, torch.device("cpu"))
    first = random_table(rng)
    row = store.row(first, ())
    launched = store.tensors
    for _ in range(50):
        store.row(random_table(rng), (row,))
        check(launched, row, first)
