"""What each pass saves on each example, and that skipping it changes no byte of any output.

    python examples/benchmarks/passes_worth.py [--rows 4] [--only rag,mmlu] [--deterministic]

A tiny model with random weights in fp32 runs the first rows of each example with all passes, then
with each optional one skipped. A line is printed where that changes the tokens prefilled or
decoded, the steps or the instructions; the last says how many runs were compared, byte for byte.
Scores of a select may differ in their last digits, as in any other batch, but with --deterministic.
Seconds are of one run on a machine that may do other things.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from suite import SUITE
from suite_program import EXAMPLES, Entry

from sglc.bench.tiny_model import write_tiny_model
from sglc.compiler.driver import compile_file
from sglc.passes import OPTIONAL
from sglc.runtime.extern_file import load_externs
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took. `seconds` are those of running, without compiling."""

    instructions: int
    requests: int
    prefilled: int
    decoded: int
    steps: int
    seconds: float

    def counts(self) -> tuple[int, ...]:
        return self.instructions, self.requests, self.prefilled, self.decoded, self.steps

    def cells(self) -> str:
        return " | ".join(f"{count:,}" for count in self.counts()) + f" | {self.seconds:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--only", default="", help="names of programs, with commas between")
    parser.add_argument("--deterministic", action="store_true", help="scores to the last bit too")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    wanted = set(filter(None, args.only.split(",")))
    lines = [
        "| program | skipped | instructions | gens run | prefilled | decoded | steps | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    num_compared = num_changed = 0
    with tempfile.TemporaryDirectory() as folder:
        write_tiny_model(Path(folder), context_len=16384)
        session = open_session(folder)
        for entry in SUITE:
            if wanted and entry.name not in wanted:
                continue
            outputs, base = run_once(session, entry, args, None)
            lines.append(f"| {entry.name} | nothing | {base.cells()} |")
            print(lines[-1], flush=True)
            for skipped in OPTIONAL:
                others, cost = run_once(session, entry, args, skipped)
                num_compared += 1
                if others != outputs:
                    num_changed += 1
                    print(f"OUTPUTS DIFFER: {entry.name} without {skipped}")
                if cost.counts() != base.counts():
                    lines.append(f"| | {skipped} | {cost.cells()} |")
                    print(lines[-1], flush=True)
    lines += ["", f"Of {num_compared} runs with a pass skipped, {num_changed} changed an output."]
    print(lines[-1])
    if args.output:
        args.output.write_text("\n".join(lines) + "\n")


def run_once(
    session: Session, entry: Entry, args: argparse.Namespace, skipped: str | None
) -> tuple[list[str], Cost]:
    """The outputs as JSON and the cost of the first rows of an example."""
    path = EXAMPLES / entry.program
    skip = () if skipped is None else (skipped,)
    plan = compile_file(path, None, spec=session.spec, defines=dict(entry.defines), skip=skip).plan
    options = EngineOptions("cpu", "float32", "dummy", deterministic=args.deterministic)
    engine = session.make_engine(options)
    externs = load_externs([str(entry.folder / name) for name in entry.externs])
    with (entry.folder / entry.inputs).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in itertools.islice(file, args.rows)]
    bound = bind_rows(rows, RowBinder(RowFields(plan.params)))
    begin = time.perf_counter()
    outcomes = list(run(plan, session.spec, engine, bound, externs=externs))
    seconds = time.perf_counter() - begin
    outputs = [json.dumps(getattr(o, "output", repr(o)), sort_keys=True) for o in outcomes]
    stats = engine.stats
    cost = Cost(
        len(plan.code),
        stats.requests,
        stats.prefilled_tokens + stats.scored_tokens,
        stats.decoded_tokens,
        stats.steps,
        seconds,
    )
    return outputs, cost


if __name__ == "__main__":
    main()
