"""Every program under examples/ by `sglc bench`, one after another, as a Markdown table.

    python examples/benchmarks/suite.py [-o TABLE.md] [--only gsm8k,rag] [--data FOLDER]

Each program runs in a process of its own, beside transformers' generate on its first rows and,
where something is to be seen, with each idea switched off in turn. A program that fails or takes
longer than --limit is a line of the table. Rows are those of the examples; with --data, those of
the files in that folder that bear the names below. Gens are shortened as the table says, so that
all of it takes under 20 minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent
SETTINGS = ("no sharing", "no tree", "arrival order", "random order", "no parallelism")


@dataclass(frozen=True, slots=True)
class Entry:
    """A program with its rows: how many, and how many of them transformers runs. `data` is the file
    of --data that takes the place of `inputs`."""

    program: str
    inputs: str
    rows: int
    baseline_rows: int
    defines: tuple[str, ...] = ()
    externs: tuple[str, ...] = ()
    ablates: bool = False
    data: str | None = None

    @property
    def name(self) -> str:
        return Path(self.program).stem


GSM8K = "gsm8k.jsonl"
SUITE = (
    Entry("mmlu/mmlu.sgl", "questions.jsonl", 6, 6, ablates=True),
    Entry("hellaswag/hellaswag.sgl", "scenes.jsonl", 32, 5, ablates=True, data="hellaswag.jsonl"),
    Entry("gsm8k/gsm8k.sgl", "questions.jsonl", 8, 8, ablates=True, data=GSM8K),
    Entry("tree_of_thought/tree_of_thought.sgl", "questions.jsonl", 1, 1, ("MAX_TOKENS=24",),
          ablates=True, data=GSM8K),
    Entry("tree_of_thought/deep.sgl", "questions.jsonl", 1, 1, ("MAX_TOKENS=24",), data=GSM8K),
    Entry("multi_chain_reasoning/multi_chain.sgl", "questions.jsonl", 2, 1, data=GSM8K),
    Entry("llm_judge/judge.sgl", "essays.jsonl", 2, 2, ("MAX_TOKENS=64",), ablates=True,
          data="articles.jsonl"),
    Entry("tip_suggestion/tips.sgl", "topics.jsonl", 2, 1, data="topics.jsonl"),
    Entry("react/replay.sgl", "traces.jsonl", 3, 2, data="hotpotqa_traces.jsonl"),
    Entry("react/live.sgl", "questions.jsonl", 2, 1, externs=("tools.py",)),
    Entry("generative_agents/agents.sgl", "calls.jsonl", 10, 10),
    Entry("json_decode/city.sgl", "cities.jsonl", 3, 3),
    Entry("json_character/character.sgl", "names.jsonl", 8, 4, data="names.jsonl"),
    Entry("long_json_decode/long_city.sgl", "cities.jsonl", 3, 3),
    Entry("multi_document_qa/qa.sgl", "questions.jsonl", 5, 5, ablates=True),
    Entry("line_retrieval/lines.sgl", "lines.jsonl", 4, 4),
    Entry("multi_turn_chat/chat.sgl", "chats.jsonl", 6, 6, ablates=True),
    Entry("mtbench/mtbench.sgl", "questions.jsonl", 2, 2, data="mt_bench.jsonl"),
    Entry("rag/rag.sgl", "questions.jsonl", 5, 5, ablates=True),
    Entry("table_enrichment/enrich.sgl", "products.jsonl", 40, 8, ablates=True),
    Entry("best_of_n/best_of_n.sgl", "questions.jsonl", 1, 1, ("SAMPLES=16",), data=GSM8K),
    Entry("page_fields/fields.sgl", "pages.jsonl", 3, 3),
    Entry("ticket_triage/triage.sgl", "tickets.jsonl", 24, 4),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """A program's result as `sglc bench --json` prints it, or why there is none."""

    entry: Entry
    result: dict[str, Any] | None
    seconds: float
    fault: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="default: stdout")
    parser.add_argument("--only", metavar="NAME,...", default="", help="programs by file name")
    parser.add_argument("--data", type=Path, help="a folder with larger data")
    parser.add_argument("--rows", type=int, help="at most so many rows a program")
    parser.add_argument("--limit", type=float, default=180, help="seconds a program")
    parser.add_argument("--model", help="default: the embedded model")
    parser.add_argument("--load-format", default="auto", choices=("auto", "dummy"))
    args = parser.parse_args()
    names = [name for name in args.only.split(",") if name]
    unknown = set(names) - {entry.name for entry in SUITE}
    if unknown:
        parser.error(f"no program is called {', '.join(sorted(unknown))}")
    done = []
    start = time.perf_counter()
    for entry in SUITE:
        if not names or entry.name in names:
            print(f"{entry.name} ...", end=" ", file=sys.stderr, flush=True)
            done.append(run(entry, args))
            print(f"{done[-1].seconds:.0f} s {done[-1].fault}", file=sys.stderr, flush=True)
            page = table(done, time.perf_counter() - start, sys.argv[1:])
            if args.output is not None:  # each time: what is stopped keeps what it has
                args.output.write_text(page + "\n", encoding="utf-8")
    if args.output is None:
        print(page)
    return int(any(each.result is None for each in done))


