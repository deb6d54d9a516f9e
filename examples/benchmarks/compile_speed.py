"""How long compiling takes: a written-out program of so many statements, stage by stage.

    python examples/benchmarks/compile_speed.py [--statements 1000] [--repeat 3]

The program calls a fragment of five statements from every seventh line, forks every seventy lines,
and ends in a list of all its values; it is compiled for the model of `sglc.testing`, which has no
weights. The best of the repetitions counts: others may use the processor too.
"""

from __future__ import annotations

import argparse
import time

from sglc.compiler.driver import CompileResult, compile_file
from sglc.testing import Model

HEAD = """\
const RULES = "Some rules that stand here."
def ask(question: str, about: str) -> str:
    user "{question} {about}"
    assistant:
        gen reply(max_tokens=8)
        select grade from ["A", "B"]
    return reply

program long(essay: str, dims: list[str], depth: int):
    defaults temperature=0
    system "{RULES}"
"""
PART = """\
    let asked{n} = run ask(essay, "part {n}")
    user "Part {n}: {{essay}} {{asked{n}}}"
    assistant:
        gen said{n}(max_tokens=9)
    if depth > {n} and said{n} != "":
        user "again {n}"
    let size{n} = len(said{n}) + {n}
"""
FORK = """\
    fork dim in dims as views{n}:
        user "Judge {{dim}}."
        assistant:
            gen view
    user "{{views{n}.view}}"
"""


def program(num_statements: int) -> str:
    parts, count, n = [HEAD], 0, 0
    while count < num_statements:
        n += 1
        parts.append(PART.format(n=n))
        count += 7
        if n % 10 == 0:
            parts.append(FORK.format(n=n))
            count += 5
    sizes = ", ".join(f"size{i}" for i in range(1, n + 1))
    return "".join([*parts, f"    return [{sizes}]\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    source, spec = program(args.statements), Model({}).spec
    best: tuple[float, CompileResult] | None = None
    for _ in range(args.repeat):
        start = time.perf_counter()
        result = compile_file(None, source, spec=spec)
        seconds = time.perf_counter() - start
        if best is None or seconds < best[0]:
            best = seconds, result
    assert best is not None, "--repeat is at least 1"
    seconds, result = best
    print(f"{args.statements} statements, {len(result.plan.code)} instructions: {seconds:.2f} s")
    for stage, spent in result.timings:
        print(f"{stage:>16} {spent:6.3f} s")


if __name__ == "__main__":
    main()
