"""The meaning of `Select`: from a context and choices to a score request, from it to the winner."""

from __future__ import annotations

from sglc.codegen.instruction import Select
from sglc.ir.host.error import kind
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.runtime.engine.request import RequestError, Result, ScoreRequest, ScoreResult
from sglc.runtime.machine import select
from sglc.runtime.machine.context import Context
from sglc.runtime.machine.options import temperature_of
from sglc.runtime.machine.seeds import own_seed
from sglc.runtime.machine.setting import Setting, path_of
from sglc.runtime.machine.stretch import Encoded, Piece
from sglc.runtime.machine.task import BLOCKED, Task
from sglc.runtime.row import RowFailure, Usage


class Choose:
    """One Select instruction; called with a task, it starts the scoring and blocks the task."""

    def __init__(self, instruction: Select, next_pc: int, setting: Setting) -> None:
        self._instruction = instruction
        self._next_pc = next_pc
        self._setting = setting

    def __call__(self, task: Task) -> int:
        regs, instruction = task.regs, self._instruction
        choices = checked_choices(regs[instruction.choices])
        temperature = 0.0
        if instruction.temperature is not None:
            temperature = temperature_of(regs[instruction.temperature])
        execution = _Execution(
            instruction, self._next_pc, self._setting, task, choices, temperature
        )
        execution.begin()
        return BLOCKED


def checked_choices(value: Value) -> list[str]:
    """The choices; raises `RowFailure` "bad_choices" for none, too many, one that is no text or
    empty, and one given twice."""
    if not isinstance(value, list):
        raise RowFailure("bad_choices", f"the choices are {kind(value)}, not a list")
    if not value:
        raise RowFailure("bad_choices", "there are no choices")
    if len(value) > select.MAX_CHOICES:
        raise RowFailure(
            "bad_choices", f"there are {len(value)} choices; the limit is {select.MAX_CHOICES}"
        )
    seen: set[str] = set()
    for choice in value:
        if not isinstance(choice, str):
            raise RowFailure("bad_choices", f"a choice is {kind(choice)}, not a str")
        if not choice:
            raise RowFailure("bad_choices", "a choice is empty")
        if choice in seen:
            raise RowFailure("bad_choices", f"the choice {json_text(choice)} is given twice")
        seen.add(choice)
    return value  # type: ignore[return-value]


class _Execution:
    """One select of one task."""

    def __init__(
        self,
        instruction: Select,
        next_pc: int,
        setting: Setting,
        task: Task,
        choices: list[str],
        temperature: float,
    ) -> None:
        self._instruction = instruction
        self._next_pc = next_pc
        self._setting = setting
        self._task = task
        self._choices = choices
        self._temperature = temperature
        self._order = task.begin_event()
        self._path = path_of(instruction.path, task.regs)

    def begin(self) -> None:
        """Encode what surely stands before the choices once, and the rest with each choice."""
        setting = self._setting
        self._context: Context = self._task.regs[self._instruction.src].begun(setting.markup)
        fixed, tail = setting.encoder.split_stable(self._context.pieces())
        stretches: list[list[Piece]] = [fixed, [tail]]
        stretches += ([tail + choice] for choice in self._choices)
        setting.dispatch.encode(self._task, stretches, self._encoded)

    def _encoded(self, encoded: list[Encoded]) -> None:
        setting = self._setting
        settler, method = setting.settler, self._instruction.method
        alone, *continued = [stretch.all_ids() for stretch in encoded[1:]]
        start = select.common_len([alone, *continued])
        row = self._task.row.bound.index
        fixed = settler.settle(self._context.settled, encoded[0], row)
        settled = settler.extend(fixed, alone[:start])
        self._settled = settler.started(settled)
        self._tokens = tuple(tuple(ids[start:]) for ids in continued)
        for choice, tokens in zip(self._choices, self._tokens, strict=True):
            if not tokens:
                raise RowFailure(
                    "bad_choices", f"the choice {json_text(choice)} adds no token to the context"
                )
        longest = max(map(len, self._tokens))
        settler.check_len(self._settled.prefix, longest, "the longest choice")
        unconditional = select.needs_unconditional(method)
        request = ScoreRequest(
            self._settled.prefix, self._tokens, unconditional, self._order, self._instruction.name
        )
        key = ("score", self._settled.key, self._tokens, unconditional)
        is_shared = self._instruction.is_shared
        setting.dispatch.ask(self._task, request, self._answered, key, is_shared=is_shared)

    def _answered(self, result: Result) -> None:
        if isinstance(result, RequestError):
            raise RowFailure(result.code, result.message)
        assert isinstance(result, ScoreResult), "a select is answered by a ScoreResult"
        task, instruction = self._task, self._instruction
        scores = select.scores(instruction.method, result.logprobs, result.unconditional)
        if self._temperature > 0:
            seed = own_seed(self._setting.run_seed, task.row.bound.key, self._path)
            index = select.draw(scores, self._temperature, seed)
        else:
            index = select.winner(instruction.method, result.logprobs, scores)
        scored = {ids[:n] for ids in self._tokens for n in range(1, len(ids) + 1)}
        used = Usage(prompt_tokens=self._settled.prefix.num_tokens, scored_tokens=len(scored))
        task.row.used.append((self._order, used))
        choice = self._choices[index]
        settled = self._settled.then(result.prefixes[index], self._tokens[index])
        task.regs[instruction.dst] = self._context.answered(settled, choice)
        task.regs[instruction.value] = choice
        metas: dict[str, Value] = {"scores": list(scores), "index": index}
        for name, reg in instruction.metas:
            task.regs[reg] = metas[name]
        context = task.regs[instruction.dst]
        self._setting.trace(task, self._order, instruction.name, choice, context)
        self._setting.scheduler.resume(task, self._next_pc)
