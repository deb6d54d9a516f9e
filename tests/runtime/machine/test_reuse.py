"""Rows that come later get the results of equal deterministic requests again."""

from __future__ import annotations

import gc
import random
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sglc.codegen import instruction as p
from sglc.codegen.plan import ExternDecl
from sglc.ir.host.expr import Const, JsonConst
from sglc.ir.types import JSON, STR
from sglc.runtime.engine.request import GenRequest, GenResult, Sampling
from sglc.runtime.machine.machine import Machine
from sglc.runtime.machine.memory import Memory
from sglc.runtime.machine.reuse import Reuse
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow, RowDone


def gen(dst, value, src, name, path, *options, **changes):
    return p.Gen(dst, value, src, STR, options, (), path, False, name, None, **changes)


def constant(dst, value):
    return p.Eval(dst, value if isinstance(value, JsonConst) else Const(value), (), None)


# a gen and a select that see the first field only, then a gen that sees both
CHAIN = [
    constant(4, 0),
    p.Start(9),
    p.Append(9, 9, 0),
    gen(9, 5, 9, "first", (0,), ("temperature", 4)),
    constant(6, JsonConst('["A","bc"]')),
    p.Select(9, 7, 9, 6, "sum_logprob", None, (), (1,), "grade", None),
    p.Append(9, 9, 1),
    gen(9, 8, 9, "second", (2,), ("temperature", 4)),
    p.Return(9, 8),
]
ROWS = [{"a": a, "b": b} for b in ("x", "abc", "é") for a in ("ab", "c")]


@pytest.fixture
def in_turn(tokenizer, engine_of):
    """Run rows one after another, each from its start to its end. `.asked` are copies of the
    requests, `.alive` the number of prefixes after each row."""

    def run(plan, rows, *, seed=0, externs=None, refuse=None):
        engine = engine_of()
        engine.refuse = refuse or engine.refuse
        machine = Machine(
            plan, ModelSpec(plan.model, tokenizer, plan.markup), engine, seed=seed, externs=externs
        )
        outcomes, alive, asked = [], [], []
        for index, row in enumerate(rows):
            machine.start(BoundRow(index, b"%d" % index, row))
            deadline = time.monotonic() + 5
            while machine.num_active and time.monotonic() < deadline:
                outcomes += machine.step()
            for request in engine.submitted:
                ids, options = request.prefix.token_ids(), getattr(request, "sampling", None)
                asked.append(SimpleNamespace(name=request.name, ids=ids, sampling=options))
            engine.submitted.clear()
            request = None
            gc.collect()
            alive.append(len(engine.alive))
        machine.close()
        gc.collect()
        left = len(engine.alive)
        return SimpleNamespace(
            outcomes=outcomes, stats=engine.stats, asked=asked, alive=alive, left=left
        )

    return run


def outputs(ran):
    assert all(isinstance(outcome, RowDone) for outcome in ran.outcomes)
    return [(outcome.output, outcome.usage) for outcome in ran.outcomes]


def test_later_rows_reuse_what_they_share_with_earlier_ones(plan_of, in_turn):
    plan = plan_of(CHAIN, ["a", "b"])
    shared, alone = in_turn(plan, ROWS), in_turn(replace(plan, reuses_results=False), ROWS)
    assert outputs(shared) == outputs(alone)
    asked = [request.name for request in shared.asked]
    assert [asked.count(name) for name in ("first", "grade", "second")] == [2, 2, 6]
    assert (shared.stats.requests, shared.stats.merged_requests) == (10, 8)
    assert (alone.stats.requests, alone.stats.merged_requests) == (18, 0)
    # what goes on from a reused result has its tokens before it
    seconds = [[r.ids for r in ran.asked if r.name == "second"] for ran in (shared, alone)]
    assert seconds[0] == seconds[1]


def test_nothing_but_numbers_and_text_is_kept_between_rows(plan_of, in_turn):
    ran = in_turn(plan_of(CHAIN, ["a", "b"]), ROWS)
    assert ran.alive == [0] * len(ROWS)


def test_what_all_rows_share_keeps_its_tokens_until_the_end(plan_of, in_turn):
    code = [
        replace(i, is_shared=True) if isinstance(i, p.Gen | p.Select) and i.path != (2,) else i
        for i in CHAIN
    ]
    plan = plan_of(code, ["a", "b"], reuses_results=False)
    rows = [{"a": "ab", "b": b} for b in ("x", "y", "x")]
    ran = in_turn(plan, rows)
    assert [request.name for request in ran.asked] == ["first", "grade", *["second"] * 3]
    assert ran.alive[0] == ran.alive[-1] > 0
    assert ran.left == 0
    assert outputs(ran) == outputs(in_turn(plan_of(CHAIN, ["a", "b"]), rows))


