"""What does not depend on each other is generated at the same time, without a fork being written.

The told model answers all that is asked in one step, so a row takes as many steps as its longest
chain of gens has links.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import sglc.testing
from sglc.compiler.driver import compile_file
from sglc.runtime.row import RowDone
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run

EXAMPLES = Path(__file__).parents[2] / "examples"
FRAGMENTS = """
def once(q: str) -> str:
    "{q}"
    gen reply
    return reply

def twice(q: str) -> str:
    "{q}"
    gen draft
    "!"
    gen reply
    return reply
"""
CASES = {
    "two runs": (2, "let a = run twice(x)\nlet b = run twice(x + x)\nreturn [a, b]"),
    "a run and what follows it": (
        2,
        'let a = run twice(x)\n"{x}"\ngen b\nrun_on = run_on + 1\n"."\ngen c\nreturn [a, b, c]',
    ),
    "a run that is awaited at its first use": (
        3,
        'let a = run twice(x)\n"{x}"\ngen b\n"{a}"\ngen c\nreturn [b, c]',
    ),
    "a run that needs another's value waits for it alone": (
        3,
        "let a = run once(x)\nlet b = run once(a)\nlet c = run twice(x)\nlet d = run once(c)\n"
        "return [b, d]",
    ),
    "runs in arms on inputs": (
        2,
        'let a = "none"\nif x == "x":\n    a = run twice(x)\nlet b = "none"\n'
        'if run_on == 0:\n    b = run twice("y")\nreturn [a, b]',
    ),
    "runs in a comprehension and one beside it": (
        2,
        'let a = [run twice(y) for y in ["p", "q"]]\nlet b = run twice("r")\nreturn [a, b]',
    ),
    "two forks": (
        2,
        'fork 2 as f:\n    "{i}"\n    gen v\n    gen w\nfork 2 as g:\n    "{i}{x}"\n    gen v\n'
        "    gen w\nreturn [f.w, g.w]",
    ),
    "values of runs that a loop gathers": (
        4,
        'let texts = []\nfor n in range(3):\n    "{n}"\n    gen v\n'
        "    texts = texts + [strip(run once(v)) + v]\nreturn texts",
    ),
    "values of values in arms, records and branches": (
        3,
        'let a = strip(run twice(x))\nlet b = {"a": a, "size": len(a)}\n'
        'if x == "x":\n    b = {"a": a + "!", "size": 0}\n'
        'fork 2 as g:\n    let c = [a, b]\n    "{x}"\n    gen v\n    gen w\n    gen u\n'
        "return [b, g.u, g.c]",
    ),
    "what moves out of branches holds none of them up": (
        2,
        'let a = [run twice(y) for y in ["p", "q"]]\n'
        'fork 2 as g:\n    let same = run twice("s")\n    "{i}"\n    gen v\n    "{same}"\n'
        "return [a, g.v, g.same]",
    ),
}


def steps(body: str, skip: tuple[str, ...] = ()) -> int:
    """Engine steps of one row."""
    lines = "\n    ".join(["defaults temperature=0", "let run_on = 0", *body.split("\n")])
    source = f"{FRAGMENTS}\nprogram p(x: str):\n    {lines}\n"
    model = sglc.testing.Model(lambda asked: f"{asked.name}{len(asked.prompt)}")
    plan = compile_file(None, source, spec=model.spec, skip=skip).plan
    engine = model.engine()
    rows = bind_rows([{"x": "x"}], RowBinder(RowFields(plan.params)))
    (outcome,) = run(plan, model.spec, engine, rows)
    assert isinstance(outcome, RowDone)
    return engine.stats.steps


@pytest.mark.parametrize("case", CASES)
def test_independent_gens_take_no_more_steps_than_the_longest_chain(case: str) -> None:
    expected, body = CASES[case]
    assert steps(body) == expected
    assert steps(body, ("cse", "hoist", "reuse", "dce")) == expected


def test_a_chain_is_one_step_a_link() -> None:
    assert steps('"{x}"\ngen a\n"."\ngen b\n"."\ngen c\nreturn [a, b, c]') == 3


def test_tips_take_the_steps_of_the_longest_chain() -> None:
    """Five tips one after another, and the paragraph of the last."""
    path = EXAMPLES / "tip_suggestion" / "tips.sgl"
    model = sglc.testing.Model(lambda asked: f" {asked.name} {len(asked.prompt)}")
    plan = compile_file(path, spec=model.spec).plan
    engine = model.engine()
    rows = bind_rows([{"topic": "tea"}], RowBinder(RowFields(plan.params)))
    (outcome,) = run(plan, model.spec, engine, rows)
    assert isinstance(outcome, RowDone)
    assert len({(each["tip"], each["text"]) for each in outcome.output}) == 5
    assert engine.stats.steps == 5 + 1


def test_hoisting_saves_the_branches_gens_without_making_them_wait() -> None:
    body = (
        (
            "let a = [run once(run twice(x) + y) for y in ['p', 'q']]\n"
            'fork ["m", "n"] as g:\n    "{item}"\n    gen v\nreturn [a, g.v]'
        )
        .replace("'", '"')
        .replace("fork [", "fork item in [")
    )
    assert steps(body) == steps(body, ("cse", "hoist", "reuse")) == 3
