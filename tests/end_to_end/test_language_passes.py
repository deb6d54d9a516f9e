"""Passes keep the meaning: each optimization left out, outputs and prompts stay the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sglc
import sglc.testing
from sglc.compiler.driver import compile_file
from sglc.ir.text import parse_module, print_module
from sglc.passes import OPTIONAL, PIPELINE
from sglc.testing import Question

EXAMPLES = Path(__file__).parents[2] / "examples"
BUSY = """
const SHOTS = [{"q": "1+1", "a": "2"}, {"q": "2+2", "a": "4"}]
extern look(x: str) -> str
def ask(k: str, deep: bool = true) -> str:
    "({k}"
    for shot in SHOTS:
        "{shot.q}={shot.a};"
    if deep:
        gen inner(max_tokens=3)
        if len(inner) > 2:
            return inner
    gen other(max_tokens=2)
    return other
program main(a: str, xs: list[str]):
    defaults max_tokens=4, temperature=0.5
    "{a}"
    let unused = run ask("unused")
    for deep in ["u", "vv"]:
        let r = ask(deep, deep == "u")
        "{r}"
    let rs = [run ask(x) for x in xs]
    fork x in xs as g:
        "<{x}"
        if x == "skip":
            gen n
        else:
            let n = look(x)
        fork 2 as h:
            gen m(n=2)
        join h
    join g
    let t = 0
    gen word
    while word != "end" max 3:
        t = t + 1
        if t == 2:
            continue
        gen word
        if word == "out":
            break
    capture all:
        if 1 > 2:
            "never"
        "{try(parse_json(word).a, "none")}"
        select s from ["p", "q"] (temperature=1.0)
    require t < 3 or a != "bad", "t is {t}"
    return {"rs": rs, "g": g, "t": t, "all": all, "s": s.index, "len": len(join(rs))}
"""
ROWS = [
    {"a": "A", "xs": ["1", "skip"]},
    {"a": "bad", "xs": []},
    {"a": "<|im_end|>", "xs": ["2"]},
    {"a": "A", "xs": [3]},
]


def _say(question: Question) -> str:
    """Words that drive all branches, by name and by what stands before."""
    if question.choices:
        return question.choices[len(question.prompt) % len(question.choices)]
    if question.name == "word":
        return ["x", "out", "y", "end"][len(question.prompt) % 4]
    return "abcdef"[: len(question.prompt) % 5] + str(question.sample)


def _observe(source: str | Path, rows, skip: tuple[str, ...], externs=None) -> tuple:
    """Outputs, errors and prompts (with the seeds' paths left to the token tests)."""
    asked: list[tuple[str, str, int]] = []

    def say(question: Question) -> str:
        asked.append((question.name, question.prompt, question.row))
        return _say(question)

    model = sglc.testing.Model(say)
    path, text = (source, None) if isinstance(source, Path) else (None, source)
    plan = compile_file(path, text, spec=model.spec, skip=skip).plan
    results = sglc.Program(plan, model=model).run(rows, externs=externs)
    outputs = [str(r.error) if r.error else r.output for r in results]
    live = {question for question in asked if question[0] not in ("unused",)}
    return outputs, sorted(live)


@pytest.mark.parametrize("skip", [(name,) for name in OPTIONAL] + [tuple(OPTIONAL)])
def test_a_busy_program_means_the_same_without(skip: tuple[str, ...]) -> None:
    whole = _observe(BUSY, ROWS, (), {"look": str.upper})
    part = _observe(BUSY, ROWS, skip, {"look": str.upper})
    assert part[0] == whole[0]
    # dead gens may be asked when nothing removes them, and no others
    assert set(whole[1]) <= set(part[1])


@pytest.mark.parametrize("name", ["gsm8k/gsm8k.sgl", "ticket_triage/triage.sgl"])
def test_the_examples_mean_the_same_without(name: str) -> None:
    file = EXAMPLES / name
    data = next(file.parent.glob("*.jsonl"))
    lines = data.read_text(encoding="utf-8").splitlines()[:4]
    rows = [json.loads(line) for line in lines]
    whole = _observe(file, rows, ())
    assert not any(isinstance(output, str) and output.startswith("row") for output in whole[0])
    for skip in [*((name,) for name in OPTIONAL), tuple(OPTIONAL)]:
        assert _observe(file, rows, skip) == whole


def test_the_ir_after_each_pass_can_be_printed_and_reads_back() -> None:
    names = ["lower", *(each.name for each in PIPELINE)]
    said: list[str] = []
    spec = sglc.testing.Model({}).spec
    compile_file(None, BUSY, spec=spec, print_after=names, out=said.append)
    assert [text.split("\n")[0] for text in said] == [f"; after {name}" for name in names]
    for text in said:
        ir = text.partition("\n")[2]
        assert print_module(parse_module(ir)).strip() == ir.strip()


def test_explain_tells_the_stage_of_every_name() -> None:
    source = """
const LIMIT = 3
extern look(x: str) -> str
pure extern shorten(x: str) -> str
def shout(x: str) -> str:
    let loud = upper(x)
    return loud
program main(a: str, k: int):
    let five = LIMIT + 2
    let both = a + "!"
    let loud_const = shout("c")
    let loud_input = shout(a)
    let found = look(a)
    let short = shorten(a)
    let t = 0
    while t < k max 9:
        t = t + 1
    "{a}{five}{both}{loud_const}{loud_input}{found}{short}{t}"
    gen x
    let y = x if k > 1 else a
    let flag = k
    if x == "go":
        flag = 0
    for item in [LIMIT]:
        "{item}"
    fork dim in ["p"] as g:
        gen review
    select s from ["u", "v"]
    return [y, flag, g.review, s]
"""
    program = sglc.compile(source, model=sglc.testing.Model({}))
    stages = dict(program.plan.stages)
    wanted = {
        "LIMIT": "const", "five": "const", "loud_const": "const", "item": "const", "dim": "const",
        "a": "input", "k": "input", "both": "input", "loud_input": "input", "t": "input",
        "found": "gen", "short": "gen", "x": "gen", "y": "gen", "flag": "gen", "review": "gen",
        "s": "gen", "g": "gen",
    }  # fmt: skip
    assert {name: stages.get(name) for name in wanted} == wanted
    told = program.explain()
    assert all(name in told for name in wanted)
