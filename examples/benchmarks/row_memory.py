"""Does memory stay flat over a million rows? The whole path from file to file, without a model.

    python examples/benchmarks/row_memory.py [--rows 200000] [--bind-only]

Rows of one short text go through reading, checking, the order, the machine and the results file;
an engine answers each gen at once. With --bind-only they are read, checked and dropped. Resident
memory (/proc) is told as the rows go by, in all and without mapped files (libraries); the bound is
a window of rows, not their number.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sglc.codegen.plan import Plan
from sglc.compiler.driver import compile_file
from sglc.runtime.engine.request import Result
from sglc.runtime.job import Job, run_job
from sglc.runtime.room.check import RoomCheck
from sglc.runtime.rows.bind import RowBinder, RowFields
from sglc.runtime.rows.row_file import RowFile
from sglc.testing import Model, ToldEngine

PROGRAM = """
program answer(question: str) -> str:
    user "{question}"
    assistant:
        gen reply(max_tokens=1)
    return reply
"""
TOLD = (1_000, 10_000, 30_000, 100_000, 200_000, 300_000, 1_000_000)


class Watch:
    """Tells time and memory at some numbers of rows."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.start = time.process_time()

    def count(self, more: int) -> None:
        before, self.num_rows = self.num_rows, self.num_rows + more
        for told in TOLD:
            if before < told <= self.num_rows:
                seconds = time.process_time() - self.start
                print(f"{told:>9,} rows: {resident()}, {seconds:6.1f} s of CPU", flush=True)


class WatchedEngine(ToldEngine):
    """Answers at once, and counts."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(lambda question: "y")
        self.watch = watch

    def step(self) -> list[Result]:
        results = super().step()
        self.watch.count(len(results))
        return results


def resident() -> str:
    status = Path("/proc/self/status").read_text()
    kib = {name: int(size) for name, size in re.findall(r"(VmRSS|RssAnon):\s+(\d+) kB", status)}
    return f"{kib['VmRSS'] / 1024:6.1f} MiB, {kib['RssAnon'] / 1024:6.1f} of them no files'"


def write_rows(path: Path, num_rows: int) -> None:
    with path.open("w") as file:
        for number in range(num_rows):
            file.write(f'{{"question": "What is {number} and {number * 7 % 1000}?"}}\n')


def bind(path: Path, plan: Plan, model: Model, watch: Watch) -> None:
    rows = RowFile(str(path), RowBinder(RowFields(plan.params)))

    def bound() -> Iterator:
        for row in rows:
            yield row.row

    for _ in RoomCheck(plan, model.spec).over(bound()):
        watch.count(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--bind-only", action="store_true")
    args = parser.parse_args()
    model = Model({})
    plan = compile_file(None, PROGRAM, spec=model.spec).plan
    with tempfile.TemporaryDirectory() as folder:
        inputs, output = Path(folder, "rows.jsonl"), Path(folder, "out.jsonl")
        write_rows(inputs, args.rows)
        print(f"before: {resident()}")
        watch = Watch()
        if args.bind_only:
            bind(inputs, plan, model, watch)
        else:
            job = Job(str(inputs), str(output))
            engine = WatchedEngine(watch)
            run_job(job, plan, model.spec, lambda: engine, externs={}, engine_options={})
        print(f"at the end: {resident()}")


if __name__ == "__main__":
    main()
