"""What is known of a batch before it runs, as text and as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import groupby
from typing import Any

from sglc.ir.host.text import json_text
from sglc.runtime.planner.facts import BatchFacts, RowKV, StepFacts, TrieNode
from sglc.runtime.progress import counted

_SHOWN_TEXT = 44  # characters of a trie node's text that are shown
_SHOWN_LINES = 60  # of the trie, in text
_MOST_BINS = 400  # of steps, on a page


def batch_as_json(facts: BatchFacts) -> dict[str, Any]:
    """All facts; steps by columns."""
    return {
        "rows": facts.rows,
        "failed_rows": facts.num_failed,
        "requests": facts.requests,
        "merged_requests": facts.merged_requests,
        "lengths_are_known": facts.lengths_are_known,
        "tokens": asdict(facts.tokens),
        "kv": asdict(facts.kv)
        | {"peak_bytes": facts.kv.peak_bytes, "naive_bytes": facts.kv.naive_bytes},
        "row_kv": row_kv_as_json(facts.row_kv),
        "trie": [_trie_node(node) for node in facts.trie],
        "steps": _columns(facts.steps),
        "seconds": None
        if facts.seconds is None
        else asdict(facts.seconds) | {"total": facts.seconds.total},
        "planning_seconds": facts.planning_seconds,
    }


def row_kv_as_json(row_kv: RowKV) -> dict[str, Any]:
    """The formula as text and by its terms."""
    return {
        "text": str(row_kv),
        "const_tokens": row_kv.const_tokens,
        "inputs": [{"name": name, "times": times} for name, times in row_kv.inputs],
        "gens": [{"name": name, "max_tokens": most} for name, most in row_kv.gens],
        "is_exact": row_kv.is_exact,
    }


def row_kv_line(row_kv: RowKV) -> str:
    """The formula for people."""
    path = "" if row_kv.is_exact else " (each loop, branch and fork counted once)"
    return f"{row_kv}{path}"


def _trie_node(node: TrieNode) -> dict[str, Any]:
    shown = {f.name: getattr(node, f.name) for f in fields(node) if f.name != "place"}
    return shown | {"tokens": round(node.tokens, 1)}


def _columns(steps: Sequence[StepFacts]) -> dict[str, list[int]]:
    return {f.name: [getattr(step, f.name) for step in steps] for f in fields(StepFacts)}


def binned(columns: dict[str, list[int]]) -> dict[str, Any]:
    """Steps by columns, so many in one that a page can draw them: counts are added, KV in use is
    the most. With `steps_per_bin` and `num_steps`."""
    num_steps = len(columns["kv_tokens"])
    per = max(1, -(-num_steps // _MOST_BINS))
    shown: dict[str, Any] = {"steps_per_bin": per, "num_steps": num_steps}
    for name, values in columns.items():
        join = max if name == "kv_tokens" else sum
        shown[name] = [join(values[k : k + per]) for k in range(0, num_steps, per)]
    return shown


def batch_blocks(facts: BatchFacts) -> list[tuple[str, list[str]]]:
    """(title, lines) of each part, for people."""
    return [
        ("batch", _batch(facts)),
        ("tokens", _tokens(facts)),
        ("KV memory", _kv(facts)),
        ("trie", _trie(facts.trie)),
        ("predicted seconds", _seconds(facts)),
    ]


def _batch(facts: BatchFacts) -> list[str]:
    failed = f", {facts.num_failed:,} of them fail" if facts.num_failed else ""
    merged = f", {facts.merged_requests:,} more have an equal one" if facts.merged_requests else ""
    lengths = (
        "each gen writes exactly its bound"
        if facts.lengths_are_known
        else "gens are counted at their bounds; they may end early"
    )
    return [
        f"{counted(facts.rows, 'row')}{failed}",
        f"{facts.requests:,} gens and selects run{merged}",
        f"{counted(len(facts.steps), 'step')}; {lengths}",
    ]


def _tokens(facts: BatchFacts) -> list[str]:
    tokens = facts.tokens
    above = tokens.prefilled - tokens.least
    lines = [
        f"{tokens.prompt:12,}  prompt tokens, if nothing is shared",
        f"{tokens.prefilled:12,}  prefilled{_share(tokens.prefilled, tokens.prompt)}",
        f"{tokens.least:12,}  least possible: each distinct prefix once"
        + (f" ({above:,} more are prefilled)" if above > 0 else ""),
        f"{tokens.recomputed:12,}  of the prefilled are computed again, for want of memory",
        f"{tokens.scored:12,}  scored by selects",
        f"{tokens.decoded:12,}  decoded{'' if facts.lengths_are_known else ', at most'}",
    ]
    if tokens.forced:
        lines.append(f"{tokens.forced:12,}  forced by constraints, not sampled")
    return lines


def _kv(facts: BatchFacts) -> list[str]:
    kv = facts.kv
    budget = "" if kv.budget_tokens is None else f", of {kv.budget_tokens:,} that there is room for"
    lines = [f"{kv.peak_tokens:12,}  tokens at most ({size(kv.peak_bytes)}){budget}"]
    if not facts.lengths_are_known:
        lines.append(f"{kv.rehearsed_tokens:12,}  at the peak, if each gen is as long as it may be")
    more = (
        f", {kv.naive_tokens / kv.rehearsed_tokens:.1f} times that" if kv.rehearsed_tokens else ""
    )
    naive = f"if each request has a copy of its own{more} ({size(kv.naive_bytes)})"
    return [*lines, f"{kv.naive_tokens:12,}  {naive}"]


def _trie(nodes: Sequence[TrieNode]) -> list[str]:
    """An outline: the tokens of one copy, how many copies, how many share it. Samples of one prompt
    are one line."""
    if not nodes:
        return []
    depth: list[int] = []
    for node in nodes:
        depth.append(0 if node.parent < 0 else depth[node.parent] + 1)
    lines: list[str] = []
    for k in _program_order(nodes):
        node = nodes[k]
        name = f" {node.name}" if node.name else ""
        text = node.text if len(node.text) <= _SHOWN_TEXT else node.text[:_SHOWN_TEXT] + "..."
        shown = f"  {json_text(text)}" if text else ""
        counts = f"{node.tokens:8,.0f} {node.copies:8,} {node.sharers:8,}"
        lines.append(f"{counts}  {'  ' * depth[k]}{node.kind}{name}{shown}")
    equal = [(line, len(list(run))) for line, run in groupby(lines)]
    outline = [f"{'tokens':>8} {'copies':>8} {'sharers':>8}"]
    outline += [f"{line}, {n:,} such" if n > 1 else line for line, n in equal[:_SHOWN_LINES]]
    if num_left := sum(n for _, n in equal[_SHOWN_LINES:]):
        outline.append(f"and {num_left:,} more (--json and --html have all)")
    return outline


def _program_order(nodes: Sequence[TrieNode]) -> list[int]:
    """Indices depth-first, children in their order."""
    children: dict[int, list[int]] = {}
    for k, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(k)
    order: list[int] = []
    waiting = list(reversed(children.get(-1, [])))
    while waiting:
        order.append(waiting.pop())
        waiting.extend(reversed(children.get(order[-1], [])))
    return order


def _seconds(facts: BatchFacts) -> list[str]:
    if facts.seconds is None:
        return ["the device is not calibrated"]
    shown = asdict(facts.seconds) | {"total": facts.seconds.total}
    bound = "" if facts.lengths_are_known else "; at most, since gens are counted at their bounds"
    lines = [f"{seconds:12,.2f}  {phase}" for phase, seconds in shown.items()]
    return [*lines, f"planning itself took {facts.planning_seconds:.2f} s{bound}"]


def size(num_bytes: float) -> str:
    """Bytes for people."""
    if num_bytes < 1024:
        return f"{num_bytes:,.0f} bytes"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min(len(units), int(math.log(num_bytes, 1024)))
    return f"{num_bytes / 1024**power:,.1f} {units[power - 1]}"


def _share(part: int, whole: int) -> str:
    return f" ({part / whole:.1%} of them)" if whole else ""
