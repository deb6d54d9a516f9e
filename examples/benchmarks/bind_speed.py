"""How fast rows are bound: 200 distinct tokens a row, against what `tokenizers` itself allows.

    python examples/benchmarks/bind_speed.py [--rows 3000] [--repeat 5]

Each row is words of the vocabulary at random, so that no two share a beginning. Bound means: the
line is read and checked, the room looked at, what the row begins with found for the order, and its
text tokenized, in the batches that a run has. The best of the repetitions counts; wall and CPU
seconds are told, since the library uses all cores.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from sglc.codegen.plan import Plan
from sglc.compiler.driver import compile_file
from sglc.runtime.machine.stretch import StretchEncoder
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate
from sglc.runtime.model.spec import ModelSpec, Tokenizer
from sglc.runtime.planner.probe import beginnings
from sglc.runtime.room.check import RoomCheck
from sglc.runtime.row import BoundRow
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.rows.json_lines import parse_line
from sglc.runtime.run import BURST

T = TypeVar("T")

NUM_TOKENS = 200
PROGRAM = """
program answer(text: str) -> str:
    "{text}"
    gen reply
    return reply
"""


def texts(tokenizer: Tokenizer, count: int) -> list[str]:
    """Each about NUM_TOKENS tokens, all different."""
    spelt = (tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size))
    words = sorted({w.decode() for w in spelt if len(w) > 2 and w[:1] == b" " and w[1:].isalpha()})
    rng = random.Random(0)
    return ["".join(rng.sample(words, NUM_TOKENS)).strip() for _ in range(count)]


def bursts(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while part := list(islice(source, BURST)):
        yield part


def bind(lines: list[bytes], plan: Plan, spec: ModelSpec) -> None:
    raw = (parse_line(line) for line in lines)
    bound = bind_rows(raw, RowBinder(RowFields(plan.params)))  # type: ignore[arg-type]
    encoder = StretchEncoder(spec.tokenizer, plan.constants)
    for rows in bursts(RoomCheck(plan, spec).over(bound)):
        good = [row for row in rows if isinstance(row, BoundRow)]
        beginnings(plan, spec, good)
        encoder.encode([[str(row.values["text"])] for row in good])


def timed(what: str, count: int, repeat: int, work: Callable[[], object]) -> None:
    best = (float("inf"), 0.0)
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = best
    print(f"{what:>40}: {count / wall:8,.0f} rows/s, {wall:.3f} s, {cpu:.3f} s of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    spec = load_spec(locate(None))
    plan = compile_file(None, PROGRAM, spec=spec).plan
    rows = texts(spec.tokenizer, args.rows)
    lengths = [len(ids) for ids in spec.tokenizer.encode_batch(rows)]
    print(f"{args.rows} rows of {sum(lengths) / len(lengths):.0f} tokens")
    lines = [json.dumps({"text": text}).encode() for text in rows]
    encode = spec.tokenizer.encode_batch
    for what, work in {
        "tokenizers alone, all at once": lambda: encode(rows),
        f"tokenizers alone, {BURST} at a time": lambda: [encode(part) for part in bursts(rows)],
        "bound": lambda: bind(lines, plan, spec),
    }.items():
        timed(what, args.rows, args.repeat, work)


if __name__ == "__main__":
    main()
