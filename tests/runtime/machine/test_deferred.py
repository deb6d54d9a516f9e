"""Host values of promises are promises: nobody waits for them, and nothing else is different."""

from __future__ import annotations

import gc
import random

import pytest
from plan_code import const, tried

from sglc.codegen import instruction as p
from sglc.ir.host.expr import Binary, Compare, Const, Format, Index, JsonConst, Operand
from sglc.ir.span import Span
from sglc.ir.types import STR
from sglc.runtime.machine.deferred import Deferred
from sglc.runtime.machine.machine import Machine
from sglc.runtime.machine.task import BLOCKED, Promise
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow, RowDone, RowFailed

LETTER = Span(0, 3, 1, 3, 9)


def gen(dst, value, src, *path):
    return p.Gen(dst, value, src, STR, (), (), path, False, f"g{path[0]}", None)


def both(dst, *args):
    return p.Eval(dst, Binary("+", Operand(0), Operand(1)), args)


def letter(dst, arg, index):
    """Fails for a shorter text."""
    return p.Eval(dst, Index(Operand(0), Const(index), LETTER), (arg,), LETTER)


# ---------------------------------------------------------------- what it is for


def test_a_loop_of_runs_does_not_wait_for_its_rounds(plan_of, run_plan):
    """A chain of gens in the loop, and a run of two gens from each, gathered in a value."""
    code = [
        p.Start(9),
        const(1, ""),
        const(2, 0),
        "round",
        p.Eval(3, Compare("<", Operand(0), Const(4)), (2,)),
        p.Branch(3, "done"),
        gen(9, 4, 9, 0, p.PathReg(2)),
        p.Run(5, "aside"),
        both(1, 1, 5),
        p.Eval(2, Binary("+", Operand(0), Const(1)), (2,)),
        p.Jump("round"),
        "done",
        p.Return(9, 1),
        "aside",
        p.Start(10),
        p.Append(10, 10, 4),
        gen(10, 6, 10, 1, p.PathReg(2)),
        gen(10, 7, 10, 2, p.PathReg(2)),
        both(8, 6, 7),
        p.End((8,)),
    ]
    ran = run_plan(plan_of(code, ["q"]), [{"q": "x"}], say=lambda asked: f"{asked.name} ")
    assert ran.outcomes[0].output == "g1 g2 " * 4
    assert ran.engine.stats.steps == 4 + 2


CHAIN = [
    p.Run(1, "aside"),
    const(2, 0),
    const(4, 0),
    "round",
    p.Eval(3, Compare("<", Operand(0), Operand(1)), (2, 0)),
    p.Branch(3, "done"),
    p.Eval(2, Binary("+", Operand(0), Const(1)), (2,)),
    p.Eval(4, Binary("+", Operand(0), Index(JsonConst('{"é": 1, "a": 2}'), Operand(1))), (4, 1)),
    p.Jump("round"),
    "done",
    p.Start(9),
    p.Return(9, 4),
    "aside",
    p.Start(9),
    gen(9, 5, 9, 0),
    p.End((5,)),
]


def test_a_long_chain(plan_of, run_plan):
    ran = run_plan(plan_of(CHAIN, ["n"]), [{"n": 10_000}], say=lambda asked: "a")
    assert ran.outcomes[0].output == 20_000
    failed = run_plan(plan_of(CHAIN, ["n"]), [{"n": 10_000}], say=lambda asked: "c")
    assert failed.outcomes[0].code == "key_error"


def test_a_long_chain_is_given_up(plan_of, tokenizer, markup, engine_of):
    plan = plan_of(CHAIN, ["n"])
    machine = Machine(plan, ModelSpec(plan.model, tokenizer, markup), engine_of(random.Random(0)))
    gc.collect()
    before = _num_promises()
    machine.start(BoundRow(0, b"", {"n": 10_000}))
    machine._run_ready()
    assert _num_promises() == before + 10_001
    machine.close()
    del machine
    gc.collect()
    assert _num_promises() == before


def _num_promises():
    return sum(1 for found in gc.get_objects() if found.__class__ is Promise)


