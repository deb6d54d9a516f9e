"""A record of twelve fields on a CPU: typed generation beside free text of the same length.

    python examples/benchmarks/cpu_typed.py NAMES.jsonl [--repeat 4] [--canonical 450]

Reported are rows a second of both, the share of tokens that were forced, the share of the time
that masks took, and, over --canonical rows at temperature 1, how many forced pieces are the very
tokens that the tokenizer gives them in that place of the whole text.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import NamedTuple

import sglc
from sglc.bench.recording import Recorded, RecordingEngine
from sglc.runtime.engine.request import EngineStats
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

TYPED = (Path(__file__).parent.parent / "json_character" / "character.sgl").read_text()
FREE = """
program main(name: str, max_tokens: int):
    "{name} is a person at a school of magic. What is known of {name}, as JSON:\\n"
    gen text(max_tokens=max_tokens, temperature=0, ignore_eos=true)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", type=Path)
    parser.add_argument("--repeat", type=int, default=4, help="rows a name (made different)")
    parser.add_argument("--canonical", type=int, default=450, help="rows for the tokens' check")
    args = parser.parse_args()
    lines = args.names.read_text(encoding="utf-8").splitlines()
    names = [json.loads(line)["name"] for line in lines]
    session = open_session(None)

    rows = [{"name": f"{name} {'I' * r}".strip()} for r in range(args.repeat) for name in names]
    _, typed, seconds = run_all(session, TYPED, rows)
    recorded, _, _ = run_all(session, TYPED, rows, records=True)
    # the texts between a record's pieces are appended, as prompts are: the trace counts them all
    tokens = sum(len(gens[-1].after) - len(gens[0].prompt) for gens in recorded.values())
    forced = tokens - typed.decoded_tokens
    print(f"typed: {len(rows)} rows in {seconds:.1f} s = {len(rows) / seconds:.2f} rows/s")
    print(f"  {typed}")
    masks = typed.seconds.get("masks", 0.0)
    print(f"  {tokens / len(rows):.1f} tokens a record, {forced / tokens:.0%} of them forced")
    print(f"  masks took {masks / seconds:.2%} of the time")

    length = round(tokens / len(rows))
    free_rows = [{**row, "max_tokens": length} for row in rows]
    _, _, free = run_all(session, FREE, free_rows)
    print(f"free text of {length} tokens: {len(rows) / free:.2f} rows/s; ", end="")
    print(f"typed is {free / seconds:.2f} times as fast")

    hot = TYPED.replace("temperature=0", "temperature=1")
    many = [{"name": f"{names[i % len(names)]} {i}"} for i in range(args.canonical)]
    recorded, _, _ = run_all(session, hot, many, records=True)
    canonical = [check_row(gens, session) for gens in recorded.values()]
    pieces, same, joined = (sum(column) for column in zip(*canonical, strict=True))
    print(f"forced pieces between gens: {pieces}; as the tokenizer has them beside the sampled")
    print(f"tokens: {same}; as it has them in the whole text, sampled tokens joined too: {joined}")


def check_row(gens: list[Recorded], session: Session) -> tuple[int, int, int]:
    """Of the forced pieces between the gens of a row: how many there are, how many are what the
    tokenizer makes of them and the text that follows, and how many also when it joins them to the
    tokens sampled before them, which are never encoded again."""
    tokenizer = session.spec.tokenizer
    text = b"".join(tokenizer.token_bytes(token) for token in gens[-1].after)
    whole = spans(tokenizer.encode(text.decode()), session)
    pieces = same = joined = 0
    for one, two in itertools.pairwise(gens):
        piece = spans(two.prompt, session)[len(one.after) :]
        if not piece:
            continue
        pieces += 1
        begin, end = piece[0].begin, piece[-1].end
        beside = spans(tokenizer.encode(text[begin:].decode()), session, begin)[: len(piece)]
        same += beside == piece
        joined += [span for span in whole if span.begin < end and span.end > begin] == piece
        if beside != piece:
            print("  forced", [span.token for span in piece], "but", [s.token for s in beside])
    return pieces, same, joined


class Span(NamedTuple):
    """A token and the bytes it covers."""

    token: int
    begin: int
    end: int


def spans(ids: list[int], session: Session, at: int = 0) -> list[Span]:
    """The tokens of plain text whose first byte is byte `at`."""
    found = []
    for token in ids:
        found.append(Span(token, at, at + len(session.spec.tokenizer.token_bytes(token))))
        at = found[-1].end
    return found


def run_all(
    session: Session, source: str, rows: list[dict], *, records: bool = False
) -> tuple[dict, EngineStats, float]:
    """The gens of each row if asked for, the engine's counts, seconds without compiling."""
    program = sglc.compile(source)
    engine = session.make_engine(EngineOptions(device="cpu", dtype="float32"))
    recorder = RecordingEngine(engine)
    binder = RowBinder(RowFields(program.plan.params))
    start = time.perf_counter()
    bound = bind_rows(rows, binder)
    outcomes = list(run(program.plan, session.spec, recorder if records else engine, bound))
    seconds = time.perf_counter() - start
    failed = [outcome for outcome in outcomes if not hasattr(outcome, "output")]
    assert not failed, failed[0]
    return recorder.gens(), engine.stats, seconds


if __name__ == "__main__":
    main()
