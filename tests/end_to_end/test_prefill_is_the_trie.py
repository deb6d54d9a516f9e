"""Tokens prefilled equal the size of the token trie of everything known before running.

The brute force knows nothing of sglc: a random program is a tree of text, loops and forks, from
which this file writes both the `.sgl` source and, in plain Python, every prompt that must stand
before a gen. The trie size is the number of distinct token prefixes of these prompts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import sglc
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, open_session

PHRASES = (
    "the old mill ",
    "12 boats wait; ",
    "judge its ",
    "clarity, ",
    "score 3 of 5\n",
    "a né ☃ ",
)
Row = dict[str, object]


@dataclass
class Text:
    """Constant text, or one parameter's value."""

    text: str
    field: str | None = None

    def source(self, depth: int) -> list[str]:
        return [f'"{{{self.field}}}"' if self.field else json.dumps(self.text, ensure_ascii=False)]

    def expand(self, row: Row) -> str:
        return str(row[self.field]) if self.field else self.text


@dataclass
class Loop:
    """for x in items: "- {x};", with a name of its own at each depth."""

    def source(self, depth: int) -> list[str]:
        return [f"for x{depth} in items:", f'    "- {{x{depth}}};"']

    def expand(self, row: Row) -> str:
        return "".join(f"- {x};" for x in row["items"])


@dataclass
class Branch:
    """Segments, then either one gen or a fork over constants or over the row's items."""

    segments: list[Text | Loop]
    over: list[str] | None  # constants; [] means the row's items
    body: Branch | None

    def source(self, depth: int = 0) -> list[str]:
        lines = [line for segment in self.segments for line in segment.source(depth)]
        if self.body is None:
            return [*lines, f"gen g{depth}(max_tokens=2, temperature=0, ignore_eos=true)"]
        items = json.dumps(self.over) if self.over else "items"
        inner = [f'"{{k{depth}}}"', *self.body.source(depth + 1)]
        return [
            *lines,
            f"fork k{depth} in {items} as f{depth}:",
            *(f"    {line}" for line in inner),
        ]

    def prompts(self, row: Row, before: str = "") -> Iterator[str]:
        text = before + "".join(segment.expand(row) for segment in self.segments)
        if self.body is None:
            yield text
            return
        for item in self.over or row["items"]:
            yield from self.body.prompts(row, text + item)


def random_branch(rng: random.Random, depth: int) -> Branch:
    segments: list[Text | Loop] = [Text(rng.choice(PHRASES) * rng.randint(1, 5))]
    for _ in range(rng.randint(0, 3)):
        segments.append(
            rng.choice([Text(rng.choice(PHRASES)), Text("", "a"), Text("", "b"), Loop()])
        )
    if depth == 0:
        return Branch(segments, None, None)
    over = rng.choice([[], rng.sample(["mill ", "boat ", "mi", "12", "1"], 3)])
    return Branch(segments, over, random_branch(rng, depth - 1))


def random_rows(rng: random.Random) -> list[Row]:
    values = ["the mill", "the river", "the", "boats wait", "☃☃"]
    return [
        {
            "a": rng.choice(values),
            "b": rng.choice(values),
            "items": rng.sample(["x", "mill", "the r", "the s"], rng.randint(1, 3)),
        }
        for _ in range(rng.randint(2, 8))
    ]


@pytest.mark.parametrize("number", range(50))
def test_prefilled_tokens_are_the_trie(number: int, tiny_model: Path) -> None:
    rng = random.Random(number)
    branch = random_branch(rng, depth=number % 3)
    rows = random_rows(rng)
    body = "\n".join(f"    {line}" for line in branch.source())
    source = f"program p(a: str, b: str, items: list[str]):\n{body}\n"

    program = sglc.compile(source, model=tiny_model)
    session = open_session(str(tiny_model))
    engine = session.make_engine(EngineOptions("cpu", "float32", "dummy"))
    bound = bind_rows(rows, RowBinder(RowFields(program.plan.params)))
    outcomes = list(run(program.plan, session.spec, engine, bound))
    assert all(hasattr(outcome, "output") for outcome in outcomes), outcomes

    trie = set()
    for row in rows:
        for text in branch.prompts(row):
            ids = session.spec.tokenizer.encode(text)
            trie.update(tuple(ids[: i + 1]) for i in range(len(ids)))
    assert engine.stats.prefilled_tokens == len(trie), source
    assert engine.stats.recomputed_tokens == 0