def test_values_are_freed_with_the_registers_that_held_them(plan_of, tokenizer, markup, engine_of):
    """A chain in which each value is held by the next one only, computed while the row goes on."""
    code = [*CHAIN[:10], gen(6, 7, 6, 1), p.Return(6, 4), *CHAIN[12:]]
    code.insert(0, p.Start(6))
    engine = engine_of()
    engine.say = lambda asked: "a"
    plan = plan_of(code, ["n"])
    machine = Machine(plan, ModelSpec(plan.model, tokenizer, markup), engine)
    gc.collect()
    before = _num_promises()
    machine.start(BoundRow(0, b"", {"n": 100}))
    engine.submit, submit = lambda asked: asked.name == "g1" or submit(asked), engine.submit
    machine.step()
    gc.collect()
    assert machine.num_active == 1
    assert _num_promises() <= before + 2  # the run's and the last value's


# ---------------------------------------------------------------- failures


def two_failures(first, second):
    """The value of a run's text fails, and then something that is known at once."""
    return [
        p.Run(1, "aside"),
        first,
        second,
        p.Start(9),
        p.Return(9, 2),
        "aside",
        p.Start(9),
        gen(9, 5, 9, 0),
        p.End((5,)),
    ]


@pytest.mark.parametrize("second", [letter(3, 0, 9), p.Fail(0)])
def test_the_first_failure_in_program_order_is_told(plan_of, run_plan, second):
    plan = plan_of(two_failures(letter(2, 1, 3), second), ["q"])
    failed = run_plan(plan, [{"q": "later"}], say=lambda asked: "ab").outcomes[0]
    assert failed == RowFailed(0, "index_error", failed.message, LETTER, usage=failed.usage)
    assert failed.usage.gens == 1
    later = run_plan(plan, [{"q": "later"}], say=lambda asked: "abcd").outcomes[0]
    assert later.code == ("require" if isinstance(second, p.Fail) else "index_error")


def test_a_failure_without_a_place_of_its_own_is_told_where_its_value_is(plan_of, run_plan):
    code = two_failures(p.Eval(2, Index(Operand(0), Const(3)), (1,), LETTER), const(3, 0))
    failed = run_plan(plan_of(code), say=lambda asked: "ab").outcomes[0]
    assert (failed.code, failed.span) == ("index_error", LETTER)


def test_a_require_in_a_try_block_waits_for_what_stands_before_it(plan_of, run_plan):
    """The second run's require fails at once; the first run's value fails later, and is caught."""
    code = [
        *tried(3, p.Run(1, "aside"), p.Run(2, "fails"), both(3, 1, 2)),
        p.Start(9),
        p.Return(9, 3),
        "aside",
        p.Start(9),
        gen(9, 5, 9, 0),
        letter(6, 5, 3),
        p.End((6,)),
        "fails",
        p.Fail(0),
    ]
    ran = run_plan(plan_of(code, ["m"]), [{"m": "no"}], say=lambda asked: "ab")
    assert ran.outcomes[0].output == "default"
    ran = run_plan(plan_of(code, ["m"]), [{"m": "no"}], say=lambda asked: "abcd")
    assert (ran.outcomes[0].code, ran.outcomes[0].message) == ("require", "no")


def test_a_value_that_fails_in_a_try_block_is_caught(plan_of, run_plan):
    """What was asked for after it is forgotten."""
    code = [
        p.Run(1, "aside"),
        *tried(2, letter(2, 1, 3), p.Run(4, "aside")),
        p.Start(9),
        p.Return(9, 2),
        "aside",
        p.Start(9),
        gen(9, 5, 9, 0),
        p.End((5,)),
    ]
    ran = run_plan(plan_of(code), say=lambda asked: "ab", keep_trace=True)
    assert ran.outcomes[0].output == "default"
    assert ran.outcomes[0].usage.gens == len(ran.outcomes[0].trace.names) == 1
    found = run_plan(plan_of(code), say=lambda asked: "abcd").outcomes[0]
    assert (found.output, found.usage.gens) == ("d", 2)


# ---------------------------------------------------------------- law


