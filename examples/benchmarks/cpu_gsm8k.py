"""GSM8K on a CPU: sglc beside transformers' generate and beside bare matmuls, in one run.

    python examples/benchmarks/cpu_gsm8k.py QUESTIONS.jsonl SHOTS.jsonl [--rows 200] [--bf16]

Both generate exactly 64 tokens a row, greedily, EOS ignored. transformers runs one batch of each
size (its time a row hardly depends on how many batches follow), in the same type as sglc and, with
--bf16, in bf16.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from bare_matmul import tokens_per_second
from transformers_generate import TransformersBaseline

import sglc
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, open_session

MAX_TOKENS = 64
SOURCE = """
const SHOTS = []

program gsm8k(question: str):
    for shot in SHOTS:
        "Question: {shot.question}\\nAnswer: {shot.answer}\\n\\n"
    "Question: {question}\\nAnswer:"
    gen answer(max_tokens=64, temperature=0, ignore_eos=true)
"""


def read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def prompt(shots: list[dict[str, str]], question: str) -> str:
    parts = [f"Question: {s['question']}\nAnswer: {s['answer']}\n\n" for s in shots]
    return "".join(parts) + f"Question: {question}\nAnswer:"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("shots", type=Path)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--bf16", action="store_true", help="transformers in bf16 too")
    parser.add_argument("--skip-transformers", action="store_true")
    parser.add_argument("--window", type=int, default=256)
    args = parser.parse_args()
    questions, shots = read(args.questions)[: args.rows], read(args.shots)

    start = time.perf_counter()
    program = sglc.compile(SOURCE, define={"SHOTS": shots})
    print(f"compile: {time.perf_counter() - start:.2f} s")
    session = open_session(None)
    engine = session.make_engine(EngineOptions(device="cpu", dtype=args.dtype))
    binder = RowBinder(RowFields(program.plan.params))

    start = time.perf_counter()
    rows = bind_rows(questions, binder)
    outcomes = list(run(program.plan, session.spec, engine, rows, window=args.window))
    seconds = time.perf_counter() - start
    stats = replace(engine.stats)
    failed = [o for o in outcomes if not hasattr(o, "output")]
    assert not failed, failed[0]
    ours = len(questions) / seconds
    print(f"sglc: {len(questions)} rows in {seconds:.1f} s = {ours:.2f} rows/s")
    print(f"  {stats}")

    config, dtype = load_config(locate(None)), getattr(torch, args.dtype)
    prefill_rate = max(
        tokens_per_second(config, n, with_head=False, dtype=dtype) for n in (256, 512, 1024)
    )
    decode_rate = max(
        tokens_per_second(config, n, with_head=True, dtype=dtype) for n in (32, 64, 128, 200)
    )
    floor = stats.prefilled_tokens / prefill_rate + stats.decoded_tokens / decode_rate
    print(f"bare matmuls: prefill {prefill_rate:.0f} tok/s, decode {decode_rate:.0f} tok/s")
    print(f"  all tokens at these rates: {floor:.1f} s; sglc reaches {floor / seconds:.0%} of it")

    if args.skip_transformers:
        return
    token_ids = [session.spec.tokenizer.encode(prompt(shots, q["question"])) for q in questions]
    files = locate(None)
    for baseline_dtype, batches in (
        (dtype, (1, 8, 16, 32)),
        *(((torch.bfloat16, (8,)),) if args.bf16 else ()),
    ):
        baseline = TransformersBaseline(files, baseline_dtype)
        for batch in batches:
            timing = baseline.run(token_ids[: max(batch, 4)], batch, MAX_TOKENS)
            print(
                f"transformers {timing.dtype} batch {batch}: {timing.rows_per_second:.3f} rows/s; "
                f"sglc is {ours / timing.rows_per_second:.1f} times as fast"
            )


if __name__ == "__main__":
    main()
