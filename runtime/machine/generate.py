"""The meaning of `Gen`: from context and options to requests, from results to value and metas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from sglc.codegen.instruction import Gen
from sglc.codegen.plan import PlanConstraint
from sglc.ir.host.expr import Value
from sglc.ir.types import STR
from sglc.runtime.engine.request import (
    GenRequest,
    GenResult,
    RequestError,
    Result,
    Sampling,
    TokenLogprob,
)
from sglc.runtime.machine.context import Context, Settled
from sglc.runtime.machine.options import GenOptions, gen_options
from sglc.runtime.machine.reasoning import split_reasoning
from sglc.runtime.machine.reuse import MergeKey
from sglc.runtime.machine.seeds import explicit_seed, own_seed
from sglc.runtime.machine.setting import Setting, path_of
from sglc.runtime.machine.stretch import Encoded
from sglc.runtime.machine.task import BLOCKED, Task
from sglc.runtime.machine.thinking import Thinking, Thought, thinking_before
from sglc.runtime.machine.value_text import value_of
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.row import RowFailure, Usage

CONSTRAINTS = ("regex", "json_schema", "ebnf", "choices")  # options that hold one
_THINKING = 0  # at the end of the path of a constrained gen's thinking


class Generate:
    """One Gen instruction; called with a task, it starts the gen and blocks the task until all of
    its samples are there."""

    def __init__(self, gen: Gen, next_pc: int, setting: Setting) -> None:
        is_constrained = gen.constraint is not None or any(
            name in CONSTRAINTS for name, _ in gen.options
        )
        if gen.type != STR and not is_constrained:
            raise ValueError(f"gen `{gen.name}` is of type {gen.type}, but nothing constrains it")
        self._gen = gen
        self._options = [(name, reg) for name, reg in gen.options if name not in CONSTRAINTS]
        self._deciding = [(name, reg) for name, reg in gen.options if name in CONSTRAINTS]
        self._next_pc = next_pc
        self._setting = setting
        self._last: tuple[list[Value], GenOptions] | None = None

    def __call__(self, task: Task) -> int:
        context: Context = task.regs[self._gen.src].begun(self._setting.markup)
        execution = _Execution(self._gen, self._next_pc, self._setting, task, context)
        execution.begin(self._checked_options(task), self._constraint(task))
        return BLOCKED

    def _constraint(self, task: Task) -> PlanConstraint | None:
        """The plan's, or the one that this row's values decide."""
        constraints = self._setting.constraints
        if self._gen.constraint is not None:
            return constraints.from_plan[self._gen.constraint]
        for name, reg in self._deciding:
            if task.regs[reg] is not None:
                return constraints.of_option(name, task.regs[reg])
        return None

    def _checked_options(self, task: Task) -> GenOptions:
        """Checked options; those of the last execution when the values are the same."""
        values = [task.regs[reg] for _, reg in self._options]
        if self._last is None or self._last[0] != values:
            named = {name: value for (name, _), value in zip(self._options, values, strict=True)}
            options = gen_options(
                named,
                self._setting.tokenizer,
                allows_thinking=self._gen.splits_reasoning,
            )
            self._last = (values, options)
        return self._last[1]


class _Execution:
    """One gen of one task."""

    def __init__(
        self, gen: Gen, next_pc: int, setting: Setting, task: Task, context: Context
    ) -> None:
        self._gen = gen
        self._next_pc = next_pc
        self._setting = setting
        self._task = task
        self._context = context
        self._order = task.begin_event()

    def begin(self, options: GenOptions, constraint: PlanConstraint | None) -> None:
        self._options = options
        self._constraint = constraint
        self._path = path_of(self._gen.path, self._task.regs)
        self._thinking = self._how_to_think()
        stretches = [self._context.pieces()]
        if self._thinking is not None:
            stretches[0] += self._thinking.opening
        if self._gen.piece is not None:
            self._base: Context = self._task.regs[self._gen.piece.base]
            if self._setting.settler.known_len(self._base) is None:
                stretches.append(self._base.begun(self._setting.markup).pieces())
        self._setting.dispatch.encode(self._task, stretches, self._encoded)

    def _encoded(self, encoded: list[Encoded]) -> None:
        setting, row = self._setting, self._task.row.bound.index
        settled = setting.settler.settle(self._context.settled, encoded[0], row)
        sampling = self._bounded(settled.prefix.num_tokens, encoded[1:])
        settled = setting.settler.started(settled)
        setting.settler.check_len(settled.prefix, sampling.max_tokens, "max_tokens")
        self._settled = settled
        self._sampling = sampling
        num_samples = self._options.num_samples or 1
        self._thoughts = [Thought(settled)] * num_samples
        self._results: list[GenResult | None] = [None] * num_samples
        self._num_missing = num_samples
        for sample in range(num_samples):
            if self._thinking is None:
                self._ask_value(sample)
            else:
                seed = self._seed(sample, (*self._path, _THINKING))
                then = partial(self._thought, sample)
                self._ask(sample, settled, self._thinking.sampling, seed, None, then)

    def _how_to_think(self) -> Thinking | None:
        if self._constraint is None or not self._gen.splits_reasoning:
            return None
        return thinking_before(
            self._options.sampling,
            self._constraint.compiled.fewest_tokens,
            self._setting.tokenizer,
            self._setting.thinking,
            self._context.pieces(),
        )

    def _thought(self, sample: int, result: Result) -> None:
        thinking, thought = self._thinking, _checked(result)
        assert thinking is not None, "the model thinks"
        settled = self._settled.then(thought.prefix, thought.token_ids, is_text=False)
        settled = self._setting.settler.extend(settled, [thinking.closing])
        spent = len(thinking.opening) + len(thought.token_ids) + 1
        text = thought.text.strip()
        self._thoughts[sample] = Thought(settled, text, thought.num_sampled, spent)
        self._ask_value(sample)

    def _ask_value(self, sample: int) -> None:
        before = self._thoughts[sample]
        sampling = _with_room(self._sampling, self._sampling.max_tokens - before.num_spent)
        seed, then = self._seed(sample, self._path), partial(self._answered, sample)
        self._ask(sample, before.settled, sampling, seed, self._constraint, then)

    def _ask(
        self,
        sample: int,
        settled: Settled,
        sampling: Sampling,
        seed: int,
        constraint: PlanConstraint | None,
        then: Callable[[Result], None],
    ) -> None:
        key: MergeKey | None = None
        if sampling.is_greedy or self._options.seed is not None:
            source = constraint.source if constraint else None
            key = ("gen", settled.key, sampling, source, None if sampling.is_greedy else seed)
        request = GenRequest(
            settled.prefix,
            sampling,
            seed,
            (*self._order, sample),
            self._gen.name,
            constraint.compiled if constraint else None,
        )
        self._setting.dispatch.ask(
            self._task,
            request,
            then,
            key,
            is_shared=self._gen.is_shared,
        )

    def _bounded(self, num_tokens: int, base: list[Encoded]) -> Sampling:
        """The sampling of a gen that `num_tokens` stand before; `base` is the stretch of a piece's
        base, unless its length is known. Raises `RowFailure` "budget_too_small" where max_tokens
        leave no room for any value."""
        sampling, settler = self._options.sampling, self._setting.settler
        if self._constraint is None:
            return sampling
        max_tokens = sampling.max_tokens
        fewest = self._constraint.compiled.fewest_tokens
        what = f"max_tokens is {max_tokens}"
        spent = 0
        if self._gen.piece is not None:
            known = settler.known_len(self._base)
            before = settler.measure(self._base, base[0]) if known is None else known
            spent, reserve = num_tokens - before, self._gen.piece.reserve
            max_tokens -= reserve
            what += f", of which {reserve} are kept for the rest of it"
        if max_tokens < fewest:
            message = f"{what}, but the shortest value takes {fewest} tokens"
            raise RowFailure("budget_too_small", message)
        # a text of the value may have taken more tokens than it has alone, with the end of the gen
        # before it: the value becomes whole nevertheless
        return _with_room(sampling, max(max_tokens - spent, fewest))

    def _seed(self, sample: int, path: Sequence[int]) -> int:
        if self._options.seed is not None:
            return explicit_seed(self._options.seed, path, sample)
        return own_seed(self._setting.run_seed, self._task.row.bound.key, path, sample)

    def _answered(self, sample: int, result: Result) -> None:
        self._results[sample] = _checked(result)
        self._num_missing -= 1
        if not self._num_missing:
            self._finish([done for done in self._results if done is not None])

    def _finish(self, results: list[GenResult]) -> None:
        gen, regs = self._gen, self._task.regs
        used = Usage(
            prompt_tokens=self._settled.prefix.num_tokens * len(results),
            decoded_tokens=sum(result.num_sampled for result in results)
            + sum(thought.num_sampled for thought in self._thoughts),
            gens=len(results),
        )
        self._task.row.used.append((self._order, used))
        samples = [self._sample(*pair) for pair in zip(results, self._thoughts, strict=True)]
        first = results[0]
        settled = self._thoughts[0].settled.then(first.prefix, first.token_ids, is_text=False)
        is_list = self._options.num_samples is not None
        columns: dict[str, list[Value]] = {
            name: [sample[name] for sample in samples] for name in samples[0]
        }
        values = columns["value"]
        said = first.text if self._constraint else values[0]  # without the reasoning
        assert isinstance(said, str)
        regs[gen.dst] = self._context.answered(settled, said, first.rest)
        regs[gen.value] = values if is_list else values[0]
        for name, reg in gen.metas:
            regs[reg] = columns[name] if is_list else columns[name][0]
        self._setting.trace(self._task, self._order, gen.name, regs[gen.value], regs[gen.dst])
        self._setting.scheduler.resume(self._task, self._next_pc)

    def _sample(self, result: GenResult, thought: Thought) -> dict[str, Value]:
        """The value and all metas of one result that the instruction reads; its tokens are those
        after the thought."""
        tokenizer = self._setting.tokenizer
        sample: dict[str, Value] = {"value": result.text}
        if self._constraint is not None:
            value = value_of(result.text, self._gen.type, self._constraint.source)
            sample = {"value": value, "reasoning": thought.text}
        elif self._gen.splits_reasoning:
            before = self._context.pieces()
            split = split_reasoning(result, tokenizer, self._setting.thinking, before)
            sample = {"value": split.answer, "reasoning": split.thinking}
        for name, _ in self._gen.metas:
            if name == "finish_reason":
                sample[name] = result.finish_reason
            elif name == "tokens":
                sample[name] = [token_text(tokenizer, token_id) for token_id in result.token_ids]
            elif name == "logprobs":
                sample[name] = [_logprob(tokenizer, logprob) for logprob in result.logprobs]
        return sample


def _with_room(sampling: Sampling, max_tokens: int) -> Sampling:
    return sampling if sampling.max_tokens == max_tokens else _budgeted(sampling, max_tokens)


@lru_cache(maxsize=4096)
def _budgeted(sampling: Sampling, max_tokens: int) -> Sampling:
    """The same few in every row."""
    return replace(sampling, max_tokens=max_tokens)


def _checked(result: Result) -> GenResult:
    if isinstance(result, RequestError):
        raise RowFailure(result.code, result.message)
    assert isinstance(result, GenResult), "a gen is answered by a GenResult"
    return result


def token_text(tokenizer: Tokenizer, token_id: int) -> str:
    """A token's bytes as text; parts of a character become U+FFFD."""
    return tokenizer.token_bytes(token_id).decode("utf-8", "replace")


def _logprob(tokenizer: Tokenizer, found: TokenLogprob) -> Value:
    top: list[Value] = [
        {"token": token_text(tokenizer, token_id), "logprob": logprob}
        for token_id, logprob in found.top
    ]
    return {"token": token_text(tokenizer, found.id), "logprob": found.logprob, "top": top}
