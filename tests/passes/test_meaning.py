"""Law: a pass changes nothing that a row can show, on random modules and random rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sglc.ir import graph
from sglc.ir.interpret import InterpretResult, interpret
from sglc.ir.module import Module
from sglc.ir.testing import EXTERNS, random_module, random_row
from sglc.ir.toy import ToyModel
from sglc.ir.verify import verify
from sglc.passes import PIPELINE, Pass, run_pipeline
from sglc.passes.inline import inline

FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
# what follows inlining sees no calls
TRANSFORMS = [each for each in PIPELINE if each.run is not inline]
# after these, some gens may be missing
DROPPING = {"dce", "cse", "hoist"}


def shown(module: Module, seed: int) -> InterpretResult:
    """What a row shows; calls of pure externs are nobody's business."""
    result = interpret(module, random_row(random.Random(seed)), ToyModel(seed), EXTERNS)
    calls = tuple(call for call in result.extern_calls if call[0] != "echo")
    return replace(result, extern_calls=calls)


def assert_same(before: Module, after: Module, seed: int, passes: Collection[str] = ()) -> None:
    """After these passes a row shows the same; what they allow is less generated, or sooner."""
    old, new = shown(before, seed), shown(after, seed)
    if DROPPING & set(passes):
        assert not Counter(new.transcript) - Counter(old.transcript)
        if "hoist" not in passes:
            kept = [entry for entry in old.transcript if entry in new.transcript]
            assert list(new.transcript) == kept
        old = replace(old, transcript=new.transcript)
    if "dce" in passes:
        # what is only shown may lack what nobody generates from
        old = replace(old, context=new.context)
    assert new == old


@FEW
@given(st.integers(0, 2**32))
def test_inlining_keeps_the_meaning(seed: int) -> None:
    module = random_module(random.Random(seed), num_statements=4)
    assert_same(module, inline(module), seed)


@pytest.mark.parametrize("each", TRANSFORMS, ids=lambda each: each.name)
@FEW
@given(seed=st.integers(0, 2**32))
def test_each_pass_keeps_the_meaning(each: Pass, seed: int) -> None:
    module = inline(random_module(random.Random(seed), num_statements=4))
    after = each.run(module)
    verify(after)
    assert_same(module, after, seed, [each.name])


@FEW
@given(st.integers(0, 2**32))
def test_the_pipeline_keeps_the_meaning_whatever_is_skipped(seed: int) -> None:
    draw = random.Random(seed)
    module = random_module(draw, num_statements=4)
    optional = [each.name for each in PIPELINE if each.is_optimization]
    skip = draw.sample(optional, draw.randrange(len(optional)))
    after = run_pipeline(module, skip=skip)
    assert_same(module, after, seed, {*optional} - {*skip})


def test_random_modules_exercise_the_passes() -> None:
    """The laws above would hold of passes that do nothing: these do much, on most modules."""
    changed = {each.name: 0 for each in PIPELINE}
    failures: set[str | None] = set()
    grown = 0
    for seed in range(40):
        module = random_module(random.Random(seed))
        failure = shown(module, seed).failure
        failures.add(failure.code if failure else None)
        before = module
        for each in PIPELINE:
            after = each.run(before)
            changed[each.name] += after != before
            before = after
        grown += sum(1 for _ in graph.walk(before.program.body))
    assert min(changed.values()) >= 2, changed
    assert {None, "require", "extern", "zero_division"} <= failures
    assert grown > 1000
