"""Every program under examples/, one after another, as Markdown tables.

    python examples/benchmarks/suite.py [-o TABLE.md] [--only gsm8k,rag] [--data FOLDER]

Each program runs beside transformers' generate on its first rows and with each idea switched off in
turn, all in one process and within --minutes: a program gets an equal share of the time that is
left, and runs as many of its rows as fit; on a machine slower than the sizes are made for (two
quiet cores) it has fewer. A program that fails is a line of the table. Rows are those of the
examples; with --data, those of the files in that folder that bear the names below.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

# threads that wait for each other sleep soon; torch reads it when it is imported
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch
from suite_program import Bench, Entry, measure_program
from suite_table import Done, table

from sglc.bench.ceilings import measure_ceilings
from sglc.bench.transformers_baseline import TransformersBaseline
from sglc.bench.transformers_model import load_transformers
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate
from sglc.runtime.session import EngineOptions, open_session

GSM8K = "gsm8k.jsonl"
SUITE = (
    Entry("mmlu/mmlu.sgl", "questions.jsonl", 24, 24),
    Entry("hellaswag/hellaswag.sgl", "scenes.jsonl", 32, 8, data="hellaswag.jsonl"),
    Entry("gsm8k/gsm8k.sgl", "questions.jsonl", 12, 8, (("MAX_TOKENS", 32),), data=GSM8K),
    Entry("tree_of_thought/tree_of_thought.sgl", "questions.jsonl", 2, 1, (("MAX_TOKENS", 12),),
          data=GSM8K),
    Entry("tree_of_thought/deep.sgl", "questions.jsonl", 2, 1, (("MAX_TOKENS", 12),), data=GSM8K),
    Entry("multi_chain_reasoning/multi_chain.sgl", "questions.jsonl", 4, 2, (("MAX_TOKENS", 32),),
          data=GSM8K),
    Entry("llm_judge/judge.sgl", "essays.jsonl", 4, 2, (("MAX_TOKENS", 24),),
          data="articles.jsonl"),
    Entry("tip_suggestion/tips.sgl", "topics.jsonl", 4, 2, (("MAX_TOKENS", 16),),
          data="topics.jsonl"),
    Entry("react/replay.sgl", "traces.jsonl", 6, 3, (("MAX_TOKENS", 20),),
          data="hotpotqa_traces.jsonl"),
    Entry("react/live.sgl", "questions.jsonl", 3, 3, (("MAX_TOKENS", 32),), ("tools.py",)),
    Entry("generative_agents/agents.sgl", "calls.jsonl", 20, 20),
    Entry("json_decode/city.sgl", "cities.jsonl", 8, 3),
    Entry("json_character/character.sgl", "names.jsonl", 12, 6, data="names.jsonl"),
    Entry("long_json_decode/long_city.sgl", "cities.jsonl", 8, 4),
    Entry("multi_document_qa/qa.sgl", "questions.jsonl", 12, 8),
    Entry("line_retrieval/lines.sgl", "lines.jsonl", 4, 3),
    Entry("multi_turn_chat/chat.sgl", "chats.jsonl", 6, 4),
    Entry("mtbench/mtbench.sgl", "questions.jsonl", 4, 3, (("MAX_TOKENS", 32),),
          data="mt_bench.jsonl"),
    Entry("rag/rag.sgl", "questions.jsonl", 12, 8),
    Entry("table_enrichment/enrich.sgl", "products.jsonl", 40, 12),
    Entry("best_of_n/best_of_n.sgl", "questions.jsonl", 2, 1,
          (("SAMPLES", 16), ("MAX_TOKENS", 32)), data=GSM8K),
    Entry("page_fields/fields.sgl", "pages.jsonl", 8, 4),
    Entry("ticket_triage/triage.sgl", "tickets.jsonl", 24, 2),
)  # fmt: skip
MOST_SECONDS = 60.0  # of one program, however much time is left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="default: stdout")
    parser.add_argument("--only", metavar="NAME,...", default="", help="programs by file name")
    parser.add_argument("--data", type=Path, help="a folder with larger data")
    parser.add_argument("--minutes", type=float, default=17, help="for all programs; default: 17")
    parser.add_argument("--model", help="default: the embedded model")
    parser.add_argument("--load-format", default="auto", choices=("auto", "dummy"))
    args = parser.parse_args()
    names = [name for name in args.only.split(",") if name]
    unknown = set(names) - {entry.name for entry in SUITE}
    if unknown:
        parser.error(f"no program is called {', '.join(sorted(unknown))}")
    entries = [entry for entry in SUITE if not names or entry.name in names]
    command = " ".join(["python examples/benchmarks/suite.py", *sys.argv[1:]])

    start = time.perf_counter()
    bench = prepare(args)
    done: list[Done] = []
    given = 0.0  # seconds that the programs so far were to take
    for place, entry in enumerate(entries):
        left = start + 60 * args.minutes - time.perf_counter()
        seconds = min(left / (len(entries) - place), MOST_SECONDS)
        pace = max(1.0, sum(each.seconds for each in done) / given) if given else 1.0
        fewer = max(1, int(entry.baseline_rows / pace))
        done.append(run(replace(entry, baseline_rows=fewer), bench, seconds))
        given += seconds
        page = table(done, bench, time.perf_counter() - start, command)
        if args.output is not None:  # each time: what is stopped keeps what it has
            args.output.write_text(page + "\n", encoding="utf-8")
    if args.output is None:
        print(page)
    return int(any(each.result is None for each in done))


def prepare(args: argparse.Namespace) -> Bench:
    """The model, for us and for transformers."""
    say("loading the model, twice")
    options = EngineOptions(device="cpu", dtype="float32", load_format=args.load_format)
    session = open_session(args.model)
    files = locate(args.model)
    session.make_engine(options)  # loads the weights
    device = torch.device("cpu")
    theirs = load_transformers(files, device, torch.float32, args.load_format)
    ceilings = measure_ceilings(device, torch.float32)
    baseline = TransformersBaseline(theirs)
    return Bench(session, files, load_config(files), options, ceilings, baseline, args.data)


def run(entry: Entry, bench: Bench, seconds: float) -> Done:
    start = time.perf_counter()
    if seconds <= 0:
        return Done(entry, None, 0.0, "no time was left")
    result, fault = None, ""
    try:
        result = measure_program(entry, bench, seconds, lambda what: say(f"{entry.name}: {what}"))
    except Exception as error:  # whatever it is: the other programs run
        fault = f"{type(error).__name__}: {error}".replace("|", "/").splitlines()[0]
        say(f"{entry.name}: {fault}")
    return Done(entry, result, time.perf_counter() - start, fault)


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
