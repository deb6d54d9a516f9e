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

from recording_engine import RecordingEngine

import sglc
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
    tokens = sum(len(gens[-1].after) - len(gens[0].before) for gens in recorded.values())
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
    pieces, same = (sum(column) for column in zip(*canonical, strict=True))
    print(f"forced pieces between gens: {pieces}; as the tokenizer has them: {same}")


def check_row(gens: list, session: Session) -> tuple[int, int]:
    """How many forced pieces stand between the gens of a row, and how many are canonical."""
    tokenizer = session.spec.tokenizer
    last = gens[-1].after
    text = tokenizer.decode(last)
    canonical = spans(tokenizer.encode(text), session)
    pieces = same = 0
    for one, two in itertools.pairwise(gens):
        piece = spans(two.before, session)[len(one.after) :]
        if piece:
            pieces += 1
            begin, end = piece[0][1], piece[-1][2]
            inside = [span for span in canonical if span[1] < end and span[2] > begin]
            same += inside == piece
            if inside != piece:
                shown = [tokenizer.decode([span[0]]) for span in piece]
                print(f"  forced {shown}, canonical {[tokenizer.decode([s[0]]) for s in inside]}")
    return pieces, same


def spans(ids: list[int], session: Session) -> list[tuple[int, int, int]]:
    """(token, first byte, end) of each token of a context of plain text."""
    found, at = [], 0
    for token in ids:
        end = at + len(session.spec.tokenizer.token_bytes(token))
        found.append((token, at, end))
        at = end
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
    return recorder.rows, engine.stats, seconds


if __name__ == "__main__":
    main()
