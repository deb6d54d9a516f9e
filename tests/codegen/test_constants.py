"""Constants: which beginnings are found, and that what is said of their tokens is true."""

from __future__ import annotations

import pytest

from sglc import testing
from sglc.codegen.constants import constants
from sglc.codegen.plan import Constant, Markup
from sglc.compiler.check import check
from sglc.compiler.lower.module import lower
from sglc.passes import run_pipeline


class _PairTokenizer:
    """A token is two characters, or the one that is left over: no cut but an even one is stable."""

    def encode(self, text: str) -> list[int]:
        return [hash_of(text[i : i + 2]) for i in range(0, len(text), 2)]

    def stable_len(self, text: str) -> int:
        return len(text) // 2 * 2


def hash_of(text: str) -> int:
    return sum(ord(c) << (8 * i) for i, c in enumerate(text))


MARKUP = Markup(
    opening={
        ("", "user"): (1, 2, "user\n"),
        ("", "assistant"): (1, 2, "assistant\n"),
        ("user", "assistant"): ("\n", 2, "assistant\n"),
        ("assistant", "user"): ("\n", 2, "user\n"),
        ("user", "user"): ("\n", 2, "user\n"),
    },
    closing={"user": (3,), "assistant": (3,)},
    start=(1,),
)


def _found(program: str) -> list[str]:
    module = run_pipeline(lower(check(None, program)))
    found = constants(module.program, MARKUP, _PairTokenizer())
    assert [c.text for c in found] == sorted(c.text for c in found)
    return [c.text for c in found]


@pytest.mark.parametrize(
    ("program", "texts"),
    [
        pytest.param('program p():\n    "ab"\n    gen x\n', ["ab"], id="whole"),
        pytest.param('program p(n: str):\n    "ab{n}cd"\n    gen x\n', ["ab"], id="beginning"),
        pytest.param(
            'program p():\n    "ab"\n    gen x\n    "cd"\n    gen y\n', ["ab", "cd"], id="after-gen"
        ),
        pytest.param(
            'program p(n: str):\n    user "Hi {n}"\n    assistant:\n        gen x\n',
            ["\n", "assistant\n", "user\nHi "],
            id="roles",
        ),
        pytest.param(
            'program p(xs: list[str]):\n    "ab"\n    for x in xs:\n        "{x}cd"\n    gen y\n',
            ["ab"],
            id="loop",
        ),
        pytest.param(
            'program p(n: int):\n    "a"\n    if n > 1:\n        "b"\n    else:\n        "c"\n'
            '    "d"\n    gen x\n',
            ["ab", "ac"],
            id="arms",
        ),
        pytest.param(
            'program p(xs: list[str]):\n    "ab"\n    fork x in xs as g:\n        "c{x}"\n'
            "        gen y\n",
            ["ab", "abc"],
            id="fork",
        ),
    ],
)
def test_beginnings(program: str, texts: list[str]) -> None:
    assert _found(program) == texts


def test_tokens_are_those_of_the_text() -> None:
    tokenizer = _PairTokenizer()
    module = run_pipeline(lower(check(None, 'program p(n: str):\n    "abc{n}"\n    gen x\n')))
    (constant,) = constants(module.program, MARKUP, tokenizer)
    assert constant == Constant("abc", (hash_of("ab"), hash_of("c")), 2, 1)
    for rest in ("", "x", "xyz"):
        whole = tokenizer.encode("abc" + rest)
        cut = constant.stable_len
        assert whole == [
            *constant.ids[: constant.num_stable],
            *tokenizer.encode(("abc" + rest)[cut:]),
        ]


def test_every_constant_begins_a_run_of_a_real_prompt() -> None:
    """What is claimed to begin runs does, in the prompts that a run of the plan asks."""
    prompts: list[str] = []

    def answer(question: testing.Question) -> str:
        prompts.append(question.prompt)
        return "yes"

    import sglc

    text = (
        'const SHOTS = ["one", "two"]\n\nprogram p(q: str):\n    system "Be brief."\n'
        '    for s in SHOTS:\n        user "Shot {s}"\n        assistant "ok"\n'
        '    user "Ask {q}"\n    assistant:\n        gen a\n    user "More."\n'
        "    assistant:\n        gen b\n"
    )
    program = sglc.compile(text, model=testing.Model(answer))
    assert [r.error for r in program.run([{"q": "why"}])] == [None]
    runs = [
        run
        for prompt in prompts
        for piece in prompt.split("<|im_start|>")
        for run in piece.split("<|im_end|>")
    ]
    for constant in program.plan.constants:
        assert any(run.startswith(constant.text) for run in runs), constant.text
