"""The options of gen, select and defaults: which there are, their types and their ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import relations
from sglc.compiler.check.patterns import check_regex
from sglc.compiler.diagnostics import nearest
from sglc.ir.host.expr import Value
from sglc.ir.types import BOOL, FLOAT, INT, JSON, STR, ListType, Type

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions


@dataclass(frozen=True, slots=True)
class Option:
    """`types` are the alternatives; `low` and `high` bound a number, `above` excludes its end.
    Only what `is_sampling` can stand in `defaults`."""

    types: tuple[Type, ...]
    low: float | None = None
    high: float | None = None
    above: float | None = None
    is_sampling: bool = True

    def problem(self, value: Value) -> str | None:
        """Why a constant of the right type is out of range, or None."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if self.above is not None and value <= self.above:
            return f"must be above {self.above:g}"
        if self.low is not None and self.high is not None:
            return (
                None if self.low <= value <= self.high else f"must be {self.low:g} to {self.high:g}"
            )
        if self.low is not None and value < self.low:
            return f"must be {self.low:g} or more"
        if self.high is not None and value > self.high:
            return f"must be {self.high:g} or less"
        return None


_TEXTS = (STR, ListType(STR))

CONSTRAINTS = ("regex", "json_schema", "ebnf", "choices")
STOPS = ("stop", "stop_token_ids", "stop_regex")
GEN_OPTIONS: dict[str, Option] = {
    "max_tokens": Option((INT,), low=1),
    "min_tokens": Option((INT,), low=0),
    "stop": Option(_TEXTS),
    "stop_token_ids": Option((ListType(INT),)),
    "stop_regex": Option(_TEXTS),
    "temperature": Option((FLOAT,), low=0),
    "top_p": Option((FLOAT,), above=0, high=1),
    "top_k": Option((INT,), low=-1),
    "min_p": Option((FLOAT,), low=0, high=1),
    "frequency_penalty": Option((FLOAT,), low=-2, high=2),
    "presence_penalty": Option((FLOAT,), low=-2, high=2),
    "repetition_penalty": Option((FLOAT,), above=0),
    "logit_bias": Option((JSON,)),
    "ignore_eos": Option((BOOL,)),
    "seed": Option((INT,)),
    "logprobs": Option((INT,), low=0, high=100),
    "n": Option((INT,), low=1, high=1024, is_sampling=False),
    "regex": Option((STR,), is_sampling=False),
    "json_schema": Option((STR, JSON), is_sampling=False),
    "ebnf": Option((STR,), is_sampling=False),
    "choices": Option((ListType(STR),), is_sampling=False),
}
SELECT_OPTIONS: dict[str, Option] = {
    "method": Option((STR,)),
    "temperature": Option((FLOAT,), low=0),
}
EXTERN_OPTIONS: dict[str, Option] = {
    "timeout": Option((FLOAT,), above=0),
    "retries": Option((INT,), low=0),
}
METHODS = (
    "token_length_normalized",
    "greedy_token_selection",
    "unconditional_likelihood_normalized",
    "sum_logprob",
)


def check_options(
    expressions: Expressions,
    options: Iterable[syntax.Keyword],
    allowed: dict[str, Option],
    owner: str,
) -> dict[str, syntax.Keyword]:
    """The options that are known and of the right type, by name; the others are reported. `owner`
    is the statement's word."""
    good: dict[str, syntax.Keyword] = {}
    report = expressions.report
    for keyword in options:
        name = keyword.name.text
        expressions.infer(keyword.value)
        if name not in allowed:
            _report_unknown(expressions, keyword, allowed, owner)
        elif name in good:
            first = good[name]
            report.error(
                "E0602",
                f"the option `{name}` is given twice",
                keyword,
                "again",
                secondary=((first, "first here"),),
            )
        elif owner == "defaults" and not allowed[name].is_sampling:
            report.error(
                "E0611",
                f"`{name}` is an option of one gen and cannot stand in `defaults`",
                keyword,
                "not a sampling option",
                help=f"give it where it is used: `gen x({name}=...)`",
            )
        elif _check_value(expressions, keyword, allowed[name]):
            good[name] = keyword
    return good


def _report_unknown(
    expressions: Expressions, keyword: syntax.Keyword, allowed: dict[str, Option], owner: str
) -> None:
    name = keyword.name.text
    near = nearest(name, allowed)
    help = f"did you mean `{near}`?" if near else None
    if help is None:
        listed = ", ".join(f"`{n}`" for n in allowed)
        help = f"the options are {listed}"
    expressions.report.error(
        "E0601", f"`{owner}` has no option `{name}`", keyword.name, "unknown", help=help
    )


def _check_value(expressions: Expressions, keyword: syntax.Keyword, option: Option) -> bool:
    name, report = keyword.name.text, expressions.report
    found = expressions.tables.type_of(keyword.value)
    if not any(relations.assignable(found, wanted) for wanted in option.types):
        listed = " or ".join(f"`{wanted}`" for wanted in option.types)
        message = f"the option `{name}` is {listed}"
        help = expressions.null_help(keyword.value)
        report.error("E0603", message, keyword.value, f"found `{found}`", help=help)
        return False
    known = expressions.consts.known(keyword.value)
    if known is None:
        if name == "n":
            message = "the number of samples `n` is constant"
            report.error("E0610", message, keyword.value, "known only when it runs")
            return False
        return True
    problem = option.problem(known.value)
    if problem is not None:
        report.error(
            "E0603", f"the option `{name}` {problem}", keyword.value, f"found {known.value}"
        )
        return False
    return _check_content(expressions, keyword, known.value)


def _check_content(expressions: Expressions, keyword: syntax.Keyword, value: Value) -> bool:
    """What the values of some options must be beyond type and range."""
    name, report = keyword.name.text, expressions.report
    if name == "stop_regex":
        patterns = value if isinstance(value, list) else [value]
        items = keyword.value.items if isinstance(keyword.value, syntax.ListLiteral) else ()
        places = items if len(items) == len(patterns) else [keyword.value] * len(patterns)
        sources = expressions.types.sources
        return all(
            check_regex(str(p), place, report, sources)
            for p, place in zip(patterns, places, strict=True)
        )
    if name == "stop" and "" in (value if isinstance(value, list) else [value]):
        report.error("E0603", "an empty `stop` would end every gen at once", keyword.value, "empty")
        return False
    if name == "logit_bias":
        return _check_bias(expressions, keyword, value)
    return True


def _check_bias(expressions: Expressions, keyword: syntax.Keyword, value: Value) -> bool:
    is_good = isinstance(value, dict) and all(
        isinstance(bias, int | float) and not isinstance(bias, bool) for bias in value.values()
    )
    if not is_good:
        message = "`logit_bias` maps the text or id of a token to a number"
        help = 'write `logit_bias={" yes": 2.5, "50256": -100}`'
        expressions.report.error("E0603", message, keyword.value, "something else", help=help)
    return is_good


def check_method(expressions: Expressions, keyword: syntax.Keyword) -> None:
    """The method of a select: a constant, one of four."""
    known = expressions.consts.known(keyword.value)
    if known is None:
        expressions.report.error("E0610", "the `method` of a select is constant", keyword.value)
    elif known.value not in METHODS:
        near = nearest(str(known.value), METHODS)
        listed = ", ".join(f'"{method}"' for method in METHODS)
        expressions.report.error(
            "E0612",
            f'there is no method "{known.value}"',
            keyword.value,
            "unknown",
            help=f'did you mean "{near}"?' if near else f"the methods are {listed}",
        )
