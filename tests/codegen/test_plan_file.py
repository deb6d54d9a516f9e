"""The plan's file: round trip, same bytes, and every kind of bad file refused with a sentence."""

from __future__ import annotations

import json
import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load as load_safetensors

from sglc.codegen import instruction as p
from sglc.codegen.plan import Constant, ExternDecl, LengthBounds, Markup, ModelIdentity, Param, Plan
from sglc.codegen.plan_file import PlanError, read_plan, write_plan
from sglc.ir.host import expr as e
from sglc.ir.span import Source, Span
from sglc.ir.types import FLOAT, INT, STR, IntType, ListType, LiteralType, OptionalType, RecordType


@pytest.fixture
def plan() -> Plan:
    span = Span(0, 1, 2, 3, 4)
    verdict = RecordType(
        "Verdict", (("score", IntType(1, 10)), ("why", OptionalType(ListType(STR, None, 3))))
    )
    code: tuple[p.Instruction, ...] = (
        p.Start(0),
        p.Open(1, 0, "user"),
        p.Eval(
            2,
            e.Format(((e.Const("Röd \ud800 "), None), (e.Operand(0), ".2f")), span),
            (3,),
            span,
        ),
        p.Append(1, 1, 2),
        p.Close(1, 1),
        p.Gen(
            1,
            4,
            1,
            verdict,
            (("temperature", 5),),
            (("tokens", 6),),
            (3, p.PathReg(7)),
            False,
            "v",
            span,
        ),
        p.Select(1, 4, 1, 2, "sum_logprob", None, (), (4,), "", None),
        p.Move((1, 2), (2, 1)),
        p.Branch(4, 9),
        p.Fork(8, 9, 1, 3, ("item", "x"), 10, 0, 1, 2, span),
        p.End((0, 1)),
        p.Return(1, 4),
    )
    markup = Markup(
        opening={("", "user"): (1, "user\n"), ("user", "user"): ("\n", 1, "user\n")},
        closing={"user": (2,)},
        start=(1,),
    )
    return Plan(
        program="judge",
        doc=None,
        params=(Param("dims", ListType(STR), 3, True, ["a", {"b": [1, 2.0, None]}]),),
        result=LiteralType(("a", 3, True, 0.5)),
        result_is_names=False,
        externs=(ExternDecl("f", (("x", FLOAT),), INT, True, 2.5, 1),),
        code=code,
        num_regs=10,
        model=ModelIdentity("m", "LlamaForCausalLM", "aa", "bb", 2048),
        markup=markup,
        constants=(Constant("hello", (1, 2, 3), 4, 2), Constant("", (), 0, 0)),
        bounds=LengthBounds(10, None),
        sources=(Source("judge.sgl", "program judge()"),),
        stages=(("x", "gen"),),
        ir="program judge",
        compiler_version="0.1.0",
        passes=("inline",),
    )


def test_round_trip(plan: Plan) -> None:
    data = write_plan(plan)
    assert read_plan(data) == plan
    assert write_plan(read_plan(data)) == data
    # spans do not count in equality, yet host errors need them
    first = next(i for i in read_plan(data).code if isinstance(i, p.Eval))
    assert isinstance(first.expr, e.Format)
    assert first.expr.span == Span(0, 1, 2, 3, 4)


def test_reads_a_path(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "plan.bin"
    path.write_bytes(write_plan(plan))
    assert read_plan(path) == plan


def test_is_a_safetensors_file(plan: Plan) -> None:
    tensors = load_safetensors(write_plan(plan))
    assert tensors["constants.ids"].tolist() == [1, 2, 3]
    assert tensors["constants.offsets"].tolist() == [0, 3, 3]
    assert json.loads(tensors["document"].tobytes())[0][0] == "judge"


def test_every_truncation_is_refused(plan: Plan) -> None:
    data = write_plan(plan)
    for size in range(len(data)):
        with pytest.raises(PlanError):
            read_plan(data[:size])


def test_every_changed_byte_is_refused(plan: Plan) -> None:
    data = write_plan(plan)
    rng = random.Random(0)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        with pytest.raises(PlanError):
            read_plan(bytes(changed))


def _with_version(data: bytes, version: int) -> bytes:
    return data.replace(b'"version":"2"', b'"version":"%d"' % version, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            lambda d: b"PK\x03\x04" + b"x" * 100,
            "`p.bin` is not a plan of sglc: `sglc compile program.sgl -o plan.bin` makes one "
            "(a program's name ends in .sgl)",
            id="foreign",
        ),
        pytest.param(
            lambda d: b"",
            "`p.bin` is empty, so it is no plan: compile the program again",
            id="empty",
        ),
        pytest.param(
            lambda d: struct.pack("<Q", 2) + b"{}",
            "`p.bin` is not a plan of sglc: `sglc compile program.sgl -o plan.bin` makes one "
            "(a program's name ends in .sgl)",
            id="other-safetensors",
        ),
        pytest.param(
            lambda d: d[:100],
            "`p.bin` is cut off: 100 bytes are there; copy it anew or compile the program again",
            id="cut-in-header",
        ),
        pytest.param(
            lambda d: d[:-1] + bytes([d[-1] ^ 1]),
            "`p.bin` is damaged: copy it anew or compile the program again",
            id="damaged",
        ),
        pytest.param(
            lambda d: d + b"\n",
            "`p.bin` is damaged: copy it anew or compile the program again",
            id="longer",
        ),
        pytest.param(
            lambda d: _with_version(d, 7),
            "`p.bin` was written by a newer sglc (plan format 7, this one reads 2): "
            "update sglc, or compile the program again with this one",
            id="newer",
        ),
        pytest.param(
            lambda d: _with_version(d, 0),
            "`p.bin` was written by an older sglc (plan format 0, this one reads 2): "
            "compile the program again",
            id="older",
        ),
    ],
)
def test_refusals(plan: Plan, tmp_path: Path, change, sentence: str) -> None:
    path = tmp_path / "p.bin"
    path.write_bytes(change(write_plan(plan)))
    with pytest.raises(PlanError) as error:
        read_plan(path)
    assert str(error.value) == sentence


def test_cut_off_names_both_sizes(plan: Plan) -> None:
    data = write_plan(plan)
    with pytest.raises(PlanError) as error:
        read_plan(data[:-10])
    assert f"{len(data) - 10:,} of {len(data):,} bytes" in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"`no\.bin` cannot be read: no such file"):
        read_plan(tmp_path / "no.bin")


def test_wrong_document_under_a_right_checksum(plan: Plan) -> None:
    odd = replace(plan, code=(replace(plan.code[0], dst=None),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected int, found None"):
        write_plan(odd)
