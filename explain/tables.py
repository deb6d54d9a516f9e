"""What a page shows beside its pictures: numbers, tables and listings.

A cell is a text, or {"text", "kind"}: "number", "code", or a stage's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sglc.explain.batch import row_kv_line, size
from sglc.explain.compare import Comparison
from sglc.explain.dataflow import Dataflow
from sglc.ir.host.text import json_text
from sglc.runtime.planner.facts import BatchFacts, RowKV

_MOST_TEXT = 240  # characters of a constant
_MOST_PLACES = 8  # of one note

Cell = str | dict[str, str]
Table = dict[str, Any]


def tiles(
    plan: Mapping[str, Any],
    flow: Dataflow,
    row_kv: RowKV | None,
    batch: BatchFacts | None,
    compared: Sequence[Comparison],
) -> list[dict[str, str]]:
    """The numbers at the top: {"title", "value", "note"}, the note shown on hovering."""
    num_gens = sum(node.kind in ("gen", "select") for node in flow.nodes)
    shortest, longest = plan["bounds"]["shortest"], plan["bounds"]["longest"]
    most = "no bound from types" if longest is None else f"at most {longest:,}"
    found = [
        _tile("gens and selects in the program", f"{num_gens:,}"),
        _tile("tokens a row needs at least", f"{shortest:,}", f"{most}"),
    ]
    if row_kv is not None and batch is None:
        found.append(
            _tile("KV of one row, const part", f"{row_kv.const_tokens:,}", row_kv_line(row_kv))
        )
    if batch is None:
        return found
    tokens, kv = batch.tokens, batch.kv
    share = f"{tokens.prefilled / tokens.prompt:.1%} of" if tokens.prompt else "of"
    bound = "" if batch.lengths_are_known else "at most: gens may end early"
    found = [
        _tile("rows", f"{batch.rows:,}", f"{batch.num_failed:,} fail" if batch.num_failed else ""),
        _tile("prompt tokens if nothing is shared", f"{tokens.prompt:,}"),
        _tile(f"prefilled, {share} these", f"{tokens.prefilled:,}"),
        _tile("least possible", f"{tokens.least:,}", "each distinct prefix once"),
        _tile("decoded" + (", at most" if bound else ""), f"{tokens.decoded:,}", bound),
        _tile(
            f"peak KV; {size(kv.naive_bytes)} unshared",
            size(kv.rehearsed_tokens * kv.bytes_per_token),
            f"{kv.rehearsed_tokens:,} tokens, never above {kv.peak_tokens:,}; "
            f"one row: {row_kv_line(batch.row_kv)}",
        ),
    ]
    if batch.seconds is not None:
        phases = {
            "prefill": batch.seconds.prefill,
            "decode": batch.seconds.decode,
            "sampling": batch.seconds.sampling,
            "host": batch.seconds.host,
        }
        note = "\n".join(f"{phase}: {seconds:,.2f} s" for phase, seconds in phases.items())
        found.append(_tile("predicted", f"{batch.seconds.total:,.1f} s", note))
    actual = next((each.actual for each in compared if each.what == "total"), None)
    if actual is not None:
        found.append(_tile("it took", f"{actual:,.1f} s"))
    return found


def _tile(title: str, value: str, note: str = "") -> dict[str, str]:
    return {"title": title, "value": value, "note": note}


def tables(
    plan: Mapping[str, Any], batch: BatchFacts | None, compared: Sequence[Comparison]
) -> list[Table]:
    """{"title", "columns", "rows"} of each; empty ones are left out."""
    seconds = batch.seconds if batch is not None else None
    found = [
        _table(
            "Predicted against actual", ["", "predicted", "actual", "ratio"], _compared(compared)
        ),
        _table(
            "Predicted seconds",
            ["phase", "seconds"],
            []
            if seconds is None or compared
            else [
                [phase, _number(f"{getattr(seconds, phase):,.2f}")]
                for phase in ("prefill", "decode", "sampling", "host", "total")
            ],
        ),
        _table("What the passes did", ["pass", "what", "where"], map(_note, plan["pass_notes"])),
        _table(
            "Constraints",
            ["", "of", "became", "bytes", "fewest tokens"],
            (_constraint(k, each) for k, each in enumerate(plan["constraints"])),
        ),
        _table(
            "Values and when they are known",
            ["known", "names"],
            _values(plan["stages"]),
        ),
        _table(
            "Constant text, tokenized when compiling",
            ["tokens", "text"],
            (
                [_number(f"{len(each['ids']):,}"), _code(_clipped(json_text(each["text"])))]
                for each in plan["constants"]
            ),
        ),
    ]
    return [table for table in found if table["rows"]]


def listings(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    """The schedule and the IR, for who wants all of it."""
    schedule = plan["schedule"]
    width = len(str(len(schedule)))
    lines = [f"{at:{width}}  {line}" for at, line in enumerate(schedule)]
    return [
        {
            "title": f"Schedule: {len(schedule):,} instructions, {plan['registers']} registers",
            "text": "\n".join(lines),
        },
        {"title": f"IR after {', '.join(plan['passes']) or 'no pass'}", "text": plan["ir"].strip()},
    ]


def _table(title: str, columns: list[str], rows: Any) -> Table:
    return {"title": title, "columns": columns, "rows": list(rows)}


def _number(text: str) -> Cell:
    return {"text": text, "kind": "number"}


def _code(text: str) -> Cell:
    return {"text": text, "kind": "code"}


def _clipped(text: str) -> str:
    if len(text) <= _MOST_TEXT:
        return text
    return f"{text[: _MOST_TEXT // 2]} ... {text[-_MOST_TEXT // 2 :]}"


def _compared(compared: Sequence[Comparison]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for each in compared:
        digits = ".2f" if each.unit == "seconds" else ".0f"
        rows.append(
            [
                f"{each.what}, s" if each.unit == "seconds" else each.what,
                _number(f"{each.predicted:,{digits}}"),
                _number(f"{each.actual:,{digits}}"),
                _number("" if each.ratio is None else f"{each.ratio:.2f}"),
            ]
        )
    return rows


def _note(note: Mapping[str, Any]) -> list[Cell]:
    what = note["what"] if note["count"] == 1 else f"{note['what']}s"
    shown = f"{note['kind']} {note['count']:,} {what}"
    places = [_place(place) for place in note["places"][:_MOST_PLACES]]
    if len(note["places"]) > _MOST_PLACES:
        places.append(f"and {len(note['places']) - _MOST_PLACES:,} more")
    target = "" if note["target"] is None else f" into {_place(note['target'])}"
    return [note["pass"], shown, _code(", ".join(places) + target)]


def _place(place: Mapping[str, Any]) -> str:
    return f"{place['file']}:{place['line']}:{place['col']}"


def _constraint(index: int, facts: Mapping[str, Any]) -> list[Cell]:
    if facts["by"] == "table":
        made = f"table of {facts['states']:,} states by {facts['classes']:,} classes"
    else:
        made = f"grammar of xgrammar {facts['version']}"
    kind = "" if facts["kind"] == "type" else f"{facts['kind']} "
    return [
        str(index),
        _code(_clipped(kind + facts["of"])),
        made,
        _number(f"{facts['bytes']:,}"),
        _number(f"{facts['fewest_tokens']:,}"),
    ]


def _values(stages: Mapping[str, str]) -> list[list[Cell]]:
    words = {"const": "when compiling", "input": "when rows are bound", "gen": "while running"}
    return [
        [{"text": words[stage], "kind": stage}, _code(", ".join(names))]
        for stage in words
        if (names := [name for name, each in stages.items() if each == stage])
    ]
