"""`reasoning name:` around a constrained gen: the model thinks freely first, and its value follows.

    <think> ...free text... </think>{"a":1}

The marks are written by the program, so the thinking is closed wherever it ends: at the closing
mark, at the model's end of text, or where the tokens that are left are just enough for the value.
A model whose marks are no tokens, or max_tokens without room for a thought, goes to the value at
once.
Knows nothing about tasks and requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sglc.runtime.engine.request import Sampling
from sglc.runtime.machine.context import Settled
from sglc.runtime.machine.reasoning import ends_with
from sglc.runtime.machine.stretch import Piece
from sglc.runtime.model.spec import Tokenizer


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a gen thinks: the stretch before it ends with `opening`, which is empty where the prompt
    opens the thinking; `closing` comes after it."""

    opening: tuple[int, ...]
    closing: int
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Thought:
    """What stands before a value: `settled` includes the marks. `num_sampled` tokens went into it,
    of the `num_spent` that it takes."""

    settled: Settled
    text: str = ""
    num_sampled: int = 0
    num_spent: int = 0


def thinking_before(
    sampling: Sampling,
    fewest: int,
    tokenizer: Tokenizer,
    marks: tuple[str, str],
    before: Sequence[Piece],
) -> Thinking | None:
    """How the model thinks before a value of at least `fewest` tokens, after the stretch `before`;
    None where it does not."""
    opening, closing = map(tokenizer.control_id, marks)
    if opening is None or closing is None:
        return None
    opens = () if ends_with(before, marks[0], opening) else (opening,)
    room = sampling.max_tokens - fewest - len(opens) - 1
    if room < 1:
        return None
    free = replace(
        sampling,
        max_tokens=room,
        min_tokens=0,
        stop=(),
        stop_regex=(),
        stop_token_ids=(closing,),
        ignore_eos=False,
        logprobs=None,
    )
    return Thinking(opens, closing, free)
