"""`sglc explain`: what a plan will do, for people and as JSON.

Law: both forms say the same and are made of the plan alone, so they hold for a plan from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sglc.codegen.listing import listing
from sglc.codegen.plan import Constant, LengthBounds, Param, Plan
from sglc.compiler.constraint_report import constraint_facts, constraint_line
from sglc.compiler.pass_notes import note_lines, notes_as_json
from sglc.ir.host.text import json_text

_SHOWN_TEXT = 60  # characters of a constant that are shown


def explain(plan: Plan, more: Iterable[tuple[str, list[str]]] = ()) -> str:
    """Signature, model, lengths, values with their stages, constants, what the passes did, schedule
    and IR. The (title, lines) of `more` come after the lengths."""
    blocks = [
        _head(plan),
        _block("model", _model(plan)),
        _block("context length", [_bounds(plan.bounds, plan.model.context_len)]),
        *(_block(title, lines) for title, lines in more),
        _block("values", [f"{stage:5}  {name}" for name, stage in plan.stages]),
        _block("constant text, tokenized", [_constant(c) for c in plan.constants]),
        _block("constraints", [constraint_line(k, c) for k, c in enumerate(plan.constraints)]),
        _block(
            "functions to give at run time", [_extern(plan, k) for k in range(len(plan.externs))]
        ),
        _block("what the passes did", note_lines(plan.notes, plan.sources)),
        _block(f"schedule, {plan.num_regs} registers", listing(plan.code)),
        _block("IR after " + (", ".join(plan.passes) or "no pass"), plan.ir.strip().splitlines()),
    ]
    return "\n\n".join(block for block in blocks if block)


def explain_json(plan: Plan) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "program": plan.program,
        "doc": plan.doc,
        "signature": signature(plan),
        "params": [
            {"name": p.name, "type": str(p.type)}
            | ({"default": p.default} if p.has_default else {})
            for p in plan.params
        ],
        "result": None if plan.result is None else str(plan.result),
        "model": {
            "reference": plan.model.reference,
            "architecture": plan.model.architecture,
            "config": plan.model.config_hash,
            "tokenizer": plan.model.tokenizer_hash,
            "context_len": plan.model.context_len,
            "roles": list(plan.markup.roles),
            "default_system": plan.markup.default_system,
            "pinned_date": plan.markup.pinned_date,
            "notes": list(plan.markup.notes),
        },
        "bounds": {"shortest": plan.bounds.shortest, "longest": plan.bounds.longest},
        "stages": dict(plan.stages),
        "constants": [
            {"text": c.text, "ids": list(c.ids), "stable_tokens": c.num_stable}
            for c in plan.constants
        ],
        "constraints": [constraint_facts(constraint) for constraint in plan.constraints],
        "externs": [_extern(plan, k) for k in range(len(plan.externs))],
        "registers": plan.num_regs,
        "schedule": [re.sub(r"^ *\d+  ", "", line) for line in listing(plan.code)],
        "ir": plan.ir,
        "passes": list(plan.passes),
        "pass_notes": notes_as_json(plan.notes, plan.sources),
        "reuses_results": plan.reuses_results,
        "compiler": plan.compiler_version,
    }


def signature(plan: Plan) -> str:
    """The program as one line: its name, parameters with types and defaults, and result."""
    result = "" if plan.result is None else f" -> {plan.result}"
    return f"{plan.program}({', '.join(map(_param, plan.params))}){result}"


def _param(param: Param) -> str:
    default = f" = {json_text(param.default)}" if param.has_default else ""
    return f"{param.name}: {param.type}{default}"


def _head(plan: Plan) -> str:
    lines = [f"program {signature(plan)}"]
    if plan.result_is_names:
        lines.append("yields its names")
    if plan.doc:
        lines += ["", *plan.doc.strip().splitlines()]
    return "\n".join(lines)


def _model(plan: Plan) -> list[str]:
    model = plan.model
    lines = [
        f"{model.reference} ({model.architecture})",
        f"config {model.config_hash[:12]}, tokenizer {model.tokenizer_hash[:12]}",
        f"roles {', '.join(plan.markup.roles) or 'none'}",
    ]
    if plan.markup.default_system is not None:
        lines.append(f"the template adds a system text: {json_text(plan.markup.default_system)}")
    if plan.markup.pinned_date is not None:
        lines.append(f"the template prints a date: it is pinned to {plan.markup.pinned_date}")
    return [*lines, *plan.markup.notes]


def _bounds(bounds: LengthBounds, context_len: int) -> str:
    longest = "no bound" if bounds.longest is None else f"at most {bounds.longest:,}"
    return f"at least {bounds.shortest:,} tokens, {longest}; the model takes {context_len:,}"


def _constant(constant: Constant) -> str:
    text = constant.text
    if len(text) > _SHOWN_TEXT:
        half = _SHOWN_TEXT // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return f"{len(constant.ids):5,} tokens  {json_text(text)}"


def _extern(plan: Plan, place: int) -> str:
    extern = plan.externs[place]
    params = ", ".join(f"{name}: {type}" for name, type in extern.params)
    kind = "pure extern" if extern.is_pure else "extern"
    return f"{kind} {extern.name}({params}) -> {extern.result}"


def _block(title: str, lines: list[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}".rstrip() for line in lines)]) if lines else ""
