"""The meaning of `Gen`: from context and options to requests, from results to value and metas."""

from __future__ import annotations

from functools import partial

from sglc.codegen.plan import Gen
from sglc.ir.host.expr import Value
from sglc.ir.types import STR
from sglc.runtime.engine.request import GenRequest, GenResult, RequestError, Result, TokenLogprob
from sglc.runtime.machine.context import Context
from sglc.runtime.machine.options import GenOptions, gen_options
from sglc.runtime.machine.reasoning import split_reasoning
from sglc.runtime.machine.seeds import explicit_seed, own_seed
from sglc.runtime.machine.setting import Setting, path_of
from sglc.runtime.machine.stretch import Encoded
from sglc.runtime.machine.task import BLOCKED, Task
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.row import RowFailure, Usage


class Generate:
    """One Gen instruction; called with a task, it starts the gen and blocks the task until all of
    its samples are there."""

    def __init__(self, gen: Gen, next_pc: int, setting: Setting) -> None:
        if gen.type != STR:
            raise ValueError(f"gen `{gen.name}` is of type {gen.type}, which is not supported yet")
        self._gen = gen
        self._next_pc = next_pc
        self._setting = setting
        self._last: tuple[list[Value], GenOptions] | None = None

    def __call__(self, task: Task) -> int:
        context: Context = task.regs[self._gen.src].begun(self._setting.markup)
        execution = _Execution(self._gen, self._next_pc, self._setting, task, context)
        execution.begin(self._options(task))
        return BLOCKED

    def _options(self, task: Task) -> GenOptions:
        """Checked options; those of the last execution when the values are the same."""
        values = [task.regs[reg] for _, reg in self._gen.options]
        if self._last is None or self._last[0] != values:
            named = {
                name: value for (name, _), value in zip(self._gen.options, values, strict=True)
            }
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

    def begin(self, options: GenOptions) -> None:
        self._options = options
        self._path = path_of(self._gen.path, self._task.regs)
        self._setting.dispatch.encode(self._task, [self._context.pieces()], self._encoded)

    def _encoded(self, encoded: list[Encoded]) -> None:
        setting, sampling = self._setting, self._options.sampling
        settled = setting.settler.started(setting.settler.settle(self._context.settled, encoded[0]))
        setting.settler.check_len(settled.prefix, sampling.max_tokens, "max_tokens")
        self._settled = settled
        self._results: list[GenResult | None] = [None] * (self._options.num_samples or 1)
        self._num_missing = len(self._results)
        for sample in range(len(self._results)):
            seed = self._seed(sample)
            is_fixed = sampling.is_greedy or self._options.seed is not None
            key = ("gen", settled.key, sampling, None if sampling.is_greedy else seed)
            request = GenRequest(
                settled.prefix, sampling, seed, (*self._order, sample), self._gen.name
            )
            setting.dispatch.ask(
                self._task,
                request,
                partial(self._answered, sample),
                key if is_fixed else None,
                is_shared=self._gen.is_shared,
            )

    def _seed(self, sample: int) -> int:
        if self._options.seed is not None:
            return explicit_seed(self._options.seed, self._path, sample)
        return own_seed(self._setting.run_seed, self._task.row.bound.key, self._path, sample)

    def _answered(self, sample: int, result: Result) -> None:
        if isinstance(result, RequestError):
            raise RowFailure(result.code, result.message)
        assert isinstance(result, GenResult), "a gen is answered by a GenResult"
        self._results[sample] = result
        self._num_missing -= 1
        if not self._num_missing:
            self._finish([done for done in self._results if done is not None])

    def _finish(self, results: list[GenResult]) -> None:
        gen, regs = self._gen, self._task.regs
        used = Usage(
            prompt_tokens=self._settled.prefix.num_tokens * len(results),
            decoded_tokens=sum(result.num_sampled for result in results),
            gens=len(results),
        )
        self._task.row.used.append((self._order, used))
        samples = [self._sample(result) for result in results]
        first = results[0]
        settled = self._settled.then(first.prefix, first.token_ids)
        is_list = self._options.num_samples is not None
        columns: dict[str, list[Value]] = {
            name: [sample[name] for sample in samples] for name in samples[0]
        }
        texts = columns["value"]
        assert isinstance(texts[0], str)
        regs[gen.dst] = self._context.answered(settled, texts[0], first.rest)
        regs[gen.value] = texts if is_list else texts[0]
        for name, reg in gen.metas:
            regs[reg] = columns[name] if is_list else columns[name][0]
        self._setting.trace(self._task, self._order, gen.name, regs[gen.value], regs[gen.dst])
        self._setting.scheduler.resume(self._task, self._next_pc)

    def _sample(self, result: GenResult) -> dict[str, Value]:
        """The value and all metas of one result that the instruction reads."""
        tokenizer = self._setting.tokenizer
        sample: dict[str, Value] = {"value": result.text}
        if self._gen.splits_reasoning:
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


def token_text(tokenizer: Tokenizer, token_id: int) -> str:
    """A token's bytes as text; parts of a character become U+FFFD."""
    return tokenizer.token_bytes(token_id).decode("utf-8", "replace")


def _logprob(tokenizer: Tokenizer, found: TokenLogprob) -> Value:
    top: list[Value] = [
        {"token": token_text(tokenizer, token_id), "logprob": logprob}
        for token_id, logprob in found.top
    ]
    return {"token": token_text(tokenizer, found.id), "logprob": found.logprob, "top": top}
