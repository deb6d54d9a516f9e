"""What tests of `explain` share: plans of small programs, and facts of a batch."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

from sglc import testing
from sglc.codegen.plan import Plan
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler.driver import compile_file
from sglc.explain.build import dataflow
from sglc.explain.dataflow import Dataflow
from sglc.runtime.planner.facts import (
    BatchFacts,
    KVFacts,
    RowKV,
    Seconds,
    StepFacts,
    TokenFacts,
    TrieNode,
)

PlanOf = Callable[[str], Plan]
FlowOf = Callable[[str], Dataflow]


@pytest.fixture
def plan_of() -> PlanOf:
    """The plan of a program's text, as it comes from a file."""

    def compiled(source: str) -> Plan:
        plan = compile_file(None, dedent(source), spec=testing.Model({}).spec).plan
        return read_plan(write_plan(plan))

    return compiled


@pytest.fixture
def flow_of(plan_of: PlanOf) -> FlowOf:
    return lambda source: dataflow(plan_of(source))


@pytest.fixture
def facts() -> BatchFacts:
    """Of two rows that share a text, each with a gen of at most four tokens."""
    trie = (
        TrieNode(-1, "const", "", 10, 1, 2, "You are a judge.", (0,)),
        TrieNode(0, "input", "", 5, 2, 2, 'An <b>essay</b> & "more"', (0,)),
        TrieNode(1, "gen", "grade", 4, 2, 2, "", (0, 0)),
    )
    steps = (
        StepFacts(20, 0, 0, 0, 2, 20, 60, 20, 0),
        *(StepFacts(0, 0, 0, 2, 2, 20 + 2 * k, 30 + 2 * k, 20 + 2 * k, 0) for k in range(4)),
    )
    return BatchFacts(
        rows=2,
        num_failed=0,
        requests=2,
        merged_requests=1,
        lengths_are_known=False,
        tokens=TokenFacts(30, 20, 20, 0, 0, 8, 0),
        kv=KVFacts(28, 26, 36, 1000, 512),
        row_kv=RowKV(10, (("essay", 1),), (("grade", 4),), True),
        trie=trie,
        steps=steps,
        seconds=Seconds(1.5, 0.25, 0.125, 0.0625),
        planning_seconds=0.01,
    )