def run(entry: Entry, args: argparse.Namespace) -> Done:
    """One program, within --limit seconds."""
    folder = (EXAMPLES / entry.program).parent
    inputs = folder / entry.inputs
    if args.data is not None and entry.data is not None and (args.data / entry.data).is_file():
        inputs = args.data / entry.data
    rows = min(entry.rows, args.rows or entry.rows)
    command = [sys.executable, "-m", "sglc", "bench", str(EXAMPLES / entry.program), "--json"]
    command += ["--inputs", str(inputs), "--limit", str(rows), "--repeat", "2"]
    command += ["--device", "cpu", "--dtype", "float32", "--load-format", args.load_format]
    command += ["--baseline", "transformers"]
    command += ["--baseline-rows", str(min(entry.baseline_rows, rows))]
    command += ["--ablate"] if entry.ablates else []
    command += ["--model", args.model] if args.model else []
    command += [word for define in entry.defines for word in ("--define", define)]
    command += [word for name in entry.externs for word in ("--extern", str(folder / name))]
    start = time.perf_counter()
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return Done(entry, None, time.perf_counter() - start, f"took over {args.limit:.0f} s")
    seconds = time.perf_counter() - start
    if ran.returncode in (0, 1):
        return Done(entry, json.loads(ran.stdout), seconds)
    said = (ran.stderr + ran.stdout).strip().replace("|", "/").splitlines()
    return Done(entry, None, seconds, f"exit code {ran.returncode}: {said[-1] if said else ''}")


def table(done: Sequence[Done], seconds: float, arguments: Sequence[str]) -> str:
    """The results as Markdown, ready for RESULTS.md."""
    found = [each for each in done if each.result is not None]
    lines = [
        "## The programs",
        "",
        f"`python examples/benchmarks/suite.py {' '.join(arguments)}`".replace(" `", "`"),
        f"on {time.strftime('%Y-%m-%d')} at commit {_commit()}, in {seconds / 60:.0f} minutes.",
        *_machine(found),
        "",
        "rows/s are of the better of two runs after loading; saved are prompt tokens that did not",
        "go through the model; forced ones were appended without sampling. transformers: the same",
        "calls by batched generate, each told how many tokens to write, best batch size; the ratio",
        "is of rows/s.",
        "",
        "| program | rows | rows/s | first row, s | prompt tokens | saved | decoded | forced | "
        "requests (merged) | transformers rows/s (rows) | ratio |",
        "| --- |" + " --- |" * 10,
        *map(_line, done),
    ]
    ablated = [each for each in found if each.result and each.result["ablations"]]
    if ablated:
        lines += [
            "",
            "Speed with one idea switched off, over the speed with all on; in brackets how many",
            "outcomes changed, where any did.",
            "",
            f"| program | {' | '.join(SETTINGS)} |",
            "| --- |" + " --- |" * len(SETTINGS),
            *map(_ablation_line, ablated),
        ]
    return "\n".join(lines)


def _line(done: Done) -> str:
    name = " ".join([done.entry.name, *done.entry.defines])
    if done.result is None:
        return f"| {name} | {done.fault} |" + " |" * 9
    best = done.result["best"]
    tokens = best["tokens"]
    saved = tokens["saved"] / tokens["prompt"] if tokens["prompt"] else 0
    failed = f" ({best['failed']} failed)" if best["failed"] else ""
    (baseline,) = done.result["baselines"]
    cells = (
        name,
        f"{best['rows']}{failed}",
        f"{best['rows_per_second']:.3g}",
        f"{best['first_row_seconds']:.2f}",
        f"{tokens['prompt']:,}",
        f"{saved:.0%}",
        f"{tokens['decoded']:,}",
        f"{tokens['forced']:,}",
        f"{best['requests']:,} ({best['merged']:,})",
        f"{baseline['rows_per_second']:.3g} ({baseline['rows']})",
        f"{baseline['ratio']:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _ablation_line(done: Done) -> str:
    assert done.result is not None
    best = done.result["best"]["rows_per_second"]
    by_name = {each["setting"]: each for each in done.result["ablations"]}
    cells = []
    for name in SETTINGS:
        changed = by_name[name]["changed_rows"]
        share = by_name[name]["run"]["rows_per_second"] / best
        cells.append(f"{share:.2f}" + (f" ({changed} changed)" if changed else ""))
    return f"| {done.entry.name} | {' | '.join(cells)} |"


def _machine(found: Sequence[Done]) -> list[str]:
    """Device, model and ceilings, as the first result has them."""
    import torch
    import transformers

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    capability = torch.backends.cpu.get_cpu_capability()
    lines = [
        f"{platform.machine()} with {cores} cores and {capability}; torch {torch.__version__}, "
        f"transformers {transformers.__version__}."
    ]
    if found and found[0].result is not None:
        result = found[0].result
        ceilings = result["ceilings"]
        lines.append(
            f"Model {Path(result['model']).name} in {result['dtype']}, "
            f"{result['threads']} threads; "
            f"copies at {ceilings['copy_bandwidth'] / 1e9:.1f} GB/s, products at "
            f"{ceilings['matmul_rate'] / 1e9:.0f} GFLOP/s."
        )
    return lines


def _commit() -> str:
    ran = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=EXAMPLES, capture_output=True, text=True
    )
    return ran.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