@pytest.mark.parametrize(
    ("heat", "seeds", "num_asked"),
    [(0.7, (1, 1), 1), (0.7, (None, None), 2), (0.7, (5, 6), 2), (0, (5, 6), 1)],
)
def test_samples_are_merged_only_with_an_equal_seed(plan_of, in_turn, heat, seeds, num_asked):
    code = [
        constant(4, heat),
        p.Start(9),
        gen(9, 5, 9, "x", (0,), ("temperature", 4), ("seed", 0)),
        p.Return(9, 5),
    ]
    ran = in_turn(plan_of(code, ["seed"]), [{"seed": seed} for seed in seeds])
    assert len(ran.asked) == num_asked
    assert (ran.outcomes[0].output == ran.outcomes[1].output) == (num_asked == 1)


def test_other_options_are_other_requests(plan_of, in_turn):
    code = [
        constant(4, 0),
        p.Start(9),
        gen(9, 5, 9, "x", (0,), ("temperature", 4), ("max_tokens", 0)),
        p.Return(9, 5),
    ]
    ran = in_turn(plan_of(code, ["most"]), [{"most": n} for n in (3, 4, 3)])
    assert [request.sampling.max_tokens for request in ran.asked] == [3, 4]


def test_a_refusal_is_not_remembered(plan_of, in_turn):
    refusals = iter(["no room", None, None, None, None, None])
    ran = in_turn(plan_of(CHAIN, ["a", "b"]), ROWS[:1] * 2, refuse=lambda request: next(refusals))
    assert [type(outcome).__name__ for outcome in ran.outcomes] == ["RowFailed", "RowDone"]


def test_pure_externs_are_called_once_for_equal_arguments(plan_of, in_turn, run_plan):
    calls = []

    def look(x):
        calls.append(x)
        if x == "bad":
            raise ValueError("no")
        return [x]

    code = [
        p.Extern(5, "look", (0,), (0,)),
        p.Start(9),
        p.Return(9, 5),
    ]
    pure = ExternDecl("look", (("x", JSON),), JSON, True, None, 0)
    plan = plan_of(code, ["x"], externs=(pure,))
    rows = [{"x": x} for x in (1, 1.0, True, "1", "bad", 1, "bad")]
    for run in (in_turn, run_plan):  # one after another; all at once
        calls.clear()
        ran = run(plan, rows, externs={"look": look})
        found = [getattr(o, "output", getattr(o, "code", None)) for o in ran.outcomes]
        assert found == [[1], [1.0], [True], ["1"], "extern", [1], "extern"]
        assert [type(v) for v in calls[:4]] == [int, float, bool, str]
        assert len(calls) == (6 if run is in_turn else 5)  # an error is forgotten when it is told
    calls.clear()
    in_turn(replace(plan, reuses_results=False), rows, externs={"look": look})
    assert len(calls) == 7
    shared = plan_of([replace(code[0], is_shared=True), *code[1:]], ["x"], externs=(pure,))
    calls.clear()
    in_turn(replace(shared, reuses_results=False), rows[:2] + rows[:1], externs={"look": look})
    assert len(calls) == 2


def test_rows_at_once_and_in_turn_are_the_same(plan_of, in_turn, run_plan):
    plan = plan_of(CHAIN, ["a", "b"])
    rng = random.Random(3)
    at_once = run_plan(plan, ROWS, rng=rng)
    assert outputs(at_once) == outputs(in_turn(plan, ROWS))
    assert at_once.engine.stats.requests == 10


# ---------------------------------------------------------------- the bound


def test_a_memory_forgets_what_was_not_asked_for_longest():
    memory = Memory(10)
    for key in "abc":
        memory.put(key, key.upper(), 3)
    assert memory.get("a") == "A"
    memory.put("d", "D", 3)
    assert [memory.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    memory.put("big", "B", 11)
    assert len(memory) == 0
    memory.put("kept", "K", 100, is_kept=True)
    memory.put("x", "X", 10)
    assert (memory.get("kept"), memory.get("x"), len(memory)) == ("K", "X", 2)
    memory.put("x", "Y", 4)
    memory.put("z", "Z", 6)
    assert (memory.get("x"), memory.get("z")) == ("Y", "Z")


def test_results_beyond_the_bound_are_asked_again(engine_of):
    engine = engine_of()
    reuse = Reuse(engine, max_bytes=2500)
    prefix = engine.extend(engine.root, [1])
    request = GenRequest(prefix, Sampling(temperature=0.0), 0)
    for n in range(3):
        result = GenResult(request, engine.extend(prefix, [n]), "x", "", (n,), 1, "stop")
        reuse.keep(("gen", n), result, is_shared=False)
    found = [reuse.find(("gen", n), request) for n in range(3)]
    assert [again and again.token_ids for again in found] == [None, (1,), (2,)]
