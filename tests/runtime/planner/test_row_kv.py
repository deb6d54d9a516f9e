"""The formula of a row's KV against what is asked of a model whose tokens are bytes."""

from __future__ import annotations

from dataclasses import replace

import sglc
from sglc import testing
from sglc.runtime.planner.row_kv import row_kv

CHAT = """
program chat(question: str):
    system "Be brief."
    user "{question} Think of {question}."
    assistant:
        gen first(max_tokens=11)
    user "Are you sure?"
    assistant:
        gen second(max_tokens=7)
"""
FORKED = """
const VIEWS = [{"name": "wit", "ask": "Is it funny?"}, {"name": "care", "ask": "Is it right?"}]

program views(item: json):
    user "{item.title}"
    fork view in VIEWS as found:
        user "{view.name}: {view.ask}"
        assistant:
            gen words(max_tokens=5)
"""
CONTROLS = ("<|im_start|>", "<|im_end|>")


def test_it_is_the_length_of_the_last_prompt() -> None:
    prompts: list[str] = []

    def answer(question: testing.Question) -> str:
        prompts.append(question.prompt)
        return "12345678"

    program = sglc.compile(CHAT, model=testing.Model(answer))
    list(program.run([{"question": "1234"}]))
    prompt = prompts[-1]
    for name in CONTROLS:
        prompt = prompt.replace(name, "|")
    found = row_kv(program.plan, testing.Model({}).spec.tokenizer)
    assert found.is_exact
    assert (dict(found.inputs), found.gens) == ({"question": 2}, (("first", 11), ("second", 7)))
    # the answer's 8 bytes stand before the last gen, and its role is closed after it
    end_of_turn = len("|\n")
    assert found.const_tokens == len(prompt.encode()) - 2 * len("1234") - 8 + end_of_turn


def test_what_the_template_adds_at_the_start_counts_once() -> None:
    model = testing.Model({})
    program = sglc.compile(CHAT.replace('    system "Be brief."\n', ""), model=model)
    plan, tokenizer = program.plan, model.spec.tokenizer
    opening = plan.markup.opening
    first = ("system\nBe good.\n", *opening["", "user"])
    markup = replace(plan.markup, opening={**opening, ("", "user"): first})
    usual = row_kv(plan, tokenizer).const_tokens
    assert row_kv(replace(plan, markup=markup), tokenizer).const_tokens == usual + len(first[0])


def test_terms_are_named_by_their_fields() -> None:
    model = testing.Model({})
    found = row_kv(sglc.compile(FORKED, model=model).plan, model.spec.tokenizer)
    assert not found.is_exact
    assert dict(found.inputs) == {"item.title": 1, "name": 1, "ask": 1}
