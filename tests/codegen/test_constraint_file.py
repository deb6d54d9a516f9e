"""Compiled constraints in a plan's file: round trip, same bytes, nothing read that leads out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from sglc.codegen.automata.compile import compile_constraint
from sglc.codegen.automata.constraint import Grammar, TokenTable
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.codegen.constraint_file import pack, unpack
from sglc.codegen.plan import LengthBounds, Markup, ModelIdentity, Plan, PlanConstraint
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.ir.types import IntType, ListType, LiteralType, OptionalType, RecordType, StrType

# bytes, and some longer tokens
VOCABULARY = Vocabulary(
    [*(bytes([byte]) for byte in range(256)), b'":', b'{"', b"true", b""],
    lambda text: list(text.encode()),
)
BOX = RecordType("Box", (("a", LiteralType(("x", 1))), ("b", OptionalType(StrType(2, 4)))))
SOURCES = (
    ConstraintSource("type", IntType(1, 100), in_record=True, lead=":", follow=',"b'),
    ConstraintSource("type", ListType(BOX, 1, 2)),
    ConstraintSource("regex", text=r"\d{4}-é+"),
    ConstraintSource("choices", text='["ja","nein"]'),
    # recursive, so a grammar
    ConstraintSource("ebnf", text='root ::= "a" | "(" in ")"\nin ::= "b" root? "c"'),
    ConstraintSource("type", StrType(max_length=2), in_record=True, follow='"'),
)


@pytest.fixture(scope="module")
def constraints() -> tuple[PlanConstraint, ...]:
    made = [PlanConstraint(source, compile_constraint(source, VOCABULARY)) for source in SOURCES]
    kinds = {type(constraint.compiled) for constraint in made}
    assert kinds == {TokenTable, Grammar}
    return tuple(made)


def plan_with(constraints: tuple[PlanConstraint, ...]) -> Plan:
    return Plan(
        program="p",
        doc=None,
        params=(),
        result=None,
        result_is_names=False,
        externs=(),
        code=(),
        num_regs=0,
        model=ModelIdentity("m", "llama", "aa", "bb", 9),
        markup=Markup({}, {}, ()),
        constants=(),
        bounds=LengthBounds(0, 0),
        sources=(),
        stages=(),
        ir="",
        compiler_version="0",
        constraints=constraints,
    )


def assert_equal(found: Any, wanted: Any) -> None:
    """Field by field; tensors of one type, shape and content."""
    assert type(found) is type(wanted)
    for field in fields(wanted):
        mine, theirs = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(theirs, np.ndarray):
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape), field.name
            assert np.array_equal(mine, theirs), field.name
        elif field.name in ("compiled", "dfa"):
            assert_equal(mine, theirs)
        else:
            assert mine == theirs, field.name


def test_what_is_written_reads_back(constraints: tuple[PlanConstraint, ...]) -> None:
    data = write_plan(plan_with(constraints))
    plan = read_plan(data)
    assert len(plan.constraints) == len(constraints)
    for found, wanted in zip(plan.constraints, constraints, strict=True):
        assert_equal(found, wanted)
    assert write_plan(plan) == data


def test_compiling_again_gives_the_same_bytes(constraints: tuple[PlanConstraint, ...]) -> None:
    again = tuple(
        PlanConstraint(source, compile_constraint(source, VOCABULARY)) for source in SOURCES
    )
    assert write_plan(plan_with(again)) == write_plan(plan_with(constraints))


def test_tensors_are_views_of_the_file(constraints: tuple[PlanConstraint, ...]) -> None:
    table = read_plan(write_plan(plan_with(constraints))).constraints[0].compiled
    assert isinstance(table, TokenTable)
    for array in (table.token_class, table.next, table.dfa.next):
        assert not array.flags.owndata and not array.flags.writeable
        assert array.ctypes.data % array.itemsize == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {"constraints.0.next": t["constraints.0.next"][:-1]},
        lambda t: {"constraints.0.next": t["constraints.0.next"].astype(np.int32)},
        lambda t: {"constraints.0.next": t["constraints.0.next"] + 9999},
        lambda t: {"constraints.0.next": t["constraints.0.next"] - 5},
        lambda t: {"constraints.0.token_class": t["constraints.0.token_class"] + 99},
        lambda t: {"constraints.0.dfa.classes": t["constraints.0.dfa.classes"][:255]},
        lambda t: {"constraints.0.dfa.next": t["constraints.0.dfa.next"] + 9999},
        lambda t: {"constraints.0.distance": t["constraints.0.distance"][None]},
        lambda t: {"constraints.4.serialized": np.zeros(3, np.int32)},
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    constraints: tuple[PlanConstraint, ...],
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    stored, tensors = pack(constraints)
    unpack(stored, tensors)
    changed = dict(tensors)
    changed |= {name: np.asarray(a, a.dtype) for name, a in change(changed).items()}
    with pytest.raises(ValueError):
        unpack(stored, changed)


def test_states_that_are_not_there_are_refused(constraints: tuple[PlanConstraint, ...]) -> None:
    stored, tensors = pack(constraints)
    for odd in (
        replace(stored[0], forced=((999, (1,)),)),
        replace(stored[0], completion=((-1, ""),)),
    ):
        with pytest.raises(ValueError, match="a state"):
            unpack((odd,), tensors)
    with pytest.raises(ValueError, match="no tensor"):
        unpack(stored, {})
