"""A plan's constraints for `sglc explain`: what they allow, and what they became."""

from __future__ import annotations

from typing import Any

from sglc.codegen.automata.constraint import TokenTable
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.plan import PlanConstraint
from sglc.ir.host.text import json_text

_SHOWN_TEXT = 60  # characters of a constraint's text that are shown


def constraint_line(index: int, constraint: PlanConstraint) -> str:
    """One line for people; `index` is what gens in the schedule name it by."""
    facts = constraint_facts(constraint)
    if facts["by"] == "table":
        made = f"table of {facts['states']:,} states by {facts['classes']:,} classes"
    else:
        made = f"grammar of xgrammar {facts['version']}"
    forced = f", {facts['forced_tokens']:,} forced" if facts.get("forced_tokens") else ""
    least = f"{facts['fewest_tokens']:,} tokens or more{forced}"
    return f"{index:3}  {_shown(constraint.source)}: {made}, {facts['bytes']:,} bytes; {least}"


def constraint_facts(constraint: PlanConstraint) -> dict[str, Any]:
    """The same as JSON. `bytes` are those of the table or of the serialized grammar; forced tokens
    are counted over all states."""
    source, made = constraint.source, constraint.compiled
    facts: dict[str, Any] = {
        "kind": source.kind,
        "of": source.text if source.type is None else str(source.type),
        "in_record": source.in_record,
        "lead": source.lead,
        "follow": source.follow,
        "fewest_tokens": made.fewest_tokens,
    }
    if isinstance(made, TokenTable):
        arrays = (made.token_class, made.next, made.is_final, made.distance, made.reach)
        return facts | {
            "by": "table",
            "states": made.num_states,
            "classes": made.next.shape[1],
            "bytes": sum(array.nbytes for array in arrays),
            "forced_tokens": sum(map(len, made.forced)),
        }
    num_bytes = len(made.serialized.encode())
    return facts | {"by": "xgrammar", "version": made.version, "bytes": num_bytes}


def _shown(source: ConstraintSource) -> str:
    text = source.text if source.type is None else str(source.type)
    if len(text) > _SHOWN_TEXT:
        text = f"{text[: _SHOWN_TEXT // 2]} ... {text[-_SHOWN_TEXT // 2 :]}"
    words = [text if source.kind == "type" else f"{source.kind} {text}"]
    if source.lead:
        words.append(f"led by {json_text(source.lead)}")
    if source.follow:
        words.append(f"before {json_text(source.follow)}")
    return " ".join(words)
