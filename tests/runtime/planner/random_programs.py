"""Random programs whose rows go on after gens, rows for them, and rehearsals of these."""

from __future__ import annotations

import random
from collections.abc import Callable

import sglc
import sglc.testing
from sglc.runtime.engine.request import GenRequest
from sglc.runtime.planner.rehearsal import Rehearsal
from sglc.runtime.planner.writing import Writer
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.testing import ByteTokenizer

TOKENIZER = ByteTokenizer()
MODEL = sglc.testing.Model({})
PART = """\
def part(t: str) -> str:
    "Look at {t} "
    gen q(max_tokens=%d, ignore_eos=true)
    "so "
    gen s(max_tokens=%d, ignore_eos=true)
    return s
program p(a: str, b: str):
    "Doc {a}"
"""


class RandomProgram:
    """Texts of constants and of both inputs, gens, forks in forks with joins, and fragments that
    run in a context of their own. With `runs_wait` what such a fragment returns is used at once."""

    def __init__(self, seed: int, *, runs_wait: bool = False) -> None:
        self._rng = random.Random(seed)
        self._runs_wait = runs_wait
        self._num_names = 0
        self._lines: list[str] = []

    def source(self, *, num_statements: int = 3, depth: int = 2) -> str:
        head = PART % (self._rng.randint(3, 30), self._rng.randint(3, 30))
        name = self._block(4, depth, num_statements)
        return head + "\n".join([*self._lines, f"    return {name}", ""])

    def _name(self) -> str:
        self._num_names += 1
        return f"n{self._num_names}"

    def _add(self, indent: int, line: str) -> None:
        self._lines.append(" " * indent + line)

    def _text(self, indent: int) -> None:
        word = "".join(self._rng.choice("abcdefgh ") for _ in range(self._rng.randint(1, 25)))
        parts = self._rng.choices(["{a}", "{b}", "", "and then ", word], k=self._rng.randint(1, 3))
        self._add(indent, f'"{"".join(parts) or "so "}"')

    def _gen(self, indent: int) -> str:
        name = self._name()
        self._add(indent, f"gen {name}(max_tokens={self._rng.randint(1, 40)}, ignore_eos=true)")
        return name

    def _block(self, indent: int, depth: int, num_statements: int) -> str:
        """Some statements; the name of the last gen."""
        for _ in range(self._rng.randint(1, num_statements)):
            kind = self._rng.random()
            if kind < 0.65 or not depth:
                self._text(indent)
            elif kind < 0.85:
                self._fork(indent, depth)
            else:
                value = self._name()
                self._add(indent, f"let {value} = run part({self._rng.choice('ab')})")
                if not self._runs_wait:
                    self._text(indent)
                    self._gen(indent)
                self._add(indent, f'" {{{value}}} "')
            name = self._gen(indent)
        return name

    def _fork(self, indent: int, depth: int) -> None:
        item, group = self._name(), self._name()
        items = ["clear", "score", "judge", "xyz"][: self._rng.randint(2, 4)]
        self._add(indent, f"fork {item} in {items} as {group}:".replace("'", '"'))
        self._add(indent + 4, f'"{{{item}}} "')
        self._block(indent + 4, depth - 1, 2)
        self._add(indent, f"join {group}")
        self._text(indent)


def random_rows(seed: int, count: int, num_documents: int) -> list[dict[str, str]]:
    """Each row has one of the documents, and a text of its own."""
    rng = random.Random(seed)

    def text(alphabet: str, most: int) -> str:
        return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, most)))

    documents = [text("abcdefgh ", 80) for _ in range(num_documents)]
    return [{"a": documents[i % num_documents], "b": text("xyz ", 30)} for i in range(count)]


def rehearse(
    cls: type[Rehearsal],
    program: sglc.Program,
    rows: list[dict[str, str]],
    slots: int | None,
    *,
    is_device: bool = False,
    length_of: Callable[[GenRequest, int], int] | None = None,
) -> tuple[Rehearsal, int]:
    """The engine after a run, and how many rows failed."""
    writer = Writer(TOKENIZER, length_of)
    engine = cls(
        TOKENIZER,
        1 << 20,
        slots,
        writer=writer,
        max_batch=64,
        step_tokens=512,
        is_device=is_device,
    )
    bound = bind_rows(rows, RowBinder(RowFields(program.plan.params)))
    outcomes = list(run(program.plan, MODEL.spec, engine, bound))
    return engine, sum(not hasattr(outcome, "output") for outcome in outcomes)
