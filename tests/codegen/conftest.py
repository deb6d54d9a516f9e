"""Programs to emit, and the obvious executor of plan code.

It takes one row and one instruction after another, on a toy model. Forks and runs go to their end
at once. It is strict where the real machine is forgiving: a register that is read must have been
written and not dropped since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sglc.codegen import instruction as p
from sglc.ir.host.error import HostError
from sglc.ir.host.evaluate import compile_expr
from sglc.ir.host.operators import items_of
from sglc.ir.host.text import to_text
from sglc.ir.interpret import ENV, Failure, InterpretResult
from sglc.ir.records import piece_text
from sglc.ir.toy import ToyContext, ToyModel

PROGRAMS = (
    Path(__file__).with_name("nested_programs.txt"),  # what nests what the other cases do not
    *sorted((Path(__file__).parents[1] / "compiler" / "lowering").glob("*.txt")),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `program_text` runs for each of these programs."""
    if "program_text" in metafunc.fixturenames:
        metafunc.parametrize("program_text", list(_programs()))


def _programs() -> Iterator[Any]:
    for file in PROGRAMS:
        for block in file.read_text(encoding="utf-8").split("=== ")[1:]:
            title, _, rest = block.partition("\n")
            yield pytest.param(rest.partition("--->\n")[0], id=f"{file.stem}: {title}")


class _Empty:
    """What a register holds before it is written and after it is dropped."""

    def __repr__(self) -> str:
        return "EMPTY"


EMPTY = _Empty()


class _RequireFailed(Exception):
    """No handler catches this."""