class Programs:
    """Random code: runs, forks, values of values, try blocks, requires and gens over texts, some of
    which fail."""

    def __init__(self, rng):
        self.rng = rng
        self.num_regs = 12
        self.num_labels = 0
        self.behind = []

    def reg(self):
        self.num_regs += 1
        return self.num_regs - 1

    def label(self):
        self.num_labels += 1
        return f"label {self.num_labels}"

    def code(self):
        """Registers 0 to 2 hold texts, 3 a list; the main context is in 9."""
        body, known = self.statements(2, [0, 1, 2])
        text = self.reg()
        every = p.Eval(
            text, Format(tuple((Operand(n), None) for n in range(len(known)))), (*known,)
        )
        return [p.Start(9), *body, every, p.Return(9, text), *self.behind]

    def statements(self, depth, known):
        code = []
        for _ in range(self.rng.randint(2, 6)):
            kinds = ["value", "value", "value", "letter", "gen", "require"]
            kinds += ["run", "run", "run", "fork", "guarded", "branch"] if depth else []
            more, value = getattr(self, self.rng.choice(kinds))(depth - 1, known)
            code += more
            known = known if value is None else [*known, value]
        return code, known

    def value(self, depth, known):
        dst = self.reg()
        return [both(dst, *self.rng.choices(known, k=2))], dst

    def letter(self, depth, known):
        dst = self.reg()
        return [letter(dst, self.rng.choice(known), self.rng.choice([0, 0, 0, 1, 5]))], dst

    def gen(self, depth, known):
        dst, text = self.reg(), self.rng.choice(known)
        return [p.Append(9, 9, text), gen(9, dst, 9, dst)], dst

    def require(self, depth, known):
        holds, fails = self.reg(), self.label()
        value = self.rng.choice(known)
        text = Const(self.rng.choice(["é", "zz", "zz", "zz"]))
        self.behind += [fails, p.Fail(value)]
        negated = p.Eval(holds, Compare("not in", text, Operand(0)), (value,))
        return [negated, p.Branch(holds, fails)], None

    def branch(self, depth, known):
        holds, otherwise, dst = self.reg(), self.label(), self.reg()
        body, inner = self.statements(depth, known)
        test = p.Eval(holds, Compare("in", Const("c"), Operand(0)), (self.rng.choice(known),))
        code = [p.Move((dst,), (self.rng.choice(known),)), test, p.Branch(holds, otherwise)]
        return [*code, *body, p.Move((dst,), (inner[-1],)), otherwise], dst

    def run(self, depth, known):
        dst, entry = self.reg(), self.label()
        body, inner = self.statements(depth, known)
        self.behind += [entry, p.Start(9), *body, p.End((inner[-1],))]
        return [p.Run(dst, entry)], dst

    def fork(self, depth, known):
        group, item, index, dst, entry = (*(self.reg() for _ in range(4)), self.label())
        body, inner = self.statements(depth, [*known, item])
        self.behind += [entry, *body, p.End((9, inner[-1]))]
        contexts = self.reg()
        started = p.Fork(group, contexts, 9, 3, ("v",), entry, 9, item, index)
        return [started, p.Eval(dst, Format(((Operand(0), None),)), (group,))], dst

    def guarded(self, depth, known):
        handler, after, dst, held = self.label(), self.label(), self.reg(), self.reg()
        body, inner = self.statements(depth, known)
        code = [p.Move((held,), (9,)), p.EnterTry(handler), *body, p.Move((dst,), (inner[-1],))]
        code += [p.LeaveTry(), p.Jump(after), handler, p.Move((9,), (held,))]
        return [*code, const(dst, "default"), after], dst


LISTS = [["ab", "c"], ["é"], []]


def waiting(self, task):
    """What the machine did instead: the task waits."""
    for arg in self._args:
        promise = task.regs[arg]
        if promise.__class__ is Promise and not promise.is_done:
            promise.waiters.append(task)
            return BLOCKED
    raise AssertionError("something is not there yet")


@pytest.mark.parametrize("seed", range(60))
def test_results_are_those_of_a_machine_that_waits(plan_of, run_plan, monkeypatch, seed):
    rng = random.Random(seed)
    programs = Programs(rng)
    plan = plan_of(programs.code(), ["a", "b", "c", "items"], num_regs=programs.num_regs)
    rows = [
        {"a": "abcd", "b": rng.choice(["e:", "x"]), "c": "éxabc", "items": rng.choice(LISTS)}
        for _ in range(4)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(Deferred, "_defer", waiting)
        expected = run_plan(plan, rows, keep_trace=True).outcomes
    assert {type(outcome) for outcome in expected} <= {RowDone, RowFailed}
    for order in range(3):
        found = run_plan(plan, rows, rng=random.Random(order), keep_trace=True)
        assert found.outcomes == expected
