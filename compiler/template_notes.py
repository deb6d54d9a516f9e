"""What a model's chat template adds to a program's conversations, as sentences for its author."""

from __future__ import annotations

from sglc.codegen.plan import Markup
from sglc.ir.host.text import json_text
from sglc.ir.module import Function
from sglc.passes.first_roles import first_roles


def template_notes(program: Function, markup: Markup) -> tuple[str, ...]:
    """Of a program without calls; nothing for one that uses no roles."""
    first = first_roles(program)
    notes: list[str] = []
    if markup.default_system is not None and first - {"system"}:
        text = json_text(markup.default_system)
        notes.append(
            f"where a conversation begins without `system`, the model's template adds one: {text}"
        )
    if markup.pinned_date is not None and first:
        notes.append(f"the model's template writes a date: it is always {markup.pinned_date}")
    return tuple(notes)
