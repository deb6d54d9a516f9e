"""Short forms of the instructions that tests of the machine write by hand."""

from __future__ import annotations

from sglc.codegen import instruction as p
from sglc.ir.host.expr import Const, JsonConst
from sglc.ir.span import Span
from sglc.ir.types import STR

SPAN = Span(0, 3, 1, 3, 9)


def const(dst, value):
    """`value`, or what a str that looks like JSON stands for."""
    is_json = isinstance(value, str) and value.startswith(("[", "{", '"'))
    expr = JsonConst(value) if is_json else Const(value)
    return p.Eval(dst, expr, (), None)


def gen(dst, value, src, *, name="x", path=(0,), options=(), metas=(), thinks=False):
    return p.Gen(dst, value, src, STR, tuple(options), tuple(metas), path, thinks, name, SPAN)


def select(dst, value, src, choices, *, method="sum_logprob", temperature=None, metas=()):
    return p.Select(dst, value, src, choices, method, temperature, metas, (7,), "s", SPAN)


def tried(dst, *code):
    """`code` in a try block, with `"default"` in `dst` where it fails."""
    return [
        p.EnterTry("handler"),
        *code,
        p.LeaveTry(),
        p.Jump("after"),
        "handler",
        const(dst, "default"),
        "after",
    ]


def fork_code(*, join: bool):
    """Branches over register 0 behind a shared text, then a gen; the row's value is the group."""
    code = [
        const(
            1, "Shared text that is long enough to be settled before the branches: abcabcabcabcabc"
        ),
        const(2, "ab"),
        p.Start(9),
        p.Append(9, 9, 1),
        p.Fork(3, 4, 9, 0, ("item", "said"), "branch", 9, 5, 6, SPAN),
        p.Jump("after"),
        "branch",
        p.Append(9, 9, 5),
        gen(9, 7, 9, path=(3, p.PathReg(6))),
        p.End((9, 5, 7)),
        "after",
    ]
    if join:
        code += [p.Join(9, 9, 9, 4), gen(9, 8, 9, path=(4,)), p.Return(9, 3)]
    else:
        code += [gen(9, 8, 9, path=(4,)), p.Return(9, 3)]
    return code


def text_of(request, tokenizer):
    """What stands before a request, control tokens by name."""
    names = {tokenizer.control_id(n): n for n in ("<|im_start|>", "<|im_end|>", "<x>", "<s>")}
    return "".join(names.get(i) or tokenizer.decode([i]) for i in request.prefix.token_ids())