@dataclass
class _Executor:
    code: Sequence[p.Instruction]
    model: ToyModel
    externs: Mapping[str, Callable[..., Any]]
    transcript: list[tuple[tuple[int, ...], str]]
    extern_calls: list[tuple[str, tuple[Any, ...]]]

    def task(self, regs: list[Any], pc: int) -> tuple[Any, ...]:
        """Run from `pc` to the end of the task; what it hands over."""
        handlers: list[int] = []
        while True:
            instruction = self.code[pc]
            try:
                step = self.step(instruction, regs, handlers)
            except HostError:
                if not handlers:
                    raise
                pc = handlers.pop()
                continue
            if isinstance(step, tuple):
                assert not handlers, "a task ended inside a try"
                return step
            pc = pc + 1 if step is None else step

    def read(self, regs: list[Any], reg: int) -> Any:
        assert regs[reg] is not EMPTY, f"r{reg} is read and holds nothing"
        return regs[reg]

    def path(self, regs: list[Any], path: p.Path) -> tuple[int, ...]:
        return tuple(i if isinstance(i, int) else self.read(regs, i.reg) for i in path)

    def step(
        self, i: p.Instruction, regs: list[Any], handlers: list[int]
    ) -> int | tuple[Any, ...] | None:
        def get(reg: int) -> Any:
            return self.read(regs, reg)

        match i:
            case p.Start(dst):
                regs[dst] = ToyContext()
            case p.Append(dst, src, text):
                regs[dst] = get(src).add("text", to_text(get(text)))
            case p.Control(dst, src, token):
                regs[dst] = get(src).add("control", token)
            case p.Open(dst, src, role):
                regs[dst] = get(src).add("open", role)
            case p.Close(dst, src):
                context = get(src)
                roles = [piece.text for piece in context.pieces if piece.kind == "open"]
                regs[dst] = context.add("close", roles[-1])
            case p.Gen():
                if i.piece is not None:
                    assert get(i.src).since(get(i.piece.base)) is not None
                self.gen(i, regs)
            case p.Select():
                self.select(i, regs)
            case p.Capture(dst, before, after):
                added = get(after).since(get(before))
                regs[dst] = "".join(x.text for x in added if x.kind in ("text", "gen"))
            case p.Join(dst, context, base, branches):
                joined = get(context)
                for branch in get(branches):
                    for piece in branch.since(get(base)):
                        kind = "text" if piece.kind == "gen" else piece.kind
                        joined = joined.add(kind, piece.text)
                regs[dst] = joined
            case p.Eval(dst, expr, args):
                regs[dst] = compile_expr(expr)([get(arg) for arg in args], ENV)
            case p.Move(dsts, srcs):
                for dst, value in zip(dsts, [get(src) for src in srcs], strict=True):
                    regs[dst] = value
            case p.Extern():
                arguments = tuple(get(arg) for arg in i.args)
                self.extern_calls.append((i.name, arguments))
                try:
                    regs[i.dst] = self.externs[i.name](*arguments)
                except Exception as error:
                    raise HostError("extern", f"{i.name}: {error}") from error
            case p.Drop(dropped):
                for reg in dropped:
                    regs[reg] = EMPTY
            case p.Jump(to):
                return to
            case p.Branch(condition, otherwise):
                return None if get(condition) else otherwise
            case p.Next(item, items, index, done):
                if get(index) >= len(get(items)):
                    return done
                regs[item] = get(items)[get(index)]
            case p.Fork():
                self.fork(i, regs)
            case p.Run(dst, entry):
                (regs[dst],) = self.task(list(regs), entry)
            case p.EnterTry(handler):
                handlers.append(handler)
            case p.LeaveTry():
                handlers.pop()
            case p.Fail(message):
                raise _RequireFailed(to_text(get(message)))
            case p.End(values):
                return tuple(get(reg) for reg in values)
            case p.Return(context, value):
                return get(context), get(value)
        return None

    def gen(self, i: p.Gen, regs: list[Any]) -> None:
        context = self.read(regs, i.src)
        options = {name: self.read(regs, reg) for name, reg in i.options}
        path = self.path(regs, i.path)
        count = options.pop("n", None)
        samples = [
            self.model.sample(context, i.type, options, (*path, number))
            for number in range(1 if count is None else count)
        ]
        value = samples[0].value
        text = to_text(value) if i.piece is None else piece_text(value, i.type)
        self.transcript.append((path, text))
        regs[i.dst] = context.add("gen", text)
        regs[i.value] = samples[0].value if count is None else [s.value for s in samples]
        for name, reg in i.metas:
            regs[reg] = getattr(samples[0], name)

    def select(self, i: p.Select, regs: list[Any]) -> None:
        context, choices = self.read(regs, i.src), self.read(regs, i.choices)
        path = self.path(regs, i.path)
        heat = 0 if i.temperature is None else self.read(regs, i.temperature)
        if not choices:
            raise HostError("value_error", "a select from no choices", i.span)
        scores = [self.model.scores(context, choice, i.method) for choice in choices]
        index = self.model.pick(context, scores, path) if heat > 0 else scores.index(max(scores))
        self.transcript.append((path, choices[index]))
        regs[i.dst] = context.add("gen", choices[index])
        regs[i.value] = choices[index]
        for name, reg in i.metas:
            regs[reg] = {"scores": scores, "index": index}[name]

    def fork(self, i: p.Fork, regs: list[Any]) -> None:
        records, contexts = [], []
        for index, item in enumerate(items_of(self.read(regs, i.items))):
            branch = list(regs)
            if i.src is not None and i.arg_context is not None:
                branch[i.arg_context] = self.read(regs, i.src)
            branch[i.arg_item], branch[i.arg_index] = item, index
            values = self.task(branch, i.entry)
            if i.src is not None:
                contexts.append(values[0])
                values = values[1:]
            records.append(dict(zip(i.fields, values, strict=True)))
        regs[i.group] = records
        if i.contexts is not None:
            regs[i.contexts] = contexts


Execute = Callable[..., InterpretResult]


@pytest.fixture
def execute() -> Execute:
    """Run code on the values of its parameters, which come in registers 0, 1, ..."""

    def run(
        code: Sequence[p.Instruction],
        num_regs: int,
        values: Sequence[Any],
        model: ToyModel,
        externs: Mapping[str, Callable[..., Any]],
    ) -> InterpretResult:
        executor = _Executor(code, model, externs, [], [])
        regs = [*values, *[EMPTY] * (num_regs - len(values))]
        context, value, failure = None, None, None
        try:
            context, value = executor.task(regs, 0)
        except HostError as error:
            failure = Failure(error.code, error.message)
        except _RequireFailed as error:
            failure = Failure("require", str(error))
        return InterpretResult(
            value,
            None if context is None else context.text(),
            tuple(executor.transcript),
            tuple(executor.extern_calls),
            failure,
        )

    return run
