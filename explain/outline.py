"""A dataflow as text: a line a node, groups indented, and what each node needs."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.explain.dataflow import CONTEXT, GROUPS, OUTSIDE, Dataflow, Node, last_needs
from sglc.ir.host.text import json_text

_HELP = "(<- whose context it continues, whose values it uses; KV until: who attends to it last)"
_SHOWN_TEXT = 48  # characters of a text or expression that are shown


def outline(flow: Dataflow) -> list[str]:
    """A line of help, then `number stage kind name: text, options, place <- what it needs`."""
    return [_HELP, *_lines(flow, last_needs(flow), OUTSIDE, "")]


def _lines(flow: Dataflow, needs: dict[int, int], group: int, indent: str) -> Iterator[str]:
    width = len(str(len(flow.nodes)))
    for node in flow.children.get(group, ()):
        stage = "" if node.kind in ("arm", "repeat", "join", "run", "try") else node.stage
        head = f"{node.id:{width}}  {stage:5}  {indent}{_what(node)}"
        yield f"{head}{_sources(flow, node)}{_freed(needs, node)}".rstrip()
        yield from _lines(flow, needs, node.id, indent + "  ")


def _what(node: Node) -> str:
    if node.kind in ("arm", "repeat"):
        return f"{node.title}:"
    shown = node.kind if node.title == node.kind else f"{node.kind} {node.title}"
    if node.kind in GROUPS and node.times not in (1, None):
        shown += f" x {node.times}"
    if node.detail:
        text = json_text(node.detail) if node.kind == "text" else node.detail
        shown += f": {_clipped(text)}"
    if node.options:
        shown += f" ({', '.join(_clipped(option) for option in node.options)})"
    return f"{shown} at {node.place}" if node.place else shown


def _sources(flow: Dataflow, node: Node) -> str:
    edges = flow.into.get(node.id, ())
    contexts = " ".join(str(edge.source) for edge in edges if edge.kind == CONTEXT)
    values = " ".join(str(edge.source) for edge in edges if edge.kind != CONTEXT)
    return "  <- " + ", ".join(filter(None, (contexts, values))) if edges else ""


def _freed(needs: dict[int, int], node: Node) -> str:
    last = needs.get(node.id)
    return "" if last is None else f"; KV until {last}"


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 3]}..."
