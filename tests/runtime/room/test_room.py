"""Rows that surely do not fit are told before they start; against the machine's own check at each
gen, which knows every token."""

from __future__ import annotations

import random

import pytest

import sglc
from sglc.compiler.diagnostics import CompileErrors
from sglc.compiler.driver import compile_file
from sglc.runtime.machine.machine import Machine
from sglc.runtime.room.check import RoomCheck
from sglc.runtime.row import BoundRow, RowDone, RowFailed
from sglc.testing import Model

HELPER = """
def helper(t: str):
    "ask {t}"
    gen h(max_tokens=7)
    return h
"""
ANSWERS = ("", "yes", "stop", "abcd")


class Author:
    """Random programs over a text `a`, a number `n` and a list `xs`. One that is `plain` decides
    nothing by what gens write."""

    def __init__(self, rng: random.Random, *, is_plain: bool) -> None:
        self.rng = rng
        self.is_plain = is_plain
        self.count = 0

    def program(self) -> str:
        body = self.block(1, ["a"], 0)
        return f"{HELPER}\nprogram main(a: str, n: int, xs: list[str]):\n{body}"

    def name(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def block(self, level: int, names: list[str], depth: int) -> str:
        names = list(names)
        lines: list[str] = []
        for _ in range(self.rng.randint(2, 5)):
            lines += self.statement(names, level, depth)
        lines.append(f"gen {self.name('g')}(max_tokens={self.rng.randint(4, 30)})")
        return "".join(
            line if line.startswith("\n") else "    " * level + line + "\n" for line in lines
        ).replace("\n\n", "\n")

    def statement(self, names: list[str], level: int, depth: int) -> list[str]:
        rng = self.rng
        # what a joined branch has chosen is known by the machine alone
        chooses = [] if self.is_plain else ["select"]
        kinds = ["text", "text", "text", "gen", "gen", "run", "let", *chooses]
        kinds += ["if", "for", "fork", "join"] if depth < 2 else []
        kinds += ["maybe", "while", "require", "try"] if depth < 2 and not self.is_plain else []
        readable = ["a"] if self.is_plain else names
        name, text = self.name("v"), rng.choice(readable)

        def inner() -> str:
            return "\n" + self.block(level + 1, names, depth + 1)

        match rng.choice(kinds):
            case "text":
                return [f'"{"-" * rng.randint(0, 9)}{{{text}}}."']
            case "gen":
                names.append(name)
                return [f"gen {name}(max_tokens={rng.randint(4, 30)})"]
            case "select":
                return [f'select {name} from ["x", "y{{{text}}}"]']
            case "run":
                names.extend([] if self.is_plain else [name])
                return [f"let {name} = run helper({text})"]
            case "let":
                names.append(name)
                return [f'let {name} = "<{{{text}}}>"']
            case "if":
                return ["if n > 2:", inner(), "else:", inner()]
            case "for":
                return [f"for x{name} in xs:", inner()]
            case "fork":
                return [f"fork x{name} in xs as {name}:", inner()]
            case "join":
                return [f"fork x{name} in xs as {name}:", inner(), f"join {name}"]
            case "maybe":
                return [f'if {text} == "yes":', inner(), "else:", inner()]
            case "while":
                return [f'while {text} != "stop" max 2:', inner()]
            case "require":
                return [f'require {text} != "stop", "stopped"']
            case _:
                return [f'let {name} = try(run helper({text}), "none")', f'"{{{name}}}"']


def compiled(source: str, context_len: int):
    model = Model({}, context_len=context_len)
    try:
        return compile_file(None, source, spec=model.spec).plan, model.spec
    except CompileErrors as errors:
        assert all(each.code == "E0704" for each in errors.diagnostics), errors
        return None  # no row at all has room


def rows(rng: random.Random) -> list[BoundRow]:
    return [
        BoundRow(
            index,
            bytes([index]),
            {
                "a": "é" * rng.randint(0, 9) + "a" * rng.choice([0, 5, 40, 90]),
                "n": rng.randint(0, 5),
                "xs": ["x" * rng.choice([0, 3, 30]) for _ in range(rng.randint(0, 3))],
            },
        )
        for index in range(5)
    ]


def ran(plan, spec, row: BoundRow, answer):
    """The row's outcome by the machine alone."""
    model = Model(answer, context_len=spec.identity.context_len)
    machine = Machine(plan, spec, model.engine())
    machine.start(row)
    for _ in range(1000):
        for outcome in machine.step():
            machine.close()
            return outcome
    raise AssertionError("the row does not end")


def choose(question, answer: str) -> str:
    return question.choices[0] if question.choices else answer


@pytest.mark.parametrize("seed", range(90))
def test_a_row_that_is_refused_fails_whatever_the_model_says(seed: int) -> None:
    rng = random.Random(seed)
    found = compiled(Author(rng, is_plain=False).program(), rng.choice([70, 110, 160]))
    if found is None:
        return
    check = RoomCheck(*found)
    for row in rows(rng):
        if check.failure(row) is None:
            continue
        for _ in range(4):
            outcome = ran(*found, row, lambda q: choose(q, rng.choice(ANSWERS)))
            assert isinstance(outcome, RowFailed), outcome
            assert outcome.code in ("too_long", "require")


@pytest.mark.parametrize("seed", range(60))
def test_where_gens_say_nothing_the_check_and_the_machine_agree(seed: int) -> None:
    rng = random.Random(seed)
    found = compiled(Author(rng, is_plain=True).program(), rng.choice([70, 110, 160]))
    if found is None:
        return
    check = RoomCheck(*found)
    for row in rows(rng):
        told = check.failure(row)
        outcome = ran(*found, row, lambda q: choose(q, ""))
        if isinstance(outcome, RowDone):
            assert told is None
        else:
            assert told is not None
            assert told.code == outcome.code == "too_long"


CHAT = """
program main(doc: str, note: str):
    user "{doc}"
    assistant:
        gen first(max_tokens=10)
    user "{note}"
    assistant:
        gen second(max_tokens=20)
    return second
"""


def test_a_later_gen_is_told_before_the_first_one_runs() -> None:
    asked: list[str] = []

    def answer(question):
        asked.append(question.name)
        return "ok"

    model = Model(answer, context_len=260)
    program = sglc.compile(CHAT, model=model)
    rows = [{"doc": "d" * 50, "note": "n"}, {"doc": "d" * 50, "note": "n" * 160}]
    fits, fails = program.run(rows)
    assert (fits.output, asked) == ("ok", ["first", "second"])
    assert fails.error is not None
    assert (fails.error.code, fails.error.where) == ("too_long", "<program>:8:9")
    # in ChatML, whose control tokens are single ones; the first answer may have none
    before = 2 * len(".user\n.\n.assistant\n") + len(".\n") + 50 + 160
    assert fails.error.message == (
        f"needs at least {before + 20} tokens ({before} before it and 20 of max_tokens), "
        "the model's context holds 260; shorten the row's texts or ask for fewer tokens"
    )


TURN = '\n        user "{note}"\n        assistant:\n            gen'


@pytest.mark.parametrize(
    ("statement", "is_told"),
    [
        (f'if first == "go":{TURN}', False),
        (f'if note != "":{TURN}', True),
        (f'while first == "go" max 2:{TURN}', False),
        ('let r = run ask(note)\n    user "{r}"', True),
        ('let r = try(run ask(note), "")\n    user "{r}"', False),
    ],
    ids=["gen-decides", "input-decides", "while", "run", "try"],
)
def test_only_what_surely_runs_counts(statement: str, is_told: bool) -> None:
    source = f"""
def ask(note: str):
    let checked = int("1" + note[:1])
    user "{{note}}"
    assistant:
        gen reply
    return reply

program main(note: str):
    user "?"
    assistant:
        gen first(max_tokens=10)
    {statement}
    user "end"
    assistant:
        gen last(max_tokens=5)
    return last
"""
    plan, spec = compiled(source, 400)
    row = BoundRow(0, b"", {"note": "1" * 350})
    assert (RoomCheck(plan, spec).failure(row) is not None) is is_told


def test_a_plan_with_bounded_lengths_needs_no_check() -> None:
    plan, spec = compiled('program main(a: str(max_length=5)):\n    "{a}"\n    gen x\n', 1000)
    rows = [BoundRow(0, b"", {"a": "b"})]
    assert RoomCheck(plan, spec).over(rows) is rows
