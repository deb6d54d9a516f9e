"""A table of three categorical fields through a program of four gens: how many gens are run, and
what that saves, with and without the passes that make equal gens one.

    python examples/benchmarks/categorical.py [--rows 2000] [--max-tokens 16] [--dtype float32]

Weights are random, of a tiny model: the gens run are what matters, which any model would run.
The rows are drawn here: 8 regions, 12 products and 4 channels. Of the gens one sees no field, two
(equal ones) see the channel, and one sees all three. Outputs must be the same in every line.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from sglc.bench.tiny_model import write_tiny_model
from sglc.compiler.driver import compile_file
from sglc.runtime.row import RowDone
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

PROGRAM = """
def voice(channel: str) -> str:
    "How does one speak on {{channel}}? "
    gen words
    return words

program advertise(region: str, product: str, channel: str):
    defaults temperature=0, max_tokens={max_tokens}, ignore_eos=true
    "A guide to clear old river boats: "
    gen guide
    let opening = run voice(channel)
    let closing = run voice(channel)
    "\\nSell {{product}} in {{region}} on {{channel}}. Begin: {{opening}}. End: {{closing}}.\\n"
    gen message
    return message
"""
GENS = 4  # of a row
REGIONS = ["north", "south", "east", "west", "coast", "hills", "plain", "city"]
PRODUCTS = [
    "boat",
    "mill",
    "rope",
    "sail",
    "lamp",
    "map",
    "net",
    "oar",
    "tent",
    "pump",
    "jar",
    "hat",
]
CHANNELS = ["radio", "print", "web", "street"]
# what is skipped in each line of the table
LINES: tuple[tuple[str, ...], ...] = (
    (),
    ("cse",),
    ("hoist",),
    ("reuse",),
    ("cse", "reuse"),
    ("hoist", "reuse"),
    ("cse", "hoist", "reuse"),
)


@dataclass(frozen=True)
class Measured:
    gens: int
    prefilled: int
    decoded: int
    steps: int
    seconds: float
    outputs: list[object]


def rows_of(count: int) -> list[dict[str, str]]:
    draw = random.Random(1)
    return [
        {
            "region": draw.choice(REGIONS),
            "product": draw.choice(PRODUCTS),
            "channel": draw.choice(CHANNELS),
        }
        for _ in range(count)
    ]


def measure(
    session: Session, source: str, rows: list[dict[str, str]], skip: tuple[str, ...], dtype: str
) -> Measured:
    plan = compile_file(None, source, spec=session.spec, skip=skip).plan
    engine = session.make_engine(EngineOptions("cpu", dtype, "dummy"))
    bound = bind_rows(rows, RowBinder(RowFields(plan.params)))
    start = time.perf_counter()
    outcomes = list(run(plan, session.spec, engine, bound))
    seconds = time.perf_counter() - start
    outputs = [outcome.output for outcome in outcomes if isinstance(outcome, RowDone)]
    assert len(outputs) == len(rows), "a row failed"
    stats = engine.stats
    return Measured(
        stats.requests,
        stats.prefilled_tokens,
        stats.decoded_tokens,
        stats.steps,
        seconds,
        outputs,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = rows_of(args.rows)
    num_combinations = len({json.dumps(row) for row in rows})
    print(f"{args.rows} rows, {num_combinations} different; {args.rows * GENS} rows x gens")
    print(
        f"{'skipped':>20} {'gens':>6} {'prefilled':>10} {'decoded':>9} {'steps':>6} {'seconds':>8}"
    )
    with tempfile.TemporaryDirectory() as name:
        write_tiny_model(Path(name) / "model")
        session = open_session(str(Path(name) / "model"))
        source = PROGRAM.format(max_tokens=args.max_tokens)
        first: Measured | None = None
        for skip in LINES:
            found = measure(session, source, rows, skip, args.dtype)
            what = ", ".join(skip) or "nothing"
            print(
                f"{what:>20} {found.gens:6} {found.prefilled:10} {found.decoded:9} "
                f"{found.steps:6} {found.seconds:8.1f}",
                flush=True,
            )
            first = first or found
            if found.outputs != first.outputs:
                sys.exit(f"without {what} the outputs differ")


if __name__ == "__main__":
    main()
