"""How fast rows are bound: 200 distinct tokens a row, against what `tokenizers` itself allows.

    python examples/benchmarks/bind_speed.py [--rows 3000] [--repeat 5]

Each row is words of the vocabulary at random, so that no two share a beginning. Bound means: the
line is read and checked, the room looked at, the row given its place in the order, and its text
tokenized, in the batches that a run has. First all words are new, then all were met before.
The library remembers words too, and starts anew each time as well. All are done in turns; the best
of the repetitions counts; wall and CPU seconds are told, since the library uses all cores.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

from sglc.codegen.plan import Plan
from sglc.compiler.driver import compile_file
from sglc.runtime.machine.stretch import StretchEncoder
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate
from sglc.runtime.model.spec import ModelSpec, Tokenizer
from sglc.runtime.model.tokenizer import BpeTokenizer
from sglc.runtime.planner.probe import beginnings
from sglc.runtime.room.check import RoomCheck
from sglc.runtime.row import BoundRow
from sglc.runtime.row_order import Planned
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.rows.json_lines import parse_line
from sglc.runtime.run import BURST, few_searches_for_cycles

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
    order = Planned(partial(beginnings, plan, spec), BURST)
    encoder = StretchEncoder(spec.tokenizer, plan.constants)
    with few_searches_for_cycles():
        for rows in bursts(RoomCheck(plan, spec).over(bound)):
            for row in rows:
                assert isinstance(row, BoundRow)
                order.put(row.index, row)
            taken = [order.take(all_start=False)[1] for _ in rows]
            encoder.encode([[str(row.values["text"])] for row in taken])
            for row in taken:
                order.end(row.index)


def encode(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    """By the library itself."""
    assert isinstance(tokenizer, BpeTokenizer)
    encodings = tokenizer.library.encode_batch_fast(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def encode_bursts(texts: list[str], tokenizer: Tokenizer) -> None:
    for part in bursts(texts):
        encode(part, tokenizer)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    spec = load_spec(locate(None))
    plan = compile_file(None, PROGRAM, spec=spec).plan
    rows = texts(spec.tokenizer, args.rows)
    print(
        f"{args.rows} rows of {sum(map(len, encode(rows, spec.tokenizer))) / args.rows:.0f} tokens"
    )
    lines = [json.dumps({"text": text}).encode() for text in rows]
    best: dict[str, tuple[float, float]] = {}
    for _ in range(args.repeat):
        library, ours = load_spec(locate(None)).tokenizer, load_spec(locate(None))
        for what, work in {
            f"tokenizers alone, {BURST} at a time": partial(encode_bursts, rows, library),
            "tokenizers alone, all at once": partial(encode, rows, library),
            "bound, words new": partial(bind, lines, plan, ours),
            "bound, words known": partial(bind, lines, plan, ours),
        }.items():
            best[what] = min(timed(work), best.get(what, (float("inf"), 0.0)))
    for what, (wall, cpu) in best.items():
        print(f"{what:>40}: {args.rows / wall:8,.0f} rows/s, {wall:.3f} s, {cpu:.3f} s of CPU")


if __name__ == "__main__":
    main()
