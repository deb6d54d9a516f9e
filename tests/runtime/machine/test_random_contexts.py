"""Random straight programs over contexts: every request's tokens against a reference that knows
only stretches (rules 1 to 4), written without the runtime's own modules."""

from __future__ import annotations

import random

import pytest

from sglc.codegen import instruction as p
from sglc.codegen.plan import Constant
from sglc.ir.host.expr import Const, JsonConst
from sglc.ir.types import STR

TEXTS = [
    "a",
    "ab",
    "bc",
    "c",
    "e:",
    " ",
    "x e",
    "\n",
    "\nG",
    "user\n",
    "éx",
    "é",
    "aaa" * 30,
    "<x>",
]
CHOICES = [[" A", " B"], ["a", "ab", "abc"], ["A", " A"], ["bc", "c"], ["x" * 5]]
ANSWERS = [("", ""), ("ab", ""), ("a", "b"), ("", "e"), ("e", ":"), ("éx", " ")]


class Reference:
    """A context as (settled ids, pieces of the open stretch)."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.control = tokenizer.control_id("<x>")

    def encode(self, pieces):
        ids, run = [], ""
        for piece in [*pieces, None]:
            if isinstance(piece, str):
                run += piece
                continue
            ids += self.tokenizer.encode(run)
            run = ""
            if piece is not None:
                ids.append(piece)
        return ids

    def started(self, ids):
        return ids or [min(self.tokenizer.eos_ids)]

    def asked_by_gen(self, context):
        settled, pieces = context
        return self.started(settled + self.encode(pieces))

    def asked_by_select(self, context, choices):
        """(tokens before, tokens of each choice)."""
        settled, pieces = context
        alone = self.encode(pieces)
        with_choices = [self.encode([*pieces, choice]) for choice in choices]
        same = 0
        while same < len(alone) and all(
            ids[: same + 1] == alone[: same + 1] for ids in with_choices
        ):
            same += 1
        before = self.started(settled + alone[:same])
        return before, tuple(tuple(ids[same:]) for ids in with_choices)


@pytest.mark.parametrize("seed", range(60))
def test_requests_are_what_the_rules_say(seed, plan_of, run_plan, tokenizer):
    rng = random.Random(seed)
    code, steps, num_contexts = [p.Start(0)], [], 1
    for n in range(30):  # context n+1 grows from a random earlier one
        src = rng.choice([num_contexts - 1, num_contexts - 1, rng.randrange(num_contexts)])
        dst, kind = num_contexts, rng.choice(["append"] * 5 + ["control", "gen", "gen", "select"])
        if kind == "append":
            text = rng.choice(TEXTS)
            code += [p.Eval(50, Const(text), (), None), p.Append(dst, src, 50)]
            steps.append((kind, src, text))
        elif kind == "control":
            code.append(p.Control(dst, src, "<x>"))
            steps.append((kind, src, None))
        elif kind == "gen":
            name = f"g{n}"
            code.append(p.Gen(dst, 51, src, STR, (), (), (n,), False, name, None))
            steps.append((kind, src, (name, rng.choice(ANSWERS))))
        else:
            choices, name = rng.choice(CHOICES), f"s{n}"
            code += [
                p.Eval(50, JsonConst(str(choices).replace("'", '"')), (), None),
                p.Select(dst, 51, src, 50, "sum_logprob", None, (), (n,), name, None),
            ]
            steps.append((kind, src, (name, choices)))
        num_contexts += 1
    code += [p.Gen(60, 51, num_contexts - 1, STR, (), (), (99,), False, "end", None)]
    steps.append(("gen", num_contexts - 1, ("end", ("", ""))))
    code += [p.Return(60, 51)]
    said = {step[2][0]: step[2][1] for step in steps if step[0] == "gen"}
    constants = [
        Constant(text, tuple(tokenizer.encode(text)), cut, len(tokenizer.encode(text[:cut])))
        for text in ["aaa" * 30 + "x e", "aaa" * 10, "aaa" * 60]
        for cut in [tokenizer.stable_len(text)]
    ]
    # equal selects are asked each for itself, to be looked at
    plan = plan_of(code, num_regs=64, constants=tuple(constants), reuses_results=False)
    ran = run_plan(plan, say=lambda request: said[request.name], keep_trace=True)
    asked = {request.name: request for request in ran.engine.submitted}
    chosen = dict(ran.outcomes[0].trace.names)

    reference, contexts = Reference(tokenizer), [([], [])]
    for kind, src, what in steps:
        settled, pieces = contexts[src]
        if kind == "append":
            contexts.append((settled, [*pieces, what]))
        elif kind == "control":
            contexts.append((settled, [*pieces, reference.control]))
        elif kind == "gen":
            name, (kept, rest) = what
            before = reference.asked_by_gen(contexts[src])
            assert asked[name].prefix.token_ids() == before
            contexts.append((before + tokenizer.encode(kept), [rest]))
        else:
            name, choices = what
            before, tokens = reference.asked_by_select(contexts[src], choices)
            assert asked[name].prefix.token_ids() == before
            assert asked[name].choices == tokens
            contexts.append((before + list(tokens[choices.index(chosen[name])]), []))
