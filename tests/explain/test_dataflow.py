"""The graph of small programs: what is a node, what needs what, and until when KV is needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sglc.explain.dataflow import CONTEXT, OUTSIDE, VALUE, Dataflow, Edge, Node, last_needs

FlowOf = Callable[[str], Dataflow]

JUDGE = """
    program judge(essay: str):
        defaults temperature=0
        system "You judge."
        user "{essay}"
        fork dim in ["wit", "style"] as views:
            user "Judge its {dim}."
            assistant:
                gen review(max_tokens=16)
        user "One grade."
        assistant:
            select grade from ["A", "B"]
        let best = upper(grade)
        return {"grade": best, "reviews": [v.review for v in views]}
"""


def named(flow: Dataflow) -> dict[str, Node]:
    return {f"{node.kind} {node.title}": node for node in flow.nodes}


def sources(flow: Dataflow, node: Node, kind: str) -> set[str]:
    found = (flow.by_id[e.source] for e in flow.into.get(node.id, ()) if e.kind == kind)
    return {f"{each.kind} {each.title}" for each in found}


def test_nodes_in_program_order(flow_of: FlowOf) -> None:
    flow = flow_of(JUDGE)
    assert [(node.kind, node.title, node.stage) for node in flow.nodes] == [
        ("input", "essay", "input"),
        ("text", "system, user", "input"),
        ("fork", "dim", "const"),
        ("text", "user, assistant", "const"),
        ("gen", "review", "gen"),
        ("text", "user, assistant", "const"),
        ("select", "grade", "gen"),
        ("value", "best", "gen"),
        ("result", "result", "gen"),
    ]
    assert [node.id for node in flow.nodes] == list(range(len(flow.nodes)))
    assert all(edge.source < edge.target for edge in flow.edges)


def test_texts_are_written_out(flow_of: FlowOf) -> None:
    nodes = named(flow_of(JUDGE))
    assert nodes["text system, user"].detail == "[system] You judge.\n[user] {essay}"
    assert nodes["gen review"].options == ("max_tokens=16", "temperature=0")
    assert nodes["select grade"].detail == 'from ["A","B"]'
    assert nodes["value best"].detail == "upper(grade)"
    assert nodes["fork dim"].times == 2
    assert nodes["gen review"].place.endswith(":9:13")


def test_contexts_and_values_are_edges(flow_of: FlowOf) -> None:
    flow = flow_of(JUDGE)
    nodes = named(flow)
    review, grade = nodes["gen review"], nodes["select grade"]
    assert review.inside == nodes["fork dim"].id and grade.inside == OUTSIDE
    assert sources(flow, nodes["text system, user"], VALUE) == {"input essay"}
    assert sources(flow, flow.nodes[3], CONTEXT) == {"text system, user"}
    assert sources(flow, flow.nodes[5], CONTEXT) == {"text system, user"}
    assert sources(flow, grade, CONTEXT) == {"text user, assistant"}
    assert sources(flow, nodes["result result"], VALUE) == {"gen review", "value best"}


def test_kv_is_needed_until_the_last_that_attends_to_it(flow_of: FlowOf) -> None:
    flow = flow_of(JUDGE)
    nodes, needs = named(flow), last_needs(flow)
    assert needs[nodes["text system, user"].id] == nodes["select grade"].id
    # a branch whose context nobody takes up ends with its gen
    assert needs[flow.nodes[3].id] == needs[nodes["gen review"].id] == nodes["gen review"].id


def test_joined_branches_are_needed_by_what_follows(flow_of: FlowOf) -> None:
    flow = flow_of(
        """
        program p(a: str):
            "{a}"
            fork d in ["x", "y"] as g:
                "{d}"
                gen one(max_tokens=4)
            join g
            gen last(max_tokens=4)
            return last
        """
    )
    nodes, needs = named(flow), last_needs(flow)
    assert sources(flow, nodes["join join"], CONTEXT) == {"text text", "gen one"}
    assert needs[nodes["gen one"].id] == nodes["gen last"].id


def test_what_decides_and_what_repeats_is_a_group(flow_of: FlowOf) -> None:
    flow = flow_of(
        """
        extern look(a: str) -> str

        program p(a: str, items: list[str]):
            for item in items:
                "{item}"
            let found = try(look(a), "")
            if found != "":
                "{found}"
            else:
                gen guess(max_tokens=4)
            while a == "x" max 3:
                gen more(max_tokens=4)
            gen last(max_tokens=4)
            return last
        """
    )
    nodes = named(flow)
    loop, branch, again = nodes["for item"], nodes["if if"], nodes["while while"]
    assert loop.times is None and sources(flow, loop, VALUE) == {"input items"}
    assert branch.detail == 'found != ""' and sources(flow, branch, VALUE) == {"extern look"}
    assert [child.title for child in flow.children[branch.id]] == ["then", "else"]
    assert nodes["gen guess"].inside == flow.children[branch.id][1].id
    assert again.detail == 'a == "x", at most 3 times'
    assert nodes["extern look"].inside == flow.children[nodes["try try"].id][0].id
    ends = {"text text", "gen guess", "gen more"}
    assert sources(flow, nodes["gen last"], CONTEXT) <= ends
    assert "gen more" in sources(flow, nodes["gen last"], CONTEXT)


def test_what_runs_once_says_so(flow_of: FlowOf) -> None:
    flow = flow_of(
        """
        program p(a: str):
            defaults temperature=0
            "The rules:"
            gen rules(max_tokens=4)
            "{a}"
            gen b(max_tokens=4)
            return b
        """
    )
    assert "once for all rows" in named(flow)["gen rules"].options
    assert "once for all rows" not in named(flow)["gen b"].options


def test_a_text_comes_after_what_it_uses(flow_of: FlowOf) -> None:
    flow = flow_of(
        """
        extern look(a: str) -> str

        program p(a: str):
            user "First: {look(a)}."
            assistant:
                gen b(max_tokens=4)
            return b
        """
    )
    kinds = [node.kind for node in flow.nodes]
    assert kinds == ["input", "extern", "text", "gen", "result"]
    assert flow.nodes[2].detail == "[user] First: {look(a)}.\n[assistant] "
    assert sources(flow, flow.nodes[2], VALUE) == {"extern look"}


@pytest.mark.parametrize("kind", [CONTEXT, VALUE])
def test_only_contexts_hold_kv(kind: str) -> None:
    flow = Dataflow((Node(0, "gen", "a"), Node(1, "gen", "b")), (Edge(0, 1, kind),))
    assert last_needs(flow)[0] == (1 if kind == CONTEXT else 0)
