"""HellaSwag on a CPU: `select` beside one request an ending and beside transformers' scoring.

    python examples/benchmarks/cpu_select.py HELLASWAG.jsonl [--rows 300] [--shots 10]

The shots are the last rows of the file, the questions its first. Reported are the tokens that went
through the model against the least possible (the tokens of the trie of all texts, without each
ending's last, whose logits nobody reads), rows a second, and the answers that differ from scoring
each ending by transformers in fp32.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers_scoring import TransformersScorer, common_len

import sglc
from sglc.bench.transformers_model import load_transformers
from sglc.runtime.model.locate import locate
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

HEADER = """
const SHOTS = []

def context(ctx: str):
    for shot in SHOTS:
        "{shot.ctx} {shot.ending}\\n\\n"
    "{ctx}"
"""
TOGETHER = """
program main(ctx: str, endings: list[str]):
    context(ctx)
    select ending from [" " + ending for ending in endings]
    return {"label": ending.index, "scores": ending.scores}
"""
APART = """
program main(ctx: str, ending: str):
    context(ctx)
    select chosen from [" " + ending]
    return chosen.scores[0]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--skip-transformers", action="store_true")
    args = parser.parse_args()
    lines = args.data.read_text(encoding="utf-8").splitlines()
    data = [json.loads(line) for line in lines]
    shots = [{"ctx": s["ctx"], "ending": s["endings"][s["label"]]} for s in data[-args.shots :]]
    data = data[: args.rows]
    labels = [row["label"] for row in data]
    rows = [{"ctx": row["ctx"], "endings": row["endings"]} for row in data]

    session = open_session(None)
    encode = session.spec.tokenizer.encode
    header = "".join(f"{shot['ctx']} {shot['ending']}\n\n" for shot in shots)
    contexts = [encode(header + row["ctx"]) for row in rows]
    texts = [[encode(f"{header}{row['ctx']} {e}") for e in row["endings"]] for row in rows]
    least = trie_size([ids[:-1] for four in texts for ids in four])

    outputs, stats, seconds = run_all(session, HEADER + TOGETHER, shots, rows)
    answers = [output["label"] for output in outputs]
    through = stats.prefilled_tokens + stats.scored_tokens + stats.repeated_tokens
    right = sum(a == b for a, b in zip(answers, labels, strict=True))
    print(f"select: {len(rows)} rows in {seconds:.1f} s = {len(rows) / seconds:.2f} rows/s")
    print(f"  accuracy {right / len(rows):.3f}; {stats}")
    print(f"  tokens through the model: {through}; the least possible: {least}")

    single = [{"ctx": row["ctx"], "ending": e} for row in rows for e in row["endings"]]
    _, _, apart = run_all(session, HEADER + APART, shots, single)
    print(f"a request an ending, shared prefix cached: {len(rows) / apart:.2f} rows/s; ", end="")
    print(f"select is {apart / seconds:.2f} times as fast")

    if args.skip_transformers:
        return
    model = load_transformers(locate(None), torch.device("cpu"), torch.float32)
    shared = contexts[0][: common_len([ids for four in texts for ids in four] + contexts)]
    scorer = TransformersScorer(model, shared[:-1])
    start = time.perf_counter()
    reference = [scorer.scores(c, four) for c, four in zip(contexts, texts, strict=True)]
    took = time.perf_counter() - start
    best = [max(range(len(s)), key=s.__getitem__) for s in reference]
    changed = sum(a != b for a, b in zip(answers, best, strict=True))
    pairs = zip(outputs, reference, strict=True)
    worst = max(
        abs(ours - theirs)
        for output, row in pairs
        for ours, theirs in zip(output["scores"], row, strict=True)
    )
    print(f"transformers, shared prefix cached: {len(rows) / took:.2f} rows/s; ", end="")
    print(f"changed answers {changed} of {len(rows)}, largest difference of a score {worst:.1e}")


def run_all(session: Session, source: str, shots: list, rows: Sequence[dict]) -> tuple:
    """Outputs, the engine's counts, and seconds without compiling and loading."""
    program = sglc.compile(source, define={"SHOTS": shots})
    engine = session.make_engine(EngineOptions(device="cpu", dtype="float32"))
    binder = RowBinder(RowFields(program.plan.params))
    start = time.perf_counter()
    outcomes = list(run(program.plan, session.spec, engine, bind_rows(rows, binder)))
    seconds = time.perf_counter() - start
    return [outcome.output for outcome in outcomes], engine.stats, seconds


def trie_size(sequences: Sequence[Sequence[int]]) -> int:
    """How many distinct non-empty prefixes the sequences have."""
    ordered = sorted(sequences)
    size = 0
    before: Sequence[int] = ()
    for sequence in ordered:
        size += len(sequence) - common_len([before, sequence])
        before = sequence
    return size


if __name__ == "__main__":
    main()
